/* The probe "nvml": driver and GPUs as NVML tells, without a CUDA context. A key is missing where this driver or part does not tell. Its keys:
 * open (path, or "no: " and the loader's words), init (code), driver, cuda (13000 is 13.0), count; for each gpu.I:
 *   error (code, when the handle cannot be had), name, uuid, bus, cc (9.0), minor (of /dev/nvidiaMINOR);
 *   memory_total memory_free memory_used memory_reserved bar1_total (bytes; used is without reserved where reserved is told);
 *   processes (how many), process.K ("PID BYTES KIND", bytes -1 when not told, kind compute, graphics or mps);
 *   compute_mode (0 default, 2 prohibited, 3 exclusive), persistence (0, 1), virtualization (0 none, 1 passed through, 2 vGPU, 3 host);
 *   power power_limit power_enforced power_default (mW), temperature temperature_slowdown temperature_margin (C),
 *   clock_sm clock_sm_max clock_sm_application clock_sm_default clock_memory clock_memory_max (MHz), clock_reasons (bits, 0x...), pstate;
 *   pcie_gen pcie_gen_max pcie_width pcie_width_max pcie_replays;
 *   ecc (0, 1), ecc_pending, ecc_uncorrected (since the driver was loaded), rows_corrected rows_uncorrected rows_pending rows_failed,
 *   pages_retired (double bit), pages_pending;
 *   mig (0, 1), mig_pending, mig_max, mig_count, mig.K ("UUID BYTES");
 *   licence ("supported licensed": 0 or 1 each; vGPU only), licence_product;
 *   fabric_state (0 not supported, 1 not started, 2 in progress, 3 completed), fabric_status (code), fabric_health (bits);
 *   nvlinks (that the part has), nvlinks_active, nvlinks_down (their numbers, "0,3"), nvlinks_to ("BUS xN, ..."; a switch is "switch"),
 *   nvlink_errors ("replay recovery crc", summed over the links);
 *   p2p.J ("READ WRITE NVLINK" status towards GPU J: 0 works, 1 chipset, 2 GPU, 3 topology, 4 switched off, 5 not supported). */
#include "doctor/probes/library.h"

#include <stdio.h>
#include <string.h>

enum { NVML_GPUS = 64, NVML_LINKS = 36, NVML_PROCESSES = 256, NVML_INSUFFICIENT = 7 };

typedef struct nvml_pci {
    char legacy[16];
    unsigned domain, bus, device, pci_device, subsystem;
    char id[32];
    char spare[32];
} nvml_pci;

#define SAY(field, ...) (snprintf(key, sizeof key, "gpu.%u." field, i), doctor_say(o, key, __VA_ARGS__))

/* Calls of the form int name(gpu, unsigned *), and with a selector before the result. */
static const struct { const char *key, *name; int selector; } nvml_numbers[] = {
    {"minor", "nvmlDeviceGetMinorNumber", -1}, {"compute_mode", "nvmlDeviceGetComputeMode", -1}, {"persistence", "nvmlDeviceGetPersistenceMode", -1},
    {"virtualization", "nvmlDeviceGetVirtualizationMode", -1}, {"power", "nvmlDeviceGetPowerUsage", -1}, {"power_limit", "nvmlDeviceGetPowerManagementLimit", -1},
    {"power_enforced", "nvmlDeviceGetEnforcedPowerLimit", -1}, {"power_default", "nvmlDeviceGetPowerManagementDefaultLimit", -1},
    {"pstate", "nvmlDeviceGetPerformanceState", -1}, {"pcie_gen", "nvmlDeviceGetCurrPcieLinkGeneration", -1}, {"pcie_gen_max", "nvmlDeviceGetMaxPcieLinkGeneration", -1},
    {"pcie_width", "nvmlDeviceGetCurrPcieLinkWidth", -1}, {"pcie_width_max", "nvmlDeviceGetMaxPcieLinkWidth", -1}, {"pcie_replays", "nvmlDeviceGetPcieReplayCounter", -1},
    {"pages_pending", "nvmlDeviceGetRetiredPagesPendingStatus", -1}, {"temperature", "nvmlDeviceGetTemperature", 0},
    {"temperature_slowdown", "nvmlDeviceGetTemperatureThreshold", 1}, {"clock_sm", "nvmlDeviceGetClockInfo", 1}, {"clock_memory", "nvmlDeviceGetClockInfo", 2},
    {"clock_sm_max", "nvmlDeviceGetMaxClockInfo", 1}, {"clock_memory_max", "nvmlDeviceGetMaxClockInfo", 2},
    {"clock_sm_application", "nvmlDeviceGetApplicationsClock", 1}, {"clock_sm_default", "nvmlDeviceGetDefaultApplicationsClock", 1},
};

static void nvml_simple(doctor_out *o, taper_library *library, unsigned i, void *gpu) {
    for (int k = 0; k < TAPER_COUNT(nvml_numbers); k++) {
        char key[64];
        unsigned value = 0;
        int r;
        if (nvml_numbers[k].selector < 0) NVML_CALL(r, nvml_numbers[k].name, (void *, unsigned *), gpu, &value);
        else NVML_CALL(r, nvml_numbers[k].name, (void *, int, unsigned *), gpu, nvml_numbers[k].selector, &value);
        snprintf(key, sizeof key, "gpu.%u.%s", i, nvml_numbers[k].key);
        if (!r) doctor_say(o, key, "%u", value);
    }
}

static void nvml_memory(doctor_out *o, taper_library *library, unsigned i, void *gpu) {
    char key[64];
    int r;
    unsigned long long memory[3] = {0};
    struct {
        unsigned version;
        unsigned long long total, reserved, free, used;
    } apart = {.version = sizeof apart | 2u << 24};
    NVML_CALL(r, "nvmlDeviceGetMemoryInfo_v2", (void *, void *), gpu, &apart);
    if (!r) {
        SAY("memory_total", "%llu", apart.total), SAY("memory_free", "%llu", apart.free), SAY("memory_used", "%llu", apart.used), SAY("memory_reserved", "%llu", apart.reserved);
    } else {
        NVML_CALL(r, "nvmlDeviceGetMemoryInfo", (void *, void *), gpu, memory);
        if (!r) SAY("memory_total", "%llu", memory[0]), SAY("memory_free", "%llu", memory[1]), SAY("memory_used", "%llu", memory[2]);
    }
    NVML_CALL(r, "nvmlDeviceGetBAR1MemoryInfo", (void *, void *), gpu, memory);
    if (!r) SAY("bar1_total", "%llu", memory[0]);
}

static void nvml_processes(doctor_out *o, taper_library *library, unsigned i, void *gpu) {
    static const struct { const char *kind, *name[3]; } lists[] = {
        {"compute", {"nvmlDeviceGetComputeRunningProcesses_v3", "nvmlDeviceGetComputeRunningProcesses_v2", "nvmlDeviceGetComputeRunningProcesses"}},
        {"graphics", {"nvmlDeviceGetGraphicsRunningProcesses_v3", "nvmlDeviceGetGraphicsRunningProcesses_v2", "nvmlDeviceGetGraphicsRunningProcesses"}},
        {"mps", {"nvmlDeviceGetMPSComputeRunningProcesses_v3", "nvmlDeviceGetMPSComputeRunningProcesses_v2", "nvmlDeviceGetMPSComputeRunningProcesses"}}};
    struct process {
        unsigned pid;
        unsigned long long bytes;
        unsigned gpu_instance, compute_instance;
    } list[NVML_PROCESSES];
    struct first_process {
        unsigned pid;
        unsigned long long bytes;
    } first;
    char key[64];
    int n = 0, known = 0;
    for (int k = 0; k < TAPER_COUNT(lists); k++) {
        int r = NVML_MISSING, version = 0;
        unsigned count = 0;
        for (; version < 3 && r == NVML_MISSING; version++) {
            count = NVML_PROCESSES;
            NVML_CALL(r, lists[k].name[version], (void *, unsigned *, void *), gpu, &count, list);
        }
        if (r) continue;
        known++;
        for (unsigned p = 0; p < count && p < NVML_PROCESSES; p++) {
            first.pid = list[p].pid, first.bytes = list[p].bytes;
            if (version == 3) memcpy(&first, (const char *)list + p * sizeof first, sizeof first); /* without instances */
            snprintf(key, sizeof key, "gpu.%u.process.%d", i, n++);
            doctor_say(o, key, "%u %lld %s", first.pid, first.bytes == ~0ull ? -1LL : (long long)first.bytes, lists[k].kind);
        }
    }
    if (known) SAY("processes", "%d", n);
}

static void nvml_health(doctor_out *o, taper_library *library, unsigned i, void *gpu) {
    char key[64];
    int r;
    unsigned a = 0, b = 0, c = 0, e = 0;
    unsigned long long count = 0;
    NVML_CALL(r, "nvmlDeviceGetCurrentClocksEventReasons", (void *, unsigned long long *), gpu, &count);
    if (r) NVML_CALL(r, "nvmlDeviceGetCurrentClocksThrottleReasons", (void *, unsigned long long *), gpu, &count);
    if (!r) SAY("clock_reasons", "0x%llx", count);
    struct {
        unsigned version;
        int margin;
    } margin = {sizeof margin | 1u << 24, 0};
    NVML_CALL(r, "nvmlDeviceGetMarginTemperature", (void *, void *), gpu, &margin);
    if (!r) SAY("temperature_margin", "%d", margin.margin);
    NVML_CALL(r, "nvmlDeviceGetEccMode", (void *, unsigned *, unsigned *), gpu, &a, &b);
    if (!r) SAY("ecc", "%u", a), SAY("ecc_pending", "%u", b);
    NVML_CALL(r, "nvmlDeviceGetTotalEccErrors", (void *, int, int, unsigned long long *), gpu, 1, 0, &count);
    if (!r) SAY("ecc_uncorrected", "%llu", count);
    NVML_CALL(r, "nvmlDeviceGetRemappedRows", (void *, unsigned *, unsigned *, unsigned *, unsigned *), gpu, &a, &b, &c, &e);
    if (!r) SAY("rows_corrected", "%u", a), SAY("rows_uncorrected", "%u", b), SAY("rows_pending", "%u", c), SAY("rows_failed", "%u", e);
    a = 0;
    NVML_CALL(r, "nvmlDeviceGetRetiredPages", (void *, int, unsigned *, unsigned long long *), gpu, 1, &a, NULL);
    if (!r || r == NVML_INSUFFICIENT) SAY("pages_retired", "%u", a);
}

static void nvml_mig(doctor_out *o, taper_library *library, unsigned i, void *gpu) {
    char key[64], uuid[128];
    int r;
    unsigned now = 0, pending = 0, most = 0, n = 0;
    NVML_CALL(r, "nvmlDeviceGetMigMode", (void *, unsigned *, unsigned *), gpu, &now, &pending);
    if (r) return;
    SAY("mig", "%u", now), SAY("mig_pending", "%u", pending);
    if (now != 1) return;
    NVML_CALL(r, "nvmlDeviceGetMaxMigDeviceCount", (void *, unsigned *), gpu, &most);
    if (!r) SAY("mig_max", "%u", most);
    for (unsigned k = 0; k < most && k < 16; k++) {
        void *part = NULL;
        unsigned long long memory[3] = {0};
        NVML_CALL(r, "nvmlDeviceGetMigDeviceHandleByIndex", (void *, unsigned, void **), gpu, k, &part);
        if (r) continue;
        NVML_CALL(r, "nvmlDeviceGetUUID", (void *, char *, unsigned), part, uuid, sizeof uuid);
        if (r) continue;
        NVML_CALL(r, "nvmlDeviceGetMemoryInfo", (void *, void *), part, memory);
        snprintf(key, sizeof key, "gpu.%u.mig.%u", i, n++);
        doctor_say(o, key, "%s %llu", uuid, memory[0]);
    }
    SAY("mig_count", "%u", n);
}

static void nvml_licence(doctor_out *o, taper_library *library, unsigned i, void *gpu) {
    struct {
        int supported;
        unsigned count;
        struct {
            unsigned code, licensed;
            char info[128], product[128];
            unsigned enabled;
            struct {
                unsigned year;
                unsigned short month, day, hour, minute, second;
                unsigned char status;
            } expiry;
        } feature[3];
        char spare[512];
    } all = {0};
    char key[64];
    int r, licensed = 0;
    NVML_CALL(r, "nvmlDeviceGetGridLicensableFeatures_v4", (void *, void *), gpu, &all);
    if (r) return;
    for (unsigned k = 0; k < all.count && k < 3; k++) {
        licensed |= all.feature[k].licensed != 0;
        if (all.feature[k].enabled) SAY("licence_product", "%.*s", (int)sizeof all.feature[k].product, all.feature[k].product);
    }
    SAY("licence", "%d %d", all.supported != 0, licensed);
}

static void nvml_fabric(doctor_out *o, taper_library *library, unsigned i, void *gpu) {
    struct {
        unsigned version;
        unsigned char cluster[16];
        int status;
        unsigned clique;
        unsigned char state;
        unsigned health;
    } two = {.version = sizeof two | 2u << 24};
    struct {
        unsigned char cluster[16];
        int status;
        unsigned clique;
        unsigned char state;
    } one = {{0}, 0, 0, 0};
    char key[64];
    int r;
    NVML_CALL(r, "nvmlDeviceGetGpuFabricInfoV", (void *, void *), gpu, &two);
    if (!r) {
        SAY("fabric_state", "%u", two.state), SAY("fabric_status", "%d", two.status), SAY("fabric_health", "0x%x", two.health);
        return;
    }
    NVML_CALL(r, "nvmlDeviceGetGpuFabricInfo", (void *, void *), gpu, &one);
    if (!r) SAY("fabric_state", "%u", one.state), SAY("fabric_status", "%d", one.status);
}

static void nvml_links(doctor_out *o, taper_library *library, unsigned i, void *gpu) {
    enum { REPLAY, RECOVERY, CRC, SWITCH = 2 };
    char key[64], down[160] = "", to[512] = "";
    struct { char bus[32]; int links; } peer[NVML_LINKS];
    int r, links = 0, active = 0, peers = 0, counted = 0;
    unsigned long long errors[3] = {0};
    for (unsigned link = 0; link < NVML_LINKS; link++) {
        unsigned state = 0;
        int type = 0, p = 0;
        nvml_pci pci = {0};
        NVML_CALL(r, "nvmlDeviceGetNvLinkState", (void *, unsigned, unsigned *), gpu, link, &state);
        if (r) continue;
        links++;
        if (!state) {
            snprintf(down + strlen(down), sizeof down - strlen(down), "%s%u", *down ? "," : "", link);
            continue;
        }
        active++;
        for (int k = REPLAY; k <= CRC; k++) {
            unsigned long long count = 0;
            NVML_CALL(r, "nvmlDeviceGetNvLinkErrorCounter", (void *, unsigned, int, unsigned long long *), gpu, link, k, &count);
            if (!r) errors[k] += count, counted++;
        }
        NVML_CALL(r, "nvmlDeviceGetNvLinkRemotePciInfo_v2", (void *, unsigned, void *), gpu, link, &pci);
        if (r) continue;
        NVML_CALL(r, "nvmlDeviceGetNvLinkRemoteDeviceType", (void *, unsigned, int *), gpu, link, &type);
        const char *bus = !r && type == SWITCH ? "switch" : pci.id;
        while (p < peers && strncmp(peer[p].bus, bus, sizeof peer[p].bus)) p++;
        if (p == peers) snprintf(peer[peers].bus, sizeof peer[peers].bus, "%.31s", bus), peer[peers++].links = 0;
        peer[p].links++;
    }
    if (!links) return;
    SAY("nvlinks", "%d", links), SAY("nvlinks_active", "%d", active);
    if (*down) SAY("nvlinks_down", "%s", down);
    for (int p = 0; p < peers; p++) snprintf(to + strlen(to), sizeof to - strlen(to), "%s%.31s x%d", p ? ", " : "", peer[p].bus, peer[p].links);
    if (*to) SAY("nvlinks_to", "%s", to);
    if (counted) SAY("nvlink_errors", "%llu %llu %llu", errors[REPLAY], errors[RECOVERY], errors[CRC]);
}

static void nvml_gpu(doctor_out *o, taper_library *library, unsigned i, void **handle) {
    char key[64], text[256] = "";
    void *gpu = NULL;
    int r, major = 0, minor = 0;
    nvml_pci pci = {0};
    NVML_CALL(r, "nvmlDeviceGetHandleByIndex_v2", (unsigned, void **), i, &gpu);
    if (r == NVML_MISSING) NVML_CALL(r, "nvmlDeviceGetHandleByIndex", (unsigned, void **), i, &gpu);
    SAY("error", "%d", r);
    if (r) return;
    *handle = gpu;
    NVML_CALL(r, "nvmlDeviceGetName", (void *, char *, unsigned), gpu, text, sizeof text);
    if (!r) SAY("name", "%s", text);
    NVML_CALL(r, "nvmlDeviceGetUUID", (void *, char *, unsigned), gpu, text, sizeof text);
    if (!r) SAY("uuid", "%s", text);
    NVML_CALL(r, "nvmlDeviceGetPciInfo_v3", (void *, void *), gpu, &pci);
    if (r == NVML_MISSING) NVML_CALL(r, "nvmlDeviceGetPciInfo_v2", (void *, void *), gpu, &pci);
    if (!r) SAY("bus", "%.*s", (int)sizeof pci.id, pci.id[0] ? pci.id : pci.legacy);
    NVML_CALL(r, "nvmlDeviceGetCudaComputeCapability", (void *, int *, int *), gpu, &major, &minor);
    if (!r) SAY("cc", "%d.%d", major, minor);
    nvml_memory(o, library, i, gpu);
    nvml_processes(o, library, i, gpu);
}

static void nvml_peers(doctor_out *o, taper_library *library, unsigned i, unsigned n, void **gpus) {
    for (unsigned j = 0; j < n; j++) {
        char key[64];
        int r = 0, status[3] = {0};
        if (j == i || !gpus[j]) continue;
        for (int k = 0; k < 3 && !r; k++) NVML_CALL(r, "nvmlDeviceGetP2PStatus", (void *, void *, int, int *), gpus[i], gpus[j], k, &status[k]);
        snprintf(key, sizeof key, "gpu.%u.p2p.%u", i, j);
        if (!r) doctor_say(o, key, "%d %d %d", status[0], status[1], status[2]);
    }
}

static void nvml_run(doctor_out *o, void *ctx) {
    static const char *const names[] = {"libnvidia-ml.so.1", NULL};
    char why[1400], text[128] = "";
    void *gpus[NVML_GPUS] = {NULL};
    int r, cuda = 0;
    unsigned n = 0;
    (void)ctx;
    taper_library *library = taper__library_open(names, why, sizeof why);
    if (!library) {
        doctor_say(o, "open", "no: %s", why);
        return;
    }
    doctor_say(o, "open", "%s", taper__library_path(library));
    NVML_CALL(r, "nvmlInit_v2", (void), );
    if (r == NVML_MISSING) NVML_CALL(r, "nvmlInit", (void), );
    doctor_say(o, "init", "%d", r);
    if (r) return;
    NVML_CALL(r, "nvmlSystemGetDriverVersion", (char *, unsigned), text, sizeof text);
    if (!r) doctor_say(o, "driver", "%s", text);
    NVML_CALL(r, "nvmlSystemGetCudaDriverVersion_v2", (int *), &cuda);
    if (r == NVML_MISSING) NVML_CALL(r, "nvmlSystemGetCudaDriverVersion", (int *), &cuda);
    if (!r) doctor_say(o, "cuda", "%d", cuda);
    NVML_CALL(r, "nvmlDeviceGetCount_v2", (unsigned *), &n);
    if (r == NVML_MISSING) NVML_CALL(r, "nvmlDeviceGetCount", (unsigned *), &n);
    doctor_say(o, "count", "%u", r ? 0 : n);
    if (n > NVML_GPUS) n = NVML_GPUS;
    for (unsigned i = 0; i < n; i++) nvml_gpu(o, library, i, &gpus[i]);
    for (unsigned i = 0; i < n; i++) { /* what may be slow or hang comes after what every check needs */
        if (!gpus[i]) continue;
        nvml_simple(o, library, i, gpus[i]);
        nvml_health(o, library, i, gpus[i]);
        nvml_mig(o, library, i, gpus[i]);
        nvml_licence(o, library, i, gpus[i]);
        nvml_fabric(o, library, i, gpus[i]);
    }
    for (unsigned i = 0; i < n; i++)
        if (gpus[i]) nvml_links(o, library, i, gpus[i]), nvml_peers(o, library, i, n, gpus);
}

const doctor_facts *doctor_nvml(doctor *d) { return doctor_probe(d, "nvml", nvml_run, NULL, 10000); }
