/* Loops over broadcast operands of any stride and dtype: blocks of operands pass through L1 in one compute type. */
#include "ops/op.h"

void taper__iter_init(taper_iter *it, taper_tensor *out, taper_tensor *const *in, int nin) {
    it->count = nin + 1;
    it->numel = out->numel;
    bool flat = out->contiguous;
    for (int k = 0; k <= nin; k++) {
        const taper_tensor *t = k ? in[k - 1] : out;
        if (!t) continue; /* a number: the caller sets data and dtype */
        it->data[k] = taper__data(t);
        it->dtype[k] = (taper_dtype)t->dtype;
        flat = flat && ((t->contiguous && t->numel == out->numel) || t->numel == 1);
    }
    if (flat) { /* the usual case: everything row-major, or one element repeated */
        it->ndim = 1;
        it->shape[0] = out->numel;
        for (int k = 0; k <= nin; k++) it->strides[k][0] = k && (!in[k - 1] || in[k - 1]->numel == 1) && out->numel != 1 ? 0 : 1;
        return;
    }
    /* Dims by falling stride of the result, so that a permuted result is still walked in memory order. */
    int order[TAPER_MAX_DIMS], n = 0;
    for (int d = 0; d < out->ndim; d++) {
        if (out->shape[d] == 1) continue;
        int at = n++;
        while (at > 0 && out->strides[order[at - 1]] < out->strides[d]) {
            order[at] = order[at - 1];
            at--;
        }
        order[at] = d;
    }
    it->ndim = 0;
    for (int o = 0; o < n; o++) {
        int d = order[o], m = it->ndim;
        it->shape[m] = out->shape[d];
        for (int k = 0; k <= nin; k++) {
            const taper_tensor *t = k ? in[k - 1] : out;
            int at = t ? d - (out->ndim - t->ndim) : -1;
            it->strides[k][m] = at < 0 || t->shape[at] == 1 ? 0 : t->strides[at];
        }
        bool merge = m > 0;
        for (int k = 0; merge && k <= nin; k++)
            merge = it->strides[k][m - 1] == it->strides[k][m] * it->shape[m];
        if (merge) {
            it->shape[m - 1] *= it->shape[m];
            for (int k = 0; k <= nin; k++) it->strides[k][m - 1] = it->strides[k][m];
        } else {
            it->ndim++;
        }
    }
    if (it->ndim == 0) {
        it->ndim = 1;
        it->shape[0] = 1;
        for (int k = 0; k <= nin; k++) it->strides[k][0] = 1;
    }
}

typedef struct pointwise_job {
    taper_iter *it;
    taper_dtype compute, result;
    taper_block_fn fn;
    const double *params;
} pointwise_job;

static const taper_dtype pointwise_dtype[] = {TAPER_F32, TAPER_F64, TAPER_I64};

static void pointwise_range(void *ctx, int64_t begin, int64_t end) {
    const pointwise_job *job = ctx;
    const taper_iter *it = job->it;
    _Alignas(64) char buffer[TAPER_ITER_OPERANDS][TAPER_BLOCK * 8];
    const void *filled[TAPER_ITER_OPERANDS] = {NULL}; /* the element a repeated operand's buffer holds */
    int last = it->ndim - 1;
    int64_t index[TAPER_MAX_DIMS], rest = begin;
    for (int d = last; d >= 0; d--) {
        index[d] = rest % it->shape[d];
        rest /= it->shape[d];
    }
    while (begin < end) {
        int64_t n = it->shape[last] - index[last];
        if (n > end - begin) n = end - begin;
        if (n > TAPER_BLOCK) n = TAPER_BLOCK;
        const void *in[TAPER_ITER_OPERANDS];
        void *out = NULL;
        char *target = NULL;
        for (int k = it->count - 1; k >= 0; k--) {
            int64_t at = 0, stride = it->strides[k][last];
            for (int d = 0; d <= last; d++) at += index[d] * it->strides[k][d];
            char *p = (char *)it->data[k] + at * (int64_t)taper_dtype_size(it->dtype[k]);
            if (k == 0) {
                target = p;
                out = it->dtype[0] == job->result && stride == 1 ? (void *)p : (void *)buffer[0];
            } else if (it->dtype[k] == job->compute && (stride == 1 || n == 1)) {
                in[k - 1] = p;
            } else if (stride == 0) {
                if (filled[k] != p) taper__convert(buffer[k], job->compute, 1, p, it->dtype[k], 0, TAPER_BLOCK);
                filled[k] = p;
                in[k - 1] = buffer[k];
            } else {
                taper__convert(buffer[k], job->compute, 1, p, it->dtype[k], stride, n);
                filled[k] = NULL;
                in[k - 1] = buffer[k];
            }
        }
        job->fn(out, in, n, job->params);
        if (out != target)
            taper__convert(target, it->dtype[0], it->strides[0][last], buffer[0], job->result, 1, n);
        begin += n;
        index[last] += n;
        for (int d = last; d > 0 && index[d] == it->shape[d]; d--) {
            index[d] = 0;
            index[d - 1]++;
        }
    }
}

taper_status taper__pointwise_run(taper_iter *it, taper_compute compute, bool predicate, taper_block_fn fn,
                                  const double *params) {
    if (it->numel == 0) return TAPER_OK;
    taper_dtype dtype = pointwise_dtype[compute];
    pointwise_job job = {it, dtype, predicate ? TAPER_BOOL : dtype, fn, params};
    if (it->numel <= TAPER_BLOCK && it->ndim == 1) { /* small and flat: straight to the loop when nothing needs converting */
        const void *in[TAPER_ITER_OPERANDS];
        bool direct = it->dtype[0] == job.result && (it->strides[0][0] == 1 || it->numel == 1);
        for (int k = 1; k < it->count; k++) {
            direct = direct && it->dtype[k] == dtype && (it->strides[k][0] == 1 || it->numel == 1);
            in[k - 1] = it->data[k];
        }
        if (direct) {
            fn(it->data[0], in, it->numel, params);
            return TAPER_OK;
        }
    }
    taper__parallel_for(it->numel, 32768, pointwise_range, &job);
    return TAPER_OK;
}
