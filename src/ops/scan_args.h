/* What the kernels of running sums and products, and of medians, get by value, for C and CUDA C++. */
#ifndef TAPER_OPS_SCAN_ARGS_H
#define TAPER_OPS_SCAN_ARGS_H

#include <stdint.h>

enum { TAPER_SCAN_THREADS = 256, TAPER_SCAN_EACH = 4, TAPER_SCAN_TILE = TAPER_SCAN_THREADS * TAPER_SCAN_EACH };

/* Elements seen as [outer, n, inner], n cut into `chunks` of `chunk`. First totals of the chunks are made (out NULL), then
 * those are scanned along the chunks, then each chunk starts from what is before it. */
typedef struct taper_scan_args {
    const void *in;
    void *out, *totals;  /* totals: [outer, chunks, inner] in the compute type; NULL with one chunk */
    const void *before;  /* the scanned totals, or NULL */
    int64_t outer, n, inner, chunk;
    int chunks, dtype_in, dtype_out, product;
    int wide; /* four elements at a time, along a row (inner 1) or of neighbouring columns: everything is whole times four and aligned */
} taper_scan_args;

/* The element of rank (n - 1) / 2 of each of `lines` lines; elements of a line lie `inner` apart. */
typedef struct taper_median_args {
    const void *in;
    void *values;
    int64_t *places; /* or NULL */
    int64_t lines, n, inner;
    double inner_inverse;
    int dtype;
} taper_median_args;

#endif
