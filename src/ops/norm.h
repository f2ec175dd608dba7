/* Loops of normalisation, and its second derivative. */
#ifndef TAPER_OPS_NORM_H
#define TAPER_OPS_NORM_H

#include "ops/op.h"

/* f32 only; mean NULL or rms: without centring. w and b may be NULL. */
typedef struct taper_norm_loops {
    void (*row)(float *y, const float *x, const float *w, const float *b, int64_t n, float eps, bool rms, float *mean, float *rstd);
    /* dx of one row; dw and db, when not NULL, are added to */
    void (*row_backward)(float *dx, float *dw, float *db, const float *g, const float *x, const float *w, int64_t n, float mean, float rstd,
                         bool rms);
    void (*affine)(float *y, const float *x, int64_t n, float scale, float shift);                     /* y = scale x + shift */
    void (*affine2)(float *y, const float *x, const float *z, int64_t n, float a, float b, float c);   /* y = a x + b z + c */
    float (*sum)(const float *x, int64_t n);
    float (*spread)(const float *x, int64_t n, float mean);                                            /* sum of (x - mean)^2 */
    float (*dot)(const float *x, const float *y, int64_t n);
    void (*add)(float *y, const float *x, const float *z, int64_t n);                                  /* y = x + z; y may be either */
} taper_norm_loops;
TAPER_SIMD_DECLARE(taper_norm_loops, taper__norm_loops);

/* layer_norm on the GPU, any floating dtype. mean NULL: rms; w, b and residual may be NULL. Forward: y of x, or of sum = x +
 * residual. Backward: dx from g, x and the statistics, plus `add` unless NULL; dw and db are zero unless `sums`. */
typedef struct taper_layer_call {
    const taper_tensor *x, *residual, *w, *b, *g, *add;
    taper_tensor *y, *sum, *mean, *rstd, *dx, *dw, *db;
    double eps;
    bool sums;
    const char *op;
} taper_layer_call;
taper_status taper__layer_norm_cuda(const taper_layer_call *c);
taper_status taper__layer_norm_backward_cuda(const taper_layer_call *c);

/* Batch and group normalisation on the GPU. g NULL: forward, y from x; else backward, y is dx. x, g and y have one layout:
 * contiguous, or (batch) channels last. Statistics are written forward and read backward. */
typedef struct taper_channel_call {
    const taper_tensor *x, *g, *w, *b;
    taper_tensor *y, *mean, *rstd, *running_mean, *running_var, *dw, *db;
    int64_t groups;
    double eps, momentum;
    bool training;
    const char *op;
} taper_channel_call;
taper_status taper__batch_norm_cuda(const taper_channel_call *c);
taper_status taper__group_norm_cuda(const taper_channel_call *c);

/* The gradient of a normalisation's backward pass dx = r (gw - m(gw) - xh m(gw xh)), gw = g w, xh = (x - mean) r, m the mean
 * over `dims` (rms: without m(gw); `fixed` statistics: dx = r gw), dw = sum g xh, db = sum g.
 * h, hw, hb: gradients of dx, dw and db (NULL: zero), hw and hb shaped to broadcast like w. Results not wanted: NULL. */
typedef struct taper_norm_second {
    taper_tensor *g, *x, *mean, *rstd, *w; /* mean, rstd and w broadcast against x; mean NULL: rms; w NULL: one */
    taper_tensor *h, *hw, *hb;
    const int64_t *dims;
    int ndims;
    double count; /* elements in one mean */
    bool fixed;
    taper_tensor **dg, **dx, **dw; /* dw is left in the shape of x, to be summed down */
} taper_norm_second;
taper_status taper__norm_second(taper_scope *s, const taper_norm_second *n);

#endif
