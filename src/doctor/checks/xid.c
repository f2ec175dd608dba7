/* Faults that the driver wrote into the kernel's log, where that may be read. It never has to be. */
#include "doctor/gpus.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { XID_RECORDS = 50000, XID_KEPT = 64, XID_RECENT_S = 24 * 3600 };
typedef enum xid_kind { XID_PROGRAM, XID_MEMORY, XID_LOST, XID_LINK, XID_HARDWARE } xid_kind;

static const struct xid_meaning {
    int number;
    xid_kind kind;
    const char *en, *zh;
} xid_meanings[] = {
    {13, XID_PROGRAM, "a kernel read or wrote out of bounds", "核函数越界或非法指令"},
    {31, XID_PROGRAM, "a kernel touched an address that is not mapped", "核函数访问了未映射的地址"},
    {32, XID_HARDWARE, "damaged commands arrived (driver or bus)", "命令流损坏 (驱动或总线)"},
    {43, XID_PROGRAM, "a program's fault stopped its channel", "程序错误导致通道停止"},
    {45, XID_PROGRAM, "a program was ended while it computed", "计算中的程序被终止"},
    {48, XID_MEMORY, "a double-bit memory error", "双比特显存错误"},
    {61, XID_HARDWARE, "the firmware's microcontroller stopped", "固件微控制器停机"},
    {62, XID_HARDWARE, "the firmware's microcontroller halted", "固件微控制器挂起"},
    {63, XID_MEMORY, "a memory row was replaced", "显存行已重映射"},
    {64, XID_MEMORY, "a memory row could not be replaced", "显存行重映射失败"},
    {74, XID_LINK, "an NVLink error", "NVLink 错误"},
    {79, XID_LOST, "the GPU fell off the bus", "GPU 从总线掉线"},
    {92, XID_MEMORY, "many single-bit memory errors", "单比特错误过多"},
    {94, XID_MEMORY, "a memory error that hit one program", "显存错误, 只影响一个程序"},
    {95, XID_MEMORY, "a memory error that hit every program", "显存错误, 影响所有程序"},
    {109, XID_HARDWARE, "a context switch never ended", "上下文切换超时"},
    {119, XID_HARDWARE, "the GPU's system processor (GSP) does not answer", "GSP 无应答"},
    {120, XID_HARDWARE, "the GPU's system processor (GSP) failed", "GSP 出错"},
    {140, XID_MEMORY, "memory errors that could not be corrected", "不可纠正的显存错误"},
};

/* Keys: open (errno), now (seconds since boot), count, xid.K ("SECONDS LINE"), the last of them where there are many. */
static void xid_probe(doctor_out *o, void *ctx) {
    static char kept[XID_KEPT][400];
    char record[8192];
    struct timespec t;
    int n = 0, fd = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    (void)ctx;
    doctor_say(o, "open", "%s", fd < 0 ? "no" : "0");
    if (fd < 0) return;
    clock_gettime(CLOCK_BOOTTIME, &t);
    doctor_say(o, "now", "%lld", (long long)t.tv_sec);
    for (int i = 0; i < XID_RECORDS; i++) { /* one record a read; EPIPE where old ones were overwritten meanwhile */
        ssize_t got = read(fd, record, sizeof record - 1);
        if (got <= 0) {
            if (got < 0 && (errno == EPIPE || errno == EINTR)) continue;
            break;
        }
        record[got] = 0;
        const char *text = strchr(record, ';'), *xid = text ? strstr(text, "NVRM: Xid") : NULL;
        long long us = 0;
        if (!xid || sscanf(record, "%*[^,],%*[^,],%lld", &us) != 1) continue;
        snprintf(kept[n++ % XID_KEPT], sizeof kept[0], "%lld %.*s", us / 1000000, (int)strcspn(xid, "\n"), xid);
    }
    close(fd);
    for (int i = n > XID_KEPT ? n - XID_KEPT : 0; i < n; i++) {
        char key[32];
        snprintf(key, sizeof key, "xid.%d", n > XID_KEPT ? i - (n - XID_KEPT) : i);
        doctor_say(o, key, "%s", kept[i % XID_KEPT]);
    }
    doctor_say(o, "count", "%d", n < XID_KEPT ? n : XID_KEPT);
}

/* NVML tells of the same fault, and its check says more. */
static bool xid_is_told(doctor *d, xid_kind kind) {
    const doctor_facts *nvml = doctor_nvml(d);
    int n = (int)doctor_fact_int(nvml, 0, "count");
    if (kind == XID_LOST && doctor_fact_int(nvml, 0, "init") == 15) return true;
    for (int i = 0; i < n && i < DOCTOR_GPUS_MAX; i++) {
        if (kind == XID_LOST && doctor_gpu_int(d, i, "error", 0) == 15) return true;
        if (kind == XID_MEMORY && (doctor_gpu_int(d, i, "rows_pending", 0) > 0 || doctor_gpu_int(d, i, "rows_failed", 0) > 0 || doctor_gpu_int(d, i, "pages_pending", 0) > 0 || doctor_gpu_int(d, i, "ecc_uncorrected", 0) > 0)) return true;
        if (kind == XID_LINK && doctor_fact(nvml, "gpu.%d.nvlinks_down", i) && doctor_gpu_int(d, i, "nvlinks_active", 0) > 0) return true;
    }
    return false;
}

static void xid_run(doctor *d) {
    if (doctor_ladder(d) < RUNG_NVML) return;
    const doctor_facts *log = doctor_probe(d, "xid", xid_probe, NULL, 3000);
    int n = (int)doctor_fact_int(log, 0, "count"), times = 0, programs = 0, old = 0;
    const char *open = doctor_fact(log, "open"), *worst_line = NULL, *mild = "";
    const struct xid_meaning *worst = NULL;
    int64_t now = doctor_fact_int(log, 0, "now"), worst_at = 0;
    if (!open || strcmp(open, "0")) return; /* dmesg is for root on most machines */
    for (int i = 0; i < n && i < XID_KEPT; i++) {
        const char *value = doctor_fact(log, "xid.%d", i), *number = value ? strchr(value, ')') : NULL;
        char *line;
        int64_t at = value ? strtoll(value, &line, 10) : 0;
        int code = number && number[1] == ':' ? atoi(number + 2) : 0;
        const struct xid_meaning *m = NULL;
        for (int k = 0; k < TAPER_COUNT(xid_meanings); k++)
            if (xid_meanings[k].number == code) m = &xid_meanings[k];
        if (code <= 0) continue;
        if (now - at > XID_RECENT_S) {
            old++;
        } else if (!m || m->kind == XID_PROGRAM) {
            programs++;
            mild = doctor_text(d, "Xid %d (%s)", code, m ? m->en : "see NVIDIA's list");
        } else if (!xid_is_told(d, m->kind)) {
            times++;
            if (!worst || m->kind >= worst->kind) worst = m, worst_line = line + strspn(line, " "), worst_at = at;
        }
    }
    if (!worst) {
        if (programs) doctor_fine(d, "%d Xids within a day, the last %s; none that tells of a fault of the hardware", programs, mild);
        else doctor_fine(d, "no Xid in the kernel's log of the last day%s", old ? ", only older ones" : "");
        return;
    }
    doctor_finding *f = doctor_find(d, DOCTOR_BROKEN, worst->kind == XID_MEMORY ? "xid-memory" : worst->kind == XID_LOST ? "xid-lost" : worst->kind == XID_LINK ? "xid-link" : "xid-hardware",
                                    "https://docs.nvidia.com/deploy/xid-errors/index.html");
    doctor_evidence(d, f, "/dev/kmsg, %lld min ago: %.200s%s", (long long)(now - worst_at) / 60, worst_line, times > 1 ? doctor_text(d, " (and %d more within a day)", times - 1) : "");
    doctor_cause(d, f, "The driver reported Xid %1$d: %2$s.%3$.0s", "驱动报告了 Xid %1$d: %3$s。%2$.0s", worst->number, worst->en, worst->zh);
    if (worst->kind == XID_LOST) doctor_cure(d, f, "reboot; check power cables and temperature", "重启, 检查供电和温度");
    else if (worst->kind == XID_LINK) doctor_cure(d, f, "nvidia-smi nvlink -s -e; reset the GPUs or reboot; reseat bridge or module", "nvidia-smi nvlink -s -e; 复位 GPU 或重启; 重新插接桥或模组");
    else doctor_cure(d, f, "end the GPU's jobs, then sudo nvidia-smi --gpu-reset, or reboot; when it returns: dcgmi diag -r 3, newer driver, RMA", "停掉其上任务, 然后 sudo nvidia-smi --gpu-reset 或重启; 再次出现则 dcgmi diag -r 3、升级驱动、返修");
}

DOCTOR_CHECK(xid, .code = 810, .layer = DOCTOR_GPU, .reads = "/dev/kmsg, where it may be read", .asks = "did the driver report a fault of a GPU lately?",
             .finds = {"xid-memory", "xid-lost", "xid-link", "xid-hardware"}, .run = xid_run);
