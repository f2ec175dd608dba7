/* Variance and standard deviation, alone and with the mean: two passes, the second over deviations from the mean. */
#include <math.h>

#include "ops/reduce_cuda.h"
#include "ops/vjp_expr.h"

/* The four share their arguments: self, dim, correction, keepdim. */
static double variance_correction(const taper_arg *args) { return args[2].kind == TAPER_ARG_NONE ? 1 : taper_arg_double(&args[2]); }

static taper_status variance_infer(taper_call *c, int results) {
    taper_dtype dtype = (taper_dtype)c->args[0].t->dtype;
    if (!taper_dtype_is_float(dtype))
        return TAPER_FAIL(TAPER_RUNTIME, "std and var only support floating point and complex dtypes, got %s", TAPER_TEXT(c->args[0].t));
    for (int i = 0; i < results; i++) TAPER_TRY(taper__reduce_infer(c, i, dtype, &c->args[1], c->args[3].i));
    return TAPER_OK;
}
static taper_status var_infer(taper_call *c) { return variance_infer(c, 1); }
static taper_status var_mean_infer(taper_call *c) { return variance_infer(c, 2); }

/* Deviations were taken from the mean as a float: what that lost is known. */
static double variance_finish(double folded, int64_t n, double m, double p) {
    double lost = m - (double)(float)m, left = (double)n - p;
    double square = folded - (double)n * lost * lost;
    if (square < 0) square = 0; /* of equal elements rounding may leave less than nothing */
    return square / (left > 0 ? left : 0);
}
static double variance_finish_f64(double folded, int64_t n, double m, double p) {
    (void)m;
    return folded / ((double)n > p ? (double)n - p : 0);
}
static double deviation_finish(double folded, int64_t n, double m, double p) { return sqrt(variance_finish(folded, n, m, p)); }
static double deviation_finish_f64(double folded, int64_t n, double m, double p) { return sqrt(variance_finish_f64(folded, n, m, p)); }

static taper_status variance_cpu(taper_call *c, bool root) {
    const taper_tensor *in = c->args[0].t;
    int64_t n = c->out[0]->numel;
    bool wide = in->dtype == TAPER_F64;
    if (!n) return TAPER_OK;
    double *means = taper__alloc((size_t)n * sizeof *means);
    if (!means) return TAPER_FAIL(TAPER_MEMORY, "%s: no memory for %lld means", c->row->name, (long long)n);
    taper_reduction r = {.kind = TAPER_REDUCE_SUM, .in = in, .dtype = (taper_dtype)in->dtype, .folded = means};
    taper_status st = taper__dim_mask(&r.mask, &c->args[1], in->ndim, c->row->name);
    double count = (double)taper__reduce_count(in, &c->args[1]);
    TAPER_TRY_GOTO(st);
    TAPER_TRY_GOTO(taper__reduce(&r, c->row->name));
    for (int64_t i = 0; i < n; i++) means[i] /= count;
    if (c->nout > 1) taper__convert(taper__data(c->out[1]), (taper_dtype)c->out[1]->dtype, 1, means, TAPER_F64, 1, n);
    r = (taper_reduction){.kind = TAPER_REDUCE_SUM_DEVIATION, .in = in, .mask = r.mask, .dtype = r.dtype, .out = c->out[0], .m = means,
                          .p = variance_correction(c->args)};
    r.finish = root ? (wide ? deviation_finish_f64 : deviation_finish) : (wide ? variance_finish_f64 : variance_finish);
    TAPER_TRY_GOTO(taper__reduce(&r, c->row->name));
out:
    taper__free(means);
    return st;
}
static taper_status var_cpu(taper_call *c) { return variance_cpu(c, false); }
static taper_status std_cpu(taper_call *c) { return variance_cpu(c, true); }

static taper_status variance_cuda(taper_call *c, bool root) {
    taper_reduce_job j;
    double left = (double)taper__reduce_count(c->args[0].t, &c->args[1]) - variance_correction(c->args);
    TAPER_TRY(taper__reduce_job(&j, c, TAPER_RED_var, &c->args[1]));
    if (root) j.finish = TAPER_RED_ROOT;
    j.other = c->nout > 1 ? c->out[1] : NULL;
    j.p = left > 0 ? left : 0;
    return taper__reduce_device(&j, c->row->name);
}
static taper_status var_cuda(taper_call *c) { return variance_cuda(c, false); }
static taper_status std_cuda(taper_call *c) { return variance_cuda(c, true); }
static const taper_kernel var_kernels[] = {{"cpu", TAPER_CPU, NULL, var_cpu}, {"cuda", TAPER_CUDA, NULL, var_cuda}, {0}};
static const taper_kernel std_kernels[] = {{"cpu", TAPER_CPU, NULL, std_cpu}, {"cuda", TAPER_CUDA, NULL, std_cuda}, {0}};

/* 2 (x - mean) / (n - correction); for the root divided by twice the result, 0 where that is 0. */
static taper_status variance_vjp(taper_vjp *v, bool root) {
    taper_scope *s = v->scope;
    taper_tensor *self = v->args[0].t, *total = NULL;
    int64_t dims[TAPER_MAX_DIMS];
    int n = taper__reduce_dims(dims, self, &v->args[1]);
    double count = (double)taper__reduce_count(self, &v->args[1]), left = count - variance_correction(v->args);
    if (v->grad[0]) {
        taper_tensor *g = v->grad[0];
        if (root) {
            taper_tensor *flat = tx_eq(s, v->out[0], taper__number(s, 0));
            g = vx_drop(s, flat, vx_div(s, g, vx_scale(s, tx_where(s, flat, taper__number(s, 1), v->out[0]), 2)));
        }
        taper_tensor *away = vx_sub(s, self, tx_mean(s, self, dims, n, true, TAPER_DTYPE_NONE));
        total = tx_mul(s, vx_scale(s, taper__reduce_restore(s, g, self, &v->args[1]), 2 / (left > 0 ? left : 0)), away);
    }
    if (v->nout > 1 && v->grad[1]) {
        taper_tensor *g = taper__reduce_spread(s, vx_div(s, v->grad[1], taper__number(s, count)), self, &v->args[1]);
        total = total ? vx_add(s, total, g) : g;
    }
    v->d[0] = total;
    return s->status;
}
static taper_status var_vjp(taper_vjp *v) { return variance_vjp(v, false); }
static taper_status std_vjp(taper_vjp *v) { return variance_vjp(v, true); }

#define VARIANCE_SAMPLES                                                                                               \
    {"[2,3]"}, {"[2,3,4], dim=1"}, {"[2,3,4], dim=(0,-1), keepdim=true"}, {"[4,5], dim=0, correction=0"},              \
        {"[3,500], dim=1, correction=2"}, {"[0,3], dim=1"}, {"[2,3], dim=2", .error = "Dimension out of range"},       \
        {"[3,50257], dim=1", .large = true}, {"[70,4096], dim=0", .large = true},                                      \
        {"[3]:i64", .error = "only support floating point"}, {0}

const taper_op taper_op_var = {
    .infer = var_infer,
    .kernels = var_kernels,
    .vjp = var_vjp,
    .saves = TAPER_SAVE_ARG(0),
    .samples = (const taper_sample[]){VARIANCE_SAMPLES},
};
const taper_op taper_op_std = {
    .infer = var_infer,
    .kernels = std_kernels,
    .vjp = std_vjp,
    .saves = TAPER_SAVE_ARG(0) | TAPER_SAVE_OUT(0),
    .samples = (const taper_sample[]){VARIANCE_SAMPLES},
};
const taper_op taper_op_var_mean = {
    .infer = var_mean_infer,
    .kernels = var_kernels,
    .vjp = var_vjp,
    .saves = TAPER_SAVE_ARG(0),
    .samples = (const taper_sample[]){VARIANCE_SAMPLES},
};
const taper_op taper_op_std_mean = {
    .infer = var_mean_infer,
    .kernels = std_kernels,
    .vjp = std_vjp,
    .saves = TAPER_SAVE_ARG(0) | TAPER_SAVE_OUT(0),
    .samples = (const taper_sample[]){VARIANCE_SAMPLES},
};

/* The older spellings with `unbiased`: (self, unbiased) and (self, dim, unbiased, keepdim). */
typedef taper_tensor *(*variance_fn)(taper_scope *, taper_tensor *, const int64_t *, int, const taper_scalar *, bool);
static taper_status variance_compose(taper_call *c, taper_scope *s, variance_fn fn, bool dims) {
    taper_scalar correction = taper_int(c->args[dims ? 2 : 1].i ? 1 : 0);
    const taper_arg *dim = &c->args[1];
    const int64_t *list = !dims || dim->kind == TAPER_ARG_NONE ? NULL : dim->is;
    c->out[0] = taper_scope_keep(s, fn(s, c->args[0].t, list, list ? dim->count : 0, &correction, dims && c->args[3].i));
    c->nout = 1;
    return s->status;
}
static taper_status var_unbiased_compose(taper_call *c, taper_scope *s) { return variance_compose(c, s, tx_var, false); }
static taper_status std_unbiased_compose(taper_call *c, taper_scope *s) { return variance_compose(c, s, tx_std, false); }
static taper_status var_dims_compose(taper_call *c, taper_scope *s) { return variance_compose(c, s, tx_var, true); }
static taper_status std_dims_compose(taper_call *c, taper_scope *s) { return variance_compose(c, s, tx_std, true); }
#define VARIANCE_UNBIASED_SAMPLES {"[2,3], true"}, {"[2,3], false"}, {"[3]:i64, true", .error = "only support floating point"}, {0}
#define VARIANCE_DIMS_SAMPLES                                                                                          \
    {"[2,3], 1, false"}, {"[2,3,4], (0,2), true, keepdim=true"}, {"[3]:i64, 0", .error = "only support floating point"}, {0}
const taper_op taper_op_var_unbiased = {.compose = var_unbiased_compose, .samples = (const taper_sample[]){VARIANCE_UNBIASED_SAMPLES}};
const taper_op taper_op_std_unbiased = {.compose = std_unbiased_compose, .samples = (const taper_sample[]){VARIANCE_UNBIASED_SAMPLES}};
const taper_op taper_op_var_dims = {.compose = var_dims_compose, .samples = (const taper_sample[]){VARIANCE_DIMS_SAMPLES}};
const taper_op taper_op_std_dims = {.compose = std_dims_compose, .samples = (const taper_sample[]){VARIANCE_DIMS_SAMPLES}};
