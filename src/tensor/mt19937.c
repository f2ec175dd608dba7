/* Mersenne Twister: seeding and the word stream. The loops over the state are in mt19937.simd.c. */
#include "tensor/mt19937.h"

#include "base/base.h"

TAPER_SIMD_DECLARE(taper_mt_kernels, taper__mt_kernels);

void taper__mt_seed(taper_mt19937 *mt, uint64_t seed) {
    uint32_t word = (uint32_t)seed;
    mt->seed = seed;
    mt->left = 1;
    mt->next = 0;
    mt->state[0] = word;
    for (uint32_t i = 1; i < TAPER_MT_N; i++) mt->state[i] = word = 1812433253u * (word ^ (word >> 30)) + i;
}

void taper__mt_fill(taper_mt19937 *mt, uint32_t *out, int64_t n) {
    const taper_mt_kernels *k = TAPER_SIMD_PICK(taper__mt_kernels);
    while (n > 0) {
        if (mt->left <= 1) {
            k->twist(mt->state);
            mt->left = TAPER_MT_N + 1;
            mt->next = 0;
        }
        int64_t m = mt->left - 1 < n ? mt->left - 1 : n;
        k->temper(out, mt->state + mt->next, m);
        mt->left -= (int32_t)m;
        mt->next += (uint32_t)m;
        out += m;
        n -= m;
    }
}
