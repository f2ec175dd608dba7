/* What a reduction kernel gets by value, for C and CUDA C++. */
#ifndef TAPER_OPS_REDUCE_ARGS_H
#define TAPER_OPS_REDUCE_ARGS_H

#include <stdint.h>

/* A block of TAPER_RED_THREADS threads works on `width` outputs (by columns: width times `each`) with threads / width
 * lanes each; every lane walks the reduced elements of its part in steps of the number of lanes. Part p of `parts` covers
 * [p, p + 1) * chunk. */
enum { TAPER_RED_THREADS = 256, TAPER_RED_DIMS = 16, TAPER_RED_PARTIAL = 16 /* bytes of the largest state */ };

enum { TAPER_RED_ANYHOW, TAPER_RED_ALONG, TAPER_RED_ACROSS }; /* way: one element at a time; 16 bytes along a row; across columns */
enum { TAPER_RED_PLAIN, TAPER_RED_SCALED, TAPER_RED_ROOT, TAPER_RED_POWER }; /* finish: as it is; times scale; sqrt; ^scale */

typedef struct taper_reduce_args {
    const void *in;
    void *out, *other, *partial; /* other: the second result or NULL; partial: [parts][outputs] states when parts > 1 */
    int64_t outputs, inner, chunk;
    double scale, p; /* p: the exponent of a sum of powers; the divisor of a variance */
    int dtype_in, dtype_out, dtype_other, parts, finish;
    int way, width, each, columns; /* columns: neighbouring threads take neighbouring outputs */
    int nkept, ninner;
    int64_t kept_shape[TAPER_RED_DIMS], kept_stride[TAPER_RED_DIMS];
    int64_t inner_shape[TAPER_RED_DIMS], inner_stride[TAPER_RED_DIMS];
} taper_reduce_args;

#endif
