/* Layers for C programs: parameters and buffers with names, the initial values PyTorch gives them, and a GPT made of them.
 *
 * A taper_params list owns every tensor; layers only point into it. An init function puts the layer's tensors into the list
 * as "name.weight", "name.bias", ... (name "": "weight", "bias"), which are the names of a PyTorch state_dict, and draws
 * their first values on the host from the default generator, so that a seed gives PyTorch's own model on every device.
 * On failure it gives the status; tensors that are in the list by then stay there. forward functions are expressions in
 * the manner of scope.h: NULL after a failure, which the scope remembers. A layer without weight or bias has NULL there:
 * one without either may be written as a plain struct. sequential.h is the container.
 */
#ifndef TAPER_NN_H
#define TAPER_NN_H

#include <taper/scope.h>

TAPER_BEGIN

typedef struct taper_params {
    int count, capacity;
    taper_tensor **tensors;
    char **names;
    bool *buffers; /* buffers[i]: tensors[i] is saved and moved like a parameter, but nothing trains it */
} taper_params;
#define TAPER_PARAMS {0, 0, NULL, NULL, NULL}

/* Adds t under a copy of `name` and takes a reference; t becomes a leaf that wants a gradient. VALUE when the name is
 * taken, RUNTIME when t is no leaf or not floating point, MEMORY. */
TAPER_API taper_status taper_params_add(taper_params *p, const char *name, taper_tensor *t);
/* The same for state that no optimiser may touch, of any dtype (running statistics, counters): t gets no gradient. */
TAPER_API taper_status taper_params_add_buffer(taper_params *p, const char *name, taper_tensor *t);
TAPER_API taper_tensor *taper_params_find(const taper_params *p, const char *name); /* borrowed; NULL */
TAPER_API int64_t taper_params_numel(const taper_params *p); /* elements of the parameters; buffers do not count */
TAPER_API taper_status taper_params_zero_grad(const taper_params *p);
/* Moves everything, gradients too, to *device (NULL: where it is) and what is floating point to dtype (NONE: as it is).
 * The tensor objects stay the same ones and are changed in place, so layers and optimisers keep pointing at them; their
 * old views do not follow. Make optimisers afterwards: their own state stays where it was. All or nothing. TYPE for a
 * dtype that is not floating point, NOT_IMPLEMENTED away from meta, MEMORY, DEVICE. */
TAPER_API taper_status taper_params_to(const taper_params *p, const taper_device *device, taper_dtype dtype);
TAPER_API void taper_params_release(taper_params *p); /* empties the list */

/* The state dict, parameters and buffers, as a file: a name that ends in .pt, .pth or .bin gives what torch.load reads, every
 * other one safetensors. The old file stays whole until the new one is. OS, MEMORY. */
TAPER_API taper_status taper_params_save(const taper_params *p, const char *path);
/* Reads either format, told apart by the first bytes; a checkpoint may hold the dictionary under "state_dict", "model" or
 * "model_state_dict". Values are converted to dtype and device of the tensors in p. KEY when the file lacks a name of p or
 * has one that p lacks, VALUE when a shape differs: all of them are named, and nothing was changed. A missing
 * num_batches_tracked stays as it is (PyTorch before 0.4.1 wrote none). Also what taper_load gives. */
TAPER_API taper_status taper_params_load(const taper_params *p, const char *path);
/* Takes the names that both sides have; *missing and *unexpected (may be NULL) count the others. VALUE as above. */
TAPER_API taper_status taper_params_load_partial(const taper_params *p, const char *path, int *missing, int *unexpected);

/* New parameter called "prefix.name" in p, drawn from the default generator: uniform in [-bound, bound), normal with
 * deviation std, or all equal. *out is borrowed from p. */
TAPER_API taper_status taper_param_uniform(taper_tensor **out, taper_params *p, const char *prefix, const char *name,
                                           taper_device device, double bound, int ndim, const int64_t *shape);
TAPER_API taper_status taper_param_normal(taper_tensor **out, taper_params *p, const char *prefix, const char *name,
                                          taper_device device, double std, int ndim, const int64_t *shape);
TAPER_API taper_status taper_param_constant(taper_tensor **out, taper_params *p, const char *prefix, const char *name,
                                            taper_device device, double value, int ndim, const int64_t *shape);
/* New buffer of any dtype, all equal. *out is borrowed from p. */
TAPER_API taper_status taper_buffer_constant(taper_tensor **out, taper_params *p, const char *prefix, const char *name,
                                             taper_device device, taper_dtype dtype, double value, int ndim, const int64_t *shape);

/* ---- layers ---- */

typedef struct taper_nn_linear {
    taper_tensor *weight, *bias; /* (out, in), (out) or NULL */
} taper_nn_linear;
/* Both uniform within 1 / sqrt(inputs), as torch.nn.Linear. */
TAPER_API taper_status taper_nn_linear_init(taper_nn_linear *l, taper_params *p, const char *name, int64_t inputs,
                                            int64_t outputs, bool bias, taper_device device);
/* x (..., in) -> (..., out). */
TAPER_API taper_tensor *taper_nn_linear_forward(taper_scope *s, const taper_nn_linear *l, taper_tensor *x);

/* Zero in stride, dilation, groups and kernel_width means their defaults: 1, 1, 1, and the kernel's height. One dimension
 * reads the first of each two. */
typedef struct taper_nn_conv_options {
    int64_t stride[2], padding[2], dilation[2], groups;
    int64_t kernel_width; /* of a kernel that is not square */
    bool no_bias;
} taper_nn_conv_options;
#define TAPER_NN_CONV_OPTIONS {{1, 1}, {0, 0}, {1, 1}, 1, 0, false}
typedef struct taper_nn_conv {
    taper_tensor *weight, *bias; /* (out, in / groups, K) or (out, in / groups, KH, KW); (out) or NULL */
    int dims;                    /* 1 or 2 */
    int64_t stride[2], padding[2], dilation[2], groups;
} taper_nn_conv;
/* torch.nn.Conv1d and Conv2d: weight and bias uniform within 1 / sqrt(in / groups * KH * KW). options may be NULL. VALUE
 * when groups does not divide inputs and outputs. */
TAPER_API taper_status taper_nn_conv1d_init(taper_nn_conv *c, taper_params *p, const char *name, int64_t inputs, int64_t outputs,
                                            int64_t kernel, const taper_nn_conv_options *options, taper_device device);
TAPER_API taper_status taper_nn_conv2d_init(taper_nn_conv *c, taper_params *p, const char *name, int64_t inputs, int64_t outputs,
                                            int64_t kernel, const taper_nn_conv_options *options, taper_device device);
/* x (N, in, L) or (N, in, H, W), N may be left out. */
TAPER_API taper_tensor *taper_nn_conv_forward(taper_scope *s, const taper_nn_conv *c, taper_tensor *x);

typedef struct taper_nn_embedding {
    taper_tensor *weight; /* (rows, width) */
    int64_t padding_idx;  /* the row that gets no gradient; -1: none */
} taper_nn_embedding;
/* Normal with deviation std (torch.nn.Embedding: 1). */
TAPER_API taper_status taper_nn_embedding_init(taper_nn_embedding *e, taper_params *p, const char *name, int64_t rows,
                                               int64_t width, double std, taper_device device);
/* Makes a row (negative: from the end) the padding: zero, and without a gradient. VALUE outside the table. */
TAPER_API taper_status taper_nn_embedding_set_padding(taper_nn_embedding *e, int64_t row);
/* int64 or int32 index (...) -> (..., width). */
TAPER_API taper_tensor *taper_nn_embedding_forward(taper_scope *s, const taper_nn_embedding *e, taper_tensor *index);

/* Channels are dim 1, and weight 1 and bias 0 are their first values (BatchNorm1d, BatchNorm2d and GroupNorm of torch). */
typedef struct taper_nn_batch_norm_options {
    double eps, momentum;
    bool cumulative;    /* the running statistics are the plain mean over all batches (torch: momentum=None) */
    bool no_affine;     /* no weight and bias */
    bool no_statistics; /* no buffers: the batch's own statistics in evaluation too (track_running_stats=False) */
} taper_nn_batch_norm_options;
#define TAPER_NN_BATCH_NORM_OPTIONS {1e-5, 0.1, false, false, false}
typedef struct taper_nn_batch_norm {
    taper_tensor *weight, *bias;             /* (C), or NULL */
    taper_tensor *running_mean, *running_var; /* buffers (C), or NULL */
    taper_tensor *num_batches_tracked;        /* buffer (), int64, or NULL */
    double eps, momentum;
    bool cumulative;
    bool training; /* at first; false: normalises by the running statistics and leaves them as they are */
} taper_nn_batch_norm;
/* options may be NULL. */
TAPER_API taper_status taper_nn_batch_norm_init(taper_nn_batch_norm *n, taper_params *p, const char *name, int64_t channels,
                                                const taper_nn_batch_norm_options *options, taper_device device);
/* x (N, C), (N, C, L) or (N, C, H, W). In training the call moves the buffers too. */
TAPER_API taper_tensor *taper_nn_batch_norm_forward(taper_scope *s, const taper_nn_batch_norm *n, taper_tensor *x);

typedef struct taper_nn_group_norm {
    taper_tensor *weight, *bias; /* (C), or NULL */
    int64_t groups;
    double eps; /* 1e-5 after init */
} taper_nn_group_norm;
/* VALUE when groups does not divide channels. */
TAPER_API taper_status taper_nn_group_norm_init(taper_nn_group_norm *n, taper_params *p, const char *name, int64_t groups,
                                                int64_t channels, taper_device device);
/* x (N, C, ...). */
TAPER_API taper_tensor *taper_nn_group_norm_forward(taper_scope *s, const taper_nn_group_norm *n, taper_tensor *x);

typedef struct taper_nn_layer_norm {
    taper_tensor *weight, *bias; /* (width), or NULL */
    int64_t width;
    double eps; /* 1e-5 after init */
} taper_nn_layer_norm;
TAPER_API taper_status taper_nn_layer_norm_init(taper_nn_layer_norm *n, taper_params *p, const char *name, int64_t width,
                                                taper_device device);
/* x (..., width). */
TAPER_API taper_tensor *taper_nn_layer_norm_forward(taper_scope *s, const taper_nn_layer_norm *n, taper_tensor *x);

typedef struct taper_nn_rms_norm {
    taper_tensor *weight; /* (width), or NULL */
    int64_t width;
    double eps; /* 0, as after init: the smallest step at 1 of x's dtype */
} taper_nn_rms_norm;
TAPER_API taper_status taper_nn_rms_norm_init(taper_nn_rms_norm *n, taper_params *p, const char *name, int64_t width,
                                              taper_device device);
/* x (..., width). */
TAPER_API taper_tensor *taper_nn_rms_norm_forward(taper_scope *s, const taper_nn_rms_norm *n, taper_tensor *x);

typedef struct taper_nn_dropout {
    double p;      /* of an element to become zero; the others are divided by 1 - p */
    bool training; /* false: x itself */
} taper_nn_dropout;
#define TAPER_NN_DROPOUT {0.5, true}
/* Any x. RUNTIME when p is outside [0, 1]. */
TAPER_API taper_tensor *taper_nn_dropout_forward(taper_scope *s, const taper_nn_dropout *d, taper_tensor *x);

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
    bool half; /* computes in bfloat16 with copies of the weights, made at each call or kept by taper_optimizer_keep_copies; parameters and gradients
                stay float32 */
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
