/* embedding: rows of a table, and the gradient of the table. */
#include "ops/embedding.h"

static taper_status embedding_infer(taper_call *c) {
    const taper_tensor *w = c->args[0].t, *i = c->args[1].t;
    int64_t shape[TAPER_MAX_DIMS];
    if (w->ndim != 2) return TAPER_FAIL(TAPER_RUNTIME, "'weight' must be 2-D, got %s", TAPER_TEXT(w));
    if (i->dtype != TAPER_I64 && i->dtype != TAPER_I32)
        return TAPER_FAIL(TAPER_RUNTIME, "Expected tensor for argument #1 'indices' to have one of the following scalar types: Long, Int; but got %s instead",
                          taper_dtype_typename((taper_dtype)i->dtype));
    if (i->ndim == TAPER_MAX_DIMS) return TAPER_FAIL(TAPER_VALUE, "embedding: at most %d dims, got %s", TAPER_MAX_DIMS - 1, TAPER_SHAPE(i));
    memcpy(shape, i->shape, sizeof shape);
    shape[i->ndim] = w->shape[1];
    return taper__out(c, 0, (taper_dtype)w->dtype, i->ndim + 1, shape);
}

typedef struct embedding_job {
    const taper_tensor *w, *index;
    char *out;
    int64_t row;
} embedding_job;

static void embedding_range(void *ctx, int64_t begin, int64_t end) {
    const embedding_job *j = ctx;
    size_t e = taper_dtype_size((taper_dtype)j->index->dtype);
    for (int64_t i = begin; i < end; i++) {
        int64_t k = taper__load_int((const char *)taper__data(j->index) + i * (int64_t)e, (taper_dtype)j->index->dtype);
        memcpy(j->out + i * j->row, (const char *)taper__data(j->w) + k * j->row, (size_t)j->row);
    }
}

static taper_status embedding_cpu(taper_call *c) {
    const taper_tensor *w = c->args[0].t, *index = c->args[1].t;
    size_t e = taper_dtype_size((taper_dtype)index->dtype);
    for (int64_t i = 0; i < index->numel; i++) {
        int64_t k = taper__load_int((const char *)taper__data(index) + i * (int64_t)e, (taper_dtype)index->dtype);
        if (k < 0 || k >= w->shape[0])
            return TAPER_FAIL(TAPER_INDEX, "index out of range in self (index %lld, %lld embeddings)", (long long)k, (long long)w->shape[0]);
    }
    embedding_job j = {w, index, taper__data(c->out[0]), w->shape[1] * (int64_t)taper_dtype_size((taper_dtype)w->dtype)};
    taper__parallel_for(index->numel, 1 + 65536 / (j.row + 1), embedding_range, &j);
    return TAPER_OK;
}
static const taper_kernel embedding_kernels[] = {{"cpu", TAPER_CPU, NULL, embedding_cpu}, {"cuda", TAPER_CUDA, NULL, taper__embedding_cuda}, {0}};
static taper_status embedding_vjp(taper_vjp *v) {
    v->d[0] = tx_embedding_dense_backward(v->scope, v->grad[0], v->args[1].t, v->args[0].t->shape[0], v->args[2].i, v->args[3].i);
    return v->scope->status;
}
const taper_op taper_op_embedding = {
    .infer = embedding_infer,
    .kernels = embedding_kernels,
    .vjp = embedding_vjp,
    .saves = TAPER_SAVE_ARG(1),
    .contiguous = 3,
    .samples = (const taper_sample[]){{"[5,3], [4]:i64<5"}, {"[5,3], [2,3]:i64<5, 2", .no_grad_check = true /* row 2 gets no gradient by contract */}, {"[5,3], [0]:i64<5"}, {"[5], [2]:i64<5", .error = "must be 2-D"}, {0}},
};

static taper_status embedding_dense_backward_infer(taper_call *c) {
    const taper_tensor *g = c->args[0].t;
    int64_t shape[2] = {c->args[2].i, g->ndim ? g->shape[g->ndim - 1] : 1};
    return taper__out(c, 0, (taper_dtype)g->dtype, 2, shape);
}

/* Threads own rows of the table, not positions, so each row adds its gradients in the order of indices. */
typedef struct scatter_rows {
    const taper_tensor *g, *index;
    taper_tensor *out;
    int64_t padding;
    const int64_t *counts;
} scatter_rows;

static void scatter_range(void *ctx, int64_t begin, int64_t end) {
    const scatter_rows *j = ctx;
    size_t e = taper_dtype_size((taper_dtype)j->index->dtype);
    int64_t width = j->out->shape[1];
    bool wide = j->out->dtype == TAPER_F64;
    memset((char *)taper__data(j->out) + begin * width * (wide ? 8 : 4), 0, (size_t)((end - begin) * width * (wide ? 8 : 4)));
    for (int64_t i = 0; i < j->index->numel; i++) {
        int64_t k = taper__load_int((const char *)taper__data(j->index) + i * (int64_t)e, (taper_dtype)j->index->dtype);
        if (k < begin || k >= end || k == j->padding) continue;
        double scale = j->counts ? 1.0 / (double)j->counts[k] : 1;
        if (wide) {
            double *o = (double *)taper__data(j->out) + k * width;
            const double *g = (const double *)taper__data(j->g) + i * width;
            for (int64_t d = 0; d < width; d++) o[d] += g[d] * scale;
        } else {
            float *o = (float *)taper__data(j->out) + k * width;
            const float *g = (const float *)taper__data(j->g) + i * width;
            for (int64_t d = 0; d < width; d++) o[d] += g[d] * (float)scale;
        }
    }
}

static taper_status embedding_dense_backward_cpu(taper_call *c) {
    scatter_rows j = {c->args[0].t, c->args[1].t, c->out[0], c->args[3].i, NULL};
    int64_t rows = c->args[2].i, *counts = NULL;
    if (c->args[4].i) {
        size_t e = taper_dtype_size((taper_dtype)j.index->dtype);
        counts = taper__alloc_zero(sizeof *counts * (size_t)(rows + 1));
        if (!counts) return TAPER_FAIL(TAPER_MEMORY, "embedding_dense_backward: no memory for %lld counts", (long long)rows);
        for (int64_t i = 0; i < j.index->numel; i++) counts[taper__load_int((const char *)taper__data(j.index) + i * (int64_t)e, (taper_dtype)j.index->dtype)]++;
        j.counts = counts;
    }
    taper__parallel_for(rows, rows / 16 + 1, scatter_range, &j);
    taper__free(counts);
    return TAPER_OK;
}
static const taper_kernel embedding_dense_backward_kernels[] = {{"cpu", TAPER_CPU, NULL, embedding_dense_backward_cpu}, {"cuda", TAPER_CUDA, NULL, taper__embedding_dense_backward_cuda}, {0}};
static taper_status embedding_dense_backward_vjp(taper_vjp *v) {
    taper_scope *s = v->scope;
    taper_tensor *g = tx_embedding(s, v->grad[0], v->args[1].t, -1, false, false);
    if (v->args[4].i) return TAPER_FAIL(TAPER_NOT_IMPLEMENTED, "embedding_dense_backward: no second derivative with scale_grad_by_freq");
    if (v->args[3].i >= 0 && g) { /* padding rows passed nothing on */
        taper_scalar padding = taper_int(v->args[3].i);
        taper_tensor *pad = NULL, *same = tx_full(s, NULL, 0, padding, TAPER_I64, &v->args[1].t->device);
        if (same && s->status == TAPER_OK) s->status = taper_ne(&pad, v->args[1].t, same);
        pad = taper_scope_own(s, pad);
        g = tx_mul(s, g, tx_unsqueeze(s, tx_to(s, pad, NULL, (taper_dtype)g->dtype, false, false), -1));
    }
    v->d[0] = g;
    return s->status;
}
const taper_op taper_op_embedding_dense_backward = {
    .infer = embedding_dense_backward_infer,
    .kernels = embedding_dense_backward_kernels,
    .vjp = embedding_dense_backward_vjp,
    .saves = TAPER_SAVE_ARG(1),
    .contiguous = 3,
    .upcast = true,
    .samples = (const taper_sample[]){{"[4,3], [4]:i64<5, 5, -1, false"}, {"[2,3,4], [2,3]:i64<5, 5, 1, false"},
                                      {"[700,384], [700]:i64<65, 65, 3, false", .tolerance = 1e-4, .large = true},
                                      {"[700,384], [700]:i64<65, 65, -1, true", .tolerance = 1e-4, .large = true, .no_grad_check = true /* it has no derivative */}, {0}},
};
