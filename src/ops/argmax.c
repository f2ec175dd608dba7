/* Places of the largest and smallest values: argmax, argmin, max and min along a dim. The first of equals is taken; NaN
 * wins. */
#include "ops/reduce_cuda.h"
#include "ops/vjp_expr.h"

/* self seen as [outer, n, inner] around the dim; without a dim as [1, numel, 1]. Contiguous. */
typedef struct best_job {
    const taper_tensor *self;
    taper_tensor *values, *places; /* values may be NULL */
    const taper_reduce_loops *loops;
    taper_dtype real;
    int64_t n, inner, blocks;
    bool smallest;
} best_job;

enum { BEST_COLUMNS = 128 };

/* One lane after another: its extreme, then where that is. */
static void best_lanes(void *ctx, int64_t begin, int64_t end) {
    const best_job *j = ctx;
    _Alignas(64) char buffer[TAPER_REDUCE_BLOCK * 8];
    taper_dtype from = (taper_dtype)j->self->dtype;
    int64_t size = (int64_t)taper_dtype_size(from), *places = taper__data(j->places);
    bool direct = from == j->real;
    taper_reduce_kind kind = j->smallest ? TAPER_REDUCE_MIN : TAPER_REDUCE_MAX;
    for (int64_t o = begin; o < end; o++) {
        const char *lane = (const char *)taper__data(j->self) + o * j->n * size;
        int64_t acc, place = 0, step = direct ? j->n : TAPER_REDUCE_BLOCK;
        j->loops->first(&acc, kind, 1);
        for (int pass = 0; pass < 2; pass++)
            for (int64_t at = 0; at < j->n; at += step) {
                int64_t n = j->n - at < step ? j->n - at : step;
                const void *x = lane + at * size;
                if (!direct) {
                    taper__convert(buffer, j->real, 1, x, from, 1, n);
                    x = buffer;
                }
                if (pass == 0) {
                    j->loops->run[kind](&acc, x, n, 0, 0);
                    continue;
                }
                int64_t found = j->loops->find(x, n, &acc);
                if (found == n) continue;
                place = at + found;
                break;
            }
        places[o] = place;
        if (j->values) memcpy((char *)taper__data(j->values) + o * size, lane + place * size, (size_t)size);
    }
}

/* Columns side by side: row after row against the best so far. */
static void best_columns(void *ctx, int64_t begin, int64_t end) {
    const best_job *j = ctx;
    _Alignas(64) char best[BEST_COLUMNS * 8], row[BEST_COLUMNS * 8];
    int32_t index[BEST_COLUMNS];
    taper_dtype from = (taper_dtype)j->self->dtype;
    int64_t size = (int64_t)taper_dtype_size(from), *places = taper__data(j->places);
    for (int64_t item = begin; item < end; item++) {
        int64_t outer = item / j->blocks, col = item % j->blocks * BEST_COLUMNS;
        int cols = (int)(j->inner - col < BEST_COLUMNS ? j->inner - col : BEST_COLUMNS);
        const char *x = (const char *)taper__data(j->self) + (outer * j->n * j->inner + col) * size;
        taper__convert(best, j->real, 1, x, from, 1, cols);
        memset(index, 0, sizeof index);
        for (int64_t i = 1; i < j->n; i++) {
            const void *p = x + i * j->inner * size;
            if (from != j->real) {
                taper__convert(row, j->real, 1, p, from, 1, cols);
                p = row;
            }
            j->loops->best(best, index, p, cols, (int32_t)i, j->smallest);
        }
        int64_t at = outer * j->inner + col;
        taper__convert(places + at, TAPER_I64, 1, index, TAPER_I32, 1, cols);
        if (j->values) taper__convert((char *)taper__data(j->values) + at * size, from, 1, best, j->real, 1, cols);
    }
}

static taper_status best_run(const taper_call *c, taper_tensor *values, taper_tensor *places, const taper_arg *dim, bool smallest) {
    const taper_tensor *self = c->args[0].t;
    best_job j = {.self = self, .values = values, .places = places, .n = self->numel, .inner = 1, .smallest = smallest};
    taper_compute compute = self->dtype == TAPER_F64                              ? TAPER_COMPUTE_F64
                            : taper_dtype_is_float((taper_dtype)self->dtype) ? TAPER_COMPUTE_F32
                                                                             : TAPER_COMPUTE_I64;
    j.real = compute == TAPER_COMPUTE_F32 ? TAPER_F32 : compute == TAPER_COMPUTE_F64 ? TAPER_F64 : TAPER_I64;
    j.loops = taper__reduce_loops(compute);
    if (!places->numel) return TAPER_OK;
    if (dim->kind == TAPER_ARG_INT && self->ndim) {
        int d;
        TAPER_TRY(taper__wrap_dim(&d, dim->i, self->ndim, c->row->name));
        j.n = self->shape[d];
        for (int k = d + 1; k < self->ndim; k++) j.inner *= self->shape[k];
    }
    if (j.inner > 1) {
        if (j.n > INT32_MAX) return TAPER_FAIL(TAPER_RUNTIME, "%s: a dim of %lld elements is too long, move it last", c->row->name, (long long)j.n);
        j.blocks = (j.inner + BEST_COLUMNS - 1) / BEST_COLUMNS;
        taper__parallel_for(places->numel / j.inner * j.blocks, 1 + 256 / (j.n + 1), best_columns, &j);
    } else {
        taper__parallel_for(places->numel, 1 + 32768 / (j.n + 1), best_lanes, &j);
    }
    return TAPER_OK;
}

static taper_status best_cuda(const taper_call *c, taper_tensor *values, taper_tensor *places, bool smallest) {
    taper_reduce_job j;
    TAPER_TRY(taper__reduce_job(&j, c, TAPER_RED_argmax, &c->args[1]));
    if (smallest) j.finish = TAPER_RED_FLIPPED;
    j.out = values;
    j.other = places;
    return taper__reduce_device(&j, c->row->name);
}

static taper_status argmax_infer(taper_call *c) {
    const taper_tensor *self = c->args[0].t;
    if (c->args[1].kind == TAPER_ARG_NONE && self->numel == 0)
        return TAPER_FAIL(TAPER_INDEX, "%s(): Expected reduction dim to be specified for input.numel() == 0. Specify the reduction dim with "
                                       "the 'dim' argument (input has shape %s).", c->row->name, TAPER_SHAPE(self));
    if (self->dtype == TAPER_BOOL) return TAPER_FAIL(TAPER_NOT_IMPLEMENTED, "\"%s_cpu\" not implemented for 'Bool'", c->row->name);
    return taper__reduce_infer_filled(c, 0, TAPER_I64, &c->args[1], c->args[2].i);
}
static taper_status argmax_cpu(taper_call *c) { return best_run(c, NULL, c->out[0], &c->args[1], false); }
static taper_status argmin_cpu(taper_call *c) { return best_run(c, NULL, c->out[0], &c->args[1], true); }
static taper_status argmax_cuda(taper_call *c) { return best_cuda(c, NULL, c->out[0], false); }
static const taper_kernel argmax_kernels[] = {{"cpu", TAPER_CPU, NULL, argmax_cpu}, {"cuda", TAPER_CUDA, NULL, argmax_cuda}, {0}};
static taper_status argmin_cuda(taper_call *c) { return best_cuda(c, NULL, c->out[0], true); }
static const taper_kernel argmin_kernels[] = {{"cpu", TAPER_CPU, NULL, argmin_cpu}, {"cuda", TAPER_CUDA, NULL, argmin_cuda}, {0}};

#define ARGMAX_SAMPLES                                                                                                 \
    {"[2,30]"}, {"[2,3,4], dim=1"}, {"[2,3,4], dim=-1, keepdim=true"}, {"[9]:i64"}, {"[40,170], dim=0"}, {"[3,5000], dim=1"}, \
        {"[3,50257], dim=1", .large = true}, {"[70,4096], dim=0", .large = true},                                      \
        {"[0,3], dim=1"}, {"[]"}, {"[0]", .error = "Expected reduction dim to be specified"},                          \
        {"[0,3], dim=0", .error = "Expected reduction dim 0 to have non-zero size"}, {0}

const taper_op taper_op_argmax = {
    .infer = argmax_infer,
    .kernels = argmax_kernels,
    .contiguous = 1,
    .samples = (const taper_sample[]){ARGMAX_SAMPLES},
};
const taper_op taper_op_argmin = {
    .infer = argmax_infer,
    .kernels = argmin_kernels,
    .contiguous = 1,
    .samples = (const taper_sample[]){ARGMAX_SAMPLES},
};

static taper_status max_dim_infer(taper_call *c) {
    TAPER_TRY(taper__reduce_infer_filled(c, 0, (taper_dtype)c->args[0].t->dtype, &c->args[1], c->args[2].i));
    TAPER_TRY(taper__reduce_infer_filled(c, 1, TAPER_I64, &c->args[1], c->args[2].i));
    c->nondiff = 2;
    return TAPER_OK;
}
static taper_status max_dim_cpu(taper_call *c) { return best_run(c, c->out[0], c->out[1], &c->args[1], false); }
static taper_status min_dim_cpu(taper_call *c) { return best_run(c, c->out[0], c->out[1], &c->args[1], true); }
static taper_status max_dim_cuda(taper_call *c) { return best_cuda(c, c->out[0], c->out[1], false); }
static const taper_kernel max_dim_kernels[] = {{"cpu", TAPER_CPU, NULL, max_dim_cpu}, {"cuda", TAPER_CUDA, NULL, max_dim_cuda}, {0}};
static taper_status min_dim_cuda(taper_call *c) { return best_cuda(c, c->out[0], c->out[1], true); }
static const taper_kernel min_dim_kernels[] = {{"cpu", TAPER_CPU, NULL, min_dim_cpu}, {"cuda", TAPER_CUDA, NULL, min_dim_cuda}, {0}};

/* The gradient goes to the place that was taken. */
static taper_status max_dim_vjp(taper_vjp *v) {
    taper_scope *s = v->scope;
    const taper_tensor *self = v->args[0].t;
    if (!v->grad[0]) return TAPER_OK;
    if (!self->ndim) {
        v->d[0] = v->grad[0];
        return TAPER_OK;
    }
    taper_tensor *g = taper__reduce_restore(s, v->grad[0], self, &v->args[1]), *at = taper__reduce_restore(s, v->out[1], self, &v->args[1]);
    v->d[0] = tx_scatter(s, taper__zeros_like(s, self), v->args[1].i, at, g);
    return s->status;
}

#define MAX_DIM_SAMPLES                                                                                                \
    {"[2,30], 1"}, {"[2,3,4], dim=1, keepdim=true"}, {"[4,9]:i64, 0"}, {"[40,170], dim=0"}, {"[0,3], 1"}, {"[], 0"},   \
        {"[3,50257], 1", .large = true}, {"[70,4096], 0", .large = true},                                              \
        {"[2,3], 2", .error = "Dimension out of range"}, {"[0,3], 0", .error = "Expected reduction dim 0 to have non-zero size"}, {0}

const taper_op taper_op_max_dim = {
    .infer = max_dim_infer,
    .kernels = max_dim_kernels,
    .vjp = max_dim_vjp,
    .saves = TAPER_SAVE_OUT(1),
    .contiguous = 1,
    .grad_name = "MaxBackward0",
    .samples = (const taper_sample[]){MAX_DIM_SAMPLES},
};
const taper_op taper_op_min_dim = {
    .infer = max_dim_infer,
    .kernels = min_dim_kernels,
    .vjp = max_dim_vjp,
    .saves = TAPER_SAVE_OUT(1),
    .contiguous = 1,
    .grad_name = "MinBackward0",
    .samples = (const taper_sample[]){MAX_DIM_SAMPLES},
};
