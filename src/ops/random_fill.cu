/* Random fills of floats. float32, float16 and bfloat16: element i has word i % 4 of Philox number i / 4 of the call's offset.
 * Everything else is drawn in double: element i has words 2 (i % 2) and 2 (i % 2) + 1 of number i / 2. */
#include "ops/elements.cuh"
#include "tensor/philox.h"

enum { FILL_UNIFORM, FILL_NORMAL, FILL_LOG_NORMAL, FILL_EXPONENTIAL, FILL_CAUCHY, FILL_GEOMETRIC };

/* Never 0: weights are divided by exponential numbers. */
EL_FN float fill_waiting(uint32_t word) { return fmaxf(-logf(taper__philox_positive(word)), 0x1p-24f); }

template <int KIND> EL_FN void fill_four(float *v, const taper__philox4 &w, float a, float b) {
    if (KIND == FILL_NORMAL || KIND == FILL_LOG_NORMAL) {
#pragma unroll
        for (int j = 0; j < 4; j += 2) {
            float radius, s, c;
            asm("sqrt.approx.ftz.f32 %0, %1;" : "=f"(radius) : "f"(-2.0f * logf(taper__philox_positive(w.x[j]))));
            __sincosf(6.2831853071795865f * (taper__philox_unit(w.x[j + 1]) - 0.5f), &s, &c); /* best between -pi and pi */
            v[j] = a + radius * s * b;
            v[j + 1] = a + radius * c * b;
        }
    }
#pragma unroll
    for (int j = 0; j < 4; j++) {
        if (KIND == FILL_UNIFORM) v[j] = a + taper__philox_unit(w.x[j]) * (b - a);
        if (KIND == FILL_LOG_NORMAL) v[j] = expf(v[j]);
        if (KIND == FILL_EXPONENTIAL) v[j] = fill_waiting(w.x[j]) * b;
        if (KIND == FILL_CAUCHY) { /* the middle of one of 2^23 steps: never an end, where the tangent is infinite */
            float s, c;
            sincospif(((float)(w.x[j] >> 9) + 0.5f) * 0x1p-23f - 0.5f, &s, &c);
            v[j] = a + b * (s / c);
        }
        if (KIND == FILL_GEOMETRIC) v[j] = fmaxf(ceilf(logf(taper__philox_positive(w.x[j])) / b), 1.0f);
    }
}

/* The end of a uniform range is not in it, but rounding may reach it. */
template <int KIND> EL_FN float fill_rounded(float v, int dtype, float a, float b) {
    if (KIND != FILL_UNIFORM) return v;
    const float r = dtype == TAPER_BF16 ? __bfloat162float(__float2bfloat16_rn(v)) : dtype == TAPER_F16 ? __half2float(__float2half_rn(v)) : v;
    return r >= b ? a : v;
}

template <int KIND> EL_FN void fill_narrow(void *out, int64_t n, int dtype, float a, float b, uint64_t seed, uint64_t offset) {
    const int64_t threads = gridDim.x * (int64_t)blockDim.x;
    const bool aligned = (uintptr_t)out % 16 == 0;
    const int width = dtype == TAPER_F32 ? 4 : 8; /* 16 bytes */
    taper_captured_random_read(&seed, &offset);
    for (int64_t chunk = blockIdx.x * (int64_t)blockDim.x + threadIdx.x; chunk * width < n; chunk += threads) {
        const int64_t at = chunk * width;
        const bool whole = aligned && at + width <= n;
        float v[8] = {};
        fill_four<KIND>(v, taper__philox(seed, offset, (uint64_t)(at / 4)), a, b);
        if (width == 8) fill_four<KIND>(v + 4, taper__philox(seed, offset, (uint64_t)(at / 4 + 1)), a, b);
#pragma unroll
        for (int j = 0; j < 8; j++) v[j] = fill_rounded<KIND>(v[j], dtype, a, b);
        if (whole && width == 4) {
            *(float4 *)((float *)out + at) = make_float4(v[0], v[1], v[2], v[3]);
        } else if (whole) {
            el_store8(out, at, dtype, v);
        } else {
#pragma unroll
            for (int j = 0; j < 8; j++)
                if (j < width && at + j < n) el_store<float>(out, at + j, dtype, v[j]);
        }
    }
}

/* (0, 1], all 64 bits. */
EL_FN double fill_positive(uint32_t high, uint32_t low) { return (double)((uint64_t)high << 32 | low) * 0x1p-64 + 0x1p-65; }
/* [0, 1), 53 bits. */
EL_FN double fill_unit(uint32_t high, uint32_t low) { return (double)(((uint64_t)high << 32 | low) >> 11) * 0x1p-53; }

template <int KIND> EL_FN void fill_two(double *v, const taper__philox4 &w, double a, double b) {
    if (KIND == FILL_NORMAL || KIND == FILL_LOG_NORMAL) {
        const double radius = sqrt(-2.0 * log(fill_positive(w.x[0], w.x[1])));
        double s, c;
        sincospi(2.0 * fill_unit(w.x[2], w.x[3]), &s, &c);
        v[0] = a + radius * s * b;
        v[1] = a + radius * c * b;
    }
#pragma unroll
    for (int j = 0; j < 2; j++) {
        const uint32_t high = w.x[2 * j], low = w.x[2 * j + 1];
        if (KIND == FILL_UNIFORM) {
            v[j] = a + fill_unit(high, low) * (b - a);
            if (v[j] >= b) v[j] = a;
        }
        if (KIND == FILL_LOG_NORMAL) v[j] = exp(v[j]);
        if (KIND == FILL_EXPONENTIAL) v[j] = fmax(-log(fill_positive(high, low)), 0x1p-53) * b;
        if (KIND == FILL_CAUCHY) {
            double s, c;
            sincospi(((double)(((uint64_t)high << 32 | low) >> 12) + 0.5) * 0x1p-52 - 0.5, &s, &c);
            v[j] = a + b * (s / c);
        }
        if (KIND == FILL_GEOMETRIC) v[j] = fmax(ceil(log(fill_positive(high, low)) / b), 1.0);
    }
}

template <int KIND> EL_FN void fill_wide(void *out, int64_t n, int dtype, double a, double b, uint64_t seed, uint64_t offset) {
    const int64_t threads = gridDim.x * (int64_t)blockDim.x;
    const bool pairs = dtype == TAPER_F64 && (uintptr_t)out % 16 == 0;
    taper_captured_random_read(&seed, &offset);
    for (int64_t chunk = blockIdx.x * (int64_t)blockDim.x + threadIdx.x; chunk * 2 < n; chunk += threads) {
        const int64_t at = chunk * 2;
        double v[2];
        fill_two<KIND>(v, taper__philox(seed, offset, (uint64_t)chunk), a, b);
        if (pairs && at + 2 <= n) {
            *(double2 *)((double *)out + at) = make_double2(v[0], v[1]);
        } else {
            el_store<double>(out, at, dtype, v[0]);
            if (at + 1 < n) el_store<double>(out, at + 1, dtype, v[1]);
        }
    }
}

/* a, b: the range; mean and deviation (of the logarithm); median and width; for exponential numbers b is 1 / rate, for geometric
 * ones log(1 - p). */
#define FILL(name, KIND)                                                                                               \
    extern "C" __global__ void __launch_bounds__(256) random_##name##_narrow(void *out, long long n, int dtype, double a, double b, \
                                                                             unsigned long long seed, unsigned long long offset) { \
        fill_narrow<KIND>(out, n, dtype, (float)a, (float)b, seed, offset);                                            \
    }                                                                                                                  \
    extern "C" __global__ void __launch_bounds__(256) random_##name##_wide(void *out, long long n, int dtype, double a, double b, \
                                                                           unsigned long long seed, unsigned long long offset) { \
        fill_wide<KIND>(out, n, dtype, a, b, seed, offset);                                                            \
    }
FILL(uniform, FILL_UNIFORM)
FILL(normal, FILL_NORMAL)
FILL(log_normal, FILL_LOG_NORMAL)
FILL(exponential, FILL_EXPONENTIAL)
FILL(cauchy, FILL_CAUCHY)
FILL(geometric, FILL_GEOMETRIC)
