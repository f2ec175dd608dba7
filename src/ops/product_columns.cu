/* What follows a product over its columns: times the slope of gelu in place, and sums over rows for the gradient of a bias. A
 * block has 32 threads of 16 bytes side by side and 8 rows below one another; its sums are joined in a fixed order. */
#include "ops/gemm_store.cuh"
#include "ops/product_columns.h"
#include "ops/row_hold.cuh"

enum { LANES = 32, WARPS = TAPER_COLUMNS_THREADS / LANES, DEEP = 4 };

/* Half precision rounds away what the fast exponential loses: gelu by tanh is x times a sigmoid. */
template <class T> EL_FN float columns_slope(float x, bool by_tanh) {
    if (T::dtype == TAPER_F32 || !by_tanh) return gs_gelu_slope(x, by_tanh);
    const float k = 2 * 0.79788456080286535588f, square = x * x;
    const float s = __fdividef(1.0f, 1 + __expf(-k * x * (1 + 0.044715f * square)));
    return s + x * s * (1 - s) * k * (1 + 3 * 0.044715f * square);
}

template <class T, bool SLOPE> EL_FN void columns_pass(const taper_columns_args &g) {
    __shared__ float part[WARPS][LANES * T::n];
    const int lane = threadIdx.x % LANES, warp = threadIdx.x / LANES;
    const int64_t column = (blockIdx.x * (int64_t)LANES + lane) * T::n, first = blockIdx.y * g.rows_each;
    const int64_t last = first + g.rows_each < g.m ? first + g.rows_each : g.m;
    float sum[T::n] = {};
    if (column < g.n)
        for (int64_t row = first + warp; row < last; row += WARPS * DEEP) {
            uint4 c[DEEP], aux[DEEP];
#pragma unroll
            for (int i = 0; i < DEEP; i++)
                if (row + i * WARPS < last) {
                    c[i] = *row_address<T>(g.c, (row + i * WARPS) * g.n + column);
                    if (SLOPE) aux[i] = *row_address<T>(g.aux, (row + i * WARPS) * g.n + column);
                }
#pragma unroll
            for (int i = 0; i < DEEP; i++)
                if (row + i * WARPS < last) {
                    float v[T::n], x[T::n];
                    T::get(v, c[i]);
                    if (SLOPE) T::get(x, aux[i]);
#pragma unroll
                    for (int j = 0; j < T::n; j++) {
                        if (SLOPE) v[j] *= columns_slope<T>(x[j], g.by_tanh);
                        sum[j] += v[j];
                    }
                    if (SLOPE) *(uint4 *)row_address<T>(g.c, (row + i * WARPS) * g.n + column) = T::put(v);
                }
        }
    if (!g.partial) return;
#pragma unroll
    for (int j = 0; j < T::n; j++) part[warp][j * LANES + lane] = sum[j];
    __syncthreads();
    for (int i = threadIdx.x; i < LANES * T::n; i += TAPER_COLUMNS_THREADS) {
        const int64_t at = (blockIdx.x * (int64_t)LANES + i % LANES) * T::n + i / LANES;
        float all = 0;
#pragma unroll
        for (int w = 0; w < WARPS; w++) all += part[w][i];
        if (at < g.n) g.partial[blockIdx.y * g.n + at] = all;
    }
}
#define COLUMNS_KERNELS(type)                                                                                          \
    extern "C" __global__ void __launch_bounds__(TAPER_COLUMNS_THREADS) product_slope_##type(const __grid_constant__ taper_columns_args g) { \
        columns_pass<row_##type, true>(g);                                                                             \
    }                                                                                                                  \
    extern "C" __global__ void __launch_bounds__(TAPER_COLUMNS_THREADS) product_columns_##type(const __grid_constant__ taper_columns_args g) { \
        columns_pass<row_##type, false>(g);                                                                            \
    }
COLUMNS_KERNELS(f32)
COLUMNS_KERNELS(f16)
COLUMNS_KERNELS(bf16)

/* sums[column] = the partial sums of all chunks of rows. */
extern "C" __global__ void __launch_bounds__(TAPER_COLUMNS_THREADS) product_columns_join(const __grid_constant__ taper_columns_args g) {
    __shared__ float part[WARPS][LANES];
    const int lane = threadIdx.x % LANES, warp = threadIdx.x / LANES;
    const int64_t column = blockIdx.x * (int64_t)LANES + lane;
    float sum = 0;
    if (column < g.n) {
#pragma unroll 8
        for (int chunk = warp; chunk < g.chunks; chunk += WARPS) sum += g.partial[chunk * g.n + column];
    }
    part[warp][lane] = sum;
    __syncthreads();
    if (warp || column >= g.n) return;
#pragma unroll
    for (int w = 1; w < WARPS; w++) sum += part[w][lane];
    el_store<float>(g.sums, column, g.dtype, sum);
}
