/* The gradient of fused attention on the CPU: the scores are computed again from the saved log of the sums (Dao et al.,
 * arXiv:2205.14135). A task is one head of key and value, so that no two tasks add to one place. */
#include <math.h>
#include <stdatomic.h>

#include "ops/attention.h"

enum { QUERIES = TAPER_ATTENTION_QUERIES, KEYS = TAPER_ATTENTION_KEYS };

static int64_t backward_min(int64_t a, int64_t b) { return a < b ? a : b; }

/* q, g (the gradient of the results), dq turned; p weights, d their gradients; rows as the second operand of a product. */
typedef struct backward_space {
    char *q, *g, *o, *p, *d, *dq, *masks, *k, *v, *q_rows, *g_rows, *lse, *delta, *ones;
} backward_space;

typedef struct backward_block {
    int64_t b, h, kv, q0, rows;
    taper_attention_rows q, g;
} backward_block;

static void backward_keys(const taper_attention_run *r, const backward_space *w, const backward_block *t, int64_t k0, int64_t keys) {
    const taper_attention *a = r->a;
    taper_attention_rows k = taper__attention_take(r, a->k, t->b, t->kv, k0, keys, w->k, false);
    taper_attention_rows v = taper__attention_take(r, a->v, t->b, t->kv, k0, keys, w->v, false);
    char *dk = taper__attention_at(r, r->dk, t->b, t->kv, k0), *dv = taper__attention_at(r, r->dv, t->b, t->kv, k0);
    int64_t dk_row = r->dk->strides[2], dv_row = r->dv->strides[2], seen[QUERIES];
    for (int64_t u = 0; u < t->rows; u += r->gemm->cols) {
        int n = taper__attention_panel(r, t->rows, u);
        int64_t at = u * r->size, m;
        taper_attention_rows p = {w->p + at, QUERIES}, d = {w->d + at, QUERIES}, g = {w->g + at, QUERIES};
        m = seen[u] = taper__attention_scores(r, p, t->b, t->h, t->q0, u, t->rows, w->q + at, k, k0, keys, w->masks);
        if (!m) continue;
        r->loops->again(p.p, m, QUERIES, n, w->lse + at);
        taper__attention_multiply(r, m, n, a->V, v.p, v.ld, 1, g, d.p, QUERIES, false);
        r->loops->slope(d.p, p.p, m, QUERIES, n, w->delta + at, a->scale);
        taper__attention_multiply(r, a->E, n, m, k.p, 1, k.ld, d, w->dq + at, QUERIES, k0 != 0);
    }
    /* Keys that the first panel sees take all queries, those that only the second sees the rest, and so on. */
    for (int64_t u = 0, key = 0; u < t->rows; u += r->gemm->cols) {
        int64_t m = seen[u] - key, rows = t->rows - u, at = (key * QUERIES + u) * r->size;
        if (m <= 0) continue;
        taper_attention_rows q = {t->q.p + u * t->q.ld * r->size, t->q.ld}, g = {t->g.p + u * t->g.ld * r->size, t->g.ld};
        taper__attention_multiply(r, m, a->V, rows, w->p + at, QUERIES, 1, g, dv + key * dv_row * r->size, dv_row, true);
        taper__attention_multiply(r, m, a->E, rows, w->d + at, QUERIES, 1, q, dk + key * dk_row * r->size, dk_row, true);
        key = seen[u];
    }
}

static void backward_numbers(const taper_attention_run *r, char *p, double x) {
    for (int i = 0; i < QUERIES; i++)
        if (r->type)
            ((double *)p)[i] = x;
        else
            ((float *)p)[i] = (float)x;
}

static void backward_queries(const taper_attention_run *r, const backward_space *w, int64_t b, int64_t h, int64_t q0) {
    const taper_attention *a = r->a;
    backward_block t = {.b = b, .h = h, .kv = h / a->G, .q0 = q0, .rows = backward_min(QUERIES, a->L - q0)};
    int64_t keys = a->causal ? backward_min(a->S, q0 + t.rows) : a->S;
    taper__attention_turn(r, w->q, a->q, b, h, q0, t.rows);
    taper__attention_turn(r, w->g, r->dout, b, h, q0, t.rows);
    taper__attention_turn(r, w->o, r->out_read, b, h, q0, t.rows);
    r->loops->dots(w->g, w->o, a->V, w->delta);
    backward_numbers(r, w->lse, a->scale);
    for (int u = 0; u < QUERIES; u += r->gemm->cols) r->loops->scale(w->q + u * r->size, a->E, QUERIES, r->gemm->cols, w->lse);
    backward_numbers(r, w->lse, INFINITY); /* queries past the end have no weights */
    memcpy(w->lse, (char *)taper__data(r->lse_read) + ((b * a->H + h) * a->L + q0) * r->size, (size_t)(t.rows * r->size));
    t.q = taper__attention_take(r, a->q, b, h, q0, t.rows, w->q_rows, true);
    t.g = taper__attention_take(r, r->dout, b, h, q0, t.rows, w->g_rows, true);
    if (!keys) memset(w->dq, 0, (size_t)(a->E * QUERIES * r->size));
    for (int64_t k0 = 0; k0 < keys; k0 += KEYS) backward_keys(r, w, &t, k0, backward_min(KEYS, keys - k0));
    r->loops->turn(taper__attention_at(r, r->dq, b, h, q0), r->dq->strides[2], w->dq, t.rows, a->E, w->ones);
}

static void backward_zero(const taper_attention_run *r, const taper_tensor *t, int64_t b, int64_t h) {
    for (int64_t i = 0; i < t->shape[2]; i++) memset(taper__attention_at(r, t, b, h, i), 0, (size_t)(t->shape[3] * r->size));
}

static void backward_range(void *ctx, int64_t begin, int64_t end) {
    taper_attention_run *r = ctx;
    const taper_attention *a = r->a;
    backward_space w;
    int64_t scores = QUERIES * KEYS, e = taper__attention_whole(r, a->E), v = taper__attention_whole(r, a->V);
    const struct { char **p; int64_t n; } parts[] = {
        {&w.q, a->E * QUERIES}, {&w.g, a->V * QUERIES}, {&w.o, a->V * QUERIES}, {&w.p, scores}, {&w.d, scores}, {&w.dq, a->E * QUERIES},
        {&w.masks, a->mask ? 2 * r->gemm->cols * KEYS : 0}, {&w.k, e * KEYS}, {&w.v, v * KEYS}, {&w.q_rows, e * QUERIES}, {&w.g_rows, v * QUERIES},
        {&w.lse, QUERIES}, {&w.delta, QUERIES}, {&w.ones, QUERIES}};
    int64_t total = 0, at = 0, heads = a->H / a->G;
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) total += parts[i].n * r->size;
    char *space = taper__cpu_alloc((size_t)total);
    if (!space) {
        r->failed = true;
        return;
    }
    for (size_t i = 0; i < sizeof parts / sizeof *parts; at += parts[i++].n * r->size) *parts[i].p = space + at;
    backward_numbers(r, w.ones, 1);
    for (int64_t task = begin; task < end; task++) {
        int64_t b = task / heads, kv = task % heads;
        backward_zero(r, r->dk, b, kv);
        backward_zero(r, r->dv, b, kv);
        for (int64_t h = kv * a->G; h < (kv + 1) * a->G; h++)
            for (int64_t q0 = 0; q0 < a->L; q0 += QUERIES) backward_queries(r, &w, b, h, q0);
    }
    taper__cpu_free(space, (size_t)total);
}

taper_status taper__attention_backward_cpu(const taper_attention *a, const taper_tensor *dout, const taper_tensor *out,
                                           const taper_tensor *logsumexp, taper_tensor *dq, taper_tensor *dk, taper_tensor *dv) {
    taper_attention_run r = {.a = a, .dout = dout, .out_read = out, .lse_read = logsumexp, .dq = dq, .dk = dk, .dv = dv};
    taper__attention_choose(&r, dq->dtype == TAPER_F64);
    double flops = (double)a->G * (double)a->L * (double)a->S * (double)(6 * a->E + 4 * a->V);
    return taper__attention_go(&r, a->B * (a->H / a->G), flops, backward_range);
}
