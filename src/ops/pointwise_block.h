/* The block loop of one row of pointwise_rows.def in the type `real`, for the three files that are compiled once per
 * instruction set. Operands and result of one call are either the same block or do not overlap, hence ivdep. */
#ifndef TAPER_OPS_POINTWISE_BLOCK_H
#define TAPER_OPS_POINTWISE_BLOCK_H

#include "ops/pointwise_functions.h"
#include "ops/pointwise_loops.h"

#define PW_IN_1 const real *A = in[0];
#define PW_IN_2 PW_IN_1 const real *B = in[1];
#define PW_IN_3 PW_IN_2 const real *C = in[2];
/* Rows for one kind of number leave operands of the other unread. */
#define PW_LET_1 const real a = A[i]; (void)a;
#define PW_LET_2 PW_LET_1 const real b = B[i]; (void)b;
#define PW_LET_3 PW_LET_2 const real c = C[i]; (void)c;
#define PW_OUT_SAME real
#define PW_OUT_FLOAT real
#define PW_OUT_BOOL uint8_t

#if defined(__clang__)
/* Rows that call libm stay scalar, and clang would warn of each. */
#pragma clang diagnostic ignored "-Wpass-failed"
#define PW_VECTOR _Pragma("clang loop vectorize(enable) interleave(enable)")
#else
#define PW_VECTOR _Pragma("GCC ivdep")
#endif

/* Parameters are copied first: the compiler cannot know that results are not written over them. */
#define P(k) p_##k
#define K(x) ((real)(x))

#define PW_LOOP(name, operands, result, expression)                                                                    \
    static void name##_loop(void *out, const void *const *in, int64_t n, const double *params) {                       \
        const real p_0 = (real)params[0], p_1 = (real)params[1], p_2 = (real)params[2];                                \
        (void)p_0, (void)p_1, (void)p_2;                                                                               \
        PW_OUT_##result *O = out;                                                                                      \
        PW_IN_##operands PW_VECTOR for (int64_t i = 0; i < n; i++) {                                                   \
            PW_LET_##operands O[i] = (PW_OUT_##result)(expression);                                                    \
        }                                                                                                              \
    }

#endif
