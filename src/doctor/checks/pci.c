/* The GPUs on the PCI bus, and who drives them. */
#include "doctor/ladder.h"

#include <string.h>

static void pci_run(doctor *d) {
    const char *const *gpus;
    if (doctor_is_wsl(d)) return;
    int n = doctor_pci_gpus(d, &gpus), fine = 0;
    const char *list = "";
    bool module = doctor_module(d, NULL) != NULL;
    for (int i = 0; i < n; i++) {
        const char *link = doctor_link(d, doctor_text(d, "/sys/bus/pci/devices/%s/driver", gpus[i])), *name = link ? strrchr(link, '/') : NULL;
        const char *driver = name ? name + 1 : link, *vendor = doctor_line(d, "/sys/bus/pci/devices/%s/vendor", gpus[i]);
        doctor_finding *f;
        if (vendor && !strcmp(vendor, "0xffff")) {
            f = doctor_find(d, DOCTOR_BROKEN, "pci-lost", "https://docs.nvidia.com/deploy/xid-errors/index.html");
            doctor_evidence(d, f, "/sys/bus/pci/devices/%s/vendor: 0xffff", gpus[i]);
            doctor_cause(d, f, "GPU %s has fallen off the bus (Xid 79): power, heat, the slot or its firmware.", "GPU %s 已从 PCIe 总线掉线 (Xid 79): 供电、过热、插槽或固件问题。", gpus[i]);
            doctor_cure(d, f, "reboot (a cold start if it stays away); check power cables and temperature", "重启 (仍不出现则断电冷启动), 检查供电线和温度");
        } else if (driver && !strcmp(driver, "nouveau")) {
            f = doctor_find(d, DOCTOR_BROKEN, "pci-nouveau", "https://docs.nvidia.com/datacenter/tesla/driver-installation-guide/");
            doctor_evidence(d, f, "/sys/bus/pci/devices/%s/driver -> nouveau", gpus[i]);
            doctor_cause(d, f, "GPU %s is held by nouveau, which cannot run CUDA.", "GPU %s 被 nouveau 驱动占用, 不能运行 CUDA。", gpus[i]);
            doctor_cure(d, f, "echo 'blacklist nouveau' | sudo tee /etc/modprobe.d/blacklist-nouveau.conf && sudo update-initramfs -u && sudo reboot", NULL);
        } else if (driver && !strncmp(driver, "vfio", 4)) {
            f = doctor_find(d, DOCTOR_BROKEN, "pci-vfio", "https://docs.kernel.org/driver-api/vfio.html");
            doctor_evidence(d, f, "/sys/bus/pci/devices/%s/driver -> %s", gpus[i], driver);
            doctor_cause(d, f, "GPU %s is set aside for a virtual machine and cannot be used here.", "GPU %s 已直通给虚拟机, 本机无法使用。", gpus[i]);
            doctor_cure(d, f, "use it in that machine, or echo %s | sudo tee /sys/bus/pci/drivers/%s/unbind, then bind it to nvidia", "在该虚拟机中使用, 或 echo %s | sudo tee /sys/bus/pci/drivers/%s/unbind 后绑定到 nvidia", gpus[i], driver);
        } else if (!driver && module) {
            f = doctor_find(d, DOCTOR_BROKEN, "pci-unbound", "https://github.com/NVIDIA/open-gpu-kernel-modules/issues/862");
            doctor_evidence(d, f, "/sys/bus/pci/devices/%s/driver: none; module nvidia %s", gpus[i], doctor_module(d, NULL));
            doctor_cause(d, f, "The NVIDIA module is loaded but did not take GPU %s: too new for this driver, too old for it, or it failed to start.",
                         "NVIDIA 内核模块已加载, 但没有接管 GPU %s: 驱动太旧或太新, 或初始化失败。", gpus[i]);
            doctor_cure(d, f, "sudo dmesg | grep -i nvrm; then install the driver branch the message names (Blackwell: an -open driver, 570 or newer)",
                        "sudo dmesg | grep -i nvrm, 按提示安装对应驱动分支 (Blackwell 需 570 以上的 -open 驱动)");
        } else {
            fine += driver != NULL;
            list = doctor_text(d, "%s%s%s", list, *list ? ", " : "", gpus[i]);
        }
    }
    if (fine) doctor_fine(d, "%d NVIDIA GPU%s: %s", fine, fine > 1 ? "s" : "", list);
    if (!n && doctor_ladder(d) == RUNG_NO_GPU) doctor_fine(d, "no NVIDIA GPU on the PCI bus");
}

DOCTOR_CHECK(pci, .code = 101, .layer = DOCTOR_PCI, .reads = "/sys/bus/pci/devices/*/{vendor,class,driver}", .asks = "is a GPU on the bus, and which driver has it?",
             .finds = {"pci-lost", "pci-nouveau", "pci-vfio", "pci-unbound"}, .run = pci_run);
