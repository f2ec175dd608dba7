/* A zip file of stored entries, their data aligned to 64 bytes by a padding field in the local header, as torch does.
 */
#include <stdlib.h>

#include "io/io.h"

struct zip_record {
    char *name;
    uint64_t size, offset;
    uint32_t crc;
};

enum { ZIP_ALIGN = 64, ZIP_DATE = 0x21 }; /* 1980-01-01: the same tree gives the same bytes */
static const uint64_t zip_full = 0xffffffff;

static unsigned char *zip_put(unsigned char *p, uint64_t v, int bytes) {
    for (int i = 0; i < bytes; i++) *p++ = (unsigned char)(v >> (8 * i));
    return p;
}
static uint64_t zip_narrow(uint64_t v) { return v < zip_full ? v : zip_full; }

/* The 26 bytes that local and central headers share. */
static unsigned char *zip_common(unsigned char *p, const struct zip_record *r, size_t extra) {
    bool wide = r->size >= zip_full || r->offset >= zip_full;
    p = zip_put(p, wide ? 45 : 20, 2);
    p = zip_put(p, 0x0800, 2); /* names in UTF-8 */
    p = zip_put(p, 0, 2);
    p = zip_put(p, 0, 2);
    p = zip_put(p, ZIP_DATE, 2);
    p = zip_put(p, r->crc, 4);
    p = zip_put(p, zip_narrow(r->size), 4);
    p = zip_put(p, zip_narrow(r->size), 4);
    p = zip_put(p, strlen(r->name), 2);
    return zip_put(p, extra, 2);
}

taper_status taper__zip_add(taper_zip_writer *w, const char *name, const void *data, size_t n) {
    if (w->count == w->room) {
        size_t room = w->room ? 2 * w->room : 16;
        struct zip_record *records = taper__realloc(w->records, room * sizeof *records);
        if (!records) return TAPER_FAIL(TAPER_MEMORY, "save: no memory for a directory of %zu entries", room);
        w->records = records;
        w->room = room;
    }
    struct zip_record *r = &w->records[w->count];
    *r = (struct zip_record){taper__strdup(name), n, w->sink->offset, taper__crc32(0, data, n)};
    if (!r->name) return TAPER_FAIL(TAPER_MEMORY, "save: no memory for the name %s", name);
    w->count++;
    size_t name_bytes = strlen(name), wide = n >= zip_full ? 20 : 0;
    size_t start = (size_t)((r->offset + 30 + name_bytes + wide + 4) % ZIP_ALIGN),
           pad = (ZIP_ALIGN - start) % ZIP_ALIGN;
    unsigned char head[30 + 20 + 4 + ZIP_ALIGN] = {0}, *p = zip_put(head, 0x04034b50, 4);
    p = zip_common(p, r, wide + 4 + pad);
    TAPER_TRY(taper__sink_write(w->sink, head, (size_t)(p - head)));
    TAPER_TRY(taper__sink_write(w->sink, name, name_bytes));
    p = head;
    if (wide) {
        p = zip_put(zip_put(p, 1, 2), 16, 2);
        p = zip_put(zip_put(p, n, 8), n, 8);
    }
    p = zip_put(zip_put(p, 0x4246, 2), pad, 2); /* "FB" */
    memset(p, 'Z', pad);
    TAPER_TRY(taper__sink_write(w->sink, head, (size_t)(p - head) + pad));
    return taper__sink_write(w->sink, data, n);
}

static taper_status zip_central(taper_zip_writer *w, const struct zip_record *r) {
    unsigned char head[46 + 32], *p = zip_put(zip_put(head, 0x02014b50, 4), 45, 2);
    bool far = r->offset >= zip_full, large = r->size >= zip_full;
    size_t extra = far || large ? 4 + (far ? 8u : 0) + (large ? 16u : 0) : 0;
    p = zip_common(p, r, extra);
    p = zip_put(zip_put(p, 0, 6), 0, 4); /* comment, disk, attributes */
    p = zip_put(p, zip_narrow(r->offset), 4);
    TAPER_TRY(taper__sink_write(w->sink, head, (size_t)(p - head)));
    TAPER_TRY(taper__sink_write(w->sink, r->name, strlen(r->name)));
    p = head;
    if (extra) p = zip_put(zip_put(p, 1, 2), extra - 4, 2);
    if (large) p = zip_put(zip_put(p, r->size, 8), r->size, 8);
    if (far) p = zip_put(p, r->offset, 8);
    return taper__sink_write(w->sink, head, extra);
}

taper_status taper__zip_finish(taper_zip_writer *w) {
    uint64_t at = w->sink->offset, n = w->count;
    for (size_t i = 0; i < w->count; i++) TAPER_TRY(zip_central(w, &w->records[i]));
    uint64_t end = w->sink->offset, size = end - at;
    unsigned char tail[56 + 20 + 22], *p = tail;
    if (n >= 0xffff || size >= zip_full || at >= zip_full) {
        p = zip_put(zip_put(p, 0x06064b50, 4), 44, 8);
        p = zip_put(zip_put(p, 45, 2), 45, 2);
        p = zip_put(p, 0, 8);
        p = zip_put(zip_put(p, n, 8), n, 8);
        p = zip_put(zip_put(p, size, 8), at, 8);
        p = zip_put(zip_put(p, 0x07064b50, 4), 0, 4);
        p = zip_put(zip_put(p, end, 8), 1, 4);
    }
    p = zip_put(zip_put(p, 0x06054b50, 4), 0, 4);
    p = zip_put(zip_put(p, n < 0xffff ? n : 0xffff, 2), n < 0xffff ? n : 0xffff, 2);
    p = zip_put(zip_put(p, zip_narrow(size), 4), zip_narrow(at), 4);
    p = zip_put(p, 0, 2);
    return taper__sink_write(w->sink, tail, (size_t)(p - tail));
}

void taper__zip_writer_free(taper_zip_writer *w) {
    for (size_t i = 0; i < w->count; i++) taper__free(w->records[i].name);
    taper__free(w->records);
    *w = (taper_zip_writer){w->sink, NULL, 0, 0};
}
