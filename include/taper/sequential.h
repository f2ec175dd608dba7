/* A container: layers called one after the other, torch.nn.Sequential.
 *
 *     taper_nn_sequential net;
 *     taper_nn_sequential_init(&net, &params, "", taper_cpu());
 *     taper_nn_sequential_conv2d(&net, 1, 8, 3, &(taper_nn_conv_options){.padding = {1, 1}});
 *     taper_nn_sequential_batch_norm(&net, 8, NULL);
 *     taper_nn_sequential_function(&net, "ReLU", tx_relu);
 *     taper_nn_sequential_flatten(&net, 1, -1);
 *     taper_nn_sequential_linear(&net, 8 * 36, 10, true);
 *     if (net.status != TAPER_OK) ... taper_error_message()
 *
 * Layer i has its parameters under "name.i" (name "": "i"), and functions without parameters count as layers, so a
 * state_dict of the same torch.nn.Sequential can be loaded. The container owns its layers; their tensors are the list's, which must stay
 * where it is while layers are added. After an adder has failed the others do nothing and give its status, so one check at
 * the end is enough; such a container does not run.
 */
#ifndef TAPER_SEQUENTIAL_H
#define TAPER_SEQUENTIAL_H

#include <taper/nn.h>

TAPER_BEGIN

/* A layer of any kind, the program's own for instance. ctx is its struct. */
typedef struct taper_nn_layer {
    const char *kind; /* for messages: "Conv2d"; static */
    /* x -> the result, owned by the scope or x itself; NULL after a failure, with its status in the scope, which ends with
     * the call. */
    taper_tensor *(*forward)(taper_scope *s, void *ctx, taper_tensor *x);
    void (*train)(void *ctx, bool training); /* NULL: does the same in both modes */
    void (*release)(void *ctx);              /* NULL: ctx is not the container's */
    void *ctx;
} taper_nn_layer;

typedef struct taper_nn_sequential {
    taper_status status; /* of the first adder that failed */
    bool training;       /* true at first; changed by taper_nn_sequential_train */
    int count, capacity;
    taper_nn_layer *layers; /* layers[i].ctx: a taper_nn_linear, taper_nn_conv, ... */
    taper_params *params;
    taper_device device;
    char name[160], next[176];
} taper_nn_sequential;

/* Empty. VALUE for a name of more than 159 bytes. */
TAPER_API taper_status taper_nn_sequential_init(taper_nn_sequential *net, taper_params *p, const char *name, taper_device device);
/* x through all layers, keeping of their results what the tape needs; a failure names the layer: "sequential 3 (Linear): ...".
 * No layers: x itself. */
TAPER_API taper_tensor *taper_nn_sequential_forward(taper_scope *s, const taper_nn_sequential *net, taper_tensor *x);
/* Training mode or evaluation mode for all layers, also inside nested containers. */
TAPER_API void taper_nn_sequential_train(taper_nn_sequential *net, bool training);
TAPER_API void taper_nn_sequential_release(taper_nn_sequential *net); /* ends the layers, not their tensors; net is empty then */

/* Name of the next layer, the prefix for the parameters of one of the program's own; borrowed until it is added. */
TAPER_API const char *taper_nn_sequential_next(taper_nn_sequential *net);
/* The layer's ctx is the container's from here on: release(ctx) is called once, with the container or at a failure. MEMORY. */
TAPER_API taper_status taper_nn_sequential_add(taper_nn_sequential *net, taper_nn_layer layer);
/* A function of one tensor: tx_relu, tx_tanh, tx_silu, taper_nn_gelu, one of the program's own. kind is static. */
TAPER_API taper_status taper_nn_sequential_function(taper_nn_sequential *net, const char *kind,
                                                    taper_tensor *(*function)(taper_scope *s, taper_tensor *x));
/* A container as a layer, with names "name.i.0" and so on. *inner is borrowed while net lives. */
TAPER_API taper_status taper_nn_sequential_nested(taper_nn_sequential **inner, taper_nn_sequential *net);

/* The layers of nn.h. */
TAPER_API taper_status taper_nn_sequential_linear(taper_nn_sequential *net, int64_t inputs, int64_t outputs, bool bias);
TAPER_API taper_status taper_nn_sequential_conv1d(taper_nn_sequential *net, int64_t inputs, int64_t outputs, int64_t kernel,
                                                  const taper_nn_conv_options *options);
TAPER_API taper_status taper_nn_sequential_conv2d(taper_nn_sequential *net, int64_t inputs, int64_t outputs, int64_t kernel,
                                                  const taper_nn_conv_options *options);
/* padding_idx -1: none. */
TAPER_API taper_status taper_nn_sequential_embedding(taper_nn_sequential *net, int64_t rows, int64_t width, int64_t padding_idx);
TAPER_API taper_status taper_nn_sequential_batch_norm(taper_nn_sequential *net, int64_t channels,
                                                      const taper_nn_batch_norm_options *options);
TAPER_API taper_status taper_nn_sequential_group_norm(taper_nn_sequential *net, int64_t groups, int64_t channels);
TAPER_API taper_status taper_nn_sequential_layer_norm(taper_nn_sequential *net, int64_t width);
TAPER_API taper_status taper_nn_sequential_rms_norm(taper_nn_sequential *net, int64_t width);
TAPER_API taper_status taper_nn_sequential_dropout(taper_nn_sequential *net, double p);
/* Square windows over (N, C, H, W) or (C, H, W); stride 0: windows side by side. */
TAPER_API taper_status taper_nn_sequential_max_pool2d(taper_nn_sequential *net, int64_t kernel, int64_t stride, int64_t padding);
TAPER_API taper_status taper_nn_sequential_avg_pool2d(taper_nn_sequential *net, int64_t kernel, int64_t stride, int64_t padding);
/* -> (..., height, width): the means of windows that cover the plane evenly. */
TAPER_API taper_status taper_nn_sequential_adaptive_avg_pool2d(taper_nn_sequential *net, int64_t height, int64_t width);
/* Dims start to end as one; torch.nn.Flatten(): 1, -1. */
TAPER_API taper_status taper_nn_sequential_flatten(taper_nn_sequential *net, int64_t start, int64_t end);

TAPER_END

#endif
