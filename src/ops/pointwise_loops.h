/* The block loops of pointwise_rows.def: one triple of functions (f32, f64, i64; NULL where there is none) per operator. */
#ifndef TAPER_OPS_POINTWISE_LOOPS_H
#define TAPER_OPS_POINTWISE_LOOPS_H

#include "ops/op.h"

typedef struct taper_pointwise_loops {
#define PW_N(name, ...) taper_block_fn name[TAPER_COMPUTE_COUNT];
#define PW_F(name, ...) taper_block_fn name[TAPER_COMPUTE_COUNT];
#include "ops/pointwise_rows.def"
#undef PW_N
#undef PW_F
} taper_pointwise_loops;
TAPER_SIMD_DECLARE(taper_pointwise_loops, taper__pointwise_loops);

typedef enum taper_pointwise_class { TAPER_PW_SAME, TAPER_PW_FLOAT, TAPER_PW_BOOL } taper_pointwise_class;
/* infer and CPU run of an element-wise operator whose first `operands` arguments are tensors or numbers and whose other
 * numbers are the parameters of the expression. */
taper_status taper__pointwise_infer(taper_call *c, int operands, taper_pointwise_class class_);
taper_status taper__pointwise_cpu(taper_call *c, int operands, taper_pointwise_class class_, const taper_block_fn *fn);
taper_status taper__pointwise_cuda(taper_call *c, int operands, taper_pointwise_class class_, const char *name);
/* An operand of a vjp as a tensor: numbers become 0-dim tensors that promote as numbers. */
taper_tensor *taper__operand(taper_vjp *v, int k);

/* Defines <name>_infer and <name>_kernels for the descriptor of an element-wise operator. */
#define TAPER_POINTWISE(name, operands, class_)                                                                        \
    static taper_status name##_infer(taper_call *c) { return taper__pointwise_infer(c, operands, TAPER_PW_##class_); } \
    static taper_status name##_cpu(taper_call *c) {                                                                    \
        return taper__pointwise_cpu(c, operands, TAPER_PW_##class_, TAPER_SIMD_PICK(taper__pointwise_loops)->name);    \
    }                                                                                                                  \
    static taper_status name##_cuda(taper_call *c) {                                                                   \
        return taper__pointwise_cuda(c, operands, TAPER_PW_##class_, #name);                                           \
    }                                                                                                                  \
    static const taper_kernel name##_kernels[] = {                                                                     \
        {"cpu", TAPER_CPU, NULL, name##_cpu}, {"cuda", TAPER_CUDA, NULL, name##_cuda}, {0}}

#endif
