/* What one launch over many tensors is given: a table of them in the kernel's parameters (4 KB at most), cut into chunks. */
#ifndef TAPER_OPS_OPTIM_ARGS_H
#define TAPER_OPS_OPTIM_ARGS_H

#include <stdint.h>

enum { TAPER_OPTIM_ITEMS = 52, TAPER_OPTIM_LISTS = 6, TAPER_OPTIM_COPY = 5, TAPER_OPTIM_STRETCH = 8192 };

typedef struct taper_optim_entry {
    void *data[TAPER_OPTIM_LISTS]; /* NULL: the optimiser does not use it; TAPER_OPTIM_COPY: the parameter in low precision */
    long long numel;
    unsigned first;                /* chunks of this launch before it */
    uint8_t dtype[TAPER_OPTIM_LISTS];
    uint8_t wide;                  /* every array begins at a multiple of 16 bytes */
    uint8_t plain;                 /* and holds float32 (the copy: float16 or bfloat16) */
} taper_optim_entry;

typedef struct taper_optim_table {
    taper_optim_entry item[TAPER_OPTIM_ITEMS];
    int count, base; /* base: number of the first of them in the whole list */
} taper_optim_table;

/* The numbers of a step that are the same for all tensors; see taper_optim_numbers. */
typedef struct taper_optim_common {
    double lr, weight_decay, eps, momentum, dampening, beta1, beta2, unscale, factor;
    const void *scale, *inf, *by; /* a gradient scaler's, and the factor of gradients, in GPU memory; NULL: none there */
    double *bias;             /* two for each tensor: lr / (1 - beta1^t), sqrt(1 - beta2^t) */
    uint8_t scale_dtype, inf_dtype, by_dtype, unscaled, maximize, nesterov, first, decoupled, amsgrad, centered, with_momentum;
} taper_optim_common;

typedef struct taper_optim_steps {
    void *step[TAPER_OPTIM_ITEMS]; /* NULL: the host counts, see number */
    double number[TAPER_OPTIM_ITEMS];
    uint8_t dtype[TAPER_OPTIM_ITEMS];
    int count, base;
} taper_optim_steps;

#endif
