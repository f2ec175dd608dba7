/* What element-wise and copy kernels get by value, for C and CUDA C++. */
#ifndef TAPER_OPS_POINTWISE_ARGS_H
#define TAPER_OPS_POINTWISE_ARGS_H

#include <stdint.h>

enum { TAPER_PWA_OPERANDS = 4, TAPER_PWA_DIMS = 16, TAPER_PWA_PARAMS = 6, TAPER_PWA_VECTOR = 4, TAPER_PWA_EIGHT = 8 /* elements of a float kernel */ };

typedef struct taper_pointwise_args {
    int64_t n;
    int ndim;                            /* 1 with flat 1 and 2 */
    int flat;                            /* all row-major or one element repeated; 2: also aligned to 16 bytes; 3: two dims, each row
                                            of each operand is that or one element, rows whole times 16 bytes (float kernels) */
    void *data[TAPER_PWA_OPERANDS];      /* 0: the result; NULL: the number below */
    double number[TAPER_PWA_OPERANDS];
    int64_t integer[TAPER_PWA_OPERANDS]; /* the same number for integer kernels */
    uint8_t dtype[TAPER_PWA_OPERANDS], step[TAPER_PWA_OPERANDS]; /* step: 0 repeats one element (flat) */
    double params[TAPER_PWA_PARAMS];
    int64_t shape[TAPER_PWA_DIMS];
    double inverse[TAPER_PWA_DIMS]; /* 1 / shape */
    int64_t strides[TAPER_PWA_OPERANDS][TAPER_PWA_DIMS]; /* elements */
} taper_pointwise_args;

#endif
