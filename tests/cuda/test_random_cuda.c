/* Random numbers on the GPU: their distributions in each dtype against exact ones, precision, independence, integers,
 * permutations, choices by weight, dropout; then rates. Without a GPU it says so and passes. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <taper/autograd.h>
#include <taper/cuda.h>
#include <taper/ops.h>
#include <taper/scope.h>

static int failed;
#define CHECK(condition, ...)                                                                                          \
    do {                                                                                                               \
        bool good_ = condition;                                                                                        \
        if (!good_) failed = 1;                                                                                        \
        printf(good_ ? "ok random_cuda_" : "not ok random_cuda_");                                                     \
        printf(__VA_ARGS__);                                                                                           \
        printf(good_ ? "\n" : ": %s is false (line %d): %s\n", #condition, __LINE__, taper_error_message());           \
    } while (0)
enum { N = 1 << 20 };

static taper_tensor *empty(taper_scope *s, taper_dtype dtype, int64_t n) {
    taper_device gpu = taper_cuda(0);
    return tx_empty(s, &n, 1, dtype, &gpu);
}
/* In double, to be freed. */
static double *values(taper_scope *s, taper_tensor *t) {
    taper_device cpu = taper_cpu();
    taper_tensor *wide = tx_contiguous(s, tx_to(s, t, &cpu, TAPER_F64, false, false));
    double *v = calloc((size_t)(wide ? taper_tensor_numel(wide) : 0) + 1, sizeof *v);
    if (!wide || taper_tensor_read(wide, v, (size_t)taper_tensor_numel(wide) * sizeof *v)) printf("# %s\n", taper_error_message());
    return v;
}
static int by_value(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* ---- distributions ---- */
static double cdf_uniform(double x) { return (x + 2) / 5; }
static double cdf_normal(double x) { return 0.5 * erfc(-(x - 1) / 2 / sqrt(2)); }
static double cdf_log_normal(double x) { return x > 0 ? 0.5 * erfc(-(log(x) - 0.25) / 0.5 / sqrt(2)) : 0; }
static double cdf_exponential(double x) { return 1 - exp(-2 * x); }
static double cdf_cauchy(double x) { return 0.5 + atan((x - 1) / 2) / 3.14159265358979323846; }
static const struct {
    const char *name;
    double (*cdf)(double);
    double mean, variance, skewness, kurtosis; /* NAN: there is none */
    double least, most;
} laws[] = {{"uniform", cdf_uniform, 0.5, 25.0 / 12, 0, 1.8, -2, 3},
            {"normal", cdf_normal, 1, 4, 0, 3, -14, 16},
            {"log_normal", cdf_log_normal, 1.4549914146182013, 0.601281, NAN, NAN, 0, 40},
            {"exponential", cdf_exponential, 0.5, 0.25, 2, NAN, 0, 20},
            {"cauchy", cdf_cauchy, NAN, NAN, NAN, NAN, -INFINITY, INFINITY}};

static taper_tensor *draw(taper_scope *s, int law, taper_tensor *t) {
    switch (law) {
    case 0: return tx_uniform_(s, t, -2, 3, NULL);
    case 1: return tx_normal_(s, t, 1, 2, NULL);
    case 2: return tx_log_normal_(s, t, 0.25, 0.5, NULL);
    case 3: return tx_exponential_(s, t, 2, NULL);
    default: return tx_cauchy_(s, t, 1, 2, NULL);
    }
}

/* The largest distance of the empirical distribution from the exact one; 16-bit dtypes round. */
static void distribution(int law, taper_dtype dtype, int64_t n) {
    taper_scope s = TAPER_SCOPE;
    double *v = values(&s, draw(&s, law, empty(&s, dtype, n))), mean = 0, moment[3] = {0}, far = 0;
    const double coarse = dtype == TAPER_BF16 ? 8e-3 : dtype == TAPER_F16 ? 1e-3 : 2e-7;
    for (int64_t i = 0; i < n; i++) mean += v[i] / (double)n;
    for (int64_t i = 0; i < n; i++) {
        double d = v[i] - mean;
        moment[0] += d * d / (double)n, moment[1] += d * d * d / (double)n, moment[2] += d * d * d * d / (double)n;
    }
    qsort(v, (size_t)n, sizeof *v, by_value);
    for (int64_t i = 0, j; i < n; i = j) {
        for (j = i; j < n && v[j] == v[i];) j++;
        double p = laws[law].cdf(v[i]);
        far = fmax(far, fmax((double)i / (double)n - p, p - (double)j / (double)n));
    }
    const double step = 5 / sqrt((double)n), variance = laws[law].variance, scale = variance * sqrt(variance);
    CHECK(s.status == TAPER_OK && v[0] >= laws[law].least && (law ? v[n - 1] <= laws[law].most : v[n - 1] < 3), "%s_%s_range %g %g", laws[law].name, taper_dtype_name(dtype),
          v[0], v[n - 1]);
    CHECK(far < 1.95 / sqrt((double)n) + coarse, "%s_%s_distance %.2g of %lld", laws[law].name, taper_dtype_name(dtype), far, (long long)n);
    if (!isnan(laws[law].mean))
        CHECK(fabs(mean - laws[law].mean) < step * sqrt(variance) + coarse && fabs(moment[0] - variance) < 8 * step * variance + 4 * coarse,
              "%s_%s_moments mean %.5f variance %.5f", laws[law].name, taper_dtype_name(dtype), mean, moment[0]);
    if (!isnan(laws[law].skewness) && n >= N) CHECK(fabs(moment[1] / scale - laws[law].skewness) < 8 * step, "%s_%s_skewness %.4f", laws[law].name, taper_dtype_name(dtype), moment[1] / scale);
    if (!isnan(laws[law].kurtosis) && n >= N)
        CHECK(fabs(moment[2] / variance / variance - laws[law].kurtosis) < 8 * step, "%s_%s_kurtosis %.4f", laws[law].name, taper_dtype_name(dtype), moment[2] / variance / variance);
    free(v);
    taper_scope_end(&s);
}

static void counted(taper_dtype dtype) {
    taper_scope s = TAPER_SCOPE;
    double *v = values(&s, tx_geometric_(&s, empty(&s, dtype, N), 0.25, NULL)), chi = 0, worst = 0;
    int64_t count[12] = {0};
    for (int i = 0; i < N; i++) count[v[i] < 11 ? (int)v[i] : 11]++;
    for (int k = 1; k < 12; k++) {
        double want = N * (k < 11 ? 0.25 * pow(0.75, k - 1) : pow(0.75, 10));
        chi += (count[k] - want) * (count[k] - want) / want;
    }
    CHECK(s.status == TAPER_OK && !count[0] && chi < 40, "geometric_%s chi2 %.1f of 10", taper_dtype_name(dtype), chi);
    free(v);
    const double ps[] = {0, 1e-5, 0.25, 0.5, 0.9, 1};
    for (int i = 0; i < 6; i++) {
        int64_t n = i == 1 ? INT64_C(1) << 24 : N - 3, ones = 0;
        v = values(&s, tx_bernoulli_(&s, empty(&s, dtype, n), ps[i], NULL));
        for (int64_t j = 0; j < n; j++) ones += v[j] == 1, worst += v[j] != 0 && v[j] != 1;
        CHECK(s.status == TAPER_OK && worst == 0 && fabs((double)ones - ps[i] * (double)n) <= 5 * sqrt((double)n * ps[i] * (1 - ps[i])), "bernoulli_%s_%g %.7f", taper_dtype_name(dtype),
              ps[i], (double)ones / (double)n);
        free(v);
    }
    taper_scope_end(&s);
}

static void precision(void) {
    taper_scope s = TAPER_SCOPE;
    double *u = values(&s, tx_uniform_(&s, empty(&s, TAPER_F64, N), 0, 1, NULL)), *z = values(&s, tx_normal_(&s, empty(&s, TAPER_F64, N), 0, 1, NULL));
    int64_t low = 0, narrow[2] = {0}, exact = 0;
    for (int i = 0; i < N; i++) {
        double k = ldexp(u[i], 53);
        exact += k == floor(k);
        low += (uint64_t)k & 1;
        narrow[0] += (float)u[i] == u[i];
        narrow[1] += (float)z[i] == z[i];
    }
    CHECK(exact == N && llabs(low - N / 2) < 5 * sqrt(N) / 2, "float64_uniform_has_53_bits, lowest one in %.4f", (double)low / N);
    CHECK(narrow[0] < 10 && narrow[1] < 10, "float64_is_not_widened_float32");
    free(u);
    free(z);
    taper_scope_end(&s);
}

/* ---- independence ---- */
static double correlation(const double *a, const double *b, int64_t n) {
    double sab = 0, saa = 0, sbb = 0;
    for (int64_t i = 0; i < n; i++) sab += (a[i] - 0.5) * (b[i] - 0.5), saa += (a[i] - 0.5) * (a[i] - 0.5), sbb += (b[i] - 0.5) * (b[i] - 0.5);
    return sab / sqrt(saa * sbb);
}
static int by_word(const void *a, const void *b) {
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}
static void independence(void) {
    taper_scope s = TAPER_SCOPE;
    double *v[4], worst = 0;
    const uint64_t seeds[4] = {5, 5, 6, UINT64_C(5) << 32};
    for (int i = 0; i < 4; i++) { /* two calls after one seed, and two other seeds */
        if (i != 1) taper_cuda_manual_seed(seeds[i]);
        v[i] = values(&s, tx_uniform_(&s, empty(&s, TAPER_F32, N), 0, 1, NULL));
    }
    for (int i = 0; i < 4; i++)
        for (int j = 0; j < i; j++) worst = fmax(worst, fabs(correlation(v[i], v[j], N)));
    CHECK(s.status == TAPER_OK && worst < 5 / sqrt(N), "calls_and_seeds_uncorrelated %.2g", worst);
    worst = 0;
    const int lags[] = {1, 2, 3, 4, 5, 8, 32, 128, 256, 1024, 4096, 135168};
    for (int i = 0; i < 12; i++) worst = fmax(worst, fabs(correlation(v[0], v[0] + lags[i], N - lags[i])));
    CHECK(worst < 5 / sqrt(N / 2.0), "lags_uncorrelated %.2g", worst);
    /* Sequences that overlapped would share numbers: 2^21 of 63 bits have none in common by chance. */
    int64_t *w = malloc(2 * N * sizeof *w), twice = 0;
    for (int i = 0; i < 2; i++) {
        taper_tensor *t = tx_random_(&s, empty(&s, TAPER_I64, N), NULL);
        if (!t || taper_tensor_read(t, w + i * N, N * sizeof *w)) failed = 1;
    }
    qsort(w, 2 * N, sizeof *w, by_word);
    for (int i = 1; i < 2 * N; i++) twice += w[i] == w[i - 1];
    CHECK(!twice && w[0] >= 0, "calls_share_no_number");
    free(w);
    for (int i = 0; i < 4; i++) free(v[i]);
    taper_scope_end(&s);
}

/* ---- integers, permutations, choices ---- */
static void integers(taper_dtype dtype) {
    taper_scope s = TAPER_SCOPE;
    int64_t to = 9;
    double *v = values(&s, tx_random_from_(&s, empty(&s, dtype, N - 1), taper_dtype_is_float(dtype) || dtype != TAPER_U8 ? -3 : 0, &to, NULL)), chi = 0;
    int low = dtype == TAPER_U8 ? 0 : -3;
    int64_t count[12] = {0}, bad = 0;
    for (int i = 0; i < N - 1; i++)
        if (v[i] >= low && v[i] < 9 && v[i] == floor(v[i])) count[(int)v[i] - low]++;
        else bad++;
    for (int k = 0; k < 9 - low; k++) {
        double want = (N - 1) / (9.0 - low);
        chi += (count[k] - want) * (count[k] - want) / want;
    }
    CHECK(s.status == TAPER_OK && !bad && chi < 40, "randint_%s chi2 %.1f", taper_dtype_name(dtype), chi);
    free(v);
    taper_scope_end(&s);
}
/* The largest range that 32 bits serve, where every sixteenth number needs more bits: highest and lowest digits. */
static void wide_integers(void) {
    taper_scope s = TAPER_SCOPE;
    double *v = values(&s, tx_random_to_(&s, empty(&s, TAPER_I32, N), 1 << 28, NULL)), chi[2] = {0};
    int64_t count[2][16] = {{0}};
    for (int i = 0; i < N; i++) count[0][(int)v[i] >> 24 & 15]++, count[1][(int)v[i] & 15]++;
    for (int k = 0; k < 32; k++) chi[k / 16] += ((double)count[k / 16][k % 16] - N / 16) * ((double)count[k / 16][k % 16] - N / 16) / (N / 16);
    CHECK(s.status == TAPER_OK && chi[0] < 50 && chi[1] < 50, "randint_of_28_bits chi2 %.1f and %.1f of 15", chi[0], chi[1]);
    free(v);
    taper_scope_end(&s);
}
static void permutation(int64_t n, taper_dtype dtype) {
    taper_scope s = TAPER_SCOPE;
    taper_device gpu = taper_cuda(0);
    double *v[3], same = 0, other = 0, fixed = 0;
    int bad = 0;
    char *seen = calloc((size_t)n + 1, 1);
    for (int i = 0; i < 3; i++) {
        taper_cuda_manual_seed(i < 2 ? 11 : 12);
        v[i] = values(&s, tx_randperm(&s, n, NULL, dtype, &gpu));
    }
    for (int64_t i = 0; i < n; i++) {
        bad += !(v[0][i] >= 0 && v[0][i] < (double)n) || seen[(int64_t)v[0][i]]++;
        same += v[0][i] == v[1][i], other += v[0][i] == v[2][i], fixed += v[0][i] == (double)i;
    }
    CHECK(s.status == TAPER_OK && !bad && same == (double)n && (n < 20 || (other < 12 && fixed < 12)), "randperm_%s_%lld", taper_dtype_name(dtype), (long long)n);
    free(seen);
    for (int i = 0; i < 3; i++) free(v[i]);
    taper_scope_end(&s);
}
static void choices(void) {
    taper_scope s = TAPER_SCOPE;
    const float weights[5] = {1, 0, 2, 3, 4}, bad[2][2] = {{0.5f, -0.25f}, {0, 0}};
    int64_t shape[2] = {100000, 5}, one[2] = {1, 5}, two = 2;
    taper_device gpu = taper_cuda(0);
    taper_tensor *host = NULL, *row;
    taper_tensor_from_data(&host, weights, TAPER_F32, 2, one);
    row = tx_to(&s, taper_scope_own(&s, host), &gpu, TAPER_DTYPE_NONE, false, false);
    for (int again = 0; again < 2; again++) {
        double *v = values(&s, again ? tx_multinomial(&s, row, 100000, true, NULL) : tx_multinomial(&s, tx_contiguous(&s, tx_expand(&s, row, shape, 2)), 1, false, NULL)), chi = 0;
        int64_t count[5] = {0};
        for (int i = 0; i < 100000; i++) count[(int)v[i]]++;
        for (int k = 0; k < 5; k++)
            if (weights[k] > 0) chi += (count[k] - 10000.0 * weights[k]) * (count[k] - 10000.0 * weights[k]) / (10000.0 * weights[k]);
        CHECK(s.status == TAPER_OK && !count[1] && chi < 25, "multinomial_%s chi2 %.1f of 3", again ? "with_replacement" : "one", chi);
        free(v);
    }
    double *v = values(&s, tx_multinomial(&s, tx_contiguous(&s, tx_expand(&s, row, shape, 2)), 3, false, NULL));
    int64_t twice = 0, never = 0, first[5] = {0};
    for (int i = 0; i < 100000; i++) {
        twice += v[3 * i] == v[3 * i + 1] || v[3 * i] == v[3 * i + 2] || v[3 * i + 1] == v[3 * i + 2];
        never += v[3 * i] == 1 || v[3 * i + 1] == 1 || v[3 * i + 2] == 1;
        first[(int)v[3 * i]]++;
    }
    CHECK(s.status == TAPER_OK && !twice && !never && fabs((double)first[4] - 40000) < 5 * 155, "multinomial_without_replacement first %.4f", (double)first[4] / 1e5);
    free(v);
    for (int i = 0; i < 2; i++)
        for (int again = 0; again < 2; again++) {
            taper_tensor *t = NULL, *out = NULL;
            taper_tensor_from_data(&t, bad[i], TAPER_F32, 1, &two);
            taper_tensor *on = tx_to(&s, taper_scope_own(&s, t), &gpu, TAPER_DTYPE_NONE, false, false);
            taper_status st = taper_multinomial(&out, on, 1, again, NULL);
            if (!st) st = taper_cuda_synchronize(0);
            CHECK(st == TAPER_RUNTIME && strstr(taper_error_message(), "probability tensor contains"), "multinomial_refuses_%s_%d", i ? "zeros" : "negative", again);
            taper_tensor_release(out);
        }
    taper_scope_end(&s);
}

/* ---- dropout ---- */
static void dropout(taper_dtype dtype, double p, int64_t n, int64_t skip) {
    taper_scope s = TAPER_SCOPE;
    taper_tensor *x = tx_normal_(&s, empty(&s, dtype, n + skip), 0, 1, NULL), *root, *grad;
    if (skip) x = tx_clone(&s, x), x = tx_narrow(&s, x, 0, skip, n); /* not on a 16-byte boundary */
    taper_tensor *leaf = NULL;
    taper_detach(&leaf, x);
    taper_scope_own(&s, leaf);
    taper_set_requires_grad(leaf, true);
    taper_tensor *y = tx_dropout(&s, leaf, p, true);
    root = tx_sum(&s, y, NULL, 0, false, TAPER_F32);
    if (!root || taper_backward(&root, NULL, 1, false, false)) s.status = s.status ? s.status : TAPER_RUNTIME;
    grad = taper_grad(leaf);
    double *a = values(&s, leaf), *b = values(&s, y), *g = grad ? values(&s, grad) : calloc((size_t)n + 1, 8);
    int64_t dropped = 0, wrong = 0;
    const double scale = dtype == TAPER_F64 ? 1 / (1 - p) : (double)(1.0f / (float)(1 - p)), coarse = dtype == TAPER_BF16 ? 4e-3 : dtype == TAPER_F16 ? 5e-4 : 1e-6;
    for (int64_t i = 0; i < n; i++) {
        bool keep = g[i] != 0;
        dropped += !keep;
        wrong += keep ? !(fabs(b[i] - a[i] * scale) <= coarse * fabs(a[i] * scale) + 1e-7) || fabs(g[i] - scale) > coarse * scale : b[i] != 0;
    }
    CHECK(s.status == TAPER_OK && grad && !wrong && fabs((double)dropped - p * (double)n) < 5 * sqrt((double)n * p * (1 - p)), "dropout_%s_%g_of_%lld_from_%lld %.7f",
          taper_dtype_name(dtype), p, (long long)n, (long long)skip, (double)dropped / (double)n);
    free(a);
    free(b);
    free(g);
    taper_scope_end(&s);
}

/* ---- rates ---- */
static void rate(const char *name, taper_dtype dtype, int64_t n, double bytes) {
    taper_scope s = TAPER_SCOPE;
    taper_cuda_event *begin = NULL, *end = NULL;
    taper_tensor *t = empty(&s, dtype, n), *mask = NULL, *y = NULL;
    float ms = 0, best = INFINITY;
    taper_device gpu = taper_cuda(0);
    taper_cuda_event_new(&begin, true, false);
    taper_cuda_event_new(&end, true, false);
    if (!strncmp(name, "dropout", 7)) tx_normal_(&s, t, 0, 1, NULL), mask = tx_bernoulli_(&s, empty(&s, TAPER_BOOL, n), 0.9, NULL);
    for (int i = 0; i < 6; i++) {
        taper_scope inner = TAPER_SCOPE;
        taper_tensor *out[2] = {NULL, NULL};
        taper_cuda_event_record(begin, NULL);
        if (!strcmp(name, "uniform")) tx_uniform_(&inner, t, 0, 1, NULL);
        else if (!strcmp(name, "normal")) tx_normal_(&inner, t, 0, 1, NULL);
        else if (!strcmp(name, "exponential")) tx_exponential_(&inner, t, 1, NULL);
        else if (!strcmp(name, "bernoulli")) tx_bernoulli_(&inner, t, 0.5, NULL);
        else if (!strcmp(name, "randint")) tx_random_to_(&inner, t, 1000, NULL);
        else if (!strcmp(name, "randperm")) y = tx_randperm(&inner, n, NULL, dtype, &gpu);
        else if (!strcmp(name, "dropout")) inner.status = taper_native_dropout(out, t, 0.1, true);
        else y = tx_native_dropout_backward(&inner, t, mask, 1.1);
        taper_cuda_event_record(end, NULL);
        taper_cuda_event_synchronize(end);
        taper_cuda_event_elapsed(&ms, begin, end);
        if (i && ms < best) best = ms;
        taper_tensor_release(out[0]);
        taper_tensor_release(out[1]);
        if (inner.status != TAPER_OK || s.status != TAPER_OK) failed = 1, printf("not ok random_cuda_rate %s: %s\n", name, taper_error_message());
        taper_scope_end(&inner);
    }
    (void)y;
    printf("# %-17s %-8s %10lld elements %8.3f ms %6.0f GB/s\n", name, taper_dtype_name(dtype), (long long)n, (double)best, bytes * (double)n / (double)best / 1e6);
    taper_cuda_event_release(begin);
    taper_cuda_event_release(end);
    taper_scope_end(&s);
}

int main(void) {
    static const taper_dtype floats[] = {TAPER_F32, TAPER_F16, TAPER_BF16, TAPER_F64}, all[] = {TAPER_F32, TAPER_BF16, TAPER_F64, TAPER_I64, TAPER_I32, TAPER_U8};
    const char *why;
    if (!taper_cuda_device_count(&why)) return printf("ok random_cuda: skipped, %s\n", why), 0;
    taper_cuda_manual_seed(20240607);
    for (int law = 0; law < 5; law++)
        for (int d = 0; d < 4; d++) distribution(law, floats[d], N), distribution(law, floats[d], 1003);
    for (int d = 0; d < 6; d++) counted(all[d]), integers(all[d]);
    counted(TAPER_F16);
    wide_integers();
    precision();
    independence();
    for (int i = 0; i < 8; i++) permutation((int64_t[]){1, 2, 255, 2048, 2049, 100003, 1 << 20, 0}[i], i % 2 ? TAPER_I32 : TAPER_I64);
    choices();
    for (int d = 0; d < 4; d++) dropout(floats[d], 0.1, N, 0), dropout(floats[d], 0.5, 100003, 0), dropout(floats[d], 0.3, 100003, 1);
    dropout(TAPER_F32, 1e-5, INT64_C(1) << 24, 0);
    const int64_t big = INT64_C(1) << 28;
    rate("dropout", TAPER_BF16, big, 5), rate("dropout", TAPER_F16, big, 5), rate("dropout", TAPER_F32, big, 9), rate("dropout", TAPER_F64, big / 2, 17);
    rate("dropout_backward", TAPER_BF16, big, 5), rate("dropout_backward", TAPER_F32, big, 9);
    rate("uniform", TAPER_F32, big, 4), rate("uniform", TAPER_BF16, big, 2), rate("uniform", TAPER_F64, big / 2, 8);
    rate("normal", TAPER_F32, big, 4), rate("normal", TAPER_BF16, big, 2), rate("normal", TAPER_F64, big / 2, 8);
    rate("exponential", TAPER_F32, big, 4), rate("bernoulli", TAPER_BOOL, big, 1), rate("bernoulli", TAPER_F32, big, 4);
    rate("randint", TAPER_I64, big / 2, 8), rate("randint", TAPER_I32, big, 4), rate("randperm", TAPER_I64, 1 << 24, 8);
    return failed;
}
