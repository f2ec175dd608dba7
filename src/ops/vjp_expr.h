/* Arithmetic with constants, as gradients need it: expressions of public operators, owned by the scope. */
#ifndef TAPER_OPS_VJP_EXPR_H
#define TAPER_OPS_VJP_EXPR_H

#include "ops/op.h"

static inline taper_tensor *vx_add(taper_scope *s, taper_tensor *a, taper_tensor *b) { return tx_add(s, a, b, taper_int(1)); }
static inline taper_tensor *vx_sub(taper_scope *s, taper_tensor *a, taper_tensor *b) { return tx_sub(s, a, b, taper_int(1)); }
static inline taper_tensor *vx_scale(taper_scope *s, taper_tensor *t, double k) { return tx_mul(s, t, taper__number(s, k)); }
static inline taper_tensor *vx_shift(taper_scope *s, taper_tensor *t, double k) { return vx_add(s, t, taper__number(s, k)); }
/* k - t */
static inline taper_tensor *vx_minus(taper_scope *s, double k, taper_tensor *t) {
    return tx_rsub(s, t, taper__number(s, k), taper_int(1));
}
static inline taper_tensor *vx_div(taper_scope *s, taper_tensor *a, taper_tensor *b) { return tx_div(s, a, b, NULL); }
/* t where the condition holds, 0 elsewhere. */
static inline taper_tensor *vx_keep(taper_scope *s, taper_tensor *condition, taper_tensor *t) {
    return tx_where(s, condition, t, taper__number(s, 0));
}
/* 0 where the condition holds, t elsewhere. */
static inline taper_tensor *vx_drop(taper_scope *s, taper_tensor *condition, taper_tensor *t) {
    return tx_where(s, condition, taper__number(s, 0), t);
}

#endif
