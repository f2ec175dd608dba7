/* What the GPU's attention kernels get by value, for C and CUDA C++, and how weights are dropped.
 *
 * Letters: B batch, H heads of the query, G heads that share one head of key and value, L queries, S keys, E size of query
 * and key, V size of value. Strides are in elements, in the order batch, head, row, element. */
#ifndef TAPER_OPS_ATTENTION_ARGS_H
#define TAPER_OPS_ATTENTION_ARGS_H

#include <stdint.h>

typedef struct taper_attention_view {
    void *p;
    int64_t stride[4];
} taper_attention_view;

typedef struct taper_attention_args {
    taper_attention_view q, k, v, out, dout, dq, dk, dv;
    taper_attention_view mask; /* p NULL: none; stride 0 repeats */
    void *lse, *delta;         /* (B, H, L), float, double for double */
    int B, H, G, L, S, E, V;
    int dtype, mask_dtype, causal;
    double scale;
    /* Dropout: weight (row, key) stays when its 16-bit number is at least `drop`; 0: all stay. */
    unsigned drop;
    double keep_scale;
    uint64_t seed, offset;
} taper_attention_args;

/* The 16-bit number of weight (row, key), row counting through (B, H, L): number `part` of the Philox call `index`. Chosen so
 * that a lane of a tensor-core tile needs each call whole: 32 keys, of which it holds two neighbours in each group of 8. */
#define TAPER_ATTENTION_DROP_INDEX(row, key, S) (((uint64_t)(row) * (uint64_t)(((S) + 63) / 64) + (uint64_t)((key) / 64)) * 8 + (uint64_t)((key) % 8 / 2 * 2 + (key) % 64 / 32))
#define TAPER_ATTENTION_DROP_PART(key) ((int)((key) % 32 / 8 * 2 + (key) % 2))

/* Tiles of the tensor-core kernels. head: E and V rounded up to 32, 64, 96 or 128. */
enum { TAPER_ATTENTION_WARPS = 4, TAPER_ATTENTION_THREADS = 128, TAPER_ATTENTION_PAD = 8, TAPER_ATTENTION_PLAIN_WARPS = 4 };
#define TAPER_ATTENTION_FORWARD_TILES 2 /* of 16 query rows, for each warp */
#define TAPER_ATTENTION_FORWARD_KEYS(head) ((head) > 64 ? 32 : 64)
#define TAPER_ATTENTION_BACKWARD_TILES(head) ((head) > 64 ? 1 : 2)
#define TAPER_ATTENTION_DKV_TILES(head, extra) ((extra) ? 1 : TAPER_ATTENTION_BACKWARD_TILES(head)) /* registers */
#define TAPER_ATTENTION_BACKWARD_STEP 32 /* keys, or queries, that pass at a time */
#define TAPER_ATTENTION_DELTA_LANES(V) ((V) > 64 ? 16 : (V) > 32 ? 8 : 4)

#endif
