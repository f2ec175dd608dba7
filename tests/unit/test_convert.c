/* Element types and conversions against slow references: every half and 8-bit float, random floats rounded by search,
 * every pair of types against one-element loads and stores, strides, and (when the file is there) torch's own results.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/base.h"
#include "tensor/convert.h"
#include "tensor/tensor.h"

TAPER_SIMD_DECLARE(taper_convert_kernels, taper__convert_kernels);

static int failures;
static bool report(bool ok, const char *name, const char *why) {
    if (ok)
        printf("ok %s\n", name);
    else
        printf("not ok %s: %s\n", name, why), failures++;
    return ok;
}

static uint64_t rng_state = 88172645463325252u;
static uint64_t rng(void) {
    rng_state ^= rng_state << 13, rng_state ^= rng_state >> 7, rng_state ^= rng_state << 17;
    return rng_state;
}

typedef struct format {
    taper_dtype dtype;
    int e, m, bias;
    bool infinity;
} format;
static const format formats[] = {{TAPER_F16, 5, 10, 15, true},
                                 {TAPER_BF16, 8, 7, 127, true},
                                 {TAPER_F8_E4M3, 4, 3, 7, false},
                                 {TAPER_F8_E5M2, 5, 2, 15, true}};

/* The meaning of the bits, from the definition. */
static double format_value(const format *f, unsigned h) {
    unsigned mask = (1u << f->m) - 1, e = (h >> f->m) & ((1u << f->e) - 1), m = h & mask, top = (1u << f->e) - 1;
    double s = h >> (f->e + f->m) ? -1 : 1;
    if (e == top && (f->infinity || m == mask)) return m && (f->infinity || m == mask) ? NAN : s * INFINITY;
    return s * (e ? ldexp(1 + m / (double)(mask + 1), (int)e - f->bias) : ldexp(m / (double)(mask + 1), 1 - f->bias));
}

/* Nearest code by search over all positive codes; ties to the even code. */
static unsigned format_round(const format *f, float x) {
    unsigned sign = signbit(x) ? 1u << (f->e + f->m) : 0, inf = ((1u << f->e) - 1) << f->m, lo = 0, hi = inf;
    if (!f->infinity) hi |= (1u << f->m) - 1;
    double a = fabs((double)x);
    while (hi - lo > 1) { /* value(lo) <= a < value(hi), the top code counting as one more step */
        unsigned mid = (lo + hi) / 2;
        if (format_value(f, mid) <= a)
            lo = mid;
        else
            hi = mid;
    }
    double below = format_value(f, lo), step = below - format_value(f, lo - (lo > 0)), above = format_value(f, hi);
    if (!isfinite(above)) above = below + step;
    if (a - below < above - a) return sign | lo;
    if (a - below > above - a) return sign | hi;
    return sign | (lo & 1 ? hi : lo);
}

static void test_levels(const char *level, const taper_convert_kernels *k) {
    char name[64], why[128] = "";
    static uint32_t word[65536];
    static float value[65536], value2[65536];
    for (int i = 0; i < TAPER_COUNT(formats); i++) {
        const format *f = &formats[i];
        bool wide = f->e + f->m > 7, ok = true;
        unsigned n = wide ? 65536 : 256;
        for (unsigned h = 0; h < n; h++)
            if (wide)
                ((uint16_t *)word)[h] = (uint16_t)h;
            else
                ((uint8_t *)word)[h] = (uint8_t)h;
        k->step[f->dtype][TAPER_F32](value, word, n);
        for (unsigned h = 0; h < n && ok; h++) {
            double want = format_value(f, h);
            ok = isnan(want) ? isnan(value[h]) : want == value[h] && !signbit(want) == !signbit(value[h]);
            if (!ok) snprintf(why, sizeof why, "0x%x is %g, got %g", h, want, (double)value[h]);
        }
        snprintf(name, sizeof name, "convert_%s_to_f32_all_%s", taper_dtype_name(f->dtype), level);
        report(ok, name, why);
        /* random bits, values near every code, exact codes and midpoints */
        for (unsigned j = 0; j < 65536; j++) {
            unsigned h = (unsigned)(rng() % (n / 2));
            double base = format_value(f, h), next = format_value(f, h + 1);
            uint32_t bits = (uint32_t)rng();
            memcpy(&value2[j], &bits, 4);
            if (j % 4 == 1) value2[j] = (float)base;
            if (j % 4 == 2 && isfinite(base) && isfinite(next)) value2[j] = (float)((base + next) / 2);
            if (j % 4 == 3 && isfinite(base) && isfinite(next))
                value2[j] = nextafterf((float)((base + next) / 2), j & 4 ? 1e9f : 0);
            if (j & 8) value2[j] = -value2[j];
        }
        k->step[TAPER_F32][f->dtype](word, value2, 65536);
        ok = true;
        for (unsigned j = 0; j < 65536 && ok; j++) {
            unsigned got = wide ? ((uint16_t *)word)[j] : ((uint8_t *)word)[j];
            if (isnan(value2[j]) || (!f->infinity && isinf(value2[j]))) {
                ok = isnan(format_value(f, got)) && got >> (f->e + f->m) == (unsigned)(signbit(value2[j]) != 0);
            } else if (isinf(value2[j])) {
                ok = format_value(f, got) == (double)value2[j];
            } else {
                ok = got == format_round(f, value2[j]);
            }
            if (!ok)
                snprintf(why, sizeof why, "%a gives 0x%x, want 0x%x", (double)value2[j], got,
                         format_round(f, value2[j]));
        }
        snprintf(name, sizeof name, "convert_f32_to_%s_rounds_%s", taper_dtype_name(f->dtype), level);
        report(ok, name, why);
    }
    /* NaN payloads of half are the same at every level */
    uint32_t nan_bits[64];
    uint16_t halves[64];
    bool ok = true;
    for (int i = 0; i < 64; i++) nan_bits[i] = 0x7f800001u | (uint32_t)rng();
    k->step[TAPER_F32][TAPER_F16](halves, nan_bits, 64);
    for (int i = 0; i < 64; i++) ok = ok && halves[i] == taper__f32_to_f16(convert_float(nan_bits[i]));
    snprintf(name, sizeof name, "convert_half_nan_payload_%s", level);
    report(ok, name, "payload differs from the formula");
}

/* Any pair of types in a block equals the element-wise road through load and store. */
static void test_pairs(void) {
    static const double odd[] = {
        0,       -0.0,  1,      -1,     0.5,        -0.5,         1.5,           2.5,           -2.9,   127,
        128,     -129,  255,    256,    300.7,      -1.5,         1e5,           -1e5,          65504,  65519.9,
        65520,   1e10,  -1e10,  3.4e38, 2147483647, 2147483648.0, -2147483648.0, -2147483649.0, 9.2e18, 9.3e18,
        -9.3e18, 1e300, -1e300, 1e-8,   1e-40,      1e-310};
    enum { N = 1500 };
    static unsigned char src[N * 8 * 3], dst[N * 8 * 3];
    for (int from = 0; from < TAPER_DTYPE_COUNT; from++)
        for (int to = 0; to < TAPER_DTYPE_COUNT; to++)
            for (int strided = 0; strided < 4; strided++) {
                int64_t ss = strided & 1 ? 3 : 1, ds = strided & 2 ? 2 : 1;
                size_t fs = taper_dtype_size(from), ts = taper_dtype_size(to);
                for (int i = 0; i < N; i++) {
                    double v = i < TAPER_COUNT(odd) ? odd[i]
                               : i < 60             ? (i & 1   ? NAN
                                                       : i & 2 ? INFINITY
                                                               : -INFINITY)
                               : i & 1              ? (double)(int64_t)rng()
                                                    : ldexp((double)(int64_t)rng(), -55 - (int)(rng() % 12));
                    if (taper_dtype_is_float(from))
                        taper__store_double(src + (size_t)(i * ss) * fs, from, v);
                    else
                        taper__store_int(src + (size_t)(i * ss) * fs, from,
                                         i & 1 ? (int64_t)rng() : convert_f64_i64(v));
                }
                memset(dst, 0xAB, sizeof dst);
                taper__convert(dst, to, ds, src, from, ss, N);
                char why[160] = "";
                bool ok = true;
                for (int i = 0; i < N && ok; i++) {
                    unsigned char want[8] = {0};
                    const void *p = src + (size_t)(i * ss) * fs, *got = dst + (size_t)(i * ds) * ts;
                    if (from == to)
                        memcpy(want, p, fs);
                    else if (taper_dtype_is_float(from))
                        taper__store_double(want, to, taper__load_double(p, from));
                    else
                        taper__store_int(want, to, taper__load_int(p, from));
                    ok = !memcmp(want, got, ts) || (taper_dtype_is_float(to) && isnan(taper__load_double(want, to)) &&
                                                    isnan(taper__load_double(got, to)));
                    if (!ok)
                        snprintf(why, sizeof why, "element %d: %.17g gives %.17g, want %.17g", i,
                                 taper__load_double(p, from), taper__load_double(got, to),
                                 taper__load_double(want, to));
                    if (ds == 2) ok = ok && ((const unsigned char *)got)[ts] == 0xAB;
                }
                char name[96];
                snprintf(name, sizeof name, "convert_%s_%s_strides_%d_%d", taper_dtype_name(from), taper_dtype_name(to),
                         (int)ss, (int)ds);
                if (!ok || strided == 3) report(ok, name, why[0] ? why : "wrote between the elements");
            }
}

/* Promotion from first principles: kind wins, then the narrowest type of that kind that holds both. */
static void test_dtypes(void) {
    static const int bits[] = {0, 8, 7, 15, 31, 63}; /* value bits of bool and the integers */
    bool ok = true;
    for (int a = 0; a <= TAPER_F64; a++)
        for (int b = 0; b <= TAPER_F64; b++) {
            taper_dtype got = taper_dtype_promote(a, b), want;
            taper_kind ka = taper_dtype_kind(a), kb = taper_dtype_kind(b);
            if (ka != kb)
                want = ka > kb ? a : b;
            else if (ka == TAPER_KIND_FLOAT)
                want = a == b                                       ? (taper_dtype)a
                       : taper_dtype_size(a) == taper_dtype_size(b) ? TAPER_F32
                       : taper_dtype_size(a) > taper_dtype_size(b)  ? (taper_dtype)a
                                                                    : (taper_dtype)b;
            else if ((a == TAPER_U8 && b == TAPER_I8) || (a == TAPER_I8 && b == TAPER_U8))
                want = TAPER_I16;
            else
                want = bits[a] >= bits[b] ? (taper_dtype)a : (taper_dtype)b;
            if (got != want)
                ok = false, printf("# %s + %s = %s\n", taper_dtype_name(a), taper_dtype_name(b), taper_dtype_name(got));
        }
    report(ok, "dtype_promote_all_pairs", "see above");
    report(taper_dtype_promote(TAPER_F8_E4M3, TAPER_F32) == TAPER_DTYPE_NONE &&
               taper_dtype_promote(TAPER_F8_E4M3, TAPER_F8_E4M3) == TAPER_F8_E4M3,
           "dtype_promote_float8", "wrong");
    ok = true;
    for (int a = 0; a < TAPER_DTYPE_COUNT; a++) ok = ok && taper_dtype_from_name(taper_dtype_name(a)) == (taper_dtype)a;
    ok = ok && taper_dtype_from_name("float") == TAPER_F32 && taper_dtype_from_name("long") == TAPER_I64 &&
         taper_dtype_from_name("torch.half") == TAPER_F16 && taper_dtype_from_name("flout") == TAPER_DTYPE_NONE;
    report(ok, "dtype_names", "a name does not come back");
    ok = taper_set_default_dtype(TAPER_I32) == TAPER_TYPE && taper_default_dtype() == TAPER_F32 &&
         taper_set_default_dtype(TAPER_F64) == TAPER_OK && taper_default_dtype() == TAPER_F64;
    taper_set_default_dtype(TAPER_F32);
    report(ok, "dtype_default", "wrong");
}

/* Lines "from to source-hex result-hex" written by scripts/golden_convert.py from torch. */
static void test_golden(const char *path) {
    FILE *f = fopen(path, "r");
    if (!f) {
        printf("ok convert_golden # skipped, no %s\n", path);
        return;
    }
    char from[32], to[32];
    static char a[4096], b[4096];
    int lines = 0, bad = 0;
    while (fscanf(f, "%31s %31s %4095s %4095s", from, to, a, b) == 4) {
        taper_dtype df = taper_dtype_from_name(from), dt = taper_dtype_from_name(to);
        if (df == TAPER_DTYPE_NONE || dt == TAPER_DTYPE_NONE) {
            bad++;
            break;
        }
        size_t fs = taper_dtype_size(df), ts = taper_dtype_size(dt), n = strlen(a) / 2 / fs;
        uint64_t src[512], dst[512], want[512];
        for (size_t i = 0; i < n * fs; i++) sscanf(a + 2 * i, "%2hhx", (unsigned char *)src + i);
        for (size_t i = 0; i < n * ts; i++) sscanf(b + 2 * i, "%2hhx", (unsigned char *)want + i);
        taper__convert(dst, dt, 1, src, df, 1, (int64_t)n);
        for (size_t i = 0; i < n; i++) {
            const char *g = (char *)dst + i * ts, *w = (char *)want + i * ts;
            if (!memcmp(g, w, ts)) continue;
            if (taper_dtype_is_float(dt) && isnan(taper__load_double(g, dt)) && isnan(taper__load_double(w, dt)))
                continue;
            if (bad++ < 20)
                printf("# %s -> %s: %.17g gives %.17g, torch %.17g\n", from, to,
                       taper__load_double((char *)src + i * fs, df), taper__load_double(g, dt),
                       taper__load_double(w, dt));
        }
        lines++;
    }
    fclose(f);
    report(lines >= 100 && !bad, "convert_golden_torch", "differs from torch, see above");
}

int main(int argc, char **argv) {
    test_levels("base", &taper__convert_kernels_base);
#if defined(__x86_64__)
    if (taper__isa() >= TAPER_ISA_V3) test_levels("v3", &taper__convert_kernels_v3);
    if (taper__isa() >= TAPER_ISA_V4) test_levels("v4", &taper__convert_kernels_v4);
#endif
    test_pairs();
    test_dtypes();
    test_golden(argc > 1 ? argv[1] : "tests/golden/convert.txt");
    return failures != 0;
}
