/* What the kernels of triangles and of counting get by value, for C and CUDA C++. */
#ifndef TAPER_OPS_TRIANGLE_ARGS_H
#define TAPER_OPS_TRIANGLE_ARGS_H

#include <stdint.h>

/* Matrices of rows x cols, all contiguous; in units of 1 to 8 bytes. */
typedef struct taper_triangle_args {
    const void *in;
    void *out;
    int64_t n, rows, cols, diagonal;
    int upper;
} taper_triangle_args;

enum { TAPER_NONZERO_DIMS = 16, TAPER_NONZERO_THREADS = 256, TAPER_NONZERO_EACH = 8, TAPER_NONZERO_TILE = TAPER_NONZERO_THREADS * TAPER_NONZERO_EACH };

/* A bool tensor, contiguous. counts: elements that are true in each tile; after nonzero_scan in those before it, with the sum of
 * all behind the last. */
typedef struct taper_nonzero_args {
    const uint8_t *in;
    int64_t *counts, *out; /* out: [count, ndim] */
    int64_t n, tiles;
    int ndim;
    int64_t shape[TAPER_NONZERO_DIMS];
} taper_nonzero_args;

/* out[i] = the number of ends that are at most i: which run of `ends` position i lies in. */
typedef struct taper_runs_args {
    const int64_t *ends;
    int64_t *out;
    int64_t count, n;
} taper_runs_args;

#endif
