/* A tree as a pickle of protocol 2, in the words torch.load(weights_only=True) accepts. Nodes met twice are written
 * once and recalled from the memo. Depth is bounded by taper__tree_check. */
#include <stdio.h>

#include "io/io.h"

typedef struct pickle_writer {
    taper_bytes *out;
    taper_storages *storages;
    uint32_t save, memo; /* this save's number; entries so far */
    struct {
        const char *text;
        uint32_t memo;
    } globals[32];
    int global_count;
    int64_t *slots, slot_count; /* hash of storages: their key + 1, or 0; at most half full */
} pickle_writer;

taper_status taper__bytes_add(taper_bytes *b, const void *data, size_t n) {
    if (n > b->room - b->size) {
        size_t room = 2 * b->room + n + 256;
        unsigned char *p = taper__realloc(b->data, room);
        if (!p) return TAPER_FAIL(TAPER_MEMORY, "save: no memory for %zu bytes", room);
        b->data = p;
        b->room = room;
    }
    if (n) memcpy(b->data + b->size, data, n);
    b->size += n;
    return TAPER_OK;
}

static taper_status write_op(pickle_writer *w, char op) { return taper__bytes_add(w->out, &op, 1); }
static taper_status write_op_number(pickle_writer *w, char op, uint64_t v, int bytes) {
    unsigned char b[9] = {(unsigned char)op};
    for (int i = 0; i < bytes; i++) b[1 + i] = (unsigned char)(v >> (8 * i));
    return taper__bytes_add(w->out, b, 1 + (size_t)bytes);
}
static taper_status write_remember(pickle_writer *w, uint32_t *memo) {
    *memo = w->memo++;
    return *memo < 256 ? write_op_number(w, 'q', *memo, 1) : write_op_number(w, 'r', *memo, 4);
}
static taper_status write_recall(pickle_writer *w, uint32_t memo) {
    return memo < 256 ? write_op_number(w, 'h', memo, 1) : write_op_number(w, 'j', memo, 4);
}

/* text: "module\nname\n", a string constant: its address is its identity. */
static taper_status write_global(pickle_writer *w, const char *text) {
    for (int i = 0; i < w->global_count; i++)
        if (w->globals[i].text == text) return write_recall(w, w->globals[i].memo);
    TAPER_TRY(write_op(w, 'c'));
    TAPER_TRY(taper__bytes_add(w->out, text, strlen(text)));
    if (w->global_count == TAPER_COUNT(w->globals)) return TAPER_OK;
    w->globals[w->global_count].text = text;
    return write_remember(w, &w->globals[w->global_count++].memo);
}
static const char write_ordered_dict[] = "collections\nOrderedDict\n",
                  write_tensor_v2[] = "torch._utils\n_rebuild_tensor_v2\n", write_set[] = "__builtin__\nset\n",
                  write_frozen_set[] = "__builtin__\nfrozenset\n";

static taper_status write_int(pickle_writer *w, int64_t v) {
    if (v >= 0 && v < 256) return write_op_number(w, 'K', (uint64_t)v, 1);
    if (v >= 0 && v < 65536) return write_op_number(w, 'M', (uint64_t)v, 2);
    if (v >= INT32_MIN && v <= INT32_MAX) return write_op_number(w, 'J', (uint64_t)v, 4);
    TAPER_TRY(write_op_number(w, (char)0x8a, 8, 1));
    return taper__bytes_add(w->out, &v, 8);
}
static taper_status write_text(pickle_writer *w, const char *text, size_t n) {
    if (n > UINT32_MAX) return TAPER_FAIL(TAPER_VALUE, "save: a string of %zu bytes is too long for the format", n);
    TAPER_TRY(write_op_number(w, 'X', n, 4));
    return taper__bytes_add(w->out, text, n);
}
static taper_status write_word(pickle_writer *w, const char *word) { return write_text(w, word, strlen(word)); }

/* Bytes travel as a latin1 string: those above 127 take two in UTF-8. */
static taper_status write_bytes(pickle_writer *w, const char *text, size_t n) {
    size_t high = 0;
    for (size_t i = 0; i < n; i++) high += (unsigned char)text[i] >> 7;
    if (n + high > UINT32_MAX) return TAPER_FAIL(TAPER_VALUE, "save: %zu bytes are too long for the format", n);
    TAPER_TRY(write_global(w, "_codecs\nencode\n"));
    TAPER_TRY(write_op_number(w, 'X', n + high, 4));
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)text[i],
                      pair[2] = {(unsigned char)(0xc0 | c >> 6), (unsigned char)(0x80 | (c & 0x3f))};
        TAPER_TRY(c < 128 ? taper__bytes_add(w->out, &c, 1) : taper__bytes_add(w->out, pair, 2));
    }
    TAPER_TRY(write_word(w, "latin1"));
    return taper__bytes_add(w->out, "\x86R", 2);
}

static const char *const write_storage_globals[TAPER_DTYPE_COUNT] = {
#define WRITE_STORAGE(name, text, bytes, kind, typename, ...) [TAPER_##name] = "torch\n" typename "Storage\n",
    TAPER_DTYPE_MAP(WRITE_STORAGE)
#undef WRITE_STORAGE
};
static bool write_is_untyped(taper_dtype d) {
    return d == TAPER_F8_E4M3 || d == TAPER_F8_E5M2;
} /* newer than the classes */

static const char *const write_dtype_globals[TAPER_DTYPE_COUNT] = {
#define WRITE_DTYPE(name, text, ...) [TAPER_##name] = "torch\n" text "\n",
    TAPER_DTYPE_MAP(WRITE_DTYPE)
#undef WRITE_DTYPE
};

static int64_t *write_slot(const pickle_writer *w, const taper_storage *storage) {
    uint64_t at = ((uintptr_t)storage >> 4) * UINT64_C(0x9e3779b97f4a7c15) >> 20;
    for (;; at++) {
        int64_t *slot = &w->slots[at & (uint64_t)(w->slot_count - 1)];
        if (!*slot || w->storages->tensors[*slot - 1]->storage == storage) return slot;
    }
}

static taper_status write_grow(pickle_writer *w) {
    taper_storages *s = w->storages;
    int64_t room = s->room ? 2 * s->room : 16;
    const taper_tensor **tensors = taper__realloc(s->tensors, (size_t)room * sizeof *tensors);
    if (tensors) s->tensors = tensors;
    int64_t *slots = tensors ? taper__alloc_zero((size_t)room * 2 * sizeof *slots) : NULL;
    if (!slots) return TAPER_FAIL(TAPER_MEMORY, "save: no memory for %lld storages", (long long)room);
    taper__free(w->slots);
    w->slots = slots;
    w->slot_count = 2 * room;
    s->room = room;
    for (int64_t i = 0; i < s->count; i++) *write_slot(w, s->tensors[i]->storage) = i + 1;
    return TAPER_OK;
}

static taper_status write_storage(pickle_writer *w, const taper_tensor *t) {
    taper_storages *s = w->storages;
    char text[24];
    if (s->count == s->room) TAPER_TRY(write_grow(w));
    int64_t *slot = write_slot(w, t->storage);
    if (!*slot) {
        s->tensors[s->count++] = t;
        *slot = s->count;
    }
    int64_t key = *slot - 1;
    taper_dtype dtype = (taper_dtype)t->dtype;
    bool untyped = write_is_untyped(dtype);
    TAPER_TRY(write_op(w, '('));
    TAPER_TRY(write_word(w, "storage"));
    TAPER_TRY(write_global(w, untyped ? "torch.storage\nUntypedStorage\n" : write_storage_globals[dtype]));
    snprintf(text, sizeof text, "%lld", (long long)key);
    TAPER_TRY(write_word(w, text));
    TAPER_TRY(write_word(w, taper__device_text(t->device).s));
    TAPER_TRY(write_int(w, (int64_t)(t->storage->bytes / (untyped ? 1 : taper_dtype_size(dtype)))));
    return taper__bytes_add(w->out, "tQ", 2);
}

static taper_status write_sizes(pickle_writer *w, int n, const int64_t *v) {
    TAPER_TRY(write_op(w, '('));
    for (int i = 0; i < n; i++) TAPER_TRY(write_int(w, v[i]));
    return write_op(w, 't');
}
static taper_status write_hooks(pickle_writer *w) {
    TAPER_TRY(write_global(w, write_ordered_dict));
    return taper__bytes_add(w->out, ")R", 2);
}
static taper_status write_flag(pickle_writer *w, bool v) { return write_op(w, (char)(v ? 0x88 : 0x89)); }

/* The argument tuple of _rebuild_tensor_v2 or _v3. */
static taper_status write_tensor_args(pickle_writer *w, const taper_tensor *t, bool requires_grad) {
    TAPER_TRY(write_op(w, '('));
    TAPER_TRY(write_storage(w, t));
    TAPER_TRY(write_int(w, t->offset));
    TAPER_TRY(write_sizes(w, t->ndim, t->shape));
    TAPER_TRY(write_sizes(w, t->ndim, t->strides));
    TAPER_TRY(write_flag(w, requires_grad));
    TAPER_TRY(write_hooks(w));
    if (write_is_untyped((taper_dtype)t->dtype)) TAPER_TRY(write_global(w, write_dtype_globals[t->dtype]));
    return write_op(w, 't');
}

static taper_status write_node(pickle_writer *w, taper_item *n);

static taper_status write_tensor(pickle_writer *w, const taper_item *n) {
    const taper_tensor *t = n->tensor;
    if (!t->storage) return TAPER_FAIL(TAPER_NOT_IMPLEMENTED, "save: %s has no data to save", TAPER_TEXT(t));
    const char *rebuild =
        write_is_untyped((taper_dtype)t->dtype) ? "torch._utils\n_rebuild_tensor_v3\n" : write_tensor_v2;
    if (n->kind == TAPER_ITEM_PARAMETER) {
        TAPER_TRY(write_global(w, n->state ? "torch._utils\n_rebuild_parameter_with_state\n"
                                           : "torch._utils\n_rebuild_parameter\n"));
        TAPER_TRY(write_op(w, '('));
        TAPER_TRY(write_global(w, rebuild));
        TAPER_TRY(write_tensor_args(w, t, false));
        TAPER_TRY(write_op(w, 'R'));
        TAPER_TRY(write_flag(w, t->requires_grad));
        TAPER_TRY(write_hooks(w));
        if (n->state) TAPER_TRY(write_node(w, n->state));
        return taper__bytes_add(w->out, "tR", 2);
    }
    if (n->state) {
        TAPER_TRY(write_global(w, "torch._tensor\n_rebuild_from_type_v2\n"));
        TAPER_TRY(write_op(w, '('));
        TAPER_TRY(write_global(w, rebuild));
        TAPER_TRY(write_global(w, "torch\nTensor\n"));
        TAPER_TRY(write_tensor_args(w, t, t->requires_grad));
        TAPER_TRY(write_node(w, n->state));
        return taper__bytes_add(w->out, "tR", 2);
    }
    TAPER_TRY(write_global(w, rebuild));
    TAPER_TRY(write_tensor_args(w, t, t->requires_grad));
    return write_op(w, 'R');
}

static taper_status write_items(pickle_writer *w, const taper_item *n, const char *end) {
    if (n->count == 0 && end[0] != 't') return TAPER_OK;
    TAPER_TRY(write_op(w, '('));
    for (int64_t i = 0; i < n->count; i++) TAPER_TRY(write_node(w, n->items[i]));
    return write_op(w, end[0]);
}

static taper_status write_device(pickle_writer *w, const taper_item *n) {
    const char *colon = memchr(n->text, ':', n->bytes);
    TAPER_TRY(write_global(w, "torch\ndevice\n"));
    TAPER_TRY(write_op(w, '('));
    TAPER_TRY(write_text(w, n->text, colon ? (size_t)(colon - n->text) : n->bytes));
    if (colon) {
        int64_t index = 0;
        for (colon++; *colon >= '0' && *colon <= '9' && index < 1000000; colon++) index = 10 * index + *colon - '0';
        TAPER_TRY(write_int(w, index));
    }
    return taper__bytes_add(w->out, "tR", 2);
}

/* The value without its place in the memo. *early: the memo entry was already made, before the contents. */
static taper_status write_value(pickle_writer *w, taper_item *n, bool *early) {
    uint64_t bits = 0;
    switch ((int)n->kind) {
    case TAPER_ITEM_NONE:
        return write_op(w, 'N');
    case TAPER_ITEM_BOOL:
        return write_flag(w, n->integer != 0);
    case TAPER_ITEM_INT:
        return write_int(w, n->integer);
    case TAPER_ITEM_BIG_INT:
        TAPER_TRY(n->bytes < 256 ? write_op_number(w, (char)0x8a, n->bytes, 1)
                                 : write_op_number(w, (char)0x8b, n->bytes, 4));
        return taper__bytes_add(w->out, n->text, n->bytes);
    case TAPER_ITEM_FLOAT:
        for (int i = 0; i < 8; i++) bits = bits << 8 | ((const unsigned char *)&n->number)[i];
        return write_op_number(w, 'G', bits, 8);
    case TAPER_ITEM_STRING:
        return write_text(w, n->text, n->bytes);
    case TAPER_ITEM_BYTES:
        return write_bytes(w, n->text, n->bytes);
    case TAPER_ITEM_BYTE_ARRAY:
        TAPER_TRY(write_global(w, "__builtin__\nbytearray\n"));
        TAPER_TRY(write_bytes(w, n->text, n->bytes));
        return taper__bytes_add(w->out, "\x85R", 2);
    case TAPER_ITEM_TUPLE:
        return n->count ? write_items(w, n, "t") : write_op(w, ')');
    case TAPER_ITEM_SIZE:
        TAPER_TRY(write_global(w, "torch\nSize\n"));
        TAPER_TRY(write_items(w, n, "t"));
        return taper__bytes_add(w->out, "\x85R", 2);
    case TAPER_ITEM_SET:
    case TAPER_ITEM_FROZEN_SET:
        TAPER_TRY(write_global(w, n->kind == TAPER_ITEM_SET ? write_set : write_frozen_set));
        TAPER_TRY(write_op(w, ']'));
        TAPER_TRY(write_items(w, n, "e"));
        return taper__bytes_add(w->out, "\x85R", 2);
    case TAPER_ITEM_COUNTER:
        TAPER_TRY(write_global(w, "collections\nCounter\n"));
        TAPER_TRY(write_op(w, '}'));
        TAPER_TRY(write_items(w, n, "u"));
        return taper__bytes_add(w->out, "\x85R", 2);
    case TAPER_ITEM_LIST:
    case TAPER_ITEM_DICT:
        TAPER_TRY(write_op(w, n->kind == TAPER_ITEM_LIST ? ']' : '}'));
        break;
    case TAPER_ITEM_ORDERED_DICT:
        TAPER_TRY(write_hooks(w));
        break;
    case TAPER_ITEM_TENSOR:
    case TAPER_ITEM_PARAMETER:
        return write_tensor(w, n);
    case TAPER_ITEM_DTYPE:
        if ((uint64_t)n->integer >= TAPER_DTYPE_COUNT)
            return TAPER_FAIL(TAPER_VALUE, "save: no dtype %lld", (long long)n->integer);
        return write_global(w, write_dtype_globals[n->integer]);
    case TAPER_ITEM_DEVICE:
        return write_device(w, n);
    default:
        return TAPER_FAIL(TAPER_TYPE, "save: a node of kind %d", n->kind);
    }
    *early = true;
    TAPER_TRY(write_remember(w, &n->memo));
    n->written = w->save;
    TAPER_TRY(write_items(w, n, n->kind == TAPER_ITEM_LIST ? "e" : "u"));
    if (!n->state || n->kind != TAPER_ITEM_ORDERED_DICT) return TAPER_OK;
    TAPER_TRY(write_node(w, n->state));
    return write_op(w, 'b');
}

static taper_status write_node(pickle_writer *w, taper_item *n) {
    bool early = false, small = n->kind <= TAPER_ITEM_FLOAT || n->kind == TAPER_ITEM_DTYPE;
    if (n->written == w->save) return write_recall(w, n->memo);
    TAPER_TRY(write_value(w, n, &early));
    if (small || early) return TAPER_OK;
    n->written = w->save;
    return write_remember(w, &n->memo);
}

taper_status taper__pickle_write(taper_bytes *out, taper_storages *storages, const taper_tree *tree) {
    TAPER_TRY(taper__tree_check((taper_tree *)tree));
    pickle_writer w = {.out = out, .storages = storages, .save = tree->walks};
    taper_status st = taper__bytes_add(out, "\x80\x02", 2);
    if (st == TAPER_OK) st = write_node(&w, tree->root);
    if (st == TAPER_OK) st = write_op(&w, '.');
    taper__free(w.slots);
    return st;
}
