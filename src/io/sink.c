/* Bytes out. A file is written under another name in the same folder, synced, renamed over the old one, and the folder
 * synced: whenever the process dies, the name holds the old content or the new one. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "io/io.h"

enum { SINK_BUFFER = 1 << 16 };

static taper_status sink_prepare(taper_sink *s) {
    s->buffer = taper__alloc(SINK_BUFFER);
    return s->buffer ? TAPER_OK : TAPER_FAIL(TAPER_MEMORY, "save: no memory for a buffer of %d bytes", SINK_BUFFER);
}

taper_status taper__sink_function(taper_sink *s, taper_write_fn write, void *ctx) {
    *s = (taper_sink){.fd = -1, .write = write, .ctx = ctx};
    return sink_prepare(s);
}

static taper_status sink_create(taper_sink *s) {
    static _Atomic unsigned number;
    struct stat old;
    bool exists = stat(s->path, &old) == 0;
    if (exists && !S_ISREG(old.st_mode)) { /* a pipe or device: nothing to keep whole */
        s->fd = open(s->path, O_WRONLY | O_CLOEXEC);
        return s->fd >= 0 ? TAPER_OK : TAPER_FAIL(TAPER_OS, "[Errno %d] %s: '%s'", errno, strerror(errno), s->path);
    }
    const char *slash = strrchr(s->path, '/');
    size_t folder = slash ? (size_t)(slash + 1 - s->path) : 0, room = strlen(s->path) + 64;
    s->temporary = taper__alloc(room);
    if (!s->temporary) return TAPER_FAIL(TAPER_MEMORY, "save: no memory for %zu bytes", room);
    for (int attempt = 0; attempt < 100; attempt++) {
        snprintf(s->temporary, room, "%.*s.%.200s.%ld-%u.tmp", (int)folder, s->path, s->path + folder, (long)getpid(),
                 atomic_fetch_add(&number, 1));
        s->fd = open(s->temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        if (s->fd >= 0 || errno != EEXIST) break;
    }
    if (s->fd < 0) {
        int error = errno;
        taper__free(s->temporary);
        s->temporary = NULL;
        return TAPER_FAIL(TAPER_OS, "[Errno %d] %s: '%s' (new file beside it)", error, strerror(error), s->path);
    }
    if (exists && fchmod(s->fd, old.st_mode & 07777)) return TAPER_OK; /* the mode is a courtesy */
    return TAPER_OK;
}

taper_status taper__sink_open(taper_sink *s, const char *path) {
    *s = (taper_sink){.fd = -1};
    char real[PATH_MAX];
    s->path = taper__strdup(realpath(path, real) ? real : path); /* a link keeps pointing where it did */
    taper_status st = s->path ? sink_prepare(s) : TAPER_FAIL(TAPER_MEMORY, "save: no memory for the path");
    if (st == TAPER_OK) st = sink_create(s);
    return st == TAPER_OK ? st : taper__sink_close(s, st);
}

static taper_status sink_put(taper_sink *s, const unsigned char *p, size_t n) {
    if (s->write)
        return !n || s->write(s->ctx, p, n) ? TAPER_OK
                                            : TAPER_FAIL(TAPER_CALLBACK, "save: the write function stopped the save");
    while (n > 0) {
        ssize_t wrote = write(s->fd, p, n < (1u << 30) ? n : (1u << 30));
        if (wrote < 0 && errno == EINTR) continue;
        if (wrote <= 0)
            return TAPER_FAIL(TAPER_OS, "[Errno %d] %s: '%s' (writing near byte %llu)", errno, strerror(errno), s->path,
                              (unsigned long long)s->offset);
        p += wrote;
        n -= (size_t)wrote;
    }
    return TAPER_OK;
}

taper_status taper__sink_write(taper_sink *s, const void *data, size_t n) {
    s->offset += n;
    if (s->held + n <= SINK_BUFFER) {
        if (n) memcpy(s->buffer + s->held, data, n);
        s->held += n;
        return TAPER_OK;
    }
    TAPER_TRY(sink_put(s, s->buffer, s->held));
    s->held = 0;
    if (n > SINK_BUFFER / 2) return sink_put(s, data, n);
    memcpy(s->buffer, data, n);
    s->held = n;
    return TAPER_OK;
}

static taper_status sink_commit(taper_sink *s) {
    if (fsync(s->fd)) return TAPER_FAIL(TAPER_OS, "[Errno %d] %s: '%s' (fsync)", errno, strerror(errno), s->temporary);
    if (rename(s->temporary, s->path))
        return TAPER_FAIL(TAPER_OS, "[Errno %d] %s: rename '%s' to '%s'", errno, strerror(errno), s->temporary,
                          s->path);
    taper__free(s->temporary);
    s->temporary = NULL;
    char *slash = strrchr(s->path, '/');
    if (slash) slash[slash == s->path] = 0;
    int folder = open(slash ? s->path : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder < 0) return TAPER_OK; /* a folder one may write to but not list */
    int failed = fsync(folder) && errno != EINVAL && errno != ENOTSUP ? errno : 0;
    close(folder);
    return failed ? TAPER_FAIL(TAPER_OS, "[Errno %d] %s: '%s' (fsync of the folder)", failed, strerror(failed), s->path)
                  : TAPER_OK;
}

taper_status taper__sink_close(taper_sink *s, taper_status so_far) {
    if (so_far == TAPER_OK) so_far = sink_put(s, s->buffer, s->held);
    if (so_far == TAPER_OK && s->temporary) so_far = sink_commit(s);
    if (s->fd >= 0) close(s->fd);
    if (s->temporary) unlink(s->temporary);
    taper__free(s->temporary);
    taper__free(s->path);
    taper__free(s->buffer);
    *s = (taper_sink){.fd = -1};
    return so_far;
}
