/* The probe "deep_launch": does a kernel run, is what it computes right, and what does a launch cost. Its keys:
 * init, count; for each gpu.I: name, bus, cc, error ("CALL CODE"), jit (the code of compiling PTX), jit_ms, wrong_in (words of 64 MiB that the GPU
 * found wrong after they were copied in), wrong_out (words that the host found wrong in what the GPU made), enqueue_us (a launch in a
 * row), round_us (launch and wait), idle_us (the same after 100 ms of rest): medians. */
#include "doctor/probes/deep.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { LAUNCH_BYTES = 64 << 20, LAUNCH_WORDS = LAUNCH_BYTES / 4, LAUNCH_ROUNDS = 200, LAUNCH_RESTS = 7 };

static int launch_order(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double launch_median(double *values, int n) {
    qsort(values, (size_t)n, sizeof *values, launch_order);
    return values[n / 2];
}

static int launch_once(deep *p, deep_gpu *g) { return p->cuda.launch(g->nothing, 1, 1, 1, 1, 1, 1, 0, g->stream, NULL, NULL); }

static void launch_times(deep *p, deep_gpu *g) {
    double enqueue[20], rounds[LAUNCH_ROUNDS], rests[LAUNCH_RESTS];
    int code = 0;
    for (int i = 0; i < 100 && !code; i++) code = launch_once(p, g);
    if (!code) code = p->cuda.stream_wait(g->stream);
    for (int k = 0; k < TAPER_COUNT(enqueue) && !code; k++) {
        double start = deep_now();
        for (int i = 0; i < 100 && !code; i++) code = launch_once(p, g);
        enqueue[k] = (deep_now() - start) * 1e6 / 100;
        if (!code) code = p->cuda.stream_wait(g->stream);
    }
    for (int k = 0; k < LAUNCH_ROUNDS && !code; k++) {
        double start = deep_now();
        code = launch_once(p, g);
        if (!code) code = p->cuda.stream_wait(g->stream);
        rounds[k] = (deep_now() - start) * 1e6;
    }
    if (deep_failed(p, g, "cuLaunchKernel", code)) return;
    deep_say(p, g, "enqueue_us", "%.2f", launch_median(enqueue, TAPER_COUNT(enqueue)));
    deep_say(p, g, "round_us", "%.2f", launch_median(rounds, LAUNCH_ROUNDS));
    if (g->index) return; /* the rest is the host's, measured once */
    for (int k = 0; k < LAUNCH_RESTS && !code; k++) {
        struct timespec rest = {0, 100000000};
        nanosleep(&rest, NULL);
        double start = deep_now();
        code = launch_once(p, g);
        if (!code) code = p->cuda.stream_wait(g->stream);
        rests[k] = (deep_now() - start) * 1e6;
    }
    if (!code) deep_say(p, g, "idle_us", "%.2f", launch_median(rests, LAUNCH_RESTS));
}

/* Copies a pattern in and lets the GPU compare it; lets the GPU make the pattern and compares it here. */
static void launch_compare(deep *p, deep_gpu *g) {
    uint32_t *host = malloc(LAUNCH_BYTES);
    deep_memory gpu = 0;
    int64_t wrong = 0;
    if (!host) return;
    for (uint32_t i = 0; i < LAUNCH_WORDS; i++) host[i] = deep_hash(i);
    int code = deep_failed(p, g, "cuMemAlloc", p->cuda.alloc(&gpu, LAUNCH_BYTES));
    if (!code) code = deep_failed(p, g, "cuMemcpyHtoD", p->cuda.to_gpu(gpu, host, LAUNCH_BYTES));
    if (!code) {
        wrong = deep_wrong(p, g, gpu, LAUNCH_WORDS);
        if (wrong < 0) code = deep_failed(p, g, "cuLaunchKernel", p->cuda.wait());
        else deep_say(p, g, "wrong_in", "%lld", (long long)wrong);
    }
    if (!code) code = p->cuda.set(gpu, 0, LAUNCH_WORDS, g->stream);
    if (!code) code = deep_fill(p, g, gpu, LAUNCH_WORDS, 0xffffffffu, 0);
    if (!code) code = p->cuda.stream_wait(g->stream);
    if (!code) code = p->cuda.to_host(host, gpu, LAUNCH_BYTES);
    if (!deep_failed(p, g, "cuMemcpyDtoH", code)) {
        wrong = 0;
        for (uint32_t i = 0; i < LAUNCH_WORDS; i++) wrong += host[i] != deep_hash(i);
        deep_say(p, g, "wrong_out", "%lld", (long long)wrong);
    }
    if (gpu) p->cuda.free(gpu);
    free(host);
}

static void launch_run(doctor_out *o, void *ctx) {
    (void)ctx;
    deep *p = deep_open(o);
    for (int i = 0; p && i < p->count; i++) {
        deep_gpu *g = deep_enter(p, i);
        if (!g) continue;
        int code = deep_kernels(p, g);
        deep_say(p, g, "jit", "%d", code);
        deep_say(p, g, "jit_ms", "%.1f", p->jit_ms);
        if (code) continue;
        launch_compare(p, g);
        launch_times(p, g);
    }
}

const doctor_facts *doctor_launch(doctor *d) { return doctor_probe(d, "deep_launch", launch_run, NULL, 30000); }
