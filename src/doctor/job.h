/* A running job as the live checks see it: the process of --pid, those below it, the ranks beside it, and three seconds of samples. */
#ifndef TAPER_DOCTOR_JOB_H
#define TAPER_DOCTOR_JOB_H

#include "doctor/doctor.h"

enum { JOB_PROCESSES = 256, JOB_RANKS = 64 };
typedef enum doctor_role { JOB_OTHER, JOB_LEAD, JOB_WORKER, JOB_RANK, JOB_HELPER } doctor_role;
typedef struct doctor_process {
    int pid, parent, threads, tracer;
    unsigned uid;
    char state;              /* R S D T t Z X; 0: not told */
    const char *name;        /* comm */
    const char *command;     /* arguments with spaces between; "" for a zombie */
    double age;              /* seconds since its start; < 0: not told */
    bool gpu;                /* holds /dev/nvidia0 or another GPU's node */
    bool forked;             /* runs its parent's program without an exec: it has the parent's descriptors */
    int files;               /* open descriptors, or -errno */
    doctor_role role;
} doctor_process;

typedef struct doctor_job {
    int problem;             /* errno: the process cannot be looked at; 0 */
    int count;
    doctor_process *process; /* [0] is the one of --pid */
    int lead;                /* whose main thread drives the GPU: [0], or the first below it that holds one */
    int workers;             /* loader processes of the lead */
    int ranks, rank[JOB_RANKS]; /* indices of this run's ranks on this machine, the lead among them; 0: not a distributed run */
} doctor_job;

/* The job of --pid, looked at once. Never NULL; check .problem. */
const doctor_job *doctor_job_look(doctor *d);
const doctor_process *doctor_job_lead(doctor *d); /* NULL when there is none to look at */
/* Stopped by a signal or a debugger: nothing else that it does tells anything. */
bool doctor_job_stopped(doctor *d, const doctor_process *p);
/* A worker that has waited for a lock since it was forked; NULL. */
const doctor_process *doctor_job_deadlocked(doctor *d, int *how_many);
/* "2 h 10 min" */
const char *doctor_job_age(doctor *d, double seconds);
/* A variable of the process's environment at its start; NULL. */
const char *doctor_job_env(doctor *d, int pid, const char *name);
/* "3" of RANK / LOCAL_RANK and their like of Slurm and Open MPI; NULL. */
const char *doctor_job_rank(doctor *d, int pid, bool local);
/* Ranks on this machine and in all, as the environment tells; 0. */
int doctor_job_ranks(doctor *d, int pid, bool local);
/* What stands in /proc/PID/maps: the first path with this text after its last slash; NULL. */
const char *doctor_job_maps(doctor *d, int pid, const char *name);

/* probes/sample.c: the probe "sample", about 3 s. Its keys:
 * ms (length), samples; for each process P: P.states (of its main thread, one letter a sample, - for gone), P.cpu_ms, P.main_ms (main
 * thread on a CPU), P.queued_ms (main thread ready without a CPU), P.switches (of the main thread), P.total_ms (CPU since the start), P.wchan, P.call
 * (system call and first argument, "futex 0x7f..."; the most frequent), P.same (1: asleep in one place all the time), P.read_bytes, P.read_chars,
 * P.delay_ms (waited for disks), P.majflt, P.memory.0 .1 .2 ("private_dirty shared pss", KiB), P.hot.0 .. .3 ("ms tid name": busiest threads);
 * periods, throttled (of the quota), pressure.cpu pressure.io pressure.memory (ms with some waiting; memory: all waiting), swapped_in (pages);
 * nvml (code of nvmlInit); for each gpu.I: bus, uuid, name, minor, utilisation, power, clock (lists of samples: percent, W, MHz), limit (W), pids (list);
 * xid.N ("GPU CODE", seen while sampling), kmsg (errno), kernel.N (seconds since boot and the text of the kernel log's lines of Xid errors). */
const doctor_facts *doctor_job_sample(doctor *d);
typedef struct doctor_job_sampled {
    int pids[JOB_PROCESSES], count, deep; /* threads and memory of the first `deep` */
    char cpu_stat[512];
} doctor_job_sampled;
enum { JOB_SAMPLES = 7, JOB_PAUSE_MS = 500 };
void doctor_job_sampler(doctor_out *o, void *sampled);
void *doctor_job_gpu_sampler(void *out); /* a thread's function; out is a doctor_out */

/* What a sleeping thread waits for, of its system call or else of the kernel's function. */
typedef enum doctor_wait {
    WAIT_NOT_TOLD, WAIT_LOCK, WAIT_EVENTS, WAIT_PIPE, WAIT_SOCKET, WAIT_TERMINAL, WAIT_FILE, WAIT_CHILD, WAIT_SLEEP, WAIT_DEVICE
} doctor_wait;
doctor_wait doctor_job_wait(doctor *d, int pid, const char **what);

/* Sums of the samples of one process, as shares of the time (1.0: one CPU, or all samples). */
typedef struct doctor_shares {
    double run, sleep, disk, stopped; /* of the main thread's samples */
    double cpu, main, queued;         /* measured time */
    bool still;                       /* did nothing at all: asleep in one place */
    bool known;
} doctor_shares;
doctor_shares doctor_job_shares(doctor *d, int pid);

/* The GPUs of a process, as the samples show them; false where that cannot be told. */
typedef struct doctor_job_gpu {
    int count, first; /* how many, the first one's number in NVML's order */
    double utilisation, power, limit, power_low, power_high;
    const char *name;
} doctor_job_gpu;
bool doctor_job_gpus(doctor *d, int pid, doctor_job_gpu *out);

#endif
