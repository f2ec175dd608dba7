/* Reductions on the GPU over a set of dims. */
#ifndef TAPER_OPS_REDUCE_CUDA_H
#define TAPER_OPS_REDUCE_CUDA_H

#include "device/cuda/cuda.h"
#include "ops/op.h"
#include "ops/reduce_args.h"

typedef enum taper_reduce_row { TAPER_RED_SUM, TAPER_RED_PROD, TAPER_RED_MAX, TAPER_RED_MIN, TAPER_RED_ANY, TAPER_RED_ALL, TAPER_RED_COUNT } taper_reduce_row;

/* out (contiguous) = in reduced over the dims of mask, times scale. */
taper_status taper__reduce_device(taper_tensor *out, const taper_tensor *in, uint32_t mask, taper_reduce_row row, double scale, const char *op);
/* Cuts the work: width, columns, parts and chunk, by the shape alone. */
void taper__reduce_cut(taper_reduce_args *k);

#endif
