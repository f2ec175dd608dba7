/* Copies between GPUs and a sum over all of them: whether they arrive, right and fast. */
#include "doctor/probes/deep.h"

#include <stdlib.h>
#include <string.h>

#define PEERS_NVLINK_LEAST 0.60 /* of the links between the two */
#define PEERS_PCIE_LEAST 8.0    /* GB/s: below this no link since PCIe 3.0 x16 is at work */
#define PEERS_REDUCE_LEAST 0.40 /* of a pair's copy rate */

const doctor_facts *doctor_peers(doctor *d);
const doctor_facts *doctor_allreduce(doctor *d);

static void peers_cure(doctor *d, doctor_finding *p) {
    doctor_cure(d, p, "boot with iommu=pt (or amd_iommu=off), turn ACS and VT-d off in the BIOS; until then NCCL_P2P_DISABLE=1 (slower)",
                "启动参数 iommu=pt (或 amd_iommu=off), BIOS 关闭 ACS 和 VT-d; 在此之前用 NCCL_P2P_DISABLE=1 (较慢)");
}

/* GB/s that two GPUs should reach in one direction over NVLink; 0 when they have none between them or it cannot be told. */
static double peers_expected(const doctor_facts *f, int i, int j) {
    doctor_part part = doctor_part_of(doctor_fact(f, "gpu.%d.name", i));
    bool switched = doctor_fact_int(f, 0, "gpu.%d.switched", i) && doctor_fact_int(f, 0, "gpu.%d.switched", j);
    if (doctor_fact_int(f, 1, "pair.%d.%d.nvlink", i, j) || !doctor_fact_int(f, 0, "gpu.%d.links", i)) return 0;
    /* Without switches the links of a GPU are shared out among the others: one link's rate is the least. */
    return switched && part.nvlink > 0 ? part.nvlink / 2 : 20;
}

typedef struct peers_sum {
    int pairs, direct;
    double least, most; /* GB/s over all pairs with direct access */
    double nvlink;      /* the least rate among pairs on NVLink; 0: none */
    bool found;
} peers_sum;

static void peers_pair(doctor *d, const doctor_facts *f, int i, int j, peers_sum *sum) {
    if (!doctor_fact(f, "pair.%d.%d.begin", i, j)) return;
    int64_t access = doctor_fact_int(f, 0, "pair.%d.%d.access", i, j), wrong = doctor_fact_int(f, 0, "pair.%d.%d.wrong", i, j), error = doctor_fact_int(f, 0, "pair.%d.%d.error", i, j);
    double up = doctor_fact_real(f, 0, "pair.%d.%d.up", i, j), down = doctor_fact_real(f, 0, "pair.%d.%d.down", i, j), rate = up < down ? up : down;
    const char *seen = doctor_text(d, "GPU %d and %d: direct access %s, %.1f and %.1f GB/s", i, j, access ? "yes" : "no", up, down), *link = "https://github.com/NVIDIA/nccl/issues/631";
    sum->pairs++;
    bool hung = !doctor_fact(f, "pair.%d.%d.end", i, j);
    if (hung && (!doctor_facts_end(f) || !strstr(doctor_facts_end(f), "timed out"))) return; /* the probe died: said elsewhere */
    if (hung || wrong > 0 || error) {
        doctor_finding *p = doctor_find(d, DOCTOR_BROKEN, hung ? "deep-p2p-hangs" : "deep-p2p-broken", link);
        sum->found = true;
        if (hung) doctor_evidence(d, p, "copy between GPU %d and %d: %s; direct access %s", i, j, doctor_facts_end(f), access ? "yes" : "no");
        else if (error) doctor_evidence(d, p, "copy between GPU %d and %d: CUresult %lld", i, j, (long long)error);
        else doctor_evidence(d, p, "copy between GPU %d and %d: %lld of 2097152 words wrong", i, j, (long long)wrong);
        if (hung)
            doctor_cause(d, p, "A copy between GPU %d and %d never ends: the IOMMU or PCIe ACS redirects it; the first collective of a job hangs the same way.",
                         "GPU %d 与 %d 之间的拷贝不返回: IOMMU 或 PCIe ACS 改了它的去向; 任务的第一次集合通信同样会卡住。", i, j);
        else if (error) doctor_cause(d, p, "A copy between GPU %d and %d fails with error %lld.", "GPU %d 与 %d 之间的拷贝以错误 %lld 失败。", i, j, (long long)error);
        else doctor_cause(d, p, "Copies between GPU %d and %d arrive with wrong content and no error: the IOMMU or PCIe ACS redirects them.", "GPU %d 与 %d 之间的拷贝不报错但数据错误: IOMMU 或 PCIe ACS 改了它的去向。", i, j);
        peers_cure(d, p);
        return;
    }
    if (rate <= 0) return;
    double expected = peers_expected(f, i, j), least = expected > 0 ? PEERS_NVLINK_LEAST * expected : PEERS_PCIE_LEAST;
    if (access) {
        sum->direct++;
        if (!sum->least || rate < sum->least) sum->least = rate;
        if (rate > sum->most) sum->most = rate;
        if (expected > 0 && (!sum->nvlink || rate < sum->nvlink)) sum->nvlink = rate;
    }
    if ((!access && expected <= 0) || rate >= least) return; /* without direct access and NVLink: the way through main memory is the normal one */
    int busy = doctor_busy_since(d, doctor_fact(f, "gpu.%d.bus", i)), other = doctor_busy_since(d, doctor_fact(f, "gpu.%d.bus", j));
    sum->found = true;
    if (busy > 20 || other > 20) {
        doctor_unknown(d, "%s; others used them %d %% and %d %% of the time", seen, busy, other);
        return;
    }
    doctor_finding *p = doctor_find(d, DOCTOR_SLOW, "deep-p2p-slow", "https://github.com/NVIDIA/nccl-tests/issues/166");
    doctor_evidence(d, p, "%s; active NVLinks %lld and %lld", seen, (long long)doctor_fact_int(f, 0, "gpu.%d.links", i), (long long)doctor_fact_int(f, 0, "gpu.%d.links", j));
    if (expected > 0) {
        doctor_cause(d, p, "GPU %d and %d have NVLink between them, but copies reach %.1f GB/s; %.0f and more is normal.", "GPU %d 与 %d 之间有 NVLink, 但拷贝只有 %.1f GB/s, 正常在 %.0f 以上。", i, j, rate, least);
        doctor_cure(d, p, "nvidia-smi nvlink -s; nvidia-smi nvlink -e; reseat the bridge, restart nvidia-fabricmanager, reset the GPUs",
                    "nvidia-smi nvlink -s; nvidia-smi nvlink -e; 重插桥接器, 重启 nvidia-fabricmanager, 复位 GPU");
    } else {
        doctor_cause(d, p, "Copies between GPU %d and %d reach %.1f GB/s although each may access the other: their PCIe path is redirected or narrow.", "GPU %d 与 %d 可互访, 但拷贝只有 %.1f GB/s: PCIe 路径被改道或过窄。", i, j, rate);
        peers_cure(d, p);
    }
}

static void peers_allreduce(doctor *d, const peers_sum *sum) {
    const doctor_facts *f = doctor_allreduce(d);
    const char *nccl = doctor_fact(f, "nccl"), *error = doctor_fact(f, "error"), *end = doctor_facts_end(f), *link = "https://github.com/NVIDIA/nccl/issues/1324";
    int64_t wrong = doctor_fact_int(f, 0, "wrong"), count = doctor_fact_int(f, 0, "count");
    double bus = doctor_fact_real(f, 0, "bus");
    if (!nccl || !strncmp(nccl, "no:", 3)) {
        if (!end) doctor_fine(d, "no NCCL to measure with: %s", nccl ? nccl + 3 : "-");
        else doctor_unknown(d, "all-reduce: the probe %s", end);
        return;
    }
    const char *with = doctor_text(d, "all-reduce of 128 MiB over %lld GPUs, NCCL %lld", (long long)count, (long long)doctor_fact_int(f, 0, "version"));
    bool begun = doctor_fact(f, "begin") != NULL;
    if (error || wrong > 0 || (end && begun)) {
        doctor_finding *p = doctor_find(d, DOCTOR_BROKEN, "deep-allreduce-broken", link);
        if (error || !wrong) doctor_evidence(d, p, "%s: %s", with, error ? error : end);
        else doctor_evidence(d, p, "%s: %lld words wrong", with, (long long)wrong);
        if (error) doctor_cause(d, p, "A sum over all GPUs by NCCL fails: %s.", "用 NCCL 对所有 GPU 求和失败: %s。", error);
        else if (wrong > 0) doctor_cause(d, p, "A sum over all GPUs by NCCL comes out wrong.", "用 NCCL 对所有 GPU 求和, 结果错误。");
        else doctor_cause(d, p, "A sum over all GPUs by NCCL does not come back (%s).", "用 NCCL 对所有 GPU 求和不返回 (%s)。", end);
        doctor_cure(d, p, "NCCL_P2P_DISABLE=1 taper doctor --deep --check peers, then with NCCL_SHM_DISABLE=1: the one that helps names the path at fault",
                    "NCCL_P2P_DISABLE=1 taper doctor --deep --check peers, 再换成 NCCL_SHM_DISABLE=1: 哪个有效, 哪条路径就有问题");
        return;
    }
    if (bus <= 0) {
        doctor_unknown(d, "%s: nothing was measured", with);
        return;
    }
    bool said = doctor_said(d, "environment-debug", "NCCL_");
    if (sum->nvlink > 0 && bus < PEERS_REDUCE_LEAST * sum->nvlink && !said) {
        static const char *const names[] = {"NCCL_P2P_DISABLE", "NCCL_P2P_LEVEL", "NCCL_SHM_DISABLE", "NCCL_ALGO", "NCCL_PROTO", "NCCL_MAX_NCHANNELS"};
        const char *set = "";
        for (int i = 0; i < TAPER_COUNT(names); i++)
            if (doctor_env(d, names[i])) set = doctor_text(d, "%s; %s=%s", set, names[i], doctor_env(d, names[i]));
        doctor_finding *p = doctor_find(d, DOCTOR_SLOW, "deep-allreduce-slow", "https://github.com/Azure/azhpc-diagnostics/issues/73");
        doctor_evidence(d, p, "%s: %.1f GB/s of bus; copies between two reach %.1f%s", with, bus, sum->nvlink, set);
        doctor_cause(d, p, "NCCL does not use NVLink well: a sum over all GPUs moves %.1f GB/s where a copy between two moves %.1f.", "NCCL 没有用好 NVLink: 全部 GPU 求和 %.1f GB/s, 两卡间拷贝 %.1f。", bus, sum->nvlink);
        if (*set) doctor_cure(d, p, "unset %.*s (and the other NCCL_ variables shown above)", "unset %.*s (及上面列出的其他 NCCL_ 变量)", (int)strcspn(set + 2, "="), set + 2);
        else doctor_cure(d, p, "NCCL_DEBUG=INFO shows the path it took; update NCCL; /dev/shm of 1 GiB or more", "NCCL_DEBUG=INFO 可看到所走路径; 升级 NCCL; /dev/shm 至少 1 GiB");
        return;
    }
    doctor_fine(d, "%s: %.1f GB/s of bus%s", with, bus, said ? " with the NCCL_ variables found above" : "");
}

static void peers_run(doctor *d) {
    if (!doctor_measures(d) || doctor_fact_int(doctor_cuda(d), 0, "count") < 2) return;
    doctor_busy(d, "-");
    const doctor_facts *f = doctor_peers(d);
    peers_sum sum = {0};
    for (int i = 0; i < 16; i++)
        for (int j = i + 1; j < 16; j++) peers_pair(d, f, i, j, &sum);
    if (!sum.found && !doctor_unmeasured(d, f, "copies between GPUs")) {
        if (sum.direct) doctor_fine(d, "%d of %d pairs of GPUs with direct access: %.1f to %.1f GB/s, content right%s", sum.direct, sum.pairs, sum.least, sum.most, sum.nvlink > 0 ? ", NVLink" : "");
        else if (sum.pairs) doctor_fine(d, "%d pairs of GPUs without direct access (normal for consumer cards); copies through main memory arrive right", sum.pairs);
    }
    bool broken = false;
    for (int i = 0; i < doctor_count(d); i++) broken |= doctor_get(d, i)->verdict == DOCTOR_BROKEN && !strncmp(doctor_get(d, i)->id, "deep-p2p", 8);
    if (!broken) peers_allreduce(d, &sum); /* a broken pair breaks the sum too */
}

DOCTOR_CHECK(peers, .code = 1504, .layer = DOCTOR_MEASURED, .reads = "timed copies between GPUs, compared; NCCL's all-reduce in one child", .asks = "do GPUs reach each other, right and fast?",
             .finds = {"deep-p2p-broken", "deep-p2p-hangs", "deep-p2p-slow", "deep-allreduce-broken", "deep-allreduce-slow"}, .deep = true, .run = peers_run);
