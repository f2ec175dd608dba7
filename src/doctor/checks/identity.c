/* What the process of --pid is, and whether it may be looked at. */
#include <errno.h>
#include <string.h>

#include "doctor/job.h"

static const char *const identity_link = "https://man7.org/linux/man-pages/man5/proc.5.html";

static void identity_refused(doctor *d, const doctor_job *job) {
    int pid = doctor_settings(d)->pid;
    const doctor_process *p = job->count ? job->process : NULL;
    doctor_finding *f;
    if (job->problem == ESRCH && p) {
        f = doctor_find(d, DOCTOR_BROKEN, "process-ended", identity_link);
        doctor_evidence(d, f, "/proc/%d/stat: %s, state %c, parent %d", pid, p->name, p->state, p->parent);
        doctor_cause(d, f, "The job has ended; its parent (PID %d) has not yet asked for its exit status.", "任务已结束, 父进程 (PID %d) 还没有回收它。", p->parent);
        doctor_cure(d, f, "look at the end of its log: taper doctor --log FILE", "查看日志末尾: taper doctor --log 文件");
    } else if (job->problem == ESRCH) {
        f = doctor_find(d, DOCTOR_BROKEN, "process-missing", identity_link);
        doctor_evidence(d, f, "/proc/%d: ENOENT; kill(%d, 0): ESRCH%s%s", pid, pid, doctor_container(d) ? "; in container: " : "", doctor_container(d) ? doctor_container(d) : "");
        doctor_cause(d, f, "No process has the number %d here: it has ended, or the number is that of another container or of the host.",
                     "这里没有编号为 %d 的进程: 它已结束, 或者这是其他容器/宿主机里的编号。", pid);
        doctor_cure(d, f, "ps -ef | grep python; in the container where the job runs", "在任务所在的容器里运行 ps -ef | grep python");
    } else if (job->problem == EPERM) {
        f = doctor_find(d, DOCTOR_UNKNOWN, "identity", identity_link);
        if (p) doctor_evidence(d, f, "PID %d: %s, of uid %u", pid, *p->command ? p->command : p->name, p->uid);
        else doctor_evidence(d, f, "/proc/%d: hidden (hidepid); kill(%d, 0): EPERM", pid, pid);
        doctor_cause(d, f, "The process belongs to another user: the kernel shows what it waits for to its owner only.", "该进程属于其他用户: 内核只让属主查看它在等待什么。");
        doctor_cure(d, f, "run taper doctor --pid %d as its owner", "以该用户身份运行 taper doctor --pid %d", pid);
    } else if (job->problem == EACCES) {
        f = doctor_find(d, DOCTOR_UNKNOWN, "identity", identity_link);
        doctor_evidence(d, f, "/proc/%d/environ: EACCES; own uid %u", pid, p ? p->uid : 0);
        doctor_cause(d, f, "The process is of this user but closed to it: its program has privileges of its own (setcap, setuid), or runs in another user namespace.",
                     "进程属于当前用户, 但不允许查看: 程序带有特权 (setcap、setuid) 或在另一个用户命名空间里。");
        doctor_cure(d, f, "run taper doctor --pid in its container, or as root", "在它的容器内或以 root 运行 taper doctor --pid");
    } else {
        doctor_unknown(d, "/proc/%d: %s", pid, doctor_errno(job->problem));
    }
}

static void identity_run(doctor *d) {
    const doctor_job *job = doctor_job_look(d);
    if (job->problem) {
        identity_refused(d, job);
        return;
    }
    const doctor_process *p = job->process, *lead = &job->process[job->lead];
    const char *maps = doctor_read(d, doctor_text(d, "/proc/%d/maps", lead->pid), NULL, NULL);
    bool python = strstr(lead->command, "python") || !strncmp(lead->name, "python", 6) || (maps && strstr(maps, "libpython")), cuda = lead->gpu || (maps && strstr(maps, "/libcuda.so"));
    const char *command = doctor_text(d, "%.120s", *lead->command ? lead->command : lead->name), *rank = doctor_job_rank(d, lead->pid, false);
    const char *parent = doctor_read(d, doctor_text(d, "/proc/%d/cmdline", p->parent), NULL, NULL), *own = doctor_read(d, doctor_text(d, "/proc/%d/cmdline", p->pid), NULL, NULL);
    doctor_buffer en = {NULL, 0, 0}, zh = {NULL, 0, 0};
#define BOTH(en_format, zh_format, ...) (doctor_print(&en, en_format, __VA_ARGS__), doctor_print(&zh, zh_format, __VA_ARGS__))
    BOTH("PID %d is `%s`", "PID %d 是 `%s`", lead->pid, command);
    if (job->lead) BOTH(", started by PID %d (%s)", ", 由 PID %d (%s) 启动", p->pid, p->name);
    if (lead->age >= 0) BOTH(", for %s", ", 已运行 %s", doctor_job_age(d, lead->age));
    if (rank) BOTH(", rank %s of %d", ", rank %s, 共 %d", rank, doctor_job_ranks(d, lead->pid, false));
    if (job->workers) BOTH(", with %d loader processes", ", 有 %d 个 DataLoader 工作进程", job->workers);
    if (!python && !cuda) doctor_print(&en, ": neither Python nor CUDA is in it"), doctor_print(&zh, ": 其中没有 Python, 也没有 CUDA");
    else if (parent && own && *own && !strcmp(parent, own) && python)
        BOTH("; it is a forked child of PID %d: look at that one", "; 它是 PID %d 的 fork 子进程, 请查看父进程", p->parent);
#undef BOTH
    doctor_finding *f = doctor_find(d, DOCTOR_OK, "identity", NULL);
    doctor_evidence(d, f, "PID %d, state %c, %d threads, %d files open, %d processes below it", lead->pid, lead->state, lead->threads, lead->files, job->count - 1);
    doctor_cause(d, f, "%1$s.%2$.0s", "%2$s。%1$.0s", en.data ? en.data : "", zh.data ? zh.data : "");
    taper__free(en.data);
    taper__free(zh.data);
}

DOCTOR_CHECK(identity, .code = 1402, .layer = DOCTOR_PROCESS, .reads = "/proc/PID/{status,stat,cmdline,environ,maps,fd}, /proc/*/stat, kill(PID, 0)", .asks = "what is this process, and may it be looked at?",
             .finds = {"process-missing", "process-ended"}, .live = true, .run = identity_run);
