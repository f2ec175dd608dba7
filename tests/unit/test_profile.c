/* The profiler: every call of every thread is there once, times nest, nothing is recorded or leaked when it is off. */
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include <taper/ops.h>
#include <taper/profile.h>
#include <taper/scope.h>

#include "base/base.h"

static int failed;
static void check(bool ok, const char *name) {
    printf(ok ? "ok %s\n" : "not ok %s: %s\n", name, taper_error_message());
    failed |= !ok;
}

static void work(int rounds) {
    taper_scope s = TAPER_SCOPE;
    taper_tensor *x = tx_ones(&s, (int64_t[]){2, 3}, 2, TAPER_F32, NULL);
    for (int i = 0; i < rounds; i++) tx_tanh(&s, x);
    taper_scope_end(&s);
}
static void *thread(void *unused) {
    work(50);
    return unused;
}
static int64_t named(const char *name, bool inplace) {
    int64_t count, lost, found = 0;
    const taper_profile_event *e = taper_profile_events(&count, &lost);
    for (int64_t i = 0; i < count; i++) found += !strcmp(e[i].name, name) && e[i].inplace == inplace;
    return found;
}

int main(void) {
    int64_t count = 0, lost = 0, live = taper__alloc_live();
    work(3);
    taper_profile_events(&count, &lost);
    check(count == 0 && lost == 0, "off");

    check(taper_profile_start(true, false) == TAPER_OK && taper_profile_running(), "start");
    check(taper_profile_start(true, false) == TAPER_RUNTIME, "start_twice");
    pthread_t t[4];
    for (int i = 0; i < 4; i++) pthread_create(&t[i], NULL, thread, NULL);
    for (int i = 0; i < 4; i++) pthread_join(t[i], NULL);
    check(taper_profile_stop() == TAPER_OK && !taper_profile_running(), "stop");
    check(named("tanh", false) == 200 && named("ones", false) == 4, "every_call_of_every_thread");

    taper_scope s = TAPER_SCOPE;
    taper_tensor *x = tx_ones(&s, (int64_t[]){2, 3}, 2, TAPER_F32, NULL), *target = tx_ones(&s, (int64_t[]){2, 3}, 2, TAPER_F32, NULL);
    taper_profile_start(true, false);
    tx_mse_loss(&s, x, target, "mean");
    if (s.status == TAPER_OK) s.status = taper_add_(x, target, taper_int(1));
    taper_profile_stop();
    check(s.status == TAPER_OK && named("add", true) == 1 && named("mse_loss", false) == 1, "in_place");
    const taper_profile_event *e = taper_profile_events(&count, &lost);
    bool ordered = count > 0, nested = true, shapes = false;
    for (int64_t i = 0; i < count; i++) {
        ordered = ordered && e[i].begin > 0 && e[i].end >= e[i].begin && e[i].self >= 0 && e[i].gpu_time == -1;
        int64_t inside = 0;
        for (int64_t k = 0; k < i; k++) /* the children ended before */
            if (e[k].begin >= e[i].begin && e[k].end <= e[i].end) inside += e[k].self;
        nested = nested && inside + e[i].self == e[i].end - e[i].begin;
        shapes = shapes || (!strcmp(e[i].name, "add") && !strcmp(e[i].shapes, "[[2, 3], [2, 3]]"));
    }
    check(ordered, "times");
    check(nested, "own_and_inner_times_add_up");
    check(shapes, "shapes");

    taper_tensor *wide = tx_ones(&s, (int64_t[]){1, 1, 1, 1, 1, 1, 1000000}, 7, TAPER_BOOL, NULL);
    taper_tensor *many[6] = {wide, wide, wide, wide, wide, wide};
    taper_profile_start(true, false);
    tx_where(&s, wide, wide, wide);
    tx_cat(&s, many, 6, 0);
    taper_profile_stop();
    e = taper_profile_events(&count, &lost);
    check(s.status == TAPER_OK && count == 2 && strlen(e[0].shapes) < sizeof e->shapes && !strncmp(e[0].shapes, "[[1, 1, 1, 1, 1, 1, 1000000], [1,", 33), "long_shapes_fit");
    taper_scope_end(&s);

    bool harmless = true;
    for (int n = 1; n < 12; n++) { /* no memory for an event: it is counted as lost, and the call itself goes on */
        taper_status st = taper_profile_start(false, false);
        taper__alloc_fail_at(n);
        work(1);
        taper_status stop = taper_profile_stop();
        taper__alloc_fail_at(0);
        taper_profile_events(&count, &lost);
        harmless = harmless && st == TAPER_OK && (stop == TAPER_OK || (stop == TAPER_MEMORY && count == 0)) && !taper_profile_running();
    }
    check(harmless, "no_memory");
    taper_profile_clear();
    check(taper__alloc_live() == live, "no_leak");
    return failed;
}
