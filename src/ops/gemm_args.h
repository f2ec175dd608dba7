/* What the GPU's own matrix products get by value, for C and CUDA C++: c = epilogue(alpha a b + beta c + bias), any strides. */
#ifndef TAPER_OPS_GEMM_ARGS_H
#define TAPER_OPS_GEMM_ARGS_H

#include <stdint.h>

/* The plain kernels: 64 x 64 tiles, operands of any strides. */
enum { TAPER_GEMM_TILE = 64, TAPER_GEMM_THREADS_PLAIN = 256, TAPER_GEMM_THREADS_MMA = 128 };
/* float32: 128 x 128 tiles, 8 x 8 elements for each thread. */
enum { TAPER_GEMM_F32_TILE = 128, TAPER_GEMM_F32_K = 8, TAPER_GEMM_F32_THREADS = 256 };
/* Tensor cores: 128 x 128 tiles, four warps of 64 x 64, several stages of 32 elements of k on their way. */
enum { TAPER_GEMM_FAST_TILE = 128, TAPER_GEMM_FAST_K = 32, TAPER_GEMM_FAST_STAGES = 4, TAPER_GEMM_FAST_THREADS = 128,
       TAPER_GEMM_FAST_ALONG = TAPER_GEMM_FAST_K + 8,     /* elements from row to row of a tile with k innermost */
       TAPER_GEMM_FAST_ACROSS = TAPER_GEMM_FAST_TILE + 8, /* and of one with m or n innermost */
       TAPER_GEMM_FAST_OPERAND = TAPER_GEMM_FAST_TILE * TAPER_GEMM_FAST_ALONG, /* room for either */
       TAPER_GEMM_FAST_OUT = TAPER_GEMM_FAST_TILE + 4 /* floats from row to row of the result on its way out */ };
enum { TAPER_GEMM_GROUP = 8 }; /* rows of tiles that are walked together, so that what they read stays in the L2 cache */

/* What is done to alpha a b + beta c + bias before it is stored. */
enum {
    TAPER_GEMM_STORE,
    TAPER_GEMM_GELU,      /* aux gets the sum, c its gelu */
    TAPER_GEMM_GELU_TANH,
    TAPER_GEMM_SLOPE,     /* the sum times the slope of gelu at aux */
    TAPER_GEMM_SLOPE_TANH
};

typedef struct taper_gemm_args {
    const void *a, *b, *bias;
    void *c;   /* row-major [batch][m][n] */
    void *aux; /* [batch][m][n] */
    int64_t m, n, k, batch;
    int64_t a_row, a_col, a_batch, b_row, b_col, b_batch;
    double alpha, beta;
    int dtype, epilogue; /* dtype: of c, bias and aux, and of a and b too but for half precision, which kernels know */
    int parts;      /* k is cut into so many; above 1 the sums go to partial[part][batch][m][n] in float */
    int64_t part_k; /* elements of k in each */
    float *partial;
} taper_gemm_args;

#endif
