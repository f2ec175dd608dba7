/* Random fills and what is built on them. The CPU draws through tensor/random_fill.h. */
#include "ops/op.h"
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

/* Fills in row-major order whatever the strides. */
static taper_status random_fill(taper_call *c, random_draw_fn draw) {
    taper_tensor *t = c->out[0], *packed = NULL;
    taper_generator *g = random_generator(c);
    if (t->contiguous) {
        draw(c, g, (taper_dtype)t->dtype, taper__data(t), t->numel);
        return TAPER_OK;
    }
    TAPER_TRY(taper__tensor_empty(&packed, (taper_dtype)t->dtype, taper_cpu(), t->ndim, t->shape, c->row->name));
    draw(c, g, (taper_dtype)t->dtype, taper__data(packed), t->numel);
    taper_status st = taper__copy_data(t, packed);
    taper_tensor_release(packed);
    return st;
}

static taper_status random_float_infer(taper_call *c) {
    TAPER_TRY(taper__need_float(c->args[0].t, c->row->name));
    return random_infer(c);
}

#define RANDOM_OP(name, infer_fn, ...)                                                                                 \
    static taper_status name##run(taper_call *c) { return random_fill(c, name##draw); }                                \
    static const taper_kernel name##kernels[] = {{"cpu", TAPER_CPU, NULL, name##run}, {0}};                            \
    const taper_op taper_op_##name = {.infer = infer_fn,                                                               \
                                      .kernels = name##kernels,                                                        \
                                      .vjp = random_vjp,                                                               \
                                      .mutates = true,                                                                 \
                                      .pointwise = true,                                                               \
                                      .random = true,                                                                  \
                                      .samples = (const taper_sample[]){__VA_ARGS__, {0}}}

static void uniform_draw(const taper_call *c, taper_generator *g, taper_dtype d, void *p, int64_t n) { taper__random_uniform(g, d, p, n, c->args[1].f, c->args[2].f); }
static taper_status uniform_infer(taper_call *c) {
    if (c->args[1].f > c->args[2].f)
        return TAPER_FAIL(TAPER_RUNTIME, "uniform_ expects to return a [from, to) range, but found from=%g > to=%g", c->args[1].f, c->args[2].f);
    return random_float_infer(c);
}
RANDOM_OP(uniform_, uniform_infer, {"[2,3]:nograd", .unspecified = true}, {"[2]:nograd, 2.0, 1.0", .error = "from=2 > to=1"});

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
RANDOM_OP(normal_, normal_infer, {"[10]:nograd", .unspecified = true}, {"[2]:nograd, 0.0, -1.0", .error = "found std -1"});

static void exponential_draw(const taper_call *c, taper_generator *g, taper_dtype d, void *p, int64_t n) { taper__random_exponential(g, d, p, n, c->args[1].f); }
static taper_status exponential_infer(taper_call *c) {
    if (!(c->args[1].f > 0)) return TAPER_FAIL(TAPER_RUNTIME, "exponential_ expects lambda > 0.0, but found lambda=%g", c->args[1].f);
    return random_float_infer(c);
}
RANDOM_OP(exponential_, exponential_infer, {"[2,3]:nograd", .unspecified = true}, {"[2]:nograd, 0.0", .error = "lambda=0"});

static void bernoulli_draw(const taper_call *c, taper_generator *g, taper_dtype d, void *p, int64_t n) { taper__random_bernoulli(g, d, p, n, c->args[1].f); }
static taper_status bernoulli_p_infer(taper_call *c) {
    if (!(c->args[1].f >= 0 && c->args[1].f <= 1)) return TAPER_FAIL(TAPER_RUNTIME, "bernoulli_ expects p to be in [0, 1], but got p=%g", c->args[1].f);
    return random_infer(c);
}
RANDOM_OP(bernoulli_, bernoulli_p_infer, {"[2,3]:nograd", .unspecified = true}, {"[2]:nograd, 2.0", .error = "p=2"});

static void random_draw(const taper_call *c, taper_generator *g, taper_dtype d, void *p, int64_t n) {
    (void)c;
    taper__random_all(g, d, p, n);
}
RANDOM_OP(random_, random_infer, {"[4]:i64", .unspecified = true});

static void random__fromdraw(const taper_call *c, taper_generator *g, taper_dtype d, void *p, int64_t n) {
    taper__random_int(g, d, p, n, c->args[1].i, (uint64_t)c->args[2].i - (uint64_t)c->args[1].i);
}
static taper_status random_from_infer(taper_call *c) {
    if (c->args[1].i >= c->args[2].i)
        return TAPER_FAIL(TAPER_RUNTIME, "random_ expects 'from' to be less than 'to', but got from=%lld >= to=%lld", (long long)c->args[1].i, (long long)c->args[2].i);
    return random_infer(c);
}
RANDOM_OP(random__from, random_from_infer, {"[4]:i64, 2, 9", .unspecified = true}, {"[4]:i64, 9, 2", .error = "from=9 >= to=2"});

static void random__todraw(const taper_call *c, taper_generator *g, taper_dtype d, void *p, int64_t n) { taper__random_int(g, d, p, n, 0, (uint64_t)c->args[1].i); }
static taper_status random_to_infer(taper_call *c) {
    if (c->args[1].i <= 0) return TAPER_FAIL(TAPER_RUNTIME, "random_ expects 'from' to be less than 'to', but got from=0 >= to=%lld", (long long)c->args[1].i);
    return random_infer(c);
}
RANDOM_OP(random__to, random_to_infer, {"[4]:i64, 9", .unspecified = true}, {"[4]:i64, 0", .error = "to=0"});

static taper_status bernoulli_each_infer(taper_call *c) {
    TAPER_TRY(taper__need_float(c->args[0].t, "bernoulli"));
    return taper__out(c, 0, (taper_dtype)c->args[0].t->dtype, c->args[0].t->ndim, c->args[0].t->shape);
}
static taper_status bernoulli_each_run(taper_call *c) {
    taper_tensor *t = c->out[0];
    taper__random_bernoulli_each(random_generator(c), (taper_dtype)t->dtype, taper__data(t), t->numel, (taper_dtype)c->args[0].t->dtype, taper__data(c->args[0].t));
    return TAPER_OK;
}
static const taper_kernel bernoulli_each_kernels[] = {{"cpu", TAPER_CPU, NULL, bernoulli_each_run}, {0}};
const taper_op taper_op_bernoulli = {.infer = bernoulli_each_infer,
                                     .kernels = bernoulli_each_kernels,
                                     .vjp = random_vjp,
                                     .contiguous = 1,
                                     .random = true,
                                     .samples = (const taper_sample[]){{"[2,3]:unit:nograd", .unspecified = true}, {0}}};
