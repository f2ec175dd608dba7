/* The list of checks, and a run of them. */
#include "doctor/state.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const doctor_check *registry_list[] = {
#define DOCTOR_ROW(name) &doctor_check_##name,
#include "doctor/checks.def"
#undef DOCTOR_ROW
    NULL};
static pthread_once_t registry_once = PTHREAD_ONCE_INIT;

static int registry_order(const void *a, const void *b) {
    const doctor_check *x = *(const doctor_check *const *)a, *y = *(const doctor_check *const *)b;
    return x->layer != y->layer ? (int)x->layer - (int)y->layer : x->code - y->code;
}

static void registry_sort(void) { qsort((void *)registry_list, TAPER_COUNT(registry_list) - 1, sizeof *registry_list, registry_order); }

const doctor_check *const *doctor_checks(void) {
    pthread_once(&registry_once, registry_sort);
    return registry_list;
}

const char *doctor_layer_name(doctor_layer layer) {
    static const char *const names[DOCTOR_LAYERS] = {"pci", "kernel", "nodes", "libraries", "driver", "container", "python", "gpu",
                                                     "links", "host", "network", "storage", "environment", "process", "measured"};
    return layer < DOCTOR_LAYERS ? names[layer] : "?";
}

/* Whether `name` is among the comma list; a layer's name stands for its checks. */
static bool registry_listed(const char *list, const doctor_check *c) {
    const char *names[] = {c->name, doctor_layer_name(c->layer)};
    for (; *list; list += strcspn(list, ","), list += *list == ',')
        for (int i = 0; i < TAPER_COUNT(names); i++)
            if (strcspn(list, ",") == strlen(names[i]) && !strncmp(list, names[i], strlen(names[i]))) return true;
    return false;
}

/* The first name of the list that no check or layer has; NULL. */
static const char *registry_unknown(doctor *d, const char *names) {
    for (; *names; names += strcspn(names, ","), names += *names == ',') {
        const char *name = doctor_text(d, "%.*s", (int)strcspn(names, ","), names);
        bool known = false;
        for (const doctor_check *const *c = doctor_checks(); *c; c++) known |= registry_listed(name, *c);
        if (!known) return name;
    }
    return NULL;
}

doctor *doctor_new(const doctor_options *options) {
    doctor *d = taper__alloc_zero(sizeof *d);
    if (d) d->options = *options;
    return d;
}

const doctor_options *doctor_settings(const doctor *d) { return &d->options; }

void doctor_run(doctor *d) {
    struct timespec a, b;
    clock_gettime(CLOCK_MONOTONIC, &a);
    for (const doctor_check *const *c = doctor_checks(); *c; c++) {
        if (d->options.check ? !registry_listed(d->options.check, *c) : (*c)->deep > d->options.deep) continue;
        if (((*c)->live && !d->options.pid) || ((*c)->log && !d->options.log)) continue;
        /* A process or a log is looked at by itself, unless checks are named. */
        if ((d->options.pid || d->options.log) && !d->options.check && !(*c)->live && !(*c)->log) continue;
        d->running = *c;
        (*c)->run(d);
    }
    d->running = NULL;
    clock_gettime(CLOCK_MONOTONIC, &b);
    d->seconds = (double)(b.tv_sec - a.tv_sec) + (double)(b.tv_nsec - a.tv_nsec) * 1e-9;
}

int doctor_exit_code(const doctor *d) {
    int slow = 0, broken = 0, unknown = 0;
    for (int i = 0; i < d->count; i++) {
        slow += d->findings[i].verdict == DOCTOR_SLOW;
        broken += d->findings[i].verdict == DOCTOR_BROKEN;
        unknown += d->findings[i].verdict == DOCTOR_UNKNOWN;
    }
    return broken ? 2 : slow ? 1 : unknown ? 3 : 0;
}

void doctor_free(doctor *d) {
    if (!d) return;
    for (doctor_block *b = d->blocks, *next; b; b = next) {
        next = b->next;
        taper__free(b);
    }
    taper__free(d->findings);
    taper__free(d);
}

taper_status taper_doctor(const taper_doctor_options *options, int *exit_code, taper_text_fn write, void *ctx) {
    doctor *d = doctor_new(options);
    if (!d) return TAPER_FAIL(TAPER_MEMORY, "doctor: no memory");
    const char *wrong = options->check ? registry_unknown(d, options->check) : NULL, *text;
    taper_status status = wrong ? TAPER_FAIL(TAPER_VALUE, "doctor: there is no check called %s; --list shows them", wrong) : TAPER_OK;
    if (status == TAPER_OK) {
        if (options->format != TAPER_DOCTOR_LIST) doctor_run(d);
        text = options->format == TAPER_DOCTOR_LIST   ? doctor_list_text(d)
               : options->format == TAPER_DOCTOR_JSON ? doctor_report_json(d)
                                                      : doctor_report_text(d);
        write(ctx, text, strlen(text));
        *exit_code = options->format == TAPER_DOCTOR_LIST ? 0 : doctor_exit_code(d);
    }
    doctor_free(d);
    return status;
}
