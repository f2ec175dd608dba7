/* Attention for every dtype, size, stride and mask, computed in float or double: a warp has one query row (or one key in the
 * second pass of the gradient) and lets 32 keys (or queries) pass at a time, one for each lane. Nothing but rows of E and V
 * elements is kept. */
#include "ops/attention_args.h"
#include "ops/elements.cuh"
#include "tensor/philox.h"

/* The four dtypes of attention. */
template <class R> EL_FN R pl_get(const void *p, int64_t at, int dtype) {
    if (dtype == TAPER_F32) return (R)((const float *)p)[at];
    if (dtype == TAPER_BF16) return (R)__bfloat162float(((const __nv_bfloat16 *)p)[at]);
    if (dtype == TAPER_F16) return (R)__half2float(((const __half *)p)[at]);
    return (R)((const double *)p)[at];
}
EL_FN float pl_exp(float x) { return expf(x); }
EL_FN double pl_exp(double x) { return exp(x); }
EL_FN float pl_log(float x) { return logf(x); }
EL_FN double pl_log(double x) { return log(x); }
EL_FN float pl_low(float) { return -__int_as_float(0x7f800000); }
EL_FN double pl_low(double) { return -__longlong_as_double(0x7ff0000000000000ll); }
template <class R> EL_FN R pl_sum(R v) {
#pragma unroll
    for (int d = 16; d > 0; d /= 2) v += __shfl_xor_sync(0xffffffffu, v, d);
    return v;
}
template <class R> EL_FN R pl_max(R v) {
#pragma unroll
    for (int d = 16; d > 0; d /= 2) {
        R u = __shfl_xor_sync(0xffffffffu, v, d);
        v = u > v ? u : v;
    }
    return v;
}

EL_FN int64_t pl_at(const taper_attention_view &v, int b, int h, int row) { return b * v.stride[0] + h * v.stride[1] + row * v.stride[2]; }

/* The sum of row[i] * x[at + i * stride] */
template <class R> EL_FN R pl_dot(const R *row, const void *x, int64_t at, int64_t stride, int n, int dtype) {
    R sum = 0;
    for (int i = 0; i < n; i++) sum += row[i] * pl_get<R>(x, at + i * stride, dtype);
    return sum;
}

/* scale q k + mask, -inf where the key is not seen */
template <class R> EL_FN R pl_score(const taper_attention_args &g, R dot, int b, int h, int row, int key) {
    if (row >= g.L || key >= g.S || (g.causal && key > row)) return pl_low((R)0);
    R s = (R)g.scale * dot;
    if (!g.mask.p) return s;
    const int64_t at = pl_at(g.mask, b, h, row) + key * g.mask.stride[3];
    if (g.mask_dtype == TAPER_BOOL) return ((const uint8_t *)g.mask.p)[at] ? s : pl_low((R)0);
    return s + pl_get<R>(g.mask.p, at, g.mask_dtype);
}

/* What weight (row, key) is multiplied with. */
EL_FN double pl_keep(const taper_attention_args &g, int b, int h, int row, int key) {
    if (!g.drop) return 1;
    taper__philox4 w = taper__philox_drawn(g.seed, g.offset, TAPER_ATTENTION_DROP_INDEX(((uint64_t)b * g.H + h) * g.L + row, key, g.S));
    const int part = TAPER_ATTENTION_DROP_PART(key);
    const unsigned word = part / 2 == 0 ? w.x[0] : part / 2 == 1 ? w.x[1] : part / 2 == 2 ? w.x[2] : w.x[3];
    return (part % 2 ? word >> 16 : word & 0xffffu) >= g.drop ? g.keep_scale : 0;
}

/* Shared memory of a warp: two rows that are read and up to two that are added to. */
template <class R> EL_FN R *pl_warp(const taper_attention_args &g) {
    extern __shared__ __align__(16) char shared[];
    return (R *)shared + threadIdx.x / 32 * 2 * (g.E + g.V);
}
template <class R> EL_FN void pl_load(R *to, const taper_attention_view &v, int64_t at, int n, int dtype) {
    for (int i = threadIdx.x % 32; i < n; i += 32) to[i] = pl_get<R>(v.p, at + i * v.stride[3], dtype);
}
/* sum[i] += the lanes' w times their rows of x */
template <class R> EL_FN void pl_gather(R *sum, R w, const void *x, int64_t at, int64_t row, int64_t stride, int rows, int n, int dtype) {
    for (int j = 0; j < rows; j++) {
        const R by = __shfl_sync(0xffffffffu, w, j);
        if (by != (R)0)
            for (int i = threadIdx.x % 32; i < n; i += 32) sum[i] += by * pl_get<R>(x, at + j * row + i * stride, dtype);
    }
}

template <class R> EL_FN void plain_forward(const taper_attention_args &g) {
    const int lane = threadIdx.x % 32;
    const unsigned rows = (unsigned)g.B * g.H * g.L, warps = gridDim.x * TAPER_ATTENTION_PLAIN_WARPS;
    R *const q = pl_warp<R>(g), *const o = q + g.E;
    for (unsigned r = blockIdx.x * TAPER_ATTENTION_PLAIN_WARPS + threadIdx.x / 32; r < rows; r += warps) {
        const int row = r % (unsigned)g.L, h = r / (unsigned)g.L % (unsigned)g.H, b = r / (unsigned)g.L / (unsigned)g.H, kv = h / g.G;
        const int keys = g.causal && row + 1 < g.S ? row + 1 : g.S;
        __syncwarp();
        pl_load(q, g.q, pl_at(g.q, b, h, row), g.E, g.dtype);
        for (int i = lane; i < g.V; i += 32) o[i] = 0;
        __syncwarp();
        R high = pl_low((R)0), sum = 0;
        for (int k0 = 0; k0 < keys; k0 += 32) {
            const int key = k0 + lane, count = g.S - k0 < 32 ? g.S - k0 : 32;
            R s = pl_low((R)0);
            if (key < keys) s = pl_score<R>(g, pl_dot<R>(q, g.k.p, pl_at(g.k, b, kv, key), g.k.stride[3], g.E, g.dtype), b, h, row, key);
            const R top = pl_max(s), old = high;
            high = top > high ? top : high;
            const R zero = high == pl_low((R)0) ? 0 : high, factor = pl_exp(old - zero);
            R p = pl_exp(s - zero);
            sum = sum * factor + pl_sum(p);
            p *= (R)pl_keep(g, b, h, row, key);
            for (int i = lane; i < g.V; i += 32) o[i] *= factor;
            pl_gather<R>(o, p, g.v.p, pl_at(g.v, b, kv, k0), g.v.stride[2], g.v.stride[3], count, g.V, g.dtype);
        }
        const R by = sum == (R)0 ? 0 : 1 / sum;
        for (int i = lane; i < g.V; i += 32) el_store<R>(g.out.p, pl_at(g.out, b, h, row) + i * g.out.stride[3], g.dtype, o[i] * by);
        if (lane == 0) ((R *)g.lse)[r] = sum == (R)0 ? pl_low((R)0) : high + pl_log(sum);
    }
}

/* delta = the sum of out * dout over each row */
template <class R> EL_FN void plain_delta(const taper_attention_args &g) {
    const unsigned rows = (unsigned)g.B * g.H * g.L, warps = gridDim.x * TAPER_ATTENTION_PLAIN_WARPS;
    for (unsigned r = blockIdx.x * TAPER_ATTENTION_PLAIN_WARPS + threadIdx.x / 32; r < rows; r += warps) {
        const int row = r % (unsigned)g.L, h = r / (unsigned)g.L % (unsigned)g.H, b = r / (unsigned)g.L / (unsigned)g.H;
        const int64_t o = pl_at(g.out, b, h, row), d = pl_at(g.dout, b, h, row);
        R sum = 0;
        for (int i = threadIdx.x % 32; i < g.V; i += 32)
            sum += pl_get<R>(g.out.p, o + i * g.out.stride[3], g.dtype) * pl_get<R>(g.dout.p, d + i * g.dout.stride[3], g.dtype);
        sum = pl_sum(sum);
        if (threadIdx.x % 32 == 0) ((R *)g.delta)[r] = sum;
    }
}

template <class R> EL_FN R pl_weight(R s, R lse) { return lse == pl_low((R)0) ? (R)0 : pl_exp(s - lse); }

template <class R> EL_FN void plain_dq(const taper_attention_args &g) {
    const int lane = threadIdx.x % 32;
    const unsigned rows = (unsigned)g.B * g.H * g.L, warps = gridDim.x * TAPER_ATTENTION_PLAIN_WARPS;
    R *const q = pl_warp<R>(g), *const d = q + g.E, *const dq = d + g.V;
    for (unsigned r = blockIdx.x * TAPER_ATTENTION_PLAIN_WARPS + threadIdx.x / 32; r < rows; r += warps) {
        const int row = r % (unsigned)g.L, h = r / (unsigned)g.L % (unsigned)g.H, b = r / (unsigned)g.L / (unsigned)g.H, kv = h / g.G;
        const int keys = g.causal && row + 1 < g.S ? row + 1 : g.S;
        const R lse = ((const R *)g.lse)[r], delta = ((const R *)g.delta)[r];
        __syncwarp();
        pl_load(q, g.q, pl_at(g.q, b, h, row), g.E, g.dtype);
        pl_load(d, g.dout, pl_at(g.dout, b, h, row), g.V, g.dtype);
        for (int i = lane; i < g.E; i += 32) dq[i] = 0;
        __syncwarp();
        for (int k0 = 0; k0 < keys; k0 += 32) {
            const int key = k0 + lane, count = g.S - k0 < 32 ? g.S - k0 : 32;
            R ds = 0;
            if (key < keys) {
                const R s = pl_score<R>(g, pl_dot<R>(q, g.k.p, pl_at(g.k, b, kv, key), g.k.stride[3], g.E, g.dtype), b, h, row, key);
                const R dp = pl_dot<R>(d, g.v.p, pl_at(g.v, b, kv, key), g.v.stride[3], g.V, g.dtype);
                ds = pl_weight(s, lse) * (dp * (R)pl_keep(g, b, h, row, key) - delta);
            }
            pl_gather<R>(dq, ds, g.k.p, pl_at(g.k, b, kv, k0), g.k.stride[2], g.k.stride[3], count, g.E, g.dtype);
        }
        for (int i = lane; i < g.E; i += 32) el_store<R>(g.dq.p, pl_at(g.dq, b, h, row) + i * g.dq.stride[3], g.dtype, dq[i] * (R)g.scale);
    }
}

template <class R> EL_FN void plain_dkv(const taper_attention_args &g) {
    const int lane = threadIdx.x % 32;
    const unsigned heads = (unsigned)g.H / (unsigned)g.G;
    const unsigned rows = (unsigned)g.B * heads * g.S, warps = gridDim.x * TAPER_ATTENTION_PLAIN_WARPS;
    R *const k = pl_warp<R>(g), *const v = k + g.E, *const dk = v + g.V, *const dv = dk + g.E;
    for (unsigned r = blockIdx.x * TAPER_ATTENTION_PLAIN_WARPS + threadIdx.x / 32; r < rows; r += warps) {
        const int key = r % (unsigned)g.S, kv = r / (unsigned)g.S % heads, b = r / (unsigned)g.S / heads;
        __syncwarp();
        pl_load(k, g.k, pl_at(g.k, b, kv, key), g.E, g.dtype);
        pl_load(v, g.v, pl_at(g.v, b, kv, key), g.V, g.dtype);
        for (int i = lane; i < g.E; i += 32) dk[i] = 0;
        for (int i = lane; i < g.V; i += 32) dv[i] = 0;
        __syncwarp();
        for (int h = kv * g.G; h < (kv + 1) * g.G; h++)
            for (int q0 = g.causal ? key / 32 * 32 : 0; q0 < g.L; q0 += 32) {
                const int row = q0 + lane, count = g.L - q0 < 32 ? g.L - q0 : 32;
                const int64_t at = ((int64_t)b * g.H + h) * g.L + row;
                R p = 0, ds = 0;
                if (row < g.L) {
                    const R s = pl_score<R>(g, pl_dot<R>(k, g.q.p, pl_at(g.q, b, h, row), g.q.stride[3], g.E, g.dtype), b, h, row, key);
                    const R dp = pl_dot<R>(v, g.dout.p, pl_at(g.dout, b, h, row), g.dout.stride[3], g.V, g.dtype);
                    const R keep = (R)pl_keep(g, b, h, row, key);
                    p = pl_weight(s, ((const R *)g.lse)[at]);
                    ds = p * (dp * keep - ((const R *)g.delta)[at]);
                    p *= keep;
                }
                pl_gather<R>(dv, p, g.dout.p, pl_at(g.dout, b, h, q0), g.dout.stride[2], g.dout.stride[3], count, g.V, g.dtype);
                pl_gather<R>(dk, ds, g.q.p, pl_at(g.q, b, h, q0), g.q.stride[2], g.q.stride[3], count, g.E, g.dtype);
            }
        for (int i = lane; i < g.E; i += 32) el_store<R>(g.dk.p, pl_at(g.dk, b, kv, key) + i * g.dk.stride[3], g.dtype, dk[i] * (R)g.scale);
        for (int i = lane; i < g.V; i += 32) el_store<R>(g.dv.p, pl_at(g.dv, b, kv, key) + i * g.dv.stride[3], g.dtype, dv[i]);
    }
}

#define PLAIN_KERNEL(name)                                                                                             \
    extern "C" __global__ void __launch_bounds__(128, 4) attention_plain_##name##_f32(const __grid_constant__ taper_attention_args g) { \
        plain_##name<float>(g);                                                                                        \
    }                                                                                                                  \
    extern "C" __global__ void __launch_bounds__(128, 4) attention_plain_##name##_f64(const __grid_constant__ taper_attention_args g) { \
        plain_##name<double>(g);                                                                                       \
    }
PLAIN_KERNEL(forward)
PLAIN_KERNEL(delta)
PLAIN_KERNEL(dq)
PLAIN_KERNEL(dkv)
