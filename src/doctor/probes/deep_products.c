/* The probe "deep_products": matrix products by cuBLASLt in each type, with clocks, power and throttle reasons read by NVML meanwhile. Its keys:
 * init, count, blas (path, or "no: " and the loader's words), blas_version; for each gpu.I: name, bus, cc, error ("CALL CODE"), size (of
 * the square), fp32 tf32 fp16 bf16 fp8 (TFLOP/s; "no CODE" when the library refuses), bf16_4096 bf16_4095 (TFLOP/s with that K), wrong
 * (of 64 elements of the bf16 product), and under the load of the bf16 product: clock clock_min clock_limit (MHz, of the SMs), power
 * power_limit power_default (W), temperature, reasons (all bits seen), samples, throttled (samples with a thermal or hardware bit),
 * capped (samples with the power cap's). */
#include "doctor/probes/deep.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* cublasLt.h; the same numbers in 11, 12 and 13. */
enum { LT_F32 = 0, LT_F16 = 2, LT_BF16 = 14, LT_E4M3 = 28, LT_COMPUTE_32F = 68, LT_COMPUTE_TF32 = 77 };
enum { LT_TRANS_A = 3, LT_FAST_ACCUMULATE = 25, LT_WORKSPACE = 1, LT_WORKSPACE_BYTES = 32 << 20 };

typedef struct products_choice {
    uint64_t algorithm[8];
    size_t workspace;
    int state;
    float waves;
    int reserved[4];
} products_choice;

typedef struct products_blas {
    int (*create)(void **);
    size_t (*version)(void);
    int (*desc_create)(void **, int, int);
    int (*desc_set)(void *, int, const void *, size_t);
    int (*layout_create)(void **, int, uint64_t, uint64_t, int64_t);
    int (*preference_create)(void **);
    int (*preference_set)(void *, int, const void *, size_t);
    int (*heuristic)(void *, void *, void *, void *, void *, void *, void *, int, products_choice *, int *);
    int (*matmul)(void *, void *, const void *, const void *, void *, const void *, void *, const void *, const void *, void *, void *, void *, const void *, void *, size_t, void *);
} products_blas;

static const taper_symbol products_symbols[] = {
    {"cublasLtCreate", offsetof(products_blas, create), false},
    {"cublasLtGetVersion", offsetof(products_blas, version), false},
    {"cublasLtMatmulDescCreate", offsetof(products_blas, desc_create), false},
    {"cublasLtMatmulDescSetAttribute", offsetof(products_blas, desc_set), false},
    {"cublasLtMatrixLayoutCreate", offsetof(products_blas, layout_create), false},
    {"cublasLtMatmulPreferenceCreate", offsetof(products_blas, preference_create), false},
    {"cublasLtMatmulPreferenceSetAttribute", offsetof(products_blas, preference_set), false},
    {"cublasLtMatmulAlgoGetHeuristic", offsetof(products_blas, heuristic), false},
    {"cublasLtMatmul", offsetof(products_blas, matmul), false},
    {NULL, 0, false},
};

/* mask and bits make every word of hashes one or more values of magnitude 0.5 to 1. */
static const struct products_type {
    const char *name;
    int type, out, compute, least_cc, bytes;
    unsigned mask, bits;
    double seconds;
} products_types[] = {
    {"fp32", LT_F32, LT_F32, LT_COMPUTE_32F, 0, 4, 0x807fffffu, 0x3f000000u, 0.15},
    {"tf32", LT_F32, LT_F32, LT_COMPUTE_TF32, 80, 4, 0x807fffffu, 0x3f000000u, 0.15},
    {"fp16", LT_F16, LT_F16, LT_COMPUTE_32F, 70, 2, 0x83ff83ffu, 0x38003800u, 0.15},
    {"fp8", LT_E4M3, LT_BF16, LT_COMPUTE_32F, 89, 1, 0x87878787u, 0x30303030u, 0.15},
    {"bf16", LT_BF16, LT_BF16, LT_COMPUTE_32F, 80, 2, 0x807f807fu, 0x3f003f00u, 0.8}, /* last: the load that is sampled */
};

typedef struct products_run {
    deep *p;
    deep_gpu *g;
    products_blas blas;
    void *handle;
    deep_memory a, b, out, workspace;
} products_run;

/* TFLOP/s of out[m, n] = a^T b over k for about `seconds`; 0 with *code. */
static double products_time(products_run *r, const struct products_type *t, int64_t n, int64_t k, double seconds, deep_load *load, int *code) {
    void *desc = NULL, *a = NULL, *c = NULL, *preference = NULL;
    products_choice choice = {0};
    int32_t transposed = 1;
    int8_t fast = 1;
    size_t workspace = LT_WORKSPACE_BYTES;
    int got = 0;
    float one = 1, zero = 0, ms = 0;
    *code = r->blas.desc_create(&desc, t->compute, LT_F32);
    if (!*code) *code = r->blas.desc_set(desc, LT_TRANS_A, &transposed, sizeof transposed);
    if (!*code && t->bytes == 1) *code = r->blas.desc_set(desc, LT_FAST_ACCUMULATE, &fast, sizeof fast);
    if (!*code) *code = r->blas.layout_create(&a, t->type, (uint64_t)k, (uint64_t)n, k);
    if (!*code) *code = r->blas.layout_create(&c, t->out, (uint64_t)n, (uint64_t)n, n);
    if (!*code) *code = r->blas.preference_create(&preference);
    if (!*code) *code = r->blas.preference_set(preference, LT_WORKSPACE, &workspace, sizeof workspace);
    if (!*code) *code = r->blas.heuristic(r->handle, desc, a, a, c, c, preference, 1, &choice, &got);
    if (!*code && !got) *code = 15;
    int rounds = 1;
    double flops = 2.0 * (double)n * (double)n * (double)k, start = 0, elapsed = 0;
    for (int pass = 0; pass < 3 && !*code; pass++) { /* loads the kernel; times one; times what fills `seconds` */
        if (pass == 2) rounds = (int)(seconds / (elapsed > 1e-6 ? elapsed : 1e-6)) + 1;
        if (pass == 2 && rounds > 20000) rounds = 20000;
        start = deep_now();
        *code = r->p->cuda.event_record(r->g->begin, r->g->stream);
        for (int i = 0; i < rounds && !*code; i++)
            *code = r->blas.matmul(r->handle, desc, &one, (const void *)(uintptr_t)r->a, a, (const void *)(uintptr_t)r->b, a, &zero, (const void *)(uintptr_t)r->out, c,
                                   (void *)(uintptr_t)r->out, c, &choice.algorithm, (void *)(uintptr_t)r->workspace, choice.workspace, r->g->stream);
        if (!*code) *code = r->p->cuda.event_record(r->g->end, r->g->stream);
        deep_load other = {0};
        if (!*code) *code = deep_wait(r->p, r->g, pass == 2 ? load : &other);
        if (!*code) *code = r->p->cuda.event_ms(&ms, r->g->begin, r->g->end);
        elapsed = *code ? deep_now() - start : ms * 1e-3;
    }
    return *code || elapsed <= 0 ? 0 : flops * rounds / elapsed * 1e-12;
}

static float products_half(uint32_t word, int high) { /* bf16 */
    uint32_t bits = (high ? word >> 16 : word & 0xffff) << 16;
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

/* Elements of the bf16 product against sums made here. a and b hold the same pattern. */
static int products_wrong(products_run *r, const struct products_type *t, int64_t n) {
    int wrong = 0;
    for (int e = 0; e < 64; e++) {
        uint32_t i = deep_hash((uint32_t)e * 2 + 1) % (uint32_t)n, j = deep_hash((uint32_t)e * 2 + 2) % (uint32_t)n, word;
        double sum = 0, size = 0;
        for (uint32_t k = 0; k < (uint32_t)n; k++) {
            uint32_t ia = i * (uint32_t)n + k, ib = j * (uint32_t)n + k;
            float x = products_half((deep_hash(ia / 2) & t->mask) | t->bits, ia & 1), y = products_half((deep_hash(ib / 2) & t->mask) | t->bits, ib & 1);
            sum += (double)x * y;
            size += fabs((double)x * y);
        }
        uint32_t at = j * (uint32_t)n + i; /* columns of the result lie one after the other */
        if (r->p->cuda.to_host(&word, r->out + (at / 2) * 4, 4)) return -1;
        double got = products_half(word, at & 1);
        wrong += !(fabs(got - sum) <= fabs(sum) * 0x1p-8 + size * 1e-5);
    }
    return wrong;
}

static void products_load(products_run *r, const deep_load *load) {
    deep *p = r->p;
    deep_gpu *g = r->g;
    unsigned n = 0;
    if (!load->samples) return;
    deep_say(p, g, "clock", "%.0f", load->clock_sum / load->samples);
    deep_say(p, g, "clock_min", "%u", load->clock_min);
    if (p->nvml.clock_max && !p->nvml.clock_max(g->nvml, 1, &n)) deep_say(p, g, "clock_limit", "%u", n);
    deep_say(p, g, "power", "%u", load->power);
    if (p->nvml.power_limit && !p->nvml.power_limit(g->nvml, &n)) deep_say(p, g, "power_limit", "%u", n / 1000);
    if (p->nvml.power_default && !p->nvml.power_default(g->nvml, &n)) deep_say(p, g, "power_default", "%u", n / 1000);
    deep_say(p, g, "temperature", "%u", load->temperature);
    deep_say(p, g, "reasons", "0x%llx", load->reasons);
    deep_say(p, g, "samples", "%d", load->samples);
    deep_say(p, g, "throttled", "%d", load->throttled);
    deep_say(p, g, "capped", "%d", load->power_capped);
}

static void products_gpu(products_run *r) {
    deep *p = r->p;
    deep_gpu *g = r->g;
    int64_t n = g->sms >= 60 && g->free > (size_t)3 << 30 ? 8192 : 4096;
    int code = 0, refused = 0;
    deep_load none = {0}, load = {0};
    deep_kernels(p, g); /* without them the operands are constants */
    if (deep_failed(p, g, "cuMemAlloc", p->cuda.alloc(&r->a, (size_t)(n * n * 4)) || p->cuda.alloc(&r->b, (size_t)(n * n * 4)) ? 2 : 0)) return;
    if (deep_failed(p, g, "cuMemAlloc", p->cuda.alloc(&r->out, (size_t)(n * n * 4)) || p->cuda.alloc(&r->workspace, LT_WORKSPACE_BYTES) ? 2 : 0)) return;
    if (deep_failed(p, g, "cublasLtCreate", r->blas.create(&r->handle))) return;
    deep_say(p, g, "size", "%lld", (long long)n);
    for (int i = 0; i < TAPER_COUNT(products_types); i++) {
        const struct products_type *t = &products_types[i];
        if (g->cc < t->least_cc) continue;
        size_t words = (size_t)(n * n) * (size_t)t->bytes / 4;
        code = deep_fill(p, g, r->a, words, t->mask, t->bits);
        if (!code) code = deep_fill(p, g, r->b, words, t->mask, t->bits);
        if (deep_failed(p, g, "cuLaunchKernel", code)) return;
        bool last = i + 1 == TAPER_COUNT(products_types);
        double rate = products_time(r, t, n, n, t->seconds, last ? &load : &none, &refused);
        if (refused) deep_say(p, g, t->name, "no %d", refused);
        else deep_say(p, g, t->name, "%.1f", rate);
        if (deep_failed(p, g, "product", p->cuda.stream_wait(g->stream))) return;
        if (!last || refused) continue;
        if (g->fill) deep_say(p, g, "wrong", "%d", products_wrong(r, t, n));
        products_load(r, &load);
        for (int64_t k = 4096; k >= 4095; k--) {
            rate = products_time(r, t, 4096, k, 0.05, &none, &refused);
            if (!refused) deep_say(p, g, k == 4096 ? "bf16_4096" : "bf16_4095", "%.1f", rate);
        }
    }
    p->cuda.free(r->a), p->cuda.free(r->b), p->cuda.free(r->out), p->cuda.free(r->workspace);
}

static void products_probe(doctor_out *o, void *ctx) {
    static const char *const names[] = {"libcublasLt.so.13", "libcublasLt.so.12", "libcublasLt.so.11", NULL};
    char why[1400];
    (void)ctx;
    deep *p = deep_open(o);
    if (!p) return;
    products_run r = {.p = p};
    int major = p->driver / 1000; /* a library newer than the driver does not start */
    taper_library *library = taper__library_open(names + (major >= 13 ? 0 : major == 12 ? 1 : 2), why, sizeof why);
    if (!library || !taper__library_table(library, products_symbols, &r.blas, why, sizeof why)) {
        doctor_say(o, "blas", "no: %s", why);
        return;
    }
    doctor_say(o, "blas", "%s", taper__library_path(library));
    doctor_say(o, "blas_version", "%zu", r.blas.version());
    for (int i = 0; i < p->count; i++)
        if ((r.g = deep_enter(p, i))) products_gpu(&r);
}

const doctor_facts *doctor_products(doctor *d) { return doctor_probe(d, "deep_products", products_probe, NULL, 60000); }
