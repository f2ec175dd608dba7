/* That random numbers look random: moments, ends of ranges, permutations, choices by weight; then Philox. */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "tensor/philox.h"
#include "tensor/random_fill.h"

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

static void widen(taper_dtype dtype, const void *p, double *out, int64_t n) {
    for (int64_t i = 0; i < n; i++) out[i] = dtype == TAPER_F32 ? (double)((const float *)p)[i] : ((const uint8_t *)p)[i];
}

static void check_moments(const char *name, const double *x, int n, double mean, double variance) {
    double m = 0, v = 0;
    for (int i = 0; i < n; i++) m += x[i];
    m /= n;
    for (int i = 0; i < n; i++) v += (x[i] - m) * (x[i] - m);
    v /= n;
    /* Five standard errors for the mean; the variance of these distributions is known to a few times that. */
    report(fabs(m - mean) < 5 * sqrt(variance / n) && fabs(v / variance - 1) < 25 / sqrt(n), name,
           "mean %g, want %g; variance %g, want %g", m, mean, v, variance);
}

static void test_moments(void) {
    enum { N = 100000 };
    static double x[N];
    static float y[N];
    static uint8_t k[N];
    taper_manual_seed(4);
    taper__random_uniform(NULL, TAPER_F64, x, N, -1, 2);
    check_moments("moments_uniform", x, N, 0.5, 0.75);
    taper__random_normal(NULL, TAPER_F32, y, N, 2, 3);
    widen(TAPER_F32, y, x, N);
    check_moments("moments_normal", x, N, 2, 9);
    taper__random_normal_serial(NULL, TAPER_F64, x, N, 2, 3);
    check_moments("moments_normal_serial", x, N, 2, 9);
    taper__random_exponential(NULL, TAPER_F64, x, N, 2);
    check_moments("moments_exponential", x, N, 0.5, 0.25);
    taper__random_log_normal(NULL, TAPER_F64, x, N, 0, 0.25);
    check_moments("moments_log_normal", x, N, exp(0.03125), (exp(0.0625) - 1) * exp(0.0625));
    taper__random_geometric(NULL, TAPER_F64, x, N, 0.25);
    check_moments("moments_geometric", x, N, 4, 12);
    taper__random_bernoulli(NULL, TAPER_U8, k, N, 0.3);
    widen(TAPER_U8, k, x, N);
    check_moments("moments_bernoulli", x, N, 0.3, 0.21);
    taper__random_cauchy(NULL, TAPER_F64, x, N, 1, 2);
    for (int i = 0; i < N; i++) x[i] = fabs(x[i] - 1) < 2; /* half lie within one scale */
    check_moments("moments_cauchy", x, N, 0.5, 0.25);
    taper__random_bernoulli(NULL, TAPER_U8, k, N, 0);
    bool none = !memchr(k, 1, N);
    taper__random_bernoulli(NULL, TAPER_BOOL, k, N, 1);
    report(none && !memchr(k, 0, N), "bernoulli_certain", "probability 0 or 1 is not certain");
}

static void test_integers(void) {
    enum { N = 3000 };
    static int16_t p[N], seen[N];
    bool ok = true;
    taper_manual_seed(6);
    taper__random_permutation(NULL, TAPER_I16, p, N);
    for (int i = 0; i < N; i++) ok &= p[i] >= 0 && p[i] < N && !seen[p[i]]++;
    report(ok, "permutation", "not every element once");
    int8_t x[N];
    taper__random_int(NULL, TAPER_I8, x, N, -128, 256);
    int low = 0, high = 0;
    for (int i = 0; i < N; i++) low += x[i] == -128, high += x[i] == 127;
    report(low && high, "int_ends", "ends of the range never drawn");
}

static void test_multinomial_errors(void) {
    static const float bad[][3] = {{1, -1, 1}, {NAN, 1, 1}, {INFINITY, 1, 1}, {0, 0, 0}};
    int64_t out[2];
    bool ok = true;
    for (int i = 0; i < 4; i++)
        for (int replacement = 0; replacement < 2; replacement++) {
            ok &= taper__random_multinomial(NULL, out, TAPER_F32, bad[i], 1, 3, 2, replacement) == TAPER_RUNTIME;
            ok &= strstr(taper_error_message(), "multinomial") != NULL;
        }
    static const double certain[] = {0, 0, 2, 0, 1, 0};
    for (int i = 0; i < 100; i++) {
        ok &= !taper__random_multinomial(NULL, out, TAPER_F64, certain, 2, 3, 1, i & 1);
        ok &= out[0] == 2 && out[1] == 1;
    }
    report(ok, "multinomial_errors", "a bad row was taken, or an impossible category drawn");
}

/* ---- Philox ---- */

/* Known answers of Random123 (kat_vectors, philox4x32 10). */
static void test_philox(void) {
    static const uint32_t known[3][10] = {
        {0, 0, 0, 0, 0, 0, 0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8},
        {0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff, 0x408f276d, 0x41c83b0e, 0xa20bc7c6,
         0x6d5451fd},
        {0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344, 0xa4093822, 0x299f31d0, 0xd16cfe09, 0x94fdcceb, 0x5001e420,
         0x24126ea1},
    };
    bool ok = true;
    for (int i = 0; i < 3; i++) {
        const uint32_t *k = known[i];
        taper__philox4 r =
            taper__philox(k[4] | (uint64_t)k[5] << 32, k[0] | (uint64_t)k[1] << 32, k[2] | (uint64_t)k[3] << 32);
        ok &= !memcmp(r.x, k + 6, sizeof r.x);
    }
    report(ok, "philox_known_answers", "other words than Random123");
    ok = taper__philox_unit(0) == 0 && taper__philox_unit(UINT32_MAX) < 1;
    ok &= taper__philox_positive(0) > 0 && taper__philox_positive(UINT32_MAX) == 1;
    report(ok, "philox_ranges", "a float outside its range");
    enum { N = 100000 };
    static double x[N];
    for (uint64_t i = 0; i < N / 2; i++) {
        taper__philox4 r = taper__philox(9, 0, i);
        float a, b;
        taper__philox_normal(r.x[0], r.x[1], &a, &b);
        x[2 * i] = a, x[2 * i + 1] = b;
    }
    check_moments("philox_normal", x, N, 0, 1);
}

int main(void) {
    test_moments();
    test_integers();
    test_multinomial_errors();
    test_philox();
    return failures != 0;
}
