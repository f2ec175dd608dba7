/* Element-wise operators over the loops of pointwise_rows.def: how one finds its loop and describes itself. */
#ifndef TAPER_OPS_POINTWISE_LOOPS_H
#define TAPER_OPS_POINTWISE_LOOPS_H

#include "ops/op.h"

/* One loop per row; there is a table per compute type and instruction set. */
typedef struct taper_pointwise_loops {
#define PW_N(name, ...) taper_block_fn name;
#define PW_F(name, ...) taper_block_fn name;
#include "ops/pointwise_rows.def"
#undef PW_N
#undef PW_F
} taper_pointwise_loops;
TAPER_SIMD_DECLARE(taper_pointwise_loops, taper__pointwise_f32);
TAPER_SIMD_DECLARE(taper_pointwise_loops, taper__pointwise_f64);
TAPER_SIMD_DECLARE(taper_pointwise_loops, taper__pointwise_i64);

/* A row by its name (kernels on the GPU are looked up by it) and its place in the tables. */
typedef struct taper_loop {
    const char *name;
    size_t place;
} taper_loop;
#define TAPER_LOOP(name) ((taper_loop){#name, offsetof(taper_pointwise_loops, name)})

/* The dtype of the result: SAME as the operands promote to; FLOAT: likewise, the default dtype for integers; BOOL;
 * FLOAT_BOOL: computed as FLOAT, result bool. */
typedef enum taper_pointwise_class { TAPER_PW_SAME, TAPER_PW_FLOAT, TAPER_PW_BOOL, TAPER_PW_FLOAT_BOOL } taper_pointwise_class;

/* An operator whose first `operands` arguments are tensors or numbers and whose other numbers are the parameters of the
 * expression. run serves both devices. */
taper_status taper__pointwise_infer(taper_call *c, int operands, taper_pointwise_class class_);
taper_status taper__pointwise(taper_call *c, int operands, taper_pointwise_class class_, taper_loop loop);
taper_status taper__pointwise_cuda(taper_call *c, int operands, taper_pointwise_class class_, taper_loop loop);
/* The dtype that the operands promote to. */
taper_dtype taper__pointwise_dtype(const taper_call *c, int operands, taper_pointwise_class class_);
/* infer for results whose dtype does not follow from the operands: their broadcast shape. */
taper_status taper__pointwise_shape(taper_call *c, int operands, taper_dtype dtype);

/* For loops whose operands or parameters are not the arguments in order: a call that shares the results of c. */
static inline taper_call taper__pointwise_call(const taper_call *c, int nargs) {
    taper_call d = *c;
    d.nargs = nargs;
    return d;
}
static inline taper_arg taper__arg_number(double value) {
    taper_arg a = {.kind = TAPER_ARG_FLOAT};
    a.f = value;
    return a;
}

/* An operand of a vjp as a tensor: numbers become 0-dim tensors that promote as numbers. */
taper_tensor *taper__operand(taper_vjp *v, int k);

/* Defines <name>_kernels from <name>_run. */
#define TAPER_POINTWISE_KERNELS(name)                                                                                  \
    static const taper_kernel name##_kernels[] = {{"cpu", TAPER_CPU, NULL, name##_run}, {"cuda", TAPER_CUDA, NULL, name##_run}, {0}}

/* Defines <name>_infer and <name>_kernels of an operator that is a row as it stands. */
#define TAPER_POINTWISE(name, operands, class_)                                                                        \
    static taper_status name##_infer(taper_call *c) { return taper__pointwise_infer(c, operands, TAPER_PW_##class_); } \
    static taper_status name##_run(taper_call *c) {                                                                    \
        return taper__pointwise(c, operands, TAPER_PW_##class_, TAPER_LOOP(name));                                     \
    }                                                                                                                  \
    TAPER_POINTWISE_KERNELS(name)

/* Defines the descriptor from <name>_infer, <name>_kernels and, with a vjp, what that reads. The rest are samples. */
#define TAPER_POINTWISE_OP(name, vjp_, saves_, ...)                                                                    \
    const taper_op taper_op_##name = {.infer = name##_infer,                                                           \
                                      .kernels = name##_kernels,                                                       \
                                      .vjp = vjp_,                                                                     \
                                      .saves = saves_,                                                                 \
                                      .pointwise = true,                                                               \
                                      .samples = (const taper_sample[]){__VA_ARGS__, {0}}}

enum {
    TAPER_SAVE_SELF = TAPER_SAVE_ARG(0),
    TAPER_SAVE_OTHER = TAPER_SAVE_ARG(1),
    TAPER_SAVE_BOTH = TAPER_SAVE_ARG(0) | TAPER_SAVE_ARG(1),
    TAPER_SAVE_RESULT = TAPER_SAVE_OUT(0),
};

#endif
