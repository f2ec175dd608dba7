/* Norms, and logsumexp, which is one too. */
#include <math.h>

#include "ops/reduce_cuda.h"
#include "ops/vjp_expr.h"

/* linalg_vector_norm(self, ord, dim, keepdim, dtype) */
static taper_status vector_norm_infer(taper_call *c) {
    const taper_tensor *self = c->args[0].t;
    taper_dtype dtype = c->args[4].kind == TAPER_ARG_DTYPE ? c->args[4].dtype : (taper_dtype)self->dtype;
    if (!taper_dtype_is_float((taper_dtype)self->dtype))
        return TAPER_FAIL(TAPER_RUNTIME, "linalg.vector_norm: Expected a floating point or complex tensor as input. Got %s",
                          taper_dtype_typename((taper_dtype)self->dtype));
    if (!taper_dtype_is_float(dtype))
        return TAPER_FAIL(TAPER_RUNTIME, "linalg.vector_norm: dtype should be floating point or complex. Got %s", taper_dtype_typename(dtype));
    double p = taper_arg_double(&c->args[1]);
    if (p < 0 || p == INFINITY) return taper__reduce_infer_filled(c, 0, dtype, &c->args[2], c->args[3].i);
    return taper__reduce_infer(c, 0, dtype, &c->args[2], c->args[3].i);
}

static double norm_root(double folded, int64_t n, double m, double p) {
    (void)n, (void)m, (void)p;
    return sqrt(folded);
}
static double norm_power(double folded, int64_t n, double m, double p) {
    (void)n, (void)m;
    return pow(folded, 1 / p);
}
static taper_status vector_norm_cpu(taper_call *c) {
    const taper_tensor *in = c->args[0].t;
    double p = taper_arg_double(&c->args[1]);
    taper_reduction r = {.in = in, .out = c->out[0], .p = p};
    r.dtype = taper_dtype_promote((taper_dtype)in->dtype, (taper_dtype)c->out[0]->dtype);
    r.kind = p == 0 ? TAPER_REDUCE_COUNT : p == 1 ? TAPER_REDUCE_SUM_ABS : p == 2 ? TAPER_REDUCE_SUM_SQUARE
             : p == INFINITY ? TAPER_REDUCE_MAX_ABS : p == -INFINITY ? TAPER_REDUCE_MIN_ABS : TAPER_REDUCE_SUM_POWER;
    r.finish = p == 2 ? norm_root : r.kind == TAPER_REDUCE_SUM_POWER ? norm_power : NULL;
    TAPER_TRY(taper__dim_mask(&r.mask, &c->args[2], in->ndim, "linalg.vector_norm"));
    return taper__reduce(&r, "linalg.vector_norm");
}
static taper_status vector_norm_cuda(taper_call *c) {
    taper_reduce_job j;
    double p = taper_arg_double(&c->args[1]);
    TAPER_TRY(taper__reduce_job(&j, c, TAPER_RED_sum_power, &c->args[2]));
    if (p == 0) j.row = TAPER_RED_count;
    else if (p == 1) j.row = TAPER_RED_sum_abs;
    else if (p == INFINITY) j.row = TAPER_RED_max_abs;
    else if (p == -INFINITY) j.row = TAPER_RED_max_abs, j.finish = TAPER_RED_FLIPPED;
    else if (p == 2) j.row = TAPER_RED_sum_square, j.finish = TAPER_RED_ROOT;
    else j.finish = TAPER_RED_POWER, j.p = p, j.scale = 1 / p;
    return taper__reduce_device(&j, "linalg.vector_norm");
}
static const taper_kernel vector_norm_kernels[] = {{"cpu", TAPER_CPU, NULL, vector_norm_cpu}, {"cuda", TAPER_CUDA, NULL, vector_norm_cuda}, {0}};

/* At 0 the subgradient 0 is taken. */
static taper_status vector_norm_vjp(taper_vjp *v) {
    taper_scope *s = v->scope;
    taper_tensor *x = v->args[0].t, *zero = taper__number(s, 0);
    double p = taper_arg_double(&v->args[1]);
    if (p == 0) {
        v->d[0] = taper__zeros_like(s, x);
        return s->status;
    }
    taper_tensor *norm = taper__reduce_restore(s, v->out[0], x, &v->args[2]), *g = taper__reduce_restore(s, v->grad[0], x, &v->args[2]);
    taper_tensor *flat = tx_eq(s, norm, zero), *divisor = tx_where(s, flat, taper__number(s, 1), norm);
    if (p == 1) {
        v->d[0] = tx_mul(s, g, tx_sgn(s, x));
    } else if (p == 2) {
        v->d[0] = tx_mul(s, x, vx_drop(s, flat, vx_div(s, g, divisor)));
    } else if (p == INFINITY || p == -INFINITY) {
        int64_t dims[TAPER_MAX_DIMS];
        int n = taper__reduce_dims(dims, x, &v->args[2]);
        taper_tensor *equal = tx_eq(s, tx_abs(s, x), norm);
        taper_tensor *share = vx_div(s, g, tx_sum(s, equal, dims, n, true, TAPER_DTYPE_NONE));
        v->d[0] = tx_mul(s, tx_mul(s, tx_sgn(s, x), equal), share);
    } else { /* x |x|^(p-2) g / norm^(p-1) */
        taper_tensor *a = tx_abs(s, x), *slope = tx_mul(s, tx_sgn(s, x), tx_pow(s, a, taper__number(s, p - 1)));
        if (p < 1) slope = vx_drop(s, tx_eq(s, x, zero), slope);
        taper_tensor *scale = vx_drop(s, flat, vx_div(s, g, tx_pow(s, divisor, taper__number(s, p - 1))));
        v->d[0] = tx_mul(s, slope, scale);
    }
    if (v->d[0] && v->d[0]->dtype != x->dtype) v->d[0] = tx_to(s, v->d[0], NULL, (taper_dtype)x->dtype, false, false);
    return s->status;
}
const taper_op taper_op_linalg_vector_norm = {
    .infer = vector_norm_infer,
    .kernels = vector_norm_kernels,
    .vjp = vector_norm_vjp,
    .saves = TAPER_SAVE_ARG(0) | TAPER_SAVE_OUT(0),
    .samples = (const taper_sample[]){{"[2,3]"},
                                      {"[3,50257], 2, dim=1", .large = true},
                                      {"[70,4096], 2, dim=0", .large = true},
                                      {"[2,3,4], 1, dim=1"},
                                      {"[2,3,4], inf, dim=(0,-1), keepdim=true"},
                                      {"[2,3], -inf"},
                                      {"[2,3], 3, dim=0"},
                                      {"[2,3]:pos, 0.5"},
                                      {"[2,3], 0"},
                                      {"[3]:f32, 2, dtype=float64"},
                                      {"[0,3], dim=0"},
                                      {"[3]:i64", .error = "Expected a floating point or complex tensor as input"},
                                      {"[2,3], dim=2", .error = "Dimension out of range"},
                                      {0}},
};

static taper_status norm_compose(taper_call *c, taper_scope *s) {
    taper_scalar p = c->args[1].kind == TAPER_ARG_NONE ? taper_int(2) : taper_arg_scalar(&c->args[1]);
    const taper_arg *dim = &c->args[2];
    bool list = dim->kind == TAPER_ARG_INTS;
    taper_dtype dtype = c->args[4].kind == TAPER_ARG_DTYPE ? c->args[4].dtype : TAPER_DTYPE_NONE;
    c->out[0] = taper_scope_keep(s, tx_linalg_vector_norm(s, c->args[0].t, p, list ? dim->is : NULL, list ? dim->count : 0, c->args[3].i, dtype));
    c->nout = 1;
    return s->status;
}
const taper_op taper_op_norm = {
    .compose = norm_compose,
    .samples = (const taper_sample[]){{"[2,3]"}, {"[2,3], 1"}, {"[2,3,4], 2, dim=1, keepdim=true"}, {"[3]:i64", .error = "Expected a floating point"}, {0}},
};

static taper_status dist_compose(taper_call *c, taper_scope *s) {
    taper_tensor *d = tx_sub(s, c->args[0].t, c->args[1].t, taper_int(1));
    c->out[0] = taper_scope_keep(s, tx_linalg_vector_norm(s, d, taper_arg_scalar(&c->args[2]), NULL, 0, false, TAPER_DTYPE_NONE));
    c->nout = 1;
    return s->status;
}
const taper_op taper_op_dist = {
    .compose = dist_compose,
    .samples = (const taper_sample[]){{"[2,3], [2,3]"}, {"[2,3], [3], 1"}, {"[2,3], [2,3], 3"}, {"[2], [3]", .error = "must match the size"}, {0}},
};

static taper_status logsumexp_infer(taper_call *c) {
    taper_dtype d = (taper_dtype)c->args[0].t->dtype;
    return taper__reduce_infer(c, 0, taper_dtype_is_float(d) ? d : taper_default_dtype(), &c->args[1], c->args[2].i);
}
static double logsumexp_finish(double folded, int64_t n, double m, double p) {
    (void)n, (void)p;
    return log(folded) + m;
}
static taper_status logsumexp_cpu(taper_call *c) {
    const taper_tensor *in = c->args[0].t;
    int64_t n = c->out[0]->numel;
    if (!n) return TAPER_OK;
    double *most = taper__alloc((size_t)n * sizeof *most);
    if (!most) return TAPER_FAIL(TAPER_MEMORY, "logsumexp: no memory for %lld maxima", (long long)n);
    taper_reduction r = {.kind = TAPER_REDUCE_MAX, .in = in, .dtype = (taper_dtype)c->out[0]->dtype, .folded = most};
    taper_status st = taper__dim_mask(&r.mask, &c->args[1], in->ndim, "logsumexp");
    TAPER_TRY_GOTO(st);
    TAPER_TRY_GOTO(taper__reduce(&r, "logsumexp"));
    for (int64_t i = 0; i < n; i++)
        if (isinf(most[i])) most[i] = 0; /* the sum itself is 0 or infinite then */
    r = (taper_reduction){.kind = TAPER_REDUCE_SUM_EXP, .in = in, .mask = r.mask, .dtype = r.dtype, .out = c->out[0], .m = most, .finish = logsumexp_finish};
    TAPER_TRY_GOTO(taper__reduce(&r, "logsumexp"));
out:
    taper__free(most);
    return st;
}
static taper_status logsumexp_cuda(taper_call *c) {
    taper_reduce_job j;
    TAPER_TRY(taper__reduce_job(&j, c, TAPER_RED_lse, &c->args[1]));
    return taper__reduce_device(&j, "logsumexp");
}
static const taper_kernel logsumexp_kernels[] = {{"cpu", TAPER_CPU, NULL, logsumexp_cpu}, {"cuda", TAPER_CUDA, NULL, logsumexp_cuda}, {0}};

static taper_status logsumexp_vjp(taper_vjp *v) {
    taper_scope *s = v->scope;
    taper_tensor *x = v->args[0].t;
    taper_tensor *all = taper__reduce_restore(s, v->out[0], x, &v->args[1]), *g = taper__reduce_restore(s, v->grad[0], x, &v->args[1]);
    taper_tensor *away = vx_sub(s, x, vx_drop(s, tx_isinf(s, all), all));
    v->d[0] = tx_mul(s, g, tx_exp(s, away));
    return s->status;
}
const taper_op taper_op_logsumexp = {
    .infer = logsumexp_infer,
    .kernels = logsumexp_kernels,
    .vjp = logsumexp_vjp,
    .saves = TAPER_SAVE_ARG(0) | TAPER_SAVE_OUT(0),
    .samples = (const taper_sample[]){{"[2,3], 1"},
                                      {"[2,3,4], (0,2), keepdim=true"},
                                      {"[40,70], 0"},
                                      {"[300,1024], 1", .large = true},
                                      {"[3,50257], 1", .large = true},
                                      {"[70,4096], 0", .large = true},
                                      {"[5]:i64, 0"},
                                      {"[0,3], 1"},
                                      {"[2,3], 2", .error = "Dimension out of range"},
                                      {0}},
};
