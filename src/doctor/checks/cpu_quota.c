/* CPUs: thread pools count the machine's, the quota grants fewer, and the kernel holds the threads back. */
#include "doctor/doctor.h"

#include <math.h>
#include <stdlib.h>

static void cpu_quota_run(doctor *d) {
    const char *status = doctor_read(d, "/proc/self/status", NULL, NULL), *list = status ? doctor_field(d, status, "Cpus_allowed_list") : NULL;
    const char *wish = doctor_env(d, "OMP_NUM_THREADS"), *file = doctor_cgroup(d, "cpu.stat", "cpu", "cpu.stat");
    const char *stat = file ? doctor_read(d, file, NULL, NULL) : NULL;
    const char *periods_text = stat ? doctor_field(d, stat, "nr_periods") : NULL, *held_text = stat ? doctor_field(d, stat, "nr_throttled") : NULL;
    double quota = doctor_cpu_quota(d), periods = periods_text ? atof(periods_text) : 0, held = held_text ? atof(held_text) : 0;
    int cpus = doctor_list_count(list), threads = wish && atoi(wish) > 0 ? atoi(wish) : cpus, grant = (int)ceil(quota);
    const char *link = "https://github.com/pytorch/pytorch/issues/193859";
    if (!cpus) {
        doctor_unknown(d, "/proc/self/status: no Cpus_allowed_list");
        return;
    }
    if (quota > 0 && threads > grant) {
        doctor_finding *f = doctor_find(d, DOCTOR_SLOW, "cpu-quota-threads", link);
        doctor_evidence(d, f, "quota %.2f CPUs; affinity %d CPUs; OMP_NUM_THREADS=%s; throttled in %.0f of %.0f periods", quota, cpus, wish ? wish : "(not set)", held, periods);
        doctor_cause(d, f, "PyTorch starts %d threads but the cgroup grants %.2g CPUs: the kernel stops all of them for most of each period (10-90 times slower is common).",
                     "PyTorch 会启动 %d 个线程, 而 cgroup 只给 %.2g 个 CPU: 内核在每个周期里大部分时间暂停它们 (常见慢 10-90 倍)。", threads, quota);
        doctor_cure(d, f, "export OMP_NUM_THREADS=%d; loader workers <= %d; or docker run --cpus=%d", "export OMP_NUM_THREADS=%d; DataLoader 的 num_workers <= %d; 或 docker run --cpus=%d", grant, grant, cpus);
    } else if (periods >= 100 && held > periods / 4) {
        doctor_finding *f = doctor_find(d, DOCTOR_SLOW, "cpu-throttled", link);
        doctor_evidence(d, f, "%s: nr_throttled %.0f of nr_periods %.0f; quota %.2f CPUs", file, held, periods, quota);
        doctor_cause(d, f, "The CPU quota was used up in %.0f %% of the periods: loader and optimiser threads wait for the next one.", "%.0f %% 的周期里 CPU 配额被用完: 数据加载和优化器线程在等下一个周期。", 100 * held / periods);
        doctor_cure(d, f, "a larger quota (docker run --cpus=N, resources.limits.cpu), or fewer workers and threads", "加大配额 (docker run --cpus=N, resources.limits.cpu), 或减少工作进程和线程");
    } else {
        doctor_fine(d, "%d CPUs (%s)%s%s", cpus, list, quota > 0 ? ", quota " : "", quota > 0 ? doctor_text(d, "%.2f", quota) : "");
    }
}

DOCTOR_CHECK(cpu_quota, .code = 602, .layer = DOCTOR_CONTAINER, .reads = "cpu.max or cpu.cfs_quota_us, cpu.stat, Cpus_allowed_list, OMP_NUM_THREADS",
             .asks = "do thread pools fit the CPUs that are granted?", .finds = {"cpu-quota-threads", "cpu-throttled"}, .run = cpu_quota_run);
