/* Random numbers by PyTorch's CPU rules, so that the same seed gives the same numbers.
 *
 * Stream. MT19937 words in order. A 32-bit draw is one word, a 64-bit draw two, high half first.
 * Uniform. The low 24 (f32), 53 (f64, 64-bit draw), 11 (f16) or 8 (bf16) bits of a draw as a fraction x, then
 *   from + x (to - from) with one rounding.
 * Normal, fewer than 16 elements or not contiguous. Box-Muller in double from two 64-bit draws (u1 the angle, u2 the
 *   radius); the sine half waits in the generator for the next such call.
 * Normal, 16 elements or more. The buffer is filled with uniforms; of each block of 16, elements j and j + 8 make a
 * pair. If n is no multiple of 16, the last 16 elements are drawn and made again. f32 uses the vector polynomials of
 *   random_kernels.simd.c, f64 libm, f16 and bf16 round after every step.
 * Exponential, Cauchy, geometric, Bernoulli with one probability. One 64-bit draw per element, arithmetic in double.
 * Log-normal. exp of the short normal rule. Bernoulli with a tensor of probabilities: f32 uniform, f64 if p is f64.
 *
 * f32 results are the same on every machine where libm is correct to 1 ulp in double. PyTorch itself is not that steady:
 * without AVX2 it gives other numbers; ours are those of the AVX2 / AVX-512 build. Exponential and Bernoulli with one
 * probability are drawn so unless TAPER_CPU_RANDOM=mkl: random_congruential.c has the rule of the official wheels.
 */
#include "tensor/random_fill.h"

#include <math.h>
#include <string.h>

#include "base/base.h"
#include "tensor/random_half.h"
#include "tensor/random_kernels.h"

TAPER_SIMD_DECLARE(taper_random_kernels, taper__random_kernels);

/* Elements per pass: words and results stay in L1. A multiple of 16. */
enum { CHUNK = 1024 };
static const double random_two_pi = 6.283185307179586476925;

static const taper_random_kernels *random_kernels(void) { return TAPER_SIMD_PICK(taper__random_kernels); }
static int64_t random_least(int64_t a, int64_t b) { return a < b ? a : b; }

/* p[at ... at + n) = x[0 ... n) as dtype; doubles become integers by truncation. */
static void random_store(taper_dtype dtype, void *p, int64_t at, const double *x, int64_t n) {
#define RANDOM_STORE_AS(type, value)                                                                                   \
    for (int64_t i = 0; i < n; i++) ((type *)p)[at + i] = (type)(value);                                               \
    break
#define RANDOM_WHOLE(v) (int64_t)((v) < 0x1p62 ? (v) : 0x1p62)
    switch (dtype) {
    case TAPER_F32: RANDOM_STORE_AS(float, x[i]);
    case TAPER_F64: RANDOM_STORE_AS(double, x[i]);
    case TAPER_F16: RANDOM_STORE_AS(uint16_t, random_to_f16((float)x[i]));
    case TAPER_BF16: RANDOM_STORE_AS(uint16_t, random_to_bf16((float)x[i]));
    case TAPER_BOOL: RANDOM_STORE_AS(uint8_t, x[i] != 0);
    case TAPER_U8: RANDOM_STORE_AS(uint8_t, RANDOM_WHOLE(x[i]));
    case TAPER_I8: RANDOM_STORE_AS(int8_t, RANDOM_WHOLE(x[i]));
    case TAPER_I16: RANDOM_STORE_AS(int16_t, RANDOM_WHOLE(x[i]));
    case TAPER_I32: RANDOM_STORE_AS(int32_t, RANDOM_WHOLE(x[i]));
    case TAPER_I64: RANDOM_STORE_AS(int64_t, RANDOM_WHOLE(x[i]));
    default: break;
    }
#undef RANDOM_WHOLE
#undef RANDOM_STORE_AS
}

/* The next n 53-bit uniforms in [0, 1), n <= CHUNK. */
static void random_unit(taper_generator *g, double *x, int64_t n) {
    uint32_t w[2 * CHUNK];
    taper__mt_fill(&g->engine, w, 2 * n);
    random_kernels()->uniform_f64(x, w, n, 1, 0);
}

/* ---- uniform ---- */

static void random_uniform_f32(taper_generator *g, float *p, int64_t n, float from, float to) {
    uint32_t w[CHUNK];
    for (int64_t i = 0; i < n; i += CHUNK) {
        int64_t m = random_least(CHUNK, n - i);
        taper__mt_fill(&g->engine, w, m);
        random_kernels()->uniform_f32(p + i, w, m, to - from, from);
    }
}

static void random_uniform_f64(taper_generator *g, double *p, int64_t n, double from, double to) {
    uint32_t w[2 * CHUNK];
    for (int64_t i = 0; i < n; i += CHUNK) {
        int64_t m = random_least(CHUNK, n - i);
        taper__mt_fill(&g->engine, w, 2 * m);
        random_kernels()->uniform_f64(p + i, w, m, to - from, from);
    }
}

static void random_uniform_16(taper_generator *g, taper_dtype dtype, uint16_t *p, int64_t n, double from, double to) {
    uint32_t w[CHUNK], mask = dtype == TAPER_F16 ? 0x7ffu : 0xffu;
    float step = dtype == TAPER_F16 ? 0x1p-11f : 0x1p-8f, low = random_round16(dtype, (float)from);
    float scale = random_round16(dtype, random_round16(dtype, (float)to) - low);
    for (int64_t i = 0; i < n; i += CHUNK) {
        int64_t m = random_least(CHUNK, n - i);
        taper__mt_fill(&g->engine, w, m);
        for (int64_t k = 0; k < m; k++) p[i + k] = random_store16(dtype, (float)(w[k] & mask) * step * scale + low);
    }
}

static void random_uniform(taper_generator *g, taper_dtype dtype, void *p, int64_t n, double from, double to) {
    if (dtype == TAPER_F32) random_uniform_f32(g, p, n, (float)from, (float)to);
    else if (dtype == TAPER_F64) random_uniform_f64(g, p, n, from, to);
    else random_uniform_16(g, dtype, p, n, from, to);
}

void taper__random_uniform(taper_generator *g, taper_dtype dtype, void *p, int64_t n, double from, double to) {
    g = taper__generator_lock(g);
    random_uniform(g, dtype, p, n, from, to);
    taper__generator_unlock(g);
}

/* ---- normal ---- */

static double random_next_normal(taper_generator *g, double mean, double std) {
    if (g->has_normal) {
        g->has_normal = false;
        return fma(g->normal, std, mean);
    }
    double u[2];
    random_unit(g, u, 2);
    double radius = sqrt(-2.0 * log1p(-u[1])), theta = random_two_pi * u[0];
    g->normal = radius * sin(theta);
    g->has_normal = true;
    return fma(radius * cos(theta), std, mean);
}

static void random_normal_serial(taper_generator *g, taper_dtype dtype, void *p, int64_t n, double mean, double std) {
    for (int64_t i = 0; i < n; i++) {
        double x = random_next_normal(g, mean, std);
        random_store(dtype, p, i, &x, 1);
    }
}

static void random_normal_16_f64(double *p, double mean, double std) {
    for (int j = 0; j < 8; j++) {
        double radius = sqrt(-2.0 * log(1.0 - p[j])), theta = random_two_pi * p[j + 8];
        p[j] = fma(radius * cos(theta), std, mean);
        p[j + 8] = fma(radius * sin(theta), std, mean);
    }
}

static void random_normal_16_16(taper_dtype t, uint16_t *p, double mean, double std) {
    float m = random_round16(t, (float)mean), s = random_round16(t, (float)std);
    for (int j = 0; j < 8; j++) {
        float u1 = random_round16(t, 1.0f - random_load16(t, p[j])), u2 = random_load16(t, p[j + 8]);
        float radius = random_round16(t, -2.0f * random_round16(t, logf(u1)));
        radius = random_round16(t, sqrtf(radius));
        float theta = random_round16(t, (float)(random_two_pi * u2));
        float c = random_round16(t, radius * random_round16(t, cosf(theta)));
        float d = random_round16(t, radius * random_round16(t, sinf(theta)));
        p[j] = random_store16(t, random_round16(t, c * s) + m);
        p[j + 8] = random_store16(t, random_round16(t, d * s) + m);
    }
}

static void random_normal_blocks(taper_dtype dtype, void *p, int64_t blocks, double mean, double std) {
    if (dtype == TAPER_F32) random_kernels()->normal_f32(p, blocks, (float)mean, (float)std);
    else
        for (int64_t i = 0; i < blocks; i++) {
            if (dtype == TAPER_F64) random_normal_16_f64((double *)p + 16 * i, mean, std);
            else random_normal_16_16(dtype, (uint16_t *)p + 16 * i, mean, std);
        }
}

static void random_normal(taper_generator *g, taper_dtype dtype, void *p, int64_t n, double mean, double std) {
    if (n < 16) {
        random_normal_serial(g, dtype, p, n, mean, std);
        return;
    }
    size_t size = taper_dtype_size(dtype);
    for (int64_t i = 0; i < n; i += CHUNK) {
        int64_t m = random_least(CHUNK, n - i);
        void *at = (char *)p + (size_t)i * size;
        random_uniform(g, dtype, at, m, 0, 1);
        random_normal_blocks(dtype, at, m / 16, mean, std);
    }
    if (n % 16) {
        void *last = (char *)p + (size_t)(n - 16) * size;
        random_uniform(g, dtype, last, 16, 0, 1);
        random_normal_blocks(dtype, last, 1, mean, std);
    }
}

void taper__random_normal(taper_generator *g, taper_dtype dtype, void *p, int64_t n, double mean, double std) {
    g = taper__generator_lock(g);
    random_normal(g, dtype, p, n, mean, std);
    taper__generator_unlock(g);
}

void taper__random_normal_serial(taper_generator *g, taper_dtype dtype, void *p, int64_t n, double mean, double std) {
    g = taper__generator_lock(g);
    random_normal_serial(g, dtype, p, n, mean, std);
    taper__generator_unlock(g);
}

void taper__random_log_normal(taper_generator *g, taper_dtype dtype, void *p, int64_t n, double mean, double std) {
    g = taper__generator_lock(g);
    for (int64_t i = 0; i < n; i++) {
        double x = exp(random_next_normal(g, mean, std));
        random_store(dtype, p, i, &x, 1);
    }
    taper__generator_unlock(g);
}

/* ---- one 64-bit uniform per element ---- */

/* The f32 result is that of rounding -log1p(-u) / lambda in double. The vector logarithm is a few ulp off in double;
 * only when that could change the rounding to f32 is libm asked. */
static void random_exponential_f32(taper_generator *g, float *p, int64_t n, double lambda) {
    uint32_t w[2 * CHUNK];
    double x[CHUNK], factor = -1.0 / lambda;
    for (int64_t i = 0; i < n; i += CHUNK) {
        int64_t m = random_least(CHUNK, n - i);
        taper__mt_fill(&g->engine, w, 2 * m);
        random_kernels()->log_uniform(x, w, m);
        for (int64_t k = 0; k < m; k++) {
            double y = fabs(factor * x[k]); /* a zero must be positive: others divide by it */
            float low = (float)(y * (1 - 0x1p-49)), high = (float)(y * (1 + 0x1p-49));
            if (TAPER_UNLIKELY(low != high)) {
                uint64_t u = (uint64_t)(w[2 * k] & 0x1fffffu) << 32 | w[2 * k + 1];
                low = (float)(factor * log1p(-(double)u * 0x1p-53));
            }
            p[i + k] = low;
        }
    }
}

void taper__random_exponential_locked(taper_generator *g, taper_dtype dtype, void *p, int64_t n, double lambda) {
    if (dtype == TAPER_F32) {
        random_exponential_f32(g, p, n, lambda);
        return;
    }
    double x[CHUNK], factor = -1.0 / lambda;
    for (int64_t i = 0; i < n; i += CHUNK) {
        int64_t m = random_least(CHUNK, n - i);
        random_unit(g, x, m);
        for (int64_t k = 0; k < m; k++) x[k] = factor * log1p(-x[k]);
        random_store(dtype, p, i, x, m);
    }
}

void taper__random_exponential(taper_generator *g, taper_dtype dtype, void *p, int64_t n, double lambda) {
    bool mkl = taper__random_mkl() && lambda < HUGE_VAL && n > 0;
    uint32_t seed = 0;
    g = taper__generator_lock(g);
    if (mkl) seed = taper__random_congruential_seed(g, dtype);
    else taper__random_exponential_locked(g, dtype, p, n, lambda);
    taper__generator_unlock(g);
    if (mkl) taper__random_congruential_exponential(seed, 0, dtype, p, n, lambda);
}

void taper__random_cauchy(taper_generator *g, taper_dtype dtype, void *p, int64_t n, double median, double sigma) {
    double x[CHUNK];
    g = taper__generator_lock(g);
    for (int64_t i = 0; i < n; i += CHUNK) {
        int64_t m = random_least(CHUNK, n - i);
        random_unit(g, x, m);
        for (int64_t k = 0; k < m; k++) x[k] = fma(sigma, tan(0.5 * random_two_pi * (x[k] - 0.5)), median);
        random_store(dtype, p, i, x, m);
    }
    taper__generator_unlock(g);
}

void taper__random_geometric(taper_generator *g, taper_dtype dtype, void *p, int64_t n, double chance) {
    double x[CHUNK], scale = log1p(-chance);
    g = taper__generator_lock(g);
    for (int64_t i = 0; i < n; i += CHUNK) {
        int64_t m = random_least(CHUNK, n - i);
        random_unit(g, x, m);
        for (int64_t k = 0; k < m; k++) x[k] = ceil(log(x[k]) / scale);
        random_store(dtype, p, i, x, m);
    }
    taper__generator_unlock(g);
}

void taper__random_spread(size_t size, void *p, int64_t at, const uint8_t *restrict hit, int64_t n, uint64_t one) {
#define RANDOM_SPREAD_AS(type)                                                                                         \
    {                                                                                                                  \
        type *restrict q = (type *)p + at;                                                                             \
        for (int64_t i = 0; i < n; i++) q[i] = (type)((type)-hit[i] & (type)one);                                      \
        break;                                                                                                         \
    }
    switch (size) {
    case 1: RANDOM_SPREAD_AS(random_bytes1)
    case 2: RANDOM_SPREAD_AS(random_bytes2)
    case 4: RANDOM_SPREAD_AS(random_bytes4)
    default: RANDOM_SPREAD_AS(random_bytes8)
    }
#undef RANDOM_SPREAD_AS
}

/* p[i] = `one` with probability chance, else 0. */
static void random_choose(taper_generator *g, taper_dtype dtype, void *p, int64_t n, double chance, uint64_t one) {
    uint32_t w[2 * CHUNK];
    uint8_t hit[CHUNK];
    size_t size = taper_dtype_size(dtype);
    if (taper__random_mkl()) {
        taper__random_congruential_choose(g, dtype, p, n, chance, one);
        return;
    }
    uint64_t threshold = (uint64_t)ceil(chance * 0x1p53); /* k 2^-53 < chance exactly when k < threshold */
    g = taper__generator_lock(g);
    for (int64_t i = 0; i < n; i += CHUNK) {
        int64_t m = random_least(CHUNK, n - i);
        taper__mt_fill(&g->engine, w, 2 * m);
        random_kernels()->below(hit, w, m, threshold);
        taper__random_spread(size, p, i, hit, m, one);
    }
    taper__generator_unlock(g);
}

/* The bytes of `value` as dtype, in the low end of the result. */
static uint64_t random_pattern(taper_dtype dtype, double value) {
    _Alignas(8) unsigned char bytes[8] = {0};
    uint64_t u;
    random_store(dtype, bytes, 0, &value, 1);
    memcpy(&u, bytes, sizeof u);
    return u;
}

void taper__random_bernoulli(taper_generator *g, taper_dtype dtype, void *p, int64_t n, double chance) {
    random_choose(g, dtype, p, n, chance, random_pattern(dtype, 1));
}

void taper__random_dropout(taper_generator *g, taper_dtype dtype, void *p, int64_t n, double drop) {
    double keep = 1 - drop, value = dtype == TAPER_F64 ? 1 / keep : (double)(1.0f / (float)keep);
    random_choose(g, dtype, p, n, keep, random_pattern(dtype, value));
}

/* u[i] < chance[i], chance of any float dtype but f64. */
static void random_below_each(uint8_t *restrict hit, const float *restrict u, taper_dtype dtype, const void *chance,
                              int64_t at, int64_t n) {
    const float *f = chance;
    const uint16_t *h = chance;
    if (dtype == TAPER_F32)
        for (int64_t i = 0; i < n; i++) hit[i] = u[i] < f[at + i];
    else
        for (int64_t i = 0; i < n; i++) hit[i] = u[i] < random_load16(dtype, h[at + i]);
}

void taper__random_bernoulli_each(taper_generator *g, taper_dtype dtype, void *p, int64_t n, taper_dtype chance_dtype,
                                  const void *chance) {
    double x[CHUNK];
    float u[CHUNK];
    uint8_t hit[CHUNK];
    uint64_t one = random_pattern(dtype, 1);
    g = taper__generator_lock(g);
    for (int64_t i = 0; i < n; i += CHUNK) {
        int64_t m = random_least(CHUNK, n - i);
        if (chance_dtype == TAPER_F64) {
            random_unit(g, x, m);
            for (int64_t k = 0; k < m; k++) hit[k] = x[k] < ((const double *)chance)[i + k];
        } else {
            random_uniform_f32(g, u, m, 0, 1);
            random_below_each(hit, u, chance_dtype, chance, i, m);
        }
        taper__random_spread(taper_dtype_size(dtype), p, i, hit, m, one);
    }
    taper__generator_unlock(g);
}
