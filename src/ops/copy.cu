/* Copies: any strides, any pair of dtypes. Values travel as double between two floating dtypes when one is float64, as
 * float otherwise, and as int64 from integers. */
#include "ops/elements.cuh"
#include "ops/pointwise_args.h"

EL_FN bool copy_integer(int dtype) { return dtype <= TAPER_I64; }

EL_FN void copy_one(const taper_pointwise_args &k, int64_t to, int64_t from) {
    if (copy_integer(k.dtype[1])) el_store<int64_t>(k.data[0], to, k.dtype[0], el_load<int64_t>(k.data[1], from, k.dtype[1]));
    else if (k.dtype[1] == TAPER_F64) el_store<double>(k.data[0], to, k.dtype[0], el_load<double>(k.data[1], from, k.dtype[1]));
    else el_store<float>(k.data[0], to, k.dtype[0], el_load<float>(k.data[1], from, k.dtype[1]));
}

EL_FN void copy_where(const taper_pointwise_args &k, int64_t at, int64_t *to, int64_t *from) {
    *to = *from = 0;
    for (int d = k.ndim - 1; d >= 0; d--) {
        int64_t up = k.n <= 0x7fffffff ? (unsigned)at / (unsigned)k.shape[d] : at / k.shape[d], index = at - up * k.shape[d];
        at = up;
        *to += index * k.strides[0][d];
        *from += index * k.strides[1][d];
    }
}

extern "C" __global__ void __launch_bounds__(256) copy_strided(const __grid_constant__ taper_pointwise_args k) {
    const int64_t threads = gridDim.x * (int64_t)blockDim.x;
    for (int64_t at = blockIdx.x * (int64_t)blockDim.x + threadIdx.x; at < k.n; at += threads) {
        int64_t to, from;
        copy_where(k, at, &to, &from);
        copy_one(k, to, from);
    }
}

/* Bytes only: units of 16 (or 8, or 4) bytes whose last dim lies densely on both sides; shape and strides are in units. */
template <class E> EL_FN void copy_units(const taper_pointwise_args &k) {
    const int64_t threads = gridDim.x * (int64_t)blockDim.x;
    for (int64_t at = blockIdx.x * (int64_t)blockDim.x + threadIdx.x; at < k.n; at += threads) {
        int64_t to, from;
        copy_where(k, at, &to, &from);
        ((E *)k.data[0])[to] = ((const E *)k.data[1])[from];
    }
}
extern "C" __global__ void __launch_bounds__(256) copy_units_16(const __grid_constant__ taper_pointwise_args k) { copy_units<uint4>(k); }
extern "C" __global__ void __launch_bounds__(256) copy_units_8(const __grid_constant__ taper_pointwise_args k) { copy_units<uint2>(k); }
extern "C" __global__ void __launch_bounds__(256) copy_units_4(const __grid_constant__ taper_pointwise_args k) { copy_units<uint32_t>(k); }

/* Both row-major (or one repeated element) and aligned. */
extern "C" __global__ void __launch_bounds__(256) copy_flat(const __grid_constant__ taper_pointwise_args k) {
    const int64_t thread = blockIdx.x * (int64_t)blockDim.x + threadIdx.x, threads = gridDim.x * (int64_t)blockDim.x, whole = k.n / 4 * 4;
    for (int64_t at = thread * 4; at < whole; at += threads * 4) {
        if (copy_integer(k.dtype[1])) {
            int64_t v[4];
            el_load4<int64_t>(v, k.data[1], at, k.dtype[1]);
            el_store4<int64_t>(k.data[0], at, k.dtype[0], v);
        } else if (k.dtype[1] == TAPER_F64) {
            double v[4];
            el_load4<double>(v, k.data[1], at, k.dtype[1]);
            el_store4<double>(k.data[0], at, k.dtype[0], v);
        } else {
            float v[4];
            el_load4<float>(v, k.data[1], at, k.dtype[1]);
            el_store4<float>(k.data[0], at, k.dtype[0], v);
        }
    }
    for (int64_t at = whole + thread; at < k.n; at += threads) copy_one(k, at, at);
}

/* Transposes: the last dim of k is contiguous in the result, the one before it in the source; tiles of 32 x 32 pass
 * through shared memory so that both sides move whole lines. grid: x tiles of the last dim, y of the other, z the rest. */
template <class E> EL_FN void copy_tile(const taper_pointwise_args &k) {
    __shared__ E tile[32][33];
    const int last = k.ndim - 1, row = k.ndim - 2;
    int64_t batches = 1;
    for (int d = 0; d < row; d++) batches *= k.shape[d];
    for (int64_t b = blockIdx.z; b < batches; b += gridDim.z)
        for (int64_t y = blockIdx.y; y * 32 < k.shape[row]; y += gridDim.y) {
            int64_t to = 0, from = 0, rest = b, x0 = blockIdx.x * (int64_t)32, y0 = y * 32;
            for (int d = row - 1; d >= 0; d--) {
                int64_t index = rest % k.shape[d];
                rest /= k.shape[d];
                to += index * k.strides[0][d];
                from += index * k.strides[1][d];
            }
            for (int j = threadIdx.y; j < 32; j += 8)
                if (x0 + j < k.shape[last] && y0 + threadIdx.x < k.shape[row])
                    tile[j][threadIdx.x] = ((const E *)k.data[1])[from + (x0 + j) * k.strides[1][last] + y0 + threadIdx.x];
            __syncthreads();
            for (int j = threadIdx.y; j < 32; j += 8)
                if (y0 + j < k.shape[row] && x0 + threadIdx.x < k.shape[last])
                    ((E *)k.data[0])[to + (y0 + j) * k.strides[0][row] + x0 + threadIdx.x] = tile[threadIdx.x][j];
            __syncthreads();
        }
}
extern "C" __global__ void __launch_bounds__(256) copy_tile_1(const __grid_constant__ taper_pointwise_args k) { copy_tile<uint8_t>(k); }
extern "C" __global__ void __launch_bounds__(256) copy_tile_2(const __grid_constant__ taper_pointwise_args k) { copy_tile<uint16_t>(k); }
extern "C" __global__ void __launch_bounds__(256) copy_tile_4(const __grid_constant__ taper_pointwise_args k) { copy_tile<uint32_t>(k); }
extern "C" __global__ void __launch_bounds__(256) copy_tile_8(const __grid_constant__ taper_pointwise_args k) { copy_tile<uint64_t>(k); }

/* The same in tiles of 64 x 64 elements of two bytes, read and written in pairs: shape and strides of both dims, and all that the
 * rest adds, are even. A pair of source lines 2 j, 2 j + 1 lies in rows j and j + 32 of the tile, which spreads both over all banks. */
extern "C" __global__ void __launch_bounds__(256) copy_tile_pairs(const __grid_constant__ taper_pointwise_args k) {
    __shared__ unsigned tile[64][33];
    const int last = k.ndim - 1, row = k.ndim - 2, lane = threadIdx.x;
    int64_t batches = 1;
    for (int d = 0; d < row; d++) batches *= k.shape[d];
    for (int64_t b = blockIdx.z; b < batches; b += gridDim.z)
        for (int64_t y0 = blockIdx.y * (int64_t)64; y0 < k.shape[row]; y0 += gridDim.y * (int64_t)64) {
            int64_t to = 0, from = 0, rest = b;
            const int64_t x0 = blockIdx.x * (int64_t)64;
            for (int d = row - 1; d >= 0; d--) {
                const int64_t index = rest % k.shape[d];
                rest /= k.shape[d];
                to += index * k.strides[0][d];
                from += index * k.strides[1][d];
            }
            const uint16_t *source = (const uint16_t *)k.data[1] + from + y0 + 2 * lane;
            uint16_t *result = (uint16_t *)k.data[0] + to + x0 + 2 * lane;
            unsigned v[8];
#pragma unroll
            for (int i = 0; i < 8; i++) {
                const int j = threadIdx.y + i * 8;
                v[i] = x0 + j < k.shape[last] && y0 + 2 * lane < k.shape[row] ? *(const unsigned *)(source + (x0 + j) * k.strides[1][last]) : 0;
            }
#pragma unroll
            for (int i = 0; i < 8; i++) {
                const int j = threadIdx.y + i * 8;
                tile[j / 2 + j % 2 * 32][lane] = v[i];
            }
            __syncthreads();
#pragma unroll
            for (int i = 0; i < 4; i++) {
                const int y = threadIdx.y + i * 8; /* a pair of result rows */
                const unsigned a = tile[lane][y], c = tile[lane + 32][y];
                if (y0 + 2 * y < k.shape[row] && x0 + 2 * lane < k.shape[last]) {
                    uint16_t *const at = result + (y0 + 2 * y) * k.strides[0][row];
                    *(unsigned *)at = __byte_perm(a, c, 0x5410);
                    *(unsigned *)(at + k.strides[0][row]) = __byte_perm(a, c, 0x7632);
                }
            }
            __syncthreads();
        }
}

/* Any strides: the number in k of the result's dtype. */
extern "C" __global__ void __launch_bounds__(256) copy_fill(const __grid_constant__ taper_pointwise_args k, int integer) {
    const int64_t threads = gridDim.x * (int64_t)blockDim.x;
    for (int64_t at = blockIdx.x * (int64_t)blockDim.x + threadIdx.x; at < k.n; at += threads) {
        int64_t to = at, from;
        if (!k.flat) copy_where(k, at, &to, &from);
        if (integer) el_store<int64_t>(k.data[0], to, k.dtype[0], k.integer[1]);
        else el_store<double>(k.data[0], to, k.dtype[0], k.number[1]);
    }
}
