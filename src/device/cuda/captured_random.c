/* Random numbers of captured graphs: a list for each graph of the generators that its capture drew from. */
#include "device/cuda/captured_random.h"

#include "device/cuda/memory.h"
#include "device/cuda/random.h"

struct taper_captured_random {
    taper_captured_random *next;
    taper_cuda_random *random;
    uint64_t *words; /* of the GPU: seed and offset of the replay that runs */
    uint64_t used;   /* counters that were drawn up to now */
    uint64_t most;   /* and those that a replay takes */
};

static taper_cuda_kernel captured_random_words = TAPER_CUDA_KERNEL("captured_random", "captured_random_words");

taper_status taper__captured_random_take(taper_captured_random **list, taper_cuda_random *r, int index, uint64_t n, uint64_t *seed, uint64_t *offset) {
    taper_captured_random *c = *list;
    while (c && c->random != r) c = c->next;
    if (!c) {
        void *words = NULL;
        c = taper__alloc_zero(sizeof *c);
        if (!c) return TAPER_FAIL(TAPER_MEMORY, "CUDAGraph: out of memory");
        taper_status st = taper__cuda_memory_alloc(&words, 2 * sizeof *c->words, index, "CUDAGraph");
        if (st) {
            taper__free(c);
            return st;
        }
        c->words = words;
        c->random = taper__cuda_random_retain(r);
        c->next = *list;
        *list = c;
    }
    *seed = (uint64_t)(uintptr_t)c->words;
    *offset = TAPER_CAPTURED_RANDOM | c->used;
    c->used += n;
    if (c->used > c->most) c->most = c->used;
    return TAPER_OK;
}

uint64_t *taper__captured_random_used(taper_captured_random *list, const taper_cuda_random *r) {
    while (list && list->random != r) list = list->next;
    return list ? &list->used : NULL;
}

taper_status taper__captured_random_replay(const taper_captured_random *list, int index) {
    taper_cuda_geometry one = {.grid = {1, 1, 1}, .block = {1, 1, 1}};
    for (const taper_captured_random *c = list; c; c = c->next) {
        uint64_t seed, offset;
        const void *words = c->words;
        taper__cuda_random_advance(c->random, c->most, &seed, &offset);
        void *args[] = {&words, &seed, &offset};
        TAPER_TRY(taper__cuda_launch(&captured_random_words, index, &one, args, "CUDAGraph"));
    }
    return TAPER_OK;
}

void taper__captured_random_end(taper_captured_random **list, int index) {
    for (taper_captured_random *c = *list, *next; c; c = next) {
        next = c->next;
        taper__cuda_memory_free(c->words, 2 * sizeof *c->words, index);
        taper__cuda_random_release(c->random);
        taper__free(c);
    }
    *list = NULL;
}
