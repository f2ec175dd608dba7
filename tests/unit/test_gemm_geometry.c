/* How the GPU's products and attention are cut: every tile once, every part of k once, shared memory within what GPUs have. */
#include <stdio.h>
#include <string.h>

#include "ops/attention_cuda.h"
#include "ops/gemm_geometry.h"

static int failed;
static void check(const char *name, bool good, const char *why) {
    if (good) {
        printf("ok geometry_%s\n", name);
    } else {
        failed = 1;
        printf("not ok geometry_%s: %s\n", name, why);
    }
}

/* The walk of gs_tile in gemm_store.cuh, in C. */
static void tile_of(int64_t block, int64_t tm, int64_t tn, int64_t *row, int64_t *col) {
    int64_t group = block / (TAPER_GEMM_GROUP * tn), first = group * TAPER_GEMM_GROUP;
    int64_t rows = tm - first < TAPER_GEMM_GROUP ? tm - first : TAPER_GEMM_GROUP, in = block - first * tn;
    *row = first + in % rows;
    *col = in / rows;
}

static void tiles(void) {
    static char seen[64][64];
    bool good = true;
    for (int64_t tm = 1; tm <= 20; tm++)
        for (int64_t tn = 1; tn <= 20; tn++) {
            memset(seen, 0, sizeof seen);
            int64_t blocks = taper__gemm_tiles(tm * 128 - 5, tn * 128 - 127, 128);
            good = good && blocks == tm * tn;
            for (int64_t b = 0; b < blocks; b++) {
                int64_t row, col;
                tile_of(b, tm, tn, &row, &col);
                good = good && row >= 0 && row < tm && col >= 0 && col < tn && !seen[row][col]++;
            }
        }
    check("tiles", good, "a tile is left out or made twice");
}

static void parts(void) {
    static const int64_t sizes[] = {1, 5, 100, 768, 3072, 50304};
    bool covers = true, fits = true, large_alone = true;
    for (int i = 0; i < 6; i++)
        for (int j = 0; j < 6; j++)
            for (int64_t k = 0; k < 40000; k = k * 3 + 7) {
                taper_gemm_args g = {.m = sizes[i], .n = sizes[j], .k = k, .batch = 1 + i};
                taper__gemm_cut(&g, 128, 32, 264);
                covers = covers && g.parts >= 1 && g.part_k % 32 == 0 && g.parts * g.part_k >= k && (g.parts - 1) * g.part_k <= k;
                int64_t blocks = taper__gemm_tiles(g.m, g.n, 128) * g.batch;
                fits = fits && (g.parts == 1 || blocks * g.parts <= 264);
                large_alone = large_alone && (blocks < 264 || g.parts == 1);
            }
    check("parts_cover_k", covers, "an element of k is left out or a part is empty");
    check("parts_fit", fits, "more blocks than places");
    check("parts_large", large_alone, "a large result is cut");
}

static void copies(void) {
    char *p = (char *)0x1000;
    check("copies_rows", taper__gemm_copies16(p, 64, 1, 10, 64, 640, 2), "rows of 64 are aligned");
    check("copies_columns", taper__gemm_copies16(p, 1, 64, 64, 10, 640, 2), "columns of 64 are aligned");
    check("copies_odd", !taper__gemm_copies16(p, 65, 1, 10, 65, 0, 1), "rows of 65 are not");
    check("copies_pointer", !taper__gemm_copies16(p + 2, 64, 1, 10, 64, 0, 1), "the pointer is not");
    check("copies_batch", !taper__gemm_copies16(p, 64, 1, 10, 64, 644, 2), "the batch is not");
    check("copies_gaps", !taper__gemm_copies16(p, 128, 2, 10, 64, 0, 1), "no stride is one");
    check("gemm_shared", taper__gemm_fast_shared_bytes() <= 99 << 10, "more than 99 KiB");
}

static void attention(void) {
    static const int heads[] = {32, 64, 96, 128};
    bool fits = true, rows = true;
    for (int i = 0; i < 4; i++)
        for (int pass = 0; pass < 3; pass++)
            for (int extra = 0; extra < 2; extra++) {
                fits = fits && taper__attention_shared_bytes((taper_attention_pass)pass, heads[i], extra) <= 99 << 10;
                int n = taper__attention_rows((taper_attention_pass)pass, heads[i], extra);
                rows = rows && (n == 64 || n == 128);
            }
    check("attention_shared", fits, "more than 99 KiB, which the smallest sm_8x have");
    check("attention_rows", rows, "a block has neither 64 nor 128 rows");
    check("attention_head", taper__attention_head(64, 64) == 64 && taper__attention_head(40, 72) == 96 && taper__attention_head(8, 8) == 32 &&
                                taper__attention_head(128, 8) == 128, "sizes are not rounded up to 32, 64, 96, 128");
    check("attention_none", !taper__attention_head(136, 64) && !taper__attention_head(20, 64) && !taper__attention_head(0, 64), "a size that does not fit");
    check("attention_drop", taper__attention_drop_bound(0) == 0 && taper__attention_drop_bound(1) == 65536 && taper__attention_drop_bound(0.5) == 32768,
          "probabilities become other bounds");
}

int main(void) {
    tiles();
    parts();
    copies();
    attention();
    return failed;
}
