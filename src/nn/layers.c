/* Linear and embedding layers, dropout, and the two functions of a transformer that have no parameters. */
#include <taper/autograd.h>
#include <taper/ops.h>

#include "nn/nn.h"

taper_status taper_nn_linear_init(taper_nn_linear *l, taper_params *p, const char *name, int64_t inputs, int64_t outputs, bool bias,
                                  taper_device device) {
    l->bias = NULL;
    return nn_weight_and_bias(&l->weight, bias ? &l->bias : NULL, p, name, device, inputs, 2, (int64_t[]){outputs, inputs});
}

taper_tensor *taper_nn_linear_forward(taper_scope *s, const taper_nn_linear *l, taper_tensor *x) {
    return tx_linear(s, x, l->weight, l->bias);
}

taper_status taper_nn_embedding_init(taper_nn_embedding *e, taper_params *p, const char *name, int64_t rows, int64_t width,
                                     double std, taper_device device) {
    e->padding_idx = -1;
    return taper_param_normal(&e->weight, p, name, "weight", device, std, 2, (int64_t[]){rows, width});
}

taper_status taper_nn_embedding_set_padding(taper_nn_embedding *e, int64_t row) {
    int64_t rows = taper_tensor_shape(e->weight)[0];
    if (row < -rows || row >= rows)
        return TAPER_FAIL(TAPER_VALUE, "embedding: Padding_idx must be within num_embeddings, got %lld of %lld", (long long)row, (long long)rows);
    if (row < 0) row += rows;
    taper_scope s = TAPER_SCOPE;
    bool was = taper_set_grad_enabled(false);
    tx_zero_(&s, tx_select(&s, e->weight, 0, row));
    taper_set_grad_enabled(was);
    if (s.status == TAPER_OK) e->padding_idx = row;
    return taper_scope_end(&s);
}

taper_tensor *taper_nn_embedding_forward(taper_scope *s, const taper_nn_embedding *e, taper_tensor *index) {
    return tx_embedding(s, e->weight, index, e->padding_idx, false, false);
}

taper_tensor *taper_nn_dropout_forward(taper_scope *s, const taper_nn_dropout *d, taper_tensor *x) {
    return tx_dropout(s, x, d->p, d->training);
}

taper_tensor *taper_nn_gelu(taper_scope *s, taper_tensor *x) { return tx_gelu(s, x, "tanh"); }

taper_tensor *taper_nn_attention(taper_scope *s, taper_tensor *q, taper_tensor *k, taper_tensor *v, bool causal) {
    return tx_scaled_dot_product_attention(s, q, k, v, NULL, 0, causal, NULL, false);
}
