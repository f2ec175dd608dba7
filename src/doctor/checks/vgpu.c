/* A virtual GPU without a licence is throttled after some minutes. */
#include "doctor/gpus.h"

#include <stdio.h>

static void vgpu_run(doctor *d) {
    int n = doctor_gpus(d), bad = 0;
    const char *fine = "";
    for (int i = 0; i < n; i++) {
        const char *licence = doctor_fact(doctor_nvml(d), "gpu.%d.licence", i), *product = doctor_fact(doctor_nvml(d), "gpu.%d.licence_product", i), *name = doctor_gpu_name(d, i);
        int supported = 0, licensed = 0;
        if (doctor_gpu_int(d, i, "virtualization", 0) != 2 || !licence || sscanf(licence, "%d %d", &supported, &licensed) != 2) continue;
        if (licensed || !supported) {
            fine = doctor_listed(d, fine, doctor_text(d, "%s: vGPU, %s%s", name, licensed ? "licensed " : "needs no licence", licensed && product ? product : ""));
            continue;
        }
        const char *numbers = doctor_text(d, "%s: virtualization mode vGPU, licensed 0%s%s", name, product ? ", product " : "", product ? product : "");
        bad++;
        if (doctor_again(d, "vgpu-unlicensed", numbers)) continue;
        doctor_finding *f = doctor_find(d, DOCTOR_SLOW, "vgpu-unlicensed", "https://github.com/NVIDIA/gpu-operator/issues/220");
        doctor_evidence(d, f, "%s", numbers);
        doctor_cause(d, f, "%s is a vGPU without a licence: after about 20 minutes it runs at a fraction of its speed, later CUDA fails.", "%s 是没有许可证的 vGPU: 约 20 分钟后大幅降速, 之后 CUDA 会报错。", name);
        doctor_cure(d, f, "put the licence token into /etc/nvidia/ClientConfigToken, then sudo systemctl restart nvidia-gridd; nvidia-smi -q | grep -i license",
                    "把许可证 token 放到 /etc/nvidia/ClientConfigToken, 然后 sudo systemctl restart nvidia-gridd; nvidia-smi -q | grep -i license");
    }
    if (!bad && *fine) doctor_fine(d, "%s", fine);
}

DOCTOR_CHECK(vgpu, .code = 808, .layer = DOCTOR_GPU, .reads = "nvmlDeviceGetVirtualizationMode, nvmlDeviceGetGridLicensableFeatures_v4", .asks = "is a virtual GPU licensed?",
             .finds = {"vgpu-unlicensed"}, .run = vgpu_run);
