/* Random fills: elements are drawn in the order they have in memory. The CPU draws through tensor/random_fill.h. */
#include <math.h>

#include "ops/op.h"
#include "ops/random_cuda.h"
#include "tensor/random_fill.h"

static taper_generator *random_generator(const taper_call *c) {
    const taper_arg *last = &c->args[c->nargs - 1];
    return last->kind == TAPER_ARG_GENERATOR ? last->g : NULL;
}

static taper_status random_infer(taper_call *c) { return taper__out_like(c, 0, (taper_dtype)c->args[0].t->dtype, c->args[0].t); }
static taper_status random_vjp(taper_vjp *v) { /* what was in self is gone */
    (void)v;
    return TAPER_OK;
}

typedef void (*random_draw_fn)(const taper_call *c, taper_generator *g, taper_dtype dtype, void *p, int64_t n);

/* A tensor with gaps is drawn beside, in its own order of dims, and copied. by_rows: the order is always row-major. */
static taper_status random_fill_in(taper_call *c, random_draw_fn draw, bool by_rows) {
    taper_tensor *t = c->out[0], *packed = NULL;
    taper_generator *g = random_generator(c);
    if (!t->numel) return TAPER_OK;
    TAPER_TRY(taper__generator_check(g, taper_cpu()));
    if (t->contiguous || (!by_rows && taper__is_dense(t->ndim, t->shape, t->strides))) {
        draw(c, g, (taper_dtype)t->dtype, taper__data(t), t->numel);
        return TAPER_OK;
    }
    int64_t strides[TAPER_MAX_DIMS], step = 1;
    taper__dense_strides(t, strides);
    for (int d = t->ndim - 1; by_rows && d >= 0; step *= t->shape[d--]) strides[d] = step;
    TAPER_TRY(taper__tensor_empty_strided(&packed, (taper_dtype)t->dtype, taper_cpu(), t->ndim, t->shape, strides, c->row->name));
    draw(c, g, (taper_dtype)t->dtype, taper__data(packed), t->numel);
    taper_status st = taper__copy_data(t, packed);
    taper_tensor_release(packed);
    return st;
}

static taper_status random_fill(taper_call *c, random_draw_fn draw) { return random_fill_in(c, draw, false); }
static taper_status random_fill_mkl(taper_call *c, random_draw_fn draw) { return random_fill_in(c, draw, taper__random_mkl()); }

static taper_status random_float_infer(taper_call *c) {
    TAPER_TRY(taper__need_float(c->args[0].t, c->row->name));
    return random_infer(c);
}

#define RANDOM_OP(name, infer_fn, ...) RANDOM_OP_BY(random_fill, taper__random_cuda, name, infer_fn, __VA_ARGS__)
#define RANDOM_OP_BY(fill, gpu, name, infer_fn, ...)                                                                   \
    static taper_status name##run(taper_call *c) { return fill(c, name##draw); }                                       \
    static const taper_kernel name##kernels[] = {{"cuda", TAPER_CUDA, NULL, gpu}, {"cpu", TAPER_CPU, NULL, name##run}, {0}}; \
    const taper_op taper_op_##name = {.infer = infer_fn,                                                               \
                                      .kernels = name##kernels,                                                        \
                                      .vjp = random_vjp,                                                               \
                                      .mutates = true,                                                                 \
                                      .pointwise = true,                                                               \
                                      .random = true,                                                                  \
                                      .samples = (const taper_sample[]){__VA_ARGS__, {0}}}

static void uniform_draw(const taper_call *c, taper_generator *g, taper_dtype d, void *p, int64_t n) { taper__random_uniform(g, d, p, n, c->args[1].f, c->args[2].f); }
static taper_status uniform_infer(taper_call *c) {
    if (!(c->args[1].f <= c->args[2].f))
        return TAPER_FAIL(TAPER_RUNTIME, "uniform_ expects to return a [from, to) range, but found from=%g > to=%g", c->args[1].f, c->args[2].f);
    return random_float_infer(c);
}
RANDOM_OP(uniform_, uniform_infer, {"[2,3]:nograd", .unspecified = true, .strides_matter = true}, {"[0]:nograd", .unspecified = true, .strides_matter = true}, {"[2]:nograd, 2.0, 1.0", .error = "from=2 > to=1"},
          {"[2]:i64", .error = "expected a floating point tensor"});

/* Only a row-major tensor gets the rule for many elements. */
static void normal_draw(const taper_call *c, taper_generator *g, taper_dtype d, void *p, int64_t n) {
    if (c->out[0]->contiguous)
        taper__random_normal(g, d, p, n, c->args[1].f, c->args[2].f);
    else
        taper__random_normal_serial(g, d, p, n, c->args[1].f, c->args[2].f);
}
static taper_status normal_infer(taper_call *c) {
    if (!(c->args[2].f >= 0)) return TAPER_FAIL(TAPER_RUNTIME, "normal expects std >= 0.0, but found std %g", c->args[2].f);
    return random_float_infer(c);
}
RANDOM_OP(normal_, normal_infer, {"[20]:nograd", .unspecified = true, .strides_matter = true}, {"[2,3]:nograd, 1.0, 0.5, generator=7", .unspecified = true, .strides_matter = true}, {"[2]:nograd, 0.0, -1.0", .error = "found std -1"});

static void log_normal_draw(const taper_call *c, taper_generator *g, taper_dtype d, void *p, int64_t n) { taper__random_log_normal(g, d, p, n, c->args[1].f, c->args[2].f); }
static taper_status log_normal_infer(taper_call *c) {
    if (!(c->args[2].f > 0)) return TAPER_FAIL(TAPER_RUNTIME, "log_normal_ expects std > 0.0, but found std=%g", c->args[2].f);
    return random_float_infer(c);
}
RANDOM_OP(log_normal_, log_normal_infer, {"[2,3]:nograd", .unspecified = true, .strides_matter = true}, {"[2]:nograd, 0.0, 0.0", .error = "found std=0"});

static void exponential_draw(const taper_call *c, taper_generator *g, taper_dtype d, void *p, int64_t n) { taper__random_exponential(g, d, p, n, c->args[1].f); }
static taper_status exponential_infer(taper_call *c) {
    if (!(c->args[1].f > 0)) return TAPER_FAIL(TAPER_RUNTIME, "exponential_ expects lambda > 0.0, but found lambda=%g", c->args[1].f);
    return random_float_infer(c);
}
RANDOM_OP_BY(random_fill_mkl, taper__random_cuda, exponential_, exponential_infer, {"[2,3]:nograd", .unspecified = true, .strides_matter = true}, {"[2]:nograd, 0.0", .error = "lambda=0"});

static void cauchy_draw(const taper_call *c, taper_generator *g, taper_dtype d, void *p, int64_t n) { taper__random_cauchy(g, d, p, n, c->args[1].f, c->args[2].f); }
static taper_status cauchy_infer(taper_call *c) {
    if (!(c->args[2].f > 0)) return TAPER_FAIL(TAPER_RUNTIME, "cauchy_ expects sigma > 0.0, but found sigma=%g", c->args[2].f);
    return random_float_infer(c);
}
RANDOM_OP(cauchy_, cauchy_infer, {"[2,3]:nograd", .unspecified = true, .strides_matter = true}, {"[2]:nograd, 0.0, 0.0", .error = "found sigma=0"});

static void geometric_draw(const taper_call *c, taper_generator *g, taper_dtype d, void *p, int64_t n) { taper__random_geometric(g, d, p, n, c->args[1].f); }
static taper_status geometric_infer(taper_call *c) {
    if (!(c->args[1].f > 0 && c->args[1].f < 1)) return TAPER_FAIL(TAPER_RUNTIME, "geometric_ expects p to be in (0, 1), but got p=%g", c->args[1].f);
    return random_infer(c);
}
RANDOM_OP(geometric_, geometric_infer, {"[2,3]:nograd, 0.5", .unspecified = true, .strides_matter = true}, {"[5]:i64, 0.2", .unspecified = true, .strides_matter = true}, {"[2]:nograd, 1.0", .error = "p=1"});

/* ---- zeros and ones ---- */

static void bernoulli_draw(const taper_call *c, taper_generator *g, taper_dtype d, void *p, int64_t n) { taper__random_bernoulli(g, d, p, n, c->args[1].f); }
static taper_status bernoulli_check(double p) {
    return p >= 0 && p <= 1 ? TAPER_OK : TAPER_FAIL(TAPER_RUNTIME, "bernoulli_ expects p to be in [0, 1], but got p=%g", p);
}
static taper_status bernoulli_infer(taper_call *c) {
    TAPER_TRY(bernoulli_check(c->args[1].f));
    return random_infer(c);
}
RANDOM_OP_BY(random_fill_mkl, taper__random_cuda, bernoulli_, bernoulli_infer, {"[2,3]:nograd", .unspecified = true, .strides_matter = true}, {"[4]:i64, 0.3", .unspecified = true, .strides_matter = true}, {"[2]:nograd, 2.0", .error = "p=2"});

static taper_status bernoulli_p_run(taper_call *c) { return random_fill_mkl(c, bernoulli_draw); }
static const taper_kernel bernoulli_p_kernels[] = {{"cuda", TAPER_CUDA, NULL, taper__random_cuda}, {"cpu", TAPER_CPU, NULL, bernoulli_p_run}, {0}};
const taper_op taper_op_bernoulli_p = {.infer = bernoulli_infer,
                                       .kernels = bernoulli_p_kernels,
                                       .random = true,
                                       .samples = (const taper_sample[]){{"[2,3]:nograd, 0.5", .unspecified = true, .strides_matter = true}, {"[2]:nograd, 2.0", .error = "p=2"}, {0}}};

/* One probability per element of out[0], in the order of its memory. */
static taper_status bernoulli_each(taper_call *c, taper_tensor *out, const taper_tensor *chance) {
    taper_status st = TAPER_OK;
    taper_tensor *p = NULL, *packed = NULL, *to = out;
    int64_t strides[TAPER_MAX_DIMS];
    if (!out->numel) return TAPER_OK;
    TAPER_TRY(taper__generator_check(random_generator(c), taper_cpu()));
    taper__dense_strides(out, strides);
    TAPER_TRY_GOTO(taper__tensor_empty_strided(&p, (taper_dtype)chance->dtype, taper_cpu(), out->ndim, out->shape, strides, c->row->name));
    TAPER_TRY_GOTO(taper__copy_data(p, chance));
    for (int64_t i = 0; i < p->numel; i++) {
        double x = taper__load_double((const char *)taper__data(p) + i * (int64_t)taper_dtype_size((taper_dtype)p->dtype), (taper_dtype)p->dtype);
        if (!(x >= 0 && x <= 1)) {
            st = TAPER_FAIL(TAPER_RUNTIME, "Expected p_in >= 0 && p_in <= 1 to be true, but got false: %g", x);
            goto out;
        }
    }
    if (!out->contiguous && !taper__is_dense(out->ndim, out->shape, out->strides)) {
        TAPER_TRY_GOTO(taper__tensor_empty_strided(&packed, (taper_dtype)out->dtype, taper_cpu(), out->ndim, out->shape, strides, c->row->name));
        to = packed;
    }
    taper__random_bernoulli_each(random_generator(c), (taper_dtype)to->dtype, taper__data(to), to->numel, (taper_dtype)p->dtype, taper__data(p));
    if (packed) st = taper__copy_data(out, packed);
out:
    taper_tensor_release(p);
    taper_tensor_release(packed);
    return st;
}
static taper_status bernoulli__each_infer(taper_call *c) {
    int n;
    int64_t shape[TAPER_MAX_DIMS];
    if (c->args[1].kind != TAPER_ARG_TENSOR) return bernoulli_check(taper_arg_double(&c->args[1])) == TAPER_OK ? random_infer(c) : TAPER_RUNTIME;
    taper_tensor *both[2] = {c->args[0].t, c->args[1].t};
    TAPER_TRY(taper__need_float(both[1], "bernoulli_"));
    TAPER_TRY(taper__broadcast(&n, shape, both, 2, "bernoulli_"));
    if (n != both[0]->ndim || memcmp(shape, both[0]->shape, sizeof(int64_t) * (size_t)n))
        return TAPER_FAIL(TAPER_RUNTIME, "bernoulli_: p of shape %s cannot be expanded to shape %s", TAPER_SHAPE(both[1]), TAPER_SHAPE(both[0]));
    return random_infer(c);
}
static void bernoulli_number_draw(const taper_call *c, taper_generator *g, taper_dtype d, void *p, int64_t n) {
    taper__random_bernoulli(g, d, p, n, taper_arg_double(&c->args[1]));
}
static taper_status bernoulli__each_run(taper_call *c) {
    if (c->args[1].kind != TAPER_ARG_TENSOR) return random_fill_mkl(c, bernoulli_number_draw);
    return bernoulli_each(c, c->out[0], c->args[1].t);
}
static taper_status bernoulli__each_cuda(taper_call *c) {
    if (c->args[1].kind == TAPER_ARG_TENSOR) return taper__bernoulli_each_cuda(c, c->out[0], c->args[1].t);
    return taper__bernoulli_cuda(c, c->out[0], taper_arg_double(&c->args[1]));
}
static const taper_kernel bernoulli__each_kernels[] = {{"cuda", TAPER_CUDA, NULL, bernoulli__each_cuda}, {"cpu", TAPER_CPU, NULL, bernoulli__each_run}, {0}};
const taper_op taper_op_bernoulli__each = {
    .infer = bernoulli__each_infer,
    .kernels = bernoulli__each_kernels,
    .vjp = random_vjp,
    .mutates = true,
    .random = true,
    .samples = (const taper_sample[]){{"[2,3]:nograd, [2,3]:unit:nograd", .unspecified = true, .strides_matter = true}, {"[2,3]:i64, [3]:unit:nograd", .unspecified = true, .strides_matter = true},
                                      {"[2]:nograd, [2]:f32:nograd=(0.5,1.5)", .error = "p_in <= 1"}, {"[2]:nograd, [3]:unit:nograd", .error = "must match"}, {0}}};

static taper_status bernoulli_self_infer(taper_call *c) {
    TAPER_TRY(taper__need_float(c->args[0].t, "bernoulli"));
    return random_infer(c);
}
static taper_status bernoulli_self_run(taper_call *c) { return bernoulli_each(c, c->out[0], c->args[0].t); }
static taper_status bernoulli_self_cuda(taper_call *c) { return taper__bernoulli_each_cuda(c, c->out[0], c->args[0].t); }
static const taper_kernel bernoulli_self_kernels[] = {{"cuda", TAPER_CUDA, NULL, bernoulli_self_cuda}, {"cpu", TAPER_CPU, NULL, bernoulli_self_run}, {0}};
const taper_op taper_op_bernoulli = {.infer = bernoulli_self_infer,
                                     .kernels = bernoulli_self_kernels,
                                     .vjp = random_vjp,
                                     .random = true,
                                     .samples = (const taper_sample[]){{"[2,3]:unit:nograd", .unspecified = true, .strides_matter = true}, {"[2]:f32:nograd=(0.5,-1)", .error = "p_in >= 0"}, {0}}};

/* ---- integers ---- */

static void random_draw(const taper_call *c, taper_generator *g, taper_dtype d, void *p, int64_t n) {
    (void)c;
    taper__random_all(g, d, p, n);
}
static taper_status random_cuda(taper_call *c) { return taper__random_int_cuda(c, 0, taper__random_all_range((taper_dtype)c->out[0]->dtype)); }
RANDOM_OP_BY(random_fill, random_cuda, random_, random_infer, {"[4]:i64", .unspecified = true, .strides_matter = true}, {"[2,3]:nograd", .unspecified = true, .strides_matter = true});

/* Largest whole number of a dtype up to which all are exact; the smallest. */
static void random_bounds(taper_dtype d, int64_t *least, int64_t *most) {
    switch (d) { /* on the dtype */
    case TAPER_BOOL: *least = 0; *most = 1; return;
    case TAPER_U8: *least = 0; *most = UINT8_MAX; return;
    case TAPER_I8: *least = INT8_MIN; *most = INT8_MAX; return;
    case TAPER_I16: *least = INT16_MIN; *most = INT16_MAX; return;
    case TAPER_I32: *least = INT32_MIN; *most = INT32_MAX; return;
    case TAPER_F16: *least = -65504; *most = 65504; return;
    default: *least = INT64_MIN; *most = INT64_MAX; return;
    }
}
static taper_status random_range_infer(taper_call *c, int64_t from, int64_t to) {
    taper_dtype d = (taper_dtype)c->args[0].t->dtype;
    int64_t least, most;
    if (from >= to)
        return TAPER_FAIL(TAPER_RUNTIME, "random_ expects 'from' to be less than 'to', but got from=%lld >= to=%lld", (long long)from, (long long)to);
    random_bounds(d, &least, &most);
    if (from < least || from > most) return TAPER_FAIL(TAPER_RUNTIME, "from is out of bounds for %s: %lld", taper_dtype_name(d), (long long)from);
    if (to - 1 < least || to - 1 > most) return TAPER_FAIL(TAPER_RUNTIME, "to - 1 is out of bounds for %s: %lld", taper_dtype_name(d), (long long)(to - 1));
    return random_infer(c);
}
/* How many numbers from args[1] on; 0: all of 64 bits. Without an end: up to the largest of an integer dtype, the largest exact
 * integer of a float. */
static uint64_t random_from_range(const taper_call *c, taper_dtype d) {
    int64_t from = c->args[1].i, least, most;
    if (c->args[2].kind == TAPER_ARG_INT) return (uint64_t)c->args[2].i - (uint64_t)from;
    if (from == INT64_MIN) return 0;
    random_bounds(d, &least, &most);
    most = d == TAPER_F16 ? 1 << 11 : d == TAPER_BF16 ? 1 << 8 : d == TAPER_F32 ? 1 << 24 : d == TAPER_F64 ? INT64_C(1) << 53 : most;
    return (uint64_t)most - (uint64_t)from + 1;
}
static void random_from_draw(const taper_call *c, taper_generator *g, taper_dtype d, void *p, int64_t n) {
    uint64_t range = random_from_range(c, d);
    if (c->args[2].kind != TAPER_ARG_INT && !range) taper__random_all64(g, d, p, n);
    else taper__random_int(g, d, p, n, c->args[1].i, range);
}
static taper_status random_from_cuda(taper_call *c) { return taper__random_int_cuda(c, c->args[1].i, random_from_range(c, (taper_dtype)c->out[0]->dtype)); }
static taper_status random_from_infer(taper_call *c) {
    if (c->args[2].kind == TAPER_ARG_INT) return random_range_infer(c, c->args[1].i, c->args[2].i);
    return random_infer(c);
}
RANDOM_OP_BY(random_fill, random_from_cuda, random_from_, random_from_infer, {"[4]:i64, 2, 9", .unspecified = true, .strides_matter = true}, {"[4]:i32, 5, -", .unspecified = true, .strides_matter = true}, {"[4]:i64, 9, 2", .error = "from=9 >= to=2"},
          {"[4]:u8, -1, 2", .error = "from is out of bounds for uint8"}, {"[4]:i8, 0, 200", .error = "to - 1 is out of bounds for int8"});

static void random_to_draw(const taper_call *c, taper_generator *g, taper_dtype d, void *p, int64_t n) { taper__random_int(g, d, p, n, 0, (uint64_t)c->args[1].i); }
static taper_status random_to_infer(taper_call *c) { return random_range_infer(c, 0, c->args[1].i); }
static taper_status random_to_cuda(taper_call *c) { return taper__random_int_cuda(c, 0, (uint64_t)c->args[1].i); }
RANDOM_OP_BY(random_fill, random_to_cuda, random_to_, random_to_infer, {"[4]:i64, 9", .unspecified = true, .strides_matter = true}, {"[4]:i64, 0", .error = "to=0"});
