/* Random number generators.
 *
 * On the CPU the engine and every sampling rule are PyTorch's, so that a seed gives PyTorch's own numbers. A generator of a GPU is a
 * seed and a counter (Philox 4x32-10); its numbers depend on them alone, not on the kind of GPU.
 * All functions may be called from any thread: a generator locks itself for the length of one call.
 */
#ifndef TAPER_RANDOM_H
#define TAPER_RANDOM_H

#include <stddef.h>
#include <stdint.h>
#include <taper/device.h>
#include <taper/export.h>
#include <taper/status.h>

TAPER_BEGIN

typedef struct taper_generator taper_generator;

enum { TAPER_GENERATOR_STATE_BYTES = 5056, TAPER_GENERATOR_CUDA_STATE_BYTES = 16 };
#define TAPER_DEFAULT_SEED UINT64_C(67280421310721)

/* New generator of the CPU; the caller ends it with taper_generator_release. MEMORY. */
TAPER_API taper_status taper_generator_new(taper_generator **out, uint64_t seed);
/* The same of a CPU or GPU. DEVICE without a GPU, RUNTIME for other devices. */
TAPER_API taper_status taper_generator_new_on(taper_generator **out, uint64_t seed, taper_device device);
TAPER_API taper_device taper_generator_device(const taper_generator *g);
TAPER_API taper_generator *taper_generator_retain(taper_generator *g); /* returns g; NULL is allowed */
TAPER_API void taper_generator_release(taper_generator *g);            /* NULL is a no-op */

/* The generator that is used when none is given (NULL below means this one too); borrowed, lives as long as the
 * process. Starts from TAPER_DEFAULT_SEED. */
TAPER_API taper_generator *taper_generator_default(void);
/* That of a GPU (index -1: the current one): the seed and counter of taper_cuda_manual_seed. +1. */
TAPER_API taper_status taper_generator_cuda_default(taper_generator **out, int index);

/* Starts over from `seed`; on the CPU only its low 32 bits choose the numbers. */
TAPER_API void taper_generator_seed(taper_generator *g, uint64_t seed);
/* Starts over from a seed that the operating system makes, and returns it (53 bits). */
TAPER_API uint64_t taper_generator_seed_fresh(taper_generator *g);
TAPER_API uint64_t taper_generator_initial_seed(taper_generator *g); /* the seed it last started from */

/* Of a GPU: 32-bit numbers that were drawn since the seed, by each thread; a multiple of 4. RUNTIME on the CPU. */
TAPER_API taper_status taper_generator_get_offset(taper_generator *g, uint64_t *offset);
TAPER_API taper_status taper_generator_set_offset(taper_generator *g, uint64_t offset);

/* State in the byte layout of torch.get_rng_state(): a state saved by PyTorch can be set here and the other way round.
 * bytes must be TAPER_GENERATOR_STATE_BYTES; of a GPU TAPER_GENERATOR_CUDA_STATE_BYTES (seed and offset). VALUE for another
 * size or, in set_state, for bytes that are no state. */
TAPER_API size_t taper_generator_state_bytes(const taper_generator *g);
TAPER_API taper_status taper_generator_get_state(taper_generator *g, void *state, size_t bytes);
TAPER_API taper_status taper_generator_set_state(taper_generator *g, const void *state, size_t bytes);

/* torch.manual_seed for the CPU: seeds the default generator. */
TAPER_API void taper_manual_seed(uint64_t seed);

TAPER_END

#endif
