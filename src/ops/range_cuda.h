/* Numbers made on the GPU. */
#ifndef TAPER_OPS_RANGE_CUDA_H
#define TAPER_OPS_RANGE_CUDA_H

#include "ops/op.h"
#include "ops/range_args.h"

/* Fills out, which is contiguous; k says how, but for .out, .n and .dtype. */
taper_status taper__range_cuda(taper_tensor *out, taper_range_args *k, const char *op);

#endif
