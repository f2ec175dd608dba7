/* Powers and roots. */
#include "ops/pointwise_loops.h"
#include "ops/vjp_expr.h"

static taper_status pow_infer(taper_call *c) {
    const taper_arg *e = &c->args[1];
    if (e->kind == TAPER_ARG_INT && e->i < 0 && !taper_dtype_is_float(taper__pointwise_dtype(c, 2, TAPER_PW_SAME)))
        return TAPER_FAIL(TAPER_RUNTIME, "Integers to negative integer powers are not allowed.");
    return taper__pointwise_infer(c, 2, TAPER_PW_SAME);
}

/* The usual exponents have loops of their own. */
static taper_status pow_run(taper_call *c) {
    const taper_arg *e = &c->args[1];
    if ((e->kind == TAPER_ARG_INT || e->kind == TAPER_ARG_FLOAT) && taper_dtype_is_float((taper_dtype)c->out[0]->dtype)) {
        double x = taper_arg_double(e);
        if (x == 2) return taper__pointwise(c, 1, TAPER_PW_FLOAT, TAPER_LOOP(square));
        if (x == 3) return taper__pointwise(c, 1, TAPER_PW_FLOAT, TAPER_LOOP(cube));
        if (x == 0.5) return taper__pointwise(c, 1, TAPER_PW_FLOAT, TAPER_LOOP(sqrt));
        if (x == -0.5) return taper__pointwise(c, 1, TAPER_PW_FLOAT, TAPER_LOOP(rsqrt));
        if (x == -1) return taper__pointwise(c, 1, TAPER_PW_FLOAT, TAPER_LOOP(reciprocal));
        if (x == -2) return taper__pointwise(c, 1, TAPER_PW_FLOAT, TAPER_LOOP(reciprocal_square));
    }
    return taper__pointwise(c, 2, TAPER_PW_SAME, TAPER_LOOP(pow));
}
TAPER_POINTWISE_KERNELS(pow);

/* x^n: n x^(n-1) and x^n log x; where n is 0, or x is 0 and n >= 0, the limit 0. */
static taper_status pow_vjp(taper_vjp *v) {
    taper_scope *s = v->scope;
    taper_tensor *x = taper__operand(v, 0), *g = v->grad[0], *zero = taper__number(s, 0);
    if (v->need[0] && v->args[1].kind != TAPER_ARG_TENSOR) {
        double n = taper_arg_double(&v->args[1]);
        if (n == 0)
            v->d[0] = taper__zeros_like(s, x);
        else if (n == 2)
            v->d[0] = vx_scale(s, tx_mul(s, g, x), 2);
        else
            v->d[0] = tx_mul(s, g, vx_scale(s, tx_pow(s, x, taper__number(s, n - 1)), n));
    } else if (v->need[0]) {
        taper_tensor *n = v->args[1].t;
        taper_tensor *d = tx_mul(s, g, tx_mul(s, n, tx_pow(s, x, vx_shift(s, n, -1))));
        v->d[0] = taper__sum_to(s, vx_drop(s, tx_eq(s, n, zero), d), v->args[0].t);
    }
    if (v->need[1]) {
        taper_tensor *d = tx_mul(s, g, tx_mul(s, v->out[0], tx_log(s, v->args[0].kind == TAPER_ARG_TENSOR ? x : tx_full(s, NULL, 0, taper_arg_scalar(&v->args[0]), (taper_dtype)v->out[0]->dtype, &v->out[0]->device))));
        taper_tensor *flat = tx_logical_and(s, tx_eq(s, x, zero), tx_ge(s, v->args[1].t, zero));
        v->d[1] = taper__sum_to(s, vx_drop(s, flat, d), v->args[1].t);
    }
    return s->status;
}
TAPER_POINTWISE_OP(pow, pow_vjp, TAPER_SAVE_BOTH | TAPER_SAVE_RESULT, {"[2,3], 2"}, {"[2,3], 3"}, {"[2,3]:pos, 0.5"}, {"[2,3]:pos, -0.5"},
                   {"[2,3]:pos, -1"}, {"[2,3]:pos, -2"}, {"[2,3]:pos, 2.3"}, {"[2,3]:pos, [3]"}, {"[2,3], 0"}, {"2.5, [2,3]"},
                   {"[4]:i64, 3"}, {"[4]:i64, [4]:i64<6"}, {"[4]:i64<5, 0.5"}, {"[0], 2"},
                   {"[3]:i64, -1", .error = "Integers to negative integer powers are not allowed."});

TAPER_POINTWISE(sqrt, 1, FLOAT);

static taper_status sqrt_vjp(taper_vjp *v) {
    v->d[0] = vx_div(v->scope, v->grad[0], vx_scale(v->scope, v->out[0], 2));
    return v->scope->status;
}
TAPER_POINTWISE_OP(sqrt, sqrt_vjp, TAPER_SAVE_RESULT, {"[2,3]:pos"}, {"[4]:i64<9"}, {"[0]"});

TAPER_POINTWISE(rsqrt, 1, FLOAT);

static taper_status rsqrt_vjp(taper_vjp *v) {
    taper_scope *s = v->scope;
    v->d[0] = vx_scale(s, tx_mul(s, v->grad[0], tx_pow(s, v->out[0], taper__number(s, 3))), -0.5);
    return s->status;
}
TAPER_POINTWISE_OP(rsqrt, rsqrt_vjp, TAPER_SAVE_RESULT, {"[2,3]:pos"}, {"[4]:i64<9"}, {"[0]"});

TAPER_POINTWISE(hypot, 2, SAME);

static taper_status hypot_vjp(taper_vjp *v) {
    taper_scope *s = v->scope;
    taper_tensor *g = vx_div(s, v->grad[0], v->out[0]);
    for (int k = 0; k < 2; k++)
        if (v->need[k]) v->d[k] = taper__sum_to(s, tx_mul(s, g, v->args[k].t), v->args[k].t);
    return s->status;
}
TAPER_POINTWISE_OP(hypot, hypot_vjp, TAPER_SAVE_BOTH | TAPER_SAVE_RESULT, {"[2,3], [2,3]"}, {"[2,3]:pos, [3]"}, {"[0], [0]"},
                   {"[2]:i64, [2]:i64", .error = "not implemented for 'Long'"}, {"[2], [3]", .error = "must match the size"});
