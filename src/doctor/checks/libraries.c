/* The user side of the driver: which libcuda and libnvidia-ml the loader takes, and whether they are the driver's own. */
#include "doctor/ladder.h"

#include <string.h>

/* "580.159.04" of "libcuda.so.580.159.04"; NULL. */
static const char *libraries_version(const char *path) {
    const char *so = path ? strstr(path, ".so.") : NULL;
    return so && strchr(so + 4, '.') ? so + 4 : NULL;
}

/* The folder of LD_LIBRARY_PATH a file came from, to be named in the cure; NULL when it was found otherwise. */
static const char *libraries_folder(doctor *d, const char *path) {
    const char *list = doctor_env(d, "LD_LIBRARY_PATH");
    size_t n;
    for (; list && *list; list += n, list += *list == ':') {
        n = strcspn(list, ":");
        const char *folder = doctor_text(d, "%.*s", (int)n, list), *real = n ? doctor_real(d, folder) : NULL;
        if (real && !strncmp(path, real, strlen(real)) && path[strlen(real)] == '/') return folder;
    }
    return NULL;
}

static void libraries_run(doctor *d) {
    if (doctor_ladder(d) < RUNG_LIBRARIES) return;
    const doctor_facts *loader = doctor_loader(d);
    const char *cuda = doctor_fact(loader, "libcuda.so.1.path"), *ml = doctor_fact(loader, "libnvidia-ml.so.1.path"), *module = doctor_module(d, NULL);
    const char *cuda_error = doctor_fact(loader, "libcuda.so.1.error"), *ml_error = doctor_fact(loader, "libnvidia-ml.so.1.error");
    doctor_finding *f;
    if (!cuda && !cuda_error) {
        doctor_unknown(d, "the loader's probe %s", doctor_facts_end(loader) ? doctor_facts_end(loader) : "said nothing");
        return;
    }
    if (cuda && strstr(cuda, "/stubs/")) {
        const char *folder = libraries_folder(d, cuda);
        f = doctor_find(d, DOCTOR_BROKEN, "libcuda-stub", "https://github.com/NVIDIA/warp/issues/219");
        doctor_evidence(d, f, "libcuda.so.1 is %s", cuda);
        doctor_cause(d, f, "The toolkit's stub of libcuda is found before the driver's: every CUDA call fails with error 34.",
                     "先找到了 CUDA 工具包里的 libcuda 桩库, 所有 CUDA 调用都返回错误 34。");
        doctor_cure(d, f, "remove %s from LD_LIBRARY_PATH", "从 LD_LIBRARY_PATH 中去掉 %s", folder ? folder : "the stubs folder");
    } else if (!cuda && ml && doctor_container(d)) {
        const char *capabilities = doctor_env(d, "NVIDIA_DRIVER_CAPABILITIES");
        f = doctor_find(d, DOCTOR_BROKEN, "libcuda-capability", "https://docs.nvidia.com/datacenter/cloud-native/container-toolkit/latest/docker-specialized.html");
        doctor_evidence(d, f, "%s; NVML is %s; NVIDIA_DRIVER_CAPABILITIES=%s", cuda_error, ml, capabilities ? capabilities : "(not set)");
        doctor_cause(d, f, "The container got the driver's tools (nvidia-smi) but not its compute libraries.", "容器只得到了驱动的工具 (nvidia-smi), 没有计算库。");
        doctor_cure(d, f, "docker run -e NVIDIA_DRIVER_CAPABILITIES=compute,utility --gpus all ...", NULL);
    } else if (!cuda) {
        f = doctor_find(d, DOCTOR_BROKEN, "libcuda-missing", "https://docs.nvidia.com/datacenter/tesla/driver-installation-guide/");
        doctor_evidence(d, f, "%s", cuda_error);
        doctor_cause(d, f, "The driver's libcuda.so.1 is not where the loader looks: its user-space package is missing%s.",
                     "加载器找不到驱动的 libcuda.so.1: 缺少驱动的用户态包%s。", doctor_container(d) ? " (--gpus)" : "");
        if (doctor_container(d)) doctor_cure(d, f, "docker run --gpus all ... with nvidia-container-toolkit on the host", "docker run --gpus all ..., 宿主机需装 nvidia-container-toolkit");
        else doctor_cure(d, f, "sudo apt install libnvidia-compute-%.*s, then sudo ldconfig", "sudo apt install libnvidia-compute-%.*s, 然后 sudo ldconfig", module ? (int)strcspn(module, ".") : 3, module ? module : "NNN");
    }
    if (!ml && cuda) {
        f = doctor_find(d, DOCTOR_SLOW, "nvml-missing", "https://docs.nvidia.com/datacenter/cloud-native/container-toolkit/latest/docker-specialized.html");
        doctor_evidence(d, f, "%s", ml_error ? ml_error : "libnvidia-ml.so.1: not found");
        doctor_cause(d, f, "CUDA is there but not NVML: nvidia-smi and the checks of clocks and memory do not work.", "有 CUDA 但没有 NVML: nvidia-smi 以及时钟、显存检查都不可用。");
        doctor_cure(d, f, "docker run -e NVIDIA_DRIVER_CAPABILITIES=compute,utility --gpus all ...", NULL);
    }
    bool wrong = false;
    const char *paths[] = {cuda, ml};
    for (int i = 0; i < 2 && module; i++) {
        const char *version = libraries_version(paths[i]);
        if (!version || !strcmp(version, module) || strstr(paths[i], "/compat/") || strstr(paths[i], "/stubs/")) continue;
        if (wrong) break; /* both come from one package */
        wrong = true;
        f = doctor_find(d, DOCTOR_BROKEN, "libraries-mismatch", "https://docs.nvidia.com/deploy/nvml-api/");
        doctor_evidence(d, f, "%s; /proc/driver/nvidia/version: %s", paths[i], module);
        doctor_cause(d, f, "The driver's libraries are %s but the kernel still runs module %s: the package was updated under a running system.",
                     "驱动的用户态库是 %s, 内核里仍是模块 %s: 系统运行中升级了驱动包。", version, module);
        if (doctor_container(d)) doctor_cure(d, f, "recreate the container, so that it gets the host's present libraries", "重建容器, 让它拿到宿主机当前的驱动库");
        else doctor_cure(d, f, "sudo reboot (or stop all GPU jobs, then sudo rmmod nvidia_uvm nvidia_drm nvidia_modeset nvidia && sudo modprobe nvidia nvidia_uvm)",
                         "sudo reboot (或停止所有 GPU 任务后 sudo rmmod nvidia_uvm nvidia_drm nvidia_modeset nvidia && sudo modprobe nvidia nvidia_uvm)");
    }
    if (cuda && ml && !wrong && !strstr(cuda, "/stubs/")) doctor_fine(d, "%s; %s", cuda, ml);
}

DOCTOR_CHECK(libraries, .code = 401, .layer = DOCTOR_LIBRARIES, .reads = "dlopen(libcuda.so.1), dlopen(libnvidia-ml.so.1), LD_LIBRARY_PATH", .asks = "which driver libraries does the loader take?",
             .finds = {"libcuda-stub", "libcuda-capability", "libcuda-missing", "nvml-missing", "libraries-mismatch"}, .run = libraries_run);
