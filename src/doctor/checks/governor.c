/* The CPU's clock policy. Launch-bound work is as slow as one core. */
#include "doctor/doctor.h"

#include <string.h>

static void governor_run(doctor *d) {
    const char *base = "/sys/devices/system/cpu/cpu0/cpufreq";
    const char *governor = doctor_line(d, "%s/scaling_governor", base), *driver = doctor_line(d, "%s/scaling_driver", base), *wish = doctor_line(d, "%s/energy_performance_preference", base);
    if (!governor) return; /* a virtual machine: the host decides */
    /* With intel_pstate and amd-pstate-epp "powersave" is the normal policy and the preference decides. */
    bool own = driver && (!strcmp(driver, "intel_pstate") || !strcmp(driver, "amd-pstate-epp"));
    bool slow = own ? wish && !strcmp(wish, "power") : !strcmp(governor, "powersave") || !strcmp(governor, "conservative");
    if (!slow) {
        doctor_fine(d, "governor %s, driver %s%s%s", governor, driver ? driver : "?", wish ? ", preference " : "", wish ? wish : "");
        return;
    }
    doctor_finding *f = doctor_find(d, DOCTOR_SLOW, "governor-powersave", "https://docs.kernel.org/admin-guide/pm/cpufreq.html");
    doctor_evidence(d, f, "%s: scaling_governor %s, scaling_driver %s, energy_performance_preference %s", base, governor, driver ? driver : "?", wish ? wish : "-");
    doctor_cause(d, f, "The CPU is told to save power: kernel launches and the loader run at its lowest clock.", "CPU 处于省电策略: 内核启动和数据加载都跑在最低频率。");
    doctor_cure(d, f, own ? "echo performance | sudo tee /sys/devices/system/cpu/cpu*/cpufreq/energy_performance_preference" : "sudo cpupower frequency-set -g performance", NULL);
}

DOCTOR_CHECK(governor, .code = 1001, .layer = DOCTOR_HOST, .reads = "/sys/devices/system/cpu/cpu0/cpufreq", .asks = "does the CPU run at its clock?", .finds = {"governor-powersave"}, .run = governor_run);
