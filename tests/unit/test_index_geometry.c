/* Index arithmetic of the GPU's side of indexing: merged and widened moves, sort plans, triangles, paddings. */
#include <stdio.h>
#include <string.h>

#include "ops/index_geometry.h"
#include "ops/range_args.h"
#include "ops/sort_cuda.h"

static int failed;
static void check(const char *name, bool good, const char *why) {
    if (good) {
        printf("ok index_%s\n", name);
    } else {
        failed = 1;
        printf("not ok index_%s: %s\n", name, why);
    }
}

/* Bytes that a move reads for its unit e with index value v in place of the index. */
static int64_t unit_at(const taper_move_args *k, int64_t e, int which, int64_t v) {
    int64_t at = which == 0 ? v * k->along : 0;
    for (int d = k->ndim - 1; d >= 0; d--) {
        at += e % k->shape[d] * k->strides[which][d];
        e /= k->shape[d];
    }
    return at;
}

static void merging(void) {
    taper_move_args k = {.size = 5, .along = 12};
    taper__move_dim(&k, 7, 0, 12, 1);
    taper__move_dim(&k, 3, 4, 4, 0);
    taper__move_dim(&k, 1, 99, 99, 99);
    taper__move_dim(&k, 4, 1, 1, 0);
    check("move_merges_rows", k.ndim == 2 && k.shape[0] == 7 && k.shape[1] == 12 && k.strides[0][1] == 1 && k.strides[2][0] == 1, "dims (7, 3, 1, 4) did not become (7, 12)");
    taper_move_args j = {.size = 5, .along = 1};
    taper__move_dim(&j, 3, 4, 4, 4);
    taper__move_dim(&j, 4, 1, 1, 0);
    check("move_keeps_index_dim", j.ndim == 2, "a dim along which the index changes was merged with one along which it does not");
}

static void widening(void) {
    static _Alignas(16) char a[4096], b[4096];
    bool same = true, most = true;
    for (int bytes = 1; bytes <= 8; bytes *= 2)
        for (int64_t width = 1; width <= 24; width++)
            for (int shift = 0; shift < 4; shift++) {
                taper_move_args k = {.self = a + shift * bytes, .other = b, .size = 5, .along = width, .n = 6 * width}, w;
                taper__move_dim(&k, 6, 0, width, 1);
                taper__move_dim(&k, width, 1, 1, 0);
                w = k;
                int unit = taper__move_widen(&w, bytes);
                int64_t units = w.n;
                same = same && units * unit == k.n * bytes && (uintptr_t)w.self % (uintptr_t)unit == 0 && w.size == k.size;
                for (int64_t e = 0; e < units && same; e++)
                    for (int64_t v = 0; v < 5; v++) {
                        int64_t element = e * unit / bytes;
                        same = same && unit_at(&w, e, 0, v) * unit == unit_at(&k, element, 0, v) * bytes && unit_at(&w, e, 1, v) * unit == unit_at(&k, element, 1, v) * bytes;
                    }
                if (shift == 0 && width > 1 && width * bytes % 16 == 0) most = most && unit == 16;
            }
    check("move_widen_same_bytes", same, "a widened move touches other bytes");
    check("move_widen_to_16", most, "an aligned row of a multiple of 16 bytes is not moved 16 bytes at a time");
    taper_move_args t = {.self = a, .other = b, .along = 1, .trusted = 1, .n = 64, .ndim = 1, .shape = {64}, .strides = {{1}, {1}, {0}}};
    check("move_widen_offsets", taper__move_widen(&t, 4) == 4 && t.n == 64, "offsets in elements were widened");
}

static void numbers(void) {
    int64_t shape[2] = {3, 4}, strides[2] = {10, 2};
    check("bits", taper__index_bits(0) == 1 && taper__index_bits(255) == 8 && taper__index_bits(256) == 9 && taper__index_bits(INT64_MAX) == 63, "bits of 0, 255, 256, 2^63 - 1");
    check("extent", taper__index_extent(2, shape, strides) == 26 && taper__index_extent(0, NULL, NULL) == 0, "of (3, 4) by (10, 2)");
}

static void plans(void) {
    bool good = true;
    static const int64_t lines[] = {1, 3, 1000, (int64_t)1 << 20}, sizes[] = {1, TAPER_SORT_TILE, TAPER_SORT_TILE + 1, 50257, (int64_t)3 << 30};
    for (int i = 0; i < TAPER_COUNT(lines); i++)
        for (int j = 0; j < TAPER_COUNT(sizes); j++)
            for (int bytes = 4; bytes <= 8; bytes += 4) {
                taper_sort_plan p = taper__sort_plan(lines[i], sizes[j], bytes);
                good = good && p.tiles * TAPER_SORT_TILE >= sizes[j] && (p.tiles - 1) * TAPER_SORT_TILE < sizes[j];
                good = good && p.keys >= (size_t)(lines[i] * sizes[j]) * (size_t)bytes && p.places >= (size_t)(lines[i] * sizes[j]) * 4;
                good = good && p.keys % 16 == 0 && p.places % 16 == 0 && p.counts % 16 == 0;
                good = good && p.counts >= (size_t)(lines[i] * p.tiles) * TAPER_SORT_DIGITS * 4 && p.bytes == 2 * p.keys + 2 * p.places + p.counts + p.totals;
            }
    check("sort_plan", good, "the parts do not hold the lines");
    int f16, f32, i64, f8, passes[4] = {taper__sort_passes(TAPER_F16, &f16), taper__sort_passes(TAPER_F32, &f32), taper__sort_passes(TAPER_I64, &i64), taper__sort_passes(TAPER_F8_E4M3, &f8)};
    check("sort_passes", passes[0] == 2 && f16 == 4 && passes[1] == 4 && f32 == 4 && passes[2] == 8 && i64 == 8 && passes[3] == 4 && f8 == 4, "of float16, float32, int64, float8");
}

static void triangles(void) {
    bool counts = true, rows = true;
    for (int upper = 0; upper < 2; upper++)
        for (int64_t row = 0; row <= 7; row++)
            for (int64_t col = 0; col <= 7; col++)
                for (int64_t offset = -row; offset <= col; offset++) {
                    int64_t seen = 0;
                    for (int64_t r = 0; r < row; r++) {
                        counts = counts && taper__range_triangle(r, col, offset, upper) == seen;
                        for (int64_t c = 0; c < col; c++) {
                            if (upper ? c - r < offset : c - r > offset) continue;
                            rows = rows && taper__range_row(seen, row, col, offset, upper) == r;
                            seen++;
                        }
                    }
                    counts = counts && taper__range_triangle(row, col, offset, upper) == seen;
                }
    check("triangle_counts", counts, "another number than counted one by one");
    check("triangle_rows", rows, "an element in another row");
}

static void paddings(void) {
    bool good = true;
    static const int64_t reflect[] = {2, 1, 0, 1, 2, 3, 2, 1}, edge[] = {0, 0, 0, 1, 2, 3, 3, 3}, circle[] = {2, 3, 0, 1, 2, 3, 0, 1};
    for (int64_t i = 0; i < 8; i++) {
        good = good && taper__range_pad(TAPER_RANGE_REFLECT, i - 2, 4) == reflect[i] && taper__range_pad(TAPER_RANGE_REPLICATE, i - 2, 4) == edge[i];
        good = good && taper__range_pad(TAPER_RANGE_CIRCULAR, i - 2, 4) == circle[i];
    }
    check("paddings", good, "two elements more on each side of four");
}

int main(void) {
    merging();
    widening();
    numbers();
    plans();
    triangles();
    paddings();
    return failed;
}
