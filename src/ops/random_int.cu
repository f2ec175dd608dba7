/* Random integers, zeros and ones with a probability each, and choices by weight. Element i has words 2 (i % 2) and 2 (i % 2) + 1
 * of Philox number i / 2 of the call's offset. */
#include "device/cuda/errors.cuh"
#include "ops/elements.cuh"
#include "tensor/philox.h"

EL_FN uint64_t ri_word(unsigned long long seed, unsigned long long offset, int64_t i) {
    const taper__philox4 w = taper__philox(seed, offset, (uint64_t)(i / 2));
    return i % 2 ? (uint64_t)w.x[2] << 32 | w.x[3] : (uint64_t)w.x[0] << 32 | w.x[1];
}

/* from + a word modulo range; range 0: the word itself. */
extern "C" __global__ void __launch_bounds__(256) random_int(void *out, long long n, int dtype, long long from, unsigned long long range,
                                                             unsigned long long seed, unsigned long long offset) {
    const int64_t threads = gridDim.x * (int64_t)blockDim.x;
    for (int64_t i = blockIdx.x * (int64_t)blockDim.x + threadIdx.x; i < n; i += threads) {
        const uint64_t w = ri_word(seed, offset, i), v = range ? w % range : w;
        el_store<int64_t>(out, i, dtype, (int64_t)((uint64_t)from + v));
    }
}

/* 1 with probability p[i]; both dense in one order. */
extern "C" __global__ void __launch_bounds__(256) random_each(void *out, const void *p, long long n, int dtype, int p_dtype, unsigned long long seed,
                                                              unsigned long long offset, void *record, int op) {
    const int64_t threads = gridDim.x * (int64_t)blockDim.x;
    for (int64_t i = blockIdx.x * (int64_t)blockDim.x + threadIdx.x; i < n; i += threads) {
        const double chance = el_load<double>(p, i, p_dtype), u = (double)(ri_word(seed, offset, i) >> 11) * 0x1p-53;
        if (!(chance >= 0 && chance <= 1)) taper_cuda_report(record, 3 /* TAPER_CUDA_REPORT_PROBABILITY */, op, i, 1);
        el_store<double>(out, i, dtype, u < chance ? 1 : 0);
    }
}

/* sums (rows, n): running sums of weights; out (rows, k): the first place whose sum is above a uniform part of the last. */
extern "C" __global__ void __launch_bounds__(256) random_choose(long long *out, const double *sums, long long rows, long long n, long long k,
                                                                unsigned long long seed, unsigned long long offset, void *record, int op) {
    const int64_t threads = gridDim.x * (int64_t)blockDim.x;
    for (int64_t i = blockIdx.x * (int64_t)blockDim.x + threadIdx.x; i < rows * k; i += threads) {
        const double *row = sums + i / k * n, all = row[n - 1], u = (double)(ri_word(seed, offset, i) >> 11) * 0x1p-53 * all;
        if (!(all > 0) || isinf(all)) taper_cuda_report(record, 3, op, i / k, 1);
        int64_t low = 0, high = n - 1;
        while (low < high) {
            const int64_t middle = (low + high) / 2;
            if (row[middle] > u) high = middle;
            else low = middle + 1;
        }
        out[i] = low;
    }
}
