/* The loops that make random numbers: the congruential stream by its definition, logarithms that round as libm's, and every
 * instruction set against the plain one. */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "tensor/random_fill.h"
#include "tensor/random_kernels.h"

TAPER_SIMD_DECLARE(taper_random_kernels, taper__random_kernels);
TAPER_SIMD_DECLARE(taper_mt_kernels, taper__mt_kernels);

static int failures;
static void report(bool ok, const char *name, const char *why, ...) {
    if (ok) {
        printf("ok %s\n", name);
        return;
    }
    va_list ap;
    va_start(ap, why);
    printf("not ok %s: ", name);
    vprintf(why, ap);
    printf("\n");
    va_end(ap);
    failures++;
}

/* Knobs are read once; the test sets their value where it is kept. */
static void set_rules(const char *rules) {
    for (taper_knob *k = (taper_knob *)(uintptr_t)taper__knob_list(); k; k = k->next)
        if (!strcmp(k->name, "TAPER_CPU_RANDOM")) k->value = rules;
}

/* Blocks of the congruential stream join up, in every size of element, and its exponentials are those of libm. */
static void test_congruential(void) {
    enum { N = 40000 };
    static uint8_t hits[N];
    static float wide[N], times[N];
    static double exact[N], late[N];
    set_rules("mkl");
    taper_manual_seed(3);
    taper__random_bernoulli(NULL, TAPER_U8, hits, N, 0.3);
    taper_manual_seed(3);
    taper__random_bernoulli(NULL, TAPER_F32, wide, N, 0.3);
    taper_manual_seed(3);
    taper__random_exponential(NULL, TAPER_F32, times, N, 2);
    uint32_t w[1];
    taper_manual_seed(3); /* the stream as its definition says */
    taper__mt_fill(&taper_generator_default()->engine, w, 1);
    int64_t bad = 0;
    double x = w[0] % 0x7fffffffu;
    for (int i = 0; i < N; i++) {
        double u = (double)((float)x * 0x1p-31f), e = (double)((float)-log(u) * 0.5f);
        bad += hits[i] != (x < 0.3 * 0x7fffffff) || wide[i] != (float)hits[i] || fabs((double)times[i] - e) > 0x1p-22 * e + 0x1p-126;
        x = (double)((uint64_t)x * 1132489760u % 0x7fffffffu);
    }
    report(!bad, "congruential_stream", "%lld of %d differ", (long long)bad, N);
    taper_manual_seed(3);
    taper__random_exponential(NULL, TAPER_F64, exact, N, 1);
    taper_manual_seed(3);
    taper__random_congruential_exponential(taper__random_congruential_seed(taper_generator_default(), TAPER_F64), 17001, TAPER_F64, late,
                                           N - 17001, 1);
    report(!memcmp(late, exact + 17001, (N - 17001) * sizeof *late), "congruential_skip", "a later start gives other numbers");
    set_rules("plain");
}

/* The vector logarithm with its fallback must round as libm's does. */
static void test_exponential_exact(void) {
    enum { N = 300000 };
    static float x[N];
    static double u[N];
    int bad = 0;
    taper_manual_seed(11);
    taper__random_exponential(NULL, TAPER_F32, x, N, 0.7);
    taper_manual_seed(11);
    taper__random_uniform(NULL, TAPER_F64, u, N, 0, 1);
    for (int i = 0; i < N; i++) bad += x[i] != (float)(-1 / 0.7 * log1p(-u[i]));
    report(!bad, "exponential_exact", "%d of %d differ from libm", bad, N);
    /* Ends of the range: the smallest, the largest and the first uniforms. */
    static const uint32_t ends[] = {0,        0,          0,        1, 0x1fffff, 0xffffffff,
                                    0x1fffff, 0xfffffffe, 0x100000, 0, 0x95f61,  0x998cd043};
    double got[6], worst = 0;
    TAPER_SIMD_PICK(taper__random_kernels)->log_uniform(got, ends, 6);
    for (int i = 0; i < 6; i++) {
        double want = log1p(-(double)((uint64_t)ends[2 * i] << 32 | ends[2 * i + 1]) * 0x1p-53);
        if (want != got[i]) worst = fmax(worst, fabs(want - got[i]) / fabs(want));
    }
    report(worst < 0x1p-50, "exponential_ends", "relative error %g", worst);
}

/* ---- instruction sets ---- */

static void test_levels(const char *level, const taper_random_kernels *k, const taper_mt_kernels *mt) {
    enum { N = 1 << 14 };
    static uint32_t w[2 * N], v[2 * N], s[TAPER_MT_N], t[TAPER_MT_N];
    static float a[N], b[N];
    static double c[N], d[N];
    static uint8_t e[N], f[N];
    const taper_random_kernels *base = &taper__random_kernels_base;
    char name[64];
    bool same = true;
    taper_manual_seed(2);
    taper__random_int(NULL, TAPER_I32, w, 2 * N, 0, UINT64_C(1) << 32);
    memcpy(s, w, sizeof s), memcpy(t, w, sizeof t);
    taper__mt_kernels_base.twist(s), mt->twist(t);
    same &= !memcmp(s, t, sizeof s);
    taper__mt_kernels_base.temper(v, w, N), mt->temper((uint32_t *)a, w, N);
    same &= !memcmp(v, a, N * sizeof *v);
    base->uniform_f32(a, w, N - 3, 3.7f, -1.1f), k->uniform_f32(b, w, N - 3, 3.7f, -1.1f);
    same &= !memcmp(a, b, (N - 3) * sizeof *a);
    base->uniform_f32(a, w, N, 1, 0), k->uniform_f32(b, w, N, 1, 0);
    same &= !memcmp(a, b, sizeof a);
    base->normal_f32(a, N / 16 - 1, 0.3f, 1.9f), k->normal_f32(b, N / 16 - 1, 0.3f, 1.9f);
    same &= !memcmp(a, b, sizeof a);
    base->uniform_f64(c, w, N, 3.7, -1.1), k->uniform_f64(d, w, N, 3.7, -1.1);
    same &= !memcmp(c, d, sizeof c);
    base->log_uniform(c, w, N), k->log_uniform(d, w, N);
    same &= !memcmp(c, d, sizeof c);
    base->below(e, w, N, UINT64_C(1) << 51), k->below(f, w, N, UINT64_C(1) << 51);
    same &= !memcmp(e, f, sizeof e);
    same &= base->congruential(v, N - 5, 77777) == k->congruential((uint32_t *)a, N - 5, 77777);
    same &= !memcmp(v, a, (N - 5) * sizeof *v);
    base->below_31(e, v, N - 5, 1u << 30), k->below_31(f, v, N - 5, 1u << 30);
    same &= !memcmp(e, f, N - 5);
    for (int exact = 0; exact < 2; exact++) {
        base->log_31(c, v, N - 5, exact), k->log_31(d, v, N - 5, exact);
        same &= !memcmp(c, d, (N - 5) * sizeof *c);
    }
    for (int i = 0; i < 64; i++) {
        uint32_t divisor = i < 40 ? (1u << (i & 31)) + (uint32_t)i + N : UINT32_MAX - (uint32_t)i;
        memcpy(v, w, sizeof v);
        k->modulo(v, N, divisor, i & 1);
        for (uint32_t n = 0; n < N; n++) same &= v[n] == w[n] % (divisor - n * (i & 1));
    }
    snprintf(name, sizeof name, "level_%s", level);
    report(same, name, "other bits than level base");
}

int main(void) {
    test_congruential();
    test_exponential_exact();
    test_levels("base", &taper__random_kernels_base, &taper__mt_kernels_base);
#if defined(__x86_64__)
    if (taper__isa() >= TAPER_ISA_V3) test_levels("v3", &taper__random_kernels_v3, &taper__mt_kernels_v3);
    if (taper__isa() >= TAPER_ISA_V4) test_levels("v4", &taper__random_kernels_v4, &taper__mt_kernels_v4);
#endif
    return failures != 0;
}
