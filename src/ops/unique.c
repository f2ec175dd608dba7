/* The different values of a tensor or slices along a dim: sorted (or as they come), then one of each run. */
#include "ops/search.h"

typedef struct unique_want {
    bool inverse, counts;
} unique_want;

/* What stands in place of a result that was not asked for. */
static taper_tensor *unique_none(taper_scope *s, const taper_tensor *self) {
    int64_t none = 0;
    return tx_zeros(s, &none, 1, TAPER_I64, &self->device);
}

/* rows: n slices in order along dim 0; fresh: does a run start here? order: where each row came from (NULL: from its place). */
static taper_status unique_runs_of(taper_call *c, taper_scope *s, taper_tensor *rows, taper_tensor *fresh, taper_tensor *order, unique_want want) {
    int64_t n = rows->shape[0], flat = -1;
    taper_tensor *starts = tx_reshape(s, tx_nonzero(s, fresh), &flat, 1), *inverse = unique_none(s, rows), *counts = inverse;
    taper_tensor *values = tx_index_select(s, rows, 0, starts);
    TAPER_TRY(s->status);
    if (want.inverse) {
        taper_tensor *group = vx_sub(s, tx_cumsum(s, fresh, 0, TAPER_I64), search_int(s, 1));
        inverse = order ? tx_scatter(s, tx_zeros(s, &n, 1, TAPER_I64, &rows->device), 0, order, group) : group;
    }
    if (want.counts && starts->numel) {
        int64_t one = 1;
        taper_tensor *end = tx_full(s, &one, 1, taper_int(n), TAPER_I64, &rows->device);
        counts = vx_sub(s, search_cat(s, search_slice(s, starts, 0, 1, starts->numel), end, 0), starts);
    }
    c->out[0] = taper_scope_keep(s, values);
    c->out[1] = taper_scope_keep(s, inverse);
    c->out[2] = taper_scope_keep(s, counts);
    return s->status;
}

/* rows[i] != rows[i - 1]; the first starts a run. */
static taper_tensor *unique_fresh(taper_scope *s, taper_tensor *rows) {
    int64_t n = rows->shape[0], one = 1, rest[2] = {n > 0 ? n - 1 : 0, -1};
    if (!n) return tx_zeros(s, &n, 1, TAPER_BOOL, &rows->device);
    taper_tensor *differ = tx_ne(s, search_slice(s, rows, 0, 1, n), search_slice(s, rows, 0, 0, n - 1));
    if (rows->ndim > 1 && differ) {
        int64_t last = 1;
        if (!differ->numel) differ = tx_zeros(s, rest, 1, TAPER_BOOL, &rows->device);
        else differ = tx_any(s, tx_reshape(s, differ, rest, 2), &last, 1, false);
    }
    return search_cat(s, tx_ones(s, &one, 1, TAPER_BOOL, &rows->device), differ, 0);
}

static taper_status unique_flat(taper_call *c, taper_scope *s, bool sorted, unique_want want) {
    taper_tensor *self = c->args[0].t, *both[2] = {NULL, NULL}, *flat = search_flat(s, search_detach(s, self));
    TAPER_TRY(search_no_data(c, self));
    TAPER_TRY(s->status);
    c->nout = 3;
    if (sorted) {
        TAPER_TRY(taper_sort(both, flat, 0, false, true));
        flat = taper_scope_own(s, both[0]);
        taper_scope_own(s, both[1]);
    }
    TAPER_TRY(s->status);
    TAPER_TRY(unique_runs_of(c, s, flat, unique_fresh(s, flat), both[1], want));
    if (want.inverse) {
        taper_tensor *own = taper_scope_own(s, c->out[1]);
        c->out[1] = taper_scope_keep(s, tx_reshape(s, own, self->shape, self->ndim));
    }
    return s->status;
}

/* Slices along dim as dim 0; sorted: a stable sort by each column, from the last to the first. */
static taper_status unique_slices(taper_call *c, taper_scope *s, int64_t dim_arg, bool sorted, unique_want want) {
    taper_tensor *self = c->args[0].t, *order = NULL, *rows = search_detach(s, self);
    int dim;
    TAPER_TRY(search_no_data(c, self));
    TAPER_TRY(taper__wrap_dim(&dim, dim_arg, self->ndim, "unique_dim"));
    if (!self->ndim) return unique_flat(c, s, sorted, want);
    int64_t zero = 0, from = dim, pair[2] = {self->shape[dim], self->shape[dim] ? self->numel / self->shape[dim] : 0};
    if (!self->numel && pair[0])
        return TAPER_FAIL(TAPER_RUNTIME, "There are 0 sized dimensions, and they aren't selected, so unique cannot be applied: %s along dim %d", TAPER_SHAPE(self), dim);
    c->nout = 3;
    rows = tx_movedim(s, rows, &from, 1, &zero, 1);
    if (sorted && self->numel) {
        taper_tensor *table = tx_reshape(s, rows, pair, 2);
        order = tx_arange(s, taper_int(pair[0]), TAPER_I64, &self->device);
        for (int64_t k = pair[1] - 1; k >= 0 && s->status == TAPER_OK; k--) {
            taper_tensor *by = tx_argsort(s, tx_index_select(s, tx_select(s, table, 1, k), 0, order), 0, false, true);
            order = tx_index_select(s, order, 0, by);
        }
        rows = tx_index_select(s, rows, 0, order);
    }
    TAPER_TRY(s->status);
    TAPER_TRY(unique_runs_of(c, s, rows, unique_fresh(s, rows), order, want));
    taper_tensor *own = taper_scope_own(s, c->out[0]);
    c->out[0] = NULL;
    c->out[0] = taper_scope_keep(s, tx_contiguous(s, tx_movedim(s, own, &zero, 1, &from, 1)));
    return s->status;
}

static taper_status unique2_compose(taper_call *c, taper_scope *s) { return unique_flat(c, s, true, (unique_want){c->args[2].i, c->args[3].i}); }
const taper_op taper_op_unique2 = {
    .compose = unique2_compose,
    .samples = (const taper_sample[]){{"[3,4]:i64<5"}, {"[3,4]:i64<5, true, true, true"}, {"[7]:bool, true, false, true"}, {"[5], true, true"}, {"[0], true, true, true"}, {"[], true, true, true"}, {0}},
};
static taper_status unique_dim_compose(taper_call *c, taper_scope *s) { return unique_slices(c, s, c->args[1].i, true, (unique_want){c->args[3].i, c->args[4].i}); }
const taper_op taper_op_unique_dim = {
    .compose = unique_dim_compose,
    .samples = (const taper_sample[]){{"[6,2]:i64<2, 0, true, true, true"}, {"[2,6]:i64<2, -1, true, true, true"}, {"[3,2,2], 1"}, {"[0,3], 0"}, {"[2,3], 2", .error = "Dimension out of range"},
                                      {"[2,0], 0", .error = "0 sized dimensions"}, {0}},
};
static taper_status unique_runs_compose(taper_call *c, taper_scope *s) {
    unique_want want = {c->args[1].i, c->args[2].i};
    return c->args[3].kind == TAPER_ARG_NONE ? unique_flat(c, s, false, want) : unique_slices(c, s, c->args[3].i, false, want);
}
const taper_op taper_op_unique_runs = {
    .compose = unique_runs_compose,
    .samples = (const taper_sample[]){{"[9]:i64=(1,1,2,2,2,1,3,3,1), true, true"}, {"[2,3]:i64<2"}, {"[5,2]:i64<2, true, true, 0"}, {"[0], true, true"}, {0}},
};
