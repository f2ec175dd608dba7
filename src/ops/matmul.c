/* Matrix products: mm, bmm, mv and dot are kernels, matmul chooses among them. */
#include "ops/product.h"

static taper_status mm_infer(taper_call *c) {
    const taper_tensor *a = c->args[0].t, *b = c->args[1].t;
    if (a->ndim != 2 || b->ndim != 2)
        return TAPER_FAIL(TAPER_RUNTIME, "mm: both arguments must be matrices, got %s and %s", TAPER_TEXT(a), TAPER_TEXT(b));
    if (a->shape[1] != b->shape[0])
        return TAPER_FAIL(TAPER_RUNTIME, "mat1 and mat2 shapes cannot be multiplied (%lldx%lld and %lldx%lld)", (long long)a->shape[0],
                          (long long)a->shape[1], (long long)b->shape[0], (long long)b->shape[1]);
    TAPER_TRY(taper__product_check(c, a, b));
    int64_t shape[2] = {a->shape[0], b->shape[1]};
    return taper__out(c, 0, (taper_dtype)a->dtype, 2, shape);
}

static taper_status mm_cpu(taper_call *c) {
    const taper_tensor *a = c->args[0].t, *b = c->args[1].t;
    return taper__product(c->out[0], 1, a->shape[0], b->shape[1], a->shape[1], (taper_matrix){a, a->strides[0], a->strides[1], 0},
                          (taper_matrix){b, b->strides[0], b->strides[1], 0}, 1, 0, NULL);
}
static const taper_kernel mm_kernels[] = TAPER_PRODUCT_KERNELS(mm_cpu);

static double mm_flops(const taper_call *c) {
    return 2.0 * (double)c->args[0].t->shape[0] * (double)c->args[0].t->shape[1] * (double)c->args[1].t->shape[1];
}

/* dA = G B^T, dB = A^T G */
static taper_status mm_vjp(taper_vjp *v) {
    taper_scope *s = v->scope;
    if (v->need[0]) v->d[0] = tx_mm(s, v->grad[0], tx_transpose(s, v->args[1].t, 0, 1));
    if (v->need[1]) v->d[1] = tx_mm(s, tx_transpose(s, v->args[0].t, 0, 1), v->grad[0]);
    return s->status;
}

const taper_op taper_op_mm = {
    .infer = mm_infer,
    .kernels = mm_kernels,
    .vjp = mm_vjp,
    .saves = TAPER_SAVE_ARG(0) | TAPER_SAVE_ARG(1),
    .saves_when = {[0] = 1 << 1, [1] = 1 << 0},
    .flops = mm_flops,
    .upcast = true,
    .samples = (const taper_sample[]){{"[2,3], [3,4]"},
                                      {"[5,0], [0,4]"},
                                      {"[33,17], [17,65]"},
                                      {"[136,72], [72,200]", .no_grad_check = true /* too many elements, here and below */},
                                      {"[40,1000], [1000,24]", .no_grad_check = true, .tolerance = 1e-4},
                                      {"[130,264], [264,5]", .no_grad_check = true, .tolerance = 1e-4},
                                      {"[2,3]:i64, [3,4]:i64"},
                                      {"[2,3], [4,5]", .error = "cannot be multiplied (2x3 and 4x5)"},
                                      {0}},
};

static taper_status bmm_infer(taper_call *c) {
    const taper_tensor *a = c->args[0].t, *b = c->args[1].t;
    if (a->ndim != 3 || b->ndim != 3)
        return TAPER_FAIL(TAPER_RUNTIME, "batch%d must be a 3D tensor, got %s and %s", a->ndim != 3 ? 1 : 2, TAPER_TEXT(a), TAPER_TEXT(b));
    if (a->shape[0] != b->shape[0] || a->shape[2] != b->shape[1])
        return TAPER_FAIL(TAPER_RUNTIME, "Expected size for first two dimensions of batch2 tensor to be: [%lld, %lld] but got: [%lld, %lld].",
                          (long long)a->shape[0], (long long)a->shape[2], (long long)b->shape[0], (long long)b->shape[1]);
    TAPER_TRY(taper__product_check(c, a, b));
    int64_t shape[3] = {a->shape[0], a->shape[1], b->shape[2]};
    return taper__out(c, 0, (taper_dtype)a->dtype, 3, shape);
}

static taper_status bmm_cpu(taper_call *c) {
    const taper_tensor *a = c->args[0].t, *b = c->args[1].t;
    return taper__product(c->out[0], a->shape[0], a->shape[1], b->shape[2], a->shape[2],
                          (taper_matrix){a, a->strides[1], a->strides[2], a->strides[0]},
                          (taper_matrix){b, b->strides[1], b->strides[2], b->strides[0]}, 1, 0, NULL);
}
static const taper_kernel bmm_kernels[] = TAPER_PRODUCT_KERNELS(bmm_cpu);

static double bmm_flops(const taper_call *c) {
    return 2.0 * (double)c->args[0].t->numel * (double)c->args[1].t->shape[2];
}

static taper_status bmm_vjp(taper_vjp *v) {
    taper_scope *s = v->scope;
    if (v->need[0]) v->d[0] = tx_bmm(s, v->grad[0], tx_transpose(s, v->args[1].t, 1, 2));
    if (v->need[1]) v->d[1] = tx_bmm(s, tx_transpose(s, v->args[0].t, 1, 2), v->grad[0]);
    return s->status;
}

const taper_op taper_op_bmm = {
    .infer = bmm_infer,
    .kernels = bmm_kernels,
    .vjp = bmm_vjp,
    .saves = TAPER_SAVE_ARG(0) | TAPER_SAVE_ARG(1),
    .saves_when = {[0] = 1 << 1, [1] = 1 << 0},
    .flops = bmm_flops,
    .upcast = true,
    .samples = (const taper_sample[]){{"[2,3,4], [2,4,5]"},
                                      {"[0,3,4], [0,4,5]"},
                                      {"[2,3,0], [2,0,2]"},
                                      {"[2,3,4]:i32, [2,4,5]:i32"},
                                      {"[3,40,24], [3,24,48]", .no_grad_check = true /* too many elements */},
                                      {"[2,3,4], [3,4,5]", .error = "to be: [2, 4] but got: [3, 4]"},
                                      {0}},
};

static taper_status mv_infer(taper_call *c) {
    const taper_tensor *a = c->args[0].t, *b = c->args[1].t;
    if (a->ndim != 2 || b->ndim != 1)
        return TAPER_FAIL(TAPER_RUNTIME, "vector + matrix @ vector expected, got %d, %d, %d (%s and %s)", 1, a->ndim, b->ndim, TAPER_TEXT(a),
                          TAPER_TEXT(b));
    if (a->shape[1] != b->shape[0])
        return TAPER_FAIL(TAPER_RUNTIME, "size mismatch, got input (%lld), mat (%lldx%lld), vec (%lld)", (long long)a->shape[0],
                          (long long)a->shape[0], (long long)a->shape[1], (long long)b->shape[0]);
    TAPER_TRY(taper__product_check(c, a, b));
    return taper__out(c, 0, (taper_dtype)a->dtype, 1, a->shape);
}

/* As the transposed product: a row times a matrix, whose result lies in one row. */
static taper_status mv_cpu(taper_call *c) {
    const taper_tensor *a = c->args[0].t, *b = c->args[1].t;
    return taper__product(c->out[0], 1, 1, a->shape[0], a->shape[1], (taper_matrix){b, 0, b->strides[0], 0},
                          (taper_matrix){a, a->strides[1], a->strides[0], 0}, 1, 0, NULL);
}
static const taper_kernel mv_kernels[] = TAPER_PRODUCT_KERNELS(mv_cpu);

static taper_status mv_vjp(taper_vjp *v) {
    taper_scope *s = v->scope;
    if (v->need[0]) v->d[0] = tx_outer(s, v->grad[0], v->args[1].t);
    if (v->need[1]) v->d[1] = tx_mv(s, tx_transpose(s, v->args[0].t, 0, 1), v->grad[0]);
    return s->status;
}

const taper_op taper_op_mv = {
    .infer = mv_infer,
    .kernels = mv_kernels,
    .vjp = mv_vjp,
    .saves = TAPER_SAVE_ARG(0) | TAPER_SAVE_ARG(1),
    .saves_when = {[0] = 1 << 1, [1] = 1 << 0},
    .upcast = true,
    .samples = (const taper_sample[]){{"[2,3], [3]"}, {"[4,0], [0]"}, {"[2,3], [2]", .error = "size mismatch"}, {0}},
};

static taper_status dot_infer(taper_call *c) {
    const taper_tensor *a = c->args[0].t, *b = c->args[1].t;
    if (a->ndim != 1 || b->ndim != 1)
        return TAPER_FAIL(TAPER_RUNTIME, "1D tensors expected, but got %dD and %dD tensors (%s and %s)", a->ndim, b->ndim, TAPER_TEXT(a), TAPER_TEXT(b));
    if (a->dtype != b->dtype)
        return TAPER_FAIL(TAPER_RUNTIME, "dot : expected both vectors to have same dtype, but found %s and %s",
                          taper_dtype_typename((taper_dtype)a->dtype), taper_dtype_typename((taper_dtype)b->dtype));
    if (a->shape[0] != b->shape[0])
        return TAPER_FAIL(TAPER_RUNTIME,
                          "inconsistent tensor size, expected tensor [%lld] and src [%lld] to have the same number of elements, but got "
                          "%lld and %lld elements respectively",
                          (long long)a->shape[0], (long long)b->shape[0], (long long)a->shape[0], (long long)b->shape[0]);
    TAPER_TRY(taper__product_check(c, a, b));
    return taper__out(c, 0, (taper_dtype)a->dtype, 0, NULL);
}

static taper_status dot_cpu(taper_call *c) {
    const taper_tensor *a = c->args[0].t, *b = c->args[1].t;
    return taper__product(c->out[0], 1, 1, 1, a->shape[0], (taper_matrix){a, 0, a->strides[0], 0}, (taper_matrix){b, b->strides[0], 0, 0}, 1, 0,
                          NULL);
}
static const taper_kernel dot_kernels[] = TAPER_PRODUCT_KERNELS(dot_cpu);

static taper_status dot_vjp(taper_vjp *v) {
    taper_scope *s = v->scope;
    if (v->need[0]) v->d[0] = tx_mul(s, v->args[1].t, v->grad[0]);
    if (v->need[1]) v->d[1] = tx_mul(s, v->args[0].t, v->grad[0]);
    return s->status;
}

const taper_op taper_op_dot = {
    .infer = dot_infer,
    .kernels = dot_kernels,
    .vjp = dot_vjp,
    .saves = TAPER_SAVE_ARG(0) | TAPER_SAVE_ARG(1),
    .saves_when = {[0] = 1 << 1, [1] = 1 << 0},
    .upcast = true,
    .samples = (const taper_sample[]){{"[5], [5]"}, {"[0], [0]"}, {"[3]:i64, [3]:i64"}, {"[3], [4]", .error = "inconsistent tensor size"}, {0}},
};

static taper_status outer_compose(taper_call *c, taper_scope *s) {
    taper_tensor *a = c->args[0].t, *b = c->args[1].t;
    if (a->ndim != 1 || b->ndim != 1)
        return TAPER_FAIL(TAPER_RUNTIME, "outer: Expected 1-D argument %s, but got %d-D", a->ndim != 1 ? "self" : "vec2", a->ndim != 1 ? a->ndim : b->ndim);
    int64_t column[2] = {a->shape[0], 1};
    c->out[0] = taper_scope_keep(s, tx_mul(s, tx_reshape(s, a, column, 2), b));
    c->nout = 1;
    return s->status;
}
const taper_op taper_op_outer = {
    .compose = outer_compose,
    .samples = (const taper_sample[]){{"[3], [4]"}, {"[0], [4]"}, {"[2,2], [4]", .error = "Expected 1-D argument self"}, {0}},
};

/* Both with the broadcast batch dims in front, folded into one: what bmm takes. */
static taper_tensor *matmul_batched(taper_scope *s, taper_tensor *a, taper_tensor *b) {
    int64_t batch[TAPER_MAX_DIMS], fold_a[3], fold_b[3], full[TAPER_MAX_DIMS];
    int na = a->ndim - 2, nb = b->ndim - 2, n = na > nb ? na : nb;
    int64_t count = 1;
    for (int d = 0; d < n; d++) {
        int64_t x = d < n - na ? 1 : a->shape[d - (n - na)], y = d < n - nb ? 1 : b->shape[d - (n - nb)];
        if (x != y && x != 1 && y != 1) {
            s->status = TAPER_FAIL(TAPER_RUNTIME,
                                   "matmul: The size of tensor a (%lld) must match the size of tensor b (%lld) at non-singleton dimension %d "
                                   "(%s and %s)",
                                   (long long)x, (long long)y, d, TAPER_TEXT(a), TAPER_TEXT(b));
            return NULL;
        }
        batch[d] = x == 1 ? y : x;
        count *= batch[d];
    }
    if (a->shape[na + 1] != b->shape[nb]) {
        s->status = TAPER_FAIL(TAPER_RUNTIME, "mat1 and mat2 shapes cannot be multiplied (%lldx%lld and %lldx%lld): matmul of %s and %s",
                               (long long)a->shape[na], (long long)a->shape[na + 1], (long long)b->shape[nb], (long long)b->shape[nb + 1],
                               TAPER_TEXT(a), TAPER_TEXT(b));
        return NULL;
    }
    memcpy(full, batch, sizeof full);
    full[n] = fold_a[1] = a->shape[na];
    full[n + 1] = fold_a[2] = a->shape[na + 1];
    fold_a[0] = fold_b[0] = count;
    a = tx_reshape(s, tx_expand(s, a, full, n + 2), fold_a, 3);
    full[n] = fold_b[1] = b->shape[nb];
    full[n + 1] = fold_b[2] = b->shape[nb + 1];
    b = tx_reshape(s, tx_expand(s, b, full, n + 2), fold_b, 3);
    full[n] = fold_a[1];
    return tx_view(s, tx_bmm(s, a, b), full, n + 2);
}

static taper_status matmul_compose(taper_call *c, taper_scope *s) {
    taper_tensor *a = c->args[0].t, *b = c->args[1].t, *r;
    int64_t shape[TAPER_MAX_DIMS];
    if (!a->ndim || !b->ndim)
        return TAPER_FAIL(TAPER_RUNTIME, "both arguments to matmul need to be at least 1D, but they are %dD and %dD", a->ndim, b->ndim);
    c->nout = 1;
    if (a->ndim == 1 && b->ndim == 1) {
        r = tx_dot(s, a, b);
    } else if (a->ndim == 2 && b->ndim == 1) {
        r = tx_mv(s, a, b);
    } else if (a->ndim == 2 && b->ndim == 2) {
        r = tx_mm(s, a, b);
    } else if (a->ndim == 1 && b->ndim == 2) {
        shape[0] = 1;
        shape[1] = a->shape[0];
        r = tx_mm(s, tx_reshape(s, a, shape, 2), b);
        shape[0] = b->shape[1];
        r = r ? tx_view(s, r, shape, 1) : NULL;
    } else if (b->ndim <= 2) { /* rows of all batches in one matrix */
        int64_t two[2] = {1, a->shape[a->ndim - 1]};
        for (int d = 0; d < a->ndim - 1; d++) two[0] *= shape[d] = a->shape[d];
        taper_tensor *rows = tx_reshape(s, a, two, 2);
        r = !rows ? NULL : b->ndim == 1 ? tx_mv(s, rows, b) : tx_mm(s, rows, b);
        if (b->ndim == 2) shape[a->ndim - 1] = b->shape[1];
        r = r ? tx_view(s, r, shape, a->ndim - (b->ndim == 1)) : NULL;
    } else if (a->ndim == 1) {
        int64_t row[2] = {1, a->shape[0]};
        taper_tensor *m = tx_reshape(s, a, row, 2);
        r = m ? matmul_batched(s, m, b) : NULL;
        for (int d = 0; d < b->ndim - 2; d++) shape[d] = b->shape[d];
        shape[b->ndim - 2] = b->shape[b->ndim - 1];
        r = r ? tx_view(s, r, shape, b->ndim - 1) : NULL;
    } else {
        r = matmul_batched(s, a, b);
    }
    c->out[0] = taper_scope_keep(s, r);
    return s->status;
}

const taper_op taper_op_matmul = {
    .compose = matmul_compose,
    .samples = (const taper_sample[]){{"[3], [3]"},
                                      {"[2,3], [3]"},
                                      {"[3], [3,2]"},
                                      {"[2,3], [3,4]"},
                                      {"[2,2,3], [3,4]"},
                                      {"[2,2,3], [3]"},
                                      {"[3], [2,3,4]"},
                                      {"[2,3], [2,3,4]"},
                                      {"[2,1,2,3], [4,3,2]"},
                                      {"[0,2,3], [0,3,2]"},
                                      {"[], [3]", .error = "at least 1D, but they are 0D and 1D"},
                                      {"[2,2,3], [3,3,4]", .error = "must match the size of tensor b (3)"},
                                      {"[2,3], [4,5]", .error = "cannot be multiplied (2x3 and 4x5)"},
                                      {0}},
};
