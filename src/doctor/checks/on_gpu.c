/* A job that was given a GPU and works on the CPU. */
#include <string.h>

#include "doctor/job.h"

/* What asks for a GPU in the job's environment or arguments: "CUDA_VISIBLE_DEVICES=0"; NULL. *hidden: it asks for none. */
static const char *on_gpu_asks(doctor *d, const doctor_process *p, bool *hidden) {
    static const char *const names[] = {"CUDA_VISIBLE_DEVICES", "SLURM_STEP_GPUS", "SLURM_JOB_GPUS", "SLURM_GPUS_ON_NODE"};
    static const char *const words[] = {"--device=cuda", "--device cuda", "device=cuda", "--gpus ", "--gpus=", "--gpu ", "--cuda", "--accelerator gpu", "--accelerator=gpu"};
    for (int i = 0; i < TAPER_COUNT(names); i++) {
        const char *value = doctor_job_env(d, p->pid, names[i]);
        if (value && (!*value || !strncmp(value, "-1", 2) || !strcmp(value, "NoDevFiles") || !strcmp(value, "none"))) *hidden |= i == 0;
        else if (value && !*hidden) return doctor_text(d, "%s=%s", names[i], value);
    }
    for (int i = 0; i < TAPER_COUNT(words) && !*hidden; i++)
        if (strstr(p->command, words[i]) && !strstr(p->command, "--gpus 0") && !strstr(p->command, "--gpus=0")) return words[i];
    return NULL;
}

static void on_gpu_run(doctor *d) {
    enum { YOUNG = 60 };
    const doctor_job *job = doctor_job_look(d);
    const doctor_process *lead = doctor_job_lead(d);
    if (!lead || doctor_job_stopped(d, lead)) return;
    const char *maps = doctor_read(d, doctor_text(d, "/proc/%d/maps", lead->pid), NULL, NULL);
    bool hidden = false, torch_cuda = maps && strstr(maps, "/libtorch_cuda"), torch_cpu = maps && strstr(maps, "/libtorch_cpu"), driver = maps && strstr(maps, "/libcuda.so");
    const char *asks = on_gpu_asks(d, lead, &hidden);
    doctor_job_gpu gpu;
    doctor_finding *f;
    for (int i = 0; i < job->count; i++)
        if (job->process[i].gpu) {
            doctor_job_gpus(d, job->process[i].pid, &gpu);
            doctor_fine(d, "PID %d holds /dev/nvidia*%s", job->process[i].pid, gpu.name ? doctor_text(d, "; GPU %d, %s", gpu.first, gpu.name) : "");
            return;
        }
    if (lead->files < 0) {
        doctor_unknown(d, "/proc/%d/fd: %s", lead->pid, doctor_errno(-lead->files));
        return;
    }
    if (hidden || !asks || (!torch_cuda && !torch_cpu && !driver)) {
        if (torch_cuda || torch_cpu || driver) doctor_fine(d, "on the CPU; %s", hidden ? "CUDA_VISIBLE_DEVICES hides the GPUs" : "nothing asks for a GPU");
        return;
    }
    double busy = doctor_job_shares(d, lead->pid).cpu;
    if ((lead->age >= 0 && lead->age < YOUNG) || busy < 0.2) {
        doctor_fine(d, "no GPU opened yet; started %s ago, %.0f %% CPU", doctor_job_age(d, lead->age), busy * 100);
        return;
    }
    bool wheel = torch_cpu && !torch_cuda;
    f = doctor_find(d, DOCTOR_SLOW, wheel ? "job-cpu-build" : "job-on-cpu", wheel ? "https://pytorch.org/get-started/locally/" : "https://github.com/pytorch/ci-infra/issues/661");
    doctor_evidence(d, f, "/proc/%d/fd: no /dev/nvidia*; %s; mapped: %s%s%s; %.0f %% CPU", lead->pid, asks, torch_cpu ? "libtorch_cpu " : "", torch_cuda ? "libtorch_cuda " : "", driver ? "libcuda" : "", busy * 100);
    if (wheel) {
        doctor_cause(d, f, "The job asks for a GPU but runs a PyTorch built for the CPU alone.", "任务要用 GPU, 但运行的是仅支持 CPU 的 PyTorch。");
        const doctor_facts *nvml = doctor_nvml(d); /* cu128 has kernels for 7.5 and above, cu118 runs on the drivers of CUDA 11 */
        const char *build = doctor_fact_int(nvml, 12080, "cuda") < 12000 ? "cu118" : doctor_fact_real(nvml, 0, "gpu.0.cc") >= 7.5 ? "cu128" : "cu126";
        doctor_cure(d, f, "pip install --force-reinstall torch --index-url https://download.pytorch.org/whl/%s", NULL, build);
    } else {
        doctor_cause(d, f, "The job asks for a GPU, has opened none, and works on the CPU.", "任务要用 GPU, 却没有打开任何 GPU, 正在 CPU 上计算。");
        doctor_cure(d, f, "taper doctor (without --pid) says why no GPU can be used; in the program, fail where torch.cuda.is_available() is False", "运行 taper doctor (不带 --pid) 查看 GPU 不可用的原因; 程序中 torch.cuda.is_available() 为 False 时应报错退出");
    }
}

DOCTOR_CHECK(on_gpu, .code = 1403, .layer = DOCTOR_PROCESS, .reads = "/proc/PID/{fd,maps,environ}, NVML's process lists", .asks = "does the job use the GPU it asks for?", .finds = {"job-on-cpu", "job-cpu-build"},
             .live = true, .run = on_gpu_run);
