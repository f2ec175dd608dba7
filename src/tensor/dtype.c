/* Element types: their table, names, promotion and the default floating type. */
#include <stdatomic.h>
#include <string.h>

#include "base/base.h"
#include "tensor/tensor.h"

typedef struct dtype_info {
    const char *name, *typename;
    uint8_t size, kind;
} dtype_info;

static const dtype_info dtype_table[TAPER_DTYPE_COUNT] = {
#define DTYPE_ROW(name, text, bytes, kind, typename, ...) [TAPER_##name] = {text, typename, bytes, TAPER_KIND_##kind},
    TAPER_DTYPE_MAP(DTYPE_ROW)
#undef DTYPE_ROW
};
static const dtype_info dtype_unknown = {"unknown", "Unknown", 0, TAPER_KIND_BOOL};

static const dtype_info *dtype_get(taper_dtype d) {
    return (unsigned)d < TAPER_DTYPE_COUNT ? &dtype_table[d] : &dtype_unknown;
}

size_t taper_dtype_size(taper_dtype d) { return dtype_get(d)->size; }
const char *taper_dtype_name(taper_dtype d) { return dtype_get(d)->name; }
const char *taper_dtype_typename(taper_dtype d) { return dtype_get(d)->typename; }
taper_kind taper_dtype_kind(taper_dtype d) { return (taper_kind)dtype_get(d)->kind; }
bool taper_dtype_is_float(taper_dtype d) { return dtype_get(d)->kind == TAPER_KIND_FLOAT; }

taper_dtype taper_dtype_from_name(const char *name) {
    static const struct {
        const char *name;
        uint8_t dtype;
    } aliases[] = {{"float", TAPER_F32}, {"double", TAPER_F64}, {"half", TAPER_F16}, {"long", TAPER_I64},
                   {"int", TAPER_I32},   {"short", TAPER_I16},  {"byte", TAPER_U8},  {"char", TAPER_I8}};
    if (!name) return TAPER_DTYPE_NONE;
    if (!strncmp(name, "torch.", 6)) name += 6;
    for (int i = 0; i < TAPER_DTYPE_COUNT; i++)
        if (!strcmp(name, dtype_table[i].name)) return (taper_dtype)i;
    for (int i = 0; i < TAPER_COUNT(aliases); i++)
        if (!strcmp(name, aliases[i].name)) return (taper_dtype)aliases[i].dtype;
    return TAPER_DTYPE_NONE;
}

/* Within one kind the enum is in order of width; two pairs have no order and go one step wider. As in torch, 8-bit
 * floats promote to nothing but themselves: NONE. */
taper_dtype taper_dtype_promote(taper_dtype a, taper_dtype b) {
    if (a == b) return a;
    if ((unsigned)a >= TAPER_DTYPE_COUNT || (unsigned)b >= TAPER_DTYPE_COUNT) return TAPER_DTYPE_NONE;
    if (a > b) {
        taper_dtype t = a;
        a = b, b = t;
    }
    if (b == TAPER_F8_E4M3 || b == TAPER_F8_E5M2) return TAPER_DTYPE_NONE;
    if (a == TAPER_U8 && b == TAPER_I8) return TAPER_I16;
    if (a == TAPER_F16 && b == TAPER_BF16) return TAPER_F32;
    return b;
}

static _Atomic int dtype_default = TAPER_F32;

taper_dtype taper_default_dtype(void) {
    return (taper_dtype)atomic_load_explicit(&dtype_default, memory_order_relaxed);
}

taper_status taper_set_default_dtype(taper_dtype d) {
    taper_error_clear();
    if (d != TAPER_F16 && d != TAPER_BF16 && d != TAPER_F32 && d != TAPER_F64)
        return TAPER_FAIL(TAPER_TYPE,
                          "set_default_dtype: only floating-point types are supported as the default type, got %s",
                          taper_dtype_name(d));
    atomic_store_explicit(&dtype_default, (int)d, memory_order_relaxed);
    return TAPER_OK;
}
