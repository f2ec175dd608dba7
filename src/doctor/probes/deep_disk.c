/* The probe "deep_disk": cold reads below a folder. A file of 256 MiB is made there (unlinked as soon as it is open) where the folder is
 * writable and has room; else the largest file found is read. Its keys: folder, file (made, or the path read), error ("CALL ERRNO"), bytes,
 * write_mbs, resident (percent of the pages that stayed in memory: the reads are not cold), read_mbs, random_reads (16 KiB each, a
 * second), random_ms (median), files (small ones read), files_bytes (their mean), files_s (a second). */
#include "doctor/probes/deep.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

enum { DISK_BYTES = 256 << 20, DISK_STEP = 1 << 20, DISK_READ = 16 << 10, DISK_FILES = 300, DISK_SEEN = 4000, DISK_DEPTH = 4, DISK_READS = 4000 };
#define DISK_SECONDS 2.0

typedef struct disk_walk {
    char *files[DISK_FILES], largest[4096];
    int count, seen;
    int64_t largest_size;
} disk_walk;

static int64_t disk_now_us(void) { return (int64_t)(deep_now() * 1e6); }

/* A bounded look at the folder: small files to read, and the largest. */
static void disk_look(disk_walk *w, const char *folder, int depth) {
    DIR *dir = depth < DISK_DEPTH ? opendir(folder) : NULL;
    struct dirent *e;
    char path[4096];
    while (dir && w->seen < DISK_SEEN && (e = readdir(dir))) {
        struct stat st;
        if (e->d_name[0] == '.' || (size_t)snprintf(path, sizeof path, "%s/%s", folder, e->d_name) >= sizeof path) continue;
        w->seen++;
        if (lstat(path, &st)) continue;
        if (S_ISDIR(st.st_mode)) disk_look(w, path, depth + 1);
        if (!S_ISREG(st.st_mode) || !st.st_size) continue;
        if (st.st_size > w->largest_size) w->largest_size = st.st_size, snprintf(w->largest, sizeof w->largest, "%s", path);
        if (st.st_size <= 4 << 20 && w->count < DISK_FILES) w->count += (w->files[w->count] = strdup(path)) != NULL;
    }
    if (dir) closedir(dir);
}

/* Opens a file of incompressible bytes that is gone when it is closed; its size, 0 when there is no room, or -errno. */
static int64_t disk_make(doctor_out *o, const char *folder, int *fd) {
    struct statvfs room;
    char path[4096];
    static uint64_t block[DISK_STEP / 8];
    uint64_t x = (uint64_t)disk_now_us() | 1;
    if ((size_t)snprintf(path, sizeof path, "%s/.taper-doctor-XXXXXX", folder) >= sizeof path) return -ENAMETOOLONG;
    if (statvfs(folder, &room)) return -errno;
    if ((uint64_t)room.f_bavail * room.f_frsize < (uint64_t)DISK_BYTES * 4) return 0;
    *fd = mkostemp(path, O_CLOEXEC);
    if (*fd < 0) return -errno;
    unlink(path);
    double start = deep_now();
    int64_t size = 0;
    while (size < DISK_BYTES && deep_now() - start < DISK_SECONDS) {
        for (int i = 0; i < TAPER_COUNT(block); i++) x ^= x << 13, x ^= x >> 7, x ^= x << 17, block[i] = x;
        ssize_t n = write(*fd, block, sizeof block);
        if (n < 0 && errno != EINTR) break;
        if (n > 0) size += n;
    }
    if (fsync(*fd) || size < DISK_STEP) {
        int why = errno;
        close(*fd);
        return size < DISK_STEP ? -ENOSPC : -why;
    }
    doctor_say(o, "write_mbs", "%.0f", (double)size / (deep_now() - start) * 1e-6);
    return size;
}

/* Drops the file's pages and says how many stayed. */
static void disk_cool(doctor_out *o, int fd, int64_t size) {
    posix_fadvise(fd, 0, size, POSIX_FADV_DONTNEED);
    long page = sysconf(_SC_PAGESIZE);
    size_t pages = (size_t)((size + page - 1) / page), warm = 0;
    unsigned char *in = malloc(pages);
    void *map = mmap(NULL, (size_t)size, PROT_READ, MAP_SHARED, fd, 0);
    if (in && map != MAP_FAILED && !mincore(map, (size_t)size, in)) {
        for (size_t i = 0; i < pages; i++) warm += in[i] & 1;
        doctor_say(o, "resident", "%.0f", 100.0 * (double)warm / (double)pages);
    }
    if (map != MAP_FAILED) munmap(map, (size_t)size);
    free(in);
}

static int disk_order(const void *a, const void *b) {
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static void disk_file(doctor_out *o, int fd, int64_t size) {
    static char block[DISK_STEP];
    static int64_t times[DISK_READS];
    int64_t done = 0, span = size / DISK_READ;
    int reads = 0;
    uint64_t x = (uint64_t)disk_now_us() | 1;
    doctor_say(o, "bytes", "%lld", (long long)size);
    disk_cool(o, fd, size);
    double start = deep_now();
    while (done < size && deep_now() - start < DISK_SECONDS) {
        ssize_t n = pread(fd, block, sizeof block, done);
        if (n <= 0) break;
        done += n;
    }
    if (done) doctor_say(o, "read_mbs", "%.0f", (double)done / (deep_now() - start) * 1e-6);
    posix_fadvise(fd, 0, size, POSIX_FADV_DONTNEED);
    posix_fadvise(fd, 0, 0, POSIX_FADV_RANDOM); /* no reading ahead: each read is one sample's */
    start = deep_now();
    while (span > 8 && reads < DISK_READS && deep_now() - start < DISK_SECONDS / 2) {
        x ^= x << 13, x ^= x >> 7, x ^= x << 17;
        int64_t from = disk_now_us();
        if (pread(fd, block, DISK_READ, (int64_t)(x % (uint64_t)span) * DISK_READ) <= 0) break;
        times[reads++] = disk_now_us() - from;
    }
    if (!reads) return;
    doctor_say(o, "random_reads", "%.0f", reads / (deep_now() - start));
    qsort(times, (size_t)reads, sizeof *times, disk_order);
    doctor_say(o, "random_ms", "%.3f", (double)times[reads / 2] * 1e-3);
}

static void disk_files(doctor_out *o, const disk_walk *w) {
    static char block[256 << 10];
    int64_t bytes = 0;
    int read_count = 0;
    for (int i = 0; i < w->count; i++) {
        int fd = open(w->files[i], O_RDONLY | O_CLOEXEC | O_NOATIME);
        if (fd < 0) fd = open(w->files[i], O_RDONLY | O_CLOEXEC);
        if (fd < 0) continue;
        posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
        close(fd);
    }
    double start = deep_now();
    for (int i = 0; i < w->count && deep_now() - start < DISK_SECONDS; i++) {
        int fd = open(w->files[i], O_RDONLY | O_CLOEXEC);
        ssize_t n;
        if (fd < 0) continue;
        while ((n = read(fd, block, sizeof block)) > 0) bytes += n;
        close(fd);
        read_count++;
    }
    if (read_count < 20) return;
    doctor_say(o, "files", "%d", read_count);
    doctor_say(o, "files_bytes", "%lld", (long long)(bytes / read_count));
    doctor_say(o, "files_s", "%.0f", read_count / (deep_now() - start));
}

static void disk_run(doctor_out *o, void *ctx) {
    const char *folder = ctx;
    static disk_walk w;
    int fd = -1;
    doctor_say(o, "folder", "%s", folder);
    disk_look(&w, folder, 0);
    disk_files(o, &w);
    int64_t size = disk_make(o, folder, &fd);
    if (size < 0) doctor_say(o, "error", "write %s", doctor_errno((int)-size));
    bool made = size > 0;
    if (!made && w.largest_size >= 16 << 20) {
        fd = open(w.largest, O_RDONLY | O_CLOEXEC);
        size = fd < 0 ? 0 : w.largest_size < DISK_BYTES ? w.largest_size : DISK_BYTES;
    }
    if (size <= 0) return;
    doctor_say(o, "file", "%s", made ? "made" : w.largest);
    disk_file(o, fd, size);
    close(fd);
}

const doctor_facts *doctor_disk(doctor *d, char *folder) { return doctor_probe(d, "deep_disk", disk_run, folder, 20000); }
