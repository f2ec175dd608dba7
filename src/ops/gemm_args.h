/* What the GPU's own matrix product gets by value, for C and CUDA C++: c = alpha a b + beta c + bias, any strides. */
#ifndef TAPER_OPS_GEMM_ARGS_H
#define TAPER_OPS_GEMM_ARGS_H

#include <stdint.h>

enum { TAPER_GEMM_TILE = 64, TAPER_GEMM_THREADS_PLAIN = 256, TAPER_GEMM_THREADS_MMA = 128 };

typedef struct taper_gemm_args {
    const void *a, *b, *bias;
    void *c; /* row-major [batch][m][n] */
    int64_t m, n, k, batch;
    int64_t a_row, a_col, a_batch, b_row, b_col, b_batch;
    double alpha, beta;
    int dtype;
} taper_gemm_args;

#endif
