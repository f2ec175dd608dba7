/* gather and the scatter family on the GPU. */
#include "ops/index_cuda.h"

taper_status taper__gather_cuda(taper_call *c) {
    const taper_tensor *self = c->args[0].t, *index = c->args[2].t;
    taper_tensor *out = c->out[0];
    taper_move_args k = {.self = taper__data(self), .other = taper__data(out), .index = taper__data(index), .index_dtype = index->dtype, .size = 1};
    int dim;
    TAPER_TRY(taper__wrap_dim(&dim, c->args[1].i, self->ndim, "gather"));
    if (self->ndim) {
        k.size = self->shape[dim];
        k.along = self->strides[dim];
    }
    if (!index->numel) return TAPER_OK;
    for (int d = 0; d < index->ndim; d++) taper__move_dim(&k, index->shape[d], d == dim || !self->ndim ? 0 : self->strides[d], out->strides[d], index->strides[d]);
    return taper__move_cuda(&k, (taper_dtype)self->dtype, false, self->device, "gather");
}

/* The same number everywhere: the order does not matter. */
static taper_status scatter_number(taper_tensor *out, const taper_tensor *index, int dim, const taper_arg *value, const char *op) {
    taper_move_args k = {.self = taper__data(out), .index = taper__data(index), .index_dtype = index->dtype, .size = 1};
    double number;
    int64_t whole;
    k.number = taper__index_number(value, (taper_dtype)out->dtype, &number, &whole);
    if (out->ndim) {
        k.size = out->shape[dim];
        k.along = out->strides[dim];
    }
    for (int d = 0; d < index->ndim; d++) taper__move_dim(&k, index->shape[d], d == dim || !out->ndim ? 0 : out->strides[d], 0, index->strides[d]);
    return taper__move_cuda(&k, (taper_dtype)out->dtype, true, out->device, op);
}

taper_status taper__scatter_cuda(taper_call *c, taper_combine_what what, bool include, bool mean) {
    taper_tensor *out = c->out[0];
    const taper_tensor *index = c->args[2].t, *src = c->args[3].kind == TAPER_ARG_TENSOR ? c->args[3].t : NULL;
    const char *op = c->row->name;
    int dim;
    TAPER_TRY(taper__wrap_dim(&dim, c->args[1].i, out->ndim, op));
    if (out != c->args[0].t) TAPER_TRY(taper__copy_data(out, c->args[0].t));
    if (!index->numel) return TAPER_OK;
    if (!src && what == TAPER_COMBINE_SET) return scatter_number(out, index, dim, &c->args[3], op);
    taper_positions_args p = {.n = index->numel, .ndim = index->ndim};
    taper_combine_args k = {.self = taper__data(out), .other = src ? taper__data(src) : NULL, .at_ndim = index->ndim, .skip = -1, .alpha = 1, .ialpha = 1, .dtype = out->dtype,
                            .what = what, .include = include, .mean = mean};
    if (!src) taper__index_number(&c->args[3], (taper_dtype)out->dtype, &k.number, &k.inumber);
    for (int d = 0; d < index->ndim; d++) {
        p.shape[d] = k.at_shape[d] = index->shape[d];
        p.base[d] = d == dim || !out->ndim ? 0 : out->strides[d];
        k.at_stride[d] = src && src->ndim ? src->strides[d] : 0;
    }
    taper__positions_add(&p, index, NULL, out->ndim ? out->shape[dim] : 1, out->ndim ? out->strides[dim] : 0);
    return taper__combine_cuda(&k, &p, taper__index_extent(out->ndim, out->shape, out->strides), out->device, op);
}
