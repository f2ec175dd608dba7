/* The CPU's caching allocator: reuse, alignment, other threads, failing on demand, statistics, fork, and its price. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "device/device.h"

static int failed;

#define CHECK(name, condition)                                                                                         \
    do {                                                                                                               \
        if (condition)                                                                                                 \
            printf("ok %s\n", name);                                                                                   \
        else                                                                                                           \
            failed = 1, printf("not ok %s: %s is false (line %d)\n", name, #condition, __LINE__);                      \
    } while (0)

#if defined(__SANITIZE_ADDRESS__)
#define CACHED 0
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define CACHED 0
#endif
#endif
#ifndef CACHED
#define CACHED 1
#endif

/* Children of the fork test leave without joining. */
__attribute__((visibility("default"))) const char *__tsan_default_options(void);
const char *__tsan_default_options(void) { return "die_after_fork=0:report_thread_leaks=0"; }

static taper_memory_stats stats(void) {
    taper_memory_stats s;
    taper_memory_get_stats(&s, taper_cpu());
    return s;
}

static void sizes(void) {
    static const size_t list[] = {0,    1,    63,    64,     65,      1000,          4095,    4096,
                                  4097, 5000, 65536, 100001, 1 << 20, (1 << 21) - 1, 1 << 21, 5000001};
    enum { N = sizeof list / sizeof list[0] };
    bool aligned = true, kept = true;
    void *p[N];
    int64_t before = taper__alloc_live();
    for (int i = 0; i < N; i++) {
        p[i] = taper__cpu_alloc(list[i]);
        aligned &= p[i] && (uintptr_t)p[i] % 64 == 0;
        memset(p[i], i + 1, list[i]);
    }
    CHECK("cpu_memory_live_blocks_are_counted", taper__alloc_live() == before + N);
    for (int i = 0; i < N; i++)
        for (size_t k = 0; k < list[i]; k++) kept &= ((unsigned char *)p[i])[k] == i + 1;
    CHECK("cpu_memory_alignment_64", aligned);
    CHECK("cpu_memory_blocks_do_not_overlap", kept);
    for (int i = 0; i < N; i++) taper__cpu_free(p[i], list[i]);
    CHECK("cpu_memory_frees_are_counted", taper__alloc_live() == before);
}

static void reuse(void) {
    if (!CACHED) return;
    void *a = taper__cpu_alloc(100);
    taper__cpu_free(a, 100);
    void *b = taper__cpu_alloc(128); /* the same class */
    CHECK("cpu_memory_small_block_is_reused", a == b);
    taper__cpu_free(b, 128);
    size_t big = (size_t)9 << 20;
    void *c = taper__cpu_alloc(big);
    memset(c, 7, big);
    taper__cpu_free(c, big);
    void *d = taper__cpu_alloc(big);
    CHECK("cpu_memory_large_block_is_reused_with_its_pages", c == d && ((char *)d)[big - 1] == 7);
    taper__cpu_free(d, big);
    size_t reserved = stats().reserved;
    taper_memory_release_cached(taper_cpu());
    CHECK("cpu_memory_release_cached_gives_back", stats().reserved + big <= reserved);
}

static void statistics(void) {
    taper_memory_reset_peak(taper_cpu());
    taper_memory_stats s0 = stats();
    void *a = taper__cpu_alloc(1 << 20), *b = taper__cpu_alloc(3 << 20), *c = taper__cpu_alloc(64);
    taper_memory_stats s1 = stats();
    taper__cpu_free(b, 3 << 20);
    taper_memory_stats s2 = stats();
    taper__cpu_free(a, 1 << 20);
    taper__cpu_free(c, 64);
    taper_memory_stats s3 = stats();
    CHECK("cpu_memory_stats_allocated", s1.allocated == s0.allocated + (4 << 20) + 64 && s3.allocated == s0.allocated);
    CHECK("cpu_memory_stats_peak", s2.peak_allocated >= s1.allocated && s2.allocated + (3 << 20) == s1.allocated);
    CHECK("cpu_memory_stats_blocks",
          s1.live_blocks == s0.live_blocks + 3 && s3.total_allocations == s0.total_allocations + 3);
    taper_memory_reset_peak(taper_cpu());
    CHECK("cpu_memory_stats_reset_peak", stats().peak_allocated == stats().allocated);
}

static void failing(void) {
    static const size_t list[] = {8, 100000, 4 << 20};
    for (int i = 0; i < 3; i++) {
        void *p = (void *)1;
        taper__alloc_fail_at(1);
        taper_status st = taper__memory_alloc(&p, list[i], taper_cpu(), "matmul");
        taper__alloc_fail_at(0);
        CHECK("cpu_memory_fail_at_is_honoured", st == TAPER_MEMORY && p == (void *)1);
    }
    CHECK("cpu_memory_message_names_operator",
          strstr(taper_error_message(),
                 "matmul: DefaultCPUAllocator: can't allocate memory: you tried to allocate 4194304 bytes"));
    void *p;
    CHECK("cpu_memory_impossible_size", taper__memory_alloc(&p, (size_t)1 << 60, taper_cpu(), "empty") == TAPER_MEMORY);
    CHECK("cpu_memory_impossible_size_max", taper__memory_alloc(&p, SIZE_MAX, taper_cpu(), "empty") == TAPER_MEMORY);
}

/* Blocks made by one thread and freed by another, then both threads end. */
enum { CROSS = 20000 };
static void *cross_made[CROSS];
static size_t cross_size(int i) { return i % 97 ? (size_t)(i * 37 % 4000) : (size_t)(5000 + i); }
static void *cross_make(void *unused) {
    (void)unused;
    for (int i = 0; i < CROSS; i++) {
        cross_made[i] = taper__cpu_alloc(cross_size(i));
        memset(cross_made[i], i, cross_size(i));
    }
    return NULL;
}
static void *cross_free(void *bad) {
    for (int i = 0; i < CROSS; i++) {
        size_t n = cross_size(i);
        if (n && ((unsigned char *)cross_made[i])[n - 1] != (unsigned char)i) *(bool *)bad = true;
        taper__cpu_free(cross_made[i], n);
    }
    return NULL;
}

static void threads(void) {
    int64_t before = taper__alloc_live();
    size_t reserved = 0;
    bool bad = false;
    for (int round = 0; round < 5; round++) {
        pthread_t a, b;
        pthread_create(&a, NULL, cross_make, NULL);
        pthread_join(a, NULL);
        pthread_create(&b, NULL, cross_free, &bad);
        pthread_join(b, NULL);
        if (round == 0) reserved = stats().reserved;
    }
    CHECK("cpu_memory_blocks_cross_threads", !bad && taper__alloc_live() == before);
    CHECK("cpu_memory_ended_threads_give_their_blocks_back", stats().reserved <= reserved + (2 << 20));
}

static void *churn(void *seed) {
    enum { N = 256 };
    void *p[N] = {0};
    size_t n[N] = {0};
    unsigned x = (unsigned)(uintptr_t)seed * 2654435761u + 1;
    for (int i = 0; i < 60000; i++) {
        x = x * 1664525u + 1013904223u;
        int k = (int)(x >> 24) % N;
        if (p[k]) taper__cpu_free(p[k], n[k]);
        n[k] = x >> 8 & 31 ? (x >> 13) % 3000 : (x >> 10) % 300000;
        p[k] = taper__cpu_alloc(n[k]);
        if (n[k]) *(char *)p[k] = 1, ((char *)p[k])[n[k] - 1] = 1;
    }
    for (int k = 0; k < N; k++) taper__cpu_free(p[k], n[k]);
    return NULL;
}

static void concurrent(void) {
    int64_t before = taper__alloc_live();
    pthread_t t[4];
    for (int i = 0; i < 4; i++) pthread_create(&t[i], NULL, churn, (void *)(uintptr_t)i);
    /* A child made while others hold the lock must be able to allocate. */
    bool child_ok = true;
    for (int i = 0; i < 5; i++) {
        pid_t pid = fork();
        if (!pid) {
            alarm(20);
            churn((void *)(uintptr_t)9);
            _exit(0);
        }
        int status = 1;
        waitpid(pid, &status, 0);
        child_ok &= status == 0;
    }
    for (int i = 0; i < 4; i++) pthread_join(t[i], NULL);
    CHECK("cpu_memory_concurrent_churn", taper__alloc_live() == before);
    CHECK("cpu_memory_fork_while_others_allocate", child_ok);
}

static double seconds(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void price(void) {
    enum { N = 2000000 };
    for (int big = 0; big < 2; big++) {
        size_t n = big ? (size_t)1 << 20 : 256;
        double best = 1;
        for (int r = 0; r < 5; r++) {
            double t = seconds();
            for (int i = 0; i < N / 4; i++) taper__cpu_free(taper__cpu_alloc(n), n);
            t = (seconds() - t) / (N / 4);
            if (t < best) best = t;
        }
        printf("# alloc + free of %zu bytes: %.1f ns\n", n, best * 1e9);
    }
}

static void words(void) {
    static const struct {
        const char *text;
        int type, index;
    } good[] = {{"cpu", TAPER_CPU, 0},     {"cpu:0", TAPER_CPU, 0},     {"cuda", TAPER_CUDA, -1},
                {"cuda:0", TAPER_CUDA, 0}, {"cuda:11", TAPER_CUDA, 11}, {"meta", TAPER_META, 0}};
    static const char *const bad[] = {"",        "gpu",      "cuda:", "cuda:x", "cuda:-1", "cuda:1x",
                                      "cuda:01", "cuda:999", "cpu:1", "cud",    "cudaa"};
    bool right = true, wrong = true;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        taper_device d = {9, 9};
        right &= taper_device_parse(&d, good[i].text) == TAPER_OK && d.type == good[i].type && d.index == good[i].index;
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        taper_device d = {9, 9};
        wrong &= taper_device_parse(&d, bad[i]) == TAPER_RUNTIME && d.type == 9;
    }
    CHECK("device_parse_accepts", right);
    CHECK("device_parse_refuses", wrong);
    CHECK("device_text", !strcmp(taper__device_text(taper_cuda(3)).s, "cuda:3") &&
                             !strcmp(taper__device_text(taper_cpu()).s, "cpu") &&
                             !strcmp(taper__device_text(taper_cuda(-1)).s, "cuda"));
    CHECK("cpu_count", taper__cpu_count() >= 1 && taper__cpu_count() <= sysconf(_SC_NPROCESSORS_CONF));
}

int main(void) {
    sizes();
    reuse();
    statistics();
    failing();
    threads();
    concurrent();
    words();
    if (CACHED) price();
    return failed;
}
