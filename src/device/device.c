/* Device words: parsing, text, and the choice between the CPU's and the GPU's memory functions. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "device/cpu/cpu.h"
#include "device/cuda/cuda.h"

static const char *const device_names[TAPER_DEVICE_TYPE_COUNT] = {
    [TAPER_CPU] = "cpu",
    [TAPER_CUDA] = "cuda",
    [TAPER_META] = "meta",
};

taper_status taper_device_parse(taper_device *out, const char *text) {
    const char *colon = strchr(text, ':');
    size_t n = colon ? (size_t)(colon - text) : strlen(text);
    int type = 0;
    while (type < TAPER_DEVICE_TYPE_COUNT && (strlen(device_names[type]) != n || memcmp(device_names[type], text, n)))
        type++;
    if (type == TAPER_DEVICE_TYPE_COUNT)
        return TAPER_FAIL(TAPER_RUNTIME, "Expected one of cpu, cuda, meta device type at start of device string: %.*s",
                          (int)n, text);
    int index = type == TAPER_CUDA ? -1 : 0;
    if (colon) {
        size_t digits = strspn(colon + 1, "0123456789");
        bool leading_zero = digits > 1 && colon[1] == '0';
        if (!digits || digits > 3 || colon[1 + digits] || leading_zero)
            return TAPER_FAIL(TAPER_RUNTIME, "Invalid device string: '%s'", text);
        index = atoi(colon + 1);
        if (type == TAPER_CPU && index)
            return TAPER_FAIL(TAPER_RUNTIME, "CPU device index must be -1 or zero, got %d", index);
        if (index > INT8_MAX) return TAPER_FAIL(TAPER_RUNTIME, "Invalid device string: '%s'", text);
        if (type == TAPER_META) index = 0;
    }
    *out = (taper_device){(uint8_t)type, (int8_t)index};
    return TAPER_OK;
}

taper_device_text taper__device_text(taper_device device) {
    taper_device_text t;
    const char *name = device.type < TAPER_DEVICE_TYPE_COUNT ? device_names[device.type] : "?";
    if (device.type == TAPER_CUDA && device.index >= 0)
        snprintf(t.s, sizeof t.s, "%s:%d", name, device.index);
    else
        snprintf(t.s, sizeof t.s, "%s", name);
    return t;
}

taper_status taper__memory_alloc(void **out, size_t bytes, taper_device device, const char *tag) {
    if (TAPER_LIKELY(device.type == TAPER_CPU)) {
        void *p = taper__cpu_alloc(bytes);
        if (TAPER_UNLIKELY(!p))
            return TAPER_FAIL(TAPER_MEMORY,
                              "%s: DefaultCPUAllocator: can't allocate memory: you tried to allocate %zu bytes. "
                              "Error code 12 (Cannot allocate memory)",
                              tag, bytes);
        *out = p;
        return TAPER_OK;
    }
    if (device.type == TAPER_CUDA) return taper__cuda_memory_alloc(out, bytes, device.index, tag);
    *out = NULL; /* meta: shapes without data */
    return TAPER_OK;
}

void taper__memory_free(void *p, size_t bytes, taper_device device) {
    if (TAPER_LIKELY(device.type == TAPER_CPU))
        taper__cpu_free(p, bytes);
    else if (device.type == TAPER_CUDA)
        taper__cuda_memory_free(p, bytes, device.index);
}

taper_status taper__memory_copy(void *dst, taper_device to, const void *src, taper_device from, size_t bytes,
                                bool async) {
    if (to.type == TAPER_META || from.type == TAPER_META || !bytes) return TAPER_OK;
    if (to.type == TAPER_CPU && from.type == TAPER_CPU) {
        memmove(dst, src, bytes);
        return TAPER_OK;
    }
    if (to.type == TAPER_CPU) return taper__cuda_copy_to_host(dst, src, from.index, bytes, async);
    if (from.type == TAPER_CPU) return taper__cuda_copy_from_host(dst, to.index, src, bytes, async);
    return taper__cuda_copy_between(dst, to.index, src, from.index, bytes);
}

taper_status taper__memory_set(void *dst, int byte, size_t bytes, taper_device device) {
    if (device.type == TAPER_META || !bytes) return TAPER_OK;
    if (device.type == TAPER_CUDA) return taper__cuda_memory_set(dst, byte, bytes, device.index);
    memset(dst, byte, bytes);
    return TAPER_OK;
}

taper_status taper_memory_get_stats(taper_memory_stats *out, taper_device device) {
    if (device.type == TAPER_CUDA) return taper__cuda_memory_stats(out, device.index);
    if (device.type == TAPER_CPU)
        taper__cpu_memory_stats(out);
    else
        *out = (taper_memory_stats){0};
    return TAPER_OK;
}

taper_status taper_memory_reset_peak(taper_device device) {
    if (device.type == TAPER_CUDA) return taper__cuda_memory_reset_peak(device.index);
    if (device.type == TAPER_CPU) taper__cpu_memory_reset_peak();
    return TAPER_OK;
}

taper_status taper_memory_release_cached(taper_device device) {
    if (device.type == TAPER_CUDA) return taper__cuda_memory_release_cached(device.index);
    if (device.type == TAPER_CPU) taper__cpu_memory_release_cached();
    return TAPER_OK;
}
