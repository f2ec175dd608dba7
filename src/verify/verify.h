/* What the files of verify share: rows of the report, how a check makes one in the child, and the writers. */
#ifndef TAPER_VERIFY_VERIFY_H
#define TAPER_VERIFY_VERIFY_H

#include <taper/verify.h>

#include <taper/tensor.h>

#include "base/base.h"
#include "doctor/doctor.h"

/* ---- a report: made from the child's facts, or read from JSON ---- */
typedef enum verify_state { VERIFY_PASS, VERIFY_SKIP, VERIFY_UNKNOWN, VERIFY_SLOW, VERIFY_FAIL, VERIFY_STATES } verify_state;
const char *verify_state_name(verify_state state); /* "pass": in JSON */
const char *verify_state_mark(verify_state state); /* "PASS": in text, the same in every language */

enum { VERIFY_FIGURES = 24, VERIFY_POINTS = 64, VERIFY_SERIES = 4, VERIFY_ROWS = 256, VERIFY_NAME = 32, VERIFY_ID = 48, VERIFY_MACHINE = 32, VERIFY_SAMPLES = 64 };

/* Median and quartiles of the samples, all equal for a single value; of several runs the median, least and largest of their medians. */
typedef struct verify_figure {
    char name[VERIFY_NAME], unit[16];
    int better; /* 1: higher, -1: lower, 0: says how it is */
    double value, low, high, expected; /* expected: what the part could do at most; 0: not known */
} verify_figure;
typedef struct verify_series {
    char name[VERIFY_NAME], x_unit[16], y_unit[16];
    int count;
    double x[VERIFY_POINTS], y[VERIFY_POINTS];
} verify_series;
typedef struct verify_row {
    char id[VERIFY_ID], where[16]; /* "gpu0.tf32", "gpu 0" */
    verify_state state;
    const char *text, *en; /* in the report's language, and in English; owned by the doctor */
    double seconds;
    int figures, series;
    verify_figure figure[VERIFY_FIGURES];
    verify_series *plots; /* VERIFY_SERIES, or NULL */
} verify_row;
typedef struct verify_report {
    doctor *owner; /* of all strings */
    char when[32], host[64], version[24];
    int runs, machines, rows, code;
    const char *machine[VERIFY_MACHINE]; /* "CUDA driver 13.0", one line each */
    verify_row row[VERIFY_ROWS];
} verify_report;

/* ---- record.c: in the child ---- */
typedef struct verify_run {
    doctor_out *out;
    const taper_verify_options *options;
    taper_device device;
    int number, figures, series; /* of the row; said so far */
    verify_state state;
    char en[1500], zh[1500];
} verify_run;
void verify_say(verify_run *r, const char *en, const char *zh, ...) TAPER_PRINTF(2, 4) TAPER_PRINTF(3, 4); /* formats over the same arguments */
/* A word in both languages, for %s%.0s in the English format and %.0s%s in the Chinese one. */
#define VERIFY_WORD(condition, en, zh, en_not, zh_not) (condition) ? en : en_not, (condition) ? zh : zh_not
void verify_set(verify_run *r, verify_state state);                  /* the worst that was set stays */
/* A figure from its samples (sorted in place); gives the median. */
double verify_measured(verify_run *r, const char *name, const char *unit, int better, double *samples, int count, double expected);
void verify_value(verify_run *r, const char *name, const char *unit, int better, double value);
void verify_points(verify_run *r, const char *name, const char *x_unit, const char *y_unit, const double *x, const double *y, int count);
double verify_now(void); /* seconds */
/* Calls step until about `budget` seconds are spent and gives seconds per call in samples[VERIFY_SAMPLES]; short steps share a
 * sample. Waits for the GPU at the end of each. */
typedef taper_status (*verify_step)(void *ctx);
taper_status verify_time(verify_run *r, verify_step step, void *ctx, double budget, double *samples, int *count);
void verify_begin(verify_run *r, int number); /* the frame of a row */
void verify_end(verify_run *r, double seconds);
/* One row's facts as the parent reads them; false when the child did not come to its end. */
bool verify_read_row(doctor *d, const doctor_facts *f, int number, bool chinese, verify_row *row);

/* ---- the checks ---- */
typedef struct verify_check {
    const char *name, *asks, *asks_zh;
    bool cpu, gpu; /* where it runs; neither: once, in the CPU's child, about the machine */
    taper_status (*run)(verify_run *r);
} verify_check;
extern const verify_check verify_checks[];
extern const int verify_check_count;
taper_status verify_devices(verify_run *r);
taper_status verify_properties(verify_run *r);
taper_status verify_matmul(verify_run *r);
taper_status verify_speed(verify_run *r);
taper_status verify_tf32(verify_run *r);
taper_status verify_training(verify_run *r);
taper_status verify_amp(verify_run *r);
taper_status verify_loader(verify_run *r);
taper_status verify_checkpoint(verify_run *r);
void verify_checkpoint_clean(const taper_verify_options *o); /* in the parent, after a child that did not end well */
taper_status verify_graph(verify_run *r);
taper_status verify_determinism(verify_run *r);
taper_status verify_memory(verify_run *r);
taper_status verify_copies(verify_run *r);
/* What the part can do, by its name in data/compat/gpus.tsv: fp32, tf32, fp16, bf16 (TFLOP/s), bw_gbs; 0: not known. */
double verify_part(taper_device device, const char *column);
/* Whether a provider ("cuBLASLt", "cuDNN") can be used. */
bool verify_has_provider(const char *name);
/* Largest |a - b| over the root mean square of b; both float32 of one shape, on any device. */
taper_status verify_difference(double *out, taper_tensor *a, taper_tensor *b);
taper_status verify_same_bits(bool *same, taper_tensor *a, taper_tensor *b);
taper_status verify_normal(taper_tensor **out, int64_t rows, int64_t columns, taper_dtype dtype, taper_device device);

/* ---- report_*.c, compare.c, json.c ---- */
void verify_text(doctor_buffer *b, const verify_report *r, const taper_verify_options *o);
void verify_json(doctor_buffer *b, const verify_report *r);
void verify_html(doctor_buffer *b, const verify_report *r, bool chinese);
int verify_exit_code(const verify_report *r);
/* Rows by how bad they are: order[] gets the numbers of those that are not fine, worst first; the count. */
int verify_worst(const verify_report *r, int *order);
/* A report that verify_json wrote. FORMAT for anything else, with what is wrong; any bytes are safe. name: for messages. */
taper_status verify_parse(verify_report *out, const char *text, size_t size, const char *name);

typedef struct verify_change {
    const verify_row *row[2]; /* NULL: not in that report */
    const verify_figure *figure[2]; /* NULL: the row's state */
    double ratio;    /* of the values, second to first */
    bool marked, worse; /* marked: more than noise */
} verify_change;
enum { VERIFY_RUNS = 9, VERIFY_RUNS_ENOUGH = 3 }; /* from 3 on the spread is that of runs */
/* Puts runs of one machine together in the first. */
void verify_merge(verify_report *const *r, int count);
/* Every figure of either report; the count (at most room). */
int verify_compare(const verify_report *a, const verify_report *b, verify_change *out, int room);
void verify_compare_text(doctor_buffer *b, const verify_report *const *r, const char *const *names, const verify_change *c, int count, const taper_verify_options *o);
void verify_compare_json(doctor_buffer *b, const verify_report *const *r, const char *const *names, const verify_change *c, int count);
void verify_compare_html(doctor_buffer *b, const verify_report *const *r, const char *const *names, const verify_change *c, int count, bool chinese);
int verify_compare_code(const verify_change *c, int count);

/* ---- page.c: HTML and SVG ---- */
void verify_escape(doctor_buffer *b, const char *text); /* for HTML: & < > " and bytes that are not UTF-8 */
void verify_page_begin(doctor_buffer *b, const char *title, bool chinese);
void verify_page_end(doctor_buffer *b);
typedef struct verify_bar {
    const char *label;
    double value, low, high, expected;
    int tone; /* 0 plain, 1 the second of a pair, 2 marked worse, 3 marked better */
} verify_bar;
void verify_bars(doctor_buffer *b, const char *unit, const verify_bar *bars, int count);
void verify_lines(doctor_buffer *b, const verify_series *s, int count);

#endif
