/* The bodies of the loops of reduce_loops.h, for a file that has defined real, wide, LOW, HIGH, RD_ABS, RD_POW, RD_EXP. */
#include "ops/pointwise_functions.h"
#include "ops/reduce_loops.h"

#define K(e) ((real)(e))

/* Lanes are joined in a fixed tree, so the result depends on n alone. Stretches shorter than a row of lanes have fewer. */
#define RD(NAME, first_, map, join_)                                                                                   \
    static inline real NAME##_map(real x, real m, real p) {                                                            \
        (void)m, (void)p;                                                                                              \
        return (real)(map);                                                                                            \
    }                                                                                                                  \
    static inline real NAME##_join(real u, real v) { return join_; }                                                   \
    static inline wide NAME##_join_wide(wide u, wide v) { return join_; }
#include "ops/reduce_rows.def"
#undef RD

#define RD(NAME, first_, map, join_)                                                                                   \
    static void NAME##_run(void *acc, const void *data, int64_t n, double m_, double p_) {                             \
        const real *x = data, m = (real)m_, p = (real)p_;                                                              \
        wide total = *(wide *)acc;                                                                                     \
        while (n > 0) {                                                                                                \
            real lane[TAPER_REDUCE_LANES];                                                                             \
            int64_t i = TAPER_REDUCE_LANES, now = n < TAPER_REDUCE_BLOCK ? n : TAPER_REDUCE_BLOCK;                     \
            int width = TAPER_REDUCE_LANES;                                                                            \
            while (width > now) width /= 2;                                                                            \
            for (int j = 0; j < width; j++) lane[j] = NAME##_map(x[j], m, p);                                          \
            for (; width == TAPER_REDUCE_LANES && i + TAPER_REDUCE_LANES <= now; i += TAPER_REDUCE_LANES)              \
                for (int j = 0; j < TAPER_REDUCE_LANES; j++) lane[j] = NAME##_join(lane[j], NAME##_map(x[i + j], m, p)); \
            if (i > now) i = width;                                                                                    \
            for (int j = 0; i + j < now; j++) lane[j] = NAME##_join(lane[j], NAME##_map(x[i + j], m, p));              \
            for (int half = width / 2; half; half /= 2)                                                                \
                for (int j = 0; j < half; j++) lane[j] = NAME##_join(lane[j], lane[j + half]);                         \
            total = NAME##_join_wide(total, (wide)lane[0]);                                                            \
            x += now;                                                                                                  \
            n -= now;                                                                                                  \
        }                                                                                                              \
        *(wide *)acc = total;                                                                                          \
    }
#include "ops/reduce_rows.def"
#undef RD

#define RD(NAME, first_, map, join_)                                                                                   \
    static void NAME##_columns(void *acc, const void *data, int64_t rows, int64_t pitch, int cols, const void *m_,     \
                               double p_) {                                                                            \
        const real *x = data, *restrict m = m_, p = (real)p_;                                                          \
        wide *restrict total = acc;                                                                                    \
        real some[TAPER_REDUCE_COLUMNS];                                                                               \
        while (rows > 0) {                                                                                             \
            int64_t now = rows < TAPER_REDUCE_ROWS ? rows : TAPER_REDUCE_ROWS;                                         \
            for (int j = 0; j < cols; j++) some[j] = NAME##_map(x[j], m[j], p);                                        \
            x += pitch;                                                                                                \
            for (int64_t i = 1; i < now; i++, x += pitch)                                                              \
                for (int j = 0; j < cols; j++) some[j] = NAME##_join(some[j], NAME##_map(x[j], m[j], p));              \
            for (int j = 0; j < cols; j++) total[j] = NAME##_join_wide(total[j], (wide)some[j]);                       \
            rows -= now;                                                                                               \
        }                                                                                                              \
    }
#include "ops/reduce_rows.def"
#undef RD

static const wide reduce_firsts[] = {
#define RD(NAME, first_, ...) first_,
#include "ops/reduce_rows.def"
#undef RD
};
static void reduce_first(void *acc, int kind, int64_t n) {
    for (int64_t i = 0; i < n; i++) ((wide *)acc)[i] = reduce_firsts[kind];
}
static void reduce_join(void *acc, const void *other, int kind, int64_t n) {
    wide *a = acc;
    const wide *b = other;
    switch (kind) {
#define RD(NAME, ...)                                                                                                  \
    case TAPER_REDUCE_##NAME:                                                                                          \
        for (int64_t i = 0; i < n; i++) a[i] = NAME##_join_wide(a[i], b[i]);                                           \
        break;
#include "ops/reduce_rows.def"
#undef RD
    default:
        break;
    }
}

/* The first of equals stays; a NaN beats every number. */
static void reduce_best(void *value, int32_t *restrict index, const void *data, int cols, int32_t row, bool smallest) {
    real *restrict best = value;
    const real *restrict x = data;
    if (smallest)
        for (int j = 0; j < cols; j++) {
            int take = ((x[j] < best[j]) | (x[j] != x[j])) & (best[j] == best[j]);
            best[j] = take ? x[j] : best[j];
            index[j] = take ? row : index[j];
        }
    else
        for (int j = 0; j < cols; j++) {
            int take = ((x[j] > best[j]) | (x[j] != x[j])) & (best[j] == best[j]);
            best[j] = take ? x[j] : best[j];
            index[j] = take ? row : index[j];
        }
}
static int64_t reduce_find(const void *data, int64_t n, const void *acc) {
    enum { BLOCK = 256 };
    const real *x = data, want = (real)*(const wide *)acc;
    for (int64_t at = 0; at < n; at += BLOCK) {
        int64_t now = n - at < BLOCK ? n - at : BLOCK;
        int found = 0;
        if (want != want)
            for (int64_t i = 0; i < now; i++) found |= x[at + i] != x[at + i];
        else
            for (int64_t i = 0; i < now; i++) found |= x[at + i] == want;
        for (int64_t i = 0; found && i < now; i++)
            if (x[at + i] == want || (want != want && x[at + i] != x[at + i])) return at + i;
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
