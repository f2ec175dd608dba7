/* Softmax loops of one instruction set. */
#include "ops/softmax.h"

#include "ops/row_vec.h"

enum { COLS = TAPER_SOFTMAX_COLUMNS };

static float softmax_row_lse(const float *x, int64_t n) {
    float m = row_max(x, n), e[ROW_CHUNK], s = 0;
    for (int64_t from = 0; from < n; from += ROW_CHUNK) {
        int64_t count = n - from < ROW_CHUNK ? n - from : ROW_CHUNK;
        s += row_exp_sum(e, x + from, count, m);
    }
    return m == -INFINITY && s == s ? m : m + logf(s);
}

static void softmax_row(float *y, const float *x, int64_t n, bool log) {
    float m = row_max(x, n), s;
    if (log) {
        float e[ROW_CHUNK];
        s = 0;
        for (int64_t from = 0; from < n; from += ROW_CHUNK) {
            int64_t count = n - from < ROW_CHUNK ? n - from : ROW_CHUNK;
            s += row_exp_sum(e, x + from, count, m);
        }
        s = logf(s);
        for (int64_t i = 0; i < n; i++) y[i] = x[i] - m - s;
        return;
    }
    s = 1 / row_exp_sum(y, x, n, m);
    for (int64_t i = 0; i < n; i++) y[i] *= s;
}

static void softmax_row_backward(float *d, const float *g, const float *y, int64_t n, bool log) {
    if (log) {
        float s = row_sum(g, n);
        for (int64_t i = 0; i < n; i++) d[i] = g[i] - vm_expf(y[i]) * s;
    } else {
        float s = row_dot(g, y, n);
        for (int64_t i = 0; i < n; i++) d[i] = y[i] * (g[i] - s);
    }
}

static void softmax_row_scaled(float *d, const float *x, int64_t n, float lse, float scale) {
    for (int64_t i = 0; i < n; i++) d[i] = scale * vm_expf(x[i] - lse);
}

static void softmax_columns_max(float *m, const float *x, int64_t n, int64_t stride, int cols) {
    for (int j = 0; j < cols; j++) m[j] = -INFINITY;
    for (int64_t r = 0; r < n; r++)
        for (int j = 0; j < cols; j++) m[j] = x[r * stride + j] > m[j] ? x[r * stride + j] : m[j];
}

static void softmax_columns_lse(float *out, const float *x, int64_t n, int64_t stride, int cols) {
    float m[COLS], s[COLS];
    softmax_columns_max(m, x, n, stride, cols);
    for (int j = 0; j < cols; j++) s[j] = 0;
    for (int64_t r = 0; r < n; r++)
        for (int j = 0; j < cols; j++) s[j] += vm_expf(x[r * stride + j] - m[j]);
    for (int j = 0; j < cols; j++) out[j] = m[j] + logf(s[j]);
}

static void softmax_columns(float *y, const float *x, int64_t n, int64_t stride, int cols, bool log) {
    float m[COLS], s[COLS];
    softmax_columns_max(m, x, n, stride, cols);
    for (int j = 0; j < cols; j++) s[j] = 0;
    for (int64_t r = 0; r < n; r++)
        for (int j = 0; j < cols; j++) {
            float e = vm_expf(x[r * stride + j] - m[j]);
            s[j] += e;
            y[r * stride + j] = e;
        }
    for (int j = 0; j < cols; j++) s[j] = log ? logf(s[j]) : 1 / s[j];
    for (int64_t r = 0; r < n; r++)
        for (int j = 0; j < cols; j++) {
            int64_t at = r * stride + j;
            y[at] = log ? x[at] - m[j] - s[j] : y[at] * s[j];
        }
}

static void softmax_columns_backward(float *d, const float *g, const float *y, int64_t n, int64_t stride, int cols, bool log) {
    float s[COLS];
    for (int j = 0; j < cols; j++) s[j] = 0;
    for (int64_t r = 0; r < n; r++)
        for (int j = 0; j < cols; j++) s[j] += log ? g[r * stride + j] : g[r * stride + j] * y[r * stride + j];
    for (int64_t r = 0; r < n; r++)
        for (int j = 0; j < cols; j++) {
            int64_t at = r * stride + j;
            d[at] = log ? g[at] - vm_expf(y[at]) * s[j] : y[at] * (g[at] - s[j]);
        }
}

static void softmax_columns_scaled(float *d, const float *x, int64_t n, int64_t stride, int cols, const float *lse, const float *scale) {
    for (int64_t r = 0; r < n; r++)
        for (int j = 0; j < cols; j++) d[r * stride + j] = scale[j] * vm_expf(x[r * stride + j] - lse[j]);
}

const taper_softmax_loops TAPER_SIMD(taper__softmax_loops) = {
    softmax_row,     softmax_row_backward, softmax_columns,    softmax_columns_backward,
    softmax_row_lse, softmax_columns_lse,  softmax_row_scaled, softmax_columns_scaled,
};
