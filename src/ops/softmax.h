/* Loops of softmax and of the losses made of it. */
#ifndef TAPER_OPS_SOFTMAX_H
#define TAPER_OPS_SOFTMAX_H

#include "ops/op.h"

enum { TAPER_SOFTMAX_COLUMNS = 256 }; /* at most, in one call of a columns function */

/* One softmax: n elements at the given stride (f64), or rows of n (f32), or `cols` neighbours of n elements each, `stride`
 * apart (f32). log: the logarithm of the softmax. */
typedef struct taper_softmax_loops {
    void (*row)(float *y, const float *x, int64_t n, bool log);
    void (*row_backward)(float *d, const float *g, const float *y, int64_t n, bool log);
    void (*columns)(float *y, const float *x, int64_t n, int64_t stride, int cols, bool log);
    void (*columns_backward)(float *d, const float *g, const float *y, int64_t n, int64_t stride, int cols, bool log);
    float (*row_lse)(const float *x, int64_t n);                                            /* log of the sum of e^x */
    void (*columns_lse)(float *out, const float *x, int64_t n, int64_t stride, int cols);
    void (*row_scaled)(float *d, const float *x, int64_t n, float lse, float scale);        /* scale e^(x - lse) */
    void (*columns_scaled)(float *d, const float *x, int64_t n, int64_t stride, int cols, const float *lse, const float *scale);
} taper_softmax_loops;
TAPER_SIMD_DECLARE(taper_softmax_loops, taper__softmax_loops);

/* On the GPU, any floating dtype; n elements `inner` apart; b NULL: forward of a, else backward of gradient a and result b. */
taper_status taper__softmax_cuda(taper_tensor *y, const taper_tensor *a, const taper_tensor *b, int64_t n, int64_t inner, bool log);

#endif
