/* From an element-wise call to the block loops: promotion, broadcasting, numbers as operands. */
#include "ops/pointwise_loops.h"

static int pointwise_tensors(const taper_call *c, int operands, taper_tensor **ts) {
    int n = 0;
    for (int k = 0; k < operands; k++)
        if (c->args[k].kind == TAPER_ARG_TENSOR) ts[n++] = c->args[k].t;
    return n;
}

taper_dtype taper__pointwise_dtype(const taper_call *c, int operands, taper_pointwise_class class_) {
    taper_tensor *ts[TAPER_ITER_OPERANDS];
    int n = pointwise_tensors(c, operands, ts);
    taper_dtype dtype;
    if (n == operands && !ts[0]->number && (n == 1 || (n == 2 && ts[0]->dtype == ts[1]->dtype && !ts[1]->number)))
        dtype = (taper_dtype)ts[0]->dtype;
    else
        dtype = taper__result_dtype(ts, n, c->args, operands);
    bool to_float = class_ == TAPER_PW_FLOAT || class_ == TAPER_PW_FLOAT_BOOL;
    return to_float && !taper_dtype_is_float(dtype) ? taper_default_dtype() : dtype;
}

taper_status taper__pointwise_shape(taper_call *c, int operands, taper_dtype dtype) {
    taper_tensor *ts[TAPER_ITER_OPERANDS];
    int n = pointwise_tensors(c, operands, ts);
    if (n == 0) return TAPER_FAIL(TAPER_TYPE, "%s: needs at least one tensor", c->row->name);
    bool alike = true; /* same shape and layout: the usual case */
    const taper_tensor *big = ts[0];
    for (int k = 0; k < n; k++) {
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

taper_status taper__pointwise_infer(taper_call *c, int operands, taper_pointwise_class class_) {
    bool to_bool = class_ == TAPER_PW_BOOL || class_ == TAPER_PW_FLOAT_BOOL;
    return taper__pointwise_shape(c, operands, to_bool ? TAPER_BOOL : taper__pointwise_dtype(c, operands, class_));
}

static taper_block_fn pointwise_find(taper_compute compute, size_t place) {
    const taper_pointwise_loops *table = compute == TAPER_COMPUTE_F32   ? TAPER_SIMD_PICK(taper__pointwise_f32)
                                         : compute == TAPER_COMPUTE_F64 ? TAPER_SIMD_PICK(taper__pointwise_f64)
                                                                        : TAPER_SIMD_PICK(taper__pointwise_i64);
    taper_block_fn fn;
    memcpy(&fn, (const char *)table + place, sizeof fn);
    return fn;
}

/* Small, flat and in the compute type already: no iterator, no threads. */
static bool pointwise_small(const taper_call *c, int operands, taper_dtype dtype, taper_dtype result, taper_block_fn fn,
                            const double *params) {
    const void *in[TAPER_ITER_OPERANDS];
    const taper_tensor *out = c->out[0];
    if (out->numel > TAPER_BLOCK || out->dtype != result || !out->contiguous) return false;
    for (int k = 0; k < operands; k++) {
        const taper_tensor *t = c->args[k].t;
        if (c->args[k].kind != TAPER_ARG_TENSOR || t->dtype != dtype || t->numel != out->numel || !t->contiguous ||
            t->device.type != TAPER_CPU)
            return false;
        in[k] = taper__data(t);
    }
    fn(taper__data(out), in, out->numel, params);
    return true;
}

static taper_status pointwise_cpu(taper_call *c, int operands, taper_pointwise_class class_, taper_loop loop) {
    static const taper_dtype types[] = {TAPER_F32, TAPER_F64, TAPER_I64};
    taper_iter it;
    taper_tensor *in[TAPER_ITER_OPERANDS];
    double params[TAPER_MAX_ARGS];
    uint64_t numbers[TAPER_ITER_OPERANDS];
    taper_dtype dtype = taper__pointwise_dtype(c, operands, class_);
    bool predicate = class_ == TAPER_PW_BOOL || class_ == TAPER_PW_FLOAT_BOOL;
    taper_compute compute = dtype == TAPER_F64 ? TAPER_COMPUTE_F64 : taper_dtype_is_float(dtype) ? TAPER_COMPUTE_F32 : TAPER_COMPUTE_I64;
    taper_block_fn fn = pointwise_find(compute, loop.place);
    if (TAPER_UNLIKELY(!fn))
        return TAPER_FAIL(TAPER_NOT_IMPLEMENTED, "\"%s_cpu\" not implemented for '%s'", c->row->name, taper_dtype_typename(dtype));
    params[0] = params[1] = params[2] = 0;
    for (int k = operands; k < c->nargs; k++) {
        const taper_arg *a = &c->args[k];
        bool number = a->kind == TAPER_ARG_FLOAT || a->kind == TAPER_ARG_INT || a->kind == TAPER_ARG_BOOL;
        params[k - operands] = number ? taper_arg_double(a) : 0;
    }
    taper_dtype called = dtype;
    dtype = types[compute];
    if (pointwise_small(c, operands, dtype, predicate ? TAPER_BOOL : dtype, fn, params)) return TAPER_OK;
    for (int k = 0; k < operands; k++) in[k] = c->args[k].kind == TAPER_ARG_TENSOR ? c->args[k].t : NULL;
    taper__iter_init(&it, c->out[0], in, operands);
    for (int k = 0; k < operands; k++) {
        if (in[k]) continue;
        const taper_arg *a = &c->args[k];
        if (a->kind == TAPER_ARG_FLOAT) {
            taper__store_double(&numbers[k], dtype, a->f);
        } else if (compute == TAPER_COMPUTE_I64) { /* a number takes the dtype of the call first: -3 is 253 among uint8 */
            uint64_t wrapped = 0;
            taper__store_int(&wrapped, called, a->i);
            taper__store_int(&numbers[k], dtype, taper__load_int(&wrapped, called));
        } else {
            taper__store_int(&numbers[k], dtype, a->i);
        }
        it.data[k + 1] = &numbers[k];
        it.dtype[k + 1] = dtype;
    }
    return taper__pointwise_run(&it, compute, predicate, fn, params);
}

taper_status taper__pointwise(taper_call *c, int operands, taper_pointwise_class class_, taper_loop loop) {
    if (c->device.type == TAPER_CPU) return pointwise_cpu(c, operands, class_, loop);
    return taper__pointwise_cuda(c, operands, class_, loop);
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
