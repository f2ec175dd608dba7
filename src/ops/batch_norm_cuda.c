/* Batch and group normalisation on the GPU: sums, coefficients, application. */
#include "device/cuda/cuda.h"
#include "ops/channel_args.h"
#include "ops/norm.h"

#define CHANNEL_KERNEL(name) {TAPER_CUDA_KERNEL("batch_norm", name "_f32"), TAPER_CUDA_KERNEL("batch_norm", name "_f64")}
static taper_cuda_kernel channel_sums[2][2] = {CHANNEL_KERNEL("channel_sums"), CHANNEL_KERNEL("channel_sums_last")},
                         channel_finish[2][2] = {CHANNEL_KERNEL("batch_finish"), CHANNEL_KERNEL("group_finish")},
                         channel_apply[2] = CHANNEL_KERNEL("channel_apply");
enum { CHANNEL_BLOCKS = 1056, CHANNEL_PART_LEAST = 2048 };

static void *channel_data(const taper_tensor *t) { return t ? taper__data(t) : NULL; }
static int64_t channel_ceil(int64_t a, int64_t b) { return (a + b - 1) / b; }

static taper_status channel_launch(taper_cuda_kernel *kernels, const taper_channel_args *k, int index, int64_t x, int64_t y, const char *op) {
    taper_cuda_geometry g = {.grid = {(unsigned)(x < 1 << 30 ? x : 1 << 30), (unsigned)y, 1}, .block = {256, 1, 1}};
    taper_channel_args copy = *k;
    void *args[] = {&copy};
    return taper__cuda_launch(&kernels[k->dtype == TAPER_F64], index, &g, args, op);
}

/* The sums see x as (outer, channels, inner); the application as (samples, groups * per, ...). */
static taper_status channel_run(taper_channel_args *k, const taper_tensor *x, bool sums, int64_t runs, int64_t run, const char *op) {
    int64_t size = k->dtype == TAPER_F64 ? 8 : 4, length = k->outer * k->inner, index = x->device.index;
    int64_t tiles = k->last ? channel_ceil(k->channels, TAPER_CHANNEL_TILE) : k->channels, least = k->last ? CHANNEL_PART_LEAST / 16 : CHANNEL_PART_LEAST;
    k->parts = CHANNEL_BLOCKS / tiles;
    if (k->parts > channel_ceil(length, least)) k->parts = channel_ceil(length, least);
    if (k->parts < 1) k->parts = 1;
    k->part = channel_ceil(channel_ceil(length, k->parts), 1024) * 1024; /* keeps fours together */
    if (k->last) k->part = channel_ceil(length, k->parts);
    k->parts = channel_ceil(length, k->part);
    k->coefs = runs;
    size_t partial = (size_t)(k->parts * 2 * k->channels) * sizeof(double), bytes = partial + (size_t)(3 * runs * size);
    void *room = NULL;
    TAPER_TRY(taper__memory_alloc(&room, bytes, x->device, op));
    k->partial = room;
    k->coef = (char *)room + partial;
    bool aligned = ((uintptr_t)k->x | (uintptr_t)k->g | (uintptr_t)k->y) % 32 == 0, group = k->groups > 0;
    k->wide = aligned && (k->last ? k->channels : k->inner) % 4 == 0;
    taper_status st = TAPER_OK;
    if (sums) TAPER_TRY_GOTO(channel_launch(channel_sums[k->last], k, (int)index, tiles, k->parts, op));
    TAPER_TRY_GOTO(channel_launch(channel_finish[group], k, (int)index, channel_ceil(runs, 128), 1, op));
    if (group) { /* the application goes by samples and channels */
        k->channels = runs;
        k->outer = 1;
        k->inner = run;
        k->wide = aligned && run % 4 == 0;
    }
    TAPER_TRY_GOTO(channel_launch(channel_apply, k, (int)index, channel_ceil(x->numel, k->wide ? 1024 : 256), 1, op));
out:
    taper__memory_free(room, bytes, x->device);
    return st;
}

static void channel_fill(taper_channel_args *k, const taper_channel_call *c) {
    *k = (taper_channel_args){.x = taper__data(c->x), .g = channel_data(c->g), .y = taper__data(c->y), .w = channel_data(c->w), .b = channel_data(c->b),
                              .mean = channel_data(c->mean), .rstd = channel_data(c->rstd), .running_mean = channel_data(c->running_mean),
                              .running_var = channel_data(c->running_var), .dw = channel_data(c->dw), .db = channel_data(c->db), .eps = c->eps,
                              .momentum = c->momentum, .mean_per = 1, .training = c->training, .dtype = c->x->dtype,
                              .dtype_w = c->w ? c->w->dtype : 0, .dtype_b = c->b ? c->b->dtype : 0, .dtype_stats = c->mean->dtype,
                              .dtype_running_mean = c->running_mean ? c->running_mean->dtype : 0,
                              .dtype_running_var = c->running_var ? c->running_var->dtype : 0, .dtype_dw = c->dw ? c->dw->dtype : 0};
    k->inner = 1;
    for (int d = 2; d < c->x->ndim; d++) k->inner *= c->x->shape[d];
}

taper_status taper__batch_norm_cuda(const taper_channel_call *c) {
    taper_channel_args k;
    if (!c->x->numel) {
        if (c->dw) TAPER_TRY(taper__fill_cuda(c->dw, taper_float(0)));
        return c->db ? taper__fill_cuda(c->db, taper_float(0)) : TAPER_OK;
    }
    channel_fill(&k, c);
    k.outer = c->x->shape[0], k.channels = c->x->shape[1];
    k.last = !c->x->contiguous || k.inner == 1;
    return channel_run(&k, c->x, c->training || c->g, k.channels, 0, c->op);
}

taper_status taper__group_norm_cuda(const taper_channel_call *c) {
    taper_channel_args k;
    if (!c->x->numel) {
        if (c->dw) TAPER_TRY(taper__fill_cuda(c->dw, taper_float(0)));
        return c->db ? taper__fill_cuda(c->db, taper_float(0)) : TAPER_OK;
    }
    channel_fill(&k, c);
    int64_t runs = c->x->shape[0] * c->x->shape[1], run = k.inner;
    k.samples = c->x->shape[0], k.groups = c->groups, k.per = c->x->shape[1] / c->groups;
    k.outer = 1;
    if (c->g) {
        k.channels = runs;
        k.mean_per = (int)k.per;
    } else {
        k.channels = k.samples * k.groups;
        k.inner *= k.per;
    }
    return channel_run(&k, c->x, true, runs, run, c->op);
}
