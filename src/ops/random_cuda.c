/* Random fills and dropout on the GPU. */
#include "ops/random_cuda.h"

#include "device/cuda/cuda.h"

static taper_cuda_kernel random_fill = TAPER_CUDA_KERNEL("random_fill", "random_fill"), random_dropout = TAPER_CUDA_KERNEL("random_fill", "random_dropout"),
                         random_back = TAPER_CUDA_KERNEL("random_fill", "random_dropout_backward");
static const char *const random_kinds[] = {"uniform_", "normal_", "log_normal_", "exponential_", "cauchy_", "geometric_", "bernoulli_", "bernoulli_p"};

static int random_kind(const taper_call *c) {
    for (int i = 0; i < TAPER_COUNT(random_kinds); i++)
        if (!strcmp(c->row->name, random_kinds[i])) return i < 6 ? i : 6;
    return -1;
}
static taper_cuda_geometry random_geometry(int64_t n) { return (taper_cuda_geometry){.grid = {(unsigned)((n + 1023) / 1024), 1, 1}, .block = {256, 1, 1}}; }

taper_status taper__random_cuda(taper_call *c) {
    taper_tensor *t = c->out[0], *packed = NULL;
    taper_status st = TAPER_OK;
    int kind = random_kind(c), dtype = t->dtype;
    long long n = t->numel;
    double a = taper_arg_double(&c->args[1]), b = kind < 3 || kind == 4 ? taper_arg_double(&c->args[2]) : 0;
    if (!n) return TAPER_OK;
    if (!taper__is_dense(t->ndim, t->shape, t->strides)) TAPER_TRY(taper__tensor_empty(&packed, (taper_dtype)t->dtype, t->device, t->ndim, t->shape, c->row->name));
    void *out = taper__data(packed ? packed : t);
    taper_cuda_geometry g = random_geometry(n);
    TAPER_TRY_GOTO(taper__cuda_reserve_random(c->device.index, 1, &c->seed, &c->offset));
    void *args[] = {&out, &n, &dtype, &kind, &a, &b, &c->seed, &c->offset};
    TAPER_TRY_GOTO(taper__cuda_launch(&random_fill, c->device.index, &g, args, c->row->name));
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
    if (!n) return TAPER_OK;
    if (!(x->contiguous && to->contiguous) && memcmp(x->strides, to->strides, sizeof(int64_t) * x->ndim)) {
        TAPER_TRY(taper__tensor_empty_strided(&packed, (taper_dtype)x->dtype, x->device, x->ndim, x->shape, to->strides, "native_dropout"));
        TAPER_TRY_GOTO(taper__copy_data(packed, x));
        x = packed;
    }
    void *out = taper__data(to), *mask = taper__data(c->out[1]), *from = taper__data(x);
    taper_cuda_geometry g = random_geometry(n);
    TAPER_TRY_GOTO(taper__cuda_reserve_random(c->device.index, 1, &c->seed, &c->offset));
    void *args[] = {&out, &mask, &from, &n, &dtype, &p, &scale, &c->seed, &c->offset};
    st = taper__cuda_launch(&random_dropout, c->device.index, &g, args, "native_dropout");
out:
    taper_tensor_release(packed);
    return st;
}
taper_status taper__native_dropout_backward_cuda(taper_call *c) {
    void *out = taper__data(c->out[0]), *g = taper__data(c->args[0].t), *mask = taper__data(c->args[1].t);
    int dtype = c->out[0]->dtype;
    long long n = c->out[0]->numel;
    double scale = c->args[2].f;
    taper_cuda_geometry geometry = random_geometry(n);
    void *args[] = {&out, &g, &mask, &n, &dtype, &scale};
    return taper__cuda_launch(&random_back, c->device.index, &geometry, args, "native_dropout_backward");
}
