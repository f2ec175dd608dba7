/* Functions behind M(f) in pointwise_rows.def that C does not have. Read once per floating type, by C and by CUDA: the
 * includer defines real, M(f) (a name made of f and the type), PW_FN (static inline, or __device__ besides) and the
 * functions of C's maths library under M. */
#ifndef TAPER_OPS_POINTWISE_MATH_H
#define TAPER_OPS_POINTWISE_MATH_H

/* NaN in either operand is the result. */
#define PW_MAX(x, y) ((((x) > (y)) | ((x) != (x))) ? (x) : (y))
#define PW_MIN(x, y) ((((x) < (y)) | ((x) != (x))) ? (x) : (y))
/* NaN in x stays; low above high gives high. */
#define PW_CLAMP(x, low, high) (((x) < (low) ? (low) : (x)) > (high) ? (high) : (x) < (low) ? (low) : (x))

/* Integers. The divisor is not zero here; -1 is kept from the hardware, where INT64_MIN / -1 traps. */
PW_FN int64_t pw_div_trunc(int64_t a, int64_t b) { return b == -1 ? (int64_t)(0 - (uint64_t)a) : b == 0 ? 0 : a / b; }
PW_FN int64_t pw_div_floor(int64_t a, int64_t b) {
    int64_t q = pw_div_trunc(a, b);
    return q * b != a && (a < 0) != (b < 0) ? q - 1 : q;
}
PW_FN int64_t pw_modulo(int64_t a, int64_t b) { return a - b * pw_div_floor(a, b); }
PW_FN int64_t pw_power(int64_t a, int64_t n) {
    uint64_t r = 1, x = (uint64_t)a;
    if (n < 0) return a == 1 ? 1 : a == -1 ? (n & 1 ? -1 : 1) : 0;
    for (; n; n >>= 1, x *= x)
        if (n & 1) r *= x;
    return (int64_t)r;
}
PW_FN int64_t pw_shift_left(int64_t a, int64_t n) { return n < 0 || n > 63 ? 0 : (int64_t)((uint64_t)a << n); }
PW_FN int64_t pw_shift_right(int64_t a, int64_t n) { return a >> (n < 0 || n > 63 ? 63 : n); }

/* Derivatives of log gamma, in double for every type: psi by recurrence up to 10, then its asymptotic series. */
PW_FN double pw_digamma(double x) {
    double r = 0;
    if (x == 0) return copysign(INFINITY, -x);
    if (x < 0) {
        if (x == floor(x)) return NAN;
        double f = x - floor(x);
        r = -3.14159265358979323846 / tan(3.14159265358979323846 * f);
        x = 1 - x;
    }
    for (; x < 10; x += 1) r -= 1 / x;
    double z = 1 / (x * x);
    double p = ((((((z / 12 - 691.0 / 32760) * z + 1.0 / 132) * z - 1.0 / 240) * z + 1.0 / 252) * z - 1.0 / 120) * z + 1.0 / 12) * z;
    return r + log(x) - 0.5 / x - p;
}
/* (-1)^(n+1) n! zeta(n + 1, x): ten terms of the sum, the rest by Euler and Maclaurin. */
PW_FN double pw_polygamma(double order, double x) {
    const double bernoulli[] = {1.0 / 6, -1.0 / 30, 1.0 / 42, -1.0 / 30, 5.0 / 66, -691.0 / 2730, 7.0 / 6};
    double s = order + 1, sum = 0, n = 1, factor = s;
    if (order == 0) return pw_digamma(x);
    if (x <= 0 && x == floor(x)) return s - 2 * floor(s / 2) == 0 ? INFINITY : NAN;
    double turn = 0; /* not 0: by reflection */
    if (order == 1 && x < 0) {
        turn = 3.14159265358979323846 / sin(3.14159265358979323846 * (x - floor(x)));
        x = 1 - x;
    }
    if (x < -1e5) return NAN; /* the sum would have as many terms */
    for (int k = 0; k < 10 || x < 10; k++, x += 1) sum += pow(x, -s);
    double power = pow(x, -s), inverse = 1 / x;
    sum += x * power / (s - 1) + 0.5 * power;
    power *= inverse;
    for (int k = 1; k <= 7; k++) {
        n *= 2 * k * (2 * k - 1);
        sum += bernoulli[k - 1] / n * factor * power;
        factor *= (s + 2 * k - 1) * (s + 2 * k);
        power *= inverse * inverse;
    }
    for (double k = 2; k <= order && sum != 0 && sum - sum == 0; k += 1) sum *= k;
    if (turn != 0) return turn * turn - sum;
    return order - 2 * floor(order / 2) == 0 ? -sum : sum;
}
/* Starts from M. Giles, "Approximating the erfinv function" (2010); two steps of Newton make it a double's. */
PW_FN double pw_erfinv(double y) {
    if (y <= -1 || y >= 1 || y != y) return y == 1 || y == -1 ? y * INFINITY : NAN;
    double w = -log((1 - y) * (1 + y)), x;
    if (w < 5) {
        w -= 2.5;
        x = ((((((((2.81022636e-08 * w + 3.43273939e-07) * w - 3.5233877e-06) * w - 4.39150654e-06) * w + 0.00021858087) * w - 0.00125372503) * w -
               0.00417768164) * w + 0.246640727) * w + 1.50140941);
    } else {
        w = sqrt(w) - 3;
        x = ((((((((-0.000200214257 * w + 0.000100950558) * w + 0.00134934322) * w - 0.00367342844) * w + 0.00573950773) * w - 0.0076224613) * w +
               0.00943887047) * w + 1.00167406) * w + 2.83297682);
    }
    x *= y;
    for (int k = 0; k < 2; k++) { /* near the ends erfc keeps the digits that erf loses */
        double e = y > 0.5 ? erfc(x) - (1 - y) : y < -0.5 ? (1 + y) - erfc(-x) : y - erf(x);
        x += e / (1.12837916709551257390 * exp(-x * x));
    }
    return x;
}

#endif

/* Written as selects only, which the compiler turns into vector code. */
PW_FN real M(clamp)(real x, real low, real high) {
    real t = x < low ? low : x;
    t = low != low ? low : t;
    t = t > high ? high : t;
    return ((high != high) & (x == x)) ? high : t;
}
PW_FN real M(infinity)(void) { return (real)INFINITY; }
PW_FN real M(digamma)(real x) { return (real)pw_digamma((double)x); }
PW_FN real M(polygamma)(real order, real x) { return (real)pw_polygamma((double)order, (double)x); }
PW_FN real M(erfinv)(real x) { return (real)pw_erfinv((double)x); }
PW_FN int M(close)(real a, real b, real absolute, real relative) {
    real d = M(fabs)(a - b);
    return d <= absolute + M(fabs)(relative * b) && d < (real)INFINITY;
}
PW_FN real M(logit)(real x) { return M(log)(x / (1 - x)); }
/* Python's // and %: the result of % has the divisor's sign, and a == b * (a // b) + a % b. */
PW_FN real M(modulo)(real a, real b) {
    real m = M(fmod)(a, b);
    return m != 0 && (b < 0) != (m < 0) ? m + b : m;
}
PW_FN real M(div_floor)(real a, real b) {
    if (b == 0) return a / b;
    real m = M(fmod)(a, b), q = (a - m) / b;
    if (m != 0 && (b < 0) != (m < 0)) q -= 1;
    if (q == 0) return M(copysign)((real)0, a / b);
    real f = M(floor)(q);
    return q - f > (real)0.5 ? f + 1 : f;
}
PW_FN real M(logaddexp)(real a, real b) {
    real high = PW_MAX(a, b), low = PW_MIN(a, b);
    return a == b && M(fabs)(a) == (real)INFINITY ? a : high + M(log1p)(M(exp)(low - high));
}
/* log(1 + e^x) without overflow. */
PW_FN real M(softplus)(real x) { return (x > 0 ? x : 0) + M(log1p)(M(exp)(-M(fabs)(x))); }
PW_FN real M(silu_slope)(real x) {
    real s = M(sigmoid)(x);
    return s * (1 + x * (1 - s));
}
PW_FN real M(mish_slope)(real x) {
    real t = M(tanh)(M(softplus)(x));
    return t + x * M(sigmoid)(x) * (1 - t * t);
}
PW_FN real M(gelu_slope)(real x) { return M(normal)(x) + x * M(normal_density)(x); }
/* gelu by tanh is x gate, gate = s(u) with u twice the argument of that tanh. */
PW_FN real M(gelu_tanh_slope)(real x) {
    real s = M(gelu_gate)(x);
    return s + x * s * (1 - s) * ((real)1.5957691216057307117 + (real)0.21406444881780074 * (x * x));
}
