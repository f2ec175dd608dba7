/* Main memory: the limit of the group, what it holds, and whether the kernel has killed for it. */
#include "doctor/doctor.h"

#include <stdint.h>
#include <stdlib.h>

static double memory_gib(double bytes) { return bytes / (1 << 30); }

static void memory_run(doctor *d) {
    const char *max_file = doctor_cgroup(d, "memory.max", "memory", "memory.limit_in_bytes"), *now_file = doctor_cgroup(d, "memory.current", "memory", "memory.usage_in_bytes");
    const char *events_file = doctor_cgroup(d, "memory.events", "memory", "memory.oom_control"), *stat_file = doctor_cgroup(d, "memory.stat", "memory", "memory.stat");
    const char *peak_file = doctor_cgroup(d, "memory.peak", "memory", "memory.max_usage_in_bytes");
    const char *events = events_file ? doctor_read(d, events_file, NULL, NULL) : NULL, *stat = stat_file ? doctor_read(d, stat_file, NULL, NULL) : NULL;
    const char *info = doctor_read(d, "/proc/meminfo", NULL, NULL), *total_text = info ? doctor_field(d, info, "MemTotal") : NULL, *left_text = info ? doctor_field(d, info, "MemAvailable") : NULL;
    const char *kills_text = events ? doctor_field(d, events, "oom_kill") : NULL, *cache_text = stat ? doctor_field(d, stat, "inactive_file") : NULL;
    int64_t limit = INT64_MAX, now = 0, peak = 0, kills = kills_text ? atoll(kills_text) : 0, cache = cache_text ? atoll(cache_text) : 0;
    double total = total_text ? atof(total_text) * 1024 : 0, left = left_text ? atof(left_text) * 1024 : 0;
    if (max_file) doctor_number(d, &limit, "%s", max_file);
    if (now_file) doctor_number(d, &now, "%s", now_file);
    if (peak_file) doctor_number(d, &peak, "%s", peak_file);
    bool limited = limit < INT64_MAX / 2 && (!total || (double)limit < total);
    const char *where = limited ? doctor_text(d, "limit %.1f GiB, in use %.1f GiB, peak %.1f GiB", memory_gib((double)limit), memory_gib((double)now), memory_gib((double)peak))
                                : doctor_text(d, "machine %.1f GiB, available %.1f GiB", memory_gib(total), memory_gib(left));
    doctor_finding *f;
    if (kills > 0) {
        f = doctor_find(d, DOCTOR_BROKEN, "memory-oom-kills", "https://github.com/pytorch/pytorch/issues/8976");
        doctor_evidence(d, f, "%s: oom_kill %lld; %s", events_file, (long long)kills, where);
        doctor_cause(d, f, "The kernel has killed %lld processes of this group for want of memory: a worker that dies with 'Killed' (exit 137) is one of them.",
                     "内核已因内存不足杀掉本组 %lld 个进程: 显示 Killed (退出码 137) 的工作进程就是其一。", (long long)kills);
        if (limited) doctor_cure(d, f, "docker run --memory=<more>, resources.limits.memory or sbatch --mem; fewer loader workers", "docker run --memory=<更大>、resources.limits.memory 或 sbatch --mem; 减少 num_workers");
        else doctor_cure(d, f, "fewer loader workers, a smaller prefetch_factor, or a machine with more memory", "减少 num_workers 和 prefetch_factor, 或换内存更大的机器");
    } else if (limited ? (double)(now - cache) > 0.95 * (double)limit : total > 0 && left_text && left < 0.03 * total) {
        f = doctor_find(d, DOCTOR_BROKEN, "memory-full", "https://github.com/pytorch/pytorch/issues/13246");
        doctor_evidence(d, f, "%s, of which file cache %.1f GiB", where, memory_gib((double)cache));
        doctor_cause(d, f, "Main memory is all but used up: the next batch or worker gets the process killed.", "内存几乎用尽: 下一个批次或工作进程就会被杀。");
        doctor_cure(d, f, "ps aux --sort=-rss | head; fewer loader workers; a larger limit", "ps aux --sort=-rss | head; 减少 num_workers; 提高限制");
    } else if (!max_file && !info) {
        doctor_unknown(d, "no memory.max and no /proc/meminfo");
    } else {
        doctor_fine(d, "%s", where);
    }
}

DOCTOR_CHECK(memory, .code = 603, .layer = DOCTOR_CONTAINER, .reads = "memory.{max,current,peak,events,stat} or memory.limit_in_bytes and its like, /proc/meminfo",
             .asks = "is there main memory, and has the kernel killed for it?", .finds = {"memory-oom-kills", "memory-full"}, .run = memory_run);
