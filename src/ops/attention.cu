/* Attention forward on tensor cores, float16 and bfloat16: a block has 128 query rows of one head and lets the keys pass by
 * (Dao 2023, arXiv:2307.08691). EXTRA: with attn_mask or dropout. grid: tiles of rows, the longest of a causal head first. */
#include "ops/attention.cuh"

template <bool BF16, int HEAD, bool EXTRA> EL_FN void attention_forward(const taper_attention_args &g) {
    enum { TILES = TAPER_ATTENTION_FORWARD_TILES, ROWS = TAPER_ATTENTION_WARPS * TILES * 16, KEYS = TAPER_ATTENTION_FORWARD_KEYS(HEAD),
           PITCH = HEAD + TAPER_ATTENTION_PAD, STAGE = KEYS * PITCH };
    extern __shared__ __align__(16) uint16_t shared[];
    uint16_t *const sq = shared, *const sk = sq + ROWS * PITCH, *const sv = sk + 2 * STAGE;
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32, group = lane / 4, pair = lane % 4 * 2;
    const int tiles = (g.L + ROWS - 1) / ROWS, bh = blockIdx.x / tiles, b = bh / g.H, h = bh % g.H;
    const int q0 = (tiles - 1 - (int)(blockIdx.x % tiles)) * ROWS, w0 = q0 + warp * TILES * 16;
    const int keys = g.causal && q0 + ROWS < g.S ? q0 + ROWS : g.S;
    const uint16_t *k = at_rows(g.k, b, h / g.G, 0), *v = at_rows(g.v, b, h / g.G, 0);
    const float c = (float)g.scale * AT_LOG2E;
    const unsigned left = mma_shared(sq + (warp * TILES * 16 + mma_left_row(lane)) * PITCH + mma_left_col(lane));
    const unsigned right = mma_shared(sk + mma_right_row(lane) * PITCH + mma_right_col(lane));
    const unsigned turned = mma_shared(sv + mma_turned_row(lane) * PITCH + mma_turned_col(lane));
    float o[TILES][HEAD / 8][4] = {}, high[TILES][2], sum[TILES][2];
#pragma unroll
    for (int m = 0; m < TILES; m++) high[m][0] = high[m][1] = -AT_INF, sum[m][0] = sum[m][1] = 0;

    at_load<ROWS, HEAD>(sq, at_rows(g.q, b, h, q0), g.q.stride[2], g.L - q0, g.E);
    at_load<KEYS, HEAD>(sk, k, g.k.stride[2], g.S, g.E);
    at_load<KEYS, HEAD>(sv, v, g.v.stride[2], g.S, g.V);
    mma_copies_end();
    for (int k0 = 0, stage = 0; k0 < keys; k0 += KEYS, stage ^= 1) {
        mma_copies_wait<0>();
        __syncthreads(); /* this stage is there, and nobody reads the other one any more */
        if (k0 + KEYS < keys) {
            at_load<KEYS, HEAD>(sk + (stage ^ 1) * STAGE, k + (k0 + KEYS) * g.k.stride[2], g.k.stride[2], g.S - k0 - KEYS, g.E);
            at_load<KEYS, HEAD>(sv + (stage ^ 1) * STAGE, v + (k0 + KEYS) * g.v.stride[2], g.v.stride[2], g.S - k0 - KEYS, g.V);
            mma_copies_end();
        }
        float s[TILES][KEYS / 8][4];
        at_scores<BF16, TILES, KEYS, HEAD>(s, left, right + stage * STAGE * 2);
        if (EXTRA && g.mask.p) {
            const float back = 1 / (float)g.scale;
#pragma unroll
            for (int m = 0; m < TILES; m++)
#pragma unroll
                for (int n = 0; n < KEYS / 8; n++)
#pragma unroll
                    for (int i = 0; i < 4; i++)
                        s[m][n][i] = at_masked(g, s[m][n][i], back, b, h, w0 + m * 16 + i / 2 * 8 + group, k0 + n * 8 + pair + i % 2);
        }
        if (k0 + KEYS > g.S || (g.causal && k0 + KEYS > w0 + 1)) {
#pragma unroll
            for (int m = 0; m < TILES; m++)
#pragma unroll
                for (int n = 0; n < KEYS / 8; n++)
#pragma unroll
                    for (int i = 0; i < 4; i++) {
                        int row = w0 + m * 16 + i / 2 * 8 + group, key = k0 + n * 8 + pair + i % 2;
                        if (key >= g.S || (g.causal && key > row)) s[m][n][i] = -AT_INF;
                    }
        }
#pragma unroll
        for (int m = 0; m < TILES; m++)
#pragma unroll
            for (int r = 0; r < 2; r++) {
                float top = high[m][r], part = 0;
#pragma unroll
                for (int n = 0; n < KEYS / 8; n++) top = fmaxf(top, fmaxf(s[m][n][2 * r], s[m][n][2 * r + 1]));
                top = fmaxf(top, __shfl_xor_sync(0xffffffffu, top, 1));
                top = fmaxf(top, __shfl_xor_sync(0xffffffffu, top, 2));
                const float zero = top == -AT_INF ? 0 : top * c, factor = at_exp2(high[m][r] * c - zero);
#pragma unroll
                for (int n = 0; n < KEYS / 8; n++)
#pragma unroll
                    for (int i = 2 * r; i < 2 * r + 2; i++) {
                        s[m][n][i] = at_exp2(s[m][n][i] * c - zero);
                        part += s[m][n][i];
                    }
                sum[m][r] = sum[m][r] * factor + part;
                high[m][r] = top;
#pragma unroll
                for (int n = 0; n < HEAD / 8; n++) o[m][n][2 * r] *= factor, o[m][n][2 * r + 1] *= factor;
                if (EXTRA && g.drop) {
                    const uint64_t row = (uint64_t)bh * g.L + w0 + m * 16 + r * 8 + group;
#pragma unroll
                    for (int part32 = 0; part32 < KEYS / 32; part32++) {
                        taper__philox4 w = taper__philox_drawn(g.seed, g.offset, TAPER_ATTENTION_DROP_INDEX(row, k0 + part32 * 32 + pair, g.S));
#pragma unroll
                        for (int n = 0; n < 4; n++)
#pragma unroll
                            for (int i = 0; i < 2; i++)
                                if (!at_keeps(g, w.x[n], i)) s[m][part32 * 4 + n][2 * r + i] = 0;
                    }
                }
            }
        at_gather<BF16, TILES, KEYS, HEAD>(o, s, turned + stage * STAGE * 2);
    }
    mma_copies_wait<0>();
    float by[TILES][2];
#pragma unroll
    for (int m = 0; m < TILES; m++)
#pragma unroll
        for (int r = 0; r < 2; r++) {
            float all = sum[m][r];
            all += __shfl_xor_sync(0xffffffffu, all, 1);
            all += __shfl_xor_sync(0xffffffffu, all, 2);
            by[m][r] = all == 0 ? 0 : (EXTRA ? (float)g.keep_scale : 1) / all;
            const int row = w0 + m * 16 + r * 8 + group;
            if (pair == 0 && row < g.L) ((float *)g.lse)[(int64_t)bh * g.L + row] = all == 0 ? -AT_INF : high[m][r] * c * AT_LN2 + logf(all);
        }
    if (!keys) __syncthreads(); /* the rows were still being copied by other warps */
    at_store<BF16, TILES, HEAD>(sq + warp * TILES * 16 * PITCH, o, by, at_rows(g.out, b, h, w0), g.out.stride[2], g.L - w0, g.V);
}
AT_KERNELS(attention_forward, attention_forward, 0)
