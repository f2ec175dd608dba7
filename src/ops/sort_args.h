/* What the sort kernels get by value, for C and CUDA C++. */
#ifndef TAPER_OPS_SORT_ARGS_H
#define TAPER_OPS_SORT_ARGS_H

#include <stdint.h>

enum {
    TAPER_SORT_DIMS = 16,
    TAPER_SORT_SMALL = 2048, /* lines up to this length are sorted by one block */
    TAPER_SORT_THREADS = 256,
    TAPER_SORT_EACH = 8,
    TAPER_SORT_TILE = TAPER_SORT_THREADS * TAPER_SORT_EACH,
    TAPER_SORT_DIGITS = 256,
    TAPER_SORT_RAW = 255 /* dtype_in: keys that are sorted as they are, unsigned 64-bit */
};

/* `lines` lines of n elements. Keys are unsigned numbers in the order of the values; a radix sort moves them, with the place
 * that each came from, between two buffers of [lines, n]. */
typedef struct taper_sort_args {
    const void *in;
    void *values;             /* or NULL; of the dtype of in */
    int64_t *indices;         /* or NULL */
    uint64_t *sorted;         /* or NULL: sorted keys of small raw lines */
    uint32_t *sorted_places;  /* with sorted */
    void *keys, *keys_to;     /* of one pass: from, to */
    uint32_t *places, *places_to; /* places NULL: 0, 1, 2, ... */
    uint32_t *counts, *totals;    /* [lines, digits, tiles] and [lines, digits] */
    int64_t lines, n, keep, tiles;
    int64_t step_in, step_out; /* strides of the sorted dim */
    int ndim;                  /* the other dims */
    int64_t shape[TAPER_SORT_DIMS], stride_in[TAPER_SORT_DIMS], stride_out[TAPER_SORT_DIMS];
    int dtype_in, bytes, down, shift;
    int small; /* power of two that holds n */
} taper_sort_args;

#endif
