/* How reductions, scans, softmax, layer_norm and element-wise calls are cut for the GPU: plain functions of shapes, checked
 * without one. */
#include <stdio.h>

#include "ops/layer_norm_cuda.h"
#include "ops/pointwise_cuda.h"
#include "ops/reduce_cuda.h"
#include "ops/scan_cuda.h"
#include "ops/softmax_cuda.h"

static int failures;
static void check(const char *name, bool good, const char *why) {
    if (good) printf("ok %s\n", name);
    else printf("not ok %s: %s\n", name, why);
    failures += !good;
}

/* [rows, cols], contiguous at an address; the columns or the rows reduced. */
static taper_reduce_args reduce_args(int64_t rows, int64_t cols, bool across, uintptr_t address) {
    taper_reduce_args k = {.in = (const void *)address, .outputs = across ? cols : rows, .inner = across ? rows : cols, .nkept = 1, .ninner = 1};
    k.kept_shape[0] = k.outputs;
    k.kept_stride[0] = across ? 1 : cols;
    k.inner_shape[0] = k.inner;
    k.inner_stride[0] = across ? cols : 1;
    return k;
}

static void test_reduce(void) {
    static const int64_t sizes[] = {1, 2, 3, 7, 8, 31, 64, 100, 128, 1000, 4096, 50257, 65536, 1 << 20};
    bool covers = true, blocks = true, ways = true, same = true;
    for (int i = 0; i < TAPER_COUNT(sizes); i++)
        for (int j = 0; j < TAPER_COUNT(sizes); j++)
            for (int mode = 0; mode < 24; mode++) {
                int size = mode % 4 == 0 ? 8 : mode % 4 == 1 ? 4 : mode % 4 == 2 ? 2 : 1, wide = mode / 4 % 3;
                bool across = mode / 12;
                taper_reduce_args k = reduce_args(sizes[i], sizes[j], across, 4096), again = k, odd = reduce_args(sizes[i], sizes[j], across, 4096 + (uintptr_t)size);
                taper__reduce_cut(&k, size, wide);
                taper__reduce_cut(&again, size, wide);
                taper__reduce_cut(&odd, size, wide);
                int64_t units = k.outputs / k.each, n = 16 / size;
                covers = covers && k.chunk >= 1 && k.parts >= 1 && k.chunk * k.parts >= k.inner && k.chunk * (k.parts - 1) < k.inner;
                blocks = blocks && k.width >= 1 && TAPER_RED_THREADS % k.width == 0 && k.parts <= 4096 && units * k.each == k.outputs;
                if (k.way == TAPER_RED_ACROSS) ways = ways && wide == 1 && across && k.each == n && sizes[j] % n == 0 && k.columns;
                if (k.way == TAPER_RED_ALONG) ways = ways && wide && (!across || sizes[j] == 1) && k.inner >= 4 * n;
                if (!wide) ways = ways && k.way == TAPER_RED_ANYHOW;
                if (across && size < 16) ways = ways && odd.way != TAPER_RED_ACROSS;
                same = same && k.way == again.way && k.chunk == again.chunk && k.width == again.width;
            }
    check("reduce_cut_covers", covers, "parts leave elements out or are empty");
    check("reduce_cut_blocks", blocks, "width, parts or each out of range");
    check("reduce_cut_ways", ways, "a 16-byte way where shape, alignment or kernel forbid it");
    check("reduce_cut_same", same, "two cuts of one shape differ");
    taper_reduce_args rows = reduce_args(65536, 4096, false, 4096), columns = reduce_args(65536, 4096, true, 4096), all = reduce_args(1, 1 << 28, false, 4096);
    taper__reduce_cut(&rows, 4, 1);
    taper__reduce_cut(&columns, 4, 1);
    taper__reduce_cut(&all, 4, 1);
    check("reduce_cut_rows", rows.way == TAPER_RED_ALONG && rows.parts == 1, "long rows are to be read along, in one pass");
    check("reduce_cut_columns", columns.way == TAPER_RED_ACROSS && columns.parts > 1, "columns are to be read across, in parts");
    check("reduce_cut_all", all.way == TAPER_RED_ALONG && all.parts > 1000, "one sum needs parts that fill the GPU");
}

static void test_scan(void) {
    static const int64_t sizes[] = {1, 3, 255, 1024, 5000, 65536, 1 << 24};
    bool covers = true, tiles = true;
    for (int i = 0; i < TAPER_COUNT(sizes); i++)
        for (int j = 0; j < TAPER_COUNT(sizes); j++)
            for (int k = 0; k < 3; k++) {
                taper_scan_args a = {.outer = sizes[i], .n = sizes[j], .inner = k == 0 ? 1 : k == 1 ? 7 : 4096};
                taper__scan_cut(&a);
                covers = covers && a.chunks >= 1 && a.chunk * a.chunks >= a.n && a.chunk * (a.chunks - 1) < a.n && a.chunks <= 2112;
                tiles = tiles && (a.inner > 1 || a.chunks == 1 || a.chunk % TAPER_SCAN_TILE == 0);
            }
    check("scan_cut_covers", covers, "chunks leave elements out or are empty");
    check("scan_cut_tiles", tiles, "chunks of a lane are not whole tiles");
}

static void test_rows(void) {
    static const int held[2][10] = {{8, 32, 128, 256, 512, 1024, 2048, 4096, 8192}, {8, 32, 128, 256, 512, 1024, 2048, 4096}};
    bool fits = true, edges = true, layers = true;
    for (int backward = 0; backward < 2; backward++)
        for (int64_t n = 1; n < 100000; n += n < 300 ? 1 : 997)
            for (int size = 2; size <= 4; size += 2) {
                taper_cuda_geometry g;
                int last = backward ? 8 : 9, i = taper__softmax_cut(&g, 1000, n, size, true, backward);
                fits = fits && i >= 0 && i <= last && (i == last || (n * size % 16 == 0 && n * size / 16 <= held[backward][i])) && g.grid[0] >= 1 && g.block[0] >= 256;
                if (n * size % 16 == 0 && n * size / 16 <= 4096) fits = fits && i < last;
                edges = edges && taper__softmax_cut(&g, 1000, n, size, false, backward) == last;
                i = taper__layer_norm_cut(&g, 1000, n, size, backward);
                layers = layers && i < TAPER_LN_SIZES && (i >= 0) == (n * size % 16 == 0 && n * size / 16 <= (backward ? 1024 : 2048));
                if (i >= 0) layers = layers && g.grid[0] >= 1 && g.grid[0] <= 1000 && g.block[0] == TAPER_LN_THREADS;
            }
    check("softmax_cut_fits", fits, "a row is longer than what its threads hold");
    check("softmax_cut_edges", edges, "rows that do not begin at 16 bytes need the kernel of any length");
    check("layer_norm_cut", layers, "a row is longer than what its threads hold, or a kernel is left unused");
}

/* out[n, m] = x[n, m] + y of the given strides */
static bool rows_taken(int64_t m, int64_t row, int64_t one, uintptr_t address, taper_pointwise_args *k) {
    *k = (taper_pointwise_args){.n = 10 * m, .ndim = 2, .data = {(void *)4096, (void *)4096, (void *)address}, .shape = {10, m}};
    for (int i = 0; i < 2; i++) k->strides[i][0] = m, k->strides[i][1] = 1;
    k->strides[2][0] = row;
    k->strides[2][1] = one;
    return taper__pointwise_rows(k, 2);
}
static void test_pointwise(void) {
    taper_pointwise_args k;
    check("pointwise_rows_bias", rows_taken(64, 0, 1, 4096, &k) && k.flat == 3 && k.step[1] && k.step[2], "a bias is to be added row by row");
    check("pointwise_rows_mean", rows_taken(64, 1, 0, 4100, &k) && k.step[1] && !k.step[2], "one element per row needs no alignment");
    check("pointwise_rows_ragged", !rows_taken(63, 0, 1, 4096, &k) && !k.flat, "rows of 63 are not whole");
    check("pointwise_rows_unaligned", !rows_taken(64, 0, 1, 4100, &k), "16 bytes cannot be read at 4100");
    check("pointwise_rows_strided", !rows_taken(64, 128, 2, 4096, &k) && !rows_taken(64, 65, 1, 4096, &k), "gaps inside or odd rows have no 16-byte access");
}

/* [rows, cols] of bf16 with rows `from` elements apart in the source, at an address. */
static int units_of(int64_t rows, int64_t cols, int64_t from, uintptr_t address, taper_pointwise_args *k) {
    *k = (taper_pointwise_args){.n = rows * cols, .ndim = 2, .data = {(void *)(uintptr_t)65536, (void *)address}, .dtype = {TAPER_BF16, TAPER_BF16}, .shape = {rows, cols}};
    k->strides[0][0] = cols;
    k->strides[1][0] = from;
    k->strides[0][1] = k->strides[1][1] = 1;
    return taper__copy_units(k);
}
static void test_copy(void) {
    taper_pointwise_args k;
    check("copy_units_16", units_of(5, 64, 192, 4096, &k) == 4 && k.n == 40 && k.shape[1] == 8 && k.strides[0][0] == 8 && k.strides[1][0] == 24, "16 bytes are 8 elements");
    check("copy_units_4", units_of(5, 64, 192, 4100, &k) == 2 && k.n == 160 && k.strides[1][0] == 96, "an address that allows 4 bytes");
    check("copy_units_8", units_of(5, 12, 100, 4096, &k) == 3 && k.shape[1] == 3, "rows of 24 bytes");
    check("copy_units_none", !units_of(5, 63, 64, 4096, &k) && !units_of(5, 64, 65, 4096, &k) && !units_of(5, 64, 64, 4098, &k) && k.n == 320, "odd rows or addresses");
    units_of(5, 64, 64, 4096, &k);
    k.strides[1][1] = 2;
    check("copy_units_gaps", !taper__copy_units(&k), "elements with gaps");
}

int main(void) {
    test_copy();
    test_reduce();
    test_scan();
    test_rows();
    test_pointwise();
    return failures != 0;
}
