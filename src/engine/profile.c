/* The profiler: a list of finished operator calls. Times of GPU work come from two events around each call. */
#include <pthread.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <taper/cuda.h>
#include <taper/profile.h>

#include "engine/engine.h"

typedef struct profile_entry {
    taper_profile_event event;
    taper_cuda_event *before, *after;
} profile_entry;

bool taper__profiling;

static struct {
    pthread_mutex_t lock;
    bool shapes, gpu;
    int64_t count, room, lost;
    profile_entry *entries;
    taper_profile_event *events;          /* without their marks, after the end */
    taper_cuda_event *zero[INT8_MAX + 1]; /* of each GPU: when its first call was recorded */
} profile = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* Time that the operators called by the present one have taken. */
static _Thread_local int64_t profile_inside;

static int64_t profile_now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static taper_cuda_event *profile_record(int index) {
    taper_cuda_event *e = NULL;
    taper_cuda_stream *s = NULL;
    if (taper_cuda_stream_current(&s, index) != TAPER_OK) return NULL;
    if (taper_cuda_event_new(&e, true, false) == TAPER_OK && taper_cuda_event_record(e, s) != TAPER_OK) {
        taper_cuda_event_release(e);
        e = NULL;
    }
    taper_cuda_stream_release(s);
    return e;
}

/* NULL when there is no GPU work to time, or no event to be had: the call goes on without. */
static taper_cuda_event *profile_mark(const taper_call *c) {
    int index = c->device.index;
    if (!profile.gpu || c->device.type != TAPER_CUDA || index < 0 || taper_cuda_is_capturing(index)) return NULL;
    pthread_mutex_lock(&profile.lock);
    if (!profile.zero[index]) profile.zero[index] = profile_record(index);
    pthread_mutex_unlock(&profile.lock);
    return profile.zero[index] ? profile_record(index) : NULL;
}

static void profile_shapes(char *text, size_t size, const taper_call *c) {
    size_t at = 0;
    const char *before = "[";
    for (int k = 0; k < c->nargs && at + 8 < size; k++) {
        if (c->args[k].kind != TAPER_ARG_TENSOR) continue;
        const taper_tensor *t = c->args[k].t;
        at += (size_t)snprintf(text + at, size - at, "%s[", before);
        for (int i = 0; i < t->ndim && at < size; i++) at += (size_t)snprintf(text + at, size - at, i ? ", %lld" : "%lld", (long long)t->shape[i]);
        if (at < size) at += (size_t)snprintf(text + at, size - at, "]");
        before = ", ";
    }
    if (at + 1 < size && at)
        snprintf(text + at, size - at, "]");
    else if (at)
        snprintf(text + size - 4, 4, "...");
}

static void profile_add(const profile_entry *e) {
    pthread_mutex_lock(&profile.lock);
    if (profile.count == profile.room) {
        int64_t room = profile.room ? 2 * profile.room : 256;
        profile_entry *more = taper__realloc(profile.entries, sizeof *more * (size_t)room);
        if (more) {
            profile.entries = more;
            profile.room = room;
        }
    }
    bool kept = __atomic_load_n(&taper__profiling, __ATOMIC_RELAXED) && profile.count < profile.room;
    if (kept)
        profile.entries[profile.count++] = *e;
    else
        profile.lost++;
    pthread_mutex_unlock(&profile.lock);
    if (!kept) {
        taper_cuda_event_release(e->before);
        taper_cuda_event_release(e->after);
    }
}

taper_status taper__profile_call(taper_call *c, taper_tensor *target, taper_status (*run)(taper_call *, taper_tensor *)) {
    profile_entry e = {.event = {.thread = (uint32_t)syscall(SYS_gettid), .gpu_begin = -1, .gpu_time = -1}};
    int64_t outer = profile_inside;
    taper_profile_event *p = &e.event;
    p->name = c->row->name;
    p->inplace = c->inplace && !c->row->op->mutates;
    if (profile.shapes) profile_shapes(p->shapes, sizeof p->shapes, c);
    e.before = profile_mark(c);
    profile_inside = 0;
    p->begin = profile_now();
    taper_status st = run(c, target);
    p->end = profile_now();
    p->self = p->end - p->begin - profile_inside;
    profile_inside = outer + (p->end - p->begin);
    p->device = c->device;
    if (e.before && !(e.after = profile_mark(c))) {
        taper_cuda_event_release(e.before);
        e.before = NULL;
    }
    profile_add(&e);
    return st;
}

void taper_profile_clear(void) {
    pthread_mutex_lock(&profile.lock);
    for (int64_t i = 0; i < profile.count; i++) {
        taper_cuda_event_release(profile.entries[i].before);
        taper_cuda_event_release(profile.entries[i].after);
    }
    for (int i = 0; i <= INT8_MAX; i++) {
        taper_cuda_event_release(profile.zero[i]);
        profile.zero[i] = NULL;
    }
    taper__free(profile.entries);
    taper__free(profile.events);
    profile.entries = NULL;
    profile.events = NULL;
    profile.count = profile.room = profile.lost = 0;
    pthread_mutex_unlock(&profile.lock);
}

taper_status taper_profile_start(bool shapes, bool gpu) {
    if (taper_profile_running()) return TAPER_FAIL(TAPER_RUNTIME, "profile: already recording: one profile at a time");
    taper_profile_clear();
    profile.shapes = shapes;
    profile.gpu = gpu;
    __atomic_store_n(&taper__profiling, true, __ATOMIC_RELEASE);
    return TAPER_OK;
}

bool taper_profile_running(void) { return __atomic_load_n(&taper__profiling, __ATOMIC_RELAXED); }

static taper_status profile_gpu_times(profile_entry *e) {
    float begin = 0, took = 0;
    TAPER_TRY(taper_cuda_event_synchronize(e->after));
    TAPER_TRY(taper_cuda_event_elapsed(&begin, profile.zero[e->event.device.index], e->before));
    TAPER_TRY(taper_cuda_event_elapsed(&took, e->before, e->after));
    e->event.gpu_begin = 1e3 * (double)begin;
    e->event.gpu_time = 1e3 * (double)took;
    return TAPER_OK;
}

taper_status taper_profile_stop(void) {
    taper_status st = TAPER_OK;
    if (!taper_profile_running()) return TAPER_OK;
    __atomic_store_n(&taper__profiling, false, __ATOMIC_RELEASE);
    pthread_mutex_lock(&profile.lock);
    profile.events = taper__alloc(sizeof *profile.events * (size_t)(profile.count + 1));
    if (!profile.events) st = TAPER_FAIL(TAPER_MEMORY, "profile: no memory for %lld events", (long long)profile.count);
    for (int64_t i = 0; st == TAPER_OK && i < profile.count; i++) {
        profile_entry *e = &profile.entries[i];
        if (e->after) st = profile_gpu_times(e);
        profile.events[i] = e->event;
    }
    pthread_mutex_unlock(&profile.lock);
    return st;
}

const taper_profile_event *taper_profile_events(int64_t *count, int64_t *lost) {
    *count = profile.events ? profile.count : 0;
    *lost = profile.lost;
    return profile.events;
}
