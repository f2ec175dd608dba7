/* Matrix multiplication against a naive loop in double, at every instruction-set level. */
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <taper/threads.h>

#include "ops/gemm.h"

static int failures, cases;
static const char *level;

static uint64_t random_state = 88172645463325252u;
static uint32_t random_u32(void) {
    random_state ^= random_state << 13, random_state ^= random_state >> 7, random_state ^= random_state << 17;
    return (uint32_t)(random_state >> 32);
}
static double random_unit(void) { return (double)random_u32() / 2147483648.0 - 1; }
static int random_below(int n) { return (int)(random_u32() % (uint32_t)n); }

static void report(const char *name, bool good, const char *why) {
    if (good)
        printf("ok %s[%s]\n", name, level);
    else
        printf("not ok %s[%s]: %s\n", name, level, why);
    failures += !good;
}

/* ---- operands of any element type ---- */

typedef enum kind { KIND_F32, KIND_F64, KIND_BF16 } kind;
static size_t kind_size(kind k) { return k == KIND_F32 ? 4 : k == KIND_F64 ? 8 : 2; }

static double element(kind k, const void *p, int64_t i) {
    if (k == KIND_F64) return ((const double *)p)[i];
    if (k == KIND_F32) return ((const float *)p)[i];
    uint32_t bits = (uint32_t)((const uint16_t *)p)[i] << 16;
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

static void set_element(kind k, void *p, int64_t i, double value) {
    float x = (float)value;
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    if (k == KIND_F64)
        ((double *)p)[i] = value;
    else if (k == KIND_F32)
        ((float *)p)[i] = x;
    else
        ((uint16_t *)p)[i] = (uint16_t)(bits >> 16);
}

static void *random_block(kind k, int64_t n) {
    void *p = malloc((size_t)n * kind_size(k) + 1);
    for (int64_t i = 0; i < n; i++) set_element(k, p, i, random_unit());
    return p;
}

/* ---- one case ---- */

typedef struct test_case {
    int64_t m, n, k, batch[2];
    double alpha, beta;
    int a_layout, b_layout; /* 0 rows, 1 transposed, 2 both strides above 1, 3 rows backwards */
    bool bias, nan_in_c;
    taper_gemm_act act;
    kind type, a_kind, b_kind;
} test_case;

/* Strides of a (rows, cols) matrix, its extent in elements and where element (0, 0) is. */
static int64_t lay(int layout, int64_t rows, int64_t cols, int64_t *row, int64_t *col, int64_t *start) {
    int64_t pad = random_below(4), r = rows ? rows : 1, c = cols ? cols : 1;
    *start = 0;
    if (layout == 1) return *row = 1, *col = r + pad, c * *col;
    if (layout == 2) return *col = 2, *row = 2 * c + pad, r * *row;
    *col = 1, *row = c + pad;
    if (layout == 3) *start = (r - 1) * *row, *row = -*row;
    return r * (c + pad);
}

static taper_status run(kind type, const taper_gemm *g) { return type == KIND_F64 ? taper__dgemm(g) : taper__sgemm(g); }

/* Empty when right, else what is wrong. */
static const char *check(const test_case *t) {
    static char why[256];
    why[0] = 0;
    taper_gemm g = {.m = t->m, .n = t->n, .k = t->k, .alpha = t->alpha, .beta = t->beta, .act = t->act};
    int64_t a_start, b_start, items = t->batch[0] * t->batch[1];
    int64_t a_extent = lay(t->a_layout, t->m, t->k, &g.a_row, &g.a_col, &a_start);
    int64_t b_extent = lay(t->b_layout, t->k, t->n, &g.b_row, &g.b_col, &b_start);
    g.c_row = t->n + random_below(3);
    int64_t c_extent = t->m * g.c_row + 1;
    for (int i = 0; i < 2; i++) {
        int64_t below = i ? 1 : t->batch[1];
        g.batch[i] = t->batch[i];
        g.a_batch[i] = below * a_extent;
        g.b_batch[i] = i == 0 ? 0 : b_extent; /* B repeats over the outer batch */
        g.c_batch[i] = below * c_extent;
    }
    void *a = random_block(t->a_kind, a_extent * items), *b = random_block(t->b_kind, b_extent * items);
    void *bias = random_block(t->type, t->n), *before = random_block(t->type, c_extent * items);
    size_t c_bytes = (size_t)(c_extent * items) * kind_size(t->type);
    if (t->nan_in_c)
        for (int64_t i = 0; i < c_extent * items; i++) set_element(t->type, before, i, NAN);
    void *c[3];
    for (int threads = 1; threads <= 3; threads++) {
        void *to = c[threads - 1] = malloc(c_bytes + 1);
        memcpy(to, before, c_bytes);
        g.a = (char *)a + (size_t)a_start * kind_size(t->a_kind);
        g.b = (char *)b + (size_t)b_start * kind_size(t->b_kind);
        g.c = to;
        g.bias = t->bias ? bias : NULL;
        g.a_type = t->a_kind == KIND_BF16 ? TAPER_GEMM_BF16 : TAPER_GEMM_NATIVE;
        g.b_type = t->b_kind == KIND_BF16 ? TAPER_GEMM_BF16 : TAPER_GEMM_NATIVE;
        taper_set_num_threads(threads);
        if (run(t->type, &g)) snprintf(why, sizeof why, "status: %s", taper_error_message());
        if (memcmp(to, c[0], c_bytes)) snprintf(why, sizeof why, "%d threads give other bits", threads);
    }
    double epsilon = t->type == KIND_F64 ? 1e-15 : 6e-7;
    for (int64_t o = 0; o < items && !why[0]; o++) {
        int64_t at_a = a_start + o * g.a_batch[1], at_b = b_start + o % t->batch[1] * g.b_batch[1], at_c = o * c_extent;
        for (int64_t i = 0; i < t->m; i++)
            for (int64_t j = 0; j < g.c_row; j++) {
                double got = element(t->type, c[0], at_c + i * g.c_row + j), want = 0, size = 1;
                double old = element(t->type, before, at_c + i * g.c_row + j);
                if (j >= t->n) { /* between the rows: not ours */
                    if (got != old && !(isnan(got) && isnan(old))) snprintf(why, sizeof why, "wrote outside C");
                    continue;
                }
                for (int64_t p = 0; p < t->k && t->alpha != 0; p++) {
                    double x = element(t->a_kind, a, at_a + i * g.a_row + p * g.a_col) *
                               element(t->b_kind, b, at_b + p * g.b_row + j * g.b_col);
                    want += x, size += fabs(x);
                }
                want *= t->alpha;
                if (t->beta != 0) want += t->beta * old;
                if (t->bias) want += element(t->type, bias, j);
                if (t->act == TAPER_GEMM_RELU && want < 0) want = 0;
                if (!(fabs(got - want) <= epsilon * size * 4) && !(isnan(got) && isnan(want)))
                    snprintf(why, sizeof why, "C[%d, %d] is %.9g, need %.9g", (int)i, (int)j, got, want);
            }
    }
    if (why[0]) {
        size_t used = strlen(why);
        snprintf(why + used, sizeof why - used,
                 " (m %d n %d k %d batch %dx%d alpha %g beta %g layouts %d %d kinds %d %d %d)", (int)t->m, (int)t->n,
                 (int)t->k, (int)t->batch[0], (int)t->batch[1], t->alpha, t->beta, t->a_layout, t->b_layout, t->type,
                 t->a_kind, t->b_kind);
    }
    for (int i = 0; i < 3; i++) free(c[i]);
    free(a), free(b), free(bias), free(before);
    cases++;
    return why;
}

static const test_case plain = {.m = 1, .n = 1, .k = 1, .batch = {1, 1}, .alpha = 1};

static void test_list(const char *name, int count, test_case (*make)(int i)) {
    for (int i = 0; i < count; i++) {
        test_case t = make(i);
        const char *why = check(&t);
        if (why[0]) {
            report(name, false, why);
            return;
        }
    }
    report(name, true, "");
}

static test_case make_edge(int i) {
    static const int sides[] = {0, 1, 2, 3, 5, 6, 7, 8, 13, 14, 15, 16, 17, 29, 31, 32, 33, 48, 63, 65};
    test_case t = plain;
    t.m = sides[i % 20], t.n = sides[i / 20 % 20], t.k = sides[random_below(20)];
    t.a_layout = random_below(4), t.b_layout = random_below(4);
    t.type = t.a_kind = t.b_kind = random_below(3) ? KIND_F32 : KIND_F64;
    t.bias = random_below(2), t.act = (taper_gemm_act)random_below(2);
    t.beta = random_below(3) * 0.5, t.alpha = random_below(3) ? 1 : random_below(2) * -1.5;
    return t;
}

static test_case make_any(int i) {
    test_case t = make_edge(random_below(400));
    int most = i % 8 ? 100 : 400;
    t.m = 1 + random_below(most), t.n = 1 + random_below(most), t.k = 1 + random_below(i % 8 == 1 ? 1500 : most);
    return t;
}

static test_case make_vector(int i) {
    test_case t = make_any(1);
    *(i % 2 ? &t.m : &t.n) = 1 + i / 2 % 4;
    *(i % 2 ? &t.n : &t.m) = 1 + random_below(3000);
    t.k = 1 + random_below(300);
    if (i % 5 == 4) t.batch[0] = 1 + random_below(4), t.batch[1] = 1 + random_below(4);
    return t;
}

static test_case make_batch(int i) {
    test_case t = make_any(1);
    t.m = 1 + random_below(40), t.n = 1 + random_below(70), t.k = random_below(50);
    t.batch[0] = i % 5, t.batch[1] = 1 + random_below(9);
    return t;
}

static test_case make_bf16(int i) {
    test_case t = make_any(i);
    t.type = KIND_F32;
    t.a_kind = i % 3 ? KIND_BF16 : KIND_F32, t.b_kind = i % 3 != 1 ? KIND_BF16 : KIND_F32;
    return t;
}

static test_case make_nan(int i) {
    test_case t = i % 2 ? make_any(i) : make_batch(1 + i);
    t.beta = 0, t.nan_in_c = true;
    return t;
}

static test_case make_large(int i) {
    static const int shapes[][3] = {{64, 128, 784},  {128, 784, 64},   {64, 10, 128},
                                    {517, 300, 700}, {129, 4200, 130}, {4200, 129, 140}};
    test_case t = plain;
    t.m = shapes[i % 6][0], t.n = shapes[i % 6][1], t.k = shapes[i % 6][2];
    t.a_layout = i / 6 % 2, t.b_layout = i / 12 % 2, t.bias = true, t.act = TAPER_GEMM_RELU, t.beta = 0.5;
    t.type = t.a_kind = t.b_kind = i < 24 ? KIND_F32 : KIND_F64;
    return t;
}

static void test_relu_keeps_nan(void) {
    float a[4] = {1, -1, NAN, 0}, b[20] = {0}, c[80];
    for (int j = 0; j < 20; j++) b[j] = 1;
    taper_gemm g = {.m = 4,
                    .n = 20,
                    .k = 1,
                    .batch = {1, 1},
                    .alpha = 1,
                    .a = a,
                    .a_row = 1,
                    .a_col = 1,
                    .b = b,
                    .b_row = 20,
                    .b_col = 1,
                    .c = c,
                    .c_row = 20,
                    .act = TAPER_GEMM_RELU};
    bool good = !taper__sgemm(&g);
    for (int j = 0; j < 20; j++) good &= c[j] == 1 && c[20 + j] == 0 && isnan(c[40 + j]) && c[60 + j] == 0;
    report("gemm_relu_keeps_nan", good, "wrong value");
}

static void test_out_of_memory(void) {
    enum { SIDE = 200 };
    float *a = random_block(KIND_F32, SIDE * SIDE), *c = random_block(KIND_F32, SIDE * SIDE), first = c[0];
    taper_gemm g = {.m = SIDE,
                    .n = SIDE,
                    .k = SIDE,
                    .batch = {1, 1},
                    .alpha = 1,
                    .a = a,
                    .a_row = SIDE,
                    .a_col = 1,
                    .b = a,
                    .b_row = 1,
                    .b_col = SIDE,
                    .c = c,
                    .c_row = SIDE};
    taper__alloc_fail_at(1);
    bool good = taper__sgemm(&g) == TAPER_MEMORY && c[0] == first;
    good &= !taper__sgemm(&g) && c[0] != first;
    report("gemm_out_of_memory", good, "not reported, or C was touched");
    free(a), free(c);
}

/* Programs may call from threads of their own; each call needs its own packing space. */
enum { CALLER_SIDE = 150 };
static float *caller_a, *caller_want;

static void *caller(void *ctx) {
    float *c = malloc(CALLER_SIDE * CALLER_SIDE * sizeof *c);
    intptr_t bad = 0;
    taper_gemm g = {.m = CALLER_SIDE,
                    .n = CALLER_SIDE,
                    .k = CALLER_SIDE,
                    .batch = {1, 1},
                    .alpha = 1,
                    .a = caller_a,
                    .a_row = CALLER_SIDE,
                    .a_col = 1,
                    .b = caller_a,
                    .b_row = 1,
                    .b_col = CALLER_SIDE,
                    .c = c,
                    .c_row = CALLER_SIDE};
    for (int i = 0; i < *(int *)ctx; i++) {
        bad += taper__sgemm(&g) != TAPER_OK;
        if (caller_want)
            bad += memcmp(c, caller_want, CALLER_SIDE * CALLER_SIDE * sizeof *c) != 0;
        else
            caller_want = c, c = NULL;
    }
    free(c);
    return (void *)bad;
}

static void test_callers_at_once(void) {
    int once = 1, rounds = 50;
    pthread_t ids[4];
    caller_a = random_block(KIND_F32, CALLER_SIDE * CALLER_SIDE);
    bool good = !caller(&once);
    taper_set_num_threads(2);
    for (int i = 0; i < 4; i++) pthread_create(&ids[i], NULL, caller, &rounds);
    for (int i = 0; i < 4; i++) {
        void *bad;
        pthread_join(ids[i], &bad);
        good &= !bad;
    }
    report("gemm_callers_at_once", good, "wrong or other bits");
    free(caller_a), free(caller_want);
}

/* Infinities, NaN and numbers near both ends of the range, far from each other, in products of every size. */
static void test_special_numbers(void) {
    static const float numbers[] = {INFINITY, -INFINITY, NAN, 3.4e38f, -3.39e38f, 1e-38f, 1e-44f, 0.0f, 1e-30f};
    enum { M = 130, N = 170, K = 600 };
    float *a = malloc(sizeof(float[M * K])), *b = malloc(sizeof(float[K * N])), *c[2];
    for (int i = 0; i < 2; i++) c[i] = malloc(sizeof(float[M * N]));
    const char *why = NULL;
    for (int round = 0; round < 12 && !why; round++) {
        float scale = round < 9 ? 1 : 1e-31f; /* at last all of A is tiny and all of B is large */
        for (int i = 0; i < M * K; i++) a[i] = (float)random_unit() * scale;
        for (int i = 0; i < K * N; i++) b[i] = (float)random_unit() / scale;
        for (int i = 0; i < 3 && round < 9; i++) {
            a[random_below(M * K)] = numbers[round];
            b[random_below(K * N)] = numbers[round];
        }
        bool turned = round % 2;
        taper_gemm g = {.m = M, .n = N, .k = K, .batch = {1, 1}, .alpha = 1, .a = a, .b = b, .c_row = N};
        g.a_row = turned ? 1 : K, g.a_col = turned ? M : 1;
        g.b_row = turned ? 1 : N, g.b_col = turned ? K : 1;
        for (int i = 0; i < 2; i++) {
            g.c = c[i];
            taper_set_num_threads(i + 1);
            if (taper__sgemm(&g)) why = taper_error_message();
        }
        if (memcmp(c[0], c[1], sizeof(float[M * N]))) why = "2 threads give other bits";
        for (int i = 0; i < M * N && !why; i++) {
            double sum = 0, size = 0;
            for (int p = 0; p < K; p++) {
                double x = (double)a[i / N * g.a_row + p * g.a_col] * b[p * g.b_row + i % N * g.b_col];
                sum += x, size += fabs(x);
            }
            double got = c[0][i];
            if (isnan(sum) ? !isnan(got) : isinf(sum) ? got != sum : size < 3e38 && fabs(got - sum) > 6e-7 * size + 1e-38)
                why = "wrong near the ends of the range";
        }
    }
    report("gemm_special_numbers", !why, why);
    free(a), free(b), free(c[0]), free(c[1]);
}

static int run_level(const char *name) {
    level = name;
    test_list("gemm_edges", 400, make_edge);
    test_list("gemm_any", 200, make_any);
    test_list("gemm_vector", 80, make_vector);
    test_list("gemm_batch", 80, make_batch);
    test_list("gemm_bf16", 60, make_bf16);
    test_list("gemm_beta_0_ignores_c", 40, make_nan);
    test_list("gemm_large", 48, make_large);
    test_relu_keeps_nan();
    test_special_numbers();
    test_out_of_memory();
    test_callers_at_once();
    printf("# %d cases, %s\n", cases, taper__isa_name(taper__isa()));
    return failures != 0;
}

int main(int argc, char **argv) {
    if (argc > 1) return run_level(argv[1]);
    /* The level is fixed at first use, so each has its own process. */
    static char *levels[] = {"base", "v3", "v4", "best"}; /* best: with matrix tiles, where v4 has none */
    int bad = 0;
    for (int i = 0; i < 4; i++) {
        fflush(stdout);
        pid_t child = fork();
        if (!child) {
            setenv("TAPER_ISA", levels[i], 1);
            execl("/proc/self/exe", argv[0], levels[i], (char *)NULL);
            _exit(127);
        }
        int status = -1;
        waitpid(child, &status, 0);
        bad += status != 0;
    }
    return bad != 0;
}
