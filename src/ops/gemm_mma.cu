/* Matrix products of float16 and bfloat16 on tensor cores, for operands with one stride of 1 and rows at multiples of 16
 * bytes. Copies run some tiles ahead of the products; the result leaves through shared memory in whole rows.
 * grid: tiles, 1, batches times parts of k. */
#include "ops/gemm_store.cuh"
#include "ops/mma.cuh"

enum { TILE = TAPER_GEMM_FAST_TILE, KT = TAPER_GEMM_FAST_K, STAGES = TAPER_GEMM_FAST_STAGES, THREADS = TAPER_GEMM_FAST_THREADS,
       ALONG = TAPER_GEMM_FAST_ALONG, ACROSS = TAPER_GEMM_FAST_ACROSS, OPERAND = TAPER_GEMM_FAST_OPERAND, OUT = TAPER_GEMM_FAST_OUT };

/* Copies `left` elements, at most eight, and zeros for the rest. */
EL_FN void gm_copy(unsigned to, const uint16_t *from, int64_t left) {
    const int bytes = left >= 8 ? 16 : left > 0 ? (int)left * 2 : 0;
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(to), "l"(from), "r"(bytes) : "memory");
}

/* One tile of an operand whose other dim (m or n) has `size` rows from `first` on: k innermost (ACROSS_K false) or k outermost. */
template <bool TURNED> EL_FN void gm_load(uint16_t *to, const uint16_t *p, int64_t ld, int64_t first, int64_t size, int64_t k0, int64_t k1) {
    enum { CHUNKS = TURNED ? TILE / 8 : KT / 8, ROWS = TURNED ? KT : TILE, PITCH = TURNED ? ACROSS : ALONG };
#pragma unroll
    for (int i = threadIdx.x; i < ROWS * CHUNKS; i += THREADS) {
        const int row = i / CHUNKS, col = i % CHUNKS * 8;
        const int64_t outer = (TURNED ? k0 : first) + row, inner = (TURNED ? first : k0) + col;
        const int64_t left = outer < (TURNED ? k1 : size) ? (TURNED ? size : k1) - inner : 0;
        gm_copy(mma_shared(to + row * PITCH + col), left > 0 ? p + outer * ld + inner : p, left);
    }
}

template <bool BF16, bool TA, bool TB> EL_FN void gemm_fast(const taper_gemm_args &g) {
    extern __shared__ __align__(16) uint16_t shared[];
    const int t = threadIdx.x, lane = t % 32, warp = t / 32, wr = warp / 2 * 64, wc = warp % 2 * 64;
    const int part = blockIdx.z % g.parts;
    const int64_t z = blockIdx.z / g.parts, lda = TA ? g.a_col : g.a_row, ldb = TB ? g.b_row : g.b_col;
    const int64_t k_first = part * g.part_k, k_end = k_first + g.part_k < g.k ? k_first + g.part_k : g.k;
    const uint16_t *a = (const uint16_t *)g.a + z * g.a_batch, *b = (const uint16_t *)g.b + z * g.b_batch;
    const int steps = (int)((k_end - k_first + KT - 1) / KT);
    int64_t row0, col0;
    gs_tile(g, TILE, &row0, &col0);
    float sum[4][8][4] = {};
    /* Where this lane reads its rows of 16 x 16 blocks. A turned operand lies with k along the rows of shared memory. */
    const int at_a = TA ? (lane % 8 + lane / 16 * 8) * ACROSS + wr + lane / 8 % 2 * 8 : (wr + mma_left_row(lane)) * ALONG + mma_left_col(lane);
    const int at_b = TB ? mma_turned_row(lane) * ACROSS + wc + mma_turned_col(lane) : (wc + mma_right_row(lane)) * ALONG + mma_right_col(lane);

    for (int s = 0; s < STAGES - 1; s++) {
        if (s < steps) {
            gm_load<TA>(shared + s * 2 * OPERAND, a, lda, row0, g.m, k_first + s * KT, k_end);
            gm_load<TB>(shared + s * 2 * OPERAND + OPERAND, b, ldb, col0, g.n, k_first + s * KT, k_end);
        }
        mma_copies_end();
    }
    for (int s = 0; s < steps; s++) {
        mma_copies_wait<STAGES - 2>();
        __syncthreads();
        const int next = s + STAGES - 1;
        if (next < steps) {
            uint16_t *to = shared + next % STAGES * 2 * OPERAND;
            gm_load<TA>(to, a, lda, row0, g.m, k_first + next * (int64_t)KT, k_end);
            gm_load<TB>(to + OPERAND, b, ldb, col0, g.n, k_first + next * (int64_t)KT, k_end);
        }
        mma_copies_end();
        const unsigned sa = mma_shared(shared + s % STAGES * 2 * OPERAND + at_a), sb = mma_shared(shared + s % STAGES * 2 * OPERAND + OPERAND + at_b);
#pragma unroll
        for (int k = 0; k < KT; k += 16) {
            unsigned fa[4][4], fb[4][4];
#pragma unroll
            for (int i = 0; i < 4; i++) {
                if (TA) mma_load4_turned(fa[i], sa + (k * ACROSS + i * 16) * 2);
                else mma_load4(fa[i], sa + (i * 16 * ALONG + k) * 2);
                if (TB) mma_load4_turned(fb[i], sb + (k * ACROSS + i * 16) * 2);
                else mma_load4(fb[i], sb + (i * 16 * ALONG + k) * 2);
            }
#pragma unroll
            for (int i = 0; i < 4; i++)
#pragma unroll
                for (int j = 0; j < 8; j++) mma_16816<BF16>(sum[i][j], fa[i], fb[j / 2] + j % 2 * 2);
        }
    }
    mma_copies_wait<0>();
    __syncthreads();

    float *const out = (float *)shared;
#pragma unroll
    for (int i = 0; i < 4; i++)
#pragma unroll
        for (int j = 0; j < 8; j++)
#pragma unroll
            for (int h = 0; h < 2; h++)
                *(float2 *)&out[(wr + i * 16 + h * 8 + lane / 4) * OUT + wc + j * 8 + lane % 4 * 2] = make_float2(sum[i][j][2 * h], sum[i][j][2 * h + 1]);
    __syncthreads();
    const bool whole = g.n % 4 == 0;
    float *const partial = g.parts > 1 ? g.partial + (part * g.batch + z) * g.m * g.n : NULL;
#pragma unroll 1
    for (int i = t; i < TILE * TILE / 4; i += THREADS) {
        const int r = i / (TILE / 4), c = i % (TILE / 4) * 4;
        const int64_t row = row0 + r, col = col0 + c, at = row * g.n + col;
        if (row >= g.m || col >= g.n) continue;
        const float4 v4 = *(const float4 *)&out[r * OUT + c];
        const float v[4] = {v4.x, v4.y, v4.z, v4.w};
        if (partial) {
#pragma unroll
            for (int j = 0; j < 4; j++)
                if (col + j < g.n) partial[at + j] = v[j];
        } else if (whole) {
            gs_store4(g, z * g.m * g.n + at, col, v);
        } else {
#pragma unroll
            for (int j = 0; j < 4; j++)
                if (col + j < g.n) gs_store<float>(g, z * g.m * g.n + at + j, col + j, v[j]);
        }
    }
}

#define GM_KERNEL(type, bf16, name, ta, tb)                                                                            \
    extern "C" __global__ void __launch_bounds__(TAPER_GEMM_FAST_THREADS) gemm_fast_##type##_##name(                   \
        const __grid_constant__ taper_gemm_args g) {                                                                   \
        gemm_fast<bf16, ta, tb>(g);                                                                                    \
    }
/* n: k innermost, t: k outermost; a, then b. */
#define GM_KERNELS(type, bf16)                                                                                         \
    GM_KERNEL(type, bf16, nn, false, false)                                                                            \
    GM_KERNEL(type, bf16, nt, false, true)                                                                             \
    GM_KERNEL(type, bf16, tn, true, false)                                                                             \
    GM_KERNEL(type, bf16, tt, true, true)
GM_KERNELS(f16, false)
GM_KERNELS(bf16, true)

/* The sum over parts, in order, and the end of the product. */
extern "C" __global__ void __launch_bounds__(256) gemm_gather(const __grid_constant__ taper_gemm_args g) {
    const int64_t each = g.batch * g.m * g.n;
    for (int64_t i = blockIdx.x * (int64_t)blockDim.x + threadIdx.x; i < each; i += gridDim.x * (int64_t)blockDim.x) {
        float sum = 0;
        for (int p = 0; p < g.parts; p++) sum += g.partial[p * each + i];
        gs_store<float>(g, i, i % g.n, sum);
    }
}
