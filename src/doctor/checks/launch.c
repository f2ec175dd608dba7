/* A kernel on each GPU: does it run, is its result right, what does its launch cost. */
#include "doctor/ladder.h"
#include "doctor/probes/deep.h"

#include <stdlib.h>
#include <string.h>

/* Microseconds. A launch costs 1.5 to 3 on a current host, launch and wait 5 to 15, after a rest 10 to 60. */
#define LAUNCH_ENQUEUE_MOST 8.0
#define LAUNCH_ROUND_MOST 50.0
#define LAUNCH_IDLE_MOST 250.0

const doctor_facts *doctor_launch(doctor *d);

/* True when the kernel did not run or computed nonsense. */
static bool launch_broken(doctor *d, const doctor_facts *f, int i, const char *name) {
    int64_t jit = doctor_fact_int(f, 0, "gpu.%d.jit", i), in = doctor_fact_int(f, 0, "gpu.%d.wrong_in", i), out = doctor_fact_int(f, 0, "gpu.%d.wrong_out", i);
    const char *error = doctor_fact(f, "gpu.%d.error", i);
    if (jit == 221 || jit == 218 || jit == 222) { /* JIT compiler not found, PTX refused */
        doctor_finding *p = doctor_find(d, DOCTOR_BROKEN, "deep-jit-missing", "https://docs.nvidia.com/cuda/cuda-driver-api/group__CUDA__TYPES.html");
        doctor_evidence(d, p, "GPU %d %s: cuModuleLoadData of PTX: %lld", i, name, (long long)jit);
        doctor_cause(d, p, "The driver cannot compile PTX: libnvidia-ptxjitcompiler.so is missing or not of the driver's version; programs without a kernel for this GPU fail.",
                     "驱动无法编译 PTX: 缺少 libnvidia-ptxjitcompiler.so 或其版本与驱动不符; 没有为此 GPU 预编译内核的程序会失败。");
        doctor_cure(d, p, "ldconfig -p | grep ptxjitcompiler; container: -e NVIDIA_DRIVER_CAPABILITIES=compute,utility; host: reinstall the driver's compute libraries",
                    "ldconfig -p | grep ptxjitcompiler; 容器: -e NVIDIA_DRIVER_CAPABILITIES=compute,utility; 宿主机: 重装驱动的计算库");
        return true;
    }
    if (in > 0 || out > 0) {
        doctor_finding *p = doctor_find(d, DOCTOR_BROKEN, "deep-wrong-result", "https://docs.nvidia.com/deploy/xid-errors/index.html");
        doctor_evidence(d, p, "GPU %d %s: %lld of 16777216 words wrong after the copy in, %lld after the copy out", i, name, (long long)in, (long long)out);
        doctor_cause(d, p, "GPU %d returns wrong bits without an error: its memory or the bus is faulty.", "GPU %d 不报错却返回错误数据: 显存或总线有故障。", i);
        doctor_cure(d, p, "take the GPU out of use; nvidia-smi -q -d ECC,PAGE_RETIREMENT,ROW_REMAPPER; turn overclocks off, then replace it",
                    "停用这块 GPU; nvidia-smi -q -d ECC,PAGE_RETIREMENT,ROW_REMAPPER; 取消超频, 仍出错则更换");
        return true;
    }
    if (!error && !jit) return false;
    if (error && !strncmp(error, "cuDevicePrimaryCtxRetain", 24)) return true; /* the check cuda has said it */
    const char *text = error ? error : doctor_text(d, "cuModuleLoadData %lld", (long long)jit);
    int64_t code = strrchr(text, ' ') ? strtol(strrchr(text, ' ') + 1, NULL, 10) : 0;
    if (code == 2) { /* no memory: others hold it */
        doctor_unknown(d, "GPU %d %s: %s (its memory is full)", i, name, text);
        return true;
    }
    doctor_finding *p = doctor_find(d, DOCTOR_BROKEN, "deep-run-fails", "https://docs.nvidia.com/deploy/xid-errors/index.html");
    doctor_evidence(d, p, "GPU %d %s: %s", i, name, text);
    if (code == 214 || code == 226) doctor_cause(d, p, "GPU %d opens, but using its memory ends in an ECC error that could not be corrected.", "GPU %d 能打开, 但访问显存时出现不可纠正的 ECC 错误。", i);
    else doctor_cause(d, p, "GPU %d opens, but a copy and a small kernel fail on it with error %lld.", "GPU %d 能打开, 但简单的拷贝和内核就以错误 %lld 失败。", i, (long long)code);
    doctor_cure(d, p, "sudo dmesg | grep -iE 'nvrm|xid'; sudo nvidia-smi --gpu-reset -i %d, or reboot; replace the card when it returns",
                "sudo dmesg | grep -iE 'nvrm|xid'; sudo nvidia-smi --gpu-reset -i %d 或重启; 再次出现则更换", i);
    return true;
}

static void launch_slow(doctor *d, const doctor_facts *f, int i, const char *text) {
    double enqueue = doctor_fact_real(f, 0, "gpu.%d.enqueue_us", i), round = doctor_fact_real(f, 0, "gpu.%d.round_us", i), idle = doctor_fact_real(f, 0, "gpu.%d.idle_us", i);
    const char *governor = doctor_line(d, "/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"), *blocking = doctor_env(d, "CUDA_LAUNCH_BLOCKING");
    const char *said = blocking && doctor_said(d, "environment-debug", "CUDA_LAUNCH_BLOCKING") ? "CUDA_LAUNCH_BLOCKING" : doctor_said(d, "governor-powersave", NULL) ? "the governor" : doctor_is_wsl(d) ? "the way through Windows" : NULL;
    if (said && (enqueue > LAUNCH_ENQUEUE_MOST || round > LAUNCH_ROUND_MOST || idle > LAUNCH_IDLE_MOST)) {
        doctor_fine(d, "%s: what %s costs", text, said);
    } else if (enqueue > LAUNCH_ENQUEUE_MOST || round > LAUNCH_ROUND_MOST) {
        doctor_finding *p = doctor_find(d, DOCTOR_SLOW, "deep-launch-slow", "https://github.com/pytorch/pytorch/issues/44504");
        doctor_evidence(d, p, "%s; scaling_governor %s%s%s", text, governor ? governor : "-", blocking ? "; CUDA_LAUNCH_BLOCKING=" : "", blocking ? blocking : "");
        if (blocking && !strcmp(blocking, "1")) {
            doctor_cause(d, p, "Each launch waits for the GPU (%.1f us instead of about 2): CUDA_LAUNCH_BLOCKING is set.", "每次启动都等待 GPU (%.1f us, 正常约 2): 设置了 CUDA_LAUNCH_BLOCKING。", enqueue);
            doctor_cure(d, p, "unset CUDA_LAUNCH_BLOCKING", NULL);
            return;
        }
        doctor_cause(d, p, "A kernel launch costs %.1f us (about 2 is normal), launch and wait %.1f us: small models run at the speed of this CPU, which is slow, throttled or shared.",
                     "启动一个内核需 %.1f us (正常约 2), 启动加等待 %.1f us: 小模型的速度取决于 CPU, 而它偏慢、被限速或与人共用。", enqueue, round);
        doctor_cure(d, p, "sudo cpupower frequency-set -g performance; keep a core free for the process (taskset, a larger CPU quota); CUDA graphs for small models",
                    "sudo cpupower frequency-set -g performance; 给进程留出空闲核心 (taskset, 更大的 CPU 配额); 小模型用 CUDA Graph");
    } else if (idle > LAUNCH_IDLE_MOST && idle > 5 * round) {
        doctor_finding *p = doctor_find(d, DOCTOR_SLOW, "deep-wakeup-slow", "https://docs.kernel.org/admin-guide/pm/cpuidle.html");
        doctor_evidence(d, p, "%s; scaling_governor %s", text, governor ? governor : "-");
        doctor_cause(d, p, "After 100 ms of rest a launch takes %.0f us instead of %.0f: deep sleep states of the CPU or its clock that rises slowly.",
                     "空闲 100 ms 后一次启动需 %.0f us, 平时 %.0f us: CPU 深度睡眠或升频缓慢。", idle, round);
        doctor_cure(d, p, "for services that wait for requests: sudo cpupower frequency-set -g performance; sudo cpupower idle-set -D 50", "对等待请求的服务: sudo cpupower frequency-set -g performance; sudo cpupower idle-set -D 50");
    } else {
        doctor_fine(d, "%s", text);
    }
}

static void launch_run(doctor *d) {
    if (!doctor_measures(d)) return;
    doctor_busy(d, "-");
    const doctor_facts *f = doctor_launch(d);
    for (int i = 0; i < 16; i++) {
        const char *name = doctor_fact(f, "gpu.%d.name", i);
        if (!name || launch_broken(d, f, i, name)) continue;
        double enqueue = doctor_fact_real(f, 0, "gpu.%d.enqueue_us", i), round = doctor_fact_real(f, 0, "gpu.%d.round_us", i), idle = doctor_fact_real(f, 0, "gpu.%d.idle_us", i);
        if (enqueue <= 0 || round <= 0) continue;
        const char *text = doctor_text(d, "GPU %d %s: results right; launch %.1f us, with wait %.1f us", i, name, enqueue, round);
        if (idle > 0) text = doctor_text(d, "%s, after 100 ms of rest %.1f us", text, idle);
        text = doctor_text(d, "%s; PTX compiled in %.0f ms", text, doctor_fact_real(f, 0, "gpu.%d.jit_ms", i));
        bool slow = enqueue > LAUNCH_ENQUEUE_MOST || round > LAUNCH_ROUND_MOST || idle > LAUNCH_IDLE_MOST;
        int busy = slow ? doctor_busy_since(d, doctor_fact(f, "gpu.%d.bus", i)) : 0;
        if (busy > 20) doctor_unknown(d, "%s; others used the GPU %d %% of the time", text, busy);
        else launch_slow(d, f, i, text);
    }
    if (doctor_facts_end(f) && doctor_fact(f, "count") && strstr(doctor_facts_end(f), "timed out")) {
        doctor_finding *p = doctor_find(d, DOCTOR_BROKEN, "deep-run-hangs", "https://docs.nvidia.com/deploy/xid-errors/index.html");
        doctor_evidence(d, p, "copy and small kernel: %s", doctor_facts_end(f));
        doctor_cause(d, p, "A GPU opens, but a copy and a small kernel do not come back.", "GPU 能打开, 但简单的拷贝和内核不返回。");
        doctor_cure(d, p, "sudo dmesg | grep -iE 'nvrm|xid'; reboot; nvidia-smi shows the GPU at 100 %% with low power", "sudo dmesg | grep -iE 'nvrm|xid'; 重启; nvidia-smi 中该 GPU 显示 100 %% 而功耗很低");
        return;
    }
    doctor_unmeasured(d, f, "launch");
}

DOCTOR_CHECK(launch, .code = 1502, .layer = DOCTOR_MEASURED, .reads = "a small kernel compiled from PTX, run and compared on each GPU", .asks = "do kernels run, right and quickly started?",
             .finds = {"deep-jit-missing", "deep-wrong-result", "deep-run-fails", "deep-run-hangs", "deep-launch-slow", "deep-wakeup-slow"}, .deep = true, .run = launch_run);
