/* NVML by run-time table: names and memory of the machine's GPUs, for messages and the doctor. */
#include <stddef.h>
#include <stdio.h>

#include "device/cuda/gpu.h"
#include "device/cuda/nvrtc.h"

static struct nvml_table {
    int (*init)(void);
    const char *(*error_string)(int result);
    int (*driver)(char *text, unsigned size);
    int (*count)(unsigned *n);
    int (*handle)(unsigned number, void **device);
    int (*name)(void *device, char *text, unsigned size);
    int (*memory)(void *device, unsigned long long *total_free_used);
} nvml;

static const taper_symbol nvml_symbols[] = {
    {"nvmlInit_v2", offsetof(struct nvml_table, init), false},
    {"nvmlErrorString", offsetof(struct nvml_table, error_string), false},
    {"nvmlSystemGetDriverVersion", offsetof(struct nvml_table, driver), false},
    {"nvmlDeviceGetCount_v2", offsetof(struct nvml_table, count), false},
    {"nvmlDeviceGetHandleByIndex_v2", offsetof(struct nvml_table, handle), false},
    {"nvmlDeviceGetName", offsetof(struct nvml_table, name), false},
    {"nvmlDeviceGetMemoryInfo", offsetof(struct nvml_table, memory), false},
    {NULL, 0, false},
};

static pthread_once_t nvml_once = PTHREAD_ONCE_INIT;
static char nvml_why[1400];
static bool nvml_ready;

static void nvml_load(void) {
    static const char *const names[] = {"libnvidia-ml.so.1", NULL};
    taper_library *library = taper__library_open(names, nvml_why, sizeof nvml_why);
    if (!library || !taper__library_table(library, nvml_symbols, &nvml, nvml_why, sizeof nvml_why)) return;
    int r = nvml.init();
    if (r) snprintf(nvml_why, sizeof nvml_why, "NVML does not start: %s", nvml.error_string(r));
    nvml_ready = !r;
}

int taper__nvml_count(char *why, size_t why_size) {
    unsigned n = 0;
    pthread_once(&nvml_once, nvml_load);
    if (!nvml_ready && why) snprintf(why, why_size, "%s", nvml_why);
    if (nvml_ready) nvml.count(&n);
    return (int)n;
}

bool taper__nvml_gpu(taper_nvml_gpu *out, int number, char *why, size_t why_size) {
    unsigned long long memory[3] = {0};
    void *device = NULL;
    if (!taper__nvml_count(why, why_size)) return false;
    *out = (taper_nvml_gpu){{0}, {0}, 0, 0, 0};
    int r = nvml.driver(out->driver, sizeof out->driver);
    if (!r) r = nvml.handle((unsigned)number, &device);
    if (!r) r = nvml.name(device, out->name, sizeof out->name);
    if (!r) r = nvml.memory(device, memory);
    if (r && why) snprintf(why, why_size, "NVML: %s (GPU %d)", nvml.error_string(r), number);
    out->total = memory[0];
    out->free = memory[1];
    out->used = memory[2];
    return !r;
}
