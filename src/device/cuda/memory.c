/* The caching allocator of GPU memory: requests, frees in stream order, and what is tried before giving up. */
#include <stdlib.h>
#include <string.h>

#include "device/cuda/memory.h"

TAPER_KNOB(knob_vmm, "TAPER_CUDA_VIRTUAL_MEMORY", "1",
           "0: take GPU memory with plain allocations, not mapped address ranges");

enum {
    MEMORY_SMALL_STEP = 2 << 20,
    MEMORY_LARGE_STEP = 32 << 20,
    MEMORY_LARGE_UNIT = 64 << 10,
    MEMORY_QUICK_MOST = 8 << 20
};

#define MEMORY_LOCK_4                                                                                                  \
    {.lock = PTHREAD_MUTEX_INITIALIZER}, {.lock = PTHREAD_MUTEX_INITIALIZER}, {.lock = PTHREAD_MUTEX_INITIALIZER}, {   \
        .lock = PTHREAD_MUTEX_INITIALIZER                                                                              \
    }
taper_gpu_memory taper__gpu_memory[TAPER_MAX_GPUS] = {MEMORY_LOCK_4, MEMORY_LOCK_4, MEMORY_LOCK_4, MEMORY_LOCK_4};

bool taper__memory_start_arenas(taper_arena *small, taper_arena *large, int index) {
    const taper_gpu *g = &taper__gpus[index];
    bool vmm = g->has_virtual_memory && taper__knob_bool(&knob_vmm);
    /* Addresses cost nothing; with four times the memory, holes left by trimming never matter. */
    return taper__arena_start(small, index, vmm, TAPER_ARENA_UNIT, MEMORY_SMALL_STEP, g->total_memory) &&
           taper__arena_start(large, index, vmm, MEMORY_LARGE_UNIT, MEMORY_LARGE_STEP, 4 * g->total_memory);
}

void taper__memory_give(taper_block *b) {
    taper_cuda_pool *p = b->arena->pool;
    taper__arena_give(b, b->arena->unit == TAPER_ARENA_UNIT);
    if (p && !--p->live) taper__pool_collect(&taper__gpu_memory[p->index], p);
}

/* Blocks whose other streams are done go back. wait: all streams are idle, so all are. */
static void memory_collect(taper_gpu_memory *m, int index, bool wait) {
    int kept = 0;
    for (int i = 0; i < m->pending_count; i++) {
        taper_pending p = m->pending[i];
        if (!wait && taper__cu.event_query(p.event) == TAPER_CU_NOT_READY) {
            m->pending[kept++] = p;
            continue;
        }
        taper__cuda_mark_done(p.event, index);
        if (!--p.block->marks) taper__memory_give(p.block);
    }
    m->pending_count = kept;
}

static void memory_reserved(taper_gpu_memory *m, size_t before, size_t after) {
    m->reserved += after - before;
    if (m->reserved > m->peak_reserved) m->peak_reserved = m->reserved;
}

static size_t memory_trim(taper_gpu_memory *m, taper_arena *a) {
    size_t before = a->mapped;
    taper__arena_adopt(a, 0); /* a chunk that streams share can go only as one free block */
    size_t given = taper__arena_trim(a);
    memory_reserved(m, before, a->mapped);
    return given;
}

static taper_block *memory_grow(taper_gpu_memory *m, taper_arena *a, int stream, size_t size, taper_cu_result *r) {
    size_t before = a->mapped;
    size_t room = !m->limit ? SIZE_MAX : m->limit > m->reserved ? m->limit - m->reserved : 0;
    *r = taper__arena_grow(a, stream, size, room);
    memory_reserved(m, before, a->mapped);
    return *r ? NULL : taper__arena_take(a, stream, size);
}

/* What to try when the stream has no free block, from cheap to dear. */
static taper_block *memory_find(taper_gpu_memory *m, taper_arena *a, taper_cuda_stream *s, size_t size,
                                taper_cu_result *r) {
    bool capturing = atomic_load(&s->pool) != NULL;
    taper_block *b;
    *r = 0;
    if (m->pending_count && !capturing) {
        memory_collect(m, s->index, false);
        if ((b = taper__arena_take(a, s->id, size))) return b;
    }
    if (a->quick_bytes > MEMORY_QUICK_MOST) {
        taper__arena_flush_quick(a);
        if ((b = taper__arena_take(a, s->id, size))) return b;
    }
    if ((b = memory_grow(m, a, s->id, size, r)) || *r != TAPER_CU_OUT_OF_MEMORY) return b;
    taper__arena_flush_quick(a);
    if ((b = taper__arena_take(a, s->id, size))) return b;
    if (capturing) return NULL; /* waiting would break the capture */
    *r = taper__cu.context_synchronize();
    if (*r) return NULL;
    memory_collect(m, s->index, true);
    taper__arena_adopt(a, s->id);
    if ((b = taper__arena_take(a, s->id, size))) return b;
    size_t given = memory_trim(m, &m->large) + memory_trim(m, &m->small);
    taper__arena_adopt(a, s->id); /* what trimming could not give back */
    taper__log("memory", "cuda:%d: %zu bytes short, %zu cached bytes given back", s->index, size, given);
    return memory_grow(m, a, s->id, size, r);
}

taper_status taper__cuda_memory_alloc(void **out, size_t bytes, int index, const char *tag) {
    if (TAPER_UNLIKELY(taper__alloc_would_fail()))
        return TAPER_FAIL(TAPER_MEMORY, "CUDA out of memory. Tried to allocate %s for %s (a test's fault).",
                          taper__bytes_text(bytes).s, tag);
    TAPER_TRY(taper__cuda_enter(&index));
    taper_gpu_memory *m = &taper__gpu_memory[index];
    taper_cuda_stream *s = taper__cuda_current(index);
    taper_cu_result r = 0;
    taper_block *b = NULL;
    pthread_mutex_lock(&m->lock);
    if (TAPER_UNLIKELY(!m->started)) m->started = taper__memory_start_arenas(&m->small, &m->large, index);
    taper_cuda_pool *pool = atomic_load_explicit(&s->pool, memory_order_relaxed);
    bool small = bytes <= TAPER_CUDA_SMALL;
    taper_arena *a = pool ? (small ? &pool->small : &pool->large) : small ? &m->small : &m->large;
    size_t size = bytes ? (bytes + a->unit - 1) / a->unit * a->unit : a->unit;
    if (TAPER_LIKELY(m->started && bytes < SIZE_MAX / 4)) {
        b = taper__arena_take(a, s->id, size);
        if (TAPER_UNLIKELY(!b)) b = memory_find(m, a, s, size, &r);
    }
    if (TAPER_UNLIKELY(!b)) {
        char text[3072];
        m->failures++;
        if (!r || r == TAPER_CU_OUT_OF_MEMORY) taper__memory_failure(text, sizeof text, bytes, tag, index);
        pthread_mutex_unlock(&m->lock);
        return !r || r == TAPER_CU_OUT_OF_MEMORY ? TAPER_FAIL(TAPER_MEMORY, "%s", text)
                                                 : taper__cu_fail(r, "cuMemCreate", tag);
    }
    b->tag = tag;
    b->asked = bytes;
    if (pool) pool->live++;
    m->live++;
    m->total++;
    m->allocated += b->size;
    if (m->allocated > m->peak_allocated) m->peak_allocated = m->allocated;
    pthread_mutex_unlock(&m->lock);
    taper__alloc_count(1);
    *out = (void *)(uintptr_t)b->p;
    return TAPER_OK;
}

/* One event on each stream that works with b; false: out of host memory or the GPU is lost. */
static bool memory_mark(taper_gpu_memory *m, taper_block *b, int index) {
    int need = __builtin_popcountll(b->used_by);
    if (taper__cuda_enter(&index)) return false;
    if (m->pending_count + need > m->pending_room) {
        int room = m->pending_room * 2 + 64;
        taper_pending *grown = realloc(m->pending, (size_t)room * sizeof *grown);
        if (!grown) return false;
        m->pending = grown;
        m->pending_room = room;
    }
    b->marks = 0;
    for (uint64_t set = b->used_by; set; set &= set - 1) {
        taper_cu_object event;
        if (taper__cuda_mark(&event, index, taper__cuda_stream_by_id(index, __builtin_ctzll(set)))) continue;
        m->pending[m->pending_count++] = (taper_pending){event, b};
        b->marks++;
    }
    return b->marks > 0;
}

/* The capture that b takes part in, or NULL: its streams cannot be asked before it ends. */
static taper_cuda_pool *memory_capturing(taper_block *b, int index) {
    if (b->arena->pool && b->arena->pool->capturing) return b->arena->pool;
    for (uint64_t set = b->used_by; set; set &= set - 1) {
        taper_cuda_pool *pool = atomic_load(&taper__cuda_stream_by_id(index, __builtin_ctzll(set))->pool);
        if (pool) return pool;
    }
    return NULL;
}

void taper__cuda_memory_free(void *p, size_t bytes, int index) {
    (void)bytes;
    if (!p || index < 0 || taper__cuda_forked) return; /* the child of a fork only forgets */
    taper_gpu_memory *m = &taper__gpu_memory[index];
    pthread_mutex_lock(&m->lock);
    taper_block *b = taper__block_find(index, (uint64_t)(uintptr_t)p);
    if (TAPER_UNLIKELY(!b || b->state != TAPER_BLOCK_USED)) {
        pthread_mutex_unlock(&m->lock);
        taper__log("memory", "cuda:%d: %p was freed twice or is not a block", index, p);
        return;
    }
    m->live--;
    m->allocated -= b->size;
    taper_cuda_pool *pool = TAPER_UNLIKELY(b->used_by) ? memory_capturing(b, index) : NULL;
    if (TAPER_LIKELY(!b->used_by)) {
        taper__memory_give(b);
    } else if (pool) {
        b->state = TAPER_BLOCK_PENDING;
        b->next = pool->deferred;
        pool->deferred = b;
    } else {
        b->state = TAPER_BLOCK_PENDING;
        if (!memory_mark(m, b, index)) {
            taper__cu.context_synchronize();
            taper__memory_give(b);
        }
    }
    pthread_mutex_unlock(&m->lock);
    taper__alloc_count(-1);
}

typedef struct memory_search {
    uint64_t p;
    taper_block *found;
} memory_search;

static void memory_holds(taper_block *b, void *ctx) {
    memory_search *s = ctx;
    if (b->state == TAPER_BLOCK_USED && b->p <= s->p && s->p < b->p + b->size) s->found = b;
}

taper_status taper_cuda_memory_record_stream(const void *p, taper_cuda_stream *s) {
    taper_gpu_memory *m = &taper__gpu_memory[s->index];
    memory_search search = {.p = (uint64_t)(uintptr_t)p};
    pthread_mutex_lock(&m->lock);
    search.found = taper__block_find(s->index, search.p);
    if (!search.found) taper__block_each(s->index, memory_holds, &search);
    if (search.found && search.found->stream != s->id) search.found->used_by |= UINT64_C(1) << s->id;
    pthread_mutex_unlock(&m->lock);
    return TAPER_OK; /* memory of another maker has its own rules */
}

taper_status taper__cuda_memory_share(int index, int peer) {
    taper_gpu_memory *m = &taper__gpu_memory[index];
    pthread_mutex_lock(&m->lock);
    taper_cu_result r = 0;
    if (m->started) {
        r = taper__arena_share(&m->small, peer);
        if (!r) r = taper__arena_share(&m->large, peer);
        for (taper_cuda_pool *p = m->pools; p && !r; p = p->next) {
            r = taper__arena_share(&p->small, peer);
            if (!r) r = taper__arena_share(&p->large, peer);
        }
    }
    pthread_mutex_unlock(&m->lock);
    return taper__cu_check(r, "cuMemSetAccess", "copy between GPUs");
}

/* ---- statistics ---- */

static taper_status memory_index(int *index) {
    const char *why;
    int count = taper__driver_open(&why);
    if (!count) return TAPER_FAIL(TAPER_DEVICE, "%s", why);
    if (*index < 0) *index = taper__cuda_thread.device;
    if (*index >= count)
        return TAPER_FAIL(TAPER_RUNTIME, "Invalid device id: %d, this process sees %d GPUs", *index, count);
    return TAPER_OK;
}

taper_status taper__cuda_memory_stats(taper_memory_stats *out, int index) {
    TAPER_TRY(memory_index(&index));
    taper_gpu_memory *m = &taper__gpu_memory[index];
    pthread_mutex_lock(&m->lock);
    *out = (taper_memory_stats){m->allocated, m->peak_allocated, m->reserved, m->peak_reserved,
                                m->live,      m->total,          m->failures};
    pthread_mutex_unlock(&m->lock);
    return TAPER_OK;
}

taper_status taper__cuda_memory_reset_peak(int index) {
    TAPER_TRY(memory_index(&index));
    taper_gpu_memory *m = &taper__gpu_memory[index];
    pthread_mutex_lock(&m->lock);
    m->peak_allocated = m->allocated;
    m->peak_reserved = m->reserved;
    pthread_mutex_unlock(&m->lock);
    return TAPER_OK;
}

taper_status taper__cuda_memory_release_cached(int index) {
    TAPER_TRY(memory_index(&index));
    taper_gpu_memory *m = &taper__gpu_memory[index];
    if (!m->started) return TAPER_OK;
    TAPER_TRY(taper__cuda_enter(&index));
    pthread_mutex_lock(&m->lock);
    taper_cu_result r = taper__cu.context_synchronize(); /* memory must not go while a kernel may touch it */
    if (!r) {
        memory_collect(m, index, true);
        memory_trim(m, &m->large);
        memory_trim(m, &m->small);
    }
    pthread_mutex_unlock(&m->lock);
    return taper__cu_check(r, "cuCtxSynchronize", "release_cached");
}

taper_status taper_cuda_memory_set_limit(size_t bytes, int index) {
    TAPER_TRY(memory_index(&index));
    pthread_mutex_lock(&taper__gpu_memory[index].lock);
    taper__gpu_memory[index].limit = bytes;
    pthread_mutex_unlock(&taper__gpu_memory[index].lock);
    return TAPER_OK;
}

taper_status taper_cuda_memory_table(char *text, size_t size, int rows, int index) {
    TAPER_TRY(memory_index(&index));
    pthread_mutex_lock(&taper__gpu_memory[index].lock);
    taper__memory_rows(text, size, rows, index);
    pthread_mutex_unlock(&taper__gpu_memory[index].lock);
    return TAPER_OK;
}
