/* What gather and the scatter family share. */
#ifndef TAPER_OPS_GATHER_H
#define TAPER_OPS_GATHER_H

#include "ops/op.h"

typedef enum taper_gather_what { TAPER_GATHER, TAPER_SCATTER, TAPER_SCATTER_ADD, TAPER_SCATTER_MUL, TAPER_SCATTER_MAX, TAPER_SCATTER_MIN } taper_gather_what;

/* Shapes and dtype of index against self and (may be NULL) src; *dim: wrapped. */
taper_status taper__gather_check(const char *op, const taper_tensor *self, const taper_tensor *index, const taper_tensor *src, int64_t dim_arg, int *dim);
/* self[..., index[i], ...] and other[..., i, ...] meet; other may be one element. RUNTIME for a position out of bounds. CPU. */
taper_status taper__gather_move(taper_tensor *self, const taper_tensor *index, taper_tensor *other, int dim, taper_gather_what what);

#endif
