/* Shape rules and CPU loops of reductions. */
#include "ops/reduce.h"

taper_status taper__reduce_infer(taper_call *c, int i, taper_dtype dtype, const taper_arg *dims, bool keepdim) {
    const taper_tensor *self = c->args[0].t;
    uint32_t mask;
    int64_t shape[TAPER_MAX_DIMS];
    int n = 0;
    TAPER_TRY(taper__dim_mask(&mask, dims, self->ndim, c->row->name));
    for (int d = 0; d < self->ndim; d++) {
        if (!(mask >> d & 1))
            shape[n++] = self->shape[d];
        else if (keepdim)
            shape[n++] = 1;
    }
    return taper__out(c, i, dtype, n, shape);
}

taper_tensor *taper__reduce_restore(taper_scope *s, taper_tensor *grad, const taper_tensor *self, const taper_arg *dims) {
    uint32_t mask;
    int64_t shape[TAPER_MAX_DIMS];
    if (!grad || grad->ndim == self->ndim) return grad;
    if (s->status == TAPER_OK) s->status = taper__dim_mask(&mask, dims, self->ndim, "reduce");
    if (s->status != TAPER_OK) return NULL;
    for (int d = 0; d < self->ndim; d++) shape[d] = mask >> d & 1 ? 1 : self->shape[d];
    return tx_reshape(s, grad, shape, self->ndim);
}

/* Kept dims outside, reduced dims inside. */
typedef struct reduce_job {
    const taper_tensor *in;
    taper_tensor *out;
    int nkept, ninner;
    int64_t kept_shape[TAPER_MAX_DIMS], kept_stride[TAPER_MAX_DIMS];
    int64_t inner_shape[TAPER_MAX_DIMS], inner_stride[TAPER_MAX_DIMS];
    int64_t inner;
} reduce_job;

static void reduce_range(void *ctx, int64_t begin, int64_t end) {
    const reduce_job *j = ctx;
    taper_dtype from = (taper_dtype)j->in->dtype, to = (taper_dtype)j->out->dtype;
    size_t e = taper_dtype_size(from);
    for (int64_t o = begin; o < end; o++) {
        int64_t rest = o, at = 0, index[TAPER_MAX_DIMS] = {0};
        for (int d = j->nkept - 1; d >= 0; d--) {
            at += rest % j->kept_shape[d] * j->kept_stride[d];
            rest /= j->kept_shape[d];
        }
        double sum = 0;
        int64_t isum = 0;
        const char *p = (const char *)taper__data(j->in) + at * (int64_t)e;
        for (int64_t i = 0; i < j->inner; i++) {
            int64_t off = 0;
            for (int d = 0; d < j->ninner; d++) off += index[d] * j->inner_stride[d];
            if (taper_dtype_is_float(from))
                sum += taper__load_double(p + off * (int64_t)e, from);
            else
                isum += taper__load_int(p + off * (int64_t)e, from);
            for (int d = j->ninner - 1; d >= 0; d--) {
                if (++index[d] < j->inner_shape[d]) break;
                index[d] = 0;
            }
        }
        char *q = (char *)taper__data(j->out) + o * (int64_t)taper_dtype_size(to);
        if (taper_dtype_is_float(from))
            taper__store_double(q, to, sum);
        else
            taper__store_int(q, to, isum);
    }
}

taper_status taper__reduce_cpu(taper_call *c, taper_reduce_kind kind, const taper_arg *dims) {
    (void)kind;
    reduce_job j = {.in = c->args[0].t, .out = c->out[0], .inner = 1};
    uint32_t mask;
    TAPER_TRY(taper__dim_mask(&mask, dims, j.in->ndim, c->row->name));
    for (int d = 0; d < j.in->ndim; d++) {
        if (mask >> d & 1) {
            j.inner_shape[j.ninner] = j.in->shape[d];
            j.inner_stride[j.ninner++] = j.in->strides[d];
            j.inner *= j.in->shape[d];
        } else {
            j.kept_shape[j.nkept] = j.in->shape[d];
            j.kept_stride[j.nkept++] = j.in->strides[d];
        }
    }
    taper__parallel_for(j.out->numel, 1 + 32768 / (j.inner + 1), reduce_range, &j);
    return TAPER_OK;
}
