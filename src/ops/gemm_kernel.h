/* What gemm.c asks of the kernels of one instruction set and element type. */
#ifndef TAPER_OPS_GEMM_KERNEL_H
#define TAPER_OPS_GEMM_KERNEL_H

#include "ops/gemm.h"

enum { GEMM_MAX_ROWS = 14 };

/* What becomes of a tile of sums x: act(alpha x + beta C + bias). */
typedef struct gemm_tail {
    double alpha, beta;
    const void *bias; /* at column 0 of the tile, or NULL */
    bool relu;
} gemm_tail;

/* One tile of C: a[i a_row + p a_col], b[p b_row + j], i < rows of the kernel, j < cols, p < k. a_row or a_col is 1.
 * Rows of b are read up to a whole number of vectors. Each sum is taken in the order of p, whatever the tile's size:
 * results do not depend on how C is cut. */
typedef void gemm_tile_fn(int64_t k, const void *a, int64_t a_row, int64_t a_col, const void *b, int64_t b_row, void *c,
                          int64_t c_row, int cols, const gemm_tail *tail);

/* dst[p stride + w] = src[w across + p along], w < width, p < k; zeros for width <= w < stride. dst is 64-byte aligned,
 * stride a multiple of the vector. */
typedef void gemm_pack_fn(void *dst, int stride, const void *src, int64_t across, int64_t along, int width, int64_t k);

/* dst[i dst_row + p] = src[i src_row + p], p < k, i < rows. */
typedef void gemm_copy_fn(void *dst, int64_t dst_row, const void *src, int64_t src_row, int64_t rows, int64_t k);

/* Matrix times vector for `count` outputs, sums[i] in the order of p: dot has row i of the matrix at m + i m_row,
 * contiguous in p; axpy has row p at m + p m_row, contiguous in i. Bound by reading m once. */
typedef void gemm_vector_fn(int64_t k, const void *m, int64_t m_row, const void *x, void *sums, int64_t count);
/* c[i c_step] = act(alpha sums[i] + beta c + bias[i bias_step]), i < count. */
typedef void gemm_ends_fn(const void *sums, int64_t count, void *c, int64_t c_step, int64_t bias_step,
                          const gemm_tail *tail);

typedef struct gemm_kernels {
    int rows, cols;                       /* of the largest tile; cols is two vectors */
    int a_stride;                         /* rows rounded up to whole vectors: stride of a packed panel of A */
    int depth;                            /* largest k of one pass: a panel of B of this depth stays in L1 */
    gemm_tile_fn *tile[GEMM_MAX_ROWS][2]; /* [rows - 1][vectors - 1] */
    gemm_pack_fn *pack[2];                /* by taper_gemm_type of the source */
    gemm_copy_fn *copy[2];
    gemm_vector_fn *dot, *axpy;
    gemm_ends_fn *ends;
} gemm_kernels;

/* The way for m or n of 1 where an operand allows it; false: not taken. gemm_vector.c */
bool taper__gemm_vector(const taper_gemm *g, const gemm_kernels *kernels, int64_t size);

TAPER_SIMD_DECLARE(gemm_kernels, taper__gemm_f32);
TAPER_SIMD_DECLARE(gemm_kernels, taper__gemm_f64);

#endif
