/* Tensors out of nothing: empty, full, fill_. */
#include "ops/op.h"

static taper_status create_result(taper_call *c, taper_dtype dtype, const taper_arg *device) {
    int64_t n;
    const taper_arg *size = &c->args[0];
    TAPER_TRY(taper__shape_numel(&n, size->count, size->is, c->row->name));
    c->device = device->kind == TAPER_ARG_DEVICE ? device->device : taper_cpu();
    return taper__out(c, 0, dtype, size->count, size->is);
}

static taper_status empty_infer(taper_call *c) {
    return create_result(c, c->args[1].kind == TAPER_ARG_DTYPE ? c->args[1].dtype : taper_default_dtype(), &c->args[2]);
}
static taper_status empty_run(taper_call *c) {
    (void)c;
    return TAPER_OK;
}
static const taper_kernel empty_kernels[] = {{"cpu", TAPER_CPU, NULL, empty_run}, {"cuda", TAPER_CUDA, NULL, empty_run}, {0}};
const taper_op taper_op_empty = {
    .infer = empty_infer,
    .kernels = empty_kernels,
    .samples = (const taper_sample[]){{"(2,3)", .unspecified = true}, {"(2,-3)", .error = "negative dimension"}, {0}},
};

static taper_status full_infer(taper_call *c) {
    const taper_arg *v = &c->args[1];
    taper_dtype dtype = c->args[2].kind == TAPER_ARG_DTYPE ? c->args[2].dtype
                        : v->kind == TAPER_ARG_FLOAT       ? taper_default_dtype()
                        : v->kind == TAPER_ARG_BOOL        ? TAPER_BOOL
                                                           : TAPER_I64;
    return create_result(c, dtype, &c->args[3]);
}

typedef struct fill_job {
    taper_tensor *t;
    char element[8];
} fill_job;

static void fill_range(void *ctx, int64_t begin, int64_t end) {
    const fill_job *job = ctx;
    size_t e = taper_dtype_size((taper_dtype)job->t->dtype);
    taper__convert((char *)taper__data(job->t) + begin * (int64_t)e, (taper_dtype)job->t->dtype, 1, job->element,
                   (taper_dtype)job->t->dtype, 0, end - begin);
}

static taper_status fill_data(taper_tensor *t, const taper_arg *value) {
    fill_job job = {t, {0}};
    if (value->kind == TAPER_ARG_FLOAT)
        taper__store_double(job.element, (taper_dtype)t->dtype, value->f);
    else
        taper__store_int(job.element, (taper_dtype)t->dtype, value->i);
    if (t->contiguous) {
        taper__parallel_for(t->numel, 65536, fill_range, &job);
        return TAPER_OK;
    }
    taper_tensor *one = NULL; /* strided: copy a repeated element */
    TAPER_TRY(taper_tensor_from_data(&one, job.element, (taper_dtype)t->dtype, 0, NULL));
    taper_status st = taper__copy_data(t, one);
    taper_tensor_release(one);
    return st;
}

static taper_status full_cpu(taper_call *c) { return fill_data(c->out[0], &c->args[1]); }
static taper_status full_cuda(taper_call *c) { return taper__fill_cuda(c->out[0], taper_arg_scalar(&c->args[1])); }
static const taper_kernel full_kernels[] = {{"cpu", TAPER_CPU, NULL, full_cpu}, {"cuda", TAPER_CUDA, NULL, full_cuda}, {0}};
const taper_op taper_op_full = {
    .infer = full_infer,
    .kernels = full_kernels,
    .samples = (const taper_sample[]){{"(2,3), 1.5"}, {"(), 2"}, {"(4), true, dtype=int32"}, {0}},
};

static taper_status fill__infer(taper_call *c) {
    return taper__out_like(c, 0, (taper_dtype)c->args[0].t->dtype, c->args[0].t);
}
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
