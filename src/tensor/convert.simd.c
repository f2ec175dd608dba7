/* Loops that convert contiguous runs, one per pair of element types that has a direct way. */
#include "tensor/convert.h"

#include "base/base.h"
#include "tensor/tensor.h"

#if defined(TAPER_SIMD_v3) || defined(TAPER_SIMD_v4)
#include <immintrin.h>
#endif

/* X(from, from type, to, to type, value of x) */
#define CONVERT_LOOPS(X)                                                                                               \
    CONVERT_FROM_FLOAT(X, F32, float, convert_f32_i32, convert_f32_i32, convert_f32_i64)                               \
    CONVERT_FROM_FLOAT(X, F64, double, convert_f64_i64, convert_f64_i32, convert_f64_i64)                              \
    X(F32, float, F64, double, x)                                                                                      \
    X(F32, float, BF16, uint16_t, taper__f32_to_bf16(x))                                                               \
    X(F32, float, F8_E4M3, uint8_t, convert_e4m3_pack(x))                                                              \
    X(F32, float, F8_E5M2, uint8_t, convert_e5m2_pack(x))                                                              \
    X(F64, double, F32, float, (float)x)                                                                               \
    X(BF16, uint16_t, F32, float, taper__bf16_to_f32(x))                                                               \
    X(F8_E4M3, uint8_t, F32, float, convert_e4m3_unpack(x))                                                            \
    X(F8_E5M2, uint8_t, F32, float, convert_e5m2_unpack(x))                                                            \
    CONVERT_FROM_INT(X, BOOL, uint8_t)                                                                                 \
    CONVERT_FROM_INT(X, U8, uint8_t)                                                                                   \
    CONVERT_FROM_INT(X, I8, int8_t)                                                                                    \
    CONVERT_FROM_INT(X, I16, int16_t)                                                                                  \
    CONVERT_FROM_INT(X, I32, int32_t)                                                                                  \
    X(I64, int64_t, F32, float, (float)x)                                                                              \
    X(I64, int64_t, F64, double, (double)x)                                                                            \
    X(I64, int64_t, BOOL, uint8_t, x != 0)                                                                             \
    X(I64, int64_t, U8, uint8_t, (uint8_t)x)                                                                           \
    X(I64, int64_t, I8, int8_t, (int8_t)x)                                                                             \
    X(I64, int64_t, I16, int16_t, (int16_t)x)                                                                          \
    X(I64, int64_t, I32, int32_t, (int32_t)x)

/* To uint8 the way leads through int64 (low byte kept), to the other narrow integers through int32. A float beyond
 * int32 is a multiple of 256, so int32 gives the same byte. */
#define CONVERT_FROM_FLOAT(X, F, T, to_u8, to_i32, to_i64)                                                             \
    X(F, T, BOOL, uint8_t, x != 0)                                                                                     \
    X(F, T, U8, uint8_t, (uint8_t)to_u8(x))                                                                            \
    X(F, T, I8, int8_t, (int8_t)to_i32(x))                                                                             \
    X(F, T, I16, int16_t, (int16_t)to_i32(x))                                                                          \
    X(F, T, I32, int32_t, to_i32(x))                                                                                   \
    X(F, T, I64, int64_t, to_i64(x))
#define CONVERT_FROM_INT(X, F, T)                                                                                      \
    X(F, T, I64, int64_t, x)                                                                                           \
    X(F, T, F32, float, (float)x)                                                                                      \
    X(F, T, F64, double, x)

#define CONVERT_DEFINE(F, TF, G, TG, value)                                                                            \
    static void convert_##F##_##G(void *restrict dst, const void *restrict src, int64_t n) {                           \
        TG *restrict d = dst;                                                                                          \
        const TF *restrict s = src;                                                                                    \
        for (int64_t i = 0; i < n; i++) {                                                                              \
            TF x = s[i];                                                                                               \
            d[i] = value;                                                                                              \
        }                                                                                                              \
    }
CONVERT_LOOPS(CONVERT_DEFINE)

/* Half has instructions from v3 on; their results are those of the formulas, NaN payloads included. */
static void convert_F16_F32(void *restrict dst, const void *restrict src, int64_t n) {
    float *restrict d = dst;
    const uint16_t *restrict s = src;
    int64_t i = 0;
#if defined(TAPER_SIMD_v4)
    for (; i + 16 <= n; i += 16) _mm512_storeu_ps(d + i, _mm512_cvtph_ps(_mm256_loadu_si256((const void *)(s + i))));
#elif defined(TAPER_SIMD_v3)
    for (; i + 8 <= n; i += 8) _mm256_storeu_ps(d + i, _mm256_cvtph_ps(_mm_loadu_si128((const void *)(s + i))));
#endif
    for (; i < n; i++) d[i] = convert_f16_unpack(s[i]);
}

static void convert_F32_F16(void *restrict dst, const void *restrict src, int64_t n) {
    uint16_t *restrict d = dst;
    const float *restrict s = src;
    int64_t i = 0;
#if defined(TAPER_SIMD_v4)
    for (; i + 16 <= n; i += 16)
        _mm256_storeu_si256((void *)(d + i), _mm512_cvtps_ph(_mm512_loadu_ps(s + i), _MM_FROUND_TO_NEAREST_INT));
#elif defined(TAPER_SIMD_v3)
    for (; i + 8 <= n; i += 8)
        _mm_storeu_si128((void *)(d + i), _mm256_cvtps_ph(_mm256_loadu_ps(s + i), _MM_FROUND_TO_NEAREST_INT));
#endif
    for (; i < n; i++) d[i] = convert_f16_pack(s[i]);
}

#define CONVERT_ENTRY(F, TF, G, TG, value) .step[TAPER_##F][TAPER_##G] = convert_##F##_##G,
extern const taper_convert_kernels TAPER_SIMD(taper__convert_kernels);
const taper_convert_kernels TAPER_SIMD(taper__convert_kernels) = {
    CONVERT_LOOPS(CONVERT_ENTRY).step[TAPER_F16][TAPER_F32] = convert_F16_F32,
    .step[TAPER_F32][TAPER_F16] = convert_F32_F16,
};
