/* The processes of a running job: whose main thread drives the GPU, which are loader workers, which are ranks. */
#include "doctor/job.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "doctor/state.h"

enum { JOB_SCAN_MAX = 32768, JOB_GROUPS = 4 };

typedef struct job_entry {
    int pid, parent, threads;
    bool in_tree;
    char state;
    double start; /* seconds since boot */
    const char *name;
} job_entry;

static double job_uptime(doctor *d) {
    const char *line = doctor_line(d, "/proc/uptime");
    return line ? strtod(line, NULL) : -1;
}

/* Fields after the last ')', because a name may hold anything. */
static bool job_read_stat(doctor *d, int pid, job_entry *e) {
    enum { STATE = 3, PARENT = 4, THREADS = 20, START = 22, TICKS = 100 };
    const char *text = doctor_line(d, "/proc/%d/stat", pid), *open = text ? strchr(text, '(') : NULL, *s = text ? strrchr(text, ')') : NULL;
    if (!open || !s || s < open || s[1] != ' ') return false;
    *e = (job_entry){.pid = pid, .name = doctor_text(d, "%.*s", (int)(s - open - 1), open + 1)};
    double tick = doctor_is_recorded(d) ? TICKS : (double)sysconf(_SC_CLK_TCK);
    s += 2;
    for (int field = STATE; *s && field <= START; field++) {
        if (field == STATE) e->state = *s;
        if (field == PARENT) e->parent = atoi(s);
        if (field == THREADS) e->threads = atoi(s);
        if (field == START) e->start = strtod(s, NULL) / tick;
        s += strcspn(s, " ");
        s += *s == ' ';
    }
    return e->state != 0;
}

static const char *job_command(doctor *d, int pid) {
    size_t size = 0;
    const char *text = doctor_read(d, doctor_text(d, "/proc/%d/cmdline", pid), &size, NULL);
    char *words = text ? doctor_keep(d, size + 1) : NULL;
    if (!words) return "";
    for (size_t i = 0; i < size; i++) words[i] = (unsigned char)text[i] < ' ' ? ' ' : text[i];
    while (size && words[size - 1] == ' ') words[--size] = 0;
    return words;
}

static void job_descriptors(doctor *d, doctor_process *p) {
    const char *const *names;
    const char *folder = doctor_text(d, "/proc/%d/fd", p->pid);
    p->files = doctor_names(d, folder, &names);
    for (int i = 0; i < p->files && !p->gpu; i++) {
        const char *to = doctor_link(d, doctor_text(d, "%s/%s", folder, names[i]));
        p->gpu = to && ((!strncmp(to, "/dev/nvidia", 11) && to[11] >= '0' && to[11] <= '9') || !strcmp(to, "/dev/dxg"));
    }
}

static int job_index(const doctor_job *job, int pid) {
    for (int i = 0; i < job->count; i++)
        if (job->process[i].pid == pid) return i;
    return -1;
}

static doctor_process *job_add(doctor *d, doctor_job *job, const job_entry *e, double uptime) {
    if (job->count == JOB_PROCESSES) return NULL;
    doctor_process *p = &job->process[job->count++];
    const char *status = doctor_read(d, doctor_text(d, "/proc/%d/status", e->pid), NULL, NULL), *field;
    *p = (doctor_process){.pid = e->pid, .parent = e->parent, .threads = e->threads, .state = e->state, .name = e->name, .age = uptime < 0 ? -1 : uptime - e->start};
    p->uid = status && (field = doctor_field(d, status, "Uid")) ? (unsigned)strtoul(field, NULL, 10) : 0;
    p->tracer = status && (field = doctor_field(d, status, "TracerPid")) ? atoi(field) : 0;
    p->command = job_command(d, e->pid);
    job_descriptors(d, p);
    return p;
}

static bool job_spawned(const doctor_process *p) {
    return strstr(p->command, "multiprocessing.spawn") || strstr(p->command, "--multiprocessing-fork") || strstr(p->command, "multiprocessing.forkserver");
}

static bool job_helper(const doctor *d, const doctor_job *job, const doctor_process *p) {
    (void)d;
    if (strstr(p->command, "resource_tracker") || strstr(p->command, "semaphore_tracker")) return true;
    int parent = job_index(job, p->parent); /* the server that forks workers is none itself */
    return strstr(p->command, "multiprocessing.forkserver") && (parent < 0 || !strstr(job->process[parent].command, "multiprocessing.forkserver"));
}

const char *doctor_job_env(doctor *d, int pid, const char *name) { return doctor_process_env(d, pid, name, NULL); }

const char *doctor_job_rank(doctor *d, int pid, bool local) {
    static const char *const names[2][JOB_GROUPS] = {{"RANK", "SLURM_PROCID", "OMPI_COMM_WORLD_RANK", "PMI_RANK"}, {"LOCAL_RANK", "SLURM_LOCALID", "OMPI_COMM_WORLD_LOCAL_RANK", "MPI_LOCALRANKID"}};
    for (int i = 0; i < JOB_GROUPS; i++) {
        const char *value = doctor_job_env(d, pid, names[local][i]);
        if (value && *value >= '0' && *value <= '9' && doctor_job_ranks(d, pid, false) > 1) return value;
    }
    return NULL;
}

int doctor_job_ranks(doctor *d, int pid, bool local) {
    static const char *const names[2][JOB_GROUPS] = {{"WORLD_SIZE", "SLURM_STEP_NUM_TASKS", "OMPI_COMM_WORLD_SIZE", "PMI_SIZE"},
                                                     {"LOCAL_WORLD_SIZE", "SLURM_STEP_TASKS_PER_NODE", "OMPI_COMM_WORLD_LOCAL_SIZE", "MPI_LOCALNRANKS"}};
    for (int i = 0; i < JOB_GROUPS; i++) {
        const char *value = doctor_job_env(d, pid, names[local][i]);
        if (value && atoi(value) > 0) return atoi(value);
    }
    return 0;
}

/* Whether two processes belong to one distributed run. */
static bool job_same_run(doctor *d, int a, int b) {
    static const char *const names[] = {"TORCHELASTIC_RUN_ID", "MASTER_ADDR", "MASTER_PORT", "SLURM_JOB_ID", "SLURM_STEP_ID", "PMIX_NAMESPACE"};
    int known = 0;
    for (int i = 0; i < TAPER_COUNT(names); i++) {
        const char *x = doctor_job_env(d, a, names[i]), *y = doctor_job_env(d, b, names[i]);
        if (!x != !y || (x && strcmp(x, y))) return false;
        known += x != NULL;
    }
    return known > 0;
}

/* Ranks by the environment. Loader workers inherit it, and a shell around the program has it too: per rank the one with a GPU of its own
 * counts, else the topmost. */
static void job_env_ranks(doctor *d, doctor_job *job, const job_entry *scan, int n, double uptime) {
    doctor_process *lead = &job->process[job->lead];
    int lead_pid = lead->pid;
    unsigned uid = lead->uid;
    if (!doctor_job_rank(d, lead_pid, true)) return;
    for (int i = 0; i < n; i++) {
        if (strncmp(scan[i].name, lead->name, 3) && strncmp(scan[i].name, "python", 6)) continue;
        int at = job_index(job, scan[i].pid);
        const char *rank = doctor_job_rank(d, scan[i].pid, true);
        if (!rank || !job_same_run(d, lead_pid, scan[i].pid)) continue;
        const char *above = doctor_job_rank(d, scan[i].parent, true);
        doctor_process *p = at >= 0 ? &job->process[at] : NULL;
        const char *command = p ? p->command : job_command(d, scan[i].pid);
        if (above && !strcmp(above, rank) && (strstr(command, "multiprocessing") || !strcmp(command, job_command(d, scan[i].parent)))) continue; /* a worker */
        if (!p) p = job_add(d, job, &scan[i], uptime);
        if (!p || p->uid != uid) continue;
        int parent = job_index(job, p->parent);
        bool own = p->gpu && !(p->forked && parent >= 0 && job->process[parent].gpu);
        if (above && !strcmp(above, rank) && !own) continue;
        int slot = job->ranks;
        for (int k = 0; k < job->ranks; k++) {
            const char *other = doctor_job_rank(d, job->process[job->rank[k]].pid, true);
            if (other && !strcmp(other, rank)) slot = k;
        }
        if (slot < job->ranks && !own) continue;
        if (slot == JOB_RANKS) break;
        job->rank[slot] = (int)(p - job->process);
        job->ranks += slot == job->ranks;
    }
}

static void job_roles(doctor *d, doctor_job *job, const job_entry *scan, int n, double uptime) {
    doctor_process *all = job->process;
    int tree = job->count;
    for (int i = 1; i < tree; i++) {
        int parent = job_index(job, all[i].parent);
        all[i].forked = parent >= 0 && *all[i].command && !strcmp(all[i].command, all[parent].command);
        if (all[i].state == 'Z' && parent >= 0) all[i].forked = !strcmp(all[i].name, all[parent].name) || !strncmp(all[i].name, "pt_data", 7);
    }
    for (int pass = 0; pass < 2 && !all[job->lead].gpu; pass++) /* a GPU of its own first, else a rank */
        for (int i = 1; i < tree && !job->lead; i++) {
            int parent = job_index(job, all[i].parent);
            if (pass ? doctor_job_rank(d, all[i].pid, true) && !doctor_job_rank(d, all[0].pid, true) && !all[i].forked
                     : all[i].gpu && !(all[i].forked && parent >= 0 && all[parent].gpu))
                job->lead = i;
        }
    job_env_ranks(d, job, scan, n, uptime);
    all[job->lead].role = JOB_LEAD;
    for (int i = 1; i < tree && !job->ranks; i++) { /* of torch.multiprocessing.spawn: brothers, each with its own GPU */
        if (i == job->lead || !job->lead || all[i].parent != all[job->lead].parent || !all[i].gpu || job_helper(d, job, &all[i])) continue;
        if (all[i].forked && all[job_index(job, all[i].parent)].gpu) continue;
        all[i].role = JOB_RANK;
    }
    int brothers = 0;
    for (int i = 0; i < tree; i++) brothers += all[i].role == JOB_RANK;
    for (int i = 0; i < tree && brothers && job->ranks < JOB_RANKS; i++)
        if (all[i].role == JOB_RANK || all[i].role == JOB_LEAD) job->rank[job->ranks++] = i;
    if (job->ranks == 1) {
        int expected = doctor_job_ranks(d, all[job->lead].pid, true);
        if (expected < 2) job->ranks = 0;
    }
    for (int k = 0; k < job->ranks; k++)
        if (job->rank[k] != job->lead) all[job->rank[k]].role = JOB_RANK;
    for (int i = 1; i < tree; i++) {
        if (all[i].role != JOB_OTHER) continue;
        int up = job_index(job, all[i].parent);
        bool below = false;
        for (int k = 0, at = up; k < 3 && at >= 0; k++, at = job_index(job, all[at].parent)) below |= at == job->lead;
        if (job_helper(d, job, &all[i])) all[i].role = JOB_HELPER;
        else if (below && (all[i].forked || job_spawned(&all[i]) || !strncmp(all[i].name, "pt_data", 7))) all[i].role = JOB_WORKER;
        job->workers += all[i].role == JOB_WORKER && all[i].state != 'Z';
    }
}

static void job_alive(doctor_out *o, void *ctx) { doctor_say(o, "kill", "%d", kill(*(int *)ctx, 0) ? errno : 0); }

const doctor_job *doctor_job_look(doctor *d) {
    static const doctor_job nothing = {.problem = ENOMEM};
    if (d->job) return d->job;
    doctor_job *job = doctor_keep(d, sizeof *job);
    job_entry *scan = doctor_keep(d, sizeof *scan * JOB_SCAN_MAX);
    if (job) job->process = doctor_keep(d, sizeof *job->process * JOB_PROCESSES);
    if (!job || !scan || !job->process) return &nothing;
    d->job = job;
    int pid = doctor_settings(d)->pid, n = 0;
    const char *status = doctor_read(d, doctor_text(d, "/proc/%d/status", pid), NULL, NULL), *group = status ? doctor_field(d, status, "Tgid") : NULL;
    if (!status) {
        const doctor_facts *alive = doctor_probe(d, "alive", job_alive, &pid, 1000);
        job->problem = doctor_fact_int(alive, ESRCH, "kill") == EPERM ? EPERM : ESRCH;
        return job;
    }
    if (group && atoi(group) > 0) pid = atoi(group); /* a thread's number stands for its process */
    double uptime = job_uptime(d);
    const char *const *names;
    int listed = doctor_names(d, "/proc", &names);
    if (!job_read_stat(d, pid, &scan[n])) {
        job->problem = ESRCH;
        return job;
    }
    scan[n++].in_tree = true;
    job_add(d, job, &scan[0], uptime);
    for (int i = 0; i < listed && n < JOB_SCAN_MAX; i++) {
        int other = names[i][0] >= '0' && names[i][0] <= '9' ? atoi(names[i]) : 0;
        if (other && other != pid && job_read_stat(d, other, &scan[n])) n++;
    }
    for (bool more = true; more;) {
        more = false;
        for (int i = 0; i < n; i++)
            for (int k = 0; k < job->count && !scan[i].in_tree; k++)
                if (scan[i].parent == job->process[k].pid) more |= scan[i].in_tree = job_add(d, job, &scan[i], uptime) != NULL;
    }
    const char *self = doctor_read(d, "/proc/self/status", NULL, NULL), *own = self ? doctor_field(d, self, "Uid") : NULL;
    unsigned real = 0, effective = 0;
    if (own) real = (unsigned)strtoul(own, (char **)&own, 10), effective = (unsigned)strtoul(own, NULL, 10);
    int problem = 0;
    doctor_process_env(d, pid, "", &problem);
    if (job->process[0].state == 'Z' || job->process[0].state == 'X') job->problem = ESRCH;
    else if (own && effective && job->process[0].uid != real) job->problem = EPERM;
    else if (problem == EACCES || problem == EPERM) job->problem = EACCES;
    if (!job->problem) job_roles(d, job, scan, n, uptime);
    return job;
}

const doctor_process *doctor_job_lead(doctor *d) {
    const doctor_job *job = doctor_job_look(d);
    return job->problem ? NULL : &job->process[job->lead];
}
