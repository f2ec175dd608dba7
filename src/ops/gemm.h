/* Matrix multiplication on the CPU: C = act(alpha A B + beta C + bias), batched, operands of any strides. */
#ifndef TAPER_OPS_GEMM_H
#define TAPER_OPS_GEMM_H

#include "base/base.h"

typedef enum taper_gemm_type { TAPER_GEMM_NATIVE, TAPER_GEMM_BF16 } taper_gemm_type;
typedef enum taper_gemm_act { TAPER_GEMM_NONE, TAPER_GEMM_RELU } taper_gemm_act;

/* A is (m, k), B is (k, n), C is (m, n); strides in elements of their own type, of any sign for A and B. A transposed
 * operand is one with its two strides exchanged and costs nothing. Batch strides are 0 where an operand repeats.
 * Elements: float for sgemm, double for dgemm; sgemm also takes A and B in bfloat16. Sums are in the type of C.
 * C must not overlap A, B or bias, and no two elements of C may coincide. */
typedef struct taper_gemm {
    int64_t m, n, k;
    int64_t batch[2]; /* outer, inner; {1, 1} for one product, 0 for none */
    double alpha, beta;
    const void *a;
    int64_t a_row, a_col, a_batch[2];
    const void *b;
    int64_t b_row, b_col, b_batch[2];
    void *c; /* not read when beta is 0 */
    int64_t c_row, c_batch[2];
    const void *bias; /* [n] of the type of C, or NULL */
    taper_gemm_act act;
    taper_gemm_type a_type, b_type;
} taper_gemm;

/* MEMORY when the packing buffer cannot be had; C is then untouched. The same arguments give the same bits for every
 * number of threads: only whole elements of C are divided among threads, never a sum. */
taper_status taper__sgemm(const taper_gemm *g);
taper_status taper__dgemm(const taper_gemm *g);

#endif
