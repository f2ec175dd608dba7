/* What a running job spends its time on: the GPU, its own Python, the loader, the disk, a lock. */
#include <string.h>

#include "doctor/job.h"

typedef struct waiting_view {
    const doctor_process *lead;
    doctor_shares main;
    doctor_wait wait;         /* of the main thread, where it sleeps */
    const char *what;
    doctor_job_gpu gpu;
    bool gpu_known;
    int workers, busy, disk, network, moving; /* loader processes: all; on a CPU, on a disk, on a socket, any of them */
    double worker_cpu, worker_queued;         /* mean of the moving ones */
    double throttled;
    const doctor_process *slowest;
    const char *seen;
} waiting_view;

static void waiting_workers(doctor *d, waiting_view *v) {
    const doctor_job *job = doctor_job_look(d);
    double ms = doctor_fact_real(doctor_job_sample(d), 1, "ms");
    for (int i = 0; i < job->count; i++) {
        const doctor_process *p = &job->process[i];
        const char *what;
        if (p->role != JOB_WORKER || p->state == 'Z') continue;
        doctor_shares s = doctor_job_shares(d, p->pid);
        if (!s.known) continue;
        v->workers++;
        bool disk = s.disk >= 0.35 || doctor_fact_real(doctor_job_sample(d), 0, "%d.delay_ms", p->pid) / ms >= 0.35, busy = !disk && s.cpu + s.queued >= 0.6;
        bool network = !disk && !busy && doctor_job_wait(d, p->pid, &what) == WAIT_SOCKET;
        v->disk += disk;
        v->busy += busy;
        v->network += network;
        if (disk || busy || network) v->slowest = p;
        if (!disk && !busy && !network && s.cpu < 0.02) continue;
        v->moving++;
        v->worker_cpu += s.cpu;
        v->worker_queued += s.queued;
    }
    if (v->moving) v->worker_cpu /= v->moving, v->worker_queued /= v->moving;
}

static const char *waiting_seen(doctor *d, const waiting_view *v) {
    doctor_buffer b = {NULL, 0, 0};
    const doctor_facts *f = doctor_job_sample(d);
    const char *wchan = doctor_fact(f, "%d.wchan", v->lead->pid);
    if (v->gpu_known) doctor_print(&b, "GPU %d: %.0f %% utilisation, %.0f of %.0f W; ", v->gpu.first, v->gpu.utilisation, v->gpu.power, v->gpu.limit);
    doctor_print(&b, "main thread: %s, %.0f %% CPU", doctor_fact(f, "%d.states", v->lead->pid), v->main.main * 100);
    if (v->main.queued >= 0.05) doctor_print(&b, ", %.0f %% ready without a CPU", v->main.queued * 100);
    if (v->main.run < 0.5) doctor_print(&b, ", in %s%s%s%s", v->what, wchan && strcmp(wchan, v->what) ? " (" : "", wchan && strcmp(wchan, v->what) ? wchan : "", wchan && strcmp(wchan, v->what) ? ")" : "");
    if (v->workers) doctor_print(&b, "; %d workers: %d on a CPU, %d on a disk, %d on a socket", v->workers, v->busy, v->disk, v->network);
    const char *text = doctor_text(d, "%s", b.data ? b.data : "");
    taper__free(b.data);
    return text;
}

/* CPUs that the job may use. */
static double waiting_cpus(doctor *d, const waiting_view *v) {
    const char *status = doctor_read(d, doctor_text(d, "/proc/%d/status", v->lead->pid), NULL, NULL), *list = status ? doctor_field(d, status, "Cpus_allowed_list") : NULL;
    double cpus = list ? doctor_list_count(list) : 0, quota = doctor_cpu_quota(d);
    return quota > 0 && (quota < cpus || cpus == 0) ? quota : cpus;
}

static doctor_finding *waiting_slow(doctor *d, const waiting_view *v, const char *id, const char *link) {
    doctor_finding *f = doctor_find(d, DOCTOR_SLOW, id, link);
    doctor_evidence(d, f, "%s", v->seen);
    return f;
}

/* The machine does not let the job run. */
static bool waiting_host(doctor *d, const waiting_view *v) {
    const doctor_facts *s = doctor_job_sample(d);
    double ms = doctor_fact_real(s, 1, "ms"), memory = doctor_fact_real(s, 0, "pressure.memory") / ms, swapped = doctor_fact_real(s, 0, "swapped_in") * 1000 / ms;
    double faults = doctor_fact_real(s, 0, "%d.majflt", v->lead->pid) * 1000 / ms;
    doctor_finding *f;
    if (memory > 0.2 || (swapped > 1000 && faults > 100)) {
        f = waiting_slow(d, v, "job-swapping", "https://docs.kernel.org/accounting/psi.html");
        doctor_evidence(d, f, "/proc/pressure/memory: all tasks waited %.0f %% of the time; %.0f pages swapped in a second; %s", memory * 100, swapped, v->seen);
        doctor_cause(d, f, "Main memory is short: the kernel frees and swaps pages while the job waits.", "内存不足: 内核在回收和换页, 任务被迫等待。");
        doctor_cure(d, f, "fewer loader workers, a smaller prefetch_factor; ps aux --sort=-rss | head", "减少 num_workers、减小 prefetch_factor; ps aux --sort=-rss | head");
        return true;
    }
    if (v->throttled > 0.25) {
        f = waiting_slow(d, v, "job-throttled", "https://docs.kernel.org/scheduler/sched-bwc.html");
        doctor_evidence(d, f, "cpu.stat: throttled in %.0f %% of the periods; quota %.3g CPUs; %s", v->throttled * 100, doctor_cpu_quota(d), v->seen);
        doctor_cause(d, f, "The CPU quota of the container stops the job in %.0f %% of the periods.", "容器的 CPU 配额在 %.0f %% 的周期里暂停了任务。", v->throttled * 100);
        doctor_cure(d, f, "docker run --cpus=<more> (resources.limits.cpu), or fewer loader workers and OMP_NUM_THREADS within the quota", "docker run --cpus=<更多> (resources.limits.cpu), 或让 num_workers 和 OMP_NUM_THREADS 不超过配额");
        return true;
    }
    if (v->main.queued > 0.3 || (v->busy && v->worker_queued > 0.4)) {
        f = waiting_slow(d, v, "job-cpu-crowded", "https://docs.kernel.org/scheduler/sched-stats.html");
        doctor_cause(d, f, "There are more busy threads than CPUs: the main thread is ready but without a CPU %.0f %% of the time, the workers %.0f %%.",
                     "繁忙线程多于 CPU: 主线程有 %.0f %% 的时间就绪却得不到 CPU, 工作进程为 %.0f %%。", v->main.queued * 100, v->worker_queued * 100);
        double cpus = waiting_cpus(d, v);
        if (v->busy > cpus) doctor_cure(d, f, "num_workers=%.0f (now %d; %.0f CPUs), OMP_NUM_THREADS=1", "num_workers=%.0f (现为 %d, 共 %.0f 个 CPU), OMP_NUM_THREADS=1", cpus > 1 ? cpus - 1 : 1, v->workers, cpus);
        else doctor_cure(d, f, "top shows who else uses the %.0f CPUs; OMP_NUM_THREADS=1, fewer loader workers (%d now)", "用 top 查看谁在占用这 %.0f 个 CPU; OMP_NUM_THREADS=1, 减少 num_workers (现为 %d)", cpus, v->workers);
        return true;
    }
    return false;
}

/* The main thread waits for loader workers, and they work. */
static bool waiting_loader(doctor *d, const waiting_view *v) {
    doctor_finding *f;
    if (!v->workers || v->main.sleep < 0.6 || v->main.cpu > 0.6 || !(v->busy + v->disk + v->network) || (v->busy + v->disk + v->network) * 2 < v->moving) return false;
    double cpus = waiting_cpus(d, v);
    if (v->disk >= v->busy && v->disk >= v->network) {
        f = waiting_slow(d, v, "job-loader-disk", "https://github.com/ultralytics/yolov5/issues/5681");
        double bytes = doctor_fact_real(doctor_job_sample(d), 0, "%d.read_bytes", v->slowest->pid) * 1e-3 / doctor_fact_real(doctor_job_sample(d), 1, "ms");
        doctor_cause(d, f, "The main thread waits for the loader, and %d of %d workers wait for the disk (%.1f MB/s each).", "主线程在等数据, %d/%d 个工作进程在等磁盘 (每个 %.1f MB/s)。", v->disk, v->workers, bytes);
        doctor_cure(d, f, "copy the data set to a local SSD, or pack small files into shards; taper doctor --data FOLDER measures it", "把数据集复制到本地 SSD, 或把小文件打包成分片; taper doctor --data 目录 可检查");
    } else if (v->network > v->busy) {
        f = waiting_slow(d, v, "job-loader-network", "https://github.com/horovod/horovod/issues/824");
        doctor_cause(d, f, "The main thread waits for the loader, and %d of %d workers wait for answers from the network.", "主线程在等数据, %d/%d 个工作进程在等网络响应。", v->network, v->workers);
        doctor_cure(d, f, "stage the data set on a local disk, or more workers: they sleep while they wait", "先把数据集放到本地磁盘, 或增加 num_workers (等待时不占 CPU)");
    } else {
        f = waiting_slow(d, v, "job-loader-cpu", "https://github.com/ultralytics/yolov5/issues/5681");
        doctor_cause(d, f, "The main thread waits for the loader: its %d workers use %.0f %% of a CPU each and are not fast enough.", "主线程在等数据: %d 个工作进程各占 %.0f %% CPU, 仍然跟不上。", v->workers, v->worker_cpu * 100);
        if (cpus >= v->workers + 2)
            doctor_cure(d, f, "num_workers=%.0f (now %d; %.0f CPUs are there)", "num_workers=%.0f (现为 %d, 共 %.0f 个 CPU)", cpus - 1, v->workers, cpus);
        else
            doctor_cure(d, f, "all CPUs are in use: decode smaller images, do once what is the same every epoch, or move augmentation to the GPU", "CPU 已用满: 解码更小的图像, 把每轮相同的预处理提前做好, 或把增强放到 GPU 上");
    }
    return true;
}

static bool waiting_main(doctor *d, const waiting_view *v) {
    doctor_finding *f;
    int pid = v->lead->pid;
    if (v->main.disk >= 0.4 || (v->main.sleep >= 0.6 && v->wait == WAIT_FILE)) {
        f = waiting_slow(d, v, "job-main-disk", "https://github.com/ultralytics/yolov5/issues/5681");
        doctor_cause(d, f, "The main thread itself waits for the disk (%s) while the GPU has nothing to do.", "主线程自己在等磁盘 (%s), GPU 空闲。", v->what);
        doctor_cure(d, f, "read in loader workers (num_workers > 0); write checkpoints and logs to a local disk", "在 DataLoader 工作进程中读取 (num_workers > 0); 检查点和日志写到本地磁盘");
    } else if (v->main.sleep >= 0.6 && v->main.cpu < 0.5 && (v->wait == WAIT_PIPE || v->wait == WAIT_SOCKET) && !v->workers) {
        f = waiting_slow(d, v, "job-main-input", "https://man7.org/linux/man-pages/man7/pipe.7.html");
        doctor_cause(d, f, "The main thread waits for input from %s, and nothing comes.", "主线程在等输入 (%s), 没有数据到来。", v->what);
        doctor_cure(d, f, "look at who writes to it: ls -l /proc/%d/fd; ss -xtp | grep %d", "查看谁在写: ls -l /proc/%d/fd; ss -xtp | grep %d", pid, pid);
    } else if (v->gpu_known && v->gpu.utilisation < 50 && v->main.main >= 0.8) {
        f = waiting_slow(d, v, "job-main-cpu", "https://github.com/ultralytics/yolov5/issues/5681");
        doctor_cause(d, f, "The main thread is the bottleneck: it computes all the time and the GPU waits for it (%.0f %% utilisation).", "瓶颈在主线程: 它一直在计算, GPU 在等它 (利用率 %.0f %%)。", v->gpu.utilisation);
        doctor_cure(d, f, "py-spy top --pid %d shows the line; move data work to loader workers, call .item() less, use larger batches or CUDA graphs",
                    "py-spy top --pid %d 可看到代码行; 数据处理放到工作进程, 少用 .item(), 用更大的批次或 CUDA graphs", pid);
    } else if (v->lead->gpu && v->main.still && (v->wait == WAIT_LOCK || v->wait == WAIT_PIPE) && v->main.cpu < 0.02 && !v->moving && (v->workers || doctor_job_look(d)->ranks) && (!v->gpu_known || v->gpu.utilisation < 5) && v->lead->age > 120) {
        f = doctor_find(d, DOCTOR_BROKEN, "job-stuck", "https://github.com/pytorch/pytorch/issues/1355");
        doctor_evidence(d, f, "%s", v->seen);
        doctor_cause(d, f, "Nothing moves: the main thread waits (%s), no worker runs and the GPU is idle.", "任务卡死: 主线程在等待 (%s), 没有工作进程在运行, GPU 空闲。", v->what);
        doctor_cure(d, f, "py-spy dump --pid %d names the line; start again with num_workers=0 or DataLoader(timeout=120)", "py-spy dump --pid %d 可看到卡在哪一行; 用 num_workers=0 或 DataLoader(timeout=120) 重启", pid);
    } else {
        return false;
    }
    return true;
}

/* In one line, what the job does; nothing is wrong. */
static void waiting_says(doctor *d, const waiting_view *v) {
    static const char *const en[] = {"sleeps", "waits for another thread", "waits for events (requests, timers, sockets)", "waits for input from a pipe", "waits for a socket", "waits for input at a terminal",
                                     "waits for a disk", "waits for its child processes", "sleeps by its own wish", "waits for a device"};
    static const char *const zh[] = {"在睡眠", "在等另一个线程", "在等事件 (请求、定时器、套接字)", "在等管道输入", "在等套接字", "在等终端输入", "在等磁盘", "在等子进程", "主动睡眠 (sleep)", "在等设备"};
    doctor_finding *f = doctor_find(d, DOCTOR_OK, "waiting", NULL);
    doctor_evidence(d, f, "%s", v->seen);
    const char *loader_en = !v->workers ? "" : v->busy + v->disk ? "; the loader keeps up" : "; the loader is ahead", *loader_zh = !v->workers ? "" : v->busy + v->disk ? "; 数据加载跟得上" : "; 数据加载领先";
    double u = v->gpu_known ? v->gpu.utilisation : 0, share = v->gpu.limit > 0 ? v->gpu.power / v->gpu.limit : 1;
    if (u >= 85 && share >= 0.5)
        doctor_cause(d, f, "GPU-bound: %1$.0f %% utilisation, %2$.0f of %3$.0f W%4$s.%5$.0s", "GPU 是瓶颈 (正常): 利用率 %1$.0f %%, %2$.0f/%3$.0f W%5$s。%4$.0s", u, v->gpu.power, v->gpu.limit, loader_en, loader_zh);
    else if (u >= 85 && doctor_job_ranks(d, v->lead->pid, false) > 1)
        doctor_cause(d, f, "The GPU is in use all the time at little power (%.0f of %.0f W): it waits in a collective, or runs small kernels.", "GPU 一直被占用但功耗低 (%.0f/%.0f W): 在集合通信中等待, 或内核很小。", v->gpu.power, v->gpu.limit);
    else if (u >= 85)
        doctor_cause(d, f, "GPU-bound: %1$.0f %% utilisation, but only %2$.0f of %3$.0f W: small or memory-bound kernels%4$s.%5$.0s", "GPU 是瓶颈: 利用率 %1$.0f %%, 但只有 %2$.0f/%3$.0f W: 内核小或受显存带宽限制%5$s。%4$.0s", u, v->gpu.power,
                     v->gpu.limit, loader_en, loader_zh);
    else if (v->gpu_known && u >= 5)
        doctor_cause(d, f, "The GPU is in use %1$.0f %% of the time (%2$.0f of %3$.0f W); the main thread runs %4$.0f %%%5$s.%6$.0s", "GPU 利用率 %1$.0f %% (%2$.0f/%3$.0f W); 主线程占 CPU %4$.0f %%%6$s。%5$.0s", u, v->gpu.power, v->gpu.limit, v->main.main * 100,
                     loader_en, loader_zh);
    else if (v->main.main >= 0.6)
        doctor_cause(d, f, "Works on the CPU: the main thread runs %.0f %% of the time, the process uses %.1f CPUs.", "在 CPU 上计算: 主线程占 %.0f %%, 进程共用 %.1f 个 CPU。", v->main.main * 100, v->main.cpu);
    else if (v->main.cpu >= 0.5) {
        const char *hot = doctor_fact(doctor_job_sample(d), "%d.hot.0", v->lead->pid), *name = hot ? strchr(hot, ' ') : NULL;
        name = name && strchr(name + 1, ' ') ? strchr(name + 1, ' ') + 1 : "?";
        doctor_cause(d, f, "Works on the CPU in other threads than the main one: %.1f CPUs, most in %s.", "在主线程之外的线程里计算: 共 %.1f 个 CPU, 主要是 %s。", v->main.cpu, name);
    } else if (v->moving)
        doctor_cause(d, f, "The main thread %1$s; %3$d of %4$d workers are active.%2$.0s", "主线程%2$s; %3$d/%4$d 个工作进程在活动。%1$.0s", en[v->wait], zh[v->wait], v->moving, v->workers);
    else if (!v->main.still && v->main.cpu >= 0.01)
        doctor_cause(d, f, "Mostly idle: the main thread %1$s (%3$s), the process uses %4$.0f %% of a CPU.%2$.0s", "大部分时间空闲: 主线程%2$s (%3$s), 进程占 %4$.0f %% CPU。%1$.0s", en[v->wait], zh[v->wait], v->what, v->main.cpu * 100);
    else
        doctor_cause(d, f, "Idle: the main thread %1$s (%3$s), nothing runs.%2$.0s", "空闲: 主线程%2$s (%3$s), 没有线程在运行。%1$.0s", en[v->wait], zh[v->wait], v->what);
}

static void waiting_run(doctor *d) {
    waiting_view v = {.lead = doctor_job_lead(d)};
    int stuck = 0;
    if (!v.lead || doctor_job_stopped(d, v.lead)) return;
    const doctor_facts *s = doctor_job_sample(d);
    v.main = doctor_job_shares(d, v.lead->pid);
    if (!v.main.known) {
        doctor_unknown(d, "the samples of PID %d: %s", v.lead->pid, doctor_facts_end(s) ? doctor_facts_end(s) : "it ended meanwhile");
        return;
    }
    v.wait = doctor_job_wait(d, v.lead->pid, &v.what);
    v.gpu_known = v.lead->gpu && doctor_job_gpus(d, v.lead->pid, &v.gpu);
    double periods = doctor_fact_real(s, 0, "periods");
    v.throttled = periods >= 5 ? doctor_fact_real(s, 0, "throttled") / periods : 0;
    waiting_workers(d, &v);
    v.seen = waiting_seen(d, &v);
    bool served = v.gpu_known && v.gpu.utilisation >= 85, deadlock = doctor_job_deadlocked(d, &stuck) && v.main.cpu <= 0.5, works = v.lead->gpu || v.workers;
    if (deadlock) return; /* the check of forks says it */
    if (served || (!works && v.main.queued <= 0.3 && v.throttled <= 0.25) || !(waiting_host(d, &v) || (works && (waiting_loader(d, &v) || waiting_main(d, &v))))) waiting_says(d, &v);
}

DOCTOR_CHECK(waiting, .code = 1404, .layer = DOCTOR_PROCESS, .reads = "/proc/PID/{stat,wchan,syscall,schedstat,io} and those of workers, NVML, cpu.stat, /proc/pressure, sampled for 3 s", .asks = "what does the job spend its time on?",
             .finds = {"job-swapping", "job-throttled", "job-cpu-crowded", "job-loader-cpu", "job-loader-disk", "job-loader-network", "job-main-cpu", "job-main-disk", "job-main-input", "job-stuck"}, .live = true,
             .run = waiting_run);
