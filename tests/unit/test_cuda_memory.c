/* The caching allocator of GPU memory, against a fake driver. */
#include <pthread.h>
#include <time.h>

#include "fake_gpu.h"

static taper_memory_stats stats(void) {
    taper_memory_stats s = {0};
    taper_memory_get_stats(&s, taper_cuda(0));
    return s;
}

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

static int scenario(const char *name) {
    if (!driver_starts()) return 1;
    if (!strcmp(name, "plain")) {
        char *a = alloc(1000, "a"), *x = alloc(8 * MIB, "x"), *y = alloc(8 * MIB, "y");
        release(a), release(x), release(y);
        CHECK("plain_reuse_and_merge", alloc(16 * MIB, "w") == x);
        release(x);
        CHECK("plain_oom", !alloc(1024 * MIB, "big") && SAYS("CUDA out of memory") && alloc(200 * MIB, "fits"));
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
    memory_threads();
    memory_price();
    return failed;
}

int main(int argc, char **argv) {
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (argc > 1) return scenario(argv[1]);
    if (!build_fake()) return printf("not ok cuda_memory: the fake driver could not be built\n"), 1;
    run("memory", "", "FAKE_CUDA_DEVICES=2", "memory", "");
    run("memory_no_peers", "", "FAKE_CUDA_DEVICES=2 FAKE_CUDA_NO_PEERS=1", "memory", "");
    run("plain_memory", "", "FAKE_CUDA_NO_VMM=1", "plain", "");
    run("plain_memory_threads", "", "FAKE_CUDA_NO_VMM=1", "threads", "");
    run("plain_memory_by_knob", "", "TAPER_CUDA_VIRTUAL_MEMORY=0", "plain", "");
    remove_fake();
    return failed;
}
