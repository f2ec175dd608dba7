/* DLPack in and out. The exported struct, its shape and strides are one block, freed by the deleter. */
#include <taper/dlpack.h>

#include "base/base.h"
#include "tensor/tensor.h"

static const uint8_t dlpack_codes[TAPER_DTYPE_COUNT] = {
#define DLPACK_CODE(name, text, bytes, kind, typename, code, ...) [TAPER_##name] = code,
    TAPER_DTYPE_MAP(DLPACK_CODE)
#undef DLPACK_CODE
};

typedef struct dlpack_export {
    union {
        taper_dl_managed plain;
        taper_dl_managed_versioned versioned;
    } managed;
    taper_tensor *tensor;
    int64_t shape[TAPER_MAX_DIMS], strides[TAPER_MAX_DIMS];
} dlpack_export;

static void dlpack_delete(dlpack_export *e) {
    taper_tensor_release(e->tensor);
    taper__free(e);
}
static void dlpack_delete_plain(taper_dl_managed *m) { dlpack_delete(m->context); }
static void dlpack_delete_versioned(taper_dl_managed_versioned *m) { dlpack_delete(m->context); }

static taper_status dlpack_describe(dlpack_export **out, taper_tensor *t) {
    taper_error_clear();
    if (t->device.type == TAPER_META)
        return TAPER_FAIL(TAPER_RUNTIME, "to_dlpack: Cannot pack tensors on meta (%s has no data)", TAPER_TEXT(t));
    /* The history-free alias keeps later resizes of t's object away from what the consumer sees. */
    dlpack_export *e = taper__alloc_zero(sizeof *e);
    if (!e) return TAPER_FAIL(TAPER_MEMORY, "to_dlpack: no memory for %zu bytes", sizeof *e);
    taper_status st = taper__tensor_alias(&e->tensor, t);
    if (st != TAPER_OK) {
        taper__free(e);
        return st;
    }
    for (int d = 0; d < t->ndim; d++) {
        e->shape[d] = t->shape[d];
        e->strides[d] = t->shape[d] < 2 ? 1 : t->strides[d];
    }
    *out = e;
    return TAPER_OK;
}

static taper_dl_tensor dlpack_fill(dlpack_export *e) {
    const taper_tensor *t = e->tensor;
    bool cuda = t->device.type == TAPER_CUDA;
    return (taper_dl_tensor){.data = taper__data(t),
                             .device = {cuda ? TAPER_DL_CUDA : TAPER_DL_CPU, t->device.index},
                             .ndim = t->ndim,
                             .code = dlpack_codes[t->dtype],
                             .bits = (uint8_t)(8 * taper_dtype_size((taper_dtype)t->dtype)),
                             .lanes = 1,
                             .shape = e->shape,
                             .strides = e->strides};
}

taper_status taper_tensor_to_dlpack(taper_dl_managed **out, taper_tensor *t) {
    dlpack_export *e;
    TAPER_TRY(dlpack_describe(&e, t));
    e->managed.plain = (taper_dl_managed){dlpack_fill(e), e, dlpack_delete_plain};
    *out = &e->managed.plain;
    return TAPER_OK;
}

taper_status taper_tensor_to_dlpack_versioned(taper_dl_managed_versioned **out, taper_tensor *t, uint64_t flags) {
    dlpack_export *e;
    TAPER_TRY(dlpack_describe(&e, t));
    e->managed.versioned = (taper_dl_managed_versioned){1, 0, e, dlpack_delete_versioned, flags, dlpack_fill(e)};
    *out = &e->managed.versioned;
    return TAPER_OK;
}

static taper_status dlpack_dtype(taper_dtype *out, const taper_dl_tensor *d) {
    if (d->lanes != 1)
        return TAPER_FAIL(TAPER_RUNTIME, "from_dlpack: taper does not support lanes != 1, got %d", d->lanes);
    for (int i = 0; i < TAPER_DTYPE_COUNT; i++)
        if (dlpack_codes[i] == d->code && 8 * taper_dtype_size((taper_dtype)i) == d->bits) {
            *out = (taper_dtype)i;
            return TAPER_OK;
        }
    return TAPER_FAIL(TAPER_RUNTIME, "from_dlpack: unsupported element type, code %d with %d bits", d->code, d->bits);
}

static taper_status dlpack_device(taper_device *out, const taper_dl_tensor *d) {
    switch (d->device.type) {
    case TAPER_DL_CPU:
    case TAPER_DL_CUDA_HOST:
        *out = taper_cpu();
        return TAPER_OK;
    case TAPER_DL_CUDA:
    case TAPER_DL_CUDA_MANAGED:
        if (d->device.index >= 0 && d->device.index <= INT8_MAX) {
            *out = taper_cuda(d->device.index);
            return TAPER_OK;
        }
    }
    return TAPER_FAIL(TAPER_RUNTIME, "from_dlpack: Unsupported device_type: %d (index %d)", d->device.type,
                      d->device.index);
}

/* Bytes from the first element to the end of the last. */
static taper_status dlpack_span(size_t *out, const taper_dl_tensor *d, size_t size) {
    int64_t last = 0, step;
    bool empty = false, overflow = false;
    if (d->ndim < 0 || d->ndim > TAPER_MAX_DIMS)
        return TAPER_FAIL(TAPER_RUNTIME, "from_dlpack: tensor of %d dimensions, at most %d are supported", d->ndim,
                          TAPER_MAX_DIMS);
    for (int i = d->ndim - 1, contiguous = d->strides == NULL; i >= 0; i--) {
        if (d->shape[i] < 0)
            return TAPER_FAIL(TAPER_RUNTIME, "from_dlpack: negative size %lld of dimension %d", (long long)d->shape[i],
                              i);
        if (d->shape[i] == 0) empty = true;
        if (contiguous) continue;
        if (d->shape[i] > 1 && d->strides[i] < 0)
            return TAPER_FAIL(TAPER_RUNTIME,
                              "from_dlpack: negative stride %lld of dimension %d is not supported; copy first",
                              (long long)d->strides[i], i);
        if (d->shape[i] > 1)
            overflow |= __builtin_mul_overflow(d->shape[i] - 1, d->strides[i], &step) ||
                        __builtin_add_overflow(last, step, &last);
    }
    if (!d->strides && !empty) {
        last = 1;
        for (int i = 0; i < d->ndim; i++) overflow |= __builtin_mul_overflow(last, d->shape[i], &last);
        last--;
    }
    overflow = !empty && (overflow || __builtin_add_overflow(last, 1, &last) ||
                          __builtin_mul_overflow(last, (int64_t)size, &last));
    if (overflow) return TAPER_FAIL(TAPER_RUNTIME, "from_dlpack: the tensor is larger than the address space");
    *out = empty ? 0 : (size_t)last;
    return TAPER_OK;
}

static taper_status dlpack_wrap(taper_tensor **out, const taper_dl_tensor *d, void (*release)(void *), void *context) {
    taper_dtype dtype = TAPER_DTYPE_NONE;
    taper_device device = taper_cpu();
    size_t bytes = 0;
    taper_error_clear();
    TAPER_TRY(dlpack_dtype(&dtype, d));
    TAPER_TRY(dlpack_device(&device, d));
    TAPER_TRY(dlpack_span(&bytes, d, taper_dtype_size(dtype)));
    char *data = d->data ? (char *)d->data + d->byte_offset : NULL;
    if (bytes && !data) return TAPER_FAIL(TAPER_RUNTIME, "from_dlpack: no data for %zu bytes", bytes);
    if ((uintptr_t)data % taper_dtype_size(dtype))
        return TAPER_FAIL(TAPER_RUNTIME, "from_dlpack: the data of %s is not aligned to its %zu bytes; copy first",
                          taper_dtype_name(dtype), taper_dtype_size(dtype));
    /* The stride of a dimension shorter than 2 is not used by the producer and may be anything. */
    int64_t strides[TAPER_MAX_DIMS];
    for (int i = 0; d->strides && i < d->ndim; i++) strides[i] = d->shape[i] < 2 ? 1 : d->strides[i];
    return taper_tensor_wrap(out, data, bytes, dtype, device, d->ndim, d->shape, d->strides ? strides : NULL, release,
                             context);
}

static void dlpack_release_plain(void *context) {
    taper_dl_managed *m = context;
    if (m->deleter) m->deleter(m);
}
static void dlpack_release_versioned(void *context) {
    taper_dl_managed_versioned *m = context;
    if (m->deleter) m->deleter(m);
}

taper_status taper_tensor_from_dlpack(taper_tensor **out, taper_dl_managed *managed) {
    return dlpack_wrap(out, &managed->tensor, dlpack_release_plain, managed);
}

taper_status taper_tensor_from_dlpack_versioned(taper_tensor **out, taper_dl_managed_versioned *managed) {
    if (managed->major != 1)
        return TAPER_FAIL(TAPER_RUNTIME, "from_dlpack: version %u.%u of DLPack, version 1 is supported", managed->major,
                          managed->minor);
    return dlpack_wrap(out, &managed->tensor, dlpack_release_versioned, managed);
}
