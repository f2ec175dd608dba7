/* Copies and fills on the GPU. */
#include "ops/pointwise_cuda.h"

static taper_cuda_kernel copy_flat = TAPER_CUDA_KERNEL("copy", "copy_flat"), copy_strided = TAPER_CUDA_KERNEL("copy", "copy_strided"),
                         copy_fill = TAPER_CUDA_KERNEL("copy", "copy_fill"),
                         copy_units[3] = {TAPER_CUDA_KERNEL("copy", "copy_units_4"), TAPER_CUDA_KERNEL("copy", "copy_units_8"),
                                          TAPER_CUDA_KERNEL("copy", "copy_units_16")},
                         copy_tile_pairs = TAPER_CUDA_KERNEL("copy", "copy_tile_pairs"),
                         copy_tile[4] = {TAPER_CUDA_KERNEL("copy", "copy_tile_1"), TAPER_CUDA_KERNEL("copy", "copy_tile_2"),
                                         TAPER_CUDA_KERNEL("copy", "copy_tile_4"), TAPER_CUDA_KERNEL("copy", "copy_tile_8")};

/* Puts the source's dim of stride 1 next to last; false when the copy is no transpose worth tiles. */
static bool copy_transposes(taper_pointwise_args *k) {
    int last = k->ndim - 1;
    if (k->ndim < 2 || k->dtype[0] != k->dtype[1] || k->strides[0][last] != 1 || k->strides[1][last] == 1 || k->shape[last] < 8) return false;
    for (int d = last - 1; d >= 0; d--) {
        if (k->strides[1][d] != 1 || k->shape[d] < 8) continue;
        int64_t shape = k->shape[d], to = k->strides[0][d];
        for (int e = d; e < last - 1; e++) {
            k->shape[e] = k->shape[e + 1];
            for (int i = 0; i < 2; i++) k->strides[i][e] = k->strides[i][e + 1];
        }
        k->shape[last - 1] = shape;
        k->strides[0][last - 1] = to;
        k->strides[1][last - 1] = 1;
        return true;
    }
    return false;
}

/* Rewrites a copy between equal dtypes in units of 16, 8 or 4 bytes, where the last dim is dense on both sides and everything is
 * aligned to them. Gives the log2 of the unit, or 0 when there is none larger than an element. */
int taper__copy_units(taper_pointwise_args *k) {
    int last = k->ndim - 1;
    int64_t size = (int64_t)taper_dtype_size((taper_dtype)k->dtype[0]);
    if (k->dtype[0] != k->dtype[1] || k->strides[0][last] != 1 || k->strides[1][last] != 1) return 0;
    for (int log = 4; log >= 2; log--) {
        int64_t unit = INT64_C(1) << log, each = unit / size;
        bool fits = unit > size && k->shape[last] % each == 0 && ((uintptr_t)k->data[0] | (uintptr_t)k->data[1]) % (uintptr_t)unit == 0;
        for (int d = 0; d < last; d++) fits = fits && k->strides[0][d] % each == 0 && k->strides[1][d] % each == 0;
        if (!fits) continue;
        k->shape[last] /= each;
        k->n /= each;
        for (int d = 0; d < last; d++) {
            k->strides[0][d] /= each;
            k->strides[1][d] /= each;
        }
        return log;
    }
    return 0;
}

/* Whether a transpose of two-byte elements can move them in pairs, in tiles of twice the size. */
static bool copy_pairs(const taper_pointwise_args *k) {
    int last = k->ndim - 1, row = k->ndim - 2;
    if (k->shape[last] % 2 || k->shape[row] % 2 || ((uintptr_t)k->data[0] | (uintptr_t)k->data[1]) % 4) return false;
    for (int d = 0; d <= last; d++)
        if ((d != last && k->strides[0][d] % 2) || (d != row && k->strides[1][d] % 2)) return false;
    return true;
}

static taper_cuda_geometry copy_tile_geometry(const taper_pointwise_args *k, int side) {
    int64_t tiles = (k->shape[k->ndim - 1] + side - 1) / side, rows = (k->shape[k->ndim - 2] + side - 1) / side;
    int64_t batches = k->n / (k->shape[k->ndim - 1] * k->shape[k->ndim - 2]);
    return (taper_cuda_geometry){.grid = {(unsigned)tiles, (unsigned)(rows < 65535 ? rows : 65535), (unsigned)(batches < 65535 ? batches : 65535)},
                                 .block = {32, 8, 1}};
}

taper_status taper__copy_cuda(taper_tensor *dst, const taper_tensor *src) {
    taper_iter it;
    taper_tensor *in[1] = {(taper_tensor *)src};
    taper_pointwise_args k;
    if (!dst->numel) return TAPER_OK;
    taper__iter_init(&it, dst, in, 1);
    taper__pointwise_args_fill(&k, &it);
    int index = dst->device.index, mp = taper__cuda_multiprocessors(index);
    void *args[1] = {&k};
    if (k.flat == 2 && k.step[1]) {
        taper_cuda_geometry g = taper__pointwise_geometry(&k, mp);
        return taper__cuda_launch(&copy_flat, index, &g, args, "copy_");
    }
    if (copy_transposes(&k)) {
        size_t bytes = taper_dtype_size((taper_dtype)dst->dtype);
        bool pairs = bytes == 2 && copy_pairs(&k);
        taper_cuda_geometry g = copy_tile_geometry(&k, pairs ? 64 : 32);
        if (pairs) return taper__cuda_launch(&copy_tile_pairs, index, &g, args, "copy_");
        return taper__cuda_launch(&copy_tile[bytes == 1 ? 0 : bytes == 2 ? 1 : bytes == 4 ? 2 : 3], index, &g, args, "copy_");
    }
    k.flat = 0;
    int unit = taper__copy_units(&k);
    taper_cuda_geometry g = taper__pointwise_geometry(&k, mp);
    return taper__cuda_launch(unit ? &copy_units[unit - 2] : &copy_strided, index, &g, args, "copy_");
}

taper_status taper__fill_cuda(taper_tensor *dst, taper_scalar value) {
    taper_iter it;
    taper_pointwise_args k;
    int integer = value.kind != TAPER_ARG_FLOAT;
    if (!dst->numel) return TAPER_OK;
    taper__iter_init(&it, dst, NULL, 0);
    taper__pointwise_args_fill(&k, &it);
    k.number[1] = integer ? 0 : value.f;
    k.integer[1] = integer ? value.i : 0;
    if (k.flat == 2) k.flat = 1;
    taper_cuda_geometry g = taper__pointwise_geometry(&k, taper__cuda_multiprocessors(dst->device.index));
    void *args[2] = {&k, &integer};
    return taper__cuda_launch(&copy_fill, dst->device.index, &g, args, "fill_");
}
