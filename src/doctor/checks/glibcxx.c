/* Does the libstdc++ that the loader finds have the versions that PyTorch and its extensions need? */
#include "doctor/python.h"

#include <string.h>

static bool glibcxx_lacks(doctor *d, const char *path, const doctor_python *p, const doctor_elf *torch) {
    const char *chain[] = {path, p->program, NULL};
    const doctor_elf *e = doctor_elf_read(d, path, DOCTOR_ELF_HEAD);
    doctor_resolved r = doctor_resolve(d, "libstdc++.so.6", torch ? (const char *[]){torch->path, p->program, NULL} : chain);
    const doctor_elf *found = r.path ? doctor_elf_read(d, r.path, DOCTOR_ELF_HEAD) : NULL;
    if (!e || !found || found->error || !found->offers[0]) return false;
    for (int i = 0; e->wants[i]; i++) {
        if (strncmp(e->wants[i], "libstdc++.so.6 ", 15) || doctor_elf_listed(found->offers, e->wants[i] + 15)) continue;
        doctor_finding *f = doctor_find(d, DOCTOR_BROKEN, "glibcxx-old", "https://github.com/pytorch/pytorch/issues/87279");
        doctor_evidence(d, f, "%s needs %s; %s (%s)", e->path, e->wants[i] + 15, found->path, r.how);
        doctor_cause(d, f, "An older libstdc++ is found first: version %s not found.", "先找到了较旧的 libstdc++: version %s not found。", e->wants[i] + 15);
        if (!strcmp(r.how, "LD_LIBRARY_PATH"))
            doctor_cure(d, f, "unset LD_LIBRARY_PATH, or take %.*s out of it", "unset LD_LIBRARY_PATH, 或从中去掉 %.*s", (int)(strrchr(r.path, '/') - r.path), r.path);
        else if (doctor_exists(d, "%s/conda-meta", p->base))
            doctor_cure(d, f, "conda install -p %s -c conda-forge libstdcxx-ng", NULL, p->base);
        else
            doctor_cure(d, f, "sudo apt install --only-upgrade libstdc++6, or a newer base image", "sudo apt install --only-upgrade libstdc++6, 或换用较新的基础镜像");
        return true;
    }
    return false;
}

static void glibcxx_run(doctor *d) {
    static const char *const names[] = {"libc10.so", "libtorch_cpu.so", "libtorch_python.so", "libtorch_cuda.so"};
    const doctor_python *p = doctor_torch_env(d);
    const doctor_extension *list;
    const doctor_elf *torch = NULL;
    int read = 0;
    if (!p) return;
    for (int i = 0; i < TAPER_COUNT(names); i++) {
        const char *path = doctor_torch_library(d, p, names[i]);
        const doctor_elf *e = path ? doctor_elf_read(d, path, DOCTOR_ELF_HEAD) : NULL;
        if (!e || e->error) continue;
        if (!torch) torch = e; /* the first of them loads it for all */
        read++;
        if (glibcxx_lacks(d, path, p, torch)) return;
    }
    int n = doctor_extensions(d, p, &list);
    for (int i = 0; i < n && torch; i++, read++)
        if (glibcxx_lacks(d, list[i].path, p, torch)) return;
    doctor_resolved r = torch ? doctor_resolve(d, "libstdc++.so.6", (const char *[]){torch->path, p->program, NULL}) : (doctor_resolved){0};
    if (read && r.path) doctor_fine(d, "%s (found by %s) has what %d libraries need", r.path, r.how, read);
}

DOCTOR_CHECK(glibcxx, .code = 405, .layer = DOCTOR_LIBRARIES, .reads = "versions in libstdc++.so.6 as the loader finds it, and in PyTorch's libraries", .asks = "is libstdc++ new enough for PyTorch and its extensions?",
             .finds = {"glibcxx-old"}, .run = glibcxx_run);
