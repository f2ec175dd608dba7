/* Philox-4x32-10, a counter-based generator (Salmon et al. 2011, doi:10.1145/2063384.2063405), for C11 and CUDA C++.
 *
 * Key: the seed. Counter: the offset of the call in its low half, the index of the element (or thread) in its high
 * half. One call gives four words; a number depends on (seed, offset, index) only, never on how work was cut.
 */
#ifndef TAPER_TENSOR_PHILOX_H
#define TAPER_TENSOR_PHILOX_H

#include <math.h>
#include <stdint.h>

#ifdef __CUDACC__
#include "device/cuda/captured_random.h"
#define TAPER_PHILOX static __host__ __device__ __forceinline__
#else
#define TAPER_PHILOX static inline
#endif

typedef struct taper__philox4 {
    uint32_t x[4];
} taper__philox4;

TAPER_PHILOX uint32_t taper__philox_high(uint32_t a, uint32_t b) {
#ifdef __CUDA_ARCH__
    return __umulhi(a, b); /* a shifted 64-bit product costs another addition */
#else
    return (uint32_t)((uint64_t)a * b >> 32);
#endif
}

TAPER_PHILOX taper__philox4 taper__philox_words(taper__philox4 counter, uint32_t key0, uint32_t key1) {
    for (int round = 0; round < 10; round++) {
        const uint32_t a = 0xd2511f53u, b = 0xcd9e8d57u;
        taper__philox4 next;
        next.x[0] = taper__philox_high(b, counter.x[2]) ^ counter.x[1] ^ key0;
        next.x[1] = b * counter.x[2];
        next.x[2] = taper__philox_high(a, counter.x[0]) ^ counter.x[3] ^ key1;
        next.x[3] = a * counter.x[0];
        counter = next;
        key0 += 0x9e3779b9u;
        key1 += 0xbb67ae85u;
    }
    return counter;
}

/* Four words of (seed, offset, index). With offset counted in groups of four it is the stream of cuRAND's
 * curand_init(seed, index, 4 * offset). */
TAPER_PHILOX taper__philox4 taper__philox(uint64_t seed, uint64_t offset, uint64_t index) {
    taper__philox4 counter;
    counter.x[0] = (uint32_t)offset;
    counter.x[1] = (uint32_t)(offset >> 32);
    counter.x[2] = (uint32_t)index;
    counter.x[3] = (uint32_t)(index >> 32);
    return taper__philox_words(counter, (uint32_t)seed, (uint32_t)(seed >> 32));
}

#ifdef __CUDACC__
/* Seed and offset as a call got them, in a captured graph too. */
static __device__ __forceinline__ taper__philox4 taper__philox_drawn(uint64_t seed, uint64_t offset, uint64_t index) {
    taper_captured_random_read(&seed, &offset);
    return taper__philox(seed, offset, index);
}
#endif

/* [0, 1): the high 24 bits, each value equally likely. */
TAPER_PHILOX float taper__philox_unit(uint32_t word) { return (float)(word >> 8) * 5.9604644775390625e-8f; }

/* (0, 1]: for logarithms. 2^-32 / 2 at the low end. */
TAPER_PHILOX float taper__philox_positive(uint32_t word) {
    return (float)word * 2.3283064365386962890625e-10f + 1.16415321826934814453125e-10f;
}

/* Two independent normals (mean 0, standard deviation 1) from two words. */
TAPER_PHILOX void taper__philox_normal(uint32_t word0, uint32_t word1, float *n0, float *n1) {
    float radius = sqrtf(-2.0f * logf(taper__philox_positive(word0)));
    float angle = 6.283185307179586f * taper__philox_unit(word1);
    *n0 = radius * sinf(angle);
    *n1 = radius * cosf(angle);
}

#endif
