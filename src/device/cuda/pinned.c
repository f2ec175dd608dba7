/* Page-locked host memory: making it costs a system call and up to milliseconds, so freed blocks are kept by size. A
 * block that a copy still reads waits for that copy's event. */
#include <stdlib.h>

#include "device/cuda/gpu.h"

enum { PINNED_LEAST = 12, PINNED_CLASSES = 48 }; /* 4 KiB and doublings */

typedef struct pinned_block {
    char *p;
    int size_class;
    bool used;
    taper_cu_object event; /* of the newest copy since it was handed out */
    int event_gpu;
    struct pinned_block *next; /* free list of its class */
} pinned_block;

static pthread_mutex_t pinned_lock = PTHREAD_MUTEX_INITIALIZER;
static pinned_block **pinned_all; /* by address */
static int pinned_count, pinned_room;
static pinned_block *pinned_free[PINNED_CLASSES];

/* The last block that begins at or before p; -1: none. */
static int pinned_at(const void *p) {
    int low = 0, high = pinned_count;
    while (low < high) {
        int middle = (low + high) / 2;
        if ((uintptr_t)pinned_all[middle]->p <= (uintptr_t)p)
            low = middle + 1;
        else
            high = middle;
    }
    return low - 1;
}

static pinned_block *pinned_find(const void *p) {
    int i = pinned_at(p);
    return i >= 0 && (uintptr_t)p < (uintptr_t)pinned_all[i]->p + ((size_t)1 << pinned_all[i]->size_class)
               ? pinned_all[i]
               : NULL;
}

static pinned_block *pinned_make(int size_class) {
    if (pinned_count == pinned_room) {
        int room = pinned_room * 2 + 64;
        pinned_block **grown = realloc(pinned_all, (size_t)room * sizeof *grown);
        if (!grown) return NULL;
        pinned_all = grown;
        pinned_room = room;
    }
    pinned_block *b = calloc(1, sizeof *b);
    void *p = NULL;
    if (!b || taper__cu.host_alloc(&p, (size_t)1 << size_class, TAPER_CU_HOST_PORTABLE)) {
        free(b);
        return NULL;
    }
    b->p = p;
    b->size_class = size_class;
    int i = pinned_count++;
    for (; i > 0 && pinned_all[i - 1]->p > b->p; i--) pinned_all[i] = pinned_all[i - 1];
    pinned_all[i] = b;
    return b;
}

static bool pinned_idle(pinned_block *b) {
    if (!b->event) return true;
    if (taper__cu.event_query(b->event) == TAPER_CU_NOT_READY) return false;
    taper__cuda_mark_done(b->event, b->event_gpu);
    b->event = NULL;
    return true;
}

void *taper__pinned_alloc(size_t bytes) {
    int index = taper__cuda_thread.entered - 1, k = PINNED_LEAST; /* any GPU's context will do: the one that is current stays */
    if (taper__alloc_would_fail() || !taper_cuda_device_count(NULL) || bytes > (size_t)1 << (PINNED_CLASSES - 1))
        return NULL;
    if (taper__cuda_enter(&index)) return NULL;
    while ((size_t)1 << k < bytes) k++;
    pthread_mutex_lock(&pinned_lock);
    pinned_block **at = &pinned_free[k];
    while (*at && !pinned_idle(*at)) at = &(*at)->next;
    pinned_block *b = *at;
    if (b)
        *at = b->next;
    else
        b = pinned_make(k);
    if (b) b->used = true;
    pthread_mutex_unlock(&pinned_lock);
    if (b) taper__alloc_count(1);
    return b ? b->p : NULL;
}

void taper__pinned_free(void *p) {
    if (!p) return;
    pthread_mutex_lock(&pinned_lock);
    pinned_block *b = pinned_find(p);
    bool good = b && b->p == p && b->used;
    if (good) {
        b->used = false;
        b->next = pinned_free[b->size_class];
        pinned_free[b->size_class] = b;
    }
    pthread_mutex_unlock(&pinned_lock);
    if (good) taper__alloc_count(-1);
}

bool taper__pinned_use(const void *p, taper_cuda_stream *s) {
    pthread_mutex_lock(&pinned_lock);
    pinned_block *b = pinned_find(p);
    if (b && !atomic_load(&s->pool)) {
        taper_cu_object old = b->event, fresh = NULL;
        /* Copies on several streams: the newest event stands for all of them when it waits for the older one. */
        if (old && b->event_gpu == s->index)
            taper__cu.stream_wait(s->handle, old, 0);
        else if (old)
            taper__cu.event_synchronize(old);
        if (!taper__cuda_mark(&fresh, s->index, s)) {
            if (old) taper__cuda_mark_done(old, b->event_gpu);
            b->event = fresh;
            b->event_gpu = s->index;
        }
    }
    pthread_mutex_unlock(&pinned_lock);
    return b != NULL;
}

bool taper__is_pinned(const void *p) {
    pthread_mutex_lock(&pinned_lock);
    bool found = pinned_find(p) != NULL;
    pthread_mutex_unlock(&pinned_lock);
    return found;
}

bool taper_cuda_is_pinned(const void *p) {
    if (taper__is_pinned(p)) return true;
    /* The caller's context stays: a copy that asks goes on with its own GPU's stream. */
    int index = taper__cuda_thread.entered - 1, attribute = TAPER_CU_POINTER_MEMORY_TYPE;
    unsigned type = 0;
    void *answers[] = {&type};
    if (!p || !taper_cuda_device_count(NULL) || taper__cuda_enter(&index)) return false;
    /* The call for several attributes knows no error for memory the driver has never seen: the type stays 0. */
    return !taper__cu.pointer_attributes(1, &attribute, answers, (taper_cu_ptr)(uintptr_t)p) && type == TAPER_CU_MEMORY_TYPE_HOST;
}
