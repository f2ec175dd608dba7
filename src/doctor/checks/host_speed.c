/* What the loader and the launches live on: one core, all cores, memory. */
#include "doctor/probes/deep_host.h"

#include <stdlib.h>
#include <string.h>

#define HOST_STEPS_LEAST 350.0 /* millions a second: 1.4 GHz at four clocks each */
#define HOST_CORES_LEAST 0.70  /* of the threads that may run */
#define HOST_LOADER_LEAST 0.35 /* of the loader's processes: pictures are made in caches, sums of them meet in memory */
#define HOST_MEMORY_LEAST 8.0  /* GB/s over all threads: less than one channel of DDR4 */

static void host_run(doctor *d) {
    const char *v2 = doctor_cgroup(d, "cpu.stat", "cpu", NULL), *v1 = v2 ? NULL : doctor_cgroup(d, NULL, "cpu", "cpu.stat");
    host_settings settings = {.quota = doctor_cpu_quota(d), .cpu_stat = v2 ? v2 : v1, .unit = v2 ? 1 : 1000};
    const doctor_facts *f = doctor_host(d, &settings);
    double steps = doctor_fact_real(f, 0, "steps"), cores = doctor_fact_real(f, 0, "cores"), memory = doctor_fact_real(f, 0, "memory_gbs"), steal = doctor_fact_real(f, 0, "steal");
    double throttled = doctor_fact_real(f, 0, "throttled_ms"), runnable = doctor_fact_real(f, 0, "runnable"), shm = doctor_fact_real(f, 0, "shm_gbs");
    double one = doctor_fact_real(f, 0, "loader_one"), all = doctor_fact_real(f, 0, "loader_all");
    int64_t threads = doctor_fact_int(f, 0, "threads");
    if (steps <= 0 || cores <= 0 || threads <= 0) {
        if (!doctor_is_recorded(d)) doctor_unknown(d, "the probe of the host %s", doctor_facts_end(f) ? doctor_facts_end(f) : "said nothing");
        return;
    }
    const char *text = doctor_text(d, "one core %.0f million steps a second, %lld threads reach %.1f times that; memory %.1f GB/s", steps, (long long)threads, cores, memory);
    if (shm > 0) text = doctor_text(d, "%s; /dev/shm %.1f GB/s", text, shm);
    if (one > 0 && all > 0) text = doctor_text(d, "%s; loader %.0f images a second in one process, %.0f in %lld", text, one, all, (long long)threads);
    text = doctor_text(d, "%s; fork %.0f us; load %.1f, stolen %.0f %%, throttled %.0f ms", text, doctor_fact_real(f, 0, "fork_us"), runnable, steal, throttled);
    bool few = cores < HOST_CORES_LEAST * (double)threads, others = runnable > 0.5 * (double)threads;
    if (few && (throttled > 50 || steal > 10)) {
        bool quota = throttled > 50;
        doctor_finding *p = doctor_find(d, DOCTOR_SLOW, quota ? "deep-cpu-throttled" : "deep-cpu-stolen", quota ? "https://docs.kernel.org/scheduler/sched-bwc.html" : "https://docs.kernel.org/filesystems/proc.html");
        doctor_evidence(d, p, "%s", text);
        if (quota) {
            doctor_cause(d, p, "%lld threads get the work of %.1f cores: the container's CPU quota stops them (%.0f ms while this was measured).", "%lld 个线程只得到 %.1f 个核的算力: 容器 CPU 配额限速 (测量期间停了 %.0f ms)。",
                         (long long)threads, cores, throttled);
            doctor_cure(d, p, "docker run --cpus=N, or resources.limits.cpu: more; until then OMP_NUM_THREADS=%d and as many loader workers", "docker run --cpus=N 或 resources.limits.cpu 调大; 在此之前 OMP_NUM_THREADS=%d, 工作进程数相同", cores < 1 ? 1 : (int)cores);
        } else {
            doctor_cause(d, p, "%lld threads get the work of %.1f cores: the hypervisor gives %.0f %% of the time to other machines.", "%lld 个线程只得到 %.1f 个核的算力: 宿主机把 %.0f %% 的时间给了其他虚拟机。", (long long)threads, cores, steal);
            doctor_cure(d, p, "a machine type with CPUs of its own, or another host", "换用独占 CPU 的机型, 或换一台宿主机");
        }
        return;
    }
    if (others && (few || steps < HOST_STEPS_LEAST || memory < HOST_MEMORY_LEAST)) { /* busy, not slow */
        doctor_fine(d, "%s; others keep the CPUs busy", text);
        return;
    }
    bool found = false;
    if (steps < HOST_STEPS_LEAST) {
        const char *governor = doctor_line(d, "/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor");
        doctor_finding *p = doctor_find(d, DOCTOR_SLOW, "deep-cpu-slow", "https://docs.kernel.org/admin-guide/pm/cpufreq.html");
        doctor_evidence(d, p, "%s; scaling_governor %s", text, governor ? governor : "-");
        doctor_cause(d, p, "One core does %.0f million dependent steps a second (about %.1f GHz): its clock is held low.", "单核每秒 %.0f 百万步 (约 %.1f GHz): CPU 频率被压低。", steps, steps * 4e-3);
        doctor_cure(d, p, "sudo cpupower frequency-set -g performance; check CPU temperature and the BIOS power profile", "sudo cpupower frequency-set -g performance; 检查 CPU 温度和 BIOS 电源策略");
        found = true;
    }
    if (memory > 0 && memory < HOST_MEMORY_LEAST && steps >= HOST_STEPS_LEAST) {
        doctor_finding *p = doctor_find(d, DOCTOR_SLOW, "deep-host-memory-slow", "https://docs.kernel.org/admin-guide/mm/numaperf.html");
        doctor_evidence(d, p, "%s", text);
        doctor_cause(d, p, "Main memory moves %.1f GB/s over %lld threads: batches are assembled and copied at that speed.", "主存带宽只有 %.1f GB/s (%lld 线程): 组批和拷贝都受此限制。", memory, (long long)threads);
        doctor_cure(d, p, "dmidecode -t memory: every channel needs a module; numactl --hardware; on a VM another size or host", "dmidecode -t memory 确认每个通道都插了内存条; numactl --hardware; 虚拟机换机型或宿主机");
        found = true;
    }
    if (!found && one > 0 && threads >= 4 && all < HOST_LOADER_LEAST * (double)threads * one) {
        doctor_finding *p = doctor_find(d, DOCTOR_SLOW, "deep-loader-slow", "https://docs.kernel.org/admin-guide/mm/transhuge.html");
        doctor_evidence(d, p, "%s", text);
        doctor_cause(d, p, "%lld loader processes make only %.1f times the images of one although the cores are free: memory or its pages hold them back.", "%lld 个加载进程只达到单进程的 %.1f 倍, 而 CPU 核心是空闲的: 受内存或缺页限制。", (long long)threads, all / one);
        doctor_cure(d, p, "fewer loader workers (num_workers=%d); numactl --localalloc; cat /sys/kernel/mm/transparent_hugepage/enabled", "减少 num_workers (=%d); numactl --localalloc; 检查 /sys/kernel/mm/transparent_hugepage/enabled", all / one < 1 ? 1 : (int)(all / one));
        found = true;
    }
    if (!found) doctor_fine(d, "%s", text);
}

DOCTOR_CHECK(host_speed, .code = 1506, .layer = DOCTOR_MEASURED, .reads = "timed loops, copies, /dev/shm, fork, loader processes; cpu.stat and /proc/stat meanwhile", .asks = "how fast are core, cores and memory for loader and launches?",
             .finds = {"deep-cpu-throttled", "deep-cpu-stolen", "deep-cpu-slow", "deep-host-memory-slow", "deep-loader-slow"}, .deep = true, .run = host_run);
