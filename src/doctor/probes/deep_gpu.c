/* GPUs for the measuring probes: driver table, contexts, kernels, readings under load. */
#include "doctor/probes/deep.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const taper_symbol deep_cuda_symbols[] = {
    {"cuInit", offsetof(deep_cuda, init), false},
    {"cuDriverGetVersion", offsetof(deep_cuda, driver_version), false},
    {"cuDeviceGetCount", offsetof(deep_cuda, count), false},
    {"cuDeviceGet", offsetof(deep_cuda, device), false},
    {"cuDeviceGetName", offsetof(deep_cuda, name), false},
    {"cuDeviceGetPCIBusId", offsetof(deep_cuda, bus), false},
    {"cuDeviceGetAttribute", offsetof(deep_cuda, attribute), false},
    {"cuDevicePrimaryCtxRetain", offsetof(deep_cuda, retain), false},
    {"cuCtxSetCurrent", offsetof(deep_cuda, enter), false},
    {"cuMemGetInfo_v2", offsetof(deep_cuda, info), false},
    {"cuMemAlloc_v2", offsetof(deep_cuda, alloc), false},
    {"cuMemFree_v2", offsetof(deep_cuda, free), false},
    {"cuMemHostAlloc", offsetof(deep_cuda, host_alloc), false},
    {"cuMemFreeHost", offsetof(deep_cuda, host_free), false},
    {"cuMemcpyHtoD_v2", offsetof(deep_cuda, to_gpu), false},
    {"cuMemcpyDtoH_v2", offsetof(deep_cuda, to_host), false},
    {"cuMemcpyHtoDAsync_v2", offsetof(deep_cuda, to_gpu_async), false},
    {"cuMemcpyDtoHAsync_v2", offsetof(deep_cuda, to_host_async), false},
    {"cuMemcpyDtoDAsync_v2", offsetof(deep_cuda, within), false},
    {"cuMemsetD32Async", offsetof(deep_cuda, set), false},
    {"cuStreamCreate", offsetof(deep_cuda, stream), false},
    {"cuStreamSynchronize", offsetof(deep_cuda, stream_wait), false},
    {"cuStreamQuery", offsetof(deep_cuda, stream_query), false},
    {"cuEventCreate", offsetof(deep_cuda, event), false},
    {"cuEventRecord", offsetof(deep_cuda, event_record), false},
    {"cuEventSynchronize", offsetof(deep_cuda, event_wait), false},
    {"cuEventElapsedTime", offsetof(deep_cuda, event_ms), false},
    {"cuModuleLoadData", offsetof(deep_cuda, module), false},
    {"cuModuleGetFunction", offsetof(deep_cuda, function), false},
    {"cuLaunchKernel", offsetof(deep_cuda, launch), false},
    {"cuCtxSynchronize", offsetof(deep_cuda, wait), false},
    {"cuDeviceCanAccessPeer", offsetof(deep_cuda, can_access), false},
    {"cuCtxEnablePeerAccess", offsetof(deep_cuda, peer_enable), false},
    {"cuMemcpyPeerAsync", offsetof(deep_cuda, peer_copy), false},
    {NULL, 0, false},
};

static const taper_symbol deep_nvml_symbols[] = {
    {"nvmlInit_v2", offsetof(deep_nvml, init), false},
    {"nvmlDeviceGetHandleByPciBusId_v2", offsetof(deep_nvml, by_bus), false},
    {"nvmlDeviceGetCurrPcieLinkGeneration", offsetof(deep_nvml, link_gen), true},
    {"nvmlDeviceGetCurrPcieLinkWidth", offsetof(deep_nvml, link_width), true},
    {"nvmlDeviceGetMaxPcieLinkGeneration", offsetof(deep_nvml, link_gen_max), true},
    {"nvmlDeviceGetMaxPcieLinkWidth", offsetof(deep_nvml, link_width_max), true},
    {"nvmlDeviceGetClockInfo", offsetof(deep_nvml, clock), true},
    {"nvmlDeviceGetMaxClockInfo", offsetof(deep_nvml, clock_max), true},
    {"nvmlDeviceGetPowerUsage", offsetof(deep_nvml, power), true},
    {"nvmlDeviceGetEnforcedPowerLimit", offsetof(deep_nvml, power_limit), true},
    {"nvmlDeviceGetPowerManagementDefaultLimit", offsetof(deep_nvml, power_default), true},
    {"nvmlDeviceGetCurrentClocksEventReasons", offsetof(deep_nvml, reasons), true},
    {"nvmlDeviceGetCurrentClocksThrottleReasons", offsetof(deep_nvml, reasons_old), true},
    {"nvmlDeviceGetTemperature", offsetof(deep_nvml, temperature), true},
    {"nvmlDeviceGetUtilizationRates", offsetof(deep_nvml, utilization), true},
    {"nvmlDeviceGetP2PStatus", offsetof(deep_nvml, peer_status), true},
    {"nvmlDeviceGetNvLinkState", offsetof(deep_nvml, link_state), true},
    {"nvmlDeviceGetNvLinkRemoteDeviceType", offsetof(deep_nvml, link_remote), true},
    {NULL, 0, false},
};

/* PTX of the least version that every driver since 2018 compiles for every GPU. hash: two rounds of multiply and shift. */
#define DEEP_INDEX                                                                                                        \
    "mov.u32 %r3, %ctaid.x;\nmov.u32 %r4, %ntid.x;\nmov.u32 %r5, %tid.x;\nmad.lo.s32 %r6, %r3, %r4, %r5;\n"               \
    "setp.ge.u32 %p0, %r6, %r0;\n@%p0 bra done;\n"
#define DEEP_HASH                                                                                                         \
    "mul.lo.u32 %r7, %r6, 0x9E3779B1;\nshr.u32 %r8, %r7, 15;\nxor.b32 %r7, %r7, %r8;\n"                                    \
    "mul.lo.u32 %r7, %r7, 0x85EBCA77;\nshr.u32 %r8, %r7, 13;\nxor.b32 %r7, %r7, %r8;\n"
#define DEEP_ADDRESS "cvta.to.global.u64 %d1, %d0;\nmul.wide.u32 %d2, %r6, 4;\nadd.s64 %d1, %d1, %d2;\n"
#define DEEP_REGISTERS "{\n.reg .pred %p<2>;\n.reg .b32 %r<16>;\n.reg .b64 %d<6>;\nld.param.u64 %d0, [data];\nld.param.u32 %r0, [count];\n"
static const char deep_ptx[] =
    ".version 6.0\n.target sm_50\n.address_size 64\n"
    ".visible .entry nothing()\n{\nret;\n}\n"
    ".visible .entry fill(.param .u64 data, .param .u32 count, .param .u32 mask, .param .u32 bits)\n" DEEP_REGISTERS
    "ld.param.u32 %r1, [mask];\nld.param.u32 %r2, [bits];\n" DEEP_INDEX DEEP_HASH
    "and.b32 %r7, %r7, %r1;\nor.b32 %r7, %r7, %r2;\n" DEEP_ADDRESS "st.global.u32 [%d1], %r7;\ndone:\nret;\n}\n"
    ".visible .entry check(.param .u64 data, .param .u32 count, .param .u64 wrong)\n" DEEP_REGISTERS
    "ld.param.u64 %d3, [wrong];\n" DEEP_INDEX DEEP_HASH DEEP_ADDRESS
    "ld.global.u32 %r9, [%d1];\nsetp.eq.u32 %p0, %r9, %r7;\n@%p0 bra done;\n"
    "cvta.to.global.u64 %d4, %d3;\nred.global.add.u32 [%d4], 1;\ndone:\nret;\n}\n";

uint32_t deep_hash(uint32_t i) {
    i *= 0x9E3779B1u;
    i ^= i >> 15;
    i *= 0x85EBCA77u;
    return i ^ i >> 13;
}

double deep_now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

void deep_say(deep *p, const deep_gpu *g, const char *field, const char *format, ...) {
    char key[80], text[512];
    va_list ap;
    snprintf(key, sizeof key, "gpu.%d.%s", g->index, field);
    va_start(ap, format);
    vsnprintf(text, sizeof text, format, ap);
    va_end(ap);
    doctor_say(p->out, key, "%s", text);
}

int deep_failed(deep *p, const deep_gpu *g, const char *call, int code) {
    if (code) deep_say(p, g, "error", "%s %d", call, code);
    return code;
}

deep *deep_open(doctor_out *o) {
    static const char *const driver[] = {"libcuda.so.1", NULL}, *const nvml[] = {"libnvidia-ml.so.1", NULL};
    static deep p;
    char why[1400];
    p.out = o;
    setenv("CUDA_CACHE_DISABLE", "1", 1); /* so that compiling is measured, and nothing is left behind */
    taper_library *library = taper__library_open(driver, why, sizeof why);
    if (!library || !taper__library_table(library, deep_cuda_symbols, &p.cuda, why, sizeof why)) {
        doctor_say(o, "open", "no: %s", why);
        return NULL;
    }
    int code = p.cuda.init(0);
    doctor_say(o, "init", "%d", code);
    if (code || p.cuda.count(&p.count)) return NULL;
    p.cuda.driver_version(&p.driver);
    if (p.count > DEEP_GPUS) p.count = DEEP_GPUS;
    doctor_say(o, "count", "%d", p.count);
    library = taper__library_open(nvml, why, sizeof why);
    p.has_nvml = library && taper__library_table(library, deep_nvml_symbols, &p.nvml, why, sizeof why) && !p.nvml.init();
    return &p;
}

deep_gpu *deep_enter(deep *p, int i) {
    enum { CLOCK_KHZ = 36, BUS_BITS = 37, SMS = 16, CC_MAJOR = 75, CC_MINOR = 76 };
    deep_gpu *g = &p->gpus[i];
    int major = 0, minor = 0, khz = 0, bits = 0;
    size_t total;
    g->index = i;
    if (deep_failed(p, g, "cuDeviceGet", p->cuda.device(&g->device, i))) return NULL;
    if (!p->cuda.name(g->name, sizeof g->name, g->device)) deep_say(p, g, "name", "%s", g->name);
    if (!p->cuda.bus(g->bus, sizeof g->bus, g->device)) deep_say(p, g, "bus", "%s", g->bus);
    p->cuda.attribute(&major, CC_MAJOR, g->device);
    p->cuda.attribute(&minor, CC_MINOR, g->device);
    p->cuda.attribute(&g->sms, SMS, g->device);
    if (!p->cuda.attribute(&khz, CLOCK_KHZ, g->device) && !p->cuda.attribute(&bits, BUS_BITS, g->device)) g->bandwidth = 2.0 * khz * (bits / 8) * 1e-6;
    g->cc = major * 10 + minor;
    deep_say(p, g, "cc", "%d.%d", major, minor);
    if (g->bandwidth > 0) deep_say(p, g, "bandwidth", "%.0f", g->bandwidth);
    if (deep_failed(p, g, "cuDevicePrimaryCtxRetain", p->cuda.retain(&g->context, g->device))) return NULL;
    if (deep_failed(p, g, "cuCtxSetCurrent", p->cuda.enter(g->context))) return NULL;
    if (deep_failed(p, g, "cuMemGetInfo", p->cuda.info(&g->free, &total))) return NULL;
    enum { NON_BLOCKING = 1 };
    if (deep_failed(p, g, "cuStreamCreate", p->cuda.stream(&g->stream, NON_BLOCKING))) return NULL;
    if (deep_failed(p, g, "cuEventCreate", p->cuda.event(&g->begin, 0) || p->cuda.event(&g->end, 0))) return NULL;
    if (!p->has_nvml || p->nvml.by_bus(g->bus, &g->nvml)) g->nvml = NULL;
    return g;
}

int deep_kernels(deep *p, deep_gpu *g) {
    void *module = NULL;
    double start = deep_now();
    int code = p->cuda.module(&module, deep_ptx);
    p->jit_ms = (deep_now() - start) * 1e3;
    if (!code) code = p->cuda.function(&g->nothing, module, "nothing");
    if (!code) code = p->cuda.function(&g->fill, module, "fill");
    if (!code) code = p->cuda.function(&g->check, module, "check");
    if (code) g->nothing = g->fill = g->check = NULL;
    return code;
}

int deep_fill(deep *p, deep_gpu *g, deep_memory data, size_t words, unsigned mask, unsigned bits) {
    unsigned n = (unsigned)words;
    void *arguments[] = {&data, &n, &mask, &bits};
    if (!g->fill) return p->cuda.set(data, bits, words, g->stream);
    return p->cuda.launch(g->fill, (n + 255) / 256, 1, 1, 256, 1, 1, 0, g->stream, arguments, NULL);
}

int64_t deep_wrong(deep *p, deep_gpu *g, deep_memory data, size_t words) {
    unsigned n = (unsigned)words, wrong = 0;
    deep_memory counter = 0;
    if (!g->check || p->cuda.alloc(&counter, 4)) return -1;
    void *arguments[] = {&data, &n, &counter};
    int code = p->cuda.set(counter, 0, 1, g->stream);
    if (!code) code = p->cuda.launch(g->check, (n + 255) / 256, 1, 1, 256, 1, 1, 0, g->stream, arguments, NULL);
    if (!code) code = p->cuda.stream_wait(g->stream);
    if (!code) code = p->cuda.to_host(&wrong, counter, 4);
    p->cuda.free(counter);
    return code ? -1 : (int64_t)wrong;
}

static void deep_sample(deep *p, deep_gpu *g, deep_load *load) {
    enum { SM_CLOCK = 1, POWER_CAP = 0x4, HW_SLOWDOWN = 0x8, SW_THERMAL = 0x20, HW_THERMAL = 0x40, POWER_BRAKE = 0x80 };
    unsigned n = 0;
    unsigned long long reasons = 0;
    if (p->nvml.link_gen && !p->nvml.link_gen(g->nvml, &n) && n > load->gen) load->gen = n;
    if (p->nvml.link_width && !p->nvml.link_width(g->nvml, &n) && n > load->width) load->width = n;
    if (p->nvml.temperature && !p->nvml.temperature(g->nvml, 0, &n) && n > load->temperature) load->temperature = n;
    if (p->nvml.power && !p->nvml.power(g->nvml, &n) && n / 1000 > load->power) load->power = n / 1000;
    if (p->nvml.clock && !p->nvml.clock(g->nvml, SM_CLOCK, &n)) {
        if (!load->clock_min || n < load->clock_min) load->clock_min = n;
        if (n > load->clock_max) load->clock_max = n;
        load->clock_sum += n;
    }
    int (*read)(void *, unsigned long long *) = p->nvml.reasons ? p->nvml.reasons : p->nvml.reasons_old;
    if (read && !read(g->nvml, &reasons)) {
        load->reasons |= reasons;
        load->throttled += (reasons & (HW_SLOWDOWN | SW_THERMAL | HW_THERMAL | POWER_BRAKE)) != 0;
        load->power_capped += (reasons & POWER_CAP) != 0;
    }
    load->samples++;
}

int deep_wait(deep *p, deep_gpu *g, deep_load *load) {
    enum { NOT_READY = 600 };
    int code;
    while ((code = p->cuda.stream_query(g->stream)) == NOT_READY) {
        if (g->nvml) deep_sample(p, g, load);
        struct timespec rest = {0, 5000000};
        nanosleep(&rest, NULL);
    }
    return code;
}
