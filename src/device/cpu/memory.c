/* Host memory of tensors. Blocks up to 4 KiB come from lists of the calling thread, without a lock; larger ones from
 * lists by size under one lock, kept when freed so that the next training step finds its pages in place. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "device/cpu/cpu.h"

TAPER_KNOB(knob_cache, "TAPER_CPU_CACHE_MB", "",
           "MiB of freed CPU tensor memory kept for reuse; empty: a quarter of the memory");

#if defined(__SANITIZE_ADDRESS__)
#define MEMORY_BYPASS 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define MEMORY_BYPASS 1
#endif
#endif
#ifndef MEMORY_BYPASS
#define MEMORY_BYPASS 0 /* 1: every block is the system's own, so that a sanitizer sees its end */
#endif

enum {
    MEMORY_ALIGN = 64,
    MEMORY_SMALL = 4096,
    MEMORY_CLASSES = MEMORY_SMALL / MEMORY_ALIGN + 1, /* class i holds blocks of 64 i bytes; 0 is not used */
    MEMORY_KEEP = 65536,                              /* bytes of one class a thread keeps */
    MEMORY_REFILL = 8192,                             /* bytes a thread takes when its list is empty */
    MEMORY_REGION = 1 << 20,                          /* bytes taken from the system for small blocks */
    MEMORY_LARGE_CLASSES = 8 * 64,
    MEMORY_COLOURS =
        16, /* mapped blocks start at different cache sets: equal offsets of a, b, c in c = a + b collide */
    MEMORY_COLOUR_STEP = 256,
};
#define MEMORY_HUGE ((size_t)2 << 20)
#define MEMORY_MOST                                                                                                    \
    ((size_t)1 << (MEMORY_BYPASS ? 39 : 47)) /* a sanitizer ends the process when asked for too much                   \
                                              */

typedef struct memory_free {
    struct memory_free *next;
} memory_free;

/* One per thread. The counters have one writer and any reader. */
typedef struct memory_cache {
    memory_free *list[MEMORY_CLASSES];
    int count[MEMORY_CLASSES];
    _Atomic int64_t allocations, frees, bytes; /* bytes: asked for and not freed, rounded to the class */
    struct memory_cache *next, *previous;
} memory_cache;

/* Head of a kept large block, inside the block. */
typedef struct memory_kept {
    struct memory_kept *next, *previous; /* same class, newest first */
    struct memory_kept *newer, *older;   /* all classes */
    int size_class;
} memory_kept;

/* GLIBC keeps room for small initial-exec variables of libraries opened later; it saves a call per access. */
#if defined(__GLIBC__)
#define MEMORY_THREAD __attribute__((tls_model("initial-exec"))) _Thread_local
#else
#define MEMORY_THREAD _Thread_local
#endif
static MEMORY_THREAD memory_cache *memory_mine;

static struct {
    pthread_mutex_t lock;
    pthread_key_t key;
    bool ready;
    /* small */
    memory_free *list[MEMORY_CLASSES];
    char *region;
    size_t region_left;
    memory_cache *caches;
    int64_t gone_allocations, gone_frees, gone_bytes; /* of threads that ended */
    /* large */
    memory_kept *kept[MEMORY_LARGE_CLASSES];
    memory_kept *newest, *oldest;
    size_t kept_bytes, keep_limit;
    size_t live_bytes, peak_bytes;
    size_t reserved, peak_reserved; /* small regions, live and kept large blocks */
    int64_t large_allocations, large_frees, failures;
    unsigned colour;
} memory = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* ---- set-up ---- */

static void memory_lock(void) { pthread_mutex_lock(&memory.lock); }
static void memory_unlock(void) { pthread_mutex_unlock(&memory.lock); }

static void memory_thread_ends(void *cache);

static size_t memory_default_limit(void) {
    long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);
    size_t total = pages > 0 && page > 0 ? (size_t)pages * (size_t)page : (size_t)1 << 30;
    return total / 4;
}

static int64_t memory_live(void) {
    memory_lock();
    int64_t n = memory.large_allocations - memory.large_frees + memory.gone_allocations - memory.gone_frees;
    for (memory_cache *c = memory.caches; c; c = c->next)
        n += atomic_load_explicit(&c->allocations, memory_order_relaxed) -
             atomic_load_explicit(&c->frees, memory_order_relaxed);
    memory_unlock();
    return n;
}

/* Under the lock. */
static void memory_start(void) {
    if (memory.ready) return;
    memory.ready = true;
    pthread_key_create(&memory.key, memory_thread_ends);
    /* A child of fork() must not inherit a held lock. */
    pthread_atfork(memory_lock, memory_unlock, memory_unlock);
    memory.keep_limit =
        *taper__knob_text(&knob_cache) ? (size_t)taper__knob_int(&knob_cache) << 20 : memory_default_limit();
    taper__alloc_live_more = memory_live;
}

/* A thread that ends after the library was unloaded must not call into it. */
__attribute__((destructor)) static void memory_end(void) {
    if (memory.ready) pthread_key_delete(memory.key);
}

static void memory_reserve(size_t bytes) {
    memory.reserved += bytes;
    if (memory.reserved > memory.peak_reserved) memory.peak_reserved = memory.reserved;
}

/* ---- small blocks ---- */

static inline int memory_class(size_t bytes) { return bytes ? (int)((bytes + MEMORY_ALIGN - 1) / MEMORY_ALIGN) : 1; }
static int memory_keep_count(int k) { return MEMORY_KEEP / (k * MEMORY_ALIGN); }

static memory_cache *memory_cache_new(void) {
    memory_cache *c = aligned_alloc(MEMORY_ALIGN, (sizeof *c + MEMORY_ALIGN - 1) / MEMORY_ALIGN * MEMORY_ALIGN);
    if (!c) return NULL;
    memset(c, 0, sizeof *c);
    memory_lock();
    memory_start();
    c->next = memory.caches;
    if (c->next) c->next->previous = c;
    memory.caches = c;
    memory_unlock();
    pthread_setspecific(memory.key, c);
    return memory_mine = c;
}

/* Gives `n` blocks of class k to the lists of all threads. Under the lock. */
static void memory_give(memory_cache *c, int k, int n) {
    c->count[k] -= n;
    while (n-- > 0) {
        memory_free *b = c->list[k];
        c->list[k] = b->next;
        b->next = memory.list[k];
        memory.list[k] = b;
    }
}

static void memory_thread_ends(void *argument) {
    memory_cache *c = argument;
    memory_mine = NULL;
    memory_lock();
    for (int k = 1; k < MEMORY_CLASSES; k++) memory_give(c, k, c->count[k]);
    memory.gone_allocations += atomic_load(&c->allocations);
    memory.gone_frees += atomic_load(&c->frees);
    memory.gone_bytes += atomic_load(&c->bytes);
    if (c->next) c->next->previous = c->previous;
    *(c->previous ? &c->previous->next : &memory.caches) = c->next;
    memory_unlock();
    free(c);
}

/* Fills the list of class k of this thread; false: out of memory. */
static bool memory_refill(memory_cache *c, int k) {
    size_t size = (size_t)k * MEMORY_ALIGN;
    int n = (int)(MEMORY_REFILL / size);
    memory_lock();
    while (n > 0 && memory.list[k]) {
        memory_free *b = memory.list[k];
        memory.list[k] = b->next;
        b->next = c->list[k];
        c->list[k] = b;
        c->count[k]++;
        n--;
    }
    if (!c->list[k]) {
        if (memory.region_left < size) {
            /* What is left of the old region becomes blocks of the classes that fit. */
            for (; memory.region_left >= MEMORY_ALIGN;) {
                int fit = (int)(memory.region_left / MEMORY_ALIGN);
                if (fit >= MEMORY_CLASSES) fit = MEMORY_CLASSES - 1;
                memory_free *b = (memory_free *)memory.region;
                b->next = memory.list[fit];
                memory.list[fit] = b;
                memory.region += fit * MEMORY_ALIGN;
                memory.region_left -= (size_t)fit * MEMORY_ALIGN;
            }
            void *p = mmap(NULL, MEMORY_REGION, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
            if (p != MAP_FAILED) {
                memory.region = p;
                memory.region_left = MEMORY_REGION;
                memory_reserve(MEMORY_REGION);
            }
        }
        for (; n > 0 && memory.region_left >= size; n--) {
            memory_free *b = (memory_free *)memory.region;
            memory.region += size;
            memory.region_left -= size;
            b->next = c->list[k];
            c->list[k] = b;
            c->count[k]++;
        }
    }
    if (!c->list[k]) memory.failures++;
    memory_unlock();
    return c->list[k] != NULL;
}

static inline void memory_add(_Atomic int64_t *counter, int64_t n) {
    atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + n, memory_order_relaxed);
}

static inline void *memory_small_alloc(size_t bytes) {
    memory_cache *c = memory_mine;
    if (TAPER_UNLIKELY(!c) && !(c = memory_cache_new())) return NULL;
    int k = memory_class(bytes);
    if (TAPER_UNLIKELY(!c->list[k]) && !memory_refill(c, k)) return NULL;
    memory_free *b = c->list[k];
    c->list[k] = b->next;
    c->count[k]--;
    memory_add(&c->allocations, 1);
    memory_add(&c->bytes, k * MEMORY_ALIGN);
    return b;
}

static inline void memory_small_free(void *p, size_t bytes) {
    memory_cache *c = memory_mine;
    int k = memory_class(bytes);
    memory_free *b = p;
    if (TAPER_UNLIKELY(!c) && !(c = memory_cache_new())) { /* no memory for a list: straight to the common one */
        memory_lock();
        b->next = memory.list[k];
        memory.list[k] = b;
        memory.gone_frees++;
        memory.gone_bytes -= k * MEMORY_ALIGN;
        memory_unlock();
        return;
    }
    b->next = c->list[k];
    c->list[k] = b;
    memory_add(&c->frees, 1);
    memory_add(&c->bytes, -(k * MEMORY_ALIGN));
    if (TAPER_UNLIKELY(++c->count[k] > memory_keep_count(k))) {
        memory_lock();
        memory_give(c, k, c->count[k] / 2);
        memory_unlock();
    }
}

/* ---- large blocks ---- */

/* Eight sizes per doubling. */
static int memory_large_class(size_t bytes, size_t *size) {
    int top = 63 - __builtin_clzll(bytes - 1); /* 2^top <= bytes - 1 < 2^(top + 1) */
    size_t step = (size_t)1 << (top - 3);
    size_t rounded = (bytes + step - 1) / step * step;
    *size = rounded;
    return (top << 3) + (int)((rounded - ((size_t)1 << top)) / step) - 1;
}

static void *memory_system_alloc(size_t size, unsigned colour) {
    if (MEMORY_BYPASS || size < MEMORY_HUGE) {
        void *p = NULL;
        return posix_memalign(&p, MEMORY_ALIGN, size) ? NULL : p;
    }
    size_t length = size + MEMORY_COLOURS * MEMORY_COLOUR_STEP, all = length + MEMORY_HUGE;
    char *p = mmap(NULL, all, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED) return NULL;
    char *begin = (char *)(((uintptr_t)p + MEMORY_HUGE - 1) & ~(uintptr_t)(MEMORY_HUGE - 1));
    if (begin > p) munmap(p, (size_t)(begin - p));
    size_t tail = (size_t)(p + all - (begin + length)) & ~(size_t)4095;
    if (tail) munmap(p + all - tail, tail);
    madvise(begin, length, MADV_HUGEPAGE);
    return begin + colour % MEMORY_COLOURS * MEMORY_COLOUR_STEP;
}

static void memory_system_free(void *p, size_t size) {
    if (MEMORY_BYPASS || size < MEMORY_HUGE) {
        free(p);
        return;
    }
    munmap((void *)((uintptr_t)p & ~(uintptr_t)(MEMORY_HUGE - 1)), size + MEMORY_COLOURS * MEMORY_COLOUR_STEP);
}

static size_t memory_kept_size(const memory_kept *b) {
    size_t top = (size_t)(b->size_class + 1) >> 3, step = (size_t)(b->size_class + 1) & 7;
    return ((size_t)1 << top) + (step << (top - 3));
}

static void memory_unkeep(memory_kept *b) {
    if (b->next) b->next->previous = b->previous;
    *(b->previous ? &b->previous->next : &memory.kept[b->size_class]) = b->next;
    *(b->newer ? &b->newer->older : &memory.newest) = b->older;
    *(b->older ? &b->older->newer : &memory.oldest) = b->newer;
    memory.kept_bytes -= memory_kept_size(b);
}

static void memory_keep(memory_kept *b, int size_class) {
    *b = (memory_kept){.next = memory.kept[size_class], .older = memory.newest, .size_class = size_class};
    if (b->next) b->next->previous = b;
    memory.kept[size_class] = b;
    *(b->older ? &b->older->newer : &memory.oldest) = b;
    memory.newest = b;
    memory.kept_bytes += memory_kept_size(b);
}

/* Gives kept blocks back, those unused for longest first, until at most `limit` bytes are kept. Under the lock. */
static void memory_trim(size_t limit) {
    while (memory.kept_bytes > limit && memory.oldest) {
        memory_kept *b = memory.oldest;
        size_t size = memory_kept_size(b);
        memory_unkeep(b);
        memory.reserved -= size;
        memory_system_free(b, size);
    }
}

static void *memory_large_alloc(size_t bytes) {
    if (bytes > MEMORY_MOST) return NULL;
    size_t size = bytes ? bytes : 1;
    int k = 0;
    if (!MEMORY_BYPASS) k = memory_large_class(bytes, &size);
    memory_lock();
    memory_start();
    void *p = MEMORY_BYPASS ? NULL : memory.kept[k];
    if (p) {
        memory_unkeep(p);
    } else {
        unsigned colour = memory.colour++;
        memory_unlock(); /* the system may take its time */
        p = memory_system_alloc(size, colour);
        memory_lock();
        if (!p) {
            memory_trim(0);
            p = memory_system_alloc(size, colour);
        }
        if (p)
            memory_reserve(size);
        else
            memory.failures++;
    }
    if (p) {
        memory.large_allocations++;
        memory.live_bytes += size;
        if (memory.live_bytes > memory.peak_bytes) memory.peak_bytes = memory.live_bytes;
    }
    memory_unlock();
    return p;
}

static void memory_large_free(void *p, size_t bytes) {
    size_t size = bytes ? bytes : 1;
    int k = 0;
    if (!MEMORY_BYPASS) k = memory_large_class(bytes, &size);
    memory_lock();
    memory.large_frees++;
    memory.live_bytes -= size;
    bool keep = !MEMORY_BYPASS && size <= memory.keep_limit;
    if (keep) {
        memory_keep(p, k);
        memory_trim(memory.keep_limit);
    } else {
        memory.reserved -= size;
    }
    memory_unlock();
    if (!keep) memory_system_free(p, size);
}

/* ---- for all ---- */

void *taper__cpu_alloc(size_t bytes) {
    if (TAPER_UNLIKELY(taper__alloc_would_fail())) return NULL;
    return !MEMORY_BYPASS && TAPER_LIKELY(bytes <= MEMORY_SMALL) ? memory_small_alloc(bytes)
                                                                 : memory_large_alloc(bytes);
}

void taper__cpu_free(void *p, size_t bytes) {
    if (!p) return;
    if (!MEMORY_BYPASS && TAPER_LIKELY(bytes <= MEMORY_SMALL))
        memory_small_free(p, bytes);
    else
        memory_large_free(p, bytes);
}

void taper__cpu_memory_stats(taper_memory_stats *out) {
    memory_lock();
    int64_t small = memory.gone_bytes, made = memory.gone_allocations, gone = memory.gone_frees;
    for (memory_cache *c = memory.caches; c; c = c->next) {
        small += atomic_load_explicit(&c->bytes, memory_order_relaxed);
        made += atomic_load_explicit(&c->allocations, memory_order_relaxed);
        gone += atomic_load_explicit(&c->frees, memory_order_relaxed);
    }
    if (small < 0) small = 0; /* a block moved between two counters while we added */
    *out = (taper_memory_stats){
        .allocated = memory.live_bytes + (size_t)small,
        /* Small blocks count with their present sum: they have no common counter that could have a peak. */
        .peak_allocated = memory.peak_bytes + (size_t)small,
        .reserved = memory.reserved,
        .peak_reserved = memory.peak_reserved,
        .live_blocks = memory.large_allocations - memory.large_frees + made - gone,
        .total_allocations = memory.large_allocations + made,
        .out_of_memory_count = memory.failures,
    };
    memory_unlock();
}

void taper__cpu_memory_reset_peak(void) {
    memory_lock();
    memory.peak_bytes = memory.live_bytes;
    memory.peak_reserved = memory.reserved;
    memory_unlock();
}

void taper__cpu_memory_release_cached(void) {
    memory_lock();
    memory_trim(0);
    memory_unlock();
}
