/* im2col and col2im (F.unfold and F.fold), and the shuffles between channels and pixels. */
#include "ops/conv_cuda.h"

static void patches_pair(int64_t out[2], const taper_arg *a) {
    out[0] = a->kind == TAPER_ARG_INT ? a->i : a->count ? a->is[0] : 1;
    out[1] = a->kind == TAPER_ARG_INT ? a->i : a->count ? a->is[a->count - 1] : 1;
}

/* args from k: kernel_size, dilation, padding, stride. */
static taper_status patches_read(taper_conv *g, const taper_arg *args, const char *op) {
    int64_t kernel[2];
    patches_pair(kernel, &args[0]);
    patches_pair(g->dilation, &args[1]);
    patches_pair(g->padding, &args[2]);
    patches_pair(g->stride, &args[3]);
    g->kh = kernel[0], g->kw = kernel[1], g->groups = 1;
    for (int d = 0; d < 2; d++)
        if (kernel[d] <= 0 || g->dilation[d] <= 0 || g->padding[d] < 0 || g->stride[d] <= 0)
            return TAPER_FAIL(TAPER_RUNTIME, "%s: kernel size, dilation and stride should be greater than zero and padding non-negative, but got "
                              "kernel_size=%s dilation=%s padding=%s stride=%s", op, taper__shape_text(2, kernel).s,
                              taper__shape_text(2, g->dilation).s, taper__shape_text(2, g->padding).s, taper__shape_text(2, g->stride).s);
    for (int d = 0; d < 2; d++)
        if (kernel[d] > INT32_MAX || g->dilation[d] > INT32_MAX || g->padding[d] > INT32_MAX || g->stride[d] > INT32_MAX || g->h > INT32_MAX || g->w > INT32_MAX)
            return TAPER_FAIL(TAPER_RUNTIME, "%s: sizes beyond 32 bits: kernel_size=%s dilation=%s padding=%s stride=%s", op, taper__shape_text(2, kernel).s,
                              taper__shape_text(2, g->dilation).s, taper__shape_text(2, g->padding).s, taper__shape_text(2, g->stride).s);
    g->oh = (g->h + 2 * g->padding[0] - g->dilation[0] * (g->kh - 1) - 1);
    g->ow = (g->w + 2 * g->padding[1] - g->dilation[1] * (g->kw - 1) - 1);
    bool none = g->oh < 0 || g->ow < 0;
    g->oh = none ? 0 : g->oh / g->stride[0] + 1;
    g->ow = none ? 0 : g->ow / g->stride[1] + 1;
    if (none)
        return TAPER_FAIL(TAPER_RUNTIME,
                          "Given input with spatial size (%lld, %lld), kernel_size=%s, dilation=%s, padding=%s, calculated shape of the array of "
                          "sliding blocks as (%lld, %lld), but its components must be at least one.", (long long)g->h, (long long)g->w,
                          taper__shape_text(2, kernel).s, taper__shape_text(2, g->dilation).s, taper__shape_text(2, g->padding).s,
                          (long long)g->oh, (long long)g->ow);
    return TAPER_OK;
}

typedef struct patches_job {
    const taper_conv *g;
    const taper_conv_loops *loops;
    int type;
    char *image, *columns;
    int64_t image_bytes, columns_bytes;
} patches_job;

static void patches_take(void *ctx, int64_t begin, int64_t end) {
    const patches_job *j = ctx;
    for (int64_t n = begin; n < end; n++) {
        taper_columns t = {j->g, 0, 0, j->g->c * j->g->kh * j->g->kw, 0, j->g->oh * j->g->ow};
        j->loops->take[j->type](&t, j->image + n * j->image_bytes, j->columns + n * j->columns_bytes);
    }
}
static void patches_add(void *ctx, int64_t begin, int64_t end) {
    const patches_job *j = ctx;
    for (int64_t n = begin; n < end; n++) {
        taper_columns t = {j->g, 0, 0, j->g->c * j->g->kh * j->g->kw, 0, j->g->oh * j->g->ow};
        memset(j->image + n * j->image_bytes, 0, (size_t)j->image_bytes);
        j->loops->add[j->type](&t, j->image + n * j->image_bytes, j->columns + n * j->columns_bytes);
    }
}

static taper_status patches_run(const taper_conv *g, const taper_tensor *image, const taper_tensor *columns, taper_range_fn fn) {
    int64_t size = image->dtype == TAPER_F64 ? 8 : 4;
    patches_job j = {g, TAPER_SIMD_PICK(taper__conv_loops), size == 8, taper__data(image), taper__data(columns), g->c * g->h * g->w * size,
                     g->c * g->kh * g->kw * g->oh * g->ow * size};
    taper__parallel_for(g->n, 1, fn, &j);
    return TAPER_OK;
}

/* ---- im2col ---- */

static taper_status im2col_read(taper_conv *g, const taper_call *c) {
    const taper_tensor *x = c->args[0].t;
    if (x->ndim != 3 && x->ndim != 4)
        return TAPER_FAIL(TAPER_RUNTIME, "Expected 3D or 4D (batch mode) tensor with possibly 0 batch size and other non-zero dimensions for input, "
                          "but got: %s", TAPER_SHAPE(x));
    *g = (taper_conv){.n = x->ndim == 4 ? x->shape[0] : 1, .c = x->shape[x->ndim - 3], .h = x->shape[x->ndim - 2], .w = x->shape[x->ndim - 1]};
    return patches_read(g, c->args + 1, "im2col");
}
static taper_status im2col_infer(taper_call *c) {
    taper_conv g;
    const taper_tensor *x = c->args[0].t;
    TAPER_TRY(im2col_read(&g, c));
    TAPER_TRY(taper__need_float(x, "im2col"));
    int64_t shape[3] = {g.n, g.c * g.kh * g.kw, g.oh * g.ow};
    return taper__out(c, 0, (taper_dtype)x->dtype, x->ndim - 1, shape + (x->ndim == 3));
}
static taper_status im2col_cpu(taper_call *c) {
    taper_conv g;
    TAPER_TRY(im2col_read(&g, c));
    return patches_run(&g, c->args[0].t, c->out[0], patches_take);
}
static taper_status im2col_cuda(taper_call *c) {
    taper_conv g;
    TAPER_TRY(im2col_read(&g, c));
    return taper__patches_cuda(false, &g, c->args[0].t, c->out[0], "im2col");
}
static const taper_kernel im2col_kernels[] = {{"cpu", TAPER_CPU, NULL, im2col_cpu}, {"cuda", TAPER_CUDA, NULL, im2col_cuda}, {0}};
static taper_status im2col_vjp(taper_vjp *v) {
    const taper_tensor *x = v->args[0].t;
    int64_t n[4][2];
    for (int k = 0; k < 4; k++) patches_pair(n[k], &v->args[1 + k]);
    v->d[0] = tx_col2im(v->scope, v->grad[0], x->shape + x->ndim - 2, 2, n[0], 2, n[1], 2, n[2], 2, n[3], 2);
    return v->scope->status;
}
const taper_op taper_op_im2col = {
    .infer = im2col_infer,
    .kernels = im2col_kernels,
    .vjp = im2col_vjp,
    .contiguous = 1 << 0,
    .upcast = true,
    .samples = (const taper_sample[]){{"[2,3,4,5], (2,3), (1,1), (0,1), (2,1)"},
                                      {"[2,5,5], (2,2), (2,1), (1,1), (1,2)"},
                                      {"[1,1,4,4], (5,5), (1,1), (0,0), (1,1)", .error = "Given input with spatial size (4, 4), kernel_size=[5, 5]"},
                                      {0}},
};

/* ---- col2im ---- */

static taper_status col2im_read(taper_conv *g, const taper_call *c) {
    const taper_tensor *x = c->args[0].t;
    int64_t size[2];
    if (x->ndim != 2 && x->ndim != 3)
        return TAPER_FAIL(TAPER_RUNTIME, "Expected 2D or 3D (batch mode) tensor for input with possibly 0 batch size and non-zero dimensions for "
                          "input, but got: %s", TAPER_SHAPE(x));
    patches_pair(size, &c->args[1]);
    *g = (taper_conv){.n = x->ndim == 3 ? x->shape[0] : 1, .h = size[0], .w = size[1]};
    TAPER_TRY(patches_read(g, c->args + 2, "col2im"));
    int64_t rows = x->shape[x->ndim - 2], cols = x->shape[x->ndim - 1], kernel[2] = {g->kh, g->kw};
    if (rows % (g->kh * g->kw))
        return TAPER_FAIL(TAPER_RUNTIME, "Expected size of input's dimension 1 to be divisible by the product of kernel_size, but got "
                          "input.size(1)=%lld and kernel_size=%s.", (long long)rows, taper__shape_text(2, kernel).s);
    if (cols != g->oh * g->ow)
        return TAPER_FAIL(TAPER_RUNTIME,
                          "Given output_size=%s, kernel_size=%s, dilation=%s, padding=%s, stride=%s, expected size of input's dimension 2 to match "
                          "the calculated number of sliding blocks %lld * %lld = %lld, but got input.size(2)=%lld.", taper__shape_text(2, size).s,
                          taper__shape_text(2, kernel).s, taper__shape_text(2, g->dilation).s, taper__shape_text(2, g->padding).s,
                          taper__shape_text(2, g->stride).s, (long long)g->oh, (long long)g->ow, (long long)(g->oh * g->ow), (long long)cols);
    g->c = rows / (g->kh * g->kw);
    return TAPER_OK;
}
static taper_status col2im_infer(taper_call *c) {
    taper_conv g;
    const taper_tensor *x = c->args[0].t;
    TAPER_TRY(col2im_read(&g, c));
    TAPER_TRY(taper__need_float(x, "col2im"));
    int64_t shape[4] = {g.n, g.c, g.h, g.w};
    return taper__out(c, 0, (taper_dtype)x->dtype, x->ndim + 1, shape + (x->ndim == 2));
}
static taper_status col2im_cpu(taper_call *c) {
    taper_conv g;
    TAPER_TRY(col2im_read(&g, c));
    return patches_run(&g, c->out[0], c->args[0].t, patches_add);
}
static taper_status col2im_cuda(taper_call *c) {
    taper_conv g;
    TAPER_TRY(col2im_read(&g, c));
    return taper__patches_cuda(true, &g, c->out[0], c->args[0].t, "col2im");
}
static const taper_kernel col2im_kernels[] = {{"cpu", TAPER_CPU, NULL, col2im_cpu}, {"cuda", TAPER_CUDA, NULL, col2im_cuda}, {0}};
static taper_status col2im_vjp(taper_vjp *v) {
    int64_t n[4][2];
    for (int k = 0; k < 4; k++) patches_pair(n[k], &v->args[2 + k]);
    v->d[0] = tx_im2col(v->scope, v->grad[0], n[0], 2, n[1], 2, n[2], 2, n[3], 2);
    return v->scope->status;
}
const taper_op taper_op_col2im = {
    .infer = col2im_infer,
    .kernels = col2im_kernels,
    .vjp = col2im_vjp,
    .contiguous = 1 << 0,
    .upcast = true,
    .samples = (const taper_sample[]){{"[2,18,10], (4,5), (2,3), (1,1), (0,1), (2,1)"},
                                      {"[8,4], (3,3), (2,2), (1,1), (0,0), (1,1)"},
                                      {"[1,4,4], (3,4), (2,2), (1,1), (0,0), (1,1)", .error = "sliding blocks 2 * 3 = 6, but got input.size(2)=4"},
                                      {0}},
};

/* ---- pixel shuffles ---- */

static taper_status shuffle_compose(taper_call *c, taper_scope *s, bool down) {
    taper_tensor *x = c->args[0].t;
    int64_t r = c->args[1].i;
    int n = x->ndim - 3;
    const char *op = down ? "pixel_unshuffle" : "pixel_shuffle";
    if (n < 0 || n > TAPER_MAX_DIMS - 6)
        return TAPER_FAIL(TAPER_RUNTIME, "%s expects input to have at least 3 dimensions, but got input with %d dimension(s): %s", op, x->ndim, TAPER_SHAPE(x));
    if (r <= 0 || r > 1 << 20) return TAPER_FAIL(TAPER_RUNTIME, "%s expects a positive %s_factor, but got %lld for input %s", op, down ? "downscale" : "upscale", (long long)r, TAPER_SHAPE(x));
    int64_t C = x->shape[n], H = x->shape[n + 1], W = x->shape[n + 2];
    if (!down && C % (r * r))
        return TAPER_FAIL(TAPER_RUNTIME, "pixel_shuffle expects its input's 'channel' dimension to be divisible by the square of upscale_factor, but "
                          "input.size(-3)=%lld is not divisible by %lld", (long long)C, (long long)(r * r));
    if (down && (H % r || W % r))
        return TAPER_FAIL(TAPER_RUNTIME, "pixel_unshuffle expects %s to be divisible by downscale_factor, but input.size(-%d)=%lld is not divisible by "
                          "%lld", H % r ? "height" : "width", H % r ? 2 : 1, (long long)(H % r ? H : W), (long long)r);
    int64_t shape[TAPER_MAX_DIMS], dims[TAPER_MAX_DIMS];
    for (int d = 0; d < n; d++) shape[d] = x->shape[d], dims[d] = d;
    /* up: (C/r2, r, r, H, W) -> (C/r2, H, r, W, r); down: (C, H/r, r, W/r, r) -> (C, r, r, H/r, W/r) */
    const int64_t up[5] = {C / (r * r), r, r, H, W}, un[5] = {C, H / r, r, W / r, r};
    static const int order[2][5] = {{0, 3, 1, 4, 2}, {0, 2, 4, 1, 3}};
    for (int d = 0; d < 5; d++) {
        shape[n + d] = down ? un[d] : up[d];
        dims[n + d] = n + order[down][d];
    }
    taper_tensor *y = tx_permute(s, tx_reshape(s, x, shape, n + 5), dims, n + 5);
    shape[n] = down ? C * r * r : C / (r * r), shape[n + 1] = down ? H / r : H * r, shape[n + 2] = down ? W / r : W * r;
    c->out[0] = taper_scope_keep(s, tx_reshape(s, y, shape, n + 3));
    c->nout = 1;
    return s->status;
}
static taper_status pixel_shuffle_compose(taper_call *c, taper_scope *s) { return shuffle_compose(c, s, false); }
static taper_status pixel_unshuffle_compose(taper_call *c, taper_scope *s) { return shuffle_compose(c, s, true); }

const taper_op taper_op_pixel_shuffle = {
    .compose = pixel_shuffle_compose,
    .samples = (const taper_sample[]){{"[2,8,2,3], 2"}, {"[9,1,2], 3"}, {"[1,5,4,4], 2", .error = "input.size(-3)=5 is not divisible by 4"}, {0}},
};
const taper_op taper_op_pixel_unshuffle = {
    .compose = pixel_unshuffle_compose,
    .samples = (const taper_sample[]){{"[2,2,4,6], 2"}, {"[1,3,6], 3"}, {"[1,5,5,4], 2", .error = "input.size(-2)=5 is not divisible by 2"}, {0}},
};
