/* Lists of named parameters and buffers: making, finding, moving. state.c has their files. */
#include <taper/autograd.h>
#include <taper/nn.h>
#include <taper/ops.h>

#include <stdio.h>
#include <string.h>

#include "base/base.h"
#include "tensor/random_fill.h"

static taper_status params_grow(taper_params *p) {
    int capacity = p->capacity ? 2 * p->capacity : 32;
    taper_tensor **tensors = taper__realloc(p->tensors, sizeof *tensors * (size_t)capacity);
    if (tensors) p->tensors = tensors;
    char **names = tensors ? taper__realloc(p->names, sizeof *names * (size_t)capacity) : NULL;
    if (names) p->names = names;
    bool *buffers = names ? taper__realloc(p->buffers, sizeof *buffers * (size_t)capacity) : NULL;
    if (!buffers) return TAPER_FAIL(TAPER_MEMORY, "params: no memory for %d parameters", capacity);
    p->buffers = buffers;
    p->capacity = capacity;
    return TAPER_OK;
}

static taper_status params_append(taper_params *p, const char *name, taper_tensor *t, bool buffer) {
    if (taper_params_find(p, name)) return TAPER_FAIL(TAPER_VALUE, "params: there is a parameter called %s already", name);
    if (p->count == p->capacity) TAPER_TRY(params_grow(p));
    char *copy = taper__strdup(name);
    if (!copy) return TAPER_FAIL(TAPER_MEMORY, "params: no memory for the name %s", name);
    taper_status status = taper_set_requires_grad(t, !buffer);
    if (status != TAPER_OK) {
        taper__free(copy);
        return status;
    }
    p->names[p->count] = copy;
    p->buffers[p->count] = buffer;
    p->tensors[p->count++] = taper_tensor_retain(t);
    return TAPER_OK;
}

taper_status taper_params_add(taper_params *p, const char *name, taper_tensor *t) { return params_append(p, name, t, false); }
taper_status taper_params_add_buffer(taper_params *p, const char *name, taper_tensor *t) { return params_append(p, name, t, true); }

taper_tensor *taper_params_find(const taper_params *p, const char *name) {
    for (int i = 0; i < p->count; i++)
        if (!strcmp(p->names[i], name)) return p->tensors[i];
    return NULL;
}

int64_t taper_params_numel(const taper_params *p) {
    int64_t n = 0;
    for (int i = 0; i < p->count; i++) n += p->buffers[i] ? 0 : taper_tensor_numel(p->tensors[i]);
    return n;
}

taper_status taper_params_zero_grad(const taper_params *p) {
    taper_status status = TAPER_OK;
    for (int i = 0; i < p->count && status == TAPER_OK; i++) status = taper_set_grad(p->tensors[i], NULL);
    return status;
}

void taper_params_release(taper_params *p) {
    for (int i = 0; i < p->count; i++) {
        taper_tensor_release(p->tensors[i]);
        taper__free(p->names[i]);
    }
    taper__free(p->tensors);
    taper__free(p->names);
    taper__free(p->buffers);
    *p = (taper_params)TAPER_PARAMS;
}

/* What t becomes: *out is NULL when nothing changes. */
static taper_status params_moved(taper_tensor **out, taper_tensor *t, const taper_device *device, taper_dtype dtype) {
    taper_tensor *moved = NULL;
    if (!taper_dtype_is_float(taper_tensor_dtype(t))) dtype = TAPER_DTYPE_NONE;
    TAPER_TRY(taper_to(&moved, t, device, dtype, false, false));
    if (taper_tensor_storage(moved) == taper_tensor_storage(t) && taper_tensor_dtype(moved) == taper_tensor_dtype(t) &&
        taper_device_equal(taper_tensor_device(moved), taper_tensor_device(t)))
        taper_tensor_release(moved);
    else
        *out = moved;
    return TAPER_OK;
}

/* Cannot fail: a leaf that has a gradient has room for another, and the copies have the leaf's shape. */
static void params_take(taper_tensor *t, taper_tensor *moved, taper_tensor *grad) {
    taper_tensor *old = grad ? NULL : taper_tensor_retain(taper_grad(t));
    taper_set_grad(t, NULL);
    if (moved) taper_tensor_set_data(t, moved);
    taper_set_grad(t, grad ? grad : old);
    taper_tensor_release(old);
}

taper_status taper_params_to(const taper_params *p, const taper_device *device, taper_dtype dtype) {
    if (dtype != TAPER_DTYPE_NONE && !taper_dtype_is_float(dtype))
        return TAPER_FAIL(TAPER_TYPE, "params: to() only accepts floating point dtypes, but got desired dtype=%s", taper_dtype_name(dtype));
    size_t n = (size_t)p->count;
    taper_tensor **moved = taper__alloc_zero(sizeof *moved * (2 * n + 1)), **grads = moved + n;
    if (!moved) return TAPER_FAIL(TAPER_MEMORY, "params: no memory to move %d tensors", p->count);
    bool was = taper_set_grad_enabled(false);
    taper_status status = TAPER_OK;
    for (size_t i = 0; i < n && status == TAPER_OK; i++) {
        taper_tensor *grad = taper_grad(p->tensors[i]);
        status = params_moved(&moved[i], p->tensors[i], device, dtype);
        if (status == TAPER_OK && grad) status = params_moved(&grads[i], grad, device, dtype);
    }
    for (size_t i = 0; i < n; i++) {
        if (status == TAPER_OK && (moved[i] || grads[i])) params_take(p->tensors[i], moved[i], grads[i]);
        taper_tensor_release(moved[i]);
        taper_tensor_release(grads[i]);
    }
    taper_set_grad_enabled(was);
    taper__free(moved);
    return status;
}

/* The full name of a parameter: "prefix.name", or the name alone. */
static taper_status params_name(char full[256], const char *prefix, const char *name) {
    if (snprintf(full, 256, "%s%s%s", prefix, *prefix ? "." : "", name) >= 256)
        return TAPER_FAIL(TAPER_VALUE, "params: the name %s.%s is longer than 255 bytes", prefix, name);
    return TAPER_OK;
}

/* kind: 'u' uniform in [-number, number), 'n' normal with deviation number, 'c' constant. Always drawn on the host, so
 * that a seed gives the same model on every device. */
static taper_status params_draw(taper_tensor **out, taper_params *p, const char *prefix, const char *name, taper_device device,
                                char kind, double number, int ndim, const int64_t *shape) {
    taper_tensor *host = NULL, *t = NULL;
    char full[256];
    TAPER_TRY(params_name(full, prefix, name));
    taper_status status = taper_tensor_new(&host, TAPER_F32, taper_cpu(), ndim, shape);
    if (status != TAPER_OK) return status;
    float *data = taper_tensor_data(host);
    int64_t n = taper_tensor_numel(host);
    if (kind == 'u') taper__random_uniform(NULL, TAPER_F32, data, n, -number, number);
    else if (kind == 'n') taper__random_normal(NULL, TAPER_F32, data, n, 0, number);
    else
        for (int64_t i = 0; i < n; i++) data[i] = (float)number;
    status = taper_to(&t, host, &device, TAPER_DTYPE_NONE, false, false);
    if (status == TAPER_OK) status = taper_params_add(p, full, t);
    if (status == TAPER_OK) *out = t; /* the list has its own reference */
    taper_tensor_release(t);
    taper_tensor_release(host);
    return status;
}

taper_status taper_param_uniform(taper_tensor **out, taper_params *p, const char *prefix, const char *name, taper_device device,
                                 double bound, int ndim, const int64_t *shape) {
    return params_draw(out, p, prefix, name, device, 'u', bound, ndim, shape);
}
taper_status taper_param_normal(taper_tensor **out, taper_params *p, const char *prefix, const char *name, taper_device device,
                                double std, int ndim, const int64_t *shape) {
    return params_draw(out, p, prefix, name, device, 'n', std, ndim, shape);
}
taper_status taper_param_constant(taper_tensor **out, taper_params *p, const char *prefix, const char *name, taper_device device,
                                  double value, int ndim, const int64_t *shape) {
    return params_draw(out, p, prefix, name, device, 'c', value, ndim, shape);
}

taper_status taper_buffer_constant(taper_tensor **out, taper_params *p, const char *prefix, const char *name, taper_device device,
                                   taper_dtype dtype, double value, int ndim, const int64_t *shape) {
    taper_tensor *t = NULL;
    char full[256];
    TAPER_TRY(params_name(full, prefix, name));
    taper_status status = taper_full(&t, shape, ndim, taper_float(value), dtype, &device);
    if (status == TAPER_OK) status = taper_params_add_buffer(p, full, t);
    if (status == TAPER_OK) *out = t;
    taper_tensor_release(t);
    return status;
}
