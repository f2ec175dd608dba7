/* The caching allocator of one GPU, as memory.c (blocks in and out), pool.c (memory of graphs) and memory_report.c (who
 * holds what) see it. Everything is under `lock`. */
#ifndef TAPER_DEVICE_CUDA_MEMORY_H
#define TAPER_DEVICE_CUDA_MEMORY_H

#include "device/cuda/arena.h"

/* Small requests live apart, so that a scalar does not keep a large range from merging. */
#define TAPER_CUDA_SMALL ((size_t)1 << 20)

typedef struct taper_pending {
    taper_cu_object event;
    taper_block *block;
} taper_pending;

typedef struct taper_gpu_memory {
    pthread_mutex_t lock;
    bool started;
    taper_arena small, large;
    taper_cuda_pool *pools;
    taper_pending *pending; /* freed blocks that other streams still use */
    int pending_count, pending_room;
    size_t allocated, peak_allocated, reserved, peak_reserved, limit;
    int64_t live, total, failures;
} taper_gpu_memory;
extern taper_gpu_memory taper__gpu_memory[TAPER_MAX_GPUS];

struct taper_cuda_pool {
    int refs; /* graphs, and one for all live blocks together */
    int index;
    int64_t live;
    bool capturing;
    struct taper_captured_random *random; /* what the capture under way drew from */
    taper_arena small, large;
    taper_block *deferred; /* freed during the capture with other streams' work on them */
    taper_cuda_pool *next;
};

/* Starts both arenas; false: out of memory. Under the lock. */
bool taper__memory_start_arenas(taper_arena *small, taper_arena *large, int index);
void taper__memory_give(taper_block *b);
/* A pool without graphs and without live blocks goes. Under the lock. */
void taper__pool_collect(taper_gpu_memory *m, taper_cuda_pool *p);

/* Text "1.50 GiB", by value. */
typedef struct taper_bytes_text {
    char s[32];
} taper_bytes_text;
taper_bytes_text taper__bytes_text(size_t bytes);
/* Rows "tag  blocks  bytes", biggest first. Under the lock. */
void taper__memory_rows(char *text, size_t size, int rows, int index);
/* The message of a failed request. Under the lock. */
void taper__memory_failure(char *text, size_t size, size_t bytes, const char *tag, int index);

#endif
