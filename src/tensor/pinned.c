/* CPU tensors in page-locked memory, which a GPU reads and writes without the CPU's help. */
#include <taper/cuda.h>

#include "device/device.h"
#include "tensor/tensor.h"

taper_status taper_tensor_pin(taper_tensor **out, taper_tensor *t) {
    const char *why = NULL;
    if (t->device.type != TAPER_CPU) return TAPER_FAIL(TAPER_RUNTIME, "cannot pin '%s': only dense CPU tensors can be pinned", TAPER_TEXT(t));
    if (taper_tensor_is_pinned(t)) {
        *out = taper_tensor_retain(t);
        return TAPER_OK;
    }
    if (taper_cuda_device_count(&why) < 1) return TAPER_FAIL(TAPER_DEVICE, "pin_memory: %s", why);
    size_t bytes = (size_t)t->numel * taper_dtype_size((taper_dtype)t->dtype);
    void *p = taper__pinned_alloc(bytes ? bytes : 1);
    if (!p) return TAPER_FAIL(TAPER_MEMORY, "pin_memory: no %zu bytes of page-locked memory for %s; see ulimit -l and the container's memory limit", bytes, TAPER_TEXT(t));
    taper_status st = taper_tensor_read(t, p, bytes);
    if (st == TAPER_OK)
        st = taper_tensor_wrap(out, p, bytes ? bytes : 1, (taper_dtype)t->dtype, taper_cpu(), t->ndim, t->shape, NULL, taper__pinned_free, p);
    if (st != TAPER_OK) taper__pinned_free(p);
    return st;
}

bool taper_tensor_is_pinned(const taper_tensor *t) {
    return t->device.type == TAPER_CPU && t->storage && t->storage->data && taper_cuda_device_count(NULL) > 0 && (taper__is_pinned(t->storage->data) || taper_cuda_is_pinned(t->storage->data));
}
