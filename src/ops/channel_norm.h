/* What batch_norm.c and group_norm.c share: runs of one channel on the CPU, and checks of the arguments. */
#ifndef TAPER_OPS_CHANNEL_NORM_H
#define TAPER_OPS_CHANNEL_NORM_H

#include "ops/norm.h"

/* One body for both: input (outer, channels, inner); a run is the elements of one channel of one sample. Statistics belong to
 * a channel over all samples (batch), or to `channels / groups` channels of one sample (group). */
typedef struct channel_job {
    int64_t outer, channels, inner, groups; /* groups 0: batch */
    const void *x, *g;
    void *y;
    bool wide, training;
    double eps, momentum;
    const taper_tensor *w, *b;
    taper_tensor *mean, *rstd, *running_mean, *running_var, *dw, *db;
    double *sums; /* group backward: of g and g x, each run */
    const taper_norm_loops *loops;
} channel_job;

static inline double channel_get(const taper_tensor *t, int64_t i, double fallback) {
    return t ? taper__load_double((const char *)taper__data(t) + (size_t)i * taper_dtype_size((taper_dtype)t->dtype), (taper_dtype)t->dtype) : fallback;
}
static inline void channel_set(taper_tensor *t, int64_t i, double v) {
    if (t) taper__store_double((char *)taper__data(t) + (size_t)i * taper_dtype_size((taper_dtype)t->dtype), (taper_dtype)t->dtype, v);
}

#define CHANNEL_RUN(j, base, run, T) ((T *)(base) + (run) * (j)->inner)

static inline double channel_sum(const channel_job *j, const void *base, int64_t run) {
    if (!j->wide) return (double)j->loops->sum(CHANNEL_RUN(j, base, run, const float), j->inner);
    double s = 0;
    for (int64_t i = 0; i < j->inner; i++) s += CHANNEL_RUN(j, base, run, const double)[i];
    return s;
}
static inline double channel_spread(const channel_job *j, int64_t run, double mean) {
    if (!j->wide) return (double)j->loops->spread(CHANNEL_RUN(j, j->x, run, const float), j->inner, (float)mean);
    double s = 0;
    for (int64_t i = 0; i < j->inner; i++) {
        double d = CHANNEL_RUN(j, j->x, run, const double)[i] - mean;
        s += d * d;
    }
    return s;
}
static inline double channel_dot(const channel_job *j, int64_t run) {
    if (!j->wide) return (double)j->loops->dot(CHANNEL_RUN(j, j->g, run, const float), CHANNEL_RUN(j, j->x, run, const float), j->inner);
    double s = 0;
    for (int64_t i = 0; i < j->inner; i++) s += CHANNEL_RUN(j, j->g, run, const double)[i] * CHANNEL_RUN(j, j->x, run, const double)[i];
    return s;
}
/* y = a g + b x + c; without g: y = b x + c */
static inline void channel_apply(const channel_job *j, int64_t run, double a, double b, double c) {
    if (!j->wide && j->g)
        j->loops->affine2(CHANNEL_RUN(j, j->y, run, float), CHANNEL_RUN(j, j->g, run, const float), CHANNEL_RUN(j, j->x, run, const float), j->inner,
                          (float)a, (float)b, (float)c);
    else if (!j->wide)
        j->loops->affine(CHANNEL_RUN(j, j->y, run, float), CHANNEL_RUN(j, j->x, run, const float), j->inner, (float)b, (float)c);
    else
        for (int64_t i = 0; i < j->inner; i++)
            CHANNEL_RUN(j, j->y, run, double)[i] =
                (j->g ? a * CHANNEL_RUN(j, j->g, run, const double)[i] : 0) + b * CHANNEL_RUN(j, j->x, run, const double)[i] + c;
}

static inline taper_status channel_shape(const taper_call *c, const taper_tensor *x, int first, int last) {
    if (x->ndim < 2) return TAPER_FAIL(TAPER_RUNTIME, "%s: Expected at least 2 dimensions for input tensor but received %d", c->row->name, x->ndim);
    for (int k = first; k <= last; k++) {
        static const char *const names[] = {"weight", "bias", "running_mean", "running_var"};
        const taper_tensor *t = TAPER_ARG_T(c, k);
        if (t && (t->ndim != 1 || t->numel != x->shape[1]))
            return TAPER_FAIL(TAPER_RUNTIME, "%s should contain %lld elements not %lld (%s of %s)", names[k - first], (long long)x->shape[1], (long long)t->numel,
                              c->row->name, TAPER_TEXT(x));
    }
    TAPER_TRY(taper__need_float(x, c->row->name));
    return taper__need_same_device(c);
}

static inline taper_dtype channel_stats(const taper_tensor *x) { return x->dtype == TAPER_F64 ? TAPER_F64 : TAPER_F32; }

static inline void channel_job_set(channel_job *j, const taper_tensor *x, const taper_tensor *g, taper_tensor *y) {
    memset(j, 0, sizeof *j);
    j->outer = x->shape[0];
    j->channels = x->shape[1];
    j->inner = 1;
    for (int d = 2; d < x->ndim; d++) j->inner *= x->shape[d];
    j->x = taper__data(x);
    j->g = g ? taper__data(g) : NULL;
    j->y = taper__data(y);
    j->wide = x->dtype == TAPER_F64;
    j->loops = TAPER_SIMD_PICK(taper__norm_loops);
}

/* A tensor of channels in a shape that broadcasts against the input. */
static inline taper_tensor *channel_view(taper_scope *s, taper_tensor *t, int ndim, int dims, const int64_t *sizes) {
    int64_t shape[TAPER_MAX_DIMS];
    for (int d = 0; d < ndim; d++) shape[d] = d < dims ? sizes[d] : 1;
    return t ? tx_reshape(s, t, shape, ndim) : NULL;
}

/* Images with their channels last keep them there. */
static inline bool channel_is_last(const taper_tensor *t) {
    return t->ndim == 4 && !t->contiguous && taper__is_channels_last(4, t->shape, t->strides);
}

/* Both backward passes: gradient, input, weight and statistics in; gradients of input, weight and bias out. */
static inline taper_status channel_backward_infer(taper_call *c) {
    const taper_tensor *g = c->args[0].t, *x = c->args[1].t, *w = TAPER_ARG_T(c, 2);
    TAPER_TRY(channel_shape(c, x, 2, 2));
    if (g->ndim != x->ndim || memcmp(g->shape, x->shape, sizeof(int64_t) * x->ndim))
        return TAPER_FAIL(TAPER_RUNTIME, "%s: the gradient %s must be like the input %s", c->row->name, TAPER_TEXT(g), TAPER_TEXT(x));
    taper_dtype dtype = w ? (taper_dtype)w->dtype : (taper_dtype)x->dtype;
    bool last = channel_is_last(x) && c->nargs == 6 && c->args[5].kind == TAPER_ARG_BOOL; /* not for groups, which share this */
    TAPER_TRY(taper__out_strided(c, 0, (taper_dtype)x->dtype, x->ndim, x->shape, last ? x->strides : NULL));
    TAPER_TRY(taper__out(c, 1, dtype, 1, x->shape + 1));
    return taper__out(c, 2, dtype, 1, x->shape + 1);
}

#endif
