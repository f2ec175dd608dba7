/* Convolution as a product whose right factor is gathered from the images while it is multiplied (conv_args.h). Tensor cores
 * for float16 and bfloat16, plain tiles for float and double. Sums over parts of the depth are joined in their order. */
#include "ops/conv_args.h"
#include "ops/mma.cuh"

enum { ROWS = TAPER_CONV_ROWS, COLS = TAPER_CONV_COLS, DEPTH = TAPER_CONV_DEPTH, DEPTH_PLAIN = TAPER_CONV_DEPTH_PLAIN, PITCH = DEPTH + 8 };

EL_FN int64_t conv_divide(int64_t a, int64_t b) { return (a | b) >> 32 == 0 ? (int64_t)((unsigned)a / (unsigned)b) : a / b; }

/* What one index of cols or depth contributes: an offset into a (or out), and to the element of b. */
struct conv_at {
    int64_t own, b;
    int h, w;
};

EL_FN conv_at conv_place(const taper_conv_args &g, int64_t index) {
    const int64_t line = conv_divide(index, g.place_size[1]), image = conv_divide(line, g.place_size[0]);
    const int i = (int)(line - image * g.place_size[0]), j = (int)(index - line * g.place_size[1]);
    return {image * g.place_image + i * g.place_step[0] + j * g.place_step[1], image * g.b_image, i * g.place_mul[0] + g.place_add[0],
            j * g.place_mul[1] + g.place_add[1]};
}
EL_FN conv_at conv_tap(const taper_conv_args &g, int64_t index) {
    int64_t c;
    int r, s;
    if (g.last) {
        const int64_t window = conv_divide(index, g.taps);
        c = index - window * g.taps;
        r = (int)window / (int)g.tap_size[1], s = (int)window - r * (int)g.tap_size[1];
    } else {
        const int64_t size = g.tap_size[0] * g.tap_size[1];
        c = conv_divide(index, size);
        const int window = (int)(index - c * size);
        r = window / (int)g.tap_size[1], s = window - r * (int)g.tap_size[1];
    }
    return {c * g.tap_channel + r * g.tap_step[0] + s * g.tap_step[1], c * g.b_channel, r * g.tap_mul[0], s * g.tap_mul[1]};
}
/* A column and a step of depth: a place and a tap, or for the gradient of the weight the other way round. */
EL_FN conv_at conv_index(const taper_conv_args &g, bool tap, int64_t index) { return tap ? conv_tap(g, index) : conv_place(g, index); }

/* Where the two meet in b; false: outside. DIVIDED: at a quotient, where there is one. */
template <bool DIVIDED> EL_FN bool conv_meet(const taper_conv_args &g, const conv_at &x, const conv_at &y, int64_t *at) {
    int h = x.h + y.h, w = x.w + y.w;
    if (DIVIDED) {
        const int dh = g.divide[0], dw = g.divide[1], p = (int)((unsigned)h / (unsigned)dh), q = (int)((unsigned)w / (unsigned)dw);
        if (h < 0 || w < 0 || p * dh != h || q * dw != w) return false;
        h = p, w = q;
    }
    *at = x.b + y.b + h * g.b_step[0] + w * g.b_step[1];
    return (unsigned)h < (unsigned)g.limit[0] && (unsigned)w < (unsigned)g.limit[1];
}

/* The columns of a block and the depth of one step, each worked out once for all threads. */
EL_FN void conv_columns(const taper_conv_args &g, conv_at *cols, int64_t col0) {
    if (threadIdx.x < COLS) cols[threadIdx.x] = conv_index(g, g.cols_tap, col0 + threadIdx.x < g.cols ? col0 + threadIdx.x : 0);
}
template <int N> EL_FN void conv_table(const taper_conv_args &g, conv_at *table, int64_t k0, int64_t end) {
    if (threadIdx.x < N && k0 + threadIdx.x < end) table[threadIdx.x] = conv_index(g, !g.cols_tap, k0 + threadIdx.x);
}

template <class A> EL_FN void conv_write(const taper_conv_args &g, int64_t group, int64_t part, int64_t row, int64_t col, int64_t own, A sum) {
    if (row >= g.rows || col >= g.cols) return;
    if (g.partial) {
        ((A *)g.partial)[((part * g.groups + group) * g.rows + row) * g.cols + col] = sum;
        return;
    }
    if (g.bias) sum += el_load<A>(g.bias, group * g.rows + row, g.dtype);
    el_store<A>(g.out, group * g.out_group + row * g.out_row + own, g.dtype, sum);
}

/* ---- plain ---- */

/* Part of a step's b: column bc, every other line of depth. */
template <class T, bool DIVIDED>
EL_FN void conv_fill_plain(const taper_conv_args &g, const T *b, const conv_at &mine, const conv_at *table, T (*to)[COLS + 4], int64_t left, bool in) {
    const int bc = threadIdx.x % COLS, bk = threadIdx.x / COLS;
#pragma unroll
    for (int i = 0; i < COLS * DEPTH_PLAIN / 256; i++) {
        const int k = bk + i * (256 / COLS);
        int64_t at;
        to[k][bc] = in && k < left && conv_meet<DIVIDED>(g, mine, table[k], &at) ? b[at] : (T)0;
    }
}

/* Each thread makes 4 rows by 8 columns. */
template <class T> EL_FN void conv_plain(const taper_conv_args &g) {
    __shared__ __align__(16) T sa[DEPTH_PLAIN][ROWS + 4], sb[DEPTH_PLAIN][COLS + 4];
    __shared__ conv_at table[DEPTH_PLAIN], cols[COLS];
    const int t = threadIdx.x, tx = t % 16, ty = t / 16;
    const int64_t group = blockIdx.z % g.groups, part = blockIdx.z / g.groups, row0 = blockIdx.y * (int64_t)ROWS, col0 = blockIdx.x * (int64_t)COLS;
    const int64_t end = (part + 1) * g.part < g.depth ? (part + 1) * g.part : g.depth;
    const T *a = (const T *)g.a + group * g.a_group, *b = (const T *)g.b + group * g.b_group;
    const int ak = t % DEPTH_PLAIN, ar = t / DEPTH_PLAIN;
    conv_columns(g, cols, col0);
    __syncthreads();
    const bool col_in = col0 + t % COLS < g.cols;
    const conv_at mine = cols[t % COLS];
    T sum[4][8] = {};
    for (int64_t k0 = part * g.part; k0 < end; k0 += DEPTH_PLAIN) {
        conv_table<DEPTH_PLAIN>(g, table, k0, end);
        __syncthreads();
#pragma unroll
        for (int i = 0; i < ROWS * DEPTH_PLAIN / 256; i++) {
            const int64_t row = row0 + ar + i * (256 / DEPTH_PLAIN);
            sa[ak][ar + i * (256 / DEPTH_PLAIN)] = row < g.rows && k0 + ak < end ? a[row * g.a_row + table[ak].own] : (T)0;
        }
        if (g.divided)
            conv_fill_plain<T, true>(g, b, mine, table, sb, end - k0, col_in);
        else
            conv_fill_plain<T, false>(g, b, mine, table, sb, end - k0, col_in);
        __syncthreads();
#pragma unroll
        for (int k = 0; k < DEPTH_PLAIN; k++) {
            T x[4], y[8];
#pragma unroll
            for (int i = 0; i < 4; i++) x[i] = sa[k][ty * 4 + i];
#pragma unroll
            for (int j = 0; j < 8; j++) y[j] = sb[k][j / 4 * 64 + tx * 4 + j % 4];
#pragma unroll
            for (int i = 0; i < 4; i++)
#pragma unroll
                for (int j = 0; j < 8; j++) sum[i][j] += x[i] * y[j];
        }
        __syncthreads();
    }
#pragma unroll
    for (int j = 0; j < 8; j++) {
        const int col = j / 4 * 64 + tx * 4 + j % 4;
#pragma unroll
        for (int i = 0; i < 4; i++) conv_write<T>(g, group, part, row0 + ty * 4 + i, col0 + col, cols[col].own, sum[i][j]);
    }
}

/* ---- tensor cores ---- */

/* Eight elements along depth: of one row of a, of one column of b. */
EL_FN uint4 conv_fetch_a(const taper_conv_args &g, const uint16_t *row, const conv_at *table, int k, int64_t left, bool in) {
    if (!in) return make_uint4(0, 0, 0, 0);
    if (g.a_wide) return left > k ? *(const uint4 *)(row + table[k].own) : make_uint4(0, 0, 0, 0);
    unsigned v[4];
#pragma unroll
    for (int i = 0; i < 4; i++) {
        const unsigned low = k + 2 * i < left ? row[table[k + 2 * i].own] : 0, high = k + 2 * i + 1 < left ? row[table[k + 2 * i + 1].own] : 0;
        v[i] = low | high << 16;
    }
    return make_uint4(v[0], v[1], v[2], v[3]);
}
template <bool DIVIDED> EL_FN uint4 conv_gather_b(const taper_conv_args &g, const uint16_t *b, const conv_at &col, const conv_at *table, int k, int64_t left) {
    unsigned v[4];
#pragma unroll
    for (int i = 0; i < 4; i++) {
        int64_t at;
        const unsigned low = k + 2 * i < left && conv_meet<DIVIDED>(g, col, table[k + 2 * i], &at) ? b[at] : 0;
        const unsigned high = k + 2 * i + 1 < left && conv_meet<DIVIDED>(g, col, table[k + 2 * i + 1], &at) ? b[at] : 0;
        v[i] = low | high << 16;
    }
    return make_uint4(v[0], v[1], v[2], v[3]);
}
EL_FN uint4 conv_fetch_b(const taper_conv_args &g, const uint16_t *b, const conv_at &col, const conv_at *table, int k, int64_t left, bool in) {
    int64_t at;
    if (!in) return make_uint4(0, 0, 0, 0);
    if (g.b_wide) {
        const bool meet = left > k && (g.divided ? conv_meet<true>(g, col, table[k], &at) : conv_meet<false>(g, col, table[k], &at));
        return meet ? *(const uint4 *)(b + at) : make_uint4(0, 0, 0, 0);
    }
    return g.divided ? conv_gather_b<true>(g, b, col, table, k, left) : conv_gather_b<false>(g, b, col, table, k, left);
}

/* Eight warps of 32 x 32; the next step's elements wait in registers while this one's are multiplied. */
template <bool BF16> EL_FN void conv_half(const taper_conv_args &g) {
    __shared__ __align__(16) uint16_t sa[2][ROWS][PITCH], sb[2][COLS][PITCH];
    __shared__ conv_at table[2][DEPTH], cols[COLS];
    const int t = threadIdx.x, lane = t % 32, warp = t / 32, wr = warp / 4 * 32, wc = warp % 4 * 32;
    const int64_t group = blockIdx.z % g.groups, part = blockIdx.z / g.groups, row0 = blockIdx.y * (int64_t)ROWS, col0 = blockIdx.x * (int64_t)COLS;
    const int64_t begin = part * g.part, end = begin + g.part < g.depth ? begin + g.part : g.depth;
    const uint16_t *a = (const uint16_t *)g.a + group * g.a_group, *b = (const uint16_t *)g.b + group * g.b_group;
    conv_columns(g, cols, col0);
    conv_table<DEPTH>(g, table[1], begin, end);
    __syncthreads();
    /* neighbours in a warp: along depth where that is one wide load, along columns else */
    const int ar = t / 4, ak = t % 4 * 8;
    int bc[2], bk[2];
    conv_at mine[2];
    bool in[2];
#pragma unroll
    for (int i = 0; i < 2; i++) {
        bc[i] = g.b_wide ? t / 4 + 64 * i : t % COLS;
        bk[i] = g.b_wide ? t % 4 * 8 : (t / COLS + 2 * i) * 8;
        in[i] = col0 + bc[i] < g.cols;
        mine[i] = cols[bc[i]];
    }
    const bool row_in = row0 + ar < g.rows;
    a += row_in ? (row0 + ar) * g.a_row : 0;
    float sum[2][4][4] = {};
    uint4 next_a, next_b[2];
    int now = 0;
    /* The first round only fetches. */
    for (int64_t k0 = begin - DEPTH; k0 < end; k0 += DEPTH, now ^= 1) {
        const int64_t left = end - k0 - DEPTH;
        if (left > 0) {
            next_a = conv_fetch_a(g, a, table[now ^ 1], ak, left, row_in);
#pragma unroll
            for (int i = 0; i < 2; i++) next_b[i] = conv_fetch_b(g, b, mine[i], table[now ^ 1], bk[i], left, in[i]);
            conv_table<DEPTH>(g, table[now], k0 + 2 * DEPTH, end);
        }
#pragma unroll
        for (int q = 0; q < DEPTH && k0 >= begin; q += 16) {
            unsigned fa[2][4], fb[2][4];
#pragma unroll
            for (int i = 0; i < 2; i++)
                mma_load4(fa[i], mma_shared(&sa[now][wr + i * 16 + mma_left_row(lane)][q + mma_left_col(lane)]));
#pragma unroll
            for (int j = 0; j < 2; j++)
                mma_load4(fb[j], mma_shared(&sb[now][wc + j * 16 + mma_right_row(lane)][q + mma_right_col(lane)]));
#pragma unroll
            for (int i = 0; i < 2; i++)
#pragma unroll
                for (int j = 0; j < 4; j++) mma_16816<BF16>(sum[i][j], fa[i], fb[j / 2] + j % 2 * 2);
        }
        if (left > 0) {
            *(uint4 *)&sa[now ^ 1][ar][ak] = next_a;
#pragma unroll
            for (int i = 0; i < 2; i++) *(uint4 *)&sb[now ^ 1][bc[i]][bk[i]] = next_b[i];
        }
        __syncthreads();
    }
    const int row = lane / 4, pair = lane % 4 * 2;
#pragma unroll
    for (int j = 0; j < 4; j++)
#pragma unroll
        for (int h = 0; h < 2; h++) {
            const int col = wc + j * 8 + pair + h;
#pragma unroll
            for (int i = 0; i < 4; i++) conv_write<float>(g, group, part, row0 + wr + i * 8 + row, col0 + col, cols[col].own, sum[i / 2][j][i % 2 * 2 + h]);
        }
}

#define CONV_KERNEL(name, kernel)                                                                                      \
    extern "C" __global__ void __launch_bounds__(256) conv_##name(const __grid_constant__ taper_conv_args g) { kernel(g); }
CONV_KERNEL(f32, conv_plain<float>)
CONV_KERNEL(f64, conv_plain<double>)
CONV_KERNEL(f16, conv_half<false>)
CONV_KERNEL(bf16, conv_half<true>)

/* out = the parts added in their order. */
template <class A> EL_FN void conv_join(const taper_conv_args &g, int parts) {
    const int64_t each = g.groups * g.rows * g.cols;
    for (int64_t i = blockIdx.x * (int64_t)blockDim.x + threadIdx.x; i < each; i += (int64_t)gridDim.x * blockDim.x) {
        const int64_t line = conv_divide(i, g.cols), group = conv_divide(line, g.rows), row = line - group * g.rows;
        A sum = 0;
        for (int p = 0; p < parts; p++) sum += ((const A *)g.partial)[p * each + i];
        if (g.bias) sum += el_load<A>(g.bias, line, g.dtype);
        el_store<A>(g.out, group * g.out_group + row * g.out_row + conv_index(g, g.cols_tap, i - line * g.cols).own, g.dtype, sum);
    }
}
extern "C" __global__ void __launch_bounds__(256) conv_join_f32(const __grid_constant__ taper_conv_args g, int parts) { conv_join<float>(g, parts); }
extern "C" __global__ void __launch_bounds__(256) conv_join_f64(const __grid_constant__ taper_conv_args g, int parts) { conv_join<double>(g, parts); }
