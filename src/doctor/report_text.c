/* The report for people: worst first, one screen, every value on request. */
#include "doctor/state.h"

#include <string.h>

enum { REPORT_SHOWN = 8 }; /* findings with their cure on one screen */

static const char *report_pick(const doctor *d, const char *en, const char *zh) { return d->options.chinese ? zh : en; }

/* "2 GPUs: NVIDIA H200; driver 580.1 (CUDA up to 13.0); in docker; 8 CPUs of 64" */
static const char *report_machine(doctor *d) {
    doctor_buffer b = {NULL, 0, 0};
    const doctor_facts *nvml = doctor_nvml(d);
    int64_t gpus = doctor_fact_int(nvml, 0, "count"), cuda = doctor_fact_int(nvml, 0, "cuda");
    if (gpus > 0) doctor_print(&b, "%d x %s", (int)gpus, doctor_fact(nvml, "gpu.0.name") ? doctor_fact(nvml, "gpu.0.name") : "GPU");
    else doctor_print(&b, "%s", report_pick(d, "no usable NVIDIA GPU", "没有可用的 NVIDIA GPU"));
    if (doctor_fact(nvml, "driver")) doctor_print(&b, report_pick(d, "; driver %s", "; 驱动 %s"), doctor_fact(nvml, "driver"));
    if (cuda) doctor_print(&b, report_pick(d, " (runs CUDA up to %d.%d)", "(最高支持 CUDA %d.%d)"), (int)(cuda / 1000), (int)(cuda % 1000 / 10));
    if (doctor_container(d)) doctor_print(&b, report_pick(d, "; container: %s", "; 容器: %s"), doctor_container(d));
    const char *status = doctor_read(d, "/proc/self/status", NULL, NULL), *cpus = status ? doctor_field(d, status, "Cpus_allowed_list") : NULL;
    double quota = doctor_cpu_quota(d);
    if (cpus) doctor_print(&b, report_pick(d, "; %d CPUs", "; %d 个 CPU"), doctor_list_count(cpus));
    if (quota > 0) doctor_print(&b, report_pick(d, ", quota %.3g", ", 配额 %.3g"), quota);
    const char *text = doctor_text(d, "%s", b.data ? b.data : "");
    taper__free(b.data);
    return text;
}

typedef struct report_style {
    const char *broken, *slow, *unknown, *fine, *strong, *dim, *end;
} report_style;

static void report_problem(doctor *d, doctor_buffer *b, const doctor_finding *f, const report_style *s, bool verbose) {
    const char *colour = f->verdict == DOCTOR_BROKEN ? s->broken : f->verdict == DOCTOR_SLOW ? s->slow : s->unknown;
    const char *word = f->verdict == DOCTOR_BROKEN ? report_pick(d, "BROKEN", "故障")
                       : f->verdict == DOCTOR_SLOW ? report_pick(d, "SLOW", "变慢")
                                                   : report_pick(d, "UNKNOWN", "未知");
    doctor_print(b, "\n%s%s%s  %s%s%s", colour, word, s->end, s->strong, f->cause ? f->cause : f->evidence ? f->evidence : f->id, s->end);
    doctor_print(b, "%s  [%s]%s\n", s->dim, f->id, s->end);
    if (f->cause && f->evidence) doctor_print(b, "    %s %s\n", report_pick(d, "seen:", "依据:"), f->evidence);
    if (f->cure) doctor_print(b, "    %s  %s\n", report_pick(d, "cure:", "处理:"), f->cure);
    if (f->link && (verbose || f->verdict == DOCTOR_BROKEN)) doctor_print(b, "    %s%s%s\n", s->dim, f->link, s->end);
}

const char *doctor_report_text(doctor *d) {
    bool verbose = d->options.verbose;
    static const report_style plain = {"", "", "", "", "", "", ""},
                              bright = {"\033[1;31m", "\033[1;33m", "\033[1;36m", "\033[32m", "\033[1m", "\033[2m", "\033[0m"};
    const report_style *s = d->options.colour ? &bright : &plain;
    doctor_buffer b = {NULL, 0, 0};
    int counts[4] = {0}, shown = 0, more = 0;
    for (int i = 0; i < d->count; i++) counts[d->findings[i].verdict]++;
    doctor_print(&b, report_pick(d, "taper doctor: %d broken, %d slow, %d fine, %d could not be told (%.1f s)\n",
                                 "taper doctor: %d 项故障, %d 项变慢, %d 项正常, %d 项无法判断 (%.1f 秒)\n"),
                 counts[DOCTOR_BROKEN], counts[DOCTOR_SLOW], counts[DOCTOR_OK], counts[DOCTOR_UNKNOWN], d->seconds);
    doctor_print(&b, "%s%s%s\n", s->dim, report_machine(d), s->end);
    for (int i = 0; i < d->count; i++) /* what a job is and does, also where nothing is wrong */
        if (d->findings[i].verdict == DOCTOR_OK && d->findings[i].cause) doctor_print(&b, "%s%s%s\n", s->fine, d->findings[i].cause, s->end);
    for (int verdict = DOCTOR_BROKEN; verdict >= DOCTOR_UNKNOWN; verdict--)
        for (int i = 0; i < d->count; i++) {
            const doctor_finding *f = &d->findings[i];
            if ((int)f->verdict != verdict || (verdict == DOCTOR_UNKNOWN && !verbose && !f->cause)) continue;
            if (verbose || shown < REPORT_SHOWN) report_problem(d, &b, f, s, verbose);
            else more++;
            shown++;
        }
    if (more) doctor_print(&b, report_pick(d, "\nand %d more: taper doctor --verbose\n", "\n另有 %d 项: taper doctor --verbose\n"), more);
    if (verbose || d->options.deep) { /* who asks for measurements wants to see them */
        doctor_print(&b, "\n");
        for (int i = 0; i < d->count; i++) {
            const doctor_finding *f = &d->findings[i];
            if (f->verdict == DOCTOR_OK && (verbose || f->check->deep))
                doctor_print(&b, "%s%-4s%s %-11s %-18s %s\n", s->fine, report_pick(d, "ok", "正常"), s->end, doctor_layer_name(f->check->layer),
                             f->check->name, f->evidence ? f->evidence : "");
        }
    }
    if (!verbose && !shown) {
        doctor_print(&b, "%s", d->options.deep ? report_pick(d, "\nNothing found that would stop or slow training. --verbose shows every value.\n", "\n没有发现会阻止或拖慢训练的问题。--verbose 显示每个读数。\n")
                               : d->options.pid ? report_pick(d, "Nothing found that would stop or slow this job. --verbose shows every value.\n", "没有发现会阻止或拖慢该任务的问题。--verbose 显示每个读数。\n")
                                              : report_pick(d, "Nothing found that would stop or slow training. --deep measures; --verbose shows every value.\n",
                                                            "没有发现会阻止或拖慢训练的问题。--deep 做实测, --verbose 显示每个读数。\n"));
    }
    const char *text = doctor_text(d, "%s", b.data ? b.data : "");
    taper__free(b.data);
    return text;
}

const char *doctor_list_text(doctor *d) {
    doctor_buffer b = {NULL, 0, 0};
    int n = 0, finds = 0;
    for (const doctor_check *const *c = doctor_checks(); *c; c++, n++) {
        doctor_print(&b, "%4d  %-11s %-18s %s%s\n      reads: %s\n      finds:", (*c)->code, doctor_layer_name((*c)->layer), (*c)->name, (*c)->asks,
                     (*c)->deep ? " (--deep)" : (*c)->live ? " (--pid)" : (*c)->log ? " (--log)" : "", (*c)->reads);
        for (int i = 0; i < DOCTOR_FINDS && (*c)->finds[i]; i++, finds++) doctor_print(&b, " %s", (*c)->finds[i]);
        for (int i = 0; (*c)->more && (*c)->more(i); i++, finds++) doctor_print(&b, " %s", (*c)->more(i));
        doctor_print(&b, "\n");
    }
    doctor_print(&b, "%d checks, %d findings\n", n, finds);
    const char *text = doctor_text(d, "%s", b.data ? b.data : "");
    taper__free(b.data);
    return text;
}
