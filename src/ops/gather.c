/* gather and scatter along one dim; one_hot. */
#include "ops/gather.h"
#include "ops/index_cuda.h"

taper_status taper__gather_check(const char *op, const taper_tensor *self, const taper_tensor *index, const taper_tensor *src, int64_t dim_arg, int *dim) {
    TAPER_TRY(taper__wrap_dim(dim, dim_arg, self->ndim, op));
    if (index->dtype != TAPER_I64) return TAPER_FAIL(TAPER_RUNTIME, "%s(): Expected dtype int64 for index, got %s", op, TAPER_TEXT(index));
    if (!index->numel) return TAPER_OK;
    if ((index->ndim ? index->ndim : 1) != (self->ndim ? self->ndim : 1))
        return TAPER_FAIL(TAPER_RUNTIME, "Index tensor must have the same number of dimensions as input tensor: %s and %s", TAPER_SHAPE(index), TAPER_SHAPE(self));
    if (src && (index->ndim ? index->ndim : 1) != (src->ndim ? src->ndim : 1))
        return TAPER_FAIL(TAPER_RUNTIME, "Index tensor must have the same number of dimensions as src tensor: %s and %s", TAPER_SHAPE(index), TAPER_SHAPE(src));
    for (int d = 0; d < index->ndim && d < self->ndim; d++) {
        bool big = d != *dim && index->shape[d] > self->shape[d];
        if (big || (src && src->ndim == index->ndim && index->shape[d] > src->shape[d]))
            return TAPER_FAIL(TAPER_RUNTIME, "Size does not match at dimension %d expected index %s to be no larger than self %s apart from dimension %d%s%s", d,
                              TAPER_SHAPE(index), TAPER_SHAPE(self), *dim, src ? " and to be no larger size than src " : "", src ? TAPER_SHAPE(src) : "");
    }
    return TAPER_OK;
}

typedef struct gather_job {
    taper_gather_what what;
    taper_dtype dtype;
    int ndim, dim, last; /* last: the dim of the inner loop, another one than dim unless there is only one */
    int64_t shape[TAPER_MAX_DIMS], index[TAPER_MAX_DIMS], self[TAPER_MAX_DIMS], other[TAPER_MAX_DIMS];
    int64_t size, blocks, units;
    char *self_data, *other_data;
    const int64_t *index_data;
    _Atomic int64_t bad; /* a position out of bounds, -1: none */
} gather_job;

enum { GATHER_BLOCK = 512 };

#define GATHER_STEP(type, action)                                                                                      \
    do {                                                                                                               \
        type *s = (type *)sp;                                                                                          \
        type *o = (type *)op;                                                                                          \
        for (int64_t x = 0; x < n; x++) {                                                                              \
            int64_t k = ip[x * di];                                                                                    \
            if (TAPER_UNLIKELY((uint64_t)k >= (uint64_t)j->size)) {                                                    \
                j->bad = ip + x * di - j->index_data;                                                                  \
                return;                                                                                                \
            }                                                                                                          \
            type *a = s + x * ds + k * along, *b = o + x * dp;                                                         \
            action;                                                                                                    \
        }                                                                                                              \
    } while (0)
#define GATHER_MOVE(type)                                                                                              \
    if (j->what == TAPER_GATHER) GATHER_STEP(type, *b = *a);                                                           \
    else GATHER_STEP(type, *a = *b)
#define GATHER_REDUCE(type)                                                                                            \
    if (j->what == TAPER_SCATTER_ADD) GATHER_STEP(type, *a = (type)(*a + *b));                                         \
    else if (j->what == TAPER_SCATTER_MUL) GATHER_STEP(type, *a = (type)(*a * *b));                                    \
    else if (j->what == TAPER_SCATTER_MAX) GATHER_STEP(type, *a = *b > *a || *b != *b ? *b : *a);                      \
    else GATHER_STEP(type, *a = *b < *a || *b != *b ? *b : *a)
#define GATHER_BOOL(action) GATHER_STEP(uint8_t, action)

/* n elements of the inner loop; steps in elements; `along`: of self along dim. */
static void gather_inner(gather_job *j, char *sp, char *op, const int64_t *ip, int64_t n, int64_t ds, int64_t dp, int64_t di, int64_t along) {
    if (j->what <= TAPER_SCATTER) {
        switch (taper_dtype_size(j->dtype)) {
        case 1: GATHER_MOVE(uint8_t); return;
        case 2: GATHER_MOVE(uint16_t); return;
        case 4: GATHER_MOVE(uint32_t); return;
        default: GATHER_MOVE(uint64_t); return;
        }
    }
    switch (j->dtype) { /* on the dtype */
    case TAPER_F32: GATHER_REDUCE(float); return;
    case TAPER_F64: GATHER_REDUCE(double); return;
    case TAPER_I64: GATHER_REDUCE(int64_t); return;
    case TAPER_I32: GATHER_REDUCE(int32_t); return;
    case TAPER_I16: GATHER_REDUCE(int16_t); return;
    case TAPER_I8: GATHER_REDUCE(int8_t); return;
    case TAPER_U8: GATHER_REDUCE(uint8_t); return;
    default:
        if (j->what == TAPER_SCATTER_ADD || j->what == TAPER_SCATTER_MAX) GATHER_BOOL(*a = *a | *b);
        else GATHER_BOOL(*a = *a & *b);
    }
}

/* A unit fixes all dims but `dim` and a block of `last`: units never meet in self, and in one the order is that of index. */
static void gather_units(void *ctx, int64_t begin, int64_t end) {
    gather_job *j = ctx;
    int64_t e = (int64_t)taper_dtype_size(j->dtype);
    for (int64_t unit = begin; unit < end && j->bad < 0; unit++) {
        int64_t rest = unit / j->blocks, block = unit % j->blocks, i = 0, s = 0, o = 0;
        for (int d = j->ndim - 1; d >= 0; d--) {
            if (d == j->dim || d == j->last) continue;
            int64_t at = rest % j->shape[d];
            rest /= j->shape[d];
            i += at * j->index[d];
            s += at * j->self[d];
            o += at * j->other[d];
        }
        if (j->last == j->dim) {
            gather_inner(j, j->self_data + s * e, j->other_data + o * e, j->index_data + i, j->shape[j->dim], 0, j->other[j->dim], j->index[j->dim], j->self[j->dim]);
            continue;
        }
        int64_t first = block * GATHER_BLOCK, n = j->shape[j->last] - first < GATHER_BLOCK ? j->shape[j->last] - first : GATHER_BLOCK;
        i += first * j->index[j->last];
        s += first * j->self[j->last];
        o += first * j->other[j->last];
        for (int64_t r = 0; r < j->shape[j->dim]; r++)
            gather_inner(j, j->self_data + s * e, j->other_data + (o + r * j->other[j->dim]) * e, j->index_data + i + r * j->index[j->dim], n, j->self[j->last],
                         j->other[j->last], j->index[j->last], j->self[j->dim]);
    }
}

taper_status taper__gather_move(taper_tensor *self, const taper_tensor *index, taper_tensor *other, int dim, taper_gather_what what) {
    if (!index->numel) return TAPER_OK;
    gather_job j = {.what = what, .dtype = (taper_dtype)self->dtype, .ndim = index->ndim ? index->ndim : 1, .dim = dim, .size = self->ndim ? self->shape[dim] : 1, .blocks = 1, .units = 1};
    j.self_data = taper__data(self);
    j.other_data = taper__data(other);
    j.index_data = taper__data(index);
    j.bad = -1;
    j.shape[0] = 1;
    for (int d = 0; d < index->ndim; d++) {
        j.shape[d] = index->shape[d];
        j.index[d] = index->strides[d];
        j.self[d] = self->ndim ? self->strides[d] : 0;
        j.other[d] = other->ndim ? other->strides[d] : 0;
    }
    j.last = j.ndim - 1;
    if (j.last == dim && j.ndim > 1 && j.shape[dim] < 8 && j.shape[j.ndim - 2] > 8) j.last = j.ndim - 2; /* the longer inner loop */
    for (int d = 0; d < j.ndim; d++)
        if (d != dim && d != j.last) j.units *= j.shape[d];
    if (j.last != dim) j.blocks = (j.shape[j.last] + GATHER_BLOCK - 1) / GATHER_BLOCK;
    j.units *= j.blocks;
    taper__parallel_for(j.units, 1 + 16384 * j.units / index->numel, gather_units, &j);
    if (j.bad >= 0)
        return TAPER_FAIL(TAPER_RUNTIME, "index %lld is out of bounds for dimension %d with size %lld", (long long)j.index_data[j.bad], dim, (long long)j.size);
    return TAPER_OK;
}

static taper_status gather_infer(taper_call *c) {
    int dim;
    TAPER_TRY(taper__gather_check("gather", c->args[0].t, c->args[2].t, NULL, c->args[1].i, &dim));
    TAPER_TRY(taper__need_same_device(c));
    return taper__out(c, 0, (taper_dtype)c->args[0].t->dtype, c->args[2].t->ndim, c->args[2].t->shape);
}
static taper_status gather_cpu(taper_call *c) {
    int dim;
    TAPER_TRY(taper__wrap_dim(&dim, c->args[1].i, c->args[0].t->ndim, "gather"));
    return taper__gather_move(c->args[0].t, c->args[2].t, c->out[0], dim, TAPER_GATHER);
}
static const taper_kernel gather_kernels[] = {{"cpu", TAPER_CPU, NULL, gather_cpu}, {"cuda", TAPER_CUDA, NULL, taper__gather_cuda}, {0}};
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
    .samples = (const taper_sample[]){{"[3,4], 0, [2,4]:i64<3"}, {"[3,4], -1, [3,2]:i64<4"}, {"[5], 0, [0]:i64<5"}, {"[2,3,4], 1, [2,2,3]:i64<3"}, {"[12,3], 1, [12,2]:i64<3"}, {"[], 0, []:i64=(0)"},
                                      {"[3,4], 1, [4,2]:i64<4", .error = "Size does not match at dimension 0"}, {"[3], 0, [1]:i64=(-1)", .error = "index -1 is out of bounds for dimension 0 with size 3"},
                                      {"[3], 0, [1]:i32<3", .error = "Expected dtype int64"}, {"[3,4], 0, [2]:i64<3", .error = "same number of dimensions"}, {0}},
};

static taper_status one_hot_compose(taper_call *c, taper_scope *s) {
    taper_tensor *self = c->args[0].t;
    taper_device cpu = taper_cpu();
    int64_t classes = c->args[1].i, most = -1, least = 0, shape[TAPER_MAX_DIMS];
    if (self->dtype != TAPER_I64) return TAPER_FAIL(TAPER_RUNTIME, "one_hot is only applicable to index tensor of type LongTensor, got %s.", TAPER_TEXT(self));
    if (self->ndim == TAPER_MAX_DIMS) return TAPER_FAIL(TAPER_VALUE, "one_hot: at most %d dims", TAPER_MAX_DIMS);
    if (self->numel == 0 && classes <= 0) return TAPER_FAIL(TAPER_RUNTIME, "Can not infer total number of classes from empty tensor.");
    if (self->device.type == TAPER_META) {
        if (classes < 0) return TAPER_FAIL(TAPER_NOT_IMPLEMENTED, "one_hot: on meta there are no values to count the classes of; give num_classes");
    } else if (self->device.type == TAPER_CUDA) { /* classes beyond num_classes are found by the kernel that writes */
        if (classes < 0) {
            taper_tensor *top = tx_max(s, self);
            TAPER_TRY(s->status);
            TAPER_TRY(taper_tensor_item_int(top, &most));
        }
    } else {
        taper_tensor *host = tx_contiguous(s, tx_to(s, self, &cpu, TAPER_DTYPE_NONE, false, false));
        if (!host) return s->status;
        for (int64_t i = 0; i < host->numel; i++) {
            int64_t k = ((const int64_t *)taper__data(host))[i];
            most = k > most ? k : most;
            least = k < least ? k : least;
        }
    }
    if (least < 0) return TAPER_FAIL(TAPER_RUNTIME, "Class values must be non-negative.");
    if (classes < 0) classes = most + 1;
    if (most >= classes) return TAPER_FAIL(TAPER_RUNTIME, "Class values must be smaller than num_classes.");
    memcpy(shape, self->shape, sizeof shape);
    shape[self->ndim] = classes;
    taper_tensor *zero = tx_zeros(s, shape, self->ndim + 1, TAPER_I64, &self->device);
    c->nout = 1;
    c->out[0] = taper_scope_keep(s, tx_scatter_value(s, zero, -1, tx_unsqueeze(s, self, -1), taper_int(1)));
    return s->status;
}
const taper_op taper_op_one_hot = {
    .compose = one_hot_compose,
    .samples = (const taper_sample[]){{"[4]:i64<3, 3"}, {"[2,3]:i64<5"}, {"[]:i64<5"}, {"[0]:i64, 3"}, {"[4]:i64<3, 1", .error = "smaller than num_classes"},
                                      {"[4]:i32<3, 3", .error = "type LongTensor"}, {"[0]:i64", .error = "from empty tensor"}, {0}}};
