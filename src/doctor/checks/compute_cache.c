/* The driver's cache of compiled kernels. */
#include "doctor/ladder.h"

#include <errno.h>
#include <stdlib.h>

static void compute_cache_run(doctor *d) {
    const char *path = doctor_env(d, "CUDA_CACHE_PATH"), *home = doctor_env(d, "HOME"), *size = doctor_env(d, "CUDA_CACHE_MAXSIZE");
    if (doctor_ladder(d) < RUNG_NVML) return;
    if (!path && home) path = doctor_text(d, "%s/.nv/ComputeCache", home);
    if (!path) {
        doctor_unknown(d, "neither CUDA_CACHE_PATH nor HOME is set");
        return;
    }
    /* The driver makes missing folders: the nearest one that is there decides. */
    char *at = (char *)doctor_text(d, "%s", path);
    int problem = doctor_writable(d, at);
    while (problem == ENOENT) {
        char *slash = at;
        for (char *p = at; *p; p++)
            if (*p == '/') slash = p;
        if (slash == at) break;
        *slash = 0;
        problem = doctor_writable(d, at);
    }
    doctor_space room = {0, INT64_MAX, -1};
    doctor_room(d, *at ? at : "/", &room);
    if (problem || room.free < 64 << 20) {
        doctor_finding *f = doctor_find(d, DOCTOR_SLOW, "compute-cache", "https://docs.nvidia.com/cuda/cuda-c-programming-guide/index.html#cuda-environment-variables");
        doctor_evidence(d, f, "%s: %s, %lld MiB free", *at ? at : "/", problem ? doctor_errno(problem) : "writable", (long long)(room.free >> 20));
        doctor_cause(d, f, "What the driver compiles cannot be kept (%s): wheels without code for this GPU compile for minutes at every start.", "驱动编译的内核无法缓存 (%s): 没有本 GPU 代码的 wheel 每次启动都要编译几分钟。", path);
        doctor_cure(d, f, "export CUDA_CACHE_PATH=/a/writable/volume CUDA_CACHE_MAXSIZE=4294967296", NULL);
        return;
    }
    doctor_fine(d, "%s%s%s", path, size ? ", CUDA_CACHE_MAXSIZE=" : "", size ? size : "");
}

DOCTOR_CHECK(compute_cache, .code = 1302, .layer = DOCTOR_ENVIRONMENT, .reads = "CUDA_CACHE_PATH, HOME/.nv/ComputeCache", .asks = "can compiled kernels be kept?", .finds = {"compute-cache"}, .run = compute_cache_run);
