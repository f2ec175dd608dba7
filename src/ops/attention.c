/* scaled_dot_product_attention: the fused operator where it can serve, else products and a softmax. */
#include <math.h>
#include <taper/autograd.h>

#include "device/cuda/cuda.h"
#include "ops/attention_cuda.h"

/* ---- flash_attention ---- */

static double attention_scale(const taper_arg *scale, const taper_tensor *q) {
    int64_t e = q->shape[q->ndim - 1];
    return scale->kind == TAPER_ARG_NONE ? 1 / sqrt((double)(e ? e : 1)) : taper_arg_double(scale);
}

static taper_status flash_read(taper_attention *a, const taper_call *c, const taper_arg *mask, const taper_arg *causal,
                               const taper_arg *scale, int first) {
    const taper_tensor *q = c->args[first].t, *k = c->args[first + 1].t, *v = c->args[first + 2].t;
    *a = (taper_attention){.q = q, .k = k, .v = v, .mask = mask->kind == TAPER_ARG_TENSOR ? mask->t : NULL, .causal = causal->i};
    if (q->ndim != 4 || k->ndim != 4 || v->ndim != 4 || q->shape[0] != k->shape[0] || q->shape[0] != v->shape[0] ||
        k->shape[1] != v->shape[1] || k->shape[2] != v->shape[2] || q->shape[3] != k->shape[3] || !k->shape[1] || q->shape[1] % k->shape[1])
        return TAPER_FAIL(TAPER_RUNTIME, "%s: query %s, key %s and value %s must be (B, H, L, E), (B, H / G, S, E), (B, H / G, S, V)",
                          c->row->name, TAPER_SHAPE(q), TAPER_SHAPE(k), TAPER_SHAPE(v));
    if (q->dtype != k->dtype || q->dtype != v->dtype)
        return TAPER_FAIL(TAPER_RUNTIME,
                          "Expected query, key, and value to have the same dtype, but got query.dtype: %s key.dtype: %s and value.dtype: %s "
                          "instead.", taper_dtype_name((taper_dtype)q->dtype), taper_dtype_name((taper_dtype)k->dtype),
                          taper_dtype_name((taper_dtype)v->dtype));
    TAPER_TRY(taper__need_float(q, c->row->name));
    a->B = q->shape[0], a->H = q->shape[1], a->G = q->shape[1] / k->shape[1], a->L = q->shape[2], a->E = q->shape[3];
    a->S = k->shape[2], a->V = v->shape[3];
    a->scale = attention_scale(scale, q);
    const taper_tensor *m = a->mask;
    if (!m) return TAPER_OK;
    if (m->dtype != TAPER_BOOL && m->dtype != q->dtype)
        return TAPER_FAIL(TAPER_RUNTIME,
                          "Expected attn_mask dtype to be bool or float or to match query dtype, but got attn_mask.dtype: %s and  query.dtype: "
                          "%s instead.", taper_dtype_name((taper_dtype)m->dtype), taper_dtype_name((taper_dtype)q->dtype));
    const int64_t want[4] = {a->B, a->H, a->L, a->S};
    for (int d = 0; d < m->ndim; d++)
        if (m->ndim > 4 || (m->shape[d] != 1 && m->shape[d] != want[4 - m->ndim + d]))
            return TAPER_FAIL(TAPER_RUNTIME, "The expanded size of the tensor (%lld) must match the existing size (%lld) at non-singleton dimension "
                              "%d.  Target sizes: %s.  Tensor sizes: %s (attn_mask)", (long long)want[d + (m->ndim <= 4 ? 4 - m->ndim : 0)],
                              (long long)m->shape[d], d, taper__shape_text(4, want).s, TAPER_SHAPE(m));
    return TAPER_OK;
}

/* Heads inside rows where the query is so: what a transposed view of a projection becomes again without a copy. */
static taper_status flash_out(taper_call *c, int i, const taper_tensor *like, int64_t size) {
    int64_t shape[4] = {like->shape[0], like->shape[1], like->shape[2], size};
    int64_t turned[4] = {like->shape[1] * like->shape[2] * size, size, like->shape[1] * size, 1};
    bool rows = like->strides[1] < like->strides[2] && like->strides[1] > 0 && like->shape[1] > 1;
    return taper__out_strided(c, i, (taper_dtype)like->dtype, 4, shape, rows ? turned : NULL);
}

static double attention_number(const taper_arg *a) { return a->kind == TAPER_ARG_NONE ? 0 : taper_arg_double(a); }

static taper_status attention_check_dropout(const taper_call *c, double p) {
    if (p >= 0 && p <= 1) return TAPER_OK;
    return TAPER_FAIL(TAPER_RUNTIME, "dropout probability has to be between 0 and 1, but got %g (%s)", p, c->row->name);
}

static taper_status flash_attention_infer(taper_call *c) {
    taper_attention a;
    TAPER_TRY(flash_read(&a, c, &c->args[3], &c->args[4], &c->args[5], 0));
    TAPER_TRY(taper__need_same_device(c));
    TAPER_TRY(attention_check_dropout(c, attention_number(&c->args[6])));
    TAPER_TRY(flash_out(c, 0, a.q, a.V));
    c->nondiff = 1 << 1;
    return taper__out(c, 1, a.q->dtype == TAPER_F64 ? TAPER_F64 : TAPER_F32, 3, (int64_t[]){a.B, a.H, a.L});
}

static taper_status flash_attention_cpu(taper_call *c) {
    taper_attention a;
    TAPER_TRY(flash_read(&a, c, &c->args[3], &c->args[4], &c->args[5], 0));
    if (!c->out[0]->numel && !c->out[1]->numel) return TAPER_OK;
    return taper__attention_cpu(&a, c->out[0], c->out[1]);
}
static bool flash_keeps_all(const taper_call *c, const char **why) {
    if (attention_number(&c->args[6]) == 0) return true;
    *why = "dropout inside of attention is for GPUs; scaled_dot_product_attention drops in a step of its own";
    return false;
}

static taper_status flash_attention_cuda(taper_call *c) {
    taper_attention a;
    TAPER_TRY(flash_read(&a, c, &c->args[3], &c->args[4], &c->args[5], 0));
    if (!c->out[0]->numel && !c->out[1]->numel) return TAPER_OK;
    taper_attention_dropout d = {.p = attention_number(&c->args[6])};
    if (d.p > 0) TAPER_TRY(taper__cuda_reserve_random(c->device.index, 1, &c->seed, &c->offset));
    d.seed = c->seed, d.offset = c->offset;
    return taper__attention_cuda(&a, d, c->out[0], c->out[1]);
}
static bool flash_attention_dnn_takes(const taper_call *c, const char **why) {
    taper_attention a;
    return flash_read(&a, c, &c->args[3], &c->args[4], &c->args[5], 0) == TAPER_OK &&
           taper__attention_dnn_takes(&a, attention_number(&c->args[6]), c->out[0], NULL, why);
}
static taper_status flash_attention_dnn(taper_call *c) {
    taper_attention a;
    TAPER_TRY(flash_read(&a, c, &c->args[3], &c->args[4], &c->args[5], 0));
    return taper__attention_dnn(&a, c->out[0], c->out[1]);
}
static const taper_kernel flash_attention_kernels[] = {{"cpu", TAPER_CPU, flash_keeps_all, flash_attention_cpu},
                                                       {"cudnn", TAPER_CUDA, flash_attention_dnn_takes, flash_attention_dnn},
                                                       {"cuda", TAPER_CUDA, NULL, flash_attention_cuda},
                                                       {0}};

static double flash_attention_flops(const taper_call *c) {
    const taper_tensor *q = c->args[0].t, *v = c->args[2].t;
    return 2.0 * (double)q->numel * (double)v->shape[2] + 2.0 * (double)c->out[0]->numel * (double)v->shape[2];
}

static taper_tensor *attention_softmax(taper_scope *s, taper_tensor *scores, taper_tensor *mask, bool causal, int64_t L, int64_t S);
static taper_tensor *attention_repeat(taper_scope *s, taper_tensor *t, int64_t heads);
static taper_tensor *attention_turned(taper_scope *s, taper_tensor *t) { return t ? tx_transpose(s, t, -2, -1) : NULL; }

/* Sums over heads that share one. */
static taper_tensor *attention_fold_heads(taper_scope *s, taper_tensor *t, const taper_tensor *like) {
    if (!t || t->shape[1] == like->shape[1]) return t;
    int64_t shape[5] = {like->shape[0], like->shape[1], t->shape[1] / like->shape[1], like->shape[2], like->shape[3]}, dim = 2;
    return tx_sum(s, tx_reshape(s, t, shape, 5), &dim, 1, false, TAPER_DTYPE_NONE);
}

/* The gradient as products of public operators, for a second derivative. */
taper_status taper__attention_composed_vjp(taper_vjp *v) {
    taper_scope *s = v->scope;
    if (attention_number(&v->args[6]) > 0)
        return TAPER_FAIL(TAPER_NOT_IMPLEMENTED, "flash_attention: a second derivative, or that of attn_mask, with dropout_p=%g is not implemented",
                          attention_number(&v->args[6]));
    taper_tensor *q = v->args[0].t, *k0 = v->args[1].t, *v0 = v->args[2].t, *g = v->grad[0];
    taper_scalar scale = taper_float(attention_scale(&v->args[5], q));
    taper_tensor *mask = v->args[3].kind == TAPER_ARG_TENSOR ? v->args[3].t : NULL;
    taper_tensor *k = attention_repeat(s, k0, q->shape[1]), *value = attention_repeat(s, v0, q->shape[1]);
    taper_tensor *by = tx_full(s, NULL, 0, scale, (taper_dtype)q->dtype, &q->device);
    taper_tensor *scores = tx_matmul(s, tx_mul(s, q, by), attention_turned(s, k));
    taper_tensor *p = attention_softmax(s, scores, mask, v->args[4].i, q->shape[2], k0->shape[2]);
    taper_tensor *dp = tx_matmul(s, g, attention_turned(s, value));
    int64_t last = -1;
    taper_tensor *delta = tx_sum(s, tx_mul(s, p, dp), &last, 1, true, TAPER_DTYPE_NONE);
    taper_tensor *ds = tx_mul(s, p, tx_add(s, dp, delta, taper_int(-1))), *scaled = tx_mul(s, ds, by);
    if (v->need[0]) v->d[0] = tx_matmul(s, scaled, k);
    if (v->need[1]) v->d[1] = attention_fold_heads(s, tx_matmul(s, attention_turned(s, scaled), q), k0);
    if (v->need[2]) v->d[2] = attention_fold_heads(s, tx_matmul(s, attention_turned(s, p), g), v0);
    if (v->need[3]) v->d[3] = taper__sum_to(s, ds, mask);
    return s->status;
}

static taper_status flash_attention_vjp(taper_vjp *v) {
    taper_scope *s = v->scope;
    taper_tensor *d[3] = {NULL};
    if (!v->grad[0]) return TAPER_OK;
    if (v->need[3] || taper_grad_enabled()) return taper__attention_composed_vjp(v);
    double scale = attention_scale(&v->args[5], v->args[0].t);
    TAPER_TRY(taper_flash_attention_backward(d, v->grad[0], v->args[0].t, v->args[1].t, v->args[2].t, v->out[0], v->out[1],
                                             v->args[3].kind == TAPER_ARG_TENSOR ? v->args[3].t : NULL, v->args[4].i, &scale,
                                             attention_number(&v->args[6]), (int64_t)v->seed, (int64_t)v->offset));
    for (int i = 0; i < 3; i++) {
        taper_scope_own(s, d[i]);
        if (v->need[i]) v->d[i] = d[i];
    }
    return s->status;
}

const taper_op taper_op_flash_attention = {
    .infer = flash_attention_infer,
    .kernels = flash_attention_kernels,
    .vjp = flash_attention_vjp,
    .saves = TAPER_SAVE_ARG(0) | TAPER_SAVE_ARG(1) | TAPER_SAVE_ARG(2) | TAPER_SAVE_ARG(3) | TAPER_SAVE_OUT(0) | TAPER_SAVE_OUT(1),
    .flops = flash_attention_flops,
    .upcast = true,
    .grad_name = "ScaledDotProductFlashAttentionForCpuBackward0",
    .samples = (const taper_sample[]){{"[2,2,3,4], [2,2,5,4], [2,2,5,3]"},
                                      {"[1,4,5,4], [1,2,5,4], [1,2,5,4], none, true"},
                                      {"[2,2,3,4], [2,2,4,4], [2,2,4,4], [3,4]:bool, scale=0.3"},
                                      {"[2,2,3,4], [2,2,4,4], [2,2,4,4], [2,1,3,4]"},
                                      {"[1,1,70,4], [1,1,300,4], [1,1,300,4]", .no_grad_check = true /* too many elements */},
                                      {"[1,4,9,8], [1,2,9,8], [1,2,9,16], none, true"},
                                      {"[1,2,140,64], [1,2,100,64], [1,2,100,64], none, true", .no_grad_check = true /* too many elements */},
                                      {"[1,2,67,40], [1,1,70,40], [1,1,70,88], [67,70]", .no_grad_check = true /* too many elements */},
                                      {"[2,4,1,20], [2,2,150,20], [2,2,150,9], [1,150]:bool"},
                                      {"[1,2,1,5], [1,2,40,5], [1,2,40,5], [1,2,1,40]"},
                                      {"[1,2,1,5], [1,2,4,5], [1,2,4,5], none, true", .no_grad_check = true /* of one key it is 0, but for rounding */},
                                      {"[1,2,70,4], [1,2,140,4], [1,2,140,4], [70,1]:bool", .no_grad_check = true /* too many elements */},
                                      {"[0,2,3,4], [0,2,3,4], [0,2,3,4]"},
                                      {"[1,2,3,4], [1,2,3,5], [1,2,3,4]", .error = "query [1, 2, 3, 4], key [1, 2, 3, 5]"},
                                      {0}},
};

/* ---- its gradient ---- */

static taper_status flash_attention_backward_infer(taper_call *c) {
    taper_attention a;
    TAPER_TRY(flash_read(&a, c, &c->args[6], &c->args[7], &c->args[8], 1));
    const taper_tensor *g = c->args[0].t, *out = c->args[4].t, *lse = c->args[5].t;
    const int64_t want[4] = {a.B, a.H, a.L, a.V};
    if (g->ndim != 4 || out->ndim != 4 || memcmp(g->shape, want, sizeof want) || memcmp(out->shape, want, sizeof want) || lse->ndim != 3 ||
        memcmp(lse->shape, want, 3 * sizeof *want) || g->dtype != a.q->dtype || out->dtype != a.q->dtype ||
        lse->dtype != (a.q->dtype == TAPER_F64 ? TAPER_F64 : TAPER_F32))
        return TAPER_FAIL(TAPER_RUNTIME, "flash_attention_backward: grad_output %s, output %s and logsumexp %s do not belong to query %s, value %s",
                          TAPER_TEXT(g), TAPER_TEXT(out), TAPER_TEXT(lse), TAPER_TEXT(a.q), TAPER_TEXT(a.v));
    TAPER_TRY(taper__need_same_device(c));
    TAPER_TRY(flash_out(c, 0, a.q, a.E));
    TAPER_TRY(flash_out(c, 1, a.k, a.E));
    return flash_out(c, 2, a.v, a.V);
}

static taper_status flash_attention_backward_cpu(taper_call *c) {
    taper_attention a;
    TAPER_TRY(flash_read(&a, c, &c->args[6], &c->args[7], &c->args[8], 1));
    return taper__attention_backward_cpu(&a, c->args[0].t, c->args[4].t, c->args[5].t, c->out[0], c->out[1], c->out[2]);
}
static taper_status flash_attention_backward_cuda(taper_call *c) {
    taper_attention a;
    TAPER_TRY(flash_read(&a, c, &c->args[6], &c->args[7], &c->args[8], 1));
    taper_attention_dropout d = {attention_number(&c->args[9]), (uint64_t)c->args[10].i, (uint64_t)c->args[11].i};
    return taper__attention_backward_cuda(&a, d, c->args[0].t, c->args[4].t, c->args[5].t, c->out[0], c->out[1], c->out[2]);
}
static bool flash_backward_keeps_all(const taper_call *c, const char **why) {
    if (attention_number(&c->args[9]) == 0) return true;
    *why = "dropout inside of attention is for GPUs";
    return false;
}
static bool flash_attention_backward_dnn_takes(const taper_call *c, const char **why) {
    taper_attention a;
    return flash_read(&a, c, &c->args[6], &c->args[7], &c->args[8], 1) == TAPER_OK &&
           taper__attention_dnn_takes(&a, attention_number(&c->args[9]), c->args[4].t,
                                      (const taper_tensor *const[]){c->args[0].t, c->out[0], c->out[1], c->out[2]}, why);
}
static taper_status flash_attention_backward_dnn(taper_call *c) {
    taper_attention a;
    TAPER_TRY(flash_read(&a, c, &c->args[6], &c->args[7], &c->args[8], 1));
    return taper__attention_backward_dnn(&a, c->args[0].t, c->args[4].t, c->args[5].t, c->out[0], c->out[1], c->out[2]);
}
static const taper_kernel flash_attention_backward_kernels[] = {{"cpu", TAPER_CPU, flash_backward_keeps_all, flash_attention_backward_cpu},
                                                                {"cudnn", TAPER_CUDA, flash_attention_backward_dnn_takes, flash_attention_backward_dnn},
                                                                {"cuda", TAPER_CUDA, NULL, flash_attention_backward_cuda},
                                                                {0}};

const taper_op taper_op_flash_attention_backward = {
    .infer = flash_attention_backward_infer,
    .kernels = flash_attention_backward_kernels,
    .contiguous = 1 << 5,
    .upcast = true,
    .samples = (const taper_sample[]){{"[2,2,3,3]:f32:nograd, [2,2,3,4]:f32:nograd, [2,2,5,4]:f32:nograd, [2,2,5,3]:f32:nograd, "
                                       "[2,2,3,3]:f32:nograd, [2,2,3]:f32:nograd"},
                                      {"[1,4,3,3]:f64:nograd, [1,4,3,4]:f64:nograd, [1,2,5,4]:f64:nograd, [1,2,5,3]:f64:nograd, "
                                       "[1,4,3,3]:f64:nograd, [1,4,3]:f64:nograd, [3,5]:bool, true, 0.5"},
                                      {"[2,2,3,2]:f32:nograd, [2,2,3,4]:f32:nograd, [2,2,5,4]:f32:nograd, [2,2,5,3]:f32:nograd, "
                                       "[2,2,3,3]:f32:nograd, [2,2,3]:f32:nograd", .error = "grad_output float32[2, 2, 3, 2]"},
                                      {0}},
};

/* ---- scaled_dot_product_attention ---- */

/* A bool mask, or the causal one, as numbers: 1 where a key is seen, else 0. */
static taper_tensor *attention_seen(taper_scope *s, const taper_tensor *mask, int64_t L, int64_t S, const taper_tensor *like) {
    int64_t shape[TAPER_MAX_DIMS] = {L, S}, n = mask ? mask->numel : L * S;
    int ndim = mask ? mask->ndim : 2;
    if (mask) memcpy(shape, mask->shape, sizeof *shape * (size_t)ndim);
    uint8_t *seen = taper__alloc((size_t)n + 1);
    taper_tensor *t = NULL;
    if (!seen)
        s->status = TAPER_FAIL(TAPER_MEMORY, "scaled_dot_product_attention: no memory for a mask of %s", taper__shape_text(ndim, shape).s);
    else if (mask)
        s->status = taper_tensor_read(mask, seen, (size_t)n);
    for (int64_t i = 0; s->status == TAPER_OK && !mask && i < n; i++) seen[i] = i % S <= i / S;
    if (s->status == TAPER_OK) s->status = taper_tensor_from_data(&t, seen, TAPER_BOOL, ndim, shape);
    taper__free(seen);
    t = taper_scope_own(s, t);
    return t ? tx_to(s, t, &like->device, (taper_dtype)like->dtype, false, false) : NULL;
}

/* softmax over the keys that are seen; a row that sees none is zero, where -inf would make it NaN. */
static taper_tensor *attention_softmax(taper_scope *s, taper_tensor *scores, taper_tensor *mask, bool causal, int64_t L, int64_t S) {
    taper_tensor *seen[2] = {NULL, NULL};
    if (!scores || s->status != TAPER_OK) return NULL;
    if (mask && mask->dtype != TAPER_BOOL) scores = tx_add(s, scores, mask, taper_int(1));
    if (scores && mask && mask->dtype == TAPER_BOOL) seen[0] = attention_seen(s, mask, L, S, scores);
    if (scores && causal && s->status == TAPER_OK) seen[1] = attention_seen(s, NULL, L, S, scores);
    for (int i = 0; i < 2; i++) {
        if (!seen[i] || !scores) continue;
        taper_scalar far = taper_float(scores->dtype == TAPER_F16 ? 3e4 : 1e30);
        taper_tensor *by = tx_full(s, NULL, 0, far, (taper_dtype)scores->dtype, &scores->device);
        taper_tensor *one = tx_full(s, NULL, 0, taper_float(1), (taper_dtype)scores->dtype, &scores->device);
        scores = tx_add(s, scores, tx_mul(s, tx_add(s, seen[i], one, taper_int(-1)), by), taper_int(1));
    }
    taper_tensor *p = scores ? tx_softmax(s, scores, -1, TAPER_DTYPE_NONE) : NULL;
    for (int i = 0; i < 2; i++)
        if (seen[i] && p) p = tx_mul(s, p, seen[i]);
    return p;
}

/* (..., H / G, S, E) -> (..., H, S, E), each head G times. */
static taper_tensor *attention_repeat(taper_scope *s, taper_tensor *t, int64_t heads) {
    int n = t->ndim;
    if (n < 3 || t->shape[n - 3] == heads || !t->shape[n - 3]) return t;
    int64_t shape[TAPER_MAX_DIMS];
    memcpy(shape, t->shape, sizeof *shape * (size_t)(n - 2));
    shape[n - 2] = 1, shape[n - 1] = t->shape[n - 2], shape[n] = t->shape[n - 1];
    t = tx_reshape(s, t, shape, n + 1);
    shape[n - 2] = heads / shape[n - 3];
    t = tx_expand(s, t, shape, n + 1);
    shape[n - 3] = heads, shape[n - 2] = shape[n - 1], shape[n - 1] = shape[n];
    return tx_reshape(s, t, shape, n);
}

static taper_status sdpa_check(const taper_call *c) {
    const taper_tensor *q = c->args[0].t, *k = c->args[1].t, *v = c->args[2].t, *m = TAPER_ARG_T(c, 3);
    if (q->ndim < 2 || k->ndim < 2 || v->ndim < 2)
        return TAPER_FAIL(TAPER_RUNTIME,
                          "Expected query, key, and value to all be  at least 2 dimensional, but got query.dim: %d key.dim: %d and value.dim: "
                          "%d instead.", q->ndim, k->ndim, v->ndim);
    if (q->dtype != k->dtype || q->dtype != v->dtype)
        return TAPER_FAIL(TAPER_RUNTIME,
                          "Expected query, key, and value to have the same dtype, but got query.dtype: %s key.dtype: %s and value.dtype: %s "
                          "instead.", taper_dtype_name((taper_dtype)q->dtype), taper_dtype_name((taper_dtype)k->dtype),
                          taper_dtype_name((taper_dtype)v->dtype));
    TAPER_TRY(taper__need_same_device(c));
    TAPER_TRY(taper__need_float(q, "scaled_dot_product_attention"));
    if (q->shape[q->ndim - 1] != k->shape[k->ndim - 1] || k->shape[k->ndim - 2] != v->shape[v->ndim - 2])
        return TAPER_FAIL(TAPER_RUNTIME, "scaled_dot_product_attention: query %s, key %s and value %s must be (..., L, E), (..., S, E), (..., S, V)",
                          TAPER_SHAPE(q), TAPER_SHAPE(k), TAPER_SHAPE(v));
    if (m && m->dtype != TAPER_BOOL && m->dtype != q->dtype && m->dtype != TAPER_F32)
        return TAPER_FAIL(TAPER_RUNTIME,
                          "Expected attn_mask dtype to be bool or float or to match query dtype, but got attn_mask.dtype: %s and  query.dtype: "
                          "%s instead.", taper_dtype_name((taper_dtype)m->dtype), taper_dtype_name((taper_dtype)q->dtype));
    if (c->args[7].i) {
        int64_t heads = q->ndim > 2 ? q->shape[q->ndim - 3] : 1, shared = k->ndim > 2 ? k->shape[k->ndim - 3] : 1;
        if (q->ndim < 3 || k->ndim != q->ndim || v->ndim != q->ndim || v->shape[v->ndim - 3] != shared || !shared || heads % shared)
            return TAPER_FAIL(TAPER_RUNTIME, "Number of heads in key and value must divide the number of heads in query, got query %s, key %s, value %s",
                              TAPER_SHAPE(q), TAPER_SHAPE(k), TAPER_SHAPE(v));
    }
    return TAPER_OK;
}

/* True when the fused operator computes the same. */
static bool sdpa_fused(const taper_call *c, double dropout) {
    const taper_tensor *q = c->args[0].t, *k = c->args[1].t, *v = c->args[2].t, *m = TAPER_ARG_T(c, 3);
    if ((dropout > 0 && q->device.type != TAPER_CUDA) || (m && (m->requires_grad || c->args[5].i || m->ndim > 4))) return false;
    if ((q->ndim != 3 && q->ndim != 4) || k->ndim != q->ndim || v->ndim != q->ndim || !q->numel || !k->numel || !v->numel) return false;
    int h = q->ndim - 3;
    bool heads = k->shape[h] == v->shape[h] && (q->shape[h] == k->shape[h] || c->args[7].i);
    if (m && q->ndim == 3 && m->ndim > 3) return false;
    return heads && (q->ndim == 3 || (q->shape[0] == k->shape[0] && q->shape[0] == v->shape[0]));
}

static taper_tensor *attention_lead(taper_scope *s, taper_tensor *t) {
    int64_t shape[4] = {1, t->shape[0], t->shape[1], t->shape[2]};
    return t->ndim == 3 ? tx_reshape(s, t, shape, 4) : t;
}

static taper_status sdpa_fused_compose(taper_call *c, taper_scope *s) {
    taper_tensor *q = c->args[0].t, *both[2] = {NULL}, *m = TAPER_ARG_T(c, 3);
    double scale = attention_scale(&c->args[6], q);
    taper_tensor *q4 = attention_lead(s, q), *k4 = attention_lead(s, c->args[1].t), *v4 = attention_lead(s, c->args[2].t);
    if (m && m->dtype != TAPER_BOOL && m->dtype != q->dtype) m = tx_to(s, m, NULL, (taper_dtype)q->dtype, false, false);
    TAPER_TRY(s->status);
    TAPER_TRY(taper_flash_attention(both, q4, k4, v4, m, c->args[5].i, &scale, attention_number(&c->args[4])));
    taper_scope_own(s, both[1]);
    taper_tensor *y = taper_scope_own(s, both[0]);
    if (y && q->ndim == 3) y = tx_reshape(s, y, y->shape + 1, 3);
    c->out[0] = taper_scope_keep(s, y);
    c->nout = 1;
    return s->status;
}

static taper_status sdpa_compose(taper_call *c, taper_scope *s) {
    TAPER_TRY(sdpa_check(c));
    double dropout = attention_number(&c->args[4]);
    TAPER_TRY(attention_check_dropout(c, dropout));
    if (sdpa_fused(c, dropout)) return sdpa_fused_compose(c, s);
    taper_tensor *q = c->args[0].t, *k = c->args[1].t, *v = c->args[2].t, *m = TAPER_ARG_T(c, 3);
    int64_t L = q->shape[q->ndim - 2], S = k->shape[k->ndim - 2];
    if (c->args[7].i) {
        k = attention_repeat(s, k, q->shape[q->ndim - 3]);
        v = attention_repeat(s, v, q->shape[q->ndim - 3]);
    }
    /* Half of the scale on each side: products of half precision stay in range. */
    double scale = attention_scale(&c->args[6], q);
    taper_tensor *half = tx_full(s, NULL, 0, taper_float(sqrt(fabs(scale))), (taper_dtype)q->dtype, &q->device);
    taper_tensor *scores = tx_matmul(s, tx_mul(s, q, half), attention_turned(s, tx_mul(s, k, half)));
    if (scale < 0) scores = tx_neg(s, scores);
    if (m && m->dtype != TAPER_BOOL && scores && m->dtype != scores->dtype) m = tx_to(s, m, NULL, (taper_dtype)scores->dtype, false, false);
    taper_tensor *p = attention_softmax(s, scores, m, c->args[5].i, L, S);
    if (dropout > 0 && s->status == TAPER_OK) {
        const taper_op_row *row = taper_op_find("dropout");
        taper_tensor *dropped = NULL;
        if (!row) return TAPER_FAIL(TAPER_NOT_IMPLEMENTED, "scaled_dot_product_attention: dropout_p=%g needs the operator dropout", dropout);
        TAPER_TRY(taper_op_call(row, (taper_arg[]){{.kind = TAPER_ARG_TENSOR, .t = p}, {.kind = TAPER_ARG_FLOAT, .f = dropout},
                                                   {.kind = TAPER_ARG_BOOL, .i = 1}}, 3, &dropped));
        p = taper_scope_own(s, dropped);
    }
    if (p && p->dtype != v->dtype) p = tx_to(s, p, NULL, (taper_dtype)v->dtype, false, false); /* softmax is float32 under autocast */
    c->out[0] = taper_scope_keep(s, tx_matmul(s, p, v));
    c->nout = 1;
    return s->status;
}

const taper_op taper_op_scaled_dot_product_attention = {
    .compose = sdpa_compose,
    .samples = (const taper_sample[]){{"[2,2,3,4], [2,2,5,4], [2,2,5,3]"},
                                      {"[2,5,4], [2,5,4], [2,5,4], is_causal=true"},
                                      {"[2,2,3,4], [2,2,5,4], [2,2,5,3], [3,5]"},
                                      {"[2,2,3,4], [2,2,5,4], [2,2,5,3], [3,5]:nograd, scale=0.5"},
                                      {"[3,4], [5,4], [5,3]"},
                                      {"[1,4,3,4], [1,2,5,4], [1,2,5,3], enable_gqa=true"},
                                      {"[4], [3,5], [3,4]", .error = "at least 2 dimensional"},
                                      {"[1,4,3,4], [1,3,3,4], [1,3,3,4], enable_gqa=true", .error = "query [1, 4, 3, 4], key [1, 3, 3, 4]"},
                                      {0}},
};
