/* Is the driver new enough for the CUDA that PyTorch was built with? */
#include "doctor/ladder.h"
#include "doctor/python.h"
#include "doctor/tables.h"

#include <stdlib.h>
#include <string.h>

/* The oldest driver of a CUDA major, by minor-version compatibility. */
static const char *driver_least(int major) {
    static const struct { int major; const char *driver; } least[] = {{11, "450.80.02"}, {12, "525.60.13"}, {13, "580.65.06"}};
    for (int i = 0; i < TAPER_COUNT(least); i++)
        if (least[i].major == major) return least[i].driver;
    return NULL;
}

static void driver_run(doctor *d) {
    const doctor_python *p = doctor_cuda_torch(d);
    const char *driver = p && doctor_gpu_count(d) ? doctor_driver_version(d) : NULL;
    if (!driver) return;
    int major = atoi(p->cuda), reported = (int)doctor_fact_int(doctor_nvml(d), 0, "cuda");
    const char *least = driver_least(major), *loaded = doctor_fact(doctor_loader(d), "libcuda.so.1.path");
    const doctor_table *t = doctor_table_open("torch_builds");
    const char *strict = "";
    for (int row = -1; t && (row = doctor_table_find(t, row + 1, "cuda", p->cuda)) >= 0;) strict = doctor_cell(t, row, "strict");
    if (!least) {
        doctor_unknown(d, "CUDA %s of %s: its oldest driver is not known here", p->cuda, doctor_torch_name(d, p));
        return;
    }
    /* Forward compatibility: a newer libcuda over an older module. */
    if (loaded && strstr(loaded, "/compat/") && doctor_fact_int(doctor_cuda(d), 0, "driver") / 1000 >= major) {
        doctor_fine(d, "CUDA %s through %s over driver %s", p->cuda, loaded, driver);
        return;
    }
    if (doctor_version_order(driver, least) >= 0) {
        doctor_fine(d, "CUDA %s of PyTorch, driver %s (least %s)%s", p->cuda, driver, least,
                    *strict && doctor_version_order(driver, strict) < 0 ? ", by minor-version compatibility: PTX of this CUDA cannot be compiled" : "");
        return;
    }
    int row = doctor_wheel_row(p->torch_version, 0, driver);
    const char *wheel = row < 0 ? NULL : doctor_wheel_command(d, p, row);
    doctor_finding *f = doctor_find(d, DOCTOR_BROKEN, "driver-too-old", "https://docs.nvidia.com/deploy/cuda-compatibility/minor-version-compatibility.html");
    doctor_evidence(d, f, "%s: CUDA %s; driver %s, CUDA %d.%d at most", doctor_torch_name(d, p), p->cuda, driver, reported / 1000, reported % 1000 / 10);
    doctor_cause(d, f, "Driver %s is too old for CUDA %d.x, which needs %s: the NVIDIA driver on your system is too old.",
                 "驱动 %s 对 CUDA %d.x 太旧, 至少需要 %s: The NVIDIA driver on your system is too old。", driver, major, least);
    if (wheel)
        doctor_cure(d, f, "%1$s, or update the driver to %2$s or newer", "%1$s, 或把驱动升级到 %2$s 以上", wheel, least);
    else
        doctor_cure(d, f, "update the driver to %s or newer", "把驱动升级到 %s 以上", least);
}

DOCTOR_CHECK(torch_driver, .code = 703, .layer = DOCTOR_PYTHON, .reads = "torch/version.py, NVML driver version", .asks = "is the driver new enough for PyTorch's CUDA?",
             .finds = {"driver-too-old"}, .run = driver_run);
