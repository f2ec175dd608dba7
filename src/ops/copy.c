/* copy_, clone, to, contiguous: bytes that move, change dtype, or change device. */
#include "ops/op.h"

typedef struct copy_job {
    taper_iter *it;
    size_t src_bytes, dst_bytes;
} copy_job;

/* Rows of the innermost dim; each converts or moves at once. */
static void copy_rows(void *ctx, int64_t begin, int64_t end) {
    const copy_job *job = ctx;
    const taper_iter *it = job->it;
    int last = it->ndim - 1;
    int64_t inner = it->shape[last];
    for (int64_t row = begin; row < end; row++) {
        int64_t rest = row, at[2] = {0, 0};
        for (int d = last - 1; d >= 0; d--) {
            int64_t i = rest % it->shape[d];
            rest /= it->shape[d];
            at[0] += i * it->strides[0][d];
            at[1] += i * it->strides[1][d];
        }
        taper__convert((char *)it->data[0] + at[0] * (int64_t)job->dst_bytes, it->dtype[0], it->strides[0][last],
                       (char *)it->data[1] + at[1] * (int64_t)job->src_bytes, it->dtype[1], it->strides[1][last], inner);
    }
}

static void copy_flat(void *ctx, int64_t begin, int64_t end) {
    const copy_job *job = ctx;
    const taper_iter *it = job->it;
    taper__convert((char *)it->data[0] + begin * (int64_t)job->dst_bytes, it->dtype[0], 1,
                   (char *)it->data[1] + begin * it->strides[1][0] * (int64_t)job->src_bytes, it->dtype[1], it->strides[1][0],
                   end - begin);
}

static taper_status copy_host(taper_tensor *dst, const taper_tensor *src) {
    taper_iter it;
    taper_tensor *in[1] = {(taper_tensor *)src};
    taper__iter_init(&it, dst, in, 1);
    copy_job job = {&it, taper_dtype_size(it.dtype[1]), taper_dtype_size(it.dtype[0])};
    if (it.ndim == 1 && it.strides[0][0] == 1) {
        taper__parallel_for(it.shape[0], 65536, copy_flat, &job);
        return TAPER_OK;
    }
    int64_t inner = it.shape[it.ndim - 1];
    taper__parallel_for(it.numel / inner, 1 + 32768 / inner, copy_rows, &job);
    return TAPER_OK;
}

/* Between devices the bytes travel contiguous and in the source's dtype; a conversion runs where the target lives. */
static taper_status copy_across(taper_tensor *dst, const taper_tensor *src) {
    taper_status st = TAPER_OK;
    taper_tensor *packed = NULL, *landed = NULL;
    const taper_tensor *from = src;
    bool direct = dst->dtype == src->dtype && dst->contiguous && dst->numel == src->numel;
    if (!src->contiguous) {
        TAPER_TRY_GOTO(taper__tensor_empty(&packed, (taper_dtype)src->dtype, src->device, src->ndim, src->shape, "copy_"));
        TAPER_TRY_GOTO(taper__copy_data(packed, src));
        from = packed;
    }
    taper_tensor *to = dst;
    if (!direct) {
        TAPER_TRY_GOTO(taper__tensor_empty(&landed, (taper_dtype)src->dtype, dst->device, src->ndim, src->shape, "copy_"));
        to = landed;
    }
    TAPER_TRY_GOTO(taper__memory_copy(taper__data(to), to->device, taper__data(from), from->device,
                                      (size_t)from->numel * taper_dtype_size((taper_dtype)from->dtype), false));
    if (!direct) TAPER_TRY_GOTO(taper__copy_data(dst, landed));
out:
    taper_tensor_release(packed);
    taper_tensor_release(landed);
    return st;
}

taper_status taper__copy_data(taper_tensor *dst, const taper_tensor *src) {
    if (!dst->numel || dst->device.type == TAPER_META) return TAPER_OK;
    if (src->device.type == TAPER_META) return TAPER_FAIL(TAPER_NOT_IMPLEMENTED, "Cannot copy out of meta tensor; no data!");
    if (!taper_device_equal(dst->device, src->device)) return copy_across(dst, src);
    if (dst->dtype == src->dtype && dst->contiguous && src->contiguous && dst->numel == src->numel &&
        (dst->device.type != TAPER_CPU || dst->numel < 65536))
        return taper__memory_copy(taper__data(dst), dst->device, taper__data(src), src->device,
                                  (size_t)dst->numel * taper_dtype_size((taper_dtype)dst->dtype), true);
    if (dst->device.type == TAPER_CPU) return copy_host(dst, src);
    return taper__copy_cuda(dst, src);
}

static taper_status copy__infer(taper_call *c) {
    taper_tensor *self = c->args[0].t, *src = TAPER_ARG_T(c, 1);
    int ndim;
    int64_t shape[TAPER_MAX_DIMS];
    taper_tensor *both[2] = {self, src};
    if (!src) return TAPER_FAIL(TAPER_TYPE, "copy_: argument 'src' must be a tensor, got a number for %s", TAPER_TEXT(self));
    c->device = self->device;
    TAPER_TRY(taper__broadcast(&ndim, shape, both, 2, "copy_"));
    TAPER_TRY(taper__out_strided(c, 0, (taper_dtype)self->dtype, ndim, shape, NULL));
    return TAPER_OK;
}

static taper_status copy__run(taper_call *c) { return taper__copy_data(c->out[0], c->args[1].t); }

static taper_status copy__vjp(taper_vjp *v) { /* what was in self is gone: its gradient is zero */
    if (v->need[1]) v->d[1] = taper__sum_to(v->scope, v->grad[0], v->args[1].t);
    return v->scope->status;
}

static const taper_kernel copy__kernels[] = {
    {"cpu", TAPER_CPU, NULL, copy__run}, {"cuda", TAPER_CUDA, NULL, copy__run}, {0}};

const taper_op taper_op_copy_ = {
    .infer = copy__infer,
    .kernels = copy__kernels,
    .vjp = copy__vjp,
    .mutates = true,
    .pointwise = true,
    .grad_name = "CopyBackwards",
    .samples = (const taper_sample[]){{"[2,3], [2,3]"},
                                      {"[2,3], [3]"},
                                      {"[2,3], [2,3]:f64"},
                                      {"[2,3], [4]", .error = "must match the size"},
                                      {0}},
};

static taper_status clone_infer(taper_call *c) {
    return taper__out_like(c, 0, (taper_dtype)c->args[0].t->dtype, c->args[0].t);
}
static taper_status clone_run(taper_call *c) { return taper__copy_data(c->out[0], c->args[0].t); }
static taper_status clone_vjp(taper_vjp *v) {
    v->d[0] = v->grad[0];
    return TAPER_OK;
}
static const taper_kernel clone_kernels[] = {
    {"cpu", TAPER_CPU, NULL, clone_run}, {"cuda", TAPER_CUDA, NULL, clone_run}, {0}};
const taper_op taper_op_clone = {
    .infer = clone_infer,
    .kernels = clone_kernels,
    .vjp = clone_vjp,
    .samples = (const taper_sample[]){{"[2,3]"}, {"[]"}, {"[0,4]"}, {0}},
};

static taper_status to_infer(taper_call *c) {
    taper_tensor *self = c->args[0].t;
    taper_dtype dtype = c->args[2].kind == TAPER_ARG_DTYPE ? c->args[2].dtype : (taper_dtype)self->dtype;
    taper_device device = c->args[1].kind == TAPER_ARG_DEVICE ? c->args[1].device : self->device;
    if (dtype == self->dtype && taper_device_equal(device, self->device) && !c->args[4].i)
        return taper__out_same(c, 0, self);
    TAPER_TRY(taper__out_like(c, 0, dtype, self));
    c->out[0]->device = device;
    /* The kernel runs on the GPU side of the pair, or where both are. */
    c->device = device.type == TAPER_META ? device : self->device.type == TAPER_META ? self->device : device;
    if (self->device.type == TAPER_META && device.type != TAPER_META)
        return TAPER_FAIL(TAPER_NOT_IMPLEMENTED, "Cannot copy out of meta tensor; no data! Please use torch.nn.Module.to_empty() "
                                                 "instead of torch.nn.Module.to() when moving module from meta to a different device.");
    return TAPER_OK;
}
static taper_status to_vjp(taper_vjp *v) {
    taper_device device = v->args[0].t->device;
    v->d[0] = tx_to(v->scope, v->grad[0], &device, (taper_dtype)v->args[0].t->dtype, false, false);
    return v->scope->status;
}
const taper_op taper_op_to = {
    .infer = to_infer,
    .kernels = clone_kernels,
    .vjp = to_vjp,
    .grad_name = "ToCopyBackward0",
    .samples = (const taper_sample[]){{"[2,3], dtype=float64"}, {"[2,3], dtype=float32"}, {"[2,3], device=cpu, copy=true"}, {0}},
};

static taper_status contiguous_infer(taper_call *c) {
    taper_tensor *self = c->args[0].t;
    if (self->contiguous) return taper__out_same(c, 0, self);
    return taper__out(c, 0, (taper_dtype)self->dtype, self->ndim, self->shape);
}
const taper_op taper_op_contiguous = {
    .infer = contiguous_infer,
    .kernels = clone_kernels,
    .vjp = clone_vjp,
    .grad_name = "CloneBackward0",
    .samples = (const taper_sample[]){{"[2,3]"}, {"[3,2,4]"}, {0}},
};
