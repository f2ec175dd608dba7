/* Blocks of one address range: best fit by binned free lists, splitting, merging, growing and shrinking. */
#include <stdlib.h>
#include <string.h>

#include "device/cuda/arena.h"

enum { ARENA_SCAN = 48 }; /* blocks looked at in one bin */

static taper_block *arena_spare; /* block records to reuse; see arena_lock */
static pthread_mutex_t arena_lock = PTHREAD_MUTEX_INITIALIZER;

static taper_block *arena_block_new(taper_arena *a, uint64_t p, size_t size, int state, int stream) {
    pthread_mutex_lock(&arena_lock); /* records are shared by all GPUs */
    if (!arena_spare) {
        enum { BATCH = 128 };
        taper_block *batch = calloc(BATCH, sizeof *batch);
        for (int i = 0; batch && i < BATCH; i++) {
            batch[i].next = arena_spare;
            arena_spare = &batch[i];
        }
    }
    taper_block *b = arena_spare;
    if (b) arena_spare = b->next;
    pthread_mutex_unlock(&arena_lock);
    if (b) *b = (taper_block){.p = p, .size = size, .arena = a, .state = (uint8_t)state, .stream = (uint8_t)stream};
    return b;
}

static void arena_block_end(taper_block *b) {
    pthread_mutex_lock(&arena_lock);
    b->next = arena_spare;
    arena_spare = b;
    pthread_mutex_unlock(&arena_lock);
}

/* ---- lists ---- */

static void arena_push(taper_block **head, taper_block *b) {
    b->previous = NULL;
    b->next = *head;
    if (b->next) b->next->previous = b;
    *head = b;
}

static void arena_pull(taper_block **head, taper_block *b) {
    *(b->previous ? &b->previous->next : head) = b->next;
    if (b->next) b->next->previous = b->previous;
}

static int arena_bin(size_t size) {
    uint64_t n = size / TAPER_ARENA_UNIT;
    if (n < 8) return (int)n;
    int top = 63 - __builtin_clzll(n);
    int k = (top - 2) * 8 + (int)(n >> (top - 3) & 7);
    return k < TAPER_ARENA_BINS ? k : TAPER_ARENA_BINS - 1;
}

static taper_bins *arena_bins(taper_arena *a, int stream) {
    if (!a->bins[stream]) a->bins[stream] = calloc(1, sizeof(taper_bins));
    return a->bins[stream];
}

/* State FREE, in its bin. Its stream's bins exist: growing made them. */
static void arena_bin_add(taper_block *b) {
    taper_bins *bins = b->arena->bins[b->stream];
    int k = arena_bin(b->size);
    b->state = TAPER_BLOCK_FREE;
    arena_push(&bins->bin[k], b);
    bins->map[k / 64] |= UINT64_C(1) << k % 64;
}

static void arena_bin_remove(taper_block *b) {
    taper_bins *bins = b->arena->bins[b->stream];
    int k = arena_bin(b->size);
    arena_pull(&bins->bin[k], b);
    if (!bins->bin[k]) bins->map[k / 64] &= ~(UINT64_C(1) << k % 64);
}

/* ---- neighbours ---- */

static void arena_insert_after(taper_block *b, taper_block *fresh) {
    fresh->before = b;
    fresh->after = b->after;
    if (fresh->after) fresh->after->before = fresh;
    b->after = fresh;
}

/* b swallows the block behind it, which is in no list. */
static void arena_merge(taper_block *b) {
    taper_block *gone = b->after;
    b->size += gone->size;
    b->after = gone->after;
    if (b->after) b->after->before = b;
    arena_block_end(gone);
}

/* Puts a block that is in no list into its bin, merged with free neighbours of the same stream. */
static taper_block *arena_settle(taper_block *b) {
    taper_block *n = b->after;
    if (n && n->state == TAPER_BLOCK_FREE && n->stream == b->stream) {
        arena_bin_remove(n);
        arena_merge(b);
    }
    n = b->before;
    if (n && n->state == TAPER_BLOCK_FREE && n->stream == b->stream) {
        arena_bin_remove(n);
        b = n;
        arena_merge(b);
    }
    arena_bin_add(b);
    return b;
}

/* A hole that is in no list joins the holes beside it. */
static void arena_settle_hole(taper_arena *a, taper_block *b) {
    b->state = TAPER_BLOCK_HOLE;
    taper_block *n = b->after;
    if (n && n->state == TAPER_BLOCK_HOLE) {
        arena_pull(&a->holes, n);
        arena_merge(b);
    }
    n = b->before;
    if (n && n->state == TAPER_BLOCK_HOLE) {
        arena_pull(&a->holes, n);
        b = n;
        arena_merge(b);
    }
    arena_push(&a->holes, b);
}

/* ---- taking and giving ---- */

static taper_block *arena_best(taper_bins *bins, size_t size) {
    taper_block *best = NULL;
    int k = arena_bin(size);
    for (int word = k / 64; word < TAPER_ARENA_BINS / 64; word++) {
        uint64_t map = bins->map[word];
        if (word == k / 64) map &= ~UINT64_C(0) << k % 64;
        for (; map && !best; map &= map - 1) {
            int seen = 0;
            for (taper_block *b = bins->bin[word * 64 + __builtin_ctzll(map)]; b && seen < ARENA_SCAN;
                 b = b->next, seen++)
                if (b->size >= size && (!best || b->size < best->size || (b->size == best->size && b->p < best->p)))
                    best = b;
        }
        if (best) return best;
    }
    return NULL;
}

taper_block *taper__arena_take(taper_arena *a, int stream, size_t size) {
    taper_bins *bins = a->bins[stream];
    if (!bins) return NULL;
    size_t class = size / TAPER_ARENA_UNIT - 1;
    if (class < TAPER_ARENA_QUICK && bins->quick[class]) {
        taper_block *b = bins->quick[class];
        arena_pull(&bins->quick[class], b);
        a->quick_bytes -= b->size;
        b->state = TAPER_BLOCK_USED;
        return b; /* still in the table */
    }
    taper_block *b = arena_best(bins, size);
    if (!b) return NULL;
    taper_block *rest = NULL;
    if (b->size > size && !(rest = arena_block_new(a, b->p + size, b->size - size, TAPER_BLOCK_FREE, stream)))
        return NULL;
    arena_bin_remove(b);
    b->state = TAPER_BLOCK_USED;
    if (rest) {
        b->size = size;
        arena_insert_after(b, rest);
        arena_bin_add(rest);
    }
    if (taper__block_add(b)) return b;
    arena_settle(b);
    return NULL;
}

void taper__arena_give(taper_block *b, bool quick) {
    taper_arena *a = b->arena;
    size_t class = b->size / TAPER_ARENA_UNIT - 1;
    b->tag = NULL;
    b->used_by = 0;
    if (quick && class < TAPER_ARENA_QUICK) {
        b->state = TAPER_BLOCK_QUICK;
        arena_push(&a->bins[b->stream]->quick[class], b);
        a->quick_bytes += b->size;
        return;
    }
    taper__block_remove(b);
    arena_settle(b);
}

void taper__arena_flush_quick(taper_arena *a) {
    for (int s = 0; s < TAPER_MAX_STREAMS && a->quick_bytes; s++)
        for (int k = 0; a->bins[s] && k < TAPER_ARENA_QUICK; k++)
            for (taper_block *b; (b = a->bins[s]->quick[k]);) {
                arena_pull(&a->bins[s]->quick[k], b);
                a->quick_bytes -= b->size;
                taper__block_remove(b);
                arena_settle(b);
            }
}

void taper__arena_adopt(taper_arena *a, int stream) {
    if (!arena_bins(a, stream)) return;
    taper__arena_flush_quick(a);
    for (int s = 0; s < TAPER_MAX_STREAMS; s++)
        for (int k = 0; s != stream && a->bins[s] && k < TAPER_ARENA_BINS; k++)
            for (taper_block *b; (b = a->bins[s]->bin[k]);) {
                arena_bin_remove(b);
                b->stream = (uint8_t)stream;
                b->state = TAPER_BLOCK_USED;
                arena_settle(b);
            }
}

/* ---- chunks ---- */

static bool arena_chunk_add(taper_arena *a, taper_chunk c) {
    if (a->chunk_count == a->chunk_room) {
        int room = a->chunk_room * 2 + 16;
        taper_chunk *grown = realloc(a->chunks, (size_t)room * sizeof *grown);
        if (!grown) return false;
        a->chunks = grown;
        a->chunk_room = room;
    }
    int i = a->chunk_count++;
    for (; i > 0 && a->chunks[i - 1].p > c.p; i--) a->chunks[i] = a->chunks[i - 1];
    a->chunks[i] = c;
    a->mapped += c.size;
    return true;
}

static void arena_chunk_remove(taper_arena *a, int i) {
    a->mapped -= a->chunks[i].size;
    memmove(&a->chunks[i], &a->chunks[i + 1], (size_t)(--a->chunk_count - i) * sizeof a->chunks[0]);
}

static taper_cu_result arena_map(taper_arena *a, uint64_t p, size_t size, unsigned long long *handle) {
    taper_cu_allocation what = {.type = 1, .location = {1, a->index}};
    what.location.id = taper__gpus[a->index].device;
    taper_cu_result r = taper__cu.mem_create(handle, size, &what, 0);
    if (r) return r;
    r = taper__cu.mem_map(p, size, 0, *handle, 0);
    if (!r) {
        taper_cu_access who[TAPER_MAX_GPUS + 1] = {{.location = what.location, .flags = 3}};
        size_t n = 1;
        for (int i = 0; i < TAPER_MAX_GPUS; i++)
            if (a->peers >> i & 1) who[n++] = (taper_cu_access){.location = {1, taper__gpus[i].device}, .flags = 3};
        r = taper__cu.mem_access(p, size, who, n);
        if (r) taper__cu.mem_unmap(p, size);
    }
    if (r) taper__cu.mem_release(*handle);
    return r;
}

static size_t arena_pages(size_t bytes) { return (bytes + TAPER_ARENA_PAGE - 1) / TAPER_ARENA_PAGE * TAPER_ARENA_PAGE; }

static taper_cu_result arena_grow_mapped(taper_arena *a, int stream, size_t size, size_t room) {
    /* The lowest hole that fits, together with stream's own free memory in front of it. */
    taper_block *hole = NULL;
    size_t need = 0;
    for (taper_block *h = a->holes; h; h = h->next) {
        taper_block *f = h->before;
        size_t have = f && f->state == TAPER_BLOCK_FREE && f->stream == stream ? f->size : 0;
        size_t more = arena_pages(size > have ? size - have : 1);
        if (more <= h->size && (!hole || h->p < hole->p)) hole = h, need = more;
    }
    if (!hole || need > room) return TAPER_CU_OUT_OF_MEMORY;
    size_t want = a->step > need ? a->step : need;
    if (want > hole->size) want = hole->size;
    if (want > room) want = need;
    unsigned long long handle = 0;
    taper_cu_result r = arena_map(a, hole->p, want, &handle);
    if (r == TAPER_CU_OUT_OF_MEMORY && want > need) r = arena_map(a, hole->p, want = need, &handle);
    if (r) return r;
    taper_block *b = arena_block_new(a, hole->p, want, TAPER_BLOCK_USED, stream);
    if (!b || !arena_chunk_add(a, (taper_chunk){hole->p, want, handle})) {
        if (b) arena_block_end(b);
        taper__cu.mem_unmap(hole->p, want);
        taper__cu.mem_release(handle);
        return TAPER_CU_OUT_OF_MEMORY;
    }
    b->before = hole->before;
    if (b->before) b->before->after = b;
    b->after = hole;
    hole->before = b;
    hole->p += want;
    hole->size -= want;
    if (!hole->size) {
        arena_pull(&a->holes, hole);
        arena_merge(b);
    }
    arena_settle(b);
    return 0;
}

static taper_cu_result arena_grow_plain(taper_arena *a, int stream, size_t size, size_t room) {
    size_t need = arena_pages(size), want = a->step > need ? a->step : need;
    if (need > room) return TAPER_CU_OUT_OF_MEMORY;
    if (want > room) want = need;
    taper_cu_ptr p = 0;
    taper_cu_result r = taper__cu.mem_alloc(&p, want);
    if (r == TAPER_CU_OUT_OF_MEMORY && want > need) r = taper__cu.mem_alloc(&p, want = need);
    if (r) return r;
    taper_block *b = arena_block_new(a, p, want, TAPER_BLOCK_FREE, stream);
    if (!b || !arena_chunk_add(a, (taper_chunk){p, want, 0})) {
        if (b) arena_block_end(b);
        taper__cu.mem_free(p);
        return TAPER_CU_OUT_OF_MEMORY;
    }
    arena_bin_add(b);
    return 0;
}

taper_cu_result taper__arena_grow(taper_arena *a, int stream, size_t size, size_t room) {
    if (!arena_bins(a, stream)) return TAPER_CU_OUT_OF_MEMORY;
    int mode = TAPER_CU_CAPTURE_RELAXED; /* mapping is allowed while a graph is captured */
    taper__cu.capture_mode(&mode);
    taper_cu_result r = (a->virtual_memory ? arena_grow_mapped : arena_grow_plain)(a, stream, size, room);
    taper__cu.capture_mode(&mode);
    return r;
}

/* The free block that covers chunk c whole, or NULL. */
static taper_block *arena_cover(taper_arena *a, const taper_chunk *c) {
    for (int s = 0; s < TAPER_MAX_STREAMS; s++)
        for (int k = a->bins[s] ? arena_bin(a->virtual_memory ? TAPER_ARENA_PAGE : c->size) : TAPER_ARENA_BINS;
             k < TAPER_ARENA_BINS; k++)
            for (taper_block *b = a->bins[s]->bin[k]; b; b = b->next)
                if (b->p <= c->p && c->p + c->size <= b->p + b->size) return b;
    return NULL;
}

static bool arena_release_chunk(taper_arena *a, int i) {
    taper_chunk c = a->chunks[i];
    taper_block *b = arena_cover(a, &c), *tail = NULL, *middle = b;
    if (!b) return false;
    if (!a->virtual_memory) {
        arena_bin_remove(b);
        arena_block_end(b);
        taper__cu.mem_free(c.p);
        arena_chunk_remove(a, i);
        return true;
    }
    size_t front = c.p - b->p, back = b->p + b->size - (c.p + c.size);
    if (back && !(tail = arena_block_new(a, c.p + c.size, back, TAPER_BLOCK_FREE, b->stream))) return false;
    if (front && !(middle = arena_block_new(a, c.p, c.size, TAPER_BLOCK_HOLE, 0))) {
        if (tail) arena_block_end(tail);
        return false;
    }
    arena_bin_remove(b);
    b->size = front ? front : c.size;
    if (front) {
        arena_insert_after(b, middle);
        arena_bin_add(b);
    }
    if (tail) {
        arena_insert_after(middle, tail);
        arena_bin_add(tail);
    }
    taper__cu.mem_unmap(c.p, c.size);
    taper__cu.mem_release(c.handle);
    arena_chunk_remove(a, i);
    arena_settle_hole(a, middle);
    return true;
}

size_t taper__arena_trim(taper_arena *a) {
    size_t given = 0;
    taper__arena_flush_quick(a);
    for (int i = a->chunk_count; i-- > 0;) {
        size_t size = a->chunks[i].size;
        if (arena_release_chunk(a, i)) given += size;
    }
    return given;
}

taper_cu_result taper__arena_share(taper_arena *a, int peer) {
    if (a->peers >> peer & 1) return 0;
    taper_cu_access who = {.location = {1, taper__gpus[peer].device}, .flags = 3};
    for (int i = 0; a->virtual_memory && i < a->chunk_count; i++) {
        taper_cu_result r = taper__cu.mem_access(a->chunks[i].p, a->chunks[i].size, &who, 1);
        if (r) return r;
    }
    a->peers |= 1u << peer;
    return 0;
}

size_t taper__arena_largest_free(const taper_arena *a) {
    size_t largest = 0;
    for (int s = 0; s < TAPER_MAX_STREAMS; s++)
        for (int k = 0; a->bins[s] && k < TAPER_ARENA_BINS; k++)
            for (taper_block *b = a->bins[s]->bin[k]; b; b = b->next)
                if (b->size > largest) largest = b->size;
    return largest;
}

bool taper__arena_start(taper_arena *a, int index, bool virtual_memory, size_t unit, size_t step, size_t span) {
    *a = (taper_arena){
        .index = index, .virtual_memory = virtual_memory, .unit = unit, .step = step, .span = arena_pages(span)};
    if (!virtual_memory) return true;
    taper_cu_ptr base = 0;
    if (taper__cu.address_reserve(&base, a->span, 0, 0, 0)) {
        a->virtual_memory = false;
        return true; /* plain allocations still work */
    }
    a->base = base;
    taper_block *hole = arena_block_new(a, base, a->span, TAPER_BLOCK_HOLE, 0);
    if (!hole) {
        taper__cu.address_free(base, a->span);
        return false;
    }
    arena_push(&a->holes, hole);
    return true;
}

void taper__arena_end(taper_arena *a) {
    taper__arena_adopt(a, 0); /* a chunk that streams share can go only as one free block */
    taper__arena_trim(a);
    for (taper_block *b; (b = a->holes);) {
        arena_pull(&a->holes, b);
        arena_block_end(b);
    }
    for (int s = 0; s < TAPER_MAX_STREAMS; s++) free(a->bins[s]);
    free(a->chunks);
    if (a->virtual_memory) taper__cu.address_free(a->base, a->span);
    *a = (taper_arena){0};
}
