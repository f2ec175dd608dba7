/* The GPU's random number state: a seed and a count per GPU. Kernels make the numbers (Philox 4x32-10) from their own
 * index. */
#include "device/cuda/gpu.h"

/* torch's default seed, so that unseeded runs repeat. */
static struct {
    uint64_t seed, offset;
    bool seeded;
} random_state[TAPER_MAX_GPUS];
static uint64_t random_seed = UINT64_C(67280421310721);
static pthread_mutex_t random_lock = PTHREAD_MUTEX_INITIALIZER;

void taper_cuda_manual_seed(uint64_t seed) {
    pthread_mutex_lock(&random_lock);
    random_seed = seed;
    for (int i = 0; i < TAPER_MAX_GPUS; i++) random_state[i].seeded = false;
    pthread_mutex_unlock(&random_lock);
}

/* Under the lock. */
static void random_ready(int index) {
    if (random_state[index].seeded) return;
    random_state[index].seed = random_seed;
    random_state[index].offset = 0;
    random_state[index].seeded = true;
}

static taper_status random_index(int *index) {
    if (*index < 0) *index = taper__cuda_thread.device;
    if (*index >= TAPER_MAX_GPUS) return TAPER_FAIL(TAPER_RUNTIME, "Invalid device id: %d", *index);
    return TAPER_OK;
}

taper_status taper__cuda_reserve_random(int index, uint64_t n, uint64_t *seed, uint64_t *offset) {
    TAPER_TRY(taper__cuda_enter(&index));
    taper_cuda_pool *pool = atomic_load(&taper__cuda_current(index)->pool);
    if (TAPER_UNLIKELY(pool && !taper__cuda_pool_patches_random(pool)))
        return TAPER_FAIL(
            TAPER_RUNTIME,
            "random numbers on cuda:%d: a captured graph would give the same numbers at every replay; make "
            "them outside of the capture",
            index);
    pthread_mutex_lock(&random_lock);
    random_ready(index);
    *seed = random_state[index].seed;
    *offset = random_state[index].offset;
    random_state[index].offset += n;
    pthread_mutex_unlock(&random_lock);
    return TAPER_OK;
}

taper_status taper_cuda_get_random_state(uint64_t *seed, uint64_t *offset, int index) {
    TAPER_TRY(random_index(&index));
    pthread_mutex_lock(&random_lock);
    random_ready(index);
    *seed = random_state[index].seed;
    *offset = random_state[index].offset;
    pthread_mutex_unlock(&random_lock);
    return TAPER_OK;
}

taper_status taper_cuda_set_random_state(uint64_t seed, uint64_t offset, int index) {
    TAPER_TRY(random_index(&index));
    pthread_mutex_lock(&random_lock);
    random_state[index].seed = seed;
    random_state[index].offset = offset;
    random_state[index].seeded = true;
    pthread_mutex_unlock(&random_lock);
    return TAPER_OK;
}
