/* What the pooling kernels are given: windows over planes of contiguous arrays. */
#ifndef TAPER_OPS_POOL_ARGS_H
#define TAPER_OPS_POOL_ARGS_H

#include <stdint.h>

typedef struct taper_pool_args {
    const void *from;
    void *to;
    int64_t *indices; /* position in the plane: written by the maximum, read by put and take */
    int64_t planes, divisor;
    int kernel[2], stride[2], padding[2], dilation[2], in[2], out[2]; /* kernel 0: windows unknown (put) */
    int include_pad, adaptive, dtype;
} taper_pool_args;

#endif
