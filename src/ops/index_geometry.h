/* Index arithmetic of the GPU's side of indexing, in plain C. */
#ifndef TAPER_OPS_INDEX_GEOMETRY_H
#define TAPER_OPS_INDEX_GEOMETRY_H

#include "ops/index_args.h"

/* Appends a dim to the iteration of k, merging it with the one before where all three strides allow. */
void taper__move_dim(taper_move_args *k, int64_t shape, int64_t self, int64_t other, int64_t index);
/* Turns runs of elements of `bytes` into units of up to 16 bytes where both sides are contiguous and aligned; gives the
 * bytes of a unit. */
int taper__move_widen(taper_move_args *k, int bytes);
/* Bits that the numbers 0 .. most need; at least 1. */
int taper__index_bits(int64_t most);
/* The largest offset in a tensor of this shape. */
int64_t taper__index_extent(int ndim, const int64_t *shape, const int64_t *strides);

#endif
