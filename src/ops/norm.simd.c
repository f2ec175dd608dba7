/* Normalisation loops of one instruction set. */
#include "ops/norm.h"

#include "ops/row_vec.h"

static void norm_row(float *y, const float *x, const float *w, const float *b, int64_t n, float eps, bool rms, float *mean, float *rstd) {
    float m = rms ? 0 : row_sum(x, n) / (float)n;
    float r = 1 / sqrtf(row_spread(x, n, m) / (float)n + eps);
    if (mean) *mean = m;
    *rstd = r;
    if (w && b)
        for (int64_t i = 0; i < n; i++) y[i] = (x[i] - m) * r * w[i] + b[i];
    else if (w)
        for (int64_t i = 0; i < n; i++) y[i] = (x[i] - m) * r * w[i];
    else if (b)
        for (int64_t i = 0; i < n; i++) y[i] = (x[i] - m) * r + b[i];
    else
        for (int64_t i = 0; i < n; i++) y[i] = (x[i] - m) * r;
}

static void norm_row_backward(float *dx, float *dw, float *db, const float *g, const float *x, const float *w, int64_t n, float mean, float rstd,
                              bool rms) {
    float sum_g = w ? row_dot(g, w, n) : row_sum(g, n), sum_gx = w ? row_dot3(g, w, x, n) : row_dot(g, x, n);
    float m1 = rms ? 0 : sum_g / (float)n, m2 = (sum_gx - mean * sum_g) * rstd / (float)n;
    float a = m2 * rstd * rstd, c = mean * a - m1 * rstd; /* dx = r gw - a x + c */
    if (w)
        for (int64_t i = 0; i < n; i++) dx[i] = rstd * g[i] * w[i] - a * x[i] + c;
    else
        for (int64_t i = 0; i < n; i++) dx[i] = rstd * g[i] - a * x[i] + c;
    if (dw)
        for (int64_t i = 0; i < n; i++) dw[i] += g[i] * (x[i] - mean) * rstd;
    if (db)
        for (int64_t i = 0; i < n; i++) db[i] += g[i];
}

static void norm_affine(float *y, const float *x, int64_t n, float scale, float shift) {
    for (int64_t i = 0; i < n; i++) y[i] = x[i] * scale + shift;
}
static void norm_affine2(float *y, const float *x, const float *z, int64_t n, float a, float b, float c) {
    for (int64_t i = 0; i < n; i++) y[i] = a * x[i] + b * z[i] + c;
}
static void norm_add(float *y, const float *x, const float *z, int64_t n) {
    for (int64_t i = 0; i < n; i++) y[i] = x[i] + z[i];
}
static float norm_sum(const float *x, int64_t n) { return row_sum(x, n); }
static float norm_spread(const float *x, int64_t n, float mean) { return row_spread(x, n, mean); }
static float norm_dot(const float *x, const float *y, int64_t n) { return row_dot(x, y, n); }

const taper_norm_loops TAPER_SIMD(taper__norm_loops) = {norm_row, norm_row_backward, norm_affine, norm_affine2, norm_sum, norm_spread, norm_dot, norm_add};
