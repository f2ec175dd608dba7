/* Random tensors: rand, randn, randint, randperm, normal, multinomial, dropout, made of empty and the fills. */
#include "ops/op.h"
#include "tensor/random_fill.h"

static const taper_device *make_device(const taper_call *c, int k) { return c->args[k].kind == TAPER_ARG_DEVICE ? &c->args[k].device : NULL; }
static taper_dtype make_dtype(const taper_call *c, int k, taper_dtype fallback) { return c->args[k].kind == TAPER_ARG_DTYPE ? c->args[k].dtype : fallback; }
static taper_generator *make_generator(const taper_call *c, int k) { return c->args[k].kind == TAPER_ARG_GENERATOR ? c->args[k].g : NULL; }
static taper_status make_give(taper_call *c, taper_scope *s, taper_tensor *t) {
    c->nout = 1;
    c->out[0] = taper_scope_keep(s, t);
    return s->status;
}
static bool make_meta(const taper_tensor *t) { return t && t->device.type == TAPER_META; }

static taper_status rand_compose(taper_call *c, taper_scope *s) {
    taper_tensor *t = tx_empty(s, c->args[0].is, c->args[0].count, make_dtype(c, 2, TAPER_DTYPE_NONE), make_device(c, 3));
    if (!make_meta(t)) tx_uniform_(s, t, 0, 1, make_generator(c, 1));
    return make_give(c, s, t);
}
static taper_status randn_compose(taper_call *c, taper_scope *s) {
    taper_tensor *t = tx_empty(s, c->args[0].is, c->args[0].count, make_dtype(c, 2, TAPER_DTYPE_NONE), make_device(c, 3));
    if (!make_meta(t)) tx_normal_(s, t, 0, 1, make_generator(c, 1));
    return make_give(c, s, t);
}
static taper_status rand_like_compose(taper_call *c, taper_scope *s) {
    return make_give(c, s, tx_uniform_(s, tx_empty_like(s, c->args[0].t, make_dtype(c, 1, TAPER_DTYPE_NONE), make_device(c, 2)), 0, 1, NULL));
}
static taper_status randn_like_compose(taper_call *c, taper_scope *s) {
    return make_give(c, s, tx_normal_(s, tx_empty_like(s, c->args[0].t, make_dtype(c, 1, TAPER_DTYPE_NONE), make_device(c, 2)), 0, 1, NULL));
}
static taper_status randint_make(taper_call *c, taper_scope *s, int64_t low, int64_t high, int at) {
    taper_tensor *t = tx_empty(s, c->args[at].is, c->args[at].count, make_dtype(c, at + 2, TAPER_I64), make_device(c, at + 3));
    if (low >= high) return TAPER_FAIL(TAPER_RUNTIME, "random_ expects 'from' to be less than 'to', but got from=%lld >= to=%lld", (long long)low, (long long)high);
    if (!make_meta(t)) tx_random__from(s, t, low, high, make_generator(c, at + 1));
    return make_give(c, s, t);
}
static taper_status randint_compose(taper_call *c, taper_scope *s) { return randint_make(c, s, 0, c->args[0].i, 1); }
static taper_status randint_low_compose(taper_call *c, taper_scope *s) { return randint_make(c, s, c->args[0].i, c->args[1].i, 2); }
static taper_status randperm_compose(taper_call *c, taper_scope *s) {
    int64_t n = c->args[0].i;
    taper_tensor *t = NULL;
    taper_dtype dtype = make_dtype(c, 2, TAPER_I64);
    if (n < 0) return TAPER_FAIL(TAPER_RUNTIME, "randperm: n must be non-negative, got %lld", (long long)n);
    TAPER_TRY(taper_tensor_new(&t, dtype, taper_cpu(), 1, &n));
    taper__random_permutation(make_generator(c, 1), dtype, taper__data(t), n);
    return make_give(c, s, tx_to(s, taper_scope_own(s, t), make_device(c, 3), TAPER_DTYPE_NONE, false, false));
}
static taper_status normal_compose(taper_call *c, taper_scope *s) {
    taper_tensor *t = tx_empty(s, c->args[2].is, c->args[2].count, make_dtype(c, 4, TAPER_DTYPE_NONE), make_device(c, 5));
    return make_give(c, s, tx_normal_(s, t, c->args[0].f, c->args[1].f, make_generator(c, 3)));
}
static taper_status normal_tensors_compose(taper_call *c, taper_scope *s) {
    taper_tensor *both[2] = {c->args[0].t, c->args[1].t};
    int n;
    int64_t shape[TAPER_MAX_DIMS];
    TAPER_TRY(taper__broadcast(&n, shape, both, 2, "normal"));
    taper_tensor *t = tx_normal_(s, tx_empty(s, shape, n, (taper_dtype)both[0]->dtype, &both[0]->device), 0, 1, make_generator(c, 2));
    return make_give(c, s, tx_add(s, tx_mul(s, t, both[1]), both[0], taper_int(1)));
}
#define RANDOM_SAMPLES(...) .samples = (const taper_sample[]){__VA_ARGS__, {0}}
const taper_op taper_op_rand = {.compose = rand_compose, RANDOM_SAMPLES({"(2,3)", .unspecified = true})};
const taper_op taper_op_randn = {.compose = randn_compose, RANDOM_SAMPLES({"(2,3)", .unspecified = true}, {"(20)", .unspecified = true})};
const taper_op taper_op_rand_like = {.compose = rand_like_compose, RANDOM_SAMPLES({"[2,3]:nograd", .unspecified = true})};
const taper_op taper_op_randn_like = {.compose = randn_like_compose, RANDOM_SAMPLES({"[2,3]:nograd", .unspecified = true})};
const taper_op taper_op_randint = {.compose = randint_compose, RANDOM_SAMPLES({"9, (2,3)", .unspecified = true}, {"0, (2)", .error = "to=0"})};
const taper_op taper_op_randint_low = {.compose = randint_low_compose, RANDOM_SAMPLES({"-3, 9, (2,3)", .unspecified = true}, {"5, 2, (2)", .error = "from=5 >= to=2"})};
const taper_op taper_op_randperm = {.compose = randperm_compose, RANDOM_SAMPLES({"7", .unspecified = true}, {"-1", .error = "got -1"})};
const taper_op taper_op_normal = {.compose = normal_compose, RANDOM_SAMPLES({"1.0, 2.0, (3)", .unspecified = true})};
const taper_op taper_op_normal_tensors = {.compose = normal_tensors_compose, RANDOM_SAMPLES({"[3]:nograd, [3]:pos:nograd", .unspecified = true})};

static taper_status multinomial_infer(taper_call *c) {
    const taper_tensor *self = c->args[0].t;
    int64_t n = c->args[1].i, shape[2] = {self->ndim == 2 ? self->shape[0] : n, n};
    if (self->ndim != 1 && self->ndim != 2) return TAPER_FAIL(TAPER_RUNTIME, "prob_dist must be 1 or 2 dim, got %s", TAPER_TEXT(self));
    TAPER_TRY(taper__need_float(self, "multinomial"));
    if (n <= 0) return TAPER_FAIL(TAPER_RUNTIME, "cannot sample n_sample <= 0 samples, got %lld", (long long)n);
    if (!c->args[2].i && n > self->shape[self->ndim - 1])
        return TAPER_FAIL(TAPER_RUNTIME, "cannot sample n_sample > prob_dist.size(-1) samples without replacement: %lld of %s", (long long)n, TAPER_SHAPE(self));
    return taper__out(c, 0, TAPER_I64, self->ndim, shape);
}
static taper_status multinomial_cpu(taper_call *c) {
    const taper_tensor *self = c->args[0].t;
    return taper__random_multinomial(make_generator(c, 3), taper__data(c->out[0]), (taper_dtype)self->dtype, taper__data(self), self->ndim == 2 ? self->shape[0] : 1,
                                     self->shape[self->ndim - 1], c->args[1].i, c->args[2].i);
}
static const taper_kernel multinomial_kernels[] = {{"cpu", TAPER_CPU, NULL, multinomial_cpu}, {0}};
const taper_op taper_op_multinomial = {.infer = multinomial_infer,
                                       .kernels = multinomial_kernels,
                                       .contiguous = 1,
                                       .random = true,
                                       RANDOM_SAMPLES({"[4]:pos:nograd, 3, true", .unspecified = true}, {"[2,4]:pos:nograd, 1", .unspecified = true},
                                                      {"[4]:pos:nograd, 5", .error = "without replacement: 5 of [4]"})};

static taper_status dropout_compose(taper_call *c, taper_scope *s) {
    taper_tensor *x = c->args[0].t;
    double p = c->args[1].f;
    if (!(p >= 0 && p <= 1)) return TAPER_FAIL(TAPER_VALUE, "dropout probability has to be between 0 and 1, but got %g", p);
    TAPER_TRY(taper__need_float(x, "dropout"));
    if (!c->args[2].i || p == 0 || x->numel == 0) return make_give(c, s, x);
    if (p == 1) return make_give(c, s, tx_mul(s, x, tx_full(s, NULL, 0, taper_int(0), (taper_dtype)x->dtype, &x->device)));
    taper_tensor *mask = tx_empty_like(s, x, TAPER_DTYPE_NONE, NULL);
    if (!mask || make_meta(x)) return make_give(c, s, x);
    if (x->device.type == TAPER_CPU && mask->contiguous) {
        taper__random_dropout(NULL, (taper_dtype)mask->dtype, taper__data(mask), mask->numel, p);
    } else {
        tx_bernoulli_(s, mask, 1 - p, NULL);
        taper_tensor *scale = taper__number(s, 1 / (1 - p));
        if (s->status == TAPER_OK) s->status = taper_mul_(mask, scale);
    }
    return make_give(c, s, tx_mul(s, x, mask));
}
const taper_op taper_op_dropout = {.compose = dropout_compose, .random = true, RANDOM_SAMPLES({"[2,3], 0.0"}, {"[2,3], 0.5, false"}, {"[2,3], 1.0"}, {"[2], 1.5", .error = "got 1.5"})};
