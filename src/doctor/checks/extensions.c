/* Do the packages that are built against PyTorch match the PyTorch that is installed? */
#include "doctor/python.h"

#include <stdlib.h>
#include <string.h>

enum { EXTENSIONS_SYMBOLS = 2000, EXTENSIONS_READ = 500 };

/* The version that "Requires-Dist: torch (==2.6.0)" or "torch==2.6.0" demands; NULL. */
static const char *extensions_pin(doctor *d, const char *metadata) {
    for (const char *p = metadata; *p && *p != '\n' && *p != '\r'; p += strcspn(p, "\n"), p += *p == '\n') {
        if (strncmp(p, "Requires-Dist: torch", 20)) continue;
        const char *at = p + 20 + strspn(p + 20, " (");
        size_t end = strcspn(p, "\n"), marker = strcspn(p, ";\n");
        if (strncmp(at, "==", 2) || (marker < end && memchr(p + marker, 'e', end - marker) && strstr(doctor_text(d, "%.*s", (int)(end - marker), p + marker), "extra"))) continue;
        at += 2 + strspn(at + 2, "= ");
        size_t n = strspn(at, "0123456789.*+abcdefghijklmnopqrstuvwxyz");
        return n ? doctor_text(d, "%.*s", (int)n, at) : NULL;
    }
    return NULL;
}

static bool extensions_meets(doctor *d, const char *installed, const char *pin) {
    const char *star = strstr(pin, ".*"), *local = strchr(pin, '+'), *have = strchr(installed, '+');
    if (star) return !strncmp(installed, pin, (size_t)(star - pin)) && strchr(".+", installed[star - pin]);
    if (local && have && strcmp(local, have)) return false;
    const char *release = doctor_text(d, "%.*s", (int)strcspn(installed, "+"), installed);
    return !doctor_release_order(release, pin, 3);
}

/* "cu124" or "cpu" behind the version's plus; NULL. */
static const char *extensions_variant(const char *version) {
    const char *plus = version ? strchr(version, '+') : NULL;
    return plus && (!strncmp(plus + 1, "cu", 2) || !strncmp(plus + 1, "cpu", 3)) ? plus + 1 : NULL;
}

static bool extensions_package(doctor *d, const doctor_python *p, const doctor_package *k) {
    const char *metadata = doctor_read(d, doctor_text(d, "%s/METADATA", k->info), NULL, NULL), *pin = metadata ? extensions_pin(d, metadata) : NULL;
    const char *variant = extensions_variant(k->version), *release = doctor_text(d, "%.*s", (int)strcspn(p->torch_version, "+"), p->torch_version);
    bool vision = !strcmp(k->name, "torchvision") || !strcmp(k->name, "torchaudio");
    doctor_finding *f;
    if (pin && !extensions_meets(d, p->torch_version, pin)) {
        f = doctor_find(d, DOCTOR_BROKEN, "extension-torch", "https://github.com/pytorch/vision#installation");
        doctor_evidence(d, f, "%s/METADATA: Requires-Dist: torch==%s; installed: %s", k->info, pin, p->torch_version);
        doctor_cause(d, f, "%s %s was built for PyTorch %s, but %s is installed: undefined symbol, or operator torchvision::nms does not exist.",
                     "%s %s 是为 PyTorch %s 编译的, 而安装的是 %s: undefined symbol 或 operator torchvision::nms does not exist。", k->name, k->version, pin, p->torch_version);
        doctor_cure(d, f, "%s --force-reinstall torch==%s %s", NULL, doctor_pip(d, p), release, k->name);
        return true;
    }
    if (!vision || !variant) return false;
    bool cpu = !strncmp(variant, "cpu", 3);
    int digits = cpu ? 0 : atoi(variant + 2), major = digits >= 100 ? digits / 10 : digits;
    if (cpu ? !p->cuda : p->cuda && major == atoi(p->cuda)) return false;
    f = doctor_find(d, DOCTOR_BROKEN, "extension-variant", "https://github.com/pytorch/vision#installation");
    doctor_evidence(d, f, "%s %s; torch %s, CUDA %s", k->name, k->version, p->torch_version, p->cuda ? p->cuda : "none");
    doctor_cause(d, f, "%s is the build for %s and does not go with PyTorch %s: its GPU operators are missing or refuse to load.",
                 "%s 是 %s 版, 与 PyTorch %s 不配套: 缺少 GPU 算子或拒绝加载。", k->name, variant, p->torch_version);
    const char *dot = p->cuda ? strchr(p->cuda, '.') : NULL;
    doctor_cure(d, f, "%s --force-reinstall --no-deps %s==%.*s --index-url https://download.pytorch.org/whl/%s", NULL, doctor_pip(d, p), k->name, (int)strcspn(k->version, "+"), k->version,
                p->cuda ? doctor_text(d, "cu%d%.*s", atoi(p->cuda), dot ? (int)strcspn(dot + 1, ".") : 0, dot ? dot + 1 : "") : "cpu");
    return true;
}

/* Of c10 and at only: other names may come from the package's own libraries. The package's own files may define them, too. */
static int extensions_missing(doctor *d, const doctor_python *p, const doctor_elf *e, const char **symbols) {
    static const char *const names[] = {"libc10.so",      "libtorch_cpu.so",         "libtorch_python.so", "libtorch_cuda.so", "libc10_cuda.so",
                                        "libtorch.so",    "libtorch_cuda_linalg.so", "libtorch_cuda_cpp.so", "libtorch_cuda_cu.so"};
    int n = 0;
    for (int i = 0; e->undefined[i] && n < EXTENSIONS_SYMBOLS; i++)
        if (strstr(e->undefined[i], "3c10") || strstr(e->undefined[i], "2at")) symbols[n++] = e->undefined[i];
    symbols[n] = NULL;
    int found = 0;
    for (int i = 0; i < TAPER_COUNT(names) && n; i++) {
        const char *path = doctor_torch_library(d, p, names[i]);
        int left = path ? doctor_elf_drop_defined(d, path, symbols) : n;
        if (left < 0) return 0; /* cannot be told */
        found += path != NULL;
        n = left;
    }
    if (!found) return 0;
    const char *chain[] = {e->path, NULL};
    for (int i = 0; e->needed[i] && n; i++) {
        if (!strncmp(e->needed[i], "libtorch_", 9) || !strncmp(e->needed[i], "libc10", 6) || !strncmp(e->needed[i], "libc.", 5)) continue;
        doctor_resolved r = doctor_resolve(d, e->needed[i], chain);
        int left = r.path ? doctor_elf_drop_defined(d, r.path, symbols) : n;
        if (left < 0) return 0;
        n = left;
    }
    return n;
}

static void extensions_run(doctor *d) {
    const doctor_python *p = doctor_torch_env(d);
    const doctor_extension *list;
    static const char *const vision[] = {"torchvision", "torchaudio"};
    if (!p) return;
    const char *blamed[32] = {NULL}, *seen = "";
    int bad = 0, n = doctor_extensions(d, p, &list), checked = 0;
    for (int i = 0; i < TAPER_COUNT(vision); i++) {
        const doctor_package *k = doctor_python_package(p, vision[i]);
        if (k) checked++, seen = doctor_text(d, "%s, %s %s", seen, k->name, k->version);
        if (k && extensions_package(d, p, k)) blamed[bad++] = k->name;
    }
    const char **symbols = doctor_keep(d, sizeof *symbols * (EXTENSIONS_SYMBOLS + 1));
    for (int i = 0; symbols && i < n && bad < 30; i++) {
        const doctor_package *k = list[i].package;
        bool known = false, first = i == 0 || list[i - 1].package != k;
        for (int b = 0; b < bad; b++) known |= !strcmp(blamed[b], k->name);
        if (known) continue; /* one cause, one finding */
        bool torch = !strcmp(k->name, "torchvision") || !strcmp(k->name, "torchaudio");
        if (first && !torch) {
            checked++, seen = doctor_text(d, "%s, %s %s", seen, k->name, k->version);
            if (extensions_package(d, p, k)) {
                blamed[bad++] = k->name;
                continue;
            }
        }
        const doctor_elf *e = doctor_elf_read(d, list[i].path, DOCTOR_ELF_UNDEFINED);
        int missing = e && !e->error ? extensions_missing(d, p, e, symbols) : 0;
        if (!missing) continue;
        blamed[bad++] = k->name;
        doctor_finding *f = doctor_find(d, DOCTOR_BROKEN, "extension-abi", "https://github.com/Dao-AILab/flash-attention/issues/1717");
        doctor_evidence(d, f, "%s: %d undefined symbols that %s/lib lacks, first %s", e->path, missing, p->torch, symbols[0]);
        doctor_cause(d, f, "%s %s was built for another PyTorch than %s: undefined symbol when it is imported.", "%s %s 是为别的 PyTorch (不是 %s) 编译的: 导入时报 undefined symbol。", k->name, k->version,
                     p->torch_version);
        const char *pip = doctor_pip(d, p), *own = doctor_text(d, "%.*s", (int)strcspn(k->version, "+"), k->version);
        if (torch)
            doctor_cure(d, f, "%s --force-reinstall torch==%.*s %s", NULL, pip, (int)strcspn(p->torch_version, "+"), p->torch_version, k->name);
        else
            doctor_cure(d, f, "%s --force-reinstall --no-deps --no-build-isolation --no-binary %s %s==%s, or its wheel for torch %s",
                        "%s --force-reinstall --no-deps --no-build-isolation --no-binary %s %s==%s, 或安装 torch %s 对应的 wheel", pip, k->name, k->name, own, p->torch_version);
    }
    if (!bad && checked) doctor_fine(d, "%s go with torch %s", seen + 2, p->torch_version);
}

DOCTOR_CHECK(extensions, .code = 705, .layer = DOCTOR_PYTHON, .reads = "METADATA and shared libraries of packages that need torch, symbols of libc10 and libtorch",
             .asks = "do torchvision, flash-attn and their like match this PyTorch?", .finds = {"extension-torch", "extension-variant", "extension-abi"}, .run = extensions_run);
