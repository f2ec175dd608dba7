/* Maths functions that the compiler can vectorise: no branches, no tables, no calls. float; double goes to libm.
 * At most 2 units in the last place (sigmoid 2.3) over the floats that tests/unit/test_vmath.c scans. Polynomials are minimax fits
 * made with 40 digits. */
#ifndef TAPER_OPS_VMATH_H
#define TAPER_OPS_VMATH_H

#include <math.h>
#include <stdint.h>
#include <string.h>

#if defined(__FMA__) || defined(__aarch64__)
#define VM_FMA(a, b, c) fmaf(a, b, c)
#else
#define VM_FMA(a, b, c) ((a) * (b) + (c)) /* a call of fmaf for each element would cost more than the bit it saves */
#endif

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

/* e^r - 1 for |r| <= ln2/2. */
static inline float vm_exp_poly(float r) {
    float p = 1.9790044e-4f;
    p = VM_FMA(p, r, 1.3944978e-3f);
    p = VM_FMA(p, r, 8.333499e-3f);
    p = VM_FMA(p, r, 4.166629e-2f);
    p = VM_FMA(p, r, 0.16666666f);
    p = VM_FMA(p, r, 0.5f);
    return VM_FMA(p, r * r, r);
}

/* x = n ln2 + r with |r| <= ln2/2; gives e^r - 1, n and, in the low bits of *whole, n again. Adding and taking away
 * 1.5 * 2^23 rounds to an integer. */
static inline float vm_exp_reduce(float x, float *n, int32_t *whole) {
    float m = VM_FMA(x, 1.44269504f, 12582912.0f);
    *whole = vm_bits(m);
    *n = m - 12582912.0f;
    float r = VM_FMA(*n, -0.693145752f, x); /* 16 bits of ln2, so that the product is exact */
    return vm_exp_poly(VM_FMA(*n, -1.42860677e-6f, r));
}
/* 2^n; the higher bits of `whole` leave by the shift. */
static inline float vm_scale(int32_t whole) { return vm_from_bits((int32_t)(((uint32_t)whole << 23) + 0x3f800000u)); }

/* Up to 88; what would be subnormal is 0. */
static inline float vm_exp_normalf(float x) {
    float n;
    int32_t whole;
    float p = vm_exp_reduce(x, &n, &whole) + 1.0f;
    return x < -87.33f ? 0.0f : p * vm_scale(whole);
}

/* Low results are made 2^64 too large first, so that subnormal ones are rounded once, others half, since 2^128 is not a float. */
static inline float vm_expf(float x) {
    float n, t = x < -104.0f ? -104.0f : x;
    int32_t whole;
    float p = vm_exp_reduce(t, &n, &whole) + 1.0f;
    float y = p * vm_scale(whole + (t < -80.0f ? 64 : -1)) * (t < -80.0f ? 5.42101086e-20f : 2.0f);
    return x < 88.7228394f ? y : x + INFINITY;
}

static inline float vm_exp2f(float x) {
    float t = x < -151.0f ? -151.0f : x;
    t = t > 129.0f ? 129.0f : t;
    float n = (t + 12582912.0f) - 12582912.0f;
    float p = vm_exp_poly((t - n) * 0.693147181f) + 1.0f;
    int32_t k = (int32_t)n, h = k >> 1;
    float y = p * vm_from_bits((h + 127) << 23) * vm_from_bits((k - h + 127) << 23);
    return x != x ? x : y;
}

/* 2^n (e^r - 1) + (2^n - 1), doubled at the end because 2^128 is not a float. */
static inline float vm_expm1f(float x) {
    float n, t = x < -20.0f ? -20.0f : x;
    t = t > 89.0f ? 89.0f : t;
    int32_t whole;
    float p = vm_exp_reduce(t, &n, &whole);
    float s = vm_from_bits(((int32_t)n + 126) << 23);
    float y = 2.0f * VM_FMA(s, p, s - 0.5f);
    y = n == 0.0f ? p : y;
    return x != x ? x : y;
}

/* x = 2^e (1 + r) with 1 + r in [sqrt(1/2), sqrt(2)); x > 0, subnormals included. */
static inline float vm_log_reduce(float x, float *e) {
    float tiny = x < 1.17549435e-38f ? 8388608.0f : 1.0f;
    int32_t i = vm_bits(x * tiny) - 0x3f3504f3;
    *e = (float)(i >> 23) - (tiny == 1.0f ? 0.0f : 23.0f);
    return vm_from_bits((i & 0x7fffff) + 0x3f3504f3) - 1.0f;
}
/* log(1 + r) in two parts: r and the rest. */
static inline float vm_log_tail(float r) {
    float p = 6.746638e-2f;
    p = VM_FMA(p, r, -1.1675651e-1f);
    p = VM_FMA(p, r, 1.1888163e-1f);
    p = VM_FMA(p, r, -1.240559e-1f);
    p = VM_FMA(p, r, 1.4219552e-1f);
    p = VM_FMA(p, r, -1.6667996e-1f);
    p = VM_FMA(p, r, 2.0002119e-1f);
    p = VM_FMA(p, r, -2.500001e-1f);
    p = VM_FMA(p, r, 3.3333313e-1f);
    return r * r * VM_FMA(p, r, -0.5f);
}
static inline float vm_log_ends(float x, float y) {
    y = x < INFINITY ? y : x;
    return x > 0.0f ? y : x == 0.0f ? -INFINITY : NAN;
}
static inline float vm_logf(float x) {
    float e, r = vm_log_reduce(x, &e);
    float y = VM_FMA(e, 0.693145752f, r + VM_FMA(e, 1.42860677e-6f, vm_log_tail(r)));
    return vm_log_ends(x, y);
}
static inline float vm_log2f(float x) {
    float e, r = vm_log_reduce(x, &e), y = VM_FMA(vm_log_tail(r), 1.44269502f, r * 1.92596299e-8f);
    return vm_log_ends(x, e + VM_FMA(r, 1.44269502f, y));
}
static inline float vm_log10f(float x) {
    float e, r = vm_log_reduce(x, &e), y = VM_FMA(r, -1.01032388e-8f, e * 4.60503902e-9f);
    return vm_log_ends(x, VM_FMA(e, 0.301029995f, VM_FMA(r, 0.434294492f, VM_FMA(vm_log_tail(r), 0.434294492f, y))));
}
/* What 1 + x lost to rounding is added to the reduced argument. */
static inline float vm_log1pf(float x) {
    float e, u = 1.0f + x, lost = x - (u - 1.0f);
    float r = vm_log_reduce(u, &e);
    int32_t k = (int32_t)(e > 60.0f ? 60.0f : e);
    r = VM_FMA(lost, vm_from_bits((127 - k) << 23), r);
    float y = VM_FMA(e, 0.693145752f, r + VM_FMA(e, 1.42860677e-6f, vm_log_tail(r)));
    y = vm_log_ends(u, y);
    return x < INFINITY ? y : x;
}

/* q = m / (m + 2), m = e^2|x| - 1, which below 0.35 is taken as m / 2 (1 - q): less of that is rounding. It is 1 from 9.02 on. */
static inline float vm_tanhf(float x) {
    float n, a = fabsf(x), t = a > 10.0f ? 10.0f : a;
    int32_t whole;
    float p = vm_exp_reduce(t * 2.0f, &n, &whole), s = vm_scale(whole);
    float m = VM_FMA(s, p, s - 1.0f), q = m / (m + 2.0f), h = m * 0.5f;
    return copysignf(a < 0.35f ? VM_FMA(-h, q, h) : q, x);
}

/* 0 where it would be subnormal. */
static inline float vm_sigmoidf(float x) {
    float e = vm_exp_normalf(-fabsf(x));
    return (x < 0.0f ? e : 1.0f) / (1.0f + e);
}

/* Below 1 x + x P(x^2), above 1 - e^Q(x), which is 1 in float from 3.92 on. */
static inline float vm_erff(float x) {
    float a = fabsf(x), z = x * x, t = a > 3.95f ? 3.95f : a;
    float p = 7.8891324e-5f;
    p = VM_FMA(p, z, -8.020845e-4f);
    p = VM_FMA(p, z, 5.1895357e-3f);
    p = VM_FMA(p, z, -2.6854444e-2f);
    p = VM_FMA(p, z, 1.12836e-1f);
    p = VM_FMA(p, z, -3.7612626e-1f);
    p = VM_FMA(p, z, 1.2837917e-1f);
    float near = VM_FMA(p, x, x);
    float q = -2.168668e-5f;
    q = VM_FMA(q, t, 4.413343e-4f);
    q = VM_FMA(q, t, -4.204551e-3f);
    q = VM_FMA(q, t, 2.5208227e-2f);
    q = VM_FMA(q, t, -1.0841853e-1f);
    q = VM_FMA(q, t, -6.3321996e-1f);
    q = VM_FMA(q, t, -1.1295784f);
    q = VM_FMA(q, t, 1.8803462e-4f);
    float far = copysignf(1.0f - vm_exp_normalf(q), x);
    return a < 1.0f ? near : far;
}

/* 2^r for |r| <= 1/2 */
static inline float vm_exp2_poly(float r) {
    float p = 1.53533649e-4f;
    p = VM_FMA(p, r, 1.33988773e-3f);
    p = VM_FMA(p, r, 9.61843692e-3f);
    p = VM_FMA(p, r, 5.55033237e-2f);
    p = VM_FMA(p, r, 2.40226477e-1f);
    p = VM_FMA(p, r, 6.93147182e-1f);
    return VM_FMA(p, r, 1.0f);
}

/* What gelu by tanh multiplies x with: the sigmoid of u = 1.59577 x (1 + 0.044715 x^2), whose factors hold 1 / ln2 here so that
 * e^-u is a power of 2. From 2^128 on that is infinity and the result 0. */
static inline float vm_gelu_gatef(float x) {
    float y = x * VM_FMA(x * x, -0.102943242f, -2.30220819f);
    y = y < -126.0f ? -126.0f : y;
    y = y > 128.0f ? 128.0f : y;
    float m = y + 12582912.0f;
    return 1.0f / VM_FMA(vm_exp2_poly(y - (m - 12582912.0f)), vm_scale(vm_bits(m)), 1.0f);
}

/* The normal distribution: density and what lies below x. The tail beyond |x| is e^(-x^2 / 2) P(u), u = 0.325 |x| / (1 + 0.325 |x|),
 * P fitted to 5e-9 everywhere and, up to 3, to 4e-7 of the tail itself. */
static inline float vm_bellf(float x) { /* e^(-x^2 / 2) as a power of 2 */
    float y = x * (x * -0.721347520f), m = y + 12582912.0f, r = y - (m - 12582912.0f);
    return y < -126.0f ? 0.0f : vm_exp2_poly(r) * vm_scale(vm_bits(m));
}
static inline float vm_normal_densityf(float x) { return vm_bellf(x) * 0.398942280f; }
static inline float vm_normalf(float x) {
    float a = fabsf(x) * 0.325f, b = a > 8.0f ? 8.0f : a, u = b / (b + 1.0f);
    float p = -0.0472041294f;
    p = VM_FMA(p, u, 0.0916165560f);
    p = VM_FMA(p, u, 0.0543369614f);
    p = VM_FMA(p, u, -0.142779782f);
    p = VM_FMA(p, u, -0.368008673f);
    p = VM_FMA(p, u, 1.13936996f);
    p = VM_FMA(p, u, -1.22751498f);
    p = VM_FMA(p, u, 0.5f);
    float tail = p * vm_bellf(x);
    return x < 0.0f ? tail : 1.0f - tail;
}

/* Quarter turns are taken away in double with pi/2 in three parts, the first two of 33 bits. Right up to
 * VM_TRIG_LIMIT; callers send larger arguments to libm. */
#define VM_TRIG_LIMIT 1e5f
static inline float vm_trig(float x, int32_t turn) {
    double d = x, n = (d * 0.63661977236758134308 + 6755399441055744.0) - 6755399441055744.0;
    double r = ((d - n * 1.57079632673412561417e+00) - n * 6.07710050630396597660e-11) - n * 2.02226624879595063154e-21;
    int32_t q = (int32_t)n + turn;
    float f = (float)r, z = f * f;
    float s = 2.7182746e-6f;
    s = VM_FMA(s, z, -1.983933e-4f);
    s = VM_FMA(s, z, 8.333329e-3f);
    s = VM_FMA(s, z, -1.6666667e-1f);
    s = VM_FMA(s * z, f, f);
    float c = -2.7209893e-7f;
    c = VM_FMA(c, z, 2.4799516e-5f);
    c = VM_FMA(c, z, -1.3888883e-3f);
    c = VM_FMA(c, z, 4.1666668e-2f);
    c = VM_FMA(c, z, -0.5f);
    c = VM_FMA(c, z, 1.0f);
    float y = q & 1 ? c : s;
    return vm_from_bits(vm_bits(y) ^ (int32_t)((uint32_t)(q & 2) << 30));
}
static inline float vm_sinf(float x) { return vm_trig(x, 0); }
static inline float vm_cosf(float x) { return vm_trig(x, 1); }

/* 2^(y log2 |x|) in double, which leaves the float's bits right; then the cases of IEEE 754. */
static inline float vm_powf(float x, float y) {
    float ax = fabsf(x);
    float exponent;
    double m = vm_log_reduce(ax, &exponent), s = m / (m + 2.0), z = s * s;
    double p = 0.282929809741384443;
    p = p * z + 0.319903666486237371;
    p = p * z + 0.412209300772295188;
    p = p * z + 0.577077941897079188;
    p = p * z + 0.961796694114913132;
    p = p * z + 2.88539008177784916;
    double t = (double)y * ((double)exponent + s * p);
    t = t < -152.0 ? -152.0 : t;
    t = t > 130.0 ? 130.0 : t;
    double n = (t + 6755399441055744.0) - 6755399441055744.0, f = t - n;
    double g = 0.0000152017205704286463;
    g = g * f + 0.00015469553450844271;
    g = g * f + 0.00133339254763062358;
    g = g * f + 0.00961802644097839616;
    g = g * f + 0.0555041034728091529;
    g = g * f + 0.240226512041685509;
    g = g * f + 0.693147180731145461;
    g = g * f + 0.999999999961069677;
    int32_t k = (int32_t)n, h = k >> 1;
    float r = (float)g * vm_from_bits((h + 127) << 23) * vm_from_bits((k - h + 127) << 23);
    float ay = fabsf(y), half = 0.5f * ay;
    /* Floats from 2^24 on are even integers; adding 2^23 rounds the smaller ones. */
    float whole = (ay + 8388608.0f) - 8388608.0f, whole_half = (half + 8388608.0f) - 8388608.0f;
    int is_whole = (ay >= 8388608.0f) | (whole == ay), is_even = (half >= 8388608.0f) | (whole_half == half);
    float zero = y < 0.0f ? INFINITY : 0.0f, infinite = y < 0.0f ? 0.0f : INFINITY;
    float rising = y > 0.0f ? INFINITY : 0.0f, falling = y > 0.0f ? 0.0f : INFINITY;
    float tower = ax > 1.0f ? rising : falling;
    tower = ax == 1.0f ? 1.0f : tower;
    r = ax == 0.0f ? zero : r;
    r = ax == INFINITY ? infinite : r;
    r = ay == INFINITY ? tower : r;
    r = ((vm_bits(x) < 0) & is_whole & !is_even) ? -r : r;
    r = ((x < 0.0f) & !is_whole & (ax != INFINITY)) ? NAN : r;
    r = ((x != x) | (y != y)) ? NAN : r;
    return ((x == 1.0f) | (y == 0.0f)) ? 1.0f : r;
}

#endif
