/* GPUDirect RDMA: without it every byte between nodes goes through main memory. */
#include "doctor/ladder.h"

#include <stdio.h>
#include <string.h>

static void gpudirect_run(doctor *d) {
    const char *const *cards;
    bool open = false;
    int cards_count = doctor_names(d, "/sys/class/infiniband", &cards), major = 0, minor = 0;
    const char *modules = doctor_read(d, "/proc/modules", NULL, NULL), *kernel = doctor_line(d, "/proc/sys/kernel/osrelease"), *module = doctor_module(d, &open);
    if (cards_count <= 0 || !modules || !module || doctor_ladder(d) < RUNG_NVML) return;
    bool peermem = !strncmp(modules, "nvidia_peermem ", 15) || strstr(modules, "\nnvidia_peermem ") || strstr(modules, "\nnv_peer_mem ");
    if (kernel) sscanf(kernel, "%d.%d", &major, &minor);
    bool buffers = open && (major > 5 || (major == 5 && minor >= 12)); /* dma-buf: the way of the open modules */
    if (peermem || buffers) {
        doctor_fine(d, "%s", peermem ? "nvidia_peermem is loaded" : doctor_text(d, "dma-buf: open modules %s, kernel %s", module, kernel));
        return;
    }
    doctor_finding *f = doctor_find(d, DOCTOR_SLOW, "gpudirect-off", "https://github.com/NVIDIA/nccl/issues/1676");
    doctor_evidence(d, f, "%d RDMA cards; no nvidia_peermem in /proc/modules; %s kernel modules, kernel %s", cards_count, open ? "open" : "closed", kernel ? kernel : "?");
    doctor_cause(d, f, "GPUs cannot hand data to the network card: NCCL says 'GPU Direct RDMA Disabled' and copies through main memory (180 becomes 10 GB/s).",
                 "GPU 不能直接把数据交给网卡: NCCL 报 'GPU Direct RDMA Disabled', 绕道主存 (180 GB/s 变成 10 GB/s)。");
    doctor_cure(d, f, "on the host: sudo modprobe nvidia_peermem", "宿主机: sudo modprobe nvidia_peermem");
}

DOCTOR_CHECK(gpudirect, .code = 1102, .layer = DOCTOR_NETWORK, .reads = "/proc/modules, /proc/driver/nvidia/version, kernel version", .asks = "can network cards read GPU memory?", .finds = {"gpudirect-off"}, .run = gpudirect_run);
