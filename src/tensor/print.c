/* Text of a tensor, character for character as torch prints it.
 *
 * The elements that are shown are first gathered on the host as a small dense block (all of them, or the edges of each
 * dimension when the tensor is larger than the threshold); one number format is chosen from the block; then the block
 * is written with brackets and line breaks straight into the caller's buffer. */
#include <inttypes.h>
#include <limits.h>
#include <locale.h>
#include <math.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/base.h"
#include "tensor/tensor.h"

/* Counts everything, keeps what fits. */
typedef struct print_sink {
    char *buffer;
    size_t size;
    int64_t length, line; /* characters so far; where the current line began, 0 or one after its newline */
} print_sink;

typedef struct print_block {
    taper_dtype dtype;
    int ndim;
    int64_t shape[TAPER_MAX_DIMS]; /* shown elements per dimension */
    bool cut[TAPER_MAX_DIMS];      /* the middle is left out there: "..." after shape / 2 elements */
    int64_t numel;
    char *data;
    taper_print_options options;
    bool integral, scientific; /* of floats */
    int width;
} print_block;

enum { PRINT_NUMBER = 1024, PRINT_MAX_PRECISION = 512 };

static void print_text(print_sink *s, const char *text, int64_t n) {
    for (int64_t i = 0; i < n; i++, s->length++) {
        if ((uint64_t)s->length + 1 < s->size) s->buffer[s->length] = text[i];
        if (text[i] == '\n') s->line = s->length + 1;
    }
}
static void print_word(print_sink *s, const char *word) { print_text(s, word, (int64_t)strlen(word)); }
static void print_fill(print_sink *s, char c, int64_t n) {
    while (n-- > 0) print_text(s, &c, 1);
}

static int print_double(char out[PRINT_NUMBER], double v, const print_block *b, bool scientific, bool integral) {
    if (isnan(v)) return snprintf(out, PRINT_NUMBER, "nan");
    if (isinf(v)) return snprintf(out, PRINT_NUMBER, v < 0 ? "-inf" : "inf");
    if (scientific) return snprintf(out, PRINT_NUMBER, "%.*e", b->options.precision, v);
    if (integral) return snprintf(out, PRINT_NUMBER, "%.0f.", v);
    return snprintf(out, PRINT_NUMBER, "%.*f", b->options.precision, v);
}

static int print_number(char out[PRINT_NUMBER], const print_block *b, int64_t i) {
    const void *p = b->data + (size_t)i * taper_dtype_size(b->dtype);
    if (b->dtype == TAPER_BOOL) return snprintf(out, PRINT_NUMBER, taper__load_int(p, TAPER_BOOL) ? "True" : "False");
    if (!taper_dtype_is_float(b->dtype)) return snprintf(out, PRINT_NUMBER, "%" PRId64, taper__load_int(p, b->dtype));
    return print_double(out, taper__load_double(p, b->dtype), b, b->scientific, b->integral);
}

/* One format for all: whole numbers as "1.", else fixed, else scientific when the magnitudes lie too far apart. Zeros
 * and what is not finite have no say, not even in the width. */
static void print_choose(print_block *b) {
    char text[PRINT_NUMBER];
    b->width = 1;
    if (!taper_dtype_is_float(b->dtype)) {
        for (int64_t i = 0; i < b->numel; i++) {
            int n = print_number(text, b, i);
            if (n > b->width) b->width = n;
        }
        return;
    }
    double low = INFINITY, high = 0;
    b->integral = true;
    b->scientific = false;
    size_t size = taper_dtype_size(b->dtype);
    for (int64_t i = 0; i < b->numel; i++) {
        double v = taper__load_double(b->data + (size_t)i * size, b->dtype), a = fabs(v);
        if (!isfinite(v) || v == 0) continue;
        if (a < low) low = a;
        if (a > high) high = a;
        if (v != ceil(v)) b->integral = false;
    }
    if (high > 0) {
        b->scientific = high / low > 1000. || high > 1e8 || (!b->integral && low < 1e-4);
        for (int64_t i = 0; i < b->numel; i++) {
            double v = taper__load_double(b->data + (size_t)i * size, b->dtype);
            if (!isfinite(v) || v == 0) continue;
            int n = print_double(text, v, b, b->scientific, b->integral);
            if (n > b->width) b->width = n;
        }
    }
    if (b->options.sci_mode >= 0)
        b->scientific = b->options.sci_mode != 0; /* the width stays that of the automatic choice */
}

static void print_element(print_sink *s, const print_block *b, int64_t i) {
    char text[PRINT_NUMBER];
    int n = print_number(text, b, i);
    print_fill(s, ' ', b->width - n);
    print_text(s, text, n);
}

static void print_vector(print_sink *s, const print_block *b, int64_t first, int indent) {
    int64_t n = b->shape[b->ndim - 1], place = 0;
    int64_t per_line = ((int64_t)b->options.linewidth - indent) / (b->width + 2);
    bool cut = b->cut[b->ndim - 1];
    if (per_line < 1) per_line = 1;
    print_word(s, "[");
    for (int64_t i = 0; i < n + cut; i++, place++) {
        if (i && place % per_line == 0) {
            print_word(s, ",\n");
            print_fill(s, ' ', indent + 1);
        } else if (i) {
            print_word(s, ", ");
        }
        if (!cut)
            print_element(s, b, first + i);
        else if (i == n / 2)
            print_word(s, b->options.edgeitems ? " ..." : "...");
        else
            print_element(s, b, first + i - (i > n / 2));
    }
    print_word(s, "]");
}

static void print_dims(print_sink *s, const print_block *b, int dim, int64_t first, int indent) {
    if (b->ndim == 0) {
        print_element(s, b, 0);
        return;
    }
    if (dim == b->ndim - 1) {
        print_vector(s, b, first, indent);
        return;
    }
    int64_t n = b->shape[dim], inner = 1;
    for (int d = dim + 1; d < b->ndim; d++) inner *= b->shape[d];
    print_word(s, "[");
    for (int64_t i = 0; i < n + b->cut[dim]; i++) {
        if (i) {
            print_word(s, ",");
            print_fill(s, '\n', b->ndim - dim - 1);
            print_fill(s, ' ', indent + 1);
        }
        if (b->cut[dim] && i == n / 2)
            print_word(s, "...");
        else
            print_dims(s, b, dim + 1, first + (i - (b->cut[dim] && i > n / 2)) * inner, indent + 1);
    }
    print_word(s, "]");
}

/* Reads the shown part of t below `dim` into *to, which it moves on. */
static taper_status print_gather(const taper_tensor *t, const print_block *b, int dim, int64_t offset, char **to) {
    int64_t shown = dim < t->ndim ? b->shape[dim] : 1;
    bool last = dim + 1 >= t->ndim;
    for (int64_t i = 0, run; i < shown; i += run) {
        int64_t at = b->cut[dim] && i >= shown / 2 ? t->shape[dim] - shown + i : i;
        run = last ? (b->cut[dim] && i < shown / 2 ? shown / 2 - i : shown - i) : 1;
        int64_t start = offset + at * t->strides[dim];
        if (!last) {
            TAPER_TRY(print_gather(t, b, dim + 1, start, to));
            continue;
        }
        taper_tensor *view = NULL;
        size_t bytes = (size_t)run * taper_dtype_size(b->dtype);
        TAPER_TRY(taper__tensor_view(&view, t, 1, &run, &t->strides[dim], start));
        taper_status st = taper_tensor_read(view, *to, bytes);
        taper_tensor_release(view);
        TAPER_TRY(st);
        *to += bytes;
    }
    return TAPER_OK;
}

static taper_status print_fetch(const taper_tensor *t, print_block *b) {
    bool summarize = t->numel > b->options.threshold, any_cut = false;
    int64_t edges = 2 * (int64_t)b->options.edgeitems;
    b->ndim = t->ndim;
    b->numel = 1;
    for (int d = 0; d < t->ndim; d++) {
        b->cut[d] = summarize && t->shape[d] > edges;
        b->shape[d] = b->cut[d] ? edges : t->shape[d];
        b->numel *= b->shape[d];
        any_cut |= b->cut[d];
    }
    size_t bytes = (size_t)b->numel * taper_dtype_size(b->dtype);
    b->data = taper__alloc(bytes);
    if (!b->data) return TAPER_FAIL(TAPER_MEMORY, "print: no memory for %zu bytes of %s", bytes, TAPER_TEXT(t));
    if (!any_cut) return taper_tensor_read(t, b->data, bytes);
    char *to = b->data;
    return b->numel ? print_gather(t, b, 0, t->offset, &to) : TAPER_OK;
}

/* ", suffix", on a new line when the last one would grow too long. *used is torch's count of that line: without any
 * newline it is one more than its characters plus one. */
static void print_suffix(print_sink *s, const print_block *b, int64_t *used, const char *suffix) {
    int64_t n = (int64_t)strlen(suffix);
    if (*used + n + 2 > b->options.linewidth) {
        print_word(s, ",\n       ");
        *used = 7 + n;
    } else {
        print_word(s, ", ");
        *used += n + 2;
    }
    print_text(s, suffix, n);
}

static void print_size(char *out, size_t size, const taper_tensor *t) {
    size_t n = (size_t)snprintf(out, size, "size=(");
    for (int d = 0; d < t->ndim; d++)
        n += (size_t)snprintf(out + n, size - n, d ? ", %" PRId64 : "%" PRId64, t->shape[d]);
    snprintf(out + n, size - n, t->ndim == 1 ? ",)" : ")");
}

static void print_all(print_sink *s, const taper_tensor *t, print_block *b, const char *suffix) {
    char text[32 + TAPER_MAX_DIMS * 24];
    taper_dtype usual = taper_default_dtype();
    bool meta = t->device.type == TAPER_META, bare = meta || t->numel == 0; /* no element tells the type */
    print_word(s, "tensor(");
    if (meta)
        print_word(s, "...");
    else if (t->numel == 0)
        print_word(s, "[]");
    else
        print_dims(s, b, 0, 0, 7);
    int64_t used = s->length - s->line + 2;
    if (t->device.type != TAPER_CPU) {
        snprintf(text, sizeof text, "device='%s'", taper__device_text(t->device).s);
        print_suffix(s, b, &used, text);
    }
    if (meta || (bare ? t->ndim != 1 : b->options.edgeitems == 0)) {
        print_size(text, sizeof text, t);
        print_suffix(s, b, &used, text);
    }
    if (b->dtype != usual && (bare || (b->dtype != TAPER_I64 && b->dtype != TAPER_BOOL))) {
        snprintf(text, sizeof text, "dtype=torch.%s", taper_dtype_name(b->dtype));
        print_suffix(s, b, &used, text);
    }
    if (suffix && suffix[0]) print_suffix(s, b, &used, suffix);
    print_word(s, ")");
}

static locale_t print_locale;
static void print_locale_init(void) { print_locale = newlocale(LC_ALL_MASK, "C", (locale_t)0); }

int64_t taper_tensor_print(const taper_tensor *t, char *buffer, size_t size, const taper_print_options *options,
                           const char *suffix) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    taper_error_clear();
    print_block b = {.dtype = (taper_dtype)t->dtype, .options = TAPER_PRINT_OPTIONS};
    print_sink s = {.buffer = buffer, .size = size};
    if (options) b.options = *options;
    if (b.options.edgeitems < 0) b.options.edgeitems = 0;
    if (b.options.precision < 0) b.options.precision = 0;
    if (b.options.precision > PRINT_MAX_PRECISION) b.options.precision = PRINT_MAX_PRECISION;
    taper_status st = TAPER_OK;
    pthread_once(&once, print_locale_init);
    locale_t before = print_locale ? uselocale(print_locale) : (locale_t)0; /* the decimal point is a point */
    if (t->device.type != TAPER_META && t->numel) {
        TAPER_TRY_GOTO(print_fetch(t, &b));
        print_choose(&b);
    }
    print_all(&s, t, &b, suffix);
out:
    if (before) uselocale(before);
    taper__free(b.data);
    if (size) buffer[st == TAPER_OK ? ((uint64_t)s.length < size ? (size_t)s.length : size - 1) : 0] = 0;
    return st == TAPER_OK ? s.length : -1;
}
