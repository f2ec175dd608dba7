/* The layers that a container can make: each keeps its struct there. */
#include <taper/ops.h>

#include "nn/sequential.h"

/* The forward function of a layer with its struct as ctx. */
#define SEQUENTIAL_FORWARD(name)                                                                                       \
    static taper_tensor *sequential_##name(taper_scope *s, void *ctx, taper_tensor *x) {                               \
        return taper_nn_##name##_forward(s, ctx, x);                                                                   \
    }
SEQUENTIAL_FORWARD(linear)
SEQUENTIAL_FORWARD(conv)
SEQUENTIAL_FORWARD(embedding)
SEQUENTIAL_FORWARD(batch_norm)
SEQUENTIAL_FORWARD(group_norm)
SEQUENTIAL_FORWARD(layer_norm)
SEQUENTIAL_FORWARD(rms_norm)
SEQUENTIAL_FORWARD(dropout)

static void sequential_batch_norm_train(void *ctx, bool training) { ((taper_nn_batch_norm *)ctx)->training = training; }
static void sequential_dropout_train(void *ctx, bool training) { ((taper_nn_dropout *)ctx)->training = training; }

/* A layer of nn.h that does the same in both modes. */
#define SEQUENTIAL_PLAIN(type, text, forward_, ...)                                                                    \
    type *l = taper__sequential_begin(net, sizeof *l);                                                                 \
    if (!l) return net->status;                                                                                        \
    return taper__sequential_end(net, __VA_ARGS__, (taper_nn_layer){.kind = text, .forward = forward_, .ctx = l})
#define SEQUENTIAL_WHERE l, net->params, taper_nn_sequential_next(net)

taper_status taper_nn_sequential_linear(taper_nn_sequential *net, int64_t inputs, int64_t outputs, bool bias) {
    SEQUENTIAL_PLAIN(taper_nn_linear, "Linear", sequential_linear,
                     taper_nn_linear_init(SEQUENTIAL_WHERE, inputs, outputs, bias, net->device));
}

taper_status taper_nn_sequential_conv1d(taper_nn_sequential *net, int64_t inputs, int64_t outputs, int64_t kernel,
                                        const taper_nn_conv_options *options) {
    SEQUENTIAL_PLAIN(taper_nn_conv, "Conv1d", sequential_conv,
                     taper_nn_conv1d_init(SEQUENTIAL_WHERE, inputs, outputs, kernel, options, net->device));
}

taper_status taper_nn_sequential_conv2d(taper_nn_sequential *net, int64_t inputs, int64_t outputs, int64_t kernel,
                                        const taper_nn_conv_options *options) {
    SEQUENTIAL_PLAIN(taper_nn_conv, "Conv2d", sequential_conv,
                     taper_nn_conv2d_init(SEQUENTIAL_WHERE, inputs, outputs, kernel, options, net->device));
}

static taper_status sequential_embedding_init(taper_nn_embedding *e, taper_nn_sequential *net, int64_t rows, int64_t width,
                                              int64_t padding_idx) {
    taper_status status = taper_nn_embedding_init(e, net->params, taper_nn_sequential_next(net), rows, width, 1, net->device);
    return status == TAPER_OK && padding_idx != -1 ? taper_nn_embedding_set_padding(e, padding_idx) : status;
}
taper_status taper_nn_sequential_embedding(taper_nn_sequential *net, int64_t rows, int64_t width, int64_t padding_idx) {
    SEQUENTIAL_PLAIN(taper_nn_embedding, "Embedding", sequential_embedding, sequential_embedding_init(l, net, rows, width, padding_idx));
}

taper_status taper_nn_sequential_group_norm(taper_nn_sequential *net, int64_t groups, int64_t channels) {
    SEQUENTIAL_PLAIN(taper_nn_group_norm, "GroupNorm", sequential_group_norm,
                     taper_nn_group_norm_init(SEQUENTIAL_WHERE, groups, channels, net->device));
}

taper_status taper_nn_sequential_layer_norm(taper_nn_sequential *net, int64_t width) {
    SEQUENTIAL_PLAIN(taper_nn_layer_norm, "LayerNorm", sequential_layer_norm,
                     taper_nn_layer_norm_init(SEQUENTIAL_WHERE, width, net->device));
}

taper_status taper_nn_sequential_rms_norm(taper_nn_sequential *net, int64_t width) {
    SEQUENTIAL_PLAIN(taper_nn_rms_norm, "RMSNorm", sequential_rms_norm, taper_nn_rms_norm_init(SEQUENTIAL_WHERE, width, net->device));
}

/* ---- layers with two modes ---- */

taper_status taper_nn_sequential_batch_norm(taper_nn_sequential *net, int64_t channels, const taper_nn_batch_norm_options *options) {
    taper_nn_batch_norm *l = taper__sequential_begin(net, sizeof *l);
    if (!l) return net->status;
    taper_status status = taper_nn_batch_norm_init(SEQUENTIAL_WHERE, channels, options, net->device);
    return taper__sequential_end(net, status, (taper_nn_layer){"BatchNorm", sequential_batch_norm, sequential_batch_norm_train, NULL, l});
}

taper_status taper_nn_sequential_dropout(taper_nn_sequential *net, double p) {
    taper_nn_dropout *l = taper__sequential_begin(net, sizeof *l);
    if (!l) return net->status;
    *l = (taper_nn_dropout){p, true};
    return taper__sequential_end(net, TAPER_OK, (taper_nn_layer){"Dropout", sequential_dropout, sequential_dropout_train, NULL, l});
}

/* ---- shapes ---- */

/* Windows, an output size or a range of dims. */
typedef struct sequential_plane {
    int64_t kernel[2], stride[2], padding[2];
} sequential_plane;

static taper_tensor *sequential_max_pool2d(taper_scope *s, void *ctx, taper_tensor *x) {
    const sequential_plane *l = ctx;
    return tx_max_pool2d(s, x, l->kernel, 2, l->stride, 2, l->padding, 2, (int64_t[]){1, 1}, 2, false);
}
static taper_tensor *sequential_avg_pool2d(taper_scope *s, void *ctx, taper_tensor *x) {
    const sequential_plane *l = ctx;
    return tx_avg_pool2d(s, x, l->kernel, 2, l->stride, 2, l->padding, 2, false, true, NULL);
}
static taper_tensor *sequential_adaptive_avg_pool2d(taper_scope *s, void *ctx, taper_tensor *x) {
    return tx_adaptive_avg_pool2d(s, x, ((const sequential_plane *)ctx)->kernel, 2);
}
static taper_tensor *sequential_flatten(taper_scope *s, void *ctx, taper_tensor *x) {
    const sequential_plane *l = ctx;
    return tx_flatten(s, x, l->kernel[0], l->kernel[1]);
}

static taper_status sequential_plane_add(taper_nn_sequential *net, const char *kind,
                                         taper_tensor *(*forward)(taper_scope *s, void *ctx, taper_tensor *x), sequential_plane plane) {
    sequential_plane *l = taper__sequential_begin(net, sizeof *l);
    if (!l) return net->status;
    *l = plane;
    return taper__sequential_end(net, TAPER_OK, (taper_nn_layer){.kind = kind, .forward = forward, .ctx = l});
}

static sequential_plane sequential_windows(int64_t kernel, int64_t stride, int64_t padding) {
    if (!stride) stride = kernel;
    return (sequential_plane){{kernel, kernel}, {stride, stride}, {padding, padding}};
}

taper_status taper_nn_sequential_max_pool2d(taper_nn_sequential *net, int64_t kernel, int64_t stride, int64_t padding) {
    return sequential_plane_add(net, "MaxPool2d", sequential_max_pool2d, sequential_windows(kernel, stride, padding));
}

taper_status taper_nn_sequential_avg_pool2d(taper_nn_sequential *net, int64_t kernel, int64_t stride, int64_t padding) {
    return sequential_plane_add(net, "AvgPool2d", sequential_avg_pool2d, sequential_windows(kernel, stride, padding));
}

taper_status taper_nn_sequential_adaptive_avg_pool2d(taper_nn_sequential *net, int64_t height, int64_t width) {
    return sequential_plane_add(net, "AdaptiveAvgPool2d", sequential_adaptive_avg_pool2d, (sequential_plane){.kernel = {height, width}});
}

taper_status taper_nn_sequential_flatten(taper_nn_sequential *net, int64_t start, int64_t end) {
    return sequential_plane_add(net, "Flatten", sequential_flatten, (sequential_plane){.kernel = {start, end}});
}
