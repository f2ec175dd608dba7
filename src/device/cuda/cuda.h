/* The GPU through the driver API. Everything here is found at run time; without a driver each function fails with one
 * sentence that taper_cuda_device_count() gives too. */
#ifndef TAPER_DEVICE_CUDA_CUDA_H
#define TAPER_DEVICE_CUDA_CUDA_H

#include "device/device.h"

enum { TAPER_MAX_GPUS = 16 };

/* A kernel of an embedded image. `image` is the stem of its .cu file. The handle is found at first launch. */
typedef struct taper_cuda_kernel {
    const char *image, *name;
    void *function[TAPER_MAX_GPUS];        /* CUfunction */
    unsigned shared_bytes[TAPER_MAX_GPUS]; /* the dynamic limit that was set */
} taper_cuda_kernel;
#define TAPER_CUDA_KERNEL(image_stem, kernel_name)                                                                     \
    { .image = (image_stem), .name = (kernel_name) }

typedef struct taper_cuda_geometry {
    unsigned grid[3], block[3];
    unsigned shared_bytes; /* dynamic; above 48 KiB the limit of the kernel is raised */
    unsigned cluster;      /* thread blocks per cluster along x; 0 or 1: none */
    bool cooperative;      /* all blocks run at once and may wait for each other */
    bool overlap; /* may start before the kernel in front of it has ended (it then waits inside, see PTX griddepcontrol)
                   */
} taper_cuda_geometry;

/* Queues a kernel on the current stream of GPU `index`. args: pointers to the arguments, in order. `op` names the
 * operator for messages. */
taper_status taper__cuda_launch(taper_cuda_kernel *kernel, int index, const taper_cuda_geometry *geometry, void **args,
                                const char *op);

/* To be called after work that a vendor library queued: with TAPER_CUDA_SYNC=1 it waits and names the operator. */
taper_status taper__cuda_launched(int index, const char *op);
/* Finds the kernel without launching it: DEVICE when the build has no kernels, NOT_IMPLEMENTED when none fits the GPU.
 */
taper_status taper__cuda_kernel_find(taper_cuda_kernel *kernel, int index);
/* A kernel of an image made at run time (cubin, fatbin or PTX text); *module is freed with taper__cuda_module_end. */
taper_status taper__cuda_module_load(void **module, int index, const void *image, const char *op);
taper_status taper__cuda_module_kernel(taper_cuda_kernel *out, void *module, int index, const char *name);
void taper__cuda_module_end(void *module, int index);
/* Blocks of the kernel that one multiprocessor holds at a time. */
taper_status taper__cuda_occupancy(int *blocks, taper_cuda_kernel *kernel, int index, unsigned threads,
                                   unsigned shared_bytes);

/* The current stream (CUstream) of the calling thread on a GPU; the context is made current too. */
taper_status taper__cuda_stream(void **stream, int index);

/* True when the embedded images have kernels (the build had nvcc). */
bool taper__cuda_has_kernels(void);

/* One record per GPU in mapped host memory: kernels write the first error they see and go on (see errors.cuh). */
enum {
    TAPER_CUDA_REPORT_INDEX = 1,       /* value outside [-bound, bound) */
    TAPER_CUDA_REPORT_TARGET = 2,      /* class `value` of `bound` classes */
    TAPER_CUDA_REPORT_PROBABILITY = 3, /* negative, infinite or NaN, in row `value` */
};
typedef struct taper_cuda_error_record {
    int code;      /* TAPER_CUDA_REPORT_..., 0: none */
    int operator_; /* taper__cuda_operator_number at launch; claims the record */
    long long value, bound;
} taper_cuda_error_record;
void *taper__cuda_error_record(int index);       /* device pointer to pass to kernels */
int taper__cuda_operator_number(const char *op); /* never 0; op: static string */

/* The next n counter values (of four 32-bit numbers each, Philox) of the GPU's default generator, for a kernel that reads them
 * through taper_captured_random_read: each replay of a captured graph has values of its own (captured_random.h). */
taper_status taper__cuda_reserve_random(int index, uint64_t n, uint64_t *seed, uint64_t *offset);
struct taper_cuda_graph;
/* Kernel nodes of an ended capture, for patching arguments: node i's function and argument pointers (valid as long as
 * the graph), and new arguments for the coming replays. */
int64_t taper__cuda_graph_kernels(struct taper_cuda_graph *graph);
taper_status taper__cuda_graph_kernel_get(struct taper_cuda_graph *graph, int64_t i, void **function,
                                          void ***arguments);
taper_status taper__cuda_graph_kernel_set(struct taper_cuda_graph *graph, int64_t i, void **arguments);

int taper__cuda_multiprocessors(int index);
int taper__cuda_capability(int index); /* 90 for 9.0 */

/* ---- what device.c dispatches to; index -1: the current GPU ---- */
taper_status taper__cuda_memory_alloc(void **out, size_t bytes, int index, const char *tag);
void taper__cuda_memory_free(void *p, size_t bytes, int index);
taper_status taper__cuda_memory_stats(taper_memory_stats *out, int index);
taper_status taper__cuda_memory_reset_peak(int index);
taper_status taper__cuda_memory_release_cached(int index);
taper_status taper__cuda_copy_to_host(void *dst, const void *src, int index, size_t bytes, bool async);
taper_status taper__cuda_copy_from_host(void *dst, int index, const void *src, size_t bytes, bool async);
taper_status taper__cuda_copy_between(void *dst, int to, const void *src, int from, size_t bytes);
taper_status taper__cuda_memory_set(void *dst, int byte, size_t bytes, int index);

/* Tensor map for TMA (CUtensorMap, 128 bytes, 64-byte aligned): see cuTensorMapEncodeTiled. dtype: taper_dtype. Dim 0
 * is the innermost, without a stride: strides_bytes has ndim - 1 entries. */
taper_status taper__cuda_tensor_map(void *map128, int dtype, int ndim, void *base, const uint64_t *sizes,
                                    const uint64_t *strides_bytes, const uint32_t *box, int swizzle_bytes);

#endif
