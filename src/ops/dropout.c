/* dropout and its relatives. The mask that dropped is kept for the gradient. */
#include <math.h>

#include "ops/op.h"
#include "ops/random_cuda.h"
#include "tensor/random_fill.h"

/* What the elements that stay are multiplied with, rounded as torch rounds it. */
static double dropout_scale(taper_dtype dtype, double p) { return dtype == TAPER_F64 ? 1 / (1 - p) : (double)(1.0f / (float)(1 - p)); }

static taper_status native_dropout_infer(taper_call *c) {
    const taper_tensor *x = c->args[0].t;
    double p = c->args[1].f;
    if (!(p > 0 && p < 1)) return TAPER_FAIL(TAPER_RUNTIME, "native_dropout: probability between 0 and 1 expected, got %g", p);
    TAPER_TRY(taper__need_float(x, "native_dropout"));
    TAPER_TRY(taper__out_like(c, 0, (taper_dtype)x->dtype, x));
    c->nondiff = 2;
    return taper__out_like(c, 1, TAPER_BOOL, x);
}

typedef struct dropout_job {
    taper_dtype dtype;
    const char *x;
    char *out; /* holds the factors first */
    uint8_t *mask;
    double scale;
} dropout_job;

#define DROPOUT_LOOP(type)                                                                                             \
    do {                                                                                                               \
        const type *x = (const type *)j->x;                                                                            \
        type *o = (type *)j->out;                                                                                      \
        for (int64_t i = begin; i < end; i++) {                                                                        \
            j->mask[i] = o[i] != 0;                                                                                    \
            o[i] = x[i] * o[i];                                                                                        \
        }                                                                                                              \
    } while (0)
static void dropout_range(void *ctx, int64_t begin, int64_t end) {
    const dropout_job *j = ctx;
    if (j->dtype == TAPER_F32) DROPOUT_LOOP(float);
    else if (j->dtype == TAPER_F64) DROPOUT_LOOP(double);
    else
        for (int64_t i = begin; i < end; i++) {
            double f = taper__load_double(j->out + 2 * i, j->dtype);
            j->mask[i] = f != 0;
            taper__store_double(j->out + 2 * i, j->dtype, (float)(taper__load_double(j->x + 2 * i, j->dtype) * f));
        }
}

/* The factors into out, which lies in the order of the input: drawn in the order of memory, or (taper__random_mkl) of rows. */
static taper_status dropout_factors(taper_tensor *out, double p) {
    taper_tensor *rows = NULL;
    if (out->contiguous || !taper__random_mkl()) {
        taper__random_dropout(NULL, (taper_dtype)out->dtype, taper__data(out), out->numel, p);
        return TAPER_OK;
    }
    TAPER_TRY(taper__tensor_empty(&rows, (taper_dtype)out->dtype, taper_cpu(), out->ndim, out->shape, "native_dropout"));
    taper__random_dropout(NULL, (taper_dtype)out->dtype, taper__data(rows), out->numel, p);
    taper_status st = taper__copy_data(out, rows);
    taper_tensor_release(rows);
    return st;
}

static taper_status native_dropout_cpu(taper_call *c) {
    const taper_tensor *x = c->args[0].t;
    taper_tensor *out = c->out[0], *packed = NULL;
    bool same = !memcmp(x->strides, out->strides, sizeof(int64_t) * x->ndim) || (x->contiguous && out->contiguous);
    if (!same) {
        TAPER_TRY(taper__tensor_empty_strided(&packed, (taper_dtype)x->dtype, taper_cpu(), x->ndim, x->shape, out->strides, "native_dropout"));
        taper_status st = taper__copy_data(packed, x);
        if (st != TAPER_OK) {
            taper_tensor_release(packed);
            return st;
        }
        x = packed;
    }
    dropout_job j = {(taper_dtype)x->dtype, taper__data(x), taper__data(out), taper__data(c->out[1]), 0};
    taper_status st = dropout_factors(c->out[0], c->args[1].f);
    if (st == TAPER_OK) taper__parallel_for(out->numel, 32768, dropout_range, &j);
    taper_tensor_release(packed);
    return st;
}
static const taper_kernel native_dropout_kernels[] = {{"cuda", TAPER_CUDA, NULL, taper__native_dropout_cuda}, {"cpu", TAPER_CPU, NULL, native_dropout_cpu}, {0}};
static taper_status native_dropout_vjp(taper_vjp *v) {
    if (v->grad[0]) v->d[0] = tx_native_dropout_backward(v->scope, v->grad[0], v->out[1], dropout_scale((taper_dtype)v->out[0]->dtype, v->args[1].f));
    return v->scope->status;
}
const taper_op taper_op_native_dropout = {
    .infer = native_dropout_infer,
    .kernels = native_dropout_kernels,
    .vjp = native_dropout_vjp,
    .saves = TAPER_SAVE_OUT(1),
    .random = true,
    .grad_name = "NativeDropoutBackward0",
    .samples = (const taper_sample[]){{"[4,5], 0.5, true", .unspecified = true, .strides_matter = true, .no_grad_check = true /* two draws differ */},
                                      {"[0], 0.5, true", .unspecified = true, .strides_matter = true, .no_grad_check = true},
                                      {"[2], 1.0, true", .error = "got 1"},
                                      {0}},
};

static taper_status native_dropout_backward_infer(taper_call *c) {
    const taper_tensor *g = c->args[0].t, *mask = c->args[1].t;
    if (mask->dtype != TAPER_BOOL) return TAPER_FAIL(TAPER_RUNTIME, "Mask should be Bool Scalar Type, got %s", TAPER_TEXT(mask));
    if (g->ndim != mask->ndim || memcmp(g->shape, mask->shape, sizeof(int64_t) * g->ndim))
        return TAPER_FAIL(TAPER_RUNTIME, "native_dropout_backward: gradient of shape %s, mask of shape %s", TAPER_SHAPE(g), TAPER_SHAPE(mask));
    return taper__out(c, 0, (taper_dtype)g->dtype, g->ndim, g->shape);
}
#define DROPOUT_BACK(type)                                                                                             \
    do {                                                                                                               \
        const type *x = (const type *)j->x, scale[2] = {0, (type)j->scale};                                            \
        type *o = (type *)j->out;                                                                                      \
        for (int64_t i = begin; i < end; i++) o[i] = x[i] * scale[j->mask[i] != 0];                                    \
    } while (0)
static void dropout_back_range(void *ctx, int64_t begin, int64_t end) {
    const dropout_job *j = ctx;
    if (j->dtype == TAPER_F32) DROPOUT_BACK(float);
    else DROPOUT_BACK(double);
}
static taper_status native_dropout_backward_cpu(taper_call *c) {
    dropout_job j = {(taper_dtype)c->out[0]->dtype, taper__data(c->args[0].t), taper__data(c->out[0]), taper__data(c->args[1].t), c->args[2].f};
    taper__parallel_for(c->out[0]->numel, 32768, dropout_back_range, &j);
    return TAPER_OK;
}
static const taper_kernel native_dropout_backward_kernels[] = {{"cuda", TAPER_CUDA, NULL, taper__native_dropout_backward_cuda}, {"cpu", TAPER_CPU, NULL, native_dropout_backward_cpu}, {0}};
static taper_status native_dropout_backward_vjp(taper_vjp *v) {
    v->d[0] = tx_native_dropout_backward(v->scope, v->grad[0], v->args[1].t, v->args[2].f);
    return v->scope->status;
}
const taper_op taper_op_native_dropout_backward = {
    .infer = native_dropout_backward_infer,
    .kernels = native_dropout_backward_kernels,
    .vjp = native_dropout_backward_vjp,
    .saves = TAPER_SAVE_ARG(1),
    .contiguous = 3,
    .upcast = true,
    .samples = (const taper_sample[]){{"[4,5], [4,5]:bool, 2.0"}, {"[0], [0]:bool, 2.0"}, {"[2], [3]:bool, 2.0", .error = "mask of shape [3]"}, {"[2], [2]:i64, 2.0", .error = "should be Bool"}, {0}},
};

/* ---- what modules call ---- */

static taper_status dropout_give(taper_call *c, taper_scope *s, taper_tensor *t) {
    c->nout = 1;
    c->out[0] = taper_scope_keep(s, t);
    return s->status;
}
static taper_status dropout_check(const taper_call *c) {
    double p = c->args[1].f;
    return p >= 0 && p <= 1 ? TAPER_OK : TAPER_FAIL(TAPER_RUNTIME, "dropout probability has to be between 0 and 1, but got %g", p);
}
static bool dropout_idle(const taper_call *c) { return !c->args[2].i || c->args[1].f == 0 || c->args[0].t->numel == 0; }

static taper_status dropout_compose(taper_call *c, taper_scope *s) {
    taper_tensor *x = c->args[0].t, *out[TAPER_MAX_OUTS] = {NULL};
    TAPER_TRY(dropout_check(c));
    if (dropout_idle(c)) return dropout_give(c, s, x);
    if (c->args[1].f == 1) return dropout_give(c, s, tx_mul(s, x, taper__number(s, 0)));
    TAPER_TRY(taper_native_dropout(out, x, c->args[1].f, true));
    taper_scope_own(s, out[1]);
    return dropout_give(c, s, taper_scope_own(s, out[0]));
}

/* Ones with probability 1 - p: in the shape of x, or one for each of dims 0 and 1. */
static taper_tensor *dropout_noise(taper_call *c, taper_scope *s, bool feature) {
    taper_tensor *x = c->args[0].t;
    int64_t shape[TAPER_MAX_DIMS];
    if (!feature) return tx_bernoulli_(s, tx_empty_like(s, x, TAPER_DTYPE_NONE, NULL, NULL), 1 - c->args[1].f, NULL);
    if (x->ndim < 2) {
        s->status = TAPER_FAIL(TAPER_RUNTIME, "Feature dropout requires at least 2 dimensions in the input, got %s", TAPER_TEXT(x));
        return NULL;
    }
    for (int d = 0; d < x->ndim; d++) shape[d] = d < 2 ? x->shape[d] : 1;
    return tx_bernoulli_(s, tx_empty(s, shape, x->ndim, (taper_dtype)x->dtype, &x->device), 1 - c->args[1].f, NULL);
}
static taper_status feature_dropout_compose(taper_call *c, taper_scope *s) {
    taper_tensor *x = c->args[0].t;
    TAPER_TRY(dropout_check(c));
    if (dropout_idle(c)) return dropout_give(c, s, x);
    if (c->args[1].f == 1) return dropout_give(c, s, tx_mul(s, x, taper__number(s, 0)));
    taper_tensor *noise = dropout_noise(c, s, true);
    return dropout_give(c, s, tx_mul(s, x, tx_div(s, noise, taper__number(s, 1 - c->args[1].f), NULL)));
}
static taper_status alpha_make(taper_call *c, taper_scope *s, bool feature) {
    const double alpha = 1.7580993408473766; /* scale times alpha of selu */
    taper_tensor *x = c->args[0].t;
    double p = c->args[1].f;
    TAPER_TRY(dropout_check(c));
    if (dropout_idle(c)) return dropout_give(c, s, x);
    if (p == 1) return dropout_give(c, s, tx_mul(s, x, taper__number(s, 0)));
    double a = 1 / sqrt((alpha * alpha * p + 1) * (1 - p));
    taper_tensor *noise = dropout_noise(c, s, feature);
    taper_tensor *b = tx_add(s, tx_mul(s, tx_add(s, noise, taper__number(s, -1), taper_int(1)), taper__number(s, alpha * a)), taper__number(s, alpha * a * p), taper_int(1));
    return dropout_give(c, s, tx_add(s, tx_mul(s, x, tx_mul(s, noise, taper__number(s, a))), b, taper_int(1)));
}
static taper_status alpha_dropout_compose(taper_call *c, taper_scope *s) { return alpha_make(c, s, false); }
static taper_status feature_alpha_dropout_compose(taper_call *c, taper_scope *s) { return alpha_make(c, s, true); }

#define DROPOUT_OP(name, ...)                                                                                          \
    const taper_op taper_op_##name = {                                                                                 \
        .compose = name##_compose,                                                                                     \
        .random = true,                                                                                                \
        .samples = (const taper_sample[]){{"[2,3], 0.0"}, {"[2,3], 0.5, false"}, {"[2,3], 1.0"}, {"[2,3]:nograd, 0.5", .unspecified = true, .strides_matter = true}, {"[2], 1.5", .error = "got 1.5"}, __VA_ARGS__, {0}}}
DROPOUT_OP(dropout, {"[0], 0.5"});
DROPOUT_OP(feature_dropout, {"[3], 0.5", .error = "at least 2 dimensions"});
DROPOUT_OP(alpha_dropout, {"[0], 0.5"});
DROPOUT_OP(feature_alpha_dropout, {"[3], 0.5", .error = "at least 2 dimensions"});
