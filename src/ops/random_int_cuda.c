/* Random integers, Bernoulli numbers with a probability each, and multinomial on the GPU. */
#include "device/cuda/cuda.h"
#include "ops/random_cuda.h"

static taper_cuda_kernel random_int = TAPER_CUDA_KERNEL("random_int", "random_int"), random_each = TAPER_CUDA_KERNEL("random_int", "random_each"),
                         random_choose = TAPER_CUDA_KERNEL("random_int", "random_choose");

static taper_cuda_geometry random_int_geometry(int64_t n) {
    int64_t blocks = (n + 255) / 256;
    return (taper_cuda_geometry){.grid = {(unsigned)(blocks < 8192 ? blocks : 8192), 1, 1}, .block = {256, 1, 1}};
}

taper_status taper__random_int_cuda(taper_call *c, int64_t from_, uint64_t range_) {
    taper_tensor *t = c->out[0], *packed = NULL;
    taper_status st = TAPER_OK;
    int dtype = t->dtype;
    long long n = t->numel, from = from_;
    unsigned long long range = range_;
    if (!n) return TAPER_OK;
    if (!taper__is_dense(t->ndim, t->shape, t->strides)) TAPER_TRY(taper__tensor_empty(&packed, (taper_dtype)t->dtype, t->device, t->ndim, t->shape, c->row->name));
    void *out = taper__data(packed ? packed : t);
    taper_cuda_geometry g = random_int_geometry(n);
    TAPER_TRY_GOTO(taper__cuda_reserve_random(c->device.index, 1, &c->seed, &c->offset));
    void *args[] = {&out, &n, &dtype, &from, &range, &c->seed, &c->offset};
    TAPER_TRY_GOTO(taper__cuda_launch(&random_int, c->device.index, &g, args, c->row->name));
    if (packed) st = taper__copy_data(t, packed);
out:
    taper_tensor_release(packed);
    return st;
}

taper_status taper__bernoulli_each_cuda(taper_call *c, taper_tensor *to, const taper_tensor *chance) {
    taper_tensor *p = NULL, *packed = NULL;
    taper_status st = TAPER_OK;
    int dtype = to->dtype, p_dtype = chance->dtype, op = taper__cuda_operator_number("bernoulli");
    long long n = to->numel;
    if (!n) return TAPER_OK;
    TAPER_TRY_GOTO(taper__tensor_empty(&p, (taper_dtype)chance->dtype, to->device, to->ndim, to->shape, "bernoulli"));
    TAPER_TRY_GOTO(taper__copy_data(p, chance));
    if (!to->contiguous) TAPER_TRY_GOTO(taper__tensor_empty(&packed, (taper_dtype)to->dtype, to->device, to->ndim, to->shape, "bernoulli"));
    void *out = taper__data(packed ? packed : to), *from = taper__data(p), *record = taper__cuda_error_record(c->device.index);
    taper_cuda_geometry g = random_int_geometry(n);
    TAPER_TRY_GOTO(taper__cuda_reserve_random(c->device.index, 1, &c->seed, &c->offset));
    void *args[] = {&out, &from, &n, &dtype, &p_dtype, &c->seed, &c->offset, &record, &op};
    TAPER_TRY_GOTO(taper__cuda_launch(&random_each, c->device.index, &g, args, "bernoulli"));
    if (packed) st = taper__copy_data(to, packed);
out:
    taper_tensor_release(p);
    taper_tensor_release(packed);
    return st;
}

/* Without replacement: the k largest of weight / exponential number (Efraimidis and Spirakis 2006, doi:10.1016/j.ipl.2005.11.003). With:
 * a search in the running sums. */
taper_status taper__multinomial_cuda(taper_call *c) {
    taper_scope s = TAPER_SCOPE;
    taper_tensor *self = c->args[0].t, *to = c->out[0], *both[2] = {NULL, NULL};
    long long k = c->args[1].i, n = self->shape[self->ndim - 1], rows = self->numel / n;
    int op = taper__cuda_operator_number("multinomial");
    if (!c->args[2].i) {
        taper_tensor *weights = tx_to(&s, self, NULL, self->dtype == TAPER_F64 ? TAPER_F64 : TAPER_F32, false, false);
        taper_tensor *times = weights ? tx_exponential_(&s, tx_empty_like(&s, weights, TAPER_DTYPE_NONE, NULL, NULL), 1, NULL) : NULL;
        taper_tensor *keys = tx_div(&s, weights, times, NULL);
        if (s.status == TAPER_OK) s.status = taper_topk(both, keys, k, -1, true, true);
        if (s.status == TAPER_OK) s.status = taper__copy_data(to, taper_scope_own(&s, both[1]));
        taper_scope_own(&s, both[0]);
        return taper_scope_end(&s);
    }
    taper_tensor *sums = tx_cumsum(&s, self, -1, TAPER_F64);
    if (s.status == TAPER_OK) s.status = taper__cuda_reserve_random(c->device.index, 1, &c->seed, &c->offset);
    if (s.status == TAPER_OK) {
        void *out = taper__data(to), *from = taper__data(sums), *record = taper__cuda_error_record(c->device.index);
        taper_cuda_geometry g = random_int_geometry(to->numel);
        void *args[] = {&out, &from, &rows, &n, &k, &c->seed, &c->offset, &record, &op};
        s.status = taper__cuda_launch(&random_choose, c->device.index, &g, args, "multinomial");
    }
    return taper_scope_end(&s);
}
