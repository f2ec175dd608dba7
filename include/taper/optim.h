/* Training tools over a list of parameters: optimisers, learning-rate schedules, gradient scaling.
 *
 *     taper_adamw_options a = TAPER_ADAMW_OPTIONS;
 *     a.lr = 6e-4;
 *     a.clip_norm = 1;
 *     taper_adamw_new(&o, &params, a);
 *     taper_optimizer_group(o, taper_chooses_vectors, NULL, a.lr, 0, NULL);
 *     taper_schedule warm_up = taper_linear_lr(0.01, 1, 100), cosine = taper_cosine_annealing_lr(5000, 6e-5);
 *     for (int64_t i = 0; i < steps; i++) {
 *         taper_schedule_apply(i < 100 ? &warm_up : &cosine, o, i < 100 ? i : i - 100);
 *         ... forward, taper_params_zero_grad, taper_backward ...
 *         taper_optimizer_step(o);
 *     }
 *
 * The list is borrowed: it outlives the optimiser and does not change meanwhile. Entries without a gradient (buffers, unused layers)
 * are left as they are, at every step anew. Arithmetic, defaults and names are torch.optim's. Nothing here waits for a GPU unless it says so.
 */
#ifndef TAPER_OPTIM_H
#define TAPER_OPTIM_H

#include <taper/nn.h>

TAPER_BEGIN

typedef struct taper_optimizer taper_optimizer;

/* ---- optimisers ---- */

/* lr: learning rate. weight_decay: times the parameter is added to the gradient (AdamW: taken off the parameter, times lr).
 * maximize: climbs. clip_norm: gradients are scaled for the step so that their common 2-norm is at most this; 0: no clipping. */
typedef struct taper_adamw_options {
    double lr, beta1, beta2, eps, weight_decay, clip_norm;
    bool amsgrad, maximize; /* amsgrad: divides by the largest average of squares so far (Reddi et al. 2018) */
} taper_adamw_options;
typedef taper_adamw_options taper_adam_options;
#define TAPER_ADAMW_OPTIONS {1e-3, 0.9, 0.999, 1e-8, 1e-2, 0, false, false}
#define TAPER_ADAM_OPTIONS {1e-3, 0.9, 0.999, 1e-8, 0, 0, false, false}
typedef struct taper_sgd_options {
    double lr, momentum, dampening, weight_decay;
    bool nesterov; /* needs momentum and no dampening */
    bool maximize;
    double clip_norm;
} taper_sgd_options;
#define TAPER_SGD_OPTIONS {1e-3, 0, 0, 0, false, false, 0}
typedef struct taper_rmsprop_options {
    double lr, alpha, eps, weight_decay, momentum, clip_norm;
    bool centered, maximize; /* centered: divides by the deviation instead of the root mean square (Graves 2013) */
} taper_rmsprop_options;
#define TAPER_RMSPROP_OPTIONS {1e-2, 0.99, 1e-8, 0, 0, 0, false, false}

/* Adam (Kingma and Ba 2015), AdamW (Loshchilov and Hutter 2019), SGD with momentum (Nesterov: Sutskever et al. 2013), RMSprop
 * (Hinton 2012). State has shape, dtype and device of its parameter and is made here for each entry that wants a gradient.
 * VALUE: a number that torch.optim refuses too. *out is ended by taper_optimizer_release. */
TAPER_API taper_status taper_adam_new(taper_optimizer **out, const taper_params *p, taper_adam_options options);
TAPER_API taper_status taper_adamw_new(taper_optimizer **out, const taper_params *p, taper_adamw_options options);
TAPER_API taper_status taper_sgd_new(taper_optimizer **out, const taper_params *p, taper_sgd_options options);
TAPER_API taper_status taper_rmsprop_new(taper_optimizer **out, const taper_params *p, taper_rmsprop_options options);
TAPER_API void taper_optimizer_release(taper_optimizer *o); /* NULL is a no-op */

/* From now on a step of Adam or AdamW writes the new parameters in float16 or bfloat16 too, in the same pass over memory, where casts of
 * them find them (taper_cast_leaf, autocast, taper_nn_gpt with `half`). For each float32 parameter with state; the optimiser owns the
 * copies. A parameter that something else has changed is cast again at the next step. NOT_IMPLEMENTED for other optimisers. */
TAPER_API taper_status taper_optimizer_keep_copies(taper_optimizer *o, taper_dtype dtype);

/* One step from the gradients that the parameters have, recorded by no tape. */
TAPER_API taper_status taper_optimizer_step(taper_optimizer *o);
/* With clip_norm: the 2-norm of all gradients before the last step, one number on their device; borrowed until the next step.
 * NULL before a step and without clip_norm. */
TAPER_API taper_tensor *taper_optimizer_grad_norm(const taper_optimizer *o);
/* Scales the gradients so that their common 2-norm is at most max_norm (Pascanu et al. 2013); *norm was it before (waits for a GPU);
 * norm NULL: not asked for. */
TAPER_API taper_status taper_params_clip_grad(const taper_params *p, double max_norm, double *norm);

/* ---- parameter groups ---- */

/* Group 0 has the options the optimiser was made with and every parameter at first. A new group takes those parameters of group 0
 * that chooses(ctx, name, parameter) names, with an lr and weight_decay of its own; the other options are common. *group (may be
 * NULL) is its number. VALUE when it chooses none, or for a negative lr or weight_decay. */
typedef bool (*taper_chooses)(void *ctx, const char *name, const taper_tensor *parameter);
TAPER_API taper_status taper_optimizer_group(taper_optimizer *o, taper_chooses chooses, void *ctx, double lr, double weight_decay, int *group);
TAPER_API int taper_optimizer_groups(const taper_optimizer *o); /* how many, at least 1 */
/* Two choices. ctx is a pattern for the whole name, in which each * stands for any characters ("blocks.*.bias"); or parameters of
 * fewer than two dims (biases and norms, which want no decay), ctx NULL. */
TAPER_API bool taper_chooses_names(void *ctx, const char *name, const taper_tensor *parameter);
TAPER_API bool taper_chooses_vectors(void *ctx, const char *name, const taper_tensor *parameter);

/* The rate of all groups, or of one: what the next step uses, and what schedules start from. */
TAPER_API void taper_optimizer_set_lr(taper_optimizer *o, double lr);
TAPER_API taper_status taper_optimizer_set_group_lr(taper_optimizer *o, int group, double lr); /* INDEX: no such group */
/* The rate that the next step uses, after schedules; NaN when there is no such group. */
TAPER_API double taper_optimizer_lr(const taper_optimizer *o, int group);
TAPER_API double taper_optimizer_weight_decay(const taper_optimizer *o, int group);
TAPER_API double taper_optimizer_momentum(const taper_optimizer *o, int group); /* beta1 of Adam */

/* ---- state in files ---- */

/* A safetensors file from which training goes on with the same bits: "<parameter>.<state>" with torch's names (exp_avg, exp_avg_sq,
 * max_exp_avg_sq, step, momentum_buffer, square_avg, grad_avg), and "param_groups" (groups, 4) float64: lr, the lr that schedules
 * start from, weight_decay, momentum. Schedules and data loaders have their own place in the caller's loop: its step number.
 * load: into an optimiser made in the same way, on any device, with the same groups. KEY or VALUE when the file is of another one;
 * the optimiser is then as it was. */
TAPER_API taper_status taper_optimizer_save(const taper_optimizer *o, const char *path);
TAPER_API taper_status taper_optimizer_load(taper_optimizer *o, const char *path);

/* ---- learning-rate schedules ---- */

/* A function from a step's number (from 0) to the learning rate, held in a plain value: nothing to release, and a run resumes from its
 * step number alone. Each starts from the rate its group was given (taper_optimizer_set_lr). Numbers are those of the class in
 * torch.optim.lr_scheduler after that many calls of its step(). One after another (SequentialLR): see the top of this file. */
typedef enum taper_schedule_kind {
    TAPER_SCHEDULE_STEP,
    TAPER_SCHEDULE_COSINE,
    TAPER_SCHEDULE_LAMBDA,
    TAPER_SCHEDULE_LINEAR,
    TAPER_SCHEDULE_ONE_CYCLE
} taper_schedule_kind;

/* OneCycleLR (Smith and Topin 2018): from max_lr / div_factor up to max_lr and down to the first over final_div_factor. */
typedef struct taper_one_cycle_options {
    double max_lr;         /* 0: the rate of each group */
    int64_t total_steps;   /* from 0 to total_steps - 1 */
    double pct_start;      /* part of the steps that go up */
    double div_factor, final_div_factor;
    double base_momentum, max_momentum; /* momentum, or Adam's beta1, moves against the rate between these */
    bool cycle_momentum;
    bool linear;           /* straight lines instead of half cosines */
    bool three_phase;      /* comes down as it went up, and then to the end */
} taper_one_cycle_options;
#define TAPER_ONE_CYCLE_OPTIONS {0, 0, 0.3, 25, 1e4, 0.85, 0.95, true, false, false}

typedef struct taper_schedule {
    taper_schedule_kind kind;
    int64_t steps;
    double a, b;
    double (*factor)(void *ctx, int group, int64_t step);
    void *ctx;
    taper_one_cycle_options one_cycle;
} taper_schedule;

/* StepLR: times gamma every step_size steps. */
TAPER_API taper_schedule taper_step_lr(int64_t step_size, double gamma);
/* CosineAnnealingLR (Loshchilov and Hutter 2017): half a cosine down to eta_min over t_max steps, and up again. */
TAPER_API taper_schedule taper_cosine_annealing_lr(int64_t t_max, double eta_min);
/* LambdaLR: times factor(ctx, group, step). */
TAPER_API taper_schedule taper_lambda_lr(double (*factor)(void *ctx, int group, int64_t step), void *ctx);
/* LinearLR: times a factor that goes from start_factor to end_factor over total_steps steps and stays there: a warm-up. */
TAPER_API taper_schedule taper_linear_lr(double start_factor, double end_factor, int64_t total_steps);
TAPER_API taper_schedule taper_one_cycle_lr(taper_one_cycle_options options);
/* Sets the rates of all groups (and what OneCycleLR does to momentum) for step number `step`. VALUE: a number that the class refuses,
 * a step outside a one-cycle, or momentum to cycle in an optimiser that was made without. */
TAPER_API taper_status taper_schedule_apply(const taper_schedule *s, taper_optimizer *o, int64_t step);

/* ---- gradient scaling ---- */

/* Keeps small float16 gradients from becoming zero (Micikevicius et al. 2018): the loss is multiplied by a scale, gradients are
 * divided by it in the step, a step with inf or NaN in the gradients is left out and shrinks the scale, many good ones make it grow:
 *
 *     taper_tensor *scaled = taper_grad_scaler_scale(&s, scaler, loss);
 *     taper_backward(&scaled, NULL, 1, false, false);
 *     taper_grad_scaler_unscale(scaler, o);  only where gradients are looked at before the step
 *     taper_grad_scaler_step(scaler, o);     instead of taper_optimizer_step; clip_norm works
 *     taper_grad_scaler_update(scaler);
 *
 * The scale and all decisions stay on the device. One scaler serves several optimisers whose gradients are on that device. */
typedef struct taper_grad_scaler taper_grad_scaler;
typedef struct taper_grad_scaler_options {
    double init_scale, growth_factor, backoff_factor;
    int64_t growth_interval;
} taper_grad_scaler_options;
#define TAPER_GRAD_SCALER_OPTIONS {65536, 2, 0.5, 2000}
/* VALUE unless growth_factor > 1, 0 < backoff_factor < 1, init_scale > 0 and growth_interval >= 1. */
TAPER_API taper_status taper_grad_scaler_new(taper_grad_scaler **out, taper_device device, taper_grad_scaler_options options);
TAPER_API void taper_grad_scaler_release(taper_grad_scaler *g); /* NULL is a no-op */
/* loss times the scale, owned by the scope; any shape, on the scaler's device. */
TAPER_API taper_tensor *taper_grad_scaler_scale(taper_scope *s, const taper_grad_scaler *g, taper_tensor *loss);
/* Gradients divided by the scale, in place. RUNTIME twice between updates, or after the step; VALUE for float16 gradients. */
TAPER_API taper_status taper_grad_scaler_unscale(taper_grad_scaler *g, taper_optimizer *o);
/* The step of o, which changes nothing when a gradient is not finite. RUNTIME twice between updates. */
TAPER_API taper_status taper_grad_scaler_step(taper_grad_scaler *g, taper_optimizer *o);
/* Once after all steps of an iteration. RUNTIME when there was none. */
TAPER_API taper_status taper_grad_scaler_update(taper_grad_scaler *g);
/* The scale and the good steps since it last changed, for a checkpoint: reading waits for a GPU. */
TAPER_API taper_status taper_grad_scaler_get(const taper_grad_scaler *g, double *scale, int64_t *good_steps);
TAPER_API taper_status taper_grad_scaler_set(taper_grad_scaler *g, double scale, int64_t good_steps);

TAPER_END

#endif
