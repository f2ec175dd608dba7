/* Random integers and permutations, by PyTorch's rules.
 *
 * Integers are a draw modulo the range: 64-bit draws for int64, f64, f32 and bf16 when the range is 2^32 or more, else
 * 32-bit ones. A permutation swaps element i with i + draw mod (n - i); from 2^32 / 20 elements on it is built inside
 * out from 64-bit draws.
 */
#include <string.h>

#include "base/base.h"
#include "tensor/random_fill.h"
#include "tensor/random_half.h"
#include "tensor/random_kernels.h"

TAPER_SIMD_DECLARE(taper_random_kernels, taper__random_kernels);

enum { CHUNK = 1024 };

static int64_t random_int_least(int64_t a, int64_t b) { return a < b ? a : b; }

static uint64_t random_int_draw64(taper_generator *g) {
    uint32_t w[2];
    taper__mt_fill(&g->engine, w, 2);
    return (uint64_t)w[0] << 32 | w[1];
}

static void random_int_store(taper_dtype dtype, void *p, int64_t at, const int64_t *x, int64_t n) {
#define RANDOM_STORE_AS(type, value)                                                                                   \
    for (int64_t i = 0; i < n; i++) ((type *)p)[at + i] = (type)(value);                                               \
    break
    switch (dtype) {
    case TAPER_BOOL: RANDOM_STORE_AS(uint8_t, x[i] != 0);
    case TAPER_U8: RANDOM_STORE_AS(uint8_t, x[i]);
    case TAPER_I8: RANDOM_STORE_AS(int8_t, x[i]);
    case TAPER_I16: RANDOM_STORE_AS(int16_t, x[i]);
    case TAPER_I32: RANDOM_STORE_AS(int32_t, x[i]);
    case TAPER_I64: RANDOM_STORE_AS(int64_t, x[i]);
    case TAPER_F32: RANDOM_STORE_AS(float, x[i]);
    case TAPER_F64: RANDOM_STORE_AS(double, x[i]);
    case TAPER_F16:
    case TAPER_BF16: RANDOM_STORE_AS(uint16_t, random_store16(dtype, (float)x[i]));
    default: break;
    }
#undef RANDOM_STORE_AS
}

/* Draws modulo range, plus from; wide: 64-bit draws. range 0: no modulo. */
static void random_int_fill(taper_generator *g, taper_dtype dtype, void *p, int64_t n, int64_t from, uint64_t range,
                            bool wide) {
    uint32_t w[2 * CHUNK];
    int64_t x[CHUNK];
    bool narrow_range = range && range <= UINT32_MAX && !wide;
    for (int64_t i = 0; i < n; i += CHUNK) {
        int64_t m = random_int_least(CHUNK, n - i);
        taper__mt_fill(&g->engine, w, wide ? 2 * m : m);
        if (narrow_range) TAPER_SIMD_PICK(taper__random_kernels)->modulo(w, m, (uint32_t)range, 0);
        for (int64_t k = 0; k < m; k++) {
            uint64_t v = wide ? (uint64_t)w[2 * k] << 32 | w[2 * k + 1] : w[k];
            if (range && wide) v %= range;
            x[k] = (int64_t)(v + (uint64_t)from);
        }
        random_int_store(dtype, p, i, x, m);
    }
}

void taper__random_int(taper_generator *g, taper_dtype dtype, void *p, int64_t n, int64_t from, uint64_t range) {
    bool takes64 = dtype == TAPER_I64 || dtype == TAPER_F64 || dtype == TAPER_F32 || dtype == TAPER_BF16;
    g = taper__generator_lock(g);
    random_int_fill(g, dtype, p, n, from, range, takes64 && range > UINT32_MAX);
    taper__generator_unlock(g);
}

uint64_t taper__random_all_range(taper_dtype dtype) {
    static const uint64_t range[TAPER_DTYPE_COUNT] = {
        [TAPER_BOOL] = 2,
        [TAPER_U8] = 1u << 8,
        [TAPER_I8] = 1u << 7,
        [TAPER_I16] = 1u << 15,
        [TAPER_I32] = UINT64_C(1) << 31,
        [TAPER_I64] = UINT64_C(1) << 63,
        [TAPER_F16] = (1u << 11) + 1,
        [TAPER_BF16] = (1u << 8) + 1,
        [TAPER_F32] = (1u << 24) + 1,
        [TAPER_F64] = (UINT64_C(1) << 53) + 1,
    };
    return range[dtype];
}
void taper__random_all(taper_generator *g, taper_dtype dtype, void *p, int64_t n) {
    g = taper__generator_lock(g);
    random_int_fill(g, dtype, p, n, 0, taper__random_all_range(dtype), dtype == TAPER_I64 || dtype == TAPER_F64);
    taper__generator_unlock(g);
}

void taper__random_all64(taper_generator *g, taper_dtype dtype, void *p, int64_t n) {
    g = taper__generator_lock(g);
    random_int_fill(g, dtype, p, n, 0, 0, true);
    taper__generator_unlock(g);
}

int64_t taper__random_seed_draw(taper_generator *g) {
    int64_t seed;
    taper__random_all(g, TAPER_I64, &seed, 1);
    return seed;
}

/* ---- permutations ---- */

/* x[i] changes places with x[i + w[i]], i from 0. */
#define RANDOM_SHUFFLE(size)                                                                                           \
    static void random_shuffle##size(random_bytes##size *x, const uint32_t *w, int64_t n) {                            \
        for (int64_t i = 0; i < n; i++) {                                                                              \
            random_bytes##size keep = x[i];                                                                            \
            x[i] = x[i + w[i]];                                                                                        \
            x[i + w[i]] = keep;                                                                                        \
        }                                                                                                              \
    }
RANDOM_SHUFFLE(1)
RANDOM_SHUFFLE(2)
RANDOM_SHUFFLE(4)
RANDOM_SHUFFLE(8)

static void random_permutation_large(taper_generator *g, taper_dtype dtype, char *p, int64_t n) {
    size_t size = taper_dtype_size(dtype);
    for (int64_t i = 0; i < n; i++) {
        size_t at = (size_t)(random_int_draw64(g) % ((uint64_t)i + 1));
        memcpy(p + (size_t)i * size, p + at * size, size);
        random_int_store(dtype, p, (int64_t)at, &i, 1);
    }
}

static void random_permutation_small(taper_generator *g, taper_dtype dtype, char *p, int64_t n) {
    size_t size = taper_dtype_size(dtype);
    uint32_t w[CHUNK];
    int64_t x[CHUNK];
    for (int64_t i = 0; i < n; i += CHUNK) {
        int64_t m = random_int_least(CHUNK, n - i);
        for (int64_t k = 0; k < m; k++) x[k] = i + k;
        random_int_store(dtype, p, i, x, m);
    }
    for (int64_t i = 0; i < n - 1; i += CHUNK) {
        int64_t m = random_int_least(CHUNK, n - 1 - i);
        void *at = p + (size_t)i * size;
        taper__mt_fill(&g->engine, w, m);
        TAPER_SIMD_PICK(taper__random_kernels)->modulo(w, m, (uint32_t)(n - i), 1);
        if (size == 8) random_shuffle8(at, w, m);
        else if (size == 4) random_shuffle4(at, w, m);
        else if (size == 2) random_shuffle2(at, w, m);
        else random_shuffle1(at, w, m);
    }
}

void taper__random_permutation(taper_generator *g, taper_dtype dtype, void *p, int64_t n) {
    g = taper__generator_lock(g);
    if (n < UINT32_MAX / 20) random_permutation_small(g, dtype, p, n);
    else random_permutation_large(g, dtype, p, n);
    taper__generator_unlock(g);
}
