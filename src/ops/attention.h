/* Fused attention on the CPU: tiles of query rows against blocks of keys, without the whole matrix of scores.
 *
 * Letters: B batch, H heads of the query, G heads that share one head of key and value, L queries, S keys, E size of query
 * and key, V size of value. */
#ifndef TAPER_OPS_ATTENTION_H
#define TAPER_OPS_ATTENTION_H

#include "ops/op.h"

typedef struct taper_attention {
    const taper_tensor *q, *k, *v, *mask; /* (B, H, L, E), (B, H / G, S, E), (B, H / G, S, V), NULL or broadcast to (B, H, L, S) */
    int64_t B, H, G, L, S, E, V;
    double scale;
    bool causal;
} taper_attention;

taper_status taper__attention_cpu(const taper_attention *a, taper_tensor *out, taper_tensor *logsumexp);
taper_status taper__attention_backward_cpu(const taper_attention *a, const taper_tensor *dout, const taper_tensor *out,
                                           const taper_tensor *logsumexp, taper_tensor *dq, taper_tensor *dk, taper_tensor *dv);

/* The vjp of flash_attention as public operators, which has a gradient itself. */
taper_status taper__attention_composed_vjp(taper_vjp *v);

/* One tile of scores, rows `ld` apart, in float or double. */
typedef struct taper_attention_loops {
    /* s = exp(s - m), m the running maximum of each row; sum and factor (what earlier sums must be scaled by) follow. */
    void (*grow[2])(void *s, int64_t rows, int64_t cols, int64_t ld, void *max, void *sum, void *factor);
    void (*scale[2])(void *rows_, int64_t rows, int64_t cols, int64_t ld, const void *factor);
    /* s = exp(s - logsumexp) */
    void (*again[2])(void *s, int64_t rows, int64_t cols, int64_t ld, const void *logsumexp);
    /* d = s * (d - delta) */
    void (*slope[2])(void *d, const void *s, int64_t rows, int64_t cols, int64_t ld, const void *delta);
} taper_attention_loops;
TAPER_SIMD_DECLARE(taper_attention_loops, taper__attention_loops);

#endif
