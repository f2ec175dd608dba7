/* Memory, streams and copies, the same words for every device. The CPU part is src/device/cpu, the GPU's
 * src/device/cuda. */
#ifndef TAPER_DEVICE_DEVICE_H
#define TAPER_DEVICE_DEVICE_H

#include <taper/device.h>

#include "base/base.h"

/* Caching allocators. Memory is aligned to at least 64 (CPU) or 512 (GPU) bytes and is not cleared. bytes 0 gives a
 * valid block. Blocks are given back with the size they were asked with. On CUDA a freed block may be used again at
 * once by later work on the same stream. `tag` names the operator that asks (static string). */
taper_status taper__memory_alloc(void **out, size_t bytes, taper_device device, const char *tag);
void taper__memory_free(void *p, size_t bytes, taper_device device);

/* The same for the host alone, without the device word: the fast path of small CPU tensors. */
void *taper__cpu_alloc(size_t bytes);
void taper__cpu_free(void *p, size_t bytes);
void *taper__pinned_alloc(size_t bytes); /* page-locked when a GPU is in use, else NULL */
void taper__pinned_free(void *p);
bool taper__is_pinned(const void *p);

/* Copies bytes between any two devices in stream order of the GPU involved. A copy to the CPU is complete on return
 * unless `async` and the host side is pinned. */
taper_status taper__memory_copy(void *dst, taper_device to, const void *src, taper_device from, size_t bytes,
                                bool async);
taper_status taper__memory_set(void *dst, int byte, size_t bytes, taper_device device);

/* Text such as "cuda:0"; by value, valid to the end of the full expression. */
typedef struct taper_device_text {
    char s[16];
} taper_device_text;
taper_device_text taper__device_text(taper_device device);

#endif
