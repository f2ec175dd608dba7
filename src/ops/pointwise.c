/* Loops over broadcast operands of any stride and dtype: blocks of operands pass through L1 in one compute type. */
#include "ops/op.h"

/* Elements a thread is worth waking for. */
enum { POINTWISE_GRAIN = 32768 };

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

/* Where an operand's elements are for one block: in place, or converted or repeated into its buffer. */
static inline const void *pointwise_operand(const pointwise_job *job, int k, const char *p, int64_t stride, int64_t n, char *buffer,
                                            const void **filled) {
    taper_dtype dtype = job->it->dtype[k];
    if (dtype == job->compute && (stride == 1 || n == 1)) return p;
    if (stride == 0) {
        if (*filled != p) taper__convert(buffer, job->compute, 1, p, dtype, 0, TAPER_BLOCK);
        *filled = p;
    } else {
        taper__convert(buffer, job->compute, 1, p, dtype, stride, n);
        *filled = NULL;
    }
    return buffer;
}

/* Rows of the innermost dim, cut into blocks. */
static void pointwise_range(void *ctx, int64_t begin, int64_t end) {
    const pointwise_job *job = ctx;
    const taper_iter *it = job->it;
    _Alignas(64) char buffer[TAPER_ITER_OPERANDS][TAPER_BLOCK * 8];
    const void *filled[TAPER_ITER_OPERANDS] = {NULL}; /* the element a repeated operand's buffer holds */
    const void *in[TAPER_ITER_OPERANDS] = {NULL};
    int last = it->ndim - 1;
    int64_t index[TAPER_MAX_DIMS], rest = begin, size[TAPER_ITER_OPERANDS], step[TAPER_ITER_OPERANDS];
    char *at[TAPER_ITER_OPERANDS];
    for (int k = 0; k < it->count; k++) {
        size[k] = (int64_t)taper_dtype_size(it->dtype[k]);
        step[k] = it->strides[k][last] * size[k];
        at[k] = it->data[k];
    }
    for (int d = last; d >= 0; d--) {
        index[d] = rest % it->shape[d];
        rest /= it->shape[d];
        for (int k = 0; k < it->count; k++) at[k] += index[d] * it->strides[k][d] * size[k];
    }
    bool direct = it->dtype[0] == job->result && it->strides[0][last] == 1;
    while (begin < end) {
        int64_t n = it->shape[last] - index[last];
        if (n > end - begin) n = end - begin;
        if (n > TAPER_BLOCK) n = TAPER_BLOCK;
        for (int k = 1; k < it->count; k++)
            in[k - 1] = pointwise_operand(job, k, at[k], it->strides[k][last], n, buffer[k], &filled[k]);
        job->fn(direct ? (void *)at[0] : (void *)buffer[0], in, n, job->params);
        if (!direct) taper__convert(at[0], it->dtype[0], it->strides[0][last], buffer[0], job->result, 1, n);
        begin += n;
        index[last] += n;
        for (int k = 0; k < it->count; k++) at[k] += n * step[k];
        for (int d = last; d > 0 && index[d] == it->shape[d]; d--) {
            index[d] = 0;
            index[d - 1]++;
            for (int k = 0; k < it->count; k++)
                at[k] += (it->strides[k][d - 1] - it->shape[d] * it->strides[k][d]) * size[k];
        }
    }
}

/* Everything flat and in the compute type: one stretch of the loop. */
static void pointwise_stretch(void *ctx, int64_t begin, int64_t end) {
    const pointwise_job *job = ctx;
    const taper_iter *it = job->it;
    const void *in[TAPER_ITER_OPERANDS] = {NULL};
    int64_t size = (int64_t)taper_dtype_size(job->compute);
    for (int k = 1; k < it->count; k++) in[k - 1] = (const char *)it->data[k] + begin * size;
    job->fn((char *)it->data[0] + begin * (int64_t)taper_dtype_size(job->result), in, end - begin, job->params);
}

taper_status taper__pointwise_run(taper_iter *it, taper_compute compute, bool predicate, taper_block_fn fn,
                                  const double *params) {
    if (it->numel == 0) return TAPER_OK;
    taper_dtype dtype = pointwise_dtype[compute];
    pointwise_job job = {it, dtype, predicate ? TAPER_BOOL : dtype, fn, params};
    bool flat = it->ndim == 1 && it->dtype[0] == job.result && (it->strides[0][0] == 1 || it->numel == 1);
    for (int k = 1; k < it->count; k++) flat = flat && it->dtype[k] == dtype && (it->strides[k][0] == 1 || it->numel == 1);
    taper__parallel_for(it->numel, POINTWISE_GRAIN, flat ? pointwise_stretch : pointwise_range, &job);
    return TAPER_OK;
}
