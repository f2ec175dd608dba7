/* linear_cross_entropy: the output layer and its loss in chunks of rows. On the GPU a chunk of logits is made, turned into its
 * gradient in place and multiplied away before the next one, so that memory holds one chunk instead of all logits twice. */
#include <taper/autograd.h>
#include <taper/cuda.h>

#include "device/cuda/cuda.h"
#include "ops/product.h"

enum { LOSS_CHUNK_BYTES = 512 << 20, LOSS_THREADS = 512 };

static taper_cuda_kernel loss_rows[2] = {TAPER_CUDA_KERNEL("linear_loss", "linear_loss_rows_f32"), TAPER_CUDA_KERNEL("linear_loss", "linear_loss_rows_f64")},
                         loss_held[2] = {TAPER_CUDA_KERNEL("linear_loss", "linear_loss_held_f16"), TAPER_CUDA_KERNEL("linear_loss", "linear_loss_held_bf16")},
                         loss_scale[2] = {TAPER_CUDA_KERNEL("linear_loss", "linear_loss_scale_f32"), TAPER_CUDA_KERNEL("linear_loss", "linear_loss_scale_f64")},
                         loss_total[2] = {TAPER_CUDA_KERNEL("linear_loss", "linear_loss_total_f32"), TAPER_CUDA_KERNEL("linear_loss", "linear_loss_total_f64")};

static bool loss_wants(const taper_tensor *t) { return taper_grad_enabled() && taper_requires_grad(t); }

static taper_status linear_cross_entropy_infer(taper_call *c) {
    const taper_tensor *x = c->args[0].t, *w = c->args[1].t, *t = c->args[2].t;
    if (x->ndim != 2 || w->ndim != 2 || t->ndim != 1 || x->shape[1] != w->shape[1] || t->shape[0] != x->shape[0])
        return TAPER_FAIL(TAPER_RUNTIME, "linear_cross_entropy: input %s, weight %s and target %s must be (N, K), (C, K) and (N)", TAPER_TEXT(x), TAPER_TEXT(w),
                          TAPER_TEXT(t));
    TAPER_TRY(taper__need_float(x, "linear_cross_entropy"));
    if (t->dtype != TAPER_I64 || (w->dtype != x->dtype && (w->dtype != TAPER_F32 || x->dtype == TAPER_F64)))
        return TAPER_FAIL(TAPER_RUNTIME, "linear_cross_entropy: target %s must be int64, and weight %s of the dtype of input %s or float32", TAPER_TEXT(t),
                          TAPER_TEXT(w), TAPER_TEXT(x));
    TAPER_TRY(taper__need_same_device(c));
    int64_t none = 0;
    bool wants = loss_wants(x) || loss_wants(w);
    c->nondiff = 1 << 1 | 1 << 2;
    TAPER_TRY(taper__out(c, 0, (taper_dtype)w->dtype, 0, NULL));
    TAPER_TRY(taper__out(c, 1, (taper_dtype)x->dtype, wants ? 2 : 1, wants ? x->shape : &none));
    return taper__out(c, 2, (taper_dtype)w->dtype, wants ? 2 : 1, wants ? w->shape : &none);
}

/* d loss / d logits from operators; *loss too. */
static taper_tensor *loss_slope(taper_scope *s, taper_tensor *x, taper_tensor *w, taper_tensor *t, int64_t ignore, taper_tensor *grad, taper_tensor **loss) {
    taper_tensor *logits = tx_linear(s, x, w, NULL), *r[3] = {NULL};
    if (!logits) return NULL;
    s->status = taper_cross_entropy_forward(r, logits, t, NULL, ignore, "mean", 0);
    for (int i = 0; i < 3; i++) taper_scope_own(s, r[i]);
    if (s->status != TAPER_OK) return NULL;
    if (loss) *loss = r[0];
    if (!grad) grad = tx_full(s, NULL, 0, taper_float(1), (taper_dtype)r[0]->dtype, &r[0]->device);
    return tx_cross_entropy_backward(s, grad, logits, t, NULL, r[1], r[2], ignore, "mean", 0);
}

static taper_status linear_cross_entropy_cpu(taper_call *c) {
    taper_scope s = TAPER_SCOPE;
    bool was = taper_set_grad_enabled(false);
    taper_tensor *x = c->args[0].t, *w = c->args[1].t, *loss = NULL;
    if (x->dtype == TAPER_F16 || x->dtype == TAPER_BF16) x = tx_to(&s, x, NULL, TAPER_F32, false, false);
    if (w->dtype != x->dtype && x) w = tx_to(&s, w, NULL, (taper_dtype)x->dtype, false, false);
    taper_tensor *d = loss_slope(&s, x, w, c->args[2].t, c->args[3].i, NULL, &loss);
    if (d) s.status = taper__copy_data(c->out[0], loss);
    if (c->out[1]->ndim == 2) {
        taper_tensor *dx = tx_mm(&s, d, w), *dw = tx_mm(&s, tx_transpose(&s, d, 0, 1), x);
        if (dw) s.status = taper__copy_data(c->out[1], dx);
        if (dw && s.status == TAPER_OK) s.status = taper__copy_data(c->out[2], dw);
    }
    taper_set_grad_enabled(was);
    return taper_scope_end(&s);
}

typedef struct loss_run {
    taper_call *c;
    const taper_tensor *x, *w;                 /* w in the dtype of x */
    taper_tensor *logits, *losses, *scale, *sum; /* sum: of the gradient of weight over chunks */
    int64_t held_most; /* bytes of a row that a block can keep */
    bool wants, wide;
} loss_run;

static taper_status loss_chunk(loss_run *r, int64_t first, int64_t rows) {
    const taper_tensor *x = r->x, *w = r->w;
    int64_t K = x->shape[1], C = w->shape[0], size[2] = {rows, K}, strides[2] = {K, 1}, classes[2] = {rows, C};
    taper_tensor *part = NULL, *back = NULL;
    taper_status st;
    TAPER_TRY_GOTO(taper__tensor_view(&part, (taper_tensor *)x, 2, size, strides, x->offset + first * K));
    taper__tensor_set_layout(r->logits, 2, classes, NULL);
    taper_matrix logits = {r->logits, C, 1, 0}, weight = {w, K, 1, 0}, input = {part, K, 1, 0};
    TAPER_TRY_GOTO(taper__product_fused_cuda(&(taper_product){.c = r->logits, .batch = 1, .m = rows, .n = C, .k = K, .a = input,
                                                              .b = {w, 1, K, 0}, .alpha = 1}));
    const int64_t *targets = (const int64_t *)taper__data(r->c->args[2].t) + first;
    void *at = taper__data(r->logits), *losses = (char *)taper__data(r->losses) + first * (r->wide ? 8 : 4), *scale = taper__data(r->scale);
    void *record = taper__cuda_error_record(x->device.index);
    long long n = C, ignore = r->c->args[3].i;
    int dtype = x->dtype, slopes = r->wants, op = taper__cuda_operator_number("cross_entropy");
    taper_cuda_geometry g = {.grid = {(unsigned)rows, 1, 1}, .block = {LOSS_THREADS, 1, 1}};
    void *args[] = {&at, &targets, &losses, &scale, &n, &ignore, &dtype, &slopes, &record, &op};
    bool held = (dtype == TAPER_F16 || dtype == TAPER_BF16) && C % 8 == 0 && C * 2 <= r->held_most && !((uintptr_t)at % 16);
    if (held) g.shared_bytes = (unsigned)(C * 2);
    TAPER_TRY_GOTO(taper__cuda_launch(held ? &loss_held[dtype == TAPER_BF16] : &loss_rows[r->wide], x->device.index, &g, args, "linear_cross_entropy"));
    if (!r->wants) goto out;
    TAPER_TRY_GOTO(taper__tensor_view(&back, r->c->out[1], 2, size, strides, first * K));
    TAPER_TRY_GOTO(taper__product_fused_cuda(&(taper_product){.c = back, .batch = 1, .m = rows, .n = K, .k = C, .a = logits, .b = weight, .alpha = 1}));
    st = taper__product_fused_cuda(&(taper_product){.c = r->sum, .batch = 1, .m = C, .n = K, .k = rows, .a = {r->logits, 1, C, 0}, .b = input, .alpha = 1,
                                                    .beta = first ? 1 : 0});
out:
    taper_tensor_release(part);
    taper_tensor_release(back);
    return st;
}

static taper_status linear_cross_entropy_cuda(taper_call *c) {
    const taper_tensor *x = c->args[0].t, *w = c->args[1].t, *t = c->args[2].t;
    int64_t N = x->shape[0], K = x->shape[1], C = w->shape[0];
    loss_run r = {.c = c, .x = x, .w = w, .wants = c->out[1]->ndim == 2, .wide = x->dtype == TAPER_F64};
    taper_cuda_properties gpu = {.size = sizeof gpu};
    taper_dtype exact = r.wide ? TAPER_F64 : TAPER_F32;
    taper_tensor *cast = NULL, *sum = NULL, *total = NULL;
    taper_status st;
    if (!N || !K || !C) return linear_cross_entropy_cpu(c);
    int64_t rows = LOSS_CHUNK_BYTES / (C * (int64_t)taper_dtype_size((taper_dtype)x->dtype)) / 128 * 128, index = x->device.index;
    rows = rows < 128 ? 128 : rows > N ? N : rows;
    int64_t most[2] = {rows, C};
    TAPER_TRY_GOTO(taper_cuda_get_properties(&gpu, (int)index));
    r.held_most = (int64_t)gpu.shared_per_block_optin - 1024; /* the kernel has some of its own */
    if (w->dtype != x->dtype) {
        taper_tensor *kept = taper_leaf_copy(w, (taper_dtype)x->dtype);
        if (kept && kept->contiguous) {
            cast = taper_tensor_retain(kept);
        } else {
            TAPER_TRY_GOTO(taper__tensor_empty(&cast, (taper_dtype)x->dtype, x->device, 2, w->shape, "linear_cross_entropy"));
            TAPER_TRY_GOTO(taper__copy_data(cast, w));
        }
        r.w = cast;
    }
    TAPER_TRY_GOTO(taper__tensor_empty(&r.logits, (taper_dtype)x->dtype, x->device, 2, most, "linear_cross_entropy"));
    TAPER_TRY_GOTO(taper__tensor_empty(&r.losses, exact, x->device, 1, &N, "linear_cross_entropy"));
    TAPER_TRY_GOTO(taper__tensor_empty(&r.scale, exact, x->device, 0, NULL, "linear_cross_entropy"));
    if (w->dtype != exact) TAPER_TRY_GOTO(taper__tensor_empty(&total, exact, x->device, 0, NULL, "linear_cross_entropy"));
    r.sum = c->out[2];
    if (r.wants && w->dtype != exact && rows < N) { /* added up in float32 */
        TAPER_TRY_GOTO(taper__tensor_empty(&sum, exact, x->device, 2, w->shape, "linear_cross_entropy"));
        r.sum = sum;
    }
    void *scale = taper__data(r.scale), *targets = taper__data(t), *losses = taper__data(r.losses), *loss = taper__data(total ? total : c->out[0]);
    long long count = N, ignore = c->args[3].i;
    taper_cuda_geometry g = {.grid = {1, 1, 1}, .block = {LOSS_THREADS, 1, 1}};
    TAPER_TRY_GOTO(taper__cuda_launch(&loss_scale[r.wide], (int)index, &g, (void *[]){&scale, &targets, &count, &ignore}, "linear_cross_entropy"));
    for (int64_t first = 0; first < N; first += rows) TAPER_TRY_GOTO(loss_chunk(&r, first, N - first < rows ? N - first : rows));
    TAPER_TRY_GOTO(taper__cuda_launch(&loss_total[r.wide], (int)index, &g, (void *[]){&loss, &losses, &scale, &count}, "linear_cross_entropy"));
    if (total) TAPER_TRY_GOTO(taper__copy_data(c->out[0], total));
    if (sum) st = taper__copy_data(c->out[2], sum);
out:
    taper_tensor_release(cast);
    taper_tensor_release(sum);
    taper_tensor_release(total);
    taper_tensor_release(r.logits);
    taper_tensor_release(r.losses);
    taper_tensor_release(r.scale);
    return st;
}
static const taper_kernel linear_cross_entropy_kernels[] = {{"cpu", TAPER_CPU, NULL, linear_cross_entropy_cpu},
                                                            {"cuda", TAPER_CUDA, NULL, linear_cross_entropy_cuda}, {0}};

static taper_status linear_cross_entropy_vjp(taper_vjp *v) {
    taper_scope *s = v->scope;
    taper_tensor *g = v->grad[0], *x = v->args[0].t, *w = v->args[1].t;
    if (!g) return TAPER_OK;
    if (!taper_grad_enabled()) {
        for (int i = 0; i < 2; i++)
            if (v->need[i]) v->d[i] = tx_mul(s, v->out[1 + i], tx_to(s, g, NULL, (taper_dtype)v->out[1 + i]->dtype, false, false));
        return s->status;
    }
    taper_tensor *same = w->dtype == x->dtype ? w : tx_to(s, w, NULL, (taper_dtype)x->dtype, false, false);
    taper_tensor *d = loss_slope(s, x, same, v->args[2].t, v->args[3].i, tx_to(s, g, NULL, (taper_dtype)x->dtype, false, false), NULL);
    if (v->need[0]) v->d[0] = tx_mm(s, d, same);
    if (v->need[1]) {
        taper_tensor *dw = tx_mm(s, tx_transpose(s, d, 0, 1), x);
        v->d[1] = dw && dw->dtype != w->dtype ? tx_to(s, dw, NULL, (taper_dtype)w->dtype, false, false) : dw;
    }
    return s->status;
}

const taper_op taper_op_linear_cross_entropy = {
    .infer = linear_cross_entropy_infer,
    .kernels = linear_cross_entropy_kernels,
    .vjp = linear_cross_entropy_vjp,
    .saves = TAPER_SAVE_ARG(0) | TAPER_SAVE_ARG(1) | TAPER_SAVE_ARG(2) | TAPER_SAVE_OUT(1) | TAPER_SAVE_OUT(2),
    .contiguous = 7,
    .samples = (const taper_sample[]){{"[5,4], [7,4], [5]:i64<7"},
                                      {"[6,8], [16,8], [6]:i64=(0,3,-100,15,-100,7)"},
                                      {"[5,4], [7,4], [5]:i64<7, ignore_index=2"},
                                      {"[5,4], [7,5], [5]:i64<7", .error = "weight float32[7, 5]"},
                                      {"[5,4], [7,4], [5]:i32<7", .error = "must be int64"},
                                      {0}},
};
