/* The GPU's sorts. */
#ifndef TAPER_OPS_SORT_CUDA_H
#define TAPER_OPS_SORT_CUDA_H

#include "ops/op.h"
#include "ops/sort_args.h"

/* The first `keep` of each line of self along dim, in order; values may be NULL. Stable. */
taper_status taper__sort_cuda(const taper_tensor *self, taper_tensor *values, taper_tensor *indices, int dim, int64_t keep, bool down, const char *op);

/* n numbers in [0, most] sorted, with the place that each came from. All in GPU memory. `memory` of `bytes` holds both and is freed
 * by the caller with taper__memory_free. */
typedef struct taper_sorted {
    uint64_t *keys;
    uint32_t *places;
    void *memory;
    size_t bytes;
} taper_sorted;
taper_status taper__sort_places_cuda(taper_sorted *out, const int64_t *numbers, int64_t n, int64_t most, taper_device device, const char *op);

/* sort_cuda.c, plain arithmetic: bytes of the four parts of a radix sort (each from a multiple of 16 on). */
typedef struct taper_sort_plan {
    int64_t tiles;
    size_t keys, places, counts, totals, bytes;
} taper_sort_plan;
taper_sort_plan taper__sort_plan(int64_t lines, int64_t n, int key_bytes);
/* Passes of 8 bits, and the width of keys in bytes, that a dtype needs. */
int taper__sort_passes(taper_dtype dtype, int *key_bytes);

#endif
