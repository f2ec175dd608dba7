/* Limits of processes and files: loaders fork and pass file descriptors. */
#include "doctor/doctor.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Soft and hard value of a line of /proc/self/limits; INT64_MAX for unlimited. */
static bool limits_line(const char *text, const char *name, int64_t *soft, int64_t *hard) {
    const char *line = text ? strstr(text, name) : NULL;
    char a[32], b[32];
    if (!line || sscanf(line + strlen(name), " %31s %31s", a, b) != 2) return false;
    *soft = *a == 'u' ? INT64_MAX : atoll(a);
    *hard = *b == 'u' ? INT64_MAX : atoll(b);
    return true;
}

static void limits_run(doctor *d) {
    enum { FILES = 1024, ROOM = 128 };
    const char *text = doctor_read(d, "/proc/self/limits", NULL, NULL), *info = doctor_read(d, "/proc/meminfo", NULL, NULL), *fine = "";
    const char *max_file = doctor_cgroup(d, "pids.max", "pids", "pids.max"), *now_file = doctor_cgroup(d, "pids.current", "pids", "pids.current");
    int64_t soft = 0, hard = 0, most = INT64_MAX, now = 0, overcommit = 0;
    bool known = limits_line(text, "Max open files", &soft, &hard);
    doctor_finding *f;
    int bad = 0;
    if (known && soft < FILES) {
        f = doctor_find(d, DOCTOR_BROKEN, "limits-files", "https://github.com/pytorch/pytorch/issues/973");
        doctor_evidence(d, f, "/proc/self/limits: Max open files %lld (hard %lld)", (long long)soft, (long long)hard);
        doctor_cause(d, f, "Only %lld files may be open: loaders pass one descriptor per tensor and die of 'received 0 items of ancdata'.", "只允许打开 %lld 个文件: DataLoader 每个张量占一个描述符, 会报 'received 0 items of ancdata'。", (long long)soft);
        if (hard > soft) doctor_cure(d, f, "ulimit -n %lld", NULL, (long long)(hard < 65536 ? hard : 65536));
        else doctor_cure(d, f, "docker run --ulimit nofile=65536, or torch.multiprocessing.set_sharing_strategy('file_system')", "docker run --ulimit nofile=65536, 或 torch.multiprocessing.set_sharing_strategy('file_system')");
        bad++;
    } else if (known) {
        fine = doctor_text(d, "open files %lld", (long long)soft);
    }
    if (max_file && now_file && doctor_number(d, &most, "%s", max_file) && doctor_number(d, &now, "%s", now_file) && most < INT64_MAX / 2) {
        if (most - now < ROOM) {
            f = doctor_find(d, DOCTOR_BROKEN, "limits-pids", "https://github.com/pytorch/pytorch/issues/4387");
            doctor_evidence(d, f, "%s: %lld; in use %lld", max_file, (long long)most, (long long)now);
            doctor_cause(d, f, "The group may start only %lld more processes and threads: forking loader workers fails.", "本组只能再启动 %lld 个进程/线程: fork 工作进程会失败。", (long long)(most - now));
            doctor_cure(d, f, "docker run --pids-limit=4096 (kubernetes: podPidsLimit); OMP_NUM_THREADS smaller", "docker run --pids-limit=4096 (kubernetes: podPidsLimit); 减小 OMP_NUM_THREADS");
            bad++;
        } else {
            fine = doctor_text(d, "%s%sprocesses %lld of %lld", fine, *fine ? ", " : "", (long long)now, (long long)most);
        }
    }
    if (doctor_number(d, &overcommit, "/proc/sys/vm/overcommit_memory") && overcommit == 2 && info) {
        const char *limit = doctor_field(d, info, "CommitLimit"), *used = doctor_field(d, info, "Committed_AS");
        double left = limit && used ? (atof(limit) - atof(used)) / (1 << 20) : 1e9;
        if (left < 8) {
            f = doctor_find(d, DOCTOR_BROKEN, "limits-overcommit", "https://docs.kernel.org/mm/overcommit-accounting.html");
            doctor_evidence(d, f, "vm.overcommit_memory=2; CommitLimit %s, Committed_AS %s", limit, used);
            doctor_cause(d, f, "The kernel hands out no more than %.1f GiB further memory (overcommit 2): os.fork of a large process fails with ENOMEM.", "内核最多再分配 %.1f GiB (overcommit 2): 大进程 os.fork 会以 ENOMEM 失败。", left > 0 ? left : 0);
            doctor_cure(d, f, "sudo sysctl vm.overcommit_memory=0 (or a larger vm.overcommit_ratio)", "sudo sysctl vm.overcommit_memory=0 (或加大 vm.overcommit_ratio)");
            bad++;
        }
    }
    if (!bad && *fine) doctor_fine(d, "%s", fine);
    else if (!bad) doctor_unknown(d, "/proc/self/limits cannot be read");
}

DOCTOR_CHECK(limits, .code = 604, .layer = DOCTOR_CONTAINER, .reads = "/proc/self/limits, pids.max, pids.current, /proc/sys/vm/overcommit_memory",
             .asks = "may loaders fork and open files?", .finds = {"limits-files", "limits-pids", "limits-overcommit"}, .run = limits_run);
