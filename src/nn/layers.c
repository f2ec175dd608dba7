/* Layers with parameters, and the two functions of a transformer that have none. */
#include <taper/nn.h>
#include <taper/ops.h>

#include <math.h>

taper_status taper_nn_linear_init(taper_nn_linear *l, taper_params *p, const char *name, int64_t inputs, int64_t outputs, bool bias,
                                  taper_device device) {
    double bound = inputs ? 1 / sqrt((double)inputs) : 0;
    l->bias = NULL;
    taper_status status = taper_param_uniform(&l->weight, p, name, "weight", device, bound, 2, (int64_t[]){outputs, inputs});
    if (status == TAPER_OK && bias) status = taper_param_uniform(&l->bias, p, name, "bias", device, bound, 1, &outputs);
    return status;
}

taper_tensor *taper_nn_linear_forward(taper_scope *s, const taper_nn_linear *l, taper_tensor *x) {
    return tx_linear(s, x, l->weight, l->bias);
}

taper_status taper_nn_layer_norm_init(taper_nn_layer_norm *n, taper_params *p, const char *name, int64_t width,
                                      taper_device device) {
    n->width = width;
    taper_status status = taper_param_constant(&n->weight, p, name, "weight", device, 1, 1, &width);
    return status == TAPER_OK ? taper_param_constant(&n->bias, p, name, "bias", device, 0, 1, &width) : status;
}

taper_tensor *taper_nn_layer_norm_forward(taper_scope *s, const taper_nn_layer_norm *n, taper_tensor *x) {
    return tx_layer_norm(s, x, &n->width, 1, n->weight, n->bias, 1e-5);
}

taper_status taper_nn_embedding_init(taper_nn_embedding *e, taper_params *p, const char *name, int64_t rows, int64_t width,
                                     double std, taper_device device) {
    return taper_param_normal(&e->weight, p, name, "weight", device, std, 2, (int64_t[]){rows, width});
}

taper_tensor *taper_nn_embedding_forward(taper_scope *s, const taper_nn_embedding *e, taper_tensor *index) {
    return tx_embedding(s, e->weight, index, -1, false, false);
}

taper_tensor *taper_nn_gelu(taper_scope *s, taper_tensor *x) { return tx_gelu(s, x, "tanh"); }

taper_tensor *taper_nn_attention(taper_scope *s, taper_tensor *q, taper_tensor *k, taper_tensor *v, bool causal) {
    return tx_scaled_dot_product_attention(s, q, k, v, NULL, 0, causal, NULL, false);
}
