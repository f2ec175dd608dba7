/* Running sums and products in float, double or int64_t. The tree is fixed by the shape. */
#include "ops/elements.cuh"
#include "ops/scan_args.h"

template <class R> EL_FN R scan_join(R a, R b, bool product) { return product ? a * b : a + b; }

/* The scan of one value per thread over the block, this thread's own excluded; *total: of all. */
template <class R> EL_FN R scan_block(R v, R none, bool product, R *total) {
    __shared__ R part[TAPER_SCAN_THREADS / 32];
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    R sum = v, before;
#pragma unroll
    for (int d = 1; d < 32; d *= 2) {
        const R up = __shfl_up_sync(0xffffffffu, sum, d);
        if (lane >= d) sum = scan_join(up, sum, product);
    }
    before = __shfl_up_sync(0xffffffffu, sum, 1);
    if (lane == 0) before = none;
    __syncthreads();
    if (lane == 31) part[warp] = sum;
    __syncthreads();
    R left = none, all = none;
#pragma unroll
    for (int w = 0; w < TAPER_SCAN_THREADS / 32; w++) {
        left = w == warp ? all : left;
        all = scan_join(all, part[w], product);
    }
    *total = all;
    return scan_join(left, before, product);
}

/* inner is 1: a block per chunk. */
template <class R> EL_FN void scan_lanes(const taper_scan_args &k) {
    const R none = k.product ? (R)1 : (R)0;
    const int64_t begin = blockIdx.x * k.chunk, end = begin + k.chunk < k.n ? begin + k.chunk : k.n;
    for (int64_t o = blockIdx.y; o < k.outer; o += gridDim.y) {
        const int64_t item = o * k.chunks + blockIdx.x, row = o * k.n;
        R carry = k.before && blockIdx.x ? ((const R *)k.before)[item - 1] : none;
        for (int64_t tile = begin; tile < end; tile += TAPER_SCAN_TILE) {
            const int64_t at = tile + (int64_t)threadIdx.x * TAPER_SCAN_EACH;
            R x[TAPER_SCAN_EACH], total;
            const bool four = k.wide && at < end; /* chunks are whole times four */
            if (four) {
                el_load4<R>(x, k.in, row + at, k.dtype_in);
            } else {
#pragma unroll
                for (int j = 0; j < TAPER_SCAN_EACH; j++) x[j] = at + j < end ? el_load<R>(k.in, row + at + j, k.dtype_in) : none;
            }
#pragma unroll
            for (int j = 1; j < TAPER_SCAN_EACH; j++) x[j] = scan_join(x[j - 1], x[j], k.product);
            const R left = scan_join(carry, scan_block(x[TAPER_SCAN_EACH - 1], none, k.product, &total), k.product);
            if (k.out) {
#pragma unroll
                for (int j = 0; j < TAPER_SCAN_EACH; j++) x[j] = scan_join(left, x[j], k.product);
                if (four) {
                    el_store4<R>(k.out, row + at, k.dtype_out, x);
                } else {
#pragma unroll
                    for (int j = 0; j < TAPER_SCAN_EACH; j++)
                        if (at + j < end) el_store<R>(k.out, row + at + j, k.dtype_out, x[j]);
                }
            }
            carry = scan_join(carry, total, k.product);
        }
        if (!k.out && threadIdx.x == 0) ((R *)k.totals)[item] = carry;
    }
}

/* A thread per column of a chunk. */
template <class R> EL_FN void scan_columns(const taper_scan_args &k) {
    const R none = k.product ? (R)1 : (R)0;
    const int64_t column = blockIdx.x * (int64_t)blockDim.x + threadIdx.x, begin = blockIdx.y * k.chunk;
    const int64_t end = begin + k.chunk < k.n ? begin + k.chunk : k.n;
    if (column >= k.inner) return;
    for (int64_t o = blockIdx.z; o < k.outer; o += gridDim.z) {
        const int64_t item = (o * k.chunks + blockIdx.y) * k.inner + column;
        R carry = k.before && blockIdx.y ? ((const R *)k.before)[item - k.inner] : none;
        for (int64_t i = begin; i < end; i += 4) {
            const int64_t at = (o * k.n + i) * k.inner + column;
            R x[4];
#pragma unroll
            for (int j = 0; j < 4; j++) x[j] = i + j < end ? el_load<R>(k.in, at + j * k.inner, k.dtype_in) : none;
#pragma unroll
            for (int j = 0; j < 4; j++) {
                carry = scan_join(carry, x[j], k.product);
                if (k.out && i + j < end) el_store<R>(k.out, at + j * k.inner, k.dtype_out, carry);
            }
        }
        if (!k.out) ((R *)k.totals)[item] = carry;
    }
}

/* A thread per four neighbouring columns of a chunk. */
template <class R> EL_FN void scan_columns4(const taper_scan_args &k) {
    const R none = k.product ? (R)1 : (R)0;
    const int64_t column = (blockIdx.x * (int64_t)blockDim.x + threadIdx.x) * 4, begin = blockIdx.y * k.chunk;
    const int64_t end = begin + k.chunk < k.n ? begin + k.chunk : k.n;
    if (column >= k.inner) return;
    for (int64_t o = blockIdx.z; o < k.outer; o += gridDim.z) {
        const int64_t item = (o * k.chunks + blockIdx.y) * k.inner + column;
        R carry[4];
#pragma unroll
        for (int c = 0; c < 4; c++) carry[c] = k.before && blockIdx.y ? ((const R *)k.before)[item - k.inner + c] : none;
        for (int64_t i = begin; i < end; i += 4) {
            const int64_t at = (o * k.n + i) * k.inner + column;
            R x[4][4];
#pragma unroll
            for (int j = 0; j < 4; j++)
                if (i + j < end) el_load4<R>(x[j], k.in, at + j * k.inner, k.dtype_in);
#pragma unroll
            for (int j = 0; j < 4; j++) {
                if (i + j >= end) break;
#pragma unroll
                for (int c = 0; c < 4; c++) carry[c] = scan_join(carry[c], x[j][c], k.product);
                if (k.out) el_store4<R>(k.out, at + j * k.inner, k.dtype_out, carry);
            }
        }
        if (!k.out) {
#pragma unroll
            for (int c = 0; c < 4; c++) ((R *)k.totals)[item + c] = carry[c];
        }
    }
}

#define SCAN_KERNELS(name, R)                                                                                          \
    extern "C" __global__ void __launch_bounds__(TAPER_SCAN_THREADS, 4) scan_lanes_##name(const __grid_constant__ taper_scan_args k) { \
        scan_lanes<R>(k);                                                                                              \
    }                                                                                                                  \
    extern "C" __global__ void __launch_bounds__(TAPER_SCAN_THREADS, 4) scan_columns_##name(const __grid_constant__ taper_scan_args k) { \
        scan_columns<R>(k);                                                                                            \
    }                                                                                                                  \
    extern "C" __global__ void __launch_bounds__(TAPER_SCAN_THREADS, 2) scan_columns4_##name(const __grid_constant__ taper_scan_args k) { \
        scan_columns4<R>(k);                                                                                           \
    }
SCAN_KERNELS(f32, float)
SCAN_KERNELS(f64, double)
SCAN_KERNELS(i64, int64_t)
