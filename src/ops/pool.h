/* Pooling: windows over the last two dims of a tensor, given by tables of where they begin and end. */
#ifndef TAPER_OPS_POOL_H
#define TAPER_OPS_POOL_H

#include "ops/op.h"

/* What the arguments say; dims 0 and 1 are height and width. */
typedef struct taper_pool {
    int64_t kernel[2], stride[2], padding[2], dilation[2];
    int64_t in[2], out[2], planes;
    int64_t divisor; /* 0: the size of the window */
    bool ceil_mode, include_pad, adaptive;
} taper_pool;

/* kernel_size, stride, padding, dilation (NULL: none): one int or two. */
taper_status taper__pool_numbers(taper_pool *p, const char *op, const taper_arg *kernel, const taper_arg *stride,
                                 const taper_arg *padding, const taper_arg *dilation);
/* Sets in, planes and out, which must come out positive. shape: ndim sizes of the input, 3 or 4. */
taper_status taper__pool_sizes(taper_pool *p, int ndim, const int64_t *shape);
/* Adaptive windows: `output` as the caller gave it. */
taper_status taper__pool_adaptive(taper_pool *p, const char *op, const taper_arg *output, int ndim, const int64_t *shape);

/* Over all planes of contiguous arrays of float or double. indices: position in the plane, int64. */
taper_status taper__pool_max(const taper_pool *p, taper_dtype dtype, const void *x, void *y, int64_t *indices);
taper_status taper__pool_average(const taper_pool *p, taper_dtype dtype, const void *x, void *y);
taper_status taper__pool_average_backward(const taper_pool *p, taper_dtype dtype, const void *dy, void *dx);

/* On the GPU, any floating dtype. PUT: planes `in` from values at indices in planes `out`; kernel 0: the indices may be anywhere.
 * TAKE: the other way. */
typedef enum taper_pool_step { TAPER_POOL_MAX, TAPER_POOL_AVERAGE, TAPER_POOL_SPREAD, TAPER_POOL_PUT, TAPER_POOL_TAKE } taper_pool_step;
taper_status taper__pool_cuda(taper_pool_step step, const taper_pool *p, const taper_tensor *from, taper_tensor *to, const taper_tensor *indices,
                              const char *op);

/* The shape of the result: that of the input with the last two dims replaced. */
void taper__pool_shape(const taper_pool *p, int ndim, const int64_t *in, int64_t *out);

/* conv_transpose.c: a dim of size 1 before the last, which makes rows into images, and back. */
taper_tensor *taper__rows_as_images(taper_scope *s, taper_tensor *t);
taper_tensor *taper__images_as_rows(taper_scope *s, taper_tensor *t);

#endif
