/* What NVML answers: its code names the fault where the driver itself is at odds with the machine. */
#include "doctor/gpus.h"

#include <string.h>

typedef struct nvml_case {
    int code;
    const char *id, *name, *en, *zh, *cure, *cure_zh, *link;
} nvml_case;

static const nvml_case nvml_cases[] = {
    {4, "nvml-permission", "NO_PERMISSION", "NVML may not talk to the driver: this user has no right to the GPU's nodes.", "NVML 无权访问驱动: 当前用户没有 GPU 节点的权限。",
     "ls -l /dev/nvidia*; rootless podman: --group-add keep-groups", "ls -l /dev/nvidia*; 无根 podman 加 --group-add keep-groups", "https://github.com/NVIDIA/nvidia-container-toolkit/issues/210"},
    {9, "nvml-no-driver", "DRIVER_NOT_LOADED", "NVML finds no running driver.", "NVML 找不到运行中的驱动。", "sudo modprobe nvidia; sudo dmesg | grep -i nvrm", NULL, "https://docs.nvidia.com/deploy/nvml-api/"},
    {15, "nvml-gpu-lost", "GPU_IS_LOST", "A GPU has fallen off the bus (Xid 79): power, heat, the slot or its firmware.", "有 GPU 从总线掉线 (Xid 79): 供电、过热、插槽或固件问题。",
     "reboot; check power cables and temperature", "重启, 检查供电和温度", "https://github.com/NVIDIA/open-gpu-kernel-modules/issues/507"},
    {16, "nvml-reset", "RESET_REQUIRED", "The GPU wants a reset before it works again.", "GPU 需要复位后才能继续使用。", "sudo nvidia-smi --gpu-reset -i 0 (no job may run), or reboot", "sudo nvidia-smi --gpu-reset -i 0 (先停掉任务) 或重启", "https://docs.nvidia.com/deploy/xid-errors/index.html"},
    {18, "nvml-mismatch", "LIB_RM_VERSION_MISMATCH", "Driver libraries and kernel module are of different versions: the package was updated under a running system.",
     "驱动库与内核模块版本不一致: 系统运行中升级了驱动包。", "sudo reboot (in a container: recreate it)", "sudo reboot (容器: 重建)", "https://docs.nvidia.com/deploy/nvml-api/"},
    {999, "nvml-unknown", "UNKNOWN", "NVML fails without saying why; in a container this is the device cgroup after a daemon-reload.", "NVML 返回未知错误; 在容器中通常是 daemon-reload 之后的设备 cgroup。",
     "recreate the container; on the host: sudo dmesg | grep -i nvrm", "重建容器; 宿主机: sudo dmesg | grep -i nvrm", "https://github.com/NVIDIA/nvidia-container-toolkit/issues/48"},
};

static void nvml_report(doctor *d, int code, const char *call) {
    const nvml_case *c = NULL;
    for (int i = 0; i < TAPER_COUNT(nvml_cases); i++)
        if (nvml_cases[i].code == code) c = &nvml_cases[i];
    if (!c) {
        doctor_unknown(d, "%s: NVML error %d", call, code);
        return;
    }
    doctor_finding *f = doctor_find(d, DOCTOR_BROKEN, c->id, c->link);
    doctor_evidence(d, f, "%s: %d (NVML_ERROR_%s)", call, code, c->name);
    doctor_cause(d, f, c->en, c->zh);
    doctor_cure(d, f, c->cure, c->cure_zh);
}

static void nvml_run(doctor *d) {
    doctor_rung rung = doctor_ladder(d);
    if (rung < RUNG_NVML) return;
    const doctor_facts *nvml = doctor_nvml(d), *loader = doctor_loader(d);
    int init = (int)doctor_fact_int(nvml, -1, "init"), count = (int)doctor_fact_int(nvml, 0, "count"), lost = 0;
    const char *ml = doctor_fact(loader, "libnvidia-ml.so.1.path"), *module = doctor_module(d, NULL);
    if (init == 18 && ml && module && !strstr(ml, module)) return; /* the check of libraries says so with both versions */
    if (init < 0) {
        doctor_finding *f = doctor_find(d, DOCTOR_BROKEN, "nvml-hangs", "https://docs.nvidia.com/deploy/xid-errors/index.html");
        doctor_evidence(d, f, "the probe of NVML: %s", doctor_facts_end(nvml) ? doctor_facts_end(nvml) : "no answer");
        doctor_cause(d, f, "NVML does not come back: the driver is stuck on a GPU.", "NVML 没有返回: 驱动卡在某块 GPU 上。");
        doctor_cure(d, f, "sudo dmesg | grep -iE 'nvrm|xid'; reboot", "sudo dmesg | grep -iE 'nvrm|xid'; 重启");
        return;
    }
    if (init) {
        nvml_report(d, init, "nvmlInit_v2");
        return;
    }
    for (int i = 0; i < count; i++) {
        int code = (int)doctor_fact_int(nvml, 0, "gpu.%d.error", i);
        if (code) nvml_report(d, code, doctor_text(d, "nvmlDeviceGetHandleByIndex_v2(%d)", i));
        lost += code != 0;
    }
    const char *const *addresses;
    int bus = doctor_pci_gpus(d, &addresses);
    const char *address;
    int row;
    doctor_stopped why = doctor_gpu_stopped(d, &address, &row);
    if (!count && why != STOPPED_NONE && why != STOPPED_UNKNOWN) return; /* the check gpu_support says why */
    if (!count) {
        doctor_finding *f = doctor_find(d, DOCTOR_BROKEN, "nvml-no-devices", "https://github.com/NVIDIA/open-gpu-kernel-modules/issues/862");
        doctor_evidence(d, f, "nvmlDeviceGetCount_v2: 0; on the PCI bus: %d; module %s", bus, module ? module : "?");
        doctor_cause(d, f, "The driver runs but started no GPU (RmInitAdapter failed): too old for it, the closed module where the open one is needed, or a fault.",
                     "驱动在运行但没有初始化任何 GPU (RmInitAdapter failed): 驱动太旧、需要开放内核模块, 或硬件故障。");
        doctor_cure(d, f, "sudo dmesg | grep -i nvrm; Blackwell: an -open driver >= 570", "sudo dmesg | grep -i nvrm; Blackwell 用 570 以上 -open 驱动");
    } else if (!lost) {
        doctor_fine(d, "%d GPU%s, driver %s", count, count > 1 ? "s" : "", doctor_fact(nvml, "driver") ? doctor_fact(nvml, "driver") : "?");
    }
}

DOCTOR_CHECK(nvml, .code = 501, .layer = DOCTOR_DRIVER, .reads = "nvmlInit_v2, nvmlDeviceGetCount_v2, nvmlDeviceGetHandleByIndex_v2", .asks = "does the driver's management interface answer?",
             .finds = {"nvml-permission", "nvml-no-driver", "nvml-gpu-lost", "nvml-reset", "nvml-mismatch", "nvml-unknown", "nvml-hangs", "nvml-no-devices"}, .run = nvml_run);
