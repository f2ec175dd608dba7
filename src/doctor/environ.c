/* Variables: the doctor's own environment, and that of another process. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "doctor/state.h"

const char *doctor_env(doctor *d, const char *name) {
    if (!d->options.root) {
        const char *value = getenv(name), *known = d->recorded_env ? d->recorded_env : "";
        if (!value || !d->options.record || strstr(known, doctor_text(d, "\n%s=", name))) return value;
        d->recorded_env = doctor_text(d, "%s%s%s=%s\n", known, *known ? "" : "\n", name, value);
        doctor_record(d, "/.doctor/env", d->recorded_env, strlen(d->recorded_env));
        return value;
    }
    const char *text = doctor_read(d, "/.doctor/env", NULL, NULL);
    size_t n = strlen(name);
    for (; text && *text; text += strcspn(text, "\n"), text += *text == '\n')
        if (!strncmp(text, name, n) && text[n] == '=') return doctor_text(d, "%.*s", (int)strcspn(text + n + 1, "\n"), text + n + 1);
    return NULL;
}

/* Only what is asked for is recorded: an environment may hold keys to other things. */
const char *doctor_process_env(doctor *d, int pid, const char *name, int *error) {
    const char *path = doctor_text(d, "/proc/%d/environ", pid);
    if (pid != d->environ.pid) {
        d->environ.pid = pid;
        d->environ.data = doctor_bytes(d, path, &d->environ.size, &d->environ.problem);
        if (!d->environ.data) doctor_record_refusal(d, path, d->environ.problem);
        for (size_t i = 0; d->environ.data && d->options.root && i < d->environ.size; i++)
            if (d->environ.data[i] == '\n') d->environ.data[i] = 0; /* a recorded one may stand in lines */
    }
    char *data = d->environ.data, *value = NULL;
    size_t size = d->environ.size, n = strlen(name);
    if (error) *error = d->environ.problem;
    for (size_t i = 0; data && i < size && !value; i += strlen(data + i) + 1)
        if (!strncmp(data + i, name, n) && data[i + n] == '=') value = data + i + n + 1;
    if (value && d->options.record) {
        size_t had = 0;
        const char *to = doctor_text(d, "%s%s", d->options.record, path), *line = doctor_text(d, "%s=%s", name, value);
        FILE *f = fopen(to, "re");
        char old[4096];
        if (f) {
            had = fread(old, 1, sizeof old - 1, f);
            fclose(f);
        }
        if (!had || !memmem(old, had, line, strlen(line) + 1)) {
            if (!had) doctor_record(d, path, line, strlen(line) + 1);
            else if ((f = fopen(to, "ae"))) {
                fwrite(line, 1, strlen(line) + 1, f);
                fclose(f);
            }
        }
    }
    return value;
}
