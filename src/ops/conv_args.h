/* What the convolution kernels are given: one description serves the convolution and both gradients, each as a product
 * out[row, col] = sum over depth of a[row, depth] b[depth, col].
 *
 *            rows                  cols                 depth                a        b        out
 * forward    outputs of a group    places of output     taps (of channels)   weight   input    output
 * input      channels of a group   pixels of input      taps (of outputs)    weight   d output d input
 * weight     outputs of a group    taps (of channels)   places of output     d output input    d weight
 *
 * A place is (image, i, j), a tap (channel, r, s). A place and a tap meet at one element of b: row i * place_mul +
 * place_add + r * tap_mul, likewise the column; for `input` only where the strides divide both, and at that quotient. */
#ifndef TAPER_OPS_CONV_ARGS_H
#define TAPER_OPS_CONV_ARGS_H

#include <stdint.h>

enum {
    TAPER_CONV_ROWS = 64,
    TAPER_CONV_COLS = 128,
    TAPER_CONV_DEPTH = 32,       /* of one step with tensor cores */
    TAPER_CONV_DEPTH_PLAIN = 16, /* of one step without */
    TAPER_CONV_THREADS = 256
};

typedef struct taper_conv_args {
    const void *a, *b, *bias; /* bias: one element for each row and group, or NULL */
    void *out;
    void *partial; /* sums of parts of the depth, [part][group][row][col] in the type of the sums; NULL: one part */
    int64_t rows, cols, depth, groups;
    int64_t part; /* depth of one part, a multiple of TAPER_CONV_DEPTH */
    int64_t a_row, a_group, b_group, out_row, out_group;
    int64_t place_size[2], place_image, place_step[2]; /* strides in the tensor that is indexed by row and place */
    int64_t taps, tap_size[2], tap_channel, tap_step[2]; /* strides in the weight */
    int64_t b_image, b_channel, b_step[2];
    int place_mul[2], place_add[2], tap_mul[2], limit[2], divide[2];
    int cols_tap;       /* columns are taps and the depth is places */
    int divided;        /* one of divide is more than 1 */
    int last;           /* the channel of a tap runs fastest, not s */
    int a_wide, b_wide; /* eight elements along depth are neighbours and aligned (16-bit types) */
    int dtype;
} taper_conv_args;

/* Windows of one plane each (depthwise): any strides. */
typedef struct taper_conv_plane_args {
    const void *x, *w, *dy, *bias;
    void *out;
    int64_t n, channels, per, h, width, oh, ow; /* per: outputs of a channel */
    int64_t x_step[4], y_step[4], w_step[3];    /* of x or dx, y or dy, w or dw (output, r, s) */
    int kh, kw, stride[2], padding[2], dilation[2];
    int dtype;
} taper_conv_plane_args;

/* Patches of images as columns (c * kh * kw, oh * ow), contiguous. */
typedef struct taper_patches_args {
    const void *from;
    void *to;
    int64_t n;
    int c, h, w, kh, kw, oh, ow, stride[2], padding[2], dilation[2], dtype;
} taper_patches_args;

#endif
