/* Choosing between operands: where, masked_fill, maximum and minimum, clamp. */
#include <math.h>

#include "ops/pointwise_loops.h"
#include "ops/vjp_expr.h"

static taper_status where_infer(taper_call *c) {
    taper_tensor *ts[2];
    int n = 0;
    const taper_tensor *condition = TAPER_ARG_T(c, 0);
    if (!condition) return TAPER_FAIL(TAPER_TYPE, "where: the condition must be a tensor");
    if (condition->dtype != TAPER_BOOL && condition->dtype != TAPER_U8)
        return TAPER_FAIL(TAPER_RUNTIME, "where expected condition to be a boolean tensor, but got a tensor with dtype %s",
                          taper_dtype_typename((taper_dtype)condition->dtype));
    for (int k = 1; k < 3; k++)
        if (c->args[k].kind == TAPER_ARG_TENSOR) ts[n++] = c->args[k].t;
    return taper__pointwise_shape(c, 3, taper__result_dtype(ts, n, &c->args[1], 2));
}
static taper_status where_run(taper_call *c) { return taper__pointwise(c, 3, TAPER_PW_SAME, TAPER_LOOP(where)); }
TAPER_POINTWISE_KERNELS(where);

static taper_status where_vjp(taper_vjp *v) {
    taper_scope *s = v->scope;
    if (v->need[1]) v->d[1] = taper__sum_to(s, vx_keep(s, v->args[0].t, v->grad[0]), v->args[1].t);
    if (v->need[2]) v->d[2] = taper__sum_to(s, vx_drop(s, v->args[0].t, v->grad[0]), v->args[2].t);
    return s->status;
}
TAPER_POINTWISE_OP(where, where_vjp, TAPER_SAVE_SELF, {"[2,3]:bool, [2,3], [2,3]"}, {"[3]:bool, [2,1], 0"}, {"[4]:bool, 1.5, 2"},
                   {"[4]:bool, [4]:i64, [4]"}, {"[4]:bool, [4]:i64, [4]:i32"}, {"[0]:bool, [0], [0]"},
                   {"[3]:i64, [3], [3]", .error = "where expected condition to be a boolean tensor, but got a tensor with dtype Long"});

static taper_status masked_fill_infer(taper_call *c) {
    const taper_tensor *self = c->args[0].t, *mask = TAPER_ARG_T(c, 1), *value = TAPER_ARG_T(c, 2);
    if (!mask) return TAPER_FAIL(TAPER_TYPE, "masked_fill: the mask must be a tensor");
    if (mask->dtype != TAPER_BOOL)
        return TAPER_FAIL(TAPER_RUNTIME, "masked_fill only supports boolean masks, but got mask with dtype %s",
                          taper_dtype_name((taper_dtype)mask->dtype));
    if (value && value->ndim)
        return TAPER_FAIL(TAPER_RUNTIME, "masked_fill only supports a 0-dimensional value tensor, but got tensor with %d dimension(s).",
                          value->ndim);
    return taper__pointwise_shape(c, 3, (taper_dtype)self->dtype);
}
static taper_status masked_fill_run(taper_call *c) { /* the value takes the dtype of self before the loop picks its own */
    taper_call d = taper__pointwise_call(c, 3);
    if (c->args[2].kind == TAPER_ARG_FLOAT && !taper_dtype_is_float((taper_dtype)c->out[0]->dtype))
        d.args[2] = (taper_arg){.kind = TAPER_ARG_INT, .i = (int64_t)c->args[2].f};
    return taper__pointwise(&d, 3, TAPER_PW_SAME, TAPER_LOOP(masked_fill));
}
TAPER_POINTWISE_KERNELS(masked_fill);

static taper_status masked_fill_vjp(taper_vjp *v) {
    taper_scope *s = v->scope;
    if (v->need[0]) v->d[0] = taper__sum_to(s, vx_drop(s, v->args[1].t, v->grad[0]), v->args[0].t);
    if (v->need[2]) v->d[2] = taper__sum_to(s, vx_keep(s, v->args[1].t, v->grad[0]), v->args[2].t);
    return s->status;
}
TAPER_POINTWISE_OP(masked_fill, masked_fill_vjp, TAPER_SAVE_OTHER, {"[2,3], [2,3]:bool, -1.5"}, {"[2,3], [3]:bool, []"},
                   {"[4]:i64, [4]:bool, 7"}, {"[0], [0]:bool, 1"}, {"[3], [3]:i64, 1", .error = "only supports boolean masks"},
                   {"[3], [3]:bool, [3]", .error = "only supports a 0-dimensional value tensor"});

TAPER_POINTWISE(maximum, 2, SAME);

static taper_status maximum_vjp(taper_vjp *v) {
    taper_scope *s = v->scope;
    taper_tensor *g = v->grad[0];
    for (int k = 0; k < 2; k++)
        if (v->need[k]) v->d[k] = taper__sum_to(s, tx_maximum_backward(s, g, taper__operand(v, k), taper__operand(v, 1 - k)), v->args[k].t);
    return s->status;
}
TAPER_POINTWISE_OP(maximum, maximum_vjp, TAPER_SAVE_BOTH, {"[2,3], [2,3]"}, {"[2,3], [3]"}, {"[4]:i64, [4]:i64"}, {"[4]:bool, [4]:bool"},
                   {"[0], [0]"}, {"[2], [3]", .error = "must match the size"});

TAPER_POINTWISE(minimum, 2, SAME);

static taper_status minimum_vjp(taper_vjp *v) {
    taper_scope *s = v->scope;
    taper_tensor *g = v->grad[0];
    for (int k = 0; k < 2; k++)
        if (v->need[k]) /* -max(-a, -b): the roles change */
            v->d[k] = taper__sum_to(s, tx_maximum_backward(s, g, taper__operand(v, 1 - k), taper__operand(v, k)), v->args[k].t);
    return s->status;
}
TAPER_POINTWISE_OP(minimum, minimum_vjp, TAPER_SAVE_BOTH, {"[2,3], [2,3]"}, {"[2,3], [3]"}, {"[4]:i64, [4]:i64"}, {"[4]:bool, [4]:bool"},
                   {"[0], [0]"}, {"[2], [3]", .error = "must match the size"});

TAPER_POINTWISE(maximum_backward, 3, SAME);

static taper_status maximum_backward_vjp(taper_vjp *v) {
    taper_scope *s = v->scope;
    if (v->need[0])
        v->d[0] = taper__sum_to(s, tx_maximum_backward(s, v->grad[0], taper__operand(v, 1), taper__operand(v, 2)), v->args[0].t);
    for (int k = 1; k < 3; k++)
        if (v->need[k]) v->d[k] = taper__zeros_like(s, v->args[k].t);
    return s->status;
}
TAPER_POINTWISE_OP(maximum_backward, maximum_backward_vjp, TAPER_SAVE_ARG(1) | TAPER_SAVE_ARG(2), {"[5], [5], [5]"},
                   {"[2,3], [3], [2,1]"}, {"[5], [5]:f32, 0.5"}, {"[0], [0], [0]"});

/* The one that was taken gets all of it; of equals, self. */
static taper_status select_taken_vjp(taper_vjp *v, bool larger) {
    taper_scope *s = v->scope;
    taper_tensor *a = taper__operand(v, 0), *b = taper__operand(v, 1), *g = v->grad[0];
    taper_tensor *first = tx_logical_or(s, larger ? tx_ge(s, a, b) : tx_le(s, a, b), tx_ne(s, b, b));
    if (v->need[0]) v->d[0] = taper__sum_to(s, vx_keep(s, first, g), v->args[0].t);
    if (v->need[1]) v->d[1] = taper__sum_to(s, vx_drop(s, first, g), v->args[1].t);
    return s->status;
}
static taper_status fmax_vjp(taper_vjp *v) { return select_taken_vjp(v, true); }
static taper_status fmin_vjp(taper_vjp *v) { return select_taken_vjp(v, false); }

TAPER_POINTWISE(fmax, 2, SAME);
TAPER_POINTWISE_OP(fmax, fmax_vjp, TAPER_SAVE_BOTH, {"[2,3], [2,3]"}, {"[2,3], [3]"}, {"[4]:i64, [4]:i64"}, {"[0], [0]"});
TAPER_POINTWISE(fmin, 2, SAME);
TAPER_POINTWISE_OP(fmin, fmin_vjp, TAPER_SAVE_BOTH, {"[2,3], [2,3]"}, {"[2,3], [3]"}, {"[4]:i64, [4]:i64"}, {"[0], [0]"});

/* clamp: a missing limit leaves maximum or minimum; numbers stay operands, exact for integers. */
static taper_status clamp_infer(taper_call *c) {
    if (c->args[1].kind == TAPER_ARG_NONE && c->args[2].kind == TAPER_ARG_NONE)
        return TAPER_FAIL(TAPER_RUNTIME, "torch.clamp: At least one of 'min' or 'max' must not be None");
    return taper__pointwise_infer(c, 3, TAPER_PW_SAME);
}
static taper_status clamp_run(taper_call *c) {
    taper_call d = taper__pointwise_call(c, 2);
    if (c->args[2].kind == TAPER_ARG_NONE) return taper__pointwise(&d, 2, TAPER_PW_SAME, TAPER_LOOP(maximum));
    if (c->args[1].kind != TAPER_ARG_NONE) return taper__pointwise(c, 3, TAPER_PW_SAME, TAPER_LOOP(clamp));
    d.args[1] = c->args[2];
    return taper__pointwise(&d, 2, TAPER_PW_SAME, TAPER_LOOP(minimum));
}
TAPER_POINTWISE_KERNELS(clamp);

static const taper_scalar *select_limit(const taper_arg *a, taper_scalar *room) {
    if (a->kind == TAPER_ARG_NONE) return NULL;
    *room = taper_arg_scalar(a);
    return room;
}
static taper_status clamp_vjp(taper_vjp *v) {
    taper_scalar low, high;
    v->d[0] = tx_clamp_backward(v->scope, v->grad[0], v->args[0].t, select_limit(&v->args[1], &low), select_limit(&v->args[2], &high));
    return v->scope->status;
}
TAPER_POINTWISE_OP(clamp, clamp_vjp, TAPER_SAVE_SELF, {"[2,3], -0.5, 0.5"}, {"[2,3], min=0.1"}, {"[2,3], max=-0.2"}, {"[9]:i64, -2, 3"},
                   {"[9]:i64, min=0.5"}, {"[5], 1, -1"}, {"[0], 0, 1"}, {"[3]", .error = "At least one of 'min' or 'max' must not be None"});

static taper_status clamp_backward_infer(taper_call *c) { return taper__pointwise_infer(c, 2, TAPER_PW_SAME); }
static taper_status clamp_backward_run(taper_call *c) {
    taper_call d = taper__pointwise_call(c, 4);
    for (int k = 2; k < 4; k++)
        if (c->args[k].kind == TAPER_ARG_NONE) d.args[k] = taper__arg_number(k == 2 ? -INFINITY : INFINITY);
    return taper__pointwise(&d, 2, TAPER_PW_SAME, TAPER_LOOP(clamp_backward));
}
TAPER_POINTWISE_KERNELS(clamp_backward);
static taper_status clamp_backward_vjp(taper_vjp *v) {
    taper_scalar low, high;
    const taper_scalar *min = select_limit(&v->args[2], &low), *max = select_limit(&v->args[3], &high);
    if (v->need[0]) v->d[0] = tx_clamp_backward(v->scope, v->grad[0], v->args[1].t, min, max);
    if (v->need[1]) v->d[1] = taper__zeros_like(v->scope, v->args[1].t);
    return v->scope->status;
}
TAPER_POINTWISE_OP(clamp_backward, clamp_backward_vjp, TAPER_SAVE_OTHER, {"[5], [5], -0.5, 0.5"}, {"[5], [5], max=0.1"}, {"[0], [0], 0"});

#define clamp_tensor_infer clamp_infer
#define clamp_tensor_kernels clamp_kernels
static taper_status clamp_tensor_vjp(taper_vjp *v) {
    taper_scope *s = v->scope;
    taper_tensor *x = v->args[0].t, *g = v->grad[0];
    taper_tensor *low = v->args[1].kind == TAPER_ARG_NONE ? NULL : taper__operand(v, 1);
    taper_tensor *high = v->args[2].kind == TAPER_ARG_NONE ? NULL : taper__operand(v, 2);
    taper_tensor *above = high ? tx_gt(s, x, high) : NULL, *below = low ? tx_lt(s, x, low) : NULL;
    taper_tensor *crossed = low && high ? tx_gt(s, low, high) : NULL;
    if (v->need[0]) {
        taper_tensor *d = below ? vx_drop(s, below, g) : g;
        v->d[0] = taper__sum_to(s, above ? vx_drop(s, above, d) : d, x);
    }
    if (v->need[1]) {
        taper_tensor *d = vx_keep(s, below, g);
        v->d[1] = taper__sum_to(s, crossed ? vx_drop(s, crossed, d) : d, v->args[1].t);
    }
    if (v->need[2]) v->d[2] = taper__sum_to(s, vx_keep(s, crossed ? tx_logical_or(s, above, crossed) : above, g), v->args[2].t);
    return s->status;
}
TAPER_POINTWISE_OP(clamp_tensor, clamp_tensor_vjp, TAPER_SAVE_BOTH | TAPER_SAVE_ARG(2), {"[2,3], [3], [2,1]"}, {"[2,3], min=[3]"},
                   {"[2,3], max=[3]"}, {"[4]:i64, [4]:i64, [4]:i64"}, {"[0], [0], [0]"},
                   {"[3]", .error = "At least one of 'min' or 'max' must not be None"});

static taper_status clamp_min_infer(taper_call *c) { return taper__pointwise_infer(c, 2, TAPER_PW_SAME); }
static taper_status clamp_min_run(taper_call *c) { return taper__pointwise(c, 2, TAPER_PW_SAME, TAPER_LOOP(maximum)); }
TAPER_POINTWISE_KERNELS(clamp_min);
static taper_status clamp_min_vjp(taper_vjp *v) { return select_taken_vjp(v, true); }
TAPER_POINTWISE_OP(clamp_min, clamp_min_vjp, TAPER_SAVE_BOTH, {"[2,3], 0.1"}, {"[2,3], [3]"}, {"[9]:i64, 2"}, {"[0], 0"});

#define clamp_max_infer clamp_min_infer
static taper_status clamp_max_run(taper_call *c) { return taper__pointwise(c, 2, TAPER_PW_SAME, TAPER_LOOP(minimum)); }
TAPER_POINTWISE_KERNELS(clamp_max);
static taper_status clamp_max_vjp(taper_vjp *v) { return select_taken_vjp(v, false); }
TAPER_POINTWISE_OP(clamp_max, clamp_max_vjp, TAPER_SAVE_BOTH, {"[2,3], 0.1"}, {"[2,3], [3]"}, {"[9]:i64, 2"}, {"[0], 0"});

TAPER_POINTWISE(copysign, 2, FLOAT);

static taper_status copysign_vjp(taper_vjp *v) {
    taper_scope *s = v->scope;
    if (v->need[0]) {
        taper_tensor *x = v->args[0].t, *flips = vx_div(s, v->out[0], x);
        v->d[0] = taper__sum_to(s, tx_mul(s, v->grad[0], vx_drop(s, tx_eq(s, x, taper__number(s, 0)), flips)), x);
    }
    if (v->need[1]) v->d[1] = taper__zeros_like(s, v->args[1].t);
    return s->status;
}
TAPER_POINTWISE_OP(copysign, copysign_vjp, TAPER_SAVE_SELF | TAPER_SAVE_RESULT, {"[2,3], [2,3]"}, {"[2,3], [3]"}, {"[4], -2"},
                   {"[4]:i64, [4]"}, {"[0], 1"});

static double select_largest(taper_dtype dtype) {
    return dtype == TAPER_F64 ? 1.7976931348623157e308 : dtype == TAPER_F16 ? 65504 : dtype == TAPER_BF16 ? 3.3895313892515355e38 : 3.4028234663852886e38;
}
static taper_status nan_to_num_infer(taper_call *c) { return taper__pointwise_infer(c, 1, TAPER_PW_SAME); }
static taper_status nan_to_num_run(taper_call *c) {
    taper_call d = taper__pointwise_call(c, 4);
    double largest = select_largest((taper_dtype)c->out[0]->dtype), defaults[3] = {0, largest, -largest};
    for (int k = 1; k < 4; k++) {
        bool given = c->args[k].kind != TAPER_ARG_NONE && taper_dtype_is_float((taper_dtype)c->out[0]->dtype);
        d.args[k] = taper__arg_number(given ? taper_arg_double(&c->args[k]) : taper_dtype_is_float((taper_dtype)c->out[0]->dtype) ? defaults[k - 1] : 0);
    }
    return taper__pointwise(&d, 1, TAPER_PW_SAME, TAPER_LOOP(nan_to_num));
}
TAPER_POINTWISE_KERNELS(nan_to_num);
static taper_status nan_to_num_vjp(taper_vjp *v) {
    v->d[0] = vx_keep(v->scope, tx_isfinite(v->scope, v->args[0].t), v->grad[0]);
    return v->scope->status;
}
TAPER_POINTWISE_OP(nan_to_num, nan_to_num_vjp, TAPER_SAVE_SELF, {"[2,3]"}, {"[3], 1.0, 2.0, 3.0"}, {"[3]:i64"}, {"[0]"});
