/* Conversion of contiguous runs between element types, and the bit formulas of the small floating types. */
#ifndef TAPER_TENSOR_CONVERT_H
#define TAPER_TENSOR_CONVERT_H

#include <stdint.h>
#include <string.h>
#include <taper/dtype.h>

/* n elements, aligned to their sizes; dst and src do not overlap unless they are the same block of equal size. */
typedef void (*taper_convert_fn)(void *dst, const void *src, int64_t n);

/* step[from][to]; NULL where the way leads over float, double or int64 (taper__convert chains the steps). */
typedef struct taper_convert_kernels {
    taper_convert_fn step[TAPER_DTYPE_COUNT][TAPER_DTYPE_COUNT];
} taper_convert_kernels;

static inline uint32_t convert_bits(float f) {
    uint32_t u;
    memcpy(&u, &f, 4);
    return u;
}
static inline float convert_float(uint32_t u) {
    float f;
    memcpy(&f, &u, 4);
    return f;
}

/* A format of `e` exponent bits with bias `bias` and `m` mantissa bits, in a word whose sign is bit e + m. All branches
 * are selects, so loops vectorise. Subnormals go through an addition that lets the FPU round at the wanted bit; no
 * operand or result of it is a float subnormal, so flush-to-zero modes change nothing. */
static inline uint32_t convert_pack(uint32_t u, int e, int m, int bias, uint32_t overflow, uint32_t huge,
                                    uint32_t nan) {
    uint32_t a = u & 0x7fffffffu, sign = (u >> 31) << (e + m);
    int drop = 23 - m;
    uint32_t r = a - ((uint32_t)(127 - bias) << 23);
    uint32_t normal = (r + (((uint32_t)1 << (drop - 1)) - 1) + ((r >> drop) & 1)) >> drop;
    uint32_t magic = (uint32_t)(127 + (1 - bias - m) + 23) << 23;
    uint32_t tiny = convert_bits(convert_float(a) + convert_float(magic)) - magic;
    uint32_t h = a < ((uint32_t)(128 - bias) << 23) ? tiny : normal;
    h = a >= overflow ? huge : h;
    h = a > 0x7f800000u ? nan : h;
    return h | sign;
}

static inline float convert_unpack(uint32_t h, int e, int m, int bias) {
    uint32_t a = (h & ((1u << (e + m)) - 1)) << (23 - m), sign = (h >> (e + m)) << 31;
    uint32_t normal = a + ((uint32_t)(127 - bias) << 23);
    uint32_t base = (uint32_t)(128 - bias) << 23; /* 2^(1-bias): the fraction below it, then the 1 taken off again */
    uint32_t tiny = convert_bits(convert_float(a | base) - convert_float(base));
    return convert_float((a < (1u << 23) ? tiny : normal) | sign);
}

static inline uint16_t convert_f16_pack(float f) {
    uint32_t u = convert_bits(f);
    return (uint16_t)convert_pack(u, 5, 10, 15, 0x47800000u, 0x7c00, 0x7e00 | ((u >> 13) & 0x3ff));
}
static inline float convert_f16_unpack(uint16_t h) {
    uint32_t a = h & 0x7fffu;
    uint32_t special = 0x7f800000u | (a & 0x3ff) << 13 | (a > 0x7c00 ? 0x400000u : 0) | (uint32_t)(h >> 15) << 31;
    return a >= 0x7c00 ? convert_float(special) : convert_unpack(h, 5, 10, 15);
}
/* e4m3fn has no infinity: everything from 480 up, and what rounds above 448, is NaN. */
static inline uint8_t convert_e4m3_pack(float f) {
    return (uint8_t)convert_pack(convert_bits(f), 4, 3, 7, 0x43f00000u, 0x7f, 0x7f);
}
static inline float convert_e4m3_unpack(uint8_t h) {
    uint32_t nan = 0x7fc00000u | (uint32_t)(h >> 7) << 31;
    return (h & 0x7f) == 0x7f ? convert_float(nan) : convert_unpack(h, 4, 3, 7);
}
static inline uint8_t convert_e5m2_pack(float f) {
    return (uint8_t)convert_pack(convert_bits(f), 5, 2, 15, 0x47800000u, 0x7c, 0x7f);
}
static inline float convert_e5m2_unpack(uint8_t h) { return convert_f16_unpack((uint16_t)(h << 8)); }

/* Truncation with the result of x86-64's conversion instructions where the value does not fit: the smallest integer. */
static inline int32_t convert_f32_i32(float f) { return (int32_t)(f >= -0x1p31f && f < 0x1p31f ? f : -0x1p31f); }
static inline int64_t convert_f32_i64(float f) { return (int64_t)(f >= -0x1p63f && f < 0x1p63f ? f : -0x1p63f); }
static inline int32_t convert_f64_i32(double f) { return (int32_t)(f > -0x1.00000002p31 && f < 0x1p31 ? f : -0x1p31); }
static inline int64_t convert_f64_i64(double f) { return (int64_t)(f >= -0x1p63 && f < 0x1p63 ? f : -0x1p63); }

#endif
