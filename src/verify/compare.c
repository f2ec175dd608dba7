/* Two reports side by side. A figure differs when its medians are far apart and its spreads do not overlap. The spread within a process is less
 * than that between processes (clocks, chosen algorithms, pages), so reports of one run want a larger distance. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "verify/verify.h"

#define COMPARE_LEAST 0.05
#define COMPARE_LEAST_ONE_RUN 0.15

static const verify_row *compare_row(const verify_report *r, const char *id) {
    for (int i = 0; i < r->rows; i++)
        if (!strcmp(r->row[i].id, id)) return &r->row[i];
    return NULL;
}

static const verify_figure *compare_figure(const verify_row *row, const verify_figure *like) {
    for (int i = 0; row && i < row->figures; i++)
        if (!strcmp(row->figure[i].name, like->name) && !strcmp(row->figure[i].unit, like->unit)) return &row->figure[i];
    return NULL;
}

static int compare_order(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

void verify_merge(verify_report *const *r, int count) {
    for (int i = 0; i < r[0]->rows && count > 1; i++) {
        verify_row *row = &r[0]->row[i];
        for (int k = 0; k < row->figures; k++) {
            double values[VERIFY_RUNS];
            int n = 0;
            for (int run = 0; run < count; run++) {
                const verify_figure *f = compare_figure(compare_row(r[run], row->id), &row->figure[k]);
                if (f) values[n++] = f->value;
            }
            qsort(values, (size_t)n, sizeof *values, compare_order);
            row->figure[k].low = values[0], row->figure[k].value = values[n / 2], row->figure[k].high = values[n - 1];
        }
        for (int run = 1; run < count; run++) {
            const verify_row *other = compare_row(r[run], row->id);
            if (other && other->state > row->state) row->state = other->state, row->text = other->text, row->en = other->en;
        }
    }
    r[0]->code = verify_exit_code(r[0]);
}

static void compare_judge(verify_change *c, bool runs) {
    const verify_figure *a = c->figure[0], *b = c->figure[1];
    if (!a || !b || !(a->value > 0) || !(b->value > 0)) return;
    c->ratio = b->value / a->value;
    if (!a->better || a->better != b->better || !isfinite(c->ratio)) return;
    bool apart = a->high < b->low || b->high < a->low;
    c->marked = apart && fabs(c->ratio - 1) > (runs ? COMPARE_LEAST : COMPARE_LEAST_ONE_RUN);
    c->worse = c->marked && (c->ratio < 1) == (a->better > 0);
}

int verify_compare(const verify_report *a, const verify_report *b, verify_change *out, int room) {
    int count = 0;
    for (int side = 0; side < 2; side++) {
        const verify_report *r = side ? b : a;
        for (int i = 0; i < r->rows; i++) {
            const verify_row *row[2] = {side ? compare_row(a, r->row[i].id) : &r->row[i], side ? &r->row[i] : compare_row(b, r->row[i].id)};
            if ((side && row[0]) || count >= room) continue; /* the first side had it */
            verify_change *c = &out[count++];
            *c = (verify_change){.row = {row[0], row[1]}};
            c->marked = row[0] && row[1] && row[0]->state != row[1]->state;
            c->worse = c->marked && row[1]->state > row[0]->state && row[1]->state >= VERIFY_UNKNOWN;
            for (int k = 0; k < r->row[i].figures && count < room; k++) {
                const verify_figure *f = &r->row[i].figure[k], *other = compare_figure(row[!side], f);
                c = &out[count++];
                *c = (verify_change){.row = {row[0], row[1]}};
                c->figure[side] = f;
                c->figure[!side] = other;
                compare_judge(c, a->runs >= VERIFY_RUNS_ENOUGH && b->runs >= VERIFY_RUNS_ENOUGH);
            }
        }
    }
    return count;
}

int verify_compare_code(const verify_change *c, int count) {
    int code = 0;
    for (int i = 0; i < count; i++) {
        if (!c[i].worse) continue;
        bool broken = !c[i].figure[0] && !c[i].figure[1] && c[i].row[1] && c[i].row[1]->state == VERIFY_FAIL;
        if (broken) code = 2;
        else if (!code) code = 1;
    }
    return code;
}

static bool compare_exact(const verify_report *const *r) { return r[0]->runs >= VERIFY_RUNS_ENOUGH && r[1]->runs >= VERIFY_RUNS_ENOUGH; }
static const verify_row *compare_any(const verify_change *c) { return c->row[0] ? c->row[0] : c->row[1]; }
static const verify_figure *compare_some(const verify_change *c) { return c->figure[0] ? c->figure[0] : c->figure[1]; }

static const char *compare_word(const verify_change *c, bool chinese) {
    if (!c->marked) return "";
    bool state = !compare_some(c);
    return c->worse ? state ? chinese ? "变坏" : "WORSE" : chinese ? "变慢" : "SLOWER" : state ? chinese ? "变化" : "changed" : chinese ? "变快" : "faster";
}

/* Numbers as short as they are meant. */
static const char *compare_value(doctor *d, const verify_figure *f) { return f ? doctor_text(d, "%.5g", f->value) : "-"; }
static const char *compare_ratio(doctor *d, const verify_change *c) { return c->ratio > 0 ? doctor_text(d, "%.3f", c->ratio) : "-"; }

void verify_compare_text(doctor_buffer *b, const verify_report *const *r, const char *const *names, const verify_change *c, int count, const taper_verify_options *o) {
    doctor *d = r[0]->owner;
    int marked = 0;
    for (int i = 0; i < 2; i++) {
        doctor_print(b, "%c  %s (%s, %s, taper %s, %d %s)\n", 'A' + i, names[i], r[i]->host, r[i]->when, r[i]->version, r[i]->runs, r[i]->runs == 1 ? "run" : "runs");
        for (int k = 0; k < r[i]->machines; k++) doctor_print(b, "   %s\n", r[i]->machine[k]);
    }
    doctor_print(b, "\n%-42s %12s %12s %8s\n", "", "A", "B", "B/A");
    for (int pass = 0; pass < 2; pass++) /* then what differs again, worse first */
        for (int want = 1; want >= 0; want--)
            for (int i = 0; i < count; i++) {
                const verify_figure *f = compare_some(&c[i]);
                const verify_row *row = compare_any(&c[i]);
                if (!pass ? !want : !c[i].marked || c[i].worse != want) continue;
                const char *colour = !o->colour || !c[i].marked ? "" : c[i].worse ? "\033[31m" : "\033[32m";
                if (pass && !marked++) doctor_print(b, o->chinese ? "\n明显差异:\n" : "\nSignificant differences:\n");
                doctor_print(b, "%-42s %12s %12s %8s %s", f ? doctor_text(d, "%s %s %s", row->id, f->name, f->unit) : row->id,
                             f ? compare_value(d, c[i].figure[0]) : c[i].row[0] ? verify_state_mark(c[i].row[0]->state) : "-",
                             f ? compare_value(d, c[i].figure[1]) : c[i].row[1] ? verify_state_mark(c[i].row[1]->state) : "-", f ? compare_ratio(d, &c[i]) : "", colour);
                doctor_print(b, "%s%s\n", compare_word(&c[i], o->chinese), *colour ? "\033[0m" : "");
            }
    if (!marked) doctor_print(b, o->chinese ? "\n没有超出噪声的差异\n" : "\nno difference beyond noise\n");
    if (!compare_exact(r)) doctor_print(b, o->chinese ? "只跑一次的报告只能显示超过 15 %% 的差异; --runs 3 可看到 5 %%\n" : "reports of one run show differences above 15 %% only; --runs 3 shows those above 5 %%\n");
}

void verify_compare_json(doctor_buffer *b, const verify_report *const *r, const char *const *names, const verify_change *c, int count) {
    doctor_print(b, "{\"taper_verify_compare\": 1, \"exit\": %d, \"reports\": [", verify_compare_code(c, count));
    for (int i = 0; i < 2; i++) {
        doctor_print(b, "%s{\"file\": ", i ? ", " : "");
        doctor_json_text(b, names[i]);
        doctor_print(b, ", \"host\": ");
        doctor_json_text(b, r[i]->host);
        doctor_print(b, "}");
    }
    doctor_print(b, "],\n \"figures\": [");
    for (int i = 0, first = 1; i < count; i++) {
        const verify_figure *f = compare_some(&c[i]);
        doctor_print(b, "%s\n  {\"id\": ", first ? "" : ",");
        first = 0;
        doctor_json_text(b, compare_any(&c[i])->id);
        doctor_print(b, ", \"name\": ");
        doctor_json_text(b, f ? f->name : NULL);
        doctor_print(b, ", \"unit\": ");
        doctor_json_text(b, f ? f->unit : NULL);
        for (int side = 0; side < 2; side++) {
            doctor_print(b, ", \"%c\": ", 'a' + side);
            if (c[i].figure[side]) doctor_print(b, "%.7g", c[i].figure[side]->value);
            else doctor_json_text(b, !f && c[i].row[side] ? verify_state_name(c[i].row[side]->state) : NULL);
        }
        doctor_print(b, ", \"ratio\": ");
        doctor_print(b, c[i].ratio > 0 && isfinite(c[i].ratio) ? "%.5g" : "null", c[i].ratio);
        doctor_print(b, ", \"significant\": %s, \"worse\": %s}", c[i].marked ? "true" : "false", c[i].worse ? "true" : "false");
    }
    doctor_print(b, "\n]}\n");
}

static void compare_table(doctor_buffer *b, doctor *d, const verify_change *c, int count, bool marked, bool chinese) {
    doctor_print(b, "<table><tbody><tr><th></th><th></th><th>A</th><th>B</th><th>B/A</th><th></th></tr>\n");
    for (int i = 0; i < count; i++) {
        const verify_figure *f = compare_some(&c[i]);
        if (marked && !c[i].marked) continue;
        doctor_print(b, "<tr><td>");
        verify_escape(b, compare_any(&c[i])->id);
        doctor_print(b, "</td><td>");
        if (f) verify_escape(b, doctor_text(d, "%s (%s)", f->name, f->unit));
        for (int side = 0; side < 2; side++) {
            doctor_print(b, "</td><td class=\"n\">");
            if (f) doctor_print(b, "%s", compare_value(d, c[i].figure[side]));
            else doctor_print(b, "%s", c[i].row[side] ? verify_state_mark(c[i].row[side]->state) : "-");
        }
        doctor_print(b, "</td><td class=\"n\">%s</td><td class=\"mark %s\">%s</td></tr>\n", f ? compare_ratio(d, &c[i]) : "", !c[i].marked ? "" : c[i].worse ? "worse" : "better", compare_word(&c[i], chinese));
    }
    doctor_print(b, "</tbody></table>\n");
}

/* Bars in pairs, for each row and unit. */
static void compare_bars(doctor_buffer *b, doctor *d, const verify_change *c, int count) {
    for (int i = 0; i < count; i++) {
        verify_bar bars[2 * VERIFY_FIGURES];
        const verify_figure *f = compare_some(&c[i]);
        int n = 0;
        bool seen = false;
        if (!f || !f->better || !c[i].figure[0] || !c[i].figure[1]) continue;
        for (int k = 0; k < i; k++) seen |= compare_any(&c[k]) == compare_any(&c[i]) && c[k].figure[0] && c[k].figure[1] && c[k].figure[0]->better && !strcmp(c[k].figure[0]->unit, f->unit);
        if (seen) continue;
        for (int k = i; k < count && n + 2 <= TAPER_COUNT(bars); k++) {
            if (compare_any(&c[k]) != compare_any(&c[i]) || !c[k].figure[0] || !c[k].figure[1] || !c[k].figure[0]->better || strcmp(c[k].figure[0]->unit, f->unit)) continue;
            for (int side = 0; side < 2; side++) {
                const verify_figure *g = c[k].figure[side];
                bars[n++] = (verify_bar){doctor_text(d, "%s %c", g->name, 'A' + side), g->value, g->low, g->high, 0, !side ? 0 : !c[k].marked ? 1 : c[k].worse ? 2 : 3};
            }
        }
        doctor_print(b, "<div class=\"card\"><h2>");
        verify_escape(b, compare_any(&c[i])->id);
        doctor_print(b, "</h2>\n");
        verify_bars(b, f->unit, bars, n);
        doctor_print(b, "</div>\n");
    }
}

void verify_compare_html(doctor_buffer *b, const verify_report *const *r, const char *const *names, const verify_change *c, int count, bool chinese) {
    doctor *d = r[0]->owner;
    int marked = 0;
    for (int i = 0; i < count; i++) marked += c[i].marked;
    verify_page_begin(b, "taper verify --compare", chinese);
    for (int i = 0; i < 2; i++) {
        doctor_print(b, "<h2>%c: ", 'A' + i);
        verify_escape(b, doctor_text(d, "%s (%s, %s, taper %s, %d %s)", names[i], r[i]->host, r[i]->when, r[i]->version, r[i]->runs, r[i]->runs == 1 ? "run" : "runs"));
        doctor_print(b, "</h2><ul>");
        for (int k = 0; k < r[i]->machines; k++) {
            doctor_print(b, "<li>");
            verify_escape(b, r[i]->machine[k]);
            doctor_print(b, "</li>");
        }
        doctor_print(b, "</ul>\n");
    }
    doctor_print(b, "<h2>%s</h2>\n", chinese ? "明显差异" : "Significant differences");
    doctor_print(b, "<p>%s</p>\n", !compare_exact(r) ? chinese ? "只跑一次的报告: 中位数相差超过 15 % 且四分位区间不重叠才算差异 (--runs 3: 5 %)。" : "Reports of one run: a difference counts when medians are more than 15 % apart and the quartiles do not overlap (--runs 3: 5 %)."
                 : chinese ? "各次运行的中位数相差超过 5 % 且范围不重叠才算差异。" : "A difference counts when the medians of the runs are more than 5 % apart and their ranges do not overlap.");
    if (marked) compare_table(b, d, c, count, true, chinese);
    else doctor_print(b, "<p>%s</p>\n", chinese ? "没有" : "None.");
    compare_bars(b, d, c, count);
    doctor_print(b, "<h2>%s</h2>\n", chinese ? "全部" : "All of it");
    compare_table(b, d, c, count, false, chinese);
    verify_page_end(b);
}
