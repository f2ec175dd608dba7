/* Element-wise kernels computed in double. */
#include "ops/pointwise.cuh"
#include "ops/pointwise_functions.cuh"

#define real double
#define M(f) f64_##f
#define PW_BLOCKS 1 /* of 256 threads on a multiprocessor at least: the slow paths of double functions need the registers */
#define PW_NAME(name) pw_f64_##name
#define PW_N(name, operands, result, expression, ...) PW_KERNEL(name, operands, expression)
#define PW_F(name, operands, result, expression) PW_KERNEL(name, operands, expression)
#include "ops/pointwise_rows.def"
