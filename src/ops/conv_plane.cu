/* Depthwise convolution: each output has a window of its own over one channel. One thread makes one element; a weight is one
 * block's sum over all images, in a fixed order. */
#include "ops/conv_args.h"
#include "ops/elements.cuh"

EL_FN int64_t plane_divide(int64_t a, int64_t b) { return (a | b) >> 32 == 0 ? (int64_t)((unsigned)a / (unsigned)b) : a / b; }

/* The four dtypes of a convolution: fewer branches in the inner loops than el_load. */
template <class A> EL_FN A plane_load(const void *p, int64_t at, int dtype) {
    if (sizeof(A) == 8) return (A)((const double *)p)[at];
    if (dtype == TAPER_F32) return (A)((const float *)p)[at];
    return dtype == TAPER_F16 ? (A)__half2float(((const __half *)p)[at]) : (A)__bfloat162float(((const __nv_bfloat16 *)p)[at]);
}

struct plane_at {
    int64_t n, c;
    int i, j;
};
/* Element `at` of (n, channels, h, w), the channel fastest where it is in memory. */
EL_FN plane_at plane_where(int64_t at, int64_t channels, int64_t h, int64_t w, bool last) {
    plane_at p;
    if (last) {
        int64_t q = plane_divide(at, channels);
        p.c = at - q * channels;
        int64_t line = plane_divide(q, w);
        p.j = (int)(q - line * w);
        p.n = plane_divide(line, h);
        p.i = (int)(line - p.n * h);
    } else {
        int64_t line = plane_divide(at, w), plane = plane_divide(line, h);
        p.j = (int)(at - line * w);
        p.i = (int)(line - plane * h);
        p.n = plane_divide(plane, channels);
        p.c = plane - p.n * channels;
    }
    return p;
}

template <class A> EL_FN void plane_forward(const taper_conv_plane_args &g) {
    const int64_t outputs = g.channels * g.per, all = g.n * outputs * g.oh * g.ow;
    const bool last = g.y_step[1] == 1 && outputs > 1;
    for (int64_t e = blockIdx.x * (int64_t)blockDim.x + threadIdx.x; e < all; e += (int64_t)gridDim.x * blockDim.x) {
        const plane_at p = plane_where(e, outputs, g.oh, g.ow, last);
        const int64_t base = p.n * g.x_step[0] + plane_divide(p.c, g.per) * g.x_step[1];
        A sum = g.bias ? plane_load<A>(g.bias, p.c, g.dtype) : (A)0;
#pragma unroll 1
        for (int r = 0; r < g.kh; r++) {
            const int h = p.i * g.stride[0] - g.padding[0] + r * g.dilation[0];
            if (h < 0 || h >= g.h) continue;
#pragma unroll 1
            for (int s = 0; s < g.kw; s++) {
                const int w = p.j * g.stride[1] - g.padding[1] + s * g.dilation[1];
                if (w < 0 || w >= g.width) continue;
                sum += plane_load<A>(g.x, base + h * g.x_step[2] + w * g.x_step[3], g.dtype) *
                       plane_load<A>(g.w, p.c * g.w_step[0] + r * g.w_step[1] + s * g.w_step[2], g.dtype);
            }
        }
        el_store<A>(g.out, p.n * g.y_step[0] + p.c * g.y_step[1] + p.i * g.y_step[2] + p.j * g.y_step[3], g.dtype, sum);
    }
}

template <class A> EL_FN void plane_input(const taper_conv_plane_args &g) {
    const int64_t all = g.n * g.channels * g.h * g.width;
    const bool last = g.x_step[1] == 1 && g.channels > 1;
    for (int64_t e = blockIdx.x * (int64_t)blockDim.x + threadIdx.x; e < all; e += (int64_t)gridDim.x * blockDim.x) {
        const plane_at p = plane_where(e, g.channels, g.h, g.width, last);
        A sum = 0;
#pragma unroll 1
        for (int r = 0; r < g.kh; r++) {
            const int h = p.i + g.padding[0] - r * g.dilation[0], i = h / g.stride[0];
            if (h < 0 || i * g.stride[0] != h || i >= g.oh) continue;
#pragma unroll 1
            for (int s = 0; s < g.kw; s++) {
                const int w = p.j + g.padding[1] - s * g.dilation[1], j = w / g.stride[1];
                if (w < 0 || j * g.stride[1] != w || j >= g.ow) continue;
                for (int64_t o = p.c * g.per; o < (p.c + 1) * g.per; o++)
                    sum += plane_load<A>(g.dy, p.n * g.y_step[0] + o * g.y_step[1] + i * g.y_step[2] + j * g.y_step[3], g.dtype) *
                           plane_load<A>(g.w, o * g.w_step[0] + r * g.w_step[1] + s * g.w_step[2], g.dtype);
            }
        }
        el_store<A>(g.out, p.n * g.x_step[0] + p.c * g.x_step[1] + p.i * g.x_step[2] + p.j * g.x_step[3], g.dtype, sum);
    }
}

template <class A> EL_FN void plane_weight(const taper_conv_plane_args &g) {
    __shared__ A part[256];
    const int64_t window = g.kh * g.kw, all = g.channels * g.per * window, places = g.n * g.oh * g.ow;
    for (int64_t e = blockIdx.x; e < all; e += gridDim.x) {
        const int64_t o = plane_divide(e, window), c = plane_divide(o, g.per);
        const int tap = (int)(e - o * window), r = tap / g.kw, s = tap - r * g.kw;
        A sum = 0;
        for (int64_t q = threadIdx.x; q < places; q += 256) {
            const plane_at p = plane_where(q, 1, g.oh, g.ow, false);
            const int h = p.i * g.stride[0] - g.padding[0] + r * g.dilation[0], w = p.j * g.stride[1] - g.padding[1] + s * g.dilation[1];
            if (h < 0 || h >= g.h || w < 0 || w >= g.width) continue;
            sum += plane_load<A>(g.dy, p.n * g.y_step[0] + o * g.y_step[1] + p.i * g.y_step[2] + p.j * g.y_step[3], g.dtype) *
                   plane_load<A>(g.x, p.n * g.x_step[0] + c * g.x_step[1] + h * g.x_step[2] + w * g.x_step[3], g.dtype);
        }
        part[threadIdx.x] = sum;
        __syncthreads();
        for (int half = 128; half > 0; half /= 2) {
            if (threadIdx.x < half) part[threadIdx.x] += part[threadIdx.x + half];
            __syncthreads();
        }
        if (threadIdx.x == 0) el_store<A>(g.out, o * g.w_step[0] + r * g.w_step[1] + s * g.w_step[2], g.dtype, part[0]);
        __syncthreads();
    }
}

/* out += bias of the channel */
template <class A> EL_FN void plane_bias(const taper_conv_plane_args &g) {
    const int64_t all = g.n * g.channels * g.oh * g.ow;
    const bool last = g.y_step[1] == 1 && g.channels > 1;
    for (int64_t e = blockIdx.x * (int64_t)blockDim.x + threadIdx.x; e < all; e += (int64_t)gridDim.x * blockDim.x) {
        const plane_at p = plane_where(e, g.channels, g.oh, g.ow, last);
        const int64_t at = p.n * g.y_step[0] + p.c * g.y_step[1] + p.i * g.y_step[2] + p.j * g.y_step[3];
        el_store<A>(g.out, at, g.dtype, plane_load<A>(g.out, at, g.dtype) + plane_load<A>(g.bias, p.c, g.dtype));
    }
}

#define PLANE_KERNELS(name, A)                                                                                         \
    extern "C" __global__ void __launch_bounds__(256, 4) conv_plane_forward_##name(const __grid_constant__ taper_conv_plane_args g) { plane_forward<A>(g); } \
    extern "C" __global__ void __launch_bounds__(256, 4) conv_plane_input_##name(const __grid_constant__ taper_conv_plane_args g) { plane_input<A>(g); } \
    extern "C" __global__ void __launch_bounds__(256, 4) conv_plane_weight_##name(const __grid_constant__ taper_conv_plane_args g) { plane_weight<A>(g); } \
    extern "C" __global__ void __launch_bounds__(256, 4) conv_bias_##name(const __grid_constant__ taper_conv_plane_args g) { plane_bias<A>(g); }
PLANE_KERNELS(f32, float)
PLANE_KERNELS(f64, double)
