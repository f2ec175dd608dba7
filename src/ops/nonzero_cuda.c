/* nonzero, the indices of repeat_interleave, tril and triu on the GPU. */
#include "device/cuda/cuda.h"
#include "ops/index_cuda.h"
#include "ops/triangle_cuda.h"

static taper_cuda_kernel nonzero_count = TAPER_CUDA_KERNEL("nonzero", "nonzero_count"), nonzero_scan = TAPER_CUDA_KERNEL("nonzero", "nonzero_scan"),
                         nonzero_write = TAPER_CUDA_KERNEL("nonzero", "nonzero_write"), nonzero_runs = TAPER_CUDA_KERNEL("nonzero", "nonzero_runs"),
                         triangle_kernels[4] = {TAPER_CUDA_KERNEL("triangle", "triangle_1"), TAPER_CUDA_KERNEL("triangle", "triangle_2"),
                                                TAPER_CUDA_KERNEL("triangle", "triangle_4"), TAPER_CUDA_KERNEL("triangle", "triangle_8")};

static taper_status nonzero_launch(taper_cuda_kernel *kernel, void *k, int64_t blocks, int index, const char *op) {
    taper_cuda_geometry g = {.grid = {(unsigned)(blocks < 1 << 24 ? blocks : 1 << 24), 1, 1}, .block = {TAPER_NONZERO_THREADS, 1, 1}};
    void *args[1] = {k};
    return taper__cuda_launch(kernel, index, &g, args, op);
}

taper_status taper__nonzero_cuda(taper_tensor **out, const taper_tensor *self) {
    taper_status st = TAPER_OK;
    taper_tensor *result = NULL, *mask = NULL;
    void *counts = NULL;
    int64_t shape[2] = {0, self->ndim};
    taper_nonzero_args k = {.n = self->numel, .tiles = (self->numel + TAPER_NONZERO_TILE - 1) / TAPER_NONZERO_TILE, .ndim = self->ndim};
    size_t bytes = (size_t)(k.tiles + 1) * 8;
    memcpy(k.shape, self->shape, sizeof k.shape);
    if (!self->numel) return taper__tensor_empty(out, TAPER_I64, self->device, 2, shape, "nonzero");
    const taper_tensor *from = self;
    if (!self->contiguous || self->dtype != TAPER_BOOL) {
        TAPER_TRY(taper__tensor_empty(&mask, TAPER_BOOL, self->device, self->ndim, self->shape, "nonzero"));
        TAPER_TRY_GOTO(taper__copy_data(mask, self));
        from = mask;
    }
    k.in = taper__data(from);
    TAPER_TRY_GOTO(taper__memory_alloc(&counts, bytes, self->device, "nonzero"));
    k.counts = counts;
    TAPER_TRY_GOTO(nonzero_launch(&nonzero_count, &k, k.tiles, self->device.index, "nonzero"));
    TAPER_TRY_GOTO(nonzero_launch(&nonzero_scan, &k, 1, self->device.index, "nonzero"));
    TAPER_TRY_GOTO(taper__memory_copy(&shape[0], taper_cpu(), k.counts + k.tiles, self->device, sizeof shape[0], false));
    TAPER_TRY_GOTO(taper__tensor_empty(&result, TAPER_I64, self->device, 2, shape, "nonzero"));
    k.out = taper__data(result);
    if (result->numel) TAPER_TRY_GOTO(nonzero_launch(&nonzero_write, &k, k.tiles, self->device.index, "nonzero"));
    *out = result;
    result = NULL;
out:
    if (counts) taper__memory_free(counts, bytes, self->device);
    taper_tensor_release(result);
    taper_tensor_release(mask);
    return st;
}

taper_status taper__repeat_indices_cuda(taper_tensor *out, const taper_tensor *ends) {
    taper_runs_args k = {taper__data(ends), taper__data(out), ends->numel, out->numel};
    if (!k.n) return TAPER_OK;
    return nonzero_launch(&nonzero_runs, &k, (k.n + TAPER_NONZERO_THREADS - 1) / TAPER_NONZERO_THREADS, out->device.index, "repeat_interleave");
}

taper_status taper__triangle_cuda(taper_tensor *out, const taper_tensor *self, int64_t diagonal, bool upper, const char *op) {
    size_t bytes = taper_dtype_size((taper_dtype)self->dtype);
    if (!self->numel) return TAPER_OK;
    taper_triangle_args k = {taper__data(self), taper__data(out), self->numel, self->shape[self->ndim - 2], self->shape[self->ndim - 1], diagonal, upper};
    return nonzero_launch(&triangle_kernels[bytes == 1 ? 0 : bytes == 2 ? 1 : bytes == 4 ? 2 : 3], &k, (k.n + TAPER_NONZERO_THREADS - 1) / TAPER_NONZERO_THREADS, self->device.index, op);
}
