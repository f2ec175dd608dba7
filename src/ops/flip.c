/* flip, roll, rot90. */
#include "ops/op.h"

typedef struct flip_job {
    const char *src;
    char *dst;
    int ndim;
    size_t e;
    int64_t shape[TAPER_MAX_DIMS], strides[TAPER_MAX_DIMS]; /* of the source, negative where turned; bytes */
} flip_job;

#define FLIP_ROW(type)                                                                                                 \
    for (int64_t i = 0; i < n; i++) ((type *)o)[i] = *(const type *)(p + i * step)
static void flip_rows(void *ctx, int64_t begin, int64_t end) {
    const flip_job *j = ctx;
    int last = j->ndim - 1;
    int64_t n = j->shape[last], step = j->strides[last];
    for (int64_t row = begin; row < end; row++) {
        const char *p = j->src;
        char *o = j->dst + row * n * (int64_t)j->e;
        int64_t rest = row;
        for (int d = last - 1; d >= 0; d--) {
            p += rest % j->shape[d] * j->strides[d];
            rest /= j->shape[d];
        }
        if (step == (int64_t)j->e) memcpy(o, p, (size_t)n * j->e);
        else if (j->e == 1) FLIP_ROW(uint8_t);
        else if (j->e == 2) FLIP_ROW(uint16_t);
        else if (j->e == 4) FLIP_ROW(uint32_t);
        else FLIP_ROW(uint64_t);
    }
}

static taper_status flip_infer(taper_call *c) {
    const taper_tensor *self = c->args[0].t;
    uint32_t mask;
    if (c->args[1].count) TAPER_TRY(taper__dim_mask(&mask, &c->args[1], self->ndim, "flip"));
    return taper__out(c, 0, (taper_dtype)self->dtype, self->ndim, self->shape);
}
static taper_status flip_cpu(taper_call *c) {
    const taper_tensor *self = c->args[0].t;
    uint32_t mask = 0;
    if (!self->numel) return TAPER_OK;
    if (c->args[1].count) TAPER_TRY(taper__dim_mask(&mask, &c->args[1], self->ndim, "flip"));
    flip_job j = {.src = taper__data(self), .dst = taper__data(c->out[0]), .ndim = self->ndim ? self->ndim : 1, .e = taper_dtype_size((taper_dtype)self->dtype), .shape = {1}};
    for (int d = 0; d < self->ndim; d++) {
        int64_t stride = self->strides[d] * (int64_t)j.e;
        bool turn = mask >> d & 1;
        j.shape[d] = self->shape[d];
        j.strides[d] = turn ? -stride : stride;
        if (turn) j.src += (self->shape[d] - 1) * stride;
    }
    int64_t n = j.shape[j.ndim - 1];
    taper__parallel_for(self->numel / n, 1 + 16384 / n, flip_rows, &j);
    return TAPER_OK;
}
/* A copy from the far end of each turned dim, with negative strides. */
static taper_status flip_gpu(taper_call *c) {
    const taper_tensor *self = c->args[0].t;
    taper_tensor *view = NULL;
    uint32_t mask = 0;
    int64_t strides[TAPER_MAX_DIMS], offset = self->offset;
    if (!self->numel) return TAPER_OK;
    if (c->args[1].count) TAPER_TRY(taper__dim_mask(&mask, &c->args[1], self->ndim, "flip"));
    for (int d = 0; d < self->ndim; d++) {
        bool turn = mask >> d & 1;
        strides[d] = turn ? -self->strides[d] : self->strides[d];
        if (turn) offset += (self->shape[d] - 1) * self->strides[d];
    }
    TAPER_TRY(taper__tensor_view(&view, self, self->ndim, self->shape, strides, offset));
    taper_status st = taper__copy_cuda(c->out[0], view);
    taper_tensor_release(view);
    return st;
}
static const taper_kernel flip_kernels[] = {{"cpu", TAPER_CPU, NULL, flip_cpu}, {"cuda", TAPER_CUDA, NULL, flip_gpu}, {0}};
static taper_status flip_vjp(taper_vjp *v) {
    v->d[0] = tx_flip(v->scope, v->grad[0], v->args[1].is, v->args[1].count);
    return v->scope->status;
}
const taper_op taper_op_flip = {
    .infer = flip_infer,
    .kernels = flip_kernels,
    .vjp = flip_vjp,
    .samples = (const taper_sample[]){{"[2,3], (0)"}, {"[2,3,4], (0,-1)"}, {"[2,3,4], (1)"}, {"[40,33]:nograd, (0,1)"}, {"[3], ()"}, {"[0,2], (0)"}, {"[2,3], (2)", .error = "Dimension out of range"},
                                      {"[2,3], (1,-1)", .error = "appears multiple times"}, {0}}};

static taper_status flip_pair_compose(taper_call *c, taper_scope *s, int64_t dim, int need) {
    if (c->args[0].t->ndim < need) return TAPER_FAIL(TAPER_RUNTIME, "Input must be >= %d-d, got %s", need, TAPER_TEXT(c->args[0].t));
    c->nout = 1;
    c->out[0] = taper_scope_keep(s, tx_flip(s, c->args[0].t, &dim, 1));
    return s->status;
}
static taper_status fliplr_compose(taper_call *c, taper_scope *s) { return flip_pair_compose(c, s, 1, 2); }
static taper_status flipud_compose(taper_call *c, taper_scope *s) { return flip_pair_compose(c, s, 0, 1); }
const taper_op taper_op_fliplr = {.compose = fliplr_compose, .samples = (const taper_sample[]){{"[2,3]"}, {"[3]", .error = ">= 2-d"}, {0}}};
const taper_op taper_op_flipud = {.compose = flipud_compose, .samples = (const taper_sample[]){{"[2,3]"}, {"[]", .error = ">= 1-d"}, {0}}};

static taper_status roll_compose(taper_call *c, taper_scope *s) {
    taper_tensor *self = c->args[0].t, *t = self;
    const taper_arg *shifts = &c->args[1], *dims = &c->args[2];
    int64_t all = -1;
    if (!shifts->count) return TAPER_FAIL(TAPER_RUNTIME, "`shifts` required");
    bool flat = !dims->count && shifts->count == 1;
    if (!flat && shifts->count != dims->count)
        return TAPER_FAIL(TAPER_RUNTIME, "shifts and dimensions must align. shifts: %d, dims:%d", shifts->count, dims->count);
    c->nout = 1;
    if (!self->numel) {
        c->out[0] = taper_scope_keep(s, tx_clone(s, self));
        return s->status;
    }
    if (flat) t = tx_reshape(s, self, &all, 1);
    for (int k = 0; k < shifts->count && t; k++) {
        int dim = 0;
        if (!flat) TAPER_TRY(taper__wrap_dim(&dim, dims->is[k], t->ndim, "roll"));
        if (!t->ndim) continue;
        int64_t n = t->shape[dim], cut = (n - shifts->is[k] % n) % n, zero = 0;
        if (!cut) continue;
        taper_tensor *parts[2] = {tx_slice(s, t, dim, &cut, &n, 1), tx_slice(s, t, dim, &zero, &cut, 1)};
        t = s->status == TAPER_OK ? tx_cat(s, parts, 2, dim) : NULL;
    }
    if (flat && t) t = tx_reshape(s, t, self->shape, self->ndim);
    if (t && t->storage == self->storage) t = tx_clone(s, t);
    c->out[0] = taper_scope_keep(s, t);
    return s->status;
}
const taper_op taper_op_roll = {
    .compose = roll_compose,
    .samples = (const taper_sample[]){{"[2,3], 1"}, {"[2,3], -2, 1"}, {"[4,3], (1,5), (0,1)"}, {"[3], 0, 0"}, {"[0,2], 1, 0"}, {"[2,3], (1,2), (0)", .error = "shifts: 2, dims:1"},
                                      {"[2], 1, 3", .error = "Dimension out of range"}, {0}}};

static taper_status rot90_compose(taper_call *c, taper_scope *s) {
    taper_tensor *self = c->args[0].t;
    const taper_arg *dims = &c->args[2];
    int a, b;
    if (dims->count != 2) return TAPER_FAIL(TAPER_RUNTIME, "expected total rotation dims == 2, but got dims = %d", dims->count);
    if (self->ndim < 2) return TAPER_FAIL(TAPER_RUNTIME, "expected total dims >= 2, but got total dims = %d", self->ndim);
    TAPER_TRY(taper__wrap_dim(&a, dims->is[0], self->ndim, "rot90"));
    TAPER_TRY(taper__wrap_dim(&b, dims->is[1], self->ndim, "rot90"));
    if (a == b) return TAPER_FAIL(TAPER_RUNTIME, "expected rotation dims to be different, but got dim0 = %d and dim1 = %d", a, b);
    int64_t k = (c->args[1].i % 4 + 4) % 4, first = a, second = b, both[2] = {a, b};
    taper_tensor *t = k == 0   ? tx_clone(s, self)
                      : k == 1 ? tx_transpose(s, tx_flip(s, self, &second, 1), a, b)
                      : k == 2 ? tx_flip(s, self, both, 2)
                               : tx_transpose(s, tx_flip(s, self, &first, 1), a, b);
    c->nout = 1;
    c->out[0] = taper_scope_keep(s, t);
    return s->status;
}
const taper_op taper_op_rot90 = {
    .compose = rot90_compose,
    .samples = (const taper_sample[]){{"[2,3]"}, {"[2,3], 2"}, {"[2,3,4], -1, (1,2)"}, {"[2,3], 0"}, {"[2,3], 1, (0,0)", .error = "rotation dims to be different"}, {"[3]", .error = "total dims >= 2"}, {0}}};
