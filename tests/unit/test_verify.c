/* taper verify: the CPU's checks run and agree with themselves, the reports are whole (JSON that parses, HTML that needs nothing), a check
 * that kills or hangs its process is a line of the report, comparisons mark what changed and not what is noise, foreign files are refused. */
#include <errno.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <taper/cuda.h>

#include "verify/json.h"
#include "verify/verify.h"

static int failures;
static char folder[] = "/tmp/taper-test-verify-XXXXXX";

static void report(bool ok, const char *name, const char *why) {
    if (ok) printf("ok verify_%s\n", name);
    else printf("not ok verify_%s: %.600s\n", name, why ? why : ""), failures++;
}

static void collect(void *ctx, const char *text, size_t bytes) {
    doctor_buffer *b = ctx;
    doctor_print(b, "%.*s", (int)bytes, text);
}

static const char *path_of(const char *name) {
    static char paths[4][128];
    static int turn;
    char *path = paths[turn++ & 3];
    snprintf(path, 128, "%s/%s", folder, name);
    return path;
}

static char *read_whole(const char *path) {
    FILE *f = fopen(path, "r");
    char *text = calloc(1, 4 << 20);
    if (f && text) text[fread(text, 1, (4 << 20) - 1, f)] = 0;
    if (f) fclose(f);
    return text;
}

static void write_whole(const char *path, const char *text, size_t size) {
    FILE *f = fopen(path, "w");
    if (f) fwrite(text, 1, size, f), fclose(f);
}

/* What checkpoints were tried in. */
static int folders_left(void) {
    glob_t g;
    int n = glob(path_of("taper-verify-*"), 0, NULL, &g) ? 0 : (int)g.gl_pathc;
    if (n) globfree(&g);
    return n;
}

/* ---- HTML ---- */

/* Every tag closed in order, every & an entity, nothing fetched. */
static bool html_good(const char *text, char *why, size_t size) {
    char stack[64][16];
    int depth = 0;
    *why = 0;
    static const char *const outside[] = {"<script", "src=", "href=", "@import", "url(", "<iframe", "<link"};
    for (int i = 0; i < TAPER_COUNT(outside); i++)
        if (strstr(text, outside[i])) return snprintf(why, size, "it has %s", outside[i]), false;
    for (const char *p = text; (p = strstr(p, "http")); p += 4)
        if (strncmp(p, "http://www.w3.org/2000/svg", 26)) return snprintf(why, size, "it names %.40s", p), false;
    if (strncmp(text, "<!DOCTYPE html>", 15)) return snprintf(why, size, "no DOCTYPE"), false;
    for (const char *p = text + 15; *p; p++) {
        if (*p == '&' && strncmp(p, "&amp;", 5) && strncmp(p, "&lt;", 4) && strncmp(p, "&gt;", 4) && strncmp(p, "&quot;", 6) && strncmp(p, "&#", 2))
            return snprintf(why, size, "a bare & at %.30s", p), false;
        if (*p != '<') continue;
        bool close = p[1] == '/';
        const char *name = p + 1 + close, *end = name + strcspn(name, " \t\n/>");
        char quote = 0;
        const char *q = end;
        for (; *q && (quote || *q != '>'); q++) {
            if (*q == '<') return snprintf(why, size, "a < inside a tag at %.40s", p), false;
            if (*q == '"') quote = quote ? 0 : '"';
        }
        if (!*q || end == name || end - name > 15) return snprintf(why, size, "a tag without an end: %.40s", p), false;
        if (close && (!depth || strlen(stack[depth - 1]) != (size_t)(end - name) || strncmp(stack[depth - 1], name, (size_t)(end - name))))
            return snprintf(why, size, "%.40s closes what is not open", p), false;
        if (close) depth--;
        else if (q[-1] != '/') {
            if (depth == 64) return snprintf(why, size, "too deep"), false;
            snprintf(stack[depth++], sizeof stack[0], "%.*s", (int)(end - name), name);
        }
        p = q;
    }
    if (depth) snprintf(why, size, "%s stays open", stack[depth - 1]);
    return !depth;
}

static void test_html(const char *path, const char *name) {
    char why[128], label[64];
    char *text = read_whole(path);
    bool good = html_good(text, why, sizeof why);
    snprintf(label, sizeof label, "html_%s", name);
    report(good && strlen(text) > 2000 && strstr(text, "<svg"), label, why);
    free(text);
}

/* ---- a run on the CPU ---- */

static double seconds(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static const verify_row *row_of(const verify_report *r, const char *id) {
    for (int i = 0; i < r->rows; i++)
        if (!strcmp(r->row[i].id, id)) return &r->row[i];
    return NULL;
}

static void test_cpu(void) {
    static const char *const ids[] = {"cpu.matmul", "cpu.speed", "cpu.training", "cpu.amp", "cpu.loader", "cpu.checkpoint", "cpu.determinism"};
    taper_verify_options o = TAPER_VERIFY_OPTIONS;
    doctor_buffer b = {NULL, 0, 0};
    int code = 9;
    char why[1024] = "";
    o.cpu_only = o.quick = true;
    o.format = TAPER_DOCTOR_JSON;
    o.folder = folder;
    char html[128];
    snprintf(html, sizeof html, "%s", path_of("cpu.html"));
    o.html = html;
    double begin = seconds();
    taper_status st = taper_verify(&o, &code, collect, &b);
    double took = seconds() - begin;
    report(st == TAPER_OK && (code == 0 || code == 1), "cpu_runs", st ? taper_error_message() : b.data);
    snprintf(why, sizeof why, "%.1f s", took);
    report(took < 30, "cpu_takes_less_than_30_s", why); /* two when nobody else wants the cores */
    doctor *d = doctor_new(&(taper_doctor_options){.chinese = false});
    verify_report *r = doctor_keep(d, sizeof *r);
    r->owner = d;
    st = verify_parse(r, b.data, b.size, "the report");
    report(st == TAPER_OK && r->code == code, "json_is_read_again", taper_error_message());
    for (int i = 0; i < TAPER_COUNT(ids) && st == TAPER_OK; i++) {
        const verify_row *row = row_of(r, ids[i]);
        report(row && (row->state == VERIFY_PASS || row->state == VERIFY_SLOW), ids[i], row ? row->en : "no such row");
    }
    const verify_row *speed = st == TAPER_OK ? row_of(r, "cpu.speed") : NULL;
    report(speed && speed->figures == 3 && speed->series == 1 && speed->figure[0].value > 0 && speed->figure[0].low <= speed->figure[0].value, "json_has_figures", "they are not there");
    doctor_buffer again = {NULL, 0, 0};
    if (st == TAPER_OK) verify_json(&again, r);
    report(again.data && !strcmp(again.data, b.data), "json_round_trip", "not the same text");
    write_whole(path_of("cpu.json"), b.data ? b.data : "", b.size);
    taper__free(again.data);
    taper__free(b.data);
    doctor_free(d);
    test_html(html, "of_a_run");
    report(!folders_left(), "leaves_no_folder", "it is still there");
}

static void test_runs(void) {
    taper_verify_options o = TAPER_VERIFY_OPTIONS;
    doctor_buffer b = {NULL, 0, 0};
    int code = 9;
    o.cpu_only = o.quick = true;
    o.format = TAPER_DOCTOR_JSON;
    o.check = "speed";
    o.runs = 3;
    taper_status st = taper_verify(&o, &code, collect, &b);
    doctor *d = doctor_new(&(taper_doctor_options){.chinese = false});
    verify_report *r = doctor_keep(d, sizeof *r);
    r->owner = d;
    if (st == TAPER_OK) st = verify_parse(r, b.data, b.size, "it");
    const verify_figure *f = &r->row[0].figure[0];
    report(st == TAPER_OK && !code && r->runs == 3 && r->rows == 1 && r->row[0].figures == 3 && f->low < f->high && f->low <= f->value && f->value <= f->high, "runs", b.data);
    taper__free(b.data);
    doctor_free(d);
}

static void test_text(void) {
    taper_verify_options o = TAPER_VERIFY_OPTIONS;
    int code = 9;
    for (int chinese = 0; chinese < 2; chinese++) {
        doctor_buffer b = {NULL, 0, 0};
        o.cpu_only = o.quick = true;
        o.chinese = chinese;
        o.check = "matmul,determinism";
        taper_status st = taper_verify(&o, &code, collect, &b);
        report(st == TAPER_OK && !code && strstr(b.data, "PASS    cpu     matmul ") && strstr(b.data, chinese ? "范数" : "norm") && !strstr(b.data, "training"), chinese ? "text_chinese" : "text", b.data);
        taper__free(b.data);
    }
    doctor_buffer b = {NULL, 0, 0};
    o.check = "matmul,nonsense";
    report(taper_verify(&o, &code, collect, &b) == TAPER_VALUE && strstr(taper_error_message(), "nonsense"), "check_that_does_not_exist", taper_error_message());
    o.check = "checkpoint";
    o.chinese = false;
    o.folder = "/proc/nowhere";
    report(taper_verify(&o, &code, collect, &b) == TAPER_OK && code == 3 && b.data && strstr(b.data, "UNKNOWN"), "folder_that_cannot_be_written", b.data);
    taper__free(b.data);
    b = (doctor_buffer){NULL, 0, 0};
    o.format = TAPER_DOCTOR_LIST;
    report(taper_verify(&o, &code, collect, &b) == TAPER_OK && code == 0 && strstr(b.data, "tf32") && strstr(b.data, "all_reduce"), "list", b.data);
    taper__free(b.data);
    o = (taper_verify_options)TAPER_VERIFY_OPTIONS;
    o.cpu_only = true, o.check = "matmul", o.html = "/proc/nowhere/x.html";
    b = (doctor_buffer){NULL, 0, 0};
    report(taper_verify(&o, &code, collect, &b) == TAPER_OS && strstr(taper_error_message(), "/proc/nowhere/x.html"), "html_that_cannot_be_written", taper_error_message());
    taper__free(b.data);
}

/* A file larger than the limit kills the child that writes the checkpoint; the check after it runs all the same. */
static void test_killed(void) {
    taper_verify_options o = TAPER_VERIFY_OPTIONS;
    struct rlimit before, small;
    doctor_buffer b = {NULL, 0, 0};
    int code = 9;
    getrlimit(RLIMIT_FSIZE, &before);
    small = before;
    small.rlim_cur = 1 << 20;
    setrlimit(RLIMIT_FSIZE, &small);
    o.cpu_only = o.quick = true;
    o.folder = folder;
    o.check = "matmul,checkpoint,determinism";
    taper_status st = taper_verify(&o, &code, collect, &b);
    setrlimit(RLIMIT_FSIZE, &before);
    const char *killed = b.data ? strstr(b.data, "FAIL    cpu     checkpoint") : NULL;
    report(st == TAPER_OK && code == 2 && killed && strstr(killed, "signal 25"), "killed_check_is_a_failure", b.data);
    report(b.data && strstr(b.data, "PASS    cpu     matmul") && strstr(b.data, "PASS    cpu     determinism"), "killed_check_leaves_the_others", b.data);
    report(!folders_left(), "killed_check_leaves_no_folder", "it is still there");
    taper__free(b.data);
}

static void test_hangs(void) {
    taper_verify_options o = TAPER_VERIFY_OPTIONS;
    doctor_buffer b = {NULL, 0, 0};
    int code = 9;
    o.cpu_only = true;
    o.folder = folder;
    o.limit_seconds = 1; /* all of it wants more; what comes after the check that was cut off may still pass */
    double begin = seconds();
    taper_status st = taper_verify(&o, &code, collect, &b);
    report(st == TAPER_OK && code == 2 && strstr(b.data, "timed out after 1.0 s") && seconds() - begin < 8, "time_limit", b.data);
    taper__free(b.data);
}

/* ---- comparisons ---- */

static int made_runs = 1;
static void made_report(const char *path, double noise, double planted, const char *state) {
    char text[4096];
    int n = snprintf(text, sizeof text, "{\"taper_verify\": 1, \"taper\": \"0.1.0\", \"when\": \"now\", \"host\": \"made\", \"runs\": %d, \"machine\": [\"cuBLASLt 12.1\"], \"checks\": [", made_runs);
    for (int i = 0; i < 3; i++) {
        double value = 100 * (i + 1) * (i == 1 ? planted : noise);
        n += snprintf(text + n, sizeof text - (size_t)n,
                      "%s{\"id\": \"gpu0.c%d\", \"where\": \"gpu 0\", \"state\": \"%s\", \"text\": \"t\", \"figures\": [{\"name\": \"rate\", \"unit\": \"GB/s\", \"better\": \"higher\", \"value\": %g, \"low\": %g, "
                      "\"high\": %g, \"expected\": null}, {\"name\": \"time\", \"unit\": \"ms\", \"better\": \"lower\", \"value\": %g, \"low\": %g, \"high\": %g}, {\"name\": \"error\", \"unit\": \"rms\", "
                      "\"better\": \"neither\", \"value\": %g}]}",
                      i ? ", " : "", i, i == 2 ? state : "pass", value, value * 0.98, value * 1.02, 1 / value, 0.98 / value, 1.02 / value, planted);
    }
    snprintf(text + n, sizeof text - (size_t)n, "]}");
    write_whole(path, text, strlen(text));
}

static taper_status compare(doctor_buffer *b, const char *a, const char *other, const char *html, taper_doctor_format format, int *code) {
    taper_verify_options o = TAPER_VERIFY_OPTIONS;
    o.compare[0] = a;
    o.compare[1] = other;
    o.html = html;
    o.format = format;
    *code = 9;
    return taper_verify(&o, code, collect, b);
}

static int count_of(const char *text, const char *what) {
    int n = 0;
    for (const char *p = text; p && (p = strstr(p, what)); p += strlen(what)) n++;
    return n;
}

static void test_compare(void) {
    char a[128], b[128], html[128];
    int code = 9;
    snprintf(a, sizeof a, "%s", path_of("a.json"));
    snprintf(b, sizeof b, "%s", path_of("b.json"));
    snprintf(html, sizeof html, "%s", path_of("ab.html"));
    made_report(a, 1, 1, "pass");
    made_report(b, 1.03, 0.7, "pass"); /* three per cent is noise, thirty are not */
    doctor_buffer t = {NULL, 0, 0};
    taper_status st = compare(&t, a, b, html, TAPER_DOCTOR_TEXT, &code);
    report(st == TAPER_OK && code == 1 && count_of(t.data, "SLOWER") == 4 && count_of(t.data, "gpu0.c1 rate GB/s") == 2 && count_of(t.data, "0.700 SLOWER") == 2 && !strstr(t.data, "faster"), "compare_planted", st ? taper_error_message() : t.data);
    test_html(html, "of_a_comparison");
    t.size = 0;
    st = compare(&t, a, b, NULL, TAPER_DOCTOR_JSON, &code);
    verify_json_text j = {NULL};
    report(st == TAPER_OK && verify_json_open(&j, t.data, t.size, "it") == TAPER_OK && count_of(t.data, "\"significant\": true") == 2 && count_of(t.data, "\"worse\": true") == 2, "compare_json", t.data);
    verify_json_close(&j);
    t.size = 0;
    st = compare(&t, b, a, NULL, TAPER_DOCTOR_TEXT, &code);
    report(st == TAPER_OK && code == 0 && count_of(t.data, "faster") == 4 && !strstr(t.data, "SLOWER"), "compare_faster", t.data);
    made_report(b, 1.03, 0.99, "pass");
    t.size = 0;
    st = compare(&t, a, b, NULL, TAPER_DOCTOR_TEXT, &code);
    report(st == TAPER_OK && code == 0 && strstr(t.data, "no difference beyond noise"), "compare_noise", t.data);
    made_report(b, 1, 0.92, "pass"); /* eight per cent: more than one run can tell */
    t.size = 0;
    st = compare(&t, a, b, NULL, TAPER_DOCTOR_TEXT, &code);
    report(st == TAPER_OK && code == 0 && strstr(t.data, "no difference beyond noise") && strstr(t.data, "--runs 3"), "compare_one_run", t.data);
    made_runs = 3;
    made_report(a, 1, 1, "pass");
    made_report(b, 1, 0.92, "pass");
    made_runs = 1;
    t.size = 0;
    st = compare(&t, a, b, NULL, TAPER_DOCTOR_TEXT, &code);
    report(st == TAPER_OK && code == 1 && count_of(t.data, "SLOWER") == 4 && !strstr(t.data, "--runs 3"), "compare_three_runs", t.data);
    made_report(b, 1, 1, "fail");
    t.size = 0;
    st = compare(&t, a, b, NULL, TAPER_DOCTOR_TEXT, &code);
    report(st == TAPER_OK && code == 2 && count_of(t.data, "WORSE") == 2, "compare_state", t.data);
    t.size = 0;
    st = compare(&t, path_of("cpu.json"), path_of("cpu.json"), NULL, TAPER_DOCTOR_TEXT, &code);
    report(st == TAPER_OK && code == 0 && strstr(t.data, "no difference"), "compare_with_itself", t.data);
    taper__free(t.data);
}

static void test_foreign(void) {
    static const struct { const char *name, *text; taper_status status; const char *says; } rows[] = {
        {"empty", "", TAPER_FORMAT, "no JSON"},
        {"words", "not json", TAPER_FORMAT, "no JSON"},
        {"other", "{\"a\": [1, 2, {\"b\": null}]}", TAPER_FORMAT, "no report"},
        {"array", "[]", TAPER_FORMAT, "no report"},
        {"number", "1e5", TAPER_FORMAT, "no report"},
        {"cut", "{\"taper_verify\": 1, \"checks\": [{\"id\": \"x", TAPER_FORMAT, "byte"},
        {"version", "{\"taper_verify\": 2, \"checks\": [{\"id\": \"x\"}]}", TAPER_FORMAT, "version 2"},
        {"no_checks", "{\"taper_verify\": 1, \"checks\": []}", TAPER_FORMAT, "no report"},
        {"no_ids", "{\"taper_verify\": 1, \"checks\": [1, null, {}]}", TAPER_FORMAT, "without checks"},
        {"infinite", "{\"taper_verify\": 1, \"checks\": [1e999]}", TAPER_FORMAT, "number"},
        {"hex", "{\"taper_verify\": 0x1}", TAPER_FORMAT, "no JSON"},
        {"escape", "{\"taper_verify\\q\": 1}", TAPER_FORMAT, "escape"},
        {"trailing", "{} {}", TAPER_FORMAT, "behind the end"},
        {"wrong_types", "{\"taper_verify\": 1, \"taper\": {}, \"machine\": 7, \"checks\": [{\"id\": \"x\", \"state\": 4, \"figures\": {\"a\": []}, \"series\": [[[]]]}]}", TAPER_OK, ""},
        {"markup", "{\"taper_verify\": 1, \"checks\": [{\"id\": \"<script>\\u0000\\ud800\\u001b[31m&\", \"figures\": [{\"name\": \"</td>\", \"unit\": \"\\\"\", \"better\": \"higher\", \"value\": 1e300, \"low\": -1e300}]}]}",
         TAPER_OK, ""},
    };
    char good[128], bad[128], html[128];
    snprintf(good, sizeof good, "%s", path_of("a.json"));
    snprintf(bad, sizeof bad, "%s", path_of("bad.json"));
    snprintf(html, sizeof html, "%s", path_of("bad.html"));
    for (int i = 0; i < TAPER_COUNT(rows); i++) {
        doctor_buffer b = {NULL, 0, 0};
        char name[64], why[256] = "";
        int code = 9;
        write_whole(bad, rows[i].text, strlen(rows[i].text));
        taper_status st = compare(&b, good, bad, html, TAPER_DOCTOR_TEXT, &code);
        bool ok = st == rows[i].status && (!st || (strstr(taper_error_message(), rows[i].says) && strstr(taper_error_message(), bad)));
        if (ok && !st) {
            char *page = read_whole(html);
            ok = html_good(page, why, sizeof why);
            free(page);
        }
        snprintf(name, sizeof name, "foreign_%s", rows[i].name);
        report(ok, name, *why ? why : taper_error_message());
        taper__free(b.data);
    }
    char deep[2001];
    memset(deep, '[', 2000);
    doctor_buffer b = {NULL, 0, 0};
    int code;
    write_whole(bad, deep, 2000);
    report(compare(&b, good, bad, NULL, TAPER_DOCTOR_TEXT, &code) == TAPER_FORMAT && strstr(taper_error_message(), "deeply"), "foreign_deep", taper_error_message());
    report(compare(&b, good, "/nowhere.json", NULL, TAPER_DOCTOR_TEXT, &code) == TAPER_OS && strstr(taper_error_message(), "/nowhere.json"), "foreign_missing", taper_error_message());
    char *large = malloc(9 << 20);
    if (large) memset(large, ' ', 9 << 20), write_whole(bad, large, 9 << 20);
    free(large);
    report(compare(&b, good, bad, NULL, TAPER_DOCTOR_TEXT, &code) == TAPER_FORMAT && strstr(taper_error_message(), "larger"), "foreign_large", taper_error_message());
    taper__free(b.data);
}

/* Escapes, signs and limits of the reader itself. */
static void test_json(void) {
    static const char text[] = "{\"a\\u00e9\\n\": \"\\ud83d\\ude00\\/\\\\\", \"n\": -1.5e2, \"t\": [true, false, null, []]}";
    verify_json_text j;
    bool ok = verify_json_open(&j, text, sizeof text - 1, "it") == TAPER_OK;
    const verify_json_value *root = verify_json_item(&j, ok ? 0 : -1), *a = verify_json_get(&j, root, "a\xc3\xa9\n"), *n = verify_json_get(&j, root, "n"), *t = verify_json_get(&j, root, "t");
    report(a && a->text && !strcmp(a->text, "\xf0\x9f\x98\x80/\\") && n && n->number == -150 && t && t->kind == VERIFY_JSON_ARRAY && verify_json_item(&j, t->first)->number == 1, "json_reader", taper_error_message());
    verify_json_close(&j);
    for (int k = 1; k < 20; k++) { /* each allocation fails in turn */
        taper__alloc_fail_at(k);
        verify_json_open(&j, text, sizeof text - 1, "it");
        taper__alloc_fail_at(0);
        verify_json_close(&j);
    }
    report(true, "json_without_memory", "");
}

/* torch's default is off. */
static void test_tf32_switch(void) {
    bool first = taper_cuda_set_matmul_tf32(true), second = taper_cuda_set_matmul_tf32(false);
    report(!first && second, "tf32_switch", "it does not remember");
}

int main(void) {
    if (!mkdtemp(folder)) return printf("not ok verify_folder: %s\n", strerror(errno)), 1;
    int64_t live = taper__alloc_live();
    test_json();
    test_tf32_switch();
    test_cpu();
    test_runs();
    test_text();
    test_killed();
    test_hangs();
    test_compare();
    test_foreign();
    report(taper__alloc_live() == live, "no_leak", "blocks are left");
    static const char *const files[] = {"cpu.html", "cpu.json", "a.json", "b.json", "ab.html", "bad.json", "bad.html"};
    for (int i = 0; i < TAPER_COUNT(files); i++) unlink(path_of(files[i]));
    report(!rmdir(folder), "folder_is_empty", strerror(errno));
    return failures != 0;
}
