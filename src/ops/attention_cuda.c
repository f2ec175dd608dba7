/* Attention on the GPU: tensor-core kernels where sizes and strides allow 16-byte copies, a plain kernel for everything else. */
#include "ops/attention_cuda.h"

#include "device/cuda/cuda.h"

#define ATTENTION_TYPE(image, name, type)                                                                              \
    {                                                                                                                  \
        {TAPER_CUDA_KERNEL(image, name "_" type "_32"), TAPER_CUDA_KERNEL(image, name "_" type "_32_extra")},          \
            {TAPER_CUDA_KERNEL(image, name "_" type "_64"), TAPER_CUDA_KERNEL(image, name "_" type "_64_extra")},      \
            {TAPER_CUDA_KERNEL(image, name "_" type "_96"), TAPER_CUDA_KERNEL(image, name "_" type "_96_extra")},      \
            {TAPER_CUDA_KERNEL(image, name "_" type "_128"), TAPER_CUDA_KERNEL(image, name "_" type "_128_extra")},    \
    }
#define ATTENTION_PASS(image, name) {ATTENTION_TYPE(image, name, "f16"), ATTENTION_TYPE(image, name, "bf16")}
static taper_cuda_kernel attention_kernels[3][2][4][2] = {ATTENTION_PASS("attention", "attention_forward"),
                                                          ATTENTION_PASS("attention_backward", "attention_dq"),
                                                          ATTENTION_PASS("attention_backward", "attention_dkv")};
#define ATTENTION_PLAIN(name)                                                                                          \
    {TAPER_CUDA_KERNEL("attention_plain", "attention_plain_" name "_f32"), TAPER_CUDA_KERNEL("attention_plain", "attention_plain_" name "_f64")}
enum { PLAIN_FORWARD, PLAIN_DQ, PLAIN_DKV, PLAIN_DELTA };
static taper_cuda_kernel attention_plain[4][2] = {ATTENTION_PLAIN("forward"), ATTENTION_PLAIN("dq"), ATTENTION_PLAIN("dkv"), ATTENTION_PLAIN("delta")};
static taper_cuda_kernel attention_delta[2] = {TAPER_CUDA_KERNEL("attention_backward", "attention_delta_f16"),
                                               TAPER_CUDA_KERNEL("attention_backward", "attention_delta_bf16")};

int taper__attention_head(int64_t E, int64_t V) {
    int64_t most = E > V ? E : V;
    if (E % 8 || V % 8 || !E || !V || most > 128) return 0;
    return (int)((most + 31) / 32 * 32);
}

int taper__attention_rows(taper_attention_pass pass, int head, bool extra) {
    int tiles = pass == TAPER_ATTENTION_FORWARD ? TAPER_ATTENTION_FORWARD_TILES
                : pass == TAPER_ATTENTION_DQ    ? TAPER_ATTENTION_BACKWARD_TILES(head)
                                                : TAPER_ATTENTION_DKV_TILES(head, extra);
    return TAPER_ATTENTION_WARPS * 16 * tiles;
}

unsigned taper__attention_shared_bytes(taper_attention_pass pass, int head, bool extra) {
    int rows = taper__attention_rows(pass, head, extra), pitch = 2 * (head + TAPER_ATTENTION_PAD);
    int step = pass == TAPER_ATTENTION_FORWARD ? TAPER_ATTENTION_FORWARD_KEYS(head) : TAPER_ATTENTION_BACKWARD_STEP;
    int held = pass == TAPER_ATTENTION_FORWARD ? rows : 2 * rows; /* what stays, and two stages of two operands that pass */
    return (unsigned)(pitch * (held + 4 * step) + (pass == TAPER_ATTENTION_DKV ? 4 * step * (int)sizeof(float) : 0));
}

unsigned taper__attention_drop_bound(double p) {
    double bound = p * 65536 + 0.5;
    return bound >= 65536 ? 65536 : bound < 0 ? 0 : (unsigned)bound;
}

static taper_attention_view attention_view(const taper_tensor *t) {
    taper_attention_view v = {NULL, {0}};
    if (!t) return v;
    v.p = taper__data(t);
    memcpy(v.stride, t->strides, sizeof v.stride);
    return v;
}

static bool attention_aligned(const taper_attention_view *v) {
    return !v->p || (v->stride[3] == 1 && !((uintptr_t)v->p % 16) && v->stride[0] % 8 == 0 && v->stride[1] % 8 == 0 && v->stride[2] % 8 == 0);
}

static taper_status attention_fill(taper_attention_args *g, const taper_attention *a, taper_attention_dropout d) {
    if (a->B * a->H * a->L > INT32_MAX || a->B * a->H * a->S > INT32_MAX)
        return TAPER_FAIL(TAPER_NOT_IMPLEMENTED, "flash_attention: query %s and key %s have more rows than a GPU kernel counts (%d); cut the batch",
                          TAPER_SHAPE(a->q), TAPER_SHAPE(a->k), INT32_MAX);
    *g = (taper_attention_args){.q = attention_view(a->q), .k = attention_view(a->k), .v = attention_view(a->v),
                                .B = (int)a->B, .H = (int)a->H, .G = (int)a->G, .L = (int)a->L, .S = (int)a->S, .E = (int)a->E, .V = (int)a->V,
                                .dtype = a->q->dtype, .causal = a->causal, .scale = a->scale, .drop = taper__attention_drop_bound(d.p),
                                .keep_scale = d.p < 1 ? 1 / (1 - d.p) : 0, .seed = d.seed, .offset = d.offset};
    const taper_tensor *m = a->mask;
    if (!m) return TAPER_OK;
    g->mask.p = taper__data(m);
    g->mask_dtype = m->dtype;
    for (int i = 0; i < m->ndim; i++) g->mask.stride[4 - m->ndim + i] = m->shape[i] == 1 ? 0 : m->strides[i];
    return TAPER_OK;
}

/* 0: the plain kernel. */
static int attention_fast_head(const taper_attention_args *g) {
    bool half = g->dtype == TAPER_F16 || g->dtype == TAPER_BF16;
    if (!half || !(g->scale > 0)) return 0;
    const taper_attention_view *views[] = {&g->q, &g->k, &g->v, &g->out, &g->dout, &g->dq, &g->dk, &g->dv};
    for (int i = 0; i < TAPER_COUNT(views); i++)
        if (!attention_aligned(views[i])) return 0;
    return taper__attention_head(g->E, g->V);
}

static taper_status attention_launch_fast(taper_attention_pass pass, taper_attention_args *g, int head, int index, const char *op) {
    bool extra = g->mask.p || g->drop;
    int rows = taper__attention_rows(pass, head, extra);
    int64_t tiles = ((pass == TAPER_ATTENTION_DKV ? g->S : g->L) + rows - 1) / rows;
    int64_t blocks = tiles * g->B * (pass == TAPER_ATTENTION_DKV ? g->H / g->G : g->H);
    if (!blocks) return TAPER_OK;
    taper_cuda_geometry geometry = {.grid = {(unsigned)blocks, 1, 1}, .block = {TAPER_ATTENTION_THREADS, 1, 1},
                                    .shared_bytes = taper__attention_shared_bytes(pass, head, extra)};
    void *args[1] = {g};
    return taper__cuda_launch(&attention_kernels[pass][g->dtype == TAPER_BF16][head / 32 - 1][extra], index, &geometry, args, op);
}

static taper_status attention_launch_delta(taper_attention_args *g, int index, const char *op) {
    int64_t blocks = ((int64_t)g->B * g->H * g->L * TAPER_ATTENTION_DELTA_LANES(g->V) + TAPER_ATTENTION_THREADS - 1) / TAPER_ATTENTION_THREADS;
    if (!blocks) return TAPER_OK;
    taper_cuda_geometry geometry = {.grid = {(unsigned)blocks, 1, 1}, .block = {TAPER_ATTENTION_THREADS, 1, 1}};
    void *args[1] = {g};
    return taper__cuda_launch(&attention_delta[g->dtype == TAPER_BF16], index, &geometry, args, op);
}

static taper_status attention_launch_plain(int which, taper_attention_args *g, int index, const char *op) {
    bool wide = g->dtype == TAPER_F64;
    int64_t rows = (int64_t)g->B * (which == PLAIN_DKV ? (int64_t)(g->H / g->G) * g->S : (int64_t)g->H * g->L);
    int64_t blocks = (rows + TAPER_ATTENTION_PLAIN_WARPS - 1) / TAPER_ATTENTION_PLAIN_WARPS;
    size_t bytes = which == PLAIN_DELTA ? 0 : (size_t)TAPER_ATTENTION_PLAIN_WARPS * 2 * (size_t)(g->E + g->V) * (wide ? 8 : 4);
    if (!blocks) return TAPER_OK;
    if (bytes > 96 << 10)
        return TAPER_FAIL(TAPER_NOT_IMPLEMENTED, "%s: a query of size %d and a value of size %d are too long for the GPU kernel (together at most %d)", op,
                          g->E, g->V, (96 << 10) / (TAPER_ATTENTION_PLAIN_WARPS * 2 * (wide ? 8 : 4)));
    taper_cuda_geometry geometry = {.grid = {(unsigned)(blocks < 1 << 24 ? blocks : 1 << 24), 1, 1}, .block = {TAPER_ATTENTION_PLAIN_WARPS * 32, 1, 1},
                                    .shared_bytes = (unsigned)bytes};
    void *args[1] = {g};
    return taper__cuda_launch(&attention_plain[which][wide], index, &geometry, args, op);
}

taper_status taper__attention_cuda(const taper_attention *a, taper_attention_dropout dropout, taper_tensor *out, taper_tensor *logsumexp) {
    taper_attention_args g;
    TAPER_TRY(attention_fill(&g, a, dropout));
    g.out = attention_view(out);
    g.lse = taper__data(logsumexp);
    int head = attention_fast_head(&g), index = out->device.index;
    return head ? attention_launch_fast(TAPER_ATTENTION_FORWARD, &g, head, index, "flash_attention")
                : attention_launch_plain(PLAIN_FORWARD, &g, index, "flash_attention");
}

taper_status taper__attention_backward_cuda(const taper_attention *a, taper_attention_dropout dropout, const taper_tensor *dout,
                                            const taper_tensor *out, const taper_tensor *logsumexp, taper_tensor *dq, taper_tensor *dk,
                                            taper_tensor *dv) {
    const char *op = "flash_attention_backward";
    taper_attention_args g;
    TAPER_TRY(attention_fill(&g, a, dropout));
    g.out = attention_view(out), g.dout = attention_view(dout);
    g.dq = attention_view(dq), g.dk = attention_view(dk), g.dv = attention_view(dv);
    g.lse = taper__data(logsumexp);
    int head = attention_fast_head(&g), index = dq->device.index;
    size_t bytes = (size_t)(a->B * a->H * a->L) * (g.dtype == TAPER_F64 ? 8 : 4);
    TAPER_TRY(taper__memory_alloc(&g.delta, bytes ? bytes : 1, dq->device, op));
    taper_status st = head ? attention_launch_delta(&g, index, op) : attention_launch_plain(PLAIN_DELTA, &g, index, op);
    if (st == TAPER_OK) st = head ? attention_launch_fast(TAPER_ATTENTION_DQ, &g, head, index, op) : attention_launch_plain(PLAIN_DQ, &g, index, op);
    if (st == TAPER_OK) st = head ? attention_launch_fast(TAPER_ATTENTION_DKV, &g, head, index, op) : attention_launch_plain(PLAIN_DKV, &g, index, op);
    taper__memory_free(g.delta, bytes ? bytes : 1, dq->device);
    return st;
}
