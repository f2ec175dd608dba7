/* Random fills and dropout on the GPU. */
#ifndef TAPER_OPS_RANDOM_CUDA_H
#define TAPER_OPS_RANDOM_CUDA_H

#include "ops/op.h"

taper_status taper__native_dropout_cuda(taper_call *c);
taper_status taper__native_dropout_backward_cuda(taper_call *c);
/* uniform_ normal_ log_normal_ exponential_ cauchy_ geometric_ bernoulli_ bernoulli.p */
taper_status taper__random_cuda(taper_call *c);

/* ---- random_int_cuda.c ---- */
/* out[0]: from + a 64-bit number modulo range (0: the number itself). */
taper_status taper__random_int_cuda(taper_call *c, int64_t from, uint64_t range);
/* out: 1 with the probability at the same place of `chance` (broadcast). A bad one is raised when the host next waits. */
taper_status taper__bernoulli_each_cuda(taper_call *c, taper_tensor *out, const taper_tensor *chance);
taper_status taper__multinomial_cuda(taper_call *c);

#endif
