/* Optimiser steps over lists of tensors: all parameters in one pass. */
#include "ops/optimizers.h"

#include <math.h>

typedef struct optim_job {
    taper_optim_item *items;
    int count, narrays;
    const taper_optim_fn *fn;
} optim_job;

enum { OPTIM_BLOCK = 512 };

/* Arrays in other dtypes than the arithmetic's go through buffers. */
static void optim_arrays(const optim_job *job, const taper_optim_item *item, int64_t from, int64_t n) {
    enum { BLOCK = OPTIM_BLOCK };
    float buffer[TAPER_OPTIM_ARRAYS][BLOCK];
    bool wide = item->dtype[0] == TAPER_F64, direct = true;
    taper_dtype compute = wide ? TAPER_F64 : TAPER_F32;
    void *at[TAPER_OPTIM_ARRAYS];
    for (int k = 0; k < job->narrays; k++) {
        at[k] = item->arrays[k] ? (char *)item->arrays[k] + (size_t)from * taper_dtype_size((taper_dtype)item->dtype[k]) : NULL;
        if (at[k] && item->dtype[k] != compute) direct = false;
    }
    if (direct) {
        job->fn[wide](at, n, &item->numbers);
        return;
    }
    for (int64_t i = 0; i < n; i += BLOCK) {
        int64_t m = n - i < BLOCK ? n - i : BLOCK;
        void *in[TAPER_OPTIM_ARRAYS];
        for (int k = 0; k < job->narrays; k++) {
            in[k] = NULL;
            if (!at[k]) continue;
            in[k] = buffer[k];
            taper__convert(buffer[k], TAPER_F32, 1, (char *)at[k] + (size_t)i * taper_dtype_size((taper_dtype)item->dtype[k]),
                           (taper_dtype)item->dtype[k], 1, m);
        }
        job->fn[0](in, m, &item->numbers);
        for (int k = 0; k < job->narrays; k++)
            if (at[k] && (k != 1 || item->numbers.unscaled))
                taper__convert((char *)at[k] + (size_t)i * taper_dtype_size((taper_dtype)item->dtype[k]), (taper_dtype)item->dtype[k], 1, buffer[k],
                               TAPER_F32, 1, m);
    }
}

/* One chunk; the parameter's copy is made block by block, while the new values are near. */
static void optim_chunk(const optim_job *job, const taper_optim_item *item, int64_t from, int64_t n) {
    char *copy = item->arrays[TAPER_OPTIM_COPY];
    taper_dtype of = (taper_dtype)item->dtype[0], to = (taper_dtype)item->dtype[TAPER_OPTIM_COPY];
    for (int64_t i = 0, m = copy ? OPTIM_BLOCK : n; i < n; i += m) {
        if (m > n - i) m = n - i;
        optim_arrays(job, item, from + i, m);
        if (copy)
            taper__convert(copy + (size_t)(from + i) * taper_dtype_size(to), to, 1, (const char *)item->arrays[0] + (size_t)(from + i) * taper_dtype_size(of), of, 1, m);
    }
}

static void optim_range(void *ctx, int64_t begin, int64_t end) {
    const optim_job *job = ctx;
    int low = 0, high = job->count - 1;
    while (low < high) { /* the last parameter that starts at or before chunk `begin` */
        int mid = (low + high + 1) / 2;
        if (job->items[mid].chunk <= begin) low = mid;
        else high = mid - 1;
    }
    for (int64_t chunk = begin; chunk < end; chunk++) {
        while (low + 1 < job->count && job->items[low + 1].chunk <= chunk) low++;
        int64_t from = (chunk - job->items[low].chunk) * TAPER_OPTIM_CHUNK, n = job->items[low].numel - from;
        optim_chunk(job, &job->items[low], from, n < TAPER_OPTIM_CHUNK ? n : TAPER_OPTIM_CHUNK);
    }
}

static bool optim_same_layout(const taper_tensor *t, const taper_tensor *like) {
    if (t->contiguous && like->contiguous) return true;
    return !memcmp(t->strides, like->strides, sizeof(int64_t) * like->ndim) && taper__is_dense(like->ndim, like->shape, like->strides);
}

static taper_status optim_take(taper_optim_item *item, int k, taper_tensor *t, const taper_tensor *like) {
    item->given[k] = t;
    item->dtype[k] = t->dtype;
    if (!optim_same_layout(t, like) || (like->dtype == TAPER_F64) != (t->dtype == TAPER_F64)) {
        bool dense = taper__is_dense(like->ndim, like->shape, like->strides);
        taper_dtype dtype = like->dtype == TAPER_F64 ? TAPER_F64 : t->dtype == TAPER_F64 ? TAPER_F32 : (taper_dtype)t->dtype;
        if (!dense) return TAPER_FAIL(TAPER_NOT_IMPLEMENTED, "optimiser step: parameter %s is not dense in memory; use .contiguous()", TAPER_TEXT(like));
        TAPER_TRY(taper__tensor_empty_strided(&item->copies[k], dtype, t->device, like->ndim, like->shape, like->strides, "optimizer"));
        TAPER_TRY(taper__copy_data(item->copies[k], t));
        item->dtype[k] = (uint8_t)dtype;
        t = item->copies[k];
    }
    item->arrays[k] = taper__data(t);
    return TAPER_OK;
}

taper_status taper__optim_items(taper_optim_item **out, const taper_call *c, int nlists, int copies) {
    int count = c->args[0].count;
    int64_t chunks = 0;
    taper_status st = TAPER_OK;
    taper_optim_item *items = taper__alloc_zero(sizeof *items * (size_t)(count + 1));
    if (!items) return TAPER_FAIL(TAPER_MEMORY, "%s: no memory for %d parameters", c->row->name, count);
    for (int i = 0; i < count; i++) {
        taper_optim_item *item = &items[i];
        const taper_tensor *p = c->args[0].ts[i];
        for (int k = 0; k < nlists; k++)
            if (c->args[k].count) TAPER_TRY_GOTO(optim_take(item, k, c->args[k].ts[i], p));
        if (copies >= 0 && c->args[copies].count) TAPER_TRY_GOTO(optim_take(item, TAPER_OPTIM_COPY, c->args[copies].ts[i], p));
        item->numel = p->numel;
        item->chunk = chunks;
        chunks += (p->numel + TAPER_OPTIM_CHUNK - 1) / TAPER_OPTIM_CHUNK;
    }
    *out = items;
    return TAPER_OK;
out:
    return taper__optim_items_end(items, c, 0, st);
}
taper_status taper__optim_items_end(taper_optim_item *items, const taper_call *c, unsigned written, taper_status st) {
    for (int i = 0; items && i < c->args[0].count; i++)
        for (int k = 0; k < TAPER_OPTIM_ARRAYS; k++) {
            if (st == TAPER_OK && items[i].copies[k] && written >> k & 1) st = taper__copy_data(items[i].given[k], items[i].copies[k]);
            taper_tensor_release(items[i].copies[k]);
        }
    taper__free(items);
    return st;
}

static bool optim_on_host(const taper_tensor *t) { return t && t->device.type == TAPER_CPU; }

/* grad_scale and found_inf of a gradient scaler and the factor, as far as the host has them; true when the step is to be left out. */
static bool optim_scaler(taper_optim_numbers *k, const taper_optim_places *at) {
    const taper_tensor *s = at->scale, *f = at->inf;
    k->unscale = k->factor = 1;
    k->unscaled = s != NULL;
    if (optim_on_host(s)) k->unscale = 1 / taper__load_double(taper__data(s), (taper_dtype)s->dtype);
    if (optim_on_host(at->factor)) k->factor = taper__load_double(taper__data(at->factor), (taper_dtype)at->factor->dtype);
    return optim_on_host(f) && taper__load_double(taper__data(f), (taper_dtype)f->dtype) != 0;
}

/* step += 1 in its own tensor; gives the new count. Steps in GPU memory are counted there. */
static double optim_count(taper_call *c, int list, int i) {
    if (list < 0 || !c->args[list].count) return 1;
    const taper_tensor *t = c->args[list].ts[i];
    if (t->device.type != TAPER_CPU) return 1;
    double step = taper__load_double(taper__data(t), (taper_dtype)t->dtype) + 1;
    taper__store_double(taper__data(t), (taper_dtype)t->dtype, step);
    return step;
}

/* An empty list is an array that is not there. */
static taper_status optim_run(taper_call *c, taper_optim_kind kind, taper_optim_numbers *numbers, taper_optim_places at) {
    const taper_optim_loops *loops = TAPER_SIMD_PICK(taper__optim_loops);
    taper_optim_item *items = NULL;
    int count = c->args[0].count;
    taper_status st = TAPER_OK;
    if (optim_scaler(numbers, &at) || !count) return TAPER_OK;
    TAPER_TRY(taper__optim_items(&items, c, at.arrays, at.copies));
    for (int i = 0; i < count; i++) {
        taper_optim_numbers *k = &items[i].numbers;
        *k = *numbers;
        items[i].step = optim_count(c, at.steps, i);
        k->step_size = k->lr / (1 - pow(k->beta1, items[i].step));
        k->root2 = sqrt(1 - pow(k->beta2, items[i].step));
    }
    if (c->device.type == TAPER_CUDA) {
        st = taper__optim_step_cuda(c, kind, items, numbers, &at);
    } else {
        optim_job job = {items, count, at.arrays, kind == TAPER_OPTIM_SGD ? loops->sgd : kind == TAPER_OPTIM_ADAM ? loops->adam : loops->rmsprop};
        int64_t chunks = items[count - 1].chunk + (items[count - 1].numel + TAPER_OPTIM_CHUNK - 1) / TAPER_OPTIM_CHUNK;
        taper__parallel_for(chunks, 4, optim_range, &job);
    }
    return taper__optim_items_end(items, c, numbers->unscaled ? ~0u : ~2u, st);
}

/* Every list is empty or has a tensor for each parameter, of its shape; all float. The list of steps has one number for each; that of
 * copies, if there is one, comes after it. */
static taper_status optim_infer(taper_call *c, int nlists, int step_list) {
    const taper_arg *params = &c->args[0];
    for (int k = 0; k < nlists; k++) {
        const taper_arg *a = &c->args[k];
        bool steps = k == step_list, copies = step_list >= 0 && k > step_list;
        if (a->count && a->count != params->count)
            return TAPER_FAIL(TAPER_RUNTIME, "%s: list %d has %d tensors for %d parameters", c->row->name, k + 1, a->count, params->count);
        if (a->count) c->modifies |= (uint16_t)(1u << k);
        for (int i = 0; i < a->count; i++) {
            const taper_tensor *p = params->ts[i], *t = a->ts[i];
            if (!taper_dtype_is_float((taper_dtype)t->dtype))
                return TAPER_FAIL(TAPER_RUNTIME, "%s: expected floating tensors, got %s in list %d", c->row->name, TAPER_TEXT(t), k + 1);
            if (copies && t->dtype != TAPER_F16 && t->dtype != TAPER_BF16)
                return TAPER_FAIL(TAPER_RUNTIME, "%s: copies must be float16 or bfloat16, got %s", c->row->name, TAPER_TEXT(t));
            if (steps ? t->numel != 1 : t->ndim != p->ndim || memcmp(t->shape, p->shape, sizeof(int64_t) * p->ndim))
                return TAPER_FAIL(TAPER_RUNTIME, "%s: list %d, tensor %d is %s; the parameter is %s", c->row->name, k + 1, i, TAPER_TEXT(t), TAPER_TEXT(p));
            if (!steps && !taper_device_equal(t->device, p->device))
                return TAPER_FAIL(TAPER_RUNTIME, "%s: Expected all tensors to be on the same device, but list %d, tensor %d is %s and the parameter %s",
                                  c->row->name, k + 1, i, TAPER_TEXT(t), TAPER_TEXT(p));
        }
    }
    return TAPER_OK;
}

/* ---- sgd ---- */
static taper_status fused_sgd_infer(taper_call *c) { return optim_infer(c, 3, -1); }
static taper_status fused_sgd_run(taper_call *c) {
    const taper_arg *a = c->args;
    taper_optim_numbers k = {.weight_decay = a[3].f, .momentum = a[4].f, .lr = a[5].f, .dampening = a[6].f, .nesterov = a[7].i, .maximize = a[8].i,
                             .first = a[9].i, .with_momentum = a[2].count != 0 && a[4].f != 0};
    return optim_run(c, TAPER_OPTIM_SGD, &k, (taper_optim_places){3, -1, -1, TAPER_ARG_T(c, 10), NULL, TAPER_ARG_T(c, 11)});
}
static const taper_kernel fused_sgd_kernels[] = {{"cuda", TAPER_CUDA, NULL, fused_sgd_run}, {"cpu", TAPER_CPU, NULL, fused_sgd_run}, {0}};
const taper_op taper_op_fused_sgd_ = {
    .infer = fused_sgd_infer,
    .kernels = fused_sgd_kernels,
    .samples = (const taper_sample[]){{"{[2,3]:nograd,[4]:nograd}, {[2,3]:nograd,[4]:nograd}, {}, weight_decay=0.1, momentum=0.0, lr=0.1, dampening=0.0, "
                                       "nesterov=false, maximize=false, is_first_step=false"},
                                      {"{[2,3]:nograd}, {[2,3]:nograd}, {[2,3]:nograd}, weight_decay=0.0, momentum=0.9, lr=0.1, dampening=0.0, "
                                       "nesterov=true, maximize=true, is_first_step=false"},
                                      {"{[2]:nograd}, {[3]:nograd}, {}, weight_decay=0.0, momentum=0.0, lr=0.1, dampening=0.0, nesterov=false, "
                                       "maximize=false, is_first_step=false", .error = "the parameter is"},
                                      {0}},
};

/* ---- adam and adamw ---- */
static size_t fused_adam_workspace(const taper_call *c) { return c->device.type == TAPER_CUDA ? (size_t)(c->args[0].count + 1) * 2 * sizeof(double) : 0; }
static taper_status fused_adam_infer(taper_call *c) { return optim_infer(c, 6, 5); }
static taper_status fused_adam_copy_infer(taper_call *c) { return optim_infer(c, 7, 5); }
/* copy: with a list of copies, and a factor in the place of grad_scale. */
static taper_status fused_adam_run(taper_call *c, bool decoupled, bool copy) {
    const taper_arg *a = c->args, *n = a + 6 + copy;
    taper_optim_numbers k = {.lr = n[0].f, .beta1 = n[1].f, .beta2 = n[2].f, .weight_decay = n[3].f, .eps = n[4].f, .amsgrad = n[5].i,
                             .maximize = n[6].i, .decoupled = decoupled};
    taper_tensor *by = n[7].kind == TAPER_ARG_TENSOR ? n[7].t : NULL, *inf = n[8].kind == TAPER_ARG_TENSOR ? n[8].t : NULL;
    if (k.amsgrad && a[0].count && !a[4].count)
        return TAPER_FAIL(TAPER_RUNTIME, "%s: amsgrad needs max_exp_avg_sqs, one for each parameter", c->row->name);
    return optim_run(c, TAPER_OPTIM_ADAM, &k, (taper_optim_places){5, 5, copy ? 6 : -1, copy ? NULL : by, copy ? by : NULL, inf});
}
static taper_status fused_adam_plain(taper_call *c) { return fused_adam_run(c, false, false); }
static taper_status fused_adamw_run(taper_call *c) { return fused_adam_run(c, true, false); }
static taper_status fused_adam_copy_run(taper_call *c) { return fused_adam_run(c, false, true); }
static taper_status fused_adamw_copy_run(taper_call *c) { return fused_adam_run(c, true, true); }
static const taper_kernel fused_adam_kernels[] = {{"cuda", TAPER_CUDA, NULL, fused_adam_plain}, {"cpu", TAPER_CPU, NULL, fused_adam_plain}, {0}};
static const taper_kernel fused_adamw_kernels[] = {{"cuda", TAPER_CUDA, NULL, fused_adamw_run}, {"cpu", TAPER_CPU, NULL, fused_adamw_run}, {0}};
static const taper_kernel fused_adam_copy_kernels[] = {{"cuda", TAPER_CUDA, NULL, fused_adam_copy_run}, {"cpu", TAPER_CPU, NULL, fused_adam_copy_run}, {0}};
static const taper_kernel fused_adamw_copy_kernels[] = {{"cuda", TAPER_CUDA, NULL, fused_adamw_copy_run}, {"cpu", TAPER_CPU, NULL, fused_adamw_copy_run}, {0}};
#define FUSED_ADAM_SAMPLES                                                                                             \
    (const taper_sample[]){{"{[2,3]:nograd,[4]:nograd}, {[2,3]:nograd,[4]:nograd}, {[2,3]:nograd,[4]:nograd}, {[2,3]:pos:nograd,[4]:pos:nograd}, {}, " \
                            "{[]:pos:f32:nograd,[]:pos:f32:nograd}, lr=0.1, beta1=0.9, beta2=0.99, weight_decay=0.1, eps=1e-8, amsgrad=false, maximize=false"},       \
                           {"{[2]:nograd}, {[2]:nograd}, {[2]:nograd}, {[2]:pos:nograd}, {[2]:pos:nograd}, {[]:pos:f32:nograd}, lr=0.1, beta1=0.9, " \
                            "beta2=0.99, weight_decay=0.0, eps=1e-8, amsgrad=true, maximize=true"},                    \
                           {0}}
const taper_op taper_op_fused_adam_ = {.infer = fused_adam_infer, .kernels = fused_adam_kernels, .workspace = fused_adam_workspace, .samples = FUSED_ADAM_SAMPLES};
const taper_op taper_op_fused_adamw_ = {.infer = fused_adam_infer, .kernels = fused_adamw_kernels, .workspace = fused_adam_workspace, .samples = FUSED_ADAM_SAMPLES};

#define FUSED_ADAM_COPY_SAMPLES                                                                                        \
    (const taper_sample[]){{"{[2,3]:nograd,[4]:nograd}, {[2,3]:nograd,[4]:nograd}, {[2,3]:nograd,[4]:nograd}, {[2,3]:pos:nograd,[4]:pos:nograd}, {}, " \
                            "{[]:pos:f32:nograd,[]:pos:f32:nograd}, {[2,3]:bf16:nograd,[4]:f16:nograd}, lr=0.1, beta1=0.9, beta2=0.99, weight_decay=0.1, " \
                            "eps=1e-8, amsgrad=false, maximize=false, factor=[]:f32:nograd=(0.5)"},                   \
                           {"{[70,160]:nograd}, {[70,160]:nograd}, {[70,160]:nograd}, {[70,160]:pos:nograd}, {[70,160]:pos:nograd}, {[]:pos:f32:nograd}, " \
                            "{[70,160]:bf16:nograd}, lr=0.1, beta1=0.9, beta2=0.99, weight_decay=0.1, eps=1e-8, amsgrad=true, maximize=true"}, \
                           {"{[3]:nograd}, {[3]:nograd}, {[3]:nograd}, {[3]:pos:nograd}, {}, {[]:pos:f32:nograd}, {}, lr=0.1, beta1=0.9, beta2=0.99, " \
                            "weight_decay=0.1, eps=1e-8, amsgrad=false, maximize=false, factor=[1]:f32:nograd=(2), found_inf=[1]:f32:nograd=(0)"}, \
                           {"{[3]:nograd}, {[3]:nograd}, {[3]:nograd}, {[3]:pos:nograd}, {}, {[]:pos:f32:nograd}, {[3]:f16:nograd}, lr=0.1, beta1=0.9, " \
                            "beta2=0.99, weight_decay=0.1, eps=1e-8, amsgrad=false, maximize=false, found_inf=[1]:f32:nograd=(1)"}, \
                           {"{[3]:nograd}, {[3]:nograd}, {[3]:nograd}, {[3]:pos:nograd}, {}, {[]:pos:f32:nograd}, {[3]:f32:nograd}, lr=0.1, beta1=0.9, " \
                            "beta2=0.99, weight_decay=0.1, eps=1e-8, amsgrad=false, maximize=false", .error = "copies must be float16 or bfloat16"}, \
                           {"{[3]:nograd}, {[3]:nograd}, {[3]:nograd}, {[3]:pos:nograd}, {}, {[]:pos:f32:nograd}, {[1,3]:f16:nograd}, lr=0.1, beta1=0.9, " \
                            "beta2=0.99, weight_decay=0.1, eps=1e-8, amsgrad=false, maximize=false", .error = "the parameter is"}, \
                           {0}}
const taper_op taper_op_fused_adam_copy_ = {.infer = fused_adam_copy_infer, .kernels = fused_adam_copy_kernels, .workspace = fused_adam_workspace, .samples = FUSED_ADAM_COPY_SAMPLES};
const taper_op taper_op_fused_adamw_copy_ = {.infer = fused_adam_copy_infer, .kernels = fused_adamw_copy_kernels, .workspace = fused_adam_workspace, .samples = FUSED_ADAM_COPY_SAMPLES};

/* ---- rmsprop ---- */
static taper_status fused_rmsprop_infer(taper_call *c) { return optim_infer(c, 6, 5); }
static taper_status fused_rmsprop_run(taper_call *c) {
    const taper_arg *a = c->args;
    taper_optim_numbers k = {.lr = a[6].f, .beta2 = a[7].f, .eps = a[8].f, .weight_decay = a[9].f, .momentum = a[10].f, .centered = a[11].i,
                             .maximize = a[12].i, .with_momentum = a[10].f > 0};
    if (a[0].count && ((k.with_momentum && !a[3].count) || (k.centered && !a[4].count)))
        return TAPER_FAIL(TAPER_RUNTIME, "%s: momentum needs momentum buffers and centered needs averages, one for each parameter", c->row->name);
    return optim_run(c, TAPER_OPTIM_RMSPROP, &k, (taper_optim_places){5, 5, -1, TAPER_ARG_T(c, 13), NULL, TAPER_ARG_T(c, 14)});
}
static const taper_kernel fused_rmsprop_kernels[] = {{"cuda", TAPER_CUDA, NULL, fused_rmsprop_run}, {"cpu", TAPER_CPU, NULL, fused_rmsprop_run}, {0}};
const taper_op taper_op_fused_rmsprop_ = {
    .infer = fused_rmsprop_infer,
    .kernels = fused_rmsprop_kernels,
    .samples = (const taper_sample[]){{"{[2,3]:nograd}, {[2,3]:nograd}, {[2,3]:pos:nograd}, {}, {}, {[]:pos:f32:nograd}, lr=0.1, alpha=0.9, eps=1e-8, "
                                       "weight_decay=0.1, momentum=0.0, centered=false, maximize=false"},
                                      {"{[3]:nograd}, {[3]:nograd}, {[3]:pos:nograd}, {[3]:nograd}, {[3]:nograd}, {[]:pos:f32:nograd}, lr=0.1, "
                                       "alpha=0.9, eps=10, weight_decay=0.0, momentum=0.9, centered=false, maximize=true"},
                                      {0}},
};

/* ---- clip_grad_norm_ and fused_clip_factor ---- */
static taper_status clip_norm_infer(taper_call *c) {
    const taper_arg *a = &c->args[0];
    for (int i = 0; i < a->count; i++) TAPER_TRY(taper__need_float(a->ts[i], c->row->name));
    TAPER_TRY(taper__need_same_device(c));
    return taper__out(c, 0, a->count ? (taper_dtype)a->ts[0]->dtype : TAPER_F32, 0, NULL);
}
static taper_status clip_grad_norm_infer(taper_call *c) {
    c->modifies = 1;
    return clip_norm_infer(c);
}
static taper_status fused_clip_factor_infer(taper_call *c) {
    TAPER_TRY(clip_norm_infer(c));
    return taper__out(c, 1, c->out[0]->dtype == TAPER_F64 ? TAPER_F64 : TAPER_F32, 0, NULL);
}

typedef struct clip_job {
    const void *data;
    taper_dtype dtype;
    int64_t numel;
    double *sums, scale;
} clip_job;

static void clip_sum_range(void *ctx, int64_t begin, int64_t end) {
    const clip_job *j = ctx;
    const taper_optim_loops *loops = TAPER_SIMD_PICK(taper__optim_loops);
    for (int64_t b = begin; b < end; b++) {
        int64_t from = b * TAPER_OPTIM_CHUNK, n = j->numel - from < TAPER_OPTIM_CHUNK ? j->numel - from : TAPER_OPTIM_CHUNK;
        double sum = 0;
        if (j->dtype == TAPER_F64) {
            const double *x = (const double *)j->data + from;
            for (int64_t i = 0; i < n; i++) sum += x[i] * x[i];
        } else if (j->dtype == TAPER_F32) {
            sum = (double)loops->square_sum((const float *)j->data + from, n);
        } else {
            float wide[512];
            for (int64_t i = 0; i < n; i += 512) {
                int64_t m = n - i < 512 ? n - i : 512;
                taper__convert(wide, TAPER_F32, 1, (const uint16_t *)j->data + from + i, j->dtype, 1, m);
                sum += (double)loops->square_sum(wide, m);
            }
        }
        j->sums[b] = sum;
    }
}

/* The sum of squares, in blocks that the size alone fixes. */
static taper_status clip_square_sum(double *out, const taper_tensor *t) {
    taper_tensor *copy = NULL;
    taper_status st = TAPER_OK;
    int64_t blocks = (t->numel + TAPER_OPTIM_CHUNK - 1) / TAPER_OPTIM_CHUNK;
    double *sums = taper__alloc(sizeof *sums * (size_t)(blocks + 1));
    if (!sums) return TAPER_FAIL(TAPER_MEMORY, "clip_grad_norm_: no memory for %lld sums", (long long)blocks);
    if (!taper__is_dense(t->ndim, t->shape, t->strides)) {
        TAPER_TRY_GOTO(taper__tensor_empty(&copy, (taper_dtype)t->dtype, t->device, t->ndim, t->shape, "clip_grad_norm_"));
        TAPER_TRY_GOTO(taper__copy_data(copy, t));
        t = copy;
    }
    clip_job j = {taper__data(t), (taper_dtype)t->dtype, t->numel, sums, 1};
    taper__parallel_for(blocks, 8, clip_sum_range, &j);
    for (int64_t b = 0; b < blocks; b++) *out += sums[b];
out:
    taper_tensor_release(copy);
    taper__free(sums);
    return st;
}

/* The norm to out[0]; *scale: what the gradients are to be multiplied by. */
static taper_status clip_norm(taper_call *c, double *scale) {
    double total = 0;
    for (int i = 0; i < c->args[0].count; i++) TAPER_TRY(clip_square_sum(&total, c->args[0].ts[i]));
    total = sqrt(total);
    taper__store_double(taper__data(c->out[0]), (taper_dtype)c->out[0]->dtype, total);
    *scale = c->args[1].f / (total + 1e-6);
    if (*scale >= 1) *scale = 1;
    return TAPER_OK;
}
static taper_status clip_grad_norm_cpu(taper_call *c) {
    const taper_arg *a = &c->args[0];
    double scale;
    TAPER_TRY(clip_norm(c, &scale));
    if (scale == 1) return TAPER_OK; /* NaN scales: the gradients are lost anyway, and torch shows it */
    taper_scope s = TAPER_SCOPE;
    taper_tensor *number = taper__number(&s, scale);
    for (int i = 0; i < a->count && s.status == TAPER_OK; i++) {
        taper_tensor *whole = NULL;
        s.status = taper__tensor_alias(&whole, a->ts[i]);
        if (s.status == TAPER_OK) s.status = taper_mul_(whole, number);
        taper_tensor_release(whole);
    }
    return taper_scope_end(&s);
}
static taper_status clip_grad_norm_cuda(taper_call *c) {
    taper_optim_item *items = NULL;
    TAPER_TRY(taper__optim_items(&items, c, 1, -1));
    return taper__optim_items_end(items, c, c->nout == 1, taper__clip_cuda(c, items));
}
static taper_status fused_clip_factor_cpu(taper_call *c) {
    double scale;
    TAPER_TRY(clip_norm(c, &scale));
    taper__store_double(taper__data(c->out[1]), (taper_dtype)c->out[1]->dtype, scale);
    return TAPER_OK;
}
static const taper_kernel clip_grad_norm_kernels[] = {{"cuda", TAPER_CUDA, NULL, clip_grad_norm_cuda}, {"cpu", TAPER_CPU, NULL, clip_grad_norm_cpu}, {0}};
const taper_op taper_op_clip_grad_norm_ = {
    .infer = clip_grad_norm_infer,
    .kernels = clip_grad_norm_kernels,
    .workspace = taper__clip_workspace,
    .samples = (const taper_sample[]){{"{[2,3]:nograd,[4]:nograd}, 1.0"}, {"{[2,3]:nograd}, 100.0"}, {"{[2]:i64}, 1.0", .error = "expected a floating point tensor"}, {0}},
};
static const taper_kernel fused_clip_factor_kernels[] = {{"cuda", TAPER_CUDA, NULL, clip_grad_norm_cuda}, {"cpu", TAPER_CPU, NULL, fused_clip_factor_cpu}, {0}};
const taper_op taper_op_fused_clip_factor = {
    .infer = fused_clip_factor_infer,
    .kernels = fused_clip_factor_kernels,
    .workspace = taper__clip_workspace,
    .samples = (const taper_sample[]){{"{[2,3]:nograd,[4]:nograd}, 1.0"}, {"{[2,3]:nograd}, 100.0"}, {"{[300,400]:nograd,[0]:nograd}, 2.0"}, {"{}, 1.0"}, {"{[2]:i64}, 1.0", .error = "expected a floating point tensor"}, {0}},
};
