/* safetensors, reading: 8 bytes of header length, a JSON header, the data. Every number is checked against the file
 * before it is used; the data must be covered without gaps or overlaps. */
#include <stdlib.h>

#include "io/io.h"

enum { ST_MAX_HEADER = 100000000 }; /* the format's own bound */

typedef struct st_entry {
    taper_item *name;
    taper_dtype dtype;
    int ndim;
    int64_t shape[TAPER_MAX_DIMS];
    uint64_t begin, end;
    size_t at;
} st_entry;

typedef struct st_reader {
    taper_source *source;
    taper_tree *tree;
    const unsigned char *p, *end;
    st_entry *entries;
    size_t count, room;
} st_reader;

static size_t st_at(const st_reader *r) { return (size_t)(r->p - r->source->data); }
#define ST_FAIL(r, format, ...) TAPER_FAIL(TAPER_FORMAT, "safetensors header, byte %zu: " format, st_at(r), __VA_ARGS__)

static const char *const st_names[TAPER_DTYPE_COUNT] = {
    [TAPER_BOOL] = "BOOL", [TAPER_U8] = "U8",   [TAPER_I8] = "I8",           [TAPER_I16] = "I16",
    [TAPER_I32] = "I32",   [TAPER_I64] = "I64", [TAPER_F16] = "F16",         [TAPER_BF16] = "BF16",
    [TAPER_F32] = "F32",   [TAPER_F64] = "F64", [TAPER_F8_E4M3] = "F8_E4M3", [TAPER_F8_E5M2] = "F8_E5M2"};

const char *taper__safetensors_dtype(taper_dtype d) { return st_names[d]; }

static void st_space(st_reader *r) {
    while (r->p < r->end && (*r->p == ' ' || *r->p == '\n' || *r->p == '\t' || *r->p == '\r')) r->p++;
}
static bool st_is(st_reader *r, char c) {
    st_space(r);
    if (r->p >= r->end || *r->p != (unsigned char)c) return false;
    r->p++;
    return true;
}
static taper_status st_expect(st_reader *r, char c) {
    if (st_is(r, c)) return TAPER_OK;
    if (r->p >= r->end) return ST_FAIL(r, "the header ends where '%c' should stand", c);
    return ST_FAIL(r, "0x%02x where '%c' should stand", *r->p, c);
}

static taper_status st_hex4(st_reader *r, uint32_t *out) {
    *out = 0;
    if (r->end - r->p < 4) return ST_FAIL(r, "%s", "the header ends inside \\u");
    for (int i = 0; i < 4; i++, r->p++) {
        unsigned c = *r->p, low = c | 0x20;
        if (c >= '0' && c <= '9')
            *out = *out << 4 | (c - '0');
        else if (low >= 'a' && low <= 'f')
            *out = *out << 4 | (low - 'a' + 10);
        else
            return ST_FAIL(r, "0x%02x is no hexadecimal digit", c);
    }
    return TAPER_OK;
}
static char *st_utf8(char *o, uint32_t c) {
    if (c < 0x80)
        *o++ = (char)c;
    else if (c < 0x800)
        *o++ = (char)(0xc0 | c >> 6), *o++ = (char)(0x80 | (c & 63));
    else if (c < 0x10000)
        *o++ = (char)(0xe0 | c >> 12), *o++ = (char)(0x80 | (c >> 6 & 63)), *o++ = (char)(0x80 | (c & 63));
    else
        *o++ = (char)(0xf0 | c >> 18), *o++ = (char)(0x80 | (c >> 12 & 63)), *o++ = (char)(0x80 | (c >> 6 & 63)),
        *o++ = (char)(0x80 | (c & 63));
    return o;
}
static taper_status st_escape(st_reader *r, char **o) {
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    unsigned char c = r->p < r->end ? *r->p++ : 0;
    const char *known = c ? strchr(from, c) : NULL;
    uint32_t u, low;
    if (known) {
        *(*o)++ = to[known - from];
        return TAPER_OK;
    }
    if (c != 'u') return ST_FAIL(r, "escape 0x%02x is not JSON", c);
    TAPER_TRY(st_hex4(r, &u));
    if (u >= 0xd800 && u < 0xdc00 && r->end - r->p >= 2 && r->p[0] == '\\' && r->p[1] == 'u') {
        r->p += 2;
        TAPER_TRY(st_hex4(r, &low));
        if (low < 0xdc00 || low > 0xdfff) return ST_FAIL(r, "half a surrogate pair, \\u%04x", u);
        u = 0x10000 + ((u - 0xd800) << 10) + (low - 0xdc00);
    } else if (u >= 0xd800 && u < 0xe000) {
        return ST_FAIL(r, "half a surrogate pair, \\u%04x", u);
    }
    *o = st_utf8(*o, u);
    return TAPER_OK;
}
static taper_status st_string(st_reader *r, taper_item **out) {
    TAPER_TRY(st_expect(r, '"'));
    const unsigned char *stop = r->p;
    while (stop < r->end && *stop != '"') stop += *stop == '\\' ? 2 : 1;
    if (stop >= r->end) return ST_FAIL(r, "%s", "a string without end");
    taper_item *n = taper_tree_text(r->tree, TAPER_ITEM_STRING, (const char *)r->p,
                                    (size_t)(stop - r->p)); /* escapes only shrink */
    if (!n) return TAPER_MEMORY;
    char *text = (char *)n->text, *o = text;
    while (r->p < stop) {
        unsigned char c = *r->p++;
        if (c < 0x20) return ST_FAIL(r, "control character 0x%02x in a string", c);
        if (c != '\\')
            *o++ = (char)c;
        else
            TAPER_TRY(st_escape(r, &o));
    }
    *o = 0;
    n->bytes = (size_t)(o - text);
    r->p = stop + 1;
    *out = n;
    return TAPER_OK;
}

/* A whole number below 2^63; nothing else occurs. */
static taper_status st_number(st_reader *r, uint64_t *out) {
    uint64_t v = 0;
    st_space(r);
    const unsigned char *first = r->p;
    for (; r->p < r->end && *r->p >= '0' && *r->p <= '9'; r->p++) {
        if (v > (INT64_MAX - 9) / 10) return ST_FAIL(r, "%s", "a number above 2^63");
        v = v * 10 + (uint64_t)(*r->p - '0');
    }
    if (r->p == first) return ST_FAIL(r, "%s", "no whole number where one should stand");
    *out = v;
    return TAPER_OK;
}
/* [a, b, ...] of at most `room` numbers. */
static taper_status st_numbers(st_reader *r, uint64_t *out, int room, int *count) {
    *count = 0;
    TAPER_TRY(st_expect(r, '['));
    if (st_is(r, ']')) return TAPER_OK;
    do {
        if (*count == room) return ST_FAIL(r, "more than %d numbers in a list", room);
        TAPER_TRY(st_number(r, &out[(*count)++]));
    } while (st_is(r, ','));
    return st_expect(r, ']');
}

static taper_status st_tensor(st_reader *r, st_entry *e) {
    bool has_dtype = false, has_shape = false, has_offsets = false;
    uint64_t numbers[TAPER_MAX_DIMS];
    int n;
    e->at = st_at(r);
    TAPER_TRY(st_expect(r, '{'));
    do {
        taper_item *key, *value;
        TAPER_TRY(st_string(r, &key));
        TAPER_TRY(st_expect(r, ':'));
        if (!strcmp(key->text, "dtype")) {
            TAPER_TRY(st_string(r, &value));
            e->dtype = TAPER_DTYPE_NONE;
            for (int d = 0; d < TAPER_DTYPE_COUNT; d++)
                if (!strcmp(st_names[d], value->text)) e->dtype = (taper_dtype)d;
            if (e->dtype == TAPER_DTYPE_NONE)
                return ST_FAIL(r, "tensor %.64s has the dtype %.32s, which taper has not", e->name->text, value->text);
            has_dtype = true;
        } else if (!strcmp(key->text, "shape")) {
            TAPER_TRY(st_numbers(r, numbers, TAPER_MAX_DIMS, &e->ndim));
            for (int d = 0; d < e->ndim; d++) e->shape[d] = (int64_t)numbers[d];
            has_shape = true;
        } else if (!strcmp(key->text, "data_offsets")) {
            TAPER_TRY(st_numbers(r, numbers, 2, &n));
            if (n != 2) return ST_FAIL(r, "tensor %.64s has %d data_offsets, need 2", e->name->text, n);
            e->begin = numbers[0], e->end = numbers[1];
            has_offsets = true;
        } else {
            return ST_FAIL(r, "unknown key %.64s of tensor %.64s", key->text, e->name->text);
        }
    } while (st_is(r, ','));
    TAPER_TRY(st_expect(r, '}'));
    if (!has_dtype || !has_shape || !has_offsets)
        return ST_FAIL(r, "tensor %.64s lacks dtype, shape or data_offsets", e->name->text);
    return TAPER_OK;
}

static taper_status st_metadata(st_reader *r, taper_item *root) {
    taper_item *all = taper_tree_item(r->tree, TAPER_ITEM_DICT), *key, *value;
    if (!all) return TAPER_MEMORY;
    if (root->state) return ST_FAIL(r, "%s", "__metadata__ stands twice");
    root->state = all;
    TAPER_TRY(st_expect(r, '{'));
    if (st_is(r, '}')) return TAPER_OK;
    do {
        TAPER_TRY(st_string(r, &key));
        TAPER_TRY(st_expect(r, ':'));
        TAPER_TRY(st_string(r, &value));
        TAPER_TRY(taper_item_put(r->tree, all, key, value));
    } while (st_is(r, ','));
    return st_expect(r, '}');
}

static taper_status st_header(st_reader *r, taper_item *root) {
    TAPER_TRY(st_expect(r, '{'));
    if (!st_is(r, '}')) {
        do {
            taper_item *name;
            TAPER_TRY(st_string(r, &name));
            TAPER_TRY(st_expect(r, ':'));
            if (!strcmp(name->text, "__metadata__")) {
                TAPER_TRY(st_metadata(r, root));
                continue;
            }
            if (r->count == r->room) {
                size_t room = 2 * r->room + 16;
                st_entry *entries = taper__realloc(r->entries, room * sizeof *entries);
                if (!entries) return TAPER_FAIL(TAPER_MEMORY, "no memory for %zu tensors", room);
                r->entries = entries;
                r->room = room;
            }
            st_entry *e = &r->entries[r->count++];
            *e = (st_entry){.name = name};
            TAPER_TRY(st_tensor(r, e));
        } while (st_is(r, ','));
        TAPER_TRY(st_expect(r, '}'));
    }
    st_space(r);
    return r->p == r->end ? TAPER_OK : ST_FAIL(r, "0x%02x behind the header's end", *r->p);
}

static int st_by_offset(const void *a, const void *b) {
    const st_entry *x = *(st_entry *const *)a, *y = *(st_entry *const *)b;
    if (x->begin != y->begin) return x->begin < y->begin ? -1 : 1;
    return (x->end > y->end) - (x->end < y->end);
}
static int st_by_name(const void *a, const void *b) {
    const st_entry *x = *(st_entry *const *)a, *y = *(st_entry *const *)b;
    size_t n = x->name->bytes < y->name->bytes ? x->name->bytes : y->name->bytes;
    int order = memcmp(x->name->text, y->name->text, n);
    return order ? order : (x->name->bytes > y->name->bytes) - (x->name->bytes < y->name->bytes);
}

static taper_status st_check(st_reader *r, size_t data_bytes) {
    taper_status st = TAPER_OK;
    st_entry **order = taper__alloc(r->count * sizeof *order);
    if (!order) return TAPER_FAIL(TAPER_MEMORY, "no memory for %zu tensors", r->count);
    uint64_t last = 0;
    for (size_t i = 0; i < r->count; i++) {
        st_entry *e = order[i] = &r->entries[i];
        uint64_t need = taper_dtype_size(e->dtype);
        bool over = false;
        for (int d = 0; d < e->ndim; d++) over |= __builtin_mul_overflow(need, (uint64_t)e->shape[d], &need);
        if (over || e->end < e->begin || e->end > data_bytes || e->end - e->begin != need) {
            st = TAPER_FAIL(TAPER_FORMAT,
                            "safetensors header, byte %zu: tensor %.64s, %s %s, has the data_offsets [%llu, %llu] of "
                            "%zu bytes of data",
                            e->at, e->name->text, st_names[e->dtype], taper__shape_text(e->ndim, e->shape).s,
                            (unsigned long long)e->begin, (unsigned long long)e->end, data_bytes);
            goto out;
        }
    }
    qsort(order, r->count, sizeof *order, st_by_name);
    for (size_t i = 1; i < r->count; i++)
        if (!st_by_name(&order[i - 1], &order[i])) {
            st = TAPER_FAIL(TAPER_FORMAT, "safetensors header, byte %zu: two tensors are named %.64s", order[i]->at,
                            order[i]->name->text);
            goto out;
        }
    qsort(order, r->count, sizeof *order, st_by_offset);
    for (size_t i = 0; i < r->count; last = order[i++]->end)
        if (order[i]->begin != last) {
            st =
                TAPER_FAIL(TAPER_FORMAT,
                           "safetensors header, byte %zu: tensor %.64s begins at %llu of the data, %s one ends at %llu",
                           order[i]->at, order[i]->name->text, (unsigned long long)order[i]->begin,
                           order[i]->begin < last ? "inside another:" : "the last", (unsigned long long)last);
            goto out;
        }
    if (last != data_bytes)
        st = TAPER_FAIL(TAPER_FORMAT,
                        "safetensors: %zu bytes of data, the tensors cover %llu (the file is cut off or has a tail)",
                        data_bytes, (unsigned long long)last);
out:
    taper__free(order);
    return st;
}

static taper_status st_build(st_reader *r, taper_item *root, size_t data_at, const taper_load_options *options) {
    taper_device device;
    if (r->count) TAPER_TRY(taper__load_device(&device, "cpu", options));
    for (size_t i = 0; i < r->count; i++) {
        const st_entry *e = &r->entries[i];
        taper_tensor *bytes = NULL, *t = NULL;
        TAPER_TRY(taper__source_tensor(&bytes, r->source, data_at + e->begin, e->end - e->begin, device,
                                       taper_dtype_size(e->dtype)));
        taper_status st = taper__tensor_view(&t, bytes, e->ndim, e->shape, NULL, 0);
        taper_tensor_release(bytes);
        TAPER_TRY(st);
        t->dtype = (uint8_t)e->dtype;
        taper_item *n = taper_tree_tensor(r->tree, TAPER_ITEM_TENSOR, t);
        taper_tensor_release(t);
        TAPER_TRY(taper_item_put(r->tree, root, e->name, n));
    }
    return TAPER_OK;
}

taper_status taper__load_safetensors(taper_tree **out, taper_source *s, const taper_load_options *options) {
    taper_status st = TAPER_OK;
    st_reader r = {.source = s};
    uint64_t header = s->size >= 8 ? io_little(s->data, 8) : 0;
    if (header == 0 || header > ST_MAX_HEADER || header > s->size - 8)
        return TAPER_FAIL(TAPER_FORMAT, "safetensors, byte 0: a header of %llu bytes in a file of %zu",
                          (unsigned long long)header, s->size);
    r.p = s->data + 8;
    r.end = r.p + header;
    size_t data_at = 8 + header;
    TAPER_TRY_GOTO(taper_tree_new(&r.tree));
    taper_item *root = r.tree->root = taper_tree_item(r.tree, TAPER_ITEM_DICT);
    if (!root) {
        st = TAPER_MEMORY;
        goto out;
    }
    TAPER_TRY_GOTO(st_header(&r, root));
    TAPER_TRY_GOTO(st_check(&r, s->size - data_at));
    TAPER_TRY_GOTO(st_build(&r, root, data_at, options));
    *out = r.tree;
    r.tree = NULL;
out:
    taper_tree_release(r.tree);
    taper__free(r.entries);
    return st;
}
