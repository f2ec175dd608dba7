/* Which operators were called, when and for how long. Off, it costs a call one look at a flag. */
#ifndef TAPER_PROFILE_H
#define TAPER_PROFILE_H

#include <stdbool.h>
#include <stdint.h>
#include <taper/device.h>

TAPER_BEGIN

typedef struct taper_profile_event {
    const char *name;           /* of the operator's row, whose name it is */
    bool inplace;               /* the call wrote into its first argument: add_ */
    int64_t begin, end;         /* nanoseconds of CLOCK_MONOTONIC */
    int64_t self;               /* nanoseconds of these outside the operators that this one called */
    double gpu_begin, gpu_time; /* microseconds on the GPU since the profile began, and for how long; -1: not there */
    uint32_t thread;            /* as the system numbers it */
    taper_device device;
    char shapes[96];            /* of the arguments: "[[2, 3], [3]]", cut with "..."; "" when not asked for */
} taper_profile_event;

/* Begins to record the calls of all threads. gpu: work on GPUs is timed too, with two events for each call.
 * RUNTIME when it records already. */
TAPER_API taper_status taper_profile_start(bool shapes, bool gpu);
/* Ends it, and waits for GPUs whose work was timed. No-op when nothing is recorded. */
TAPER_API taper_status taper_profile_stop(void);
TAPER_API bool taper_profile_running(void);

/* What was recorded until the last stop, by the time of its end. *lost: calls that found no memory. Borrowed until the next start
 * or clear. */
TAPER_API const taper_profile_event *taper_profile_events(int64_t *count, int64_t *lost);
TAPER_API void taper_profile_clear(void);

TAPER_END

#endif
