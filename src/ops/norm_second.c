/* The second derivative that layer, group and batch normalisation share. */
#include "ops/norm.h"

static taper_tensor *second_mean(taper_scope *s, const taper_norm_second *n, taper_tensor *t) {
    return t ? tx_mul(s, tx_sum(s, t, n->dims, n->ndims, true, TAPER_DTYPE_NONE), taper__number(s, 1 / n->count)) : NULL;
}
static taper_tensor *second_minus(taper_scope *s, taper_tensor *a, taper_tensor *b) { return a && b ? tx_add(s, a, b, taper_int(-1)) : NULL; }
static taper_tensor *second_plus(taper_scope *s, taper_tensor *a, taper_tensor *b) {
    return !a ? b : !b ? a : tx_add(s, a, b, taper_int(1));
}

/* r (t - m(t) - xh m(t xh)): the derivative of the normalised value, which is its own transpose. */
static taper_tensor *second_project(taper_scope *s, const taper_norm_second *n, taper_tensor *t, taper_tensor *xh) {
    if (!t || !xh) return NULL;
    if (!n->fixed) {
        taper_tensor *along = tx_mul(s, xh, second_mean(s, n, tx_mul(s, t, xh)));
        if (n->mean) along = second_plus(s, second_mean(s, n, t), along);
        t = second_minus(s, t, along);
    }
    return tx_mul(s, t, n->rstd);
}

taper_status taper__norm_second(taper_scope *s, const taper_norm_second *n) {
    taper_tensor *xh = tx_mul(s, n->mean ? second_minus(s, n->x, n->mean) : n->x, n->rstd);
    taper_tensor *gw = n->w ? tx_mul(s, n->g, n->w) : n->g, *ph = n->h ? second_project(s, n, n->h, xh) : NULL;
    if (s->status != TAPER_OK) return s->status;
    if (n->dg) {
        taper_tensor *d = ph && n->w ? tx_mul(s, ph, n->w) : ph;
        if (n->hw) d = second_plus(s, d, tx_mul(s, xh, n->hw));
        if (n->hb) d = second_plus(s, d, tx_expand(s, n->hb, n->x->shape, n->x->ndim));
        *n->dg = d;
    }
    if (n->dw && ph) *n->dw = tx_mul(s, n->g, ph);
    if (n->dx) {
        taper_tensor *q = n->hw ? tx_mul(s, n->g, n->hw) : NULL, *by_scale = NULL; /* q: gradient of xh */
        if (n->h && !n->fixed) {
            taper_tensor *hx = second_mean(s, n, tx_mul(s, n->h, xh)), *gx = second_mean(s, n, tx_mul(s, gw, xh));
            taper_tensor *a = second_minus(s, second_mean(s, n, tx_mul(s, n->h, gw)), tx_mul(s, hx, gx));
            if (n->mean) a = second_minus(s, a, tx_mul(s, second_mean(s, n, n->h), second_mean(s, n, gw)));
            taper_tensor *both = second_plus(s, tx_mul(s, n->h, gx), tx_mul(s, gw, hx));
            taper_tensor *minus = tx_neg(s, tx_mul(s, both, n->rstd));
            q = second_plus(s, q, minus);
            by_scale = tx_neg(s, tx_mul(s, xh, tx_mul(s, a, tx_mul(s, n->rstd, n->rstd)))); /* through r itself */
        }
        *n->dx = second_plus(s, q ? second_project(s, n, q, xh) : NULL, by_scale);
    }
    return s->status;
}
