/* Optimisers for C programs: options, state and groups of a list of parameters. The step is in step.c. */
#include "optim/optim.h"

#include <math.h>
#include <string.h>

static const char *const optimizer_sgd[] = {"momentum_buffer"};
static const char *const optimizer_adam[] = {"exp_avg", "exp_avg_sq", "step"};
static const char *const optimizer_amsgrad[] = {"exp_avg", "exp_avg_sq", "max_exp_avg_sq", "step"};
/* square_avg, then momentum_buffer and grad_avg where wanted. */
static const char *const optimizer_rmsprop[4][4] = {
    {"square_avg", "step"}, {"square_avg", "momentum_buffer", "step"}, {"square_avg", "grad_avg", "step"}, {"square_avg", "momentum_buffer", "grad_avg", "step"}};

taper_status taper__optimizer_state(taper_optimizer *o, int i) {
    const taper_tensor *p = o->params->tensors[i];
    taper_device device = taper_tensor_device(p);
    for (int k = 0; k < o->nlists; k++) {
        taper_tensor **at = &o->state[k * o->params->count + i];
        bool step = taper__optimizer_steps(o) && k == o->nlists - 1;
        if (!*at)
            TAPER_TRY(taper_full(at, taper_tensor_shape(p), step ? 0 : taper_tensor_ndim(p), taper_float(0), step ? TAPER_F32 : taper_tensor_dtype(p), &device));
    }
    return TAPER_OK;
}

static taper_status optimizer_new(taper_optimizer **out, const taper_params *p, taper_optimizer init, taper_optim_group group) {
    size_t n = (size_t)p->count;
    taper_status st = TAPER_OK;
    taper_optimizer *o = taper__alloc(sizeof *o);
    if (!o) return TAPER_FAIL(TAPER_MEMORY, "optimizer: no memory");
    *o = init;
    o->params = p;
    o->groups = taper__alloc(sizeof *o->groups);
    o->group_of = taper__alloc_zero(sizeof *o->group_of * (n + 1));
    o->state = taper__alloc_zero(sizeof *o->state * (n * (size_t)o->nlists + 1));
    o->started = taper__alloc_zero(sizeof *o->started * (n + 1));
    o->work = taper__alloc(sizeof *o->work * (n * (TAPER_OPTIM_STATES + 3) + 1));
    if (!o->groups || !o->group_of || !o->state || !o->started || !o->work) st = TAPER_FAIL(TAPER_MEMORY, "optimizer: no memory for %d parameters", p->count);
    if (st == TAPER_OK) {
        group.base_lr = group.lr;
        o->groups[0] = group;
        o->ngroups = 1;
    }
    for (int i = 0; i < p->count && st == TAPER_OK; i++)
        if (taper_requires_grad(p->tensors[i])) st = taper__optimizer_state(o, i);
    if (st != TAPER_OK) {
        taper_optimizer_release(o);
        return st;
    }
    *out = o;
    return TAPER_OK;
}

void taper_optimizer_release(taper_optimizer *o) {
    if (!o) return;
    for (int i = 0; o->state && i < o->nlists * o->params->count; i++) taper_tensor_release(o->state[i]);
    for (int i = 0; o->copies && i < o->params->count; i++) {
        if (o->copies[i]) taper_set_leaf_copy(o->params->tensors[i], NULL);
        taper_tensor_release(o->copies[i]);
    }
    taper_tensor_release(o->norm);
    taper__free(o->copies);
    taper__free(o->groups);
    taper__free(o->group_of);
    taper__free(o->state);
    taper__free(o->started);
    taper__free(o->work);
    taper__free(o);
}

taper_status taper_optimizer_keep_copies(taper_optimizer *o, taper_dtype dtype) {
    const taper_params *p = o->params;
    taper_status st = TAPER_OK;
    if (o->class_ != TAPER_CLASS_ADAM && o->class_ != TAPER_CLASS_ADAMW) return TAPER_FAIL(TAPER_NOT_IMPLEMENTED, "optimizer: only Adam and AdamW keep copies");
    if (dtype != TAPER_F16 && dtype != TAPER_BF16) return TAPER_FAIL(TAPER_VALUE, "optimizer: copies are float16 or bfloat16, not %s", taper_dtype_name(dtype));
    taper_tensor **copies = taper__alloc_zero(sizeof *copies * (size_t)(p->count + 1));
    if (!copies) return TAPER_FAIL(TAPER_MEMORY, "optimizer: no memory for %d copies", p->count);
    bool was = taper_set_grad_enabled(false);
    for (int i = 0; i < p->count && st == TAPER_OK; i++)
        if (o->state[i] && taper_tensor_dtype(p->tensors[i]) == TAPER_F32) st = taper_to(&copies[i], p->tensors[i], NULL, dtype, false, false);
    for (int i = 0; i < p->count && st == TAPER_OK; i++)
        if (copies[i]) st = taper_set_leaf_copy(p->tensors[i], copies[i]);
    for (int i = 0; i < p->count && st != TAPER_OK; i++) taper_set_leaf_copy(p->tensors[i], NULL);
    taper_set_grad_enabled(was);
    taper_tensor **old = st == TAPER_OK ? o->copies : copies;
    if (st == TAPER_OK) o->copies = copies;
    for (int i = 0; old && i < p->count; i++) taper_tensor_release(old[i]);
    taper__free(old);
    return st;
}

/* In torch's words. "not (0 <= x)" catches NaN too. */
static taper_status optimizer_at_least_0(double value, const char *what) {
    return value >= 0 ? TAPER_OK : TAPER_FAIL(TAPER_VALUE, "Invalid %s: %g", what, value);
}
static taper_status optimizer_check(double lr, double weight_decay, double eps, double clip_norm) {
    TAPER_TRY(optimizer_at_least_0(lr, "learning rate"));
    TAPER_TRY(optimizer_at_least_0(eps, "epsilon value"));
    TAPER_TRY(optimizer_at_least_0(clip_norm, "clip_norm value"));
    return optimizer_at_least_0(weight_decay, "weight_decay value");
}

static taper_status optimizer_adam_new(taper_optimizer **out, const taper_params *p, taper_adamw_options a, taper_optim_class class_) {
    TAPER_TRY(optimizer_check(a.lr, a.weight_decay, a.eps, a.clip_norm));
    if (!(a.beta1 >= 0 && a.beta1 < 1)) return TAPER_FAIL(TAPER_VALUE, "Invalid beta parameter at index 0: %g", a.beta1);
    if (!(a.beta2 >= 0 && a.beta2 < 1)) return TAPER_FAIL(TAPER_VALUE, "Invalid beta parameter at index 1: %g", a.beta2);
    taper_optimizer init = {.class_ = class_, .beta2 = a.beta2, .eps = a.eps, .clip_norm = a.clip_norm, .amsgrad = a.amsgrad, .maximize = a.maximize,
                            .with_momentum = true, .names = a.amsgrad ? optimizer_amsgrad : optimizer_adam, .nlists = 3 + a.amsgrad};
    return optimizer_new(out, p, init, (taper_optim_group){.lr = a.lr, .weight_decay = a.weight_decay, .momentum = a.beta1});
}
taper_status taper_adam_new(taper_optimizer **out, const taper_params *p, taper_adam_options options) {
    return optimizer_adam_new(out, p, options, TAPER_CLASS_ADAM);
}
taper_status taper_adamw_new(taper_optimizer **out, const taper_params *p, taper_adamw_options options) {
    return optimizer_adam_new(out, p, options, TAPER_CLASS_ADAMW);
}

taper_status taper_sgd_new(taper_optimizer **out, const taper_params *p, taper_sgd_options s) {
    TAPER_TRY(optimizer_check(s.lr, s.weight_decay, 0, s.clip_norm));
    TAPER_TRY(optimizer_at_least_0(s.momentum, "momentum value"));
    if (s.nesterov && (s.momentum <= 0 || s.dampening != 0)) return TAPER_FAIL(TAPER_VALUE, "Nesterov momentum requires a momentum and zero dampening");
    taper_optimizer init = {.class_ = TAPER_CLASS_SGD, .dampening = s.dampening, .clip_norm = s.clip_norm, .nesterov = s.nesterov, .maximize = s.maximize,
                            .with_momentum = s.momentum != 0, .names = optimizer_sgd, .nlists = s.momentum != 0};
    return optimizer_new(out, p, init, (taper_optim_group){.lr = s.lr, .weight_decay = s.weight_decay, .momentum = s.momentum});
}

taper_status taper_rmsprop_new(taper_optimizer **out, const taper_params *p, taper_rmsprop_options r) {
    TAPER_TRY(optimizer_check(r.lr, r.weight_decay, r.eps, r.clip_norm));
    TAPER_TRY(optimizer_at_least_0(r.momentum, "momentum value"));
    TAPER_TRY(optimizer_at_least_0(r.alpha, "alpha value"));
    bool momentum = r.momentum != 0;
    taper_optimizer init = {.class_ = TAPER_CLASS_RMSPROP, .beta2 = r.alpha, .eps = r.eps, .clip_norm = r.clip_norm, .centered = r.centered, .maximize = r.maximize,
                            .with_momentum = momentum, .names = optimizer_rmsprop[momentum + 2 * r.centered], .nlists = 2 + momentum + r.centered};
    return optimizer_new(out, p, init, (taper_optim_group){.lr = r.lr, .weight_decay = r.weight_decay, .momentum = r.momentum});
}

/* ---- groups ---- */

taper_status taper_optimizer_group(taper_optimizer *o, taper_chooses chooses, void *ctx, double lr, double weight_decay, int *group) {
    int chosen = 0;
    TAPER_TRY(optimizer_check(lr, weight_decay, 0, 0));
    taper_optim_group *groups = taper__realloc(o->groups, sizeof *groups * (size_t)(o->ngroups + 1));
    if (!groups) return TAPER_FAIL(TAPER_MEMORY, "optimizer: no memory for %d groups", o->ngroups + 1);
    o->groups = groups;
    groups[o->ngroups] = (taper_optim_group){.lr = lr, .base_lr = lr, .weight_decay = weight_decay, .momentum = groups[0].momentum};
    for (int i = 0; i < o->params->count; i++)
        if (!o->group_of[i] && chooses(ctx, o->params->names[i], o->params->tensors[i])) o->group_of[i] = o->ngroups, chosen++;
    if (!chosen) return TAPER_FAIL(TAPER_VALUE, "optimizer group: none of %d parameters was chosen, or all of those are in other groups", o->params->count);
    if (group) *group = o->ngroups;
    o->ngroups++;
    return TAPER_OK;
}
int taper_optimizer_groups(const taper_optimizer *o) { return o->ngroups; }

bool taper_chooses_names(void *ctx, const char *name, const taper_tensor *parameter) {
    const char *pattern = ctx, *star = NULL, *from = name;
    (void)parameter;
    while (*name) { /* the last star takes one character more after each mismatch */
        if (*pattern == '*') star = pattern++, from = name;
        else if (*pattern == *name) pattern++, name++;
        else if (star) pattern = star + 1, name = ++from;
        else return false;
    }
    while (*pattern == '*') pattern++;
    return !*pattern;
}
bool taper_chooses_vectors(void *ctx, const char *name, const taper_tensor *parameter) {
    (void)ctx;
    (void)name;
    return taper_tensor_ndim(parameter) < 2;
}

void taper_optimizer_set_lr(taper_optimizer *o, double lr) {
    for (int g = 0; g < o->ngroups; g++) o->groups[g].lr = o->groups[g].base_lr = lr;
}
taper_status taper_optimizer_set_group_lr(taper_optimizer *o, int group, double lr) {
    if (group < 0 || group >= o->ngroups) return TAPER_FAIL(TAPER_INDEX, "optimizer: group %d of %d", group, o->ngroups);
    o->groups[group].lr = o->groups[group].base_lr = lr;
    return TAPER_OK;
}
#define OPTIMIZER_GET(field)                                                                                           \
    double taper_optimizer_##field(const taper_optimizer *o, int group) { return group >= 0 && group < o->ngroups ? o->groups[group].field : NAN; }
OPTIMIZER_GET(lr)
OPTIMIZER_GET(weight_decay)
OPTIMIZER_GET(momentum)

taper_tensor *taper_optimizer_grad_norm(const taper_optimizer *o) { return o->norm; }
