/* The lower median, with its place when a dim is given. NaN wins. */
#include "ops/reduce.h"
#include "ops/scan_cuda.h"
#include "ops/vjp_expr.h"

typedef struct median_item {
    double value;
    int64_t exact, place; /* exact: the value of an integer */
} median_item;
typedef struct median_job {
    const taper_tensor *self;
    taper_tensor *values, *places;
    int64_t n, inner;
    _Atomic bool failed;
} median_job;

static bool median_before(const median_item *a, const median_item *b) {
    bool an = a->value != a->value, bn = b->value != b->value;
    if (an || bn) return an && (!bn || a->place < b->place); /* NaN first: then the rank asked for is 0 */
    if (a->exact != b->exact) return a->exact < b->exact;
    if (a->value != b->value) return a->value < b->value;
    return a->place < b->place;
}

/* The item of the given rank. Halves around a middle item; a few steps for any input that is not made to be slow. */
static median_item median_select(median_item *x, int64_t n, int64_t rank) {
    int64_t low = 0, high = n - 1;
    while (low < high) {
        median_item pivot = x[low + (high - low) / 2];
        int64_t i = low, j = high;
        while (i <= j) {
            while (median_before(&x[i], &pivot)) i++;
            while (median_before(&pivot, &x[j])) j--;
            if (i > j) break;
            median_item t = x[i];
            x[i++] = x[j];
            x[j--] = t;
        }
        if (rank <= j) high = j;
        else if (rank >= i) low = i;
        else break;
    }
    return x[rank];
}

static void median_range(void *ctx, int64_t begin, int64_t end) {
    median_job *j = ctx;
    taper_dtype dtype = (taper_dtype)j->self->dtype;
    int64_t size = (int64_t)taper_dtype_size(dtype);
    median_item *items = taper__alloc((size_t)j->n * sizeof *items);
    if (!items) {
        j->failed = true;
        return;
    }
    for (int64_t o = begin; o < end; o++) {
        const char *lane = (const char *)taper__data(j->self) + (o / j->inner * j->n * j->inner + o % j->inner) * size;
        bool nan = false;
        for (int64_t i = 0; i < j->n; i++) {
            const char *p = lane + i * j->inner * size;
            items[i].place = i;
            items[i].exact = taper_dtype_is_float(dtype) ? 0 : taper__load_int(p, dtype);
            items[i].value = taper_dtype_is_float(dtype) ? taper__load_double(p, dtype) : 0;
            nan = nan || items[i].value != items[i].value;
        }
        int64_t place = median_select(items, j->n, nan ? 0 : (j->n - 1) / 2).place;
        memcpy((char *)taper__data(j->values) + o * size, lane + place * j->inner * size, (size_t)size);
        if (j->places) ((int64_t *)taper__data(j->places))[o] = place;
    }
    taper__free(items);
}

static taper_status median_run(taper_call *c, taper_tensor *places, int64_t n, int64_t inner) {
    median_job j = {.self = c->args[0].t, .values = c->out[0], .places = places, .n = n, .inner = inner};
    if (!c->out[0]->numel) return TAPER_OK;
    if (j.self->device.type == TAPER_CUDA) return taper__median_cuda(j.values, places, j.self, n, inner);
    taper__parallel_for(c->out[0]->numel, 1 + 4096 / (n + 1), median_range, &j);
    return j.failed ? TAPER_FAIL(TAPER_MEMORY, "median: no memory for %lld items", (long long)n) : TAPER_OK;
}

static taper_status median_infer(taper_call *c) { return taper__out(c, 0, (taper_dtype)c->args[0].t->dtype, 0, NULL); }
static taper_status median_any(taper_call *c) {
    if (c->args[0].t->numel) return median_run(c, NULL, c->args[0].t->numel, 1);
    if (!taper_dtype_is_float((taper_dtype)c->out[0]->dtype))
        return TAPER_FAIL(TAPER_RUNTIME, "median: an empty %s has no median", TAPER_TEXT(c->args[0].t));
    if (c->device.type == TAPER_CUDA) return taper__fill_cuda(c->out[0], taper_float(__builtin_nan("")));
    return taper__fill_data(c->out[0], taper_float(__builtin_nan("")));
}
static const taper_kernel median_kernels[] = {{"cpu", TAPER_CPU, NULL, median_any}, {"cuda", TAPER_CUDA, NULL, median_any}, {0}};

static taper_status median_vjp(taper_vjp *v) { /* equals share */
    taper_scope *s = v->scope;
    taper_tensor *self = v->args[0].t, *equal = tx_eq(s, self, v->out[0]);
    v->d[0] = tx_mul(s, vx_div(s, v->grad[0], tx_sum(s, equal, NULL, 0, false, TAPER_DTYPE_NONE)), equal);
    return s->status;
}
const taper_op taper_op_median = {
    .infer = median_infer,
    .kernels = median_kernels,
    .vjp = median_vjp,
    .saves = TAPER_SAVE_ARG(0) | TAPER_SAVE_OUT(0),
    .contiguous = 1,
    .samples = (const taper_sample[]){{"[5]"}, {"[2,4]"}, {"[9]:i64"}, {"[]"}, {"[301]"}, {"[0]:i64", .error = "has no median"}, {0}},
};

static taper_status median_dim_infer(taper_call *c) {
    TAPER_TRY(taper__reduce_infer_filled(c, 0, (taper_dtype)c->args[0].t->dtype, &c->args[1], c->args[2].i));
    TAPER_TRY(taper__reduce_infer_filled(c, 1, TAPER_I64, &c->args[1], c->args[2].i));
    c->nondiff = 2;
    return TAPER_OK;
}
static taper_status median_dim_any(taper_call *c) {
    const taper_tensor *self = c->args[0].t;
    int64_t inner = 1;
    int d;
    TAPER_TRY(taper__wrap_dim(&d, c->args[1].i, self->ndim, "median"));
    for (int k = d + 1; k < self->ndim; k++) inner *= self->shape[k];
    return median_run(c, c->out[1], self->ndim ? self->shape[d] : 1, inner);
}
static const taper_kernel median_dim_kernels[] = {{"cpu", TAPER_CPU, NULL, median_dim_any}, {"cuda", TAPER_CUDA, NULL, median_dim_any}, {0}};
static taper_status median_dim_vjp(taper_vjp *v) {
    taper_scope *s = v->scope;
    const taper_tensor *self = v->args[0].t;
    if (!v->grad[0]) return TAPER_OK;
    v->d[0] = v->grad[0];
    if (!self->ndim) return TAPER_OK;
    taper_tensor *g = taper__reduce_restore(s, v->grad[0], self, &v->args[1]), *at = taper__reduce_restore(s, v->out[1], self, &v->args[1]);
    v->d[0] = tx_scatter(s, taper__zeros_like(s, self), v->args[1].i, at, g);
    return s->status;
}
const taper_op taper_op_median_dim = {
    .infer = median_dim_infer,
    .kernels = median_dim_kernels,
    .vjp = median_dim_vjp,
    .saves = TAPER_SAVE_OUT(1),
    .contiguous = 1,
    .grad_name = "MedianBackward1",
    .samples = (const taper_sample[]){{"[2,5], 1"}, {"[4,3], 0, keepdim=true"}, {"[9]:i64, 0"}, {"[0,3], 1"}, {"[2,3], 2", .error = "Dimension out of range"}, {0}},
};
