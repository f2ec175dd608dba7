/* Scans floats through ops/vmath.h and compares with libm in double: the largest error in units in the last place, and
 * exact agreement on zeros, infinities and NaN. Every 97th float by default, every STEP-th with an argument. */
#include <stdio.h>
#include <stdlib.h>

#include "ops/vmath.h"

typedef float (*float_fn)(float);
typedef double (*double_fn)(double);

static int failures, number;

static void report(const char *name, double worst, float at, double limit, long wrong) {
    number++;
    if (worst <= limit && !wrong) {
        printf("ok vmath_%s # %.3f ulp at %.9g\n", name, worst, at);
        return;
    }
    failures++;
    printf("not ok vmath_%s: %.3f ulp at %.9g (limit %.1f), %ld special values wrong\n", name, worst, at, limit, wrong);
}

/* Error of y against the exact w in units of the last place of a float near w. */
static double ulps(float y, double w) {
    int e;
    frexp(w, &e);
    double unit = ldexp(1, (e < -125 ? -125 : e) - 24);
    return fabs((double)y - w) / unit;
}

static int special(float y, double w) {
    if (w != w) return y == y;
    if (fabs(w) > 3.4028235677973366e38) return !(fabs((double)y) >= 3.4028234663852886e38 && !signbit(y) == !signbit(w));
    return !(y == y) || isinf(y);
}

static void scan(const char *name, float_fn f, double_fn exact, float lo, float hi, double limit, int64_t step) {
    double worst = 0;
    float at = 0;
    long wrong = 0;
    for (int64_t i = 0; i < (int64_t)1 << 32; i += step) {
        float x = vm_from_bits((int32_t)(uint32_t)i);
        if ((x < lo || x > hi) && x == x) continue;
        float y = f(x);
        double w = exact(x);
        if (w != w || fabs(w) > 3.4028234e38) {
            wrong += special(y, w);
            continue;
        }
        wrong += special(y, w);
        double u = ulps(y, w);
        if (u > worst) {
            worst = u;
            at = x;
        }
    }
    report(name, worst, at, limit, wrong);
}

static double sigmoid(double x) { return 1 / (1 + exp(-x)); }

static double normal(double x) { return 0.5 * erfc(-x * 0.70710678118654752440); }

static double density(double x) { return exp(-0.5 * x * x) * 0.39894228040143267794; }

static uint32_t state = 12345;
static uint32_t next(void) {
    state ^= state << 13;
    state ^= state >> 17;
    return state ^= state << 5;
}

static void scan_pow(double limit, long count) {
    static const float ends[] = {0.0f, -0.0f, 1.0f, -1.0f, 0.5f, -0.5f, 2.0f, -2.0f, 3.0f, -3.0f, 1e-45f, 3.4e38f, -3.4e38f, INFINITY, -INFINITY, NAN, 16777216.0f, 16777217.0f, 8388607.5f, -8388607.0f, 1.0000001f, 0.99999994f};
    int n = sizeof ends / sizeof *ends;
    double worst = 0;
    float at = 0;
    long wrong = 0;
    for (long i = 0; i < count + n * n; i++) {
        float x, y;
        if (i < n * n) {
            x = ends[i / n];
            y = ends[i % n];
        } else if (i & 1) {
            x = vm_from_bits((int32_t)next());
            y = vm_from_bits((int32_t)next());
        } else { /* where results are ordinary numbers */
            x = (float)(next() >> 8) * 0x1p-20f;
            y = ((float)(next() >> 8) - 8388608.0f) * 0x1p-19f;
        }
        float r = vm_powf(x, y);
        double w = pow(x, y);
        if (w != w || fabs(w) > 3.4028234e38 || w == 0) {
            int bad = w == 0 ? !(r == 0 && !signbit(r) == !signbit(w)) : special(r, w);
            if (bad && wrong++ < 5) printf("# pow(%.9g, %.9g) = %.9g, expected %.9g\n", x, y, r, w);
            continue;
        }
        double u = ulps(r, w);
        if (u > worst) {
            worst = u;
            at = x;
        }
    }
    report("pow", worst, at, limit, wrong);
}

int main(int argc, char **argv) {
    int64_t step = argc > 1 ? atoll(argv[1]) : 97;
    const double limit = 2;
    scan("exp", vm_expf, exp, -INFINITY, INFINITY, limit, step);
    scan("exp2", vm_exp2f, exp2, -INFINITY, INFINITY, limit, step);
    scan("expm1", vm_expm1f, expm1, -INFINITY, INFINITY, limit, step);
    scan("log", vm_logf, log, -INFINITY, INFINITY, limit, step);
    scan("log2", vm_log2f, log2, -INFINITY, INFINITY, limit, step);
    scan("log10", vm_log10f, log10, -INFINITY, INFINITY, limit, step);
    scan("log1p", vm_log1pf, log1p, -INFINITY, INFINITY, limit, step);
    scan("tanh", vm_tanhf, tanh, -INFINITY, INFINITY, limit, step);
    scan("sigmoid", vm_sigmoidf, sigmoid, -87.3f, INFINITY, 2.3, step);
    scan("erf", vm_erff, erf, -INFINITY, INFINITY, limit, step);
    scan("normal", vm_normalf, normal, -0.5f, INFINITY, 2.5, step);
    scan("normal_tail", vm_normalf, normal, -3, -0.5f, 20, step);
    scan("normal_density", vm_normal_densityf, density, -2, 2, 5, step);
    scan("exp_normal", vm_exp_normalf, exp, -87.3f, 88, limit, step);
    scan("sin", vm_sinf, sin, -VM_TRIG_LIMIT, VM_TRIG_LIMIT, limit, step);
    scan("cos", vm_cosf, cos, -VM_TRIG_LIMIT, VM_TRIG_LIMIT, limit, step);
    scan_pow(limit, (int64_t)400000000 / step);
    printf("# %d checks, %d failed\n", number, failures);
    return failures ? 1 : 0;
}
