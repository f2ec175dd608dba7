/* AdamW and SGD for C programs: the state of a list of parameters, and one fused operator call a step. */
#include <taper/autograd.h>
#include <taper/ops.h>
#include <taper/optim.h>

#include <string.h>

#include "base/base.h"

struct taper_optimizer {
    bool adamw;
    const taper_params *params;
    taper_adamw_options a;
    taper_sgd_options s;
    int lists; /* of state: 3 (averages, squares, steps), 1 (momentum) or 0 */
    taper_tensor **state; /* lists x params */
    taper_tensor **work;  /* parameters and gradients of this step, then its state */
    bool *started;        /* whether a parameter has had a step */
};

static taper_status optimizer_new(taper_optimizer **out, const taper_params *p, int lists, taper_optimizer init) {
    size_t n = (size_t)p->count;
    taper_optimizer *o = taper__alloc(sizeof *o);
    if (!o) return TAPER_FAIL(TAPER_MEMORY, "optimizer: no memory");
    *o = init;
    o->params = p;
    o->lists = lists;
    o->state = taper__alloc(sizeof *o->state * (n * (size_t)lists + 1));
    o->work = taper__alloc(sizeof *o->work * (n * 5 + 1));
    o->started = taper__alloc(sizeof *o->started * (n + 1));
    if (o->state) memset(o->state, 0, sizeof *o->state * (n * (size_t)lists + 1));
    if (o->started) memset(o->started, 0, sizeof *o->started * (n + 1));
    taper_status status = o->state && o->work && o->started ? TAPER_OK : TAPER_FAIL(TAPER_MEMORY, "optimizer: no memory");
    for (int k = 0; k < lists && status == TAPER_OK; k++)
        for (int i = 0; i < p->count && status == TAPER_OK; i++) {
            taper_device device = taper_tensor_device(p->tensors[i]);
            const int64_t *shape = taper_tensor_shape(p->tensors[i]);
            bool step = k == 2;
            status = taper_full(&o->state[k * p->count + i], shape, step ? 0 : taper_tensor_ndim(p->tensors[i]), taper_float(0),
                                step ? TAPER_F32 : taper_tensor_dtype(p->tensors[i]), &device);
        }
    if (status != TAPER_OK) {
        taper_optimizer_release(o);
        return status;
    }
    *out = o;
    return TAPER_OK;
}

taper_status taper_adamw_new(taper_optimizer **out, const taper_params *p, taper_adamw_options options) {
    return optimizer_new(out, p, 3, (taper_optimizer){.adamw = true, .a = options});
}

taper_status taper_sgd_new(taper_optimizer **out, const taper_params *p, taper_sgd_options options) {
    return optimizer_new(out, p, options.momentum != 0, (taper_optimizer){.s = options});
}

void taper_optimizer_set_lr(taper_optimizer *o, double lr) { o->a.lr = o->s.lr = lr; }

/* The parameters that have a gradient, with their state: list k starts at work[k * n]. first: only those in their first
 * step, or only the others; momentum starts differently. */
static int optimizer_gather(taper_optimizer *o, bool first) {
    int n = 0;
    const taper_params *p = o->params;
    for (int i = 0; i < p->count; i++)
        if (taper_grad(p->tensors[i]) && (o->adamw || o->started[i] != first)) n++;
    for (int i = 0, j = 0; i < p->count; i++) {
        taper_tensor *grad = taper_grad(p->tensors[i]);
        if (!grad || (!o->adamw && o->started[i] == first)) continue;
        o->work[j] = p->tensors[i];
        o->work[n + j] = grad;
        for (int k = 0; k < o->lists; k++) o->work[(2 + k) * n + j] = o->state[k * p->count + i];
        j++;
    }
    return n;
}

taper_status taper_optimizer_step(taper_optimizer *o) {
    bool was = taper_set_grad_enabled(false);
    taper_tensor **w = o->work;
    taper_status status = TAPER_OK;
    if (o->adamw) {
        int n = optimizer_gather(o, false);
        if (n)
            status = taper_fused_adamw_(NULL, w, n, w + n, n, w + 2 * n, n, w + 3 * n, n, w, 0, w + 4 * n, n, o->a.lr, o->a.beta1,
                                        o->a.beta2, o->a.weight_decay, o->a.eps, false, false, NULL, NULL);
    } else {
        /* Later steps before first ones: the marks change in between. */
        for (int first = 0; first < 2 && status == TAPER_OK; first++) {
            int n = optimizer_gather(o, first);
            if (n)
                status = taper_fused_sgd_(NULL, w, n, w + n, n, w + 2 * n, o->lists ? n : 0, o->s.weight_decay, o->s.momentum,
                                          o->s.lr, o->s.dampening, o->s.nesterov, false, first, NULL, NULL);
        }
        for (int i = 0; i < o->params->count && status == TAPER_OK; i++)
            if (taper_grad(o->params->tensors[i])) o->started[i] = true;
    }
    taper_set_grad_enabled(was);
    return status;
}

void taper_optimizer_release(taper_optimizer *o) {
    if (!o) return;
    for (int i = 0; o->state && i < o->lists * o->params->count; i++) taper_tensor_release(o->state[i]);
    taper__free(o->state);
    taper__free(o->work);
    taper__free(o->started);
    taper__free(o);
}

taper_status taper_params_clip_grad(const taper_params *p, double max_norm, double *norm) {
    taper_tensor **grads = taper__alloc(sizeof *grads * (size_t)(p->count + 1)), *total = NULL;
    if (!grads) return TAPER_FAIL(TAPER_MEMORY, "clip_grad: no memory");
    int n = 0;
    for (int i = 0; i < p->count; i++)
        if (taper_grad(p->tensors[i])) grads[n++] = taper_grad(p->tensors[i]);
    taper_status status = taper_clip_grad_norm_(&total, grads, n, max_norm);
    if (status == TAPER_OK && norm) status = taper_tensor_item_double(total, norm);
    taper_tensor_release(total);
    taper__free(grads);
    return status;
}
