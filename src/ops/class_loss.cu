/* Losses over class indices: cross entropy of whole rows (one pass forward, one backward), of strided classes, and nll_loss. */
#include "device/cuda/errors.cuh"
#include "ops/row_hold.cuh"

enum { CL_THREADS = 512 };
#define CL_LOW (-__int_as_float(0x7f800000))

/* Class of position i: -1 where it is ignored or, reported, outside. */
EL_FN int64_t cl_class(const long long *target, int64_t i, int64_t n, int64_t ignore, void *record, int op) {
    const int64_t t = target[i];
    if (t == ignore) return -1;
    if (t >= 0 && t < n) return t;
    taper_cuda_report(record, 2, op, t, n);
    return -1;
}
template <class R> EL_FN R cl_weight(const void *weight, int64_t c, int dtype) { return weight ? el_load<R>(weight, c, dtype) : (R)1; }

/* 1 / n by Newton's steps: the division of doubles is a call that needs more registers than the row kernels have. */
EL_FN double cl_inverse(int64_t n) {
    double r = 1.0f / (float)n;
    r *= 2 - (double)n * r;
    return r * (2 - (double)n * r);
}
/* loss and weight of one position. spread: sum over classes of weight * (lse - x), used with smoothing. */
template <class R> EL_FN void cl_finish(void *out, double *losses, double *weights, void *lses, int64_t i, int64_t t, R lse, R x, double spread,
                                        double smoothing, int64_t n, const void *weight, int dtype, int none) {
    const double w = t < 0 ? 0 : (double)cl_weight<R>(weight, t, dtype);
    const double loss = t < 0 ? 0 : (1 - smoothing) * w * ((double)lse - (double)x) + smoothing * cl_inverse(n) * spread;
    ((R *)lses)[i] = lse;
    losses[i] = loss;
    weights[i] = w;
    if (none) el_store<double>(out, i, dtype, loss);
}

template <class T> EL_FN void cl_row(void *out, const void *x, const long long *target, const void *weight, float *lses, double *losses, double *weights,
                                     long long n, long long ignore, double smoothing, int none, void *record, int op) {
    const int64_t row = blockIdx.x;
    const row_place<T> place(x, row * n, n);
    float high = CL_LOW, sum = 0, weighted = 0, total = 0;
    for (int64_t i = threadIdx.x; place.any(i); i += CL_THREADS) {
        float v[T::n], most = high;
        T::get(v, row_load<T>(x, place, i, CL_LOW));
#pragma unroll
        for (int j = 0; j < T::n; j++) most = row_highest::join(most, v[j]);
        if (smoothing != 0) {
#pragma unroll
            for (int j = 0; j < T::n; j++) {
                const int64_t c = place.first(i) + j;
                if (c < 0 || c >= n) continue;
                const float w = cl_weight<float>(weight, c, T::dtype);
                weighted += w * v[j];
                total += w;
            }
        }
        if (most == CL_LOW) continue;
        sum *= T::exp(high - most);
#pragma unroll
        for (int j = 0; j < T::n; j++) sum += T::exp(v[j] - most);
        high = most;
    }
    const float most = row_all<row_highest, CL_THREADS>(high);
    sum = row_all<row_sum, CL_THREADS>(high == most || most != most ? sum : sum * T::exp(high - most));
    if (smoothing != 0) {
        weighted = row_all<row_sum, CL_THREADS>(weighted);
        total = row_all<row_sum, CL_THREADS>(total);
    }
    if (threadIdx.x) return;
    const int64_t t = cl_class(target, row, n, ignore, record, op);
    const float lse = most + logf(sum), at = t < 0 ? 0 : el_load<float>(x, row * n + t, T::dtype);
    cl_finish<float>(out, losses, weights, lses, row, t, lse, at, (double)total * lse - weighted, smoothing, n, weight, T::dtype, none);
}
template <class T> EL_FN void cl_row_backward(void *d, const void *x, const long long *target, const void *weight, const float *lses, const void *g,
                                              const void *total, long long n, long long ignore, double smoothing, int mean, int none, void *record, int op) {
    const int64_t row = blockIdx.x;
    const row_place<T> place(x, row * n, n);
    const int64_t t = cl_class(target, row, n, ignore, record, op);
    const float lse = lses[row], part = (float)(smoothing * cl_inverse(n));
    const float up = t < 0 ? 0 : el_load<float>(g, none ? row : 0, T::dtype) / (mean ? ((const float *)total)[0] : 1.0f);
    const float w = t < 0 ? 0 : cl_weight<float>(weight, t, T::dtype);
    float all = (float)n;
    if (weight && smoothing != 0) {
        all = 0;
        for (int64_t c = threadIdx.x; c < n; c += CL_THREADS) all += cl_weight<float>(weight, c, T::dtype);
        all = row_all<row_sum, CL_THREADS>(all);
    }
    const float hit = up * (float)(1 - smoothing) * w, slope = hit + up * part * all;
    for (int64_t i = threadIdx.x; place.any(i); i += CL_THREADS) {
        float v[T::n];
        T::get(v, row_load<T>(x, place, i, CL_LOW));
#pragma unroll
        for (int j = 0; j < T::n; j++) {
            const int64_t c = place.first(i) + j;
            v[j] = t < 0 ? 0.0f : slope * T::exp(v[j] - lse) - (c == t ? hit : 0.0f);
            if (smoothing != 0 && t >= 0 && c >= 0 && c < n) v[j] -= up * part * cl_weight<float>(weight, c, T::dtype);
        }
        row_store<T>(d, place, i, v);
    }
}
#define CL_ROWS(name)                                                                                                  \
    extern "C" __global__ void __launch_bounds__(CL_THREADS, 2) class_loss_##name(                                        \
        void *out, const void *x, const long long *target, const void *weight, float *lses, double *losses, double *weights, long long n, \
        long long ignore, double smoothing, int none, void *record, int op) {                                          \
        cl_row<row_##name>(out, x, target, weight, lses, losses, weights, n, ignore, smoothing, none, record, op);     \
    }                                                                                                                  \
    extern "C" __global__ void __launch_bounds__(CL_THREADS, 2) class_loss_backward_##name(                               \
        void *d, const void *x, const long long *target, const void *weight, const float *lses, const void *g, const void *total, long long n, \
        long long ignore, double smoothing, int mean, int none, void *record, int op) {                                \
        cl_row_backward<row_##name>(d, x, target, weight, lses, g, total, n, ignore, smoothing, mean, none, record, op); \
    }
CL_ROWS(f32)
CL_ROWS(bf16)
CL_ROWS(f16)

EL_FN float cl_exp(float x) { return expf(x); }
EL_FN double cl_exp(double x) { return exp(x); }
EL_FN float cl_log(float x) { return logf(x); }
EL_FN double cl_log(double x) { return log(x); }

/* A thread for each position: classes lie `inner` apart. backward: out is the gradient of x. */
template <class R> EL_FN void cl_strided(void *out, const void *x, const long long *target, const void *weight, void *lses, double *losses, double *weights,
                                         const void *g, const void *total, long long positions, long long n, long long inner, long long ignore,
                                         double smoothing, int mean, int none, int dtype, int backward, void *record, int op) {
    const int64_t i = blockIdx.x * (int64_t)blockDim.x + threadIdx.x;
    if (i >= positions) return;
    const int64_t base = i / inner * n * inner + i % inner, t = cl_class(target, i, n, ignore, record, op);
    R all = 0;
    if (!backward) {
        R high = (R)CL_LOW, sum = 0, spread = 0;
        for (int64_t c = 0; c < n; c++) {
            const R v = el_load<R>(x, base + c * inner, dtype);
            high = v > high || v != v ? v : high;
        }
        for (int64_t c = 0; c < n; c++) sum += cl_exp(el_load<R>(x, base + c * inner, dtype) - high);
        const R lse = high + cl_log(sum);
        for (int64_t c = 0; smoothing != 0 && c < n; c++) spread += cl_weight<R>(weight, c, dtype) * (lse - el_load<R>(x, base + c * inner, dtype));
        cl_finish<R>(out, losses, weights, lses, i, t, lse, t < 0 ? (R)0 : el_load<R>(x, base + t * inner, dtype), (double)spread, smoothing, n, weight, dtype, none);
        return;
    }
    const R lse = ((const R *)lses)[i], up = t < 0 ? (R)0 : el_load<R>(g, none ? i : 0, dtype) / (mean ? ((const R *)total)[0] : (R)1);
    for (int64_t c = 0; smoothing != 0 && c < n; c++) all += cl_weight<R>(weight, c, dtype);
    const R part = (R)(smoothing * cl_inverse(n)), hit = t < 0 ? (R)0 : up * (R)(1 - smoothing) * cl_weight<R>(weight, t, dtype), slope = hit + up * part * all;
    for (int64_t c = 0; c < n; c++) {
        R v = t < 0 ? (R)0 : slope * cl_exp(el_load<R>(x, base + c * inner, dtype) - lse) - (c == t ? hit : (R)0);
        if (t >= 0 && smoothing != 0) v -= up * part * cl_weight<R>(weight, c, dtype);
        el_store<R>(out, base + c * inner, dtype, v);
    }
}
#define CL_STRIDED(name, R)                                                                                            \
    extern "C" __global__ void __launch_bounds__(128) class_loss_strided_##name(                                       \
        void *out, const void *x, const long long *target, const void *weight, void *lses, double *losses, double *weights, const void *g, \
        const void *total, long long positions, long long n, long long inner, long long ignore, double smoothing, int mean, int none, int dtype, \
        int backward, void *record, int op) {                                                                          \
        cl_strided<R>(out, x, target, weight, lses, losses, weights, g, total, positions, n, inner, ignore, smoothing, mean, none, dtype, backward, \
                      record, op);                                                                                     \
    }
CL_STRIDED(f32, float)
CL_STRIDED(f64, double)

/* nll_loss: minus the input at the class; backward writes into zeros. */
extern "C" __global__ void __launch_bounds__(256) class_loss_pick(void *out, const void *x, const long long *target, const void *weight, double *losses,
                                                                  double *weights, const void *g, const void *total, long long positions, long long n,
                                                                  long long inner, long long ignore, int mean, int none, int dtype, int g_dtype,
                                                                  int total_dtype, int backward, void *record, int op) {
    const int64_t i = blockIdx.x * (int64_t)blockDim.x + threadIdx.x;
    if (i >= positions) return;
    const int64_t t = cl_class(target, i, n, ignore, record, op), at = t < 0 ? 0 : (i / inner * n + t) * inner + i % inner;
    const double w = t < 0 ? 0 : cl_weight<double>(weight, t, dtype);
    if (backward) {
        const double over = mean ? 1 / el_load<double>(total, 0, total_dtype) : 1;
        if (t >= 0) el_store<double>(out, at, dtype, -w * over * el_load<double>(g, none ? i : 0, g_dtype));
        return;
    }
    const double loss = t < 0 ? 0 : -w * el_load<double>(x, at, dtype);
    losses[i] = loss;
    weights[i] = w;
    if (none) el_store<double>(out, i, dtype, loss);
}

/* The sums of losses and weights in a fixed order: *total, and with reduce 1 their quotient, 2 the sum, in *out. */
extern "C" __global__ void __launch_bounds__(1024) class_loss_total(void *out, void *total, const double *losses, const double *weights, long long n,
                                                                    int dtype, int total_dtype, int reduce) {
    __shared__ double part[2][32];
    double a = 0, b = 0;
    for (int64_t i = threadIdx.x; i < n; i += 1024) a += losses[i], b += weights[i];
#pragma unroll
    for (int d = 16; d > 0; d /= 2) a += __shfl_xor_sync(0xffffffffu, a, d), b += __shfl_xor_sync(0xffffffffu, b, d);
    if (threadIdx.x % 32 == 0) part[0][threadIdx.x / 32] = a, part[1][threadIdx.x / 32] = b;
    __syncthreads();
    if (threadIdx.x) return;
    for (int i = 1; i < 32; i++) a += part[0][i], b += part[1][i];
    if (reduce) el_store<double>(out, 0, dtype, reduce == 1 ? a / b : a);
    el_store<double>(total, 0, total_dtype, b);
}
