/* Element-wise loops in float. */
#include "ops/pointwise_block.h"

#define real float
#define M(f) f32_##f
#define PW_N(name, operands, result, expression, ...) PW_LOOP(name, operands, result, expression)
#define PW_F(name, operands, result, expression) PW_LOOP(name, operands, result, expression)
#include "ops/pointwise_rows.def"
#undef PW_N
#undef PW_F

/* The vector loops know small angles only: a second pass looks for others, block by block while they are in L1. The
 * input is read again, so it must still be there: a call in place takes a copy of it first. */
static void trig_fix(void *out, const void *const *in, int64_t n, const double *params, taper_block_fn loop,
                     float (*exact)(float)) {
    float copy[TAPER_BLOCK], *y = out;
    const float *x = in[0];
    for (int64_t at = 0; at < n; at += TAPER_BLOCK) {
        int64_t m = n - at < TAPER_BLOCK ? n - at : TAPER_BLOCK;
        const void *block[1] = {x + at};
        int large = 0;
        for (int64_t i = 0; i < m; i++) large |= !(fabsf(x[at + i]) <= VM_TRIG_LIMIT);
        if (large) block[0] = memcpy(copy, x + at, sizeof *copy * (size_t)m);
        loop(y + at, block, m, params);
        for (int64_t i = 0; large && i < m; i++)
            if (!(fabsf(copy[i]) <= VM_TRIG_LIMIT)) y[at + i] = exact(copy[i]);
    }
}
static void sin_exact_loop(void *out, const void *const *in, int64_t n, const double *params) {
    trig_fix(out, in, n, params, sin_loop, sinf);
}
static void cos_exact_loop(void *out, const void *const *in, int64_t n, const double *params) {
    trig_fix(out, in, n, params, cos_loop, cosf);
}

#define sin_loop sin_exact_loop
#define cos_loop cos_exact_loop
#define PW_N(name, ...) .name = name##_loop,
#define PW_F(name, ...) .name = name##_loop,
const taper_pointwise_loops TAPER_SIMD(taper__pointwise_f32) = {
#include "ops/pointwise_rows.def"
};
