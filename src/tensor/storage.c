/* Storages: counted bytes on a device. */
#include "tensor/tensor.h"

taper_status taper__storage_new(taper_storage **out, size_t bytes, taper_device device, const char *tag) {
    taper_storage *s = taper__cpu_alloc(sizeof *s);
    if (!s) return TAPER_FAIL(TAPER_MEMORY, "%s: no memory for a storage header", tag);
    void *data = NULL;
    if (TAPER_LIKELY(device.type == TAPER_CPU)) {
        data = taper__cpu_alloc(bytes);
        if (TAPER_UNLIKELY(!data)) {
            taper__cpu_free(s, sizeof *s);
            return TAPER_FAIL(TAPER_MEMORY,
                              "%s: not enough memory: you tried to allocate %zu bytes on the CPU. Smaller batches, "
                              "no_grad() for evaluation, or checkpointing need less.",
                              tag, bytes);
        }
    } else {
        int index = device.index;
        taper_status st = index < 0 ? taper_cuda_current_device(&index) : TAPER_OK;
        device.index = (int8_t)index; /* memory of "the current one" must go back to the same GPU */
        if (st == TAPER_OK) st = taper__memory_alloc(&data, bytes, device, tag);
        if (st != TAPER_OK) {
            taper__cpu_free(s, sizeof *s);
            return st;
        }
    }
    atomic_init(&s->refs, 1);
    atomic_init(&s->version, 0);
    s->device = device;
    s->resizable = true;
    s->data = data;
    s->bytes = bytes;
    s->release = NULL;
    s->ctx = NULL;
    *out = s;
    return TAPER_OK;
}

taper_storage *taper__storage_retain(taper_storage *s) {
    if (s) atomic_fetch_add_explicit(&s->refs, 1, memory_order_relaxed);
    return s;
}

void taper__storage_release(taper_storage *s) {
    if (!s || atomic_fetch_sub_explicit(&s->refs, 1, memory_order_acq_rel) != 1) return;
    if (s->release)
        s->release(s->ctx);
    else if (s->device.type == TAPER_CPU)
        taper__cpu_free(s->data, s->bytes);
    else
        taper__memory_free(s->data, s->bytes, s->device);
    taper__cpu_free(s, sizeof *s);
}

taper_status taper__storage_resize(taper_storage *s, size_t bytes) {
    if (bytes == s->bytes) return TAPER_OK;
    if (!s->resizable || s->release)
        return TAPER_FAIL(TAPER_RUNTIME, "Trying to resize storage that is not resizable (%zu to %zu bytes)", s->bytes, bytes);
    void *data = NULL;
    TAPER_TRY(taper__memory_alloc(&data, bytes, s->device, "resize"));
    size_t keep = bytes < s->bytes ? bytes : s->bytes;
    taper_status st = keep ? taper__memory_copy(data, s->device, s->data, s->device, keep, false) : TAPER_OK;
    if (st != TAPER_OK) {
        taper__memory_free(data, bytes, s->device);
        return st;
    }
    taper__memory_free(s->data, s->bytes, s->device);
    s->data = data;
    s->bytes = bytes;
    return TAPER_OK;
}
