/* sum: the plainest reduction. */
#include "ops/reduce.h"

static taper_dtype sum_dtype(const taper_call *c) {
    if (c->args[3].kind == TAPER_ARG_DTYPE) return c->args[3].dtype;
    taper_dtype d = (taper_dtype)c->args[0].t->dtype;
    return taper_dtype_is_float(d) ? d : TAPER_I64;
}

static taper_status sum_infer(taper_call *c) {
    return taper__reduce_infer(c, 0, sum_dtype(c), &c->args[1], c->args[2].i);
}

static taper_status sum_cpu(taper_call *c) { return taper__reduce_cpu(c, TAPER_REDUCE_SUM, &c->args[1]); }
static taper_status sum_cuda(taper_call *c) { return taper__reduce_cuda(c, TAPER_REDUCE_SUM, &c->args[1]); }
static const taper_kernel sum_kernels[] = {{"cpu", TAPER_CPU, NULL, sum_cpu}, {"cuda", TAPER_CUDA, NULL, sum_cuda}, {0}};

static taper_status sum_vjp(taper_vjp *v) {
    taper_scope *s = v->scope;
    const taper_tensor *self = v->args[0].t;
    taper_tensor *g = taper__reduce_restore(s, v->grad[0], self, &v->args[1]);
    g = tx_expand(s, g, self->shape, self->ndim);
    if (g && g->dtype != self->dtype) g = tx_to(s, g, NULL, (taper_dtype)self->dtype, false, false);
    v->d[0] = g;
    return s->status;
}

const taper_op taper_op_sum = {
    .infer = sum_infer,
    .kernels = sum_kernels,
    .vjp = sum_vjp,
    .samples = (const taper_sample[]){{"[2,3]"},
                                      {"[2,3,4], dim=1"},
                                      {"[2,3,4], dim=(0,-1), keepdim=true"},
                                      {"[3]:i64<9"},
                                      {"[0,3], dim=0"},
                                      {"[40,70], dim=0"},
                                      {"[2,3], dim=2", .error = "Dimension out of range"},
                                      {0}},
};
