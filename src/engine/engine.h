/* The one path from call to kernel, and the thread state it reads. */
#ifndef TAPER_ENGINE_ENGINE_H
#define TAPER_ENGINE_ENGINE_H

#include <stdatomic.h>

#include "ops/op.h"

typedef struct taper_mode {
    bool no_grad;      /* inverted so that a zeroed state is torch's default */
    bool inference;
    bool autocast[TAPER_DEVICE_TYPE_COUNT];
    uint8_t autocast_dtype[TAPER_DEVICE_TYPE_COUNT]; /* 0: the device's default */
    bool autocast_cache_off;
    int anomaly;
} taper_mode;
extern _Thread_local taper_mode taper__mode;

/* ---- api.c ---- */
extern const taper_op_row taper__op_rows[];
extern const size_t taper__op_count;
/* Of each row: bit k: argument k must be given, bit 31: known. */
extern _Atomic uint32_t taper__op_required[];

/* ---- profile.c ---- */
extern bool taper__profiling; /* read without order: a call at the edge is in or out */
/* Runs the call and notes its times. */
taper_status taper__profile_call(taper_call *c, taper_tensor *target, taper_status (*run)(taper_call *, taper_tensor *));

/* The upper layers' part of a call: declared here, where it is called, and defined in src/autograd.
 * record: after the kernel ran and versions were bumped, when an input requires a gradient.
 * saved arguments are read from c->args, results from c->out. */
taper_status taper__record(taper_call *c);
/* Before the kernel: is this in-place call allowed (leaf that requires grad)? */
taper_status taper__check_inplace(taper_call *c, taper_tensor *target, bool recording);
/* A copy of t's elements that has t's history: what an in-place call keeps of the tensor it overwrites. */
taper_status taper__copy_with_history(taper_tensor **out, taper_tensor *t);
/* A second object for the same elements, shape and history. */
taper_status taper__alias_with_history(taper_tensor **out, taper_tensor *t);
/* Gives the low-precision copy of a leaf that autocast keeps for the region; NULL: none kept. */
taper_status taper__autocast_cast(taper_tensor **out, taper_tensor *t, taper_dtype dtype);

#endif
