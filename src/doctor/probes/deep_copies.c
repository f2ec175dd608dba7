/* The probe "deep_copies": how fast bytes move between host and GPU, and within the GPU's memory. Its keys, GB/s where nothing else is said:
 * init, count; for each gpu.I: name, cc, bus, bandwidth (by the memory's clock and width), error ("CALL CODE"), h2d.BYTES and d2h.BYTES (pinned), h2d
 * d2h (the best of them), h2d_pageable d2h_pageable, pin_ms (of 128 MiB), d2d (bytes read and written), link_gen link_width (under
 * load), link_idle_gen, link_gen_max link_width_max.
 * "deep_busy" and "deep_busy_after": what others do with the GPUs before anything is measured, and after: BUS percent. */
#include "doctor/probes/deep.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "doctor/ladder.h"
#include "doctor/tables.h"

enum { COPIES_PINNED = 128 << 20, COPIES_PAGEABLE = 64 << 20 };

/* GB/s of copies that last about `seconds`; 0 on an error, which was said. */
static double copies_link(deep *p, deep_gpu *g, deep_memory gpu, void *host, size_t bytes, bool up, double seconds, deep_load *load) {
    double best = 0;
    int n = (int)(seconds * 40e9 / (double)bytes / 3) + 1;
    float ms = 0;
    for (int round = 0; round < 3; round++) {
        int code = p->cuda.event_record(g->begin, g->stream);
        for (int i = 0; i < n && !code; i++)
            code = up ? p->cuda.to_gpu_async(gpu, host, bytes, g->stream) : p->cuda.to_host_async(host, gpu, bytes, g->stream);
        if (!code) code = p->cuda.event_record(g->end, g->stream);
        if (!code) code = deep_wait(p, g, load);
        if (!code) code = p->cuda.event_ms(&ms, g->begin, g->end);
        if (deep_failed(p, g, up ? "cuMemcpyHtoDAsync" : "cuMemcpyDtoHAsync", code)) return 0;
        double rate = (double)bytes * n / (ms * 1e6);
        if (rate > best) best = rate;
        if (ms > 1000) break; /* slow enough to be believed */
    }
    return best;
}

static void copies_pinned(deep *p, deep_gpu *g, deep_memory gpu) {
    static const size_t sizes[] = {64 << 10, 1 << 20, 16 << 20, COPIES_PINNED};
    deep_load load = {0}, idle = {0};
    void *host = NULL;
    unsigned n = 0;
    double best[2] = {0}, start = deep_now();
    char key[48];
    if (g->nvml && p->nvml.link_gen && !p->nvml.link_gen(g->nvml, &n)) deep_say(p, g, "link_idle_gen", "%u", n);
    if (deep_failed(p, g, "cuMemHostAlloc", p->cuda.host_alloc(&host, COPIES_PINNED, 0))) return;
    deep_say(p, g, "pin_ms", "%.1f", (deep_now() - start) * 1e3);
    for (uint32_t i = 0; i < COPIES_PINNED / 4; i++) ((uint32_t *)host)[i] = i;
    copies_link(p, g, gpu, host, 1 << 20, true, 0.02, &idle); /* wakes the link */
    for (int down = 0; down < 2; down++)
        for (int s = 0; s < TAPER_COUNT(sizes); s++) {
            bool last = s + 1 == TAPER_COUNT(sizes);
            double rate = copies_link(p, g, gpu, host, sizes[s], !down, last ? 0.12 : 0.03, last ? &load : &idle);
            if (rate <= 0) return;
            snprintf(key, sizeof key, "%s.%zu", down ? "d2h" : "h2d", sizes[s]);
            deep_say(p, g, key, "%.2f", rate);
            if (rate > best[down]) best[down] = rate;
        }
    deep_say(p, g, "h2d", "%.2f", best[0]);
    deep_say(p, g, "d2h", "%.2f", best[1]);
    if (load.gen) deep_say(p, g, "link_gen", "%u", load.gen);
    if (load.width) deep_say(p, g, "link_width", "%u", load.width);
    if (g->nvml && p->nvml.link_gen_max && !p->nvml.link_gen_max(g->nvml, &n)) deep_say(p, g, "link_gen_max", "%u", n);
    if (g->nvml && p->nvml.link_width_max && !p->nvml.link_width_max(g->nvml, &n)) deep_say(p, g, "link_width_max", "%u", n);
    p->cuda.host_free(host);
}

static void copies_pageable(deep *p, deep_gpu *g, deep_memory gpu) {
    void *host = malloc(COPIES_PAGEABLE);
    if (!host) return;
    memset(host, 1, COPIES_PAGEABLE);
    for (int down = 0; down < 2; down++) {
        double best = 0;
        for (int round = 0; round < 3; round++) {
            double start = deep_now();
            int code = down ? p->cuda.to_host(host, gpu, COPIES_PAGEABLE) : p->cuda.to_gpu(gpu, host, COPIES_PAGEABLE);
            if (!code) code = p->cuda.wait();
            if (deep_failed(p, g, down ? "cuMemcpyDtoH" : "cuMemcpyHtoD", code)) break;
            double rate = COPIES_PAGEABLE / (deep_now() - start) * 1e-9;
            if (rate > best) best = rate;
        }
        if (best > 0) deep_say(p, g, down ? "d2h_pageable" : "h2d_pageable", "%.2f", best);
    }
    free(host);
}

static void copies_within(deep *p, deep_gpu *g) {
    size_t bytes = g->free / 4 < (size_t)1 << 30 ? g->free / 4 & ~(size_t)0xfffff : (size_t)1 << 30;
    deep_memory from = 0, to = 0;
    deep_load load = {0};
    double best = 0;
    if (bytes < 64 << 20) return;
    int code = p->cuda.alloc(&from, bytes);
    if (!code) code = p->cuda.alloc(&to, bytes);
    if (!code) code = p->cuda.set(from, 0x5a5aa5a5, bytes / 4, g->stream);
    for (int round = 0; round < 5 && !code; round++) {
        float ms = 0;
        code = p->cuda.event_record(g->begin, g->stream);
        for (int i = 0; i < 8 && !code; i++) code = p->cuda.within(i & 1 ? from : to, i & 1 ? to : from, bytes, g->stream);
        if (!code) code = p->cuda.event_record(g->end, g->stream);
        if (!code) code = deep_wait(p, g, &load);
        if (!code) code = p->cuda.event_ms(&ms, g->begin, g->end);
        double rate = code ? 0 : 2.0 * 8 * (double)bytes / (ms * 1e6);
        if (rate > best) best = rate;
    }
    if (!deep_failed(p, g, "cuMemcpyDtoDAsync", code)) deep_say(p, g, "d2d", "%.1f", best);
    if (from) p->cuda.free(from);
    if (to) p->cuda.free(to);
}

static void copies_run(doctor_out *o, void *ctx) {
    (void)ctx;
    deep *p = deep_open(o);
    for (int i = 0; p && i < p->count; i++) {
        deep_gpu *g = deep_enter(p, i);
        deep_memory gpu = 0;
        if (!g || deep_failed(p, g, "cuMemAlloc", p->cuda.alloc(&gpu, COPIES_PINNED))) continue;
        copies_pinned(p, g, gpu);
        copies_pageable(p, g, gpu);
        p->cuda.free(gpu);
        copies_within(p, g);
    }
}

const doctor_facts *doctor_copies(doctor *d) { return doctor_probe(d, "deep_copies", copies_run, NULL, 40000); }

/* ---- what the checks share ---- */

static void busy_run(doctor_out *o, void *ctx) {
    static const char *const nvml[] = {"libnvidia-ml.so.1", NULL};
    const doctor_facts *cuda = ctx;
    char why[1400];
    taper_library *library = taper__library_open(nvml, why, sizeof why);
    void *init = library ? taper__library_symbol(library, "nvmlInit_v2") : NULL, *by_bus = library ? taper__library_symbol(library, "nvmlDeviceGetHandleByPciBusId_v2") : NULL;
    void *rates = library ? taper__library_symbol(library, "nvmlDeviceGetUtilizationRates") : NULL;
    int (*start)(void), (*find)(const char *, void **), (*read)(void *, struct deep_utilization *);
    if (!init || !by_bus || !rates) return;
    memcpy(&start, &init, sizeof start);
    memcpy(&find, &by_bus, sizeof find);
    memcpy(&read, &rates, sizeof read);
    unsigned least[DEEP_GPUS];
    memset(least, 0xff, sizeof least);
    if (start()) return;
    for (int round = 0; round < 4; round++) {
        struct timespec rest = {0, 120000000};
        if (round) nanosleep(&rest, NULL);
        for (int i = 0; i < DEEP_GPUS; i++) {
            const char *bus = doctor_fact(cuda, "gpu.%d.bus", i);
            struct deep_utilization use = {0};
            void *gpu;
            if (bus && !find(bus, &gpu) && !read(gpu, &use) && use.gpu < least[i]) least[i] = use.gpu;
        }
    }
    for (int i = 0; i < DEEP_GPUS; i++)
        if (least[i] <= 100) doctor_say(o, doctor_fact(cuda, "gpu.%d.bus", i), "%u", least[i]);
}

static void busy_after(doctor_out *o, void *ctx) {
    struct timespec rest = {1, 200000000}; /* NVML's figure covers up to a second: ours must have left it */
    nanosleep(&rest, NULL);
    busy_run(o, ctx);
}

static int busy_asked(doctor *d, const char *name, doctor_probe_fn fn, const char *bus) {
    union {
        const void *in;
        void *out;
    } cuda = {doctor_cuda(d)}; /* the child only reads it */
    return bus ? (int)doctor_fact_int(doctor_probe(d, name, fn, cuda.out, 6000), 0, "%s", bus) : 0;
}

int doctor_busy(doctor *d, const char *bus) { return busy_asked(d, "deep_busy", busy_run, bus); }

int doctor_busy_since(doctor *d, const char *bus) {
    int before = doctor_busy(d, bus), after = busy_asked(d, "deep_busy_after", busy_after, bus);
    return before > after ? before : after;
}

bool doctor_is_slice(doctor *d, const char *name) {
    bool is = name && strstr(name, " MIG ");
    for (int i = 0; i < DEEP_GPUS; i++) is |= doctor_fact_int(doctor_nvml(d), 0, "gpu.%d.virtualization", i) == 2;
    return is;
}

bool doctor_measures(doctor *d) { return doctor_ladder(d) >= RUNG_CONTEXT && doctor_fact_int(doctor_cuda(d), 0, "count") > 0; }

bool doctor_said(doctor *d, const char *id, const char *text) {
    for (int i = 0; i < doctor_count(d); i++) {
        const doctor_finding *f = doctor_get(d, i);
        if (f->verdict >= DOCTOR_SLOW && !strcmp(f->id, id) && (!text || (f->evidence && strstr(f->evidence, text)))) return true;
    }
    return false;
}

bool doctor_unmeasured(doctor *d, const doctor_facts *f, const char *what) {
    const char *open = doctor_fact(f, "open");
    int64_t init = doctor_fact_int(f, -1, "init");
    if (doctor_fact(f, "count") && !doctor_facts_end(f)) return false;
    if (doctor_facts_end(f)) doctor_unknown(d, "%s: the probe %s", what, doctor_facts_end(f));
    else doctor_unknown(d, "%s: %s", what, open ? open : doctor_text(d, "cuInit %lld", (long long)init));
    return true;
}

doctor_part doctor_part_of(const char *name) {
    doctor_part part = {0};
    const doctor_table *t = doctor_table_open("gpus");
    int row = t && name ? doctor_table_find(t, 0, "nvml_name", name) : -1;
    if (row < 0) return part;
    part.known = true;
    part.bandwidth = doctor_cell_number(t, row, "bw_gbs", 0);
    part.fp32 = doctor_cell_number(t, row, "fp32", 0);
    part.tf32 = doctor_cell_number(t, row, "tf32", 0);
    part.fp16 = doctor_cell_number(t, row, "fp16", 0);
    part.bf16 = doctor_cell_number(t, row, "bf16", 0);
    part.fp8 = doctor_cell_number(t, row, "fp8", 0);
    part.nvlink = doctor_cell_number(t, row, "nvlink_gbs", 0);
    part.datacenter = !strcmp(doctor_cell(t, row, "class"), "datacenter");
    return part;
}

double doctor_pcie_rate(int64_t gen, int64_t width) {
    static const double lane[] = {0, 0.25, 0.5, 0.985, 1.969, 3.938, 7.563};
    return gen > 0 && gen < TAPER_COUNT(lane) && width > 0 && width <= 32 ? lane[gen] * (double)width : 0;
}
