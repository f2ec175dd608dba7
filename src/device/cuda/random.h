/* Seed and counter of random numbers on one GPU. Kernels make the numbers from them and their own index (Philox 4x32-10). */
#ifndef TAPER_DEVICE_CUDA_RANDOM_H
#define TAPER_DEVICE_CUDA_RANDOM_H

#include "device/cuda/cuda.h"

typedef struct taper_cuda_random taper_cuda_random;
taper_status taper__cuda_random_new(taper_cuda_random **out, int index, uint64_t seed);
/* The one that is used when none is given; borrowed. index -1: of the current GPU. */
taper_status taper__cuda_random_default(taper_cuda_random **out, int index);
taper_cuda_random *taper__cuda_random_retain(taper_cuda_random *r);
void taper__cuda_random_release(taper_cuda_random *r);
int taper__cuda_random_index(const taper_cuda_random *r);
void taper__cuda_random_get(taper_cuda_random *r, uint64_t *seed, uint64_t *offset);
/* In a capture only back to what was drawn in it, to draw that again: RUNTIME otherwise. */
taper_status taper__cuda_random_set(taper_cuda_random *r, uint64_t seed, uint64_t offset);
/* Gives the present seed and offset and moves the offset by n. */
void taper__cuda_random_advance(taper_cuda_random *r, uint64_t n, uint64_t *seed, uint64_t *offset);
/* The same for a kernel about to be queued: in a capture, numbers that each replay sets anew (captured_random.h). */
taper_status taper__cuda_random_take(taper_cuda_random *r, uint64_t n, uint64_t *seed, uint64_t *offset);

/* ---- captured_random.c: the generators that a capture drew from ---- */
typedef struct taper_captured_random taper_captured_random;
taper_status taper__captured_random_take(taper_captured_random **list, taper_cuda_random *r, int index, uint64_t n, uint64_t *seed, uint64_t *offset);
/* How far the capture is in what it draws from r; NULL before it drew. */
uint64_t *taper__captured_random_used(taper_captured_random *list, const taper_cuda_random *r);
/* Queues the writing of the words of a replay on the current stream, and advances the generators. */
taper_status taper__captured_random_replay(const taper_captured_random *list, int index);
void taper__captured_random_end(taper_captured_random **list, int index);

#endif
