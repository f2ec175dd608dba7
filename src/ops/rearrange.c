/* flip, roll, repeat, tril, triu, diag, pad: the same elements in other places. */
#include "ops/op.h"

static taper_status rearrange_give(taper_call *c, taper_scope *s, taper_tensor *t) {
    c->nout = 1;
    c->out[0] = taper_scope_keep(s, t);
    return s->status;
}

static taper_status flip_infer(taper_call *c) {
    uint32_t mask;
    if (c->args[1].count) TAPER_TRY(taper__dim_mask(&mask, &c->args[1], c->args[0].t->ndim, "flip"));
    return taper__out(c, 0, (taper_dtype)c->args[0].t->dtype, c->args[0].t->ndim, c->args[0].t->shape);
}
/* A view with negative strides, which only this copy ever sees. */
static taper_status flip_cpu(taper_call *c) {
    const taper_tensor *self = c->args[0].t;
    uint32_t mask = 0;
    if (c->args[1].count) TAPER_TRY(taper__dim_mask(&mask, &c->args[1], self->ndim, "flip"));
    if (!self->numel) return TAPER_OK;
    taper_tensor *view = NULL;
    int64_t strides[TAPER_MAX_DIMS], offset = self->offset;
    for (int d = 0; d < self->ndim; d++) {
        bool turn = mask >> d & 1;
        strides[d] = turn ? -self->strides[d] : self->strides[d];
        if (turn) offset += (self->shape[d] - 1) * self->strides[d];
    }
    TAPER_TRY(taper__tensor_view(&view, self, self->ndim, self->shape, strides, offset));
    taper_status st = taper__copy_data(c->out[0], view);
    taper_tensor_release(view);
    return st;
}
static const taper_kernel flip_kernels[] = {{"cpu", TAPER_CPU, NULL, flip_cpu}, {0}};
static taper_status flip_vjp(taper_vjp *v) {
    v->d[0] = tx_flip(v->scope, v->grad[0], v->args[1].is, v->args[1].count);
    return v->scope->status;
}
const taper_op taper_op_flip = {
    .infer = flip_infer, .kernels = flip_kernels, .vjp = flip_vjp, .samples = (const taper_sample[]){{"[2,3], (0)"}, {"[2,3,4], (0,-1)"}, {"[0,3], (0)"}, {"[2], (1)", .error = "Dimension out of range"}, {0}}};

static taper_tensor *roll_one(taper_scope *s, taper_tensor *t, int64_t shift, int64_t dim) {
    if (!t || !t->numel) return t;
    int64_t n = t->shape[dim], cut = ((n - shift) % n + n) % n, zero = 0;
    if (cut == 0) return t;
    taper_tensor *parts[2] = {tx_slice(s, t, dim, &cut, &n, 1), tx_slice(s, t, dim, &zero, &cut, 1)};
    return s->status == TAPER_OK ? tx_cat(s, parts, 2, dim) : NULL;
}
static taper_status roll_compose(taper_call *c, taper_scope *s) {
    taper_tensor *self = c->args[0].t, *t = self;
    const taper_arg *shifts = &c->args[1], *dims = &c->args[2];
    int64_t all = self->numel;
    if (dims->kind != TAPER_ARG_INTS || dims->count == 0) {
        if (shifts->count != 1) return TAPER_FAIL(TAPER_RUNTIME, "roll: shifts and dimensions must align. shifts: %d, dims:0", shifts->count);
        t = tx_reshape(s, roll_one(s, tx_reshape(s, self, &all, 1), shifts->is[0], 0), self->shape, self->ndim);
    } else {
        if (shifts->count != dims->count) return TAPER_FAIL(TAPER_RUNTIME, "shifts and dimensions must align. shifts: %d, dims:%d", shifts->count, dims->count);
        for (int i = 0; i < dims->count; i++) {
            int dim;
            TAPER_TRY(taper__wrap_dim(&dim, dims->is[i], self->ndim, "roll"));
            t = roll_one(s, t, shifts->is[i], dim);
        }
    }
    return rearrange_give(c, s, t == self ? tx_clone(s, self) : t);
}
const taper_op taper_op_roll = {.compose = roll_compose, .samples = (const taper_sample[]){{"[5], (2)"}, {"[2,3], (1,-1), (0,1)"}, {"[2,3], (4)"}, {"[2], (1,2), (0)", .error = "shifts: 2, dims:1"}, {0}}};

static taper_status repeat_times(taper_call *c, taper_scope *s, const int64_t *times, int n) {
    taper_tensor *self = c->args[0].t;
    int64_t wide[2 * TAPER_MAX_DIMS], once[2 * TAPER_MAX_DIMS], shape[TAPER_MAX_DIMS];
    int lead = n - self->ndim;
    if (lead < 0) return TAPER_FAIL(TAPER_RUNTIME, "Number of dimensions of repeat dims can not be smaller than number of dimensions of tensor: %s and %s",
                                    taper__shape_text(n, times).s, TAPER_SHAPE(self));
    if (2 * n > TAPER_MAX_DIMS) return TAPER_FAIL(TAPER_VALUE, "repeat: at most %d dims", TAPER_MAX_DIMS / 2);
    for (int d = 0; d < n; d++) {
        int64_t size = d < lead ? 1 : self->shape[d - lead];
        if (times[d] < 0) return TAPER_FAIL(TAPER_RUNTIME, "Trying to create tensor with negative dimension %lld: %s", (long long)times[d], taper__shape_text(n, times).s);
        once[2 * d] = 1;
        wide[2 * d] = times[d];
        once[2 * d + 1] = wide[2 * d + 1] = size;
        shape[d] = times[d] * size;
    }
    taper_tensor *t = tx_expand(s, tx_reshape(s, self, once, 2 * n), wide, 2 * n);
    return rearrange_give(c, s, tx_reshape(s, tx_clone(s, t), shape, n));
}
static taper_status repeat_compose(taper_call *c, taper_scope *s) { return repeat_times(c, s, c->args[1].is, c->args[1].count); }
static taper_status tile_compose(taper_call *c, taper_scope *s) {
    int64_t times[TAPER_MAX_DIMS];
    int n = c->args[1].count, nd = c->args[0].t->ndim, lead = nd > n ? nd - n : 0;
    if (n + lead > TAPER_MAX_DIMS) return TAPER_FAIL(TAPER_VALUE, "tile: at most %d dims", TAPER_MAX_DIMS);
    for (int d = 0; d < n + lead; d++) times[d] = d < lead ? 1 : c->args[1].is[d - lead];
    return repeat_times(c, s, times, n + lead);
}
const taper_op taper_op_repeat = {.compose = repeat_compose, .samples = (const taper_sample[]){{"[2,3], (2,1)"}, {"[3], (2,2)"}, {"[2,3], (2)", .error = "can not be smaller"}, {0}}};
const taper_op taper_op_tile = {.compose = tile_compose, .samples = (const taper_sample[]){{"[2,3], (2)"}, {"[3], (2,2)"}, {0}}};

static taper_status repeat_interleave_compose(taper_call *c, taper_scope *s) {
    taper_tensor *t = c->args[0].t;
    int64_t times = c->args[1].i, all = t->numel, wide[TAPER_MAX_DIMS], shape[TAPER_MAX_DIMS];
    int dim = 0;
    if (times < 0) return TAPER_FAIL(TAPER_RUNTIME, "repeats has to be non-negative, got %lld", (long long)times);
    if (c->args[2].kind == TAPER_ARG_INT)
        TAPER_TRY(taper__wrap_dim(&dim, c->args[2].i, t->ndim, "repeat_interleave"));
    else
        t = tx_reshape(s, t, &all, 1);
    if (!t) return s->status;
    memcpy(shape, t->shape, sizeof shape);
    shape[dim] *= times;
    taper_tensor *u = tx_unsqueeze(s, t, dim + 1);
    if (!u) return s->status;
    memcpy(wide, u->shape, sizeof wide);
    wide[dim + 1] = times;
    return rearrange_give(c, s, tx_reshape(s, tx_clone(s, tx_expand(s, u, wide, u->ndim)), shape, t->ndim));
}
const taper_op taper_op_repeat_interleave = {
    .compose = repeat_interleave_compose, .samples = (const taper_sample[]){{"[2,3], 2"}, {"[2,3], 2, 1"}, {"[2], -1", .error = "got -1"}, {0}}};

static taper_status triangle_infer(taper_call *c) {
    const taper_tensor *self = c->args[0].t;
    if (self->ndim < 2) return TAPER_FAIL(TAPER_RUNTIME, "%s: input tensor must have at least 2 dimensions, got %s", c->row->name, TAPER_SHAPE(self));
    return taper__out(c, 0, (taper_dtype)self->dtype, self->ndim, self->shape);
}
static taper_status triangle_run(taper_call *c, bool upper) {
    taper_tensor *t = c->out[0];
    TAPER_TRY(taper__copy_data(t, c->args[0].t));
    int64_t rows = t->shape[t->ndim - 2], cols = t->shape[t->ndim - 1], e = (int64_t)taper_dtype_size((taper_dtype)t->dtype), k = c->args[1].i;
    char *p = taper__data(t);
    for (int64_t r = 0; t->numel && r < t->numel / cols; r++) {
        int64_t edge = r % rows + k + (upper ? 0 : 1); /* first column of the other side */
        edge = edge < 0 ? 0 : edge > cols ? cols : edge;
        if (upper)
            memset(p + r * cols * e, 0, (size_t)(edge * e));
        else
            memset(p + (r * cols + edge) * e, 0, (size_t)((cols - edge) * e));
    }
    return TAPER_OK;
}
static taper_status tril_cpu(taper_call *c) { return triangle_run(c, false); }
static taper_status triu_cpu(taper_call *c) { return triangle_run(c, true); }
static const taper_kernel tril_kernels[] = {{"cpu", TAPER_CPU, NULL, tril_cpu}, {0}};
static const taper_kernel triu_kernels[] = {{"cpu", TAPER_CPU, NULL, triu_cpu}, {0}};
static taper_status tril_vjp(taper_vjp *v) {
    v->d[0] = tx_tril(v->scope, v->grad[0], v->args[1].i);
    return v->scope->status;
}
static taper_status triu_vjp(taper_vjp *v) {
    v->d[0] = tx_triu(v->scope, v->grad[0], v->args[1].i);
    return v->scope->status;
}
const taper_op taper_op_tril = {
    .infer = triangle_infer, .kernels = tril_kernels, .vjp = tril_vjp, .samples = (const taper_sample[]){{"[3,4]"}, {"[2,3,3], -1"}, {"[3,2], 5"}, {"[3]", .error = "at least 2 dimensions, got [3]"}, {0}}};
const taper_op taper_op_triu = {.infer = triangle_infer, .kernels = triu_kernels, .vjp = triu_vjp, .samples = (const taper_sample[]){{"[3,4]"}, {"[2,3,3], 1"}, {"[3,2], -5"}, {0}}};

static taper_status diag_compose(taper_call *c, taper_scope *s) {
    taper_tensor *self = c->args[0].t;
    int64_t k = c->args[1].i;
    if (self->ndim == 2) return rearrange_give(c, s, tx_clone(s, tx_diagonal(s, self, k, 0, 1)));
    if (self->ndim != 1) return TAPER_FAIL(TAPER_RUNTIME, "diag(): Supports 1D or 2D tensors. Got %s", TAPER_TEXT(self));
    int64_t n = self->numel + (k < 0 ? -k : k), shape[2] = {n, n};
    taper_tensor *t = tx_full(s, shape, 2, taper_int(0), (taper_dtype)self->dtype, &self->device);
    tx_copy_(s, tx_diagonal(s, t, k, 0, 1), self, false);
    return rearrange_give(c, s, t);
}
const taper_op taper_op_diag = {.compose = diag_compose, .samples = (const taper_sample[]){{"[3]"}, {"[3], 1"}, {"[3,4], -1"}, {"[2,2,2]", .error = "Got float"}, {0}}};

/* One dim by mode: pieces of self joined, constant pieces filled. */
static taper_tensor *pad_dim(taper_scope *s, taper_tensor *t, int dim, int64_t before, int64_t after, const char *mode, double value) {
    if (!t || (!before && !after)) return t;
    int64_t n = t->shape[dim], start = before < 0 ? -before : 0, end = after < 0 ? n + after : n, shape[TAPER_MAX_DIMS];
    if (start || end != n) t = tx_slice(s, t, dim, &start, &end, 1);
    if (!t) return NULL;
    before = before < 0 ? 0 : before;
    after = after < 0 ? 0 : after;
    n = t->shape[dim];
    if (strcmp(mode, "constant")) {
        taper_tensor *at = NULL;
        int64_t total = n + before + after;
        if (taper_tensor_new(&at, TAPER_I64, taper_cpu(), 1, &total) != TAPER_OK) {
            s->status = TAPER_MEMORY;
            return NULL;
        }
        taper_scope_own(s, at);
        for (int64_t i = 0; i < total; i++) {
            int64_t k = i - before;
            if (mode[0] == 'c')
                k = ((k % n) + n) % n; /* circular */
            else if (!strcmp(mode, "replicate"))
                k = k < 0 ? 0 : k >= n ? n - 1 : k;
            else
                k = k < 0 ? -k : k >= n ? 2 * (n - 1) - k : k; /* reflect */
            ((int64_t *)taper__data(at))[i] = k;
        }
        return tx_index_select(s, t, dim, tx_to(s, at, &t->device, TAPER_DTYPE_NONE, false, false));
    }
    taper_tensor *parts[3];
    int count = 0;
    memcpy(shape, t->shape, sizeof shape);
    for (int side = 0; side < 3; side++) {
        int64_t size = side == 0 ? before : after;
        if (side == 1) {
            parts[count++] = t;
        } else if (size) {
            shape[dim] = size;
            parts[count++] = tx_full(s, shape, t->ndim, taper_float(value), (taper_dtype)t->dtype, &t->device);
        }
    }
    return s->status == TAPER_OK ? tx_cat(s, parts, count, dim) : NULL;
}
static taper_status pad_compose(taper_call *c, taper_scope *s) {
    taper_tensor *self = c->args[0].t, *t = self;
    const taper_arg *pad = &c->args[1];
    const char *mode = c->args[2].s;
    if (pad->count % 2) return TAPER_FAIL(TAPER_RUNTIME, "Padding length must be divisible by 2, got %d", pad->count);
    if (pad->count / 2 > self->ndim)
        return TAPER_FAIL(TAPER_RUNTIME, "Padding length should be less than or equal to two times the input dimension but got padding length %d and input of dimension %d", pad->count, self->ndim);
    if (strcmp(mode, "constant") && strcmp(mode, "reflect") && strcmp(mode, "replicate") && strcmp(mode, "circular"))
        return TAPER_FAIL(TAPER_NOT_IMPLEMENTED, "Unrecognised padding mode %s", mode);
    for (int i = 0; i < pad->count / 2; i++) {
        int dim = self->ndim - 1 - i;
        int64_t before = pad->is[2 * i], after = pad->is[2 * i + 1], n = self->shape[dim];
        if (n + before + after < 0)
            return TAPER_FAIL(TAPER_RUNTIME, "The input size %lld, plus negative padding %lld and %lld, resulted in a negative output size of %s", (long long)n, (long long)before, (long long)after, TAPER_SHAPE(self));
        bool far = before > n || after > n;
        if (!strcmp(mode, "reflect") && (before >= n || after >= n))
            return TAPER_FAIL(TAPER_RUNTIME, "Padding size should be less than the corresponding input dimension, but got: padding (%lld, %lld) at dimension %d of input %s", (long long)before,
                              (long long)after, dim, TAPER_SHAPE(self));
        if (!strcmp(mode, "circular") && far) return TAPER_FAIL(TAPER_RUNTIME, "Padding value causes wrapping around more than once: (%lld, %lld) of %s", (long long)before, (long long)after, TAPER_SHAPE(self));
        t = pad_dim(s, t, dim, before, after, mode, c->args[3].kind == TAPER_ARG_FLOAT ? c->args[3].f : 0);
    }
    return rearrange_give(c, s, t == self ? tx_clone(s, self) : t);
}
const taper_op taper_op_pad = {
    .compose = pad_compose,
    .samples = (const taper_sample[]){{"[2,3], (1,2)"}, {"[2,3], (1,-1,0,2), constant, 1.5"}, {"[2,4], (2,1), reflect"}, {"[2,4], (2,1), replicate"}, {"[2,4], (2,1), circular"},
                                      {"[2,3], (1)", .error = "divisible by 2, got 1"}, {0}}};
