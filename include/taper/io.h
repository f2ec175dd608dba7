/* Files: safetensors, PyTorch's .pt, TensorBoard events.
 *
 * What a file holds is a tree of nodes: dictionaries and lists, numbers and strings, tensors. A tree owns its nodes; node
 * pointers live as long as the tree. No reader can run code or build anything but these kinds. Loading maps the file and
 * lets CPU tensors look into the mapping (private: writing to them never reaches the file). Every writer writes a new
 * file beside the old one, syncs it and renames it: a save that is killed leaves the old file whole.
 */
#ifndef TAPER_IO_H
#define TAPER_IO_H

#include <taper/tensor.h>

TAPER_BEGIN

typedef struct taper_tree taper_tree;
typedef struct taper_item taper_item;

typedef enum taper_item_kind {
    TAPER_ITEM_NONE,
    TAPER_ITEM_BOOL,
    TAPER_ITEM_INT,
    TAPER_ITEM_BIG_INT, /* text: two's complement, little endian */
    TAPER_ITEM_FLOAT,
    TAPER_ITEM_STRING, /* text: UTF-8 */
    TAPER_ITEM_BYTES,
    TAPER_ITEM_BYTE_ARRAY,
    TAPER_ITEM_LIST,
    TAPER_ITEM_TUPLE,
    TAPER_ITEM_SIZE, /* torch.Size */
    TAPER_ITEM_SET,
    TAPER_ITEM_FROZEN_SET,
    TAPER_ITEM_DICT,
    TAPER_ITEM_ORDERED_DICT,
    TAPER_ITEM_COUNTER, /* collections.Counter */
    TAPER_ITEM_TENSOR,
    TAPER_ITEM_PARAMETER, /* a tensor that was a torch.nn.Parameter */
    TAPER_ITEM_DTYPE,     /* integer: a taper_dtype */
    TAPER_ITEM_DEVICE,    /* text: "cuda:0" */
    TAPER_ITEM_KIND_COUNT
} taper_item_kind;

/* ---- reading a tree ---- */
TAPER_API void taper_tree_release(taper_tree *tree); /* NULL is a no-op */
TAPER_API taper_item *taper_tree_root(const taper_tree *tree);
TAPER_API taper_item_kind taper_item_get_kind(const taper_item *node);
TAPER_API const char *taper_item_kind_name(taper_item_kind kind);
TAPER_API int64_t taper_item_integer(const taper_item *node); /* BOOL, INT, DTYPE; else 0 */
TAPER_API double taper_item_number(const taper_item *node);   /* BOOL, INT, FLOAT; else 0 */
/* STRING, BYTES, BYTE_ARRAY, BIG_INT, DEVICE: text with a 0 behind its *bytes bytes; else NULL. bytes may be NULL. */
TAPER_API const char *taper_item_text(const taper_item *node, size_t *bytes);
/* TENSOR, PARAMETER: borrowed while the tree lives; else NULL */
TAPER_API taper_tensor *taper_item_tensor(const taper_item *node);
/* Items of a list, tuple, size or set; entries of a dictionary. */
TAPER_API int64_t taper_item_count(const taper_item *node);
TAPER_API taper_item *taper_item_at(const taper_item *node, int64_t i);  /* item or value; NULL outside the range */
TAPER_API taper_item *taper_item_key(const taper_item *node, int64_t i);   /* of a dictionary */
TAPER_API taper_item *taper_item_find(const taper_item *node, const char *key); /* value of a string key, or NULL */
/* Attributes that hang on an object (a DICT; "_metadata" on a module's state_dict, "__metadata__" of safetensors), or NULL. */
TAPER_API taper_item *taper_item_state(const taper_item *node);
/* A mark for the walker's own use (an index, a Python object); 0 at first. The library does not read it. */
TAPER_API uintptr_t taper_item_mark(const taper_item *node);
TAPER_API void taper_item_set_mark(taper_item *node, uintptr_t mark);

/* ---- building a tree ---- */
TAPER_API taper_status taper_tree_new(taper_tree **out);
TAPER_API void taper_tree_set_root(taper_tree *tree, taper_item *root);
/* New nodes; NULL when out of memory (with the message set). A node may be put in several places: it is stored once. */
TAPER_API taper_item *taper_tree_item(taper_tree *tree, taper_item_kind kind); /* NONE and the empty containers */
TAPER_API taper_item *taper_tree_integer(taper_tree *tree, taper_item_kind kind, int64_t value); /* BOOL, INT, DTYPE */
TAPER_API taper_item *taper_tree_float(taper_tree *tree, double value);
TAPER_API taper_item *taper_tree_text(taper_tree *tree, taper_item_kind kind, const char *text, size_t bytes);
/* kind TENSOR or PARAMETER; the node takes a reference of its own. requires_grad is the tensor's. */
TAPER_API taper_item *taper_tree_tensor(taper_tree *tree, taper_item_kind kind, taper_tensor *tensor);
TAPER_API taper_status taper_item_append(taper_tree *tree, taper_item *container, taper_item *item);
TAPER_API taper_status taper_item_put(taper_tree *tree, taper_item *dict, taper_item *key, taper_item *value);
TAPER_API void taper_item_set_state(taper_item *node, taper_item *state);

/* ---- files ---- */
typedef struct taper_load_options {
    size_t size;        /* of this struct */
    bool no_verify;     /* do not compare the checksums of a .pt file */
    bool no_map;        /* read the file instead of mapping it */
    bool has_device;    /* put every tensor on `device`, whatever the file says */
    taper_device device;
    /* Chooses the device of each storage from the location in the file ("cpu", "cuda:1"). NULL: as the file says. */
    taper_status (*locate)(void *ctx, const char *location, taper_device *out);
    void *ctx;
} taper_load_options;
#define TAPER_LOAD_OPTIONS {.size = sizeof(taper_load_options)}

/* A .pt file (zip or the older plain form) or a safetensors file, told apart by their first bytes. options may be NULL.
 * safetensors: the root is a DICT of tensors in the header's order, its state the metadata or NULL.
 * OS: cannot be read. FORMAT: malformed, with the byte where. TYPE: a .pt that wants a class or function. */
TAPER_API taper_status taper_load(taper_tree **out, const char *path, const taper_load_options *options);
/* The same from memory, which is not needed afterwards. */
TAPER_API taper_status taper_load_memory(taper_tree **out, const void *data, size_t bytes, const taper_load_options *options);

/* Writes the zip form that torch.load(weights_only=True) reads. */
TAPER_API taper_status taper_save_pt(const char *path, const taper_tree *tree);
/* The same through a function that gets the pieces in order and returns false to stop. */
typedef bool (*taper_write_fn)(void *ctx, const void *data, size_t bytes);
TAPER_API taper_status taper_save_pt_to(taper_write_fn write, void *ctx, const taper_tree *tree);

/* count tensors under distinct names; metadata: metadata_count keys and values, may be NULL when 0. Tensors that are not
 * contiguous are stored in row-major order. */
TAPER_API taper_status taper_save_safetensors(const char *path, const char *const *names, taper_tensor *const *tensors,
                                              int64_t count, const char *const *metadata_keys,
                                              const char *const *metadata_values, int64_t metadata_count);
TAPER_API taper_status taper_save_safetensors_to(taper_write_fn write, void *ctx, const char *const *names,
                                                 taper_tensor *const *tensors, int64_t count,
                                                 const char *const *metadata_keys, const char *const *metadata_values,
                                                 int64_t metadata_count);

/* ---- TensorBoard event files ---- */
typedef struct taper_event_writer taper_event_writer;
/* Makes dir and a new file events.out.tfevents.<time>.<host>.<pid>.<n><suffix> in it. suffix may be NULL. */
TAPER_API taper_status taper_event_writer_new(taper_event_writer **out, const char *dir, const char *suffix);
/* wall_time in seconds since 1970; negative: now. */
TAPER_API taper_status taper_event_writer_scalar(taper_event_writer *w, const char *tag, double value, int64_t step,
                                                 double wall_time);
/* All elements of values (any real dtype) into TensorBoard's exponential buckets. VALUE when empty. */
TAPER_API taper_status taper_event_writer_histogram(taper_event_writer *w, const char *tag, const taper_tensor *values,
                                                    int64_t step, double wall_time);
TAPER_API taper_status taper_event_writer_text(taper_event_writer *w, const char *tag, const char *text, int64_t step,
                                               double wall_time);
/* pixels: height x width x channels bytes, 1 (grey), 3 (RGB) or 4 (RGBA) channels. */
TAPER_API taper_status taper_event_writer_image(taper_event_writer *w, const char *tag, const uint8_t *pixels, int height,
                                                int width, int channels, int64_t step, double wall_time);
/* A finished Summary protobuf for what has no function here (hyperparameters, layouts). */
TAPER_API taper_status taper_event_writer_summary(taper_event_writer *w, const void *summary, size_t bytes, int64_t step,
                                                  double wall_time);
TAPER_API taper_status taper_event_writer_flush(taper_event_writer *w);
TAPER_API const char *taper_event_writer_path(const taper_event_writer *w);
TAPER_API taper_status taper_event_writer_close(taper_event_writer *w); /* flushes and frees w, also on an error; NULL is a no-op */

TAPER_END

#endif
