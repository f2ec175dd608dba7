/* Lists of named parameters: making, finding, saving, loading. */
#include <taper/autograd.h>
#include <taper/io.h>
#include <taper/nn.h>
#include <taper/ops.h>

#include <stdio.h>
#include <string.h>

#include "base/base.h"
#include "tensor/random_fill.h"

taper_status taper_params_add(taper_params *p, const char *name, taper_tensor *t) {
    if (taper_params_find(p, name)) return TAPER_FAIL(TAPER_VALUE, "params: there is a parameter called %s already", name);
    if (p->count == p->capacity) {
        int capacity = p->capacity ? 2 * p->capacity : 32;
        taper_tensor **tensors = taper__realloc(p->tensors, sizeof *tensors * (size_t)capacity);
        if (tensors) p->tensors = tensors;
        char **names = tensors ? taper__realloc(p->names, sizeof *names * (size_t)capacity) : NULL;
        if (!names) return TAPER_FAIL(TAPER_MEMORY, "params: no memory for %d parameters", capacity);
        p->names = names;
        p->capacity = capacity;
    }
    taper_status status = taper_set_requires_grad(t, true);
    if (status != TAPER_OK) return status;
    char *copy = taper__alloc(strlen(name) + 1);
    if (!copy) return TAPER_FAIL(TAPER_MEMORY, "params: no memory for the name %s", name);
    strcpy(copy, name);
    p->names[p->count] = copy;
    p->tensors[p->count++] = taper_tensor_retain(t);
    return TAPER_OK;
}

taper_tensor *taper_params_find(const taper_params *p, const char *name) {
    for (int i = 0; i < p->count; i++)
        if (!strcmp(p->names[i], name)) return p->tensors[i];
    return NULL;
}

int64_t taper_params_numel(const taper_params *p) {
    int64_t n = 0;
    for (int i = 0; i < p->count; i++) n += taper_tensor_numel(p->tensors[i]);
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
    *p = (taper_params)TAPER_PARAMS;
}

taper_status taper_params_save(const taper_params *p, const char *path) {
    return taper_save_safetensors(path, (const char *const *)p->names, p->tensors, p->count, NULL, NULL, 0);
}

static bool params_same_shape(const taper_tensor *a, const taper_tensor *b) {
    int ndim = taper_tensor_ndim(a);
    return taper_tensor_dtype(a) == taper_tensor_dtype(b) && ndim == taper_tensor_ndim(b) &&
           !memcmp(taper_tensor_shape(a), taper_tensor_shape(b), sizeof(int64_t) * (size_t)ndim);
}

taper_status taper_params_load(const taper_params *p, const char *path) {
    taper_tree *tree = NULL;
    taper_load_options options = TAPER_LOAD_OPTIONS;
    options.has_device = true; /* host memory: written from there to wherever the parameter lives */
    options.device = taper_cpu();
    taper_status status = taper_load(&tree, path, &options);
    for (int i = 0; i < p->count && status == TAPER_OK; i++) {
        taper_item *node = taper_item_find(taper_tree_root(tree), p->names[i]);
        taper_tensor *from = node ? taper_item_tensor(node) : NULL, *packed = NULL;
        if (!from) {
            status = TAPER_FAIL(TAPER_KEY, "params: %s has no tensor called %s", path, p->names[i]);
        } else if (!params_same_shape(from, p->tensors[i])) {
            status = TAPER_FAIL(TAPER_VALUE, "params: %s in %s has another shape or dtype than the parameter", p->names[i], path);
        } else if ((status = taper_contiguous(&packed, from)) == TAPER_OK) {
            size_t bytes = (size_t)taper_tensor_numel(packed) * taper_dtype_size(taper_tensor_dtype(packed));
            status = taper_tensor_write(p->tensors[i], taper_tensor_data(packed), bytes);
            taper_tensor_release(packed);
        }
    }
    taper_tree_release(tree);
    return status;
}

/* kind: 'u' uniform in [-number, number), 'n' normal with deviation number, 'c' constant. Always drawn on the host, so
 * that a seed gives the same model on every device. */
static taper_status params_draw(taper_tensor **out, taper_params *p, const char *prefix, const char *name, taper_device device,
                                char kind, double number, int ndim, const int64_t *shape) {
    taper_tensor *host = NULL, *t = NULL;
    char full[256];
    snprintf(full, sizeof full, "%s%s%s", prefix, *prefix ? "." : "", name);
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
