/* The report as one HTML page: verdict, what is wrong, the checklist, then figures and curves by check. */
#include <stdio.h>
#include <string.h>

#include "verify/verify.h"

static void html_rows(doctor_buffer *b, const verify_report *r, const int *order, int count) {
    doctor_print(b, "<table><tbody>\n");
    for (int i = 0; i < count; i++) {
        const verify_row *row = &r->row[order ? order[i] : i];
        const char *name = strchr(row->id, '.');
        doctor_print(b, "<tr><td class=\"mark %s\">%s</td><td>", verify_state_name(row->state), verify_state_mark(row->state));
        verify_escape(b, row->where);
        doctor_print(b, "</td><td>");
        verify_escape(b, name ? name + 1 : row->id);
        doctor_print(b, "</td><td>");
        verify_escape(b, row->text);
        doctor_print(b, "</td></tr>\n");
    }
    doctor_print(b, "</tbody></table>\n");
}

/* A chart for each unit that has a direction; what only says how it is stands in the text. */
static void html_figures(doctor_buffer *b, const verify_row *row) {
    for (int i = 0; i < row->figures; i++) {
        verify_bar bars[VERIFY_FIGURES];
        int count = 0;
        bool seen = false;
        for (int k = 0; k < i; k++) seen |= row->figure[k].better && !strcmp(row->figure[k].unit, row->figure[i].unit);
        if (seen || !row->figure[i].better) continue;
        for (int k = i; k < row->figures; k++) {
            const verify_figure *f = &row->figure[k];
            if (f->better && !strcmp(f->unit, row->figure[i].unit)) bars[count++] = (verify_bar){f->name, f->value, f->low, f->high, f->expected, 0};
        }
        verify_bars(b, row->figure[i].unit, bars, count);
    }
}

void verify_html(doctor_buffer *b, const verify_report *r, bool chinese) {
    static const char *const verdicts[][2] = {{"healthy", "正常"}, {"slow", "偏慢"}, {"broken", "有故障"}, {"could not tell", "无法判断"}};
    static const char *const classes[] = {"pass", "slow", "fail", "unknown"};
    int order[VERIFY_ROWS], bad = verify_worst(r, order);
    verify_page_begin(b, doctor_text(r->owner, "taper verify: %s", r->host), chinese);
    doctor_print(b, "<p><span class=\"mark %s\">%s</span> &#183; %s &#183; taper ", classes[r->code & 3], verdicts[r->code & 3][chinese], r->when);
    verify_escape(b, r->version);
    doctor_print(b, "</p>\n<ul>");
    for (int i = 0; i < r->machines; i++) {
        doctor_print(b, "<li>");
        verify_escape(b, r->machine[i]);
        doctor_print(b, "</li>");
    }
    doctor_print(b, "</ul>\n");
    if (bad) {
        doctor_print(b, "<h2>%s</h2>\n", chinese ? "问题 (最严重的在前)" : "What is wrong, worst first");
        html_rows(b, r, order, bad);
    }
    doctor_print(b, "<h2>%s</h2>\n", chinese ? "检查清单" : "Checklist");
    html_rows(b, r, NULL, r->rows);
    doctor_print(b, "<h2>%s</h2>\n<p>%s</p>\n", chinese ? "数据" : "Figures",
                 chinese ? "条形为中位数, 细线为其离散范围 (一次运行: 四分位区间; 多次: 各次的范围), 虚线为该部件的标称值。" : "Bars are medians, the thin line is their spread (one run: its quartiles; several: their range), the dashed mark is what the part can do by its data sheet.");
    for (int i = 0; i < r->rows; i++) {
        const verify_row *row = &r->row[i];
        bool any = row->series > 0;
        for (int k = 0; k < row->figures; k++) any |= row->figure[k].better != 0;
        if (!any) continue;
        doctor_print(b, "<div class=\"card\"><h2>");
        verify_escape(b, row->id);
        doctor_print(b, "</h2>\n");
        html_figures(b, row);
        if (row->series) verify_lines(b, row->plots, row->series);
        doctor_print(b, "</div>\n");
    }
    verify_page_end(b);
}
