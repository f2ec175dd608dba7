/* What gradients are made of. */
#include "ops/op.h"

taper_tensor *taper__sum_to(taper_scope *s, taper_tensor *grad, const taper_tensor *like) {
    if (!grad || s->status != TAPER_OK) return NULL;
    int lead = grad->ndim - like->ndim, n = 0;
    int64_t dims[TAPER_MAX_DIMS];
    for (int d = 0; d < grad->ndim; d++)
        if (d < lead || (like->shape[d - lead] == 1 && grad->shape[d] != 1)) dims[n++] = d;
    if (n) {
        grad = tx_sum(s, grad, dims, n, true, TAPER_DTYPE_NONE);
        if (lead > 0 && grad) grad = tx_view(s, grad, like->shape, like->ndim);
    }
    if (grad && (grad->dtype != like->dtype || !taper_device_equal(grad->device, like->device)))
        grad = tx_to(s, grad, &like->device, (taper_dtype)like->dtype, false, false);
    return grad;
}

taper_tensor *taper__number(taper_scope *s, double value) {
    taper_tensor *t = NULL;
    if (s->status != TAPER_OK) return NULL;
    s->status = taper_tensor_from_data(&t, &value, TAPER_F64, 0, NULL);
    if (t) t->number = true;
    return taper_scope_own(s, t);
}

taper_tensor *taper__zeros_like(taper_scope *s, const taper_tensor *t) {
    return tx_full(s, t->shape, t->ndim, taper_int(0), (taper_dtype)t->dtype, &t->device);
}
