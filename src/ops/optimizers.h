/* Steps of optimisers over flat arrays. */
#ifndef TAPER_OPS_OPTIMIZERS_H
#define TAPER_OPS_OPTIMIZERS_H

#include "ops/op.h"
#include "ops/optim_args.h"

enum { TAPER_OPTIM_ARRAYS = 6, TAPER_OPTIM_CHUNK = 8192 };

/* The numbers of one step; each optimiser reads its own. */
typedef struct taper_optim_numbers {
    double lr, weight_decay, eps, momentum, dampening, beta1, beta2, unscale; /* unscale: the gradient becomes itself times that */
    double factor;             /* what the step sees is the gradient times that */
    double step_size, root2; /* adam: lr / (1 - beta1^t), sqrt(1 - beta2^t) */
    bool unscaled, maximize, nesterov, first, decoupled, amsgrad, centered, with_momentum;
} taper_optim_numbers;

/* Arrays: parameter, gradient (rewritten when it was scaled), then the optimiser's state:
 * sgd: momentum; adam: average, average of squares, their maximum; rmsprop: average of squares, momentum, average. The last one, the
 * parameter in low precision, is written by the caller. */
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
/* Items for the lists in arguments 0..nlists-1 of the call and the low-precision copies in argument `copies` (-1: none). The end writes
 * back what had to be copied of the arrays in `written`. */
taper_status taper__optim_items(taper_optim_item **out, const taper_call *c, int nlists, int copies);
taper_status taper__optim_items_end(taper_optim_item *items, const taper_call *c, unsigned written, taper_status st);

/* ---- optimizers_cuda.c ---- */
typedef enum taper_optim_kind { TAPER_OPTIM_SGD, TAPER_OPTIM_ADAM, TAPER_OPTIM_RMSPROP } taper_optim_kind;
/* Where a call has what: lists in arguments 0..arrays-1, step counts and copies in those of that number, -1: none. Numbers in host
 * memory are in taper_optim_numbers already. */
typedef struct taper_optim_places {
    int arrays, steps, copies;
    const taper_tensor *scale, *factor, *inf;
} taper_optim_places;
taper_status taper__optim_step_cuda(taper_call *c, taper_optim_kind kind, taper_optim_item *items, const taper_optim_numbers *n, const taper_optim_places *at);
size_t taper__clip_workspace(const taper_call *c);
/* The norm to out[0]; then gradients are scaled, or the factor goes to out[1] where the call has one. */
taper_status taper__clip_cuda(taper_call *c, taper_optim_item *items);
taper_status taper__amp_unscale_cuda(taper_call *c, taper_optim_item *items);
taper_status taper__amp_update_scale_cuda(taper_call *c);

#endif
