/* The ladder of probes: bus, module, nodes, libraries, NVML, driver API, context. */
#include "doctor/ladder.h"
#include "doctor/state.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int doctor_pci_gpus(doctor *d, const char *const **addresses) {
    const char *const *names;
    static const char *const none[] = {NULL};
    int all = doctor_names(d, "/sys/bus/pci/devices", &names), n = 0;
    const char **found = all > 0 ? doctor_keep(d, sizeof *found * ((size_t)all + 1)) : NULL;
    *addresses = none;
    for (int i = 0; found && i < all; i++) {
        const char *class = doctor_line(d, "/sys/bus/pci/devices/%s/class", names[i]), *vendor = doctor_line(d, "/sys/bus/pci/devices/%s/vendor", names[i]);
        bool display = class && (!strncmp(class, "0x0300", 6) || !strncmp(class, "0x0302", 6));
        /* A GPU that fell off the bus reads as ones; the driver's folder still has its name. */
        bool lost = vendor && !strcmp(vendor, "0xffff") && doctor_exists(d, "/proc/driver/nvidia/gpus/%s", names[i]);
        if ((display && vendor && !strcmp(vendor, "0x10de")) || lost) found[n++] = names[i];
    }
    if (n) *addresses = found;
    return n;
}

const char *doctor_module(doctor *d, bool *open) {
    const char *text = doctor_line(d, "/proc/driver/nvidia/version");
    if (open) *open = text && strstr(text, "Open Kernel Module");
    if (!text) return doctor_line(d, "/sys/module/nvidia/version");
    for (const char *p = text; *p; p++) { /* "NVRM version: NVIDIA UNIX x86_64 Kernel Module  580.159.04  Tue ..." */
        size_t n = strspn(p, "0123456789.");
        if (n >= 5 && memchr(p, '.', n) && (p == text || p[-1] == ' ') && (p[n] == ' ' || !p[n])) return doctor_text(d, "%.*s", (int)n, p);
    }
    return doctor_line(d, "/sys/module/nvidia/version");
}

bool doctor_is_wsl(doctor *d) { return doctor_exists(d, "/dev/dxg"); }

static void ladder_load(doctor_out *o, void *ctx) {
    static const char *const names[] = {"libcuda.so.1", "libnvidia-ml.so.1"};
    (void)ctx;
    for (int i = 0; i < TAPER_COUNT(names); i++) {
        char key[64], real[PATH_MAX];
        struct link_map *map = NULL;
        void *handle = dlopen(names[i], RTLD_LAZY | RTLD_LOCAL);
        if (!handle) {
            snprintf(key, sizeof key, "%s.error", names[i]);
            doctor_say(o, key, "%s", dlerror());
            continue;
        }
        snprintf(key, sizeof key, "%s.path", names[i]);
        if (!dlinfo(handle, RTLD_DI_LINKMAP, &map) && map) doctor_say(o, key, "%s", realpath(map->l_name, real) ? real : map->l_name);
    }
}

const doctor_facts *doctor_loader(doctor *d) { return doctor_probe(d, "loader", ladder_load, NULL, 10000); }

static doctor_rung ladder_climb(doctor *d) {
    const char *const *gpus;
    bool wsl = doctor_is_wsl(d);
    int n = wsl ? 0 : doctor_pci_gpus(d, &gpus), control = doctor_open(d, "/dev/nvidiactl", O_RDWR);
    const char *module = doctor_module(d, NULL);
    if (!wsl && !n && !module && control == ENOENT) return RUNG_NO_GPU;
    int bound = 0;
    for (int i = 0; i < n; i++) {
        const char *driver = doctor_link(d, doctor_text(d, "/sys/bus/pci/devices/%s/driver", gpus[i])), *vendor = doctor_line(d, "/sys/bus/pci/devices/%s/vendor", gpus[i]);
        bound += driver && strstr(driver, "/nvidia") && vendor && strcmp(vendor, "0xffff");
    }
    if (n && !bound && module && !wsl) return RUNG_PCI;
    if (n && !module) {
        for (int i = 0; i < n; i++)
            if (doctor_link(d, doctor_text(d, "/sys/bus/pci/devices/%s/driver", gpus[i]))) return RUNG_PCI;
        return RUNG_KERNEL;
    }
    if (!wsl && control) return RUNG_NODES;
    const doctor_facts *loader = doctor_loader(d);
    if (!doctor_fact(loader, "libcuda.so.1.path") || strstr(doctor_fact(loader, "libcuda.so.1.path"), "/stubs/")) return RUNG_LIBRARIES;
    if (!doctor_fact(loader, "libnvidia-ml.so.1.path")) return RUNG_LIBRARIES;
    if (doctor_fact_int(doctor_nvml(d), -1, "init") || doctor_fact_int(doctor_nvml(d), 0, "count") == 0) return RUNG_NVML;
    const doctor_facts *cuda = doctor_cuda(d);
    if (doctor_fact_int(cuda, -1, "init") || doctor_fact_int(cuda, 0, "count") == 0) return RUNG_CUDA;
    for (int i = 0; i < (int)doctor_fact_int(cuda, 0, "count"); i++)
        if (doctor_fact_int(cuda, -1, "gpu.%d.context", i)) return RUNG_CONTEXT;
    return RUNG_RUNS;
}

/* Climbed once: every check asks. */
doctor_rung doctor_ladder(doctor *d) {
    if (!d->rung) d->rung = (int)ladder_climb(d) + 1;
    return (doctor_rung)(d->rung - 1);
}
