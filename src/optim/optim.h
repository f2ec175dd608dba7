/* What the files of this folder share: an optimiser and its state. */
#ifndef TAPER_OPTIM_OPTIM_H
#define TAPER_OPTIM_OPTIM_H

#include <taper/autograd.h>
#include <taper/ops.h>
#include <taper/optim.h>

#include "base/base.h"

typedef enum taper_optim_class { TAPER_CLASS_SGD, TAPER_CLASS_ADAM, TAPER_CLASS_ADAMW, TAPER_CLASS_RMSPROP } taper_optim_class;
enum { TAPER_OPTIM_STATES = 4 };

typedef struct taper_optim_group {
    double lr, base_lr, weight_decay, momentum; /* momentum: beta1 of Adam */
} taper_optim_group;

struct taper_optimizer {
    taper_optim_class class_;
    const taper_params *params;
    double beta2, eps, dampening, clip_norm; /* beta2: alpha of RMSprop */
    bool amsgrad, nesterov, centered, maximize, with_momentum;
    taper_optim_group *groups;
    int ngroups;
    int *group_of;         /* of each parameter */
    const char *const *names; /* of the lists of state, nlists; the last counts steps unless the class is SGD */
    int nlists;
    taper_tensor **state;  /* nlists x params; NULL where there is none */
    bool *started;         /* SGD: the momentum buffer holds something */
    taper_tensor **copies; /* of parameters in low precision; NULL, or NULL where there is none */
    taper_tensor **work;   /* the lists of one call */
    taper_tensor *norm;
};

/* A gradient scaler's part in a step; each may be NULL. */
typedef struct taper_optim_scaling {
    taper_tensor *scale, *found_inf;
    bool unscaled; /* the gradients have been divided by the scale already */
} taper_optim_scaling;
taper_status taper__optimizer_step(taper_optimizer *o, const taper_optim_scaling *scaling);
/* The state of parameter i, made when it is not there. */
taper_status taper__optimizer_state(taper_optimizer *o, int i);
static inline bool taper__optimizer_steps(const taper_optimizer *o) { return o->class_ != TAPER_CLASS_SGD; }

#endif
