/* M(f) on the GPU: f32_<f> and f64_<f> for every function that pointwise_rows.def uses. */
#ifndef TAPER_OPS_POINTWISE_FUNCTIONS_CUH
#define TAPER_OPS_POINTWISE_FUNCTIONS_CUH

#include <math.h>
#include <stdint.h>

#define PW_FN static __device__ __inline__

#define PW_LIBM(f, name32)                                                                                             \
    PW_FN float f32_##f(float x) { return name32(x); }                                                                 \
    PW_FN double f64_##f(double x) { return f(x); }
#define PW_LIBM2(f, name32)                                                                                            \
    PW_FN float f32_##f(float x, float y) { return name32(x, y); }                                                     \
    PW_FN double f64_##f(double x, double y) { return f(x, y); }
PW_LIBM(fabs, fabsf)
PW_LIBM(trunc, truncf)
PW_LIBM(floor, floorf)
PW_LIBM(ceil, ceilf)
PW_LIBM(rint, rintf)
PW_LIBM(sqrt, sqrtf)
PW_LIBM(exp, expf)
PW_LIBM(exp2, exp2f)
PW_LIBM(expm1, expm1f)
PW_LIBM(log, logf)
PW_LIBM(log2, log2f)
PW_LIBM(log10, log10f)
PW_LIBM(log1p, log1pf)
PW_LIBM(sin, sinf)
PW_LIBM(cos, cosf)
PW_LIBM(tan, tanf)
PW_LIBM(asin, asinf)
PW_LIBM(acos, acosf)
PW_LIBM(atan, atanf)
PW_LIBM(sinh, sinhf)
PW_LIBM(cosh, coshf)
PW_LIBM(asinh, asinhf)
PW_LIBM(acosh, acoshf)
PW_LIBM(atanh, atanhf)
PW_LIBM(tanh, tanhf)
PW_LIBM(erf, erff)
PW_LIBM(erfc, erfcf)
PW_LIBM(lgamma, lgammaf)
PW_LIBM2(fmod, fmodf)
PW_LIBM2(pow, powf)
PW_LIBM2(hypot, hypotf)
PW_LIBM2(atan2, atan2f)
PW_LIBM2(copysign, copysignf)

PW_FN float f32_inverse(float x) { /* of numbers from 1 on; a result below the normal numbers becomes 0 */
    float y;
    asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
}
PW_FN float f32_bell(float x) { /* exp(-x^2 / 2) */
    float y;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x * x * -0.721347520f));
    return y;
}
/* t P(t) exp(-x^2 / 2), t = 1 / (1 + 0.35 |x|), is the tail: P fitted to 4e-8 absolute and, in the tail, 2e-5 relative (the form
 * is that of Abramowitz and Stegun 7.1.26). erff would cost twice the instructions, more than memory leaves time for. */
PW_FN float f32_normal(float x) {
    const float t = f32_inverse(1 + 0.35f * fabsf(x));
    float p = 0.0425153596f;
    p = p * t - 0.175801051f;
    p = p * t + 0.196796290f;
    p = p * t + 0.0210146265f;
    p = p * t + 0.137729043f;
    p = p * t + 0.138062982f;
    p = p * t + 0.139682723f;
    const float tail = p * t * f32_bell(x);
    return x < 0 ? tail : 1 - tail;
}
PW_FN float f32_sigmoid(float x) { return f32_inverse(1 + expf(-x)); }
PW_FN double f64_sigmoid(double x) { return 1 / (1 + exp(-x)); }
PW_FN float f32_gelu_gate(float x) { return f32_sigmoid(1.5957691216f * x * (1 + 0.044715f * x * x)); }
PW_FN double f64_gelu_gate(double x) { return f64_sigmoid(1.5957691216057307117 * x * (1 + 0.044715 * x * x)); }
PW_FN double f64_normal(double x) { return 0.5 * (1 + erf(x * 0.70710678118654752440)); }
PW_FN float f32_normal_density(float x) { return f32_bell(x) * 0.398942280f; }
PW_FN double f64_normal_density(double x) { return exp(-0.5 * x * x) * 0.39894228040143267794; }

#define real float
#define M(f) f32_##f
#include "ops/pointwise_math.h"
#undef real
#undef M
#define real double
#define M(f) f64_##f
#include "ops/pointwise_math.h"
#undef real
#undef M

#endif
