/* Copies of leaves in another dtype that somebody keeps up to date, used in place of conversions. */
#include "autograd/tape.h"

taper_tensor *taper_leaf_copy(const taper_tensor *t, taper_dtype dtype) {
    const taper_autograd *a = t->grad;
    bool fits = a && a->copy && a->copy->dtype == dtype && a->copied == t->storage && a->copied_version == taper_tensor_version(t);
    return fits ? a->copy : NULL;
}

taper_status taper_set_leaf_copy(taper_tensor *t, taper_tensor *copy) {
    taper_autograd *a = t->grad;
    if (copy && (!taper_is_leaf(t) || t->base || taper_requires_grad(copy)))
        return TAPER_FAIL(TAPER_RUNTIME, "leaf copy: %s must be a leaf and no view, and its copy must want no gradient", TAPER_TEXT(t));
    if (copy && (!taper_dtype_is_float((taper_dtype)copy->dtype) || copy->ndim != t->ndim || memcmp(copy->shape, t->shape, sizeof(int64_t) * t->ndim) ||
                 !taper_device_equal(copy->device, t->device)))
        return TAPER_FAIL(TAPER_VALUE, "leaf copy: %s cannot stand for %s", TAPER_TEXT(copy), TAPER_TEXT(t));
    if (copy) TAPER_TRY(taper__autograd_of(&a, t));
    if (!a) return TAPER_OK;
    taper_tensor *old = a->copy;
    taper_storage *copied = a->copied; /* held, so that no other storage takes its address */
    a->copy = taper_tensor_retain(copy);
    a->copied = copy && t->storage ? taper__storage_retain(t->storage) : NULL;
    a->copied_version = taper_tensor_version(t);
    if (old) taper_tensor_release(old);
    if (copied) taper__storage_release(copied);
    return TAPER_OK;
}

/* The gradient as it is: the node turns it into the leaf's dtype. */
static taper_status leaf_copy_backward(void *ctx, taper_tensor *const *grads, taper_tensor **dinputs) {
    (void)ctx;
    dinputs[0] = taper_tensor_retain(grads[0]);
    return TAPER_OK;
}

taper_status taper_cast_leaf(taper_tensor **out, taper_tensor *t, taper_dtype dtype) {
    static const taper_function function = {.name = "ToCopyBackward0", .backward = leaf_copy_backward};
    taper_tensor *copy = taper_leaf_copy(t, dtype), *alias = NULL;
    if (!copy) return taper_to(out, t, NULL, dtype, false, false);
    TAPER_TRY(taper__tensor_alias(&alias, copy));
    taper_status st = taper_grad_enabled() && t->requires_grad ? taper_function_record(&alias, 1, &t, 1, &function) : TAPER_OK;
    if (st != TAPER_OK) {
        taper_tensor_release(alias);
        return st;
    }
    *out = alias;
    return TAPER_OK;
}
