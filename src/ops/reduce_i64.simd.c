/* Reductions of integers and bool, folded in int64_t between blocks. */
#include "ops/pointwise_functions.h"
#include "ops/reduce_loops.h"

#define real int64_t
#define wide int64_t
#define LOW INT64_MIN
#define HIGH INT64_MAX
#define RD_ABS(x) ((x) < 0 ? -(x) : (x))
#define RD_POW(x, y) pw_power(x, y) /* norms and exponentials are taken of floats only */
#define RD_EXP(x) (x)
#define RD_NAN(x) ((void)(x), 0)

#include "ops/reduce_block.h"

const taper_reduce_loops TAPER_SIMD(taper__reduce_i64) = {
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
