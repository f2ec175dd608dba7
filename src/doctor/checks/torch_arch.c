/* Does the PyTorch of this environment, and what is built against it, hold code for these GPUs? */
#include "doctor/python.h"

#include <stdio.h>
#include <string.h>

typedef struct arch_gpu {
    int cc, served; /* 2 machine code, 1 PTX, 0 nothing */
    const char *name, *uuid;
} arch_gpu;
enum { ARCH_GPUS = 64 };

static int arch_gpus(doctor *d, arch_gpu *gpus, const doctor_elf *e) {
    const doctor_facts *nvml = doctor_nvml(d), *cuda = doctor_env(d, "CUDA_VISIBLE_DEVICES") ? doctor_cuda(d) : NULL;
    int n = 0, count = doctor_gpu_count(d), major, minor, visible = (int)doctor_fact_int(cuda, 0, "count");
    if (visible > 0 && visible <= count) nvml = cuda, count = visible; /* NVML does not know the variable */
    for (int i = 0; i < count; i++) {
        const char *cc = doctor_fact(nvml, "gpu.%d.cc", i), *name = doctor_fact(nvml, "gpu.%d.name", i), *uuid = doctor_fact(nvml, "gpu.%d.uuid", i);
        if (!cc || sscanf(cc, "%2d.%1d", &major, &minor) != 2 || major < 2 || minor < 0) continue;
        gpus[n++] = (arch_gpu){10 * major + minor, doctor_code_serves(e->sass, e->ptx, 10 * major + minor), name ? name : "GPU", uuid};
    }
    return n;
}

/* A package is judged by all its libraries together: some of them are meant for one GPU alone. */
static void arch_extensions(doctor *d, const doctor_python *p) {
    const doctor_extension *list;
    arch_gpu gpus[ARCH_GPUS];
    int n = doctor_extensions(d, p, &list);
    for (int i = 0, next; i < n; i = next) {
        doctor_elf all = {.path = NULL};
        for (next = i; next < n && list[next].package == list[i].package; next++) {
            const doctor_elf *e = doctor_elf_read(d, list[next].path, DOCTOR_ELF_KERNELS);
            for (int k = 0; e && k < DOCTOR_ELF_ARCHS; k++) all.sass[k] |= e->sass[k], all.ptx[k] |= e->ptx[k];
            if (e && e->fatbins && !all.path) all.path = e->path;
        }
        int count = all.path && next < DOCTOR_EXTENSIONS ? arch_gpus(d, gpus, &all) : 0, served = 0; /* the last package may not be whole */
        for (int k = 0; k < count; k++) served += gpus[k].served > 0;
        if (!count || served) continue;
        doctor_finding *f = doctor_find(d, DOCTOR_BROKEN, "extension-no-kernel", "https://github.com/pytorch/pytorch/issues/31285");
        doctor_evidence(d, f, "%s: machine code %s; PTX %s; GPU %d.%d", all.path, doctor_arch_text(d, all.sass), doctor_arch_text(d, all.ptx), gpus[0].cc / 10, gpus[0].cc % 10);
        doctor_cause(d, f, "%s holds no code for %s (%d.%d): no kernel image is available for execution on the device.",
                     "%s 不含 %s (%d.%d) 的代码: no kernel image is available for execution on the device。", list[i].package->name, gpus[0].name, gpus[0].cc / 10, gpus[0].cc % 10);
        doctor_cure(d, f, "TORCH_CUDA_ARCH_LIST=%d.%d %s --force-reinstall --no-deps --no-build-isolation --no-binary %s %s==%.*s, if %s supports this GPU",
                    "TORCH_CUDA_ARCH_LIST=%d.%d %s --force-reinstall --no-deps --no-build-isolation --no-binary %s %s==%.*s (前提是 %s 支持这块 GPU)", gpus[0].cc / 10, gpus[0].cc % 10,
                    doctor_pip(d, p), list[i].package->name, list[i].package->name, (int)strcspn(list[i].package->version, "+"), list[i].package->version, list[i].package->name);
    }
}

static void arch_missing(doctor *d, const doctor_python *p, const doctor_elf *e, const arch_gpu *gpu, const arch_gpu *other) {
    int row = doctor_wheel_row(p->torch_version, gpu->cc, doctor_driver_version(d));
    doctor_finding *f = doctor_find(d, DOCTOR_BROKEN, "torch-no-kernel", "https://github.com/pytorch/pytorch/issues/157517");
    doctor_evidence(d, f, "%s: machine code %s; PTX %s; GPU %d.%d", e->path, doctor_arch_text(d, e->sass), doctor_arch_text(d, e->ptx), gpu->cc / 10, gpu->cc % 10);
    doctor_cause(d, f, "PyTorch %s holds no code for %s (%d.%d): no kernel image is available for execution on the device.",
                 "PyTorch %s 不含 %s (%d.%d) 的代码: no kernel image is available for execution on the device。", p->torch_version, gpu->name, gpu->cc / 10, gpu->cc % 10);
    if (other && other->uuid)
        doctor_cure(d, f, "CUDA_VISIBLE_DEVICES=%s, the GPU that this PyTorch can use", "CUDA_VISIBLE_DEVICES=%s, 只用此 PyTorch 支持的 GPU", other->uuid);
    else if (row >= 0)
        doctor_cure(d, f, "%s", NULL, doctor_wheel_command(d, p, row));
    else
        doctor_cure(d, f, "update the driver, then install a PyTorch with code for %d.%d (taper compat --gpu %d.%d lists them)",
                    "先升级驱动, 再安装含 %d.%d 代码的 PyTorch (taper compat --gpu %d.%d 会列出)", gpu->cc / 10, gpu->cc % 10, gpu->cc / 10, gpu->cc % 10);
}

static void arch_run(doctor *d) {
    const doctor_python *p = doctor_cuda_torch(d);
    if (!p || !doctor_gpu_count(d)) return;
    const char *path = doctor_torch_library(d, p, "libtorch_cuda.so");
    const doctor_elf *e = path ? doctor_elf_read(d, path, DOCTOR_ELF_KERNELS) : NULL;
    if (!e || e->error || !e->fatbins) {
        if (!path || e) doctor_unknown(d, "%s/lib/libtorch_cuda.so: %s", p->torch, !path ? "ENOENT" : e->error ? e->error : "no GPU code found");
        return;
    }
    arch_gpu gpus[ARCH_GPUS];
    int n = arch_gpus(d, gpus, e), bad = -1, good = -1, slow = -1;
    for (int i = 0; i < n; i++) *(gpus[i].served == 2 ? &good : gpus[i].served ? &slow : &bad) = i;
    bool chosen = doctor_env(d, "CUDA_VISIBLE_DEVICES") != NULL;
    int major = 0, minor = 0, reported = (int)doctor_fact_int(doctor_nvml(d), 0, "cuda");
    sscanf(p->cuda, "%3d.%2d", &major, &minor);
    if (slow >= 0 && reported && reported < 1000 * major + 10 * minor) bad = slow, slow = -1; /* the driver does not compile newer PTX */
    if (bad >= 0 && ((good < 0 && slow < 0) || !chosen)) {
        arch_missing(d, p, e, &gpus[bad], good >= 0 && !chosen ? &gpus[good] : NULL);
    } else if (slow >= 0) {
        int row = doctor_wheel_row(p->torch_version, gpus[slow].cc, doctor_driver_version(d));
        doctor_finding *f = doctor_find(d, DOCTOR_SLOW, "torch-ptx", "https://github.com/pytorch/pytorch/issues/537");
        doctor_evidence(d, f, "%s: machine code %s; PTX %s; GPU %d.%d", e->path, doctor_arch_text(d, e->sass), doctor_arch_text(d, e->ptx), gpus[slow].cc / 10, gpus[slow].cc % 10);
        doctor_cause(d, f, "PyTorch %s has only PTX for %s: the driver compiles it at the first use, which takes minutes, and again where the cache does not last.",
                     "PyTorch %s 对 %s 只有 PTX: 驱动首次使用时要编译几分钟, 缓存不能保留时每次都要。", p->torch_version, gpus[slow].name);
        if (row >= 0) doctor_cure(d, f, "%s", NULL, doctor_wheel_command(d, p, row));
        else doctor_cure(d, f, "export CUDA_CACHE_PATH=/a/folder/that/lasts CUDA_CACHE_MAXSIZE=4294967296", "export CUDA_CACHE_PATH=/可持久化的目录 CUDA_CACHE_MAXSIZE=4294967296");
    } else if (n) {
        doctor_fine(d, "machine code %s%s%s; GPU %d.%d%s", doctor_arch_text(d, e->sass), strcmp(doctor_arch_text(d, e->ptx), "none") ? ", PTX " : "",
                    strcmp(doctor_arch_text(d, e->ptx), "none") ? doctor_arch_text(d, e->ptx) : "", gpus[good].cc / 10, gpus[good].cc % 10, bad >= 0 ? " (CUDA_VISIBLE_DEVICES is set)" : "");
    }
    arch_extensions(d, p);
}

DOCTOR_CHECK(torch_arch, .code = 702, .layer = DOCTOR_PYTHON, .reads = "the GPU code (.nv_fatbin) in libtorch_cuda.so and extensions, NVML",
             .asks = "does PyTorch hold code for these GPUs?", .finds = {"torch-no-kernel", "torch-ptx", "extension-no-kernel"}, .run = arch_run);
