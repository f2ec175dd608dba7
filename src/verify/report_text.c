/* The report a person reads: one line a check, then what is wrong, worst first. */
#include <stdio.h>
#include <string.h>

#include "verify/verify.h"

const char *verify_state_name(verify_state state) {
    static const char *const names[] = {"pass", "skip", "unknown", "slow", "fail"};
    return state < VERIFY_STATES ? names[state] : "unknown";
}

const char *verify_state_mark(verify_state state) {
    static const char *const marks[] = {"PASS", "SKIP", "UNKNOWN", "SLOW", "FAIL"};
    return state < VERIFY_STATES ? marks[state] : "UNKNOWN";
}

int verify_worst(const verify_report *r, int *order) {
    int count = 0;
    for (int state = VERIFY_FAIL; state >= VERIFY_UNKNOWN; state--)
        for (int i = 0; i < r->rows; i++)
            if ((int)r->row[i].state == state) order[count++] = i;
    return count;
}

static const char *report_colour(verify_state state, bool on) {
    static const char *const colours[] = {"\033[32m", "\033[2m", "\033[35m", "\033[33m", "\033[31m"};
    return on ? colours[state < VERIFY_STATES ? state : VERIFY_UNKNOWN] : "";
}

static void report_line(doctor_buffer *b, const verify_row *row, bool colour) {
    const char *name = strchr(row->id, '.');
    doctor_print(b, "%s%-7s%s %-7s %-13s ", report_colour(row->state, colour), verify_state_mark(row->state), colour ? "\033[0m" : "", row->where, name ? name + 1 : row->id);
    for (const char *c = row->text; *c; c++) /* a message of the system may hold anything */
        if ((unsigned char)*c >= 0x20 && *c != 0x7f) doctor_print(b, "%c", *c);
    doctor_print(b, "\n");
}

void verify_text(doctor_buffer *b, const verify_report *r, const taper_verify_options *o) {
    int order[VERIFY_ROWS], seen[VERIFY_STATES] = {0}, bad = verify_worst(r, order);
    for (int i = 0; i < r->machines; i++) doctor_print(b, "%s\n", r->machine[i]);
    doctor_print(b, "\n");
    for (int i = 0; i < r->rows; i++) {
        report_line(b, &r->row[i], o->colour);
        seen[r->row[i].state]++;
    }
    doctor_print(b, o->chinese ? "\n%d 项通过, %d 跳过, %d 无法判断, %d 偏慢, %d 失败\n" : "\n%d passed, %d skipped, %d not told, %d slow, %d failed\n", seen[0], seen[1], seen[2], seen[3], seen[4]);
    for (int i = 0; i < bad; i++) report_line(b, &r->row[order[i]], o->colour);
    if (bad) doctor_print(b, o->chinese ? "原因: taper doctor --deep\n" : "taper doctor --deep looks for the cause\n");
    bool gpu = false;
    for (int i = 0; i < r->rows; i++) gpu |= !strncmp(r->row[i].where, "gpu", 3);
    if (!gpu && !bad) doctor_print(b, o->chinese ? "没有 GPU: 只检查了 CPU 部分\n" : "no GPU: this is the CPU's part alone\n");
}
