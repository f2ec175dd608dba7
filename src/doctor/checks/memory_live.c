/* Main memory of the job and its workers: does it grow, and until when does it last? */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "doctor/job.h"

typedef struct memory_sample {
    double dirty[3], shared[3], pss[3]; /* KiB */
} memory_sample;

static bool memory_live_read(doctor *d, int pid, memory_sample *m) {
    const doctor_facts *f = doctor_job_sample(d);
    for (int i = 0; i < 3; i++) {
        const char *text = doctor_fact(f, "%d.memory.%d", pid, i);
        if (!text || sscanf(text, "%lf %lf %lf", &m->dirty[i], &m->shared[i], &m->pss[i]) != 3) return false;
    }
    return true;
}

/* KiB that are left to the job, and of how many. */
static bool memory_live_room(doctor *d, int pid, double *left, double *limit) {
    const char *max_file = doctor_cgroup_of(d, pid, "memory.max", "memory", "memory.limit_in_bytes"), *now_file = doctor_cgroup_of(d, pid, "memory.current", "memory", "memory.usage_in_bytes");
    const char *stat_file = doctor_cgroup_of(d, pid, "memory.stat", "memory", "memory.stat"), *stat = stat_file ? doctor_read(d, stat_file, NULL, NULL) : NULL;
    const char *cache = stat ? doctor_field(d, stat, "inactive_file") : NULL, *info = doctor_read(d, "/proc/meminfo", NULL, NULL);
    const char *total = info ? doctor_field(d, info, "MemTotal") : NULL, *available = info ? doctor_field(d, info, "MemAvailable") : NULL;
    int64_t max = INT64_MAX, now = 0;
    *limit = total ? strtod(total, NULL) : 0;
    *left = available ? strtod(available, NULL) : 0;
    if (max_file && doctor_number(d, &max, "%s", max_file) && now_file && doctor_number(d, &now, "%s", now_file) && max < INT64_MAX / 2) {
        double room = ((double)max - (double)now + (cache ? strtod(cache, NULL) : 0)) / 1024;
        if (*limit <= 0 || room < *left) *left = room, *limit = (double)max / 1024;
    }
    return *limit > 0;
}

static void memory_live_run(doctor *d) {
    enum { YOUNG = 60, SLOWEST_KIB = 256, SOON_S = 12 * 3600 };
    const doctor_job *job = doctor_job_look(d);
    const doctor_process *lead = doctor_job_lead(d), *example = NULL;
    if (!lead || doctor_job_stopped(d, lead)) return;
    double seconds = doctor_fact_real(doctor_job_sample(d), 0, "ms") * 1e-3, pss = 0, rate = 0, shared = 0, left = 0, limit = 0, worker_pss = 0, still_shared = 0;
    int workers = 0, growing = 0, known = 0;
    for (int i = 0; i < job->count; i++) {
        const doctor_process *p = &job->process[i];
        memory_sample m;
        if (!memory_live_read(d, p->pid, &m)) continue;
        known++;
        pss += m.pss[2];
        if (p->role != JOB_WORKER) continue;
        workers++;
        worker_pss += m.pss[2];
        /* What starts up grows too; what grows in both halves and frees nothing is the trouble. */
        if (p->age < YOUNG || m.dirty[1] <= m.dirty[0] || m.dirty[2] <= m.dirty[1] || m.shared[2] > m.shared[0] + (m.dirty[2] - m.dirty[0]) / 4) continue;
        growing++;
        example = p;
        still_shared += m.shared[2];
        rate += (m.dirty[2] - m.dirty[0]) / (seconds > 0 ? seconds : 1);
        shared += (m.shared[0] - m.shared[2]) / (seconds > 0 ? seconds : 1);
    }
    bool room = memory_live_room(d, lead->pid, &left, &limit);
    double mib = 1.0 / 1024, gib = mib / 1024;
    if (!known || !room) {
        doctor_unknown(d, "/proc/%d/smaps_rollup: not read", lead->pid);
        return;
    }
    bool copies = shared > rate / 4, lasts = copies && still_shared < left; /* copying ends when nothing is shared any more */
    doctor_finding *f;
    if (left < 0.05 * limit && pss > 0.5 * limit) {
        f = doctor_find(d, DOCTOR_BROKEN, "job-memory-full", "https://github.com/pytorch/pytorch/issues/8976");
        doctor_evidence(d, f, "Pss of %d processes %.1f GiB, of which %d workers %.1f GiB; %.1f GiB left of %.1f", known, pss * gib, workers, worker_pss * gib, left * gib, limit * gib);
        doctor_cause(d, f, "The job has all but used up its %.1f GiB of main memory: the kernel kills the next process that wants more.", "任务几乎用尽 %.1f GiB 内存: 下一个申请内存的进程会被内核杀死。", limit * gib);
        doctor_cure(d, f, "fewer loader workers (%d now, %.1f GiB each), a smaller prefetch_factor, or a larger limit", "减少 num_workers (现为 %d 个, 每个 %.1f GiB)、减小 prefetch_factor, 或提高内存限制",
                    workers, workers ? worker_pss / workers * gib : 0);
    } else if (workers && growing * 2 > workers && rate > (double)SLOWEST_KIB * growing && left / rate < SOON_S && !lasts) {
        f = doctor_find(d, DOCTOR_SLOW, "worker-memory-grows", "https://github.com/pytorch/pytorch/issues/13246");
        doctor_evidence(d, f, "smaps_rollup of %d of %d workers in %.1f s: Private_Dirty +%.1f MiB/s, Shared %+.1f MiB/s (PID %d); %.1f GiB left", growing, workers, seconds, rate * mib, -shared * mib, example->pid,
                        left * gib);
        doctor_cause(d, f, copies ? "Reading the data set copies it: reference counts write to the pages that the workers share; at this rate memory ends in %s."
                                  : "The workers' own memory grows and nothing of it is shared; at this rate memory ends in %s.",
                     copies ? "读取数据集时引用计数会写共享页, 使每个工作进程各拷贝一份; 照此速度内存将在 %s 后用尽。" : "工作进程的私有内存在增长, 没有共享; 照此速度内存将在 %s 后用尽。",
                     doctor_job_age(d, left / rate));
        doctor_cure(d, f, "keep lists of names and labels in one NumPy or tensor array, not in Python objects; fewer workers until then", "文件名和标签放进一个 NumPy 或张量数组, 不用 Python 对象列表; 在此之前减少 num_workers");
    } else {
        doctor_fine(d, "Pss of %d processes %.2f GiB; %.1f GiB left of %.1f", known, pss * gib, left * gib, limit * gib);
    }
}

DOCTOR_CHECK(memory_live, .code = 1407, .layer = DOCTOR_PROCESS, .reads = "/proc/PID/smaps_rollup of the job's processes, sampled; memory.{max,current,stat}, /proc/meminfo",
             .asks = "does the job's main memory last?", .finds = {"job-memory-full", "worker-memory-grows"}, .live = true, .run = memory_live_run);
