/* Gradient scaling: unscaling with a check, and the scale's own step. */
#include <math.h>

#include "ops/optimizers.h"

static taper_status amp_number(const taper_call *c, int k, taper_dtype dtype, const char *name) {
    const taper_tensor *t = c->args[k].t;
    if (t->numel == 1 && t->dtype == dtype) return TAPER_OK;
    return TAPER_FAIL(TAPER_RUNTIME, "%s: %s must be one %s, got %s", c->row->name, name, taper_dtype_name(dtype), TAPER_TEXT(t));
}

static taper_status amp_unscale_infer(taper_call *c) {
    for (int i = 0; i < c->args[0].count; i++) TAPER_TRY(taper__need_float(c->args[0].ts[i], "amp_unscale_"));
    TAPER_TRY(amp_number(c, 1, TAPER_F32, "found_inf"));
    TAPER_TRY(amp_number(c, 2, TAPER_F32, "inv_scale"));
    TAPER_TRY(taper__need_same_device(c));
    c->modifies = 3;
    return TAPER_OK;
}
static taper_status amp_unscale_cpu(taper_call *c) {
    taper_status st = TAPER_OK;
    bool finite = true;
    double by = *(const float *)taper__data(c->args[2].t);
    for (int i = 0; i < c->args[0].count && st == TAPER_OK; i++) {
        taper_scope s = TAPER_SCOPE;
        taper_tensor *whole = NULL;
        s.status = taper__tensor_alias(&whole, c->args[0].ts[i]);
        taper_scope_own(&s, whole);
        taper_tensor *number = taper__number(&s, by);
        if (s.status == TAPER_OK) s.status = taper_mul_(whole, number);
        taper_tensor *bad = NULL;
        double most = 0;
        if (s.status == TAPER_OK && whole->numel) bad = tx_amax(&s, tx_abs(&s, whole), NULL, 0, false); /* NaN wins */
        if (bad) s.status = taper_tensor_item_double(bad, &most);
        finite = finite && isfinite(most);
        st = taper_scope_end(&s);
    }
    if (!finite) *(float *)taper__data(c->args[1].t) = 1;
    return st;
}
static taper_status amp_unscale_cuda(taper_call *c) {
    taper_optim_item *items = NULL;
    TAPER_TRY(taper__optim_items(&items, c, 1, -1));
    return taper__optim_items_end(items, c, 1, taper__amp_unscale_cuda(c, items));
}
static const taper_kernel amp_unscale_kernels[] = {{"cuda", TAPER_CUDA, NULL, amp_unscale_cuda}, {"cpu", TAPER_CPU, NULL, amp_unscale_cpu}, {0}};
const taper_op taper_op_amp_unscale_ = {
    .infer = amp_unscale_infer,
    .kernels = amp_unscale_kernels,
    .samples = (const taper_sample[]){{"{[2,3]:nograd,[4]:nograd}, [1]:f32:nograd=(0), [1]:f32:nograd=(0.5)"}, {"{[3]:nograd}, [1]:f32:nograd=(1), [1]:f32:nograd=(4)"},
                                      {"{[2]:i64}, [1]:f32:nograd, [1]:f32:nograd", .error = "expected a floating point tensor"},
                                      {"{[2]:nograd}, [2]:f32:nograd, [1]:f32:nograd", .error = "found_inf must be one float32"}, {0}},
};

static taper_status amp_update_scale_infer(taper_call *c) {
    TAPER_TRY(amp_number(c, 0, TAPER_F32, "the scale"));
    TAPER_TRY(amp_number(c, 1, TAPER_I32, "growth_tracker"));
    TAPER_TRY(amp_number(c, 2, TAPER_F32, "found_inf"));
    TAPER_TRY(taper__need_same_device(c));
    c->modifies = 2;
    return taper__out_like(c, 0, TAPER_F32, c->args[0].t);
}
static taper_status amp_update_scale_cpu(taper_call *c) {
    float *scale = taper__data(c->out[0]);
    int32_t *tracker = taper__data(c->args[1].t);
    *scale = *(const float *)taper__data(c->args[0].t);
    if (*(const float *)taper__data(c->args[2].t) != 0) {
        *scale = (float)(*scale * c->args[4].f);
        *tracker = 0;
        return TAPER_OK;
    }
    int32_t good = *tracker + 1;
    float more = (float)(*scale * c->args[3].f);
    if (good == c->args[5].i && isfinite(more)) *scale = more;
    *tracker = good == c->args[5].i ? 0 : good;
    return TAPER_OK;
}
static taper_status amp_update_scale_cuda(taper_call *c) {
    if (c->out[0] != c->args[0].t) TAPER_TRY(taper__copy_data(c->out[0], c->args[0].t));
    return taper__amp_update_scale_cuda(c);
}
static const taper_kernel amp_update_scale_kernels[] = {{"cuda", TAPER_CUDA, NULL, amp_update_scale_cuda}, {"cpu", TAPER_CPU, NULL, amp_update_scale_cpu}, {0}};
const taper_op taper_op_amp_update_scale_ = {
    .infer = amp_update_scale_infer,
    .kernels = amp_update_scale_kernels,
    .mutates = true,
    .samples = (const taper_sample[]){{"[1]:f32:nograd=(8), [1]:i32=(1), [1]:f32:nograd=(0), 2.0, 0.5, 2", .strides_matter = true}, {"[1]:f32:nograd=(8), [1]:i32=(1), [1]:f32:nograd=(1), 2.0, 0.5, 2", .strides_matter = true},
                                      {"[1]:f32:nograd=(8), [1]:i32=(0), [1]:f32:nograd=(0), 2.0, 0.5, 2", .strides_matter = true}, {"[2]:f32:nograd, [1]:i32, [1]:f32:nograd, 2.0, 0.5, 2", .error = "the scale must be one float32"}, {0}},
};
