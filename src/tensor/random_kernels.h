/* Inner loops of the random fills, compiled once per instruction set: src/tensor/random_kernels.simd.c.
 * w: words of the stream; a 64-bit draw is two of them, high half first. All give the same bits on every level. */
#ifndef TAPER_TENSOR_RANDOM_KERNELS_H
#define TAPER_TENSOR_RANDOM_KERNELS_H

#include <stdbool.h>
#include <stdint.h>

typedef struct taper_random_kernels {
    /* out[i] = from + scale * x, x the low 24 (53) bits of a draw as a fraction. w: n (2 n) words. */
    void (*uniform_f32)(float *out, const uint32_t *w, int64_t n, float scale, float from);
    void (*uniform_f64)(double *out, const uint32_t *w, int64_t n, double scale, double from);
    /* data (blocks, 16): uniforms in, normals out. Element j and j + 8 of a block make one Box-Muller pair. */
    void (*normal_f32)(float *data, int64_t blocks, float mean, float std);
    /* out[i] = low 53 bits of draw i < threshold. w: 2 n words. */
    void (*below)(uint8_t *out, const uint32_t *w, int64_t n, uint64_t threshold);
    /* out[i] = log(1 - x), x the low 53 bits of draw i as a fraction; within 4 units in the last place. w: 2 n words.
     */
    void (*log_uniform)(double *out, const uint32_t *w, int64_t n);
    /* out[i] = x a^i mod 2^31 - 1, 0 < x; gives back the next one (random_congruential.c). */
    uint32_t (*congruential)(uint32_t *out, int64_t n, uint32_t x);
    /* out[i] = x[i] < threshold. */
    void (*below_31)(uint8_t *out, const uint32_t *x, int64_t n, uint32_t threshold);
    /* out[i] = log(x[i] / (2^31 - 1)); not exact: log of x[i], rounded to float, times 2^-31. */
    void (*log_31)(double *out, const uint32_t *x, int64_t n, bool exact);
    /* w[i] %= divisor - i * step; step 0 or 1; all divisors in [1, 2^32). */
    void (*modulo)(uint32_t *w, int64_t n, uint32_t divisor, uint32_t step);
} taper_random_kernels;

#endif
