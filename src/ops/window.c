/* Views of a part: select, slice, narrow, diagonal, unfold; and the same bytes as another dtype. */
#include "ops/op.h"

/* The gradient of a window: zeros with the window filled in. The inner vjp writes through the same view, so it can be
 * differentiated again. */
static taper_status window_vjp(taper_vjp *v, taper_tensor *(*window)(taper_vjp *v, taper_tensor *whole)) {
    taper_scope *s = v->scope;
    taper_tensor *whole = taper__zeros_like(s, v->args[0].t), *part = window(v, whole);
    if (s->status != TAPER_OK) return s->status;
    if (taper__has_internal_overlap(part)) return taper__add_overlapping(s, part, v->grad[0]);
    tx_copy_(s, part, v->grad[0], false);
    v->d[0] = whole;
    return s->status;
}

static taper_status select_infer(taper_call *c) {
    taper_tensor *self = c->args[0].t;
    int at;
    int64_t i = c->args[2].i, shape[TAPER_MAX_DIMS], strides[TAPER_MAX_DIMS];
    if (self->ndim == 0) return TAPER_FAIL(TAPER_INDEX, "select() cannot be applied to a 0-dim tensor.");
    TAPER_TRY(taper__wrap_dim(&at, c->args[1].i, self->ndim, "select"));
    if (i < -self->shape[at] || i >= self->shape[at])
        return TAPER_FAIL(TAPER_INDEX, "select(): index %lld out of range for tensor of size %s at dimension %d", (long long)i, TAPER_SHAPE(self), at);
    if (i < 0) i += self->shape[at];
    for (int d = 0; d < self->ndim - 1; d++) {
        shape[d] = self->shape[d + (d >= at)];
        strides[d] = self->strides[d + (d >= at)];
    }
    return taper__out_view(c, 0, self, self->ndim - 1, shape, strides, self->offset + i * self->strides[at]);
}
static taper_tensor *select_window(taper_vjp *v, taper_tensor *whole) { return tx_select(v->scope, whole, v->args[1].i, v->args[2].i); }
static taper_status select_vjp(taper_vjp *v) { return window_vjp(v, select_window); }
const taper_op taper_op_select = {
    .infer = select_infer,
    .vjp = select_vjp,
    .samples = (const taper_sample[]){{"[2,3], 0, 1"}, {"[2,3,4], 1, -1"}, {"[2,3], 1, 3", .error = "index 3 out of range"}, {0}}};

static int64_t slice_clip(int64_t i, int64_t n) {
    if (i < 0) i += n;
    return i < 0 ? 0 : i > n ? n : i;
}
static taper_status slice_infer(taper_call *c) {
    taper_tensor *self = c->args[0].t;
    int at;
    int64_t shape[TAPER_MAX_DIMS], strides[TAPER_MAX_DIMS], step = c->args[4].i;
    if (self->ndim == 0) return TAPER_FAIL(TAPER_RUNTIME, "slice() cannot be applied to a 0-dim tensor.");
    TAPER_TRY(taper__wrap_dim(&at, c->args[1].i, self->ndim, "slice"));
    if (step <= 0) return TAPER_FAIL(TAPER_RUNTIME, "slice step must be positive, got %lld", (long long)step);
    int64_t n = self->shape[at];
    int64_t start = c->args[2].kind == TAPER_ARG_INT ? slice_clip(c->args[2].i, n) : 0;
    int64_t end = c->args[3].kind == TAPER_ARG_INT ? slice_clip(c->args[3].i, n) : n;
    if (end < start) end = start;
    memcpy(shape, self->shape, sizeof shape);
    memcpy(strides, self->strides, sizeof strides);
    shape[at] = (end - start + step - 1) / step;
    strides[at] *= step;
    return taper__out_view(c, 0, self, self->ndim, shape, strides, self->offset + start * self->strides[at]);
}
static taper_tensor *slice_window(taper_vjp *v, taper_tensor *whole) {
    return tx_slice(v->scope, whole, v->args[1].i, v->args[2].kind == TAPER_ARG_INT ? &v->args[2].i : NULL,
                    v->args[3].kind == TAPER_ARG_INT ? &v->args[3].i : NULL, v->args[4].i);
}
static taper_status slice_vjp(taper_vjp *v) { return window_vjp(v, slice_window); }
const taper_op taper_op_slice = {
    .infer = slice_infer,
    .vjp = slice_vjp,
    .samples = (const taper_sample[]){{"[5,3], 0, 1, 4"}, {"[5,3], 0, -2"}, {"[2,7], 1, 0, 7, 3"}, {"[4], 0, 3, 1"}, {"[4], 0, 0, 2, 0", .error = "step must be positive"}, {0}}};

static taper_status narrow_compose(taper_call *c, taper_scope *s) {
    taper_tensor *self = c->args[0].t;
    int at;
    int64_t start = c->args[2].i, length = c->args[3].i;
    if (self->ndim == 0) return TAPER_FAIL(TAPER_RUNTIME, "narrow() cannot be applied to a 0-dim tensor.");
    TAPER_TRY(taper__wrap_dim(&at, c->args[1].i, self->ndim, "narrow"));
    int64_t n = self->shape[at];
    if (length < 0) return TAPER_FAIL(TAPER_RUNTIME, "narrow(): length must be non-negative.");
    if (start < -n || start > n) return TAPER_FAIL(TAPER_INDEX, "start out of range (expected to be in range of [-%lld, %lld], but got %lld)", (long long)n, (long long)n, (long long)start);
    if (start < 0) start += n;
    if (start > n - length) return TAPER_FAIL(TAPER_RUNTIME, "start (%lld) + length (%lld) exceeds dimension size (%lld) of %s", (long long)start, (long long)length, (long long)n, TAPER_SHAPE(self));
    int64_t end = start + length;
    c->nout = 1;
    c->out[0] = taper_scope_keep(s, tx_slice(s, self, at, &start, &end, 1));
    return s->status;
}
const taper_op taper_op_narrow = {
    .compose = narrow_compose, .samples = (const taper_sample[]){{"[5,3], 0, 1, 2"}, {"[5,3], 1, 2, 2", .error = "exceeds dimension size (3)"}, {0}}};

static taper_status diagonal_infer(taper_call *c) {
    taper_tensor *self = c->args[0].t;
    int a, b, n = 0;
    int64_t off = c->args[1].i, shape[TAPER_MAX_DIMS], strides[TAPER_MAX_DIMS];
    TAPER_TRY(taper__wrap_dim(&a, c->args[2].i, self->ndim, "diagonal"));
    TAPER_TRY(taper__wrap_dim(&b, c->args[3].i, self->ndim, "diagonal"));
    if (a == b) return TAPER_FAIL(TAPER_RUNTIME, "diagonal dimensions cannot be identical %d, %d", a, b);
    for (int d = 0; d < self->ndim; d++)
        if (d != a && d != b) {
            shape[n] = self->shape[d];
            strides[n++] = self->strides[d];
        }
    int64_t rows = self->shape[a] - (off < 0 ? -off : 0), cols = self->shape[b] - (off > 0 ? off : 0), len = rows < cols ? rows : cols;
    shape[n] = len > 0 ? len : 0;
    strides[n++] = self->strides[a] + self->strides[b];
    int64_t at = self->offset + (len > 0 ? (off >= 0 ? off * self->strides[b] : -off * self->strides[a]) : 0);
    return taper__out_view(c, 0, self, n, shape, strides, at);
}
static taper_tensor *diagonal_window(taper_vjp *v, taper_tensor *whole) { return tx_diagonal(v->scope, whole, v->args[1].i, v->args[2].i, v->args[3].i); }
static taper_status diagonal_vjp(taper_vjp *v) { return window_vjp(v, diagonal_window); }
const taper_op taper_op_diagonal = {
    .infer = diagonal_infer, .vjp = diagonal_vjp, .samples = (const taper_sample[]){{"[3,3]"}, {"[3,4], 1"}, {"[2,3,4], -1, 0, 2"}, {"[3,3], 0, 1, 1", .error = "cannot be identical"}, {0}}};

static taper_status unfold_infer(taper_call *c) {
    taper_tensor *self = c->args[0].t;
    int at;
    int64_t size = c->args[2].i, step = c->args[3].i, shape[TAPER_MAX_DIMS + 1], strides[TAPER_MAX_DIMS + 1];
    TAPER_TRY(taper__wrap_dim(&at, c->args[1].i, self->ndim, "unfold"));
    int64_t n = self->ndim ? self->shape[at] : 1;
    if (size < 0 || size > n) return TAPER_FAIL(TAPER_RUNTIME, "maximum size for tensor at dimension %d is %lld but size is %lld", at, (long long)n, (long long)size);
    if (step <= 0) return TAPER_FAIL(TAPER_RUNTIME, "step is %lld but must be > 0", (long long)step);
    if (self->ndim == TAPER_MAX_DIMS) return TAPER_FAIL(TAPER_VALUE, "unfold: at most %d dims", TAPER_MAX_DIMS);
    memcpy(shape, self->shape, sizeof self->shape);
    memcpy(strides, self->strides, sizeof self->strides);
    shape[self->ndim] = size;
    strides[self->ndim] = self->ndim ? self->strides[at] : 1;
    if (self->ndim) {
        shape[at] = (n - size) / step + 1;
        strides[at] = self->strides[at] * step;
    }
    return taper__out_view(c, 0, self, self->ndim + 1, shape, strides, self->offset);
}
/* Windows may share elements: they are added one position in the window after the other, in order. */
static taper_status unfold_vjp(taper_vjp *v) {
    taper_scope *s = v->scope;
    int at;
    const taper_tensor *self = v->args[0].t;
    int64_t size = v->args[2].i, step = v->args[3].i;
    TAPER_TRY(taper__wrap_dim(&at, v->args[1].i, self->ndim, "unfold"));
    taper_tensor *whole = taper__zeros_like(s, self);
    for (int64_t i = 0; i < size && s->status == TAPER_OK; i++) {
        int64_t count = v->out[0]->shape[at], end = i + (count - 1) * step + 1;
        taper_tensor *place = tx_slice(s, whole, at, &i, &end, step);
        if (!place) break;
        taper_tensor *g = tx_select(s, v->grad[0], -1, i);
        if (g && s->status == TAPER_OK) s->status = taper_add_(place, g, taper_int(1));
    }
    v->d[0] = whole;
    return s->status;
}
const taper_op taper_op_unfold = {
    .infer = unfold_infer, .vjp = unfold_vjp, .samples = (const taper_sample[]){{"[7], 0, 3, 2"}, {"[2,5], 1, 2, 1"}, {"[4], 0, 5, 1", .error = "maximum size"}, {0}}};

static taper_status view_dtype_infer(taper_call *c) {
    taper_tensor *self = c->args[0].t;
    taper_dtype to = c->args[1].dtype;
    size_t have = taper_dtype_size((taper_dtype)self->dtype), want = taper_dtype_size(to);
    int64_t shape[TAPER_MAX_DIMS], strides[TAPER_MAX_DIMS], offset = self->offset;
    memcpy(shape, self->shape, sizeof shape);
    memcpy(strides, self->strides, sizeof strides);
    if (have != want) {
        int last = self->ndim - 1;
        if (!self->contiguous || last < 0 || ((size_t)shape[last] * have) % want || ((size_t)offset * have) % want)
            return TAPER_FAIL(TAPER_RUNTIME, "self.size(-1) must be divisible by %zu to view %s as %s (different element sizes), but got %s", want / (have < want ? have : want),
                              taper_dtype_typename((taper_dtype)self->dtype), taper_dtype_typename(to), TAPER_SHAPE(self));
        shape[last] = (int64_t)((size_t)shape[last] * have / want);
        offset = (int64_t)((size_t)offset * have / want);
        taper__contiguous_strides(self->ndim, shape, strides);
    }
    TAPER_TRY(taper__out_view(c, 0, self, self->ndim, shape, strides, offset));
    c->out[0]->dtype = (uint8_t)to;
    return TAPER_OK;
}
const taper_op taper_op_view_dtype = {
    .infer = view_dtype_infer, .samples = (const taper_sample[]){{"[2,3]:f32:nograd, int32"}, {"[2,3]:f32:nograd, float64", .error = "divisible"}, {0}}};
