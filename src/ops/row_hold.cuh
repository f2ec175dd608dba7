/* Rows that are read once: each thread holds COUNT times 16 bytes of its row in registers. THREADS of a row are a whole
 * block, or a warp or eight threads (blocks of 256 then have several rows). */
#ifndef TAPER_OPS_ROW_HOLD_CUH
#define TAPER_OPS_ROW_HOLD_CUH

#include "ops/elements.cuh"

#define ROW_IN static __device__ __forceinline__
/* A dtype: `n` elements in 16 bytes. */
struct row_f32 {
    enum { n = 4, dtype = TAPER_F32 };
    ROW_IN void get(float *x, const uint4 &v) { x[0] = __uint_as_float(v.x), x[1] = __uint_as_float(v.y), x[2] = __uint_as_float(v.z), x[3] = __uint_as_float(v.w); }
    ROW_IN uint4 put(const float *x) { return make_uint4(__float_as_uint(x[0]), __float_as_uint(x[1]), __float_as_uint(x[2]), __float_as_uint(x[3])); }
    ROW_IN float exp(float x) { return expf(x); }
};
struct row_bf16 {
    enum { n = 8, dtype = TAPER_BF16 };
    ROW_IN void two(float *x, unsigned v) { x[0] = __uint_as_float(v << 16), x[1] = __uint_as_float(v & 0xffff0000u); }
    ROW_IN unsigned pair(const float *x) {
        const __nv_bfloat162 v = __floats2bfloat162_rn(x[0], x[1]);
        return *(const unsigned *)&v;
    }
    ROW_IN void get(float *x, const uint4 &v) { two(x, v.x), two(x + 2, v.y), two(x + 4, v.z), two(x + 6, v.w); }
    ROW_IN uint4 put(const float *x) { return make_uint4(pair(x), pair(x + 2), pair(x + 4), pair(x + 6)); }
    ROW_IN float exp(float x) { return __expf(x); }
};
struct row_f16 {
    enum { n = 8, dtype = TAPER_F16 };
    ROW_IN void two(float *x, unsigned v) {
        const float2 f = __half22float2(*(const __half2 *)&v);
        x[0] = f.x, x[1] = f.y;
    }
    ROW_IN unsigned pair(const float *x) {
        const __half2 v = __floats2half2_rn(x[0], x[1]);
        return *(const unsigned *)&v;
    }
    ROW_IN void get(float *x, const uint4 &v) { two(x, v.x), two(x + 2, v.y), two(x + 4, v.z), two(x + 6, v.w); }
    ROW_IN uint4 put(const float *x) { return make_uint4(pair(x), pair(x + 2), pair(x + 4), pair(x + 6)); }
    ROW_IN float exp(float x) { return __expf(x); }
};

/* One row: `skip` elements lie between the 16-byte boundary at `at` (in elements) and its start. */
template <class T> struct row_place {
    int64_t at, n;
    int skip;
    __device__ __forceinline__ row_place(const void *base, int64_t start, int64_t n_) {
        skip = (int)((((uintptr_t)base) / (16 / T::n) + (uintptr_t)start) % T::n);
        at = start - skip;
        n = n_;
    }
    /* The first element of 16 bytes number v, counted from the start of the row. */
    __device__ __forceinline__ int64_t first(int64_t v) const { return v * T::n - skip; }
    __device__ __forceinline__ bool any(int64_t v) const { return first(v) < n; }
    __device__ __forceinline__ bool whole(int64_t v) const { return first(v) >= 0 && first(v) + T::n <= n; }
    __device__ __forceinline__ int64_t where(int64_t v) const { return at + v * T::n; }
};
template <class T> EL_FN const uint4 *row_address(const void *p, int64_t element) { return (const uint4 *)((const char *)p + element * (16 / T::n)); }

/* Elements outside the row become `fill`. What is read of them lies in the same 16 bytes as an element of the row. */
template <class T> EL_FN uint4 row_load(const void *p, const row_place<T> &r, int64_t v, float fill) {
    uint4 raw;
    if (!r.any(v)) {
        float x[T::n];
#pragma unroll
        for (int j = 0; j < T::n; j++) x[j] = fill;
        return T::put(x);
    }
    raw = *row_address<T>(p, r.where(v));
    if (!r.whole(v)) {
        float x[T::n];
        T::get(x, raw);
#pragma unroll
        for (int j = 0; j < T::n; j++) x[j] = r.first(v) + j >= 0 && r.first(v) + j < r.n ? x[j] : fill;
        raw = T::put(x);
    }
    return raw;
}
/* The same of rows that begin and end at 16-byte boundaries: element v * n of the row at `base`. */
template <class T> EL_FN uint4 row_load_whole(const void *p, int64_t base, int64_t n, int v, float fill) {
    if ((int64_t)v * T::n < n) return *row_address<T>(p, base + (int64_t)v * T::n);
    float x[T::n];
#pragma unroll
    for (int j = 0; j < T::n; j++) x[j] = fill;
    return T::put(x);
}
template <class T> EL_FN void row_store_whole(void *p, int64_t base, int64_t n, int v, const uint4 &x) {
    if ((int64_t)v * T::n < n) *(uint4 *)row_address<T>(p, base + (int64_t)v * T::n) = x;
}
template <class T> EL_FN void row_store_whole(void *p, int64_t base, int64_t n, int v, const float *x) { row_store_whole<T>(p, base, n, v, T::put(x)); }
template <class T> EL_FN void row_store(void *p, const row_place<T> &r, int64_t v, const float *x) {
    if (r.whole(v)) {
        *(uint4 *)row_address<T>(p, r.where(v)) = T::put(x);
    } else if (r.any(v)) {
#pragma unroll
        for (int j = 0; j < T::n; j++)
            if (r.first(v) + j >= 0 && r.first(v) + j < r.n) el_store<float>(p, r.where(v) + j, T::dtype, x[j]);
    }
}

/* From here on the compiler knows nothing about v: it converts the 16 bytes again instead of keeping twice as many registers. */
EL_FN void row_forget(uint4 &v) { asm volatile("" : "+r"(v.x), "+r"(v.y), "+r"(v.z), "+r"(v.w)); }

struct row_sum {
    ROW_IN float join(float a, float b) { return a + b; }
};
struct row_highest { /* NaN wins */
    ROW_IN float join(float a, float b) { return a > b || a != a ? a : b; }
};
/* One value of all threads of a row, by a fixed tree; each of them gets it. */
template <class OP, int THREADS> EL_FN float row_all(float v) {
    /* Rows of fewer threads than a warp may end at different times. */
    const unsigned mask = THREADS < 32 ? ((1u << (THREADS % 32)) - 1) << (threadIdx.x % 32 / THREADS * THREADS) : 0xffffffffu;
#pragma unroll
    for (int d = (THREADS < 32 ? THREADS : 32) / 2; d > 0; d /= 2) v = OP::join(v, __shfl_xor_sync(mask, v, d));
    if (THREADS <= 32) return v;
    __shared__ float part[32];
    __syncthreads();
    if (threadIdx.x % 32 == 0) part[threadIdx.x / 32] = v;
    __syncthreads();
    v = part[threadIdx.x % (THREADS < 32 ? 1 : THREADS / 32)];
#pragma unroll
    for (int d = THREADS / 64; d > 0; d /= 2) v = OP::join(v, __shfl_xor_sync(0xffffffffu, v, d));
    return v;
}

#endif
