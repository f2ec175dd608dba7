/* Packing space of matrix products: one buffer is kept between calls, divided in slots for the threads at work. */
#ifndef TAPER_OPS_GEMM_BUFFER_H
#define TAPER_OPS_GEMM_BUFFER_H

#include <stdatomic.h>

#include "base/base.h"

enum { GEMM_SLOTS = 64 };

typedef struct gemm_buffer {
    _Atomic uint64_t used; /* slots in use, one bit each */
    size_t bytes;
    _Alignas(64) char data[];
} gemm_buffer;

taper_status taper__gemm_buffer_take(gemm_buffer **out, size_t bytes);
void taper__gemm_buffer_give(gemm_buffer *buffer); /* may be NULL */
/* A slot for the running range, so that no two threads pack to one place. */
char *taper__gemm_slot_take(gemm_buffer *buffer, size_t bytes, int slots);
void taper__gemm_slot_give(gemm_buffer *buffer, size_t bytes, const char *slot);

#endif
