/* What the kernels of indexing get by value, for C and CUDA C++. */
#ifndef TAPER_OPS_INDEX_ARGS_H
#define TAPER_OPS_INDEX_ARGS_H

#include <stdint.h>

enum { TAPER_INDEX_DIMS = 16, TAPER_INDEX_THREADS = 256, TAPER_INDEX_LOOK = 16 /* rows that a block of wide rows looks at */ };

/* For each element of `shape`: where it lies in the indexed tensor, the sum of its own coordinates along `base` and of the
 * values that the index tensors have for it. */
typedef struct taper_positions_args {
    int64_t *out;
    int64_t n;
    int ndim, count, wrap; /* wrap: negative values count from the end */
    int64_t shape[TAPER_INDEX_DIMS], base[TAPER_INDEX_DIMS];
    const void *index[TAPER_INDEX_DIMS];
    int dtype[TAPER_INDEX_DIMS];
    int64_t size[TAPER_INDEX_DIMS], along[TAPER_INDEX_DIMS]; /* of the indexed dim: its size and stride */
    int64_t strides[TAPER_INDEX_DIMS][TAPER_INDEX_DIMS];     /* [index][dim] */
    void *record;
    int op;
} taper_positions_args;

/* For each element of `shape`: self[own coordinates + value of index * along] and other[own coordinates] meet. */
typedef struct taper_move_args {
    void *self, *other;   /* other NULL: `number`, the bytes of one element */
    const void *index;
    uint64_t number;
    int64_t n;
    int ndim, index_dtype, wrap, trusted; /* trusted: the index holds offsets that are known to be good */
    int64_t shape[TAPER_INDEX_DIMS];
    int64_t strides[3][TAPER_INDEX_DIMS]; /* of self, other, index; in elements */
    int64_t size, along;
    void *record;
    int op;
} taper_move_args;

typedef enum taper_combine_what { TAPER_COMBINE_SET, TAPER_COMBINE_ADD, TAPER_COMBINE_MUL, TAPER_COMBINE_MAX, TAPER_COMBINE_MIN } taper_combine_what;

/* Rows of other, sorted by where they go in self: each place takes its rows in their order. */
typedef struct taper_combine_args {
    void *self;
    const void *other;      /* NULL: number in every place */
    const uint64_t *place;  /* sorted offsets of rows in self */
    const uint32_t *from;   /* the number of the row in `at_shape` */
    int64_t rows, width;    /* elements of a row: the product of row_shape */
    int at_ndim, row_ndim;
    int64_t at_shape[TAPER_INDEX_DIMS], at_stride[TAPER_INDEX_DIMS]; /* of other */
    int64_t row_shape[TAPER_INDEX_DIMS], row_self[TAPER_INDEX_DIMS], row_other[TAPER_INDEX_DIMS];
    int64_t skip;           /* a place that takes nothing; -1: none */
    double alpha, number;
    int64_t ialpha, inumber;
    int dtype, what, include, mean; /* include: what self holds takes part */
} taper_combine_args;

#endif
