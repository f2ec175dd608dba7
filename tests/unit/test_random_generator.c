/* Generators of random numbers: saved states and their layout, seeds, cuts of a stream, threads. */
#include <pthread.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"
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

/* "n3" three normals, "u15" fifteen uniforms, "i4" four integers. */
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

int main(void) {
    test_state_layout();
    test_state_round_trip();
    test_seeds();
    test_cuts();
    test_threads();
    return failures != 0;
}
