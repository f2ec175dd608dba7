/* Random fills and dropout on the GPU. */
#include "ops/random_cuda.h"

#include <math.h>

#include "tensor/random_fill.h"

#define RANDOM_FILL(name) {TAPER_CUDA_KERNEL("random_fill", "random_" name "_narrow"), TAPER_CUDA_KERNEL("random_fill", "random_" name "_wide")}
static taper_cuda_kernel random_fills[][2] = {RANDOM_FILL("uniform"), RANDOM_FILL("normal"), RANDOM_FILL("log_normal"),
                                              RANDOM_FILL("exponential"), RANDOM_FILL("cauchy"), RANDOM_FILL("geometric")};
static const char *const random_kinds[] = {"uniform_", "normal_", "log_normal_", "exponential_", "cauchy_", "geometric_"};
enum { RANDOM_EXPONENTIAL = 3, RANDOM_GEOMETRIC = 5 };
#define RANDOM_DROPOUT(pass) TAPER_CUDA_KERNEL("dropout", "random_dropout_" pass "f32"), TAPER_CUDA_KERNEL("dropout", "random_dropout_" pass "f16"), \
                             TAPER_CUDA_KERNEL("dropout", "random_dropout_" pass "bf16"), TAPER_CUDA_KERNEL("dropout", "random_dropout_" pass "f64")
static taper_cuda_kernel random_bernoulli = TAPER_CUDA_KERNEL("dropout", "random_bernoulli"), random_dropout[] = {RANDOM_DROPOUT("")}, random_back[] = {RANDOM_DROPOUT("back_")};

/* Of random_dropout and random_back. */
static int random_float(int dtype) { return dtype == TAPER_F32 ? 0 : dtype == TAPER_F16 ? 1 : dtype == TAPER_BF16 ? 2 : 3; }

taper_status taper__random_take(taper_call *c) {
    taper_generator *g = NULL;
    for (int k = 0; k < c->nargs; k++)
        if (c->args[k].kind == TAPER_ARG_GENERATOR) g = c->args[k].g;
    TAPER_TRY(taper__generator_check(g, c->device));
    return g ? taper__cuda_random_take(g->gpu, 1, &c->seed, &c->offset) : taper__cuda_reserve_random(c->device.index, 1, &c->seed, &c->offset);
}

taper_cuda_geometry taper__random_geometry(int64_t n, int each, int index) {
    int64_t blocks = (n + (int64_t)256 * each - 1) / ((int64_t)256 * each), most = (int64_t)taper__cuda_multiprocessors(index) * 32;
    return (taper_cuda_geometry){.grid = {(unsigned)(blocks < most ? blocks : most), 1, 1}, .block = {256, 1, 1}};
}

taper_status taper__random_packed(taper_tensor **packed, taper_tensor *t, const char *op) {
    if (taper__is_dense(t->ndim, t->shape, t->strides)) return TAPER_OK;
    return taper__tensor_empty(packed, (taper_dtype)t->dtype, t->device, t->ndim, t->shape, op);
}

static bool random_narrow(int dtype) { return dtype == TAPER_F32 || dtype == TAPER_F16 || dtype == TAPER_BF16; }
static int random_each(int dtype) { return dtype == TAPER_F32 ? 4 : random_narrow(dtype) ? 8 : 2; }

taper_status taper__random_cuda(taper_call *c) {
    taper_tensor *t = c->out[0], *packed = NULL;
    taper_status st = TAPER_OK;
    int kind = 0, dtype = t->dtype;
    long long n = t->numel;
    double a = taper_arg_double(&c->args[1]), b = 0;
    while (kind < TAPER_COUNT(random_kinds) && strcmp(c->row->name, random_kinds[kind])) kind++;
    if (kind == TAPER_COUNT(random_kinds)) return taper__bernoulli_cuda(c, t, a);
    b = kind == RANDOM_EXPONENTIAL ? 1 / a : kind == RANDOM_GEOMETRIC ? log1p(-a) : taper_arg_double(&c->args[2]);
    if (!n) return TAPER_OK;
    TAPER_TRY_GOTO(taper__random_packed(&packed, t, c->row->name));
    void *out = taper__data(packed ? packed : t);
    taper_cuda_geometry g = taper__random_geometry(n, random_each(dtype), c->device.index);
    TAPER_TRY_GOTO(taper__random_take(c));
    void *args[] = {&out, &n, &dtype, &a, &b, &c->seed, &c->offset};
    TAPER_TRY_GOTO(taper__cuda_launch(&random_fills[kind][!random_narrow(dtype)], c->device.index, &g, args, c->row->name));
    if (packed) st = taper__copy_data(t, packed);
out:
    taper_tensor_release(packed);
    return st;
}

/* A 32-bit number is below it with probability p. */
static unsigned long long random_bound(double p) { return (unsigned long long)(p * 0x1p32 + 0.5); }

taper_status taper__bernoulli_cuda(taper_call *c, taper_tensor *t, double p) {
    taper_tensor *packed = NULL;
    taper_status st = TAPER_OK;
    int dtype = t->dtype;
    long long n = t->numel;
    unsigned long long bound = random_bound(1 - p);
    if (!n) return TAPER_OK;
    TAPER_TRY_GOTO(taper__random_packed(&packed, t, c->row->name));
    void *out = taper__data(packed ? packed : t);
    taper_cuda_geometry g = taper__random_geometry(n, 8, c->device.index);
    TAPER_TRY_GOTO(taper__random_take(c));
    void *args[] = {&out, &n, &dtype, &bound, &c->seed, &c->offset};
    TAPER_TRY_GOTO(taper__cuda_launch(&random_bernoulli, c->device.index, &g, args, c->row->name));
    if (packed) st = taper__copy_data(t, packed);
out:
    taper_tensor_release(packed);
    return st;
}

/* Results lie in the order of the input's memory; the input itself may have gaps. */
taper_status taper__native_dropout_cuda(taper_call *c) {
    taper_tensor *x = c->args[0].t, *to = c->out[0], *packed = NULL;
    taper_status st = TAPER_OK;
    int dtype = to->dtype;
    long long n = to->numel;
    double p = c->args[1].f, scale = dtype == TAPER_F64 ? 1 / (1 - p) : (double)(1.0f / (float)(1 - p));
    unsigned long long all = random_bound(p);
    unsigned bound = all < UINT32_MAX ? (unsigned)all : UINT32_MAX;
    if (!n) return TAPER_OK;
    if (!(x->contiguous && to->contiguous) && memcmp(x->strides, to->strides, sizeof(int64_t) * x->ndim)) {
        TAPER_TRY(taper__tensor_empty_strided(&packed, (taper_dtype)x->dtype, x->device, x->ndim, x->shape, to->strides, "native_dropout"));
        TAPER_TRY_GOTO(taper__copy_data(packed, x));
        x = packed;
    }
    void *out = taper__data(to), *mask = taper__data(c->out[1]), *from = taper__data(x);
    taper_cuda_geometry g = taper__random_geometry(n, 8, c->device.index);
    TAPER_TRY_GOTO(taper__random_take(c));
    void *args[] = {&out, &mask, &from, &n, &bound, &scale, &c->seed, &c->offset};
    st = taper__cuda_launch(&random_dropout[random_float(dtype)], c->device.index, &g, args, "native_dropout");
out:
    taper_tensor_release(packed);
    return st;
}
taper_status taper__native_dropout_backward_cuda(taper_call *c) {
    void *out = taper__data(c->out[0]), *g = taper__data(c->args[0].t), *mask = taper__data(c->args[1].t);
    long long n = c->out[0]->numel;
    double scale = c->args[2].f;
    taper_cuda_geometry geometry = taper__random_geometry(n, 8, c->device.index);
    void *args[] = {&out, &g, &mask, &n, &scale};
    return taper__cuda_launch(&random_back[random_float(c->out[0]->dtype)], c->device.index, &geometry, args, "native_dropout_backward");
}
