/* Memory of captured graphs: a pool has address ranges of its own, so that a replay finds its buffers where the capture
 * had them, whatever the rest of the program allocates. */
#include <stdlib.h>

#include "device/cuda/memory.h"

taper_status taper__cuda_pool_new(taper_cuda_pool **out, int index) {
    taper_gpu_memory *m = &taper__gpu_memory[index];
    taper_cuda_pool *p = taper__alloc_zero(sizeof *p);
    if (!p) return TAPER_FAIL(TAPER_MEMORY, "CUDAGraph: out of memory");
    p->index = index;
    p->refs = 1;
    pthread_mutex_lock(&m->lock);
    if (!m->started) m->started = taper__memory_start_arenas(&m->small, &m->large, index);
    bool good = m->started && taper__memory_start_arenas(&p->small, &p->large, index);
    if (good) {
        p->small.pool = p->large.pool = p;
        p->small.peers = p->large.peers = m->large.peers;
        p->next = m->pools;
        m->pools = p;
    }
    pthread_mutex_unlock(&m->lock);
    if (!good) {
        taper__free(p);
        return TAPER_FAIL(TAPER_MEMORY, "CUDAGraph: no address range for the graph's memory");
    }
    *out = p;
    return TAPER_OK;
}

taper_cuda_pool *taper__cuda_pool_retain(taper_cuda_pool *p) {
    pthread_mutex_lock(&taper__gpu_memory[p->index].lock);
    p->refs++;
    pthread_mutex_unlock(&taper__gpu_memory[p->index].lock);
    return p;
}

void taper__pool_collect(taper_gpu_memory *m, taper_cuda_pool *p) {
    if (p->refs || p->live || p->capturing) return;
    taper_cuda_pool **at = &m->pools;
    while (*at != p) at = &(*at)->next;
    *at = p->next;
    int index = p->index;
    if (!taper__cuda_enter(&index)) taper__cu.context_synchronize(); /* the last replay may still run */
    m->reserved -= p->small.mapped + p->large.mapped;
    taper__arena_end(&p->small);
    taper__arena_end(&p->large);
    taper__free(p);
}

void taper__cuda_pool_release(taper_cuda_pool *p) {
    if (!p) return;
    taper_gpu_memory *m = &taper__gpu_memory[p->index];
    pthread_mutex_lock(&m->lock);
    p->refs--;
    taper__pool_collect(m, p);
    pthread_mutex_unlock(&m->lock);
}

void taper__cuda_pool_capture_begins(taper_cuda_pool *p, taper_cuda_stream *s) {
    pthread_mutex_lock(&taper__gpu_memory[p->index].lock);
    p->capturing = true;
    atomic_store(&s->pool, p);
    pthread_mutex_unlock(&taper__gpu_memory[p->index].lock);
}

struct taper_captured_random *taper__cuda_pool_capture_ended(taper_cuda_pool *p) {
    taper_gpu_memory *m = &taper__gpu_memory[p->index];
    taper__cuda_streams_leave_pool(p->index, p);
    pthread_mutex_lock(&m->lock);
    p->capturing = false;
    /* Within the graph the work on these blocks is over; a later capture in this pool comes after it. */
    for (taper_block *b = p->deferred, *next; b; b = next) {
        next = b->next;
        taper__memory_give(b);
    }
    p->deferred = NULL;
    struct taper_captured_random *random = p->random;
    p->random = NULL;
    pthread_mutex_unlock(&m->lock);
    return random;
}
