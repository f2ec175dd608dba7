/* InfiniBand and RoCE: several nodes fall back to sockets, 10 to 20 times slower, when one of its parts is missing. */
#include "doctor/doctor.h"

#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void infiniband_load(doctor_out *o, void *ctx) {
    (void)ctx;
    void *handle = dlopen("libibverbs.so.1", RTLD_LAZY | RTLD_LOCAL);
    doctor_say(o, "libibverbs", "%s", handle ? "found" : dlerror());
}

static void infiniband_run(doctor *d) {
    const char *const *cards, *const *ports, *const *nodes, *list = "";
    int n = doctor_names(d, "/sys/class/infiniband", &cards), active = 0, all = 0, verbs = 0, bad = 0;
    const char *link = "https://github.com/NVIDIA/nccl/issues/451", *limits = doctor_read(d, "/proc/self/limits", NULL, NULL), *lock = limits ? strstr(limits, "Max locked memory") : NULL;
    for (int i = 0; i < n; i++) {
        int k = doctor_names(d, doctor_text(d, "/sys/class/infiniband/%s/ports", cards[i]), &ports);
        for (int p = 0; p < k; p++, all++) {
            const char *base = doctor_text(d, "/sys/class/infiniband/%s/ports/%s", cards[i], ports[p]), *state = doctor_line(d, "%s/state", base), *rate = doctor_line(d, "%s/rate", base);
            if (!state || !strstr(state, "ACTIVE")) continue;
            active++;
            list = doctor_text(d, "%s%s%s %s", list, *list ? ", " : "", cards[i], rate ? rate : "?");
        }
    }
    if (n <= 0 || !all) return;
    doctor_finding *f;
    if (!active) {
        f = doctor_find(d, DOCTOR_SLOW, "infiniband-down", link);
        doctor_evidence(d, f, "/sys/class/infiniband: %d ports of %d cards, none ACTIVE", all, n);
        doctor_cause(d, f, "No port of the InfiniBand cards is active: jobs over several nodes use plain sockets.", "InfiniBand 网卡没有一个端口处于 ACTIVE: 多节点任务只能走普通 socket。");
        doctor_cure(d, f, "ibstat; cable, subnet manager (opensm) or, for RoCE, ip link set <if> up", "ibstat; 检查线缆、子网管理器 (opensm), RoCE 则 ip link set <if> up");
        return;
    }
    int count = doctor_names(d, "/dev/infiniband", &nodes);
    for (int i = 0; i < count; i++) verbs += !strncmp(nodes[i], "uverbs", 6);
    if (!verbs) {
        f = doctor_find(d, DOCTOR_SLOW, "infiniband-not-passed", link);
        doctor_evidence(d, f, "%s; no /dev/infiniband/uverbs*", list);
        doctor_cause(d, f, "The machine has InfiniBand but its nodes are missing here: NCCL says 'NET/IB : No device found' and uses sockets.",
                     "机器有 InfiniBand, 但这里看不到其设备节点: NCCL 报 'NET/IB : No device found' 并改用 socket。");
        doctor_cure(d, f, doctor_container(d) ? "docker run --device /dev/infiniband --cap-add IPC_LOCK --ulimit memlock=-1 ..." : "sudo modprobe ib_uverbs", NULL);
        bad++;
    }
    int64_t soft = lock ? strtoll(lock + strlen("Max locked memory"), NULL, 10) : INT64_MAX;
    if (lock && strstr(doctor_text(d, "%.*s", 40, lock), "unlimited")) soft = INT64_MAX;
    if (soft < (int64_t)64 << 20) {
        f = doctor_find(d, DOCTOR_SLOW, "infiniband-memlock", link);
        doctor_evidence(d, f, "/proc/self/limits: Max locked memory %lld bytes", (long long)soft);
        doctor_cause(d, f, "Only %lld KiB may be locked: ibv_reg_mr fails with 'Cannot allocate memory'.", "只允许锁定 %lld KiB 内存: ibv_reg_mr 会报 'Cannot allocate memory'。", (long long)(soft >> 10));
        doctor_cure(d, f, doctor_container(d) ? "docker run --ulimit memlock=-1 --cap-add IPC_LOCK ..." : "ulimit -l unlimited (/etc/security/limits.conf: * - memlock unlimited)", NULL);
        bad++;
    }
    const char *library = doctor_fact(doctor_probe(d, "verbs", infiniband_load, NULL, 5000), "libibverbs");
    if (library && strcmp(library, "found")) {
        f = doctor_find(d, DOCTOR_SLOW, "infiniband-library", link);
        doctor_evidence(d, f, "%s", library);
        doctor_cause(d, f, "NCCL needs libibverbs to use InfiniBand and does not find it.", "NCCL 需要 libibverbs 才能使用 InfiniBand, 但找不到它。");
        doctor_cure(d, f, "apt install libibverbs1 ibverbs-providers", NULL);
        bad++;
    }
    if (!bad) doctor_fine(d, "%d of %d ports active: %s", active, all, list);
}

DOCTOR_CHECK(infiniband, .code = 1101, .layer = DOCTOR_NETWORK, .reads = "/sys/class/infiniband, /dev/infiniband, Max locked memory, dlopen(libibverbs.so.1)", .asks = "can NCCL use InfiniBand between nodes?",
             .finds = {"infiniband-down", "infiniband-not-passed", "infiniband-memlock", "infiniband-library"}, .run = infiniband_run);
