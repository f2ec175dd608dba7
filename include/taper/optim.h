/* Optimisers over a list of parameters, one fused operator call a step.
 *
 * The list is borrowed and must not change meanwhile. Parameters without a gradient are left as they are.
 */
#ifndef TAPER_OPTIM_H
#define TAPER_OPTIM_H

#include <taper/nn.h>

TAPER_BEGIN

typedef struct taper_optimizer taper_optimizer;

typedef struct taper_adamw_options {
    double lr, beta1, beta2, eps, weight_decay;
} taper_adamw_options;
#define TAPER_ADAMW_OPTIONS {1e-3, 0.9, 0.999, 1e-8, 1e-2}
typedef struct taper_sgd_options {
    double lr, momentum, dampening, weight_decay;
    bool nesterov;
} taper_sgd_options;
#define TAPER_SGD_OPTIONS {1e-3, 0, 0, 0, false}

TAPER_API taper_status taper_adamw_new(taper_optimizer **out, const taper_params *p, taper_adamw_options options);
TAPER_API taper_status taper_sgd_new(taper_optimizer **out, const taper_params *p, taper_sgd_options options);
TAPER_API void taper_optimizer_set_lr(taper_optimizer *o, double lr);
TAPER_API taper_status taper_optimizer_step(taper_optimizer *o);
TAPER_API void taper_optimizer_release(taper_optimizer *o); /* NULL is a no-op */
/* Scales the gradients so that their common 2-norm is at most max_norm; *norm (may be NULL) was it before. */
TAPER_API taper_status taper_params_clip_grad(const taper_params *p, double max_norm, double *norm);

TAPER_END

#endif
