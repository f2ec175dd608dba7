/* Pooling: one thread makes one result, forward from its window, backward from the windows that its pixel lies in. */
#include "ops/elements.cuh"
#include "ops/pool_args.h"

#define POOL_EACH(i, n)                                                                                                \
    for (int64_t i = blockIdx.x * (int64_t)blockDim.x + threadIdx.x, i##_end = (n), i##_step = (int64_t)gridDim.x * blockDim.x; i < i##_end; i += i##_step)

EL_FN int64_t pool_divide(int64_t a, int64_t b) { return (a | b) >> 32 == 0 ? (int64_t)((unsigned)a / (unsigned)b) : a / b; }

template <class A> EL_FN A pool_load(const void *p, int64_t at, int dtype) {
    if (sizeof(A) == 8) return (A)((const double *)p)[at];
    if (dtype == TAPER_F32) return (A)((const float *)p)[at];
    return dtype == TAPER_F16 ? (A)__half2float(((const __half *)p)[at]) : (A)__bfloat162float(((const __nv_bfloat16 *)p)[at]);
}

/* Plane, row and column of element `at` of planes (., size[0], size[1]). */
struct pool_at {
    int64_t plane;
    int i, j;
};
EL_FN pool_at pool_where(int64_t at, const int *size) {
    const int64_t line = pool_divide(at, size[1]), plane = pool_divide(line, size[0]);
    return {plane, (int)(line - plane * size[0]), (int)(at - line * size[1])};
}

/* Window i covers [lo, hi) in steps of the dilation; count: its size for averages. */
struct pool_window {
    int lo, hi, count;
};
EL_FN pool_window pool_of(const taper_pool_args &p, int d, int i) {
    pool_window w;
    if (p.adaptive) {
        w.lo = (int)((int64_t)i * p.in[d] / p.out[d]);
        w.hi = (int)((((int64_t)i + 1) * p.in[d] + p.out[d] - 1) / p.out[d]);
        w.count = w.hi - w.lo;
        return w;
    }
    w.lo = i * p.stride[d] - p.padding[d];
    w.hi = w.lo + p.dilation[d] * (p.kernel[d] - 1) + 1;
    w.count = min(w.hi, p.in[d] + p.padding[d]) - w.lo; /* the padding counts, what lies behind it does not */
    if (w.lo < 0) w.lo += (-w.lo + p.dilation[d] - 1) / p.dilation[d] * p.dilation[d];
    w.hi = min(w.hi, p.in[d]);
    if (!p.include_pad) w.count = w.hi - w.lo;
    return w;
}
/* [lo, hi): the windows that may hold position h. */
EL_FN void pool_holders(const taper_pool_args &p, int d, int h, int *lo, int *hi) {
    if (p.adaptive) {
        *lo = (int)((int64_t)h * p.out[d] / p.in[d]);
        *hi = (int)((((int64_t)h + 1) * p.out[d] - 1) / p.in[d]) + 1;
    } else {
        const int past = h + p.padding[d] - p.dilation[d] * (p.kernel[d] - 1);
        *lo = past > 0 ? (past + p.stride[d] - 1) / p.stride[d] : 0;
        *hi = min((h + p.padding[d]) / p.stride[d] + 1, p.out[d]);
    }
}

template <class A> EL_FN void pool_max(const taper_pool_args &p) {
    POOL_EACH(e, p.planes * p.out[0] * p.out[1]) {
        const pool_at at = pool_where(e, p.out);
        const pool_window r = pool_of(p, 0, at.i), c = pool_of(p, 1, at.j);
        const int64_t base = at.plane * p.in[0] * p.in[1];
        A best = -(A)INFINITY;
        int64_t where = (int64_t)r.lo * p.in[1] + c.lo;
        for (int h = r.lo; h < r.hi; h += p.dilation[0])
            for (int w = c.lo; w < c.hi; w += p.dilation[1]) {
                const A v = pool_load<A>(p.from, base + (int64_t)h * p.in[1] + w, p.dtype);
                if (v > best || v != v) best = v, where = (int64_t)h * p.in[1] + w;
            }
        el_store<A>(p.to, e, p.dtype, best);
        p.indices[e] = where;
    }
}

template <class A> EL_FN A pool_share(const taper_pool_args &p, A v, const pool_window &r, const pool_window &c) {
    return v / (A)(p.divisor ? p.divisor : (int64_t)r.count * c.count);
}
template <class A> EL_FN void pool_average(const taper_pool_args &p) {
    POOL_EACH(e, p.planes * p.out[0] * p.out[1]) {
        const pool_at at = pool_where(e, p.out);
        const pool_window r = pool_of(p, 0, at.i), c = pool_of(p, 1, at.j);
        const int64_t base = at.plane * p.in[0] * p.in[1];
        A sum = 0;
        for (int h = r.lo; h < r.hi; h++)
            for (int w = c.lo; w < c.hi; w++) sum += pool_load<A>(p.from, base + (int64_t)h * p.in[1] + w, p.dtype);
        el_store<A>(p.to, e, p.dtype, r.lo < r.hi && c.lo < c.hi ? pool_share<A>(p, sum, r, c) : (A)0);
    }
}
template <class A> EL_FN void pool_spread(const taper_pool_args &p) {
    POOL_EACH(e, p.planes * p.in[0] * p.in[1]) {
        const pool_at at = pool_where(e, p.in);
        int i0, i1, j0, j1;
        pool_holders(p, 0, at.i, &i0, &i1);
        pool_holders(p, 1, at.j, &j0, &j1);
        A sum = 0;
        for (int i = i0; i < i1; i++) {
            const pool_window r = pool_of(p, 0, i);
            if (at.i < r.lo || at.i >= r.hi) continue;
            for (int j = j0; j < j1; j++) {
                const pool_window c = pool_of(p, 1, j);
                if (at.j < c.lo || at.j >= c.hi) continue;
                sum += pool_share<A>(p, pool_load<A>(p.from, (at.plane * p.out[0] + i) * p.out[1] + j, p.dtype), r, c);
            }
        }
        el_store<A>(p.to, e, p.dtype, sum);
    }
}

/* Planes `in` = the values of planes `out` at their indices: from the windows that hold a pixel, or, where nothing is known
 * about the indices (kernel 0), from all of the plane. */
template <class A> EL_FN void pool_put(const taper_pool_args &p) {
    POOL_EACH(e, p.planes * p.in[0] * p.in[1]) {
        const pool_at at = pool_where(e, p.in);
        const int64_t own = (int64_t)at.i * p.in[1] + at.j, base = at.plane * p.out[0] * p.out[1];
        int i0 = 0, i1 = p.out[0], j0 = 0, j1 = p.out[1];
        if (p.kernel[0]) {
            pool_holders(p, 0, at.i, &i0, &i1);
            pool_holders(p, 1, at.j, &j0, &j1);
        }
        A sum = 0;
        for (int i = i0; i < i1; i++)
            for (int j = j0; j < j1; j++) {
                const int64_t k = base + (int64_t)i * p.out[1] + j;
                if (p.indices[k] == own) sum += pool_load<A>(p.from, k, p.dtype);
            }
        el_store<A>(p.to, e, p.dtype, sum);
    }
}
template <class A> EL_FN void pool_take(const taper_pool_args &p) {
    const int64_t plane = (int64_t)p.in[0] * p.in[1];
    POOL_EACH(e, p.planes * p.out[0] * p.out[1]) {
        const int64_t k = p.indices[e], base = pool_divide(e, (int64_t)p.out[0] * p.out[1]) * plane;
        el_store<A>(p.to, e, p.dtype, k >= 0 && k < plane ? pool_load<A>(p.from, base + k, p.dtype) : (A)0);
    }
}

#define POOL_KERNEL(fn)                                                                                                \
    extern "C" __global__ void __launch_bounds__(256, 4) fn##_f32(const __grid_constant__ taper_pool_args p) { fn<float>(p); } \
    extern "C" __global__ void __launch_bounds__(256, 4) fn##_f64(const __grid_constant__ taper_pool_args p) { fn<double>(p); }
POOL_KERNEL(pool_max)
POOL_KERNEL(pool_average)
POOL_KERNEL(pool_spread)
POOL_KERNEL(pool_put)
POOL_KERNEL(pool_take)
