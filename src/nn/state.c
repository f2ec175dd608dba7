/* State dicts: a list of parameters and buffers as a safetensors or .pt file, and back. */
#include <taper/autograd.h>
#include <taper/io.h>
#include <taper/nn.h>
#include <taper/ops.h>

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/base.h"
#include "tensor/tensor.h"

static bool state_ends(const char *text, const char *end) {
    size_t n = strlen(text), m = strlen(end);
    return n >= m && !strcmp(text + n - m, end);
}

/* ---- saving ---- */

/* The ordered dictionary of tensors without gradients that torch's Module.state_dict gives. */
static taper_status state_save_pt(const taper_params *p, const char *path) {
    taper_tree *tree = NULL;
    taper_status status = taper_tree_new(&tree);
    taper_item *root = status == TAPER_OK ? taper_tree_item(tree, TAPER_ITEM_ORDERED_DICT) : NULL;
    if (status == TAPER_OK && !root) status = TAPER_MEMORY;
    for (int i = 0; i < p->count && status == TAPER_OK; i++) {
        taper_tensor *plain = NULL;
        status = taper_detach(&plain, p->tensors[i]);
        if (status != TAPER_OK) break;
        taper_item *key = taper_tree_text(tree, TAPER_ITEM_STRING, p->names[i], strlen(p->names[i]));
        taper_item *value = key ? taper_tree_tensor(tree, TAPER_ITEM_TENSOR, plain) : NULL;
        status = value ? taper_item_put(tree, root, key, value) : TAPER_MEMORY;
        taper_tensor_release(plain);
    }
    if (status == TAPER_OK) {
        taper_tree_set_root(tree, root);
        status = taper_save_pt(path, tree);
    }
    taper_tree_release(tree);
    return status;
}

taper_status taper_params_save(const taper_params *p, const char *path) {
    if (state_ends(path, ".pt") || state_ends(path, ".pth") || state_ends(path, ".bin")) return state_save_pt(p, path);
    return taper_save_safetensors(path, (const char *const *)p->names, p->tensors, p->count, NULL, NULL, 0);
}

/* ---- loading ---- */

/* Sentences of an error message; what does not fit is left out. */
typedef struct state_text {
    char s[1100];
    size_t used;
    int names, shown;
} state_text;

static void state_say(state_text *t, const char *format, ...) {
    va_list ap;
    va_start(ap, format);
    int n = vsnprintf(t->s + t->used, sizeof t->s - t->used, format, ap);
    va_end(ap);
    t->used += (size_t)n;
    if (t->used >= sizeof t->s) t->used = sizeof t->s - 1;
}

/* One more name of a list. */
static void state_say_name(state_text *t, const char *name) {
    t->names++;
    if (t->used + strlen(name) + 32 > sizeof t->s) return;
    state_say(t, "%s\"%s\"", t->shown++ ? ", " : "", name);
}

static void state_say_end(state_text *t) {
    if (t->shown < t->names) state_say(t, " and %d more", t->names - t->shown);
    if (t->names) state_say(t, ".");
}

static bool state_is_dict(const taper_item *item) {
    taper_item_kind kind = taper_item_get_kind(item);
    return kind == TAPER_ITEM_DICT || kind == TAPER_ITEM_ORDERED_DICT;
}

static taper_status state_dict(const taper_item **out, const taper_tree *tree, const char *path) {
    static const char *const inner[] = {"state_dict", "model", "model_state_dict"};
    const taper_item *root = taper_tree_root(tree);
    if (!root || !state_is_dict(root))
        return TAPER_FAIL(TAPER_TYPE, "params: %s holds a %s, need a dictionary of tensors", path,
                          root ? taper_item_kind_name(taper_item_get_kind(root)) : "nothing");
    for (int i = 0; i < TAPER_COUNT(inner); i++) {
        const taper_item *item = taper_item_find(root, inner[i]);
        if (item && state_is_dict(item)) root = item;
    }
    *out = root;
    return TAPER_OK;
}

static taper_tensor *state_tensor(const taper_item *dict, const char *name) {
    const taper_item *item = taper_item_find(dict, name);
    return item ? taper_item_tensor(item) : NULL;
}

static bool state_same_shape(const taper_tensor *a, const taper_tensor *b) {
    return a->ndim == b->ndim && !memcmp(a->shape, b->shape, sizeof *a->shape * a->ndim);
}

/* Compares names and shapes before anything is written. */
static taper_status state_check(const taper_params *p, const taper_item *dict, const char *path, bool strict, int *missing,
                                int *unexpected) {
    state_text lack = {.used = 0}, extra = {.used = 0}, shapes = {.used = 0};
    for (int i = 0; i < p->count; i++) {
        const taper_tensor *from = state_tensor(dict, p->names[i]), *to = p->tensors[i];
        if (!from) {
            if (!state_ends(p->names[i], "num_batches_tracked")) state_say_name(&lack, p->names[i]);
        } else if (!state_same_shape(from, to)) {
            state_say(&shapes, "\n\tsize mismatch for %s: copying a param with shape torch.Size(%s) from checkpoint, ", p->names[i],
                      TAPER_SHAPE(from));
            state_say(&shapes, "the shape in current model is torch.Size(%s).", TAPER_SHAPE(to));
        }
    }
    for (int64_t i = 0; i < taper_item_count(dict); i++) {
        const char *name = taper_item_text(taper_item_key(dict, i), NULL);
        if (name && taper_item_tensor(taper_item_at(dict, i)) && !taper_params_find(p, name)) state_say_name(&extra, name);
    }
    *missing = lack.names;
    *unexpected = extra.names;
    bool names = strict && (lack.names || extra.names);
    if (!names && !shapes.used) return TAPER_OK;
    state_say_end(&lack);
    state_say_end(&extra);
    bool say_lack = strict && lack.names, say_extra = strict && extra.names;
    return TAPER_FAIL(names ? TAPER_KEY : TAPER_VALUE, "Error(s) in loading state_dict from %s:%s%s%s%s%s", path,
                      say_lack ? "\n\tMissing key(s) in state_dict: " : "", say_lack ? lack.s : "",
                      say_extra ? "\n\tUnexpected key(s) in state_dict: " : "", say_extra ? extra.s : "", shapes.s);
}

static taper_status state_copy(taper_tensor *to, taper_tensor *from) {
    taper_tensor *converted = NULL, *packed = NULL;
    taper_status status = taper_to(&converted, from, NULL, (taper_dtype)to->dtype, false, false);
    if (status == TAPER_OK) status = taper_contiguous(&packed, converted);
    if (status == TAPER_OK) {
        size_t bytes = (size_t)packed->numel * taper_dtype_size((taper_dtype)packed->dtype);
        status = taper_tensor_write(to, taper_tensor_data(packed), bytes);
    }
    taper_tensor_release(packed);
    taper_tensor_release(converted);
    return status;
}

static taper_status state_load(const taper_params *p, const char *path, bool strict, int *missing, int *unexpected) {
    taper_tree *tree = NULL;
    const taper_item *dict = NULL;
    taper_load_options options = TAPER_LOAD_OPTIONS;
    options.has_device = true; /* host memory: written from there to wherever the parameter lives */
    options.device = taper_cpu();
    bool was = taper_set_grad_enabled(false);
    taper_status status = taper_load(&tree, path, &options);
    if (status == TAPER_OK) status = state_dict(&dict, tree, path);
    if (status == TAPER_OK) status = state_check(p, dict, path, strict, missing, unexpected);
    for (int i = 0; i < p->count && status == TAPER_OK; i++) {
        taper_tensor *from = state_tensor(dict, p->names[i]);
        if (from) status = state_copy(p->tensors[i], from);
    }
    taper_set_grad_enabled(was);
    taper_tree_release(tree);
    return status;
}

taper_status taper_params_load(const taper_params *p, const char *path) {
    int missing, unexpected;
    return state_load(p, path, true, &missing, &unexpected);
}

taper_status taper_params_load_partial(const taper_params *p, const char *path, int *missing, int *unexpected) {
    int a = 0, b = 0;
    taper_status status = state_load(p, path, false, &a, &b);
    if (status == TAPER_OK && missing) *missing = a;
    if (status == TAPER_OK && unexpected) *unexpected = b;
    return status;
}
