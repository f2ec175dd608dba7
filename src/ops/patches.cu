/* Patches of images as columns and back. A pixel gathers from the columns that hold it, so nothing is added twice at once. */
#include "ops/conv_args.h"
#include "ops/elements.cuh"

EL_FN int64_t patches_divide(int64_t a, int64_t b) { return (a | b) >> 32 == 0 ? (int64_t)((unsigned)a / (unsigned)b) : a / b; }

template <class A> EL_FN void patches_take(const taper_patches_args &g) {
    const int64_t columns = (int64_t)g.oh * g.ow, all = g.n * g.c * g.kh * g.kw * columns;
    for (int64_t e = blockIdx.x * (int64_t)blockDim.x + threadIdx.x; e < all; e += (int64_t)gridDim.x * blockDim.x) {
        const int64_t row = patches_divide(e, columns), line = patches_divide(row, g.kw), plane = patches_divide(line, g.kh);
        const int q = (int)(e - row * columns), i = q / g.ow, j = q - i * g.ow, s = (int)(row - line * g.kw), r = (int)(line - plane * g.kh);
        const int h = i * g.stride[0] - g.padding[0] + r * g.dilation[0], w = j * g.stride[1] - g.padding[1] + s * g.dilation[1];
        const bool in = h >= 0 && h < g.h && w >= 0 && w < g.w;
        el_store<A>(g.to, e, g.dtype, in ? el_load<A>(g.from, (plane * g.h + h) * g.w + w, g.dtype) : (A)0);
    }
}

template <class A> EL_FN void patches_add(const taper_patches_args &g) {
    const int64_t columns = (int64_t)g.oh * g.ow, all = g.n * g.c * g.h * g.w;
    for (int64_t e = blockIdx.x * (int64_t)blockDim.x + threadIdx.x; e < all; e += (int64_t)gridDim.x * blockDim.x) {
        const int64_t line = patches_divide(e, g.w), plane = patches_divide(line, g.h);
        const int y = (int)(line - plane * g.h) + g.padding[0], x = (int)(e - line * g.w) + g.padding[1];
        A sum = 0;
#pragma unroll 1
        for (int r = 0; r < g.kh; r++) {
            const int h = y - r * g.dilation[0], i = h / g.stride[0];
            if (h < 0 || i * g.stride[0] != h || i >= g.oh) continue;
#pragma unroll 1
            for (int s = 0; s < g.kw; s++) {
                const int w = x - s * g.dilation[1], j = w / g.stride[1];
                if (w < 0 || j * g.stride[1] != w || j >= g.ow) continue;
                sum += el_load<A>(g.from, ((plane * g.kh + r) * g.kw + s) * columns + (int64_t)i * g.ow + j, g.dtype);
            }
        }
        el_store<A>(g.to, e, g.dtype, sum);
    }
}

#define PATCHES_KERNELS(name, A)                                                                                       \
    extern "C" __global__ void __launch_bounds__(256, 4) patches_take_##name(const __grid_constant__ taper_patches_args g) { patches_take<A>(g); } \
    extern "C" __global__ void __launch_bounds__(256, 4) patches_add_##name(const __grid_constant__ taper_patches_args g) { patches_add<A>(g); }
PATCHES_KERNELS(f32, float)
PATCHES_KERNELS(f64, double)
