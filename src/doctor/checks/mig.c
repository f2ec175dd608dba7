/* MIG: a GPU in slices, of which a process sees one. */
#include "doctor/gpus.h"

#include <string.h>

#define MIG_LINK "https://docs.nvidia.com/datacenter/tesla/mig-user-guide/"

static void mig_run(doctor *d) {
    int n = doctor_gpus(d), on = 0, parts = 0, named = 0;
    const char *all = "", *first = NULL, *list = doctor_env(d, "CUDA_VISIBLE_DEVICES"), *entries[64], *lacks = n ? doctor_mig_lacks(d) : NULL;
    for (int i = 0; i < n; i++) {
        int count = (int)doctor_gpu_int(d, i, "mig_count", 0);
        if (doctor_gpu_int(d, i, "mig", 0) != 1) continue;
        on++;
        for (int k = 0; k < count && k < 16; k++) {
            const char *part = doctor_fact(doctor_nvml(d), "gpu.%d.mig.%d", i, k);
            if (!part) continue;
            const char *uuid = doctor_text(d, "%.*s", (int)strcspn(part, " "), part);
            if (!first) first = uuid;
            if (parts++ < 8) all = doctor_listed(d, all, uuid);
        }
    }
    if (!on) return;
    int given = list ? doctor_split(d, list, entries, 64) : 0;
    for (int i = 0; i < given; i++) named += !strncmp(entries[i], "MIG-", 4);
    const char *numbers = doctor_text(d, "MIG on %d of %d GPUs, %d instances%s%s; CUDA_VISIBLE_DEVICES %s", on, n, parts, *all ? ": " : "", all, list ? list : "not set");
    doctor_finding *f = NULL;
    if (lacks && *lacks == 'i') {
        f = doctor_find(d, DOCTOR_BROKEN, "mig-no-instance", MIG_LINK);
        doctor_cause(d, f, "MIG is on but no instance was made (or given to this container): CUDA finds no device.", "MIG 已开启但没有创建实例 (或没有分配给本容器): CUDA 找不到设备。");
        if (doctor_container(d)) doctor_cure(d, f, "docker run --gpus '\"device=MIG-<uuid>\"' ..., with a UUID of nvidia-smi -L on the host", "docker run --gpus '\"device=MIG-<uuid>\"' ..., UUID 见宿主机 nvidia-smi -L");
        else doctor_cure(d, f, "sudo nvidia-smi mig -lgip; sudo nvidia-smi mig -cgi <profile> -C; or MIG off: sudo nvidia-smi -mig 0", "sudo nvidia-smi mig -lgip; sudo nvidia-smi mig -cgi <profile> -C; 或关闭 MIG: sudo nvidia-smi -mig 0");
    } else if (lacks && doctor_fact_int(doctor_cuda(d), 0, "count") == 0) {
        f = doctor_find(d, DOCTOR_BROKEN, "mig-nodes", MIG_LINK);
        numbers = doctor_text(d, "%s; /dev/nvidia-caps has no node of an instance", numbers);
        doctor_cause(d, f, "The instances' nodes in /dev/nvidia-caps are missing: NVML lists them but no process can open one.", "缺少 /dev/nvidia-caps 下的实例节点: NVML 能列出实例, 但进程无法打开。");
        if (doctor_container(d)) doctor_cure(d, f, "pass the instance: docker run --gpus '\"device=%s\"' ... (CDI or nvidia-container-toolkit makes the nodes)", "传入实例: docker run --gpus '\"device=%s\"' ... (CDI 或 nvidia-container-toolkit 会创建节点)", first ? first : "MIG-<uuid>");
        else doctor_cure(d, f, "sudo nvidia-modprobe -f /proc/driver/nvidia/capabilities/gpu0/mig/gi*/access (and .../ci*/access)", NULL);
    } else if (named > 1) {
        f = doctor_find(d, DOCTOR_SLOW, "mig-one-only", MIG_LINK);
        doctor_cause(d, f, "CUDA_VISIBLE_DEVICES names %d MIG instances; a process uses the first only, and instances do not train one model together.", "CUDA_VISIBLE_DEVICES 列出了 %d 个 MIG 实例; 一个进程只会使用第一个, 实例之间也不能做 DDP。", named);
        doctor_cure(d, f, "one process per instance, each with CUDA_VISIBLE_DEVICES=MIG-<uuid>; or a larger instance", "每个实例一个进程, 各自设 CUDA_VISIBLE_DEVICES=MIG-<uuid>; 或创建更大的实例");
    }
    if (f) doctor_evidence(d, f, "%s", numbers);
    else doctor_fine(d, "%s", numbers);
}

DOCTOR_CHECK(mig, .code = 806, .layer = DOCTOR_GPU, .reads = "nvmlDeviceGetMigMode, nvmlDeviceGetMigDeviceHandleByIndex, /dev/nvidia-caps, CUDA_VISIBLE_DEVICES", .asks = "are the slices of a GPU there and named rightly?",
             .finds = {"mig-no-instance", "mig-nodes", "mig-one-only"}, .run = mig_run);
