/* Element-wise kernels computed in int64_t. */
#include "ops/pointwise.cuh"
#include "ops/pointwise_functions.cuh"

#define real int64_t
#define PW_BLOCKS 1 /* of 256 threads on a multiprocessor at least: the slow paths of double functions need the registers */
#define PW_NAME(name) pw_i64_##name
#define PW_N(name, operands, result, expression, integers) PW_KERNEL(name, operands, integers)
#define PW_F(name, ...)
#include "ops/pointwise_rows.def"
