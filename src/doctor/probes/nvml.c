/* The probe "nvml": driver and GPUs as NVML tells, without a CUDA context. Its keys:
 * open (path, or "no: " and the loader's words), init (code), driver, cuda (13000 is 13.0), count; for each gpu.I: error (code, when
 * the handle cannot be had), name, uuid, bus, cc (9.0), memory_total memory_free memory_used (bytes). */
#include "doctor/probes/library.h"

#include <stdio.h>
#include <string.h>

static void nvml_gpu(doctor_out *o, taper_library *library, unsigned i) {
    char key[64], text[256] = "";
    void *gpu = NULL;
    int r, major = 0, minor = 0;
    unsigned long long memory[3] = {0};
    struct {
        char legacy[16];
        unsigned domain, bus, device, pci_device, subsystem;
        char id[32];
        char spare[32];
    } pci = {0};
    NVML_CALL(r, "nvmlDeviceGetHandleByIndex_v2", (unsigned, void **), i, &gpu);
    snprintf(key, sizeof key, "gpu.%u.error", i);
    doctor_say(o, key, "%d", r);
    if (r) return;
#define SAY(field, ...) (snprintf(key, sizeof key, "gpu.%u." field, i), doctor_say(o, key, __VA_ARGS__))
    NVML_CALL(r, "nvmlDeviceGetName", (void *, char *, unsigned), gpu, text, sizeof text);
    if (!r) SAY("name", "%s", text);
    NVML_CALL(r, "nvmlDeviceGetUUID", (void *, char *, unsigned), gpu, text, sizeof text);
    if (!r) SAY("uuid", "%s", text);
    NVML_CALL(r, "nvmlDeviceGetPciInfo_v3", (void *, void *), gpu, &pci);
    if (!r) SAY("bus", "%.*s", (int)sizeof pci.id, pci.id);
    NVML_CALL(r, "nvmlDeviceGetCudaComputeCapability", (void *, int *, int *), gpu, &major, &minor);
    if (!r) SAY("cc", "%d.%d", major, minor);
    NVML_CALL(r, "nvmlDeviceGetMemoryInfo", (void *, void *), gpu, memory);
    if (!r) SAY("memory_total", "%llu", memory[0]), SAY("memory_free", "%llu", memory[1]), SAY("memory_used", "%llu", memory[2]);
#undef SAY
}

static void nvml_run(doctor_out *o, void *ctx) {
    static const char *const names[] = {"libnvidia-ml.so.1", NULL};
    char why[1400], text[128] = "";
    int r, cuda = 0;
    unsigned n = 0;
    (void)ctx;
    taper_library *library = taper__library_open(names, why, sizeof why);
    if (!library) {
        doctor_say(o, "open", "no: %s", why);
        return;
    }
    doctor_say(o, "open", "%s", taper__library_path(library));
    NVML_CALL(r, "nvmlInit_v2", (void), );
    doctor_say(o, "init", "%d", r);
    if (r) return;
    NVML_CALL(r, "nvmlSystemGetDriverVersion", (char *, unsigned), text, sizeof text);
    if (!r) doctor_say(o, "driver", "%s", text);
    NVML_CALL(r, "nvmlSystemGetCudaDriverVersion_v2", (int *), &cuda);
    if (!r) doctor_say(o, "cuda", "%d", cuda);
    NVML_CALL(r, "nvmlDeviceGetCount_v2", (unsigned *), &n);
    doctor_say(o, "count", "%u", r ? 0 : n);
    for (unsigned i = 0; i < n; i++) nvml_gpu(o, library, i);
}

const doctor_facts *doctor_nvml(doctor *d) { return doctor_probe(d, "nvml", nvml_run, NULL, 10000); }
