/* The GPU's random number state: a seed and a count, by default one of each GPU. */
#include "device/cuda/random.h"

#include "device/cuda/memory.h"

struct taper_cuda_random {
    int refs; /* 0: a default one, which stays */
    int index;
    bool seeded; /* a default one that was not used since the last taper_cuda_manual_seed has that seed */
    uint64_t seed, offset;
};

/* torch's default seed, so that unseeded runs repeat. */
static taper_cuda_random random_default[TAPER_MAX_GPUS];
static uint64_t random_seed = UINT64_C(67280421310721);
static pthread_mutex_t random_lock = PTHREAD_MUTEX_INITIALIZER;

void taper_cuda_manual_seed(uint64_t seed) {
    pthread_mutex_lock(&random_lock);
    random_seed = seed;
    for (int i = 0; i < TAPER_MAX_GPUS; i++) random_default[i].seeded = false;
    pthread_mutex_unlock(&random_lock);
}

taper_status taper__cuda_random_new(taper_cuda_random **out, int index, uint64_t seed) {
    if (index < 0) index = taper__cuda_thread.device;
    taper_cuda_random *r = taper__alloc_zero(sizeof *r);
    if (!r) return TAPER_FAIL(TAPER_MEMORY, "generator: no memory for %zu bytes of state", sizeof *r);
    *r = (taper_cuda_random){.refs = 1, .index = index, .seeded = true, .seed = seed};
    *out = r;
    return TAPER_OK;
}

taper_status taper__cuda_random_default(taper_cuda_random **out, int index) {
    if (index < 0) index = taper__cuda_thread.device;
    if (index >= TAPER_MAX_GPUS) return TAPER_FAIL(TAPER_RUNTIME, "Invalid device id: %d", index);
    pthread_mutex_lock(&random_lock);
    random_default[index].index = index;
    pthread_mutex_unlock(&random_lock);
    *out = &random_default[index];
    return TAPER_OK;
}

taper_cuda_random *taper__cuda_random_retain(taper_cuda_random *r) {
    pthread_mutex_lock(&random_lock);
    if (r->refs) r->refs++;
    pthread_mutex_unlock(&random_lock);
    return r;
}

void taper__cuda_random_release(taper_cuda_random *r) {
    if (!r) return;
    pthread_mutex_lock(&random_lock);
    bool last = r->refs && !--r->refs;
    pthread_mutex_unlock(&random_lock);
    if (last) taper__free(r);
}

int taper__cuda_random_index(const taper_cuda_random *r) { return r->index; }

void taper__cuda_random_advance(taper_cuda_random *r, uint64_t n, uint64_t *seed, uint64_t *offset) {
    pthread_mutex_lock(&random_lock);
    if (!r->seeded) {
        r->seed = random_seed;
        r->offset = 0;
        r->seeded = true;
    }
    *seed = r->seed;
    *offset = r->offset;
    r->offset += n;
    pthread_mutex_unlock(&random_lock);
}

/* The count of the capture that this thread's stream is in; NULL: none, or it has not drawn from r. */
static uint64_t *random_captured(const taper_cuda_random *r) {
    taper_cuda_stream *s = taper__cuda_thread.stream[r->index];
    if (!s) s = taper__gpus[r->index].default_stream;
    taper_cuda_pool *pool = s ? atomic_load(&s->pool) : NULL;
    return pool ? taper__captured_random_used(pool->random, r) : NULL;
}

void taper__cuda_random_get(taper_cuda_random *r, uint64_t *seed, uint64_t *offset) {
    const uint64_t *used = random_captured(r);
    taper__cuda_random_advance(r, 0, seed, offset);
    if (used) *offset += *used;
}

taper_status taper__cuda_random_set(taper_cuda_random *r, uint64_t seed, uint64_t offset) {
    uint64_t *used = random_captured(r);
    if (used) {
        uint64_t now[2];
        taper__cuda_random_advance(r, 0, &now[0], &now[1]);
        if (seed != now[0] || offset < now[1] || offset - now[1] > *used)
            return TAPER_FAIL(TAPER_RUNTIME, "random state of cuda:%d: while a graph is captured only a state that was read in the capture can be set", r->index);
        *used = offset - now[1];
        return TAPER_OK;
    }
    pthread_mutex_lock(&random_lock);
    r->seed = seed;
    r->offset = offset;
    r->seeded = true;
    pthread_mutex_unlock(&random_lock);
    return TAPER_OK;
}

taper_status taper__cuda_random_take(taper_cuda_random *r, uint64_t n, uint64_t *seed, uint64_t *offset) {
    int index = r->index;
    TAPER_TRY(taper__cuda_enter(&index));
    taper_cuda_pool *pool = atomic_load(&taper__cuda_current(index)->pool);
    if (TAPER_UNLIKELY(pool)) return taper__captured_random_take(&pool->random, r, index, n, seed, offset);
    taper__cuda_random_advance(r, n, seed, offset);
    return TAPER_OK;
}

taper_status taper__cuda_reserve_random(int index, uint64_t n, uint64_t *seed, uint64_t *offset) {
    taper_cuda_random *r = NULL;
    TAPER_TRY(taper__cuda_random_default(&r, index));
    return taper__cuda_random_take(r, n, seed, offset);
}

taper_status taper_cuda_get_random_state(uint64_t *seed, uint64_t *offset, int index) {
    taper_cuda_random *r = NULL;
    TAPER_TRY(taper__cuda_random_default(&r, index));
    taper__cuda_random_get(r, seed, offset);
    return TAPER_OK;
}

taper_status taper_cuda_set_random_state(uint64_t seed, uint64_t offset, int index) {
    taper_cuda_random *r = NULL;
    TAPER_TRY(taper__cuda_random_default(&r, index));
    return taper__cuda_random_set(r, seed, offset);
}
