/* softmax and log_softmax with their gradients, computed in float or double. Rows: one block each. Columns (elements
 * `inner` apart): one thread each, so that neighbouring threads read neighbouring addresses. */
#include "ops/elements.cuh"

EL_FN float sm_exp(float x) { return expf(x); }
EL_FN double sm_exp(double x) { return exp(x); }
EL_FN float sm_log(float x) { return logf(x); }
EL_FN double sm_log(double x) { return log(x); }
EL_FN float sm_low(float) { return -__int_as_float(0x7f800000); }
EL_FN double sm_low(double) { return -__longlong_as_double(0x7ff0000000000000ll); }

/* The sum (or highest) over a block of 256, by a fixed tree; every thread gets it. */
template <class R, bool HIGHEST> EL_FN R sm_block(R v) {
    __shared__ R part[8];
#pragma unroll
    for (int d = 16; d > 0; d /= 2) {
        R u = __shfl_xor_sync(0xffffffffu, v, d);
        v = HIGHEST ? (u > v ? u : v) : v + u;
    }
    __syncthreads();
    if (threadIdx.x % 32 == 0) part[threadIdx.x / 32] = v;
    __syncthreads();
    v = part[0];
#pragma unroll
    for (int i = 1; i < 8; i++) v = HIGHEST ? (part[i] > v ? part[i] : v) : v + part[i];
    return v;
}

/* x: input, or the gradient when y (the forward result) is given. */
template <class R> EL_FN void sm_rows(void *out, const void *x, const void *y, int64_t rows, int64_t n, int dtype, int log) {
    for (int64_t r = blockIdx.x; r < rows; r += gridDim.x) {
        const int64_t at = r * n;
        R sum = 0, high = sm_low((R)0);
        if (y) {
            for (int64_t i = threadIdx.x; i < n; i += 256) {
                R g = el_load<R>(x, at + i, dtype);
                sum += log ? g : g * el_load<R>(y, at + i, dtype);
            }
            sum = sm_block<R, false>(sum);
            for (int64_t i = threadIdx.x; i < n; i += 256) {
                R g = el_load<R>(x, at + i, dtype), v = el_load<R>(y, at + i, dtype);
                el_store<R>(out, at + i, dtype, log ? g - sm_exp(v) * sum : v * (g - sum));
            }
            continue;
        }
        for (int64_t i = threadIdx.x; i < n; i += 256) {
            R v = el_load<R>(x, at + i, dtype);
            high = v > high || v != v ? v : high;
        }
        high = sm_block<R, true>(high);
        for (int64_t i = threadIdx.x; i < n; i += 256) sum += sm_exp(el_load<R>(x, at + i, dtype) - high);
        sum = sm_block<R, false>(sum);
        const R shift = log ? sm_log(sum) : 0, scale = 1 / sum;
        for (int64_t i = threadIdx.x; i < n; i += 256) {
            R v = el_load<R>(x, at + i, dtype) - high;
            el_store<R>(out, at + i, dtype, log ? v - shift : sm_exp(v) * scale);
        }
    }
}

template <class R> EL_FN void sm_columns(void *out, const void *x, const void *y, int64_t count, int64_t n, int64_t inner, int dtype, int log) {
    const int64_t threads = gridDim.x * (int64_t)blockDim.x;
    for (int64_t c = blockIdx.x * (int64_t)blockDim.x + threadIdx.x; c < count; c += threads) {
        const int64_t at = c / inner * n * inner + c % inner;
        R sum = 0, high = sm_low((R)0);
        if (y) {
#pragma unroll(sizeof(R) == 8 ? 1 : 2)
            for (int64_t i = 0; i < n; i++) {
                R g = el_load<R>(x, at + i * inner, dtype);
                sum += log ? g : g * el_load<R>(y, at + i * inner, dtype);
            }
#pragma unroll(sizeof(R) == 8 ? 1 : 2)
            for (int64_t i = 0; i < n; i++) {
                R g = el_load<R>(x, at + i * inner, dtype), v = el_load<R>(y, at + i * inner, dtype);
                el_store<R>(out, at + i * inner, dtype, log ? g - sm_exp(v) * sum : v * (g - sum));
            }
            continue;
        }
#pragma unroll(sizeof(R) == 8 ? 1 : 2)
        for (int64_t i = 0; i < n; i++) {
            R v = el_load<R>(x, at + i * inner, dtype);
            high = v > high || v != v ? v : high;
        }
#pragma unroll(sizeof(R) == 8 ? 1 : 2)
        for (int64_t i = 0; i < n; i++) sum += sm_exp(el_load<R>(x, at + i * inner, dtype) - high);
        const R shift = log ? sm_log(sum) : 0, scale = 1 / sum;
#pragma unroll(sizeof(R) == 8 ? 1 : 2)
        for (int64_t i = 0; i < n; i++) {
            R v = el_load<R>(x, at + i * inner, dtype) - high;
            el_store<R>(out, at + i * inner, dtype, log ? v - shift : sm_exp(v) * scale);
        }
    }
}

#define SM_KERNELS(name, type)                                                                                         \
    extern "C" __global__ void __launch_bounds__(256) softmax_rows_##name(void *out, const void *x, const void *y,     \
                                                                          long long rows, long long n, int dtype, int log) { \
        sm_rows<type>(out, x, y, rows, n, dtype, log);                                                                 \
    }                                                                                                                  \
    extern "C" __global__ void __launch_bounds__(256) softmax_columns_##name(void *out, const void *x, const void *y,  \
                                                                             long long count, long long n, long long inner, int dtype, int log) { \
        sm_columns<type>(out, x, y, count, n, inner, dtype, log);                                                      \
    }
SM_KERNELS(f32, float)
SM_KERNELS(f64, double)
