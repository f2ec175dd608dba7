/* Bernoulli and exponential numbers by the rules of PyTorch's official x86-64 wheels, which leave both to MKL.
 *
 * One draw of the generator (f64 exponentials: the low half of a 64-bit draw) modulo m = 2^31 - 1 starts the stream
 * x' = a x mod m, a = 1132489760 (L'Ecuyer 1999, doi:10.1090/S0025-5718-99-00996-5). The i-th element has the i-th x, so any
 * block can start on its own. Bernoulli: x / m < p. Exponential: -log(x / m) / lambda plus the smallest normal number, f16
 * and bf16 as f32. Elements are numbered in row-major order, whatever the strides are.
 *
 * f32 exponentials are within 2 units in the last place of MKL's, whose logarithm is not correctly rounded; f64 within 1e-11.
 */
#include <float.h>
#include <string.h>

#include "base/base.h"
#include "tensor/random_fill.h"
#include "tensor/random_half.h"
#include "tensor/random_kernels.h"

TAPER_SIMD_DECLARE(taper_random_kernels, taper__random_kernels);
TAPER_KNOB(knob_rules, "TAPER_CPU_RANDOM", "plain",
           "bernoulli_, dropout, exponential_ and multinomial on the CPU as PyTorch built without MKL (plain) or with it (mkl)");

enum { CHUNK = 1024, BLOCK = 16 * CHUNK };
static const uint32_t congruential_m = 0x7fffffffu, congruential_a = 1132489760u;

bool taper__random_mkl(void) { return !strcmp(taper__knob_text(&knob_rules), "mkl"); }

static uint32_t congruential_times(uint32_t a, uint32_t b) { return (uint32_t)((uint64_t)a * b % congruential_m); }

/* x after n steps. */
static uint32_t congruential_skip(uint32_t x, uint64_t n) {
    for (uint32_t a = congruential_a; n; n >>= 1, a = congruential_times(a, a))
        if (n & 1) x = congruential_times(x, a);
    return x;
}

/* Generator locked. */
static uint32_t congruential_seed(taper_generator *g, bool wide) {
    uint32_t w[2];
    taper__mt_fill(&g->engine, w, wide ? 2 : 1);
    uint32_t x = w[wide] % congruential_m;
    return x ? x : 1;
}

typedef struct congruential_job {
    uint32_t seed, threshold;
    taper_dtype dtype;
    double factor;
    int64_t n, skip;
    void *out;
    uint64_t one;
} congruential_job;

static void congruential_choose_blocks(void *ctx, int64_t begin, int64_t end) {
    const congruential_job *j = ctx;
    const taper_random_kernels *k = TAPER_SIMD_PICK(taper__random_kernels);
    uint32_t x[CHUNK], state;
    uint8_t hit[CHUNK];
    for (int64_t b = begin; b < end; b++) {
        state = congruential_skip(j->seed, (uint64_t)(b * BLOCK));
        for (int64_t i = b * BLOCK; i < j->n && i < (b + 1) * BLOCK; i += CHUNK) {
            int64_t m = j->n - i < CHUNK ? j->n - i : CHUNK;
            state = k->congruential(x, m, state);
            k->below_31(hit, x, m, j->threshold);
            taper__random_spread(taper_dtype_size(j->dtype), j->out, i, hit, m, j->one);
        }
    }
}

void taper__random_congruential_choose(taper_generator *g, taper_dtype dtype, void *p, int64_t n, double chance, uint64_t one) {
    if (n <= 0) return;
    g = taper__generator_lock(g);
    uint32_t seed = congruential_seed(g, false);
    taper__generator_unlock(g);
    double bound = chance * congruential_m; /* x < bound exactly when x < ceil(bound) */
    uint32_t threshold = (uint32_t)bound;
    congruential_job j = {.seed = seed, .threshold = threshold + (threshold < bound), .dtype = dtype, .n = n, .out = p, .one = one};
    taper__parallel_for((n + BLOCK - 1) / BLOCK, 1, congruential_choose_blocks, &j);
}

static void congruential_exponential_chunk(const congruential_job *j, const uint32_t *x, int64_t at, int64_t m) {
    const taper_random_kernels *k = TAPER_SIMD_PICK(taper__random_kernels);
    double y[CHUNK];
    if (j->dtype == TAPER_F64) {
        double *out = (double *)j->out + at;
        k->log_31(y, x, m, true);
        for (int64_t i = 0; i < m; i++) out[i] = y[i] * j->factor + DBL_MIN;
        return;
    }
    k->log_31(y, x, m, false);
    float factor = (float)j->factor;
    if (j->dtype == TAPER_F32)
        for (int64_t i = 0; i < m; i++) ((float *)j->out)[at + i] = (float)y[i] * factor + FLT_MIN;
    else
        for (int64_t i = 0; i < m; i++) ((uint16_t *)j->out)[at + i] = random_store16(j->dtype, (float)y[i] * factor + FLT_MIN);
}

static void congruential_exponential_blocks(void *ctx, int64_t begin, int64_t end) {
    const congruential_job *j = ctx;
    const taper_random_kernels *k = TAPER_SIMD_PICK(taper__random_kernels);
    uint32_t x[CHUNK];
    for (int64_t b = begin; b < end; b++) {
        uint32_t state = congruential_skip(j->seed, (uint64_t)(j->skip + b * BLOCK));
        for (int64_t i = b * BLOCK; i < j->n && i < (b + 1) * BLOCK; i += CHUNK) {
            int64_t m = j->n - i < CHUNK ? j->n - i : CHUNK;
            state = k->congruential(x, m, state);
            congruential_exponential_chunk(j, x, i, m);
        }
    }
}

uint32_t taper__random_congruential_seed(taper_generator *locked, taper_dtype dtype) {
    return congruential_seed(locked, dtype == TAPER_F64);
}

void taper__random_congruential_exponential(uint32_t seed, int64_t skip, taper_dtype dtype, void *p, int64_t n, double lambda) {
    congruential_job j = {.seed = seed, .dtype = dtype, .factor = -1.0 / lambda, .n = n, .skip = skip, .out = p};
    taper__parallel_for((n + BLOCK - 1) / BLOCK, 1, congruential_exponential_blocks, &j);
}
