/* The error function, the gamma function and their relatives. */
#include <math.h>

#include "ops/pointwise_loops.h"
#include "ops/vjp_expr.h"

#define TWO_OVER_SQRT_PI 1.12837916709551257390

/* k grad e^(sign x^2) */
static taper_tensor *special_bell(taper_vjp *v, taper_tensor *x, double k, bool falling) {
    taper_scope *s = v->scope;
    taper_tensor *z = tx_square(s, x);
    return vx_scale(s, tx_mul(s, v->grad[0], tx_exp(s, falling ? tx_neg(s, z) : z)), k);
}

TAPER_POINTWISE(erf, 1, FLOAT);
static taper_status erf_vjp(taper_vjp *v) {
    v->d[0] = special_bell(v, v->args[0].t, TWO_OVER_SQRT_PI, true);
    return v->scope->status;
}
TAPER_POINTWISE_OP(erf, erf_vjp, TAPER_SAVE_SELF, {"[2,3]"}, {"[9]:i64"}, {"[0]"});

TAPER_POINTWISE(erfc, 1, FLOAT);
static taper_status erfc_vjp(taper_vjp *v) {
    v->d[0] = special_bell(v, v->args[0].t, -TWO_OVER_SQRT_PI, true);
    return v->scope->status;
}
TAPER_POINTWISE_OP(erfc, erfc_vjp, TAPER_SAVE_SELF, {"[2,3]"}, {"[9]:i64<4"}, {"[0]"});

TAPER_POINTWISE(erfinv, 1, FLOAT);
static taper_status erfinv_vjp(taper_vjp *v) {
    v->d[0] = special_bell(v, v->out[0], 1 / TWO_OVER_SQRT_PI, false);
    return v->scope->status;
}
TAPER_POINTWISE_OP(erfinv, erfinv_vjp, TAPER_SAVE_RESULT, {"[2,3]:unit", .no_grad_check = true /* too steep near 1 */}, {"[3]:i64<2"}, {"[0]"});

TAPER_POINTWISE(lgamma, 1, FLOAT);
static taper_status lgamma_vjp(taper_vjp *v) {
    v->d[0] = tx_mul(v->scope, v->grad[0], tx_digamma(v->scope, v->args[0].t));
    return v->scope->status;
}
TAPER_POINTWISE_OP(lgamma, lgamma_vjp, TAPER_SAVE_SELF, {"[2,3]:pos"}, {"[9]:i64<5"}, {"[0]"});

TAPER_POINTWISE(digamma, 1, FLOAT);
static taper_status digamma_vjp(taper_vjp *v) {
    v->d[0] = tx_mul(v->scope, v->grad[0], tx_polygamma(v->scope, 1, v->args[0].t));
    return v->scope->status;
}
TAPER_POINTWISE_OP(digamma, digamma_vjp, TAPER_SAVE_SELF, {"[2,3]:pos"}, {"[9]:i64<5"}, {"[0]"});

static taper_status polygamma_infer(taper_call *c) {
    if (c->args[0].i < 0) return TAPER_FAIL(TAPER_RUNTIME, "polygamma(n, x) does not support negative n.");
    const taper_tensor *t = TAPER_ARG_T(c, 1);
    if (!t) return TAPER_FAIL(TAPER_TYPE, "polygamma: argument 'self' must be a tensor, got a number");
    return taper__out_like(c, 0, taper_dtype_is_float((taper_dtype)t->dtype) ? (taper_dtype)t->dtype : taper_default_dtype(), t);
}
static taper_status polygamma_run(taper_call *c) { /* loops take the operand first */
    taper_call d = taper__pointwise_call(c, 2);
    d.args[0] = c->args[1];
    d.args[1] = c->args[0];
    return taper__pointwise(&d, 1, TAPER_PW_FLOAT, TAPER_LOOP(polygamma));
}
TAPER_POINTWISE_KERNELS(polygamma);
static taper_status polygamma_vjp(taper_vjp *v) {
    v->d[1] = tx_mul(v->scope, v->grad[0], tx_polygamma(v->scope, v->args[0].i + 1, v->args[1].t));
    return v->scope->status;
}
TAPER_POINTWISE_OP(polygamma, polygamma_vjp, TAPER_SAVE_OTHER, {"0, [2,3]:pos", .tolerance = 1e-4}, {"1, [2,3]:pos", .tolerance = 1e-4},
                   {"3, [2]:pos", .tolerance = 1e-4}, {"1, [0]"}, {"-1, [2]", .error = "does not support negative n"});

/* Without eps nothing is clamped. */
static taper_status logit_infer(taper_call *c) { return taper__pointwise_infer(c, 1, TAPER_PW_FLOAT); }
static taper_status logit_run(taper_call *c) {
    taper_call d = taper__pointwise_call(c, 2);
    if (c->args[1].kind == TAPER_ARG_NONE) d.args[1] = taper__arg_number(-INFINITY);
    return taper__pointwise(&d, 1, TAPER_PW_FLOAT, TAPER_LOOP(logit));
}
TAPER_POINTWISE_KERNELS(logit);
static taper_status logit_vjp(taper_vjp *v) {
    v->d[0] = tx_logit_backward(v->scope, v->grad[0], v->args[0].t, v->args[1].kind == TAPER_ARG_NONE ? NULL : &v->args[1].f);
    return v->scope->status;
}
TAPER_POINTWISE_OP(logit, logit_vjp, TAPER_SAVE_SELF, {"[2,3]:unit", .no_grad_check = true /* steep at the ends */}, {"[2,3]:unit, eps=0.2", .no_grad_check = true /* a kink */},
                   {"[0]"});

static taper_status logit_backward_infer(taper_call *c) { return taper__pointwise_infer(c, 2, TAPER_PW_FLOAT); }
static taper_status logit_backward_run(taper_call *c) {
    taper_call d = taper__pointwise_call(c, 3);
    if (c->args[2].kind == TAPER_ARG_NONE) d.args[2] = taper__arg_number(-INFINITY);
    return taper__pointwise(&d, 2, TAPER_PW_FLOAT, TAPER_LOOP(logit_backward));
}
TAPER_POINTWISE_KERNELS(logit_backward);

/* d/dx 1 / (x (1 - x)) = (2x - 1) / (x (1 - x))^2 */
static taper_status logit_backward_vjp(taper_vjp *v) {
    taper_scope *s = v->scope;
    const double *eps = v->args[2].kind == TAPER_ARG_NONE ? NULL : &v->args[2].f;
    taper_tensor *x = v->args[1].t, *d = tx_logit_backward(s, v->grad[0], x, eps);
    if (v->need[0]) v->d[0] = d;
    if (v->need[1]) {
        taper_tensor *slope = vx_shift(s, vx_scale(s, x, 2), -1);
        v->d[1] = tx_mul(s, tx_logit_backward(s, tx_mul(s, d, v->args[0].t), x, eps), slope);
    }
    return s->status;
}
TAPER_POINTWISE_OP(logit_backward, logit_backward_vjp, TAPER_SAVE_BOTH, {"[2,3], [2,3]:unit", .no_grad_check = true /* steep at the ends */},
                   {"[2,3], [2,3]:unit, eps=0.2", .no_grad_check = true /* a kink */}, {"[0], [0]"});
