/* group_norm: normalisation over groups of channels of one sample, with a weight and bias for each channel. */
#include "ops/channel_norm.h"

#include <math.h>

static void group_forward(void *ctx, int64_t begin, int64_t end) {
    const channel_job *j = ctx;
    int64_t per = j->channels / j->groups;
    double count = (double)(per * j->inner);
    for (int64_t k = begin; k < end; k++) {
        double mean = 0, var = 0;
        for (int64_t i = 0; i < per; i++) mean += channel_sum(j, j->x, k * per + i);
        mean /= count;
        for (int64_t i = 0; i < per; i++) var += channel_spread(j, k * per + i, mean);
        double r = 1 / sqrt(var / count + j->eps);
        channel_set(j->mean, k, mean);
        channel_set(j->rstd, k, r);
        for (int64_t i = 0; i < per; i++) {
            int64_t c = k % j->groups * per + i;
            double scale = r * channel_get(j->w, c, 1);
            channel_apply(j, k * per + i, 0, scale, channel_get(j->b, c, 0) - mean * scale);
        }
    }
}

static void group_backward(void *ctx, int64_t begin, int64_t end) {
    const channel_job *j = ctx;
    int64_t per = j->channels / j->groups;
    double count = (double)(per * j->inner);
    for (int64_t k = begin; k < end; k++) {
        double sum = 0, dot = 0, mean = channel_get(j->mean, k, 0), r = channel_get(j->rstd, k, 1);
        for (int64_t i = 0; i < per; i++) {
            int64_t run = k * per + i;
            double w = channel_get(j->w, k % j->groups * per + i, 1), *s = j->sums + 2 * run;
            s[0] = channel_sum(j, j->g, run);
            s[1] = (channel_dot(j, run) - mean * s[0]) * r;
            sum += w * s[0];
            dot += w * s[1];
        }
        double b = -r * r * dot / count, shift = -r * sum / count - b * mean;
        for (int64_t i = 0; i < per; i++) channel_apply(j, k * per + i, r * channel_get(j->w, k % j->groups * per + i, 1), b, shift);
    }
}

static taper_status group_check(const taper_call *c, const taper_tensor *x, int64_t groups, int first, int last) {
    TAPER_TRY(channel_shape(c, x, first, last));
    if (groups <= 0) return TAPER_FAIL(TAPER_RUNTIME, "Expected num groups to be greater than 0, got %lld", (long long)groups);
    if (x->shape[1] % groups)
        return TAPER_FAIL(TAPER_RUNTIME, "Expected number of channels in input to be divisible by num_groups, but got input of shape %s and num_groups=%lld",
                          TAPER_SHAPE(x), (long long)groups);
    return TAPER_OK;
}
static taper_status native_group_norm_infer(taper_call *c) {
    const taper_tensor *x = c->args[0].t;
    TAPER_TRY(group_check(c, x, c->args[3].i, 1, 2));
    int64_t shape[2] = {x->shape[0], c->args[3].i};
    c->nondiff = 6;
    TAPER_TRY(taper__out(c, 0, (taper_dtype)x->dtype, x->ndim, x->shape));
    TAPER_TRY(taper__out(c, 1, channel_stats(x), 2, shape));
    return taper__out(c, 2, channel_stats(x), 2, shape);
}
static taper_status native_group_norm_cpu(taper_call *c) {
    channel_job j;
    channel_job_set(&j, c->args[0].t, NULL, c->out[0]);
    j.w = TAPER_ARG_T(c, 1);
    j.b = TAPER_ARG_T(c, 2);
    j.groups = c->args[3].i;
    j.eps = c->args[4].f;
    j.mean = c->out[1];
    j.rstd = c->out[2];
    taper__parallel_for(j.outer * j.groups, 1 + 16384 / (j.channels / j.groups * j.inner + 1), group_forward, &j);
    return TAPER_OK;
}
static taper_status native_group_norm_cuda(taper_call *c) {
    taper_channel_call call = {.x = c->args[0].t, .w = TAPER_ARG_T(c, 1), .b = TAPER_ARG_T(c, 2), .y = c->out[0], .mean = c->out[1], .rstd = c->out[2],
                               .groups = c->args[3].i, .eps = c->args[4].f, .op = "group_norm"};
    return taper__group_norm_cuda(&call);
}
static const taper_kernel native_group_norm_kernels[] = {{"cpu", TAPER_CPU, NULL, native_group_norm_cpu}, {"cuda", TAPER_CUDA, NULL, native_group_norm_cuda}, {0}};
static taper_status native_group_norm_vjp(taper_vjp *v) {
    taper_tensor *d[TAPER_MAX_OUTS] = {NULL};
    taper_scope *s = v->scope;
    if (!v->grad[0]) return TAPER_OK;
    s->status = taper_native_group_norm_backward(d, v->grad[0], v->args[0].t, v->args[1].kind == TAPER_ARG_TENSOR ? v->args[1].t : NULL, v->out[1],
                                                 v->out[2], v->args[3].i);
    for (int k = 0; k < 3; k++) {
        taper_scope_own(s, d[k]);
        if (v->need[k]) v->d[k] = d[k];
    }
    return s->status;
}
const taper_op taper_op_native_group_norm = {
    .infer = native_group_norm_infer,
    .kernels = native_group_norm_kernels,
    .vjp = native_group_norm_vjp,
    .saves = TAPER_SAVE_ARG(0) | TAPER_SAVE_ARG(1) | TAPER_SAVE_OUT(1) | TAPER_SAVE_OUT(2),
    .contiguous = 7,
    .upcast = true,
    .samples = (const taper_sample[]){{"[2,4,3], [4], [4], 2, 1e-5", .tolerance = 1e-4}, {"[2,4,3], -, -, 4, 0.1", .tolerance = 1e-4}, {0}},
};

static taper_status native_group_norm_backward_infer(taper_call *c) {
    TAPER_TRY(group_check(c, c->args[1].t, c->args[5].i, 2, 2));
    return channel_backward_infer(c);
}
static size_t native_group_norm_backward_workspace(const taper_call *c) {
    const taper_tensor *x = c->args[1].t;
    return c->device.type == TAPER_CUDA ? 0 : (size_t)(x->shape[0] * x->shape[1] + 1) * 2 * sizeof(double);
}
static taper_status native_group_norm_backward_cpu(taper_call *c) {
    channel_job j;
    channel_job_set(&j, c->args[1].t, c->args[0].t, c->out[0]);
    j.w = TAPER_ARG_T(c, 2);
    j.mean = c->args[3].t;
    j.rstd = c->args[4].t;
    j.groups = c->args[5].i;
    j.sums = c->workspace;
    taper__parallel_for(j.outer * j.groups, 1 + 16384 / (j.channels / j.groups * j.inner + 1), group_backward, &j);
    for (int64_t k = 0; k < j.channels; k++) {
        double dw = 0, db = 0;
        for (int64_t n = 0; n < j.outer; n++) {
            db += j.sums[2 * (n * j.channels + k)];
            dw += j.sums[2 * (n * j.channels + k) + 1];
        }
        channel_set(c->out[1], k, dw);
        channel_set(c->out[2], k, db);
    }
    return TAPER_OK;
}
static taper_status native_group_norm_backward_cuda(taper_call *c) {
    taper_channel_call call = {.x = c->args[1].t, .g = c->args[0].t, .w = TAPER_ARG_T(c, 2), .y = c->out[0], .mean = c->args[3].t, .rstd = c->args[4].t,
                               .dw = c->out[1], .db = c->out[2], .groups = c->args[5].i, .op = "group_norm_backward"};
    return taper__group_norm_cuda(&call);
}
static const taper_kernel native_group_norm_backward_kernels[] = {{"cpu", TAPER_CPU, NULL, native_group_norm_backward_cpu},
                                                                  {"cuda", TAPER_CUDA, NULL, native_group_norm_backward_cuda},
                                                                  {0}};

static taper_status native_group_norm_backward_vjp(taper_vjp *v) {
    taper_scope *s = v->scope;
    taper_tensor *x = v->args[1].t, *w = v->args[2].kind == TAPER_ARG_TENSOR ? v->args[2].t : NULL, *dw = NULL, *dg = NULL, *dx = NULL;
    int64_t groups = v->args[5].i, per = x->shape[1] / groups, inner = 1;
    for (int d = 2; d < x->ndim; d++) inner *= x->shape[d];
    int64_t full[4] = {x->shape[0], groups, per, inner}, channels[4] = {1, groups, per, 1}, dims[2] = {2, 3};
#define AS_GROUPS(t) channel_view(s, t, 4, 4, channels)
    taper_norm_second q = {.g = channel_view(s, v->args[0].t, 4, 4, full), .x = channel_view(s, x, 4, 4, full),
                           .mean = channel_view(s, v->args[3].t, 4, 2, full), .rstd = channel_view(s, v->args[4].t, 4, 2, full), .w = AS_GROUPS(w),
                           .h = channel_view(s, v->grad[0], 4, 4, full), .hw = AS_GROUPS(v->grad[1]), .hb = AS_GROUPS(v->grad[2]), .dims = dims, .ndims = 2,
                           .count = (double)(per * inner)};
    q.dg = v->need[0] ? &dg : NULL;
    q.dx = v->need[1] ? &dx : NULL;
    q.dw = v->need[2] ? &dw : NULL;
    if (s->status != TAPER_OK) return s->status;
    TAPER_TRY(taper__norm_second(s, &q));
    if (dg) v->d[0] = tx_reshape(s, dg, x->shape, x->ndim);
    if (dx) v->d[1] = tx_reshape(s, dx, x->shape, x->ndim);
    if (dw) {
        int64_t over[2] = {0, 3};
        v->d[2] = tx_reshape(s, tx_sum(s, dw, over, 2, false, TAPER_DTYPE_NONE), w->shape, 1);
    }
    return s->status;
}
const taper_op taper_op_native_group_norm_backward = {
    .infer = native_group_norm_backward_infer,
    .kernels = native_group_norm_backward_kernels,
    .vjp = native_group_norm_backward_vjp,
    .saves = 0x1f,
    .workspace = native_group_norm_backward_workspace,
    .contiguous = 0x1f,
    .upcast = true,
    /* The statistics are functions of the input, which the differences would hold still. */
    .samples = (const taper_sample[]){{"[2,4,3], [2,4,3], [4], [2,2]:f32:nograd, [2,2]:pos:f32:nograd, 2", .no_grad_check = true, .tolerance = 1e-4}, {0}},
};

static taper_status group_norm_compose(taper_call *c, taper_scope *s) {
    taper_tensor *out[TAPER_MAX_OUTS] = {NULL};
    TAPER_TRY(taper_native_group_norm(out, c->args[0].t, TAPER_ARG_T(c, 2), TAPER_ARG_T(c, 3), c->args[1].i, c->args[4].f));
    for (int k = 1; k < 3; k++) taper_scope_own(s, out[k]);
    c->out[0] = out[0];
    c->nout = 1;
    return s->status;
}
const taper_op taper_op_group_norm = {
    .compose = group_norm_compose,
    .samples = (const taper_sample[]){{"[2,4,3,2], 2", .tolerance = 1e-4},
                                      {"[2,4,3], 4, [4], [4]", .tolerance = 1e-4},
                                      {"[2,4], 1, [4]", .tolerance = 1e-4},
                                      {"[2,4,3], 3", .error = "to be divisible by num_groups"},
                                      {0}},
};
