/* repeat, tile, repeat_interleave. */
#include "ops/index_cuda.h"

/* Each repeated dim is seen as (times, size), of which the first is expanded; one copy at the end. */
static taper_tensor *repeat_make(taper_scope *s, taper_tensor *t, const int64_t *times, int n) {
    int64_t lead[TAPER_MAX_DIMS], split[2 * TAPER_MAX_DIMS], wide[2 * TAPER_MAX_DIMS], shape[TAPER_MAX_DIMS];
    int k = 0;
    for (int d = 0; d < n; d++) lead[d] = d < n - t->ndim ? 1 : t->shape[d - (n - t->ndim)];
    for (int d = 0; d < n; d++) {
        if (__builtin_mul_overflow(lead[d], times[d], &shape[d])) {
            s->status = TAPER_FAIL(TAPER_RUNTIME, "repeat: %lld times dimension %d of %s is too large", (long long)times[d], d, TAPER_SHAPE(t));
            return NULL;
        }
        if (times[d] != 1) {
            split[k] = 1;
            wide[k++] = times[d];
        }
        split[k] = wide[k] = lead[d];
        k++;
    }
    if (k <= TAPER_MAX_DIMS) {
        taper_tensor *r = tx_expand(s, tx_reshape(s, t, split, k), wide, k);
        r = tx_reshape(s, r, shape, n);
        return r && r->storage == t->storage ? tx_clone(s, r) : r;
    }
    /* Too many dims for one view: dim by dim. */
    t = tx_reshape(s, t, lead, n);
    for (int d = 0; d < n && t; d++) {
        int64_t three[3] = {1, 1, 1}, wider[3];
        if (times[d] == 1) continue;
        for (int e = 0; e < n; e++) three[e < d ? 0 : 2] *= t->shape[e];
        memcpy(wider, three, sizeof three);
        wider[1] = times[d];
        memcpy(lead, t->shape, sizeof lead);
        lead[d] *= times[d];
        t = tx_reshape(s, tx_expand(s, tx_reshape(s, t, three, 3), wider, 3), lead, n);
    }
    return t;
}

static taper_status repeat_compose(taper_call *c, taper_scope *s) {
    taper_tensor *self = c->args[0].t;
    const taper_arg *r = &c->args[1];
    if (r->count < self->ndim)
        return TAPER_FAIL(TAPER_RUNTIME, "Number of dimensions of repeat dims can not be smaller than number of dimensions of tensor: %s for %s",
                          taper__shape_text(r->count, r->is).s, TAPER_SHAPE(self));
    if (r->count > TAPER_MAX_DIMS) return TAPER_FAIL(TAPER_VALUE, "repeat: at most %d dims, got %d", TAPER_MAX_DIMS, r->count);
    for (int d = 0; d < r->count; d++)
        if (r->is[d] < 0) return TAPER_FAIL(TAPER_RUNTIME, "Trying to create tensor with negative dimension: repeats %s", taper__shape_text(r->count, r->is).s);
    c->nout = 1;
    c->out[0] = taper_scope_keep(s, repeat_make(s, self, r->is, r->count));
    return s->status;
}
static taper_status tile_compose(taper_call *c, taper_scope *s) {
    taper_tensor *self = c->args[0].t;
    const taper_arg *r = &c->args[1];
    int64_t times[TAPER_MAX_DIMS];
    int n = r->count > self->ndim ? r->count : self->ndim;
    if (n > TAPER_MAX_DIMS) return TAPER_FAIL(TAPER_VALUE, "tile: at most %d dims, got %d", TAPER_MAX_DIMS, n);
    for (int d = 0; d < n; d++) times[d] = d < n - r->count ? 1 : r->is[d - (n - r->count)];
    c->nout = 1;
    c->out[0] = taper_scope_keep(s, tx_repeat(s, self, times, n));
    return s->status;
}
const taper_op taper_op_repeat = {
    .compose = repeat_compose,
    .samples = (const taper_sample[]){{"[2,3], (2,1)"}, {"[3], (2,1,2)"}, {"[], (3)"}, {"[2,3], (0,1)"}, {"[2,1,2], (2,2,2)"}, {"[2,1,2,1,2], (2,2,2,2,2)", .tolerance = 1e-4},
                                      {"[2,3], (2)", .error = "can not be smaller than number of dimensions"}, {0}}};
const taper_op taper_op_tile = {.compose = tile_compose, .samples = (const taper_sample[]){{"[2,3], (2)"}, {"[3], (2,2)"}, {0}}};

/* ---- repeat_interleave ---- */

static taper_status repeat_interleave_compose(taper_call *c, taper_scope *s) {
    taper_tensor *self = c->args[0].t;
    int64_t r = c->args[1].i, all = self->numel, wide[TAPER_MAX_DIMS + 1];
    int dim = 0;
    if (r < 0) return TAPER_FAIL(TAPER_RUNTIME, "repeats can not be negative, got %lld", (long long)r);
    if (c->args[2].kind == TAPER_ARG_INT) TAPER_TRY(taper__wrap_dim(&dim, c->args[2].i, self->ndim, "repeat_interleave"));
    if (c->args[2].kind != TAPER_ARG_INT || !self->ndim) self = tx_reshape(s, self, &all, 1);
    if (!self) return s->status;
    int n = self->ndim;
    if (n == TAPER_MAX_DIMS) return TAPER_FAIL(TAPER_VALUE, "repeat_interleave: at most %d dims, got %s", TAPER_MAX_DIMS - 1, TAPER_SHAPE(self));
    for (int d = 0; d <= n; d++) wide[d] = d <= dim ? self->shape[d] : d == dim + 1 ? r : self->shape[d - 1];
    taper_tensor *t = tx_expand(s, tx_unsqueeze(s, self, dim + 1), wide, n + 1);
    if (!t) return s->status;
    wide[dim] *= r;
    for (int d = dim + 1; d < n; d++) wide[d] = self->shape[d];
    t = tx_reshape(s, t, wide, n);
    if (t && t->storage && t->storage == self->storage) t = tx_clone(s, t);
    c->nout = 1;
    c->out[0] = taper_scope_keep(s, t);
    return s->status;
}

/* The same on a GPU: the running sums stay there; the host waits for the least and the total, which gives the shape. */
static taper_tensor *repeat_indices_gpu(taper_scope *s, taper_tensor *repeats, const taper_arg *output_size) {
    int64_t least = 0, total = 0, last = repeats->numel - 1, n = repeats->numel;
    taper_tensor *ends = tx_contiguous(s, tx_cumsum(s, repeats, 0, TAPER_I64)), *t = NULL;
    if (ends && n) {
        taper_tensor *low = tx_min(s, repeats), *top = tx_select(s, ends, 0, last);
        if (s->status == TAPER_OK) s->status = taper_tensor_item_int(low, &least);
        if (s->status == TAPER_OK) s->status = taper_tensor_item_int(top, &total);
    }
    if (s->status == TAPER_OK && least < 0) s->status = TAPER_FAIL(TAPER_RUNTIME, "repeats can not be negative, got %lld", (long long)least);
    if (s->status == TAPER_OK && output_size->kind == TAPER_ARG_INT && output_size->i != total)
        s->status = TAPER_FAIL(TAPER_RUNTIME, "allocated size does not match required size: output_size %lld, the repeats sum to %lld", (long long)output_size->i, (long long)total);
    if (s->status == TAPER_OK) s->status = taper__tensor_empty(&t, TAPER_I64, repeats->device, 1, &total, "repeat_interleave");
    if (s->status != TAPER_OK) return NULL;
    taper_scope_own(s, t);
    s->status = taper__repeat_indices_cuda(t, ends);
    return t;
}

/* The numbers 0, 1, ... each repeats[i] times, on the device of repeats. */
static taper_tensor *repeat_indices(taper_scope *s, taper_tensor *repeats, const taper_arg *output_size) {
    taper_device cpu = taper_cpu(), home = repeats->device;
    if (home.type == TAPER_CUDA) return repeat_indices_gpu(s, repeats, output_size);
    taper_tensor *host = tx_contiguous(s, tx_to(s, repeats, &cpu, TAPER_I64, false, false)), *t = NULL;
    if (!host) return NULL;
    const int64_t *p = taper__data(host);
    int64_t total = 0;
    for (int64_t i = 0; i < host->numel; i++) {
        if (p[i] < 0) {
            s->status = TAPER_FAIL(TAPER_RUNTIME, "repeats can not be negative, got %lld", (long long)p[i]);
            return NULL;
        }
        if (__builtin_add_overflow(total, p[i], &total)) {
            s->status = TAPER_FAIL(TAPER_RUNTIME, "repeat_interleave: the repeats of %s sum to more than 64 bits hold", TAPER_TEXT(repeats));
            return NULL;
        }
    }
    if (output_size->kind == TAPER_ARG_INT && output_size->i != total) {
        s->status = TAPER_FAIL(TAPER_RUNTIME, "allocated size does not match required size: output_size %lld, the repeats sum to %lld", (long long)output_size->i, (long long)total);
        return NULL;
    }
    s->status = taper__tensor_empty(&t, TAPER_I64, cpu, 1, &total, "repeat_interleave");
    if (s->status != TAPER_OK) return NULL;
    int64_t *o = taper__data(t);
    for (int64_t i = 0; i < host->numel; i++)
        for (int64_t k = 0; k < p[i]; k++) *o++ = i;
    return tx_to(s, taper_scope_own(s, t), &home, TAPER_DTYPE_NONE, false, false);
}

static taper_status repeat_check(const taper_tensor *repeats) {
    if (repeats->ndim > 1) return TAPER_FAIL(TAPER_RUNTIME, "repeat_interleave only accept 1D vector as repeat, got %s", TAPER_TEXT(repeats));
    if (repeats->dtype != TAPER_I64 && repeats->dtype != TAPER_I32) return TAPER_FAIL(TAPER_RUNTIME, "repeats has to be Long or Int tensor, got %s", TAPER_TEXT(repeats));
    return TAPER_OK;
}
static taper_status repeat_interleave_each_compose(taper_call *c, taper_scope *s) {
    taper_tensor *self = c->args[0].t, *repeats = c->args[1].t;
    int64_t all = self->numel;
    int dim = 0;
    TAPER_TRY(repeat_check(repeats));
    if (c->args[2].kind == TAPER_ARG_INT) TAPER_TRY(taper__wrap_dim(&dim, c->args[2].i, self->ndim, "repeat_interleave"));
    if (c->args[2].kind != TAPER_ARG_INT || !self->ndim) self = tx_reshape(s, self, &all, 1);
    if (!self) return s->status;
    int64_t n = self->shape[dim];
    if (repeats->numel == 1)
        repeats = tx_expand(s, tx_reshape(s, repeats, &(int64_t){1}, 1), &n, 1);
    else if (repeats->numel != n)
        return TAPER_FAIL(TAPER_RUNTIME, "repeats must have the same size as input along dim, but got repeats.size(0) = %lld and input.size(%d) = %lld", (long long)repeats->numel, dim,
                          (long long)n);
    taper_tensor *index = s->status == TAPER_OK ? repeat_indices(s, repeats, &c->args[3]) : NULL;
    c->nout = 1;
    c->out[0] = taper_scope_keep(s, tx_index_select(s, self, dim, index));
    return s->status;
}
static taper_status repeat_interleave_count_compose(taper_call *c, taper_scope *s) {
    TAPER_TRY(repeat_check(c->args[0].t));
    c->nout = 1;
    c->out[0] = taper_scope_keep(s, repeat_indices(s, c->args[0].t, &c->args[1]));
    return s->status;
}
const taper_op taper_op_repeat_interleave = {
    .compose = repeat_interleave_compose,
    .samples = (const taper_sample[]){{"[2,3], 2"}, {"[2,3], 3, 1"}, {"[2,3], 2, 0"}, {"[2,3], 1, 0"}, {"[2], -1", .error = "repeats can not be negative"}, {0}}};
const taper_op taper_op_repeat_interleave_each = {
    .compose = repeat_interleave_each_compose,
    .samples = (const taper_sample[]){{"[3,2], [3]:i64<4, 0"}, {"[3], [3]:i64<3"}, {"[2,2], [1]:i64=(2), 1"}, {"[200]:nograd, [200]:i32<9, 0"}, {"[3], [2]:i64<3", .error = "repeats.size(0) = 2 and input.size(0) = 3"}, {0}}};
const taper_op taper_op_repeat_interleave_count = {
    .compose = repeat_interleave_count_compose, .samples = (const taper_sample[]){{"[4]:i64<4"}, {"[2,2]:i64<3", .error = "only accept 1D"}, {"[2]:f32", .error = "has to be Long or Int"}, {0}}};
