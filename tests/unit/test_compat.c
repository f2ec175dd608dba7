/* taper compat: the tables agree with each other and name their sources, the rules answer known questions (each claim about versions
 * and features that is often made, confirmed or refuted), wheels are read, hostile arguments do no harm. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <taper/compat.h>

#include "doctor/compat.h"
#include "doctor/inflate.h"
#include "io/io.h"

static int failures;

static void report(bool ok, const char *name, const char *why) {
    if (ok) printf("ok %s\n", name);
    else printf("not ok %s: %s\n", name, why), failures++;
}

/* ---- the tables ---- */
static const char *const tables[] = {"gpus", "cc", "toolkits", "torch_builds", "torch_defaults", "features", "drivers", "forward"};

static void test_sources(void) {
    for (int i = 0; i < TAPER_COUNT(tables); i++) {
        const doctor_table *t = doctor_table_open(tables[i]);
        char why[200] = "", name[64];
        snprintf(name, sizeof name, "table_%s_rows_have_sources", tables[i]);
        if (!t || !t->rows) snprintf(why, sizeof why, "cannot be opened");
        for (int row = 0; t && row < t->rows; row++) {
            const char *s = doctor_cell(t, row, "source");
            while (*s) { /* every one a page */
                if (!strncmp(s, "unopened:", 9)) s += 9;
                if (strncmp(s, "https://", 8)) snprintf(why, sizeof why, "row %d: source '%.60s'", row + 1, s);
                s += strcspn(s, " ");
                s += *s == ' ';
            }
            if (!*doctor_cell(t, row, "source") || !*t->cells[row * t->columns]) snprintf(why, sizeof why, "row %d has no source or no key", row + 1);
        }
        report(!*why, name, why);
    }
    report(!doctor_table_open("nothing") && !*doctor_cell(NULL, 0, "x") && !*doctor_cell(doctor_table_open("gpus"), 1 << 30, "gpu"), "table_that_is_not_there", "it is");
}

static void versions(const char *table, const char *column) {
    const doctor_table *t = doctor_table_open(table);
    char why[160] = "", name[96];
    int filled = 0;
    snprintf(name, sizeof name, "versions_%s_%s", table, column);
    for (int row = 0; t && row < t->rows; row++) {
        const char *text = doctor_cell(t, row, column);
        filled += *text != 0;
        if (*text && !doctor_version_valid(text)) snprintf(why, sizeof why, "row %d: %.60s", row + 1, text);
    }
    if (!filled) snprintf(why, sizeof why, "the column is empty");
    report(!*why, name, why);
}

static void lists(const char *table, const char *column) {
    const doctor_table *t = doctor_table_open(table);
    char why[160] = "", name[96], item[32];
    snprintf(name, sizeof name, "lists_%s_%s", table, column);
    for (int row = 0; t && row < t->rows; row++)
        for (const char *s = doctor_cell(t, row, column); *s;) {
            size_t n = strcspn(s, ";");
            snprintf(item, sizeof item, "%.*s", (int)(n < 31 ? n : 31), s);
            if (!doctor_version_valid(item)) snprintf(why, sizeof why, "row %d: %s", row + 1, item);
            s += n + (s[n] == ';');
        }
    report(!*why, name, why);
}

/* A newer toolkit never asks for an older driver; the floor of a major version is the same for all of it and never above the driver
 * of a later release. */
static void test_toolkits(void) {
    const doctor_table *t = doctor_table_open("toolkits");
    char why[160] = "";
    const char *before = "0", *last = "0";
    for (int row = 0; row < t->rows; row++) {
        const char *strict = doctor_cell(t, row, "strict"), *minor = doctor_cell(t, row, "minor"), *toolkit = doctor_cell(t, row, "toolkit");
        if (doctor_version_order(toolkit, last) < 0) snprintf(why, sizeof why, "%s stands after %s", toolkit, last);
        last = toolkit;
        if (!strcmp(doctor_cell(t, row, "update"), "NONE") || !*strict) continue;
        if (doctor_version_order(strict, before) < 0) snprintf(why, sizeof why, "%s asks for %s, the one before for %s", toolkit, strict, before);
        before = strict;
        if (*minor && strcmp(toolkit, "11.0") && doctor_version_order(minor, strict) > 0) snprintf(why, sizeof why, "%s: floor %s above %s", toolkit, minor, strict);
        for (int other = 0; other < t->rows; other++)
            if (atoi(doctor_cell(t, other, "toolkit")) == atoi(toolkit) && *minor && *doctor_cell(t, other, "minor") && doctor_version_order(doctor_cell(t, other, "minor"), minor))
                snprintf(why, sizeof why, "%s and %s have different floors", toolkit, doctor_cell(t, other, "toolkit"));
    }
    report(!*why, "toolkit_drivers_grow", why);
}

/* Builds agree with their toolkit, and hold only code that it can make. */
static void test_builds(void) {
    const doctor_table *b = doctor_table_open("torch_builds"), *t = doctor_table_open("toolkits"), *cc = doctor_table_open("cc");
    char why[200] = "", item[16];
    for (int row = 0; row < b->rows; row++) {
        const char *cuda = doctor_cell(b, row, "cuda");
        int kit = doctor_table_find(t, 0, "toolkit", cuda);
        if (kit < 0) {
            snprintf(why, sizeof why, "no toolkit %s", cuda);
            continue;
        }
        if (strcmp(doctor_cell(b, row, "strict"), doctor_cell(t, kit, "strict")) || strcmp(doctor_cell(b, row, "minor"), doctor_cell(t, kit, "minor")))
            snprintf(why, sizeof why, "%s with %s: drivers differ from the toolkit's", doctor_cell(b, row, "torch"), cuda);
        for (const char *s = doctor_cell(b, row, "cc"); *s;) {
            size_t n = strcspn(s, ";"), firm = n && s[n - 1] == '?' ? n - 1 : n;
            snprintf(item, sizeof item, "%.*s", (int)(firm < 15 ? firm : 15), s);
            if (!doctor_cell_has(t, kit, "targets", item)) snprintf(why, sizeof why, "%s with %s holds %s, which the toolkit cannot make", doctor_cell(b, row, "torch"), cuda, item);
            if (doctor_table_find(cc, 0, "cc", item) < 0) snprintf(why, sizeof why, "no capability %s", item);
            s += n + (s[n] == ';');
        }
        for (int other = row + 1; other < b->rows; other++)
            if (!strcmp(doctor_cell(b, row, "torch"), doctor_cell(b, other, "torch")) && !strcmp(cuda, doctor_cell(b, other, "cuda")))
                snprintf(why, sizeof why, "%s with %s stands twice", doctor_cell(b, row, "torch"), cuda);
        const char *tag = doctor_cell(b, row, "docker_tag");
        char exact[96];
        compat_image image;
        snprintf(exact, sizeof exact, "%.*sdevel", (int)strcspn(tag, "{"), tag);
        if (*tag && (!compat_read_image(&image, exact) || !image.exact || strcmp(image.cuda, cuda) || image.cudnn != atoi(doctor_cell(b, row, "cudnn"))))
            snprintf(why, sizeof why, "%s does not fit its row", exact);
    }
    report(!*why, "builds_agree_with_toolkits", why);
}

static void test_gpus(void) {
    const doctor_table *t = doctor_table_open("gpus"), *cc = doctor_table_open("cc");
    static const char *const has[][2] = {{"has_tf32", "tf32"}, {"has_bf16", "bf16"}, {"has_fp8", "fp8"}, {"has_fp4", "fp4"}};
    char why[200] = "", found[200] = "";
    for (int row = 0; row < t->rows; row++) {
        const char *gpu = doctor_cell(t, row, "gpu");
        int at = doctor_table_find(cc, 0, "cc", doctor_cell(t, row, "cc"));
        bool jetson = !strcmp(doctor_cell(t, row, "class"), "jetson");
        if (at < 0 && !jetson) snprintf(why, sizeof why, "%s: no capability %s", gpu, doctor_cell(t, row, "cc"));
        for (int i = 0; at >= 0 && i < 4; i++)
            if (*doctor_cell(t, row, has[i][0]) && strcmp(doctor_cell(t, row, has[i][0]), doctor_cell(cc, at, has[i][1])))
                snprintf(why, sizeof why, "%s: %s differs from its capability's", gpu, has[i][0]);
        if (at >= 0 && strcmp(doctor_cell(cc, at, "arch"), doctor_cell(t, row, "arch"))) snprintf(why, sizeof why, "%s: architecture", gpu);
        compat_gpu asked;
        if (!compat_find_gpu(&asked, gpu, NULL) || strcmp(asked.cc, doctor_cell(t, row, "cc"))) snprintf(found, sizeof found, "%s by its name", gpu);
        const char *nvml = doctor_cell(t, row, "nvml_name");
        if (*nvml && (!compat_find_gpu(&asked, nvml, NULL) || strcmp(asked.cc, doctor_cell(t, row, "cc")))) snprintf(found, sizeof found, "%s by %s", gpu, nvml);
    }
    report(!*why, "gpus_agree_with_capabilities", why);
    report(!*found, "gpus_are_found_by_their_names", found);
}

/* Single facts that are often told wrong. */
static void test_facts(void) {
    static const struct fact {
        const char *name, *table, *column, *key, *cell, *value;
    } facts[] = {
        {"sm_90a_came_with_12_0", "features", "feature", "tma_wgmma_clusters", "toolkit", "12.0"},
        {"graphs_came_with_10_0", "features", "feature", "cuda_graphs", "toolkit", "10.0"},
        {"transformer_engine_needs_12_1", "features", "feature", "fp8_transformer_engine", "toolkit", "12.1"},
        {"fp8_units_from_8_9", "features", "feature", "fp8_tensor_cores", "cc", "8.9"},
        {"mig_a100_driver", "features", "feature", "mig_a100", "driver", "450.80.02"},
        {"mig_h100_driver", "features", "feature", "mig_h100", "driver", "525.85.12"},
        {"hopper_first_toolkit", "cc", "cc", "9.0", "toolkit", "11.8"},
        {"ampere_first_toolkit", "cc", "cc", "8.0", "toolkit", "11.0"},
        {"ada_first_toolkit", "cc", "cc", "8.9", "toolkit", "11.8"},
        {"volta_last_branch", "cc", "cc", "7.0", "last_branch", "580"},
        {"volta_last_toolkit", "cc", "cc", "7.0", "last_toolkit", "12.9"},
        {"kepler_last_branch", "cc", "cc", "3.5", "last_branch", "470"},
        {"blackwell_wants_open_modules", "gpus", "gpu", "B200", "kernel_module", "open"},
        {"volta_wants_closed_modules", "gpus", "gpu", "V100-SXM2-32GB", "kernel_module", "proprietary"},
        {"a100_int8", "gpus", "gpu", "A100-SXM4-80GB", "int8", "624"},
        {"branch_580_is_long_term", "drivers", "branch", "580", "kind", "LTS"},
    };
    for (int i = 0; i < TAPER_COUNT(facts); i++) {
        const doctor_table *t = doctor_table_open(facts[i].table);
        const char *cell = doctor_cell(t, doctor_table_find(t, 0, facts[i].column, facts[i].key), facts[i].cell);
        report(!strcmp(cell, facts[i].value), facts[i].name, *cell ? cell : "no such fact");
    }
}

/* ---- questions ---- */
typedef struct question {
    const char *name, *gpu, *driver, *torch_version, *cuda, *image, *toolkit;
    compat_verdict verdict;
    const char *says[5]; /* each stands in the English text; one that begins with ! does not */
} question;

static void ask(const question *c) {
    compat_question q = {c->gpu, c->driver, c->torch_version, c->cuda, c->image, c->toolkit, NULL, NULL, false};
    static compat_answer a;
    doctor_buffer b = {NULL, 0, 0};
    char why[400] = "";
    bool ok = compat_answer_question(&q, &a);
    if (!ok) snprintf(why, sizeof why, "no answer");
    compat_report_text(&b, &a, false, true, false);
    if (ok && a.verdict != c->verdict) snprintf(why, sizeof why, "%s, expected %s", compat_verdict_name(a.verdict), compat_verdict_name(c->verdict)), ok = false;
    for (int i = 0; ok && i < TAPER_COUNT(c->says) && c->says[i]; i++) {
        bool absent = c->says[i][0] == '!';
        if (!b.data || (strstr(b.data, c->says[i] + absent) != NULL) == absent) snprintf(why, sizeof why, "%s '%s'", absent ? "says" : "does not say", c->says[i] + absent), ok = false;
    }
    report(ok, c->name, why);
    if (!ok && b.data) printf("%s\n", b.data);
    taper__free(b.data);
}

#define D11 "https://docs.nvidia.com/deploy/cuda-compatibility/minor-version-compatibility.html"
static const question questions[] = {
    /* Often said, and so. */
    {"a100_runs_cuda_11_0", "A100", "450.51.06", .toolkit = "11.0.3", .verdict = COMPAT_STRICT, .says = {"CUDA 11.0 compiles for compute capability 8.0"}},
    {"driver_525_runs_cu118_image", "A100", "525.60.13", .image = "pytorch/pytorch:2.7.0-cuda11.8-cudnn9-devel", .verdict = COMPAT_STRICT, .says = {"in public use", "reports CUDA 12.0 at most"}},
    {"driver_525_reports_cuda_12_0", "NVIDIA A100-SXM4-40GB", "525.60.13", "2.7.0", "11.8", .verdict = COMPAT_STRICT, .says = {"reports CUDA 12.0"}},
    {"driver_535_129_reports_12_2", "A100", "535.129.03", "2.7", "cu118", .verdict = COMPAT_STRICT, .says = {"reports CUDA 12.2"}},
    {"a100_nvlink_600", "A100-SXM4-40GB", "525.60.13", "2.7.0", "11.8", .verdict = COMPAT_STRICT, .says = {"600 GB/s", "312 TFLOPS"}},
    {"image_2_1_cuda12_1_exists", "A100", "535.54.03", .image = "pytorch/pytorch:2.1.0-cuda12.1-cudnn8-runtime", .verdict = COMPAT_STRICT, .says = {"2.1.0-cuda12.1-cudnn8-runtime is in public use"}},
    {"h100_fp16_989_dense", "H100 SXM", "535.129.03", "2.4", "12.1", .verdict = COMPAT_STRICT, .says = {"989 TFLOPS dense", "900 GB/s"}},
    {"rtx_3090_is_8_6", "RTX 3090", "535.54.03", "2.7", "11.8", .verdict = COMPAT_STRICT, .says = {"compute capability 8.6"}},
    {"rtx3090_in_one_word", "rtx3090ti", "535.54.03", "2.7", "11.8", .verdict = COMPAT_STRICT, .says = {"GPU: RTX 3090 Ti (compute capability 8.6"}},
    {"a_similar_name_is_no_match", "A10G", "535.54.03", "2.7", "11.8", .verdict = COMPAT_UNKNOWN, .says = {"do not know the GPU A10G"}},
    {"mig_instance_is_its_gpu", "NVIDIA A100-SXM4-80GB MIG 1g.10gb", "535.54.03", "2.7", "11.8", .verdict = COMPAT_STRICT, .says = {"80 GB HBM2e"}},
    {"name_of_several_architectures", "4000", "535.54.03", "2.7", "11.8", .verdict = COMPAT_UNKNOWN, .says = {"of different compute capability"}},
    {"rtx_4090_is_8_9", "RTX 4090", "535.54.03", "2.7", "11.8", .verdict = COMPAT_STRICT, .says = {"compute capability 8.9", "8.6, which compute capability 8.9 runs too"}},
    {"compile_since_2_0", "A100", "535.54.03", "2.0", "11.7", .verdict = COMPAT_STRICT, .says = {"torch.compile works"}},
    {"compile_not_in_1_13", "A100", "535.54.03", "1.13", "11.7", .verdict = COMPAT_STRICT, .says = {"no: torch.compile came with PyTorch 2.0"}},
    /* Image tags: the patterns that do not exist. */
    {"tag_without_patch_and_cudnn", "A100", "525.60.13", .image = "pytorch/pytorch:2.7-cuda11.8-devel", .verdict = COMPAT_FAILS, .says = {"no such tag", "pytorch/pytorch:2.7.0-cuda11.8-cudnn9-devel"}},
    {"tag_with_old_cudnn", "A100", "535.54.03", .image = "pytorch/pytorch:2.7.0-cuda11.8-cudnn8-runtime", .verdict = COMPAT_FAILS, .says = {"carry cudnn9, not cudnn8"}},
    {"tag_cudnn8_up_to_2_3", "A100", "535.54.03", .image = "pytorch/pytorch:2.3.1-cuda12.1-cudnn8-runtime", .verdict = COMPAT_STRICT, .says = {"in public use"}},
    {"tag_cudnn9_from_2_4", "A100", "535.54.03", .image = "2.4.1-cuda12.1-cudnn9-runtime", .verdict = COMPAT_STRICT},
    {"tag_of_a_build_that_is_not", "A100", "535.54.03", .image = "pytorch/pytorch:2.3.1-cuda12.4-cudnn9-runtime", .verdict = COMPAT_FAILS, .says = {"no official build of PyTorch 2.3 with CUDA 12.4", "11.8, 12.1"}},
    {"image_of_others", "A100", "535.54.03", .image = "pytorch-cuda-v2.7:cu121", .verdict = COMPAT_UNKNOWN, .says = {"is not an image of pytorch/pytorch"}},
    {"image_of_ngc", "A100", "535.54.03", .image = "nvcr.io/nvidia/pytorch:24.05-py3", .verdict = COMPAT_UNKNOWN, .says = {"is not an image of pytorch/pytorch"}},
    {"image_on_old_driver_may_refuse", "A100", "525.60.13", .image = "pytorch/pytorch:2.7.1-cuda12.6-cudnn9-devel", .verdict = COMPAT_MINOR, .says = {"NVIDIA_DISABLE_REQUIRE=1"}},
    /* TF32: on by default only from 1.7 to 1.11, and then for convolutions alone. */
    {"tf32_matmul_off_in_2_7", "A100", "525.60.13", "2.7.0", "11.8", .verdict = COMPAT_STRICT,
     .says = {"matrix products: off by default in PyTorch 2.7", "convolutions: on by default", "torch.set_float32_matmul_precision(\"high\")", "https://docs.pytorch.org/docs/stable/notes/cuda.html"}},
    {"tf32_matmul_off_in_1_12", "A100", "525.60.13", "1.12.1", "11.3", .verdict = COMPAT_STRICT, .says = {"matrix products: off by default in PyTorch 1.12"}},
    {"tf32_peak_is_eight_times", "A100-SXM4-80GB", "525.60.13", "2.7.0", "11.8", .verdict = COMPAT_STRICT, .says = {"156 TFLOPS dense", "up to 19.5 TFLOPS dense"}},
    {"tf32_not_on_volta", "V100", "535.54.03", "2.7", "11.8", .verdict = COMPAT_STRICT, .says = {"NO  TF32", "needs compute capability 8.0"}},
    /* Drivers: two kinds of minimum. */
    {"rule_is_not_driver_above_runtime", "A100", "525.60.13", "2.7.0", "12.8", .verdict = COMPAT_MINOR, .says = {"minor-version compatibility from 525.60.13", "570.26", D11}},
    {"cu121_from_525_not_530", "A100", "525.60.13", "2.4", "12.1", .verdict = COMPAT_MINOR, .says = {"530.30.02", "Driver needed: 525.60.13"}},
    {"toolkit_12_1_strict_530", "A100", "530.30.02", .toolkit = "12.1", .verdict = COMPAT_STRICT, .says = {"(530.30.02)"}},
    {"cu118_from_450", "A100", "450.80.02", "2.7", "11.8", .verdict = COMPAT_MINOR, .says = {"520.61.05", "Driver needed: 450.80.02"}},
    {"toolkit_11_8_strict_520", "A100", "520.61.05", .toolkit = "11.8", .verdict = COMPAT_STRICT, .says = {"(520.61.05)"}},
    {"driver_470_does_not_run_cuda_12", "RTX 3090", "470.82.01", "2.7", "12.6", .verdict = COMPAT_FAILS, .says = {"too old for CUDA 12.6: 525.60.13 or newer", "error 804"}},
    {"a100_on_450_not_470", "A100", "450.51.06", .toolkit = "11.0", .verdict = COMPAT_STRICT, .says = {"drives A100"}},
    {"h100_pcie_before_535", "H100 PCIe", "520.61.05", "2.7", "11.8", .verdict = COMPAT_STRICT, .says = {"first: 520.56.06", "https://github.com/NVIDIA/open-gpu-kernel-modules"}},
    {"h100_sxm_before_535", "H100-SXM5", "525.85.12", "2.7", "12.6", .verdict = COMPAT_MINOR, .says = {"first: 525.85.05"}},
    {"h100_sxm_not_520", "H100-SXM5", "520.61.05", "2.7", "11.8", .verdict = COMPAT_FAILS, .says = {"needs driver 525.85.05"}},
    {"h100_model_decides", "H100", "525.60.13", "2.7", "11.8", .verdict = COMPAT_UNKNOWN, .says = {"some models of H100"}},
    {"cuda_13_needs_580", "RTX 4090", "575.57.08", "2.9", "13.0", .verdict = COMPAT_FAILS, .says = {"580.65.06 or newer is needed"}},
    {"no_minor_compatibility_before_cuda_11", "T4", "418.87", .toolkit = "10.2", .verdict = COMPAT_FAILS, .says = {"too old for CUDA 10.2: 440.33 or newer"}},
    {"forward_package_on_a_data_centre_gpu", "A100", "535.54.03", "2.9", "13.0", .verdict = COMPAT_FORWARD, .says = {"cuda-compat-13-0"}},
    {"forward_package_not_for_every_branch", "A100", "560.35.03", "2.9", "13.0", .verdict = COMPAT_FAILS, .says = {"does not support driver branch 560"}},
    {"driver_branch_drops_volta", "V100", "590.48.01", "2.10", "12.6", .verdict = COMPAT_FAILS, .says = {"580 is the last that drives V100"}},
    {"newer_driver_runs_older_toolkit", "A100", "580.65.06", "2.7", "11.8", .verdict = COMPAT_STRICT},
    /* Architectures and toolkits. */
    {"ampere_in_11_0_not_11_8", "8.0", "450.80.02", .toolkit = "11.0", .verdict = COMPAT_STRICT, .says = {"CUDA 11.0 compiles for compute capability 8.0"}},
    {"ga10x_in_11_1", "8.6", "455.32", .toolkit = "11.1.1", .verdict = COMPAT_STRICT, .says = {"CUDA 11.1 compiles for compute capability 8.6"}},
    {"ga10x_runs_11_0_code", "8.6", "460.32.03", .toolkit = "11.0", .verdict = COMPAT_STRICT, .says = {"its code for 8.0 runs there"}},
    {"ada_in_11_8_not_12_1", "8.9", "525.60.13", .toolkit = "11.8", .verdict = COMPAT_STRICT, .says = {"CUDA 11.8 compiles for compute capability 8.9"}},
    {"hopper_in_11_8_not_12_0", "sm_90", "525.60.13", .toolkit = "11.8", .verdict = COMPAT_STRICT, .says = {"CUDA 11.8 compiles for compute capability 9.0"}},
    {"hopper_not_in_11_7", "H100 PCIe", "535.54.03", .toolkit = "11.7", .verdict = COMPAT_PTX, .says = {"only programs that carry PTX"}},
    {"torch_2_0_cu117_not_on_h100", "H100-SXM5", "535.54.03", "2.0", "11.7", .verdict = COMPAT_FAILS, .says = {"no kernel image is available"}},
    {"torch_2_0_cu118_on_h100", "H100-SXM5", "535.54.03", "2.0", "11.8", .verdict = COMPAT_STRICT, .says = {"machine code 9.0"}},
    {"cuda_13_drops_volta", "V100", "580.65.06", .toolkit = "13.0", .verdict = COMPAT_FAILS, .says = {"last: CUDA 12.9", "!Driver needed"}},
    {"no_toolkit_12_7", "A100", "565.57.01", .toolkit = "12.7", .verdict = COMPAT_FAILS, .says = {"there is no toolkit of CUDA 12.7"}},
    {"toolkit_12_4_update", "A100", "550.54.14", .toolkit = "12.4.1", .verdict = COMPAT_MINOR, .says = {"550.54.15"}},
    /* Builds of 2.7: 11.8, 12.6, 12.8; not 12.1. */
    {"torch_2_7_has_no_cuda_12_1", "A100", "535.54.03", "2.7", "12.1", .verdict = COMPAT_FAILS, .says = {"no official build of PyTorch 2.7 with CUDA 12.1", "11.8, 12.6, 12.8", "RELEASE.md"}},
    {"torch_2_7_cudnn_of_cu118", "A100", "535.54.03", "2.7", "11.8", .verdict = COMPAT_STRICT, .says = {"cuDNN 9.1.0.70"}},
    {"torch_2_7_cudnn_of_cu126", "A100", "560.35.03", "2.7", "12.6", .verdict = COMPAT_STRICT, .says = {"cuDNN 9.5.1.17"}},
    {"torch_2_7_cudnn_of_cu128", "A100", "570.26", "2.7", "12.8", .verdict = COMPAT_STRICT, .says = {"cuDNN 9.7.1.26"}},
    {"pip_install_brings_cuda", "A100", "560.35.03", "2.7.0", .verdict = COMPAT_STRICT, .says = {"plain pip install of PyTorch 2.7 brings CUDA 12.6"}},
    {"pip_install_2_1_brings_12_1", "A100", "560.35.03", "2.1.0", .verdict = COMPAT_STRICT, .says = {"brings CUDA 12.1"}},
    {"version_and_cuda_contradict", "A100", "560.35.03", "2.7.0+cu118", "12.6", .verdict = COMPAT_UNKNOWN, .says = {"contradict"}},
    {"version_and_cuda_agree", "A100", "560.35.03", "2.7.0+cu126", "12.6.3", .verdict = COMPAT_STRICT},
    {"cpu_wheel", "A100", "560.35.03", "2.7.0+cpu", .verdict = COMPAT_FAILS, .says = {"runs on the CPU alone"}},
    {"torch_2_7_not_for_every_card_blackwell", "RTX 5090", "570.86.16", "2.7", "12.6", .verdict = COMPAT_FAILS, .says = {"no code for compute capability 12.0", "Best official build of PyTorch 2.7 here: CUDA 12.8", "pytorch/pytorch:2.7.1-cuda12.8-cudnn9-runtime"}},
    {"torch_2_7_not_for_every_card_volta", "V100", "535.54.03", "2.7", "12.8", .verdict = COMPAT_FAILS, .says = {"no code for compute capability 7.0", "Best official build of PyTorch 2.7 here: CUDA 11.8"}},
    {"torch_2_7_on_blackwell_cu128", "B200", "570.133.20", "2.7", "12.8", .verdict = COMPAT_STRICT, .says = {"open kernel modules"}},
    {"b300_runs_10_0_code", "B300", "580.82.07", "2.7", "12.8", .verdict = COMPAT_STRICT, .says = {"machine code 10.0, which compute capability 10.3 runs too"}},
    {"v100_last_torch", "V100", "580.65.06", "2.11", "12.8", .verdict = COMPAT_FAILS, .says = {"Best official build of PyTorch 2.11 here: CUDA 12.6"}},
    {"compile_not_on_pascal", "P100", "535.54.03", "2.7", "12.6", .verdict = COMPAT_MINOR, .says = {"NO  torch.compile", "needs compute capability 7.0"}},
    /* Features. */
    {"a100_has_no_fp8", "A100", "535.54.03", "2.7", "12.6", .verdict = COMPAT_MINOR, .says = {"NO  FP8", "needs compute capability 8.9"}},
    {"h100_fp8_is_1979_dense", "H100-SXM5", "560.35.03", "2.7", "12.6", .verdict = COMPAT_STRICT, .says = {"1979 TFLOPS dense", "images do not hold Transformer Engine"}},
    {"h100_has_mig", "H100-SXM5", "535.54.03", "2.7", "11.8", .verdict = COMPAT_STRICT, .says = {"up to 7 instances, from driver 525.85.12"}},
    {"a100_40gb_has_mig_too", "A100-SXM4-40GB", "525.60.13", "2.7", "11.8", .verdict = COMPAT_STRICT, .says = {"up to 7 instances, from driver 450.80.02"}},
    {"h200_mig_driver", "H200", "550.54.15", "2.7", "12.6", .verdict = COMPAT_FAILS, .says = {"needs driver 550.90.07"}},
    {"rtx_4090_has_no_mig", "RTX 4090", "535.54.03", "2.7", "11.8", .verdict = COMPAT_STRICT, .says = {"NO  MIG", "NO  NVLink"}},
    {"nvls_never_in_cu118", "H100-SXM5", "560.35.03", "2.7", "11.8", .verdict = COMPAT_STRICT, .says = {"NO  NVLS", "not in this build: needs CUDA 12.1"}},
    {"nvls_with_cu126", "H100-SXM5", "560.35.03", "2.7", "12.6", .verdict = COMPAT_STRICT, .says = {"where the GPUs hang on an NVSwitch"}},
    {"nvls_needs_the_driver", "H100-SXM5", "525.85.12", "2.7", "12.6", .verdict = COMPAT_MINOR, .says = {"not with this driver: needs 530.30.02"}},
    {"h100_sxm_has_16896_cores", "H100-SXM5", "535.54.03", "2.7", "11.8", .verdict = COMPAT_STRICT, .says = {"16896 CUDA cores in 132 SM", "80 GB HBM3, 3350 GB/s", "!18432"}},
    {"h100_pcie_is_slower", "H100 PCIe", "535.54.03", "2.7", "11.8", .verdict = COMPAT_STRICT, .says = {"14592 CUDA cores in 114 SM", "80 GB HBM2e, 2000 GB/s"}},
    {"h100_nvl_has_94_gb", "H100 NVL", "535.104.05", "2.7", "11.8", .verdict = COMPAT_STRICT, .says = {"94 GB HBM3, 3900 GB/s"}},
    {"a100_40gb_is_hbm2", "A100-SXM4-40GB", "525.60.13", "2.7", "11.8", .verdict = COMPAT_STRICT, .says = {"40 GB HBM2, 1555 GB/s", "6912 CUDA cores"}},
    {"a100_80gb_bandwidth", "A100-SXM4-80GB", "525.60.13", "2.7", "11.8", .verdict = COMPAT_STRICT, .says = {"80 GB HBM2e, 2039 GB/s"}},
    {"a100_80gb_pcie_bandwidth", "A100-PCIE-80GB", "525.60.13", "2.7", "11.8", .verdict = COMPAT_STRICT, .says = {"80 GB HBM2e, 1935 GB/s"}},
    {"rtx_3090_has_24_gb", "RTX 3090", "535.54.03", "2.7", "11.8", .verdict = COMPAT_STRICT, .says = {"24 GB GDDR6X"}},
    {"tensor_cores_without_multiples_of_8", "A100", "525.60.13", "2.7", "11.8", .verdict = COMPAT_STRICT, .says = {"no multiple of 8 run on tensor cores too"}},
    {"graphs_are_older_than_cuda_12", "A100", "525.60.13", "2.7", "11.8", .verdict = COMPAT_STRICT, .says = {"ok  CUDA graphs"}},
    {"float8_dtypes_came_after_2_0", "H100-SXM5", "535.54.03", "2.7", "11.8", .verdict = COMPAT_STRICT, .says = {"float8 dtypes exist since PyTorch 2.1"}},
    {"torch_2_7_nccl", "A100", "560.35.03", "2.7", "12.6", .verdict = COMPAT_STRICT, .says = {"NCCL 2.26.2"}},
    {"torch_2_7_nccl_of_cu118", "A100", "560.35.03", "2.7", "11.8", .verdict = COMPAT_STRICT, .says = {"NCCL 2.21.5"}},
    {"a_gpu_alone", "A100", .verdict = COMPAT_UNKNOWN, .says = {"nothing to run was named", "torch.cuda.get_arch_list()"}},
    {"fp4_on_b200", "B200", "570.133.20", "2.7", "12.8", .verdict = COMPAT_STRICT, .says = {"ok  FP4"}},
    {"amp_is_torch_amp_since_2_4", "A100", "535.54.03", "2.7", "11.8", .verdict = COMPAT_STRICT, .says = {"torch.amp.autocast(\"cuda\")"}},
    {"amp_before_2_4", "A100", "535.54.03", "2.1", "11.8", .verdict = COMPAT_STRICT, .says = {"torch.cuda.amp.autocast()"}},
    /* What the tables do not hold is said. */
    {"torch_of_the_future", "A100", "580.65.06", "9.9", "12.6", .verdict = COMPAT_UNKNOWN, .says = {"do not know PyTorch 9.9"}},
    {"gpu_of_the_future", "Z900", "580.65.06", "2.7", "12.6", .verdict = COMPAT_UNKNOWN, .says = {"do not know the GPU Z900"}},
    {"toolkit_without_drivers", "A100", "580.65.06", .toolkit = "99.0", .verdict = COMPAT_UNKNOWN, .says = {"do not know CUDA 99.0"}},
    {"driver_not_given", "A100", NULL, "2.7", "12.6", .verdict = COMPAT_UNKNOWN, .says = {"must be 525.60.13 or newer"}},
    {"gpu_not_given", NULL, "535.54.03", "2.7", "12.6", .verdict = COMPAT_UNKNOWN, .says = {"no GPU was named"}},
    {"nothing_given", .verdict = COMPAT_UNKNOWN, .says = {"nothing to run was named"}},
    {"weak_code_is_unknown", "3.7", "470.82.01", "2.7", "11.8", .verdict = COMPAT_UNKNOWN, .says = {"not certain"}},
    {"grace_without_a_known_wheel", "GH200", "580.65.06", "2.7", "12.6", .verdict = COMPAT_UNKNOWN, .says = {"aarch64"}},
    {"jetson_is_not_covered", "Jetson AGX Orin", "540.4.0", "2.7", "12.6", .verdict = COMPAT_UNKNOWN, .says = {"Jetson boards need NVIDIA's own builds"}},
};

/* ---- sentences: the same arguments in both languages ---- */
static void test_sentences(void) {
    char why[200] = "";
    for (int i = 0; i < COMPAT_SAYS; i++)
        for (char k = '1'; k <= '4'; k++) {
            char mark[4] = {'{', k, '}', 0};
            const char *en = compat_sentence((compat_say)i, false), *zh = compat_sentence((compat_say)i, true);
            if ((strstr(en, mark) != NULL) != (strstr(zh, mark) != NULL)) snprintf(why, sizeof why, "%s: %.80s", mark, en);
        }
    report(!*why, "sentences_have_the_same_arguments", why);
}

/* ---- the public function ---- */
typedef struct text {
    char data[1 << 17];
    size_t size;
} text;

static void collect(void *ctx, const char *data, size_t bytes) {
    text *t = ctx;
    if (bytes > sizeof t->data - 1 - t->size) bytes = sizeof t->data - 1 - t->size;
    memcpy(t->data + t->size, data, bytes);
    t->size += bytes;
    t->data[t->size] = 0;
}

static bool call(text *out, taper_compat_options o, taper_status status, int code) {
    int got = -1;
    out->size = 0;
    out->data[0] = 0;
    int64_t live = taper__alloc_live();
    taper_status st = taper_compat(&o, &got, collect, out);
    return st == status && (st != TAPER_OK || got == code) && taper__alloc_live() == live;
}

static void test_public(void) {
    static text out;
    report(call(&out, (taper_compat_options){.gpu = "A100", .driver = "525.60.13", .torch_version = "2.7.0", .cuda = "12.6"}, TAPER_OK, 0), "exit_0_runs", out.data);
    report(call(&out, (taper_compat_options){.gpu = "A100", .driver = "525.60.13", .torch_version = "2.7.0", .cuda = "12.1"}, TAPER_OK, 2), "exit_2_does_not", out.data);
    report(call(&out, (taper_compat_options){.gpu = "A100", .driver = "525.60.13", .torch_version = "9.7.0", .cuda = "12.1"}, TAPER_OK, 3), "exit_3_cannot_be_told", out.data);
    report(call(&out, (taper_compat_options){.gpu = "A100", .torch_version = "2.7", .image = "x"}, TAPER_VALUE, 0), "two_things_to_run", "accepted");
    report(call(&out, (taper_compat_options){.gpu = "A100", .cuda = "12.6"}, TAPER_VALUE, 0), "cuda_without_torch", "accepted");
    report(call(&out, (taper_compat_options){.gpu = "A100", .format = TAPER_COMPAT_TSV}, TAPER_VALUE, 0), "tsv_of_one_answer", "accepted");
    report(call(&out, (taper_compat_options){.gpu = "A100", .driver = "525.60.13", .torch_version = "2.7.0", .cuda = "12.6", .format = TAPER_COMPAT_JSON}, TAPER_OK, 0) &&
               strstr(out.data, "\"verdict\": \"minor\"") && strstr(out.data, "\"source\": \"https://") && strstr(out.data, "\"driver_needed\": \"525.60.13\""),
           "json", out.data);
    report(call(&out, (taper_compat_options){.gpu = "A100", .driver = "525.60.13", .torch_version = "2.7.0", .cuda = "12.6", .chinese = true}, TAPER_OK, 0) && strstr(out.data, "次版本兼容"), "chinese", out.data);
    report(call(&out, (taper_compat_options){.matrix = true}, TAPER_OK, 0) && strstr(out.data, "2.7    12.8"), "matrix_text", out.data);
    report(call(&out, (taper_compat_options){.matrix = true, .format = TAPER_COMPAT_MARKDOWN}, TAPER_OK, 0) && strstr(out.data, "| 2.7 | 12.8 |"), "matrix_md", out.data);
    report(call(&out, (taper_compat_options){.matrix = true, .format = TAPER_COMPAT_JSON}, TAPER_OK, 0) && strstr(out.data, "\"torch\": \"2.7\", \"cuda\": \"12.8\""), "matrix_json", out.data);
    report(call(&out, (taper_compat_options){.matrix = true, .format = TAPER_COMPAT_TSV, .gpu = "V100", .driver = "535.54.03"}, TAPER_OK, 0) && strstr(out.data, "\tfails\n") && strstr(out.data, "\tminor\n"), "matrix_of_one_gpu", out.data);
    report(call(&out, (taper_compat_options){.matrix = true, .gpu = "nothing"}, TAPER_VALUE, 0), "matrix_of_an_unknown_gpu", "accepted");
}

/* A recorded machine: the driver from /proc, the GPU from PCI. */
static void put(const char *root, const char *path, const char *content) {
    char full[512];
    snprintf(full, sizeof full, "%s%s", root, path);
    for (char *p = strchr(full + 1, '/'); p; p = strchr(p + 1, '/')) {
        *p = 0;
        mkdir(full, 0777);
        *p = '/';
    }
    FILE *f = fopen(full, "w");
    if (!f) return;
    fputs(content, f);
    fclose(f);
}

static void test_here(const char *folder) {
    static text out;
    char root[256], empty[256];
    snprintf(root, sizeof root, "%s/machine", folder);
    snprintf(empty, sizeof empty, "%s/empty", folder);
    put(root, "/proc/driver/nvidia/version", "NVRM version: NVIDIA UNIX x86_64 Kernel Module  525.60.13  Wed Nov 30 06:39:21 UTC 2022\nGCC version:  gcc 9\n");
    put(root, "/sys/bus/pci/devices/0000:3b:00.0/vendor", "0x10de\n");
    put(root, "/sys/bus/pci/devices/0000:3b:00.0/device", "0x20b0\n");
    mkdir(empty, 0777);
    report(call(&out, (taper_compat_options){.here = true, .root = root, .torch_version = "2.7", .cuda = "12.6"}, TAPER_OK, 0) && strstr(out.data, "A100-SXM4-40GB") && strstr(out.data, "525.60.13"), "here_by_proc_and_pci", out.data);
    put(root, "/.doctor/probe/nvml", "init 0\ndriver 535.129.03\ncount 1\ngpu.0.name NVIDIA H100 80GB HBM3\ngpu.0.cc 9.0\n");
    report(call(&out, (taper_compat_options){.here = true, .root = root, .torch_version = "2.7", .cuda = "12.6"}, TAPER_OK, 0) && strstr(out.data, "H100-SXM5") && strstr(out.data, "535.129.03"), "here_by_nvml", out.data);
    report(call(&out, (taper_compat_options){.here = true, .root = empty, .torch_version = "2.7", .cuda = "12.6"}, TAPER_OK, 3) && strstr(out.data, "no NVIDIA GPU that is known"), "here_without_a_gpu", out.data);
    put(root, "/opt/conda/bin/python3.11", "");
    put(root, "/opt/conda/conda-meta/history", "");
    put(root, "/opt/conda/lib/python3.11/site-packages/torch/version.py", "__version__ = '2.6.0+cu124'\ncuda: Optional[str] = '12.4'\n");
    report(call(&out, (taper_compat_options){.here = true, .root = root}, TAPER_OK, 0) && strstr(out.data, "2.6.0") && strstr(out.data, "12.4"), "here_finds_torch", out.data);
}

/* ---- wheels ---- */
typedef struct bytes {
    unsigned char *data;
    size_t size, room;
} bytes;
static bool grow(void *ctx, const void *data, size_t n) {
    bytes *b = ctx;
    if (n > b->room - b->size) b->data = realloc(b->data, b->room = 2 * b->room + n + 1024);
    memcpy(b->data + b->size, data, n);
    b->size += n;
    return true;
}

/* A fatbin of entries {kind, architecture} after `before` bytes of something else. */
static size_t fatbin(unsigned char *out, size_t before, const int (*entries)[2], int count) {
    size_t at = before, payload = 40;
    memset(out, 0x50, before);
    uint64_t all = (uint64_t)count * (64 + payload);
    unsigned char head[16] = {0x50, 0xed, 0x55, 0xba, 1, 0, 16, 0};
    memcpy(head + 8, &all, 8);
    memcpy(out + at, head, 16);
    at += 16;
    for (int i = 0; i < count; i++, at += 64 + payload) {
        memset(out + at, 0, 64 + payload);
        out[at] = (unsigned char)entries[i][0];
        out[at + 4] = 64;
        out[at + 8] = (unsigned char)payload;
        out[at + 28] = (unsigned char)entries[i][1];
    }
    return at;
}

static void test_wheels(const char *folder) {
    static text out;
    static unsigned char library[4096];
    static const int entries[][2] = {{2, 80}, {2, 90}, {1, 90}};
    char path[512], why[512];
    bytes file = {NULL, 0, 0};
    taper_sink sink;
    taper_zip_writer zip = {.sink = &sink};
    const char *meta = "Metadata-Version: 2.1\nName: torch\nVersion: 2.6.0\nRequires-Dist: nvidia-cuda-runtime-cu12==12.4.127; platform_system == \"Linux\"\n\nVersion: 9.9.9\n";
    size_t n = fatbin(library, 77, entries, 3);
    taper_status st = taper__sink_function(&sink, grow, &file);
    if (!st) st = taper__zip_add(&zip, "torch-2.6.0.dist-info/METADATA", meta, strlen(meta));
    if (!st) st = taper__zip_add(&zip, "torch/lib/libtorch_cuda.so", library, n);
    library[77 + 16 + 28] = 70; /* what others' libraries hold says nothing of this one */
    if (!st) st = taper__zip_add(&zip, "torch/lib/libcudnn_ops.so.9", library, n);
    if (!st) st = taper__zip_add(&zip, "torch.libs/libx.so", library, n);
    if (!st) st = taper__zip_finish(&zip);
    taper__zip_writer_free(&zip);
    st = taper__sink_close(&sink, st);
    snprintf(path, sizeof path, "%s/torch-2.6.0-cp311-cp311-manylinux1_x86_64.whl", folder);
    FILE *f = fopen(path, "wb");
    if (f) fwrite(file.data, 1, file.size, f), fclose(f);
    compat_wheel w;
    bool read = !st && compat_read_wheel(&w, path);
    snprintf(why, sizeof why, "torch %s cuda %s code %s ptx %s: %s", w.torch_version, w.cuda, w.architectures, w.ptx, w.why);
    report(read && !strcmp(w.torch_version, "2.6") && !strcmp(w.cuda, "12.4") && !strcmp(w.architectures, "8.0;9.0") && !strcmp(w.ptx, "9.0"), "wheel_name_metadata_and_code", why);
    report(call(&out, (taper_compat_options){.gpu = "H100-SXM5", .driver = "550.54.15", .wheel = path}, TAPER_OK, 0) && strstr(out.data, "machine code 9.0"), "wheel_runs", out.data);
    report(call(&out, (taper_compat_options){.gpu = "V100", .driver = "550.54.15", .wheel = path}, TAPER_OK, 2) && strstr(out.data, "it has 8.0;9.0"), "wheel_own_code_decides", out.data);
    report(call(&out, (taper_compat_options){.gpu = "RTX 5090", .driver = "570.86.16", .wheel = path}, TAPER_OK, 0) && strstr(out.data, "PTX 9.0"), "wheel_by_ptx", out.data);
    char other[512];
    snprintf(other, sizeof other, "%s/kernels-1.0-py3-none-any.whl", folder);
    rename(path, other);
    report(call(&out, (taper_compat_options){.gpu = "A100", .driver = "550.54.15", .wheel = other, .cuda = "12.4"}, TAPER_OK, 0) && strstr(out.data, "not a wheel of torch"), "wheel_of_another_package", out.data);
    report(call(&out, (taper_compat_options){.gpu = "A100", .driver = "550.54.15", .wheel = "torch-2.7.0+cu126-cp311-cp311-manylinux_2_28_x86_64.whl"}, TAPER_OK, 0) && strstr(out.data, "PyTorch 2.7 with CUDA 12.6"), "wheel_by_its_name_alone", out.data);
    report(call(&out, (taper_compat_options){.gpu = "A100", .driver = "550.54.15", .wheel = "torch-2.7.0+cpu-cp311-cp311-linux_x86_64.whl"}, TAPER_OK, 2), "wheel_for_the_cpu", out.data);
    report(call(&out, (taper_compat_options){.gpu = "A100", .wheel = "/nowhere/x.whl"}, TAPER_VALUE, 0), "wheel_that_is_not_there", "accepted");
    unlink(other);
    free(file.data);
}

static bool collect_piece(void *ctx, const unsigned char *data, size_t size) {
    collect(ctx, (const char *)data, size);
    return true;
}

/* The squares below 3600 with spaces between them, packed by zlib as a block with its own codes; then the other kinds of blocks. */
static void test_inflate(void) {
    static const unsigned char squares[] = {
        0x15, 0x8e, 0xc1, 0x01, 0xc0, 0x30, 0x08, 0x02, 0x57, 0x61, 0x04, 0x51, 0x6b, 0x74, 0xff, 0xc5, 0x0a, 0x2f, 0x12, 0x05, 0xbc,
        0x00, 0xd1, 0x38, 0x70, 0x90, 0x1f, 0x6a, 0xd0, 0x87, 0x69, 0x2c, 0xc1, 0x08, 0x30, 0xa5, 0xdd, 0xda, 0xca, 0x71, 0xb2, 0xc8,
        0x93, 0x9f, 0x74, 0x0f, 0x95, 0x2d, 0xbf, 0xd2, 0xf2, 0x75, 0x4b, 0xb7, 0xf1, 0xe5, 0xe1, 0x7b, 0x83, 0x91, 0x6f, 0xa4, 0x4f,
        0xff, 0xa7, 0xf9, 0x6a, 0x7f, 0xf2, 0xdd, 0xb8, 0x57, 0x41, 0x86, 0x1a, 0x48, 0x55, 0xd1, 0x9d, 0x4c, 0x95, 0xb3, 0x7c, 0xa5,
        0x7d, 0xee, 0xf3, 0xdd, 0x31, 0xc0, 0x98, 0xe4, 0x89, 0x88, 0xdb, 0x66, 0x10, 0x61, 0x86, 0x29, 0x68, 0xe2, 0x8c, 0x43, 0x56,
        0x34, 0xb2, 0x83, 0x22, 0x53, 0x22, 0xc7, 0xaf, 0xe7, 0xd9, 0x7a, 0x7b, 0xf2, 0x95, 0x13, 0xa5, 0x7e, 0x43, 0x8b, 0xbc, 0xd4,
        0x57, 0xbd, 0xfc, 0x01};
    static text out;
    char expected[512] = "";
    for (int i = 0, n = 0; i < 60; i++) n += snprintf(expected + n, sizeof expected - (size_t)n, "%s%d", i ? " " : "", i * i);
    out.size = 0;
    report(doctor_inflate(squares, sizeof squares, 4096, collect_piece, &out) && !strcmp(out.data, expected), "inflate_own_codes", out.data);
    out.size = 0;
    static const unsigned char stored[] = {1, 5, 0, 0xfa, 0xff, 'h', 'e', 'l', 'l', 'o'};
    report(doctor_inflate(stored, sizeof stored, 100, collect_piece, &out) && !strcmp(out.data, "hello"), "inflate_stored", out.data);
    out.size = 0;
    static const unsigned char small[] = {0xcb, 0x48, 0xcd, 0xc9, 0xc9, 0x57, 0xc8, 0x40, 0x27, 0x01}; /* "hello hello hello hello" */
    report(doctor_inflate(small, sizeof small, 100, collect_piece, &out) && !strcmp(out.data, "hello hello hello hello"), "inflate_fixed", out.data);
    out.size = 0;
    report(doctor_inflate(small, sizeof small, 7, collect_piece, &out) && out.size == 7, "inflate_limit", out.data);
    report(!doctor_inflate(small, 4, 100, collect_piece, &out) && !doctor_inflate("\x07", 1, 100, collect_piece, &out) && !doctor_inflate("", 0, 100, collect_piece, &out), "inflate_cut", "accepted");
}

/* ---- what nobody would write ---- */
static void test_hostile(void) {
    static char huge[1 << 20];
    static text out;
    memset(huge, 'A', sizeof huge - 1);
    static const char *const odd[] = {"", " ", "\xff\xfe\x80", "\n\t\033[31m", "%s%n%1000000d", "{1}{2}", "-1", "99999999999999999999.1", "1.2.3.4.5.6", ":", "::::", "pytorch/pytorch:", "-----", "cu", "cu1", "sm_", "8.", ".8",
                                      "0.0", "525.60.13?", "2.7.0-cuda-cudnn-", "A100 A100 A100 A100 A100 A100 A100 A100 A100 A100 A100 A100 A100 A100", huge, "../../etc/passwd", "2.7+cu99999999999", "\"", "\\"};
    char why[160] = "";
    for (int i = 0; i < TAPER_COUNT(odd); i++)
        for (int k = 0; k < 7; k++)
            for (int format = 0; format < 2; format++) {
                taper_compat_options o = {.gpu = "A100", .driver = "525.60.13", .torch_version = "2.7", .cuda = "12.6", .format = (taper_compat_format)format};
                if (k == 0) o.gpu = odd[i];
                if (k == 1) o.driver = odd[i];
                if (k == 2) o.torch_version = odd[i];
                if (k == 3) o.cuda = odd[i];
                if (k > 3) o.torch_version = o.cuda = NULL;
                if (k == 4) o.image = odd[i];
                if (k == 5) o.toolkit = odd[i];
                if (k == 6) o.wheel = odd[i];
                int code = -1;
                out.size = 0;
                taper_status st = taper_compat(&o, &code, collect, &out);
                if (st == TAPER_OK && code == 0) snprintf(why, sizeof why, "'%.30s' as argument %d runs", odd[i], k);
                for (size_t n = 0; n < out.size; n++)
                    if (out.data[n] == 0x1b || (unsigned char)out.data[n] > 0x7e) snprintf(why, sizeof why, "'%.30s' as argument %d comes out raw", odd[i], k);
            }
    report(!*why, "hostile_arguments", why);
}

int main(void) {
    static const char *const versioned[][2] = {{"toolkits", "toolkit"}, {"toolkits", "strict"}, {"toolkits", "minor"}, {"torch_builds", "torch"}, {"torch_builds", "cuda"}, {"torch_builds", "strict"}, {"torch_builds", "minor"}, {"torch_builds", "cudnn"}, {"torch_builds", "nccl"}, {"torch_builds", "py_min"}, {"torch_builds", "py_max"},
                                               {"gpus", "cc"}, {"gpus", "min_driver_branch"}, {"gpus", "first_driver_listing_it"}, {"gpus", "mig_min_driver"}, {"features", "driver"}, {"features", "toolkit"}, {"features", "cc"}, {"cc", "cc"}, {"cc", "driver"}, {"drivers", "branch"}, {"forward", "toolkit"}, {"torch_defaults", "from"}, {"torch_defaults", "to"}};
    static const char *const listed[][2] = {{"torch_builds", "cc"}, {"torch_builds", "ptx"}, {"torch_builds", "cc_aarch64"}, {"toolkits", "targets"}, {"forward", "branches"}};
    char folder[] = "/tmp/taper-compat-XXXXXX";
    if (!mkdtemp(folder)) return 1;
    test_sources();
    for (int i = 0; i < TAPER_COUNT(versioned); i++) versions(versioned[i][0], versioned[i][1]);
    for (int i = 0; i < TAPER_COUNT(listed); i++) lists(listed[i][0], listed[i][1]);
    test_toolkits();
    test_builds();
    test_gpus();
    test_facts();
    for (int i = 0; i < TAPER_COUNT(questions); i++) ask(&questions[i]);
    test_sentences();
    test_public();
    test_here(folder);
    test_wheels(folder);
    test_inflate();
    test_hostile();
    char remove[64];
    snprintf(remove, sizeof remove, "rm -rf %s", folder);
    if (system(remove)) failures++;
    return failures != 0;
}
