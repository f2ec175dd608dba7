/* equal and allclose: is every pair of elements the same, or near; stops at the first block that says no. */
#include <math.h>

#include "ops/search.h"

enum { EQUAL_BLOCK = 4096 };

typedef struct equal_job {
    const taper_tensor *a, *b;
    taper_dtype dtype; /* of the comparison: f32, f64 or i64 */
    double rtol, atol;
    bool close, equal_nan;
    _Atomic bool differ;
} equal_job;

static bool equal_reals(const double *a, const double *b, int64_t n) {
    bool same = true;
    for (int64_t i = 0; i < n; i++) same &= a[i] == b[i];
    return same;
}
static bool equal_floats(const float *a, const float *b, int64_t n) {
    bool same = true;
    for (int64_t i = 0; i < n; i++) same &= a[i] == b[i];
    return same;
}
static bool equal_near(const equal_job *j, const double *a, const double *b, int64_t n) {
    bool near = true;
    for (int64_t i = 0; i < n; i++) {
        bool nan = a[i] != a[i] && b[i] != b[i];
        near &= a[i] == b[i] || (nan && j->equal_nan) || (isfinite(b[i]) && fabs(a[i] - b[i]) <= j->atol + j->rtol * fabs(b[i]));
    }
    return near;
}

/* The block as it is when it has the dtype already, else converted into room. */
static const void *equal_block(const taper_tensor *t, taper_dtype dtype, int64_t at, int64_t n, void *room) {
    const char *p = (const char *)taper__data(t) + at * (int64_t)taper_dtype_size((taper_dtype)t->dtype);
    if (t->dtype == dtype) return p;
    taper__convert(room, dtype, 1, p, (taper_dtype)t->dtype, 1, n);
    return room;
}

static void equal_range(void *ctx, int64_t begin, int64_t end) {
    equal_job *j = ctx;
    _Alignas(64) char x[EQUAL_BLOCK * 8], y[EQUAL_BLOCK * 8];
    for (int64_t i = begin; i < end && !j->differ; i += EQUAL_BLOCK) {
        int64_t n = end - i < EQUAL_BLOCK ? end - i : EQUAL_BLOCK;
        const void *a = equal_block(j->a, j->dtype, i, n, x), *b = equal_block(j->b, j->dtype, i, n, y);
        bool same = j->close ? equal_near(j, a, b, n) : j->dtype == TAPER_F64 ? equal_reals(a, b, n) : j->dtype == TAPER_F32 ? equal_floats(a, b, n) : !memcmp(a, b, (size_t)n * 8);
        if (!same) j->differ = true;
    }
}

static bool equal_shapes(const taper_tensor *a, const taper_tensor *b) {
    return a->ndim == b->ndim && !memcmp(a->shape, b->shape, sizeof(int64_t) * (size_t)a->ndim);
}

/* Both contiguous and of one shape, on the CPU. */
static void equal_run(taper_call *c, equal_job *j) {
    taper_tensor *ts[2] = {c->args[0].t, c->args[1].t};
    j->a = ts[0];
    j->b = ts[1];
    taper_dtype dtype = taper__result_dtype(ts, 2, NULL, 0);
    j->dtype = j->close || dtype == TAPER_F64 ? TAPER_F64 : taper_dtype_is_float(dtype) ? TAPER_F32 : TAPER_I64;
    taper__parallel_for(j->a->numel, 32768, equal_range, j);
    *(uint8_t *)taper__data(c->out[0]) = !j->differ;
}

static taper_status equal_infer(taper_call *c) {
    TAPER_TRY(taper__need_same_device(c));
    return taper__out(c, 0, TAPER_BOOL, 0, NULL);
}
static taper_status equal_cpu(taper_call *c) {
    equal_job j = {0};
    if (equal_shapes(c->args[0].t, c->args[1].t)) equal_run(c, &j);
    else *(uint8_t *)taper__data(c->out[0]) = 0;
    return TAPER_OK;
}
/* A comparison and one reduction, kept out of the tape. */
static taper_status equal_reduce(taper_call *c, bool close) {
    taper_scope s = TAPER_SCOPE;
    bool old = taper_set_grad_enabled(false);
    const taper_arg *a = c->args;
    taper_tensor *same = !close && !equal_shapes(a[0].t, a[1].t) ? tx_full(&s, NULL, 0, taper_bool(false), TAPER_BOOL, &c->device)
                         : tx_all(&s, close ? tx_isclose(&s, a[0].t, a[1].t, a[2].f, a[3].f, a[4].i) : tx_eq(&s, a[0].t, a[1].t), NULL, 0, false);
    taper_status st = s.status == TAPER_OK ? taper__copy_data(c->out[0], same) : s.status;
    taper_set_grad_enabled(old);
    taper_scope_end(&s);
    return st;
}
static taper_status equal_cuda(taper_call *c) { return equal_reduce(c, false); }
static const taper_kernel equal_kernels[] = {{"cpu", TAPER_CPU, NULL, equal_cpu}, {"cuda", TAPER_CUDA, NULL, equal_cuda}, {0}};
const taper_op taper_op_equal = {
    .infer = equal_infer,
    .kernels = equal_kernels,
    .contiguous = 3,
    .samples = (const taper_sample[]){{"[2,3], [2,3]"}, {"[3]:i64=(1,2,3), [3]:i64=(1,2,3)"}, {"[3]:i64=(1,2,3), [3]:i64=(1,2,4)"}, {"[2], [1,2]"},
                                      {"[3]:i64=(1,2,3), [3]:i32=(1,2,3)"}, {"[300,400]:i64<1, [300,400]:i32<1"}, {"[0], [0]"}, {"[]:bool, []:bool"}, {0}},
};

static taper_status allclose_infer(taper_call *c) {
    taper_tensor *ts[2] = {c->args[0].t, c->args[1].t};
    int n;
    int64_t shape[TAPER_MAX_DIMS];
    TAPER_TRY(taper__need_same_device(c));
    if (ts[0]->dtype != ts[1]->dtype)
        return TAPER_FAIL(TAPER_RUNTIME, "%s did not match %s: allclose needs one dtype, got %s and %s", taper_dtype_typename((taper_dtype)ts[0]->dtype),
                          taper_dtype_typename((taper_dtype)ts[1]->dtype), TAPER_TEXT(ts[0]), TAPER_TEXT(ts[1]));
    if (c->args[2].f < 0 || c->args[3].f < 0)
        return TAPER_FAIL(TAPER_RUNTIME, "%s must be greater than or equal to zero, but got %g", c->args[2].f < 0 ? "rtol" : "atol",
                          c->args[2].f < 0 ? c->args[2].f : c->args[3].f);
    TAPER_TRY(taper__broadcast(&n, shape, ts, 2, "allclose"));
    return taper__out(c, 0, TAPER_BOOL, 0, NULL);
}
static taper_status allclose_cpu(taper_call *c) {
    if (!equal_shapes(c->args[0].t, c->args[1].t) || !taper_tensor_is_contiguous(c->args[0].t) || !taper_tensor_is_contiguous(c->args[1].t))
        return equal_reduce(c, true);
    equal_job j = {.close = true, .rtol = c->args[2].f, .atol = c->args[3].f, .equal_nan = c->args[4].i};
    equal_run(c, &j);
    return TAPER_OK;
}
static taper_status allclose_cuda(taper_call *c) { return equal_reduce(c, true); }
static const taper_kernel allclose_kernels[] = {{"cpu", TAPER_CPU, NULL, allclose_cpu}, {"cuda", TAPER_CUDA, NULL, allclose_cuda}, {0}};
const taper_op taper_op_allclose = {
    .infer = allclose_infer,
    .kernels = allclose_kernels,
    .samples = (const taper_sample[]){{"[2,3], [2,3]"}, {"[2,3], [3], 10.0, 10.0"}, {"[300,400]:unit, [300,400]:unit, 1.0, 1.0"}, {"[4]:i64<1, [4]:i64<1"}, {"[0], [0]"},
                                      {"[2,3], [2,3], 0.1, 0.1, true"}, {"[2]:f32, [2]:f64", .error = "did not match"},
                                      {"[2], [2], -1.0", .error = "rtol must be greater"}, {0}},
};
