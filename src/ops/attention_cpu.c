/* Fused attention on the CPU: the online softmax of Milakov and Gimelshein (arXiv:1805.02867) over blocks of keys. The products are those
 * of the gemm kernels; scores lie turned (attention.h), so that only queries and results are ever transposed. */
#include <math.h>
#include <stdatomic.h>

#include "ops/attention.h"

enum { QUERIES = TAPER_ATTENTION_QUERIES, KEYS = TAPER_ATTENTION_KEYS };
#define ATTENTION_GRAIN_FLOPS 4e5 /* a smaller task is not worth handing to another thread */

static int64_t attention_min(int64_t a, int64_t b) { return a < b ? a : b; }

void taper__attention_choose(taper_attention_run *r, int type) {
    r->type = type;
    r->size = type ? 8 : 4;
    r->loops = type ? TAPER_SIMD_PICK(taper__attention_f64) : TAPER_SIMD_PICK(taper__attention_f32);
    r->gemm = type ? TAPER_SIMD_PICK(taper__gemm_f64) : TAPER_SIMD_PICK(taper__gemm_f32);
    r->blocks = (r->a->L + QUERIES - 1) / QUERIES;
}

char *taper__attention_at(const taper_attention_run *r, const taper_tensor *t, int64_t b, int64_t h, int64_t row) {
    return (char *)taper__data(t) + (b * t->strides[0] + h * t->strides[1] + row * t->strides[2]) * r->size;
}

int64_t taper__attention_whole(const taper_attention_run *r, int64_t width) {
    int64_t lanes = r->gemm->cols / 2;
    return (width + lanes - 1) / lanes * lanes;
}

taper_attention_rows taper__attention_take(const taper_attention_run *r, const taper_tensor *t, int64_t b, int64_t h, int64_t row, int64_t rows,
                                           char *space, bool second) {
    char *p = taper__attention_at(r, t, b, h, row);
    int64_t width = t->shape[3], whole = taper__attention_whole(r, width);
    bool crowded = !second && t->strides[2] * r->size % 2048 == 0; /* many such rows fall into one set of the first-level cache */
    if (t->strides[3] == 1 && !crowded && (!second || width == whole)) return (taper_attention_rows){p, t->strides[2]};
    r->gemm->pack[0](space, (int)whole, p, t->strides[3], t->strides[2], (int)width, rows);
    return (taper_attention_rows){space, whole};
}

void taper__attention_turn(const taper_attention_run *r, char *to, const taper_tensor *t, int64_t b, int64_t h, int64_t row, int64_t rows) {
    r->gemm->pack[0](to, QUERIES, taper__attention_at(r, t, b, h, row), t->strides[2], t->strides[3], (int)rows, t->shape[3]);
}

void taper__attention_multiply(const taper_attention_run *r, int64_t m, int64_t n, int64_t k, const char *a, int64_t a_row, int64_t a_col,
                               taper_attention_rows b, char *c, int64_t c_row, bool add) {
    const gemm_tail tail = {.alpha = 1, .beta = add};
    int64_t tiles = (m + r->gemm->rows - 1) / r->gemm->rows;
    for (int64_t col = 0; col < n; col += r->gemm->cols) {
        int cols = (int)attention_min(n - col, r->gemm->cols);
        for (int64_t tile = 0, row = 0; tile < tiles; tile++) {
            int64_t rows = m / tiles + (tile < m % tiles);
            r->gemm->tile[rows - 1][cols > r->gemm->cols / 2](k, a + row * a_row * r->size, a_row, a_col, b.p + col * r->size, b.ld,
                                                              c + (row * c_row + col) * r->size, c_row, cols, &tail);
            row += rows;
        }
    }
}

int taper__attention_panel(const taper_attention_run *r, int64_t rows, int64_t u) {
    return rows - u <= r->gemm->cols / 2 ? r->gemm->cols / 2 : r->gemm->cols;
}

static int64_t attention_mask_at(const taper_tensor *m, const int64_t index[4], int64_t stride[4]) {
    int64_t at = 0;
    for (int i = 0; i < 4; i++) { /* aligned at the last dim; size 1 repeats */
        int d = i - 4 + m->ndim;
        stride[i] = d < 0 || m->shape[d] == 1 ? 0 : m->strides[d];
        at += index[i] * stride[i];
    }
    return at;
}

/* The mask of `rows` queries and `keys` keys, turned, as numbers: of a bool mask 1 and 0. */
static void attention_mask(const taper_attention_run *r, char *to, int n, int64_t b, int64_t h, int64_t q0, int64_t rows, int64_t k0, int64_t keys) {
    const taper_tensor *m = r->a->mask;
    int64_t stride[4], at = attention_mask_at(m, (int64_t[]){b, h, q0, k0}, stride);
    if (m->dtype != TAPER_BOOL) {
        r->gemm->pack[0](to, n, (char *)taper__data(m) + at * r->size, stride[2], stride[3], (int)rows, keys);
        return;
    }
    char *numbers = to + n * KEYS * r->size;
    for (int64_t i = 0; i < rows; i++) {
        const uint8_t *from = (const uint8_t *)taper__data(m) + at + i * stride[2];
        float *f = (float *)numbers + i * KEYS;
        double *d = (double *)numbers + i * KEYS;
        if (r->type)
            for (int64_t j = 0; j < keys; j++) d[j] = from[j * stride[3]];
        else if (stride[3] == 1)
            for (int64_t j = 0; j < keys; j++) f[j] = from[j];
        else
            for (int64_t j = 0; j < keys; j++) f[j] = from[j * stride[3]];
    }
    r->gemm->pack[0](to, n, numbers, KEYS, 1, (int)rows, keys);
}

int64_t taper__attention_scores(const taper_attention_run *r, taper_attention_rows s, int64_t b, int64_t h, int64_t q0, int64_t u, int64_t rows,
                                const char *q, taper_attention_rows k, int64_t k0, int64_t keys, char *masks) {
    const taper_attention *a = r->a;
    int n = taper__attention_panel(r, rows, u);
    int64_t first = q0 + u, last = q0 + attention_min(rows, u + n);
    if (a->causal) keys = attention_min(keys, last - k0);
    if (keys <= 0) return 0;
    taper__attention_multiply(r, keys, n, a->E, k.p, k.ld, 1, (taper_attention_rows){(char *)q, QUERIES}, s.p, s.ld, false);
    if (a->mask) {
        attention_mask(r, masks, n, b, h, first, last - first, k0, keys);
        r->loops->mask(s.p, keys, s.ld, n, masks, a->mask->dtype == TAPER_BOOL);
    }
    if (a->causal && k0 + keys > first + 1) r->loops->hide(s.p, keys, s.ld, n, k0 - first);
    return keys;
}

/* ---- forward: a task is one block of queries ---- */

typedef struct attention_space {
    char *q, *s, *masks, *k, *v, *out, *max, *sum, *factor, *lse;
} attention_space;

static void attention_forward_keys(const taper_attention_run *r, const attention_space *w, int64_t b, int64_t h, int64_t q0, int64_t rows, int64_t k0,
                                   int64_t keys) {
    const taper_attention *a = r->a;
    taper_attention_rows k = taper__attention_take(r, a->k, b, h / a->G, k0, keys, w->k, false);
    taper_attention_rows v = taper__attention_take(r, a->v, b, h / a->G, k0, keys, w->v, false);
    for (int64_t u = 0; u < rows; u += r->gemm->cols) {
        int n = taper__attention_panel(r, rows, u);
        int64_t at = u * r->size;
        taper_attention_rows s = {w->s, n};
        int64_t seen = taper__attention_scores(r, s, b, h, q0, u, rows, w->q + at, k, k0, keys, w->masks);
        if (!seen) continue;
        r->loops->grow(s.p, seen, n, n, w->max + at, w->sum + at, w->factor + at);
        if (k0) r->loops->scale(w->out + at, a->V, QUERIES, n, w->factor + at);
        taper__attention_multiply(r, a->V, n, seen, v.p, 1, v.ld, s, w->out + at, QUERIES, k0 != 0);
    }
}

static double attention_get(const taper_attention_run *r, const void *p, int64_t i) {
    return r->type ? ((const double *)p)[i] : (double)((const float *)p)[i];
}
static void attention_put(const taper_attention_run *r, void *p, int64_t i, double x) {
    if (r->type)
        ((double *)p)[i] = x;
    else
        ((float *)p)[i] = (float)x;
}
static void attention_numbers(const taper_attention_run *r, char *p, double x) {
    for (int i = 0; i < QUERIES; i++) attention_put(r, p, i, x);
}

static void attention_forward_block(const taper_attention_run *r, const attention_space *w, int64_t b, int64_t h, int64_t q0) {
    const taper_attention *a = r->a;
    int64_t rows = attention_min(QUERIES, a->L - q0), keys = a->causal ? attention_min(a->S, q0 + rows) : a->S;
    taper__attention_turn(r, w->q, a->q, b, h, q0, rows);
    attention_numbers(r, w->factor, a->scale);
    for (int u = 0; u < QUERIES; u += r->gemm->cols) r->loops->scale(w->q + u * r->size, a->E, QUERIES, r->gemm->cols, w->factor);
    attention_numbers(r, w->max, -INFINITY);
    attention_numbers(r, w->sum, 0);
    if (!keys) memset(w->out, 0, (size_t)(a->V * QUERIES * r->size));
    for (int64_t k0 = 0; k0 < keys; k0 += KEYS) attention_forward_keys(r, w, b, h, q0, rows, k0, attention_min(KEYS, keys - k0));
    r->loops->finish(w->factor, w->lse, w->max, w->sum);
    r->loops->turn(taper__attention_at(r, r->out, b, h, q0), r->out->strides[2], w->out, rows, a->V, w->factor);
    memcpy((char *)taper__data(r->lse) + ((b * a->H + h) * a->L + q0) * r->size, w->lse, (size_t)(rows * r->size));
}

static void attention_mask_one(const taper_attention_run *r, char *s, int64_t b, int64_t h, int64_t k0, int64_t keys) {
    const taper_tensor *m = r->a->mask;
    int64_t stride[4], at = attention_mask_at(m, (int64_t[]){b, h, 0, k0}, stride);
    for (int64_t j = 0; j < keys; j++, at += stride[3])
        if (m->dtype != TAPER_BOOL)
            attention_put(r, s, j, attention_get(r, s, j) + attention_get(r, taper__data(m), at));
        else if (!((const uint8_t *)taper__data(m))[at])
            attention_put(r, s, j, -INFINITY);
}

/* One query alone, as when text is generated: bound by reading keys and values, as they lie. */
static void attention_forward_one(const taper_attention_run *r, const attention_space *w, int64_t b, int64_t h) {
    const taper_attention *a = r->a;
    int64_t keys = a->causal ? attention_min(a->S, 1) : a->S;
    char *out = taper__attention_at(r, r->out, b, h, 0), *lse = (char *)taper__data(r->lse) + (b * a->H + h) * r->size;
    attention_put(r, w->max, 0, -INFINITY);
    attention_put(r, w->sum, 0, 0);
    for (int64_t e = 0; e < a->E; e++)
        attention_put(r, w->q, e, a->scale * attention_get(r, taper__attention_at(r, a->q, b, h, 0), e * a->q->strides[3]));
    memset(out, 0, (size_t)(a->V * r->size));
    for (int64_t k0 = 0; k0 < keys; k0 += KEYS) {
        int64_t n = attention_min(KEYS, keys - k0);
        taper_attention_rows k = taper__attention_take(r, a->k, b, h / a->G, k0, n, w->k, false);
        taper_attention_rows v = taper__attention_take(r, a->v, b, h / a->G, k0, n, w->v, false);
        r->gemm->dot(a->E, k.p, k.ld, w->q, w->s, n);
        if (a->mask) attention_mask_one(r, w->s, b, h, k0, n);
        r->loops->grow_one(w->s, n, w->max, w->sum);
        r->gemm->axpy(n, v.p, v.ld, w->s, w->out, a->V);
        r->loops->add_one(out, w->out, a->V, w->sum);
    }
    r->loops->finish_one(out, a->V, lse, w->max, w->sum);
}

static void attention_forward_range(void *ctx, int64_t begin, int64_t end) {
    taper_attention_run *r = ctx;
    const taper_attention *a = r->a;
    attention_space w;
    int64_t panel = r->gemm->cols * KEYS, e = taper__attention_whole(r, a->E), v = taper__attention_whole(r, a->V);
    const struct { char **p; int64_t n; } parts[] = {
        {&w.q, a->E * QUERIES}, {&w.s, panel}, {&w.masks, a->mask ? 2 * panel : 0}, {&w.k, e * KEYS}, {&w.v, v * KEYS}, {&w.out, a->V * QUERIES},
        {&w.max, QUERIES}, {&w.sum, QUERIES}, {&w.factor, QUERIES}, {&w.lse, QUERIES}};
    int64_t total = 0, at = 0;
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) total += parts[i].n * r->size;
    char *space = taper__cpu_alloc((size_t)total);
    if (!space) {
        r->failed = true;
        return;
    }
    for (size_t i = 0; i < sizeof parts / sizeof *parts; at += parts[i++].n * r->size) *parts[i].p = space + at;
    for (int64_t task = begin; task < end; task++)
        if (a->L == 1)
            attention_forward_one(r, &w, task / a->H, task % a->H);
        else
            attention_forward_block(r, &w, task / r->blocks / a->H, task / r->blocks % a->H, task % r->blocks * QUERIES);
    taper__cpu_free(space, (size_t)total);
}

taper_status taper__attention_go(taper_attention_run *r, int64_t tasks, double flops, taper_range_fn fn) {
    taper__parallel_for(tasks, 1 + (int64_t)(ATTENTION_GRAIN_FLOPS / (flops + 1)), fn, r);
    if (!r->failed) return TAPER_OK;
    return TAPER_FAIL(TAPER_MEMORY, "attention: no memory for a block of %d queries by %d keys of %lld and %lld elements", QUERIES, KEYS,
                      (long long)r->a->E, (long long)r->a->V);
}

taper_status taper__attention_cpu(const taper_attention *a, taper_tensor *out, taper_tensor *logsumexp) {
    taper_attention_run r = {.a = a, .out = out, .lse = logsumexp};
    taper__attention_choose(&r, out->dtype == TAPER_F64);
    double flops = 2.0 * (double)attention_min(a->L, QUERIES) * (double)a->S * (double)(a->E + a->V);
    return taper__attention_go(&r, a->B * a->H * r.blocks, flops, attention_forward_range);
}
