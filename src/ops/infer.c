/* Helpers of `infer`: results, dims, broadcasting, promotion. */
#include <stdio.h>

#include "ops/op.h"

taper_status taper__out_strided(taper_call *c, int i, taper_dtype dtype, int ndim, const int64_t *shape,
                                const int64_t *strides) {
    int64_t numel;
    TAPER_TRY(taper__shape_numel(&numel, ndim, shape, c->row->name));
    TAPER_TRY(taper__tensor_shell(&c->out[i], dtype, c->device));
    taper__tensor_set_layout(c->out[i], ndim, shape, strides);
    if (i >= c->nout) c->nout = i + 1;
    return TAPER_OK;
}

taper_status taper__out(taper_call *c, int i, taper_dtype dtype, int ndim, const int64_t *shape) {
    return taper__out_strided(c, i, dtype, ndim, shape, NULL);
}

/* A stride of 0 says nothing about the order. */
void taper__dense_strides(const taper_tensor *t, int64_t *strides) {
    int order[TAPER_MAX_DIMS], n = t->ndim;
    int64_t run = 1;
    for (int i = 0; i < n; i++) order[i] = n - 1 - i;
    for (int i = 1; i < n; i++)
        for (int at = i, low = i - 1; low >= 0; low--) {
            int a = order[low], b = order[at];
            int64_t sa = t->strides[a], sb = t->strides[b];
            if (sa == 0 || sb == 0) continue;
            if (sa < sb) break;
            if (sa == sb && t->shape[a] <= t->shape[b]) continue;
            order[low] = b;
            order[at] = a;
            at = low;
        }
    for (int i = 0; i < n; i++) {
        strides[order[i]] = run;
        if (t->shape[order[i]] > 1) run *= t->shape[order[i]];
    }
}

taper_status taper__out_like(taper_call *c, int i, taper_dtype dtype, const taper_tensor *t) {
    if (t->contiguous) return taper__out_strided(c, i, dtype, t->ndim, t->shape, NULL);
    if (taper__is_dense(t->ndim, t->shape, t->strides)) return taper__out_strided(c, i, dtype, t->ndim, t->shape, t->strides);
    int64_t strides[TAPER_MAX_DIMS];
    taper__dense_strides(t, strides);
    return taper__out_strided(c, i, dtype, t->ndim, t->shape, strides);
}

taper_status taper__out_view(taper_call *c, int i, taper_tensor *t, int ndim, const int64_t *shape, const int64_t *strides,
                             int64_t offset) {
    TAPER_TRY(taper__tensor_view(&c->out[i], t, ndim, shape, strides, offset));
    c->views |= (uint8_t)(1u << i);
    if (i >= c->nout) c->nout = i + 1;
    return TAPER_OK;
}

taper_status taper__out_same(taper_call *c, int i, taper_tensor *t) {
    c->out[i] = taper_tensor_retain(t);
    c->same |= (uint8_t)(1u << i);
    if (i >= c->nout) c->nout = i + 1;
    return TAPER_OK;
}

taper_status taper__out_list(taper_call *c, int count) {
    c->list = taper__alloc_zero(sizeof *c->list * (size_t)(count + 1));
    if (!c->list) return TAPER_FAIL(TAPER_MEMORY, "%s: no memory for %d results", c->row->name, count);
    c->list_count = count;
    return TAPER_OK;
}

taper_status taper__wrap_dim(int *out, int64_t dim, int ndim, const char *op) {
    int n = ndim ? ndim : 1;
    if (dim < -n || dim >= n)
        return TAPER_FAIL(TAPER_INDEX, "%s: Dimension out of range (expected to be in range of [%d, %d], but got %lld)", op, -n,
                          n - 1, (long long)dim);
    *out = (int)(dim < 0 ? dim + n : dim);
    return TAPER_OK;
}

taper_status taper__dim_mask(uint32_t *mask, const taper_arg *dims, int ndim, const char *op) {
    *mask = 0;
    if (dims->kind == TAPER_ARG_INT) {
        int d;
        TAPER_TRY(taper__wrap_dim(&d, dims->i, ndim, op));
        *mask = 1u << d;
        return TAPER_OK;
    }
    if (dims->kind != TAPER_ARG_INTS || dims->count == 0) {
        *mask = (1u << ndim) - 1;
        return TAPER_OK;
    }
    for (int i = 0; i < dims->count; i++) {
        int d;
        TAPER_TRY(taper__wrap_dim(&d, dims->is[i], ndim, op));
        if (*mask >> d & 1) return TAPER_FAIL(TAPER_RUNTIME, "%s: dim %d appears multiple times in the list of dims", op, d);
        *mask |= 1u << d;
    }
    return TAPER_OK;
}

taper_status taper__broadcast(int *ndim, int64_t *shape, taper_tensor *const *ts, int count, const char *op) {
    int n = 0;
    for (int k = 0; k < count; k++)
        if (ts[k] && ts[k]->ndim > n) n = ts[k]->ndim;
    for (int d = 0; d < n; d++) shape[d] = 1;
    for (int k = 0; k < count; k++) {
        const taper_tensor *t = ts[k];
        if (!t) continue;
        int lead = n - t->ndim;
        for (int d = 0; d < t->ndim; d++) {
            int64_t have = shape[lead + d], want = t->shape[d];
            if (want == have || want == 1) continue;
            if (have != 1)
                return TAPER_FAIL(TAPER_RUNTIME,
                                  "%s: The size of tensor a (%lld) must match the size of tensor b (%lld) at non-singleton "
                                  "dimension %d (operand %d has shape %s)",
                                  op, (long long)have, (long long)want, lead + d, k, TAPER_SHAPE(t));
            shape[lead + d] = want;
        }
    }
    *ndim = n;
    return TAPER_OK;
}

/* A higher category (dimensioned over 0-dim over number) decides the dtype unless a lower one is of a higher kind. */
static int infer_combine(int high, int low) {
    if (high < 0) return low;
    if (low < 0) return high;
    if (taper_dtype_kind((taper_dtype)high) >= taper_dtype_kind((taper_dtype)low)) return high;
    return (int)taper_dtype_promote((taper_dtype)high, (taper_dtype)low);
}

taper_dtype taper__result_dtype(taper_tensor *const *ts, int count, const taper_arg *numbers, int nnumbers) {
    int category[3] = {-1, -1, -1}; /* dimensioned, 0-dim, number */
    for (int k = 0; k < count; k++) {
        const taper_tensor *t = ts[k];
        if (!t) continue;
        int c = t->number ? 2 : t->ndim ? 0 : 1;
        int dtype = t->number && taper_dtype_is_float((taper_dtype)t->dtype) ? (int)taper_default_dtype() : t->dtype;
        category[c] = category[c] < 0 ? dtype : (int)taper_dtype_promote((taper_dtype)category[c], (taper_dtype)dtype);
    }
    for (int k = 0; k < nnumbers; k++) {
        int kind = numbers[k].kind;
        int dtype = kind == TAPER_ARG_FLOAT ? (int)taper_default_dtype() : kind == TAPER_ARG_BOOL ? TAPER_BOOL : TAPER_I64;
        if (kind != TAPER_ARG_FLOAT && kind != TAPER_ARG_BOOL && kind != TAPER_ARG_INT) continue;
        category[2] = category[2] < 0 ? dtype : (int)taper_dtype_promote((taper_dtype)category[2], (taper_dtype)dtype);
    }
    int r = infer_combine(infer_combine(category[0], category[1]), category[2]);
    return r < 0 ? taper_default_dtype() : (taper_dtype)r;
}

taper_status taper__need_float(const taper_tensor *t, const char *op) {
    if (taper_dtype_is_float((taper_dtype)t->dtype)) return TAPER_OK;
    return TAPER_FAIL(TAPER_RUNTIME, "%s: expected a floating point tensor, got %s; convert it with .float()", op, TAPER_TEXT(t));
}

taper_status taper__need_same_device(const taper_call *c) {
    for (int k = 0; k < c->nargs; k++) {
        const taper_arg *a = &c->args[k];
        int n = a->kind == TAPER_ARG_TENSOR ? 1 : a->kind == TAPER_ARG_TENSORS ? a->count : 0;
        for (int j = 0; j < n; j++) {
            const taper_tensor *t = a->kind == TAPER_ARG_TENSOR ? a->t : a->ts[j];
            if (!t || taper_device_equal(t->device, c->device)) continue;
            if (t->ndim == 0 && t->device.type == TAPER_CPU && c->row->op->pointwise) continue; /* a number in effect */
            return TAPER_FAIL(TAPER_RUNTIME,
                              "%s: Expected all tensors to be on the same device, but found at least two devices, %s and %s "
                              "(argument %d is %s)! Move one with .to().",
                              c->row->name, taper__device_text(c->device).s, taper__device_text(t->device).s, k + 1,
                              TAPER_TEXT(t));
        }
    }
    return TAPER_OK;
}
