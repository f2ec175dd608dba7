/* CUDA_VISIBLE_DEVICES against the GPUs there are, and which GPU CUDA's number 0 is. */
#include "doctor/gpus.h"

#include <stdlib.h>
#include <string.h>

#define VISIBLE_LINK "https://docs.nvidia.com/cuda/cuda-c-programming-guide/index.html#cuda-environment-variables"

/* NVML's number of CUDA's k-th GPU, by UUID; -1. */
static int visible_devices_nvml(doctor *d, int k, int n) {
    const char *own = doctor_fact(doctor_cuda(d), "gpu.%d.uuid", k);
    for (int i = 0; own && i < n; i++) {
        const char *uuid = doctor_fact(doctor_nvml(d), "gpu.%d.uuid", i);
        if (uuid && (!strcmp(uuid, own) || (!strncmp(uuid, "GPU-", 4) && !strcmp(uuid + 4, own)))) return i;
    }
    return -1;
}

static void visible_devices_run(doctor *d) {
    int n = doctor_gpus(d), cuda = (int)doctor_fact_int(doctor_cuda(d), 0, "count"), at = 0, swapped = -1;
    const char *list = doctor_env(d, "CUDA_VISIBLE_DEVICES"), *order = doctor_env(d, "CUDA_DEVICE_ORDER"), *entry = "", *map = "", *entries[DOCTOR_GPUS_MAX];
    if (!n) return;
    doctor_visible problem = doctor_visible_problem(d, &entry, &at);
    if (problem) {
        static const char *const ids[] = {"", "visible-index", "visible-uuid", "visible-twice"};
        const char *there = "";
        for (int i = 0; i < n && i < 8; i++) {
            const char *uuid = doctor_fact(doctor_nvml(d), "gpu.%d.uuid", i);
            there = doctor_listed(d, there, doctor_text(d, "%d %s", i, uuid ? uuid : "?"));
        }
        doctor_finding *f = doctor_find(d, DOCTOR_BROKEN, ids[problem], VISIBLE_LINK);
        doctor_evidence(d, f, "CUDA_VISIBLE_DEVICES=%s; there are %s", list, there);
        if (problem == VISIBLE_TWICE)
            doctor_cause(d, f, "CUDA_VISIBLE_DEVICES names \"%s\" twice: the driver refuses the whole list (error 101).", "CUDA_VISIBLE_DEVICES 中 \"%s\" 重复: 驱动会拒绝整个列表 (错误 101)。", entry);
        else if (at == 0)
            doctor_cause(d, f, "CUDA_VISIBLE_DEVICES names \"%s\", which does not exist: CUDA sees no GPU at all.", "CUDA_VISIBLE_DEVICES 中的 \"%s\" 不存在: CUDA 看不到任何 GPU。", entry);
        else
            doctor_cause(d, f, "CUDA_VISIBLE_DEVICES names \"%s\", which does not exist: the list ends there and CUDA sees only the %d before it.", "CUDA_VISIBLE_DEVICES 中的 \"%s\" 不存在: 列表在此截断, CUDA 只看到前面 %d 块。", entry, at);
        doctor_cure(d, f, n > 1 ? "CUDA_VISIBLE_DEVICES=0,...,%d, or unset it; nvidia-smi -L lists the UUIDs" : "unset CUDA_VISIBLE_DEVICES; nvidia-smi -L lists the UUIDs%.0d",
                    n > 1 ? "CUDA_VISIBLE_DEVICES=0,...,%d, 或 unset; nvidia-smi -L 列出 UUID" : "unset CUDA_VISIBLE_DEVICES; nvidia-smi -L 列出 UUID%.0d", n > 1 ? n - 1 : 0);
        return;
    }
    if (cuda <= 0) return; /* the check cuda says why */
    int named = list ? doctor_split(d, list, entries, DOCTOR_GPUS_MAX) : 0;
    bool unequal = false;
    for (int i = 1; i < n; i++) {
        const char *a = doctor_fact(doctor_nvml(d), "gpu.0.name"), *b = doctor_fact(doctor_nvml(d), "gpu.%d.name", i);
        unequal |= a && b && strcmp(a, b);
    }
    for (int k = 0; k < cuda && k < DOCTOR_GPUS_MAX; k++) {
        int i = visible_devices_nvml(d, k, n);
        const char *name = doctor_fact(doctor_cuda(d), "gpu.%d.name", k), *bus = doctor_fact(doctor_cuda(d), "gpu.%d.bus", k);
        map = doctor_listed(d, map, doctor_text(d, "CUDA %d = %s %s%s", k, bus ? bus : "?", name ? name : "?", i >= 0 ? doctor_text(d, " (nvidia-smi %d)", i) : ""));
        char *end = NULL;
        long meant = !named ? k : k < named ? strtol(entries[k], &end, 10) : -1;
        bool number = !named || (k < named && end != entries[k] && !*end);
        if (number && i >= 0 && meant != i && swapped < 0) swapped = k;
    }
    if (swapped < 0 || !unequal || (order && !strcmp(order, "PCI_BUS_ID"))) {
        doctor_fine(d, "%s%s%s", map, list ? "; CUDA_VISIBLE_DEVICES=" : "", list ? list : "");
        return;
    }
    doctor_finding *f = doctor_find(d, DOCTOR_SLOW, "visible-order", VISIBLE_LINK);
    doctor_evidence(d, f, "%s; CUDA_VISIBLE_DEVICES %s; CUDA_DEVICE_ORDER %s", map, list ? list : "not set", order ? order : "not set");
    doctor_cause(d, f, "CUDA counts the fastest GPU first, nvidia-smi counts along the bus: number %d is not the same GPU for both.", "CUDA 按速度排序, nvidia-smi 按总线排序: 两边的 %d 号不是同一块 GPU。", named ? atoi(entries[swapped]) : swapped);
    doctor_cure(d, f, "export CUDA_DEVICE_ORDER=PCI_BUS_ID", NULL);
}

DOCTOR_CHECK(visible_devices, .code = 807, .layer = DOCTOR_GPU, .reads = "CUDA_VISIBLE_DEVICES, CUDA_DEVICE_ORDER, UUIDs of NVML and of the driver API", .asks = "which GPUs does CUDA see, and which is number 0?",
             .finds = {"visible-index", "visible-uuid", "visible-twice", "visible-order"}, .run = visible_devices_run);
