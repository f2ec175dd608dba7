/* The probe "sample": a running job for about three seconds; job.h has its keys. NVML is asked in a thread of its own (sample_gpu.c),
 * because a broken driver may never answer. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "doctor/job.h"

enum { SAMPLE_TIMES = JOB_SAMPLES, SAMPLE_PAUSE_MS = JOB_PAUSE_MS, SAMPLE_THREADS = 512, SAMPLE_HOT = 4, SAMPLE_CALLS = 4 };

typedef struct sample_thread {
    int tid;
    double ms;
    char name[20];
} sample_thread;

typedef struct sample_process {
    int pid;
    char states[SAMPLE_TIMES + 1], wchan[SAMPLE_TIMES][48], call[SAMPLE_TIMES][64], line[SAMPLE_TIMES][160];
    double cpu[2], main[2], queued[2], delay[2];
    long long switches[2], read_bytes[2], read_chars[2], majflt[2];
    char memory[3][64];
    sample_thread *threads;
    int thread_count;
} sample_process;

static size_t sample_read(char *text, size_t room, const char *path) {
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, text, room - 1);
    if (fd >= 0) close(fd);
    text[n < 0 ? 0 : n] = 0;
    return n < 0 ? 0 : (size_t)n;
}

/* A file of a process, or of one of its threads. */
static size_t sample_process_file(char *text, size_t room, int pid, const char *file) {
    char path[128];
    snprintf(path, sizeof path, "/proc/%d/%s", pid, file);
    return sample_read(text, room, path);
}

static size_t sample_thread_file(char *text, size_t room, int pid, int tid, const char *file) {
    char path[128];
    snprintf(path, sizeof path, "/proc/%d/task/%d/%s", pid, tid, file);
    return sample_read(text, room, path);
}

/* The number after "name:" or "name " at the start of a line; `otherwise`. */
static long long sample_number(const char *text, const char *name, long long otherwise) {
    size_t n = strlen(name);
    for (const char *s = text; s && *s; s = strchr(s, '\n'), s += s != NULL)
        if (!strncmp(s, name, n) && (s[n] == ':' || s[n] == ' ')) return strtoll(s + n + 1, NULL, 10);
    return otherwise;
}

static const char *sample_call_name(long number) {
    static const struct { long number; const char *name; } calls[] = {
        {SYS_futex, "futex"}, {SYS_read, "read"}, {SYS_pread64, "pread64"}, {SYS_readv, "readv"}, {SYS_write, "write"}, {SYS_pwrite64, "pwrite64"}, {SYS_writev, "writev"},
        {SYS_recvfrom, "recvfrom"}, {SYS_recvmsg, "recvmsg"}, {SYS_sendto, "sendto"}, {SYS_sendmsg, "sendmsg"}, {SYS_connect, "connect"}, {SYS_accept, "accept"},
        {SYS_accept4, "accept4"}, {SYS_ppoll, "ppoll"}, {SYS_pselect6, "pselect6"}, {SYS_epoll_pwait, "epoll_wait"}, {SYS_wait4, "wait4"}, {SYS_waitid, "waitid"},
        {SYS_nanosleep, "nanosleep"}, {SYS_clock_nanosleep, "clock_nanosleep"}, {SYS_ioctl, "ioctl"}, {SYS_fsync, "fsync"}, {SYS_fdatasync, "fdatasync"},
        {SYS_openat, "openat"}, {SYS_getdents64, "getdents64"}, {SYS_sched_yield, "sched_yield"}, {SYS_munmap, "munmap"}, {SYS_mmap, "mmap"}, {SYS_close, "close"},
        {SYS_rt_sigtimedwait, "rt_sigtimedwait"}, {SYS_rt_sigsuspend, "rt_sigsuspend"},
#ifdef SYS_poll
        {SYS_poll, "poll"}, {SYS_select, "select"}, {SYS_epoll_wait, "epoll_wait"}, {SYS_pause, "pause"}, {SYS_open, "open"}, {SYS_stat, "stat"}, {SYS_lstat, "lstat"},
#endif
#ifdef SYS_newfstatat
        {SYS_newfstatat, "newfstatat"},
#endif
#ifdef SYS_statx
        {SYS_statx, "statx"},
#endif
    };
    for (int i = 0; i < TAPER_COUNT(calls); i++)
        if (calls[i].number == number) return calls[i].name;
    return NULL;
}

/* State and times of /proc/P/stat; fields are counted after the last ')', because a name may hold anything. */
static char sample_stat(const char *text, double *cpu_ms, double *delay_ms, long long *majflt) {
    double tick = 1000.0 / (double)sysconf(_SC_CLK_TCK), user = 0, system = 0;
    const char *s = strrchr(text, ')');
    if (!s || s[1] != ' ') return '-';
    char state = s[2];
    s += 2;
    for (int field = 3; *s; field++) {
        if (field == 12 && majflt) *majflt = strtoll(s, NULL, 10);
        if (field == 14) user = strtod(s, NULL);
        if (field == 15) system = strtod(s, NULL);
        if (field == 42 && delay_ms) *delay_ms = strtod(s, NULL) * tick;
        s += strcspn(s, " ");
        s += *s == ' ';
    }
    *cpu_ms = (user + system) * tick;
    return state;
}

static void sample_threads(doctor_out *o, sample_process *p, bool first) {
    char path[64], text[1024], key[48];
    snprintf(path, sizeof path, "/proc/%d/task", p->pid);
    DIR *folder = opendir(path);
    if (!folder) return;
    if (!p->threads) p->threads = calloc(SAMPLE_THREADS, sizeof *p->threads);
    sample_thread hot[SAMPLE_HOT] = {{0, 0, ""}};
    for (struct dirent *e; p->threads && (e = readdir(folder));) {
        int tid = atoi(e->d_name), k = 0;
        double ms = 0;
        if (tid <= 0 || !sample_thread_file(text, sizeof text, p->pid, tid, "stat")) continue;
        sample_stat(text, &ms, NULL, NULL);
        while (k < p->thread_count && p->threads[k].tid != tid) k++;
        if (first && k < SAMPLE_THREADS) {
            p->threads[k].tid = tid;
            p->threads[k].ms = ms;
            p->thread_count = k + 1;
        }
        if (first) continue;
        sample_thread now = {tid, ms - (k < p->thread_count ? p->threads[k].ms : 0), ""};
        const char *open = strchr(text, '('), *shut = strrchr(text, ')');
        if (open && shut && shut > open) snprintf(now.name, sizeof now.name, "%.*s", (int)(shut - open - 1), open + 1);
        for (int i = 0; i < SAMPLE_HOT; i++)
            if (now.ms > hot[i].ms) {
                sample_thread out = hot[i];
                hot[i] = now;
                now = out;
            }
    }
    closedir(folder);
    for (int i = 0; i < SAMPLE_HOT && hot[i].ms > 0; i++) {
        snprintf(key, sizeof key, "%d.hot.%d", p->pid, i);
        doctor_say(o, key, "%.0f %d %s", hot[i].ms, hot[i].tid, hot[i].name);
    }
}

static void sample_memory(sample_process *p, int when) {
    char text[4096];
    if (!sample_process_file(text, sizeof text, p->pid, "smaps_rollup")) return;
    long long shared = sample_number(text, "Shared_Clean", 0) + sample_number(text, "Shared_Dirty", 0);
    snprintf(p->memory[when], sizeof p->memory[when], "%lld %lld %lld", sample_number(text, "Private_Dirty", 0), shared, sample_number(text, "Pss", 0));
}

static void sample_once(sample_process *p, int when) {
    char text[4096];
    int at = when == 0 ? 0 : 1;
    p->states[when] = '-';
    if (!sample_process_file(text, sizeof text, p->pid, "stat")) return;
    double all = 0, ignored = 0;
    sample_stat(text, &all, &p->delay[at], &p->majflt[at]);
    p->cpu[at] = all;
    if (sample_thread_file(text, sizeof text, p->pid, p->pid, "stat")) p->states[when] = sample_stat(text, &ignored, NULL, NULL);
    if (sample_thread_file(text, sizeof text, p->pid, p->pid, "schedstat")) {
        char *end;
        p->main[at] = strtod(text, &end) * 1e-6;
        p->queued[at] = strtod(end, NULL) * 1e-6;
    } else {
        p->main[at] = ignored;
    }
    if (sample_thread_file(text, sizeof text, p->pid, p->pid, "status"))
        p->switches[at] = sample_number(text, "voluntary_ctxt_switches", 0) + sample_number(text, "nonvoluntary_ctxt_switches", 0);
    if (sample_process_file(text, sizeof text, p->pid, "io")) {
        p->read_bytes[at] = sample_number(text, "read_bytes", 0);
        p->read_chars[at] = sample_number(text, "rchar", 0);
    }
    sample_process_file(p->wchan[when], sizeof p->wchan[when], p->pid, "wchan");
    if (sample_process_file(p->line[when], sizeof p->line[when], p->pid, "syscall") && p->line[when][0] >= '0' && p->line[when][0] <= '9') {
        char *end;
        long number = strtol(p->line[when], &end, 10);
        const char *name = sample_call_name(number);
        snprintf(p->call[when], sizeof p->call[when], "%.24s %.*s", name ? name : "call", (int)strcspn(end + 1, " \n"), *end ? end + 1 : end);
        if (!name) snprintf(p->call[when], sizeof p->call[when], "call-%ld", number);
    }
}

/* The most frequent of the strings, "" left out unless there is nothing else. */
static const char *sample_most(const char *first, size_t stride) {
    const char *best = "";
    int most = 0;
    for (int i = 0; i < SAMPLE_TIMES; i++) {
        const char *s = first + (size_t)i * stride;
        int n = 0;
        for (int k = 0; k < SAMPLE_TIMES; k++) n += !strcmp(s, first + (size_t)k * stride);
        if (*s && n > most) {
            most = n;
            best = s;
        }
    }
    return best;
}

static void sample_say(doctor_out *o, const sample_process *p) {
    char key[48];
    bool same = p->switches[1] == p->switches[0];
    for (int i = 0; i < SAMPLE_TIMES; i++) same = same && (p->states[i] == 'S' || p->states[i] == 'D') && !strcmp(p->line[i], p->line[0]);
#define SAY(field, ...) (snprintf(key, sizeof key, "%d." field, p->pid), doctor_say(o, key, __VA_ARGS__))
    SAY("states", "%s", p->states);
    SAY("cpu_ms", "%.0f", p->cpu[1] - p->cpu[0]);
    SAY("total_ms", "%.0f", p->cpu[1]);
    SAY("main_ms", "%.0f", p->main[1] - p->main[0]);
    SAY("queued_ms", "%.0f", p->queued[1] - p->queued[0]);
    SAY("switches", "%lld", p->switches[1] - p->switches[0]);
    SAY("same", "%d", same);
    const char *wchan = sample_most(p->wchan[0], sizeof p->wchan[0]), *call = sample_most(p->call[0], sizeof p->call[0]);
    if (*wchan && strcmp(wchan, "0")) SAY("wchan", "%s", wchan);
    if (*call) SAY("call", "%s", call);
    SAY("read_bytes", "%lld", p->read_bytes[1] - p->read_bytes[0]);
    SAY("read_chars", "%lld", p->read_chars[1] - p->read_chars[0]);
    SAY("delay_ms", "%.0f", p->delay[1] - p->delay[0]);
    SAY("majflt", "%lld", p->majflt[1] - p->majflt[0]);
    for (int i = 0; i < 3; i++)
        if (p->memory[i][0]) {
            snprintf(key, sizeof key, "%d.memory.%d", p->pid, i);
            doctor_say(o, key, "%s", p->memory[i]);
        }
#undef SAY
}

/* Quota, pressure and swapping of the machine, as totals. */
typedef struct sample_machine {
    double periods, throttled, cpu, io, memory, swapped;
} sample_machine;

static double sample_pressure(const char *file, const char *line) {
    char text[512], path[64];
    snprintf(path, sizeof path, "/proc/pressure/%s", file);
    sample_read(text, sizeof text, path);
    const char *s = strstr(text, line), *total = s ? strstr(s, "total=") : NULL;
    return total ? strtod(total + 6, NULL) * 1e-3 : 0;
}

static sample_machine sample_look(const char *cpu_stat) {
    sample_machine m = {0};
    static char text[1 << 16];
    if (*cpu_stat && sample_read(text, sizeof text, cpu_stat)) {
        m.periods = (double)sample_number(text, "nr_periods", 0);
        m.throttled = (double)sample_number(text, "nr_throttled", 0);
    }
    m.cpu = sample_pressure("cpu", "some");
    m.io = sample_pressure("io", "some");
    m.memory = sample_pressure("memory", "full");
    if (sample_read(text, sizeof text, "/proc/vmstat")) m.swapped = (double)sample_number(text, "pswpin", 0);
    return m;
}

/* The lines of Xid errors that the kernel's log holds, where a user may read it. */
static void sample_kernel(doctor_out *o) {
    char text[8192], key[32];
    int fd = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC), n = 0;
    doctor_say(o, "kmsg", "%s", doctor_errno(fd < 0 ? errno : 0));
    for (int lines = 0; fd >= 0 && lines < 100000; lines++) {
        ssize_t got = read(fd, text, sizeof text - 1);
        if (got < 0 && errno == EPIPE) continue; /* overwritten meanwhile */
        if (got <= 0) break;
        text[got] = 0;
        char *xid = strstr(text, "NVRM: Xid"), *end = strchr(text, '\n');
        if (!xid || n >= 200) continue;
        char *time = strchr(text, ',') ? strchr(strchr(text, ',') + 1, ',') : NULL; /* "level,number,microseconds,flags;text" */
        if (end) *end = 0;
        snprintf(key, sizeof key, "kernel.%d", n++);
        doctor_say(o, key, "%.1f %.300s", time && time < xid ? strtod(time + 1, NULL) * 1e-6 : 0.0, xid);
    }
    if (fd >= 0) close(fd);
}

static double sample_now_ms(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec * 1e-6;
}

void doctor_job_sampler(doctor_out *o, void *sampled) {
    enum { GPU_GRACE_S = 3 };
    const doctor_job_sampled *job = sampled;
    sample_process *list = calloc((size_t)job->count + 1, sizeof *list);
    pthread_t gpus;
    if (!list) return;
    bool threaded = !pthread_create(&gpus, NULL, doctor_job_gpu_sampler, o);
    sample_kernel(o);
    double start = sample_now_ms(), last = start;
    sample_machine before = sample_look(job->cpu_stat), after = before;
    for (int when = 0; when < SAMPLE_TIMES; when++) {
        for (int i = 0; i < job->count; i++) {
            list[i].pid = job->pids[i];
            sample_once(&list[i], when);
            if (i < job->deep && (when == 0 || when == SAMPLE_TIMES / 2 || when == SAMPLE_TIMES - 1)) sample_memory(&list[i], when ? when == SAMPLE_TIMES - 1 ? 2 : 1 : 0);
            if (i < job->deep && (when == 0 || when == SAMPLE_TIMES - 1)) sample_threads(o, &list[i], when == 0);
        }
        last = sample_now_ms();
        double next = start + (when + 1) * SAMPLE_PAUSE_MS;
        if (when + 1 < SAMPLE_TIMES && next > last) usleep((useconds_t)((next - last) * 1e3));
    }
    after = sample_look(job->cpu_stat);
    doctor_say(o, "ms", "%.0f", last - start);
    doctor_say(o, "samples", "%d", SAMPLE_TIMES);
    doctor_say(o, "periods", "%.0f", after.periods - before.periods);
    doctor_say(o, "throttled", "%.0f", after.throttled - before.throttled);
    doctor_say(o, "pressure.cpu", "%.0f", after.cpu - before.cpu);
    doctor_say(o, "pressure.io", "%.0f", after.io - before.io);
    doctor_say(o, "pressure.memory", "%.0f", after.memory - before.memory);
    doctor_say(o, "swapped_in", "%.0f", after.swapped - before.swapped);
    for (int i = 0; i < job->count; i++) sample_say(o, &list[i]);
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += GPU_GRACE_S;
    if (threaded) pthread_timedjoin_np(gpus, NULL, &until);
    for (int i = 0; i < job->count; i++) free(list[i].threads);
    free(list);
}
