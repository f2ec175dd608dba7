/* sort, argsort, topk along one dim. */
#include <stdlib.h>

#include "ops/sort_cuda.h"

typedef struct sort_key {
    double value; /* exact for every dtype but large int64, which compare by .whole */
    int64_t whole, at;
} sort_key;

static int sort_order(const sort_key *a, const sort_key *b) { /* NaN is largest */
    bool na = a->value != a->value, nb = b->value != b->value;
    if (na || nb) return na - nb;
    if (a->value != b->value) return a->value < b->value ? -1 : 1;
    return a->whole < b->whole ? -1 : a->whole > b->whole;
}
static int sort_up(const void *x, const void *y) {
    const sort_key *a = x, *b = y;
    int o = sort_order(a, b);
    return o ? o : a->at < b->at ? -1 : 1;
}
static int sort_down(const void *x, const void *y) {
    const sort_key *a = x, *b = y;
    int o = sort_order(b, a);
    return o ? o : a->at < b->at ? -1 : 1;
}

typedef struct sort_job {
    const taper_tensor *self;
    taper_tensor *values, *indices; /* values may be NULL */
    int dim;
    int64_t n, keep;
    bool down;
    _Atomic bool failed;
} sort_job;

static int64_t sort_line(const taper_tensor *t, int dim, int64_t line) {
    int64_t at = 0;
    for (int d = t->ndim - 1; d >= 0; d--) {
        if (d == dim) continue;
        at += line % t->shape[d] * t->strides[d];
        line /= t->shape[d];
    }
    return at;
}

static void sort_range(void *ctx, int64_t begin, int64_t end) {
    sort_job *j = ctx;
    taper_dtype dtype = (taper_dtype)j->self->dtype;
    int64_t e = (int64_t)taper_dtype_size(dtype), stride = j->self->ndim ? j->self->strides[j->dim] : 0;
    sort_key *keys = taper__alloc(sizeof *keys * (size_t)(j->n + 1));
    if (!keys) {
        j->failed = true;
        return;
    }
    for (int64_t line = begin; line < end; line++) {
        const char *p = (const char *)taper__data(j->self) + sort_line(j->self, j->dim, line) * e;
        for (int64_t i = 0; i < j->n; i++) {
            const char *q = p + i * stride * e;
            keys[i] = (sort_key){taper__load_double(q, dtype), taper_dtype_is_float(dtype) ? 0 : taper__load_int(q, dtype), i};
        }
        qsort(keys, (size_t)j->n, sizeof *keys, j->down ? sort_down : sort_up);
        taper_tensor *o = j->indices;
        int64_t at = sort_line(o, j->dim, line), step = o->ndim ? o->strides[j->dim] : 0;
        for (int64_t i = 0; i < j->keep; i++) {
            ((int64_t *)taper__data(o))[at + i * step] = keys[i].at;
            if (j->values) memcpy((char *)taper__data(j->values) + (at + i * step) * e, p + keys[i].at * stride * e, (size_t)e);
        }
    }
    taper__free(keys);
}

static taper_status sort_run(taper_call *c, taper_tensor *values, taper_tensor *indices, int64_t dim, int64_t keep, bool down) {
    sort_job j = {.self = c->args[0].t, .values = values, .indices = indices, .keep = keep, .down = down};
    TAPER_TRY(taper__wrap_dim(&j.dim, dim, j.self->ndim, c->row->name));
    j.n = j.self->ndim ? j.self->shape[j.dim] : 1;
    if (indices->numel == 0) return TAPER_OK;
    taper__parallel_for(j.self->numel / j.n, 1 + 4096 / j.n, sort_range, &j);
    return j.failed ? TAPER_FAIL(TAPER_MEMORY, "%s: no memory for %lld keys", c->row->name, (long long)j.n) : TAPER_OK;
}

static taper_status sort_infer(taper_call *c) {
    const taper_tensor *self = c->args[0].t;
    int dim;
    TAPER_TRY(taper__wrap_dim(&dim, c->args[1].i, self->ndim, "sort"));
    TAPER_TRY(taper__out(c, 0, (taper_dtype)self->dtype, self->ndim, self->shape));
    c->nondiff = 2;
    return taper__out(c, 1, TAPER_I64, self->ndim, self->shape);
}
static taper_status sort_cpu(taper_call *c) {
    const taper_tensor *self = c->args[0].t;
    int dim;
    TAPER_TRY(taper__wrap_dim(&dim, c->args[1].i, self->ndim, "sort"));
    return sort_run(c, c->out[0], c->out[1], dim, self->ndim ? self->shape[dim] : 1, c->args[2].i);
}
static taper_status sort_gpu(taper_call *c) {
    const taper_tensor *self = c->args[0].t;
    int dim;
    TAPER_TRY(taper__wrap_dim(&dim, c->args[1].i, self->ndim, "sort"));
    return taper__sort_cuda(self, c->out[0], c->out[1], dim, self->ndim ? self->shape[dim] : 1, c->args[2].i, "sort");
}
static const taper_kernel sort_kernels[] = {{"cpu", TAPER_CPU, NULL, sort_cpu}, {"cuda", TAPER_CUDA, NULL, sort_gpu}, {0}};
static taper_status sort_back(taper_vjp *v, int64_t dim) {
    taper_scope *s = v->scope;
    if (!v->grad[0]) return TAPER_OK;
    v->d[0] = tx_scatter_add(s, taper__zeros_like(s, v->args[0].t), dim, v->out[1], v->grad[0]);
    return s->status;
}
static taper_status sort_vjp(taper_vjp *v) { return sort_back(v, v->args[1].i); }
const taper_op taper_op_sort = {
    .infer = sort_infer,
    .kernels = sort_kernels,
    .vjp = sort_vjp,
    .saves = TAPER_SAVE_OUT(1),
    .samples = (const taper_sample[]){{"[3,5]"}, {"[3,5], 0, true"}, {"[4]:i64<3"}, {"[]"}, {"[0,3]"}, {"[2,2100]:i64<9:nograd, 1, true"}, {"[5000]:nograd", .no_grad_check = true}, {"[3000,2]:i16, 0"}, {"[1500]:i32, -1, true"}, {"[40,33]:nograd, 0"}, {"[3], 2", .error = "Dimension out of range"}, {0}},
};

static taper_status argsort_infer(taper_call *c) {
    const taper_tensor *self = c->args[0].t;
    int dim;
    TAPER_TRY(taper__wrap_dim(&dim, c->args[1].i, self->ndim, "argsort"));
    return taper__out(c, 0, TAPER_I64, self->ndim, self->shape);
}
static taper_status argsort_cpu(taper_call *c) {
    const taper_tensor *self = c->args[0].t;
    int dim;
    TAPER_TRY(taper__wrap_dim(&dim, c->args[1].i, self->ndim, "argsort"));
    return sort_run(c, NULL, c->out[0], dim, self->ndim ? self->shape[dim] : 1, c->args[2].i);
}
static taper_status argsort_gpu(taper_call *c) {
    const taper_tensor *self = c->args[0].t;
    int dim;
    TAPER_TRY(taper__wrap_dim(&dim, c->args[1].i, self->ndim, "argsort"));
    return taper__sort_cuda(self, NULL, c->out[0], dim, self->ndim ? self->shape[dim] : 1, c->args[2].i, "argsort");
}
static const taper_kernel argsort_kernels[] = {{"cpu", TAPER_CPU, NULL, argsort_cpu}, {"cuda", TAPER_CUDA, NULL, argsort_gpu}, {0}};
const taper_op taper_op_argsort = {.infer = argsort_infer, .kernels = argsort_kernels, .samples = (const taper_sample[]){{"[3,5]"}, {"[3,5], 0, true"}, {"[2,2500]:u8"}, {"[70]:bool, 0, true"}, {0}}};

static taper_status topk_infer(taper_call *c) {
    const taper_tensor *self = c->args[0].t;
    int dim;
    int64_t shape[TAPER_MAX_DIMS], k = c->args[1].i;
    TAPER_TRY(taper__wrap_dim(&dim, c->args[2].i, self->ndim, "topk"));
    if (k < 0 || k > (self->ndim ? self->shape[dim] : 1))
        return TAPER_FAIL(TAPER_RUNTIME, "selected index k out of range: k is %lld for %s along dim %d", (long long)k, TAPER_SHAPE(self), dim);
    memcpy(shape, self->shape, sizeof shape);
    if (self->ndim) shape[dim] = k;
    TAPER_TRY(taper__out(c, 0, (taper_dtype)self->dtype, self->ndim, shape));
    c->nondiff = 2;
    return taper__out(c, 1, TAPER_I64, self->ndim, shape);
}
static taper_status topk_cpu(taper_call *c) { return sort_run(c, c->out[0], c->out[1], c->args[2].i, c->args[1].i, c->args[3].i); }
static taper_status topk_gpu(taper_call *c) {
    int dim;
    TAPER_TRY(taper__wrap_dim(&dim, c->args[2].i, c->args[0].t->ndim, "topk"));
    return taper__sort_cuda(c->args[0].t, c->out[0], c->out[1], dim, c->args[1].i, c->args[3].i, "topk");
}
static const taper_kernel topk_kernels[] = {{"cpu", TAPER_CPU, NULL, topk_cpu}, {"cuda", TAPER_CUDA, NULL, topk_gpu}, {0}};
static taper_status topk_vjp(taper_vjp *v) { return sort_back(v, v->args[2].i); }
const taper_op taper_op_topk = {
    .infer = topk_infer,
    .kernels = topk_kernels,
    .vjp = topk_vjp,
    .saves = TAPER_SAVE_OUT(1),
    .samples = (const taper_sample[]){{"[3,5], 2"}, {"[5,3], 3, 0, false"}, {"[4], 0"}, {"[2,5000]:nograd, 7"}, {"[2,3000]:i64<20, 2500, 1, false"}, {"[3], 4", .error = "selected index k out of range"}, {0}},
};
