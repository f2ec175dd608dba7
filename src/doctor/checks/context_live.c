/* A job whose CUDA context has died of an error, while its process lives on and answers nonsense. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "doctor/job.h"

typedef struct context_xid {
    int code;
    const char *en, *zh;
} context_xid;

static const context_xid context_xids[] = { /* those after which the context is gone */
    {13, "an exception in a kernel: an index out of range, an assertion", "内核异常: 下标越界或断言失败"},
    {31, "a kernel read or wrote memory that is not its own", "内核访问了非法地址"},
    {43, "the channel was stopped after a fault of the program's", "程序出错后通道被停止"},
    {48, "memory with two wrong bits", "显存双比特 ECC 错误"},
    {62, "the GPU's own controller halted", "GPU 内部控制器停止"},
    {69, "an exception in a kernel's launch", "内核启动异常"},
    {74, "an error of NVLink", "NVLink 错误"},
    {79, "the GPU has fallen off the bus", "GPU 已从总线掉线"},
    {94, "memory with wrong bits, contained to this program", "显存 ECC 错误 (仅影响本程序)"},
    {95, "memory with wrong bits", "显存 ECC 错误 (未被隔离)"},
    {119, "the GPU's firmware does not answer", "GPU 固件 (GSP) 无响应"},
};

static const context_xid *context_find(int code) {
    for (int i = 0; i < TAPER_COUNT(context_xids); i++)
        if (context_xids[i].code == code) return &context_xids[i];
    return NULL;
}

static void context_report(doctor *d, const doctor_process *lead, const context_xid *x, const char *seen) {
    doctor_finding *f = doctor_find(d, DOCTOR_BROKEN, "context-dead", "https://docs.nvidia.com/deploy/xid-errors/index.html");
    doctor_evidence(d, f, "%s", seen);
    doctor_cause(d, f, "The GPU has reported Xid %1$d to this job (%2$s): its CUDA context is dead, and every further call fails.%3$.0s", "GPU 对该任务报了 Xid %1$d (%3$s): 它的 CUDA 上下文已失效, 之后的调用都会失败。%2$.0s", x->code,
                 x->en, x->zh);
    doctor_cure(d, f, "kill %d and start again from a checkpoint; a service should exit on a CUDA error%s", "kill %d 后从检查点重启; 服务程序遇到 CUDA 错误应退出%s", lead->pid,
                x->code == 13 || x->code == 31 || x->code == 43 ? "; CUDA_LAUNCH_BLOCKING=1" : "");
}

static void context_live_run(doctor *d) {
    const doctor_process *lead = doctor_job_lead(d);
    if (!lead || !lead->gpu) return;
    const doctor_facts *f = doctor_job_sample(d);
    const char *uptime = doctor_line(d, "/proc/uptime"), *line, *kmsg = doctor_fact(f, "kmsg");
    double start = uptime && lead->age >= 0 ? strtod(uptime, NULL) - lead->age : 0;
    for (int i = 0; (line = doctor_fact(f, "kernel.%d", i)); i++) {
        const char *pid = strstr(line, "pid="), *code = strstr(line, "): ");
        if (!code || !pid || atoi(pid + 4) != lead->pid || strtod(line, NULL) + 1 < start) continue;
        const context_xid *x = context_find(atoi(code + 3));
        if (!x) continue;
        context_report(d, lead, x, line + strcspn(line, "N"));
        return;
    }
    doctor_job_gpu gpu;
    bool known = doctor_job_gpus(d, lead->pid, &gpu);
    for (int i = 0; known && gpu.count == 1 && (line = doctor_fact(f, "xid.%d", i)); i++) {
        char *end;
        int at = (int)strtol(line, &end, 10);
        const context_xid *x = context_find(atoi(end));
        if (!x || at != gpu.first) continue;
        context_report(d, lead, x, doctor_text(d, "NVML event while looking: GPU %d, Xid %d", at, x->code));
        return;
    }
    if (kmsg && !strcmp(kmsg, "0")) doctor_fine(d, "no Xid of PID %d in the kernel's log", lead->pid);
    else if (doctor_fact_int(f, -1, "nvml") == 0) doctor_fine(d, "no Xid while looking; earlier ones cannot be seen (/dev/kmsg: %s)", kmsg ? kmsg : "?");
}

DOCTOR_CHECK(context_live, .code = 1412, .layer = DOCTOR_PROCESS, .reads = "NVML's events, /dev/kmsg where it may be read", .asks = "has the job's CUDA context died?", .finds = {"context-dead"}, .live = true,
             .run = context_live_run);
