/* M(f) on the CPU: f32_<f> and f64_<f> for every function that pointwise_rows.def uses. */
#ifndef TAPER_OPS_POINTWISE_FUNCTIONS_H
#define TAPER_OPS_POINTWISE_FUNCTIONS_H

#include "ops/vmath.h"

#define PW_FN static inline

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
PW_LIBM(exp, vm_expf)
PW_LIBM(exp2, vm_exp2f)
PW_LIBM(expm1, vm_expm1f)
PW_LIBM(log, vm_logf)
PW_LIBM(log2, vm_log2f)
PW_LIBM(log10, vm_log10f)
PW_LIBM(log1p, vm_log1pf)
PW_LIBM(sin, vm_sinf)
PW_LIBM(cos, vm_cosf)
PW_LIBM(tan, tanf)
PW_LIBM(asin, asinf)
PW_LIBM(acos, acosf)
PW_LIBM(atan, atanf)
PW_LIBM(sinh, sinhf)
PW_LIBM(cosh, coshf)
PW_LIBM(asinh, asinhf)
PW_LIBM(acosh, acoshf)
PW_LIBM(atanh, atanhf)
PW_LIBM(tanh, vm_tanhf)
PW_LIBM(erf, vm_erff)
PW_LIBM(erfc, erfcf)
PW_LIBM2(fmod, fmodf)
PW_LIBM2(pow, vm_powf)
PW_LIBM2(hypot, hypotf)
PW_LIBM2(atan2, atan2f)
PW_LIBM2(copysign, copysignf)

PW_FN float f32_sigmoid(float x) { return vm_sigmoidf(x); }
PW_FN double f64_sigmoid(double x) {
    double e = exp(-fabs(x));
    return (x < 0 ? e : 1) / (1 + e);
}
PW_FN float f32_gelu_gate(float x) { return vm_gelu_gatef(x); }
PW_FN double f64_gelu_gate(double x) { return f64_sigmoid(1.5957691216057307117 * x * (1 + 0.044715 * x * x)); }
PW_FN float f32_normal(float x) { return vm_normalf(x); }
PW_FN double f64_normal(double x) { return 0.5 * (1 + erf(x * 0.70710678118654752440)); }
PW_FN float f32_normal_density(float x) { return vm_normal_densityf(x); }
PW_FN double f64_normal_density(double x) { return exp(-0.5 * x * x) * 0.39894228040143267794; }
/* lgamma writes a global; the _r functions do not. */
PW_FN float f32_lgamma(float x) {
    int sign;
    return lgammaf_r(x, &sign);
}
PW_FN double f64_lgamma(double x) {
    int sign;
    return lgamma_r(x, &sign);
}

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
