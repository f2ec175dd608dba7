/* What is asked of an environment's torch: its libraries, the extensions built against it, the wheel to install instead. */
#include "doctor/ladder.h"
#include "doctor/python.h"
#include "doctor/state.h"
#include "doctor/tables.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TORCH_METADATA = 500, TORCH_RECORD_LINES = 20000 };

const char *doctor_torch_library(doctor *d, const doctor_python *p, const char *name) {
    return doctor_exists(d, "%s/lib/%s", p->torch, name) ? doctor_real(d, doctor_text(d, "%s/lib/%s", p->torch, name)) : NULL;
}

static bool torch_wanted(const char *metadata) {
    for (const char *p = metadata; *p && *p != '\n' && *p != '\r'; p += strcspn(p, "\n"), p += *p == '\n')
        if (!strncmp(p, "Requires-Dist: torch", 20) && !strchr("abcdefghijklmnopqrstuvwxyz0123456789-_", p[20] ? p[20] : ' ')) return true;
    return false;
}

static bool torch_linked(const doctor_elf *e) {
    for (int i = 0; e && e->needed[i]; i++)
        if (!strncmp(e->needed[i], "libtorch", 8) || !strncmp(e->needed[i], "libc10", 6)) return true;
    return e && e->undefined[0] && strncmp(e->undefined[0], "__nv", 4);
}

int doctor_extensions(doctor *d, const doctor_python *p, const doctor_extension **list) {
    doctor_extension *found = d->extensions ? NULL : doctor_keep(d, sizeof *found * (DOCTOR_EXTENSIONS + 1));
    int n = 0;
    for (int i = 0; found && i < p->package_count && i < TORCH_METADATA && n < DOCTOR_EXTENSIONS; i++) {
        const doctor_package *k = &p->packages[i];
        if (!strcmp(k->name, "torch") || !strncmp(k->name, "nvidia-", 7)) continue;
        const char *metadata = doctor_read(d, doctor_text(d, "%s/METADATA", k->info), NULL, NULL);
        const char *record = metadata && torch_wanted(metadata) ? doctor_read(d, doctor_text(d, "%s/RECORD", k->info), NULL, NULL) : NULL;
        int lines = 0;
        for (; record && *record && n < DOCTOR_EXTENSIONS && lines < TORCH_RECORD_LINES; record += strcspn(record, "\n"), record += *record == '\n', lines++) {
            size_t size = strcspn(record, ",\n");
            if (size < 4 || memcmp(record + size - 3, ".so", 3) || record[0] == '/' || record[0] == '.') continue;
            const char *path = doctor_text(d, "%s/%.*s", k->folder, (int)size, record);
            const doctor_elf *e = doctor_elf_read(d, path, DOCTOR_ELF_UNDEFINED | DOCTOR_ELF_KERNELS);
            if (torch_linked(e)) found[n++] = (doctor_extension){k, e->path};
        }
    }
    if (found) d->extensions = found, d->extension_count = n;
    *list = d->extensions;
    return d->extension_count;
}

int doctor_release_order(const char *a, const char *b, int numbers) {
    for (int i = 0; i < numbers; i++) {
        long x = strtol(a, (char **)&a, 10), y = strtol(b, (char **)&b, 10);
        if (x != y) return x < y ? -1 : 1;
        a += *a == '.', b += *b == '.';
    }
    return 0;
}

int doctor_gpu_count(doctor *d) {
    const doctor_facts *nvml = doctor_nvml(d);
    int64_t n = doctor_fact_int(nvml, -1, "init") ? 0 : doctor_fact_int(nvml, 0, "count");
    return n < 0 || n > 64 ? 0 : (int)n;
}

const char *doctor_driver_version(doctor *d) {
    const char *version = doctor_fact(doctor_nvml(d), "driver");
    if (!version) version = doctor_module(d, NULL);
    return version && doctor_version_valid(version) ? version : NULL;
}

int doctor_code_serves(const bool sass[DOCTOR_ELF_ARCHS], const bool ptx[DOCTOR_ELF_ARCHS], int cc) {
    if (cc < 20 || cc >= DOCTOR_ELF_ARCHS) return 0;
    for (int i = cc / 10 * 10; i <= cc; i++)
        if (sass[i]) return 2;
    for (int i = 0; i <= cc; i++)
        if (ptx[i]) return 1;
    return 0;
}

const char *doctor_arch_text(doctor *d, const bool marks[DOCTOR_ELF_ARCHS]) {
    const char *text = "";
    for (int i = 0; i < DOCTOR_ELF_ARCHS; i++)
        if (marks[i]) text = doctor_text(d, "%s%s%d.%d", text, *text ? " " : "", i / 10, i % 10);
    return *text ? text : "none";
}

static void torch_marks(bool marks[DOCTOR_ELF_ARCHS], const char *list) {
    for (; *list; list += strcspn(list, ";"), list += *list == ';') {
        int major = 0, minor = 0;
        if (sscanf(list, "%d.%d", &major, &minor) == 2 && major >= 2 && major < 25 && minor >= 0 && minor < 10) marks[10 * major + minor] = true;
    }
}

int doctor_wheel_row(const char *torch, int cc, const char *driver) {
    const doctor_table *t = doctor_table_open("torch_builds");
    int best = -1, best_score = -1;
    for (int row = 0; t && row < t->rows; row++) {
        bool sass[DOCTOR_ELF_ARCHS] = {false}, none[DOCTOR_ELF_ARCHS] = {false};
        torch_marks(sass, doctor_cell(t, row, "cc"));
        if (cc && doctor_code_serves(sass, none, cc) < 2) continue;
        if (driver && doctor_version_order(driver, doctor_cell(t, row, "minor")) < 0) continue;
        bool same = !doctor_release_order(torch, doctor_cell(t, row, "torch"), 2);
        bool full = driver && doctor_version_order(driver, doctor_cell(t, row, "strict")) >= 0;
        int major = 0, minor = 0, has_major = 0, has_minor = 0, stable = !strcmp(doctor_cell(t, row, "status"), "stable");
        sscanf(doctor_cell(t, row, "torch"), "%3d.%3d", &major, &minor);
        sscanf(torch, "%3d.%3d", &has_major, &has_minor);
        int away = abs(major * 14 + minor - has_major * 14 - has_minor); /* 1.13 is one before 2.0 */
        int score = (same ? 1 << 26 : 0) + (stable ? 1 << 25 : 0) + (away < 1 << 14 ? (1 << 14) - away : 0) * 1024 + (full ? 512 : 0) + row % 256;
        if (score > best_score) best_score = score, best = row;
    }
    return best;
}

const char *doctor_pip(doctor *d, const doctor_python *p) { return p->active ? "pip install" : doctor_text(d, "%s/bin/python -m pip install", p->prefix); }

const char *doctor_wheel_command(doctor *d, const doctor_python *p, int row) {
    const doctor_table *t = doctor_table_open("torch_builds");
    const char *version = doctor_cell(t, row, "torch"), *cuda = doctor_cell(t, row, "cuda"), *torch = p->torch_version;
    size_t digits = strspn(torch, "0123456789."); /* 2.6.0a0+git1234 is on no index */
    bool same = (!torch[digits] || torch[digits] == '+') && !doctor_release_order(torch, version, 2);
    const char *exact = same ? doctor_text(d, "%.*s", (int)strcspn(torch, "+"), torch) : doctor_text(d, "%s.0", version);
    return doctor_text(d, "%s --force-reinstall torch==%s --index-url https://download.pytorch.org/whl/cu%.*s%s", doctor_pip(d, p), exact, (int)strcspn(cuda, "."), cuda,
                       strchr(cuda, '.') ? strchr(cuda, '.') + 1 : "");
}

const char *doctor_torch_name(doctor *d, const doctor_python *p) { return doctor_text(d, "torch %s in %s", p->torch_version, p->prefix); }
