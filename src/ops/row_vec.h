/* Sums, products and maxima of rows of floats in 32 lanes: the order of additions is fixed, whatever the processor. */
#ifndef TAPER_OPS_ROW_VEC_H
#define TAPER_OPS_ROW_VEC_H

#include <stdint.h>
#include <string.h>

#include "ops/vmath.h"

enum { ROW_LANES = 16, ROW_STEP = 32, ROW_CHUNK = 1024 };
typedef float row_vec __attribute__((vector_size(64)));
typedef int32_t row_mask __attribute__((vector_size(64)));

static inline float row_fold(const float *lanes) {
    float half[ROW_LANES];
    for (int i = 0; i < ROW_LANES; i++) half[i] = lanes[i] + lanes[i + ROW_LANES];
    for (int n = ROW_LANES / 2; n; n /= 2)
        for (int i = 0; i < n; i++) half[i] += half[i + n];
    return half[0];
}

/* The body sees vectors p, q at i and i + 16 and adds into a, b; the tail sees one float. */
#define ROW_REDUCE(body, tail)                                                                                         \
    row_vec a, b;                                                                                                      \
    memset(&a, 0, sizeof a);                                                                                           \
    memset(&b, 0, sizeof b);                                                                                           \
    int64_t i = 0;                                                                                                     \
    for (; i + ROW_STEP <= n; i += ROW_STEP) {                                                                         \
        row_vec p, q;                                                                                                  \
        memcpy(&p, x + i, sizeof p);                                                                                   \
        memcpy(&q, x + i + ROW_LANES, sizeof q);                                                                       \
        body;                                                                                                          \
    }                                                                                                                  \
    float lanes[ROW_STEP], r = 0;                                                                                      \
    memcpy(lanes, &a, sizeof a);                                                                                       \
    memcpy(lanes + ROW_LANES, &b, sizeof b);                                                                           \
    for (; i < n; i++) r += (tail);                                                                                    \
    return r + row_fold(lanes)

static inline float row_sum(const float *x, int64_t n) { ROW_REDUCE(a += p; b += q, x[i]); }
/* sum of (x - mean)^2 */
static inline float row_spread(const float *x, int64_t n, float mean) {
    ROW_REDUCE(p -= mean; q -= mean; a += p * p; b += q * q, (x[i] - mean) * (x[i] - mean));
}
static inline float row_dot(const float *x, const float *y, int64_t n) {
    ROW_REDUCE(row_vec u; row_vec w; memcpy(&u, y + i, sizeof u); memcpy(&w, y + i + ROW_LANES, sizeof w); a += p * u; b += q * w,
               x[i] * y[i]);
}
static inline float row_dot3(const float *x, const float *y, const float *z, int64_t n) {
    ROW_REDUCE(row_vec u; row_vec w; memcpy(&u, y + i, sizeof u); memcpy(&w, y + i + ROW_LANES, sizeof w); p *= u; q *= w;
               memcpy(&u, z + i, sizeof u); memcpy(&w, z + i + ROW_LANES, sizeof w); a += p * u; b += q * w, x[i] * y[i] * z[i]);
}

/* NaN is passed over: the exponentials taken with this maximum bring it back. */
static inline float row_max(const float *x, int64_t n) {
    float m = -INFINITY;
    int64_t i = 0;
    if (n >= ROW_LANES) {
        row_vec a, p;
        for (int j = 0; j < ROW_LANES; j++) a[j] = -INFINITY;
        for (; i + ROW_LANES <= n; i += ROW_LANES) {
            memcpy(&p, x + i, sizeof p);
            row_mask more = p > a;
            a = (row_vec)(((row_mask)p & more) | ((row_mask)a & ~more));
        }
        for (int j = 0; j < ROW_LANES; j++) m = a[j] > m ? a[j] : m;
    }
    for (; i < n; i++) m = x[i] > m ? x[i] : m;
    return m;
}

/* y = e^(x - m); gives the sum of y. y may be x. */
static inline float row_exp_sum(float *y, const float *x, int64_t n, float m) {
    float s = 0;
    for (int64_t from = 0; from < n; from += ROW_CHUNK) {
        int64_t count = n - from < ROW_CHUNK ? n - from : ROW_CHUNK;
        for (int64_t i = 0; i < count; i++) y[from + i] = vm_expf(x[from + i] - m);
        s += row_sum(y + from, count);
    }
    return s;
}

#endif
