/* Switches left on after a day of debugging. */
#include "doctor/switches.h"

#include <string.h>

#include "doctor/doctor.h"

const doctor_switch doctor_switches[] = {
    {"CUDA_LAUNCH_BLOCKING", "1", "every kernel launch waits for the GPU (often half the speed)", "每次内核启动都等待 GPU (常慢一倍)"},
    {"CUDA_FORCE_PTX_JIT", "1", "every kernel is compiled again from PTX at the start", "启动时所有内核都从 PTX 重新编译"},
    {"CUDA_CACHE_DISABLE", "1", "what the driver compiles is thrown away after each run", "驱动编译的结果不缓存, 每次运行都重来"},
    {"PYTORCH_NO_CUDA_MEMORY_CACHING", NULL, "every tensor is a cudaMalloc and a cudaFree (5 to 10 times slower)", "每个张量都调用 cudaMalloc/cudaFree (慢 5-10 倍)"},
    {"NVIDIA_TF32_OVERRIDE", "0", "TF32 is off in every library (matrix products up to 8 times slower)", "所有库都禁用 TF32 (矩阵乘最多慢 8 倍)"},
    {"NCCL_P2P_DISABLE", "1", "GPUs talk through main memory, not NVLink or PCIe", "GPU 之间绕道主存, 不走 NVLink/PCIe"},
    {"NCCL_SHM_DISABLE", "1", "ranks of one machine talk through sockets", "同机进程改走 socket 通信"},
    {"NCCL_IB_DISABLE", "1", "nodes talk through sockets, not InfiniBand", "节点间走 socket, 不走 InfiniBand"},
    {"NCCL_DEBUG", "TRACE", "NCCL writes a line for every operation", "NCCL 每个操作都写日志"},
    {"TORCH_DISTRIBUTED_DEBUG", "DETAIL", "every collective is checked against all ranks first", "每次集合通信都先在所有进程间核对"},
    {"TORCH_NCCL_BLOCKING_WAIT", "1", "every collective waits on the host", "每次集合通信都在主机上等待"},
    {"PYTORCH_JIT", "0", "TorchScript functions run in the interpreter", "TorchScript 退回解释执行"},
    {"TORCHDYNAMO_DISABLE", "1", "torch.compile does nothing", "torch.compile 不起作用"},
    {"PYTHONMALLOC", "debug", "Python checks every block of memory", "Python 检查每一块内存"},
    {"PYTHONDEVMODE", "1", "Python runs with all its debug checks", "Python 打开全部调试检查"},
    {"MALLOC_CHECK_", NULL, "the C library checks every block of memory", "C 库检查每一块内存"},
    {"LD_DEBUG", NULL, "the loader writes a line for every symbol", "加载器为每个符号写日志"},
    {"OMP_DISPLAY_ENV", "VERBOSE", "OpenMP prints its settings at every start", "OpenMP 每次启动都打印设置"},
    {NULL, NULL, NULL, NULL},
};

bool doctor_switch_on(const doctor_switch *s, const char *value) {
    return value && (s->value ? !strcasecmp(value, s->value) : *value && strcmp(value, "0") && strcasecmp(value, "off"));
}

static void environment_run(doctor *d) {
    int bad = 0, all = 0;
    for (const doctor_switch *s = doctor_switches; s->name; s++, all++) {
        const char *value = doctor_env(d, s->name);
        if (!doctor_switch_on(s, value)) continue;
        doctor_finding *f = doctor_find(d, DOCTOR_SLOW, "environment-debug", "https://docs.pytorch.org/docs/stable/cuda_environment_variables.html");
        doctor_evidence(d, f, "%s=%s", s->name, value);
        doctor_cause(d, f, "%1$s=%2$s: %3$s.%4$.0s", "%1$s=%2$s: %4$s。%3$.0s", s->name, value, s->en, s->zh);
        doctor_cure(d, f, "unset %s", NULL, s->name);
        bad++;
    }
    if (!bad) doctor_fine(d, "none of %d debugging switches is set", all);
}

DOCTOR_CHECK(environment, .code = 1301, .layer = DOCTOR_ENVIRONMENT, .reads = "environment variables", .asks = "is a debugging switch left on?", .finds = {"environment-debug"}, .run = environment_run);
