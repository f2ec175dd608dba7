/* Operation graphs of cuDNN under construction: tensors, the operations between them, and the plan of one engine. The first
 * failure stops everything after it, so that a caller looks at the status once. */
#ifndef TAPER_DEVICE_CUDA_DNN_GRAPH_H
#define TAPER_DEVICE_CUDA_DNN_GRAPH_H

#include "device/cuda/dnn.h"

/* Numbers of cudnn_graph.h: data types, modes of element-wise operations, operators of reductions. */
enum { TAPER_DNN_FLOAT = 0, TAPER_DNN_HALF = 2, TAPER_DNN_INT32 = 4, TAPER_DNN_BFLOAT16 = 9, TAPER_DNN_BOOLEAN = 11 };
enum {
    TAPER_DNN_ADD = 0,
    TAPER_DNN_MUL = 1,
    TAPER_DNN_DIV = 6,
    TAPER_DNN_SUB = 9,
    TAPER_DNN_EXP = 13,
    TAPER_DNN_LOG = 15,
    TAPER_DNN_IDENTITY = 21,
    TAPER_DNN_GREATER_EQUAL = 303,
    TAPER_DNN_LESS = 304,
    TAPER_DNN_AND = 400,
    TAPER_DNN_INDEX = 501,
    TAPER_DNN_SELECT = 601,
};
enum { TAPER_DNN_SUM = 0, TAPER_DNN_MAX = 3 };

enum { TAPER_DNN_DESCRIPTORS = 128, TAPER_DNN_OPERATIONS = 40 };

typedef struct taper_dnn_tensor {
    void *descriptor;
    int64_t sizes[4], strides[4];
} taper_dnn_tensor;

typedef struct taper_dnn_graph {
    const taper_cudnn *dnn;
    int status;       /* cudnnStatus_t of the first failure */
    const char *step; /* what was being made then */
    void *made[TAPER_DNN_DESCRIPTORS], *operations[TAPER_DNN_OPERATIONS];
    int made_count, operation_count;
    int64_t last_id; /* of tensors without memory */
} taper_dnn_graph;

void taper__dnn_graph_begin(taper_dnn_graph *g, const taper_cudnn *dnn);
void taper__dnn_graph_end(taper_dnn_graph *g);

/* A tensor in memory at a multiple of 16 bytes; id: 1 to 99, for the call. */
taper_dnn_tensor taper__dnn_tensor(taper_dnn_graph *g, int64_t id, int type, const int64_t *sizes, const int64_t *strides);
/* One float that the call reads from host memory. */
taper_dnn_tensor taper__dnn_value(taper_dnn_graph *g, int64_t id);
/* A tensor without memory; strides NULL: contiguous. */
taper_dnn_tensor taper__dnn_between(taper_dnn_graph *g, int type, const int64_t *sizes, const int64_t *strides);
/* t with its last two dims exchanged, described anew under the same id. */
void taper__dnn_turned(int64_t *sizes, int64_t *strides);

/* What counts of rows, columns and inner length of a product, an int32 for each of the batch; NULL: all. */
typedef struct taper_dnn_lengths {
    const taper_dnn_tensor *m, *n, *k;
} taper_dnn_lengths;
void taper__dnn_matmul(taper_dnn_graph *g, const taper_dnn_tensor *a, const taper_dnn_tensor *b, taper_dnn_lengths lengths, const taper_dnn_tensor *out);
/* out = mode(x, y, choose), computed in `type`; y and choose may be NULL; axis is for INDEX. */
void taper__dnn_pointwise(taper_dnn_graph *g, int mode, int type, int64_t axis, const taper_dnn_tensor *x, const taper_dnn_tensor *y,
                          const taper_dnn_tensor *choose, const taper_dnn_tensor *out);
/* The same into a new float tensor without memory, of the size of x. */
taper_dnn_tensor taper__dnn_map(taper_dnn_graph *g, int mode, const taper_dnn_tensor *x, const taper_dnn_tensor *y);
void taper__dnn_reduce(taper_dnn_graph *g, int operator_, const taper_dnn_tensor *x, const taper_dnn_tensor *out);
void taper__dnn_reshape(taper_dnn_graph *g, const taper_dnn_tensor *x, const taper_dnn_tensor *out);
/* product, padding, stride and dilation of c; of the three tensors it writes the one that the product is. */
void taper__dnn_convolution(taper_dnn_graph *g, const taper_cudnn_conv *c, const taper_dnn_tensor *x, const taper_dnn_tensor *w, const taper_dnn_tensor *y);

typedef struct taper_dnn_plan {
    void *plan; /* NULL: there is none */
    int64_t workspace;
    int engine, tried; /* its number; configurations that were looked at */
} taper_dnn_plan;
/* What engines say of themselves, as bits. */
enum {
    TAPER_DNN_NOTE_TENSOR_CORE = 1 << 0,
    TAPER_DNN_NOTE_DOWN_CONVERT = 1 << 1,
    TAPER_DNN_NOTE_REDUCED_SUMS = 1 << 2,
    TAPER_DNN_NOTE_FFT = 1 << 3,
    TAPER_DNN_NOTE_NONDETERMINISTIC = 1 << 4,
    TAPER_DNN_NOTE_WINOGRAD = 1 << 5,
};
/* The first engine of the heuristics with none of the notes `refused`, within `workspace_most` bytes. */
void taper__dnn_graph_plan(taper_dnn_graph *g, void *handle, unsigned refused, int64_t workspace_most, taper_dnn_plan *out);
/* Queues it: `count` pointers to the data of tensors, by id. Gives a cudnnStatus_t. */
int taper__dnn_run(const taper_cudnn *dnn, void *handle, const taper_dnn_plan *plan, int64_t count, const int64_t *ids, void *const *pointers, void *workspace);

#endif
