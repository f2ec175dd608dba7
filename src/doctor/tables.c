/* Tables of facts, from the TSV texts that scripts/compat.mk embeds. */
#include "doctor/tables.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"

extern const struct tables_text {
    const char *name, *begin, *end;
} taper__compat_texts[]; /* ended by a row of zeros */

enum { TABLES_MAX = 16 };
static doctor_table tables[TABLES_MAX];
static int tables_count;
static pthread_once_t tables_once = PTHREAD_ONCE_INIT;

/* Ends the cell at the next tab or line end and gives what follows; *last: the line ended. */
static char *tables_cell(char *text, bool *last) {
    char *end = text + strcspn(text, "\t\n");
    *last = *end != '\t';
    if (!*end) return end;
    *end = 0;
    return end + 1;
}

bool doctor_table_parse(doctor_table *t, char *text) {
    int lines = 0, used = 0;
    for (const char *s = text; *s; s++) lines += *s == '\n';
    t->rows = t->columns = 0;
    t->cells = NULL;
    for (char *line = text; *line;) {
        if (*line == '#' || *line == '\n') {
            line += strcspn(line, "\n");
            line += *line == '\n';
            continue;
        }
        bool last = false, head = !t->columns;
        int n = 0;
        while (!last) {
            char *cell = line;
            line = tables_cell(line, &last);
            if (head ? n >= DOCTOR_TABLE_COLUMNS : n >= t->columns) return false;
            if (head) t->head[n] = cell;
            else t->cells[used + n] = cell;
            n++;
        }
        if (head) {
            t->columns = n;
            t->cells = taper__alloc_zero(sizeof *t->cells * (size_t)n * (size_t)(lines + 1));
            if (!t->cells) return false;
        } else {
            if (n != t->columns) return false;
            used += n;
            t->rows++;
        }
    }
    return t->columns > 0;
}

static void tables_read(void) {
    for (const struct tables_text *e = taper__compat_texts; e->name && tables_count < TABLES_MAX; e++) {
        size_t n = (size_t)(e->end - e->begin), stem = strcspn(e->name, ".");
        char *text = taper__alloc_zero(n + stem + 2);
        if (!text) return;
        doctor_table *t = &tables[tables_count];
        memcpy(text, e->name, stem);
        memcpy(text + stem + 1, e->begin, n);
        t->name = text;
        if (!doctor_table_parse(t, text + stem + 1)) {
            taper__free((void *)t->cells);
            taper__free(text);
            continue;
        }
        tables_count++;
    }
}

const doctor_table *doctor_table_open(const char *name) {
    pthread_once(&tables_once, tables_read);
    for (int i = 0; i < tables_count; i++)
        if (!strcmp(tables[i].name, name)) return &tables[i];
    return NULL;
}

int doctor_table_column(const doctor_table *t, const char *column) {
    for (int i = 0; t && i < t->columns; i++)
        if (!strcmp(t->head[i], column)) return i;
    return -1;
}

const char *doctor_cell(const doctor_table *t, int row, const char *column) {
    int c = doctor_table_column(t, column);
    return c < 0 || row < 0 || row >= t->rows ? "" : t->cells[row * t->columns + c];
}

double doctor_cell_number(const doctor_table *t, int row, const char *column, double otherwise) {
    const char *text = doctor_cell(t, row, column);
    char *end;
    double value = strtod(text, &end);
    return end == text || (*end && strcmp(end, "?")) ? otherwise : value;
}

bool doctor_cell_weak(const doctor_table *t, int row, const char *column) {
    const char *text = doctor_cell(t, row, column);
    return *text && text[strlen(text) - 1] == '?';
}

/* Length without the ? at the end. */
static size_t tables_firm(const char *text) {
    size_t n = strlen(text);
    return n && text[n - 1] == '?' ? n - 1 : n;
}

int doctor_table_find(const doctor_table *t, int from, const char *column, const char *value) {
    int c = doctor_table_column(t, column);
    for (int row = from; c >= 0 && row < t->rows; row++) {
        const char *cell = t->cells[row * t->columns + c];
        if (tables_firm(cell) == strlen(value) && !strncmp(cell, value, strlen(value))) return row;
    }
    return -1;
}

bool doctor_cell_has(const doctor_table *t, int row, const char *column, const char *value) {
    const char *s = doctor_cell(t, row, column);
    for (size_t n; *s; s += n + (s[n] == ';')) {
        n = strcspn(s, ";");
        if (n == strlen(value) && !strncmp(s, value, n)) return true;
    }
    return false;
}

int doctor_version_order(const char *a, const char *b) {
    for (int i = 0; i < 4; i++) {
        char *an, *bn;
        unsigned long x = strtoul(a, &an, 10), y = strtoul(b, &bn, 10);
        if (x != y) return x < y ? -1 : 1;
        a = *an == '.' ? an + 1 : "";
        b = *bn == '.' ? bn + 1 : "";
    }
    return 0;
}

bool doctor_version_valid(const char *text) {
    int numbers = 0;
    for (; numbers < 4; text++) {
        size_t digits = strspn(text, "0123456789");
        if (!digits || digits > 6) return false;
        text += digits;
        numbers++;
        if (*text != '.') break;
    }
    text += *text == '?';
    return !*text;
}
