/* Loading libcuda and saying in one sentence why there is none to use. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "device/cuda/driver.h"

taper_driver taper__cu;

enum { DRIVER_OLDEST = 11080 };
static pthread_once_t driver_once = PTHREAD_ONCE_INIT;
static char driver_why[1600];
static int driver_gpus, driver_number;

static const taper_symbol driver_symbols[] = {
#define DRIVER_ROW(field, symbol, optional, parameters) {symbol, offsetof(taper_driver, field), optional},
    TAPER_DRIVER_MAP(DRIVER_ROW)
#undef DRIVER_ROW
        {NULL, 0, false},
};

void taper__driver_sentence(char *text, size_t size, taper_cu_result r, const char *visible, int node_errno) {
    const char *name = NULL;
    if (taper__cu.error_name) taper__cu.error_name(r, &name);
    if (r == TAPER_CU_STUB_LIBRARY)
        snprintf(text, size,
                 "libcuda is the CUDA toolkit's stub, which is for linking only; install the NVIDIA driver (in a "
                 "container: start it with --gpus all)");
    else if (r == TAPER_CU_SYSTEM_DRIVER_MISMATCH)
        snprintf(text, size,
                 "the driver's library and its kernel module have different versions, as after an update; reboot, "
                 "or reload the module");
    else if (r == TAPER_CU_COMPAT_NOT_SUPPORTED_ON_DEVICE)
        snprintf(text, size,
                 "a CUDA forward-compatibility libcuda is in front of the driver's own, and this GPU does not "
                 "support it; take its folder (cuda-compat) out of LD_LIBRARY_PATH");
    else if (r == TAPER_CU_SYSTEM_NOT_READY)
        snprintf(text, size,
                 "the GPUs are not ready: on NVSwitch systems the service nvidia-fabricmanager must run, with the "
                 "driver's own version");
    else if (r == TAPER_CU_DEVICE_UNAVAILABLE)
        snprintf(text, size,
                 "all CUDA-capable devices are busy or unavailable: another process holds the GPU in exclusive mode");
    else if (node_errno == EACCES || node_errno == EPERM)
        snprintf(text, size,
                 "this user may not open the GPU (/dev/nvidiactl: %s); give it access to the /dev/nvidia* files or, "
                 "in a container, allow the devices",
                 strerror(node_errno));
    else if (visible && (!*visible || !strcmp(visible, "-1")))
        snprintf(text, size, "No CUDA GPUs are available: CUDA_VISIBLE_DEVICES=\"%s\" hides all of them", visible);
    else if (r == TAPER_CU_NO_DEVICE && visible)
        snprintf(text, size, "No CUDA GPUs are available: the driver sees none with CUDA_VISIBLE_DEVICES=\"%s\"",
                 visible);
    else if (r == TAPER_CU_NO_DEVICE && node_errno == ENOENT)
        snprintf(text, size,
                 "No CUDA GPUs are available: libcuda is installed, but there is no /dev/nvidiactl; the kernel "
                 "module is not loaded, or this container was started without --gpus");
    else if (r == TAPER_CU_NO_DEVICE)
        snprintf(text, size, "No CUDA GPUs are available");
    else
        snprintf(text, size, "the CUDA driver could not start: %s (error %d)%s", name ? name : "unknown error", r,
                 r == TAPER_CU_UNKNOWN ? "; reloading the module nvidia_uvm, or a reboot, cures this in most cases"
                                       : "");
}

static int driver_node_errno(void) {
    int fd = open("/dev/nvidiactl", O_RDWR | O_CLOEXEC);
    if (fd < 0) return errno;
    close(fd);
    return 0;
}

static void driver_load(void) {
    static const char *const names[] = {"libcuda.so.1", NULL};
    char why[1200];
    taper_library *library = taper__library_open(names, why, sizeof why);
    if (!library) {
        /* torch's words, then what was looked for. */
        snprintf(driver_why, sizeof driver_why,
                 strstr(why, "not found")
                     ? "Found no NVIDIA driver on your system: %s (in a container: start it with --gpus all)"
                     : "%s",
                 why);
        return;
    }
    int version = 0;
    taper_cu_result (*get_version)(int *) = NULL;
    void *symbol = taper__library_symbol(library, "cuDriverGetVersion");
    memcpy(&get_version, &symbol, sizeof symbol);
    if (get_version) get_version(&version);
    if (version && version < DRIVER_OLDEST) {
        snprintf(driver_why, sizeof driver_why,
                 "The NVIDIA driver on your system is too old (found version %d; it serves CUDA %d.%d, needed is "
                 "11.8): update "
                 "the GPU driver to 520 or later",
                 version, version / 1000, version % 1000 / 10);
        return;
    }
    if (!taper__library_table(library, driver_symbols, &taper__cu, why, sizeof why)) {
        snprintf(driver_why, sizeof driver_why, "the CUDA driver cannot be used: %s", why);
        return;
    }
    const char *visible = getenv("CUDA_VISIBLE_DEVICES");
    taper_cu_result r = taper__cu.init(0);
    int count = 0;
    if (!r) r = taper__cu.device_count(&count);
    if (!r && count < 1) r = TAPER_CU_NO_DEVICE;
    if (r) {
        taper__driver_sentence(driver_why, sizeof driver_why, r, visible, driver_node_errno());
        return;
    }
    driver_number = version;
    driver_gpus = count < TAPER_MAX_GPUS ? count : TAPER_MAX_GPUS;
    taper__log("cuda", "driver for CUDA %d.%d, %d GPUs, %s", version / 1000, version % 1000 / 10, count,
               taper__library_path(library));
}

int taper__driver_open(const char **why) {
    pthread_once(&driver_once, driver_load);
    if (why) *why = driver_gpus ? "" : driver_why;
    return driver_gpus;
}

int taper__driver_version(void) { return driver_number; }

taper_status taper__cu_fail(taper_cu_result r, const char *call, const char *op) {
    const char *text = NULL, *name = NULL;
    taper__cu.error_string(r, &text);
    taper__cu.error_name(r, &name);
    if (!text) text = "unknown error";
    if (!name) name = "CUDA_ERROR_UNKNOWN";
    bool dead = (r >= TAPER_CU_ILLEGAL_ADDRESS && r < 800 && r != TAPER_CU_PEER_ACCESS_ALREADY_ENABLED && r != 701);
    return TAPER_FAIL(r == TAPER_CU_OUT_OF_MEMORY ? TAPER_MEMORY : TAPER_RUNTIME, "CUDA error: %s (%s in %s%s%s)%s",
                      text, name, call, op ? ", " : "", op ? op : "",
                      dead ? "; the GPU context is lost. The kernel that did it ran earlier: TAPER_CUDA_SYNC=1 names it"
                           : "");
}
