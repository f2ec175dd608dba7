/* taper bench --with PATH --with PATH: the same workloads with other sets of CUDA libraries, in turns, side by side.
 *
 * A set is a folder of libraries (cuBLASLt, cuDNN, ... as in a toolkit's lib64), a folder of wheels (site-packages, or what pip --target
 * made), or several of them with ':' between. Each run is a child of its own, in which the set comes before everything else.
 */
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/bench.h"

enum { WITH_FIGURES = 128, WITH_ROUNDS = 6, WITH_SAMPLES = WITH_ROUNDS * BENCH_SAMPLES, WITH_TEXT = 4096, WITH_LINE = 1 << 16 };

typedef struct with_figure {
    char name[96], unit[24];
    int count[BENCH_SETS], rounds[BENCH_SETS];
    double samples[BENCH_SETS][WITH_SAMPLES], middle[BENCH_SETS][WITH_ROUNDS]; /* middle: of each round */
} with_figure;

typedef struct with {
    const char *exe;
    char libraries[BENCH_SETS][WITH_TEXT]; /* for TAPER_LIBRARY_PATH */
    char providers[BENCH_SETS][256];
    with_figure *figures;
    int count;
} with;

/* Folders of `set` that hold libraries: itself, and the wheels below. */
static bool with_libraries(char *out, const char *set) {
    size_t n = 0;
    out[0] = 0;
    for (const char *p = set; *p; p += strcspn(p, ":"), p += *p == ':') {
        static const char *const below[] = {"libcu*.so*", "libnv*.so*", "lib64/libcublasLt.so*", "lib/libcublasLt.so*", "nvidia/*/lib", "*/lib/libcu*.so*"};
        for (size_t k = 0; k < sizeof below / sizeof *below; k++) {
            char pattern[WITH_TEXT];
            glob_t g;
            if (snprintf(pattern, sizeof pattern, "%.*s/%s", (int)strcspn(p, ":"), p, below[k]) >= (int)sizeof pattern || glob(pattern, 0, NULL, &g)) continue;
            for (size_t i = 0; i < g.gl_pathc; i++) {
                char folder[WITH_TEXT];
                int length = snprintf(folder, sizeof folder, "%s", g.gl_pathv[i]);
                char *slash = strrchr(folder, '/');
                if (length >= (int)sizeof folder || !slash) continue;
                if (strstr(slash, ".so")) *slash = 0;
                const char *seen = strstr(out, folder);
                size_t size = strlen(folder);
                if ((seen && (seen[size] == ':' || !seen[size])) || n + size + 2 > WITH_TEXT) continue;
                n += (size_t)snprintf(out + n, WITH_TEXT - n, "%s%s", n ? ":" : "", folder);
            }
            globfree(&g);
        }
    }
    return n > 0;
}

/* Starts the tool again with the set's libraries; what it prints comes from the stream. */
static FILE *with_start(pid_t *child, const char *exe, const char *libraries, char *const *arguments) {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC)) return NULL;
    *child = fork();
    if (!*child) {
        if (dup2(ends[1], 1) < 0 || setenv("TAPER_LIBRARY_PATH", libraries, 1)) _exit(126);
        execv(exe, arguments);
        _exit(127);
    }
    close(ends[1]);
    FILE *f = *child > 0 ? fdopen(ends[0], "r") : NULL;
    if (!f) close(ends[0]);
    return f;
}

static int with_end(FILE *f, pid_t child) {
    int status = 1;
    if (f) fclose(f);
    while (child > 0 && waitpid(child, &status, 0) < 0 && errno == EINTR) continue;
    return child > 0 && WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

/* "cuBLASLt 12.1.3, cuDNN 8.9.2" of `taper version -v`. */
static void with_versions(with *w, int set) {
    char line[1024], *const arguments[] = {"taper", "version", "-v", NULL};
    pid_t child = 0;
    FILE *f = with_start(&child, w->exe, w->libraries[set], arguments);
    size_t n = 0;
    while (f && fgets(line, sizeof line, f)) {
        bool wanted = !strncmp(line, "cuBLASLt", 8) || !strncmp(line, "cuDNN", 5);
        line[strcspn(line, ":\n")] = 0;
        if (wanted && n < sizeof w->providers[set]) n += (size_t)snprintf(w->providers[set] + n, sizeof w->providers[set] - n, "%s%s%s", n ? ", " : "", line, strchr(line, ' ') ? "" : " none");
    }
    with_end(f, child);
}

/* The string behind "key": " in a line of bench; "" when it is not there. */
static void with_field(char *out, size_t size, const char *line, const char *key) {
    char pattern[40];
    int n = snprintf(pattern, sizeof pattern, "\"%s\": \"", key);
    const char *at = strstr(line, pattern);
    snprintf(out, size, "%.*s", at ? (int)strcspn(at + n, "\"") : 0, at ? at + n : "");
}

static int with_order(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void with_line(with *w, int set, const char *line) {
    char workload[32], variant[56], name[96], unit[24];
    with_figure *f = NULL;
    with_field(workload, sizeof workload, line, "workload");
    with_field(variant, sizeof variant, line, "variant");
    with_field(unit, sizeof unit, line, "unit");
    if (!*workload) return;
    snprintf(name, sizeof name, "%s %s", workload, variant);
    for (int i = 0; i < w->count && !f; i++)
        if (!strcmp(w->figures[i].name, name) && !strcmp(w->figures[i].unit, unit)) f = &w->figures[i];
    if (!f && w->count == WITH_FIGURES) return;
    if (!f) {
        f = &w->figures[w->count++];
        memcpy(f->name, name, sizeof name);
        memcpy(f->unit, unit, sizeof unit);
    }
    const char *at = strstr(line, "\"samples\": ["), *value = strstr(line, "\"value\": ");
    at = at ? at + 12 : value ? value + 9 : NULL;
    int from = f->count[set];
    while (at && f->count[set] < WITH_SAMPLES) {
        char *end;
        double v = strtod(at, &end);
        if (end == at) break;
        f->samples[set][f->count[set]++] = v;
        at = *end == ',' && !value ? end + 1 : NULL;
    }
    int n = f->count[set] - from;
    qsort(f->samples[set] + from, (size_t)n, sizeof(double), with_order);
    if (n && f->rounds[set] < WITH_ROUNDS) f->middle[set][f->rounds[set]++] = f->samples[set][from + n / 2];
}

static int with_run(with *w, int set, char *const *arguments) {
    char *line = malloc(WITH_LINE);
    pid_t child = 0;
    FILE *f = line ? with_start(&child, w->exe, w->libraries[set], arguments) : NULL;
    while (f && fgets(line, WITH_LINE, f)) with_line(w, set, line);
    free(line);
    return with_end(f, child);
}

/* More than noise: medians 5 % apart, quartiles that do not overlap, and every round says so: a machine that others use changes its
 * speed from one round to the next. */
static bool with_differs(const with_figure *f, int s, double ratio, bool apart) {
    bool agree = f->rounds[0] == f->rounds[s] && f->rounds[0] > 1;
    for (int k = 0; k < f->rounds[0] && agree; k++) agree = (f->middle[s][k] > f->middle[0][k] * (ratio > 1 ? 1.02 : 0.98)) == (ratio > 1);
    return agree && apart && fabs(ratio - 1) > 0.05;
}

/* Rates are better when larger, times when smaller. */
static void with_print(with *w, const char *const *sets, int count) {
    for (int s = 0; s < count; s++) printf("%c  %s: %s\n", 'A' + s, sets[s], *w->providers[s] ? w->providers[s] : "no CUDA libraries");
    printf("\n%-28s %-10s", "", "");
    for (int s = 0; s < count; s++) printf(" %11c", 'A' + s);
    for (int s = 1; s < count; s++) printf("    %c/A          ", 'A' + s);
    putchar('\n');
    for (int i = 0; i < w->count; i++) {
        with_figure *f = &w->figures[i];
        double middle[BENCH_SETS] = {0}, low[BENCH_SETS] = {0}, high[BENCH_SETS] = {0};
        bool rate = strchr(f->unit, '/') != NULL;
        printf("%-28s %-10s", f->name, f->unit);
        for (int s = 0; s < count; s++) {
            int n = f->count[s];
            if (!n) {
                printf(" %11s", "-");
                continue;
            }
            qsort(f->samples[s], (size_t)n, sizeof(double), with_order);
            middle[s] = f->samples[s][n / 2], low[s] = f->samples[s][n / 4], high[s] = f->samples[s][(3 * n - 1) / 4];
            printf(" %11.5g", middle[s]);
        }
        for (int s = 1; s < count; s++) {
            if (!(middle[0] > 0) || !(middle[s] > 0)) continue;
            double ratio = middle[s] / middle[0];
            bool apart = high[0] < low[s] || high[s] < low[0];
            printf("  %6.3f %-8s", ratio, !with_differs(f, s, ratio, apart) ? "" : (ratio > 1) == rate ? "faster" : "SLOWER");
        }
        putchar('\n');
    }
}

int bench_with(const char *const *sets, int count, char *const *workloads, int workload_count, const char *device, bool quick) {
    char exe[4096], *arguments[64] = {"taper", "bench"};
    ssize_t n = readlink("/proc/self/exe", exe, sizeof exe - 1);
    int rc = 0, used = 2, rounds = quick ? 4 : WITH_ROUNDS;
    with *w = n > 0 ? calloc(1, sizeof *w) : NULL;
    if (w) w->figures = calloc(WITH_FIGURES, sizeof *w->figures);
    if (!w || !w->figures) {
        fprintf(stderr, "taper bench: no memory, or no /proc/self/exe\n");
        free(w);
        return 1;
    }
    exe[n] = 0;
    w->exe = exe;
    for (int i = 0; i < workload_count && used < 58; i++) arguments[used++] = workloads[i];
    if (device) arguments[used++] = "--device", arguments[used++] = (char *)device;
    if (quick) arguments[used++] = "--quick";
    for (int s = 0; s < count && !rc; s++) {
        if (!with_libraries(w->libraries[s], sets[s])) {
            fprintf(stderr, "taper bench: no CUDA library (libcublasLt, libcudnn, ...) in %s or nvidia/*/lib below it\n", sets[s]);
            rc = 1;
        } else {
            with_versions(w, s);
        }
    }
    for (int k = 0; k < rounds && !rc; k++)
        for (int s = 0; s < count && !rc; s++) {
            int set = k % 2 ? count - 1 - s : s; /* each set comes first as often as last */
            if ((rc = with_run(w, set, arguments))) fprintf(stderr, "taper bench: the run with %s ended with code %d\n", sets[set], rc);
        }
    if (!rc) with_print(w, sets, count);
    free(w->figures);
    free(w);
    return rc;
}
