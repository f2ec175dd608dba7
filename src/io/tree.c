/* Trees of nodes in chunks of memory that are freed at once. */
#include <stdlib.h>

#include "io/io.h"

struct taper_tree_chunk {
    taper_tree_chunk *next;
    size_t used, room;
    _Alignas(16) unsigned char bytes[];
};

taper_status taper_tree_new(taper_tree **out) {
    taper_error_clear();
    taper_tree *t = taper__alloc_zero(sizeof *t);
    if (!t) return TAPER_FAIL(TAPER_MEMORY, "tree: no memory for %zu bytes", sizeof *t);
    *out = t;
    return TAPER_OK;
}

void taper_tree_release(taper_tree *tree) {
    if (!tree) return;
    for (taper_item *n = tree->tensors; n; n = n->next_tensor) taper_tensor_release(n->tensor);
    for (taper_tree_chunk *c = tree->chunks, *next; c; c = next) {
        next = c->next;
        taper__free(c);
    }
    taper__free(tree);
}

void *taper__tree_alloc(taper_tree *tree, size_t bytes) {
    taper_tree_chunk *c = tree->chunks;
    if (bytes > SIZE_MAX / 4) goto fail;
    bytes = (bytes + 15) & ~(size_t)15;
    tree->used += bytes;
    if (tree->limit && tree->used > tree->limit) goto fail;
    if (!c || c->room - c->used < bytes) {
        size_t room = c ? 2 * c->room : 1 << 10;
        if (room > 1 << 20) room = 1 << 20;
        if (room < bytes) room = bytes;
        c = taper__alloc(sizeof *c + room);
        if (!c) goto fail;
        *c = (taper_tree_chunk){.next = tree->chunks, .room = room};
        tree->chunks = c;
    }
    void *p = c->bytes + c->used;
    c->used += bytes;
    return memset(p, 0, bytes);
fail:
    TAPER_FAIL(TAPER_MEMORY, "tree: no memory for %zu bytes beside the %zu in use%s", bytes, tree->used,
               tree->limit && tree->used > tree->limit ? " (the file describes more than its size allows)" : "");
    return NULL;
}

void taper_tree_set_root(taper_tree *tree, taper_item *root) { tree->root = root; }
taper_item *taper_tree_root(const taper_tree *tree) { return tree->root; }

taper_item *taper_tree_item(taper_tree *tree, taper_item_kind kind) {
    taper_item *n = taper__tree_alloc(tree, sizeof *n);
    if (n) n->kind = (uint8_t)kind;
    return n;
}
taper_item *taper_tree_integer(taper_tree *tree, taper_item_kind kind, int64_t value) {
    taper_item *n = taper_tree_item(tree, kind);
    if (n) n->integer = value;
    return n;
}
taper_item *taper_tree_float(taper_tree *tree, double value) {
    taper_item *n = taper_tree_item(tree, TAPER_ITEM_FLOAT);
    if (n) n->number = value;
    return n;
}
taper_item *taper_tree_text(taper_tree *tree, taper_item_kind kind, const char *text, size_t bytes) {
    taper_item *n = taper_tree_item(tree, kind);
    char *copy = n ? taper__tree_alloc(tree, bytes + 1) : NULL;
    if (!copy) return NULL;
    if (bytes) memcpy(copy, text, bytes);
    n->text = copy;
    n->bytes = bytes;
    return n;
}
taper_item *taper_tree_tensor(taper_tree *tree, taper_item_kind kind, taper_tensor *tensor) {
    taper_item *n = taper_tree_item(tree, kind);
    if (!n) return NULL;
    n->tensor = taper_tensor_retain(tensor);
    n->next_tensor = tree->tensors;
    tree->tensors = n;
    return n;
}

static taper_status tree_grow(taper_tree *tree, taper_item *n, taper_item *item) {
    if (n->count == n->room) {
        int64_t room = n->room ? 2 * n->room : 4;
        taper_item **items = taper__tree_alloc(tree, (size_t)room * sizeof *items);
        if (!items) return TAPER_MEMORY;
        if (n->count) memcpy(items, n->items, (size_t)n->count * sizeof *items);
        n->items = items;
        n->room = room;
    }
    n->items[n->count++] = item;
    return TAPER_OK;
}

bool taper__item_is_dict(const taper_item *n) {
    return n->kind == TAPER_ITEM_DICT || n->kind == TAPER_ITEM_ORDERED_DICT || n->kind == TAPER_ITEM_COUNTER;
}
bool taper__item_is_sequence(const taper_item *n) {
    return n->kind >= TAPER_ITEM_LIST && n->kind <= TAPER_ITEM_FROZEN_SET;
}

taper_status taper_item_append(taper_tree *tree, taper_item *container, taper_item *item) {
    if (!container || !item) return TAPER_MEMORY; /* a failed constructor, its message still set */
    if (!taper__item_is_sequence(container))
        return TAPER_FAIL(TAPER_TYPE, "node_append: a %s has no items",
                          taper_item_kind_name((taper_item_kind)container->kind));
    return tree_grow(tree, container, item);
}
taper_status taper_item_put(taper_tree *tree, taper_item *dict, taper_item *key, taper_item *value) {
    if (!dict || !key || !value) return TAPER_MEMORY;
    if (!taper__item_is_dict(dict))
        return TAPER_FAIL(TAPER_TYPE, "node_put: a %s has no keys", taper_item_kind_name((taper_item_kind)dict->kind));
    TAPER_TRY(tree_grow(tree, dict, key));
    return tree_grow(tree, dict, value); /* room is even: the second never needs memory */
}
void taper_item_set_state(taper_item *node, taper_item *state) { node->state = state; }

taper_item_kind taper_item_get_kind(const taper_item *n) { return (taper_item_kind)n->kind; }
const char *taper_item_kind_name(taper_item_kind kind) {
    static const char *const names[] = {
        "None",   "bool",      "int",         "int",          "float",     "str",      "bytes",       "bytearray",
        "list",   "tuple",     "torch.Size",  "set",          "frozenset", "dict",     "OrderedDict", "Counter",
        "Tensor", "Parameter", "torch.dtype", "torch.device", "mark",      "function", "storage"};
    return (unsigned)kind < (unsigned)TAPER_COUNT(names) ? names[kind] : "unknown";
}
int64_t taper_item_integer(const taper_item *n) {
    return n->kind == TAPER_ITEM_BOOL || n->kind == TAPER_ITEM_INT || n->kind == TAPER_ITEM_DTYPE ? n->integer : 0;
}
double taper_item_number(const taper_item *n) {
    if (n->kind == TAPER_ITEM_FLOAT) return n->number;
    return n->kind == TAPER_ITEM_BOOL || n->kind == TAPER_ITEM_INT ? (double)n->integer : 0;
}
const char *taper_item_text(const taper_item *n, size_t *bytes) {
    bool text = (n->kind >= TAPER_ITEM_STRING && n->kind <= TAPER_ITEM_BYTE_ARRAY) || n->kind == TAPER_ITEM_BIG_INT ||
                n->kind == TAPER_ITEM_DEVICE;
    if (bytes) *bytes = text ? n->bytes : 0;
    return text ? n->text : NULL;
}
taper_tensor *taper_item_tensor(const taper_item *n) {
    return n->kind == TAPER_ITEM_TENSOR || n->kind == TAPER_ITEM_PARAMETER ? n->tensor : NULL;
}
int64_t taper_item_count(const taper_item *n) {
    return taper__item_is_dict(n) ? n->count / 2 : taper__item_is_sequence(n) ? n->count : 0;
}
taper_item *taper_item_at(const taper_item *n, int64_t i) {
    if (i < 0 || i >= taper_item_count(n)) return NULL;
    return n->items[taper__item_is_dict(n) ? 2 * i + 1 : i];
}
taper_item *taper_item_key(const taper_item *n, int64_t i) {
    return taper__item_is_dict(n) && i >= 0 && i < n->count / 2 ? n->items[2 * i] : NULL;
}
taper_item *taper_item_find(const taper_item *n, const char *key) {
    size_t bytes = strlen(key);
    for (int64_t i = taper_item_count(n) - 1; taper__item_is_dict(n) && i >= 0;
         i--) { /* the last of equal keys counts */
        const taper_item *k = n->items[2 * i];
        if (k->kind == TAPER_ITEM_STRING && k->bytes == bytes && !memcmp(k->text, key, bytes))
            return n->items[2 * i + 1];
    }
    return NULL;
}
taper_item *taper_item_state(const taper_item *n) { return n->state; }
uintptr_t taper_item_mark(const taper_item *n) { return n->mark; }
void taper_item_set_mark(taper_item *n, uintptr_t mark) { n->mark = mark; }

/* Child i of any node, its state last; NULL behind the end. */
static taper_item *tree_child(const taper_item *n, int64_t i) {
    int64_t count = taper__item_is_dict(n) || taper__item_is_sequence(n) ? n->count : 0;
    return i < count ? n->items[i] : i == count ? n->state : NULL;
}

/* Depth first with an explicit stack that cannot pass the height limit. */
taper_status taper__tree_check(taper_tree *tree) {
    struct {
        taper_item *node;
        int64_t next;
    } stack[TAPER_TREE_HEIGHT];
    int depth = 0;
    uint32_t open = tree->walks + 1, done = tree->walks + 2;
    tree->walks += 2;
    if (!tree->root) return TAPER_FAIL(TAPER_VALUE, "tree: there is no root");
    stack[depth].node = tree->root, stack[depth++].next = 0;
    tree->root->walk = open;
    tree->root->height = 0;
    while (depth > 0) {
        taper_item *n = stack[depth - 1].node, *child = tree_child(n, stack[depth - 1].next++);
        if (n->kind >= TAPER_ITEM_KIND_COUNT)
            return TAPER_FAIL(TAPER_TYPE, "tree: a %s outside a tensor is not supported",
                              taper_item_kind_name((taper_item_kind)n->kind));
        if (child && child->walk == open)
            return TAPER_FAIL(TAPER_FORMAT, "tree: a container that contains itself is not supported");
        if (!child) {
            n->walk = done;
            depth--;
            if (depth > 0 && stack[depth - 1].node->height <= n->height) stack[depth - 1].node->height = n->height + 1;
        } else if (child->walk == done) {
            if (n->height <= child->height) n->height = child->height + 1;
        } else {
            if (depth == TAPER_TREE_HEIGHT)
                return TAPER_FAIL(TAPER_FORMAT, "tree: containers nested deeper than %d", TAPER_TREE_HEIGHT);
            child->walk = open;
            child->height = 0;
            stack[depth].node = child, stack[depth++].next = 0;
        }
        if (n->height >= TAPER_TREE_HEIGHT)
            return TAPER_FAIL(TAPER_FORMAT, "tree: containers nested deeper than %d", TAPER_TREE_HEIGHT);
    }
    return TAPER_OK;
}
