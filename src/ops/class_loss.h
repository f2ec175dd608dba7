/* Losses over class indices: the shapes and checks that nll_loss and cross_entropy share. */
#ifndef TAPER_OPS_CLASS_LOSS_H
#define TAPER_OPS_CLASS_LOSS_H

#include "ops/op.h"

typedef enum taper_reduction { TAPER_LOSS_NONE, TAPER_LOSS_MEAN, TAPER_LOSS_SUM } taper_reduction;
/* "none", "mean" or "sum"; VALUE with torch's words otherwise. */
taper_status taper__reduction(taper_reduction *out, const taper_arg *a, const char *op);
/* loss reduced as the argument says. */
taper_tensor *taper__reduced(taper_scope *s, taper_tensor *loss, const taper_arg *reduction, const char *op);

/* input (N, C, inner...), target (N, inner...); input (C) and a 0-dim target. */
typedef struct taper_class_shape {
    int64_t n, classes, inner, positions; /* positions: n * inner */
} taper_class_shape;
taper_status taper__class_shape(taper_class_shape *out, const taper_call *c, const taper_tensor *input, const taper_tensor *target,
                                const taper_tensor *weight);
/* Weight of each position, -1 where the target is the ignored index; INDEX with torch's words for a target out of range. */
taper_status taper__class_weights(double *weights, const taper_class_shape *s, const taper_tensor *target, const taper_tensor *weight,
                                  int64_t ignore);

/* ---- class_loss_cuda.c ---- */
taper_status taper__cross_entropy_cuda(taper_call *c);
taper_status taper__cross_entropy_backward_cuda(taper_call *c);
taper_status taper__nll_loss_cuda(taper_call *c);
taper_status taper__nll_loss_backward_cuda(taper_call *c);

static inline double taper__class_load(const void *p, bool wide, int64_t i) { return wide ? ((const double *)p)[i] : (double)((const float *)p)[i]; }
static inline void taper__class_store(void *p, bool wide, int64_t i, double v) {
    if (wide) ((double *)p)[i] = v;
    else ((float *)p)[i] = (float)v;
}

#endif
