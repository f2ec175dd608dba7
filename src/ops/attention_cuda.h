/* How attention runs on a GPU: which kernels fit, how they are cut, how much shared memory they take. */
#ifndef TAPER_OPS_ATTENTION_CUDA_H
#define TAPER_OPS_ATTENTION_CUDA_H

#include "ops/attention.h"
#include "ops/attention_args.h"

typedef enum taper_attention_pass { TAPER_ATTENTION_FORWARD, TAPER_ATTENTION_DQ, TAPER_ATTENTION_DKV } taper_attention_pass;

/* The head size of the tensor-core kernel that takes E and V: 32, 64, 96 or 128; 0 when none does. */
int taper__attention_head(int64_t E, int64_t V);
/* Rows (queries; keys in the last pass) of one block, and its shared memory. extra: with a mask or dropout. */
int taper__attention_rows(taper_attention_pass pass, int head, bool extra);
unsigned taper__attention_shared_bytes(taper_attention_pass pass, int head, bool extra);

/* Weights that dropout removes and what the others are multiplied with: the 16-bit bound of attention_args.h. */
unsigned taper__attention_drop_bound(double p);

typedef struct taper_attention_dropout {
    double p;
    uint64_t seed, offset;
} taper_attention_dropout;
taper_status taper__attention_cuda(const taper_attention *a, taper_attention_dropout dropout, taper_tensor *out, taper_tensor *logsumexp);
taper_status taper__attention_backward_cuda(const taper_attention *a, taper_attention_dropout dropout, const taper_tensor *dout,
                                            const taper_tensor *out, const taper_tensor *logsumexp, taper_tensor *dq, taper_tensor *dk,
                                            taper_tensor *dv);

/* ---- attention_dnn.c ---- */
/* Whether cuDNN is to do it; .mask, dtypes, sizes, strides and alignment count. gradients: those of out, q, k and v, or NULL when
 * forward; results may be without data yet. */
bool taper__attention_dnn_takes(const taper_attention *a, double dropout, const taper_tensor *out, const taper_tensor *const *gradients, const char **why);
/* By sizes alone, before any view is made. */
bool taper__attention_dnn_worth(taper_dtype dtype, int64_t heads, int64_t L, int64_t S, int64_t E, int64_t V, const char **why);
/* By cuDNN, or by the kernels above where it has none: logsumexp means the same to both. */
taper_status taper__attention_dnn(const taper_attention *a, taper_tensor *out, taper_tensor *logsumexp);
taper_status taper__attention_backward_dnn(const taper_attention *a, const taper_tensor *dout, const taper_tensor *out, const taper_tensor *logsumexp,
                                           taper_tensor *dq, taper_tensor *dk, taper_tensor *dv);

#endif
