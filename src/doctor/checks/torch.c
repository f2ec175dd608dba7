/* Which PyTorch do the environments of this machine have, and is it one for CUDA? */
#include "doctor/python.h"

#include <string.h>

static void torch_run(doctor *d) {
    const doctor_python *list, *p = doctor_torch_env(d);
    const char *others = "", *pip = doctor_env(d, "PIP_EXTRA_INDEX_URL");
    int n = doctor_pythons(d, &list), gpus = doctor_gpu_count(d);
    for (int i = 0; i < n; i++)
        if (&list[i] != p && list[i].torch) others = doctor_text(d, "%s; also %s", others, doctor_torch_name(d, &list[i]));
    if (!p && *others)
        doctor_fine(d, "no torch in the active environment%s%s%s (activate one of them to have it judged)", n && list[0].active ? " " : "",
                    n && list[0].active ? list[0].prefix : "", others);
    if (!p) return;
    const char *name = doctor_torch_name(d, p), *active = p->active ? "active" : "not active";
    if (!gpus || (p->cuda && !p->hip)) {
        bool tf32 = p->cuda && doctor_release_order(p->torch_version, "1.12", 2) >= 0, tensor = false;
        for (int i = 0; i < gpus; i++) tensor |= doctor_fact_real(doctor_nvml(d), 0, "gpu.%d.cc", i) >= 8.0;
        doctor_fine(d, "%s (%s), CUDA %s%s%s", name, active, p->cuda ? p->cuda : "none", others,
                    tf32 && tensor ? "; float32 products do not use TF32 unless torch.set_float32_matmul_precision(\"high\") is called" : "");
        return;
    }
    int row = doctor_wheel_row(p->torch_version, 0, doctor_driver_version(d));
    doctor_finding *f = doctor_find(d, DOCTOR_BROKEN, p->hip ? "torch-rocm" : "torch-cpu", "https://github.com/opendatalab/MinerU/issues/240");
    doctor_evidence(d, f, "%s/version.py: __version__ = %s, cuda = None%s%s%s", p->torch, p->torch_version, others, pip && strstr(pip, "/whl/cpu") ? "; PIP_EXTRA_INDEX_URL=" : "",
                    pip && strstr(pip, "/whl/cpu") ? pip : "");
    if (p->hip)
        doctor_cause(d, f, "The PyTorch in %s is built for AMD's ROCm and does not see NVIDIA GPUs.", "%s 中的 PyTorch 是 AMD ROCm 版, 看不到 NVIDIA GPU。", p->prefix);
    else
        doctor_cause(d, f, "The PyTorch in %s is built without CUDA: Torch not compiled with CUDA enabled.", "%s 中的 PyTorch 不含 CUDA: Torch not compiled with CUDA enabled。", p->prefix);
    doctor_cure(d, f, "%s", NULL, row < 0 ? doctor_text(d, "%s --force-reinstall torch", doctor_pip(d, p)) : doctor_wheel_command(d, p, row));
}

DOCTOR_CHECK(torch, .code = 701, .layer = DOCTOR_PYTHON, .reads = "site-packages/torch/version.py of each environment", .asks = "which PyTorch is installed, and is it one for CUDA?",
             .finds = {"torch-cpu", "torch-rocm"}, .run = torch_run);
