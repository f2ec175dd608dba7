/* A process that a signal or a debugger holds, and loader workers that have died. */
#include <string.h>

#include "doctor/job.h"

static void stopped_run(doctor *d) {
    const doctor_job *job = doctor_job_look(d);
    const doctor_process *lead = doctor_job_lead(d);
    int stopped = 0, dead = 0;
    const doctor_process *one = NULL, *zombie = NULL;
    doctor_finding *f;
    if (!lead) return;
    for (int i = 0; i < job->count; i++) {
        const doctor_process *p = &job->process[i];
        if (p->role == JOB_RANK && i >= 1 && job->ranks) continue; /* the check of ranks names those */
        if (doctor_job_stopped(d, p)) stopped++, one = one && one->role == JOB_LEAD ? one : p;
        if (p->state == 'Z' && p->role == JOB_WORKER) dead++, zombie = p;
    }
    if (one && one->tracer) {
        f = doctor_find(d, DOCTOR_BROKEN, "job-in-debugger", "https://man7.org/linux/man-pages/man2/ptrace.2.html");
        const char *tracer = doctor_line(d, "/proc/%d/comm", one->tracer);
        doctor_evidence(d, f, "/proc/%d/status: State %c, TracerPid %d (%s)", one->pid, one->state, one->tracer, tracer ? tracer : "?");
        doctor_cause(d, f, "%s (PID %d) is attached to PID %d and holds it.", "%s (PID %d) 附着在 PID %d 上, 使其停住。", tracer ? tracer : "A debugger", one->tracer, one->pid);
        doctor_cure(d, f, "detach or continue in it, or kill %d", "在其中 detach 或 continue, 或 kill %d", one->tracer);
    } else if (one) {
        f = doctor_find(d, DOCTOR_BROKEN, "job-stopped", "https://man7.org/linux/man-pages/man7/signal.7.html");
        doctor_evidence(d, f, "/proc/%d/status: State %c; %d processes of the job are stopped", one->pid, one->state, stopped);
        doctor_cause(d, f, "PID %d is stopped by a signal (Ctrl-Z, kill -STOP, or a background job that wanted the terminal).", "PID %d 被信号暂停 (Ctrl-Z、kill -STOP 或后台任务读写终端)。", one->pid);
        doctor_cure(d, f, "kill -CONT %d", NULL, one->pid);
    } else if (lead->tracer) {
        const char *tracer = doctor_line(d, "/proc/%d/comm", lead->tracer);
        f = doctor_find(d, DOCTOR_SLOW, "job-traced", "https://man7.org/linux/man-pages/man2/ptrace.2.html");
        doctor_evidence(d, f, "/proc/%d/status: TracerPid %d (%s)", lead->pid, lead->tracer, tracer ? tracer : "?");
        doctor_cause(d, f, "%s (PID %d) traces the job: each system call or sample stops it.", "%s (PID %d) 正在跟踪任务: 每个系统调用或采样都会使其停顿。", tracer ? tracer : "A tracer", lead->tracer);
        doctor_cure(d, f, "kill %d", NULL, lead->tracer);
    }
    if (zombie && doctor_job_shares(d, lead->pid).still) {
        f = doctor_find(d, DOCTOR_BROKEN, "worker-dead", "https://github.com/pytorch/pytorch/issues/8976");
        doctor_evidence(d, f, "%d of %d workers: state Z (PID %d, %s); the main thread sleeps", dead, job->workers + dead, zombie->pid, zombie->name);
        doctor_cause(d, f, "A loader worker has died and the main thread still waits for its batch.", "有 DataLoader 工作进程已死, 主线程仍在等它的批次。");
        doctor_cure(d, f, "stop the job; look for the kernel's kill: taper doctor --check memory; then DataLoader(timeout=120)", "停止任务; 用 taper doctor --check memory 看是否被内核杀死; 之后用 DataLoader(timeout=120)");
    } else if (!one && !lead->tracer) {
        doctor_fine(d, "%d processes: none stopped, traced or dead", job->count);
    }
}

DOCTOR_CHECK(stopped, .code = 1410, .layer = DOCTOR_PROCESS, .reads = "/proc/PID/{stat,status} of the job's processes", .asks = "is the job, or a part of it, held or dead?",
             .finds = {"job-stopped", "job-in-debugger", "job-traced", "worker-dead"}, .live = true, .run = stopped_run);
