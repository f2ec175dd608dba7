/* The .pt zip: <folder>/data.pkl is the tree, <folder>/data/<key> the bytes of each storage. */
#include <stdio.h>

#include "io/io.h"

typedef struct checkpoint {
    taper_zip zip;
    const taper_load_options *options;
    const char *folder; /* ends with '/'; not ended by 0 */
    size_t folder_bytes;
} checkpoint;

static taper_zip_entry *checkpoint_find(checkpoint *c, const char *name) {
    char full[1024];
    int n = snprintf(full, sizeof full, "%.*s%s", (int)c->folder_bytes, c->folder, name);
    return n > 0 && n < (int)sizeof full ? taper__zip_find(&c->zip, full, (size_t)n) : NULL;
}

static taper_status checkpoint_storage(void *ctx, const char *key, const char *location, int64_t bytes, size_t align,
                                       taper_tensor **out) {
    checkpoint *c = ctx;
    char name[300];
    snprintf(name, sizeof name, "data/%.256s", key);
    taper_zip_entry *e = checkpoint_find(c, name);
    if (!e)
        return TAPER_FAIL(TAPER_FORMAT, "zip archive: the pickle names storage %.64s, but there is no entry %.64s", key,
                          name);
    TAPER_TRY(taper__zip_check(&c->zip, e, !c->options->no_verify));
    if ((uint64_t)bytes > e->size)
        return TAPER_FAIL(TAPER_FORMAT, "zip archive, byte %zu: entry %.64s has %zu bytes, the pickle says %lld",
                          e->offset, name, e->size, (long long)bytes);
    taper_device device;
    TAPER_TRY(taper__load_device(&device, location, c->options));
    /* A second mention may ask for a wider element than the first was aligned for. */
    bool fits = e->tensor && (device.type != TAPER_CPU || (uintptr_t)taper__data(e->tensor) % align == 0);
    if (!fits && e->tensor) align = 8, taper_tensor_release(e->tensor), e->tensor = NULL;
    if (!fits) TAPER_TRY(taper__source_tensor(&e->tensor, c->zip.source, e->offset, e->size, device, align));
    *out = taper_tensor_retain(e->tensor);
    return TAPER_OK;
}

/* The one entry <folder>/data.pkl. */
static taper_zip_entry *checkpoint_pickle(checkpoint *c) {
    static const char tail[] = "/data.pkl";
    for (size_t i = 0; i < c->zip.count; i++) {
        taper_zip_entry *e = &c->zip.entries[i];
        size_t n = sizeof tail - 1;
        if (e->name_bytes <= n || memcmp(e->name + e->name_bytes - n, tail, n) ||
            memchr(e->name, '/', e->name_bytes - n))
            continue;
        c->folder = e->name;
        c->folder_bytes = e->name_bytes - n + 1;
        return e;
    }
    return NULL;
}

taper_status taper__load_zip(taper_tree **out, taper_source *s, const taper_load_options *options) {
    taper_status st = TAPER_OK;
    checkpoint c = {.options = options};
    taper_tree *tree = NULL;
    TAPER_TRY(taper__zip_open(&c.zip, s));
    taper_zip_entry *e = checkpoint_pickle(&c), *order;
    if (!e) {
        st = TAPER_FAIL(TAPER_FORMAT, "zip archive: no entry <folder>/data.pkl among %zu: not a file of torch.save%s",
                        c.zip.count, taper__zip_find(&c.zip, "constants.pkl", 13) ? " (a TorchScript archive?)" : "");
        goto out;
    }
    order = checkpoint_find(&c, "byteorder");
    if (order && !(order->size == 6 && !memcmp(s->data + order->offset, "little", 6))) {
        st = TAPER_FAIL(TAPER_FORMAT, "zip archive, byte %zu: only files written on little-endian machines can be read",
                        order->offset);
        goto out;
    }
    TAPER_TRY_GOTO(taper__zip_check(&c.zip, e, !options->no_verify));
    TAPER_TRY_GOTO(taper_tree_new(&tree));
    tree->limit = 128 * e->size + (1 << 20);
    taper_pickle p = {.tree = tree,
                      .data = s->data + e->offset,
                      .size = e->size,
                      .file_offset = e->offset,
                      .storage = checkpoint_storage,
                      .ctx = &c};
    TAPER_TRY_GOTO(taper__pickle_read(&p, &tree->root));
    TAPER_TRY_GOTO(taper__tree_check(tree));
    tree->limit = 0;
    *out = tree;
    tree = NULL;
out:
    taper_tree_release(tree);
    taper__zip_close(&c.zip);
    return st;
}

static taper_status checkpoint_add_storage(taper_zip_writer *zip, const char *name, const taper_tensor *t) {
    const taper_storage *s = t->storage;
    if (s->device.type == TAPER_CPU) return taper__zip_add(zip, name, s->data, s->bytes);
    void *host = taper__alloc(s->bytes);
    if (!host)
        return TAPER_FAIL(TAPER_MEMORY, "save: no host memory for %zu bytes of %s", s->bytes,
                          taper__device_text(s->device).s);
    taper_status st = taper__memory_copy(host, taper_cpu(), s->data, s->device, s->bytes, false);
    if (st == TAPER_OK) st = taper__zip_add(zip, name, host, s->bytes);
    taper__free(host);
    return st;
}

static taper_status checkpoint_write(taper_sink *sink, const taper_tree *tree) {
    taper_status st = TAPER_OK;
    taper_bytes pickle = {0};
    taper_storages storages = {0};
    taper_zip_writer zip = {.sink = sink};
    char name[64];
    TAPER_TRY_GOTO(taper__pickle_write(&pickle, &storages, tree));
    TAPER_TRY_GOTO(taper__zip_add(&zip, "archive/data.pkl", pickle.data, pickle.size));
    TAPER_TRY_GOTO(taper__zip_add(&zip, "archive/byteorder", "little", 6));
    for (int64_t i = 0; i < storages.count; i++) {
        snprintf(name, sizeof name, "archive/data/%lld", (long long)i);
        TAPER_TRY_GOTO(checkpoint_add_storage(&zip, name, storages.tensors[i]));
    }
    TAPER_TRY_GOTO(taper__zip_add(&zip, "archive/version", "3\n", 2));
    TAPER_TRY_GOTO(taper__zip_finish(&zip));
out:
    taper__zip_writer_free(&zip);
    taper__free(storages.tensors);
    taper__free(pickle.data);
    return st;
}

taper_status taper_save_pt(const char *path, const taper_tree *tree) {
    taper_sink sink;
    taper_error_clear();
    TAPER_TRY(taper__sink_open(&sink, path));
    return taper__sink_close(&sink, checkpoint_write(&sink, tree));
}

taper_status taper_save_pt_to(taper_write_fn write, void *ctx, const taper_tree *tree) {
    taper_sink sink;
    taper_error_clear();
    TAPER_TRY(taper__sink_function(&sink, write, ctx));
    return taper__sink_close(&sink, checkpoint_write(&sink, tree));
}
