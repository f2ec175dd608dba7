/* add, mul, neg: arithmetic with promotion. */
#include "ops/pointwise_loops.h"

TAPER_POINTWISE(add, 2, SAME);

static taper_status add_vjp(taper_vjp *v) {
    taper_scope *s = v->scope;
    if (v->need[0]) v->d[0] = taper__sum_to(s, v->grad[0], v->args[0].t);
    if (v->need[1]) {
        double alpha = taper_arg_double(&v->args[2]);
        taper_tensor *g = alpha == 1 ? v->grad[0] : tx_mul(s, v->grad[0], taper__number(s, alpha));
        v->d[1] = taper__sum_to(s, g, v->args[1].t);
    }
    return s->status;
}
const taper_op taper_op_add = {
    .infer = add_infer,
    .kernels = add_kernels,
    .vjp = add_vjp,
    .pointwise = true,
    .samples = (const taper_sample[]){{"[2,3], [2,3]"},
                                      {"[2,3], [3]"},
                                      {"[2,1,3], [4,1], alpha=0.5"},
                                      {"[2,3], 2.5"},
                                      {"[3]:i64, [3]"},
                                      {"[0,3], [1]"},
                                      {"[2,3], [4]", .error = "must match the size of tensor b (4)"},
                                      {0}},
};

TAPER_POINTWISE(mul, 2, SAME);

static taper_status mul_vjp(taper_vjp *v) {
    taper_scope *s = v->scope;
    if (v->need[0]) v->d[0] = taper__sum_to(s, tx_mul(s, v->grad[0], taper__operand(v, 1)), v->args[0].t);
    if (v->need[1]) v->d[1] = taper__sum_to(s, tx_mul(s, v->grad[0], taper__operand(v, 0)), v->args[1].t);
    return s->status;
}
const taper_op taper_op_mul = {
    .infer = mul_infer,
    .kernels = mul_kernels,
    .vjp = mul_vjp,
    .saves = TAPER_SAVE_ARG(0) | TAPER_SAVE_ARG(1),
    .pointwise = true,
    .samples = (const taper_sample[]){{"[2,3], [2,3]"}, {"[2,3], [3]"}, {"[4], -2"}, {"[2,3], [3,2]", .error = "must match the size"}, {0}},
};

TAPER_POINTWISE(neg, 1, SAME);

static taper_status neg_vjp(taper_vjp *v) {
    v->d[0] = tx_neg(v->scope, v->grad[0]);
    return v->scope->status;
}
const taper_op taper_op_neg = {
    .infer = neg_infer,
    .kernels = neg_kernels,
    .vjp = neg_vjp,
    .pointwise = true,
    .samples = (const taper_sample[]){{"[2,3]"}, {"[3]:i64"}, {0}},
};
