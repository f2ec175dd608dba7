/* softmax and log_softmax on the GPU, forward and backward. */
#include "device/cuda/cuda.h"
#include "ops/softmax.h"

static taper_cuda_kernel softmax_rows[2] = {TAPER_CUDA_KERNEL("softmax", "softmax_rows_f32"), TAPER_CUDA_KERNEL("softmax", "softmax_rows_f64")},
                         softmax_columns[2] = {TAPER_CUDA_KERNEL("softmax", "softmax_columns_f32"), TAPER_CUDA_KERNEL("softmax", "softmax_columns_f64")};

taper_status taper__softmax_cuda(taper_tensor *y, const taper_tensor *a, const taper_tensor *b, int64_t n, int64_t inner, bool log) {
    void *out = taper__data(y);
    const void *x = taper__data(a), *saved = b ? taper__data(b) : NULL;
    long long count = y->numel / n, n_ = n, inner_ = inner;
    int dtype = y->dtype, log_ = log, wide = y->dtype == TAPER_F64;
    int64_t blocks = inner == 1 ? count : (count + 255) / 256;
    taper_cuda_geometry g = {.grid = {(unsigned)(blocks < 1 << 30 ? blocks : 1 << 30), 1, 1}, .block = {256, 1, 1}};
    if (inner == 1) {
        void *args[] = {&out, &x, &saved, &count, &n_, &dtype, &log_};
        return taper__cuda_launch(&softmax_rows[wide], y->device.index, &g, args, log ? "log_softmax" : "softmax");
    }
    void *args[] = {&out, &x, &saved, &count, &n_, &inner_, &dtype, &log_};
    return taper__cuda_launch(&softmax_columns[wide], y->device.index, &g, args, log ? "log_softmax" : "softmax");
}
