/* NVSwitch machines: is the fabric between the GPUs up, and does its manager fit the driver? */
#include "doctor/gpus.h"

#define FABRIC_LINK "https://docs.nvidia.com/datacenter/tesla/fabric-manager-user-guide/"

static void fabric_run(doctor *d) {
    static const char *const states[] = {"not supported", "not started", "in progress", "completed"};
    int n = doctor_gpus(d), known = 0, ready = 0, failed = 0, degraded = 0, init = (int)doctor_fact_int(doctor_cuda(d), -1, "init");
    const char *all = "", *module = doctor_module(d, NULL), *manager = n ? doctor_fabric_mismatch(d) : NULL;
    for (int i = 0; i < n; i++) {
        int state = (int)doctor_gpu_int(d, i, "fabric_state", 0), status = (int)doctor_gpu_int(d, i, "fabric_status", 0), health = (int)doctor_gpu_int(d, i, "fabric_health", 0);
        if (state < 1 || state > 3) continue;
        known++;
        ready += state == 3 && !status;
        failed += state == 3 && status;
        degraded += (health & 3) == 1; /* 2: at full bandwidth */
        all = doctor_listed(d, all, doctor_text(d, "GPU %d %s%s", i, states[state], status ? doctor_text(d, " with %d", status) : ""));
    }
    if (manager) {
        doctor_finding *f = doctor_find(d, DOCTOR_BROKEN, "fabric-version", FABRIC_LINK);
        doctor_evidence(d, f, "nvidia-fabricmanager %s, driver %s; %s; cuInit %d", manager, module ? module : "?", *all ? all : "NVSwitches present", init);
        doctor_cause(d, f, "The Fabric Manager is of version %s and the driver of %s: they must be the same, else CUDA fails with 802.", "Fabric Manager 版本是 %s, 驱动是 %s: 两者必须一致, 否则 CUDA 报 802。", manager, module ? module : "?");
        doctor_cure(d, f, "sudo apt install 'nvidia-fabricmanager-%.*s=%s*' && sudo systemctl restart nvidia-fabricmanager", NULL, 3, module ? module : "NNN", module ? module : "");
        return;
    }
    if (!known || init == 802) return; /* the check cuda speaks of 802 */
    bool host = !doctor_container(d);
    doctor_finding *f = NULL;
    if (failed) {
        f = doctor_find(d, DOCTOR_BROKEN, "fabric-failed", FABRIC_LINK);
        doctor_cause(d, f, "%d of %d GPUs could not join the fabric of the NVSwitches.", "%2$d 块 GPU 中有 %1$d 块没能加入 NVSwitch 互联。", failed, n);
        doctor_cure(d, f, "on the host: sudo journalctl -u nvidia-fabricmanager; sudo systemctl restart nvidia-fabricmanager (no job may run)", "宿主机: sudo journalctl -u nvidia-fabricmanager; 停掉任务后 sudo systemctl restart nvidia-fabricmanager");
    } else if (ready < known && n > 1) { /* a single GPU that was passed through needs no fabric */
        f = doctor_find(d, DOCTOR_SLOW, "fabric-not-ready", FABRIC_LINK);
        doctor_cause(d, f, "The fabric of the NVSwitches is up for %d of %d GPUs: the others talk over PCIe.", "NVSwitch 互联只在 %2$d 块 GPU 中的 %1$d 块上就绪: 其余走 PCIe。", ready, known);
        doctor_cure(d, f, "on the host: sudo systemctl enable --now nvidia-fabricmanager, of exactly driver version %s", "宿主机: sudo systemctl enable --now nvidia-fabricmanager, 版本必须是 %s", module ? module : "?");
    } else if (degraded) {
        f = doctor_find(d, DOCTOR_SLOW, "fabric-degraded", FABRIC_LINK);
        doctor_cause(d, f, "The fabric runs with reduced bandwidth on %d GPUs: links or switches are out.", "NVSwitch 互联在 %d 块 GPU 上带宽降级: 有链路或交换芯片失效。", degraded);
        doctor_cure(d, f, "nvidia-smi nvlink -s; on the host: sudo journalctl -u nvidia-fabricmanager, then the vendor", "nvidia-smi nvlink -s; 宿主机: sudo journalctl -u nvidia-fabricmanager, 再联系厂商");
    }
    const char *process = host ? doctor_fact(doctor_daemons(d), "fabricmanager") : NULL;
    const char *numbers = doctor_text(d, "%s%s%s", all, process ? "; nv-fabricmanager is process " : "", process ? process : "");
    if (f) doctor_evidence(d, f, "%s; cuInit %d", numbers, init);
    else doctor_fine(d, "%s", numbers);
}

DOCTOR_CHECK(fabric, .code = 903, .layer = DOCTOR_LINKS, .reads = "nvmlDeviceGetGpuFabricInfoV, /dev/nvidia-nvswitchctl, /var/lib/dpkg/status, /proc/*/comm", .asks = "is the fabric of an NVSwitch machine up?",
             .finds = {"fabric-version", "fabric-failed", "fabric-not-ready", "fabric-degraded"}, .run = fabric_run);
