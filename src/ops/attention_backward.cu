/* The gradient of attention on tensor cores, float16 and bfloat16, in two passes that nobody adds to but their owner: a block
 * of query rows makes dq, a block of keys makes dk and dv. Scores are made again from the saved log of the sums. */
#include "ops/attention.cuh"

/* Negative infinity, of a row that sees nothing, must give weights of zero. */
EL_FN float at_log(float lse) { return lse == -AT_INF ? AT_INF : lse * AT_LOG2E; }

/* delta = the sum of out * dout over each row: 4, 8 or 16 threads for a row, each 8 elements. */
template <bool BF16> EL_FN void attention_delta(const taper_attention_args &g) {
    const unsigned lanes = TAPER_ATTENTION_DELTA_LANES(g.V), rows = (unsigned)g.B * g.H * g.L;
    const unsigned r = (blockIdx.x * TAPER_ATTENTION_THREADS + threadIdx.x) / lanes, col = threadIdx.x % lanes * 8;
    float sum = 0;
    if (r < rows && col < (unsigned)g.V) {
        const int row = r % (unsigned)g.L, h = r / (unsigned)g.L % (unsigned)g.H, b = r / (unsigned)g.L / (unsigned)g.H;
        float o[8], d[8];
        el_load8(o, at_rows(g.out, b, h, row) + col, 0, BF16 ? TAPER_BF16 : TAPER_F16);
        el_load8(d, at_rows(g.dout, b, h, row) + col, 0, BF16 ? TAPER_BF16 : TAPER_F16);
#pragma unroll
        for (int i = 0; i < 8; i++) sum += o[i] * d[i];
    }
    for (unsigned d = lanes / 2; d > 0; d /= 2) sum += __shfl_xor_sync(0xffffffffu, sum, d);
    if (r < rows && col == 0) ((float *)g.delta)[r] = sum;
}
extern "C" __global__ void __launch_bounds__(TAPER_ATTENTION_THREADS) attention_delta_f16(const __grid_constant__ taper_attention_args g) {
    attention_delta<false>(g);
}
extern "C" __global__ void __launch_bounds__(TAPER_ATTENTION_THREADS) attention_delta_bf16(const __grid_constant__ taper_attention_args g) {
    attention_delta<true>(g);
}

/* dq = scale * ds k, where ds = p (dp - delta), dp = dout v^T */
template <bool BF16, int HEAD, bool EXTRA> EL_FN void attention_dq(const taper_attention_args &g) {
    enum { TILES = TAPER_ATTENTION_BACKWARD_TILES(HEAD), ROWS = TAPER_ATTENTION_WARPS * TILES * 16, KEYS = TAPER_ATTENTION_BACKWARD_STEP,
           PITCH = HEAD + TAPER_ATTENTION_PAD, STAGE = KEYS * PITCH };
    extern __shared__ __align__(16) uint16_t shared[];
    uint16_t *const sq = shared, *const sd = sq + ROWS * PITCH, *const sk = sd + ROWS * PITCH, *const sv = sk + 2 * STAGE;
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32, group = lane / 4, pair = lane % 4 * 2;
    const int tiles = (g.L + ROWS - 1) / ROWS, bh = blockIdx.x / tiles, b = bh / g.H, h = bh % g.H;
    const int q0 = (tiles - 1 - (int)(blockIdx.x % tiles)) * ROWS, w0 = q0 + warp * TILES * 16;
    const int keys = g.causal && q0 + ROWS < g.S ? q0 + ROWS : g.S;
    const uint16_t *k = at_rows(g.k, b, h / g.G, 0), *v = at_rows(g.v, b, h / g.G, 0);
    const float c = (float)g.scale * AT_LOG2E;
    const int left = (warp * TILES * 16 + mma_left_row(lane)) * PITCH + mma_left_col(lane), right = mma_right_row(lane) * PITCH + mma_right_col(lane);
    const int turned = mma_turned_row(lane) * PITCH + mma_turned_col(lane);
    float dq[TILES][HEAD / 8][4] = {}, lse[TILES][2], delta[TILES][2], by[TILES][2];
    at_load<ROWS, HEAD>(sq, at_rows(g.q, b, h, q0), g.q.stride[2], g.L - q0, g.E);
    at_load<ROWS, HEAD>(sd, at_rows(g.dout, b, h, q0), g.dout.stride[2], g.L - q0, g.V);
    at_load<KEYS, HEAD>(sk, k, g.k.stride[2], g.S, g.E);
    at_load<KEYS, HEAD>(sv, v, g.v.stride[2], g.S, g.V);
    mma_copies_end();
#pragma unroll
    for (int m = 0; m < TILES; m++)
#pragma unroll
        for (int r = 0; r < 2; r++) {
            const int row = w0 + m * 16 + r * 8 + group;
            const int64_t at = (int64_t)bh * g.L + row;
            lse[m][r] = row < g.L ? at_log(((const float *)g.lse)[at]) : AT_INF;
            delta[m][r] = row < g.L ? ((const float *)g.delta)[at] : 0;
            by[m][r] = (float)g.scale;
        }
    for (int k0 = 0, stage = 0; k0 < keys; k0 += KEYS, stage ^= 1) {
        mma_copies_wait<0>();
        __syncthreads();
        if (k0 + KEYS < keys) {
            at_load<KEYS, HEAD>(sk + (stage ^ 1) * STAGE, k + (k0 + KEYS) * g.k.stride[2], g.k.stride[2], g.S - k0 - KEYS, g.E);
            at_load<KEYS, HEAD>(sv + (stage ^ 1) * STAGE, v + (k0 + KEYS) * g.v.stride[2], g.v.stride[2], g.S - k0 - KEYS, g.V);
            mma_copies_end();
        }
        if (g.causal && k0 > w0 + TILES * 16 - 1) continue; /* the last keys of the block may all lie behind this warp's rows */
        float p[TILES][KEYS / 8][4], d[TILES][KEYS / 8][4];
        at_scores<BF16, TILES, KEYS, HEAD>(p, mma_shared(sq + left), mma_shared(sk + stage * STAGE + right));
        at_scores<BF16, TILES, KEYS, HEAD>(d, mma_shared(sd + left), mma_shared(sv + stage * STAGE + right));
        if (EXTRA && g.mask.p) {
            const float back = 1 / (float)g.scale;
#pragma unroll
            for (int m = 0; m < TILES; m++)
#pragma unroll
                for (int n = 0; n < KEYS / 8; n++)
#pragma unroll
                    for (int i = 0; i < 4; i++)
                        p[m][n][i] = at_masked(g, p[m][n][i], back, b, h, w0 + m * 16 + i / 2 * 8 + group, k0 + n * 8 + pair + i % 2);
        }
        const bool edge = k0 + KEYS > g.S || (g.causal && k0 + KEYS > w0 + 1);
#pragma unroll
        for (int m = 0; m < TILES; m++)
#pragma unroll
            for (int r = 0; r < 2; r++) {
                const int row = w0 + m * 16 + r * 8 + group;
                taper__philox4 w = {};
                if (EXTRA && g.drop) w = taper__philox_drawn(g.seed, g.offset, TAPER_ATTENTION_DROP_INDEX((uint64_t)bh * g.L + row, k0 + pair, g.S));
#pragma unroll
                for (int n = 0; n < KEYS / 8; n++)
#pragma unroll
                    for (int i = 2 * r; i < 2 * r + 2; i++) {
                        float s = p[m][n][i] * c, dp = d[m][n][i];
                        const int key = k0 + n * 8 + pair + i % 2;
                        if (EXTRA && g.drop) dp = at_keeps(g, w.x[n], i % 2) ? dp * (float)g.keep_scale : 0;
                        if (edge && (key >= g.S || (g.causal && key > row))) s = -AT_INF;
                        p[m][n][i] = at_exp2(s - lse[m][r]) * (dp - delta[m][r]);
                    }
            }
        at_gather<BF16, TILES, KEYS, HEAD>(dq, p, mma_shared(sk + stage * STAGE + turned));
    }
    mma_copies_wait<0>();
    if (!keys) __syncthreads();
    at_store<BF16, TILES, HEAD>(sq + warp * TILES * 16 * PITCH, dq, by, at_rows(g.dq, b, h, w0), g.dq.stride[2], g.L - w0, g.E);
}
AT_KERNELS(attention_dq, attention_dq, 0)

/* One float from global to shared memory. */
EL_FN void at_copy4(float *to, const float *from, bool in) {
    asm volatile("cp.async.ca.shared.global [%0], [%1], 4, %2;" ::"r"(mma_shared(to)), "l"(from), "r"(in ? 4 : 0) : "memory");
}

/* dv = p^T dout and dk = scale * ds^T q: rows are keys here, so that p^T lies in accumulators as the next product reads it. */
template <bool BF16, int HEAD, bool EXTRA> EL_FN void attention_dkv(const taper_attention_args &g) {
    enum { TILES = TAPER_ATTENTION_DKV_TILES(HEAD, EXTRA), ROWS = TAPER_ATTENTION_WARPS * TILES * 16, STEP = TAPER_ATTENTION_BACKWARD_STEP,
           PITCH = HEAD + TAPER_ATTENTION_PAD, STAGE = STEP * PITCH };
    extern __shared__ __align__(16) uint16_t shared[];
    uint16_t *const sk = shared, *const sv = sk + ROWS * PITCH, *const sq = sv + ROWS * PITCH, *const sd = sq + 2 * STAGE;
    float *const sl = (float *)(sd + 2 * STAGE), *const st = sl + 2 * STEP;
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32, group = lane / 4, pair = lane % 4 * 2;
    const int tiles = (g.S + ROWS - 1) / ROWS, heads = g.H / g.G, bh = blockIdx.x / tiles, b = bh / heads, kv = bh % heads;
    const int k0 = (int)(blockIdx.x % tiles) * ROWS, w0 = k0 + warp * TILES * 16;
    const int first = g.causal ? k0 / STEP * STEP : 0;
    const float c = (float)g.scale * AT_LOG2E;
    const int left = (warp * TILES * 16 + mma_left_row(lane)) * PITCH + mma_left_col(lane), right = mma_right_row(lane) * PITCH + mma_right_col(lane);
    const int turned = mma_turned_row(lane) * PITCH + mma_turned_col(lane);
    float dk[TILES][HEAD / 8][4] = {}, dv[TILES][HEAD / 8][4] = {};

    auto load = [&](int h, int q0, int stage) {
        at_load<STEP, HEAD>(sq + stage * STAGE, at_rows(g.q, b, h, q0), g.q.stride[2], g.L - q0, g.E);
        at_load<STEP, HEAD>(sd + stage * STAGE, at_rows(g.dout, b, h, q0), g.dout.stride[2], g.L - q0, g.V);
        const int i = threadIdx.x % STEP;
        const int64_t at = ((int64_t)b * g.H + h) * g.L + q0;
        const bool in = q0 + i < g.L;
        if (threadIdx.x < STEP) at_copy4(sl + stage * STEP + i, (const float *)g.lse + at + (in ? i : 0), in);
        else if (threadIdx.x < 2 * STEP) at_copy4(st + stage * STEP + i, (const float *)g.delta + at + (in ? i : 0), in);
        mma_copies_end();
    };
    at_load<ROWS, HEAD>(sk, at_rows(g.k, b, kv, k0), g.k.stride[2], g.S - k0, g.E);
    at_load<ROWS, HEAD>(sv, at_rows(g.v, b, kv, k0), g.v.stride[2], g.S - k0, g.V);
    const int last = kv * g.G + g.G;
    if (first < g.L) load(kv * g.G, first, 0);
    else mma_copies_end();
    for (int h = kv * g.G, q0 = first, stage = 0, h1, q1; h < last && first < g.L; h = h1, q0 = q1, stage ^= 1) {
        h1 = h, q1 = q0 + STEP;
        if (q1 >= g.L) h1++, q1 = first;
        mma_copies_wait<0>();
        __syncthreads();
        if (h1 < last) load(h1, q1, stage ^ 1);
        if (g.causal && w0 > q0 + STEP - 1) continue;
        float p[TILES][STEP / 8][4], d[TILES][STEP / 8][4];
        at_scores<BF16, TILES, STEP, HEAD>(p, mma_shared(sk + left), mma_shared(sq + stage * STAGE + right));
        if (EXTRA && g.mask.p) {
            const float back = 1 / (float)g.scale;
#pragma unroll
            for (int m = 0; m < TILES; m++)
#pragma unroll
                for (int n = 0; n < STEP / 8; n++)
#pragma unroll
                    for (int i = 0; i < 4; i++)
                        p[m][n][i] = at_masked(g, p[m][n][i], back, b, h, q0 + n * 8 + pair + i % 2, w0 + m * 16 + i / 2 * 8 + group);
        }
        const bool edge = g.causal && w0 + TILES * 16 - 1 > q0;
        unsigned kept = 0; /* a bit for each weight of this lane */
#pragma unroll
        for (int n = 0; n < STEP / 8; n++)
#pragma unroll
            for (int j = 0; j < 2; j++) {
                const int row = q0 + n * 8 + pair + j;
                const float lse = at_log(sl[stage * STEP + n * 8 + pair + j]);
                taper__philox4 w = {};
                if (EXTRA && g.drop)
                    w = taper__philox_drawn(g.seed, g.offset, TAPER_ATTENTION_DROP_INDEX(((uint64_t)b * g.H + h) * g.L + row, w0 + group, g.S));
#pragma unroll
                for (int m = 0; m < TILES; m++)
#pragma unroll
                    for (int r = 0; r < 2; r++) {
                        const int key = w0 + m * 16 + r * 8 + group, i = 2 * r + j;
                        float s = p[m][n][i] * c;
                        if (edge && key > row) s = -AT_INF;
                        p[m][n][i] = at_exp2(s - lse);
                        if (EXTRA && g.drop) {
                            const unsigned word = TILES == 2 ? w.x[2 * m + r] : w0 % 32 ? w.x[2 + r] : w.x[r];
                            if (at_keeps(g, word, group % 2)) kept |= 1u << ((m * (STEP / 8) + n) * 4 + i);
                        }
                    }
            }
        at_scores<BF16, TILES, STEP, HEAD>(d, mma_shared(sv + left), mma_shared(sd + stage * STAGE + right));
#pragma unroll
        for (int m = 0; m < TILES; m++)
#pragma unroll
            for (int n = 0; n < STEP / 8; n++)
#pragma unroll
                for (int i = 0; i < 4; i++) {
                    float dp = d[m][n][i];
                    const float w = p[m][n][i];
                    if (EXTRA && g.drop) {
                        const bool keep = kept >> ((m * (STEP / 8) + n) * 4 + i) & 1;
                        dp = keep ? dp * (float)g.keep_scale : 0;
                        p[m][n][i] = keep ? w * (float)g.keep_scale : 0;
                    }
                    d[m][n][i] = w * (dp - st[stage * STEP + n * 8 + pair + i % 2]);
                }
        at_gather<BF16, TILES, STEP, HEAD>(dv, p, mma_shared(sd + stage * STAGE + turned));
        at_gather<BF16, TILES, STEP, HEAD>(dk, d, mma_shared(sq + stage * STAGE + turned));
    }
    mma_copies_wait<0>();
    __syncthreads();
    float by[TILES][2], one[TILES][2];
#pragma unroll
    for (int m = 0; m < TILES; m++) by[m][0] = by[m][1] = (float)g.scale, one[m][0] = one[m][1] = 1;
    at_store<BF16, TILES, HEAD>(sk + warp * TILES * 16 * PITCH, dk, by, at_rows(g.dk, b, kv, w0), g.dk.stride[2], g.S - w0, g.E);
    at_store<BF16, TILES, HEAD>(sv + warp * TILES * 16 * PITCH, dv, one, at_rows(g.dv, b, kv, w0), g.dv.stride[2], g.S - w0, g.V);
}
/* The compiler would spill rather than take more than 128 registers. */
AT_KERNELS(attention_dkv, attention_dkv, 3)
