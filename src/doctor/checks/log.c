/* The log of a failed job: known error texts, explained. */
#include "doctor/log_texts.h"

#include <stdio.h>
#include <string.h>

enum { LOG_IDS = 128 };

static const char *log_more(int i) {
    static const char *ids[LOG_IDS];
    int n = 0;
    for (const doctor_log_text *t = doctor_log_texts; t->id && n < LOG_IDS - 1; t++) {
        bool again = false;
        for (int k = 0; k < n; k++) again |= !strcmp(ids[k], t->id);
        if (!again) ids[n++] = t->id;
    }
    return i < n ? ids[i] : NULL;
}

static const doctor_log_text *log_match(const char *line) {
    for (const doctor_log_text *t = doctor_log_texts; t->id; t++) {
        bool all = true;
        for (int i = 0; i < TAPER_COUNT(t->text) && t->text[i] && all; i++) all = strcasestr(line, t->text[i]) != NULL;
        if (all) return t;
    }
    return NULL;
}

static void log_run(doctor *d) {
    size_t size = 0;
    int problem = 0;
    const char *path = doctor_settings(d)->log, *text = path ? doctor_read(d, path, &size, &problem) : NULL;
    struct { const doctor_log_text *text; int64_t line, times; const char *shown; } found[LOG_IDS];
    int n = 0;
    if (!path) return;
    if (!text) {
        doctor_unknown(d, "%s: %s", path, doctor_errno(problem));
        return;
    }
    int64_t number = 0;
    for (const char *end, *p = text; p < text + size; p = end + 1) {
        char line[2048];
        end = memchr(p, '\n', (size_t)(text + size - p));
        if (!end) end = text + size;
        size_t length = (size_t)(end - p) < sizeof line - 1 ? (size_t)(end - p) : sizeof line - 1;
        memcpy(line, p, length);
        for (size_t i = 0; i < length; i++)
            if ((unsigned char)line[i] < ' ') line[i] = ' '; /* also zero bytes: the line goes on */
        line[length] = 0;
        number++;
        const doctor_log_text *t = log_match(line);
        int k = 0;
        for (; t && k < n && strcmp(found[k].text->id, t->id); k++) continue;
        if (!t || k == LOG_IDS) continue;
        if (k == n) {
            found[n].text = t;
            found[n].line = number;
            found[n].times = 0;
            found[n++].shown = doctor_text(d, "%.200s", line + strspn(line, " "));
        }
        found[k].times++;
    }
    for (int k = 0; k < n; k++) {
        const doctor_log_text *t = found[k].text;
        doctor_finding *f = doctor_find(d, t->verdict, t->id, t->link);
        doctor_evidence(d, f, "%s:%lld: %s%s", path, (long long)found[k].line, found[k].shown,
                        found[k].times > 1 ? doctor_text(d, " (%lld times)", (long long)found[k].times) : "");
        doctor_cause(d, f, "%s%.0s", "%2$s%1$.0s", t->en, t->zh);
        doctor_cure(d, f, "%s%.0s", "%2$s%1$.0s", t->cure, t->cure_zh ? t->cure_zh : t->cure);
    }
    if (!n) doctor_fine(d, "%s: %lld lines, no error text that is known", path, (long long)number);
}

DOCTOR_CHECK(log, .code = 1401, .layer = DOCTOR_PROCESS, .reads = "the file of --log", .asks = "what do the errors in this log mean?", .log = true, .more = log_more, .run = log_run);
