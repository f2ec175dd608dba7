/* Open files of the job against their limit: each tensor a worker sends is one. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "doctor/job.h"

static void files_live_run(doctor *d) {
    const doctor_job *job = doctor_job_look(d);
    const doctor_process *worst = NULL;
    double most = -1;
    int64_t limit = 0, hard = 0;
    for (int i = 0; !job->problem && i < job->count; i++) {
        const doctor_process *p = &job->process[i];
        if (p->files < 0 || (p->role != JOB_LEAD && p->role != JOB_WORKER)) continue;
        const char *text = doctor_read(d, doctor_text(d, "/proc/%d/limits", p->pid), NULL, NULL), *line = text ? strstr(text, "Max open files") : NULL;
        char *end;
        if (!line) continue;
        int64_t soft = strtoll(line + 14, &end, 10);
        if (soft <= 0 || (double)p->files / (double)soft <= most) continue;
        most = (double)p->files / (double)soft;
        worst = p;
        limit = soft;
        hard = strtoll(end, NULL, 10);
    }
    if (job->problem || !worst) return;
    if (most < 0.8) {
        doctor_fine(d, "at most %d files open of %lld (PID %d)", worst->files, (long long)limit, worst->pid);
        return;
    }
    doctor_finding *f = doctor_find(d, DOCTOR_BROKEN, "job-files", "https://github.com/pytorch/pytorch/issues/973");
    doctor_evidence(d, f, "/proc/%d/fd: %d; /proc/%d/limits: Max open files %lld (hard %lld)", worst->pid, worst->files, worst->pid, (long long)limit, (long long)hard);
    doctor_cause(d, f, "%d of %lld files are open: soon \"Too many open files\" or \"received 0 items of ancdata\".", "已打开 %d 个文件, 上限 %lld: 很快会出现 \"Too many open files\" 或 \"received 0 items of ancdata\"。",
                 worst->files, (long long)limit);
    doctor_cure(d, f, "prlimit --pid %d --nofile=%lld now; ulimit -n before the next start, or torch.multiprocessing.set_sharing_strategy('file_system')",
                "现在: prlimit --pid %d --nofile=%lld; 下次启动前 ulimit -n, 或 torch.multiprocessing.set_sharing_strategy('file_system')", worst->pid, (long long)(hard > limit ? hard : limit * 4));
}

DOCTOR_CHECK(files_live, .code = 1408, .layer = DOCTOR_PROCESS, .reads = "/proc/PID/fd, /proc/PID/limits", .asks = "does the job run out of open files?", .finds = {"job-files"}, .live = true, .run = files_live_run);
