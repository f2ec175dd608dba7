/* layer_norm and rms_norm over rows of n, one block per row; the gradient of weight and bias by columns, in two passes of
 * fixed order. Computed in float (double for float64). */
#include "ops/elements.cuh"

enum { LN_THREADS = 256 };

template <class R> EL_FN R ln_block(R v) {
    __shared__ R part[LN_THREADS / 32];
#pragma unroll
    for (int d = 16; d > 0; d /= 2) v += __shfl_xor_sync(0xffffffffu, v, d);
    __syncthreads();
    if (threadIdx.x % 32 == 0) part[threadIdx.x / 32] = v;
    __syncthreads();
    v = part[0];
#pragma unroll
    for (int i = 1; i < LN_THREADS / 32; i++) v += part[i];
    return v;
}
EL_FN float ln_rsqrt(float x) { return 1 / sqrtf(x); }
EL_FN double ln_rsqrt(double x) { return 1 / sqrt(x); }

template <class R> EL_FN void ln_add(void *sum, const void *x, const void *other, int64_t count, int dtype) {
    for (int64_t i = blockIdx.x * (int64_t)LN_THREADS + threadIdx.x; i < count; i += gridDim.x * (int64_t)LN_THREADS)
        el_store<R>(sum, i, dtype, el_load<R>(x, i, dtype) + el_load<R>(other, i, dtype));
}

/* mean NULL: rms. w and b may be NULL; mean and rstd are arrays of R. */
template <class R> EL_FN void ln_forward(void *y, const void *x, const void *w, const void *b, R *mean, R *rstd, int64_t rows, int64_t n, double eps, int dtype) {
    for (int64_t r = blockIdx.x; r < rows; r += gridDim.x) {
        const int64_t at = r * n;
        R m = 0, q = 0;
        if (mean) {
            for (int64_t i = threadIdx.x; i < n; i += LN_THREADS) m += el_load<R>(x, at + i, dtype);
            m = ln_block<R>(m) / (R)n;
        }
        for (int64_t i = threadIdx.x; i < n; i += LN_THREADS) {
            R d = el_load<R>(x, at + i, dtype) - m;
            q += d * d;
        }
        q = ln_rsqrt(ln_block<R>(q) / (R)n + (R)eps);
        for (int64_t i = threadIdx.x; i < n; i += LN_THREADS) {
            R v = (el_load<R>(x, at + i, dtype) - m) * q;
            if (w) v *= el_load<R>(w, i, dtype);
            if (b) v += el_load<R>(b, i, dtype);
            el_store<R>(y, at + i, dtype, v);
        }
        if (threadIdx.x == 0) {
            if (mean) mean[r] = m;
            rstd[r] = q;
        }
    }
}

template <class R> EL_FN void ln_backward(void *dx, const void *g, const void *x, const void *w, const R *mean, const R *rstd, const void *add, int64_t rows, int64_t n, int dtype) {
    for (int64_t r = blockIdx.x; r < rows; r += gridDim.x) {
        const int64_t at = r * n;
        const R m = mean ? mean[r] : 0, q = rstd[r];
        R s1 = 0, s2 = 0;
        for (int64_t i = threadIdx.x; i < n; i += LN_THREADS) {
            R gw = el_load<R>(g, at + i, dtype) * (w ? el_load<R>(w, i, dtype) : (R)1);
            s1 += gw;
            s2 += gw * (el_load<R>(x, at + i, dtype) - m) * q;
        }
        s1 = mean ? ln_block<R>(s1) / (R)n : 0;
        s2 = ln_block<R>(s2) / (R)n;
        for (int64_t i = threadIdx.x; i < n; i += LN_THREADS) {
            R gw = el_load<R>(g, at + i, dtype) * (w ? el_load<R>(w, i, dtype) : (R)1);
            R d = q * (gw - s1 - (el_load<R>(x, at + i, dtype) - m) * q * s2);
            if (add) d += el_load<R>(add, at + i, dtype);
            el_store<R>(dx, at + i, dtype, d);
        }
    }
}

/* Sums of columns over one part of the rows: partial[part][2][n]. Block: 32 columns by 8 rows. */
template <class R> EL_FN void ln_weights(R *partial, const void *g, const void *x, const R *mean, const R *rstd, int64_t rows, int64_t n, int64_t chunk, int dtype) {
    __shared__ R sw[8][32], sb[8][32];
    const int64_t col = blockIdx.x * (int64_t)32 + threadIdx.x, begin = blockIdx.y * chunk, end = begin + chunk < rows ? begin + chunk : rows;
    R dw = 0, db = 0;
    if (col < n)
        for (int64_t r = begin + threadIdx.y; r < end; r += 8) {
            R v = el_load<R>(g, r * n + col, dtype);
            dw += v * (el_load<R>(x, r * n + col, dtype) - (mean ? mean[r] : (R)0)) * rstd[r];
            db += v;
        }
    sw[threadIdx.y][threadIdx.x] = dw;
    sb[threadIdx.y][threadIdx.x] = db;
    __syncthreads();
    if (threadIdx.y == 0 && col < n) {
        for (int i = 1; i < 8; i++) dw += sw[i][threadIdx.x], db += sb[i][threadIdx.x];
        partial[(blockIdx.y * 2 + 0) * n + col] = dw;
        partial[(blockIdx.y * 2 + 1) * n + col] = db;
    }
}
template <class R> EL_FN void ln_join(void *dw, void *db, const R *partial, int64_t n, int parts, int dtype) {
    const int64_t col = blockIdx.x * (int64_t)blockDim.x + threadIdx.x;
    if (col >= n) return;
    R w = 0, b = 0;
    for (int p = 0; p < parts; p++) w += partial[(p * 2 + 0) * n + col], b += partial[(p * 2 + 1) * n + col];
    el_store<R>(dw, col, dtype, w);
    el_store<R>(db, col, dtype, b);
}

#define LN_KERNELS(name, R)                                                                                            \
    extern "C" __global__ void __launch_bounds__(256) layer_norm_add_##name(void *sum, const void *x, const void *other, long long count, int dtype) { \
        ln_add<R>(sum, x, other, count, dtype);                                                                        \
    }                                                                                                                  \
    extern "C" __global__ void __launch_bounds__(256) layer_norm_##name(void *y, const void *x, const void *w, const void *b, R *mean, R *rstd, \
                                                                        long long rows, long long n, double eps, int dtype) { \
        ln_forward<R>(y, x, w, b, mean, rstd, rows, n, eps, dtype);                                                    \
    }                                                                                                                  \
    extern "C" __global__ void __launch_bounds__(256) layer_norm_backward_##name(void *dx, const void *g, const void *x, const void *w, \
                                                                                 const R *mean, const R *rstd, const void *add, long long rows, long long n, int dtype) { \
        ln_backward<R>(dx, g, x, w, mean, rstd, add, rows, n, dtype);                                                  \
    }                                                                                                                  \
    extern "C" __global__ void __launch_bounds__(256) layer_norm_weights_##name(R *partial, const void *g, const void *x, const R *mean, const R *rstd, \
                                                                                long long rows, long long n, long long chunk, int dtype) { \
        ln_weights<R>(partial, g, x, mean, rstd, rows, n, chunk, dtype);                                               \
    }                                                                                                                  \
    extern "C" __global__ void __launch_bounds__(256) layer_norm_join_##name(void *dw, void *db, const R *partial, long long n, int parts, int dtype) { \
        ln_join<R>(dw, db, partial, n, parts, dtype);                                                                  \
    }
LN_KERNELS(f32, float)
LN_KERNELS(f64, double)
