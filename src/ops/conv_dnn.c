/* Convolution on the GPU by cuDNN, where it is there: layouts it takes, and the way back to the library's own kernels. */
#include "device/cuda/dnn.h"
#include "ops/conv_cuda.h"

bool taper__conv_dnn_supports(const taper_call *c, const char **why) {
    char reason[256];
    const taper_tensor *out = c->out[0];
    if (!taper__cudnn(reason, sizeof reason)) {
        *why = "cuDNN cannot be used here (taper version -v says why)";
        return false;
    }
    if (out->dtype == TAPER_F64) {
        *why = "float64 is left to the library's own kernels";
        return false;
    }
    if (!out->numel) {
        *why = "the result is empty";
        return false;
    }
    return true;
}

static bool conv_dnn_is_last(const taper_tensor *t) {
    return t->ndim == 4 && !t->contiguous && taper__is_channels_last(4, t->shape, t->strides);
}

/* t as cuDNN takes it: dense, aligned, channels last or first; *copy is a new tensor where t is not, filled when `read`. */
static taper_status conv_dnn_use(taper_tensor **use, taper_tensor **copy, taper_tensor *t, bool last, bool read, const char *op) {
    int64_t strides[4];
    bool aligned = (uintptr_t)taper__data(t) % 16 == 0;
    *use = t;
    if (last) taper__channels_last_strides(4, t->shape, strides);
    if (aligned && (last ? !memcmp(strides, t->strides, sizeof strides) : t->contiguous)) return TAPER_OK;
    TAPER_TRY(last ? taper__tensor_empty_strided(copy, (taper_dtype)t->dtype, t->device, 4, t->shape, strides, op)
                   : taper__tensor_empty(copy, (taper_dtype)t->dtype, t->device, t->ndim, t->shape, op));
    *use = *copy;
    return read ? taper__copy_data(*copy, t) : TAPER_OK;
}

static void conv_dnn_sizes(int64_t *sizes, int64_t *strides, const taper_tensor *t) {
    int lead = 4 - t->ndim;
    for (int d = 0; d < 4; d++) {
        sizes[d] = d < lead ? 1 : t->shape[d - lead];
        strides[d] = d < lead ? t->numel : t->strides[d - lead];
    }
}

taper_status taper__conv_dnn(taper_conv_product product, const taper_conv *g, taper_tensor *x, taper_tensor *w, const taper_tensor *bias,
                             taper_tensor *y, const char *op) {
    taper_tensor *given[3] = {x, w, y}, *use[3] = {x, w, y}, *copy[3] = {NULL}, *target = product == TAPER_CONV_FORWARD ? y : product == TAPER_CONV_INPUT ? x : w;
    bool last = conv_dnn_is_last(product == TAPER_CONV_INPUT ? y : x), depthwise = g->groups > 1 && g->groups == g->c;
    taper_cudnn_conv c;
    taper_status st = TAPER_OK;
    if (depthwise || !x->numel || !w->numel || !y->numel) return taper__conv_cuda(product, g, x, w, bias, y, op);
    for (int k = 0; k < 3; k++) TAPER_TRY_GOTO(conv_dnn_use(&use[k], &copy[k], given[k], last, given[k] != target, op));
    memset(&c, 0, sizeof c);
    c.product = (int32_t)product, c.dtype = target->dtype;
    conv_dnn_sizes(c.x, c.x_strides, use[0]);
    conv_dnn_sizes(c.w, c.w_strides, use[1]);
    conv_dnn_sizes(c.y, c.y_strides, use[2]);
    for (int d = 0; d < 2; d++) c.stride[d] = g->stride[d], c.padding[d] = g->padding[d], c.dilation[d] = g->dilation[d];
    st = taper__cudnn_conv(&c, taper__data(use[0]), taper__data(use[1]), taper__data(use[2]), target->device.index, op);
    if (st == TAPER_NOT_IMPLEMENTED) {
        st = taper__conv_cuda(product, g, x, w, bias, y, op);
        goto out;
    }
    for (int k = 0; st == TAPER_OK && k < 3; k++)
        if (copy[k] && given[k] == target) st = taper__copy_data(target, copy[k]);
    if (st == TAPER_OK && bias) st = taper__conv_add_bias(y, bias, op);
out:
    for (int k = 0; k < 3; k++) taper_tensor_release(copy[k]);
    return st;
}
