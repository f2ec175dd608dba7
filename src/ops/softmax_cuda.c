/* softmax and log_softmax on the GPU, forward and backward: which kernel a call takes. */
#include "ops/softmax_cuda.h"

#include "ops/softmax.h"

static taper_cuda_kernel softmax_rows[2] = {TAPER_CUDA_KERNEL("softmax", "softmax_rows_f32"), TAPER_CUDA_KERNEL("softmax", "softmax_rows_f64")},
                         softmax_columns[2] = {TAPER_CUDA_KERNEL("softmax", "softmax_columns_f32"), TAPER_CUDA_KERNEL("softmax", "softmax_columns_f64")};

/* Rows whose threads hold `count` times 16 bytes each; the last one, any length. Shortest first. */
static const struct {
    int threads, count; /* of a row */
} softmax_sizes[2][TAPER_SOFTMAX_SIZES] = {{{8, 1}, {8, 4}, {32, 4}, {32, 8}, {256, 2}, {256, 4}, {256, 8}, {512, 8}, {512, 16}, {1024, 0}},
                                           {{8, 1}, {8, 4}, {32, 4}, {32, 8}, {256, 2}, {256, 4}, {256, 8}, {512, 8}, {1024, 0}}};
#define SOFTMAX_HELD(which, dtype)                                                                                     \
    TAPER_CUDA_KERNEL("softmax_rows", which dtype "_8_1"), TAPER_CUDA_KERNEL("softmax_rows", which dtype "_8_4"),      \
        TAPER_CUDA_KERNEL("softmax_rows", which dtype "_32_4"), TAPER_CUDA_KERNEL("softmax_rows", which dtype "_32_8"), \
        TAPER_CUDA_KERNEL("softmax_rows", which dtype "_256_2"), TAPER_CUDA_KERNEL("softmax_rows", which dtype "_256_4"), \
        TAPER_CUDA_KERNEL("softmax_rows", which dtype "_256_8"), TAPER_CUDA_KERNEL("softmax_rows", which dtype "_512_8")
#define SOFTMAX_KERNELS(dtype)                                                                                         \
    {{SOFTMAX_HELD("softmax_", dtype), TAPER_CUDA_KERNEL("softmax_rows", "softmax_" dtype "_512_16"),                  \
      TAPER_CUDA_KERNEL("softmax_rows", "softmax_" dtype "_long")},                                                    \
     {SOFTMAX_HELD("softmax_backward_", dtype), TAPER_CUDA_KERNEL("softmax_rows", "softmax_backward_" dtype "_long")}}
static taper_cuda_kernel softmax_held[3][2][TAPER_SOFTMAX_SIZES] = {SOFTMAX_KERNELS("f32"), SOFTMAX_KERNELS("bf16"), SOFTMAX_KERNELS("f16")};

int taper__softmax_cut(taper_cuda_geometry *g, int64_t rows, int64_t n, int size, bool aligned, bool backward) {
    int64_t sixteens = aligned && n * size % 16 == 0 ? n * size / 16 : INT64_MAX;
    int i = 0;
    while (softmax_sizes[backward][i].count && sixteens > (int64_t)softmax_sizes[backward][i].threads * softmax_sizes[backward][i].count) i++;
    if (size != 4 && softmax_sizes[backward][i].count == 16) i++; /* only float has that one */
    int threads = softmax_sizes[backward][i].threads, block = threads < 256 ? 256 : threads;
    int64_t blocks = (rows + block / threads - 1) / (block / threads);
    *g = (taper_cuda_geometry){.grid = {(unsigned)(blocks < 1 << 30 ? blocks : 1 << 30), 1, 1}, .block = {(unsigned)block, 1, 1}};
    return i;
}

taper_status taper__softmax_cuda(taper_tensor *y, const taper_tensor *a, const taper_tensor *b, int64_t n, int64_t inner, bool log) {
    void *out = taper__data(y);
    const void *x = taper__data(a), *saved = b ? taper__data(b) : NULL;
    long long count = y->numel / n, n_ = n, inner_ = inner;
    int dtype = y->dtype, log_ = log, wide = y->dtype == TAPER_F64, type = dtype == TAPER_F32 ? 0 : dtype == TAPER_BF16 ? 1 : dtype == TAPER_F16 ? 2 : -1;
    int64_t blocks = inner == 1 ? count : (count + 255) / 256;
    const char *op = log ? "log_softmax" : "softmax";
    taper_cuda_geometry g = {.grid = {(unsigned)(blocks < 1 << 30 ? blocks : 1 << 30), 1, 1}, .block = {256, 1, 1}};
    bool alike = (uintptr_t)out % 16 == (uintptr_t)x % 16 && (!b || (uintptr_t)out % 16 == (uintptr_t)saved % 16);
    if (inner == 1 && type >= 0 && alike) {
        int which = taper__softmax_cut(&g, count, n, (int)taper_dtype_size((taper_dtype)dtype), (uintptr_t)out % 16 == 0, b != NULL);
        void *args[] = {&out, &x, &saved, &count, &n_, &log_};
        return taper__cuda_launch(&softmax_held[type][b != NULL][which], y->device.index, &g, args, op);
    }
    if (inner == 1) {
        void *args[] = {&out, &x, &saved, &count, &n_, &dtype, &log_};
        return taper__cuda_launch(&softmax_rows[wide], y->device.index, &g, args, op);
    }
    void *args[] = {&out, &x, &saved, &count, &n_, &inner_, &dtype, &log_};
    return taper__cuda_launch(&softmax_columns[wide], y->device.index, &g, args, op);
}
