/* HTML and SVG that need nothing from outside the file: no scripts, fonts or pictures. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "verify/verify.h"

static const char page_style[] =
    ":root{--ink:#1d2733;--soft:#5c6b7a;--line:#d8dee5;--paper:#fff;--card:#f6f8fa;--one:#2f6fab;--two:#d98324;--bad:#c0392b;--good:#2e8b57;--skip:#8a97a5;--odd:#8e44ad}"
    "@media(prefers-color-scheme:dark){:root{--ink:#e4e9ee;--soft:#9aa8b5;--line:#3a4550;--paper:#161b21;--card:#1f262e;--one:#6aa9e0;--two:#f0a94e;--bad:#ef7163;--good:#66c28d;--skip:#7d8a97;--odd:#c08ae0}}"
    "body{font:15px/1.5 system-ui,-apple-system,'Segoe UI','Noto Sans CJK SC','Microsoft YaHei',sans-serif;color:var(--ink);background:var(--paper);max-width:60rem;margin:2rem auto;padding:0 1rem}"
    "h1{font-size:1.5rem}h2{font-size:1.1rem;margin:2rem 0 .5rem}table{border-collapse:collapse;width:100%;font-size:.9rem}th,td{text-align:left;padding:.35rem .6rem;border-bottom:1px solid var(--line);vertical-align:top}"
    "td.n{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}.pass,.better{color:var(--good)}.fail,.worse{color:var(--bad)}.slow{color:var(--two)}.skip{color:var(--skip)}.unknown{color:var(--odd)}"
    ".mark{font-weight:600;white-space:nowrap}.card{background:var(--card);border-radius:8px;padding:.8rem 1rem;margin:.8rem 0;overflow-x:auto}ul{padding-left:1.2rem}svg{max-width:100%;height:auto}svg text{font-size:12px;fill:var(--ink)}"
    "svg .soft{fill:var(--soft)}svg .axis{stroke:var(--line)}";

static int page_utf8(const unsigned char *s) {
    int n = s[0] < 0x80 ? 1 : s[0] >= 0xc2 && s[0] < 0xe0 ? 2 : (s[0] & 0xf0) == 0xe0 ? 3 : s[0] >= 0xf0 && s[0] < 0xf5 ? 4 : 0;
    for (int i = 1; i < n; i++)
        if ((s[i] & 0xc0) != 0x80) return 0;
    return n;
}

void verify_escape(doctor_buffer *b, const char *text) {
    for (const unsigned char *s = (const unsigned char *)text; *s;) {
        int n = page_utf8(s);
        if (*s == '&') doctor_print(b, "&amp;");
        else if (*s == '<') doctor_print(b, "&lt;");
        else if (*s == '>') doctor_print(b, "&gt;");
        else if (*s == '"') doctor_print(b, "&quot;");
        else if (!n || (*s < 0x20 && *s != '\n' && *s != '\t')) doctor_print(b, "\xef\xbf\xbd");
        else doctor_print(b, "%.*s", n, (const char *)s);
        s += n ? n : 1;
    }
}

void verify_page_begin(doctor_buffer *b, const char *title, bool chinese) {
    doctor_print(b, "<!DOCTYPE html>\n<html lang=\"%s\"><head><meta charset=\"utf-8\"/><meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/><title>", chinese ? "zh-CN" : "en");
    verify_escape(b, title);
    doctor_print(b, "</title><style>%s</style></head>\n<body><h1>", page_style);
    verify_escape(b, title);
    doctor_print(b, "</h1>\n");
}

void verify_page_end(doctor_buffer *b) { doctor_print(b, "</body></html>\n"); }

enum { BAR_LEFT = 220, BAR_WIDE = 360, BAR_HIGH = 22, PLOT_WIDE = 460, PLOT_HIGH = 190, PLOT_LEFT = 60, PLOT_TOP = 14 };

void verify_bars(doctor_buffer *b, const char *unit, const verify_bar *bars, int count) {
    static const char *const tones[] = {"one", "two", "bad", "good"};
    double most = 0;
    for (int i = 0; i < count; i++) most = fmax(most, fmax(bars[i].expected, fmax(bars[i].high, bars[i].value)));
    if (!(most > 0) || !isfinite(most)) return;
    int high = count * BAR_HIGH + 24;
    doctor_print(b, "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"720\" height=\"%d\" viewBox=\"0 0 720 %d\" role=\"img\">\n", high, high);
    for (int i = 0; i < count; i++) {
        const verify_bar *bar = &bars[i];
        double y = i * BAR_HIGH + 4, value = fmax(bar->value, 0) / most * BAR_WIDE, low = fmax(bar->low, 0) / most * BAR_WIDE, upper = fmax(bar->high, 0) / most * BAR_WIDE;
        doctor_print(b, "<text x=\"%d\" y=\"%.1f\" text-anchor=\"end\">", BAR_LEFT - 8, y + 12);
        verify_escape(b, bar->label);
        doctor_print(b, "</text><rect x=\"%d\" y=\"%.1f\" width=\"%.1f\" height=\"15\" rx=\"2\" style=\"fill:var(--%s)\"/>", BAR_LEFT, y, value, tones[bar->tone & 3]);
        if (upper > low) doctor_print(b, "<path d=\"M%.1f %.1fH%.1f\" style=\"stroke:var(--ink);stroke-width:1.5\"/>", BAR_LEFT + low, y + 7.5, BAR_LEFT + upper);
        if (bar->expected > 0) {
            double x = BAR_LEFT + bar->expected / most * BAR_WIDE;
            doctor_print(b, "<path d=\"M%.1f %.1fv19\" style=\"stroke:var(--soft);stroke-width:2;stroke-dasharray:3 2\"/>", x, y - 2);
        }
        doctor_print(b, "<text x=\"%d\" y=\"%.1f\">%.4g", BAR_LEFT + BAR_WIDE + 8, y + 12, bar->value);
        if (bar->expected > 0) doctor_print(b, " (%.0f %%)", 100 * bar->value / bar->expected);
        doctor_print(b, "</text>\n");
    }
    doctor_print(b, "<text class=\"soft\" x=\"%d\" y=\"%d\">", BAR_LEFT, high - 6);
    verify_escape(b, unit);
    doctor_print(b, "</text></svg>\n");
}

static void page_label(doctor_buffer *b, double x, double y, const char *anchor, const char *format, double value) {
    doctor_print(b, "<text class=\"soft\" x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\">", x, y, anchor);
    doctor_print(b, format, value);
    doctor_print(b, "</text>");
}

/* Series with one pair of units; x grows by powers of two where it spans more than eight times. */
void verify_lines(doctor_buffer *b, const verify_series *s, int count) {
    static const char *const tones[] = {"one", "two", "good", "odd"};
    double x0 = INFINITY, x1 = -INFINITY, y1 = 0;
    for (int i = 0; i < count; i++)
        for (int k = 0; k < s[i].count; k++) x0 = fmin(x0, s[i].x[k]), x1 = fmax(x1, s[i].x[k]), y1 = fmax(y1, s[i].y[k]);
    if (!(x1 > x0) || !(y1 > 0) || !isfinite(x1 - x0) || !isfinite(y1)) return;
    bool powers = x0 > 0 && x1 / x0 >= 4 && s[0].count <= 8;
    double from = powers ? log2(x0) : x0, span = (powers ? log2(x1) : x1) - from;
    doctor_print(b, "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"720\" height=\"%d\" viewBox=\"0 0 720 %d\" role=\"img\">\n", PLOT_HIGH + 50, PLOT_HIGH + 50);
    for (int i = 0; i <= 4; i++) {
        double y = PLOT_TOP + PLOT_HIGH * (1 - i / 4.0);
        doctor_print(b, "<path class=\"axis\" d=\"M%d %.1fh%d\"/>", PLOT_LEFT, y, PLOT_WIDE);
        page_label(b, PLOT_LEFT - 6, y + 4, "end", "%.3g", y1 * i / 4);
    }
    for (int k = 0; k < s[0].count && powers; k++) page_label(b, PLOT_LEFT + (log2(s[0].x[k]) - from) / span * PLOT_WIDE, PLOT_TOP + PLOT_HIGH + 16, "middle", "%.0f", s[0].x[k]);
    double tick = x1 - x0 >= 4 && x1 - x0 < 1e6 ? ceil((x1 - x0) / 4) : (x1 - x0) / 4;
    for (int i = 0; i <= 4 && !powers && i * tick <= (x1 - x0) * 1.001; i++)
        page_label(b, PLOT_LEFT + i * tick / (x1 - x0) * PLOT_WIDE, PLOT_TOP + PLOT_HIGH + 16, "middle", "%.6g", x0 + i * tick);
    for (int i = 0; i < count; i++) {
        doctor_print(b, "\n<polyline style=\"fill:none;stroke:var(--%s);stroke-width:2%s\" points=\"", tones[i & 3], i ? ";stroke-dasharray:5 3" : "");
        for (int k = 0; k < s[i].count; k++) {
            double x = powers ? log2(fmax(s[i].x[k], x0)) : s[i].x[k];
            doctor_print(b, "%.1f,%.1f ", PLOT_LEFT + (x - from) / span * PLOT_WIDE, PLOT_TOP + PLOT_HIGH * (1 - fmax(s[i].y[k], 0) / y1));
        }
        doctor_print(b, "\"/><rect x=\"%d\" y=\"%d\" width=\"12\" height=\"12\" style=\"fill:var(--%s)\"/><text x=\"%d\" y=\"%d\">", PLOT_LEFT + PLOT_WIDE + 20, PLOT_TOP + i * 20, tones[i & 3],
                     PLOT_LEFT + PLOT_WIDE + 38, PLOT_TOP + 11 + i * 20);
        verify_escape(b, s[i].name);
        doctor_print(b, "</text>");
    }
    doctor_print(b, "\n<text class=\"soft\" x=\"%d\" y=\"%d\">", PLOT_LEFT, PLOT_TOP + PLOT_HIGH + 34);
    verify_escape(b, s[0].y_unit);
    doctor_print(b, " &#8593;&#160;&#160;");
    verify_escape(b, s[0].x_unit);
    doctor_print(b, " &#8594;</text></svg>\n");
}
