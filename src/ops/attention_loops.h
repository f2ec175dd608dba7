/* Loops of attention for one element type: included by attention_loops.simd.c with T, X, LANES, EXP and LOG. `n` is one vector or two,
 * and constant in each copy of a loop, so that what belongs to a query stays in registers. */
#define NAME(f) TAPER_SIMD_JOIN(f, X)
#define V(verb) TAPER_SIMD_JOIN(X, verb)
#define FOR_N ATTENTION_VECTOR for (int u = 0; u < n; u++)
#define BOTH(f, ...)                                                                                                                          \
    do {                                                                                                                                      \
        if (n == LANES)                                                                                                                       \
            NAME(f)(LANES, __VA_ARGS__);                                                                                                      \
        else                                                                                                                                  \
            NAME(f)(2 * LANES, __VA_ARGS__);                                                                                                  \
    } while (0)

VEC_INLINE void NAME(grow_n)(const int n, T *s, int64_t keys, int64_t ld, T *max, T *sum, T *factor) {
    T top[2 * LANES], total[2 * LANES];
    FOR_N top[u] = max[u];
    for (int64_t j = 0; j < keys; j++) FOR_N top[u] = s[j * ld + u] > top[u] ? s[j * ld + u] : top[u];
    FOR_N {
        T m = top[u] == -(T)INFINITY ? 0 : top[u]; /* all masked so far: exp gives 0, or NaN for a NaN, which no comparison finds */
        factor[u] = EXP(max[u] - m);
        max[u] = top[u];
        top[u] = m;
        total[u] = 0;
    }
    for (int64_t j = 0; j < keys; j++) FOR_N {
        T e = EXP(s[j * ld + u] - top[u]);
        s[j * ld + u] = e;
        total[u] += e;
    }
    FOR_N sum[u] = sum[u] * factor[u] + total[u];
}
static void NAME(grow)(void *s, int64_t keys, int64_t ld, int n, void *max, void *sum, void *factor) {
    BOTH(grow_n, s, keys, ld, max, sum, factor);
}

static void NAME(grow_one)(void *s_, int64_t keys, void *max_, void *sum_) {
    enum { n = 2 * LANES };
    T *s = s_, *max = max_, *sum = sum_, lane[n], top = *max;
    int64_t j = 0;
    FOR_N lane[u] = -(T)INFINITY;
    for (; j + n <= keys; j += n) FOR_N lane[u] = s[j + u] > lane[u] ? s[j + u] : lane[u];
    for (; j < keys; j++) top = s[j] > top ? s[j] : top;
    for (int u = 0; u < n; u++) top = lane[u] > top ? lane[u] : top;
    T m = top == -(T)INFINITY ? 0 : top, total = 0;
    FOR_N lane[u] = 0;
    for (j = 0; j + n <= keys; j += n) FOR_N {
        T e = EXP(s[j + u] - m);
        s[j + u] = e;
        lane[u] += e;
    }
    for (; j < keys; j++) total += s[j] = EXP(s[j] - m);
    for (int u = 0; u < n; u++) total += lane[u];
    sum[1] = EXP(*max - m);
    sum[0] = sum[0] * sum[1] + total;
    *max = top;
}
static void NAME(add_one)(void *o_, const void *part_, int64_t n, const void *sum) {
    T *o = o_, factor = ((const T *)sum)[1];
    const T *part = part_;
    ATTENTION_VECTOR for (int64_t u = 0; u < n; u++) o[u] = o[u] * factor + part[u];
}
static void NAME(finish_one)(void *o_, int64_t n, void *logsumexp, const void *max, const void *sum_) {
    T *o = o_, sum = *(const T *)sum_, factor = sum == 0 ? 0 : 1 / sum;
    *(T *)logsumexp = sum == 0 ? -(T)INFINITY : *(const T *)max + LOG(sum);
    for (int64_t u = 0; u < n; u++) o[u] *= factor;
}

VEC_INLINE void NAME(scale_n)(const int n, T *o, int64_t rows, int64_t ld, const T *factor) {
    for (int64_t j = 0; j < rows; j++) FOR_N o[j * ld + u] *= factor[u];
}
static void NAME(scale)(void *o, int64_t rows, int64_t ld, int n, const void *factor) { BOTH(scale_n, o, rows, ld, factor); }

static void NAME(finish)(void *factor_, void *logsumexp_, const void *max_, const void *sum_) {
    T *factor = factor_, *logsumexp = logsumexp_;
    const T *max = max_, *sum = sum_;
    ATTENTION_VECTOR for (int u = 0; u < TAPER_ATTENTION_QUERIES; u++) {
        factor[u] = sum[u] == 0 ? 0 : 1 / sum[u];
        logsumexp[u] = sum[u] == 0 ? -(T)INFINITY : max[u] + LOG(sum[u]);
    }
}

VEC_INLINE void NAME(hide_n)(const int n, T *s, int64_t keys, int64_t ld, int64_t first) {
    for (int64_t j = first > 0 ? 0 : -first; j < keys; j++) {
        const int seen = first + j > n ? n : (int)(first + j);
        FOR_N s[j * ld + u] = u < seen ? -(T)INFINITY : s[j * ld + u];
    }
}
static void NAME(hide)(void *s, int64_t keys, int64_t ld, int n, int64_t first) { BOTH(hide_n, s, keys, ld, first); }

VEC_INLINE void NAME(mask_n)(const int n, T *s, int64_t keys, int64_t ld, const T *mask, bool choose) {
    for (int64_t j = 0; j < keys; j++)
        if (choose)
            FOR_N s[j * ld + u] = mask[j * n + u] != 0 ? s[j * ld + u] : -(T)INFINITY;
        else
            FOR_N s[j * ld + u] += mask[j * n + u];
}
static void NAME(mask)(void *s, int64_t keys, int64_t ld, int n, const void *mask, bool choose) { BOTH(mask_n, s, keys, ld, mask, choose); }

VEC_INLINE void NAME(again_n)(const int n, T *s, int64_t keys, int64_t ld, const T *logsumexp) {
    T m[2 * LANES];
    FOR_N m[u] = logsumexp[u] == -(T)INFINITY ? (T)INFINITY : logsumexp[u]; /* it saw no key: all weights are 0 */
    for (int64_t j = 0; j < keys; j++) FOR_N s[j * ld + u] = EXP(s[j * ld + u] - m[u]);
}
static void NAME(again)(void *s, int64_t keys, int64_t ld, int n, const void *logsumexp) { BOTH(again_n, s, keys, ld, logsumexp); }

VEC_INLINE void NAME(slope_n)(const int n, T *d, const T *s, int64_t keys, int64_t ld, const T *delta, T scale) {
    for (int64_t j = 0; j < keys; j++) FOR_N d[j * ld + u] = s[j * ld + u] * (d[j * ld + u] - delta[u]) * scale;
}
static void NAME(slope)(void *d, const void *s, int64_t keys, int64_t ld, int n, const void *delta, double scale) {
    BOTH(slope_n, d, s, keys, ld, delta, (T)scale);
}

static void NAME(dots)(const void *a_, const void *b_, int64_t rows, void *delta_) {
    const T *a = a_, *b = b_;
    T *restrict delta = delta_;
    memset(delta, 0, sizeof(T) * TAPER_ATTENTION_QUERIES);
    for (int64_t j = 0; j < rows; j++)
        for (int u = 0; u < TAPER_ATTENTION_QUERIES; u++) delta[u] += a[j * TAPER_ATTENTION_QUERIES + u] * b[j * TAPER_ATTENTION_QUERIES + u];
}

static void NAME(turn)(void *to_, int64_t to_row, const void *from_, int64_t rows, int64_t cols, const void *factor) {
    const T *from = from_;
    for (int64_t i = 0; i < rows; i += LANES) {
        const V(vec) f = V(load)((const T *)factor + i);
        for (int64_t j = 0; j < cols; j += LANES) {
            T *to = (T *)to_ + i * to_row + j;
            const V(mask) part = V(first)(cols - j < LANES ? (int)(cols - j) : LANES);
            V(vec) r[LANES];
            _Pragma("GCC unroll 16") for (int l = 0; l < LANES; l++) {
                r[l] = V(all)(0);
                if (j + l < cols) r[l] = V(load)(from + (j + l) * TAPER_ATTENTION_QUERIES + i) * f;
            }
            V(transpose)(r);
            _Pragma("GCC unroll 16") for (int l = 0; l < LANES; l++) if (i + l < rows) V(store_part)(to + l * to_row, part, r[l]);
        }
    }
}

const taper_attention_loops TAPER_SIMD(TAPER_SIMD_JOIN(taper__attention, X)) = {
    .grow = NAME(grow),
    .grow_one = NAME(grow_one),
    .add_one = NAME(add_one),
    .finish_one = NAME(finish_one),
    .scale = NAME(scale),
    .finish = NAME(finish),
    .hide = NAME(hide),
    .mask = NAME(mask),
    .again = NAME(again),
    .slope = NAME(slope),
    .dots = NAME(dots),
    .turn = NAME(turn),
};

#undef BOTH
#undef FOR_N
#undef NAME
#undef V
#undef T
#undef X
#undef LANES
#undef EXP
#undef LOG
