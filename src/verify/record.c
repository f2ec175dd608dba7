/* A row of the report: said in the child as "key value" lines, read by the parent; and how steps are timed. */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "verify/verify.h"

double verify_now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void record_line(verify_run *r, const char *field, const char *text) {
    char key[64];
    snprintf(key, sizeof key, "row.%d.%s", r->number, field);
    doctor_say(r->out, key, "%s", text);
}

void verify_begin(verify_run *r, int number) {
    r->number = number;
    r->figures = r->series = 0;
    r->state = VERIFY_PASS;
    r->en[0] = r->zh[0] = 0;
    record_line(r, "begin", "1");
}

void verify_end(verify_run *r, double seconds) {
    char text[32];
    record_line(r, "en", r->en);
    record_line(r, "zh", r->zh);
    snprintf(text, sizeof text, "%.3f", seconds);
    record_line(r, "seconds", text);
    snprintf(text, sizeof text, "%d", (int)r->state);
    record_line(r, "end", text);
}

void verify_say(verify_run *r, const char *en, const char *zh, ...) {
    va_list ap, again;
    va_start(ap, zh);
    va_copy(again, ap);
    vsnprintf(r->en, sizeof r->en, en, ap);
    vsnprintf(r->zh, sizeof r->zh, zh, again);
    va_end(again);
    va_end(ap);
}

void verify_set(verify_run *r, verify_state state) {
    if (state > r->state) r->state = state;
}

static int record_order(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void record_figure(verify_run *r, const verify_figure *f) {
    char text[256], field[32];
    snprintf(field, sizeof field, "figure.%d", r->figures++);
    snprintf(text, sizeof text, "%s %s %d %.9g %.9g %.9g %.9g", f->name, f->unit, f->better, f->value, f->low, f->high, f->expected);
    record_line(r, field, text);
}

double verify_measured(verify_run *r, const char *name, const char *unit, int better, double *samples, int count, double expected) {
    if (count < 1) return 0;
    qsort(samples, (size_t)count, sizeof *samples, record_order);
    verify_figure f = {.better = better, .value = samples[count / 2], .low = samples[count / 4], .high = samples[(3 * count - 1) / 4], .expected = expected};
    snprintf(f.name, sizeof f.name, "%s", name);
    snprintf(f.unit, sizeof f.unit, "%s", unit);
    record_figure(r, &f);
    return f.value;
}

void verify_value(verify_run *r, const char *name, const char *unit, int better, double value) { verify_measured(r, name, unit, better, &value, 1, 0); }

void verify_points(verify_run *r, const char *name, const char *x_unit, const char *y_unit, const double *x, const double *y, int count) {
    char text[VERIFY_POINTS * 28 + 128], field[32];
    snprintf(field, sizeof field, "series.%d", r->series++);
    int n = snprintf(text, sizeof text, "%s %s %s", name, x_unit, y_unit);
    for (int i = 0; i < count && i < VERIFY_POINTS; i++) n += snprintf(text + n, sizeof text - (size_t)n, " %.6g %.6g", x[i], y[i]);
    record_line(r, field, text);
}

static taper_status record_repeat(verify_run *r, verify_step step, void *ctx, int64_t count, double *seconds) {
    double begin = verify_now();
    for (int64_t i = 0; i < count; i++) TAPER_TRY(step(ctx));
    if (r->device.type == TAPER_CUDA) TAPER_TRY(taper_cuda_synchronize(r->device.index));
    *seconds = (verify_now() - begin) / (double)count;
    return TAPER_OK;
}

taper_status verify_time(verify_run *r, verify_step step, void *ctx, double budget, double *samples, int *count) {
    double once = 0, total = 0;
    TAPER_TRY(record_repeat(r, step, ctx, 2, &once)); /* kernels load, providers plan */
    TAPER_TRY(record_repeat(r, step, ctx, 1, &once));
    int64_t inner = once > 0.003 ? 1 : once < 6e-6 ? 500 : (int64_t)(0.003 / once);
    TAPER_TRY(record_repeat(r, step, ctx, inner, &once));
    if (r->options->quick) budget /= 4;
    for (*count = 0; *count < 3 || (*count < VERIFY_SAMPLES && total < budget); ++*count) {
        TAPER_TRY(record_repeat(r, step, ctx, inner, &samples[*count]));
        total += samples[*count] * (double)inner;
    }
    return TAPER_OK;
}

/* ---- the parent ---- */

static bool record_read_figure(verify_figure *f, const char *text) {
    return sscanf(text, "%31s %15s %d %lf %lf %lf %lf", f->name, f->unit, &f->better, &f->value, &f->low, &f->high, &f->expected) == 7 && isfinite(f->value) && isfinite(f->low) &&
           isfinite(f->high) && isfinite(f->expected);
}

static bool record_read_series(verify_series *s, const char *text) {
    int n = 0;
    if (sscanf(text, "%31s %15s %15s%n", s->name, s->x_unit, s->y_unit, &n) != 3) return false;
    for (text += n; s->count < VERIFY_POINTS; text += n, s->count++)
        if (sscanf(text, "%lf %lf%n", &s->x[s->count], &s->y[s->count], &n) != 2 || !isfinite(s->x[s->count]) || !isfinite(s->y[s->count])) break;
    return s->count > 0;
}

bool verify_read_row(doctor *d, const doctor_facts *f, int number, bool chinese, verify_row *row) {
    const char *en = doctor_fact(f, "row.%d.en", number), *zh = doctor_fact(f, "row.%d.zh", number), *text;
    if (!en || !doctor_fact(f, "row.%d.end", number)) return false;
    row->en = en;
    row->text = chinese && zh ? zh : en;
    row->state = (verify_state)doctor_fact_int(f, VERIFY_UNKNOWN, "row.%d.end", number);
    row->seconds = doctor_fact_real(f, 0, "row.%d.seconds", number);
    for (int i = 0; row->figures < VERIFY_FIGURES && (text = doctor_fact(f, "row.%d.figure.%d", number, i)); i++)
        if (record_read_figure(&row->figure[row->figures], text)) row->figures++;
    for (int i = 0; row->series < VERIFY_SERIES && (text = doctor_fact(f, "row.%d.series.%d", number, i)); i++) {
        if (!row->plots && !(row->plots = doctor_keep(d, sizeof *row->plots * VERIFY_SERIES))) break;
        if (record_read_series(&row->plots[row->series], text)) row->series++;
        else memset(&row->plots[row->series], 0, sizeof *row->plots);
    }
    return true;
}
