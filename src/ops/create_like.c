/* Creation through full, empty and a CPU buffer: zeros, ones, the _like family, arange, linspace, eye. */
#include <math.h>

#include "ops/op.h"

static const taper_device *like_device(const taper_call *c, int k) { return c->args[k].kind == TAPER_ARG_DEVICE ? &c->args[k].device : NULL; }
static taper_dtype like_dtype(const taper_call *c, int k, taper_dtype fallback) { return c->args[k].kind == TAPER_ARG_DTYPE ? c->args[k].dtype : fallback; }

static taper_status like_give(taper_call *c, taper_scope *s, taper_tensor *t) {
    c->nout = 1;
    c->out[0] = taper_scope_keep(s, t);
    return s->status;
}

static taper_status like_full(taper_call *c, taper_scope *s, int value) {
    return like_give(c, s, tx_full(s, c->args[0].is, c->args[0].count, taper_int(value), like_dtype(c, 1, taper_default_dtype()), like_device(c, 2)));
}
static taper_status zeros_compose(taper_call *c, taper_scope *s) { return like_full(c, s, 0); }
static taper_status ones_compose(taper_call *c, taper_scope *s) { return like_full(c, s, 1); }
const taper_op taper_op_zeros = {.compose = zeros_compose, .samples = (const taper_sample[]){{"(2,3)"}, {"(), dtype=int64"}, {"(2,-1)", .error = "negative dimension"}, {0}}};
const taper_op taper_op_ones = {.compose = ones_compose, .samples = (const taper_sample[]){{"(2,3)"}, {"(4), dtype=bool"}, {0}}};

static taper_status empty_like_infer(taper_call *c) {
    const taper_tensor *self = c->args[0].t;
    if (c->args[2].kind == TAPER_ARG_DEVICE) c->device = c->args[2].device;
    return taper__out_like(c, 0, like_dtype(c, 1, (taper_dtype)self->dtype), self);
}
static taper_status empty_like_run(taper_call *c) {
    (void)c;
    return TAPER_OK;
}
static const taper_kernel empty_like_kernels[] = {{"cpu", TAPER_CPU, NULL, empty_like_run}, {"cuda", TAPER_CUDA, NULL, empty_like_run}, {0}};
const taper_op taper_op_empty_like = {.infer = empty_like_infer, .kernels = empty_like_kernels, .samples = (const taper_sample[]){{"[2,3]", .unspecified = true}, {0}}};

static taper_status like_filled(taper_call *c, taper_scope *s, taper_scalar value, int at) {
    taper_tensor *t = tx_empty_like(s, c->args[0].t, like_dtype(c, at, TAPER_DTYPE_NONE), like_device(c, at + 1));
    tx_fill_(s, t, value);
    return like_give(c, s, t);
}
static taper_status zeros_like_compose(taper_call *c, taper_scope *s) { return like_filled(c, s, taper_int(0), 1); }
static taper_status ones_like_compose(taper_call *c, taper_scope *s) { return like_filled(c, s, taper_int(1), 1); }
static taper_status full_like_compose(taper_call *c, taper_scope *s) { return like_filled(c, s, taper_arg_scalar(&c->args[1]), 2); }
const taper_op taper_op_zeros_like = {.compose = zeros_like_compose, .samples = (const taper_sample[]){{"[2,3]"}, {"[2], dtype=int32"}, {0}}};
const taper_op taper_op_ones_like = {.compose = ones_like_compose, .samples = (const taper_sample[]){{"[2,3]"}, {0}}};
const taper_op taper_op_full_like = {.compose = full_like_compose, .samples = (const taper_sample[]){{"[2,3], 2.5"}, {0}}};

static taper_status zero__compose(taper_call *c, taper_scope *s) { return like_give(c, s, tx_fill_(s, c->args[0].t, taper_int(0))); }
const taper_op taper_op_zero_ = {.compose = zero__compose, .samples = (const taper_sample[]){{"[2,3]"}, {0}}};

/* n values start + i * step in double (exact in int64 when all are integers), made on the CPU and moved. */
static taper_status arange_make(taper_call *c, taper_scope *s, const taper_arg *start, const taper_arg *end, const taper_arg *step, int at) {
    taper_arg zero = {.kind = TAPER_ARG_INT, .i = 0}, one = {.kind = TAPER_ARG_INT, .i = 1};
    start = start ? start : &zero;
    step = step ? step : &one;
    bool floats = start->kind == TAPER_ARG_FLOAT || end->kind == TAPER_ARG_FLOAT || step->kind == TAPER_ARG_FLOAT;
    taper_dtype dtype = like_dtype(c, at, floats ? taper_default_dtype() : TAPER_I64);
    double a = taper_arg_double(start), b = taper_arg_double(end), d = taper_arg_double(step);
    if (d == 0) return TAPER_FAIL(TAPER_RUNTIME, "arange: step must be nonzero, got start %g, end %g, step %g", a, b, d);
    if (!isfinite(a) || !isfinite(b)) return TAPER_FAIL(TAPER_RUNTIME, "arange: unsupported range: %g -> %g", a, b);
    if ((d > 0 && b < a) || (d < 0 && b > a)) return TAPER_FAIL(TAPER_RUNTIME, "arange: upper bound and larger bound inconsistent with step sign: %g to %g by %g", a, b, d);
    double count = floats ? ceil((b - a) / d) : 0;
    int64_t n = floats ? (int64_t)count : (end->i - start->i + step->i - (step->i > 0 ? 1 : -1)) / step->i;
    if (floats && !(count < 1e15)) return TAPER_FAIL(TAPER_RUNTIME, "arange: %g elements are too many", count);
    taper_tensor *wide = NULL;
    const taper_device *device = like_device(c, at + 1);
    if (device && device->type == TAPER_META) return like_give(c, s, tx_empty(s, &n, 1, dtype, device));
    TAPER_TRY(taper_tensor_new(&wide, floats || taper_dtype_is_float(dtype) ? TAPER_F64 : TAPER_I64, taper_cpu(), 1, &n));
    taper_scope_own(s, wide);
    for (int64_t i = 0; i < n; i++) {
        if (wide->dtype == TAPER_F64)
            ((double *)taper__data(wide))[i] = a + (double)i * d;
        else
            ((int64_t *)taper__data(wide))[i] = start->i + i * step->i;
    }
    return like_give(c, s, tx_to(s, wide, device, dtype, false, false));
}
static taper_status arange_compose(taper_call *c, taper_scope *s) { return arange_make(c, s, NULL, &c->args[0], NULL, 1); }
static taper_status arange_start_step_compose(taper_call *c, taper_scope *s) { return arange_make(c, s, &c->args[0], &c->args[1], &c->args[2], 3); }
const taper_op taper_op_arange = {.compose = arange_compose, .samples = (const taper_sample[]){{"5"}, {"2.5"}, {"0"}, {"4, dtype=float32"}, {0}}};
const taper_op taper_op_arange_start_step = {
    .compose = arange_start_step_compose, .samples = (const taper_sample[]){{"1, 7"}, {"1, 2, 0.25"}, {"5, 0, -2"}, {"1, 2, 0", .error = "step must be nonzero"}, {0}}};

static taper_status linspace_compose(taper_call *c, taper_scope *s) {
    double a = taper_arg_double(&c->args[0]), b = taper_arg_double(&c->args[1]);
    int64_t n = c->args[2].i;
    if (n < 0) return TAPER_FAIL(TAPER_RUNTIME, "linspace: number of steps must be non-negative, got %lld", (long long)n);
    taper_tensor *wide = NULL;
    TAPER_TRY(taper_tensor_new(&wide, TAPER_F64, taper_cpu(), 1, &n));
    taper_scope_own(s, wide);
    double step = n > 1 ? (b - a) / (double)(n - 1) : 0, *p = taper__data(wide);
    for (int64_t i = 0; i < n; i++) p[i] = i < n / 2 || n == 1 ? a + step * (double)i : b - step * (double)(n - 1 - i); /* exact at both ends */
    return like_give(c, s, tx_to(s, wide, like_device(c, 4), like_dtype(c, 3, taper_default_dtype()), false, false));
}
const taper_op taper_op_linspace = {.compose = linspace_compose, .samples = (const taper_sample[]){{"0, 1, 5"}, {"-1, 2, 1"}, {"0, 1, 0"}, {"0, 1, -1", .error = "non-negative, got -1"}, {0}}};

static taper_status eye_compose(taper_call *c, taper_scope *s) {
    int64_t shape[2] = {c->args[0].i, c->args[1].kind == TAPER_ARG_INT ? c->args[1].i : c->args[0].i};
    taper_tensor *t = tx_full(s, shape, 2, taper_int(0), like_dtype(c, 2, taper_default_dtype()), like_device(c, 3));
    if (t && t->numel) tx_fill_(s, tx_diagonal(s, t, 0, 0, 1), taper_int(1));
    return like_give(c, s, t);
}
const taper_op taper_op_eye = {.compose = eye_compose, .samples = (const taper_sample[]){{"3"}, {"2, 4"}, {"0"}, {0}}};
