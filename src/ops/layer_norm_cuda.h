/* Geometry of layer_norm over rows that are held in registers. */
#ifndef TAPER_OPS_LAYER_NORM_CUDA_H
#define TAPER_OPS_LAYER_NORM_CUDA_H

#include "device/cuda/cuda.h"
#include "ops/layer_norm_args.h"

enum { TAPER_LN_SIZES = 6 };

/* Which of the kernels takes rows of n elements of `size` bytes, and its grid; -1: none (too long, or not whole times 16 bytes). */
int taper__layer_norm_cut(taper_cuda_geometry *g, int64_t rows, int64_t n, int size, bool backward);

#endif
