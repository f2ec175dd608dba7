/* Random fills and dropout on the GPU. */
#ifndef TAPER_OPS_RANDOM_CUDA_H
#define TAPER_OPS_RANDOM_CUDA_H

#include "ops/op.h"

taper_status taper__native_dropout_cuda(taper_call *c);
taper_status taper__native_dropout_backward_cuda(taper_call *c);
/* uniform_ normal_ log_normal_ exponential_ cauchy_ geometric_ bernoulli_; false for other rows. */
bool taper__random_supports(const taper_call *c, const char **why);
taper_status taper__random_cuda(taper_call *c);

#endif
