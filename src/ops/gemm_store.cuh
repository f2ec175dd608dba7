/* The end of a product: sums become results. */
#ifndef TAPER_OPS_GEMM_STORE_CUH
#define TAPER_OPS_GEMM_STORE_CUH

#include "ops/elements.cuh"
#include "ops/gemm_args.h"

EL_FN float gs_tanh(float x) { return tanhf(x); }
EL_FN double gs_tanh(double x) { return tanh(x); }
EL_FN float gs_erf(float x) { return erff(x); }
EL_FN double gs_erf(double x) { return erf(x); }
EL_FN float gs_exp(float x) { return expf(x); }
EL_FN double gs_exp(double x) { return exp(x); }
template <class A> EL_FN A gs_gelu(A x, bool by_tanh) {
    if (by_tanh) return (A)0.5 * x * (1 + gs_tanh((A)0.79788456080286535588 * (x + (A)0.044715 * x * x * x)));
    return (A)0.5 * x * (1 + gs_erf(x * (A)0.70710678118654752440));
}
template <class A> EL_FN A gs_gelu_slope(A x, bool by_tanh) {
    if (by_tanh) {
        const A k = (A)0.79788456080286535588, t = gs_tanh(k * (x + (A)0.044715 * x * x * x));
        return (A)0.5 * (1 + t) + (A)0.5 * x * (1 - t * t) * k * (1 + 3 * (A)0.044715 * x * x);
    }
    return (A)0.5 * (1 + gs_erf(x * (A)0.70710678118654752440)) + x * (A)0.39894228040143267794 * gs_exp((A)-0.5 * x * x);
}
EL_FN int64_t gs_gelu(int64_t x, bool) { return x; } /* integers have no gelu */
EL_FN int64_t gs_gelu_slope(int64_t, bool) { return 1; }

/* One element; at: its index in c. DTYPE: known when compiled. */
template <class A, int DTYPE = -1> EL_FN void gs_store(const taper_gemm_args &g, int64_t at, int64_t col, A sum) {
    const int dtype = DTYPE < 0 ? g.dtype : DTYPE;
    A v = (A)g.alpha * sum;
    if (g.beta != 0) v += (A)g.beta * el_load<A>(g.c, at, dtype);
    if (g.bias) v += el_load<A>(g.bias, col, dtype);
    if (g.epilogue == TAPER_GEMM_GELU || g.epilogue == TAPER_GEMM_GELU_TANH) {
        el_store<A>(g.aux, at, dtype, v);
        v = gs_gelu(v, g.epilogue == TAPER_GEMM_GELU_TANH);
    } else if (g.epilogue != TAPER_GEMM_STORE) {
        v *= gs_gelu_slope(el_load<A>(g.aux, at, dtype), g.epilogue == TAPER_GEMM_SLOPE_TANH);
    }
    el_store<A>(g.c, at, dtype, v);
}

/* Four neighbours, where rows begin at multiples of four elements. */
template <int DTYPE = -1> EL_FN void gs_store4(const taper_gemm_args &g, int64_t at, int64_t col, const float *sum) {
    const int dtype = DTYPE < 0 ? g.dtype : DTYPE;
    float v[4], x[4];
#pragma unroll
    for (int i = 0; i < 4; i++) v[i] = (float)g.alpha * sum[i];
    if (g.beta != 0) {
        el_load4<float>(x, g.c, at, dtype);
#pragma unroll
        for (int i = 0; i < 4; i++) v[i] += (float)g.beta * x[i];
    }
    if (g.bias) {
#pragma unroll
        for (int i = 0; i < 4; i++) v[i] += el_load<float>(g.bias, col + i, dtype);
    }
    if (g.epilogue == TAPER_GEMM_GELU || g.epilogue == TAPER_GEMM_GELU_TANH) {
        el_store4<float>(g.aux, at, dtype, v);
#pragma unroll
        for (int i = 0; i < 4; i++) v[i] = gs_gelu(v[i], g.epilogue == TAPER_GEMM_GELU_TANH);
    } else if (g.epilogue != TAPER_GEMM_STORE) {
        el_load4<float>(x, g.aux, at, dtype);
#pragma unroll
        for (int i = 0; i < 4; i++) v[i] *= gs_gelu_slope(x[i], g.epilogue == TAPER_GEMM_SLOPE_TANH);
    }
    el_store4<float>(g.c, at, dtype, v);
}

/* The tile of this block: TAPER_GEMM_GROUP rows of tiles are walked column by column. */
EL_FN void gs_tile(const taper_gemm_args &g, int tile, int64_t *row, int64_t *col) {
    const unsigned tm = (unsigned)((g.m + tile - 1) / tile), tn = (unsigned)((g.n + tile - 1) / tile);
    const unsigned group = blockIdx.x / (TAPER_GEMM_GROUP * tn), first = group * TAPER_GEMM_GROUP;
    const unsigned rows = tm - first < TAPER_GEMM_GROUP ? tm - first : TAPER_GEMM_GROUP, in = blockIdx.x - first * tn;
    *row = (int64_t)(first + in % rows) * tile;
    *col = (int64_t)(in / rows) * tile;
}

#endif
