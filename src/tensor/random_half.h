/* Rounding to f16 and bf16, to nearest even, for the random fills. */
#ifndef TAPER_TENSOR_RANDOM_HALF_H
#define TAPER_TENSOR_RANDOM_HALF_H

#include <stdint.h>
#include <string.h>
#include <taper/dtype.h>

static inline float random_from_f16(uint16_t h) {
    uint32_t sign = (uint32_t)(h & 0x8000u) << 16, exponent = h >> 10 & 31u, mantissa = h & 0x3ffu, u;
    float f;
    if (exponent == 0) {
        f = (float)mantissa * 0x1p-24f;
        return sign ? -f : f;
    }
    u = sign | (exponent == 31 ? 0x7f800000u : (exponent + 112) << 23) | mantissa << 13;
    memcpy(&f, &u, sizeof f);
    return f;
}

static inline uint16_t random_to_f16(float f) {
    uint32_t u;
    memcpy(&u, &f, sizeof u);
    uint16_t sign = (uint16_t)(u >> 16 & 0x8000u);
    u &= 0x7fffffffu;
    if (u > 0x7f800000u) return (uint16_t)(sign | 0x7e00u);
    if (u >= 0x477ff000u) return (uint16_t)(sign | 0x7c00u); /* rounds to 2^16 or more */
    if (u < 0x38800000u) {                                   /* subnormal: adding 1/2 rounds at the right bit */
        float a;
        memcpy(&a, &u, sizeof a);
        a += 0.5f;
        memcpy(&u, &a, sizeof u);
        return (uint16_t)(sign | (u - 0x3f000000u));
    }
    return (uint16_t)(sign | ((u - 0x38000000u + 0xfffu + (u >> 13 & 1u)) >> 13));
}

static inline float random_from_bf16(uint16_t h) {
    uint32_t u = (uint32_t)h << 16;
    float f;
    memcpy(&f, &u, sizeof f);
    return f;
}

static inline uint16_t random_to_bf16(float f) {
    uint32_t u;
    memcpy(&u, &f, sizeof u);
    if ((u & 0x7fffffffu) > 0x7f800000u) return 0x7fc0u;
    return (uint16_t)((u + 0x7fffu + (u >> 16 & 1u)) >> 16);
}

static inline float random_load16(taper_dtype dtype, uint16_t h) {
    return dtype == TAPER_F16 ? random_from_f16(h) : random_from_bf16(h);
}
static inline uint16_t random_store16(taper_dtype dtype, float f) {
    return dtype == TAPER_F16 ? random_to_f16(f) : random_to_bf16(f);
}
/* f rounded to the precision of a 16-bit dtype. */
static inline float random_round16(taper_dtype dtype, float f) {
    return random_load16(dtype, random_store16(dtype, f));
}

#endif
