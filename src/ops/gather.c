/* gather and scatter along one dim; one_hot. */
#include "ops/op.h"

static taper_status gather_check(const char *op, const taper_tensor *self, const taper_tensor *index, const taper_tensor *src, int64_t dim_arg, int *dim) {
    TAPER_TRY(taper__wrap_dim(dim, dim_arg, self->ndim, op));
    if (index->dtype != TAPER_I64) return TAPER_FAIL(TAPER_RUNTIME, "%s(): Expected dtype int64 for index, got %s", op, TAPER_TEXT(index));
    if ((index->ndim ? index->ndim : 1) != (self->ndim ? self->ndim : 1) && index->numel)
        return TAPER_FAIL(TAPER_RUNTIME, "Index tensor must have the same number of dimensions as input tensor: %s and %s", TAPER_SHAPE(index), TAPER_SHAPE(self));
    for (int d = 0; d < index->ndim && d < self->ndim; d++) {
        bool big = d != *dim && index->shape[d] > self->shape[d];
        if (big || (src && src->ndim == index->ndim && index->shape[d] > src->shape[d]))
            return TAPER_FAIL(TAPER_RUNTIME, "Size does not match at dimension %d expected index %s to be no larger than self %s apart from dimension %d%s%s", d,
                              TAPER_SHAPE(index), TAPER_SHAPE(self), *dim, src ? " and to be no larger size than src " : "", src ? TAPER_SHAPE(src) : "");
    }
    return TAPER_OK;
}

typedef enum gather_what { GATHER, SCATTER, SCATTER_ADD } gather_what;

/* self[...] and other[...] meet at each index; elements in row-major order of index, so repeats are ordered. */
static taper_status gather_move(taper_tensor *self, const taper_tensor *index, taper_tensor *other, int dim, gather_what what) {
    taper_dtype dtype = (taper_dtype)self->dtype;
    int64_t e = (int64_t)taper_dtype_size(dtype), at[TAPER_MAX_DIMS] = {0};
    int64_t size = self->ndim ? self->shape[dim] : 1;
    for (int64_t i = 0; i < index->numel; i++) {
        int64_t pi = 0, ps = 0, po = 0;
        for (int d = 0; d < index->ndim; d++) {
            pi += at[d] * index->strides[d];
            if (d != dim && d < self->ndim) ps += at[d] * self->strides[d];
            if (other->ndim) po += at[d] * other->strides[d];
        }
        int64_t k = ((const int64_t *)taper__data(index))[pi];
        if (k < 0 || k >= size)
            return TAPER_FAIL(TAPER_RUNTIME, "index %lld is out of bounds for dimension %d with size %lld", (long long)k, dim, (long long)size);
        if (self->ndim) ps += k * self->strides[dim];
        char *s = (char *)taper__data(self) + ps * e, *o = (char *)taper__data(other) + po * e;
        if (what == GATHER)
            memcpy(o, s, (size_t)e);
        else if (what == SCATTER)
            memcpy(s, o, (size_t)e);
        else if (taper_dtype_is_float(dtype))
            taper__store_double(s, dtype, taper__load_double(s, dtype) + taper__load_double(o, dtype));
        else
            taper__store_int(s, dtype, taper__load_int(s, dtype) + taper__load_int(o, dtype));
        for (int d = index->ndim - 1; d >= 0; d--) {
            if (++at[d] < index->shape[d]) break;
            at[d] = 0;
        }
    }
    return TAPER_OK;
}

static taper_status gather_infer(taper_call *c) {
    int dim;
    TAPER_TRY(gather_check("gather", c->args[0].t, c->args[2].t, NULL, c->args[1].i, &dim));
    return taper__out(c, 0, (taper_dtype)c->args[0].t->dtype, c->args[2].t->ndim, c->args[2].t->shape);
}
static taper_status gather_cpu(taper_call *c) {
    int dim;
    TAPER_TRY(taper__wrap_dim(&dim, c->args[1].i, c->args[0].t->ndim, "gather"));
    return gather_move(c->args[0].t, c->args[2].t, c->out[0], dim, GATHER);
}
static const taper_kernel gather_kernels[] = {{"cpu", TAPER_CPU, NULL, gather_cpu}, {0}};
static taper_status gather_vjp(taper_vjp *v) {
    taper_scope *s = v->scope;
    v->d[0] = tx_scatter_add(s, taper__zeros_like(s, v->args[0].t), v->args[1].i, v->args[2].t, v->grad[0]);
    return s->status;
}
const taper_op taper_op_gather = {
    .infer = gather_infer,
    .kernels = gather_kernels,
    .vjp = gather_vjp,
    .saves = TAPER_SAVE_ARG(2),
    .samples = (const taper_sample[]){{"[3,4], 0, [2,4]:i64<3"}, {"[3,4], -1, [3,2]:i64<4"}, {"[5], 0, [0]:i64<5"}, {"[3,4], 1, [4,2]:i64<4", .error = "Size does not match at dimension 0"}, {0}},
};

static taper_status scatter_infer(taper_call *c) {
    int dim;
    taper_tensor *self = c->args[0].t, *src = c->args[3].kind == TAPER_ARG_TENSOR ? c->args[3].t : NULL;
    TAPER_TRY(gather_check(c->row->name, self, c->args[2].t, src, c->args[1].i, &dim));
    if (src && src->dtype != self->dtype)
        return TAPER_FAIL(TAPER_RUNTIME, "%s(): Expected self.dtype to be equal to src.dtype, got %s and %s", c->row->name, TAPER_TEXT(self), TAPER_TEXT(src));
    return taper__out_like(c, 0, (taper_dtype)self->dtype, self);
}
static taper_status scatter_run(taper_call *c, gather_what what) {
    int dim;
    taper_status st = TAPER_OK;
    taper_tensor *value = NULL, *src = c->args[3].kind == TAPER_ARG_TENSOR ? c->args[3].t : NULL;
    TAPER_TRY(taper__wrap_dim(&dim, c->args[1].i, c->args[0].t->ndim, c->row->name));
    if (c->out[0] != c->args[0].t) TAPER_TRY(taper__copy_data(c->out[0], c->args[0].t));
    if (!src) { /* one number for every place */
        char element[8];
        if (c->args[3].kind == TAPER_ARG_FLOAT)
            taper__store_double(element, (taper_dtype)c->out[0]->dtype, c->args[3].f);
        else
            taper__store_int(element, (taper_dtype)c->out[0]->dtype, c->args[3].i);
        TAPER_TRY(taper_tensor_from_data(&value, element, (taper_dtype)c->out[0]->dtype, 0, NULL));
        src = value;
    }
    st = gather_move(c->out[0], c->args[2].t, src, dim, what);
    taper_tensor_release(value);
    return st;
}
static taper_status scatter_cpu(taper_call *c) { return scatter_run(c, SCATTER); }
static taper_status scatter_add_cpu(taper_call *c) { return scatter_run(c, SCATTER_ADD); }
static const taper_kernel scatter_kernels[] = {{"cpu", TAPER_CPU, NULL, scatter_cpu}, {0}};
static const taper_kernel scatter_add_kernels[] = {{"cpu", TAPER_CPU, NULL, scatter_add_cpu}, {0}};
static taper_status scatter_vjp(taper_vjp *v) {
    taper_scope *s = v->scope;
    if (v->need[0]) v->d[0] = tx_scatter_value(s, v->grad[0], v->args[1].i, v->args[2].t, taper_int(0));
    if (v->args[3].kind == TAPER_ARG_TENSOR && v->need[3]) v->d[3] = tx_gather(s, v->grad[0], v->args[1].i, v->args[2].t, false);
    return s->status;
}
static taper_status scatter_add_vjp(taper_vjp *v) {
    if (v->need[0]) v->d[0] = v->grad[0];
    if (v->need[3]) v->d[3] = tx_gather(v->scope, v->grad[0], v->args[1].i, v->args[2].t, false);
    return v->scope->status;
}
const taper_op taper_op_scatter = {
    .infer = scatter_infer,
    .kernels = scatter_kernels,
    .vjp = scatter_vjp,
    .saves = TAPER_SAVE_ARG(2),
    .samples = (const taper_sample[]){{"[3,4], 1, [3,1]:i64<4, [3,1]"}, {"[5], 0, [1]:i64<5, [1]"}, {"[3,4], 0, [5,4]:i64<3, [2,4]", .error = "Size does not match"}, {0}}};
const taper_op taper_op_scatter_value = {
    .infer = scatter_infer, .kernels = scatter_kernels, .vjp = scatter_vjp, .saves = TAPER_SAVE_ARG(2), .samples = (const taper_sample[]){{"[3,4], 1, [3,2]:i64<4, 1.5"}, {0}}};
const taper_op taper_op_scatter_add = {
    .infer = scatter_infer,
    .kernels = scatter_add_kernels,
    .vjp = scatter_add_vjp,
    .saves = TAPER_SAVE_ARG(2),
    .samples = (const taper_sample[]){{"[3,4], 1, [3,6]:i64<4, [3,6]"}, {"[3,4], 0, [2,4]:i64<3, [5,4]:nograd"}, {0}}};

static taper_status one_hot_compose(taper_call *c, taper_scope *s) {
    taper_tensor *self = c->args[0].t;
    int64_t classes = c->args[1].i, shape[TAPER_MAX_DIMS], most = -1, least = 0;
    taper_device cpu = taper_cpu();
    if (self->dtype != TAPER_I64) return TAPER_FAIL(TAPER_RUNTIME, "one_hot is only applicable to index tensor of type LongTensor, got %s", TAPER_TEXT(self));
    taper_tensor *host = tx_contiguous(s, tx_to(s, self, &cpu, TAPER_DTYPE_NONE, false, false));
    if (!host) return s->status;
    for (int64_t i = 0; i < host->numel; i++) {
        int64_t k = ((const int64_t *)taper__data(host))[i];
        most = k > most ? k : most;
        least = k < least ? k : least;
    }
    if (least < 0) return TAPER_FAIL(TAPER_RUNTIME, "Class values must be non-negative.");
    if (classes < 0) classes = most + 1;
    if (host->numel == 0 && classes <= 0) return TAPER_FAIL(TAPER_RUNTIME, "Can not infer total number of classes from empty tensor.");
    if (most >= classes) return TAPER_FAIL(TAPER_RUNTIME, "Class values must be smaller than num_classes.");
    if (self->ndim == TAPER_MAX_DIMS) return TAPER_FAIL(TAPER_VALUE, "one_hot: at most %d dims", TAPER_MAX_DIMS);
    memcpy(shape, self->shape, sizeof shape);
    shape[self->ndim] = classes;
    taper_tensor *zero = tx_full(s, shape, self->ndim + 1, taper_int(0), TAPER_I64, &self->device);
    c->nout = 1;
    c->out[0] = taper_scope_keep(s, tx_scatter_value(s, zero, -1, tx_unsqueeze(s, self, -1), taper_int(1)));
    return s->status;
}
const taper_op taper_op_one_hot = {
    .compose = one_hot_compose, .samples = (const taper_sample[]){{"[4]:i64<3, 3"}, {"[2,3]:i64<5"}, {"[4]:i64<3, 1", .error = "smaller than num_classes"}, {0}}};
