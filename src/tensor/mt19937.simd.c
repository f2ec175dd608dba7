/* The two loops of the Mersenne Twister over its 624 words of state. */
#include "tensor/mt19937.h"

#include "base/base.h"

static inline uint32_t mt_mix(uint32_t a, uint32_t b) {
    return (((a & 0x80000000u) | (b & 0x7fffffffu)) >> 1) ^ (-(b & 1u) & 0x9908b0dfu);
}

/* Each new word needs its old neighbour and the word 397 further on; both loops read only what is old or long done. */
static void mt_twist(uint32_t *s) {
    enum { N = TAPER_MT_N, M = TAPER_MT_M };
    for (int i = 0; i < N - M; i++) s[i] = s[i + M] ^ mt_mix(s[i], s[i + 1]);
    for (int i = N - M; i < N - 1; i++) s[i] = s[i + M - N] ^ mt_mix(s[i], s[i + 1]);
    s[N - 1] = s[M - 1] ^ mt_mix(s[N - 1], s[0]);
}

static void mt_temper(uint32_t *restrict out, const uint32_t *restrict state, int64_t n) {
    for (int64_t i = 0; i < n; i++) {
        uint32_t y = state[i];
        y ^= y >> 11;
        y ^= (y << 7) & 0x9d2c5680u;
        y ^= (y << 15) & 0xefc60000u;
        out[i] = y ^ (y >> 18);
    }
}

extern const taper_mt_kernels TAPER_SIMD(taper__mt_kernels);
const taper_mt_kernels TAPER_SIMD(taper__mt_kernels) = {mt_twist, mt_temper};
