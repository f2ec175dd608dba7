/* The container itself: what it owns, its modes, the call through all layers. */
#include <stdio.h>
#include <string.h>

#include "nn/nn.h"
#include "nn/sequential.h"

taper_status taper_nn_sequential_init(taper_nn_sequential *net, taper_params *p, const char *name, taper_device device) {
    *net = (taper_nn_sequential){.training = true, .params = p, .device = device};
    if (strlen(name) >= sizeof net->name)
        return net->status = TAPER_FAIL(TAPER_VALUE, "sequential: the name %s is longer than %zu bytes", name, sizeof net->name - 1);
    strcpy(net->name, name);
    return TAPER_OK;
}

taper_tensor *taper_nn_sequential_forward(taper_scope *s, const taper_nn_sequential *net, taper_tensor *x) {
    if (s->status != TAPER_OK) return NULL;
    if (net->status != TAPER_OK) { /* a nested one, say, whose adders nobody looked at */
        s->status = TAPER_FAIL(net->status, "sequential %s: layer %d could not be made", net->name, net->count);
        return NULL;
    }
    taper_tensor *held = NULL; /* the newest result: earlier ones live on where the tape needs them only */
    for (int i = 0; i < net->count; i++) {
        const taper_nn_layer *l = &net->layers[i];
        taper_scope layer = TAPER_SCOPE;
        taper_tensor *y = taper_tensor_retain(l->forward(&layer, l->ctx, x));
        s->status = taper_scope_end(&layer);
        taper_tensor_release(held);
        x = held = y;
        if (s->status == TAPER_OK && y) continue;
        char context[256];
        if (s->status == TAPER_OK) s->status = TAPER_FAIL(TAPER_RUNTIME, "forward gave no tensor");
        snprintf(context, sizeof context, "sequential %s%s%d (%.32s): ", net->name, *net->name ? "." : "", i, l->kind);
        taper_tensor_release(y);
        return taper_fail_within(s->status, context), NULL;
    }
    return held ? taper_scope_own(s, held) : x;
}

void taper_nn_sequential_train(taper_nn_sequential *net, bool training) {
    net->training = training;
    for (int i = 0; i < net->count; i++)
        if (net->layers[i].train) net->layers[i].train(net->layers[i].ctx, training);
}

void taper_nn_sequential_release(taper_nn_sequential *net) {
    for (int i = net->count - 1; i >= 0; i--)
        if (net->layers[i].release) net->layers[i].release(net->layers[i].ctx);
    taper__free(net->layers);
    net->layers = NULL;
    net->count = net->capacity = 0;
}

const char *taper_nn_sequential_next(taper_nn_sequential *net) {
    snprintf(net->next, sizeof net->next, "%s%s%d", net->name, *net->name ? "." : "", net->count);
    return net->next;
}

taper_status taper_nn_sequential_add(taper_nn_sequential *net, taper_nn_layer layer) {
    if (net->status == TAPER_OK && net->count == net->capacity) {
        int capacity = net->capacity ? 2 * net->capacity : 16;
        taper_nn_layer *layers = taper__realloc(net->layers, sizeof *layers * (size_t)capacity);
        if (layers) {
            net->layers = layers;
            net->capacity = capacity;
        } else {
            net->status = TAPER_FAIL(TAPER_MEMORY, "sequential: no memory for %d layers", capacity);
        }
    }
    if (net->status == TAPER_OK) {
        net->layers[net->count++] = layer;
        if (layer.train && !net->training) layer.train(layer.ctx, false);
    } else if (layer.release) {
        layer.release(layer.ctx);
    }
    return net->status;
}

void *taper__sequential_begin(taper_nn_sequential *net, size_t bytes) {
    if (net->status != TAPER_OK) return NULL;
    void *ctx = taper__alloc_zero(bytes);
    if (!ctx) net->status = TAPER_FAIL(TAPER_MEMORY, "sequential: no memory for layer %d", net->count);
    return ctx;
}

taper_status taper__sequential_end(taper_nn_sequential *net, taper_status status, taper_nn_layer layer) {
    if (net->status == TAPER_OK) net->status = status;
    if (!layer.release) layer.release = taper__free;
    return taper_nn_sequential_add(net, layer);
}

/* ---- functions and nested containers ---- */

typedef struct sequential_function {
    taper_tensor *(*function)(taper_scope *s, taper_tensor *x);
} sequential_function;

static taper_tensor *sequential_function_forward(taper_scope *s, void *ctx, taper_tensor *x) {
    return ((const sequential_function *)ctx)->function(s, x);
}

taper_status taper_nn_sequential_function(taper_nn_sequential *net, const char *kind,
                                          taper_tensor *(*function)(taper_scope *s, taper_tensor *x)) {
    sequential_function *f = taper__sequential_begin(net, sizeof *f);
    if (!f) return net->status;
    f->function = function;
    return taper__sequential_end(net, TAPER_OK, (taper_nn_layer){.kind = kind, .forward = sequential_function_forward, .ctx = f});
}

static taper_tensor *sequential_nested_forward(taper_scope *s, void *ctx, taper_tensor *x) {
    return taper_nn_sequential_forward(s, ctx, x);
}
static void sequential_nested_train(void *ctx, bool training) { taper_nn_sequential_train(ctx, training); }
static void sequential_nested_release(void *ctx) {
    taper_nn_sequential_release(ctx);
    taper__free(ctx);
}

taper_status taper_nn_sequential_nested(taper_nn_sequential **inner, taper_nn_sequential *net) {
    taper_nn_sequential *n = taper__sequential_begin(net, sizeof *n);
    if (!n) return net->status;
    taper_status status = taper_nn_sequential_init(n, net->params, taper_nn_sequential_next(net), net->device);
    status = taper__sequential_end(net, status, (taper_nn_layer){"Sequential", sequential_nested_forward, sequential_nested_train,
                                                                 sequential_nested_release, n});
    if (status == TAPER_OK) *inner = n;
    return status;
}
