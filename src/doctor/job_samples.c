/* What three seconds of samples say of a job: shares of time, what a thread waits for, which GPU is its own. */
#include <stdlib.h>
#include <string.h>

#include "doctor/job.h"

enum { SAMPLES_GPUS = 16, SAMPLES_DEEP = 48, SAMPLES_MARGIN_MS = 12000 };

/* The lead first, then what counts most: threads and memory are looked at for the first ones only. */
const doctor_facts *doctor_job_sample(doctor *d) {
    static const doctor_role order[] = {JOB_LEAD, JOB_WORKER, JOB_RANK, JOB_OTHER, JOB_HELPER};
    const doctor_job *job = doctor_job_look(d);
    doctor_job_sampled *all = doctor_keep(d, sizeof *all);
    if (!all) return NULL;
    for (int r = 0; r < TAPER_COUNT(order); r++) {
        for (int i = 0; i < job->count; i++)
            if (job->process[i].role == order[r]) all->pids[all->count++] = job->process[i].pid;
        if (order[r] == JOB_RANK) all->deep = all->count < SAMPLES_DEEP ? all->count : SAMPLES_DEEP;
    }
    const char *file = all->count ? doctor_cgroup_of(d, all->pids[0], "cpu.stat", "cpu", "cpu.stat") : NULL;
    if (file && strlen(file) < sizeof all->cpu_stat) strcpy(all->cpu_stat, file);
    return doctor_probe(d, "sample", doctor_job_sampler, all, SAMPLES_MARGIN_MS);
}

doctor_shares doctor_job_shares(doctor *d, int pid) {
    const doctor_facts *f = doctor_job_sample(d);
    const char *states = doctor_fact(f, "%d.states", pid);
    double ms = doctor_fact_real(f, 0, "ms");
    doctor_shares s = {0};
    int n = states ? (int)strlen(states) : 0;
    if (!n || ms <= 0) return s;
    for (int i = 0; i < n; i++) {
        s.run += states[i] == 'R';
        s.sleep += states[i] == 'S' || states[i] == 'I';
        s.disk += states[i] == 'D';
        s.stopped += states[i] == 'T' || states[i] == 't';
    }
    s.run /= n, s.sleep /= n, s.disk /= n, s.stopped /= n;
    s.cpu = doctor_fact_real(f, 0, "%d.cpu_ms", pid) / ms;
    s.main = doctor_fact_real(f, 0, "%d.main_ms", pid) / ms;
    s.queued = doctor_fact_real(f, 0, "%d.queued_ms", pid) / ms;
    s.still = doctor_fact_int(f, 0, "%d.same", pid) == 1;
    s.known = true;
    return s;
}

bool doctor_job_stopped(doctor *d, const doctor_process *p) { return p->state == 'T' || p->state == 't' || doctor_job_shares(d, p->pid).stopped > 0.5; }

/* Forked workers alone: a spawned one starts with locks of its own. One that ran for a second at some time got past its start. */
const doctor_process *doctor_job_deadlocked(doctor *d, int *how_many) {
    enum { YOUNG = 20, STARTED_MS = 1000 };
    const doctor_job *job = doctor_job_look(d);
    const doctor_process *first = NULL;
    *how_many = 0;
    for (int i = 0; !job->problem && i < job->count; i++) {
        const doctor_process *p = &job->process[i];
        const char *what;
        if (p->role != JOB_WORKER || !p->forked || p->age < YOUNG || !doctor_job_shares(d, p->pid).still) continue;
        if (doctor_fact_int(doctor_job_sample(d), STARTED_MS, "%d.total_ms", p->pid) >= STARTED_MS || doctor_job_wait(d, p->pid, &what) != WAIT_LOCK) continue;
        if (!first) first = p;
        ++*how_many;
    }
    return first;
}

const char *doctor_job_age(doctor *d, double seconds) {
    long s = seconds > 0 ? (long)seconds : 0;
    if (s < 120) return doctor_text(d, "%ld s", s);
    if (s < 7200) return doctor_text(d, "%ld min", s / 60);
    if (s < 172800) return doctor_text(d, "%ld h %ld min", s / 3600, s % 3600 / 60);
    return doctor_text(d, "%ld d %ld h", s / 86400, s % 86400 / 3600);
}

/* Whether the first word of text is among the words. */
static bool samples_word(const char *text, const char *words) {
    size_t n = strcspn(text, " ");
    for (const char *w = words; n && *w; w += strcspn(w, " "), w += *w == ' ')
        if (strcspn(w, " ") == n && !strncmp(w, text, n)) return true;
    return false;
}

static doctor_wait samples_descriptor(doctor *d, int pid, const char *call, const char **what) {
    static const struct { const char *begin; doctor_wait wait; } kinds[] = {
        {"pipe:", WAIT_PIPE}, {"socket:", WAIT_SOCKET}, {"/dev/pts/", WAIT_TERMINAL}, {"/dev/tty", WAIT_TERMINAL}, {"/dev/nvidia", WAIT_DEVICE}, {"anon_inode:", WAIT_EVENTS}};
    enum { TYPE = 0170000, FIFO = 0010000, SOCKET = 0140000 };
    const char *space = strchr(call, ' '), *link = doctor_text(d, "/proc/%d/fd/%d", pid, space ? (int)strtol(space, NULL, 0) : -1), *to = doctor_link(d, link);
    doctor_stat stat;
    if (!to) return WAIT_NOT_TOLD;
    *what = doctor_text(d, "%.*s of %s", (int)strcspn(call, " "), call, to);
    for (int i = 0; i < TAPER_COUNT(kinds); i++)
        if (!strncmp(to, kinds[i].begin, strlen(kinds[i].begin))) return kinds[i].wait;
    if (*to == '/' && !doctor_status(d, to, &stat) && (stat.mode & TYPE) == FIFO) return WAIT_PIPE;
    return *to == '/' ? WAIT_FILE : WAIT_NOT_TOLD;
}

doctor_wait doctor_job_wait(doctor *d, int pid, const char **what) {
    static const struct { const char *calls; doctor_wait wait; } calls[] = {
        {"futex futex_waitv", WAIT_LOCK}, {"poll ppoll select pselect6 epoll_wait accept accept4 rt_sigtimedwait rt_sigsuspend pause", WAIT_EVENTS},
        {"recvfrom recvmsg sendto sendmsg connect", WAIT_SOCKET}, {"wait4 waitid", WAIT_CHILD}, {"nanosleep clock_nanosleep", WAIT_SLEEP},
        {"fsync fdatasync openat open getdents64 newfstatat stat lstat statx", WAIT_FILE}};
    static const struct { const char *part; doctor_wait wait; } functions[] = {
        {"futex", WAIT_LOCK}, {"poll", WAIT_EVENTS}, {"select", WAIT_EVENTS}, {"accept", WAIT_EVENTS}, {"pipe_", WAIT_PIPE}, {"fifo", WAIT_PIPE}, {"unix_stream", WAIT_SOCKET},
        {"wait_woken", WAIT_SOCKET}, {"skb", WAIT_SOCKET}, {"do_wait", WAIT_CHILD}, {"nanosleep", WAIT_SLEEP}, {"tty_read", WAIT_TERMINAL}, {"folio_", WAIT_FILE},
        {"io_schedule", WAIT_FILE}, {"wait_on_page", WAIT_FILE}, {"nfs", WAIT_FILE}, {"rpc_", WAIT_FILE}, {"fuse", WAIT_FILE}, {"request_wait_answer", WAIT_FILE},
        {"blk_", WAIT_FILE}, {"jbd2", WAIT_FILE}, {"xfs", WAIT_FILE}, {"ext4", WAIT_FILE}, {"cl_", WAIT_FILE}, {"os_acquire", WAIT_DEVICE}, {"nv_", WAIT_DEVICE}, {"rm_", WAIT_DEVICE}};
    const doctor_facts *f = doctor_job_sample(d);
    const char *call = doctor_fact(f, "%d.call", pid), *wchan = doctor_fact(f, "%d.wchan", pid);
    *what = call ? doctor_text(d, "%.*s", (int)strcspn(call, " "), call) : wchan ? wchan : "?";
    if (call && samples_word(call, "read pread64 readv write pwrite64 writev ioctl recvfrom recvmsg sendto sendmsg")) {
        doctor_wait wait = samples_descriptor(d, pid, call, what);
        if (wait != WAIT_NOT_TOLD) return wait;
    }
    for (int i = 0; call && i < TAPER_COUNT(calls); i++)
        if (samples_word(call, calls[i].calls)) return calls[i].wait;
    for (int i = 0; wchan && i < TAPER_COUNT(functions); i++)
        if (strstr(wchan, functions[i].part)) return functions[i].wait;
    return WAIT_NOT_TOLD;
}

/* Mean, least and most of a list of numbers; false when empty. */
static bool samples_mean(const char *list, double *mean, double *low, double *high) {
    double sum = 0;
    int n = 0;
    char *end;
    for (; list && *list; list = end, n++) {
        double v = strtod(list, &end);
        if (end == list) break;
        if (low && (!n || v < *low)) *low = v;
        if (high && (!n || v > *high)) *high = v;
        sum += v;
    }
    *mean = n ? sum / n : 0;
    return n > 0;
}

static bool samples_listed(const char *list, int pid) {
    char *end;
    for (; list && *list; list = end) {
        long v = strtol(list, &end, 10);
        if (end == list) return false;
        if (v == pid) return true;
    }
    return false;
}

/* GPU I of NVML's order may be the process's: by its process list, else by CUDA_VISIBLE_DEVICES and the local rank. NVML's numbers of
 * processes are those outside of containers; CUDA's numbers follow the bus where the GPUs are equal. */
static int samples_own(doctor *d, const doctor_facts *f, int pid, int *own) {
    int n = 0, all = 0, equal = 1;
    for (int i = 0; i < SAMPLES_GPUS && doctor_fact(f, "gpu.%d.name", i); i++, all++) {
        if (samples_listed(doctor_fact(f, "gpu.%d.pids", i), pid)) own[n++] = i;
        equal &= !strcmp(doctor_fact(f, "gpu.%d.name", i), doctor_fact(f, "gpu.0.name"));
    }
    const char *visible = doctor_job_env(d, pid, "CUDA_VISIBLE_DEVICES"), *order = doctor_job_env(d, pid, "CUDA_DEVICE_ORDER"), *rank = doctor_job_rank(d, pid, true);
    if (n || !all) return n;
    if (!equal && !(order && !strcmp(order, "PCI_BUS_ID"))) visible = NULL;
    for (const char *s = visible; s && *s && n < SAMPLES_GPUS; s += strcspn(s, ","), s += *s == ',') {
        size_t length = strcspn(s, ",");
        int found = -1;
        for (int i = 0; i < all; i++) {
            const char *uuid = doctor_fact(f, "gpu.%d.uuid", i);
            if (*s >= '0' && *s <= '9' ? atoi(s) == i : length > 4 && uuid && !strncmp(uuid, s, length)) found = i;
        }
        if (found < 0) break; /* the list ends at the first wrong number */
        own[n++] = found;
    }
    for (int i = 0; !n && i < all; i++) own[n++] = i;
    if (rank && atoi(rank) < n) own[0] = own[atoi(rank)], n = 1;
    return n;
}

bool doctor_job_gpus(doctor *d, int pid, doctor_job_gpu *out) {
    const doctor_facts *f = doctor_job_sample(d);
    int own[SAMPLES_GPUS * 2];
    *out = (doctor_job_gpu){.count = samples_own(d, f, pid, own)};
    bool known = false;
    for (int i = 0; i < out->count; i++) {
        double utilisation, power = 0, low = 0, high = 0;
        if (!samples_mean(doctor_fact(f, "gpu.%d.utilisation", own[i]), &utilisation, NULL, NULL)) continue;
        if (known && utilisation <= out->utilisation) continue;
        samples_mean(doctor_fact(f, "gpu.%d.power", own[i]), &power, &low, &high);
        known = true;
        out->first = own[i];
        out->utilisation = utilisation;
        out->power = power, out->power_low = low, out->power_high = high;
        out->limit = doctor_fact_real(f, 0, "gpu.%d.limit", own[i]);
        out->name = doctor_fact(f, "gpu.%d.name", own[i]);
    }
    return known;
}
