/* Products of float32 without tensor cores: 128 x 128 tiles, 8 x 8 elements for each thread, operands of any strides. The next
 * tile is read into registers while this one is multiplied. grid: tiles, 1, batches times parts of k. */
#include "ops/gemm_store.cuh"

enum { TILE = TAPER_GEMM_F32_TILE, KT = TAPER_GEMM_F32_K, THREADS = TAPER_GEMM_F32_THREADS, EACH = TILE * KT / THREADS, PITCH = TILE + 4 };

/* This thread's elements of a tile: neighbours along the dim of stride 1 go to neighbouring threads. ALONG: that is k. */
template <bool ALONG> struct gf_source {
    const float *p;  /* of the first one */
    int64_t step, advance; /* to the next element; to the next tile */
    int left, k;     /* rows after the first one; its place in k */
    __device__ __forceinline__ gf_source(const float *from, int64_t row, int64_t col, int64_t first, int64_t size, int64_t k0) {
        const int r = ALONG ? threadIdx.x / KT : threadIdx.x % TILE, q = ALONG ? threadIdx.x % KT : threadIdx.x / TILE;
        p = from + (first + r) * row + (k0 + q) * col;
        step = ALONG ? THREADS / KT * row : THREADS / TILE * col;
        advance = KT * col;
        left = size - first - r < (1 << 20) ? (int)(size - first - r) : 1 << 20;
        k = q;
    }
    /* k_left: elements of k from this tile on */
    __device__ __forceinline__ void load(float *v, int64_t k_left) {
#pragma unroll
        for (int i = 0; i < EACH; i++)
            v[i] = (ALONG ? i * (THREADS / KT) < left && k < k_left : left > 0 && k + i * (THREADS / TILE) < k_left) ? p[i * step] : 0;
        p += advance;
    }
};
template <bool ALONG> EL_FN void gf_put(float (*to)[PITCH], const float *v) {
#pragma unroll
    for (int i = 0; i < EACH; i++) {
        const int j = threadIdx.x + i * THREADS;
        to[ALONG ? j % KT : j / TILE][ALONG ? j / KT : j % TILE] = v[i];
    }
}

/* One copy of the ends that are more than a store. */
static __device__ __noinline__ void gf_write(const taper_gemm_args &g, int64_t at, int64_t col, float sum) { gs_store<float, TAPER_F32>(g, at, col, sum); }
static __device__ __noinline__ void gf_write4(const taper_gemm_args &g, int64_t at, int64_t col, float a, float b, float c, float d) {
    const float sum[4] = {a, b, c, d};
    gs_store4<TAPER_F32>(g, at, col, sum);
}

template <bool A_ALONG, bool B_ALONG> EL_FN void gemm_f32_tiles(const taper_gemm_args &g) {
    __shared__ __align__(16) float sa[2][KT][PITCH], sb[2][KT][PITCH];
    const int tx = threadIdx.x % 16, ty = threadIdx.x / 16, part = blockIdx.z % g.parts;
    const int64_t z = blockIdx.z / g.parts, k_first = part * g.part_k, k_end = k_first + g.part_k < g.k ? k_first + g.part_k : g.k;
    const float *a = (const float *)g.a + z * g.a_batch, *b = (const float *)g.b + z * g.b_batch;
    int64_t row0, col0;
    gs_tile(g, TILE, &row0, &col0);
    float sum[8][8] = {}, va[EACH], vb[EACH];
    gf_source<A_ALONG> from_a(a, g.a_row, g.a_col, row0, g.m, k_first);
    gf_source<B_ALONG> from_b(b, g.b_col, g.b_row, col0, g.n, k_first);
    from_a.load(va, k_end - k_first);
    from_b.load(vb, k_end - k_first);
    int stage = 0;
    for (int64_t k0 = k_first; k0 < k_end; k0 += KT, stage ^= 1) {
        gf_put<A_ALONG>(sa[stage], va);
        gf_put<B_ALONG>(sb[stage], vb);
        __syncthreads(); /* the other stage is read by nobody once all are here */
        if (k0 + KT < k_end) {
            from_a.load(va, k_end - k0 - KT);
            from_b.load(vb, k_end - k0 - KT);
        }
#pragma unroll 1 /* more would not fit two blocks into the registers */
        for (int q = 0; q < KT; q++) {
            float x[8], y[8];
            *(float4 *)x = *(const float4 *)&sa[stage][q][ty * 4], *(float4 *)(x + 4) = *(const float4 *)&sa[stage][q][64 + ty * 4];
            *(float4 *)y = *(const float4 *)&sb[stage][q][tx * 4], *(float4 *)(y + 4) = *(const float4 *)&sb[stage][q][64 + tx * 4];
#pragma unroll
            for (int i = 0; i < 8; i++)
#pragma unroll
                for (int j = 0; j < 8; j++) sum[i][j] += x[i] * y[j];
        }
    }
    const bool whole = g.n % 4 == 0;
    float *const partial = g.parts > 1 ? g.partial + (part * g.batch + z) * g.m * g.n : NULL;
#pragma unroll
    for (int i = 0; i < 8; i++)
#pragma unroll
        for (int h = 0; h < 2; h++) {
            const int64_t row = row0 + i / 4 * 64 + ty * 4 + i % 4, col = col0 + h * 64 + tx * 4, at = row * g.n + col;
            if (row >= g.m || col >= g.n) continue;
            if (!partial && whole) {
                gf_write4(g, z * g.m * g.n + at, col, sum[i][h * 4], sum[i][h * 4 + 1], sum[i][h * 4 + 2], sum[i][h * 4 + 3]);
            } else {
#pragma unroll
                for (int j = 0; j < 4; j++)
                    if (col + j < g.n) {
                        if (partial) partial[at + j] = sum[i][h * 4 + j];
                        else gf_write(g, z * g.m * g.n + at + j, col + j, sum[i][h * 4 + j]);
                    }
            }
        }
}

#define GF_KERNEL(name, a, b)                                                                                          \
    extern "C" __global__ void __launch_bounds__(TAPER_GEMM_F32_THREADS, 2) gemm_f32_##name(const __grid_constant__ taper_gemm_args g) { \
        gemm_f32_tiles<a, b>(g);                                                                                       \
    }
/* n: k innermost, t: k not innermost; a, then b. */
GF_KERNEL(nn, true, true)
GF_KERNEL(nt, true, false)
GF_KERNEL(tn, false, true)
GF_KERNEL(tt, false, false)
