/* Row loops of attention, compiled once per instruction set. */
#include "ops/attention.h"
#include "ops/vmath.h"

#if defined(__clang__)
#define ATTENTION_VECTOR _Pragma("clang loop vectorize(enable) interleave(enable)")
#else
#define ATTENTION_VECTOR _Pragma("GCC ivdep")
#endif

#define T float
#define X f32
#define EXP vm_expf
#include "ops/attention_loops.h"
#undef ATTENTION_VECTOR
#define ATTENTION_VECTOR
#define T double
#define X f64
#define EXP exp
#include "ops/attention_loops.h"

const taper_attention_loops TAPER_SIMD(taper__attention_loops) = {
    .grow = {grow_f32, grow_f64},
    .scale = {scale_f32, scale_f64},
    .again = {again_f32, again_f64},
    .slope = {slope_f32, slope_f64},
};
