/* The pass over a product's columns, for C and CUDA C++. */
#ifndef TAPER_OPS_PRODUCT_COLUMNS_H
#define TAPER_OPS_PRODUCT_COLUMNS_H

#include <stdint.h>

enum { TAPER_COLUMNS_THREADS = 256, TAPER_COLUMNS_BLOCKS = 1056, TAPER_COLUMNS_ROWS = 32 /* at least, in a chunk */ };

typedef struct taper_columns_args {
    void *c;         /* (m, n), rows one after the other */
    const void *aux; /* the argument of gelu, in the shape of c; NULL: c is only read */
    void *sums;      /* (n) */
    float *partial;  /* (chunks, n), or NULL: no sums */
    int64_t m, n, rows_each; /* rows of a chunk */
    int chunks, by_tanh, dtype;
} taper_columns_args;

#endif
