/* Does cuSPARSE get a libnvJitLink that has what it needs? */
#include "doctor/python.h"

#include <string.h>

static void nvjitlink_run(doctor *d) {
    static const char *const users[] = {"libcusparse.so", "libcusolver.so"};
    const doctor_python *p = doctor_cuda_torch(d);
    const char *torch = p ? doctor_torch_library(d, p, "libtorch_cuda.so") : NULL, *fine = NULL;
    const doctor_elf *e = torch ? doctor_elf_read(d, torch, DOCTOR_ELF_HEAD) : NULL;
    for (int i = 0; e && e->needed[i]; i++) {
        const char *chain[] = {torch, NULL, NULL}, *name = NULL, *symbols[65];
        bool user = false;
        int n = 0;
        for (int k = 0; k < TAPER_COUNT(users); k++) user |= !strncmp(e->needed[i], users[k], strlen(users[k]));
        doctor_resolved library = user ? doctor_resolve(d, e->needed[i], chain) : (doctor_resolved){0};
        const doctor_elf *u = library.path ? doctor_elf_read(d, library.path, DOCTOR_ELF_UNDEFINED) : NULL;
        for (int k = 0; u && u->needed[k]; k++)
            if (!strncmp(u->needed[k], "libnvJitLink.so", 15)) name = u->needed[k];
        for (int k = 0; u && u->undefined[k] && n < 64; k++)
            if (!strncmp(u->undefined[k], "__nvJitLink", 11)) symbols[n++] = u->undefined[k];
        symbols[n] = NULL;
        if (!name || !n) continue;
        chain[0] = u->path, chain[1] = torch;
        doctor_resolved found = doctor_resolve(d, name, chain);
        const doctor_elf *j = found.path ? doctor_elf_read(d, found.path, DOCTOR_ELF_HEAD) : NULL;
        int lacks = j ? doctor_elf_drop_defined(d, found.path, symbols) : n;
        if (lacks < 0) {
            doctor_unknown(d, "%s: %s", found.path, j->error ? j->error : "its symbols cannot be read");
            return;
        }
        if (!lacks) {
            fine = doctor_text(d, "%s has what %s needs (found by %s)", found.path, u->path, found.how);
            continue;
        }
        doctor_finding *f = doctor_find(d, DOCTOR_BROKEN, "nvjitlink-old", "https://github.com/pytorch/pytorch/issues/111469");
        doctor_evidence(d, f, "%s needs %s; %s (%s)", u->path, symbols[0], found.path ? found.path : name, found.path ? found.how : "not found");
        doctor_cause(d, f, "%s is loaded with a libnvJitLink that lacks %s: importing torch fails with undefined symbol.", "%s 加载到的 libnvJitLink 缺少 %s: import torch 报 undefined symbol。",
                     strrchr(u->path, '/') + 1, symbols[0]);
        if (found.path && !strcmp(found.how, "LD_LIBRARY_PATH"))
            doctor_cure(d, f, "unset LD_LIBRARY_PATH, or take %.*s out of it", "unset LD_LIBRARY_PATH, 或从中去掉 %.*s", (int)(strrchr(found.path, '/') - found.path), found.path);
        else
            doctor_cure(d, f, "%s --force-reinstall torch==%s (which brings the nvidia-nvjitlink it was built with)", "%s --force-reinstall torch==%s (会带上配套的 nvidia-nvjitlink)",
                        doctor_pip(d, p), doctor_text(d, "%.*s", (int)strcspn(p->torch_version, "+"), p->torch_version));
        return;
    }
    if (fine) doctor_fine(d, "%s", fine);
}

DOCTOR_CHECK(nvjitlink, .code = 404, .layer = DOCTOR_LIBRARIES, .reads = "libcusparse, libnvJitLink as the loader finds them", .asks = "does cuSPARSE get the libnvJitLink it was built with?",
             .finds = {"nvjitlink-old"}, .run = nvjitlink_run);
