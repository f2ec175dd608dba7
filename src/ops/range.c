/* arange, linspace, logspace. */
#include <math.h>

#include "ops/range_cuda.h"

typedef struct range_job {
    taper_tensor *t;
    double start, end, step, base;
    int64_t istart, istep, n;
    int what; /* taper_range_what */
} range_job;

/* ---- arange ---- */

/* Numbers are made in double (int64 for integer results) and then rounded to the dtype. */
static void arange_range(void *ctx, int64_t begin, int64_t end) {
    const range_job *j = ctx;
    taper_dtype dtype = (taper_dtype)j->t->dtype;
    size_t e = taper_dtype_size(dtype);
    char *p = taper__data(j->t);
    if (dtype == TAPER_I64) {
        for (int64_t i = begin; i < end; i++) ((int64_t *)p)[i] = j->istart + i * j->istep;
    } else if (dtype == TAPER_F32) {
        for (int64_t i = begin; i < end; i++) ((float *)p)[i] = (float)(j->start + j->step * (double)i);
    } else if (taper_dtype_is_float(dtype)) {
        for (int64_t i = begin; i < end; i++) taper__store_double(p + (size_t)i * e, dtype, j->start + j->step * (double)i);
    } else {
        for (int64_t i = begin; i < end; i++) taper__store_int(p + (size_t)i * e, dtype, j->istart + i * j->istep);
    }
}

static int64_t range_whole(const taper_arg *a) { return a->kind == TAPER_ARG_FLOAT ? (int64_t)a->f : a->i; }

/* The arguments, whichever overload they came by. */
static int arange_args(const taper_call *c, taper_arg *start, taper_arg *end, taper_arg *step) {
    static const taper_arg zero = {.kind = TAPER_ARG_INT, .i = 0}, one = {.kind = TAPER_ARG_INT, .i = 1};
    int k = c->nargs - 2;
    *start = k == 1 ? zero : c->args[0];
    *end = k == 1 ? c->args[0] : c->args[1];
    *step = k == 3 ? c->args[2] : one;
    return k;
}

static taper_status arange_infer(taper_call *c) {
    taper_arg start, end, step;
    int64_t n;
    int k = arange_args(c, &start, &end, &step);
    bool floats = start.kind == TAPER_ARG_FLOAT || end.kind == TAPER_ARG_FLOAT || step.kind == TAPER_ARG_FLOAT;
    taper_dtype dtype = c->args[k].kind == TAPER_ARG_DTYPE ? c->args[k].dtype : floats ? taper_default_dtype() : TAPER_I64;
    double a = taper_arg_double(&start), b = taper_arg_double(&end), s = taper_arg_double(&step);
    if (dtype == TAPER_BOOL) return TAPER_FAIL(TAPER_NOT_IMPLEMENTED, "\"arange_cpu\" not implemented for 'Bool'");
    if (s == 0) return TAPER_FAIL(TAPER_RUNTIME, "step must be nonzero");
    if (!isfinite(a) || !isfinite(b)) return TAPER_FAIL(TAPER_RUNTIME, "unsupported range: %g -> %g", a, b);
    if (s > 0 ? b < a : b > a) return TAPER_FAIL(TAPER_RUNTIME, "upper bound and lower bound inconsistent with step sign, got %g to %g by %g", a, b, s);
    double size = ceil((b - a) / s);
    if (!(size < 9e18)) return TAPER_FAIL(TAPER_RUNTIME, "invalid size, possible overflow? arange from %g to %g by %g", a, b, s);
    n = (int64_t)size;
    if (dtype == TAPER_I64) {
        int64_t ia = range_whole(&start), ib = range_whole(&end), is = range_whole(&step);
        if (is == 0) return TAPER_FAIL(TAPER_RUNTIME, "step must be nonzero");
        n = (ib - ia + is - (is > 0 ? 1 : -1)) / is;
    }
    c->device = c->args[k + 1].kind == TAPER_ARG_DEVICE ? c->args[k + 1].device : taper_cpu();
    TAPER_TRY(taper__shape_numel(&n, 1, &n, "arange"));
    return taper__out(c, 0, dtype, 1, &n);
}
static taper_status range_fill(taper_call *c, range_job *j, taper_range_fn fn) {
    taper_tensor *out = c->out[0];
    j->t = out;
    if (out->device.type == TAPER_CUDA) {
        taper_range_args k = {.start = j->start, .end = j->end, .step = j->step, .base = j->base, .istart = j->istart, .istep = j->istep, .what = j->what};
        return taper__range_cuda(out, &k, c->row->name);
    }
    taper__parallel_for(out->numel, 16384, fn, j);
    return TAPER_OK;
}
static taper_status arange_run(taper_call *c) {
    taper_arg start, end, step;
    arange_args(c, &start, &end, &step);
    range_job j = {.start = taper_arg_double(&start), .step = taper_arg_double(&step), .istart = range_whole(&start), .istep = range_whole(&step)};
    return range_fill(c, &j, arange_range);
}
static const taper_kernel arange_kernels[] = {{"cpu", TAPER_CPU, NULL, arange_run}, {"cuda", TAPER_CUDA, NULL, arange_run}, {0}};
const taper_op taper_op_arange = {
    .infer = arange_infer, .kernels = arange_kernels, .samples = (const taper_sample[]){{"5"}, {"2.5"}, {"4, dtype=float64"}, {"5000"}, {"-1", .error = "inconsistent with step sign"}, {0}}};
const taper_op taper_op_arange_start = {
    .infer = arange_infer, .kernels = arange_kernels, .samples = (const taper_sample[]){{"2, 5"}, {"0.5, 3"}, {"3, 3"}, {"3, 1", .error = "inconsistent with step sign"}, {0}}};
const taper_op taper_op_arange_step = {
    .infer = arange_infer,
    .kernels = arange_kernels,
    .samples = (const taper_sample[]){{"0, 7, 3"}, {"5, 0, -2"}, {"0, 1, 0.1"}, {"0, 5, 2, dtype=int32"}, {"0, 5, 0", .error = "step must be nonzero"}, {0}}};

/* ---- linspace, logspace ---- */

/* From either end to the middle, so that both ends are exact; in the dtype itself, in double for integers. */
static void linspace_range(void *ctx, int64_t begin, int64_t end) {
    const range_job *j = ctx;
    taper_dtype dtype = (taper_dtype)j->t->dtype;
    size_t e = taper_dtype_size(dtype);
    bool narrow = taper_dtype_is_float(dtype) && dtype != TAPER_F64;
    char *p = taper__data(j->t);
    for (int64_t i = begin; i < end; i++) {
        bool low = i < j->n / 2;
        double steps = (double)(low ? i : j->n - 1 - i), x;
        if (dtype == TAPER_F32)
            x = low ? fmaf((float)j->step, (float)steps, (float)j->start) : fmaf(-(float)j->step, (float)steps, (float)j->end);
        else if (narrow) { /* each operation rounds to the dtype */
            char r[8];
            taper__store_double(r, dtype, steps);
            taper__store_double(r, dtype, taper__load_double(r, dtype) * j->step);
            taper__store_double(r, dtype, low ? j->start + taper__load_double(r, dtype) : j->end - taper__load_double(r, dtype));
            x = taper__load_double(r, dtype);
        } else
            x = low ? fma(j->step, steps, j->start) : fma(-j->step, steps, j->end);
        if (j->what == 2) x = dtype == TAPER_F32 ? (double)powf((float)j->base, (float)x) : pow(j->base, x);
        if (taper_dtype_is_float(dtype))
            taper__store_double(p + (size_t)i * e, dtype, x);
        else
            taper__store_int(p + (size_t)i * e, dtype, (int64_t)x);
    }
}

static taper_status linspace_infer(taper_call *c) {
    int k = c->nargs - 2;
    int64_t n = c->args[2].i;
    if (n < 0) return TAPER_FAIL(TAPER_RUNTIME, "number of steps must be non-negative, got %lld", (long long)n);
    taper_dtype dtype = c->args[k].kind == TAPER_ARG_DTYPE ? c->args[k].dtype : taper_default_dtype();
    c->device = c->args[k + 1].kind == TAPER_ARG_DEVICE ? c->args[k + 1].device : taper_cpu();
    TAPER_TRY(taper__shape_numel(&n, 1, &n, c->row->name));
    return taper__out(c, 0, dtype, 1, &n);
}
static double range_round(double x, taper_dtype dtype) {
    char r[8];
    if (!taper_dtype_is_float(dtype)) return (double)(int64_t)x;
    taper__store_double(r, dtype, x);
    return taper__load_double(r, dtype);
}
static taper_status linspace_start(taper_call *c, int what, double base) {
    taper_dtype dtype = (taper_dtype)c->out[0]->dtype;
    range_job j = {.start = range_round(taper_arg_double(&c->args[0]), dtype), .end = range_round(taper_arg_double(&c->args[1]), dtype), .n = c->args[2].i, .what = what, .base = base};
    if (j.n == 1) { /* the start alone */
        j.step = 0;
        j.end = j.start;
    } else {
        double gap = j.end - j.start;
        if (taper_dtype_is_float(dtype)) gap = range_round(gap, dtype);
        j.step = gap / (double)(j.n - 1);
        if (dtype == TAPER_F32) j.step = (float)gap / (float)(j.n - 1);
        if (dtype == TAPER_F16 || dtype == TAPER_BF16) j.step = range_round(gap / range_round((double)(j.n - 1), dtype), dtype);
    }
    if (what == 2 && taper_dtype_is_float(dtype)) j.base = range_round(base, dtype);
    return range_fill(c, &j, linspace_range);
}
static taper_status linspace_run(taper_call *c) { return linspace_start(c, 1, 0); }
static taper_status logspace_run(taper_call *c) { return linspace_start(c, 2, c->args[3].f); }
static const taper_kernel linspace_kernels[] = {{"cpu", TAPER_CPU, NULL, linspace_run}, {"cuda", TAPER_CUDA, NULL, linspace_run}, {0}};
static const taper_kernel logspace_kernels[] = {{"cpu", TAPER_CPU, NULL, logspace_run}, {"cuda", TAPER_CUDA, NULL, logspace_run}, {0}};
const taper_op taper_op_linspace = {
    .infer = linspace_infer,
    .kernels = linspace_kernels,
    .samples = (const taper_sample[]){{"0, 1, 5"}, {"-2.5, 3, 4, dtype=float64"}, {"3, 10, 1"}, {"0, 10, 4, dtype=int64"}, {"0, 1, 700, dtype=bfloat16"}, {"-3, 3, 3000"}, {"0, 1, 0"}, {"0, 1, -1", .error = "non-negative, got -1"}, {0}}};
const taper_op taper_op_logspace = {
    .infer = linspace_infer,
    .kernels = logspace_kernels,
    .samples = (const taper_sample[]){{"0, 2, 3"}, {"0, 3, 4, 2.0, dtype=float64"}, {"0, 1, -1", .error = "non-negative, got -1"}, {0}}};
