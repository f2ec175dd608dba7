/* Does the CUDA toolkit here match PyTorch's CUDA? It matters only where extensions are built. */
#include "doctor/python.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* "12.4" of a toolkit's folder; NULL. */
static const char *nvcc_version(doctor *d, const char *home) {
    const char *json = doctor_read(d, doctor_text(d, "%s/version.json", home), NULL, NULL), *header, *value;
    int major = 0, minor = 0;
    const char *cuda = json ? strstr(json, "\"cuda\"") : NULL, *version = cuda ? strstr(cuda, "\"version\"") : NULL;
    if (version && sscanf(version, "\"version\" : \"%d.%d", &major, &minor) == 2) return doctor_text(d, "%d.%d", major, minor);
    header = doctor_read(d, doctor_text(d, "%s/include/cuda.h", home), NULL, NULL);
    value = header ? doctor_field(d, header, "#define CUDA_VERSION") : NULL;
    return value && atoi(value) >= 1000 ? doctor_text(d, "%d.%d", atoi(value) / 1000, atoi(value) % 1000 / 10) : NULL;
}

static void nvcc_run(doctor *d) {
    const doctor_python *p = doctor_cuda_torch(d);
    const char *home = doctor_env(d, "CUDA_HOME"), *user = doctor_env(d, "HOME"), *cache = doctor_env(d, "TORCH_EXTENSIONS_DIR"), *const *names;
    if (!p) return;
    if (!home) home = doctor_env(d, "CUDA_PATH");
    if (!home && doctor_exists(d, "/usr/local/cuda/bin/nvcc")) home = "/usr/local/cuda";
    const char *version = home ? nvcc_version(d, home) : NULL;
    if (!version || !doctor_exists(d, "%s/bin/nvcc", home)) return;
    if (!cache && user) cache = doctor_text(d, "%s/.cache/torch_extensions", user);
    bool builds = cache && doctor_names(d, cache, &names) > 0;
    if (atoi(version) == atoi(p->cuda) || !builds) {
        doctor_fine(d, "%s has CUDA %s, PyTorch %s%s", home, version, p->cuda, atoi(version) == atoi(p->cuda) ? "" : " with its own libraries: it matters only for building extensions");
        return;
    }
    doctor_finding *f = doctor_find(d, DOCTOR_BROKEN, "nvcc-mismatch", "https://github.com/vllm-project/vllm/issues/1453");
    doctor_evidence(d, f, "%s: CUDA %s; %s: CUDA %s; extensions are built in %s", home, version, doctor_torch_name(d, p), p->cuda, cache);
    doctor_cause(d, f, "Extensions cannot be built: the detected CUDA version (%s) mismatches the version that was used to compile PyTorch (%s).",
                 "无法编译扩展: The detected CUDA version (%s) mismatches the version that was used to compile PyTorch (%s)。", version, p->cuda);
    doctor_cure(d, f, "install the CUDA %1$s toolkit and export CUDA_HOME=/usr/local/cuda-%1$s", "安装 CUDA %1$s 工具包, 并 export CUDA_HOME=/usr/local/cuda-%1$s", p->cuda);
}

DOCTOR_CHECK(nvcc, .code = 704, .layer = DOCTOR_PYTHON, .reads = "CUDA_HOME, /usr/local/cuda/version.json, torch/version.py, ~/.cache/torch_extensions",
             .asks = "can extensions be built with the CUDA toolkit here?", .finds = {"nvcc-mismatch"}, .run = nvcc_run);
