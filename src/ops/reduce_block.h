/* The bodies of the loops of reduce_loops.h, for a file that has defined real, wide, LOW, HIGH, RD_ABS, RD_POW, RD_EXP,
 * RD_NAN.
 * Each takes the kind as a constant: after inlining, the switches are gone. */
#define K(e) ((real)(e))
#define REDUCE_INLINE static inline __attribute__((always_inline))

REDUCE_INLINE real reduce_map(int kind, real x, real m, real p) {
    (void)m, (void)p;
    switch (kind) {
#define RD(NAME, first, map, join)                                                                                     \
    case TAPER_REDUCE_##NAME:                                                                                          \
        return (real)(map);
#include "ops/reduce_rows.def"
#undef RD
    default:
        return x;
    }
}
REDUCE_INLINE real reduce_join_real(int kind, real u, real v) {
    switch (kind) {
#define RD(NAME, first, map, join)                                                                                     \
    case TAPER_REDUCE_##NAME:                                                                                          \
        return join;
#include "ops/reduce_rows.def"
#undef RD
    default:
        return u;
    }
}
REDUCE_INLINE wide reduce_join_wide(int kind, wide u, wide v) {
    switch (kind) {
#define RD(NAME, first, map, join)                                                                                     \
    case TAPER_REDUCE_##NAME:                                                                                          \
        return join;
#include "ops/reduce_rows.def"
#undef RD
    default:
        return u;
    }
}

/* Lanes are joined in a fixed tree, so the result depends on n alone. Stretches shorter than a row of lanes have fewer. */
REDUCE_INLINE real reduce_stretch(int kind, const real *x, int64_t n, real m, real p) {
    enum { LANES = TAPER_REDUCE_LANES };
    real lane[LANES];
    int64_t i = LANES;
    int width = LANES;
    if (n >= LANES) {
        for (int j = 0; j < LANES; j++) lane[j] = reduce_map(kind, x[j], m, p);
        for (; i + LANES <= n; i += LANES)
            for (int j = 0; j < LANES; j++) lane[j] = reduce_join_real(kind, lane[j], reduce_map(kind, x[i + j], m, p));
    } else {
        while (width > n) width /= 2;
        for (int j = 0; j < width; j++) lane[j] = reduce_map(kind, x[j], m, p);
        i = width;
    }
    for (int j = 0; i + j < n; j++) lane[j] = reduce_join_real(kind, lane[j], reduce_map(kind, x[i + j], m, p));
    for (int half = width / 2; half; half /= 2)
        for (int j = 0; j < half; j++) lane[j] = reduce_join_real(kind, lane[j], lane[j + half]);
    return lane[0];
}
REDUCE_INLINE void reduce_run(int kind, void *acc, const real *x, int64_t n, double m, double p) {
    wide total = *(wide *)acc;
    for (int64_t at = 0; at < n; at += TAPER_REDUCE_BLOCK) {
        int64_t now = n - at < TAPER_REDUCE_BLOCK ? n - at : TAPER_REDUCE_BLOCK;
        total = reduce_join_wide(kind, total, (wide)reduce_stretch(kind, x + at, now, (real)m, (real)p));
    }
    *(wide *)acc = total;
}

REDUCE_INLINE void reduce_columns(int kind, wide *restrict total, const real *x, int64_t rows, int64_t pitch, int cols,
                                  const real *restrict m, real p) {
    real some[TAPER_REDUCE_COLUMNS];
    while (rows > 0) {
        int64_t now = rows < TAPER_REDUCE_ROWS ? rows : TAPER_REDUCE_ROWS;
        for (int j = 0; j < cols; j++) some[j] = reduce_map(kind, x[j], m[j], p);
        x += pitch;
        for (int64_t i = 1; i < now; i++, x += pitch)
            for (int j = 0; j < cols; j++) some[j] = reduce_join_real(kind, some[j], reduce_map(kind, x[j], m[j], p));
        for (int j = 0; j < cols; j++) total[j] = reduce_join_wide(kind, total[j], (wide)some[j]);
        rows -= now;
    }
}

#define RD(NAME, ...)                                                                                                  \
    static void NAME##_run(void *acc, const void *x, int64_t n, double m, double p) {                                  \
        reduce_run(TAPER_REDUCE_##NAME, acc, x, n, m, p);                                                              \
    }                                                                                                                  \
    static void NAME##_columns(void *acc, const void *x, int64_t rows, int64_t pitch, int cols, const void *m, double p) { \
        reduce_columns(TAPER_REDUCE_##NAME, acc, x, rows, pitch, cols, m, (real)p);                                    \
    }
#include "ops/reduce_rows.def"
#undef RD

static void reduce_first(void *acc, int kind, int64_t n) {
    static const wide firsts[] = {
#define RD(NAME, first, ...) first,
#include "ops/reduce_rows.def"
#undef RD
    };
    for (int64_t i = 0; i < n; i++) ((wide *)acc)[i] = firsts[kind];
}
static void reduce_join(void *acc, const void *other, int kind, int64_t n) {
    wide *a = acc;
    const wide *b = other;
    for (int64_t i = 0; i < n; i++) a[i] = reduce_join_wide(kind, a[i], b[i]);
}

/* The first of equals stays; a NaN beats every number. */
REDUCE_INLINE void reduce_best_of(real *restrict best, int32_t *restrict index, const real *restrict x, int cols, int32_t row, int sign) {
    for (int j = 0; j < cols; j++) {
        int better = sign > 0 ? x[j] > best[j] : x[j] < best[j];
        int take = (better | RD_NAN(x[j])) & !RD_NAN(best[j]);
        best[j] = take ? x[j] : best[j];
        index[j] = take ? row : index[j];
    }
}
static void reduce_best(void *value, int32_t *index, const void *x, int cols, int32_t row, bool smallest) {
    if (smallest) reduce_best_of(value, index, x, cols, row, -1);
    else reduce_best_of(value, index, x, cols, row, 1);
}
static int64_t reduce_find(const void *data, int64_t n, const void *acc) {
    enum { BLOCK = 256 };
    const real *x = data, want = (real)*(const wide *)acc;
    for (int64_t at = 0; at < n; at += BLOCK) {
        int64_t now = n - at < BLOCK ? n - at : BLOCK;
        int found = 0;
        if (RD_NAN(want))
            for (int64_t i = 0; i < now; i++) found |= RD_NAN(x[at + i]);
        else
            for (int64_t i = 0; i < now; i++) found |= x[at + i] == want;
        for (int64_t i = 0; found && i < now; i++)
            if (x[at + i] == want || (RD_NAN(want) && RD_NAN(x[at + i]))) return at + i;
    }
    return n;
}

static void reduce_scan(void *out, const void *data, int64_t n, void *carry, bool product) {
    real *y = out;
    const real *x = data;
    wide c = *(wide *)carry;
    for (int64_t i = 0; i < n; i++) {
        c = product ? c * x[i] : c + x[i];
        y[i] = (real)c;
    }
    *(wide *)carry = c;
}
static void reduce_scan_row(void *out, const void *data, int cols, void *carry, bool product) {
    real *restrict y = out;
    const real *restrict x = data;
    wide *restrict c = carry;
    if (product)
        for (int j = 0; j < cols; j++) y[j] = (real)(c[j] *= x[j]);
    else
        for (int j = 0; j < cols; j++) y[j] = (real)(c[j] += x[j]);
}
