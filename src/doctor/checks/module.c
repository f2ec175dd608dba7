/* The kernel module. */
#include "doctor/ladder.h"

#include <string.h>

/* Whether a module for this kernel lies on disk: *.ko, also compressed, in the folders where packages put it. */
static const char *module_file(doctor *d, const char *kernel) {
    static const char *const folders[] = {"updates/dkms", "updates", "extra", "extra/nvidia", "kernel/drivers/video", "kernel/nvidia-580", "kernel/nvidia-570",
                                          "kernel/nvidia-550", "kernel/nvidia-535", "weak-updates", "misc", "video"};
    static const char *const ends[] = {"", ".xz", ".zst", ".gz"};
    for (int i = 0; i < TAPER_COUNT(folders); i++)
        for (int k = 0; k < TAPER_COUNT(ends); k++) {
            const char *file = doctor_text(d, "/lib/modules/%s/%s/nvidia.ko%s", kernel, folders[i], ends[k]);
            if (doctor_exists(d, "%s", file)) return file;
        }
    return NULL;
}

/* The last byte of the firmware's variable is 1 with Secure Boot on. */
static bool module_secure_boot(doctor *d) {
    size_t size = 0;
    const char *bytes = doctor_read(d, "/sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c", &size, NULL);
    return bytes && size >= 5 && bytes[4] == 1;
}

static void module_run(doctor *d) {
    bool open = false;
    const char *version = doctor_module(d, &open), *kernel = doctor_line(d, "/proc/sys/kernel/osrelease");
    const char *link = "https://docs.nvidia.com/datacenter/tesla/driver-installation-guide/";
    if (version) {
        doctor_fine(d, "nvidia %s, %s", version, open ? "open kernel modules" : "proprietary or unnamed");
        return;
    }
    if (doctor_ladder(d) != RUNG_KERNEL) return;
    doctor_finding *f;
    const char *file = kernel ? module_file(d, kernel) : NULL;
    if (doctor_container(d)) {
        f = doctor_find(d, DOCTOR_BROKEN, "module-not-loaded", link);
        doctor_evidence(d, f, "no /proc/driver/nvidia/version; inside a container (%s)", doctor_container(d));
        doctor_cause(d, f, "The host has an NVIDIA GPU but its driver is not loaded; nothing inside the container can change that.",
                     "宿主机有 NVIDIA GPU, 但没有加载驱动; 容器内无法解决。");
        doctor_cure(d, f, "on the host: sudo modprobe nvidia, and where that fails install the driver", "在宿主机上: sudo modprobe nvidia, 失败则安装驱动");
    } else if (file && module_secure_boot(d)) {
        f = doctor_find(d, DOCTOR_BROKEN, "module-secure-boot", link);
        doctor_evidence(d, f, "SecureBoot variable: 1; %s is there; module not loaded", file);
        doctor_cause(d, f, "Secure Boot is on and the NVIDIA module is not loaded: most likely its signature is not enrolled.",
                     "Secure Boot 已开启而 NVIDIA 模块未加载: 多半是模块签名未登记。");
        doctor_cure(d, f, "sudo mokutil --import /var/lib/shim-signed/mok/MOK.der && sudo reboot (and enrol the key), or switch Secure Boot off",
                    "sudo mokutil --import /var/lib/shim-signed/mok/MOK.der && sudo reboot (并登记密钥), 或关闭 Secure Boot");
    } else if (file) {
        f = doctor_find(d, DOCTOR_BROKEN, "module-not-loaded", link);
        doctor_evidence(d, f, "%s is there; no /proc/driver/nvidia/version", file);
        doctor_cause(d, f, "The NVIDIA module is built for this kernel but not loaded.", "NVIDIA 模块已为当前内核编译, 但没有加载。");
        doctor_cure(d, f, "sudo modprobe nvidia, and sudo dmesg | grep -i nvrm where it fails", "sudo modprobe nvidia; 失败时看 sudo dmesg | grep -i nvrm");
    } else {
        f = doctor_find(d, DOCTOR_BROKEN, "module-not-built", link);
        doctor_evidence(d, f, "no nvidia.ko in the usual folders of /lib/modules/%s", kernel ? kernel : "?");
        doctor_cause(d, f, "There is no NVIDIA module for the running kernel %s: no driver, or the kernel was updated and the module not rebuilt.",
                     "当前内核 %s 没有 NVIDIA 模块: 未装驱动, 或内核升级后没有重新编译。", kernel ? kernel : "?");
        doctor_cure(d, f, "sudo apt install linux-headers-%s && sudo dkms autoinstall && sudo modprobe nvidia (without a driver: install it)",
                    "sudo apt install linux-headers-%s && sudo dkms autoinstall && sudo modprobe nvidia (没装驱动则先安装)", kernel ? kernel : "$(uname -r)");
    }
}

DOCTOR_CHECK(module, .code = 201, .layer = DOCTOR_KERNEL, .reads = "/proc/driver/nvidia/version, /sys/module/nvidia, /lib/modules, SecureBoot variable",
             .asks = "is the NVIDIA kernel module loaded?", .finds = {"module-not-loaded", "module-secure-boot", "module-not-built"}, .run = module_run);
