/* Attention on the GPU by cuDNN, where it is there: when it is asked, and the way back to the library's own kernels. */
#include "device/cuda/dnn.h"
#include "ops/attention_cuda.h"

/* Multiplications and additions below which a kernel of the library's own is as good: a plan of cuDNN's takes a third of a
 * second to make, for each length anew, which a program that writes text a token at a time would pay at each of them. */
static const double attention_dnn_least = 4e9, attention_dnn_least_odd = 1.6e10;
enum { ATTENTION_DNN_LENGTH = 64 }; /* lengths that are no multiples of it are odd ones */

bool taper__attention_dnn_worth(taper_dtype dtype, int64_t heads, int64_t L, int64_t S, int64_t E, int64_t V, const char **why) {
    if (dtype != TAPER_F16 && dtype != TAPER_BF16) {
        *why = "attention of cuDNN takes float16 and bfloat16";
        return false;
    }
    double least = L % ATTENTION_DNN_LENGTH || S % ATTENTION_DNN_LENGTH ? attention_dnn_least_odd : attention_dnn_least;
    if (2.0 * (double)heads * (double)L * (double)S * (double)(E + V) >= least) return true;
    *why = "small ones are left to the library's own kernels";
    return false;
}

static void attention_dnn_strides(int64_t *to, const taper_tensor *t) {
    if (t) memcpy(to, t->strides, 4 * sizeof *to);
}

/* gradients: dout, dq, dk, dv */
static void attention_dnn_describe(taper_cudnn_attention *d, const taper_attention *a, const taper_tensor *out, const taper_tensor *const *gradients) {
    memset(d, 0, sizeof *d); /* compared as bytes */
    d->B = a->B, d->H = a->H, d->K = a->H / a->G, d->L = a->L, d->S = a->S, d->E = a->E, d->V = a->V;
    attention_dnn_strides(d->q, a->q), attention_dnn_strides(d->k, a->k), attention_dnn_strides(d->v, a->v), attention_dnn_strides(d->out, out);
    d->dtype = a->q->dtype, d->causal = a->causal, d->backward = gradients != NULL;
    if (!gradients) return;
    attention_dnn_strides(d->dout, gradients[0]), attention_dnn_strides(d->dq, gradients[1]);
    attention_dnn_strides(d->dk, gradients[2]), attention_dnn_strides(d->dv, gradients[3]);
}

static bool attention_dnn_aligned(const taper_tensor *t) { return !t || !t->storage || (uintptr_t)taper__data(t) % 16 == 0; }

bool taper__attention_dnn_takes(const taper_attention *a, double dropout, const taper_tensor *out, const taper_tensor *const *gradients, const char **why) {
    char reason[256];
    taper_cudnn_attention d;
    if (a->mask || dropout != 0) {
        *why = "a mask or dropout is left to the library's own kernels";
        return false;
    }
    if (!taper__attention_dnn_worth((taper_dtype)a->q->dtype, a->B * a->H, a->L, a->S, a->E, a->V, why)) return false;
    if (!taper__cudnn(reason, sizeof reason)) {
        *why = "cuDNN cannot be used here (taper version -v says why)";
        return false;
    }
    bool aligned = attention_dnn_aligned(a->q) && attention_dnn_aligned(a->k) && attention_dnn_aligned(a->v) && attention_dnn_aligned(out);
    for (int i = 0; gradients && i < 4; i++) aligned = aligned && attention_dnn_aligned(gradients[i]);
    if (!aligned) {
        *why = "attention of cuDNN needs data that begin at multiples of 16 bytes";
        return false;
    }
    attention_dnn_describe(&d, a, out, gradients);
    return taper__cudnn_attention_takes(&d, taper__cudnn_version(), taper__cuda_capability(a->q->device.index), why);
}

/* No plan, or no memory for its workspace: the library's own kernels need none. */
static bool attention_dnn_declined(taper_status st, const char *op) {
    if (st != TAPER_NOT_IMPLEMENTED && st != TAPER_MEMORY) return false;
    taper__log("dispatch", "%s: cudnn declines: %s", op, taper_error_message());
    return true;
}

taper_status taper__attention_dnn(const taper_attention *a, taper_tensor *out, taper_tensor *logsumexp) {
    taper_cudnn_attention d;
    taper_cudnn_attention_data data = {.q = taper__data(a->q), .k = taper__data(a->k), .v = taper__data(a->v), .out = taper__data(out),
                                       .logsumexp = taper__data(logsumexp), .scale = (float)a->scale};
    attention_dnn_describe(&d, a, out, NULL);
    taper_status st = taper__cudnn_attention(&d, &data, out->device.index, "flash_attention");
    return attention_dnn_declined(st, "flash_attention") ? taper__attention_cuda(a, (taper_attention_dropout){0}, out, logsumexp) : st;
}

taper_status taper__attention_backward_dnn(const taper_attention *a, const taper_tensor *dout, const taper_tensor *out, const taper_tensor *logsumexp,
                                           taper_tensor *dq, taper_tensor *dk, taper_tensor *dv) {
    const char *op = "flash_attention_backward";
    taper_cudnn_attention d;
    taper_tensor *lengths[2] = {NULL};
    taper_cudnn_attention_data data = {.q = taper__data(a->q), .k = taper__data(a->k), .v = taper__data(a->v), .out = taper__data(out),
                                       .logsumexp = taper__data(logsumexp), .dout = taper__data(dout), .dq = taper__data(dq),
                                       .dk = taper__data(dk), .dv = taper__data(dv), .scale = (float)a->scale};
    taper_status st = TAPER_OK;
    attention_dnn_describe(&d, a, out, (const taper_tensor *const[]){dout, dq, dk, dv});
    if (taper__cudnn_attention_needs_lengths(&d, taper__cudnn_version())) {
        for (int i = 0; i < 2 && st == TAPER_OK; i++) {
            st = taper__tensor_empty(&lengths[i], TAPER_I32, dq->device, 1, &a->B, op);
            if (st == TAPER_OK) st = taper__fill_cuda(lengths[i], taper_int(i ? a->S : a->L));
        }
        if (st == TAPER_OK) data.queries = taper__data(lengths[0]), data.keys = taper__data(lengths[1]);
    }
    if (st == TAPER_OK) st = taper__cudnn_attention(&d, &data, dq->device.index, op);
    taper_tensor_release(lengths[0]), taper_tensor_release(lengths[1]);
    return attention_dnn_declined(st, op) ? taper__attention_backward_cuda(a, (taper_attention_dropout){0}, dout, out, logsumexp, dq, dk, dv) : st;
}
