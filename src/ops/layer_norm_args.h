/* Sizes that the launch code and the kernels of layer_norm share, for C and CUDA C++. */
#ifndef TAPER_OPS_LAYER_NORM_ARGS_H
#define TAPER_OPS_LAYER_NORM_ARGS_H

enum { TAPER_LN_THREADS = 256 };

#endif
