/* Times of what is queued, kernel by kernel, by events: TAPER_CUDA_TIMES=1. */
#ifndef TAPER_DEVICE_CUDA_LAUNCH_TIMES_H
#define TAPER_DEVICE_CUDA_LAUNCH_TIMES_H

#include "device/cuda/gpu.h"

/* A mark in front of the work on s; NULL when nobody wants times, or a graph is captured. */
void *taper__times_begin(int index, taper_cuda_stream *s);
/* The mark behind it. mark may be NULL. name: what the table says, copied. */
void taper__times_end(void *mark, taper_cuda_stream *s, const char *name);

#endif
