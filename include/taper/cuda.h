/* Streams, events, graphs, random numbers and memory of GPUs. index -1 means the calling thread's current GPU
 * throughout. Every function fails with DEVICE and one sentence when no GPU can be used. */
#ifndef TAPER_CUDA_H
#define TAPER_CUDA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <taper/device.h>

TAPER_BEGIN

/* A line for each of the driver, cuBLASLt, cuDNN, NVRTC and NVML: its version, or why it cannot be used. Loads them. Cut to
 * size. */
TAPER_API void taper_cuda_describe_providers(char *text, size_t size);

/* Whether matrix products of float32 may round their factors to TF32 (10 bits of fraction): several times as fast, errors a thousand
 * times as large. Off at first, per process, for cuBLASLt on compute capability 8.0 and newer; gives the old value. */
TAPER_API bool taper_cuda_set_matmul_tf32(bool on);

/* ---- streams: queues of work on one GPU ---- */

/* Each GPU has a default stream of the library's own, which does not wait for the driver's null stream. A thread's
 * operators go to its current stream of the GPU in question: the default one until set. */
typedef struct taper_cuda_stream taper_cuda_stream;

/* priority: 0 normal, negative more urgent (cut to what the GPU has). Streams come from a pool and go back to it. */
TAPER_API taper_status taper_cuda_stream_new(taper_cuda_stream **out, int index, int priority);
/* A stream made elsewhere (CUstream or cudaStream_t); its maker keeps it alive and ends it. */
TAPER_API taper_status taper_cuda_stream_wrap(taper_cuda_stream **out, int index, void *handle);
TAPER_API taper_status taper_cuda_stream_default(taper_cuda_stream **out, int index);
TAPER_API taper_status taper_cuda_stream_current(taper_cuda_stream **out, int index);
TAPER_API taper_cuda_stream *taper_cuda_stream_retain(taper_cuda_stream *s);
TAPER_API void taper_cuda_stream_release(taper_cuda_stream *s); /* NULL is a no-op */
/* For the calling thread, on the stream's GPU. The current GPU does not change. */
TAPER_API taper_status taper_cuda_stream_set_current(taper_cuda_stream *s);

TAPER_API taper_status taper_cuda_stream_synchronize(taper_cuda_stream *s); /* raises errors that kernels recorded */
TAPER_API taper_status taper_cuda_stream_query(bool *done, taper_cuda_stream *s);
TAPER_API taper_status taper_cuda_stream_wait_stream(taper_cuda_stream *s, taper_cuda_stream *other);
TAPER_API void *taper_cuda_stream_handle(const taper_cuda_stream *s); /* CUstream */
TAPER_API int taper_cuda_stream_device(const taper_cuda_stream *s);
TAPER_API int taper_cuda_stream_priority(const taper_cuda_stream *s);

/* ---- events: marks in a stream ---- */

typedef struct taper_cuda_event taper_cuda_event;

/* The event belongs to the GPU it is first recorded on. timing: elapsed() can be asked. blocking: synchronize() sleeps
 * instead of spinning. */
TAPER_API taper_status taper_cuda_event_new(taper_cuda_event **out, bool timing, bool blocking);
TAPER_API void taper_cuda_event_release(taper_cuda_event *e);                              /* NULL is a no-op */
TAPER_API taper_status taper_cuda_event_record(taper_cuda_event *e, taper_cuda_stream *s); /* s NULL: the current one */
TAPER_API taper_status taper_cuda_event_query(bool *done, taper_cuda_event *e); /* true when never recorded */
TAPER_API taper_status taper_cuda_event_synchronize(taper_cuda_event *e);
TAPER_API taper_status taper_cuda_event_elapsed(float *milliseconds, taper_cuda_event *begin, taper_cuda_event *end);
TAPER_API taper_status taper_cuda_stream_wait_event(taper_cuda_stream *s, taper_cuda_event *e);
TAPER_API void *taper_cuda_event_handle(const taper_cuda_event *e); /* CUevent; NULL before the first record */

/* ---- graphs: a recorded piece of a stream that runs again with one call ---- */

typedef struct taper_cuda_graph taper_cuda_graph;

/* share: NULL, or a graph whose memory pool this one uses too (they must then never run at the same time). */
TAPER_API taper_status taper_cuda_graph_new(taper_cuda_graph **out, taper_cuda_graph *share);
TAPER_API void taper_cuda_graph_release(taper_cuda_graph *g); /* NULL is a no-op; ends a capture that is under way */
/* Records what this thread queues on s (NULL: its current stream) until end_capture instead of running it. Memory asked
 * for meanwhile comes from the graph's own pool and stays at its addresses as long as the graph lives. Waiting and
 * copies to pageable host memory are errors in between. */
TAPER_API taper_status taper_cuda_graph_begin_capture(taper_cuda_graph *g, taper_cuda_stream *s);
TAPER_API taper_status taper_cuda_graph_end_capture(taper_cuda_graph *g);
TAPER_API taper_status taper_cuda_graph_replay(taper_cuda_graph *g, taper_cuda_stream *s); /* s NULL: the current one */
TAPER_API int64_t taper_cuda_graph_node_count(const taper_cuda_graph *g);
TAPER_API bool taper_cuda_is_capturing(int index); /* the thread's current stream */

/* ---- times ---- */

/* With TAPER_CUDA_TIMES=1: what ran since the last call, as text of at most `rows` rows (milliseconds, share, launches, kernel),
 * longest first; waits for the GPU. Empty otherwise. */
TAPER_API taper_status taper_cuda_times(char *text, size_t size, int rows);

/* ---- random numbers: a seed and a counter per GPU (generators of their own: random.h) ---- */

/* What a graph draws is other at each replay: a replay takes the numbers that the same calls would take without a graph. While
 * one is captured, only a state that was read in the capture can be set, to draw the same again. */

TAPER_API void taper_cuda_manual_seed(uint64_t seed); /* all GPUs, now and later */
TAPER_API taper_status taper_cuda_get_random_state(uint64_t *seed, uint64_t *offset, int index);
TAPER_API taper_status taper_cuda_set_random_state(uint64_t seed, uint64_t offset, int index);

/* ---- memory ---- */

/* What is held, by tag (the operator that asked), biggest first, as text of at most `rows` rows. */
TAPER_API taper_status taper_cuda_memory_table(char *text, size_t size, int rows, int index);
/* The allocator takes at most this many bytes from the driver; 0: no limit. */
TAPER_API taper_status taper_cuda_memory_set_limit(size_t bytes, int index);
/* p (anywhere in its block) is used by work on s too: when freed, it is not given out before that work is done. */
TAPER_API taper_status taper_cuda_memory_record_stream(const void *p, taper_cuda_stream *s);
/* The driver's pointer test: page-locked host memory, by whomever. */
TAPER_API bool taper_cuda_is_pinned(const void *p);

TAPER_END

#endif
