/* Several views of one tensor: split, chunk, unbind. */
#include "ops/op.h"

static taper_status split_pieces(taper_call *c, taper_scope *s, int dim, int count, const int64_t *sizes, int64_t each) {
    taper_tensor *self = c->args[0].t;
    int64_t start = 0;
    TAPER_TRY(taper__out_list(c, count));
    for (int i = 0; i < count; i++) {
        int64_t end = start + (sizes ? sizes[i] : each);
        if (end > self->shape[dim]) end = self->shape[dim];
        c->list[i] = taper_scope_keep(s, tx_slice(s, self, dim, &start, &end, 1));
        start = end;
    }
    return s->status;
}

static taper_status split_dim(int *dim, taper_call *c, int64_t given) {
    if (c->args[0].t->ndim == 0) return TAPER_FAIL(TAPER_RUNTIME, "%s expects at least a 1-dimensional tensor", c->row->name);
    return taper__wrap_dim(dim, given, c->args[0].t->ndim, c->row->name);
}

static taper_status split_compose(taper_call *c, taper_scope *s) {
    int dim;
    int64_t each = c->args[1].i;
    TAPER_TRY(split_dim(&dim, c, c->args[2].i));
    int64_t n = c->args[0].t->shape[dim];
    if (each < 0 || (each == 0 && n)) return TAPER_FAIL(TAPER_RUNTIME, "split expects split_size be non-negative, but got split_size=%lld for dimension size %lld", (long long)each, (long long)n);
    return split_pieces(c, s, dim, n == 0 ? 1 : (int)((n + each - 1) / each), NULL, each);
}

static taper_status split_sizes_compose(taper_call *c, taper_scope *s) {
    int dim;
    int64_t total = 0;
    TAPER_TRY(split_dim(&dim, c, c->args[2].i));
    for (int i = 0; i < c->args[1].count; i++) {
        if (c->args[1].is[i] < 0) return TAPER_FAIL(TAPER_RUNTIME, "split_with_sizes expects split_sizes have only non-negative entries, but got split_sizes=%s", taper__shape_text(c->args[1].count, c->args[1].is).s);
        total += c->args[1].is[i];
    }
    if (total != c->args[0].t->shape[dim])
        return TAPER_FAIL(TAPER_RUNTIME, "split_with_sizes expects split_sizes to sum exactly to %lld (input tensor's size at dimension %d), but got split_sizes=%s",
                          (long long)c->args[0].t->shape[dim], dim, taper__shape_text(c->args[1].count, c->args[1].is).s);
    return split_pieces(c, s, dim, c->args[1].count, c->args[1].is, 0);
}

static taper_status chunk_compose(taper_call *c, taper_scope *s) {
    int dim;
    int64_t parts = c->args[1].i;
    TAPER_TRY(split_dim(&dim, c, c->args[2].i));
    if (parts <= 0) return TAPER_FAIL(TAPER_RUNTIME, "chunk expects `chunks` to be greater than 0, got: %lld", (long long)parts);
    int64_t n = c->args[0].t->shape[dim], each = (n + parts - 1) / parts;
    return split_pieces(c, s, dim, n == 0 ? (int)parts : (int)((n + each - 1) / each), NULL, each);
}

static taper_status unbind_compose(taper_call *c, taper_scope *s) {
    int dim;
    TAPER_TRY(split_dim(&dim, c, c->args[1].i));
    int64_t n = c->args[0].t->shape[dim];
    TAPER_TRY(taper__out_list(c, (int)n));
    for (int64_t i = 0; i < n; i++) c->list[i] = taper_scope_keep(s, tx_select(s, c->args[0].t, dim, i));
    return s->status;
}

const taper_op taper_op_split = {.compose = split_compose, .samples = (const taper_sample[]){{"[5,2], 2"}, {"[2,6], 3, -1"}, {"[4], -1", .error = "split_size=-1"}, {0}}};
const taper_op taper_op_split_sizes = {.compose = split_sizes_compose, .samples = (const taper_sample[]){{"[5,2], (2,3)"}, {"[5,2], (2,2)", .error = "sum exactly to 5"}, {0}}};
const taper_op taper_op_chunk = {.compose = chunk_compose, .samples = (const taper_sample[]){{"[5,2], 2"}, {"[2,7], 3, 1"}, {"[4], 0", .error = "greater than 0"}, {0}}};
const taper_op taper_op_unbind = {.compose = unbind_compose, .samples = (const taper_sample[]){{"[3,2]"}, {"[2,3], 1"}, {"[]", .error = "1-dimensional"}, {0}}};
