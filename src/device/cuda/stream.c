/* Streams come from a pool per GPU and keep a small number: memory blocks remember which streams use them as one word.
 */
#include <stdlib.h>

#include "device/cuda/gpu.h"

static pthread_mutex_t stream_lock = PTHREAD_MUTEX_INITIALIZER;
static struct {
    taper_cuda_stream *all[TAPER_MAX_STREAMS]; /* never freed; refs 0: waits for reuse */
    int count;
    taper_cu_object *marks; /* events to reuse */
    int mark_count, mark_room;
} stream_gpu[TAPER_MAX_GPUS];

static taper_status stream_make(taper_cuda_stream **out, int index, int priority, taper_cu_object external) {
    if (stream_gpu[index].count == TAPER_MAX_STREAMS)
        return TAPER_FAIL(TAPER_RUNTIME, "Stream: all %d streams of cuda:%d are in use; release some",
                          TAPER_MAX_STREAMS, index);
    taper_cuda_stream *s = calloc(1, sizeof *s); /* lives as long as the process */
    if (!s) return TAPER_FAIL(TAPER_MEMORY, "Stream: out of memory");
    taper_cu_result r = 0;
    if (external)
        s->handle = external;
    else
        r = taper__cu.stream_create(&s->handle, TAPER_CU_STREAM_NON_BLOCKING, priority);
    if (r) {
        free(s);
        return taper__cu_fail(r, "cuStreamCreateWithPriority", NULL);
    }
    s->index = index;
    s->priority = priority;
    s->external = external != NULL;
    s->id = stream_gpu[index].count;
    stream_gpu[index].all[stream_gpu[index].count++] = s;
    *out = s;
    return TAPER_OK;
}

taper_status taper__cuda_default_stream_start(int index) {
    taper_cuda_stream *s;
    pthread_mutex_lock(&stream_lock);
    taper_status st = stream_gpu[index].count ? TAPER_OK : stream_make(&s, index, 0, NULL);
    pthread_mutex_unlock(&stream_lock);
    if (!st) taper__gpus[index].default_stream = stream_gpu[index].all[0];
    return st;
}

taper_status taper_cuda_stream_new(taper_cuda_stream **out, int index, int priority) {
    int least = 0, greatest = 0;
    TAPER_TRY(taper__cuda_enter(&index));
    taper__cu.priority_range(&least, &greatest);
    priority = priority < greatest ? greatest : priority > least ? least : priority;
    taper_cuda_stream *s = NULL;
    taper_status st = TAPER_OK;
    pthread_mutex_lock(&stream_lock);
    for (int i = 1; i < stream_gpu[index].count && !s; i++) {
        taper_cuda_stream *t = stream_gpu[index].all[i];
        if (!t->external && t->priority == priority && !atomic_load(&t->refs)) s = t;
    }
    if (!s) st = stream_make(&s, index, priority, NULL);
    if (!st) atomic_store(&s->refs, 1);
    pthread_mutex_unlock(&stream_lock);
    if (!st) *out = s;
    return st;
}

taper_status taper_cuda_stream_wrap(taper_cuda_stream **out, int index, void *handle) {
    TAPER_TRY(taper__cuda_enter(&index));
    if (!handle)
        return TAPER_FAIL(TAPER_VALUE,
                          "ExternalStream: the null stream has no handle to wrap; use a stream of its own");
    taper_cuda_stream *s = NULL;
    taper_status st = TAPER_OK;
    pthread_mutex_lock(&stream_lock);
    /* The same handle keeps its number, so that blocks used on it stay in order. */
    for (int i = 0; i < stream_gpu[index].count && !s; i++)
        if (stream_gpu[index].all[i]->handle == handle) s = stream_gpu[index].all[i];
    if (!s) st = stream_make(&s, index, 0, handle);
    if (!st) atomic_fetch_add(&s->refs, 1);
    pthread_mutex_unlock(&stream_lock);
    if (!st) *out = s;
    return st;
}

taper_status taper_cuda_stream_default(taper_cuda_stream **out, int index) {
    TAPER_TRY(taper__cuda_enter(&index));
    *out = taper_cuda_stream_retain(taper__gpus[index].default_stream);
    return TAPER_OK;
}

taper_status taper_cuda_stream_current(taper_cuda_stream **out, int index) {
    TAPER_TRY(taper__cuda_enter(&index));
    *out = taper_cuda_stream_retain(taper__cuda_current(index));
    return TAPER_OK;
}

taper_cuda_stream *taper_cuda_stream_retain(taper_cuda_stream *s) {
    if (s) atomic_fetch_add(&s->refs, 1);
    return s;
}
void taper_cuda_stream_release(taper_cuda_stream *s) {
    if (s) atomic_fetch_sub(&s->refs, 1);
}

taper_status taper_cuda_stream_set_current(taper_cuda_stream *s) {
    taper__cuda_thread.stream[s->index] = s;
    return TAPER_OK;
}

taper_status taper_cuda_stream_synchronize(taper_cuda_stream *s) {
    int index = s->index;
    TAPER_TRY(taper__cuda_enter(&index));
    TAPER_TRY(taper__cu_check(taper__cu.stream_synchronize(s->handle), "cuStreamSynchronize", "synchronize"));
    return taper__cuda_raise(index);
}

taper_status taper_cuda_stream_query(bool *done, taper_cuda_stream *s) {
    int index = s->index;
    TAPER_TRY(taper__cuda_enter(&index));
    taper_cu_result r = taper__cu.stream_query(s->handle);
    if (r && r != TAPER_CU_NOT_READY) return taper__cu_fail(r, "cuStreamQuery", NULL);
    *done = !r;
    return TAPER_OK;
}

taper_status taper_cuda_stream_wait_stream(taper_cuda_stream *s, taper_cuda_stream *other) {
    if (s == other) return TAPER_OK;
    taper_cu_object event;
    int index = other->index;
    TAPER_TRY(taper__cuda_enter(&index));
    TAPER_TRY(taper__cuda_mark(&event, other->index, other));
    int at = s->index;
    taper_status st = taper__cuda_enter(&at);
    if (!st) st = taper__cu_check(taper__cu.stream_wait(s->handle, event, 0), "cuStreamWaitEvent", NULL);
    taper__cuda_mark_done(event, other->index);
    /* A stream that waits for a captured one is captured with it. */
    if (!st && atomic_load(&other->pool)) atomic_store(&s->pool, atomic_load(&other->pool));
    return st;
}

void *taper_cuda_stream_handle(const taper_cuda_stream *s) { return s->handle; }
int taper_cuda_stream_device(const taper_cuda_stream *s) { return s->index; }
int taper_cuda_stream_priority(const taper_cuda_stream *s) { return s->priority; }

taper_status taper__cuda_stream(void **stream, int index) {
    TAPER_TRY(taper__cuda_enter(&index));
    *stream = taper__cuda_current(index)->handle;
    return TAPER_OK;
}

taper_cuda_stream *taper__cuda_stream_by_id(int index, int id) { return stream_gpu[index].all[id]; }

bool taper__cuda_pool_is_capturing(int index, const taper_cuda_pool *pool) {
    bool found = false;
    pthread_mutex_lock(&stream_lock);
    for (int i = 0; i < stream_gpu[index].count; i++) found |= atomic_load(&stream_gpu[index].all[i]->pool) == pool;
    pthread_mutex_unlock(&stream_lock);
    return found;
}

void taper__cuda_streams_leave_pool(int index, taper_cuda_pool *pool) {
    pthread_mutex_lock(&stream_lock);
    for (int i = 0; i < stream_gpu[index].count; i++) {
        taper_cuda_pool *same = pool;
        atomic_compare_exchange_strong(&stream_gpu[index].all[i]->pool, &same, NULL);
    }
    pthread_mutex_unlock(&stream_lock);
}

bool taper_cuda_is_capturing(int index) {
    if (index < 0) index = taper__cuda_thread.device;
    if (index >= TAPER_MAX_GPUS || !atomic_load(&taper__gpus[index].ready)) return false;
    return atomic_load(&taper__cuda_current(index)->pool) != NULL;
}

/* ---- events that only order work ---- */

taper_status taper__cuda_mark(taper_cu_object *event, int index, taper_cuda_stream *s) {
    taper_cu_object e = NULL;
    pthread_mutex_lock(&stream_lock);
    if (stream_gpu[index].mark_count) e = stream_gpu[index].marks[--stream_gpu[index].mark_count];
    pthread_mutex_unlock(&stream_lock);
    if (!e) TAPER_TRY(taper__cu_check(taper__cu.event_create(&e, TAPER_CU_EVENT_NO_TIMING), "cuEventCreate", NULL));
    taper_cu_result r = taper__cu.event_record(e, s->handle);
    if (r) {
        taper__cuda_mark_done(e, index);
        return taper__cu_fail(r, "cuEventRecord", NULL);
    }
    *event = e;
    return TAPER_OK;
}

void taper__cuda_mark_done(taper_cu_object event, int index) {
    bool kept = true;
    pthread_mutex_lock(&stream_lock);
    if (stream_gpu[index].mark_count == stream_gpu[index].mark_room) {
        int room = stream_gpu[index].mark_room * 2 + 64;
        taper_cu_object *grown = realloc(stream_gpu[index].marks, (size_t)room * sizeof *grown);
        if (grown) {
            stream_gpu[index].marks = grown;
            stream_gpu[index].mark_room = room;
        } else {
            kept = false;
        }
    }
    if (kept) stream_gpu[index].marks[stream_gpu[index].mark_count++] = event;
    pthread_mutex_unlock(&stream_lock);
    if (!kept) taper__cu.event_destroy(event);
}
