/* bincount and histc: scatter_add of ones, so the same on every device and in every order. */
#include "ops/search.h"

static taper_status bincount_compose(taper_call *c, taper_scope *s) {
    taper_tensor *self = c->args[0].t, *weights = TAPER_ARG_T(c, 1);
    int64_t n = 0, low = 0, minlength = c->args[2].i;
    TAPER_TRY(search_no_data(c, self));
    if (self->ndim != 1 || taper_dtype_is_float((taper_dtype)self->dtype) || self->dtype == TAPER_BOOL)
        return TAPER_FAIL(TAPER_RUNTIME, "bincount only supports 1-d non-negative integral inputs, got %s", TAPER_TEXT(self));
    if (minlength < 0) return TAPER_FAIL(TAPER_RUNTIME, "minlength should be >= 0, got %lld", (long long)minlength);
    if (weights && (weights->ndim != 1 || weights->numel != self->numel))
        return TAPER_FAIL(TAPER_RUNTIME, "weights should be 1-d and have the same length as input: %s and %s", TAPER_SHAPE(weights), TAPER_SHAPE(self));
    if (self->numel) {
        taper_tensor *least = tx_min(s, self), *most = tx_max(s, self);
        TAPER_TRY(s->status);
        TAPER_TRY(taper_tensor_item_int(least, &low));
        TAPER_TRY(taper_tensor_item_int(most, &n));
        if (low < 0) return TAPER_FAIL(TAPER_RUNTIME, "bincount only supports 1-d non-negative integral inputs, got %lld", (long long)low);
        if (n == INT64_MAX) return TAPER_FAIL(TAPER_RUNTIME, "bincount: %lld is too large to count to", (long long)n);
        n++;
    }
    if (n < minlength) n = minlength;
    taper_dtype dtype = !weights ? TAPER_I64 : weights->dtype == TAPER_F32 ? TAPER_F32 : TAPER_F64;
    taper_tensor *ones = weights ? tx_to(s, search_detach(s, weights), NULL, dtype, false, false) : tx_ones(s, self->shape, 1, TAPER_I64, &self->device);
    taper_tensor *zeros = tx_zeros(s, &n, 1, dtype, &self->device);
    c->out[0] = taper_scope_keep(s, tx_scatter_add(s, zeros, 0, tx_to(s, self, NULL, TAPER_I64, false, false), ones));
    c->nout = 1;
    return s->status;
}
const taper_op taper_op_bincount = {
    .compose = bincount_compose,
    .samples = (const taper_sample[]){{"[20]:i64<5"}, {"[6]:u8<3, minlength=7"}, {"[9]:i32<4, [9]"}, {"[9]:i64<4, [9]:i64"}, {"[0]:i64, minlength=3"}, {"[0]:i64"},
                                      {"[3]:i64=(1,-1,0)", .error = "non-negative"}, {"[2,2]:i64<3", .error = "only supports 1-d"}, {"[3]:i64<3, [2]", .error = "weights should be 1-d"}, {0}},
};

static taper_status histc_range(taper_call *c, taper_scope *s, taper_tensor *x, double *low, double *high) {
    *low = taper_arg_double(&c->args[2]);
    *high = taper_arg_double(&c->args[3]);
    if (*low == *high && x->numel) {
        taper_tensor *least = tx_min(s, x), *most = tx_max(s, x);
        TAPER_TRY(s->status);
        TAPER_TRY(taper_tensor_item_double(least, low));
        TAPER_TRY(taper_tensor_item_double(most, high));
    }
    if (*low == *high) {
        *low -= 1;
        *high += 1;
    }
    if (!(*low - *low == 0) || !(*high - *high == 0)) return TAPER_FAIL(TAPER_RUNTIME, "torch.histc: range of [%g, %g] is not finite", *low, *high);
    return *low > *high ? TAPER_FAIL(TAPER_RUNTIME, "torch.histc: max must be larger than min, got [%g, %g]", *low, *high) : TAPER_OK;
}
static taper_status histc_compose(taper_call *c, taper_scope *s) {
    taper_tensor *x = search_flat(s, search_detach(s, c->args[0].t));
    taper_dtype dtype = (taper_dtype)c->args[0].t->dtype;
    int64_t bins = c->args[1].i;
    double low, high;
    if (!taper_dtype_is_float(dtype)) return TAPER_FAIL(TAPER_RUNTIME, "\"histogram_cpu\" not implemented for '%s'", taper_dtype_typename(dtype));
    if (bins <= 0) return TAPER_FAIL(TAPER_RUNTIME, "torch.histc(): bins must be > 0, but got %lld", (long long)bins);
    TAPER_TRY(search_no_data(c, c->args[0].t));
    TAPER_TRY(s->status);
    TAPER_TRY(histc_range(c, s, x, &low, &high));
    const taper_scalar first = taper_int(0), last = taper_int(bins - 1);
    taper_tensor *a = taper__number(s, low), *b = taper__number(s, high);
    taper_tensor *inside = tx_logical_and(s, tx_ge(s, x, a), tx_le(s, x, b));
    taper_tensor *at = vx_scale(s, vx_div(s, vx_sub(s, vx_keep(s, inside, x), a), taper__number(s, high - low)), (double)bins);
    at = tx_clamp(s, tx_to(s, at, NULL, TAPER_I64, false, false), &first, &last); /* the last edge belongs to the last part */
    taper_tensor *sum = tx_scatter_add(s, tx_zeros(s, &bins, 1, TAPER_F64, &c->args[0].t->device), 0, at, tx_to(s, inside, NULL, TAPER_F64, false, false));
    c->out[0] = taper_scope_keep(s, tx_to(s, sum, NULL, dtype, false, false));
    c->nout = 1;
    return s->status;
}
const taper_op taper_op_histc = {
    .compose = histc_compose,
    .samples = (const taper_sample[]){{"[30], 4, -1, 1"}, {"[5]:f64:nograd, 3"}, {"[0], 2"}, {"[4]:f32, 5, 2, 2"}, {"[3]:i64", .error = "not implemented for 'Long'"},
                                      {"[3], 0", .error = "bins must be > 0"}, {"[3], 4, 2, 1", .error = "max must be larger than min"}, {0}},
};
