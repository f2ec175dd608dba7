/* Padding: constant_pad_nd and the modes reflect, replicate and circular. */
#include "ops/range_cuda.h"

static taper_status constant_pad_shape(const taper_tensor *self, const taper_arg *pad, int64_t *shape) {
    if (pad->count % 2)
        return TAPER_FAIL(TAPER_RUNTIME, "Length of pad must be even but instead it equals %d", pad->count);
    if (pad->count > 2 * self->ndim)
        return TAPER_FAIL(TAPER_RUNTIME, "Length of pad should be no more than twice the number of dimensions of the input. Pad length is %d while the input has %d dimensions.",
                          pad->count, self->ndim);
    memcpy(shape, self->shape, sizeof self->shape);
    for (int k = 0; k < pad->count / 2; k++) {
        int d = self->ndim - 1 - k;
        int64_t left = pad->is[2 * k], right = pad->is[2 * k + 1];
        if (__builtin_add_overflow(shape[d], left, &shape[d]) || __builtin_add_overflow(shape[d], right, &shape[d]))
            return TAPER_FAIL(TAPER_RUNTIME, "constant_pad_nd: padding %lld and %lld of dimension %d of %s is too large", (long long)left, (long long)right, d, TAPER_SHAPE(self));
        if (left == INT64_MIN || right == INT64_MIN || shape[d] < 0 || -left > self->shape[d] || -right > self->shape[d])
            return TAPER_FAIL(TAPER_RUNTIME, "The input size %lld, plus negative padding %lld and %lld, resulted in a negative output size, which is invalid. Check dimension %d of your input %s.",
                              (long long)self->shape[d], (long long)left, (long long)right, d, TAPER_SHAPE(self));
    }
    return TAPER_OK;
}
static taper_status constant_pad_nd_infer(taper_call *c) {
    const taper_tensor *self = c->args[0].t;
    int64_t shape[TAPER_MAX_DIMS], strides[TAPER_MAX_DIMS];
    TAPER_TRY(constant_pad_shape(self, &c->args[1], shape));
    bool last = !self->contiguous && taper__is_channels_last(self->ndim, self->shape, self->strides);
    if (last) taper__channels_last_strides(self->ndim, shape, strides);
    return taper__out_strided(c, 0, (taper_dtype)self->dtype, self->ndim, shape, last ? strides : NULL);
}
static taper_status constant_pad_nd_run(taper_call *c) {
    const taper_tensor *self = c->args[0].t;
    taper_tensor *out = c->out[0], *to = NULL, *from = NULL;
    taper_status st;
    int64_t shape[TAPER_MAX_DIMS], read = self->offset, write = out->offset;
    memcpy(shape, self->shape, sizeof shape);
    st = c->device.type == TAPER_CPU ? taper__fill_data(out, taper_arg_scalar(&c->args[2])) : taper__fill_cuda(out, taper_arg_scalar(&c->args[2]));
    if (st != TAPER_OK || !out->numel) return st;
    for (int k = 0; k < c->args[1].count / 2; k++) {
        int d = self->ndim - 1 - k;
        int64_t left = c->args[1].is[2 * k], right = c->args[1].is[2 * k + 1];
        if (left < 0) {
            shape[d] += left;
            read -= left * self->strides[d];
        } else {
            write += left * out->strides[d];
        }
        if (right < 0) shape[d] += right;
    }
    TAPER_TRY_GOTO(taper__tensor_view(&to, out, out->ndim, shape, out->strides, write));
    TAPER_TRY_GOTO(taper__tensor_view(&from, self, self->ndim, shape, self->strides, read));
    st = taper__copy_data(to, from);
out:
    taper_tensor_release(to);
    taper_tensor_release(from);
    return st;
}
static const taper_kernel constant_pad_nd_kernels[] = {{"cpu", TAPER_CPU, NULL, constant_pad_nd_run}, {"cuda", TAPER_CUDA, NULL, constant_pad_nd_run}, {0}};
static taper_status constant_pad_nd_vjp(taper_vjp *v) {
    int64_t back[2 * TAPER_MAX_DIMS];
    for (int k = 0; k < v->args[1].count; k++) back[k] = -v->args[1].is[k];
    v->d[0] = tx_constant_pad_nd(v->scope, v->grad[0], back, v->args[1].count, taper_int(0));
    return v->scope->status;
}
const taper_op taper_op_constant_pad_nd = {
    .infer = constant_pad_nd_infer,
    .kernels = constant_pad_nd_kernels,
    .vjp = constant_pad_nd_vjp,
    .samples = (const taper_sample[]){{"[2,3], (1,2)"}, {"[2,3], (1,-1,0,2), 1.5"}, {"[2,3,4], (-1,-1), 2"}, {"[0,2], (1,1,1,0)"}, {"[3], (0,0)"},
                                      {"[2,3], (1)", .error = "must be even but instead it equals 1"}, {"[3], (1,1,1,1)", .error = "Pad length is 4"},
                                      {"[3], (-2,-2)", .error = "resulted in a negative output size"}, {0}},
};

/* ---- modes that repeat elements: an index per padded dim ---- */

static taper_status pad_dim(taper_tensor **t, taper_scope *s, taper_range_what mode, int dim, int64_t left, int64_t right, const taper_tensor *whole) {
    int64_t n = whole->shape[dim], size = n + left + right;
    taper_tensor *index = NULL;
    taper_device device = whole->device;
    if (mode == TAPER_RANGE_REFLECT && (left >= n || right >= n))
        return TAPER_FAIL(TAPER_RUNTIME, "Argument #4: Padding size should be less than the corresponding input dimension, but got: padding (%lld, %lld) at dimension %d of input %s",
                          (long long)left, (long long)right, dim, TAPER_SHAPE(whole));
    if (mode == TAPER_RANGE_CIRCULAR && (left > n || right > n))
        return TAPER_FAIL(TAPER_RUNTIME, "Padding value causes wrapping around more than once: padding (%lld, %lld) at dimension %d of input %s", (long long)left, (long long)right, dim,
                          TAPER_SHAPE(whole));
    if (size < 0 || (!n && size))
        return TAPER_FAIL(TAPER_RUNTIME, "pad: dimension %d of input %s is too small for padding (%lld, %lld)", dim, TAPER_SHAPE(whole), (long long)left, (long long)right);
    taper_device at = device.type == TAPER_CUDA ? device : taper_cpu();
    TAPER_TRY(taper__tensor_empty(&index, TAPER_I64, at, 1, &size, "pad"));
    taper_scope_own(s, index);
    if (at.type == TAPER_CUDA) {
        taper_range_args k = {.what = mode, .size = n, .left = left};
        TAPER_TRY(taper__range_cuda(index, &k, "pad"));
    } else {
        for (int64_t i = 0; i < size; i++) ((int64_t *)taper__data(index))[i] = taper__range_pad(mode, i - left, n);
        index = tx_to(s, index, &device, TAPER_DTYPE_NONE, false, false);
    }
    *t = tx_index_select(s, *t, dim, index);
    return s->status;
}

static taper_status pad_repeating(taper_call *c, taper_scope *s, taper_range_what mode, const char *word) {
    taper_tensor *self = c->args[0].t, *t = self;
    const taper_arg *pad = &c->args[1];
    int n = pad->count / 2;
    if (pad->count % 2 || n < 1 || n > 3 || (self->ndim != n + 1 && self->ndim != n + 2))
        return TAPER_FAIL(TAPER_NOT_IMPLEMENTED, "Only 2D, 3D, 4D, 5D padding with non-constant padding are supported for now: mode %s, pad %s, input %s", word,
                          taper__shape_text(pad->count, pad->is).s, TAPER_SHAPE(self));
    for (int k = 0; k < n; k++)
        if (pad->is[2 * k] || pad->is[2 * k + 1]) TAPER_TRY(pad_dim(&t, s, mode, self->ndim - 1 - k, pad->is[2 * k], pad->is[2 * k + 1], self));
    c->nout = 1;
    c->out[0] = taper_scope_keep(s, t == self ? tx_clone(s, self) : t);
    return s->status;
}

static taper_status pad_compose(taper_call *c, taper_scope *s) {
    const char *mode = c->args[2].s;
    bool value = c->args[3].kind == TAPER_ARG_FLOAT;
    if (!strcmp(mode, "constant")) {
        c->nout = 1;
        c->out[0] = taper_scope_keep(s, tx_constant_pad_nd(s, c->args[0].t, c->args[1].is, c->args[1].count, value ? taper_float(c->args[3].f) : taper_int(0)));
        return s->status;
    }
    if (value && c->args[3].f != 0) return TAPER_FAIL(TAPER_RUNTIME, "Padding mode \"%s\" doesn't take in value argument", mode);
    if (!strcmp(mode, "reflect")) return pad_repeating(c, s, TAPER_RANGE_REFLECT, mode);
    if (!strcmp(mode, "replicate")) return pad_repeating(c, s, TAPER_RANGE_REPLICATE, mode);
    if (!strcmp(mode, "circular")) return pad_repeating(c, s, TAPER_RANGE_CIRCULAR, mode);
    return TAPER_FAIL(TAPER_NOT_IMPLEMENTED, "Unrecognised padding mode %s", mode);
}
const taper_op taper_op_pad = {
    .compose = pad_compose,
    .samples = (const taper_sample[]){{"[2,3], (1,2)"}, {"[2,3], (1,1), constant, 2.5"}, {"[2,3], (1,2), reflect"}, {"[1,2,3,3], (1,2,0,1), reflect"}, {"[2,3], (2,1), replicate"},
                                      {"[1,2,3], (3,1), circular"}, {"[1,1,3,3], (1,0,2,1), circular"}, {"[1,1,2,2,2], (1,1,0,1,1,0), replicate"},
                                      {"[2,3], (3,0), reflect", .error = "padding (3, 0) at dimension 1 of input [2, 3]"}, {"[2,3], (1,1), mirror", .error = "Unrecognised padding mode mirror"},
                                      {"[3], (1,1), reflect", .error = "non-constant padding"}, {0}}};

static taper_status reflection_compose(taper_call *c, taper_scope *s) { return pad_repeating(c, s, TAPER_RANGE_REFLECT, "reflect"); }
static taper_status replication_compose(taper_call *c, taper_scope *s) { return pad_repeating(c, s, TAPER_RANGE_REPLICATE, "replicate"); }
#define PAD_OP(fn, ...) {.compose = fn, .samples = (const taper_sample[]){__VA_ARGS__, {0}}}
const taper_op taper_op_reflection_pad1d = PAD_OP(reflection_compose, {"[2,3], (1,2)"}, {"[2,3], (3,0)", .error = "padding (3, 0)"});
const taper_op taper_op_reflection_pad2d = PAD_OP(reflection_compose, {"[1,3,3], (1,2,0,1)"}, {"[2,3], (1,1,1,1)", .error = "input [2, 3]"});
const taper_op taper_op_reflection_pad3d = PAD_OP(reflection_compose, {"[1,2,2,2], (1,1,0,1,1,0)"});
const taper_op taper_op_replication_pad1d = PAD_OP(replication_compose, {"[2,3], (1,2)"});
const taper_op taper_op_replication_pad2d = PAD_OP(replication_compose, {"[1,3,3], (1,2,0,1)"});
const taper_op taper_op_replication_pad3d = PAD_OP(replication_compose, {"[1,2,2,2], (1,1,0,1,1,0)"});
