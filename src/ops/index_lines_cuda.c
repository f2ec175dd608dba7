/* Slices along one dim on the GPU: index_select, index_add, index_copy, index_fill, embedding's gradient. */
#include "ops/embedding.h"
#include "ops/index_cuda.h"

taper_status taper__index_select_cuda(taper_tensor *out, const taper_tensor *self, const taper_tensor *index, int dim, const char *op) {
    taper_move_args k = {.self = taper__data(self), .other = taper__data(out), .index = taper__data(index), .index_dtype = index->dtype, .size = 1};
    if (self->ndim) {
        k.size = self->shape[dim];
        k.along = self->strides[dim];
    }
    for (int d = 0; d < self->ndim; d++) {
        if (d == dim) taper__move_dim(&k, index->numel, 0, out->strides[d], index->ndim ? index->strides[0] : 0);
        else taper__move_dim(&k, self->shape[d], self->strides[d], out->strides[d], 0);
    }
    return taper__move_cuda(&k, (taper_dtype)self->dtype, false, self->device, op);
}

static taper_status lines_fill(taper_tensor *out, const taper_tensor *index, int dim, const taper_arg *value, const char *op) {
    taper_move_args k = {.self = taper__data(out), .index = taper__data(index), .index_dtype = index->dtype, .size = 1, .wrap = 1};
    double number;
    int64_t whole;
    k.number = taper__index_number(value, (taper_dtype)out->dtype, &number, &whole);
    if (out->ndim) {
        k.size = out->shape[dim];
        k.along = out->strides[dim];
    } else if (!index->numel) {
        return TAPER_OK;
    }
    for (int d = 0; d < out->ndim; d++) {
        if (d == dim) taper__move_dim(&k, index->numel, 0, 0, index->ndim ? index->strides[0] : 0);
        else taper__move_dim(&k, out->shape[d], out->strides[d], 0, 0);
    }
    return taper__move_cuda(&k, (taper_dtype)out->dtype, true, out->device, op);
}

taper_status taper__index_lines_cuda(taper_call *c, taper_lines_what what) {
    taper_tensor *out = c->out[0];
    const taper_tensor *index = c->args[2].t, *source = what == TAPER_LINES_FILL ? NULL : c->args[3].t;
    const char *op = c->row->name;
    int dim;
    TAPER_TRY(taper__wrap_dim(&dim, c->args[1].i, out->ndim, op));
    if (out != c->args[0].t) TAPER_TRY(taper__copy_data(out, c->args[0].t));
    if (!out->numel && !index->numel) return TAPER_OK;
    if (!source) return lines_fill(out, index, dim, &c->args[3], op);
    int64_t step = index->ndim ? index->strides[0] : 0;
    taper_positions_args p = {.n = index->numel, .ndim = 1, .shape = {index->numel}};
    taper_combine_args k = {.self = taper__data(out), .other = taper__data(source), .at_ndim = 1, .at_shape = {index->numel}, .skip = -1, .alpha = 1, .ialpha = 1,
                            .dtype = out->dtype, .include = 1, .what = what == TAPER_LINES_ADD ? TAPER_COMBINE_ADD : TAPER_COMBINE_SET};
    taper__positions_add(&p, index, &step, out->ndim ? out->shape[dim] : 1, out->ndim ? out->strides[dim] : 0);
    k.at_stride[0] = source->ndim ? source->strides[dim] : 0;
    for (int d = 0; d < out->ndim; d++) {
        if (d == dim) continue;
        k.row_shape[k.row_ndim] = out->shape[d];
        k.row_self[k.row_ndim] = out->strides[d];
        k.row_other[k.row_ndim++] = source->strides[d];
    }
    if (what == TAPER_LINES_ADD) {
        k.alpha = taper_arg_double(&c->args[4]);
        k.ialpha = c->args[4].kind == TAPER_ARG_FLOAT ? (int64_t)c->args[4].f : c->args[4].i;
        if (out->dtype == TAPER_BOOL) k.ialpha = k.ialpha != 0;
    }
    return taper__combine_cuda(&k, &p, taper__index_extent(out->ndim, out->shape, out->strides), out->device, op);
}

taper_status taper__embedding_cuda(taper_call *c) {
    const taper_tensor *w = c->args[0].t, *index = c->args[1].t;
    taper_tensor *out = c->out[0];
    taper_move_args k = {.self = taper__data(w), .other = taper__data(out), .index = taper__data(index), .index_dtype = index->dtype, .size = w->shape[0], .along = w->strides[0]};
    if (!out->numel) return TAPER_OK;
    if (!k.size) return TAPER_FAIL(TAPER_INDEX, "index out of range in self (embedding of %lld indices in a table without rows)", (long long)index->numel);
    for (int d = 0; d < index->ndim; d++) taper__move_dim(&k, index->shape[d], 0, out->strides[d], index->strides[d]);
    taper__move_dim(&k, w->shape[1], w->strides[1], 1, 0);
    return taper__move_cuda(&k, (taper_dtype)w->dtype, false, w->device, "embedding");
}

taper_status taper__embedding_dense_backward_cuda(taper_call *c) {
    const taper_tensor *grad = c->args[0].t, *index = c->args[1].t;
    taper_tensor *out = c->out[0];
    int64_t width = out->shape[1], padding = c->args[3].i;
    if (!out->numel) return TAPER_OK;
    TAPER_TRY(taper__memory_set(taper__data(out), 0, (size_t)out->numel * taper_dtype_size((taper_dtype)out->dtype), out->device));
    taper_positions_args p = {.n = index->numel, .ndim = 1, .shape = {index->numel}};
    taper_combine_args k = {.self = taper__data(out), .other = taper__data(grad), .at_ndim = 1, .at_shape = {index->numel}, .at_stride = {width}, .row_ndim = 1,
                            .row_shape = {width}, .row_self = {1}, .row_other = {1}, .skip = padding < 0 ? -1 : padding * width, .alpha = 1, .ialpha = 1,
                            .dtype = out->dtype, .mean = c->args[4].i != 0, .what = TAPER_COMBINE_ADD};
    taper__positions_add(&p, index, &(int64_t){1}, out->shape[0], width);
    return taper__combine_cuda(&k, &p, out->numel, out->device, "embedding_dense_backward");
}
