/* Comparisons and classification of floats: bool results. */
#include "ops/pointwise_loops.h"

#define COMPARE_SAMPLES                                                                                                \
    {"[2,3], [2,3]"}, {"[2,3], [3]"}, {"[7]:i64, 2"}, {"[7]:i64<3, 1.5"}, {"[3]:i64<2, [3]:bool"}, {"[0,3], [3]"},     \
        {"[2,3], [4]", .error = "must match the size"}

TAPER_POINTWISE(eq, 2, BOOL);
TAPER_POINTWISE_OP(eq, NULL, 0, COMPARE_SAMPLES);
TAPER_POINTWISE(ne, 2, BOOL);
TAPER_POINTWISE_OP(ne, NULL, 0, COMPARE_SAMPLES);
TAPER_POINTWISE(lt, 2, BOOL);
TAPER_POINTWISE_OP(lt, NULL, 0, COMPARE_SAMPLES);
TAPER_POINTWISE(le, 2, BOOL);
TAPER_POINTWISE_OP(le, NULL, 0, COMPARE_SAMPLES);
TAPER_POINTWISE(gt, 2, BOOL);
TAPER_POINTWISE_OP(gt, NULL, 0, COMPARE_SAMPLES);
TAPER_POINTWISE(ge, 2, BOOL);
TAPER_POINTWISE_OP(ge, NULL, 0, COMPARE_SAMPLES);

TAPER_POINTWISE(isnan, 1, BOOL);
TAPER_POINTWISE_OP(isnan, NULL, 0, {"[2,3]"}, {"[3]:i64"}, {"[0]"});
TAPER_POINTWISE(isinf, 1, BOOL);
TAPER_POINTWISE_OP(isinf, NULL, 0, {"[2,3]"}, {"[3]:i64"}, {"[0]"});
TAPER_POINTWISE(isfinite, 1, BOOL);
TAPER_POINTWISE_OP(isfinite, NULL, 0, {"[2,3]"}, {"[3]:i64"}, {"[0]"});

static taper_status isclose_infer(taper_call *c) {
    const taper_tensor *a = TAPER_ARG_T(c, 0), *b = TAPER_ARG_T(c, 1);
    if (a && b && a->dtype != b->dtype)
        return TAPER_FAIL(TAPER_RUNTIME, "%s did not match %s", taper_dtype_typename((taper_dtype)a->dtype),
                          taper_dtype_typename((taper_dtype)b->dtype));
    if (c->args[2].f < 0) return TAPER_FAIL(TAPER_RUNTIME, "rtol must be greater than or equal to zero, but got %g", c->args[2].f);
    if (c->args[3].f < 0) return TAPER_FAIL(TAPER_RUNTIME, "atol must be greater than or equal to zero, but got %g", c->args[3].f);
    return taper__pointwise_infer(c, 2, TAPER_PW_FLOAT_BOOL);
}
static taper_status isclose_run(taper_call *c) { /* the row has atol first */
    taper_call d = taper__pointwise_call(c, 5);
    d.args[2] = c->args[3];
    d.args[3] = c->args[2];
    return taper__pointwise(&d, 2, TAPER_PW_FLOAT_BOOL, TAPER_LOOP(isclose));
}
TAPER_POINTWISE_KERNELS(isclose);
TAPER_POINTWISE_OP(isclose, NULL, 0, {"[2,3], [2,3]"}, {"[2,3], [3], rtol=0.5, atol=1.0"}, {"[5]:i64, [5]:i64, atol=3.0"},
                   {"[3], [3], equal_nan=true"}, {"[0], [0]"}, {"[2]:f32, [2]:f64", .error = "Float did not match Double"},
                   {"[2], [2], rtol=-1.0", .error = "rtol must be greater than or equal to zero"});
