/* The ranks of a distributed job on this machine: which one is not where the others wait for it. */
#include <stdlib.h>
#include <string.h>

#include "doctor/job.h"

typedef struct collective_rank {
    const doctor_process *process;
    int local;
    bool spins, away, stopped; /* its GPU waits in a collective; its GPU is idle; held by a signal */
    doctor_shares shares;
    const char *what;
    doctor_wait wait;
} collective_rank;

static const char *const collective_link = "https://pytorch.org/blog/flight-recorder-a-new-lens-for-understanding-nccl-watchdog-timeouts/";

/* "rank 0: GPU 0 100 % 130 W, main SSSS futex; rank 1: ..." */
static const char *collective_table(doctor *d, const collective_rank *list, int n) {
    doctor_buffer b = {NULL, 0, 0};
    for (int i = 0; i < n && i < 8; i++) {
        const collective_rank *r = &list[i];
        doctor_job_gpu gpu;
        doctor_print(&b, "%slocal rank %d (PID %d): ", i ? "; " : "", r->local, r->process->pid);
        if (doctor_job_gpus(d, r->process->pid, &gpu)) doctor_print(&b, "GPU %d %.0f %% %.0f W, ", gpu.first, gpu.utilisation, gpu.power);
        doctor_print(&b, "state %c, %.0f %% CPU", r->process->state, r->shares.cpu * 100);
        if (r->shares.run < 0.5) doctor_print(&b, ", %s", r->what);
    }
    if (n > 8) doctor_print(&b, "; and %d more", n - 8);
    const char *text = doctor_text(d, "%s", b.data ? b.data : "");
    taper__free(b.data);
    return text;
}

static int collective_look(doctor *d, collective_rank *list) {
    const doctor_job *job = doctor_job_look(d);
    int n = 0;
    for (int k = 0; k < job->ranks; k++) {
        const doctor_process *p = &job->process[job->rank[k]];
        const char *local = doctor_job_rank(d, p->pid, true);
        if (p->state == 'Z' || p->state == 'X') continue;
        collective_rank r = {.process = p, .local = local ? atoi(local) : k, .shares = doctor_job_shares(d, p->pid), .stopped = doctor_job_stopped(d, p)};
        doctor_job_gpu gpu;
        r.wait = doctor_job_wait(d, p->pid, &r.what);
        if (doctor_job_gpus(d, p->pid, &gpu) && gpu.count == 1) {
            r.spins = gpu.utilisation >= 95 && gpu.limit > 0 && gpu.power < 0.5 * gpu.limit;
            r.away = gpu.utilisation < 50;
        }
        int at = n++;
        for (; at > 0 && list[at - 1].local > r.local; at--) list[at] = list[at - 1];
        list[at] = r;
    }
    return n;
}

/* What the rank that is not there does instead. */
static const char *collective_does(const collective_rank *r, bool chinese) {
    static const char *const en[] = {"does something else", "waits for a lock", "waits for events", "waits for a pipe", "waits for a socket", "waits at a terminal", "waits for a disk", "waits for a child process", "sleeps", "waits for a device"};
    static const char *const zh[] = {"在做别的事", "在等锁", "在等事件", "在等管道", "在等套接字", "在等终端", "在等磁盘", "在等子进程", "在睡眠", "在等设备"};
    doctor_wait wait = r->shares.disk >= 0.4 ? WAIT_FILE : r->wait;
    if (r->shares.main >= 0.5) return chinese ? "在执行 Python 代码" : "runs Python code";
    return chinese ? zh[wait] : en[wait];
}

static void collective_run(doctor *d) {
    const doctor_job *job = doctor_job_look(d);
    const doctor_process *lead = doctor_job_lead(d);
    collective_rank list[JOB_RANKS];
    if (!lead || !job->ranks) return;
    int n = collective_look(d, list), expected = doctor_job_ranks(d, lead->pid, true), spinning = 0;
    const collective_rank *held = NULL, *behind = NULL;
    for (int i = 0; i < n; i++) {
        spinning += list[i].spins;
        if (list[i].stopped) held = &list[i];
        if (list[i].away && (!behind || list[i].shares.disk > behind->shares.disk)) behind = &list[i];
    }
    const char *table = collective_table(d, list, n);
    doctor_finding *f;
    if (expected > n && expected <= JOB_RANKS && lead->age > 30) {
        doctor_buffer missing = {NULL, 0, 0};
        for (int rank = 0; rank < expected; rank++) {
            bool there = false;
            for (int i = 0; i < n; i++) there |= list[i].local == rank;
            if (!there) doctor_print(&missing, "%s%d", missing.size ? ", " : "", rank);
        }
        f = doctor_find(d, DOCTOR_BROKEN, "rank-missing", collective_link);
        doctor_evidence(d, f, "%d of %d processes; %s", n, expected, table);
        doctor_cause(d, f, "Local rank %s has no process any more: it crashed or was killed, and the others wait for it in the next collective.", "本机 rank %s 的进程已不存在: 崩溃或被杀, 其余进程在下一次集合通信中等它。", missing.data ? missing.data : "?");
        doctor_cure(d, f, "look at that rank's log: taper doctor --log FILE; taper doctor --check memory shows kills by the kernel; then restart all ranks", "查看该 rank 的日志: taper doctor --log 文件; taper doctor --check memory 可查是否被内核杀死; 然后重启全部进程");
        taper__free(missing.data);
    } else if (held) {
        f = doctor_find(d, DOCTOR_BROKEN, "rank-stopped", collective_link);
        doctor_evidence(d, f, "%s", table);
        doctor_cause(d, f, "Local rank %d (PID %d) is stopped by a signal or a debugger; the others wait for it.", "本机 rank %d (PID %d) 被信号或调试器暂停, 其余进程在等它。", held->local, held->process->pid);
        doctor_cure(d, f, "kill -CONT %d", NULL, held->process->pid);
    } else if (spinning && behind) {
        bool dead = behind->shares.still && behind->shares.disk < 0.4;
        f = doctor_find(d, dead ? DOCTOR_BROKEN : DOCTOR_SLOW, "rank-behind", collective_link);
        doctor_evidence(d, f, "%s", table);
        doctor_cause(d, f, "%1$d ranks wait in a collective for local rank %2$d (PID %3$d), which %4$s.%5$.0s", "%1$d 个 rank 在集合通信中等待本机 rank %2$d (PID %3$d), 它%5$s。%4$.0s", spinning, behind->local, behind->process->pid,
                     collective_does(behind, false), collective_does(behind, true));
        doctor_cure(d, f, "py-spy dump --pid %d names the line, taper doctor --pid %d its wait; do not raise the timeout first", "py-spy dump --pid %d 看代码行, taper doctor --pid %d 看它在等什么; 不要先调大超时", behind->process->pid, behind->process->pid);
    } else if (spinning == n && n && doctor_job_ranks(d, lead->pid, false) > n) {
        f = doctor_find(d, DOCTOR_UNKNOWN, "collective", collective_link);
        doctor_evidence(d, f, "%s", table);
        doctor_cause(d, f, "All ranks of this machine wait in a collective: the missing one is on another machine, or the kernels are small.", "本机所有 rank 都在集合通信中等待: 缺席者在其他机器上, 或者内核很小。");
        doctor_cure(d, f, "taper doctor --pid on the other machines", "在其他机器上运行 taper doctor --pid");
    } else {
        doctor_fine(d, "%s", table);
    }
}

DOCTOR_CHECK(collective, .code = 1411, .layer = DOCTOR_PROCESS, .reads = "/proc/*/environ of one's own processes, /proc/PID/{stat,wchan,syscall} of the ranks, NVML, sampled", .asks = "which rank do the others wait for?",
             .finds = {"rank-missing", "rank-stopped", "rank-behind"}, .live = true, .run = collective_run);
