/* Element-wise loops of integers and bool, in int64_t; rows for floats only leave their place empty. */
#include "ops/pointwise_block.h"

#define real int64_t
#define PW_N(name, operands, result, expression, integers) PW_LOOP(name, operands, result, integers)
#define PW_F(name, ...)
#include "ops/pointwise_rows.def"
#undef PW_N
#undef PW_F

#define PW_N(name, ...) .name = name##_loop,
#define PW_F(name, ...)
const taper_pointwise_loops TAPER_SIMD(taper__pointwise_i64) = {
#include "ops/pointwise_rows.def"
};
