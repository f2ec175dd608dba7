/* Thread pool: coverage of the ranges, nesting, callers at once, fork, cost. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <taper/threads.h>

#include "base/base.h"

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer) || __has_feature(address_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

#if SANITIZED
/* A child that makes its own threads is just what the fork tests are about. */
__attribute__((visibility("default"))) const char *__tsan_default_options(void);
const char *__tsan_default_options(void) { return "die_after_fork=0"; }
#endif

static int failures;
#define CHECK(name, condition)                                                                                         \
    do {                                                                                                               \
        if (condition)                                                                                                 \
            printf("ok %s\n", name);                                                                                   \
        else {                                                                                                         \
            printf("not ok %s: %s (line %d)\n", name, #condition, __LINE__);                                           \
            failures++;                                                                                                \
        }                                                                                                              \
    } while (0)

typedef struct cover {
    int64_t n, grain;
    int *hits; /* [n], not atomic on purpose: ranges must not overlap and their end must be visible to the caller */
    _Atomic int short_ranges, nested_bad;
} cover;

static void cover_range(void *ctx, int64_t begin, int64_t end) {
    cover *c = ctx;
    if (end - begin < c->grain && c->n >= c->grain) atomic_fetch_add(&c->short_ranges, 1);
    for (int64_t i = begin; i < end; i++) c->hits[i]++;
}

static bool cover_run(int64_t n, int64_t grain) {
    cover c = {.n = n, .grain = grain, .hits = calloc((size_t)n + 1, sizeof(int))};
    taper__parallel_for(n, grain, cover_range, &c);
    bool good = !c.short_ranges;
    for (int64_t i = 0; i < n; i++) good &= c.hits[i] == 1;
    free(c.hits);
    return good;
}

static void nested_range(void *ctx, int64_t begin, int64_t end) {
    cover *c = ctx;
    for (int64_t i = begin; i < end; i++)
        if (!cover_run(100, 3)) atomic_fetch_add(&c->nested_bad, 1);
}

static void *caller(void *ctx) {
    intptr_t bad = 0;
    for (int i = 0; i < *(int *)ctx; i++) bad += !cover_run(64 + i % 97, 1 + i % 5);
    return (void *)bad;
}

static void test_callers_at_once(void) {
    pthread_t ids[4];
    int rounds = 2000;
    intptr_t bad = 0;
    for (int i = 0; i < 4; i++) pthread_create(&ids[i], NULL, caller, &rounds);
    for (int i = 0; i < 4; i++) {
        void *result;
        pthread_join(ids[i], &result);
        bad += (intptr_t)result;
    }
    CHECK("pool_callers_at_once", bad == 0);
}

static bool in_child(bool (*check)(void)) {
    fflush(stdout);
    pid_t child = fork();
    if (!child) _exit(check() ? 0 : 1);
    int status = -1;
    waitpid(child, &status, 0);
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static bool child_covers(void) { return cover_run(10000, 1); }
static bool child_forks(void) { return cover_run(10000, 1) && in_child(child_covers); }

static void *fork_while_busy(void *ctx) {
    intptr_t bad = 0;
    for (int i = 0; i < *(int *)ctx; i++) bad += !in_child(child_covers);
    return (void *)bad;
}

static void test_fork(void) {
    cover_run(1000, 1);
    CHECK("pool_fork", in_child(child_covers));
    CHECK("pool_fork_twice", in_child(child_forks));
    CHECK("pool_parent_after_fork", cover_run(1000, 1));
    if (SANITIZED) return; /* fork beside running threads is more than the sanitizers support */
    pthread_t id;
    int rounds = 50, calls = 20000;
    void *bad;
    pthread_create(&id, NULL, fork_while_busy, &rounds);
    caller(&calls);
    pthread_join(id, &bad);
    CHECK("pool_fork_while_busy", !bad);
}

static void empty_range(void *ctx, int64_t begin, int64_t end) { (void)ctx, (void)begin, (void)end; }

static double now_us(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec * 1e-3;
}

/* Best mean of a few batches, in microseconds. */
static double cost(int64_t n) {
    double best = 1e9;
    for (int batch = 0; batch < 20; batch++) {
        double start = now_us();
        for (int i = 0; i < 500; i++) taper__parallel_for(n, 1, empty_range, NULL);
        double took = (now_us() - start) / 500;
        if (took < best) best = took;
    }
    return best;
}

int main(void) {
    CHECK("pool_default_size", taper_num_threads() >= 1);
    taper__parallel_for(-3, 1, cover_range, NULL); /* would crash if it called */
    CHECK("pool_size_refused", taper_set_num_threads(0) == TAPER_VALUE && strstr(taper_error_message(), "0"));
    for (int threads = 1; threads <= 5; threads++) {
        taper_set_num_threads(threads);
        bool good = taper_num_threads() == threads;
        for (int64_t n = 0; n < 200; n++)
            for (int64_t grain = 0; grain < 12; grain++) good &= cover_run(n, grain);
        good &= cover_run(1 << 20, 1000);
        char name[64];
        snprintf(name, sizeof name, "pool_covers[%d]", threads);
        CHECK(name, good);
        cover nested = {0};
        taper__parallel_for(64, 1, nested_range, &nested);
        CHECK("pool_nested", !nested.nested_bad);
    }
    taper_set_num_threads(2);
    test_callers_at_once();
    test_fork();
    bool good = true;
    for (int i = 0; i < 20; i++) {
        usleep(2000); /* workers fall asleep */
        good &= cover_run(1000, 1);
    }
    CHECK("pool_wakes", good);
    double inline_us = cost(1), fork_join_us = cost(2);
    printf("# inline %.4f us, fork and join %.3f us\n", inline_us, fork_join_us);
    if (!SANITIZED) CHECK("pool_inline_cheap", inline_us < 0.1);
    return failures != 0;
}
