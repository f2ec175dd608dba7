/* linear, gelu, linear with what their GPU products can fuse: biases, gelu and its slope, sums for the gradients of biases. */
#include <taper/autograd.h>

#include "ops/gemm_args.h"
#include "ops/product.h"

/* Rows of all leading dims; the engine has made t contiguous. */
static taper_matrix feed_rows(const taper_tensor *t) { return (taper_matrix){t, t->shape[t->ndim - 1], 1, 0}; }
static taper_matrix feed_turned(taper_matrix m) { return (taper_matrix){m.t, m.col, m.row, 0}; }
static int64_t feed_count(const taper_tensor *t) {
    int64_t n = 1;
    for (int d = 0; d < t->ndim - 1; d++) n *= t->shape[d];
    return n;
}

/* CPU kernels are other operators; their results are copied to where the engine wants them. */
static taper_status feed_give(taper_call *c, taper_scope *s, taper_tensor *const *results, int n, bool grad_was) {
    for (int i = 0; i < n && s->status == TAPER_OK; i++)
        if (results[i]) s->status = taper__copy_data(c->out[i], results[i]);
    taper_set_grad_enabled(grad_was);
    return taper_scope_end(s);
}

/* ---- linear_weight_backward ---- */

static taper_status linear_weight_backward_infer(taper_call *c) {
    const taper_tensor *g = c->args[0].t, *x = c->args[1].t;
    if (!g->ndim || g->ndim != x->ndim || memcmp(g->shape, x->shape, sizeof *x->shape * (size_t)(x->ndim - 1)) || g->dtype != x->dtype)
        return TAPER_FAIL(TAPER_RUNTIME, "linear_weight_backward: grad_output %s and input %s must have the same rows and dtype", TAPER_TEXT(g), TAPER_TEXT(x));
    TAPER_TRY(taper__need_float(x, "linear_weight_backward"));
    TAPER_TRY(taper__need_same_device(c));
    int64_t shape[2] = {g->shape[g->ndim - 1], x->shape[x->ndim - 1]};
    TAPER_TRY(taper__out(c, 0, (taper_dtype)x->dtype, 2, shape));
    return taper__out(c, 1, (taper_dtype)x->dtype, 1, shape);
}
static taper_status linear_weight_backward_cpu(taper_call *c) {
    taper_scope s = TAPER_SCOPE;
    bool was = taper_set_grad_enabled(false);
    taper_tensor *g = c->args[0].t, *x = c->args[1].t;
    int64_t gs[2] = {feed_count(g), g->shape[g->ndim - 1]}, xs[2] = {feed_count(x), x->shape[x->ndim - 1]}, zero = 0;
    taper_tensor *rows = tx_reshape(&s, g, gs, 2), *d[2];
    d[0] = tx_mm(&s, tx_transpose(&s, rows, 0, 1), tx_reshape(&s, x, xs, 2));
    d[1] = tx_sum(&s, rows, &zero, 1, false, TAPER_DTYPE_NONE);
    return feed_give(c, &s, d, 2, was);
}
static taper_status linear_weight_backward_cuda(taper_call *c) {
    const taper_tensor *g = c->args[0].t, *x = c->args[1].t;
    if (!c->out[0]->numel || !feed_count(x)) return linear_weight_backward_cpu(c);
    return taper__product_fused_cuda(&(taper_product){.c = c->out[0], .batch = 1, .m = g->shape[g->ndim - 1], .n = x->shape[x->ndim - 1],
                                                      .k = feed_count(x), .a = feed_turned(feed_rows(g)), .b = feed_rows(x), .alpha = 1,
                                                      .row_sum = c->out[1]});
}
static const taper_kernel linear_weight_backward_kernels[] = {{"cpu", TAPER_CPU, NULL, linear_weight_backward_cpu},
                                                              {"cuda", TAPER_CUDA, NULL, linear_weight_backward_cuda}, {0}};
const taper_op taper_op_linear_weight_backward = {
    .infer = linear_weight_backward_infer,
    .kernels = linear_weight_backward_kernels,
    .contiguous = 1 << 0 | 1 << 1,
    .samples = (const taper_sample[]){{"[5,3]:nograd, [5,4]:nograd"}, {"[2,5,16]:nograd, [2,5,24]:nograd"}, {"[0,3]:nograd, [0,4]:nograd"},
                                      {"[5,3]:nograd, [4,4]:nograd", .error = "grad_output float32[5, 3] and input"}, {0}},
};

/* ---- feed_forward ---- */

static bool feed_is_tanh(const taper_arg *a) { return a->kind == TAPER_ARG_STRING && !strcmp(a->s, "tanh"); }

static taper_status feed_check(const taper_call *c, const taper_tensor *x, const taper_tensor *w1, const taper_tensor *w2, const taper_arg *approximate) {
    if (approximate->kind == TAPER_ARG_STRING && strcmp(approximate->s, "none") && strcmp(approximate->s, "tanh"))
        return TAPER_FAIL(TAPER_RUNTIME, "approximate argument must be either none or tanh, got '%s' (%s)", approximate->s, c->row->name);
    if (!x->ndim || w1->ndim != 2 || w2->ndim != 2 || w1->shape[1] != x->shape[x->ndim - 1] || w2->shape[1] != w1->shape[0])
        return TAPER_FAIL(TAPER_RUNTIME, "%s: input %s, weight1 %s and weight2 %s must be (..., K), (N, K) and (M, N)", c->row->name, TAPER_TEXT(x),
                          TAPER_TEXT(w1), TAPER_TEXT(w2));
    for (int i = 0; i < c->nargs; i++)
        if (c->args[i].kind == TAPER_ARG_TENSOR && c->args[i].t->dtype != x->dtype)
            return TAPER_FAIL(TAPER_RUNTIME, "%s: all tensors must have one dtype, got %s and %s", c->row->name, TAPER_TEXT(x), TAPER_TEXT(c->args[i].t));
    TAPER_TRY(taper__need_float(x, c->row->name));
    return taper__need_same_device(c);
}

static taper_status feed_forward_infer(taper_call *c) {
    const taper_tensor *x = c->args[0].t, *w1 = c->args[1].t, *b1 = c->args[2].t, *w2 = c->args[3].t, *b2 = c->args[4].t;
    TAPER_TRY(feed_check(c, x, w1, w2, &c->args[5]));
    if (b1->ndim != 1 || b2->ndim != 1 || b1->shape[0] != w1->shape[0] || b2->shape[0] != w2->shape[0])
        return TAPER_FAIL(TAPER_RUNTIME, "feed_forward: bias1 %s and bias2 %s must have an element for each row of weight1 %s and weight2 %s", TAPER_TEXT(b1),
                          TAPER_TEXT(b2), TAPER_TEXT(w1), TAPER_TEXT(w2));
    int64_t shape[TAPER_MAX_DIMS];
    memcpy(shape, x->shape, sizeof shape);
    shape[x->ndim - 1] = w1->shape[0];
    TAPER_TRY(taper__out(c, 1, (taper_dtype)x->dtype, x->ndim, shape));
    TAPER_TRY(taper__out(c, 2, (taper_dtype)x->dtype, x->ndim, shape));
    shape[x->ndim - 1] = w2->shape[0];
    c->nondiff = 1 << 1 | 1 << 2;
    return taper__out(c, 0, (taper_dtype)x->dtype, x->ndim, shape);
}
static taper_status feed_forward_cpu(taper_call *c) {
    taper_scope s = TAPER_SCOPE;
    bool was = taper_set_grad_enabled(false);
    taper_tensor *r[3];
    r[1] = tx_linear(&s, c->args[0].t, c->args[1].t, c->args[2].t);
    r[2] = tx_gelu(&s, r[1], feed_is_tanh(&c->args[5]) ? "tanh" : "none");
    r[0] = tx_linear(&s, r[2], c->args[3].t, c->args[4].t);
    return feed_give(c, &s, r, 3, was);
}
static taper_status feed_forward_cuda(taper_call *c) {
    const taper_tensor *x = c->args[0].t, *w1 = c->args[1].t, *w2 = c->args[3].t;
    int64_t rows = feed_count(x);
    if (!c->out[0]->numel || !c->out[1]->numel || !x->numel) return feed_forward_cpu(c);
    TAPER_TRY(taper__product_fused_cuda(&(taper_product){.c = c->out[2], .batch = 1, .m = rows, .n = w1->shape[0], .k = w1->shape[1], .a = feed_rows(x),
                                                         .b = feed_turned(feed_rows(w1)), .alpha = 1, .bias = c->args[2].t, .aux = c->out[1],
                                                         .epilogue = feed_is_tanh(&c->args[5]) ? TAPER_GEMM_GELU_TANH : TAPER_GEMM_GELU}));
    return taper__product_fused_cuda(&(taper_product){.c = c->out[0], .batch = 1, .m = rows, .n = w2->shape[0], .k = w2->shape[1],
                                                      .a = feed_rows(c->out[2]), .b = feed_turned(feed_rows(w2)), .alpha = 1, .bias = c->args[4].t});
}
static const taper_kernel feed_forward_kernels[] = {{"cpu", TAPER_CPU, NULL, feed_forward_cpu}, {"cuda", TAPER_CUDA, NULL, feed_forward_cuda}, {0}};

static double feed_forward_flops(const taper_call *c) {
    return 2.0 * (double)c->out[1]->numel * (double)(c->args[1].t->shape[1] + c->args[3].t->shape[0]);
}

/* Of operators that have gradients themselves. */
static taper_status feed_composed_vjp(taper_vjp *v) {
    taper_scope *s = v->scope;
    const char *form = feed_is_tanh(&v->args[5]) ? "tanh" : "none";
    taper_tensor *x = v->args[0].t, *w1 = v->args[1].t, *w2 = v->args[3].t;
    int64_t rows[2] = {feed_count(x), x->shape[x->ndim - 1]}, outs[2] = {rows[0], w2->shape[0]}, zero = 0;
    taper_tensor *x2 = tx_reshape(s, x, rows, 2), *g = tx_reshape(s, v->grad[0], outs, 2);
    taper_tensor *inner = tx_linear(s, x2, w1, v->args[2].t), *hidden = tx_gelu(s, inner, form);
    taper_tensor *d = tx_gelu_backward(s, tx_mm(s, g, w2), inner, form);
    if (v->need[0]) {
        taper_tensor *dx = tx_mm(s, d, w1);
        v->d[0] = dx ? tx_view(s, dx, x->shape, x->ndim) : NULL;
    }
    if (v->need[1]) v->d[1] = tx_mm(s, tx_transpose(s, d, 0, 1), x2);
    if (v->need[2]) v->d[2] = tx_sum(s, d, &zero, 1, false, TAPER_DTYPE_NONE);
    if (v->need[3]) v->d[3] = tx_mm(s, tx_transpose(s, g, 0, 1), hidden);
    if (v->need[4]) v->d[4] = tx_sum(s, g, &zero, 1, false, TAPER_DTYPE_NONE);
    return s->status;
}
static taper_status feed_forward_vjp(taper_vjp *v) {
    taper_tensor *d[5] = {NULL};
    if (!v->grad[0]) return TAPER_OK;
    if (taper_grad_enabled()) return feed_composed_vjp(v);
    TAPER_TRY(taper_feed_forward_backward(d, v->grad[0], v->args[0].t, v->args[1].t, v->args[3].t, v->out[1], v->out[2],
                                          feed_is_tanh(&v->args[5]) ? "tanh" : "none"));
    for (int i = 0; i < 5; i++) {
        taper_scope_own(v->scope, d[i]);
        if (v->need[i]) v->d[i] = d[i];
    }
    return v->scope->status;
}
const taper_op taper_op_feed_forward = {
    .infer = feed_forward_infer,
    .kernels = feed_forward_kernels,
    .vjp = feed_forward_vjp,
    .saves = TAPER_SAVE_ARG(0) | TAPER_SAVE_ARG(1) | TAPER_SAVE_ARG(2) | TAPER_SAVE_ARG(3) | TAPER_SAVE_OUT(1) | TAPER_SAVE_OUT(2),
    .flops = feed_forward_flops,
    .contiguous = 0x1f,
    .samples = (const taper_sample[]){{"[2,3], [4,3], [4], [5,4], [5]"},
                                      {"[2,3,4], [6,4], [6], [4,6], [4], approximate=tanh"},
                                      {"[16,8], [24,8], [24], [8,24], [8], approximate=tanh"},
                                      {"[0,3], [4,3], [4], [5,4], [5]"},
                                      {"[2,3], [4,3], [4], [5,3], [5]", .error = "input float32[2, 3], weight1 float32[4, 3]"},
                                      {"[2,3], [4,3], [4], [5,4], [4]", .error = "must have an element for each row"},
                                      {"[2,3], [4,3], [4], [5,4], [5], approximate=maybe", .error = "must be either none or tanh"},
                                      {0}},
};

/* ---- its gradient ---- */

static taper_status feed_forward_backward_infer(taper_call *c) {
    const taper_tensor *g = c->args[0].t, *x = c->args[1].t, *w1 = c->args[2].t, *w2 = c->args[3].t, *inner = c->args[4].t, *hidden = c->args[5].t;
    TAPER_TRY(feed_check(c, x, w1, w2, &c->args[6]));
    if (g->ndim != x->ndim || inner->ndim != x->ndim || hidden->ndim != x->ndim || g->shape[g->ndim - 1] != w2->shape[0] ||
        inner->shape[x->ndim - 1] != w1->shape[0] || hidden->shape[x->ndim - 1] != w1->shape[0] || feed_count(g) != feed_count(x) ||
        feed_count(inner) != feed_count(x) || feed_count(hidden) != feed_count(x))
        return TAPER_FAIL(TAPER_RUNTIME, "feed_forward_backward: grad_output %s, inner %s and hidden %s do not belong to input %s", TAPER_TEXT(g),
                          TAPER_TEXT(inner), TAPER_TEXT(hidden), TAPER_TEXT(x));
    taper_dtype dtype = (taper_dtype)x->dtype;
    TAPER_TRY(taper__out(c, 0, dtype, x->ndim, x->shape));
    TAPER_TRY(taper__out(c, 1, dtype, 2, w1->shape));
    TAPER_TRY(taper__out(c, 2, dtype, 1, w1->shape));
    TAPER_TRY(taper__out(c, 3, dtype, 2, w2->shape));
    return taper__out(c, 4, dtype, 1, w2->shape);
}
static taper_status feed_forward_backward_cpu(taper_call *c) {
    taper_scope s = TAPER_SCOPE;
    bool was = taper_set_grad_enabled(false);
    taper_tensor *g = c->args[0].t, *x = c->args[1].t, *w1 = c->args[2].t, *w2 = c->args[3].t, *r[5] = {NULL}, *pair[2] = {NULL};
    int64_t rows[2] = {feed_count(x), w2->shape[0]}, wide[2] = {rows[0], w1->shape[0]};
    taper_tensor *d = tx_gelu_backward(&s, tx_mm(&s, tx_reshape(&s, g, rows, 2), w2), tx_reshape(&s, c->args[4].t, wide, 2),
                                       feed_is_tanh(&c->args[6]) ? "tanh" : "none");
    taper_tensor *back = tx_mm(&s, d, w1);
    r[0] = back ? tx_view(&s, back, x->shape, x->ndim) : NULL;
    taper_tensor *operands[2][2] = {{d, NULL}, {g, c->args[5].t}};
    int64_t flat[2] = {rows[0], x->shape[x->ndim - 1]};
    operands[0][1] = tx_reshape(&s, x, flat, 2);
    for (int i = 0; i < 2 && s.status == TAPER_OK; i++) {
        s.status = taper_linear_weight_backward(pair, operands[i][0], operands[i][1]);
        r[1 + 2 * i] = s.status == TAPER_OK ? taper_scope_own(&s, pair[0]) : NULL;
        r[2 + 2 * i] = s.status == TAPER_OK ? taper_scope_own(&s, pair[1]) : NULL;
    }
    return feed_give(c, &s, r, 5, was);
}
static taper_status feed_forward_backward_cuda(taper_call *c) {
    const taper_tensor *g = c->args[0].t, *x = c->args[1].t, *w1 = c->args[2].t, *w2 = c->args[3].t, *hidden = c->args[5].t;
    int64_t rows = feed_count(x), K = w1->shape[1], N = w1->shape[0], M = w2->shape[0];
    taper_tensor *d = NULL;
    taper_status st = TAPER_OK;
    if (!g->numel || !x->numel || !N) return feed_forward_backward_cpu(c);
    TAPER_TRY_GOTO(taper__tensor_empty(&d, (taper_dtype)x->dtype, x->device, 2, (int64_t[]){rows, N}, "feed_forward_backward"));
    TAPER_TRY_GOTO(taper__product_fused_cuda(&(taper_product){.c = d, .batch = 1, .m = rows, .n = N, .k = M, .a = feed_rows(g), .b = feed_rows(w2),
                                                              .alpha = 1, .aux = c->args[4].t, .column_sum = c->out[2],
                                                              .epilogue = feed_is_tanh(&c->args[6]) ? TAPER_GEMM_SLOPE_TANH : TAPER_GEMM_SLOPE}));
    TAPER_TRY_GOTO(taper__product_fused_cuda(&(taper_product){.c = c->out[3], .batch = 1, .m = M, .n = N, .k = rows, .a = feed_turned(feed_rows(g)),
                                                              .b = feed_rows(hidden), .alpha = 1, .row_sum = c->out[4]}));
    TAPER_TRY_GOTO(taper__product_fused_cuda(&(taper_product){.c = c->out[1], .batch = 1, .m = N, .n = K, .k = rows, .a = feed_turned(feed_rows(d)),
                                                              .b = feed_rows(x), .alpha = 1}));
    st = taper__product_fused_cuda(&(taper_product){.c = c->out[0], .batch = 1, .m = rows, .n = K, .k = N, .a = feed_rows(d), .b = feed_rows(w1), .alpha = 1});
out:
    taper_tensor_release(d);
    return st;
}
static const taper_kernel feed_forward_backward_kernels[] = {{"cpu", TAPER_CPU, NULL, feed_forward_backward_cpu},
                                                             {"cuda", TAPER_CUDA, NULL, feed_forward_backward_cuda}, {0}};
const taper_op taper_op_feed_forward_backward = {
    .infer = feed_forward_backward_infer,
    .kernels = feed_forward_backward_kernels,
    .contiguous = 0x3f,
    .samples = (const taper_sample[]){{"[2,5]:nograd, [2,3]:nograd, [4,3]:nograd, [5,4]:nograd, [2,4]:nograd, [2,4]:nograd"},
                                      {"[2,8,8]:nograd, [2,8,16]:nograd, [24,16]:nograd, [8,24]:nograd, [2,8,24]:nograd, [2,8,24]:nograd, approximate=tanh"},
                                      {"[2,5]:nograd, [2,3]:nograd, [4,3]:nograd, [5,4]:nograd, [2,4]:nograd, [3,4]:nograd", .error = "hidden float32[3, 4]"},
                                      {0}},
};
