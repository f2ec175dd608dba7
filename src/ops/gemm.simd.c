/* Matrix multiplication kernels of one instruction set. */
#include "ops/gemm_kernel.h"
#include "ops/gemm_vec.h"

/* Two vectors wide and as many rows as leave registers for one row of B and one element of A. */
#if defined(TAPER_SIMD_v4)
#define GEMM_TILE_ROWS 14
#define GEMM_TILE_LIST(X) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11) X(12) X(13) X(14)
#else
#define GEMM_TILE_ROWS 6
#define GEMM_TILE_LIST(X) X(1) X(2) X(3) X(4) X(5) X(6)
#endif

enum { GEMM_UNROLL = 2 }; /* steps of k between changes of the pointers */

VEC_INLINE float gemm_widen_bf16(uint16_t h) {
    uint32_t bits = (uint32_t)h << 16;
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

VEC_INLINE f32_vec gemm_some_bf16(const uint16_t *p, int n) {
    uint16_t whole[F32_LANES] = {0};
    for (int i = 0; i < n; i++) whole[i] = p[i];
    return f32_load_bf16(whole);
}

#define T float
#define X f32
#define LANES F32_LANES
#define GEMM_DEPTH 512
#define GEMM_WITH_BF16 1
#include "ops/gemm_tile.h"

#define T double
#define X f64
#define LANES F64_LANES
#define GEMM_DEPTH 512
#define GEMM_WITH_BF16 0
#include "ops/gemm_tile.h"
