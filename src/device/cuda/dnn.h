/* cuDNN's backend (graph) API, found at run time: version 8 or 9. Operators fill descriptors; this is the way to them.
 */
#ifndef TAPER_DEVICE_CUDA_DNN_H
#define TAPER_DEVICE_CUDA_DNN_H

#include "device/cuda/cuda.h"

/* Results are cudnnStatus_t, 0: success; descriptors, attributes and types are the numbers of cudnn_backend.h. */
typedef struct taper_cudnn {
    size_t (*version)(void);        /* 90100 for 9.1.0, 8907 for 8.9.7 */
    size_t (*cudart_version)(void); /* of the build: 12040 */
    const char *(*error_string)(int status);
    void (*last_error)(char *text, size_t size); /* NULL before 9 */
    int (*create)(void **handle);
    int (*destroy)(void *handle);
    int (*set_stream)(void *handle, void *stream);
    int (*descriptor_create)(int type, void **descriptor);
    int (*descriptor_destroy)(void *descriptor);
    int (*descriptor_finalize)(void *descriptor);
    int (*set)(void *descriptor, int attribute, int type, int64_t count, const void *values);
    int (*get)(void *descriptor, int attribute, int type, int64_t room, int64_t *count, void *values);
    int (*execute)(void *handle, void *plan, void *variant_pack);
} taper_cudnn;

/* NULL with a sentence when there is no usable cuDNN. Loads it at the first call. */
const taper_cudnn *taper__cudnn(char *why, size_t why_size);
int taper__cudnn_version(void); /* 90100; 0 when not loaded */
/* The GPU's handle, bound to the current stream, held by this thread until taper__cudnn_leave. */
taper_status taper__cudnn_enter(void **handle, int index, const char *op);
void taper__cudnn_leave(int index);
/* Message with cuDNN's own words. status NOT_SUPPORTED (3000-3999 in version 9, 9 in 8) gives NOT_IMPLEMENTED. */
taper_status taper__cudnn_fail(int status, const char *call, const char *op);

#endif
