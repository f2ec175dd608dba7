/* Where tensors live. */
#ifndef TAPER_DEVICE_H
#define TAPER_DEVICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <taper/export.h>
#include <taper/status.h>

TAPER_BEGIN

typedef enum taper_device_type {
    TAPER_CPU,
    TAPER_CUDA,
    TAPER_META, /* shapes and dtypes without data */
    TAPER_DEVICE_TYPE_COUNT
} taper_device_type;

/* index: the GPU's number; 0 on cpu and meta; -1 in an argument: the current one. */
typedef struct taper_device {
    uint8_t type;
    int8_t index;
} taper_device;

static inline taper_device taper_cpu(void) {
    taper_device d = {TAPER_CPU, 0};
    return d;
}
static inline taper_device taper_cuda(int index) {
    taper_device d = {TAPER_CUDA, (int8_t)index};
    return d;
}
static inline bool taper_device_equal(taper_device a, taper_device b) { return a.type == b.type && a.index == b.index; }

/* "cpu", "cuda" (index -1: the current one), "cuda:1", "meta" -> device. RUNTIME in torch's words for anything else. */
TAPER_API taper_status taper_device_parse(taper_device *out, const char *text);

/* GPUs that can be used: 0 without a driver. *why, when not NULL, gets one sentence (borrowed, static) if there are none. */
TAPER_API int taper_cuda_device_count(const char **why);
TAPER_API taper_status taper_cuda_current_device(int *index);
TAPER_API taper_status taper_cuda_set_device(int index);
/* Waits for everything queued on the GPU and raises errors that kernels recorded (a bad index, say). index -1: current. */
TAPER_API taper_status taper_cuda_synchronize(int index);

typedef struct taper_cuda_properties {
    size_t size; /* of this struct, set by the caller */
    char name[256];
    int major, minor, multiprocessors, max_threads_per_multiprocessor, warp_size;
    size_t total_memory, l2_bytes, shared_per_block, shared_per_block_optin, shared_per_multiprocessor;
    int registers_per_multiprocessor, clock_khz, memory_clock_khz, memory_bus_bits, pci_bus, pci_device, pci_domain;
    unsigned char uuid[16];
} taper_cuda_properties;
TAPER_API taper_status taper_cuda_get_properties(taper_cuda_properties *out, int index);

/* Bytes, of the caching allocator of one GPU or of the CPU. On the CPU, blocks up to 4 KiB enter the peak with their
 * present sum. */
typedef struct taper_memory_stats {
    size_t allocated, peak_allocated; /* in live blocks */
    size_t reserved, peak_reserved;   /* taken from the driver */
    int64_t live_blocks, total_allocations, out_of_memory_count;
} taper_memory_stats;
TAPER_API taper_status taper_memory_get_stats(taper_memory_stats *out, taper_device device);
TAPER_API taper_status taper_memory_reset_peak(taper_device device);
TAPER_API taper_status taper_memory_release_cached(taper_device device);
TAPER_API taper_status taper_cuda_mem_info(size_t *free_bytes, size_t *total_bytes, int index);

TAPER_END

#endif
