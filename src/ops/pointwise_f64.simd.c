/* Element-wise loops in double. */
#include "ops/pointwise_block.h"

#define real double
#define M(f) f64_##f
#define PW_N(name, operands, result, expression, ...) PW_LOOP(name, operands, result, expression)
#define PW_F(name, operands, result, expression) PW_LOOP(name, operands, result, expression)
#include "ops/pointwise_rows.def"
#undef PW_N
#undef PW_F

#define PW_N(name, ...) .name = name##_loop,
#define PW_F(name, ...) .name = name##_loop,
const taper_pointwise_loops TAPER_SIMD(taper__pointwise_f64) = {
#include "ops/pointwise_rows.def"
};
