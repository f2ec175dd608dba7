/* Host allocation with a switch that fails the n-th one, and a count of live blocks. */
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"

#if defined(__GLIBC__)
__attribute__((tls_model("initial-exec"))) /* read at every small tensor: saves a call in a shared library */
#endif
static _Thread_local int64_t fail_in; /* 0: off; 1: the next allocation fails */
static _Atomic int64_t live;
int64_t (*taper__alloc_live_more)(void);

bool taper__alloc_would_fail(void) { return TAPER_UNLIKELY(fail_in > 0) && --fail_in == 0; }
void taper__alloc_fail_at(int64_t n) { fail_in = n; }
int64_t taper__alloc_live(void) {
    return atomic_load_explicit(&live, memory_order_relaxed) + (taper__alloc_live_more ? taper__alloc_live_more() : 0);
}
void taper__alloc_count(int64_t blocks) { atomic_fetch_add_explicit(&live, blocks, memory_order_relaxed); }

void *taper__alloc(size_t bytes) {
    if (taper__alloc_would_fail()) return NULL;
    void *p = malloc(bytes ? bytes : 1);
    if (p) taper__alloc_count(1);
    return p;
}

void *taper__alloc_zero(size_t bytes) {
    void *p = taper__alloc(bytes);
    if (p) memset(p, 0, bytes);
    return p;
}

void *taper__realloc(void *old, size_t bytes) {
    if (!old) return taper__alloc(bytes);
    if (taper__alloc_would_fail()) return NULL;
    return realloc(old, bytes ? bytes : 1);
}

void taper__free(void *p) {
    if (!p) return;
    taper__alloc_count(-1);
    free(p);
}

char *taper__strdup(const char *s) {
    size_t n = strlen(s) + 1;
    char *p = taper__alloc(n);
    return p ? memcpy(p, s, n) : NULL;
}
