/* taper_load: which format a file is, by its first bytes. */
#include <stdio.h>

#include "io/io.h"

static taper_status load_source(taper_tree **out, taper_source *s, const taper_load_options *options) {
    static const taper_load_options usual = TAPER_LOAD_OPTIONS;
    if (!options) options = &usual;
    if (options->size != sizeof *options)
        return TAPER_FAIL(TAPER_VALUE, "load: options of %zu bytes, need %zu (set .size)", options->size,
                          sizeof *options);
    const unsigned char *d = s->data;
    if (s->size >= 4 && (io_little(d, 4) == 0x04034b50 || io_little(d, 4) == 0x06054b50))
        return taper__load_zip(out, s, options);
    if (s->size >= 2 && d[0] == 0x80 && d[1] >= 2 && d[1] <= 5) return taper__load_legacy(out, s, options);
    if (s->size >= 9 && d[8] == '{') return taper__load_safetensors(out, s, options);
    if (s->size == 0) return TAPER_FAIL(TAPER_FORMAT, "Ran out of input: the file is empty");
    return TAPER_FAIL(TAPER_FORMAT, "byte 0: neither a .pt file nor safetensors (%zu bytes, the first is 0x%02x)",
                      s->size, d[0]);
}

taper_status taper_load(taper_tree **out, const char *path, const taper_load_options *options) {
    taper_source *s = NULL;
    char context[512];
    taper_error_clear();
    taper_status st = taper__source_open(&s, path, !options || !options->no_map);
    if (st != TAPER_OK) return st;
    st = load_source(out, s, options);
    taper__source_release(s);
    snprintf(context, sizeof context, "load '%s': ", path);
    return st == TAPER_OK ? st : taper_fail_within(st, context);
}

taper_status taper_load_memory(taper_tree **out, const void *data, size_t bytes, const taper_load_options *options) {
    taper_source *s = NULL;
    taper_error_clear();
    TAPER_TRY(taper__source_borrow(&s, data, bytes));
    taper_status st = load_source(out, s, options);
    taper__source_release(s);
    return st == TAPER_OK ? st : taper_fail_within(st, "load: ");
}
