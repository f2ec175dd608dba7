/* The probe "cuda": what the driver API says, in a child because cuInit can hang and an error can stick. Its keys:
 * open (path, or "no: " and the loader's words), init (code), init_ms, driver (13000 is 13.0), count; for each gpu.I: name, uuid, bus, cc,
 * context (code of cuDevicePrimaryCtxRetain), context_ms, memory_free memory_total (bytes). */
#include "doctor/probes/library.h"

#include <stdio.h>
#include <time.h>

static double cuda_ms(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec * 1e-6;
}

static void cuda_gpu(doctor_out *o, taper_library *library, int i) {
    enum { CC_MAJOR = 75, CC_MINOR = 76 };
    char key[64], text[256] = "";
    unsigned char id[16];
    int r, gpu = 0, major = 0, minor = 0;
    size_t memory[2] = {0};
    void *context = NULL;
#define SAY(field, ...) (snprintf(key, sizeof key, "gpu.%d." field, i), doctor_say(o, key, __VA_ARGS__))
    CUDA_CALL(r, "cuDeviceGet", (int *, int), &gpu, i);
    if (r) {
        SAY("context", "%d", r);
        return;
    }
    CUDA_CALL(r, "cuDeviceGetName", (char *, int, int), text, sizeof text, gpu);
    if (!r) SAY("name", "%s", text);
    CUDA_CALL(r, "cuDeviceGetUuid_v2", (void *, int), id, gpu);
    if (!r)
        SAY("uuid", "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", id[0], id[1], id[2], id[3], id[4], id[5], id[6], id[7],
            id[8], id[9], id[10], id[11], id[12], id[13], id[14], id[15]);
    CUDA_CALL(r, "cuDeviceGetPCIBusId", (char *, int, int), text, sizeof text, gpu);
    if (!r) SAY("bus", "%s", text);
    CUDA_CALL(r, "cuDeviceGetAttribute", (int *, int, int), &major, CC_MAJOR, gpu);
    if (!r) CUDA_CALL(r, "cuDeviceGetAttribute", (int *, int, int), &minor, CC_MINOR, gpu);
    if (!r) SAY("cc", "%d.%d", major, minor);
    double start = cuda_ms();
    CUDA_CALL(r, "cuDevicePrimaryCtxRetain", (void **, int), &context, gpu);
    SAY("context", "%d", r);
    if (r) return;
    SAY("context_ms", "%.1f", cuda_ms() - start);
    CUDA_CALL(r, "cuCtxSetCurrent", (void *), context);
    if (!r) CUDA_CALL(r, "cuMemGetInfo_v2", (size_t *, size_t *), &memory[0], &memory[1]);
    if (!r) SAY("memory_free", "%zu", memory[0]), SAY("memory_total", "%zu", memory[1]);
    CUDA_CALL(r, "cuDevicePrimaryCtxRelease_v2", (int), gpu);
#undef SAY
}

static void cuda_run(doctor_out *o, void *ctx) {
    static const char *const names[] = {"libcuda.so.1", NULL};
    char why[1400];
    int r, version = 0, n = 0;
    (void)ctx;
    taper_library *library = taper__library_open(names, why, sizeof why);
    if (!library) {
        doctor_say(o, "open", "no: %s", why);
        return;
    }
    doctor_say(o, "open", "%s", taper__library_path(library));
    double start = cuda_ms();
    CUDA_CALL(r, "cuInit", (unsigned), 0);
    doctor_say(o, "init", "%d", r);
    doctor_say(o, "init_ms", "%.1f", cuda_ms() - start);
    int known; /* also where cuInit fails */
    CUDA_CALL(known, "cuDriverGetVersion", (int *), &version);
    if (!known) doctor_say(o, "driver", "%d", version);
    if (r) return;
    CUDA_CALL(r, "cuDeviceGetCount", (int *), &n);
    doctor_say(o, "count", "%d", r ? 0 : n);
    for (int i = 0; i < n; i++) cuda_gpu(o, library, i);
}

const doctor_facts *doctor_cuda(doctor *d) { return doctor_probe(d, "cuda", cuda_run, NULL, 20000); }
