/* What a reduction kernel gets by value, for C and CUDA C++. */
#ifndef TAPER_OPS_REDUCE_ARGS_H
#define TAPER_OPS_REDUCE_ARGS_H

#include <stdint.h>

/* A block of TAPER_RED_THREADS threads works on `width` outputs with threads / width lanes each; every lane walks the
 * reduced elements of its part in steps of the number of lanes. Part p of `parts` covers [p, p + 1) * chunk. */
enum { TAPER_RED_THREADS = 256, TAPER_RED_DIMS = 16 };

typedef struct taper_reduce_args {
    const void *in;
    void *out, *partial; /* partial: [parts][outputs] in the accumulation type when parts > 1 */
    int64_t outputs, inner, chunk;
    double scale; /* sums are multiplied by it: mean */
    int dtype_in, dtype_out, parts;
    int width, columns; /* columns: neighbouring threads take neighbouring outputs */
    int nkept, ninner;
    int64_t kept_shape[TAPER_RED_DIMS], kept_stride[TAPER_RED_DIMS];
    int64_t inner_shape[TAPER_RED_DIMS], inner_stride[TAPER_RED_DIMS];
} taper_reduce_args;

#endif
