/* softmax and log_softmax over one dim, with their gradients as operators. */
#include "ops/softmax.h"

#include <math.h>

typedef struct softmax_job {
    const void *a, *b; /* forward: x; backward: grad and result */
    void *out;
    int64_t n, inner, blocks; /* softmaxes lie `inner` apart; blocks of columns in one inner run */
    bool log, backward;
    const taper_softmax_loops *loops;
} softmax_job;

static void softmax_f64(const softmax_job *j, int64_t at) {
    const double *x = (const double *)j->a + at, *y = j->b ? (const double *)j->b + at : NULL;
    double *out = (double *)j->out + at, s = 0, m = -INFINITY;
    int64_t n = j->n, k = j->inner;
    if (j->backward) {
        for (int64_t i = 0; i < n; i++) s += j->log ? x[i * k] : x[i * k] * y[i * k];
        for (int64_t i = 0; i < n; i++) out[i * k] = j->log ? x[i * k] - exp(y[i * k]) * s : y[i * k] * (x[i * k] - s);
        return;
    }
    for (int64_t i = 0; i < n; i++) m = x[i * k] > m ? x[i * k] : m;
    for (int64_t i = 0; i < n; i++) {
        double e = exp(x[i * k] - m);
        s += e;
        out[i * k] = e;
    }
    double log_s = log(s);
    for (int64_t i = 0; i < n; i++) out[i * k] = j->log ? x[i * k] - m - log_s : out[i * k] / s;
}

static void softmax_f64_range(void *ctx, int64_t begin, int64_t end) {
    const softmax_job *j = ctx;
    for (int64_t i = begin; i < end; i++) softmax_f64(j, i / j->inner * j->n * j->inner + i % j->inner);
}

static void softmax_f32_rows(void *ctx, int64_t begin, int64_t end) {
    const softmax_job *j = ctx;
    for (int64_t i = begin; i < end; i++) {
        int64_t at = i * j->n;
        if (j->backward) j->loops->row_backward((float *)j->out + at, (const float *)j->a + at, (const float *)j->b + at, j->n, j->log);
        else j->loops->row((float *)j->out + at, (const float *)j->a + at, j->n, j->log);
    }
}

static void softmax_f32_columns(void *ctx, int64_t begin, int64_t end) {
    const softmax_job *j = ctx;
    for (int64_t i = begin; i < end; i++) {
        int64_t column = i % j->blocks * TAPER_SOFTMAX_COLUMNS, at = i / j->blocks * j->n * j->inner + column;
        int cols = (int)(j->inner - column < TAPER_SOFTMAX_COLUMNS ? j->inner - column : TAPER_SOFTMAX_COLUMNS);
        if (j->backward)
            j->loops->columns_backward((float *)j->out + at, (const float *)j->a + at, (const float *)j->b + at, j->n, j->inner, cols, j->log);
        else j->loops->columns((float *)j->out + at, (const float *)j->a + at, j->n, j->inner, cols, j->log);
    }
}

static taper_status softmax_run(taper_call *c, int64_t dim, const taper_tensor *a, const taper_tensor *b, bool log) {
    taper_tensor *y = c->out[0];
    softmax_job j = {taper__data(a), b ? taper__data(b) : NULL, taper__data(y), 1, 1, 1, log, b != NULL, TAPER_SIMD_PICK(taper__softmax_loops)};
    if (!y->numel) return TAPER_OK;
    if (y->ndim) {
        int d = (int)(dim < 0 ? dim + y->ndim : dim);
        j.n = y->shape[d];
        for (int k = d + 1; k < y->ndim; k++) j.inner *= y->shape[k];
    }
    if (y->device.type == TAPER_CUDA) return taper__softmax_cuda(y, a, b, j.n, j.inner, log);
    int64_t count = y->numel / j.n;
    if (y->dtype == TAPER_F64) {
        taper__parallel_for(count, 1 + 4096 / j.n, softmax_f64_range, &j);
    } else if (j.inner == 1) {
        taper__parallel_for(count, 1 + 16384 / j.n, softmax_f32_rows, &j);
    } else {
        j.blocks = (j.inner + TAPER_SOFTMAX_COLUMNS - 1) / TAPER_SOFTMAX_COLUMNS;
        int64_t cols = j.inner < TAPER_SOFTMAX_COLUMNS ? j.inner : TAPER_SOFTMAX_COLUMNS;
        taper__parallel_for(count / j.inner * j.blocks, 1 + 16384 / (j.n * cols), softmax_f32_columns, &j);
    }
    return TAPER_OK;
}

static taper_status softmax_infer(taper_call *c) {
    const taper_tensor *x = c->args[0].t;
    taper_dtype dtype = c->args[2].kind == TAPER_ARG_DTYPE ? c->args[2].dtype : (taper_dtype)x->dtype;
    int d;
    TAPER_TRY(taper__wrap_dim(&d, c->args[1].i, x->ndim, c->row->name));
    if (!taper_dtype_is_float(dtype))
        return TAPER_FAIL(TAPER_NOT_IMPLEMENTED, "\"%s\" not implemented for '%s': got %s; convert it with .float() or give dtype=", c->row->name,
                          taper_dtype_typename(dtype), TAPER_TEXT(x));
    return taper__out(c, 0, dtype, x->ndim, x->shape);
}

static taper_status softmax_forward(taper_call *c, bool log) {
    const taper_tensor *x = c->args[0].t;
    if (x->dtype == c->out[0]->dtype) return softmax_run(c, c->args[1].i, x, NULL, log);
    taper_tensor *wide = NULL;
    TAPER_TRY(taper__tensor_empty(&wide, (taper_dtype)c->out[0]->dtype, x->device, x->ndim, x->shape, c->row->name));
    taper_status st = taper__copy_data(wide, x);
    if (st == TAPER_OK) st = softmax_run(c, c->args[1].i, wide, NULL, log);
    taper_tensor_release(wide);
    return st;
}

static taper_status softmax_backward_infer(taper_call *c) {
    const taper_tensor *g = c->args[0].t, *y = c->args[1].t;
    int d;
    TAPER_TRY(taper__wrap_dim(&d, c->args[2].i, y->ndim, c->row->name));
    if (g->ndim != y->ndim || memcmp(g->shape, y->shape, sizeof(int64_t) * y->ndim) || g->dtype != y->dtype)
        return TAPER_FAIL(TAPER_RUNTIME, "%s: the gradient %s must be like the result %s", c->row->name, TAPER_TEXT(g), TAPER_TEXT(y));
    TAPER_TRY(taper__need_float(y, c->row->name));
    TAPER_TRY(taper__need_same_device(c));
    return taper__out(c, 0, (taper_dtype)y->dtype, y->ndim, y->shape);
}

/* Sum over dim, kept as size 1. */
static taper_tensor *softmax_sum(taper_scope *s, taper_tensor *t, const taper_arg *dim) {
    return t ? tx_sum(s, t, &dim->i, t->ndim ? 1 : 0, true, TAPER_DTYPE_NONE) : NULL;
}
static taper_tensor *softmax_to(taper_scope *s, taper_tensor *t, const taper_tensor *like) {
    return t && t->dtype != like->dtype ? tx_to(s, t, NULL, (taper_dtype)like->dtype, false, false) : t;
}

static taper_status softmax_cpu(taper_call *c) { return softmax_forward(c, false); }
static const taper_kernel softmax_kernels[] = {{"cpu", TAPER_CPU, NULL, softmax_cpu}, {"cuda", TAPER_CUDA, NULL, softmax_cpu}, {0}};
static taper_status softmax_vjp(taper_vjp *v) {
    v->d[0] = softmax_to(v->scope, tx_softmax_backward(v->scope, v->grad[0], v->out[0], v->args[1].i), v->args[0].t);
    return v->scope->status;
}
const taper_op taper_op_softmax = {
    .infer = softmax_infer,
    .kernels = softmax_kernels,
    .vjp = softmax_vjp,
    .saves = TAPER_SAVE_OUT(0),
    .contiguous = 1,
    .upcast = true,
    .samples = (const taper_sample[]){{"[2,3], dim=1"},
                                      {"[3,40], dim=-1"},
                                      {"[2,70,5], dim=1"},
                                      {"[300,1024], 1", .large = true},
                                      {"[9,400], 1"},
                                      {"[5,9000], 1", .large = true},
                                      {"[3,50257], 1", .large = true},
                                      {"[70,4096], 0", .large = true},
                                      {"[4,3], 0"},
                                      {"[], 0"},
                                      {"[0,3], 1"},
                                      {"[2,3]:i64<5, 1, dtype=float32"},
                                      {"[2,3], 2", .error = "Dimension out of range"},
                                      {"[2,3]:i64, 1", .error = "not implemented for 'Long'"},
                                      {0}},
};

static taper_status log_softmax_cpu(taper_call *c) { return softmax_forward(c, true); }
static const taper_kernel log_softmax_kernels[] = {{"cpu", TAPER_CPU, NULL, log_softmax_cpu}, {"cuda", TAPER_CUDA, NULL, log_softmax_cpu}, {0}};
static taper_status log_softmax_vjp(taper_vjp *v) {
    v->d[0] = softmax_to(v->scope, tx_log_softmax_backward(v->scope, v->grad[0], v->out[0], v->args[1].i), v->args[0].t);
    return v->scope->status;
}
const taper_op taper_op_log_softmax = {
    .infer = softmax_infer,
    .kernels = log_softmax_kernels,
    .vjp = log_softmax_vjp,
    .saves = TAPER_SAVE_OUT(0),
    .contiguous = 1,
    .upcast = true,
    .samples = (const taper_sample[]){{"[2,3], dim=1"}, {"[3,40], dim=-1"}, {"[2,70,5], dim=1"}, {"[300,1024], 1", .large = true}, {"[5,9000], 1", .large = true}, {"[3,50257], 1", .large = true}, {"[70,4096], 0", .large = true}, {"[0,3], 1"}, {"[2,3], -3", .error = "Dimension out of range"}, {0}},
};

static taper_status softmax_backward_cpu(taper_call *c) { return softmax_run(c, c->args[2].i, c->args[0].t, c->args[1].t, false); }
static const taper_kernel softmax_backward_kernels[] = {{"cpu", TAPER_CPU, NULL, softmax_backward_cpu}, {"cuda", TAPER_CUDA, NULL, softmax_backward_cpu}, {0}};

/* d = y (g - <g, y>): dg = y (h - <h, y>), dy = h g - h <g, y> - g <h, y> */
static taper_status softmax_backward_vjp(taper_vjp *v) {
    taper_scope *s = v->scope;
    taper_tensor *h = v->grad[0], *g = v->args[0].t, *y = v->args[1].t;
    if (v->need[0]) v->d[0] = tx_softmax_backward(s, h, y, v->args[2].i);
    if (v->need[1]) {
        taper_tensor *gy = softmax_sum(s, tx_mul(s, g, y), &v->args[2]), *hy = softmax_sum(s, tx_mul(s, h, y), &v->args[2]);
        taper_tensor *rest = gy && hy ? tx_add(s, tx_mul(s, h, gy), tx_mul(s, g, hy), taper_int(1)) : NULL;
        v->d[1] = rest ? tx_add(s, tx_mul(s, h, g), rest, taper_int(-1)) : NULL;
    }
    return s->status;
}
const taper_op taper_op_softmax_backward = {
    .infer = softmax_backward_infer,
    .kernels = softmax_backward_kernels,
    .vjp = softmax_backward_vjp,
    .saves = TAPER_SAVE_ARG(0) | TAPER_SAVE_ARG(1),
    .saves_when = {[0] = 1 << 1},
    .contiguous = 3,
    .upcast = true,
    .samples = (const taper_sample[]){{"[2,3], [2,3], 1"}, {"[2,3,4], [2,3,4], 1"}, {"[0,2], [0,2], 1"}, {"[2,3], [3,2], 1", .error = "must be like the result"}, {0}},
};

static taper_status log_softmax_backward_cpu(taper_call *c) { return softmax_run(c, c->args[2].i, c->args[0].t, c->args[1].t, true); }
static const taper_kernel log_softmax_backward_kernels[] = {{"cpu", TAPER_CPU, NULL, log_softmax_backward_cpu}, {"cuda", TAPER_CUDA, NULL, log_softmax_backward_cpu}, {0}};

/* d = g - e^y sum(g): dg = h - sum(h e^y), dy = -h e^y sum(g) */
static taper_status log_softmax_backward_vjp(taper_vjp *v) {
    taper_scope *s = v->scope;
    taper_tensor *h = v->grad[0], *he = tx_mul(s, h, tx_exp(s, v->args[1].t));
    if (v->need[0] && he) v->d[0] = tx_add(s, h, softmax_sum(s, he, &v->args[2]), taper_int(-1));
    if (v->need[1] && he) v->d[1] = tx_neg(s, tx_mul(s, he, softmax_sum(s, v->args[0].t, &v->args[2])));
    return s->status;
}
const taper_op taper_op_log_softmax_backward = {
    .infer = softmax_backward_infer,
    .kernels = log_softmax_backward_kernels,
    .vjp = log_softmax_backward_vjp,
    .saves = TAPER_SAVE_ARG(0) | TAPER_SAVE_ARG(1),
    .saves_when = {[0] = 1 << 1},
    .contiguous = 3,
    .upcast = true,
    .samples = (const taper_sample[]){{"[2,3], [2,3], 1"}, {"[2,3,4], [2,3,4], 1"}, {"[0,2], [0,2], 1"}, {0}},
};
