/* Batch and group normalisation: sums of each channel in parts, joined in their order; a step with one thread for each channel,
 * which turns them into three coefficients; and one pass that applies those. */
#include "ops/channel_args.h"
#include "ops/elements.cuh"

EL_FN int64_t channel_divide(int64_t a, int64_t b) { return (a | b) >> 32 == 0 ? (int64_t)((unsigned)a / (unsigned)b) : a / b; }

template <class A> EL_FN A channel_load(const void *p, int64_t at, int dtype) {
    if (sizeof(A) == 8) return (A)((const double *)p)[at];
    if (dtype == TAPER_F32) return (A)((const float *)p)[at];
    return dtype == TAPER_F16 ? (A)__half2float(((const __half *)p)[at]) : (A)__bfloat162float(((const __nv_bfloat16 *)p)[at]);
}
/* Four neighbours. */
template <class A> EL_FN void channel_load4(A *v, const void *p, int64_t at, int dtype) {
    if (sizeof(A) == 8) {
        const double2 x = *(const double2 *)((const double *)p + at), y = *(const double2 *)((const double *)p + at + 2);
        v[0] = (A)x.x, v[1] = (A)x.y, v[2] = (A)y.x, v[3] = (A)y.y;
    } else if (dtype == TAPER_F32) {
        const float4 x = *(const float4 *)((const float *)p + at);
        v[0] = (A)x.x, v[1] = (A)x.y, v[2] = (A)x.z, v[3] = (A)x.w;
    } else {
        const uint2 x = *(const uint2 *)((const uint16_t *)p + at);
        if (dtype == TAPER_BF16) {
            v[0] = (A)__uint_as_float(x.x << 16), v[1] = (A)__uint_as_float(x.x & 0xffff0000u);
            v[2] = (A)__uint_as_float(x.y << 16), v[3] = (A)__uint_as_float(x.y & 0xffff0000u);
        } else {
            const float2 low = __half22float2(*(const __half2 *)&x.x), high = __half22float2(*(const __half2 *)&x.y);
            v[0] = (A)low.x, v[1] = (A)low.y, v[2] = (A)high.x, v[3] = (A)high.y;
        }
    }
}

/* Forward sums are of x - shift, shift the first element of the channel: so the variance keeps its digits far from zero. */
template <class A> EL_FN A channel_shift(const taper_channel_args &k, int64_t c) {
    return k.g ? el_load<A>(k.mean, c / k.mean_per, k.dtype_stats) : channel_load<A>(k.x, k.last ? c : c * k.inner, k.dtype);
}
template <class A> EL_FN void channel_add(A *s, A x, A g, A shift, bool back) {
    const A d = x - shift;
    s[0] += back ? g : d;
    s[1] += (back ? g : d) * d;
}

/* grid: channels, parts; 256 threads */
template <class A> EL_FN void channel_sums(const taper_channel_args &k) {
    __shared__ double part[2][8];
    const int64_t c = blockIdx.x, begin = blockIdx.y * k.part, all = k.outer * k.inner, end = begin + k.part < all ? begin + k.part : all;
    const A shift = channel_shift<A>(k, c);
    const bool back = k.g != NULL;
    A s[2] = {0, 0};
    if (k.wide) {
        for (int64_t e = begin + threadIdx.x * 4; e < end; e += 1024) {
            const int64_t n = channel_divide(e, k.inner), at = (n * k.channels + c) * k.inner + e - n * k.inner;
            A x[4], g[4] = {};
            channel_load4<A>(x, k.x, at, k.dtype);
            if (back) channel_load4<A>(g, k.g, at, k.dtype);
#pragma unroll
            for (int i = 0; i < 4; i++) channel_add<A>(s, x[i], g[i], shift, back);
        }
    } else {
        for (int64_t e = begin + threadIdx.x; e < end; e += 256) {
            const int64_t n = channel_divide(e, k.inner), at = (n * k.channels + c) * k.inner + e - n * k.inner;
            channel_add<A>(s, channel_load<A>(k.x, at, k.dtype), back ? channel_load<A>(k.g, at, k.dtype) : (A)0, shift, back);
        }
    }
    double a = s[0], b = s[1];
#pragma unroll
    for (int d = 16; d > 0; d /= 2) a += __shfl_xor_sync(0xffffffffu, a, d), b += __shfl_xor_sync(0xffffffffu, b, d);
    if (threadIdx.x % 32 == 0) part[0][threadIdx.x / 32] = a, part[1][threadIdx.x / 32] = b;
    __syncthreads();
    if (threadIdx.x < 2) {
        double sum = 0;
        for (int i = 0; i < 8; i++) sum += part[threadIdx.x][i];
        ((double *)k.partial)[(blockIdx.y * 2 + threadIdx.x) * k.channels + c] = sum;
    }
}

/* grid: tiles of 64 channels, parts of the rows; 16 lanes by 16 rows */
template <class A> EL_FN void channel_sums_last(const taper_channel_args &k) {
    __shared__ double part[2][16][TAPER_CHANNEL_TILE + 1];
    const int lane = threadIdx.x % TAPER_CHANNEL_LANES, line = threadIdx.x / TAPER_CHANNEL_LANES;
    const int64_t c0 = blockIdx.x * (int64_t)TAPER_CHANNEL_TILE + lane * 4, rows = k.outer * k.inner, begin = blockIdx.y * k.part;
    const int64_t end = begin + k.part < rows ? begin + k.part : rows;
    const bool back = k.g != NULL;
    A s[4][2] = {}, shift[4];
#pragma unroll
    for (int i = 0; i < 4; i++) shift[i] = c0 + i < k.channels ? channel_shift<A>(k, c0 + i) : (A)0;
    for (int64_t r = begin + line; r < end; r += 16) {
        A x[4] = {}, g[4] = {};
        if (k.wide && c0 < k.channels) {
            channel_load4<A>(x, k.x, r * k.channels + c0, k.dtype);
            if (back) channel_load4<A>(g, k.g, r * k.channels + c0, k.dtype);
        } else {
#pragma unroll
            for (int i = 0; i < 4; i++)
                if (c0 + i < k.channels) {
                    x[i] = channel_load<A>(k.x, r * k.channels + c0 + i, k.dtype);
                    if (back) g[i] = channel_load<A>(k.g, r * k.channels + c0 + i, k.dtype);
                }
        }
#pragma unroll
        for (int i = 0; i < 4; i++) channel_add<A>(s[i], x[i], g[i], shift[i], back);
    }
#pragma unroll
    for (int i = 0; i < 4; i++) part[0][line][lane * 4 + i] = s[i][0], part[1][line][lane * 4 + i] = s[i][1];
    __syncthreads();
    if (threadIdx.x < 2 * TAPER_CHANNEL_TILE) {
        const int which = threadIdx.x / TAPER_CHANNEL_TILE, i = threadIdx.x % TAPER_CHANNEL_TILE;
        const int64_t c = blockIdx.x * (int64_t)TAPER_CHANNEL_TILE + i;
        double sum = 0;
        for (int l = 0; l < 16; l++) sum += part[which][l][i];
        if (c < k.channels) ((double *)k.partial)[(blockIdx.y * 2 + which) * k.channels + c] = sum;
    }
}

EL_FN void channel_total(const taper_channel_args &k, int64_t c, double *s) {
    s[0] = s[1] = 0;
    for (int64_t p = 0; p < k.parts; p++)
        for (int i = 0; i < 2; i++) s[i] += ((const double *)k.partial)[(p * 2 + i) * k.channels + c];
}
template <class A> EL_FN void channel_coef(const taper_channel_args &k, int64_t i, double a, double b, double c) {
    A *coef = (A *)k.coef;
    coef[i] = (A)a, coef[k.coefs + i] = (A)b, coef[2 * k.coefs + i] = (A)c;
}
/* Mean and sum of squared distances of `count` elements. */
template <class A> EL_FN void channel_moments(const taper_channel_args &k, int64_t c, double count, double *mean, double *spread) {
    double s[2];
    channel_total(k, c, s);
    const double shift = (double)channel_shift<A>(k, c), d = s[0] / count, q = s[1] - s[0] * d;
    *mean = shift + d;
    *spread = q > 0 || q != q ? q : 0;
}
EL_FN double channel_weight(const taper_channel_args &k, int64_t c) { return k.w ? el_load<double>(k.w, c, k.dtype_w) : 1; }
EL_FN double channel_bias(const taper_channel_args &k, int64_t c) { return k.b ? el_load<double>(k.b, c, k.dtype_b) : 0; }

template <class A> EL_FN void batch_finish(const taper_channel_args &k) {
    const int64_t c = blockIdx.x * (int64_t)blockDim.x + threadIdx.x;
    const double count = (double)(k.outer * k.inner);
    if (c >= k.channels) return;
    if (k.g) {
        double s[2];
        channel_total(k, c, s);
        const double mean = el_load<double>(k.mean, c, k.dtype_stats), r = el_load<double>(k.rstd, c, k.dtype_stats), dw = s[1] * r;
        const double a = r * channel_weight(k, c), b = k.training ? -a * r * dw / count : 0;
        el_store<double>(k.dw, c, k.dtype_dw, dw);
        el_store<double>(k.db, c, k.dtype_dw, s[0]);
        channel_coef<A>(k, c, a, b, k.training ? -a * s[0] / count - b * mean : 0);
        return;
    }
    double mean, var;
    if (k.training) {
        channel_moments<A>(k, c, count, &mean, &var);
        if (k.running_mean)
            el_store<double>(k.running_mean, c, k.dtype_running_mean,
                             (1 - k.momentum) * el_load<double>(k.running_mean, c, k.dtype_running_mean) + k.momentum * mean);
        if (k.running_var)
            el_store<double>(k.running_var, c, k.dtype_running_var,
                             (1 - k.momentum) * el_load<double>(k.running_var, c, k.dtype_running_var) + k.momentum * var / (count - 1));
        var /= count;
    } else {
        mean = el_load<double>(k.running_mean, c, k.dtype_running_mean);
        var = el_load<double>(k.running_var, c, k.dtype_running_var);
    }
    const double r = 1 / sqrt(var + k.eps), scale = r * channel_weight(k, c);
    el_store<double>(k.mean, c, k.dtype_stats, mean);
    el_store<double>(k.rstd, c, k.dtype_stats, r);
    channel_coef<A>(k, c, 0, scale, channel_bias(k, c) - mean * scale);
}

/* One thread for each channel of each sample. */
template <class A> EL_FN void group_finish(const taper_channel_args &k) {
    const int64_t run = blockIdx.x * (int64_t)blockDim.x + threadIdx.x, channels = k.groups * k.per;
    if (run >= k.samples * channels) return;
    const int64_t c = run % channels, group = run / k.per;
    if (!k.g) {
        const double count = (double)k.inner;
        double mean, var;
        channel_moments<A>(k, group, count, &mean, &var);
        const double r = 1 / sqrt(var / count + k.eps), scale = r * channel_weight(k, c);
        if (run % k.per == 0) {
            el_store<double>(k.mean, group, k.dtype_stats, mean);
            el_store<double>(k.rstd, group, k.dtype_stats, r);
        }
        channel_coef<A>(k, run, 0, scale, channel_bias(k, c) - mean * scale);
        return;
    }
    const double mean = el_load<double>(k.mean, group, k.dtype_stats), r = el_load<double>(k.rstd, group, k.dtype_stats), count = (double)(k.per * k.inner);
    double sum = 0, dot = 0, s[2];
    for (int64_t i = 0; i < k.per; i++) {
        const double w = channel_weight(k, c - c % k.per + i);
        channel_total(k, group * k.per + i, s);
        sum += w * s[0];
        dot += w * s[1] * r;
    }
    const double b = -r * r * dot / count;
    channel_coef<A>(k, run, r * channel_weight(k, c), b, -r * sum / count - b * mean);
    if (run >= channels) return;
    double dw = 0, db = 0; /* the first sample's threads add their channel up over all samples */
    for (int64_t n = 0; n < k.samples; n++) {
        channel_total(k, n * channels + c, s);
        db += s[0];
        dw += s[1] * el_load<double>(k.rstd, n * k.groups + c / k.per, k.dtype_stats);
    }
    el_store<double>(k.dw, c, k.dtype_dw, dw);
    el_store<double>(k.db, c, k.dtype_dw, db);
}

template <class A> EL_FN void channel_apply(const taper_channel_args &k) {
    const A *coef = (const A *)k.coef;
    const int64_t all = k.outer * k.channels * k.inner, each = k.wide ? 4 : 1;
    for (int64_t e = (blockIdx.x * (int64_t)blockDim.x + threadIdx.x) * each; e < all; e += (int64_t)gridDim.x * blockDim.x * each) {
        const int64_t run = k.last ? e : channel_divide(e, k.inner), c = run - channel_divide(run, k.coefs) * k.coefs;
        if (k.wide) {
            A x[4], g[4] = {};
            channel_load4<A>(x, k.x, e, k.dtype);
            if (k.g) channel_load4<A>(g, k.g, e, k.dtype);
#pragma unroll
            for (int i = 0; i < 4; i++) {
                const int64_t at = k.last ? c + i : c;
                x[i] = coef[k.coefs + at] * x[i] + coef[2 * k.coefs + at];
                if (k.g) x[i] += coef[at] * g[i];
            }
            el_store4<A>(k.y, e, k.dtype, x);
        } else {
            A x = coef[k.coefs + c] * channel_load<A>(k.x, e, k.dtype) + coef[2 * k.coefs + c];
            if (k.g) x += coef[c] * channel_load<A>(k.g, e, k.dtype);
            el_store<A>(k.y, e, k.dtype, x);
        }
    }
}

#define CHANNEL_KERNEL(fn)                                                                                             \
    extern "C" __global__ void __launch_bounds__(256, 3) fn##_f32(const __grid_constant__ taper_channel_args k) { fn<float>(k); } \
    extern "C" __global__ void __launch_bounds__(256, 3) fn##_f64(const __grid_constant__ taper_channel_args k) { fn<double>(k); }
CHANNEL_KERNEL(channel_sums)
CHANNEL_KERNEL(channel_sums_last)
CHANNEL_KERNEL(batch_finish)
CHANNEL_KERNEL(group_finish)
CHANNEL_KERNEL(channel_apply)
