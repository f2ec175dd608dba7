/* IOMMU translation redirects copies between GPUs on the PCI bus, and NCCL hangs at its first collective. */
#include "doctor/ladder.h"

#include <stdio.h>
#include <string.h>

static void iommu_run(doctor *d) {
    const char *const *gpus;
    int n = doctor_pci_gpus(d, &gpus), translated = 0;
    const char *line = doctor_line(d, "/proc/cmdline"), *cpu = doctor_read(d, "/proc/cpuinfo", NULL, NULL), *which = NULL;
    if (n < 2 || doctor_ladder(d) < RUNG_NVML || (cpu && strstr(cpu, " hypervisor"))) return; /* inside a machine it is the host's matter */
    for (int i = 0; i < n; i++) {
        const char *group = doctor_link(d, doctor_text(d, "/sys/bus/pci/devices/%s/iommu_group", gpus[i])), *number = group ? strrchr(group, '/') : NULL;
        const char *type = number ? doctor_line(d, "/sys/kernel/iommu_groups%s/type", number) : NULL;
        if (!type || strncmp(type, "DMA", 3)) continue;
        translated++;
        which = doctor_text(d, "/sys/kernel/iommu_groups%s/type: %s (GPU %s)", number, type, gpus[i]);
    }
    if (!translated) {
        doctor_fine(d, "%d GPUs, none behind a translating IOMMU", n);
        return;
    }
    /* With NVLink between all pairs no copy crosses the bus. */
    if (doctor_fact_int(doctor_nvml(d), 0, "gpu.0.nvlinks_active") > 0) {
        doctor_fine(d, "%s; the GPUs talk over NVLink", which);
        return;
    }
    doctor_finding *f = doctor_find(d, DOCTOR_SLOW, "iommu-translates", "https://docs.nvidia.com/deeplearning/nccl/user-guide/docs/troubleshooting.html");
    doctor_evidence(d, f, "%s; /proc/cmdline: %s", which, line ? line : "?");
    doctor_cause(d, f, "The IOMMU translates the GPUs' bus traffic: copies between them go through the CPU or never arrive (NCCL hangs at 100 %% utilisation).",
                 "IOMMU 在转换 GPU 的总线访问: GPU 间拷贝会绕道 CPU 甚至到不了 (NCCL 在 100%% 利用率下卡死)。");
    doctor_cure(d, f, "iommu=pt on the kernel's command line (and ACS off in the BIOS); until then NCCL_P2P_DISABLE=1", "内核参数加 iommu=pt (并在 BIOS 关闭 ACS); 在此之前用 NCCL_P2P_DISABLE=1");
}

DOCTOR_CHECK(iommu, .code = 901, .layer = DOCTOR_LINKS, .reads = "/sys/kernel/iommu_groups/*/type, /proc/cmdline", .asks = "does an IOMMU stand between the GPUs?", .finds = {"iommu-translates"}, .run = iommu_run);
