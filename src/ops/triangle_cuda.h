/* tril and triu on the GPU: self and out contiguous. */
#ifndef TAPER_OPS_TRIANGLE_CUDA_H
#define TAPER_OPS_TRIANGLE_CUDA_H

#include "ops/op.h"
#include "ops/triangle_args.h"

taper_status taper__triangle_cuda(taper_tensor *out, const taper_tensor *self, int64_t diagonal, bool upper, const char *op);

#endif
