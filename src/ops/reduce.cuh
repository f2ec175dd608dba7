/* The walk that all reductions share. F folds elements of type R (float, double or int64_t) into a state:
 *   typedef R, S; static const int wide: TAPER_RED_WIDE_* of the types whose 16-byte paths are worth their code
 *   S none(k); void step(k, S &s, R x, int64_t i); void join(S &a, const S &b); void store(k, int64_t output, S s)
 * i: the place among the reduced elements. The tree is fixed by the shape: no atomics. */
#ifndef TAPER_OPS_REDUCE_CUH
#define TAPER_OPS_REDUCE_CUH

#include "ops/elements.cuh"
#include "ops/reduce_args.h"

#define RED_IN static __device__ __forceinline__

template <class A> struct red_limits;
template <> struct red_limits<float> {
    static const int bit = TAPER_RED_WIDE_F32;
    RED_IN float high() { return __int_as_float(0x7f800000); }
    RED_IN float low() { return -high(); }
};
template <> struct red_limits<double> {
    static const int bit = TAPER_RED_WIDE_F64;
    RED_IN double high() { return __longlong_as_double(0x7ff0000000000000ll); }
    RED_IN double low() { return -high(); }
};
template <> struct red_limits<int64_t> {
    static const int bit = TAPER_RED_WIDE_I64;
    RED_IN int64_t high() { return INT64_MAX; }
    RED_IN int64_t low() { return INT64_MIN; }
};

/* The lowest is the highest of what this makes of the elements (its own inverse): a kernel for both. */
EL_FN float red_flip(const taper_reduce_args &k, float x) { return k.finish == TAPER_RED_FLIPPED ? -x : x; }
EL_FN double red_flip(const taper_reduce_args &k, double x) { return k.finish == TAPER_RED_FLIPPED ? -x : x; }
EL_FN int64_t red_flip(const taper_reduce_args &k, int64_t x) { return k.finish == TAPER_RED_FLIPPED ? ~x : x; }

EL_FN int64_t red_place(int64_t at, int ndim, const int64_t *shape, const int64_t *stride, const double *inverse) {
    int64_t where = 0;
    for (int d = ndim - 1; d > 0; d--) {
        const int64_t up = el_divide(at, shape[d], inverse[d]);
        where += (at - up * shape[d]) * stride[d];
        at = up;
    }
    return ndim ? where + at * stride[0] : 0;
}
EL_FN int64_t red_kept(const taper_reduce_args &k, int64_t o) { return red_place(o, k.nkept, k.kept_shape, k.kept_stride, k.kept_inverse); }

/* One element: the dtypes that matter inline, the others by a call, as their code would be in every kernel. */
template <class R> static __device__ __noinline__ R red_load_rare(const void *p, int64_t at, int dtype) { return el_load<R>(p, at, dtype); }
EL_FN float red_load(const void *p, int64_t at, int dtype, float) {
    if (dtype == TAPER_F32) return ((const float *)p)[at];
    if (dtype == TAPER_BF16) return __uint_as_float((unsigned)((const uint16_t *)p)[at] << 16);
    return red_load_rare<float>(p, at, dtype);
}
EL_FN double red_load(const void *p, int64_t at, int dtype, double) { return dtype == TAPER_F64 ? ((const double *)p)[at] : red_load_rare<double>(p, at, dtype); }
EL_FN int64_t red_load(const void *p, int64_t at, int dtype, int64_t) { return dtype == TAPER_I64 ? ((const int64_t *)p)[at] : red_load_rare<int64_t>(p, at, dtype); }
template <class R> static __device__ __noinline__ void red_store(void *p, int64_t at, int dtype, R v) { el_store<R>(p, at, dtype, v); }

/* One element as it lies in memory. */
struct red_half { /* bfloat16 or float16: code for each would be as long again, and memory leaves time for both conversions */
    typedef uint16_t raw;
    template <class R> RED_IN R get(raw x, unsigned f16) {
        const float a = __half2float(__ushort_as_half(x)), b = __uint_as_float((unsigned)x << 16);
        float v;
        asm("{ .reg .pred p; setp.ne.u32 p, %3, 0; selp.f32 %0, %1, %2, p; }" : "=f"(v) : "f"(a), "f"(b), "r"(f16));
        return (R)v;
    }
};
template <class T> struct red_plain {
    typedef T raw;
    template <class R> RED_IN R get(raw x, unsigned) { return (R)x; }
};

template <class T> union red_sixteen {
    uint4 all;
    typename T::raw each[16 / sizeof(typename T::raw)];
};

/* Elements [begin, end) of a dense row: edges one by one, what lies between 16 bytes at a time. */
template <class F, class T> EL_FN void red_along(const taper_reduce_args &k, typename F::S &s, int64_t base, int64_t begin, int64_t end, int lane, int lanes) {
    typedef typename T::raw raw;
    typedef typename F::R R;
    const int n = 16 / sizeof(raw);
    const raw *x = (const raw *)k.in + base;
    const unsigned f16 = k.dtype_in == TAPER_F16;
    int64_t head = begin + (int64_t)((16 - ((uintptr_t)(x + begin) & 15)) & 15) / (int64_t)sizeof(raw);
    if (head > end) head = end;
    const int64_t tail = head + (end - head) / n * n, step = (int64_t)lanes * n;
    for (int64_t i = begin + lane; i < head; i += lanes) F::step(k, s, T::template get<R>(x[i], f16), i);
    int64_t at = head + (int64_t)lane * n;
    for (; at + (TAPER_RED_AHEAD - 1) * step < tail; at += TAPER_RED_AHEAD * step) {
        red_sixteen<T> v[TAPER_RED_AHEAD];
#pragma unroll
        for (int u = 0; u < TAPER_RED_AHEAD; u++) v[u].all = *(const uint4 *)(x + at + u * step);
#pragma unroll
        for (int u = 0; u < TAPER_RED_AHEAD; u++)
#pragma unroll
            for (int j = 0; j < n; j++) F::step(k, s, T::template get<R>(v[u].each[j], f16), at + u * step + j);
    }
    for (; at < tail; at += step) {
        red_sixteen<T> v;
        v.all = *(const uint4 *)(x + at);
#pragma unroll
        for (int j = 0; j < n; j++) F::step(k, s, T::template get<R>(v.each[j], f16), at + j);
    }
    for (int64_t i = tail + lane; i < end; i += lanes) F::step(k, s, T::template get<R>(x[i], f16), i);
}

/* The same of 16 bytes of neighbouring columns, rows inner_stride[0] apart. */
template <class F, class T> EL_FN void red_across(const taper_reduce_args &k, typename F::S *s, int64_t base, int64_t begin, int64_t end, int lane, int lanes) {
    typedef typename T::raw raw;
    typedef typename F::R R;
    const int n = 16 / sizeof(raw);
    const raw *x = (const raw *)k.in + base;
    const unsigned f16 = k.dtype_in == TAPER_F16;
    const int64_t pitch = k.inner_stride[0];
    int64_t at = begin + lane;
    for (; at + (TAPER_RED_AHEAD - 1) * lanes < end; at += TAPER_RED_AHEAD * lanes) {
        red_sixteen<T> v[TAPER_RED_AHEAD];
#pragma unroll
        for (int u = 0; u < TAPER_RED_AHEAD; u++) v[u].all = *(const uint4 *)(x + (at + u * lanes) * pitch);
#pragma unroll
        for (int u = 0; u < TAPER_RED_AHEAD; u++)
#pragma unroll
            for (int j = 0; j < n; j++) F::step(k, s[j], T::template get<R>(v[u].each[j], f16), at + u * lanes);
    }
    for (; at < end; at += lanes) {
        red_sixteen<T> v;
        v.all = *(const uint4 *)(x + at * pitch);
#pragma unroll
        for (int j = 0; j < n; j++) F::step(k, s[j], T::template get<R>(v.each[j], f16), at);
    }
}

/* The states of an output's lanes become one; lane 0 has it. */
template <class F> EL_FN void red_lanes(typename F::S &s, typename F::S *part, int w, int lane, int width, int lanes) {
    part[lane * width + w] = s;
    __syncthreads();
    for (int half = lanes / 2; half > 0; half /= 2) {
        if (lane < half) F::join(part[lane * width + w], part[(lane + half) * width + w]);
        __syncthreads();
    }
    s = part[w];
    __syncthreads();
}

template <class S> EL_FN S red_shuffle(const S &s, int distance) {
    union words {
        S s;
        unsigned u[sizeof(S) / 4];
        __device__ words() {}
    } from, to;
    from.s = s;
#pragma unroll
    for (int i = 0; i < (int)(sizeof(S) / 4); i++) to.u[i] = __shfl_xor_sync(0xffffffffu, from.u[i], distance);
    return to.s;
}
/* Likewise where the lanes of an output are neighbours. */
template <class F> EL_FN void red_neighbours(typename F::S &s, typename F::S *part, int lanes) {
    for (int d = (lanes < 32 ? lanes : 32) / 2; d > 0; d /= 2) F::join(s, red_shuffle(s, d));
    if (lanes <= 32) return;
    const int warps = lanes / 32, warp = threadIdx.x / 32;
    __syncthreads();
    if (threadIdx.x % 32 == 0) part[warp] = s;
    __syncthreads();
    s = part[warp / warps * warps + threadIdx.x % warps];
    for (int d = warps / 2; d > 0; d /= 2) F::join(s, red_shuffle(s, d));
}

template <class F> EL_FN void red_give(const taper_reduce_args &k, int64_t o, typename F::S s) {
    if (k.parts > 1) ((typename F::S *)k.partial)[blockIdx.y * k.outputs + o] = s;
    else F::store(k, o, s);
}

template <class F, class T> EL_FN void red_block_across(const taper_reduce_args &k, typename F::S *part) {
    const int n = 16 / sizeof(typename T::raw), lanes = TAPER_RED_THREADS / k.width;
    const int w = threadIdx.x % k.width, lane = threadIdx.x / k.width;
    for (int64_t block = blockIdx.x; block * k.width * n < k.outputs; block += gridDim.x) {
        const int64_t o = (block * k.width + w) * n, begin = blockIdx.y * k.chunk;
        const int64_t end = begin + k.chunk < k.inner ? begin + k.chunk : k.inner;
        typename F::S s[n];
#pragma unroll
        for (int j = 0; j < n; j++) s[j] = F::none(k);
        if (o < k.outputs) red_across<F, T>(k, s, red_kept(k, o), begin, end, lane, lanes);
#pragma unroll
        for (int j = 0; j < n; j++) {
            red_lanes<F>(s[j], part, w, lane, k.width, lanes);
            if (lane == 0 && o < k.outputs) red_give<F>(k, o + j, s[j]);
        }
    }
}

template <class F, class T> EL_FN void red_block_along(const taper_reduce_args &k, typename F::S *part) {
    const int lanes = TAPER_RED_THREADS / k.width, w = threadIdx.x / lanes, lane = threadIdx.x % lanes;
    for (int64_t block = blockIdx.x; block * k.width < k.outputs; block += gridDim.x) {
        const int64_t o = block * k.width + w, begin = blockIdx.y * k.chunk;
        const int64_t end = begin + k.chunk < k.inner ? begin + k.chunk : k.inner;
        typename F::S s = F::none(k);
        if (o < k.outputs) red_along<F, T>(k, s, red_kept(k, o), begin, end, lane, lanes);
        red_neighbours<F>(s, part, lanes);
        if (lane == 0 && o < k.outputs) red_give<F>(k, o, s);
    }
}

template <class F> EL_FN void red_block_anyhow(const taper_reduce_args &k, typename F::S *part) {
    typedef typename F::R R;
    const int lanes = TAPER_RED_THREADS / k.width, t = threadIdx.x;
    const int w = k.columns ? t % k.width : t / lanes, lane = k.columns ? t / k.width : t % lanes;
    for (int64_t block = blockIdx.x; block * k.width < k.outputs; block += gridDim.x) {
        const int64_t o = block * k.width + w, begin = blockIdx.y * k.chunk;
        const int64_t end = begin + k.chunk < k.inner ? begin + k.chunk : k.inner;
        typename F::S s = F::none(k);
        if (o < k.outputs) {
            const int64_t base = red_kept(k, o);
#pragma unroll 1
            for (int64_t i = begin + lane; i < end; i += lanes) {
                const int64_t at = base + red_place(i, k.ninner, k.inner_shape, k.inner_stride, k.inner_inverse);
                F::step(k, s, red_load(k.in, at, k.dtype_in, R()), i);
            }
        }
        red_lanes<F>(s, part, w, lane, k.width, lanes);
        if (lane == 0 && o < k.outputs) red_give<F>(k, o, s);
    }
}

template <class F, class T> EL_FN void red_block_wide(const taper_reduce_args &k, typename F::S *part) {
    if (k.way == TAPER_RED_ALONG) red_block_along<F, T>(k, part);
    else red_block_across<F, T>(k, part);
}
template <class F> EL_FN void red_dtypes(const taper_reduce_args &k, typename F::S *part, float) {
    if (k.dtype_in == TAPER_F32) red_block_wide<F, red_plain<float>>(k, part);
    else red_block_wide<F, red_half>(k, part);
}
template <class F> EL_FN void red_dtypes(const taper_reduce_args &k, typename F::S *part, double) { red_block_wide<F, red_plain<double>>(k, part); }
template <class F> EL_FN void red_dtypes(const taper_reduce_args &k, typename F::S *part, int64_t) {
    if (k.dtype_in == TAPER_I64) red_block_wide<F, red_plain<int64_t>>(k, part);
    else red_block_along<F, red_plain<uint8_t>>(k, part);
}

template <class F> EL_FN void red_run(const taper_reduce_args &k) {
    __shared__ typename F::S part[TAPER_RED_THREADS];
    if constexpr ((F::wide & red_limits<typename F::R>::bit) != 0) {
        if (k.way != TAPER_RED_ANYHOW) {
            red_dtypes<F>(k, part, typename F::R());
            return;
        }
    }
    red_block_anyhow<F>(k, part);
}

/* The parts of each output, in order within a lane. */
template <class F> EL_FN void red_join(const taper_reduce_args &k) {
    __shared__ typename F::S part[TAPER_RED_THREADS];
    const int lanes = TAPER_RED_THREADS / k.width, w = threadIdx.x % k.width, lane = threadIdx.x / k.width;
    for (int64_t block = blockIdx.x; block * k.width < k.outputs; block += gridDim.x) {
        const int64_t o = block * k.width + w;
        typename F::S s = F::none(k);
        if (o < k.outputs) {
#pragma unroll 4
            for (int p = lane; p < k.parts; p += lanes) F::join(s, ((const typename F::S *)k.partial)[p * k.outputs + o]);
        }
        red_lanes<F>(s, part, w, lane, k.width, lanes);
        if (lane == 0 && o < k.outputs) F::store(k, o, s);
    }
}

#define RED_KERNEL(name, ...)                                                                                          \
    extern "C" __global__ void __launch_bounds__(TAPER_RED_THREADS, RED_BLOCKS) red_##name(const __grid_constant__ taper_reduce_args k) { \
        red_run<__VA_ARGS__>(k);                                                                                       \
    }                                                                                                                  \
    extern "C" __global__ void __launch_bounds__(TAPER_RED_THREADS) red_join_##name(const __grid_constant__ taper_reduce_args k) { \
        red_join<__VA_ARGS__>(k);                                                                                      \
    }

#endif
