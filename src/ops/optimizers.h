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

/* One parameter: its arrays in the parameter's layout, and copies of those tensors that lie otherwise. */
typedef struct taper_optim_item {
    void *arrays[TAPER_OPTIM_ARRAYS];
    taper_tensor *given[TAPER_OPTIM_ARRAYS], *copies[TAPER_OPTIM_ARRAYS];
    uint8_t dtype[TAPER_OPTIM_ARRAYS];
    int64_t numel, chunk; /* chunks before this parameter */
    double step;          /* counted by the host */
    taper_optim_numbers numbers;
} taper_optim_item;
/* Items for the lists in arguments 0..nlists-1 of the call; those that end writes back: what was copied of the lists in `written`. */
taper_status taper__optim_items(taper_optim_item **out, const taper_call *c, int nlists);
taper_status taper__optim_items_end(taper_optim_item *items, const taper_call *c, int nlists, unsigned written, taper_status st);

/* ---- optimizers_cuda.c ---- */
typedef enum taper_optim_kind { TAPER_OPTIM_SGD, TAPER_OPTIM_ADAM, TAPER_OPTIM_RMSPROP } taper_optim_kind;
/* steps: the list of step counts, -1: none. scale and inf as given; those in host memory are in *n already. */
taper_status taper__optim_step_cuda(taper_call *c, taper_optim_kind kind, taper_optim_item *items, int narrays, const taper_optim_numbers *n, int steps,
                                    const taper_tensor *scale, const taper_tensor *inf);
size_t taper__clip_workspace(const taper_call *c);
taper_status taper__clip_cuda(taper_call *c, taper_optim_item *items);
taper_status taper__amp_unscale_cuda(taper_call *c, taper_optim_item *items);
taper_status taper__amp_update_scale_cuda(taper_call *c);

#endif
