/* GPUs as checks see them: names, kinds, who may use them, who holds them. */
#include "doctor/gpus.h"

#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "doctor/tables.h"

int doctor_gpus(doctor *d) {
    if (doctor_ladder(d) < RUNG_CUDA) return 0;
    int n = (int)doctor_fact_int(doctor_nvml(d), 0, "count");
    return n < 0 ? 0 : n < DOCTOR_GPUS_MAX ? n : DOCTOR_GPUS_MAX;
}

int64_t doctor_gpu_int(doctor *d, int i, const char *key, int64_t otherwise) {
    int64_t value = doctor_fact_int(doctor_nvml(d), otherwise, "gpu.%d.%s", i, key), most = (int64_t)1 << 52;
    return value > most || value < -most ? otherwise : value; /* so that sums and products of any two facts hold */
}
bool doctor_gpu_works(doctor *d, int i) { return doctor_gpu_int(d, i, "error", -1) == 0; }

const char *doctor_gpu_name(doctor *d, int i) {
    const char *name = doctor_fact(doctor_nvml(d), "gpu.%d.name", i);
    return doctor_text(d, "GPU %d (%s)", i, name ? name : "?");
}

const char *doctor_gpu_bus(doctor *d, int i) {
    const char *bus = doctor_fact(doctor_nvml(d), "gpu.%d.bus", i), *colon = bus ? strchr(bus, ':') : NULL;
    if (!colon || strlen(bus) > 24 || colon - bus < 4) return NULL;
    char *text = (char *)doctor_text(d, "%s", colon - 4);
    for (char *s = text; *s; s++) *s = (char)tolower((unsigned char)*s);
    return text;
}

const char *doctor_gpu_class(doctor *d, int i) {
    static const struct { const char *word, *kind; } words[] = {{"GeForce", "consumer"}, {"TITAN", "consumer"}, {"Quadro", "workstation"}, {"NVIDIA RTX ", "workstation"},
                                                                {"Tesla ", "datacenter"}, {"GRID ", "datacenter"}};
    const char *name = doctor_fact(doctor_nvml(d), "gpu.%d.name", i);
    const doctor_table *t = doctor_table_open("gpus");
    int row = t && name ? doctor_table_find(t, 0, "nvml_name", name) : -1;
    if (row < 0 && t && name && !strncmp(name, "NVIDIA ", 7)) row = doctor_table_find(t, 0, "gpu", name + 7);
    if (row >= 0) return doctor_cell(t, row, "class");
    for (int k = 0; name && k < TAPER_COUNT(words); k++)
        if (strstr(name, words[k].word)) return words[k].kind;
    return "";
}

bool doctor_gpu_visible(doctor *d, int i) {
    const doctor_facts *cuda = doctor_cuda(d);
    const char *uuid = doctor_fact(doctor_nvml(d), "gpu.%d.uuid", i);
    int n = (int)doctor_fact_int(cuda, 0, "count");
    if (!uuid || n <= 0 || doctor_gpu_int(d, i, "mig", 0) == 1) return true;
    for (int k = 0; k < n && k < DOCTOR_GPUS_MAX; k++) {
        const char *own = doctor_fact(cuda, "gpu.%d.uuid", k);
        if (!own || !strcmp(own, uuid) || (!strncmp(uuid, "GPU-", 4) && !strcmp(own, uuid + 4))) return true;
    }
    return false;
}

bool doctor_gpu_full(doctor *d, int i) {
    const int64_t mib = 1 << 20, total = doctor_gpu_int(d, i, "memory_total", 0), share = total / 20 < 2048 * mib ? total / 20 : 2048 * mib;
    return total > 0 && doctor_gpu_int(d, i, "memory_free", total) < (share > 600 * mib ? share : 600 * mib);
}

bool doctor_compute_mode_named(doctor *d) {
    for (int i = 0; i < doctor_gpus(d); i++) {
        int64_t mode = doctor_gpu_int(d, i, "compute_mode", 0);
        if (doctor_gpu_visible(d, i) && (mode == 2 || ((mode == 1 || mode == 3) && doctor_gpu_int(d, i, "processes", 0) > 0 && !doctor_fact(doctor_daemons(d), "mps_control")))) return true;
    }
    return false;
}

bool doctor_is_vm(doctor *d) {
    const char *cpu = doctor_read(d, "/proc/cpuinfo", NULL, NULL);
    return cpu && strstr(cpu, " hypervisor");
}

const char *doctor_listed(doctor *d, const char *list, const char *item) { return doctor_text(d, "%s%s%s", list, *list ? ", " : "", item); }

bool doctor_again(doctor *d, const char *id, const char *numbers) {
    for (int i = doctor_count(d) - 1; i >= 0; i--) {
        doctor_finding *f = (doctor_finding *)doctor_get(d, i);
        if (strcmp(f->id, id)) continue;
        doctor_evidence(d, f, "%s; %s", f->evidence, numbers);
        return true;
    }
    return false;
}

enum { GPUS_PROCESSES = 8192, GPUS_FILES = 512 };

static bool gpus_file(const char *pid, const char *name, char *out, size_t size) {
    char path[300];
    snprintf(path, sizeof path, "/proc/%.16s/%s", pid, name);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, out, size - 1);
    if (fd >= 0) close(fd);
    out[n < 0 ? 0 : n] = 0;
    return n > 0;
}

static void gpus_daemons(doctor_out *o, void *ctx) {
    static const struct { const char *comm, *word, *key; } known[] = {{"nvidia-persiste", "persistenced", "persistenced"}, {"nv-fabricmanage", "fabricmanager", "fabricmanager"},
                                                                      {"nvidia-cuda-mps", "mps-control", "mps_control"}, {"nvidia-cuda-mps", "mps-server", "mps_server"}};
    DIR *folder = opendir("/proc");
    int seen = 0;
    (void)ctx;
    for (struct dirent *e; folder && seen < GPUS_PROCESSES && (e = readdir(folder));) {
        char comm[64], command[256];
        if (!isdigit((unsigned char)e->d_name[0]) || !gpus_file(e->d_name, "comm", comm, sizeof comm)) continue;
        seen++;
        if (strncmp(comm, "nv", 2) || !gpus_file(e->d_name, "cmdline", command, sizeof command)) continue;
        for (int k = 0; k < TAPER_COUNT(known); k++)
            if (!strncmp(comm, known[k].comm, strlen(known[k].comm)) && strstr(command, known[k].word)) doctor_say(o, known[k].key, "%s", e->d_name);
    }
    if (folder) closedir(folder);
    doctor_say(o, "processes", "%d", seen);
}

const doctor_facts *doctor_daemons(doctor *d) { return doctor_probe(d, "daemons", gpus_daemons, NULL, 3000); }

static void gpus_holders(doctor_out *o, void *ctx) {
    DIR *all = opendir("/proc");
    int seen = 0, held = 0;
    (void)ctx;
    for (struct dirent *e; all && seen < GPUS_PROCESSES && (e = readdir(all));) {
        char path[64], link[64];
        if (!isdigit((unsigned char)e->d_name[0])) continue;
        seen++;
        snprintf(path, sizeof path, "/proc/%.16s/fd", e->d_name);
        DIR *files = opendir(path);
        bool found = false;
        int count = 0;
        for (struct dirent *f; files && !found && count++ < GPUS_FILES && (f = readdir(files));) {
            ssize_t n = readlinkat(dirfd(files), f->d_name, link, sizeof link - 1);
            link[n < 0 ? 0 : n] = 0;
            /* nvidiactl alone is what nvidia-smi and this program open. */
            found = n > 0 && !strncmp(link, "/dev/nvidia", 11) && (isdigit((unsigned char)link[11]) || !strcmp(link, "/dev/nvidia-uvm"));
        }
        if (files) closedir(files);
        if (!found) continue;
        snprintf(path, sizeof path, "holder.%d", held++);
        doctor_say(o, path, "%s %s", e->d_name, link);
    }
    if (all) closedir(all);
    doctor_say(o, "count", "%d", held);
}

const doctor_facts *doctor_holders(doctor *d) { return doctor_probe(d, "holders", gpus_holders, NULL, 3000); }
