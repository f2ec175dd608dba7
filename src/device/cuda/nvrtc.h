/* The run-time compiler of CUDA C++, and what NVML knows about a GPU. Both are found at run time and may be absent. */
#ifndef TAPER_DEVICE_CUDA_NVRTC_H
#define TAPER_DEVICE_CUDA_NVRTC_H

#include "device/cuda/cuda.h"

bool taper__nvrtc_available(char *why, size_t why_size);
/* Compiles source for GPU `index` (its exact architecture, with the "a" features on Hopper) to a cubin that the caller
 * ends with taper__free. options: NULL-ended, or NULL. RUNTIME with the compiler's first lines when the source is
 * wrong. */
taper_status taper__nvrtc_compile(void **cubin, size_t *bytes, const char *source, const char *name,
                                  const char *const *options, int index);

typedef struct taper_nvml_gpu {
    char name[96], driver[80];
    unsigned long long total, used, free; /* bytes, of all processes */
} taper_nvml_gpu;
/* By the number of the machine, which CUDA_VISIBLE_DEVICES does not change; works without a CUDA context. */
bool taper__nvml_gpu(taper_nvml_gpu *out, int number, char *why, size_t why_size);
int taper__nvml_count(char *why, size_t why_size); /* 0 with a sentence when NVML is absent */

#endif
