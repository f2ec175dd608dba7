/* Reductions over any dims of any layout, in one or two passes. The tree is fixed by the shape: no atomics. */
#include "ops/elements.cuh"
#include "ops/reduce_args.h"


#define RED_OP(name, first, combine)                                                                                   \
    template <class A> struct name {                                                                                   \
        static __device__ __forceinline__ A none() { return first; }                                                   \
        static __device__ __forceinline__ A join(A a, A b) { return combine; }                                         \
    };
template <class A> struct red_limits;
template <> struct red_limits<float> {
    static __device__ __forceinline__ float high() { return __int_as_float(0x7f800000); }
    static __device__ __forceinline__ float low() { return -high(); }
};
template <> struct red_limits<double> {
    static __device__ __forceinline__ double high() { return __longlong_as_double(0x7ff0000000000000ll); }
    static __device__ __forceinline__ double low() { return -high(); }
};
template <> struct red_limits<int64_t> {
    static __device__ __forceinline__ int64_t high() { return INT64_MAX; }
    static __device__ __forceinline__ int64_t low() { return INT64_MIN; }
};
RED_OP(red_add, (A)0, a + b)
RED_OP(red_multiply, (A)1, a *b)
RED_OP(red_highest, red_limits<A>::low(), a > b || a != a ? a : b)
RED_OP(red_lowest, red_limits<A>::high(), a < b || a != a ? a : b)
RED_OP(red_any, (A)0, (A)(a != (A)0 || b != (A)0))
RED_OP(red_all, (A)1, (A)(a != (A)0 && b != (A)0))

EL_FN int64_t red_place(int64_t at, int ndim, const int64_t *shape, const int64_t *stride) {
    int64_t where = 0;
    for (int d = ndim - 1; d > 0; d--) {
        int64_t up = at <= 0xffffffffll ? (unsigned)at / (unsigned)shape[d] : at / shape[d];
        where += (at - up * shape[d]) * stride[d];
        at = up;
    }
    return ndim ? where + at * stride[0] : 0;
}

template <class A, class Op> EL_FN void red_run(const taper_reduce_args &k) {
    __shared__ A part[TAPER_RED_THREADS];
    const int lanes = TAPER_RED_THREADS / k.width, t = threadIdx.x;
    const int w = k.columns ? t % k.width : t / lanes, lane = k.columns ? t / k.width : t % lanes;
    for (int64_t block = blockIdx.x; block * k.width < k.outputs; block += gridDim.x) {
        const int64_t o = block * k.width + w, begin = blockIdx.y * k.chunk;
        const int64_t end = begin + k.chunk < k.inner ? begin + k.chunk : k.inner;
        A sum = Op::none();
        if (o < k.outputs) {
            const int64_t base = red_place(o, k.nkept, k.kept_shape, k.kept_stride);
            if (k.ninner == 1) {
                const int64_t step = k.inner_stride[0];
#pragma unroll 4
                for (int64_t i = begin + lane; i < end; i += lanes) sum = Op::join(sum, el_load<A>(k.in, base + i * step, k.dtype_in));
            } else {
                for (int64_t i = begin + lane; i < end; i += lanes)
                    sum = Op::join(sum, el_load<A>(k.in, base + red_place(i, k.ninner, k.inner_shape, k.inner_stride), k.dtype_in));
            }
        }
        part[lane * k.width + w] = sum;
        __syncthreads();
        for (int half = lanes / 2; half > 0; half /= 2) {
            if (lane < half) part[lane * k.width + w] = Op::join(part[lane * k.width + w], part[(lane + half) * k.width + w]);
            __syncthreads();
        }
        if (lane == 0 && o < k.outputs) {
            sum = part[w];
            if (k.parts > 1) {
                ((A *)k.partial)[blockIdx.y * k.outputs + o] = sum;
            } else {
                if (k.scale != 1) sum = (A)(sum * (A)k.scale);
                el_store<A>(k.out, o, k.dtype_out, sum);
            }
        }
        __syncthreads();
    }
}

#define RED_KERNELS(name, op)                                                                                          \
    extern "C" __global__ void __launch_bounds__(256) red_f32_##name(const __grid_constant__ taper_reduce_args k) {    \
        red_run<float, op<float>>(k);                                                                                  \
    }                                                                                                                  \
    extern "C" __global__ void __launch_bounds__(256) red_f64_##name(const __grid_constant__ taper_reduce_args k) {    \
        red_run<double, op<double>>(k);                                                                                \
    }                                                                                                                  \
    extern "C" __global__ void __launch_bounds__(256) red_i64_##name(const __grid_constant__ taper_reduce_args k) {    \
        red_run<int64_t, op<int64_t>>(k);                                                                              \
    }
RED_KERNELS(sum, red_add)
RED_KERNELS(prod, red_multiply)
RED_KERNELS(max, red_highest)
RED_KERNELS(min, red_lowest)
RED_KERNELS(any, red_any)
RED_KERNELS(all, red_all)
