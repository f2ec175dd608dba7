/* Gradients: the tape that calls write, and the walk back over it. */
#ifndef TAPER_AUTOGRAD_H
#define TAPER_AUTOGRAD_H

#include <taper/tensor.h>

TAPER_BEGIN

typedef struct taper_node taper_node;

/* Marks a leaf whose gradient is wanted. RUNTIME for integer tensors and for false on a non-leaf. */
TAPER_API taper_status taper_set_requires_grad(taper_tensor *t, bool requires_grad);
TAPER_API bool taper_requires_grad(const taper_tensor *t);
TAPER_API bool taper_is_leaf(const taper_tensor *t);
/* Keeps the gradient of a non-leaf too. */
TAPER_API taper_status taper_retain_grad(taper_tensor *t);
TAPER_API bool taper_retains_grad(const taper_tensor *t);

/* The collected gradient; borrowed, NULL when there is none. */
TAPER_API taper_tensor *taper_grad(const taper_tensor *t);
/* Replaces it (NULL: forgets it). */
TAPER_API taper_status taper_set_grad(taper_tensor *t, taper_tensor *grad);

/* out: the same storage without a history. */
TAPER_API taper_status taper_detach(taper_tensor **out, taper_tensor *t);
TAPER_API taper_status taper_detach_(taper_tensor *t);

/* copy holds the leaf t in another floating dtype (a weight in bfloat16) from now on and for as long as t does not change: casts of t by
 * taper_cast_leaf, autocast and linear_cross_entropy use it. Whoever changes t and the copy together says so again; any other write to t
 * ends it. Held by t. copy NULL: forgets it. RUNTIME unless t is a leaf, VALUE for another shape or device. */
TAPER_API taper_status taper_set_leaf_copy(taper_tensor *t, taper_tensor *copy);
/* That copy, if it is of this dtype and t has not changed since; borrowed until t changes or goes, else NULL. */
TAPER_API taper_tensor *taper_leaf_copy(const taper_tensor *t, taper_dtype dtype);
/* t in dtype, recorded like taper_to: such a copy, or a conversion where there is none (or t is no leaf). The result is not to be
 * written. */
TAPER_API taper_status taper_cast_leaf(taper_tensor **out, taper_tensor *t, taper_dtype dtype);

/* The node that made t; borrowed while t lives, NULL for leaves. */
TAPER_API taper_node *taper_grad_fn(taper_tensor *t);
TAPER_API const char *taper_node_name(const taper_node *n);
TAPER_API taper_node *taper_node_retain(taper_node *n);
TAPER_API void taper_node_release(taper_node *n);
/* The i-th node this one passes gradients to; borrowed; NULL where none is needed. *nr: which of its results. */
TAPER_API int taper_node_inputs(const taper_node *n);
TAPER_API taper_node *taper_node_input(const taper_node *n, int i, int *nr);
/* Tensor of an AccumulateGrad node; borrowed, NULL for other nodes. */
TAPER_API taper_tensor *taper_node_variable(const taper_node *n);

/* Gradients of the sum of roots[i] * grads[i] (grads or grads[i] NULL: one, for a root with one element) added to .grad
 * of every leaf that needs one. retain_graph keeps the tape for another walk; create_graph records the walk itself. */
TAPER_API taper_status taper_backward(taper_tensor *const *roots, taper_tensor *const *grads, int nroots, bool retain_graph,
                                      bool create_graph);
/* The same gradients with respect to inputs only, given back in out[ninputs] (+1; NULL where unused, which is an error
 * unless allow_unused). No .grad is touched. */
TAPER_API taper_status taper_gradients(taper_tensor **out, taper_tensor *const *roots, taper_tensor *const *grads, int nroots,
                                       taper_tensor *const *inputs, int ninputs, bool retain_graph, bool create_graph,
                                       bool allow_unused);
/* backward(inputs=...): adds to .grad of these leaves only. */
TAPER_API taper_status taper_backward_inputs(taper_tensor *const *roots, taper_tensor *const *grads, int nroots,
                                             taper_tensor *const *inputs, int ninputs, bool retain_graph, bool create_graph);

/* Per-thread modes; each gives the old value. */
TAPER_API bool taper_set_grad_enabled(bool on);
TAPER_API bool taper_grad_enabled(void);
TAPER_API bool taper_set_inference_mode(bool on);
TAPER_API bool taper_inference_mode(void);
/* Made by an operator under inference mode: it is never saved for a gradient nor changed in place outside. */
TAPER_API bool taper_is_inference(const taper_tensor *t);
/* 0: off; 1: each node remembers where it was made; 2: and NaN in a gradient is an error. */
TAPER_API int taper_set_anomaly_mode(int mode);
TAPER_API int taper_anomaly_mode(void);
/* Gives a heap string (ended by `free`) that says where the program is, asked for each node under anomaly mode. */
TAPER_API void taper_set_trace_callback(char *(*where)(void));

/* hook(ctx, grad, &replacement): called with the gradient of t; may give another (+1). `release(ctx)` when it is removed. */
typedef taper_status (*taper_grad_hook)(void *ctx, taper_tensor *grad, taper_tensor **replacement);
TAPER_API taper_status taper_register_hook(taper_tensor *t, taper_grad_hook hook, void (*release)(void *), void *ctx, int64_t *id);
/* Called with the leaf itself after its .grad was changed. */
TAPER_API taper_status taper_register_post_accumulate_hook(taper_tensor *t, taper_grad_hook hook, void (*release)(void *), void *ctx,
                                                           int64_t *id);
TAPER_API void taper_remove_hook(taper_tensor *t, int64_t id);

/* Hooks of a node. Before it runs: grads are the gradients of its results; after: those it gives to its inputs, and outputs is what
 * it got. Entries may be NULL; the hook may replace one (release it, put +1 in its place). */
typedef taper_status (*taper_node_hook)(void *ctx, taper_tensor **grads, int ngrads, taper_tensor *const *outputs, int noutputs);
TAPER_API taper_status taper_register_node_hook(taper_node *n, bool before, taper_node_hook hook, void (*release)(void *), void *ctx,
                                                int64_t *id);
TAPER_API void taper_remove_node_hook(taper_node *n, int64_t id);

/* A function of the caller's own as one node: outputs[nout] get a history of inputs[nin]. backward(ctx, grads, dinputs):
 * grads[nout] may be NULL each; it sets dinputs[nin] (+1, NULL: zero). release(ctx) ends it. */
typedef struct taper_function {
    const char *name; /* static */
    taper_status (*backward)(void *ctx, taper_tensor *const *grads, taper_tensor **dinputs);
    void (*drop_saved)(void *ctx); /* after a walk without retain_graph; may be NULL */
    void (*release)(void *ctx);
    void *ctx;
} taper_function;
TAPER_API taper_status taper_function_record(taper_tensor *const *outputs, int nout, taper_tensor *const *inputs, int nin,
                                             const taper_function *f);

/* Autocast, mixed precision by operator (Micikevicius et al. 2018), for the calling thread and one device type, from here until it is
 * switched off: products and convolutions run in dtype (NONE: bfloat16 on the CPU, float16 on a GPU), sums, losses and exponentials
 * in float32, each as its row in ops.def says (docs/operators.md); parameters and their gradients keep their dtype. Put the forward
 * pass and the loss inside, the backward pass and the optimiser's step outside:
 *
 *     taper_set_autocast(TAPER_CUDA, true, TAPER_F16, true);
 *     taper_tensor *loss = ...;
 *     taper_set_autocast(TAPER_CUDA, false, TAPER_DTYPE_NONE, true);
 *
 * cache: a leaf that wants a gradient is cast once for as long as it does not change, at the cost of keeping that copy until the region
 * ends or taper_autocast_clear_cache is called. Regions nest when the inner one puts back what taper_autocast_enabled told before.
 * taper_autocast_enabled: whether the thread is in a region; *dtype (may be NULL) is what that would compute in, inside or not. */
TAPER_API void taper_set_autocast(taper_device_type device, bool on, taper_dtype dtype, bool cache);
TAPER_API bool taper_autocast_enabled(taper_device_type device, taper_dtype *dtype);
TAPER_API void taper_autocast_clear_cache(void);

TAPER_END

#endif
