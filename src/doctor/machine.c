/* The machine's files, folders, nodes and variables: its own, or those of a recorded one. */
#include "doctor/state.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <unistd.h>

enum { MACHINE_FILE_MAX = 16 << 20, MACHINE_LINKS = 40 };

void *doctor_keep(doctor *d, size_t bytes) {
    doctor_block *b = taper__alloc_zero(sizeof *b + bytes);
    if (!b) return NULL;
    b->next = d->blocks;
    d->blocks = b;
    return b->data;
}

static const char *machine_text(doctor *d, const char *format, va_list ap) {
    va_list again;
    va_copy(again, ap);
    int n = vsnprintf(NULL, 0, format, ap);
    char *text = n < 0 ? NULL : doctor_keep(d, (size_t)n + 1);
    if (text) vsnprintf(text, (size_t)n + 1, format, again);
    va_end(again);
    return text ? text : "";
}

const char *doctor_text(doctor *d, const char *format, ...) {
    va_list ap;
    va_start(ap, format);
    const char *text = machine_text(d, format, ap);
    va_end(ap);
    return text;
}

bool doctor_is_recorded(const doctor *d) { return d->options.root != NULL; }

const char *doctor_path(doctor *d, const char *path) { return d->options.root ? doctor_text(d, "%s%s", d->options.root, path) : path; }

/* What a recorded machine says of `path` where files cannot; NULL. */
static const char *machine_answer(doctor *d, const char *kind, const char *path) {
    char line[256];
    if (!d->options.root) return NULL;
    FILE *f = fopen(doctor_text(d, "%s/.doctor/%s%s", d->options.root, kind, path), "re");
    if (!f) return NULL;
    const char *got = fgets(line, sizeof line, f);
    fclose(f);
    if (!got) return NULL;
    line[strcspn(line, "\n")] = 0;
    return doctor_text(d, "%s", line);
}

/* Parents of a file that is about to be written. */
static void machine_folders(char *path) {
    for (char *p = strchr(path + 1, '/'); p; p = strchr(p + 1, '/')) {
        *p = 0;
        mkdir(path, 0777);
        *p = '/';
    }
}

void doctor_record(doctor *d, const char *path, const void *data, size_t size) {
    if (!d->options.record) return;
    char *to = (char *)doctor_text(d, "%s%s", d->options.record, path);
    machine_folders(to);
    FILE *f = fopen(to, "we");
    if (!f) return;
    fwrite(data, 1, size, f);
    fclose(f);
}

/* With --record: that `path` is there, where nothing is recorded yet: an empty file, a folder or a link stands for it. */
static void machine_record_entry(doctor *d, const char *path) {
    struct stat s;
    char link[PATH_MAX];
    if (!d->options.record || lstat(path, &s)) return;
    char *to = (char *)doctor_text(d, "%s%s", d->options.record, path);
    machine_folders(to);
    if (S_ISDIR(s.st_mode)) {
        mkdir(to, 0777);
    } else if (S_ISLNK(s.st_mode)) {
        ssize_t n = readlink(path, link, sizeof link - 1);
        link[n < 0 ? 0 : n] = 0;
        if (n <= 0 || symlink(link, to)) return; /* recorded before */
    } else {
        int fd = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        if (fd >= 0) close(fd);
    }
}

/* Links are followed below the root: an absolute target means the recorded machine's own. */
const char *doctor_real(doctor *d, const char *path) {
    char now[PATH_MAX] = "", rest[PATH_MAX], link[PATH_MAX];
    int links = 0;
    if (path[0] != '/' || strlen(path) >= sizeof rest) return NULL;
    strcpy(rest, path);
    while (*rest) {
        char *name = rest + strspn(rest, "/"), *end = name + strcspn(name, "/");
        size_t n = (size_t)(end - name), used = strlen(now);
        if (!n) break;
        if (n == 1 && *name == '.') {
            memmove(rest, end, strlen(end) + 1);
            continue;
        }
        if (n == 2 && !memcmp(name, "..", 2)) {
            char *slash = strrchr(now, '/');
            if (slash) *slash = 0;
            memmove(rest, end, strlen(end) + 1);
            continue;
        }
        if (used + n + 2 > sizeof now) return NULL;
        snprintf(now + used, sizeof now - used, "/%.*s", (int)n, name);
        ssize_t got = readlink(doctor_path(d, now), link, sizeof link - 1);
        if (got < 0) {
            if (errno != EINVAL) return NULL;
            memmove(rest, end, strlen(end) + 1);
            continue;
        }
        link[got] = 0;
        machine_record_entry(d, now);
        if (++links > MACHINE_LINKS || (size_t)got + strlen(end) + 2 > sizeof rest) return NULL;
        now[link[0] == '/' ? 0 : used] = 0;
        memmove(rest + got, end, strlen(end) + 1);
        memcpy(rest, link, (size_t)got);
    }
    return doctor_text(d, "%s", *now ? now : "/");
}

const char *doctor_link(doctor *d, const char *path) {
    char link[PATH_MAX];
    const char *slash = strrchr(path, '/'), *folder = slash && slash != path ? doctor_real(d, doctor_text(d, "%.*s", (int)(slash - path), path)) : "";
    if (!folder) return NULL;
    ssize_t n = readlink(doctor_path(d, doctor_text(d, "%s/%s", folder, slash ? slash + 1 : path)), link, sizeof link - 1);
    if (n < 0) return NULL;
    link[n] = 0;
    machine_record_entry(d, path);
    return doctor_text(d, "%s", link);
}

/* The errno that a recorded machine gives for `path`, 0 when it says nothing. */
static int machine_refusal(doctor *d, const char *path) {
    static const struct { const char *name; int value; } names[] = {{"EPERM", EPERM}, {"EACCES", EACCES}, {"ENOENT", ENOENT}, {"EIO", EIO}, {"ENXIO", ENXIO},
                                                                    {"ENODEV", ENODEV}, {"EBUSY", EBUSY}, {"EROFS", EROFS}, {"ENOSPC", ENOSPC}};
    const char *answer = machine_answer(d, "open", path);
    for (int i = 0; answer && i < TAPER_COUNT(names); i++)
        if (!strcmp(answer, names[i].name)) return names[i].value;
    return 0;
}

void doctor_record_refusal(doctor *d, const char *path, int problem) {
    const char *name = doctor_errno(problem);
    if (problem && problem != ENOENT) doctor_record(d, doctor_text(d, "/.doctor/open%s", path), name, strlen(name));
}

char *doctor_bytes(doctor *d, const char *path, size_t *size, int *error) {
    size_t used = 0, room = 4096;
    char *data = NULL;
    int problem = machine_refusal(d, path);
    const char *real = d->options.root ? doctor_real(d, path) : path;
    int fd = problem || !real ? -1 : open(doctor_path(d, real), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0 && !problem) problem = real ? errno : ENOENT;
    while (fd >= 0) {
        char *more = taper__realloc(data, room + 1);
        if (!more) {
            problem = ENOMEM;
            break;
        }
        data = more;
        ssize_t n = read(fd, data + used, room - used);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) problem = errno;
        if (n <= 0) break;
        used += (size_t)n;
        if (used < room) continue;
        if (room >= MACHINE_FILE_MAX) break;
        room *= 4;
    }
    if (fd >= 0) close(fd);
    *error = problem;
    char *kept = problem ? NULL : doctor_keep(d, used + 1);
    if (kept && used) memcpy(kept, data, used);
    taper__free(data);
    *size = used;
    return kept;
}

const char *doctor_read(doctor *d, const char *path, size_t *size, int *error) {
    int problem;
    size_t used;
    const char *data = doctor_bytes(d, path, &used, &problem);
    if (error) *error = problem;
    if (size) *size = used;
    if (data) doctor_record(d, path, data, used);
    else doctor_record_refusal(d, path, problem);
    return data;
}

int doctor_file_open(doctor *d, doctor_file *out, const char *path) {
    struct stat s;
    *out = (doctor_file){.fd = -1};
    const char *real = d->options.root ? doctor_real(d, path) : path;
    if (!real || machine_answer(d, "open", path)) return real ? EACCES : ENOENT;
    out->fd = open(doctor_path(d, real), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (out->fd < 0) return errno;
    int problem = fstat(out->fd, &s) ? errno : S_ISREG(s.st_mode) ? 0 : EINVAL;
    if (problem) doctor_file_close(out);
    else out->size = s.st_size;
    return problem;
}

bool doctor_pread(const doctor_file *f, void *out, size_t size, uint64_t at) {
    if (at > (uint64_t)f->size || size > (uint64_t)f->size - at) return false;
    if (f->data) {
        if (size) memcpy(out, f->data + at, size);
        return true;
    }
    for (size_t done = 0; done < size;) {
        ssize_t n = pread(f->fd, (char *)out + done, size - done, (off_t)(at + done));
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return false;
        done += (size_t)n;
    }
    return true;
}

void doctor_file_close(doctor_file *f) {
    if (f->fd >= 0) close(f->fd);
    f->fd = -1;
}

static const char *machine_line(doctor *d, const char *path) {
    const char *text = doctor_read(d, path, NULL, NULL);
    if (!text || !*text || *text == '\n') return NULL;
    return doctor_text(d, "%.*s", (int)strcspn(text, "\n"), text);
}

const char *doctor_line(doctor *d, const char *path, ...) {
    va_list ap;
    va_start(ap, path);
    const char *full = machine_text(d, path, ap);
    va_end(ap);
    return machine_line(d, full);
}

bool doctor_number(doctor *d, int64_t *out, const char *path, ...) {
    va_list ap;
    va_start(ap, path);
    const char *line = machine_line(d, machine_text(d, path, ap));
    va_end(ap);
    char *end;
    if (!line) return false;
    if (!strncmp(line, "max", 3)) return *out = INT64_MAX, true;
    *out = strtoll(line, &end, 0);
    return end != line;
}

static int machine_tried(doctor *d, const char *path, int problem) {
    if (d->options.root) {
        const char *real = doctor_real(d, path);
        return real && !access(doctor_path(d, real), F_OK) ? 0 : ENOENT;
    }
    doctor_record_refusal(d, path, problem);
    machine_record_entry(d, path);
    return problem;
}

int doctor_open(doctor *d, const char *path, int flags) {
    int refused = machine_refusal(d, path), problem = 0;
    if (refused) return refused;
    if (!d->options.root) {
        int fd = open(path, flags | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
        if (fd >= 0) close(fd);
        else problem = errno;
    }
    return machine_tried(d, path, problem);
}

int doctor_writable(doctor *d, const char *path) {
    int refused = machine_refusal(d, path);
    if (refused) return refused;
    return machine_tried(d, path, d->options.root || !access(path, W_OK) ? 0 : errno);
}

int doctor_status(doctor *d, const char *path, doctor_stat *out) {
    struct stat s;
    const char *real = d->options.root ? doctor_real(d, path) : path;
    if (!real) return ENOENT;
    if (stat(doctor_path(d, real), &s)) return errno;
    *out = (doctor_stat){s.st_size, s.st_mode, s.st_uid, s.st_gid, major(s.st_rdev), minor(s.st_rdev)};
    const char *answer = machine_answer(d, "stat", path); /* "mode uid gid major minor" of a node */
    if (answer) sscanf(answer, "%o %u %u %u %u", &out->mode, &out->uid, &out->gid, &out->major, &out->minor);
    if (d->options.record && !S_ISREG(s.st_mode) && !S_ISDIR(s.st_mode)) {
        const char *line = doctor_text(d, "%o %u %u %u %u", out->mode, out->uid, out->gid, out->major, out->minor);
        doctor_record(d, doctor_text(d, "/.doctor/stat%s", path), line, strlen(line));
    }
    machine_record_entry(d, path);
    return 0;
}

bool doctor_exists(doctor *d, const char *path, ...) {
    va_list ap;
    va_start(ap, path);
    const char *full = machine_text(d, path, ap), *real = d->options.root ? doctor_real(d, full) : full;
    va_end(ap);
    machine_record_entry(d, full);
    return real && !access(doctor_path(d, real), F_OK);
}

int doctor_room(doctor *d, const char *path, doctor_space *out) {
    struct statvfs s;
    const char *answer = machine_answer(d, "space", path);
    if (answer) {
        long long n[3] = {0, 0, -1};
        sscanf(answer, "%lld %lld %lld", n, n + 1, n + 2);
        *out = (doctor_space){n[0], n[1], n[2]};
        return 0;
    }
    if (d->options.root) return ENOENT;
    if (statvfs(path, &s)) return errno;
    *out = (doctor_space){(int64_t)(s.f_blocks * s.f_frsize), (int64_t)(s.f_bavail * s.f_frsize), s.f_files ? (int64_t)s.f_favail : -1};
    const char *line = doctor_text(d, "%lld %lld %lld", (long long)out->total, (long long)out->free, (long long)out->files_free);
    doctor_record(d, doctor_text(d, "/.doctor/space%s", path), line, strlen(line));
    return 0;
}

static int machine_order(const void *a, const void *b) { return strcmp(*(const char *const *)a, *(const char *const *)b); }

int doctor_names(doctor *d, const char *path, const char *const **names) {
    static const char *const none[] = {NULL};
    *names = none;
    const char *real = d->options.root ? doctor_real(d, path) : path;
    int refused = machine_refusal(d, path);
    DIR *folder = real && !refused ? opendir(doctor_path(d, real)) : NULL;
    if (!folder) {
        refused = refused ? refused : real ? errno : ENOENT;
        doctor_record_refusal(d, path, refused);
        return -refused;
    }
    int n = 0, room = 0;
    const char **list = NULL;
    for (struct dirent *e; (e = readdir(folder));) {
        if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, "..") || !strcmp(e->d_name, ".doctor")) continue;
        if (n + 1 >= room) {
            const char **more = taper__realloc((void *)list, sizeof *list * (size_t)(room = room ? room * 2 : 64));
            if (!more) break;
            list = more;
        }
        list[n++] = doctor_text(d, "%s", e->d_name);
        machine_record_entry(d, doctor_text(d, "%s/%s", path, e->d_name));
    }
    closedir(folder);
    const char **kept = n ? doctor_keep(d, sizeof *kept * ((size_t)n + 1)) : NULL;
    if (kept) {
        memcpy((void *)kept, (const void *)list, sizeof *kept * (size_t)n);
        qsort((void *)kept, (size_t)n, sizeof *kept, machine_order);
        *names = kept;
    }
    taper__free((void *)list);
    return kept ? n : 0;
}

const char *doctor_field(doctor *d, const char *text, const char *key) {
    size_t n = strlen(key);
    for (; text && *text; text += strcspn(text, "\n"), text += *text == '\n') {
        if (strncmp(text, key, n)) continue;
        const char *value = text + n;
        if (*value != ':' && *value != ' ' && *value != '\t' && *value != '=') continue;
        value += strspn(value, ": \t=");
        return doctor_text(d, "%.*s", (int)strcspn(value, "\n"), value);
    }
    return NULL;
}

const char *doctor_errno(int error) {
    switch (error) {
    case 0: return "0";
    case EPERM: return "EPERM";
    case ENOENT: return "ENOENT";
    case EIO: return "EIO";
    case ENXIO: return "ENXIO";
    case EACCES: return "EACCES";
    case EBUSY: return "EBUSY";
    case ENODEV: return "ENODEV";
    case ENOMEM: return "ENOMEM";
    case ENOSPC: return "ENOSPC";
    case EMFILE: return "EMFILE";
    case ELOOP: return "ELOOP";
    case EROFS: return "EROFS";
    case ENOTDIR: return "ENOTDIR";
    default: return strerror(error);
    }
}
