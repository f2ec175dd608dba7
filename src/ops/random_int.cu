/* Random integers, zeros and ones with a probability each, and choices by weight. Element i has words 2 (i % 2) and 2 (i % 2) + 1
 * of Philox number i / 2 of the call's offset; integers of a small range have word i % 4 of number i / 4. */
#include "device/cuda/errors.cuh"
#include "ops/elements.cuh"
#include "tensor/philox.h"

EL_FN uint64_t ri_word(const taper__philox4 &w, int j) { return (uint64_t)w.x[2 * j] << 32 | w.x[2 * j + 1]; }
EL_FN double ri_unit(uint64_t word) { return (double)(word >> 11) * 0x1p-53; } /* [0, 1) */

/* from + a number below range, from the high part of a product; range 0: all 64 bits. */
extern "C" __global__ void __launch_bounds__(256) random_int(void *out, long long n, int dtype, long long from, unsigned long long range,
                                                             unsigned long long seed_, unsigned long long offset_) {
    const int64_t threads = gridDim.x * (int64_t)blockDim.x;
    const bool pairs = dtype == TAPER_I64 && (uintptr_t)out % 16 == 0;
    uint64_t seed = seed_, offset = offset_;
    taper_captured_random_read(&seed, &offset);
    for (int64_t chunk = blockIdx.x * (int64_t)blockDim.x + threadIdx.x; chunk * 2 < n; chunk += threads) {
        const taper__philox4 w = taper__philox(seed, offset, (uint64_t)chunk);
        int64_t v[2];
#pragma unroll
        for (int j = 0; j < 2; j++) v[j] = (int64_t)((uint64_t)from + (range ? __umul64hi(ri_word(w, j), range) : ri_word(w, j)));
        if (pairs && chunk * 2 + 2 <= n) {
            *(longlong2 *)((long long *)out + chunk * 2) = make_longlong2(v[0], v[1]);
        } else {
            el_store<int64_t>(out, chunk * 2, dtype, v[0]);
            if (chunk * 2 + 1 < n) el_store<int64_t>(out, chunk * 2 + 1, dtype, v[1]);
        }
    }
}

/* The same for a range of at most 2^28: the high half of word * range is what 64 bits would give unless its low half lies so near the
 * end that the bits below could carry; then they are taken from Philox numbers that nothing else uses. */
extern "C" __global__ void __launch_bounds__(256) random_small(void *out, long long n, int dtype, long long from, unsigned range, unsigned long long seed_,
                                                               unsigned long long offset_) {
    const int64_t threads = gridDim.x * (int64_t)blockDim.x;
    const bool aligned = (uintptr_t)out % 16 == 0;
    uint64_t seed = seed_, offset = offset_;
    taper_captured_random_read(&seed, &offset);
    for (int64_t chunk = blockIdx.x * (int64_t)blockDim.x + threadIdx.x; chunk * 4 < n; chunk += threads) {
        const taper__philox4 w = taper__philox(seed, offset, (uint64_t)chunk);
        int64_t v[4];
        bool near = false;
#pragma unroll
        for (int j = 0; j < 4; j++) {
            v[j] = from + __umulhi(w.x[j], range);
            near |= w.x[j] * range > 0u - range;
        }
        if (near) {
            const taper__philox4 more = taper__philox(seed, offset, (uint64_t)chunk | UINT64_C(1) << 63);
#pragma unroll
            for (int j = 0; j < 4; j++) v[j] = from + (int64_t)__umul64hi((uint64_t)w.x[j] << 32 | more.x[j], range);
        }
        if (aligned && chunk * 4 + 4 <= n) {
            el_store4<int64_t>(out, chunk * 4, dtype, v);
        } else {
#pragma unroll
            for (int j = 0; j < 4; j++)
                if (chunk * 4 + j < n) el_store<int64_t>(out, chunk * 4 + j, dtype, v[j]);
        }
    }
}

/* 1 with probability p[i]; both dense in one order. */
extern "C" __global__ void __launch_bounds__(256) random_each(void *out, const void *p, long long n, int dtype, int p_dtype, unsigned long long seed_,
                                                              unsigned long long offset_, void *record, int op) {
    const int64_t threads = gridDim.x * (int64_t)blockDim.x;
    uint64_t seed = seed_, offset = offset_;
    taper_captured_random_read(&seed, &offset);
    for (int64_t chunk = blockIdx.x * (int64_t)blockDim.x + threadIdx.x; chunk * 2 < n; chunk += threads) {
        const taper__philox4 w = taper__philox(seed, offset, (uint64_t)chunk);
#pragma unroll
        for (int j = 0; j < 2; j++) {
            const int64_t i = chunk * 2 + j;
            if (i >= n) break;
            const double chance = el_load<double>(p, i, p_dtype);
            if (!(chance >= 0 && chance <= 1)) taper_cuda_report(record, 3 /* TAPER_CUDA_REPORT_PROBABILITY */, op, i, 1);
            el_store<int>(out, i, dtype, ri_unit(ri_word(w, j)) < chance ? 1 : 0);
        }
    }
}

/* keys[i] = weight / exponential number: of a row, the k largest are k choices without replacement. rows of n. */
extern "C" __global__ void __launch_bounds__(256) random_keys(double *keys, const void *weights, long long count, long long n, int dtype,
                                                              unsigned long long seed_, unsigned long long offset_, void *record, int op) {
    const int64_t threads = gridDim.x * (int64_t)blockDim.x;
    uint64_t seed = seed_, offset = offset_;
    taper_captured_random_read(&seed, &offset);
    for (int64_t chunk = blockIdx.x * (int64_t)blockDim.x + threadIdx.x; chunk * 2 < count; chunk += threads) {
        const taper__philox4 w = taper__philox(seed, offset, (uint64_t)chunk);
#pragma unroll
        for (int j = 0; j < 2; j++) {
            const int64_t i = chunk * 2 + j;
            if (i >= count) break;
            double weight = el_load<double>(weights, i, dtype);
            if (!(weight >= 0) || isinf(weight)) {
                taper_cuda_report(record, 3, op, i / n, 1);
                weight = 0;
            }
            keys[i] = weight / fmax(-log(((double)(ri_word(w, j) >> 11) + 0.5) * 0x1p-53), 0x1p-54);
        }
    }
}

/* A row's largest key is 0 only where all its weights are. */
extern "C" __global__ void __launch_bounds__(256) random_check_keys(const double *largest, long long rows, long long k, void *record, int op) {
    const int64_t threads = gridDim.x * (int64_t)blockDim.x;
    for (int64_t row = blockIdx.x * (int64_t)blockDim.x + threadIdx.x; row < rows; row += threads)
        if (!(largest[row * k] > 0)) taper_cuda_report(record, 3, op, row, 1);
}

/* sums (rows, n): running sums of weights; out (rows, k): the first place whose sum is above a uniform part of the last. */
extern "C" __global__ void __launch_bounds__(256) random_choose(long long *out, const double *sums, long long rows, long long n, long long k,
                                                                unsigned long long seed_, unsigned long long offset_, void *record, int op) {
    const int64_t threads = gridDim.x * (int64_t)blockDim.x;
    uint64_t seed = seed_, offset = offset_;
    taper_captured_random_read(&seed, &offset);
    for (int64_t i = blockIdx.x * (int64_t)blockDim.x + threadIdx.x; i < rows * k; i += threads) {
        const taper__philox4 w = taper__philox(seed, offset, (uint64_t)(i / 2));
        const double *row = sums + i / k * n, all = row[n - 1];
        double u = ri_unit(i % 2 ? ri_word(w, 1) : ri_word(w, 0)) * all;
        if (!(all > 0) || isinf(all)) taper_cuda_report(record, 3, op, i / k, 1);
        if (u >= all) u = 0; /* rounded up to the end */
        int64_t low = 0, high = n - 1;
        while (low < high) {
            const int64_t middle = (low + high) / 2;
            if (row[middle] > u) high = middle;
            else low = middle + 1;
        }
        out[i] = low;
    }
}

/* What a sort of random keys gives as places. */
extern "C" __global__ void __launch_bounds__(256) random_places(void *out, const uint32_t *places, long long n, int dtype) {
    const int64_t threads = gridDim.x * (int64_t)blockDim.x;
    for (int64_t i = blockIdx.x * (int64_t)blockDim.x + threadIdx.x; i < n; i += threads) el_store<int64_t>(out, i, dtype, (int64_t)places[i]);
}

/* Weights that are negative, infinite or NaN. */
extern "C" __global__ void __launch_bounds__(256) random_check_weights(const void *weights, long long count, long long n, int dtype, void *record, int op) {
    const int64_t threads = gridDim.x * (int64_t)blockDim.x;
    for (int64_t i = blockIdx.x * (int64_t)blockDim.x + threadIdx.x; i < count; i += threads) {
        const double weight = el_load<double>(weights, i, dtype);
        if (!(weight >= 0) || isinf(weight)) taper_cuda_report(record, 3, op, i / n, 1);
    }
}
