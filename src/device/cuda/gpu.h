/* What the files of this folder share: contexts, streams, and the memory pools of captured graphs. */
#ifndef TAPER_DEVICE_CUDA_GPU_H
#define TAPER_DEVICE_CUDA_GPU_H

#include <pthread.h>
#include <stdatomic.h>
#include <taper/cuda.h>

#include "device/cuda/driver.h"

typedef struct taper_gpu {
    _Atomic bool ready; /* context retained, default stream made */
    taper_cu_device device;
    taper_cu_object context;
    int multiprocessors, capability;
    bool has_virtual_memory;
    size_t total_memory;
    taper_cuda_stream *default_stream;
} taper_gpu;
extern taper_gpu taper__gpus[TAPER_MAX_GPUS];

/* Per thread. entered: index + 1 of the GPU whose context this thread made current through us; 0: none. */
typedef struct taper_cuda_thread {
    int device, entered;
    taper_cuda_stream *stream[TAPER_MAX_GPUS]; /* NULL: the default one */
} taper_cuda_thread;
extern _Thread_local taper_cuda_thread taper__cuda_thread;
extern bool taper__cuda_forked; /* this process is a child of one that used the GPU: the driver cannot be used */

/* Resolves -1, starts the GPU when it was not used yet and makes its context current. */
taper_status taper__cuda_enter_slow(int *index);
static inline taper_status taper__cuda_enter(int *index) {
    taper_cuda_thread *t = &taper__cuda_thread;
    if (*index < 0) *index = t->device;
    return TAPER_LIKELY(t->entered == *index + 1 && !taper__cuda_forked) ? TAPER_OK : taper__cuda_enter_slow(index);
}
/* Somebody else changed the thread's context: make ours current again. */
taper_status taper__cuda_reenter(int index);

/* ---- stream.c ---- */
enum { TAPER_MAX_STREAMS = 64 }; /* per GPU; a set of them is one 64-bit word */
struct taper_cuda_pool;
struct taper_cuda_stream {
    _Atomic int refs;
    int index, id, priority;
    bool external;
    taper_cu_object handle;
    struct taper_cuda_pool *_Atomic pool; /* not NULL: a graph is being captured here */
};
taper_status taper__cuda_default_stream_start(int index);
/* The calling thread's stream of an entered GPU. */
static inline taper_cuda_stream *taper__cuda_current(int index) {
    taper_cuda_stream *s = taper__cuda_thread.stream[index];
    return s ? s : taper__gpus[index].default_stream;
}
taper_cuda_stream *taper__cuda_stream_by_id(int index, int id);
void taper__cuda_streams_leave_pool(int index, struct taper_cuda_pool *pool); /* a capture ended */
bool taper__cuda_pool_is_capturing(int index, const struct taper_cuda_pool *pool);
/* Events without timing, kept for reuse. */
taper_status taper__cuda_mark(taper_cu_object *event, int index, taper_cuda_stream *s); /* records one */
void taper__cuda_mark_done(taper_cu_object event, int index);

/* ---- memory.c: memory of captured graphs ---- */
typedef struct taper_cuda_pool taper_cuda_pool;
taper_status taper__cuda_pool_new(taper_cuda_pool **out, int index);
taper_cuda_pool *taper__cuda_pool_retain(taper_cuda_pool *p);
void taper__cuda_pool_release(taper_cuda_pool *p); /* memory goes when the last block in it is freed */
void taper__cuda_pool_capture_begins(taper_cuda_pool *p, taper_cuda_stream *s);
/* Gives the list of generators that the capture drew from; the caller ends it. */
struct taper_captured_random *taper__cuda_pool_capture_ended(taper_cuda_pool *p);
/* Lets `peer` address the memory of `index` directly. */
taper_status taper__cuda_memory_share(int index, int peer);

/* ---- pinned.c ---- */
bool taper__pinned_use(const void *p, taper_cuda_stream *s); /* false when p is not in a block of ours */

/* ---- errors.c ---- */
taper_status taper__cuda_errors_start(int index);
taper_status taper__cuda_raise(int index); /* the recorded kernel error, which it clears */

#endif
