/* The device nodes: what open() says tells a container without GPUs from a device cgroup, a mode and a dead adapter. */
#include "doctor/ladder.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

static void nodes_missing(doctor *d, const char *node) {
    const char *visible = doctor_env(d, "NVIDIA_VISIBLE_DEVICES"), *container = doctor_container(d);
    doctor_finding *f = doctor_find(d, DOCTOR_BROKEN, container ? "nodes-not-passed" : "nodes-missing", "https://github.com/pytorch/pytorch/issues/98885");
    doctor_evidence(d, f, "open(%s): ENOENT; driver %s loaded; NVIDIA_VISIBLE_DEVICES=%s", node, doctor_module(d, NULL) ? doctor_module(d, NULL) : "?",
                    visible ? visible : "(not set)");
    if (!container) {
        doctor_cause(d, f, "The driver is loaded but its device node %s was never made.", "驱动已加载, 但设备节点 %s 没有创建。", node);
        doctor_cure(d, f, "sudo nvidia-modprobe -c 0 -u", NULL);
        return;
    }
    doctor_cause(d, f, "The host has a GPU, but this container was started without it.", "宿主机有 GPU, 但启动容器时没有把它传进来。");
    if (!strcmp(container, "kubernetes"))
        doctor_cure(d, f, "resources: {limits: {nvidia.com/gpu: 1}} in the pod", "在 pod 中写 resources: {limits: {nvidia.com/gpu: 1}}");
    else if (!strcmp(container, "podman")) doctor_cure(d, f, "podman run --device nvidia.com/gpu=all ...", NULL);
    else if (!strcmp(container, "apptainer")) doctor_cure(d, f, "apptainer exec --nv ...", NULL);
    else doctor_cure(d, f, "docker run --gpus all ... (compose: deploy.resources.reservations.devices)", NULL);
}

static void nodes_refused(doctor *d, const char *node, int problem) {
    doctor_finding *f;
    doctor_stat s = {0};
    bool stated = !doctor_status(d, node, &s);
    if (problem == EPERM) {
        f = doctor_find(d, DOCTOR_BROKEN, "nodes-cgroup", "https://github.com/NVIDIA/nvidia-container-toolkit/issues/48");
        doctor_evidence(d, f, "open(%s): EPERM", node);
        doctor_cause(d, f, "The device cgroup no longer allows the GPU: systemd rewrote it (daemon-reload) after the container had started.",
                     "设备 cgroup 不再允许访问 GPU: 容器启动后 systemd 重写了它 (daemon-reload)。");
        doctor_cure(d, f, "recreate the container; for good: sudo nvidia-ctk system create-dev-char-symlinks --create-all on the host, or CDI",
                    "重建容器; 根治: 在宿主机 sudo nvidia-ctk system create-dev-char-symlinks --create-all, 或改用 CDI");
    } else if (problem == EACCES) {
        const char *enforce = doctor_line(d, "/sys/fs/selinux/enforce");
        bool selinux = enforce && *enforce == '1' && stated && (s.mode & 0006) == 0006;
        f = doctor_find(d, DOCTOR_BROKEN, selinux ? "nodes-selinux" : "nodes-mode", "https://github.com/NVIDIA/nvidia-container-toolkit/issues/210");
        if (stated) doctor_evidence(d, f, "open(%s): EACCES; mode %04o, owner %u:%u%s", node, s.mode & 07777, s.uid, s.gid, selinux ? "; SELinux enforces" : "");
        else doctor_evidence(d, f, "open(%s): EACCES", node);
        if (selinux) {
            doctor_cause(d, f, "SELinux keeps the container from the GPU's node.", "SELinux 阻止容器访问 GPU 节点。");
            doctor_cure(d, f, "sudo setsebool -P container_use_devices on", NULL);
        } else {
            doctor_cause(d, f, "The node's mode keeps this user out; in a rootless container its group was dropped.", "节点权限不允许当前用户访问; 无根容器会丢掉附加组。");
            doctor_cure(d, f, "sudo usermod -aG %u $USER and log in again; rootless podman: --group-add keep-groups",
                        "sudo usermod -aG %u $USER 后重新登录; 无根 podman 加 --group-add keep-groups", s.gid);
        }
    } else if (problem == EIO) {
        f = doctor_find(d, DOCTOR_BROKEN, "nodes-adapter", "https://github.com/NVIDIA/open-gpu-kernel-modules/issues/862");
        doctor_evidence(d, f, "open(%s): EIO; module %s", node, doctor_module(d, NULL) ? doctor_module(d, NULL) : "?");
        doctor_cause(d, f, "The driver cannot start this GPU (RmInitAdapter failed): newer than the driver, a closed module for a GPU that needs the open one, no room for its BAR, or a fault.",
                     "驱动无法初始化该 GPU (RmInitAdapter failed): 驱动太旧、需要开放内核模块、BAR 空间不足或硬件故障。");
        doctor_cure(d, f, "sudo dmesg | grep -i nvrm; Blackwell: an -open driver >= 570; BIOS: Above 4G decoding and resizable BAR on",
                    "sudo dmesg | grep -i nvrm; Blackwell 用 570 以上 -open 驱动; BIOS 打开 Above 4G 和 ReBAR");
    } else {
        f = doctor_find(d, DOCTOR_BROKEN, "nodes-gone", "https://docs.nvidia.com/deploy/xid-errors/index.html");
        doctor_evidence(d, f, "open(%s): %s", node, doctor_errno(problem));
        doctor_cause(d, f, "The node is there but no driver answers behind it: the module was unloaded or the GPU is gone.", "节点存在但背后没有驱动: 模块被卸载或 GPU 已掉线。");
        doctor_cure(d, f, "sudo modprobe nvidia nvidia_uvm; restart the container", "sudo modprobe nvidia nvidia_uvm; 重启容器");
    }
}

static void nodes_run(doctor *d) {
    const char *const *names;
    doctor_rung rung = doctor_ladder(d);
    if (doctor_is_wsl(d) || rung < RUNG_NODES) return;
    int n = doctor_names(d, "/dev", &names), gpus = 0, bad = 0, problem = doctor_open(d, "/dev/nvidiactl", O_RDWR);
    if (problem == ENOENT) {
        nodes_missing(d, "/dev/nvidiactl");
        return;
    }
    if (problem) {
        nodes_refused(d, "/dev/nvidiactl", problem);
        return;
    }
    for (int i = 0; i < n; i++) {
        if (strncmp(names[i], "nvidia", 6) || !names[i][6] || names[i][6 + strspn(names[i] + 6, "0123456789")]) continue;
        const char *node = doctor_text(d, "/dev/%s", names[i]);
        problem = doctor_open(d, node, O_RDWR);
        gpus++;
        if (!problem || problem == EBUSY) continue;
        nodes_refused(d, node, problem);
        bad++;
    }
    problem = doctor_open(d, "/dev/nvidia-uvm", O_RDWR);
    if (problem && problem != ENOENT && !bad) { /* made on first use where it is missing; a failing cuInit speaks of that */
        nodes_refused(d, "/dev/nvidia-uvm", problem);
        bad++;
    }
    if (!gpus) nodes_missing(d, "/dev/nvidia0");
    else if (!bad) doctor_fine(d, "/dev/nvidiactl, %d of /dev/nvidia<n>, /dev/nvidia-uvm%s", gpus, problem == ENOENT ? " (not yet there)" : " open");
}

DOCTOR_CHECK(nodes, .code = 301, .layer = DOCTOR_NODES, .reads = "open(O_RDWR) of /dev/nvidiactl, /dev/nvidia<n>, /dev/nvidia-uvm", .asks = "may this process open the GPU's nodes?",
             .finds = {"nodes-not-passed", "nodes-missing", "nodes-cgroup", "nodes-mode", "nodes-selinux", "nodes-adapter", "nodes-gone"}, .run = nodes_run);
