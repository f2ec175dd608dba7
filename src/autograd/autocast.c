/* autocast regions and the casts of leaves they keep, so that a weight used twice is converted once. */
#include "autograd/tape.h"

typedef struct kept_cast {
    struct kept_cast *next;
    taper_tensor *leaf, *cast;
    uint32_t version;
} kept_cast;
static _Thread_local kept_cast *kept;

static void autocast_forget(kept_cast *k) {
    taper_tensor_release(k->leaf);
    taper_tensor_release(k->cast);
    taper__free(k);
}

void taper_autocast_clear_cache(void) {
    while (kept) {
        kept_cast *k = kept;
        kept = k->next;
        autocast_forget(k);
    }
}

taper_status taper__autocast_cast(taper_tensor **out, taper_tensor *t, taper_dtype dtype) {
    bool leaf = t->requires_grad && !t->base && t->dtype == TAPER_F32 && !(t->grad && t->grad->node) && !taper__mode.autocast_cache_off &&
                !taper__mode.no_grad;
    for (kept_cast **at = &kept, *k = leaf ? kept : NULL; k; at = &k->next, k = k->next) {
        if (k->leaf != t || k->cast->dtype != dtype) continue;
        if (k->version == taper_tensor_version(t)) {
            *out = taper_tensor_retain(k->cast);
            return TAPER_OK;
        }
        *at = k->next; /* of before an optimiser's step: a region may last for a whole training */
        autocast_forget(k);
        break;
    }
    TAPER_TRY(taper_cast_leaf(out, t, dtype));
    if (!leaf) return TAPER_OK;
    kept_cast *k = taper__alloc(sizeof *k);
    if (!k) return TAPER_OK; /* only a cache */
    *k = (kept_cast){kept, taper_tensor_retain(t), taper_tensor_retain(*out), taper_tensor_version(t)};
    kept = k;
    return TAPER_OK;
}

void taper_set_autocast(taper_device_type device, bool on, taper_dtype dtype, bool cache) {
    taper__mode.autocast[device] = on;
    taper__mode.autocast_dtype[device] = dtype == TAPER_DTYPE_NONE ? 0 : (uint8_t)dtype;
    taper__mode.autocast_cache_off = !cache;
    if (!on) taper_autocast_clear_cache();
}

bool taper_autocast_enabled(taper_device_type device, taper_dtype *dtype) {
    if (dtype)
        *dtype = taper__mode.autocast_dtype[device] ? (taper_dtype)taper__mode.autocast_dtype[device]
                 : device == TAPER_CUDA             ? TAPER_F16
                                                    : TAPER_BF16;
    return taper__mode.autocast[device];
}
