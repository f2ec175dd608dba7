/* Tensors: a counted storage seen through a shape, strides and an offset.
 *
 * Ownership: functions that give a tensor through `taper_tensor **out` give one reference, ended by taper_tensor_release.
 * Arguments are borrowed. On error *out is untouched.
 */
#ifndef TAPER_TENSOR_H
#define TAPER_TENSOR_H

#include <stdint.h>
#include <taper/device.h>
#include <taper/dtype.h>
#include <taper/status.h>

TAPER_BEGIN

enum { TAPER_MAX_DIMS = 16 };

typedef struct taper_tensor taper_tensor;

/* New, uninitialised. shape: ndim sizes >= 0 (ndim <= TAPER_MAX_DIMS). VALUE for a negative size or too many elements,
 * MEMORY when it does not fit. */
TAPER_API taper_status taper_tensor_new(taper_tensor **out, taper_dtype dtype, taper_device device, int ndim,
                                        const int64_t *shape);
/* New contiguous CPU tensor holding a copy of `data` (product of shape elements of dtype). */
TAPER_API taper_status taper_tensor_from_data(taper_tensor **out, const void *data, taper_dtype dtype, int ndim,
                                              const int64_t *shape);
/* Wraps memory of the caller; `release(ctx)` is called once when the last view is gone. strides in elements, NULL:
 * contiguous. bytes: size of the memory that starts at `data`. */
TAPER_API taper_status taper_tensor_wrap(taper_tensor **out, void *data, size_t bytes, taper_dtype dtype,
                                         taper_device device, int ndim, const int64_t *shape, const int64_t *strides,
                                         void (*release)(void *ctx), void *ctx);
TAPER_API taper_tensor *taper_tensor_retain(taper_tensor *t); /* returns t; NULL is allowed */
TAPER_API void taper_tensor_release(taper_tensor *t);         /* NULL is a no-op */

TAPER_API int taper_tensor_ndim(const taper_tensor *t);
TAPER_API const int64_t *taper_tensor_shape(const taper_tensor *t);   /* ndim sizes; borrowed while t lives */
TAPER_API const int64_t *taper_tensor_strides(const taper_tensor *t); /* ndim strides in elements; likewise */
TAPER_API int64_t taper_tensor_numel(const taper_tensor *t);
TAPER_API int64_t taper_tensor_offset(const taper_tensor *t); /* storage offset in elements */
TAPER_API taper_dtype taper_tensor_dtype(const taper_tensor *t);
TAPER_API taper_device taper_tensor_device(const taper_tensor *t);
TAPER_API bool taper_tensor_is_contiguous(const taper_tensor *t);
TAPER_API void *taper_tensor_data(const taper_tensor *t); /* first element; a device pointer on a GPU; NULL on meta */
TAPER_API uint32_t taper_tensor_version(const taper_tensor *t); /* counts in-place changes of the storage */

TAPER_API bool taper_tensor_is_channels_last(const taper_tensor *t);
TAPER_API taper_tensor *taper_tensor_base(const taper_tensor *t); /* what a view looks into; borrowed, NULL for other tensors */
/* The object of a frontend that stands for t: stored and given back, never touched. */
TAPER_API void *taper_tensor_frontend(const taper_tensor *t);
TAPER_API void taper_tensor_set_frontend(taper_tensor *t, void *object);
/* t sees the storage, shape, dtype and device of source from now on (torch's `t.data = source`). */
TAPER_API taper_status taper_tensor_set_data(taper_tensor *t, taper_tensor *source);
/* Which storage: equal for tensors that share memory. Its size in bytes, and all of it as a one-dimensional uint8 tensor. */
TAPER_API const void *taper_tensor_storage(const taper_tensor *t);
TAPER_API size_t taper_tensor_storage_bytes(const taper_tensor *t);
TAPER_API taper_status taper_tensor_storage_view(taper_tensor **out, taper_tensor *t);

/* Copies all elements, in order, to or from contiguous host memory of the same dtype. bytes must be numel * size. */
TAPER_API taper_status taper_tensor_read(const taper_tensor *t, void *data, size_t bytes);
TAPER_API taper_status taper_tensor_write(taper_tensor *t, const void *data, size_t bytes);

/* A copy of a CPU tensor in page-locked memory, or t itself (+1) when it lies there: copies to and from a GPU run at full
 * speed and, with non_blocking, beside other work. DEVICE without a GPU, MEMORY when the system locks no more. */
TAPER_API taper_status taper_tensor_pin(taper_tensor **out, taper_tensor *t);
TAPER_API bool taper_tensor_is_pinned(const taper_tensor *t);

/* The one element as a number. VALUE unless numel is 1. */
TAPER_API taper_status taper_tensor_item_double(const taper_tensor *t, double *out);
TAPER_API taper_status taper_tensor_item_int(const taper_tensor *t, int64_t *out);

/* Text as torch prints a tensor, without "grad_fn": into buffer (always ended by 0), like snprintf returns the length
 * needed. options NULL: torch's defaults. */
typedef struct taper_print_options {
    int precision, threshold, edgeitems, linewidth;
    int sci_mode; /* -1: automatic, 0, 1 */
} taper_print_options;
#define TAPER_PRINT_OPTIONS {4, 1000, 3, 80, -1}
TAPER_API int64_t taper_tensor_print(const taper_tensor *t, char *buffer, size_t size, const taper_print_options *options,
                                     const char *suffix);

TAPER_END

#endif
