/* cross_entropy and nll_loss of class indices on the GPU. A class out of range is raised when the host next waits. */
#include "device/cuda/cuda.h"
#include "ops/class_loss.h"

static taper_cuda_kernel class_rows[2][3] = {{TAPER_CUDA_KERNEL("class_loss", "class_loss_f32"), TAPER_CUDA_KERNEL("class_loss", "class_loss_bf16"),
                                              TAPER_CUDA_KERNEL("class_loss", "class_loss_f16")},
                                             {TAPER_CUDA_KERNEL("class_loss", "class_loss_backward_f32"), TAPER_CUDA_KERNEL("class_loss", "class_loss_backward_bf16"),
                                              TAPER_CUDA_KERNEL("class_loss", "class_loss_backward_f16")}};
static taper_cuda_kernel class_strided[2] = {TAPER_CUDA_KERNEL("class_loss", "class_loss_strided_f32"), TAPER_CUDA_KERNEL("class_loss", "class_loss_strided_f64")};
static taper_cuda_kernel class_pick = TAPER_CUDA_KERNEL("class_loss", "class_loss_pick"), class_total = TAPER_CUDA_KERNEL("class_loss", "class_loss_total");

static taper_cuda_geometry class_geometry(int64_t n, unsigned threads) {
    return (taper_cuda_geometry){.grid = {(unsigned)((n + threads - 1) / threads), 1, 1}, .block = {threads, 1, 1}};
}

/* Losses and weights of the positions are in the workspace. */
static taper_status class_sum(taper_call *c, taper_tensor *total, int64_t positions, taper_reduction r, const char *op) {
    void *out = taper__data(c->out[0]), *to = taper__data(total);
    double *losses = c->workspace, *weights = losses + positions;
    long long n = positions;
    int dtype = c->out[0]->dtype, total_dtype = total->dtype, reduce = r == TAPER_LOSS_NONE ? 0 : r == TAPER_LOSS_MEAN ? 1 : 2;
    taper_cuda_geometry g = {.grid = {1, 1, 1}, .block = {1024, 1, 1}};
    void *args[] = {&out, &to, &losses, &weights, &n, &dtype, &total_dtype, &reduce};
    return taper__cuda_launch(&class_total, c->device.index, &g, args, op);
}

/* g and total NULL: forward. */
static taper_status class_entropy(taper_call *c, const taper_tensor *input, const taper_tensor *t, const taper_tensor *weight, taper_tensor *lse_,
                                  const taper_tensor *g_, const taper_tensor *total_, int64_t ignore_, taper_reduction r, double smoothing) {
    taper_class_shape s;
    TAPER_TRY(taper__class_shape(&s, c, input, t, weight));
    void *out = taper__data(c->out[0]), *x = taper__data(input), *target = taper__data(t), *w = weight ? taper__data(weight) : NULL, *lse = taper__data(lse_);
    void *g = g_ ? taper__data(g_) : NULL, *total = total_ ? taper__data(total_) : NULL, *record = taper__cuda_error_record(c->device.index);
    double *losses = c->workspace, *weights = losses ? losses + s.positions : NULL;
    long long n = s.classes, positions = s.positions, inner = s.inner, ignore = ignore_;
    int dtype = input->dtype, mean = r == TAPER_LOSS_MEAN, none = r == TAPER_LOSS_NONE, backward = g_ != NULL, op = taper__cuda_operator_number("cross_entropy");
    int type = dtype == TAPER_F32 ? 0 : dtype == TAPER_BF16 ? 1 : dtype == TAPER_F16 ? 2 : -1;
    if (!positions || !n) return TAPER_OK;
    bool alike = !backward || (uintptr_t)out % 16 == (uintptr_t)x % 16;
    if (s.inner == 1 && type >= 0 && alike) {
        taper_cuda_geometry rows = {.grid = {(unsigned)positions, 1, 1}, .block = {512, 1, 1}};
        void *there[] = {&out, &x, &target, &w, &lse, &losses, &weights, &n, &ignore, &smoothing, &none, &record, &op};
        void *back[] = {&out, &x, &target, &w, &lse, &g, &total, &n, &ignore, &smoothing, &mean, &none, &record, &op};
        return taper__cuda_launch(&class_rows[backward][type], c->device.index, &rows, backward ? back : there, "cross_entropy");
    }
    taper_cuda_geometry each = class_geometry(positions, 128);
    void *args[] = {&out, &x, &target, &w, &lse, &losses, &weights, &g, &total, &positions, &n, &inner, &ignore, &smoothing, &mean, &none, &dtype, &backward, &record, &op};
    return taper__cuda_launch(&class_strided[dtype == TAPER_F64], c->device.index, &each, args, "cross_entropy");
}

taper_status taper__cross_entropy_cuda(taper_call *c) {
    taper_reduction r;
    TAPER_TRY(taper__reduction(&r, &c->args[4], "cross_entropy"));
    TAPER_TRY(class_entropy(c, c->args[0].t, c->args[1].t, TAPER_ARG_T(c, 2), c->out[1], NULL, NULL, c->args[3].i, r, c->args[5].f));
    return class_sum(c, c->out[2], c->args[1].t->numel, r, "cross_entropy");
}
/* The kernels read statistics in float32 (float64 with float64 logits) and the gradient in the dtype of the logits. */
taper_status taper__cross_entropy_backward_cuda(taper_call *c) {
    taper_reduction r;
    taper_scope s = TAPER_SCOPE;
    TAPER_TRY(taper__reduction(&r, &c->args[7], "cross_entropy"));
    taper_dtype dtype = (taper_dtype)c->args[1].t->dtype, wide = dtype == TAPER_F64 ? TAPER_F64 : TAPER_F32;
    taper_tensor *g = tx_to(&s, c->args[0].t, NULL, dtype, false, false), *lse = tx_to(&s, c->args[4].t, NULL, wide, false, false);
    taper_tensor *total = tx_to(&s, c->args[5].t, NULL, wide, false, false);
    if (s.status == TAPER_OK)
        s.status = class_entropy(c, c->args[1].t, c->args[2].t, TAPER_ARG_T(c, 3), lse, g, total, c->args[6].i, r, c->args[8].f);
    return taper_scope_end(&s);
}

static taper_status class_nll(taper_call *c, const taper_tensor *like, const taper_tensor *x_, const taper_tensor *t, const taper_tensor *weight,
                              const taper_tensor *g_, const taper_tensor *total_, int64_t ignore_, taper_reduction r) {
    taper_class_shape s;
    TAPER_TRY(taper__class_shape(&s, c, like, t, weight));
    void *out = taper__data(c->out[0]), *x = x_ ? taper__data(x_) : NULL, *target = taper__data(t), *w = weight ? taper__data(weight) : NULL;
    void *g = g_ ? taper__data(g_) : NULL, *total = total_ ? taper__data(total_) : NULL, *record = taper__cuda_error_record(c->device.index);
    double *losses = c->workspace, *weights = losses ? losses + s.positions : NULL;
    long long n = s.classes, positions = s.positions, inner = s.inner, ignore = ignore_;
    int mean = r == TAPER_LOSS_MEAN, none = r == TAPER_LOSS_NONE, dtype = like->dtype, g_dtype = g_ ? g_->dtype : 0, total_dtype = total_ ? total_->dtype : 0;
    int backward = g_ != NULL, op = taper__cuda_operator_number("nll_loss");
    taper_cuda_geometry each = class_geometry(positions, 256);
    void *args[] = {&out, &x, &target, &w, &losses, &weights, &g, &total, &positions, &n, &inner, &ignore, &mean, &none, &dtype, &g_dtype, &total_dtype, &backward, &record, &op};
    return taper__cuda_launch(&class_pick, c->device.index, &each, args, "nll_loss");
}
taper_status taper__nll_loss_cuda(taper_call *c) {
    taper_reduction r;
    TAPER_TRY(taper__reduction(&r, &c->args[4], "nll_loss"));
    TAPER_TRY(class_nll(c, c->args[0].t, c->args[0].t, c->args[1].t, TAPER_ARG_T(c, 2), NULL, NULL, c->args[3].i, r));
    return class_sum(c, c->out[1], c->args[1].t->numel, r, "nll_loss");
}
taper_status taper__nll_loss_backward_cuda(taper_call *c) {
    taper_reduction r;
    taper_tensor *d = c->out[0];
    TAPER_TRY(taper__reduction(&r, &c->args[5], "nll_loss"));
    if (!d->numel) return TAPER_OK;
    TAPER_TRY(taper__cuda_memory_set(taper__data(d), 0, (size_t)d->numel * taper_dtype_size((taper_dtype)d->dtype), c->device.index));
    return class_nll(c, d, NULL, c->args[2].t, TAPER_ARG_T(c, 3), c->args[0].t, c->args[6].t, c->args[4].i, r);
}
