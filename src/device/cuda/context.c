/* GPUs: contexts (the primary one, shared with other libraries of the process), the current GPU, properties. */
#include <stdio.h>
#include <string.h>

#include "device/cuda/gpu.h"

taper_gpu taper__gpus[TAPER_MAX_GPUS];
_Thread_local taper_cuda_thread taper__cuda_thread;
bool taper__cuda_forked;

static pthread_mutex_t context_lock = PTHREAD_MUTEX_INITIALIZER;

static void context_forked(void) { taper__cuda_forked = true; }

int taper_cuda_device_count(const char **why) { return taper__driver_open(why); }

/* Under the lock. */
static taper_status context_start(int index) {
    static bool watching;
    taper_gpu *g = &taper__gpus[index];
    int major = 0, minor = 0, vmm = 0;
    TAPER_TRY(taper__cu_check(taper__cu.device_get(&g->device, index), "cuDeviceGet", NULL));
    TAPER_TRY(taper__cu_check(taper__cu.context_retain(&g->context, g->device), "cuDevicePrimaryCtxRetain", NULL));
    TAPER_TRY(taper__cu_check(taper__cu.context_set(g->context), "cuCtxSetCurrent", NULL));
    taper__cu.device_attribute(&major, TAPER_CU_ATTR_MAJOR, g->device);
    taper__cu.device_attribute(&minor, TAPER_CU_ATTR_MINOR, g->device);
    taper__cu.device_attribute(&vmm, TAPER_CU_ATTR_VIRTUAL_MEMORY, g->device);
    taper__cu.device_attribute(&g->multiprocessors, TAPER_CU_ATTR_MULTIPROCESSORS, g->device);
    taper__cu.device_total(&g->total_memory, g->device);
    g->capability = major * 10 + minor;
    g->has_virtual_memory = vmm != 0;
    TAPER_TRY(taper__cuda_default_stream_start(index));
    TAPER_TRY(taper__cuda_errors_start(index));
    if (!watching) watching = !pthread_atfork(NULL, NULL, context_forked);
    atomic_store_explicit(&g->ready, true, memory_order_release);
    return TAPER_OK;
}

taper_status taper__cuda_enter_slow(int *index) {
    const char *why;
    int count = taper__driver_open(&why);
    if (!count) return TAPER_FAIL(TAPER_DEVICE, "%s", why);
    if (taper__cuda_forked)
        return TAPER_FAIL(TAPER_RUNTIME,
                          "Cannot re-initialize CUDA in forked subprocess. To use CUDA with multiprocessing, you "
                          "must use the 'spawn' start method");
    if (*index < 0) *index = taper__cuda_thread.device;
    if (*index >= count)
        return TAPER_FAIL(TAPER_RUNTIME,
                          "CUDA error: invalid device ordinal: cuda:%d was asked for, this process sees %d GPU%s",
                          *index, count, count == 1 ? "" : "s");
    taper_gpu *g = &taper__gpus[*index];
    if (!atomic_load_explicit(&g->ready, memory_order_acquire)) {
        pthread_mutex_lock(&context_lock);
        taper_status st = atomic_load(&g->ready) ? TAPER_OK : context_start(*index);
        pthread_mutex_unlock(&context_lock);
        if (st) return st;
    }
    return taper__cuda_reenter(*index);
}

taper_status taper__cuda_reenter(int index) {
    TAPER_TRY(taper__cu_check(taper__cu.context_set(taper__gpus[index].context), "cuCtxSetCurrent", NULL));
    taper__cuda_thread.entered = index + 1;
    return TAPER_OK;
}

taper_status taper_cuda_current_device(int *index) {
    const char *why;
    if (!taper__driver_open(&why)) return TAPER_FAIL(TAPER_DEVICE, "%s", why);
    *index = taper__cuda_thread.device;
    return TAPER_OK;
}

taper_status taper_cuda_set_device(int index) {
    const char *why;
    int count = taper__driver_open(&why);
    if (!count) return TAPER_FAIL(TAPER_DEVICE, "%s", why);
    if (index < 0) return TAPER_OK; /* as torch.cuda.set_device(-1) */
    if (index >= count)
        return TAPER_FAIL(TAPER_RUNTIME,
                          "CUDA error: invalid device ordinal: cuda:%d was asked for, this process sees %d GPU%s",
                          index, count, count == 1 ? "" : "s");
    taper__cuda_thread.device = index;
    return TAPER_OK;
}

taper_status taper_cuda_synchronize(int index) {
    TAPER_TRY(taper__cuda_enter(&index));
    TAPER_TRY(taper__cu_check(taper__cu.context_synchronize(), "cuCtxSynchronize", "synchronize"));
    return taper__cuda_raise(index);
}

taper_status taper_cuda_get_properties(taper_cuda_properties *out, int index) {
    const char *why;
    int count = taper__driver_open(&why);
    if (!count) return TAPER_FAIL(TAPER_DEVICE, "%s", why);
    if (index < 0) index = taper__cuda_thread.device;
    if (index >= count)
        return TAPER_FAIL(TAPER_RUNTIME, "Invalid device id: %d, this process sees %d GPUs", index, count);
    /* No context is needed: the doctor asks on machines where making one fails. */
    taper_cu_device d;
    TAPER_TRY(taper__cu_check(taper__cu.device_get(&d, index), "cuDeviceGet", NULL));
    taper_cuda_properties p = {.size = out->size};
    int l2 = 0, shared = 0, optin = 0, per_multiprocessor = 0;
    const struct {
        int attribute, *to;
    } list[] = {
        {TAPER_CU_ATTR_MAJOR, &p.major},
        {TAPER_CU_ATTR_MINOR, &p.minor},
        {TAPER_CU_ATTR_MULTIPROCESSORS, &p.multiprocessors},
        {TAPER_CU_ATTR_THREADS_PER_MULTIPROCESSOR, &p.max_threads_per_multiprocessor},
        {TAPER_CU_ATTR_WARP_SIZE, &p.warp_size},
        {TAPER_CU_ATTR_L2_BYTES, &l2},
        {TAPER_CU_ATTR_SHARED_PER_BLOCK, &shared},
        {TAPER_CU_ATTR_SHARED_PER_BLOCK_OPTIN, &optin},
        {TAPER_CU_ATTR_SHARED_PER_MULTIPROCESSOR, &per_multiprocessor},
        {TAPER_CU_ATTR_REGISTERS_PER_MULTIPROCESSOR, &p.registers_per_multiprocessor},
        {TAPER_CU_ATTR_CLOCK_RATE, &p.clock_khz},
        {TAPER_CU_ATTR_MEMORY_CLOCK_RATE, &p.memory_clock_khz},
        {TAPER_CU_ATTR_MEMORY_BUS_WIDTH, &p.memory_bus_bits},
        {TAPER_CU_ATTR_PCI_BUS, &p.pci_bus},
        {TAPER_CU_ATTR_PCI_DEVICE, &p.pci_device},
        {TAPER_CU_ATTR_PCI_DOMAIN, &p.pci_domain},
    };
    for (int i = 0; i < TAPER_COUNT(list); i++) {
        /* An attribute that a newer driver dropped reads 0. */
        if (taper__cu.device_attribute(list[i].to, list[i].attribute, d)) *list[i].to = 0;
    }
    p.l2_bytes = (size_t)l2;
    p.shared_per_block = (size_t)shared;
    p.shared_per_block_optin = (size_t)optin;
    p.shared_per_multiprocessor = (size_t)per_multiprocessor;
    taper__cu.device_name(p.name, (int)sizeof p.name, d);
    taper__cu.device_total(&p.total_memory, d);
    if (taper__cu.device_uuid) taper__cu.device_uuid(p.uuid, d);
    memcpy(out, &p, out->size && out->size < sizeof p ? out->size : sizeof p);
    return TAPER_OK;
}

taper_status taper_cuda_mem_info(size_t *free_bytes, size_t *total_bytes, int index) {
    TAPER_TRY(taper__cuda_enter(&index));
    return taper__cu_check(taper__cu.mem_info(free_bytes, total_bytes), "cuMemGetInfo", NULL);
}

/* 0 when the GPU cannot be used; the launch that follows says why. */
int taper__cuda_multiprocessors(int index) {
    return taper__cuda_enter(&index) ? 0 : taper__gpus[index].multiprocessors;
}
int taper__cuda_capability(int index) { return taper__cuda_enter(&index) ? 0 : taper__gpus[index].capability; }
