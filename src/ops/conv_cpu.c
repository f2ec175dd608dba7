/* Convolution as matrix products over patches. Columns of patches are made a tile at a time, small enough for the
 * cache, and multiplied at once.
 *
 * Letters: P output positions of an image; K = c / groups * kh * kw rows of a patch; M = o / groups outputs of a group;
 * q a position over all images. */
#include <stdatomic.h>

#include "ops/conv.h"
#include "ops/gemm.h"

enum {
    CONV_TILE_BYTES = 768 << 10,
    CONV_TILE_MIN = 192,  /* positions; fewer do not pay for reading the weight */
    CONV_TILE_MAX = 1024,
    CONV_WEIGHT_PARTS = 16, /* of the weight's rows, each summed over all images by one thread */
    CONV_WEIGHT_ROWS = 144, /* at least, so that products are wide enough */
    CONV_FEW_IMAGES = 8,
    CONV_TURN_PLACES = 1024,
};

typedef struct conv_run {
    const taper_conv *g;
    const taper_conv_loops *loops;
    int type; /* 0 float, 1 double */
    int64_t size, P, K, M, tile, parts, images;
    bool plain; /* 1x1, nothing between: patches are the image itself */
    const char *x, *w, *bias, *dy;
    char *y, *dx, *dw;
    _Atomic bool failed;
} conv_run;

static int64_t conv_min(int64_t a, int64_t b) { return a < b ? a : b; }
static int64_t conv_max(int64_t a, int64_t b) { return a > b ? a : b; }
static int64_t conv_ceil(int64_t a, int64_t b) { return (a + b - 1) / b; }

static void conv_gemm(conv_run *r, const taper_gemm *gemm) {
    if ((r->type ? taper__dgemm(gemm) : taper__sgemm(gemm)) != TAPER_OK) r->failed = true;
}

static void *conv_scratch(conv_run *r, int64_t elements) {
    void *p = r->failed ? NULL : taper__cpu_alloc((size_t)(elements * r->size));
    if (!p) r->failed = true;
    return p;
}
static void conv_scratch_end(const conv_run *r, void *p, int64_t elements) {
    if (p) taper__cpu_free(p, (size_t)(elements * r->size));
}

static void conv_start(conv_run *r, const taper_conv *g, taper_dtype dtype) {
    *r = (conv_run){.g = g, .loops = TAPER_SIMD_PICK(taper__conv_loops), .type = dtype == TAPER_F64, .size = dtype == TAPER_F64 ? 8 : 4};
    r->P = g->oh * g->ow;
    r->K = g->c / g->groups * g->kh * g->kw;
    r->M = g->o / g->groups;
    r->tile = CONV_TILE_BYTES / (conv_max(r->K, 1) * r->size) / 32 * 32;
    r->tile = conv_min(conv_max(r->tile, CONV_TILE_MIN), CONV_TILE_MAX);
    r->plain = g->kh == 1 && g->kw == 1 && g->stride[0] == 1 && g->stride[1] == 1 && !g->padding[0] && !g->padding[1];
}

/* Whole images side by side where one does not fill a tile; else tiles of about that many positions, the last no mere rest. */
static void conv_set_tile(conv_run *r, int64_t tile) {
    r->images = conv_min(r->g->n, conv_max(1, (tile + r->P / 2) / r->P));
    r->tile = r->images > 1 ? r->images * r->P : conv_ceil(conv_ceil(r->P, conv_max(1, (r->P + tile / 2) / tile)), 16) * 16;
}

static taper_status conv_run_all(conv_run *r, int64_t n, taper_range_fn fn) {
    if (n == 1)
        fn(r, 0, 1); /* leaves the threads to the products */
    else
        taper__parallel_for(n, 1, fn, r);
    if (!r->failed) return TAPER_OK;
    return TAPER_FAIL(TAPER_MEMORY, "convolution: no memory for patches of %lld by %lld elements", (long long)r->K, (long long)r->tile);
}

static bool conv_is_depthwise(const taper_conv *g) { return g->groups > 1 && g->c == g->groups; }

static void conv_fill_bias(const conv_run *r, char *y, int64_t channel, int64_t n) {
    if (!r->bias)
        memset(y, 0, (size_t)(n * r->size));
    else
        taper__convert(y, r->type ? TAPER_F64 : TAPER_F32, 1, r->bias + channel * r->size, r->type ? TAPER_F64 : TAPER_F32, 0, n);
}

/* ---- forward ---- */

/* tiles of one image, or of several images when they are small */
static void conv_forward_range(void *ctx, int64_t begin, int64_t end) {
    conv_run *r = ctx;
    const taper_conv *g = r->g;
    int64_t per_group = conv_ceil(r->images * r->P, r->tile) * conv_ceil(g->n, r->images);
    int64_t tiles = conv_ceil(r->images * r->P, r->tile);
    bool direct = r->plain && r->images == 1;
    int64_t ncol = direct ? 0 : r->K * r->tile, nout = r->images > 1 ? r->M * r->tile : 0;
    char *scratch = ncol + nout ? conv_scratch(r, ncol + nout) : NULL;
    for (int64_t i = begin; i < end && !r->failed; i++) {
        int64_t group = i / per_group, first = i % per_group / tiles * r->images, images = conv_min(r->images, g->n - first);
        int64_t q0 = i % tiles * r->tile, q1 = conv_min(q0 + r->tile, images * r->P), cols = q1 - q0;
        if (cols <= 0) continue;
        const char *x = r->x + (first * g->c + group * (g->c / g->groups)) * g->h * g->w * r->size;
        char *y = r->y + ((first * g->o + group * r->M) * r->P) * r->size;
        taper_gemm m = {.m = r->M, .n = cols, .k = r->K, .batch = {1, 1}, .alpha = 1, .beta = r->bias != NULL,
                        .a = r->w + group * r->M * r->K * r->size, .a_row = r->K, .a_col = 1, .b_col = 1};
        if (direct) {
            m.b = x + q0 * r->size;
            m.b_row = r->P;
        } else {
            taper_columns t = {g, g->c * g->h * g->w, 0, r->K, q0, q1};
            r->loops->take[r->type](&t, x, scratch);
            m.b = scratch;
            m.b_row = cols;
        }
        if (r->images == 1) {
            m.c = y + q0 * r->size;
            m.c_row = r->P;
        } else {
            m.c = scratch + ncol * r->size;
            m.c_row = cols;
        }
        for (int64_t o = 0; r->bias && o < r->M; o++) conv_fill_bias(r, (char *)m.c + o * m.c_row * r->size, group * r->M + o, cols);
        conv_gemm(r, &m);
        if (r->images == 1) continue;
        for (int64_t o = 0; o < r->M; o++)
            for (int64_t n = 0; n < images; n++)
                memcpy(y + (n * g->o + o) * r->P * r->size, (char *)m.c + (o * cols + n * r->P) * r->size, (size_t)(r->P * r->size));
    }
    conv_scratch_end(r, scratch, ncol + nout);
}

static void conv_plane_forward(void *ctx, int64_t begin, int64_t end) {
    conv_run *r = ctx;
    const taper_conv *g = r->g;
    for (int64_t i = begin; i < end; i++) {
        int64_t n = i / g->o, o = i % g->o;
        char *y = r->y + i * r->P * r->size;
        conv_fill_bias(r, y, o, r->P);
        r->loops->plane_forward[r->type](g, r->x + (n * g->c + o / r->M) * g->h * g->w * r->size, r->w + o * r->K * r->size, y);
    }
}

taper_status taper__conv_forward(const taper_conv *g, taper_dtype dtype, const void *x, const void *w, const void *bias, void *y) {
    conv_run r;
    conv_start(&r, g, dtype);
    r.x = x, r.w = w, r.bias = bias, r.y = y;
    if (!g->n || !g->o || !r.P) return TAPER_OK;
    if (conv_is_depthwise(g)) return conv_run_all(&r, g->n * g->o, conv_plane_forward);
    conv_set_tile(&r, r.tile);
    return conv_run_all(&r, g->groups * conv_ceil(g->n, r.images) * conv_ceil(r.images * r.P, r.tile), conv_forward_range);
}

/* ---- gradient of the input ---- */

/* The gradient (M, images * P) of some images of a group side by side. */
static void conv_gather(const conv_run *r, char *to, int64_t first, int64_t images, int64_t group) {
    const taper_conv *g = r->g;
    for (int64_t o = 0; o < r->M; o++)
        for (int64_t n = 0; n < images; n++)
            memcpy(to + (o * images + n) * r->P * r->size, r->dy + ((first + n) * g->o + group * r->M + o) * r->P * r->size,
                   (size_t)(r->P * r->size));
}

/* One task: some channels of some images, so that no two tasks add to one pixel. */
static void conv_input_range(void *ctx, int64_t begin, int64_t end) {
    conv_run *r = ctx;
    const taper_conv *g = r->g;
    int64_t channels = g->c / g->groups, plane = g->h * g->w, window = g->kh * g->kw, each = conv_ceil(channels, r->parts);
    int64_t ncol = each * window * r->tile, ndy = r->images > 1 ? r->M * r->tile : 0;
    char *col = conv_scratch(r, ncol + ndy);
    for (int64_t i = begin; i < end && !r->failed; i++) {
        int64_t part = i % r->parts, group = i / r->parts % g->groups, first = i / r->parts / g->groups * r->images;
        int64_t images = conv_min(r->images, g->n - first), c0 = part * each, c1 = conv_min(channels, c0 + each);
        if (c0 >= c1) continue;
        char *dx = r->dx + (first * g->c + group * channels) * plane * r->size;
        for (int64_t n = 0; n < images; n++) memset(dx + (n * g->c + c0) * plane * r->size, 0, (size_t)((c1 - c0) * plane * r->size));
        char *side = col + ncol * r->size;
        if (ndy) conv_gather(r, side, first, images, group);
        const char *dy = ndy ? side : r->dy + (first * g->o + group * r->M) * r->P * r->size;
        for (int64_t q0 = 0; q0 < images * r->P; q0 += r->tile) {
            int64_t q1 = conv_min(q0 + r->tile, images * r->P);
            taper_columns t = {g, g->c * plane, c0 * window, c1 * window, q0, q1};
            taper_gemm m = {.m = t.k1 - t.k0, .n = q1 - q0, .k = r->M, .batch = {1, 1}, .alpha = 1,
                            .a = r->w + (group * r->M * r->K + t.k0) * r->size, .a_row = 1, .a_col = r->K,
                            .b = dy + q0 * r->size, .b_row = images * r->P, .b_col = 1};
            bool straight = r->plain && r->images == 1;
            m.c = straight ? dx + (c0 * plane + q0) * r->size : col;
            m.c_row = straight ? plane : q1 - q0;
            conv_gemm(r, &m);
            if (!straight) r->loops->add[r->type](&t, dx, col);
        }
    }
    conv_scratch_end(r, col, ncol + ndy);
}

static void conv_plane_input(void *ctx, int64_t begin, int64_t end) {
    conv_run *r = ctx;
    const taper_conv *g = r->g;
    for (int64_t i = begin; i < end; i++) {
        int64_t n = i / g->c, c = i % g->c;
        char *dx = r->dx + i * g->h * g->w * r->size;
        memset(dx, 0, (size_t)(g->h * g->w * r->size));
        for (int64_t o = c * r->M; o < (c + 1) * r->M; o++)
            r->loops->plane_input[r->type](g, r->w + o * r->K * r->size, r->dy + (n * g->o + o) * r->P * r->size, dx);
    }
}

/* With stride 1 the gradient is itself a convolution, of dy with the window turned round: patches are then only read. Turning
 * the weight must be little beside the products. */
static bool conv_turns(const taper_conv *g, taper_conv *f) {
    *f = (taper_conv){.n = g->n, .c = g->o, .h = g->oh, .w = g->ow, .o = g->c, .oh = g->h, .ow = g->w, .kh = g->kh, .kw = g->kw, .stride = {1, 1},
                      .dilation = {g->dilation[0], g->dilation[1]}, .groups = g->groups};
    f->padding[0] = g->dilation[0] * (g->kh - 1) - g->padding[0];
    f->padding[1] = g->dilation[1] * (g->kw - 1) - g->padding[1];
    return g->stride[0] == 1 && g->stride[1] == 1 && f->padding[0] >= 0 && f->padding[1] >= 0 && g->kh * g->kw > 1 && g->n * g->oh * g->ow >= CONV_TURN_PLACES && !conv_is_depthwise(g);
}
static taper_status conv_input_turned(const taper_conv *g, const taper_conv *f, taper_dtype dtype, const char *w, const void *dy, void *dx) {
    int64_t size = dtype == TAPER_F64 ? 8 : 4, window = g->kh * g->kw, M = g->o / g->groups, C = g->c / g->groups;
    size_t bytes = (size_t)(g->o * C * window * size);
    char *turned = taper__cpu_alloc(bytes);
    if (!turned) return TAPER_FAIL(TAPER_MEMORY, "convolution: no memory for a weight of %lld elements", (long long)(g->o * C * window));
    for (int64_t group = 0; group < g->groups; group++)
        for (int64_t c = 0; c < C; c++)
            for (int64_t o = 0; o < M; o++)
                for (int64_t t = 0; t < window; t++)
                    memcpy(turned + (((group * C + c) * M + o) * window + t) * size, w + (((group * M + o) * C + c) * window + window - 1 - t) * size, (size_t)size);
    taper_status st = taper__conv_forward(f, dtype, dy, turned, NULL, dx);
    taper__cpu_free(turned, bytes);
    return st;
}

taper_status taper__conv_input_grad(const taper_conv *g, taper_dtype dtype, const void *w, const void *dy, void *dx) {
    conv_run r;
    taper_conv turned;
    conv_start(&r, g, dtype);
    r.w = w, r.dy = dy, r.dx = dx;
    if (!g->n || !g->c || !g->h || !g->w) return TAPER_OK;
    if (!r.P || !g->o) {
        memset(dx, 0, (size_t)(g->n * g->c * g->h * g->w * r.size));
        return TAPER_OK;
    }
    if (conv_is_depthwise(g)) return conv_run_all(&r, g->n * g->c, conv_plane_input);
    if (conv_turns(g, &turned)) return conv_input_turned(g, &turned, dtype, w, dy, dx);
    conv_set_tile(&r, r.tile);
    int64_t items = conv_ceil(g->n, r.images) * g->groups;
    r.parts = items >= CONV_FEW_IMAGES ? 1 : conv_min(g->c / g->groups, CONV_FEW_IMAGES);
    return conv_run_all(&r, items * r.parts, conv_input_range);
}

/* ---- gradient of the weight ---- */

/* One task: some rows k of one group, summed over all images in order. */
static void conv_weight_range(void *ctx, int64_t begin, int64_t end) {
    conv_run *r = ctx;
    const taper_conv *g = r->g;
    int64_t each = conv_ceil(r->K, r->parts), ncol = each * r->tile, ndy = r->images > 1 ? r->M * r->tile : 0;
    char *col = conv_scratch(r, ncol + ndy);
    for (int64_t i = begin; i < end && !r->failed; i++) {
        int64_t group = i / r->parts, k0 = i % r->parts * each, k1 = conv_min(r->K, k0 + each);
        if (k0 >= k1) continue;
        double beta = 0;
        for (int64_t first = 0; first < g->n; first += r->images) {
            int64_t images = conv_min(r->images, g->n - first);
            const char *x = r->x + (first * g->c + group * (g->c / g->groups)) * g->h * g->w * r->size;
            char *side = col + ncol * r->size;
            if (ndy) conv_gather(r, side, first, images, group);
            const char *dy = ndy ? side : r->dy + (first * g->o + group * r->M) * r->P * r->size;
            for (int64_t q0 = 0; q0 < images * r->P; q0 += r->tile) {
                int64_t q1 = conv_min(q0 + r->tile, images * r->P);
                taper_columns t = {g, g->c * g->h * g->w, k0, k1, q0, q1};
                bool straight = r->plain && r->images == 1;
                if (!straight) r->loops->take[r->type](&t, x, col);
                taper_gemm m = {.m = r->M, .n = k1 - k0, .k = q1 - q0, .batch = {1, 1}, .alpha = 1, .beta = beta,
                                .a = dy + q0 * r->size, .a_row = images * r->P, .a_col = 1,
                                .b = straight ? x + (k0 * r->P + q0) * r->size : col, .b_row = 1, .b_col = straight ? r->P : q1 - q0,
                                .c = r->dw + (group * r->M * r->K + k0) * r->size, .c_row = r->K};
                conv_gemm(r, &m);
                beta = 1;
            }
        }
    }
    conv_scratch_end(r, col, ncol + ndy);
}

static void conv_plane_weight(void *ctx, int64_t begin, int64_t end) {
    conv_run *r = ctx;
    const taper_conv *g = r->g;
    for (int64_t o = begin; o < end; o++)
        for (int64_t n = 0; n < g->n; n++)
            r->loops->plane_weight[r->type](g, r->x + (n * g->c + o / r->M) * g->h * g->w * r->size,
                                            r->dy + (n * g->o + o) * r->P * r->size, r->dw + o * r->K * r->size);
}

taper_status taper__conv_weight_grad(const taper_conv *g, taper_dtype dtype, const void *x, const void *dy, void *dw) {
    conv_run r;
    conv_start(&r, g, dtype);
    r.x = x, r.dy = dy, r.dw = dw;
    if (!g->o || !r.K) return TAPER_OK;
    if (!g->n || !r.P || conv_is_depthwise(g)) memset(dw, 0, (size_t)(g->o * r.K * r.size));
    if (!g->n || !r.P) return TAPER_OK;
    if (conv_is_depthwise(g)) return conv_run_all(&r, g->o, conv_plane_weight);
    r.parts = conv_max(1, conv_min(CONV_WEIGHT_PARTS, r.K / CONV_WEIGHT_ROWS));
    conv_set_tile(&r, CONV_TILE_MAX);
    return conv_run_all(&r, g->groups * r.parts, conv_weight_range);
}
