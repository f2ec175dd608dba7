/* Random numbers of captured graphs, for C and CUDA C++. Outside of captures a kernel gets seed and offset as numbers. In a capture the
 * seed is the address of two words of GPU memory, a seed and an offset, that each replay writes anew; the offset counts from
 * the second word, and its highest bit says that it is so. */
#ifndef TAPER_DEVICE_CUDA_CAPTURED_RANDOM_H
#define TAPER_DEVICE_CUDA_CAPTURED_RANDOM_H

#include <stdint.h>

#define TAPER_CAPTURED_RANDOM (UINT64_C(1) << 63)

#ifdef __CUDACC__
/* Seed and offset as numbers. */
static __device__ __forceinline__ void taper_captured_random_read(uint64_t *seed, uint64_t *offset) {
    if (*offset >> 63) {
        const uint64_t *words = (const uint64_t *)(uintptr_t)*seed;
        *offset = words[1] + (*offset & ~TAPER_CAPTURED_RANDOM);
        *seed = words[0];
    }
}
#endif

#endif
