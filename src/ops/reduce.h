/* Reductions over dims: the shape rules and loops that sum, mean, max and their relatives share. */
#ifndef TAPER_OPS_REDUCE_H
#define TAPER_OPS_REDUCE_H

#include "ops/op.h"

typedef enum taper_reduce_kind { TAPER_REDUCE_SUM } taper_reduce_kind;

/* out[i]: the shape of args[0] with the dims of `dims` (INT, INTS or none: all) removed, or 1 with keepdim. */
taper_status taper__reduce_infer(taper_call *c, int i, taper_dtype dtype, const taper_arg *dims, bool keepdim);
/* out[0] from args[0]. Order of additions is fixed by the shape alone. */
taper_status taper__reduce_cpu(taper_call *c, taper_reduce_kind kind, const taper_arg *dims);
taper_status taper__reduce_cuda(taper_call *c, taper_reduce_kind kind, const taper_arg *dims);
/* grad with the reduced dims put back as size 1, ready to be expanded to the shape of self. */
taper_tensor *taper__reduce_restore(taper_scope *s, taper_tensor *grad, const taper_tensor *self, const taper_arg *dims);

#endif
