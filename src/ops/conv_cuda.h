/* Convolution on the GPU. */
#ifndef TAPER_OPS_CONV_CUDA_H
#define TAPER_OPS_CONV_CUDA_H

#include "ops/conv.h"
#include "ops/conv_args.h"

typedef enum taper_conv_product { TAPER_CONV_FORWARD, TAPER_CONV_INPUT, TAPER_CONV_WEIGHT } taper_conv_product;

/* Strides of input, weight and output (or their gradients), in the order of taper_conv: n c h w, o c kh kw, n o oh ow. */
typedef struct taper_conv_layout {
    int64_t x[4], w[4], y[4];
} taper_conv_layout;

/* ---- conv_geometry.c: no GPU needed ---- */
/* Everything but pointers, dtype and the choice of parts. */
void taper__conv_describe(taper_conv_args *p, taper_conv_product product, const taper_conv *g, const taper_conv_layout *l);
/* Sets a_wide and b_wide from pointers and strides. */
void taper__conv_widen(taper_conv_args *p, taper_conv_product product);
/* Sets .part and gives the number of parts: more than one where fewer than half of the blocks wanted would run. */
int64_t taper__conv_parts(taper_conv_args *p, int64_t blocks_wanted, int64_t bytes_each, int64_t bytes_most);

/* ---- conv_cuda.c ---- */
/* x, w and y, of which the product writes one, in any layout; bias may be NULL and is for FORWARD only. */
taper_status taper__conv_cuda(taper_conv_product product, const taper_conv *g, const taper_tensor *x, const taper_tensor *w,
                              const taper_tensor *bias, const taper_tensor *y, const char *op);
/* y[n, o, i, j] += bias[o] */
taper_status taper__conv_add_bias(taper_tensor *y, const taper_tensor *bias, const char *op);

/* ---- conv_dnn.c ---- */
bool taper__conv_dnn_supports(const taper_call *c, const char **why);
/* By cuDNN, or by taper__conv_cuda where cuDNN has no kernel. */
taper_status taper__conv_dnn(taper_conv_product product, const taper_conv *g, taper_tensor *x, taper_tensor *w, const taper_tensor *bias,
                             taper_tensor *y, const char *op);

/* im2col, or with `add` col2im: images and columns of g, contiguous. */
taper_status taper__patches_cuda(bool add, const taper_conv *g, const taper_tensor *images, const taper_tensor *columns, const char *op);

#endif
