/* Block loops of the element-wise operators, compiled once per instruction set. Operands and result of one call are
 * either the same block or do not overlap, hence ivdep. */
#include "ops/pointwise_loops.h"
#include "ops/vmath.h"

#define PW_IN_1(R) const R *A = in[0];
#define PW_IN_2(R) PW_IN_1(R) const R *B = in[1];
#define PW_IN_3(R) PW_IN_2(R) const R *C = in[2];
#define PW_LET_1(R) const R a = A[i];
#define PW_LET_2(R) PW_LET_1(R) const R b = B[i];
#define PW_LET_3(R) PW_LET_2(R) const R c = C[i];
#define PW_OUT_SAME(R) R
#define PW_OUT_FLOAT(R) R
#define PW_OUT_BOOL(R) uint8_t

#if defined(__clang__)
#define PW_VECTOR _Pragma("clang loop vectorize(enable) interleave(enable)")
#else
#define PW_VECTOR _Pragma("GCC ivdep")
#endif

#define PW_LOOP(name, suffix, R, operands, result, expression)                                                         \
    static void name##_##suffix(void *out, const void *const *in, int64_t n, const double *params) {                   \
        typedef R real __attribute__((unused));                                                                                             \
        (void)params;                                                                                                  \
        PW_OUT_##result(R) *O = out;                                                                                   \
        PW_IN_##operands(R) PW_VECTOR for (int64_t i = 0; i < n; i++) {                                                \
            PW_LET_##operands(R) O[i] = (PW_OUT_##result(R))(expression);                                              \
        }                                                                                                              \
    }

#define P(k) ((real)params[k])

#define MF_exp vm_expf
#define MF_tanh vm_tanhf
#define M(f) MF_##f
#define PW_N(name, operands, result, expression, ...) PW_LOOP(name, f32, float, operands, result, expression)
#define PW_F(name, operands, result, expression) PW_LOOP(name, f32, float, operands, result, expression)
#include "ops/pointwise_rows.def"
#undef PW_N
#undef PW_F
#undef M

#define M(f) f
#define PW_N(name, operands, result, expression, ...) PW_LOOP(name, f64, double, operands, result, expression)
#define PW_F(name, operands, result, expression) PW_LOOP(name, f64, double, operands, result, expression)
#include "ops/pointwise_rows.def"
#undef PW_N
#undef PW_F
#undef M

#define M(f) f
#define PW_N(name, operands, result, expression, integers) PW_LOOP(name, i64, int64_t, operands, result, integers)
#define PW_F(...)
#include "ops/pointwise_rows.def"
#undef PW_N
#undef PW_F

const taper_pointwise_loops TAPER_SIMD(taper__pointwise_loops) = {
#define PW_N(name, ...) .name = {name##_f32, name##_f64, name##_i64},
#define PW_F(name, ...) .name = {name##_f32, name##_f64, NULL},
#include "ops/pointwise_rows.def"
};
