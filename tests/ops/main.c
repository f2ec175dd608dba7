/* test-ops [-v] [-j N] [-m MODE,...] [--perf] [--plant] [NAME...]
 *
 * Runs the cases whose name contains one of NAMEs (all when none is given): "softmax[1] f32 cpu strided", or parts of such
 * names; '^' before a NAME ties it to the beginning. -v prints every case, not only failures. -m keeps some modes: ref error
 * grad gradgrad strided inplace out meta autocast oom cuda perf. Children do the work, so that a crash is one failed case.
 * --plant checks the driver itself: 1 (its normal status) when every planted fault was found, 0 when one was not. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "driver.h"

enum { MOST_CHILDREN = 16, CASE_SECONDS = 120 };

/* Where a child is and what it counted: shared with the parent. */
typedef struct report {
    int row, sample; /* being run */
    int passed, failed, skipped;
    bool finished;
    char name[200];
} report;

static report *now, *reports;
static bool verbose, quiet;
static const char *modes_wanted, **names_wanted;
static int names_count;
static bool has_cuda;

const char *dtype_short(taper_dtype d) {
    static const char *const names[] = {"bool", "u8", "i8", "i16", "i32", "i64", "f16", "bf16", "f32", "f64", "e4m3", "e5m2"};
    return names[d];
}

static bool mode_wanted(const char *mode) {
    size_t n = strcspn(mode, " ");
    if (!modes_wanted) return strncmp(mode, "perf", n) != 0;
    for (const char *p = modes_wanted; *p; p += strcspn(p, ","), p += *p == ',')
        if (strcspn(p, ",") == n && !strncmp(p, mode, n)) return true;
    return false;
}

static bool name_wanted(const char *name) {
    for (int i = 0; i < names_count; i++) {
        const char *want = names_wanted[i];
        if (want[0] == '^' ? !strncmp(name, want + 1, strlen(want + 1)) : strstr(name, want) != NULL) return true;
    }
    return !names_count;
}

bool begin(const test_case *c, const char *dtype, const char *device, const char *mode) {
    char name[200];
    if (!mode_wanted(mode)) return false;
    snprintf(name, sizeof name, "%s[%d] %s %s %s", c->row->name, c->index, dtype, device, mode);
    if (!name_wanted(name)) return false;
    memcpy(now->name, name, sizeof name);
    alarm(CASE_SECONDS);
    return true;
}

void pass(void) {
    now->passed++;
    if (verbose) printf("ok %s\n", now->name);
}

void fail(const char *format, ...) {
    char text[1500];
    va_list ap;
    va_start(ap, format);
    vsnprintf(text, sizeof text, format, ap);
    va_end(ap);
    now->failed++;
    if (!quiet) printf("not ok %s: %s\n", now->name, text);
    else if (verbose) printf("found %s: %s\n", now->name, text);
}

void skip(const char *why) {
    char text[300];
    snprintf(text, sizeof text, "%s", why);
    now->skipped++;
    if (verbose) printf("skip %s: %s\n", now->name, text);
}

/* What a row must have before any of its samples is run. */
static bool row_is_whole(const taper_op_row *row) {
    snprintf(now->name, sizeof now->name, "%s row", row->name);
    if (!mode_wanted("row") && modes_wanted) return row->op->samples && row->op->samples[0].args;
    if (!name_wanted(now->name) && names_count) return row->op->samples && row->op->samples[0].args;
    bool good = true, ordinary = false;
    const taper_op *op = row->op;
    if (!op->samples || !op->samples[0].args) {
        fail("the operator has no samples");
        return false;
    }
    for (const taper_sample *s = op->samples; s->args; s++) ordinary = ordinary || !s->error;
    if (!ordinary) good = false, fail("every sample is an error: none shows the operator work");
    if (row->gradient == TAPER_GRADIENT_DIFF && !op->vjp && !op->compose) good = false, fail("the row says DIFF, yet the operator has no vjp");
    if (row->gradient == TAPER_GRADIENT_COMPOSITE && !op->compose) good = false, fail("the row says COMPOSITE, yet the operator has no compose");
    if (row->gradient == TAPER_GRADIENT_NONDIFF && op->vjp) good = false, fail("the row says NONDIFF, yet the operator has a vjp");
    if (!op->infer && !op->compose) good = false, fail("the operator has neither infer nor compose");
    if (!taper_schema_of(row)) good = false, fail("%s", taper_error_message());
    if (good) pass();
    return true;
}

static void run_sample(const taper_op_row *row, int index) {
    static test_case c;
    char why[1200];
    const taper_sample *s = &row->op->samples[index];
    if (!case_read(&c, row, index, why, sizeof why)) {
        snprintf(now->name, sizeof now->name, "%s[%d]", row->name, index);
        fail("%s", why);
        case_free(&c);
        return;
    }
    if (s->error) {
        check_error(&c);
    } else {
        check_ref(&c);
        if (!s->large) {
            check_grad(&c);
            check_gradgrad(&c);
            check_strided(&c);
            check_inplace(&c);
            check_out(&c);
            check_meta(&c);
            check_autocast(&c);
            check_oom(&c);
        }
        if (has_cuda) check_cuda(&c);
        if (modes_wanted) check_perf(&c);
    }
    alarm(0);
    case_free(&c);
}

static void run_row(const taper_op_row *row, int from_sample) {
    bool samples = from_sample > 0 || row_is_whole(row);
    for (int i = from_sample; samples && row->op->samples[i].args; i++) {
        now->sample = i;
        run_sample(row, i);
    }
}

static void child(int shard, int shards, int row_from, int sample_from) {
    const taper_op_row *rows = taper_op_rows();
    has_cuda = mode_wanted("cuda") && taper_cuda_device_count(NULL) > 0;
    for (int i = 0; rows[i].name; i++) {
        if (i % shards != shard || i < row_from) continue;
        now->row = i;
        now->sample = -1;
        run_row(&rows[i], i == row_from ? sample_from : 0);
    }
    alarm(0);
    now->finished = true;
    fflush(stdout);
    exit(0);
}

static pid_t start(int shard, int shards, int row, int sample) {
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        now = &reports[shard];
        child(shard, shards, row, sample);
    }
    return pid;
}

static int run_all(int shards) {
    pid_t pids[MOST_CHILDREN];
    int left = shards, deaths = 0;
    for (int i = 0; i < shards; i++) pids[i] = start(i, shards, 0, 0);
    while (left) {
        int status, i = 0;
        pid_t pid = wait(&status);
        if (pid < 0) return 1;
        while (i < shards && pids[i] != pid) i++;
        if (i == shards) continue;
        report *r = &reports[i];
        bool died = !WIFEXITED(status) || WEXITSTATUS(status);
        if (died) {
            r->failed++;
            if (WIFSIGNALED(status))
                printf("not ok %s: killed by signal %d (%s)\n", r->finished ? "exit" : r->name, WTERMSIG(status), strsignal(WTERMSIG(status)));
            else
                printf("not ok %s: the process ended with status %d\n", r->finished ? "exit (leaks?)" : r->name, WEXITSTATUS(status));
        }
        bool whole_row = r->sample < 0; /* it died before the first sample */
        if (died && !r->finished && ++deaths < 200)
            pids[i] = start(i, shards, r->row + whole_row, whole_row ? 0 : r->sample + 1);
        else
            left--;
    }
    return 0;
}

static int plant(void) {
    const char *what, *modes;
    int missed = 0, found = 0;
    quiet = true;
    now = &reports[0];
    for (int f = 0;; f++) {
        const taper_op_row *row = plant_row(f, &what, &modes);
        if (!row) break;
        modes_wanted = modes;
        now->failed = 0;
        run_row(row, 0);
        printf("%s: %s in %s\n", now->failed ? "found" : "MISSED", what, row->name);
        if (now->failed) found++;
        else missed++;
    }
    printf("%d planted faults found, %d missed\n", found, missed);
    return missed ? 0 : 1;
}

int main(int argc, char **argv) {
    int shards = 2;
    bool planting = false;
    names_wanted = malloc(sizeof *names_wanted * (size_t)argc);
    for (int i = 1; i < argc; i++) {
        if (!strcmp(argv[i], "-v")) verbose = true;
        else if (!strcmp(argv[i], "-j") && i + 1 < argc) shards = atoi(argv[++i]);
        else if (!strcmp(argv[i], "-m") && i + 1 < argc) modes_wanted = argv[++i];
        else if (!strcmp(argv[i], "--perf")) modes_wanted = "perf";
        else if (!strcmp(argv[i], "--plant")) planting = true;
        else names_wanted[names_count++] = argv[i];
    }
    if (shards < 1) shards = 1;
    if (shards > MOST_CHILDREN) shards = MOST_CHILDREN;
    setvbuf(stdout, NULL, _IOLBF, 0);
    reports = mmap(NULL, sizeof *reports * MOST_CHILDREN, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (reports == MAP_FAILED) return 2;
    if (planting) return plant();
    if (run_all(shards)) return 2;
    report sum = {0};
    for (int i = 0; i < shards; i++) {
        sum.passed += reports[i].passed;
        sum.failed += reports[i].failed;
        sum.skipped += reports[i].skipped;
    }
    printf("%d passed, %d failed, %d skipped\n", sum.passed, sum.failed, sum.skipped);
    return sum.failed || (names_count && !sum.passed && !sum.skipped);
}
