/* Convolution in two dimensions on the CPU: geometry, and the three products every convolution comes down to. */
#ifndef TAPER_OPS_CONV_H
#define TAPER_OPS_CONV_H

#include "ops/op.h"

/* Input (n, c, h, w), weight (o, c / groups, kh, kw), output (n, o, oh, ow); all arrays contiguous. */
typedef struct taper_conv {
    int64_t n, c, h, w, o, oh, ow, kh, kw;
    int64_t stride[2], padding[2], dilation[2], groups;
} taper_conv;

/* dtype is F32 or F64. MEMORY when scratch space cannot be had. The same arguments give the same bits for every number
 * of threads. Scratch: at most some megabytes for each thread. */
taper_status taper__conv_forward(const taper_conv *g, taper_dtype dtype, const void *x, const void *w, const void *bias, void *y);
taper_status taper__conv_input_grad(const taper_conv *g, taper_dtype dtype, const void *w, const void *dy, void *dx);
taper_status taper__conv_weight_grad(const taper_conv *g, taper_dtype dtype, const void *x, const void *dy, void *dw);

/* Shapes of input, weight and bias (may be NULL) of a convolution in `dims` dimensions, in torch's words. */
taper_status taper__conv_check(const taper_tensor *x, const taper_tensor *w, const taper_tensor *b, int64_t groups, int dims,
                               const char *op);

/* Patches of the images as columns of a matrix. Column q stands for output position q % (oh * ow) of image
 * q / (oh * ow), row k for channel k / (kh * kw) and one place of the window. image: elements from one image to the next. */
typedef struct taper_columns {
    const taper_conv *g;
    int64_t image, k0, k1, q0, q1;
} taper_columns;
/* _take: col[k - k0][q - q0] = pixel, 0 outside. _add: pixel += col[k - k0][q - q0]. */
typedef struct taper_conv_loops {
    void (*take[2])(const taper_columns *t, const void *x, void *col); /* float, double */
    void (*add[2])(const taper_columns *t, void *x, const void *col);
    /* One channel of one image with a window of its own (c == groups): planes of input and output. */
    void (*plane_forward[2])(const taper_conv *g, const void *x, const void *w, void *y);
    void (*plane_input[2])(const taper_conv *g, const void *w, const void *dy, void *dx);
    void (*plane_weight[2])(const taper_conv *g, const void *x, const void *dy, void *dw);
} taper_conv_loops;
TAPER_SIMD_DECLARE(taper_conv_loops, taper__conv_loops);

#endif
