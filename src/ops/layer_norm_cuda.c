/* layer_norm and rms_norm on the GPU, forward and backward. */
#include "device/cuda/cuda.h"
#include "ops/norm.h"

static taper_cuda_kernel layer_forward[2] = {TAPER_CUDA_KERNEL("layer_norm", "layer_norm_f32"), TAPER_CUDA_KERNEL("layer_norm", "layer_norm_f64")},
                         layer_backward[2] = {TAPER_CUDA_KERNEL("layer_norm", "layer_norm_backward_f32"),
                                              TAPER_CUDA_KERNEL("layer_norm", "layer_norm_backward_f64")},
                         layer_weights[2] = {TAPER_CUDA_KERNEL("layer_norm", "layer_norm_weights_f32"),
                                             TAPER_CUDA_KERNEL("layer_norm", "layer_norm_weights_f64")},
                         layer_join[2] = {TAPER_CUDA_KERNEL("layer_norm", "layer_norm_join_f32"), TAPER_CUDA_KERNEL("layer_norm", "layer_norm_join_f64")};

static taper_cuda_geometry layer_rows_geometry(int64_t rows) {
    return (taper_cuda_geometry){.grid = {(unsigned)(rows < 1 << 30 ? rows : 1 << 30), 1, 1}, .block = {256, 1, 1}};
}

taper_status taper__layer_norm_cuda(taper_tensor *y, const taper_tensor *x, const taper_tensor *w, const taper_tensor *b, taper_tensor *mean,
                                    taper_tensor *rstd, double eps) {
    long long rows = rstd->numel, n = rows ? x->numel / rows : 0;
    void *py = taper__data(y), *px = taper__data(x), *pw = w ? taper__data(w) : NULL, *pb = b ? taper__data(b) : NULL;
    void *pm = mean ? taper__data(mean) : NULL, *pr = taper__data(rstd), *args[] = {&py, &px, &pw, &pb, &pm, &pr, &rows, &n, &eps, NULL};
    int dtype = x->dtype;
    args[9] = &dtype;
    if (!rows) return TAPER_OK;
    taper_cuda_geometry g = layer_rows_geometry(rows);
    return taper__cuda_launch(&layer_forward[dtype == TAPER_F64], x->device.index, &g, args, "layer_norm");
}

static taper_status layer_backward_run(taper_tensor *dx, taper_tensor *dw, taper_tensor *db, const taper_tensor *g, const taper_tensor *x,
                                             const taper_tensor *mean, const taper_tensor *rstd, const taper_tensor *w, bool sums) {
    long long n = dw->numel, rows = n ? x->numel / n : 0;
    int dtype = x->dtype, wide = dtype == TAPER_F64, index = x->device.index, parts = rows > 4096 ? 64 : (int)(rows / 64) + 1;
    long long chunk = (rows + parts - 1) / parts;
    void *pd = taper__data(dx), *pg = taper__data(g), *px = taper__data(x), *pw = w ? taper__data(w) : NULL;
    void *pm = mean ? taper__data(mean) : NULL, *pr = taper__data(rstd), *p1 = taper__data(dw), *p2 = taper__data(db), *partial = NULL;
    if (!sums || !rows) {
        TAPER_TRY(taper__memory_set(p1, 0, (size_t)n * taper_dtype_size((taper_dtype)dw->dtype), dw->device));
        TAPER_TRY(taper__memory_set(p2, 0, (size_t)n * taper_dtype_size((taper_dtype)db->dtype), db->device));
    }
    if (!rows) return TAPER_OK;
    taper_cuda_geometry geometry = layer_rows_geometry(rows);
    void *args[] = {&pd, &pg, &px, &pw, &pm, &pr, &rows, &n, &dtype};
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
taper_status taper__layer_norm_backward_cuda(taper_tensor *dx, taper_tensor *dw, taper_tensor *db, const taper_tensor *g, const taper_tensor *x,
                                             const taper_tensor *mean, const taper_tensor *rstd, const taper_tensor *w, bool sums) {
    taper_status st = TAPER_OK;
    taper_dtype dtype = x->dtype == TAPER_F64 ? TAPER_F64 : TAPER_F32;
    const taper_tensor *given[2] = {mean, rstd}, *used[2] = {mean, rstd};
    taper_tensor *copy[2] = {NULL, NULL};
    for (int k = 0; k < 2; k++) {
        if (!given[k] || (given[k]->dtype == dtype && given[k]->contiguous)) continue;
        TAPER_TRY_GOTO(taper__tensor_empty(&copy[k], dtype, given[k]->device, given[k]->ndim, given[k]->shape, "layer_norm_backward"));
        TAPER_TRY_GOTO(taper__copy_data(copy[k], given[k]));
        used[k] = copy[k];
    }
    st = layer_backward_run(dx, dw, db, g, x, used[0], used[1], w, sums);
out:
    for (int k = 0; k < 2; k++) taper_tensor_release(copy[k]);
    return st;
}
