/* Exchange of tensors with other libraries without a copy, by the DLPack ABI (versions 0.8 and 1.x; the layouts below
 * are its facts, so a pointer to DLManagedTensor of dlpack.h may be cast to the struct of the same shape here).
 */
#ifndef TAPER_DLPACK_H
#define TAPER_DLPACK_H

#include <stdint.h>
#include <taper/tensor.h>

TAPER_BEGIN

enum { TAPER_DL_CPU = 1, TAPER_DL_CUDA = 2, TAPER_DL_CUDA_HOST = 3, TAPER_DL_CUDA_MANAGED = 13 };
enum { TAPER_DL_READ_ONLY = 1, TAPER_DL_IS_COPIED = 2 }; /* bits of flags */

typedef struct taper_dl_device {
    int32_t type, index;
} taper_dl_device;

typedef struct taper_dl_tensor {
    void *data;
    taper_dl_device device;
    int32_t ndim;
    uint8_t code, bits;
    uint16_t lanes;
    int64_t *shape;   /* ndim sizes */
    int64_t *strides; /* ndim strides in elements; NULL: contiguous */
    uint64_t byte_offset;
} taper_dl_tensor;

typedef struct taper_dl_managed {
    taper_dl_tensor tensor;
    void *context;
    void (*deleter)(struct taper_dl_managed *self); /* may be NULL */
} taper_dl_managed;

typedef struct taper_dl_managed_versioned {
    uint32_t major, minor;
    void *context;
    void (*deleter)(struct taper_dl_managed_versioned *self);
    uint64_t flags;
    taper_dl_tensor tensor;
} taper_dl_managed_versioned;

/* A description of t that keeps its storage alive until the consumer calls the deleter, once. Strides of dimensions
 * shorter than 2 are given as 1. RUNTIME on meta. */
TAPER_API taper_status taper_tensor_to_dlpack(taper_dl_managed **out, taper_tensor *t);
TAPER_API taper_status taper_tensor_to_dlpack_versioned(taper_dl_managed_versioned **out, taper_tensor *t,
                                                        uint64_t flags);

/* A tensor on the producer's memory. On success it owns `managed` and calls the deleter once, when the last view is
 * gone; on an error `managed` stays the caller's. RUNTIME for element types, devices or layouts that taper has not, and
 * for a major version other than 1. */
TAPER_API taper_status taper_tensor_from_dlpack(taper_tensor **out, taper_dl_managed *managed);
TAPER_API taper_status taper_tensor_from_dlpack_versioned(taper_tensor **out, taper_dl_managed_versioned *managed);

TAPER_END

#endif
