/* All official builds against all compute capabilities, or against one GPU and driver. */
#include "doctor/compat.h"

#include <stdio.h>
#include <string.h>

typedef enum matrix_format { MATRIX_TEXT, MATRIX_TSV, MATRIX_JSON, MATRIX_MD } matrix_format;

static const struct matrix_column {
    const char *name, *cell;
    int width;
} matrix_columns[] = {{"torch", "torch", 6}, {"cuda", "cuda", 5}, {"status", "status", 13}, {"python", "py_min", 11}, {"cudnn", "cudnn", 11}, {"nccl", "nccl", 8},
                      {"driver", "minor", 11}, {"driver_full", "strict", 12}, {"image", "docker_tag", 0}, {"source", "source", 0}};

static void matrix_cell(doctor_buffer *b, matrix_format f, const char *name, const char *text, int width, bool first) {
    switch (f) {
    case MATRIX_TEXT: doctor_print(b, "%-*s ", width, *text ? text : "?"); break;
    case MATRIX_TSV: doctor_print(b, "%s%s", first ? "" : "\t", text); break;
    case MATRIX_MD: doctor_print(b, "| %s ", text); break;
    case MATRIX_JSON:
        doctor_print(b, "%s\"%s\": ", first ? "" : ", ", name);
        doctor_json_text(b, *text ? text : NULL);
        break;
    }
}

/* "native", "near" (code of a lower minor version), "ptx", "-" or "?" for a build and a compute capability. */
static const char *matrix_code(int row, const char *cc) {
    compat_gpu gpu;
    compat_code code;
    if (!compat_find_gpu(&gpu, cc, NULL)) return "?";
    compat_code_of_build(&code, row, &gpu);
    if (doctor_cell_has(code.table, row, "cc", cc)) return "native";
    gpu.floor = NULL; /* the code alone: no driver is asked for */
    code.strict = code.minor = "1";
    compat_verdict v = compat_judge(&gpu, "1", &code, NULL);
    return v <= COMPAT_MINOR ? "near" : v == COMPAT_PTX ? "ptx" : v == COMPAT_UNKNOWN ? "?" : "-";
}

static void matrix_start(doctor_buffer *b, matrix_format f, bool one) {
    const doctor_table *cc = doctor_table_open("cc");
    if (f == MATRIX_JSON) {
        doctor_print(b, "[");
        return;
    }
    int columns = 0;
    for (int i = 0; i < TAPER_COUNT(matrix_columns); i++) {
        if (f == MATRIX_TEXT && !matrix_columns[i].width) continue;
        matrix_cell(b, f, "", matrix_columns[i].name, matrix_columns[i].width, !columns++);
    }
    if (one) matrix_cell(b, f, "", "verdict", 8, !columns++);
    for (int row = 0; !one && row < cc->rows; row++) matrix_cell(b, f, "", doctor_cell(cc, row, "cc"), 6, !columns++);
    doctor_print(b, f == MATRIX_MD ? "|\n" : "\n");
    for (int i = 0; f == MATRIX_MD && i < columns; i++) doctor_print(b, "| --- %s", i + 1 == columns ? "|\n" : "");
}

static void matrix_row(doctor_buffer *b, matrix_format f, int row, const compat_gpu *gpu, const char *driver) {
    const doctor_table *t = doctor_table_open("torch_builds"), *cc = doctor_table_open("cc");
    int columns = 0;
    for (int i = 0; i < TAPER_COUNT(matrix_columns); i++) {
        char python[32];
        const char *text = doctor_cell(t, row, matrix_columns[i].cell);
        if (f == MATRIX_TEXT && !matrix_columns[i].width) continue;
        if (!strcmp(matrix_columns[i].name, "python")) {
            snprintf(python, sizeof python, "%.10s-%.10s", text, doctor_cell(t, row, "py_max"));
            text = python;
        }
        matrix_cell(b, f, matrix_columns[i].name, text, matrix_columns[i].width, !columns++);
    }
    if (gpu) {
        compat_code code;
        compat_code_of_build(&code, row, gpu);
        matrix_cell(b, f, "verdict", compat_verdict_name(compat_judge(gpu, driver, &code, NULL)), 8, !columns++);
    }
    for (int i = 0; !gpu && i < cc->rows; i++) matrix_cell(b, f, doctor_cell(cc, i, "cc"), matrix_code(row, doctor_cell(cc, i, "cc")), 6, !columns++);
}

bool compat_matrix(doctor_buffer *b, const char *format, const char *gpu_name, const char *driver, bool chinese) {
    static const char *const formats[] = {"text", "tsv", "json", "md"};
    const doctor_table *t = doctor_table_open("torch_builds");
    matrix_format f = MATRIX_TEXT;
    compat_gpu gpu;
    int known = -1;
    (void)chinese; /* names of columns and values are the same in every language */
    for (int i = 0; i < TAPER_COUNT(formats); i++)
        if (!strcmp(format, formats[i])) known = i;
    if (known < 0 || !t || !doctor_table_open("cc") || (gpu_name && !compat_find_gpu(&gpu, gpu_name, NULL))) return false;
    if (driver && !doctor_version_valid(driver)) return false;
    f = (matrix_format)known;
    matrix_start(b, f, gpu_name != NULL);
    for (int row = 0; row < t->rows; row++) {
        if (f == MATRIX_JSON) doctor_print(b, "%s\n{", row ? "," : "");
        matrix_row(b, f, row, gpu_name ? &gpu : NULL, driver);
        doctor_print(b, f == MATRIX_MD ? "|\n" : f == MATRIX_JSON ? "}" : "\n");
    }
    if (f == MATRIX_JSON) doctor_print(b, "\n]\n");
    return true;
}
