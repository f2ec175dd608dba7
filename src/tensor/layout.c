/* Arithmetic on shapes and strides, and their text. */
#include <inttypes.h>
#include <stdio.h>

#include "tensor/tensor.h"

void taper__contiguous_strides(int ndim, const int64_t *shape, int64_t *strides) {
    int64_t n = 1;
    for (int d = ndim - 1; d >= 0; d--) {
        strides[d] = n;
        if (shape[d] > 1) n *= shape[d];
    }
}

void taper__channels_last_strides(int ndim, const int64_t *shape, int64_t *strides) {
    strides[1] = 1;
    int64_t n = shape[1] > 1 ? shape[1] : 1;
    for (int d = ndim - 1; d >= 2; d--) {
        strides[d] = n;
        if (shape[d] > 1) n *= shape[d];
    }
    strides[0] = n;
}

bool taper__is_channels_last(int ndim, const int64_t *shape, const int64_t *strides) {
    if (ndim != 4 && ndim != 5) return false;
    int64_t want = 1;
    int order[5] = {1, ndim - 1, ndim - 2, ndim == 5 ? 2 : 0, 0};
    for (int k = 0; k < ndim; k++) {
        int d = order[k];
        if (shape[d] == 0) return false;
        if (shape[d] != 1 && strides[d] != want) return false;
        want *= shape[d];
    }
    return true;
}

bool taper__is_dense(int ndim, const int64_t *shape, const int64_t *strides) {
    int64_t want = 1;
    uint32_t left = (1u << ndim) - 1;
    for (int d = 0; d < ndim; d++)
        if (shape[d] == 1) left &= ~(1u << d);
        else if (shape[d] == 0) return true;
    while (left) {
        int found = -1;
        for (int d = 0; d < ndim; d++)
            if ((left >> d & 1) && strides[d] == want) found = d;
        if (found < 0) return false;
        want *= shape[found];
        left &= ~(1u << found);
    }
    return true;
}

bool taper__has_internal_overlap(const taper_tensor *t) {
    if (t->contiguous) return false;
    for (int d = 0; d < t->ndim; d++)
        if (t->shape[d] > 1 && t->strides[d] == 0) return true;
    return false; /* like torch, odd as_strided layouts are not searched */
}

static void overlap_span(const taper_tensor *t, const char **lo, const char **hi) {
    int64_t a = 0, b = 0;
    for (int d = 0; d < t->ndim; d++) {
        int64_t reach = (t->shape[d] - 1) * t->strides[d];
        if (reach < 0)
            a += reach;
        else
            b += reach;
    }
    int64_t e = (int64_t)taper_dtype_size((taper_dtype)t->dtype);
    *lo = (const char *)taper__data(t) + a * e;
    *hi = (const char *)taper__data(t) + (b + 1) * e;
}

taper_overlap taper__overlap(const taper_tensor *a, const taper_tensor *b) {
    if (a == b) return TAPER_OVERLAP_FULL;
    if (!a->storage || a->storage != b->storage || !a->numel || !b->numel) return TAPER_OVERLAP_NO;
    const char *alo, *ahi, *blo, *bhi;
    overlap_span(a, &alo, &ahi);
    overlap_span(b, &blo, &bhi);
    if (ahi <= blo || bhi <= alo) return TAPER_OVERLAP_NO;
    if (alo == blo && ahi == bhi && a->ndim == b->ndim && a->dtype == b->dtype) {
        bool same = true;
        for (int d = 0; d < a->ndim; d++)
            if (a->shape[d] != b->shape[d] || (a->shape[d] > 1 && a->strides[d] != b->strides[d])) same = false;
        if (same) return TAPER_OVERLAP_FULL;
    }
    bool dense = taper__is_dense(a->ndim, a->shape, a->strides) && taper__is_dense(b->ndim, b->shape, b->strides);
    return dense ? TAPER_OVERLAP_PARTIAL : TAPER_OVERLAP_MAYBE;
}

taper_status taper__shape_numel(int64_t *out, int ndim, const int64_t *shape, const char *op) {
    if (ndim < 0 || ndim > TAPER_MAX_DIMS)
        return TAPER_FAIL(TAPER_VALUE, "%s: %d dimensions, need at most %d", op, ndim, TAPER_MAX_DIMS);
    int64_t n = 1;
    for (int d = 0; d < ndim; d++)
        if (shape[d] < 0)
            return TAPER_FAIL(TAPER_RUNTIME, "%s: Trying to create tensor with negative dimension %" PRId64 ": %s", op, shape[d],
                              taper__shape_text(ndim, shape).s);
    for (int d = 0; d < ndim; d++)
        if (__builtin_mul_overflow(n, shape[d], &n) || n > INT64_MAX / 16)
            return TAPER_FAIL(TAPER_RUNTIME, "%s: Storage size calculation overflowed with sizes=%s", op, taper__shape_text(ndim, shape).s);
    *out = n;
    return TAPER_OK;
}

taper_text taper__shape_text(int ndim, const int64_t *shape) {
    taper_text text;
    size_t at = 0;
    text.s[at++] = '[';
    for (int d = 0; d < ndim && at < sizeof text.s - 32; d++)
        at += (size_t)snprintf(text.s + at, sizeof text.s - at, d ? ", %" PRId64 : "%" PRId64, shape[d]);
    text.s[at++] = ']';
    text.s[at] = 0;
    return text;
}

taper_text taper__tensor_text(const taper_tensor *t) {
    taper_text text;
    if (!t) {
        snprintf(text.s, sizeof text.s, "None");
        return text;
    }
    snprintf(text.s, sizeof text.s, "%s%.200s%s%s", taper_dtype_name((taper_dtype)t->dtype), TAPER_SHAPE(t),
             t->device.type == TAPER_CPU ? "" : " ", t->device.type == TAPER_CPU ? "" : taper__device_text(t->device).s);
    return text;
}
