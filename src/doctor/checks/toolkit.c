/* On a host: does docker know how to hand GPUs to containers? */
#include "doctor/ladder.h"

#include <string.h>

static void toolkit_run(doctor *d) {
    static const char *const cdi[] = {"/etc/cdi/nvidia.yaml", "/var/run/cdi/nvidia.yaml", "/etc/cdi/nvidia.json"};
    static const char *const daemons[] = {"/etc/docker/daemon.json", "/root/.config/docker/daemon.json"};
    const char *link = "https://docs.nvidia.com/datacenter/cloud-native/container-toolkit/latest/install-guide.html", *where = NULL;
    bool snap = doctor_exists(d, "/snap/bin/docker"), docker = snap || doctor_exists(d, "/usr/bin/docker") || doctor_exists(d, "/usr/local/bin/docker");
    bool tool = doctor_exists(d, "/usr/bin/nvidia-ctk") || doctor_exists(d, "/usr/bin/nvidia-container-runtime");
    if (doctor_container(d) || !docker || doctor_ladder(d) < RUNG_NODES) return;
    for (int i = 0; i < TAPER_COUNT(cdi) && !where; i++)
        if (doctor_exists(d, "%s", cdi[i])) where = cdi[i];
    for (int i = 0; i < TAPER_COUNT(daemons) && !where; i++) {
        const char *text = doctor_read(d, daemons[i], NULL, NULL);
        if (text && strstr(text, "nvidia")) where = daemons[i];
    }
    doctor_finding *f;
    if (!tool) {
        f = doctor_find(d, DOCTOR_BROKEN, "toolkit-missing", link);
        doctor_evidence(d, f, "docker is installed; no /usr/bin/nvidia-ctk, no nvidia-container-runtime");
        doctor_cause(d, f, "Containers cannot get the GPU: the NVIDIA container toolkit is not installed (docker says: could not select device driver \"\" with capabilities: [[gpu]]).",
                     "容器拿不到 GPU: 未安装 NVIDIA container toolkit (docker 报 could not select device driver \"\" with capabilities: [[gpu]])。");
        doctor_cure(d, f, "sudo apt install nvidia-container-toolkit && sudo nvidia-ctk runtime configure --runtime=docker && sudo systemctl restart docker", NULL);
    } else if (snap && !doctor_exists(d, "/usr/bin/docker")) {
        f = doctor_find(d, DOCTOR_BROKEN, "toolkit-snap", link);
        doctor_evidence(d, f, "/snap/bin/docker, no /usr/bin/docker");
        doctor_cause(d, f, "Docker is the snap package, whose confinement keeps the NVIDIA runtime out.", "Docker 是 snap 包, 其沙箱不允许使用 NVIDIA 运行时。");
        doctor_cure(d, f, "sudo snap remove docker, and install docker-ce from docker's repository", "sudo snap remove docker, 改装 docker 官方仓库的 docker-ce");
    } else if (!where) {
        f = doctor_find(d, DOCTOR_BROKEN, "toolkit-unregistered", link);
        doctor_evidence(d, f, "no \"nvidia\" in /etc/docker/daemon.json, no /etc/cdi/nvidia.yaml");
        doctor_cause(d, f, "The NVIDIA container toolkit is installed but docker was never told of it.", "已安装 NVIDIA container toolkit, 但没有在 docker 中注册。");
        doctor_cure(d, f, "sudo nvidia-ctk runtime configure --runtime=docker && sudo systemctl restart docker", NULL);
    } else {
        doctor_fine(d, "registered in %s", where);
    }
}

DOCTOR_CHECK(toolkit, .code = 605, .layer = DOCTOR_CONTAINER, .reads = "/usr/bin/nvidia-ctk, /etc/docker/daemon.json, /etc/cdi", .asks = "can docker on this host hand out the GPU?",
             .finds = {"toolkit-missing", "toolkit-snap", "toolkit-unregistered"}, .run = toolkit_run);
