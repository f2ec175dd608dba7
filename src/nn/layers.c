/* Layers with parameters, and the two functions of a transformer that have none. */
#include <taper/nn.h>
#include <taper/ops.h>
#include <taper/schema.h>

#include <math.h>

#include "base/base.h"

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

/* A call by name, with the schema's defaults for what is not given: these rows may be left out of a small build. */
static taper_tensor *layers_call(taper_scope *s, const taper_op_row *row, const taper_arg *given, int ngiven) {
    taper_arg args[TAPER_MAX_ARGS];
    taper_tensor *out[TAPER_MAX_OUTS] = {NULL};
    if (s->status != TAPER_OK) return NULL;
    const taper_schema *schema = taper_schema_of(row);
    if (!schema) {
        s->status = TAPER_VALUE;
        return NULL;
    }
    for (int i = 0; i < schema->nargs; i++) args[i] = i < ngiven ? given[i] : schema->args[i].fallback;
    s->status = taper_op_call(row, args, schema->nargs, out);
    return s->status == TAPER_OK ? taper_scope_own(s, out[0]) : NULL;
}
static taper_arg layers_tensor(taper_tensor *t) { return (taper_arg){.kind = t ? TAPER_ARG_TENSOR : TAPER_ARG_NONE, .t = t}; }

static taper_tensor *layers_number(taper_scope *s, double value, taper_device device) {
    static const int64_t none = 0;
    return tx_full(s, &none, 0, taper_float(value), TAPER_F32, &device);
}

/* Rows picked by a product with a matrix of zeros and ones. */
static taper_tensor *layers_one_hot(taper_scope *s, taper_tensor *weight, taper_tensor *index) {
    int64_t n = taper_tensor_numel(index), rows = taper_tensor_shape(weight)[0], shape[TAPER_MAX_DIMS];
    int ndim = taper_tensor_ndim(index);
    taper_device device = taper_tensor_device(weight);
    taper_tensor *host = NULL;
    int64_t *ids = taper__alloc(sizeof *ids * (size_t)(n ? n : 1));
    s->status = ids ? taper_tensor_read(index, ids, sizeof *ids * (size_t)n) : TAPER_FAIL(TAPER_MEMORY, "embedding: no memory");
    if (s->status == TAPER_OK) host = tx_full(s, (int64_t[]){n, rows}, 2, taper_float(0), TAPER_F32, &(taper_device){TAPER_CPU, 0});
    for (int64_t i = 0; host && i < n; i++) {
        if (ids[i] < 0 || ids[i] >= rows) {
            s->status = TAPER_FAIL(TAPER_INDEX, "index out of range in self");
            break;
        }
        ((float *)taper_tensor_data(host))[i * rows + ids[i]] = 1;
    }
    taper__free(ids);
    if (s->status != TAPER_OK) return NULL;
    for (int i = 0; i < ndim; i++) shape[i] = taper_tensor_shape(index)[i];
    shape[ndim] = taper_tensor_shape(weight)[1];
    return tx_reshape(s, tx_mm(s, tx_to(s, host, &device, TAPER_DTYPE_NONE, false, false), weight), shape, ndim + 1);
}

taper_tensor *taper_nn_embedding_forward(taper_scope *s, const taper_nn_embedding *e, taper_tensor *index) {
    const taper_op_row *row = taper_op_find("embedding");
    if (s->status != TAPER_OK) return NULL;
    if (!row) return layers_one_hot(s, e->weight, index);
    return layers_call(s, row, (taper_arg[]){layers_tensor(e->weight), layers_tensor(index)}, 2);
}

taper_tensor *taper_nn_gelu(taper_scope *s, taper_tensor *x) {
    const taper_op_row *row = taper_op_find("gelu");
    if (s->status != TAPER_OK) return NULL;
    if (row) return layers_call(s, row, (taper_arg[]){layers_tensor(x), {.kind = TAPER_ARG_STRING, .s = "tanh"}}, 2);
    taper_device device = taper_tensor_device(x);
    taper_tensor *cube = tx_mul(s, tx_mul(s, x, x), x);
    taper_tensor *inner = tx_mul(s, tx_add(s, x, cube, taper_float(0.044715)), layers_number(s, 0.7978845608028654, device));
    taper_tensor *half = tx_mul(s, x, layers_number(s, 0.5, device));
    return tx_add(s, half, tx_mul(s, half, tx_tanh(s, inner)), taper_int(1));
}

taper_tensor *taper_nn_attention(taper_scope *s, taper_tensor *q, taper_tensor *k, taper_tensor *v, bool causal) {
    const taper_op_row *row = taper_op_find("scaled_dot_product_attention");
    if (s->status != TAPER_OK) return NULL;
    if (row) {
        const taper_arg args[] = {layers_tensor(q), layers_tensor(k), layers_tensor(v), {.kind = TAPER_ARG_NONE},
                                  {.kind = TAPER_ARG_FLOAT, .f = 0}, {.kind = TAPER_ARG_BOOL, .i = causal}};
        return layers_call(s, row, args, TAPER_COUNT(args));
    }
    taper_device device = taper_tensor_device(q), cpu = taper_cpu();
    int64_t time = taper_tensor_shape(q)[2], keys = taper_tensor_shape(k)[2];
    taper_tensor *scale = layers_number(s, 1 / sqrt((double)taper_tensor_shape(q)[3]), device);
    taper_tensor *score = tx_mul(s, tx_matmul(s, q, tx_transpose(s, k, 2, 3)), scale);
    if (causal) {
        taper_tensor *mask = tx_full(s, (int64_t[]){time, keys}, 2, taper_float(0), TAPER_F32, &cpu);
        for (int64_t i = 0; mask && i < time; i++)
            for (int64_t j = i + 1; j < keys; j++) ((float *)taper_tensor_data(mask))[i * keys + j] = -INFINITY;
        score = tx_add(s, score, tx_to(s, mask, &device, TAPER_DTYPE_NONE, false, false), taper_int(1));
    }
    return tx_matmul(s, tx_softmax(s, score, 3, TAPER_DTYPE_NONE), v);
}
