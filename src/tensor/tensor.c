/* Tensor objects: creation, views, reading and writing their elements. */
#include "tensor/tensor.h"

taper_status taper__tensor_shell(taper_tensor **out, taper_dtype dtype, taper_device device) {
    taper_tensor *t = taper__cpu_alloc(sizeof *t);
    if (TAPER_UNLIKELY(!t)) return TAPER_FAIL(TAPER_MEMORY, "no memory for a tensor header");
    memset(t, 0, offsetof(taper_tensor, shape));
    atomic_init(&t->refs, 1);
    t->dtype = (uint8_t)dtype;
    t->device = device;
    t->contiguous = true;
    t->numel = 1;
    *out = t;
    return TAPER_OK;
}

taper_tensor *taper_tensor_retain(taper_tensor *t) {
    if (t) atomic_fetch_add_explicit(&t->refs, 1, memory_order_relaxed);
    return t;
}

void taper_tensor_release(taper_tensor *t) {
    if (!t || atomic_fetch_sub_explicit(&t->refs, 1, memory_order_acq_rel) != 1) return;
    if (t->grad) taper__autograd_free(t);
    taper_tensor_release(t->base); /* a view's base is never a view: depth one */
    taper__storage_release(t->storage);
    taper__cpu_free(t, sizeof *t);
}

void taper__tensor_set_layout(taper_tensor *t, int ndim, const int64_t *shape, const int64_t *strides) {
    t->ndim = (uint8_t)ndim;
    int64_t n = 1;
    bool contiguous = true;
    for (int d = ndim - 1; d >= 0; d--) {
        t->shape[d] = shape[d];
        t->strides[d] = strides ? strides[d] : n;
        if (shape[d] != 1 && t->strides[d] != n) contiguous = false;
        if (strides || shape[d] > 1) n *= shape[d]; /* torch's default strides treat 0 as 1 */
    }
    int64_t numel = 1;
    for (int d = 0; d < ndim; d++) numel *= shape[d];
    t->numel = numel;
    t->contiguous = contiguous || numel == 0;
}

taper_status taper__tensor_empty(taper_tensor **out, taper_dtype dtype, taper_device device, int ndim, const int64_t *shape,
                                 const char *tag) {
    return taper__tensor_empty_strided(out, dtype, device, ndim, shape, NULL, tag);
}

taper_status taper__tensor_empty_strided(taper_tensor **out, taper_dtype dtype, taper_device device, int ndim,
                                         const int64_t *shape, const int64_t *strides, const char *tag) {
    taper_tensor *t = NULL;
    int64_t numel;
    TAPER_TRY(taper__shape_numel(&numel, ndim, shape, tag ? tag : "empty"));
    TAPER_TRY(taper__tensor_shell(&t, dtype, device));
    taper__tensor_set_layout(t, ndim, shape, strides);
    if (device.type != TAPER_META) {
        taper_status st = taper__storage_new(&t->storage, (size_t)t->numel * taper_dtype_size(dtype), device, tag);
        if (st != TAPER_OK) {
            taper_tensor_release(t);
            return st;
        }
        t->device = t->storage->device; /* "the current one" has a number now */
    }
    *out = t;
    return TAPER_OK;
}

taper_status taper_tensor_new(taper_tensor **out, taper_dtype dtype, taper_device device, int ndim, const int64_t *shape) {
    int64_t n;
    if ((unsigned)dtype >= TAPER_DTYPE_COUNT) return TAPER_FAIL(TAPER_TYPE, "empty: no such dtype (%d)", (int)dtype);
    TAPER_TRY(taper__shape_numel(&n, ndim, shape, "empty"));
    return taper__tensor_empty(out, dtype, device, ndim, shape, "empty");
}

taper_status taper_tensor_from_data(taper_tensor **out, const void *data, taper_dtype dtype, int ndim, const int64_t *shape) {
    taper_tensor *t = NULL;
    TAPER_TRY(taper_tensor_new(&t, dtype, taper_cpu(), ndim, shape));
    if (t->numel) memcpy(t->storage->data, data, (size_t)t->numel * taper_dtype_size(dtype));
    *out = t;
    return TAPER_OK;
}

static void tensor_keep(void *ctx) { (void)ctx; } /* memory that stays the caller's */

taper_status taper_tensor_wrap(taper_tensor **out, void *data, size_t bytes, taper_dtype dtype, taper_device device,
                               int ndim, const int64_t *shape, const int64_t *strides, void (*release)(void *ctx),
                               void *ctx) {
    int64_t n;
    TAPER_TRY(taper__shape_numel(&n, ndim, shape, "wrap"));
    int64_t last = n - 1;
    bool far = false;
    if (strides && n) {
        last = 0;
        for (int d = 0; d < ndim; d++) {
            int64_t reach;
            if (strides[d] < 0)
                return TAPER_FAIL(TAPER_VALUE, "wrap: strides %s: negative strides are not supported", taper__shape_text(ndim, strides).s);
            far = far || __builtin_mul_overflow(shape[d] - 1, strides[d], &reach) || __builtin_add_overflow(last, reach, &last);
        }
    }
    if (far || (last >= 0 && (uint64_t)last >= bytes / taper_dtype_size(dtype)))
        return TAPER_FAIL(TAPER_VALUE, "wrap: %s of %s needs more than the %zu bytes given",
                          taper__shape_text(ndim, shape).s, taper_dtype_name(dtype), bytes);
    taper_tensor *t = NULL;
    TAPER_TRY(taper__tensor_shell(&t, dtype, device));
    taper_storage *s = taper__cpu_alloc(sizeof *s);
    if (!s) {
        taper_tensor_release(t);
        return TAPER_FAIL(TAPER_MEMORY, "wrap: no memory for a storage header");
    }
    *s = (taper_storage){.refs = 1, .device = device, .data = data, .bytes = bytes, .release = release ? release : tensor_keep, .ctx = ctx};
    t->storage = s;
    taper__tensor_set_layout(t, ndim, shape, strides);
    *out = t;
    return TAPER_OK;
}

taper_status taper__tensor_view(taper_tensor **out, const taper_tensor *src, int ndim, const int64_t *shape,
                                const int64_t *strides, int64_t offset) {
    taper_tensor *t = NULL;
    int64_t numel;
    TAPER_TRY(taper__shape_numel(&numel, ndim, shape, "view"));
    TAPER_TRY(taper__tensor_shell(&t, (taper_dtype)src->dtype, src->device));
    taper__tensor_set_layout(t, ndim, shape, strides);
    t->offset = offset;
    t->storage = taper__storage_retain(src->storage);
    t->inference = src->inference;
    *out = t;
    return TAPER_OK;
}

taper_status taper__tensor_alias(taper_tensor **out, const taper_tensor *t) {
    return taper__tensor_view(out, t, t->ndim, t->shape, t->strides, t->offset);
}

int taper_tensor_ndim(const taper_tensor *t) { return t->ndim; }
const int64_t *taper_tensor_shape(const taper_tensor *t) { return t->shape; }
const int64_t *taper_tensor_strides(const taper_tensor *t) { return t->strides; }
int64_t taper_tensor_numel(const taper_tensor *t) { return t->numel; }
int64_t taper_tensor_offset(const taper_tensor *t) { return t->offset; }
taper_dtype taper_tensor_dtype(const taper_tensor *t) { return (taper_dtype)t->dtype; }
taper_device taper_tensor_device(const taper_tensor *t) { return t->device; }
bool taper_tensor_is_contiguous(const taper_tensor *t) { return t->contiguous; }
void *taper_tensor_data(const taper_tensor *t) { return taper__data(t); }
uint32_t taper_tensor_version(const taper_tensor *t) {
    return t->storage ? atomic_load_explicit(&t->storage->version, memory_order_relaxed) : 0;
}

bool taper_tensor_is_channels_last(const taper_tensor *t) { return taper__is_channels_last(t->ndim, t->shape, t->strides); }
taper_tensor *taper_tensor_base(const taper_tensor *t) { return t->base; }
void *taper_tensor_frontend(const taper_tensor *t) { return t->frontend; }
void taper_tensor_set_frontend(taper_tensor *t, void *object) { t->frontend = object; }

taper_status taper_tensor_set_data(taper_tensor *t, taper_tensor *source) {
    if (t->requires_grad && !taper_dtype_is_float((taper_dtype)source->dtype))
        return TAPER_FAIL(TAPER_RUNTIME, "data set to a tensor that requires gradients must be floating point, got %s", TAPER_TEXT(source));
    taper_storage *old = t->storage;
    t->storage = taper__storage_retain(source->storage);
    taper__storage_release(old);
    t->dtype = source->dtype;
    t->device = source->device;
    t->offset = source->offset;
    taper__tensor_set_layout(t, source->ndim, source->shape, source->strides);
    return TAPER_OK;
}

const void *taper_tensor_storage(const taper_tensor *t) { return t->storage; }
size_t taper_tensor_storage_bytes(const taper_tensor *t) { return t->storage ? t->storage->bytes : 0; }
taper_status taper_tensor_storage_view(taper_tensor **out, taper_tensor *t) {
    if (!t->storage) return TAPER_FAIL(TAPER_NOT_IMPLEMENTED, "storage: a meta tensor has none");
    int64_t n = (int64_t)t->storage->bytes;
    taper_tensor *v = NULL;
    TAPER_TRY(taper__tensor_shell(&v, TAPER_U8, t->device));
    taper__tensor_set_layout(v, 1, &n, NULL);
    v->storage = taper__storage_retain(t->storage);
    *out = v;
    return TAPER_OK;
}

/* Bytes from the first to past the last element a strided tensor touches, and where the first is. */
static size_t tensor_span(const taper_tensor *t, int64_t *first) {
    int64_t lo = 0, hi = 0;
    for (int d = 0; d < t->ndim; d++) {
        int64_t reach = (t->shape[d] - 1) * t->strides[d];
        if (reach < 0)
            lo += reach;
        else
            hi += reach;
    }
    *first = lo;
    return (size_t)(hi - lo + 1) * taper_dtype_size((taper_dtype)t->dtype);
}

/* Walks a strided host tensor row by row; `base` is where element (0, ..., 0) lies. */
static void tensor_walk(const taper_tensor *t, char *base, char *packed, bool gather) {
    size_t e = taper_dtype_size((taper_dtype)t->dtype);
    int last = t->ndim - 1;
    int64_t inner = t->ndim ? t->shape[last] : 1, stride = t->ndim ? t->strides[last] : 1;
    int64_t index[TAPER_MAX_DIMS] = {0}, at = 0;
    for (int64_t done = 0; done < t->numel; done += inner) {
        for (int64_t i = 0; i < inner; i++, packed += e) {
            char *p = base + (at + i * stride) * (int64_t)e;
            memcpy(gather ? packed : p, gather ? p : packed, e);
        }
        for (int d = last - 1; d >= 0; d--) {
            at += t->strides[d];
            if (++index[d] < t->shape[d]) break;
            at -= t->strides[d] * t->shape[d];
            index[d] = 0;
        }
    }
}

static taper_status tensor_transfer(const taper_tensor *t, void *data, size_t bytes, bool read) {
    const char *op = read ? "tensor_read" : "tensor_write";
    size_t e = taper_dtype_size((taper_dtype)t->dtype);
    if (bytes != (size_t)t->numel * e)
        return TAPER_FAIL(TAPER_VALUE, "%s: %s holds %zu bytes, got a buffer of %zu", op, TAPER_TEXT(t), (size_t)t->numel * e, bytes);
    if (!t->numel) return TAPER_OK;
    if (!t->storage) return TAPER_FAIL(TAPER_NOT_IMPLEMENTED, "Cannot copy out of meta tensor; no data!");
    if (t->contiguous)
        return read ? taper__memory_copy(data, taper_cpu(), taper__data(t), t->device, bytes, false)
                    : taper__memory_copy(taper__data(t), t->device, data, taper_cpu(), bytes, false);
    if (t->device.type == TAPER_CPU) {
        tensor_walk(t, taper__data(t), data, read);
        return TAPER_OK;
    }
    /* A strided device tensor: the spanned bytes make the trip, the host walks them. */
    int64_t first;
    size_t span = tensor_span(t, &first);
    char *host = taper__alloc(span), *device = (char *)taper__data(t) + first * (int64_t)e;
    if (!host) return TAPER_FAIL(TAPER_MEMORY, "%s: no memory for %zu bytes", op, span);
    taper_status st = taper__memory_copy(host, taper_cpu(), device, t->device, span, false);
    if (st == TAPER_OK) {
        tensor_walk(t, host - first * (int64_t)e, data, read);
        if (!read) st = taper__memory_copy(device, t->device, host, taper_cpu(), span, false);
    }
    taper__free(host);
    return st;
}

taper_status taper_tensor_read(const taper_tensor *t, void *data, size_t bytes) {
    return tensor_transfer(t, data, bytes, true);
}

taper_status taper_tensor_write(taper_tensor *t, const void *data, size_t bytes) {
    TAPER_TRY(tensor_transfer(t, (void *)data, bytes, false));
    taper__bump_version(t);
    return TAPER_OK;
}

static taper_status tensor_item(const taper_tensor *t, void *buffer) {
    if (t->numel != 1)
        return TAPER_FAIL(TAPER_RUNTIME, "a Tensor with %lld elements cannot be converted to Scalar", (long long)t->numel);
    return taper_tensor_read(t, buffer, taper_dtype_size((taper_dtype)t->dtype));
}

taper_status taper_tensor_item_double(const taper_tensor *t, double *out) {
    uint64_t buffer;
    TAPER_TRY(tensor_item(t, &buffer));
    *out = taper__load_double(&buffer, (taper_dtype)t->dtype);
    return TAPER_OK;
}

taper_status taper_tensor_item_int(const taper_tensor *t, int64_t *out) {
    uint64_t buffer;
    TAPER_TRY(tensor_item(t, &buffer));
    *out = taper__load_int(&buffer, (taper_dtype)t->dtype);
    return TAPER_OK;
}
