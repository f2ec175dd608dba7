/* Why a GPU that is there cannot be used: shared by the checks of the ladder, which stay silent where a later check knows more. */
#include "doctor/gpus.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "doctor/tables.h"

enum { REASON_ENTRIES = 64 };

int doctor_split(doctor *d, const char *list, const char **out, int room) {
    int n = 0;
    while (list && n < room) {
        const char *start = list + strspn(list, " \t"), *end = start + strcspn(start, ",");
        size_t length = (size_t)(end - start);
        while (length && isspace((unsigned char)start[length - 1])) length--;
        out[n++] = doctor_text(d, "%.*s", (int)length, start);
        list = *end ? end + 1 : NULL;
    }
    return n;
}

/* How many GPUs or instances the entry names: a UUID may be cut short where it stays unique. */
static int reason_matches(doctor *d, const char *entry, int *which) {
    const doctor_facts *nvml = doctor_nvml(d);
    size_t n = strlen(entry);
    int found = 0, count = (int)doctor_fact_int(nvml, 0, "count");
    for (int i = 0; i < count && i < DOCTOR_GPUS_MAX; i++) {
        const char *uuid = doctor_fact(nvml, "gpu.%d.uuid", i);
        if (uuid && !strncasecmp(uuid, entry, n)) found++, *which = i;
        for (int k = 0; k < 16; k++) {
            const char *part = doctor_fact(nvml, "gpu.%d.mig.%d", i, k);
            if (part && !strncasecmp(part, entry, n)) found++, *which = DOCTOR_GPUS_MAX + i * 16 + k;
        }
    }
    return found;
}

doctor_visible doctor_visible_problem(doctor *d, const char **entry, int *at) {
    const char *list = doctor_env(d, "CUDA_VISIBLE_DEVICES"), *entries[REASON_ENTRIES];
    int n = list && *list && *list != '-' && strncmp(list, "NoDev", 5) ? doctor_split(d, list, entries, REASON_ENTRIES) : 0, seen[REASON_ENTRIES];
    int count = (int)doctor_fact_int(doctor_nvml(d), 0, "count");
    for (int i = 0; i < n && count > 0; i++) {
        *entry = entries[i];
        *at = i;
        seen[i] = -1;
        if (isdigit((unsigned char)entries[i][0])) {
            char *end;
            long index = strtol(entries[i], &end, 10);
            if (*end || index >= count) return VISIBLE_INDEX;
            seen[i] = (int)index;
        } else if (!strncasecmp(entries[i], "GPU-", 4) || !strncasecmp(entries[i], "MIG-", 4)) {
            if (!strncasecmp(entries[i], "MIG-GPU-", 8)) continue; /* MIG-GPU-<uuid>/GI/CI of drivers before 470 */
            if (strlen(entries[i]) < 5 || reason_matches(d, entries[i], &seen[i]) != 1) return VISIBLE_UUID;
            seen[i] += 4096;
        } else {
            return !strncmp(entries[i], "-1", 2) ? VISIBLE_FINE : VISIBLE_INDEX; /* -1 ends a list on purpose */
        }
        for (int k = 0; k < i; k++)
            if (seen[k] >= 0 && seen[k] == seen[i]) return VISIBLE_TWICE;
    }
    return VISIBLE_FINE;
}

const char *doctor_mig_lacks(doctor *d) {
    const doctor_facts *nvml = doctor_nvml(d);
    int n = (int)doctor_fact_int(nvml, 0, "count"), parts = 0;
    for (int i = 0; i < n; i++) {
        if (doctor_gpu_int(d, i, "mig", 0) != 1) return NULL;
        parts += (int)doctor_gpu_int(d, i, "mig_count", 0);
    }
    if (n <= 0) return NULL;
    if (!parts) return "instances";
    const char *const *nodes;
    int count = doctor_names(d, "/dev/nvidia-caps", &nodes), usable = 0;
    for (int i = 0; i < count; i++) usable += !strncmp(nodes[i], "nvidia-cap", 10) && atoi(nodes[i] + 10) > 2; /* 1 and 2 configure and watch */
    return usable ? NULL : "nodes";
}

bool doctor_no_device_named(doctor *d) {
    const char *entry;
    int at;
    return doctor_visible_problem(d, &entry, &at) || doctor_mig_lacks(d);
}

const char *doctor_fabric_mismatch(doctor *d) {
    const char *module = doctor_module(d, NULL);
    bool board = doctor_exists(d, "/dev/nvidia-nvswitchctl");
    for (int i = 0; i < (int)doctor_fact_int(doctor_nvml(d), 0, "count") && !board; i++) board = doctor_gpu_int(d, i, "fabric_state", 0) > 0;
    if (!board || !module || doctor_container(d)) return NULL;
    const char *text = doctor_read(d, "/var/lib/dpkg/status", NULL, NULL), *package = text;
    while (package && (package = strstr(package, "\nPackage: nvidia-fabricmanager"))) {
        const char *end = strstr(++package, "\n\n"), *block = doctor_text(d, "%.*s", end ? (int)(end - package) : (int)strlen(package), package);
        const char *version = doctor_field(d, block, "Version"), *status = doctor_field(d, block, "Status");
        if (!version || strstr(block, "Package: nvidia-fabricmanager-dev") || (status && !strstr(status, "installed"))) continue;
        const char *colon = strchr(version, ':');
        if (colon) version = colon + 1; /* an epoch */
        size_t n = strcspn(version, "-+~");
        return n == strlen(module) && !strncmp(version, module, n) ? NULL : doctor_text(d, "%.*s", (int)n, version);
    }
    return NULL;
}

/* The second of a GPU's ranges, its memory's window, without an address: the BIOS had no room for it. */
static bool reason_no_bar(doctor *d, const char *address) {
    const char *text = doctor_read(d, doctor_text(d, "/sys/bus/pci/devices/%s/resource", address), NULL, NULL), *line = text ? strchr(text, '\n') : NULL;
    char *end;
    if (!line) return false;
    unsigned long long start = strtoull(line + 1, &end, 16), last = strtoull(end, &end, 16), flags = strtoull(end, NULL, 16);
    return start == 0 && (last != 0 || flags == 0);
}

doctor_stopped doctor_gpu_stopped(doctor *d, const char **address, int *row) {
    const doctor_facts *nvml = doctor_nvml(d);
    const char *const *gpus, *driver = doctor_fact(nvml, "driver");
    int n = doctor_pci_gpus(d, &gpus), count = (int)doctor_fact_int(nvml, 0, "count");
    bool open = false;
    const char *module = doctor_module(d, &open);
    if (!driver) driver = module;
    if (doctor_fact_int(nvml, -1, "init") || !driver || (count > 0 && doctor_container(d))) return STOPPED_NONE; /* a container is given some of them */
    for (int i = 0; i < n; i++) {
        const char *link = doctor_link(d, doctor_text(d, "/sys/bus/pci/devices/%s/driver", gpus[i])), *vendor = doctor_line(d, "/sys/bus/pci/devices/%s/vendor", gpus[i]);
        bool started = !link || !strstr(link, "/nvidia") || !vendor || strcmp(vendor, "0x10de");
        for (int k = 0; k < count && k < DOCTOR_GPUS_MAX && !started; k++) {
            const char *bus = doctor_gpu_bus(d, k);
            started = !bus || !strcmp(bus, gpus[i]); /* one whose address is not told may be this one */
        }
        if (started) continue;
        const char *device = doctor_line(d, "/sys/bus/pci/devices/%s/device", gpus[i]);
        const doctor_table *t = doctor_table_open("gpus");
        char id[8] = "";
        for (int k = 0; device && strlen(device) == 6 && k < 5; k++) id[k] = (char)(k < 4 ? toupper((unsigned char)device[k + 2]) : 0);
        *address = gpus[i];
        *row = -1;
        for (int k = 0; t && *id && k < t->rows; k++)
            if (doctor_cell_has(t, k, "pci_dev_id", id) || doctor_cell_has(t, k, "pci_dev_id", doctor_text(d, "%s?", id))) *row = k;
        const char *least = doctor_cell(t, *row, "min_driver_branch"), *last = doctor_cell(t, *row, "last_driver_branch"), *kind = doctor_cell(t, *row, "kernel_module");
        if (*row >= 0 && *least && doctor_version_order(driver, least) < 0) return STOPPED_OLD_DRIVER;
        if (*row >= 0 && atoi(last) && atoi(driver) > atoi(last)) return STOPPED_DROPPED;
        if (*row >= 0 && module && !open && !strcmp(kind, "open")) return STOPPED_NEEDS_OPEN;
        if (*row >= 0 && open && !strcmp(kind, "proprietary")) return STOPPED_NEEDS_CLOSED;
        return reason_no_bar(d, gpus[i]) ? STOPPED_NO_BAR : STOPPED_UNKNOWN;
    }
    return STOPPED_NONE;
}
