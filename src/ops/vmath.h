/* Maths functions that the compiler can vectorise: no branches, no tables, no calls. float; double goes to libm.
 * Errors are in units in the last place, measured over all floats by tests/unit/test_vmath.c. */
#ifndef TAPER_OPS_VMATH_H
#define TAPER_OPS_VMATH_H

#include <math.h>
#include <stdint.h>
#include <string.h>

static inline float vm_from_bits(int32_t i) {
    float f;
    memcpy(&f, &i, 4);
    return f;
}
static inline int32_t vm_bits(float f) {
    int32_t i;
    memcpy(&i, &f, 4);
    return i;
}

/* e^x = 2^n e^r with |r| <= ln2/2; the scale is applied in two halves so that subnormal results are right. */
static inline float vm_expf(float x) {
    float t = x < -104.0f ? -104.0f : x;
    t = t > 89.0f ? 89.0f : t;
    float n = (t * 1.44269504f + 12582912.0f) - 12582912.0f; /* round to an integer by the float's own grid */
    float r = fmaf(n, -0.693145752f, t);
    r = fmaf(n, -1.42860677e-6f, r);
    float p = 1.9876e-4f;
    p = fmaf(p, r, 1.3981999e-3f);
    p = fmaf(p, r, 8.3334519e-3f);
    p = fmaf(p, r, 4.1665796e-2f);
    p = fmaf(p, r, 1.6666666e-1f);
    p = fmaf(p, r, 0.5f);
    p = fmaf(p, r * r, r) + 1.0f;
    int32_t k = (int32_t)n, h = k >> 1;
    float y = p * vm_from_bits((h + 127) << 23) * vm_from_bits((k - h + 127) << 23);
    return x != x ? x : y;
}

/* (e^2x - 1) / (e^2x + 1), by a polynomial near zero where that cancels. */
static inline float vm_tanhf(float x) {
    float a = fabsf(x), z = x * x;
    float e = vm_expf(a * 2.0f);
    float far = 1.0f - 2.0f / (e + 1.0f);
    far = copysignf(far, x);
    float p = -5.70498872745e-3f;
    p = fmaf(p, z, 2.06390887954e-2f);
    p = fmaf(p, z, -5.37397155531e-2f);
    p = fmaf(p, z, 1.33314422036e-1f);
    p = fmaf(p, z, -3.33332819422e-1f);
    float near = fmaf(p * z, x, x);
    return a < 0.625f ? near : far;
}

#endif
