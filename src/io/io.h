/* What the file readers and writers share. */
#ifndef TAPER_IO_IO_H
#define TAPER_IO_IO_H

#include <string.h>
#include <taper/io.h>

#include "base/base.h"
#include "tensor/tensor.h"

/* ---- crc.c ---- */
/* Continues a checksum; start with 0. */
uint32_t taper__crc32(uint32_t crc, const void *data, size_t n);  /* zip, PNG */
uint32_t taper__crc32c(uint32_t crc, const void *data, size_t n); /* TFRecord */

/* ---- source.c: the bytes of a file, shared by count with the tensors that look into them ---- */
typedef struct taper_source {
    _Atomic int refs;
    const unsigned char *data;
    size_t size;
    bool mapped, borrowed; /* borrowed: the caller's memory, gone after the load */
} taper_source;
taper_status taper__source_open(taper_source **out, const char *path, bool map);
taper_status taper__source_borrow(taper_source **out, const void *data, size_t size);
void taper__source_release(taper_source *s);
/* A uint8 vector of the bytes [offset, offset + bytes) on `device`: a look into the mapping where possible, else a
 * copy. align: of the elements that will be read from it. */
taper_status taper__source_tensor(taper_tensor **out, taper_source *s, size_t offset, size_t bytes, taper_device device,
                                  size_t align);
taper_status taper__load_device(taper_device *out, const char *location, const taper_load_options *options);

/* ---- sink.c: bytes out, to a file that replaces the old one at the end, or to a function ---- */
typedef struct taper_sink {
    int fd;
    char *path, *temporary; /* NULL for a function or a target that is not a plain file */
    bool unnamed;           /* the file has no name yet; `temporary` is room for one */
    taper_write_fn write;
    void *ctx;
    uint64_t offset; /* bytes so far */
    size_t held;
    unsigned char *buffer;
} taper_sink;
taper_status taper__sink_open(taper_sink *s, const char *path);
taper_status taper__sink_function(taper_sink *s, taper_write_fn write, void *ctx);
taper_status taper__sink_write(taper_sink *s, const void *data, size_t n);
/* On TAPER_OK so far: syncs, renames, syncs the folder. Else: removes what was written. Frees; returns the outcome. */
taper_status taper__sink_close(taper_sink *s, taper_status so_far);

/* ---- tree.c ---- */
/* Kinds that exist while a pickle is parsed and never in a finished tree. */
enum { TREE_MARK = TAPER_ITEM_KIND_COUNT, TREE_GLOBAL, TREE_STORAGE };

struct taper_item {
    uint8_t kind;
    int32_t height;         /* tree_check: containers below; and how far its walk has come */
    uint32_t walk, written; /* written: the save that gave it `memo` */
    uint32_t memo;
    union {
        int64_t integer;
        double number;
        struct {
            const char *text;
            size_t bytes;
        };
        struct {
            taper_item **items; /* dictionaries: key, value, key, value */
            int64_t count, room;
        };
        struct {
            taper_tensor *tensor;
            taper_item *next_tensor;
            int64_t numel; /* TREE_STORAGE: elements */
            uint8_t dtype; /* TREE_STORAGE: NONE when untyped */
        };
    };
    taper_item *state;
    uintptr_t mark;
};

typedef struct taper_tree_chunk taper_tree_chunk;
struct taper_tree {
    taper_item *root, *tensors;
    taper_tree_chunk *chunks;
    size_t used, limit; /* bytes; limit 0: none */
    uint32_t walks;     /* of tree_check so far: each writes its own two marks */
};
void *taper__tree_alloc(taper_tree *tree, size_t bytes); /* cleared; NULL with a message */
bool taper__item_is_dict(const taper_item *node);
bool taper__item_is_sequence(const taper_item *node);
/* Refuses cycles, towers of containers higher than TAPER_TREE_HEIGHT and nodes of the parse-time kinds. */
enum { TAPER_TREE_HEIGHT = 1000 };
taper_status taper__tree_check(taper_tree *tree);

/* ---- pickle_read.c, pickle_build.c, pickle_write.c ---- */
/* Gives the storage `key` (at least `bytes` long) as a uint8 vector; called on each mention. */
typedef taper_status (*taper_storage_fn)(void *ctx, const char *key, const char *location, int64_t bytes, size_t align,
                                         taper_tensor **out);
typedef struct taper_pickle {
    taper_tree *tree;
    const unsigned char *data;
    size_t size, at, start; /* start: of the opcode in work */
    size_t file_offset;     /* of data, for messages */
    taper_storage_fn storage;
    void *ctx;
    taper_item **stack, **memo;
    size_t depth, stack_room, memo_room, memo_count;
} taper_pickle;
/* One pickle from data[at]; `at` is moved behind it. *out is not checked by taper__tree_check yet. */
taper_status taper__pickle_read(taper_pickle *p, taper_item **out);
taper_status taper__pickle_global(taper_pickle *p, taper_item **out, const char *module, size_t module_bytes,
                                  const char *name, size_t name_bytes);
taper_status taper__pickle_reduce(taper_pickle *p, taper_item **out, taper_item *callable, taper_item *args);
taper_status taper__pickle_persistent(taper_pickle *p, taper_item **out, taper_item *id);
#define PICKLE_FAIL(p, status, format, ...)                                                                            \
    TAPER_FAIL(status, "pickle at byte %zu: " format, (p)->file_offset + (p)->start, __VA_ARGS__)

typedef struct taper_bytes {
    unsigned char *data;
    size_t size, room;
} taper_bytes;
taper_status taper__bytes_add(taper_bytes *b, const void *data, size_t n);
/* The pickle of a tree; *storages gets the storages in key order (borrowed from the tree's tensors). */
typedef struct taper_storages {
    const taper_tensor **tensors; /* the first tensor of each storage */
    int64_t count, room;
} taper_storages;
taper_status taper__pickle_write(taper_bytes *out, taper_storages *storages, const taper_tree *tree);

/* ---- zip_read.c, zip_write.c ---- */
typedef struct taper_zip_entry {
    const char *name; /* into the source, not ended by 0 */
    size_t name_bytes, size, offset;
    uint32_t crc;
    uint16_t method;
    bool verified;
    taper_tensor *tensor; /* owned */
} taper_zip_entry;
typedef struct taper_zip {
    taper_source *source;     /* borrowed */
    taper_zip_entry *entries; /* in order of their names */
    size_t count;
} taper_zip;
taper_status taper__zip_open(taper_zip *out, taper_source *source);
void taper__zip_close(taper_zip *z);
/* NULL when there is none. */
taper_zip_entry *taper__zip_find(taper_zip *z, const char *name, size_t bytes);
/* Refuses compressed entries and, with verify, wrong checksums. */
taper_status taper__zip_check(taper_zip *z, taper_zip_entry *e, bool verify);

typedef struct taper_zip_writer {
    taper_sink *sink;
    struct zip_record *records;
    size_t count, room;
} taper_zip_writer;
taper_status taper__zip_add(taper_zip_writer *w, const char *name, const void *data, size_t n);
taper_status taper__zip_finish(taper_zip_writer *w); /* central directory */
void taper__zip_writer_free(taper_zip_writer *w);

/* ---- the formats ---- */
const char *taper__safetensors_dtype(taper_dtype d); /* "F32" */
taper_status taper__load_safetensors(taper_tree **out, taper_source *s, const taper_load_options *options);
taper_status taper__load_zip(taper_tree **out, taper_source *s, const taper_load_options *options);
taper_status taper__load_legacy(taper_tree **out, taper_source *s, const taper_load_options *options);

static inline uint64_t io_little(const void *p, int bytes) {
    uint64_t v = 0;
    for (int i = bytes - 1; i >= 0; i--) v = v << 8 | ((const unsigned char *)p)[i];
    return v;
}

#endif
