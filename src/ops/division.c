/* Division in its four roundings, and the two remainders. */
#include "ops/pointwise_loops.h"
#include "ops/vjp_expr.h"


/* The processor has no integer x / 0; torch raises, and so do we. Only the CPU looks: a GPU gives 0. */
static taper_status division_check(const taper_call *c) {
    enum { BLOCK = 512 };
    const taper_arg *a = &c->args[1];
    bool zero = false;
    if (c->device.type != TAPER_CPU || taper_dtype_is_float(taper__pointwise_dtype(c, 2, TAPER_PW_SAME))) return TAPER_OK;
    if (a->kind == TAPER_ARG_TENSOR) {
        taper_iter it;
        int64_t block[BLOCK];
        taper_tensor *t = a->t;
        taper__iter_init(&it, t, NULL, 0);
        int64_t inner = it.shape[it.ndim - 1], size = (int64_t)taper_dtype_size(it.dtype[0]);
        for (int64_t row = 0; !zero && t->numel && row < t->numel / inner; row++) {
            int64_t rest = row, at = 0;
            for (int d = it.ndim - 2; d >= 0; d--) {
                at += rest % it.shape[d] * it.strides[0][d];
                rest /= it.shape[d];
            }
            for (int64_t i = 0; !zero && i < inner; i += BLOCK) {
                int64_t n = inner - i < BLOCK ? inner - i : BLOCK, stride = it.strides[0][it.ndim - 1];
                taper__convert(block, TAPER_I64, 1, (const char *)it.data[0] + (at + i * stride) * size, it.dtype[0], stride, n);
                for (int64_t k = 0; k < n; k++) zero |= block[k] == 0;
            }
        }
    } else {
        zero = a->i == 0;
    }
    return zero ? TAPER_FAIL(TAPER_RUNTIME, "ZeroDivisionError") : TAPER_OK;
}

typedef enum division_mode { DIVISION_TRUE, DIVISION_TRUNC, DIVISION_FLOOR, DIVISION_UNKNOWN } division_mode;
static division_mode div_mode(const taper_arg *a) {
    if (a->kind != TAPER_ARG_STRING) return DIVISION_TRUE;
    return !strcmp(a->s, "trunc") ? DIVISION_TRUNC : !strcmp(a->s, "floor") ? DIVISION_FLOOR : DIVISION_UNKNOWN;
}

static taper_status div_infer(taper_call *c) {
    division_mode mode = div_mode(&c->args[2]);
    if (TAPER_UNLIKELY(mode == DIVISION_UNKNOWN))
        return TAPER_FAIL(TAPER_RUNTIME, "div expected rounding_mode to be one of None, 'trunc', or 'floor' but found '%s'", c->args[2].s);
    return taper__pointwise_infer(c, 2, mode == DIVISION_TRUE ? TAPER_PW_FLOAT : TAPER_PW_SAME);
}
static taper_status div_run(taper_call *c) {
    division_mode mode = div_mode(&c->args[2]);
    if (mode == DIVISION_TRUE) return taper__pointwise(c, 2, TAPER_PW_FLOAT, TAPER_LOOP(div));
    TAPER_TRY(division_check(c));
    return taper__pointwise(c, 2, TAPER_PW_SAME, mode == DIVISION_TRUNC ? TAPER_LOOP(div_trunc) : TAPER_LOOP(div_floor));
}
TAPER_POINTWISE_KERNELS(div);

static taper_status div_vjp(taper_vjp *v) {
    taper_scope *s = v->scope;
    bool steps = v->args[2].kind == TAPER_ARG_STRING;
    taper_tensor *other = taper__operand(v, 1), *g = v->grad[0];
    for (int k = 0; steps && k < 2; k++)
        if (v->need[k]) v->d[k] = taper__zeros_like(s, v->args[k].t);
    if (steps) return s->status;
    taper_tensor *d = vx_div(s, g, other);
    if (v->need[0]) v->d[0] = taper__sum_to(s, d, v->args[0].t);
    if (v->need[1]) v->d[1] = taper__sum_to(s, tx_neg(s, tx_mul(s, d, vx_div(s, taper__operand(v, 0), other))), v->args[1].t);
    return s->status;
}
const taper_op taper_op_div = {
    .infer = div_infer,
    .kernels = div_kernels,
    .vjp = div_vjp,
    .saves = TAPER_SAVE_BOTH,
    .saves_when = {1u << 1},
    .pointwise = true,
    .samples = (const taper_sample[]){{"[2,3], [2,3]:pos"},
                                      {"[2,3], [3]:pos"},
                                      {"[4], -2"},
                                      {"[4]:i64, 2"},
                                      {"[0,3], [3]"},
                                      {"[4]:nograd, [4]:pos:nograd, rounding_mode=floor"},
                                      {"[4]:nograd, [4]:pos:nograd, rounding_mode=trunc"},
                                      {"[9]:i64, -4, rounding_mode=floor"},
                                      {"[9]:i64, -4, rounding_mode=trunc"},
                                      {"[2]:i64, 0, rounding_mode=floor", .error = "ZeroDivisionError"},
                                      {"[2], [2], rounding_mode=up", .error = "to be one of None, 'trunc', or 'floor' but found 'up'"},
                                      {0}},
};

#define DIVISION_KERNELS(name, loop)                                                                                   \
    static taper_status name##_infer(taper_call *c) { return taper__pointwise_infer(c, 2, TAPER_PW_SAME); }            \
    static taper_status name##_run(taper_call *c) {                                                                    \
        TAPER_TRY(division_check(c));                                                                                  \
        return taper__pointwise(c, 2, TAPER_PW_SAME, TAPER_LOOP(loop));                                                \
    }                                                                                                                  \
    TAPER_POINTWISE_KERNELS(name)

DIVISION_KERNELS(floor_divide, div_floor);
TAPER_POINTWISE_OP(floor_divide, NULL, 0, {"[5], [5]:pos"}, {"[5], -0.7"}, {"[9]:i64, -4"}, {"[6]:u8, 4"}, {"[0], 2"},
                   {"[3]:i64, 0", .error = "ZeroDivisionError"});

/* Both remainders: 1 for self, minus the quotient for other. */
static taper_status division_vjp(taper_vjp *v, const char *rounding) {
    taper_scope *s = v->scope;
    if (v->need[0]) v->d[0] = taper__sum_to(s, v->grad[0], v->args[0].t);
    if (v->need[1]) {
        taper_tensor *q = tx_div(s, taper__operand(v, 0), v->args[1].t, rounding);
        v->d[1] = taper__sum_to(s, tx_neg(s, tx_mul(s, v->grad[0], q)), v->args[1].t);
    }
    return s->status;
}
static taper_status remainder_vjp(taper_vjp *v) { return division_vjp(v, "floor"); }
static taper_status fmod_vjp(taper_vjp *v) { return division_vjp(v, "trunc"); }

DIVISION_KERNELS(remainder, remainder);
TAPER_POINTWISE_OP(remainder, remainder_vjp, TAPER_SAVE_BOTH, {"[2,3], [2,3]:pos:nograd"}, {"[5], -1.5"}, {"[9]:i64, -4"}, {"[9]:i64, 4"},
                   {"[0], 2"}, {"[3]:i64, 0", .error = "ZeroDivisionError"});

DIVISION_KERNELS(fmod, fmod);
TAPER_POINTWISE_OP(fmod, fmod_vjp, TAPER_SAVE_BOTH, {"[2,3], [2,3]:pos:nograd"}, {"[5], -1.5"}, {"[9]:i64, -4"}, {"[0], 2"},
                   {"[3]:i64, 0", .error = "ZeroDivisionError"});
