/* linear, and products that add to a given tensor: addmm, baddbmm, addmv. */
#include <taper/autograd.h>

#include "ops/product.h"

/* ---- linear ---- */

static taper_status linear_infer(taper_call *c) {
    const taper_tensor *x = c->args[0].t, *w = c->args[1].t, *b = TAPER_ARG_T(c, 2);
    if (!x->ndim || w->ndim < 1 || w->ndim > 2)
        return TAPER_FAIL(TAPER_RUNTIME, "linear: input needs at least one dim and weight one or two, got %s and %s", TAPER_TEXT(x), TAPER_TEXT(w));
    int64_t k = x->shape[x->ndim - 1], rows = k ? x->numel / k : 0, n = w->ndim == 2 ? w->shape[0] : 1;
    if (!k)
        for (int d = rows = 1; d < x->ndim; d++) rows *= x->shape[d - 1];
    if (w->shape[w->ndim - 1] != k)
        return TAPER_FAIL(TAPER_RUNTIME, "mat1 and mat2 shapes cannot be multiplied (%lldx%lld and %lldx%lld): linear of %s with weight %s",
                          (long long)rows, (long long)k, (long long)w->shape[w->ndim - 1], (long long)n, TAPER_TEXT(x), TAPER_TEXT(w));
    if (x->dtype != w->dtype || (b && b->dtype != x->dtype))
        return TAPER_FAIL(TAPER_RUNTIME, "mat1 and mat2 must have the same dtype, but got %s and %s: linear of %s, weight %s%s%s",
                          taper_dtype_typename((taper_dtype)x->dtype),
                          taper_dtype_typename((taper_dtype)(x->dtype != w->dtype ? w->dtype : b->dtype)), TAPER_TEXT(x), TAPER_TEXT(w),
                          b ? ", bias " : "", b ? TAPER_TEXT(b) : "");
    if (b && (b->ndim > 1 || (b->numel != n && b->numel != 1)))
        return TAPER_FAIL(TAPER_RUNTIME, "linear: bias %s must have %lld elements, one for each row of weight %s", TAPER_TEXT(b), (long long)n, TAPER_TEXT(w));
    if (b && !taper_dtype_is_float((taper_dtype)x->dtype))
        return TAPER_FAIL(TAPER_NOT_IMPLEMENTED, "linear: a bias needs a floating dtype, got %s", TAPER_TEXT(x));
    TAPER_TRY(taper__product_check(c, x, w));
    int64_t shape[TAPER_MAX_DIMS];
    memcpy(shape, x->shape, sizeof shape);
    shape[x->ndim - 1] = n;
    return taper__out(c, 0, (taper_dtype)x->dtype, w->ndim == 2 ? x->ndim : x->ndim - 1, shape);
}

static taper_status linear_cpu(taper_call *c) {
    const taper_tensor *x = c->args[0].t, *w = c->args[1].t, *b = TAPER_ARG_T(c, 2);
    taper_tensor *y = c->out[0], *copy = NULL, *wide = NULL;
    int64_t k = x->shape[x->ndim - 1], n = w->ndim == 2 ? w->shape[0] : 1, strides[2];
    int64_t fold[2] = {n ? y->numel / n : 0, k};
    taper_status st = TAPER_OK;
    if (!y->numel) return TAPER_OK;
    if (!taper__view_strides(x, 2, fold, strides)) {
        TAPER_TRY_GOTO(taper__tensor_empty(&copy, (taper_dtype)x->dtype, x->device, x->ndim, x->shape, "linear"));
        TAPER_TRY_GOTO(taper__copy_data(copy, x));
        x = copy;
        strides[0] = k;
        strides[1] = 1;
    }
    if (b && b->numel != n) {
        TAPER_TRY_GOTO(taper__tensor_empty(&wide, (taper_dtype)b->dtype, b->device, 1, &n, "linear"));
        TAPER_TRY_GOTO(taper__copy_data(wide, b));
        b = wide;
    }
    st = taper__product(y, 1, fold[0], n, k, (taper_matrix){x, strides[0], strides[1], 0},
                        (taper_matrix){w, w->strides[w->ndim - 1], w->ndim == 2 ? w->strides[0] : 0, 0}, 1, 0, b);
out:
    taper_tensor_release(copy);
    taper_tensor_release(wide);
    return st;
}
static const taper_kernel linear_kernels[] = TAPER_PRODUCT_KERNELS(linear_cpu);

static double linear_flops(const taper_call *c) {
    return 2.0 * (double)c->args[0].t->numel * (double)(c->args[1].t->ndim == 2 ? c->args[1].t->shape[0] : 1);
}

/* dx = g W, dW = g^T x, db = the column sums of g, over leading dims folded into rows. */
static taper_status linear_vjp(taper_vjp *v) {
    taper_scope *s = v->scope;
    taper_tensor *x = v->args[0].t, *w = v->args[1].t;
    int64_t k = x->shape[x->ndim - 1], n = w->ndim == 2 ? w->shape[0] : 1, rows = 1;
    for (int d = 0; d < x->ndim - 1; d++) rows *= x->shape[d];
    int64_t gs[2] = {rows, n}, xs[2] = {rows, k}, ws[2] = {n, k}, zero = 0;
    taper_tensor *g = tx_reshape(s, v->grad[0], gs, 2);
    if (!g) return s->status;
    if (v->need[0]) {
        taper_tensor *d = tx_mm(s, g, w->ndim == 2 ? w : tx_reshape(s, w, ws, 2));
        v->d[0] = d ? tx_view(s, d, x->shape, x->ndim) : NULL;
    }
    if (v->need[1] && v->need[2] && g->device.type == TAPER_CUDA && !taper_grad_enabled() && w->ndim == 2 && v->args[2].t->numel == n) {
        taper_tensor *both[2] = {NULL}, *flat = tx_reshape(s, x, xs, 2); /* the sums of g come with the product */
        TAPER_TRY(s->status);
        TAPER_TRY(taper_linear_weight_backward(both, g, flat));
        v->d[1] = taper_scope_own(s, both[0]);
        taper_tensor *d = taper_scope_own(s, both[1]);
        v->d[2] = d ? taper__sum_to(s, d, v->args[2].t) : NULL;
        return s->status;
    }
    if (v->need[1]) {
        taper_tensor *d = tx_mm(s, tx_transpose(s, g, 0, 1), tx_reshape(s, x, xs, 2));
        v->d[1] = d && w->ndim == 1 ? tx_view(s, d, w->shape, 1) : d;
    }
    if (v->need[2]) {
        taper_tensor *d = tx_sum(s, g, &zero, 1, false, TAPER_DTYPE_NONE);
        v->d[2] = d ? taper__sum_to(s, d, v->args[2].t) : NULL;
    }
    return s->status;
}

const taper_op taper_op_linear = {
    .infer = linear_infer,
    .kernels = linear_kernels,
    .vjp = linear_vjp,
    .saves = TAPER_SAVE_ARG(0) | TAPER_SAVE_ARG(1),
    .saves_when = {[0] = 1 << 1, [1] = 1 << 0},
    .flops = linear_flops,
    .contiguous = 1 << 2,
    .upcast = true,
    .grad_name = "AddmmBackward0",
    .samples = (const taper_sample[]){{"[2,3], [4,3], [4]"},
                                      {"[2,3], [4,3]"},
                                      {"[3], [4,3], [4]"},
                                      {"[2,5,3], [4,3], [4]"},
                                      {"[2,3], [3]"},
                                      {"[0,3], [4,3], [4]"},
                                      {"[2,0], [4,0], [4]"},
                                      {"[2,3], [4,5], [4]", .error = "cannot be multiplied (2x3 and 5x4)"},
                                      {"[2,3], [4,3], [5]", .error = "must have 4 elements"},
                                      {0}},
};

/* ---- beta input + alpha product ---- */

/* Shape of the product of args 1 and 2: matrices, batches of them, or a matrix and a vector. */
static taper_status add_product_infer(taper_call *c) {
    const taper_tensor *in = c->args[0].t, *a = c->args[1].t, *b = c->args[2].t;
    bool batched = !strcmp(c->row->name, "baddbmm"), vector = !strcmp(c->row->name, "addmv");
    int n = batched ? 3 : 2, nb = vector ? 1 : n;
    if (a->ndim != n || b->ndim != nb)
        return TAPER_FAIL(TAPER_RUNTIME, "%s: expected a %dD and a %dD tensor to multiply, got %s and %s", c->row->name, n, nb, TAPER_TEXT(a),
                          TAPER_TEXT(b));
    if (batched && (a->shape[0] != b->shape[0] || a->shape[2] != b->shape[1]))
        return TAPER_FAIL(TAPER_RUNTIME, "Expected size for first two dimensions of batch2 tensor to be: [%lld, %lld] but got: [%lld, %lld].",
                          (long long)a->shape[0], (long long)a->shape[2], (long long)b->shape[0], (long long)b->shape[1]);
    if (!batched && a->shape[1] != b->shape[0])
        return vector ? TAPER_FAIL(TAPER_RUNTIME, "size mismatch, got input (%lld), mat (%lldx%lld), vec (%lld)", (long long)in->numel,
                                   (long long)a->shape[0], (long long)a->shape[1], (long long)b->shape[0])
                      : TAPER_FAIL(TAPER_RUNTIME, "mat1 and mat2 shapes cannot be multiplied (%lldx%lld and %lldx%lld)", (long long)a->shape[0],
                                   (long long)a->shape[1], (long long)b->shape[0], (long long)b->shape[1]);
    if (in->dtype != a->dtype)
        return TAPER_FAIL(TAPER_RUNTIME, "self and mat2 must have the same dtype, but got %s and %s", taper_dtype_typename((taper_dtype)in->dtype),
                          taper_dtype_typename((taper_dtype)a->dtype));
    TAPER_TRY(taper__product_check(c, a, b));
    int64_t shape[3];
    for (int d = 0; d < n; d++) shape[d] = a->shape[d];
    if (!vector) shape[n - 1] = b->shape[n - 1];
    else n = 1;
    for (int d = 0; d < in->ndim; d++)
        if (in->ndim > n || (in->shape[d] != 1 && in->shape[d] != shape[n - in->ndim + d]))
            return TAPER_FAIL(TAPER_RUNTIME,
                              "The expanded size of the tensor (%lld) must match the existing size (%lld) at non-singleton dimension %d.  "
                              "Target sizes: %s.  Tensor sizes: %s",
                              (long long)(in->ndim > n ? 0 : shape[n - in->ndim + d]), (long long)in->shape[d], d, taper__shape_text(n, shape).s,
                              TAPER_SHAPE(in));
    return taper__out(c, 0, (taper_dtype)a->dtype, n, shape);
}

static taper_status add_product_cpu(taper_call *c) {
    const taper_tensor *a = c->args[1].t, *b = c->args[2].t;
    double beta = taper_arg_double(&c->args[3]), alpha = taper_arg_double(&c->args[4]);
    taper_tensor *y = c->out[0];
    if (beta != 0) TAPER_TRY(taper__copy_data(y, c->args[0].t));
    if (b->ndim == 1)
        return taper__product(y, 1, 1, a->shape[0], a->shape[1], (taper_matrix){b, 0, b->strides[0], 0},
                              (taper_matrix){a, a->strides[1], a->strides[0], 0}, alpha, beta, NULL);
    int n = a->ndim;
    return taper__product(y, n == 3 ? a->shape[0] : 1, a->shape[n - 2], b->shape[n - 1], a->shape[n - 1],
                          (taper_matrix){a, a->strides[n - 2], a->strides[n - 1], n == 3 ? a->strides[0] : 0},
                          (taper_matrix){b, b->strides[n - 2], b->strides[n - 1], n == 3 ? b->strides[0] : 0}, alpha, beta, NULL);
}
static const taper_kernel add_product_kernels[] = TAPER_PRODUCT_KERNELS(add_product_cpu);

static taper_tensor *add_product_scaled(taper_scope *s, taper_tensor *t, const taper_arg *factor) {
    double f = taper_arg_double(factor);
    return !t || f == 1 ? t : tx_mul(s, t, taper__number(s, f));
}

static taper_status add_product_vjp(taper_vjp *v) {
    taper_scope *s = v->scope;
    taper_tensor *g = v->grad[0], *a = v->args[1].t, *b = v->args[2].t;
    int n = a->ndim;
    if (v->need[0]) v->d[0] = taper__sum_to(s, add_product_scaled(s, g, &v->args[3]), v->args[0].t);
    g = v->need[1] || v->need[2] ? add_product_scaled(s, g, &v->args[4]) : NULL;
    if (!g) return s->status;
    if (b->ndim == 1) {
        if (v->need[1]) v->d[1] = tx_outer(s, g, b);
        if (v->need[2]) v->d[2] = tx_mv(s, tx_transpose(s, a, 0, 1), g);
        return s->status;
    }
    if (v->need[1]) {
        taper_tensor *bt = tx_transpose(s, b, n - 2, n - 1);
        v->d[1] = !bt ? NULL : n == 3 ? tx_bmm(s, g, bt) : tx_mm(s, g, bt);
    }
    if (v->need[2]) {
        taper_tensor *at = tx_transpose(s, a, n - 2, n - 1);
        v->d[2] = !at ? NULL : n == 3 ? tx_bmm(s, at, g) : tx_mm(s, at, g);
    }
    return s->status;
}

#define ADD_PRODUCT_OP(name, ...)                                                                                      \
    const taper_op taper_op_##name = {                                                                                 \
        .infer = add_product_infer,                                                                                    \
        .kernels = add_product_kernels,                                                                                \
        .vjp = add_product_vjp,                                                                                        \
        .saves = TAPER_SAVE_ARG(1) | TAPER_SAVE_ARG(2),                                                                \
        .saves_when = {[1] = 1 << 2, [2] = 1 << 1},                                                                    \
        .upcast = true,                                                                                                \
        .samples = (const taper_sample[]){__VA_ARGS__, {0}},                                                           \
    }
ADD_PRODUCT_OP(addmm, {"[2,4], [2,3], [3,4]"}, {"[4], [2,3], [3,4], beta=0.5, alpha=2"}, {"[2,4], [2,0], [0,4]"},
               {"[2,4]:i64, [2,3]:i64, [3,4]:i64, beta=2, alpha=3"}, {"[2,4], [2,3], [4,4]", .error = "cannot be multiplied (2x3 and 4x4)"},
               {"[3,4], [2,3], [3,4]", .error = "must match the existing size"});
ADD_PRODUCT_OP(baddbmm, {"[2,2,4], [2,2,3], [2,3,4]"}, {"[2,4], [2,2,3], [2,3,4], beta=0.5, alpha=2"}, {"[0,2,4], [0,2,3], [0,3,4]"},
               {"[2,2,4], [2,2,3], [3,3,4]", .error = "to be: [2, 3] but got: [3, 3]"});
ADD_PRODUCT_OP(addmv, {"[2], [2,3], [3]"}, {"[], [2,3], [3], beta=0.5, alpha=2"}, {"[2], [2,0], [0]"}, {"[2], [2,3], [2]", .error = "size mismatch"});
