/* batch_norm: normalisation over the samples, with a weight and bias for each channel, dim 1. */
#include "ops/channel_norm.h"

#include <math.h>

static void batch_forward(void *ctx, int64_t begin, int64_t end) {
    const channel_job *j = ctx;
    double count = (double)(j->outer * j->inner);
    for (int64_t c = begin; c < end; c++) {
        double mean = 0, var = 0;
        if (j->training) {
            for (int64_t n = 0; n < j->outer; n++) mean += channel_sum(j, j->x, n * j->channels + c);
            mean /= count;
            for (int64_t n = 0; n < j->outer; n++) var += channel_spread(j, n * j->channels + c, mean);
            if (j->running_mean) channel_set(j->running_mean, c, (1 - j->momentum) * channel_get(j->running_mean, c, 0) + j->momentum * mean);
            if (j->running_var) channel_set(j->running_var, c, (1 - j->momentum) * channel_get(j->running_var, c, 0) + j->momentum * var / (count - 1));
            var /= count;
        } else {
            mean = channel_get(j->running_mean, c, 0);
            var = channel_get(j->running_var, c, 1);
        }
        double r = 1 / sqrt(var + j->eps), scale = r * channel_get(j->w, c, 1), shift = channel_get(j->b, c, 0) - mean * scale;
        channel_set(j->mean, c, mean);
        channel_set(j->rstd, c, r);
        for (int64_t n = 0; n < j->outer; n++) channel_apply(j, n * j->channels + c, 0, scale, shift);
    }
}

static void batch_backward(void *ctx, int64_t begin, int64_t end) {
    const channel_job *j = ctx;
    double count = (double)(j->outer * j->inner);
    for (int64_t c = begin; c < end; c++) {
        double sum = 0, dot = 0, mean = channel_get(j->mean, c, 0), r = channel_get(j->rstd, c, 1);
        for (int64_t n = 0; n < j->outer; n++) {
            sum += channel_sum(j, j->g, n * j->channels + c);
            dot += channel_dot(j, n * j->channels + c);
        }
        double dw = (dot - mean * sum) * r, a = r * channel_get(j->w, c, 1);
        double b = j->training ? -a * r * dw / count : 0, shift = j->training ? -a * sum / count - b * mean : 0;
        channel_set(j->dw, c, dw);
        channel_set(j->db, c, sum);
        for (int64_t n = 0; n < j->outer; n++) channel_apply(j, n * j->channels + c, a, b, shift);
    }
}

/* t, or a copy of it (to be released) in the strides given; NULL: contiguous. */
static taper_status channel_like(const taper_tensor **used, taper_tensor **copy, taper_tensor *t, const int64_t *strides, const char *op) {
    *used = t;
    if (strides ? !memcmp(strides, t->strides, sizeof *strides * t->ndim) : t->contiguous) return TAPER_OK;
    TAPER_TRY(strides ? taper__tensor_empty_strided(copy, (taper_dtype)t->dtype, t->device, t->ndim, t->shape, strides, op)
                      : taper__tensor_empty(copy, (taper_dtype)t->dtype, t->device, t->ndim, t->shape, op));
    *used = *copy;
    return taper__copy_data(*copy, t);
}
/* Tensors args[first ..] of a batch normalisation in the layout that the device's code takes: the CPU's is contiguous. */
typedef struct channel_layout {
    const taper_tensor *t[2];
    taper_tensor *copy[2], *y, *plain; /* y: what to write; plain: it, where it is not the result itself */
} channel_layout;
static taper_status channel_layout_begin(channel_layout *l, taper_call *c, int count) {
    bool gpu = c->device.type == TAPER_CUDA;
    taper_tensor *out = c->out[0];
    memset(l, 0, sizeof *l);
    const int64_t *strides = gpu && !out->contiguous ? out->strides : NULL;
    for (int k = 0; k < count; k++) TAPER_TRY(channel_like(&l->t[k], &l->copy[k], c->args[k].t, strides, c->row->name));
    l->y = out;
    if (gpu || out->contiguous) return TAPER_OK;
    TAPER_TRY(taper__tensor_empty(&l->plain, (taper_dtype)out->dtype, out->device, out->ndim, out->shape, c->row->name));
    l->y = l->plain;
    return TAPER_OK;
}
static taper_status channel_layout_end(channel_layout *l, taper_call *c, taper_status st) {
    if (st == TAPER_OK && l->plain) st = taper__copy_data(c->out[0], l->plain);
    taper_tensor_release(l->plain);
    for (int k = 0; k < 2; k++) taper_tensor_release(l->copy[k]);
    return st;
}

static taper_status native_batch_norm_infer(taper_call *c) {
    const taper_tensor *x = c->args[0].t;
    TAPER_TRY(channel_shape(c, x, 1, 4));
    bool training = c->args[5].i;
    for (int k = 3; k < 5; k++) {
        if (!training && c->args[k].kind == TAPER_ARG_NONE)
            return TAPER_FAIL(TAPER_RUNTIME, "%s must be defined in evaluation mode (batch_norm of %s)", k == 3 ? "running_mean" : "running_var", TAPER_TEXT(x));
        if (training && c->args[k].kind == TAPER_ARG_TENSOR) c->modifies |= (uint16_t)(1u << k);
    }
    c->nondiff = 6;
    TAPER_TRY(taper__out_strided(c, 0, (taper_dtype)x->dtype, x->ndim, x->shape, channel_is_last(x) ? x->strides : NULL));
    TAPER_TRY(taper__out(c, 1, channel_stats(x), 1, x->shape + 1));
    return taper__out(c, 2, channel_stats(x), 1, x->shape + 1);
}
static taper_status native_batch_norm_cpu(taper_call *c) {
    channel_job j;
    channel_layout l;
    taper_status st = channel_layout_begin(&l, c, 1);
    if (st == TAPER_OK) {
        channel_job_set(&j, l.t[0], NULL, l.y);
        j.w = TAPER_ARG_T(c, 1);
        j.b = TAPER_ARG_T(c, 2);
        j.running_mean = TAPER_ARG_T(c, 3);
        j.running_var = TAPER_ARG_T(c, 4);
        j.training = c->args[5].i;
        j.momentum = c->args[6].f;
        j.eps = c->args[7].f;
        j.mean = c->out[1];
        j.rstd = c->out[2];
        taper__parallel_for(j.channels, 1 + 16384 / (j.outer * j.inner + 1), batch_forward, &j);
    }
    return channel_layout_end(&l, c, st);
}
static taper_status native_batch_norm_cuda(taper_call *c) {
    channel_layout l;
    taper_status st = channel_layout_begin(&l, c, 1);
    taper_channel_call call = {.x = l.t[0], .w = TAPER_ARG_T(c, 1), .b = TAPER_ARG_T(c, 2), .y = l.y, .mean = c->out[1], .rstd = c->out[2],
                               .running_mean = TAPER_ARG_T(c, 3), .running_var = TAPER_ARG_T(c, 4), .eps = c->args[7].f, .momentum = c->args[6].f,
                               .training = c->args[5].i, .op = "batch_norm"};
    if (st == TAPER_OK) st = taper__batch_norm_cuda(&call);
    return channel_layout_end(&l, c, st);
}
static const taper_kernel native_batch_norm_kernels[] = {{"cpu", TAPER_CPU, NULL, native_batch_norm_cpu}, {"cuda", TAPER_CUDA, NULL, native_batch_norm_cuda}, {0}};
static taper_status native_batch_norm_vjp(taper_vjp *v) {
    taper_tensor *d[TAPER_MAX_OUTS] = {NULL};
    taper_scope *s = v->scope;
    if (!v->grad[0]) return TAPER_OK;
    s->status = taper_native_batch_norm_backward(d, v->grad[0], v->args[0].t, v->args[1].kind == TAPER_ARG_TENSOR ? v->args[1].t : NULL, v->out[1],
                                                 v->out[2], v->args[5].i);
    for (int k = 0; k < 3; k++) {
        taper_scope_own(s, d[k]);
        if (v->need[k]) v->d[k] = d[k];
    }
    return s->status;
}
const taper_op taper_op_native_batch_norm = {
    .infer = native_batch_norm_infer,
    .kernels = native_batch_norm_kernels,
    .vjp = native_batch_norm_vjp,
    .saves = TAPER_SAVE_ARG(0) | TAPER_SAVE_ARG(1) | TAPER_SAVE_OUT(1) | TAPER_SAVE_OUT(2),
    .contiguous = 0x1e,
    .upcast = true,
    .samples = (const taper_sample[]){{"[4,3,2], [3], [3], -, -, true, 0.1, 1e-5", .tolerance = 1e-4},
                                      {"[4,3], -, -, [3]:nograd, [3]:pos:nograd, false, 0.1, 1e-5", .tolerance = 1e-4},
                                      {"[6,5,9,12]:nograd, [5], [5], [5]:nograd, [5]:pos:nograd, true, 0.1, 1e-5", .tolerance = 1e-4},
                                      {"[4,3], [2], -, -, -, true, 0.1, 1e-5", .error = "weight should contain 3 elements not 2"},
                                      {0}},
};

static taper_status native_batch_norm_backward_cpu(taper_call *c) {
    channel_job j;
    channel_layout l;
    taper_status st = channel_layout_begin(&l, c, 2);
    if (st == TAPER_OK) {
        channel_job_set(&j, l.t[1], l.t[0], l.y);
        j.w = TAPER_ARG_T(c, 2);
        j.mean = c->args[3].t;
        j.rstd = c->args[4].t;
        j.training = c->args[5].i;
        j.dw = c->out[1];
        j.db = c->out[2];
        taper__parallel_for(j.channels, 1 + 16384 / (j.outer * j.inner + 1), batch_backward, &j);
    }
    return channel_layout_end(&l, c, st);
}
static taper_status native_batch_norm_backward_cuda(taper_call *c) {
    channel_layout l;
    taper_status st = channel_layout_begin(&l, c, 2);
    taper_channel_call call = {.x = l.t[1], .g = l.t[0], .w = TAPER_ARG_T(c, 2), .y = l.y, .mean = c->args[3].t, .rstd = c->args[4].t,
                               .dw = c->out[1], .db = c->out[2], .training = c->args[5].i, .op = "batch_norm_backward"};
    if (st == TAPER_OK) st = taper__batch_norm_cuda(&call);
    return channel_layout_end(&l, c, st);
}
static const taper_kernel native_batch_norm_backward_kernels[] = {{"cpu", TAPER_CPU, NULL, native_batch_norm_backward_cpu},
                                                                  {"cuda", TAPER_CUDA, NULL, native_batch_norm_backward_cuda},
                                                                  {0}};

static taper_status native_batch_norm_backward_vjp(taper_vjp *v) {
    taper_scope *s = v->scope;
    taper_tensor *x = v->args[1].t, *w = v->args[2].kind == TAPER_ARG_TENSOR ? v->args[2].t : NULL, *dw = NULL;
    int64_t dims[TAPER_MAX_DIMS], sizes[2] = {1, x->shape[1]};
    int n = 0;
    for (int d = 0; d < x->ndim; d++)
        if (d != 1) dims[n++] = d;
#define AS_CHANNELS(t) channel_view(s, t, x->ndim, 2, sizes)
    taper_norm_second q = {.g = v->args[0].t, .x = x, .mean = AS_CHANNELS(v->args[3].t), .rstd = AS_CHANNELS(v->args[4].t), .w = AS_CHANNELS(w),
                           .h = v->grad[0], .hw = AS_CHANNELS(v->grad[1]), .hb = AS_CHANNELS(v->grad[2]), .dims = dims, .ndims = n,
                           .count = (double)x->numel / (double)x->shape[1], .fixed = !v->args[5].i};
    q.dg = v->need[0] ? &v->d[0] : NULL;
    q.dx = v->need[1] ? &v->d[1] : NULL;
    q.dw = v->need[2] ? &dw : NULL;
    if (s->status != TAPER_OK) return s->status;
    TAPER_TRY(taper__norm_second(s, &q));
    if (dw) v->d[2] = tx_sum(s, dw, dims, n, false, TAPER_DTYPE_NONE);
    return s->status;
}
const taper_op taper_op_native_batch_norm_backward = {
    .infer = channel_backward_infer,
    .kernels = native_batch_norm_backward_kernels,
    .vjp = native_batch_norm_backward_vjp,
    .saves = 0x1f,
    .contiguous = 0x1c,
    .upcast = true,
    /* The statistics are functions of the input, which the differences would hold still. */
    .samples = (const taper_sample[]){{"[4,3], [4,3], [3], [3]:f32:nograd, [3]:pos:f32:nograd, true", .no_grad_check = true, .tolerance = 1e-4}, {0}},
};

static taper_status batch_norm_compose(taper_call *c, taper_scope *s) {
    const taper_tensor *x = c->args[0].t;
    taper_tensor *out[TAPER_MAX_OUTS] = {NULL};
    if (c->args[5].i && x->ndim > 1 && x->shape[1] && x->numel == x->shape[1])
        return TAPER_FAIL(TAPER_VALUE, "Expected more than 1 value per channel when training, got input size torch.Size(%s)", TAPER_SHAPE(x));
    TAPER_TRY(taper_native_batch_norm(out, c->args[0].t, TAPER_ARG_T(c, 3), TAPER_ARG_T(c, 4), TAPER_ARG_T(c, 1), TAPER_ARG_T(c, 2), c->args[5].i,
                                      c->args[6].f, c->args[7].f));
    for (int k = 1; k < 3; k++) taper_scope_own(s, out[k]);
    c->out[0] = out[0];
    c->nout = 1;
    return s->status;
}
const taper_op taper_op_batch_norm = {
    .compose = batch_norm_compose,
    .samples = (const taper_sample[]){{"[4,3,2,2], -, -, [3], [3], true", .tolerance = 1e-4},
                                      {"[4,3], [3]:nograd, [3]:pos:nograd, [3], [3], false", .tolerance = 1e-4},
                                      {"[4,3], -, -, training=true", .tolerance = 1e-4},
                                      {"[1,3], -, -, training=true", .error = "Expected more than 1 value per channel when training"},
                                      {"[4,3], -, -", .error = "running_mean must be defined in evaluation mode"},
                                      {0}},
};
