/* Row loops of attention for one element type: included by attention_loops.simd.c with T, X and EXP. Sums and maxima run in
 * sixteen lanes, added in one fixed order. */

#define ATTENTION_JOIN_(a, b) a##_##b
#define ATTENTION_JOIN(a, b) ATTENTION_JOIN_(a, b)
#define NAME(f) ATTENTION_JOIN(f, X)

static T NAME(row_max)(const T *s, int64_t n) {
    T lane[16], max = -(T)INFINITY;
    int64_t j = 0;
    for (int u = 0; u < 16; u++) lane[u] = -(T)INFINITY;
    for (; j + 16 <= n; j += 16)
        for (int u = 0; u < 16; u++) lane[u] = s[j + u] > lane[u] ? s[j + u] : lane[u];
    for (; j < n; j++) max = s[j] > max ? s[j] : max;
    for (int u = 0; u < 16; u++) max = lane[u] > max ? lane[u] : max;
    return max;
}

static T NAME(row_sum)(const T *s, int64_t n) {
    T lane[16] = {0}, sum = 0;
    int64_t j = 0;
    for (; j + 16 <= n; j += 16)
        for (int u = 0; u < 16; u++) lane[u] += s[j + u];
    for (; j < n; j++) sum += s[j];
    for (int w = 8; w; w /= 2)
        for (int u = 0; u < w; u++) lane[u] += lane[u + w];
    return sum + lane[0];
}

static void NAME(row_exp)(T *s, int64_t n, T m) {
    ATTENTION_VECTOR for (int64_t j = 0; j < n; j++) s[j] = EXP(s[j] - m);
}

static void NAME(grow)(void *s_, int64_t rows, int64_t cols, int64_t ld, void *max_, void *sum_, void *factor_) {
    T *max = max_, *sum = sum_, *factor = factor_;
    for (int64_t i = 0; i < rows; i++) {
        T *s = (T *)s_ + i * ld, m = NAME(row_max)(s, cols);
        for (int64_t j = 0; j < cols && m == -(T)INFINITY; j++) /* a NaN passes no comparison, and must not pass for "masked" */
            if (s[j] != s[j]) m = s[j];
        m = max[i] > m ? max[i] : m;
        if (m == -(T)INFINITY) { /* everything masked so far */
            for (int64_t j = 0; j < cols; j++) s[j] = 0;
            factor[i] = 1;
            continue;
        }
        factor[i] = EXP(max[i] - m);
        NAME(row_exp)(s, cols, m);
        sum[i] = sum[i] * factor[i] + NAME(row_sum)(s, cols);
        max[i] = m;
    }
}

static void NAME(scale)(void *rows_, int64_t rows, int64_t cols, int64_t ld, const void *factor) {
    for (int64_t i = 0; i < rows; i++) {
        T *row = (T *)rows_ + i * ld, f = ((const T *)factor)[i];
        if (f != 1)
            for (int64_t j = 0; j < cols; j++) row[j] *= f;
    }
}

static void NAME(again)(void *s_, int64_t rows, int64_t cols, int64_t ld, const void *logsumexp) {
    for (int64_t i = 0; i < rows; i++) {
        T *s = (T *)s_ + i * ld, m = ((const T *)logsumexp)[i];
        if (m == -(T)INFINITY)
            for (int64_t j = 0; j < cols; j++) s[j] = 0;
        else
            NAME(row_exp)(s, cols, m);
    }
}

static void NAME(slope)(void *d_, const void *s_, int64_t rows, int64_t cols, int64_t ld, const void *delta_) {
    for (int64_t i = 0; i < rows; i++) {
        T *restrict d = (T *)d_ + i * ld, delta = ((const T *)delta_)[i];
        const T *restrict s = (const T *)s_ + i * ld;
        for (int64_t j = 0; j < cols; j++) d[j] = s[j] * (d[j] - delta);
    }
}

#undef NAME
#undef ATTENTION_JOIN
#undef ATTENTION_JOIN_
#undef T
#undef X
#undef EXP
