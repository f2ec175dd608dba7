/* ELF files of the machine or of a recorded one, and where the loader finds a library. */
#include "doctor/elf.h"
#include "doctor/state.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const files_none[] = {NULL};

bool doctor_elf_listed(const char *const *list, const char *text) {
    for (; list && *list; list++)
        if (!strcmp(*list, text)) return true;
    return false;
}

/* All values of "key value" lines. */
static const char *const *files_values(doctor *d, const char *text, const char *key) {
    size_t n = strlen(key), count = 0;
    for (const char *p = text; *p; p += strcspn(p, "\n"), p += *p == '\n') count += !strncmp(p, key, n) && p[n] == ' ';
    const char **list = count ? doctor_keep(d, sizeof *list * (count + 1)) : NULL;
    size_t i = 0;
    for (const char *p = text; list && *p; p += strcspn(p, "\n"), p += *p == '\n')
        if (!strncmp(p, key, n) && p[n] == ' ' && i < count) list[i++] = doctor_text(d, "%.*s", (int)strcspn(p + n + 1, "\n"), p + n + 1);
    return list ? list : files_none;
}

static void files_recorded(doctor *d, doctor_elf *e, const char *text) {
    const char *const *list;
    e->needed = files_values(d, text, "needed");
    e->wants = files_values(d, text, "wants");
    e->offers = files_values(d, text, "offers");
    e->undefined = files_values(d, text, "undefined");
    e->has = files_values(d, text, "has");
    e->soname = files_values(d, text, "soname")[0];
    e->rpath = files_values(d, text, "rpath")[0];
    e->runpath = files_values(d, text, "runpath")[0];
    for (int k = 0; k < 2; k++)
        for (list = files_values(d, text, k ? "ptx" : "sass"); *list; list++) {
            long arch = strtol(*list, NULL, 10);
            if (arch >= 0 && arch < DOCTOR_ELF_ARCHS) (k ? e->ptx : e->sass)[arch] = true, e->fatbins = 1;
        }
    e->parts = ~0;
}

static void files_list(doctor_buffer *b, const char *key, const char *const *list) {
    for (; list && *list; list++) doctor_print(b, "%s %s\n", key, *list);
}

static void files_record(doctor *d, const doctor_elf *e) {
    doctor_buffer b = {0};
    if (!d->options.record || d->options.root) return;
    if (e->soname) doctor_print(&b, "soname %s\n", e->soname);
    if (e->rpath) doctor_print(&b, "rpath %s\n", e->rpath);
    if (e->runpath) doctor_print(&b, "runpath %s\n", e->runpath);
    files_list(&b, "needed", e->needed);
    files_list(&b, "wants", e->wants);
    files_list(&b, "offers", e->offers);
    files_list(&b, "undefined", e->undefined);
    files_list(&b, "has", e->has);
    for (int i = 0; i < DOCTOR_ELF_ARCHS; i++) {
        if (e->sass[i]) doctor_print(&b, "sass %d\n", i);
        if (e->ptx[i]) doctor_print(&b, "ptx %d\n", i);
    }
    if (b.data) doctor_record(d, doctor_text(d, "/.doctor/elf%s", e->path), b.data, b.size);
    taper__free(b.data);
}

static doctor_elf *files_read(doctor *d, const char *path, int parts) {
    const char *real = doctor_real(d, path);
    doctor_elf *e = d->elves;
    doctor_file file;
    if (!real || !doctor_exists(d, "%s", real)) return NULL;
    while (e && strcmp(e->path, real)) e = e->next;
    if (e && (!(parts & ~e->parts) || e->error)) return e;
    if (!e) {
        e = doctor_keep(d, sizeof *e);
        if (!e) return NULL;
        e->path = real;
        e->next = d->elves;
        d->elves = e;
        const char *text = d->options.root ? doctor_read(d, doctor_text(d, "/.doctor/elf%s", real), NULL, NULL) : NULL;
        if (text) {
            files_recorded(d, e, text);
            return e;
        }
    }
    int problem = doctor_file_open(d, &file, real);
    if (problem) file = (doctor_file){.fd = -1, .data = (const unsigned char *)""};
    doctor_elf_parse(d, e, &file, parts);
    if (problem) e->error = doctor_errno(problem);
    doctor_file_close(&file);
    files_record(d, e);
    return e;
}

const doctor_elf *doctor_elf_read(doctor *d, const char *path, int parts) { return files_read(d, path, parts); }

int doctor_elf_drop_defined(doctor *d, const char *library, const char **symbols) {
    doctor_elf *e = files_read(d, library, DOCTOR_ELF_HEAD);
    doctor_file file;
    int n = 0, before = 0;
    while (symbols[before]) before++;
    if (!e || !before) return e ? 0 : -1;
    if (e->parts == ~0) { /* recorded */
        for (int i = 0; i < before; i++)
            if (!doctor_elf_listed(e->has, symbols[i])) symbols[n++] = symbols[i];
        symbols[n] = NULL;
        return n;
    }
    if (doctor_file_open(d, &file, e->path)) return -1;
    const char **asked = d->options.record ? doctor_keep(d, sizeof *asked * ((size_t)before + 1)) : NULL;
    if (asked) memcpy((void *)asked, (const void *)symbols, sizeof *asked * (size_t)before);
    n = doctor_elf_drop_in(&file, symbols);
    doctor_file_close(&file);
    if (asked && n >= 0) { /* what was dropped is there */
        int known = 0, k = 0;
        while (e->has[known]) known++;
        const char **has = doctor_keep(d, sizeof *has * (size_t)(known + before + 1));
        for (k = 0; has && k < known; k++) has[k] = e->has[k];
        for (int i = 0, left = 0; has && i < before; i++) {
            if (left < n && symbols[left] == asked[i]) left++;
            else has[k++] = asked[i];
        }
        if (has) e->has = has;
        files_record(d, e);
    }
    return n;
}

/* ---- where the loader looks ---- */
enum { CACHE_HEAD = 48, CACHE_ENTRY = 24, CACHE_X86_64 = 0x0300, CACHE_AARCH64 = 0x0a00 };

static uint32_t files_word(const char *p) {
    uint32_t n;
    memcpy(&n, p, sizeof n);
    return n;
}

/* The format of glibc 2.2 and later, which may stand behind the old one: a head of 48 bytes, entries (flags, name, path, ...), strings. */
const char *doctor_ld_cache_in(doctor *d, const char *data, size_t size, const char *name) {
    static const char magic[] = "glibc-ld.so.cache1.1";
    const char *p = NULL;
    for (size_t at = 0; at + CACHE_HEAD <= size && !p; at += 4)
        if (!memcmp(data + at, magic, sizeof magic - 1)) p = data + at, size -= at;
    if (!p) return NULL;
    uint32_t count = files_word(p + 20);
    for (size_t i = 0; i < count && CACHE_HEAD + (i + 1) * CACHE_ENTRY <= size; i++) {
        const char *entry = p + CACHE_HEAD + i * CACHE_ENTRY;
        uint32_t kind = files_word(entry) & 0xff00, key = files_word(entry + 4), value = files_word(entry + 8);
        if ((kind != CACHE_X86_64 && kind != CACHE_AARCH64) || key >= size || value >= size) continue;
        if (!strncmp(p + key, name, size - key)) return doctor_text(d, "%.*s", (int)(size - value < 4096 ? size - value : 4096), p + value);
    }
    return NULL;
}

const char *doctor_ld_cache(doctor *d, const char *name) {
    size_t size = 0;
    const char *text = d->options.root ? doctor_read(d, "/.doctor/ldcache", NULL, NULL) : NULL; /* "NAME PATH" lines */
    if (text) return doctor_field(d, text, name);
    text = doctor_read(d, "/etc/ld.so.cache", &size, NULL);
    return text ? doctor_ld_cache_in(d, text, size, name) : NULL;
}

/* The first folder of a list with : (and ; in LD_LIBRARY_PATH) that has `name`. */
static const char *files_search(doctor *d, const char *list, const char *origin, const char *name) {
    for (const char *p = list ? list : ""; *p; p += strcspn(p, ":;"), p += *p != 0) {
        int n = (int)strcspn(p, ":;");
        const char *folder = doctor_text(d, "%.*s", n, p), *path;
        if (!strncmp(folder, "$ORIGIN", 7)) path = doctor_text(d, "%s%s/%s", origin, folder + 7, name);
        else if (!strncmp(folder, "${ORIGIN}", 9)) path = doctor_text(d, "%s%s/%s", origin, folder + 9, name);
        else path = doctor_text(d, "%s/%s", folder, name);
        if (n && path[0] == '/' && doctor_exists(d, "%s", path)) return path;
    }
    return NULL;
}

doctor_resolved doctor_resolve(doctor *d, const char *name, const char *const *chain) {
    static const char *const folders[] = {"/lib64", "/usr/lib64", "/lib", "/usr/lib"};
    const doctor_elf *first = NULL;
    doctor_resolved r = {NULL, NULL};
    const char *origin = "";
    for (int i = 0; chain[i] && !r.path; i++) {
        const doctor_elf *e = doctor_elf_read(d, chain[i], DOCTOR_ELF_HEAD);
        const char *slash = e ? strrchr(e->path, '/') : NULL, *folder = slash ? doctor_text(d, "%.*s", (int)(slash - e->path), e->path) : "";
        if (!i) first = e, origin = folder;
        if (first && first->runpath) break; /* RUNPATH puts all RPATHs out of force */
        if (e && e->rpath && !e->runpath) r.path = files_search(d, e->rpath, folder, name), r.how = "RPATH";
    }
    if (!r.path) r.path = files_search(d, doctor_env(d, "LD_LIBRARY_PATH"), origin, name), r.how = "LD_LIBRARY_PATH";
    if (!r.path && first) r.path = files_search(d, first->runpath, origin, name), r.how = "RUNPATH";
    if (!r.path) r.path = doctor_ld_cache(d, name), r.how = "ld.so.cache";
    for (int i = 0; i < TAPER_COUNT(folders) && !r.path; i++)
        if (doctor_exists(d, "%s/%s", folders[i], name)) r = (doctor_resolved){doctor_text(d, "%s/%s", folders[i], name), "default"};
    if (r.path && doctor_real(d, r.path)) r.path = doctor_real(d, r.path);
    if (!r.path) r.how = NULL;
    return r;
}
