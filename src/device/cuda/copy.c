/* Copies and fills in stream order. Pageable host memory goes through page-locked slots: the copy engine of the GPU and
 * the processor's own copying then overlap. */
#include <string.h>

#include "device/cuda/gpu.h"

enum {
    COPY_SLOTS = 4,
    COPY_SLOT_BYTES = 4 << 20,
    COPY_DIRECT = 64 << 10, /* up to this the driver takes the bytes itself and returns at once */
    COPY_GRAIN = 256 << 10, /* bytes per thread of a host copy */
};

typedef struct copy_ring {
    pthread_mutex_t lock;
    char *slot[COPY_SLOTS];
    taper_cu_object busy[COPY_SLOTS]; /* event: the slot's bytes have left or arrived */
    int next;
} copy_ring;
#define COPY_LOCK_4                                                                                                    \
    {.lock = PTHREAD_MUTEX_INITIALIZER}, {.lock = PTHREAD_MUTEX_INITIALIZER}, {.lock = PTHREAD_MUTEX_INITIALIZER}, {   \
        .lock = PTHREAD_MUTEX_INITIALIZER                                                                              \
    }
static copy_ring copy_rings[TAPER_MAX_GPUS] = {COPY_LOCK_4, COPY_LOCK_4, COPY_LOCK_4, COPY_LOCK_4};

typedef struct copy_host {
    char *dst;
    const char *src;
} copy_host;
static void copy_host_range(void *ctx, int64_t begin, int64_t end) {
    const copy_host *c = ctx;
    memcpy(c->dst + begin, c->src + begin, (size_t)(end - begin));
}
static void copy_host_run(void *dst, const void *src, size_t n) {
    copy_host c = {dst, src};
    taper__parallel_for((int64_t)n, COPY_GRAIN, copy_host_range, &c);
}

static taper_cu_ptr copy_pointer(const void *p) { return (taper_cu_ptr)(uintptr_t)p; }

/* Waits until slot i is free; makes it at its first use. Under the lock. */
static taper_status copy_slot(copy_ring *ring, int index, int i) {
    if (!ring->slot[i]) {
        void *p = NULL;
        TAPER_TRY(taper__cu_check(taper__cu.host_alloc(&p, COPY_SLOT_BYTES, TAPER_CU_HOST_PORTABLE), "cuMemHostAlloc",
                                  "copy"));
        ring->slot[i] = p;
    }
    if (ring->busy[i]) {
        taper_cu_result r = taper__cu.event_synchronize(ring->busy[i]);
        taper__cuda_mark_done(ring->busy[i], index);
        ring->busy[i] = NULL;
        TAPER_TRY(taper__cu_check(r, "cuEventSynchronize", "copy"));
    }
    return TAPER_OK;
}

static taper_status copy_staged_from_host(taper_cuda_stream *s, char *dst, const char *src, size_t bytes) {
    copy_ring *ring = &copy_rings[s->index];
    taper_status st = TAPER_OK;
    pthread_mutex_lock(&ring->lock);
    for (size_t done = 0; done < bytes && !st;) {
        size_t n = bytes - done < COPY_SLOT_BYTES ? bytes - done : COPY_SLOT_BYTES;
        int i = ring->next;
        ring->next = (i + 1) % COPY_SLOTS;
        if ((st = copy_slot(ring, s->index, i))) break;
        copy_host_run(ring->slot[i], src + done, n);
        st = taper__cu_check(taper__cu.copy_to_device(copy_pointer(dst + done), ring->slot[i], n, s->handle),
                             "cuMemcpyHtoDAsync", "copy");
        if (!st) st = taper__cuda_mark(&ring->busy[i], s->index, s);
        done += n;
    }
    pthread_mutex_unlock(&ring->lock);
    return st;
}

/* Slot k is filled by the GPU while slot k - 1 is emptied by the host. */
static taper_status copy_staged_to_host(taper_cuda_stream *s, char *dst, const char *src, size_t bytes) {
    copy_ring *ring = &copy_rings[s->index];
    size_t slots = (bytes + COPY_SLOT_BYTES - 1) / COPY_SLOT_BYTES;
    taper_status st = TAPER_OK;
    pthread_mutex_lock(&ring->lock);
    for (size_t k = 0; k < slots + COPY_SLOTS - 1 && !st; k++) {
        if (k >= COPY_SLOTS - 1) {
            size_t j = k - (COPY_SLOTS - 1), at = j * COPY_SLOT_BYTES;
            int i = (int)(j % COPY_SLOTS);
            if (j < slots) {
                if ((st = copy_slot(ring, s->index, i))) break;
                copy_host_run(dst + at, ring->slot[i], bytes - at < COPY_SLOT_BYTES ? bytes - at : COPY_SLOT_BYTES);
            }
        }
        if (k < slots) {
            size_t at = k * COPY_SLOT_BYTES, n = bytes - at < COPY_SLOT_BYTES ? bytes - at : COPY_SLOT_BYTES;
            int i = (int)(k % COPY_SLOTS);
            if ((st = copy_slot(ring, s->index, i))) break;
            st = taper__cu_check(taper__cu.copy_to_host(ring->slot[i], copy_pointer(src + at), n, s->handle),
                                 "cuMemcpyDtoHAsync", "copy");
            if (!st) st = taper__cuda_mark(&ring->busy[i], s->index, s);
        }
    }
    pthread_mutex_unlock(&ring->lock);
    return st;
}

taper_status taper__cuda_copy_from_host(void *dst, int index, const void *src, size_t bytes, bool async) {
    TAPER_TRY(taper__cuda_enter(&index));
    taper_cuda_stream *s = taper__cuda_current(index);
    bool pinned = taper__is_pinned(src) || (bytes > COPY_DIRECT && taper_cuda_is_pinned(src));
    if (!pinned && atomic_load(&s->pool))
        return TAPER_FAIL(TAPER_RUNTIME,
                          "copy: %zu bytes of pageable CPU memory cannot be copied to cuda:%d while a graph is "
                          "captured; pin the memory first (pin_memory)",
                          bytes, index);
    if (!pinned && bytes > COPY_DIRECT) return copy_staged_from_host(s, dst, src, bytes);
    TAPER_TRY(taper__cu_check(taper__cu.copy_to_device(copy_pointer(dst), src, bytes, s->handle), "cuMemcpyHtoDAsync",
                              "copy"));
    if (pinned && async) taper__pinned_use(src, s);
    /* Without async the caller may write to the source at once. */
    else if (pinned && !atomic_load(&s->pool))
        return taper__cu_check(taper__cu.stream_synchronize(s->handle), "cuStreamSynchronize", "copy");
    return TAPER_OK;
}

taper_status taper__cuda_copy_to_host(void *dst, const void *src, int index, size_t bytes, bool async) {
    TAPER_TRY(taper__cuda_enter(&index));
    taper_cuda_stream *s = taper__cuda_current(index);
    bool pinned = taper__is_pinned(dst) || (bytes > COPY_DIRECT && taper_cuda_is_pinned(dst));
    if (atomic_load(&s->pool) && !(pinned && async))
        return TAPER_FAIL(TAPER_RUNTIME,
                          "copy: the CPU cannot wait for cuda:%d while a graph is captured; copy to pinned memory with "
                          "non_blocking=True",
                          index);
    if (!pinned && bytes > COPY_DIRECT) {
        TAPER_TRY(copy_staged_to_host(s, dst, src, bytes));
        return taper__cuda_raise(index);
    }
    TAPER_TRY(
        taper__cu_check(taper__cu.copy_to_host(dst, copy_pointer(src), bytes, s->handle), "cuMemcpyDtoHAsync", "copy"));
    if (pinned && async) {
        taper__pinned_use(dst, s);
        return TAPER_OK;
    }
    TAPER_TRY(taper__cu_check(taper__cu.stream_synchronize(s->handle), "cuStreamSynchronize", "copy"));
    return taper__cuda_raise(index);
}

/* true: `to` can address the memory of `from`; found out once per pair. */
static taper_status copy_peer(bool *direct, int to, int from) {
    static _Atomic signed char known[TAPER_MAX_GPUS][TAPER_MAX_GPUS]; /* 0: not asked; 1: yes; -1: no */
    signed char k = atomic_load(&known[to][from]);
    if (!k) {
        int can = 0;
        TAPER_TRY(taper__cu_check(taper__cu.can_access_peer(&can, taper__gpus[to].device, taper__gpus[from].device),
                                  "cuDeviceCanAccessPeer", "copy"));
        k = can ? 1 : -1;
        if (can) {
            TAPER_TRY(taper__cuda_reenter(to));
            taper_cu_result r = taper__cu.context_peer(taper__gpus[from].context, 0);
            if (r && r != TAPER_CU_PEER_ACCESS_ALREADY_ENABLED)
                return taper__cu_fail(r, "cuCtxEnablePeerAccess", "copy");
            TAPER_TRY(taper__cuda_memory_share(from, to));
        }
        atomic_store(&known[to][from], k);
    }
    *direct = k > 0;
    return TAPER_OK;
}

/* Without a path between the two GPUs the bytes pass through page-locked host memory. */
static taper_status copy_through_host(char *dst, int to, const char *src, int from, size_t bytes) {
    taper_status st = TAPER_OK;
    char *slot = taper__pinned_alloc(bytes < COPY_SLOT_BYTES ? bytes : COPY_SLOT_BYTES);
    if (!slot)
        return TAPER_FAIL(TAPER_MEMORY, "copy: no page-locked memory to copy from cuda:%d to cuda:%d through", from,
                          to);
    for (size_t done = 0; done < bytes && !st; done += COPY_SLOT_BYTES) {
        size_t n = bytes - done < COPY_SLOT_BYTES ? bytes - done : COPY_SLOT_BYTES;
        TAPER_TRY_GOTO(taper__cuda_copy_to_host(slot, src + done, from, n, false));
        TAPER_TRY_GOTO(taper__cuda_copy_from_host(dst + done, to, slot, n, false));
    }
out:
    taper__pinned_free(slot);
    return st;
}

taper_status taper__cuda_copy_between(void *dst, int to, const void *src, int from, size_t bytes) {
    bool direct = true;
    TAPER_TRY(taper__cuda_enter(&from));
    TAPER_TRY(taper__cuda_enter(&to));
    taper_cuda_stream *s = taper__cuda_current(to), *other = taper__cuda_current(from);
    if (from != to) {
        TAPER_TRY(copy_peer(&direct, to, from));
        if (!direct) return copy_through_host(dst, to, src, from, bytes);
        TAPER_TRY(taper_cuda_stream_wait_stream(s, other));
        TAPER_TRY(taper__cuda_enter(&to));
    }
    TAPER_TRY(taper__cu_check(taper__cu.copy_on_device(copy_pointer(dst), copy_pointer(src), bytes, s->handle),
                              "cuMemcpyDtoDAsync", "copy"));
    /* The source may be freed, and used again, by work that follows on its own stream. */
    return from == to ? TAPER_OK : taper_cuda_stream_wait_stream(other, s);
}

taper_status taper__cuda_memory_set(void *dst, int byte, size_t bytes, int index) {
    TAPER_TRY(taper__cuda_enter(&index));
    return taper__cu_check(
        taper__cu.set_bytes(copy_pointer(dst), (unsigned char)byte, bytes, taper__cuda_current(index)->handle),
        "cuMemsetD8Async", "fill");
}
