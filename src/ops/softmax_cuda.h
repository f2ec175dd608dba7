/* Geometry of softmax over rows on the GPU. */
#ifndef TAPER_OPS_SOFTMAX_CUDA_H
#define TAPER_OPS_SOFTMAX_CUDA_H

#include "device/cuda/cuda.h"

enum { TAPER_SOFTMAX_SIZES = 10 };

/* Which of the kernels takes rows of n elements of `size` bytes, and its grid. The last one takes any length, and rows that do
 * not begin at 16-byte boundaries. */
int taper__softmax_cut(taper_cuda_geometry *g, int64_t rows, int64_t n, int size, bool aligned, bool backward);

#endif
