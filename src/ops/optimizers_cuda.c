/* Optimiser steps, clipping and gradient scaling on the GPU: a launch for up to TAPER_OPTIM_ITEMS tensors, nothing waited for. */
#include "device/cuda/cuda.h"
#include "ops/optim_geometry.h"
#include "ops/optimizers.h"

#define OPTIM_KERNELS(name)                                                                                            \
    {TAPER_CUDA_KERNEL("optimizers", "optim_" name "_plain"), TAPER_CUDA_KERNEL("optimizers", "optim_" name "_any"),   \
     TAPER_CUDA_KERNEL("optimizers", "optim_" name "_f64")}
static taper_cuda_kernel optim_kernels[3][3] = {OPTIM_KERNELS("sgd"), OPTIM_KERNELS("adam"), OPTIM_KERNELS("rmsprop")};
static taper_cuda_kernel optim_count = TAPER_CUDA_KERNEL("optimizers", "optim_count"), optim_squares = TAPER_CUDA_KERNEL("optimizers", "optim_squares"),
                         optim_norm = TAPER_CUDA_KERNEL("optimizers", "optim_norm"), optim_scale = TAPER_CUDA_KERNEL("optimizers", "optim_scale"),
                         optim_unscale = TAPER_CUDA_KERNEL("optimizers", "optim_unscale"),
                         optim_update_scale = TAPER_CUDA_KERNEL("optimizers", "optim_update_scale");

static taper_cuda_geometry optim_geometry(int64_t blocks) { return (taper_cuda_geometry){.grid = {(unsigned)blocks, 1, 1}, .block = {256, 1, 1}}; }

/* Steps that live on the GPU are counted there; the others have been counted by the host, in items[i].step. */
static taper_status optim_count_steps(taper_call *c, const taper_optim_item *items, const taper_optim_common *common, int list) {
    int count = c->args[0].count;
    for (int base = 0; base < count; base += TAPER_OPTIM_ITEMS) {
        taper_optim_steps t = {.base = base, .count = count - base < TAPER_OPTIM_ITEMS ? count - base : TAPER_OPTIM_ITEMS};
        for (int i = 0; i < t.count; i++) {
            const taper_tensor *step = c->args[list].count ? c->args[list].ts[base + i] : NULL;
            t.number[i] = items[base + i].step;
            if (!step || step->device.type != TAPER_CUDA) continue;
            t.step[i] = taper__data(step);
            t.dtype[i] = step->dtype;
        }
        taper_cuda_geometry g = {.grid = {1, 1, 1}, .block = {64, 1, 1}};
        void *args[] = {&t, (void *)common};
        TAPER_TRY(taper__cuda_launch(&optim_count, c->device.index, &g, args, c->row->name));
    }
    return TAPER_OK;
}

static taper_optim_entry optim_entry(const taper_optim_item *item, int narrays) {
    taper_optim_entry e = {.numel = item->numel};
    for (int k = 0; k < narrays; k++) e.data[k] = item->arrays[k], e.dtype[k] = item->dtype[k];
    e.data[TAPER_OPTIM_COPY] = item->arrays[TAPER_OPTIM_COPY], e.dtype[TAPER_OPTIM_COPY] = item->dtype[TAPER_OPTIM_COPY];
    return e;
}

static const void *optim_on_gpu(const taper_tensor *t, uint8_t *dtype) {
    if (!t || t->device.type != TAPER_CUDA) return NULL;
    *dtype = t->dtype;
    return taper__data(t);
}

taper_status taper__optim_step_cuda(taper_call *c, taper_optim_kind kind, taper_optim_item *items, const taper_optim_numbers *n, const taper_optim_places *at) {
    int count = c->args[0].count, last = -1;
    taper_optim_table t = {.count = 0};
    int64_t chunks = 0;
    taper_optim_common common = {.lr = n->lr, .weight_decay = n->weight_decay, .eps = n->eps, .momentum = n->momentum, .dampening = n->dampening,
                                 .beta1 = n->beta1, .beta2 = n->beta2, .unscale = n->unscale, .factor = n->factor, .unscaled = n->unscaled, .maximize = n->maximize,
                                 .nesterov = n->nesterov, .first = n->first, .decoupled = n->decoupled, .amsgrad = n->amsgrad,
                                 .centered = n->centered, .with_momentum = n->with_momentum};
    common.scale = optim_on_gpu(at->scale, &common.scale_dtype);
    common.inf = optim_on_gpu(at->inf, &common.inf_dtype);
    common.by = optim_on_gpu(at->factor, &common.by_dtype);
    if (kind == TAPER_OPTIM_ADAM) common.bias = c->workspace;
    if (at->steps >= 0) TAPER_TRY(optim_count_steps(c, items, &common, at->steps));
    for (int i = 0; i <= count; i++) { /* a launch has tensors of one kernel, neighbours in the list */
        taper_optim_entry e = {.numel = 0};
        int which = -1;
        if (i < count) {
            taper_optim_table alone = {.count = 0};
            int64_t none = 0;
            e = optim_entry(&items[i], at->arrays);
            taper__optim_add(&alone, &e, &none);
            which = items[i].dtype[0] == TAPER_F64 ? 2 : alone.item[0].plain && alone.item[0].wide ? 0 : 1;
            if (which == last && taper__optim_add(&t, &e, &chunks)) continue;
        }
        if (t.count) {
            taper_cuda_geometry g = optim_geometry(chunks);
            void *args[] = {&t, &common};
            TAPER_TRY(taper__cuda_launch(&optim_kernels[kind][last], c->device.index, &g, args, c->row->name));
        }
        t.count = 0;
        t.base = i;
        chunks = 0;
        last = which;
        if (i < count) taper__optim_add(&t, &e, &chunks);
    }
    return TAPER_OK;
}

/* Calls the kernel with (table, more...) for all tensors of the list, and counts the chunks in front of each launch in *done. */
static taper_status optim_over(taper_call *c, taper_cuda_kernel *kernel, taper_optim_item *items, int count, void **more, double **parts, int64_t *done) {
    taper_optim_table t = {.count = 0};
    int64_t chunks = 0;
    for (int i = 0; i <= count; i++) {
        taper_optim_entry e = {.numel = 0};
        if (i < count) {
            e = optim_entry(&items[i], 1);
            if (taper__optim_add(&t, &e, &chunks)) continue;
        }
        taper_cuda_geometry g = optim_geometry(chunks);
        void *args[] = {&t, more[0], more[1]};
        if (t.count) TAPER_TRY(taper__cuda_launch(kernel, c->device.index, &g, args, c->row->name));
        if (parts) *parts += chunks;
        *done += chunks;
        t.count = 0;
        chunks = 0;
        if (i < count) taper__optim_add(&t, &e, &chunks);
    }
    return TAPER_OK;
}

size_t taper__clip_workspace(const taper_call *c) {
    int64_t chunks = 2;
    if (c->device.type != TAPER_CUDA) return 0;
    for (int i = 0; i < c->args[0].count; i++) chunks += taper__optim_chunks(c->args[0].ts[i]->numel);
    return (size_t)chunks * sizeof(double);
}
taper_status taper__clip_cuda(taper_call *c, taper_optim_item *items) {
    double *all = (double *)c->workspace + 1, *parts = all, most = c->args[1].f;
    bool scales = c->nout == 1;
    void *norm = taper__data(c->out[0]), *factor = scales ? c->workspace : taper__data(c->out[1]), *sums[] = {&parts, NULL}, *by[] = {&factor, NULL};
    int dtype = c->out[0]->dtype, factor_dtype = scales ? TAPER_F64 : c->out[1]->dtype, count = c->args[0].count;
    int64_t done = 0, again = 0;
    TAPER_TRY(optim_over(c, &optim_squares, items, count, sums, &parts, &done));
    long long chunks = done;
    taper_cuda_geometry g = {.grid = {1, 1, 1}, .block = {1024, 1, 1}};
    void *args[] = {&norm, &dtype, &factor, &factor_dtype, &all, &chunks, &most};
    TAPER_TRY(taper__cuda_launch(&optim_norm, c->device.index, &g, args, c->row->name));
    return scales ? optim_over(c, &optim_scale, items, count, by, NULL, &again) : TAPER_OK;
}

taper_status taper__amp_unscale_cuda(taper_call *c, taper_optim_item *items) {
    void *inf = taper__data(c->args[1].t), *inverse = taper__data(c->args[2].t), *more[] = {&inf, &inverse};
    int64_t done = 0;
    return optim_over(c, &optim_unscale, items, c->args[0].count, more, NULL, &done);
}
taper_status taper__amp_update_scale_cuda(taper_call *c) {
    void *scale = taper__data(c->out[0]), *tracker = taper__data(c->args[1].t), *inf = taper__data(c->args[2].t);
    double growth = c->args[3].f, backoff = c->args[4].f;
    int interval = (int)c->args[5].i;
    taper_cuda_geometry g = {.grid = {1, 1, 1}, .block = {32, 1, 1}};
    void *args[] = {&scale, &tracker, &inf, &growth, &backoff, &interval};
    return taper__cuda_launch(&optim_update_scale, c->device.index, &g, args, c->row->name);
}
