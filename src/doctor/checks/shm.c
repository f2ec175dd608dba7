/* Shared memory: loader workers hand batches over through it, NCCL its buffers. */
#include "doctor/doctor.h"

#include <errno.h>

static void shm_run(doctor *d) {
    doctor_space room;
    const char *link = "https://docs.docker.com/reference/cli/docker/container/run/#shm-size";
    int problem = doctor_room(d, "/dev/shm", &room);
    if (problem == ENOENT && !doctor_exists(d, "/dev/shm")) {
        doctor_finding *f = doctor_find(d, DOCTOR_BROKEN, "shm-missing", link);
        doctor_evidence(d, f, "statvfs(/dev/shm): %s", doctor_errno(problem));
        doctor_cause(d, f, "There is no /dev/shm: loader workers and NCCL have nowhere to share memory.",
                     "没有 /dev/shm: DataLoader 的工作进程和 NCCL 无处共享内存。");
        doctor_cure(d, f, "mount -t tmpfs -o size=8g tmpfs /dev/shm", NULL);
        return;
    }
    if (problem) {
        doctor_unknown(d, "statvfs(/dev/shm): %s", doctor_errno(problem));
        return;
    }
    double mib = 1.0 / (1 << 20);
    bool kubernetes = doctor_container(d) && doctor_container(d)[0] == 'k', small = room.total < (int64_t)1 << 30;
    if (!small && room.free > room.total / 20 && room.files_free != 0) {
        doctor_fine(d, "/dev/shm: %.0f MiB free of %.0f", room.free * mib, room.total * mib);
        return;
    }
    doctor_finding *f = doctor_find(d, DOCTOR_BROKEN, small ? "shm-small" : "shm-full", link);
    doctor_evidence(d, f, "/dev/shm: %.0f MiB free of %.0f MiB, %lld inodes free", room.free * mib, room.total * mib, (long long)room.files_free);
    if (small)
        doctor_cause(d, f, "/dev/shm has %.0f MiB: DataLoader workers die of a bus error and NCCL cannot extend its segments.",
                     "/dev/shm 只有 %.0f MiB: DataLoader 工作进程会因 Bus error 退出, NCCL 无法扩展共享段。", room.total * mib);
    else
        doctor_cause(d, f, "/dev/shm is full (%.0f MiB free): the next loader worker or NCCL segment fails.",
                     "/dev/shm 已满 (剩 %.0f MiB): 下一个工作进程或 NCCL 共享段会失败。", room.free * mib);
    if (!small)
        doctor_cure(d, f, "ls -lS /dev/shm, and remove what dead jobs left (nccl-*, torch_*)", "ls -lS /dev/shm, 删除已结束任务留下的 nccl-*、torch_*");
    else if (kubernetes)
        doctor_cure(d, f, "volumes: [{name: shm, emptyDir: {medium: Memory, sizeLimit: 8Gi}}], mounted at /dev/shm",
                    "volumes: [{name: shm, emptyDir: {medium: Memory, sizeLimit: 8Gi}}], 挂载到 /dev/shm");
    else if (doctor_container(d))
        doctor_cure(d, f, "docker run --shm-size=8g ... (or --ipc=host); until then num_workers=0",
                    "docker run --shm-size=8g ... (或 --ipc=host); 在此之前用 num_workers=0");
    else
        doctor_cure(d, f, "mount -o remount,size=8g /dev/shm", NULL);
}

DOCTOR_CHECK(shm, .code = 601, .layer = DOCTOR_CONTAINER, .reads = "statvfs(/dev/shm)",
             .asks = "is there shared memory for loader workers and NCCL?", .finds = {"shm-small", "shm-full", "shm-missing"}, .run = shm_run);
