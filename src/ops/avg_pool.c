/* Average pooling, fixed and adaptive. Both are linear, so that the gradient of each gradient is the pooling itself. */
#include "ops/pool.h"

/* args from `k`: kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override. */
static taper_status avg_pool_read(taper_pool *p, const taper_arg *args, int k, const char *op, int ndim, const int64_t *shape) {
    p->ceil_mode = args[k + 3].i;
    p->include_pad = args[k + 4].kind == TAPER_ARG_NONE || args[k + 4].i;
    if (args[k + 5].kind == TAPER_ARG_INT) {
        p->divisor = args[k + 5].i;
        if (!p->divisor) return TAPER_FAIL(TAPER_RUNTIME, "divisor must be not zero");
    }
    TAPER_TRY(taper__pool_numbers(p, op, &args[k], &args[k + 1], &args[k + 2], NULL));
    return taper__pool_sizes(p, ndim, shape);
}

static taper_status avg_pool_result(taper_call *c, const taper_pool *p) {
    const taper_tensor *x = c->args[0].t;
    int64_t shape[4];
    TAPER_TRY(taper__need_float(x, c->row->name));
    taper__pool_shape(p, x->ndim, x->shape, shape);
    return taper__out(c, 0, (taper_dtype)x->dtype, x->ndim, shape);
}

/* The result of a gradient: input_size, which the windows must cut into the shape of grad_output. */
static taper_status avg_pool_grad_result(taper_call *c, const taper_pool *p) {
    const taper_tensor *g = c->args[0].t;
    const taper_arg *size = &c->args[1];
    int64_t want[4];
    TAPER_TRY(taper__need_float(g, c->row->name));
    taper__pool_shape(p, size->count, size->is, want);
    if (g->ndim != size->count || memcmp(want, g->shape, sizeof *want * (size_t)g->ndim))
        return TAPER_FAIL(TAPER_RUNTIME, "%s: input_size %s gives output %s, but grad_output is %s", c->row->name,
                          taper__shape_text(size->count, size->is).s, taper__shape_text(size->count, want).s, TAPER_SHAPE(g));
    return taper__out(c, 0, (taper_dtype)g->dtype, size->count, size->is);
}

static taper_status avg_pool_run(taper_call *c, const taper_pool *p) {
    if (c->device.type == TAPER_CUDA) return taper__pool_cuda(TAPER_POOL_AVERAGE, p, c->args[0].t, c->out[0], NULL, c->row->name);
    return taper__pool_average(p, (taper_dtype)c->out[0]->dtype, taper__data(c->args[0].t), taper__data(c->out[0]));
}
static taper_status avg_pool_run_back(taper_call *c, const taper_pool *p) {
    if (c->device.type == TAPER_CUDA) return taper__pool_cuda(TAPER_POOL_SPREAD, p, c->args[0].t, c->out[0], NULL, c->row->name);
    return taper__pool_average_backward(p, (taper_dtype)c->out[0]->dtype, taper__data(c->args[0].t), taper__data(c->out[0]));
}

/* ---- avg_pool2d ---- */

static taper_status avg_pool2d_infer(taper_call *c) {
    taper_pool p = {0};
    TAPER_TRY(avg_pool_read(&p, c->args, 1, "avg_pool2d", c->args[0].t->ndim, c->args[0].t->shape));
    return avg_pool_result(c, &p);
}
static taper_status avg_pool2d_run(taper_call *c) {
    taper_pool p = {0};
    TAPER_TRY(avg_pool_read(&p, c->args, 1, "avg_pool2d", c->args[0].t->ndim, c->args[0].t->shape));
    return avg_pool_run(c, &p);
}
static const taper_kernel avg_pool2d_kernels[] = {{"cpu", TAPER_CPU, NULL, avg_pool2d_run}, {"cuda", TAPER_CUDA, NULL, avg_pool2d_run}, {0}};
static taper_status avg_pool2d_vjp(taper_vjp *v) {
    taper_pool p = {0};
    const taper_tensor *x = v->args[0].t;
    TAPER_TRY(avg_pool_read(&p, v->args, 1, "avg_pool2d", x->ndim, x->shape));
    v->d[0] = tx_avg_pool2d_backward(v->scope, v->grad[0], x->shape, x->ndim, p.kernel, 2, p.stride, 2, p.padding, 2, p.ceil_mode,
                                     p.include_pad, p.divisor ? &p.divisor : NULL);
    return v->scope->status;
}
const taper_op taper_op_avg_pool2d = {
    .infer = avg_pool2d_infer,
    .kernels = avg_pool2d_kernels,
    .vjp = avg_pool2d_vjp,
    .contiguous = 1 << 0,
    .upcast = true,
    .samples = (const taper_sample[]){{"[2,3,6,5], 2"},
                                      {"[2,3,7,6], (3,2), (2,1), (1,1), true"},
                                      {"[3,7,7], 3, 2, 1, true, false"},
                                      {"[1,2,4,4], 2, divisor_override=3"},
                                      {"[1,1,4,4], 2, divisor_override=0", .error = "divisor must be not zero"},
                                      {"[1,1,1,4], 2", .error = "Calculated output size: (1x0x2). Output size is too small"},
                                      {0}},
};

static taper_status avg_pool2d_backward_infer(taper_call *c) {
    taper_pool p = {0};
    TAPER_TRY(avg_pool_read(&p, c->args, 2, "avg_pool2d_backward", c->args[1].count, c->args[1].is));
    return avg_pool_grad_result(c, &p);
}
static taper_status avg_pool2d_backward_run(taper_call *c) {
    taper_pool p = {0};
    TAPER_TRY(avg_pool_read(&p, c->args, 2, "avg_pool2d_backward", c->args[1].count, c->args[1].is));
    return avg_pool_run_back(c, &p);
}
static const taper_kernel avg_pool2d_backward_kernels[] = {{"cpu", TAPER_CPU, NULL, avg_pool2d_backward_run}, {"cuda", TAPER_CUDA, NULL, avg_pool2d_backward_run}, {0}};
static taper_status avg_pool2d_backward_vjp(taper_vjp *v) {
    taper_pool p = {0};
    TAPER_TRY(avg_pool_read(&p, v->args, 2, "avg_pool2d_backward", v->args[1].count, v->args[1].is));
    v->d[0] = tx_avg_pool2d(v->scope, v->grad[0], p.kernel, 2, p.stride, 2, p.padding, 2, p.ceil_mode, p.include_pad,
                            p.divisor ? &p.divisor : NULL);
    return v->scope->status;
}
const taper_op taper_op_avg_pool2d_backward = {
    .infer = avg_pool2d_backward_infer,
    .kernels = avg_pool2d_backward_kernels,
    .vjp = avg_pool2d_backward_vjp,
    .contiguous = 1 << 0,
    .upcast = true,
    .samples = (const taper_sample[]){{"[2,3,3,2], (2,3,6,5), 2"},
                                      {"[3,4,4], (3,7,7), 3, 2, 1, true, false"},
                                      {"[3,4,4], (3,6,5), 2", .error = "gives output [3, 3, 2], but grad_output is [3, 4, 4]"},
                                      {0}},
};

static taper_status avg_pool1d_compose(taper_call *c, taper_scope *s) {
    int64_t n[3] = {1, 1, 0};
    taper_tensor *x = c->args[0].t;
    if (x->ndim != 2 && x->ndim != 3)
        return TAPER_FAIL(TAPER_RUNTIME, "avg_pool1d() Expected 2D or 3D input tensor, but got %s", TAPER_SHAPE(x));
    for (int k = 0; k < 3; k++) {
        const taper_arg *a = &c->args[1 + k];
        if (k == 1) n[1] = n[0];
        if (a->kind == TAPER_ARG_INT) n[k] = a->i;
        if (a->kind == TAPER_ARG_INTS && a->count == 1) n[k] = a->is[0];
        if (a->kind == TAPER_ARG_INTS && a->count > 1)
            return TAPER_FAIL(TAPER_RUNTIME, "avg_pool1d() kernel_size, stride and padding must be an int or a list of one, got %s",
                              taper__shape_text(a->count, a->is).s);
    }
    taper_tensor *y = tx_avg_pool2d(s, taper__rows_as_images(s, x), (int64_t[]){1, n[0]}, 2, (int64_t[]){1, n[1]}, 2,
                                    (int64_t[]){0, n[2]}, 2, c->args[4].i, c->args[5].kind == TAPER_ARG_NONE || c->args[5].i, NULL);
    c->out[0] = taper_scope_keep(s, taper__images_as_rows(s, y));
    c->nout = 1;
    return s->status;
}
const taper_op taper_op_avg_pool1d = {
    .compose = avg_pool1d_compose,
    .samples = (const taper_sample[]){{"[2,3,6], 2"}, {"[3,7], 3, 2, 1, true, false"}, {"[7], 2", .error = "Expected 2D or 3D input tensor, but got [7]"}, {0}},
};

/* ---- adaptive ---- */

static taper_status adaptive_avg_pool2d_infer(taper_call *c) {
    taper_pool p = {0};
    TAPER_TRY(taper__pool_adaptive(&p, "adaptive_avg_pool2d", &c->args[1], c->args[0].t->ndim, c->args[0].t->shape));
    return avg_pool_result(c, &p);
}
static taper_status adaptive_avg_pool2d_run(taper_call *c) {
    taper_pool p = {0};
    TAPER_TRY(taper__pool_adaptive(&p, "adaptive_avg_pool2d", &c->args[1], c->args[0].t->ndim, c->args[0].t->shape));
    return avg_pool_run(c, &p);
}
static const taper_kernel adaptive_avg_pool2d_kernels[] = {{"cpu", TAPER_CPU, NULL, adaptive_avg_pool2d_run}, {"cuda", TAPER_CUDA, NULL, adaptive_avg_pool2d_run}, {0}};
static taper_status adaptive_avg_pool2d_vjp(taper_vjp *v) {
    v->d[0] = tx_adaptive_avg_pool2d_backward(v->scope, v->grad[0], v->args[0].t->shape, v->args[0].t->ndim);
    return v->scope->status;
}
const taper_op taper_op_adaptive_avg_pool2d = {
    .infer = adaptive_avg_pool2d_infer,
    .kernels = adaptive_avg_pool2d_kernels,
    .vjp = adaptive_avg_pool2d_vjp,
    .contiguous = 1 << 0,
    .upcast = true,
    .samples = (const taper_sample[]){{"[2,3,6,5], 1"}, {"[3,7,5], (2,3)"}, {"[4,4], 2", .error = "Expected 3D or 4D tensor, but got [4, 4]"}, {0}},
};

/* The windows follow from both shapes. */
static taper_status adaptive_avg_read_back(taper_pool *p, const taper_arg *args) {
    const taper_tensor *g = args[0].t;
    if (g->ndim < 3) return TAPER_FAIL(TAPER_RUNTIME, "adaptive_avg_pool2d_backward: Expected 3D or 4D tensor, but got %s", TAPER_SHAPE(g));
    taper_arg output = {.kind = TAPER_ARG_INTS, .count = 2, .is = g->shape + g->ndim - 2};
    return taper__pool_adaptive(p, "adaptive_avg_pool2d_backward", &output, args[1].count, args[1].is);
}
static taper_status adaptive_avg_pool2d_backward_infer(taper_call *c) {
    taper_pool p = {0};
    TAPER_TRY(adaptive_avg_read_back(&p, c->args));
    return avg_pool_grad_result(c, &p);
}
static taper_status adaptive_avg_pool2d_backward_run(taper_call *c) {
    taper_pool p = {0};
    TAPER_TRY(adaptive_avg_read_back(&p, c->args));
    return avg_pool_run_back(c, &p);
}
static const taper_kernel adaptive_avg_pool2d_backward_kernels[] = {{"cpu", TAPER_CPU, NULL, adaptive_avg_pool2d_backward_run}, {"cuda", TAPER_CUDA, NULL, adaptive_avg_pool2d_backward_run}, {0}};
static taper_status adaptive_avg_pool2d_backward_vjp(taper_vjp *v) {
    const taper_tensor *g = v->args[0].t;
    v->d[0] = tx_adaptive_avg_pool2d(v->scope, v->grad[0], g->shape + g->ndim - 2, 2);
    return v->scope->status;
}
const taper_op taper_op_adaptive_avg_pool2d_backward = {
    .infer = adaptive_avg_pool2d_backward_infer,
    .kernels = adaptive_avg_pool2d_backward_kernels,
    .vjp = adaptive_avg_pool2d_backward_vjp,
    .contiguous = 1 << 0,
    .upcast = true,
    .samples = (const taper_sample[]){{"[2,3,1,1], (2,3,6,5)"},
                                      {"[3,2,3], (3,7,5)"},
                                      {"[3,2,3], (2,7,5)", .error = "but grad_output is [3, 2, 3]"},
                                      {0}},
};

static taper_status adaptive_avg_pool1d_compose(taper_call *c, taper_scope *s) {
    taper_tensor *x = c->args[0].t;
    const taper_arg *a = &c->args[1];
    int64_t n = a->kind == TAPER_ARG_INT ? a->i : a->count == 1 ? a->is[0] : -1;
    if (x->ndim != 2 && x->ndim != 3)
        return TAPER_FAIL(TAPER_RUNTIME, "adaptive_avg_pool1d() Expected 2D or 3D input tensor, but got %s", TAPER_SHAPE(x));
    if (a->kind == TAPER_ARG_INTS && a->count != 1)
        return TAPER_FAIL(TAPER_RUNTIME, "adaptive_avg_pool1d() argument 'output_size' must be an int or a list of one, got %s",
                          taper__shape_text(a->count, a->is).s);
    taper_tensor *y = tx_adaptive_avg_pool2d(s, taper__rows_as_images(s, x), (int64_t[]){1, n}, 2);
    c->out[0] = taper_scope_keep(s, taper__images_as_rows(s, y));
    c->nout = 1;
    return s->status;
}
const taper_op taper_op_adaptive_avg_pool1d = {
    .compose = adaptive_avg_pool1d_compose,
    .samples = (const taper_sample[]){{"[2,3,6], 2"}, {"[3,7], 3"}, {"[7], 2", .error = "Expected 2D or 3D input tensor, but got [7]"}, {0}},
};
