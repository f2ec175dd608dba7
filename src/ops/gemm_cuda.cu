/* Matrix products of any strides and dtype: plain tiles for float64 and integers, tensor cores for float16 and bfloat16 that
 * gemm_mma.cu cannot copy 16 bytes at a time. A block makes a 64 x 64 tile. grid: tiles of n, of m, batches. */
#include "ops/gemm_store.cuh"
#include "ops/mma.cuh"

enum { TILE = TAPER_GEMM_TILE, PLAIN_K = 16, MMA_K = 32, MMA_PITCH = MMA_K + 8 };

/* A call, not inlined 16 times: with every dtype and both gelus in it, it was minutes of compiling. */
template <class A> static __device__ __noinline__ void gemm_write(const taper_gemm_args &g, int64_t batch, int64_t row, int64_t col, A sum) {
    if (row < g.m && col < g.n) gs_store<A>(g, (batch * g.m + row) * g.n + col, col, sum);
}

/* Threads take neighbours along the dim of stride 1. */
template <class A> EL_FN void gemm_plain(const taper_gemm_args &g) {
    __shared__ A sa[PLAIN_K][TILE + 1], sb[PLAIN_K][TILE + 1];
    const int t = threadIdx.x, tx = t % 16, ty = t / 16;
    const int64_t row0 = blockIdx.y * (int64_t)TILE, col0 = blockIdx.x * (int64_t)TILE;
    for (int64_t z = blockIdx.z; z < g.batch; z += gridDim.z) {
        A sum[4][4] = {};
        for (int64_t k0 = 0; k0 < g.k; k0 += PLAIN_K) {
            for (int i = t; i < TILE * PLAIN_K; i += TAPER_GEMM_THREADS_PLAIN) {
                int r = g.a_col == 1 ? i / PLAIN_K : i % TILE, q = g.a_col == 1 ? i % PLAIN_K : i / TILE;
                bool in = row0 + r < g.m && k0 + q < g.k;
                sa[q][r] = in ? el_load<A>(g.a, z * g.a_batch + (row0 + r) * g.a_row + (k0 + q) * g.a_col, g.dtype) : (A)0;
                r = g.b_col == 1 ? i % TILE : i / PLAIN_K, q = g.b_col == 1 ? i / TILE : i % PLAIN_K;
                in = col0 + r < g.n && k0 + q < g.k;
                sb[q][r] = in ? el_load<A>(g.b, z * g.b_batch + (k0 + q) * g.b_row + (col0 + r) * g.b_col, g.dtype) : (A)0;
            }
            __syncthreads();
#pragma unroll
            for (int q = 0; q < PLAIN_K; q++) {
                A a[4], b[4];
#pragma unroll
                for (int i = 0; i < 4; i++) a[i] = sa[q][ty + 16 * i], b[i] = sb[q][tx + 16 * i];
#pragma unroll
                for (int i = 0; i < 4; i++)
#pragma unroll
                    for (int j = 0; j < 4; j++) sum[i][j] += a[i] * b[j];
            }
            __syncthreads();
        }
#pragma unroll
        for (int i = 0; i < 4; i++)
#pragma unroll
            for (int j = 0; j < 4; j++) gemm_write<A>(g, z, row0 + ty + 16 * i, col0 + tx + 16 * j, sum[i][j]);
    }
}
extern "C" __global__ void __launch_bounds__(256) gemm_i64(const __grid_constant__ taper_gemm_args g) { gemm_plain<int64_t>(g); }
extern "C" __global__ void __launch_bounds__(256) gemm_f64(const __grid_constant__ taper_gemm_args g) { gemm_plain<double>(g); }

/* Four warps, each 32 x 32 of the tile. Both operands lie in shared memory with k innermost. */
template <bool BF16> EL_FN void gemm_half(const taper_gemm_args &g) {
    __shared__ __align__(16) uint16_t sa[TILE][MMA_PITCH], sb[TILE][MMA_PITCH];
    const int t = threadIdx.x, lane = t % 32, warp = t / 32, group = lane / 4, pair = lane % 4 * 2;
    const int wr = warp / 2 * 32, wc = warp % 2 * 32;
    const int64_t row0 = blockIdx.y * (int64_t)TILE, col0 = blockIdx.x * (int64_t)TILE;
    for (int64_t z = blockIdx.z; z < g.batch; z += gridDim.z) {
        const uint16_t *a = (const uint16_t *)g.a + z * g.a_batch, *b = (const uint16_t *)g.b + z * g.b_batch;
        float sum[2][4][4] = {};
        for (int64_t k0 = 0; k0 < g.k; k0 += MMA_K) {
#pragma unroll 4
            for (int i = t; i < TILE * MMA_K; i += TAPER_GEMM_THREADS_MMA) {
                int r = g.a_col == 1 ? i / MMA_K : i % TILE, q = g.a_col == 1 ? i % MMA_K : i / TILE;
                sa[r][q] = row0 + r < g.m && k0 + q < g.k ? a[(row0 + r) * g.a_row + (k0 + q) * g.a_col] : (uint16_t)0;
                r = g.b_col == 1 ? i % TILE : i / MMA_K, q = g.b_col == 1 ? i / TILE : i % MMA_K;
                sb[r][q] = col0 + r < g.n && k0 + q < g.k ? b[(k0 + q) * g.b_row + (col0 + r) * g.b_col] : (uint16_t)0;
            }
            __syncthreads();
#pragma unroll
            for (int q = 0; q < MMA_K; q += 16) {
                unsigned fa[2][4], fb[4][2];
#pragma unroll
                for (int i = 0; i < 2; i++)
#pragma unroll
                    for (int h = 0; h < 4; h++)
                        fa[i][h] = *(const unsigned *)&sa[wr + i * 16 + group + h % 2 * 8][q + pair + h / 2 * 8];
#pragma unroll
                for (int j = 0; j < 4; j++)
#pragma unroll
                    for (int h = 0; h < 2; h++) fb[j][h] = *(const unsigned *)&sb[wc + j * 8 + group][q + pair + h * 8];
#pragma unroll
                for (int i = 0; i < 2; i++)
#pragma unroll
                    for (int j = 0; j < 4; j++) mma_16816<BF16>(sum[i][j], fa[i], fb[j]);
            }
            __syncthreads();
        }
#pragma unroll
        for (int i = 0; i < 2; i++)
#pragma unroll
            for (int j = 0; j < 4; j++)
#pragma unroll
                for (int h = 0; h < 4; h++)
                    gemm_write<float>(g, z, row0 + wr + i * 16 + group + h / 2 * 8, col0 + wc + j * 8 + pair + h % 2, sum[i][j][h]);
    }
}
extern "C" __global__ void __launch_bounds__(128) gemm_f16(const __grid_constant__ taper_gemm_args g) { gemm_half<false>(g); }
extern "C" __global__ void __launch_bounds__(128) gemm_bf16(const __grid_constant__ taper_gemm_args g) { gemm_half<true>(g); }
