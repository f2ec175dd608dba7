/* kthvalue, quantile, cummax, cummin. */
#include "device/cuda/cuda.h"
#include "ops/search.h"

static taper_status kthvalue_compose(taper_call *c, taper_scope *s) {
    taper_tensor *self = c->args[0].t, *both[2] = {NULL, NULL};
    int64_t k = c->args[1].i;
    int dim;
    TAPER_TRY(taper__wrap_dim(&dim, c->args[2].i, self->ndim, "kthvalue"));
    if (k < 1 || k > (self->ndim ? self->shape[dim] : 1))
        return TAPER_FAIL(TAPER_RUNTIME, "kthvalue(): selected number k out of range for dimension %d: k is %lld for %s", dim, (long long)k, TAPER_SHAPE(self));
    TAPER_TRY(taper_sort(both, self, dim, false, true));
    c->nout = 2;
    c->nondiff = 2;
    for (int i = 0; i < 2; i++) taper_scope_own(s, both[i]);
    for (int i = 0; i < 2 && s->status == TAPER_OK; i++) {
        taper_tensor *t = !self->ndim ? both[i] : c->args[3].i ? search_slice(s, both[i], dim, k - 1, k) : tx_select(s, both[i], dim, k - 1);
        c->out[i] = taper_scope_keep(s, t ? tx_clone(s, t) : NULL);
    }
    return s->status;
}
const taper_op taper_op_kthvalue = {
    .compose = kthvalue_compose,
    .samples = (const taper_sample[]){{"[3,5], 2"}, {"[5,3], 5, 0, true"}, {"[6]:i64, 1"}, {"[], 1"}, {"[3], 4", .error = "selected number k out of range"}, {"[3], 0", .error = "selected number k out of range"},
                                      {"[3], 1, 1", .error = "Dimension out of range"}, {0}},
};

/* place (float64, one per q) in the sorted values along the last dim. */
static taper_tensor *quantile_at(taper_scope *s, taper_tensor *sorted, taper_tensor *place, const char *how) {
    taper_dtype dtype = (taper_dtype)sorted->dtype;
    taper_tensor *low = tx_floor(s, place), *high = tx_ceil(s, place);
    if (!strcmp(how, "lower")) high = low;
    else if (!strcmp(how, "higher")) low = high;
    else if (!strcmp(how, "nearest")) low = high = tx_round(s, place, 0);
    taper_tensor *a = tx_index_select(s, sorted, -1, tx_to(s, low, NULL, TAPER_I64, false, false));
    if (low == high) return a;
    taper_tensor *b = tx_index_select(s, sorted, -1, tx_to(s, high, NULL, TAPER_I64, false, false));
    taper_tensor *part = !strcmp(how, "midpoint") ? taper__number(s, 0.5) : tx_to(s, vx_sub(s, place, low), NULL, dtype, false, false);
    return vx_add(s, a, tx_mul(s, vx_sub(s, b, a), part));
}
static taper_status quantile_make(taper_call *c, taper_scope *s, taper_tensor *q, const taper_arg *dim_arg, bool keepdim, const char *how) {
    static const char *const ways[] = {"linear", "lower", "higher", "midpoint", "nearest"};
    taper_tensor *self = c->args[0].t, *both[2] = {NULL, NULL}, *x = self;
    bool known = false;
    int64_t last = -1, zero = 0, dim, shape[TAPER_MAX_DIMS];
    int d = 0, n = 0;
    double least = 0, most = 0;
    for (int i = 0; i < TAPER_COUNT(ways); i++) known = known || !strcmp(how, ways[i]);
    if (!known) return TAPER_FAIL(TAPER_RUNTIME, "quantile() interpolation must be one of linear, lower, higher, midpoint or nearest, but got %s", how);
    if (self->dtype != TAPER_F32 && self->dtype != TAPER_F64) return TAPER_FAIL(TAPER_RUNTIME, "quantile() input tensor must be either float or double dtype, got %s", TAPER_TEXT(self));
    if (q->ndim > 1) return TAPER_FAIL(TAPER_RUNTIME, "quantile() q must be a scalar or 1D tensor, got %s", TAPER_SHAPE(q));
    if (!self->numel) return TAPER_FAIL(TAPER_RUNTIME, "quantile() input tensor must be non-empty, got %s", TAPER_SHAPE(self));
    TAPER_TRY(search_no_data(c, self));
    if (dim_arg->kind != TAPER_ARG_NONE) TAPER_TRY(taper__wrap_dim(&d, dim_arg->i, self->ndim, "quantile"));
    if (q->numel) {
        taper_tensor *low = tx_min(s, q), *high = tx_max(s, q);
        TAPER_TRY(s->status);
        TAPER_TRY(taper_tensor_item_double(low, &least));
        TAPER_TRY(taper_tensor_item_double(high, &most));
        if (!(least >= 0) || !(most <= 1)) return TAPER_FAIL(TAPER_RUNTIME, "quantile() q must be in the range [0, 1] but got %g", least >= 0 ? most : least);
    }
    dim = d;
    x = dim_arg->kind == TAPER_ARG_NONE || !self->ndim ? search_flat(s, self) : tx_movedim(s, self, &dim, 1, &last, 1);
    TAPER_TRY(s->status);
    TAPER_TRY(taper_sort(both, x, -1, false, true));
    for (int i = 0; i < 2; i++) taper_scope_own(s, both[i]);
    int64_t length = x->shape[x->ndim - 1];
    taper_tensor *flat_q = search_flat(s, tx_to(s, search_detach(s, q), NULL, TAPER_F64, false, false));
    taper_tensor *r = quantile_at(s, both[0], vx_scale(s, flat_q, (double)(length - 1)), how);
    TAPER_TRY(s->status);
    /* A NaN sorts last, and makes the whole line NaN. */
    taper_tensor *end = search_slice(s, both[0], -1, length - 1, length);
    r = tx_where(s, tx_isnan(s, end), end, r);
    r = tx_movedim(s, r, &last, 1, &zero, 1); /* (q, others) */
    TAPER_TRY(s->status);
    if (q->ndim) shape[n++] = q->shape[0];
    for (int k = 0; k < self->ndim; k++) {
        bool gone = dim_arg->kind == TAPER_ARG_NONE || k == d;
        if (!gone || keepdim) shape[n++] = gone ? 1 : self->shape[k];
    }
    c->out[0] = taper_scope_keep(s, tx_reshape(s, r, shape, n));
    c->nout = 1;
    return s->status;
}
static taper_status quantile_tensor_compose(taper_call *c, taper_scope *s) { return quantile_make(c, s, c->args[1].t, &c->args[2], c->args[3].i, c->args[4].s); }
const taper_op taper_op_quantile_tensor = {
    .compose = quantile_tensor_compose,
    .samples = (const taper_sample[]){{"[3,5]:f64, [2]:f64:unit:nograd, 1"}, {"[3,5]:f32, []:f32:unit:nograd"}, {"[4,3]:f64, [3]:f64:unit:nograd, 0, true"},
                                      {"[3]:i64, [1]:unit", .error = "must be either float or double"}, {"[3]:f32, [2,2]:f32:unit", .error = "q must be a scalar or 1D"}, {0}},
};
static taper_status quantile_compose(taper_call *c, taper_scope *s) {
    taper_tensor *q = tx_full(s, NULL, 0, taper_float(c->args[1].f), TAPER_F64, &c->args[0].t->device);
    return q ? quantile_make(c, s, q, &c->args[2], c->args[3].i, c->args[4].s) : s->status;
}
const taper_op taper_op_quantile = {
    .compose = quantile_compose,
    .samples = (const taper_sample[]){{"[3,5]:f64, 0.3"}, {"[3,5]:f32, 0.5, 1"}, {"[4,3]:f64, 1.0, 0, true"}, {"[7]:f64, 0.4, interpolation=lower"}, {"[7]:f64, 0.4, interpolation=higher"},
                                      {"[7]:f64, 0.4, interpolation=midpoint"}, {"[7]:f64, 0.4, interpolation=nearest"}, {"[3]:f32, 1.5", .error = "in the range [0, 1]"},
                                      {"[0]:f32, 0.5", .error = "must be non-empty"}, {"[3]:f32, 0.5, interpolation=cubic", .error = "interpolation must be one of"}, {0}},
};

/* self seen as [outer, n, inner], contiguous; a NaN stays once it came. */
#define CUM_LINES(type)                                                                                                \
    for (int64_t line = 0; line < outer * inner; line++) {                                                             \
        const type *x = (const type *)taper__data(self) + line / inner * n * inner + line % inner;                     \
        type *y = (type *)taper__data(c->out[0]) + (x - (const type *)taper__data(self));                              \
        int64_t *at = (int64_t *)taper__data(c->out[1]) + (x - (const type *)taper__data(self)), where = 0;            \
        type best = x[0];                                                                                              \
        for (int64_t i = 0; i < n; i++) {                                                                              \
            type v = x[i * inner];                                                                                     \
            if (v != v || (best == best && (largest ? v >= best : v <= best))) {                                       \
                best = v;                                                                                              \
                where = i;                                                                                             \
            }                                                                                                          \
            y[i * inner] = best;                                                                                       \
            at[i * inner] = where;                                                                                     \
        }                                                                                                              \
    }
static taper_status cum_cpu(taper_call *c, bool largest) {
    const taper_tensor *self = c->args[0].t;
    int d;
    int64_t n = 1, inner = 1, outer = 1;
    if (!self->numel) return TAPER_OK;
    TAPER_TRY(taper__wrap_dim(&d, c->args[1].i, self->ndim, c->row->name));
    if (self->ndim) n = self->shape[d];
    for (int k = d + 1; k < self->ndim; k++) inner *= self->shape[k];
    outer = self->numel / (n * inner);
    switch (self->dtype) { /* on the dtype */
    case TAPER_F32: CUM_LINES(float) break;
    case TAPER_F64: CUM_LINES(double) break;
    case TAPER_I64: CUM_LINES(int64_t) break;
    case TAPER_I32: CUM_LINES(int32_t) break;
    case TAPER_I16: CUM_LINES(int16_t) break;
    case TAPER_I8: CUM_LINES(int8_t) break;
    default: CUM_LINES(uint8_t) break;
    }
    return TAPER_OK;
}
static taper_status cum_infer(taper_call *c) {
    const taper_tensor *self = c->args[0].t;
    int d;
    TAPER_TRY(taper__wrap_dim(&d, c->args[1].i, self->ndim, c->row->name));
    TAPER_TRY(taper__out(c, 0, (taper_dtype)self->dtype, self->ndim, self->shape));
    c->nondiff = 2;
    return taper__out(c, 1, TAPER_I64, self->ndim, self->shape);
}
static taper_status cum_vjp(taper_vjp *v) {
    taper_scope *s = v->scope;
    if (!v->grad[0]) return TAPER_OK;
    v->d[0] = tx_scatter_add(s, taper__zeros_like(s, v->args[0].t), v->args[1].i, v->out[1], v->grad[0]);
    return s->status;
}
static taper_status cummax_cpu(taper_call *c) { return cum_cpu(c, true); }
static taper_status cummin_cpu(taper_call *c) { return cum_cpu(c, false); }
static taper_cuda_kernel cum_kernels[3] = {TAPER_CUDA_KERNEL("cum_extreme", "cum_extreme_f32"), TAPER_CUDA_KERNEL("cum_extreme", "cum_extreme_f64"),
                                           TAPER_CUDA_KERNEL("cum_extreme", "cum_extreme_i64")};
static taper_status cum_cuda(taper_call *c, int largest) {
    const taper_tensor *self = c->args[0].t;
    void *out = taper__data(c->out[0]), *places = taper__data(c->out[1]), *x = taper__data(self);
    int d, dtype = self->dtype;
    long long n = 1, inner = 1, lines;
    if (!self->numel) return TAPER_OK;
    TAPER_TRY(taper__wrap_dim(&d, c->args[1].i, self->ndim, c->row->name));
    if (self->ndim) n = self->shape[d];
    for (int k = d + 1; k < self->ndim; k++) inner *= self->shape[k];
    lines = self->numel / n;
    int64_t blocks = inner == 1 ? (lines + 7) / 8 : (lines + 255) / 256;
    taper_cuda_geometry g = {.grid = {(unsigned)blocks, 1, 1}, .block = {256, 1, 1}};
    void *args[] = {&out, &places, &x, &dtype, &n, &inner, &lines, &largest};
    return taper__cuda_launch(&cum_kernels[dtype == TAPER_F64 ? 1 : taper_dtype_is_float((taper_dtype)dtype) ? 0 : 2], c->device.index, &g, args, c->row->name);
}
static taper_status cummax_cuda(taper_call *c) { return cum_cuda(c, true); }
static taper_status cummin_cuda(taper_call *c) { return cum_cuda(c, false); }
static const taper_kernel cummax_kernels[] = {{"cuda", TAPER_CUDA, NULL, cummax_cuda}, {"cpu", TAPER_CPU, NULL, cummax_cpu}, {0}};
static const taper_kernel cummin_kernels[] = {{"cuda", TAPER_CUDA, NULL, cummin_cuda}, {"cpu", TAPER_CPU, NULL, cummin_cpu}, {0}};
#define CUM_SAMPLES {"[2,5], 1"}, {"[3,70], 1"}, {"[2,5,3], 1"}, {"[6]:i64<4, 0"}, {"[4]:bool, 0"}, {"[0,3], 0"}, {"[], 0"}, {"[2,3], 2", .error = "Dimension out of range"}, {0}
const taper_op taper_op_cummax = {.infer = cum_infer, .kernels = cummax_kernels, .vjp = cum_vjp, .saves = TAPER_SAVE_OUT(1), .contiguous = 1, .upcast = true,
                                  .samples = (const taper_sample[]){CUM_SAMPLES}};
const taper_op taper_op_cummin = {.infer = cum_infer, .kernels = cummin_kernels, .vjp = cum_vjp, .saves = TAPER_SAVE_OUT(1), .contiguous = 1, .upcast = true,
                                  .samples = (const taper_sample[]){CUM_SAMPLES}};
