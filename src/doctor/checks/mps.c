/* MPS: clients of a server that is not there, or whose pipe they may not use. */
#include "doctor/gpus.h"

#include <errno.h>
#include <fcntl.h>

#define MPS_LINK "https://docs.nvidia.com/deploy/mps/index.html"

static void mps_run(doctor *d) {
    if (!doctor_gpus(d)) return;
    const char *folder = doctor_env(d, "CUDA_MPS_PIPE_DIRECTORY"), *share = doctor_env(d, "CUDA_MPS_ACTIVE_THREAD_PERCENTAGE"), *control = doctor_fact(doctor_daemons(d), "mps_control");
    const char *pipe = doctor_text(d, "%s/control", folder ? folder : "/tmp/nvidia-mps");
    int code = (int)doctor_fact_int(doctor_cuda(d), 0, "init"), opens = doctor_open(d, pipe, O_WRONLY); /* ENXIO: a pipe that nobody reads */
    bool refused = code >= 805 && code <= 809;
    if (!folder && !share && !control && !refused && opens == ENOENT) return;
    const char *numbers = doctor_text(d, "CUDA_MPS_PIPE_DIRECTORY %s; open(%s): %s; nvidia-cuda-mps-control %s%s; cuInit %d", folder ? folder : "not set", pipe, doctor_errno(opens),
                                      control ? "is process " : "not seen", control ? control : "", code);
    doctor_finding *f = NULL;
    if (opens == EACCES || opens == EPERM) {
        f = doctor_find(d, refused ? DOCTOR_BROKEN : DOCTOR_SLOW, "mps-denied", MPS_LINK);
        doctor_cause(d, f, "This user may not use the pipe of the MPS server: it was started by another user.", "当前用户无权使用 MPS 服务的管道: 服务由其他用户启动。");
        doctor_cure(d, f, "start the server as this user, or set CUDA_MPS_PIPE_DIRECTORY to your own server's folder", "以当前用户启动 MPS, 或把 CUDA_MPS_PIPE_DIRECTORY 指向自己的服务目录");
    } else if (refused) {
        f = doctor_find(d, DOCTOR_BROKEN, "mps-connection", MPS_LINK);
        doctor_cause(d, f, "The driver wants the MPS server but cannot talk to it (error %d).", "驱动要连接 MPS 服务但失败 (错误 %d)。", code);
        doctor_cure(d, f, "echo quit | nvidia-cuda-mps-control; nvidia-cuda-mps-control -d; its log is /var/log/nvidia-mps/control.log", "echo quit | nvidia-cuda-mps-control; nvidia-cuda-mps-control -d; 日志在 /var/log/nvidia-mps/control.log");
    } else if ((folder || share) && opens) {
        f = doctor_find(d, DOCTOR_SLOW, "mps-no-server", MPS_LINK);
        doctor_cause(d, f, "The environment asks for MPS (%s) but no server answers: processes take turns on the GPU, and limits of MPS do not hold.", "环境要求使用 MPS (%s) 但没有服务: 各进程轮流使用 GPU, MPS 的限额也不生效。",
                     folder ? "CUDA_MPS_PIPE_DIRECTORY" : "CUDA_MPS_ACTIVE_THREAD_PERCENTAGE");
        if (doctor_container(d)) doctor_cure(d, f, "mount the server's pipe folder: -v %s:%s --ipc=host; or unset the CUDA_MPS_ variables", "挂载 MPS 管道目录: -v %s:%s --ipc=host; 或去掉 CUDA_MPS_ 变量", folder ? folder : "/tmp/nvidia-mps", folder ? folder : "/tmp/nvidia-mps");
        else doctor_cure(d, f, "nvidia-cuda-mps-control -d, or unset the CUDA_MPS_ variables", "nvidia-cuda-mps-control -d, 或去掉 CUDA_MPS_ 变量");
    }
    if (f) doctor_evidence(d, f, "%s", numbers);
    else if (!opens) doctor_fine(d, "%s%s%s", numbers, share ? "; active thread percentage " : "", share ? share : "");
}

DOCTOR_CHECK(mps, .code = 809, .layer = DOCTOR_GPU, .reads = "CUDA_MPS_*, the server's pipe, /proc/*/comm, the code of cuInit", .asks = "does the MPS server that is asked for answer?",
             .finds = {"mps-denied", "mps-connection", "mps-no-server"}, .run = mps_run);
