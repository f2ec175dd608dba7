/* Random numbers against a real PyTorch (tests/golden/rng_cpu.json: expressions, seeds, exact values), bit for bit.
 *
 * rng_cpu.json is of a PyTorch without MKL, rng_cpu_mkl.json has what one with MKL draws otherwise.
 *
 * A row of `rows` says how an expression of the file is made: first what it draws before (skip: "n3" three normals,
 * "u15" fifteen uniforms, "i4" four integers), then `run`. Composites are written out from their definitions. */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "tensor/random_fill.h"
#include "tensor/random_half.h"

enum { MOST = 2048 };

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

/* ---- how each expression is made ---- */

typedef struct row {
    const char *expression, *skip;
    void (*run)(taper_generator *g, const struct row *row, double *out, int64_t n);
    double a, b;
    taper_dtype dtype;
} row;

static void widen(taper_dtype dtype, const void *p, double *out, int64_t n) {
    for (int64_t i = 0; i < n; i++) switch (dtype) {
        case TAPER_F32: out[i] = ((const float *)p)[i]; break;
        case TAPER_F64: out[i] = ((const double *)p)[i]; break;
        case TAPER_U8: out[i] = ((const uint8_t *)p)[i]; break;
        case TAPER_I64: out[i] = (double)((const int64_t *)p)[i]; break;
        default: out[i] = random_load16(dtype, ((const uint16_t *)p)[i]);
        }
}

#define RUN(name, call)                                                                                                \
    static void run_##name(taper_generator *g, const row *r, double *out, int64_t n) {                                 \
        uint64_t p[MOST];                                                                                              \
        call;                                                                                                          \
        widen(r->dtype, p, out, n);                                                                                    \
    }
RUN(uniform, taper__random_uniform(g, r->dtype, p, n, r->a, r->b))
RUN(normal, taper__random_normal(g, r->dtype, p, n, r->a, r->b))
RUN(bernoulli, taper__random_bernoulli(g, r->dtype, p, n, r->a))
RUN(exponential, taper__random_exponential(g, r->dtype, p, n, r->a))
RUN(dropout, taper__random_dropout(g, r->dtype, p, n, r->a))
RUN(int, taper__random_int(g, r->dtype, p, n, (int64_t)r->a, (uint64_t)(r->b - r->a)))
RUN(permutation, taper__random_permutation(g, r->dtype, p, n))

/* torch.normal(tensor, tensor): standard normals, times std, plus mean. */
static void run_normal_each(taper_generator *g, const row *r, double *out, int64_t n) {
    run_normal(g, r, out, n);
    for (int64_t i = 0; i < n; i++) out[i] = (double)((float)out[i] * 1.0f + (float)i);
}

static void run_bernoulli_each(taper_generator *g, const row *r, double *out, int64_t n) {
    float p[MOST] = {0}, x[MOST];
    for (int64_t i = 0; i < n; i++) p[i] = (float)r->a;
    taper__random_bernoulli_each(g, TAPER_F32, x, n, TAPER_F32, p);
    widen(TAPER_F32, x, out, n);
}

/* One factor per channel of 2 x 2. */
static void run_dropout2d(taper_generator *g, const row *r, double *out, int64_t n) {
    double factor[MOST];
    run_dropout(g, r, factor, n / 4);
    for (int64_t i = 0; i < n; i++) out[i] = factor[i / 4];
}

/* a: 0 weights .1 .2 .3 .4; 1 three rows of 20 ones; 2 softmax of 0 ... 11 in three rows; 3 float64 1 2 3.
 * b: with replacement. */
static void run_multinomial(taper_generator *g, const row *r, double *out, int64_t n) {
    static const float tenths[] = {.1f, .2f, .3f, .4f};
    static const double weights[] = {1, 2, 3};
    float p[64];
    int64_t x[MOST], rows = r->a == 1 || r->a == 2 ? 3 : 1, classes = r->a == 1 ? 20 : r->a == 3 ? 3 : 4;
    for (int i = 0; i < 60; i++) p[i] = 1;
    if (r->a == 0) memcpy(p, tenths, sizeof tenths);
    for (int i = 0; r->a == 2 && i < 12; i++) {
        float sum = 0;
        for (int k = 0; k < 4; k++) sum += expf((float)(k - 3));
        p[i] = expf((float)(i % 4 - 3)) / sum;
    }
    taper_status st = taper__random_multinomial(g, x, r->dtype, r->a == 3 ? (const void *)weights : p, rows, classes,
                                                n / rows, r->b != 0);
    for (int64_t i = 0; i < n; i++) out[i] = st ? NAN : (double)x[i];
}

/* kaiming_uniform_(a=sqrt(5)) as Linear and Conv2d call it. a: fan in. */
static void run_linear(taper_generator *g, const row *r, double *out, int64_t n) {
    double slope = sqrt(5.0), gain = sqrt(2.0 / (1 + slope * slope)), bound = sqrt(3.0) * (gain / sqrt(r->a));
    row u = {.a = -bound, .b = bound, .dtype = TAPER_F32};
    run_uniform(g, &u, out, n);
}

/* U(-1 / sqrt(a), 1 / sqrt(a)): biases, and all parameters of recurrent layers. */
static void run_bias(taper_generator *g, const row *r, double *out, int64_t n) {
    double bound = 1 / sqrt(r->a);
    row u = {.a = -bound, .b = bound, .dtype = TAPER_F32};
    run_uniform(g, &u, out, n);
}

/* a: fan in + fan out. */
static void run_xavier(taper_generator *g, const row *r, double *out, int64_t n) {
    double bound = sqrt(3.0) * sqrt(2.0 / r->a);
    row u = {.a = -bound, .b = bound, .dtype = TAPER_F32};
    run_uniform(g, &u, out, n);
}

static void run_kaiming_normal(taper_generator *g, const row *r, double *out, int64_t n) {
    row u = {.a = 0, .b = sqrt(2.0) / sqrt(r->a), .dtype = TAPER_F32};
    run_normal(g, &u, out, n);
}

/* Inverse error function in float: rational start, two Newton steps, fused operations as in PyTorch's build. erf
 * through double: the C library below the golden values rounds erff correctly (glibc 2.41), older ones do not. */
static float erfinv32(float y) {
    float x, z;
    if (fabsf(y) <= 0.7f) {
        z = y * y;
        float num = fmaf(fmaf(fmaf(-0.140543331f, z, 0.914624893f), z, -1.645349621f), z, 0.886226899f);
        float den = fmaf(fmaf(fmaf(fmaf(0.012229801f, z, -0.329097515f), z, 1.442710462f), z, -2.118377725f), z, 1.0f);
        x = y * num / den;
    } else {
        z = sqrtf(-logf((1.0f - fabsf(y)) / 2.0f));
        float num = fmaf(fmaf(fmaf(1.641345311f, z, 3.429567803f), z, -1.624906493f), z, -1.970840454f);
        x = copysignf(num, y) / fmaf(fmaf(1.637067800f, z, 3.543889200f), z, 1.0f);
    }
    for (int i = 0; i < 2; i++) x -= ((float)erf(x) - y) / (2.0f / (float)sqrt(3.14159265358979323846) * expf(-x * x));
    return x;
}

/* a: std; bounds of +-2 are far outside. */
static void run_trunc_normal(taper_generator *g, const row *r, double *out, int64_t n) {
    row u = {.a = -1, .b = 1, .dtype = TAPER_F32};
    run_uniform(g, &u, out, n);
    for (int64_t i = 0; i < n; i++) out[i] = erfinv32((float)out[i]) * (float)(r->a * sqrt(2.0));
}

/* Samplers: a generator of their own from one drawn seed. a 0: permutation; 1: integers below 8. */
static void run_sampler(taper_generator *g, const row *r, double *out, int64_t n) {
    taper_generator *own;
    if (taper_generator_new(&own, (uint64_t)taper__random_seed_draw(g))) abort();
    row u = {.a = 0, .b = 8, .dtype = TAPER_I64};
    if (r->a == 0) run_permutation(own, &u, out, n);
    else run_int(own, &u, out, n);
    taper_generator_release(own);
}

static void run_loader(taper_generator *g, const row *r, double *out, int64_t n) {
    taper__random_seed_draw(g); /* the seed for workers comes first */
    run_sampler(g, r, out, n);
}

static void run_split(taper_generator *g, const row *r, double *out, int64_t n) {
    double all[12];
    run_permutation(g, r, all, 12);
    memcpy(out, all + 9, (size_t)n * sizeof *out);
}

/* clang-format off */
#define F32 TAPER_F32
#define F64 TAPER_F64
#define I64 TAPER_I64
#define RAND(n) {"torch.rand(" n ")", "", run_uniform, 0, 1, F32}
#define RANDN(n) {"torch.randn(" n ")", "", run_normal, 0, 1, F32}
#define RANDPERM(n) {"torch.randperm(" n ")", "", run_permutation, 0, 0, I64}
static const row rows[] = {
    RAND("1"), RAND("2"), RAND("5"), RAND("15"), RAND("16"), RAND("17"), RAND("33"), RAND("100"), RAND("3, 7"),
    {"torch.rand(9, dtype=torch.float64)", "", run_uniform, 0, 1, F64},
    {"torch.rand(20, dtype=torch.bfloat16).float()", "", run_uniform, 0, 1, TAPER_BF16},
    {"torch.rand(20, dtype=torch.float16).float()", "", run_uniform, 0, 1, TAPER_F16},
    RANDN("1"), RANDN("2"), RANDN("5"), RANDN("15"), RANDN("16"), RANDN("17"), RANDN("23"), RANDN("24"), RANDN("33"),
    RANDN("100"), RANDN("4, 5"),
    {"torch.randn(9, dtype=torch.float64)", "", run_normal, 0, 1, F64},
    {"torch.randn(17, dtype=torch.float64)", "", run_normal, 0, 1, F64},
    {"torch.randn(20, dtype=torch.bfloat16).float()", "", run_normal, 0, 1, TAPER_BF16},
    {"(torch.randn(3), torch.randn(3))[1]", "n3", run_normal, 0, 1, F32},
    {"(torch.randn(16), torch.rand(2))[1]", "n16", run_uniform, 0, 1, F32},
    {"(torch.rand(3), torch.randn(17))[1]", "u3", run_normal, 0, 1, F32},
    {"(torch.randn(1), torch.randint(10, (4,)), torch.randn(2))[2]", "n1 i4", run_normal, 0, 1, F32},
    {"torch.randint(10, (20,))", "", run_int, 0, 10, I64},
    {"torch.randint(-5, 5, (20,))", "", run_int, -5, 5, I64},
    {"torch.randint(2**40, (8,))", "", run_int, 0, 0x1p40, I64},
    {"torch.randint(50304, (12,))", "", run_int, 0, 50304, I64},
    {"torch.randint(256, (12,), dtype=torch.uint8).long()", "", run_int, 0, 256, TAPER_U8},
    RANDPERM("1"), RANDPERM("5"), RANDPERM("16"), RANDPERM("100"), RANDPERM("1000"),
    {"torch.empty(10).normal_(2, 3)", "", run_normal, 2, 3, F32},
    {"torch.empty(40).normal_(2, 3)", "", run_normal, 2, 3, F32},
    {"torch.normal(torch.arange(5.), torch.ones(5))", "", run_normal_each, 0, 1, F32},
    {"torch.normal(0., 1., (17,))", "", run_normal, 0, 1, F32},
    {"torch.empty(10).uniform_(-2, 3)", "", run_uniform, -2, 3, F32},
    {"torch.empty(5, dtype=torch.float64).uniform_(0, 9)", "", run_uniform, 0, 9, F64},
    {"torch.bernoulli(torch.full((40,), 0.3))", "", run_bernoulli_each, 0.3, 0, F32},
    {"torch.empty(40).bernoulli_(0.3)", "", run_bernoulli, 0.3, 0, F32},
    {"torch.empty(5).bernoulli_(0.5)", "", run_bernoulli, 0.5, 0, F32},
    {"torch.empty(20).exponential_()", "", run_exponential, 1, 0, F32},
    {"torch.empty(3).exponential_(2.)", "", run_exponential, 2, 0, F32},
    {"F.dropout(torch.ones(40), 0.3)", "", run_dropout, 0.3, 0, F32},
    {"F.dropout(torch.ones(3, 5), 0.5)", "", run_dropout, 0.5, 0, F32},
    {"F.dropout2d(torch.ones(2, 6, 2, 2), 0.5)", "", run_dropout2d, 0.5, 0, F32},
    {"torch.multinomial(torch.tensor([.1, .2, .3, .4]), 10, replacement=True)", "", run_multinomial, 0, 1, F32},
    {"torch.multinomial(torch.tensor([.1, .2, .3, .4]), 1)", "", run_multinomial, 0, 0, F32},
    {"torch.multinomial(torch.ones(3, 20), 5)", "", run_multinomial, 1, 0, F32},
    {"torch.multinomial(F.softmax(torch.arange(12.).view(3, 4), -1), 1)", "", run_multinomial, 2, 0, F32},
    {"nn.Linear(5, 3).weight", "", run_linear, 5, 0, F32},
    {"nn.Linear(5, 3).bias", "u15", run_bias, 5, 0, F32},
    {"nn.Linear(100, 20).weight[:2]", "", run_linear, 100, 0, F32},
    {"nn.Conv2d(3, 4, 3).weight[0]", "", run_linear, 27, 0, F32},
    {"nn.Conv2d(3, 4, 3).bias", "u108", run_bias, 27, 0, F32},
    {"nn.Embedding(7, 4).weight", "", run_normal, 0, 1, F32},
    {"nn.LSTM(4, 3).weight_hh_l0", "u48", run_bias, 3, 0, F32},
    {"nn.GRU(4, 3).bias_ih_l0", "u63", run_bias, 3, 0, F32},
    {"nn.MultiheadAttention(8, 2).in_proj_weight[:2]", "u72", run_xavier, 32, 0, F32}, /* after out_proj */
    {"nn.init.trunc_normal_(torch.empty(20), std=.02)", "", run_trunc_normal, 0.02, 0, F32},
    {"nn.init.xavier_uniform_(torch.empty(4, 6))", "", run_xavier, 10, 0, F32},
    {"nn.init.kaiming_normal_(torch.empty(4, 6))", "", run_kaiming_normal, 6, 0, F32},
    {"nn.init.orthogonal_(torch.empty(3, 3))", "", NULL, 0, 0, F32}, /* needs QR: tested with the operators */
    {"nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 2))[2].weight", "u40", run_linear, 8, 0, F32},
    {"torch.tensor([int(b) for (b,) in torch.utils.data.DataLoader(torch.utils.data.TensorDataset(torch.arange(12)), "
     "shuffle=True)])", "", run_loader, 0, 0, I64},
    {"torch.tensor([list(x) for x in (torch.utils.data.random_split(range(12), [9, 3])[1],)][0])", "", run_split, 0, 0,
     I64},
    {"torch.tensor(list(torch.utils.data.RandomSampler(range(8), replacement=True, num_samples=12)))", "",
     run_sampler, 1, 0, I64},
    {"torch.tensor(list(torch.utils.data.WeightedRandomSampler([1., 2., 3.], 10)))", "", run_multinomial, 3, 1, F64},
};
/* clang-format on */

/* ---- the golden file ---- */

/* After the next `"key":` behind s; aborts the test program when there is none. */
static const char *json_after(const char *s, const char *key) {
    char quoted[64];
    snprintf(quoted, sizeof quoted, "\"%s\":", key);
    s = strstr(s, quoted);
    if (!s) {
        printf("not ok golden_file: no %s\n", quoted);
        exit(1);
    }
    return s + strlen(quoted);
}

/* Numbers of [a,"0x1p+0",...]; hexadecimal ones are quoted. Returns how many. */
static int64_t json_numbers(const char *s, double *out) {
    int64_t n = 0;
    s++;
    while (*s != ']' && n < MOST) {
        char *end;
        s += *s == '"';
        out[n++] = strtod(s, &end);
        s = end + (*end == '"');
        s += *s == ',';
    }
    return n;
}

static void draw_before(taper_generator *g, const char *skip) {
    float x[256];
    for (char kind; sscanf(skip, " %c", &kind) == 1;) {
        char *end;
        int64_t n = strtol(strchr(skip, kind) + 1, &end, 10), whole[16];
        if (kind == 'n') taper__random_normal(g, TAPER_F32, x, n, 0, 1);
        else if (kind == 'u') taper__random_uniform(g, TAPER_F32, x, n, 0, 1);
        else taper__random_int(g, TAPER_I64, whole, n, 0, 10);
        skip = end;
    }
}

/* Knobs are read once; the test sets their value where it is kept. */
static void set_rules(const char *rules) {
    for (taper_knob *k = (taper_knob *)(uintptr_t)taper__knob_list(); k; k = k->next)
        if (!strcmp(k->name, "TAPER_CPU_RANDOM")) k->value = rules;
}

/* MKL's logarithm is not correctly rounded: two units in the last place of float. */
static bool golden_same(double got, double want, bool near) {
    return !memcmp(&got, &want, sizeof got) || (near && fabs(got - want) <= 0x1p-22 * fabs(want));
}

static void test_golden_case(const char *rules, const char *expression, uint64_t seed, const double *want, int64_t n) {
    char name[320];
    double got[MOST];
    const row *r = NULL;
    bool near = !strcmp(rules, "mkl") && strstr(expression, "exponential_");
    snprintf(name, sizeof name, "golden %s %d %s", rules, (int)seed, expression);
    for (int i = 0; i < TAPER_COUNT(rows); i++)
        if (!strcmp(rows[i].expression, expression)) r = &rows[i];
    if (!r) {
        report(false, name, "no row for this expression");
        return;
    }
    if (!r->run) {
        printf("ok %s # skip: needs operators\n", name);
        return;
    }
    taper_manual_seed(seed);
    draw_before(NULL, r->skip);
    r->run(NULL, r, got, n);
    int64_t bad = 0, first = 0;
    for (int64_t i = n - 1; i >= 0; i--)
        if (!golden_same(got[i], want[i], near)) bad++, first = i;
    report(!bad, name, "%lld of %lld differ, first at %lld: got %a, want %a", (long long)bad, (long long)n,
           (long long)first, got[first], want[first]);
}

static void test_golden(const char *path, const char *rules, int need) {
    FILE *f = fopen(path, "rb");
    static char text[1 << 18];
    double want[MOST];
    char expression[256];
    int cases = 0;
    if (!f) {
        report(false, "golden_file", "cannot open %s", path);
        return;
    }
    set_rules(rules);
    memset(text, 0, sizeof text);
    text[fread(text, 1, sizeof text - 1, f)] = 0;
    fclose(f);
    for (const char *s = json_after(text, "cases"); (s = strstr(s, "\"family\":")); cases++) {
        uint64_t seed = strtoull(json_after(s, "seed"), NULL, 10);
        s = json_after(s, "expression") + 1;
        size_t length = 0;
        for (; *s != '"' && length < sizeof expression - 1; s++) expression[length++] = *s;
        expression[length] = 0;
        s = json_after(s, "values");
        int64_t n = json_numbers(s, want);
        test_golden_case(rules, expression, seed, want, n);
    }
    report(cases == need, "golden_count", "%d cases in %s, need %d", cases, path, need);
}

int main(int argc, char **argv) {
    test_golden(argc > 2 ? argv[2] : "tests/golden/rng_cpu_mkl.json", "mkl", 24);
    test_golden(argc > 1 ? argv[1] : "tests/golden/rng_cpu.json", "plain", 152);
    return failures != 0;
}
