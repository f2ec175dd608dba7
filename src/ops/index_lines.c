/* Slices along one dim chosen by a 1-D index: index_select, index_add, index_copy, index_fill. */
#include "ops/index_cuda.h"

/* self seen as (outer, n, inner). */
typedef struct lines_job {
    char *self, *other;    /* other: (outer, k, inner), the result of select or the source */
    const taper_tensor *index;
    int64_t outer, n, k, inner, e;
    double alpha;
    int64_t ialpha;
    taper_dtype dtype;
    bool one; /* other is one element */
} lines_job;

static int64_t lines_at(const taper_tensor *index, int64_t i) {
    return index->dtype == TAPER_I64 ? ((const int64_t *)taper__data(index))[i] : ((const int32_t *)taper__data(index))[i];
}

static taper_status lines_check(const char *op, const taper_tensor *self, int64_t dim_arg, const taper_tensor *index, int *dim) {
    TAPER_TRY(taper__wrap_dim(dim, dim_arg, self->ndim, op));
    if (index->ndim > 1) return TAPER_FAIL(TAPER_INDEX, "%s(): Index is supposed to be a vector, got %s", op, TAPER_TEXT(index));
    if (index->dtype != TAPER_I64 && index->dtype != TAPER_I32) return TAPER_FAIL(TAPER_RUNTIME, "%s(): Expected dtype int32 or int64 for index, got %s", op, TAPER_TEXT(index));
    return TAPER_OK;
}

/* Negative positions do not count from the end here, as in torch; index_fill is the exception. */
static taper_status lines_bounds(const char *op, const lines_job *j, int dim, bool wrap) {
    for (int64_t i = 0; i < j->k; i++) {
        int64_t at = lines_at(j->index, i);
        if (at < (wrap ? -j->n : 0) || at >= j->n)
            return TAPER_FAIL(TAPER_INDEX, "%s(): index %lld is out of bounds for dimension %d with size %lld", op, (long long)at, dim, (long long)j->n);
    }
    return TAPER_OK;
}

static lines_job lines_make(taper_tensor *self, const taper_tensor *index, taper_tensor *other, int dim) {
    lines_job j = {.self = taper__data(self), .other = other ? taper__data(other) : NULL, .index = index, .outer = 1, .inner = 1, .k = index->numel, .dtype = (taper_dtype)self->dtype};
    j.e = (int64_t)taper_dtype_size(j.dtype);
    j.n = self->ndim ? self->shape[dim] : 1;
    for (int d = 0; d < dim; d++) j.outer *= self->shape[d];
    for (int d = dim + 1; d < self->ndim; d++) j.inner *= self->shape[d];
    return j;
}

/* ---- index_select ---- */

#define LINES_PICK(type)                                                                                               \
    for (int64_t i = 0; i < last - first; i++) ((type *)o)[i] = ((const type *)p)[lines_at(j->index, first + i)]
static void lines_select(void *ctx, int64_t begin, int64_t end) {
    const lines_job *j = ctx;
    int64_t row = j->inner * j->e;
    for (int64_t r = begin; r < end;) {
        int64_t outer = r / j->k, first = r % j->k, last = first + (end - r) < j->k ? first + (end - r) : j->k;
        const char *p = j->self + outer * j->n * row;
        char *o = j->other + r * row;
        if (row == 4) LINES_PICK(uint32_t);
        else if (row == 8) LINES_PICK(uint64_t);
        else if (row == 2) LINES_PICK(uint16_t);
        else
            for (int64_t i = first; i < last; i++, o += row) memcpy(o, p + lines_at(j->index, i) * row, (size_t)row);
        r += last - first;
    }
}

static taper_status index_select_infer(taper_call *c) {
    const taper_tensor *self = c->args[0].t, *index = c->args[2].t;
    int dim;
    int64_t shape[TAPER_MAX_DIMS];
    TAPER_TRY(lines_check("index_select", self, c->args[1].i, index, &dim));
    TAPER_TRY(taper__need_same_device(c));
    memcpy(shape, self->shape, sizeof shape);
    if (self->ndim) shape[dim] = index->numel;
    else if (index->numel != 1) return TAPER_FAIL(TAPER_INDEX, "index_select(): Index to scalar can have only 1 value, got %lld value(s)", (long long)index->numel);
    return taper__out(c, 0, (taper_dtype)self->dtype, self->ndim, shape);
}
static taper_status index_select_cpu(taper_call *c) {
    taper_tensor *self = c->args[0].t;
    int dim;
    TAPER_TRY(taper__wrap_dim(&dim, c->args[1].i, self->ndim, "index_select"));
    lines_job j = lines_make(self, c->args[2].t, c->out[0], dim);
    TAPER_TRY(lines_bounds("index_select", &j, dim, false));
    if (c->out[0]->numel) taper__parallel_for(j.outer * j.k, 1 + 16384 / j.inner, lines_select, &j);
    return TAPER_OK;
}
static taper_status index_select_gpu(taper_call *c) {
    int dim;
    TAPER_TRY(taper__wrap_dim(&dim, c->args[1].i, c->args[0].t->ndim, "index_select"));
    return taper__index_select_cuda(c->out[0], c->args[0].t, c->args[2].t, dim, "index_select");
}
static const taper_kernel index_select_kernels[] = {{"cpu", TAPER_CPU, NULL, index_select_cpu}, {"cuda", TAPER_CUDA, NULL, index_select_gpu}, {0}};
static taper_status index_select_vjp(taper_vjp *v) {
    taper_scope *s = v->scope;
    v->d[0] = tx_index_add(s, taper__zeros_like(s, v->args[0].t), v->args[1].i, v->args[2].t, v->grad[0], taper_int(1));
    return s->status;
}
const taper_op taper_op_index_select = {
    .infer = index_select_infer,
    .kernels = index_select_kernels,
    .vjp = index_select_vjp,
    .saves = TAPER_SAVE_ARG(2),
    .contiguous = 5,
    .samples = (const taper_sample[]){{"[5,3], 0, [4]:i64<5"}, {"[2,5], -1, [3]:i64<5"}, {"[2,5,3], 1, [4]:i32<5"}, {"[6,8], 0, [40]:i64<6"}, {"[5], 0, []:i64<5"}, {"[], 0, [1]:i64=(0)"}, {"[5,2], 0, [0]:i64"},
                                      {"[5], 0, [2,2]:i64<5", .error = "supposed to be a vector"}, {"[5], 0, [1]:i64=(5)", .error = "index 5 is out of bounds for dimension 0 with size 5"},
                                      {"[5], 0, [2]:f32:nograd", .error = "Expected dtype int32 or int64"}, {0}},
};

/* ---- index_add, index_copy, index_fill: into a contiguous result, slices in the order of index ---- */

#define LINES_ADD(type, alpha_value)                                                                                   \
    do {                                                                                                               \
        type *o = (type *)s;                                                                                           \
        const type *p = (const type *)q, alpha = (type)(alpha_value);                                                  \
        if (alpha == 1)                                                                                                \
            for (int64_t x = from; x < to; x++) o[x] += p[x];                                                          \
        else                                                                                                           \
            for (int64_t x = from; x < to; x++) o[x] += alpha * p[x];                                                  \
    } while (0)

static void lines_add_row(const lines_job *j, char *s, const char *q, int64_t from, int64_t to) {
    switch (j->dtype) { /* on the dtype */
    case TAPER_F32: LINES_ADD(float, j->alpha); break;
    case TAPER_F64: LINES_ADD(double, j->alpha); break;
    case TAPER_I64: LINES_ADD(int64_t, j->ialpha); break;
    case TAPER_I32: LINES_ADD(int32_t, j->ialpha); break;
    case TAPER_I16: LINES_ADD(int16_t, j->ialpha); break;
    case TAPER_I8: LINES_ADD(int8_t, j->ialpha); break;
    case TAPER_U8: LINES_ADD(uint8_t, j->ialpha); break;
    default:
        for (int64_t x = from; x < to; x++) s[x] = s[x] || (j->ialpha && q[x]); /* bool */
    }
}

/* Parts are (outer, block of inner): no two of them share an element. */
enum { LINES_BLOCK = 1024 };
typedef struct lines_write {
    lines_job j;
    int64_t blocks;
    int what; /* 0 add, 1 copy, 2 fill */
} lines_write;

static void lines_write_range(void *ctx, int64_t begin, int64_t end) {
    const lines_write *w = ctx;
    const lines_job *j = &w->j;
    for (int64_t part = begin; part < end; part++) {
        int64_t outer = part / w->blocks, from = part % w->blocks * LINES_BLOCK, to = from + LINES_BLOCK < j->inner ? from + LINES_BLOCK : j->inner;
        for (int64_t i = 0; i < j->k; i++) {
            int64_t at = lines_at(j->index, i);
            char *s = j->self + (outer * j->n + (at < 0 ? at + j->n : at)) * j->inner * j->e;
            const char *q = j->other + (j->one ? 0 : (outer * j->k + i) * j->inner * j->e);
            if (w->what == 0)
                lines_add_row(j, s, q, from, to);
            else if (w->what == 1)
                memcpy(s + from * j->e, q + from * j->e, (size_t)((to - from) * j->e));
            else
                for (int64_t x = from; x < to; x++) memcpy(s + x * j->e, q, (size_t)j->e);
        }
    }
}

static taper_status lines_update(taper_call *c, int what, taper_tensor *source, const char *element) {
    taper_status st = TAPER_OK;
    taper_tensor *out = c->out[0], *packed = NULL, *self = out;
    int dim;
    TAPER_TRY(taper__wrap_dim(&dim, c->args[1].i, out->ndim, c->row->name));
    if (!out->contiguous) {
        TAPER_TRY(taper__tensor_empty(&packed, (taper_dtype)out->dtype, taper_cpu(), out->ndim, out->shape, c->row->name));
        self = packed;
    }
    if (self != c->args[0].t) TAPER_TRY_GOTO(taper__copy_data(self, c->args[0].t));
    lines_write w = {lines_make(self, c->args[2].t, source, dim), 1, what};
    if (element) {
        w.j.other = (char *)element;
        w.j.one = true;
    }
    if (what == 0) {
        w.j.alpha = taper_arg_double(&c->args[4]);
        w.j.ialpha = c->args[4].kind == TAPER_ARG_FLOAT ? (int64_t)c->args[4].f : c->args[4].i;
    }
    TAPER_TRY_GOTO(lines_bounds(c->row->name, &w.j, dim, what == 2));
    w.blocks = (w.j.inner + LINES_BLOCK - 1) / LINES_BLOCK;
    if (w.j.k && self->numel) taper__parallel_for(w.j.outer * w.blocks, 1 + 16384 / (w.j.k * (w.j.inner < LINES_BLOCK ? w.j.inner : LINES_BLOCK)), lines_write_range, &w);
    if (packed) st = taper__copy_data(out, packed);
out:
    taper_tensor_release(packed);
    return st;
}

static taper_status lines_source_infer(taper_call *c) {
    const taper_tensor *self = c->args[0].t, *index = c->args[2].t, *source = c->args[3].t;
    const char *op = c->row->name;
    int dim;
    TAPER_TRY(lines_check(op, self, c->args[1].i, index, &dim));
    TAPER_TRY(taper__need_same_device(c));
    if (self->dtype != source->dtype)
        return TAPER_FAIL(TAPER_RUNTIME, "%s(): self (%s) and source (%s) must have the same scalar type", op, TAPER_TEXT(self), TAPER_TEXT(source));
    bool fits = self->ndim == source->ndim || (self->ndim < 2 && source->ndim < 2 && self->numel == 1);
    if (fits && source->ndim && source->shape[dim] != index->numel)
        return TAPER_FAIL(TAPER_INDEX, "%s(): Number of indices (%lld) should be equal to source.size(dim): (%lld), for dim: %d", op, (long long)index->numel, (long long)source->shape[dim], dim);
    for (int d = 0; fits && d < self->ndim && source->ndim; d++) fits = d == dim || self->shape[d] == source->shape[d];
    if (!fits)
        return TAPER_FAIL(TAPER_RUNTIME, "source tensor shape must match self tensor shape, excluding the specified dimension. Got self.shape = %s source.shape = %s", TAPER_SHAPE(self),
                          TAPER_SHAPE(source));
    return taper__out(c, 0, (taper_dtype)self->dtype, self->ndim, self->shape);
}

static taper_status index_add_cpu(taper_call *c) { return lines_update(c, 0, c->args[3].t, NULL); }
static taper_status index_add_gpu(taper_call *c) { return taper__index_lines_cuda(c, TAPER_LINES_ADD); }
static const taper_kernel index_add_kernels[] = {{"cpu", TAPER_CPU, NULL, index_add_cpu}, {"cuda", TAPER_CUDA, NULL, index_add_gpu}, {0}};
static taper_status index_add_vjp(taper_vjp *v) {
    taper_scope *s = v->scope;
    v->d[0] = v->grad[0];
    if (v->need[3]) {
        taper_tensor *g = tx_index_select(s, v->grad[0], v->args[1].i, v->args[2].t);
        double alpha = taper_arg_double(&v->args[4]);
        if (alpha != 1) g = tx_mul(s, g, taper__number(s, alpha));
        if (g && g->ndim != v->args[3].t->ndim) g = tx_view(s, g, v->args[3].t->shape, v->args[3].t->ndim);
        v->d[3] = g;
    }
    return s->status;
}
const taper_op taper_op_index_add = {
    .infer = lines_source_infer,
    .kernels = index_add_kernels,
    .vjp = index_add_vjp,
    .saves = TAPER_SAVE_ARG(2),
    .contiguous = 12,
    .upcast = true,
    .over_self = true,
    .samples = (const taper_sample[]){{"[5,3], 0, [4]:i64<5, [4,3]"}, {"[2,5,3], 1, [7]:i32<5, [2,7,3], alpha=2.5"}, {"[5], 0, [3]:i64<5, [3]"}, {"[6,2], 0, [2500]:i64<6, [2500,2]", .tolerance = 1e-4, .no_grad_check = true /* as many sums as rounding shows */}, {"[4]:i64, 0, [3]:i64<4, [3]:i64, alpha=2"},
                                      {"[9,300], 0, [700]:i64<9, [700,300]", .tolerance = 1e-4, .large = true}, {"[900,200], 0, [700]:i64<900, [700,200]", .large = true},
                                      {"[5,3], 1, [0]:i64, [5,0]"}, {"[5,3], 0, [2]:i64<5, [3,3]", .error = "Number of indices (2) should be equal to source.size(dim): (3)"},
                                      {"[5,3], 0, [2]:i64<5, [2,2]", .error = "Got self.shape = [5, 3] source.shape = [2, 2]"}, {"[3], 0, [1]:i64=(3), [1]", .error = "index 3 is out of bounds"}, {0}},
};

static taper_status index_copy_cpu(taper_call *c) { return lines_update(c, 1, c->args[3].t, NULL); }
static taper_status index_copy_gpu(taper_call *c) { return taper__index_lines_cuda(c, TAPER_LINES_COPY); }
static const taper_kernel index_copy_kernels[] = {{"cpu", TAPER_CPU, NULL, index_copy_cpu}, {"cuda", TAPER_CUDA, NULL, index_copy_gpu}, {0}};
static taper_status index_copy_vjp(taper_vjp *v) {
    taper_scope *s = v->scope;
    if (v->need[0]) v->d[0] = tx_index_fill(s, v->grad[0], v->args[1].i, v->args[2].t, taper_int(0));
    if (v->need[3]) {
        v->d[3] = tx_index_select(s, v->grad[0], v->args[1].i, v->args[2].t);
        if (v->d[3] && v->d[3]->ndim != v->args[3].t->ndim) v->d[3] = tx_view(s, v->d[3], v->args[3].t->shape, v->args[3].t->ndim);
    }
    return s->status;
}
const taper_op taper_op_index_copy = {
    .infer = lines_source_infer,
    .kernels = index_copy_kernels,
    .vjp = index_copy_vjp,
    .saves = TAPER_SAVE_ARG(2),
    .contiguous = 12,
    .over_self = true,
    .samples = (const taper_sample[]){{"[5,3], 0, [2]:i64=(3,1), [2,3]"}, {"[2,5], 1, [3]:i64=(4,0,2), [2,3]"}, {"[3,2]:nograd, 0, [4]:i64=(2,0,2,0), [4,2]:nograd"}, {"[5], 0, [2]:i64<5, [3]", .error = "Number of indices (2)"}, {0}},
};

static taper_status index_fill_infer(taper_call *c) {
    const taper_tensor *self = c->args[0].t;
    int dim;
    TAPER_TRY(lines_check("index_fill_", self, c->args[1].i, c->args[2].t, &dim));
    return taper__out(c, 0, (taper_dtype)self->dtype, self->ndim, self->shape);
}
static taper_status index_fill_cpu(taper_call *c) {
    char element[8];
    taper_dtype dtype = (taper_dtype)c->out[0]->dtype;
    if (c->args[3].kind == TAPER_ARG_FLOAT) taper__store_double(element, dtype, c->args[3].f);
    else taper__store_int(element, dtype, c->args[3].i);
    return lines_update(c, 2, NULL, element);
}
static taper_status index_fill_gpu(taper_call *c) { return taper__index_lines_cuda(c, TAPER_LINES_FILL); }
static const taper_kernel index_fill_kernels[] = {{"cpu", TAPER_CPU, NULL, index_fill_cpu}, {"cuda", TAPER_CUDA, NULL, index_fill_gpu}, {0}};
static taper_status index_fill_vjp(taper_vjp *v) {
    v->d[0] = tx_index_fill(v->scope, v->grad[0], v->args[1].i, v->args[2].t, taper_int(0));
    return v->scope->status;
}
const taper_op taper_op_index_fill = {
    .infer = index_fill_infer,
    .kernels = index_fill_kernels,
    .vjp = index_fill_vjp,
    .saves = TAPER_SAVE_ARG(2),
    .contiguous = 4,
    .over_self = true,
    .samples = (const taper_sample[]){{"[5,3], 0, [2]:i64<5, 1.5"}, {"[2,5], 1, [2]:i64=(-1,0), 2"}, {"[5,3], 0, [0]:i64, 1"}, {"[3], 0, [1]:i64=(3), 1", .error = "index 3 is out of bounds"}, {0}},
};

static taper_status index_fill_tensor_compose(taper_call *c, taper_scope *s) {
    taper_tensor *self = c->args[0].t, *value = c->args[3].t, *t = NULL;
    if (value->ndim) return TAPER_FAIL(TAPER_RUNTIME, "index_fill_ only supports a 0-dimensional value tensor, but got tensor with %d dimension(s), shape %s.", value->ndim, TAPER_SHAPE(value));
    int dim;
    int64_t shape[TAPER_MAX_DIMS];
    TAPER_TRY(lines_check("index_fill_", self, c->args[1].i, c->args[2].t, &dim));
    memcpy(shape, self->shape, sizeof shape);
    if (self->ndim) shape[dim] = c->args[2].t->numel;
    value = tx_expand(s, tx_to(s, value, NULL, (taper_dtype)self->dtype, false, false), shape, self->ndim);
    t = tx_index_copy(s, self, dim, c->args[2].t, value);
    c->nout = 1;
    c->out[0] = taper_scope_keep(s, t);
    return s->status;
}
const taper_op taper_op_index_fill_tensor = {
    .compose = index_fill_tensor_compose,
    .samples = (const taper_sample[]){{"[5,3], 0, [2]:i64=(3,0), []"}, {"[3], 0, [1]:i64=(1), [1]", .error = "only supports a 0-dimensional value tensor"}, {0}},
};
