/* One kernel per row of pointwise_rows.def and compute type `real`: a flat path of four or eight elements per thread,
 * and a path for any strides. Dtypes of operands are run-time numbers (elements.cuh). */
#ifndef TAPER_OPS_POINTWISE_CUH
#define TAPER_OPS_POINTWISE_CUH

#include "ops/elements.cuh"
#include "ops/pointwise_args.h"

EL_FN void pw_number(const taper_pointwise_args &k, int i, float *x) { *x = (float)k.number[i]; }
EL_FN void pw_number(const taper_pointwise_args &k, int i, double *x) { *x = k.number[i]; }
EL_FN void pw_number(const taper_pointwise_args &k, int i, int64_t *x) { *x = k.integer[i]; }

/* Double and integer kernels take one element at a time: a wide path would be half of all code for few who need it. */
template <class F, class R> EL_FN int64_t pw_wide(const taper_pointwise_args &, const R *, int64_t, int64_t) { return 0; }
/* One element of a dtype that el_load8 knows. */
EL_FN float pw_one(const void *p, int64_t at, int dtype) {
    if (dtype == TAPER_F32) return ((const float *)p)[at];
    if (dtype == TAPER_BF16) return __uint_as_float((unsigned)((const uint16_t *)p)[at] << 16);
    return dtype == TAPER_F16 ? __half2float(((const __half *)p)[at]) : (float)((const uint8_t *)p)[at];
}
/* Whole vectors of a flat call; gives how many elements that were. Float kernels take eight elements, of one row where there are
 * two dims. They are computed in two halves by the same code. */
template <class F> EL_FN int64_t pw_wide(const taper_pointwise_args &k, const float *same, int64_t thread, int64_t threads) {
    const int64_t whole = k.n / TAPER_PWA_EIGHT * TAPER_PWA_EIGHT;
    for (int64_t at = thread * TAPER_PWA_EIGHT; at < whole; at += threads * TAPER_PWA_EIGHT) {
        float x[F::operands][TAPER_PWA_EIGHT], y[TAPER_PWA_EIGHT];
        const int64_t row = k.flat == 3 ? el_divide(at, k.shape[1], k.inverse[1]) : 0, column = at - row * k.shape[1];
#pragma unroll
        for (int i = 0; i < F::operands; i++) {
            if (k.step[i + 1]) {
                el_load8(x[i], k.data[i + 1], k.flat == 3 ? row * k.strides[i + 1][0] + column : at, k.dtype[i + 1]);
            } else {
                const bool load = k.flat == 3 && k.data[i + 1];
                const float one = load ? pw_one(k.data[i + 1], row * k.strides[i + 1][0], k.dtype[i + 1]) : same[i];
#pragma unroll
                for (int j = 0; j < TAPER_PWA_EIGHT; j++) x[i][j] = one;
            }
        }
#pragma unroll 1
        for (int half = 0; half < 2; half++) {
#pragma unroll
            for (int j = 0; j < 4; j++) {
                float v[F::operands];
#pragma unroll
                for (int i = 0; i < F::operands; i++) v[i] = x[i][j], x[i][j] = x[i][j + 4];
                y[j] = y[j + 4];
                y[j + 4] = (float)F::run(v, k.params);
            }
        }
        el_store8(k.data[0], at, k.dtype[0], y);
    }
    return whole;
}

/* One element of any dtype, as a call: inlined into every kernel's strided path it was most of the code and of the compiling. */
template <class R> static __device__ __noinline__ R pw_load(const void *p, int64_t at, int dtype) { return el_load<R>(p, at, dtype); }
template <class R> static __device__ __noinline__ void pw_store(void *p, int64_t at, int dtype, R v) { el_store<R>(p, at, dtype, v); }

/* F::run(x, params) computes one element of F::operands operands. */
template <class R, class F> EL_FN void pw_run(const taper_pointwise_args &k) {
    const int64_t thread = blockIdx.x * (int64_t)blockDim.x + threadIdx.x, threads = gridDim.x * (int64_t)blockDim.x;
    R same[F::operands];
#pragma unroll
    for (int i = 0; i < F::operands; i++) {
        pw_number(k, i + 1, &same[i]);
        if (k.data[i + 1] && k.flat && !k.step[i + 1]) same[i] = pw_load<R>(k.data[i + 1], 0, k.dtype[i + 1]);
    }
    int64_t done = 0;
    if (k.flat >= 2) done = pw_wide<F>(k, same, thread, threads);
    for (int64_t at = done + thread; at < k.n; at += threads) {
        int64_t where[F::operands + 1];
        if (k.flat) {
#pragma unroll
            for (int i = 0; i <= F::operands; i++) where[i] = i == 0 || k.step[i] ? at : 0;
        } else {
#pragma unroll
            for (int i = 0; i <= F::operands; i++) where[i] = 0;
            int64_t rest = at;
            for (int d = k.ndim - 1; d >= 0; d--) {
                const int64_t up = d ? el_divide(rest, k.shape[d], k.inverse[d]) : 0, index = rest - up * k.shape[d];
                rest = up;
#pragma unroll
                for (int i = 0; i <= F::operands; i++) where[i] += index * k.strides[i][d];
            }
        }
        R v[F::operands];
#pragma unroll
        for (int i = 0; i < F::operands; i++)
            v[i] = !k.data[i + 1] || (k.flat && !k.step[i + 1]) ? same[i] : pw_load<R>(k.data[i + 1], where[i + 1], k.dtype[i + 1]);
        pw_store<R>(k.data[0], where[0], k.dtype[0], (R)F::run(v, k.params));
    }
}

#define P(k) ((real)params[k])
#define K(x) ((real)(x))
#define PW_LET_1 const real a = x[0]; (void)a;
#define PW_LET_2 PW_LET_1 const real b = x[1]; (void)b;
#define PW_LET_3 PW_LET_2 const real c = x[2]; (void)c;

#define PW_KERNEL(name, count, expression)                                                                             \
    struct row_##name {                                                                                                \
        static const int operands = count;                                                                             \
        static EL_FN_MEMBER real run(const real *x, const double *params) {                                            \
            (void)params;                                                                                              \
            PW_LET_##count return (real)(expression);                                                                  \
        }                                                                                                              \
    };                                                                                                                 \
    extern "C" __global__ void __launch_bounds__(256, PW_BLOCKS) PW_NAME(name)(                                   \
        const __grid_constant__ taper_pointwise_args k) {                                                              \
        pw_run<real, row_##name>(k);                                                                                   \
    }
#define EL_FN_MEMBER __device__ __forceinline__

#endif
