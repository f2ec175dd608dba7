/* safetensors, writing: data in falling order of element size, so that every tensor is aligned in the file. */
#include <stdio.h>
#include <stdlib.h>

#include "io/io.h"

typedef struct st_save {
    const char *const *names;
    taper_tensor *const *tensors;
    const char *const *keys;
    const char *const *values;
    int64_t count, metadata_count;
} st_save;

static size_t st_bytes(const taper_tensor *t) { return (size_t)t->numel * taper_dtype_size((taper_dtype)t->dtype); }

static taper_status st_quote(taper_bytes *b, const char *text) {
    TAPER_TRY(taper__bytes_add(b, "\"", 1));
    for (const char *p = text; *p; p++) {
        char escape[8];
        unsigned char c = (unsigned char)*p;
        int n = c == '"' || c == '\\' ? snprintf(escape, sizeof escape, "\\%c", c)
                : c < 0x20            ? snprintf(escape, sizeof escape, "\\u%04x", c)
                                      : snprintf(escape, sizeof escape, "%c", c);
        TAPER_TRY(taper__bytes_add(b, escape, (size_t)n));
    }
    return taper__bytes_add(b, "\"", 1);
}
static taper_status st_add(taper_bytes *b, const char *text) { return taper__bytes_add(b, text, strlen(text)); }

static taper_status st_describe(taper_bytes *b, const char *name, const taper_tensor *t, uint64_t begin) {
    char text[64];
    TAPER_TRY(st_quote(b, name));
    snprintf(text, sizeof text, ":{\"dtype\":\"%s\",\"shape\":[", taper__safetensors_dtype((taper_dtype)t->dtype));
    TAPER_TRY(st_add(b, text));
    for (int d = 0; d < t->ndim; d++) {
        snprintf(text, sizeof text, "%s%lld", d ? "," : "", (long long)t->shape[d]);
        TAPER_TRY(st_add(b, text));
    }
    snprintf(text, sizeof text, "],\"data_offsets\":[%llu,%llu]}", (unsigned long long)begin,
             (unsigned long long)(begin + st_bytes(t)));
    return st_add(b, text);
}

/* Where tensor i lies: behind all wider ones and the earlier ones of its width. */
static void st_place(const st_save *s, uint64_t *begin) {
    uint64_t at = 0;
    for (size_t size = 8; size > 0; size /= 2)
        for (int64_t i = 0; i < s->count; i++)
            if (taper_dtype_size((taper_dtype)s->tensors[i]->dtype) == size) {
                begin[i] = at;
                at += st_bytes(s->tensors[i]);
            }
}

static taper_status st_make_header(taper_bytes *b, const st_save *s, const uint64_t *begin) {
    TAPER_TRY(taper__bytes_add(b, "\0\0\0\0\0\0\0\0{", 9));
    if (s->metadata_count) TAPER_TRY(st_add(b, "\"__metadata__\":{"));
    for (int64_t i = 0; i < s->metadata_count; i++) {
        if (i) TAPER_TRY(st_add(b, ","));
        TAPER_TRY(st_quote(b, s->keys[i]));
        TAPER_TRY(st_add(b, ":"));
        TAPER_TRY(st_quote(b, s->values[i]));
    }
    if (s->metadata_count) TAPER_TRY(st_add(b, s->count ? "}," : "}"));
    for (int64_t i = 0; i < s->count; i++) {
        if (i) TAPER_TRY(st_add(b, ","));
        TAPER_TRY(st_describe(b, s->names[i], s->tensors[i], begin[i]));
    }
    TAPER_TRY(st_add(b, "}"));
    while (b->size % 64) TAPER_TRY(st_add(b, " ")); /* the data begins on a cache line */
    uint64_t header = b->size - 8;
    for (int i = 0; i < 8; i++) b->data[i] = (unsigned char)(header >> (8 * i));
    return TAPER_OK;
}

static taper_status st_write_tensor(taper_sink *sink, const taper_tensor *t) {
    size_t n = st_bytes(t);
    if (t->contiguous && t->device.type == TAPER_CPU) return n ? taper__sink_write(sink, taper__data(t), n) : TAPER_OK;
    void *host = taper__alloc(n);
    if (!host) return TAPER_FAIL(TAPER_MEMORY, "save: no memory for %zu bytes of %s", n, TAPER_TEXT(t));
    taper_status st = taper_tensor_read(t, host, n);
    if (st == TAPER_OK) st = taper__sink_write(sink, host, n);
    taper__free(host);
    return st;
}

static int st_compare(const void *a, const void *b) { return strcmp(*(const char *const *)a, *(const char *const *)b); }

static taper_status st_check_names(const char *const *names, int64_t n, const char *what) {
    const char **order = taper__alloc((size_t)n * sizeof *order);
    if (!order) return TAPER_FAIL(TAPER_MEMORY, "save: no memory for %lld names", (long long)n);
    taper_status st = TAPER_OK;
    if (n) memcpy(order, names, (size_t)n * sizeof *order);
    qsort(order, (size_t)n, sizeof *order, st_compare);
    for (int64_t i = 0; i < n && st == TAPER_OK; i++) {
        if (i && !strcmp(order[i - 1], order[i]))
            st = TAPER_FAIL(TAPER_VALUE, "save_safetensors: two %s are named %.128s", what, order[i]);
        if (!strcmp(order[i], "__metadata__"))
            st = TAPER_FAIL(TAPER_VALUE, "save_safetensors: __metadata__ cannot be a name");
    }
    taper__free(order);
    return st;
}

static taper_status st_write(taper_sink *sink, const st_save *s) {
    taper_status st = TAPER_OK;
    taper_bytes header = {0};
    uint64_t *begin = taper__alloc((size_t)s->count * sizeof *begin);
    if (!begin) return TAPER_FAIL(TAPER_MEMORY, "save: no memory for %lld offsets", (long long)s->count);
    TAPER_TRY_GOTO(st_check_names(s->names, s->count, "tensors"));
    TAPER_TRY_GOTO(st_check_names(s->keys, s->metadata_count, "metadata keys"));
    for (int64_t i = 0; i < s->count; i++)
        if (s->tensors[i]->device.type == TAPER_META) {
            st = TAPER_FAIL(TAPER_NOT_IMPLEMENTED, "save_safetensors: %.128s is %s, which has no data", s->names[i],
                            TAPER_TEXT(s->tensors[i]));
            goto out;
        }
    st_place(s, begin);
    TAPER_TRY_GOTO(st_make_header(&header, s, begin));
    TAPER_TRY_GOTO(taper__sink_write(sink, header.data, header.size));
    for (size_t size = 8; size > 0; size /= 2)
        for (int64_t i = 0; i < s->count; i++)
            if (taper_dtype_size((taper_dtype)s->tensors[i]->dtype) == size)
                TAPER_TRY_GOTO(st_write_tensor(sink, s->tensors[i]));
out:
    taper__free(begin);
    taper__free(header.data);
    return st;
}

taper_status taper_save_safetensors(const char *path, const char *const *names, taper_tensor *const *tensors,
                                    int64_t count, const char *const *metadata_keys, const char *const *metadata_values,
                                    int64_t metadata_count) {
    taper_sink sink;
    st_save s = {names, tensors, metadata_keys, metadata_values, count, metadata_count};
    taper_error_clear();
    TAPER_TRY(taper__sink_open(&sink, path));
    return taper__sink_close(&sink, st_write(&sink, &s));
}

taper_status taper_save_safetensors_to(taper_write_fn write, void *ctx, const char *const *names,
                                       taper_tensor *const *tensors, int64_t count, const char *const *metadata_keys,
                                       const char *const *metadata_values, int64_t metadata_count) {
    taper_sink sink;
    st_save s = {names, tensors, metadata_keys, metadata_values, count, metadata_count};
    taper_error_clear();
    TAPER_TRY(taper__sink_function(&sink, write, ctx));
    return taper__sink_close(&sink, st_write(&sink, &s));
}
