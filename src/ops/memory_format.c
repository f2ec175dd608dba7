/* Orders of dims in memory: channels_last and its relatives, and the calls that ask for one. */
#include "ops/op.h"

/* Strides of `format` for this shape. */
static taper_status format_strides(int64_t *strides, const char *format, int ndim, const int64_t *shape, const char *op) {
    bool last = !strcmp(format, "channels_last"), last_3d = !strcmp(format, "channels_last_3d");
    if (!strcmp(format, "contiguous_format")) {
        taper__contiguous_strides(ndim, shape, strides);
        return TAPER_OK;
    }
    if (!last && !last_3d)
        return TAPER_FAIL(TAPER_RUNTIME, "%s: unsupported memory format \"%s\"; contiguous_format, channels_last and channels_last_3d are known", op, format);
    if (ndim != (last ? 4 : 5))
        return TAPER_FAIL(TAPER_RUNTIME, "required rank %d tensor to use %s format, got shape %s", last ? 4 : 5, format, taper__shape_text(ndim, shape).s);
    taper__channels_last_strides(ndim, shape, strides);
    return TAPER_OK;
}

taper_status taper__out_format(taper_call *c, int i, taper_dtype dtype, const taper_tensor *t, const taper_arg *format) {
    int64_t strides[TAPER_MAX_DIMS];
    if (format->kind != TAPER_ARG_STRING || !strcmp(format->s, "preserve_format")) return taper__out_like(c, i, dtype, t);
    TAPER_TRY(format_strides(strides, format->s, t->ndim, t->shape, c->row->name));
    return taper__out_strided(c, i, dtype, t->ndim, t->shape, strides);
}

static taper_status empty_format_infer(taper_call *c) {
    int64_t n, strides[TAPER_MAX_DIMS];
    const taper_arg *size = &c->args[0];
    TAPER_TRY(taper__shape_numel(&n, size->count, size->is, "empty"));
    TAPER_TRY(format_strides(strides, c->args[3].s, size->count, size->is, "empty"));
    c->device = c->args[2].kind == TAPER_ARG_DEVICE ? c->args[2].device : taper_cpu();
    return taper__out_strided(c, 0, c->args[1].kind == TAPER_ARG_DTYPE ? c->args[1].dtype : taper_default_dtype(), size->count, size->is, strides);
}
static taper_status empty_format_run(taper_call *c) {
    (void)c;
    return TAPER_OK;
}
static const taper_kernel empty_format_kernels[] = {{"cpu", TAPER_CPU, NULL, empty_format_run}, {"cuda", TAPER_CUDA, NULL, empty_format_run}, {0}};
const taper_op taper_op_empty_format = {
    .infer = empty_format_infer,
    .kernels = empty_format_kernels,
    .samples = (const taper_sample[]){{"(2,3,4,5), memory_format=channels_last", .unspecified = true},
                                      {"(2,3,2,2,2), memory_format=channels_last_3d", .unspecified = true},
                                      {"(2,3), memory_format=channels_last", .error = "required rank 4 tensor"},
                                      {"(2,3), memory_format=blocked", .error = "unsupported memory format"},
                                      {0}},
};

static taper_status format_copy_run(taper_call *c) { return taper__copy_data(c->out[0], c->args[0].t); }
static taper_status format_copy_vjp(taper_vjp *v) {
    v->d[0] = v->grad[0];
    return TAPER_OK;
}
static const taper_kernel format_copy_kernels[] = {{"cpu", TAPER_CPU, NULL, format_copy_run}, {"cuda", TAPER_CUDA, NULL, format_copy_run}, {0}};

static taper_status clone_format_infer(taper_call *c) { return taper__out_format(c, 0, (taper_dtype)c->args[0].t->dtype, c->args[0].t, &c->args[1]); }
const taper_op taper_op_clone_format = {
    .infer = clone_format_infer,
    .kernels = format_copy_kernels,
    .vjp = format_copy_vjp,
    .grad_name = "CloneBackward0",
    .samples = (const taper_sample[]){{"[2,3,2,2], memory_format=channels_last"}, {"[2,3], memory_format=preserve_format"}, {"[2,3], memory_format=contiguous_format"},
                                      {"[2,3], memory_format=channels_last_3d", .error = "required rank 5 tensor"}, {0}},
};

static taper_status contiguous_format_infer(taper_call *c) {
    taper_tensor *self = c->args[0].t;
    const char *format = c->args[1].s;
    if (!strcmp(format, "preserve_format"))
        return TAPER_FAIL(TAPER_RUNTIME, "preserve memory format is unsupported by the contiguous operator");
    bool same = !strcmp(format, "contiguous_format") ? self->contiguous
                                                     : self->ndim == (!strcmp(format, "channels_last") ? 4 : 5) && taper__is_channels_last(self->ndim, self->shape, self->strides);
    if (same) return taper__out_same(c, 0, self);
    return taper__out_format(c, 0, (taper_dtype)self->dtype, self, &c->args[1]);
}
const taper_op taper_op_contiguous_format = {
    .infer = contiguous_format_infer,
    .kernels = format_copy_kernels,
    .vjp = format_copy_vjp,
    .grad_name = "CloneBackward0",
    .samples = (const taper_sample[]){{"[2,3,2,2], channels_last"}, {"[2,3], contiguous_format"}, {"[1,2,2,1,3], channels_last_3d"}, {"[2,3], preserve_format", .error = "unsupported"}, {0}},
};
