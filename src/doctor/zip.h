/* The entries of a zip file in memory, with zip64: enough to look into wheels, and free of tensors (the doctor stands alone). */
#ifndef TAPER_DOCTOR_ZIP_H
#define TAPER_DOCTOR_ZIP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct doctor_zip {
    const unsigned char *data;
    size_t size, at, end; /* at: of the next directory entry */
} doctor_zip;
typedef struct doctor_zip_entry {
    const char *name; /* not ended by 0 */
    size_t name_bytes;
    const unsigned char *packed;
    size_t bytes; /* packed */
    int method;   /* 0 stored, 8 deflated */
} doctor_zip_entry;

bool doctor_zip_open(doctor_zip *z, const void *data, size_t size);
/* The next entry that lies inside the file; false at the end of the directory or where it is damaged. */
bool doctor_zip_next(doctor_zip *z, doctor_zip_entry *e);
bool doctor_zip_named(const doctor_zip_entry *e, const char *end); /* whether the name ends so */

static inline uint64_t doctor_little(const unsigned char *p, int bytes) {
    uint64_t v = 0;
    for (int i = bytes - 1; i >= 0; i--) v = v << 8 | p[i];
    return v;
}

#endif
