/* Reductions over dims: the shape rules and the walk over any layout that sum, mean, max and their relatives share. */
#ifndef TAPER_OPS_REDUCE_H
#define TAPER_OPS_REDUCE_H

#include "ops/op.h"
#include "ops/reduce_loops.h"

/* From what was folded of n elements to the result; m and p are those of the reduction. */
typedef double (*taper_reduce_finish)(double folded, int64_t n, double m, double p);

/* One pass over `in`. Elements are folded in the compute type of `dtype`, in an order fixed by the shape alone. */
typedef struct taper_reduction {
    taper_reduce_kind kind;
    const taper_tensor *in;
    uint32_t mask;       /* the reduced dims */
    taper_dtype dtype;
    taper_tensor *out;   /* contiguous; NULL: only `folded` is wanted */
    void *folded;        /* NULL, or room for a double (integers: int64_t) per result: values before finish */
    const double *m;     /* a number per result, as reduce_rows.def wants it; NULL: 0 */
    double p;
    taper_reduce_finish finish; /* NULL: none. Floats only. */
} taper_reduction;
taper_status taper__reduce(const taper_reduction *r, const char *op);

/* out[i]: the shape of args[0] with the dims of `dims` (INT, INTS or none: all) removed, or 1 with keepdim. */
taper_status taper__reduce_infer(taper_call *c, int i, taper_dtype dtype, const taper_arg *dims, bool keepdim);
/* Likewise; INDEX in torch's words when a reduced dim is empty. */
taper_status taper__reduce_infer_filled(taper_call *c, int i, taper_dtype dtype, const taper_arg *dims, bool keepdim);
/* out[0] from args[0], folded in the dtype of whichever is floating; no finish. */
taper_status taper__reduce_cpu(taper_call *c, taper_reduce_kind kind, const taper_arg *dims);
taper_status taper__reduce_cuda(taper_call *c, taper_reduce_kind kind, const taper_arg *dims);
/* How many elements each result is made of. */
int64_t taper__reduce_count(const taper_tensor *self, const taper_arg *dims);

/* grad with the reduced dims put back as size 1, ready to be expanded to the shape of self. */
taper_tensor *taper__reduce_restore(taper_scope *s, taper_tensor *grad, const taper_tensor *self, const taper_arg *dims);
/* The same, expanded and in the dtype of self. */
taper_tensor *taper__reduce_spread(taper_scope *s, taper_tensor *grad, const taper_tensor *self, const taper_arg *dims);
/* dims as the list that tx_sum and its relatives take. */
int taper__reduce_dims(int64_t *list, const taper_tensor *self, const taper_arg *dims);

#endif
