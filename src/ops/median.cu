/* The element of a rank by its bits, eight at a time from the top: a block counts how often each value of a digit occurs
 * among the elements that still match. Counts are integers, so atomics leave no trace of their order. */
#include "ops/elements.cuh"
#include "ops/scan_args.h"

/* Unsigned numbers in the order of the values; -0 is 0. */
EL_FN unsigned med_key(float x) {
    const unsigned u = __float_as_uint(x + 0.0f);
    return u >> 31 ? ~u : u | 0x80000000u;
}
EL_FN unsigned long long med_key(double x) {
    const unsigned long long u = (unsigned long long)__double_as_longlong(x + 0.0);
    return u >> 63 ? ~u : u | 0x8000000000000000ull;
}
EL_FN unsigned long long med_key(int64_t x) { return (unsigned long long)x ^ 0x8000000000000000ull; }

/* How many threads before this one have the flag set, and in the whole block. */
EL_FN int med_before(bool flag, int *all) {
    __shared__ int part[TAPER_SCAN_THREADS / 32];
    const unsigned votes = __ballot_sync(0xffffffffu, flag), lower = (1u << (threadIdx.x % 32)) - 1;
    int before = __popc(votes & lower), sum = 0;
    __syncthreads();
    if (threadIdx.x % 32 == 0) part[threadIdx.x / 32] = __popc(votes);
    __syncthreads();
    for (int w = 0; w < TAPER_SCAN_THREADS / 32; w++) {
        if (w == threadIdx.x / 32) before += sum;
        sum += part[w];
    }
    *all = sum;
    return before;
}

template <class R, class U> EL_FN void med_lines(const taper_median_args &k) {
    __shared__ unsigned long long count[256], nan_place, rank_left, found;
    __shared__ int digit;
    for (int64_t line = blockIdx.x; line < k.lines; line += gridDim.x) {
        const int64_t outer = el_divide(line, k.inner, k.inner_inverse), base = outer * k.n * k.inner + line - outer * k.inner;
        U prefix = 0, mask = 0;
        if (threadIdx.x == 0) nan_place = ~0ull, rank_left = (unsigned long long)((k.n - 1) / 2);
        for (int shift = 8 * (int)sizeof(U) - 8; shift >= 0; shift -= 8) {
            count[threadIdx.x] = 0;
            __syncthreads();
            for (int64_t i = threadIdx.x; i < k.n; i += TAPER_SCAN_THREADS) {
                const R x = el_load<R>(k.in, base + i * k.inner, k.dtype);
                const U key = med_key(x);
                if (x != x) atomicMin(&nan_place, (unsigned long long)i);
                else if ((key & mask) == prefix) atomicAdd(&count[key >> shift & 255], 1ull);
            }
            __syncthreads();
            if (nan_place != ~0ull) break;
            if (threadIdx.x == 0) {
                int d = 0;
                while (d < 255 && count[d] <= rank_left) rank_left -= count[d++];
                digit = d;
            }
            __syncthreads();
            prefix |= (U)digit << shift;
            mask |= (U)255 << shift;
        }
        int64_t place = (int64_t)nan_place, passed = 0;
        if (nan_place == ~0ull) { /* of equals the one that a stable sort would put there */
            for (int64_t tile = 0; tile < k.n; tile += TAPER_SCAN_THREADS) {
                const int64_t i = tile + threadIdx.x;
                int all;
                const bool equal = i < k.n && med_key(el_load<R>(k.in, base + (i < k.n ? i : 0) * k.inner, k.dtype)) == prefix;
                const int before = med_before(equal, &all);
                if (equal && passed + before == (int64_t)rank_left) found = (unsigned long long)i;
                passed += all;
                if (passed > (int64_t)rank_left) break;
            }
            __syncthreads();
            place = (int64_t)found;
        }
        if (threadIdx.x == 0) {
            el_store<R>(k.values, line, k.dtype, el_load<R>(k.in, base + place * k.inner, k.dtype));
            if (k.places) k.places[line] = place;
        }
        __syncthreads();
    }
}

#define MED_KERNEL(name, R, U)                                                                                         \
    extern "C" __global__ void __launch_bounds__(TAPER_SCAN_THREADS, 4) median_##name(const __grid_constant__ taper_median_args k) { \
        med_lines<R, U>(k);                                                                                            \
    }
MED_KERNEL(f32, float, unsigned)
MED_KERNEL(f64, double, unsigned long long)
MED_KERNEL(i64, int64_t, unsigned long long)
