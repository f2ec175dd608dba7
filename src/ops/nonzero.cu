/* Where a mask is true, in three steps: count each tile, scan the counts, write. And runs of equal numbers from their ends. */
#include "ops/elements.cuh"
#include "ops/triangle_args.h"

/* The sum of what lower threads have; *total: of all. */
EL_FN int64_t nonzero_before(int64_t v, int64_t *total) {
    __shared__ int64_t part[TAPER_NONZERO_THREADS / 32];
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    int64_t sum = v, left = 0, all = 0;
#pragma unroll
    for (int d = 1; d < 32; d *= 2) {
        const int64_t up = __shfl_up_sync(0xffffffffu, sum, d);
        if (lane >= d) sum += up;
    }
    __syncthreads();
    if (lane == 31) part[warp] = sum;
    __syncthreads();
#pragma unroll
    for (int w = 0; w < TAPER_NONZERO_THREADS / 32; w++) {
        left = w == warp ? all : left;
        all += part[w];
    }
    *total = all;
    return left + sum - v;
}

EL_FN int nonzero_own(const taper_nonzero_args &k, int64_t first) {
    int count = 0;
#pragma unroll
    for (int j = 0; j < TAPER_NONZERO_EACH; j++) count += first + j < k.n && k.in[first + j];
    return count;
}

extern "C" __global__ void __launch_bounds__(TAPER_NONZERO_THREADS) nonzero_count(const __grid_constant__ taper_nonzero_args k) {
    for (int64_t tile = blockIdx.x; tile < k.tiles; tile += gridDim.x) {
        int64_t total;
        nonzero_before(nonzero_own(k, tile * TAPER_NONZERO_TILE + threadIdx.x * TAPER_NONZERO_EACH), &total);
        if (threadIdx.x == 0) k.counts[tile] = total;
    }
}

/* One block. */
extern "C" __global__ void __launch_bounds__(TAPER_NONZERO_THREADS) nonzero_scan(const __grid_constant__ taper_nonzero_args k) {
    int64_t carry = 0, total;
    for (int64_t first = 0; first < k.tiles; first += TAPER_NONZERO_TILE) {
        const int64_t at = first + threadIdx.x * TAPER_NONZERO_EACH;
        int64_t own = 0;
        for (int j = 0; j < TAPER_NONZERO_EACH; j++) own += at + j < k.tiles ? k.counts[at + j] : 0;
        int64_t before = carry + nonzero_before(own, &total);
        for (int j = 0; j < TAPER_NONZERO_EACH && at + j < k.tiles; j++) {
            const int64_t here = k.counts[at + j];
            k.counts[at + j] = before;
            before += here;
        }
        carry += total;
    }
    if (threadIdx.x == 0) k.counts[k.tiles] = carry;
}

extern "C" __global__ void __launch_bounds__(TAPER_NONZERO_THREADS) nonzero_write(const __grid_constant__ taper_nonzero_args k) {
    for (int64_t tile = blockIdx.x; tile < k.tiles; tile += gridDim.x) {
        const int64_t first = tile * TAPER_NONZERO_TILE + threadIdx.x * TAPER_NONZERO_EACH;
        int64_t total, to = k.counts[tile] + nonzero_before(nonzero_own(k, first), &total);
        for (int j = 0; j < TAPER_NONZERO_EACH; j++) {
            if (first + j >= k.n || !k.in[first + j]) continue;
            int64_t rest = first + j;
            for (int d = k.ndim - 1; d >= 0; d--) {
                const int64_t up = k.n <= 0x7fffffff ? (int64_t)((unsigned)rest / (unsigned)k.shape[d]) : rest / k.shape[d];
                k.out[to * k.ndim + d] = rest - up * k.shape[d];
                rest = up;
            }
            to++;
        }
    }
}

extern "C" __global__ void __launch_bounds__(TAPER_NONZERO_THREADS) nonzero_runs(const __grid_constant__ taper_runs_args k) {
    for (int64_t i = blockIdx.x * (int64_t)blockDim.x + threadIdx.x; i < k.n; i += gridDim.x * (int64_t)blockDim.x) {
        int64_t low = 0, high = k.count;
        while (low < high) {
            const int64_t middle = low + (high - low) / 2;
            if (k.ends[middle] <= i) low = middle + 1;
            else high = middle;
        }
        k.out[i] = low;
    }
}
