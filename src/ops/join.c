/* cat, and what is made of it: stack, hstack, vstack, dstack, column_stack. */
#include "ops/op.h"

/* torch lets a 1-D tensor without elements stand in any list. */
static bool cat_skips(const taper_tensor *t) { return t->ndim == 1 && t->shape[0] == 0; }

static taper_status cat_plan(const taper_call *c, int64_t *shape, int *ndim, int *dim) {
    const taper_arg *ts = &c->args[0];
    const taper_tensor *first = NULL;
    if (!ts->count) return TAPER_FAIL(TAPER_VALUE, "torch.cat(): expected a non-empty list of Tensors");
    for (int i = 0; i < ts->count; i++) {
        const taper_tensor *t = ts->ts[i];
        if (!t) return TAPER_FAIL(TAPER_TYPE, "cat(): tensor number %d in the list is None", i);
        if (t->ndim == 0) return TAPER_FAIL(TAPER_RUNTIME, "zero-dimensional tensor (at position %d) cannot be concatenated", i);
        if (!first && !cat_skips(t)) first = t;
    }
    if (!first) first = ts->ts[0];
    *ndim = first->ndim;
    TAPER_TRY(taper__wrap_dim(dim, c->args[1].i, first->ndim, "cat"));
    memcpy(shape, first->shape, sizeof first->shape);
    shape[*dim] = 0;
    for (int i = 0; i < ts->count; i++) {
        const taper_tensor *t = ts->ts[i];
        if (cat_skips(t)) continue;
        if (t->ndim != first->ndim)
            return TAPER_FAIL(TAPER_RUNTIME, "Tensors must have same number of dimensions: got %d and %d (tensor number %d in the list is %s)", first->ndim, t->ndim, i, TAPER_TEXT(t));
        for (int d = 0; d < t->ndim; d++)
            if (d != *dim && t->shape[d] != first->shape[d])
                return TAPER_FAIL(TAPER_RUNTIME, "Sizes of tensors must match except in dimension %d. Expected size %lld but got size %lld for tensor number %d in the list.", *dim,
                                  (long long)first->shape[d], (long long)t->shape[d], i);
        shape[*dim] += t->shape[*dim];
    }
    return TAPER_OK;
}

static taper_status cat_infer(taper_call *c) {
    int ndim, dim;
    int64_t shape[TAPER_MAX_DIMS], strides[TAPER_MAX_DIMS];
    TAPER_TRY(cat_plan(c, shape, &ndim, &dim));
    TAPER_TRY(taper__need_same_device(c));
    bool last = ndim == 4 || ndim == 5;
    for (int i = 0; i < c->args[0].count && last; i++) {
        const taper_tensor *t = c->args[0].ts[i];
        last = t->ndim == ndim && !t->contiguous && taper__is_channels_last(ndim, t->shape, t->strides);
    }
    if (last) taper__channels_last_strides(ndim, shape, strides);
    return taper__out_strided(c, 0, taper__result_dtype(c->args[0].ts, c->args[0].count, NULL, 0), ndim, shape, last ? strides : NULL);
}

typedef struct cat_job {
    const taper_arg *ts;
    char *out;
    int64_t outer, row; /* bytes of one outer index of the result */
} cat_job;

static void cat_rows(void *ctx, int64_t begin, int64_t end) {
    const cat_job *j = ctx;
    char *base = j->out + begin * j->row;
    for (int i = 0; i < j->ts->count; i++) {
        const taper_tensor *t = j->ts->ts[i];
        if (!t->numel) continue;
        int64_t piece = t->numel / j->outer * (int64_t)taper_dtype_size((taper_dtype)t->dtype);
        const char *p = (const char *)taper__data(t) + begin * piece;
        char *o = base;
        for (int64_t r = begin; r < end; r++, p += piece, o += j->row) memcpy(o, p, (size_t)piece);
        base += piece;
    }
}

static taper_status cat_run(taper_call *c) {
    int ndim, dim;
    int64_t shape[TAPER_MAX_DIMS], at = 0;
    taper_tensor *out = c->out[0];
    TAPER_TRY(cat_plan(c, shape, &ndim, &dim));
    if (!out->numel) return TAPER_OK;
    bool plain = c->device.type == TAPER_CPU && out->contiguous;
    for (int i = 0; i < c->args[0].count && plain; i++) plain = c->args[0].ts[i]->contiguous && c->args[0].ts[i]->dtype == out->dtype;
    int64_t outer = 1;
    for (int d = 0; d < dim; d++) outer *= shape[d];
    if (plain && (outer > 1 || out->numel < 65536)) {
        cat_job j = {&c->args[0], taper__data(out), outer, out->numel / outer * (int64_t)taper_dtype_size((taper_dtype)out->dtype)};
        taper__parallel_for(outer, 1 + 65536 / j.row, cat_rows, &j);
        return TAPER_OK;
    }
    for (int i = 0; i < c->args[0].count; i++) {
        const taper_tensor *t = c->args[0].ts[i];
        taper_tensor *window = NULL;
        if (!t->numel) {
            if (!cat_skips(t)) at += t->shape[dim];
            continue;
        }
        TAPER_TRY(taper__tensor_view(&window, out, ndim, t->shape, out->strides, out->offset + at * out->strides[dim]));
        taper_status st = taper__copy_data(window, t);
        taper_tensor_release(window);
        TAPER_TRY(st);
        at += t->shape[dim];
    }
    return TAPER_OK;
}
static const taper_kernel cat_kernels[] = {{"cpu", TAPER_CPU, NULL, cat_run}, {"cuda", TAPER_CUDA, NULL, cat_run}, {0}};
static taper_status cat_vjp(taper_vjp *v) {
    taper_scope *s = v->scope;
    int dim;
    int64_t at = 0;
    TAPER_TRY(taper__wrap_dim(&dim, v->args[1].i, v->out[0]->ndim, "cat"));
    for (int j = 0; j < v->nlist; j++) {
        const taper_tensor *t = v->args[0].ts[j];
        if (cat_skips(t)) {
            if (v->need_list[j]) v->dlist[j] = taper__zeros_like(s, t);
            continue;
        }
        int64_t end = at + t->shape[dim];
        if (v->need_list[j]) {
            v->dlist[j] = tx_slice(s, v->grad[0], dim, &at, &end, 1);
            if (v->dlist[j] && v->dlist[j]->dtype != t->dtype) v->dlist[j] = tx_to(s, v->dlist[j], NULL, (taper_dtype)t->dtype, false, false);
        }
        at = end;
    }
    return s->status;
}
const taper_op taper_op_cat = {
    .infer = cat_infer,
    .kernels = cat_kernels,
    .vjp = cat_vjp,
    .samples = (const taper_sample[]){{"{[2,3],[1,3]}"}, {"{[2,3],[2,1],[2,2]}, -1"}, {"{[2,3],[0],[2,3]}"}, {"{[2],[3]:i64:nograd}"}, {"{[0,2],[0,2]}, 1"}, {"{[2,1,2,2],[2,3,2,2]}, 1"},
                                      {"{[2,3],[2,2]}", .error = "Expected size 3 but got size 2 for tensor number 1"},
                                      {"{[2,3],[2]}", .error = "Tensors must have same number of dimensions: got 2 and 1"},
                                      {"{[],[]}", .error = "zero-dimensional tensor (at position 0)"}, {"{[2]}, 1", .error = "Dimension out of range"}, {0}},
};

/* ---- composites ---- */

typedef taper_tensor *(*join_each)(taper_scope *s, taper_tensor *t, int64_t dim);

static taper_status join_compose(taper_call *c, taper_scope *s, join_each each, int64_t each_dim, int64_t dim) {
    int n = c->args[0].count;
    if (!n) return TAPER_FAIL(TAPER_RUNTIME, "%s expects a non-empty TensorList", c->row->name);
    taper_tensor **ts = taper__alloc(sizeof *ts * (size_t)n);
    if (!ts) return TAPER_FAIL(TAPER_MEMORY, "%s: no memory for a list of %d", c->row->name, n);
    for (int i = 0; i < n && s->status == TAPER_OK; i++) ts[i] = each(s, c->args[0].ts[i], each_dim);
    if (s->status == TAPER_OK) {
        if (dim < 0) dim = ts[0]->ndim == 1 ? 0 : 1; /* hstack */
        c->out[0] = taper_scope_keep(s, tx_cat(s, ts, n, dim));
        c->nout = 1;
    }
    taper__free(ts);
    return s->status;
}

static taper_tensor *join_unsqueeze(taper_scope *s, taper_tensor *t, int64_t dim) { return tx_unsqueeze(s, t, dim); }
static taper_status stack_compose(taper_call *c, taper_scope *s) {
    int dim;
    const taper_arg *ts = &c->args[0];
    if (!ts->count) return TAPER_FAIL(TAPER_RUNTIME, "stack expects a non-empty TensorList");
    for (int i = 1; i < ts->count; i++)
        if (ts->ts[i]->ndim != ts->ts[0]->ndim || memcmp(ts->ts[i]->shape, ts->ts[0]->shape, sizeof(int64_t) * ts->ts[0]->ndim))
            return TAPER_FAIL(TAPER_RUNTIME, "stack expects each tensor to be equal size, but got %s at entry 0 and %s at entry %d", TAPER_SHAPE(ts->ts[0]), TAPER_SHAPE(ts->ts[i]), i);
    TAPER_TRY(taper__wrap_dim(&dim, c->args[1].i, ts->ts[0]->ndim + 1, "stack"));
    return join_compose(c, s, join_unsqueeze, dim, dim);
}
static taper_tensor *join_1d(taper_scope *s, taper_tensor *t, int64_t dim) { return (void)dim, tx_atleast_1d(s, t); }
static taper_tensor *join_2d(taper_scope *s, taper_tensor *t, int64_t dim) { return (void)dim, tx_atleast_2d(s, t); }
static taper_tensor *join_3d(taper_scope *s, taper_tensor *t, int64_t dim) { return (void)dim, tx_atleast_3d(s, t); }
static taper_tensor *join_column(taper_scope *s, taper_tensor *t, int64_t dim) {
    (void)dim;
    int64_t shape[2] = {t->numel, 1};
    return t->ndim > 1 ? t : tx_reshape(s, t, shape, 2);
}
static taper_status hstack_compose(taper_call *c, taper_scope *s) { return join_compose(c, s, join_1d, 0, -1); }
static taper_status vstack_compose(taper_call *c, taper_scope *s) { return join_compose(c, s, join_2d, 0, 0); }
static taper_status dstack_compose(taper_call *c, taper_scope *s) { return join_compose(c, s, join_3d, 0, 2); }
static taper_status column_stack_compose(taper_call *c, taper_scope *s) { return join_compose(c, s, join_column, 0, 1); }
const taper_op taper_op_stack = {
    .compose = stack_compose,
    .samples = (const taper_sample[]){{"{[2,3],[2,3]}"}, {"{[2,3],[2,3]}, -1"}, {"{[],[]}"}, {"{[2],[3]}", .error = "got [2] at entry 0 and [3] at entry 1"}, {0}}};
const taper_op taper_op_hstack = {.compose = hstack_compose, .samples = (const taper_sample[]){{"{[2],[3]}"}, {"{[2,3],[2,1]}"}, {"{[],[]}"}, {0}}};
const taper_op taper_op_vstack = {.compose = vstack_compose, .samples = (const taper_sample[]){{"{[3],[3]}"}, {"{[2,3],[1,3]}"}, {0}}};
const taper_op taper_op_dstack = {.compose = dstack_compose, .samples = (const taper_sample[]){{"{[3],[3]}"}, {"{[2,3],[2,3]}"}, {0}}};
const taper_op taper_op_column_stack = {.compose = column_stack_compose, .samples = (const taper_sample[]){{"{[3],[3,2]}"}, {"{[],[]}"}, {0}}};

/* ---- meshgrid ---- */

static taper_status meshgrid_compose(taper_call *c, taper_scope *s) {
    const taper_arg *ts = &c->args[0];
    const char *how = c->args[1].kind == TAPER_ARG_STRING ? c->args[1].s : "ij";
    int n = ts->count;
    bool xy = !strcmp(how, "xy");
    int64_t shape[TAPER_MAX_DIMS], one[TAPER_MAX_DIMS];
    if (!n) return TAPER_FAIL(TAPER_RUNTIME, "meshgrid expects a non-empty TensorList");
    if (!xy && strcmp(how, "ij")) return TAPER_FAIL(TAPER_RUNTIME, "torch.meshgrid: indexing must be one of \"xy\" or \"ij\", but received: %s", how);
    if (n > TAPER_MAX_DIMS) return TAPER_FAIL(TAPER_VALUE, "meshgrid: at most %d tensors, got %d", TAPER_MAX_DIMS, n);
    for (int i = 0; i < n; i++) {
        if (ts->ts[i]->ndim > 1) return TAPER_FAIL(TAPER_RUNTIME, "torch.meshgrid: Expected 0D or 1D tensor in the tensor list but got: %s", TAPER_TEXT(ts->ts[i]));
        shape[xy && i < 2 && n > 1 ? 1 - i : i] = ts->ts[i]->numel;
    }
    TAPER_TRY(taper__out_list(c, n));
    for (int i = 0; i < n; i++) {
        int at = xy && i < 2 && n > 1 ? 1 - i : i;
        for (int d = 0; d < n; d++) one[d] = d == at ? shape[d] : 1;
        c->list[i] = taper_scope_keep(s, tx_expand(s, tx_view(s, ts->ts[i], one, n), shape, n));
    }
    return s->status;
}
const taper_op taper_op_meshgrid = {
    .compose = meshgrid_compose,
    .samples = (const taper_sample[]){{"{[2],[3]}"}, {"{[2],[3],[]}, indexing=xy"}, {"{[2,3]}", .error = "Expected 0D or 1D"}, {"{[2]}, indexing=yx", .error = "received: yx"}, {0}}};
