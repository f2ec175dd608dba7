/* layer_norm and rms_norm on the GPU, forward and backward. */
#include "ops/layer_norm_cuda.h"

#include "ops/norm.h"

static taper_cuda_kernel layer_forward[2] = {TAPER_CUDA_KERNEL("layer_norm", "layer_norm_f32"), TAPER_CUDA_KERNEL("layer_norm", "layer_norm_f64")},
                         layer_backward[2] = {TAPER_CUDA_KERNEL("layer_norm", "layer_norm_backward_f32"),
                                              TAPER_CUDA_KERNEL("layer_norm", "layer_norm_backward_f64")},
                         layer_weights[2] = {TAPER_CUDA_KERNEL("layer_norm", "layer_norm_weights_f32"),
                                             TAPER_CUDA_KERNEL("layer_norm", "layer_norm_weights_f64")},
                         layer_add[2] = {TAPER_CUDA_KERNEL("layer_norm", "layer_norm_add_f32"), TAPER_CUDA_KERNEL("layer_norm", "layer_norm_add_f64")},
                         layer_join[2] = {TAPER_CUDA_KERNEL("layer_norm", "layer_norm_join_f32"), TAPER_CUDA_KERNEL("layer_norm", "layer_norm_join_f64")};

/* Rows that are held in registers: threads of a row, times 16 bytes that each of them holds, blocks of a backward pass. */
static const struct {
    int threads, count, blocks;
} layer_sizes[2][TAPER_LN_SIZES] = {{{8, 1, 0}, {8, 4, 0}, {32, 4, 0}, {32, 8, 0}, {256, 4, 0}, {256, 8, 0}},
                                    {{8, 1, 660}, {32, 1, 660}, {32, 4, 264}, {256, 1, 660}, {256, 2, 528}, {256, 4, 264}}};
#define LAYER_HELD_FORWARD(name)                                                                                       \
    {TAPER_CUDA_KERNEL("layer_norm_rows", name "_8_1"), TAPER_CUDA_KERNEL("layer_norm_rows", name "_8_4"), TAPER_CUDA_KERNEL("layer_norm_rows", name "_32_4"), \
     TAPER_CUDA_KERNEL("layer_norm_rows", name "_32_8"), TAPER_CUDA_KERNEL("layer_norm_rows", name "_256_4"), TAPER_CUDA_KERNEL("layer_norm_rows", name "_256_8")}
#define LAYER_HELD(dtype)                                                                                              \
    {LAYER_HELD_FORWARD("layer_norm_" dtype),                                                                          \
     {TAPER_CUDA_KERNEL("layer_norm_rows", "layer_norm_backward_" dtype "_8_1"), TAPER_CUDA_KERNEL("layer_norm_rows", "layer_norm_backward_" dtype "_32_1"), TAPER_CUDA_KERNEL("layer_norm_rows", "layer_norm_backward_" dtype "_32_4"), \
      TAPER_CUDA_KERNEL("layer_norm_rows", "layer_norm_backward_" dtype "_256_1"), TAPER_CUDA_KERNEL("layer_norm_rows", "layer_norm_backward_" dtype "_256_2"), \
      TAPER_CUDA_KERNEL("layer_norm_rows", "layer_norm_backward_" dtype "_256_4")},                                    \
     LAYER_HELD_FORWARD("layer_norm_add_" dtype)}
static taper_cuda_kernel layer_held[3][3][TAPER_LN_SIZES] = {LAYER_HELD("f32"), LAYER_HELD("bf16"), LAYER_HELD("f16")}; /* forward, backward, forward of a sum */
static taper_cuda_kernel layer_rows_join = TAPER_CUDA_KERNEL("layer_norm_rows", "layer_norm_rows_join");

int taper__layer_norm_cut(taper_cuda_geometry *g, int64_t rows, int64_t n, int size, bool backward) {
    int64_t each;
    int i = 0;
    if (n * size % 16) return -1;
    while (i < TAPER_LN_SIZES && n * size / 16 > (int64_t)layer_sizes[backward][i].threads * layer_sizes[backward][i].count) i++;
    if (i == TAPER_LN_SIZES) return -1;
    each = TAPER_LN_THREADS / layer_sizes[backward][i].threads;
    int64_t blocks = (rows + each - 1) / each, most = backward ? layer_sizes[1][i].blocks : 1 << 30;
    *g = (taper_cuda_geometry){.grid = {(unsigned)(blocks < most ? blocks : most), 1, 1}, .block = {TAPER_LN_THREADS, 1, 1}};
    return i;
}
/* The row of layer_held; -1: a dtype or an address that has none. */
static int layer_type(taper_dtype dtype, void *const *addresses, int count) {
    for (int i = 0; i < count; i++)
        if ((uintptr_t)addresses[i] % 16) return -1;
    return dtype == TAPER_F32 ? 0 : dtype == TAPER_BF16 ? 1 : dtype == TAPER_F16 ? 2 : -1;
}

static taper_cuda_geometry layer_rows_geometry(int64_t rows) {
    return (taper_cuda_geometry){.grid = {(unsigned)(rows < 1 << 30 ? rows : 1 << 30), 1, 1}, .block = {256, 1, 1}};
}

static void *layer_data(const taper_tensor *t) { return t ? taper__data(t) : NULL; }

taper_status taper__layer_norm_cuda(const taper_layer_call *c) {
    const taper_tensor *x = c->x;
    long long rows = c->rstd->numel, n = rows ? x->numel / rows : 0;
    void *py = taper__data(c->y), *px = taper__data(x), *pw = layer_data(c->w), *pb = layer_data(c->b), *po = layer_data(c->residual), *ps = layer_data(c->sum);
    void *pm = layer_data(c->mean), *pr = taper__data(c->rstd);
    double eps = c->eps;
    int dtype = x->dtype;
    if (!rows) return TAPER_OK;
    taper_cuda_geometry g;
    int type = layer_type((taper_dtype)dtype, (void *[]){py, px, pw, pb, po, ps}, 6), held = type < 0 ? -1 : taper__layer_norm_cut(&g, rows, n, (int)taper_dtype_size((taper_dtype)dtype), false);
    void *held_args[] = {&py, &px, &pw, &pb, &pm, &pr, &po, &ps, &rows, &n, &eps};
    if (held >= 0) return taper__cuda_launch(&layer_held[type][po ? 2 : 0][held], x->device.index, &g, held_args, c->op);
    if (po && x->numel) {
        long long count = x->numel;
        void *args[] = {&ps, &px, &po, &count, &dtype};
        g = layer_rows_geometry((count + 255) / 256);
        TAPER_TRY(taper__cuda_launch(&layer_add[dtype == TAPER_F64], x->device.index, &g, args, c->op));
        px = ps;
    }
    void *args[] = {&py, &px, &pw, &pb, &pm, &pr, &rows, &n, &eps, &dtype};
    g = layer_rows_geometry(rows);
    return taper__cuda_launch(&layer_forward[dtype == TAPER_F64], x->device.index, &g, args, c->op);
}

static taper_status layer_backward_run(const taper_layer_call *c, const taper_tensor *mean, const taper_tensor *rstd) {
    const taper_tensor *x = c->x, *dw = c->dw, *db = c->db;
    bool sums = c->sums;
    long long n = dw->numel, rows = n ? x->numel / n : 0;
    int dtype = x->dtype, wide = dtype == TAPER_F64, index = x->device.index, parts = rows > 4096 ? 64 : (int)(rows / 64) + 1;
    long long chunk = (rows + parts - 1) / parts;
    void *pd = taper__data(c->dx), *pg = taper__data(c->g), *px = taper__data(x), *pw = layer_data(c->w), *pa = layer_data(c->add);
    void *pm = layer_data(mean), *pr = taper__data(rstd), *p1 = taper__data(dw), *p2 = taper__data(db), *partial = NULL;
    if (!sums || !rows) {
        TAPER_TRY(taper__memory_set(p1, 0, (size_t)n * taper_dtype_size((taper_dtype)dw->dtype), dw->device));
        TAPER_TRY(taper__memory_set(p2, 0, (size_t)n * taper_dtype_size((taper_dtype)db->dtype), db->device));
    }
    if (!rows) return TAPER_OK;
    taper_cuda_geometry geometry;
    int type = layer_type((taper_dtype)dtype, (void *[]){pd, pg, px, pw, pa}, 5);
    int held = type < 0 ? -1 : taper__layer_norm_cut(&geometry, rows, n, (int)taper_dtype_size((taper_dtype)dtype), true);
    if (held >= 0) {
        size_t bytes = (size_t)geometry.grid[0] * 2 * (size_t)n * sizeof(float);
        void *args[] = {&pd, &pg, &px, &pw, &pm, &pr, &pa, &partial, &rows, &n};
        parts = (int)geometry.grid[0];
        if (sums) TAPER_TRY(taper__memory_alloc(&partial, bytes, x->device, "layer_norm_backward"));
        taper_status st = taper__cuda_launch(&layer_held[type][1][held], index, &geometry, args, "layer_norm_backward");
        void *join_args[] = {&p1, &p2, &partial, &n, &parts, &dtype};
        geometry = (taper_cuda_geometry){.grid = {(unsigned)((2 * n + 31) / 32), 1, 1}, .block = {32, 32, 1}};
        if (sums && st == TAPER_OK) st = taper__cuda_launch(&layer_rows_join, index, &geometry, join_args, "layer_norm_backward");
        if (sums) taper__memory_free(partial, bytes, x->device);
        return st;
    }
    geometry = layer_rows_geometry(rows);
    void *args[] = {&pd, &pg, &px, &pw, &pm, &pr, &pa, &rows, &n, &dtype};
    TAPER_TRY(taper__cuda_launch(&layer_backward[wide], index, &geometry, args, "layer_norm_backward"));
    if (!sums) return TAPER_OK;
    size_t bytes = (size_t)parts * 2 * (size_t)n * (wide ? 8 : 4);
    TAPER_TRY(taper__memory_alloc(&partial, bytes, x->device, "layer_norm_backward"));
    geometry = (taper_cuda_geometry){.grid = {(unsigned)((n + 31) / 32), (unsigned)parts, 1}, .block = {32, 8, 1}};
    void *sum_args[] = {&partial, &pg, &px, &pm, &pr, &rows, &n, &chunk, &dtype}, *join_args[] = {&p1, &p2, &partial, &n, &parts, &dtype};
    taper_status st = taper__cuda_launch(&layer_weights[wide], index, &geometry, sum_args, "layer_norm_backward");
    geometry = (taper_cuda_geometry){.grid = {(unsigned)((n + 255) / 256), 1, 1}, .block = {256, 1, 1}};
    if (st == TAPER_OK) st = taper__cuda_launch(&layer_join[wide], index, &geometry, join_args, "layer_norm_backward");
    taper__memory_free(partial, bytes, x->device);
    return st;
}

/* The kernels read statistics in the type they compute in; others are converted first. */
taper_status taper__layer_norm_backward_cuda(const taper_layer_call *c) {
    taper_status st = TAPER_OK;
    taper_dtype dtype = c->x->dtype == TAPER_F64 ? TAPER_F64 : TAPER_F32;
    const taper_tensor *given[2] = {c->mean, c->rstd}, *used[2] = {c->mean, c->rstd};
    taper_tensor *copy[2] = {NULL, NULL};
    for (int k = 0; k < 2; k++) {
        if (!given[k] || (given[k]->dtype == dtype && given[k]->contiguous)) continue;
        TAPER_TRY_GOTO(taper__tensor_empty(&copy[k], dtype, given[k]->device, given[k]->ndim, given[k]->shape, "layer_norm_backward"));
        TAPER_TRY_GOTO(taper__copy_data(copy[k], given[k]));
        used[k] = copy[k];
    }
    st = layer_backward_run(c, used[0], used[1]);
out:
    for (int k = 0; k < 2; k++) taper_tensor_release(copy[k]);
    return st;
}
