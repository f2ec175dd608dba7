/* x[items]: the basic part as views, what is left through index and index_put_. */
#include <taper/index.h>

#include "ops/op.h"

typedef struct items_state {
    taper_scope *s;
    taper_tensor *view;                   /* self after the basic items so far */
    taper_tensor *indices[TAPER_MAX_DIMS]; /* per dim of view */
    int nindices, dim;
} items_state;

static int items_consumed(const taper_index_item *items, int n) {
    int count = 0;
    for (int i = 0; i < n; i++) {
        if (items[i].kind == TAPER_INDEX_INT || items[i].kind == TAPER_INDEX_SLICE) count++;
        if (items[i].kind == TAPER_INDEX_TENSOR) count += items[i].t->dtype == TAPER_BOOL || items[i].t->dtype == TAPER_U8 ? items[i].t->ndim : 1;
    }
    return count;
}

static taper_status items_put(items_state *x, taper_tensor *index) {
    if (!index) return x->s->status;
    if (x->dim >= x->view->ndim) return TAPER_FAIL(TAPER_INDEX, "too many indices for tensor of dimension %d", x->view->ndim);
    if (!taper_device_equal(index->device, x->view->device) && x->view->device.type != TAPER_META) {
        if (index->device.type != TAPER_CPU)
            return TAPER_FAIL(TAPER_RUNTIME, "indices should be either on cpu or on the same device as the indexed tensor (%s), got %s", TAPER_TEXT(x->view), TAPER_TEXT(index));
        if (!(index = tx_to(x->s, index, &x->view->device, TAPER_DTYPE_NONE, false, false))) return x->s->status;
    }
    while (x->nindices <= x->dim) x->indices[x->nindices++] = NULL;
    x->indices[x->dim++] = index;
    return TAPER_OK;
}

/* A mask over k dims: k integer tensors, the positions of its true elements. */
static taper_status items_mask(items_state *x, taper_tensor *mask) {
    for (int d = 0; d < mask->ndim; d++)
        if (x->dim + d >= x->view->ndim || x->view->shape[x->dim + d] != mask->shape[d])
            return TAPER_FAIL(TAPER_INDEX, "The shape of the mask %s at index %d does not match the shape of the indexed tensor %s at index %d", TAPER_SHAPE(mask), d,
                              TAPER_SHAPE(x->view), x->dim + d);
    taper_tensor *where = tx_nonzero(x->s, mask);
    for (int d = 0; d < mask->ndim && where; d++) TAPER_TRY(items_put(x, tx_select(x->s, where, 1, d)));
    return x->s->status;
}

static taper_status items_apply(items_state *x, taper_tensor *self, const taper_index_item *items, int n) {
    taper_scope *s = x->s;
    int left = self->ndim - items_consumed(items, n);
    bool ellipsis = false;
    x->view = self;
    if (left < 0 && !self->ndim)
        return TAPER_FAIL(TAPER_INDEX, "invalid index of a 0-dim tensor. Use `tensor.item()` in Python or `tensor.item<T>()` in C++ to convert a 0-dim "
                                       "tensor to a number");
    if (left < 0) return TAPER_FAIL(TAPER_INDEX, "too many indices for tensor of dimension %d", self->ndim);
    for (int i = 0; i < n; i++) {
        const taper_index_item *it = &items[i];
        if (it->kind == TAPER_INDEX_NEWAXIS) {
            x->view = tx_unsqueeze(s, x->view, x->dim++);
        } else if (it->kind == TAPER_INDEX_INT) {
            if (x->dim >= x->view->ndim) return TAPER_FAIL(TAPER_INDEX, "invalid index of a 0-dim tensor. Use `tensor.item()` in Python to convert a 0-dim tensor to a number");
            int64_t size = x->view->shape[x->dim];
            if (it->start < -size || it->start >= size)
                return TAPER_FAIL(TAPER_INDEX, "index %lld is out of bounds for dimension %d with size %lld", (long long)it->start, x->dim, (long long)size);
            x->view = tx_select(s, x->view, x->dim, it->start);
        } else if (it->kind == TAPER_INDEX_SLICE) {
            if (it->has_start || it->has_stop || (it->has_step && it->step != 1))
                x->view = tx_slice(s, x->view, x->dim, it->has_start ? &it->start : NULL, it->has_stop ? &it->stop : NULL, it->has_step ? it->step : 1);
            x->dim++;
        } else if (it->kind == TAPER_INDEX_ELLIPSIS) {
            if (ellipsis) return TAPER_FAIL(TAPER_INDEX, "an index can only have a single ellipsis ('...')");
            ellipsis = true;
            x->dim += left;
        } else if (it->kind == TAPER_INDEX_BOOL) {
            int64_t count = it->start ? 1 : 0;
            x->view = tx_unsqueeze(s, x->view, x->dim);
            if (!x->view) return s->status;
            TAPER_TRY(items_put(x, tx_full(s, &count, 1, taper_int(0), TAPER_I64, &self->device)));
        } else if (it->t->dtype == TAPER_BOOL || it->t->dtype == TAPER_U8) {
            if (it->t->ndim == 0) {
                x->view = tx_unsqueeze(s, x->view, x->dim);
                if (!x->view) return s->status;
                int64_t one = 1;
                taper_tensor *where = tx_nonzero(s, tx_view(s, it->t, &one, 1));
                if (where) TAPER_TRY(items_put(x, tx_select(s, where, 1, 0)));
            } else {
                TAPER_TRY(items_mask(x, it->t));
            }
        } else {
            taper_tensor *t = it->t;
            if (t->dtype != TAPER_I64) t = tx_to(s, t, NULL, TAPER_I64, false, false);
            if (!t) return s->status;
            TAPER_TRY(items_put(x, t));
        }
        if (!x->view) return s->status;
    }
    return s->status;
}

taper_status taper_index_get(taper_tensor **out, taper_tensor *self, const taper_index_item *items, int nitems) {
    taper_scope s = TAPER_SCOPE;
    items_state x = {.s = &s};
    taper_status st = items_apply(&x, self, items, nitems);
    taper_tensor *r = x.view;
    if (st == TAPER_OK && x.nindices) r = tx_index(&s, x.view, x.indices, x.nindices);
    if (st == TAPER_OK && r == self) r = tx_view(&s, self, self->shape, self->ndim); /* x[:] is a new view */
    if (st == TAPER_OK && s.status != TAPER_OK && !x.nindices && !r) { /* strides that view cannot follow: an alias can */
        s.status = TAPER_OK;
        taper_error_clear();
        r = tx_as_strided(&s, self, self->shape, self->ndim, self->strides, self->ndim, &self->offset);
    }
    if (st == TAPER_OK) st = s.status;
    if (st == TAPER_OK) *out = taper_tensor_retain(r);
    taper_scope_end(&s);
    return st;
}

taper_status taper_index_set(taper_tensor *self, const taper_index_item *items, int nitems, taper_tensor *value) {
    taper_scope s = TAPER_SCOPE;
    items_state x = {.s = &s};
    taper_status st = items_apply(&x, self, items, nitems);
    if (st == TAPER_OK) {
        /* Leading dims of size 1 that the target lacks are dropped, as torch does. */
        while (value && value->ndim > x.view->ndim && value->shape[0] == 1 && !x.nindices) value = tx_select(&s, value, 0, 0);
        if (!x.nindices) {
            if (value) tx_copy_(&s, x.view, value, false);
        } else {
            if (value && (value->dtype != self->dtype || !taper_device_equal(value->device, self->device)))
                value = tx_to(&s, value, &self->device, (taper_dtype)self->dtype, false, false);
            if (value) s.status = taper_index_put_(x.view, x.indices, x.nindices, value, false);
        }
        st = s.status;
    }
    taper_scope_end(&s);
    return st;
}
