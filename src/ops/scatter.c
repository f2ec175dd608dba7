/* scatter with a tensor or a number, with and without reduction. */
#include <math.h>

#include "ops/gather.h"
#include "ops/index_cuda.h"

static taper_status scatter_reduce_word(const taper_call *c, int k, bool all, taper_gather_what *what) {
    static const struct {
        const char *word;
        taper_gather_what what;
        bool all; /* of scatter_reduce */
    } words[] = {{"add", TAPER_SCATTER_ADD, false}, {"multiply", TAPER_SCATTER_MUL, false}, {"sum", TAPER_SCATTER_ADD, true}, {"mean", TAPER_SCATTER_ADD, true},
                 {"prod", TAPER_SCATTER_MUL, true}, {"amax", TAPER_SCATTER_MAX, true}, {"amin", TAPER_SCATTER_MIN, true}};
    for (int i = 0; i < TAPER_COUNT(words); i++)
        if (words[i].all == all && !strcmp(words[i].word, c->args[k].s)) {
            *what = words[i].what;
            return TAPER_OK;
        }
    return TAPER_FAIL(TAPER_RUNTIME, "reduce argument must be either %s, got %s", all ? "sum, prod, mean, amax or amin" : "add or multiply", c->args[k].s);
}

static taper_status scatter_infer(taper_call *c) {
    int dim;
    taper_gather_what what;
    taper_tensor *self = c->args[0].t, *src = c->args[3].kind == TAPER_ARG_TENSOR ? c->args[3].t : NULL;
    if (c->nargs > 4) TAPER_TRY(scatter_reduce_word(c, 4, c->nargs > 5, &what));
    TAPER_TRY(taper__gather_check(c->row->name, self, c->args[2].t, src, c->args[1].i, &dim));
    TAPER_TRY(taper__need_same_device(c));
    if (src && src->dtype != self->dtype)
        return TAPER_FAIL(TAPER_RUNTIME, "%s(): Expected self.dtype to be equal to src.dtype, got %s and %s", c->row->name, TAPER_TEXT(self), TAPER_TEXT(src));
    return taper__out(c, 0, (taper_dtype)self->dtype, self->ndim, self->shape);
}
static taper_status scatter_into(taper_call *c, taper_gather_what what) {
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
    st = taper__gather_move(c->out[0], c->args[2].t, src, dim, what);
    taper_tensor_release(value);
    return st;
}
static taper_status scatter_cpu(taper_call *c) { return scatter_into(c, TAPER_SCATTER); }
static taper_status scatter_add_cpu(taper_call *c) { return scatter_into(c, TAPER_SCATTER_ADD); }
static taper_status scatter_word_cpu(taper_call *c) {
    taper_gather_what what = TAPER_SCATTER;
    TAPER_TRY(scatter_reduce_word(c, 4, false, &what));
    return scatter_into(c, what);
}
static taper_combine_what scatter_combine(taper_gather_what what) {
    return what == TAPER_SCATTER_ADD   ? TAPER_COMBINE_ADD
           : what == TAPER_SCATTER_MUL ? TAPER_COMBINE_MUL
           : what == TAPER_SCATTER_MAX ? TAPER_COMBINE_MAX
           : what == TAPER_SCATTER_MIN ? TAPER_COMBINE_MIN
                                       : TAPER_COMBINE_SET;
}
static taper_status scatter_gpu(taper_call *c) { return taper__scatter_cuda(c, TAPER_COMBINE_SET, true, false); }
static taper_status scatter_add_gpu(taper_call *c) { return taper__scatter_cuda(c, TAPER_COMBINE_ADD, true, false); }
static taper_status scatter_word_gpu(taper_call *c) {
    taper_gather_what what = TAPER_SCATTER;
    TAPER_TRY(scatter_reduce_word(c, 4, false, &what));
    return taper__scatter_cuda(c, scatter_combine(what), true, false);
}
static const taper_kernel scatter_kernels[] = {{"cpu", TAPER_CPU, NULL, scatter_cpu}, {"cuda", TAPER_CUDA, NULL, scatter_gpu}, {0}};
static const taper_kernel scatter_add_kernels[] = {{"cpu", TAPER_CPU, NULL, scatter_add_cpu}, {"cuda", TAPER_CUDA, NULL, scatter_add_gpu}, {0}};
static const taper_kernel scatter_word_kernels[] = {{"cpu", TAPER_CPU, NULL, scatter_word_cpu}, {"cuda", TAPER_CUDA, NULL, scatter_word_gpu}, {0}};

static taper_status scatter_vjp(taper_vjp *v) {
    taper_scope *s = v->scope;
    if (v->need[0]) v->d[0] = tx_scatter_value(s, v->grad[0], v->args[1].i, v->args[2].t, taper_int(0));
    if (v->need[3]) v->d[3] = tx_gather(s, v->grad[0], v->args[1].i, v->args[2].t, false);
    return s->status;
}
/* Where index is smaller than src, the rest of src had no part. */
static taper_tensor *scatter_grow(taper_scope *s, taper_tensor *g, const taper_tensor *src) {
    int64_t pad[2 * TAPER_MAX_DIMS];
    bool same = true;
    if (!g) return NULL;
    for (int d = 0; d < src->ndim; d++) {
        pad[2 * (src->ndim - 1 - d)] = 0;
        pad[2 * (src->ndim - 1 - d) + 1] = src->shape[d] - g->shape[d];
        same = same && src->shape[d] == g->shape[d];
    }
    return same ? g : tx_constant_pad_nd(s, g, pad, 2 * src->ndim, taper_int(0));
}
static taper_status scatter_src_vjp(taper_vjp *v) {
    TAPER_TRY(scatter_vjp(v));
    if (v->need[3]) v->d[3] = scatter_grow(v->scope, v->d[3], v->args[3].t);
    return v->scope->status;
}
static taper_status scatter_add_vjp(taper_vjp *v) {
    taper_scope *s = v->scope;
    v->d[0] = v->grad[0];
    if (v->need[3]) v->d[3] = scatter_grow(s, tx_gather(s, v->grad[0], v->args[1].i, v->args[2].t, false), v->args[3].t);
    return s->status;
}
static taper_status scatter_word_vjp(taper_vjp *v) {
    return TAPER_FAIL(TAPER_NOT_IMPLEMENTED, "the derivative for 'scatter' with reduce='%s' is not implemented; use scatter_add or scatter_reduce", v->args[4].s);
}

const taper_op taper_op_scatter = {
    .infer = scatter_infer,
    .kernels = scatter_kernels,
    .vjp = scatter_src_vjp,
    .saves = TAPER_SAVE_ARG(2),
    .over_self = true,
    .samples = (const taper_sample[]){{"[3,4], 0, [1,4]:i64<3, [1,4]"}, {"[4], 0, [3]:i64=(2,0,3), [4]"}, {"[4]:nograd, 0, [6]:i64=(2,0,3,2,0,2), [6]:nograd"}, {"[3,4], 0, [1,4]:i64<3, [1,3]", .error = "no larger size than src [1, 3]"},
                                      {"[3], 0, [1]:i64=(3), [1]", .error = "index 3 is out of bounds"}, {"[3]:f64, 0, [1]:i64<3, [1]:f32", .error = "Expected self.dtype to be equal to src.dtype"}, {0}},
};
const taper_op taper_op_scatter_value = {
    .infer = scatter_infer,
    .kernels = scatter_kernels,
    .vjp = scatter_vjp,
    .saves = TAPER_SAVE_ARG(2),
    .over_self = true,
    .grad_name = "ScatterBackward1",
    .samples = (const taper_sample[]){{"[3,4], 1, [3,2]:i64<4, 1.5"}, {"[4]:i64, 0, [2]:i64<4, 7"}, {"[], 0, []:i64=(0), 2"}, {0}},
};
const taper_op taper_op_scatter_add = {
    .infer = scatter_infer,
    .kernels = scatter_add_kernels,
    .vjp = scatter_add_vjp,
    .saves = TAPER_SAVE_ARG(2),
    .upcast = true,
    .over_self = true,
    .samples = (const taper_sample[]){{"[3,4], 0, [5,4]:i64<3, [5,4]"}, {"[3,4], 1, [2,6]:i64<4, [3,6]"}, {"[4]:i64, 0, [6]:i64<4, [6]:i64"}, {"[3], 0, [0]:i64, [0]"}, {"[2,3,9], 1, [2,4,9]:i64<3, [2,4,9]"}, {"[2,50], 1, [2,1500]:i64<50, [2,1500]", .tolerance = 1e-4, .no_grad_check = true /* too many for differences */}, {0}},
};
const taper_op taper_op_scatter_src_reduce = {
    .infer = scatter_infer,
    .kernels = scatter_word_kernels,
    .vjp = scatter_word_vjp,
    .upcast = true,
    .over_self = true,
    .samples = (const taper_sample[]){{"[3,4]:nograd, 0, [5,4]:i64<3, [5,4]:nograd, reduce=add"}, {"[4]:nograd, 0, [6]:i64<4, [6]:nograd, reduce=multiply", .tolerance = 1e-4},
                                      {"[4]:i64, 0, [6]:i64<4, [6]:i64, reduce=sum", .error = "must be either add or multiply, got sum"}, {0}},
};
const taper_op taper_op_scatter_value_reduce = {
    .infer = scatter_infer,
    .kernels = scatter_word_kernels,
    .vjp = scatter_word_vjp,
    .upcast = true,
    .over_self = true,
    .samples = (const taper_sample[]){{"[3,4]:nograd, 0, [5,4]:i64<3, 2, reduce=add"}, {"[4]:nograd, 0, [6]:i64<4, 2.5, reduce=multiply"}, {0}},
};

/* ---- scatter_reduce ---- */

/* Without self, places that get something start from what changes nothing. */
static taper_status scatter_reduce_cpu(taper_call *c) {
    taper_gather_what what = TAPER_SCATTER_ADD;
    taper_tensor *out = c->out[0], *index = c->args[2].t, *start = NULL, *ones = NULL, *counts = NULL;
    taper_dtype dtype = (taper_dtype)out->dtype;
    bool mean = !strcmp(c->args[4].s, "mean"), floats = taper_dtype_is_float(dtype), include = c->args[5].i;
    int dim;
    taper_status st = TAPER_OK;
    char element[8];
    TAPER_TRY(scatter_reduce_word(c, 4, true, &what));
    TAPER_TRY(taper__wrap_dim(&dim, c->args[1].i, out->ndim, "scatter_reduce"));
    if (out != c->args[0].t) TAPER_TRY(taper__copy_data(out, c->args[0].t));
    if (!include) {
        int64_t width = (int64_t)taper_dtype_size(dtype) * 8, most = dtype == TAPER_U8 ? 255 : dtype == TAPER_BOOL ? 1 : width == 64 ? INT64_MAX : (INT64_C(1) << (width - 1)) - 1;
        int64_t least = dtype == TAPER_U8 || dtype == TAPER_BOOL ? 0 : -most - 1;
        if (what == TAPER_SCATTER_ADD) taper__store_int(element, dtype, 0);
        else if (what == TAPER_SCATTER_MUL) taper__store_int(element, dtype, 1);
        else if (floats) taper__store_double(element, dtype, what == TAPER_SCATTER_MAX ? -INFINITY : INFINITY);
        else taper__store_int(element, dtype, what == TAPER_SCATTER_MAX ? least : most);
        TAPER_TRY_GOTO(taper_tensor_from_data(&start, element, dtype, 0, NULL));
        TAPER_TRY_GOTO(taper__gather_move(out, index, start, dim, TAPER_SCATTER));
    }
    TAPER_TRY_GOTO(taper__gather_move(out, index, c->args[3].t, dim, what));
    if (mean) {
        int64_t one = 1;
        TAPER_TRY_GOTO(taper_tensor_from_data(&ones, &one, TAPER_I64, 0, NULL));
        TAPER_TRY_GOTO(taper__tensor_empty(&counts, TAPER_I64, taper_cpu(), out->ndim, out->shape, "scatter_reduce"));
        TAPER_TRY_GOTO(taper__fill_data(counts, taper_int(include)));
        TAPER_TRY_GOTO(taper__gather_move(counts, index, ones, dim, TAPER_SCATTER_ADD));
        const int64_t *n = taper__data(counts);
        for (int64_t i = 0; i < out->numel; i++) {
            int64_t at = 0, rest = i;
            for (int d = out->ndim - 1; d >= 0; d--) {
                at += rest % out->shape[d] * out->strides[d];
                rest /= out->shape[d];
            }
            char *p = (char *)taper__data(out) + at * (int64_t)taper_dtype_size(dtype);
            if (n[i] < 2) continue;
            if (floats) {
                taper__store_double(p, dtype, taper__load_double(p, dtype) / (double)n[i]);
            } else { /* towards minus infinity */
                int64_t x = taper__load_int(p, dtype);
                taper__store_int(p, dtype, x / n[i] - (x % n[i] < 0));
            }
        }
    }
out:
    taper_tensor_release(start);
    taper_tensor_release(ones);
    taper_tensor_release(counts);
    return st;
}
static taper_status scatter_reduce_gpu(taper_call *c) {
    taper_gather_what what = TAPER_SCATTER_ADD;
    TAPER_TRY(scatter_reduce_word(c, 4, true, &what));
    return taper__scatter_cuda(c, scatter_combine(what), c->args[5].i, !strcmp(c->args[4].s, "mean"));
}
static const taper_kernel scatter_reduce_kernels[] = {{"cpu", TAPER_CPU, NULL, scatter_reduce_cpu}, {"cuda", TAPER_CUDA, NULL, scatter_reduce_gpu}, {0}};

static taper_tensor *scatter_is(taper_scope *s, taper_tensor *t, taper_tensor *other) {
    taper_tensor *r = NULL;
    if (s->status == TAPER_OK) s->status = taper_eq(&r, t, other);
    return taper_scope_own(s, r);
}
static taper_status scatter_reduce_vjp(taper_vjp *v) {
    taper_scope *s = v->scope;
    taper_tensor *g = v->grad[0], *self = v->args[0].t, *index = v->args[2].t, *src = v->args[3].t, *out = v->out[0];
    const char *reduce = v->args[4].s;
    int64_t dim = v->args[1].i;
    bool include = v->args[5].i;
    taper_dtype dtype = (taper_dtype)g->dtype;
    if (src->ndim != index->ndim || memcmp(src->shape, index->shape, sizeof(int64_t) * src->ndim))
        return TAPER_FAIL(TAPER_NOT_IMPLEMENTED, "scatter_reduce: gradients need index and src of one shape, got %s and %s", TAPER_SHAPE(index), TAPER_SHAPE(src));
    if (!strcmp(reduce, "sum")) {
        v->d[0] = g;
        v->d[3] = tx_gather(s, g, dim, index, false);
    } else if (!strcmp(reduce, "mean")) {
        taper_tensor *n = tx_full(s, self->shape, self->ndim, taper_int(include), dtype, &self->device);
        n = tx_scatter_add(s, n, dim, index, tx_full(s, src->shape, src->ndim, taper_int(1), dtype, &src->device));
        n = tx_clamp_min(s, n, taper__number(s, 1));
        v->d[0] = tx_div(s, g, n, NULL);
        v->d[3] = tx_gather(s, v->d[0], dim, index, false);
    } else if (!strcmp(reduce, "prod")) {
        /* A zero hides the others: products are made again without it. */
        taper_tensor *none = taper__number(s, 0), *one = taper__number(s, 1);
        taper_tensor *safe = tx_where(s, scatter_is(s, self, none), one, self);
        if (v->need[0]) v->d[0] = tx_div(s, tx_mul(s, g, tx_scatter_reduce(s, safe, dim, index, src, "prod", include)), safe, NULL);
        if (v->need[3]) {
            taper_tensor *zero = scatter_is(s, src, none);
            taper_tensor *zeros = tx_to(s, zero, NULL, dtype, false, false);
            taper_tensor *count = tx_gather(s, tx_scatter_add(s, taper__zeros_like(s, self), dim, index, zeros), dim, index, false);
            taper_tensor *single = tx_logical_and(s, zero, scatter_is(s, count, one));
            taper_tensor *without = tx_scatter_reduce(s, self, dim, index, tx_where(s, single, one, src), "prod", include);
            v->d[3] = tx_where(s, single, tx_gather(s, tx_mul(s, g, without), dim, index, false),
                               tx_div(s, tx_gather(s, tx_mul(s, g, out), dim, index, false), tx_where(s, zero, one, src), NULL));
        }
    } else { /* amax, amin: shared evenly among the equal ones */
        taper_tensor *hit = tx_to(s, scatter_is(s, src, tx_gather(s, out, dim, index, false)), NULL, dtype, false, false);
        taper_tensor *own = tx_to(s, scatter_is(s, self, out), NULL, dtype, false, false);
        taper_tensor *n = include ? own : taper__zeros_like(s, self);
        n = tx_clamp_min(s, tx_scatter_add(s, n, dim, index, hit), taper__number(s, 1));
        taper_tensor *share = tx_div(s, g, n, NULL);
        v->d[0] = tx_mul(s, own, share);
        v->d[3] = tx_mul(s, hit, tx_gather(s, share, dim, index, false));
    }
    if (!include && v->d[0]) v->d[0] = tx_scatter_value(s, v->d[0], dim, index, taper_int(0));
    return s->status;
}
const taper_op taper_op_scatter_reduce = {
    .infer = scatter_infer,
    .kernels = scatter_reduce_kernels,
    .vjp = scatter_reduce_vjp,
    .saves = TAPER_SAVE_ARG(0) | TAPER_SAVE_ARG(2) | TAPER_SAVE_ARG(3) | TAPER_SAVE_OUT(0),
    .upcast = true,
    .over_self = true,
    .samples = (const taper_sample[]){{"[3,4], 0, [5,4]:i64<3, [5,4], sum"}, {"[4], 0, [6]:i64<3, [6], mean"}, {"[4]:pos, 0, [6]:i64<4, [6]:pos, prod", .tolerance = 1e-4}, {"[4], 0, [6]:i64<4, [6], amax"},
                                      {"[4], 0, [6]:i64<4, [6], amin, include_self=false"}, {"[3,4], 1, [3,6]:i64<3, [3,6], mean, include_self=false"}, {"[4]:i64, 0, [6]:i64<4, [6]:i64, mean"},
                                      {"[4]:i32, 0, [6]:i64<3, [6]:i32, amax, include_self=false"}, {"[4], 0, [6]:i64<4, [6], add", .error = "sum, prod, mean, amax or amin, got add"}, {0}},
};
