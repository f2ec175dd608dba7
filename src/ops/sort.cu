/* Stable sorts along one dim: short lines in shared memory (bitonic on key and place), long ones by radix, 8 bits a pass.
 * Keys are numbers that order as the values do: NaN is largest and equal to NaN, -0 equals 0. */
#include "ops/elements.cuh"
#include "ops/sort_args.h"

/* Sign and magnitude of `bits` bits as an unsigned number; special: the magnitude of infinity. */
EL_FN uint64_t sort_float_key(uint64_t v, int bits, uint64_t infinity) {
    const uint64_t sign = 1ull << (bits - 1), all = sign | (sign - 1), size = v & (sign - 1);
    if (size > infinity) return all;
    if (size == 0) return sign;
    return v & sign ? ~v & all : v | sign;
}
EL_FN uint64_t sort_key(const taper_sort_args &k, int64_t at) {
    uint64_t key, all = 0xffffffffull;
    switch (k.dtype_in) {
    case TAPER_F32: key = sort_float_key(((const uint32_t *)k.in)[at], 32, 0x7f800000u); break;
    case TAPER_BF16: key = sort_float_key(((const uint16_t *)k.in)[at], 16, 0x7f80u), all = 0xffff; break;
    case TAPER_F16: key = sort_float_key(((const uint16_t *)k.in)[at], 16, 0x7c00u), all = 0xffff; break;
    case TAPER_F64: key = sort_float_key(((const uint64_t *)k.in)[at], 64, 0x7ff0000000000000ull), all = ~0ull; break;
    case TAPER_I64: key = ((const uint64_t *)k.in)[at] ^ (1ull << 63), all = ~0ull; break;
    case TAPER_I32: key = ((const uint32_t *)k.in)[at] ^ 0x80000000u; break;
    case TAPER_I16: key = ((const uint16_t *)k.in)[at] ^ 0x8000u, all = 0xffff; break;
    case TAPER_I8: key = ((const uint8_t *)k.in)[at] ^ 0x80u, all = 0xff; break;
    case TAPER_BOOL: key = ((const uint8_t *)k.in)[at] != 0, all = 0xff; break;
    case TAPER_U8: key = ((const uint8_t *)k.in)[at], all = 0xff; break;
    case TAPER_SORT_RAW: key = ((const uint64_t *)k.in)[at], all = ~0ull; break;
    default: key = sort_float_key(__float_as_uint(el_load<float>(k.in, at, k.dtype_in)), 32, 0x7f800000u);
    }
    return k.down ? key ^ all : key;
}

EL_FN void sort_line(const taper_sort_args &k, int64_t line, int64_t *in, int64_t *out) {
    *in = *out = 0;
    for (int d = k.ndim - 1; d >= 0; d--) {
        const int64_t up = line <= 0x7fffffff && k.shape[d] <= 0x7fffffff ? (int64_t)((unsigned)line / (unsigned)k.shape[d]) : line / k.shape[d];
        const int64_t c = line - up * k.shape[d];
        line = up;
        *in += c * k.stride_in[d];
        *out += c * k.stride_out[d];
    }
}
EL_FN void sort_put(const taper_sort_args &k, int64_t in, int64_t out, int64_t i, uint32_t place) {
    const int64_t to = out + i * k.step_out, from = in + (int64_t)place * k.step_in;
    if (k.indices) k.indices[to] = place;
    if (!k.values) return;
    if (k.bytes == 4) ((uint32_t *)k.values)[to] = ((const uint32_t *)k.in)[from];
    else if (k.bytes == 2) ((uint16_t *)k.values)[to] = ((const uint16_t *)k.in)[from];
    else if (k.bytes == 8) ((uint64_t *)k.values)[to] = ((const uint64_t *)k.in)[from];
    else ((uint8_t *)k.values)[to] = ((const uint8_t *)k.in)[from];
}

/* ---- short lines ---- */

/* 32-bit keys carry their place in the low half: one comparison orders both. */
extern "C" __global__ void __launch_bounds__(512) sort_small_32(const __grid_constant__ taper_sort_args k) {
    __shared__ uint64_t item[TAPER_SORT_SMALL];
    for (int64_t line = blockIdx.x; line < k.lines; line += gridDim.x) {
        int64_t in, out;
        sort_line(k, line, &in, &out);
        for (int i = threadIdx.x; i < k.small; i += blockDim.x) item[i] = i < k.n ? sort_key(k, in + i * k.step_in) << 32 | (unsigned)i : ~0ull;
        for (int size = 2; size <= k.small; size *= 2)
            for (int gap = size / 2; gap > 0; gap /= 2) {
                __syncthreads();
                for (int t = threadIdx.x; t < k.small / 2; t += blockDim.x) {
                    const int a = t / gap * gap * 2 + t % gap, b = a + gap;
                    const uint64_t x = item[a], y = item[b];
                    if ((x > y) == ((a & size) == 0)) item[a] = y, item[b] = x;
                }
            }
        __syncthreads();
        for (int i = threadIdx.x; i < k.keep; i += blockDim.x) sort_put(k, in, out, i, (uint32_t)item[i]);
        __syncthreads();
    }
}

extern "C" __global__ void __launch_bounds__(512) sort_small_64(const __grid_constant__ taper_sort_args k) {
    __shared__ uint64_t key[TAPER_SORT_SMALL];
    __shared__ uint32_t place[TAPER_SORT_SMALL];
    for (int64_t line = blockIdx.x; line < k.lines; line += gridDim.x) {
        int64_t in, out;
        sort_line(k, line, &in, &out);
        for (int i = threadIdx.x; i < k.small; i += blockDim.x) {
            key[i] = i < k.n ? sort_key(k, in + i * k.step_in) : ~0ull;
            place[i] = (unsigned)i;
        }
        for (int size = 2; size <= k.small; size *= 2)
            for (int gap = size / 2; gap > 0; gap /= 2) {
                __syncthreads();
                for (int t = threadIdx.x; t < k.small / 2; t += blockDim.x) {
                    const int a = t / gap * gap * 2 + t % gap, b = a + gap;
                    const uint64_t x = key[a], y = key[b];
                    const uint32_t p = place[a], q = place[b];
                    if ((x > y || (x == y && p > q)) == ((a & size) == 0)) key[a] = y, key[b] = x, place[a] = q, place[b] = p;
                }
            }
        __syncthreads();
        for (int i = threadIdx.x; i < k.keep; i += blockDim.x) {
            if (k.sorted) k.sorted[i] = key[i], k.sorted_places[i] = place[i];
            else sort_put(k, in, out, i, place[i]);
        }
        __syncthreads();
    }
}

/* ---- long lines ---- */

template <class K> EL_FN void sort_make_keys(const taper_sort_args &k) {
    const int64_t tiles = k.lines * k.tiles;
    for (int64_t t = blockIdx.x; t < tiles; t += gridDim.x) {
        const int64_t line = t / k.tiles, tile = t - line * k.tiles;
        int64_t in, out;
        sort_line(k, line, &in, &out);
        for (int j = 0; j < TAPER_SORT_EACH; j++) {
            const int64_t i = tile * TAPER_SORT_TILE + j * TAPER_SORT_THREADS + threadIdx.x;
            if (i < k.n) ((K *)k.keys_to)[line * k.n + i] = (K)sort_key(k, in + i * k.step_in);
        }
    }
}

template <class K> EL_FN void sort_count(const taper_sort_args &k) {
    __shared__ unsigned count[TAPER_SORT_DIGITS];
    const int64_t tiles = k.lines * k.tiles;
    for (int64_t t = blockIdx.x; t < tiles; t += gridDim.x) {
        const int64_t line = t / k.tiles, tile = t - line * k.tiles;
        count[threadIdx.x] = 0;
        __syncthreads();
        for (int j = 0; j < TAPER_SORT_EACH; j++) {
            const int64_t i = tile * TAPER_SORT_TILE + j * TAPER_SORT_THREADS + threadIdx.x;
            if (i < k.n) atomicAdd(&count[(unsigned)(((const K *)k.keys)[line * k.n + i] >> k.shift) & 255], 1u);
        }
        __syncthreads();
        k.counts[(line * TAPER_SORT_DIGITS + threadIdx.x) * k.tiles + tile] = count[threadIdx.x];
        __syncthreads();
    }
}

/* The sum of what lower threads have; *total: of all. Whole counts: no rounding, any order. */
EL_FN unsigned sort_before(unsigned v, unsigned *total) {
    __shared__ unsigned part[TAPER_SORT_THREADS / 32];
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    unsigned sum = v, left = 0, all = 0;
#pragma unroll
    for (int d = 1; d < 32; d *= 2) {
        const unsigned up = __shfl_up_sync(0xffffffffu, sum, d);
        if (lane >= d) sum += up;
    }
    __syncthreads();
    if (lane == 31) part[warp] = sum;
    __syncthreads();
#pragma unroll
    for (int w = 0; w < TAPER_SORT_THREADS / 32; w++) {
        left = w == warp ? all : left;
        all += part[w];
    }
    *total = all;
    return left + sum - v;
}

/* A block per line and digit: what tiles before each tile hold of the digit. */
extern "C" __global__ void __launch_bounds__(TAPER_SORT_THREADS) sort_scan(const __grid_constant__ taper_sort_args k) {
    const int64_t rows = k.lines * TAPER_SORT_DIGITS;
    for (int64_t row = blockIdx.x; row < rows; row += gridDim.x) {
        unsigned carry = 0, total;
        for (int64_t first = 0; first < k.tiles; first += TAPER_SORT_THREADS) {
            const int64_t i = first + threadIdx.x;
            const unsigned before = sort_before(i < k.tiles ? k.counts[row * k.tiles + i] : 0, &total);
            if (i < k.tiles) k.counts[row * k.tiles + i] = carry + before;
            carry += total;
        }
        if (threadIdx.x == 0) k.totals[row] = carry;
    }
}

/* A warp owns a run of its tile; equal digits in it keep their order. */
template <class K> EL_FN void sort_move(const taper_sort_args &k) {
    enum { WARPS = TAPER_SORT_THREADS / 32 };
    __shared__ unsigned start[WARPS][TAPER_SORT_DIGITS];
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    const int64_t tiles = k.lines * k.tiles;
    for (int64_t t = blockIdx.x; t < tiles; t += gridDim.x) {
        const int64_t line = t / k.tiles, tile = t - line * k.tiles, row = line * k.n;
        const int64_t first = tile * TAPER_SORT_TILE + warp * (32 * TAPER_SORT_EACH) + lane;
        K key[TAPER_SORT_EACH];
        unsigned rank[TAPER_SORT_EACH], total;
#pragma unroll
        for (int w = 0; w < WARPS; w++) start[w][threadIdx.x] = 0;
        __syncthreads();
#pragma unroll
        for (int j = 0; j < TAPER_SORT_EACH; j++) {
            const int64_t i = first + j * 32;
            key[j] = i < k.n ? ((const K *)k.keys)[row + i] : 0;
            const unsigned digit = i < k.n ? (unsigned)(key[j] >> k.shift) & 255 : 256;
            const unsigned same = __match_any_sync(0xffffffffu, digit), lower = same & ((1u << lane) - 1);
            rank[j] = (i < k.n ? start[warp][digit] : 0) + __popc(lower);
            __syncwarp();
            if (i < k.n && !lower) start[warp][digit] += __popc(same);
            __syncwarp();
        }
        __syncthreads();
        const int64_t digit_row = line * TAPER_SORT_DIGITS + threadIdx.x;
        unsigned sum = sort_before(k.totals[digit_row], &total) + k.counts[digit_row * k.tiles + tile];
#pragma unroll
        for (int w = 0; w < WARPS; w++) {
            const unsigned here = start[w][threadIdx.x];
            start[w][threadIdx.x] = sum;
            sum += here;
        }
        __syncthreads();
#pragma unroll
        for (int j = 0; j < TAPER_SORT_EACH; j++) {
            const int64_t i = first + j * 32;
            if (i >= k.n) continue;
            const int64_t to = row + start[warp][(unsigned)(key[j] >> k.shift) & 255] + rank[j];
            ((K *)k.keys_to)[to] = key[j];
            k.places_to[to] = k.places ? k.places[row + i] : (uint32_t)i;
        }
        __syncthreads();
    }
}

#define SORT_KERNELS(name, K)                                                                                          \
    extern "C" __global__ void __launch_bounds__(TAPER_SORT_THREADS) sort_keys_##name(const __grid_constant__ taper_sort_args k) { sort_make_keys<K>(k); } \
    extern "C" __global__ void __launch_bounds__(TAPER_SORT_THREADS) sort_count_##name(const __grid_constant__ taper_sort_args k) { sort_count<K>(k); } \
    extern "C" __global__ void __launch_bounds__(TAPER_SORT_THREADS) sort_move_##name(const __grid_constant__ taper_sort_args k) { sort_move<K>(k); }
SORT_KERNELS(32, uint32_t)
SORT_KERNELS(64, uint64_t)

extern "C" __global__ void __launch_bounds__(TAPER_SORT_THREADS) sort_write(const __grid_constant__ taper_sort_args k) {
    const int64_t tiles = k.lines * k.tiles;
    for (int64_t t = blockIdx.x; t < tiles; t += gridDim.x) {
        const int64_t line = t / k.tiles, tile = t - line * k.tiles;
        if (tile * TAPER_SORT_TILE >= k.keep) continue;
        int64_t in, out;
        sort_line(k, line, &in, &out);
        for (int j = 0; j < TAPER_SORT_EACH; j++) {
            const int64_t i = tile * TAPER_SORT_TILE + j * TAPER_SORT_THREADS + threadIdx.x;
            if (i < k.keep) sort_put(k, in, out, i, k.places[line * k.n + i]);
        }
    }
}
