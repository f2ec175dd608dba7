/* Reductions on the GPU over a set of dims. */
#ifndef TAPER_OPS_REDUCE_CUDA_H
#define TAPER_OPS_REDUCE_CUDA_H

#include "device/cuda/cuda.h"
#include "ops/reduce.h"
#include "ops/reduce_args.h"

#define TAPER_RED_ENUM(name, ...) TAPER_RED_##name,
typedef enum taper_reduce_row { TAPER_RED_ROWS(TAPER_RED_ENUM) TAPER_RED_COUNT } taper_reduce_row;
#undef TAPER_RED_ENUM

typedef struct taper_reduce_job {
    taper_reduce_row row;
    const taper_tensor *in;
    uint32_t mask;              /* the reduced dims */
    taper_tensor *out, *other;  /* contiguous; other: places of extremes (then out may be NULL), or the mean, or NULL */
    int finish;                 /* TAPER_RED_SCALED and its neighbours */
    double scale, p;
} taper_reduce_job;
taper_status taper__reduce_device(const taper_reduce_job *j, const char *op);
/* The job of a call: args[0] over dims. */
taper_status taper__reduce_job(taper_reduce_job *j, const taper_call *c, taper_reduce_row row, const taper_arg *dims);

/* Cuts the work by shape and alignment alone: way, width, each, columns, parts and chunk. size: bytes of an element; wide:
 * 1 when the kernel has 16-byte paths for the dtype, 2 when along rows only, else 0. */
void taper__reduce_cut(taper_reduce_args *k, int size, int wide);

#endif
