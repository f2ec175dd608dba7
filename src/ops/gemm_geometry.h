/* How the GPU's own products are cut: tiles, parts of k, shared memory, and which operands the fast kernels take. */
#ifndef TAPER_OPS_GEMM_GEOMETRY_H
#define TAPER_OPS_GEMM_GEOMETRY_H

#include <stdbool.h>

#include "ops/gemm_args.h"

/* Blocks along x for square tiles; more than 2^31 - 1 do not fit a launch. */
int64_t taper__gemm_tiles(int64_t m, int64_t n, int tile);
/* Sets parts and part_k (a multiple of step): enough blocks for `slots` places where the result has few tiles. */
void taper__gemm_cut(taper_gemm_args *g, int tile, int step, int slots);
/* 16-byte copies: an inner stride of 1, rows and batches at multiples of eight 2-byte elements. */
bool taper__gemm_copies16(const void *p, int64_t row, int64_t col, int64_t rows, int64_t cols, int64_t batch_stride, int64_t batch);
unsigned taper__gemm_fast_shared_bytes(void);

#endif
