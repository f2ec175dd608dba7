/* Gradient scaling: a scale, what was found in the gradients of each optimiser, and steps that leave themselves out. */
#include "optim/optim.h"

#include <math.h>

typedef enum scaler_stage { SCALER_READY, SCALER_UNSCALED, SCALER_STEPPED } scaler_stage;
typedef struct scaler_entry { /* of one optimiser, since the last update */
    const taper_optimizer *optimizer;
    scaler_stage stage;
    taper_tensor *found;
} scaler_entry;

struct taper_grad_scaler {
    taper_grad_scaler_options options;
    taper_device device;
    taper_tensor *scale, *good; /* float32, int32: one number each, on the device */
    taper_tensor *one;
    scaler_entry *entries;
    int count, capacity;
};

static taper_status scaler_number(taper_tensor **out, taper_device device, double value, taper_dtype dtype) {
    return taper_full(out, NULL, 0, taper_float(value), dtype, &device);
}

taper_status taper_grad_scaler_new(taper_grad_scaler **out, taper_device device, taper_grad_scaler_options options) {
    taper_status st = TAPER_OK;
    if (!(options.growth_factor > 1)) return TAPER_FAIL(TAPER_VALUE, "The growth factor must be > 1.0.");
    if (!(options.backoff_factor > 0 && options.backoff_factor < 1)) return TAPER_FAIL(TAPER_VALUE, "The backoff factor must be < 1.0 and > 0.");
    if (!(options.init_scale > 0) || options.growth_interval < 1 || options.growth_interval > INT32_MAX)
        return TAPER_FAIL(TAPER_VALUE, "grad_scaler: scale %g and interval %lld must be positive", options.init_scale, (long long)options.growth_interval);
    taper_grad_scaler *g = taper__alloc_zero(sizeof *g);
    if (!g) return TAPER_FAIL(TAPER_MEMORY, "grad_scaler: no memory");
    g->options = options;
    g->device = device;
    TAPER_TRY_GOTO(scaler_number(&g->scale, device, options.init_scale, TAPER_F32));
    TAPER_TRY_GOTO(scaler_number(&g->good, device, 0, TAPER_I32));
    TAPER_TRY_GOTO(scaler_number(&g->one, device, 1, TAPER_F32));
    *out = g;
    return TAPER_OK;
out:
    taper_grad_scaler_release(g);
    return st;
}

static void scaler_clear(taper_grad_scaler *g) {
    for (int i = 0; i < g->count; i++) taper_tensor_release(g->entries[i].found);
    g->count = 0;
}
void taper_grad_scaler_release(taper_grad_scaler *g) {
    if (!g) return;
    scaler_clear(g);
    taper_tensor_release(g->scale);
    taper_tensor_release(g->good);
    taper_tensor_release(g->one);
    taper__free(g->entries);
    taper__free(g);
}

taper_tensor *taper_grad_scaler_scale(taper_scope *s, const taper_grad_scaler *g, taper_tensor *loss) { return tx_mul(s, loss, g->scale); }

static taper_status scaler_entry_of(scaler_entry **out, taper_grad_scaler *g, const taper_optimizer *o) {
    for (int i = 0; i < g->count; i++)
        if (g->entries[i].optimizer == o) {
            *out = &g->entries[i];
            return TAPER_OK;
        }
    if (g->count == g->capacity) {
        int capacity = g->capacity ? 2 * g->capacity : 2;
        scaler_entry *entries = taper__realloc(g->entries, sizeof *entries * (size_t)capacity);
        if (!entries) return TAPER_FAIL(TAPER_MEMORY, "grad_scaler: no memory for %d optimisers", capacity);
        g->entries = entries;
        g->capacity = capacity;
    }
    taper_tensor *found = NULL;
    TAPER_TRY(scaler_number(&found, g->device, 0, TAPER_F32));
    g->entries[g->count] = (scaler_entry){.optimizer = o, .found = found};
    *out = &g->entries[g->count++];
    return TAPER_OK;
}

/* Gradients times `by` in place (left alone when that is one), and whether all are finite. */
static taper_status scaler_unscale(taper_optimizer *o, taper_tensor *found, taper_tensor *by, bool half_allowed) {
    int n = 0;
    for (int i = 0; i < o->params->count; i++) {
        taper_tensor *grad = taper_grad(o->params->tensors[i]);
        if (!grad) continue;
        if (!half_allowed && taper_tensor_dtype(grad) == TAPER_F16) return TAPER_FAIL(TAPER_VALUE, "Attempting to unscale FP16 gradients.");
        o->work[n++] = grad;
    }
    return taper_amp_unscale_(NULL, o->work, n, found, by);
}

static taper_status scaler_divide(const taper_grad_scaler *g, taper_optimizer *o, scaler_entry *e) {
    taper_tensor *inverse = NULL;
    TAPER_TRY(taper_reciprocal(&inverse, g->scale));
    taper_status st = scaler_unscale(o, e->found, inverse, false);
    taper_tensor_release(inverse);
    if (st == TAPER_OK) e->stage = SCALER_UNSCALED;
    return st;
}

static taper_status scaler_unscale_once(taper_grad_scaler *g, taper_optimizer *o) {
    scaler_entry *e = NULL;
    TAPER_TRY(scaler_entry_of(&e, g, o));
    if (e->stage == SCALER_UNSCALED) return TAPER_FAIL(TAPER_RUNTIME, "unscale_() has already been called on this optimizer since the last update().");
    if (e->stage == SCALER_STEPPED) return TAPER_FAIL(TAPER_RUNTIME, "unscale_() is being called after step().");
    return scaler_divide(g, o, e);
}

static taper_status scaler_step(taper_grad_scaler *g, taper_optimizer *o) {
    scaler_entry *e = NULL;
    TAPER_TRY(scaler_entry_of(&e, g, o));
    if (e->stage == SCALER_STEPPED) return TAPER_FAIL(TAPER_RUNTIME, "step() has already been called since the last update().");
    /* Clipping wants true gradients; else the step divides on its way. */
    if (e->stage == SCALER_READY) TAPER_TRY(o->clip_norm > 0 ? scaler_divide(g, o, e) : scaler_unscale(o, e->found, g->one, true));
    TAPER_TRY(taper__optimizer_step(o, &(taper_optim_scaling){g->scale, e->found, e->stage == SCALER_UNSCALED}));
    e->stage = SCALER_STEPPED;
    return TAPER_OK;
}

static taper_status scaler_update(taper_grad_scaler *g) {
    taper_tensor *same = NULL;
    taper_scope s = TAPER_SCOPE;
    if (!g->count) return TAPER_FAIL(TAPER_RUNTIME, "No inf checks were recorded prior to update.");
    taper_tensor *found = g->entries[0].found;
    for (int i = 1; i < g->count; i++) found = tx_add(&s, found, g->entries[i].found, taper_int(1));
    if (s.status == TAPER_OK)
        s.status = taper_amp_update_scale_(&same, g->scale, g->good, found, g->options.growth_factor, g->options.backoff_factor, g->options.growth_interval);
    taper_tensor_release(same);
    if (s.status == TAPER_OK) scaler_clear(g);
    return taper_scope_end(&s);
}

#define SCALER_WITHOUT_TAPE(call)                                                                                      \
    bool was = taper_set_grad_enabled(false);                                                                          \
    taper_status st = call;                                                                                            \
    taper_set_grad_enabled(was);                                                                                       \
    return st
taper_status taper_grad_scaler_unscale(taper_grad_scaler *g, taper_optimizer *o) { SCALER_WITHOUT_TAPE(scaler_unscale_once(g, o)); }
taper_status taper_grad_scaler_step(taper_grad_scaler *g, taper_optimizer *o) { SCALER_WITHOUT_TAPE(scaler_step(g, o)); }
taper_status taper_grad_scaler_update(taper_grad_scaler *g) { SCALER_WITHOUT_TAPE(scaler_update(g)); }

taper_status taper_grad_scaler_get(const taper_grad_scaler *g, double *scale, int64_t *good_steps) {
    double s = 0;
    int64_t n = 0;
    TAPER_TRY(taper_tensor_item_double(g->scale, &s));
    TAPER_TRY(taper_tensor_item_int(g->good, &n));
    if (scale) *scale = s;
    if (good_steps) *good_steps = n;
    return TAPER_OK;
}
taper_status taper_grad_scaler_set(taper_grad_scaler *g, double scale, int64_t good_steps) {
    float s = (float)scale;
    int32_t n = (int32_t)good_steps;
    if (!(scale > 0) || !isfinite(s) || good_steps < 0 || good_steps >= g->options.growth_interval)
        return TAPER_FAIL(TAPER_VALUE, "grad_scaler: scale %g after %lld good steps, need a positive scale and fewer than %lld", scale, (long long)good_steps,
                          (long long)g->options.growth_interval);
    TAPER_TRY(taper_tensor_write(g->scale, &s, sizeof s));
    return taper_tensor_write(g->good, &n, sizeof n);
}
