/* TensorBoard event files: TFRecord frames (length, its checksum, data, its checksum) around hand-encoded Event
 * protobufs. */
#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "io/event_proto.h"

struct taper_event_writer {
    FILE *file;
    char *path;
    pthread_mutex_t mutex;
};

static double event_now(void) {
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static taper_status event_failed(const taper_event_writer *w, const char *what) {
    return TAPER_FAIL(TAPER_OS, "[Errno %d] %s: '%s' (%s)", errno, strerror(errno), w->path, what);
}

static uint32_t event_mask(uint32_t crc) { return (crc >> 15 | crc << 17) + 0xa282ead8u; }

static taper_status event_frame(taper_event_writer *w, const taper_bytes *event) {
    unsigned char head[12], tail[4];
    uint32_t crc;
    for (int i = 0; i < 8; i++) head[i] = (unsigned char)((uint64_t)event->size >> (8 * i));
    crc = event_mask(taper__crc32c(0, head, 8));
    for (int i = 0; i < 4; i++) head[8 + i] = (unsigned char)(crc >> (8 * i));
    crc = event_mask(taper__crc32c(0, event->data, event->size));
    for (int i = 0; i < 4; i++) tail[i] = (unsigned char)(crc >> (8 * i));
    pthread_mutex_lock(&w->mutex);
    bool ok = fwrite(head, 1, 12, w->file) == 12 && fwrite(event->data, 1, event->size, w->file) == event->size &&
              fwrite(tail, 1, 4, w->file) == 4;
    pthread_mutex_unlock(&w->mutex);
    return ok ? TAPER_OK : event_failed(w, "write");
}

/* Event: 1 wall_time, 2 step, 3 file_version or 5 summary. */
static taper_status event_write(taper_event_writer *w, int field, const void *data, size_t bytes, int64_t step,
                                double wall_time) {
    taper_bytes event = {0};
    taper_status st = TAPER_OK;
    TAPER_TRY_GOTO(taper__proto_double(&event, 1, wall_time < 0 ? event_now() : wall_time));
    if (step) TAPER_TRY_GOTO(taper__proto_varint(&event, 2, (uint64_t)step));
    TAPER_TRY_GOTO(taper__proto_bytes(&event, field, data, bytes));
    st = event_frame(w, &event);
out:
    taper__free(event.data);
    return st;
}

taper_status taper_event_writer_summary(taper_event_writer *w, const void *summary, size_t bytes, int64_t step,
                                        double wall_time) {
    taper_error_clear();
    return event_write(w, 5, summary, bytes, step, wall_time);
}

static taper_status event_make_folder(const char *dir) {
    char path[4096];
    size_t n = strlen(dir);
    if (n >= sizeof path) return TAPER_FAIL(TAPER_VALUE, "event_writer: a folder name of %zu characters", n);
    memcpy(path, dir, n + 1);
    for (size_t i = 1; i <= n; i++) {
        if (path[i] != '/' && path[i] != 0) continue;
        char c = path[i];
        path[i] = 0;
        if (mkdir(path, 0777) && errno != EEXIST)
            return TAPER_FAIL(TAPER_OS, "[Errno %d] %s: '%s'", errno, strerror(errno), path);
        path[i] = c;
    }
    return TAPER_OK;
}

taper_status taper_event_writer_new(taper_event_writer **out, const char *dir, const char *suffix) {
    static _Atomic int number;
    static const char version[] = "brain.Event:2";
    char host[128] = "localhost";
    taper_status st = TAPER_OK;
    taper_error_clear();
    TAPER_TRY(event_make_folder(dir));
    taper_event_writer *w = taper__alloc_zero(sizeof *w);
    size_t room = strlen(dir) + (suffix ? strlen(suffix) : 0) + 256;
    if (!w || !(w->path = taper__alloc(room))) {
        taper__free(w);
        return TAPER_FAIL(TAPER_MEMORY, "event_writer: no memory for %zu bytes", room);
    }
    pthread_mutex_init(&w->mutex, NULL);
    if (gethostname(host, sizeof host - 1)) memcpy(host, "localhost", 10);
    snprintf(w->path, room, "%s/events.out.tfevents.%010lld.%s.%ld.%d%s", dir, (long long)event_now(), host,
             (long)getpid(), number++, suffix ? suffix : "");
    w->file = fopen(w->path, "wbxe");
    st = w->file ? event_write(w, 3, version, sizeof version - 1, 0, -1) : event_failed(w, "create");
    if (st != TAPER_OK) {
        taper_event_writer_close(w);
        return st;
    }
    *out = w;
    return TAPER_OK;
}

/* Wraps a Summary.Value (its tag still missing) and writes it. Takes over value. */
static taper_status event_value(taper_event_writer *w, const char *tag, taper_bytes *value, int64_t step,
                                double wall_time) {
    taper_bytes tagged = {0}, summary = {0};
    taper_status st = TAPER_OK;
    TAPER_TRY_GOTO(taper__proto_bytes(&tagged, 1, tag, strlen(tag)));
    TAPER_TRY_GOTO(taper__bytes_add(&tagged, value->data, value->size));
    TAPER_TRY_GOTO(taper__proto_bytes(&summary, 1, tagged.data, tagged.size));
    st = event_write(w, 5, summary.data, summary.size, step, wall_time);
out:
    taper__free(tagged.data);
    taper__free(summary.data);
    taper__free(value->data);
    return st;
}

taper_status taper_event_writer_scalar(taper_event_writer *w, const char *tag, double v, int64_t step,
                                       double wall_time) {
    taper_bytes value = {0};
    taper_error_clear();
    TAPER_TRY(taper__proto_float(&value, 2, (float)v)); /* nothing is held when the first field fails */
    return event_value(w, tag, &value, step, wall_time);
}

/* Value: 8 tensor {1 dtype string, 2 shape {2 dim {1 size}}, 8 the text}, 9 metadata {1 plugin {1 name}}. */
taper_status taper_event_writer_text(taper_event_writer *w, const char *tag, const char *text, int64_t step,
                                     double wall_time) {
    static const unsigned char plugin[] = {0x0a, 6, 0x0a, 4, 't', 'e', 'x', 't'}, shape[] = {0x12, 2, 0x08, 1};
    taper_bytes value = {0}, tensor = {0};
    taper_status st = TAPER_OK;
    char full[1024];
    taper_error_clear();
    if (snprintf(full, sizeof full, "%s/text_summary", tag) >= (int)sizeof full)
        return TAPER_FAIL(TAPER_VALUE, "event_writer_text: a tag of %zu characters", strlen(tag));
    TAPER_TRY_GOTO(taper__proto_varint(&tensor, 1, 7));
    TAPER_TRY_GOTO(taper__proto_bytes(&tensor, 2, shape, sizeof shape));
    TAPER_TRY_GOTO(taper__proto_bytes(&tensor, 8, text, strlen(text)));
    TAPER_TRY_GOTO(taper__proto_bytes(&value, 8, tensor.data, tensor.size));
    TAPER_TRY_GOTO(taper__proto_bytes(&value, 9, plugin, sizeof plugin));
    st = event_value(w, full, &value, step, wall_time);
    value.data = NULL;
out:
    taper__free(tensor.data);
    taper__free(value.data);
    return st;
}

taper_status taper_event_writer_histogram(taper_event_writer *w, const char *tag, const taper_tensor *values,
                                          int64_t step, double wall_time) {
    taper_bytes value = {0}, histogram = {0};
    taper_error_clear();
    taper_status st = taper__proto_histogram(&histogram, values);
    if (st == TAPER_OK) st = taper__proto_bytes(&value, 5, histogram.data, histogram.size);
    taper__free(histogram.data);
    if (st == TAPER_OK) return event_value(w, tag, &value, step, wall_time);
    taper__free(value.data);
    return st;
}

/* Value: 4 image {1 height, 2 width, 3 channels, 4 the PNG}. */
taper_status taper_event_writer_image(taper_event_writer *w, const char *tag, const uint8_t *pixels, int height,
                                      int width, int channels, int64_t step, double wall_time) {
    taper_bytes value = {0}, image = {0}, png = {0};
    taper_status st = TAPER_OK;
    taper_error_clear();
    if (height < 1 || width < 1 || height > 65535 || width > 65535 || (channels != 1 && channels != 3 && channels != 4))
        return TAPER_FAIL(TAPER_VALUE,
                          "event_writer_image: %d x %d pixels of %d channels, need 1 to 65535 and 1, 3 or 4 channels",
                          height, width, channels);
    TAPER_TRY_GOTO(taper__png(&png, pixels, height, width, channels));
    TAPER_TRY_GOTO(taper__proto_varint(&image, 1, (uint64_t)height));
    TAPER_TRY_GOTO(taper__proto_varint(&image, 2, (uint64_t)width));
    TAPER_TRY_GOTO(taper__proto_varint(&image, 3, (uint64_t)channels));
    TAPER_TRY_GOTO(taper__proto_bytes(&image, 4, png.data, png.size));
    TAPER_TRY_GOTO(taper__proto_bytes(&value, 4, image.data, image.size));
    st = event_value(w, tag, &value, step, wall_time);
    value.data = NULL;
out:
    taper__free(png.data);
    taper__free(image.data);
    taper__free(value.data);
    return st;
}

taper_status taper_event_writer_flush(taper_event_writer *w) {
    taper_error_clear();
    pthread_mutex_lock(&w->mutex);
    int failed = fflush(w->file);
    pthread_mutex_unlock(&w->mutex);
    return failed ? event_failed(w, "flush") : TAPER_OK;
}

const char *taper_event_writer_path(const taper_event_writer *w) { return w->path; }

taper_status taper_event_writer_close(taper_event_writer *w) {
    taper_status st = TAPER_OK;
    if (!w) return st;
    if (w->file && fclose(w->file)) st = event_failed(w, "close");
    pthread_mutex_destroy(&w->mutex);
    taper__free(w->path);
    taper__free(w);
    return st;
}
