/* The report as JSON, and back. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "verify/json.h"
#include "verify/verify.h"

static const char *const better_names[] = {"lower", "neither", "higher"};

static void report_pair(doctor_buffer *b, const char *key, const char *text) {
    doctor_print(b, ", \"%s\": ", key);
    doctor_json_text(b, text);
}

static void report_figure(doctor_buffer *b, const verify_figure *f) {
    doctor_print(b, "{\"name\": ");
    doctor_json_text(b, f->name);
    report_pair(b, "unit", f->unit);
    doctor_print(b, ", \"better\": \"%s\", \"value\": %.7g, \"low\": %.7g, \"high\": %.7g, \"expected\": ", better_names[f->better + 1], f->value, f->low, f->high);
    if (f->expected > 0) doctor_print(b, "%.7g}", f->expected);
    else doctor_print(b, "null}");
}

static void report_series(doctor_buffer *b, const verify_series *s) {
    doctor_print(b, "{\"name\": ");
    doctor_json_text(b, s->name);
    report_pair(b, "x_unit", s->x_unit);
    report_pair(b, "y_unit", s->y_unit);
    for (int axis = 0; axis < 2; axis++) {
        doctor_print(b, ", \"%s\": [", axis ? "y" : "x");
        for (int i = 0; i < s->count; i++) doctor_print(b, "%s%.7g", i ? ", " : "", axis ? s->y[i] : s->x[i]);
        doctor_print(b, "]");
    }
    doctor_print(b, "}");
}

void verify_json(doctor_buffer *b, const verify_report *r) {
    static const char *const verdicts[] = {"healthy", "slow", "broken", "could not tell"};
    doctor_print(b, "{\"taper_verify\": 1");
    report_pair(b, "taper", r->version);
    report_pair(b, "when", r->when);
    report_pair(b, "host", r->host);
    report_pair(b, "verdict", verdicts[r->code & 3]);
    doctor_print(b, ", \"exit\": %d, \"runs\": %d,\n \"machine\": [", r->code, r->runs);
    for (int i = 0; i < r->machines; i++) {
        doctor_print(b, i ? ", " : "");
        doctor_json_text(b, r->machine[i]);
    }
    doctor_print(b, "],\n \"checks\": [");
    for (int i = 0; i < r->rows; i++) {
        const verify_row *row = &r->row[i];
        doctor_print(b, "%s\n  {\"id\": ", i ? "," : "");
        doctor_json_text(b, row->id);
        report_pair(b, "where", row->where);
        report_pair(b, "state", verify_state_name(row->state));
        report_pair(b, "text", row->en);
        doctor_print(b, ", \"seconds\": %.3f, \"figures\": [", row->seconds);
        for (int k = 0; k < row->figures; k++) {
            doctor_print(b, k ? ",\n    " : "\n    ");
            report_figure(b, &row->figure[k]);
        }
        doctor_print(b, "], \"series\": [");
        for (int k = 0; k < row->series; k++) {
            doctor_print(b, k ? ",\n    " : "\n    ");
            report_series(b, &row->plots[k]);
        }
        doctor_print(b, "]}");
    }
    doctor_print(b, "\n]}\n");
}

/* ---- and back ---- */

static double parse_number(const verify_json_text *j, const verify_json_value *object, const char *key, double otherwise) {
    const verify_json_value *v = verify_json_get(j, object, key);
    return v && v->kind == VERIFY_JSON_NUMBER ? v->number : otherwise;
}

/* Into out, without what would steer a terminal. */
static void parse_copy(char *out, size_t size, const char *text) {
    snprintf(out, size, "%s", text);
    for (; *out; out++)
        if ((unsigned char)*out < 0x20 || *out == 0x7f) *out = ' ';
}

static const char *parse_keep(doctor *d, const char *text) {
    char *copy = doctor_keep(d, strlen(text) + 1);
    if (copy) parse_copy(copy, strlen(text) + 1, text);
    return copy ? copy : "";
}

static const char *parse_text(const verify_json_text *j, const verify_json_value *object, const char *key) {
    const verify_json_value *v = verify_json_get(j, object, key);
    return v && v->kind == VERIFY_JSON_STRING ? v->text : "";
}

static const verify_json_value *parse_first(const verify_json_text *j, const verify_json_value *object, const char *key) {
    const verify_json_value *v = verify_json_get(j, object, key);
    return v && v->kind == VERIFY_JSON_ARRAY ? verify_json_item(j, v->first) : NULL;
}

static void parse_figures(verify_row *row, const verify_json_text *j, const verify_json_value *object) {
    for (const verify_json_value *v = parse_first(j, object, "figures"); v && row->figures < VERIFY_FIGURES; v = verify_json_item(j, v->next)) {
        verify_figure *f = &row->figure[row->figures];
        const char *better = parse_text(j, v, "better");
        if (!*parse_text(j, v, "name") || !isfinite(parse_number(j, v, "value", NAN))) continue;
        parse_copy(f->name, sizeof f->name, parse_text(j, v, "name"));
        parse_copy(f->unit, sizeof f->unit, parse_text(j, v, "unit"));
        f->better = !strcmp(better, "higher") - !strcmp(better, "lower");
        f->value = parse_number(j, v, "value", 0);
        f->low = fmin(parse_number(j, v, "low", f->value), f->value);
        f->high = fmax(parse_number(j, v, "high", f->value), f->value);
        f->expected = parse_number(j, v, "expected", 0);
        row->figures++;
    }
}

static void parse_series(doctor *d, verify_row *row, const verify_json_text *j, const verify_json_value *object) {
    for (const verify_json_value *v = parse_first(j, object, "series"); v && row->series < VERIFY_SERIES; v = verify_json_item(j, v->next)) {
        if (!row->plots && !(row->plots = doctor_keep(d, sizeof *row->plots * VERIFY_SERIES))) return;
        verify_series *s = &row->plots[row->series];
        const verify_json_value *x = parse_first(j, v, "x"), *y = parse_first(j, v, "y");
        for (; x && y && s->count < VERIFY_POINTS; x = verify_json_item(j, x->next), y = verify_json_item(j, y->next), s->count++)
            s->x[s->count] = x->number, s->y[s->count] = y->number;
        parse_copy(s->name, sizeof s->name, parse_text(j, v, "name"));
        parse_copy(s->x_unit, sizeof s->x_unit, parse_text(j, v, "x_unit"));
        parse_copy(s->y_unit, sizeof s->y_unit, parse_text(j, v, "y_unit"));
        if (s->count) row->series++;
    }
}

taper_status verify_parse(verify_report *out, const char *text, size_t size, const char *name) {
    verify_json_text j;
    doctor *d = out->owner;
    taper_status st = verify_json_open(&j, text, size, name);
    const verify_json_value *root = verify_json_item(&j, st == TAPER_OK ? 0 : -1), *version = verify_json_get(&j, root, "taper_verify");
    if (st == TAPER_OK && (!version || version->kind != VERIFY_JSON_NUMBER || !parse_first(&j, root, "checks")))
        st = TAPER_FAIL(TAPER_FORMAT, "verify: %s is no report of taper verify --json", name);
    if (st == TAPER_OK && version->number != 1) st = TAPER_FAIL(TAPER_FORMAT, "verify: %s is a report of version %g, this tool reads 1", name, version->number);
    if (st == TAPER_OK) {
        parse_copy(out->when, sizeof out->when, parse_text(&j, root, "when"));
        parse_copy(out->host, sizeof out->host, parse_text(&j, root, "host"));
        parse_copy(out->version, sizeof out->version, parse_text(&j, root, "taper"));
        double runs = parse_number(&j, root, "runs", 1);
        out->runs = runs >= 1 && runs <= VERIFY_RUNS ? (int)runs : 1;
        for (const verify_json_value *v = parse_first(&j, root, "machine"); v && out->machines < VERIFY_MACHINE; v = verify_json_item(&j, v->next))
            if (v->kind == VERIFY_JSON_STRING) out->machine[out->machines++] = parse_keep(d, v->text);
    }
    for (const verify_json_value *v = st == TAPER_OK ? parse_first(&j, root, "checks") : NULL; v && out->rows < VERIFY_ROWS; v = verify_json_item(&j, v->next)) {
        verify_row *row = &out->row[out->rows];
        const char *state = parse_text(&j, v, "state");
        if (!*parse_text(&j, v, "id")) continue;
        parse_copy(row->id, sizeof row->id, parse_text(&j, v, "id"));
        parse_copy(row->where, sizeof row->where, parse_text(&j, v, "where"));
        row->state = VERIFY_UNKNOWN;
        for (int i = 0; i < VERIFY_STATES; i++)
            if (!strcmp(state, verify_state_name((verify_state)i))) row->state = (verify_state)i;
        row->text = row->en = parse_keep(d, parse_text(&j, v, "text"));
        row->seconds = parse_number(&j, v, "seconds", 0);
        parse_figures(row, &j, v);
        parse_series(d, row, &j, v);
        out->rows++;
    }
    if (st == TAPER_OK && !out->rows) st = TAPER_FAIL(TAPER_FORMAT, "verify: %s is a report without checks", name);
    if (st == TAPER_OK) out->code = verify_exit_code(out);
    verify_json_close(&j);
    return st;
}
