/* Matrix products by cuBLASLt, found at run time (majors 11, 12 and 13). */
#ifndef TAPER_DEVICE_CUDA_BLAS_H
#define TAPER_DEVICE_CUDA_BLAS_H

#include <taper/dtype.h>

#include "device/cuda/cuda.h"

/* What is done to the product before it is stored. Values are cuBLASLt's. N is the row length of out, M its rows. */
typedef enum taper_epilogue {
    TAPER_EPILOGUE_NONE = 1,
    TAPER_EPILOGUE_RELU = 2,
    TAPER_EPILOGUE_BIAS = 4,          /* + bias[N] */
    TAPER_EPILOGUE_RELU_BIAS = 6,     /* relu(product + bias[N]) */
    TAPER_EPILOGUE_DRELU = 136,       /* product where aux (bit mask) has 1, else 0 */
    TAPER_EPILOGUE_DRELU_BGRAD = 152, /* and bias[N] = sum of that over M */
    TAPER_EPILOGUE_RELU_AUX = 130,    /* aux: mask of the positive elements */
    TAPER_EPILOGUE_RELU_AUX_BIAS = 134,
    TAPER_EPILOGUE_GELU = 32, /* the tanh form */
    TAPER_EPILOGUE_GELU_BIAS = 36,
    TAPER_EPILOGUE_GELU_AUX = 160, /* aux[M, N]: the argument of gelu */
    TAPER_EPILOGUE_GELU_AUX_BIAS = 164,
    TAPER_EPILOGUE_DGELU = 192,       /* product * gelu'(aux[M, N]) */
    TAPER_EPILOGUE_DGELU_BGRAD = 208, /* and bias[N] = sum of that over M */
    TAPER_EPILOGUE_SUM_B = 256,       /* bias[N] = sum over K of op(b)[K, N] */
    TAPER_EPILOGUE_SUM_A = 512,       /* bias[M] = sum over K of op(a)[M, K] */
} taper_epilogue;

/* Row-major: out[M, N] = epilogue(alpha * op(a)[M, K] op(b)[K, N] + beta * c[M, N]). */
typedef struct taper_gemm {
    int64_t m, n, k;
    int64_t batch;                       /* 0 or 1: one product */
    bool trans_a, trans_b;               /* a is stored as [K, M]; b is stored as [N, K] */
    bool tf32;                           /* float32 operands may be rounded to TF32 */
    bool fast_accumulate;                /* fp8: accumulate in the tensor core's own precision */
    uint8_t dtype_a, dtype_b, dtype_out; /* taper_dtype; c has that of out (fp8 out: bfloat16) */
    taper_epilogue epilogue;             /* 0 counts as NONE */
    const void *a, *b, *c;               /* c NULL: out */
    void *out;
    int64_t lda, ldb, ldc, ldout;                     /* elements from row to row as stored; 0: dense */
    int64_t stride_a, stride_b, stride_c, stride_out; /* elements from matrix to matrix of a batch */
    double alpha, beta;
    void *bias; /* read or written as the epilogue says; dtype of out */
    void *aux;
    int64_t ldaux, stride_aux;                  /* 0: dense */
    const float *scale_a, *scale_b, *scale_out; /* fp8: one float32 each in GPU memory, or NULL */
} taper_gemm;

/* false with a sentence when there is no usable cuBLASLt. Loads it at the first call. */
bool taper__cublaslt_available(char *why, size_t why_size);
/* NOT_IMPLEMENTED with cuBLASLt's reason when it has no kernel for the case. Queued on the current stream. */
taper_status taper__cublaslt_matmul(const taper_gemm *g, int index, const char *op);
/* What taper_cuda_set_matmul_tf32 chose. */
bool taper__cublaslt_tf32(void);
/* 130100 for 13.1.0; 0 when not loaded */
int taper__cublaslt_version(void);

#endif
