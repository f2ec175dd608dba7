/* Tiles of fused attention: the online softmax of Milakov and Gimelshein (arXiv:1805.02867) over blocks of keys, and the
 * gradient that computes the scores again from the saved log of the sums (Dao et al., arXiv:2205.14135). */
#include <math.h>
#include <stdatomic.h>

#include "ops/attention.h"
#include "ops/gemm.h"

enum { ATTENTION_ROWS = 64, ATTENTION_KEYS = 256 };

typedef struct attention_run {
    const taper_attention *a;
    const taper_attention_loops *loops;
    const taper_tensor *dout, *out_read, *lse_read;
    taper_tensor *out, *lse, *dq, *dk, *dv;
    int type;
    int64_t size, tiles;
    _Atomic bool failed;
} attention_run;

static int64_t attention_min(int64_t a, int64_t b) { return a < b ? a : b; }

static char *attention_at(const attention_run *r, const taper_tensor *t, int64_t b, int64_t h, int64_t row) {
    return (char *)taper__data(t) + (b * t->strides[0] + h * t->strides[1] + row * t->strides[2]) * r->size;
}

/* C (m, n) = alpha A B + beta C; each operand by its first element and two strides. */
typedef struct attention_matrix {
    void *p;
    int64_t row, col;
} attention_matrix;
static attention_matrix attention_turn(attention_matrix x) { return (attention_matrix){x.p, x.col, x.row}; }

static void attention_multiply(attention_run *r, int64_t m, int64_t n, int64_t k, double alpha, attention_matrix a, attention_matrix b,
                               double beta, void *c, int64_t c_row) {
    taper_gemm g = {.m = m, .n = n, .k = k, .batch = {1, 1}, .alpha = alpha, .beta = beta, .a = a.p, .a_row = a.row, .a_col = a.col,
                    .b = b.p, .b_row = b.row, .b_col = b.col, .c = c, .c_row = c_row};
    if ((r->type ? taper__dgemm(&g) : taper__sgemm(&g)) != TAPER_OK) r->failed = true;
}

static attention_matrix attention_rows(const attention_run *r, const taper_tensor *t, int64_t b, int64_t h, int64_t row) {
    return (attention_matrix){attention_at(r, t, b, h, row), t->strides[2], t->strides[3]};
}

#define ATTENTION_MASK(T, X)                                                                                           \
    static void attention_mask_##X(const taper_attention *a, T *s, int64_t b, int64_t h, int64_t q0, int64_t rows,     \
                                   int64_t k0, int64_t cols) {                                                         \
        const taper_tensor *m = a->mask;                                                                               \
        for (int64_t i = 0; i < rows; i++) {                                                                           \
            T *row = s + i * ATTENTION_KEYS;                                                                           \
            if (m) {                                                                                                   \
                int64_t at = 0, index[4] = {b, h, q0 + i, k0}, step = 0;                                               \
                for (int d = 0; d < m->ndim; d++) { /* aligned at the last dim; size 1 repeats */                      \
                    int64_t stride = m->shape[d] == 1 ? 0 : m->strides[d];                                             \
                    at += index[4 - m->ndim + d] * stride;                                                             \
                    step = stride;                                                                                     \
                }                                                                                                      \
                if (m->dtype == TAPER_BOOL)                                                                            \
                    for (int64_t j = 0; j < cols; j++)                                                                 \
                        row[j] = ((const uint8_t *)taper__data(m))[at + j * step] ? row[j] : -(T)INFINITY;             \
                else                                                                                                   \
                    for (int64_t j = 0; j < cols; j++) row[j] += ((const T *)taper__data(m))[at + j * step];           \
            }                                                                                                          \
            int64_t seen = q0 + i + 1 - k0;                                                                            \
            for (int64_t j = seen > 0 ? seen : 0; a->causal && j < cols; j++) row[j] = -(T)INFINITY;                   \
        }                                                                                                              \
    }
ATTENTION_MASK(float, f32)
ATTENTION_MASK(double, f64)

/* Scores of rows [q0, q0 + rows) against keys [k0, k0 + cols), masked. */
static void attention_scores(attention_run *r, void *s, int64_t b, int64_t h, int64_t q0, int64_t rows, int64_t k0, int64_t cols) {
    const taper_attention *a = r->a;
    attention_multiply(r, rows, cols, a->E, a->scale, attention_rows(r, a->q, b, h, q0),
                       attention_turn(attention_rows(r, a->k, b, h / a->G, k0)), 0, s, ATTENTION_KEYS);
    if (!a->mask && !(a->causal && k0 + cols > q0 + 1)) return;
    if (r->type)
        attention_mask_f64(a, s, b, h, q0, rows, k0, cols);
    else
        attention_mask_f32(a, s, b, h, q0, rows, k0, cols);
}

static int64_t attention_last_key(const taper_attention *a, int64_t q1) { return a->causal ? attention_min(a->S, q1) : a->S; }

static double attention_get(const attention_run *r, const void *p, int64_t i) {
    return r->type ? ((const double *)p)[i] : (double)((const float *)p)[i];
}
static void attention_put(const attention_run *r, void *p, int64_t i, double v) {
    if (r->type)
        ((double *)p)[i] = v;
    else
        ((float *)p)[i] = (float)v;
}

/* ---- forward: a task is one tile of query rows ---- */

static void attention_forward_range(void *ctx, int64_t begin, int64_t end) {
    attention_run *r = ctx;
    const taper_attention *a = r->a;
    size_t bytes = (size_t)(r->size * (ATTENTION_ROWS * ATTENTION_KEYS + 3 * ATTENTION_ROWS));
    char *s = taper__cpu_alloc(bytes);
    if (!s) {
        r->failed = true;
        return;
    }
    char *max = s + r->size * ATTENTION_ROWS * ATTENTION_KEYS, *sum = max + r->size * ATTENTION_ROWS, *factor = sum + r->size * ATTENTION_ROWS;
    for (int64_t task = begin; task < end && !r->failed; task++) {
        int64_t b = task / r->tiles / a->H, h = task / r->tiles % a->H, q0 = task % r->tiles * ATTENTION_ROWS;
        int64_t rows = attention_min(ATTENTION_ROWS, a->L - q0), keys = attention_last_key(a, q0 + rows);
        char *out = attention_at(r, r->out, b, h, q0);
        int64_t ld = r->out->strides[2];
        for (int64_t i = 0; i < rows; i++) {
            attention_put(r, max, i, -INFINITY);
            attention_put(r, sum, i, 0);
            if (!keys) memset(out + i * ld * r->size, 0, (size_t)(a->V * r->size));
        }
        for (int64_t k0 = 0; k0 < keys; k0 += ATTENTION_KEYS) {
            int64_t cols = attention_min(ATTENTION_KEYS, keys - k0);
            attention_scores(r, s, b, h, q0, rows, k0, cols);
            r->loops->grow[r->type](s, rows, cols, ATTENTION_KEYS, max, sum, factor);
            if (k0) r->loops->scale[r->type](out, rows, a->V, ld, factor);
            attention_multiply(r, rows, a->V, cols, 1, (attention_matrix){s, ATTENTION_KEYS, 1}, attention_rows(r, a->v, b, h / a->G, k0),
                               k0 != 0, out, ld);
        }
        void *lse = (char *)taper__data(r->lse) + ((b * a->H + h) * a->L + q0) * r->size;
        for (int64_t i = 0; i < rows; i++) {
            double total = attention_get(r, sum, i), top = attention_get(r, max, i);
            attention_put(r, factor, i, total == 0 ? 0 : 1 / total);
            attention_put(r, lse, i, total == 0 ? -INFINITY : top + log(total));
        }
        r->loops->scale[r->type](out, rows, a->V, ld, factor);
    }
    taper__cpu_free(s, bytes);
}

static taper_status attention_go(attention_run *r, int64_t tasks, taper_range_fn fn) {
    if (tasks == 1)
        fn(r, 0, 1); /* leaves the threads to the products */
    else
        taper__parallel_for(tasks, 1, fn, r);
    if (!r->failed) return TAPER_OK;
    return TAPER_FAIL(TAPER_MEMORY, "attention: no memory for a tile of %d by %d scores", ATTENTION_ROWS, ATTENTION_KEYS);
}

taper_status taper__attention_cpu(const taper_attention *a, taper_tensor *out, taper_tensor *logsumexp) {
    bool wide = out->dtype == TAPER_F64;
    attention_run r = {.a = a, .loops = TAPER_SIMD_PICK(taper__attention_loops), .out = out, .lse = logsumexp, .type = wide,
                       .size = wide ? 8 : 4, .tiles = (a->L + ATTENTION_ROWS - 1) / ATTENTION_ROWS};
    return attention_go(&r, a->B * a->H * r.tiles, attention_forward_range);
}

/* ---- backward: a task is one head of key and value, so that no two tasks add to one place ---- */

typedef struct attention_tile {
    char *p, *d, *delta;
} attention_tile;

static void attention_backward_tile(attention_run *r, const attention_tile *t, int64_t b, int64_t h, int64_t q0) {
    const taper_attention *a = r->a;
    int64_t rows = attention_min(ATTENTION_ROWS, a->L - q0), keys = attention_last_key(a, q0 + rows), kv = h / a->G;
    attention_matrix q = attention_rows(r, a->q, b, h, q0), g = attention_rows(r, r->dout, b, h, q0);
    const char *lse = (char *)taper__data(r->lse_read) + ((b * a->H + h) * a->L + q0) * r->size;
    char *dq = attention_at(r, r->dq, b, h, q0);
    for (int64_t i = 0; i < rows; i++) { /* delta = the sum of dout * out over a row */
        double sum = 0;
        const char *o = attention_at(r, r->out_read, b, h, q0 + i), *d = attention_at(r, r->dout, b, h, q0 + i);
        for (int64_t j = 0; j < a->V; j++)
            sum += attention_get(r, o, j * r->out_read->strides[3]) * attention_get(r, d, j * r->dout->strides[3]);
        attention_put(r, t->delta, i, sum);
        if (!keys) memset(dq + i * r->dq->strides[2] * r->size, 0, (size_t)(a->E * r->size));
    }
    for (int64_t k0 = 0; k0 < keys; k0 += ATTENTION_KEYS) {
        int64_t cols = attention_min(ATTENTION_KEYS, keys - k0);
        attention_matrix p = {t->p, ATTENTION_KEYS, 1}, d = {t->d, ATTENTION_KEYS, 1};
        attention_scores(r, t->p, b, h, q0, rows, k0, cols);
        r->loops->again[r->type](t->p, rows, cols, ATTENTION_KEYS, lse);
        attention_multiply(r, cols, a->V, rows, 1, attention_turn(p), g, 1, attention_at(r, r->dv, b, kv, k0), r->dv->strides[2]);
        attention_multiply(r, rows, cols, a->V, 1, g, attention_turn(attention_rows(r, a->v, b, kv, k0)), 0, t->d, ATTENTION_KEYS);
        r->loops->slope[r->type](t->d, t->p, rows, cols, ATTENTION_KEYS, t->delta);
        attention_multiply(r, rows, a->E, cols, a->scale, d, attention_rows(r, a->k, b, kv, k0), k0 != 0, dq, r->dq->strides[2]);
        attention_multiply(r, cols, a->E, rows, a->scale, attention_turn(d), q, 1, attention_at(r, r->dk, b, kv, k0), r->dk->strides[2]);
    }
}

static void attention_zero(const attention_run *r, const taper_tensor *t, int64_t b, int64_t h) {
    for (int64_t i = 0; i < t->shape[2]; i++) memset(attention_at(r, t, b, h, i), 0, (size_t)(t->shape[3] * r->size));
}

static void attention_backward_range(void *ctx, int64_t begin, int64_t end) {
    attention_run *r = ctx;
    const taper_attention *a = r->a;
    size_t part = (size_t)(r->size * ATTENTION_ROWS * ATTENTION_KEYS), bytes = 2 * part + (size_t)(r->size * ATTENTION_ROWS);
    char *p = taper__cpu_alloc(bytes);
    if (!p) {
        r->failed = true;
        return;
    }
    attention_tile t = {p, p + part, p + 2 * part};
    int64_t heads = a->H / a->G;
    for (int64_t task = begin; task < end && !r->failed; task++) {
        int64_t b = task / heads, kv = task % heads;
        attention_zero(r, r->dk, b, kv);
        attention_zero(r, r->dv, b, kv);
        for (int64_t h = kv * a->G; h < (kv + 1) * a->G; h++)
            for (int64_t q0 = 0; q0 < a->L; q0 += ATTENTION_ROWS) attention_backward_tile(r, &t, b, h, q0);
    }
    taper__cpu_free(p, bytes);
}

taper_status taper__attention_backward_cpu(const taper_attention *a, const taper_tensor *dout, const taper_tensor *out,
                                           const taper_tensor *logsumexp, taper_tensor *dq, taper_tensor *dk, taper_tensor *dv) {
    bool wide = dq->dtype == TAPER_F64;
    attention_run r = {.a = a, .loops = TAPER_SIMD_PICK(taper__attention_loops), .dout = dout, .out_read = out, .lse_read = logsumexp,
                       .dq = dq, .dk = dk, .dv = dv, .type = wide, .size = wide ? 8 : 4};
    return attention_go(&r, a->B * (a->H / a->G), attention_backward_range);
}
