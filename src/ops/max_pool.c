/* Maximum pooling. Its gradient puts values at the indices of the maxima, and the gradient of that takes them from there. */
#include "ops/pool.h"

static taper_status max_pool_read(taper_pool *p, const taper_call *c) {
    const taper_tensor *x = c->args[0].t;
    p->ceil_mode = c->args[5].i;
    TAPER_TRY(taper__pool_numbers(p, c->row->name, &c->args[1], &c->args[2], &c->args[3], &c->args[4]));
    return taper__pool_sizes(p, x->ndim, x->shape);
}

static taper_status max_pool_results(taper_call *c, const taper_pool *p) {
    const taper_tensor *x = c->args[0].t;
    int64_t shape[4];
    TAPER_TRY(taper__need_float(x, c->row->name));
    taper__pool_shape(p, x->ndim, x->shape, shape);
    TAPER_TRY(taper__out(c, 0, (taper_dtype)x->dtype, x->ndim, shape));
    c->nondiff = 1 << 1;
    return taper__out(c, 1, TAPER_I64, x->ndim, shape);
}

static taper_status max_pool_run(taper_call *c, const taper_pool *p) {
    const taper_tensor *x = c->args[0].t;
    if (x->device.type == TAPER_CUDA) return taper__pool_cuda(TAPER_POOL_MAX, p, x, c->out[0], c->out[1], c->row->name);
    return taper__pool_max(p, (taper_dtype)x->dtype, taper__data(x), taper__data(c->out[0]), taper__data(c->out[1]));
}

static taper_status max_pool2d_with_indices_infer(taper_call *c) {
    taper_pool p = {0};
    TAPER_TRY(max_pool_read(&p, c));
    return max_pool_results(c, &p);
}
static taper_status max_pool2d_with_indices_run(taper_call *c) {
    taper_pool p = {0};
    TAPER_TRY(max_pool_read(&p, c));
    return max_pool_run(c, &p);
}
static const taper_kernel max_pool2d_with_indices_kernels[] = {{"cpu", TAPER_CPU, NULL, max_pool2d_with_indices_run}, {"cuda", TAPER_CUDA, NULL, max_pool2d_with_indices_run}, {0}};

static taper_status max_pool_vjp(taper_vjp *v) {
    const taper_tensor *x = v->args[0].t;
    taper_pool p = {0};
    TAPER_TRY(taper__pool_numbers(&p, "max_pool2d", &v->args[1], &v->args[2], &v->args[3], &v->args[4]));
    if (v->grad[0])
        v->d[0] = tx_max_pool2d_with_indices_backward(v->scope, v->grad[0], v->out[1], x->shape, x->ndim, p.kernel, 2, p.stride, 2, p.padding, 2,
                                                      p.dilation, 2);
    return v->scope->status;
}
static taper_status adaptive_max_pool_vjp(taper_vjp *v) {
    const taper_tensor *x = v->args[0].t;
    if (v->grad[0])
        v->d[0] = tx_max_pool2d_with_indices_backward(v->scope, v->grad[0], v->out[1], x->shape, x->ndim, NULL, 0, NULL, 0, NULL, 0, NULL, 0);
    return v->scope->status;
}

const taper_op taper_op_max_pool2d_with_indices = {
    .infer = max_pool2d_with_indices_infer,
    .kernels = max_pool2d_with_indices_kernels,
    .vjp = max_pool_vjp,
    .saves = TAPER_SAVE_OUT(1),
    .contiguous = 1 << 0,
    .upcast = true,
    .grad_name = "MaxPool2DWithIndicesBackward0",
    .samples = (const taper_sample[]){{"[2,3,6,5], 2"},
                                      {"[2,3,7,6], (3,2), (2,1), (1,0), (1,2)"},
                                      {"[3,7,7], 3, 2, 1, 1, true"},
                                      {"[1,3,8,8], 3, padding=2", .error = "pad should be at most half of effective kernel size, but got pad=2, kernel_size=3"},
                                      {"[1,1,2,2], 3", .error = "Given input size: (1x2x2). Calculated output size: (1x0x0)"},
                                      {0}},
};

static taper_status max_pool_first(taper_call *c, taper_scope *s, taper_status st, taper_tensor **both) {
    if (st != TAPER_OK) return st;
    taper_scope_own(s, both[1]);
    c->out[0] = taper_scope_keep(s, taper_scope_own(s, both[0]));
    c->nout = 1;
    return s->status;
}

static taper_status max_pool2d_compose(taper_call *c, taper_scope *s) {
    taper_tensor *both[2] = {NULL, NULL};
    const taper_op_row *row = taper_op_find("max_pool2d_with_indices");
    return max_pool_first(c, s, taper_op_call(row, c->args, 6, both), both);
}
const taper_op taper_op_max_pool2d = {
    .compose = max_pool2d_compose,
    .samples = (const taper_sample[]){{"[2,3,6,5], 2"}, {"[2,3,7,6], 3, 2, 1"}, {"[8,8], 3", .error = "non-empty 3D or 4D (batch mode) tensor expected for input"}, {0}},
};

static taper_status max_pool1d_compose(taper_call *c, taper_scope *s) {
    int64_t n[4];
    static const int64_t fallback[4] = {1, 1, 0, 1};
    taper_tensor *x = c->args[0].t, *both[2] = {NULL, NULL};
    if (x->ndim != 2 && x->ndim != 3)
        return TAPER_FAIL(TAPER_RUNTIME, "max_pool1d() Expected 2D or 3D input tensor, but got %s", TAPER_SHAPE(x));
    for (int k = 0; k < 4; k++) {
        const taper_arg *a = &c->args[1 + k];
        n[k] = k == 1 ? n[0] : fallback[k];
        if (a->kind == TAPER_ARG_INT) n[k] = a->i;
        if (a->kind == TAPER_ARG_INTS && a->count > 1)
            return TAPER_FAIL(TAPER_RUNTIME, "max_pool1d() kernel_size, stride, padding and dilation must be an int or a list of one, got %s",
                              taper__shape_text(a->count, a->is).s);
        if (a->kind == TAPER_ARG_INTS && a->count == 1) n[k] = a->is[0];
    }
    taper_tensor *image = taper__rows_as_images(s, x);
    if (!image) return s->status;
    TAPER_TRY(max_pool_first(c, s,
                             taper_max_pool2d_with_indices(both, image, (int64_t[]){1, n[0]}, 2, (int64_t[]){1, n[1]}, 2,
                                                           (int64_t[]){0, n[2]}, 2, (int64_t[]){1, n[3]}, 2, c->args[5].i), both));
    taper_tensor *y = taper_scope_own(s, c->out[0]);
    c->out[0] = taper_scope_keep(s, taper__images_as_rows(s, y));
    return s->status;
}
const taper_op taper_op_max_pool1d = {
    .compose = max_pool1d_compose,
    .samples = (const taper_sample[]){{"[2,3,6], 2"}, {"[3,7], 3, 2, 1, 1, true"}, {"[7], 3", .error = "Expected 2D or 3D input tensor, but got [7]"}, {0}},
};

/* ---- adaptive ---- */

static taper_status adaptive_max_read(taper_pool *p, const taper_call *c) {
    return taper__pool_adaptive(p, "adaptive_max_pool2d", &c->args[1], c->args[0].t->ndim, c->args[0].t->shape);
}
static taper_status adaptive_max_pool2d_infer(taper_call *c) {
    taper_pool p = {0};
    TAPER_TRY(adaptive_max_read(&p, c));
    return max_pool_results(c, &p);
}
static taper_status adaptive_max_pool2d_run(taper_call *c) {
    taper_pool p = {0};
    TAPER_TRY(adaptive_max_read(&p, c));
    return max_pool_run(c, &p);
}
static const taper_kernel adaptive_max_pool2d_kernels[] = {{"cpu", TAPER_CPU, NULL, adaptive_max_pool2d_run}, {"cuda", TAPER_CUDA, NULL, adaptive_max_pool2d_run}, {0}};
const taper_op taper_op_adaptive_max_pool2d = {
    .infer = adaptive_max_pool2d_infer,
    .kernels = adaptive_max_pool2d_kernels,
    .vjp = adaptive_max_pool_vjp,
    .saves = TAPER_SAVE_OUT(1),
    .contiguous = 1 << 0,
    .upcast = true,
    .samples = (const taper_sample[]){{"[2,3,6,5], (2,3)"}, {"[3,7,5], 2"}, {"[4,4], 2", .error = "Expected 3D or 4D tensor, but got [4, 4]"}, {0}},
};

/* ---- values at indices of planes ---- */

typedef struct index_job {
    const void *from;
    void *to;
    const int64_t *indices;
    int64_t plane, count; /* elements of a plane, indices of a plane */
} index_job;

#define MAX_POOL_INDEX(T, X)                                                                                           \
    static void max_pool_put_##X(void *ctx, int64_t begin, int64_t end) {                                              \
        const index_job *j = ctx;                                                                                      \
        for (int64_t p = begin; p < end; p++) {                                                                        \
            T *to = (T *)j->to + p * j->plane;                                                                         \
            memset(to, 0, sizeof(T) * (size_t)j->plane);                                                               \
            for (int64_t i = p * j->count; i < (p + 1) * j->count; i++)                                                \
                if ((uint64_t)j->indices[i] < (uint64_t)j->plane) to[j->indices[i]] += ((const T *)j->from)[i];        \
        }                                                                                                              \
    }                                                                                                                  \
    static void max_pool_take_##X(void *ctx, int64_t begin, int64_t end) {                                             \
        const index_job *j = ctx;                                                                                      \
        for (int64_t p = begin; p < end; p++)                                                                          \
            for (int64_t i = p * j->count; i < (p + 1) * j->count; i++)                                                \
                ((T *)j->to)[i] = (uint64_t)j->indices[i] < (uint64_t)j->plane                                         \
                                      ? ((const T *)j->from)[p * j->plane + j->indices[i]]                             \
                                      : 0;                                                                             \
    }
MAX_POOL_INDEX(float, f32)
MAX_POOL_INDEX(double, f64)

static taper_status max_pool_index_run(taper_call *c, int64_t plane, int64_t count, int64_t planes, taper_range_fn f32, taper_range_fn f64) {
    index_job j = {taper__data(c->args[0].t), taper__data(c->out[0]), taper__data(c->args[1].t), plane, count};
    taper__parallel_for(planes, 1 + 8192 / (plane + 1), c->out[0]->dtype == TAPER_F64 ? f64 : f32, &j);
    return TAPER_OK;
}

/* The planes of two shapes must be the same in number. */
static taper_status max_pool_index_check(taper_call *c, const taper_tensor *indices, const int64_t *many, const int64_t *few, int ndim) {
    if (ndim < 3 || indices->dtype != TAPER_I64 || indices->ndim != ndim || memcmp(many, few, sizeof *many * (size_t)(ndim - 2)) ||
        memcmp(indices->shape, few, sizeof *few * (size_t)ndim))
        return TAPER_FAIL(TAPER_RUNTIME, "%s: values of shape %s and indices %s do not fit planes of shape %s", c->row->name,
                          taper__shape_text(ndim, few).s, TAPER_TEXT(indices), taper__shape_text(ndim, many).s);
    return taper__need_float(c->args[0].t, c->row->name);
}

static void max_pool_plane_sizes(taper_pool *p, const taper_tensor *many, const taper_tensor *few) {
    int n = many->ndim;
    for (int d = 0; d < 2; d++) p->in[d] = many->shape[n - 2 + d], p->out[d] = few->shape[n - 2 + d];
    p->planes = many->shape[n - 3];
    for (int d = 0; d < n - 3; d++) p->planes *= many->shape[d];
}

/* The windows that the indices came from, where the caller says so. */
static taper_status max_pool_windows(taper_pool *p, const taper_arg *args) {
    if (args[3].kind == TAPER_ARG_NONE || (args[3].kind == TAPER_ARG_INTS && !args[3].count)) return TAPER_OK;
    return taper__pool_numbers(p, "max_pool2d_with_indices_backward", &args[3], &args[4], &args[5], &args[6]);
}

static taper_status max_pool2d_with_indices_backward_infer(taper_call *c) {
    const taper_tensor *g = c->args[0].t;
    const taper_arg *size = &c->args[2];
    if (size->count != g->ndim)
        return TAPER_FAIL(TAPER_RUNTIME, "%s: input_size %s and grad_output %s differ in dimensions", c->row->name,
                          taper__shape_text(size->count, size->is).s, TAPER_SHAPE(g));
    TAPER_TRY(max_pool_index_check(c, c->args[1].t, size->is, g->shape, g->ndim));
    taper_pool p = {0};
    TAPER_TRY(max_pool_windows(&p, c->args));
    return taper__out(c, 0, (taper_dtype)g->dtype, size->count, size->is);
}
static taper_status max_pool2d_with_indices_backward_cuda(taper_call *c) {
    taper_pool p = {0};
    TAPER_TRY(max_pool_windows(&p, c->args));
    max_pool_plane_sizes(&p, c->out[0], c->args[0].t);
    return taper__pool_cuda(TAPER_POOL_PUT, &p, c->args[0].t, c->out[0], c->args[1].t, c->row->name);
}
static taper_status max_pool2d_with_indices_backward_cpu(taper_call *c) {
    const taper_tensor *g = c->args[0].t, *o = c->out[0];
    int64_t plane = o->shape[o->ndim - 1] * o->shape[o->ndim - 2], count = g->shape[g->ndim - 1] * g->shape[g->ndim - 2];
    return max_pool_index_run(c, plane, count, plane ? o->numel / plane : 0, max_pool_put_f32, max_pool_put_f64);
}
static const taper_kernel max_pool2d_with_indices_backward_kernels[] = {{"cpu", TAPER_CPU, NULL, max_pool2d_with_indices_backward_cpu},
                                                                        {"cuda", TAPER_CUDA, NULL, max_pool2d_with_indices_backward_cuda},
                                                                        {0}};
static taper_status max_pool2d_with_indices_backward_vjp(taper_vjp *v) {
    v->d[0] = tx_max_pool2d_take(v->scope, v->grad[0], v->args[1].t);
    return v->scope->status;
}
const taper_op taper_op_max_pool2d_with_indices_backward = {
    .infer = max_pool2d_with_indices_backward_infer,
    .kernels = max_pool2d_with_indices_backward_kernels,
    .vjp = max_pool2d_with_indices_backward_vjp,
    .saves = TAPER_SAVE_ARG(1),
    .contiguous = 1 << 0 | 1 << 1,
    .upcast = true,
    .samples = (const taper_sample[]){{"[2,3,2,2], [2,3,2,2]:i64<20, (2,3,4,5)"},
                                      {"[3,2,2], [3,2,2]:i64<6, (3,2,3)"},
                                      {"[1,2,2], [1,2,2]:i64=(4,6,12,15), (1,4,4), 2"},
                                      {"[3,2,2], [3,2,1]:i64<6, (3,2,3)", .error = "do not fit planes of shape [3, 2, 3]"},
                                      {0}},
};

static taper_status max_pool2d_take_infer(taper_call *c) {
    const taper_tensor *x = c->args[0].t, *indices = c->args[1].t;
    TAPER_TRY(max_pool_index_check(c, indices, x->shape, indices->shape, x->ndim));
    return taper__out(c, 0, (taper_dtype)x->dtype, indices->ndim, indices->shape);
}
static taper_status max_pool2d_take_cpu(taper_call *c) {
    const taper_tensor *x = c->args[0].t, *o = c->out[0];
    int64_t plane = x->shape[x->ndim - 1] * x->shape[x->ndim - 2], count = o->shape[o->ndim - 1] * o->shape[o->ndim - 2];
    return max_pool_index_run(c, plane, count, count ? o->numel / count : 0, max_pool_take_f32, max_pool_take_f64);
}
static taper_status max_pool2d_take_cuda(taper_call *c) {
    taper_pool p = {0};
    max_pool_plane_sizes(&p, c->args[0].t, c->out[0]);
    return taper__pool_cuda(TAPER_POOL_TAKE, &p, c->args[0].t, c->out[0], c->args[1].t, c->row->name);
}
static const taper_kernel max_pool2d_take_kernels[] = {{"cpu", TAPER_CPU, NULL, max_pool2d_take_cpu}, {"cuda", TAPER_CUDA, NULL, max_pool2d_take_cuda}, {0}};
static taper_status max_pool2d_take_vjp(taper_vjp *v) {
    v->d[0] = tx_max_pool2d_with_indices_backward(v->scope, v->grad[0], v->args[1].t, v->args[0].t->shape, v->args[0].t->ndim, NULL, 0, NULL, 0, NULL, 0,
                                                  NULL, 0);
    return v->scope->status;
}
const taper_op taper_op_max_pool2d_take = {
    .infer = max_pool2d_take_infer,
    .kernels = max_pool2d_take_kernels,
    .vjp = max_pool2d_take_vjp,
    .saves = TAPER_SAVE_ARG(1),
    .contiguous = 1 << 0 | 1 << 1,
    .upcast = true,
    .samples = (const taper_sample[]){{"[2,3,4,5], [2,3,2,2]:i64<20"},
                                      {"[3,2,3], [3,2,2]:i64<6"},
                                      {"[3,2,3], [2,2,2]:i64<6", .error = "do not fit planes of shape [3, 2, 3]"},
                                      {0}},
};
