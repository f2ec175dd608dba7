/* Speed of the matrix multiplication beside the multiply-add peak of the same threads, measured in the same moments.
 *
 *   make && gcc -O2 -Iinclude -Isrc lab/gemm.c build/libtaper.a -o /tmp/gemm -lm -ldl -lpthread && /tmp/gemm [threads]
 * [seconds]
 *
 * Layouts: n rows, t transposed, for A and B; `x32` is a batch. Best of many calls; operands stay warm.
 *
 * The two ways in float32: vectors (TAPER_ISA=v4) and, where there is AMX, matrix tiles (src/ops/gemm_amx.*), six products of
 * bfloat16 for one of float32. One thread of a Xeon with AVX-512 and AMX (family 6 model 167), GF/s, best of 25; the peak in
 * registers was 241 for vectors and 575 for tiles (450 with random numbers in them, which lower the clock):
 *
 *     m    n    k      vectors  tiles
 *   256  256  256 nn      185    264
 *  1024 1024 1024 nn      174    280
 *  2048 2048 2048 nn      164    270
 *  1024  384  128 nt      178    303
 *  1024  512  128 nt      167    306
 *  1024  128  512 nt      176    283
 *   512  128 1024 tn      157    228
 *   100  100  100 nn      160    137   too small: vectors are taken
 *    64  128  784 nt      170    176   packing is half of the time: vectors are taken
 *
 * What was tried for tiles: A kept packed and panels of B packed in between writes C down its columns, a page for each row,
 * and gave 217 for 1024 nn; passes of 128 in k gave 219 for 1024 128 512 where 512 give 283, though their squares of A
 * fit the first-level cache. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <taper/threads.h>

#include "ops/gemm.h"

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* ---- peak: independent multiply-adds in registers ---- */

enum { PEAK_ROUNDS = 100000 };
static float peak_sink[1024];

#if defined(__x86_64__)
#include <immintrin.h>
#define CHAINS(STEP) STEP(0) STEP(1) STEP(2) STEP(3) STEP(4) STEP(5) STEP(6) STEP(7) STEP(8) STEP(9) STEP(10) STEP(11)
#define PEAK(name, isa, vec, all, fma, store)                                                                          \
    __attribute__((target(isa), noinline)) static void name(void *ctx, int64_t begin, int64_t end) {                   \
        (void)ctx;                                                                                                     \
        for (int64_t part = begin; part < end; part++) {                                                               \
            CHAINS(PEAK_START_##vec)                                                                                   \
            vec x = all(0.5f), y = all(0.25f);                                                                         \
            for (int r = 0; r < PEAK_ROUNDS; r++) {                                                                    \
                CHAINS(PEAK_STEP_##vec)                                                                                \
                __asm__ volatile("");                                                                                  \
            }                                                                                                          \
            CHAINS(PEAK_END_##vec)                                                                                     \
        }                                                                                                              \
    }
#define PEAK_START___m512(i) __m512 a##i = _mm512_set1_ps(i);
#define PEAK_STEP___m512(i) a##i = _mm512_fmadd_ps(a##i, x, y);
#define PEAK_END___m512(i) _mm512_storeu_ps(peak_sink + part % 4 * 192 + i * 16, a##i);
#define PEAK_START___m256(i) __m256 a##i = _mm256_set1_ps(i);
#define PEAK_STEP___m256(i) a##i = _mm256_fmadd_ps(a##i, x, y);
#define PEAK_END___m256(i) _mm256_storeu_ps(peak_sink + part % 4 * 192 + i * 16, a##i);
PEAK(peak_v4, "avx512f", __m512, _mm512_set1_ps, _mm512_fmadd_ps, _mm512_storeu_ps)
PEAK(peak_v3, "avx2,fma", __m256, _mm256_set1_ps, _mm256_fmadd_ps, _mm256_storeu_ps)
#else
#define peak_v4 NULL
#define peak_v3 NULL
#endif

static double peak_gflops(int threads) {
    taper_range_fn fn = taper__isa() == TAPER_ISA_V4 ? peak_v4 : taper__isa() == TAPER_ISA_V3 ? peak_v3 : NULL;
    if (!fn) return 0;
    int lanes = taper__isa() == TAPER_ISA_V4 ? 16 : 8;
    double best = 1e9;
    for (int i = 0; i < 12; i++) {
        double start = now();
        taper__parallel_for(threads, 1, fn, NULL);
        double took = now() - start;
        if (took < best) best = took;
    }
    return 2.0 * lanes * 12 * PEAK_ROUNDS * threads / best * 1e-9;
}

/* ---- products ---- */

typedef struct shape {
    int m, n, k;
    bool ta, tb;
    int batch;
    bool f64;
} shape;

static const shape shapes[] = {
    {32, 32, 32, 0, 0, 1, 0},
    {64, 64, 64, 0, 0, 1, 0},
    {100, 100, 100, 0, 0, 1, 0},
    {128, 128, 128, 0, 0, 1, 0},
    {256, 256, 256, 0, 0, 1, 0},
    {512, 512, 512, 0, 0, 1, 0},
    {1000, 1000, 1000, 0, 0, 1, 0},
    {1024, 1024, 1024, 0, 0, 1, 0},
    {2048, 2048, 2048, 0, 0, 1, 0},
    {4096, 4096, 4096, 0, 0, 1, 0},
    {256, 256, 256, 0, 1, 1, 0},
    {1024, 1024, 1024, 0, 1, 1, 0},
    {1024, 1024, 1024, 1, 0, 1, 0},
    /* MLP 784-128-10, batch 64: forward, gradients of input and weight */
    {64, 128, 784, 0, 1, 1, 0},
    {64, 10, 128, 0, 1, 1, 0},
    {64, 128, 10, 0, 0, 1, 0},
    {128, 784, 64, 1, 0, 1, 0},
    {10, 128, 64, 1, 0, 1, 0},
    {64, 128, 784, 0, 0, 1, 0},
    /* GPT, 1024 rows, width 128 */
    {1024, 384, 128, 0, 1, 1, 0},
    {1024, 128, 128, 0, 1, 1, 0},
    {1024, 512, 128, 0, 1, 1, 0},
    {1024, 128, 512, 0, 1, 1, 0},
    {1024, 256, 128, 0, 1, 1, 0},
    {1024, 128, 384, 0, 0, 1, 0},
    {1024, 128, 512, 0, 0, 1, 0},
    {384, 128, 1024, 1, 0, 1, 0},
    {128, 512, 1024, 1, 0, 1, 0},
    {128, 128, 32, 0, 1, 32, 0},
    {128, 32, 128, 0, 0, 32, 0},
    {128, 32, 128, 1, 0, 32, 0},
    /* vectors */
    {1, 1024, 1024, 0, 0, 1, 0},
    {1, 1024, 1024, 0, 1, 1, 0},
    {1024, 1, 1024, 0, 0, 1, 0},
    {1024, 1, 1024, 1, 0, 1, 0},
    {1, 4096, 4096, 0, 1, 1, 0},
    {1, 4096, 4096, 0, 0, 1, 0},
    {4, 4096, 4096, 0, 1, 1, 0},
    {256, 256, 256, 0, 0, 1, 1},
    {1024, 1024, 1024, 0, 0, 1, 1},
};

static void *random_block(int64_t n, bool f64) {
    void *p = malloc((size_t)n * 8);
    if (!p) exit(1);
    for (int64_t i = 0; i < n; i++) {
        double x = rand() / (RAND_MAX * 0.5) - 1;
        if (f64)
            ((double *)p)[i] = x;
        else
            ((float *)p)[i] = (float)x;
    }
    return p;
}

static double product_gflops(const shape *s, double seconds) {
    int64_t a = (int64_t)s->m * s->k, b = (int64_t)s->k * s->n, c = (int64_t)s->m * s->n;
    taper_gemm g = {.m = s->m,
                    .n = s->n,
                    .k = s->k,
                    .batch = {1, s->batch},
                    .alpha = 1,
                    .a = random_block(a * s->batch, s->f64),
                    .a_row = s->ta ? 1 : s->k,
                    .a_col = s->ta ? s->m : 1,
                    .b = random_block(b * s->batch, s->f64),
                    .b_row = s->tb ? 1 : s->n,
                    .b_col = s->tb ? s->k : 1,
                    .c = random_block(c * s->batch, s->f64),
                    .c_row = s->n,
                    .a_batch = {0, a},
                    .b_batch = {0, b},
                    .c_batch = {0, c}};
    double best = 1e9, end = now() + seconds;
    for (int i = 0; i < 3 || now() < end; i++) {
        double start = now();
        if (s->f64 ? taper__dgemm(&g) : taper__sgemm(&g)) exit(1);
        double took = now() - start;
        if (took < best) best = took;
    }
    free((void *)g.a), free((void *)g.b), free(g.c);
    return 2.0 * s->m * s->n * s->k * s->batch / best * 1e-9;
}

int main(int argc, char **argv) {
    int threads = argc > 1 ? atoi(argv[1]) : taper_num_threads();
    double seconds = argc > 2 ? atof(argv[2]) : 0.3, peak = 0;
    int only = argc > 3 ? atoi(argv[3]) : -1;
    taper_set_num_threads(threads);
    printf("# %s, %d threads; us of the best call, GF/s, share of the peak measured beside it\n",
           taper__isa_name(taper__isa()), threads);
    for (int i = 0; i < TAPER_COUNT(shapes); i++) {
        const shape *s = &shapes[i];
        if (only >= 0 && i != only) continue;
        double before = peak_gflops(threads), speed = product_gflops(s, seconds), after = peak_gflops(threads);
        double here = (before > after ? before : after) / (s->f64 ? 2 : 1);
        if (here * (s->f64 ? 2 : 1) > peak) peak = here * (s->f64 ? 2 : 1);
        printf("%5d %5d %5d %c%c x%-3d %s %10.2f us %8.1f GF/s %5.1f %% of %.0f\n", s->m, s->n, s->k, s->ta ? 't' : 'n',
               s->tb ? 't' : 'n', s->batch, s->f64 ? "f64" : "f32", 2.0 * s->m * s->n * s->k * s->batch / speed * 1e-3,
               speed, 100 * speed / here, here);
    }
    printf("# highest peak %.1f GF/s\n", peak);
    return 0;
}
