/* One step: the parameters of each group that have a gradient, with their state, go to one fused operator. */
#include "optim/optim.h"

static bool step_is_adam(const taper_optimizer *o) { return o->class_ == TAPER_CLASS_ADAM || o->class_ == TAPER_CLASS_ADAMW; }

/* A group takes up to two calls: SGD with momentum for those in their first step apart, Adam for those with a copy apart. */
static int step_part(const taper_optimizer *o, int i) {
    if (o->class_ == TAPER_CLASS_SGD) return o->with_momentum && !o->started[i];
    return o->copies && o->copies[i];
}

/* Parameters of one part of a group with gradients, then the gradients, each list of state, and the copies: list k starts at
 * work[k * n]. */
static taper_status step_gather(taper_optimizer *o, int group, int part, int *count) {
    const taper_params *p = o->params;
    int n = 0, at = 0;
    for (int pass = 0; pass < 2; pass++)
        for (int i = 0; i < p->count; i++) {
            taper_tensor *grad = taper_grad(p->tensors[i]);
            if (!grad || o->group_of[i] != group || step_part(o, i) != part) continue;
            if (!pass) {
                TAPER_TRY(taper__optimizer_state(o, i));
                n++;
                continue;
            }
            o->work[at] = p->tensors[i];
            o->work[n + at] = grad;
            for (int k = 0; k < o->nlists; k++) o->work[(2 + k) * n + at] = o->state[k * p->count + i];
            if (o->copies) o->work[(2 + o->nlists) * n + at] = o->copies[i];
            at++;
        }
    *count = n;
    return TAPER_OK;
}

typedef struct step_numbers {
    taper_tensor *scale, *inf; /* of a gradient scaler; NULL */
    taper_tensor *factor;      /* Adam: what gradients are multiplied by in the pass; owned */
} step_numbers;

/* The order of o->names is that of the operator's lists, of which some may be absent. */
static taper_status step_call(taper_optimizer *o, const taper_optim_group *g, int n, int part, const step_numbers *s) {
    taper_tensor **w = o->work, **grads = w + n, **state = w + 2 * n, **steps = w + (1 + o->nlists) * n;
    taper_tensor **copies = steps + n;
    int top = o->amsgrad ? n : 0, momentum = o->with_momentum ? n : 0, mean = o->centered ? n : 0;
    switch (o->class_) {
    case TAPER_CLASS_SGD:
        return taper_fused_sgd_(NULL, w, n, grads, n, state, momentum, g->weight_decay, g->momentum, g->lr, o->dampening, o->nesterov, o->maximize, part, s->scale, s->inf);
    case TAPER_CLASS_ADAM:
        return taper_fused_adam_copy_(NULL, w, n, grads, n, state, n, state + n, n, state + 2 * n, top, steps, n, copies, part * n, g->lr, g->momentum, o->beta2, g->weight_decay, o->eps,
                                      o->amsgrad, o->maximize, s->factor, s->inf);
    case TAPER_CLASS_ADAMW:
        return taper_fused_adamw_copy_(NULL, w, n, grads, n, state, n, state + n, n, state + 2 * n, top, steps, n, copies, part * n, g->lr, g->momentum, o->beta2, g->weight_decay, o->eps,
                                       o->amsgrad, o->maximize, s->factor, s->inf);
    case TAPER_CLASS_RMSPROP:
        return taper_fused_rmsprop_(NULL, w, n, grads, n, state, n, state + n, momentum, state + n + momentum, mean, steps, n, g->lr, o->beta2, o->eps,
                                    g->weight_decay, g->momentum, o->centered, o->maximize, s->scale, s->inf);
    }
    return TAPER_OK;
}

/* The norm; Adam clips in its pass, by the factor. */
static taper_status step_clip(taper_optimizer *o, step_numbers *s) {
    int n = 0;
    for (int i = 0; i < o->params->count; i++)
        if (taper_grad(o->params->tensors[i])) o->work[n++] = taper_grad(o->params->tensors[i]);
    taper_tensor *r[2] = {NULL, NULL};
    if (step_is_adam(o)) TAPER_TRY(taper_fused_clip_factor(r, o->work, n, o->clip_norm));
    else TAPER_TRY(taper_clip_grad_norm_(r, o->work, n, o->clip_norm));
    taper_tensor_release(o->norm);
    o->norm = r[0];
    s->factor = r[1];
    return TAPER_OK;
}

/* A first step with dampening is not what a later one is: whether a scaler leaves it out must be known. */
static taper_status step_left_out(const taper_optimizer *o, taper_tensor *inf, bool *out) {
    double found = 0;
    *out = false;
    if (!inf || o->class_ != TAPER_CLASS_SGD || !o->with_momentum || o->dampening == 0) return TAPER_OK;
    for (int i = 0; i < o->params->count; i++)
        if (!o->started[i] && taper_grad(o->params->tensors[i])) {
            TAPER_TRY(taper_tensor_item_double(inf, &found));
            *out = found != 0;
            break;
        }
    return TAPER_OK;
}

/* Copies that do not hold their parameter any more: something else than a step wrote to it. A step that a scaler leaves out on the GPU must
 * find them right. */
static taper_status step_refresh(const taper_optimizer *o) {
    for (int i = 0; o->copies && i < o->params->count; i++) {
        taper_tensor *copy = o->copies[i], *t = o->params->tensors[i], *same = NULL;
        if (!copy || !taper_grad(t) || taper_leaf_copy(t, taper_tensor_dtype(copy)) == copy) continue;
        TAPER_TRY(taper_copy_(&same, copy, t, false));
        taper_tensor_release(same);
    }
    return TAPER_OK;
}

static taper_status step_groups(taper_optimizer *o, const step_numbers *s) {
    int n = 0;
    for (int g = 0; g < o->ngroups; g++) {
        for (int part = 0; part < 2; part++) {
            TAPER_TRY(step_gather(o, g, part, &n));
            if (n) TAPER_TRY(step_call(o, &o->groups[g], n, part, s));
        }
        for (int i = 0; i < o->params->count; i++) {
            taper_tensor *t = o->params->tensors[i];
            if (o->group_of[i] != g || !taper_grad(t)) continue;
            o->started[i] = true;
            if (o->copies && o->copies[i]) TAPER_TRY(taper_set_leaf_copy(t, o->copies[i]));
        }
    }
    return TAPER_OK;
}

static taper_status step_all(taper_optimizer *o, const taper_optim_scaling *scaling) {
    step_numbers s = {.scale = scaling && !scaling->unscaled ? scaling->scale : NULL, .inf = scaling ? scaling->found_inf : NULL};
    bool left_out = false;
    if (o->clip_norm > 0) TAPER_TRY(step_clip(o, &s));
    else if (s.scale && step_is_adam(o)) TAPER_TRY(taper_reciprocal(&s.factor, s.scale));
    taper_status st = step_left_out(o, s.inf, &left_out);
    if (st == TAPER_OK && !left_out) st = step_refresh(o);
    if (st == TAPER_OK && !left_out) st = step_groups(o, &s);
    taper_tensor_release(s.factor);
    return st;
}

taper_status taper__optimizer_step(taper_optimizer *o, const taper_optim_scaling *scaling) {
    bool was = taper_set_grad_enabled(false);
    taper_status st = step_all(o, scaling);
    taper_set_grad_enabled(was);
    return st;
}
taper_status taper_optimizer_step(taper_optimizer *o) { return taper__optimizer_step(o, NULL); }

taper_status taper_params_clip_grad(const taper_params *p, double max_norm, double *norm) {
    taper_tensor **grads = taper__alloc(sizeof *grads * (size_t)(p->count + 1)), *total = NULL;
    if (!grads) return TAPER_FAIL(TAPER_MEMORY, "clip_grad: no memory");
    int n = 0;
    for (int i = 0; i < p->count; i++)
        if (taper_grad(p->tensors[i])) grads[n++] = taper_grad(p->tensors[i]);
    taper_status st = taper_clip_grad_norm_(&total, grads, n, max_norm);
    if (st == TAPER_OK && norm) st = taper_tensor_item_double(total, norm);
    taper_tensor_release(total);
    taper__free(grads);
    return st;
}
