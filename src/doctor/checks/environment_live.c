/* Debugging switches in the environment that a running job started with. */
#include "doctor/job.h"
#include "doctor/switches.h"

static void environment_live_run(doctor *d) {
    const doctor_process *lead = doctor_job_lead(d);
    int all = 0, bad = 0;
    if (!lead) return;
    for (const doctor_switch *s = doctor_switches; s->name; s++, all++) {
        const char *value = doctor_job_env(d, lead->pid, s->name);
        if (!doctor_switch_on(s, value)) continue;
        doctor_finding *f = doctor_find(d, DOCTOR_SLOW, "job-debug-switch", "https://docs.pytorch.org/docs/stable/cuda_environment_variables.html");
        doctor_evidence(d, f, "/proc/%d/environ: %s=%s", lead->pid, s->name, value);
        doctor_cause(d, f, "The job runs with %1$s=%2$s: %3$s.%4$.0s", "任务带着 %1$s=%2$s 运行: %4$s。%3$.0s", s->name, value, s->en, s->zh);
        doctor_cure(d, f, "unset %s, and start the job again", "unset %s 后重新启动任务", s->name);
        bad++;
    }
    if (!bad) doctor_fine(d, "/proc/%d/environ: none of %d debugging switches is set", lead->pid, all);
}

DOCTOR_CHECK(environment_live, .code = 1406, .layer = DOCTOR_PROCESS, .reads = "/proc/PID/environ", .asks = "does the job run with a debugging switch?", .finds = {"job-debug-switch"}, .live = true,
             .run = environment_live_run);
