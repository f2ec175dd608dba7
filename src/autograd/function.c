/* Nodes whose gradient is a function of the caller's own. */
#include "autograd/tape.h"

typedef struct function_node {
    taper_node node;
    taper_function f;
} function_node;

static taper_status function_apply(taper_node *n, taper_tensor *const *grads, taper_tensor **dgrads) {
    function_node *f = (function_node *)n;
    return f->f.backward(f->f.ctx, grads, dgrads);
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
    TAPER_TRY(taper__node_new(&n, sizeof(function_node), &function_class, f->name, nout, nin));
    for (int i = 0; i < nin; i++)
        if (inputs[i] && taper_dtype_is_float((taper_dtype)inputs[i]->dtype)) TAPER_TRY_GOTO(taper__gradient_edge(&n->edges[i], inputs[i]));
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
