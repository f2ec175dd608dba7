/* The directory of a zip file (with zip64), its entries sorted by name. Bytes of entries are used where they lie, so
 * only stored entries can be read, which is how torch.save writes them. */
#include <stdlib.h>

#include "io/io.h"

#define ZIP_FAIL(at, format, ...) TAPER_FAIL(TAPER_FORMAT, "zip archive, byte %zu: " format, (size_t)(at), __VA_ARGS__)

enum { ZIP_END = 22, ZIP_CENTRAL = 46, ZIP_LOCAL = 30, ZIP_END64 = 56, ZIP_LOCATOR = 20 };

static taper_status zip_directory(const taper_source *s, size_t *offset, size_t *size, size_t *count) {
    const unsigned char *d = s->data;
    if (s->size < ZIP_END) return ZIP_FAIL(0, "%zu bytes are no zip file", s->size);
    size_t end = s->size - ZIP_END, lowest = s->size > ZIP_END + 65535 ? s->size - ZIP_END - 65535 : 0;
    while (io_little(d + end, 4) != 0x06054b50) {
        if (end == lowest)
            return ZIP_FAIL(s->size, "%s",
                            "PytorchStreamReader failed reading zip archive: failed finding central directory "
                            "(the file is cut off, or its save was killed)");
        end--;
    }
    uint64_t n = io_little(d + end + 10, 2), bytes = io_little(d + end + 12, 4), at = io_little(d + end + 16, 4),
             limit = end;
    if ((n == 0xffff || bytes == 0xffffffff || at == 0xffffffff) && end >= ZIP_LOCATOR &&
        io_little(d + end - ZIP_LOCATOR, 4) == 0x07064b50) {
        uint64_t e = io_little(d + end - ZIP_LOCATOR + 8, 8);
        if (e > end || end - e < ZIP_END64 || io_little(d + e, 4) != 0x06064b50)
            return ZIP_FAIL(end - ZIP_LOCATOR, "zip64 end record at %llu is not there", (unsigned long long)e);
        n = io_little(d + e + 32, 8), bytes = io_little(d + e + 40, 8), at = io_little(d + e + 48, 8), limit = e;
    }
    if (at > limit || bytes > limit - at || n > bytes / ZIP_CENTRAL)
        return ZIP_FAIL(end, "directory of %llu entries, %llu bytes at %llu, does not fit", (unsigned long long)n,
                        (unsigned long long)bytes, (unsigned long long)at);
    *offset = at, *size = bytes, *count = n;
    return TAPER_OK;
}

/* 64-bit fields that stand in the extra data when the 32-bit ones are full. */
static taper_status zip_wide(const unsigned char *extra, size_t n, uint64_t *size, uint64_t *packed, uint64_t *offset,
                             size_t at) {
    uint64_t *fields[3] = {size, packed, offset};
    for (size_t i = 0; i + 4 <= n;) {
        size_t id = io_little(extra + i, 2), length = io_little(extra + i + 2, 2);
        if (length > n - i - 4) break;
        if (id == 1) {
            size_t place = i + 4, stop = place + length;
            for (int f = 0; f < 3; f++) {
                if (*fields[f] != 0xffffffff) continue;
                if (stop - place < 8) return ZIP_FAIL(at, "zip64 field of %zu bytes is too short", length);
                *fields[f] = io_little(extra + place, 8);
                place += 8;
            }
            break;
        }
        i += 4 + length;
    }
    return TAPER_OK;
}

static taper_status zip_entry(const taper_source *s, size_t *at, size_t end, size_t data_end, taper_zip_entry *e) {
    const unsigned char *d = s->data + *at;
    if (end - *at < ZIP_CENTRAL || io_little(d, 4) != 0x02014b50)
        return ZIP_FAIL(*at, "%s", "a directory entry is missing");
    size_t name = io_little(d + 28, 2), extra = io_little(d + 30, 2), comment = io_little(d + 32, 2);
    if (end - *at - ZIP_CENTRAL < name + extra + comment) return ZIP_FAIL(*at, "%s", "a directory entry is cut off");
    uint64_t packed = io_little(d + 20, 4), size = io_little(d + 24, 4), local = io_little(d + 42, 4);
    TAPER_TRY(zip_wide(d + ZIP_CENTRAL + name, extra, &size, &packed, &local, *at));
    if (io_little(d + 8, 2) & 1)
        return ZIP_FAIL(*at, "entry %.*s is encrypted", (int)name, (const char *)d + ZIP_CENTRAL);
    *e = (taper_zip_entry){.name = (const char *)d + ZIP_CENTRAL,
                           .name_bytes = name,
                           .size = size,
                           .crc = (uint32_t)io_little(d + 16, 4),
                           .method = (uint16_t)io_little(d + 10, 2)};
    if (local > data_end || data_end - local < ZIP_LOCAL || io_little(s->data + local, 4) != 0x04034b50)
        return ZIP_FAIL(*at, "entry %.*s begins at %llu, where none is", (int)name, e->name, (unsigned long long)local);
    const unsigned char *l = s->data + local;
    uint64_t head = ZIP_LOCAL + io_little(l + 26, 2) + io_little(l + 28, 2);
    if (head > data_end - local || packed > data_end - local - head || (e->method == 0 && packed != size))
        return ZIP_FAIL(local, "entry %.*s of %llu bytes does not fit", (int)name, e->name, (unsigned long long)packed);
    if (e->method) e->size = packed;
    e->offset = local + head;
    *at += ZIP_CENTRAL + name + extra + comment;
    return TAPER_OK;
}

static int zip_by_offset(const void *a, const void *b) {
    const taper_zip_entry *x = a, *y = b;
    return x->offset != y->offset ? (x->offset > y->offset) - (x->offset < y->offset)
                                  : (x->size > y->size) - (x->size < y->size);
}
static int zip_compare(const char *a, size_t an, const char *b, size_t bn) {
    int order = memcmp(a, b, an < bn ? an : bn);
    return order ? order : (an > bn) - (an < bn);
}
static int zip_by_name(const void *a, const void *b) {
    const taper_zip_entry *x = a, *y = b;
    return zip_compare(x->name, x->name_bytes, y->name, y->name_bytes);
}

taper_status taper__zip_open(taper_zip *out, taper_source *source) {
    taper_status st = TAPER_OK;
    size_t at = 0, size = 0, count = 0;
    TAPER_TRY(zip_directory(source, &at, &size, &count));
    taper_zip z = {source, taper__alloc_zero(count * sizeof *z.entries), count};
    if (!z.entries) return TAPER_FAIL(TAPER_MEMORY, "zip archive: no memory for %zu entries", count);
    size_t end = at + size, data_end = at;
    for (size_t i = 0; i < count; i++) TAPER_TRY_GOTO(zip_entry(source, &at, end, data_end, &z.entries[i]));
    /* Entries that share bytes would let a small file stand for a large one. */
    qsort(z.entries, count, sizeof *z.entries, zip_by_offset);
    for (size_t i = 1; i < count; i++)
        if (z.entries[i].offset < z.entries[i - 1].offset + z.entries[i - 1].size) {
            st = ZIP_FAIL(z.entries[i].offset, "entry %.*s overlaps another", (int)z.entries[i].name_bytes,
                          z.entries[i].name);
            goto out;
        }
    qsort(z.entries, count, sizeof *z.entries, zip_by_name);
    for (size_t i = 1; i < count; i++)
        if (!zip_by_name(&z.entries[i - 1], &z.entries[i])) {
            st = ZIP_FAIL(z.entries[i].offset, "two entries are named %.*s", (int)z.entries[i].name_bytes,
                          z.entries[i].name);
            goto out;
        }
    *out = z;
    z.entries = NULL;
out:
    taper__free(z.entries);
    return st;
}

void taper__zip_close(taper_zip *z) {
    for (size_t i = 0; i < z->count; i++) taper_tensor_release(z->entries[i].tensor);
    taper__free(z->entries);
    *z = (taper_zip){NULL, NULL, 0};
}

taper_zip_entry *taper__zip_find(taper_zip *z, const char *name, size_t bytes) {
    size_t low = 0, high = z->count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        taper_zip_entry *e = &z->entries[middle];
        int order = zip_compare(name, bytes, e->name, e->name_bytes);
        if (!order) return e;
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
}

taper_status taper__zip_check(taper_zip *z, taper_zip_entry *e, bool verify) {
    if (e->method)
        return TAPER_FAIL(TAPER_FORMAT,
                          "zip archive: entry %.*s is compressed (method %d); only stored entries, as torch.save "
                          "writes them, can be read. Unpack and repack the file without compression (zip -0)",
                          (int)e->name_bytes, e->name, e->method);
    if (!verify || e->verified) return TAPER_OK;
    uint32_t crc = taper__crc32(0, z->source->data + e->offset, e->size);
    if (crc != e->crc)
        return ZIP_FAIL(e->offset, "entry %.*s is damaged: checksum 0x%08x, the file says 0x%08x", (int)e->name_bytes,
                        e->name, crc, e->crc);
    e->verified = true;
    return TAPER_OK;
}
