/* taper_tensor_print against tests/golden/print.json, written by scripts/golden_print.py from torch. */
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/base.h"
#include "tensor/tensor.h"

static char line[1 << 20], text[1 << 20], value[1 << 20];

/* Value of "key" in the one-line object: strings unescaped, arrays and numbers as their text. NULL when absent. */
static const char *field(const char *key, char *out) {
    char mark[16];
    int n = snprintf(mark, sizeof mark, "\"%s\":", key);
    const char *p = strstr(line, mark);
    if (!p) return NULL;
    p += n;
    char *o = out;
    if (*p == '"') {
        for (p++; *p != '"'; p++)
            if (*p == '\\')
                *o++ = *++p == 'n' ? '\n' : *p;
            else
                *o++ = *p;
    } else {
        int depth = 0;
        do {
            depth += *p == '[' || *p == '{', depth -= *p == ']' || *p == '}';
            *o++ = *p++;
        } while (depth > 0 || (*p != ',' && *p != '}'));
    }
    *o = 0;
    return out;
}

static int option(const char *options, const char *key, int otherwise) {
    char mark[32];
    snprintf(mark, sizeof mark, "\"%s\":", key);
    const char *p = options ? strstr(options, mark) : NULL;
    if (!p) return otherwise;
    p += strlen(mark);
    return *p == 't' ? 1 : *p == 'f' ? 0 : atoi(p);
}

static taper_tensor *make(void) {
    taper_dtype dtype = taper_dtype_from_name(field("t", value));
    int64_t shape[TAPER_MAX_DIMS];
    int ndim = 0;
    field("s", value);
    for (char *p = value; *p; p++)
        if (*p >= '0' && *p <= '9') shape[ndim++] = strtoll(p, &p, 10), p--;
    taper_tensor *t = NULL;
    taper_device device = {field("m", value) ? TAPER_META : TAPER_CPU, 0};
    if (taper_tensor_new(&t, dtype, device, ndim, shape)) return NULL;
    if (device.type == TAPER_META) return t;
    unsigned char *data = taper_tensor_data(t);
    size_t size = taper_dtype_size(dtype);
    if (field("v", value)) {
        for (size_t i = 0; i < strlen(value) / 2; i++) sscanf(value + 2 * i, "%2hhx", data + i);
    } else {
        field("r", value);
        int64_t a, b;
        double f;
        sscanf(value, "[%ld,%ld,%lf]", &a, &b, &f);
        for (int64_t i = 0; i < t->numel; i++)
            taper__store_double(data + (size_t)i * size, dtype, (double)(i * a % b) * f);
    }
    if (!field("p", value)) return t;
    int64_t strides[TAPER_MAX_DIMS];
    memcpy(strides, t->strides, sizeof strides);
    if (value[0] == 't') {
        int64_t s = shape[0], st = strides[0];
        shape[0] = shape[ndim - 1], strides[0] = strides[ndim - 1];
        shape[ndim - 1] = s, strides[ndim - 1] = st;
    } else if (value[0] == 's') {
        shape[ndim - 1] = (shape[ndim - 1] + 1) / 2;
        strides[ndim - 1] *= 2;
    } else {
        memmove(shape + 1, shape, (size_t)ndim * sizeof *shape);
        memmove(strides + 1, strides, (size_t)ndim * sizeof *strides);
        shape[0] = atoi(value + 2), strides[0] = 0;
        ndim++;
    }
    taper_tensor *view = NULL;
    taper__tensor_view(&view, t, ndim, shape, strides, 0);
    taper_tensor_release(t);
    return view;
}

int main(int argc, char **argv) {
    const char *path = argc > 1 ? argv[1] : "tests/golden/print.json";
    static char want[1 << 20], options_text[256], suffix_text[256];
    FILE *f = fopen(path, "r");
    int cases = 0, bad = 0;
    if (!f) {
        printf("not ok print_golden: cannot open %s\n", path);
        return 1;
    }
    setlocale(LC_ALL, "de_DE.UTF-8"); /* where there is one, its comma must not show */
    int64_t live = taper__alloc_live();
    while (fgets(line, sizeof line, f)) {
        if (line[0] != '{') continue;
        cases++;
        const char *o = field("o", options_text), *x = field("x", suffix_text);
        taper_print_options options = {option(o, "precision", 4), option(o, "threshold", 1000),
                                       option(o, "edgeitems", 3), option(o, "linewidth", 80),
                                       option(o, "sci_mode", -1)};
        if (field("d", value)) taper_set_default_dtype(taper_dtype_from_name(value));
        taper_tensor *t = make();
        field("w", want);
        int64_t n = t ? taper_tensor_print(t, text, sizeof text, o ? &options : NULL, x) : -1;
        if (n != (int64_t)strlen(want) || strcmp(text, want)) {
            if (bad++ < 10)
                printf("not ok print_%d: got\n%s\nwant\n%s\n", cases, n < 0 ? taper_error_message() : text, want);
        }
        char small[20];
        if (t && (taper_tensor_print(t, small, sizeof small, o ? &options : NULL, x) != n || strncmp(small, want, 19) ||
                  strlen(small) > 19))
            bad++, printf("not ok print_%d: a small buffer changes the answer\n", cases);
        if (t && taper_tensor_print(t, NULL, 0, o ? &options : NULL, x) != n)
            bad++, printf("not ok print_%d: length without buffer\n", cases);
        taper_set_default_dtype(TAPER_F32);
        taper_tensor_release(t);
    }
    fclose(f);
    if (cases < 300) bad++, printf("not ok print_golden: only %d cases in %s\n", cases, path);
    if (taper__alloc_live() != live)
        bad++, printf("not ok print_leak: %ld blocks\n", (long)(taper__alloc_live() - live));
    if (!bad) printf("ok print_golden_torch\nok print_small_buffer\nok print_leak\n# %d cases\n", cases);
    return bad != 0;
}
