/* What the resampling kernels are given: contiguous planes `in` and `out`. */
#ifndef TAPER_OPS_UPSAMPLE_ARGS_H
#define TAPER_OPS_UPSAMPLE_ARGS_H

#include <stdint.h>

typedef struct taper_upsample_args {
    const void *from;
    void *to;
    int64_t planes;
    double factor[2]; /* given by the caller; 0: from the sizes */
    int in[2], out[2], nearest, align, wide, dtype;
} taper_upsample_args;

#endif
