/* The thread pool of the process: one for all operators, sized by CPU quota and affinity. */
#ifndef TAPER_THREADS_H
#define TAPER_THREADS_H

#include <taper/export.h>
#include <taper/status.h>

TAPER_BEGIN

/* Threads an operator may use, the caller's included. Default: knob TAPER_NUM_THREADS, else OMP_NUM_THREADS, else the
 * smallest of CPU affinity and cgroup quota. */
TAPER_API int taper_num_threads(void);
/* VALUE when n < 1. Takes effect at the next operator. */
TAPER_API taper_status taper_set_num_threads(int n);

TAPER_END

#endif
