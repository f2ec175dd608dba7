/* Views that change only shape, strides and offset. */
#include "ops/op.h"

static taper_status as_strided_infer(taper_call *c) {
    taper_tensor *self = c->args[0].t;
    const taper_arg *size = &c->args[1], *stride = &c->args[2];
    if (size->count != stride->count)
        return TAPER_FAIL(TAPER_RUNTIME, "as_strided: mismatch in length of strides and shape: %s and %s",
                          taper__shape_text(size->count, size->is).s, taper__shape_text(stride->count, stride->is).s);
    int64_t n, offset = c->args[3].kind == TAPER_ARG_INT ? c->args[3].i : self->offset;
    TAPER_TRY(taper__shape_numel(&n, size->count, size->is, "as_strided"));
    int64_t last = offset, reach = 0;
    bool far = false;
    for (int d = 0; d < size->count; d++) {
        if (stride->is[d] < 0) return TAPER_FAIL(TAPER_RUNTIME, "as_strided: Negative strides are not supported at the moment, got strides: %s",
                                                 taper__shape_text(stride->count, stride->is).s);
        far = far || __builtin_mul_overflow(size->is[d] - 1, stride->is[d], &reach) || __builtin_add_overflow(last, reach, &last);
    }
    size_t e = taper_dtype_size((taper_dtype)self->dtype);
    if (offset < 0 || (n && self->storage && (far || (uint64_t)last >= self->storage->bytes / e)))
        return TAPER_FAIL(TAPER_RUNTIME,
                          "setStorage: sizes %s, strides %s, storage offset %lld, and itemsize %zu requiring a storage size of "
                          "%lld are out of bounds for storage of size %zu",
                          taper__shape_text(size->count, size->is).s, taper__shape_text(stride->count, stride->is).s,
                          (long long)offset, e, far ? -1 : (long long)(((uint64_t)last + 1) * e), self->storage ? self->storage->bytes : 0);
    return taper__out_view(c, 0, self, size->count, size->is, stride->is, offset);
}

/* Dims to step through one by one, so that the others address no element twice. */
static uint32_t view_repeating(int ndim, const int64_t *shape, const int64_t *strides) {
    uint32_t repeating = 0, left = 0;
    int64_t reach = 0; /* of the dims taken so far */
    for (int d = 0; d < ndim; d++)
        if (shape[d] > 1) left |= 1u << d;
    while (left) {
        int least = -1;
        for (int d = 0; d < ndim; d++)
            if ((left >> d & 1) && (least < 0 || strides[d] < strides[least])) least = d;
        left &= ~(1u << least);
        if (strides[least] > reach)
            reach += (shape[least] - 1) * strides[least];
        else
            repeating |= 1u << least;
    }
    return repeating;
}

/* Scatter-add of the gradient into the storage geometry of self. Elements seen twice collect both gradients. */
static taper_status as_strided_vjp(taper_vjp *v) {
    taper_scope *s = v->scope;
    const taper_tensor *self = v->args[0].t;
    int64_t offset = v->args[3].kind == TAPER_ARG_INT ? v->args[3].i : self->offset;
    int64_t span = offset + 1, low = self->offset + 1;
    for (int d = 0; d < v->args[1].count; d++) span += (v->args[1].is[d] - 1) * v->args[2].is[d];
    for (int d = 0; d < self->ndim; d++) low += (self->shape[d] - 1) * self->strides[d];
    if (low > span) span = low;
    taper_tensor *flat = tx_full(s, &span, 1, taper_int(0), (taper_dtype)self->dtype, &self->device);
    if (!flat) return s->status;
    taper_tensor *window = tx_as_strided(s, flat, v->args[1].is, v->args[1].count, v->args[2].is, v->args[2].count, &offset);
    if (!window) return s->status;
    if (view_repeating(window->ndim, window->shape, window->strides)) { /* add one repetition after the other, in order */
        TAPER_TRY(taper__add_overlapping(s, window, v->grad[0]));
    } else {
        tx_copy_(s, window, v->grad[0], false);
    }
    v->d[0] = tx_as_strided(s, flat, self->shape, self->ndim, self->strides, self->ndim, &self->offset);
    return s->status;
}

taper_status taper__add_overlapping(taper_scope *s, taper_tensor *window, taper_tensor *grad) {
    /* Sum over the dims that repeat (stride 0); other dims that meet elements again are stepped through. */
    int64_t dims[TAPER_MAX_DIMS], shape[TAPER_MAX_DIMS] = {0};
    int n = 0;
    for (int d = 0; d < window->ndim; d++) {
        shape[d] = window->shape[d];
        if (window->strides[d] == 0 && window->shape[d] > 1) {
            dims[n++] = d;
            shape[d] = 1;
        }
    }
    uint32_t steps = view_repeating(window->ndim, shape, window->strides);
    taper_tensor *sum = n ? tx_sum(s, grad, dims, n, true, TAPER_DTYPE_NONE) : tx_contiguous(s, grad);
    int64_t index[TAPER_MAX_DIMS] = {0}, part[TAPER_MAX_DIMS];
    for (int d = 0; d < window->ndim; d++) part[d] = steps >> d & 1 ? 1 : shape[d];
    for (int d = 0; sum && d >= 0;) {
        int64_t to = window->offset, from = sum->offset;
        for (int k = 0; k < window->ndim; k++) {
            to += index[k] * window->strides[k];
            from += index[k] * sum->strides[k];
        }
        taper_tensor *once = tx_as_strided(s, window, part, window->ndim, window->strides, window->ndim, &to);
        taper_tensor *piece = steps ? tx_as_strided(s, sum, part, window->ndim, sum->strides, window->ndim, &from) : sum;
        if (s->status == TAPER_OK) s->status = taper_add_(once, piece, taper_int(1));
        if (s->status != TAPER_OK) break;
        for (d = window->ndim - 1; d >= 0; d--) {
            if (!(steps >> d & 1)) continue;
            if (++index[d] < shape[d]) break;
            index[d] = 0;
        }
    }
    return s->status;
}

const taper_op taper_op_as_strided = {
    .infer = as_strided_infer,
    .vjp = as_strided_vjp,
    .samples = (const taper_sample[]){{"[2,3], (3,2), (1,3)", .strides_matter = true},
                                      {"[6], (2,2), (2,1), 1", .strides_matter = true},
                                      {"[2], (2,2), (4,1)", .error = "out of bounds"},
                                      {0}},
};

/* Strides that show `self` under `shape` without a copy; false when there are none. Dims of self that lie next to each
 * other in memory are treated as one run, which may be cut anywhere. */
bool taper__view_strides(const taper_tensor *self, int ndim, const int64_t *shape, int64_t *strides) {
    if (self->numel == 0) {
        taper__contiguous_strides(ndim, shape, strides);
        return true;
    }
    int v = ndim - 1;
    int64_t base = self->ndim ? self->strides[self->ndim - 1] : 1, run = 1, cut = 1;
    if (!self->ndim) {
        for (int d = 0; d < ndim; d++) strides[d] = 1;
        return true;
    }
    for (int d = self->ndim - 1; d >= 0; d--) {
        run *= self->shape[d];
        if (d != 0 && (self->shape[d - 1] == 1 || self->strides[d - 1] == run * base)) continue;
        while (v >= 0 && (cut < run || shape[v] == 1)) {
            strides[v] = cut * base;
            cut *= shape[v];
            v--;
        }
        if (cut != run) return false;
        if (d > 0) {
            base = self->strides[d - 1];
            run = cut = 1;
        }
    }
    return v == -1;
}

/* Fills in a size of -1. */
taper_status taper__infer_size(int64_t *shape, const taper_arg *size, int64_t numel, const char *op) {
    int64_t known = 1;
    int unknown = -1;
    if (size->count > TAPER_MAX_DIMS) return TAPER_FAIL(TAPER_VALUE, "%s: %d dimensions, need at most %d", op, size->count, TAPER_MAX_DIMS);
    for (int d = 0; d < size->count; d++) {
        shape[d] = size->is[d];
        if (shape[d] == -1) {
            if (unknown >= 0) return TAPER_FAIL(TAPER_RUNTIME, "%s: only one dimension can be inferred", op);
            unknown = d;
        } else if (shape[d] < 0) {
            return TAPER_FAIL(TAPER_RUNTIME, "%s: invalid shape dimension %lld", op, (long long)shape[d]);
        } else if (__builtin_mul_overflow(known, shape[d], &known)) {
            return TAPER_FAIL(TAPER_RUNTIME, "%s: shape %s is too large", op, taper__shape_text(size->count, size->is).s);
        }
    }
    if (unknown >= 0 && known == 0 && numel == 0)
        return TAPER_FAIL(TAPER_RUNTIME, "%s: cannot reshape tensor of 0 elements into shape %s because the unspecified dimension "
                                         "size -1 can be any value and is ambiguous", op, taper__shape_text(size->count, size->is).s);
    if (unknown >= 0 && known > 0 && numel % known == 0) {
        shape[unknown] = numel / known;
        return TAPER_OK;
    }
    if (unknown >= 0 || known != numel)
        return TAPER_FAIL(TAPER_RUNTIME, "%s: shape '%s' is invalid for input of size %lld", op,
                          taper__shape_text(size->count, size->is).s, (long long)numel);
    return TAPER_OK;
}

static taper_status view_infer(taper_call *c) {
    taper_tensor *self = c->args[0].t;
    int64_t shape[TAPER_MAX_DIMS], strides[TAPER_MAX_DIMS];
    TAPER_TRY(taper__infer_size(shape, &c->args[1], self->numel, "view"));
    if (!taper__view_strides(self, c->args[1].count, shape, strides))
        return TAPER_FAIL(TAPER_RUNTIME,
                          "view size is not compatible with input tensor's size and stride (at least one dimension spans across "
                          "two contiguous subspaces): size %s, stride %s, asked for %s. Use .reshape(...) instead.",
                          TAPER_SHAPE(self), taper__shape_text(self->ndim, self->strides).s,
                          taper__shape_text(c->args[1].count, shape).s);
    return taper__out_view(c, 0, self, c->args[1].count, shape, strides, self->offset);
}
static taper_status view_vjp(taper_vjp *v) {
    v->d[0] = tx_reshape(v->scope, v->grad[0], v->args[0].t->shape, v->args[0].t->ndim);
    return v->scope->status;
}
const taper_op taper_op_view = {
    .infer = view_infer,
    .vjp = view_vjp,
    .samples = (const taper_sample[]){{"[2,3], (6)", .strides_matter = true},
                                      {"[2,6], (2,-1,3)", .strides_matter = true},
                                      {"[0,3], (3,0)", .strides_matter = true},
                                      {"[2,3], (4)", .error = "is invalid for input of size 6"},
                                      {0}},
};

static taper_status reshape_compose(taper_call *c, taper_scope *s) {
    taper_tensor *self = c->args[0].t;
    int64_t shape[TAPER_MAX_DIMS], strides[TAPER_MAX_DIMS];
    int n = c->args[1].count;
    TAPER_TRY(taper__infer_size(shape, &c->args[1], self->numel, "reshape"));
    if (!taper__view_strides(self, n, shape, strides)) self = tx_contiguous(s, self);
    c->out[0] = taper_scope_keep(s, tx_view(s, self, shape, n));
    c->nout = 1;
    return s->status;
}
const taper_op taper_op_reshape = {
    .compose = reshape_compose,
    .samples = (const taper_sample[]){{"[2,3], (3,2)"}, {"[4,6], (2,-1)"}, {"[2,3], (5)", .error = "is invalid for input of size 6"}, {0}},
};

static taper_status expand_infer(taper_call *c) {
    taper_tensor *self = c->args[0].t;
    const taper_arg *size = &c->args[1];
    int64_t shape[TAPER_MAX_DIMS], strides[TAPER_MAX_DIMS];
    int lead = size->count - self->ndim;
    if (lead < 0 || size->count > TAPER_MAX_DIMS)
        return TAPER_FAIL(TAPER_RUNTIME, "expand(%s, size=%s): the number of sizes provided (%d) must be greater or equal to the number "
                                         "of dimensions in the tensor (%d)",
                          TAPER_TEXT(self), taper__shape_text(size->count, size->is).s, size->count, self->ndim);
    for (int d = 0; d < size->count; d++) {
        int64_t have = d < lead ? 1 : self->shape[d - lead], want = size->is[d];
        if (want == -1 && d >= lead) want = have;
        if (want < 0)
            return TAPER_FAIL(TAPER_RUNTIME, "expand(%s, size=%s): The expanded size of the tensor (%lld) isn't allowed in a leading, "
                                             "non-existing dimension %d", TAPER_TEXT(self), taper__shape_text(size->count, size->is).s, (long long)want, d);
        if (have != 1 && have != want)
            return TAPER_FAIL(TAPER_RUNTIME,
                              "The expanded size of the tensor (%lld) must match the existing size (%lld) at non-singleton dimension "
                              "%d.  Target sizes: %s.  Tensor sizes: %s",
                              (long long)want, (long long)have, d, taper__shape_text(size->count, size->is).s, TAPER_SHAPE(self));
        shape[d] = want;
        strides[d] = d < lead || (have == 1 && want != 1) ? 0 : self->strides[d - lead];
    }
    return taper__out_view(c, 0, self, size->count, shape, strides, self->offset);
}
static taper_status expand_vjp(taper_vjp *v) {
    v->d[0] = taper__sum_to(v->scope, v->grad[0], v->args[0].t);
    return v->scope->status;
}
const taper_op taper_op_expand = {
    .infer = expand_infer,
    .vjp = expand_vjp,
    .samples = (const taper_sample[]){{"[1,3], (2,3)"}, {"[3], (2,-1)"}, {"[2,3], (2,4)", .error = "must match the existing size"}, {0}},
};

static taper_status transpose_infer(taper_call *c) {
    taper_tensor *self = c->args[0].t;
    int a, b;
    TAPER_TRY(taper__wrap_dim(&a, c->args[1].i, self->ndim, "transpose"));
    TAPER_TRY(taper__wrap_dim(&b, c->args[2].i, self->ndim, "transpose"));
    int64_t shape[TAPER_MAX_DIMS], strides[TAPER_MAX_DIMS];
    for (int d = 0; d < self->ndim; d++) {
        int from = d == a ? b : d == b ? a : d;
        shape[d] = self->shape[from];
        strides[d] = self->strides[from];
    }
    return taper__out_view(c, 0, self, self->ndim, shape, strides, self->offset);
}
static taper_status transpose_vjp(taper_vjp *v) {
    v->d[0] = tx_transpose(v->scope, v->grad[0], v->args[1].i, v->args[2].i);
    return v->scope->status;
}
const taper_op taper_op_transpose = {
    .infer = transpose_infer,
    .vjp = transpose_vjp,
    .samples = (const taper_sample[]){{"[2,3], 0, 1"}, {"[2,3,4], -1, 0"}, {"[2], 0, 1", .error = "Dimension out of range"}, {0}},
};
