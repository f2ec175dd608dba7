/* NUMA: is this process on the GPU's side of the machine? */
#include "doctor/ladder.h"

#include <string.h>

static void numa_run(doctor *d) {
    const char *const *gpus, *const *nodes;
    const char *status = doctor_read(d, "/proc/self/status", NULL, NULL), *allowed = status ? doctor_field(d, status, "Cpus_allowed_list") : NULL, *all = "";
    int n = doctor_pci_gpus(d, &gpus), far = 0, known = 0, entries = doctor_names(d, "/sys/devices/system/node", &nodes), count = 0;
    for (int i = 0; i < entries; i++) count += !strncmp(nodes[i], "node", 4) && nodes[i][4] >= '0' && nodes[i][4] <= '9';
    if (count < 2 || !n || !allowed || doctor_ladder(d) < RUNG_NODES) return;
    const char *first = NULL;
    int64_t node = -1, first_node = -1;
    for (int i = 0; i < n; i++) {
        const char *local = doctor_line(d, "/sys/bus/pci/devices/%s/local_cpulist", gpus[i]);
        if (!local || !doctor_number(d, &node, "/sys/bus/pci/devices/%s/numa_node", gpus[i]) || node < 0) continue;
        bool near = false;
        for (int cpu = 0; cpu < 4096 && !near; cpu++) near = doctor_list_has(allowed, cpu) && doctor_list_has(local, cpu);
        known++;
        all = doctor_text(d, "%s%s%s on node %d", all, *all ? ", " : "", gpus[i], (int)node);
        if (near) continue;
        if (!far++) first = gpus[i], first_node = node;
    }
    if (!known) return; /* -1 in virtual machines */
    if (far < known) {
        doctor_fine(d, "%s; this process may run on CPUs %s", all, allowed);
        return;
    }
    doctor_finding *f = doctor_find(d, DOCTOR_SLOW, "numa-far", "https://github.com/NVIDIA/TensorRT-LLM/issues/18117");
    doctor_evidence(d, f, "%s; Cpus_allowed_list %s", all, allowed);
    doctor_cause(d, f, "This process may only run on CPUs away from GPU %s (node %d): every copy and launch crosses the sockets.", "本进程只能运行在远离 GPU %s (node %d) 的 CPU 上: 每次拷贝和启动都要跨插槽。", first, (int)first_node);
    doctor_cure(d, f, "numactl --cpunodebind=%d --membind=%d python train.py (or docker --cpuset-cpus)", "numactl --cpunodebind=%d --membind=%d python train.py (或 docker --cpuset-cpus)", (int)first_node, (int)first_node);
}

DOCTOR_CHECK(numa, .code = 1002, .layer = DOCTOR_HOST, .reads = "numa_node and local_cpulist of each GPU, Cpus_allowed_list", .asks = "is this process on the GPU's side of the machine?", .finds = {"numa-far"}, .run = numa_run);
