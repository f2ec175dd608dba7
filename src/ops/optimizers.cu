/* Steps of optimisers over many tensors at a time. One block has one chunk of one tensor; see optim_args.h. */
#include "ops/elements.cuh"
#include "ops/optim_args.h"

enum { OPT_THREADS = 256, OPT_SGD = 0, OPT_ADAM = 1, OPT_RMSPROP = 2 };

EL_FN int opt_find(const taper_optim_table &t, unsigned at) {
    int low = 0, high = t.count - 1;
    while (low < high) {
        const int mid = (low + high + 1) / 2;
        if (t.item[mid].first <= at) low = mid;
        else high = mid - 1;
    }
    return low;
}
EL_FN float opt_root(float x) { return sqrtf(x); }
EL_FN double opt_root(double x) { return sqrt(x); }

/* The numbers in the compute type; a block converts them once. */
template <class R> struct opt_numbers {
    R lr, decay, shrink, eps, momentum, keep, beta1, keep1, beta2, keep2, unscale, factor, size, root2;
};
/* x, g and state s[0..2] of one element; see optimizers.simd.c. */
template <class R, int KIND> EL_FN void opt_one(R &x, R &g, R *s, const opt_numbers<R> &k, const taper_optim_common &c) {
    R d = g;
    if (c.unscaled) g = d = d * k.unscale;
    d *= k.factor;
    if (c.maximize) d = -d;
    if (KIND == OPT_ADAM && c.decoupled) x *= k.shrink;
    else d += k.decay * x;
    if (KIND == OPT_SGD) {
        if (c.with_momentum) {
            s[0] = c.first ? d : k.momentum * s[0] + k.keep * d;
            d = c.nesterov ? d + k.momentum * s[0] : s[0];
        }
        x -= k.lr * d;
    } else if (KIND == OPT_ADAM) {
        s[0] += (d - s[0]) * k.keep1;
        s[1] = s[1] * k.beta2 + d * d * k.keep2;
        R v = s[1];
        if (c.amsgrad) s[2] = v = s[2] > v ? s[2] : v;
        x -= k.size * s[0] / (opt_root(v) / k.root2 + k.eps);
    } else {
        s[0] = s[0] * k.beta2 + d * d * k.keep2;
        R v = s[0];
        if (c.centered) {
            s[2] += (d - s[2]) * k.keep2;
            v -= s[2] * s[2];
        }
        d /= opt_root(v) + k.eps;
        if (c.with_momentum) s[1] = d = s[1] * k.momentum + d;
        x -= k.lr * d;
    }
}

/* Four neighbours of the parameter's copy in float16 or bfloat16. */
EL_FN void opt_copy4(void *p, int64_t at, int dtype, const float *v) {
    if (dtype == TAPER_BF16) el_store4<float>(p, at, TAPER_BF16, v);
    else el_store4<float>(p, at, TAPER_F16, v);
}

/* Four neighbours, all float32. */
template <class R, int KIND> EL_FN void opt_four(const taper_optim_entry &e, int64_t at, const opt_numbers<R> &k, const taper_optim_common &c) {
    R x[4], g[4], s[3][4];
    el_load4<R>(x, e.data[0], at, TAPER_F32);
    el_load4<R>(g, e.data[1], at, TAPER_F32);
#pragma unroll
    for (int i = 0; i < 3; i++)
        if (e.data[2 + i]) el_load4<R>(s[i], e.data[2 + i], at, TAPER_F32);
        else s[i][0] = s[i][1] = s[i][2] = s[i][3] = 0;
#pragma unroll
    for (int j = 0; j < 4; j++) {
        R one[3] = {s[0][j], s[1][j], s[2][j]};
        opt_one<R, KIND>(x[j], g[j], one, k, c);
        s[0][j] = one[0], s[1][j] = one[1], s[2][j] = one[2];
    }
    el_store4<R>(e.data[0], at, TAPER_F32, x);
    if (KIND == OPT_ADAM && e.data[TAPER_OPTIM_COPY]) opt_copy4(e.data[TAPER_OPTIM_COPY], at, e.dtype[TAPER_OPTIM_COPY], (const float *)x);
    if (c.unscaled) el_store4<R>(e.data[1], at, TAPER_F32, g);
#pragma unroll
    for (int i = 0; i < 3; i++)
        if (e.data[2 + i]) el_store4<R>(e.data[2 + i], at, TAPER_F32, s[i]);
}

/* PLAIN: all arrays are float32 and begin at multiples of 16 bytes. */
template <class R, int KIND, bool PLAIN> EL_FN void opt_step(const taper_optim_table &t, const taper_optim_common &c) {
    if (c.inf && el_load<float>(c.inf, 0, c.inf_dtype) != 0) return;
    const int i = opt_find(t, blockIdx.x);
    const taper_optim_entry &e = t.item[i];
    const int64_t from = (int64_t)(blockIdx.x - e.first) * TAPER_OPTIM_STRETCH;
    const int64_t end = e.numel - from < TAPER_OPTIM_STRETCH ? e.numel : from + TAPER_OPTIM_STRETCH;
    opt_numbers<R> k;
    k.lr = (R)c.lr, k.decay = (R)c.weight_decay, k.shrink = (R)(1 - c.lr * c.weight_decay), k.eps = (R)c.eps, k.momentum = (R)c.momentum;
    k.keep = (R)(1 - c.dampening), k.beta1 = (R)c.beta1, k.keep1 = (R)(1 - c.beta1), k.beta2 = (R)c.beta2, k.keep2 = (R)(1 - c.beta2);
    k.unscale = (R)(c.scale ? 1 / el_load<double>(c.scale, 0, c.scale_dtype) : c.unscale);
    k.factor = (R)(c.by ? el_load<double>(c.by, 0, c.by_dtype) : c.factor);
    k.size = k.root2 = 1;
    if (KIND == OPT_ADAM) k.size = (R)c.bias[2 * (t.base + i)], k.root2 = (R)c.bias[2 * (t.base + i) + 1];
    int64_t one = from + threadIdx.x;
    if (PLAIN) {
#pragma unroll 1
        for (int64_t at = from + threadIdx.x * 4; at + 4 <= end; at += OPT_THREADS * 4) opt_four<R, KIND>(e, at, k, c);
        one += (end - from) / 4 * 4;
    }
#define OPT_DTYPE(i) (PLAIN ? (int)TAPER_F32 : (int)e.dtype[i])
#pragma unroll 1
    for (; one < end; one += OPT_THREADS) {
        R x = el_load<R>(e.data[0], one, OPT_DTYPE(0)), g = el_load<R>(e.data[1], one, OPT_DTYPE(1)), s[3];
#pragma unroll
        for (int j = 0; j < 3; j++) s[j] = e.data[2 + j] ? el_load<R>(e.data[2 + j], one, OPT_DTYPE(2 + j)) : (R)0;
        opt_one<R, KIND>(x, g, s, k, c);
        el_store<R>(e.data[0], one, OPT_DTYPE(0), x);
        if (KIND == OPT_ADAM && e.data[TAPER_OPTIM_COPY]) /* of what was stored: the parameter may be narrower than x */
            el_store<R>(e.data[TAPER_OPTIM_COPY], one, e.dtype[TAPER_OPTIM_COPY], PLAIN ? x : el_load<R>(e.data[0], one, OPT_DTYPE(0)));
        if (c.unscaled) el_store<R>(e.data[1], one, OPT_DTYPE(1), g);
#pragma unroll
        for (int j = 0; j < 3; j++)
            if (e.data[2 + j]) el_store<R>(e.data[2 + j], one, OPT_DTYPE(2 + j), s[j]);
    }
}
#define OPT_KERNEL(name, R, KIND, PLAIN)                                                                                     \
    extern "C" __global__ void __launch_bounds__(OPT_THREADS, 3) optim_##name(const __grid_constant__ taper_optim_table t,        \
                                                                           const __grid_constant__ taper_optim_common c) {     \
        opt_step<R, KIND, PLAIN>(t, c);                                                                                      \
    }
OPT_KERNEL(sgd_plain, float, OPT_SGD, true)
OPT_KERNEL(sgd_any, float, OPT_SGD, false)
OPT_KERNEL(sgd_f64, double, OPT_SGD, false)
OPT_KERNEL(adam_plain, float, OPT_ADAM, true)
OPT_KERNEL(adam_any, float, OPT_ADAM, false)
OPT_KERNEL(adam_f64, double, OPT_ADAM, false)
OPT_KERNEL(rmsprop_plain, float, OPT_RMSPROP, true)
OPT_KERNEL(rmsprop_any, float, OPT_RMSPROP, false)
OPT_KERNEL(rmsprop_f64, double, OPT_RMSPROP, false)

/* Counts the steps and makes what adam corrects with; a thread for each tensor. Nothing is counted after an overflow. */
extern "C" __global__ void __launch_bounds__(64) optim_count(const __grid_constant__ taper_optim_steps t, const __grid_constant__ taper_optim_common c) {
    const int i = threadIdx.x;
    if (i >= t.count || (c.inf && el_load<float>(c.inf, 0, c.inf_dtype) != 0)) return;
    double step = t.number[i];
    if (t.step[i]) {
        step = el_load<double>(t.step[i], 0, t.dtype[i]) + 1;
        el_store<double>(t.step[i], 0, t.dtype[i], step);
    }
    if (!c.bias) return;
    c.bias[2 * (t.base + i)] = c.lr / (1 - pow(c.beta1, step));
    c.bias[2 * (t.base + i) + 1] = sqrt(1 - pow(c.beta2, step));
}

/* ---- gradients: the norm of all, scaling, looking for values that are not finite ---- */

template <class F> EL_FN void opt_each(const taper_optim_table &t, const F &f) {
    const taper_optim_entry &e = t.item[opt_find(t, blockIdx.x)];
    const int64_t from = (int64_t)(blockIdx.x - e.first) * TAPER_OPTIM_STRETCH;
    const int64_t end = e.numel - from < TAPER_OPTIM_STRETCH ? e.numel : from + TAPER_OPTIM_STRETCH;
    const int dtype = e.dtype[0];
    for (int64_t at = from + threadIdx.x * 4; at < end; at += OPT_THREADS * 4) {
        double wide;
        float v[4];
        const int n = (int)(end - at < 4 ? end - at : 4);
        if (dtype == TAPER_F64) {
            for (int j = 0; j < n; j++) {
                wide = ((double *)e.data[0])[at + j];
                if (f(&wide, 1)) ((double *)e.data[0])[at + j] = wide;
            }
        } else if (e.wide && n == 4) {
            el_load4<float>(v, e.data[0], at, dtype);
            if (f(v, 4)) el_store4<float>(e.data[0], at, dtype, v);
        } else {
            for (int j = 0; j < n; j++) {
                v[0] = el_load<float>(e.data[0], at + j, dtype);
                if (f(v, 1)) el_store<float>(e.data[0], at + j, dtype, v[0]);
            }
        }
    }
}
/* Sum over the block by a fixed tree; thread 0 gets it. */
EL_FN double opt_block_sum(double v) {
    __shared__ double part[32];
#pragma unroll
    for (int d = 16; d > 0; d /= 2) v += __shfl_xor_sync(0xffffffffu, v, d);
    if (threadIdx.x % 32 == 0) part[threadIdx.x / 32] = v;
    __syncthreads();
    v = 0;
    for (int i = 0; threadIdx.x == 0 && i < (int)blockDim.x / 32; i++) v += part[i];
    return v;
}

struct opt_squares {
    double *sum;
    __device__ __forceinline__ bool operator()(const float *v, int n) const {
        float s = 0;
        for (int j = 0; j < n; j++) s += v[j] * v[j];
        *sum += s;
        return false;
    }
    __device__ __forceinline__ bool operator()(const double *v, int n) const {
        for (int j = 0; j < n; j++) *sum += v[j] * v[j];
        return false;
    }
};
extern "C" __global__ void __launch_bounds__(OPT_THREADS) optim_squares(const __grid_constant__ taper_optim_table t, double *parts) {
    double sum = 0;
    opt_each(t, opt_squares{&sum});
    sum = opt_block_sum(sum);
    if (threadIdx.x == 0) parts[blockIdx.x] = sum;
}
/* norm = sqrt of the parts' sum; factor = max_norm / (norm + 1e-6), or 1 where that is not less. */
extern "C" __global__ void __launch_bounds__(1024) optim_norm(void *norm, int dtype, void *factor, int factor_dtype, const double *parts, long long count, double most) {
    double sum = 0;
    for (int64_t i = threadIdx.x; i < count; i += 1024) sum += parts[i];
    sum = opt_block_sum(sum);
    if (threadIdx.x) return;
    sum = sqrt(sum);
    el_store<double>(norm, 0, dtype, sum);
    const double f = most / (sum + 1e-6);
    el_store<double>(factor, 0, factor_dtype, f >= 1 ? 1 : f);
}
struct opt_scaled {
    double by;
    __device__ __forceinline__ bool operator()(float *v, int n) const {
        for (int j = 0; j < n; j++) v[j] *= (float)by;
        return true;
    }
    __device__ __forceinline__ bool operator()(double *v, int n) const {
        for (int j = 0; j < n; j++) v[j] *= by;
        return true;
    }
};
extern "C" __global__ void __launch_bounds__(OPT_THREADS) optim_scale(const __grid_constant__ taper_optim_table t, const double *factor) {
    if (*factor == 1) return;
    opt_each(t, opt_scaled{*factor});
}

struct opt_unscaled {
    float by;
    int *bad;
    template <class R> __device__ __forceinline__ bool operator()(R *v, int n) const {
        for (int j = 0; j < n; j++) {
            if (!isfinite(v[j])) *bad = 1;
            v[j] *= (R)by;
        }
        return by != 1;
    }
};
extern "C" __global__ void __launch_bounds__(OPT_THREADS) optim_unscale(const __grid_constant__ taper_optim_table t, float *inf, const float *inverse) {
    int bad = 0;
    opt_each(t, opt_unscaled{*inverse, &bad});
    if (bad) *inf = 1; /* whoever writes it writes the same */
}
extern "C" __global__ void __launch_bounds__(32) optim_update_scale(float *scale, int *tracker, const float *inf, double growth, double backoff, int interval) {
    if (threadIdx.x) return;
    if (*inf != 0) {
        *scale = (float)(*scale * backoff);
        *tracker = 0;
        return;
    }
    const int good = *tracker + 1;
    const float more = (float)(*scale * growth);
    if (good == interval && isfinite(more)) *scale = more;
    *tracker = good == interval ? 0 : good;
}
