/* What the tensor-core kernels of attention share: tiles in shared memory, masks, dropout. Scores are kept in units of
 * log2(e), so that the exponential is one instruction. */
#ifndef TAPER_OPS_ATTENTION_CUH
#define TAPER_OPS_ATTENTION_CUH

#include "ops/attention_args.h"
#include "ops/mma.cuh"
#include "tensor/philox.h"

#define AT_INF __int_as_float(0x7f800000)
#define AT_LOG2E 1.4426950408889634f
#define AT_LN2 0.6931471805599453f

EL_FN float at_exp2(float x) {
    float y;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
}

/* Element (b, h, row, 0) of a view of 16-bit numbers. */
EL_FN uint16_t *at_rows(const taper_attention_view &v, int b, int h, int row) {
    return (uint16_t *)v.p + b * v.stride[0] + h * v.stride[1] + row * v.stride[2];
}

/* Starts copying ROWS rows of `cols` elements; what is outside becomes zero. */
template <int ROWS, int HEAD> EL_FN void at_load(uint16_t *to, const uint16_t *from, int64_t stride, int rows, int cols) {
    enum { CHUNKS = HEAD / 8, PITCH = HEAD + TAPER_ATTENTION_PAD };
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ < 900
#pragma unroll 1 /* with the addresses of all copies alive at once the compiler for sm_80 runs out of registers */
#else
#pragma unroll
#endif
    for (int i = threadIdx.x; i < ROWS * CHUNKS; i += TAPER_ATTENTION_THREADS) {
        int row = i / CHUNKS, col = i % CHUNKS * 8;
        bool in = row < rows && col < cols;
        mma_copy16(mma_shared(to + row * PITCH + col), in ? from + row * stride + col : from, in);
    }
}

/* Writes the rows of one warp's 16 x 8 tiles, times `by`, through its own part of shared memory. */
template <bool BF16, int TILES, int HEAD>
EL_FN void at_store(uint16_t *through, float (*sum)[HEAD / 8][4], float (*by)[2], uint16_t *to, int64_t stride, int rows, int cols) {
    enum { CHUNKS = HEAD / 8, PITCH = HEAD + TAPER_ATTENTION_PAD };
    const int lane = threadIdx.x % 32, group = lane / 4, pair = lane % 4 * 2;
    __syncwarp();
#pragma unroll
    for (int m = 0; m < TILES; m++)
#pragma unroll
        for (int n = 0; n < CHUNKS; n++)
#pragma unroll
            for (int r = 0; r < 2; r++)
                *(unsigned *)(through + (m * 16 + r * 8 + group) * PITCH + n * 8 + pair) =
                    mma_pack<BF16>(sum[m][n][2 * r] * by[m][r], sum[m][n][2 * r + 1] * by[m][r]);
    __syncwarp();
#pragma unroll 4
    for (int i = lane; i < TILES * 16 * CHUNKS; i += 32) {
        int row = i / CHUNKS, col = i % CHUNKS * 8;
        if (row < rows && col < cols) *(uint4 *)(to + row * stride + col) = *(const uint4 *)(through + row * PITCH + col);
    }
}

/* s (TILES * 16 rows of left, COLS rows of right) = left right^T over HEAD elements. */
template <bool BF16, int TILES, int COLS, int HEAD> EL_FN void at_scores(float (*s)[COLS / 8][4], unsigned left, unsigned right) {
    enum { PITCH = HEAD + TAPER_ATTENTION_PAD };
#pragma unroll
    for (int m = 0; m < TILES; m++)
#pragma unroll
        for (int n = 0; n < COLS / 8; n++) s[m][n][0] = s[m][n][1] = s[m][n][2] = s[m][n][3] = 0;
#pragma unroll
    for (int k = 0; k < HEAD; k += 16) {
        unsigned a[TILES][4], b[4];
#pragma unroll
        for (int m = 0; m < TILES; m++) mma_load4(a[m], left + (m * 16 * PITCH + k) * 2);
#pragma unroll
        for (int n = 0; n < COLS; n += 16) {
            mma_load4(b, right + (n * PITCH + k) * 2);
#pragma unroll
            for (int m = 0; m < TILES; m++) {
                mma_16816<BF16>(s[m][n / 8], a[m], b);
                mma_16816<BF16>(s[m][n / 8 + 1], a[m], b + 2);
            }
        }
    }
}

/* sum (TILES * 16, HEAD) += p (TILES * 16, COLS) right (COLS, HEAD): p goes from accumulators to a left factor as it lies. */
template <bool BF16, int TILES, int COLS, int HEAD> EL_FN void at_gather(float (*sum)[HEAD / 8][4], float (*p)[COLS / 8][4], unsigned right) {
    enum { PITCH = HEAD + TAPER_ATTENTION_PAD };
#pragma unroll
    for (int k = 0; k < COLS / 16; k++) {
        unsigned a[TILES][4], b[4];
#pragma unroll
        for (int m = 0; m < TILES; m++)
#pragma unroll
            for (int i = 0; i < 4; i++) a[m][i] = mma_pack<BF16>(p[m][2 * k + i / 2][i % 2 * 2], p[m][2 * k + i / 2][i % 2 * 2 + 1]);
#pragma unroll
        for (int n = 0; n < HEAD; n += 16) {
            mma_load4_turned(b, right + (k * 16 * PITCH + n) * 2);
#pragma unroll
            for (int m = 0; m < TILES; m++) {
                mma_16816<BF16>(sum[m][n / 8], a[m], b);
                mma_16816<BF16>(sum[m][n / 8 + 1], a[m], b + 2);
            }
        }
    }
}

/* A product of query and key under attn_mask; back: 1 / scale, because the sum is scaled later. */
EL_FN float at_masked(const taper_attention_args &g, float s, float back, int b, int h, int row, int key) {
    if (row >= g.L || key >= g.S) return s;
    const int64_t at = b * g.mask.stride[0] + h * g.mask.stride[1] + row * g.mask.stride[2] + key * g.mask.stride[3];
    if (g.mask_dtype == TAPER_BOOL) return ((const uint8_t *)g.mask.p)[at] ? s : -AT_INF;
    const float m = g.mask_dtype == TAPER_BF16 ? __bfloat162float(((const __nv_bfloat16 *)g.mask.p)[at]) : __half2float(((const __half *)g.mask.p)[at]);
    return s + m * back;
}

/* Weights are dropped in 4 x 2 neighbours of 32 keys: see attention_args.h. */
EL_FN bool at_keeps(const taper_attention_args &g, unsigned word, int half) { return (half ? word >> 16 : word & 0xffffu) >= g.drop; }

/* least: blocks of a multiprocessor with heads of 32 and EXTRA; 0: the compiler's choice. */
#define AT_KERNEL(name, function, bf16, type, head, least)                                                             \
    extern "C" __global__ void __launch_bounds__(TAPER_ATTENTION_THREADS) name##_##type##_##head(                      \
        const __grid_constant__ taper_attention_args g) {                                                              \
        function<bf16, head, false>(g);                                                                                \
    }                                                                                                                  \
    extern "C" __global__ void __launch_bounds__(TAPER_ATTENTION_THREADS, (head) == 32 ? least : 0) name##_##type##_##head##_extra( \
        const __grid_constant__ taper_attention_args g) {                                                              \
        function<bf16, head, true>(g);                                                                                 \
    }
#define AT_KERNELS(name, function, least)                                                                              \
    AT_KERNEL(name, function, false, f16, 32, least)                                                                   \
    AT_KERNEL(name, function, false, f16, 64, least)                                                                   \
    AT_KERNEL(name, function, false, f16, 96, least)                                                                   \
    AT_KERNEL(name, function, false, f16, 128, least)                                                                  \
    AT_KERNEL(name, function, true, bf16, 32, least)                                                                   \
    AT_KERNEL(name, function, true, bf16, 64, least)                                                                   \
    AT_KERNEL(name, function, true, bf16, 96, least)                                                                   \
    AT_KERNEL(name, function, true, bf16, 128, least)

#endif
