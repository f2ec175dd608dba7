/* Activations in pieces: leaky_relu, the elu family, the hard ones, and two quotients. */
#include "ops/pointwise_loops.h"
#include "ops/vjp_expr.h"

/* The vjp of a gradient that does not depend on where in its piece self lies. */
static taper_status piece_vjp(taper_vjp *v, taper_tensor *d) {
    if (v->need[0]) v->d[0] = d;
    if (v->need[1]) v->d[1] = taper__zeros_like(v->scope, v->args[1].t);
    return v->scope->status;
}

TAPER_POINTWISE(leaky_relu, 1, SAME);

static taper_status leaky_relu_vjp(taper_vjp *v) {
    v->d[0] = tx_leaky_relu_backward(v->scope, v->grad[0], v->args[0].t, taper_arg_scalar(&v->args[1]));
    return v->scope->status;
}
TAPER_POINTWISE_OP(leaky_relu, leaky_relu_vjp, TAPER_SAVE_SELF, {"[2,3]"}, {"[2,3], 0.3"}, {"[0]"});

TAPER_POINTWISE(leaky_relu_backward, 2, SAME);

static taper_status leaky_relu_backward_vjp(taper_vjp *v) {
    return piece_vjp(v, tx_leaky_relu_backward(v->scope, v->grad[0], v->args[1].t, taper_arg_scalar(&v->args[2])));
}
TAPER_POINTWISE_OP(leaky_relu_backward, leaky_relu_backward_vjp, TAPER_SAVE_OTHER, {"[2,3], [2,3], 0.3"}, {"[0], [0], 0.1"});

TAPER_POINTWISE(elu, 1, SAME);

static taper_status elu_vjp(taper_vjp *v) {
    const taper_arg *a = v->args;
    v->d[0] = tx_elu_backward(v->scope, v->grad[0], a[0].t, taper_arg_scalar(&a[1]), taper_arg_scalar(&a[2]), taper_arg_scalar(&a[3]));
    return v->scope->status;
}
TAPER_POINTWISE_OP(elu, elu_vjp, TAPER_SAVE_SELF, {"[2,3]"}, {"[2,3], 1.5, 0.5, 2"}, {"[0]"});

TAPER_POINTWISE(elu_backward, 2, SAME);

static taper_status elu_backward_vjp(taper_vjp *v) {
    taper_scope *s = v->scope;
    const taper_arg *a = v->args;
    taper_scalar alpha = taper_arg_scalar(&a[2]), scale = taper_arg_scalar(&a[3]), input = taper_arg_scalar(&a[4]);
    if (v->need[0]) v->d[0] = tx_elu_backward(s, v->grad[0], a[1].t, alpha, scale, input);
    if (v->need[1]) { /* below zero the slope is again an exponential with the factor input_scale */
        taper_tensor *d = tx_elu_backward(s, tx_mul(s, v->grad[0], a[0].t), a[1].t, alpha, scale, input);
        v->d[1] = vx_drop(s, tx_gt(s, a[1].t, taper__number(s, 0)), vx_scale(s, d, taper_scalar_double(input)));
    }
    return s->status;
}
TAPER_POINTWISE_OP(elu_backward, elu_backward_vjp, TAPER_SAVE_BOTH, {"[2,3], [2,3], 1, 1, 1"}, {"[2,3], [2,3], 1.5, 0.5, 2"},
                   {"[0], [0], 1, 1, 1"});

static taper_status selu_compose(taper_call *c, taper_scope *s) {
    c->out[0] = taper_scope_keep(s, tx_elu(s, c->args[0].t, taper_float(1.6732632423543772848), taper_float(1.0507009873554804934), taper_int(1)));
    c->nout = 1;
    return s->status;
}
const taper_op taper_op_selu = {.compose = selu_compose, .samples = (const taper_sample[]){{"[2,3]"}, {"[0]"}, {0}}};

static taper_status celu_compose(taper_call *c, taper_scope *s) {
    double alpha = taper_arg_double(&c->args[1]);
    if (alpha == 0) return TAPER_FAIL(TAPER_RUNTIME, "ZeroDivisionError: alpha cannot be 0 for CELU");
    c->out[0] = taper_scope_keep(s, tx_elu(s, c->args[0].t, taper_float(alpha), taper_int(1), taper_float(1 / alpha)));
    c->nout = 1;
    return s->status;
}
const taper_op taper_op_celu = {
    .compose = celu_compose,
    .samples = (const taper_sample[]){{"[2,3]"}, {"[2,3], 0.5"}, {"[0]"}, {"[2], 0.0", .error = "alpha cannot be 0"}, {0}},
};

static taper_status hardtanh_infer(taper_call *c) {
    TAPER_TRY(taper__pointwise_infer(c, 1, TAPER_PW_SAME));
    if (c->out[0]->dtype == TAPER_BOOL) return TAPER_FAIL(TAPER_RUNTIME, "Bool inputs not supported for hardtanh");
    return TAPER_OK;
}
static taper_status hardtanh_run(taper_call *c) { return taper__pointwise(c, 3, TAPER_PW_SAME, TAPER_LOOP(clamp)); }
TAPER_POINTWISE_KERNELS(hardtanh);

static taper_status hardtanh_vjp(taper_vjp *v) {
    v->d[0] = tx_hardtanh_backward(v->scope, v->grad[0], v->args[0].t, taper_arg_scalar(&v->args[1]), taper_arg_scalar(&v->args[2]));
    return v->scope->status;
}
TAPER_POINTWISE_OP(hardtanh, hardtanh_vjp, TAPER_SAVE_SELF, {"[2,3]"}, {"[2,3], -0.2, 0.7"}, {"[9]:i64, -2, 3"}, {"[0]"},
                   {"[2]:bool", .error = "not supported for hardtanh"});

TAPER_POINTWISE(hardtanh_backward, 2, SAME);

static taper_status hardtanh_backward_vjp(taper_vjp *v) {
    return piece_vjp(v, tx_hardtanh_backward(v->scope, v->grad[0], v->args[1].t, taper_arg_scalar(&v->args[2]), taper_arg_scalar(&v->args[3])));
}
TAPER_POINTWISE_OP(hardtanh_backward, hardtanh_backward_vjp, TAPER_SAVE_OTHER, {"[2,3], [2,3], -1, 1"}, {"[0], [0], 0, 1"});

static taper_status relu6_compose(taper_call *c, taper_scope *s) {
    c->out[0] = taper_scope_keep(s, tx_hardtanh(s, c->args[0].t, taper_int(0), taper_int(6)));
    c->nout = 1;
    return s->status;
}
const taper_op taper_op_relu6 = {.compose = relu6_compose, .samples = (const taper_sample[]){{"[2,3]"}, {"[9]:i64"}, {"[0]"}, {0}}};

TAPER_POINTWISE(hardsigmoid, 1, SAME);

static taper_status hardsigmoid_vjp(taper_vjp *v) {
    v->d[0] = tx_hardsigmoid_backward(v->scope, v->grad[0], v->args[0].t);
    return v->scope->status;
}
TAPER_POINTWISE_OP(hardsigmoid, hardsigmoid_vjp, TAPER_SAVE_SELF, {"[2,3]"}, {"[0]"});

TAPER_POINTWISE(hardsigmoid_backward, 2, SAME);

static taper_status hardsigmoid_backward_vjp(taper_vjp *v) {
    return piece_vjp(v, tx_hardsigmoid_backward(v->scope, v->grad[0], v->args[1].t));
}
TAPER_POINTWISE_OP(hardsigmoid_backward, hardsigmoid_backward_vjp, TAPER_SAVE_OTHER, {"[2,3], [2,3]"}, {"[0], [0]"});

TAPER_POINTWISE(hardswish, 1, SAME);

static taper_status hardswish_vjp(taper_vjp *v) {
    v->d[0] = tx_hardswish_backward(v->scope, v->grad[0], v->args[0].t);
    return v->scope->status;
}
TAPER_POINTWISE_OP(hardswish, hardswish_vjp, TAPER_SAVE_SELF, {"[2,3]"}, {"[0]"});

TAPER_POINTWISE(hardswish_backward, 2, SAME);

static taper_status hardswish_backward_vjp(taper_vjp *v) {
    taper_scope *s = v->scope;
    taper_tensor *x = v->args[1].t;
    if (v->need[0]) v->d[0] = tx_hardswish_backward(s, v->grad[0], x);
    if (v->need[1]) /* a slope of 1/3 between -3 and 3: twice that of hardsigmoid */
        v->d[1] = vx_scale(s, tx_hardsigmoid_backward(s, tx_mul(s, v->grad[0], v->args[0].t), x), 2);
    return s->status;
}
TAPER_POINTWISE_OP(hardswish_backward, hardswish_backward_vjp, TAPER_SAVE_BOTH, {"[2,3], [2,3]"}, {"[0], [0]"});

TAPER_POINTWISE(softsign, 1, FLOAT);

static taper_status softsign_vjp(taper_vjp *v) {
    taper_scope *s = v->scope;
    v->d[0] = vx_div(s, v->grad[0], tx_square(s, vx_shift(s, tx_abs(s, v->args[0].t), 1)));
    return s->status;
}
TAPER_POINTWISE_OP(softsign, softsign_vjp, TAPER_SAVE_SELF, {"[2,3]"}, {"[0]"});

TAPER_POINTWISE(tanhshrink, 1, FLOAT);

static taper_status tanhshrink_vjp(taper_vjp *v) {
    v->d[0] = tx_mul(v->scope, v->grad[0], tx_square(v->scope, tx_tanh(v->scope, v->args[0].t)));
    return v->scope->status;
}
TAPER_POINTWISE_OP(tanhshrink, tanhshrink_vjp, TAPER_SAVE_SELF, {"[2,3]"}, {"[0]"});
