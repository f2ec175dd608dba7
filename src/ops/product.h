/* Matrix products over tensors: what mm, bmm, addmm, linear and their relatives share. */
#ifndef TAPER_OPS_PRODUCT_H
#define TAPER_OPS_PRODUCT_H

#include "ops/op.h"

/* A matrix, or a batch of them, seen through its strides; a vector is a matrix with one row or column. */
typedef struct taper_matrix {
    const taper_tensor *t;
    int64_t row, col, batch; /* strides in elements */
} taper_matrix;

/* c (batch, m, n) = alpha a b + beta c + bias; c is contiguous. Floating dtypes known to gemm.h, and integers by plain
 * loops in int64 (bias must then be NULL). */
taper_status taper__product(taper_tensor *c, int64_t batch, int64_t m, int64_t n, int64_t k, taper_matrix a, taper_matrix b, double alpha,
                            double beta, const taper_tensor *bias);
/* The same on the GPU; taper__product calls it for results there. */
taper_status taper__product_cuda(taper_tensor *c, int64_t batch, int64_t m, int64_t n, int64_t k, taper_matrix a, taper_matrix b, double alpha,
                                 double beta, const taper_tensor *bias);
/* The same with what is fused to it. */
typedef struct taper_product {
    taper_tensor *c; /* contiguous; of the dtype of a and b, or float32 where they are of half precision */
    int64_t batch, m, n, k;
    taper_matrix a, b;
    double alpha, beta;
    const taper_tensor *bias;
    int epilogue;            /* TAPER_GEMM_... of gemm_args.h */
    taper_tensor *aux;       /* in the shape of c: the argument of gelu */
    taper_tensor *row_sum;   /* NULL, or [m]: the sums of a over k */
    taper_tensor *column_sum; /* NULL, or [n]: the sums of c over m */
} taper_product;
taper_status taper__product_fused_cuda(const taper_product *p);
/* In place t (m, n) *= the slope of gelu at aux (NULL: not), sums (n) = sums over the rows of t (NULL: none). NOT_IMPLEMENTED,
 * without a message, when dtype or alignment do not suit. product_columns.c */
taper_status taper__product_columns_cuda(const taper_tensor *t, int64_t m, int64_t n, const taper_tensor *aux, bool by_tanh, taper_tensor *sums);
bool taper__product_has_cublaslt(const taper_call *c, const char **why);
/* The kernels of an operator whose run function ends in taper__product. */
#define TAPER_PRODUCT_KERNELS(run)                                                                                     \
    {{"cpu", TAPER_CPU, NULL, run}, {"cublaslt", TAPER_CUDA, taper__product_has_cublaslt, run}, {"cuda", TAPER_CUDA, NULL, run}, {0}}
/* Errors in torch's words about dtypes that differ or have no product. */
taper_status taper__product_check(const taper_call *c, const taper_tensor *a, const taper_tensor *b);

#endif
