/* The GPU layer against a fake driver (tests/cuda/fake_driver.c): no GPU is needed. Each scenario is a process of its
 * own, since the driver is loaded once: the program starts itself with the scenario's name and environment. The fake is
 * taken from TAPER_FAKE_DRIVER, from "fake" beside this program, or built on the spot with cc. */
#include <dlfcn.h>
#include <libgen.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "device/cuda/blas.h"
#include "device/cuda/dnn.h"
#include "device/cuda/gpu.h"
#include "device/cuda/nvrtc.h"

static int failed;
#define CHECK(name, condition)                                                                                         \
    do {                                                                                                               \
        if (condition)                                                                                                 \
            printf("ok cuda_%s\n", name);                                                                              \
        else                                                                                                           \
            failed = 1,                                                                                                \
            printf("not ok cuda_%s: %s is false (line %d): %s\n", name, #condition, __LINE__, taper_error_message());  \
    } while (0)
#define SAYS(text) (strstr(taper_error_message(), text) != NULL)
#define MIB ((size_t)1 << 20)

/* The fake's own state, found in the library that the layer loaded. */
typedef struct fake_state {
    int hold, fail_next, launches, loads, peers, synchronizations, context_sets;
    struct {
        char name[64];
        unsigned grid[3], block[3], shared, cluster;
        void *stream;
        uint64_t first_argument;
    } last;
    int limit_raised;
    size_t used[16];
    int live_handles, live_events, live_graphs, pinned_blocks;
} fake_state;
static fake_state *fake;

static void find_fake(void) {
    char path[600];
    snprintf(path, sizeof path, "%.500s/libcuda.so.1", getenv("TAPER_LIBRARY_PATH"));
    void *library = dlopen(path, RTLD_NOW | RTLD_NOLOAD);
    fake_state *(*get)(void) = NULL;
    void *symbol = library ? dlsym(library, "fake_cuda_state") : NULL;
    memcpy(&get, &symbol, sizeof get);
    if (get) fake = get();
    if (!fake) {
        printf("not ok cuda_fake_driver: the layer did not load the fake driver\n");
        exit(1);
    }
}

static char *alloc(size_t bytes, const char *tag) {
    void *p = NULL;
    return taper__memory_alloc(&p, bytes, taper_cuda(0), tag) ? NULL : p;
}
static void release(void *p) { taper__memory_free(p, 0, taper_cuda(0)); }
static taper_memory_stats stats(void) {
    taper_memory_stats s = {0};
    taper_memory_get_stats(&s, taper_cuda(0));
    return s;
}

/* ---- memory ---- */

static void memory_reuse(void) {
    char *a = alloc(1000, "a");
    CHECK("memory_alignment_512", a && (uintptr_t)a % 512 == 0);
    memset(a, 1, 1000);
    release(a);
    CHECK("memory_small_block_is_reused", alloc(900, "b") == a);
    release(a);
    a = alloc(0, "empty");
    CHECK("memory_zero_bytes_give_a_block", a != NULL);
    release(a);
    char *x = alloc(8 * MIB, "x"), *y = alloc(8 * MIB, "y"), *z = alloc(8 * MIB, "z");
    CHECK("memory_split_is_contiguous", y == x + 8 * MIB && z == y + 8 * MIB);
    release(x);
    release(y);
    char *w = alloc(16 * MIB, "w");
    CHECK("memory_neighbours_merge", w == x);
    release(w);
    char *v = alloc(5 * MIB, "v");
    release(z);
    CHECK("memory_best_fit_is_cut", v == z + 8 * MIB); /* the piece of 8, not the one of 16 */
    release(v);
    size_t reserved = stats().reserved;
    v = alloc(40 * MIB, "grown");
    CHECK("memory_growth_extends_the_free_tail", v == x && stats().reserved == reserved + 32 * MIB);
    memset(v, 3, 40 * MIB);
    release(v);
}

static void memory_exhaustion(void) {
    char *a = alloc(100 * MIB, "conv2d"), *b = alloc(60 * MIB, "linear"), *c = alloc(20 * MIB, "conv2d"),
         *d = alloc(3, "scalar");
    int64_t failures = stats().out_of_memory_count;
    void *p = (void *)7;
    taper_status st = taper__memory_alloc(&p, 1024 * MIB, taper_cuda(0), "matmul");
    CHECK("memory_oom_status", st == TAPER_MEMORY && p == (void *)7 && stats().out_of_memory_count == failures + 1);
    CHECK("memory_oom_words",
          SAYS("CUDA out of memory. Tried to allocate 1.00 GiB. GPU 0 has a total capacity of 256.00 MiB of which "));
    CHECK("memory_oom_names_operator", SAYS("matmul"));
    const char *rows = strstr(taper_error_message(), "held by"), *conv = rows ? strstr(rows, "conv2d") : NULL;
    const char *linear = conv ? strstr(conv, "linear") : NULL;
    CHECK("memory_oom_table_biggest_first",
          linear && strstr(conv, "120.00 MiB") && strstr(linear, "60.00 MiB") && strstr(linear, "scalar"));
    char *e = alloc(30 * MIB, "after");
    CHECK("memory_lives_on_after_oom", e != NULL);
    release(e);
    release(d);
    /* 100 | 60 | 20: free the outer two. 130 MiB are in no one piece, but unmapping and mapping again makes them one.
     */
    release(a);
    release(c);
    char *f = alloc(130 * MIB, "big");
    CHECK("memory_fragments_are_remapped", f != NULL && stats().reserved <= 256 * MIB);
    if (f) memset(f, 1, 130 * MIB);
    release(f);
    release(b);
    char text[512];
    CHECK("memory_table_empty", !taper_cuda_memory_table(text, sizeof text, 5, 0) && strstr(text, "nothing"));
}

static void memory_streams(void) {
    taper_cuda_stream *s, *main_stream;
    taper_cuda_stream_default(&main_stream, 0);
    CHECK("stream_new", !taper_cuda_stream_new(&s, 0, 0) && s != main_stream);
    char *a = alloc(4 * MIB, "a");
    release(a);
    taper_cuda_stream_set_current(s);
    char *b = alloc(4 * MIB, "b");
    CHECK("memory_other_stream_gets_other_memory", b && b != a);
    release(b);
    char *c = alloc(200 * MIB, "c");
    CHECK("memory_pressure_takes_idle_memory_of_other_streams", c != NULL);
    release(c);
    taper_cuda_stream_set_current(main_stream);
    char *d = alloc(240 * MIB, "d");
    CHECK("memory_pressure_the_other_way", d != NULL);
    release(d);
    /* A block that another stream uses comes back only when that stream is done. */
    a = alloc(3 * MIB, "a");
    taper_cuda_memory_record_stream(a + 100, s);
    fake->hold = 1;
    release(a);
    b = alloc(3 * MIB, "b");
    CHECK("memory_recorded_stream_delays_reuse", b && b != a);
    fake->hold = 0;
    release(b);
    char *all = alloc(240 * MIB, "all"); /* needs every byte, so the pending one too */
    CHECK("memory_recorded_stream_done", all != NULL);
    release(all);
    taper_cuda_stream_release(s);
    taper_cuda_stream_release(main_stream);
}

static void memory_statistics(void) {
    taper_memory_release_cached(taper_cuda(0));
    taper_memory_reset_peak(taper_cuda(0));
    taper_memory_stats s0 = stats();
    CHECK("memory_release_cached", s0.reserved == 0 && fake->used[0] == 0 && fake->live_handles == 0);
    char *a = alloc(10 * MIB, "a"), *b = alloc(512, "b");
    taper_memory_stats s1 = stats();
    CHECK("memory_stats_allocated", s1.allocated == 10 * MIB + 512 && s1.live_blocks == 2 && s1.reserved == 34 * MIB &&
                                        s1.reserved == fake->used[0]);
    release(a);
    release(b);
    CHECK("memory_stats_peak", stats().peak_allocated == 10 * MIB + 512 && stats().allocated == 0);
    size_t free_bytes = 0, total = 0;
    CHECK("mem_info", !taper_cuda_mem_info(&free_bytes, &total, 0) && total == 256 * MIB && free_bytes == 222 * MIB);
    taper_cuda_memory_set_limit(50 * MIB, 0);
    CHECK("memory_limit", !alloc(60 * MIB, "x") && SAYS("the limit that was set is 50.00 MiB"));
    taper_cuda_memory_set_limit(0, 0);
    taper__alloc_fail_at(1);
    CHECK("memory_fail_at", !alloc(10, "x"));
    taper__alloc_fail_at(0);
    taper__memory_free(&free_bytes, 8, taper_cuda(0)); /* not a block: ignored and logged */
    CHECK("memory_free_of_foreign_pointer", stats().live_blocks == 0);
}

/* Random requests; every block is filled with its own byte and must keep it. */
static void *memory_churn(void *seed) {
    enum { N = 64 };
    struct {
        unsigned char *p;
        size_t n;
    } live[N] = {{0}};
    unsigned x = (unsigned)(uintptr_t)seed * 2654435761u + 12345;
    for (int i = 0; i < 4000; i++) {
        x = x * 1664525u + 1013904223u;
        int k = (int)(x >> 25) % N;
        if (live[k].p) {
            size_t n = live[k].n;
            for (size_t j = 0; j < n; j += n < 64 ? 1 : n / 17)
                if (live[k].p[j] != (unsigned char)(k + (int)(uintptr_t)seed)) return (void *)1;
            release(live[k].p);
        }
        live[k].n = (x >> 8 & 7) ? (x >> 11) % 20000 + 1 : (x >> 5) % (3 * MIB) + 1;
        live[k].p = (unsigned char *)alloc(live[k].n, "churn");
        if (live[k].p) memset(live[k].p, k + (int)(uintptr_t)seed, live[k].n);
    }
    for (int k = 0; k < N; k++) release(live[k].p);
    return NULL;
}
static void memory_threads(void) {
    pthread_t t[3];
    void *bad[3];
    for (int i = 0; i < 3; i++) pthread_create(&t[i], NULL, memory_churn, (void *)(uintptr_t)(i * 64));
    for (int i = 0; i < 3; i++) pthread_join(t[i], &bad[i]);
    CHECK("memory_churn_keeps_contents", !bad[0] && !bad[1] && !bad[2]);
    CHECK("memory_churn_returns_everything", stats().allocated == 0 && stats().live_blocks == 0);
    taper_memory_release_cached(taper_cuda(0));
    CHECK("memory_churn_merges_back", fake->used[0] == 0);
}

static void memory_price(void) {
    struct timespec t0, t1;
    void *p;
    for (int i = 0; i < 2; i++) {
        size_t n = i ? 3 * MIB : 1000;
        clock_gettime(CLOCK_MONOTONIC, &t0);
        for (int k = 0; k < 300000; k++) {
            taper__memory_alloc(&p, n, taper_cuda(0), "price");
            release(p);
        }
        clock_gettime(CLOCK_MONOTONIC, &t1);
        printf("# GPU alloc + free of %zu bytes: %.0f ns\n", n,
               ((double)(t1.tv_sec - t0.tv_sec) * 1e9 + (double)(t1.tv_nsec - t0.tv_nsec)) / 3e5);
    }
}

/* ---- streams, events, launches ---- */

static void streams_and_events(void) {
    taper_cuda_stream *a = NULL, *b = NULL, *c = NULL;
    taper_cuda_stream_new(&a, 0, -3);
    CHECK("stream_priority_is_cut", taper_cuda_stream_priority(a) == -3 && !taper_cuda_stream_new(&b, 0, -99) &&
                                        taper_cuda_stream_priority(b) == -5);
    taper_cuda_stream_release(a);
    taper_cuda_stream_new(&c, 0, -3);
    CHECK("stream_is_pooled", c == a);
    bool done = false;
    CHECK("stream_query", !taper_cuda_stream_query(&done, c) && done);
    fake->hold = 1;
    CHECK("stream_query_busy", !taper_cuda_stream_query(&done, c) && !done);
    fake->hold = 0;
    CHECK("stream_wait_and_synchronize", !taper_cuda_stream_wait_stream(b, c) && !taper_cuda_stream_synchronize(b));
    void *handle = NULL;
    taper_cuda_stream_set_current(c);
    CHECK("stream_current", !taper__cuda_stream(&handle, 0) && handle == taper_cuda_stream_handle(c));
    taper_cuda_stream *w1 = NULL, *w2 = NULL, *now = NULL;
    CHECK("stream_wrap", !taper_cuda_stream_wrap(&w1, 0, taper_cuda_stream_handle(b)) && w1 == b &&
                             taper_cuda_stream_wrap(&w2, 0, NULL) == TAPER_VALUE);
    taper_cuda_stream_current(&now, 0);
    CHECK("stream_current_handle", now == c);
    taper_cuda_stream_default(&w2, 0);
    taper_cuda_stream_set_current(w2);
    taper_cuda_stream_release(now), taper_cuda_stream_release(w1), taper_cuda_stream_release(w2),
        taper_cuda_stream_release(b);
    taper_cuda_event *e, *f, *plain;
    float ms = -1;
    int live = fake->live_events;
    taper_cuda_event_new(&e, true, false), taper_cuda_event_new(&f, true, true),
        taper_cuda_event_new(&plain, false, false);
    CHECK("event_unrecorded", !taper_cuda_event_query(&done, e) && done &&
                                  taper_cuda_event_elapsed(&ms, e, f) == TAPER_VALUE &&
                                  SAYS("Both events must be recorded"));
    taper_cuda_event_record(e, NULL);
    usleep(3000);
    taper_cuda_event_record(f, c);
    CHECK("event_elapsed",
          !taper_cuda_event_elapsed(&ms, e, f) && ms > 2.5f && ms < 2000 && !taper_cuda_event_synchronize(f));
    CHECK("event_without_timing", taper_cuda_event_elapsed(&ms, e, plain) == TAPER_VALUE && SAYS("enable_timing"));
    CHECK("event_wait", !taper_cuda_stream_wait_event(c, e) && !taper_cuda_stream_wait_event(c, plain));
    taper_cuda_event_release(e), taper_cuda_event_release(f), taper_cuda_event_release(plain),
        taper_cuda_event_release(NULL);
    CHECK("event_release", fake->live_events == live);
    taper_cuda_stream_release(c);
}

static taper_cuda_kernel fake_kernel(const char *name) {
    static void *module;
    taper_cuda_kernel k;
    if (!module) taper__cuda_module_load(&module, 0, "image", "test");
    taper__cuda_module_kernel(&k, module, 0, name);
    return k;
}

static void launches(void) {
    uint64_t x = 42;
    void *args[] = {&x}, *stream;
    taper_cuda_kernel k = fake_kernel("fake_plain");
    taper_cuda_geometry g = {.grid = {7, 2, 1}, .block = {128, 1, 1}, .shared_bytes = 100};
    taper__cuda_stream(&stream, 0);
    CHECK("launch", !taper__cuda_launch(&k, 0, &g, args, "softmax") && !strcmp(fake->last.name, "fake_plain") &&
                        fake->last.grid[0] == 7 && fake->last.grid[1] == 2 && fake->last.block[0] == 128 &&
                        fake->last.shared == 100 && fake->last.first_argument == 42 && fake->last.stream == stream);
    int sets = fake->context_sets, before = fake->launches;
    taper__cuda_launch(&k, -1, &g, args, "softmax");
    CHECK("launch_sets_no_context_again", fake->context_sets == sets && fake->launches == before + 1);
    g.shared_bytes = 100 << 10;
    CHECK("launch_raises_shared_limit",
          !taper__cuda_launch(&k, 0, &g, args, "attention") && fake->limit_raised == 100 << 10);
    fake->limit_raised = 1 << 20;
    CHECK("launch_raises_it_once", !taper__cuda_launch(&k, 0, &g, args, "attention") && fake->limit_raised == 1 << 20);
    g.shared_bytes = 300 << 10;
    CHECK("launch_too_much_shared",
          taper__cuda_launch(&k, 0, &g, args, "attention") == TAPER_RUNTIME &&
              SAYS("attention: kernel fake_plain asks for 307200 bytes of shared memory, cuda:0 has 232448 per block"));
    g.shared_bytes = 0;
    g.grid[1] = 0;
    before = fake->launches;
    CHECK("launch_of_nothing", !taper__cuda_launch(&k, 0, &g, args, "add") && fake->launches == before);
    g.grid[1] = 2;
    fake->fail_next = 1;
    CHECK("launch_failure_names_all", taper__cuda_launch(&k, 0, &g, args, "layer_norm") == TAPER_RUNTIME &&
                                          SAYS("layer_norm: kernel fake_plain, grid (7, 2, 1), block (128, 1, 1)") &&
                                          SAYS("invalid argument"));
    fake->fail_next = 700;
    CHECK("launch_failure_lost_context", taper__cuda_launch(&k, 0, &g, args, "gather") == TAPER_RUNTIME &&
                                             SAYS("an illegal memory access was encountered") &&
                                             SAYS("TAPER_CUDA_SYNC=1"));
    /* Somebody else of the process changes the context of this thread. */
    taper__cu.context_set(NULL);
    before = fake->launches;
    CHECK("launch_recovers_its_context", !taper__cuda_launch(&k, 0, &g, args, "add") && fake->launches == before + 1);
    int blocks = 0;
    CHECK("launch_occupancy", !taper__cuda_occupancy(&blocks, &k, 0, 256, 0) && blocks == 8);
    taper_cuda_kernel absent = TAPER_CUDA_KERNEL("no_such_image", "x");
    taper_status want = taper__cuda_has_kernels() ? TAPER_NOT_IMPLEMENTED : TAPER_DEVICE;
    CHECK("launch_unknown_image", taper__cuda_launch(&absent, 0, &g, args, "add") == want && SAYS("GPU kernels"));
    if (taper__cuda_has_kernels()) {
        taper_cuda_kernel fill = TAPER_CUDA_KERNEL("fill", "fill_u32"), missing = TAPER_CUDA_KERNEL("fill", "missing");
        int loads = fake->loads;
        CHECK("launch_embedded_image", !taper__cuda_launch(&fill, 0, &g, args, "fill") &&
                                           !strcmp(fake->last.name, "fill_u32") && fake->loads == loads + 1);
        CHECK("launch_missing_kernel",
              taper__cuda_kernel_find(&missing, 0) == TAPER_NOT_IMPLEMENTED && fake->loads == loads + 1);
    }
}

static void launch_cluster(bool have) {
    uint64_t x = 42;
    void *args[] = {&x};
    taper_cuda_kernel k = fake_kernel("fake_plain");
    taper_cuda_geometry g = {.grid = {8, 1, 1}, .block = {128, 1, 1}, .cluster = 4};
    taper_status st = taper__cuda_launch(&k, 0, &g, args, "gemm");
    if (have)
        CHECK("launch_cluster", !st && fake->last.cluster == 4);
    else
        CHECK("launch_cluster_on_old_driver", st == TAPER_NOT_IMPLEMENTED && SAYS("gemm"));
}

static void launch_price(void) {
    uint64_t x = 1;
    void *args[] = {&x};
    taper_cuda_kernel k = fake_kernel("fake_plain");
    taper_cuda_geometry g = {.grid = {1, 1, 1}, .block = {32, 1, 1}};
    struct timespec t0, t1;
    clock_gettime(CLOCK_MONOTONIC, &t0);
    for (int i = 0; i < 300000; i++) taper__cuda_launch(&k, 0, &g, args, "price");
    clock_gettime(CLOCK_MONOTONIC, &t1);
    printf("# launch, with the fake driver's share: %.0f ns\n",
           ((double)(t1.tv_sec - t0.tv_sec) * 1e9 + (double)(t1.tv_nsec - t0.tv_nsec)) / 3e5);
}

/* ---- host memory, copies, kernel errors ---- */

static void pinned_memory(void) {
    int64_t live = taper__alloc_live();
    char *p = taper__pinned_alloc(10000);
    CHECK("pinned", p && taper__is_pinned(p) && taper__is_pinned(p + 9999) && taper_cuda_is_pinned(p) &&
                        !taper__is_pinned(&live) && taper__alloc_live() == live + 1);
    taper__pinned_free(p);
    char *q = taper__pinned_alloc(9000);
    CHECK("pinned_is_reused", q == p);
    char *d = alloc(8192, "x");
    fake->hold = 1;
    memset(q, 5, 8192);
    CHECK("pinned_async_copy", !taper__memory_copy(d, taper_cuda(0), q, taper_cpu(), 8192, true) && d[8191] == 5);
    taper__pinned_free(q);
    char *r = taper__pinned_alloc(9000);
    CHECK("pinned_waits_for_its_copy", r && r != q);
    fake->hold = 0;
    taper__pinned_free(r);
    char *s = taper__pinned_alloc(9000), *t = taper__pinned_alloc(9000);
    CHECK("pinned_comes_back", (s == q && t == r) || (s == r && t == q));
    taper__pinned_free(s), taper__pinned_free(t), taper__pinned_free(NULL);
    release(d);
    CHECK("pinned_leaks_nothing", taper__alloc_live() == live);
}

static void copies(void) {
    enum { N = 11000001 }; /* more than two slots, odd */
    unsigned char *a = malloc(N), *b = calloc(1, N), *d = (unsigned char *)alloc(N, "d"),
                  *e = (unsigned char *)alloc(N, "e"), *other;
    for (int i = 0; i < N; i++) a[i] = (unsigned char)(i * 7 + i / 1000);
    CHECK("copy_large_from_pageable",
          !taper__memory_copy(d, taper_cuda(0), a, taper_cpu(), N, false) && !memcmp(a, d, N));
    CHECK("copy_on_device", !taper__memory_copy(e, taper_cuda(0), d, taper_cuda(0), N, false) && !memcmp(a, e, N));
    CHECK("copy_large_to_pageable",
          !taper__memory_copy(b, taper_cpu(), e, taper_cuda(0), N, false) && !memcmp(a, b, N));
    CHECK("copy_set", !taper__memory_set(d, 0x5a, 1000, taper_cuda(0)) && d[999] == 0x5a && d[1000] == a[1000]);
    int x = 77, y = 0;
    CHECK("copy_small", !taper__memory_copy(d, taper_cuda(0), &x, taper_cpu(), 4, false) &&
                            !taper__memory_copy(&y, taper_cpu(), d, taper_cuda(0), 4, false) && y == 77);
    CHECK("copy_nothing", !taper__memory_copy(NULL, taper_cuda(0), NULL, taper_cpu(), 0, false));
    void *p = NULL;
    CHECK("copy_alloc_on_second", !taper__memory_alloc(&p, N, taper_cuda(1), "peer") && fake->used[1] > 0);
    other = p;
    CHECK("copy_to_peer",
          !taper__memory_copy(other, taper_cuda(1), e, taper_cuda(0), N, false) && !memcmp(a, other, N));
    memset(e, 0, N);
    CHECK("copy_from_peer", !taper__memory_copy(e, taper_cuda(0), other, taper_cuda(1), N, false) && !memcmp(a, e, N));
    CHECK("copy_peer_access", fake->peers == (getenv("FAKE_CUDA_NO_PEERS") ? 0 : 2));
    taper__memory_free(other, N, taper_cuda(1));
    release(d), release(e), free(a), free(b);
}

static taper_status report(int code, const char *op, long long value, long long bound) {
    uint64_t record = (uintptr_t)taper__cuda_error_record(0), c = (uint64_t)code,
             o = (uint64_t)taper__cuda_operator_number(op), v = (uint64_t)value, b = (uint64_t)bound;
    void *args[] = {&record, &c, &o, &v, &b};
    taper_cuda_kernel k = fake_kernel("fake_report");
    taper_cuda_geometry g = {.grid = {1, 1, 1}, .block = {1, 1, 1}};
    return taper__cuda_launch(&k, 0, &g, args, op);
}

static void kernel_errors(void) {
    CHECK("operator_numbers", taper__cuda_operator_number("gather") == taper__cuda_operator_number("gather") &&
                                  taper__cuda_operator_number("gather") != taper__cuda_operator_number("embedding") &&
                                  taper__cuda_operator_number("gather") > 0);
    report(TAPER_CUDA_REPORT_INDEX, "embedding", 50257, 50000);
    report(TAPER_CUDA_REPORT_INDEX, "gather", 1, 1); /* the first wins */
    CHECK("kernel_error_is_raised", taper_cuda_synchronize(0) == TAPER_INDEX &&
                                        SAYS("embedding: index 50257 is out of bounds for dimension with size 50000"));
    CHECK("kernel_error_is_cleared", taper_cuda_synchronize(0) == TAPER_OK);
    report(TAPER_CUDA_REPORT_TARGET, "nll_loss", 10, 10);
    char *d = alloc(8, "x");
    int64_t out = 0;
    CHECK("kernel_error_at_copy", taper__memory_copy(&out, taper_cpu(), d, taper_cuda(0), 8, false) == TAPER_INDEX &&
                                      SAYS("nll_loss: Target 10 is out of bounds"));
    CHECK("kernel_error_gpu_lives_on", taper__memory_copy(&out, taper_cpu(), d, taper_cuda(0), 8, false) == TAPER_OK);
    report(TAPER_CUDA_REPORT_PROBABILITY, "multinomial", 3, 0);
    CHECK("kernel_error_probability",
          taper_cuda_synchronize(-1) == TAPER_RUNTIME &&
              SAYS("multinomial: probability tensor contains either `inf`, `nan` or element < 0"));
    release(d);
}

/* ---- graphs ---- */

static taper_status add(char *p, int n) {
    uint64_t to = (uintptr_t)p, by = (uint64_t)n;
    void *args[] = {&to, &by};
    taper_cuda_kernel k = fake_kernel("fake_add");
    taper_cuda_geometry g = {.grid = {1, 1, 1}, .block = {1, 1, 1}};
    return taper__cuda_launch(&k, 0, &g, args, "add");
}

static void graphs(bool patching) {
    int64_t live = taper__alloc_live();
    taper_cuda_graph *g, *g2;
    int *counter = (int *)alloc(4, "counter");
    *counter = 0;
    release(alloc(100, "warm"));
    CHECK("graph_replay_before_capture",
          !taper_cuda_graph_new(&g, NULL) && taper_cuda_graph_replay(g, NULL) == TAPER_RUNTIME);
    CHECK("graph_begin", !taper_cuda_graph_begin_capture(g, NULL) && taper_cuda_is_capturing(0));
    char *inside = alloc(100, "inside"), *big = alloc(5 * MIB, "inside");
    add((char *)counter, 5);
    taper__memory_set(inside, 1, 4, taper_cuda(0));
    CHECK("graph_capture_does_not_run", *counter == 0);
    int x = 0;
    CHECK("graph_refuses_waiting",
          taper__memory_copy(&x, taper_cpu(), counter, taper_cuda(0), 4, false) == TAPER_RUNTIME && SAYS("captured"));
    CHECK("graph_refuses_pageable",
          taper__memory_copy(counter, taper_cuda(0), &x, taper_cpu(), 4, false) == TAPER_RUNTIME && SAYS("pin"));
    uint64_t seed, offset;
    CHECK("graph_refuses_random",
          taper__cuda_reserve_random(0, 4, &seed, &offset) == TAPER_RUNTIME && SAYS("every replay"));
    release(big);
    CHECK("graph_reuses_within", alloc(5 * MIB, "again") == big);
    release(big);
    CHECK("graph_end",
          !taper_cuda_graph_end_capture(g) && !taper_cuda_is_capturing(0) && taper_cuda_graph_node_count(g) == 2);
    for (int i = 0; i < 3; i++) taper_cuda_graph_replay(g, NULL);
    CHECK("graph_replay", *counter == 15 && inside[3] == 1);
    char *outside = alloc(5 * MIB, "outside");
    CHECK("graph_memory_is_its_own", outside != big);
    taper_memory_release_cached(taper_cuda(0));
    big[0] = 9; /* free within the pool, but a replay needs it: still mapped */
    CHECK("graph_memory_stays_mapped", big[0] == 9);
    CHECK("graph_second_capture_refused", taper_cuda_graph_begin_capture(g, NULL) == TAPER_RUNTIME);
    if (patching) {
        void *function, **arguments;
        CHECK("graph_kernels", taper__cuda_graph_kernels(g) == 1 &&
                                   !taper__cuda_graph_kernel_get(g, 0, &function, &arguments) &&
                                   *(int *)arguments[1] == 5);
        uint64_t to = (uintptr_t)counter, by = 100;
        void *fresh[] = {&to, &by};
        CHECK("graph_patch",
              !taper__cuda_graph_kernel_set(g, 0, fresh) && !taper_cuda_graph_replay(g, NULL) && *counter == 115);
    }
    taper_cuda_graph_new(&g2, g);
    taper__cuda_graph_patches_random(g2);
    taper_cuda_graph_begin_capture(g2, NULL);
    char *shared = alloc(5 * MIB, "shared");
    CHECK("graph_shared_pool", shared == big && !taper__cuda_reserve_random(0, 4, &seed, &offset));
    taper_cuda_graph_end_capture(g2);
    taper_cuda_graph_release(g2);
    taper_cuda_graph_release(g);
    shared[1] = 4;
    CHECK("graph_live_memory_outlives_graph", shared[1] == 4);
    release(shared);
    release(outside);
    release(counter);
    release(inside);
    taper_memory_release_cached(taper_cuda(0));
    CHECK("graph_leaks_nothing", taper__alloc_live() == live && fake->live_graphs == 0 && fake->used[0] == 0);
    taper_cuda_graph_new(&g, NULL);
    taper_cuda_graph_begin_capture(g, NULL);
    taper_cuda_graph_release(g);
    CHECK("graph_release_ends_capture", !taper_cuda_is_capturing(0) && !taper_cuda_synchronize(0));
}

static void others(void) {
    taper_cuda_properties p = {.size = sizeof p};
    CHECK("properties", !taper_cuda_get_properties(&p, 0) && !strcmp(p.name, "Fake GPU 0") && p.major == 9 &&
                            p.multiprocessors == 132 && p.total_memory == 256 * MIB &&
                            p.shared_per_block_optin == 232448 && p.uuid[0] == 0xa0 && p.l2_bytes == 60 << 20);
    CHECK("capability", taper__cuda_capability(0) == 90 && taper__cuda_multiprocessors(0) == 132);
    int index = -1;
    CHECK("device_count", taper_cuda_device_count(NULL) == 2 && !taper_cuda_current_device(&index) && index == 0);
    CHECK("set_device", !taper_cuda_set_device(1) && !taper_cuda_current_device(&index) && index == 1 &&
                            taper_cuda_set_device(5) == TAPER_RUNTIME && SAYS("invalid device ordinal"));
    taper_cuda_set_device(0);
    void *q;
    CHECK("alloc_on_absent_gpu", taper__memory_alloc(&q, 8, taper_cuda(3), "x") == TAPER_RUNTIME && SAYS("cuda:3"));
    uint64_t seed, offset;
    taper_cuda_manual_seed(1234);
    taper__cuda_reserve_random(0, 100, &seed, &offset);
    bool first = seed == 1234 && offset == 0;
    taper__cuda_reserve_random(0, 8, &seed, &offset);
    CHECK("random_counts", first && offset == 100 && !taper_cuda_get_random_state(&seed, &offset, 0) && offset == 108);
    taper_cuda_set_random_state(9, 4, 0);
    CHECK("random_state", !taper__cuda_reserve_random(0, 1, &seed, &offset) && seed == 9 && offset == 4);
    _Alignas(64) int map[32];
    uint64_t sizes[2] = {64, 64}, strides[1] = {128};
    uint32_t box[2] = {64, 64};
    CHECK("tensor_map", !taper__cuda_tensor_map(map, 7, 2, NULL, sizes, strides, box, 128) && map[0] == 9 &&
                            map[1] == 2 && map[2] == 3);
    pid_t pid = fork();
    if (!pid) {
        void *r;
        release(NULL);
        _exit(taper__memory_alloc(&r, 8, taper_cuda(0), "x") == TAPER_RUNTIME &&
                      SAYS("Cannot re-initialize CUDA in forked subprocess")
                  ? 0
                  : 1);
    }
    int status = 1;
    waitpid(pid, &status, 0);
    CHECK("fork_is_refused", status == 0);
}

/* Vendor libraries load against the fake driver too, where the machine has them; NVRTC even works. */
static void providers_off(void) {
    char why[600] = "";
    CHECK("providers_off_blas", !taper__cublaslt_available(why, sizeof why) &&
                                    strstr(why, "cublaslt is switched off by TAPER_PROVIDERS=none"));
    CHECK("providers_off_dnn", !taper__cudnn(why, sizeof why) && strstr(why, "cudnn is switched off"));
    CHECK("providers_off_nvrtc", !taper__nvrtc_available(why, sizeof why) && strstr(why, "nvrtc is switched off"));
    taper_gemm g = {.m = 1, .n = 1, .k = 1, .dtype_a = TAPER_F32, .dtype_b = TAPER_F32, .dtype_out = TAPER_F32};
    CHECK("providers_off_matmul",
          taper__cublaslt_matmul(&g, 0, "linear") == TAPER_NOT_IMPLEMENTED && SAYS("linear: cublaslt is switched off"));
}

static void providers_found(void) {
    char why[600] = "";
    void *cubin = NULL;
    size_t bytes = 0;
    if (taper__cublaslt_available(why, sizeof why))
        CHECK("cublaslt_version", taper__cublaslt_version() >= 110000);
    else
        CHECK("cublaslt_reason", strstr(why, "libcublasLt.so.1"));
    if (taper__cudnn(why, sizeof why))
        CHECK("cudnn_version", taper__cudnn_version() >= 8900);
    else
        CHECK("cudnn_reason", strstr(why, "cu"));
    if (!taper__nvrtc_available(why, sizeof why)) {
        CHECK("nvrtc_reason", strstr(why, "libnvrtc.so.1"));
        return;
    }
    CHECK("nvrtc_compile", !taper__nvrtc_compile(&cubin, &bytes, "extern \"C\" __global__ void f(int *p) { *p = 1; }",
                                                 "f.cu", NULL, 0) &&
                               bytes > 500 && !memcmp(cubin, "\177ELF", 4));
    taper__free(cubin);
    const char *const options[] = {"-DVALUE=wrong", NULL};
    CHECK("nvrtc_error",
          taper__nvrtc_compile(&cubin, &bytes, "int f() { return VALUE; }", "g.cu", options, 0) == TAPER_RUNTIME &&
              SAYS("g.cu(1)") && SAYS("wrong"));
}

static int scenario(const char *name, const char *expected) {
    const char *why = NULL;
    int count = taper_cuda_device_count(&why);
    if (!strcmp(name, "bad")) {
        void *p;
        CHECK("bad_driver_count", count == 0);
        printf("# %s\n", why);
        CHECK("bad_driver_sentence", strstr(why, expected));
        CHECK("bad_driver_alloc", taper__memory_alloc(&p, 8, taper_cuda(0), "x") == TAPER_DEVICE && SAYS(expected));
        CHECK("bad_driver_pinned", !taper__pinned_alloc(8));
        return failed;
    }
    void *p;
    CHECK("driver_starts", count > 0 && !taper__memory_alloc(&p, 8, taper_cuda(0), "start"));
    if (!count) return printf("# %s\n", why), 1;
    release(p);
    find_fake();
    if (!strcmp(name, "sync")) {
        int before = fake->synchronizations;
        CHECK("sync_knob_raises_at_launch", report(TAPER_CUDA_REPORT_INDEX, "gather", 9, 3) == TAPER_INDEX &&
                                                SAYS("gather: index 9") && fake->synchronizations == before + 1);
        return failed;
    }
    if (!strcmp(name, "plain")) {
        char *a = alloc(1000, "a"), *x = alloc(8 * MIB, "x"), *y = alloc(8 * MIB, "y");
        release(a), release(x), release(y);
        CHECK("plain_reuse_and_merge", alloc(16 * MIB, "w") == x);
        release(x);
        CHECK("plain_oom", !alloc(1024 * MIB, "big") && SAYS("CUDA out of memory") && alloc(200 * MIB, "fits"));
        return failed;
    }
    if (!strcmp(name, "providers_off")) return providers_off(), failed;
    if (!strcmp(name, "providers")) return providers_found(), failed;
    if (!strcmp(name, "old")) {
        launches();
        launch_cluster(false);
        graphs(false);
        return failed;
    }
    if (!strcmp(name, "threads")) {
        memory_threads();
        return failed;
    }
    memory_reuse();
    memory_exhaustion();
    memory_streams();
    memory_statistics();
    streams_and_events();
    launches();
    launch_cluster(true);
    pinned_memory();
    copies();
    kernel_errors();
    graphs(true);
    memory_threads();
    memory_price();
    launch_price();
    others();
    return failed;
}

/* ---- the parent: one process per scenario ---- */

static char folder[512], self[512];

static bool build_fake(void) {
    const char *given = getenv("TAPER_FAKE_DRIVER"), *cc = getenv("CC");
    char program[512], source[512], command[2400];
    struct stat st;
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    self[n > 0 ? n : 0] = 0;
    snprintf(program, sizeof program, "%s", self);
    snprintf(folder, sizeof folder, "%.480s/fake", dirname(program));
    if (given) snprintf(folder, sizeof folder, "%s", given);
    snprintf(command, sizeof command, "%s/old/libcuda.so.1", folder);
    if (!stat(command, &st)) return true;
    snprintf(source, sizeof source, "%.400s", __FILE__);
    snprintf(folder, sizeof folder, "/tmp/taper-fake-XXXXXX");
    if (!mkdtemp(folder)) return false;
    char *slash = strstr(source, "unit/test_cuda_layer.c");
    if (slash) strcpy(slash, "cuda/fake_driver.c");
    snprintf(command, sizeof command,
             "F=%s S=%s C=%.400s; mkdir -p $F/old $F/stubs && $C -shared -fPIC -g -O1 -o $F/libcuda.so.1 $S && "
             "$C -DFAKE_OLD -shared -fPIC -g -O1 -o $F/old/libcuda.so.1 $S && cp $F/libcuda.so.1 $F/stubs/",
             folder, source, cc ? cc : "cc");
    return !system(command);
}

static void run(const char *label, const char *sub, const char *environment, const char *name, const char *expected) {
    printf("# scenario %s\n", label);
    fflush(stdout);
    pid_t pid = fork();
    if (!pid) {
        char path[600], copy[400], *save = NULL;
        snprintf(path, sizeof path, "%s%s", folder, sub);
        setenv("TAPER_LIBRARY_PATH", path, 1);
        unsetenv("CUDA_VISIBLE_DEVICES");
        snprintf(copy, sizeof copy, "%s", environment);
        for (char *e = strtok_r(copy, " ", &save); e; e = strtok_r(NULL, " ", &save)) {
            char *equals = strchr(e, '=');
            *equals = 0;
            setenv(e, equals + 1, 1);
        }
        execl(self, self, name, expected, (char *)NULL);
        _exit(127);
    }
    int status = 1;
    waitpid(pid, &status, 0);
    if (status)
        failed = 1, printf("not ok cuda_scenario_%s: ended with %d\n", label, status);
    else
        printf("ok cuda_scenario_%s\n", label);
}

int main(int argc, char **argv) {
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (argc > 1) return scenario(argv[1], argc > 2 ? argv[2] : "");
    if (!build_fake()) return printf("not ok cuda_layer: the fake driver could not be built\n"), 1;
    char text[512];
    taper__driver_sentence(text, sizeof text, 304, NULL, 13 /* EACCES */);
    CHECK("sentence_permission", strstr(text, "may not open the GPU (/dev/nvidiactl: Permission denied)"));
    taper__driver_sentence(text, sizeof text, 100, NULL, 2 /* ENOENT */);
    CHECK("sentence_no_node", strstr(text, "there is no /dev/nvidiactl"));
    run("layer", "", "FAKE_CUDA_DEVICES=2", "layer", "");
    run("no_peers", "", "FAKE_CUDA_DEVICES=2 FAKE_CUDA_NO_PEERS=1", "layer", "");
    run("plain_memory", "", "FAKE_CUDA_NO_VMM=1", "plain", "");
    run("plain_memory_threads", "", "FAKE_CUDA_NO_VMM=1", "threads", "");
    run("plain_memory_by_knob", "", "TAPER_CUDA_VIRTUAL_MEMORY=0", "plain", "");
    run("driver_11_8", "/old", "FAKE_CUDA_VERSION=11080", "old", "");
    run("sync_knob", "", "TAPER_CUDA_SYNC=1", "sync", "");
    run("providers_off", "", "TAPER_PROVIDERS=none", "providers_off", "");
    run("providers", "", "FAKE_CUDA_VERSION=13000", "providers", "");
    run("no_device", "", "FAKE_CUDA_INIT=100", "bad", "No CUDA GPUs are available");
    run("hidden_devices", "", "CUDA_VISIBLE_DEVICES=", "bad", "CUDA_VISIBLE_DEVICES=\"\" hides all of them");
    run("unknown_device", "", "FAKE_CUDA_INIT=100 CUDA_VISIBLE_DEVICES=7", "bad",
        "sees none with CUDA_VISIBLE_DEVICES=\"7\"");
    run("old_driver", "", "FAKE_CUDA_VERSION=11040", "bad",
        "The NVIDIA driver on your system is too old (found version 11040");
    run("stub_folder", "/stubs", "", "bad", "stub, which is for linking only");
    run("stub_result", "", "FAKE_CUDA_INIT=34", "bad", "stub, which is for linking only");
    run("mismatch", "", "FAKE_CUDA_INIT=803", "bad", "different versions");
    run("compat", "", "FAKE_CUDA_INIT=804", "bad", "forward-compatibility");
    run("fabric", "", "FAKE_CUDA_INIT=802", "bad", "nvidia-fabricmanager");
    run("exclusive", "", "FAKE_CUDA_INIT=46", "bad", "busy or unavailable");
    run("unknown", "", "FAKE_CUDA_INIT=999", "bad", "nvidia_uvm");
    void *real = dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
    if (!real)
        run("no_library", "/nowhere", "", "bad", "Found no NVIDIA driver on your system: libcuda.so.1 was not found");
    if (!strncmp(folder, "/tmp/taper-fake-", 16)) {
        snprintf(text, sizeof text, "rm -rf %.400s", folder);
        if (system(text)) failed = 1;
    }
    return failed;
}
