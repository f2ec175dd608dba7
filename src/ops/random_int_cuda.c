/* Random integers, Bernoulli numbers with a probability each, multinomial and permutations on the GPU. */
#include "ops/random_cuda.h"
#include "ops/sort_cuda.h"
#include "tensor/random_fill.h"

#define RANDOM_INT(name) TAPER_CUDA_KERNEL("random_int", name)
static taper_cuda_kernel random_int = RANDOM_INT("random_int"), random_each = RANDOM_INT("random_each"), random_keys = RANDOM_INT("random_keys"),
                         random_check_keys = RANDOM_INT("random_check_keys"), random_check_weights = RANDOM_INT("random_check_weights"),
                         random_choose = RANDOM_INT("random_choose"), random_places = RANDOM_INT("random_places"), random_small = RANDOM_INT("random_small");

taper_status taper__random_int_cuda(taper_call *c, int64_t from_, uint64_t range_) {
    taper_tensor *t = c->out[0], *packed = NULL;
    taper_status st = TAPER_OK;
    int dtype = t->dtype;
    long long n = t->numel, from = from_;
    unsigned long long range = range_;
    if (!n) return TAPER_OK;
    TAPER_TRY_GOTO(taper__random_packed(&packed, t, c->row->name));
    void *out = taper__data(packed ? packed : t);
    /* Numbers of 64 bits are bound by memory either way, and two make 16 bytes. */
    unsigned small = range && range <= 1 << 28 && taper_dtype_size((taper_dtype)dtype) < 8 ? (unsigned)range : 0;
    taper_cuda_geometry g = taper__random_geometry(n, small ? 4 : 2, c->device.index);
    TAPER_TRY_GOTO(taper__random_take(c));
    void *args[] = {&out, &n, &dtype, &from, small ? (void *)&small : &range, &c->seed, &c->offset};
    TAPER_TRY_GOTO(taper__cuda_launch(small ? &random_small : &random_int, c->device.index, &g, args, c->row->name));
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
    taper_cuda_geometry g = taper__random_geometry(n, 2, c->device.index);
    TAPER_TRY_GOTO(taper__random_take(c));
    void *args[] = {&out, &from, &n, &dtype, &p_dtype, &c->seed, &c->offset, &record, &op};
    TAPER_TRY_GOTO(taper__cuda_launch(&random_each, c->device.index, &g, args, "bernoulli"));
    if (packed) st = taper__copy_data(to, packed);
out:
    taper_tensor_release(p);
    taper_tensor_release(packed);
    return st;
}

/* Without replacement: the k largest of weight / exponential number (Efraimidis and Spirakis 2006, doi:10.1016/j.ipl.2005.11.003). */
static taper_status random_choose_apart(taper_call *c, taper_scope *s, long long rows, long long n, long long k, int op) {
    taper_tensor *self = c->args[0].t, *keys = NULL, *both[2] = {NULL, NULL};
    int dtype = self->dtype, index = c->device.index;
    long long count = rows * n;
    void *record = taper__cuda_error_record(index);
    TAPER_TRY(taper__tensor_empty(&keys, TAPER_F64, self->device, self->ndim, self->shape, "multinomial"));
    taper_scope_own(s, keys);
    TAPER_TRY(taper__random_take(c));
    void *to = taper__data(keys), *from = taper__data(self);
    taper_cuda_geometry g = taper__random_geometry(count, 2, index);
    void *args[] = {&to, &from, &count, &n, &dtype, &c->seed, &c->offset, &record, &op};
    TAPER_TRY(taper__cuda_launch(&random_keys, index, &g, args, "multinomial"));
    TAPER_TRY(k == 1 ? taper_max_dim(both, keys, -1, true) : taper_topk(both, keys, k, -1, true, true));
    taper_scope_own(s, both[0]);
    taper_scope_own(s, both[1]);
    void *largest = taper__data(both[0]);
    taper_cuda_geometry each_row = taper__random_geometry(rows, 1, index);
    void *check[] = {&largest, &rows, &k, &record, &op};
    TAPER_TRY(taper__cuda_launch(&random_check_keys, index, &each_row, check, "multinomial"));
    return taper__copy_data(c->out[0], both[1]);
}

/* With replacement: a search in the running sums. */
static taper_status random_choose_again(taper_call *c, taper_scope *s, long long rows, long long n, long long k, int op) {
    taper_tensor *self = c->args[0].t, *sums = tx_cumsum(s, self, -1, TAPER_F64);
    int dtype = self->dtype, index = c->device.index;
    long long count = rows * n;
    TAPER_TRY(s->status);
    TAPER_TRY(taper__random_take(c));
    void *weights = taper__data(self), *out = taper__data(c->out[0]), *from = taper__data(sums), *record = taper__cuda_error_record(index);
    taper_cuda_geometry all = taper__random_geometry(count, 1, index), g = taper__random_geometry(rows * k, 1, index);
    void *check[] = {&weights, &count, &n, &dtype, &record, &op}, *args[] = {&out, &from, &rows, &n, &k, &c->seed, &c->offset, &record, &op};
    TAPER_TRY(taper__cuda_launch(&random_check_weights, index, &all, check, "multinomial"));
    return taper__cuda_launch(&random_choose, index, &g, args, "multinomial");
}

taper_status taper__multinomial_cuda(taper_call *c) {
    taper_scope s = TAPER_SCOPE;
    const taper_tensor *self = c->args[0].t;
    long long k = c->args[1].i, n = self->shape[self->ndim - 1], rows = self->ndim == 2 ? self->shape[0] : 1;
    int op = taper__cuda_operator_number("multinomial");
    if (!rows || !n) return TAPER_OK;
    taper_status st = c->args[2].i ? random_choose_again(c, &s, rows, n, k, op) : random_choose_apart(c, &s, rows, n, k, op);
    taper_status end = taper_scope_end(&s);
    return st ? st : end;
}

/* Places in the order of random keys: twice the bits of n and more, so that two equal keys are rare; the sort is stable, so that they
 * too have the same order twice. */
taper_status taper__randperm_cuda(taper_tensor *out, taper_generator *generator) {
    taper_tensor *keys = NULL, *same = NULL;
    taper_sorted sorted;
    long long n = out->numel;
    int dtype = out->dtype, bits = 32;
    if (!n) return TAPER_OK;
    TAPER_TRY(taper__generator_check(generator, out->device));
    while (bits < 63 && (INT64_C(1) << bits / 2) < n) bits += 8;
    if (bits > 62) bits = 62;
    TAPER_TRY(taper_empty(&keys, &out->numel, 1, TAPER_I64, &out->device));
    taper_status st = taper_random_to_(&same, keys, INT64_C(1) << bits, generator);
    taper_tensor_release(same);
    if (st == TAPER_OK) st = taper__sort_places_cuda(&sorted, taper__data(keys), n, (INT64_C(1) << bits) - 1, out->device, "randperm");
    taper_tensor_release(keys);
    if (st != TAPER_OK) return st;
    void *to = taper__data(out), *places = sorted.places;
    taper_cuda_geometry g = taper__random_geometry(n, 1, out->device.index);
    void *args[] = {&to, &places, &n, &dtype};
    st = taper__cuda_launch(&random_places, out->device.index, &g, args, "randperm");
    taper__memory_free(sorted.memory, sorted.bytes, out->device);
    return st;
}
