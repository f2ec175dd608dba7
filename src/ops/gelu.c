/* gelu and its gradient, exact and by tanh. */
#include "ops/pointwise_loops.h"
#include "ops/vjp_expr.h"

static bool gelu_is_tanh(const taper_arg *a) { return a->kind == TAPER_ARG_STRING && !strcmp(a->s, "tanh"); }

static taper_status gelu_check(taper_call *c, int operands) {
    const taper_arg *a = &c->args[operands];
    if (TAPER_UNLIKELY(a->kind == TAPER_ARG_STRING && strcmp(a->s, "none") && strcmp(a->s, "tanh")))
        return TAPER_FAIL(TAPER_RUNTIME, "approximate argument must be either none or tanh, got '%s'", a->s);
    return taper__pointwise_infer(c, operands, TAPER_PW_SAME);
}

static taper_status gelu_infer(taper_call *c) { return gelu_check(c, 1); }
static taper_status gelu_run(taper_call *c) {
    return taper__pointwise(c, 1, TAPER_PW_SAME, gelu_is_tanh(&c->args[1]) ? TAPER_LOOP(gelu_tanh) : TAPER_LOOP(gelu));
}
TAPER_POINTWISE_KERNELS(gelu);

static taper_status gelu_vjp(taper_vjp *v) {
    v->d[0] = tx_gelu_backward(v->scope, v->grad[0], v->args[0].t, gelu_is_tanh(&v->args[1]) ? "tanh" : "none");
    return v->scope->status;
}
TAPER_POINTWISE_OP(gelu, gelu_vjp, TAPER_SAVE_SELF, {"[2,3]"}, {"[70], approximate=tanh"}, {"[0]"},
                   {"[2], approximate=maybe", .error = "approximate argument must be either none or tanh"});

static taper_status gelu_backward_infer(taper_call *c) { return gelu_check(c, 2); }
static taper_status gelu_backward_run(taper_call *c) {
    return taper__pointwise(c, 2, TAPER_PW_SAME, gelu_is_tanh(&c->args[2]) ? TAPER_LOOP(gelu_tanh_backward) : TAPER_LOOP(gelu_backward));
}
TAPER_POINTWISE_KERNELS(gelu_backward);

/* x P(x) has the second derivative p(x) (2 - x^2), p the normal density. */
static taper_tensor *gelu_bend(taper_scope *s, taper_tensor *x) {
    taper_tensor *z = tx_square(s, x), *density = vx_scale(s, tx_exp(s, vx_scale(s, z, -0.5)), 0.39894228040143267794);
    return tx_mul(s, density, vx_minus(s, 2, z));
}
/* x y with y = sigmoid(u(x)), u = k x (1 + c x^2): y (1 - y) (2 u' + x u'' + x u'^2 (1 - 2 y)). */
static taper_tensor *gelu_tanh_bend(taper_scope *s, taper_tensor *x) {
    const double k = 1.5957691216057307117, c = 0.044715;
    taper_tensor *z = tx_square(s, x), *y = tx_sigmoid(s, tx_mul(s, x, vx_shift(s, vx_scale(s, z, k * c), k)));
    taper_tensor *u1 = vx_shift(s, vx_scale(s, z, 3 * k * c), k), *xu2 = vx_scale(s, z, 6 * k * c);
    taper_tensor *last = tx_mul(s, tx_mul(s, x, tx_square(s, u1)), vx_minus(s, 1, vx_scale(s, y, 2)));
    return tx_sigmoid_backward(s, vx_add(s, vx_add(s, vx_scale(s, u1, 2), xu2), last), y);
}
static taper_status gelu_backward_vjp(taper_vjp *v) {
    taper_scope *s = v->scope;
    taper_tensor *x = v->args[1].t;
    bool tanh = gelu_is_tanh(&v->args[2]);
    if (v->need[0]) v->d[0] = tx_gelu_backward(s, v->grad[0], x, tanh ? "tanh" : "none");
    if (v->need[1]) v->d[1] = tx_mul(s, tx_mul(s, v->grad[0], v->args[0].t), tanh ? gelu_tanh_bend(s, x) : gelu_bend(s, x));
    return s->status;
}
TAPER_POINTWISE_OP(gelu_backward, gelu_backward_vjp, TAPER_SAVE_BOTH, {"[2,3], [2,3]"}, {"[2,3], [2,3], approximate=tanh"}, {"[0], [0]"},
                   {"[2], [2], approximate=maybe", .error = "approximate argument must be either none or tanh"});
