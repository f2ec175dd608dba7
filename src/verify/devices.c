/* What is there: GPUs, their properties, libraries; links between GPUs. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <taper/cuda.h>
#include <taper/threads.h>

#include "verify/verify.h"

bool verify_has_provider(const char *name) {
    char text[4096], line[64];
    taper_cuda_describe_providers(text, sizeof text);
    snprintf(line, sizeof line, "%s ", name);
    const char *at = strstr(text, line);
    return at && (at == text || at[-1] == '\n');
}

taper_status verify_devices(verify_run *r) {
    const char *why = NULL;
    int count = taper_cuda_device_count(&why), want = r->options->gpus;
    bool driver = !access("/proc/driver/nvidia/version", F_OK) || !access("/dev/nvidiactl", F_OK) || !access("/dev/dxg", F_OK);
    verify_value(r, "gpus", "GPUs", 0, count > 0 ? count : 0);
    if (count < 1) {
        verify_set(r, driver || want > 0 ? VERIFY_FAIL : VERIFY_SKIP);
        if (driver) verify_say(r, "a driver is here but no GPU can be used: %s (taper doctor says more)", "有驱动但没有可用的 GPU: %s (详见 taper doctor)", why ? why : "?");
        else if (want > 0) verify_say(r, "%d GPUs wanted, none here: %s", "需要 %d 个 GPU, 这里没有: %s", want, why ? why : "?");
        else verify_say(r, "no GPU here: only the CPU's part is checked (%s)", "这里没有 GPU: 只检查 CPU 部分 (%s)", why ? why : "?");
        return TAPER_OK;
    }
    char names[900] = "";
    size_t n = 0;
    for (int i = 0, same = 1; i < count && n < sizeof names - 300; i += same) {
        taper_cuda_properties gpu = {.size = sizeof gpu}, next = {.size = sizeof next};
        TAPER_TRY(taper_cuda_get_properties(&gpu, i));
        for (same = 1; i + same < count; same++) {
            TAPER_TRY(taper_cuda_get_properties(&next, i + same));
            if (strcmp(gpu.name, next.name)) break;
        }
        n += (size_t)snprintf(names + n, sizeof names - n, "%s%d x %s", n ? ", " : "", same, gpu.name);
    }
    if (want >= 0 && count != want) {
        verify_set(r, VERIFY_FAIL);
        verify_say(r, "%d GPUs wanted, %d can be used: %s", "需要 %d 个 GPU, 可用 %d 个: %s", want, count, names);
        return TAPER_OK;
    }
    verify_say(r, "CUDA available, %d GPU(s): %s", "CUDA 可用, GPU 数量 %d: %s", count, names);
    return TAPER_OK;
}

taper_status verify_properties(verify_run *r) {
    taper_cuda_properties gpu = {.size = sizeof gpu};
    size_t room = 0, total = 0;
    TAPER_TRY(taper_cuda_get_properties(&gpu, r->device.index));
    TAPER_TRY(taper_cuda_mem_info(&room, &total, r->device.index));
    double memory = verify_part(r->device, "mem_gb"), sms = verify_part(r->device, "sm"), cc = verify_part(r->device, "cc");
    verify_value(r, "memory", "GiB", 0, (double)total / 0x1p30);
    verify_value(r, "memory_free", "GiB", 0, (double)room / 0x1p30);
    verify_value(r, "multiprocessors", "SMs", 0, gpu.multiprocessors);
    bool odd = (cc > 0 && (int)(cc * 10 + 0.5) != gpu.major * 10 + gpu.minor) || (sms > 0 && sms != gpu.multiprocessors) || (memory > 0 && (double)total < 0.85e9 * memory);
    verify_say(r, "%s: compute capability %d.%d, %d SMs, %.1f GiB (%.1f free), %.2f GHz, PCI %04x:%02x:%02x%s%.0s", "%s: 计算能力 %d.%d, %d 个 SM, 显存 %.1f GiB (空闲 %.1f), %.2f GHz, PCI %04x:%02x:%02x%.0s%s", gpu.name,
               gpu.major, gpu.minor, gpu.multiprocessors, (double)total / 0x1p30, (double)room / 0x1p30, gpu.clock_khz * 1e-6, (unsigned)gpu.pci_domain, (unsigned)gpu.pci_bus,
               (unsigned)gpu.pci_device, VERIFY_WORD(odd, " (a part of it: MIG or a vGPU)", " (部分资源: MIG 或 vGPU)", "", ""));
    return TAPER_OK;
}
