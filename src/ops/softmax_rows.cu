/* softmax and log_softmax of dense rows in float, forward and backward: one read, one write while a row is whole
 * times 16 bytes and fits the registers of a block; two reads, the second from a cache, otherwise. `log` is the same for all threads. */
#include "ops/row_hold.cuh"

#define SM_LOW (-__int_as_float(0x7f800000))

template <class T> EL_FN void sm_result(float *x, int log, float high, float sum, float scale) {
#pragma unroll
    for (int j = 0; j < T::n; j++) x[j] = log ? x[j] - high - sum : T::exp(x[j] - high) * scale;
}
template <class T> EL_FN void sm_slope(float *g, const float *y, int log, float sum) {
#pragma unroll
    for (int j = 0; j < T::n; j++) g[j] = log ? g[j] - T::exp(y[j]) * sum : y[j] * (g[j] - sum);
}
/* Where this thread's rows begin and how far they lie apart. */
#define SM_ROWS(r)                                                                                                     \
    const int t = threadIdx.x % THREADS;                                                                               \
    for (int64_t r = blockIdx.x * (int64_t)(blockDim.x / THREADS) + threadIdx.x / THREADS; r < rows; r += gridDim.x * (int64_t)(blockDim.x / THREADS))

template <class T, int THREADS, int COUNT> EL_FN void sm_forward(void *out, const void *x, int64_t rows, int64_t n, int log) {
    SM_ROWS(r) {
        const int64_t at = r * n;
        uint4 held[COUNT];
        float high = SM_LOW, sum = 0;
#pragma unroll
        for (int i = 0; i < COUNT; i++) held[i] = row_load_whole<T>(x, at, n, t + i * THREADS, SM_LOW);
#pragma unroll
        for (int i = 0; i < COUNT; i++) {
            float v[T::n];
            T::get(v, held[i]);
#pragma unroll
            for (int j = 0; j < T::n; j++) high = row_highest::join(high, v[j]);
        }
        high = row_all<row_highest, THREADS>(high);
#pragma unroll
        for (int i = 0; i < COUNT; i++) {
            float v[T::n];
            row_forget(held[i]);
            T::get(v, held[i]);
#pragma unroll
            for (int j = 0; j < T::n; j++) sum += T::exp(v[j] - high);
        }
        sum = row_all<row_sum, THREADS>(sum);
        const float shift = logf(sum), scale = 1 / sum;
#pragma unroll
        for (int i = 0; i < COUNT; i++) {
            float v[T::n];
            row_forget(held[i]);
            T::get(v, held[i]);
            sm_result<T>(v, log, high, shift, scale);
            row_store_whole<T>(out, at, n, t + i * THREADS, v);
        }
    }
}

template <class T, int THREADS, int COUNT> EL_FN void sm_backward(void *out, const void *g, const void *y, int64_t rows, int64_t n, int log) {
    SM_ROWS(r) {
        const int64_t at = r * n;
        uint4 slope[COUNT], held[COUNT];
        float sum = 0;
#pragma unroll
        for (int i = 0; i < COUNT; i++) {
            slope[i] = row_load_whole<T>(g, at, n, t + i * THREADS, 0);
            held[i] = row_load_whole<T>(y, at, n, t + i * THREADS, 0);
        }
#pragma unroll
        for (int i = 0; i < COUNT; i++) {
            float a[T::n], b[T::n];
            T::get(a, slope[i]);
            T::get(b, held[i]);
#pragma unroll
            for (int j = 0; j < T::n; j++) sum += log ? a[j] : a[j] * b[j];
        }
        sum = row_all<row_sum, THREADS>(sum);
#pragma unroll
        for (int i = 0; i < COUNT; i++) {
            float a[T::n], b[T::n];
            row_forget(slope[i]);
            row_forget(held[i]);
            T::get(a, slope[i]);
            T::get(b, held[i]);
            sm_slope<T>(a, b, log, sum);
            row_store_whole<T>(out, at, n, t + i * THREADS, a);
        }
    }
}

/* Rows of any length: maximum and sum in one pass (Milakov, Gimelshein 2018, arXiv:1805.02867), the result in a second. */
template <class T, int THREADS> EL_FN void sm_forward_long(void *out, const void *x, int64_t rows, int64_t n, int log) {
    SM_ROWS(r) {
        const row_place<T> place(x, r * n, n);
        float high = SM_LOW, sum = 0;
        for (int64_t i = t; place.any(i); i += THREADS) {
            float v[T::n], most = high;
            T::get(v, row_load<T>(x, place, i, SM_LOW));
#pragma unroll
            for (int j = 0; j < T::n; j++) most = row_highest::join(most, v[j]);
            if (most == SM_LOW) continue;
            sum *= T::exp(high - most);
#pragma unroll
            for (int j = 0; j < T::n; j++) sum += T::exp(v[j] - most);
            high = most;
        }
        const float most = row_all<row_highest, THREADS>(high);
        sum = row_all<row_sum, THREADS>(high == most ? sum : sum * T::exp(high - most));
        if (most == SM_LOW) sum = n ? most - most : sum;
        const float shift = logf(sum), scale = 1 / sum;
        for (int64_t i = t; place.any(i); i += THREADS) {
            float v[T::n];
            T::get(v, row_load<T>(x, place, i, SM_LOW));
            sm_result<T>(v, log, most, shift, scale);
            row_store<T>(out, place, i, v);
        }
    }
}
template <class T, int THREADS> EL_FN void sm_backward_long(void *out, const void *g, const void *y, int64_t rows, int64_t n, int log) {
    SM_ROWS(r) {
        const row_place<T> place(y, r * n, n);
        float sum = 0;
        for (int64_t i = t; place.any(i); i += THREADS) {
            float a[T::n], b[T::n];
            T::get(a, row_load<T>(g, place, i, 0));
            T::get(b, row_load<T>(y, place, i, 0));
#pragma unroll
            for (int j = 0; j < T::n; j++) sum += log ? a[j] : a[j] * b[j];
        }
        sum = row_all<row_sum, THREADS>(sum);
        for (int64_t i = t; place.any(i); i += THREADS) {
            float a[T::n], b[T::n];
            T::get(a, row_load<T>(g, place, i, 0));
            T::get(b, row_load<T>(y, place, i, 0));
            sm_slope<T>(a, b, log, sum);
            row_store<T>(out, place, i, a);
        }
    }
}

#define SM_ENTRY(name, block, call)                                                                                    \
    extern "C" __global__ void __launch_bounds__(block, 1) softmax_##name(void *out, const void *x, const void *y,     \
                                                                          long long rows, long long n, int log) {      \
        (void)y;                                                                                                       \
        call;                                                                                                          \
    }
#define SM_HELD(dtype, threads, count, block)                                                                          \
    SM_ENTRY(dtype##_##threads##_##count, block, (sm_forward<row_##dtype, threads, count>(out, x, rows, n, log)))      \
    SM_ENTRY(backward_##dtype##_##threads##_##count, block, (sm_backward<row_##dtype, threads, count>(out, x, y, rows, n, log)))
#define SM_DTYPE(dtype)                                                                                                \
    SM_HELD(dtype, 8, 1, 256)                                                                                          \
    SM_HELD(dtype, 8, 4, 256)                                                                                          \
    SM_HELD(dtype, 32, 4, 256)                                                                                         \
    SM_HELD(dtype, 32, 8, 256)                                                                                         \
    SM_HELD(dtype, 256, 2, 256)                                                                                        \
    SM_HELD(dtype, 256, 4, 256)                                                                                        \
    SM_HELD(dtype, 256, 8, 256)                                                                                        \
    SM_HELD(dtype, 512, 8, 512)                                                                                        \
    SM_ENTRY(dtype##_long, 1024, (sm_forward_long<row_##dtype, 1024>(out, x, rows, n, log)))                           \
    SM_ENTRY(backward_##dtype##_long, 1024, (sm_backward_long<row_##dtype, 1024>(out, x, y, rows, n, log)))
SM_DTYPE(f32)
/* Of the half dtypes so many elements do not fit the registers. */
SM_ENTRY(f32_512_16, 512, (sm_forward<row_f32, 512, 16>(out, x, rows, n, log)))
SM_DTYPE(bf16)
SM_DTYPE(f16)
