/* Logic on truth values and on the bits of integers. */
#include "ops/pointwise_loops.h"

TAPER_POINTWISE(logical_and, 2, BOOL);
TAPER_POINTWISE_OP(logical_and, NULL, 0, {"[5]:bool, [5]:bool"}, {"[5]:i64<2, [5]"}, {"[2,3]:bool, [3]:bool"}, {"[0]:bool, [0]:bool"});
TAPER_POINTWISE(logical_or, 2, BOOL);
TAPER_POINTWISE_OP(logical_or, NULL, 0, {"[5]:bool, [5]:bool"}, {"[5]:i64<2, [5]:i64<2"}, {"[2,3]:bool, [3]:bool"}, {"[0]:bool, [0]:bool"});
TAPER_POINTWISE(logical_xor, 2, BOOL);
TAPER_POINTWISE_OP(logical_xor, NULL, 0, {"[5]:bool, [5]:bool"}, {"[5]:i64<2, [5]:i64<2"}, {"[2,3]:bool, [3]:bool"}, {"[0]:bool, [0]:bool"});
TAPER_POINTWISE(logical_not, 1, BOOL);
TAPER_POINTWISE_OP(logical_not, NULL, 0, {"[5]:bool"}, {"[5]:i64<2"}, {"[3]"}, {"[0]:bool"});

static taper_status logic_infer(taper_call *c, int operands) {
    taper_dtype dtype = taper__pointwise_dtype(c, operands, TAPER_PW_SAME);
    if (TAPER_UNLIKELY(taper_dtype_is_float(dtype)))
        return TAPER_FAIL(TAPER_NOT_IMPLEMENTED, "\"%s_cpu\" not implemented for '%s'", c->row->name, taper_dtype_typename(dtype));
    return taper__pointwise_infer(c, operands, TAPER_PW_SAME);
}

#define LOGIC_BITS(name)                                                                                               \
    static taper_status name##_infer(taper_call *c) { return logic_infer(c, 2); }                                      \
    static taper_status name##_run(taper_call *c) { return taper__pointwise(c, 2, TAPER_PW_SAME, TAPER_LOOP(name)); }  \
    TAPER_POINTWISE_KERNELS(name);                                                                                     \
    TAPER_POINTWISE_OP(name, NULL, 0, {"[9]:i64, [9]:i64<9"}, {"[2,3]:i32, [3]:u8"}, {"[4]:i8, 3"}, {"[0]:i64, [0]:i64"}, \
                       {"[3], [3]", .error = "not implemented for '"})

LOGIC_BITS(bitwise_and);
LOGIC_BITS(bitwise_or);
LOGIC_BITS(bitwise_xor);
LOGIC_BITS(bitwise_left_shift);
LOGIC_BITS(bitwise_right_shift);

static taper_status bitwise_not_infer(taper_call *c) { return logic_infer(c, 1); }
static taper_status bitwise_not_run(taper_call *c) {
    if (c->out[0]->dtype == TAPER_BOOL) return taper__pointwise(c, 1, TAPER_PW_BOOL, TAPER_LOOP(logical_not));
    return taper__pointwise(c, 1, TAPER_PW_SAME, TAPER_LOOP(bitwise_not));
}
TAPER_POINTWISE_KERNELS(bitwise_not);
TAPER_POINTWISE_OP(bitwise_not, NULL, 0, {"[9]:i64"}, {"[5]:bool"}, {"[5]:u8"}, {"[0]:i64"}, {"[3]", .error = "not implemented for '"});
