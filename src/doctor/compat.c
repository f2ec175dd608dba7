/* From a question as users put it to the answer. */
#include "doctor/compat.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *compat_verdict_name(compat_verdict v) {
    static const char *const names[] = {"strict", "minor", "ptx", "forward", "unknown", "fails"};
    return v <= COMPAT_FAILS ? names[v] : "?";
}

compat_say compat_verdict_say(compat_verdict v) {
    static const compat_say says[] = {COMPAT_SAY_runs_strict, COMPAT_SAY_runs_minor, COMPAT_SAY_runs_ptx,
                                      COMPAT_SAY_runs_forward, COMPAT_SAY_unknown, COMPAT_SAY_fails};
    return v <= COMPAT_FAILS ? says[v] : COMPAT_SAY_unknown;
}

const char *compat_sentence(compat_say say, bool chinese) {
    static const char *const en[] = {
#define COMPAT_SAY(id, english, other) english,
#include "doctor/compat_says.def"
#undef COMPAT_SAY
    };
    static const char *const zh[] = {
#define COMPAT_SAY(id, english, other) other,
#include "doctor/compat_says.def"
#undef COMPAT_SAY
    };
    return say >= COMPAT_SAYS ? "" : chinese ? zh[say] : en[say];
}

int compat_exit_code(const compat_answer *a) { return a->verdict == COMPAT_FAILS ? 2 : a->verdict == COMPAT_UNKNOWN ? 3 : 0; }

static void compat_told(compat_answer *a, const char *topic, compat_mark mark, compat_say say, const char *p, const char *q, const char *r) {
    compat_add(a, false, topic, mark, say, NULL, -1, p, q, r, NULL);
}

/* The CUDA versions of all builds of a torch version: "11.8, 12.6, 12.8". */
static void compat_variants(char *out, size_t size, const char *torch_version) {
    const doctor_table *t = doctor_table_open("torch_builds");
    size_t n = 0;
    *out = 0;
    for (int row = doctor_table_find(t, 0, "torch", torch_version); row >= 0 && n < size - 16; row = doctor_table_find(t, row + 1, "torch", torch_version))
        n += (size_t)snprintf(out + n, size - n, "%s%.8s", n ? ", " : "", doctor_cell(t, row, "cuda"));
}

/* "2.7.1-cuda12.6-cudnn9-devel" of a build; false when its images are not known. */
static bool compat_tag(char *out, size_t size, int row, const char *kind) {
    const char *tag = doctor_cell(doctor_table_open("torch_builds"), row, "docker_tag");
    size_t n = strcspn(tag, "{");
    snprintf(out, size, "pytorch/pytorch:%.*s%s", (int)n, tag, *kind ? kind : "runtime");
    return n > 0;
}

static int compat_build_row(const char *torch_version, const char *cuda) {
    const doctor_table *t = doctor_table_open("torch_builds");
    for (int row = doctor_table_find(t, 0, "torch", torch_version); row >= 0; row = doctor_table_find(t, row + 1, "torch", torch_version))
        if (!strcmp(doctor_cell(t, row, "cuda"), cuda)) return row;
    return -1;
}

/* The row of torch_version and cuda, with its reason; COMPAT_STRICT when it exists. */
static compat_verdict compat_build(compat_answer *a) {
    const doctor_table *t = doctor_table_open("torch_builds");
    int any = doctor_table_find(t, 0, "torch", a->torch_version);
    char list[128];
    if (any < 0) {
        compat_told(a, "build", COMPAT_UNSURE, COMPAT_SAY_build_unknown, a->torch_version, NULL, NULL);
        return COMPAT_UNKNOWN;
    }
    if (!*a->cuda) {
        int row = any;
        while (row >= 0 && strcmp(doctor_cell(t, row, "pypi_default"), "1")) row = doctor_table_find(t, row + 1, "torch", a->torch_version);
        if (row < 0) {
            compat_told(a, "build", COMPAT_UNSURE, COMPAT_SAY_build_no_default, a->torch_version, NULL, NULL);
            return COMPAT_UNKNOWN;
        }
        snprintf(a->cuda, sizeof a->cuda, "%.15s", doctor_cell(t, row, "cuda"));
        compat_add(a, false, "build", COMPAT_NOTE, COMPAT_SAY_build_default, t, row, a->torch_version, a->cuda, NULL, NULL);
    }
    int row = compat_build_row(a->torch_version, a->cuda);
    if (row < 0) {
        compat_variants(list, sizeof list, a->torch_version);
        compat_add(a, false, "build", COMPAT_BAD, COMPAT_SAY_build_none, t, any, a->torch_version, a->cuda, list, NULL);
        return COMPAT_FAILS;
    }
    const char *nccl = doctor_cell(t, row, "nccl");
    snprintf(list, sizeof list, "cuDNN %.20s%s%.20s", doctor_cell(t, row, "cudnn"), *nccl ? ", NCCL " : "", nccl);
    compat_add(a, false, "build", COMPAT_GOOD, COMPAT_SAY_build_found, t, row, a->torch_version, a->cuda, doctor_cell(t, row, "status"), list);
    compat_code_of_build(&a->code, row, &a->gpu);
    return COMPAT_STRICT;
}

static compat_verdict compat_image_named(compat_answer *a, const char *text) {
    const doctor_table *t = doctor_table_open("torch_builds");
    compat_image image;
    char variant[16], tag[96] = "", cudnn[16];
    bool read = compat_read_image(&image, text);
    if (!read || !image.official) {
        compat_told(a, "image", COMPAT_UNSURE, COMPAT_SAY_image_other, text, NULL, NULL);
        return COMPAT_UNKNOWN;
    }
    if (*image.torch_version) compat_read_torch(a->torch_version, variant, image.torch_version);
    snprintf(a->cuda, sizeof a->cuda, "%s", image.cuda);
    compat_verdict v = *a->torch_version && *a->cuda ? compat_build(a) : COMPAT_FAILS;
    int row = a->code.row;
    bool known = row >= 0 && compat_tag(tag, sizeof tag, row, image.kind);
    if (!image.exact) {
        compat_add(a, false, "image", COMPAT_BAD, known ? COMPAT_SAY_image_pattern : COMPAT_SAY_image_pattern_only, t, row, tag, NULL, NULL, NULL);
        return COMPAT_FAILS;
    }
    if (v != COMPAT_STRICT) return v;
    int major = atoi(doctor_cell(t, row, "cudnn"));
    if (major != image.cudnn) {
        char other[16];
        snprintf(cudnn, sizeof cudnn, "%d", major);
        snprintf(other, sizeof other, "%d", image.cudnn);
        compat_add(a, false, "image", COMPAT_BAD, COMPAT_SAY_image_cudnn, t, row, a->torch_version, cudnn, other, tag);
        return COMPAT_FAILS;
    }
    if (!known) {
        compat_add(a, false, "image", COMPAT_UNSURE, COMPAT_SAY_image_no_row, t, row, NULL, NULL, NULL, NULL);
        return COMPAT_UNKNOWN;
    }
    const char *colon = strrchr(text, ':');
    bool seen = !strcmp(strchr(tag, ':') + 1, colon ? colon + 1 : text) && !strcmp(doctor_cell(t, row, "docker_seen"), "1");
    compat_add(a, false, "image", seen ? COMPAT_GOOD : COMPAT_NOTE, seen ? COMPAT_SAY_image_seen : COMPAT_SAY_image_inferred, t, row, strchr(tag, ':') + 1, NULL, NULL, NULL);
    if (!strcmp(image.kind, "devel") && *a->driver_cuda && doctor_version_order(a->driver_cuda, a->cuda) < 0) {
        const doctor_table *forward = doctor_table_open("forward");
        compat_add(a, false, "image", COMPAT_NOTE, COMPAT_SAY_image_require, forward, doctor_table_find(forward, 0, "toolkit", a->cuda), a->cuda, a->driver, a->driver_cuda, NULL);
    }
    return v;
}

static compat_verdict compat_toolkit_named(compat_answer *a, const char *text) {
    const doctor_table *t = doctor_table_open("toolkits");
    if (!compat_read_cuda(a->cuda, text)) {
        compat_told(a, "build", COMPAT_UNSURE, COMPAT_SAY_build_not_cuda, text, NULL, NULL);
        return COMPAT_UNKNOWN;
    }
    int row = doctor_table_find(t, 0, "toolkit", a->cuda);
    const char *patch = text + strspn(text, "cudaCUDA");
    patch += strspn(patch, "0123456789");
    patch += *patch == '.';
    patch += strspn(patch, "0123456789");
    if (row >= 0 && *patch == '.' && atoi(patch + 1) > 0) { /* 12.4.1 is 12.4 update 1 */
        char update[16];
        snprintf(update, sizeof update, "U%d", atoi(patch + 1) % 1000);
        for (int r = row; r >= 0; r = doctor_table_find(t, r + 1, "toolkit", a->cuda))
            if (!strcmp(doctor_cell(t, r, "update"), update)) row = r;
    }
    if (row < 0) {
        compat_told(a, "build", COMPAT_UNSURE, COMPAT_SAY_toolkit_unknown, a->cuda, NULL, NULL);
        return COMPAT_UNKNOWN;
    }
    if (!strcmp(doctor_cell(t, row, "update"), "NONE")) {
        compat_add(a, false, "build", COMPAT_BAD, COMPAT_SAY_toolkit_none, t, row, a->cuda, NULL, NULL, NULL);
        return COMPAT_FAILS;
    }
    a->code = (compat_code){.cuda = doctor_cell(t, row, "toolkit"), .architectures = doctor_cell(t, row, "targets"), .ptx = "",
                            .strict = doctor_cell(t, row, "strict"), .minor = doctor_cell(t, row, "minor"), .table = t, .row = row};
    return COMPAT_STRICT;
}

static compat_verdict compat_torch_named(compat_answer *a, const compat_question *q) {
    char variant[16] = "";
    if (!compat_read_torch(a->torch_version, variant, q->torch_version)) {
        compat_told(a, "build", COMPAT_UNSURE, COMPAT_SAY_build_not_torch, q->torch_version, NULL, NULL);
        return COMPAT_UNKNOWN;
    }
    const char *cuda = q->cuda ? q->cuda : *variant ? variant : NULL;
    char own[16], asked[16];
    if (q->cuda && *variant && (!compat_read_cuda(own, variant) || !compat_read_cuda(asked, q->cuda) || strcmp(own, asked)) && strcmp(variant, q->cuda)) {
        compat_told(a, "build", COMPAT_UNSURE, COMPAT_SAY_build_conflict, q->torch_version, q->cuda, NULL);
        return COMPAT_UNKNOWN;
    }
    if (cuda && !strcmp(cuda, "cpu")) {
        compat_told(a, "build", COMPAT_BAD, COMPAT_SAY_build_cpu, NULL, NULL, NULL);
        return COMPAT_FAILS;
    }
    if (cuda && !compat_read_cuda(a->cuda, cuda)) {
        compat_told(a, "build", COMPAT_UNSURE, COMPAT_SAY_build_not_cuda, cuda, NULL, NULL);
        return COMPAT_UNKNOWN;
    }
    return compat_build(a);
}

/* A file's own GPU code replaces what the table says of the build. */
static compat_verdict compat_file_code(compat_answer *a, const compat_question *q, compat_verdict so_far) {
    const doctor_table *t = doctor_table_open("toolkits");
    if (so_far == COMPAT_FAILS) return so_far;
    if (a->code.row < 0) { /* not an official build: its toolkit tells the driver */
        int row = q->cuda && compat_read_cuda(a->cuda, q->cuda) ? doctor_table_find(t, 0, "toolkit", a->cuda) : -1;
        a->code = (compat_code){.torch_version = "", .cuda = row < 0 ? NULL : doctor_cell(t, row, "toolkit"), .strict = doctor_cell(t, row, "strict"),
                                .minor = doctor_cell(t, row, "minor"), .table = row < 0 ? NULL : t, .row = row};
    }
    a->code.architectures = q->architectures;
    a->code.ptx = q->ptx ? q->ptx : "";
    a->code.own = true;
    return COMPAT_STRICT;
}

/* A build's place in the order of preference; less is better. */
static bool compat_better(compat_verdict v, int row, compat_verdict best, int best_row) {
    const doctor_table *t = doctor_table_open("torch_builds");
    if (best_row < 0) return true;
    if (v != best) return v < best;
    return doctor_version_order(doctor_cell(t, row, "cuda"), doctor_cell(t, best_row, "cuda")) > 0;
}

static void compat_recommend(compat_answer *a) {
    const doctor_table *t = doctor_table_open("torch_builds");
    const char *driver = *a->driver ? a->driver : NULL;
    a->best = a->newest = -1;
    if (!a->gpu.cc || !driver) return;
    for (int row = 0; t && row < t->rows; row++) {
        compat_code code;
        compat_code_of_build(&code, row, &a->gpu);
        compat_verdict v = compat_judge(&a->gpu, driver, &code, NULL);
        if (v >= COMPAT_UNKNOWN) continue;
        if (!strcmp(code.torch_version, a->torch_version) && compat_better(v, row, a->best_verdict, a->best)) {
            a->best = row;
            a->best_verdict = v;
        }
        if (v > COMPAT_MINOR || strcmp(doctor_cell(t, row, "status"), "stable") || doctor_cell_weak(t, row, "released")) continue;
        int order = a->newest < 0 ? 1 : doctor_version_order(code.torch_version, doctor_cell(t, a->newest, "torch"));
        if (order > 0 || (!order && compat_better(v, row, a->newest_verdict, a->newest))) {
            a->newest = row;
            a->newest_verdict = v;
        }
    }
}

static bool compat_has(const compat_answer *a, compat_say say) {
    for (int i = 0; i < a->reason_count; i++)
        if (a->reasons[i].say == say) return true;
    return false;
}

/* The driver that would do, where a driver is what decides. */
static void compat_needs(compat_answer *a) {
    const char *minor = a->code.minor, *strict = a->code.strict, *floor = a->gpu.floor;
    if (a->code.row < 0 || (!*minor && !*strict)) return;
    if (compat_has(a, COMPAT_SAY_code_none) || compat_has(a, COMPAT_SAY_toolkit_late)) return;
    bool whole = compat_has(a, COMPAT_SAY_code_ptx) || compat_has(a, COMPAT_SAY_code_ptx_driver) || !*minor;
    a->driver_full = *strict ? strict : NULL;
    a->driver_least = *strict && (whole || doctor_version_order(strict, minor) < 0) ? strict : minor;
    if (floor && doctor_version_order(floor, a->driver_least) > 0) a->driver_least = floor;
    if (floor && a->driver_full && doctor_version_order(floor, a->driver_full) > 0) a->driver_full = floor;
}

bool compat_answer_question(const compat_question *q, compat_answer *a) {
    const doctor_table *t = doctor_table_open("torch_builds");
    memset(a, 0, sizeof *a);
    a->code.row = a->best = a->newest = -1;
    a->gpu.cc_row = -1;
    if (!t || !doctor_table_open("gpus") || !doctor_table_open("toolkits") || !doctor_table_open("cc")) return false;
    compat_verdict v = COMPAT_STRICT;
    bool gpu = false;
    if (!q->gpu || !*q->gpu) compat_told(a, "gpu", COMPAT_UNSURE, COMPAT_SAY_gpu_missing, NULL, NULL, NULL);
    else gpu = compat_find_gpu(&a->gpu, q->gpu, a);
    if (q->aarch64) a->gpu.host = "aarch64";
    if (!a->gpu.host) a->gpu.host = "";
    if (!a->gpu.class) a->gpu.class = "";
    bool driver_wrong = q->driver && (!doctor_version_valid(q->driver) || strlen(q->driver) >= sizeof a->driver || strchr(q->driver, '?'));
    if (driver_wrong) compat_told(a, "driver", COMPAT_UNSURE, COMPAT_SAY_driver_not, q->driver, NULL, NULL);
    else if (q->driver) snprintf(a->driver, sizeof a->driver, "%s", q->driver);
    if (*a->driver) compat_driver_cuda(a->driver_cuda, a->driver);
    if (q->image) v = compat_image_named(a, q->image);
    else if (q->torch_version) v = compat_torch_named(a, q);
    else if (q->toolkit) v = compat_toolkit_named(a, q->toolkit);
    else if (!q->architectures) {
        compat_told(a, "build", COMPAT_UNSURE, COMPAT_SAY_build_missing, NULL, NULL, NULL);
        if (gpu) compat_add(a, false, "gpu", COMPAT_NOTE, COMPAT_SAY_cc_maximum, doctor_table_open("cc"), a->gpu.cc_row, NULL, NULL, NULL, NULL);
        v = COMPAT_UNKNOWN;
    }
    if (q->architectures) v = compat_file_code(a, q, v);
    if (!gpu || driver_wrong) v = v == COMPAT_FAILS ? v : COMPAT_UNKNOWN;
    if ((a->code.row >= 0 || a->code.own) && gpu) {
        compat_verdict judged = compat_judge(&a->gpu, *a->driver ? a->driver : NULL, &a->code, a);
        v = judged > v ? judged : v;
    }
    a->verdict = v;
    compat_needs(a);
    if (gpu) compat_features(a);
    compat_recommend(a);
    return true;
}
