/* Activations with an exponential in them, and relu. Each has its gradient as an operator, which has one in turn. */
#include "ops/pointwise_loops.h"
#include "ops/vjp_expr.h"

static taper_status relu_infer(taper_call *c) {
    if (c->args[0].t->dtype == TAPER_BOOL) return TAPER_FAIL(TAPER_RUNTIME, "Boolean inputs not supported for relu");
    return taper__pointwise_infer(c, 1, TAPER_PW_SAME);
}
static taper_status relu_run(taper_call *c) { return taper__pointwise(c, 1, TAPER_PW_SAME, TAPER_LOOP(relu)); }
TAPER_POINTWISE_KERNELS(relu);

static taper_status relu_vjp(taper_vjp *v) {
    v->d[0] = tx_threshold_backward(v->scope, v->grad[0], v->out[0], taper_int(0));
    return v->scope->status;
}
TAPER_POINTWISE_OP(relu, relu_vjp, TAPER_SAVE_RESULT, {"[2,3]"}, {"[9]:i64"}, {"[0]"}, {"[2]:bool", .error = "Boolean inputs not supported"});

TAPER_POINTWISE(threshold, 1, SAME);

static taper_status threshold_vjp(taper_vjp *v) {
    v->d[0] = tx_threshold_backward(v->scope, v->grad[0], v->args[0].t, taper_arg_scalar(&v->args[1]));
    return v->scope->status;
}
TAPER_POINTWISE_OP(threshold, threshold_vjp, TAPER_SAVE_SELF, {"[2,3], 0.1, -2"}, {"[9]:i64, 2, 7"}, {"[0], 0, 0"});

TAPER_POINTWISE(threshold_backward, 2, SAME);

static taper_status threshold_backward_vjp(taper_vjp *v) {
    taper_scope *s = v->scope;
    if (v->need[0]) v->d[0] = tx_threshold_backward(s, v->grad[0], v->args[1].t, taper_arg_scalar(&v->args[2]));
    if (v->need[1]) v->d[1] = taper__zeros_like(s, v->args[1].t);
    return s->status;
}
TAPER_POINTWISE_OP(threshold_backward, threshold_backward_vjp, TAPER_SAVE_OTHER, {"[2,3], [2,3], 0"}, {"[0], [0], 0"});

TAPER_POINTWISE(sigmoid, 1, FLOAT);

static taper_status sigmoid_vjp(taper_vjp *v) {
    v->d[0] = tx_sigmoid_backward(v->scope, v->grad[0], v->out[0]);
    return v->scope->status;
}
TAPER_POINTWISE_OP(sigmoid, sigmoid_vjp, TAPER_SAVE_RESULT, {"[2,3]"}, {"[9]:i64"}, {"[0]"});

TAPER_POINTWISE(sigmoid_backward, 2, FLOAT);

static taper_status sigmoid_backward_vjp(taper_vjp *v) {
    taper_scope *s = v->scope;
    taper_tensor *y = v->args[1].t;
    if (v->need[0]) v->d[0] = tx_sigmoid_backward(s, v->grad[0], y);
    if (v->need[1]) v->d[1] = tx_mul(s, tx_mul(s, v->grad[0], v->args[0].t), vx_minus(s, 1, vx_scale(s, y, 2)));
    return s->status;
}
TAPER_POINTWISE_OP(sigmoid_backward, sigmoid_backward_vjp, TAPER_SAVE_BOTH, {"[2,3], [2,3]"}, {"[0], [0]"});

TAPER_POINTWISE(silu, 1, SAME);

static taper_status silu_vjp(taper_vjp *v) {
    v->d[0] = tx_silu_backward(v->scope, v->grad[0], v->args[0].t);
    return v->scope->status;
}
TAPER_POINTWISE_OP(silu, silu_vjp, TAPER_SAVE_SELF, {"[2,3]"}, {"[0]"}, {"[9]:i64", .error = "not implemented for 'Long'"});

TAPER_POINTWISE(silu_backward, 2, SAME);

/* s(x) (1 + x (1 - s)) has the slope s (1 - s) (2 + x (1 - 2 s)). */
static taper_status silu_backward_vjp(taper_vjp *v) {
    taper_scope *s = v->scope;
    taper_tensor *x = v->args[1].t;
    if (v->need[0]) v->d[0] = tx_silu_backward(s, v->grad[0], x);
    if (v->need[1]) {
        taper_tensor *y = tx_sigmoid(s, x), *bend = vx_shift(s, tx_mul(s, x, vx_minus(s, 1, vx_scale(s, y, 2))), 2);
        v->d[1] = tx_mul(s, tx_sigmoid_backward(s, tx_mul(s, v->grad[0], v->args[0].t), y), bend);
    }
    return s->status;
}
TAPER_POINTWISE_OP(silu_backward, silu_backward_vjp, TAPER_SAVE_BOTH, {"[2,3], [2,3]"}, {"[0], [0]"});

TAPER_POINTWISE(softplus, 1, SAME);

static taper_status softplus_vjp(taper_vjp *v) {
    v->d[0] = tx_softplus_backward(v->scope, v->grad[0], v->args[0].t, taper_arg_scalar(&v->args[1]), taper_arg_scalar(&v->args[2]));
    return v->scope->status;
}
TAPER_POINTWISE_OP(softplus, softplus_vjp, TAPER_SAVE_SELF, {"[2,3]"}, {"[2,3], 2.5, 3"}, {"[0]"});

TAPER_POINTWISE(softplus_backward, 2, SAME);

static taper_status softplus_backward_vjp(taper_vjp *v) {
    taper_scope *s = v->scope;
    taper_tensor *x = v->args[1].t;
    double beta = taper_arg_double(&v->args[2]);
    if (v->need[0])
        v->d[0] = tx_softplus_backward(s, v->grad[0], x, taper_arg_scalar(&v->args[2]), taper_arg_scalar(&v->args[3]));
    if (v->need[1]) {
        taper_tensor *u = vx_scale(s, x, beta);
        taper_tensor *d = vx_scale(s, tx_sigmoid_backward(s, tx_mul(s, v->grad[0], v->args[0].t), tx_sigmoid(s, u)), beta);
        v->d[1] = vx_drop(s, tx_gt(s, u, taper__number(s, taper_arg_double(&v->args[3]))), d);
    }
    return s->status;
}
TAPER_POINTWISE_OP(softplus_backward, softplus_backward_vjp, TAPER_SAVE_BOTH, {"[2,3], [2,3], 1, 20"}, {"[2,3], [2,3], 2.5, 3"},
                   {"[0], [0], 1, 20"});

TAPER_POINTWISE(log_sigmoid, 1, SAME);

static taper_status log_sigmoid_vjp(taper_vjp *v) {
    v->d[0] = tx_log_sigmoid_backward(v->scope, v->grad[0], v->args[0].t);
    return v->scope->status;
}
TAPER_POINTWISE_OP(log_sigmoid, log_sigmoid_vjp, TAPER_SAVE_SELF, {"[2,3]"}, {"[0]"});

TAPER_POINTWISE(log_sigmoid_backward, 2, SAME);

static taper_status log_sigmoid_backward_vjp(taper_vjp *v) {
    taper_scope *s = v->scope;
    taper_tensor *x = v->args[1].t;
    if (v->need[0]) v->d[0] = tx_log_sigmoid_backward(s, v->grad[0], x);
    if (v->need[1]) v->d[1] = tx_neg(s, tx_sigmoid_backward(s, tx_mul(s, v->grad[0], v->args[0].t), tx_sigmoid(s, x)));
    return s->status;
}
TAPER_POINTWISE_OP(log_sigmoid_backward, log_sigmoid_backward_vjp, TAPER_SAVE_BOTH, {"[2,3], [2,3]"}, {"[0], [0]"});

TAPER_POINTWISE(mish, 1, SAME);

static taper_status mish_vjp(taper_vjp *v) {
    v->d[0] = tx_mish_backward(v->scope, v->grad[0], v->args[0].t);
    return v->scope->status;
}
TAPER_POINTWISE_OP(mish, mish_vjp, TAPER_SAVE_SELF, {"[2,3]"}, {"[0]"});

TAPER_POINTWISE(mish_backward, 2, SAME);

/* With t = tanh(softplus(x)) and s = sigmoid(x), t' = s (1 - t^2): x t has the slope t + x t' and its slope is
 * t' (2 + x (1 - s - 2 t s)). */
static taper_status mish_backward_vjp(taper_vjp *v) {
    taper_scope *s = v->scope;
    taper_tensor *x = v->args[1].t;
    if (v->need[0]) v->d[0] = tx_mish_backward(s, v->grad[0], x);
    if (v->need[1]) {
        taper_tensor *y = tx_sigmoid(s, x), *t = tx_tanh(s, tx_softplus(s, x, taper_int(1), taper_int(20)));
        taper_tensor *inner = vx_sub(s, vx_minus(s, 1, y), vx_scale(s, tx_mul(s, t, y), 2));
        taper_tensor *slope = tx_mul(s, y, vx_minus(s, 1, tx_square(s, t)));
        v->d[1] = tx_mul(s, tx_mul(s, v->grad[0], v->args[0].t), tx_mul(s, slope, vx_shift(s, tx_mul(s, x, inner), 2)));
    }
    return s->status;
}
TAPER_POINTWISE_OP(mish_backward, mish_backward_vjp, TAPER_SAVE_BOTH, {"[2,3], [2,3]"}, {"[0], [0]"});
