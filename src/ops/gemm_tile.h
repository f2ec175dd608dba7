/* Tile and packing kernels of one element type. Included by gemm.simd.c with T (float), X (f32) and LANES defined. */
#define NAME_(a, b, c) a##_##b##_##c
#define NAME2(a, b, c) NAME_(a, b, c)
#define V(verb) TAPER_SIMD_JOIN(X, verb)

#define GEMM_GROUPS ((GEMM_TILE_ROWS + 2) / 3)
#define GEMM_A_STRIDE ((GEMM_TILE_ROWS + LANES - 1) / LANES * LANES)

/* x += A B for one tile where a column of A is contiguous, as it is when packed. */
VEC_INLINE void NAME2(gemm, sum_columns, X)(const int rows, const int vectors, V(vec) x[][2], int64_t k, const T *a,
                                            int64_t a_col, const T *b, int64_t b_row) {
#pragma GCC unroll 2
    for (int64_t p = 0; p < k; p++) {
        V(vec) bv[2];
#pragma GCC unroll 2
        for (int v = 0; v < vectors; v++) bv[v] = V(load)(b + v * LANES);
#pragma GCC unroll 14
        for (int i = 0; i < rows; i++) {
            V(vec) av = V(all)(a[i]);
#pragma GCC unroll 2
            for (int v = 0; v < vectors; v++) x[i][v] = V(fma)(av, bv[v], x[i][v]);
        }
        a += a_col;
        b += b_row;
        __asm__("" : "+r"(a), "+r"(b)); /* or both steps get pointers of their own */
    }
}

/* The same where a row of A is contiguous. One pointer serves three rows: x86 addresses reach base, base + stride and
 * base + 2 strides. */
VEC_INLINE void NAME2(gemm, sum_rows, X)(const int rows, const int vectors, V(vec) x[][2], int64_t k, const T *a,
                                         int64_t a_row, const T *b, int64_t b_row) {
    const char *ap[GEMM_GROUPS];
    const int64_t a_down = a_row * (int64_t)sizeof(T);
#pragma GCC unroll 5
    for (int i = 0; i < GEMM_GROUPS; i++) ap[i] = (const char *)a + 3 * i * a_down;
    for (int64_t p = 0; p < k; p += GEMM_UNROLL) {
#pragma GCC unroll 2
        for (int q = 0; q < GEMM_UNROLL; q++) {
            if (q && p + q >= k) return;
            V(vec) bv[2];
#pragma GCC unroll 2
            for (int v = 0; v < vectors; v++) bv[v] = V(load)(b + v * LANES);
#pragma GCC unroll 14
            for (int i = 0; i < rows; i++) {
                V(vec) av = V(all)(*(const T *)(ap[i / 3] + i % 3 * a_down + q * (int)sizeof(T)));
#pragma GCC unroll 2
                for (int v = 0; v < vectors; v++) x[i][v] = V(fma)(av, bv[v], x[i][v]);
            }
            b += b_row;
            __asm__("" : "+r"(b));
        }
#pragma GCC unroll 5
        for (int i = 0; i < GEMM_GROUPS; i++) {
            ap[i] += GEMM_UNROLL * sizeof(T);
            __asm__("" : "+r"(ap[i])); /* or the compiler folds them into one pointer and spilled offsets */
        }
    }
}

/* c = act(alpha x + beta c + bias); the last vector of each row goes by the mask. */
static void NAME2(gemm, finish, X)(int rows, int vectors, V(vec) (*x)[2], T *c, int64_t c_row, V(mask) mask,
                                   const gemm_tail *tail) {
    const V(vec) alpha = V(all)((T)tail->alpha), beta = V(all)((T)tail->beta);
    const V(mask) all = V(first)(LANES);
    for (int v = 0; v < vectors; v++) {
        const V(mask) part = v == vectors - 1 ? mask : all;
        V(vec) bias = V(all)(0);
        if (tail->bias) bias = V(load_part)((const T *)tail->bias + v * LANES, part);
        for (int i = 0; i < rows; i++) {
            T *to = c + i * c_row + v * LANES;
            V(vec) y = x[i][v] * alpha;
            if (tail->beta != 0) y = V(fma)(beta, V(load_part)(to, part), y);
            if (tail->bias) y += bias;
            if (tail->relu) y = V(relu)(y);
            V(store_part)(to, part, y);
        }
    }
}

/* rows and vectors are constants at each use, so the sums live in registers: 28 of AVX-512's 32, 12 of 16 elsewhere. */
VEC_INLINE void NAME2(gemm, tile, X)(const int rows, const int vectors, int64_t k, const T *a, int64_t a_row,
                                     int64_t a_col, const T *b, int64_t b_row, T *c, int64_t c_row, int cols,
                                     const gemm_tail *tail) {
    const int last = vectors - 1, rest = cols - last * LANES;
    const bool whole = rest == LANES;
    const V(mask) mask = V(first)(rest);
    V(vec) x[GEMM_TILE_ROWS][2];
#pragma GCC unroll 14
    for (int i = 0; i < rows; i++)
#pragma GCC unroll 2
        for (int v = 0; v < vectors; v++) x[i][v] = V(all)(0);
    /* C is often in no near cache; the sums take long enough to fetch it. Where it is only written, stores wait by
     * themselves, and fetching would keep A and B waiting. */
    if (tail->beta != 0)
#pragma GCC unroll 14
        for (int i = 0; i < rows; i++)
#pragma GCC unroll 2
            for (int v = 0; v < vectors; v++) __builtin_prefetch(c + i * c_row + v * LANES, 1);
    if (a_row == 1)
        NAME2(gemm, sum_columns, X)(rows, vectors, x, k, a, a_col, b, b_row);
    else
        NAME2(gemm, sum_rows, X)(rows, vectors, x, k, a, a_row, b, b_row);
    /* Only the two commonest ends are written out for every size of tile. */
    const bool plain = tail->alpha == 1 && !tail->bias && !tail->relu && whole, add = tail->beta == 1;
    if (!plain || (!add && tail->beta != 0)) {
        NAME2(gemm, finish, X)(rows, vectors, x, c, c_row, mask, tail);
        return;
    }
#pragma GCC unroll 14
    for (int i = 0; i < rows; i++)
#pragma GCC unroll 2
        for (int v = 0; v < vectors; v++) {
            T *to = c + i * c_row + v * LANES;
            if (add) x[i][v] += V(load)(to);
            V(store)(to, x[i][v]);
        }
}

#define GEMM_TILE(rows, vectors)                                                                                       \
    static void NAME2(NAME2(gemm_tile, rows, vectors), of, X)(int64_t k, const void *a, int64_t a_row, int64_t a_col,  \
                                                              const void *b, int64_t b_row, void *c, int64_t c_row,    \
                                                              int cols, const gemm_tail *tail) {                       \
        NAME2(gemm, tile, X)(rows, vectors, k, a, a_row, a_col, b, b_row, c, c_row, cols, tail);                       \
    }
#define GEMM_TILES(rows) GEMM_TILE(rows, 1) GEMM_TILE(rows, 2)
GEMM_TILE_LIST(GEMM_TILES)
#undef GEMM_TILES

#define GEMM_PACK(name, S, load_whole, load_some, widen)                                                               \
    static void NAME2(gemm, name, X)(void *to, int stride, const void *from, int64_t across, int64_t along, int width, \
                                     int64_t k) {                                                                      \
        T *dst = to;                                                                                                   \
        const S *src = from;                                                                                           \
        int64_t p = 0;                                                                                                 \
        if (along == 1) {                                                                                              \
            for (; p + LANES <= k; p += LANES)                                                                         \
                for (int w = 0; w < stride; w += LANES) {                                                              \
                    V(vec) r[LANES];                                                                                   \
                    _Pragma("GCC unroll 16") for (int i = 0; i < LANES; i++) r[i] =                                    \
                        w + i < width ? load_whole(src + (w + i) * across + p) : V(all)(0);                            \
                    V(transpose)(r);                                                                                   \
                    _Pragma("GCC unroll 16") for (int i = 0; i < LANES; i++)                                           \
                        V(store)(dst + (p + i) * stride + w, r[i]);                                                    \
                }                                                                                                      \
        } else if (across == 1) {                                                                                      \
            for (; p < k; p++) {                                                                                       \
                const S *row = src + p * along;                                                                        \
                T *out = dst + p * stride;                                                                             \
                for (int w = 0; w < stride; w += LANES)                                                                \
                    V(store)(out + w, w + LANES <= width ? load_whole(row + w) : load_some(row + w, width - w));       \
            }                                                                                                          \
        }                                                                                                              \
        for (; p < k; p++)                                                                                             \
            for (int w = 0; w < stride; w++) dst[p * stride + w] = w < width ? widen(src[w * across + p * along]) : 0; \
    }
#define GEMM_COPY(name, S, load_whole, load_some)                                                                      \
    static void NAME2(gemm, name, X)(void *to, int64_t to_row, const void *from, int64_t from_row, int64_t rows,       \
                                     int64_t k) {                                                                      \
        for (int64_t i = 0; i < rows; i++) {                                                                           \
            T *dst = (T *)to + i * to_row;                                                                             \
            const S *src = (const S *)from + i * from_row;                                                             \
            int64_t p = 0;                                                                                             \
            for (; p + LANES <= k; p += LANES) V(store)(dst + p, load_whole(src + p));                                 \
            if (p < k) V(store)(dst + p, load_some(src + p, (int)(k - p)));                                            \
        }                                                                                                              \
    }
#define GEMM_SAME(x) (x)
#define GEMM_SOME(p, n) V(load_part)(p, V(first)((n) > 0 ? (n) : 0))
GEMM_PACK(pack, T, V(load), GEMM_SOME, GEMM_SAME)
GEMM_COPY(copy, T, V(load), GEMM_SOME)
#if GEMM_WITH_BF16
GEMM_COPY(copy_bf16, uint16_t, V(load_bf16), gemm_some_bf16)
GEMM_PACK(pack_bf16, uint16_t, V(load_bf16), gemm_some_bf16, gemm_widen_bf16)
#endif

/* Two chains of sums for a row, whether it is alone or one of four: its result must not depend on the company. */
VEC_INLINE void NAME2(gemm, dots, X)(const int rows, int64_t k, const T *m, int64_t m_row, const T *x, T *sums) {
    V(vec) s[4][2];
#pragma GCC unroll 4
    for (int i = 0; i < rows; i++) s[i][0] = s[i][1] = V(all)(0);
    int64_t p = 0;
    for (; p + 2 * LANES <= k; p += 2 * LANES) {
        V(vec) x0 = V(load)(x + p), x1 = V(load)(x + p + LANES);
#pragma GCC unroll 4
        for (int i = 0; i < rows; i++) {
            s[i][0] = V(fma)(V(load)(m + i * m_row + p), x0, s[i][0]);
            s[i][1] = V(fma)(V(load)(m + i * m_row + p + LANES), x1, s[i][1]);
        }
    }
    for (; p < k; p += LANES) {
        V(mask) part = V(first)(k - p < LANES ? (int)(k - p) : LANES);
        V(vec) x0 = V(load_part)(x + p, part);
#pragma GCC unroll 4
        for (int i = 0; i < rows; i++) s[i][0] = V(fma)(V(load_part)(m + i * m_row + p, part), x0, s[i][0]);
    }
#pragma GCC unroll 4
    for (int i = 0; i < rows; i++) {
        T lanes[LANES];
        V(store)(lanes, s[i][0] + s[i][1]);
        for (int width = LANES / 2; width; width /= 2)
            for (int l = 0; l < width; l++) lanes[l] += lanes[l + width];
        sums[i] = lanes[0];
    }
}

static void NAME2(gemm, dot, X)(int64_t k, const void *m, int64_t m_row, const void *x, void *sums, int64_t count) {
    int64_t i = 0;
    for (; i + 4 <= count; i += 4) NAME2(gemm, dots, X)(4, k, (const T *)m + i * m_row, m_row, x, (T *)sums + i);
    for (; i < count; i++) NAME2(gemm, dots, X)(1, k, (const T *)m + i * m_row, m_row, x, (T *)sums + i);
}

VEC_INLINE void NAME2(gemm, axpys, X)(const int rows, const T *m, int64_t m_row, const T *x, T *sums, int64_t count) {
    int64_t j = 0;
    for (; j + LANES <= count; j += LANES) {
        V(vec) s = V(load)(sums + j);
#pragma GCC unroll 8
        for (int i = 0; i < rows; i++) s = V(fma)(V(all)(x[i]), V(load)(m + i * m_row + j), s);
        V(store)(sums + j, s);
    }
    if (j == count) return;
    V(mask) part = V(first)((int)(count - j));
    V(vec) s = V(load_part)(sums + j, part);
    for (int i = 0; i < rows; i++) s = V(fma)(V(all)(x[i]), V(load_part)(m + i * m_row + j, part), s);
    V(store_part)(sums + j, part, s);
}

static void NAME2(gemm, axpy, X)(int64_t k, const void *m, int64_t m_row, const void *x, void *sums, int64_t count) {
    for (int64_t j = 0; j < count; j++) ((T *)sums)[j] = 0;
    int64_t p = 0;
    for (; p + 8 <= k; p += 8) NAME2(gemm, axpys, X)(8, (const T *)m + p * m_row, m_row, (const T *)x + p, sums, count);
    for (; p < k; p++) NAME2(gemm, axpys, X)(1, (const T *)m + p * m_row, m_row, (const T *)x + p, sums, count);
}

static void NAME2(gemm, ends, X)(const void *sums, int64_t count, void *c, int64_t c_step, int64_t bias_step,
                                 const gemm_tail *tail) {
    const T alpha = (T)tail->alpha, beta = (T)tail->beta, *bias = tail->bias;
    for (int64_t i = 0; i < count; i++) {
        T *to = (T *)c + i * c_step, y = ((const T *)sums)[i] * alpha;
        if (beta != 0) y += beta * *to;
        if (bias) y += bias[i * bias_step];
        *to = tail->relu && y < 0 ? 0 : y;
    }
}

#define GEMM_ROW(rows) {NAME2(NAME2(gemm_tile, rows, 1), of, X), NAME2(NAME2(gemm_tile, rows, 2), of, X)},
const gemm_kernels TAPER_SIMD(TAPER_SIMD_JOIN(taper__gemm, X)) = {
    .rows = GEMM_TILE_ROWS,
    .cols = 2 * LANES,
    .a_stride = GEMM_A_STRIDE,
    .depth = GEMM_DEPTH,
    .tile = {GEMM_TILE_LIST(GEMM_ROW)},
    .pack = {NAME2(gemm, pack, X)},
    .copy = {NAME2(gemm, copy, X)},
    .dot = NAME2(gemm, dot, X),
    .axpy = NAME2(gemm, axpy, X),
    .ends = NAME2(gemm, ends, X),
#if GEMM_WITH_BF16
    .pack[TAPER_GEMM_BF16] = NAME2(gemm, pack_bf16, X),
    .copy[TAPER_GEMM_BF16] = NAME2(gemm, copy_bf16, X),
#endif
};

#undef GEMM_ROW
#undef GEMM_TILE
#undef GEMM_PACK
#undef GEMM_COPY
#undef GEMM_SAME
#undef GEMM_SOME
#undef GEMM_GROUPS
#undef GEMM_A_STRIDE
#undef NAME_
#undef NAME2
#undef V
#undef T
#undef X
#undef LANES
#undef GEMM_DEPTH
#undef GEMM_WITH_BF16
