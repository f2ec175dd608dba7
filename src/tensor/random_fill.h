/* Fills raw contiguous host buffers with random numbers; the operators above check arguments and own the tensors.
 *
 * `g` NULL: the default generator. `p` points to n elements of `dtype`. Elements are drawn in memory order under one
 * lock, by PyTorch's rules: see random_fill.c. "Float" means f32, f64, f16, bf16; "any" adds bool and the integers. */
#ifndef TAPER_TENSOR_RANDOM_FILL_H
#define TAPER_TENSOR_RANDOM_FILL_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <taper/dtype.h>
#include <taper/random.h>

#include "device/cuda/random.h"
#include "tensor/mt19937.h"

struct taper_generator {
    _Atomic int refs;
    taper_cuda_random *gpu; /* of a GPU: its seed and counter, and nothing below is used */
    pthread_mutex_t mutex;
    taper_mt19937 engine;
    bool has_normal, has_normal_f32; /* second half of a Box-Muller pair; the float one only travels through states */
    double normal;
    float normal_f32;
};

/* random.c */
/* RUNTIME in torch's words unless g (NULL: the default one) can be used for a tensor on that device. */
taper_status taper__generator_check(const taper_generator *g, taper_device device);
taper_generator *taper__generator_lock(taper_generator *g); /* returns the generator it locked: g or the default one */
void taper__generator_unlock(taper_generator *g);

/* ---- random_fill.c ---- */
/* Float. [from, to), needs from <= to. */
void taper__random_uniform(taper_generator *g, taper_dtype dtype, void *p, int64_t n, double from, double to);
/* Float. Needs std >= 0. From 16 elements on another rule than below is used, and only for contiguous tensors. */
void taper__random_normal(taper_generator *g, taper_dtype dtype, void *p, int64_t n, double mean, double std);
/* Float. The rule for few elements, at any n: what a tensor that is not contiguous gets. */
void taper__random_normal_serial(taper_generator *g, taper_dtype dtype, void *p, int64_t n, double mean, double std);
/* Float. Needs lambda > 0, std > 0, sigma > 0. */
void taper__random_exponential(taper_generator *g, taper_dtype dtype, void *p, int64_t n, double lambda);
void taper__random_log_normal(taper_generator *g, taper_dtype dtype, void *p, int64_t n, double mean, double std);
void taper__random_cauchy(taper_generator *g, taper_dtype dtype, void *p, int64_t n, double median, double sigma);
/* Any. Number of trials up to the first success; needs 0 < chance < 1. */
void taper__random_geometric(taper_generator *g, taper_dtype dtype, void *p, int64_t n, double chance);
/* Any. 1 with probability `chance` (0 <= chance <= 1), else 0. */
void taper__random_bernoulli(taper_generator *g, taper_dtype dtype, void *p, int64_t n, double chance);
/* Any. One probability per element: chance[n] of float dtype `chance_dtype`. */
void taper__random_bernoulli_each(taper_generator *g, taper_dtype dtype, void *p, int64_t n, taper_dtype chance_dtype,
                                  const void *chance);
/* Float. The factors of dropout: 0 with probability `drop` (< 1), else 1 / (1 - drop). */
void taper__random_dropout(taper_generator *g, taper_dtype dtype, void *p, int64_t n, double drop);

/* ---- random_int.c ---- */
/* Any. from + (a word of the stream) mod range; range = to - from > 0, as unsigned 64-bit. */
void taper__random_int(taper_generator *g, taper_dtype dtype, void *p, int64_t n, int64_t from, uint64_t range);
/* Any. tensor.random_(): [0, largest value] for integers, [0, 2^digits] for floats, {0, 1} for bool. */
uint64_t taper__random_all_range(taper_dtype dtype); /* how many numbers random_() draws from, from 0 */
void taper__random_all(taper_generator *g, taper_dtype dtype, void *p, int64_t n);
/* I64, F64, F32, BF16. All 2^64 integers: tensor.random_(-2**63, None). */
void taper__random_all64(taper_generator *g, taper_dtype dtype, void *p, int64_t n);
/* Any but bool. A permutation of 0 ... n - 1. */
void taper__random_permutation(taper_generator *g, taper_dtype dtype, void *p, int64_t n);
/* One draw as tensor.random_() of int64 makes it: how loaders seed their own generators. */
int64_t taper__random_seed_draw(taper_generator *g);

/* ---- random_multinomial.c ---- */
/* out (rows, samples) = categories drawn with probabilities p (rows, classes), float dtype, not normalised. Without
 * replacement samples <= classes. RUNTIME with torch's sentence for a bad row, MEMORY; out is then unspecified. */
taper_status taper__random_multinomial(taper_generator *g, int64_t *out, taper_dtype dtype, const void *p, int64_t rows,
                                       int64_t classes, int64_t samples, bool replacement);

/* Elements moved as bytes, whatever type the caller reads them as. */
typedef uint8_t __attribute__((may_alias)) random_bytes1;
typedef uint16_t __attribute__((may_alias)) random_bytes2;
typedef uint32_t __attribute__((may_alias)) random_bytes4;
typedef uint64_t __attribute__((may_alias)) random_bytes8;

/* ---- random_congruential.c: the rules of PyTorch built with MKL ---- */
/* Whether they are wanted (knob TAPER_CPU_RANDOM). Tensors that are not row-major are then drawn in row-major order. */
bool taper__random_mkl(void);
/* Any. The element whose bytes are `one` with probability `chance`, else 0. */
void taper__random_congruential_choose(taper_generator *g, taper_dtype dtype, void *p, int64_t n, double chance, uint64_t one);
/* Float. n exponentials of the stream, from number `skip` on; seed: drawn once, generator already locked. */
uint32_t taper__random_congruential_seed(taper_generator *locked, taper_dtype dtype);
void taper__random_congruential_exponential(uint32_t seed, int64_t skip, taper_dtype dtype, void *p, int64_t n, double lambda);

/* p[at + i] = hit[i] ? `one` (the bytes of an element) : 0; at and n in elements of `size` bytes. */
void taper__random_spread(size_t size, void *p, int64_t at, const uint8_t *restrict hit, int64_t n, uint64_t one);

/* The plain rule, generator already locked. */
void taper__random_exponential_locked(taper_generator *g, taper_dtype dtype, void *p, int64_t n, double lambda);

#endif
