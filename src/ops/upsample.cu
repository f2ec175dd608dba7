/* Nearest and bilinear resampling. Backward, one thread makes one pixel from the results that took from it. Positions are
 * rounded exactly as in upsample.c. */
#include "ops/elements.cuh"
#include "ops/upsample_args.h"

EL_FN int64_t up_divide(int64_t a, int64_t b) { return (a | b) >> 32 == 0 ? (int64_t)((unsigned)a / (unsigned)b) : a / b; }

/* Result i takes 1 - weight of lo and weight of hi. */
struct up_source {
    int lo, hi;
    double weight;
};
EL_FN double up_scale(const taper_upsample_args &u, int d) {
    if (!u.nearest && u.align) return u.out[d] > 1 ? (double)(u.in[d] - 1) / (double)(u.out[d] - 1) : 0;
    return u.factor[d] > 0 ? 1 / u.factor[d] : (double)u.in[d] / (double)u.out[d];
}
EL_FN up_source up_of(const taper_upsample_args &u, int d, double scale, int i) {
    const int in = u.in[d], out = u.out[d];
    if (u.nearest) {
        const float f = u.factor[d] > 0 ? (float)scale : __fdiv_rn((float)in, (float)out);
        const int at = out == in ? i : out == 2 * in ? i / 2 : (int)floorf(__fmul_rn((float)i, f));
        return {min(at, in - 1), min(at, in - 1), 0};
    }
    double at;
    if (u.wide)
        at = u.align ? __dmul_rn(scale, (double)i) : __dsub_rn(__dmul_rn(scale, (double)i + 0.5), 0.5);
    else
        at = u.align ? __fmul_rn((float)scale, (float)i) : __fsub_rn(__fmul_rn((float)scale, (float)i + 0.5f), 0.5f);
    at = at > 0 ? at : 0;
    const int lo = min((int)at, in - 1);
    const double weight = at - (double)lo;
    return {lo, lo + (lo < in - 1), weight < 0 ? 0 : weight > 1 ? 1 : weight};
}
/* [lo, hi): a range that holds all results which take from h. */
EL_FN void up_takers(const taper_upsample_args &u, int d, double scale, int h, int *lo, int *hi) {
    *lo = 0, *hi = u.out[d];
    if (!(scale > 0)) return;
    const double a = (h - 2) / scale - 2, b = (h + 2) / scale + 3;
    if (h > 0 && a > 0) *lo = a < u.out[d] ? (int)a : u.out[d];
    if (h < u.in[d] - 1 && b < u.out[d]) *hi = (int)b;
}

template <class A> EL_FN void up_forward(const taper_upsample_args &u) {
    const int64_t all = u.planes * u.out[0] * u.out[1], plane_in = (int64_t)u.in[0] * u.in[1];
    const double sr = up_scale(u, 0), sc = up_scale(u, 1);
    for (int64_t e = blockIdx.x * (int64_t)blockDim.x + threadIdx.x; e < all; e += (int64_t)gridDim.x * blockDim.x) {
        const int64_t line = up_divide(e, u.out[1]), plane = up_divide(line, u.out[0]);
        const up_source r = up_of(u, 0, sr, (int)(line - plane * u.out[0])), c = up_of(u, 1, sc, (int)(e - line * u.out[1]));
        const int64_t a = plane * plane_in + (int64_t)r.lo * u.in[1], b = plane * plane_in + (int64_t)r.hi * u.in[1];
        A y = el_load<A>(u.from, a + c.lo, u.dtype);
        if (!u.nearest) {
            const A v = (A)r.weight, w = (A)c.weight;
            y = (1 - v) * ((1 - w) * y + w * el_load<A>(u.from, a + c.hi, u.dtype)) +
                v * ((1 - w) * el_load<A>(u.from, b + c.lo, u.dtype) + w * el_load<A>(u.from, b + c.hi, u.dtype));
        }
        el_store<A>(u.to, e, u.dtype, y);
    }
}

template <class A> EL_FN A up_part(const up_source &s, int at) {
    const A w = (A)s.weight;
    return (s.lo == at ? 1 - w : (A)0) + (s.hi == at && w != (A)0 ? w : (A)0);
}
template <class A> EL_FN void up_backward(const taper_upsample_args &u) {
    const int64_t all = u.planes * u.in[0] * u.in[1], plane_out = (int64_t)u.out[0] * u.out[1];
    const double sr = up_scale(u, 0), sc = up_scale(u, 1);
    for (int64_t e = blockIdx.x * (int64_t)blockDim.x + threadIdx.x; e < all; e += (int64_t)gridDim.x * blockDim.x) {
        const int64_t line = up_divide(e, u.in[1]), plane = up_divide(line, u.in[0]);
        const int h = (int)(line - plane * u.in[0]), w = (int)(e - line * u.in[1]);
        int i0, i1, j0, j1;
        up_takers(u, 0, sr, h, &i0, &i1);
        up_takers(u, 1, sc, w, &j0, &j1);
        A sum = 0;
#pragma unroll 1
        for (int i = i0; i < i1; i++) {
            const up_source r = up_of(u, 0, sr, i);
            if (r.lo != h && r.hi != h) continue;
            const A v = up_part<A>(r, h);
            A row = 0;
#pragma unroll 1
            for (int j = j0; j < j1; j++) {
                const up_source c = up_of(u, 1, sc, j);
                if (c.lo == w || c.hi == w) row += up_part<A>(c, w) * el_load<A>(u.from, plane * plane_out + (int64_t)i * u.out[1] + j, u.dtype);
            }
            sum += v * row;
        }
        el_store<A>(u.to, e, u.dtype, sum);
    }
}

#define UP_KERNELS(name, A)                                                                                            \
    extern "C" __global__ void __launch_bounds__(256, 3) upsample_forward_##name(const __grid_constant__ taper_upsample_args u) { up_forward<A>(u); } \
    extern "C" __global__ void __launch_bounds__(256, 3) upsample_backward_##name(const __grid_constant__ taper_upsample_args u) { up_backward<A>(u); }
UP_KERNELS(f32, float)
UP_KERNELS(f64, double)
