/* The GPU's side of embedding. */
#ifndef TAPER_OPS_EMBEDDING_H
#define TAPER_OPS_EMBEDDING_H

#include "ops/op.h"

taper_status taper__embedding_cuda(taper_call *c);
taper_status taper__embedding_dense_backward_cuda(taper_call *c);

#endif
