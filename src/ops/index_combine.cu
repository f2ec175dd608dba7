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

/* Sums of many rows with their loads on the way together, added in the same order; false where there is no such path. */
template <int DTYPE> EL_FN void combine_ahead_of(const taper_combine_args &k, int64_t own, int64_t i, uint64_t place, float alpha, float *sum, int64_t *count) {
    enum { AHEAD = 16 };
    bool in[AHEAD];
    float v[AHEAD];
    do {
#pragma unroll
        for (int j = 0; j < AHEAD; j++) in[j] = i + j < k.rows && k.place[i + j] == place;
#pragma unroll
        for (int j = 0; j < AHEAD; j++) v[j] = in[j] ? el_load<float>(k.other, own + k.from[i + j] * k.at_stride[0], DTYPE) : 0;
#pragma unroll
        for (int j = 0; j < AHEAD; j++)
            if (in[j]) {
                *sum = *count ? *sum + v[j] * alpha : v[j] * alpha;
                ++*count;
            }
        i += AHEAD;
    } while (in[AHEAD - 1]);
}
EL_FN bool combine_ahead(const taper_combine_args &k, int64_t own, int64_t i, uint64_t place, float alpha, float *sum, int64_t *count) {
    if (k.what != TAPER_COMBINE_ADD || !k.other || k.at_ndim != 1) return false;
    if (k.dtype == TAPER_F32) combine_ahead_of<TAPER_F32>(k, own, i, place, alpha, sum, count);
    else if (k.dtype == TAPER_BF16) combine_ahead_of<TAPER_BF16>(k, own, i, place, alpha, sum, count);
    else if (k.dtype == TAPER_F16) combine_ahead_of<TAPER_F16>(k, own, i, place, alpha, sum, count);
    else return false;
    return true;
}
template <class R> EL_FN bool combine_ahead(const taper_combine_args &, int64_t, int64_t, uint64_t, R, R *, int64_t *) { return false; }

/* One element of the place whose first row is `row`. */
template <class R> EL_FN void combine_place(const taper_combine_args &k, int64_t row, int64_t column, uint64_t place, R alpha) {
    const int64_t to = (int64_t)place + combine_offset(column, k.row_ndim, k.row_shape, k.row_self);
    const int64_t own = combine_offset(column, k.row_ndim, k.row_shape, k.row_other);
    R sum = k.include ? el_load<R>(k.self, to, k.dtype) : (R)0;
    int64_t count = k.include ? 1 : 0;
    const bool done = combine_ahead(k, own, row, place, alpha, &sum, &count);
    for (int64_t i = row; !done && i < k.rows && k.place[i] == place; i++, count++) {
        R v = combine_number(k, (R)0);
        if (k.other) v = el_load<R>(k.other, own + combine_offset(k.from[i], k.at_ndim, k.at_shape, k.at_stride), k.dtype);
        v *= alpha;
        sum = count ? combine_two(sum, v, k.what) : v;
    }
    if (k.mean && count > 1) sum = combine_mean(sum, count);
    el_store<R>(k.self, to, k.dtype, sum);
}
EL_FN bool combine_begins(const taper_combine_args &k, int64_t row, uint64_t place) {
    return (!row || k.place[row - 1] != place) && (k.skip < 0 || place != (uint64_t)k.skip);
}

template <class R> EL_FN void combine_rows(const taper_combine_args &k) {
    const int64_t n = k.rows * k.width;
    const R alpha = combine_alpha(k, (R)0);
    for (int64_t e = blockIdx.x * (int64_t)blockDim.x + threadIdx.x; e < n; e += gridDim.x * (int64_t)blockDim.x) {
        const int64_t row = k.width == 1 ? e : e / k.width, column = e - row * k.width;
        const uint64_t place = k.place[row];
        if (combine_begins(k, row, place)) combine_place<R>(k, row, column, place, alpha);
    }
}
/* Wide rows: a thread takes a column of a few rows, so that rows which begin no place cost one look and not a thread for each element. */
template <class R> EL_FN void combine_wide(const taper_combine_args &k) {
    const R alpha = combine_alpha(k, (R)0);
    const int64_t column = blockIdx.x * (int64_t)blockDim.x + threadIdx.x, begin = blockIdx.y * (int64_t)TAPER_INDEX_LOOK;
    if (column >= k.width) return;
#pragma unroll 1
    for (int i = 0; i < TAPER_INDEX_LOOK && begin + i < k.rows; i++) {
        const uint64_t place = k.place[begin + i];
        if (combine_begins(k, begin + i, place)) combine_place<R>(k, begin + i, column, place, alpha);
    }
}
#define COMBINE_KERNELS(name, R)                                                                                       \
    extern "C" __global__ void __launch_bounds__(TAPER_INDEX_THREADS) combine_##name(const __grid_constant__ taper_combine_args k) { combine_rows<R>(k); } \
    extern "C" __global__ void __launch_bounds__(TAPER_INDEX_THREADS, 1) combine_wide_##name(const __grid_constant__ taper_combine_args k) { combine_wide<R>(k); }
COMBINE_KERNELS(f32, float)
COMBINE_KERNELS(f64, double)
COMBINE_KERNELS(i64, int64_t)

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
