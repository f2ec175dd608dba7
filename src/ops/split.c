/* Several views of one tensor: split, chunk, tensor_split, unbind. */
#include "ops/op.h"

/* ---- split_views: few pieces share one node, whose gradient is one cat ---- */

static taper_status split_views_infer(taper_call *c) {
    taper_tensor *self = c->args[0].t;
    const taper_arg *sizes = &c->args[1];
    int dim;
    int64_t shape[TAPER_MAX_DIMS], start = 0;
    if (!self->ndim) return TAPER_FAIL(TAPER_RUNTIME, "split_views: expects at least a 1-dimensional tensor, got %s", TAPER_TEXT(self));
    TAPER_TRY(taper__wrap_dim(&dim, c->args[2].i, self->ndim, "split_views"));
    if (sizes->count < 1 || sizes->count > TAPER_MAX_OUTS)
        return TAPER_FAIL(TAPER_VALUE, "split_views: 1 to %d sizes, got %s", TAPER_MAX_OUTS, taper__shape_text(sizes->count, sizes->is).s);
    memcpy(shape, self->shape, sizeof shape);
    for (int i = 0; i < sizes->count; i++) {
        shape[dim] = sizes->is[i];
        if (shape[dim] < 0 || start + shape[dim] > self->shape[dim])
            return TAPER_FAIL(TAPER_RUNTIME, "split_views: sizes %s do not fit dimension %d of %s", taper__shape_text(sizes->count, sizes->is).s, dim, TAPER_SHAPE(self));
        TAPER_TRY(taper__out_view(c, i, self, self->ndim, shape, self->strides, self->offset + start * self->strides[dim]));
        start += shape[dim];
    }
    return TAPER_OK;
}
static taper_status split_views_vjp(taper_vjp *v) {
    taper_scope *s = v->scope;
    const taper_tensor *self = v->args[0].t;
    taper_tensor *parts[TAPER_MAX_OUTS + 1];
    int dim, n = v->nout;
    int64_t seen = 0, shape[TAPER_MAX_DIMS];
    TAPER_TRY(taper__wrap_dim(&dim, v->args[2].i, self->ndim, "split_views"));
    for (int i = 0; i < n; i++) {
        parts[i] = v->grad[i] ? v->grad[i] : taper__zeros_like(s, v->out[i]);
        seen += v->out[i]->shape[dim];
    }
    if (seen < self->shape[dim]) {
        memcpy(shape, self->shape, sizeof shape);
        shape[dim] -= seen;
        parts[n++] = tx_full(s, shape, self->ndim, taper_int(0), (taper_dtype)self->dtype, &self->device);
    }
    v->d[0] = s->status == TAPER_OK ? tx_cat(s, parts, n, dim) : NULL;
    return s->status;
}
const taper_op taper_op_split_views = {
    .infer = split_views_infer,
    .vjp = split_views_vjp,
    .grad_name = "SplitBackward0",
    .samples = (const taper_sample[]){{"[2,6], (1,2,3), 1"}, {"[5,2], (2,2), 0"}, {"[0,2], (0,0), 0"}, {"[4], (3,3), 0", .error = "do not fit dimension 0 of [4]"}, {0}},
};

static taper_status split_pieces(taper_call *c, taper_scope *s, int dim, int count, const int64_t *sizes, int64_t each) {
    taper_tensor *self = c->args[0].t;
    int64_t start = 0, some[TAPER_MAX_OUTS] = {0};
    TAPER_TRY(taper__out_list(c, count));
    if (count > TAPER_MAX_OUTS || !count) {
        for (int i = 0; i < count; i++) {
            int64_t end = start + (sizes ? sizes[i] : each);
            if (end > self->shape[dim]) end = self->shape[dim];
            c->list[i] = taper_scope_keep(s, tx_slice(s, self, dim, &start, &end, 1));
            start = end;
        }
        return s->status;
    }
    for (int i = 0; i < count; i++) {
        some[i] = sizes ? sizes[i] : each;
        if (some[i] > self->shape[dim] - start) some[i] = self->shape[dim] - start;
        start += some[i];
    }
    return taper_split_views(c->list, self, some, count, dim);
}

static taper_status split_dim(int *dim, taper_call *c, int64_t given, const char *name) {
    if (c->args[0].t->ndim == 0) return TAPER_FAIL(TAPER_RUNTIME, "%s expects at least a 1-dimensional tensor", name);
    return taper__wrap_dim(dim, given, c->args[0].t->ndim, name);
}

static taper_status split_count(int *count, int64_t n, const char *name) {
    if (n > 1 << 24) return TAPER_FAIL(TAPER_VALUE, "%s: %lld pieces are too many", name, (long long)n);
    *count = (int)n;
    return TAPER_OK;
}

static taper_status split_compose(taper_call *c, taper_scope *s) {
    int dim, count = 0;
    int64_t each = c->args[1].i;
    TAPER_TRY(split_dim(&dim, c, c->args[2].i, "split"));
    int64_t n = c->args[0].t->shape[dim];
    if (each < 0) return TAPER_FAIL(TAPER_RUNTIME, "split expects split_size be non-negative, but got split_size=%lld", (long long)each);
    if (each == 0 && n)
        return TAPER_FAIL(TAPER_RUNTIME, "split_size can only be 0 if dimension size is 0, but got dimension size of %lld", (long long)n);
    TAPER_TRY(split_count(&count, n == 0 ? 1 : (n + each - 1) / each, "split"));
    return split_pieces(c, s, dim, count, NULL, each);
}

static taper_status split_sizes_compose(taper_call *c, taper_scope *s) {
    int dim;
    int64_t total = 0;
    const taper_arg *sizes = &c->args[1];
    TAPER_TRY(split_dim(&dim, c, c->args[2].i, "split"));
    for (int i = 0; i < sizes->count; i++) {
        if (sizes->is[i] < 0)
            return TAPER_FAIL(TAPER_RUNTIME, "split_with_sizes expects split_sizes have only non-negative entries, but got split_sizes=%s",
                              taper__shape_text(sizes->count, sizes->is).s);
        total += sizes->is[i];
    }
    if (total != c->args[0].t->shape[dim])
        return TAPER_FAIL(TAPER_RUNTIME, "split_with_sizes expects split_sizes to sum exactly to %lld (input tensor's size at dimension %d), but got split_sizes=%s",
                          (long long)c->args[0].t->shape[dim], dim, taper__shape_text(sizes->count, sizes->is).s);
    return split_pieces(c, s, dim, sizes->count, sizes->is, 0);
}

static taper_status chunk_compose(taper_call *c, taper_scope *s) {
    int dim, count = 0;
    int64_t parts = c->args[1].i;
    if (c->args[0].t->ndim == 0) return TAPER_FAIL(TAPER_RUNTIME, "chunk expects at least a 1-dimensional tensor");
    if (parts <= 0) return TAPER_FAIL(TAPER_RUNTIME, "chunk expects `chunks` to be greater than 0, got: %lld", (long long)parts);
    TAPER_TRY(split_dim(&dim, c, c->args[2].i, "chunk"));
    int64_t n = c->args[0].t->shape[dim], each = (n + parts - 1) / parts;
    TAPER_TRY(split_count(&count, n == 0 ? parts : (n + each - 1) / each, "chunk"));
    return split_pieces(c, s, dim, count, NULL, each);
}

static taper_status unbind_compose(taper_call *c, taper_scope *s) {
    int dim, count = 0;
    TAPER_TRY(split_dim(&dim, c, c->args[1].i, "unbind"));
    int64_t at = dim;
    TAPER_TRY(split_count(&count, c->args[0].t->shape[dim], "unbind"));
    if (count > TAPER_MAX_OUTS || !count) {
        TAPER_TRY(taper__out_list(c, count));
        for (int i = 0; i < count; i++) c->list[i] = taper_scope_keep(s, tx_select(s, c->args[0].t, dim, i));
        return s->status;
    }
    TAPER_TRY(split_pieces(c, s, dim, count, NULL, 1));
    for (int i = 0; i < count; i++) {
        taper_tensor *piece = taper_scope_own(s, c->list[i]);
        c->list[i] = taper_scope_keep(s, tx_squeeze_dim(s, piece, &at, 1));
    }
    return s->status;
}

/* ---- tensor_split and its relatives ---- */

static taper_status tensor_split_sections(taper_call *c, taper_scope *s, int dim, int64_t sections) {
    taper_tensor *self = c->args[0].t;
    if (sections <= 0) return TAPER_FAIL(TAPER_RUNTIME, "number of sections must be larger than 0, got %lld", (long long)sections);
    int count = 0;
    TAPER_TRY(split_count(&count, sections, "tensor_split"));
    int64_t n = self->shape[dim], *sizes = taper__alloc(sizeof *sizes * (size_t)count);
    if (!sizes) return TAPER_FAIL(TAPER_MEMORY, "tensor_split: no memory for %d sizes", count);
    for (int i = 0; i < count; i++) sizes[i] = n / count + (i < n % count);
    taper_status st = split_pieces(c, s, dim, count, sizes, 0);
    taper__free(sizes);
    return st;
}

/* Pieces begin where the last one was told to end, which may be before it begins: they are then empty. */
static taper_status tensor_split_at(taper_call *c, taper_scope *s, int dim, const taper_arg *indices) {
    taper_tensor *self = c->args[0].t;
    int64_t start = 0;
    TAPER_TRY(taper__out_list(c, indices->count + 1));
    for (int i = 0; i <= indices->count; i++) {
        int64_t end = i < indices->count ? indices->is[i] : self->shape[dim];
        c->list[i] = taper_scope_keep(s, tx_slice(s, self, dim, &start, &end, 1));
        start = end;
    }
    return s->status;
}

static taper_status tensor_split_compose(taper_call *c, taper_scope *s) {
    int dim;
    TAPER_TRY(split_dim(&dim, c, c->args[2].i, "tensor_split"));
    return c->args[1].kind == TAPER_ARG_INT ? tensor_split_sections(c, s, dim, c->args[1].i) : tensor_split_at(c, s, dim, &c->args[1]);
}

static taper_status side_split(taper_call *c, taper_scope *s, const char *name, int need, int dim) {
    const taper_tensor *self = c->args[0].t;
    if (self->ndim < need)
        return TAPER_FAIL(TAPER_RUNTIME, "torch.%s requires a tensor with at least %d dimension%s, but got a tensor with %d dimensions!", name, need, need > 1 ? "s" : "", self->ndim);
    if (c->args[1].kind != TAPER_ARG_INT) return tensor_split_at(c, s, dim, &c->args[1]);
    if (c->args[1].i <= 0 || self->shape[dim] % c->args[1].i)
        return TAPER_FAIL(TAPER_RUNTIME, "torch.%s attempted to split along dimension %d, but the size of the dimension %lld is not divisible by the split_size %lld!",
                          name, dim, (long long)self->shape[dim], (long long)c->args[1].i);
    return tensor_split_sections(c, s, dim, c->args[1].i);
}
static taper_status hsplit_compose(taper_call *c, taper_scope *s) { return side_split(c, s, "hsplit", 1, c->args[0].t->ndim == 1 ? 0 : 1); }
static taper_status vsplit_compose(taper_call *c, taper_scope *s) { return side_split(c, s, "vsplit", 2, 0); }
static taper_status dsplit_compose(taper_call *c, taper_scope *s) { return side_split(c, s, "dsplit", 3, 2); }

const taper_op taper_op_split = {
    .compose = split_compose,
    .samples = (const taper_sample[]){{"[5,2], 2"}, {"[2,6], 3, -1"}, {"[0], 0"}, {"[4], -1", .error = "split_size=-1"}, {"[4], 0", .error = "dimension size of 4"}, {0}}};
const taper_op taper_op_split_sizes = {
    .compose = split_sizes_compose, .samples = (const taper_sample[]){{"[5,2], (2,3)"}, {"[2,5], (2,0,3), 1"}, {"[5,2], (2,2)", .error = "sum exactly to 5"}, {0}}};
const taper_op taper_op_split_with_sizes = {
    .compose = split_sizes_compose, .samples = (const taper_sample[]){{"[5,2], (2,3)"}, {"[5,2], (6,-1)", .error = "non-negative entries"}, {0}}};
const taper_op taper_op_chunk = {
    .compose = chunk_compose, .samples = (const taper_sample[]){{"[5,2], 2"}, {"[2,7], 3, 1"}, {"[3,0], 2, 1"}, {"[4], 0", .error = "greater than 0"}, {0}}};
const taper_op taper_op_unbind = {
    .compose = unbind_compose, .samples = (const taper_sample[]){{"[3,2]"}, {"[2,3], 1"}, {"[]", .error = "1-dimensional"}, {0}}};
const taper_op taper_op_tensor_split = {
    .compose = tensor_split_compose, .samples = (const taper_sample[]){{"[5,2], 3"}, {"[2,2], 4, 1"}, {"[4], 0", .error = "larger than 0"}, {0}}};
const taper_op taper_op_tensor_split_indices = {
    .compose = tensor_split_compose, .samples = (const taper_sample[]){{"[5,2], (1,3)"}, {"[2,6], (4,2,-1), 1"}, {"[], (1)", .error = "1-dimensional"}, {0}}};
const taper_op taper_op_hsplit = {.compose = hsplit_compose, .samples = (const taper_sample[]){{"[4], 2"}, {"[2,4], 2"}, {"[2,3], 2", .error = "dimension 3 is not divisible"}, {0}}};
const taper_op taper_op_hsplit_indices = {.compose = hsplit_compose, .samples = (const taper_sample[]){{"[2,4], (1,3)"}, {"[], (1)", .error = "at least 1 dimension"}, {0}}};
const taper_op taper_op_vsplit = {.compose = vsplit_compose, .samples = (const taper_sample[]){{"[4,2], 2"}, {"[4], 2", .error = "at least 2 dimensions"}, {0}}};
const taper_op taper_op_vsplit_indices = {.compose = vsplit_compose, .samples = (const taper_sample[]){{"[4,2], (1)"}, {0}}};
const taper_op taper_op_dsplit = {.compose = dsplit_compose, .samples = (const taper_sample[]){{"[2,1,4], 2"}, {"[4,2], 2", .error = "at least 3 dimensions"}, {0}}};
const taper_op taper_op_dsplit_indices = {.compose = dsplit_compose, .samples = (const taper_sample[]){{"[2,1,4], (1,2)"}, {0}}};
