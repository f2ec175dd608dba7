/* Angles and hyperbolic functions. */
#include "ops/pointwise_loops.h"
#include "ops/vjp_expr.h"

TAPER_POINTWISE(sin, 1, FLOAT);

static taper_status sin_vjp(taper_vjp *v) {
    v->d[0] = tx_mul(v->scope, v->grad[0], tx_cos(v->scope, v->args[0].t));
    return v->scope->status;
}
TAPER_POINTWISE_OP(sin, sin_vjp, TAPER_SAVE_SELF, {"[2,3]"}, {"[9]:i64"}, {"[0]"});

TAPER_POINTWISE(cos, 1, FLOAT);

static taper_status cos_vjp(taper_vjp *v) {
    v->d[0] = tx_neg(v->scope, tx_mul(v->scope, v->grad[0], tx_sin(v->scope, v->args[0].t)));
    return v->scope->status;
}
TAPER_POINTWISE_OP(cos, cos_vjp, TAPER_SAVE_SELF, {"[2,3]"}, {"[9]:i64"}, {"[0]"});

TAPER_POINTWISE(tan, 1, FLOAT);

static taper_status tan_vjp(taper_vjp *v) {
    v->d[0] = tx_mul(v->scope, v->grad[0], vx_shift(v->scope, tx_square(v->scope, v->out[0]), 1));
    return v->scope->status;
}
TAPER_POINTWISE_OP(tan, tan_vjp, TAPER_SAVE_RESULT, {"[2,3]:unit"}, {"[9]:i64"}, {"[0]"});

TAPER_POINTWISE(asin, 1, FLOAT);

/* grad / sqrt(1 - x^2) */
static taper_tensor *trig_arc(taper_vjp *v) {
    taper_scope *s = v->scope;
    return tx_mul(s, v->grad[0], tx_rsqrt(s, vx_minus(s, 1, tx_square(s, v->args[0].t))));
}
static taper_status asin_vjp(taper_vjp *v) {
    v->d[0] = trig_arc(v);
    return v->scope->status;
}
TAPER_POINTWISE_OP(asin, asin_vjp, TAPER_SAVE_SELF, {"[2,3]:unit"}, {"[3]:i64<2"}, {"[0]"});

TAPER_POINTWISE(acos, 1, FLOAT);

static taper_status acos_vjp(taper_vjp *v) {
    v->d[0] = tx_neg(v->scope, trig_arc(v));
    return v->scope->status;
}
TAPER_POINTWISE_OP(acos, acos_vjp, TAPER_SAVE_SELF, {"[2,3]:unit"}, {"[3]:i64<2"}, {"[0]"});

TAPER_POINTWISE(atan, 1, FLOAT);

static taper_status atan_vjp(taper_vjp *v) {
    v->d[0] = vx_div(v->scope, v->grad[0], vx_shift(v->scope, tx_square(v->scope, v->args[0].t), 1));
    return v->scope->status;
}
TAPER_POINTWISE_OP(atan, atan_vjp, TAPER_SAVE_SELF, {"[2,3]"}, {"[9]:i64"}, {"[0]"});

TAPER_POINTWISE(atan2, 2, FLOAT);

static taper_status atan2_vjp(taper_vjp *v) {
    taper_scope *s = v->scope;
    taper_tensor *y = taper__operand(v, 0), *x = taper__operand(v, 1);
    taper_tensor *g = vx_div(s, v->grad[0], vx_add(s, tx_square(s, y), tx_square(s, x)));
    if (v->need[0]) v->d[0] = taper__sum_to(s, tx_mul(s, g, x), v->args[0].t);
    if (v->need[1]) v->d[1] = taper__sum_to(s, tx_neg(s, tx_mul(s, g, y)), v->args[1].t);
    return s->status;
}
TAPER_POINTWISE_OP(atan2, atan2_vjp, TAPER_SAVE_BOTH, {"[2,3], [2,3]"}, {"[2,3], [3]"}, {"[5]:i64, [5]:i64"}, {"[0], [0]"},
                   {"[2], [3]", .error = "must match the size"});

TAPER_POINTWISE(sinh, 1, FLOAT);

static taper_status sinh_vjp(taper_vjp *v) {
    v->d[0] = tx_mul(v->scope, v->grad[0], tx_cosh(v->scope, v->args[0].t));
    return v->scope->status;
}
TAPER_POINTWISE_OP(sinh, sinh_vjp, TAPER_SAVE_SELF, {"[2,3]"}, {"[3]:i64<4"}, {"[0]"});

TAPER_POINTWISE(cosh, 1, FLOAT);

static taper_status cosh_vjp(taper_vjp *v) {
    v->d[0] = tx_mul(v->scope, v->grad[0], tx_sinh(v->scope, v->args[0].t));
    return v->scope->status;
}
TAPER_POINTWISE_OP(cosh, cosh_vjp, TAPER_SAVE_SELF, {"[2,3]"}, {"[3]:i64<4"}, {"[0]"});

TAPER_POINTWISE(tanh_backward, 2, FLOAT);

/* out = grad (1 - y^2) */
static taper_status tanh_backward_vjp(taper_vjp *v) {
    taper_scope *s = v->scope;
    taper_tensor *grad = v->args[0].t, *y = v->args[1].t;
    if (v->need[0]) v->d[0] = tx_tanh_backward(s, v->grad[0], y);
    if (v->need[1]) v->d[1] = vx_scale(s, tx_mul(s, tx_mul(s, v->grad[0], grad), y), -2);
    return s->status;
}
TAPER_POINTWISE_OP(tanh_backward, tanh_backward_vjp, TAPER_SAVE_BOTH, {"[2,3], [2,3]"}, {"[0], [0]"});

TAPER_POINTWISE(tanh, 1, FLOAT);

static taper_status tanh_vjp(taper_vjp *v) {
    v->d[0] = tx_tanh_backward(v->scope, v->grad[0], v->out[0]);
    return v->scope->status;
}
TAPER_POINTWISE_OP(tanh, tanh_vjp, TAPER_SAVE_RESULT, {"[2,3]"}, {"[70]"}, {"[9]:i64"}, {"[0]"});

TAPER_POINTWISE(asinh, 1, FLOAT);

static taper_status asinh_vjp(taper_vjp *v) {
    taper_scope *s = v->scope;
    v->d[0] = tx_mul(s, v->grad[0], tx_rsqrt(s, vx_shift(s, tx_square(s, v->args[0].t), 1)));
    return s->status;
}
TAPER_POINTWISE_OP(asinh, asinh_vjp, TAPER_SAVE_SELF, {"[2,3]"}, {"[9]:i64"}, {"[0]"});

TAPER_POINTWISE(acosh, 1, FLOAT);

static taper_status acosh_vjp(taper_vjp *v) {
    taper_scope *s = v->scope;
    v->d[0] = tx_mul(s, v->grad[0], tx_rsqrt(s, vx_shift(s, tx_square(s, v->args[0].t), -1)));
    return s->status;
}
TAPER_POINTWISE_OP(acosh, acosh_vjp, TAPER_SAVE_SELF, {"[2,3]:pos", .no_grad_check = true /* not defined below 1 */}, {"[9]:i64"}, {"[0]"});

TAPER_POINTWISE(atanh, 1, FLOAT);

static taper_status atanh_vjp(taper_vjp *v) {
    v->d[0] = vx_div(v->scope, v->grad[0], vx_minus(v->scope, 1, tx_square(v->scope, v->args[0].t)));
    return v->scope->status;
}
TAPER_POINTWISE_OP(atanh, atanh_vjp, TAPER_SAVE_SELF, {"[2,3]:unit"}, {"[3]:i64<2"}, {"[0]"});
