/* Views that reorder, drop and add dims. */
#include "ops/op.h"

static taper_status permute_order(int *order, const taper_arg *dims, int ndim) {
    uint32_t seen = 0;
    if (dims->count != ndim)
        return TAPER_FAIL(TAPER_RUNTIME, "permute(): number of dimensions in the tensor input does not match the length of the desired ordering of "
                                         "dimensions i.e. input.dim() = %d is not equal to len(dims) = %d", ndim, dims->count);
    for (int i = 0; i < ndim; i++) {
        TAPER_TRY(taper__wrap_dim(&order[i], dims->is[i], ndim, "permute"));
        if (seen >> order[i] & 1) return TAPER_FAIL(TAPER_RUNTIME, "permute(): duplicate dims are not allowed: %s", taper__shape_text(ndim, dims->is).s);
        seen |= 1u << order[i];
    }
    return TAPER_OK;
}

static taper_status permute_infer(taper_call *c) {
    taper_tensor *self = c->args[0].t;
    int order[TAPER_MAX_DIMS];
    int64_t shape[TAPER_MAX_DIMS], strides[TAPER_MAX_DIMS];
    TAPER_TRY(permute_order(order, &c->args[1], self->ndim));
    for (int d = 0; d < self->ndim; d++) {
        shape[d] = self->shape[order[d]];
        strides[d] = self->strides[order[d]];
    }
    return taper__out_view(c, 0, self, self->ndim, shape, strides, self->offset);
}
static taper_status permute_vjp(taper_vjp *v) {
    int order[TAPER_MAX_DIMS], n = v->args[0].t->ndim;
    int64_t back[TAPER_MAX_DIMS];
    TAPER_TRY(permute_order(order, &v->args[1], n));
    for (int d = 0; d < n; d++) back[order[d]] = d;
    v->d[0] = tx_permute(v->scope, v->grad[0], back, n);
    return v->scope->status;
}
const taper_op taper_op_permute = {
    .infer = permute_infer,
    .vjp = permute_vjp,
    .samples = (const taper_sample[]){{"[2,3,4], (2,0,1)"}, {"[2,3], (-1,0)"}, {"[2,3], (0,0)", .error = "duplicate dims"}, {0}},
};

static taper_status t_compose(taper_call *c, taper_scope *s) {
    taper_tensor *self = c->args[0].t;
    if (self->ndim > 2) return TAPER_FAIL(TAPER_RUNTIME, "t() expects a tensor with <= 2 dimensions, but self is %dD: %s", self->ndim, TAPER_SHAPE(self));
    c->out[0] = taper_scope_keep(s, self->ndim < 2 ? tx_view(s, self, self->shape, self->ndim) : tx_transpose(s, self, 0, 1));
    c->nout = 1;
    return s->status;
}
const taper_op taper_op_t = {.compose = t_compose, .samples = (const taper_sample[]){{"[2,3]"}, {"[3]"}, {"[2,3,4]", .error = "<= 2 dimensions"}, {0}}};

static taper_status squeeze_mask(taper_call *c, uint32_t mask) {
    taper_tensor *self = c->args[0].t;
    int64_t shape[TAPER_MAX_DIMS], strides[TAPER_MAX_DIMS];
    int n = 0;
    for (int d = 0; d < self->ndim; d++) {
        if ((mask >> d & 1) && self->shape[d] == 1) continue;
        shape[n] = self->shape[d];
        strides[n++] = self->strides[d];
    }
    return taper__out_view(c, 0, self, n, shape, strides, self->offset);
}
static taper_status squeeze_infer(taper_call *c) { return squeeze_mask(c, ~0u); }
static taper_status squeeze_dim_infer(taper_call *c) {
    uint32_t mask = 0;
    if (c->args[1].count) TAPER_TRY(taper__dim_mask(&mask, &c->args[1], c->args[0].t->ndim, "squeeze"));
    return squeeze_mask(c, mask);
}
/* Every one of these only changes how the same elements are counted. */
static taper_status dims_reshape_vjp(taper_vjp *v) {
    v->d[0] = tx_reshape(v->scope, v->grad[0], v->args[0].t->shape, v->args[0].t->ndim);
    return v->scope->status;
}
const taper_op taper_op_squeeze = {
    .infer = squeeze_infer, .vjp = dims_reshape_vjp, .samples = (const taper_sample[]){{"[2,1,3,1]"}, {"[1,1]"}, {"[]"}, {0}}};
const taper_op taper_op_squeeze_dim = {
    .infer = squeeze_dim_infer,
    .vjp = dims_reshape_vjp,
    .grad_name = "SqueezeBackward1",
    .samples = (const taper_sample[]){{"[2,1,3], (1)"}, {"[2,1,3], (0)"}, {"[1,2,1], (0,-1)"}, {"[2], (3)", .error = "Dimension out of range"}, {0}}};

static taper_status unsqueeze_infer(taper_call *c) {
    taper_tensor *self = c->args[0].t;
    int at;
    int64_t shape[TAPER_MAX_DIMS + 1], strides[TAPER_MAX_DIMS + 1];
    TAPER_TRY(taper__wrap_dim(&at, c->args[1].i, self->ndim + 1, "unsqueeze"));
    if (self->ndim == TAPER_MAX_DIMS) return TAPER_FAIL(TAPER_VALUE, "unsqueeze: at most %d dims, got %s", TAPER_MAX_DIMS, TAPER_SHAPE(self));
    for (int d = 0; d <= self->ndim; d++) {
        int from = d > at ? d - 1 : d;
        shape[d] = d == at ? 1 : self->shape[from];
        strides[d] = d == at ? (d < self->ndim ? self->shape[d] * self->strides[d] : 1) : self->strides[from];
    }
    return taper__out_view(c, 0, self, self->ndim + 1, shape, strides, self->offset);
}
const taper_op taper_op_unsqueeze = {
    .infer = unsqueeze_infer,
    .vjp = dims_reshape_vjp,
    .samples = (const taper_sample[]){{"[2,3], 0"}, {"[2,3], -1"}, {"[], 0"}, {"[2], 3", .error = "Dimension out of range"}, {0}}};

static taper_status flatten_compose(taper_call *c, taper_scope *s) {
    taper_tensor *self = c->args[0].t;
    int a, b, n = 0;
    int64_t shape[TAPER_MAX_DIMS], run = 1;
    TAPER_TRY(taper__wrap_dim(&a, c->args[1].i, self->ndim, "flatten"));
    TAPER_TRY(taper__wrap_dim(&b, c->args[2].i, self->ndim, "flatten"));
    if (a > b) return TAPER_FAIL(TAPER_RUNTIME, "flatten() has invalid args: start_dim cannot come after end_dim, got %d and %d for %s", a, b, TAPER_SHAPE(self));
    for (int d = 0; d < a; d++) shape[n++] = self->shape[d];
    for (int d = a; d <= b && d < self->ndim; d++) run *= self->shape[d];
    shape[n++] = run;
    for (int d = b + 1; d < self->ndim; d++) shape[n++] = self->shape[d];
    c->nout = 1;
    c->out[0] = taper_scope_keep(s, a == b && self->ndim ? self : tx_reshape(s, self, shape, n));
    return s->status;
}
const taper_op taper_op_flatten = {
    .compose = flatten_compose,
    .samples = (const taper_sample[]){{"[2,3,4]"}, {"[2,3,4], 1"}, {"[]"}, {"[2,3], 1, 0", .error = "start_dim cannot come after end_dim"}, {0}}};

static taper_status unflatten_compose(taper_call *c, taper_scope *s) {
    taper_tensor *self = c->args[0].t;
    int at, n = 0;
    int64_t shape[2 * TAPER_MAX_DIMS], sizes[TAPER_MAX_DIMS];
    TAPER_TRY(taper__wrap_dim(&at, c->args[1].i, self->ndim, "unflatten"));
    TAPER_TRY(taper__infer_size(sizes, &c->args[2], self->shape[at], "unflatten"));
    if (self->ndim - 1 + c->args[2].count > TAPER_MAX_DIMS) return TAPER_FAIL(TAPER_VALUE, "unflatten: at most %d dims", TAPER_MAX_DIMS);
    for (int d = 0; d < self->ndim; d++) {
        if (d != at)
            shape[n++] = self->shape[d];
        else
            for (int k = 0; k < c->args[2].count; k++) shape[n++] = sizes[k];
    }
    c->nout = 1;
    c->out[0] = taper_scope_keep(s, tx_reshape(s, self, shape, n));
    return s->status;
}
const taper_op taper_op_unflatten = {
    .compose = unflatten_compose,
    .samples = (const taper_sample[]){{"[2,6], 1, (2,3)"}, {"[2,6], -1, (-1,2)"}, {"[2,6], 1, (4,4)", .error = "is invalid for input of size 6"}, {0}}};

static taper_status swap_compose(taper_call *c, taper_scope *s) {
    c->nout = 1;
    c->out[0] = taper_scope_keep(s, tx_transpose(s, c->args[0].t, c->args[1].i, c->args[2].i));
    return s->status;
}
const taper_op taper_op_swapaxes = {.compose = swap_compose, .samples = (const taper_sample[]){{"[2,3,4], 0, -1"}, {"[2], 0, 1", .error = "Dimension out of range"}, {0}}};
const taper_op taper_op_swapdims = {.compose = swap_compose, .samples = (const taper_sample[]){{"[2,3,4], 0, -1"}, {"[2], 0, 1", .error = "Dimension out of range"}, {0}}};

static taper_status movedim_compose(taper_call *c, taper_scope *s) {
    taper_tensor *self = c->args[0].t;
    int n = self->ndim, used_from = 0, used_to = 0;
    int64_t order[TAPER_MAX_DIMS];
    if (c->args[1].count != c->args[2].count)
        return TAPER_FAIL(TAPER_RUNTIME, "movedim: Invalid source or destination dims: source (%s dims) should contain the same number of dims as destination (%s dims)",
                          taper__shape_text(c->args[1].count, c->args[1].is).s, taper__shape_text(c->args[2].count, c->args[2].is).s);
    for (int d = 0; d < n; d++) order[d] = -1;
    for (int k = 0; k < c->args[1].count; k++) {
        int from, to;
        TAPER_TRY(taper__wrap_dim(&from, c->args[1].is[k], n, "movedim"));
        TAPER_TRY(taper__wrap_dim(&to, c->args[2].is[k], n, "movedim"));
        if ((used_from >> from & 1) || (used_to >> to & 1)) return TAPER_FAIL(TAPER_RUNTIME, "movedim: repeated dim in `source` or `destination` of %s: %d to %d", TAPER_SHAPE(self), from, to);
        used_from |= 1 << from;
        used_to |= 1 << to;
        order[to] = from;
    }
    for (int d = 0, from = 0; d < n; d++) {
        if (order[d] >= 0) continue;
        while (used_from >> from & 1) from++;
        order[d] = from++;
    }
    c->nout = 1;
    c->out[0] = taper_scope_keep(s, tx_permute(s, self, order, n));
    return s->status;
}
const taper_op taper_op_movedim = {
    .compose = movedim_compose,
    .samples = (const taper_sample[]){{"[2,3,4], (0), (2)"}, {"[2,3,4], (0,1), (1,2)"}, {"[2,3], (0,0), (0,1)", .error = "repeated dim"}, {0}}};

const taper_op taper_op_moveaxis = {.compose = movedim_compose, .samples = (const taper_sample[]){{"[2,3,4], 0, 2"}, {"[2,3], (0,0), (0,1)", .error = "repeated dim"}, {0}}};

static taper_status as_other_compose(taper_call *c, taper_scope *s, taper_tensor *t) {
    c->nout = 1;
    c->out[0] = taper_scope_keep(s, t);
    return s->status;
}
static taper_status view_as_compose(taper_call *c, taper_scope *s) { return as_other_compose(c, s, tx_view(s, c->args[0].t, c->args[1].t->shape, c->args[1].t->ndim)); }
static taper_status reshape_as_compose(taper_call *c, taper_scope *s) { return as_other_compose(c, s, tx_reshape(s, c->args[0].t, c->args[1].t->shape, c->args[1].t->ndim)); }
static taper_status expand_as_compose(taper_call *c, taper_scope *s) { return as_other_compose(c, s, tx_expand(s, c->args[0].t, c->args[1].t->shape, c->args[1].t->ndim)); }
static taper_status broadcast_to_compose(taper_call *c, taper_scope *s) { return as_other_compose(c, s, tx_expand(s, c->args[0].t, c->args[1].is, c->args[1].count)); }
static taper_status ravel_compose(taper_call *c, taper_scope *s) {
    int64_t all = -1;
    taper_tensor *self = c->args[0].t;
    if (self->numel == 0) all = 0;
    return as_other_compose(c, s, tx_reshape(s, self, &all, 1));
}
const taper_op taper_op_view_as = {.compose = view_as_compose, .samples = (const taper_sample[]){{"[2,3], [2,3]:nograd"}, {"[2,3], [5]:nograd", .error = "is invalid for input of size 6"}, {0}}};
const taper_op taper_op_reshape_as = {.compose = reshape_as_compose, .samples = (const taper_sample[]){{"[2,3], [3,2]:nograd"}, {0}}};
const taper_op taper_op_expand_as = {.compose = expand_as_compose, .samples = (const taper_sample[]){{"[1,3], [2,3]:nograd"}, {0}}};
const taper_op taper_op_broadcast_to = {.compose = broadcast_to_compose, .samples = (const taper_sample[]){{"[1,3], (2,3)"}, {0}}};
const taper_op taper_op_ravel = {.compose = ravel_compose, .samples = (const taper_sample[]){{"[2,3]"}, {"[]"}, {"[0,3]"}, {0}}};

/* A vector lies along the last of two dims, and along the middle of three. */
static taper_status atleast_compose(taper_call *c, taper_scope *s, int want) {
    taper_tensor *t = c->args[0].t;
    if (t->ndim == 0) t = tx_unsqueeze(s, t, 0);
    if (want > 1 && t && t->ndim == 1) t = tx_unsqueeze(s, t, 0);
    if (want > 2 && t && t->ndim == 2) t = tx_unsqueeze(s, t, -1);
    return as_other_compose(c, s, t);
}
static taper_status atleast_1d_compose(taper_call *c, taper_scope *s) { return atleast_compose(c, s, 1); }
static taper_status atleast_2d_compose(taper_call *c, taper_scope *s) { return atleast_compose(c, s, 2); }
static taper_status atleast_3d_compose(taper_call *c, taper_scope *s) { return atleast_compose(c, s, 3); }
const taper_op taper_op_atleast_1d = {.compose = atleast_1d_compose, .samples = (const taper_sample[]){{"[]"}, {"[2,3]"}, {0}}};
const taper_op taper_op_atleast_2d = {.compose = atleast_2d_compose, .samples = (const taper_sample[]){{"[]"}, {"[3]"}, {"[2,3]"}, {0}}};
const taper_op taper_op_atleast_3d = {.compose = atleast_3d_compose, .samples = (const taper_sample[]){{"[]"}, {"[3]"}, {"[2,3]"}, {"[1,2,3]"}, {0}}};
