/* conv2d and its two gradients, which are linear in each tensor and so are each other's gradients. */
#include "ops/conv_cuda.h"

/* Reads an int or a list of 1 or 2 ints. */
static taper_status conv_pair(int64_t out[2], const taper_arg *a, int64_t fallback, const char *what) {
    out[0] = out[1] = fallback;
    if (a->kind == TAPER_ARG_INT) {
        out[0] = out[1] = a->i;
    } else if (a->kind == TAPER_ARG_INTS && a->count > 0) {
        if (a->count > 2)
            return TAPER_FAIL(TAPER_RUNTIME,
                              "expected %s to be a single integer value or a list of 2 values to match the convolution dimensions, "
                              "but got %s=%s", what, what, taper__shape_text(a->count, a->is).s);
        out[0] = a->is[0];
        out[1] = a->is[a->count - 1];
    }
    return TAPER_OK;
}

/* Everything but tensors: args[k ..] are stride, padding, dilation, groups. */
static taper_status conv_numbers(taper_conv *g, const taper_arg *args) {
    TAPER_TRY(conv_pair(g->stride, &args[0], 1, "stride"));
    TAPER_TRY(conv_pair(g->padding, &args[1], 0, "padding"));
    TAPER_TRY(conv_pair(g->dilation, &args[2], 1, "dilation"));
    g->groups = args[3].kind == TAPER_ARG_INT ? args[3].i : 1;
    if (g->groups <= 0) return TAPER_FAIL(TAPER_RUNTIME, "non-positive groups is not supported");
    if (g->padding[0] < 0 || g->padding[1] < 0) return TAPER_FAIL(TAPER_RUNTIME, "negative padding is not supported");
    if (g->stride[0] <= 0 || g->stride[1] <= 0) return TAPER_FAIL(TAPER_RUNTIME, "non-positive stride is not supported");
    if (g->dilation[0] <= 0 || g->dilation[1] <= 0)
        return TAPER_FAIL(TAPER_RUNTIME, "dilation should be greater than zero, but got %s", taper__shape_text(2, g->dilation).s);
    return TAPER_OK;
}

static void conv_input_size(taper_conv *g, int ndim, const int64_t *shape) {
    g->n = ndim == 4 ? shape[0] : 1;
    g->c = shape[ndim - 3], g->h = shape[ndim - 2], g->w = shape[ndim - 1];
}
static void conv_weight_size(taper_conv *g, const int64_t *shape) { g->o = shape[0], g->kh = shape[2], g->kw = shape[3]; }
static void conv_output_size(taper_conv *g) {
    g->oh = (g->h + 2 * g->padding[0] - g->dilation[0] * (g->kh - 1) - 1) / g->stride[0] + 1;
    g->ow = (g->w + 2 * g->padding[1] - g->dilation[1] * (g->kw - 1) - 1) / g->stride[1] + 1;
}

static taper_status conv_check_dtypes(const taper_call *c, const taper_tensor *x, const taper_tensor *w, const taper_tensor *b) {
    TAPER_TRY(taper__need_float(x, c->row->name));
    if (x->dtype != w->dtype)
        return TAPER_FAIL(TAPER_RUNTIME, "expected scalar type %s but found %s (%s: input %s, weight %s)",
                          taper_dtype_typename((taper_dtype)x->dtype), taper_dtype_typename((taper_dtype)w->dtype), c->row->name,
                          TAPER_TEXT(x), TAPER_TEXT(w));
    if (b && b->dtype != x->dtype)
        return TAPER_FAIL(TAPER_RUNTIME, "Input type (%s) and bias type (%s) should be the same",
                          taper_dtype_name((taper_dtype)x->dtype), taper_dtype_name((taper_dtype)b->dtype));
    return taper__need_same_device(c);
}

taper_status taper__conv_check(const taper_tensor *x, const taper_tensor *w, const taper_tensor *b, int64_t groups, int dims,
                               const char *op) {
    if (x->ndim != dims + 1 && x->ndim != dims + 2)
        return TAPER_FAIL(TAPER_RUNTIME, "Expected %dD (unbatched) or %dD (batched) input to %s, but got input of size: %s", dims + 1,
                          dims + 2, op, TAPER_SHAPE(x));
    if (w->ndim != dims + 2)
        return TAPER_FAIL(TAPER_RUNTIME, "%s: expected weight to have %d dimensions, but got weight of size %s for input of size %s", op,
                          dims + 2, TAPER_SHAPE(w), TAPER_SHAPE(x));
    if (groups <= 0) return TAPER_FAIL(TAPER_RUNTIME, "non-positive groups is not supported");
    if (w->shape[0] < groups)
        return TAPER_FAIL(TAPER_RUNTIME, "Given groups=%lld, expected weight to be at least %lld at dimension 0, but got weight of size %s instead",
                          (long long)groups, (long long)groups, TAPER_SHAPE(w));
    if (w->shape[0] % groups)
        return TAPER_FAIL(TAPER_RUNTIME,
                          "Given groups=%lld, expected weight to be divisible by %lld at dimension 0, but got weight of size [%s] instead",
                          (long long)groups, (long long)groups, TAPER_SHAPE(w));
    int64_t channels = x->shape[x->ndim - dims - 1];
    if (channels != w->shape[1] * groups)
        return TAPER_FAIL(TAPER_RUNTIME, "Given groups=%lld, weight of size %s, expected input%s to have %lld channels, but got %lld channels instead",
                          (long long)groups, TAPER_SHAPE(w), TAPER_SHAPE(x), (long long)(w->shape[1] * groups), (long long)channels);
    if (b && (b->ndim != 1 || b->shape[0] != w->shape[0]))
        return TAPER_FAIL(TAPER_RUNTIME, "Given weight of size %s, expected bias to be 1-dimensional with %lld elements, but got bias of size %s instead",
                          TAPER_SHAPE(w), (long long)w->shape[0], TAPER_SHAPE(b));
    return TAPER_OK;
}

/* ---- conv2d ---- */

static taper_status conv2d_geometry(taper_conv *g, const taper_arg *args) {
    conv_input_size(g, args[0].t->ndim, args[0].t->shape);
    conv_weight_size(g, args[1].t->shape);
    TAPER_TRY(conv_numbers(g, args + 3));
    conv_output_size(g);
    return TAPER_OK;
}

/* out[i] of this shape, channels last where `like` is. */
static taper_status conv_result(taper_call *c, const taper_tensor *like, int ndim, const int64_t *shape) {
    int64_t strides[4];
    bool last = ndim == 4 && like->ndim == 4 && !like->contiguous && taper__is_channels_last(4, like->shape, like->strides);
    if (last) taper__channels_last_strides(4, shape, strides);
    return taper__out_strided(c, 0, (taper_dtype)like->dtype, ndim, shape, last ? strides : NULL);
}

static taper_status conv2d_infer(taper_call *c) {
    taper_conv g = {0};
    const taper_tensor *x = c->args[0].t, *w = c->args[1].t, *b = TAPER_ARG_T(c, 2);
    TAPER_TRY(taper__conv_check(x, w, b, c->args[6].kind == TAPER_ARG_INT ? c->args[6].i : 1, 2, "conv2d"));
    TAPER_TRY(conv2d_geometry(&g, c->args));
    TAPER_TRY(conv_check_dtypes(c, x, w, b));
    int64_t kernel_h = g.dilation[0] * (g.kh - 1) + 1, kernel_w = g.dilation[1] * (g.kw - 1) + 1;
    if (g.h + 2 * g.padding[0] < kernel_h || g.w + 2 * g.padding[1] < kernel_w)
        return TAPER_FAIL(TAPER_RUNTIME,
                          "Calculated padded input size per channel: (%lld x %lld). Kernel size: (%lld x %lld). Kernel size can't be "
                          "greater than actual input size",
                          (long long)(g.h + 2 * g.padding[0]), (long long)(g.w + 2 * g.padding[1]), (long long)kernel_h, (long long)kernel_w);
    int64_t shape[4] = {g.n, g.o, g.oh, g.ow};
    int lead = x->ndim == 3;
    return conv_result(c, x, 4 - lead, shape + lead);
}

/* Runs one of the products on contiguous blocks, then puts the result in the layout asked for. */
static taper_status conv_into(taper_call *c, taper_status (*run)(const taper_call *c, void *out)) {
    taper_tensor *out = c->out[0], *plain = NULL, *copy[3] = {NULL}, *given[3] = {NULL};
    taper_status st = TAPER_OK;
    for (int k = 0; k < 3; k++) {
        given[k] = TAPER_ARG_T(c, k);
        if (!given[k] || given[k]->contiguous) continue;
        TAPER_TRY_GOTO(taper__tensor_empty(&copy[k], (taper_dtype)given[k]->dtype, given[k]->device, given[k]->ndim, given[k]->shape, c->row->name));
        TAPER_TRY_GOTO(taper__copy_data(copy[k], given[k]));
        c->args[k].t = copy[k];
    }
    if (out->contiguous) {
        st = run(c, taper__data(out));
    } else {
        TAPER_TRY_GOTO(taper__tensor_empty(&plain, (taper_dtype)out->dtype, out->device, out->ndim, out->shape, c->row->name));
        TAPER_TRY_GOTO(run(c, taper__data(plain)));
        st = taper__copy_data(out, plain);
    }
out:
    for (int k = 0; k < 3; k++) {
        if (given[k]) c->args[k].t = given[k];
        taper_tensor_release(copy[k]);
    }
    taper_tensor_release(plain);
    return st;
}

static taper_status conv2d_product(const taper_call *c, void *out) {
    taper_conv g = {0};
    TAPER_TRY(conv2d_geometry(&g, c->args));
    const taper_tensor *b = TAPER_ARG_T(c, 2);
    return taper__conv_forward(&g, (taper_dtype)c->out[0]->dtype, taper__data(c->args[0].t), taper__data(c->args[1].t),
                               b ? taper__data(b) : NULL, out);
}
static taper_status conv2d_cpu(taper_call *c) { return conv_into(c, conv2d_product); }
static taper_status conv2d_cuda(taper_call *c) {
    taper_conv g = {0};
    TAPER_TRY(conv2d_geometry(&g, c->args));
    return taper__conv_cuda(TAPER_CONV_FORWARD, &g, c->args[0].t, c->args[1].t, TAPER_ARG_T(c, 2), c->out[0], "conv2d");
}
static taper_status conv2d_dnn(taper_call *c) {
    taper_conv g = {0};
    TAPER_TRY(conv2d_geometry(&g, c->args));
    return taper__conv_dnn(TAPER_CONV_FORWARD, &g, c->args[0].t, c->args[1].t, TAPER_ARG_T(c, 2), c->out[0], "conv2d");
}
static const taper_kernel conv2d_kernels[] = {{"cpu", TAPER_CPU, NULL, conv2d_cpu},
                                              {"cudnn", TAPER_CUDA, taper__conv_dnn_supports, conv2d_dnn},
                                              {"cuda", TAPER_CUDA, NULL, conv2d_cuda},
                                              {0}};

static double conv2d_flops(const taper_call *c) {
    const taper_tensor *w = c->args[1].t;
    return 2.0 * (double)c->out[0]->numel * (double)(w->shape[1] * w->shape[2] * w->shape[3]);
}

static taper_status conv2d_vjp(taper_vjp *v) {
    taper_scope *s = v->scope;
    taper_conv g = {0};
    taper_tensor *x = v->args[0].t, *w = v->args[1].t, *d = v->grad[0];
    TAPER_TRY(conv2d_geometry(&g, v->args));
    if (v->need[0]) v->d[0] = tx_conv2d_input_grad(s, x->shape, x->ndim, w, d, g.stride, 2, g.padding, 2, g.dilation, 2, g.groups);
    if (v->need[1]) v->d[1] = tx_conv2d_weight_grad(s, x, w->shape, 4, d, g.stride, 2, g.padding, 2, g.dilation, 2, g.groups);
    if (v->need[2]) v->d[2] = tx_sum(s, d, d->ndim == 4 ? (int64_t[]){0, 2, 3} : (int64_t[]){1, 2}, d->ndim - 1, false, TAPER_DTYPE_NONE);
    return s->status;
}

const taper_op taper_op_conv2d = {
    .infer = conv2d_infer,
    .kernels = conv2d_kernels,
    .vjp = conv2d_vjp,
    .saves = TAPER_SAVE_ARG(0) | TAPER_SAVE_ARG(1),
    .saves_when = {[0] = 1 << 1, [1] = 1 << 0},
    .flops = conv2d_flops,
    .upcast = true,
    .grad_name = "ConvolutionBackward0",
    .samples = (const taper_sample[]){{"[2,3,5,4], [4,3,3,3], [4]"},
                                      {"[2,3,6,5], [4,3,3,2], stride=(2,1), padding=(1,0), dilation=(1,2)"},
                                      {"[1,4,4,4], [6,2,3,3], [6], padding=1, groups=2"},
                                      {"[2,3,4,5], [6,1,3,3], padding=1, groups=3"},
                                      {"[2,4,3,3], [5,4,1,1], [5]"},
                                      {"[3,5,5], [2,3,2,2], padding=1"},
                                      {"[0,3,5,4], [4,3,3,3], [4]"},
                                      {"[1,2,8,8], [4,3,3,3]", .error = "expected input[1, 2, 8, 8] to have 3 channels, but got 2 channels instead"},
                                      {0}},
};

/* ---- gradient of the input ---- */

static taper_status conv2d_input_grad_geometry(taper_conv *g, const taper_arg *args) {
    conv_input_size(g, args[0].count, args[0].is);
    conv_weight_size(g, args[1].t->shape);
    TAPER_TRY(conv_numbers(g, args + 3));
    conv_output_size(g);
    return TAPER_OK;
}

static taper_status conv2d_input_grad_infer(taper_call *c) {
    taper_conv g = {0};
    const taper_arg *size = &c->args[0];
    const taper_tensor *w = c->args[1].t, *d = c->args[2].t;
    if ((size->count != 3 && size->count != 4) || w->ndim != 4 || d->ndim != size->count)
        return TAPER_FAIL(TAPER_RUNTIME, "conv2d_input_grad: input_size %s, weight %s and grad_output %s do not belong together",
                          taper__shape_text(size->count, size->is).s, TAPER_SHAPE(w), TAPER_SHAPE(d));
    TAPER_TRY(conv2d_input_grad_geometry(&g, c->args));
    TAPER_TRY(conv_check_dtypes(c, d, w, NULL));
    int64_t shape[4] = {g.n, g.o, g.oh, g.ow}, *want = shape + (d->ndim == 3);
    if (memcmp(want, d->shape, sizeof *want * (size_t)d->ndim) || g.c != w->shape[1] * g.groups || g.o % g.groups)
        return TAPER_FAIL(TAPER_RUNTIME, "conv2d_input_grad: input_size %s, weight %s and groups=%lld give output %s, but grad_output is %s",
                          taper__shape_text(size->count, size->is).s, TAPER_SHAPE(w), (long long)g.groups,
                          taper__shape_text(d->ndim, want).s, TAPER_SHAPE(d));
    return conv_result(c, d, size->count, size->is);
}

static taper_status conv2d_input_grad_product(const taper_call *c, void *out) {
    taper_conv g = {0};
    TAPER_TRY(conv2d_input_grad_geometry(&g, c->args));
    return taper__conv_input_grad(&g, (taper_dtype)c->out[0]->dtype, taper__data(c->args[1].t), taper__data(c->args[2].t), out);
}
static taper_status conv2d_input_grad_cpu(taper_call *c) { return conv_into(c, conv2d_input_grad_product); }
static taper_status conv2d_input_grad_cuda(taper_call *c) {
    taper_conv g = {0};
    TAPER_TRY(conv2d_input_grad_geometry(&g, c->args));
    return taper__conv_cuda(TAPER_CONV_INPUT, &g, c->out[0], c->args[1].t, NULL, c->args[2].t, "conv2d_input_grad");
}
static taper_status conv2d_input_grad_dnn(taper_call *c) {
    taper_conv g = {0};
    TAPER_TRY(conv2d_input_grad_geometry(&g, c->args));
    return taper__conv_dnn(TAPER_CONV_INPUT, &g, c->out[0], c->args[1].t, NULL, c->args[2].t, "conv2d_input_grad");
}
static const taper_kernel conv2d_input_grad_kernels[] = {{"cpu", TAPER_CPU, NULL, conv2d_input_grad_cpu},
                                                         {"cudnn", TAPER_CUDA, taper__conv_dnn_supports, conv2d_input_grad_dnn},
                                                         {"cuda", TAPER_CUDA, NULL, conv2d_input_grad_cuda},
                                                         {0}};

static taper_status conv2d_input_grad_vjp(taper_vjp *v) {
    taper_scope *s = v->scope;
    taper_conv g = {0};
    taper_tensor *w = v->args[1].t, *d = v->args[2].t, *dd = v->grad[0];
    TAPER_TRY(conv2d_input_grad_geometry(&g, v->args));
    if (v->need[1]) v->d[1] = tx_conv2d_weight_grad(s, dd, w->shape, 4, d, g.stride, 2, g.padding, 2, g.dilation, 2, g.groups);
    if (v->need[2]) v->d[2] = tx_conv2d(s, dd, w, NULL, g.stride, 2, g.padding, 2, g.dilation, 2, g.groups);
    return s->status;
}

const taper_op taper_op_conv2d_input_grad = {
    .infer = conv2d_input_grad_infer,
    .kernels = conv2d_input_grad_kernels,
    .vjp = conv2d_input_grad_vjp,
    .saves = TAPER_SAVE_ARG(1) | TAPER_SAVE_ARG(2),
    .saves_when = {[1] = 1 << 2, [2] = 1 << 1},
    .upcast = true,
    .grad_name = "ConvolutionBackwardBackward0",
    .samples = (const taper_sample[]){{"(2,3,5,4), [4,3,3,3], [2,4,3,2]"},
                                      {"(2,3,6,5), [4,3,3,2], [2,4,3,3], stride=(2,1), padding=(1,0), dilation=(1,2)"},
                                      {"(1,4,4,4), [6,2,3,3], [1,6,4,4], padding=1, groups=2"},
                                      {"(2,3,4,5), [6,1,3,3], [2,6,4,5], padding=1, groups=3"},
                                      {"(2,4,3,3), [5,4,1,1], [2,5,3,3]"},
                                      {"(2,4,24,23), [6,2,3,2]:nograd, [2,6,24,24]:nograd, padding=1, groups=2", .tolerance = 1e-4},
                                      {"(2,4,3,3), [5,4,1,1], [2,5,3,4]", .error = "but grad_output is [2, 5, 3, 4]"},
                                      {0}},
};

/* ---- gradient of the weight ---- */

static taper_status conv2d_weight_grad_geometry(taper_conv *g, const taper_arg *args) {
    conv_input_size(g, args[0].t->ndim, args[0].t->shape);
    conv_weight_size(g, args[1].is);
    TAPER_TRY(conv_numbers(g, args + 3));
    conv_output_size(g);
    return TAPER_OK;
}

static taper_status conv2d_weight_grad_infer(taper_call *c) {
    taper_conv g = {0};
    const taper_arg *size = &c->args[1];
    const taper_tensor *x = c->args[0].t, *d = c->args[2].t;
    if (size->count != 4 || (x->ndim != 3 && x->ndim != 4) || d->ndim != x->ndim)
        return TAPER_FAIL(TAPER_RUNTIME, "conv2d_weight_grad: input %s, weight_size %s and grad_output %s do not belong together",
                          TAPER_SHAPE(x), taper__shape_text(size->count, size->is).s, TAPER_SHAPE(d));
    TAPER_TRY(conv2d_weight_grad_geometry(&g, c->args));
    TAPER_TRY(conv_check_dtypes(c, x, d, NULL));
    int64_t shape[4] = {g.n, g.o, g.oh, g.ow}, *want = shape + (d->ndim == 3);
    if (memcmp(want, d->shape, sizeof *want * (size_t)d->ndim) || g.c != size->is[1] * g.groups || g.o % g.groups)
        return TAPER_FAIL(TAPER_RUNTIME, "conv2d_weight_grad: input %s, weight_size %s and groups=%lld give output %s, but grad_output is %s",
                          TAPER_SHAPE(x), taper__shape_text(4, size->is).s, (long long)g.groups, taper__shape_text(d->ndim, want).s,
                          TAPER_SHAPE(d));
    return taper__out(c, 0, (taper_dtype)x->dtype, 4, size->is);
}

static taper_status conv2d_weight_grad_product(const taper_call *c, void *out) {
    taper_conv g = {0};
    TAPER_TRY(conv2d_weight_grad_geometry(&g, c->args));
    return taper__conv_weight_grad(&g, (taper_dtype)c->out[0]->dtype, taper__data(c->args[0].t), taper__data(c->args[2].t), out);
}
static taper_status conv2d_weight_grad_cpu(taper_call *c) { return conv_into(c, conv2d_weight_grad_product); }
static taper_status conv2d_weight_grad_cuda(taper_call *c) {
    taper_conv g = {0};
    TAPER_TRY(conv2d_weight_grad_geometry(&g, c->args));
    return taper__conv_cuda(TAPER_CONV_WEIGHT, &g, c->args[0].t, c->out[0], NULL, c->args[2].t, "conv2d_weight_grad");
}
static taper_status conv2d_weight_grad_dnn(taper_call *c) {
    taper_conv g = {0};
    TAPER_TRY(conv2d_weight_grad_geometry(&g, c->args));
    return taper__conv_dnn(TAPER_CONV_WEIGHT, &g, c->args[0].t, c->out[0], NULL, c->args[2].t, "conv2d_weight_grad");
}
static const taper_kernel conv2d_weight_grad_kernels[] = {{"cpu", TAPER_CPU, NULL, conv2d_weight_grad_cpu},
                                                          {"cudnn", TAPER_CUDA, taper__conv_dnn_supports, conv2d_weight_grad_dnn},
                                                          {"cuda", TAPER_CUDA, NULL, conv2d_weight_grad_cuda},
                                                          {0}};

static taper_status conv2d_weight_grad_vjp(taper_vjp *v) {
    taper_scope *s = v->scope;
    taper_conv g = {0};
    taper_tensor *x = v->args[0].t, *d = v->args[2].t, *dd = v->grad[0];
    TAPER_TRY(conv2d_weight_grad_geometry(&g, v->args));
    if (v->need[0]) v->d[0] = tx_conv2d_input_grad(s, x->shape, x->ndim, dd, d, g.stride, 2, g.padding, 2, g.dilation, 2, g.groups);
    if (v->need[2]) v->d[2] = tx_conv2d(s, x, dd, NULL, g.stride, 2, g.padding, 2, g.dilation, 2, g.groups);
    return s->status;
}

const taper_op taper_op_conv2d_weight_grad = {
    .infer = conv2d_weight_grad_infer,
    .kernels = conv2d_weight_grad_kernels,
    .vjp = conv2d_weight_grad_vjp,
    .saves = TAPER_SAVE_ARG(0) | TAPER_SAVE_ARG(2),
    .saves_when = {[0] = 1 << 2, [2] = 1 << 0},
    .upcast = true,
    .grad_name = "ConvolutionBackwardBackward0",
    .samples = (const taper_sample[]){{"[2,3,5,4], (4,3,3,3), [2,4,3,2]"},
                                      {"[2,3,6,5], (4,3,3,2), [2,4,3,3], stride=(2,1), padding=(1,0), dilation=(1,2)"},
                                      {"[1,4,4,4], (6,2,3,3), [1,6,4,4], padding=1, groups=2"},
                                      {"[2,3,4,5], (6,1,3,3), [2,6,4,5], padding=1, groups=3"},
                                      {"[2,4,3,3], (5,4,1,1), [2,5,3,3]"},
                                      {"[2,4,3,3], (5,4,1,1), [2,5,3,4]", .error = "but grad_output is [2, 5, 3, 4]"},
                                      {0}},
};
