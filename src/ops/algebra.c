/* diff, cross, cdist, cov, corrcoef, kron: a few operators each. */
#include "ops/search.h"

static taper_status diff_compose(taper_call *c, taper_scope *s) {
    taper_tensor *t = c->args[0].t;
    int64_t n = c->args[1].i;
    int dim;
    if (!t->ndim) return TAPER_FAIL(TAPER_RUNTIME, "diff expects input to be at least one-dimensional, got %s", TAPER_TEXT(t));
    TAPER_TRY(taper__wrap_dim(&dim, c->args[2].i, t->ndim, "diff"));
    if (n < 0) return TAPER_FAIL(TAPER_RUNTIME, "order must be non-negative but got %lld", (long long)n);
    if (TAPER_ARG_T(c, 3)) t = search_cat(s, TAPER_ARG_T(c, 3), t, dim);
    if (TAPER_ARG_T(c, 4)) t = search_cat(s, t, TAPER_ARG_T(c, 4), dim);
    TAPER_TRY(s->status);
    if (!n) t = tx_clone(s, t);
    if (t && n > t->shape[dim]) n = t->shape[dim] ? t->shape[dim] : 1; /* nothing is left by then */
    for (; n > 0 && t; n--) {
        int64_t size = t->shape[dim];
        taper_tensor *after = search_slice(s, t, dim, size ? 1 : 0, size), *before = search_slice(s, t, dim, 0, size ? size - 1 : 0);
        t = t->dtype == TAPER_BOOL ? tx_logical_xor(s, after, before) : vx_sub(s, after, before);
    }
    c->out[0] = taper_scope_keep(s, t);
    c->nout = 1;
    return s->status;
}
const taper_op taper_op_diff = {
    .compose = diff_compose,
    .samples = (const taper_sample[]){{"[2,5]"}, {"[5,2], 2, 0"}, {"[4]:i64, 1, -1, [1]:i64, [2]:i64"}, {"[4]:bool"}, {"[3], 5"}, {"[3], 0"}, {"[0]"}, {"[]", .error = "at least one-dimensional"},
                                      {"[3], -1", .error = "order must be non-negative"}, {0}},
};

static taper_status cross_make(taper_call *c, taper_scope *s, int dim) {
    taper_tensor *ts[2] = {c->args[0].t, c->args[1].t};
    int64_t shape[TAPER_MAX_DIMS], one = -1, two = -2, along = dim;
    int n;
    TAPER_TRY(taper__broadcast(&n, shape, ts, 2, "linalg.cross"));
    taper_tensor *a = tx_expand(s, ts[0], shape, n), *b = tx_expand(s, ts[1], shape, n);
    /* c0 = a1 b2 - a2 b1 and so on around: a turned by one times b turned by two, less the other way. */
    taper_tensor *first = tx_mul(s, tx_roll(s, a, &one, 1, &along, 1), tx_roll(s, b, &two, 1, &along, 1));
    taper_tensor *second = tx_mul(s, tx_roll(s, a, &two, 1, &along, 1), tx_roll(s, b, &one, 1, &along, 1));
    c->out[0] = taper_scope_keep(s, vx_sub(s, first, second));
    c->nout = 1;
    return s->status;
}
static taper_status cross_check(const taper_call *c, int *dim, int64_t dim_arg) {
    const taper_tensor *a = c->args[0].t, *b = c->args[1].t;
    if (a->ndim != b->ndim) return TAPER_FAIL(TAPER_RUNTIME, "linalg.cross: inputs must have the same number of dimensions: %s and %s", TAPER_SHAPE(a), TAPER_SHAPE(b));
    TAPER_TRY(taper__wrap_dim(dim, dim_arg, a->ndim, "linalg.cross"));
    if (!a->ndim || a->shape[*dim] != 3 || b->shape[*dim] != 3)
        return TAPER_FAIL(TAPER_RUNTIME, "linalg.cross: inputs dimension %d must have length 3. Got %s and %s", *dim, TAPER_SHAPE(a), TAPER_SHAPE(b));
    return TAPER_OK;
}
static taper_status linalg_cross_compose(taper_call *c, taper_scope *s) {
    int dim;
    TAPER_TRY(cross_check(c, &dim, c->args[2].i));
    return cross_make(c, s, dim);
}
const taper_op taper_op_linalg_cross = {
    .compose = linalg_cross_compose,
    .samples = (const taper_sample[]){{"[4,3], [4,3]"}, {"[3,4], [3,1], dim=0"}, {"[0,3], [0,3]"}, {"[2,4], [2,4]", .error = "must have length 3"}, {0}}};
static taper_status cross_compose(taper_call *c, taper_scope *s) {
    const taper_tensor *a = c->args[0].t;
    int64_t at = c->args[2].kind == TAPER_ARG_NONE ? 0 : c->args[2].i;
    int dim;
    if (c->args[2].kind == TAPER_ARG_NONE) {
        while (at < a->ndim && a->shape[at] != 3) at++;
        if (at == a->ndim) return TAPER_FAIL(TAPER_RUNTIME, "no dimension of size 3 in input, got %s", TAPER_SHAPE(a));
    }
    TAPER_TRY(cross_check(c, &dim, at));
    return cross_make(c, s, dim);
}
const taper_op taper_op_cross = {
    .compose = cross_compose,
    .samples = (const taper_sample[]){{"[4,3], [4,3]"}, {"[3,4], [3,4]"}, {"[2,3,3], [2,3,3], 1"}, {"[4], [4]", .error = "no dimension of size 3"}, {"[3,3], [3]", .error = "same number of dimensions"}, {0}}};

static taper_status cdist_compose(taper_call *c, taper_scope *s) {
    taper_tensor *a = c->args[0].t, *b = c->args[1].t;
    int64_t last = -1;
    double p = c->args[2].f;
    if (a->ndim < 2 || b->ndim < 2)
        return TAPER_FAIL(TAPER_RUNTIME, "cdist only supports at least 2D tensors, X%d got: %dD (%s)", a->ndim < 2 ? 1 : 2, a->ndim < 2 ? a->ndim : b->ndim, TAPER_SHAPE(a->ndim < 2 ? a : b));
    if (a->shape[a->ndim - 1] != b->shape[b->ndim - 1])
        return TAPER_FAIL(TAPER_RUNTIME, "X1 and X2 must have the same number of columns. X1: %lld X2: %lld (%s and %s)", (long long)a->shape[a->ndim - 1], (long long)b->shape[b->ndim - 1],
                          TAPER_SHAPE(a), TAPER_SHAPE(b));
    TAPER_TRY(taper__need_float(a, "cdist"));
    TAPER_TRY(taper__need_float(b, "cdist"));
    if (!(p >= 0)) return TAPER_FAIL(TAPER_RUNTIME, "cdist only supports non-negative p values, got %g", p);
    taper_tensor *differ = vx_sub(s, tx_unsqueeze(s, a, -2), tx_unsqueeze(s, b, -3));
    c->out[0] = taper_scope_keep(s, tx_linalg_vector_norm(s, differ, taper_float(p), &last, 1, false, TAPER_DTYPE_NONE));
    c->nout = 1;
    return s->status;
}
const taper_op taper_op_cdist = {
    .compose = cdist_compose,
    .samples = (const taper_sample[]){{"[4,3], [5,3]"}, {"[2,4,3], [5,3], 1.0"}, {"[2,3], [2,3], 3.0"}, {"[0,3], [2,3]"}, {"[3], [3]", .error = "at least 2D"}, {"[2,2], [2,3]", .error = "same number of columns"}, {0}}};

static taper_tensor *cov_rows(taper_scope *s, taper_tensor *t) {
    int64_t shape[2] = {1, t->numel};
    return t->ndim == 2 ? t : tx_reshape(s, t, shape, 2);
}
static taper_status cov_weights(const taper_tensor *w, const char *name, int64_t n, bool whole) {
    if (w->ndim > 1) return TAPER_FAIL(TAPER_RUNTIME, "cov(): expected %s to have one or fewer dimensions but got %s with %d dimensions", name, name, w->ndim);
    if (taper_dtype_is_float((taper_dtype)w->dtype) == whole) return TAPER_FAIL(TAPER_RUNTIME, "cov(): expected %s to have %s dtype but got %s", name, whole ? "integral" : "floating point", taper_dtype_typename((taper_dtype)w->dtype));
    return w->numel == n ? TAPER_OK : TAPER_FAIL(TAPER_RUNTIME, "cov(): expected %s to have the same numel as there are observations in the input but got %lld != %lld", name, (long long)w->numel, (long long)n);
}
static taper_tensor *cov_make(taper_scope *s, taper_tensor *x, taper_tensor *frequent, taper_tensor *weight, double correction) {
    int64_t last = 1, n = x->shape[1];
    const taper_scalar zero = taper_int(0);
    taper_dtype dtype = (taper_dtype)x->dtype;
    taper_tensor *f = frequent ? search_flat(s, tx_to(s, frequent, NULL, dtype, false, false)) : NULL, *a = weight ? search_flat(s, tx_to(s, weight, NULL, dtype, false, false)) : NULL;
    taper_tensor *w = f && a ? tx_mul(s, f, a) : f ? f : a, *total, *norm, *mean;
    if (!w) {
        mean = tx_mean(s, x, &last, 1, true, TAPER_DTYPE_NONE);
        norm = taper__number(s, (double)n - correction > 0 ? (double)n - correction : 0);
    } else {
        total = tx_sum(s, w, NULL, 0, false, TAPER_DTYPE_NONE);
        mean = vx_div(s, tx_sum(s, tx_mul(s, x, w), &last, 1, true, TAPER_DTYPE_NONE), total);
        taper_tensor *loss = !a ? taper__number(s, correction) : vx_scale(s, vx_div(s, tx_sum(s, tx_mul(s, w, a), NULL, 0, false, TAPER_DTYPE_NONE), total), correction);
        norm = tx_clamp(s, vx_sub(s, total, loss), &zero, NULL);
    }
    taper_tensor *d = vx_sub(s, x, mean), *other = w ? tx_mul(s, d, w) : d;
    return vx_div(s, tx_mm(s, d, tx_transpose(s, other, 0, 1)), norm);
}
static taper_status cov_compose(taper_call *c, taper_scope *s) {
    taper_tensor *self = c->args[0].t, *f = TAPER_ARG_T(c, 2), *a = TAPER_ARG_T(c, 3);
    if (self->ndim > 2) return TAPER_FAIL(TAPER_RUNTIME, "cov(): expected input to have two or fewer dimensions but got an input with %d dimensions (%s)", self->ndim, TAPER_SHAPE(self));
    if (self->dtype == TAPER_BOOL) return TAPER_FAIL(TAPER_RUNTIME, "cov(): bool dtype is not supported for input");
    taper_tensor *x = taper_dtype_is_float((taper_dtype)self->dtype) ? self : tx_to(s, self, NULL, taper_default_dtype(), false, false);
    x = x ? cov_rows(s, x) : NULL;
    TAPER_TRY(s->status);
    if (f) TAPER_TRY(cov_weights(f, "fweights", x->shape[1], true));
    if (a) TAPER_TRY(cov_weights(a, "aweights", x->shape[1], false));
    taper_tensor *r = cov_make(s, x, f, a, (double)c->args[1].i);
    c->out[0] = taper_scope_keep(s, self->ndim == 2 || !r ? r : tx_reshape(s, r, NULL, 0));
    c->nout = 1;
    return s->status;
}
const taper_op taper_op_cov = {
    .compose = cov_compose,
    .samples = (const taper_sample[]){{"[3,5]"}, {"[5]"}, {"[2,4]:i64"}, {"[2,4], correction=0"}, {"[2,4], fweights=[4]:i64=(1,2,1,3), aweights=[4]:pos:nograd"}, {"[2,4], aweights=[4]:pos:nograd"},
                                      {"[2,2,2]", .error = "two or fewer dimensions"}, {"[2,4], fweights=[3]:i64<3", .error = "same numel"}, {"[2,4], aweights=[4]:i64<3", .error = "floating point dtype"}, {0}},
};
static taper_status corrcoef_compose(taper_call *c, taper_scope *s) {
    taper_tensor *self = c->args[0].t;
    const taper_scalar low = taper_int(-1), high = taper_int(1);
    if (self->ndim > 2) return TAPER_FAIL(TAPER_RUNTIME, "corrcoef(): expected input to have two or fewer dimensions but got an input with %d dimensions (%s)", self->ndim, TAPER_SHAPE(self));
    taper_tensor *m = tx_cov(s, self, 1, NULL, NULL);
    TAPER_TRY(s->status);
    if (!self->ndim || self->ndim == 1) {
        c->out[0] = taper_scope_keep(s, vx_div(s, m, m));
    } else {
        taper_tensor *deviation = tx_sqrt(s, tx_diagonal(s, m, 0, 0, 1));
        c->out[0] = taper_scope_keep(s, tx_clamp(s, vx_div(s, vx_div(s, m, tx_unsqueeze(s, deviation, 1)), deviation), &low, &high));
    }
    c->nout = 1;
    return s->status;
}
const taper_op taper_op_corrcoef = {
    .compose = corrcoef_compose,
    .samples = (const taper_sample[]){{"[3,5]", .no_grad_check = true /* the diagonal sits on the edge of the clamp */}, {"[2,2,2]", .error = "two or fewer dimensions"}, {0}}};

static taper_status kron_compose(taper_call *c, taper_scope *s) {
    taper_tensor *a = c->args[0].t, *b = c->args[1].t;
    int n = a->ndim > b->ndim ? a->ndim : b->ndim;
    int64_t left[TAPER_MAX_DIMS], right[TAPER_MAX_DIMS], shape[TAPER_MAX_DIMS];
    if (2 * n > TAPER_MAX_DIMS) return TAPER_FAIL(TAPER_RUNTIME, "kron: at most %d dimensions, got %s and %s", TAPER_MAX_DIMS / 2, TAPER_SHAPE(a), TAPER_SHAPE(b));
    for (int d = 0; d < n; d++) { /* (a0, 1, a1, 1, ..) times (1, b0, 1, b1, ..) */
        int64_t x = d < n - a->ndim ? 1 : a->shape[d - (n - a->ndim)], y = d < n - b->ndim ? 1 : b->shape[d - (n - b->ndim)];
        left[2 * d] = x;
        right[2 * d + 1] = y;
        left[2 * d + 1] = right[2 * d] = 1;
        shape[d] = x * y;
    }
    taper_tensor *product = tx_mul(s, tx_reshape(s, a, left, 2 * n), tx_reshape(s, b, right, 2 * n));
    c->out[0] = taper_scope_keep(s, tx_reshape(s, product, shape, n));
    c->nout = 1;
    return s->status;
}
const taper_op taper_op_kron = {.compose = kron_compose, .samples = (const taper_sample[]){{"[2,3], [2,2]"}, {"[3], [2,2]"}, {"[], [2]"}, {"[0,2], [2]"}, {0}}};
