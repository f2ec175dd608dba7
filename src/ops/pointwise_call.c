/* From an element-wise call to the block loops: promotion, broadcasting, numbers as operands. */
#include "ops/pointwise_loops.h"

static int pointwise_tensors(const taper_call *c, int operands, taper_tensor **ts) {
    int n = 0;
    for (int k = 0; k < operands; k++)
        if (c->args[k].kind == TAPER_ARG_TENSOR) ts[n++] = c->args[k].t;
    return n;
}

static taper_dtype pointwise_dtype(const taper_call *c, int operands, taper_pointwise_class class_) {
    taper_tensor *ts[TAPER_ITER_OPERANDS];
    int n = pointwise_tensors(c, operands, ts);
    taper_dtype dtype;
    if (n == 2 && ts[0]->dtype == ts[1]->dtype && !ts[0]->number && !ts[1]->number)
        dtype = (taper_dtype)ts[0]->dtype;
    else
        dtype = taper__result_dtype(ts, n, c->args, operands);
    return class_ == TAPER_PW_FLOAT && !taper_dtype_is_float(dtype) ? taper_default_dtype() : dtype;
}

taper_status taper__pointwise_infer(taper_call *c, int operands, taper_pointwise_class class_) {
    taper_tensor *ts[TAPER_ITER_OPERANDS];
    int n = pointwise_tensors(c, operands, ts);
    if (n == 0) return TAPER_FAIL(TAPER_TYPE, "%s: needs at least one tensor", c->row->name);
    taper_dtype dtype = class_ == TAPER_PW_BOOL ? TAPER_BOOL : pointwise_dtype(c, operands, class_);
    bool alike = true; /* same shape and layout: the usual case */
    const taper_tensor *big = ts[0];
    for (int k = 1; k < n; k++) {
        if (!taper_device_equal(ts[k]->device, c->device)) TAPER_TRY(taper__need_same_device(c));
        if (ts[k]->ndim > big->ndim) big = ts[k];
    }
    for (int k = 0; k < n; k++)
        alike = alike && (ts[k] == big || ts[k]->ndim == 0 ||
                          (ts[k]->ndim == big->ndim && !memcmp(ts[k]->shape, big->shape, sizeof(int64_t) * big->ndim)));
    if (alike) return taper__out_like(c, 0, dtype, big);
    int ndim;
    int64_t shape[TAPER_MAX_DIMS];
    TAPER_TRY(taper__broadcast(&ndim, shape, ts, n, c->row->name));
    if (big->ndim == ndim && !memcmp(big->shape, shape, sizeof(int64_t) * (size_t)ndim)) return taper__out_like(c, 0, dtype, big);
    return taper__out(c, 0, dtype, ndim, shape);
}

taper_status taper__pointwise_cpu(taper_call *c, int operands, taper_pointwise_class class_, const taper_block_fn *fn) {
    taper_iter it;
    taper_tensor *in[TAPER_ITER_OPERANDS];
    double params[TAPER_MAX_ARGS];
    uint64_t numbers[TAPER_ITER_OPERANDS];
    taper_dtype dtype = pointwise_dtype(c, operands, class_);
    taper_compute compute = dtype == TAPER_F64 ? TAPER_COMPUTE_F64 : taper_dtype_is_float(dtype) ? TAPER_COMPUTE_F32 : TAPER_COMPUTE_I64;
    taper_dtype number_dtype = compute == TAPER_COMPUTE_F64 ? TAPER_F64 : compute == TAPER_COMPUTE_F32 ? TAPER_F32 : TAPER_I64;
    if (TAPER_UNLIKELY(!fn[compute]))
        return TAPER_FAIL(TAPER_NOT_IMPLEMENTED, "\"%s_cpu\" not implemented for '%s'", c->row->name, taper_dtype_typename(dtype));
    for (int k = 0; k < operands; k++) in[k] = c->args[k].kind == TAPER_ARG_TENSOR ? c->args[k].t : NULL;
    taper__iter_init(&it, c->out[0], in, operands);
    for (int k = 0; k < operands; k++) {
        if (in[k]) continue;
        const taper_arg *a = &c->args[k];
        if (a->kind == TAPER_ARG_FLOAT)
            taper__store_double(&numbers[k], number_dtype, a->f);
        else
            taper__store_int(&numbers[k], number_dtype, a->i);
        it.data[k + 1] = &numbers[k];
        it.dtype[k + 1] = number_dtype;
    }
    for (int k = operands; k < c->nargs; k++) params[k - operands] = taper_arg_double(&c->args[k]);
    return taper__pointwise_run(&it, compute, class_ == TAPER_PW_BOOL, fn[compute], params);
}

taper_tensor *taper__operand(taper_vjp *v, int k) {
    const taper_arg *a = &v->args[k];
    if (a->kind == TAPER_ARG_TENSOR) return a->t;
    if (a->kind == TAPER_ARG_FLOAT) return taper__number(v->scope, a->f);
    taper_tensor *t = NULL;
    if (v->scope->status == TAPER_OK) v->scope->status = taper_tensor_from_data(&t, &a->i, TAPER_I64, 0, NULL);
    if (t) t->number = true;
    return taper_scope_own(v->scope, t);
}
