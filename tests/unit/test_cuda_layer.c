/* Streams, events, launches, host memory, copies and kernel errors of the GPU layer, against a fake driver. */
#include <time.h>

#include "fake_gpu.h"

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

static int scenario(const char *name) {
    if (!driver_starts()) return 1;
    if (!strcmp(name, "sync")) {
        int before = fake->synchronizations;
        CHECK("sync_knob_raises_at_launch", report(TAPER_CUDA_REPORT_INDEX, "gather", 9, 3) == TAPER_INDEX &&
                                                SAYS("gather: index 9") && fake->synchronizations == before + 1);
        return failed;
    }
    if (!strcmp(name, "old")) {
        launches();
        launch_cluster(false);
        return failed;
    }
    streams_and_events();
    launches();
    launch_cluster(true);
    pinned_memory();
    copies();
    kernel_errors();
    launch_price();
    others();
    return failed;
}

int main(int argc, char **argv) {
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (argc > 1) return scenario(argv[1]);
    if (!build_fake()) return printf("not ok cuda_layer: the fake driver could not be built\n"), 1;
    run("layer", "", "FAKE_CUDA_DEVICES=2", "layer", "");
    run("no_peers", "", "FAKE_CUDA_DEVICES=2 FAKE_CUDA_NO_PEERS=1", "layer", "");
    run("driver_11_8", "/old", "FAKE_CUDA_VERSION=11080", "old", "");
    run("sync_knob", "", "TAPER_CUDA_SYNC=1", "sync", "");
    remove_fake();
    return failed;
}
