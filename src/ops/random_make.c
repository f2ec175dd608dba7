/* Random tensors: rand, randn, randint, their *_like forms, randperm, normal, multinomial; made of empty and the fills. */
#include "ops/op.h"
#include "ops/random_cuda.h"
#include "tensor/random_fill.h"

static const taper_device *make_device(const taper_call *c, int k) { return c->args[k].kind == TAPER_ARG_DEVICE ? &c->args[k].device : NULL; }
static taper_dtype make_dtype(const taper_call *c, int k, taper_dtype fallback) { return c->args[k].kind == TAPER_ARG_DTYPE ? c->args[k].dtype : fallback; }
static taper_generator *make_generator(const taper_call *c, int k) { return c->args[k].kind == TAPER_ARG_GENERATOR ? c->args[k].g : NULL; }
static taper_status make_give(taper_call *c, taper_scope *s, taper_tensor *t) {
    c->nout = 1;
    c->out[0] = taper_scope_keep(s, t);
    return s->status;
}
/* Size, generator, dtype and device from argument `at` on. */
static taper_tensor *make_empty(taper_call *c, taper_scope *s, int at, taper_dtype fallback) {
    return tx_empty(s, c->args[at].is, c->args[at].count, make_dtype(c, at + 2, fallback), make_device(c, at + 3));
}
/* dtype, device and memory format from argument `at` on. */
static taper_tensor *make_like(taper_call *c, taper_scope *s, int at) {
    return tx_empty_like(s, c->args[0].t, make_dtype(c, at, TAPER_DTYPE_NONE), make_device(c, at + 1), c->args[at + 2].kind == TAPER_ARG_STRING ? c->args[at + 2].s : NULL);
}

static taper_status rand_compose(taper_call *c, taper_scope *s) {
    return make_give(c, s, tx_uniform_(s, make_empty(c, s, 0, TAPER_DTYPE_NONE), 0, 1, make_generator(c, 1)));
}
static taper_status randn_compose(taper_call *c, taper_scope *s) {
    return make_give(c, s, tx_normal_(s, make_empty(c, s, 0, TAPER_DTYPE_NONE), 0, 1, make_generator(c, 1)));
}
static taper_status rand_like_compose(taper_call *c, taper_scope *s) { return make_give(c, s, tx_uniform_(s, make_like(c, s, 1), 0, 1, NULL)); }
static taper_status randn_like_compose(taper_call *c, taper_scope *s) { return make_give(c, s, tx_normal_(s, make_like(c, s, 1), 0, 1, NULL)); }
static taper_status randint_compose(taper_call *c, taper_scope *s) {
    return make_give(c, s, tx_random_to_(s, make_empty(c, s, 1, TAPER_I64), c->args[0].i, make_generator(c, 2)));
}
static taper_status randint_low_compose(taper_call *c, taper_scope *s) {
    return make_give(c, s, tx_random_from_(s, make_empty(c, s, 2, TAPER_I64), c->args[0].i, &c->args[1].i, make_generator(c, 3)));
}
static taper_status randint_like_compose(taper_call *c, taper_scope *s) { return make_give(c, s, tx_random_to_(s, make_like(c, s, 2), c->args[1].i, NULL)); }
static taper_status randint_like_low_compose(taper_call *c, taper_scope *s) {
    return make_give(c, s, tx_random_from_(s, make_like(c, s, 3), c->args[1].i, &c->args[2].i, NULL));
}
static taper_status randperm_compose(taper_call *c, taper_scope *s) {
    int64_t n = c->args[0].i;
    taper_tensor *t = NULL;
    taper_dtype dtype = make_dtype(c, 2, TAPER_I64);
    if (n < 0) return TAPER_FAIL(TAPER_RUNTIME, "n must be non-negative, got %lld", (long long)n);
    if (dtype == TAPER_BOOL) return TAPER_FAIL(TAPER_NOT_IMPLEMENTED, "\"randperm\" not implemented for 'Bool'");
    if ((dtype == TAPER_U8 && n > 256) || (dtype == TAPER_I8 && n > 128) || (dtype == TAPER_I16 && n > 32768) || (dtype == TAPER_F16 && n > 2049) || (dtype == TAPER_BF16 && n > 257))
        return TAPER_FAIL(TAPER_RUNTIME, "n is too large for result tensor type: '%s', got %lld", taper_dtype_name(dtype), (long long)n);
    t = tx_empty(s, &n, 1, dtype, make_device(c, 3));
    if (!t) return s->status;
    if (t->device.type == TAPER_CUDA) TAPER_TRY(taper__randperm_cuda(t, make_generator(c, 1)));
    if (t->device.type == TAPER_CPU) {
        TAPER_TRY(taper__generator_check(make_generator(c, 1), t->device));
        taper__random_permutation(make_generator(c, 1), dtype, taper__data(t), n);
    }
    return make_give(c, s, t);
}

#define MAKE_OP(name, ...) const taper_op taper_op_##name = {.compose = name##_compose, .random = true, .samples = (const taper_sample[]){__VA_ARGS__, {0}}}
MAKE_OP(rand, {"(2,3)", .unspecified = true}, {"(2), dtype=float64", .unspecified = true}, {"(2), dtype=int64", .error = "expected a floating point tensor"});
MAKE_OP(randn, {"(2,3)", .unspecified = true}, {"(20)", .unspecified = true});
MAKE_OP(randint, {"9, (2,3)", .unspecified = true}, {"9, (4), dtype=float32", .unspecified = true}, {"0, (2)", .error = "to=0"});
MAKE_OP(randint_low, {"-3, 9, (2,3)", .unspecified = true}, {"5, 2, (2)", .error = "from=5 >= to=2"});
MAKE_OP(rand_like, {"[2,3]:nograd", .unspecified = true, .strides_matter = true}, {"[2,3,2,2]:nograd, memory_format=channels_last", .unspecified = true, .strides_matter = true});
MAKE_OP(randn_like, {"[2,3]:nograd", .unspecified = true, .strides_matter = true}, {"[2,3]:i64, dtype=float32", .unspecified = true, .strides_matter = true});
MAKE_OP(randint_like, {"[2,3]:i64, 9", .unspecified = true, .strides_matter = true}, {"[2]:i64, 0", .error = "to=0"});
MAKE_OP(randint_like_low, {"[2,3]:i64, -3, 9", .unspecified = true, .strides_matter = true}, {"[2]:i64, 3, 2", .error = "from=3 >= to=2"});
MAKE_OP(randperm, {"7", .unspecified = true}, {"0", .unspecified = true}, {"5, dtype=int32", .unspecified = true}, {"-1", .error = "got -1"});

/* ---- normal ---- */

static taper_status normal_compose(taper_call *c, taper_scope *s) {
    return make_give(c, s, tx_normal_(s, make_empty(c, s, 2, TAPER_DTYPE_NONE), c->args[0].f, c->args[1].f, make_generator(c, 3)));
}
static taper_status normal_check(taper_scope *s, taper_tensor *std) {
    double least = 0;
    taper_device cpu = taper_cpu();
    taper_tensor *host = tx_contiguous(s, tx_to(s, std, &cpu, TAPER_F64, false, false));
    for (int64_t i = 0; host && i < host->numel; i++)
        if (((const double *)taper__data(host))[i] < least) least = ((const double *)taper__data(host))[i];
    if (least < 0) return TAPER_FAIL(TAPER_RUNTIME, "normal expects all elements of std >= 0.0, got %g", least);
    return s->status;
}
/* Standard normal numbers, scaled, then moved. */
static taper_status normal_tensors_compose(taper_call *c, taper_scope *s) {
    taper_tensor *both[2] = {c->args[0].t, c->args[1].t}, *t;
    int n;
    int64_t shape[TAPER_MAX_DIMS];
    TAPER_TRY(normal_check(s, both[1]));
    TAPER_TRY(taper__broadcast(&n, shape, both, 2, "normal"));
    t = tx_normal_(s, tx_empty(s, shape, n, taper__result_dtype(both, 2, NULL, 0), &both[0]->device), 0, 1, make_generator(c, 2));
    return make_give(c, s, tx_add(s, tx_mul(s, t, both[1]), both[0], taper_int(1)));
}
static taper_status normal_mean_compose(taper_call *c, taper_scope *s) {
    taper_tensor *mean = c->args[0].t, *t = tx_normal_(s, tx_empty_like(s, mean, TAPER_DTYPE_NONE, NULL, NULL), 0, c->args[1].f, make_generator(c, 2));
    return make_give(c, s, tx_add(s, t, mean, taper_int(1)));
}
static taper_status normal_std_compose(taper_call *c, taper_scope *s) {
    taper_tensor *std = c->args[1].t, *t;
    TAPER_TRY(normal_check(s, std));
    t = tx_normal_(s, tx_empty_like(s, std, TAPER_DTYPE_NONE, NULL, NULL), 0, 1, make_generator(c, 2));
    return make_give(c, s, tx_add(s, tx_mul(s, t, std), taper__number(s, c->args[0].f), taper_int(1)));
}
MAKE_OP(normal, {"1.0, 2.0, (3)", .unspecified = true}, {"1.0, -2.0, (3)", .error = "found std -2"});
MAKE_OP(normal_tensors, {"[3]:nograd, [3]:pos:nograd", .unspecified = true, .strides_matter = true}, {"[2,1]:nograd, [3]:pos:nograd", .unspecified = true, .strides_matter = true},
        {"[2]:nograd, [2]:f32:nograd=(1,-1)", .error = "all elements of std >= 0.0"});
MAKE_OP(normal_mean, {"[3]:nograd, 2.0", .unspecified = true, .strides_matter = true}, {"[2]:nograd, -1.0", .error = "found std -1"});
MAKE_OP(normal_std, {"1.0, [3]:pos:nograd", .unspecified = true}, {"0.0, [2]:f32:nograd=(1,-1)", .error = "all elements of std >= 0.0"});

/* ---- multinomial ---- */

static taper_status multinomial_infer(taper_call *c) {
    const taper_tensor *self = c->args[0].t;
    int64_t n = c->args[1].i, shape[2] = {self->ndim == 2 ? self->shape[0] : n, n};
    if (self->ndim != 1 && self->ndim != 2) return TAPER_FAIL(TAPER_RUNTIME, "prob_dist must be 1 or 2 dim, got %s", TAPER_TEXT(self));
    if (!taper_dtype_is_float((taper_dtype)self->dtype))
        return TAPER_FAIL(TAPER_RUNTIME, "multinomial only supports floating-point dtypes for input, got: %s", taper_dtype_typename((taper_dtype)self->dtype));
    if (n <= 0) return TAPER_FAIL(TAPER_RUNTIME, "cannot sample n_sample <= 0 samples, got %lld", (long long)n);
    if (!c->args[2].i && n > self->shape[self->ndim - 1])
        return TAPER_FAIL(TAPER_RUNTIME, "cannot sample n_sample > prob_dist.size(-1) samples without replacement: %lld of %s", (long long)n, TAPER_SHAPE(self));
    return taper__out(c, 0, TAPER_I64, self->ndim, shape);
}
static taper_status multinomial_cpu(taper_call *c) {
    const taper_tensor *self = c->args[0].t;
    TAPER_TRY(taper__generator_check(make_generator(c, 3), taper_cpu()));
    return taper__random_multinomial(make_generator(c, 3), taper__data(c->out[0]), (taper_dtype)self->dtype, taper__data(self), self->ndim == 2 ? self->shape[0] : 1,
                                     self->shape[self->ndim - 1], c->args[1].i, c->args[2].i);
}
static const taper_kernel multinomial_kernels[] = {{"cuda", TAPER_CUDA, NULL, taper__multinomial_cuda}, {"cpu", TAPER_CPU, NULL, multinomial_cpu}, {0}};
const taper_op taper_op_multinomial = {
    .infer = multinomial_infer,
    .kernels = multinomial_kernels,
    .contiguous = 1,
    .random = true,
    .samples = (const taper_sample[]){{"[4]:pos:nograd, 3, true", .unspecified = true, .strides_matter = true}, {"[2,4]:pos:nograd, 1", .unspecified = true, .strides_matter = true}, {"[3,4]:pos:nograd, 4", .unspecified = true, .strides_matter = true},
                                      {"[4]:pos:nograd, 5", .error = "without replacement: 5 of [4]"}, {"[4]:i64, 1", .error = "got: Long"}, {0}}};
