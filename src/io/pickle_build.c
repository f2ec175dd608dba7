/* The names a pickle may use, and what calling them builds: tensors, containers, element types, devices. Nothing is
 * looked up outside this list, so a file cannot reach code. */
#include <stdio.h>
#include <taper/export.h>

#include "io/io.h"

typedef taper_status (*build_fn)(taper_pickle *p, taper_item **out, taper_item *const *args, int64_t n);

typedef struct build_global {
    const char *module, *name;
    build_fn call;
} build_global;

static const build_global *build_get(int64_t row);

static taper_status build_wrong(taper_pickle *p, const char *what) {
    return PICKLE_FAIL(p, TAPER_FORMAT, "unexpected arguments of %s", what);
}
static bool build_is_int(const taper_item *n) { return n->kind == TAPER_ITEM_INT; }
static bool build_is_sizes(const taper_item *n) {
    if (n->kind != TAPER_ITEM_TUPLE && n->kind != TAPER_ITEM_SIZE && n->kind != TAPER_ITEM_LIST) return false;
    if (n->count > TAPER_MAX_DIMS) return false;
    for (int64_t i = 0; i < n->count; i++)
        if (!build_is_int(n->items[i])) return false;
    return true;
}

/* Sizes, strides and offset against the bytes that are there. */
static taper_status build_view(taper_pickle *p, taper_item **out, const taper_item *storage, taper_dtype dtype,
                               taper_item *const *args, int64_t requires_grad) {
    int64_t shape[TAPER_MAX_DIMS], strides[TAPER_MAX_DIMS], offset, numel, last, step;
    if (!build_is_int(args[1]) || !build_is_sizes(args[2]) || !build_is_sizes(args[3]) ||
        args[2]->count != args[3]->count)
        return build_wrong(p, "_rebuild_tensor (offset, size, stride)");
    int ndim = (int)args[2]->count;
    offset = last = args[1]->integer;
    for (int d = 0; d < ndim; d++) shape[d] = args[2]->items[d]->integer, strides[d] = args[3]->items[d]->integer;
    if (taper__shape_numel(&numel, ndim, shape, "load") != TAPER_OK)
        return PICKLE_FAIL(p, TAPER_FORMAT, "a tensor of impossible sizes %s", taper__shape_text(ndim, shape).s);
    int64_t room = storage->numel, bytes = (int64_t)taper_dtype_size(dtype);
    if (storage->dtype == TAPER_DTYPE_NONE) room /= bytes;
    bool bad = offset < 0 || (numel > 0 && offset >= room) || offset > room;
    for (int d = 0; d < ndim && !bad && numel; d++)
        bad = strides[d] < 0 || __builtin_mul_overflow(shape[d] - 1, strides[d], &step) ||
              __builtin_add_overflow(last, step, &last);
    if (bad || (numel && last >= room))
        return PICKLE_FAIL(
            p, TAPER_FORMAT, "a tensor of %s, %s elements from element %lld on, reaches outside its storage of %lld",
            taper__shape_text(ndim, shape).s, taper_dtype_name(dtype), (long long)offset, (long long)room);
    taper_tensor *t = NULL;
    TAPER_TRY(taper__tensor_view(&t, storage->tensor, ndim, shape, strides, offset));
    t->dtype = (uint8_t)dtype;
    t->requires_grad = requires_grad && taper_dtype_is_float(dtype);
    *out = taper_tree_tensor(p->tree, TAPER_ITEM_TENSOR, t);
    taper_tensor_release(t);
    return *out ? TAPER_OK : TAPER_MEMORY;
}

/* (storage, offset, size, stride[, requires_grad, backward_hooks, metadata]) */
static taper_status build_tensor(taper_pickle *p, taper_item **out, taper_item *const *args, int64_t n) {
    if (n < 4 || args[0]->kind != TREE_STORAGE || args[0]->dtype == TAPER_DTYPE_NONE)
        return build_wrong(p, "_rebuild_tensor");
    return build_view(p, out, args[0], (taper_dtype)args[0]->dtype, args, n > 4 ? taper_item_integer(args[4]) : 0);
}
/* (untyped storage, offset, size, stride, requires_grad, backward_hooks, dtype[, metadata]) */
static taper_status build_tensor_v3(taper_pickle *p, taper_item **out, taper_item *const *args, int64_t n) {
    if (n < 7 || args[0]->kind != TREE_STORAGE || args[0]->dtype != TAPER_DTYPE_NONE ||
        args[6]->kind != TAPER_ITEM_DTYPE)
        return build_wrong(p, "_rebuild_tensor_v3");
    return build_view(p, out, args[0], (taper_dtype)args[6]->integer, args, taper_item_integer(args[4]));
}
/* (data, requires_grad, backward_hooks[, state]): another node on the same tensor */
static taper_status build_parameter(taper_pickle *p, taper_item **out, taper_item *const *args, int64_t n) {
    if (n < 1 || !taper_item_tensor(args[0])) return build_wrong(p, "_rebuild_parameter");
    taper_tensor *t = NULL;
    TAPER_TRY(taper__tensor_alias(&t, args[0]->tensor));
    t->requires_grad = (n < 2 || taper_item_integer(args[1])) && taper_dtype_is_float((taper_dtype)t->dtype);
    *out = taper_tree_tensor(p->tree, TAPER_ITEM_PARAMETER, t);
    taper_tensor_release(t);
    if (*out && n > 3 && args[3]->kind == TAPER_ITEM_DICT) taper_item_set_state(*out, args[3]);
    return *out ? TAPER_OK : TAPER_MEMORY;
}
static taper_status build_class(taper_pickle *p, taper_item **out, taper_item *const *args, int64_t n);

/* (rebuild function, type, arguments, state): how tensors with attributes of their own are stored */
static taper_status build_from_type(taper_pickle *p, taper_item **out, taper_item *const *args, int64_t n) {
    if (n != 4 || args[0]->kind != TREE_GLOBAL || args[1]->kind != TREE_GLOBAL || args[2]->kind != TAPER_ITEM_TUPLE)
        return build_wrong(p, "_rebuild_from_type_v2");
    build_fn rebuild = build_get(args[0]->integer)->call;
    if ((rebuild != build_tensor && rebuild != build_tensor_v3 && rebuild != build_parameter) ||
        build_get(args[1]->integer)->call != build_class)
        return build_wrong(p, "_rebuild_from_type_v2 (only Tensor and Parameter)");
    TAPER_TRY(rebuild(p, out, args[2]->items, args[2]->count));
    if (args[3]->kind == TAPER_ITEM_DICT) taper_item_set_state(*out, args[3]);
    return TAPER_OK;
}
/* Tensor and Parameter are named only as the type of the above. */
static taper_status build_class(taper_pickle *p, taper_item **out, taper_item *const *args, int64_t n) {
    if (n > 0 && taper_item_tensor(args[0])) return build_parameter(p, out, args, n);
    return build_wrong(p, "Tensor or Parameter");
}

static taper_status build_container(taper_pickle *p, taper_item **out, taper_item *const *args, int64_t n,
                                    taper_item_kind kind) {
    taper_item *c = *out = taper_tree_item(p->tree, kind);
    if (!c) return TAPER_MEMORY;
    if (n == 0) return TAPER_OK;
    const taper_item *from = args[0];
    bool dict = taper__item_is_dict(c);
    if (n > 1 || (dict ? !taper__item_is_dict(from) && !taper__item_is_sequence(from) : !taper__item_is_sequence(from)))
        return build_wrong(p, taper_item_kind_name(kind));
    for (int64_t i = 0; i < taper_item_count(from); i++) {
        if (!dict) {
            if (kind == TAPER_ITEM_SIZE && !build_is_int(from->items[i])) return build_wrong(p, "torch.Size");
            TAPER_TRY(taper_item_append(p->tree, c, from->items[i]));
        } else if (taper__item_is_dict(from)) {
            TAPER_TRY(taper_item_put(p->tree, c, from->items[2 * i], from->items[2 * i + 1]));
        } else { /* pairs, as old versions of Python wrote an OrderedDict */
            const taper_item *pair = from->items[i];
            if (!taper__item_is_sequence(pair) || pair->count != 2) return build_wrong(p, taper_item_kind_name(kind));
            TAPER_TRY(taper_item_put(p->tree, c, pair->items[0], pair->items[1]));
        }
    }
    return TAPER_OK;
}
#define BUILD_CONTAINER(name, kind)                                                                                    \
    static taper_status name(taper_pickle *p, taper_item **out, taper_item *const *args, int64_t n) {                  \
        return build_container(p, out, args, n, kind);                                                                 \
    }
BUILD_CONTAINER(build_ordered_dict, TAPER_ITEM_ORDERED_DICT)
BUILD_CONTAINER(build_counter, TAPER_ITEM_COUNTER)
BUILD_CONTAINER(build_size, TAPER_ITEM_SIZE)
BUILD_CONTAINER(build_set, TAPER_ITEM_SET)
BUILD_CONTAINER(build_frozen_set, TAPER_ITEM_FROZEN_SET)

/* encode(text, 'latin1'): how protocol 2 stores bytes. UTF-8 back to one byte per character. */
static taper_status build_encode(taper_pickle *p, taper_item **out, taper_item *const *args, int64_t n) {
    if (n < 1 || args[0]->kind != TAPER_ITEM_STRING ||
        (n > 1 &&
         (args[1]->kind != TAPER_ITEM_STRING || (strcmp(args[1]->text, "latin1") && strcmp(args[1]->text, "latin-1")))))
        return build_wrong(p, "_codecs.encode (only latin1)");
    const unsigned char *s = (const unsigned char *)args[0]->text, *end = s + args[0]->bytes;
    taper_item *b = *out = taper_tree_text(p->tree, TAPER_ITEM_BYTES, args[0]->text, args[0]->bytes);
    if (!b) return TAPER_MEMORY;
    unsigned char *to = (unsigned char *)b->text;
    size_t count = 0;
    while (s < end) {
        if (*s < 0x80)
            to[count++] = *s++;
        else if ((*s & 0xfe) == 0xc2 && end - s > 1 && (s[1] & 0xc0) == 0x80)
            to[count++] = (unsigned char)(s[0] << 6 | (s[1] & 0x3f)), s += 2;
        else
            return PICKLE_FAIL(p, TAPER_FORMAT, "a character outside latin1 in %zu bytes", args[0]->bytes);
    }
    to[count] = 0;
    b->bytes = count;
    return TAPER_OK;
}
static taper_status build_byte_array(taper_pickle *p, taper_item **out, taper_item *const *args, int64_t n) {
    if (n > 1 || (n == 1 && args[0]->kind != TAPER_ITEM_BYTES)) return build_wrong(p, "bytearray");
    *out = taper_tree_text(p->tree, TAPER_ITEM_BYTE_ARRAY, n ? args[0]->text : "", n ? args[0]->bytes : 0);
    return *out ? TAPER_OK : TAPER_MEMORY;
}
static taper_status build_device(taper_pickle *p, taper_item **out, taper_item *const *args, int64_t n) {
    char text[64];
    if (n < 1 || n > 2 || args[0]->kind != TAPER_ITEM_STRING || args[0]->bytes > 32 ||
        (n == 2 && !build_is_int(args[1])))
        return build_wrong(p, "torch.device");
    int length = n == 2 ? snprintf(text, sizeof text, "%s:%lld", args[0]->text, (long long)args[1]->integer)
                        : snprintf(text, sizeof text, "%s", args[0]->text);
    *out = taper_tree_text(p->tree, TAPER_ITEM_DEVICE, text, (size_t)length);
    return *out ? TAPER_OK : TAPER_MEMORY;
}
static taper_status build_not_callable(taper_pickle *p, taper_item **out, taper_item *const *args, int64_t n) {
    (void)out, (void)args;
    return PICKLE_FAIL(p, TAPER_TYPE, "a storage class called with %lld arguments", (long long)n);
}

static const build_global build_globals[] = {
    {"torch._utils", "_rebuild_tensor_v2", build_tensor},
    {"torch._utils", "_rebuild_tensor", build_tensor},
    {"torch._utils", "_rebuild_tensor_v3", build_tensor_v3},
    {"torch._utils", "_rebuild_parameter", build_parameter},
    {"torch._utils", "_rebuild_parameter_with_state", build_parameter},
    {"torch._tensor", "_rebuild_from_type_v2", build_from_type},
    {"torch", "Tensor", build_class},
    {"torch.nn.parameter", "Parameter", build_class},
    {"torch", "Size", build_size},
    {"torch", "device", build_device},
    {"collections", "OrderedDict", build_ordered_dict},
    {"collections", "Counter", build_counter},
    {"__builtin__", "set", build_set},
    {"builtins", "set", build_set},
    {"__builtin__", "frozenset", build_frozen_set},
    {"builtins", "frozenset", build_frozen_set},
    {"__builtin__", "bytearray", build_byte_array},
    {"builtins", "bytearray", build_byte_array},
    {"_codecs", "encode", build_encode},
    {"torch.storage", "UntypedStorage", build_not_callable},
    {"torch", "UntypedStorage", build_not_callable},
};
static const build_global *build_get(int64_t row) { return &build_globals[row]; }

static bool build_equal(const char *text, const char *s, size_t n) { return strlen(text) == n && !memcmp(text, s, n); }

/* Storage classes are a GLOBAL node with the dtype in `dtype`; the integer then points at UntypedStorage's row. */
static taper_status build_storage_class(taper_pickle *p, taper_item **out, taper_dtype dtype) {
    taper_item *n = *out = taper_tree_item(p->tree, (taper_item_kind)TREE_GLOBAL);
    if (!n) return TAPER_MEMORY;
    n->integer = TAPER_COUNT(build_globals) - 1;
    n->mark = 1 + (uintptr_t)dtype;
    return TAPER_OK;
}

taper_status taper__pickle_global(taper_pickle *p, taper_item **out, const char *module, size_t module_bytes,
                                  const char *name, size_t name_bytes) {
    if (build_equal("torch", module, module_bytes) || build_equal("torch.cuda", module, module_bytes)) {
        for (int d = 0; d < TAPER_DTYPE_COUNT; d++) {
            const char *type = taper_dtype_typename((taper_dtype)d);
            size_t bytes = strlen(type);
            if (name_bytes == bytes + 7 && !memcmp(name, type, bytes) && !memcmp(name + bytes, "Storage", 7))
                return build_storage_class(p, out, (taper_dtype)d);
            if (module_bytes == 5 && build_equal(taper_dtype_name((taper_dtype)d), name, name_bytes)) {
                *out = taper_tree_integer(p->tree, TAPER_ITEM_DTYPE, d);
                return *out ? TAPER_OK : TAPER_MEMORY;
            }
        }
    }
    for (int i = 0; i < TAPER_COUNT(build_globals); i++) {
        const build_global *g = &build_globals[i];
        if (!build_equal(g->module, module, module_bytes) || !build_equal(g->name, name, name_bytes)) continue;
        if (g->call == build_not_callable) return build_storage_class(p, out, TAPER_DTYPE_NONE);
        *out = taper_tree_integer(p->tree, (taper_item_kind)TREE_GLOBAL, i);
        return *out ? TAPER_OK : TAPER_MEMORY;
    }
    int m = module_bytes < 200 ? (int)module_bytes : 200, n = name_bytes < 200 ? (int)name_bytes : 200;
    return PICKLE_FAIL(
        p, TAPER_TYPE,
        "Unsupported global: GLOBAL %.*s.%.*s was not an allowed global by default. Files that need code to run "
        "are not loaded; save a state_dict (tensors, numbers, strings and containers) instead",
        m, module, n, name);
}

taper_status taper__pickle_reduce(taper_pickle *p, taper_item **out, taper_item *callable, taper_item *args) {
    if (callable->kind != TREE_GLOBAL || args->kind != TAPER_ITEM_TUPLE)
        return PICKLE_FAIL(p, TAPER_FORMAT, "a call of a %s with a %s",
                           taper_item_kind_name((taper_item_kind)callable->kind),
                           taper_item_kind_name((taper_item_kind)args->kind));
    return build_get(callable->integer)->call(p, out, args->items, args->count);
}

/* ('storage', class, key, location, elements[, view]) */
taper_status taper__pickle_persistent(taper_pickle *p, taper_item **out, taper_item *id) {
    taper_item **a = id->items;
    if (id->kind != TAPER_ITEM_TUPLE || id->count < 5 || a[0]->kind != TAPER_ITEM_STRING ||
        strcmp(a[0]->text, "storage") || a[1]->kind != TREE_GLOBAL || a[1]->mark == 0 ||
        a[2]->kind != TAPER_ITEM_STRING || a[3]->kind != TAPER_ITEM_STRING || !build_is_int(a[4]) ||
        (id->count > 5 && a[5]->kind != TAPER_ITEM_NONE))
        return PICKLE_FAIL(p, TAPER_FORMAT, "a persistent id that is not a storage (%s)",
                           taper_item_kind_name((taper_item_kind)id->kind));
    taper_dtype dtype = (taper_dtype)(a[1]->mark - 1);
    int64_t size = dtype == TAPER_DTYPE_NONE ? 1 : (int64_t)taper_dtype_size(dtype), bytes;
    if (a[4]->integer < 0 || __builtin_mul_overflow(a[4]->integer, size, &bytes))
        return PICKLE_FAIL(p, TAPER_FORMAT, "storage %.40s of %lld elements", a[2]->text, (long long)a[4]->integer);
    taper_tensor *t = NULL;
    /* untyped bytes may be seen as any type */
    TAPER_TRY(p->storage(p->ctx, a[2]->text, a[3]->text, bytes, dtype == TAPER_DTYPE_NONE ? 8 : (size_t)size, &t));
    taper_item *n = *out = taper_tree_tensor(p->tree, TAPER_ITEM_TENSOR, t);
    taper_tensor_release(t);
    if (!n) return TAPER_MEMORY;
    n->kind = TREE_STORAGE;
    n->numel = a[4]->integer;
    n->dtype = (uint8_t)dtype;
    return TAPER_OK;
}
