/* Launches that the operators of indexing share on the GPU. */
#ifndef TAPER_OPS_INDEX_CUDA_H
#define TAPER_OPS_INDEX_CUDA_H

#include "ops/index_geometry.h"
#include "ops/op.h"

/* k->out: one number per position. INDEX at once when an indexed dim has no elements. */
taper_status taper__positions_cuda(taper_positions_args *k, taper_device device, const char *op);
/* Reads self into other, or writes other (or the number) into self; k->n and the dims as taper__move_dim left them. */
taper_status taper__move_cuda(taper_move_args *k, taper_dtype dtype, bool write, taper_device device, const char *op);
/* Sorts positions made by `p` (whose .out is ignored; most: the largest they can be) and combines rows of k->other there. */
taper_status taper__combine_cuda(taper_combine_args *k, taper_positions_args *p, int64_t most, taper_device device, const char *op);
/* One index tensor over the dims of p. strides NULL: those of t. */
void taper__positions_add(taper_positions_args *p, const taper_tensor *t, const int64_t *strides, int64_t size, int64_t along);
/* The number as the bytes of an element, and rounded to the dtype as double and integer. */
uint64_t taper__index_number(const taper_arg *value, taper_dtype dtype, double *number, int64_t *whole);

/* Of embedding, lines and gather (X_cuda.c). */
taper_status taper__index_select_cuda(taper_tensor *out, const taper_tensor *self, const taper_tensor *index, int dim, const char *op);
typedef enum taper_lines_what { TAPER_LINES_ADD, TAPER_LINES_COPY, TAPER_LINES_FILL } taper_lines_what;
taper_status taper__index_lines_cuda(taper_call *c, taper_lines_what what);
taper_status taper__gather_cuda(taper_call *c);
/* what: of taper_combine_what; the source is argument 3, a tensor or a number. */
taper_status taper__scatter_cuda(taper_call *c, taper_combine_what what, bool include, bool mean);
/* Positions of what is not zero, in order: (count, ndim) int64. Waits for the count. */
taper_status taper__nonzero_cuda(taper_tensor **out, const taper_tensor *self);
/* 0, 1, 2, ... each as often as the steps of `ends` (int64, contiguous, running sums) say. */
taper_status taper__repeat_indices_cuda(taper_tensor *out, const taper_tensor *ends);

#endif
