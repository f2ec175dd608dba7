/* Loops of attention over scores, compiled once per instruction set. */
#include "ops/attention.h"
#include "ops/gemm_vec.h"
#include "ops/vmath.h"

#if defined(__clang__)
#define ATTENTION_VECTOR _Pragma("clang loop vectorize(enable) interleave(enable)")
#else
#define ATTENTION_VECTOR _Pragma("GCC ivdep")
#endif

#define T float
#define X f32
#define LANES F32_LANES
#define EXP vm_exp_normalf
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
