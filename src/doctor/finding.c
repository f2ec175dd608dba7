/* Findings: what checks say, and text that grows. */
#include "doctor/state.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

doctor_finding *doctor_find(doctor *d, doctor_verdict verdict, const char *id, const char *link) {
    static doctor_finding nowhere; /* without memory: written, never read */
    bool known = verdict == DOCTOR_OK || !strcmp(id, d->running->name);
    for (int i = 0; i < DOCTOR_FINDS && d->running->finds[i]; i++) known |= !strcmp(id, d->running->finds[i]);
    for (int i = 0; !known && d->running->more && d->running->more(i); i++) known = !strcmp(id, d->running->more(i));
    if (d->count == d->capacity) {
        int capacity = d->capacity ? d->capacity * 2 : 64;
        doctor_finding *more = taper__realloc(d->findings, sizeof *more * (size_t)capacity);
        if (!more) return &nowhere;
        d->findings = more;
        d->capacity = capacity;
    }
    doctor_finding *f = &d->findings[d->count++];
    *f = (doctor_finding){.check = d->running, .id = id, .verdict = verdict, .link = link};
    if (!known) { /* an id that --list does not show is a mistake in the check */
        f->verdict = DOCTOR_UNKNOWN;
        f->cause = f->cause_en = doctor_text(d, "the check %s does not list the finding %s", d->running->name, id);
    }
    return f;
}

static const char *finding_text(doctor *d, const char *format, va_list ap) {
    va_list again;
    va_copy(again, ap);
    int n = vsnprintf(NULL, 0, format, again);
    va_end(again);
    char *text = n < 0 ? NULL : doctor_keep(d, (size_t)n + 1);
    va_copy(again, ap);
    if (text) vsnprintf(text, (size_t)n + 1, format, again);
    va_end(again);
    return text ? text : "";
}

void doctor_evidence(doctor *d, doctor_finding *f, const char *format, ...) {
    va_list ap;
    va_start(ap, format);
    f->evidence = finding_text(d, format, ap);
    va_end(ap);
}

void doctor_cause(doctor *d, doctor_finding *f, const char *en, const char *zh, ...) {
    va_list ap;
    va_start(ap, zh);
    f->cause_en = finding_text(d, en, ap);
    f->cause = d->options.chinese && zh ? finding_text(d, zh, ap) : f->cause_en;
    va_end(ap);
}

void doctor_cure(doctor *d, doctor_finding *f, const char *en, const char *zh, ...) {
    va_list ap;
    va_start(ap, zh);
    f->cure_en = finding_text(d, en, ap);
    f->cure = d->options.chinese && zh ? finding_text(d, zh, ap) : f->cure_en;
    va_end(ap);
}

void doctor_fine(doctor *d, const char *format, ...) {
    doctor_finding *f = doctor_find(d, DOCTOR_OK, d->running->name, NULL);
    va_list ap;
    va_start(ap, format);
    f->evidence = finding_text(d, format, ap);
    va_end(ap);
}

void doctor_unknown(doctor *d, const char *format, ...) {
    doctor_finding *f = doctor_find(d, DOCTOR_UNKNOWN, d->running->name, NULL);
    va_list ap;
    va_start(ap, format);
    f->evidence = finding_text(d, format, ap);
    va_end(ap);
}

int doctor_count(const doctor *d) { return d->count; }
const doctor_finding *doctor_get(const doctor *d, int i) { return i >= 0 && i < d->count ? &d->findings[i] : NULL; }

void doctor_print(doctor_buffer *b, const char *format, ...) {
    va_list ap, again;
    va_start(ap, format);
    va_copy(again, ap);
    int n = vsnprintf(NULL, 0, format, ap);
    va_end(ap);
    if (n >= 0 && b->size + (size_t)n + 1 > b->capacity) {
        size_t capacity = (b->size + (size_t)n + 1) * 2;
        char *more = taper__realloc(b->data, capacity);
        if (more) {
            b->data = more;
            b->capacity = capacity;
        }
    }
    if (n >= 0 && b->size + (size_t)n + 1 <= b->capacity) {
        vsnprintf(b->data + b->size, (size_t)n + 1, format, again);
        b->size += (size_t)n;
    }
    va_end(again);
}

/* Bytes of the UTF-8 character at s, 0 where there is none. */
static int finding_utf8(const unsigned char *s) {
    int n = s[0] < 0x80 ? 1 : s[0] >= 0xc2 && s[0] < 0xe0 ? 2 : (s[0] & 0xf0) == 0xe0 ? 3 : s[0] >= 0xf0 && s[0] < 0xf5 ? 4 : 0;
    for (int i = 1; i < n; i++)
        if ((s[i] & 0xc0) != 0x80) return 0;
    return n;
}

void doctor_json_text(doctor_buffer *b, const char *text) {
    if (!text) {
        doctor_print(b, "null");
        return;
    }
    doctor_print(b, "\"");
    for (const unsigned char *s = (const unsigned char *)text; *s;) {
        int n = finding_utf8(s);
        if (*s == '"' || *s == '\\') doctor_print(b, "\\%c", *s);
        else if (*s < 0x20) doctor_print(b, "\\u%04x", *s);
        else if (!n) doctor_print(b, "\\ufffd");
        else doctor_print(b, "%.*s", n, (const char *)s);
        s += n ? n : 1;
    }
    doctor_print(b, "\"");
}
