/* The GPU layer on a real GPU: start-up, memory, copies, launches, kernel errors, events, graphs, providers. Prints
 * `ok` lines and measured figures as `#` lines; without a GPU it says so and passes. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "device/cuda/dnn.h"
#include "device/cuda/gpu.h"
#include "device/cuda/nvrtc.h"

static int failed;
#define CHECK(name, condition)                                                                                         \
    do {                                                                                                               \
        if (condition)                                                                                                 \
            printf("ok device_%s\n", name);                                                                            \
        else                                                                                                           \
            failed = 1, printf("not ok device_%s: %s is false (line %d): %s\n", name, #condition, __LINE__,            \
                               taper_error_message());                                                                 \
    } while (0)
#define SAYS(text) (strstr(taper_error_message(), text) != NULL)
#define MIB ((size_t)1 << 20)

static double seconds(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}
static taper_device gpu(void) { return taper_cuda(0); }
static void *alloc(size_t bytes) {
    void *p = NULL;
    return taper__memory_alloc(&p, bytes, gpu(), "test") ? NULL : p;
}
static void release(void *p) { taper__memory_free(p, 0, gpu()); }
static int compare_double(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}
static double median(double *v, int n) { return qsort(v, (size_t)n, sizeof *v, compare_double), v[n / 2]; }

static taper_cuda_kernel kernel_fill = TAPER_CUDA_KERNEL("fill", "fill_u32"),
                         kernel_report = TAPER_CUDA_KERNEL("fill", "fill_report");

static taper_status fill(void *out, unsigned value, int64_t n) {
    void *args[] = {&out, &value, &n};
    taper_cuda_geometry g = {.grid = {(unsigned)((n + 255) / 256 < 1024 ? (n + 255) / 256 : 1024), 1, 1},
                             .block = {256, 1, 1}};
    return taper__cuda_launch(&kernel_fill, 0, &g, args, "fill");
}

static void start(void) {
    const char *why;
    double t0 = seconds();
    int count = taper_cuda_device_count(&why);
    double t1 = seconds();
    if (!count) {
        printf("ok device_skipped # no GPU: %s\n", why);
        exit(0);
    }
    int index = 0;
    taper_status st = taper__cuda_enter(&index);
    double t2 = seconds();
    float x = 1.5f, y = 0;
    void *p = alloc(4);
    if (!st) st = taper__memory_copy(p, gpu(), &x, taper_cpu(), 4, false);
    if (!st) st = taper__memory_copy(&y, taper_cpu(), p, gpu(), 4, false);
    double t3 = seconds();
    CHECK("first_tensor", !st && y == 1.5f);
    if (!st) st = fill(p, 0x40000000u, 1);
    if (!st) st = taper__memory_copy(&y, taper_cpu(), p, gpu(), 4, false);
    double t4 = seconds();
    CHECK("first_kernel", !st && y == 2.0f);
    printf("# start: driver %.1f ms, context %.1f ms, first tensor and back %.1f ms, first kernel %.1f ms; in all %.1f "
           "ms\n",
           (t1 - t0) * 1e3, (t2 - t1) * 1e3, (t3 - t2) * 1e3, (t4 - t3) * 1e3, (t4 - t0) * 1e3);
    release(p);
    taper_cuda_properties q = {.size = sizeof q};
    CHECK("properties", !taper_cuda_get_properties(&q, 0) && q.major >= 7 && q.multiprocessors > 0 &&
                            q.total_memory > MIB && q.warp_size == 32);
    printf("# %s, sm_%d%d, %d SMs, %zu MiB, L2 %zu MiB, driver %d\n", q.name, q.major, q.minor, q.multiprocessors,
           q.total_memory / MIB, q.l2_bytes / MIB, taper__driver_version());
}

static void memory(void) {
    double t0 = seconds();
    enum { N = 200000 };
    for (int i = 0; i < N; i++) release(alloc(1000));
    double small = (seconds() - t0) / N;
    t0 = seconds();
    for (int i = 0; i < N; i++) release(alloc(3 * MIB));
    double large = (seconds() - t0) / N;
    t0 = seconds();
    void *p = alloc(4096 * MIB);
    double grow = seconds() - t0;
    CHECK("alloc_4_gib", p != NULL);
    release(p);
    void *parts[256];
    taper_memory_release_cached(gpu());
    t0 = seconds();
    for (int i = 0; i < 256; i++) parts[i] = alloc(16 * MIB);
    double steps = (seconds() - t0) / 128;
    for (int i = 0; i < 256; i++) release(parts[i]);
    printf(
        "# alloc + free: 1000 bytes %.0f ns, 3 MiB %.0f ns; 4 GiB from the driver %.2f ms, 32 MiB steps %.0f us each\n",
        small * 1e9, large * 1e9, grow * 1e3, steps * 1e6);
    size_t free_bytes, total;
    taper_cuda_mem_info(&free_bytes, &total, 0);
    void *impossible = NULL;
    CHECK("oom", taper__memory_alloc(&impossible, total + MIB, gpu(), "matmul") == TAPER_MEMORY &&
                     SAYS("CUDA out of memory. Tried to allocate"));
    printf("# %.230s\n", taper_error_message());
    /* Two thirds in two blocks with a small one between; after freeing the two, one block of their sum must fit. */
    taper_cuda_mem_info(&free_bytes, &total, 0);
    size_t third = free_bytes / 100 * 45 / (64 * MIB) * (64 * MIB);
    void *a = alloc(third), *b = alloc(4 * MIB), *c = alloc(third);
    release(a), release(c);
    t0 = seconds();
    void *d = alloc(2 * third - 64 * MIB);
    double remap = seconds() - t0;
    CHECK("fragments_are_remapped",
          a && b && c && d && !fill(d, 7, (int64_t)(2 * third - 64 * MIB) / 4) && !taper_cuda_synchronize(0));
    printf("# %.1f GiB made of fragments in %.1f ms\n", (double)(2 * third - 64 * MIB) / (1 << 30), remap * 1e3);
    release(b), release(d);
    CHECK("release_cached", !taper_memory_release_cached(gpu()));
}

static void copies(void) {
    size_t n = 512 * MIB;
    unsigned *host = malloc(n), *back = malloc(n), *d = alloc(n), *e = alloc(n), *pinned = taper__pinned_alloc(n);
    for (size_t i = 0; i < n / 4; i++) host[i] = (unsigned)i * 2654435761u, back[i] = 1;
    memcpy(pinned, host, n);
    CHECK("pinned", taper__is_pinned(pinned) && taper_cuda_is_pinned(pinned) && !taper_cuda_is_pinned(host));
    double t[5];
    double t0 = seconds();
    bool good = !taper__memory_copy(d, gpu(), host, taper_cpu(), n, false) && !taper_cuda_synchronize(0);
    t[0] = seconds() - t0, t0 = seconds();
    good &= !taper__memory_copy(e, gpu(), d, gpu(), n, false) && !taper_cuda_synchronize(0);
    t0 = seconds();
    good &= !taper__memory_copy(e, gpu(), d, gpu(), n, false) && !taper_cuda_synchronize(0);
    t[1] = seconds() - t0, t0 = seconds();
    good &= !taper__memory_copy(back, taper_cpu(), e, gpu(), n, false);
    t[2] = seconds() - t0;
    CHECK("copy_round_trip", good && !memcmp(host, back, n));
    taper__memory_set(d, 0, n, gpu());
    taper_cuda_synchronize(0);
    t0 = seconds();
    good = !taper__memory_copy(d, gpu(), pinned, taper_cpu(), n, true) && !taper_cuda_synchronize(0);
    t[3] = seconds() - t0;
    memset(pinned, 0, n);
    t0 = seconds();
    good &= !taper__memory_copy(pinned, taper_cpu(), d, gpu(), n, false);
    t[4] = seconds() - t0;
    CHECK("copy_pinned", good && !memcmp(host, pinned, n));
    double g = (double)n * 1e-9;
    printf("# GB/s: pageable in %.1f, out %.1f; pinned in %.1f, out %.1f; on the GPU (read + write) %.0f\n", g / t[0],
           g / t[2], g / t[3], g / t[4], 2 * g / t[1]);
    double item[200];
    float x;
    for (int i = 0; i < 200; i++) {
        t0 = seconds();
        taper__memory_copy(&x, taper_cpu(), d, gpu(), 4, false);
        item[i] = seconds() - t0;
    }
    printf("# one float to the CPU: %.1f us\n", median(item, 200) * 1e6);
    taper__pinned_free(pinned);
    release(d), release(e), free(host), free(back);
}

static void launches(void) {
    enum { N = 500, ROUNDS = 20 };
    void *p = alloc(1024);
    double t[ROUNDS];
    for (int r = 0; r < ROUNDS; r++) {
        taper_cuda_synchronize(0);
        double t0 = seconds();
        for (int i = 0; i < N; i++) fill(p, 1, 32);
        t[r] = (seconds() - t0) / N;
    }
    taper_cuda_synchronize(0);
    double whole = median(t, ROUNDS);
    /* The driver's own share: the same call without our layer. */
    unsigned value = 1;
    int64_t n = 32;
    void *args[] = {&p, &value, &n}, *stream;
    taper__cuda_stream(&stream, 0);
    for (int r = 0; r < ROUNDS; r++) {
        taper_cuda_synchronize(0);
        double t0 = seconds();
        for (int i = 0; i < N; i++)
            taper__cu.launch(kernel_fill.function[0], 1, 1, 1, 256, 1, 1, 0, stream, args, NULL);
        t[r] = (seconds() - t0) / N;
    }
    printf("# launch: %.0f ns, of which the driver %.0f ns\n", whole * 1e9, median(t, ROUNDS) * 1e9);
    taper_cuda_synchronize(0);
    /* Kernel errors: thousands of blocks report at once, one record comes back whole. */
    void *record = taper__cuda_error_record(0);
    int op = taper__cuda_operator_number("embedding");
    long long bound = 100;
    void *report[] = {&record, &op, &bound};
    taper_cuda_geometry g = {.grid = {50000, 1, 1}, .block = {64, 1, 1}};
    CHECK("report_launch", !taper__cuda_launch(&kernel_report, 0, &g, report, "embedding"));
    taper_status st = taper_cuda_synchronize(0);
    CHECK("report_raised",
          st == TAPER_INDEX && SAYS("embedding: index ") && SAYS("is out of bounds for dimension with size 100"));
    printf("# %s\n", taper_error_message());
    CHECK("report_cleared", !taper_cuda_synchronize(0) && !fill(p, 3, 32) && !taper_cuda_synchronize(0));
    CHECK("report_again",
          !taper__cuda_launch(&kernel_report, 0, &g, report, "embedding") && taper_cuda_synchronize(0) == TAPER_INDEX);
    g.shared_bytes = 200 << 10;
    g.grid[0] = 50;
    CHECK("large_shared",
          !taper__cuda_launch(&kernel_report, 0, &g, report, "embedding") && !taper_cuda_synchronize(0));
    g.shared_bytes = 0, g.grid[0] = 48, g.cluster = 8;
    if (taper__cuda_capability(0) >= 90)
        CHECK("cluster", !taper__cuda_launch(&kernel_report, 0, &g, report, "embedding") && !taper_cuda_synchronize(0));
    g.cluster = 0, g.overlap = true;
    if (taper__cuda_capability(0) >= 90)
        CHECK("overlap", !taper__cuda_launch(&kernel_report, 0, &g, report, "embedding") && !taper_cuda_synchronize(0));
    release(p);
}

static void graphs(void) {
    enum { NODES = 40, N = 1 << 16 };
    taper_cuda_event *a, *b;
    taper_cuda_event_new(&a, true, false), taper_cuda_event_new(&b, true, false);
    unsigned *p = alloc(4 * N), host[4] = {0};
    taper_cuda_graph *g;
    taper_cuda_graph_new(&g, NULL);
    bool good = !taper_cuda_graph_begin_capture(g, NULL);
    for (int i = 0; i < NODES; i++) {
        unsigned *inside = alloc(4 * N); /* from the pool, the same block each time */
        good &= inside && !fill(inside, (unsigned)i, N) && !taper__memory_copy(p, gpu(), inside, gpu(), 4 * N, false);
        release(inside);
    }
    good &= !taper_cuda_graph_end_capture(g);
    CHECK("graph_capture",
          good && taper_cuda_graph_node_count(g) == 2 * NODES && taper__cuda_graph_kernels(g) == NODES);
    taper__memory_set(p, 0xff, 4 * N, gpu());
    good = !taper_cuda_graph_replay(g, NULL) && !taper__memory_copy(host, taper_cpu(), p, gpu(), 16, false);
    CHECK("graph_replay", good && host[3] == NODES - 1);
    double t[20];
    for (int r = 0; r < 20; r++) {
        taper_cuda_synchronize(0);
        double t0 = seconds();
        taper_cuda_graph_replay(g, NULL);
        t[r] = seconds() - t0;
    }
    float ms = 0;
    taper_cuda_event_record(a, NULL);
    for (int r = 0; r < 20; r++) taper_cuda_graph_replay(g, NULL);
    taper_cuda_event_record(b, NULL);
    taper_cuda_event_synchronize(b);
    CHECK("event_elapsed", !taper_cuda_event_elapsed(&ms, a, b) && ms > 0);
    printf("# graph of %d nodes: replay call %.1f us, on the GPU %.1f us\n", 2 * NODES, median(t, 20) * 1e6,
           (double)ms * 1e3 / 20);
    void *function, **arguments;
    unsigned value = 4711;
    CHECK("graph_arguments",
          !taper__cuda_graph_kernel_get(g, NODES - 1, &function, &arguments) && *(unsigned *)arguments[1] == NODES - 1);
    void *fresh[] = {arguments[0], &value, arguments[2]};
    good = !taper__cuda_graph_kernel_set(g, NODES - 1, fresh) && !taper_cuda_graph_replay(g, NULL) &&
           !taper__memory_copy(host, taper_cpu(), p, gpu(), 16, false);
    CHECK("graph_patch", good && host[0] == 4711);
    taper_cuda_graph_release(g);
    /* Two streams: the second waits for the first. */
    taper_cuda_stream *s, *d;
    taper_cuda_stream_new(&s, 0, -1), taper_cuda_stream_default(&d, 0);
    fill(p, 5, N);
    good = !taper_cuda_stream_wait_stream(s, d) && !taper_cuda_stream_set_current(s) &&
           !taper__memory_copy(host, taper_cpu(), p, gpu(), 16, false);
    taper_cuda_stream_set_current(d);
    CHECK("streams", good && host[2] == 5);
    taper_cuda_stream_release(s), taper_cuda_stream_release(d);
    taper_cuda_event_release(a), taper_cuda_event_release(b);
    release(p);
}

static void providers(void) {
    char why[600];
    if (taper__cudnn(why, sizeof why)) {
        void *handle = NULL;
        double t0 = seconds();
        bool good = !taper__cudnn_enter(&handle, 0, "test");
        if (good) taper__cudnn_leave(0);
        CHECK("cudnn", good && handle);
        printf("# cuDNN %d, handle in %.0f ms\n", taper__cudnn_version(), (seconds() - t0) * 1e3);
    } else
        printf("# cuDNN: %s\n", why);
    taper_nvml_gpu n;
    if (taper__nvml_gpu(&n, 0, why, sizeof why)) {
        CHECK("nvml", n.total > MIB && n.name[0] && n.driver[0]);
        printf("# NVML: %s, driver %s, %llu of %llu MiB used\n", n.name, n.driver, n.used / MIB, n.total / MIB);
    } else
        printf("# NVML: %s\n", why);
    if (taper__nvrtc_available(why, sizeof why)) {
        void *cubin, *module;
        size_t bytes;
        taper_cuda_kernel k;
        unsigned *p = alloc(4), host = 0;
        double t0 = seconds();
        bool good = !taper__nvrtc_compile(&cubin, &bytes, "extern \"C\" __global__ void f(unsigned *p) { *p = 99; }",
                                          "f.cu", NULL, 0);
        double t1 = seconds();
        void *args[] = {&p};
        taper_cuda_geometry g = {.grid = {1, 1, 1}, .block = {1, 1, 1}};
        good = good && !taper__cuda_module_load(&module, 0, cubin, "f") &&
               !taper__cuda_module_kernel(&k, module, 0, "f") && !taper__cuda_launch(&k, 0, &g, args, "f") &&
               !taper__memory_copy(&host, taper_cpu(), p, gpu(), 4, false);
        CHECK("nvrtc", good && host == 99);
        CHECK("nvrtc_error",
              taper__nvrtc_compile(&cubin, &bytes, "nonsense;", "g.cu", NULL, 0) == TAPER_RUNTIME && SAYS("g.cu(1)"));
        printf("# NVRTC: %.0f ms\n", (t1 - t0) * 1e3);
        release(p);
    } else
        printf("# NVRTC: %s\n", why);
}

int main(void) {
    setvbuf(stdout, NULL, _IOLBF, 0);
    start();
    memory();
    copies();
    launches();
    graphs();
    providers();
    CHECK("stats_balanced", taper__alloc_live() >= 0);
    taper_memory_stats s;
    CHECK("no_block_left", !taper_memory_get_stats(&s, gpu()) && s.live_blocks == 0);
    return failed;
}
