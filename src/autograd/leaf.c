/* What a tensor shows of its gradient: requires_grad, .grad, hooks, detach, modes. */
#include "autograd/tape.h"

taper_status taper_set_requires_grad(taper_tensor *t, bool on) {
    if (on && !taper_dtype_is_float((taper_dtype)t->dtype))
        return TAPER_FAIL(TAPER_RUNTIME, "Only Tensors of floating point and complex dtype can require gradients, got %s", TAPER_TEXT(t));
    if (!taper_is_leaf(t)) {
        if (on) return TAPER_OK;
        return TAPER_FAIL(TAPER_RUNTIME, "you can only change requires_grad flags of leaf variables. If you want to use a computed variable "
                                         "in a subgraph that doesn't require differentiation use var_no_grad = var.detach().");
    }
    if (on && t->inference && !taper__mode.inference)
        return TAPER_FAIL(TAPER_RUNTIME, "Setting requires_grad=True on inference tensor outside InferenceMode is not allowed.");
    t->requires_grad = on;
    return TAPER_OK;
}

bool taper_requires_grad(const taper_tensor *t) { return t->requires_grad || (t->base && t->base->requires_grad && t->base->grad && t->base->grad->node); }
bool taper_is_leaf(const taper_tensor *t) { return !taper_requires_grad(t) || !taper_grad_fn((taper_tensor *)t); }

taper_node *taper_grad_fn(taper_tensor *t) {
    if (t->base && taper__view_refresh(t) != TAPER_OK) return NULL;
    return t->grad ? t->grad->node : NULL;
}

taper_tensor *taper_grad(const taper_tensor *t) { return t->grad ? t->grad->grad : NULL; }

taper_status taper_set_grad(taper_tensor *t, taper_tensor *grad) {
    if (!grad && !t->grad) return TAPER_OK;
    if (grad) {
        if (grad->ndim != t->ndim || memcmp(grad->shape, t->shape, sizeof(int64_t) * t->ndim))
            return TAPER_FAIL(TAPER_RUNTIME, "attempting to assign a gradient of size '%s' to a tensor of size '%s'. Please ensure that the gradient "
                                             "and the tensor are the same size", TAPER_SHAPE(grad), TAPER_SHAPE(t));
        if (grad->dtype != t->dtype)
            return TAPER_FAIL(TAPER_RUNTIME, "attempting to assign a gradient with dtype '%s' to a tensor with dtype '%s'. Please ensure that the "
                                             "gradient and the tensor have the same dtype",
                              taper_dtype_name((taper_dtype)grad->dtype), taper_dtype_name((taper_dtype)t->dtype));
        if (!taper_device_equal(grad->device, t->device))
            return TAPER_FAIL(TAPER_RUNTIME, "attempting to assign a gradient with device type '%s' to a tensor with device type '%s'. Please ensure "
                                             "that the gradient and the tensor are on the same device",
                              taper__device_text(grad->device).s, taper__device_text(t->device).s);
    }
    taper_autograd *a;
    TAPER_TRY(taper__autograd_of(&a, t));
    taper_tensor *old = a->grad;
    a->grad = taper_tensor_retain(grad);
    taper_tensor_release(old);
    return TAPER_OK;
}

taper_status taper__accumulate(taper_tensor *leaf, taper_tensor *grad, bool create_graph) {
    taper_autograd *a;
    taper_tensor *own = taper_tensor_retain(grad), *sum = NULL;
    taper_status st = TAPER_OK;
    TAPER_TRY_GOTO(taper__autograd_of(&a, leaf));
    if (a->leaf_hooks) TAPER_TRY_GOTO(taper__run_hooks(a->leaf_hooks, 0, &own));
    if (!a->grad) {
        /* A gradient nobody else holds is taken as it is; one that is shared or a window is copied. */
        bool ours = atomic_load(&own->refs) <= 2 && own->storage && atomic_load(&own->storage->refs) == 1 && own->contiguous == leaf->contiguous;
        if (create_graph || ours) {
            a->grad = taper_tensor_retain(own);
        } else {
            TAPER_TRY_GOTO(taper_clone(&a->grad, own));
        }
    } else if (create_graph) {
        TAPER_TRY_GOTO(taper_add(&sum, a->grad, own, taper_int(1)));
        taper_tensor_release(a->grad);
        a->grad = sum;
    } else {
        TAPER_TRY_GOTO(taper_add_(a->grad, own, taper_int(1)));
    }
    for (taper_hook *h = a->leaf_hooks; h;) {
        taper_hook *next = h->next;
        taper_tensor *ignored = NULL;
        if (h->nr < 0) TAPER_TRY_GOTO(h->call(h->ctx, leaf, &ignored));
        taper_tensor_release(ignored);
        h = next;
    }
out:
    taper_tensor_release(own);
    return st;
}

taper_status taper_detach(taper_tensor **out, taper_tensor *t) { return taper__tensor_alias(out, t); }

taper_status taper_detach_(taper_tensor *t) {
    if (t->base) return TAPER_FAIL(TAPER_RUNTIME, "Can't detach views in-place. Use detach() instead.");
    if (t->grad) {
        taper_node_release(t->grad->node);
        t->grad->node = NULL;
    }
    t->requires_grad = false;
    return TAPER_OK;
}

/* ---- hooks ---- */

static taper_status hook_add(taper_tensor *t, bool post, taper_grad_hook call, void (*release)(void *), void *ctx, bool retain, int64_t *id) {
    static _Atomic int64_t next_id = 1;
    taper_autograd *a;
    if (!taper_requires_grad(t)) return TAPER_FAIL(TAPER_RUNTIME, "cannot register a hook on a tensor that doesn't require gradient");
    taper_node *n = taper_grad_fn(t);
    if (post && n) return TAPER_FAIL(TAPER_RUNTIME, "post accumulate grad hooks cannot be registered on non-leaf tensors");
    TAPER_TRY(taper__autograd_of(&a, t));
    taper_hook *h = taper__alloc_zero(sizeof *h);
    if (!h) return TAPER_FAIL(TAPER_MEMORY, "register_hook: no memory");
    *h = (taper_hook){.call = call, .release = release, .ctx = ctx, .nr = post ? -1 : n ? a->nr : 0, .retain_grad = retain};
    h->id = *id = atomic_fetch_add(&next_id, 1);
    taper_hook **list = n ? &n->hooks : &a->leaf_hooks;
    while (*list && !(*list)->retain_grad) list = &(*list)->next; /* retain_grad sees what the other hooks made of it */
    h->next = *list;
    *list = h;
    return TAPER_OK;
}

taper_status taper_register_hook(taper_tensor *t, taper_grad_hook hook, void (*release)(void *), void *ctx, int64_t *id) {
    return hook_add(t, false, hook, release, ctx, false, id);
}
taper_status taper_register_post_accumulate_hook(taper_tensor *t, taper_grad_hook hook, void (*release)(void *), void *ctx, int64_t *id) {
    return hook_add(t, true, hook, release, ctx, false, id);
}

void taper_remove_hook(taper_tensor *t, int64_t id) {
    taper_autograd *a = t->grad;
    if (!a) return;
    taper_hook **lists[2] = {&a->leaf_hooks, a->node ? &a->node->hooks : NULL};
    for (int i = 0; i < 2; i++)
        for (taper_hook **p = lists[i]; p && *p; p = &(*p)->next)
            if ((*p)->id == id) {
                taper_hook *h = *p;
                *p = h->next;
                if (h->release) h->release(h->ctx);
                taper__free(h);
                return;
            }
}

/* The hook knows the tensor by address only; it is told when the tensor goes by being removed with the node or here. */
static taper_status retain_grad_hook(void *ctx, taper_tensor *grad, taper_tensor **replacement) {
    (void)replacement;
    taper_autograd *a = ctx;
    if (!a->retains_grad) return TAPER_OK;
    taper_tensor *old = a->grad;
    a->grad = taper_tensor_retain(grad);
    taper_tensor_release(old);
    return TAPER_OK;
}

taper_status taper_retain_grad(taper_tensor *t) {
    int64_t id;
    if (!taper_requires_grad(t)) return TAPER_FAIL(TAPER_RUNTIME, "can't retain_grad on Tensor that has requires_grad=False");
    if (taper_is_leaf(t) || taper_retains_grad(t)) return TAPER_OK;
    TAPER_TRY(hook_add(t, false, retain_grad_hook, NULL, t->grad, true, &id));
    t->grad->retains_grad = true;
    return TAPER_OK;
}
bool taper_retains_grad(const taper_tensor *t) { return t->grad && t->grad->retains_grad; }

/* ---- modes ---- */

bool taper_set_grad_enabled(bool on) {
    bool old = !taper__mode.no_grad;
    taper__mode.no_grad = !on;
    return old;
}
bool taper_grad_enabled(void) { return !taper__mode.no_grad; }
bool taper_set_inference_mode(bool on) {
    bool old = taper__mode.inference;
    taper__mode.inference = on;
    return old;
}
bool taper_inference_mode(void) { return taper__mode.inference; }
bool taper_is_inference(const taper_tensor *t) { return t->inference; }
int taper_set_anomaly_mode(int mode) {
    int old = taper__mode.anomaly;
    taper__mode.anomaly = mode;
    return old;
}
int taper_anomaly_mode(void) { return taper__mode.anomaly; }
