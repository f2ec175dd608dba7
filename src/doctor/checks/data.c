/* The file system under the training data. */
#include "doctor/doctor.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The line of mountinfo whose mount point is the longest beginning of `path`; its point, type, source and device. */
static bool data_mount(doctor *d, const char *path, const char **point, const char **type, const char **source, const char **device) {
    const char *text = doctor_read(d, "/proc/self/mountinfo", NULL, NULL);
    size_t best = 0;
    for (; text && *text; text += strcspn(text, "\n"), text += *text == '\n') {
        char at[1024], kind[64], from[512], number[32];
        const char *line = doctor_text(d, "%.*s", (int)strcspn(text, "\n"), text), *dash = strstr(line, " - ");
        if (!dash || sscanf(line, "%*s %*s %31s %*s %1023s", number, at) != 2 || sscanf(dash + 3, "%63s %511s", kind, from) != 2) continue;
        size_t n = strlen(at);
        if (strncmp(path, at, n) || (n > 1 && path[n] && path[n] != '/') || n < best) continue;
        best = n;
        *point = doctor_text(d, "%s", at);
        *type = doctor_text(d, "%s", kind);
        *source = doctor_text(d, "%s", from);
        *device = doctor_text(d, "%s", number);
    }
    return best > 0;
}

static void data_run(doctor *d) {
    static const char *const remote[] = {"nfs", "nfs4", "cifs", "smb3", "9p", "ceph", "lustre", "glusterfs", "beegfs", "afs", "drvfs", "fuse"};
    const char *given = doctor_settings(d)->data, *point = "", *type = "", *source = "", *device = "", *path = given ? doctor_real(d, given) : NULL;
    char here[4096];
    if (given && !path) {
        doctor_finding *f = doctor_find(d, DOCTOR_BROKEN, "data-missing", "https://docs.docker.com/engine/storage/bind-mounts/");
        doctor_evidence(d, f, "%s: ENOENT", given);
        doctor_cause(d, f, "The data folder %s is not there.", "数据目录 %s 不存在。", given);
        doctor_cure(d, f, "docker run -v %s:%s ..., or another path", "docker run -v %s:%s ..., 或改用其他路径", given, given);
        return;
    }
    if (!path) path = doctor_is_recorded(d) ? "/" : getcwd(here, sizeof here);
    if (!path || !data_mount(d, path, &point, &type, &source, &device)) {
        doctor_unknown(d, "/proc/self/mountinfo names no mount of %s", path ? path : "the working folder");
        return;
    }
    bool far = false;
    int64_t rotates = 0;
    for (int i = 0; i < TAPER_COUNT(remote); i++) far |= !strcmp(type, remote[i]) || (!strncmp(type, "fuse.", 5) && !strcmp(remote[i], "fuse"));
    if (!doctor_number(d, &rotates, "/sys/dev/block/%s/queue/rotational", device)) doctor_number(d, &rotates, "/sys/dev/block/%s/../queue/rotational", device);
    /* A virtual disk says 1 whatever lies below it. */
    bool disk = rotates == 1 && !strstr(source, "/vd") && !strstr(source, "/xvd");
    if (given && (far || disk)) {
        doctor_finding *f = doctor_find(d, DOCTOR_SLOW, far ? "data-network" : "data-rotating", "https://github.com/horovod/horovod/issues/824");
        doctor_evidence(d, f, "%s is on %s (%s, %s)%s", path, point, type, source, disk ? ", rotational 1" : "");
        if (far) doctor_cause(d, f, "The data lies on a %s mount: many small files are read at the speed of its round trips.", "数据在 %s 挂载上: 大量小文件的读取速度受网络往返限制。", type);
        else doctor_cause(d, f, "The data lies on a rotating disk (%s): random reads reach about 100 files a second.", "数据在机械硬盘 (%s) 上: 随机读取每秒约 100 个文件。", source);
        doctor_cure(d, f, "copy it to a local SSD first, or pack it into shards of 100 MB or more", "先复制到本地 SSD, 或打包成 100 MB 以上的分片");
        return;
    }
    doctor_fine(d, "%s on %s (%s, %s)%s", path, point, type, source, far ? ", remote: --data FOLDER judges a data folder" : "");
}

DOCTOR_CHECK(data, .code = 1202, .layer = DOCTOR_STORAGE, .reads = "/proc/self/mountinfo, queue/rotational", .asks = "is the data (--data) on a fast file system?", .finds = {"data-missing", "data-network", "data-rotating"}, .run = data_run);
