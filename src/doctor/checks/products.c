/* Matrix products in each type against the dense peak of the part, and why they are slower where they are. */
#include "doctor/probes/deep.h"

#include <stdlib.h>
#include <string.h>

#define PRODUCTS_LEAST 0.60 /* of the dense peak; a healthy GPU reaches 70 to 95 % */
#define PRODUCTS_CAPPED 0.40 /* where the power cap, at full power, is the reason: small boards live there */
enum { REASON_HW_SLOWDOWN = 0x8, REASON_SW_THERMAL = 0x20, REASON_HW_THERMAL = 0x40, REASON_POWER_BRAKE = 0x80 };

const doctor_facts *doctor_products(doctor *d);

typedef struct products_seen {
    int i;
    const char *name, *text; /* the rates, the load */
    double worst, clock, limit, power, power_limit, power_default;
    const char *worst_type;
    int64_t reasons, samples, throttled, capped, temperature;
} products_seen;

static void products_read(doctor *d, const doctor_facts *f, products_seen *s) {
    static const char *const types[] = {"fp32", "tf32", "fp16", "bf16", "fp8"};
    doctor_part part = doctor_part_of(s->name);
    const double peaks[] = {part.fp32, part.tf32, part.fp16, part.bf16, part.fp8};
    double fp32 = doctor_fact_real(f, 0, "gpu.%d.fp32", s->i);
    s->worst = 2;
    s->text = doctor_text(d, "GPU %d %s, %lld^3, TFLOP/s:", s->i, s->name, (long long)doctor_fact_int(f, 0, "gpu.%d.size", s->i));
    for (int k = 0; k < TAPER_COUNT(types); k++) {
        double rate = doctor_fact_real(f, 0, "gpu.%d.%s", s->i, types[k]);
        if (rate <= 0) continue;
        s->text = doctor_text(d, "%s %s %.0f", s->text, types[k], rate);
        if (peaks[k] > 0) s->text = doctor_text(d, "%s (%.0f %%)", s->text, 100 * rate / peaks[k]);
        /* Where tensor cores are switched off for fp32, that is said by itself. */
        bool off = k == 1 && fp32 > 0 && rate < 1.3 * fp32;
        if (peaks[k] > 0 && !off && rate / peaks[k] < s->worst) s->worst = rate / peaks[k], s->worst_type = types[k];
    }
    double even = doctor_fact_real(f, 0, "gpu.%d.bf16_4096", s->i), odd = doctor_fact_real(f, 0, "gpu.%d.bf16_4095", s->i);
    if (even > 0 && odd > 0) s->text = doctor_text(d, "%s; bf16 with K 4095 takes %.1f times as long as with 4096", s->text, even / odd);
    s->clock = doctor_fact_real(f, 0, "gpu.%d.clock", s->i);
    s->limit = doctor_fact_real(f, 0, "gpu.%d.clock_limit", s->i);
    s->power = doctor_fact_real(f, 0, "gpu.%d.power", s->i);
    s->power_limit = doctor_fact_real(f, 0, "gpu.%d.power_limit", s->i);
    s->power_default = doctor_fact_real(f, 0, "gpu.%d.power_default", s->i);
    s->reasons = doctor_fact_int(f, 0, "gpu.%d.reasons", s->i);
    s->samples = doctor_fact_int(f, 0, "gpu.%d.samples", s->i);
    s->throttled = doctor_fact_int(f, 0, "gpu.%d.throttled", s->i);
    s->capped = doctor_fact_int(f, 0, "gpu.%d.capped", s->i);
    s->temperature = doctor_fact_int(f, 0, "gpu.%d.temperature", s->i);
    if (s->samples > 0)
        s->text = doctor_text(d, "%s; under load %.0f MHz of %.0f, %.0f W of %.0f, %lld C, clock reasons 0x%llx", s->text, s->clock, s->limit, s->power, s->power_limit,
                              (long long)s->temperature, (unsigned long long)s->reasons);
}

static void products_throttled(doctor *d, const products_seen *s) {
    bool power = (s->reasons & REASON_POWER_BRAKE) && !(s->reasons & (REASON_SW_THERMAL | REASON_HW_THERMAL));
    doctor_finding *p = doctor_find(d, DOCTOR_SLOW, "deep-throttled", "https://docs.nvidia.com/deploy/nvml-api/group__nvmlClocksEventReasons.html");
    doctor_evidence(d, p, "%s; in %lld of %lld samples", s->text, (long long)s->throttled, (long long)s->samples);
    if (power) {
        doctor_cause(d, p, "GPU %d is slowed down by the power brake of its board or power supply.", "GPU %d 被主板或电源的功率制动信号降频。", s->i);
        doctor_cure(d, p, "check power supply, cables and the server's power budget (BMC log)", "检查电源、供电线和服务器功率预算 (BMC 日志)");
    } else {
        doctor_cause(d, p, "GPU %d slows itself down because of heat (%lld C): %.0f of %.0f MHz under load.", "GPU %d 因过热 (%lld C) 降频: 负载下 %.0f MHz, 上限 %.0f。", s->i,
                     (long long)s->temperature, s->clock, s->limit);
        doctor_cure(d, p, "nvidia-smi -q -d PERFORMANCE,TEMPERATURE; clean fans and filters, restore the airflow, lower the room's temperature",
                    "nvidia-smi -q -d PERFORMANCE,TEMPERATURE; 清洁风扇和滤网, 恢复风道, 降低机房温度");
    }
}

/* The reason for a rate below what the part should do; false when it is the normal work of the power cap, or already said. */
static bool products_slow(doctor *d, const products_seen *s) {
    bool capped = s->samples > 0 && s->capped * 2 > s->samples;
    if (doctor_is_slice(d, s->name)) return false;
    if (doctor_said(d, "power-limit-low", NULL) && capped) return false;
    if (doctor_said(d, "clocks-set-low", NULL) || doctor_said(d, "gpu-hot", NULL) || doctor_said(d, "power-brake", NULL)) return false;
    if (s->samples > 0 && s->throttled * 5 > s->samples) {
        products_throttled(d, s);
        return true;
    }
    if (capped && s->power_default > 0 && s->power_limit < 0.9 * s->power_default) {
        doctor_finding *p = doctor_find(d, DOCTOR_SLOW, "deep-power-limit", "https://docs.nvidia.com/deploy/nvidia-smi/index.html");
        doctor_evidence(d, p, "%s; default limit %.0f W", s->text, s->power_default);
        doctor_cause(d, p, "The power limit of GPU %d is set to %.0f W, its default is %.0f W: it runs at %.0f of %.0f MHz.", "GPU %d 的功率上限设为 %.0f W (默认 %.0f W): 只跑到 %.0f MHz, 上限 %.0f。",
                     s->i, s->power_limit, s->power_default, s->clock, s->limit);
        doctor_cure(d, p, "sudo nvidia-smi -i %d -pl %.0f", NULL, s->i, s->power_default);
        return true;
    }
    if (s->worst >= PRODUCTS_LEAST) return false;
    if (capped && s->power >= 0.8 * s->power_limit && s->worst >= PRODUCTS_CAPPED) return false;
    if (s->clock > 0 && s->clock < 0.7 * s->limit && !capped) {
        doctor_finding *p = doctor_find(d, DOCTOR_SLOW, "deep-clocks-low", "https://docs.nvidia.com/deploy/nvidia-smi/index.html");
        doctor_evidence(d, p, "%s", s->text);
        doctor_cause(d, p, "GPU %d stays at %.0f of %.0f MHz under load, without heat or power as the reason: its clocks are locked.", "GPU %d 在负载下停在 %.0f MHz (上限 %.0f), 既非过热也非功率: 频率被锁定。",
                     s->i, s->clock, s->limit);
        doctor_cure(d, p, "sudo nvidia-smi -i %d -rgc; sudo nvidia-smi -i %d -rac", NULL, s->i, s->i);
        return true;
    }
    doctor_finding *p = doctor_find(d, DOCTOR_SLOW, "deep-gemm-slow", "https://github.com/mlfoundations/open_clip/issues/703");
    doctor_evidence(d, p, "%s", s->text);
    doctor_cause(d, p, "%2$s products on GPU %1$d reach %3$.0f %% of the part's dense peak (70 %% and more is normal).", "GPU %1$d 的 %2$s 矩阵乘只达到标称稠密峰值的 %3$.0f %% (正常在 70 %% 以上)。", s->i,
                 s->worst_type, 100 * s->worst);
    doctor_cure(d, p, "nvidia-smi -q -d CLOCK,POWER,PERFORMANCE while a job runs; a newer cuBLAS and driver; no other process on the GPU",
                "任务运行时 nvidia-smi -q -d CLOCK,POWER,PERFORMANCE; 升级 cuBLAS 和驱动; 确认没有其他进程占用");
    return true;
}

static void products_gpu(doctor *d, const doctor_facts *f, int i) {
    products_seen s = {.i = i, .name = doctor_fact(f, "gpu.%d.name", i)};
    const char *error = doctor_fact(f, "gpu.%d.error", i), *override = doctor_env(d, "NVIDIA_TF32_OVERRIDE");
    int64_t wrong = doctor_fact_int(f, 0, "gpu.%d.wrong", i);
    double fp32 = doctor_fact_real(f, 0, "gpu.%d.fp32", i), tf32 = doctor_fact_real(f, 0, "gpu.%d.tf32", i);
    if (error) {
        doctor_unknown(d, "GPU %d %s: products: %s", i, s.name, error);
        return;
    }
    if (!doctor_fact(f, "gpu.%d.fp32", i)) return;
    products_read(d, f, &s);
    if (wrong > 0) {
        doctor_finding *p = doctor_find(d, DOCTOR_BROKEN, "deep-gemm-wrong", "https://docs.nvidia.com/deploy/xid-errors/index.html");
        doctor_evidence(d, p, "GPU %d %s: %lld of 64 elements of a bf16 product are wrong", i, s.name, (long long)wrong);
        doctor_cause(d, p, "GPU %d computes wrong products without an error: it is faulty, or overclocked.", "GPU %d 不报错却算错矩阵乘: 硬件故障或超频。", i);
        doctor_cure(d, p, "take the GPU out of use; turn overclocks off; dcgmi diag -r 3, then replace it", "停用这块 GPU; 取消超频; dcgmi diag -r 3, 仍出错则更换");
        return;
    }
    int busy = s.worst < PRODUCTS_LEAST ? doctor_busy_since(d, doctor_fact(f, "gpu.%d.bus", i)) : 0;
    if (busy > 20) {
        doctor_unknown(d, "%s; others used the GPU %d %% of the time", s.text, busy);
        return;
    }
    bool slow = products_slow(d, &s);
    if (fp32 > 0 && tf32 > 0 && tf32 < 1.3 * fp32 && override && !strcmp(override, "0") && !doctor_said(d, "environment-debug", "NVIDIA_TF32_OVERRIDE")) {
        doctor_finding *p = doctor_find(d, DOCTOR_SLOW, "deep-tf32-off", "https://github.com/pytorch/pytorch/issues/67384");
        doctor_evidence(d, p, "GPU %d: fp32 %.0f, tf32 %.0f TFLOP/s; NVIDIA_TF32_OVERRIDE=%s", i, fp32, tf32, override);
        double full = doctor_part_of(s.name).tf32;
        if (full > 0) doctor_cause(d, p, "NVIDIA_TF32_OVERRIDE=0 keeps fp32 products off the tensor cores: %.0f of up to %.0f TFLOP/s.", "NVIDIA_TF32_OVERRIDE=0 使 fp32 矩阵乘不用张量核心: %.0f TFLOP/s, 最高可达 %.0f。", tf32, full);
        else doctor_cause(d, p, "NVIDIA_TF32_OVERRIDE=0 keeps fp32 products off the tensor cores: %.0f TFLOP/s.", "NVIDIA_TF32_OVERRIDE=0 使 fp32 矩阵乘不用张量核心: %.0f TFLOP/s。", tf32);
        doctor_cure(d, p, "unset NVIDIA_TF32_OVERRIDE; torch.set_float32_matmul_precision(\"high\") where 10 bits of mantissa suffice",
                    "unset NVIDIA_TF32_OVERRIDE; 10 位尾数够用时 torch.set_float32_matmul_precision(\"high\")");
        slow = true;
    }
    if (!slow) doctor_fine(d, "%s", s.text);
}

static void products_run(doctor *d) {
    if (!doctor_measures(d)) return;
    doctor_busy(d, "-");
    const doctor_facts *f = doctor_products(d);
    const char *blas = doctor_fact(f, "blas");
    if (blas && !strncmp(blas, "no:", 3)) {
        doctor_unknown(d, "products were not measured: %s", blas + 3);
        return;
    }
    for (int i = 0; i < 16; i++)
        if (doctor_fact(f, "gpu.%d.name", i)) products_gpu(d, f, i);
    doctor_unmeasured(d, f, "products");
}

DOCTOR_CHECK(products, .code = 1503, .layer = DOCTOR_MEASURED, .reads = "timed cuBLASLt products; clocks, power, reasons by NVML meanwhile", .asks = "do matrix products reach what the part can do?",
             .finds = {"deep-gemm-slow", "deep-throttled", "deep-power-limit", "deep-clocks-low", "deep-tf32-off", "deep-gemm-wrong"}, .deep = true, .run = products_run);
