/* Reductions of double, folded in double between blocks. */
#include "ops/pointwise_functions.h"
#include "ops/reduce_loops.h"

#define real double
#define wide double
#define LOW -INFINITY
#define HIGH INFINITY
#define RD_ABS(x) f64_fabs(x)
#define RD_POW(x, y) f64_pow(x, y)
#define RD_EXP(x) f64_exp(x)
#define RD_NAN(x) ((x) != (x))

#include "ops/reduce_block.h"

const taper_reduce_loops TAPER_SIMD(taper__reduce_f64) = {
    .run = {
#define RD(NAME, ...) NAME##_run,
#include "ops/reduce_rows.def"
#undef RD
    },
    .columns = {
#define RD(NAME, ...) NAME##_columns,
#include "ops/reduce_rows.def"
#undef RD
    },
    .first = reduce_first,
    .join = reduce_join,
    .best = reduce_best,
    .find = reduce_find,
    .scan = reduce_scan,
    .scan_row = reduce_scan_row,
};
