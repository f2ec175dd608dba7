/* A wheel: its name, its METADATA, and the GPU code in its libraries. */
#include "doctor/compat.h"
#include "doctor/inflate.h"
#include "doctor/zip.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { WHEEL_METADATA = 1 << 20, WHEEL_HEAD = 64 };
#define WHEEL_LIBRARIES ((size_t)1 << 30) /* bytes of libraries that are looked through: some seconds */
static const unsigned char wheel_magic[4] = {0x50, 0xed, 0x55, 0xba};

/* A fatbin is a head of 16 bytes (magic, version, size of the head, bytes that follow) and entries with heads of their own: kind
 * (1 PTX, 2 machine code), size of the head, size of the payload, ..., the architecture at byte 28. */
typedef struct wheel_scanner {
    compat_kernels *out;
    uint64_t skip, left; /* bytes to step over; bytes left in the fatbin */
    unsigned char held[WHEEL_HEAD];
    size_t n, seen;
} wheel_scanner;

static void wheel_entry(wheel_scanner *s) {
    uint64_t kind = doctor_little(s->held, 2), head = doctor_little(s->held + 4, 4), payload = doctor_little(s->held + 8, 8), arch = doctor_little(s->held + 28, 4);
    if ((kind != 1 && kind != 2) || head < 32 || head > 4096 || payload > s->left || head > s->left - payload || head + payload < WHEEL_HEAD || arch < 20 || arch > 255) {
        s->left = 0;
        return;
    }
    (kind == 1 ? s->out->ptx : s->out->code)[arch] = true;
    s->out->found++;
    s->left -= head + payload;
    s->skip = head + payload - WHEEL_HEAD;
    if (s->left < WHEEL_HEAD) s->left = 0;
}

static bool wheel_feed(void *ctx, const unsigned char *data, size_t size) {
    wheel_scanner *s = ctx;
    s->seen += size;
    while (size) {
        if (s->skip) {
            size_t n = s->skip < size ? (size_t)s->skip : size;
            s->skip -= n, data += n, size -= n;
            continue;
        }
        if (!s->left && !s->n) {
            const unsigned char *next = memchr(data, wheel_magic[0], size);
            if (!next) return true;
            size -= (size_t)(next - data);
            data = next;
        }
        size_t want = s->left ? WHEEL_HEAD : 16, n = want - s->n < size ? want - s->n : size;
        memcpy(s->held + s->n, data, n);
        s->n += n, data += n, size -= n;
        if (!s->left) { /* the magic may begin at any byte of what is held */
            size_t known = s->n < 4 ? s->n : 4;
            if (memcmp(s->held, wheel_magic, known)) {
                size_t from = 1;
                while (from < s->n && memcmp(s->held + from, wheel_magic, s->n - from < 4 ? s->n - from : 4)) from++;
                memmove(s->held, s->held + from, s->n - from);
                s->n -= from;
                continue;
            }
        }
        if (s->n < want) continue;
        s->n = 0;
        if (s->left) {
            wheel_entry(s);
        } else {
            uint64_t head = doctor_little(s->held + 6, 2), bytes = doctor_little(s->held + 8, 8);
            if (doctor_little(s->held + 4, 2) == 1 && head >= 16 && head <= 64 && bytes >= WHEEL_HEAD && bytes < (uint64_t)1 << 34) {
                s->left = bytes;
                s->skip = head - 16;
            }
        }
    }
    return true;
}

void compat_scan_kernels(compat_kernels *out, const void *data, size_t size) {
    wheel_scanner s = {.out = out};
    wheel_feed(&s, data, size);
}

static void wheel_list(char *out, size_t size, const bool *arch) {
    size_t n = 0;
    *out = 0;
    for (int i = 0; i < 256 && n + 8 < size; i++)
        if (arch[i]) n += (size_t)snprintf(out + n, size - n, "%s%d.%d", n ? ";" : "", i / 10, i % 10);
}

/* ---- METADATA ---- */
typedef struct wheel_text {
    char *data;
    size_t size;
} wheel_text;

static bool wheel_keep(void *ctx, const unsigned char *data, size_t size) {
    wheel_text *t = ctx;
    memcpy(t->data + t->size, data, size); /* the limit of doctor_inflate keeps it inside */
    t->size += size;
    return true;
}

static void wheel_version(compat_wheel *w, const char *version, size_t n) {
    char text[64], minor[16], variant[16];
    if (n >= sizeof text) return;
    memcpy(text, version, n);
    text[n] = 0;
    if (!compat_read_torch(minor, variant, text)) return;
    snprintf(w->torch_version, sizeof w->torch_version, "%s", minor);
    w->cpu |= !strcmp(variant, "cpu");
    if (*variant && !*w->cuda) compat_read_cuda(w->cuda, variant);
}

static void wheel_metadata(compat_wheel *w, const char *text) {
    for (const char *line = text; *line; line += strcspn(line, "\n"), line += *line == '\n') {
        size_t n = strcspn(line, "\r\n");
        if (n > 9 && !strncmp(line, "Version: ", 9) && w->is_torch) wheel_version(w, line + 9, n - 9);
        const char *at = strstr(line, "nvidia-cuda-runtime");
        if (!strncmp(line, "Requires-Dist:", 14) && at && (size_t)(at - line) < n && !*w->cuda) {
            const char *equal = strstr(at, "==");
            char version[32];
            if (!equal || (size_t)(equal - line) > n) continue;
            snprintf(version, sizeof version, "%.*s", (int)strspn(equal + 2, "0123456789."), equal + 2);
            compat_read_cuda(w->cuda, version);
        }
        if (!n && line != text) break; /* the description follows */
    }
}

static bool wheel_entry_read(const doctor_zip_entry *e, size_t limit, doctor_piece_fn piece, void *ctx) {
    if (e->method == 8) return doctor_inflate(e->packed, e->bytes, limit, piece, ctx);
    return !e->method && piece(ctx, e->packed, e->bytes < limit ? e->bytes : limit);
}

/* A library of the package's own: copies of others' (in NAME.libs/, or NVIDIA's by name) hold code for more GPUs than it does. */
static bool wheel_library(const doctor_zip_entry *e) {
    static const char *const others[] = {"libcu", "libnv", "libnccl", "libnpp"};
    bool library = doctor_zip_named(e, ".so");
    size_t base = 0;
    for (size_t k = 0; k + 4 < e->name_bytes; k++) {
        library |= !memcmp(e->name + k, ".so.", 4);
        if (e->name[k] == '/') base = k + 1;
        if (k + 5 < e->name_bytes && !memcmp(e->name + k, ".libs/", 6)) return false;
    }
    for (int i = 0; i < TAPER_COUNT(others); i++)
        if (e->name_bytes - base > strlen(others[i]) && !memcmp(e->name + base, others[i], strlen(others[i]))) return false;
    return library;
}

bool compat_wheel_bytes(compat_wheel *w, const void *data, size_t size) {
    compat_kernels kernels = {.found = 0};
    size_t left = WHEEL_LIBRARIES;
    bool described = false;
    doctor_zip z;
    if (!doctor_zip_open(&z, data, size)) {
        snprintf(w->why, sizeof w->why, "it is no zip file, or cut off");
        return false;
    }
    for (doctor_zip_entry e; left && doctor_zip_next(&z, &e);) {
        if (!described && doctor_zip_named(&e, ".dist-info/METADATA")) {
            wheel_text text = {taper__alloc_zero(WHEEL_METADATA + 1), 0};
            if (text.data && wheel_entry_read(&e, WHEEL_METADATA, wheel_keep, &text)) wheel_metadata(w, text.data);
            taper__free(text.data);
            described = true;
        }
        if (!wheel_library(&e)) continue;
        wheel_scanner s = {.out = &kernels};
        if (!wheel_entry_read(&e, left, wheel_feed, &s)) snprintf(w->why, sizeof w->why, "%.*s cannot be unpacked", (int)(e.name_bytes < 100 ? e.name_bytes : 100), e.name);
        left -= s.seen < left ? s.seen : left;
        w->scanned = true;
    }
    w->partial = !left;
    if (w->partial) snprintf(w->why, sizeof w->why, "only the first GiB of its libraries was looked through for GPU code");
    wheel_list(w->architectures, sizeof w->architectures, kernels.code);
    wheel_list(w->ptx, sizeof w->ptx, kernels.ptx);
    return true;
}

/* Maps the file and reads it; the errno, 0 also when it is no wheel. */
static int wheel_file(compat_wheel *w, const char *path, bool *read) {
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK), error = 0;
    struct stat s;
    if (fd < 0) return errno;
    if (fstat(fd, &s)) error = errno;
    else if (!S_ISREG(s.st_mode)) error = S_ISDIR(s.st_mode) ? EISDIR : EINVAL;
    else if (s.st_size > 0) {
        void *data = mmap(NULL, (size_t)s.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
        if (data == MAP_FAILED) error = errno;
        else {
            *read = compat_wheel_bytes(w, data, (size_t)s.st_size);
            munmap(data, (size_t)s.st_size);
        }
    }
    close(fd);
    return error;
}

bool compat_read_wheel(compat_wheel *w, const char *path) {
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path, *version = strchr(name, '-');
    bool read = false;
    *w = (compat_wheel){.aarch64 = strstr(name, "aarch64") != NULL};
    w->is_torch = !strncmp(name, "torch-", 6);
    if (w->is_torch && version) wheel_version(w, version + 1, strcspn(version + 1, "-"));
    bool named = w->is_torch && *w->torch_version;
    int error = wheel_file(w, path, &read);
    if (error) snprintf(w->why, sizeof w->why, "cannot read %.100s: %s", path, doctor_errno(error));
    else if (!read && !*w->why) snprintf(w->why, sizeof w->why, "%.100s is empty", path);
    return named || read;
}
