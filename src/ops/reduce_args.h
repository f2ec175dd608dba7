/* What a reduction kernel gets by value, for C and CUDA C++. */
#ifndef TAPER_OPS_REDUCE_ARGS_H
#define TAPER_OPS_REDUCE_ARGS_H

#include <stdint.h>

/* A block of TAPER_RED_THREADS threads works on `width` outputs (by columns: width times `each`) with threads / width
 * lanes each; every lane walks the reduced elements of its part in steps of the number of lanes. Part p of `parts` covers
 * [p, p + 1) * chunk. */
enum { TAPER_RED_THREADS = 256, TAPER_RED_DIMS = 16, TAPER_RED_PARTIAL = 32, /* bytes of the largest state */
       TAPER_RED_AHEAD = 4 /* loads of a thread that are on their way at a time */ };

enum { TAPER_RED_ANYHOW, TAPER_RED_ALONG, TAPER_RED_ACROSS }; /* way: one element at a time; 16 bytes along a row; across columns */
enum { TAPER_RED_WIDE_F32 = 1, TAPER_RED_WIDE_F64 = 2, TAPER_RED_WIDE_I64 = 4 }; /* compute types with 16-byte paths */
/* name, such types, image, has integers */
#define TAPER_RED_ROWS(R)                                                                                              \
    R(sum, 7, "reduce", 1) R(prod, 0, "reduce", 1) R(max, 1, "reduce", 1) R(any, 4, "reduce", 1) R(count, 5, "reduce", 1) \
    R(nansum, 0, "reduce", 0) R(sum_abs, 1, "reduce", 0) R(sum_square, 1, "reduce", 0) R(sum_power, 0, "reduce", 0)    \
    R(max_abs, 1, "reduce", 0) R(argmax, 1, "reduce_state", 1) R(var, 1, "reduce_state", 0) R(lse, 1, "reduce_state", 0)
#define TAPER_RED_WIDE(name, wide, ...) TAPER_RED_##name##_wide = wide,
enum { TAPER_RED_ROWS(TAPER_RED_WIDE) };
/* finish: as it is; times scale; sqrt; ^scale; the other extreme (min of max, all of any) */
enum { TAPER_RED_PLAIN, TAPER_RED_SCALED, TAPER_RED_ROOT, TAPER_RED_POWER, TAPER_RED_FLIPPED };

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
    double kept_inverse[TAPER_RED_DIMS], inner_inverse[TAPER_RED_DIMS]; /* 1 / shape */
} taper_reduce_args;

#endif
