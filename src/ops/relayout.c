/* transpose_, squeeze_ and their like: a tensor's own shape and strides change in place. infer gives the view it becomes; the
 * engine moves that layout into the tensor, and args[0] of the gradient is what it was before. */
#include "ops/op.h"

static taper_status transpose__infer(taper_call *c) {
    taper_tensor *self = c->args[0].t;
    int a, b;
    int64_t shape[TAPER_MAX_DIMS], strides[TAPER_MAX_DIMS];
    TAPER_TRY(taper__wrap_dim(&a, c->args[1].i, self->ndim, c->row->name));
    TAPER_TRY(taper__wrap_dim(&b, c->args[2].i, self->ndim, c->row->name));
    memcpy(shape, self->shape, sizeof shape);
    memcpy(strides, self->strides, sizeof strides);
    if (self->ndim) {
        shape[a] = self->shape[b];
        strides[a] = self->strides[b];
        shape[b] = self->shape[a];
        strides[b] = self->strides[a];
    }
    return taper__out_view(c, 0, self, self->ndim, shape, strides, self->offset);
}
static taper_status transpose__vjp(taper_vjp *v) {
    v->d[0] = tx_transpose(v->scope, v->grad[0], v->args[1].i, v->args[2].i);
    return v->scope->status;
}

static taper_status t__infer(taper_call *c) {
    taper_tensor *self = c->args[0].t;
    if (self->ndim > 2) return TAPER_FAIL(TAPER_RUNTIME, "t_() expects a tensor with <= 2 dimensions, but self is %dD: %s", self->ndim, TAPER_SHAPE(self));
    int64_t shape[2] = {self->shape[1], self->shape[0]}, strides[2] = {self->strides[1], self->strides[0]};
    bool turn = self->ndim == 2;
    return taper__out_view(c, 0, self, self->ndim, turn ? shape : self->shape, turn ? strides : self->strides, self->offset);
}
static taper_status t__vjp(taper_vjp *v) {
    v->d[0] = tx_t(v->scope, v->grad[0]);
    return v->scope->status;
}

static taper_status squeeze__infer(taper_call *c) {
    taper_tensor *self = c->args[0].t;
    uint32_t mask = ~0u;
    int n = 0;
    int64_t shape[TAPER_MAX_DIMS], strides[TAPER_MAX_DIMS];
    if (c->nargs > 1) {
        mask = 0;
        if (c->args[1].count) TAPER_TRY(taper__dim_mask(&mask, &c->args[1], self->ndim, "squeeze_"));
    }
    for (int d = 0; d < self->ndim; d++) {
        if ((mask >> d & 1) && self->shape[d] == 1) continue;
        shape[n] = self->shape[d];
        strides[n++] = self->strides[d];
    }
    return taper__out_view(c, 0, self, n, shape, strides, self->offset);
}

static taper_status unsqueeze__infer(taper_call *c) {
    taper_tensor *self = c->args[0].t;
    int at;
    int64_t shape[TAPER_MAX_DIMS + 1], strides[TAPER_MAX_DIMS + 1];
    TAPER_TRY(taper__wrap_dim(&at, c->args[1].i, self->ndim + 1, "unsqueeze_"));
    if (self->ndim == TAPER_MAX_DIMS) return TAPER_FAIL(TAPER_VALUE, "unsqueeze_: at most %d dims, got %s", TAPER_MAX_DIMS, TAPER_SHAPE(self));
    for (int d = 0; d <= self->ndim; d++) {
        int from = d > at ? d - 1 : d;
        shape[d] = d == at ? 1 : self->shape[from];
        strides[d] = d == at ? (d < self->ndim ? self->shape[d] * self->strides[d] : 1) : self->strides[from];
    }
    return taper__out_view(c, 0, self, self->ndim + 1, shape, strides, self->offset);
}
static taper_status relayout_reshape_vjp(taper_vjp *v) {
    v->d[0] = tx_reshape(v->scope, v->grad[0], v->args[0].t->shape, v->args[0].t->ndim);
    return v->scope->status;
}

#define RELAYOUT(infer_fn, vjp_fn, node, ...)                                                                          \
    {.infer = infer_fn, .vjp = vjp_fn, .mutates = true, .relayout = true, .grad_name = node, .samples = (const taper_sample[]){__VA_ARGS__, {0}}}
const taper_op taper_op_transpose_ = RELAYOUT(transpose__infer, transpose__vjp, "TransposeBackward0", {"[2,3], 0, 1"}, {"[2,3,4], -1, 0"}, {"[2], 0, 1", .error = "Dimension out of range"});
const taper_op taper_op_swapaxes_ = RELAYOUT(transpose__infer, transpose__vjp, "TransposeBackward0", {"[2,3], 0, 1"}, {"[2], 0, 1", .error = "Dimension out of range"});
const taper_op taper_op_swapdims_ = RELAYOUT(transpose__infer, transpose__vjp, "TransposeBackward0", {"[2,3], 0, 1"}, {"[2], 0, 1", .error = "Dimension out of range"});
const taper_op taper_op_t_ = RELAYOUT(t__infer, t__vjp, "TBackward0", {"[2,3]"}, {"[3]"}, {"[2,3,4]", .error = "<= 2 dimensions"});
const taper_op taper_op_squeeze_ = RELAYOUT(squeeze__infer, relayout_reshape_vjp, "SqueezeBackward0", {"[2,1,3,1]"}, {"[]"});
const taper_op taper_op_squeeze__dim = RELAYOUT(squeeze__infer, relayout_reshape_vjp, "SqueezeBackward1", {"[2,1,3], (1)"}, {"[2,1,3], (0)"}, {"[2], (3)", .error = "Dimension out of range"});
const taper_op taper_op_unsqueeze_ = RELAYOUT(unsqueeze__infer, relayout_reshape_vjp, "UnsqueezeBackward0", {"[2,3], 0"}, {"[2,3], -1"}, {"[2], 3", .error = "Dimension out of range"});
