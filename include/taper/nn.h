/* Layers for C programs: parameters with names, the initial values PyTorch gives them, and a GPT made of them.
 *
 * A taper_params list owns every tensor; layers only point into it. forward functions are expressions in the manner of
 * scope.h: NULL after a failure, which the scope remembers. Names are those of a PyTorch state_dict.
 */
#ifndef TAPER_NN_H
#define TAPER_NN_H

#include <taper/scope.h>

TAPER_BEGIN

typedef struct taper_params {
    int count, capacity;
    taper_tensor **tensors;
    char **names;
} taper_params;
#define TAPER_PARAMS {0, 0, NULL, NULL}

/* Adds t under a copy of `name` and takes a reference; t becomes a leaf that wants a gradient. */
TAPER_API taper_status taper_params_add(taper_params *p, const char *name, taper_tensor *t);
TAPER_API taper_tensor *taper_params_find(const taper_params *p, const char *name); /* borrowed; NULL */
TAPER_API int64_t taper_params_numel(const taper_params *p);
TAPER_API taper_status taper_params_zero_grad(const taper_params *p);
/* safetensors. load: every name must be in the file with the same shape and dtype; KEY or VALUE otherwise. */
TAPER_API taper_status taper_params_save(const taper_params *p, const char *path);
TAPER_API taper_status taper_params_load(const taper_params *p, const char *path);
TAPER_API void taper_params_release(taper_params *p); /* empties the list */

/* New parameter called "prefix.name" in p, drawn from the default generator: uniform in [-bound, bound), normal with
 * deviation std, or all equal. *out is borrowed from p. */
TAPER_API taper_status taper_param_uniform(taper_tensor **out, taper_params *p, const char *prefix, const char *name,
                                           taper_device device, double bound, int ndim, const int64_t *shape);
TAPER_API taper_status taper_param_normal(taper_tensor **out, taper_params *p, const char *prefix, const char *name,
                                          taper_device device, double std, int ndim, const int64_t *shape);
TAPER_API taper_status taper_param_constant(taper_tensor **out, taper_params *p, const char *prefix, const char *name,
                                            taper_device device, double value, int ndim, const int64_t *shape);

/* ---- layers ---- */

typedef struct taper_nn_linear {
    taper_tensor *weight, *bias; /* (out, in), (out) or NULL */
} taper_nn_linear;
/* Both uniform within 1 / sqrt(inputs), as torch.nn.Linear. */
TAPER_API taper_status taper_nn_linear_init(taper_nn_linear *l, taper_params *p, const char *name, int64_t inputs,
                                            int64_t outputs, bool bias, taper_device device);
TAPER_API taper_tensor *taper_nn_linear_forward(taper_scope *s, const taper_nn_linear *l, taper_tensor *x);

typedef struct taper_nn_embedding {
    taper_tensor *weight; /* (rows, width) */
} taper_nn_embedding;
/* Normal with deviation std (torch.nn.Embedding: 1). */
TAPER_API taper_status taper_nn_embedding_init(taper_nn_embedding *e, taper_params *p, const char *name, int64_t rows,
                                               int64_t width, double std, taper_device device);
TAPER_API taper_tensor *taper_nn_embedding_forward(taper_scope *s, const taper_nn_embedding *e, taper_tensor *index);

typedef struct taper_nn_layer_norm {
    taper_tensor *weight, *bias;
    int64_t width;
} taper_nn_layer_norm;
TAPER_API taper_status taper_nn_layer_norm_init(taper_nn_layer_norm *n, taper_params *p, const char *name, int64_t width,
                                                taper_device device);
TAPER_API taper_tensor *taper_nn_layer_norm_forward(taper_scope *s, const taper_nn_layer_norm *n, taper_tensor *x);

/* GELU by its tanh approximation. */
TAPER_API taper_tensor *taper_nn_gelu(taper_scope *s, taper_tensor *x);
/* Attention of q, k, v (batch, heads, time, width); causal: no position sees later ones. */
TAPER_API taper_tensor *taper_nn_attention(taper_scope *s, taper_tensor *q, taper_tensor *k, taper_tensor *v, bool causal);

/* ---- a GPT ---- */

enum { TAPER_NN_MAX_LAYERS = 64 };
typedef struct taper_nn_block {
    taper_nn_layer_norm ln1, ln2;
    taper_nn_linear qkv, proj, fc, out;
    int64_t heads;
} taper_nn_block;

typedef struct taper_nn_gpt {
    int64_t layers, width, heads, vocabulary, context;
    bool half; /* computes in bfloat16 with copies of the weights made at each call; parameters and gradients stay float32 */
    taper_nn_embedding wte, wpe; /* wte is the output layer too */
    taper_nn_block blocks[TAPER_NN_MAX_LAYERS];
    taper_nn_layer_norm ln;
} taper_nn_gpt;
/* Set the five sizes first. Matrices are normal with deviation 0.02, those that end a branch less (Radford et al. 2019). */
TAPER_API taper_status taper_nn_gpt_init(taper_nn_gpt *g, taper_params *p, taper_device device);
/* Logits (batch, time, vocabulary) of int64 index (batch, time). */
TAPER_API taper_tensor *taper_nn_gpt_forward(taper_scope *s, const taper_nn_gpt *g, taper_tensor *index);
/* Mean cross entropy of the logits against int64 target (batch, time). */
TAPER_API taper_tensor *taper_nn_gpt_loss(taper_scope *s, const taper_nn_gpt *g, taper_tensor *index, taper_tensor *target);

TAPER_END

#endif
