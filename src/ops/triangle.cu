/* tril and triu. */
#include "ops/elements.cuh"
#include "ops/triangle_args.h"

template <class U> EL_FN void triangle_keep(const taper_triangle_args &k) {
    const bool small = k.n <= 0x7fffffff;
    for (int64_t e = blockIdx.x * (int64_t)blockDim.x + threadIdx.x; e < k.n; e += gridDim.x * (int64_t)blockDim.x) {
        const int64_t line = small ? (int64_t)((unsigned)e / (unsigned)k.cols) : e / k.cols, col = e - line * k.cols;
        const int64_t row = small ? (int64_t)((unsigned)line % (unsigned)k.rows) : line % k.rows;
        const bool keep = k.upper ? col - row >= k.diagonal : col - row <= k.diagonal;
        ((U *)k.out)[e] = keep ? ((const U *)k.in)[e] : (U)0;
    }
}
extern "C" __global__ void __launch_bounds__(256) triangle_1(const __grid_constant__ taper_triangle_args k) { triangle_keep<uint8_t>(k); }
extern "C" __global__ void __launch_bounds__(256) triangle_2(const __grid_constant__ taper_triangle_args k) { triangle_keep<uint16_t>(k); }
extern "C" __global__ void __launch_bounds__(256) triangle_4(const __grid_constant__ taper_triangle_args k) { triangle_keep<uint32_t>(k); }
extern "C" __global__ void __launch_bounds__(256) triangle_8(const __grid_constant__ taper_triangle_args k) { triangle_keep<uint64_t>(k); }
