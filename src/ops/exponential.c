/* Exponentials and logarithms. */
#include "ops/pointwise_loops.h"
#include "ops/vjp_expr.h"

TAPER_POINTWISE(exp, 1, FLOAT);

static taper_status exp_vjp(taper_vjp *v) {
    v->d[0] = tx_mul(v->scope, v->grad[0], v->out[0]);
    return v->scope->status;
}
TAPER_POINTWISE_OP(exp, exp_vjp, TAPER_SAVE_RESULT, {"[2,3]"}, {"[3]:i64<4"}, {"[]"}, {"[0]"});

TAPER_POINTWISE(exp2, 1, FLOAT);

static taper_status exp2_vjp(taper_vjp *v) {
    v->d[0] = vx_scale(v->scope, tx_mul(v->scope, v->grad[0], v->out[0]), 0.69314718055994530942);
    return v->scope->status;
}
TAPER_POINTWISE_OP(exp2, exp2_vjp, TAPER_SAVE_RESULT, {"[2,3]"}, {"[3]:i64<4"}, {"[0]"});

TAPER_POINTWISE(expm1, 1, FLOAT);

static taper_status expm1_vjp(taper_vjp *v) {
    v->d[0] = tx_mul(v->scope, v->grad[0], vx_shift(v->scope, v->out[0], 1));
    return v->scope->status;
}
TAPER_POINTWISE_OP(expm1, expm1_vjp, TAPER_SAVE_RESULT, {"[2,3]"}, {"[3]:i64<4"}, {"[0]"});

TAPER_POINTWISE(log, 1, FLOAT);

static taper_status log_vjp(taper_vjp *v) {
    v->d[0] = vx_div(v->scope, v->grad[0], v->args[0].t);
    return v->scope->status;
}
TAPER_POINTWISE_OP(log, log_vjp, TAPER_SAVE_SELF, {"[2,3]:pos"}, {"[3]:i64<4"}, {"[0]"});

TAPER_POINTWISE(log2, 1, FLOAT);

static taper_status log2_vjp(taper_vjp *v) {
    v->d[0] = vx_div(v->scope, v->grad[0], vx_scale(v->scope, v->args[0].t, 0.69314718055994530942));
    return v->scope->status;
}
TAPER_POINTWISE_OP(log2, log2_vjp, TAPER_SAVE_SELF, {"[2,3]:pos"}, {"[3]:i64<4"}, {"[0]"});

TAPER_POINTWISE(log10, 1, FLOAT);

static taper_status log10_vjp(taper_vjp *v) {
    v->d[0] = vx_div(v->scope, v->grad[0], vx_scale(v->scope, v->args[0].t, 2.30258509299404568402));
    return v->scope->status;
}
TAPER_POINTWISE_OP(log10, log10_vjp, TAPER_SAVE_SELF, {"[2,3]:pos"}, {"[3]:i64<4"}, {"[0]"});

TAPER_POINTWISE(log1p, 1, FLOAT);

static taper_status log1p_vjp(taper_vjp *v) {
    v->d[0] = vx_div(v->scope, v->grad[0], vx_shift(v->scope, v->args[0].t, 1));
    return v->scope->status;
}
TAPER_POINTWISE_OP(log1p, log1p_vjp, TAPER_SAVE_SELF, {"[2,3]:pos"}, {"[3]:i64<4"}, {"[0]"});

TAPER_POINTWISE(logaddexp, 2, SAME);

/* Each operand's share of the sum. */
static taper_status logaddexp_vjp(taper_vjp *v) {
    taper_scope *s = v->scope;
    for (int k = 0; k < 2; k++)
        if (v->need[k]) {
            taper_tensor *share = tx_sigmoid(s, vx_sub(s, v->args[k].t, v->args[1 - k].t));
            v->d[k] = taper__sum_to(s, tx_mul(s, v->grad[0], share), v->args[k].t);
        }
    return s->status;
}
TAPER_POINTWISE_OP(logaddexp, logaddexp_vjp, TAPER_SAVE_BOTH, {"[2,3], [2,3]"}, {"[2,3], [3]"}, {"[0], [0]"},
                   {"[2]:i64, [2]:i64", .error = "not implemented for 'Long'"}, {"[2], [3]", .error = "must match the size"});

TAPER_POINTWISE(xlogy, 2, FLOAT);

static taper_status xlogy_vjp(taper_vjp *v) {
    taper_scope *s = v->scope;
    taper_tensor *x = taper__operand(v, 0), *y = taper__operand(v, 1), *zero = taper__number(s, 0);
    if (v->need[0]) {
        taper_tensor *flat = tx_logical_and(s, tx_eq(s, x, zero), tx_le(s, y, zero));
        taper_tensor *log = tx_log(s, v->args[1].kind == TAPER_ARG_TENSOR ? y : tx_add(s, taper__zeros_like(s, x), y, taper_int(1)));
        v->d[0] = taper__sum_to(s, tx_mul(s, v->grad[0], vx_drop(s, flat, log)), v->args[0].t);
    }
    if (v->need[1]) v->d[1] = taper__sum_to(s, vx_div(s, tx_mul(s, v->grad[0], x), y), v->args[1].t);
    return s->status;
}
TAPER_POINTWISE_OP(xlogy, xlogy_vjp, TAPER_SAVE_BOTH, {"[2,3], [2,3]:pos"}, {"[2,3], [3]:pos"}, {"[2,3], 2.5"}, {"2, [2,3]:pos"},
                   {"[3]:i64<3, [3]:pos"}, {"[0], [0]"});
