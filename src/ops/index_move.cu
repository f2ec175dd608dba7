/* Gathers, and scatters whose order does not matter: any strides, units of 1 to 16 bytes. */
#include "device/cuda/errors.cuh"
#include "ops/elements.cuh"
#include "ops/index_args.h"

EL_FN int64_t index_value(const void *index, int64_t at, int dtype) {
    return dtype == TAPER_I64 ? ((const int64_t *)index)[at] : dtype == TAPER_I32 ? ((const int32_t *)index)[at] : el_load<int64_t>(index, at, dtype);
}

EL_FN int64_t index_divide(int64_t at, int64_t size, bool small) { return small ? (int64_t)((unsigned)at / (unsigned)size) : at / size; }

/* A value in [0, size), bad ones reported and read as 0. */
EL_FN int64_t index_good(int64_t v, int64_t size, int wrap, void *record, int op) {
    const int64_t x = wrap && v < 0 ? v + size : v;
    if (x >= 0 && x < size) return x;
    taper_cuda_report(record, 1, op, v, size);
    return 0;
}

extern "C" __global__ void __launch_bounds__(TAPER_INDEX_THREADS) index_positions(const __grid_constant__ taper_positions_args k) {
    const bool small = k.n <= 0x7fffffff;
    for (int64_t e = blockIdx.x * (int64_t)blockDim.x + threadIdx.x; e < k.n; e += gridDim.x * (int64_t)blockDim.x) {
        int64_t at = 0;
        for (int i = 0; i < k.count; i++) {
            int64_t rest = e, from = 0, own = 0;
            for (int d = k.ndim - 1; d >= 0; d--) {
                const int64_t up = index_divide(rest, k.shape[d], small), c = rest - up * k.shape[d];
                rest = up;
                from += c * k.strides[i][d];
                own += c * k.base[d];
            }
            at += index_good(index_value(k.index[i], from, k.dtype[i]), k.size[i], k.wrap, k.record, k.op) * k.along[i];
            if (i == 0) at += own;
        }
        k.out[e] = at;
    }
}

template <class U> EL_FN void move_all(const taper_move_args &k, bool write) {
    const bool small = k.n <= 0x7fffffff;
    U number;
    if (write && !k.other) memcpy(&number, &k.number, sizeof number < 8 ? sizeof number : 8);
    for (int64_t e = blockIdx.x * (int64_t)blockDim.x + threadIdx.x; e < k.n; e += gridDim.x * (int64_t)blockDim.x) {
        int64_t rest = e, self = 0, other = 0, from = 0;
        for (int d = k.ndim - 1; d >= 0; d--) {
            const int64_t up = d ? index_divide(rest, k.shape[d], small) : 0, c = rest - up * k.shape[d];
            rest = up;
            self += c * k.strides[0][d];
            other += c * k.strides[1][d];
            from += c * k.strides[2][d];
        }
        const int64_t v = index_value(k.index, from, k.index_dtype);
        self += (k.trusted ? v : index_good(v, k.size, k.wrap, k.record, k.op)) * k.along;
        if (!write) ((U *)k.other)[other] = ((const U *)k.self)[self];
        else ((U *)k.self)[self] = k.other ? ((const U *)k.other)[other] : number;
    }
}
#define INDEX_MOVE(bytes, U)                                                                                           \
    extern "C" __global__ void __launch_bounds__(TAPER_INDEX_THREADS) index_read_##bytes(const __grid_constant__ taper_move_args k) { move_all<U>(k, false); } \
    extern "C" __global__ void __launch_bounds__(TAPER_INDEX_THREADS) index_write_##bytes(const __grid_constant__ taper_move_args k) { move_all<U>(k, true); }
INDEX_MOVE(1, uint8_t)
INDEX_MOVE(2, uint16_t)
INDEX_MOVE(4, uint32_t)
INDEX_MOVE(8, uint64_t)
INDEX_MOVE(16, uint4)
