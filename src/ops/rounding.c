/* floor, ceil, trunc, round, frac. */
#include <math.h>

#include "ops/pointwise_loops.h"
#include "ops/vjp_expr.h"

/* Steps: the gradient is zero. */
static taper_status rounding_vjp(taper_vjp *v) {
    v->d[0] = taper__zeros_like(v->scope, v->grad[0]);
    return v->scope->status;
}

static taper_status rounding_infer(taper_call *c) {
    if (c->args[0].t->dtype == TAPER_BOOL) return TAPER_FAIL(TAPER_NOT_IMPLEMENTED, "\"%s\" not implemented for 'Bool'", c->row->name);
    return taper__pointwise_infer(c, 1, TAPER_PW_SAME);
}
#define ROUNDING(name)                                                                                                 \
    static taper_status name##_infer(taper_call *c) { return rounding_infer(c); }                                      \
    static taper_status name##_run(taper_call *c) { return taper__pointwise(c, 1, TAPER_PW_SAME, TAPER_LOOP(name)); }  \
    TAPER_POINTWISE_KERNELS(name);                                                                                     \
    TAPER_POINTWISE_OP(name, rounding_vjp, 0, {"[7]"}, {"[3]:i64"}, {"[0]"}, {"[2]:bool", .error = "not implemented for 'Bool'"})
ROUNDING(floor);
ROUNDING(ceil);
ROUNDING(trunc);

#define round_infer rounding_infer
static taper_status round_run(taper_call *c) {
    int64_t decimals = c->args[1].i;
    if (decimals == 0 || !taper_dtype_is_float((taper_dtype)c->out[0]->dtype)) return taper__pointwise(c, 1, TAPER_PW_SAME, TAPER_LOOP(round));
    taper_call d = taper__pointwise_call(c, 2);
    d.args[1] = taper__arg_number(pow(10, (double)(decimals < 0 ? -decimals : decimals)));
    return taper__pointwise(&d, 1, TAPER_PW_SAME, decimals > 0 ? TAPER_LOOP(round_scaled) : TAPER_LOOP(round_tens));
}
TAPER_POINTWISE_KERNELS(round);
TAPER_POINTWISE_OP(round, rounding_vjp, 0, {"[7]"}, {"[7], decimals=2", .no_grad_check = true /* steps of the size of the difference */},
                   {"[7], decimals=-1"}, {"[3]:i64"}, {"[0]"});

static taper_status frac_infer(taper_call *c) {
    if (!taper_dtype_is_float((taper_dtype)c->args[0].t->dtype))
        return TAPER_FAIL(TAPER_NOT_IMPLEMENTED, "\"frac_cpu\" not implemented for '%s'", taper_dtype_typename((taper_dtype)c->args[0].t->dtype));
    return taper__pointwise_infer(c, 1, TAPER_PW_SAME);
}
static taper_status frac_run(taper_call *c) { return taper__pointwise(c, 1, TAPER_PW_SAME, TAPER_LOOP(frac)); }
TAPER_POINTWISE_KERNELS(frac);
static taper_status frac_vjp(taper_vjp *v) {
    v->d[0] = v->grad[0];
    return v->scope->status;
}
TAPER_POINTWISE_OP(frac, frac_vjp, 0, {"[7]"}, {"[0]"}, {"[2]:i64", .error = "not implemented for 'Long'"});
