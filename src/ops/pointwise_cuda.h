/* Element-wise work on the GPU: launch geometry and the arguments by value. */
#ifndef TAPER_OPS_POINTWISE_CUDA_H
#define TAPER_OPS_POINTWISE_CUDA_H

#include "device/cuda/cuda.h"
#include "ops/op.h"
#include "ops/pointwise_args.h"

enum { TAPER_PWA_THREADS = 256 };

/* Blocks for n elements, `each` per thread, on a GPU of so many multiprocessors. */
unsigned taper__pointwise_blocks(int64_t n, int each, int multiprocessors);
taper_cuda_geometry taper__pointwise_geometry(const taper_pointwise_args *k, int multiprocessors);
/* From the iterator; operands that are numbers have no data there. */
void taper__pointwise_args_fill(taper_pointwise_args *k, const taper_iter *it);
/* copy_cuda.c: rewrites a copy of equal dtypes in units of 16, 8 or 4 bytes; their log2, 0: none. */
int taper__copy_units(taper_pointwise_args *k);
/* flat = 3 where a call of two dims allows it (a bias added to rows, a mean taken from them). */
bool taper__pointwise_rows(taper_pointwise_args *k, int operands);

#endif
