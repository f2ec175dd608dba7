/* What operator files share: building results in infer, and the loops of element-wise kernels. */
#ifndef TAPER_OPS_OP_H
#define TAPER_OPS_OP_H

#include <taper/ops.h>
#include <taper/scope.h>

#include "tensor/tensor.h"

/* ---- infer.c: results ---- */
/* out[i]: new, contiguous, on the device of the call. */
taper_status taper__out(taper_call *c, int i, taper_dtype dtype, int ndim, const int64_t *shape);
taper_status taper__out_strided(taper_call *c, int i, taper_dtype dtype, int ndim, const int64_t *shape,
                                const int64_t *strides);
taper_status taper__out_like(taper_call *c, int i, taper_dtype dtype, const taper_tensor *t); /* shape and layout of t */
/* Strides for the shape of t without gaps or repetitions, dims in the order of t's own strides. */
void taper__dense_strides(const taper_tensor *t, int64_t *strides);
/* out[i]: a view of t (no kernel runs). */
taper_status taper__out_view(taper_call *c, int i, taper_tensor *t, int ndim, const int64_t *shape, const int64_t *strides,
                             int64_t offset);
/* out[i]: shape of t in the order of dims that the MemoryFormat argument says; none or "preserve_format": that of t. */
taper_status taper__out_format(taper_call *c, int i, taper_dtype dtype, const taper_tensor *t, const taper_arg *format);
/* A row whose result is Tensor[]: room for `count` results in c->list, all NULL. */
taper_status taper__out_list(taper_call *c, int count);
/* out[i]: t itself. */
taper_status taper__out_same(taper_call *c, int i, taper_tensor *t);

/* Wraps a dim into [0, ndim); INDEX with torch's words otherwise. ndim 0 counts as 1. */
taper_status taper__wrap_dim(int *out, int64_t dim, int ndim, const char *op);
/* dims as a bit mask; all when the argument is none or empty. */
taper_status taper__dim_mask(uint32_t *mask, const taper_arg *dims, int ndim, const char *op);
/* The shape two or more operands broadcast to. */
taper_status taper__broadcast(int *ndim, int64_t *shape, taper_tensor *const *ts, int count, const char *op);
/* The dtype of a mixed call by torch's rules (dimensioned tensors, then 0-dim ones, then numbers). */
taper_dtype taper__result_dtype(taper_tensor *const *ts, int count, const taper_arg *numbers, int nnumbers);
taper_status taper__need_float(const taper_tensor *t, const char *op);
taper_status taper__need_same_device(const taper_call *c);

#define TAPER_ARG_T(c, k) ((c)->args[k].kind == TAPER_ARG_TENSOR ? (c)->args[k].t : NULL)

/* ---- pointwise.c: loops over broadcast operands of any stride and dtype ---- */
enum { TAPER_ITER_OPERANDS = 6, TAPER_BLOCK = 1024 };
typedef enum taper_compute { TAPER_COMPUTE_F32, TAPER_COMPUTE_F64, TAPER_COMPUTE_I64, TAPER_COMPUTE_COUNT } taper_compute;

/* Operand 0 is the result. Dims of size 1 are dropped, adjacent dims merged; the last is the innermost. */
typedef struct taper_iter {
    int ndim, count;
    int64_t numel, shape[TAPER_MAX_DIMS];
    int64_t strides[TAPER_ITER_OPERANDS][TAPER_MAX_DIMS]; /* elements */
    void *data[TAPER_ITER_OPERANDS];
    taper_dtype dtype[TAPER_ITER_OPERANDS];
} taper_iter;
/* inputs broadcast to the shape of out; strides 0 where they repeat. A NULL input stands for a number. */
void taper__iter_init(taper_iter *it, taper_tensor *out, taper_tensor *const *in, int nin);

/* n elements, contiguous, in the compute type; result in the compute type, or uint8_t for predicates. params: at least 3. */
typedef void (*taper_block_fn)(void *out, const void *const *in, int64_t n, const double *params);
taper_status taper__pointwise_run(taper_iter *it, taper_compute compute, bool predicate, taper_block_fn fn,
                                  const double *params);

/* ---- create.c ---- */
/* Every element of t = value; host memory. */
taper_status taper__fill_data(taper_tensor *t, taper_scalar value);

/* ---- copy.c ---- */
/* dst[...] = src[...], broadcast, converted, between devices; no history, no version. */
taper_status taper__copy_data(taper_tensor *dst, const taper_tensor *src);
taper_status taper__copy_cuda(taper_tensor *dst, const taper_tensor *src); /* both on one GPU */
taper_status taper__fill_cuda(taper_tensor *dst, taper_scalar value);

/* ---- vjp.c: what gradients are made of ---- */
/* grad summed down to the shape of `like` and converted to its dtype and device: undoes broadcasting and promotion. */
taper_tensor *taper__sum_to(taper_scope *s, taper_tensor *grad, const taper_tensor *like);
/* A 0-dim CPU tensor that behaves as a Python number in promotion. */
taper_tensor *taper__number(taper_scope *s, double value);
taper_tensor *taper__zeros_like(taper_scope *s, const taper_tensor *t);
/* window (dims of stride 0 repeat) = the sum of grad over the repetitions. */
taper_status taper__add_overlapping(taper_scope *s, taper_tensor *window, taper_tensor *grad);

/* ---- view.c ---- */
bool taper__view_strides(const taper_tensor *self, int ndim, const int64_t *shape, int64_t *strides);
taper_status taper__infer_size(int64_t *shape, const taper_arg *size, int64_t numel, const char *op);

#endif
