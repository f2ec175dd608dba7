/* Steps of optimisers over flat arrays. */
#ifndef TAPER_OPS_OPTIMIZERS_H
#define TAPER_OPS_OPTIMIZERS_H

#include "ops/op.h"

enum { TAPER_OPTIM_ARRAYS = 5, TAPER_OPTIM_CHUNK = 8192 };

/* The numbers of one step; each optimiser reads its own. */
typedef struct taper_optim_numbers {
    double lr, weight_decay, eps, momentum, dampening, beta1, beta2, unscale; /* unscale: the gradient is multiplied by it */
    double step_size, root2; /* adam: lr / (1 - beta1^t), sqrt(1 - beta2^t) */
    bool unscaled, maximize, nesterov, first, decoupled, amsgrad, centered, with_momentum;
} taper_optim_numbers;

/* Arrays: parameter, gradient (rewritten when it was scaled), then the optimiser's state:
 * sgd: momentum; adam: average, average of squares, their maximum; rmsprop: average of squares, momentum, average. */
typedef void (*taper_optim_fn)(void *const *arrays, int64_t n, const taper_optim_numbers *k);
typedef struct taper_optim_loops {
    taper_optim_fn sgd[2], adam[2], rmsprop[2]; /* f32, f64 */
    float (*square_sum)(const float *x, int64_t n);
} taper_optim_loops;
TAPER_SIMD_DECLARE(taper_optim_loops, taper__optim_loops);

#endif
