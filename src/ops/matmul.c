/* mm: the matrix product every other product comes down to. */
#include "ops/gemm.h"
#include "ops/op.h"

static taper_status mm_infer(taper_call *c) {
    const taper_tensor *a = c->args[0].t, *b = c->args[1].t;
    if (a->ndim != 2 || b->ndim != 2)
        return TAPER_FAIL(TAPER_RUNTIME, "mm: both arguments must be matrices, got %s and %s", TAPER_TEXT(a), TAPER_TEXT(b));
    if (a->shape[1] != b->shape[0])
        return TAPER_FAIL(TAPER_RUNTIME, "mat1 and mat2 shapes cannot be multiplied (%lldx%lld and %lldx%lld)", (long long)a->shape[0],
                          (long long)a->shape[1], (long long)b->shape[0], (long long)b->shape[1]);
    if (a->dtype != b->dtype)
        return TAPER_FAIL(TAPER_RUNTIME, "expected mat1 and mat2 to have the same dtype, but got: %s != %s",
                          taper_dtype_name((taper_dtype)a->dtype), taper_dtype_name((taper_dtype)b->dtype));
    TAPER_TRY(taper__need_same_device(c));
    int64_t shape[2] = {a->shape[0], b->shape[1]};
    return taper__out(c, 0, (taper_dtype)a->dtype, 2, shape);
}

static bool mm_supports(const taper_call *c, const char **why) {
    if (taper_dtype_is_float((taper_dtype)c->args[0].t->dtype)) return true;
    *why = "needs a floating dtype";
    return false;
}

static taper_status mm_cpu(taper_call *c) {
    const taper_tensor *a = c->args[0].t, *b = c->args[1].t;
    taper_gemm g = {.m = a->shape[0],
                    .n = b->shape[1],
                    .k = a->shape[1],
                    .batch = {1, 1},
                    .alpha = 1,
                    .a = taper__data(a),
                    .a_row = a->strides[0],
                    .a_col = a->strides[1],
                    .b = taper__data(b),
                    .b_row = b->strides[0],
                    .b_col = b->strides[1],
                    .c = taper__data(c->out[0]),
                    .c_row = b->shape[1]};
    return a->dtype == TAPER_F64 ? taper__dgemm(&g) : taper__sgemm(&g);
}
static const taper_kernel mm_kernels[] = {{"cpu", TAPER_CPU, mm_supports, mm_cpu}, {0}};

static double mm_flops(const taper_call *c) {
    return 2.0 * (double)c->args[0].t->shape[0] * (double)c->args[0].t->shape[1] * (double)c->args[1].t->shape[1];
}

/* dA = G B^T, dB = A^T G */
static taper_status mm_vjp(taper_vjp *v) {
    taper_scope *s = v->scope;
    if (v->need[0]) v->d[0] = tx_mm(s, v->grad[0], tx_transpose(s, v->args[1].t, 0, 1));
    if (v->need[1]) v->d[1] = tx_mm(s, tx_transpose(s, v->args[0].t, 0, 1), v->grad[0]);
    return s->status;
}

const taper_op taper_op_mm = {
    .infer = mm_infer,
    .kernels = mm_kernels,
    .vjp = mm_vjp,
    .saves = TAPER_SAVE_ARG(0) | TAPER_SAVE_ARG(1),
    .saves_when = {[0] = 1 << 1, [1] = 1 << 0},
    .flops = mm_flops,
    .upcast = true,
    .samples = (const taper_sample[]){{"[2,3], [3,4]"},
                                      {"[5,0], [0,4]"},
                                      {"[33,17], [17,65]"},
                                      {"[2,3], [4,5]", .error = "cannot be multiplied (2x3 and 4x5)"},
                                      {0}},
};
