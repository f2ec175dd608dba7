/* take, take_along_dim, masked_scatter: gathers by flat index, with broadcasting, by mask. */
#include "ops/search.h"

static taper_status take_compose(taper_call *c, taper_scope *s) {
    taper_tensor *self = c->args[0].t, *index = c->args[1].t;
    if (index->dtype != TAPER_I64) return TAPER_FAIL(TAPER_RUNTIME, "take(): Expected a long tensor for index, but got %s", taper_dtype_typename((taper_dtype)index->dtype));
    if (!self->numel && index->numel) return TAPER_FAIL(TAPER_INDEX, "take(): tried to take from an empty tensor, shape %s", TAPER_SHAPE(self));
    taper_tensor *at = search_flat(s, index);
    at = tx_where(s, tx_lt(s, at, search_int(s, 0)), vx_add(s, at, search_int(s, self->numel)), at);
    c->out[0] = taper_scope_keep(s, tx_reshape(s, tx_index_select(s, search_flat(s, self), 0, at), index->shape, index->ndim));
    c->nout = 1;
    return s->status;
}
const taper_op taper_op_take = {
    .compose = take_compose,
    .samples = (const taper_sample[]){{"[3,4], [2,5]:i64<12"}, {"[5], [3]:i64=(-1,0,-5)"}, {"[3], [0]:i64"}, {"[], []:i64<1"}, {"[0], [2]:i64<1", .error = "empty tensor"},
                                      {"[3], [2]", .error = "Expected a long tensor"}, {"[3], [1]:i64=(3)", .error = "out of bounds"}, {0}},
};

static taper_status take_along_dim_compose(taper_call *c, taper_scope *s) {
    taper_tensor *self = c->args[0].t, *index = c->args[1].t;
    int dim = 0;
    int64_t a[TAPER_MAX_DIMS], b[TAPER_MAX_DIMS];
    c->nout = 1;
    if (index->dtype != TAPER_I64)
        return TAPER_FAIL(TAPER_RUNTIME, "torch.take_along_dim(): dtype of indices should be Long but got %s", taper_dtype_typename((taper_dtype)index->dtype));
    if (c->args[2].kind == TAPER_ARG_NONE) {
        c->out[0] = taper_scope_keep(s, tx_gather(s, search_flat(s, self), 0, search_flat(s, index), false));
        return s->status;
    }
    if (index->ndim != self->ndim)
        return TAPER_FAIL(TAPER_RUNTIME, "torch.take_along_dim(): input and indices should have the same number of dimensions, but got %d dimensions for input, and %d dimensions for indices",
                          self->ndim, index->ndim);
    TAPER_TRY(taper__wrap_dim(&dim, c->args[2].i, self->ndim, "take_along_dim"));
    for (int d = 0; d < self->ndim; d++) {
        a[d] = self->shape[d];
        b[d] = index->shape[d];
        if (d == dim || a[d] == b[d]) continue;
        if (a[d] != 1 && b[d] != 1)
            return TAPER_FAIL(TAPER_RUNTIME, "The size of tensor a (%lld) must match the size of tensor b (%lld) at non-singleton dimension %d: take_along_dim of %s at %s", (long long)a[d],
                              (long long)b[d], d, TAPER_SHAPE(self), TAPER_SHAPE(index));
        if (a[d] == 1) a[d] = b[d];
        else b[d] = a[d];
    }
    c->out[0] = taper_scope_keep(s, tx_gather(s, tx_expand(s, self, a, self->ndim), dim, tx_expand(s, index, b, self->ndim), false));
    return s->status;
}
const taper_op taper_op_take_along_dim = {
    .compose = take_along_dim_compose,
    .samples = (const taper_sample[]){{"[3,4], [3,2]:i64<4, 1"}, {"[3,4], [1,2]:i64<4, -1"}, {"[1,4], [3,4]:i64<1, 0"}, {"[3,4], [5]:i64<12"}, {"[0,2], [0,2]:i64, 0"},
                                      {"[2,3], [2]:i64<2, 1", .error = "same number of dimensions"}, {"[2,3], [4,3]:i64<2, 1", .error = "must match the size"}, {0}},
};

static taper_status masked_scatter_compose(taper_call *c, taper_scope *s) {
    taper_tensor *self = c->args[0].t, *mask = c->args[1].t, *source = c->args[2].t, *both[2] = {self, mask};
    int n;
    int64_t shape[TAPER_MAX_DIMS], wanted = 0;
    if (mask->dtype != TAPER_BOOL) return TAPER_FAIL(TAPER_RUNTIME, "masked_scatter_ only supports boolean masks, but got mask with dtype %s", taper_dtype_typename((taper_dtype)mask->dtype));
    if (self->dtype != source->dtype)
        return TAPER_FAIL(TAPER_RUNTIME, "masked_scatter: expected self and source to have same dtypes but got %s and %s", taper_dtype_typename((taper_dtype)self->dtype),
                          taper_dtype_typename((taper_dtype)source->dtype));
    TAPER_TRY(taper__broadcast(&n, shape, both, 2, "masked_scatter"));
    mask = tx_expand(s, mask, shape, n);
    taper_tensor *flat = search_flat(s, mask), *base = tx_expand(s, self, shape, n);
    TAPER_TRY(s->status);
    if (self->device.type != TAPER_META) {
        taper_tensor *count = tx_sum(s, flat, NULL, 0, false, TAPER_I64);
        TAPER_TRY(s->status);
        TAPER_TRY(taper_tensor_item_int(count, &wanted));
        if (wanted > source->numel)
            return TAPER_FAIL(TAPER_RUNTIME, "Number of elements of source < number of ones in mask: %lld in %s, %lld in the mask", (long long)source->numel, TAPER_SHAPE(source), (long long)wanted);
    }
    c->nout = 1;
    if (!wanted) {
        c->out[0] = taper_scope_keep(s, tx_clone(s, base));
        return s->status;
    }
    const taper_scalar zero = taper_int(0);
    taper_tensor *at = tx_clamp(s, vx_sub(s, tx_cumsum(s, flat, 0, TAPER_I64), search_int(s, 1)), &zero, NULL);
    taper_tensor *picked = tx_reshape(s, tx_index_select(s, search_flat(s, source), 0, at), shape, n);
    c->out[0] = taper_scope_keep(s, tx_where(s, mask, picked, base));
    return s->status;
}
const taper_op taper_op_masked_scatter = {
    .compose = masked_scatter_compose,
    .samples = (const taper_sample[]){{"[3,4], [3,4]:bool, [12]"}, {"[3,4], [4]:bool, [3,5]"}, {"[0], [0]:bool, [0]"}, {"[2], [2]:i64<2, [2]", .error = "only supports boolean masks"},
                                      {"[3], [1]:bool, [3]:i64", .error = "to have same dtypes"}, {0}},
};

static taper_status where_places_compose(taper_call *c, taper_scope *s) {
    taper_tensor *self = c->args[0].t;
    int n = self->ndim ? self->ndim : 1;
    TAPER_TRY(search_no_data(c, self));
    taper_tensor *places = tx_nonzero(s, self->ndim ? self : tx_unsqueeze(s, self, 0));
    TAPER_TRY(s->status);
    TAPER_TRY(taper__out_list(c, n));
    for (int d = 0; d < n; d++) c->list[d] = taper_scope_keep(s, tx_select(s, places, 1, d));
    return s->status;
}
#define WHERE_SAMPLES (const taper_sample[]){{"[3,4]:bool"}, {"[2,3]:i64<2"}, {"[]:bool"}, {"[0]:bool"}, {0}}
const taper_op taper_op_where_places = {.compose = where_places_compose, .samples = WHERE_SAMPLES};
const taper_op taper_op_where_true = {.compose = where_places_compose, .samples = WHERE_SAMPLES};
