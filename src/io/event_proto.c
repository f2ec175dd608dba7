/* Protobuf fields, histograms and PNG for event files. */
#include "io/event_proto.h"

#include <math.h>

static taper_status proto_key(taper_bytes *b, int field, int wire) {
    return taper__bytes_add(b, &(unsigned char){(unsigned char)(field << 3 | wire)}, 1);
}

static taper_status proto_number(taper_bytes *b, uint64_t v) {
    unsigned char out[10];
    size_t n = 0;
    for (; v > 127; v >>= 7) out[n++] = (unsigned char)(v | 128);
    out[n++] = (unsigned char)v;
    return taper__bytes_add(b, out, n);
}
taper_status taper__proto_varint(taper_bytes *b, int field, uint64_t v) {
    TAPER_TRY(proto_key(b, field, 0));
    return proto_number(b, v);
}
taper_status taper__proto_double(taper_bytes *b, int field, double v) {
    TAPER_TRY(proto_key(b, field, 1));
    return taper__bytes_add(b, &v, 8);
}
taper_status taper__proto_float(taper_bytes *b, int field, float v) {
    TAPER_TRY(proto_key(b, field, 5));
    return taper__bytes_add(b, &v, 4);
}
taper_status taper__proto_bytes(taper_bytes *b, int field, const void *data, size_t n) {
    TAPER_TRY(proto_key(b, field, 2));
    TAPER_TRY(proto_number(b, n));
    return taper__bytes_add(b, data, n);
}

/* Limits of the buckets as TensorBoard's writers set them: 0 and 1e-12 * 1.1^k below 1e20, mirrored for negatives. */
enum { PROTO_POSITIVE = 774, PROTO_EDGES = 2 * PROTO_POSITIVE + 1 };
static void proto_edges(double edges[PROTO_EDGES]) {
    double v = 1e-12;
    edges[PROTO_POSITIVE] = 0;
    for (int i = 0; i < PROTO_POSITIVE; i++, v *= 1.1) {
        edges[PROTO_POSITIVE + 1 + i] = v;
        edges[PROTO_POSITIVE - 1 - i] = -v;
    }
}

typedef struct proto_histogram {
    double edges[PROTO_EDGES], counts[PROTO_EDGES]; /* counts[i]: edges[i] <= v < edges[i + 1] */
    double low, high, sum, squares, number;
} proto_histogram;

static void proto_count(proto_histogram *h, double v) {
    if (isnan(v)) return;
    h->low = v < h->low ? v : h->low;
    h->high = v > h->high ? v : h->high;
    h->sum += v;
    h->squares += v * v;
    h->number++;
    int low = 0, high = PROTO_EDGES; /* the number of edges <= v */
    while (low < high) {
        int middle = (low + high) / 2;
        if (h->edges[middle] <= v)
            low = middle + 1;
        else
            high = middle;
    }
    if (low > 0 && (low < PROTO_EDGES || v == h->edges[PROTO_EDGES - 1]))
        h->counts[low < PROTO_EDGES ? low - 1 : PROTO_EDGES - 2]++;
}

/* 1 min, 2 max, 3 number, 4 sum, 5 sum of squares, 6 limits, 7 counts: the filled stretch and one empty bucket before
 * it. */
static taper_status proto_histogram_write(taper_bytes *b, const proto_histogram *h) {
    double limits[PROTO_EDGES], counts[PROTO_EDGES];
    int first = 0, last = PROTO_EDGES - 2, n = 0;
    while (first < last && h->counts[first] == 0) first++;
    while (last > first && h->counts[last] == 0) last--;
    if (h->counts[first] == 0)
        limits[n] = h->edges[PROTO_EDGES - 1], counts[n++] = 0; /* nothing in range */
    else
        limits[n] = h->edges[first], counts[n++] = 0;
    for (int i = first; h->counts[first] != 0 && i <= last; i++)
        limits[n] = h->edges[i + 1], counts[n++] = h->counts[i];
    TAPER_TRY(taper__proto_double(b, 1, h->low));
    TAPER_TRY(taper__proto_double(b, 2, h->high));
    TAPER_TRY(taper__proto_double(b, 3, h->number));
    TAPER_TRY(taper__proto_double(b, 4, h->sum));
    TAPER_TRY(taper__proto_double(b, 5, h->squares));
    TAPER_TRY(taper__proto_bytes(b, 6, limits, (size_t)n * 8));
    return taper__proto_bytes(b, 7, counts, (size_t)n * 8);
}

taper_status taper__proto_histogram(taper_bytes *b, const taper_tensor *values) {
    size_t size = taper_dtype_size((taper_dtype)values->dtype), bytes = (size_t)values->numel * size;
    if (values->numel == 0)
        return TAPER_FAIL(TAPER_VALUE, "event_writer_histogram: The input has no element, %s", TAPER_TEXT(values));
    char *data = taper__alloc(bytes);
    proto_histogram *h = taper__alloc_zero(sizeof *h);
    taper_status st = data && h ? taper_tensor_read(values, data, bytes)
                                : TAPER_FAIL(TAPER_MEMORY, "event_writer_histogram: no memory for %zu bytes", bytes);
    if (st == TAPER_OK) {
        proto_edges(h->edges);
        h->low = INFINITY, h->high = -INFINITY;
        for (int64_t i = 0; i < values->numel; i++)
            proto_count(h, taper__load_double(data + (size_t)i * size, (taper_dtype)values->dtype));
        st = h->number > 0 ? proto_histogram_write(b, h)
                           : TAPER_FAIL(TAPER_VALUE, "event_writer_histogram: all of %s is NaN", TAPER_TEXT(values));
    }
    taper__free(data);
    taper__free(h);
    return st;
}

static taper_status png_chunk(taper_bytes *b, const char *type, const void *data, size_t n) {
    unsigned char head[8] = {(unsigned char)(n >> 24), (unsigned char)(n >> 16), (unsigned char)(n >> 8),
                             (unsigned char)n};
    memcpy(head + 4, type, 4);
    uint32_t crc = taper__crc32(taper__crc32(0, type, 4), data, n);
    unsigned char tail[4] = {(unsigned char)(crc >> 24), (unsigned char)(crc >> 16), (unsigned char)(crc >> 8),
                             (unsigned char)crc};
    TAPER_TRY(taper__bytes_add(b, head, 8));
    TAPER_TRY(taper__bytes_add(b, data, n));
    return taper__bytes_add(b, tail, 4);
}

/* zlib stream of stored blocks: one per row, each with the filter byte 0 in front. */
static taper_status png_rows(taper_bytes *z, const uint8_t *pixels, int height, size_t row) {
    uint32_t a = 1, s = 0; /* Adler-32 */
    TAPER_TRY(taper__bytes_add(z, "\x78\x01", 2));
    for (int y = 0; y < height; y++)
        for (size_t at = 0; at < row + 1;) {
            size_t n = row + 1 - at < 65535 ? row + 1 - at : 65535;
            unsigned char head[5] = {y == height - 1 && at + n == row + 1, (unsigned char)n, (unsigned char)(n >> 8),
                                     (unsigned char)~n, (unsigned char)(~n >> 8)};
            TAPER_TRY(taper__bytes_add(z, head, 5));
            for (size_t i = at; i < at + n; i++) {
                unsigned char v = i == 0 ? 0 : pixels[(size_t)y * row + i - 1];
                a = (a + v) % 65521, s = (s + a) % 65521;
            }
            if (at == 0) TAPER_TRY(taper__bytes_add(z, "\0", 1));
            TAPER_TRY(taper__bytes_add(z, pixels + (size_t)y * row + (at ? at - 1 : 0), at ? n : n - 1));
            at += n;
        }
    unsigned char tail[4] = {(unsigned char)(s >> 8), (unsigned char)s, (unsigned char)(a >> 8), (unsigned char)a};
    return taper__bytes_add(z, tail, 4);
}

taper_status taper__png(taper_bytes *b, const uint8_t *pixels, int height, int width, int channels) {
    unsigned char head[13] = {0, 0, (unsigned char)(width >> 8),  (unsigned char)width,
                              0, 0, (unsigned char)(height >> 8), (unsigned char)height,
                              8};
    head[9] = channels == 1 ? 0 : channels == 3 ? 2 : 6;
    taper_bytes z = {0};
    taper_status st = TAPER_OK;
    TAPER_TRY_GOTO(taper__bytes_add(b, "\x89PNG\r\n\x1a\n", 8));
    TAPER_TRY_GOTO(png_chunk(b, "IHDR", head, 13));
    TAPER_TRY_GOTO(png_rows(&z, pixels, height, (size_t)width * (size_t)channels));
    TAPER_TRY_GOTO(png_chunk(b, "IDAT", z.data, z.size));
    st = png_chunk(b, "IEND", "", 0);
out:
    taper__free(z.data);
    return st;
}
