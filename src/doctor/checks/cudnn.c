/* Which copy of cuDNN does PyTorch get, and are its parts of one version? */
#include "doctor/python.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* "9.1.0" of a copy: the end of its file name, else cudnn_version.h in ../include; NULL. */
static const char *cudnn_version(doctor *d, const char *path) {
    static const char *const keys[] = {"#define CUDNN_MAJOR", "#define CUDNN_MINOR", "#define CUDNN_PATCHLEVEL"};
    const char *so = strstr(path, ".so."), *slash = strrchr(path, '/');
    if (so && strchr(so + 4, '.')) return so + 4;
    for (int k = 0; slash && k < 2; k++) {
        const char *text = doctor_read(d, doctor_text(d, k ? "%.*s/../../include/cudnn_version.h" : "%.*s/../include/cudnn_version.h", (int)(slash - path), path), NULL, NULL);
        int n[3] = {0};
        for (int i = 0; text && i < 3; i++) {
            const char *value = doctor_field(d, text, keys[i]);
            n[i] = value ? atoi(value) : 0;
        }
        if (n[0]) return doctor_text(d, "%d.%d.%d", n[0], n[1], n[2]);
    }
    return NULL;
}

/* Files that the wheel lists and the folder lacks; the first of them. */
static const char *cudnn_gone(doctor *d, const doctor_python *p, const doctor_package **wheel) {
    for (int i = 0; i < p->package_count; i++) {
        const doctor_package *k = &p->packages[i];
        const char *record = strncmp(k->name, "nvidia-cudnn-", 13) ? NULL : doctor_read(d, doctor_text(d, "%s/RECORD", k->info), NULL, NULL);
        *wheel = k;
        for (; record && *record; record += strcspn(record, "\n"), record += *record == '\n') {
            int n = (int)strcspn(record, ",\n");
            const char *path = doctor_text(d, "%s/%.*s", k->folder, n, record);
            if (strstr(path, "/lib/libcudnn") && strstr(path, ".so.") && !doctor_exists(d, "%s", path)) return path;
        }
    }
    return NULL;
}

static void cudnn_cure(doctor *d, doctor_finding *f, doctor_resolved r) {
    const char *slash = strrchr(r.path, '/');
    if (!strcmp(r.how, "LD_LIBRARY_PATH"))
        doctor_cure(d, f, "unset LD_LIBRARY_PATH, or take %.*s out of it", "unset LD_LIBRARY_PATH, 或从中去掉 %.*s", (int)(slash - r.path), r.path);
    else
        doctor_cure(d, f, "remove or update the other copy, %s", "删除或升级另一份 %s", r.path);
}

static void cudnn_run(doctor *d) {
    static const char *const parts[] = {"libcudnn_graph", "libcudnn_ops", "libcudnn_cnn", "libcudnn_adv", "libcudnn_heuristic", "libcudnn_ops_infer", "libcudnn_cnn_infer", "libcudnn_cnn_train"};
    const doctor_python *p = doctor_cuda_torch(d);
    const char *torch = p ? doctor_torch_library(d, p, "libtorch_cuda.so") : NULL, *name = NULL, *link = "https://github.com/pytorch/pytorch/issues/119989";
    const doctor_elf *e = torch ? doctor_elf_read(d, torch, DOCTOR_ELF_HEAD) : NULL;
    for (int i = 0; e && e->needed[i]; i++)
        if (!strncmp(e->needed[i], "libcudnn.so", 11)) name = e->needed[i];
    if (!name) return; /* linked in, or loaded by name later */
    doctor_finding *f;
    const doctor_package *wheel = NULL;
    const char *gone = cudnn_gone(d, p, &wheel);
    if (gone) {
        f = doctor_find(d, DOCTOR_BROKEN, "cudnn-incomplete", "https://github.com/pytorch/pytorch/issues/188892");
        doctor_evidence(d, f, "%s/RECORD lists %s: ENOENT", wheel->info, gone);
        doctor_cause(d, f, "The package %s %s is incomplete: its file %s is missing.", "软件包 %s %s 不完整, 缺少文件 %s。", wheel->name, wheel->version, strrchr(gone, '/') + 1);
        doctor_cure(d, f, "%s --force-reinstall --no-deps %s==%s", NULL, doctor_pip(d, p), wheel->name, wheel->version);
        return;
    }
    const char *chain[] = {torch, NULL}, *major = name + 11;
    doctor_resolved main = doctor_resolve(d, name, chain);
    const char *own = NULL; /* the wheel's copy, which torch loads by path where the loader finds none */
    for (int i = 0; i < p->path_count && !own; i++)
        if (doctor_exists(d, "%s/nvidia/cudnn/lib/%s", p->paths[i], name)) own = doctor_real(d, doctor_text(d, "%s/nvidia/cudnn/lib/%s", p->paths[i], name));
    if (!main.path && own) main = (doctor_resolved){own, "wheel"};
    if (!main.path) {
        f = doctor_find(d, DOCTOR_BROKEN, "cudnn-missing", link);
        doctor_evidence(d, f, "%s needs %s: not in RPATH, LD_LIBRARY_PATH, ld.so.cache or nvidia/cudnn/lib", torch, name);
        doctor_cause(d, f, "PyTorch cannot be imported: %s: cannot open shared object file.", "PyTorch 无法导入: %s: cannot open shared object file。", name);
        doctor_cure(d, f, "%s --force-reinstall torch==%s nvidia-cudnn-cu%d", NULL, doctor_pip(d, p), doctor_text(d, "%.*s", (int)strcspn(p->torch_version, "+"), p->torch_version), atoi(p->cuda));
        return;
    }
    const char *version = cudnn_version(d, main.path), *built = own && strcmp(own, main.path) ? cudnn_version(d, own) : NULL;
    chain[0] = main.path;
    for (int i = 0; i < TAPER_COUNT(parts); i++) { /* libcudnn opens its parts by name: LD_LIBRARY_PATH comes before its RUNPATH */
        const char *file = doctor_text(d, "%s.so%s", parts[i], major);
        doctor_resolved part = doctor_resolve(d, file, doctor_elf_listed(e->needed, file) ? (const char *[]){torch, NULL} : chain);
        const char *part_version = part.path ? cudnn_version(d, part.path) : NULL;
        if (!version || !part_version || !doctor_release_order(version, part_version, 3)) continue;
        f = doctor_find(d, DOCTOR_BROKEN, "cudnn-mixed", link);
        doctor_evidence(d, f, "%s %s (%s); %s %s (%s)", main.path, version, main.how, part.path, part_version, part.how);
        doctor_cause(d, f, "Parts of two cuDNN versions are mixed, %s and %s: CUDNN_STATUS_SUBLIBRARY_VERSION_MISMATCH or an undefined symbol.",
                     "混用了两个版本的 cuDNN, %s 和 %s: CUDNN_STATUS_SUBLIBRARY_VERSION_MISMATCH 或 undefined symbol。", version, part_version);
        cudnn_cure(d, f, part);
        return;
    }
    /* PyTorch takes a newer cuDNN of the same major version, not an older one. */
    if (version && built && (atoi(version) != atoi(built) || doctor_release_order(version, built, 2) < 0)) {
        f = doctor_find(d, DOCTOR_BROKEN, "cudnn-other", link);
        doctor_evidence(d, f, "%s %s (%s) before %s %s", main.path, version, main.how, own, built);
        doctor_cause(d, f, "The loader finds cuDNN %s before %s, which PyTorch was built with, and PyTorch refuses an older one.",
                     "加载器先找到 cuDNN %s, 而 PyTorch 是用 %s 编译的, 它拒绝更旧的版本。", version, built);
        cudnn_cure(d, f, main);
        return;
    }
    doctor_fine(d, "%s %s (found by %s)", main.path, version ? version : "of unknown version", main.how);
}

DOCTOR_CHECK(cudnn, .code = 403, .layer = DOCTOR_LIBRARIES, .reads = "libtorch_cuda.so, LD_LIBRARY_PATH, /etc/ld.so.cache, site-packages/nvidia/cudnn",
             .asks = "which cuDNN does PyTorch get, and is it whole?", .finds = {"cudnn-incomplete", "cudnn-missing", "cudnn-mixed", "cudnn-other"}, .run = cudnn_run);
