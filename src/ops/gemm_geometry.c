/* The cut of the GPU's own products, apart from the launch so that it can be tested without a GPU. */
#include "ops/gemm_geometry.h"

int64_t taper__gemm_tiles(int64_t m, int64_t n, int tile) { return ((m + tile - 1) / tile) * ((n + tile - 1) / tile); }

void taper__gemm_cut(taper_gemm_args *g, int tile, int step, int slots) {
    enum { LEAST = 256, MOST = 64 }; /* elements of k that are worth a block of their own; parts */
    int64_t blocks = taper__gemm_tiles(g->m, g->n, tile) * g->batch, parts = 1;
    if (blocks > 0 && blocks < slots) parts = slots / blocks;
    if (parts > g->k / LEAST) parts = g->k / LEAST;
    if (parts > MOST) parts = MOST;
    if (parts < 1) parts = 1;
    int64_t each = (g->k + parts - 1) / parts;
    g->part_k = (each + step - 1) / step * step;
    if (g->part_k < step) g->part_k = step;
    g->parts = (int)((g->k + g->part_k - 1) / g->part_k);
    if (g->parts < 1) g->parts = 1;
}

bool taper__gemm_copies16(const void *p, int64_t row, int64_t col, int64_t rows, int64_t cols, int64_t batch_stride, int64_t batch) {
    if ((uintptr_t)p % 16 || (batch > 1 && batch_stride % 8)) return false;
    if (col == 1) return rows <= 1 || (row % 8 == 0 && row >= 0);
    if (row == 1) return cols <= 1 || (col % 8 == 0 && col >= 0);
    return false;
}

unsigned taper__gemm_fast_shared_bytes(void) {
    unsigned stages = TAPER_GEMM_FAST_STAGES * 2 * TAPER_GEMM_FAST_OPERAND * 2, out = TAPER_GEMM_FAST_TILE * TAPER_GEMM_FAST_OUT * 4;
    return stages > out ? stages : out;
}
