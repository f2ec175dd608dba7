/* Shape rules of reductions, and what their gradients share. */
#include "ops/reduce.h"

static taper_status reduce_shape(taper_call *c, int i, taper_dtype dtype, const taper_arg *dims, bool keepdim, bool filled) {
    const taper_tensor *self = c->args[0].t;
    uint32_t mask;
    int64_t shape[TAPER_MAX_DIMS];
    int n = 0;
    TAPER_TRY(taper__dim_mask(&mask, dims, self->ndim, c->row->name));
    for (int d = 0; d < self->ndim; d++) {
        bool reduced = mask >> d & 1;
        if (TAPER_UNLIKELY(reduced && filled && self->shape[d] == 0)) {
            if (dims->kind == TAPER_ARG_NONE || (dims->kind == TAPER_ARG_INTS && dims->count == 0))
                return TAPER_FAIL(TAPER_RUNTIME, "%s(): Expected reduction dim to be specified for input.numel() == 0. Specify the reduction dim "
                                                 "with the 'dim' argument (input has shape %s).", c->row->name, TAPER_SHAPE(self));
            return TAPER_FAIL(TAPER_INDEX, "%s(): Expected reduction dim %d to have non-zero size (input has shape %s).", c->row->name, d,
                              TAPER_SHAPE(self));
        }
        if (!reduced) shape[n++] = self->shape[d];
        else if (keepdim) shape[n++] = 1;
    }
    return taper__out(c, i, dtype, n, shape);
}
taper_status taper__reduce_infer(taper_call *c, int i, taper_dtype dtype, const taper_arg *dims, bool keepdim) {
    return reduce_shape(c, i, dtype, dims, keepdim, false);
}
taper_status taper__reduce_infer_filled(taper_call *c, int i, taper_dtype dtype, const taper_arg *dims, bool keepdim) {
    return reduce_shape(c, i, dtype, dims, keepdim, true);
}

/* What infer has checked cannot fail again. */
static uint32_t reduce_mask(const taper_tensor *self, const taper_arg *dims) {
    uint32_t mask = 0;
    if (taper__dim_mask(&mask, dims, self->ndim, "reduce") != TAPER_OK) return 0;
    return mask;
}

taper_status taper__reduce_cpu(taper_call *c, taper_reduce_kind kind, const taper_arg *dims) {
    const taper_tensor *in = c->args[0].t;
    bool wide = taper_dtype_is_float((taper_dtype)c->out[0]->dtype);
    taper_reduction r = {.kind = kind, .in = in, .out = c->out[0], .mask = reduce_mask(in, dims),
                         .dtype = wide ? (taper_dtype)c->out[0]->dtype : (taper_dtype)in->dtype};
    if (wide && taper_dtype_is_float((taper_dtype)in->dtype)) r.dtype = taper_dtype_promote((taper_dtype)in->dtype, r.dtype);
    return taper__reduce(&r, c->row->name);
}

int64_t taper__reduce_count(const taper_tensor *self, const taper_arg *dims) {
    uint32_t mask = reduce_mask(self, dims);
    int64_t n = 1;
    for (int d = 0; d < self->ndim; d++)
        if (mask >> d & 1) n *= self->shape[d];
    return n;
}

int taper__reduce_dims(int64_t *list, const taper_tensor *self, const taper_arg *dims) {
    uint32_t mask = reduce_mask(self, dims);
    int n = 0;
    for (int d = 0; d < self->ndim; d++)
        if (mask >> d & 1) list[n++] = d;
    return n;
}

taper_tensor *taper__reduce_restore(taper_scope *s, taper_tensor *grad, const taper_tensor *self, const taper_arg *dims) {
    int64_t shape[TAPER_MAX_DIMS];
    if (!grad || s->status != TAPER_OK || grad->ndim == self->ndim) return grad;
    uint32_t mask = reduce_mask(self, dims);
    for (int d = 0; d < self->ndim; d++) shape[d] = mask >> d & 1 ? 1 : self->shape[d];
    return tx_reshape(s, grad, shape, self->ndim);
}

taper_tensor *taper__reduce_spread(taper_scope *s, taper_tensor *grad, const taper_tensor *self, const taper_arg *dims) {
    taper_tensor *g = taper__reduce_restore(s, grad, self, dims);
    if (g && g->dtype != self->dtype) g = tx_to(s, g, NULL, (taper_dtype)self->dtype, false, false);
    return g ? tx_expand(s, g, self->shape, self->ndim) : NULL;
}
