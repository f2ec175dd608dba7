/* The driver against the GPUs on the bus: what it does not know any more, or not yet. */
#include "doctor/gpus.h"

#include <stdlib.h>
#include <string.h>

#include "doctor/tables.h"

#define GPU_SUPPORT_LINK "https://docs.nvidia.com/datacenter/tesla/drivers/supported-drivers-and-cuda-toolkit-versions.html"

static void gpu_support_run(doctor *d) {
    static const char *const ids[] = {"", "driver-too-old", "driver-too-new", "driver-not-open", "driver-open", "driver-no-bar", "driver-not-started"};
    const char *driver = doctor_fact(doctor_nvml(d), "driver"), *address = "?";
    int row = -1, count = (int)doctor_fact_int(doctor_nvml(d), 0, "count"), cuda = (int)doctor_fact_int(doctor_nvml(d), 0, "cuda");
    bool open = false;
    if (doctor_ladder(d) < RUNG_NVML || doctor_is_wsl(d)) return;
    if (!driver) driver = doctor_module(d, &open);
    doctor_module(d, &open);
    doctor_stopped why = doctor_gpu_stopped(d, &address, &row);
    if (!driver || (why == STOPPED_UNKNOWN && !count)) return; /* none started at all: the check nvml says so */
    const doctor_table *gpus = doctor_table_open("gpus"), *branches = doctor_table_open("drivers");
    const char *gpu = row >= 0 ? doctor_cell(gpus, row, "gpu") : "the GPU", *least = doctor_cell(gpus, row, "min_driver_branch"), *last = doctor_cell(gpus, row, "last_driver_branch");
    int branch = atoi(driver), oldest = atoi(least), newest = atoi(last);
    if (why == STOPPED_NONE) {
        int line = doctor_table_find(branches, 0, "branch", doctor_text(d, "%d", branch));
        const char *kind = doctor_cell(branches, line, "kind"), *end = doctor_cell(branches, line, "end_of_life");
        const char *life = !*end ? "" : !strcmp(end, "past") ? ", no longer maintained" : doctor_text(d, ", maintained until %s", end);
        if (count) doctor_fine(d, "%s: branch %d%s%s%s, %s modules, CUDA up to %d.%d", driver, branch, *kind ? " " : "", kind, life, open ? "open" : "closed", cuda / 1000, cuda % 1000 / 10);
        return;
    }
    doctor_finding *f = doctor_find(d, DOCTOR_BROKEN, ids[why], why == STOPPED_NO_BAR || why == STOPPED_UNKNOWN ? "https://github.com/NVIDIA/open-gpu-kernel-modules/issues/862" : GPU_SUPPORT_LINK);
    const char *device = doctor_line(d, "/sys/bus/pci/devices/%s/device", address);
    doctor_evidence(d, f, "%s: device %s (%s), bound to nvidia, not among NVML's %d; driver %s, %s modules", address, device ? device : "?", gpu, count, driver, open ? "open" : "closed");
    switch (why) {
    case STOPPED_OLD_DRIVER:
        doctor_cause(d, f, "Driver %s does not know %s: it needs branch %d or later.", "驱动 %s 不认识 %s: 需要 %d 或更新的分支。", driver, gpu, oldest);
        doctor_cure(d, f, "sudo apt install nvidia-driver-%d-open (or later), then reboot", "sudo apt install nvidia-driver-%d-open (或更新), 然后重启", oldest > 560 ? oldest : 570);
        break;
    case STOPPED_DROPPED:
        doctor_cause(d, f, "Driver %s no longer supports %s: branch %d was the last.", "驱动 %s 已不再支持 %s: %d 是最后一个支持的分支。", driver, gpu, newest);
        doctor_cure(d, f, "sudo apt install nvidia-driver-%d, then reboot", "sudo apt install nvidia-driver-%d, 然后重启", newest);
        break;
    case STOPPED_NEEDS_OPEN:
        doctor_cause(d, f, "%s works with the open kernel modules only, and the closed ones are loaded.", "%s 只支持开放内核模块, 而当前加载的是闭源模块。", gpu);
        doctor_cure(d, f, "sudo apt install nvidia-driver-%d-open, then reboot", "sudo apt install nvidia-driver-%d-open, 然后重启", branch);
        break;
    case STOPPED_NEEDS_CLOSED:
        doctor_cause(d, f, "The open kernel modules do not support %s (they begin with Turing).", "开放内核模块不支持 %s (从 Turing 开始支持)。", gpu);
        doctor_cure(d, f, "sudo apt install nvidia-driver-%d (without -open), then reboot", "sudo apt install nvidia-driver-%d (不带 -open), 然后重启", branch);
        break;
    case STOPPED_NO_BAR:
        doctor_evidence(d, f, "/sys/bus/pci/devices/%s/resource: no address for the second range; not among NVML's %d", address, count);
        doctor_cause(d, f, "The BIOS gave the memory window of the GPU at %s no address.", "BIOS 没有给 %s 处 GPU 的显存窗口分配地址。", address);
        doctor_cure(d, f, "BIOS: Above 4G Decoding and Resizable BAR on, CSM off; or the kernel parameter pci=realloc", "BIOS 打开 Above 4G Decoding 和 Resizable BAR、关闭 CSM; 或加内核参数 pci=realloc");
        break;
    default:
        doctor_cause(d, f, "The driver runs but could not start the GPU at %s (RmInitAdapter failed).", "驱动在运行, 但无法初始化 %s 处的 GPU (RmInitAdapter failed)。", address);
        doctor_cure(d, f, "sudo dmesg | grep -iE 'nvrm|xid'; check its power cable, reseat it, reboot", "sudo dmesg | grep -iE 'nvrm|xid'; 检查供电线、重新插卡、重启");
    }
}

DOCTOR_CHECK(gpu_support, .code = 503, .layer = DOCTOR_DRIVER, .reads = "device and resource of each GPU on the bus, NVML's list, the tables of GPUs and drivers", .asks = "does this driver support every GPU on the bus?",
             .finds = {"driver-too-old", "driver-too-new", "driver-not-open", "driver-open", "driver-no-bar", "driver-not-started"}, .run = gpu_support_run);
