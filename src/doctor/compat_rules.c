/* The rules: is there code for the GPU, does the driver know the GPU, does it run the CUDA version. The worst of the three is the
 * verdict. */
#include "doctor/compat.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *rules_copy(compat_answer *a, const char *text) {
    if (!text) return NULL;
    size_t n = strlen(text), room = sizeof a->pool - a->pooled;
    if (n > 200) n = 200;
    if (n + 1 > room) return "";
    char *copy = a->pool + a->pooled;
    memcpy(copy, text, n);
    copy[n] = 0;
    for (char *c = copy; *c; c++)
        if ((unsigned char)*c < 0x20 || (unsigned char)*c > 0x7e) *c = '?';
    a->pooled += n + 1;
    return copy;
}

void compat_add(compat_answer *a, bool feature, const char *topic, compat_mark mark, compat_say say, const doctor_table *table, int row,
                const char *p, const char *q, const char *r, const char *s) {
    int *count = feature ? &a->feature_count : &a->reason_count;
    if (*count == COMPAT_REASONS) return;
    compat_reason *to = (feature ? a->features : a->reasons) + (*count)++;
    *to = (compat_reason){topic, mark, say, {rules_copy(a, p), rules_copy(a, q), rules_copy(a, r), rules_copy(a, s)}, row < 0 ? NULL : table, row};
}

#define RULES_SAY(topic, mark, say, table, row, ...) RULES_SAY4(topic, mark, say, table, row, __VA_ARGS__, NULL, NULL, NULL, NULL)
#define RULES_SAY4(topic, mark, say, table, row, a, b, c, d, ...)                                                                                  \
    (answer ? compat_add(answer, false, topic, COMPAT_##mark, COMPAT_SAY_##say, table, row, a, b, c, d) : (void)0)

static compat_verdict rules_worse(compat_verdict a, compat_verdict b) { return a > b ? a : b; }

/* The largest item of "8.0;8.6" that a GPU of this capability runs: the same major version, not above. A ? after it is reported. */
static bool rules_item(char out[16], bool *weak, const char *list, const char *cc, bool any_major) {
    bool found = false;
    for (const char *s = list; *s;) {
        size_t n = strcspn(s, ";"), firm = n;
        char item[16] = "";
        bool doubt = n && s[n - 1] == '?';
        if (doubt) firm--;
        if (firm > 0 && firm < sizeof item) {
            memcpy(item, s, firm);
            bool target = item[firm - 1] == 'a'; /* 9.0a runs on 9.0 alone */
            bool major = atoi(item) == atoi(cc);
            if ((target ? !strncmp(item, cc, firm - 1) && strlen(cc) == firm - 1 : (any_major || major) && doctor_version_order(item, cc) <= 0) &&
                (!found || doctor_version_order(item, out) >= 0)) {
                snprintf(out, 16, "%s", item);
                *weak = doubt;
                found = true;
            }
        }
        s += n + (s[n] == ';');
    }
    return found;
}

static bool rules_jetson(const compat_gpu *gpu) { return !strcmp(gpu->class, "jetson"); }

/* A toolkit's own programs: they hold what its compiler can make. */
static compat_verdict rules_toolkit(const compat_gpu *gpu, const compat_code *code, compat_answer *answer) {
    char item[16] = "";
    bool weak = false;
    const char *last = doctor_cell(doctor_table_open("cc"), gpu->cc_row, "last_toolkit");
    if (*last && doctor_version_order(code->cuda, last) > 0) {
        RULES_SAY("code", BAD, toolkit_late, doctor_table_open("cc"), gpu->cc_row, code->cuda, gpu->cc, last);
        return COMPAT_FAILS;
    }
    if (!code->architectures || !*code->architectures) {
        RULES_SAY("code", UNSURE, code_unknown, code->table, code->row, NULL);
        return COMPAT_UNKNOWN;
    }
    if (rules_item(item, &weak, code->architectures, gpu->cc, false)) {
        if (weak) RULES_SAY("code", UNSURE, code_weak, code->table, code->row, item);
        else if (!strcmp(item, gpu->cc)) RULES_SAY("code", GOOD, toolkit_target, code->table, code->row, code->cuda, gpu->cc);
        else RULES_SAY("code", GOOD, toolkit_near, code->table, code->row, code->cuda, gpu->cc, item);
        return weak ? COMPAT_UNKNOWN : COMPAT_STRICT;
    }
    if (rules_item(item, &weak, code->architectures, gpu->cc, true)) {
        RULES_SAY("code", NOTE, toolkit_early, code->table, code->row, code->cuda, gpu->cc);
        return COMPAT_PTX;
    }
    RULES_SAY("code", BAD, toolkit_late, code->table, code->row, code->cuda, gpu->cc, "?");
    return COMPAT_FAILS;
}

static compat_verdict rules_code(const compat_gpu *gpu, const char *driver, const compat_code *code, compat_answer *answer) {
    const doctor_table *from = code->own ? NULL : code->table;
    char item[16] = "";
    bool weak = false;
    if (rules_jetson(gpu)) {
        RULES_SAY("code", UNSURE, code_jetson, NULL, -1, NULL);
        return COMPAT_UNKNOWN;
    }
    if (!code->torch_version && code->table && !strcmp(code->table->name, "toolkits")) return rules_toolkit(gpu, code, answer);
    if (code->architectures && !*code->architectures && !strcmp(gpu->host, "aarch64")) {
        RULES_SAY("code", UNSURE, code_aarch64, from, code->row, NULL);
        return COMPAT_UNKNOWN;
    }
    if (!code->architectures || (!*code->architectures && (!code->ptx || !*code->ptx))) {
        RULES_SAY("code", UNSURE, code_unknown, from, code->row, NULL);
        return COMPAT_UNKNOWN;
    }
    if (rules_item(item, &weak, code->architectures, gpu->cc, false)) {
        if (weak) RULES_SAY("code", UNSURE, code_weak, from, code->row, item);
        else if (!strcmp(item, gpu->cc)) RULES_SAY("code", GOOD, code_native, from, code->row, item, gpu->cc);
        else RULES_SAY("code", GOOD, code_near, from, code->row, item, gpu->cc);
        return weak ? COMPAT_UNKNOWN : COMPAT_STRICT;
    }
    if (code->ptx && rules_item(item, &weak, code->ptx, gpu->cc, true)) {
        if (driver && *code->strict && doctor_version_order(driver, code->strict) < 0) {
            RULES_SAY("code", BAD, code_ptx_driver, from, code->row, item, gpu->cc, code->strict);
            return COMPAT_FAILS;
        }
        RULES_SAY("code", NOTE, code_ptx, from, code->row, item, gpu->cc);
        return COMPAT_PTX;
    }
    RULES_SAY("code", BAD, code_none, from, code->row, gpu->cc, *code->architectures ? code->architectures : code->ptx);
    return COMPAT_FAILS;
}

static compat_verdict rules_gpu(const compat_gpu *gpu, const char *driver, compat_answer *answer) {
    const doctor_table *t = doctor_table_open("gpus"), *cc = doctor_table_open("cc");
    const char *last = gpu->count ? doctor_cell(t, gpu->rows[0], "last_driver_branch") : "", *module = gpu->count ? doctor_cell(t, gpu->rows[0], "kernel_module") : "";
    const doctor_table *from = *last ? t : cc;
    int row = *last ? gpu->rows[0] : gpu->cc_row;
    if (!*last) last = doctor_cell(cc, gpu->cc_row, "last_branch");
    if (!strcmp(module, "open")) RULES_SAY("gpu", NOTE, gpu_open_module, t, gpu->rows[0], gpu->name);
    if (!strcmp(module, "proprietary")) RULES_SAY("gpu", NOTE, gpu_closed_module, t, gpu->rows[0], gpu->name);
    if (!driver) return COMPAT_STRICT;
    if (*last && atoi(driver) > atoi(last)) {
        RULES_SAY("gpu", BAD, gpu_driver_last, from, row, gpu->name, last, driver);
        return COMPAT_FAILS;
    }
    if (!gpu->floor) {
        RULES_SAY("gpu", NOTE, gpu_driver_unknown, NULL, -1, gpu->name);
        return COMPAT_STRICT;
    }
    if (doctor_version_order(driver, gpu->floor) < 0) {
        if (gpu->floor_weak) RULES_SAY("gpu", UNSURE, gpu_driver_old_weak, gpu->floor_table, gpu->floor_row, gpu->name, gpu->floor, driver);
        else RULES_SAY("gpu", BAD, gpu_driver_old, gpu->floor_table, gpu->floor_row, gpu->name, gpu->floor, driver);
        return gpu->floor_weak ? COMPAT_UNKNOWN : COMPAT_FAILS;
    }
    if (doctor_version_order(driver, gpu->floor_all) < 0) {
        RULES_SAY("gpu", UNSURE, gpu_driver_some, gpu->floor_table, gpu->floor_row, gpu->name, gpu->floor_all, driver);
        return COMPAT_UNKNOWN;
    }
    RULES_SAY("gpu", GOOD, gpu_driver_good, gpu->floor_table, gpu->floor_row, gpu->name, gpu->floor, driver);
    return COMPAT_STRICT;
}

/* The row of toolkits that says which drivers run this code's CUDA version. */
static int rules_kit(const compat_code *code) {
    const doctor_table *kits = doctor_table_open("toolkits");
    return code->table == kits ? code->row : code->cuda ? doctor_table_find(kits, 0, "toolkit", code->cuda) : -1;
}

/* The driver is too old for the CUDA major version: is there a package that helps? */
static compat_verdict rules_forward(const compat_gpu *gpu, const char *driver, const compat_code *code, compat_answer *answer) {
    const doctor_table *t = doctor_table_open("forward"), *kits = doctor_table_open("toolkits");
    int kit = rules_kit(code);
    int row = doctor_table_find(t, 0, "toolkit", code->cuda);
    const char *needs = *code->minor ? code->minor : code->strict;
    char package[32], branch[16];
    snprintf(package, sizeof package, "cuda-compat-%.15s", code->cuda);
    for (char *c = package; *c; c++)
        if (*c == '.') *c = '-';
    snprintf(branch, sizeof branch, "%d", atoi(driver));
    if (*gpu->class && strcmp(gpu->class, "datacenter")) {
        int feature = doctor_table_find(doctor_table_open("features"), 0, "feature", "forward_compat_package");
        RULES_SAY("driver", BAD, driver_old, kits, kit, driver, code->cuda, needs);
        RULES_SAY("driver", NOTE, driver_forward_class, doctor_table_open("features"), feature, gpu->name);
        return COMPAT_FAILS;
    }
    if (row >= 0 && *gpu->class && doctor_cell_has(t, row, "branches", branch)) {
        RULES_SAY("driver", NOTE, driver_forward, t, row, driver, code->cuda, needs, package);
        return COMPAT_FORWARD;
    }
    RULES_SAY("driver", BAD, driver_old, kits, kit, driver, code->cuda, needs);
    if (row < 0 || !*gpu->class) RULES_SAY("driver", NOTE, driver_forward_unknown, NULL, -1, code->cuda);
    else RULES_SAY("driver", NOTE, driver_forward_branch, t, row, package, branch, doctor_cell(t, row, "branches"));
    return COMPAT_FAILS;
}

static compat_verdict rules_driver(const compat_gpu *gpu, const char *driver, const compat_code *code, compat_answer *answer) {
    const doctor_table *branches = doctor_table_open("drivers"), *kits = doctor_table_open("toolkits");
    int kit = rules_kit(code);
    char branch[16];
    if (!code->cuda) {
        RULES_SAY("driver", UNSURE, driver_no_cuda, NULL, -1, NULL);
        return COMPAT_UNKNOWN;
    }
    if (!*code->strict && !*code->minor) {
        RULES_SAY("driver", UNSURE, driver_unknown, kits, kit, code->cuda);
        return COMPAT_UNKNOWN;
    }
    const char *floor = *code->minor && (!*code->strict || doctor_version_order(code->minor, code->strict) < 0) ? code->minor : code->strict;
    if (!driver) {
        RULES_SAY("driver", UNSURE, driver_missing, kits, kit, gpu->floor && doctor_version_order(gpu->floor, floor) > 0 ? gpu->floor : floor);
        return COMPAT_UNKNOWN;
    }
    snprintf(branch, sizeof branch, "%d", atoi(driver));
    int row = doctor_table_find(branches, 0, "branch", branch);
    if (row >= 0 && !strcmp(doctor_cell(branches, row, "end_of_life"), "past")) RULES_SAY("driver", NOTE, driver_ended, branches, row, branch);
    if (*code->strict && doctor_version_order(driver, code->strict) >= 0) {
        RULES_SAY("driver", GOOD, driver_strict, kits, kit, driver, code->cuda, code->strict);
        return COMPAT_STRICT;
    }
    if (*code->minor && doctor_version_order(driver, code->minor) >= 0) {
        if (!*code->strict) {
            RULES_SAY("driver", UNSURE, driver_unknown, kits, kit, code->cuda);
            return COMPAT_UNKNOWN;
        }
        RULES_SAY("driver", GOOD, driver_minor, kits, kit, driver, code->cuda, code->minor, code->strict);
        int feature = doctor_table_find(doctor_table_open("features"), 0, "feature", "wheel_ptx_jit");
        RULES_SAY("driver", NOTE, driver_minor_limits, doctor_table_open("features"), feature, NULL);
        return COMPAT_MINOR;
    }
    return rules_forward(gpu, driver, code, answer);
}

compat_verdict compat_judge(const compat_gpu *gpu, const char *driver, const compat_code *code, compat_answer *answer) {
    compat_verdict v = COMPAT_STRICT;
    v = rules_worse(v, rules_code(gpu, driver, code, answer));
    v = rules_worse(v, rules_gpu(gpu, driver, answer));
    compat_verdict by_driver = rules_driver(gpu, driver, code, answer);
    /* The first PTX of an old toolkit's program is compiled by a driver that is newer anyway; with an older one nothing compiles it. */
    if (v == COMPAT_PTX && by_driver == COMPAT_MINOR) return COMPAT_FAILS;
    return rules_worse(v, by_driver);
}

void compat_code_of_build(compat_code *code, int row, const compat_gpu *gpu) {
    const doctor_table *t = doctor_table_open("torch_builds");
    bool arm = gpu && !strcmp(gpu->host, "aarch64");
    *code = (compat_code){.torch_version = doctor_cell(t, row, "torch"), .cuda = doctor_cell(t, row, "cuda"),
                          .architectures = doctor_cell(t, row, arm ? "cc_aarch64" : "cc"), .ptx = arm ? "" : doctor_cell(t, row, "ptx"),
                          .strict = doctor_cell(t, row, "strict"), .minor = doctor_cell(t, row, "minor"), .table = t, .row = row};
}

/* The highest CUDA version whose driver is not newer than this one; what the branch is known to report comes first. */
void compat_driver_cuda(char out[16], const char *driver) {
    const doctor_table *t = doctor_table_open("toolkits"), *branches = doctor_table_open("drivers");
    char branch[16];
    *out = 0;
    snprintf(branch, sizeof branch, "%d", atoi(driver));
    int known = doctor_table_find(branches, 0, "branch", branch);
    if (known >= 0 && *doctor_cell(branches, known, "cuda")) {
        snprintf(out, 16, "%.15s", doctor_cell(branches, known, "cuda"));
        return;
    }
    for (int row = 0; t && row < t->rows; row++) {
        const char *strict = doctor_cell(t, row, "strict");
        if (*strict && doctor_version_order(driver, strict) >= 0 && (!*out || doctor_version_order(doctor_cell(t, row, "toolkit"), out) > 0))
            snprintf(out, 16, "%.15s", doctor_cell(t, row, "toolkit"));
    }
}
