/* Sums, products and signs. */
#include "ops/pointwise_loops.h"
#include "ops/vjp_expr.h"

/* alpha must fit the dtype of the result. */
static taper_status arithmetic_infer(taper_call *c) {
    TAPER_TRY(taper__pointwise_infer(c, 2, TAPER_PW_SAME));
    taper_dtype dtype = (taper_dtype)c->out[0]->dtype;
    if (TAPER_UNLIKELY(c->args[2].kind == TAPER_ARG_BOOL && dtype != TAPER_BOOL))
        return TAPER_FAIL(TAPER_RUNTIME, "Boolean alpha only supported for Boolean results.");
    if (TAPER_UNLIKELY(c->args[2].kind == TAPER_ARG_FLOAT && !taper_dtype_is_float(dtype)))
        return TAPER_FAIL(TAPER_RUNTIME, "For integral input tensors, argument alpha must not be a floating point number.");
    return TAPER_OK;
}
static taper_tensor *arithmetic_scaled(taper_scope *s, taper_tensor *grad, const taper_arg *alpha, double sign) {
    double k = sign * taper_arg_double(alpha);
    return k == 1 ? grad : k == -1 ? tx_neg(s, grad) : vx_scale(s, grad, k);
}

#define add_infer arithmetic_infer
static taper_status add_run(taper_call *c) { return taper__pointwise(c, 2, TAPER_PW_SAME, TAPER_LOOP(add)); }
TAPER_POINTWISE_KERNELS(add);

static taper_status add_vjp(taper_vjp *v) {
    taper_scope *s = v->scope;
    if (v->need[0]) v->d[0] = taper__sum_to(s, v->grad[0], v->args[0].t);
    if (v->need[1]) v->d[1] = taper__sum_to(s, arithmetic_scaled(s, v->grad[0], &v->args[2], 1), v->args[1].t);
    return s->status;
}
TAPER_POINTWISE_OP(add, add_vjp, 0, {"[2,3], [2,3]"}, {"[2,3], [3]"}, {"[2,1,3], [4,1], alpha=0.5"}, {"[2,3], 2.5"},
                   {"[3]:i64, [3]"}, {"[3]:bool, [3]:bool"}, {"[3]:u8, [3]:i8"}, {"[0,3], [1]"},
                   {"[2,3], [4]", .error = "must match the size of tensor b (4)"},
                   {"[3]:i64, [3]:i64, alpha=0.5", .error = "alpha must not be a floating point number"});

static taper_status sub_infer(taper_call *c) {
    int bools = 0, tensors = 0;
    for (int k = 0; k < 2; k++) {
        const taper_arg *a = &c->args[k];
        tensors += a->kind == TAPER_ARG_TENSOR;
        bools += a->kind == TAPER_ARG_BOOL || (a->kind == TAPER_ARG_TENSOR && a->t->dtype == TAPER_BOOL);
    }
    if (TAPER_UNLIKELY(bools == 2))
        return TAPER_FAIL(TAPER_RUNTIME, "Subtraction, the `-` operator, with two bool tensors is not supported. Use the `^` or "
                                         "`logical_xor()` operator instead.");
    if (TAPER_UNLIKELY(bools && tensors))
        return TAPER_FAIL(TAPER_RUNTIME, "Subtraction, the `-` operator, with a bool tensor is not supported. If you are trying to invert a "
                                         "mask, use the `~` or `logical_not()` operator instead.");
    return arithmetic_infer(c);
}
static taper_status sub_run(taper_call *c) { return taper__pointwise(c, 2, TAPER_PW_SAME, TAPER_LOOP(sub)); }
TAPER_POINTWISE_KERNELS(sub);

static taper_status sub_vjp(taper_vjp *v) {
    taper_scope *s = v->scope;
    if (v->need[0]) v->d[0] = taper__sum_to(s, v->grad[0], v->args[0].t);
    if (v->need[1]) v->d[1] = taper__sum_to(s, arithmetic_scaled(s, v->grad[0], &v->args[2], -1), v->args[1].t);
    return s->status;
}
TAPER_POINTWISE_OP(sub, sub_vjp, 0, {"[2,3], [2,3]"}, {"[2,3], [2,1], alpha=2"}, {"[2,3], 1.5"}, {"[3]:i64, 2"}, {"[3]:u8, [3]:u8"},
                   {"[0], [1]"}, {"[3]:bool, [3]:bool", .error = "with two bool tensors is not supported"},
                   {"[3]:bool, [3]", .error = "with a bool tensor is not supported"});

#define rsub_infer sub_infer
static taper_status rsub_run(taper_call *c) { return taper__pointwise(c, 2, TAPER_PW_SAME, TAPER_LOOP(rsub)); }
TAPER_POINTWISE_KERNELS(rsub);

static taper_status rsub_vjp(taper_vjp *v) {
    taper_scope *s = v->scope;
    if (v->need[0]) v->d[0] = taper__sum_to(s, arithmetic_scaled(s, v->grad[0], &v->args[2], -1), v->args[0].t);
    if (v->need[1]) v->d[1] = taper__sum_to(s, v->grad[0], v->args[1].t);
    return s->status;
}
TAPER_POINTWISE_OP(rsub, rsub_vjp, 0, {"[2,3], [3]"}, {"[2,3], 1"}, {"[2,3], 1.5, alpha=3"}, {"[3]:i64, 4"}, {"[0,2], 1"},
                   {"[3]:bool, [3]", .error = "with a bool tensor is not supported"});

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
    .saves = TAPER_SAVE_BOTH,
    .saves_when = {1u << 1, 1u << 0}, /* each for the gradient of the other */
    .pointwise = true,
    .samples = (const taper_sample[]){{"[2,3], [2,3]"},
                                      {"[2,3], [3]"},
                                      {"[4], -2"},
                                      {"[3]:bool, [3]:bool"},
                                      {"[2]:i32, 1.5"},
                                      {"[0,3], [3]"},
                                      {"[2,3], [3,2]", .error = "must match the size"},
                                      {0}},
};

static taper_status neg_infer(taper_call *c) {
    if (c->args[0].t->dtype == TAPER_BOOL)
        return TAPER_FAIL(TAPER_RUNTIME, "Negation, the `-` operator, on a bool tensor is not supported. If you are trying to invert a "
                                         "mask, use the `~` or `logical_not()` operator instead.");
    return taper__pointwise_infer(c, 1, TAPER_PW_SAME);
}
static taper_status neg_run(taper_call *c) { return taper__pointwise(c, 1, TAPER_PW_SAME, TAPER_LOOP(neg)); }
TAPER_POINTWISE_KERNELS(neg);

static taper_status neg_vjp(taper_vjp *v) {
    v->d[0] = tx_neg(v->scope, v->grad[0]);
    return v->scope->status;
}
TAPER_POINTWISE_OP(neg, neg_vjp, 0, {"[2,3]"}, {"[3]:i64"}, {"[3]:u8"}, {"[0]"}, {"[3]:bool", .error = "on a bool tensor is not supported"});

static taper_status positive_compose(taper_call *c, taper_scope *s) {
    if (c->args[0].t->dtype == TAPER_BOOL) return TAPER_FAIL(TAPER_RUNTIME, "The `+` operator, on a bool tensor is not supported.");
    c->out[0] = taper_scope_keep(s, c->args[0].t);
    c->nout = 1;
    return TAPER_OK;
}
const taper_op taper_op_positive = {
    .compose = positive_compose,
    .samples = (const taper_sample[]){{"[2,3]"}, {"[3]:i64"}, {"[0]"}, {"[2]:bool", .error = "on a bool tensor is not supported"}, {0}},
};

static taper_status abs_infer(taper_call *c) {
    if (c->args[0].t->dtype == TAPER_BOOL) return TAPER_FAIL(TAPER_NOT_IMPLEMENTED, "\"abs_cpu\" not implemented for 'Bool'");
    return taper__pointwise_infer(c, 1, TAPER_PW_SAME);
}
static taper_status abs_run(taper_call *c) { return taper__pointwise(c, 1, TAPER_PW_SAME, TAPER_LOOP(abs)); }
TAPER_POINTWISE_KERNELS(abs);

static taper_status abs_vjp(taper_vjp *v) {
    v->d[0] = tx_mul(v->scope, v->grad[0], tx_sgn(v->scope, v->args[0].t));
    return v->scope->status;
}
TAPER_POINTWISE_OP(abs, abs_vjp, TAPER_SAVE_SELF, {"[2,3]"}, {"[4]:i64"}, {"[3]:u8"}, {"[0]"}, {"[2]:bool", .error = "not implemented for 'Bool'"});

TAPER_POINTWISE(sign, 1, SAME);

/* Also that of every function made of steps. */
static taper_status sign_vjp(taper_vjp *v) {
    v->d[0] = taper__zeros_like(v->scope, v->grad[0]);
    return v->scope->status;
}
TAPER_POINTWISE_OP(sign, sign_vjp, 0, {"[2,3]"}, {"[4]:i64"}, {"[3]:bool"}, {"[0]"});

#define sgn_infer sign_infer
#define sgn_kernels sign_kernels
TAPER_POINTWISE_OP(sgn, sign_vjp, 0, {"[2,3]"}, {"[4]:i32"}, {"[0]"});

static taper_status square_infer(taper_call *c) { /* bool: a power with an integer exponent */
    return c->args[0].t->dtype == TAPER_BOOL ? taper__pointwise_shape(c, 1, TAPER_I64) : taper__pointwise_infer(c, 1, TAPER_PW_SAME);
}
static taper_status square_run(taper_call *c) { return taper__pointwise(c, 1, TAPER_PW_SAME, TAPER_LOOP(square)); }
TAPER_POINTWISE_KERNELS(square);

static taper_status square_vjp(taper_vjp *v) {
    v->d[0] = vx_scale(v->scope, tx_mul(v->scope, v->grad[0], v->args[0].t), 2);
    return v->scope->status;
}
TAPER_POINTWISE_OP(square, square_vjp, TAPER_SAVE_SELF, {"[2,3]"}, {"[4]:i64"}, {"[4]:bool"}, {"[0]"});

TAPER_POINTWISE(reciprocal, 1, FLOAT);

static taper_status reciprocal_vjp(taper_vjp *v) {
    taper_scope *s = v->scope;
    v->d[0] = tx_neg(s, tx_mul(s, v->grad[0], tx_square(s, v->out[0])));
    return s->status;
}
TAPER_POINTWISE_OP(reciprocal, reciprocal_vjp, TAPER_SAVE_RESULT, {"[2,3]:pos"}, {"[4]:i64<5"}, {"[0]"});

TAPER_POINTWISE(addcmul, 3, SAME);

static taper_status addcmul_vjp(taper_vjp *v) {
    taper_scope *s = v->scope;
    if (v->need[0]) v->d[0] = taper__sum_to(s, v->grad[0], v->args[0].t);
    taper_tensor *g = v->need[1] || v->need[2] ? arithmetic_scaled(s, v->grad[0], &v->args[3], 1) : NULL;
    if (v->need[1]) v->d[1] = taper__sum_to(s, tx_mul(s, g, taper__operand(v, 2)), v->args[1].t);
    if (v->need[2]) v->d[2] = taper__sum_to(s, tx_mul(s, g, taper__operand(v, 1)), v->args[2].t);
    return s->status;
}
TAPER_POINTWISE_OP(addcmul, addcmul_vjp, TAPER_SAVE_ARG(1) | TAPER_SAVE_ARG(2), {"[2,3], [2,3], [2,3]"},
                   {"[2,3], [3], [2,1], value=0.5"}, {"[3]:i64, [3]:i64, [3]:i64, value=2"}, {"[0], [0], [0]"},
                   {"[2,3], [4], [3]", .error = "must match the size"});

static taper_status addcdiv_infer(taper_call *c) {
    if (!taper_dtype_is_float(taper__pointwise_dtype(c, 3, TAPER_PW_SAME)))
        return TAPER_FAIL(TAPER_RUNTIME, "Integer division with addcdiv is no longer supported, and in a future  release addcdiv will perform "
                                         "a true division of tensor1 and tensor2. Use (input + value * torch.trunc(tensor1 / "
                                         "tensor2)).to(input.dtype) or (input + value * (tensor1 / tensor2)) for float inputs.");
    return taper__pointwise_infer(c, 3, TAPER_PW_SAME);
}
static taper_status addcdiv_run(taper_call *c) { return taper__pointwise(c, 3, TAPER_PW_SAME, TAPER_LOOP(addcdiv)); }
TAPER_POINTWISE_KERNELS(addcdiv);

static taper_status addcdiv_vjp(taper_vjp *v) {
    taper_scope *s = v->scope;
    if (v->need[0]) v->d[0] = taper__sum_to(s, v->grad[0], v->args[0].t);
    if (!v->need[1] && !v->need[2]) return s->status;
    taper_tensor *g = vx_div(s, arithmetic_scaled(s, v->grad[0], &v->args[3], 1), taper__operand(v, 2));
    if (v->need[1]) v->d[1] = taper__sum_to(s, g, v->args[1].t);
    if (v->need[2])
        v->d[2] = taper__sum_to(s, tx_neg(s, tx_mul(s, g, vx_div(s, taper__operand(v, 1), taper__operand(v, 2)))), v->args[2].t);
    return s->status;
}
TAPER_POINTWISE_OP(addcdiv, addcdiv_vjp, TAPER_SAVE_ARG(1) | TAPER_SAVE_ARG(2), {"[2,3], [2,3], [2,3]:pos"},
                   {"[2,3], [3], [2,1]:pos, value=0.5"}, {"[0], [0], [0]"},
                   {"[3]:i64, [3]:i64, [3]:i64", .error = "Integer division with addcdiv is no longer supported"});

static taper_status lerp_infer(taper_call *c) {
    const taper_tensor *self = c->args[0].t;
    static const char *const names[] = {"self", "end", "weight"};
    TAPER_TRY(taper__need_float(self, "lerp"));
    for (int k = 1; k < 3; k++) {
        const taper_tensor *t = TAPER_ARG_T(c, k);
        if (t && !t->number && t->dtype != self->dtype)
            return TAPER_FAIL(TAPER_RUNTIME, "lerp: expected dtype %s for `%s` but got dtype %s", taper_dtype_name((taper_dtype)self->dtype),
                              names[k], taper_dtype_name((taper_dtype)t->dtype));
    }
    return taper__pointwise_infer(c, 3, TAPER_PW_SAME);
}
static taper_status lerp_run(taper_call *c) { return taper__pointwise(c, 3, TAPER_PW_SAME, TAPER_LOOP(lerp)); }
TAPER_POINTWISE_KERNELS(lerp);

static taper_status lerp_vjp(taper_vjp *v) {
    taper_scope *s = v->scope;
    taper_tensor *w = taper__operand(v, 2), *g = v->grad[0];
    if (v->need[0]) v->d[0] = taper__sum_to(s, vx_sub(s, g, tx_mul(s, g, w)), v->args[0].t);
    if (v->need[1]) v->d[1] = taper__sum_to(s, tx_mul(s, g, w), v->args[1].t);
    if (v->need[2]) v->d[2] = taper__sum_to(s, tx_mul(s, g, vx_sub(s, v->args[1].t, v->args[0].t)), v->args[2].t);
    return s->status;
}
const taper_op taper_op_lerp = {
    .infer = lerp_infer,
    .kernels = lerp_kernels,
    .vjp = lerp_vjp,
    .saves = TAPER_SAVE_BOTH | TAPER_SAVE_ARG(2),
    .saves_when = {1u << 2, 1u << 2},
    .pointwise = true,
    .samples = (const taper_sample[]){{"[2,3], [2,3], [2,3]:unit"},
                                      {"[2,3], [3], 0.25"},
                                      {"[2,3], [2,1], 0.75"},
                                      {"[0], [0], 0.5"},
                                      {"[3]:f32, [3]:f64, 0.5", .error = "for `end` but got dtype"},
                                      {0}},
};
