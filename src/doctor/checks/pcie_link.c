/* The PCIe link's width. Its generation is not looked at: at idle it is low to save power. */
#include "doctor/gpus.h"

#include <stdlib.h>
#include <string.h>

enum { PCIE_REPLAYS_PER_MINUTE = 8 };

/* Width as sysfs has it ("16", "x16"); 0 where it is not told or cannot be. */
static int pcie_link_width(doctor *d, const char *folder, const char *file) {
    const char *line = folder ? doctor_line(d, "%s/%s", folder, file) : NULL;
    int width = line ? atoi(line + strspn(line, "x ")) : 0;
    return width > 0 && width <= 32 ? width : 0;
}

static void pcie_link_run(doctor *d) {
    int n = doctor_gpus(d), bad = 0;
    const char *fine = "", *uptime = doctor_line(d, "/proc/uptime");
    double minutes = uptime ? atof(uptime) / 60 : 0;
    for (int i = 0; i < n; i++) {
        const char *bus = doctor_gpu_bus(d, i), *name = doctor_gpu_name(d, i), *folder = bus ? doctor_real(d, doctor_text(d, "/sys/bus/pci/devices/%s", bus)) : NULL;
        if (!doctor_gpu_works(d, i) || doctor_gpu_int(d, i, "virtualization", 0) == 2) continue;
        const char *slash = folder ? strrchr(folder, '/') : NULL, *port = slash && slash != folder ? doctor_text(d, "%.*s", (int)(slash - folder), folder) : NULL;
        int now = pcie_link_width(d, folder, "current_link_width"), most = pcie_link_width(d, folder, "max_link_width"), slot = pcie_link_width(d, port, "max_link_width");
        if (!now) now = (int)doctor_gpu_int(d, i, "pcie_width", 0);
        if (!most) most = (int)doctor_gpu_int(d, i, "pcie_width_max", 0);
        int64_t replays = doctor_gpu_int(d, i, "pcie_replays", 0), bar = doctor_gpu_int(d, i, "bar1_total", 0);
        const char *numbers = doctor_text(d, "%s at %s: link x%d of x%d%s", name, bus ? bus : "?", now, most, slot ? doctor_text(d, ", the slot x%d", slot) : "");
        bool mobile = strstr(name, "Laptop") || strstr(name, "Max-Q") || strstr(name, "Mobile");
        bool wired = slot && slot < most && now >= slot; /* the board gives no more: x8 is common, x4 and x1 are risers and chipset slots */
        if (now > 0 && now < most && !mobile && (!wired || now <= 4)) {
            bad++;
            if (doctor_again(d, wired ? "pcie-slot-narrow" : "pcie-link-narrow", numbers)) continue;
            doctor_finding *f = doctor_find(d, DOCTOR_SLOW, wired ? "pcie-slot-narrow" : "pcie-link-narrow", "https://github.com/janhq/jan/issues/183");
            doctor_evidence(d, f, "%s", numbers);
            if (wired) doctor_cause(d, f, "%s sits in a slot with %d of %d lanes: copies to and from it take %d times as long.", "%s 所在插槽只有 %d 条通道 (卡支持 %d 条): 拷贝耗时约为 %d 倍。", name, now, most, most / now);
            else doctor_cause(d, f, "The link of %s came up with %d of %d lanes: copies to and from it take %d times as long.", "%s 的 PCIe 链路只协商到 %d 条通道 (应为 %d 条): 拷贝耗时约为 %d 倍。", name, now, most, most / now);
            if (wired) doctor_cure(d, f, "move the card to an x16 slot of the CPU, without a riser", "换到直连 CPU 的 x16 插槽, 不用转接线");
            else doctor_cure(d, f, "power off, reseat the card and its riser, clean the contacts; BIOS: bifurcation of that slot to x16", "关机重新插卡和转接线、清洁金手指; BIOS 里把该插槽的拆分设为 x16");
        } else if (now > 0) {
            fine = doctor_text(d, "%s%s%s%s", fine, *fine ? "; " : "", numbers, bar > 0 ? doctor_text(d, ", BAR1 %lld MiB", (long long)(bar >> 20)) : "");
        }
        if (replays > 1000 && minutes > 0 && (double)replays / minutes > PCIE_REPLAYS_PER_MINUTE) {
            doctor_finding *f = doctor_find(d, DOCTOR_SLOW, "pcie-replays", "https://docs.nvidia.com/datacenter/dcgm/latest/user-guide/feature-overview.html");
            doctor_evidence(d, f, "%s: %lld replays in at most %.0f minutes", name, (long long)replays, minutes);
            doctor_cause(d, f, "The bus to %s repeats damaged packets (%.0f a minute): a bad contact, riser or slot.", "%s 的 PCIe 链路不断重传 (每分钟 %.0f 次): 接触不良、转接线或插槽有问题。", name, (double)replays / minutes);
            doctor_cure(d, f, "reseat the card, replace the riser; BIOS: one PCIe generation lower as a test", "重新插卡、更换转接线; 可在 BIOS 里降一代 PCIe 速率验证");
            bad++;
        }
    }
    if (!bad && *fine) doctor_fine(d, "%s", fine);
}

DOCTOR_CHECK(pcie_link, .code = 902, .layer = DOCTOR_LINKS, .reads = "current_link_width and max_link_width of the GPU and of its slot, nvmlDeviceGetPcieReplayCounter",
             .asks = "has the bus to each GPU all its lanes?", .finds = {"pcie-link-narrow", "pcie-slot-narrow", "pcie-replays"}, .run = pcie_link_run);
