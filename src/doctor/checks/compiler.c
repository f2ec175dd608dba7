/* torch.compile: Triton builds a launcher with a C compiler and Python.h at run time. */
#include "doctor/python.h"

#include <string.h>

static const char *compiler_path(doctor *d) {
    static const char *const names[] = {"gcc", "clang", "cc"};
    const char *cc = doctor_env(d, "CC");
    if (cc && cc[0] == '/' && doctor_exists(d, "%.*s", (int)strcspn(cc, " "), cc)) return cc;
    for (const char *p = doctor_env(d, "PATH"); p && *p; p += strcspn(p, ":"), p += *p == ':') {
        int n = (int)strcspn(p, ":");
        for (int i = 0; n && i < TAPER_COUNT(names); i++)
            if (doctor_exists(d, "%.*s/%s", n, p, names[i])) return doctor_text(d, "%.*s/%s", n, p, names[i]);
    }
    return NULL;
}

static void compiler_run(doctor *d) {
    const doctor_python *p = doctor_cuda_torch(d);
    const doctor_package *triton = doctor_python_package(p, "triton");
    if (!triton) triton = doctor_python_package(p, "pytorch-triton");
    if (!triton || !doctor_gpu_count(d)) return;
    const char *path = compiler_path(d), *header = doctor_text(d, "%s/include/python%s/Python.h", p->base, p->version);
    bool has = doctor_exists(d, "%s", header) || doctor_exists(d, "%s/include/python%s/Python.h", p->prefix, p->version);
    if (path && has) {
        doctor_fine(d, "%s, %s", path, header);
        return;
    }
    bool conda = doctor_exists(d, "%s/conda-meta", p->base);
    doctor_finding *f = doctor_find(d, DOCTOR_SLOW, path ? "python-headers-missing" : "compiler-missing", "https://github.com/pytorch/pytorch/issues/129351");
    if (path)
        doctor_evidence(d, f, "%s: ENOENT; triton %s", header, triton->version);
    else
        doctor_evidence(d, f, "no gcc, clang or cc on PATH; triton %s", triton->version);
    if (path)
        doctor_cause(d, f, "torch.compile cannot be used: Triton needs Python.h of Python %s.", "无法使用 torch.compile: Triton 需要 Python %s 的 Python.h。", p->version);
    else
        doctor_cause(d, f, "torch.compile cannot be used: Failed to find C compiler.", "无法使用 torch.compile: Failed to find C compiler。");
    if (conda && !path)
        doctor_cure(d, f, "conda install -p %s -c conda-forge gcc", NULL, p->base);
    else
        doctor_cure(d, f, "apt install gcc python%s-dev, or a devel image", "apt install gcc python%s-dev, 或换用 devel 镜像", p->version);
}

DOCTOR_CHECK(compiler, .code = 707, .layer = DOCTOR_PYTHON, .reads = "CC, PATH, include/pythonX.Y/Python.h, triton's dist-info", .asks = "can torch.compile build its launchers?",
             .finds = {"compiler-missing", "python-headers-missing"}, .run = compiler_run);
