/* exp and its relatives. */
#include "ops/pointwise_loops.h"

TAPER_POINTWISE(exp, 1, FLOAT);

static taper_status exp_vjp(taper_vjp *v) {
    v->d[0] = tx_mul(v->scope, v->grad[0], v->out[0]);
    return v->scope->status;
}
const taper_op taper_op_exp = {
    .infer = exp_infer,
    .kernels = exp_kernels,
    .vjp = exp_vjp,
    .saves = TAPER_SAVE_OUT(0),
    .pointwise = true,
    .samples = (const taper_sample[]){{"[2,3]"}, {"[3]:i64<4"}, {"[]"}, {0}},
};

TAPER_POINTWISE(tanh_backward, 2, FLOAT);

/* out = grad (1 - y^2) */
static taper_status tanh_backward_vjp(taper_vjp *v) {
    taper_scope *s = v->scope;
    taper_tensor *grad = v->args[0].t, *y = v->args[1].t;
    if (v->need[0]) v->d[0] = tx_tanh_backward(s, v->grad[0], y);
    if (v->need[1]) v->d[1] = tx_mul(s, tx_mul(s, tx_mul(s, v->grad[0], grad), y), taper__number(s, -2));
    return s->status;
}
const taper_op taper_op_tanh_backward = {
    .infer = tanh_backward_infer,
    .kernels = tanh_backward_kernels,
    .vjp = tanh_backward_vjp,
    .saves = TAPER_SAVE_ARG(0) | TAPER_SAVE_ARG(1),
    .pointwise = true,
    .samples = (const taper_sample[]){{"[2,3], [2,3]"}, {0}},
};

TAPER_POINTWISE(tanh, 1, FLOAT);

static taper_status tanh_vjp(taper_vjp *v) {
    v->d[0] = tx_tanh_backward(v->scope, v->grad[0], v->out[0]);
    return v->scope->status;
}
const taper_op taper_op_tanh = {
    .infer = tanh_infer,
    .kernels = tanh_kernels,
    .vjp = tanh_vjp,
    .saves = TAPER_SAVE_OUT(0),
    .pointwise = true,
    .samples = (const taper_sample[]){{"[2,3]"}, {"[70]"}, {0}},
};
