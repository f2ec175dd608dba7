/* layer_norm and rms_norm of rows that are whole times 16 bytes and fit the registers of a block: forward reads x once, backward
 * reads g and x once and sums the gradients of weight and bias on the way. Statistics are float. */
#include "ops/layer_norm_args.h"
#include "ops/row_hold.cuh"

#define LN_ROWS(r)                                                                                                     \
    const int t = threadIdx.x % THREADS;                                                                               \
    for (int64_t r = blockIdx.x * (int64_t)(TAPER_LN_THREADS / THREADS) + threadIdx.x / THREADS; r < rows; r += gridDim.x * (int64_t)(TAPER_LN_THREADS / THREADS))

/* mean NULL: rms. w and b may be NULL. ADD: of sum = x + other. */
template <class T, int THREADS, int COUNT, bool ADD> EL_FN void ln_forward(void *y, const void *x, const void *w, const void *b, float *mean, float *rstd, const void *other, void *sum, int64_t rows, int64_t n, double eps) {
    LN_ROWS(r) {
        uint4 held[COUNT];
        float m = 0, q = 0;
#pragma unroll
        for (int i = 0; i < COUNT; i++) held[i] = row_load_whole<T>(x, r * n, n, t + i * THREADS, 0);
        if (ADD) {
#pragma unroll
            for (int i = 0; i < COUNT; i++) {
                float v[T::n], u[T::n];
                T::get(v, held[i]);
                T::get(u, row_load_whole<T>(other, r * n, n, t + i * THREADS, 0));
#pragma unroll
                for (int j = 0; j < T::n; j++) v[j] += u[j], m += v[j]; /* the mean of what was not rounded yet */
                held[i] = T::put(v);
                row_store_whole<T>(sum, r * n, n, t + i * THREADS, held[i]);
            }
        }
        if (mean && !ADD) {
#pragma unroll
            for (int i = 0; i < COUNT; i++) {
                float v[T::n];
                T::get(v, held[i]);
#pragma unroll
                for (int j = 0; j < T::n; j++) m += v[j];
            }
        }
        m = mean ? row_all<row_sum, THREADS>(m) / (float)n : 0;
#pragma unroll
        for (int i = 0; i < COUNT; i++) {
            float v[T::n];
            row_forget(held[i]);
            T::get(v, held[i]);
            if ((t + i * THREADS) * T::n < n) {
#pragma unroll
                for (int j = 0; j < T::n; j++) q += (v[j] - m) * (v[j] - m);
            }
        }
        q = 1 / sqrtf(row_all<row_sum, THREADS>(q) / (float)n + (float)eps);
#pragma unroll
        for (int i = 0; i < COUNT; i++) {
            float v[T::n], u[T::n];
            const int at = t + i * THREADS;
            row_forget(held[i]);
            T::get(v, held[i]);
#pragma unroll
            for (int j = 0; j < T::n; j++) v[j] = (v[j] - m) * q;
            if (w) {
                T::get(u, row_load_whole<T>(w, 0, n, at, 0));
#pragma unroll
                for (int j = 0; j < T::n; j++) v[j] *= u[j];
            }
            if (b) {
                T::get(u, row_load_whole<T>(b, 0, n, at, 0));
#pragma unroll
                for (int j = 0; j < T::n; j++) v[j] += u[j];
            }
            row_store_whole<T>(y, r * n, n, at, v);
        }
        if (t == 0) {
            if (mean) mean[r] = m;
            rstd[r] = q;
        }
    }
}

/* add NULL, or to be added to dx. partial NULL, or [gridDim.x][2][n]: what this block's rows give to weight and bias. */
template <class T, int THREADS, int COUNT> EL_FN void ln_backward(void *dx, const void *g, const void *x, const void *w, const float *mean, const float *rstd, const void *add, float *partial, int64_t rows, int64_t n) {
    float dw[COUNT][T::n], db[COUNT][T::n];
#pragma unroll
    for (int i = 0; i < COUNT; i++)
#pragma unroll
        for (int j = 0; j < T::n; j++) dw[i][j] = db[i][j] = 0;
    LN_ROWS(r) {
        uint4 slope[COUNT], held[COUNT];
        const float m = mean ? mean[r] : 0, q = rstd[r];
        float s1 = 0, s2 = 0;
#pragma unroll
        for (int i = 0; i < COUNT; i++) {
            slope[i] = row_load_whole<T>(g, r * n, n, t + i * THREADS, 0);
            held[i] = row_load_whole<T>(x, r * n, n, t + i * THREADS, 0);
        }
#pragma unroll
        for (int i = 0; i < COUNT; i++) {
            float a[T::n], v[T::n], u[T::n];
            T::get(a, slope[i]);
            T::get(v, held[i]);
            if (w) T::get(u, row_load_whole<T>(w, 0, n, t + i * THREADS, 0));
#pragma unroll
            for (int j = 0; j < T::n; j++) {
                const float up = (v[j] - m) * q, gw = w ? a[j] * u[j] : a[j];
                dw[i][j] += a[j] * up;
                db[i][j] += a[j];
                s1 += gw;
                s2 += gw * up;
            }
        }
        s1 = mean ? row_all<row_sum, THREADS>(s1) / (float)n : 0;
        s2 = row_all<row_sum, THREADS>(s2) / (float)n;
#pragma unroll
        for (int i = 0; i < COUNT; i++) {
            float a[T::n], v[T::n], u[T::n];
            row_forget(slope[i]);
            row_forget(held[i]);
            T::get(a, slope[i]);
            T::get(v, held[i]);
            if (w) T::get(u, row_load_whole<T>(w, 0, n, t + i * THREADS, 0));
#pragma unroll
            for (int j = 0; j < T::n; j++) a[j] = q * ((w ? a[j] * u[j] : a[j]) - s1 - (v[j] - m) * q * s2);
            if (add) {
                T::get(u, row_load_whole<T>(add, r * n, n, t + i * THREADS, 0));
#pragma unroll
                for (int j = 0; j < T::n; j++) a[j] += u[j];
            }
            row_store_whole<T>(dx, r * n, n, t + i * THREADS, a);
        }
    }
    if (!partial) return;
    /* The rows of a block at a time, one warp after the other where each had rows of its own. */
    float *pw = partial + blockIdx.x * 2 * n, *pb = pw + n;
    for (int turn = 0; turn < TAPER_LN_THREADS / THREADS; turn++) {
        if (threadIdx.x / THREADS == turn) {
#pragma unroll
            for (int i = 0; i < COUNT; i++) {
                const int64_t at = (int64_t)(t + i * THREADS) * T::n;
                if (at >= n) continue;
#pragma unroll
                for (int j = 0; j < T::n; j += 4) {
                    float4 a = make_float4(dw[i][j], dw[i][j + 1], dw[i][j + 2], dw[i][j + 3]), b = make_float4(db[i][j], db[i][j + 1], db[i][j + 2], db[i][j + 3]);
                    if (turn) {
                        const float4 c = *(float4 *)(pw + at + j), d = *(float4 *)(pb + at + j);
                        a.x += c.x, a.y += c.y, a.z += c.z, a.w += c.w;
                        b.x += d.x, b.y += d.y, b.z += d.z, b.w += d.w;
                    }
                    *(float4 *)(pw + at + j) = a;
                    *(float4 *)(pb + at + j) = b;
                }
            }
        }
        __syncthreads();
    }
}

/* Columns of partial[parts][2 n] added up: 32 columns by 32 parts of a block at a time. */
extern "C" __global__ void __launch_bounds__(1024) layer_norm_rows_join(void *dw, void *db, const float *partial, long long n, int parts, int dtype) {
    __shared__ float part[32][33];
    const int64_t column = blockIdx.x * (int64_t)32 + threadIdx.x;
    float sum = 0;
    if (column < 2 * n) {
#pragma unroll 4
        for (int p = threadIdx.y; p < parts; p += 32) sum += partial[p * 2 * n + column];
    }
    part[threadIdx.y][threadIdx.x] = sum;
    __syncthreads();
    sum = part[threadIdx.x][threadIdx.y];
#pragma unroll
    for (int d = 16; d > 0; d /= 2) sum += __shfl_xor_sync(0xffffffffu, sum, d);
    const int64_t mine = blockIdx.x * (int64_t)32 + threadIdx.y;
    if (threadIdx.x == 0 && mine < 2 * n) el_store<float>(mine < n ? dw : db, mine < n ? mine : mine - n, dtype, sum);
}

#define LN_FORWARD(dtype, threads, count)                                                                              \
    extern "C" __global__ void __launch_bounds__(TAPER_LN_THREADS, 1) layer_norm_##dtype##_##threads##_##count(        \
        void *y, const void *x, const void *w, const void *b, float *mean, float *rstd, const void *other, void *sum, long long rows, long long n, double eps) { \
        ln_forward<row_##dtype, threads, count, false>(y, x, w, b, mean, rstd, other, sum, rows, n, eps);              \
    }                                                                                                                  \
    extern "C" __global__ void __launch_bounds__(TAPER_LN_THREADS, 1) layer_norm_add_##dtype##_##threads##_##count(    \
        void *y, const void *x, const void *w, const void *b, float *mean, float *rstd, const void *other, void *sum, long long rows, long long n, double eps) { \
        ln_forward<row_##dtype, threads, count, true>(y, x, w, b, mean, rstd, other, sum, rows, n, eps);               \
    }
#define LN_BACKWARD(dtype, threads, count, blocks)                                                                         \
    extern "C" __global__ void __launch_bounds__(TAPER_LN_THREADS, blocks) layer_norm_backward_##dtype##_##threads##_##count( \
        void *dx, const void *g, const void *x, const void *w, const float *mean, const float *rstd, const void *add, float *partial, long long rows, long long n) { \
        ln_backward<row_##dtype, threads, count>(dx, g, x, w, mean, rstd, add, partial, rows, n);                      \
    }
/* blocks: on a multiprocessor at least; two leave 128 registers to a thread. */
#define LN_DTYPE(dtype, blocks)                                                                                        \
    LN_FORWARD(dtype, 8, 1) LN_FORWARD(dtype, 8, 4) LN_FORWARD(dtype, 32, 4) LN_FORWARD(dtype, 32, 8) LN_FORWARD(dtype, 256, 4) LN_FORWARD(dtype, 256, 8) \
    LN_BACKWARD(dtype, 8, 1, blocks) LN_BACKWARD(dtype, 32, 1, blocks) LN_BACKWARD(dtype, 32, 4, blocks) LN_BACKWARD(dtype, 256, 1, blocks) LN_BACKWARD(dtype, 256, 2, blocks) LN_BACKWARD(dtype, 256, 4, blocks)
LN_DTYPE(f32, 2)
LN_DTYPE(bf16, 2)
LN_DTYPE(f16, 1)
