/* Mersenne Twister MT19937 (Matsumoto and Nishimura 1998, doi:10.1145/272991.272995), 32-bit words. */
#ifndef TAPER_TENSOR_MT19937_H
#define TAPER_TENSOR_MT19937_H

#include <stdint.h>

enum { TAPER_MT_N = 624, TAPER_MT_M = 397 };

/* left - 1 words can be taken from state[next...] before the state must be twisted. Fresh from a seed: left 1, next 0.
 */
typedef struct taper_mt19937 {
    uint64_t seed;
    int32_t left;
    uint32_t next;
    uint32_t state[TAPER_MT_N];
} taper_mt19937;

void taper__mt_seed(taper_mt19937 *mt, uint64_t seed);
/* The next n words of the stream. */
void taper__mt_fill(taper_mt19937 *mt, uint32_t *out, int64_t n);

/* What is compiled once per instruction set: src/tensor/mt19937.simd.c. */
typedef struct taper_mt_kernels {
    void (*twist)(uint32_t *state);
    void (*temper)(uint32_t *out, const uint32_t *state, int64_t n);
} taper_mt_kernels;

#endif
