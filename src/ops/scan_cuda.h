/* Running sums and products, and medians, on the GPU. */
#ifndef TAPER_OPS_SCAN_CUDA_H
#define TAPER_OPS_SCAN_CUDA_H

#include "device/cuda/cuda.h"
#include "ops/op.h"
#include "ops/scan_args.h"

/* out = the running sum (or product) of self along dim; both contiguous. */
taper_status taper__scan_cuda(taper_tensor *out, const taper_tensor *self, int dim, bool product, const char *op);
/* values (and places, or NULL): the lower median of each line of n elements, `inner` apart, of contiguous self. */
taper_status taper__median_cuda(taper_tensor *values, taper_tensor *places, const taper_tensor *self, int64_t n, int64_t inner);
/* Sets chunk and chunks from outer, n and inner alone, and wide. */
void taper__scan_cut(taper_scan_args *k);

#endif
