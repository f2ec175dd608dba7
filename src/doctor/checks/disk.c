/* Room where installs, checkpoints and temporary files go. */
#include "doctor/doctor.h"

#include <string.h>

static void disk_run(doctor *d) {
    static const char *const names[] = {"TMPDIR", "/tmp", "HOME", "PIP_CACHE_DIR", "XDG_CACHE_HOME", "HF_HOME"};
    const char *fine = "", *seen[TAPER_COUNT(names)];
    int bad = 0, told = 0;
    for (int i = 0; i < TAPER_COUNT(names); i++) {
        doctor_space room;
        const char *path = names[i][0] == '/' ? names[i] : doctor_env(d, names[i]);
        bool again = false;
        if (!path || !*path) continue;
        for (int k = 0; k < told; k++) again |= !strcmp(seen[k], path);
        if (again || doctor_room(d, path, &room)) continue;
        seen[told++] = path;
        bool inodes = room.files_free >= 0 && room.files_free < 1000;
        if (room.free < (int64_t)1 << 30 || inodes) {
            doctor_finding *f = doctor_find(d, room.free < 64 << 20 || inodes ? DOCTOR_BROKEN : DOCTOR_SLOW, inodes ? "disk-inodes" : "disk-full", "https://github.com/pypa/pip/issues/7745");
            doctor_evidence(d, f, "statvfs(%s): %lld MiB free of %lld MiB, %lld inodes free", path, (long long)(room.free >> 20), (long long)(room.total >> 20), (long long)room.files_free);
            if (inodes) doctor_cause(d, f, "%s can take no more files, whatever room it has.", "%s 的 inode 已用尽, 无法再建文件。", path);
            else doctor_cause(d, f, "%s is nearly full (%lld MiB): installing PyTorch or saving a checkpoint fails with No space left on device.", "%s 快满了 (剩 %lld MiB): 安装 PyTorch 或保存检查点会报 No space left on device。", path, (long long)(room.free >> 20));
            if (names[i][0] == '/' || !strcmp(names[i], "TMPDIR")) doctor_cure(d, f, "export TMPDIR=/a/larger/disk; pip install --no-cache-dir", NULL);
            else doctor_cure(d, f, "du -xsh %s/.cache/* | sort -h; pip cache purge", NULL, path);
            bad++;
        } else {
            fine = doctor_text(d, "%s%s%s %.0f GiB free", fine, *fine ? ", " : "", path, room.free / 1073741824.0);
        }
    }
    if (!bad && *fine) doctor_fine(d, "%s", fine);
}

DOCTOR_CHECK(disk, .code = 1201, .layer = DOCTOR_STORAGE, .reads = "statvfs of TMPDIR, /tmp, HOME and caches", .asks = "is there room for installs and checkpoints?", .finds = {"disk-full", "disk-inodes"}, .run = disk_run);
