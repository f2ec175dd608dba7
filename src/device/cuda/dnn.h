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

/* ---- dnn_conv.c ---- */
/* A convolution or one of its gradients: sizes and strides of input (n c h w), weight (o c/groups kh kw) and output. */
typedef enum taper_cudnn_product { TAPER_CUDNN_FORWARD, TAPER_CUDNN_INPUT, TAPER_CUDNN_WEIGHT } taper_cudnn_product;
typedef struct taper_cudnn_conv {
    int64_t x[4], w[4], y[4], x_strides[4], w_strides[4], y_strides[4], stride[2], padding[2], dilation[2];
    int32_t product, dtype; /* taper_dtype: F16, BF16 or F32 */
    int32_t tf32, unused;   /* float32 operands may be rounded to TF32 */
} taper_cudnn_conv;
/* Queued on the current stream; pointers are aligned to 16 bytes. NOT_IMPLEMENTED when cuDNN has no kernel for the case that
 * gives the same bits each time. Plans are kept by description. */
taper_status taper__cudnn_conv(const taper_cudnn_conv *c, void *x, void *w, void *y, int index, const char *op);

/* ---- dnn_attention.c ---- */
/* softmax(scale Q K^T) V or its gradients: B batch, H heads of the query, K heads of key and value, L queries, S keys, E size
 * of query and key, V size of value. Strides are in elements, in the order batch, head, row, element; the last is 1. */
typedef struct taper_cudnn_attention {
    int64_t B, H, K, L, S, E, V;
    int64_t q[4], k[4], v[4], out[4], dout[4], dq[4], dk[4], dv[4]; /* those of the gradients: 0 when forward */
    int32_t dtype, causal, backward, unused;                        /* taper_dtype: F16 or BF16 */
} taper_cudnn_attention;
typedef struct taper_cudnn_attention_data {
    void *q, *k, *v, *out, *logsumexp, *dout, *dq, *dk, *dv; /* multiples of 16 bytes; logsumexp: float (B, H, L) */
    void *queries, *keys;                                    /* int32 (B): L and S for each, where lengths are needed */
    float scale;
} taper_cudnn_attention_data;
/* Whether the lengths are needed: some versions are wrong in the last block of keys without. */
bool taper__cudnn_attention_needs_lengths(const taper_cudnn_attention *a, int version);
/* Whether cuDNN of that version (90100 for 9.1.0) is asked at all on a GPU of that capability (90 for 9.0). */
bool taper__cudnn_attention_takes(const taper_cudnn_attention *a, int version, int capability, const char **why);
/* The batch and the heads of keys that one call of the backward plan serves: its workspace holds their whole matrices of
 * scores in half precision, and is cut to stay within `most` bytes where one head does. */
void taper__cudnn_attention_cut(const taper_cudnn_attention *a, int64_t most, int64_t *batch, int64_t *heads);
/* Queued on the current stream. NOT_IMPLEMENTED when cuDNN has no kernel for the case that gives the same bits each time.
 * Plans are kept by description. */
taper_status taper__cudnn_attention(const taper_cudnn_attention *a, const taper_cudnn_attention_data *data, int index, const char *op);

#endif
