/* cat, stack and their relatives. */
#include "ops/op.h"

static bool join_skips(const taper_tensor *t) { return t->ndim == 1 && t->shape[0] == 0; }

static taper_status cat_infer(taper_call *c) {
    const taper_arg *a = &c->args[0];
    const taper_tensor *first = NULL;
    int64_t shape[TAPER_MAX_DIMS];
    int dim = 0, dtype = -1;
    if (a->count == 0) return TAPER_FAIL(TAPER_RUNTIME, "torch.cat(): expected a non-empty list of Tensors");
    for (int i = 0; i < a->count; i++) {
        const taper_tensor *t = a->ts[i];
        if (!t) return TAPER_FAIL(TAPER_TYPE, "cat: tensor %d is None", i);
        if (t->ndim == 0) return TAPER_FAIL(TAPER_RUNTIME, "zero-dimensional tensor (at position %d) cannot be concatenated", i);
        dtype = dtype < 0 ? t->dtype : (int)taper_dtype_promote((taper_dtype)dtype, (taper_dtype)t->dtype);
        if (join_skips(t)) continue;
        if (!first) {
            first = t;
            TAPER_TRY(taper__wrap_dim(&dim, c->args[1].i, t->ndim, "cat"));
            memcpy(shape, t->shape, sizeof shape);
            continue;
        }
        if (t->ndim != first->ndim) return TAPER_FAIL(TAPER_RUNTIME, "Tensors must have same number of dimensions: got %d and %d", first->ndim, t->ndim);
        for (int d = 0; d < t->ndim; d++)
            if (d != dim && t->shape[d] != first->shape[d])
                return TAPER_FAIL(TAPER_RUNTIME, "Sizes of tensors must match except in dimension %d. Expected size %lld but got size %lld for tensor number %d in the list.", dim,
                                  (long long)first->shape[d], (long long)t->shape[d], i);
        shape[dim] += t->shape[dim];
    }
    TAPER_TRY(taper__need_same_device(c));
    if (!first) return taper__out(c, 0, (taper_dtype)dtype, 1, a->ts[0]->shape);
    return taper__out(c, 0, (taper_dtype)dtype, first->ndim, shape);
}

/* Each tensor is copied into its window of the result. */
static taper_status cat_run(taper_call *c) {
    taper_tensor *out = c->out[0];
    int dim = 0;
    int64_t at = 0;
    TAPER_TRY(taper__wrap_dim(&dim, c->args[1].i, out->ndim, "cat"));
    for (int i = 0; i < c->args[0].count; i++) {
        taper_tensor *t = c->args[0].ts[i], *window = NULL;
        if (join_skips(t) || !t->numel) continue;
        TAPER_TRY(taper__tensor_view(&window, out, t->ndim, t->shape, out->strides, out->offset + at * out->strides[dim]));
        at += t->shape[dim];
        taper_status st = taper__copy_data(window, t);
        taper_tensor_release(window);
        TAPER_TRY(st);
    }
    return TAPER_OK;
}
static const taper_kernel cat_kernels[] = {{"cpu", TAPER_CPU, NULL, cat_run}, {"cuda", TAPER_CUDA, NULL, cat_run}, {0}};

static taper_status cat_vjp(taper_vjp *v) {
    int dim;
    int64_t at = 0;
    TAPER_TRY(taper__wrap_dim(&dim, v->args[1].i, v->out[0]->ndim, "cat"));
    for (int i = 0; i < v->nlist; i++) {
        taper_tensor *t = v->args[0].ts[i];
        if (join_skips(t)) continue;
        int64_t end = at + t->shape[dim];
        if (v->need_list[i]) {
            taper_tensor *g = tx_slice(v->scope, v->grad[0], dim, &at, &end, 1);
            v->dlist[i] = g && g->dtype != t->dtype ? tx_to(v->scope, g, NULL, (taper_dtype)t->dtype, false, false) : g;
        }
        at = end;
    }
    return v->scope->status;
}
const taper_op taper_op_cat = {
    .infer = cat_infer,
    .kernels = cat_kernels,
    .vjp = cat_vjp,
    .samples = (const taper_sample[]){{"{[2,3],[1,3]}"}, {"{[2,3],[2,1],[2,2]}, -1"}, {"{[2,3],[2,3]:f64}, 1"}, {"{[2,3],[3,2]}", .error = "Expected size 3 but got size 2"}, {0}},
};

static taper_status join_give(taper_call *c, taper_scope *s, taper_tensor *t) {
    c->nout = 1;
    c->out[0] = taper_scope_keep(s, t);
    return s->status;
}

/* cat over tensors each changed by `change` first. */
static taper_status join_changed(taper_call *c, taper_scope *s, taper_tensor *(*change)(taper_scope *s, taper_tensor *t, int64_t dim), int64_t dim, int64_t along) {
    int n = c->args[0].count;
    if (n == 0) return TAPER_FAIL(TAPER_RUNTIME, "%s expects a non-empty TensorList", c->row->name);
    taper_tensor **ts = taper__alloc(sizeof *ts * (size_t)n);
    if (!ts) return TAPER_FAIL(TAPER_MEMORY, "%s: no memory for %d tensors", c->row->name, n);
    for (int i = 0; i < n; i++) ts[i] = change(s, c->args[0].ts[i], dim);
    taper_tensor *r = s->status == TAPER_OK ? tx_cat(s, ts, n, along) : NULL;
    taper__free(ts);
    return join_give(c, s, r);
}
static taper_tensor *join_unsqueeze(taper_scope *s, taper_tensor *t, int64_t dim) { return tx_unsqueeze(s, t, dim); }
static taper_tensor *join_rows(taper_scope *s, taper_tensor *t, int64_t dim) {
    (void)dim;
    int64_t shape[2] = {1, t->numel};
    return t->ndim < 2 ? tx_reshape(s, t, shape, 2) : t;
}
static taper_tensor *join_line(taper_scope *s, taper_tensor *t, int64_t dim) {
    (void)dim;
    int64_t one = 1;
    return t->ndim == 0 ? tx_reshape(s, t, &one, 1) : t;
}
static taper_status stack_compose(taper_call *c, taper_scope *s) {
    const taper_arg *a = &c->args[0];
    int dim;
    if (a->count == 0) return TAPER_FAIL(TAPER_RUNTIME, "stack expects a non-empty TensorList");
    for (int i = 1; i < a->count; i++)
        if (a->ts[i]->ndim != a->ts[0]->ndim || memcmp(a->ts[i]->shape, a->ts[0]->shape, sizeof(int64_t) * a->ts[0]->ndim))
            return TAPER_FAIL(TAPER_RUNTIME, "stack expects each tensor to be equal size, but got %s at entry 0 and %s at entry %d", TAPER_SHAPE(a->ts[0]), TAPER_SHAPE(a->ts[i]), i);
    TAPER_TRY(taper__wrap_dim(&dim, c->args[1].i, a->ts[0]->ndim + 1, "stack"));
    return join_changed(c, s, join_unsqueeze, dim, dim);
}
static taper_status hstack_compose(taper_call *c, taper_scope *s) { return join_changed(c, s, join_line, 0, c->args[0].count && c->args[0].ts[0]->ndim > 1 ? 1 : 0); }
static taper_status vstack_compose(taper_call *c, taper_scope *s) { return join_changed(c, s, join_rows, 0, 0); }
const taper_op taper_op_stack = {
    .compose = stack_compose, .samples = (const taper_sample[]){{"{[2,3],[2,3]}"}, {"{[2,3],[2,3]}, -1"}, {"{[],[]}"}, {"{[2],[3]}", .error = "got [2] at entry 0 and [3] at entry 1"}, {0}}};
const taper_op taper_op_hstack = {.compose = hstack_compose, .samples = (const taper_sample[]){{"{[2],[3]}"}, {"{[2,1],[2,3]}"}, {0}}};
const taper_op taper_op_vstack = {.compose = vstack_compose, .samples = (const taper_sample[]){{"{[3],[3]}"}, {"{[2,3],[3]}"}, {0}}};
