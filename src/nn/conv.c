/* Convolutions with their weights. */
#include <taper/ops.h>

#include "nn/nn.h"

static taper_status conv_init(taper_nn_conv *c, int dims, taper_params *p, const char *name, int64_t inputs, int64_t outputs,
                              int64_t kernel, const taper_nn_conv_options *options, taper_device device) {
    static const taper_nn_conv_options usual = TAPER_NN_CONV_OPTIONS;
    if (!options) options = &usual;
    int64_t groups = options->groups ? options->groups : 1;
    if (groups < 1) return TAPER_FAIL(TAPER_VALUE, "conv%dd: groups must be a positive integer, got %lld", dims, (long long)groups);
    if (inputs % groups || outputs % groups)
        return TAPER_FAIL(TAPER_VALUE, "conv%dd: %s must be divisible by groups, got %lld and %lld", dims,
                          inputs % groups ? "in_channels" : "out_channels", (long long)(inputs % groups ? inputs : outputs), (long long)groups);
    *c = (taper_nn_conv){.dims = dims, .groups = groups};
    for (int d = 0; d < 2; d++) {
        c->stride[d] = options->stride[d] ? options->stride[d] : 1;
        c->padding[d] = options->padding[d];
        c->dilation[d] = options->dilation[d] ? options->dilation[d] : 1;
    }
    int64_t width = dims == 1 ? 1 : options->kernel_width ? options->kernel_width : kernel;
    int64_t shape[] = {outputs, inputs / groups, kernel, width};
    return nn_weight_and_bias(&c->weight, options->no_bias ? NULL : &c->bias, p, name, device, shape[1] * kernel * width, 2 + dims, shape);
}

taper_status taper_nn_conv1d_init(taper_nn_conv *c, taper_params *p, const char *name, int64_t inputs, int64_t outputs, int64_t kernel,
                                  const taper_nn_conv_options *options, taper_device device) {
    return conv_init(c, 1, p, name, inputs, outputs, kernel, options, device);
}

taper_status taper_nn_conv2d_init(taper_nn_conv *c, taper_params *p, const char *name, int64_t inputs, int64_t outputs, int64_t kernel,
                                  const taper_nn_conv_options *options, taper_device device) {
    return conv_init(c, 2, p, name, inputs, outputs, kernel, options, device);
}

taper_tensor *taper_nn_conv_forward(taper_scope *s, const taper_nn_conv *c, taper_tensor *x) {
    if (c->dims == 1) return tx_conv1d(s, x, c->weight, c->bias, c->stride, 1, c->padding, 1, c->dilation, 1, c->groups);
    return tx_conv2d(s, x, c->weight, c->bias, c->stride, 2, c->padding, 2, c->dilation, 2, c->groups);
}
