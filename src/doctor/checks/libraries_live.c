/* The libraries a running job has mapped: mixed folders, two copies, files that an upgrade has replaced. */
#include <stdlib.h>
#include <string.h>

#include "doctor/job.h"

enum { LIVE_LIBRARIES = 128 };
typedef struct live_library {
    const char *path, *name, *stem; /* name: "libcudnn.so.9"; stem: "libcudnn" */
    size_t folder;                  /* length of the path before the name */
    bool deleted;
} live_library;

static bool libraries_live_watched(const char *name) {
    static const char *const stems[] = {"libcudnn", "libcublas", "libcublasLt", "libcudart", "libcusparse", "libnvJitLink", "libnccl", "libcuda.so", "libcufft", "libcurand", "libcusolver", "libnvrtc"};
    for (int i = 0; i < TAPER_COUNT(stems); i++)
        if (!strncmp(name, stems[i], strlen(stems[i]))) return true;
    return false;
}

/* Distinct paths of watched libraries among the mappings. */
static int libraries_live_list(doctor *d, const char *maps, live_library *list) {
    int n = 0;
    for (const char *s = maps; *s; s += strcspn(s, "\n"), s += *s == '\n') {
        size_t length = strcspn(s, "\n");
        const char *path = memchr(s, '/', length), *name = path;
        if (!path || n == LIVE_LIBRARIES) continue;
        size_t size = length - (size_t)(path - s);
        for (size_t i = 0; i < size; i++)
            if (path[i] == '/') name = path + i + 1;
        if (!libraries_live_watched(name)) continue;
        const char *text = doctor_text(d, "%.*s", (int)size, path);
        char *gone = strstr(text, " (deleted)");
        bool known = false;
        if (gone) *gone = 0;
        for (int i = 0; i < n; i++)
            if (!strcmp(list[i].path, text)) known = true, list[i].deleted |= gone != NULL;
        if (known) continue;
        name = text + (name - path);
        list[n++] = (live_library){text, name, doctor_text(d, "%.*s", (int)strcspn(name, "."), name), (size_t)(name - text), gone != NULL};
    }
    return n;
}

/* "9" of libcudnn.so.9.1.0: libraries of different majors may live in one process. */
static int libraries_live_major(const char *name) {
    const char *so = strstr(name, ".so.");
    return so ? atoi(so + 4) : 0;
}

static void libraries_live_run(doctor *d) {
    const doctor_process *lead = doctor_job_lead(d);
    static const char *const link = "https://github.com/pytorch/pytorch/issues/119989";
    live_library list[LIVE_LIBRARIES];
    int problem = 0;
    if (!lead) return;
    const char *maps = doctor_read(d, doctor_text(d, "/proc/%d/maps", lead->pid), NULL, &problem), *preferred = doctor_job_env(d, lead->pid, "LD_LIBRARY_PATH");
    if (!maps) {
        doctor_unknown(d, "/proc/%d/maps: %s", lead->pid, doctor_errno(problem));
        return;
    }
    int n = libraries_live_list(d, maps, list), gone = 0;
    const live_library *twice[2] = {NULL, NULL}, *mixed[2] = {NULL, NULL}, *deleted = NULL, *cuda = NULL, *main = NULL;
    for (int i = 0; i < n; i++) {
        if (list[i].deleted) deleted = &list[i], gone++;
        if (!strcmp(list[i].stem, "libcuda")) cuda = &list[i];
        if (!strcmp(list[i].stem, "libcudnn") || (!main && !strcmp(list[i].stem, "libcublas"))) main = &list[i];
        for (int k = 0; k < i; k++) {
            bool same = !strcmp(list[i].stem, list[k].stem) && libraries_live_major(list[i].name) == libraries_live_major(list[k].name);
            bool parts = !strncmp(list[i].stem, "libcudnn", 8) && !strncmp(list[k].stem, "libcudnn", 8) && libraries_live_major(list[i].name) == libraries_live_major(list[k].name);
            bool apart = list[i].folder != list[k].folder || strncmp(list[i].path, list[k].path, list[i].folder) != 0;
            if (same && !twice[0]) twice[0] = &list[k], twice[1] = &list[i];
            if (parts && apart && !same && !mixed[0]) mixed[0] = &list[k], mixed[1] = &list[i];
        }
    }
    doctor_finding *f = NULL;
    if (deleted) {
        f = doctor_find(d, DOCTOR_BROKEN, "job-library-replaced", "https://man7.org/linux/man-pages/man5/proc.5.html");
        doctor_evidence(d, f, "/proc/%d/maps: %s (deleted)%s", lead->pid, deleted->path, gone > 1 ? doctor_text(d, " and %d more", gone - 1) : "");
        doctor_cause(d, f, "An upgrade has replaced libraries under the running job: what it loads next is of another version.", "升级在任务运行时替换了库文件: 之后加载的部分将是另一个版本。");
        doctor_cure(d, f, "save a checkpoint and start the job again; do not pip install into the environment of a running job", "保存检查点后重启任务; 不要在任务运行时对其环境执行 pip install");
    }
    if (mixed[0] || twice[0]) {
        const live_library **two = mixed[0] ? mixed : twice;
        f = doctor_find(d, DOCTOR_BROKEN, mixed[0] ? "job-cudnn-mixed" : "job-library-twice", link);
        doctor_evidence(d, f, "/proc/%d/maps: %s and %s; LD_LIBRARY_PATH=%s", lead->pid, two[0]->path, two[1]->path, preferred ? preferred : "(not set)");
        if (mixed[0])
            doctor_cause(d, f, "The parts of cuDNN come from different folders: CUDNN_STATUS_SUBLIBRARY_VERSION_MISMATCH or undefined symbols.",
                         "cuDNN 的各部分来自不同目录: 会出现 CUDNN_STATUS_SUBLIBRARY_VERSION_MISMATCH 或 undefined symbol。");
        else
            doctor_cause(d, f, "Two copies of %s of one major version are in one process: symbols and handles of one get into the other.", "同一进程里有两份同一主版本的 %s: 符号和句柄会混用。", two[0]->stem);
        const live_library *other = strstr(two[0]->path, "/site-packages/") ? two[1] : two[0];
        if (preferred && *preferred) doctor_cure(d, f, "unset LD_LIBRARY_PATH (or take %.*s out of it), and start the job again", "unset LD_LIBRARY_PATH (或从中去掉 %.*s), 再重启任务", (int)other->folder - 1, other->path);
        else doctor_cure(d, f, "remove one: pip list | grep nvidia-; dpkg -S %s", "删除其中一份: pip list | grep nvidia-; dpkg -S %s", other->path);
    }
    if (!f && n) doctor_fine(d, "%d CUDA libraries; %s%s%s", n, main ? main->path : list[0].path, cuda && cuda != main ? "; " : "", cuda && cuda != main ? cuda->path : "");
}

DOCTOR_CHECK(libraries_live, .code = 1405, .layer = DOCTOR_PROCESS, .reads = "/proc/PID/maps, LD_LIBRARY_PATH of /proc/PID/environ", .asks = "which CUDA libraries does the job run?",
             .finds = {"job-library-replaced", "job-cudnn-mixed", "job-library-twice"}, .live = true, .run = libraries_live_run);
