/* Tensors out of nothing: empty, zeros, ones, full, their *_like forms, fill_ and zero_. */
#include "ops/op.h"

typedef struct fill_job {
    taper_tensor *t;
    char element[8];
} fill_job;

static void fill_range(void *ctx, int64_t begin, int64_t end) {
    const fill_job *job = ctx;
    taper_dtype dtype = (taper_dtype)job->t->dtype;
    int64_t e = (int64_t)taper_dtype_size(dtype), zero = 0;
    char *p = (char *)taper__data(job->t) + begin * e;
    if (!memcmp(job->element, &zero, (size_t)e))
        memset(p, 0, (size_t)((end - begin) * e));
    else
        taper__convert(p, dtype, 1, job->element, dtype, 0, end - begin);
}

taper_status taper__fill_data(taper_tensor *t, taper_scalar value) {
    fill_job job = {t, {0}};
    if (value.kind == TAPER_ARG_FLOAT)
        taper__store_double(job.element, (taper_dtype)t->dtype, value.f);
    else
        taper__store_int(job.element, (taper_dtype)t->dtype, value.i);
    if (t->contiguous || taper__is_dense(t->ndim, t->shape, t->strides)) {
        taper__parallel_for(t->numel, 65536, fill_range, &job);
        return TAPER_OK;
    }
    taper_tensor *one = NULL; /* strided: copy a repeated element */
    TAPER_TRY(taper_tensor_from_data(&one, job.element, (taper_dtype)t->dtype, 0, NULL));
    taper_status st = taper__copy_data(t, one);
    taper_tensor_release(one);
    return st;
}

static taper_status create_run(taper_call *c, taper_scalar value) {
    return c->device.type == TAPER_CPU ? taper__fill_data(c->out[0], value) : taper__fill_cuda(c->out[0], value);
}
static taper_status zero_run(taper_call *c) { return create_run(c, taper_int(0)); }
static taper_status one_run(taper_call *c) { return create_run(c, taper_int(1)); }
static taper_status full_run(taper_call *c) { return create_run(c, taper_arg_scalar(&c->args[1])); }
static taper_status empty_run(taper_call *c) {
    (void)c;
    return TAPER_OK;
}
static const taper_kernel empty_kernels[] = {{"cpu", TAPER_CPU, NULL, empty_run}, {"cuda", TAPER_CUDA, NULL, empty_run}, {0}};
static const taper_kernel zero_kernels[] = {{"cpu", TAPER_CPU, NULL, zero_run}, {"cuda", TAPER_CUDA, NULL, zero_run}, {0}};
static const taper_kernel one_kernels[] = {{"cpu", TAPER_CPU, NULL, one_run}, {"cuda", TAPER_CUDA, NULL, one_run}, {0}};
static const taper_kernel full_kernels[] = {{"cpu", TAPER_CPU, NULL, full_run}, {"cuda", TAPER_CUDA, NULL, full_run}, {0}};

/* ---- of a given size ---- */

static taper_status create_result(taper_call *c, taper_dtype dtype, const taper_arg *device, const int64_t *strides) {
    int64_t n;
    const taper_arg *size = &c->args[0];
    TAPER_TRY(taper__shape_numel(&n, size->count, size->is, c->row->name));
    c->device = device->kind == TAPER_ARG_DEVICE ? device->device : taper_cpu();
    return taper__out_strided(c, 0, dtype, size->count, size->is, strides);
}
static taper_dtype create_dtype(const taper_arg *a) { return a->kind == TAPER_ARG_DTYPE ? a->dtype : taper_default_dtype(); }

static taper_status empty_infer(taper_call *c) { return create_result(c, create_dtype(&c->args[1]), &c->args[2], NULL); }

const taper_op taper_op_empty = {
    .infer = empty_infer,
    .kernels = empty_kernels,
    .samples = (const taper_sample[]){{"(2,3)", .unspecified = true}, {"(2,-3)", .error = "negative dimension"}, {0}},
};
const taper_op taper_op_zeros = {
    .infer = empty_infer, .kernels = zero_kernels, .samples = (const taper_sample[]){{"(2,3)"}, {"(), dtype=int64"}, {"(0,2)"}, {"(2,-3)", .error = "negative dimension"}, {0}}};
const taper_op taper_op_ones = {
    .infer = empty_infer, .kernels = one_kernels, .samples = (const taper_sample[]){{"(2,3)"}, {"(4), dtype=bool"}, {"(2,-3)", .error = "negative dimension"}, {0}}};

static taper_status full_infer(taper_call *c) {
    const taper_arg *v = &c->args[1];
    taper_dtype dtype = c->args[2].kind == TAPER_ARG_DTYPE ? c->args[2].dtype
                        : v->kind == TAPER_ARG_FLOAT       ? taper_default_dtype()
                        : v->kind == TAPER_ARG_BOOL        ? TAPER_BOOL
                                                           : TAPER_I64;
    return create_result(c, dtype, &c->args[3], NULL);
}
const taper_op taper_op_full = {
    .infer = full_infer,
    .kernels = full_kernels,
    .samples = (const taper_sample[]){{"(2,3), 1.5"}, {"(), 2"}, {"(4), true, dtype=int32"}, {0}},
};

static taper_status scalar_tensor_infer(taper_call *c) {
    c->device = c->args[2].kind == TAPER_ARG_DEVICE ? c->args[2].device : taper_cpu();
    return taper__out(c, 0, create_dtype(&c->args[1]), 0, NULL);
}
static taper_status scalar_tensor_run(taper_call *c) { return create_run(c, taper_arg_scalar(&c->args[0])); }
static const taper_kernel scalar_tensor_kernels[] = {{"cpu", TAPER_CPU, NULL, scalar_tensor_run}, {"cuda", TAPER_CUDA, NULL, scalar_tensor_run}, {0}};
const taper_op taper_op_scalar_tensor = {
    .infer = scalar_tensor_infer, .kernels = scalar_tensor_kernels, .samples = (const taper_sample[]){{"2"}, {"1.5, dtype=float64"}, {"true, dtype=bool"}, {0}}};

static taper_status empty_strided_infer(taper_call *c) {
    const taper_arg *size = &c->args[0], *stride = &c->args[1];
    if (size->count != stride->count)
        return TAPER_FAIL(TAPER_RUNTIME, "empty_strided: mismatch in length of strides and shape: %s and %s", taper__shape_text(size->count, size->is).s,
                          taper__shape_text(stride->count, stride->is).s);
    int64_t last = 0;
    for (int d = 0; d < size->count; d++) {
        if (stride->is[d] < 0) return TAPER_FAIL(TAPER_RUNTIME, "empty_strided: negative strides are not supported, got %s", taper__shape_text(stride->count, stride->is).s);
        last += (size->is[d] - 1) * stride->is[d];
    }
    TAPER_TRY(create_result(c, create_dtype(&c->args[2]), &c->args[3], stride->is));
    taper_tensor *t = c->out[0];
    if (c->device.type == TAPER_META || !t->numel) return TAPER_OK;
    return taper__storage_new(&t->storage, (size_t)(last + 1) * taper_dtype_size((taper_dtype)t->dtype), t->device, "empty_strided");
}
const taper_op taper_op_empty_strided = {
    .infer = empty_strided_infer,
    .kernels = empty_kernels,
    .samples = (const taper_sample[]){{"(2,3), (1,2)", .unspecified = true}, {"(2,3), (6,2)", .unspecified = true}, {"(2), (1,2)", .error = "mismatch in length"}, {0}}};

/* ---- like another tensor ---- */

static taper_status like_result(taper_call *c, int dtype, int device, int format) {
    const taper_tensor *self = c->args[0].t;
    c->device = c->args[device].kind == TAPER_ARG_DEVICE ? c->args[device].device : self->device;
    return taper__out_format(c, 0, c->args[dtype].kind == TAPER_ARG_DTYPE ? c->args[dtype].dtype : (taper_dtype)self->dtype, self, &c->args[format]);
}
static taper_status like_infer(taper_call *c) { return like_result(c, 1, 2, 3); }
static taper_status full_like_infer(taper_call *c) { return like_result(c, 2, 3, 4); }
const taper_op taper_op_empty_like = {
    .infer = like_infer,
    .kernels = empty_kernels,
    .samples = (const taper_sample[]){{"[2,3]", .unspecified = true}, {"[2,3], dtype=int32", .unspecified = true}, {"[2,3,2,2], memory_format=channels_last", .unspecified = true},
                                      {"[2,3], memory_format=channels_last", .error = "required rank 4 tensor"}, {0}}};
const taper_op taper_op_zeros_like = {
    .infer = like_infer, .kernels = zero_kernels, .samples = (const taper_sample[]){{"[2,3]"}, {"[0]"}, {"[2,3,1,2], dtype=bool, memory_format=channels_last"}, {0}}};
const taper_op taper_op_ones_like = {.infer = like_infer, .kernels = one_kernels, .samples = (const taper_sample[]){{"[2,3]"}, {"[], dtype=float64"}, {0}}};
const taper_op taper_op_full_like = {
    .infer = full_like_infer, .kernels = full_kernels, .samples = (const taper_sample[]){{"[2,3], 1.5"}, {"[4]:i64, 7"}, {"[4], true, dtype=int32"}, {0}}};

/* ---- in place ---- */

static taper_status fill__infer(taper_call *c) { return taper__out_like(c, 0, (taper_dtype)c->args[0].t->dtype, c->args[0].t); }
static taper_status fill__vjp(taper_vjp *v) { /* nothing of self is left */
    (void)v;
    return TAPER_OK;
}
const taper_op taper_op_fill_ = {
    .infer = fill__infer,
    .kernels = full_kernels,
    .vjp = fill__vjp,
    .mutates = true,
    .pointwise = true,
    .samples = (const taper_sample[]){{"[2,3], 1.5"}, {"[4], 2"}, {0}},
};
const taper_op taper_op_zero_ = {
    .infer = fill__infer, .kernels = zero_kernels, .vjp = fill__vjp, .mutates = true, .pointwise = true, .samples = (const taper_sample[]){{"[2,3]"}, {"[0]"}, {0}}};

static taper_status fill__tensor_infer(taper_call *c) {
    const taper_tensor *value = TAPER_ARG_T(c, 1);
    if (value && value->ndim)
        return TAPER_FAIL(TAPER_RUNTIME, "fill_ only supports 0-dimension value tensor but got tensor with %d dimensions, shape %s.", value->ndim, TAPER_SHAPE(value));
    c->device = c->args[0].t->device;
    return fill__infer(c);
}
static taper_status fill__tensor_run(taper_call *c) { return c->args[1].kind == TAPER_ARG_TENSOR ? taper__copy_data(c->out[0], c->args[1].t) : full_run(c); }
static const taper_kernel fill__tensor_kernels[] = {{"cpu", TAPER_CPU, NULL, fill__tensor_run}, {"cuda", TAPER_CUDA, NULL, fill__tensor_run}, {0}};
static taper_status fill__tensor_vjp(taper_vjp *v) {
    if (v->need[1]) v->d[1] = taper__sum_to(v->scope, v->grad[0], v->args[1].t);
    return v->scope->status;
}
const taper_op taper_op_fill__tensor = {
    .infer = fill__tensor_infer,
    .kernels = fill__tensor_kernels,
    .vjp = fill__tensor_vjp,
    .mutates = true,
    .pointwise = true,
    .grad_name = "FillBackward1",
    .samples = (const taper_sample[]){{"[2,3], []"}, {"[4], []:f64:nograd"}, {"[2], [2]", .error = "only supports 0-dimension value tensor"}, {0}},
};
