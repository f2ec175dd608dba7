/* Matrix multiplication with the tile registers of AMX: cuts C into tasks, packs strips of A and B, runs tiles.
 *
 * A task is a rectangle of C in squares of 32. For each pass of k it packs its columns of B, some at a time, and 32 rows of A
 * that stay in the first-level cache while the squares go along them: C is written as memory lies. Passes have a length that depends on k
 * alone and squares begin at fixed places, so that no result depends on how C is cut. A strip with numbers that cannot be split
 * (gemm_amx.h) makes the squares it meets take vectors instead, for that pass. */
#include "ops/gemm_amx.h"

#include <taper/threads.h>

#include "ops/gemm_buffer.h"

#if defined(__x86_64__)

enum {
    AMX_SQUARE = 2 * GEMM_AMX_SIDE,
    AMX_PASS = 512,               /* of k, at most */
    AMX_BLOCK_BYTES = 1 << 20,    /* of packed B at a time: half of the second-level cache */
    AMX_TASK_FLOPS = 1000000,     /* a smaller task is not worth handing to another thread */
    AMX_LEAST_SIDE = 43,          /* m n / (m + n): below, packing costs too much */
    AMX_LEAST_FLOPS = 500000,     /* of a product: below, packing and configuring cost too much */
};

typedef struct amx_run {
    const taper_gemm *g;
    const gemm_amx_kernels *kernels;
    int type;                      /* taper_gemm_type */
    int64_t parts, size;           /* tiles for a number, bytes of an element of A and B */
    int64_t rows, cols;            /* of C in squares */
    int64_t row_parts, col_parts;  /* tasks of one product */
    int64_t block;                 /* panels of B packed at a time */
    int64_t pass, strip;           /* of k; bytes */
    gemm_buffer *buffer;
    size_t slot;
    int slots;
} amx_run;

typedef struct amx_task {
    const char *a, *b;
    float *c;
    char *packed_a, *packed_b;
    bool *plain_b; /* for each panel of the block */
    int64_t row0, row1, col0, col1, block0, block1, k0, depth, steps;
} amx_task;

static int64_t amx_min(int64_t a, int64_t b) { return a < b ? a : b; }
static int64_t amx_ceil(int64_t a, int64_t b) { return (a + b - 1) / b; }
static int64_t amx_cut(int64_t whole, int64_t parts, int64_t i) { return i * (whole / parts) + amx_min(i, whole % parts); }

/* `squares` pairs of strips of A (from row i on) or B (from column i on), of which there are `count`; step by step, so that
 * rows in memory are read along. plain[]: see gemm_amx_pack_fn. */
static void amx_pack(const amx_run *r, const amx_task *t, char *to, bool *plain, int64_t i, int64_t squares, int64_t count,
                     bool of_b) {
    const taper_gemm *g = r->g;
    int64_t across = of_b ? g->b_col : g->a_row, along = of_b ? g->b_row : g->a_col;
    int64_t end = amx_min(i + squares * AMX_SQUARE, count), group = along == 1 ? t->depth : GEMM_AMX_STEP;
    int64_t strips = amx_ceil(end - i, GEMM_AMX_SIDE), lag = amx_min(strips, 2), wrap = GEMM_AMX_STEP * along - strips * GEMM_AMX_SIDE;
    for (int64_t y = 0; y < squares; y++) plain[y] = true;
    for (int64_t p = 0; p < t->depth; p += group)
        for (int64_t x = i, strip = 0; x < end; x += GEMM_AMX_SIDE, strip++)
            plain[strip / 2] &= r->kernels->pack[r->type](
                to + strip * r->strip + p / GEMM_AMX_STEP * r->parts * GEMM_AMX_TILE,
                (of_b ? t->b : t->a) + (x * across + (t->k0 + p) * along) * r->size, across, along,
                (int)amx_min(end - x, GEMM_AMX_SIDE), amx_min(t->depth - p, group), of_b,
                lag * GEMM_AMX_SIDE + (strip + lag < strips ? 0 : wrap));
}

static void amx_square(const amx_run *r, const amx_task *t, int64_t row, int64_t col, bool plain_a) {
    const taper_gemm *g = r->g;
    int64_t i = row * AMX_SQUARE, j = col * AMX_SQUARE;
    int rows = (int)amx_min(g->m - i, AMX_SQUARE), cols = (int)amx_min(g->n - j, AMX_SQUARE);
    const char *a0 = t->packed_a, *a1 = rows > GEMM_AMX_SIDE ? a0 + r->strip : NULL;
    const char *b0 = t->packed_b + (col - t->block0) * 2 * r->strip, *b1 = cols > GEMM_AMX_SIDE ? b0 + r->strip : NULL;
    bool first = t->k0 == 0, final = t->k0 + t->depth == g->k, plain = plain_a && t->plain_b[col - t->block0];
    float *c = t->c + i * g->c_row + j;
    gemm_tail tail = {.alpha = g->alpha,
                      .beta = first ? g->beta : 1,
                      .bias = first && g->bias ? (const float *)g->bias + j : NULL,
                      .relu = final && g->act == TAPER_GEMM_RELU};
    /* Sums can begin with C or with the bias, whose one row then serves for all. */
    bool once = !tail.bias || tail.beta == 0;
    if (plain && once && rows % GEMM_AMX_SIDE == 0 && cols % GEMM_AMX_SIDE == 0 && tail.alpha == 1 && !tail.relu &&
        (tail.beta == 0 || tail.beta == 1)) {
        const float *from = tail.bias ? tail.bias : tail.beta == 1 ? c : NULL;
        r->kernels->tile[r->type](t->steps, a0, a1, b0, b1, c, g->c_row, from, tail.bias ? 0 : g->c_row);
        return;
    }
    _Alignas(64) float sums[AMX_SQUARE * AMX_SQUARE];
    (plain ? r->kernels->tile[r->type] : r->kernels->any)(t->steps, a0, a1, b0, b1, sums, AMX_SQUARE, NULL, 0);
    r->kernels->finish(sums, rows, cols, c, g->c_row, &tail);
}

static void amx_range(void *ctx, int64_t begin, int64_t end) {
    const amx_run *r = ctx;
    const taper_gemm *g = r->g;
    char *slot = taper__gemm_slot_take(r->buffer, r->slot, r->slots);
    r->kernels->begin();
    for (int64_t task = begin; task < end; task++) {
        int64_t col = task % r->col_parts, row = task / r->col_parts % r->row_parts, item = task / r->col_parts / r->row_parts;
        int64_t outer = item / g->batch[1], inner = item % g->batch[1];
        amx_task t = {.a = (const char *)g->a + (outer * g->a_batch[0] + inner * g->a_batch[1]) * r->size,
                      .b = (const char *)g->b + (outer * g->b_batch[0] + inner * g->b_batch[1]) * r->size,
                      .c = (float *)g->c + outer * g->c_batch[0] + inner * g->c_batch[1],
                      .packed_a = slot,
                      .packed_b = slot + 2 * r->strip,
                      .plain_b = (bool *)slot + (2 + 2 * r->block) * r->strip,
                      .row0 = amx_cut(r->rows, r->row_parts, row),
                      .row1 = amx_cut(r->rows, r->row_parts, row + 1),
                      .col0 = amx_cut(r->cols, r->col_parts, col),
                      .col1 = amx_cut(r->cols, r->col_parts, col + 1)};
        for (t.k0 = 0; t.k0 < g->k; t.k0 += t.depth) {
            t.depth = amx_min(g->k - t.k0, r->pass);
            t.steps = amx_ceil(t.depth, GEMM_AMX_STEP);
            for (t.block0 = t.col0; t.block0 < t.col1; t.block0 = t.block1) {
                t.block1 = amx_min(t.block0 + r->block, t.col1);
                amx_pack(r, &t, t.packed_b, t.plain_b, t.block0 * AMX_SQUARE, t.block1 - t.block0, g->n, true);
                for (int64_t i = t.row0; i < t.row1; i++) {
                    bool plain;
                    amx_pack(r, &t, t.packed_a, &plain, i * AMX_SQUARE, 1, g->m, false);
                    for (int64_t j = t.block0; j < t.block1; j++) amx_square(r, &t, i, j, plain);
                }
            }
        }
    }
    r->kernels->end();
    taper__gemm_slot_give(r->buffer, r->slot, slot);
}

/* Whether tiles pay: they do twice the work of vectors, all of it for what is filled up, too. The number of threads has no
 * say, since results must not depend on it. */
static bool amx_suits(const taper_gemm *g, double *flops) {
    *flops = 2.0 * (double)g->m * (double)g->n * (double)g->k;
    double filled = 2.0 * (double)(amx_ceil(g->m, GEMM_AMX_SIDE) * GEMM_AMX_SIDE) *
                    (double)(amx_ceil(g->n, GEMM_AMX_SIDE) * GEMM_AMX_SIDE) *
                    (double)(amx_ceil(g->k, GEMM_AMX_STEP) * GEMM_AMX_STEP);
    bool a = g->a_row == 1 || g->a_col == 1, b = g->b_row == 1 || g->b_col == 1;
    return a && b && g->a_type == g->b_type && g->alpha != 0 && *flops >= AMX_LEAST_FLOPS && filled <= 1.4 * *flops &&
           g->m * g->n >= AMX_LEAST_SIDE * (g->m + g->n);
}

/* Every part of the columns packs all of A, every part of the rows all of B. */
static void amx_divide(amx_run *r, int64_t items, int64_t threads, double flops) {
    int64_t wanted = amx_min(amx_ceil(threads, items), (int64_t)(flops / AMX_TASK_FLOPS)), best = INT64_MAX;
    r->row_parts = r->col_parts = 1;
    for (int64_t cols = 1; cols <= wanted; cols++) {
        int64_t rows = amx_ceil(wanted, cols), cost = r->rows * cols + r->cols * rows;
        if (cols > r->cols || rows > r->rows || cost >= best) continue;
        best = cost, r->row_parts = rows, r->col_parts = cols;
    }
}

taper_status taper__gemm_amx(const taper_gemm *g, bool *taken) {
    double flops;
    *taken = amx_suits(g, &flops) && taper__isa_tiles();
    if (!*taken) return TAPER_OK;
    bool bf16 = g->a_type == TAPER_GEMM_BF16;
    amx_run r = {.g = g,
                 .kernels = &taper__gemm_amx_kernels_v4,
                 .type = g->a_type,
                 .parts = bf16 ? 1 : GEMM_AMX_PARTS,
                 .size = bf16 ? 2 : 4,
                 .rows = amx_ceil(g->m, AMX_SQUARE),
                 .cols = amx_ceil(g->n, AMX_SQUARE)};
    int64_t items = g->batch[0] * g->batch[1], threads = taper_num_threads();
    amx_divide(&r, items, threads, flops);
    int64_t steps = amx_ceil(amx_ceil(g->k, amx_ceil(g->k, AMX_PASS)), GEMM_AMX_STEP); /* even passes */
    r.pass = steps * GEMM_AMX_STEP;
    r.strip = steps * r.parts * GEMM_AMX_TILE;
    r.block = amx_min(AMX_BLOCK_BYTES / (2 * r.strip), amx_ceil(r.cols, r.col_parts));
    r.slot = (size_t)((2 + 2 * r.block) * r.strip + amx_ceil(r.block, 64) * 64);
    int64_t tasks = items * r.row_parts * r.col_parts;
    r.slots = (int)amx_min(amx_min(threads, tasks), GEMM_SLOTS);
    TAPER_TRY(taper__gemm_buffer_take(&r.buffer, r.slot * (size_t)r.slots));
    double share = flops / (double)(r.row_parts * r.col_parts);
    taper__parallel_for(tasks, 1 + (int64_t)(AMX_TASK_FLOPS / share), amx_range, &r);
    taper__gemm_buffer_give(r.buffer);
    return TAPER_OK;
}

#else
taper_status taper__gemm_amx(const taper_gemm *g, bool *taken) {
    (void)g;
    *taken = false;
    return TAPER_OK;
}
#endif
