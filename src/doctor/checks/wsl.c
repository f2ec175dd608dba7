/* Windows Subsystem for Linux: the driver is Windows' and must not be installed again. */
#include "doctor/ladder.h"

#include <string.h>

static void wsl_run(doctor *d) {
    const char *const *names;
    const char *link = "https://docs.nvidia.com/cuda/wsl-user-guide/", *inside = NULL;
    if (!doctor_is_wsl(d)) return;
    int n = doctor_names(d, "/usr/lib/x86_64-linux-gnu", &names);
    for (int i = 0; i < n && !inside; i++)
        if (!strncmp(names[i], "libcuda.so.", 11) && strchr(names[i] + 11, '.')) inside = names[i];
    doctor_finding *f;
    if (inside) {
        f = doctor_find(d, DOCTOR_BROKEN, "wsl-driver-inside", link);
        doctor_evidence(d, f, "/usr/lib/x86_64-linux-gnu/%s beside /usr/lib/wsl/lib", inside);
        doctor_cause(d, f, "A Linux driver is installed inside WSL and hides the one that Windows provides.", "WSL 里装了 Linux 驱动, 遮住了 Windows 提供的驱动。");
        doctor_cure(d, f, "sudo apt purge 'libnvidia-*' 'nvidia-driver-*' && sudo ldconfig; wsl --shutdown", NULL);
    } else if (!doctor_exists(d, "/usr/lib/wsl/lib/libcuda.so.1")) {
        f = doctor_find(d, DOCTOR_BROKEN, "wsl-no-libcuda", link);
        doctor_evidence(d, f, "/dev/dxg is there; no /usr/lib/wsl/lib/libcuda.so.1");
        doctor_cause(d, f, "WSL has no NVIDIA driver from Windows.", "WSL 没有得到 Windows 的 NVIDIA 驱动。");
        doctor_cure(d, f, "install the NVIDIA driver in Windows, then: wsl --update; wsl --shutdown", "在 Windows 中安装 NVIDIA 驱动, 然后: wsl --update; wsl --shutdown");
    } else {
        doctor_fine(d, "/dev/dxg, /usr/lib/wsl/lib/libcuda.so.1; pinned memory is capped here (.wslconfig: memory=)");
    }
}

DOCTOR_CHECK(wsl, .code = 402, .layer = DOCTOR_LIBRARIES, .reads = "/dev/dxg, /usr/lib/wsl/lib, /usr/lib/x86_64-linux-gnu", .asks = "under WSL: is the driver Windows' own?",
             .finds = {"wsl-driver-inside", "wsl-no-libcuda"}, .run = wsl_run);
