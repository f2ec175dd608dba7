/* Loops of attention over scores, compiled once per instruction set. */
#include "ops/attention.h"
#include "ops/gemm_vec.h"
#include "ops/vmath.h"

#if defined(__clang__)
#define ATTENTION_VECTOR _Pragma("clang loop vectorize(enable) interleave(enable)")
#else
#define ATTENTION_VECTOR _Pragma("GCC ivdep")
#endif

/* e^x for x up to about 0: a scale of one piece, which is 0 where the result would be subnormal. */
static inline float attention_exp(float x) {
    float n, t = x < -104.0f ? -104.0f : x;
    float p = vm_exp_reduce(t, &n) + 1.0f;
    n = n < -127.0f ? -127.0f : n;
    return p * vm_from_bits(((int32_t)n + 127) << 23);
}

#define T float
#define X f32
#define LANES F32_LANES
#define EXP attention_exp
#define LOG vm_logf
#include "ops/attention_loops.h"
#undef ATTENTION_VECTOR
#define ATTENTION_VECTOR
#define T double
#define X f64
#define LANES F64_LANES
#define EXP exp
#define LOG log
#include "ops/attention_loops.h"
