/* layer_norm and rms_norm: normalisation over the last dims. */
#include "ops/norm.h"

#include <float.h>
#include <math.h>

enum { LAYER_BLOCKS = 16 }; /* of rows, at most: each has its own sums for the weight's gradient */

/* Rows and their length; torch's words where normalized_shape does not fit. */
static taper_status layer_shape(const taper_call *c, const taper_tensor *x, const taper_arg *shape, const taper_tensor *w, const taper_tensor *b,
                                int64_t *rows, int64_t *n) {
    const char *op = strstr(c->row->name, "rms") ? "rms_norm" : strstr(c->row->name, "add") ? "add_layer_norm" : "layer_norm";
    *rows = *n = 1;
    if (shape->kind != TAPER_ARG_INTS || shape->count < 1)
        return TAPER_FAIL(TAPER_RUNTIME, "%s: Expected normalized_shape to be at least 1-dimensional, i.e., containing at least one element, but got "
                                         "normalized_shape = %s", op, "[]");
    for (int k = 0; k < 2; k++) {
        const taper_tensor *t = k ? b : w;
        if (t && (t->ndim != shape->count || memcmp(t->shape, shape->is, sizeof(int64_t) * t->ndim)))
            return TAPER_FAIL(TAPER_RUNTIME, "%s: Expected %s to be of same shape as normalized_shape, but got %s of shape %s and normalized_shape = %s", op,
                              k ? "bias" : "weight", k ? "bias" : "weight", TAPER_SHAPE(t), taper__shape_text(shape->count, shape->is).s);
        if (t && t->dtype != x->dtype)
            return TAPER_FAIL(TAPER_RUNTIME, "%s: expected scalar type %s but found %s: input %s, %s %s", op, taper_dtype_typename((taper_dtype)x->dtype),
                              taper_dtype_typename((taper_dtype)t->dtype), TAPER_TEXT(x), k ? "bias" : "weight", TAPER_TEXT(t));
    }
    int lead = x->ndim - shape->count;
    if (lead < 0 || memcmp(x->shape + lead, shape->is, sizeof(int64_t) * (size_t)shape->count)) {
        taper_text want = taper__shape_text(shape->count, shape->is);
        return TAPER_FAIL(TAPER_RUNTIME, "Given normalized_shape=%s, expected input with shape [*, %.*s], but got input of size%s", want.s,
                          (int)(strlen(want.s) > 2 ? strlen(want.s) - 2 : 0), want.s + 1, TAPER_SHAPE(x));
    }
    for (int d = 0; d < x->ndim; d++) *(d < lead ? rows : n) *= x->shape[d];
    TAPER_TRY(taper__need_float(x, op));
    return taper__need_same_device(c);
}

/* The dtype of saved statistics: float for half-width input. */
static taper_dtype layer_stats(const taper_tensor *x) { return x->dtype == TAPER_F64 ? TAPER_F64 : TAPER_F32; }

static taper_status layer_infer(taper_call *c, bool rms) {
    const taper_tensor *x = c->args[0].t;
    int64_t rows, n, shape[TAPER_MAX_DIMS];
    TAPER_TRY(layer_shape(c, x, &c->args[1], TAPER_ARG_T(c, 2), rms ? NULL : TAPER_ARG_T(c, 3), &rows, &n));
    for (int d = 0; d < x->ndim; d++) shape[d] = d < x->ndim - c->args[1].count ? x->shape[d] : 1;
    c->nondiff = rms ? 2 : 6;
    TAPER_TRY(taper__out(c, 0, (taper_dtype)x->dtype, x->ndim, x->shape));
    TAPER_TRY(taper__out(c, 1, layer_stats(x), x->ndim, shape));
    return rms ? TAPER_OK : taper__out(c, 2, layer_stats(x), x->ndim, shape);
}

typedef struct layer_job {
    const void *x, *other, *g, *w, *b, *mean, *rstd; /* other: added to x forward and to dx backward, or NULL */
    void *y, *sum, *save_mean, *save_rstd;
    void *dw, *db; /* LAYER_BLOCKS rows of n each, or NULL */
    int64_t rows, n, block;
    double eps;
    bool rms;
    const taper_norm_loops *loops;
} layer_job;

static void layer_f32(void *ctx, int64_t begin, int64_t end) {
    const layer_job *j = ctx;
    for (int64_t r = begin; r < end; r++) {
        const float *x = (const float *)j->x + r * j->n;
        if (j->other) {
            float *sum = (float *)j->sum + r * j->n;
            j->loops->add(sum, x, (const float *)j->other + r * j->n, j->n);
            x = sum;
        }
        j->loops->row((float *)j->y + r * j->n, x, j->w, j->b, j->n, (float)j->eps, j->rms, j->save_mean ? (float *)j->save_mean + r : NULL,
                      (float *)j->save_rstd + r);
    }
}
static void layer_f64(void *ctx, int64_t begin, int64_t end) {
    const layer_job *j = ctx;
    const double *w = j->w, *b = j->b;
    for (int64_t r = begin; r < end; r++) {
        const double *x = (const double *)j->x + r * j->n;
        double *y = (double *)j->y + r * j->n, m = 0, q = 0;
        if (j->other) {
            double *sum = (double *)j->sum + r * j->n;
            for (int64_t i = 0; i < j->n; i++) sum[i] = x[i] + ((const double *)j->other)[r * j->n + i];
            x = sum;
        }
        for (int64_t i = 0; i < j->n && !j->rms; i++) m += x[i];
        m /= (double)j->n;
        for (int64_t i = 0; i < j->n; i++) q += (x[i] - m) * (x[i] - m);
        q = 1 / sqrt(q / (double)j->n + j->eps);
        for (int64_t i = 0; i < j->n; i++) y[i] = (x[i] - m) * q * (w ? w[i] : 1) + (b ? b[i] : 0);
        if (j->save_mean) ((double *)j->save_mean)[r] = m;
        ((double *)j->save_rstd)[r] = q;
    }
}

static taper_status layer_run(const taper_layer_call *l) {
    const taper_tensor *x = l->x;
    if (x->device.type == TAPER_CUDA) return taper__layer_norm_cuda(l);
    layer_job j = {.x = taper__data(x), .w = l->w ? taper__data(l->w) : NULL, .b = l->b ? taper__data(l->b) : NULL, .y = taper__data(l->y), .rms = !l->mean};
    if (l->residual) j.other = taper__data(l->residual), j.sum = taper__data(l->sum);
    j.save_mean = l->mean ? taper__data(l->mean) : NULL;
    j.save_rstd = taper__data(l->rstd);
    j.rows = l->rstd->numel;
    j.n = j.rows ? x->numel / j.rows : 0;
    j.eps = l->eps;
    j.loops = TAPER_SIMD_PICK(taper__norm_loops);
    taper__parallel_for(j.rows, 1 + 16384 / (j.n + 1), x->dtype == TAPER_F64 ? layer_f64 : layer_f32, &j);
    return TAPER_OK;
}

static taper_status layer_vjp(taper_vjp *v, bool rms) {
    taper_tensor *d[TAPER_MAX_OUTS] = {NULL}, *w = v->args[2].kind == TAPER_ARG_TENSOR ? v->args[2].t : NULL;
    taper_scope *s = v->scope;
    bool sums = v->need[2] || (!rms && v->need[3]);
    if (s->status != TAPER_OK || !v->grad[0]) return s->status;
    s->status = taper_layer_norm_backward(d, v->grad[0], v->args[0].t, v->args[1].is, v->args[1].count, rms ? NULL : v->out[1], v->out[rms ? 1 : 2], w, sums, NULL);
    for (int k = 0; k < 3; k++) taper_scope_own(s, d[k]);
    if (v->need[0]) v->d[0] = d[0];
    if (v->need[2]) v->d[2] = d[1];
    if (!rms && v->need[3]) v->d[3] = d[2];
    return s->status;
}

static taper_status native_layer_norm_infer(taper_call *c) { return layer_infer(c, false); }
static taper_status native_layer_norm_cpu(taper_call *c) {
    return layer_run(&(taper_layer_call){.x = c->args[0].t, .w = TAPER_ARG_T(c, 2), .b = TAPER_ARG_T(c, 3), .eps = c->args[4].f, .y = c->out[0],
                                         .mean = c->out[1], .rstd = c->out[2], .op = "layer_norm"});
}
static taper_status native_layer_norm_vjp(taper_vjp *v) { return layer_vjp(v, false); }
static const taper_kernel native_layer_norm_kernels[] = {{"cpu", TAPER_CPU, NULL, native_layer_norm_cpu}, {"cuda", TAPER_CUDA, NULL, native_layer_norm_cpu}, {0}};
const taper_op taper_op_native_layer_norm = {
    .infer = native_layer_norm_infer,
    .kernels = native_layer_norm_kernels,
    .vjp = native_layer_norm_vjp,
    .saves = TAPER_SAVE_ARG(0) | TAPER_SAVE_ARG(2) | TAPER_SAVE_OUT(1) | TAPER_SAVE_OUT(2),
    .contiguous = 1 | 1 << 2 | 1 << 3,
    .upcast = true,
    .samples = (const taper_sample[]){{"[2,5], (5), [5], [5], 1e-5", .tolerance = 1e-4}, {"[2,3,4], (3,4), -, -, 1e-5", .tolerance = 1e-4}, {0}},
};

static taper_status native_rms_norm_infer(taper_call *c) { return layer_infer(c, true); }
static taper_status native_rms_norm_cpu(taper_call *c) {
    double eps = c->args[3].kind != TAPER_ARG_NONE ? c->args[3].f : c->args[0].t->dtype == TAPER_F64 ? DBL_EPSILON : (double)FLT_EPSILON;
    return layer_run(&(taper_layer_call){.x = c->args[0].t, .w = TAPER_ARG_T(c, 2), .eps = eps, .y = c->out[0], .rstd = c->out[1], .op = "rms_norm"});
}
static taper_status native_rms_norm_vjp(taper_vjp *v) { return layer_vjp(v, true); }
static const taper_kernel native_rms_norm_kernels[] = {{"cpu", TAPER_CPU, NULL, native_rms_norm_cpu}, {"cuda", TAPER_CUDA, NULL, native_rms_norm_cpu}, {0}};
const taper_op taper_op_native_rms_norm = {
    .infer = native_rms_norm_infer,
    .kernels = native_rms_norm_kernels,
    .vjp = native_rms_norm_vjp,
    .saves = TAPER_SAVE_ARG(0) | TAPER_SAVE_ARG(2) | TAPER_SAVE_OUT(1),
    .contiguous = 1 | 1 << 2,
    .upcast = true,
    .samples = (const taper_sample[]){{"[2,5], (5), [5], 1e-5", .tolerance = 1e-4}, {"[2,3,4], (3,4), -, -", .tolerance = 1e-4}, {0}},
};

static taper_status layer_like(const taper_call *c, const taper_tensor *t, const taper_tensor *x, const char *what) {
    if (t->ndim != x->ndim || memcmp(t->shape, x->shape, sizeof(int64_t) * x->ndim) || t->dtype != x->dtype)
        return TAPER_FAIL(TAPER_RUNTIME, "%s: %s %s must be like the input %s", c->row->name, what, TAPER_TEXT(t), TAPER_TEXT(x));
    return TAPER_OK;
}

/* ---- add_layer_norm ---- */

static taper_status add_layer_norm_infer(taper_call *c) {
    const taper_tensor *x = c->args[0].t;
    int64_t rows, n, shape[TAPER_MAX_DIMS];
    TAPER_TRY(layer_shape(c, x, &c->args[2], TAPER_ARG_T(c, 3), TAPER_ARG_T(c, 4), &rows, &n));
    TAPER_TRY(layer_like(c, c->args[1].t, x, "the residual"));
    for (int d = 0; d < x->ndim; d++) shape[d] = d < x->ndim - c->args[2].count ? x->shape[d] : 1;
    c->nondiff = 12;
    for (int k = 0; k < 2; k++) TAPER_TRY(taper__out(c, k, (taper_dtype)x->dtype, x->ndim, x->shape));
    for (int k = 2; k < 4; k++) TAPER_TRY(taper__out(c, k, layer_stats(x), x->ndim, shape));
    return TAPER_OK;
}
static taper_status add_layer_norm_cpu(taper_call *c) {
    return layer_run(&(taper_layer_call){.x = c->args[0].t, .residual = c->args[1].t, .w = TAPER_ARG_T(c, 3), .b = TAPER_ARG_T(c, 4), .eps = c->args[5].f,
                                         .sum = c->out[0], .y = c->out[1], .mean = c->out[2], .rstd = c->out[3], .op = "add_layer_norm"});
}
static const taper_kernel add_layer_norm_kernels[] = {{"cpu", TAPER_CPU, NULL, add_layer_norm_cpu}, {"cuda", TAPER_CUDA, NULL, add_layer_norm_cpu}, {0}};
static taper_status add_layer_norm_vjp(taper_vjp *v) {
    taper_tensor *d[TAPER_MAX_OUTS] = {NULL}, *w = v->args[3].kind == TAPER_ARG_TENSOR ? v->args[3].t : NULL;
    taper_scope *s = v->scope;
    if (s->status != TAPER_OK) return s->status;
    d[0] = v->grad[0];
    if (v->grad[1]) {
        s->status = taper_layer_norm_backward(d, v->grad[1], v->out[0], v->args[2].is, v->args[2].count, v->out[2], v->out[3], w, v->need[3] || v->need[4], v->grad[0]);
        for (int k = 0; k < 3 && s->status == TAPER_OK; k++) taper_scope_own(s, d[k]);
    }
    for (int k = 0; k < 2; k++)
        if (v->need[k]) v->d[k] = d[0];
    for (int k = 3; k < 5; k++)
        if (v->need[k]) v->d[k] = d[k - 2];
    return s->status;
}
const taper_op taper_op_add_layer_norm = {
    .infer = add_layer_norm_infer,
    .kernels = add_layer_norm_kernels,
    .vjp = add_layer_norm_vjp,
    .saves = TAPER_SAVE_ARG(3) | TAPER_SAVE_OUT(0) | TAPER_SAVE_OUT(2) | TAPER_SAVE_OUT(3),
    .contiguous = 3 | 3 << 3,
    .upcast = true,
    .samples = (const taper_sample[]){/* The mean of so short a row shows whether the sum was rounded to half precision before. */
                                      {"[2,5], [2,5], (5), [5], [5]", .tolerance = 1e-3},
                                      {"[2,5], [2,5], (5), [5]", .tolerance = 1e-3},
                                      {"[2,3,40], [2,3,40], (3,40), -, -, 0.1", .tolerance = 1e-4},
                                      {"[9,400], [9,400], (400), [400], [400]", .tolerance = 1e-4},
                                      {"[70,768], [70,768], (768), [768], [768]", .tolerance = 1e-4},
                                      {"[5,4096], [5,4096], (4096), [4096], [4096]", .tolerance = 1e-4, .large = true},
                                      {"[3,9000], [3,9000], (9000), [9000], [9000]", .tolerance = 1e-4, .large = true},
                                      {"[0,5], [0,5], (5), [5], [5]"},
                                      {"[2,5], [1,5], (5)", .error = "the residual float32[1, 5] must be like the input float32[2, 5]"},
                                      {"[2,5], [2,5], (4)", .error = "expected input with shape [*, 4]"},
                                      {0}},
};

/* ---- backward ---- */

static taper_status layer_norm_backward_infer(taper_call *c) {
    const taper_tensor *g = c->args[0].t, *x = c->args[1].t, *w = TAPER_ARG_T(c, 5);
    int64_t rows, n;
    TAPER_TRY(layer_shape(c, x, &c->args[2], w, NULL, &rows, &n));
    TAPER_TRY(layer_like(c, g, x, "the gradient"));
    if (TAPER_ARG_T(c, 7)) TAPER_TRY(layer_like(c, c->args[7].t, x, "what is added,"));
    for (int k = 3; k < 5; k++)
        if (TAPER_ARG_T(c, k) && (c->args[k].t->numel != rows || (c->args[k].t->dtype == TAPER_F64) != (x->dtype == TAPER_F64)))
            return TAPER_FAIL(TAPER_RUNTIME, "layer_norm_backward: statistics %s do not belong to the input %s", TAPER_TEXT(c->args[k].t), TAPER_TEXT(x));
    TAPER_TRY(taper__out(c, 0, (taper_dtype)x->dtype, x->ndim, x->shape));
    TAPER_TRY(taper__out(c, 1, (taper_dtype)x->dtype, c->args[2].count, c->args[2].is));
    return taper__out(c, 2, (taper_dtype)x->dtype, c->args[2].count, c->args[2].is);
}

static void layer_backward_blocks(void *ctx, int64_t begin, int64_t end) {
    const layer_job *j = ctx;
    for (int64_t b = begin; b < end; b++)
        for (int64_t r = b * j->block; r < (b + 1) * j->block && r < j->rows; r++) {
            float mean = j->rms ? 0 : ((const float *)j->mean)[r];
            j->loops->row_backward((float *)j->y + r * j->n, j->dw ? (float *)j->dw + b * j->n : NULL, j->db ? (float *)j->db + b * j->n : NULL,
                                   (const float *)j->g + r * j->n, (const float *)j->x + r * j->n, j->w, j->n, mean, ((const float *)j->rstd)[r], j->rms);
            if (j->other) j->loops->add((float *)j->y + r * j->n, (const float *)j->y + r * j->n, (const float *)j->other + r * j->n, j->n);
        }
}
static void layer_backward_f64(const layer_job *j) {
    const double *w = j->w;
    for (int64_t r = 0; r < j->rows; r++) {
        const double *g = (const double *)j->g + r * j->n, *x = (const double *)j->x + r * j->n;
        double *d = (double *)j->y + r * j->n, m = j->rms ? 0 : ((const double *)j->mean)[r], q = ((const double *)j->rstd)[r], s1 = 0, s2 = 0;
        for (int64_t i = 0; i < j->n; i++) {
            double gw = g[i] * (w ? w[i] : 1), xh = (x[i] - m) * q;
            s1 += gw;
            s2 += gw * xh;
            if (j->dw) ((double *)j->dw)[i] += g[i] * xh;
            if (j->db) ((double *)j->db)[i] += g[i];
        }
        s1 = j->rms ? 0 : s1 / (double)j->n;
        s2 /= (double)j->n;
        for (int64_t i = 0; i < j->n; i++)
            d[i] = q * (g[i] * (w ? w[i] : 1) - s1 - (x[i] - m) * q * s2) + (j->other ? ((const double *)j->other)[r * j->n + i] : 0);
    }
}

static int64_t layer_blocks(int64_t rows) { return rows < LAYER_BLOCKS ? rows : LAYER_BLOCKS; }
static size_t layer_norm_backward_workspace(const taper_call *c) {
    int64_t n = c->out[1]->numel, rows = n ? c->out[0]->numel / n : 0;
    return c->args[6].i && c->args[1].t->dtype != TAPER_F64 ? (size_t)(2 * layer_blocks(rows) * n) * sizeof(float) : 0;
}

static taper_status layer_norm_backward_cpu(taper_call *c) {
    const taper_tensor *x = c->args[1].t, *mean = TAPER_ARG_T(c, 3), *w = TAPER_ARG_T(c, 5), *add = TAPER_ARG_T(c, 7);
    if (x->device.type == TAPER_CUDA)
        return taper__layer_norm_backward_cuda(&(taper_layer_call){.g = c->args[0].t, .x = x, .mean = TAPER_ARG_T(c, 3), .rstd = c->args[4].t, .w = w, .add = add,
                                                                   .dx = c->out[0], .dw = c->out[1], .db = c->out[2], .sums = c->args[6].i});
    layer_job j = {.g = taper__data(c->args[0].t), .x = taper__data(x), .w = w ? taper__data(w) : NULL, .mean = mean ? taper__data(mean) : NULL,
                   .rstd = taper__data(c->args[4].t), .y = taper__data(c->out[0]), .rms = !mean, .n = c->out[1]->numel,
                   .other = add ? taper__data(add) : NULL};
    bool sums = c->args[6].i, wide = x->dtype == TAPER_F64;
    j.rows = j.n ? x->numel / j.n : 0;
    for (int k = 1; k < 3; k++)
        if (j.n) memset(taper__data(c->out[k]), 0, (size_t)j.n * taper_dtype_size((taper_dtype)c->out[k]->dtype));
    if (!j.rows) return TAPER_OK;
    if (wide) {
        if (sums) j.dw = taper__data(c->out[1]), j.db = taper__data(c->out[2]);
        layer_backward_f64(&j);
        return TAPER_OK;
    }
    int64_t blocks = layer_blocks(j.rows);
    j.loops = TAPER_SIMD_PICK(taper__norm_loops);
    j.block = (j.rows + blocks - 1) / blocks;
    if (sums) {
        j.dw = c->workspace;
        j.db = (float *)c->workspace + blocks * j.n;
        memset(c->workspace, 0, (size_t)(2 * blocks * j.n) * sizeof(float));
    }
    taper__parallel_for(blocks, 1 + 16384 / (j.block * j.n + 1), layer_backward_blocks, &j);
    for (int k = 0; k < 2 && sums; k++) {
        float *out = taper__data(c->out[1 + k]);
        const float *from = k ? j.db : j.dw;
        for (int64_t b = 0; b < blocks; b++)
            for (int64_t i = 0; i < j.n; i++) out[i] += from[b * j.n + i];
    }
    return TAPER_OK;
}
static const taper_kernel layer_norm_backward_kernels[] = {{"cpu", TAPER_CPU, NULL, layer_norm_backward_cpu}, {"cuda", TAPER_CUDA, NULL, layer_norm_backward_cpu}, {0}};

static taper_status layer_norm_backward_vjp(taper_vjp *v) {
    taper_scope *s = v->scope;
    taper_tensor *x = v->args[1].t, *w = v->args[5].kind == TAPER_ARG_TENSOR ? v->args[5].t : NULL;
    int64_t dims[TAPER_MAX_DIMS];
    int n = v->args[2].count;
    taper_norm_second q = {.g = v->args[0].t, .x = x, .mean = v->args[3].kind == TAPER_ARG_TENSOR ? v->args[3].t : NULL, .rstd = v->args[4].t, .w = w,
                           .h = v->grad[0], .hw = v->grad[1], .hb = v->grad[2], .dims = dims, .ndims = n, .count = 1};
    taper_tensor *dw = NULL;
    for (int d = 0; d < n; d++) {
        dims[d] = x->ndim - n + d;
        q.count *= (double)v->args[2].is[d];
    }
    q.dg = v->need[0] ? &v->d[0] : NULL;
    q.dx = v->need[1] ? &v->d[1] : NULL;
    q.dw = v->need[5] ? &dw : NULL;
    TAPER_TRY(taper__norm_second(s, &q));
    if (dw) v->d[5] = taper__sum_to(s, dw, w);
    if (v->d[0]) v->d[0] = taper__sum_to(s, v->d[0], v->args[0].t);
    if (v->d[1]) v->d[1] = taper__sum_to(s, v->d[1], x);
    if (v->need[7]) v->d[7] = v->grad[0];
    return s->status;
}
const taper_op taper_op_layer_norm_backward = {
    .infer = layer_norm_backward_infer,
    .kernels = layer_norm_backward_kernels,
    .vjp = layer_norm_backward_vjp,
    .saves = TAPER_SAVE_ARG(0) | TAPER_SAVE_ARG(1) | TAPER_SAVE_ARG(3) | TAPER_SAVE_ARG(4) | TAPER_SAVE_ARG(5),
    .contiguous = 3 | 7 << 3 | 1 << 7,
    .upcast = true,
    .workspace = layer_norm_backward_workspace,
    /* The statistics are functions of the input, which the differences would hold still. */
    .samples = (const taper_sample[]){{"[2,5], [2,5], (5), [2,1], [2,1]:pos, [5], true", .no_grad_check = true, .tolerance = 1e-4},
                                      {"[2,5], [2,5], (5), [2,1], [2,1]:pos, [5], true, [2,5]", .no_grad_check = true, .tolerance = 1e-4},
                                      {"[2,5], [2,4], (4), [2,1], [2,1]:pos, -, true", .error = "must be like the input"},
                                      {"[2,5], [2,5], (5), [2,1], [2,1]:pos, -, true, [5]", .error = "what is added, float32[5] must be like the input"},
                                      {0}},
};

/* ---- the public operators ---- */

static taper_status layer_norm_compose(taper_call *c, taper_scope *s) {
    taper_tensor *out[TAPER_MAX_OUTS] = {NULL};
    TAPER_TRY(taper_native_layer_norm(out, c->args[0].t, c->args[1].is, c->args[1].count, TAPER_ARG_T(c, 2), TAPER_ARG_T(c, 3), c->args[4].f));
    for (int k = 1; k < 3; k++) taper_scope_own(s, out[k]);
    c->out[0] = out[0];
    c->nout = 1;
    return s->status;
}
const taper_op taper_op_layer_norm = {
    .compose = layer_norm_compose,
    .samples = (const taper_sample[]){{"[2,5], (5)", .tolerance = 1e-4},
                                      {"[2,5], (5), [5]", .tolerance = 1e-4},
                                      {"[2,5], (5), [5], [5], 0.1", .tolerance = 1e-4},
                                      {"[2,3,40], (3,40), [3,40], [3,40]", .tolerance = 1e-4},
                                      {"[9,400], (400), [400], [400]", .tolerance = 1e-4},
                                      {"[300,1024], (1024), [1024], [1024]", .tolerance = 1e-4, .large = true},
                                      {"[5,2048], (2048), [2048], [2048]", .tolerance = 1e-4, .large = true},
                                      {"[70,4096], (4096), [4096]", .tolerance = 1e-4, .large = true},
                                      {"[3,50257], (50257), [50257], [50257]", .tolerance = 1e-4, .large = true},
                                      {"[0,5], (5), [5], [5]"},
                                      {"[2,5], (4)", .error = "expected input with shape [*, 4]"},
                                      {"[2,5], (5), [4]", .error = "Expected weight to be of same shape as normalized_shape"},
                                      {0}},
};

static taper_status rms_norm_compose(taper_call *c, taper_scope *s) {
    taper_tensor *out[TAPER_MAX_OUTS] = {NULL};
    TAPER_TRY(taper_native_rms_norm(out, c->args[0].t, c->args[1].is, c->args[1].count, TAPER_ARG_T(c, 2), c->args[3].kind == TAPER_ARG_NONE ? NULL : &c->args[3].f));
    taper_scope_own(s, out[1]);
    c->out[0] = out[0];
    c->nout = 1;
    return s->status;
}
const taper_op taper_op_rms_norm = {
    .compose = rms_norm_compose,
    .samples = (const taper_sample[]){{"[2,5], (5)", .tolerance = 1e-4}, {"[2,3,40], (3,40), [3,40], 0.1", .tolerance = 1e-4}, {"[2,5], (4)", .error = "expected input with shape [*, 4]"}, {0}},
};
