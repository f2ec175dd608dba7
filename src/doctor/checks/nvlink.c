/* NVLink between the GPUs of this machine, and whether they can reach each other's memory at all. */
#include "doctor/gpus.h"

#include <stdio.h>
#include <string.h>

#define NVLINK_LINK "https://docs.nvidia.com/deploy/nvml-api/group__NvLink.html"
enum { NVLINK_REPLAYS = 100, NVLINK_CRC = 10000 };

/* Parts whose board wires every link; cards in a slot have links only where a bridge joins them. */
static bool nvlink_is_board(const char *name) {
    static const char *const whole[] = {"NVIDIA H200", "NVIDIA H20", "NVIDIA H800", "NVIDIA B200", "NVIDIA GB200", "NVIDIA GB300", "NVIDIA H100 80GB HBM3"};
    for (int i = 0; name && i < TAPER_COUNT(whole); i++)
        if (!strcmp(name, whole[i])) return true;
    return name && strstr(name, "SXM");
}

static void nvlink_peers(doctor *d, int n, const char *links) {
    int pairs = 0, over = 0, bus = 0, off = 0, last = 0;
    const char *first = NULL;
    for (int i = 0; i < n; i++)
        for (int j = i + 1; j < n; j++) {
            const char *value = doctor_fact(doctor_nvml(d), "gpu.%d.p2p.%d", i, j);
            int read = -1, write = -1, link = -1;
            if (!value || sscanf(value, "%d %d %d", &read, &write, &link) != 3) continue;
            pairs++;
            if (read == 0 && link == 0) over++;
            else if (read == 0) bus++;
            else last = read;
            if (read == 4 && !off++) first = doctor_text(d, "%d-%d", i, j);
        }
    const char *matrix = pairs ? doctor_text(d, "%d pairs: %d reach each other over NVLink, %d over PCIe, %d not%s", pairs, over, bus, pairs - over - bus,
                                             over + bus < pairs ? doctor_text(d, " (status %d)", last) : "") : "";
    if (off) {
        doctor_finding *f = doctor_find(d, DOCTOR_SLOW, "p2p-switched-off", "https://github.com/NVIDIA/nccl/issues/631");
        doctor_evidence(d, f, "nvmlDeviceGetP2PStatus of %s: 4 (DISABLED_BY_REGKEY); %s", first, matrix);
        doctor_cause(d, f, "Copies between GPUs are switched off by a setting of the driver: they go through main memory.", "驱动设置禁用了 GPU 间直接拷贝: 数据要绕道主存。");
        doctor_cure(d, f, "grep -r RegistryDwords /etc/modprobe.d /proc/driver/nvidia/params, take the setting out, reload the driver", "grep -r RegistryDwords /etc/modprobe.d /proc/driver/nvidia/params, 去掉该设置后重新加载驱动");
    } else if (*matrix || *links) {
        doctor_fine(d, "%s%s%s", matrix, *matrix && *links ? "; " : "", links);
    }
}

static void nvlink_run(doctor *d) {
    int n = doctor_gpus(d), bad = 0, most = 0, waiting = 0;
    const char *links = "";
    if (n < 2) return; /* one GPU alone has nobody to link to, whatever its links say */
    bool vm = doctor_is_vm(d);
    for (int i = 0; i < n; i++) {
        int active = (int)doctor_gpu_int(d, i, "nvlinks_active", 0), state = (int)doctor_gpu_int(d, i, "fabric_state", 0);
        most = active > most ? active : most;
        waiting += state == 1 || state == 2;
    }
    if (doctor_fact_int(doctor_cuda(d), 0, "init") == 802 || waiting) return; /* no fabric yet: its check speaks */
    for (int i = 0; i < n; i++) {
        const char *name = doctor_gpu_name(d, i), *down = doctor_fact(doctor_nvml(d), "gpu.%d.nvlinks_down", i), *to = doctor_fact(doctor_nvml(d), "gpu.%d.nvlinks_to", i);
        const char *errors = doctor_fact(doctor_nvml(d), "gpu.%d.nvlink_errors", i);
        int has = (int)doctor_gpu_int(d, i, "nvlinks", 0), active = (int)doctor_gpu_int(d, i, "nvlinks_active", 0);
        unsigned long long replay = 0, recovery = 0, crc = 0;
        if (has <= 0 || doctor_gpu_int(d, i, "mig", 0) == 1) continue;
        const char *numbers = doctor_text(d, "%s: %d of %d NVLinks up%s%s%s%s", name, active, has, down ? ", down " : "", down ? down : "", to ? ", to " : "", to ? to : "");
        if (active > 0) links = doctor_listed(d, links, doctor_text(d, "GPU %d %d links", i, active));
        /* In a virtual machine links may lead to GPUs that it does not have; only what its neighbours have is owed. */
        bool owed = nvlink_is_board(doctor_fact(doctor_nvml(d), "gpu.%d.name", i)) ? active < (vm ? most : has) : active > 0 && active < most;
        bad += owed;
        if (owed && !doctor_again(d, active ? "nvlink-partial" : "nvlink-down", numbers)) {
            doctor_finding *f = doctor_find(d, DOCTOR_SLOW, active ? "nvlink-partial" : "nvlink-down", NVLINK_LINK);
            doctor_evidence(d, f, "%s", numbers);
            if (active) doctor_cause(d, f, "%s has %d of %d NVLinks: collectives run at the pace of the weakest GPU.", "%s 只有 %d/%d 条 NVLink: 集合通信以最慢的 GPU 为准。", name, active, has);
            else doctor_cause(d, f, "None of the %2$d NVLinks of %1$s is up: copies between GPUs go over PCIe.", "%1$s 的 %2$d 条 NVLink 全部断开: GPU 间拷贝走 PCIe。", name, has);
            doctor_cure(d, f, "nvidia-smi nvlink -s; sudo dmesg | grep 'Xid.*74'; reset the GPUs or reboot; reseat bridge or module", "nvidia-smi nvlink -s; sudo dmesg | grep 'Xid.*74'; 复位 GPU 或重启; 重新插接桥或模组");
        }
        if (errors && sscanf(errors, "%llu %llu %llu", &replay, &recovery, &crc) == 3 && (recovery || replay > NVLINK_REPLAYS || crc > NVLINK_CRC)) {
            doctor_finding *f = doctor_find(d, DOCTOR_SLOW, "nvlink-errors", NVLINK_LINK);
            doctor_evidence(d, f, "%s; replays %llu, recoveries %llu, CRC errors %llu", numbers, replay, recovery, crc);
            doctor_cause(d, f, "The NVLinks of %s repeat damaged packets or had to be brought up again.", "%s 的 NVLink 有重传或链路恢复错误。", name);
            doctor_cure(d, f, "nvidia-smi nvlink -e -i %d; dcgmi diag -r 3; reseat bridge or module", "nvidia-smi nvlink -e -i %d; dcgmi diag -r 3; 重新插接桥或模组", i);
            bad++;
        }
    }
    if (!bad) nvlink_peers(d, n, links);
}

DOCTOR_CHECK(nvlink, .code = 904, .layer = DOCTOR_LINKS, .reads = "nvmlDeviceGetNvLinkState, nvmlDeviceGetNvLinkErrorCounter, nvmlDeviceGetP2PStatus", .asks = "are the links between GPUs up and sound?",
             .finds = {"nvlink-down", "nvlink-partial", "nvlink-errors", "p2p-switched-off"}, .run = nvlink_run);
