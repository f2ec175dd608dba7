/* Cross entropy of rows of logits that become their own gradient in place. */
#include "device/cuda/cuda.h"
#include "device/cuda/errors.cuh"
#include "ops/elements.cuh"

enum { LL_THREADS = 512 };

EL_FN float ll_exp(float x) { return __expf(x); }
EL_FN double ll_exp(double x) { return exp(x); }
EL_FN float ll_log(float x) { return logf(x); }
EL_FN double ll_log(double x) { return log(x); }
EL_FN float ll_low(float) { return -__int_as_float(0x7f800000); }
EL_FN double ll_low(double) { return -__longlong_as_double(0x7ff0000000000000ll); }

/* Sum over the block by a fixed tree; every thread gets it. */
template <class R> EL_FN R ll_block(R v, bool highest) {
    __shared__ R part[LL_THREADS / 32];
#pragma unroll
    for (int d = 16; d > 0; d /= 2) {
        const R u = __shfl_xor_sync(0xffffffffu, v, d);
        v = highest ? (u > v ? u : v) : v + u;
    }
    __syncthreads();
    if (threadIdx.x % 32 == 0) part[threadIdx.x / 32] = v;
    __syncthreads();
    v = part[0];
#pragma unroll
    for (int i = 1; i < LL_THREADS / 32; i++) v = highest ? (part[i] > v ? part[i] : v) : v + part[i];
    return v;
}

template <class R> EL_FN void ll_grow(R x, R &high, R &sum) {
    if (x > high) sum = sum * ll_exp(high - x), high = x;
    if (high > ll_low((R)0)) sum += ll_exp(x - high);
}

/* logits: rows of n; losses[row] and, where `slopes`, logits = (softmax - one at the target) * *scale. */
template <class R> EL_FN void ll_rows(void *logits, const long long *target, R *losses, const R *scale, long long n, long long ignore, int dtype,
                                      int slopes, void *record, int op) {
    const int64_t base = blockIdx.x * (int64_t)n, whole = n % 4 == 0 ? n : 0;
    long long at = target[blockIdx.x];
    const bool out = at != ignore && (at < 0 || at >= n), skip = at == ignore || out;
    if (out && threadIdx.x == 0) taper_cuda_report(record, TAPER_CUDA_REPORT_TARGET, op, at, n);
    R high = ll_low((R)0), sum = 0, v[4];
    for (int64_t i = threadIdx.x * 4; i < whole; i += LL_THREADS * 4) {
        el_load4<R>(v, logits, base + i, dtype);
        const R a = v[0] > v[1] ? v[0] : v[1], b = v[2] > v[3] ? v[2] : v[3], top = a > b ? a : b;
        if (top > high) sum *= ll_exp(high - top), high = top;
        if (high > ll_low((R)0)) sum += ll_exp(v[0] - high) + ll_exp(v[1] - high) + ll_exp(v[2] - high) + ll_exp(v[3] - high);
    }
    for (int64_t i = whole + threadIdx.x; i < n; i += LL_THREADS) ll_grow(el_load<R>(logits, base + i, dtype), high, sum);
    const R top = ll_block(high, true);
    sum = ll_block(high == ll_low((R)0) ? (R)0 : sum * ll_exp(high - top), false);
    const R lse = top + ll_log(sum);
    if (threadIdx.x == 0) losses[blockIdx.x] = skip ? (R)0 : lse - el_load<R>(logits, base + at, dtype);
    if (!slopes) return;
    __syncthreads(); /* the logit of the target has been read */
    const R by = skip ? (R)0 : *scale;
    for (int64_t i = threadIdx.x * 4; i < whole; i += LL_THREADS * 4) {
        el_load4<R>(v, logits, base + i, dtype);
#pragma unroll
        for (int j = 0; j < 4; j++) v[j] = skip ? (R)0 : (ll_exp(v[j] - lse) - (i + j == at ? (R)1 : (R)0)) * by;
        el_store4<R>(logits, base + i, dtype, v);
    }
    for (int64_t i = whole + threadIdx.x; i < n; i += LL_THREADS)
        el_store<R>(logits, base + i, dtype, skip ? (R)0 : (ll_exp(el_load<R>(logits, base + i, dtype) - lse) - (i == at ? (R)1 : (R)0)) * by);
}

/* One over the number of targets that count. */
template <class R> EL_FN void ll_scale(R *scale, const long long *target, long long rows, long long ignore) {
    R count = 0;
    for (int64_t i = threadIdx.x; i < rows; i += LL_THREADS) count += target[i] != ignore ? 1 : 0;
    count = ll_block(count, false);
    if (threadIdx.x == 0) *scale = 1 / count;
}
template <class R> EL_FN void ll_total(R *loss, const R *losses, const R *scale, long long rows) {
    R sum = 0;
    for (int64_t i = threadIdx.x; i < rows; i += LL_THREADS) sum += losses[i];
    sum = ll_block(sum, false);
    if (threadIdx.x == 0) *loss = sum * *scale;
}

#define LL_KERNELS(name, R)                                                                                            \
    extern "C" __global__ void __launch_bounds__(LL_THREADS, 2) linear_loss_rows_##name(                                  \
        void *logits, const long long *target, R *losses, const R *scale, long long n, long long ignore, int dtype, int slopes, void *record, int op) { \
        ll_rows<R>(logits, target, losses, scale, n, ignore, dtype, slopes, record, op);                               \
    }                                                                                                                  \
    extern "C" __global__ void __launch_bounds__(LL_THREADS) linear_loss_scale_##name(R *scale, const long long *target, long long rows, long long ignore) { \
        ll_scale<R>(scale, target, rows, ignore);                                                                      \
    }                                                                                                                  \
    extern "C" __global__ void __launch_bounds__(LL_THREADS) linear_loss_total_##name(R *loss, const R *losses, const R *scale, long long rows) { \
        ll_total<R>(loss, losses, scale, rows);                                                                        \
    }
LL_KERNELS(f32, float)
LL_KERNELS(f64, double)
