/* Memory errors: what waits for a reset, what cannot be mended, what happened since the driver was loaded. */
#include "doctor/gpus.h"

#define ECC_LINK "https://docs.nvidia.com/deploy/a100-gpu-mem-error-mgmt/index.html"

static void ecc_run(doctor *d) {
    int n = doctor_gpus(d), bad = 0;
    const char *fine = "";
    for (int i = 0; i < n; i++) {
        const char *name = doctor_gpu_name(d, i);
        int64_t pending = doctor_gpu_int(d, i, "rows_pending", 0), failed = doctor_gpu_int(d, i, "rows_failed", 0), corrected = doctor_gpu_int(d, i, "rows_corrected", -1);
        int64_t uncorrected = doctor_gpu_int(d, i, "rows_uncorrected", 0), errors = doctor_gpu_int(d, i, "ecc_uncorrected", -1), waiting = doctor_gpu_int(d, i, "pages_pending", 0);
        int64_t retired = doctor_gpu_int(d, i, "pages_retired", -1), mode = doctor_gpu_int(d, i, "ecc", -1);
        const char *numbers = doctor_text(d, "%s: rows remapped %lld (corrected) and %lld (uncorrected), pending %lld, failed %lld; pages retired %lld, pending %lld; uncorrected errors %lld",
                                          name, (long long)corrected, (long long)uncorrected, (long long)pending, (long long)failed, (long long)retired, (long long)waiting, (long long)errors);
        doctor_finding *f = NULL;
        if (failed > 0) {
            f = doctor_find(d, DOCTOR_BROKEN, "ecc-remap-failed", ECC_LINK);
            doctor_cause(d, f, "%s has bad memory and no spare rows left to replace it.", "%s 显存有坏行且备用行已用尽。", name);
            doctor_cure(d, f, "replace the card (field diagnostics, then RMA); until then keep jobs off it by CUDA_VISIBLE_DEVICES", "更换该卡 (跑 field diagnostics 后返修); 在此之前用 CUDA_VISIBLE_DEVICES 避开");
        } else if (pending > 0 || waiting > 0) {
            f = doctor_find(d, DOCTOR_BROKEN, "ecc-reset-pending", ECC_LINK);
            doctor_cause(d, f, "%s found bad memory that is replaced only at the next reset; until then jobs there may die of ECC errors.", "%s 发现坏显存, 要到下次复位才会替换; 在此之前任务可能因 ECC 错误退出。", name);
            doctor_cure(d, f, "end its jobs, then sudo nvidia-smi --gpu-reset -i %d, or reboot", "停掉其上任务, 然后 sudo nvidia-smi --gpu-reset -i %d 或重启", i);
        } else if (errors > 0) {
            f = doctor_find(d, DOCTOR_BROKEN, "ecc-uncorrected", ECC_LINK);
            doctor_cause(d, f, "%s had %lld uncorrectable memory errors since the driver was loaded: the jobs they hit died or computed nonsense.", "%s 自驱动加载以来有 %lld 次不可纠正的显存错误: 受影响的任务已退出或结果不可信。", name, (long long)errors);
            doctor_cure(d, f, "end its jobs, then sudo nvidia-smi --gpu-reset -i %d; when they return: dcgmi diag -r 3, then RMA", "停掉其上任务, 然后 sudo nvidia-smi --gpu-reset -i %d; 再次出现则 dcgmi diag -r 3 后返修", i);
        }
        if (f) doctor_evidence(d, f, "%s", numbers), bad++;
        else if (mode >= 0 || corrected >= 0) fine = doctor_listed(d, fine, doctor_text(d, "GPU %d ECC %s, %lld rows remapped", i, mode == 1 ? "on" : mode == 0 ? "off" : "?", (long long)(corrected > 0 ? corrected : 0) + (long long)uncorrected));
    }
    if (!bad && *fine) doctor_fine(d, "%s", fine);
}

DOCTOR_CHECK(ecc, .code = 805, .layer = DOCTOR_GPU, .reads = "nvmlDeviceGetRemappedRows, nvmlDeviceGetRetiredPagesPendingStatus, nvmlDeviceGetTotalEccErrors", .asks = "is the GPUs' memory sound?",
             .finds = {"ecc-remap-failed", "ecc-reset-pending", "ecc-uncorrected"}, .run = ecc_run);
