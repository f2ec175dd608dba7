/* The .pt form before PyTorch 1.6: pickles of a magic number, a version, the writer's sizes, the tree and the storage
 * keys, then each storage as a count of elements and its bytes. */
#include <stdlib.h>

#include "io/io.h"

typedef struct legacy_storage {
    char *key;
    taper_tensor *tensor;
    taper_device device;
    size_t bytes;
    bool filled;
} legacy_storage;

typedef struct legacy {
    const taper_load_options *options;
    legacy_storage *storages;
    size_t count, room, claimed, size;
} legacy;

static taper_status legacy_mention(void *ctx, const char *key, const char *location, int64_t bytes, size_t align,
                                   taper_tensor **out) {
    legacy *l = ctx;
    (void)align;
    for (size_t i = 0; i < l->count; i++)
        if (!strcmp(l->storages[i].key, key)) {
            if ((size_t)bytes != l->storages[i].bytes)
                return TAPER_FAIL(TAPER_FORMAT, "storage %.64s has %zu bytes and then %lld", key, l->storages[i].bytes,
                                  (long long)bytes);
            *out = taper_tensor_retain(l->storages[i].tensor);
            return TAPER_OK;
        }
    if ((size_t)bytes > l->size - l->claimed)
        return TAPER_FAIL(TAPER_FORMAT, "storage %.64s of %lld bytes in a file of %zu", key, (long long)bytes, l->size);
    if (l->count == l->room) {
        size_t room = 2 * l->room + 16;
        legacy_storage *storages = taper__realloc(l->storages, room * sizeof *storages);
        if (!storages) return TAPER_FAIL(TAPER_MEMORY, "no memory for %zu storages", room);
        l->storages = storages;
        l->room = room;
    }
    legacy_storage *s = &l->storages[l->count];
    *s = (legacy_storage){.bytes = (size_t)bytes};
    TAPER_TRY(taper__load_device(&s->device, location, l->options));
    s->key = taper__strdup(key);
    if (!s->key) return TAPER_FAIL(TAPER_MEMORY, "no memory for the key %.64s", key);
    l->count++;
    l->claimed += (size_t)bytes;
    TAPER_TRY(taper__tensor_empty(&s->tensor, TAPER_U8, s->device, 1, &bytes, "load"));
    *out = taper_tensor_retain(s->tensor);
    return TAPER_OK;
}

/* The element size is not in the file's tail: it follows from the bytes the tree asked for. */
static taper_status legacy_fill(legacy *l, const taper_source *s, size_t at, const taper_item *keys) {
    for (int64_t i = 0; i < taper_item_count(keys); i++) {
        const char *key = taper_item_text(keys->items[i], NULL);
        legacy_storage *found = NULL;
        for (size_t k = 0; key && k < l->count; k++)
            if (!strcmp(l->storages[k].key, key)) found = &l->storages[k];
        if (!found || found->filled)
            return TAPER_FAIL(TAPER_FORMAT, "byte %zu: the list of storages names %.64s, which %s", at,
                              key ? key : "no string", found ? "came before" : "no tensor uses");
        if (s->size - at < 8 || s->size - at - 8 < found->bytes)
            return TAPER_FAIL(TAPER_FORMAT, "byte %zu: the file ends inside storage %.64s of %zu bytes", at, key,
                              found->bytes);
        uint64_t n = io_little(s->data + at, 8);
        if (n > found->bytes || (n ? found->bytes % n || found->bytes / n > 8 : found->bytes))
            return TAPER_FAIL(TAPER_FORMAT, "byte %zu: storage %.64s of %llu elements, the tree says %zu bytes", at,
                              key, (unsigned long long)n, found->bytes);
        if (found->bytes && found->device.type != TAPER_META)
            TAPER_TRY(taper__memory_copy(taper__data(found->tensor), found->device, s->data + at + 8, taper_cpu(),
                                         found->bytes, false));
        found->filled = true;
        at += 8 + found->bytes;
    }
    for (size_t k = 0; k < l->count; k++)
        if (!l->storages[k].filled)
            return TAPER_FAIL(TAPER_FORMAT, "byte %zu: storage %.64s is missing", at, l->storages[k].key);
    return TAPER_OK;
}

static bool legacy_is_magic(const taper_item *n) {
    static const unsigned char magic[10] = {0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19};
    return n->kind == TAPER_ITEM_BIG_INT && n->bytes >= 10 && !memcmp(n->text, magic, 10);
}

taper_status taper__load_legacy(taper_tree **out, taper_source *s, const taper_load_options *options) {
    taper_status st = TAPER_OK;
    legacy l = {.options = options, .size = s->size};
    taper_tree *tree = NULL;
    taper_item *head[3] = {NULL, NULL, NULL}, *keys = NULL;
    TAPER_TRY_GOTO(taper_tree_new(&tree));
    tree->limit = 128 * s->size + (1 << 20);
    taper_pickle p = {.tree = tree, .data = s->data, .size = s->size, .storage = legacy_mention, .ctx = &l};
    for (int i = 0; i < 3; i++) {
        TAPER_TRY_GOTO(taper__pickle_read(&p, &head[i]));
        if (i == 0 && !legacy_is_magic(head[0])) {
            st = TAPER_FAIL(TAPER_FORMAT,
                            "byte 0: Invalid magic number; corrupt file? A plain pickle is not a file of torch.save");
            goto out;
        }
    }
    if (head[1]->kind != TAPER_ITEM_INT || head[1]->integer != 1001) {
        st = TAPER_FAIL(TAPER_FORMAT, "Invalid protocol version: %lld", (long long)taper_item_integer(head[1]));
        goto out;
    }
    const taper_item *little = taper_item_find(head[2], "little_endian");
    if (little && !taper_item_integer(little)) {
        st = TAPER_FAIL(TAPER_FORMAT, "only files written on little-endian machines can be read");
        goto out;
    }
    TAPER_TRY_GOTO(taper__pickle_read(&p, &tree->root));
    TAPER_TRY_GOTO(taper__tree_check(tree));
    TAPER_TRY_GOTO(taper__pickle_read(&p, &keys));
    if (keys->kind != TAPER_ITEM_LIST) {
        st = TAPER_FAIL(TAPER_FORMAT, "byte %zu: the list of storages is a %s", p.start,
                        taper_item_kind_name((taper_item_kind)keys->kind));
        goto out;
    }
    TAPER_TRY_GOTO(legacy_fill(&l, s, p.at, keys));
    tree->limit = 0;
    *out = tree;
    tree = NULL;
out:
    taper_tree_release(tree);
    for (size_t i = 0; i < l.count; i++) {
        taper__free(l.storages[i].key);
        taper_tensor_release(l.storages[i].tensor);
    }
    taper__free(l.storages);
    return st;
}
