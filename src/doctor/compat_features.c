/* Which features the GPU, the driver and the build offer together, and what the PyTorch version does with them when nothing is set. */
#include "doctor/compat.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct features_rule {
    const char *topic, *row; /* of features */
    const char *peak;        /* column of gpus */
} features_rule;
static const features_rule features_rules[] = {
    {"FP32", NULL, "fp32"},                  {"FP16", "fp16_tensor_cores", "fp16"}, {"TF32", "tf32_tensor_cores", "tf32"}, {"BF16", "bf16_tensor_cores", "bf16"},
    {"FP8", "fp8_tensor_cores", "fp8"},                 {"FP4", "fp4_tensor_cores", "fp4"},
};

#define FEATURE(topic, mark, say, table, row, a, b, c) compat_add(answer, true, topic, COMPAT_##mark, COMPAT_SAY_##say, table, row, a, b, c, NULL)

/* The row of torch_defaults for a version; -1. */
static int features_default(const char *setting, const char *torch_version) {
    const doctor_table *t = doctor_table_open("torch_defaults");
    for (int row = doctor_table_find(t, 0, "setting", setting); row >= 0; row = doctor_table_find(t, row + 1, "setting", setting)) {
        const char *to = doctor_cell(t, row, "to");
        if (doctor_version_order(torch_version, doctor_cell(t, row, "from")) >= 0 && (!*to || doctor_version_order(torch_version, to) <= 0)) return row;
    }
    return -1;
}

/* What stands in the way of a feature; says nothing when nothing does. */
static bool features_missing(compat_answer *answer, const char *topic, const doctor_table *t, int row) {
    const char *cc = doctor_cell(t, row, "cc"), *toolkit = doctor_cell(t, row, "toolkit"), *driver = doctor_cell(t, row, "driver");
    if (*cc && doctor_version_order(answer->gpu.cc, cc) < 0) FEATURE(topic, BAD, feature_no_cc, t, row, cc, NULL, NULL);
    else if (*toolkit && answer->code.cuda && doctor_version_order(answer->code.cuda, toolkit) < 0) FEATURE(topic, BAD, feature_no_toolkit, t, row, toolkit, NULL, NULL);
    else if (*driver && *answer->driver && doctor_version_order(answer->driver, driver) < 0) FEATURE(topic, BAD, feature_no_driver, t, row, driver, NULL, NULL);
    else return false;
    return true;
}

/* The least and largest value of a column over the models: "312" or "165-312"; false when unknown. */
static bool features_range(char out[32], const compat_gpu *gpu, const char *column) {
    const doctor_table *t = doctor_table_open("gpus");
    double low = 1e30, high = -1;
    for (int i = 0; i < gpu->count; i++) {
        double value = doctor_cell_number(t, gpu->rows[i], column, -1);
        if (value < 0) return false;
        low = value < low ? value : low;
        high = value > high ? value : high;
    }
    if (high < 0) return false;
    if (low == high) snprintf(out, 32, "%g", high);
    else snprintf(out, 32, "%g-%g", low, high);
    return true;
}

static void features_precision(compat_answer *answer) {
    const doctor_table *t = doctor_table_open("features"), *gpus = doctor_table_open("gpus"), *defaults = doctor_table_open("torch_defaults");
    for (int i = 0; i < TAPER_COUNT(features_rules); i++) {
        const features_rule *r = &features_rules[i];
        int row = r->row ? doctor_table_find(t, 0, "feature", r->row) : -1;
        char rate[32];
        if (!r->row) {
            if (features_range(rate, &answer->gpu, r->peak)) FEATURE(r->topic, GOOD, feature_rate, gpus, answer->gpu.rows[0], rate, NULL, NULL);
            continue;
        }
        if (row < 0 || features_missing(answer, r->topic, t, row)) continue;
        if (features_range(rate, &answer->gpu, r->peak)) {
            if (!strcmp(rate, "0")) FEATURE(r->topic, BAD, mig_none, gpus, answer->gpu.rows[0], NULL, NULL, NULL);
            else FEATURE(r->topic, GOOD, feature_rate, gpus, answer->gpu.rows[0], rate, NULL, NULL);
        } else {
            FEATURE(r->topic, GOOD, feature_yes, t, row, NULL, NULL, NULL);
        }
        if (!strcmp(r->topic, "FP16")) FEATURE(r->topic, NOTE, fp16_alignment, t, row, NULL, NULL, NULL);
        if (!strcmp(r->topic, "FP8") && *answer->torch_version) {
            int dtypes = doctor_table_find(defaults, 0, "setting", "float8_dtypes");
            FEATURE(r->topic, NOTE, fp8_dtypes, defaults, dtypes, doctor_cell(defaults, dtypes, "from"), NULL, NULL);
        }
        if (!strcmp(r->topic, "FP8")) FEATURE(r->topic, NOTE, fp8_use, t, doctor_table_find(t, 0, "feature", "fp8_transformer_engine"), NULL, NULL, NULL);
        if (!*answer->torch_version) continue;
        if (!strcmp(r->topic, "TF32")) {
            int matmul = features_default("tf32_matmul", answer->torch_version), conv = features_default("tf32_conv", answer->torch_version);
            if (matmul >= 0) FEATURE(r->topic, NOTE, tf32_matmul, defaults, matmul, doctor_cell(defaults, matmul, "value"), answer->torch_version, doctor_cell(defaults, matmul, "change"));
            if (conv >= 0) FEATURE(r->topic, NOTE, tf32_conv, defaults, conv, doctor_cell(defaults, conv, "value"), answer->torch_version, doctor_cell(defaults, conv, "change"));
        }
        int amp = features_default("amp", answer->torch_version);
        if ((!strcmp(r->topic, "BF16") || !strcmp(r->topic, "FP16")) && amp >= 0)
            FEATURE(r->topic, NOTE, amp_name, defaults, amp, doctor_cell(defaults, amp, "value"), answer->torch_version, doctor_cell(defaults, amp, "change"));
    }
}

static void features_part(compat_answer *answer) {
    const doctor_table *gpus = doctor_table_open("gpus");
    const compat_gpu *gpu = &answer->gpu;
    char size[32], rate[32], cores[32], sm[32];
    if (!gpu->count) return;
    const char *kind = doctor_cell(gpus, gpu->rows[0], "mem_type");
    for (int i = 1; i < gpu->count; i++)
        if (strcmp(kind, doctor_cell(gpus, gpu->rows[i], "mem_type"))) kind = NULL, i = gpu->count;
    if (features_range(size, gpu, "mem_gb") && features_range(rate, gpu, "bw_gbs")) {
        if (kind) FEATURE("memory", GOOD, part_memory, gpus, gpu->rows[0], size, kind, rate);
        else FEATURE("memory", GOOD, part_memory_kinds, gpus, gpu->rows[0], size, rate, NULL);
    }
    if (features_range(cores, gpu, "cuda_cores") && features_range(sm, gpu, "sm")) FEATURE("cores", GOOD, part_cores, gpus, gpu->rows[0], cores, sm, NULL);
}

/* Graphs: no wheel or GPU of the tables is older than they are. */
static void features_graphs(compat_answer *answer) {
    const doctor_table *t = doctor_table_open("features");
    int row = doctor_table_find(t, 0, "feature", "cuda_graphs");
    if (row >= 0 && !features_missing(answer, "CUDA graphs", t, row)) FEATURE("CUDA graphs", GOOD, feature_yes, t, row, NULL, NULL, NULL);
}

static void features_mig(compat_answer *answer) {
    const doctor_table *gpus = doctor_table_open("gpus");
    const compat_gpu *gpu = &answer->gpu;
    char most[32], driver[16] = "";
    if (!gpu->count || !features_range(most, gpu, "mig_max")) {
        FEATURE("MIG", UNSURE, feature_unknown, NULL, -1, NULL, NULL, NULL);
        return;
    }
    if (!strcmp(most, "0")) {
        FEATURE("MIG", BAD, mig_none, gpus, gpu->rows[0], NULL, NULL, NULL);
        return;
    }
    for (int i = 0; i < gpu->count; i++) { /* the newest that any of the models needs */
        const char *needs = doctor_cell(gpus, gpu->rows[i], "mig_min_driver");
        if (*needs && (!*driver || doctor_version_order(needs, driver) > 0)) snprintf(driver, sizeof driver, "%.15s", needs);
    }
    if (!*driver) FEATURE("MIG", GOOD, mig_some, gpus, gpu->rows[0], most, NULL, NULL);
    else if (*answer->driver && doctor_version_order(answer->driver, driver) < 0) FEATURE("MIG", BAD, feature_no_driver, gpus, gpu->rows[0], driver, NULL, NULL);
    else FEATURE("MIG", GOOD, mig_yes, gpus, gpu->rows[0], most, driver, NULL);
}

static void features_links(compat_answer *answer) {
    const doctor_table *gpus = doctor_table_open("gpus"), *t = doctor_table_open("features");
    const compat_gpu *gpu = &answer->gpu;
    char rate[32];
    int nvls = doctor_table_find(t, 0, "feature", "nvlink_sharp_nvls");
    if (!gpu->count || !features_range(rate, gpu, "nvlink_gbs")) {
        FEATURE("NVLink", UNSURE, feature_unknown, NULL, -1, NULL, NULL, NULL);
        return;
    }
    bool none = !strcmp(rate, "0");
    if (none) FEATURE("NVLink", BAD, nvlink_none, gpus, gpu->rows[0], NULL, NULL, NULL);
    else FEATURE("NVLink", GOOD, nvlink_yes, gpus, gpu->rows[0], rate, NULL, NULL);
    if (nvls < 0 || features_missing(answer, "NVLS", t, nvls)) return;
    if (none) FEATURE("NVLS", BAD, nvlink_none, gpus, gpu->rows[0], NULL, NULL, NULL);
    else FEATURE("NVLS", GOOD, nvls_yes, t, nvls, NULL, NULL, NULL);
}

void compat_features(compat_answer *answer) {
    const doctor_table *t = doctor_table_open("features"), *defaults = doctor_table_open("torch_defaults");
    features_part(answer);
    features_precision(answer);
    features_mig(answer);
    features_links(answer);
    features_graphs(answer);
    if (!*answer->torch_version) return;
    int compile = doctor_table_find(t, 0, "feature", "torch_compile_triton"), since = doctor_table_find(defaults, 0, "setting", "compile");
    if (compile < 0 || since < 0 || features_missing(answer, "torch.compile", t, compile)) return;
    if (features_default("compile", answer->torch_version) < 0) FEATURE("torch.compile", BAD, compile_torch, defaults, since, doctor_cell(defaults, since, "from"), NULL, NULL);
    else FEATURE("torch.compile", GOOD, compile_yes, defaults, since, NULL, NULL, NULL);
}
