/* Generators: life, seeds and saved states. What they fill is in random_fill.c and random_int.c. */
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "base/base.h"
#include "tensor/random_fill.h"

/* torch.get_rng_state(): the struct PyTorch copies out, little endian, with the padding of x86-64. */
typedef struct random_state {
    uint64_t seed;
    int32_t left, seeded;
    uint64_t next;
    uint64_t state[TAPER_MT_N]; /* 32-bit words, widened */
    double unused_x, normal, unused_rho;
    int32_t has_normal, padding_a;
    float normal_f32;
    uint8_t has_normal_f32, padding_b[3];
} random_state;
_Static_assert(sizeof(random_state) == TAPER_GENERATOR_STATE_BYTES, "state layout of PyTorch");

static taper_generator random_default;
static pthread_once_t random_default_once = PTHREAD_ONCE_INIT;

static void random_seed(taper_generator *g, uint64_t seed) {
    taper__mt_seed(&g->engine, seed);
    g->has_normal = g->has_normal_f32 = false;
}

static void random_default_init(void) {
    atomic_init(&random_default.refs, 1);
    pthread_mutex_init(&random_default.mutex, NULL);
    random_seed(&random_default, TAPER_DEFAULT_SEED);
}

taper_generator *taper_generator_default(void) {
    pthread_once(&random_default_once, random_default_init);
    return &random_default;
}

taper_generator *taper__generator_lock(taper_generator *g) {
    if (!g) g = taper_generator_default();
    pthread_mutex_lock(&g->mutex);
    return g;
}

void taper__generator_unlock(taper_generator *g) { pthread_mutex_unlock(&g->mutex); }

taper_status taper_generator_new(taper_generator **out, uint64_t seed) {
    taper_error_clear();
    taper_generator *g = taper__alloc_zero(sizeof *g);
    if (!g) return TAPER_FAIL(TAPER_MEMORY, "generator: no memory for %zu bytes of state", sizeof *g);
    atomic_init(&g->refs, 1);
    pthread_mutex_init(&g->mutex, NULL);
    random_seed(g, seed);
    *out = g;
    return TAPER_OK;
}

taper_status taper_generator_new_on(taper_generator **out, uint64_t seed, taper_device device) {
    if (device.type == TAPER_CPU) return taper_generator_new(out, seed);
    taper_error_clear();
    if (device.type != TAPER_CUDA) return TAPER_FAIL(TAPER_RUNTIME, "Device type META is not supported for torch.Generator() api.");
    const char *why = NULL;
    int count = taper_cuda_device_count(&why);
    if (!count) return TAPER_FAIL(TAPER_DEVICE, "Generator: %s", why);
    if (device.index >= count) return TAPER_FAIL(TAPER_RUNTIME, "Generator: device index %d, but there are %d GPUs", device.index, count);
    taper_generator *g = taper__alloc_zero(sizeof *g);
    if (!g) return TAPER_FAIL(TAPER_MEMORY, "generator: no memory for %zu bytes of state", sizeof *g);
    taper_status st = taper__cuda_random_new(&g->gpu, device.index, seed);
    if (st) {
        taper__free(g);
        return st;
    }
    atomic_init(&g->refs, 1);
    *out = g;
    return TAPER_OK;
}

taper_status taper_generator_cuda_default(taper_generator **out, int index) {
    taper_error_clear();
    taper_generator *g = taper__alloc_zero(sizeof *g);
    if (!g) return TAPER_FAIL(TAPER_MEMORY, "generator: no memory for %zu bytes of state", sizeof *g);
    taper_status st = taper__cuda_random_default(&g->gpu, index);
    if (st) {
        taper__free(g);
        return st;
    }
    atomic_init(&g->refs, 1);
    *out = g;
    return TAPER_OK;
}

taper_device taper_generator_device(const taper_generator *g) { return g && g->gpu ? taper_cuda(taper__cuda_random_index(g->gpu)) : taper_cpu(); }

taper_status taper__generator_check(const taper_generator *g, taper_device device) {
    static const char *const names[] = {"cpu", "cuda", "meta"};
    taper_device own = taper_generator_device(g);
    if (!g || taper_device_equal(own, device)) return TAPER_OK;
    if (own.type != device.type)
        return TAPER_FAIL(TAPER_RUNTIME, "Expected a '%s' device type for generator but found '%s'", names[device.type], names[own.type]);
    return TAPER_FAIL(TAPER_RUNTIME, "Expected a 'cuda:%d' generator device but found 'cuda:%d'", device.index, own.index);
}

taper_generator *taper_generator_retain(taper_generator *g) {
    if (g) atomic_fetch_add_explicit(&g->refs, 1, memory_order_relaxed);
    return g;
}

void taper_generator_release(taper_generator *g) {
    if (!g || g == &random_default) return;
    if (atomic_fetch_sub_explicit(&g->refs, 1, memory_order_acq_rel) != 1) return;
    if (g->gpu) taper__cuda_random_release(g->gpu);
    else pthread_mutex_destroy(&g->mutex);
    taper__free(g);
}

void taper_generator_seed(taper_generator *g, uint64_t seed) {
    if (g && g->gpu) {
        (void)taper__cuda_random_set(g->gpu, seed, 0);
        return;
    }
    g = taper__generator_lock(g);
    random_seed(g, seed);
    taper__generator_unlock(g);
}

uint64_t taper_generator_seed_fresh(taper_generator *g) {
    uint64_t seed;
    if (getrandom(&seed, sizeof seed, 0) != (ssize_t)sizeof seed) { /* no such call in old kernels and some sandboxes */
        struct timespec now;
        clock_gettime(CLOCK_REALTIME, &now);
        seed = (uint64_t)now.tv_sec * 1000000007u + (uint64_t)now.tv_nsec + (uintptr_t)&seed;
    }
    seed &= (UINT64_C(1) << 53) - 1; /* survives a trip through a double */
    taper_generator_seed(g, seed);
    return seed;
}

uint64_t taper_generator_initial_seed(taper_generator *g) {
    if (g && g->gpu) {
        uint64_t words[2];
        taper__cuda_random_get(g->gpu, &words[0], &words[1]);
        return words[0];
    }
    g = taper__generator_lock(g);
    uint64_t seed = g->engine.seed;
    taper__generator_unlock(g);
    return seed;
}

void taper_manual_seed(uint64_t seed) { taper_generator_seed(NULL, seed); }

/* A counter gives four numbers. */
taper_status taper_generator_get_offset(taper_generator *g, uint64_t *offset) {
    uint64_t seed;
    taper_error_clear();
    if (!g || !g->gpu) return TAPER_FAIL(TAPER_RUNTIME, "CPU Generator does not use offset");
    taper__cuda_random_get(g->gpu, &seed, offset);
    *offset *= 4;
    return TAPER_OK;
}

taper_status taper_generator_set_offset(taper_generator *g, uint64_t offset) {
    uint64_t seed, was;
    taper_error_clear();
    if (!g || !g->gpu) return TAPER_FAIL(TAPER_RUNTIME, "CPU Generator does not use offset");
    if (offset % 4) return TAPER_FAIL(TAPER_RUNTIME, "offset must be a multiple of 4, got %llu", (unsigned long long)offset);
    taper__cuda_random_get(g->gpu, &seed, &was);
    return taper__cuda_random_set(g->gpu, seed, offset / 4);
}

size_t taper_generator_state_bytes(const taper_generator *g) {
    return g && g->gpu ? TAPER_GENERATOR_CUDA_STATE_BYTES : TAPER_GENERATOR_STATE_BYTES;
}

/* Seed and offset as torch stores them. */
static taper_status random_gpu_state(taper_generator *g, uint64_t words[2], size_t bytes, bool set) {
    if (bytes != TAPER_GENERATOR_CUDA_STATE_BYTES)
        return TAPER_FAIL(TAPER_VALUE, "RNG state is wrong size: got %zu bytes, a generator of a GPU has %d", bytes, TAPER_GENERATOR_CUDA_STATE_BYTES);
    if (set) {
        if (words[1] % 4) return TAPER_FAIL(TAPER_VALUE, "offset must be a multiple of 4, got %llu", (unsigned long long)words[1]);
        return taper__cuda_random_set(g->gpu, words[0], words[1] / 4);
    }
    taper__cuda_random_get(g->gpu, &words[0], &words[1]);
    words[1] *= 4;
    return TAPER_OK;
}

taper_status taper_generator_get_state(taper_generator *g, void *state, size_t bytes) {
    taper_error_clear();
    if (g && g->gpu) {
        uint64_t words[2] = {0};
        TAPER_TRY(random_gpu_state(g, words, bytes, false));
        memcpy(state, words, sizeof words);
        return TAPER_OK;
    }
    if (bytes != sizeof(random_state))
        return TAPER_FAIL(TAPER_VALUE, "generator get_state: got a buffer of %zu bytes, need %zu", bytes,
                          sizeof(random_state));
    random_state s;
    memset(&s, 0, sizeof s);
    g = taper__generator_lock(g);
    s.seed = g->engine.seed;
    s.left = g->engine.left;
    s.seeded = 1;
    s.next = g->engine.next;
    for (int i = 0; i < TAPER_MT_N; i++) s.state[i] = g->engine.state[i];
    s.has_normal = g->has_normal;
    s.normal = g->has_normal ? g->normal : 0;
    s.has_normal_f32 = g->has_normal_f32;
    s.normal_f32 = g->has_normal_f32 ? g->normal_f32 : 0;
    taper__generator_unlock(g);
    memcpy(state, &s, sizeof s);
    return TAPER_OK;
}

taper_status taper_generator_set_state(taper_generator *g, const void *state, size_t bytes) {
    taper_error_clear();
    if (g && g->gpu) {
        uint64_t words[2] = {0};
        if (bytes == sizeof words) memcpy(words, state, sizeof words);
        return random_gpu_state(g, words, bytes, true);
    }
    random_state s;
    if (bytes != sizeof s)
        return TAPER_FAIL(TAPER_VALUE, "generator set_state: got a state of %zu bytes, need %zu", bytes, sizeof s);
    memcpy(&s, state, sizeof s);
    /* Words must not run past the end of the array. */
    if (!s.seeded || s.left < 1 || s.left > TAPER_MT_N || s.next > TAPER_MT_N ||
        (uint64_t)s.left - 1 + s.next > TAPER_MT_N)
        return TAPER_FAIL(TAPER_VALUE,
                          "generator set_state: Invalid mt19937 state, got left %d and next %llu of %d words",
                          (int)s.left, (unsigned long long)s.next, (int)TAPER_MT_N);
    g = taper__generator_lock(g);
    g->engine.seed = s.seed;
    g->engine.left = s.left;
    g->engine.next = (uint32_t)s.next;
    for (int i = 0; i < TAPER_MT_N; i++) g->engine.state[i] = (uint32_t)s.state[i];
    g->has_normal = s.has_normal != 0;
    g->normal = s.normal;
    g->has_normal_f32 = s.has_normal_f32 != 0;
    g->normal_f32 = s.normal_f32;
    taper__generator_unlock(g);
    return TAPER_OK;
}
