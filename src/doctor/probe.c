/* Probes: work that may hang, crash or poison the process runs in a child; what it says comes back as "key value" lines. */
#include "doctor/state.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { PROBE_TEXT_MAX = 4 << 20, PROBE_GRACE_MS = 300 };

struct doctor_out {
    int fd;
};

static int64_t probe_now_ms(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* One write a line: a child that is killed leaves whole lines. */
void doctor_say(doctor_out *o, const char *key, const char *format, ...) {
    char line[4096];
    va_list ap;
    int n = snprintf(line, sizeof line - 1, "%s ", key);
    va_start(ap, format);
    int m = vsnprintf(line + n, sizeof line - 1 - (size_t)n, format, ap);
    va_end(ap);
    n = m < (int)sizeof line - 1 - n ? n + m : (int)sizeof line - 2;
    for (int i = 0; i < n; i++)
        if (line[i] == '\n' || !line[i]) line[i] = ' ';
    line[n++] = '\n';
    for (int done = 0; done < n;) {
        ssize_t w = write(o->fd, line + done, (size_t)(n - done));
        if (w < 0 && errno != EINTR) return;
        if (w > 0) done += (int)w;
    }
}

static _Noreturn void probe_child(int fd, doctor_probe_fn fn, void *ctx) {
    doctor_out out = {fd};
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    int null = open("/dev/null", O_RDWR);
    if (null >= 0)
        for (int i = 0; i < 3; i++) dup2(null, i); /* libraries that talk do not talk into the report */
    fn(&out, ctx);
    _exit(0);
}

/* Waits a little for a killed child; one stuck in the kernel is left to the system. */
static const char *probe_reap(doctor *d, pid_t child, const char *end) {
    int status = 0;
    for (int64_t until = probe_now_ms() + PROBE_GRACE_MS;;) {
        pid_t got = waitpid(child, &status, WNOHANG);
        if (got == child || (got < 0 && errno != EINTR)) break;
        if (probe_now_ms() > until) return end ? doctor_text(d, "%s and cannot be killed", end) : "does not end";
        usleep(1000);
    }
    if (end) return end;
    if (WIFSIGNALED(status)) return doctor_text(d, "killed by signal %d (%s)", WTERMSIG(status), strsignal(WTERMSIG(status)));
    return WEXITSTATUS(status) ? doctor_text(d, "exit status %d", WEXITSTATUS(status)) : NULL;
}

static doctor_facts *probe_facts(doctor *d, const char *name, const char *text, size_t size, const char *end) {
    doctor_facts *f = doctor_keep(d, sizeof *f);
    if (!f) return NULL;
    f->name = doctor_text(d, "%s", name);
    f->end = end;
    f->text = doctor_keep(d, size + 1);
    if (f->text && size) memcpy(f->text, text, size);
    f->size = f->text ? size : 0;
    for (size_t i = 0; i < f->size; i++)
        if (f->text[i] == '\n') f->text[i] = 0; /* lines become strings */
    f->next = d->facts;
    d->facts = f;
    return f;
}

const doctor_facts *doctor_probe(doctor *d, const char *name, doctor_probe_fn fn, void *ctx, int limit_ms) {
    for (doctor_facts *f = d->facts; f; f = f->next)
        if (!strcmp(f->name, name)) return f;
    const char *file = doctor_text(d, "/.doctor/probe/%s", name), *end = NULL;
    if (d->options.root) {
        size_t size = 0;
        const char *text = doctor_read(d, file, &size, NULL);
        return probe_facts(d, name, text ? text : "", size, text ? doctor_field(d, text, "end") : "not recorded");
    }
    int pipes[2];
    size_t size = 0, room = 0;
    char *text = NULL;
    if (pipe2(pipes, O_CLOEXEC)) return probe_facts(d, name, "", 0, doctor_text(d, "no pipe: %s", strerror(errno)));
    pid_t child = fork();
    if (child == 0) {
        close(pipes[0]);
        probe_child(pipes[1], fn, ctx);
    }
    close(pipes[1]);
    if (child < 0) end = doctor_text(d, "no child process: %s", strerror(errno));
    for (int64_t until = probe_now_ms() + limit_ms; child > 0;) {
        struct pollfd p = {pipes[0], POLLIN, 0};
        int64_t left = until - probe_now_ms();
        if (left <= 0 || size >= PROBE_TEXT_MAX) {
            end = doctor_text(d, "timed out after %.1f s", limit_ms * 1e-3);
            kill(child, SIGKILL);
            break;
        }
        if (poll(&p, 1, (int)left) <= 0) continue;
        if (room < size + 4096) {
            char *more = taper__realloc(text, room = room * 2 + 8192);
            if (!more) {
                kill(child, SIGKILL);
                end = "no memory";
                break;
            }
            text = more;
        }
        ssize_t n = read(pipes[0], text + size, room - size);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) break;
        size += (size_t)n;
    }
    close(pipes[0]);
    if (child > 0) end = probe_reap(d, child, end);
    if (d->options.record) {
        const char *whole = doctor_text(d, "%.*s%s%s%s", (int)size, text ? text : "", end ? "end " : "", end ? end : "", end ? "\n" : "");
        doctor_record(d, file, whole, strlen(whole));
    }
    const doctor_facts *f = probe_facts(d, name, text, size, end);
    taper__free(text);
    return f;
}

static const char *probe_find(const doctor_facts *f, const char *format, va_list ap) {
    char key[256];
    vsnprintf(key, sizeof key, format, ap);
    size_t n = strlen(key);
    for (size_t i = 0; f && i < f->size; i += strlen(f->text + i) + 1)
        if (!strncmp(f->text + i, key, n) && f->text[i + n] == ' ') return f->text + i + n + 1;
    return NULL;
}

const char *doctor_fact(const doctor_facts *f, const char *key, ...) {
    va_list ap;
    va_start(ap, key);
    const char *value = probe_find(f, key, ap);
    va_end(ap);
    return value;
}

int64_t doctor_fact_int(const doctor_facts *f, int64_t otherwise, const char *key, ...) {
    va_list ap;
    va_start(ap, key);
    const char *value = probe_find(f, key, ap);
    va_end(ap);
    char *end;
    int64_t n = value ? strtoll(value, &end, 0) : 0;
    return value && end != value ? n : otherwise;
}

double doctor_fact_real(const doctor_facts *f, double otherwise, const char *key, ...) {
    va_list ap;
    va_start(ap, key);
    const char *value = probe_find(f, key, ap);
    va_end(ap);
    char *end;
    double n = value ? strtod(value, &end) : 0;
    return value && end != value ? n : otherwise;
}

const char *doctor_facts_end(const doctor_facts *f) { return f ? f->end : "no memory"; }
