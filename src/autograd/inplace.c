/* In-place changes: what is forbidden, and how the history of a tensor or of the base of a view is rewritten. */
#include "autograd/tape.h"

taper_status taper__check_inplace(taper_call *c, taper_tensor *target, bool recording) {
    if (TAPER_UNLIKELY(target->inference) && !taper__mode.inference)
        return TAPER_FAIL(TAPER_RUNTIME, "Inplace update to inference tensor outside InferenceMode is not allowed.You can make a clone to get a normal "
                                         "tensor before doing inplace update.See https://github.com/pytorch/rfcs/pull/17 for more details.");
    if (taper__mode.no_grad) return TAPER_OK;
    bool leaf = target->requires_grad && !(target->grad && target->grad->node);
    taper_tensor *base = target->base;
    bool leaf_base = base && base->requires_grad && !(base->grad && base->grad->node);
    if (c->out_given) {
        if (recording || target->requires_grad)
            return TAPER_FAIL(TAPER_RUNTIME, "%s(): functions with out=... arguments don't support automatic differentiation, but one of "
                                             "the arguments requires grad.", c->row->name);
        return TAPER_OK;
    }
    if (leaf && !base) return TAPER_FAIL(TAPER_RUNTIME, "a leaf Variable that requires grad is being used in an in-place operation.");
    if (leaf_base) return TAPER_FAIL(TAPER_RUNTIME, "a view of a leaf Variable that requires grad is being used in an in-place operation.");
    return TAPER_OK;
}

static taper_status inplace_share_history(taper_tensor *to, taper_tensor *from) {
    taper_status st = TAPER_OK;
    taper_edge edge = {NULL, 0};
    taper_autograd *a;
    TAPER_TRY_GOTO(taper__gradient_edge(&edge, from));
    if (edge.node) {
        TAPER_TRY_GOTO(taper__autograd_of(&a, to));
        taper__set_history(to, a, edge.node, edge.nr);
    }
out:
    taper_node_release(edge.node);
    return st;
}

taper_status taper__copy_with_history(taper_tensor **out, taper_tensor *t) {
    taper_status st = TAPER_OK;
    taper_tensor *copy = NULL;
    TAPER_TRY_GOTO(taper__tensor_empty(&copy, (taper_dtype)t->dtype, t->device, t->ndim, t->shape, "clone"));
    TAPER_TRY_GOTO(taper__copy_data(copy, t));
    TAPER_TRY_GOTO(inplace_share_history(copy, t));
    *out = copy;
    copy = NULL;
out:
    taper_tensor_release(copy);
    return st;
}

taper_status taper__alias_with_history(taper_tensor **out, taper_tensor *t) {
    taper_tensor *alias = NULL;
    TAPER_TRY(taper__tensor_alias(&alias, t));
    taper_status st = inplace_share_history(alias, t);
    if (st == TAPER_OK) *out = alias;
    else taper_tensor_release(alias);
    return st;
}

/* ---- the gradient of writing through a window ---- */

typedef struct slices_node {
    taper_node node;
    taper_node *inner; /* the node of the call; its input 0 was the window */
    int64_t offset;    /* of the window, relative to the base */
    int base_ndim, ndim;
    int64_t base_shape[TAPER_MAX_DIMS], base_strides[TAPER_MAX_DIMS], shape[TAPER_MAX_DIMS], strides[TAPER_MAX_DIMS];
} slices_node;

static taper_status slices_apply(taper_node *n, taper_tensor *const *grads, taper_tensor **dgrads) {
    slices_node *w = (slices_node *)n;
    taper_status st = TAPER_OK;
    taper_scope s = TAPER_SCOPE;
    taper_tensor *inner[64] = {NULL};
    if (n->dropped)
        return TAPER_FAIL(TAPER_RUNTIME, "Trying to backward through the graph a second time. Specify retain_graph=True if you need to "
                                         "backward through the graph a second time.");
    if (w->inner->nedges > 64) return TAPER_FAIL(TAPER_NOT_IMPLEMENTED, "%s: writing a list of more than 64 tensors into a view", n->name);
    /* A fresh array with the base's strides, so that the window falls on the same elements. */
    int64_t span = 1, zero = 0;
    for (int d = 0; d < w->base_ndim; d++) span += w->base_shape[d] ? (w->base_shape[d] - 1) * w->base_strides[d] : 0;
    taper_tensor *flat = tx_full(&s, &span, 1, taper_int(0), (taper_dtype)grads[0]->dtype, &grads[0]->device);
    taper_tensor *whole = tx_as_strided(&s, flat, w->base_shape, w->base_ndim, w->base_strides, w->base_ndim, &zero);
    tx_copy_(&s, whole, grads[0], false);
    taper_tensor *window = tx_as_strided(&s, whole, w->shape, w->ndim, w->strides, w->ndim, &w->offset);
    taper_tensor *g = tx_clone(&s, window);
    TAPER_TRY_GOTO(s.status);
    TAPER_TRY_GOTO(w->inner->class_->apply(w->inner, &g, inner));
    if (inner[0])
        tx_copy_(&s, window, inner[0], false);
    else
        tx_fill_(&s, window, taper_int(0));
    TAPER_TRY_GOTO(s.status);
    dgrads[0] = taper_tensor_retain(whole);
    for (int i = 1; i < n->nedges; i++) {
        dgrads[i] = inner[i];
        inner[i] = NULL;
    }
out:
    for (int i = 0; i < w->inner->nedges && i < 64; i++) taper_tensor_release(inner[i]);
    taper_scope_end(&s);
    return st;
}

static void slices_drop(taper_node *n) {
    slices_node *w = (slices_node *)n;
    if (w->inner->class_->drop && !w->inner->dropped) w->inner->class_->drop(w->inner);
    w->inner->dropped = true;
}

static void slices_free(taper_node *n) { taper_node_release(((slices_node *)n)->inner); }

static const taper_node_class slices_class = {slices_apply, slices_drop, slices_free};

taper_status taper__rebase_history(taper_tensor *t, taper_node *n) {
    taper_autograd *a;
    taper_tensor *base = t->base;
    if (!base) {
        TAPER_TRY(taper__autograd_of(&a, t));
        taper__set_history(t, a, n, 0);
        return TAPER_OK;
    }
    taper_node *w;
    taper_autograd *b;
    TAPER_TRY(taper__autograd_of(&b, base));
    TAPER_TRY(taper__node_new(&w, sizeof(slices_node), &slices_class, "CopySlices", 1, n->nedges > 1 ? n->nedges : 1));
    slices_node *s = (slices_node *)w;
    s->inner = taper_node_retain(n);
    s->offset = t->offset - base->offset;
    s->base_ndim = base->ndim;
    s->ndim = t->ndim;
    memcpy(s->base_shape, base->shape, sizeof s->base_shape);
    memcpy(s->base_strides, base->strides, sizeof s->base_strides);
    memcpy(s->shape, t->shape, sizeof s->shape);
    memcpy(s->strides, t->strides, sizeof s->strides);
    for (int i = 1; i < n->nedges; i++) w->edges[i] = (taper_edge){taper_node_retain(n->edges[i].node), n->edges[i].nr};
    taper_status st = taper__gradient_edge(&w->edges[0], base);
    if (st == TAPER_OK) taper__set_history(base, b, w, 0);
    taper_node_release(w);
    return st == TAPER_OK ? taper__view_refresh(t) : st;
}

taper_status taper__view_refresh(taper_tensor *t) {
    taper_tensor *base = t->base;
    taper_autograd *a = t->grad;
    if (!base->requires_grad || !base->grad || !base->grad->node) return TAPER_OK;
    if (a && a->node && a->view_version == taper_tensor_version(t)) return TAPER_OK;
    /* Only a base whose own history was rewritten after the view was made has news for it. */
    if (a && a->node && base->grad->node->seq < a->node->seq) return TAPER_OK;
    taper_tensor *fresh = NULL;
    bool old = taper_set_grad_enabled(true);
    taper_status st = taper_as_strided(&fresh, base, t->shape, t->ndim, t->strides, t->ndim, &t->offset);
    taper_set_grad_enabled(old);
    if (st != TAPER_OK) return st;
    st = taper__autograd_of(&a, t);
    if (st == TAPER_OK) taper__set_history(t, a, fresh->grad->node, fresh->grad->nr);
    taper_tensor_release(fresh);
    return st;
}
