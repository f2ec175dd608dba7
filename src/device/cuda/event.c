/* Public events. The driver's event is made at the first record, on the GPU of that stream. */
#include "device/cuda/gpu.h"

struct taper_cuda_event {
    bool timing, blocking;
    int index; /* -1 before the first record */
    taper_cu_object handle;
    taper_cuda_pool *pool; /* of the capture it was last recorded in */
};

taper_status taper_cuda_event_new(taper_cuda_event **out, bool timing, bool blocking) {
    taper_cuda_event *e = taper__alloc_zero(sizeof *e);
    if (!e) return TAPER_FAIL(TAPER_MEMORY, "Event: out of memory");
    e->timing = timing;
    e->blocking = blocking;
    e->index = -1;
    *out = e;
    return TAPER_OK;
}

void taper_cuda_event_release(taper_cuda_event *e) {
    if (!e) return;
    int index = e->index;
    if (e->handle && !taper__cuda_enter(&index)) taper__cu.event_destroy(e->handle);
    taper__free(e);
}

taper_status taper_cuda_event_record(taper_cuda_event *e, taper_cuda_stream *s) {
    int index = s ? s->index : -1;
    TAPER_TRY(taper__cuda_enter(&index));
    if (!s) s = taper__cuda_current(index);
    if (e->handle && e->index != index)
        return TAPER_FAIL(TAPER_RUNTIME, "Event device %d does not match recording stream's device %d.", e->index,
                          index);
    if (!e->handle) {
        unsigned flags =
            (e->timing ? 0u : TAPER_CU_EVENT_NO_TIMING) | (e->blocking ? TAPER_CU_EVENT_BLOCKING_SYNC : 0u);
        TAPER_TRY(taper__cu_check(taper__cu.event_create(&e->handle, flags), "cuEventCreate", NULL));
        e->index = index;
    }
    e->pool = atomic_load(&s->pool);
    return taper__cu_check(taper__cu.event_record(e->handle, s->handle), "cuEventRecord", NULL);
}

taper_status taper_cuda_event_query(bool *done, taper_cuda_event *e) {
    *done = true;
    if (!e->handle) return TAPER_OK;
    int index = e->index;
    TAPER_TRY(taper__cuda_enter(&index));
    taper_cu_result r = taper__cu.event_query(e->handle);
    if (r && r != TAPER_CU_NOT_READY) return taper__cu_fail(r, "cuEventQuery", NULL);
    *done = !r;
    return TAPER_OK;
}

taper_status taper_cuda_event_synchronize(taper_cuda_event *e) {
    if (!e->handle) return TAPER_OK;
    int index = e->index;
    TAPER_TRY(taper__cuda_enter(&index));
    return taper__cu_check(taper__cu.event_synchronize(e->handle), "cuEventSynchronize", NULL);
}

taper_status taper_cuda_event_elapsed(float *milliseconds, taper_cuda_event *begin, taper_cuda_event *end) {
    if (!begin->timing || !end->timing)
        return TAPER_FAIL(TAPER_VALUE, "Both events must be created with argument 'enable_timing=True'.");
    if (!begin->handle || !end->handle)
        return TAPER_FAIL(TAPER_VALUE, "Both events must be recorded before calculating elapsed time.");
    int index = begin->index;
    TAPER_TRY(taper__cuda_enter(&index));
    taper_cu_result r = taper__cu.event_elapsed(milliseconds, begin->handle, end->handle);
    if (r == TAPER_CU_NOT_READY)
        return TAPER_FAIL(TAPER_VALUE, "Both events must be completed before calculating elapsed time.");
    return taper__cu_check(r, "cuEventElapsedTime", NULL);
}

taper_status taper_cuda_stream_wait_event(taper_cuda_stream *s, taper_cuda_event *e) {
    if (!e->handle) return TAPER_OK;
    int index = s->index;
    TAPER_TRY(taper__cuda_enter(&index));
    TAPER_TRY(taper__cu_check(taper__cu.stream_wait(s->handle, e->handle, 0), "cuStreamWaitEvent", NULL));
    /* The capture may be over, and the pool with it: only its address is compared. */
    if (e->pool && e->index == index && taper__cuda_pool_is_capturing(index, e->pool)) atomic_store(&s->pool, e->pool);
    return TAPER_OK;
}

void *taper_cuda_event_handle(const taper_cuda_event *e) { return e->handle; }
