/* Fused attention on the CPU: blocks of queries against blocks of keys, without the whole matrix of scores.
 *
 * Letters: B batch, H heads of the query, G heads that share one head of key and value, L queries, S keys, E size of query
 * and key, V size of value. */
#ifndef TAPER_OPS_ATTENTION_H
#define TAPER_OPS_ATTENTION_H

#include "ops/gemm_kernel.h"
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

/* Queries stand side by side in vectors, keys below each other: maxima and sums of a query never cross a vector, and scores
 * are the second operand of the next product as they lie. A panel is `n` queries, one vector or two; a block is
 * TAPER_ATTENTION_QUERIES of them, and a row of it is as long. */
enum { TAPER_ATTENTION_QUERIES = 64, TAPER_ATTENTION_KEYS = 128 };

/* For float and double: s[j ld + u] is the score of key j and query u. */
typedef struct taper_attention_loops {
    /* s = exp(s - m), m the running maximum of each query; sum and factor (what earlier sums must be scaled by) follow. */
    void (*grow)(void *s, int64_t keys, int64_t ld, int n, void *max, void *sum, void *factor);
    /* The same for one query, whose scores follow each other; sum[1] is the factor. */
    void (*grow_one)(void *s, int64_t keys, void *max, void *sum);
    /* o = sum[1] o + part */
    void (*add_one)(void *o, const void *part, int64_t n, const void *sum);
    void (*finish_one)(void *o, int64_t n, void *logsumexp, const void *max, const void *sum);
    /* o = factor o */
    void (*scale)(void *o, int64_t rows, int64_t ld, int n, const void *factor);
    /* factor = 1 / sum, or 0; logsumexp = max + log sum */
    void (*finish)(void *factor, void *logsumexp, const void *max, const void *sum);
    /* s = -inf where key first + j comes after query u */
    void (*hide)(void *s, int64_t keys, int64_t ld, int n, int64_t first);
    /* s = s + mask, or where `choose` -inf when mask is 0 */
    void (*mask)(void *s, int64_t keys, int64_t ld, int n, const void *mask, bool choose);
    /* s = exp(s - logsumexp) */
    void (*again)(void *s, int64_t keys, int64_t ld, int n, const void *logsumexp);
    /* d = scale s (d - delta) */
    void (*slope)(void *d, const void *s, int64_t keys, int64_t ld, int n, const void *delta, double scale);
    /* delta[u] = the sum of a b over rows */
    void (*dots)(const void *a, const void *b, int64_t rows, void *delta);
    /* to[i to_row + j] = factor[i] from[j QUERIES + i] */
    void (*turn)(void *to, int64_t to_row, const void *from, int64_t rows, int64_t cols, const void *factor);
} taper_attention_loops;
TAPER_SIMD_DECLARE(taper_attention_loops, taper__attention_f32);
TAPER_SIMD_DECLARE(taper_attention_loops, taper__attention_f64);

/* ---- shared by the two directions: attention_cpu.c ---- */

typedef struct taper_attention_run {
    const taper_attention *a;
    const taper_attention_loops *loops;
    const gemm_kernels *gemm;
    const taper_tensor *dout, *out_read, *lse_read;
    taper_tensor *out, *lse, *dq, *dk, *dv;
    int type; /* 1: double */
    int64_t size, blocks;
    _Atomic bool failed;
} taper_attention_run;

/* Rows of a matrix, each contiguous. */
typedef struct taper_attention_rows {
    char *p;
    int64_t ld;
} taper_attention_rows;

void taper__attention_choose(taper_attention_run *r, int type);
char *taper__attention_at(const taper_attention_run *r, const taper_tensor *t, int64_t b, int64_t h, int64_t row);
/* Elements of `width` rounded up to whole vectors. */
int64_t taper__attention_whole(const taper_attention_run *r, int64_t width);
/* Rows from `row` on where they are, or copied to `space` where they are not contiguous or far apart in the wrong way; `second`: also where
 * they do not end with a vector. */
taper_attention_rows taper__attention_take(const taper_attention_run *r, const taper_tensor *t, int64_t b, int64_t h, int64_t row, int64_t rows,
                                           char *space, bool second);
/* to[e QUERIES + u] = row u's element e, zeros for u >= rows. */
void taper__attention_turn(const taper_attention_run *r, char *to, const taper_tensor *t, int64_t b, int64_t h, int64_t row, int64_t rows);
/* C (m, n) = A (m, k) B (k, n), or C + A B. B is read to the end of its last vector. */
void taper__attention_multiply(const taper_attention_run *r, int64_t m, int64_t n, int64_t k, const char *a, int64_t a_row, int64_t a_col,
                               taper_attention_rows b, char *c, int64_t c_row, bool add);
/* Queries of the panel that begins at `u` of `rows`. */
int taper__attention_panel(const taper_attention_run *r, int64_t rows, int64_t u);
/* Scores s (keys, n), masked, of the queries from q0 + u on, which lie at `q`; `masks` is space for two panels of KEYS. Keys that none of
 * them sees are left out: returns the number of the others. */
int64_t taper__attention_scores(const taper_attention_run *r, taper_attention_rows s, int64_t b, int64_t h, int64_t q0, int64_t u, int64_t rows,
                                const char *q, taper_attention_rows k, int64_t k0, int64_t keys, char *masks);
taper_status taper__attention_go(taper_attention_run *r, int64_t tasks, double flops, taper_range_fn fn);

#endif
