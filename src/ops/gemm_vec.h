/* Vectors of one instruction set under common names: f32_load, f64_fma, ... for the kernels of gemm.simd.c. */
#ifndef TAPER_OPS_GEMM_VEC_H
#define TAPER_OPS_GEMM_VEC_H

#include <stdint.h>
#include <string.h>

#define VEC_INLINE static inline __attribute__((always_inline, unused))

#if defined(TAPER_SIMD_v4)
#include <immintrin.h>
enum { F32_LANES = 16, F64_LANES = 8 };
typedef __m512 f32_vec;
typedef __m512d f64_vec;
typedef __mmask16 f32_mask;
typedef __mmask8 f64_mask;
VEC_INLINE f32_mask f32_first(int n) { return (f32_mask)((1u << n) - 1); }
VEC_INLINE f64_mask f64_first(int n) { return (f64_mask)((1u << n) - 1); }
VEC_INLINE f32_vec f32_load(const float *p) { return _mm512_loadu_ps(p); }
VEC_INLINE f64_vec f64_load(const double *p) { return _mm512_loadu_pd(p); }
VEC_INLINE f32_vec f32_load_part(const float *p, f32_mask m) { return _mm512_maskz_loadu_ps(m, p); }
VEC_INLINE f64_vec f64_load_part(const double *p, f64_mask m) { return _mm512_maskz_loadu_pd(m, p); }
VEC_INLINE void f32_store(float *p, f32_vec v) { _mm512_storeu_ps(p, v); }
VEC_INLINE void f64_store(double *p, f64_vec v) { _mm512_storeu_pd(p, v); }
VEC_INLINE void f32_store_part(float *p, f32_mask m, f32_vec v) { _mm512_mask_storeu_ps(p, m, v); }
VEC_INLINE void f64_store_part(double *p, f64_mask m, f64_vec v) { _mm512_mask_storeu_pd(p, m, v); }
VEC_INLINE f32_vec f32_all(float x) { return _mm512_set1_ps(x); }
VEC_INLINE f64_vec f64_all(double x) { return _mm512_set1_pd(x); }
VEC_INLINE f32_vec f32_fma(f32_vec a, f32_vec b, f32_vec c) { return _mm512_fmadd_ps(a, b, c); }
VEC_INLINE f64_vec f64_fma(f64_vec a, f64_vec b, f64_vec c) { return _mm512_fmadd_pd(a, b, c); }
/* The second operand is returned when one is NaN: relu keeps NaN. */
VEC_INLINE f32_vec f32_relu(f32_vec v) { return _mm512_max_ps(_mm512_setzero_ps(), v); }
VEC_INLINE f64_vec f64_relu(f64_vec v) { return _mm512_max_pd(_mm512_setzero_pd(), v); }
VEC_INLINE f32_vec f32_load_bf16(const uint16_t *p) {
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)p)), 16));
}

#elif defined(TAPER_SIMD_v3)
#include <immintrin.h>
enum { F32_LANES = 8, F64_LANES = 4 };
typedef __m256 f32_vec;
typedef __m256d f64_vec;
typedef __m256i f32_mask, f64_mask;
VEC_INLINE f32_mask f32_first(int n) {
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
VEC_INLINE f64_mask f64_first(int n) {
    return _mm256_cmpgt_epi64(_mm256_set1_epi64x(n), _mm256_setr_epi64x(0, 1, 2, 3));
}
VEC_INLINE f32_vec f32_load(const float *p) { return _mm256_loadu_ps(p); }
VEC_INLINE f64_vec f64_load(const double *p) { return _mm256_loadu_pd(p); }
VEC_INLINE f32_vec f32_load_part(const float *p, f32_mask m) { return _mm256_maskload_ps(p, m); }
VEC_INLINE f64_vec f64_load_part(const double *p, f64_mask m) { return _mm256_maskload_pd(p, m); }
VEC_INLINE void f32_store(float *p, f32_vec v) { _mm256_storeu_ps(p, v); }
VEC_INLINE void f64_store(double *p, f64_vec v) { _mm256_storeu_pd(p, v); }
VEC_INLINE void f32_store_part(float *p, f32_mask m, f32_vec v) { _mm256_maskstore_ps(p, m, v); }
VEC_INLINE void f64_store_part(double *p, f64_mask m, f64_vec v) { _mm256_maskstore_pd(p, m, v); }
VEC_INLINE f32_vec f32_all(float x) { return _mm256_set1_ps(x); }
VEC_INLINE f64_vec f64_all(double x) { return _mm256_set1_pd(x); }
VEC_INLINE f32_vec f32_fma(f32_vec a, f32_vec b, f32_vec c) { return _mm256_fmadd_ps(a, b, c); }
VEC_INLINE f64_vec f64_fma(f64_vec a, f64_vec b, f64_vec c) { return _mm256_fmadd_pd(a, b, c); }
VEC_INLINE f32_vec f32_relu(f32_vec v) { return _mm256_max_ps(_mm256_setzero_ps(), v); }
VEC_INLINE f64_vec f64_relu(f64_vec v) { return _mm256_max_pd(_mm256_setzero_pd(), v); }
VEC_INLINE f32_vec f32_load_bf16(const uint16_t *p) {
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)p)), 16));
}

#else
/* 16 bytes suit SSE2 and NEON alike; a count stands for a mask. */
enum { F32_LANES = 4, F64_LANES = 2 };
typedef float f32_vec __attribute__((vector_size(16)));
typedef double f64_vec __attribute__((vector_size(16)));
typedef int f32_mask, f64_mask;
#define VEC_BASE(T, X, LANES)                                                                                          \
    VEC_INLINE X##_mask X##_first(int n) { return n; }                                                                 \
    VEC_INLINE X##_vec X##_load(const T *p) {                                                                          \
        X##_vec v;                                                                                                     \
        memcpy(&v, p, sizeof v);                                                                                       \
        return v;                                                                                                      \
    }                                                                                                                  \
    VEC_INLINE void X##_store(T *p, X##_vec v) { memcpy(p, &v, sizeof v); }                                            \
    VEC_INLINE X##_vec X##_load_part(const T *p, int n) {                                                              \
        X##_vec v = {0};                                                                                               \
        for (int i = 0; i < LANES; i++)                                                                                \
            if (i < n) v[i] = p[i];                                                                                    \
        return v;                                                                                                      \
    }                                                                                                                  \
    VEC_INLINE void X##_store_part(T *p, int n, X##_vec v) {                                                           \
        for (int i = 0; i < LANES; i++)                                                                                \
            if (i < n) p[i] = v[i];                                                                                    \
    }                                                                                                                  \
    VEC_INLINE X##_vec X##_all(T x) { return x - (X##_vec){0}; }                                                       \
    VEC_INLINE X##_vec X##_fma(X##_vec a, X##_vec b, X##_vec c) { return a * b + c; }
VEC_BASE(float, f32, F32_LANES)
VEC_BASE(double, f64, F64_LANES)
#undef VEC_BASE
/* Cleared where negative, so that NaN stays. */
VEC_INLINE f32_vec f32_relu(f32_vec v) {
    typedef int32_t bits __attribute__((vector_size(16)));
    return (f32_vec)((bits)v & ~(bits)(v < (f32_vec){0}));
}
VEC_INLINE f64_vec f64_relu(f64_vec v) {
    typedef int64_t bits __attribute__((vector_size(16)));
    return (f64_vec)((bits)v & ~(bits)(v < (f64_vec){0}));
}
VEC_INLINE f32_vec f32_load_bf16(const uint16_t *p) {
    typedef uint32_t bits __attribute__((vector_size(16)));
    return (f32_vec)((bits){p[0], p[1], p[2], p[3]} << 16);
}
#endif

/* Square transposes by exchanging blocks of 8, 4, 2, 1 lanes between rows that far apart. L(i) and H(i) are the lanes
 * of the pair (x, y) that come into lane i of the two results, for L lanes and distance d. */
#define VEC_L(i, lanes, d) ((i) & (d) ? (lanes) + (i) - (d) : (i))
#define VEC_H(i, lanes, d) ((i) & (d) ? (lanes) + (i) : (i) + (d))
#define VEC_2(W, i, lanes, d) W(i, lanes, d), W(i + 1, lanes, d)
#define VEC_4(W, i, lanes, d) VEC_2(W, i, lanes, d), VEC_2(W, i + 2, lanes, d)
#define VEC_8(W, i, lanes, d) VEC_4(W, i, lanes, d), VEC_4(W, i + 4, lanes, d)
#define VEC_16(W, i, lanes, d) VEC_8(W, i, lanes, d), VEC_8(W, i + 8, lanes, d)
#define VEC_STAGE(type, r, lanes, d)                                                                                   \
    _Pragma("GCC unroll 16") for (int i_ = 0; i_ < lanes; i_++) if (!(i_ & d)) {                                       \
        type x_ = r[i_], y_ = r[i_ + d];                                                                               \
        r[i_] = __builtin_shufflevector(x_, y_, VEC_##lanes(VEC_L, 0, lanes, d));                                      \
        r[i_ + d] = __builtin_shufflevector(x_, y_, VEC_##lanes(VEC_H, 0, lanes, d));                                  \
    }

VEC_INLINE void f32_transpose(f32_vec r[F32_LANES]) {
#if defined(TAPER_SIMD_v4)
    VEC_STAGE(f32_vec, r, 16, 8)
    VEC_STAGE(f32_vec, r, 16, 4)
    VEC_STAGE(f32_vec, r, 16, 2)
    VEC_STAGE(f32_vec, r, 16, 1)
#elif defined(TAPER_SIMD_v3)
    VEC_STAGE(f32_vec, r, 8, 4)
    VEC_STAGE(f32_vec, r, 8, 2)
    VEC_STAGE(f32_vec, r, 8, 1)
#else
    VEC_STAGE(f32_vec, r, 4, 2)
    VEC_STAGE(f32_vec, r, 4, 1)
#endif
}

VEC_INLINE void f64_transpose(f64_vec r[F64_LANES]) {
#if defined(TAPER_SIMD_v4)
    VEC_STAGE(f64_vec, r, 8, 4)
    VEC_STAGE(f64_vec, r, 8, 2)
    VEC_STAGE(f64_vec, r, 8, 1)
#elif defined(TAPER_SIMD_v3)
    VEC_STAGE(f64_vec, r, 4, 2)
    VEC_STAGE(f64_vec, r, 4, 1)
#else
    VEC_STAGE(f64_vec, r, 2, 1)
#endif
}

#endif
