/* Loops of reduce_rows.def, compiled once per instruction set in reduce_<type>.simd.c, which define real, wide, LOW,
 * HIGH and the functions. */
#ifndef TAPER_OPS_REDUCE_LOOPS_H
#define TAPER_OPS_REDUCE_LOOPS_H

#include "ops/op.h"

typedef enum taper_reduce_kind {
#define RD(NAME, ...) TAPER_REDUCE_##NAME,
#include "ops/reduce_rows.def"
#undef RD
    TAPER_REDUCE_COUNT_OF_KINDS
} taper_reduce_kind;

enum {
    TAPER_REDUCE_LANES = 64,   /* running values of one stretch: enough to hide the latency of an addition */
    TAPER_REDUCE_BLOCK = 4096, /* elements folded in `real` before they join the wide value */
    TAPER_REDUCE_COLUMNS = 256,
    TAPER_REDUCE_ROWS = 64     /* rows folded in `real` before they join the wide values */
};

/* run: *acc (wide) joined by n contiguous elements. columns: acc[cols] (wide) joined by rows of cols elements, `pitch`
 * elements apart; m: one number, or cols of them. best: value[cols] (real) and index[cols] of the largest, or smallest
 * with sign < 0, joined by a row with number `row`; NaN wins and stays. find: place of the first element equal to `value`
 * (or NaN when that is), n when there is none. */
typedef struct taper_reduce_loops {
    void (*run[TAPER_REDUCE_COUNT_OF_KINDS])(void *acc, const void *x, int64_t n, double m, double p);
    void (*columns[TAPER_REDUCE_COUNT_OF_KINDS])(void *acc, const void *x, int64_t rows, int64_t pitch, int cols, const void *m, double p);
    void (*first)(void *acc, int kind, int64_t n);
    void (*join)(void *acc, const void *other, int kind, int64_t n);
    void (*best)(void *value, int32_t *index, const void *x, int cols, int32_t row, bool smallest);
    int64_t (*find)(const void *x, int64_t n, const void *acc);
    void (*scan)(void *y, const void *x, int64_t n, void *carry, bool product);
    void (*scan_row)(void *y, const void *x, int cols, void *carry, bool product);
} taper_reduce_loops;
TAPER_SIMD_DECLARE(taper_reduce_loops, taper__reduce_f32);
TAPER_SIMD_DECLARE(taper_reduce_loops, taper__reduce_f64);
TAPER_SIMD_DECLARE(taper_reduce_loops, taper__reduce_i64);
const taper_reduce_loops *taper__reduce_loops(taper_compute compute);

#endif
