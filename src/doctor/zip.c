/* The directory at the end of a zip file. */
#include "doctor/zip.h"

#include <string.h>

enum { ZIP_END = 22, ZIP_CENTRAL = 46, ZIP_LOCAL = 30, ZIP_END64 = 56, ZIP_LOCATOR = 20 };

bool doctor_zip_open(doctor_zip *z, const void *data, size_t size) {
    const unsigned char *d = data;
    *z = (doctor_zip){.data = d, .size = size};
    if (size < ZIP_END) return false;
    size_t end = size - ZIP_END, lowest = end > 65535 ? end - 65535 : 0;
    while (doctor_little(d + end, 4) != 0x06054b50) {
        if (end == lowest) return false;
        end--;
    }
    uint64_t bytes = doctor_little(d + end + 12, 4), at = doctor_little(d + end + 16, 4), limit = end;
    if ((bytes == 0xffffffff || at == 0xffffffff) && end >= ZIP_LOCATOR && doctor_little(d + end - ZIP_LOCATOR, 4) == 0x07064b50) {
        uint64_t e = doctor_little(d + end - ZIP_LOCATOR + 8, 8);
        if (e > end || end - e < ZIP_END64 || doctor_little(d + e, 4) != 0x06064b50) return false;
        bytes = doctor_little(d + e + 40, 8), at = doctor_little(d + e + 48, 8), limit = e;
    }
    if (at > limit || bytes > limit - at) return false;
    z->at = (size_t)at;
    z->end = (size_t)(at + bytes);
    return true;
}

/* 64-bit sizes and offset stand in the extra field with number 1, in this order, where the 32-bit ones are full. */
static bool zip_wide(const unsigned char *extra, size_t n, uint64_t *fields[3]) {
    for (size_t i = 0; i + 4 <= n;) {
        size_t length = doctor_little(extra + i + 2, 2), place = i + 4;
        if (length > n - place) return false;
        for (int f = 0; doctor_little(extra + i, 2) == 1 && f < 3; f++) {
            if (*fields[f] != 0xffffffff) continue;
            if (i + 4 + length - place < 8) return false;
            *fields[f] = doctor_little(extra + place, 8);
            place += 8;
        }
        i += 4 + length;
    }
    return true;
}

bool doctor_zip_next(doctor_zip *z, doctor_zip_entry *e) {
    const unsigned char *d = z->data + z->at;
    if (z->end - z->at < ZIP_CENTRAL || doctor_little(d, 4) != 0x02014b50) return false;
    size_t name = doctor_little(d + 28, 2), extra = doctor_little(d + 30, 2), comment = doctor_little(d + 32, 2);
    if (z->end - z->at - ZIP_CENTRAL < name + extra + comment) return false;
    uint64_t size = doctor_little(d + 24, 4), packed = doctor_little(d + 20, 4), local = doctor_little(d + 42, 4);
    uint64_t *fields[3] = {&size, &packed, &local};
    if (!zip_wide(d + ZIP_CENTRAL + name, extra, fields)) return false;
    if (local > z->size || z->size - local < ZIP_LOCAL || doctor_little(z->data + local, 4) != 0x04034b50) return false;
    uint64_t head = ZIP_LOCAL + doctor_little(z->data + local + 26, 2) + doctor_little(z->data + local + 28, 2);
    if (head > z->size - local || packed > z->size - local - head) return false;
    *e = (doctor_zip_entry){(const char *)d + ZIP_CENTRAL, name, z->data + local + head, (size_t)packed, (int)doctor_little(d + 10, 2)};
    z->at += ZIP_CENTRAL + name + extra + comment;
    return true;
}

bool doctor_zip_named(const doctor_zip_entry *e, const char *end) {
    size_t n = strlen(end);
    return e->name_bytes >= n && !memcmp(e->name + e->name_bytes - n, end, n);
}
