/* The part of the probe "sample" that asks NVML: use and power of the GPUs, whose processes run there, errors meanwhile. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "doctor/job.h"
#include "doctor/probes/library.h"

enum { SAMPLE_GPUS = 16 };

typedef struct sample_gpu {
    void *handle;
    char utilisation[128], power[128], clock[128];
} sample_gpu;

static void sample_append(char *list, size_t room, bool known, double value) {
    size_t n = strlen(list);
    if (known) snprintf(list + n, room - n, "%s%.0f", n ? " " : "", value);
}

static void sample_gpu_facts(doctor_out *o, taper_library *library, unsigned i, void *gpu) {
    enum { PIDS = 256 };
    struct { unsigned pid; unsigned long long used; unsigned instance, compute; } *list = calloc(PIDS, sizeof *list);
    struct { char legacy[16]; unsigned domain, bus, device, pci_device, subsystem; char id[32]; char spare[32]; } pci = {0};
    char key[64], text[2400] = "";
    unsigned value = 0, count = PIDS;
    int r;
#define SAY(field, ...) (snprintf(key, sizeof key, "gpu.%u." field, i), doctor_say(o, key, __VA_ARGS__))
    NVML_CALL(r, "nvmlDeviceGetName", (void *, char *, unsigned), gpu, text, sizeof text);
    if (!r) SAY("name", "%s", text);
    NVML_CALL(r, "nvmlDeviceGetUUID", (void *, char *, unsigned), gpu, text, sizeof text);
    if (!r) SAY("uuid", "%s", text);
    NVML_CALL(r, "nvmlDeviceGetPciInfo_v3", (void *, void *), gpu, &pci);
    if (!r) SAY("bus", "%.*s", (int)sizeof pci.id, pci.id);
    NVML_CALL(r, "nvmlDeviceGetMinorNumber", (void *, unsigned *), gpu, &value);
    if (!r) SAY("minor", "%u", value);
    NVML_CALL(r, "nvmlDeviceGetEnforcedPowerLimit", (void *, unsigned *), gpu, &value);
    if (!r) SAY("limit", "%.0f", value * 1e-3);
    NVML_CALL(r, "nvmlDeviceGetComputeRunningProcesses_v3", (void *, unsigned *, void *), gpu, &count, list);
    for (unsigned k = 0, used = 0; list && !r && k < count && k < PIDS && used < sizeof text - 16; k++)
        used += (unsigned)snprintf(text + used, sizeof text - used, "%s%u", used ? " " : "", list[k].pid);
    if (!r) SAY("pids", "%s", count ? text : "");
#undef SAY
    free(list);
}

void *doctor_job_gpu_sampler(void *out) {
    static const char *const names[] = {"libnvidia-ml.so.1", NULL};
    doctor_out *o = out;
    char why[1400], key[64];
    static sample_gpu gpus[SAMPLE_GPUS];
    unsigned n = 0, xids = 0;
    int r;
    void *events = NULL;
    struct { void *device; unsigned long long type, data; unsigned gpu_instance, compute_instance; } event;
    taper_library *library = taper__library_open(names, why, sizeof why);
    if (!library) return NULL;
    NVML_CALL(r, "nvmlInit_v2", (void), );
    doctor_say(o, "nvml", "%d", r);
    if (r) return NULL;
    NVML_CALL(r, "nvmlDeviceGetCount_v2", (unsigned *), &n);
    NVML_CALL(r, "nvmlEventSetCreate", (void **), &events);
    for (unsigned i = 0; i < n && i < SAMPLE_GPUS; i++) {
        NVML_CALL(r, "nvmlDeviceGetHandleByIndex_v2", (unsigned, void **), i, &gpus[i].handle);
        if (r) {
            gpus[i].handle = NULL;
            continue;
        }
        enum { XID_CRITICAL = 8 };
        if (events) NVML_CALL(r, "nvmlDeviceRegisterEvents", (void *, unsigned long long, void *), gpus[i].handle, XID_CRITICAL, events);
        sample_gpu_facts(o, library, i, gpus[i].handle);
    }
    for (int when = 0; when < JOB_SAMPLES; when++) {
        for (unsigned i = 0; i < n && i < SAMPLE_GPUS; i++) {
            struct { unsigned gpu, memory; } rates = {0, 0};
            unsigned value = 0;
            if (!gpus[i].handle) continue;
            NVML_CALL(r, "nvmlDeviceGetUtilizationRates", (void *, void *), gpus[i].handle, &rates);
            sample_append(gpus[i].utilisation, sizeof gpus[i].utilisation, !r, rates.gpu);
            NVML_CALL(r, "nvmlDeviceGetPowerUsage", (void *, unsigned *), gpus[i].handle, &value);
            sample_append(gpus[i].power, sizeof gpus[i].power, !r, value * 1e-3);
            NVML_CALL(r, "nvmlDeviceGetClockInfo", (void *, int, unsigned *), gpus[i].handle, 1, &value);
            sample_append(gpus[i].clock, sizeof gpus[i].clock, !r, value);
        }
        if (when + 1 == JOB_SAMPLES) break;
        struct timespec a, b;
        clock_gettime(CLOCK_MONOTONIC, &a);
        r = 1;
        if (events) NVML_CALL(r, "nvmlEventSetWait_v2", (void *, void *, unsigned), events, &event, JOB_PAUSE_MS);
        for (unsigned i = 0; !r && i < n && i < SAMPLE_GPUS && xids < 100; i++)
            if (gpus[i].handle == event.device) {
                snprintf(key, sizeof key, "xid.%u", xids++);
                doctor_say(o, key, "%u %llu", i, event.data);
            }
        clock_gettime(CLOCK_MONOTONIC, &b);
        double waited = (double)(b.tv_sec - a.tv_sec) * 1e3 + (double)(b.tv_nsec - a.tv_nsec) * 1e-6;
        if (waited < JOB_PAUSE_MS - 1) usleep((useconds_t)((JOB_PAUSE_MS - waited) * 1e3));
    }
    for (unsigned i = 0; i < n && i < SAMPLE_GPUS; i++) {
#define SAY(field, ...) (snprintf(key, sizeof key, "gpu.%u." field, i), doctor_say(o, key, __VA_ARGS__))
        if (gpus[i].utilisation[0]) SAY("utilisation", "%s", gpus[i].utilisation);
        if (gpus[i].power[0]) SAY("power", "%s", gpus[i].power);
        if (gpus[i].clock[0]) SAY("clock", "%s", gpus[i].clock);
#undef SAY
    }
    return NULL;
}
