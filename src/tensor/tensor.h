/* Storage and layout, as the layers above see them. */
#ifndef TAPER_TENSOR_TENSOR_H
#define TAPER_TENSOR_TENSOR_H

#include <stdatomic.h>
#include <string.h>
#include <taper/tensor.h>

#include "device/device.h"

/* Bytes with an owner. Views share it by count. */
typedef struct taper_storage {
    _Atomic int refs;
    taper_device device;
    bool resizable;
    _Atomic uint32_t version;
    void *data;
    size_t bytes;
    void (*release)(void *ctx); /* NULL: from the device's allocator */
    void *ctx;
} taper_storage;

struct taper_autograd; /* src/autograd */

struct taper_tensor {
    _Atomic int refs;
    uint8_t dtype;
    uint8_t ndim;
    taper_device device;
    bool requires_grad; /* true for leaves that collect a gradient and for results with a history */
    bool contiguous;    /* row-major without gaps; kept by taper__tensor_set_layout */
    bool number;        /* made from a Python or C number: does not take part in promotion by its dtype */
    bool inference;     /* made under inference_mode */
    taper_storage *storage; /* NULL on meta */
    int64_t offset, numel;
    struct taper_autograd *grad; /* NULL until autograd needs it */
    struct taper_tensor *base;   /* of a differentiable view: the tensor it looks into; NULL otherwise */
    void *frontend;              /* the Python object, borrowed */
    int64_t shape[TAPER_MAX_DIMS], strides[TAPER_MAX_DIMS];
};

/* Defined by autograd, called when a tensor with a gradient part goes. */
void taper__autograd_free(taper_tensor *t);

taper_status taper__storage_new(taper_storage **out, size_t bytes, taper_device device, const char *tag);
taper_storage *taper__storage_retain(taper_storage *s);
void taper__storage_release(taper_storage *s);
/* Grows or shrinks in place (out= and resize_): data is kept up to the smaller size. */
taper_status taper__storage_resize(taper_storage *s, size_t bytes);

/* New tensor object without storage; shape and strides set by the caller through _set_layout. */
taper_status taper__tensor_shell(taper_tensor **out, taper_dtype dtype, taper_device device);
/* strides NULL: contiguous. Sets numel and the contiguous flag. No checks. */
void taper__tensor_set_layout(taper_tensor *t, int ndim, const int64_t *shape, const int64_t *strides);
/* Contiguous tensor with storage; `tag` names the operator for the allocator. */
taper_status taper__tensor_empty(taper_tensor **out, taper_dtype dtype, taper_device device, int ndim, const int64_t *shape,
                                 const char *tag);
/* With the given strides (dense but permuted, channels_last for instance). */
taper_status taper__tensor_empty_strided(taper_tensor **out, taper_dtype dtype, taper_device device, int ndim,
                                         const int64_t *shape, const int64_t *strides, const char *tag);
/* Second view of t's storage. No history; autograd adds it. */
taper_status taper__tensor_view(taper_tensor **out, const taper_tensor *t, int ndim, const int64_t *shape,
                                const int64_t *strides, int64_t offset);
/* The same elements as a new tensor object without history (detach). */
taper_status taper__tensor_alias(taper_tensor **out, const taper_tensor *t);

static inline void *taper__data(const taper_tensor *t) {
    static const uint8_t size[] = {
#define TAPER_DTYPE_BYTES(name, text, bytes, ...) bytes,
        TAPER_DTYPE_MAP(TAPER_DTYPE_BYTES)
#undef TAPER_DTYPE_BYTES
    };
    return t->storage ? (char *)t->storage->data + t->offset * size[t->dtype] : NULL;
}
static inline void taper__bump_version(taper_tensor *t) {
    if (t->storage) atomic_fetch_add_explicit(&t->storage->version, 1, memory_order_relaxed);
}

/* Row-major strides. */
void taper__contiguous_strides(int ndim, const int64_t *shape, int64_t *strides);
/* True when strides are those of channels_last (ndim 4; 5: channels_last_3d). */
bool taper__is_channels_last(int ndim, const int64_t *shape, const int64_t *strides);
void taper__channels_last_strides(int ndim, const int64_t *shape, int64_t *strides);
/* True when no two indices address the same element and the elements fill one block. */
bool taper__is_dense(int ndim, const int64_t *shape, const int64_t *strides);
/* True when two different indices of t address the same element (an expanded tensor). */
bool taper__has_internal_overlap(const taper_tensor *t);
typedef enum taper_overlap { TAPER_OVERLAP_NO, TAPER_OVERLAP_FULL, TAPER_OVERLAP_PARTIAL, TAPER_OVERLAP_MAYBE } taper_overlap;
taper_overlap taper__overlap(const taper_tensor *a, const taper_tensor *b);
/* Product with overflow check: VALUE with the shape in the message. */
taper_status taper__shape_numel(int64_t *out, int ndim, const int64_t *shape, const char *op);

/* Text of shapes for messages, by value: "(2, 3)", "[2, 3]", and "float32[2, 3] cuda:0". */
typedef struct taper_text {
    char s[256];
} taper_text;
taper_text taper__shape_text(int ndim, const int64_t *shape);
taper_text taper__tensor_text(const taper_tensor *t);
#define TAPER_SHAPE(t) (taper__shape_text((t)->ndim, (t)->shape).s)
#define TAPER_TEXT(t) (taper__tensor_text(t).s)

/* Conversions of blocks of elements. Strides in elements of the source or destination dtype; count elements. Integers
 * to floating types round to nearest even; floating to integers truncate. */
void taper__convert(void *dst, taper_dtype to, int64_t dst_stride, const void *src, taper_dtype from, int64_t src_stride,
                    int64_t n);
float taper__f16_to_f32(uint16_t h);
uint16_t taper__f32_to_f16(float f);
static inline float taper__bf16_to_f32(uint16_t h) {
    uint32_t u = (uint32_t)h << 16;
    float f;
    memcpy(&f, &u, 4);
    return f;
}
static inline uint16_t taper__f32_to_bf16(float f) {
    uint32_t u;
    memcpy(&u, &f, 4);
    if ((u & 0x7fffffffu) > 0x7f800000u) return (uint16_t)((u >> 16) | 0x40); /* NaN stays NaN */
    return (uint16_t)((u + 0x7fffu + ((u >> 16) & 1)) >> 16);
}
/* One element as double or int64 (host memory). */
double taper__load_double(const void *p, taper_dtype dtype);
int64_t taper__load_int(const void *p, taper_dtype dtype);
void taper__store_double(void *p, taper_dtype dtype, double v);
void taper__store_int(void *p, taper_dtype dtype, int64_t v);

#endif
