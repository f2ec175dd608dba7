/* Attention of a packed projection: the kernels of attention.c see three views of one tensor, and write its gradient the same
 * way, so that nothing is cut apart or put together. */
#include <math.h>
#include <taper/autograd.h>

#include "device/cuda/cuda.h"
#include "ops/attention_cuda.h"

/* Third `which` of (B, L, parts H E) as (B, H, L, E). */
static taper_status packed_view(taper_tensor **out, taper_tensor *t, int which, int64_t heads, int64_t E) {
    int64_t shape[4] = {t->shape[0], heads, t->shape[1], E}, strides[4] = {t->strides[0], E * t->strides[2], t->strides[1], t->strides[2]};
    return taper__tensor_view(out, t, 4, shape, strides, t->offset + which * heads * E * t->strides[2]);
}

/* The views must outlive the use of *a. */
static taper_status packed_read(taper_attention *a, taper_tensor **views, const taper_call *c, int first, int options) {
    taper_tensor *qkv = c->args[first].t;
    int64_t heads = c->args[options].i, E = qkv->shape[2] / 3 / heads;
    const taper_arg *scale = &c->args[options + 2];
    for (int i = 0; i < 3; i++) TAPER_TRY(packed_view(&views[i], qkv, i, heads, E));
    *a = (taper_attention){.q = views[0], .k = views[1], .v = views[2], .B = qkv->shape[0], .H = heads, .G = 1, .L = qkv->shape[1],
                           .S = qkv->shape[1], .E = E, .V = E, .causal = c->args[options + 1].i,
                           .scale = scale->kind == TAPER_ARG_NONE ? 1 / sqrt((double)(E ? E : 1)) : taper_arg_double(scale)};
    return TAPER_OK;
}

static void packed_release(taper_tensor **views, int n) {
    for (int i = 0; i < n; i++) taper_tensor_release(views[i]);
}

static double packed_dropout(const taper_arg *a) { return a->kind == TAPER_ARG_NONE ? 0 : taper_arg_double(a); }

static taper_status packed_check(const taper_call *c, const taper_tensor *qkv, int options) {
    int64_t heads = c->args[options].i;
    double p = packed_dropout(&c->args[options + 3]);
    if (qkv->ndim != 3 || heads < 1 || qkv->shape[2] % (3 * heads))
        return TAPER_FAIL(TAPER_RUNTIME, "%s: qkv must be (B, L, 3 * heads * E), got %s with %lld heads", c->row->name, TAPER_SHAPE(qkv), (long long)heads);
    if (!(p >= 0 && p <= 1)) return TAPER_FAIL(TAPER_RUNTIME, "dropout probability has to be between 0 and 1, but got %g (%s)", p, c->row->name);
    return taper__need_float(qkv, c->row->name);
}

static taper_status flash_attention_packed_infer(taper_call *c) {
    const taper_tensor *t = c->args[0].t;
    TAPER_TRY(packed_check(c, t, 1));
    TAPER_TRY(taper__out(c, 0, (taper_dtype)t->dtype, 3, (int64_t[]){t->shape[0], t->shape[1], t->shape[2] / 3}));
    c->nondiff = 1 << 1;
    return taper__out(c, 1, t->dtype == TAPER_F64 ? TAPER_F64 : TAPER_F32, 3, (int64_t[]){t->shape[0], c->args[1].i, t->shape[1]});
}

static taper_status packed_run(taper_call *c) {
    taper_tensor *views[4] = {NULL};
    taper_attention a;
    taper_attention_dropout d = {.p = packed_dropout(&c->args[4])};
    taper_status st = TAPER_OK;
    if (!c->out[0]->numel) return TAPER_OK;
    TAPER_TRY_GOTO(packed_read(&a, views, c, 0, 1));
    TAPER_TRY_GOTO(packed_view(&views[3], c->out[0], 0, a.H, a.E));
    if (c->device.type != TAPER_CUDA) {
        st = taper__attention_cpu(&a, views[3], c->out[1]);
        goto out;
    }
    if (d.p > 0) TAPER_TRY_GOTO(taper__cuda_reserve_random(c->device.index, 1, &c->seed, &c->offset));
    d.seed = c->seed, d.offset = c->offset;
    st = taper__attention_cuda(&a, d, views[3], c->out[1]);
out:
    packed_release(views, 4);
    return st;
}

static bool packed_worth(const taper_tensor *qkv, int64_t heads, const char **why) {
    int64_t L = qkv->shape[1], E = qkv->shape[2] / 3 / heads;
    return taper__attention_dnn_worth((taper_dtype)qkv->dtype, qkv->shape[0] * heads, L, L, E, E, why);
}

static bool packed_dnn_takes(const taper_call *c, const char **why) {
    taper_tensor *views[4] = {NULL};
    taper_attention a;
    bool takes = packed_worth(c->args[0].t, c->args[1].i, why) && packed_read(&a, views, c, 0, 1) == TAPER_OK &&
                 packed_view(&views[3], c->out[0], 0, a.H, a.E) == TAPER_OK &&
                 taper__attention_dnn_takes(&a, packed_dropout(&c->args[4]), views[3], NULL, why);
    packed_release(views, 4);
    return takes;
}

static taper_status packed_dnn(taper_call *c) {
    taper_tensor *views[4] = {NULL};
    taper_attention a;
    taper_status st = TAPER_OK;
    TAPER_TRY_GOTO(packed_read(&a, views, c, 0, 1));
    TAPER_TRY_GOTO(packed_view(&views[3], c->out[0], 0, a.H, a.E));
    st = taper__attention_dnn(&a, views[3], c->out[1]);
out:
    packed_release(views, 4);
    return st;
}

static bool packed_keeps_all(const taper_call *c, const char **why) {
    bool backward = c->row->gradient == TAPER_GRADIENT_NONDIFF;
    if (packed_dropout(&c->args[backward ? 7 : 4]) == 0) return true;
    *why = "dropout inside of attention is for GPUs";
    return false;
}
static const taper_kernel flash_attention_packed_kernels[] = {
    {"cpu", TAPER_CPU, packed_keeps_all, packed_run}, {"cudnn", TAPER_CUDA, packed_dnn_takes, packed_dnn}, {"cuda", TAPER_CUDA, NULL, packed_run}, {0}};

static double flash_attention_packed_flops(const taper_call *c) {
    return 4.0 * (double)c->out[0]->numel * (double)c->out[0]->shape[1];
}

/* Through the gradient of flash_attention with respect to the three parts. */
static taper_status packed_composed_vjp(taper_vjp *v) {
    taper_scope *s = v->scope;
    taper_tensor *qkv = v->args[0].t, *parts[3] = {NULL};
    int64_t heads = v->args[1].i, width = qkv->shape[2] / 3, apart[4] = {qkv->shape[0], qkv->shape[1], heads, width / heads};
    int64_t whole[3] = {qkv->shape[0], qkv->shape[1], width};
    taper_vjp w = {.row = taper_op_find("flash_attention"), .scope = s, .nargs = 7, .nout = 2};
    for (int i = 0; i < 3; i++) {
        taper_tensor *part = tx_narrow(s, qkv, 2, i * width, width);
        w.args[i] = (taper_arg){.kind = TAPER_ARG_TENSOR, .t = tx_transpose(s, tx_reshape(s, part, apart, 4), 1, 2)};
        w.need[i] = true;
    }
    w.args[4] = v->args[2], w.args[5] = v->args[3], w.args[6] = v->args[4];
    w.grad[0] = tx_transpose(s, tx_reshape(s, v->grad[0], apart, 4), 1, 2);
    TAPER_TRY(s->status);
    TAPER_TRY(taper__attention_composed_vjp(&w));
    for (int i = 0; i < 3; i++) parts[i] = tx_reshape(s, tx_transpose(s, w.d[i], 1, 2), whole, 3);
    v->d[0] = tx_cat(s, parts, 3, 2);
    return s->status;
}

static taper_status flash_attention_packed_vjp(taper_vjp *v) {
    if (!v->grad[0]) return TAPER_OK;
    if (taper_grad_enabled()) return packed_composed_vjp(v);
    double scale = v->args[3].kind == TAPER_ARG_NONE ? 0 : taper_arg_double(&v->args[3]);
    v->d[0] = tx_flash_attention_packed_backward(v->scope, v->grad[0], v->args[0].t, v->out[0], v->out[1], v->args[1].i, v->args[2].i,
                                                 v->args[3].kind == TAPER_ARG_NONE ? NULL : &scale, packed_dropout(&v->args[4]), (int64_t)v->seed,
                                                 (int64_t)v->offset);
    return v->scope->status;
}

const taper_op taper_op_flash_attention_packed = {
    .infer = flash_attention_packed_infer,
    .kernels = flash_attention_packed_kernels,
    .vjp = flash_attention_packed_vjp,
    .saves = TAPER_SAVE_ARG(0) | TAPER_SAVE_OUT(0) | TAPER_SAVE_OUT(1),
    .flops = flash_attention_packed_flops,
    .upcast = true,
    .samples = (const taper_sample[]){{"[2,3,12], 2"},
                                      {"[1,5,24], 2, true"},
                                      {"[1,5,48], 2, true, 0.3"},
                                      {"[1,70,48], 2, true", .no_grad_check = true /* too many elements */},
                                      {"[0,3,12], 2"},
                                      {"[2,3,12], 3", .error = "[2, 3, 12] with 3 heads"},
                                      {0}},
};

static taper_status flash_attention_packed_backward_infer(taper_call *c) {
    const taper_tensor *g = c->args[0].t, *t = c->args[1].t, *out = c->args[2].t, *lse = c->args[3].t;
    TAPER_TRY(packed_check(c, t, 4));
    const int64_t want[3] = {t->shape[0], t->shape[1], t->shape[2] / 3}, rows[3] = {t->shape[0], c->args[4].i, t->shape[1]};
    if (g->ndim != 3 || out->ndim != 3 || lse->ndim != 3 || memcmp(g->shape, want, sizeof want) || memcmp(out->shape, want, sizeof want) ||
        memcmp(lse->shape, rows, sizeof rows) || g->dtype != t->dtype || out->dtype != t->dtype || lse->dtype != (t->dtype == TAPER_F64 ? TAPER_F64 : TAPER_F32))
        return TAPER_FAIL(TAPER_RUNTIME, "flash_attention_packed_backward: grad_output %s, output %s and logsumexp %s do not belong to qkv %s", TAPER_TEXT(g),
                          TAPER_TEXT(out), TAPER_TEXT(lse), TAPER_TEXT(t));
    TAPER_TRY(taper__need_same_device(c));
    return taper__out(c, 0, (taper_dtype)t->dtype, 3, t->shape);
}

/* views: query, key, value; grad_output, output; gradients of query, key, value. */
static taper_status packed_backward_read(taper_attention *a, taper_tensor **views, const taper_call *c) {
    TAPER_TRY(packed_read(a, views, c, 1, 4));
    TAPER_TRY(packed_view(&views[3], c->args[0].t, 0, a->H, a->E));
    TAPER_TRY(packed_view(&views[4], c->args[2].t, 0, a->H, a->E));
    for (int i = 0; i < 3; i++) TAPER_TRY(packed_view(&views[5 + i], c->out[0], i, a->H, a->E));
    return TAPER_OK;
}

static bool packed_backward_dnn_takes(const taper_call *c, const char **why) {
    taper_tensor *views[8] = {NULL};
    taper_attention a;
    bool takes = packed_worth(c->args[1].t, c->args[4].i, why) && packed_backward_read(&a, views, c) == TAPER_OK &&
                 taper__attention_dnn_takes(&a, packed_dropout(&c->args[7]), views[4],
                                            (const taper_tensor *const[]){views[3], views[5], views[6], views[7]}, why);
    packed_release(views, 8);
    return takes;
}

static taper_status packed_backward_dnn(taper_call *c) {
    taper_tensor *views[8] = {NULL};
    taper_attention a;
    taper_status st = packed_backward_read(&a, views, c);
    if (st == TAPER_OK) st = taper__attention_backward_dnn(&a, views[3], views[4], c->args[3].t, views[5], views[6], views[7]);
    packed_release(views, 8);
    return st;
}

static taper_status packed_backward_run(taper_call *c) {
    taper_tensor *views[8] = {NULL};
    taper_attention a;
    taper_attention_dropout d = {packed_dropout(&c->args[7]), (uint64_t)c->args[8].i, (uint64_t)c->args[9].i};
    taper_status st = TAPER_OK;
    if (!c->out[0]->numel) return TAPER_OK;
    TAPER_TRY_GOTO(packed_backward_read(&a, views, c));
    st = c->device.type == TAPER_CUDA
             ? taper__attention_backward_cuda(&a, d, views[3], views[4], c->args[3].t, views[5], views[6], views[7])
             : taper__attention_backward_cpu(&a, views[3], views[4], c->args[3].t, views[5], views[6], views[7]);
out:
    packed_release(views, 8);
    return st;
}
static const taper_kernel flash_attention_packed_backward_kernels[] = {{"cpu", TAPER_CPU, packed_keeps_all, packed_backward_run},
                                                                       {"cudnn", TAPER_CUDA, packed_backward_dnn_takes, packed_backward_dnn},
                                                                       {"cuda", TAPER_CUDA, NULL, packed_backward_run},
                                                                       {0}};

const taper_op taper_op_flash_attention_packed_backward = {
    .infer = flash_attention_packed_backward_infer,
    .kernels = flash_attention_packed_backward_kernels,
    .contiguous = 1 << 3,
    .upcast = true,
    .samples = (const taper_sample[]){{"[2,3,4]:f32:nograd, [2,3,12]:f32:nograd, [2,3,4]:f32:nograd, [2,2,3]:f32:nograd, 2"},
                                      {"[1,5,8]:f64:nograd, [1,5,24]:f64:nograd, [1,5,8]:f64:nograd, [1,2,5]:f64:nograd, 2, true, 0.5"},
                                      {"[2,3,5]:f32:nograd, [2,3,12]:f32:nograd, [2,3,4]:f32:nograd, [2,2,3]:f32:nograd, 2", .error = "grad_output float32[2, 3, 5]"},
                                      {0}},
};
