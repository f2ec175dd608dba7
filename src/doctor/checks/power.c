/* Power and clocks: limits that somebody set, and what the hardware holds back at this moment. Clocks themselves mean nothing at idle. */
#include "doctor/gpus.h"

#include <string.h>

#define POWER_LINK "https://docs.nvidia.com/deploy/nvml-api/group__nvmlClocksEventReasons.html"
enum { POWER_HW_SLOWDOWN = 0x8, POWER_SW_THERMAL = 0x20, POWER_HW_THERMAL = 0x40, POWER_BRAKE = 0x80, POWER_NEAR_C = 3 };

static bool power_is_mobile(const char *name) { return strstr(name, "Laptop") || strstr(name, "Max-Q") || strstr(name, "Mobile"); }

static void power_run(doctor *d) {
    int n = doctor_gpus(d), bad = 0, known = 0;
    const char *fine = "";
    for (int i = 0; i < n; i++) {
        const char *name = doctor_gpu_name(d, i);
        int64_t limit = doctor_gpu_int(d, i, "power_enforced", 0), normal = doctor_gpu_int(d, i, "power_default", 0), reasons = doctor_gpu_int(d, i, "clock_reasons", 0);
        int64_t heat = doctor_gpu_int(d, i, "temperature", 0), slowdown = doctor_gpu_int(d, i, "temperature_slowdown", 0), margin = doctor_gpu_int(d, i, "temperature_margin", INT32_MAX);
        int64_t set = doctor_gpu_int(d, i, "clock_sm_application", 0), plain = doctor_gpu_int(d, i, "clock_sm_default", 0), most = doctor_gpu_int(d, i, "clock_sm_max", 0);
        if (!doctor_gpu_works(d, i) || doctor_gpu_int(d, i, "virtualization", 0) == 2) continue; /* a vGPU's are the host's matter */
        known++;
        if (limit > 0 && normal > 0 && limit < normal * 95 / 100 && !power_is_mobile(name)) { /* a laptop moves its limit all the time */
            const char *numbers = doctor_text(d, "%s: enforced limit %lld W, default %lld W", name, (long long)limit / 1000, (long long)normal / 1000);
            bad++;
            if (!doctor_again(d, "power-limit-low", numbers)) {
                doctor_finding *f = doctor_find(d, DOCTOR_SLOW, "power-limit-low", POWER_LINK);
                doctor_evidence(d, f, "%s", numbers);
                doctor_cause(d, f, "%s may draw %lld W of its %lld: under load its clocks stay below what it can do.", "%s 的功率上限是 %lld W (默认 %lld W): 满载时频率上不去。", name, (long long)limit / 1000, (long long)normal / 1000);
                doctor_cure(d, f, n > 1 ? "sudo nvidia-smi -i %d -pl %lld, and so for each GPU above" : "sudo nvidia-smi -i %d -pl %lld", n > 1 ? "sudo nvidia-smi -i %d -pl %lld, 上面列出的每块 GPU 都要执行" : NULL, i, (long long)normal / 1000);
            }
        }
        if (set > 0 && most > 0 && set != plain && set < most * 98 / 100) {
            const char *numbers = doctor_text(d, "%s: application clock %lld MHz, default %lld, most %lld", name, (long long)set, (long long)plain, (long long)most);
            bad++;
            if (!doctor_again(d, "clocks-set-low", numbers)) {
                doctor_finding *f = doctor_find(d, DOCTOR_SLOW, "clocks-set-low", POWER_LINK);
                doctor_evidence(d, f, "%s", numbers);
                doctor_cause(d, f, "The application clock of %s was set to %lld MHz; it can run at %lld.", "%s 的应用频率被设为 %lld MHz, 最高可到 %lld。", name, (long long)set, (long long)most);
                doctor_cure(d, f, n > 1 ? "sudo nvidia-smi -rac; sudo nvidia-smi -rgc (for one GPU: -i %d)" : "sudo nvidia-smi -i %1$d -rac; sudo nvidia-smi -i %1$d -rgc",
                            n > 1 ? "sudo nvidia-smi -rac; sudo nvidia-smi -rgc (单块 GPU 加 -i %d)" : NULL, i);
            }
        }
        bool hot = reasons & (POWER_HW_THERMAL | POWER_SW_THERMAL) || (heat > 0 && slowdown > 0 && heat + POWER_NEAR_C >= slowdown) || margin <= POWER_NEAR_C;
        if (hot) {
            doctor_finding *f = doctor_find(d, DOCTOR_SLOW, "gpu-hot", POWER_LINK);
            doctor_evidence(d, f, "%s: %lld C, slows down at %s%s; clock event reasons 0x%llx", name, (long long)heat, slowdown > 0 ? doctor_text(d, "%lld C", (long long)slowdown) : "?",
                            margin != INT32_MAX ? doctor_text(d, " (%lld C left)", (long long)margin) : "", (unsigned long long)reasons);
            doctor_cause(d, f, reasons & (POWER_HW_THERMAL | POWER_SW_THERMAL) ? "%s is too hot and holds its clocks down now." : "%s is about to slow down for heat.",
                         reasons & (POWER_HW_THERMAL | POWER_SW_THERMAL) ? "%s 过热, 正在降频。" : "%s 温度接近降频阈值。", name);
            doctor_cure(d, f, "check fans, dust, air flow and the room; nvidia-smi -q -d TEMPERATURE,PERFORMANCE", "检查风扇、灰尘、风道和机房温度; nvidia-smi -q -d TEMPERATURE,PERFORMANCE");
            bad++;
        }
        if (reasons & POWER_BRAKE || (reasons & POWER_HW_SLOWDOWN && !hot)) {
            doctor_finding *f = doctor_find(d, DOCTOR_SLOW, "power-brake", POWER_LINK);
            doctor_evidence(d, f, "%s: clock event reasons 0x%llx (%s)", name, (unsigned long long)reasons, reasons & POWER_BRAKE ? "HwPowerBrakeSlowdown" : "HwSlowdown");
            doctor_cause(d, f, "The machine's power supply tells %s to slow down (a supply failed, is too weak, or a cable is loose).", "机器的供电要求 %s 降频 (电源故障、功率不足或供电线松动)。", name);
            doctor_cure(d, f, "check power supplies and the GPU's power cables; the BMC's log says which", "检查电源和 GPU 供电线; BMC 日志会说明是哪一路");
            bad++;
        }
        if (limit > 0) fine = doctor_listed(d, fine, doctor_text(d, "GPU %d %lld of %lld W, %lld C", i, (long long)doctor_gpu_int(d, i, "power", 0) / 1000, (long long)limit / 1000, (long long)heat));
    }
    if (known && !bad && *fine) doctor_fine(d, "%s", fine);
}

DOCTOR_CHECK(power, .code = 804, .layer = DOCTOR_GPU, .reads = "nvmlDeviceGetEnforcedPowerLimit, nvmlDeviceGetApplicationsClock, nvmlDeviceGetCurrentClocksEventReasons, temperature",
             .asks = "does a limit, heat or the power supply hold the clocks down?", .finds = {"power-limit-low", "clocks-set-low", "gpu-hot", "power-brake"}, .run = power_run);
