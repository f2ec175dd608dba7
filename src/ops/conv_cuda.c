/* Convolution on the GPU by the library's own kernels: a gathered matrix product, and plain windows for depthwise ones. */
#include "ops/conv_cuda.h"

#include "device/cuda/cuda.h"

enum { CONV_BLOCKS = 264, CONV_PARTIAL_BYTES = 128 << 20 };

static taper_cuda_kernel conv_products[4] = {TAPER_CUDA_KERNEL("conv", "conv_f32"), TAPER_CUDA_KERNEL("conv", "conv_f64"),
                                             TAPER_CUDA_KERNEL("conv", "conv_f16"), TAPER_CUDA_KERNEL("conv", "conv_bf16")};
static taper_cuda_kernel conv_joins[2] = {TAPER_CUDA_KERNEL("conv", "conv_join_f32"), TAPER_CUDA_KERNEL("conv", "conv_join_f64")};
static taper_cuda_kernel conv_planes[3][2] = {
    {TAPER_CUDA_KERNEL("conv_plane", "conv_plane_forward_f32"), TAPER_CUDA_KERNEL("conv_plane", "conv_plane_forward_f64")},
    {TAPER_CUDA_KERNEL("conv_plane", "conv_plane_input_f32"), TAPER_CUDA_KERNEL("conv_plane", "conv_plane_input_f64")},
    {TAPER_CUDA_KERNEL("conv_plane", "conv_plane_weight_f32"), TAPER_CUDA_KERNEL("conv_plane", "conv_plane_weight_f64")}};

static int64_t conv_ceil(int64_t a, int64_t b) { return (a + b - 1) / b; }
static unsigned conv_grid(int64_t blocks) { return (unsigned)(blocks < 1 << 30 ? blocks : 1 << 30); }

/* Strides of four dims; an input without a batch dim has one image. */
static void conv_strides(int64_t *to, const taper_tensor *t) {
    int lead = 4 - t->ndim;
    for (int d = 0; d < 4; d++) to[d] = d < lead ? 0 : t->strides[d - lead];
}

static taper_status conv_plane_run(taper_conv_product product, const taper_conv *g, const taper_conv_layout *l, const taper_tensor *x,
                                   const taper_tensor *w, const taper_tensor *bias, const taper_tensor *y, const char *op) {
    const taper_tensor *target = product == TAPER_CONV_FORWARD ? y : product == TAPER_CONV_INPUT ? x : w;
    taper_conv_plane_args a = {.x = taper__data(x), .w = taper__data(w), .dy = taper__data(y), .bias = bias ? taper__data(bias) : NULL,
                               .out = taper__data(target), .n = g->n, .channels = g->c, .per = g->o / g->c, .h = g->h, .width = g->w, .oh = g->oh,
                               .ow = g->ow, .w_step = {l->w[0], l->w[2], l->w[3]}, .kh = (int)g->kh, .kw = (int)g->kw, .dtype = target->dtype};
    for (int d = 0; d < 4; d++) a.x_step[d] = l->x[d], a.y_step[d] = l->y[d];
    for (int d = 0; d < 2; d++) a.stride[d] = (int)g->stride[d], a.padding[d] = (int)g->padding[d], a.dilation[d] = (int)g->dilation[d];
    int64_t blocks = product == TAPER_CONV_WEIGHT ? g->o * g->kh * g->kw : conv_ceil(target->numel, 256);
    taper_cuda_geometry geometry = {.grid = {conv_grid(blocks), 1, 1}, .block = {256, 1, 1}};
    void *args[] = {&a};
    return taper__cuda_launch(&conv_planes[product][target->dtype == TAPER_F64], target->device.index, &geometry, args, op);
}

taper_status taper__conv_cuda(taper_conv_product product, const taper_conv *g, const taper_tensor *x, const taper_tensor *w,
                              const taper_tensor *bias, const taper_tensor *y, const char *op) {
    const taper_tensor *target = product == TAPER_CONV_FORWARD ? y : product == TAPER_CONV_INPUT ? x : w;
    taper_conv_layout l;
    taper_conv_args p;
    void *partial = NULL;
    if (!target->numel) return TAPER_OK;
    conv_strides(l.x, x);
    conv_strides(l.w, w);
    conv_strides(l.y, y);
    if (g->groups > 1 && g->groups == g->c && g->o) return conv_plane_run(product, g, &l, x, w, bias, y, op);
    taper__conv_describe(&p, product, g, &l);
    p.a = taper__data(product == TAPER_CONV_WEIGHT ? y : w);
    p.b = taper__data(product == TAPER_CONV_INPUT ? y : x);
    p.out = taper__data(target);
    p.bias = bias ? taper__data(bias) : NULL;
    p.dtype = target->dtype;
    taper__conv_widen(&p, product);
    int wide = p.dtype == TAPER_F64, which = wide ? 1 : p.dtype == TAPER_F16 ? 2 : p.dtype == TAPER_BF16 ? 3 : 0, index = target->device.index;
    int64_t sum_bytes = wide ? 8 : 4, parts = taper__conv_parts(&p, CONV_BLOCKS, sum_bytes, CONV_PARTIAL_BYTES);
    int64_t tiles = conv_ceil(p.cols, TAPER_CONV_COLS), lines = conv_ceil(p.rows, TAPER_CONV_ROWS);
    if (lines > 65535 || p.groups * parts > 65535 || tiles > INT32_MAX)
        return TAPER_FAIL(TAPER_NOT_IMPLEMENTED, "%s: %lld groups of %lld channels and %lld positions are more than the GPU kernel takes", op,
                          (long long)p.groups, (long long)p.rows, (long long)p.cols);
    size_t bytes = (size_t)(parts * p.groups * p.rows * p.cols * sum_bytes);
    if (parts > 1) TAPER_TRY(taper__memory_alloc(&partial, bytes, target->device, op));
    p.partial = partial;
    taper_cuda_geometry geometry = {.grid = {(unsigned)tiles, (unsigned)lines, (unsigned)(p.groups * parts)}, .block = {TAPER_CONV_THREADS, 1, 1}};
    int count = (int)parts;
    void *args[] = {&p, &count};
    taper_status st = taper__cuda_launch(&conv_products[which], index, &geometry, args, op);
    if (partial) {
        geometry = (taper_cuda_geometry){.grid = {conv_grid(conv_ceil(p.groups * p.rows * p.cols, 256)), 1, 1}, .block = {256, 1, 1}};
        if (st == TAPER_OK) st = taper__cuda_launch(&conv_joins[wide], index, &geometry, args, op);
        taper__memory_free(partial, bytes, target->device);
    }
    return st;
}

static taper_cuda_kernel conv_bias[2] = {TAPER_CUDA_KERNEL("conv_plane", "conv_bias_f32"), TAPER_CUDA_KERNEL("conv_plane", "conv_bias_f64")};

taper_status taper__conv_add_bias(taper_tensor *y, const taper_tensor *bias, const char *op) {
    taper_conv_plane_args a = {.bias = taper__data(bias), .out = taper__data(y), .n = y->ndim == 4 ? y->shape[0] : 1, .channels = bias->numel, .per = 1,
                               .oh = y->shape[y->ndim - 2], .ow = y->shape[y->ndim - 1], .dtype = y->dtype};
    conv_strides(a.y_step, y);
    taper_cuda_geometry geometry = {.grid = {conv_grid(conv_ceil(y->numel, 256)), 1, 1}, .block = {256, 1, 1}};
    void *args[] = {&a};
    return taper__cuda_launch(&conv_bias[y->dtype == TAPER_F64], y->device.index, &geometry, args, op);
}

static taper_cuda_kernel conv_patches[2][2] = {{TAPER_CUDA_KERNEL("patches", "patches_take_f32"), TAPER_CUDA_KERNEL("patches", "patches_take_f64")},
                                               {TAPER_CUDA_KERNEL("patches", "patches_add_f32"), TAPER_CUDA_KERNEL("patches", "patches_add_f64")}};

taper_status taper__patches_cuda(bool add, const taper_conv *g, const taper_tensor *images, const taper_tensor *columns, const char *op) {
    const taper_tensor *to = add ? images : columns;
    taper_patches_args a = {.from = taper__data(add ? columns : images), .to = taper__data(to), .n = g->n, .c = (int)g->c, .h = (int)g->h,
                            .w = (int)g->w, .kh = (int)g->kh, .kw = (int)g->kw, .oh = (int)g->oh, .ow = (int)g->ow, .dtype = to->dtype};
    if (!to->numel) return TAPER_OK;
    for (int d = 0; d < 2; d++) a.stride[d] = (int)g->stride[d], a.padding[d] = (int)g->padding[d], a.dilation[d] = (int)g->dilation[d];
    taper_cuda_geometry geometry = {.grid = {conv_grid(conv_ceil(to->numel, 256)), 1, 1}, .block = {256, 1, 1}};
    void *args[] = {&a};
    return taper__cuda_launch(&conv_patches[add][to->dtype == TAPER_F64], to->device.index, &geometry, args, op);
}
