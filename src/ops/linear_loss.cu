/* Cross entropy of rows of logits that become their own gradient in place. */
#include "device/cuda/cuda.h"
#include "device/cuda/errors.cuh"
#include "ops/row_hold.cuh"

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

EL_FN float ll_exp2(float x) {
    float y;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
}

/* The same where a row fits into shared memory, which then is all that lies between reading and writing it. Half precision,
 * rows begin at multiples of 16 bytes. Exponentials are of base two, with the factor inside. */
template <class T> EL_FN void ll_held(void *logits, const long long *target, float *losses, const float *scale, long long n, long long ignore,
                                      int slopes, void *record, int op) {
    enum { DEEP = 4 };
    extern __shared__ uint4 held[];
    const float log2e = 1.4426950408889634f, none = ll_low(0.0f);
    const int vectors = (int)(n / T::n);
    const long long at = target[blockIdx.x];
    const bool out = at != ignore && (at < 0 || at >= n), skip = at == ignore || out;
    uint4 *const row = (uint4 *)logits + blockIdx.x * (int64_t)vectors;
    if (out && threadIdx.x == 0) taper_cuda_report(record, TAPER_CUDA_REPORT_TARGET, op, at, n);
    float high = none, sum = 0, x[T::n];
    for (int i = threadIdx.x; i < vectors; i += LL_THREADS * DEEP) {
        uint4 raw[DEEP];
#pragma unroll
        for (int j = 0; j < DEEP; j++)
            if (i + j * LL_THREADS < vectors) raw[j] = row[i + j * LL_THREADS];
#pragma unroll
        for (int j = 0; j < DEEP; j++)
            if (i + j * LL_THREADS < vectors) {
                held[i + j * LL_THREADS] = raw[j];
                T::get(x, raw[j]);
                float top = x[0];
#pragma unroll
                for (int k = 1; k < T::n; k++) top = fmaxf(top, x[k]);
                if (top > high) sum *= ll_exp2((high - top) * log2e), high = top;
                const float zero = high == none ? 0 : high * log2e;
#pragma unroll
                for (int k = 0; k < T::n; k++) sum += ll_exp2(fmaf(x[k], log2e, -zero));
            }
    }
    const float top = ll_block(high, true);
    sum = ll_block(high == none ? sum : sum * ll_exp2((high - top) * log2e), false);
    const float lse = top + logf(sum);
    if (threadIdx.x == 0) losses[blockIdx.x] = skip ? 0 : lse - el_load<float>(held, at, T::dtype);
    if (!slopes) return;
    const float by = skip ? 0 : *scale, shift = log2f(by) - lse * log2e;
    for (int i = threadIdx.x; i < vectors; i += LL_THREADS) {
        T::get(x, held[i]);
#pragma unroll
        for (int k = 0; k < T::n; k++) x[k] = skip ? 0 : ll_exp2(fmaf(x[k], log2e, shift));
        if (!skip && i == (int)(at / T::n)) {
#pragma unroll
            for (int k = 0; k < T::n; k++) x[k] -= k == (int)(at % T::n) ? by : 0;
        }
        row[i] = T::put(x);
    }
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
#define LL_HELD(name)                                                                                                  \
    extern "C" __global__ void __launch_bounds__(LL_THREADS, 2) linear_loss_held_##name(                               \
        void *logits, const long long *target, float *losses, const float *scale, long long n, long long ignore, int, int slopes, void *record, int op) { \
        ll_held<row_##name>(logits, target, losses, scale, n, ignore, slopes, record, op);                             \
    }
LL_HELD(f16)
LL_HELD(bf16)
