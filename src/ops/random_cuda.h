/* Random fills and dropout on the GPU. */
#ifndef TAPER_OPS_RANDOM_CUDA_H
#define TAPER_OPS_RANDOM_CUDA_H

#include "device/cuda/cuda.h"
#include "ops/op.h"

taper_status taper__native_dropout_cuda(taper_call *c);
taper_status taper__native_dropout_backward_cuda(taper_call *c);
/* uniform_ normal_ log_normal_ exponential_ cauchy_ geometric_ bernoulli_ bernoulli.p */
taper_status taper__random_cuda(taper_call *c);
/* out: 1 with probability p. */
taper_status taper__bernoulli_cuda(taper_call *c, taper_tensor *out, double p);

/* Seed and offset of one launch, from the call's Generator argument or the GPU's default generator. */
taper_status taper__random_take(taper_call *c);
/* 256 threads for each 256 * `each` elements, as many as the GPU holds a few times over. */
taper_cuda_geometry taper__random_geometry(int64_t n, int each, int index);
/* Memory for a kernel that fills t in the order of memory: *packed stays NULL where t itself serves, else it is copied to t. */
taper_status taper__random_packed(taper_tensor **packed, taper_tensor *t, const char *op);

/* ---- random_int_cuda.c ---- */
/* out[0]: from + a number below range (0: all 64 bits). */
taper_status taper__random_int_cuda(taper_call *c, int64_t from, uint64_t range);
/* out: 1 with the probability at the same place of `chance` (broadcast). A bad one is raised when the host next waits. */
taper_status taper__bernoulli_each_cuda(taper_call *c, taper_tensor *out, const taper_tensor *chance);
taper_status taper__multinomial_cuda(taper_call *c);
/* out: 0 ... n - 1 in a random order; contiguous. */
taper_status taper__randperm_cuda(taper_tensor *out, taper_generator *g);

#endif
