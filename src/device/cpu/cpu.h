/* What device.c asks of the CPU's allocator beyond taper__cpu_alloc and taper__cpu_free. */
#ifndef TAPER_DEVICE_CPU_CPU_H
#define TAPER_DEVICE_CPU_CPU_H

#include "device/device.h"

void taper__cpu_memory_stats(taper_memory_stats *out);
void taper__cpu_memory_reset_peak(void);
void taper__cpu_memory_release_cached(void);

#endif
