/* Compute mode: who may open a context on a GPU. */
#include "doctor/gpus.h"

#include <stdlib.h>

static void compute_mode_run(doctor *d) {
    static const char *const names[] = {"Default", "Exclusive_Thread", "Prohibited", "Exclusive_Process"};
    const char *fine = "";
    int n = doctor_gpus(d), bad = 0;
    bool mps = n && doctor_fact(doctor_daemons(d), "mps_control");
    for (int i = 0; i < n; i++) {
        int mode = (int)doctor_gpu_int(d, i, "compute_mode", -1), holders = (int)doctor_gpu_int(d, i, "processes", 0);
        if (mode < 0 || mode >= TAPER_COUNT(names)) continue;
        const char *name = doctor_gpu_name(d, i), *first = doctor_fact(doctor_nvml(d), "gpu.%d.process.0", i);
        bool exclusive = mode == 1 || mode == 3;
        if (!doctor_gpu_visible(d, i)) continue;
        if (mode == 2 || (exclusive && holders > 0 && !mps)) {
            if (mode == 2 && doctor_again(d, "compute-mode-prohibited", doctor_text(d, "%s: the same", name))) continue;
            doctor_finding *f = doctor_find(d, DOCTOR_BROKEN, mode == 2 ? "compute-mode-prohibited" : "compute-mode-taken", "https://docs.nvidia.com/deploy/mps/index.html");
            int pid = first ? atoi(first) : 0;
            const char *comm = pid > 0 && !doctor_container(d) ? doctor_line(d, "/proc/%d/comm", pid) : NULL;
            doctor_evidence(d, f, "%s: compute mode %s%s", name, names[mode], exclusive ? doctor_text(d, "; held by pid %d (%s)", pid, comm ? comm : "not seen from here") : "");
            if (mode == 2) {
                doctor_cause(d, f, "%s lets no process compute: every context fails with 46 (devices are busy or unavailable).", "%s 禁止任何计算进程: 创建上下文都会报 46 (busy or unavailable)。", name);
                doctor_cure(d, f, "sudo nvidia-smi -i %d -c 0", NULL, i);
            } else {
                doctor_cause(d, f, "%s takes one process at a time and process %d has it: the next one fails with 46 (devices are busy or unavailable).",
                             "%s 只允许一个进程, 已被进程 %d 占用: 下一个进程会报 46 (busy or unavailable)。", name, pid);
                doctor_cure(d, f, "another GPU by CUDA_VISIBLE_DEVICES, or end process %2$d, or sudo nvidia-smi -i %1$d -c 0", "用 CUDA_VISIBLE_DEVICES 换一块 GPU, 或结束进程 %2$d, 或 sudo nvidia-smi -i %1$d -c 0", i, pid);
            }
            bad++;
        } else {
            fine = doctor_listed(d, fine, doctor_text(d, "GPU %d %s", i, names[mode]));
        }
    }
    if (!bad && *fine) doctor_fine(d, "%s", fine);
}

DOCTOR_CHECK(compute_mode, .code = 802, .layer = DOCTOR_GPU, .reads = "nvmlDeviceGetComputeMode, nvmlDeviceGetComputeRunningProcesses_v3", .asks = "may another process open a context?",
             .finds = {"compute-mode-prohibited", "compute-mode-taken"}, .run = compute_mode_run);
