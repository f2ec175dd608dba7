/* Nodes whose gradient is a function of the caller's own. */
#include "autograd/tape.h"

/* What a gradient must look like. */
typedef struct function_input {
    uint8_t dtype, ndim;
    taper_device device;
    int64_t shape[TAPER_MAX_DIMS];
} function_input;

typedef struct function_node {
    taper_node node;
    taper_function f;
    function_input inputs[];
} function_node;

/* The caller's gradient may be of another dtype, or larger where the input was broadcast; its shape must fit. */
static taper_status function_fit(const function_node *f, int i, taper_tensor **d) {
    const function_input *want = &f->inputs[i];
    taper_tensor *g = *d, like = {.dtype = want->dtype, .ndim = want->ndim, .device = want->device};
    bool fits = g->ndim >= want->ndim, same = g->ndim == want->ndim && g->dtype == want->dtype;
    for (int k = 0; fits && k < want->ndim; k++) {
        int64_t have = g->shape[g->ndim - want->ndim + k];
        fits = have == want->shape[k] || want->shape[k] == 1;
        same = same && have == want->shape[k];
    }
    if (!fits)
        return TAPER_FAIL(TAPER_RUNTIME, "Function %s returned an invalid gradient at index %d - got %s but expected shape compatible with %s",
                          f->node.name, i, TAPER_SHAPE(g), taper__shape_text(want->ndim, want->shape).s);
    if (same && taper_device_equal(g->device, want->device)) return TAPER_OK;
    taper_scope s = TAPER_SCOPE;
    taper__tensor_set_layout(&like, want->ndim, want->shape, NULL);
    taper_tensor *fit = taper_scope_keep(&s, taper__sum_to(&s, g, &like));
    taper_status st = taper_scope_end(&s);
    if (st != TAPER_OK) {
        taper_tensor_release(fit);
        return st;
    }
    taper_tensor_release(g);
    *d = fit;
    return TAPER_OK;
}

static taper_status function_apply(taper_node *n, taper_tensor *const *grads, taper_tensor **dgrads) {
    function_node *f = (function_node *)n;
    TAPER_TRY(f->f.backward(f->f.ctx, grads, dgrads));
    for (int i = 0; i < n->nedges; i++)
        if (dgrads[i] && n->edges[i].node) TAPER_TRY(function_fit(f, i, &dgrads[i]));
    return TAPER_OK;
}
static void function_drop(taper_node *n) {
    function_node *f = (function_node *)n;
    if (f->f.drop_saved) f->f.drop_saved(f->f.ctx);
}
static void function_free(taper_node *n) {
    function_node *f = (function_node *)n;
    if (f->f.release) f->f.release(f->f.ctx);
}
static const taper_node_class function_class = {function_apply, function_drop, function_free};

taper_status taper_function_record(taper_tensor *const *outputs, int nout, taper_tensor *const *inputs, int nin, const taper_function *f) {
    taper_status st = TAPER_OK;
    taper_node *n = NULL;
    TAPER_TRY(taper__node_new(&n, sizeof(function_node) + sizeof(function_input) * (size_t)nin, &function_class, f->name, nout, nin));
    for (int i = 0; i < nin; i++) {
        const taper_tensor *t = inputs[i];
        if (!t || !taper_dtype_is_float((taper_dtype)t->dtype)) continue;
        function_input *in = &((function_node *)n)->inputs[i];
        *in = (function_input){.dtype = t->dtype, .ndim = t->ndim, .device = t->device};
        memcpy(in->shape, t->shape, sizeof(int64_t) * t->ndim);
        TAPER_TRY_GOTO(taper__gradient_edge(&n->edges[i], inputs[i]));
    }
    for (int i = 0; i < nout; i++) {
        taper_autograd *a;
        if (!outputs[i] || !taper_dtype_is_float((taper_dtype)outputs[i]->dtype)) continue;
        TAPER_TRY_GOTO(taper__autograd_of(&a, outputs[i]));
        taper__set_history(outputs[i], a, n, i);
    }
    ((function_node *)n)->f = *f; /* from here on the node ends ctx */
out:
    taper_node_release(n);
    return st;
}
