/* Loader workers that never came to life: forked while another thread of the parent held a lock. */
#include <string.h>

#include "doctor/job.h"

static void fork_live_run(doctor *d) {
    const doctor_process *lead = doctor_job_lead(d);
    const doctor_job *job = doctor_job_look(d);
    int stuck = 0, forked = 0;
    if (!lead || !job->workers || doctor_job_stopped(d, lead)) return;
    for (int i = 0; i < job->count; i++) forked += job->process[i].role == JOB_WORKER && job->process[i].forked;
    const doctor_process *p = doctor_job_deadlocked(d, &stuck);
    if (!p || !doctor_job_shares(d, lead->pid).known || doctor_job_shares(d, lead->pid).cpu > 0.5) {
        doctor_fine(d, "%d workers, %d of them forked from %d threads%s", job->workers, forked, lead->threads, lead->gpu && forked ? " with the GPU open (they must not call CUDA)" : "");
        return;
    }
    const char *maps = doctor_read(d, doctor_text(d, "/proc/%d/maps", p->pid), NULL, NULL), *what;
    bool opencv = maps && (strstr(maps, "libopencv") || strstr(maps, "/cv2")), openmp = maps && (strstr(maps, "libgomp") || strstr(maps, "libiomp")), hdf5 = maps && strstr(maps, "libhdf5");
    doctor_job_wait(d, p->pid, &what);
    doctor_finding *f = doctor_find(d, DOCTOR_BROKEN, "worker-deadlock", "https://github.com/pytorch/pytorch/issues/1355");
    doctor_evidence(d, f, "%d of %d workers (PID %d: %s, %lld ms of CPU in %s); parent PID %d has %d threads%s%s%s", stuck, job->workers, p->pid, what,
                    (long long)doctor_fact_int(doctor_job_sample(d), 0, "%d.total_ms", p->pid), doctor_job_age(d, p->age), lead->pid, lead->threads, opencv ? "; OpenCV is loaded" : "",
                    openmp ? "; OpenMP is loaded" : "", hdf5 ? "; HDF5 is loaded" : "");
    doctor_cause(d, f, "%d loader workers have waited for a lock since their fork: another thread of the parent held it (%s), and that thread does not exist in them.",
                 "%d 个 DataLoader 工作进程从 fork 起就在等一把锁: fork 时父进程的另一线程 (%s) 持有它, 而子进程里没有那个线程。", stuck,
                 opencv ? "OpenCV" : hdf5 ? "HDF5" : openmp ? "OpenMP" : "logging, HTTP, OpenCV, OpenMP");
    doctor_cure(d, f, "%sDataLoader(..., multiprocessing_context='forkserver')", NULL, opencv ? "cv2.setNumThreads(0); or " : hdf5 ? "open the file in the worker; or " : "");
}

DOCTOR_CHECK(fork_live, .code = 1409, .layer = DOCTOR_PROCESS, .reads = "/proc/PID/{stat,wchan,syscall,maps,fd} of the workers, sampled", .asks = "did the loader's workers start?", .finds = {"worker-deadlock"},
             .live = true, .run = fork_live_run);
