/* Normalisations with their weights, and the running statistics of batch normalisation. */
#include <taper/autograd.h>
#include <taper/ops.h>

#include "nn/nn.h"

static taper_status norm_affine(taper_tensor **weight, taper_tensor **bias, taper_params *p, const char *name, int64_t width,
                                taper_device device) {
    TAPER_TRY(taper_param_constant(weight, p, name, "weight", device, 1, 1, &width));
    return bias ? taper_param_constant(bias, p, name, "bias", device, 0, 1, &width) : TAPER_OK;
}

taper_status taper_nn_batch_norm_init(taper_nn_batch_norm *n, taper_params *p, const char *name, int64_t channels,
                                      const taper_nn_batch_norm_options *options, taper_device device) {
    static const taper_nn_batch_norm_options usual = TAPER_NN_BATCH_NORM_OPTIONS;
    if (!options) options = &usual;
    *n = (taper_nn_batch_norm){.eps = options->eps, .momentum = options->momentum, .cumulative = options->cumulative, .training = true};
    if (!options->no_affine) TAPER_TRY(norm_affine(&n->weight, &n->bias, p, name, channels, device));
    if (options->no_statistics) return TAPER_OK;
    TAPER_TRY(taper_buffer_constant(&n->running_mean, p, name, "running_mean", device, TAPER_F32, 0, 1, &channels));
    TAPER_TRY(taper_buffer_constant(&n->running_var, p, name, "running_var", device, TAPER_F32, 1, 1, &channels));
    return taper_buffer_constant(&n->num_batches_tracked, p, name, "num_batches_tracked", device, TAPER_I64, 0, 0, NULL);
}

/* Counts this batch; *momentum is its part in the running statistics. */
static taper_status norm_count_batch(const taper_nn_batch_norm *n, double *momentum) {
    taper_tensor *one = NULL;
    int64_t value = 1;
    TAPER_TRY(taper_tensor_from_data(&one, &value, TAPER_I64, 0, NULL));
    bool was = taper_set_grad_enabled(false);
    taper_status status = taper_add_(n->num_batches_tracked, one, taper_int(1));
    taper_set_grad_enabled(was);
    taper_tensor_release(one);
    if (status == TAPER_OK && n->cumulative && taper_tensor_device(n->num_batches_tracked).type != TAPER_META) {
        status = taper_tensor_item_int(n->num_batches_tracked, &value);
        *momentum = 1 / (double)value;
    }
    return status;
}

taper_tensor *taper_nn_batch_norm_forward(taper_scope *s, const taper_nn_batch_norm *n, taper_tensor *x) {
    double momentum = n->momentum;
    if (s->status != TAPER_OK) return NULL;
    if (n->training && n->num_batches_tracked) s->status = norm_count_batch(n, &momentum);
    return tx_batch_norm(s, x, n->running_mean, n->running_var, n->weight, n->bias, n->training || !n->running_mean, momentum, n->eps);
}

taper_status taper_nn_group_norm_init(taper_nn_group_norm *n, taper_params *p, const char *name, int64_t groups, int64_t channels,
                                      taper_device device) {
    if (groups < 1 || channels % groups)
        return TAPER_FAIL(TAPER_VALUE, "group_norm: num_channels must be divisible by num_groups, got %lld and %lld", (long long)channels,
                          (long long)groups);
    *n = (taper_nn_group_norm){.groups = groups, .eps = 1e-5};
    return norm_affine(&n->weight, &n->bias, p, name, channels, device);
}

taper_tensor *taper_nn_group_norm_forward(taper_scope *s, const taper_nn_group_norm *n, taper_tensor *x) {
    return tx_group_norm(s, x, n->groups, n->weight, n->bias, n->eps);
}

taper_status taper_nn_layer_norm_init(taper_nn_layer_norm *n, taper_params *p, const char *name, int64_t width, taper_device device) {
    *n = (taper_nn_layer_norm){.width = width, .eps = 1e-5};
    return norm_affine(&n->weight, &n->bias, p, name, width, device);
}

taper_tensor *taper_nn_layer_norm_forward(taper_scope *s, const taper_nn_layer_norm *n, taper_tensor *x) {
    return tx_layer_norm(s, x, &n->width, 1, n->weight, n->bias, n->eps);
}

taper_status taper_nn_rms_norm_init(taper_nn_rms_norm *n, taper_params *p, const char *name, int64_t width, taper_device device) {
    *n = (taper_nn_rms_norm){.width = width};
    return norm_affine(&n->weight, NULL, p, name, width, device);
}

taper_tensor *taper_nn_rms_norm_forward(taper_scope *s, const taper_nn_rms_norm *n, taper_tensor *x) {
    return tx_rms_norm(s, x, &n->width, 1, n->weight, n->eps > 0 ? &n->eps : NULL);
}
