/* Expressions that the operators of ops_search.def are made of. */
#ifndef TAPER_OPS_SEARCH_H
#define TAPER_OPS_SEARCH_H

#include <taper/autograd.h>

#include "ops/vjp_expr.h"

/* t without its history. */
static inline taper_tensor *search_detach(taper_scope *s, taper_tensor *t) {
    taper_tensor *d = NULL;
    if (s->status != TAPER_OK || !t) return NULL;
    s->status = taper_detach(&d, t);
    return taper_scope_own(s, d);
}
/* A 0-dim int64 tensor: what adds to integers without making them floats. */
static inline taper_tensor *search_int(taper_scope *s, int64_t value) { return tx_full(s, NULL, 0, taper_int(value), TAPER_I64, NULL); }
/* One dim, in order. */
static inline taper_tensor *search_flat(taper_scope *s, taper_tensor *t) {
    int64_t all = -1;
    return tx_reshape(s, t, &all, 1);
}
/* Elements [from, to) along dim. */
static inline taper_tensor *search_slice(taper_scope *s, taper_tensor *t, int64_t dim, int64_t from, int64_t to) { return tx_slice(s, t, dim, &from, &to, 1); }
static inline taper_tensor *search_cat(taper_scope *s, taper_tensor *a, taper_tensor *b, int64_t dim) {
    taper_tensor *both[2] = {a, b};
    return s->status == TAPER_OK ? tx_cat(s, both, 2, dim) : NULL;
}
static inline taper_status search_no_data(const taper_call *c, const taper_tensor *t) {
    return t->device.type == TAPER_META ? TAPER_FAIL(TAPER_NOT_IMPLEMENTED, "%s: the shape of the result depends on values, which a tensor on meta does not have", c->row->name)
                                        : TAPER_OK;
}

#endif
