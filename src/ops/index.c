/* index and index_put: positions given by integer tensors. */
#include <taper/index.h>

#include "ops/index_cuda.h"

/* Addressing: the indexed dims of self become one dim of nb positions; the others lie before or after it in the result. */
typedef struct index_plan {
    int nk, npre, npost, nbroadcast;
    int dims[TAPER_MAX_DIMS];
    taper_tensor *indices[TAPER_MAX_DIMS];
    int64_t nb, pre, post;
    int64_t broadcast[TAPER_MAX_DIMS];
    int64_t pre_shape[TAPER_MAX_DIMS], pre_stride[TAPER_MAX_DIMS], post_shape[TAPER_MAX_DIMS], post_stride[TAPER_MAX_DIMS];
    int result_ndim;
    int64_t result[TAPER_MAX_DIMS];
} index_plan;

static taper_status index_make_plan(index_plan *p, const char *op, const taper_tensor *self, const taper_arg *indices) {
    memset(p, 0, sizeof *p);
    if (indices->count > self->ndim)
        return TAPER_FAIL(TAPER_INDEX, "too many indices for tensor of dimension %d (got %d)", self->ndim, indices->count);
    for (int d = 0; d < indices->count; d++) {
        taper_tensor *t = indices->ts[d];
        if (!t) continue;
        if (!taper_device_equal(t->device, self->device))
            return TAPER_FAIL(TAPER_RUNTIME, "%s: indices must be on the device of the indexed tensor (%s), got %s", op, TAPER_TEXT(self), TAPER_TEXT(t));
        if (t->dtype != TAPER_I64 && t->dtype != TAPER_I32)
            return TAPER_FAIL(TAPER_INDEX, "%s: tensors used as indices must be long, int, byte or bool tensors, got %s", op, TAPER_TEXT(t));
        p->dims[p->nk] = d;
        p->indices[p->nk++] = t;
    }
    if (!p->nk) return TAPER_FAIL(TAPER_INDEX, "%s: at least one index tensor is needed", op);
    if (taper__broadcast(&p->nbroadcast, p->broadcast, p->indices, p->nk, op) != TAPER_OK)
        return TAPER_FAIL(TAPER_INDEX, "shape mismatch: indexing tensors could not be broadcast together with shapes %s, %s", TAPER_SHAPE(p->indices[0]),
                          TAPER_SHAPE(p->indices[p->nk - 1]));
    bool adjacent = p->dims[p->nk - 1] - p->dims[0] == p->nk - 1;
    p->nb = p->pre = p->post = 1;
    for (int d = 0; d < p->nbroadcast; d++) p->nb *= p->broadcast[d];
    uint32_t mask = 0;
    for (int k = 0; k < p->nk; k++) mask |= 1u << p->dims[k];
    for (int d = 0; d < self->ndim; d++) {
        if (mask >> d & 1) continue;
        if (adjacent && d < p->dims[0]) {
            p->pre_shape[p->npre] = self->shape[d];
            p->pre_stride[p->npre++] = self->strides[d];
            p->pre *= self->shape[d];
        } else {
            p->post_shape[p->npost] = self->shape[d];
            p->post_stride[p->npost++] = self->strides[d];
            p->post *= self->shape[d];
        }
    }
    if (p->npre + p->nbroadcast + p->npost > TAPER_MAX_DIMS) return TAPER_FAIL(TAPER_VALUE, "%s: more than %d dims in the result", op, TAPER_MAX_DIMS);
    for (int d = 0; d < p->npre; d++) p->result[p->result_ndim++] = p->pre_shape[d];
    for (int d = 0; d < p->nbroadcast; d++) p->result[p->result_ndim++] = p->broadcast[d];
    for (int d = 0; d < p->npost; d++) p->result[p->result_ndim++] = p->post_shape[d];
    return TAPER_OK;
}

static int64_t index_offset(int64_t linear, int n, const int64_t *shape, const int64_t *stride) {
    int64_t at = 0;
    for (int d = n - 1; d >= 0; d--) {
        at += linear % shape[d] * stride[d];
        linear /= shape[d];
    }
    return at;
}

/* Element offsets of the nb positions in self, checked against its sizes. */
static taper_status index_positions(const index_plan *p, const taper_tensor *self, int64_t *at) {
    for (int64_t b = 0; b < p->nb; b++) at[b] = 0;
    for (int k = 0; k < p->nk; k++) {
        const taper_tensor *t = p->indices[k];
        int64_t n = self->shape[p->dims[k]], stride = self->strides[p->dims[k]], strides[TAPER_MAX_DIMS];
        size_t e = taper_dtype_size((taper_dtype)t->dtype);
        for (int d = 0; d < p->nbroadcast; d++) {
            int from = d - (p->nbroadcast - t->ndim);
            strides[d] = from < 0 || t->shape[from] == 1 ? 0 : t->strides[from];
        }
        for (int64_t b = 0; b < p->nb; b++) {
            const char *q = (const char *)taper__data(t) + index_offset(b, p->nbroadcast, p->broadcast, strides) * (int64_t)e;
            int64_t i = taper__load_int(q, (taper_dtype)t->dtype);
            if (i < -n || i >= n)
                return TAPER_FAIL(TAPER_INDEX, "index %lld is out of bounds for dimension %d with size %lld", (long long)i, p->dims[k], (long long)n);
            at[b] += (i < 0 ? i + n : i) * stride;
        }
    }
    return TAPER_OK;
}

typedef struct index_job {
    const index_plan *p;
    const int64_t *at;
    char *self, *other; /* self strided; other contiguous */
    size_t e;
    taper_dtype dtype;
    bool gather, accumulate, dense;
} index_job;

static void index_row(const index_job *j, char *s, char *o) {
    const index_plan *p = j->p;
    if (j->dense && !j->accumulate) {
        memcpy(j->gather ? o : s, j->gather ? s : o, (size_t)p->post * j->e);
        return;
    }
    for (int64_t i = 0; i < p->post; i++) {
        char *q = s + index_offset(i, p->npost, p->post_shape, p->post_stride) * (int64_t)j->e, *r = o + i * (int64_t)j->e;
        if (!j->accumulate)
            memcpy(j->gather ? r : q, j->gather ? q : r, j->e);
        else if (taper_dtype_is_float(j->dtype))
            taper__store_double(q, j->dtype, taper__load_double(q, j->dtype) + taper__load_double(r, j->dtype));
        else
            taper__store_int(q, j->dtype, taper__load_int(q, j->dtype) + taper__load_int(r, j->dtype));
    }
}

static void index_range(void *ctx, int64_t begin, int64_t end) {
    const index_job *j = ctx;
    const index_plan *p = j->p;
    for (int64_t i = begin; i < end; i++) {
        int64_t b = i % p->nb, pre = i / p->nb;
        int64_t from = index_offset(pre, p->npre, p->pre_shape, p->pre_stride) + j->at[b];
        index_row(j, j->self + from * (int64_t)j->e, j->other + i * p->post * (int64_t)j->e);
    }
}

static taper_status index_move(const index_plan *p, taper_tensor *self, taper_tensor *other, bool gather, bool accumulate) {
    if (p->nb * p->pre * p->post == 0) return TAPER_OK;
    int64_t *at = taper__alloc(sizeof *at * (size_t)p->nb);
    if (!at) return TAPER_FAIL(TAPER_MEMORY, "index: no memory for %lld positions", (long long)p->nb);
    taper_status st = index_positions(p, self, at);
    if (st == TAPER_OK) {
        int64_t want = 1;
        bool dense = true;
        for (int d = p->npost - 1; d >= 0; d--) {
            if (p->post_shape[d] != 1 && p->post_stride[d] != want) dense = false;
            want *= p->post_shape[d];
        }
        index_job job = {p, at, taper__data(self), taper__data(other), taper_dtype_size((taper_dtype)self->dtype), (taper_dtype)self->dtype, gather, accumulate, dense};
        if (gather)
            taper__parallel_for(p->nb * p->pre, 1 + 16384 / p->post, index_range, &job);
        else
            index_range(&job, 0, p->nb * p->pre); /* in order: repeated positions must not race */
    }
    taper__free(at);
    return st;
}

/* ---- on the GPU ---- */

/* The positions of p in self, as offsets. */
static void index_gpu_positions(taper_positions_args *k, const index_plan *p, const taper_tensor *self) {
    *k = (taper_positions_args){.n = p->nb, .ndim = p->nbroadcast, .wrap = 1};
    memcpy(k->shape, p->broadcast, sizeof k->shape);
    for (int i = 0; i < p->nk; i++) {
        const taper_tensor *t = p->indices[i];
        int64_t strides[TAPER_MAX_DIMS];
        for (int d = 0; d < p->nbroadcast; d++) {
            int from = d - (p->nbroadcast - t->ndim);
            strides[d] = from < 0 || t->shape[from] == 1 ? 0 : t->strides[from];
        }
        taper__positions_add(k, t, strides, self->shape[p->dims[i]], self->strides[p->dims[i]]);
    }
}

static taper_status index_gpu(taper_call *c) {
    index_plan p;
    taper_positions_args at;
    const taper_tensor *self = c->args[0].t;
    taper_tensor *out = c->out[0];
    void *memory = NULL;
    TAPER_TRY(index_make_plan(&p, "index", self, &c->args[1]));
    if (!out->numel) return TAPER_OK;
    size_t bytes = (size_t)p.nb * 8;
    int64_t packed[TAPER_MAX_DIMS];
    index_gpu_positions(&at, &p, self);
    taper_move_args k = {.self = taper__data(self), .other = taper__data(out), .index = at.index[0], .index_dtype = at.dtype[0], .size = at.size[0], .along = at.along[0], .wrap = 1};
    taper__contiguous_strides(p.nbroadcast, p.broadcast, packed);
    if (p.nk > 1) { /* several index tensors become one of offsets */
        TAPER_TRY(taper__memory_alloc(&memory, bytes, c->device, "index"));
        at.out = memory;
        k.index = memory;
        k.index_dtype = TAPER_I64;
        k.trusted = 1;
        k.along = 1;
    }
    taper_status st = memory ? taper__positions_cuda(&at, c->device, "index") : TAPER_OK;
    for (int d = 0; d < p.npre; d++) taper__move_dim(&k, p.pre_shape[d], p.pre_stride[d], out->strides[d], 0);
    for (int d = 0; d < p.nbroadcast; d++) taper__move_dim(&k, p.broadcast[d], 0, out->strides[p.npre + d], memory ? packed[d] : at.strides[0][d]);
    for (int d = 0; d < p.npost; d++) taper__move_dim(&k, p.post_shape[d], p.post_stride[d], out->strides[p.npre + p.nbroadcast + d], 0);
    if (st == TAPER_OK) st = taper__move_cuda(&k, (taper_dtype)self->dtype, false, c->device, "index");
    if (memory) taper__memory_free(memory, bytes, c->device);
    return st;
}

static taper_status index_put_gpu(taper_call *c) {
    index_plan p;
    taper_positions_args at;
    taper_tensor *out = c->out[0];
    const taper_tensor *values = c->args[2].t;
    int64_t strides[TAPER_MAX_DIMS];
    if (out != c->args[0].t) TAPER_TRY(taper__copy_data(out, c->args[0].t));
    TAPER_TRY(index_make_plan(&p, "index_put", out, &c->args[1]));
    for (int d = 0; d < p.result_ndim; d++) { /* of values, broadcast */
        int from = d - (p.result_ndim - values->ndim);
        strides[d] = from < 0 || values->shape[from] == 1 ? 0 : values->strides[from];
    }
    index_gpu_positions(&at, &p, out);
    taper_combine_args k = {.self = taper__data(out), .other = taper__data(values), .at_ndim = p.nbroadcast, .skip = -1, .alpha = 1, .ialpha = 1, .dtype = out->dtype, .include = 1,
                            .what = c->args[3].i ? TAPER_COMBINE_ADD : TAPER_COMBINE_SET};
    for (int d = 0; d < p.nbroadcast; d++) {
        k.at_shape[d] = p.broadcast[d];
        k.at_stride[d] = strides[p.npre + d];
    }
    for (int d = 0; d < p.npre; d++) {
        k.row_shape[k.row_ndim] = p.pre_shape[d];
        k.row_self[k.row_ndim] = p.pre_stride[d];
        k.row_other[k.row_ndim++] = strides[d];
    }
    for (int d = 0; d < p.npost; d++) {
        k.row_shape[k.row_ndim] = p.post_shape[d];
        k.row_self[k.row_ndim] = p.post_stride[d];
        k.row_other[k.row_ndim++] = strides[p.npre + p.nbroadcast + d];
    }
    return taper__combine_cuda(&k, &at, taper__index_extent(out->ndim, out->shape, out->strides), c->device, "index_put");
}

static taper_status index_infer(taper_call *c) {
    index_plan p;
    TAPER_TRY(index_make_plan(&p, "index", c->args[0].t, &c->args[1]));
    return taper__out(c, 0, (taper_dtype)c->args[0].t->dtype, p.result_ndim, p.result);
}
static taper_status index_cpu(taper_call *c) {
    index_plan p;
    TAPER_TRY(index_make_plan(&p, "index", c->args[0].t, &c->args[1]));
    return index_move(&p, c->args[0].t, c->out[0], true, false);
}
static const taper_kernel index_kernels[] = {{"cpu", TAPER_CPU, NULL, index_cpu}, {"cuda", TAPER_CUDA, NULL, index_gpu}, {0}};
static taper_status index_vjp(taper_vjp *v) {
    taper_scope *s = v->scope;
    v->d[0] = tx_index_put(s, taper__zeros_like(s, v->args[0].t), v->args[1].ts, v->args[1].count, v->grad[0], true);
    return s->status;
}
const taper_op taper_op_index = {
    .infer = index_infer,
    .kernels = index_kernels,
    .vjp = index_vjp,
    .saves = TAPER_SAVE_ARG(1),
    .samples = (const taper_sample[]){{"[5,3], {[4]:i64<5}"}, {"[2,5,3], {-,[2,2]:i64<5}"}, {"[4,5], {[3]:i64<4,[3]:i64<5}"}, {"[3,4,5], {[2]:i64<3,-,[2]:i64<5}"}, {"[5], {[0]:i64<5}"},
                                      {"[2,3], {[2]:i64<2,[2]:i64<2,[2]:i64<2}", .error = "too many indices for tensor of dimension 2"}, {0}},
};

static taper_status index_put_infer(taper_call *c) {
    index_plan p;
    taper_tensor *self = c->args[0].t, *values = c->args[2].t;
    TAPER_TRY(index_make_plan(&p, "index_put", self, &c->args[1]));
    if (values->dtype != self->dtype)
        return TAPER_FAIL(TAPER_RUNTIME, "Index put requires the source and destination dtypes match, got %s for the destination and %s for the source.",
                          taper_dtype_typename((taper_dtype)self->dtype), taper_dtype_typename((taper_dtype)values->dtype));
    bool fits = values->ndim <= p.result_ndim;
    for (int d = 0; fits && d < values->ndim; d++) {
        int64_t want = p.result[p.result_ndim - values->ndim + d];
        fits = values->shape[d] == 1 || values->shape[d] == want;
    }
    if (!fits)
        return TAPER_FAIL(TAPER_RUNTIME, "shape mismatch: value tensor of shape %s cannot be broadcast to indexing result of shape %s", TAPER_SHAPE(values),
                          taper__shape_text(p.result_ndim, p.result).s);
    return taper__out_like(c, 0, (taper_dtype)self->dtype, self);
}
static taper_status index_put_cpu(taper_call *c) {
    taper_status st = TAPER_OK;
    index_plan p;
    taper_tensor *values = NULL;
    if (c->out[0] != c->args[0].t) TAPER_TRY(taper__copy_data(c->out[0], c->args[0].t));
    TAPER_TRY(index_make_plan(&p, "index_put", c->out[0], &c->args[1]));
    TAPER_TRY_GOTO(taper__tensor_empty(&values, (taper_dtype)c->args[2].t->dtype, taper_cpu(), p.result_ndim, p.result, "index_put"));
    TAPER_TRY_GOTO(taper__copy_data(values, c->args[2].t));
    TAPER_TRY_GOTO(index_move(&p, c->out[0], values, false, c->args[3].i));
out:
    taper_tensor_release(values);
    return st;
}
static const taper_kernel index_put_kernels[] = {{"cpu", TAPER_CPU, NULL, index_put_cpu}, {"cuda", TAPER_CUDA, NULL, index_put_gpu}, {0}};
static taper_status index_put_vjp(taper_vjp *v) {
    taper_scope *s = v->scope;
    taper_tensor *const *ts = v->args[1].ts;
    int n = v->args[1].count;
    if (v->need[0]) v->d[0] = v->args[3].i ? v->grad[0] : tx_index_put(s, v->grad[0], ts, n, taper__zeros_like(s, v->args[2].t), false);
    if (v->need[2]) v->d[2] = taper__sum_to(s, tx_index(s, v->grad[0], ts, n), v->args[2].t);
    return s->status;
}
const taper_op taper_op_index_put = {
    .infer = index_put_infer,
    .kernels = index_put_kernels,
    .vjp = index_put_vjp,
    .saves = TAPER_SAVE_ARG(1),
    .samples = (const taper_sample[]){{"[5,3], {[2]:i64<5}, [2,3], true"}, {"[5,3], {[2]:i64<5}, [3], true"}, {"[4,5], {-,[3]:i64<5}, [4,3], true"}, {"[5,3], {[1]:i64<5}, [3]"}, {"[3,2]:nograd, {[5]:i64=(2,0,2,-1,0)}, [5,2]:nograd"},
                                      {"[4,3,2], {[3]:i64=(1,3,1),[3]:i64=(0,2,0)}, [3,2], true"}, {"[7,2], {[2500]:i64<7}, [2500,2], true", .tolerance = 1e-4, .no_grad_check = true /* too many for differences */},
                                                                            {"[5,3], {[2]:i64<5}, [4]", .error = "cannot be broadcast"}, {0}},
};

static taper_status nonzero_compose(taper_call *c, taper_scope *s) {
    taper_tensor *self = c->args[0].t;
    taper_device cpu = taper_cpu(), home = self->device;
    if (home.type == TAPER_CUDA) { /* waits for the count, as torch does */
        taper_tensor *places = NULL;
        TAPER_TRY(taper__nonzero_cuda(&places, self));
        c->nout = 1;
        c->out[0] = places;
        return TAPER_OK;
    }
    taper_tensor *flat = tx_contiguous(s, tx_to(s, self, &cpu, TAPER_BOOL, false, false)), *t = NULL;
    if (!flat) return s->status;
    const uint8_t *p = taper__data(flat);
    int64_t count = 0, shape[2] = {0, self->ndim};
    for (int64_t i = 0; i < flat->numel; i++) count += p[i];
    shape[0] = count;
    TAPER_TRY(taper__tensor_empty(&t, TAPER_I64, cpu, 2, shape, "nonzero"));
    int64_t *o = taper__data(t);
    for (int64_t i = 0; i < flat->numel; i++) {
        if (!p[i]) continue;
        int64_t rest = i;
        for (int d = self->ndim - 1; d >= 0; d--) {
            o[d] = rest % self->shape[d];
            rest /= self->shape[d];
        }
        o += self->ndim;
    }
    c->nout = 1;
    c->out[0] = taper_scope_keep(s, tx_to(s, taper_scope_own(s, t), &home, TAPER_DTYPE_NONE, false, false));
    return s->status;
}
const taper_op taper_op_nonzero = {.compose = nonzero_compose, .samples = (const taper_sample[]){{"[3,4]:bool"}, {"[5]:i64<2"}, {"[60,70,3]:i8<2"}, {"[]:bool"}, {"[0]"}, {0}}};

static taper_status masked_select_compose(taper_call *c, taper_scope *s) {
    taper_tensor *both[2] = {c->args[0].t, c->args[1].t};
    int n;
    int64_t shape[TAPER_MAX_DIMS];
    if (both[1]->dtype != TAPER_BOOL) return TAPER_FAIL(TAPER_RUNTIME, "masked_select: expected BoolTensor for mask, got %s", TAPER_TEXT(both[1]));
    TAPER_TRY(taper__broadcast(&n, shape, both, 2, "masked_select"));
    taper_index_item item = {.kind = TAPER_INDEX_TENSOR};
    taper_tensor *r = NULL;
    int64_t one = 1;
    taper_tensor *self = tx_expand(s, both[0], n ? shape : &one, n ? n : 1);
    item.t = tx_expand(s, both[1], n ? shape : &one, n ? n : 1);
    TAPER_TRY(s->status);
    TAPER_TRY(taper_index_get(&r, self, &item, 1));
    c->nout = 1;
    c->out[0] = r;
    return TAPER_OK;
}
const taper_op taper_op_masked_select = {
    .compose = masked_select_compose, .samples = (const taper_sample[]){{"[3,4], [3,4]:bool"}, {"[3,4], [4]:bool"}, {"[2], [2]:i64<2", .error = "expected BoolTensor"}, {0}}};
