/* Sums, means, products, counts and their yes-or-no relatives. */
#include "ops/reduce_cuda.h"
#include "ops/vjp_expr.h"

static taper_status sum_infer(taper_call *c) {
    taper_dtype d = (taper_dtype)c->args[0].t->dtype;
    if (c->args[3].kind == TAPER_ARG_DTYPE) d = c->args[3].dtype;
    else if (!taper_dtype_is_float(d)) d = TAPER_I64;
    return taper__reduce_infer(c, 0, d, &c->args[1], c->args[2].i);
}
static taper_status sum_cpu(taper_call *c) { return taper__reduce_cpu(c, TAPER_REDUCE_SUM, &c->args[1]); }
static taper_status sum_cuda(taper_call *c) { return taper__reduce_cuda(c, TAPER_REDUCE_SUM, &c->args[1]); }
static const taper_kernel sum_kernels[] = {{"cpu", TAPER_CPU, NULL, sum_cpu}, {"cuda", TAPER_CUDA, NULL, sum_cuda}, {0}};

static taper_status sum_vjp(taper_vjp *v) {
    v->d[0] = taper__reduce_spread(v->scope, v->grad[0], v->args[0].t, &v->args[1]);
    return v->scope->status;
}
const taper_op taper_op_sum = {
    .infer = sum_infer,
    .kernels = sum_kernels,
    .vjp = sum_vjp,
    .samples = (const taper_sample[]){{"[2,3]"},
                                      {"[2,3,4], dim=1"},
                                      {"[2,3,4], dim=(0,-1), keepdim=true"},
                                      {"[3]:i64<9"},
                                      {"[5]:bool"},
                                      {"[0,3], dim=0"},
                                      {"[40,70], dim=0"},
                                      {"[3,5000], dim=1"},
                                      {"[300,1024], dim=1", .large = true},
                                      {"[3,50257], dim=1", .tolerance = 1e-4, .large = true},
                                      {"[70,4096], dim=0", .large = true},
                                      {"[3,40000]", .tolerance = 1e-4, .large = true},
                                      {"[2,3]:i64, dtype=float64"},
                                      {"[]"},
                                      {"[2,3], dim=2", .error = "Dimension out of range"},
                                      {0}},
};

static taper_status nansum_cpu(taper_call *c) { return taper__reduce_cpu(c, TAPER_REDUCE_NANSUM, &c->args[1]); }
static taper_status nansum_cuda(taper_call *c) { return taper__reduce_cuda(c, TAPER_REDUCE_NANSUM, &c->args[1]); }
static const taper_kernel nansum_kernels[] = {{"cpu", TAPER_CPU, NULL, nansum_cpu}, {"cuda", TAPER_CUDA, NULL, nansum_cuda}, {0}};

static taper_status nansum_vjp(taper_vjp *v) {
    taper_scope *s = v->scope;
    taper_tensor *self = v->args[0].t;
    v->d[0] = vx_drop(s, tx_isnan(s, self), taper__reduce_spread(s, v->grad[0], self, &v->args[1]));
    return s->status;
}
const taper_op taper_op_nansum = {
    .infer = sum_infer,
    .kernels = nansum_kernels,
    .vjp = nansum_vjp,
    .saves = TAPER_SAVE_ARG(0),
    .samples = (const taper_sample[]){{"[2,3]"}, {"[2,3,4], dim=1"}, {"[3]:i64<9"}, {"[0,3], dim=0"}, {"[2,3], dim=2", .error = "Dimension out of range"}, {0}},
};

static double sum_over_count(double folded, int64_t n, double m, double p) {
    (void)m, (void)p;
    return folded / (double)n;
}
static taper_status mean_infer(taper_call *c) {
    taper_dtype d = c->args[3].kind == TAPER_ARG_DTYPE ? c->args[3].dtype : (taper_dtype)c->args[0].t->dtype;
    if (!taper_dtype_is_float(d))
        return TAPER_FAIL(TAPER_RUNTIME, "mean(): could not infer output dtype. %s dtype must be either a floating point or complex dtype. Got: %s",
                          c->args[3].kind == TAPER_ARG_DTYPE ? "Optional" : "Input", taper_dtype_typename(d));
    return taper__reduce_infer(c, 0, d, &c->args[1], c->args[2].i);
}
static taper_status mean_cpu(taper_call *c) {
    taper_tensor *in = c->args[0].t;
    taper_reduction r = {.kind = TAPER_REDUCE_SUM, .in = in, .out = c->out[0], .finish = sum_over_count};
    r.dtype = taper_dtype_is_float((taper_dtype)in->dtype) ? taper_dtype_promote((taper_dtype)in->dtype, (taper_dtype)c->out[0]->dtype)
                                                           : (taper_dtype)c->out[0]->dtype;
    TAPER_TRY(taper__dim_mask(&r.mask, &c->args[1], in->ndim, "mean"));
    return taper__reduce(&r, "mean");
}
static taper_status mean_cuda(taper_call *c) {
    taper_reduce_job j;
    TAPER_TRY(taper__reduce_job(&j, c, TAPER_RED_sum, &c->args[1]));
    j.finish = TAPER_RED_SCALED;
    j.scale = 1 / (double)taper__reduce_count(c->args[0].t, &c->args[1]);
    return taper__reduce_device(&j, "mean");
}
static const taper_kernel mean_kernels[] = {{"cpu", TAPER_CPU, NULL, mean_cpu}, {"cuda", TAPER_CUDA, NULL, mean_cuda}, {0}};

static taper_status mean_vjp(taper_vjp *v) {
    taper_scope *s = v->scope;
    const taper_tensor *self = v->args[0].t;
    double n = (double)taper__reduce_count(self, &v->args[1]);
    v->d[0] = taper__reduce_spread(s, vx_div(s, v->grad[0], taper__number(s, n)), self, &v->args[1]);
    return s->status;
}
const taper_op taper_op_mean = {
    .infer = mean_infer,
    .kernels = mean_kernels,
    .vjp = mean_vjp,
    .samples = (const taper_sample[]){{"[2,3]"},
                                      {"[2,3,4], dim=1"},
                                      {"[2,3,4], dim=(0,-1), keepdim=true"},
                                      {"[3]:i64, dtype=float32"},
                                      {"[70,40], dim=0"},
                                      {"[0,3], dim=1"},
                                      {"[3]:i64", .error = "mean(): could not infer output dtype"},
                                      {0}},
};

static taper_status prod_infer(taper_call *c) {
    taper_dtype d = (taper_dtype)c->args[0].t->dtype;
    if (c->args[3].kind == TAPER_ARG_DTYPE) d = c->args[3].dtype;
    else if (!taper_dtype_is_float(d)) d = TAPER_I64;
    return taper__reduce_infer(c, 0, d, &c->args[1], c->args[2].i);
}
static taper_status prod_cpu(taper_call *c) { return taper__reduce_cpu(c, TAPER_REDUCE_PROD, &c->args[1]); }
static taper_status prod_cuda(taper_call *c) { return taper__reduce_cuda(c, TAPER_REDUCE_PROD, &c->args[1]); }
static const taper_kernel prod_kernels[] = {{"cpu", TAPER_CPU, NULL, prod_cpu}, {"cuda", TAPER_CUDA, NULL, prod_cuda}, {0}};

/* The product of the others. One zero leaves a slope for itself only; two leave none. */
static taper_status prod_vjp(taper_vjp *v) {
    taper_scope *s = v->scope;
    taper_tensor *x = v->args[0].t, *zero = tx_eq(s, x, taper__number(s, 0)), *one = taper__number(s, 1);
    int64_t dims[TAPER_MAX_DIMS];
    int n = taper__reduce_dims(dims, x, &v->args[1]);
    taper_tensor *zeros = tx_sum(s, zero, dims, n, true, TAPER_DTYPE_NONE), *filled = tx_where(s, zero, one, x);
    taper_tensor *rest = tx_prod(s, filled, dims, n, true, TAPER_DTYPE_NONE);
    taper_tensor *g = tx_mul(s, taper__reduce_spread(s, v->grad[0], x, &v->args[1]), rest);
    taper_tensor *none = vx_keep(s, tx_eq(s, zeros, taper__number(s, 0)), vx_div(s, g, filled));
    v->d[0] = tx_where(s, tx_logical_and(s, zero, tx_eq(s, zeros, one)), g, vx_drop(s, zero, none));
    return s->status;
}
const taper_op taper_op_prod = {
    .infer = prod_infer,
    .kernels = prod_kernels,
    .vjp = prod_vjp,
    .saves = TAPER_SAVE_ARG(0),
    .samples = (const taper_sample[]){{"[2,3]"},
                                      {"[2,3,4], dim=1"},
                                      {"[2,3,4], dim=-1, keepdim=true"},
                                      {"[4]:i64<5"},
                                      {"[0,3], dim=0"},
                                      {"[3]:i64, dtype=float64"},
                                      {"[2,3], dim=2", .error = "Dimension out of range"},
                                      {0}},
};

static taper_status count_nonzero_infer(taper_call *c) { return taper__reduce_infer(c, 0, TAPER_I64, &c->args[1], false); }
static taper_status count_nonzero_cpu(taper_call *c) { return taper__reduce_cpu(c, TAPER_REDUCE_COUNT, &c->args[1]); }
static taper_status count_nonzero_cuda(taper_call *c) { return taper__reduce_cuda(c, TAPER_REDUCE_COUNT, &c->args[1]); }
static const taper_kernel count_nonzero_kernels[] = {
    {"cpu", TAPER_CPU, NULL, count_nonzero_cpu}, {"cuda", TAPER_CUDA, NULL, count_nonzero_cuda}, {0}};
const taper_op taper_op_count_nonzero = {
    .infer = count_nonzero_infer,
    .kernels = count_nonzero_kernels,
    .samples = (const taper_sample[]){{"[2,3]"}, {"[9]:i64<2"}, {"[4,5]:bool, dim=0"}, {"[4,5]:i64<2, dim=(0,1)"}, {"[0]"}, {"[2], dim=1", .error = "Dimension out of range"}, {0}},
};

/* uint8 keeps its dtype, as in torch. */
static taper_status any_infer(taper_call *c) {
    return taper__reduce_infer(c, 0, c->args[0].t->dtype == TAPER_U8 ? TAPER_U8 : TAPER_BOOL, &c->args[1], c->args[2].i);
}
static taper_status any_cpu(taper_call *c) { return taper__reduce_cpu(c, TAPER_REDUCE_ANY, &c->args[1]); }
static taper_status any_cuda(taper_call *c) { return taper__reduce_cuda(c, TAPER_REDUCE_ANY, &c->args[1]); }
static const taper_kernel any_kernels[] = {{"cpu", TAPER_CPU, NULL, any_cpu}, {"cuda", TAPER_CUDA, NULL, any_cuda}, {0}};
const taper_op taper_op_any = {
    .infer = any_infer,
    .kernels = any_kernels,
    .samples = (const taper_sample[]){{"[2,3]:bool"}, {"[4,3]:i64<2, dim=1"}, {"[4,3], dim=0, keepdim=true"}, {"[5]:u8"}, {"[0]"}, {"[2], dim=1", .error = "Dimension out of range"}, {0}},
};

static taper_status all_cpu(taper_call *c) { return taper__reduce_cpu(c, TAPER_REDUCE_ALL, &c->args[1]); }
static taper_status all_cuda(taper_call *c) { return taper__reduce_cuda(c, TAPER_REDUCE_ALL, &c->args[1]); }
static const taper_kernel all_kernels[] = {{"cpu", TAPER_CPU, NULL, all_cpu}, {"cuda", TAPER_CUDA, NULL, all_cuda}, {0}};
const taper_op taper_op_all = {
    .infer = any_infer,
    .kernels = all_kernels,
    .samples = (const taper_sample[]){{"[2,3]:bool"}, {"[4,3]:i64<2, dim=1"}, {"[4,3], dim=0, keepdim=true"}, {"[5]:u8"}, {"[0]"}, {"[2], dim=1", .error = "Dimension out of range"}, {0}},
};
