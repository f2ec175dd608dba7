/* Memory of the GPUs: how much is free, who holds the rest, and what nobody answers for. */
#include "doctor/gpus.h"

#include <stdlib.h>
#include <string.h>

#define GPU_MEMORY_LINK "https://github.com/pytorch/pytorch/issues/4031"

/* NVML's numbers are the host's: inside a container the same number may be quite another process, so it must have a GPU open. */
static bool gpu_memory_is_own(doctor *d, int pid) {
    int n = doctor_container(d) ? (int)doctor_fact_int(doctor_holders(d), 0, "count") : -1;
    bool own = n < 0;
    for (int k = 0; k < n && !own; k++) own = doctor_fact_int(doctor_holders(d), 0, "holder.%d", k) == pid;
    return own;
}

/* "1234 python train.py (uid 1000, 20480 MiB)"; *left: nobody waits for it any more, a worker whose parent is gone. */
static const char *gpu_memory_holder(doctor *d, int pid, int64_t bytes, bool *left) {
    size_t size = 0;
    const char *status = gpu_memory_is_own(d, pid) ? doctor_read(d, doctor_text(d, "/proc/%d/status", pid), NULL, NULL) : NULL, *command = !status ? NULL : doctor_read(d, doctor_text(d, "/proc/%d/cmdline", pid), &size, NULL);
    const char *parent = status ? doctor_field(d, status, "PPid") : NULL, *state = status ? doctor_field(d, status, "State") : NULL, *uid = status ? doctor_field(d, status, "Uid") : NULL;
    const char *comm = status ? doctor_field(d, status, "Name") : NULL, *mib = bytes >= 0 ? doctor_text(d, "%lld MiB", (long long)(bytes >> 20)) : "? MiB";
    char *line = command && size ? (char *)doctor_text(d, "%s", command) : NULL;
    if (line && size < 4096 && (line = doctor_keep(d, size + 1))) {
        memcpy(line, command, size);
        while (size && (unsigned char)line[size - 1] <= ' ') line[--size] = 0;
        for (size_t i = 0; i < size; i++)
            if ((unsigned char)line[i] < ' ') line[i] = ' ';
    }
    bool worker = line && (strstr(line, "multiprocessing") || strstr(line, "pt_data_worker"));
    *left = (worker && parent && !strcmp(parent, "1")) || (state && (*state == 'Z' || *state == 'T'));
    if (!status) return doctor_text(d, "%d (no such process here: another PID namespace, %s)", pid, mib);
    return doctor_text(d, "%d %.70s (uid %.*s, %s)", pid, line && *line ? line : comm ? comm : "?", uid ? (int)strcspn(uid, " \t") : 1, uid ? uid : "?", mib);
}

/* The processes that hold GPU i: those NVML lists, else those that have its node open. */
static void gpu_memory_holders(doctor *d, int i, int listed, const char **text, const char **left, int *found, bool *asked) {
    *text = *left = "";
    *found = 0;
    int n = listed > 0 ? listed : (int)doctor_fact_int(doctor_holders(d), 0, "count"), seen[64];
    for (int k = 0; k < n && k < 256; k++) {
        const char *value = listed > 0 ? doctor_fact(doctor_nvml(d), "gpu.%d.process.%d", i, k) : doctor_fact(doctor_holders(d), "holder.%d", k);
        char *end;
        int pid = value ? (int)strtol(value, &end, 10) : 0;
        bool gone = false, again = false;
        if (pid <= 0) continue;
        int64_t bytes = listed > 0 ? strtoll(end, NULL, 10) : -1;
        for (int s = 0; s < *found && s < TAPER_COUNT(seen); s++) again |= seen[s] == pid; /* graphics and compute */
        if (again) continue;
        if (*found < TAPER_COUNT(seen)) seen[*found] = pid;
        const char *who = gpu_memory_holder(d, pid, bytes, &gone);
        *asked |= doctor_settings(d)->pid == pid;
        if ((*found)++ < 4) *text = doctor_listed(d, *text, who);
        if (gone && (bytes < 0 || bytes > 64 << 20)) *left = doctor_text(d, "%s%s%d", *left, **left ? " " : "", pid);
    }
    if (*found > 4) *text = doctor_text(d, "%s and %d more", *text, *found - 4);
}

static void gpu_memory_run(doctor *d) {
    const int64_t mib = 1 << 20;
    int n = doctor_gpus(d), bad = 0, roomy = -1;
    const char *fine = "";
    int64_t most = 0;
    for (int i = 0; i < n; i++) {
        int64_t free = doctor_gpu_int(d, i, "memory_free", 0), total = doctor_gpu_int(d, i, "memory_total", 0);
        if (doctor_gpu_works(d, i) && doctor_gpu_visible(d, i) && free > most && free > total / 2) most = free, roomy = i;
    }
    const char *cuda_first = doctor_fact(doctor_cuda(d), "gpu.0.uuid");
    for (int i = 0; i < n; i++) {
        int64_t total = doctor_gpu_int(d, i, "memory_total", 0), free = doctor_gpu_int(d, i, "memory_free", 0), used = doctor_gpu_int(d, i, "memory_used", 0);
        if (!doctor_gpu_works(d, i) || !doctor_gpu_visible(d, i) || total <= 0) continue;
        if (doctor_gpu_int(d, i, "memory_reserved", -1) < 0) used -= used < 700 * mib ? used : 700 * mib; /* older drivers count their own share */
        int listed = (int)doctor_gpu_int(d, i, "processes", -1), found = 0;
        bool full = doctor_gpu_full(d, i), much = used > (total / 50 > 512 * mib ? total / 50 : 512 * mib), asked = false;
        const char *who = "", *left = "", *name = doctor_gpu_name(d, i);
        if (full || much) gpu_memory_holders(d, i, listed, &who, &left, &found, &asked);
        const char *numbers = doctor_text(d, "%s: %lld of %lld MiB free, %lld used", name, (long long)(free / mib), (long long)(total / mib), (long long)(used / mib));
        /* Jobs start on CUDA's GPU 0; that others are busy is as it should be while one has room. */
        const char *uuid = doctor_fact(doctor_nvml(d), "gpu.%d.uuid", i);
        bool first = !cuda_first || !uuid || strstr(uuid, cuda_first);
        bool hidden = doctor_container(d) || doctor_is_wsl(d), mig = doctor_gpu_int(d, i, "mig", 0) == 1;
        if (*left) {
            doctor_finding *f = doctor_find(d, DOCTOR_SLOW, "gpu-memory-orphan", GPU_MEMORY_LINK);
            doctor_evidence(d, f, "%s; held by %s", numbers, who);
            doctor_cause(d, f, "%s is held by worker processes whose job is gone (their parent is process 1) or stopped.", "%s 的显存被残留的工作进程占用 (父进程已退出, PPid 为 1) 或处于停止状态。", name);
            doctor_cure(d, f, "kill -9 %s (a stopped one that is still wanted: kill -CONT)", "kill -9 %s (只是被暂停且还需要的进程用 kill -CONT)", left);
            bad++;
        } else if (full && !asked && (roomy < 0 || first)) {
            bad++;
            if (doctor_again(d, "gpu-memory-full", doctor_text(d, "%s; held by %s", numbers, *who ? who : "?"))) continue;
            doctor_finding *f = doctor_find(d, DOCTOR_BROKEN, "gpu-memory-full", "https://github.com/pytorch/pytorch/issues/35901");
            doctor_evidence(d, f, "%s; held by %s", numbers, *who ? who : "no process that can be seen from here");
            doctor_cause(d, f, "%s has %lld MiB left: the next job there fails with out of memory (or CUBLAS_STATUS_NOT_INITIALIZED).",
                         "%s 只剩 %lld MiB: 在它上面启动的任务会显存不足 (或报 CUBLAS_STATUS_NOT_INITIALIZED)。", name, (long long)(free / mib));
            const char *other = roomy >= 0 ? doctor_fact(doctor_nvml(d), "gpu.%d.uuid", roomy) : NULL;
            if (other) doctor_cure(d, f, "CUDA_VISIBLE_DEVICES=%s (%s, %lld MiB free), or end a process named above", "CUDA_VISIBLE_DEVICES=%s (%s, 空闲 %lld MiB), 或结束上面列出的进程", other, doctor_gpu_name(d, roomy), (long long)(most / mib));
            else if (*who) doctor_cure(d, f, "wait for the processes named above, or end those you do not need", "等上面的进程结束, 或结束不需要的进程");
            else doctor_cure(d, f, "on the host: nvidia-smi; sudo fuser -v /dev/nvidia*", "宿主机: nvidia-smi; sudo fuser -v /dev/nvidia*");
        } else if (much && !found && listed == 0 && !hidden && !mig) {
            doctor_finding *f = doctor_find(d, DOCTOR_SLOW, "gpu-memory-unlisted", GPU_MEMORY_LINK);
            doctor_evidence(d, f, "%s; NVML lists no process and none of this user has the GPU open", numbers);
            doctor_cause(d, f, "%s has %lld MiB in use that no listed process holds: orphans of another user, another PID namespace, or the driver lost it.",
                         "%s 有 %lld MiB 显存被占用但没有对应进程: 其他用户的残留进程、其他 PID 命名空间, 或驱动泄漏。", name, (long long)(used / mib));
            doctor_cure(d, f, "sudo fuser -v /dev/nvidia*; if nothing holds it: sudo nvidia-smi --gpu-reset -i %d", "sudo fuser -v /dev/nvidia*; 若无进程占用: sudo nvidia-smi --gpu-reset -i %d", i);
            bad++;
        } else {
            const char *outside = much && !found ? "; held from outside this container" : "";
            fine = doctor_text(d, "%s%s%s%s%s%s", fine, *fine ? "; " : "", numbers, *who ? " by " : "", who, outside);
        }
    }
    if (!bad && *fine) doctor_fine(d, "%s", fine);
}

DOCTOR_CHECK(gpu_memory, .code = 801, .layer = DOCTOR_GPU, .reads = "nvmlDeviceGetMemoryInfo_v2, nvmlDeviceGet*RunningProcesses_v3, /proc/PID/{status,cmdline}, /proc/*/fd",
             .asks = "is there free GPU memory, and who holds the rest?", .finds = {"gpu-memory-full", "gpu-memory-orphan", "gpu-memory-unlisted"}, .run = gpu_memory_run);
