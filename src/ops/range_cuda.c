/* The launch of range_make. */
#include "ops/range_cuda.h"

#include "device/cuda/cuda.h"

static taper_cuda_kernel range_make = TAPER_CUDA_KERNEL("range", "range_make");

taper_status taper__range_cuda(taper_tensor *out, taper_range_args *k, const char *op) {
    k->out = taper__data(out);
    k->n = out->numel;
    k->dtype = out->dtype;
    if (!k->n) return TAPER_OK;
    int64_t blocks = (k->n + 255) / 256;
    taper_cuda_geometry g = {.grid = {(unsigned)(blocks < 1 << 20 ? blocks : 1 << 20), 1, 1}, .block = {256, 1, 1}};
    void *args[1] = {k};
    return taper__cuda_launch(&range_make, out->device.index, &g, args, op);
}
