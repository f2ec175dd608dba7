/* Running maxima and minima with their places: (outer, n, inner). Lanes of a warp share a line where lines are dense; else a thread
 * has a line, and neighbours have neighbouring lines. */
#include "ops/elements.cuh"

template <class R> EL_FN bool ce_takes(R v, R best, bool largest) { return v != v || (best == best && (largest ? v >= best : v <= best)); }

template <class R> EL_FN void ce_threads(void *out, long long *places, const void *x, int dtype, long long n, long long inner, long long lines, int largest) {
    const int64_t line = blockIdx.x * (int64_t)blockDim.x + threadIdx.x;
    if (line >= lines) return;
    const int64_t base = line / inner * n * inner + line % inner;
    R best = el_load<R>(x, base, dtype);
    long long where = 0;
    for (int64_t i = 0; i < n; i++) {
        const R v = el_load<R>(x, base + i * inner, dtype);
        if (ce_takes(v, best, largest)) best = v, where = i;
        el_store<R>(out, base + i * inner, dtype, best);
        places[base + i * inner] = where;
    }
}
template <class R> EL_FN void ce_warps(void *out, long long *places, const void *x, int dtype, long long n, long long lines, int largest) {
    const int64_t line = blockIdx.x * (int64_t)(blockDim.x / 32) + threadIdx.x / 32;
    const int lane = threadIdx.x % 32;
    if (line >= lines) return;
    R carry = el_load<R>(x, line * n, dtype);
    long long carry_at = 0;
    for (int64_t begin = 0; begin < n; begin += 32) {
        const int64_t i = begin + lane;
        R best = i < n ? el_load<R>(x, line * n + i, dtype) : carry;
        long long where = i < n ? i : carry_at;
        for (int d = 1; d < 32; d *= 2) { /* the later of two equals stays */
            const R before = __shfl_up_sync(0xffffffffu, best, d);
            const long long before_at = __shfl_up_sync(0xffffffffu, where, d);
            if (lane >= d && !ce_takes(best, before, largest)) best = before, where = before_at;
        }
        if (!ce_takes(best, carry, largest)) best = carry, where = carry_at;
        if (i < n) {
            el_store<R>(out, line * n + i, dtype, best);
            places[line * n + i] = where;
        }
        carry = __shfl_sync(0xffffffffu, best, 31);
        carry_at = __shfl_sync(0xffffffffu, where, 31);
    }
}
#define CE_KERNELS(name, R)                                                                                            \
    extern "C" __global__ void __launch_bounds__(256) cum_extreme_##name(void *out, long long *places, const void *x, int dtype, long long n, \
                                                                         long long inner, long long lines, int largest) {                    \
        if (inner == 1) ce_warps<R>(out, places, x, dtype, n, lines, largest);                                          \
        else ce_threads<R>(out, places, x, dtype, n, inner, lines, largest);                                            \
    }
CE_KERNELS(f32, float)
CE_KERNELS(f64, double)
CE_KERNELS(i64, long long)
