/* The bytes of a file being loaded, mapped privately or read, and tensors that look into them. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "io/io.h"

static taper_status source_read_all(taper_source *s, int fd) {
    unsigned char *p = taper__alloc(s->size);
    if (!p) return TAPER_FAIL(TAPER_MEMORY, "no memory for the file's %zu bytes", s->size);
    s->data = p;
    for (size_t got = 0; got < s->size;) {
        ssize_t n = read(fd, p + got, s->size - got);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return TAPER_FAIL(TAPER_OS, "read at byte %zu: %s", got, strerror(errno));
        if (n == 0) return TAPER_FAIL(TAPER_OS, "the file ends at byte %zu, it had %zu when opened", got, s->size);
        got += (size_t)n;
    }
    return TAPER_OK;
}

taper_status taper__source_open(taper_source **out, const char *path, bool map) {
    taper_status st = TAPER_OK;
    struct stat info;
    taper_source *s = taper__alloc_zero(sizeof *s);
    if (!s) return TAPER_FAIL(TAPER_MEMORY, "no memory for %zu bytes", sizeof *s);
    atomic_init(&s->refs, 1);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &info)) {
        st = TAPER_FAIL(TAPER_OS, "[Errno %d] %s: '%s'", errno, strerror(errno), path);
        goto out;
    }
    if (!S_ISREG(info.st_mode)) {
        st = TAPER_FAIL(TAPER_OS, "'%s' is not a plain file", path);
        goto out;
    }
    s->size = (size_t)info.st_size;
    if (map && s->size) {
        void *p = mmap(NULL, s->size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_NORESERVE, fd, 0);
        if (p != MAP_FAILED) s->data = p, s->mapped = true;
    }
    if (!s->mapped) TAPER_TRY_GOTO(source_read_all(s, fd));
    *out = s;
    s = NULL;
out:
    if (fd >= 0) close(fd);
    taper__source_release(s);
    return st;
}

taper_status taper__source_borrow(taper_source **out, const void *data, size_t size) {
    taper_source *s = taper__alloc_zero(sizeof *s);
    if (!s) return TAPER_FAIL(TAPER_MEMORY, "no memory for %zu bytes", sizeof *s);
    atomic_init(&s->refs, 1);
    s->data = data;
    s->size = size;
    s->borrowed = true;
    *out = s;
    return TAPER_OK;
}

void taper__source_release(taper_source *s) {
    if (!s || atomic_fetch_sub_explicit(&s->refs, 1, memory_order_acq_rel) != 1) return;
    if (s->mapped)
        munmap((void *)s->data, s->size);
    else if (!s->borrowed)
        taper__free((void *)s->data);
    taper__free(s);
}

static void source_drop(void *ctx) { taper__source_release(ctx); }

taper_status taper__source_tensor(taper_tensor **out, taper_source *s, size_t offset, size_t bytes, taper_device device,
                                  size_t align) {
    int64_t n = (int64_t)bytes;
    const unsigned char *p = s->data + offset;
    if (device.type == TAPER_CPU && !s->borrowed && bytes && (uintptr_t)p % align == 0) {
        atomic_fetch_add_explicit(&s->refs, 1, memory_order_relaxed);
        taper_status st = taper_tensor_wrap(out, (void *)p, bytes, TAPER_U8, taper_cpu(), 1, &n, NULL, source_drop, s);
        if (st != TAPER_OK) taper__source_release(s);
        return st;
    }
    taper_tensor *t = NULL;
    TAPER_TRY(taper__tensor_empty(&t, TAPER_U8, device, 1, &n, "load"));
    if (bytes && device.type != TAPER_META) {
        taper_status st = taper__memory_copy(taper__data(t), device, p, taper_cpu(), bytes, false);
        if (st != TAPER_OK) {
            taper_tensor_release(t);
            return st;
        }
    }
    *out = t;
    return TAPER_OK;
}

taper_status taper__load_device(taper_device *out, const char *location, const taper_load_options *options) {
    if (options->locate) return options->locate(options->ctx, location, out);
    if (options->has_device) {
        *out = options->device;
        return TAPER_OK;
    }
    TAPER_TRY(taper_device_parse(out, location));
    if (out->type != TAPER_CUDA) return TAPER_OK;
    int count = taper_cuda_device_count(NULL);
    if (count == 0)
        return TAPER_FAIL(
            TAPER_RUNTIME,
            "Attempting to deserialize object on a CUDA device but torch.cuda.is_available() is False. If you are "
            "running on a CPU-only machine, please use torch.load with map_location=torch.device('cpu') to map "
            "your storages to the CPU.");
    if (out->index >= count)
        return TAPER_FAIL(
            TAPER_RUNTIME,
            "Attempting to deserialize object on CUDA device %d but torch.cuda.device_count() is %d. Please use "
            "torch.load with map_location to map your storages to an existing device.",
            out->index, count);
    return TAPER_OK;
}
