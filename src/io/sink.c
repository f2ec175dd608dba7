/* Bytes out. A file is written under another name in the same folder, synced, renamed over the old one, and the folder
 * synced: whenever the process dies, the name holds the old content or the new one. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
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

/* Where the file's own name begins in a path. */
static size_t sink_folder(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash ? (size_t)(slash + 1 - path) : 0;
}

static void sink_next_name(taper_sink *s, size_t room) {
    static _Atomic unsigned number;
    size_t folder = sink_folder(s->path);
    snprintf(s->temporary, room, "%.*s.%.200s.%ld-%u.tmp", (int)folder, s->path, s->path + folder, (long)getpid(), atomic_fetch_add(&number, 1));
}

/* A writer holds a lock on its file as long as it lives. One that nobody holds is what a killed save left. */
static void sink_sweep(const taper_sink *s, const char *folder) {
    const char *base = s->path + sink_folder(s->path);
    size_t n = strnlen(base, 200);
    DIR *d = opendir(folder);
    for (struct dirent *e; d && (e = readdir(d));) {
        size_t all = strlen(e->d_name);
        if (e->d_name[0] != '.' || all < n + 7 || strncmp(e->d_name + 1, base, n) || e->d_name[n + 1] != '.' || strcmp(e->d_name + all - 4, ".tmp")) continue;
        if (strspn(e->d_name + n + 2, "0123456789-") != all - n - 6) continue;
        int fd = openat(dirfd(d), e->d_name, O_WRONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
        if (fd < 0) continue;
        if (flock(fd, LOCK_EX | LOCK_NB) == 0) unlinkat(dirfd(d), e->d_name, 0);
        close(fd);
    }
    if (d) closedir(d);
}

/* Where the file system can, the file has no name before it is whole: a killed save then leaves nothing at all. */
static bool sink_open_unnamed(taper_sink *s, const char *folder) {
    char own[64];
    s->fd = open(folder, O_TMPFILE | O_WRONLY | O_CLOEXEC, 0666);
    if (s->fd < 0) return false;
    snprintf(own, sizeof own, "/proc/self/fd/%d", s->fd);
    if (access(own, F_OK) == 0) return s->unnamed = true; /* the way to a name */
    close(s->fd);
    s->fd = -1;
    return false;
}

static void sink_open_named(taper_sink *s, size_t room) {
    for (int attempt = 0; attempt < 100; attempt++) {
        struct stat mine;
        sink_next_name(s, room);
        s->fd = open(s->temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        if (s->fd < 0 && errno == EEXIST) continue;
        if (s->fd < 0) return;
        flock(s->fd, LOCK_EX | LOCK_NB);
        if (fstat(s->fd, &mine) == 0 && mine.st_nlink > 0) return; /* else swept before it was locked */
        close(s->fd);
        s->fd = -1;
    }
}

static taper_status sink_create(taper_sink *s) {
    struct stat old;
    bool exists = stat(s->path, &old) == 0;
    if (exists && !S_ISREG(old.st_mode)) { /* a pipe or device: nothing to keep whole */
        s->fd = open(s->path, O_WRONLY | O_CLOEXEC);
        return s->fd >= 0 ? TAPER_OK : TAPER_FAIL(TAPER_OS, "[Errno %d] %s: '%s'", errno, strerror(errno), s->path);
    }
    size_t room = strlen(s->path) + 64, folder = sink_folder(s->path);
    s->temporary = taper__alloc(room);
    if (!s->temporary) return TAPER_FAIL(TAPER_MEMORY, "save: no memory for %zu bytes", room);
    snprintf(s->temporary, room, "%.*s", folder ? (int)folder : 1, folder ? s->path : ".");
    sink_sweep(s, s->temporary);
    if (!sink_open_unnamed(s, s->temporary)) sink_open_named(s, room);
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

/* rename() cannot take a file without a name: it gets one for a moment, under the lock that keeps sweepers away. */
static taper_status sink_give_name(taper_sink *s) {
    char own[64];
    snprintf(own, sizeof own, "/proc/self/fd/%d", s->fd);
    flock(s->fd, LOCK_EX | LOCK_NB);
    for (int attempt = 0; attempt < 100; attempt++) {
        sink_next_name(s, strlen(s->path) + 64);
        if (linkat(AT_FDCWD, own, AT_FDCWD, s->temporary, AT_SYMLINK_FOLLOW) == 0) {
            s->unnamed = false;
            return TAPER_OK;
        }
        if (errno != EEXIST) break;
    }
    return TAPER_FAIL(TAPER_OS, "[Errno %d] %s: '%s' (new file beside it)", errno, strerror(errno), s->path);
}

static taper_status sink_commit(taper_sink *s) {
    if (fsync(s->fd)) return TAPER_FAIL(TAPER_OS, "[Errno %d] %s: '%s' (fsync)", errno, strerror(errno), s->temporary);
    if (s->unnamed) TAPER_TRY(sink_give_name(s));
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
    if (s->temporary && !s->unnamed) unlink(s->temporary);
    taper__free(s->temporary);
    taper__free(s->path);
    taper__free(s->buffer);
    *s = (taper_sink){.fd = -1};
    return so_far;
}
