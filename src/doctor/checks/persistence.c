/* Persistence: without it the driver puts a GPU down when its last process ends, and every job starts it again. */
#include "doctor/gpus.h"

#include <string.h>

enum { PERSISTENCE_SLOW_MS = 1500 };

static void persistence_run(doctor *d) {
    int n = doctor_gpus(d), off = 0, known = 0;
    const char *which = "";
    for (int i = 0; i < n; i++) {
        int mode = (int)doctor_gpu_int(d, i, "persistence", -1);
        if (mode < 0 || strcmp(doctor_gpu_class(d, i), "datacenter")) continue; /* a display keeps other cards up */
        known++;
        if (mode) continue;
        off++;
        which = doctor_listed(d, which, doctor_text(d, "GPU %d", i));
    }
    if (!known) return;
    double ms = doctor_fact_real(doctor_cuda(d), 0, "init_ms");
    bool daemon = doctor_fact(doctor_daemons(d), "persistenced") || doctor_exists(d, "/run/nvidia-persistenced/socket") || doctor_exists(d, "/var/run/nvidia-persistenced/socket");
    if (!off || daemon || ms < PERSISTENCE_SLOW_MS) {
        doctor_fine(d, "persistence mode %s%s%s; cuInit %.0f ms", off ? "off on " : "on", off ? which : "", daemon ? "; nvidia-persistenced runs" : "", ms);
        return;
    }
    doctor_finding *f = doctor_find(d, DOCTOR_SLOW, "persistence-off", "https://docs.nvidia.com/deploy/driver-persistence/index.html");
    doctor_evidence(d, f, "persistence mode off on %s, no nvidia-persistenced; cuInit %.0f ms", which, ms);
    doctor_cause(d, f, "The driver stops the GPUs when no process uses them: each job waits %.1f s until they are up again.", "没有进程使用时驱动会关闭 GPU: 每个任务启动都要多等 %.1f 秒。", ms * 1e-3);
    if (doctor_container(d)) doctor_cure(d, f, "on the host: sudo systemctl enable --now nvidia-persistenced (or sudo nvidia-smi -pm 1)", "宿主机: sudo systemctl enable --now nvidia-persistenced (或 sudo nvidia-smi -pm 1)");
    else doctor_cure(d, f, "sudo systemctl enable --now nvidia-persistenced (or sudo nvidia-smi -pm 1)", "sudo systemctl enable --now nvidia-persistenced (或 sudo nvidia-smi -pm 1)");
}

DOCTOR_CHECK(persistence, .code = 803, .layer = DOCTOR_GPU, .reads = "nvmlDeviceGetPersistenceMode, /proc/*/comm, the time of cuInit", .asks = "does the driver stay up between jobs?",
             .finds = {"persistence-off"}, .run = persistence_run);
