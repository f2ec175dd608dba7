/* Copies between host and GPU and within the GPU, against what link and memory can do. */
#include "doctor/probes/deep.h"

#include <stdlib.h>

/* A healthy link carries 78 to 90 % of its rate, memory copies 75 to 92 % of theirs. */
#define COPIES_LINK_LEAST 0.60
#define COPIES_MEMORY_LEAST 0.65

const doctor_facts *doctor_copies(doctor *d);

static void copies_link_found(doctor *d, const doctor_facts *f, int i, double h2d, double d2h) {
    int64_t gen = doctor_fact_int(f, 0, "gpu.%d.link_gen", i), width = doctor_fact_int(f, 0, "gpu.%d.link_width", i);
    int64_t most = doctor_fact_int(f, 0, "gpu.%d.link_gen_max", i), wide = doctor_fact_int(f, 0, "gpu.%d.link_width_max", i);
    double rate = doctor_pcie_rate(gen, width), full = doctor_pcie_rate(most, wide), worst = h2d < d2h ? h2d : d2h;
    const char *seen = doctor_text(d, "GPU %d: %.1f GB/s to the GPU, %.1f from it (pinned); link under load PCIe %lld.0 x%lld (%.1f GB/s), at most %lld.0 x%lld", i, h2d, d2h,
                                   (long long)gen, (long long)width, rate, (long long)most, (long long)wide);
    if (rate > 0 && rate < full * 0.99 && worst < COPIES_LINK_LEAST * full) {
        if (doctor_said(d, "pcie-link-narrow", NULL) || doctor_said(d, "pcie-slot-narrow", NULL)) {
            doctor_fine(d, "%s: %.0f %%, as the narrow link has it", seen, 100 * worst / full);
            return;
        }
        doctor_finding *p = doctor_find(d, DOCTOR_SLOW, "deep-pcie-link", "https://github.com/janhq/jan/issues/183");
        doctor_evidence(d, p, "%s", seen);
        doctor_cause(d, p, "GPU %d runs on a PCIe %lld.0 x%lld link even under load; it could use %lld.0 x%lld: copies reach %.0f %% of what they could.",
                     "GPU %d 在负载下仍只跑 PCIe %lld.0 x%lld, 可达 %lld.0 x%lld: 拷贝速度只有应有的 %.0f %%。", i, (long long)gen, (long long)width, (long long)most, (long long)wide,
                     100 * worst / full);
        doctor_cure(d, p, "reseat the card or move it to a x%lld slot, without a riser; BIOS: link speed Auto or Gen%lld, no bifurcation; then sudo lspci -vv | grep LnkSta",
                    "重新插卡或换到 x%lld 插槽, 不用延长线; BIOS 链路速度设为 Auto 或 Gen%lld, 关闭拆分; 然后 sudo lspci -vv | grep LnkSta", (long long)wide, (long long)most);
        return;
    }
    if (worst >= COPIES_LINK_LEAST * rate) return;
    doctor_finding *p = doctor_find(d, DOCTOR_SLOW, h2d <= d2h ? "deep-h2d-slow" : "deep-d2h-slow", "https://docs.nvidia.com/cuda/cuda-c-best-practices-guide/index.html#data-transfer-between-host-and-device");
    doctor_evidence(d, p, "%s", seen);
    if (h2d <= d2h)
        doctor_cause(d, p, "Copies to GPU %d reach %.1f GB/s, %.0f %% of its PCIe link: far memory, a throttled host, or a switch shared with other cards.",
                     "拷入 GPU %d 只有 %.1f GB/s, 为 PCIe 链路的 %.0f %%: 内存在远端节点、主机被限速或与其他卡共用交换芯片。", i, h2d, 100 * h2d / rate);
    else
        doctor_cause(d, p, "Copies from GPU %d reach %.1f GB/s, %.0f %% of its PCIe link: far memory, a throttled host, or a switch shared with other cards.",
                     "拷出 GPU %d 只有 %.1f GB/s, 为 PCIe 链路的 %.0f %%: 内存在远端节点、主机被限速或与其他卡共用交换芯片。", i, d2h, 100 * d2h / rate);
    doctor_cure(d, p, "nvidia-smi topo -m, then numactl --cpunodebind=N --membind=N taper doctor --deep --check copies with the GPU's node N",
                "nvidia-smi topo -m, 再用 GPU 所在节点 N 运行 numactl --cpunodebind=N --membind=N taper doctor --deep --check copies");
}

static bool copies_link_good(const doctor_facts *f, int i, double h2d, double d2h) {
    double rate = doctor_pcie_rate(doctor_fact_int(f, 0, "gpu.%d.link_gen", i), doctor_fact_int(f, 0, "gpu.%d.link_width", i));
    double full = doctor_pcie_rate(doctor_fact_int(f, 0, "gpu.%d.link_gen_max", i), doctor_fact_int(f, 0, "gpu.%d.link_width_max", i));
    double worst = h2d < d2h ? h2d : d2h;
    return worst >= COPIES_LINK_LEAST * rate && (rate <= 0 || rate >= full * 0.99 || worst >= COPIES_LINK_LEAST * full);
}

static void copies_gpu(doctor *d, const doctor_facts *f, int i) {
    const char *name = doctor_fact(f, "gpu.%d.name", i), *bus = doctor_fact(f, "gpu.%d.bus", i), *error = doctor_fact(f, "gpu.%d.error", i);
    double h2d = doctor_fact_real(f, 0, "gpu.%d.h2d", i), d2h = doctor_fact_real(f, 0, "gpu.%d.d2h", i), d2d = doctor_fact_real(f, 0, "gpu.%d.d2d", i);
    doctor_part part = doctor_part_of(name);
    double peak = part.bandwidth > 0 ? part.bandwidth : doctor_fact_real(f, 0, "gpu.%d.bandwidth", i);
    if (h2d <= 0 || d2h <= 0) {
        if (error) doctor_unknown(d, "GPU %d (%s): %s", i, name ? name : "?", error);
        return;
    }
    const char *text = doctor_text(d, "GPU %d %s: to it %.1f, from it %.1f GB/s pinned, %.1f and %.1f pageable", i, name ? name : "?", h2d, d2h,
                                   doctor_fact_real(f, 0, "gpu.%d.h2d_pageable", i), doctor_fact_real(f, 0, "gpu.%d.d2h_pageable", i));
    int64_t gen = doctor_fact_int(f, 0, "gpu.%d.link_gen", i), width = doctor_fact_int(f, 0, "gpu.%d.link_width", i);
    if (doctor_pcie_rate(gen, width) > 0) text = doctor_text(d, "%s (PCIe %lld.0 x%lld: %.0f %%)", text, (long long)gen, (long long)width, 100 * h2d / doctor_pcie_rate(gen, width));
    if (d2d > 0) text = doctor_text(d, "%s; its memory %.0f GB/s", text, d2d);
    if (doctor_is_slice(d, name)) peak = 0;
    if (d2d > 0 && peak > 0) text = doctor_text(d, "%s (%.0f %% of %.0f)", text, 100 * d2d / peak, peak);
    bool memory = d2d <= 0 || peak <= 0 || d2d >= COPIES_MEMORY_LEAST * peak;
    bool slice = doctor_is_slice(d, name);
    if (slice || (memory && copies_link_good(f, i, h2d, d2h))) {
        doctor_fine(d, "%s%s", text, slice ? "; a part of a GPU, not judged" : "");
        return;
    }
    int busy = doctor_busy_since(d, bus);
    if (busy > 20) { /* not the machine's fault */
        doctor_unknown(d, "%s; others used the GPU %d %% of the time", text, busy);
        return;
    }
    copies_link_found(d, f, i, h2d, d2h);
    if (memory) return;
    doctor_finding *p = doctor_find(d, DOCTOR_SLOW, "deep-memory-slow", "https://docs.nvidia.com/deploy/nvml-api/group__nvmlClocksEventReasons.html");
    doctor_evidence(d, p, "GPU %d %s: %.0f GB/s copying within its memory, %.0f by its parts", i, name ? name : "?", d2d, peak);
    doctor_cause(d, p, "The memory of GPU %d reaches %.0f %% of its %.0f GB/s (about 85 %% is normal): its memory clock is held low.",
                 "GPU %1$d 的显存带宽只有标称 %3$.0f GB/s 的 %2$.0f %% (正常约 85 %%): 显存频率被压低。", i, 100 * d2d / peak, peak);
    doctor_cure(d, p, "nvidia-smi -q -d CLOCK,PERFORMANCE,TEMPERATURE; sudo nvidia-smi -rmc", NULL);
}

static void copies_run(doctor *d) {
    if (!doctor_measures(d)) return;
    doctor_busy(d, "-"); /* before anything of ours runs */
    const doctor_facts *f = doctor_copies(d);
    for (int i = 0; i < 16; i++)
        if (doctor_fact(f, "gpu.%d.name", i)) copies_gpu(d, f, i);
    doctor_unmeasured(d, f, "copies");
}

DOCTOR_CHECK(copies, .code = 1501, .layer = DOCTOR_MEASURED, .reads = "timed copies by the driver API, PCIe link by NVML meanwhile", .asks = "how fast do bytes move to, from and within the GPUs?",
             .finds = {"deep-pcie-link", "deep-h2d-slow", "deep-d2h-slow", "deep-memory-slow"}, .deep = true, .run = copies_run);
