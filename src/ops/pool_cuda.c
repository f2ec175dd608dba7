/* Pooling on the GPU. */
#include "device/cuda/cuda.h"
#include "ops/pool.h"
#include "ops/pool_args.h"

#define POOL_KERNEL(name) {TAPER_CUDA_KERNEL("pool", "pool_" name "_f32"), TAPER_CUDA_KERNEL("pool", "pool_" name "_f64")}
static taper_cuda_kernel pool_kernels[][2] = {[TAPER_POOL_MAX] = POOL_KERNEL("max"),       [TAPER_POOL_AVERAGE] = POOL_KERNEL("average"),
                                              [TAPER_POOL_SPREAD] = POOL_KERNEL("spread"), [TAPER_POOL_PUT] = POOL_KERNEL("put"),
                                              [TAPER_POOL_TAKE] = POOL_KERNEL("take")};

taper_status taper__pool_cuda(taper_pool_step step, const taper_pool *p, const taper_tensor *from, taper_tensor *to, const taper_tensor *indices,
                              const char *op) {
    taper_pool_args a = {.from = taper__data(from), .to = taper__data(to), .indices = indices ? taper__data(indices) : NULL, .planes = p->planes,
                         .divisor = p->divisor, .include_pad = p->include_pad, .adaptive = p->adaptive, .dtype = to->dtype};
    if (!to->numel) return TAPER_OK;
    for (int d = 0; d < 2; d++) {
        if (p->in[d] > INT32_MAX || p->out[d] > INT32_MAX || p->kernel[d] > INT32_MAX || p->stride[d] > INT32_MAX || p->dilation[d] > INT32_MAX)
            return TAPER_FAIL(TAPER_NOT_IMPLEMENTED, "%s: planes of %s are more than the GPU kernel takes", op, taper__shape_text(2, p->in).s);
        a.kernel[d] = (int)p->kernel[d], a.stride[d] = (int)p->stride[d], a.padding[d] = (int)p->padding[d];
        a.dilation[d] = (int)p->dilation[d], a.in[d] = (int)p->in[d], a.out[d] = (int)p->out[d];
    }
    int64_t blocks = (to->numel + 255) / 256;
    taper_cuda_geometry g = {.grid = {(unsigned)(blocks < 1 << 30 ? blocks : 1 << 30), 1, 1}, .block = {256, 1, 1}};
    void *args[] = {&a};
    return taper__cuda_launch(&pool_kernels[step][to->dtype == TAPER_F64], to->device.index, &g, args, op);
}
