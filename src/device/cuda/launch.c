/* Kernels: finding them in the images that the build embedded, and queueing them. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "device/cuda/launch_times.h"

TAPER_KNOB(knob_sync, "TAPER_CUDA_SYNC", "0", "1: wait after each kernel, so that an error names its operator (slow)");

/* Made by scripts/embed.sh; ends with a row of NULLs. */
typedef struct launch_image {
    const char *name;
    const unsigned char *begin, *end;
} launch_image;
extern const launch_image taper__cuda_images[];

enum { LAUNCH_STATIC_LIMIT = 48 << 10, LAUNCH_PORTABLE_CLUSTER = 8 };

/* What was loaded of an image: one library for all GPUs, or a module per GPU on drivers before 12.0. */
typedef struct launch_loaded {
    taper_cu_object library, module[TAPER_MAX_GPUS];
} launch_loaded;

static pthread_mutex_t launch_lock = PTHREAD_MUTEX_INITIALIZER;
static launch_loaded *launch_images; /* as many as taper__cuda_images */

bool taper__cuda_has_kernels(void) { return taper__cuda_images[0].name != NULL; }

/* The reader of an address sees only the table's own rows; the build may have none. */
static int launch_image_find(const char *name) {
    for (int i = 0; taper__cuda_images[i].name; i++)
        if (!strcmp(taper__cuda_images[i].name, name)) return i;
    return -1;
}

static taper_status launch_load_failed(taper_cu_result r, const char *image, int index) {
    int c = taper__gpus[index].capability, v = taper__driver_version();
    if (r == TAPER_CU_NO_BINARY_FOR_GPU || r == TAPER_CU_UNSUPPORTED_PTX_VERSION ||
        r == TAPER_CU_JIT_COMPILER_NOT_FOUND)
        return TAPER_FAIL(
            TAPER_NOT_IMPLEMENTED,
            "CUDA error: no kernel image is available for execution on the device: the kernels of %s do not run on "
            "cuda:%d (compute capability %d.%d, driver for CUDA %d.%d); a newer driver or a build of taper for this "
            "GPU is needed",
            image, index, c / 10, c % 10, v / 1000, v % 1000 / 10);
    return taper__cu_fail(r, "loading kernels", image);
}

/* Under the lock; the GPU is entered. */
static taper_status launch_resolve(taper_cu_object *function, const char *image, const char *name, int index) {
    int n = 0, i = launch_image_find(image);
    if (i < 0 && !taper__cuda_has_kernels())
        return TAPER_FAIL(TAPER_DEVICE,
                          "%s: this build of taper has no GPU kernels (nvcc was not found when it was built)", image);
    if (i < 0)
        return TAPER_FAIL(TAPER_NOT_IMPLEMENTED, "%s: this build of taper has no GPU kernels for it (image \"%s\")",
                          name, image);
    while (taper__cuda_images[n].name) n++;
    if (!launch_images && !(launch_images = calloc((size_t)n, sizeof *launch_images)))
        return TAPER_FAIL(TAPER_MEMORY, "%s: out of memory while loading kernels", image);
    launch_loaded *l = &launch_images[i];
    taper_cu_result r = 0;
    int mode = TAPER_CU_CAPTURE_RELAXED; /* loading is allowed while a graph is captured */
    taper__cu.capture_mode(&mode);
    if (taper__cu.library_load && taper__cu.library_kernel && taper__cu.kernel_function) {
        taper_cu_object kernel = NULL;
        if (!l->library)
            r = taper__cu.library_load(&l->library, taper__cuda_images[i].begin, NULL, NULL, 0, NULL, NULL, 0);
        if (!r) r = taper__cu.library_kernel(&kernel, l->library, name);
        if (!r) r = taper__cu.kernel_function(function, kernel);
    } else {
        if (!l->module[index]) r = taper__cu.module_load(&l->module[index], taper__cuda_images[i].begin, 0, NULL, NULL);
        if (!r) r = taper__cu.module_function(function, l->module[index], name);
    }
    taper__cu.capture_mode(&mode);
    if (r == TAPER_CU_NOT_FOUND)
        return TAPER_FAIL(TAPER_NOT_IMPLEMENTED, "%s: image \"%s\" has no kernel of this name", name, image);
    return r ? launch_load_failed(r, image, index) : TAPER_OK;
}

taper_status taper__cuda_kernel_find(taper_cuda_kernel *kernel, int index) {
    TAPER_TRY(taper__cuda_enter(&index));
    if (__atomic_load_n(&kernel->function[index], __ATOMIC_ACQUIRE)) return TAPER_OK;
    taper_cu_object function = NULL;
    pthread_mutex_lock(&launch_lock);
    taper_status st =
        kernel->function[index] ? TAPER_OK : launch_resolve(&function, kernel->image, kernel->name, index);
    if (!st && function) __atomic_store_n(&kernel->function[index], function, __ATOMIC_RELEASE);
    pthread_mutex_unlock(&launch_lock);
    return st;
}

/* More dynamic shared memory than 48 KiB has to be asked for, once. */
static taper_status launch_raise_shared(taper_cuda_kernel *k, int index, unsigned bytes, const char *op) {
    int optin = 0;
    taper_cu_result r = taper__cu.function_set(k->function[index], TAPER_CU_FUNC_MAX_DYNAMIC_SHARED, (int)bytes);
    if (!r) {
        __atomic_store_n(&k->shared_bytes[index], bytes, __ATOMIC_RELAXED);
        return TAPER_OK;
    }
    taper__cu.device_attribute(&optin, TAPER_CU_ATTR_SHARED_PER_BLOCK_OPTIN, taper__gpus[index].device);
    return TAPER_FAIL(TAPER_RUNTIME, "%s: kernel %s asks for %u bytes of shared memory, cuda:%d has %d per block", op,
                      k->name, bytes, index, optin);
}

static taper_status launch_failed(taper_cu_result r, const taper_cuda_kernel *k, const taper_cuda_geometry *g,
                                  int index, const char *op) {
    taper_status st = taper__cu_fail(r, "cuLaunchKernel", NULL);
    char context[320];
    snprintf(context, sizeof context,
             "%s: kernel %s, grid (%u, %u, %u), block (%u, %u, %u), %u bytes shared, cuda:%d: ", op, k->name,
             g->grid[0], g->grid[1], g->grid[2], g->block[0], g->block[1], g->block[2], g->shared_bytes, index);
    return taper_fail_within(st, context);
}

static taper_cu_result launch_extended(taper_cu_object function, const taper_cuda_geometry *g, taper_cu_object stream,
                                       void **args) {
    taper_cu_launch_attribute attributes[3];
    taper_cu_launch_config config = {.grid = {g->grid[0], g->grid[1], g->grid[2]},
                                     .block = {g->block[0], g->block[1], g->block[2]},
                                     .shared_bytes = g->shared_bytes,
                                     .stream = stream,
                                     .attributes = attributes};
    memset(attributes, 0, sizeof attributes);
    if (g->cluster > 1) {
        taper_cu_launch_attribute *a = &attributes[config.attribute_count++];
        a->id = TAPER_CU_LAUNCH_CLUSTER;
        a->value.cluster.x = g->cluster;
        a->value.cluster.y = a->value.cluster.z = 1;
        if (g->cluster > LAUNCH_PORTABLE_CLUSTER)
            taper__cu.function_set(function, TAPER_CU_FUNC_NON_PORTABLE_CLUSTER, 1);
    }
    if (g->cooperative) {
        taper_cu_launch_attribute *a = &attributes[config.attribute_count++];
        a->id = TAPER_CU_LAUNCH_COOPERATIVE;
        a->value.flag = 1;
    }
    if (g->overlap) {
        taper_cu_launch_attribute *a = &attributes[config.attribute_count++];
        a->id = TAPER_CU_LAUNCH_PROGRAMMATIC_STREAM_SERIALIZATION;
        a->value.flag = 1;
    }
    return taper__cu.launch_ex(&config, function, args, NULL);
}

static taper_cu_result launch_once(taper_cu_object function, const taper_cuda_geometry *g, taper_cu_object stream,
                                   void **args) {
    bool extended = g->cluster > 1 || g->cooperative || (g->overlap && taper__cu.launch_ex);
    if (TAPER_UNLIKELY(extended)) return launch_extended(function, g, stream, args);
    return taper__cu.launch(function, g->grid[0], g->grid[1], g->grid[2], g->block[0], g->block[1], g->block[2],
                            g->shared_bytes, stream, args, NULL);
}

static bool launch_waits(void) {
    static _Atomic int sync = -1; /* a race writes the same value twice */
    int known = atomic_load_explicit(&sync, memory_order_relaxed);
    if (TAPER_LIKELY(known >= 0)) return known;
    atomic_store(&sync, taper__knob_bool(&knob_sync));
    return atomic_load(&sync);
}

taper_status taper__cuda_launched(int index, const char *op) {
    if (TAPER_LIKELY(!launch_waits())) return TAPER_OK;
    TAPER_TRY(taper__cuda_enter(&index));
    taper_cuda_stream *s = taper__cuda_current(index);
    if (atomic_load(&s->pool)) return TAPER_OK; /* captured, not run */
    TAPER_TRY(taper__cu_check(taper__cu.stream_synchronize(s->handle), "cuStreamSynchronize", op));
    return taper__cuda_raise(index);
}

taper_status taper__cuda_launch(taper_cuda_kernel *kernel, int index, const taper_cuda_geometry *g, void **args,
                                const char *op) {
    TAPER_TRY(taper__cuda_enter(&index));
    taper_cu_object function = __atomic_load_n(&kernel->function[index], __ATOMIC_ACQUIRE);
    if (TAPER_UNLIKELY(!function)) {
        taper_status st = taper__cuda_kernel_find(kernel, index);
        if (st) return st;
        function = kernel->function[index];
    }
    if (TAPER_UNLIKELY(g->shared_bytes > LAUNCH_STATIC_LIMIT &&
                       g->shared_bytes > __atomic_load_n(&kernel->shared_bytes[index], __ATOMIC_RELAXED)))
        TAPER_TRY(launch_raise_shared(kernel, index, g->shared_bytes, op));
    if (TAPER_UNLIKELY((g->cluster > 1 || g->cooperative) && !taper__cu.launch_ex))
        return TAPER_FAIL(TAPER_NOT_IMPLEMENTED,
                          "%s: kernel %s needs a driver for CUDA 11.8 or later with cuLaunchKernelEx", op,
                          kernel->name);
    if (TAPER_UNLIKELY(!g->grid[0] || !g->grid[1] || !g->grid[2])) return TAPER_OK; /* nothing to do */
    taper_cuda_stream *s = taper__cuda_current(index);
    void *mark = taper__times_begin(index, s);
    taper_cu_result r = launch_once(function, g, s->handle, args);
    taper__times_end(mark, s, kernel->name);
    if (TAPER_UNLIKELY(r == TAPER_CU_INVALID_CONTEXT || r == TAPER_CU_INVALID_HANDLE)) {
        /* Another library of the process changed the thread's context. */
        TAPER_TRY(taper__cuda_reenter(index));
        r = launch_once(function, g, s->handle, args);
    }
    if (TAPER_UNLIKELY(r)) return launch_failed(r, kernel, g, index, op);
    if (TAPER_UNLIKELY(launch_waits()) && !atomic_load(&s->pool)) {
        r = taper__cu.stream_synchronize(s->handle);
        return r ? launch_failed(r, kernel, g, index, op) : taper__cuda_raise(index);
    }
    return TAPER_OK;
}

taper_status taper__cuda_occupancy(int *blocks, taper_cuda_kernel *kernel, int index, unsigned threads,
                                   unsigned shared_bytes) {
    TAPER_TRY(taper__cuda_enter(&index));
    TAPER_TRY(taper__cuda_kernel_find(kernel, index));
    if (shared_bytes > LAUNCH_STATIC_LIMIT && shared_bytes > kernel->shared_bytes[index])
        TAPER_TRY(launch_raise_shared(kernel, index, shared_bytes, kernel->name));
    return taper__cu_check(taper__cu.occupancy(blocks, kernel->function[index], (int)threads, shared_bytes),
                           "cuOccupancyMaxActiveBlocksPerMultiprocessor", kernel->name);
}

/* ---- kernels made at run time ---- */

taper_status taper__cuda_module_load(void **module, int index, const void *image, const char *op) {
    TAPER_TRY(taper__cuda_enter(&index));
    taper_cu_object m = NULL;
    int mode = TAPER_CU_CAPTURE_RELAXED;
    taper__cu.capture_mode(&mode);
    taper_cu_result r = taper__cu.module_load(&m, image, 0, NULL, NULL);
    taper__cu.capture_mode(&mode);
    if (r) return launch_load_failed(r, op, index);
    *module = m;
    return TAPER_OK;
}

taper_status taper__cuda_module_kernel(taper_cuda_kernel *out, void *module, int index, const char *name) {
    TAPER_TRY(taper__cuda_enter(&index));
    taper_cu_object function = NULL;
    TAPER_TRY(taper__cu_check(taper__cu.module_function(&function, module, name), "cuModuleGetFunction", name));
    *out = (taper_cuda_kernel){.image = "(made at run time)", .name = name};
    out->function[index] = function;
    return TAPER_OK;
}

void taper__cuda_module_end(void *module, int index) {
    if (module && !taper__cuda_enter(&index)) taper__cu.module_unload(module);
}
