/* Writing where places repeat: rows sorted by place (stable), one thread per element of a place, which takes its rows in
 * their order. The last row of a place has the last word; sums are made in float, double or int64_t and rounded once. */
#include "ops/elements.cuh"
#include "ops/index_args.h"

EL_FN int64_t combine_offset(int64_t at, int n, const int64_t *shape, const int64_t *stride) {
    int64_t offset = 0;
    for (int d = n - 1; d >= 0; d--) {
        const int64_t up = d == 0 ? 0 : at <= 0x7fffffff && shape[d] <= 0x7fffffff ? (int64_t)((unsigned)at / (unsigned)shape[d]) : at / shape[d];
        offset += (at - up * shape[d]) * stride[d];
        at = up;
    }
    return offset;
}

template <class R> EL_FN R combine_two(R a, R b, int what) {
    if (what == TAPER_COMBINE_ADD) return a + b;
    if (what == TAPER_COMBINE_MUL) return a * b;
    if (what == TAPER_COMBINE_MAX) return b > a || b != b ? b : a;
    return b < a || b != b ? b : a;
}
EL_FN float combine_mean(float sum, int64_t n) { return sum / (float)n; }
EL_FN double combine_mean(double sum, int64_t n) { return sum / (double)n; }
EL_FN int64_t combine_mean(int64_t sum, int64_t n) { return sum / n - (sum % n < 0); }
EL_FN float combine_number(const taper_combine_args &k, float) { return (float)k.number; }
EL_FN double combine_number(const taper_combine_args &k, double) { return k.number; }
EL_FN int64_t combine_number(const taper_combine_args &k, int64_t) { return k.inumber; }
EL_FN float combine_alpha(const taper_combine_args &k, float) { return (float)k.alpha; }
EL_FN double combine_alpha(const taper_combine_args &k, double) { return k.alpha; }
EL_FN int64_t combine_alpha(const taper_combine_args &k, int64_t) { return k.ialpha; }

template <class R> EL_FN void combine_rows(const taper_combine_args &k) {
    const int64_t n = k.rows * k.width;
    const R alpha = combine_alpha(k, (R)0);
    for (int64_t e = blockIdx.x * (int64_t)blockDim.x + threadIdx.x; e < n; e += gridDim.x * (int64_t)blockDim.x) {
        const int64_t row = k.width == 1 ? e : e / k.width, column = e - row * k.width;
        const uint64_t place = k.place[row];
        if (row && k.place[row - 1] == place) continue;
        if (k.skip >= 0 && place == (uint64_t)k.skip) continue;
        const int64_t to = (int64_t)place + combine_offset(column, k.row_ndim, k.row_shape, k.row_self);
        const int64_t own = combine_offset(column, k.row_ndim, k.row_shape, k.row_other);
        R sum = k.include ? el_load<R>(k.self, to, k.dtype) : (R)0;
        int64_t count = k.include ? 1 : 0, i = row;
        do {
            R v = combine_number(k, (R)0);
            if (k.other) v = el_load<R>(k.other, own + combine_offset(k.from[i], k.at_ndim, k.at_shape, k.at_stride), k.dtype);
            v *= alpha;
            sum = count ? combine_two(sum, v, k.what) : v;
            count++;
            i++;
        } while (i < k.rows && k.place[i] == place);
        if (k.mean && count > 1) sum = combine_mean(sum, count);
        el_store<R>(k.self, to, k.dtype, sum);
    }
}
extern "C" __global__ void __launch_bounds__(TAPER_INDEX_THREADS) combine_f32(const __grid_constant__ taper_combine_args k) { combine_rows<float>(k); }
extern "C" __global__ void __launch_bounds__(TAPER_INDEX_THREADS) combine_f64(const __grid_constant__ taper_combine_args k) { combine_rows<double>(k); }
extern "C" __global__ void __launch_bounds__(TAPER_INDEX_THREADS) combine_i64(const __grid_constant__ taper_combine_args k) { combine_rows<int64_t>(k); }

template <class U> EL_FN void combine_last(const taper_combine_args &k) {
    const int64_t n = k.rows * k.width;
    for (int64_t e = blockIdx.x * (int64_t)blockDim.x + threadIdx.x; e < n; e += gridDim.x * (int64_t)blockDim.x) {
        const int64_t row = k.width == 1 ? e : e / k.width, column = e - row * k.width;
        const uint64_t place = k.place[row];
        if (row + 1 < k.rows && k.place[row + 1] == place) continue;
        const int64_t to = (int64_t)place + combine_offset(column, k.row_ndim, k.row_shape, k.row_self);
        const int64_t from = combine_offset(column, k.row_ndim, k.row_shape, k.row_other) + combine_offset(k.from[row], k.at_ndim, k.at_shape, k.at_stride);
        ((U *)k.self)[to] = ((const U *)k.other)[from];
    }
}
extern "C" __global__ void __launch_bounds__(TAPER_INDEX_THREADS) combine_last_1(const __grid_constant__ taper_combine_args k) { combine_last<uint8_t>(k); }
extern "C" __global__ void __launch_bounds__(TAPER_INDEX_THREADS) combine_last_2(const __grid_constant__ taper_combine_args k) { combine_last<uint16_t>(k); }
extern "C" __global__ void __launch_bounds__(TAPER_INDEX_THREADS) combine_last_4(const __grid_constant__ taper_combine_args k) { combine_last<uint32_t>(k); }
extern "C" __global__ void __launch_bounds__(TAPER_INDEX_THREADS) combine_last_8(const __grid_constant__ taper_combine_args k) { combine_last<uint64_t>(k); }
