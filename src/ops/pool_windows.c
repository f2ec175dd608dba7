/* Sizes of pooling windows and the loops over them. */
#include <math.h>

#include "ops/pool.h"

static taper_status pool_pair(int64_t out[2], const taper_arg *a, int64_t fallback, const char *op, const char *what) {
    out[0] = out[1] = fallback;
    if (a && a->kind == TAPER_ARG_INT) {
        out[0] = out[1] = a->i;
    } else if (a && a->kind == TAPER_ARG_INTS && a->count > 0) {
        if (a->count > 2)
            return TAPER_FAIL(TAPER_RUNTIME, "%s: %s must either be a single int, or a tuple of two ints, got %s", op, what,
                              taper__shape_text(a->count, a->is).s);
        out[0] = a->is[0];
        out[1] = a->is[a->count - 1];
    }
    return TAPER_OK;
}

taper_status taper__pool_numbers(taper_pool *p, const char *op, const taper_arg *kernel, const taper_arg *stride,
                                 const taper_arg *padding, const taper_arg *dilation) {
    TAPER_TRY(pool_pair(p->kernel, kernel, 0, op, "kernel_size"));
    bool given = stride && (stride->kind == TAPER_ARG_INT || (stride->kind == TAPER_ARG_INTS && stride->count > 0));
    TAPER_TRY(pool_pair(p->stride, given ? stride : kernel, 1, op, "stride"));
    TAPER_TRY(pool_pair(p->padding, padding, 0, op, "padding"));
    TAPER_TRY(pool_pair(p->dilation, dilation, 1, op, "dilation"));
    for (int d = 0; d < 2; d++) {
        if (p->stride[d] == 0) return TAPER_FAIL(TAPER_RUNTIME, "stride should not be zero");
        if (p->kernel[d] <= 0 || p->stride[d] < 0)
            return TAPER_FAIL(TAPER_RUNTIME, "kernel size should be greater than zero, but got kH: %lld kW: %lld (%s, stride %s)",
                              (long long)p->kernel[0], (long long)p->kernel[1], op, taper__shape_text(2, p->stride).s);
        if (p->dilation[d] <= 0)
            return TAPER_FAIL(TAPER_RUNTIME, "dilation should be greater than zero, but got dilationH: %lld dilationW: %lld",
                              (long long)p->dilation[0], (long long)p->dilation[1]);
        if (p->padding[d] < 0)
            return TAPER_FAIL(TAPER_RUNTIME, "pad must be non-negative, but got pad: %lld", (long long)p->padding[d]);
        if (p->padding[d] > (p->dilation[d] * (p->kernel[d] - 1) + 1) / 2)
            return TAPER_FAIL(TAPER_RUNTIME,
                              "pad should be at most half of effective kernel size, but got pad=%lld, kernel_size=%lld and dilation=%lld",
                              (long long)p->padding[d], (long long)p->kernel[d], (long long)p->dilation[d]);
    }
    return TAPER_OK;
}

static void pool_input(taper_pool *p, int ndim, const int64_t *shape) {
    p->planes = shape[ndim - 3] * (ndim == 4 ? shape[0] : 1);
    p->in[0] = shape[ndim - 2], p->in[1] = shape[ndim - 1];
}

taper_status taper__pool_sizes(taper_pool *p, int ndim, const int64_t *shape) {
    if ((ndim != 3 && ndim != 4) || !shape[ndim - 1] || !shape[ndim - 2] || !shape[ndim - 3])
        return TAPER_FAIL(TAPER_RUNTIME, "non-empty 3D or 4D (batch mode) tensor expected for input, got size %s", taper__shape_text(ndim, shape).s);
    pool_input(p, ndim, shape);
    for (int d = 0; d < 2; d++) {
        int64_t s = p->stride[d], room = p->in[d] + 2 * p->padding[d] - p->dilation[d] * (p->kernel[d] - 1) - 1 + (p->ceil_mode ? s - 1 : 0);
        p->out[d] = (room < 0 ? -((-room + s - 1) / s) : room / s) + 1;
        if (p->ceil_mode && (p->out[d] - 1) * s >= p->in[d] + p->padding[d]) p->out[d]--; /* no window begins in the padding */
    }
    if (p->out[0] < 1 || p->out[1] < 1)
        return TAPER_FAIL(TAPER_RUNTIME, "Given input size: (%lldx%lldx%lld). Calculated output size: (%lldx%lldx%lld). Output size is too small",
                          (long long)shape[ndim - 3], (long long)p->in[0], (long long)p->in[1], (long long)shape[ndim - 3],
                          (long long)p->out[0], (long long)p->out[1]);
    return TAPER_OK;
}

taper_status taper__pool_adaptive(taper_pool *p, const char *op, const taper_arg *output, int ndim, const int64_t *shape) {
    if (ndim != 3 && ndim != 4)
        return TAPER_FAIL(TAPER_RUNTIME, "%s(): Expected 3D or 4D tensor, but got %s", op, taper__shape_text(ndim, shape).s);
    for (int d = ndim - 3; d < ndim; d++)
        if (!shape[d])
            return TAPER_FAIL(TAPER_RUNTIME,
                              "%s(): Expected input to have non-zero size for non-batch dimensions, but input has sizes %s with dimension %d "
                              "being empty", op, taper__shape_text(ndim, shape).s, d);
    pool_input(p, ndim, shape);
    TAPER_TRY(pool_pair(p->out, output, 1, op, "output_size"));
    if (p->out[0] < 0 || p->out[1] < 0)
        return TAPER_FAIL(TAPER_RUNTIME, "%s(): elements of output_size must be greater than or equal to 0 but received %s for input %s", op,
                          taper__shape_text(2, p->out).s, taper__shape_text(ndim, shape).s);
    p->adaptive = true;
    p->dilation[0] = p->dilation[1] = 1;
    return TAPER_OK;
}

void taper__pool_shape(const taper_pool *p, int ndim, const int64_t *in, int64_t *out) {
    memcpy(out, in, sizeof *out * (size_t)ndim);
    out[ndim - 2] = p->out[0];
    out[ndim - 1] = p->out[1];
}

/* ---- tables ---- */

/* Window i of dim d covers [lo, hi) in steps of the dilation; count is its size for averages. */
typedef struct pool_table {
    int64_t *lo[2], *hi[2], *count[2];
    void *block;
} pool_table;

static taper_status pool_table_make(pool_table *t, const taper_pool *p, bool average) {
    int64_t *at = taper__alloc(sizeof *at * 3 * (size_t)(p->out[0] + p->out[1] + 1));
    if (!at) return TAPER_FAIL(TAPER_MEMORY, "pooling: no memory for %lld windows", (long long)(p->out[0] + p->out[1]));
    t->block = at;
    for (int d = 0; d < 2; d++) {
        int64_t n = p->out[d], in = p->in[d];
        t->lo[d] = at, t->hi[d] = at + n, t->count[d] = at + 2 * n;
        at += 3 * n;
        for (int64_t i = 0; i < n; i++) {
            int64_t lo, hi, count;
            if (p->adaptive) {
                lo = i * in / n;
                hi = ((i + 1) * in + n - 1) / n;
                count = hi - lo;
            } else {
                lo = i * p->stride[d] - p->padding[d];
                hi = lo + p->dilation[d] * (p->kernel[d] - 1) + 1;
                int64_t end = in + p->padding[d]; /* the padding counts, what lies behind it does not */
                count = (hi < end ? hi : end) - lo;
                while (lo < 0) lo += p->dilation[d];
                hi = hi < in ? hi : in;
                if (average && !p->include_pad) count = hi - lo;
            }
            t->lo[d][i] = lo, t->hi[d][i] = hi, t->count[d][i] = count;
        }
    }
    return TAPER_OK;
}

static double pool_divisor(const taper_pool *p, const pool_table *t, int64_t i, int64_t j) {
    return p->divisor ? (double)p->divisor : (double)(t->count[0][i] * t->count[1][j]);
}

typedef struct pool_job {
    const taper_pool *p;
    pool_table t;
    const void *from;
    void *to;
    int64_t *indices;
} pool_job;

#define POOL_LOOPS(T, X)                                                                                               \
    static void pool_max_##X(void *ctx, int64_t begin, int64_t end) {                                                  \
        const pool_job *job = ctx;                                                                                     \
        const taper_pool *p = job->p;                                                                                  \
        int64_t at = begin * p->out[0] * p->out[1];                                                                    \
        for (int64_t plane = begin; plane < end; plane++) {                                                            \
            const T *x = (const T *)job->from + plane * p->in[0] * p->in[1];                                           \
            for (int64_t i = 0; i < p->out[0]; i++)                                                                    \
                for (int64_t j = 0; j < p->out[1]; j++, at++) {                                                        \
                    int64_t h0 = job->t.lo[0][i], h1 = job->t.hi[0][i], w0 = job->t.lo[1][j], w1 = job->t.hi[1][j];    \
                    int64_t best = h0 * p->in[1] + w0;                                                                 \
                    T max = -(T)INFINITY;                                                                              \
                    for (int64_t h = h0; h < h1; h += p->dilation[0])                                                  \
                        for (int64_t w = w0; w < w1; w += p->dilation[1]) {                                            \
                            T v = x[h * p->in[1] + w];                                                                 \
                            if (v > max || v != v) {                                                                   \
                                max = v;                                                                               \
                                best = h * p->in[1] + w;                                                               \
                            }                                                                                          \
                        }                                                                                              \
                    ((T *)job->to)[at] = max;                                                                          \
                    job->indices[at] = best;                                                                           \
                }                                                                                                      \
        }                                                                                                              \
    }                                                                                                                  \
    static void pool_average_##X(void *ctx, int64_t begin, int64_t end) {                                              \
        const pool_job *job = ctx;                                                                                     \
        const taper_pool *p = job->p;                                                                                  \
        int64_t at = begin * p->out[0] * p->out[1];                                                                    \
        for (int64_t plane = begin; plane < end; plane++) {                                                            \
            const T *x = (const T *)job->from + plane * p->in[0] * p->in[1];                                           \
            for (int64_t i = 0; i < p->out[0]; i++)                                                                    \
                for (int64_t j = 0; j < p->out[1]; j++, at++) {                                                        \
                    T sum = 0;                                                                                         \
                    for (int64_t h = job->t.lo[0][i]; h < job->t.hi[0][i]; h++)                                        \
                        for (int64_t w = job->t.lo[1][j]; w < job->t.hi[1][j]; w++) sum += x[h * p->in[1] + w];        \
                    bool none = job->t.lo[0][i] >= job->t.hi[0][i] || job->t.lo[1][j] >= job->t.hi[1][j];              \
                    ((T *)job->to)[at] = none ? 0 : (T)(sum / (T)pool_divisor(p, &job->t, i, j));                      \
                }                                                                                                      \
        }                                                                                                              \
    }                                                                                                                  \
    static void pool_spread_##X(void *ctx, int64_t begin, int64_t end) {                                               \
        const pool_job *job = ctx;                                                                                     \
        const taper_pool *p = job->p;                                                                                  \
        int64_t at = begin * p->out[0] * p->out[1];                                                                    \
        for (int64_t plane = begin; plane < end; plane++) {                                                            \
            T *x = (T *)job->to + plane * p->in[0] * p->in[1];                                                         \
            memset(x, 0, sizeof(T) * (size_t)(p->in[0] * p->in[1]));                                                   \
            for (int64_t i = 0; i < p->out[0]; i++)                                                                    \
                for (int64_t j = 0; j < p->out[1]; j++, at++) {                                                        \
                    T share = (T)(((const T *)job->from)[at] / (T)pool_divisor(p, &job->t, i, j));                     \
                    for (int64_t h = job->t.lo[0][i]; h < job->t.hi[0][i]; h++)                                        \
                        for (int64_t w = job->t.lo[1][j]; w < job->t.hi[1][j]; w++) x[h * p->in[1] + w] += share;      \
                }                                                                                                      \
        }                                                                                                              \
    }
POOL_LOOPS(float, f32)
POOL_LOOPS(double, f64)

static taper_status pool_run(const taper_pool *p, taper_dtype dtype, const void *from, void *to, int64_t *indices, bool average,
                             taper_range_fn f32, taper_range_fn f64) {
    pool_job job = {.p = p, .from = from, .to = to, .indices = indices};
    TAPER_TRY(pool_table_make(&job.t, p, average));
    int64_t grain = 1 + 8192 / (p->in[0] * p->in[1] + p->out[0] * p->out[1] + 1);
    taper__parallel_for(p->planes, grain, dtype == TAPER_F64 ? f64 : f32, &job);
    taper__free(job.t.block);
    return TAPER_OK;
}

taper_status taper__pool_max(const taper_pool *p, taper_dtype dtype, const void *x, void *y, int64_t *indices) {
    return pool_run(p, dtype, x, y, indices, false, pool_max_f32, pool_max_f64);
}
taper_status taper__pool_average(const taper_pool *p, taper_dtype dtype, const void *x, void *y) {
    return pool_run(p, dtype, x, y, NULL, true, pool_average_f32, pool_average_f64);
}
taper_status taper__pool_average_backward(const taper_pool *p, taper_dtype dtype, const void *dy, void *dx) {
    return pool_run(p, dtype, dy, dx, NULL, true, pool_spread_f32, pool_spread_f64);
}
