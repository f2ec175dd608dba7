/* Random fills and dropout: element i of a dense tensor has word i % 4 of Philox number i / 4 of the call's offset. */
#include "ops/elements.cuh"
#include "tensor/philox.h"

/* kind: 0 uniform in [a, b), 1 normal (mean a, deviation b), 2 log-normal, 3 exponential of rate a, 4 Cauchy, 5 geometric, 6 bernoulli. */
extern "C" __global__ void __launch_bounds__(256) random_fill(void *out, long long n, int dtype, int kind, double a, double b, unsigned long long seed,
                                                              unsigned long long offset) {
    const int64_t at = (blockIdx.x * (int64_t)256 + threadIdx.x) * 4;
    if (at >= n) return;
    const taper__philox4 w = taper__philox(seed, offset, (uint64_t)(at / 4));
    float normal[4];
    taper__philox_normal(w.x[0], w.x[1], &normal[0], &normal[1]);
    taper__philox_normal(w.x[2], w.x[3], &normal[2], &normal[3]);
#pragma unroll
    for (int j = 0; j < 4; j++) {
        if (at + j >= n) break;
        const float u = taper__philox_unit(w.x[j]), p = taper__philox_positive(w.x[j]);
        double v = 0;
        switch (kind) {
        case 0: v = a + u * (b - a); break;
        case 1: v = a + normal[j] * b; break;
        case 2: v = exp(a + normal[j] * b); break;
        case 3: v = -logf(p) / a; break;
        case 4: v = a + b * tanf(3.14159265358979f * (u - 0.5f)); break;
        case 5: v = ceilf(logf(p) / log1pf((float)-a)); v = v < 1 ? 1 : v; break;
        default: v = u < (float)a ? 1 : 0; break;
        }
        el_store<double>(out, at + j, dtype, v);
        if (kind == 0 && el_load<double>(out, at + j, dtype) >= b) el_store<double>(out, at + j, dtype, a); /* rounded up to the end */
    }
}

extern "C" __global__ void __launch_bounds__(256) random_dropout(void *out, uint8_t *mask, const void *x, long long n, int dtype, double p, double scale,
                                                                 unsigned long long seed, unsigned long long offset) {
    const int64_t at = (blockIdx.x * (int64_t)256 + threadIdx.x) * 4;
    if (at >= n) return;
    const taper__philox4 w = taper__philox(seed, offset, (uint64_t)(at / 4));
#pragma unroll
    for (int j = 0; j < 4; j++) {
        if (at + j >= n) break;
        const bool keep = taper__philox_unit(w.x[j]) >= (float)p;
        mask[at + j] = keep;
        if (dtype == TAPER_F64) ((double *)out)[at + j] = keep ? ((const double *)x)[at + j] * scale : 0;
        else el_store<float>(out, at + j, dtype, keep ? el_load<float>(x, at + j, dtype) * (float)scale : 0.0f);
    }
}
extern "C" __global__ void __launch_bounds__(256) random_dropout_backward(void *out, const void *g, const uint8_t *mask, long long n, int dtype, double scale) {
    const int64_t at = (blockIdx.x * (int64_t)256 + threadIdx.x) * 4;
    for (int64_t i = at; i < at + 4 && i < n; i++) {
        if (dtype == TAPER_F64) ((double *)out)[i] = mask[i] ? ((const double *)g)[i] * scale : 0;
        else el_store<float>(out, i, dtype, mask[i] ? el_load<float>(g, i, dtype) * (float)scale : 0.0f);
    }
}
