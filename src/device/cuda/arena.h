/* One address range of GPU memory, cut into blocks. With virtual memory the range is reserved whole and physical chunks
 * are mapped where they are needed; without it every chunk is a range of its own. No locks: memory.c holds one per GPU.
 */
#ifndef TAPER_DEVICE_CUDA_ARENA_H
#define TAPER_DEVICE_CUDA_ARENA_H

#include "device/cuda/gpu.h"

enum {
    TAPER_ARENA_BINS = 256,  /* free blocks by size: eight bins per doubling of the unit */
    TAPER_ARENA_QUICK = 128, /* small freed blocks kept whole: class i holds i + 1 units */
    TAPER_ARENA_UNIT = 512,  /* bytes */
};
#define TAPER_ARENA_PAGE ((size_t)2 << 20) /* granularity of mapping; the driver's own is this or divides it */

typedef enum taper_block_state {
    TAPER_BLOCK_HOLE,  /* addresses without memory */
    TAPER_BLOCK_FREE,  /* in a bin */
    TAPER_BLOCK_QUICK, /* in a quick list */
    TAPER_BLOCK_USED,
    TAPER_BLOCK_PENDING, /* freed, but other streams are not done with it */
} taper_block_state;

typedef struct taper_block {
    uint64_t p;
    size_t size, asked;
    struct taper_block *before, *after;  /* neighbours by address */
    struct taper_block *next, *previous; /* in a bin, a quick list or the list of holes */
    struct taper_arena *arena;
    const char *tag;
    uint64_t used_by; /* streams, beside its own, that work with it */
    int marks;        /* PENDING: events still to come */
    uint8_t state, stream;
} taper_block;

typedef struct taper_bins {
    taper_block *bin[TAPER_ARENA_BINS], *quick[TAPER_ARENA_QUICK];
    uint64_t map[TAPER_ARENA_BINS / 64];
} taper_bins;

typedef struct taper_chunk {
    uint64_t p;
    size_t size;
    unsigned long long handle;
} taper_chunk;

typedef struct taper_arena {
    int index;
    bool virtual_memory;
    size_t unit; /* block sizes are multiples of it */
    size_t step; /* least bytes to take from the driver at once */
    uint64_t base;
    size_t span;
    size_t mapped, quick_bytes;
    taper_block *holes;
    taper_bins *bins[TAPER_MAX_STREAMS];
    taper_chunk *chunks; /* by address */
    int chunk_count, chunk_room;
    uint32_t peers;        /* GPUs that may address the memory */
    taper_cuda_pool *pool; /* NULL: the GPU's common memory */
} taper_arena;

/* false: the driver has no address range or the host no memory. */
bool taper__arena_start(taper_arena *a, int index, bool virtual_memory, size_t unit, size_t step, size_t span);
void taper__arena_end(taper_arena *a); /* no block may be in use */

/* A block of at least `size` bytes (a multiple of the unit) that stream has free, cut to size; NULL: none. State USED.
 */
taper_block *taper__arena_take(taper_arena *a, int stream, size_t size);
/* Takes at least `size` bytes more from the driver and makes them stream's: at most `room` of them. The driver's
 * answer. */
taper_cu_result taper__arena_grow(taper_arena *a, int stream, size_t size, size_t room);
/* Gives a block back to its stream. quick: keep it whole for the next request of the size. Returns what it became. */
void taper__arena_give(taper_block *b, bool quick);
/* Merges what quick lists hold. */
void taper__arena_flush_quick(taper_arena *a);
/* All free blocks become stream's; all streams must be idle. */
void taper__arena_adopt(taper_arena *a, int stream);
/* Gives chunks that no block touches back to the driver; bytes given. Streams must be idle. */
size_t taper__arena_trim(taper_arena *a);
taper_cu_result taper__arena_share(taper_arena *a, int peer);
size_t taper__arena_largest_free(const taper_arena *a);

/* ---- blocks that were handed out, by address: one table per GPU ---- */
taper_block *taper__block_find(int index, uint64_t p);
bool taper__block_add(taper_block *b);
void taper__block_remove(taper_block *b);
void taper__block_each(int index, void (*fn)(taper_block *b, void *ctx), void *ctx);

#endif
