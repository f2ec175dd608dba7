/* Inner loops of the random fills. Every fused multiply-add is written out: PyTorch's compiler fused exactly these, and
 * with contraction off the bits are the same on all machines. */
#include <math.h>
#include <string.h>

#include "base/base.h"
#include "tensor/random_kernels.h"

enum { LANES = 64 }; /* elements per pass of the longer kernels: a few vectors, and all temporaries stay in L1 */

static inline uint32_t random_bits(float f) {
    uint32_t u;
    memcpy(&u, &f, sizeof u);
    return u;
}
static inline float random_float(uint32_t u) {
    float f;
    memcpy(&f, &u, sizeof f);
    return f;
}

/* Exact: 21 + 32 bits. Conversions through int32 because older vectors have no other. */
static inline double random_53(uint32_t hi, uint32_t lo) {
    double low = (double)(int32_t)(lo ^ 0x80000000u) + 2147483648.0;
    return (double)(int32_t)(hi & 0x1fffffu) * 0x1p-21 + low * 0x1p-53;
}

static void random_uniform_f32(float *restrict out, const uint32_t *restrict w, int64_t n, float scale, float from) {
    if (scale == 1 && from == 0)
        for (int64_t i = 0; i < n; i++) out[i] = (float)(int32_t)(w[i] & 0xffffffu) * 0x1p-24f;
    else
        for (int64_t i = 0; i < n; i++) out[i] = fmaf((float)(int32_t)(w[i] & 0xffffffu) * 0x1p-24f, scale, from);
}

static void random_uniform_f64(double *restrict out, const uint32_t *restrict w, int64_t n, double scale, double from) {
    if (scale == 1 && from == 0)
        for (int64_t i = 0; i < n; i++) out[i] = random_53(w[2 * i], w[2 * i + 1]);
    else
        for (int64_t i = 0; i < n; i++) out[i] = fma(random_53(w[2 * i], w[2 * i + 1]), scale, from);
}

/* Natural logarithm of 0 < x <= 1: the single precision method of Cephes (Moshier 1992). */
static inline float random_log(float x) {
    uint32_t u = random_bits(x);
    float e = (float)((int32_t)(u >> 23) - 126);
    float m = random_float((u & 0x007fffffu) | 0x3f000000u); /* [0.5, 1) */
    int low = m < 0.707106781186547524f;
    float f = (m - 1.0f) + (low ? m : 0.0f);
    e -= low ? 1.0f : 0.0f;
    float z = f * f, y = 7.0376836292E-2f;
    y = fmaf(y, f, -1.1514610310E-1f);
    y = fmaf(y, f, 1.1676998740E-1f);
    y = fmaf(y, f, -1.2420140846E-1f);
    y = fmaf(y, f, 1.4249322787E-1f);
    y = fmaf(y, f, -1.6668057665E-1f);
    y = fmaf(y, f, 2.0000714765E-1f);
    y = fmaf(y, f, -2.4999993993E-1f);
    y = fmaf(y, f, 3.3333331174E-1f);
    y = fmaf(y * f, z, e * -2.12194440e-4f);
    y = fmaf(z, -0.5f, y);
    return fmaf(e, 0.693359375f, f + y);
}

/* Sine and cosine of 0 <= x <= 2 pi, after Cephes: reduce by multiples of pi / 2, one polynomial each, swap and sign.
 */
static inline void random_sincos(float x, float *sine, float *cosine) {
    int32_t j = ((int32_t)(x * 1.27323954473516f) + 1) & ~1;
    float k = (float)j;
    x = fmaf(k, -0.78515625f, x);
    x = fmaf(k, -2.4187564849853515625e-4f, x);
    x = fmaf(k, -3.77489497744594108e-8f, x);
    float z = x * x;
    float c = fmaf(fmaf(2.443315711809948E-005f, z, -1.388731625493765E-003f), z, 4.166664568298827E-002f) * z;
    c = fmaf(c, z, -(z * 0.5f)) + 1.0f;
    float s = fmaf(fmaf(-1.9515295891E-4f, z, 8.3321608736E-3f), z, -1.6666654611E-1f) * z;
    s = fmaf(s, x, x);
    uint32_t sine_sign = ((uint32_t)j & 4u) << 29, cosine_sign = (~(uint32_t)(j - 2) & 4u) << 29;
    int swap = (j & 2) != 0;
    *sine = random_float(random_bits(swap ? c : s) ^ sine_sign);
    *cosine = random_float(random_bits(swap ? s : c) ^ cosine_sign);
}

static inline void random_pairs(float *restrict a, float *restrict b, float mean, float std) {
    for (int i = 0; i < LANES; i++) {
        float radius = sqrtf(-2.0f * random_log(1.0f - a[i])), sine, cosine;
        random_sincos(6.283185307179586f * b[i], &sine, &cosine);
        a[i] = fmaf(radius * cosine, std, mean);
        b[i] = fmaf(radius * sine, std, mean);
    }
}

static void random_normal_f32(float *data, int64_t blocks, float mean, float std) {
    enum { BLOCKS = LANES / 8 };
    float a[LANES], b[LANES];
    memset(a, 0, sizeof a);
    memset(b, 0, sizeof b);
    for (int64_t begin = 0; begin < blocks; begin += BLOCKS) {
        int count = blocks - begin < BLOCKS ? (int)(blocks - begin) : BLOCKS;
        float *p = data + 16 * begin;
        for (int i = 0; i < count; i++) {
            memcpy(a + 8 * i, p + 16 * i, 8 * sizeof *a);
            memcpy(b + 8 * i, p + 16 * i + 8, 8 * sizeof *b);
        }
        random_pairs(a, b, mean, std);
        for (int i = 0; i < count; i++) {
            memcpy(p + 16 * i, a + 8 * i, 8 * sizeof *a);
            memcpy(p + 16 * i + 8, b + 8 * i, 8 * sizeof *b);
        }
    }
}

static void random_below(uint8_t *restrict out, const uint32_t *restrict w, int64_t n, uint64_t threshold) {
    for (int64_t i = 0; i < n; i++) out[i] = ((uint64_t)(w[2 * i] & 0x1fffffu) << 32 | w[2 * i + 1]) < threshold;
}

/* log(v) = e log 2 + 2 atanh(f / (2 + f)), v = 2^e (1 + f) in double; near 1 f is exact. */
static inline double random_log_f64(double v) {
    uint64_t u;
    memcpy(&u, &v, sizeof u);
    u += 0x3ff0000000000000u - 0x3fe6a09e667f3bcdu; /* so that 1 + f falls in [sqrt(1/2), sqrt(2)) */
    double e = (double)((int32_t)(u >> 52) - 1023);
    uint64_t m = (u & 0x000fffffffffffffu) + 0x3fe6a09e667f3bcdu;
    double f;
    memcpy(&f, &m, sizeof f);
    f -= 1.0;
    double s = f / (2.0 + f), z = s * s;
    double r = 1.0 / 21;
    r = r * z + 1.0 / 19;
    r = r * z + 1.0 / 17;
    r = r * z + 1.0 / 15;
    r = r * z + 1.0 / 13;
    r = r * z + 1.0 / 11;
    r = r * z + 1.0 / 9;
    r = r * z + 1.0 / 7;
    r = r * z + 1.0 / 5;
    r = r * z + 1.0 / 3;
    r = 2.0 * s + 2.0 * s * (z * r);
    return e * 0.693147180559945286227 + r;
}

static void random_log_uniform(double *restrict out, const uint32_t *restrict w, int64_t n) {
    for (int64_t i = 0; i < n; i++) out[i] = random_log_f64(1.0 - random_53(w[2 * i], w[2 * i + 1])); /* 1 - x is exact */
}

/* Sixteen streams side by side: one step takes each sixteen numbers further. */
static uint32_t random_congruential(uint32_t *restrict out, int64_t n, uint32_t x) {
    enum { WAYS = 16 };
    const uint32_t m = 0x7fffffffu, a = 1132489760u, a16 = 0x725ba016u;
    uint32_t way[WAYS];
    for (int k = 0; k < WAYS; k++, x = (uint32_t)((uint64_t)x * a % m)) way[k] = x;
    int64_t i = 0;
    for (; i + WAYS <= n; i += WAYS)
        for (int k = 0; k < WAYS; k++) {
            uint64_t t = (uint64_t)way[k] * a16;
            uint32_t s = (uint32_t)(t & m) + (uint32_t)(t >> 31);
            out[i + k] = way[k];
            way[k] = s >= m ? s - m : s;
        }
    int k = 0;
    for (; i < n; i++) out[i] = way[k++];
    return way[k];
}

static void random_below_31(uint8_t *restrict out, const uint32_t *restrict x, int64_t n, uint32_t threshold) {
    for (int64_t i = 0; i < n; i++) out[i] = (int32_t)x[i] < (int32_t)threshold;
}

static void random_log_31(double *restrict out, const uint32_t *restrict x, int64_t n, bool exact) {
    if (exact)
        for (int64_t i = 0; i < n; i++) out[i] = random_log_f64((double)(int32_t)x[i] / 2147483647.0);
    else
        for (int64_t i = 0; i < n; i++) out[i] = random_log_f64((double)((float)(int32_t)x[i] * 0x1p-31f));
}

/* The quotient of two 32-bit integers, rounded to double, never reaches the next integer from below. */
static void random_modulo(uint32_t *w, int64_t n, uint32_t divisor, uint32_t step) {
    for (int64_t i = 0; i < n; i++) {
        uint32_t d = divisor - (uint32_t)i * step;
        double a = (double)(int32_t)(w[i] ^ 0x80000000u) + 2147483648.0;
        double b = (double)(int32_t)(d ^ 0x80000000u) + 2147483648.0;
        double q = a / b; /* to uint32 through int32: 2^31 less when it does not fit */
        int high = q >= 2147483648.0;
        uint32_t k = (uint32_t)(int32_t)(q - (high ? 2147483648.0 : 0.0)) + (high ? 0x80000000u : 0u);
        w[i] -= k * d;
    }
}

extern const taper_random_kernels TAPER_SIMD(taper__random_kernels);
const taper_random_kernels TAPER_SIMD(taper__random_kernels) = {
    .uniform_f32 = random_uniform_f32,
    .uniform_f64 = random_uniform_f64,
    .normal_f32 = random_normal_f32,
    .below = random_below,
    .log_uniform = random_log_uniform,
    .congruential = random_congruential,
    .below_31 = random_below_31,
    .log_31 = random_log_31,
    .modulo = random_modulo,
};
