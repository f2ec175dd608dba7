/* Largest and smallest values, without their places. NaN wins. */
#include "ops/reduce.h"

#include "ops/vjp_expr.h"

static taper_status amax_infer(taper_call *c) {
    return taper__reduce_infer_filled(c, 0, (taper_dtype)c->args[0].t->dtype, &c->args[1], c->args[2].i);
}
static taper_status amax_cpu(taper_call *c) { return taper__reduce_cpu(c, TAPER_REDUCE_MAX, &c->args[1]); }
static taper_status amax_cuda(taper_call *c) { return taper__reduce_cuda(c, TAPER_REDUCE_MAX, &c->args[1]); }
static taper_status amin_cpu(taper_call *c) { return taper__reduce_cpu(c, TAPER_REDUCE_MIN, &c->args[1]); }
static taper_status amin_cuda(taper_call *c) { return taper__reduce_cuda(c, TAPER_REDUCE_MIN, &c->args[1]); }
static const taper_kernel amax_kernels[] = {{"cpu", TAPER_CPU, NULL, amax_cpu}, {"cuda", TAPER_CUDA, NULL, amax_cuda}, {0}};
static const taper_kernel amin_kernels[] = {{"cpu", TAPER_CPU, NULL, amin_cpu}, {"cuda", TAPER_CUDA, NULL, amin_cuda}, {0}};

/* Equals share the gradient. */
static taper_tensor *extreme_share(taper_vjp *v, const taper_arg *dims) {
    taper_scope *s = v->scope;
    taper_tensor *self = v->args[0].t, *best = taper__reduce_restore(s, v->out[0], self, dims);
    int64_t list[TAPER_MAX_DIMS];
    int n = taper__reduce_dims(list, self, dims);
    taper_tensor *equal = tx_eq(s, self, best);
    taper_tensor *g = vx_div(s, taper__reduce_restore(s, v->grad[0], self, dims), tx_sum(s, equal, list, n, true, TAPER_DTYPE_NONE));
    return tx_mul(s, g, equal);
}
static taper_status amax_vjp(taper_vjp *v) {
    v->d[0] = extreme_share(v, &v->args[1]);
    return v->scope->status;
}

#define EXTREME_SAMPLES                                                                                                \
    {"[2,3]"}, {"[2,3,4], dim=1"}, {"[2,3,4], dim=(0,-1), keepdim=true"}, {"[9]:i64"}, {"[5]:bool"}, {"[40,70], dim=0"}, \
        {"[3,5000], dim=1"}, {"[3,50257], dim=1", .large = true}, {"[70,4096], dim=0", .large = true}, {"[0,3], dim=1"}, \
        {"[2,3], dim=2", .error = "Dimension out of range"}, {0}

const taper_op taper_op_amax = {
    .infer = amax_infer,
    .kernels = amax_kernels,
    .vjp = amax_vjp,
    .saves = TAPER_SAVE_ARG(0) | TAPER_SAVE_OUT(0),
    .samples = (const taper_sample[]){EXTREME_SAMPLES},
};
const taper_op taper_op_amin = {
    .infer = amax_infer,
    .kernels = amin_kernels,
    .vjp = amax_vjp,
    .saves = TAPER_SAVE_ARG(0) | TAPER_SAVE_OUT(0),
    .samples = (const taper_sample[]){EXTREME_SAMPLES},
};

/* max and min of everything: no dim argument. */
static const taper_arg extreme_all = {.kind = TAPER_ARG_NONE};

static taper_status max_infer(taper_call *c) {
    return taper__reduce_infer_filled(c, 0, (taper_dtype)c->args[0].t->dtype, &extreme_all, false);
}
static taper_status max_cpu(taper_call *c) { return taper__reduce_cpu(c, TAPER_REDUCE_MAX, &extreme_all); }
static taper_status max_cuda(taper_call *c) { return taper__reduce_cuda(c, TAPER_REDUCE_MAX, &extreme_all); }
static taper_status min_cpu(taper_call *c) { return taper__reduce_cpu(c, TAPER_REDUCE_MIN, &extreme_all); }
static taper_status min_cuda(taper_call *c) { return taper__reduce_cuda(c, TAPER_REDUCE_MIN, &extreme_all); }
static const taper_kernel max_kernels[] = {{"cpu", TAPER_CPU, NULL, max_cpu}, {"cuda", TAPER_CUDA, NULL, max_cuda}, {0}};
static const taper_kernel min_kernels[] = {{"cpu", TAPER_CPU, NULL, min_cpu}, {"cuda", TAPER_CUDA, NULL, min_cuda}, {0}};
static taper_status max_vjp(taper_vjp *v) {
    v->d[0] = extreme_share(v, &extreme_all);
    return v->scope->status;
}

#define EXTREME_ALL_SAMPLES                                                                                            \
    {"[2,3]"}, {"[9]:i64"}, {"[]"}, {"[3,5000]"}, {"[0]", .error = "Expected reduction dim to be specified for input.numel() == 0"}, {0}

const taper_op taper_op_max = {
    .infer = max_infer,
    .kernels = max_kernels,
    .vjp = max_vjp,
    .saves = TAPER_SAVE_ARG(0) | TAPER_SAVE_OUT(0),
    .grad_name = "MaxBackward1",
    .samples = (const taper_sample[]){EXTREME_ALL_SAMPLES},
};
const taper_op taper_op_min = {
    .infer = max_infer,
    .kernels = min_kernels,
    .vjp = max_vjp,
    .saves = TAPER_SAVE_ARG(0) | TAPER_SAVE_OUT(0),
    .grad_name = "MinBackward1",
    .samples = (const taper_sample[]){EXTREME_ALL_SAMPLES},
};

static taper_status max_other_compose(taper_call *c, taper_scope *s) {
    c->out[0] = taper_scope_keep(s, tx_maximum(s, c->args[0].t, c->args[1].t));
    c->nout = 1;
    return s->status;
}
static taper_status min_other_compose(taper_call *c, taper_scope *s) {
    c->out[0] = taper_scope_keep(s, tx_minimum(s, c->args[0].t, c->args[1].t));
    c->nout = 1;
    return s->status;
}
#define EXTREME_OTHER_SAMPLES                                                                                          \
    {"[2,3], [2,3]"}, {"[2,3], [3]"}, {"[4]:i64, [4]:i64"}, {"[0], [0]"}, {"[2], [3]", .error = "must match the size"}, {0}
const taper_op taper_op_max_other = {.compose = max_other_compose, .samples = (const taper_sample[]){EXTREME_OTHER_SAMPLES}};
const taper_op taper_op_min_other = {.compose = min_other_compose, .samples = (const taper_sample[]){EXTREME_OTHER_SAMPLES}};

static taper_status aminmax_compose(taper_call *c, taper_scope *s) {
    const int64_t *dim = c->args[1].kind == TAPER_ARG_INT ? &c->args[1].i : NULL;
    taper_tensor *self = c->args[0].t;
    c->out[0] = taper_scope_keep(s, tx_amin(s, self, dim, dim ? 1 : 0, c->args[2].i));
    c->out[1] = taper_scope_keep(s, tx_amax(s, self, dim, dim ? 1 : 0, c->args[2].i));
    c->nout = 2;
    return s->status;
}
const taper_op taper_op_aminmax = {
    .compose = aminmax_compose,
    .samples = (const taper_sample[]){{"[2,3]"}, {"[2,3], dim=1"}, {"[2,3], dim=0, keepdim=true"}, {"[9]:i64"}, {"[0]", .error = "Expected reduction dim"}, {0}},
};
