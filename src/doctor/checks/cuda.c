/* What the driver API answers: cuInit and a context on each GPU. */
#include "doctor/gpus.h"

#include <stdlib.h>
#include <string.h>

static doctor_finding *cuda_find(doctor *d, const char *id, const char *call, int code, const char *link) {
    doctor_finding *f = doctor_find(d, DOCTOR_BROKEN, id, link);
    const char *library = doctor_fact(doctor_loader(d), "libcuda.so.1.path"), *visible = doctor_env(d, "CUDA_VISIBLE_DEVICES");
    doctor_evidence(d, f, "%s: %d; libcuda.so.1 is %s%s%s", call, code, library ? library : "?", visible ? "; CUDA_VISIBLE_DEVICES=" : "", visible ? visible : "");
    return f;
}

/* Codes of the driver API that mean one thing each; what is left is reported as it is. */
static void cuda_report(doctor *d, const char *call, int code) {
    const doctor_facts *nvml = doctor_nvml(d);
    const char *driver = doctor_fact(nvml, "driver"), *modules = doctor_read(d, "/proc/modules", NULL, NULL), *visible = doctor_env(d, "CUDA_VISIBLE_DEVICES");
    bool container = doctor_container(d) != NULL;
    doctor_finding *f;
    if (code == 101 && doctor_no_device_named(d)) return; /* a GPU named twice: visible_devices says so */
    switch (code) {
    case 34: return; /* the stub: the check of libraries names its folder */
    case 46:
        if (doctor_compute_mode_named(d)) return; /* the check compute_mode names the process */
        f = cuda_find(d, "cuda-busy", call, code, "https://docs.nvidia.com/deploy/mps/index.html");
        doctor_cause(d, f, "The GPU is in exclusive mode and another process holds it (or a vGPU has lost its licence).", "GPU 处于独占模式且被其他进程占用 (或 vGPU 许可证失效)。");
        doctor_cure(d, f, "nvidia-smi --query-compute-apps=pid,name --format=csv; sudo nvidia-smi -c 0, or another GPU by CUDA_VISIBLE_DEVICES",
                    "nvidia-smi --query-compute-apps=pid,name --format=csv; sudo nvidia-smi -c 0, 或用 CUDA_VISIBLE_DEVICES 换一块 GPU");
        return;
    case 100:
        if (visible && (!*visible || *visible == '-' || !strncmp(visible, "NoDev", 5))) {
            f = cuda_find(d, "cuda-hidden", call, code, "https://docs.nvidia.com/cuda/cuda-c-programming-guide/index.html#cuda-environment-variables");
            doctor_cause(d, f, "CUDA_VISIBLE_DEVICES hides every GPU.", "CUDA_VISIBLE_DEVICES 隐藏了所有 GPU。");
            doctor_cure(d, f, "unset CUDA_VISIBLE_DEVICES", NULL);
        } else if (!doctor_no_device_named(d)) { /* else mig or visible_devices says why */
            f = cuda_find(d, "cuda-no-device", call, code, "https://github.com/pytorch/pytorch/issues/102715");
            doctor_cause(d, f, "The driver sees no GPU that this process may use: CUDA_VISIBLE_DEVICES names none that exists, or MIG is on without an instance.",
                         "驱动没有可供本进程使用的 GPU: CUDA_VISIBLE_DEVICES 指向不存在的设备, 或开启了 MIG 但没有实例。");
            doctor_cure(d, f, "nvidia-smi -L; CUDA_VISIBLE_DEVICES=<index or MIG-uuid from that list>", "nvidia-smi -L; CUDA_VISIBLE_DEVICES=<列表中的序号或 MIG-uuid>");
        }
        return;
    case 214:
        f = cuda_find(d, "cuda-ecc", call, code, "https://docs.nvidia.com/deploy/a100-gpu-mem-error-mgmt/index.html");
        doctor_cause(d, f, "The GPU's memory has an error that could not be corrected.", "GPU 显存出现不可纠正的 ECC 错误。");
        doctor_cure(d, f, "nvidia-smi -q -d ECC,ROW_REMAPPER; sudo nvidia-smi --gpu-reset, or reboot; replace the card when it returns",
                    "nvidia-smi -q -d ECC,ROW_REMAPPER; sudo nvidia-smi --gpu-reset 或重启; 再次出现则更换");
        return;
    case 802:
        if (doctor_fabric_mismatch(d)) return; /* the check fabric has both versions */
        f = cuda_find(d, "cuda-fabric", call, code, "https://docs.nvidia.com/datacenter/tesla/fabric-manager-user-guide/");
        doctor_cause(d, f, "This is an NVSwitch machine whose Fabric Manager does not run, or is not of driver version %s.", "这是 NVSwitch 机器, Fabric Manager 没有运行, 或版本不是驱动的 %s。", driver ? driver : "?");
        doctor_cure(d, f, "on the host: sudo apt install nvidia-fabricmanager-%.*s && sudo systemctl enable --now nvidia-fabricmanager",
                    "宿主机: sudo apt install nvidia-fabricmanager-%.*s && sudo systemctl enable --now nvidia-fabricmanager", driver ? (int)strcspn(driver, ".") : 3, driver ? driver : "NNN");
        return;
    case 803: case 804: {
        const char *library = doctor_fact(doctor_loader(d), "libcuda.so.1.path");
        bool compat = library && strstr(library, "/compat/");
        f = cuda_find(d, "cuda-compat", call, code, "https://docs.nvidia.com/deploy/cuda-compatibility/forward-compatibility.html");
        if (compat) {
            doctor_cause(d, f, "The image's forward-compatible libcuda does not work with this driver or GPU.", "镜像带来的前向兼容 libcuda 不能用在这个驱动或这块 GPU 上。");
            doctor_cure(d, f, "remove the compat folder from LD_LIBRARY_PATH and /etc/ld.so.conf.d (rm -rf /usr/local/cuda/compat; ldconfig), or update the host's driver",
                        "从 LD_LIBRARY_PATH 和 /etc/ld.so.conf.d 去掉 compat 目录 (rm -rf /usr/local/cuda/compat; ldconfig), 或升级宿主机驱动");
        } else {
            doctor_cause(d, f, "The user part of the driver does not belong to the loaded kernel module.", "驱动的用户态部分与内核模块不匹配。");
            doctor_cure(d, f, "reboot, or recreate the container", "重启, 或重建容器");
        }
        return;
    }
    case 304: case 999: {
        bool uvm = modules && strstr(modules, "nvidia_uvm ");
        f = cuda_find(d, "cuda-uvm", call, code, "https://github.com/pytorch/pytorch/issues/88639");
        doctor_evidence(d, f, "%s: %d; NVML works; nvidia_uvm %s; /dev/nvidia-uvm %s", call, code, uvm ? "is loaded" : "is not in /proc/modules",
                        doctor_exists(d, "/dev/nvidia-uvm") ? "is there" : "is missing");
        doctor_cause(d, f, "nvidia-smi works but CUDA does not: the nvidia-uvm module or its node is missing or broken (often after suspend).",
                     "nvidia-smi 正常而 CUDA 不行: nvidia-uvm 模块或节点缺失或损坏 (常见于休眠之后)。");
        if (container) doctor_cure(d, f, "on the host: sudo nvidia-modprobe -u -c=0, then recreate the container", "宿主机: sudo nvidia-modprobe -u -c=0, 然后重建容器");
        else doctor_cure(d, f, uvm ? "sudo rmmod nvidia_uvm && sudo modprobe nvidia_uvm" : "sudo nvidia-modprobe -u -c=0", NULL);
        return;
    }
    case 805: case 806: case 807: case 808: case 809: return; /* the check mps */
    case 2:
        for (int i = 0; i < doctor_gpus(d); i++)
            if (doctor_gpu_full(d, i)) return; /* the check gpu_memory names who holds it */
        f = cuda_find(d, "cuda-memory", call, code, "https://github.com/pytorch/pytorch/issues/35901");
        doctor_cause(d, f, "The GPU's memory is so full that not even a context fits.", "显存已满, 连 CUDA 上下文都建不起来。");
        doctor_cure(d, f, "nvidia-smi --query-compute-apps=pid,used_memory --format=csv, and end what is not needed", "nvidia-smi --query-compute-apps=pid,used_memory --format=csv, 结束不需要的进程");
        return;
    default: f = cuda_find(d, "cuda-error", call, code, "https://docs.nvidia.com/cuda/cuda-driver-api/group__CUDA__TYPES.html");
        doctor_cause(d, f, "The driver API fails with error %d although NVML works.", "NVML 正常, 但驱动 API 返回错误 %d。", code);
        doctor_cure(d, f, "sudo dmesg | grep -iE 'nvrm|xid'; restart the container, then the machine", "sudo dmesg | grep -iE 'nvrm|xid'; 先重启容器, 再重启机器");
    }
}

static void cuda_run(doctor *d) {
    if (doctor_ladder(d) < RUNG_CUDA) return;
    const doctor_facts *cuda = doctor_cuda(d);
    int init = (int)doctor_fact_int(cuda, -1, "init"), count = (int)doctor_fact_int(cuda, 0, "count"), bad = 0;
    if (init < 0) {
        doctor_finding *f = doctor_find(d, DOCTOR_BROKEN, "cuda-hangs", "https://docs.nvidia.com/deploy/xid-errors/index.html");
        doctor_evidence(d, f, "cuInit: %s", doctor_facts_end(cuda) ? doctor_facts_end(cuda) : "no answer");
        doctor_cause(d, f, "cuInit does not come back although NVML answers: a GPU or its fabric is stuck.", "NVML 有应答但 cuInit 不返回: 某块 GPU 或其互联卡死。");
        doctor_cure(d, f, "sudo dmesg | grep -iE 'nvrm|xid'; reboot", "sudo dmesg | grep -iE 'nvrm|xid'; 重启");
        return;
    }
    if (init || !count) {
        cuda_report(d, "cuInit", init ? init : 100);
        return;
    }
    for (int i = 0; i < count; i++) {
        int code = (int)doctor_fact_int(cuda, -1, "gpu.%d.context", i);
        if (code < 0) {
            doctor_unknown(d, "context on GPU %d: the probe %s", i, doctor_facts_end(cuda) ? doctor_facts_end(cuda) : "said nothing");
        } else if (code) {
            cuda_report(d, doctor_text(d, "cuDevicePrimaryCtxRetain(%d)", i), code);
        }
        bad += code != 0;
    }
    if (!bad) doctor_fine(d, "cuInit %.0f ms; a context on %d of %d GPUs, first in %.0f ms", doctor_fact_real(cuda, 0, "init_ms"), count, count, doctor_fact_real(cuda, 0, "gpu.0.context_ms"));
}

DOCTOR_CHECK(cuda, .code = 502, .layer = DOCTOR_DRIVER, .reads = "cuInit, cuDeviceGetCount, cuDevicePrimaryCtxRetain, in a child process", .asks = "can a process open a CUDA context?",
             .finds = {"cuda-hangs", "cuda-busy", "cuda-hidden", "cuda-no-device", "cuda-ecc", "cuda-fabric", "cuda-compat", "cuda-uvm", "cuda-memory", "cuda-error"}, .run = cuda_run);
