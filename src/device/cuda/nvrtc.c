/* NVRTC by run-time table. */
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "device/cuda/gpu.h"
#include "device/cuda/nvrtc.h"

static struct nvrtc_table {
    int (*version)(int *major, int *minor);
    const char *(*error_string)(int result);
    int (*create)(void **program, const char *source, const char *name, int headers, const char *const *texts,
                  const char *const *names);
    int (*destroy)(void **program);
    int (*compile)(void *program, int count, const char *const *options);
    int (*cubin_size)(void *program, size_t *bytes);
    int (*cubin)(void *program, char *cubin);
    int (*log_size)(void *program, size_t *bytes);
    int (*log)(void *program, char *text);
} nvrtc;

static const taper_symbol nvrtc_symbols[] = {
    {"nvrtcVersion", offsetof(struct nvrtc_table, version), false},
    {"nvrtcGetErrorString", offsetof(struct nvrtc_table, error_string), false},
    {"nvrtcCreateProgram", offsetof(struct nvrtc_table, create), false},
    {"nvrtcDestroyProgram", offsetof(struct nvrtc_table, destroy), false},
    {"nvrtcCompileProgram", offsetof(struct nvrtc_table, compile), false},
    {"nvrtcGetCUBINSize", offsetof(struct nvrtc_table, cubin_size), false},
    {"nvrtcGetCUBIN", offsetof(struct nvrtc_table, cubin), false},
    {"nvrtcGetProgramLogSize", offsetof(struct nvrtc_table, log_size), false},
    {"nvrtcGetProgramLog", offsetof(struct nvrtc_table, log), false},
    {NULL, 0, false},
};

enum { NVRTC_OPTIONS = 24 };
static pthread_once_t nvrtc_once = PTHREAD_ONCE_INIT;
static char nvrtc_why[1400];
static bool nvrtc_ready;

static void nvrtc_load(void) {
    static const char *const names[] = {"libnvrtc.so.13", "libnvrtc.so.12", "libnvrtc.so.11.2", NULL};
    const char *why;
    if (!taper__driver_open(&why)) {
        snprintf(nvrtc_why, sizeof nvrtc_why, "%s", why);
        return;
    }
    if (!taper__provider_allowed("nvrtc", nvrtc_why, sizeof nvrtc_why)) return;
    /* A cubin of a newer major version is refused by the driver. */
    int major = taper__driver_version() / 1000;
    taper_library *library = taper__library_open(names + (major >= 13   ? 0
                                                          : major == 12 ? 1
                                                                        : 2),
                                                 nvrtc_why, sizeof nvrtc_why);
    nvrtc_ready = library && taper__library_table(library, nvrtc_symbols, &nvrtc, nvrtc_why, sizeof nvrtc_why);
}

bool taper__nvrtc_available(char *why, size_t why_size) {
    pthread_once(&nvrtc_once, nvrtc_load);
    if (!nvrtc_ready && why) snprintf(why, why_size, "%s", nvrtc_why);
    return nvrtc_ready;
}

static taper_status nvrtc_failed(void *program, int r, const char *name) {
    char *text = NULL;
    size_t size = 0;
    if (program && !nvrtc.log_size(program, &size) && size > 1) text = taper__alloc(size + 1);
    if (text) {
        nvrtc.log(program, text);
        text[size] = 0;
    }
    taper_status st = TAPER_FAIL(TAPER_RUNTIME, "NVRTC: %s in %s%s%.1500s", nvrtc.error_string(r), name,
                                 text ? ":\n" : "", text ? text : "");
    taper__free(text);
    return st;
}

taper_status taper__nvrtc_compile(void **cubin, size_t *bytes, const char *source, const char *name,
                                  const char *const *options, int index) {
    char why[1400], architecture[40];
    const char *list[NVRTC_OPTIONS] = {architecture, "--std=c++17"};
    int count = 2, r;
    size_t size = 0;
    void *program = NULL, *out = NULL;
    taper_status st = TAPER_OK;
    if (!taper__nvrtc_available(why, sizeof why)) return TAPER_FAIL(TAPER_NOT_IMPLEMENTED, "%s: %s", name, why);
    TAPER_TRY(taper__cuda_enter(&index));
    int capability = taper__gpus[index].capability;
    snprintf(architecture, sizeof architecture, "--gpu-architecture=sm_%d%s", capability, capability >= 90 ? "a" : "");
    for (int i = 0; options && options[i]; i++) {
        if (count == NVRTC_OPTIONS) return TAPER_FAIL(TAPER_VALUE, "NVRTC: more than %d options", NVRTC_OPTIONS - 2);
        list[count++] = options[i];
    }
    r = nvrtc.create(&program, source, name, 0, NULL, NULL);
    if (!r) r = nvrtc.compile(program, count, list);
    if (!r) r = nvrtc.cubin_size(program, &size);
    if (r) TAPER_TRY_GOTO(nvrtc_failed(program, r, name));
    out = taper__alloc(size);
    if (!out) TAPER_TRY_GOTO(TAPER_FAIL(TAPER_MEMORY, "NVRTC: out of memory for %zu bytes of machine code", size));
    r = nvrtc.cubin(program, out);
    if (r) TAPER_TRY_GOTO(nvrtc_failed(program, r, name));
    *cubin = out;
    *bytes = size;
    out = NULL;
out:
    taper__free(out);
    if (program) nvrtc.destroy(&program);
    return st;
}
