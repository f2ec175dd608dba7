/* Random numbers against a real PyTorch (tests/golden/rng_cpu.json: expressions, seeds, exact values), bit for bit;
 * then saved states, instruction sets against each other, threads, Philox, and that the numbers look random.
 *
 * rng_cpu.json is of a PyTorch without MKL, rng_cpu_mkl.json has what one with MKL draws otherwise.
 *
 * A row of `rows` says how an expression of the file is made: first what it draws before (skip: "n3" three normals,
 * "u15" fifteen uniforms, "i4" four integers), then `run`. Composites are written out from their definitions. */
#include <math.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "tensor/philox.h"
#include "tensor/random_fill.h"
#include "tensor/random_half.h"
#include "tensor/random_kernels.h"

TAPER_SIMD_DECLARE(taper_random_kernels, taper__random_kernels);
TAPER_SIMD_DECLARE(taper_mt_kernels, taper__mt_kernels);

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

/* ---- generators ---- */

static uint64_t fnv(const void *p, size_t n) {
    uint64_t h = 0xcbf29ce484222325u;
    for (size_t i = 0; i < n; i++) h = (h ^ ((const unsigned char *)p)[i]) * 0x100000001b3u;
    return h;
}

/* Hashes of torch.get_rng_state() of PyTorch 2.6 after manual_seed(1337) and the draws. */
static void test_state_layout(void) {
    static const struct {
        const char *draws;
        uint64_t hash;
    } states[] = {{"", 0xec74a6cacfcd816bu},     {"n3", 0x5527c2a457953a64u},   {"u1", 0xefa69c481e2d308eu},
                  {"u624", 0x15f928e911e842eeu}, {"u625", 0xfc47cca18a1d4996u}, {"u1 n20 n1", 0xecc6b6d842e975c9u}};
    unsigned char state[TAPER_GENERATOR_STATE_BYTES];
    for (int i = 0; i < TAPER_COUNT(states); i++) {
        char name[64];
        float x[1024];
        snprintf(name, sizeof name, "state_layout [%s]", states[i].draws);
        taper_manual_seed(1337);
        if (!strncmp(states[i].draws, "u62", 3))
            taper__random_uniform(NULL, TAPER_F32, x, atoi(states[i].draws + 1), 0, 1);
        else draw_before(NULL, states[i].draws);
        taper_status st = taper_generator_get_state(NULL, state, sizeof state);
        report(!st && fnv(state, sizeof state) == states[i].hash, name, "other bytes than torch");
    }
}

static void test_state_round_trip(void) {
    taper_generator *a, *b;
    unsigned char state[TAPER_GENERATOR_STATE_BYTES];
    bool same = true;
    if (taper_generator_new(&a, 5) || taper_generator_new(&b, 6)) abort();
    for (int n = 1; n < 2000; n = n * 3 / 2 + 1) {
        double x[2000], y[2000];
        taper__random_normal(a, TAPER_F64, x, n, 0, 1);
        same &=
            !taper_generator_get_state(a, state, sizeof state) && !taper_generator_set_state(b, state, sizeof state);
        taper__random_normal(a, TAPER_F64, x, 13, 0, 1);
        taper__random_uniform(a, TAPER_F64, x + 13, n / 2, 0, 1);
        taper__random_normal(b, TAPER_F64, y, 13, 0, 1);
        taper__random_uniform(b, TAPER_F64, y + 13, n / 2, 0, 1);
        same &= !memcmp(x, y, (size_t)(13 + n / 2) * sizeof *x);
    }
    report(same && taper_generator_initial_seed(b) == 5, "state_round_trip", "numbers differ after set_state");
    bool refused = taper_generator_set_state(a, state, 5055) == TAPER_VALUE && strstr(taper_error_message(), "5055");
    state[8] = 200, state[9] = 0; /* left 200 with a late next would read past the words */
    state[16] = 0x58, state[17] = 2;
    refused &= taper_generator_set_state(a, state, sizeof state) == TAPER_VALUE;
    state[12] = 0;
    refused &= taper_generator_set_state(a, state, sizeof state) == TAPER_VALUE;
    report(refused, "state_refused", "a bad state was taken");
    taper_generator_release(taper_generator_retain(a));
    taper_generator_release(a);
    taper_generator_release(b);
    taper_generator_release(NULL);
}

static void test_seeds(void) {
    float x[40], y[40];
    taper_manual_seed(7);
    taper__random_normal(NULL, TAPER_F32, x, 3, 0, 1);
    taper_manual_seed(7); /* must drop the kept half of a pair */
    taper__random_normal(NULL, TAPER_F32, y, 3, 0, 1);
    bool ok = !memcmp(x, y, 3 * sizeof *x) && taper_generator_initial_seed(NULL) == 7;
    taper_generator *g = taper_generator_default();
    uint64_t a = taper_generator_seed_fresh(g), b = taper_generator_seed_fresh(g);
    ok &= a != b && b < (UINT64_C(1) << 53) && taper_generator_initial_seed(g) == b;
    report(ok, "seeds", "reseeding does not start over");
    int64_t live = taper__alloc_live();
    g = NULL;
    taper__alloc_fail_at(1);
    taper_status st = taper_generator_new(&g, 1);
    taper__alloc_fail_at(0);
    report(st == TAPER_MEMORY && !g && taper__alloc_live() == live, "seeds_oom", "no error when out of memory");
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

/* Pieces drawn one after the other are what one call draws, whatever the cuts; except normals, by their rule. */
static void test_cuts(void) {
    enum { N = 5000 };
    static double whole[N], cut[N];
    bool same = true;
    taper_manual_seed(3);
    taper__random_exponential(NULL, TAPER_F32, whole, N, 1.5);
    taper_manual_seed(3);
    for (int64_t i = 0, m = 1; i < N; i += m, m = m * 2 % 1499) {
        if (m > N - i) m = N - i;
        taper__random_exponential(NULL, TAPER_F32, (float *)cut + i, m, 1.5);
    }
    same &= !memcmp(whole, cut, N * sizeof(float));
    taper_manual_seed(3);
    taper__random_uniform(NULL, TAPER_F64, whole, N, -1, 1);
    taper_manual_seed(3);
    for (int64_t i = 0, m = 1; i < N; i += m, m = m * 2 % 1499) {
        if (m > N - i) m = N - i;
        taper__random_uniform(NULL, TAPER_F64, cut + i, m, -1, 1);
    }
    same &= !memcmp(whole, cut, sizeof whole);
    report(same, "cuts", "numbers depend on how the calls were cut");
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

/* ---- threads ---- */

enum { THREADS = 4, DRAWS = 20000 };
static int64_t thread_draws[THREADS][DRAWS];
static void *thread_main(void *p) {
    for (int i = 0; i < DRAWS; i++) *((int64_t *)p + i) = taper__random_seed_draw(NULL);
    return NULL;
}
static int ascending(const void *a, const void *b) {
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

/* However calls interleave, together they take each number of the stream once. */
static void test_threads(void) {
    static int64_t serial[THREADS * DRAWS];
    pthread_t thread[THREADS];
    taper_manual_seed(8);
    taper__random_all(NULL, TAPER_I64, serial, THREADS * DRAWS);
    taper_manual_seed(8);
    for (int i = 0; i < THREADS; i++) pthread_create(&thread[i], NULL, thread_main, thread_draws[i]);
    for (int i = 0; i < THREADS; i++) pthread_join(thread[i], NULL);
    qsort(serial, THREADS * DRAWS, sizeof *serial, ascending);
    qsort(thread_draws, THREADS * DRAWS, sizeof *serial, ascending);
    report(!memcmp(serial, thread_draws, sizeof serial), "threads", "draws were lost or doubled");
}

/* ---- do they look random ---- */

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

int main(int argc, char **argv) {
    test_golden(argc > 2 ? argv[2] : "tests/golden/rng_cpu_mkl.json", "mkl", 24);
    test_golden(argc > 1 ? argv[1] : "tests/golden/rng_cpu.json", "plain", 152);
    test_congruential();
    test_state_layout();
    test_state_round_trip();
    test_seeds();
    test_cuts();
    test_exponential_exact();
    test_levels("base", &taper__random_kernels_base, &taper__mt_kernels_base);
#if defined(__x86_64__)
    if (taper__isa() >= TAPER_ISA_V3) test_levels("v3", &taper__random_kernels_v3, &taper__mt_kernels_v3);
    if (taper__isa() >= TAPER_ISA_V4) test_levels("v4", &taper__random_kernels_v4, &taper__mt_kernels_v4);
#endif
    test_threads();
    test_moments();
    test_integers();
    test_multinomial_errors();
    test_philox();
    return failures != 0;
}
