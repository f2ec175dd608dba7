/* The doctor on small recorded machines (tests/doctor/): each case finds what it says, each finding has a case, nothing crashes on
 * damaged machines, nothing leaks. */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "doctor/doctor.h"
#include "doctor/tables.h"

enum { EXPECT_MAX = 128, SEEN_MAX = 512 };
static int failures, passed;
static char folder[] = "/tmp/taper-doctor-XXXXXX";
static const char *seen[SEEN_MAX]; /* ids that a case led to */
static int seen_count;

static void report(bool ok, const char *name, const char *why) {
    if (ok) printf("ok %s\n", name), passed++;
    else printf("not ok %s: %s\n", name, why), failures++;
}

typedef struct expectation {
    char check[64], id[64], verdict[16], text[256];
    bool met;
} expectation;

typedef struct machine {
    char root[256], checks[2048], data[256];
    expectation expect[EXPECT_MAX];
    int count;
    doctor_options options;
} machine;

static void make_folders(char *path) {
    for (char *p = strchr(path + 1, '/'); p; p = strchr(p + 1, '/')) {
        *p = 0;
        mkdir(path, 0777);
        *p = '/';
    }
}

static void read_expectation(machine *m, const char *line) {
    expectation *e = &m->expect[m->count];
    if (m->count >= EXPECT_MAX || sscanf(line, "%63s %63s %15s %255[^\n]", e->check, e->id, e->verdict, e->text) < 2) return;
    m->count++;
    char listed[2100];
    snprintf(listed, sizeof listed, ",%s,", m->checks);
    char name[70];
    snprintf(name, sizeof name, ",%s,", e->check);
    size_t n = strlen(m->checks);
    if (!strstr(listed, name)) snprintf(m->checks + n, sizeof m->checks - n, "%s%s", n ? "," : "", e->check);
}

/* Builds the machine of a case below `folder`. damage: bytes that are flipped, by a small generator; 0 for none. */
static bool machine_read(machine *m, const char *path, unsigned damage) {
    static char line[1 << 16];
    FILE *in = fopen(path, "re"), *out = NULL;
    enum { COMMENT, EXPECT, OPTIONS, CONTENT } part = COMMENT;
    memset(m, 0, sizeof *m);
    snprintf(m->root, sizeof m->root, "%s/m", folder);
    char command[600];
    snprintf(command, sizeof command, "rm -rf '%s'", m->root);
    if (!in || system(command)) return false;
    mkdir(m->root, 0777);
    m->options.root = m->root;
    while (fgets(line, sizeof line, in)) {
        char to[1200], *arrow;
        if (!strncmp(line, "== ", 3)) {
            if (out) fclose(out);
            out = NULL;
            line[strcspn(line, "\n")] = 0;
            part = !strcmp(line, "== expect") ? EXPECT : !strcmp(line, "== options") ? OPTIONS : CONTENT;
            if (part != CONTENT) continue;
            arrow = strstr(line, " -> ");
            if (arrow) *arrow = 0;
            snprintf(to, sizeof to, "%s%.900s", m->root, line + 3);
            make_folders(to);
            if (arrow) {
                if (symlink(arrow + 4, to)) return false;
            } else if (to[strlen(to) - 1] != '/' && !(out = fopen(to, "we"))) {
                return false;
            }
            continue;
        }
        if (part == EXPECT) read_expectation(m, line);
        if (part == OPTIONS) {
            int pid;
            m->options.deep |= !strncmp(line, "deep", 4);
            if (sscanf(line, "pid %d", &pid) == 1) m->options.pid = pid;
            if (sscanf(line, "data %255s", m->data) == 1) m->options.data = m->data;
            if (sscanf(line, "log %255s", m->data) == 1) m->options.log = m->data;
        }
        if (part != CONTENT || !out) continue;
        for (char *p = line; damage && *p; p++) {
            damage = damage * 1664525u + 1013904223u;
            if (damage >> 27 == 0 && *p != '\n') *p = (char)(damage >> 16);
        }
        fputs(line, out);
    }
    if (out) fclose(out);
    fclose(in);
    m->options.check = m->checks;
    return true;
}

static const char *verdicts[] = {"ok", "unknown", "slow", "broken"};

static void note_seen(const char *id) {
    for (int i = 0; i < seen_count; i++)
        if (!strcmp(seen[i], id)) return;
    if (seen_count < SEEN_MAX) seen[seen_count++] = strdup(id);
}

static bool holds(const doctor_finding *f, const char *text) {
    const char *in[] = {f->evidence, f->cause_en, f->cure_en, f->cause, f->cure};
    for (int i = 0; i < 5; i++)
        if (in[i] && strstr(in[i], text)) return true;
    return !*text;
}

/* What every finding of a problem owes to its reader. */
static const char *finding_lacks(const doctor_finding *f) {
    if (!f->evidence || !*f->evidence) return "no evidence";
    if (f->verdict < DOCTOR_SLOW) return NULL;
    if (!f->cause_en || !*f->cause_en || !f->cause || !*f->cause) return "no cause";
    if (!strcmp(f->cause, f->cause_en)) return "the cause is not in Chinese";
    if (!f->cure_en || !*f->cure_en) return "no cure";
    return f->link ? NULL : "no link";
}

static void run_case(const char *path, const char *name) {
    static machine m;
    char why[2000] = "";
    if (!machine_read(&m, path, 0) || !m.count) {
        report(false, name, "cannot be read, or expects nothing");
        return;
    }
    m.options.chinese = true;
    doctor *d = doctor_new(&m.options);
    doctor_run(d);
    for (int i = 0; i < doctor_count(d); i++) {
        const doctor_finding *f = doctor_get(d, i);
        bool expected = false;
        for (int k = 0; k < m.count; k++) {
            expectation *e = &m.expect[k];
            if (e->met || strcmp(e->check, f->check->name) || strcmp(e->id, f->id) || strcmp(e->verdict, verdicts[f->verdict]) || !holds(f, e->text)) continue;
            expected = e->met = true;
            break;
        }
        if (f->verdict >= DOCTOR_SLOW) note_seen(f->id);
        if (!expected)
            snprintf(why + strlen(why), sizeof why - strlen(why), "; unexpected %s %s %s (%.200s; %.200s; %.200s)", f->check->name, f->id,
                     verdicts[f->verdict], f->evidence ? f->evidence : "", f->cause_en ? f->cause_en : "", f->cure_en ? f->cure_en : "");
        if (finding_lacks(f)) snprintf(why + strlen(why), sizeof why - strlen(why), "; %s: %s", f->id, finding_lacks(f));
    }
    for (int k = 0; k < m.count; k++)
        if (!m.expect[k].met && strcmp(m.expect[k].id, "none"))
            snprintf(why + strlen(why), sizeof why - strlen(why), "; missing %s %s %s %s", m.expect[k].check, m.expect[k].id, m.expect[k].verdict, m.expect[k].text);
    doctor_free(d);
    report(!*why, name, why + 2);
}

/* The same machine with flipped bytes, and all checks: any verdict, no crash. */
static void run_damaged(const char *path, unsigned seed) {
    static machine m;
    if (!machine_read(&m, path, seed)) return;
    m.options.check = NULL;
    doctor *d = doctor_new(&m.options);
    doctor_run(d);
    doctor_report_text(d);
    doctor_report_json(d);
    doctor_free(d);
}

/* docs/failure-modes.md: 62 rows, and each finding it names is one of a check. */
static void check_failure_modes(const char *path) {
    static char line[4096];
    char why[600] = "";
    int rows = 0;
    FILE *f = fopen(path, "re");
    while (f && fgets(line, sizeof line, f)) {
        if (line[0] != '|' || line[2] < '0' || line[2] > '9') continue;
        int number = atoi(line + 2), ids = 0;
        rows += number == rows + 1;
        for (char *p = strchr(line, '`'); p; p = strchr(p + 1, '`')) {
            char *end = strchr(p + 1, '`');
            bool known = false;
            if (!end) break;
            *end = 0;
            for (const doctor_check *const *c = doctor_checks(); *c && !known; c++) {
                for (int i = 0; i < DOCTOR_FINDS && (*c)->finds[i]; i++) known |= !strcmp((*c)->finds[i], p + 1);
                for (int i = 0; (*c)->more && (*c)->more(i); i++) known |= !strcmp((*c)->more(i), p + 1);
            }
            if (!known && strlen(why) < 400) snprintf(why + strlen(why), sizeof why - strlen(why), " row %d: no finding %s;", number, p + 1);
            ids++;
            p = end;
        }
        if (!ids && strlen(why) < 400) snprintf(why + strlen(why), sizeof why - strlen(why), " row %d names none;", number);
    }
    if (f) fclose(f);
    if (rows != 62) snprintf(why + strlen(why), sizeof why - strlen(why), " %d rows", rows);
    report(!*why, "doctor_failure_modes", why);
}

static int by_name(const struct dirent **a, const struct dirent **b) { return strcmp((*a)->d_name, (*b)->d_name); }
static int is_case(const struct dirent *e) { return strstr(e->d_name, ".case") != NULL; }

static void write_nothing(void *ctx, const char *text, size_t bytes) { *(size_t *)ctx += bytes + (text == NULL); }

int main(int argc, char **argv) {
    const char *cases = argc > 1 ? argv[1] : "tests/doctor";
    struct dirent **list;
    char path[600], name[400];
    int n = scandir(cases, &list, is_case, by_name), damaged = argc > 2 ? atoi(argv[2]) : 3;
    if (n <= 0 || !mkdtemp(folder)) return printf("not ok doctor: no cases in %s\n", cases), 1;
    doctor_table_open("gpus"); /* tables are read once and kept */
    int64_t live = taper__alloc_live();
    for (int i = 0; i < n; i++) {
        snprintf(path, sizeof path, "%s/%s", cases, list[i]->d_name);
        snprintf(name, sizeof name, "doctor_%.*s", (int)(strlen(list[i]->d_name) - 5), list[i]->d_name);
        run_case(path, name);
        for (int k = 1; k <= damaged; k++) run_damaged(path, (unsigned)(i * 1000 + k));
    }
    report(true, "doctor_damaged_machines", "");
    for (const doctor_check *const *c = doctor_checks(); *c; c++) {
        char missing[500] = "";
        for (int k = 0; k < DOCTOR_FINDS && (*c)->finds[k]; k++) {
            bool found = false;
            for (int i = 0; i < seen_count; i++) found |= !strcmp(seen[i], (*c)->finds[k]);
            if (!found) snprintf(missing + strlen(missing), sizeof missing - strlen(missing), " %s", (*c)->finds[k]);
        }
        snprintf(name, sizeof name, "doctor_cases_of_%s", (*c)->name);
        snprintf(path, sizeof path, "no case leads to%s", missing);
        for (int k = 0; (*c)->more && (*c)->more(k); k++) {
            bool found = false;
            for (int i = 0; i < seen_count; i++) found |= !strcmp(seen[i], (*c)->more(k));
            if (!found && strlen(path) < 500) snprintf(path + strlen(path), sizeof path - strlen(path), " %s", (*c)->more(k));
            *missing |= !found;
        }
        report(!*missing, name, path);
    }
    for (const doctor_check *const *c = doctor_checks(); c[0] && c[1]; c++)
        if (c[0]->code == c[1]->code) report(false, c[0]->name, "two checks have one code");
    check_failure_modes("docs/failure-modes.md");
    taper_doctor_options options = {.verbose = true}; /* this machine, whatever it is */
    int code = -1;
    size_t bytes = 0;
    bool ran = taper_doctor(&options, &code, write_nothing, &bytes) == TAPER_OK && bytes && code >= 0 && code <= 3;
    report(ran, "doctor_here", "no report of this machine");
    options.check = "shm,no-such-check";
    report(taper_doctor(&options, &code, write_nothing, &bytes) == TAPER_VALUE && strstr(taper_error_message(), "no-such-check"), "doctor_unknown_check",
           "an unknown check is not refused");
    taper_error_clear();
    report(taper__alloc_live() == live, "doctor_no_leak", "blocks are left");
    snprintf(path, sizeof path, "rm -rf '%s'", folder);
    if (system(path)) failures++;
    for (int i = 0; i < n; i++) free(list[i]);
    free((void *)list);
    for (int i = 0; i < seen_count; i++) free((void *)seen[i]);
    printf("%d passed, %d failed\n", passed, failures);
    return failures != 0;
}
