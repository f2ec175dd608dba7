/* The packing buffer of matrix products: one is kept; a second caller at the same time gets its own. */
#include "ops/gemm_buffer.h"

#include <sched.h>
#include <stdlib.h>
#include <sys/mman.h>

enum {
    GEMM_KEPT_BYTES = 64 << 20, /* a larger buffer is given back after use */
    GEMM_HUGE_PAGE = 2 << 20,
};

static _Atomic(gemm_buffer *) gemm_kept;

taper_status taper__gemm_buffer_take(gemm_buffer **out, size_t bytes) {
    if (taper__alloc_would_fail()) goto fail;
    gemm_buffer *buffer = atomic_exchange(&gemm_kept, NULL);
    if (buffer && buffer->bytes < bytes) {
        free(buffer);
        buffer = NULL;
    }
    if (!buffer) {
        size_t unit = bytes < GEMM_HUGE_PAGE ? 4096 : GEMM_HUGE_PAGE;
        size_t whole = (bytes + sizeof(gemm_buffer) + unit - 1) / unit * unit;
        buffer = aligned_alloc(unit, whole);
        if (!buffer) goto fail;
        if (unit == GEMM_HUGE_PAGE) madvise(buffer, whole, MADV_HUGEPAGE); /* a hint: failing is harmless */
        atomic_init(&buffer->used, 0);
        buffer->bytes = whole - sizeof(gemm_buffer);
    }
    *out = buffer;
    return TAPER_OK;
fail:
    return TAPER_FAIL(TAPER_MEMORY, "gemm: no memory for %zu bytes of packing buffer", bytes);
}

void taper__gemm_buffer_give(gemm_buffer *buffer) {
    if (!buffer) return;
    gemm_buffer *none = NULL;
    if (buffer->bytes > GEMM_KEPT_BYTES || !atomic_compare_exchange_strong(&gemm_kept, &none, buffer)) free(buffer);
}

__attribute__((destructor)) static void gemm_end(void) { free(atomic_exchange(&gemm_kept, NULL)); }

char *taper__gemm_slot_take(gemm_buffer *buffer, size_t bytes, int slots) {
    for (;;) {
        uint64_t used = atomic_load_explicit(&buffer->used, memory_order_relaxed);
        uint64_t idle = ~used & (~UINT64_C(0) >> (64 - slots));
        if (!idle) {
            sched_yield(); /* more threads than slots; a slot is never held for long */
            continue;
        }
        int i = __builtin_ctzll(idle);
        if (atomic_compare_exchange_weak_explicit(&buffer->used, &used, used | UINT64_C(1) << i, memory_order_acquire,
                                                  memory_order_relaxed))
            return buffer->data + (size_t)i * bytes;
    }
}

void taper__gemm_slot_give(gemm_buffer *buffer, size_t bytes, const char *slot) {
    size_t i = (size_t)(slot - buffer->data) / bytes;
    atomic_fetch_and_explicit(&buffer->used, ~(UINT64_C(1) << i), memory_order_release);
}
