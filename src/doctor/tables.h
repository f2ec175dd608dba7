/* The facts of data/compat/: one table per file there, compiled in as text. Rows and columns as in the file; each row has a column
 * "source". A value that ends in ? is weakly supported, an empty one is unknown or does not apply.
 */
#ifndef TAPER_DOCTOR_TABLES_H
#define TAPER_DOCTOR_TABLES_H

#include <stdbool.h>
#include <stddef.h>

enum { DOCTOR_TABLE_COLUMNS = 48 };
typedef struct doctor_table {
    const char *name;
    int rows, columns;
    const char *head[DOCTOR_TABLE_COLUMNS];
    const char **cells; /* rows x columns */
} doctor_table;

/* "gpus", "cc", "toolkits", "torch_builds", "torch_defaults", "features", "drivers", "forward". Read once and kept; NULL for another
 * name or without memory. Any thread. */
const doctor_table *doctor_table_open(const char *name);
/* -1 when there is no such column. */
int doctor_table_column(const doctor_table *t, const char *column);
/* The cell as it is written; "" when it is empty, or when row or column do not exist. */
const char *doctor_cell(const doctor_table *t, int row, const char *column);
/* The cell's number, a ? after it left out; `otherwise` when it is empty or no number. */
double doctor_cell_number(const doctor_table *t, int row, const char *column, double otherwise);
bool doctor_cell_weak(const doctor_table *t, int row, const char *column); /* ends in ? */
/* The first row from `from` on whose cell is `value` (a ? after the cell left out); -1. */
int doctor_table_find(const doctor_table *t, int from, const char *column, const char *value);
/* Whether `value` is among the cell's items, which ; separates. */
bool doctor_cell_has(const doctor_table *t, int row, const char *column, const char *value);

/* Order of versions such as "525.60.13" by their numbers: below, above or 0. Missing numbers are 0, a ? at the end does not count. */
int doctor_version_order(const char *a, const char *b);
/* Digits and single points, at most four numbers of at most six digits, a ? at the end allowed. */
bool doctor_version_valid(const char *text);

/* Splits TSV in place into t (its name is left alone): # lines are comments, the first other line is the head. False when a row
 * has another number of cells than the head, or without memory. Free t->cells with taper__free. */
bool doctor_table_parse(doctor_table *t, char *text);

#endif
