/* The probe "deep_peers": copies between every two GPUs, with their content compared. Its keys: init, count; gpu.I.name, gpu.I.bus, gpu.I.links
 * (active NVLinks), gpu.I.switched (1: they lead to switches); for each pair I below J: pair.I.J.begin (it was started; without
 * end it hung), access (1 when both may read the other), nvlink (NVML's peer status, 0 is good), wrong (words of 4 MiB), up and down (GB/s), error
 * (code), end.
 * "deep_allreduce": a sum over all GPUs by NCCL in one process. Its keys: init, count, nccl (path or "no: " and the loader's words),
 * version, begin, error ("CALL CODE"), ms, bus (GB/s as NCCL counts them), wrong (words). */
#include "doctor/probes/deep.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PEERS_BYTES = 256 << 20, PEERS_CHECKED = 4 << 20, PEERS_LINKS = 18, PEERS_PAIRS = 28, PEERS_REDUCED = 128 << 20 };

static deep_memory peers_memory[DEEP_GPUS];

static void peers_say(deep *p, int i, int j, const char *field, double value) {
    char key[64];
    snprintf(key, sizeof key, "pair.%d.%d.%s", i, j, field);
    doctor_say(p->out, key, "%.1f", value);
}

static double peers_rate(deep *p, deep_gpu *from, deep_gpu *to, int *code) {
    double best = 0;
    float ms = 0;
    deep_load load = {0};
    p->cuda.enter(from->context);
    for (int round = 0; round < 3 && !*code; round++) {
        int n = round ? 4 : 1;
        *code = p->cuda.event_record(from->begin, from->stream);
        for (int k = 0; k < n && !*code; k++)
            *code = p->cuda.peer_copy(peers_memory[to->index], to->context, peers_memory[from->index], from->context, PEERS_BYTES, from->stream);
        if (!*code) *code = p->cuda.event_record(from->end, from->stream);
        if (!*code) *code = deep_wait(p, from, &load);
        if (!*code) *code = p->cuda.event_ms(&ms, from->begin, from->end);
        double rate = *code ? 0 : (double)PEERS_BYTES * n / (ms * 1e6);
        if (rate > best) best = rate;
        if (ms > 500) break;
    }
    return best;
}

/* Words that arrive wrong in `to`; -1 on an error. */
static int64_t peers_wrong(deep *p, deep_gpu *from, deep_gpu *to, int *code) {
    p->cuda.enter(to->context);
    *code = p->cuda.set(peers_memory[to->index], 0, PEERS_CHECKED / 4, to->stream);
    if (!*code) *code = p->cuda.stream_wait(to->stream);
    p->cuda.enter(from->context);
    if (!*code) *code = deep_fill(p, from, peers_memory[from->index], PEERS_CHECKED / 4, 0xffffffffu, 0);
    if (!*code) *code = p->cuda.peer_copy(peers_memory[to->index], to->context, peers_memory[from->index], from->context, PEERS_CHECKED, from->stream);
    if (!*code) *code = p->cuda.stream_wait(from->stream);
    p->cuda.enter(to->context);
    return *code ? -1 : deep_wrong(p, to, peers_memory[to->index], PEERS_CHECKED / 4);
}

static void peers_pair(deep *p, deep_gpu *a, deep_gpu *b) {
    enum { NVLINK = 2, ALREADY = 704 };
    int forth = 0, back = 0, code = 0, status = 0, i = a->index, j = b->index;
    p->cuda.can_access(&forth, a->device, b->device);
    p->cuda.can_access(&back, b->device, a->device);
    peers_say(p, i, j, "access", forth && back);
    if (a->nvml && b->nvml && p->nvml.peer_status && !p->nvml.peer_status(a->nvml, b->nvml, NVLINK, &status)) peers_say(p, i, j, "nvlink", status);
    peers_say(p, i, j, "begin", 1);
    if (forth && back) {
        p->cuda.enter(a->context);
        code = p->cuda.peer_enable(b->context, 0);
        p->cuda.enter(b->context);
        if (!code || code == ALREADY) code = p->cuda.peer_enable(a->context, 0);
        if (code == ALREADY) code = 0;
    }
    int64_t wrong = code ? -1 : peers_wrong(p, a, b, &code), other = code ? -1 : peers_wrong(p, b, a, &code);
    if (wrong >= 0 && other >= 0) peers_say(p, i, j, "wrong", (double)(wrong + other));
    double up = code ? 0 : peers_rate(p, a, b, &code), down = code ? 0 : peers_rate(p, b, a, &code);
    if (code) peers_say(p, i, j, "error", code);
    if (up > 0) peers_say(p, i, j, "up", up);
    if (down > 0) peers_say(p, i, j, "down", down);
    peers_say(p, i, j, "end", 1);
}

static void peers_links(deep *p, deep_gpu *g) {
    int active = 0, switches = 0;
    for (unsigned k = 0; g->nvml && p->nvml.link_state && k < PEERS_LINKS; k++) {
        unsigned on = 0;
        int remote = -1;
        if (p->nvml.link_state(g->nvml, k, &on) || !on) continue;
        active++;
        switches += p->nvml.link_remote && !p->nvml.link_remote(g->nvml, k, &remote) && remote == 2; /* NVML_NVLINK_DEVICE_TYPE_SWITCH */
    }
    deep_say(p, g, "links", "%d", active);
    deep_say(p, g, "switched", "%d", active && switches == active);
}

static int peers_enter(deep *p, size_t bytes) {
    int n = 0;
    for (int i = 0; i < p->count; i++) {
        deep_gpu *g = deep_enter(p, i);
        if (!g || deep_kernels(p, g) || deep_failed(p, g, "cuMemAlloc", p->cuda.alloc(&peers_memory[i], bytes))) peers_memory[i] = 0;
        n += peers_memory[i] != 0;
    }
    return n;
}

static void peers_run(doctor_out *o, void *ctx) {
    (void)ctx;
    deep *p = deep_open(o);
    if (!p || p->count < 2) return;
    peers_enter(p, PEERS_BYTES);
    for (int i = 0; i < p->count; i++)
        if (peers_memory[i]) peers_links(p, &p->gpus[i]);
    int pairs = 0;
    for (int gap = 1; gap < p->count; gap++) /* neighbours first: on large machines every GPU has its turn */
        for (int i = 0; i + gap < p->count && pairs < PEERS_PAIRS; i++)
            if (peers_memory[i] && peers_memory[i + gap]) peers_pair(p, &p->gpus[i], &p->gpus[i + gap]), pairs++;
}

const doctor_facts *doctor_peers(doctor *d) { return doctor_probe(d, "deep_peers", peers_run, NULL, 30000); }

typedef struct peers_nccl {
    int (*version)(int *);
    int (*init)(void **, int, const int *);
    int (*begin)(void);
    int (*end)(void);
    int (*reduce)(const void *, void *, size_t, int, int, void *, void *);
} peers_nccl;

static const taper_symbol peers_symbols[] = {
    {"ncclGetVersion", offsetof(peers_nccl, version), false},
    {"ncclCommInitAll", offsetof(peers_nccl, init), false},
    {"ncclGroupStart", offsetof(peers_nccl, begin), false},
    {"ncclGroupEnd", offsetof(peers_nccl, end), false},
    {"ncclAllReduce", offsetof(peers_nccl, reduce), false},
    {NULL, 0, false},
};

static int peers_fail(deep *p, const char *call, int code) {
    if (code) doctor_say(p->out, "error", "%s %d", call, code);
    return code;
}

/* One sum of all GPUs' words, in place; waits. */
static int peers_reduce(deep *p, peers_nccl *nccl, void **comms) {
    enum { INT32 = 2, SUM = 0 };
    int code = nccl->begin(), ended;
    for (int i = 0; i < p->count && !code; i++) {
        void *memory = (void *)(uintptr_t)peers_memory[i];
        code = nccl->reduce(memory, memory, PEERS_REDUCED / 4, INT32, SUM, comms[i], p->gpus[i].stream);
    }
    ended = nccl->end();
    if (peers_fail(p, "ncclAllReduce", code ? code : ended)) return 1;
    for (int i = 0; i < p->count; i++) {
        p->cuda.enter(p->gpus[i].context);
        if (peers_fail(p, "cuStreamSynchronize", p->cuda.stream_wait(p->gpus[i].stream))) return 1;
    }
    return 0;
}

static void peers_allreduce(doctor_out *o, void *ctx) {
    static const char *const names[] = {"libnccl.so.2", NULL};
    static int devices[DEEP_GPUS];
    static void *comms[DEEP_GPUS];
    char why[1400];
    peers_nccl nccl;
    int version = 0;
    uint32_t expected = 0, wrong = 0, words[256];
    (void)ctx;
    deep *p = deep_open(o);
    if (!p || p->count < 2) return;
    taper_library *library = taper__library_open(names, why, sizeof why);
    if (!library || !taper__library_table(library, peers_symbols, &nccl, why, sizeof why)) {
        doctor_say(o, "nccl", "no: %s", why);
        return;
    }
    doctor_say(o, "nccl", "%s", taper__library_path(library));
    if (!nccl.version(&version)) doctor_say(o, "version", "%d", version);
    if (peers_enter(p, PEERS_REDUCED) < p->count) return;
    doctor_say(o, "begin", "1");
    for (int i = 0; i < p->count; i++) {
        devices[i] = i;
        p->cuda.enter(p->gpus[i].context);
        if (peers_fail(p, "cuMemsetD32Async", p->cuda.set(peers_memory[i], 3u << (i % 16), PEERS_REDUCED / 4, p->gpus[i].stream))) return;
        expected += 3u << (i % 16);
    }
    if (peers_fail(p, "ncclCommInitAll", nccl.init(comms, p->count, devices))) return;
    if (peers_reduce(p, &nccl, comms)) return;
    for (int i = 0; i < p->count; i++)
        for (int part = 0; part < 4; part++) {
            p->cuda.enter(p->gpus[i].context);
            if (peers_fail(p, "cuMemcpyDtoH", p->cuda.to_host(words, peers_memory[i] + (deep_memory)part * (PEERS_REDUCED / 4), sizeof words))) return;
            for (int k = 0; k < TAPER_COUNT(words); k++) wrong += words[k] != expected;
        }
    doctor_say(o, "wrong", "%u", wrong);
    double best = 1e9;
    for (int round = 0; round < 6; round++) {
        double start = deep_now();
        if (peers_reduce(p, &nccl, comms)) return;
        double seconds = deep_now() - start;
        if (seconds < best) best = seconds;
    }
    doctor_say(o, "ms", "%.3f", best * 1e3);
    doctor_say(o, "bus", "%.1f", 2.0 * (p->count - 1) / p->count * PEERS_REDUCED / best * 1e-9);
}

const doctor_facts *doctor_allreduce(doctor *d) { return doctor_probe(d, "deep_allreduce", peers_allreduce, NULL, 40000); }
