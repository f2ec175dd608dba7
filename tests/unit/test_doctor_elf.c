/* The reader of shared libraries and of ld.so.cache, on files written here; where the loader would look. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "doctor/elf.h"

#include "../fuzz/elf_sample.h"

static int failures;
static void check(bool ok, const char *name) {
    printf(ok ? "ok %s\n" : "not ok %s: wrong\n", name);
    failures += !ok;
}

static void write_file(const char *folder, const char *path, const void *data, size_t size) {
    char full[600];
    snprintf(full, sizeof full, "%s%s", folder, path);
    for (char *p = strchr(full + 1, '/'); p; p = strchr(p + 1, '/')) {
        *p = 0;
        mkdir(full, 0777);
        *p = '/';
    }
    FILE *f = fopen(full, "wb");
    if (f) fwrite(data, 1, size, f), fclose(f);
}

static bool is(const char *const *list, int i, const char *text) { return list[i] && !strcmp(list[i], text); }

static void test_parts(doctor *d, const char *path, const char *name) {
    char text[80];
    const doctor_elf *e = doctor_elf_read(d, path, DOCTOR_ELF_HEAD);
    snprintf(text, sizeof text, "elf_head_%s", name);
    check(e && !e->error && is(e->needed, 0, "libc10.so") && is(e->needed, 1, "libstdc++.so.6") && !e->needed[2] && e->soname && !strcmp(e->soname, "libsample.so") && e->runpath &&
              !strcmp(e->runpath, "$ORIGIN/../lib") && !e->rpath && is(e->wants, 0, "libstdc++.so.6 GLIBCXX_3.4.30") && !e->wants[1] && is(e->offers, 0, "VERSION_1"),
          text);
    const doctor_elf *more = doctor_elf_read(d, path, DOCTOR_ELF_UNDEFINED | DOCTOR_ELF_KERNELS);
    snprintf(text, sizeof text, "elf_undefined_%s", name); /* the weak one and those that are defined are left out */
    check(more == e && is(e->undefined, 0, "_ZNK3c104Type4nameEv") && is(e->undefined, 1, "__nvJitLinkComplete_12_4") && !e->undefined[2], text);
    snprintf(text, sizeof text, "elf_kernels_%s", name);
    check(e->fatbins == 1 && e->sass[80] && e->sass[90] && !e->sass[86] && e->ptx[90] && !e->ptx[80], text);
    const char *symbols[] = {"missing", "offered", "_ZNK3c104Type4nameEv", "also_offered", NULL};
    snprintf(text, sizeof text, "elf_defined_%s", name); /* undefined ones are not defined */
    check(doctor_elf_drop_defined(d, path, symbols) == 2 && !strcmp(symbols[0], "missing") && !strcmp(symbols[1], "_ZNK3c104Type4nameEv") && !symbols[2], text);
}

int main(void) {
    char folder[] = "/tmp/taper-elf-XXXXXX", record[] = "/tmp/taper-elf-XXXXXX", command[200];
    static uint8_t bytes[8192];
    if (!mkdtemp(folder) || !mkdtemp(record)) return 1;
    int64_t live = taper__alloc_live();
    size_t size = elf_sample_write(bytes, sizeof bytes, true);
    write_file(folder, "/opt/gnu/libsample.so", bytes, size);
    write_file(folder, "/opt/cut.so", bytes, size / 2);
    write_file(folder, "/opt/lib/libstdc++.so.6", "x", 1);
    write_file(folder, "/opt/text.so", "INPUT(libc.so)", 14);
    write_file(folder, "/opt/sysv/libsample.so", bytes, elf_sample_write(bytes, sizeof bytes, false));
    /* The old format before the new one; an entry for 32 bits comes first. */
    uint8_t cache[256] = "ld.so-1.7.0";
    uint32_t count = 2, first[3] = {0x0003, 96, 120}, second[3] = {0x0303, 96, 144};
    memcpy(cache + 12, "glibc-ld.so.cache1.1", 20);
    memcpy(cache + 32, &count, 4);
    memcpy(cache + 60, first, sizeof first);
    memcpy(cache + 84, second, sizeof second);
    memcpy(cache + 108, "libcudnn.so.9", 14);
    memcpy(cache + 132, "/wrong", 7);
    memcpy(cache + 156, "/usr/lib/libcudnn.so.9", 23);
    write_file(folder, "/etc/ld.so.cache", cache, sizeof cache);
    write_file(folder, "/.doctor/env", "LD_LIBRARY_PATH=/opt/none:/opt/text.so:/opt/gnu\n", 48);

    doctor *d = doctor_new(&(doctor_options){.root = folder});
    test_parts(d, "/opt/gnu/libsample.so", "gnu_hash");
    test_parts(d, "/opt/sysv/libsample.so", "sysv_hash");
    const doctor_elf *e = doctor_elf_read(d, "/opt/text.so", DOCTOR_ELF_KERNELS);
    const char *symbols[] = {"offered", NULL};
    check(e && e->error && !e->needed[0], "elf_text_is_refused");
    check(doctor_elf_drop_defined(d, "/opt/text.so", symbols) == -1 && symbols[0], "elf_text_defines_unknown");
    check(!doctor_elf_read(d, "/opt/none.so", 0), "elf_no_file");
    e = doctor_elf_read(d, "/opt/cut.so", DOCTOR_ELF_UNDEFINED | DOCTOR_ELF_KERNELS);
    check(e && !e->fatbins && !e->undefined[0], "elf_cut_off");
    const char *cached = doctor_ld_cache(d, "libcudnn.so.9");
    check(cached && !strcmp(cached, "/usr/lib/libcudnn.so.9") && !doctor_ld_cache(d, "libcudnn.so.8"), "elf_ld_cache");
    doctor_resolved r = doctor_resolve(d, "libstdc++.so.6", (const char *[]){"/opt/gnu/libsample.so", NULL});
    check(r.path && !strcmp(r.path, "/opt/lib/libstdc++.so.6") && !strcmp(r.how, "RUNPATH"), "elf_resolve_runpath");
    r = doctor_resolve(d, "libsample.so", (const char *[]){"/opt/sysv/libsample.so", NULL});
    check(r.path && !strcmp(r.path, "/opt/gnu/libsample.so") && !strcmp(r.how, "LD_LIBRARY_PATH"), "elf_resolve_library_path");
    doctor_free(d);

    /* What --record writes answers as the file did. */
    char path[300];
    snprintf(path, sizeof path, "%s/opt/gnu/libsample.so", folder);
    const char *kept[] = {"offered", "missing", NULL};
    d = doctor_new(&(doctor_options){.record = record});
    doctor_elf_read(d, path, DOCTOR_ELF_UNDEFINED | DOCTOR_ELF_KERNELS);
    check(doctor_elf_drop_defined(d, path, kept) == 1, "elf_record");
    doctor_free(d);
    d = doctor_new(&(doctor_options){.root = record});
    const char *again[] = {"missing", "offered", NULL};
    e = doctor_elf_read(d, path, DOCTOR_ELF_KERNELS);
    check(e && !e->error && is(e->needed, 1, "libstdc++.so.6") && e->sass[90] && e->ptx[90] && is(e->undefined, 1, "__nvJitLinkComplete_12_4") && e->runpath &&
              doctor_elf_drop_defined(d, path, again) == 1 && !strcmp(again[0], "missing"),
          "elf_recorded");
    doctor_free(d);
    check(taper__alloc_live() == live, "elf_no_leak");
    snprintf(command, sizeof command, "rm -rf '%s' '%s'", folder, record);
    if (system(command)) failures++;
    return failures != 0;
}
