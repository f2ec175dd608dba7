/* Matrix multiplication on the CPU: cuts C into tasks for the threads, packs operands where that pays, runs tiles.
 *
 * Letters: rows of C go by tiles (at most kernels->rows high, evenly divided), columns by panels (kernels->cols wide),
 * k by passes, whose length depends on k alone, so that every sum has one order. A task is a rectangle of tiles and
 * panels. It packs its part of A and one panel of B at a time into memory of its own: packing one element twice on two
 * cores costs less than sending it from one core to the other. */
#include <taper/threads.h>

#include "ops/gemm_amx.h"
#include "ops/gemm_buffer.h"
#include "ops/gemm_kernel.h"

enum {
    GEMM_TASK_FLOPS = 400000,     /* a smaller task is not worth handing to another thread */
    GEMM_BLOCK_BYTES = 672 << 10, /* of A at a time: with one panel of B they fit the second-level cache */
    GEMM_TASK_ROWS = 1344,        /* at most; a panel of B is packed once for all of them */
    GEMM_TASK_COLS = 1024,        /* at most, so that the packed panels stay in the third-level cache */
    GEMM_LARGE_FLOPS = 1 << 26,   /* up to this two tasks for each thread, so that one that was held up can be helped;
                                   * above,   one, since smaller tasks pack more */
    GEMM_PACK_A_USES = 4,         /* panels that use a tile of A before copying crowded rows pays */
    GEMM_NEAR_BYTES = 128 << 10,  /* a piece of A whose columns can be read from where they are */
    GEMM_PACK_B_USES = 12,        /* tiles that use a panel of B before packing it pays */
};

/* ---- one call ---- */

typedef struct gemm_run {
    const taper_gemm *g;
    const gemm_kernels *kernels;
    int64_t size, a_size, b_size;        /* bytes of an element: C and packed, A, B */
    int64_t m, n, k;                     /* k is 0 when alpha is */
    int64_t a_row, a_col, b_row, b_col;  /* bytes */
    int64_t tiles, panels, passes, pass; /* pass: length in k */
    int64_t row_parts, col_parts;        /* tasks of one product */
    bool pack_a, pack_b, pack_b_last;    /* last: the panel that is not whole vectors wide */
    gemm_buffer *buffer;
    int64_t a_bytes; /* of packed A in a slot; packed B follows */
    size_t slot;     /* bytes of packing space of one task */
    int slots;
} gemm_run;

typedef struct gemm_task {
    const char *a, *b;
    char *c;
    int64_t tile0, tile1, panel0, panel1, pass;
    int64_t block0, block1; /* tiles whose part of A is packed now */
    bool keep_b;            /* all panels of B stay packed for the blocks to come */
    char *packed_a, *packed_b;
} gemm_task;

static int64_t gemm_min(int64_t a, int64_t b) { return a < b ? a : b; }
static int64_t gemm_max(int64_t a, int64_t b) { return a > b ? a : b; }
static int64_t gemm_ceil(int64_t a, int64_t b) { return (a + b - 1) / b; }
/* Begin of part i when `whole` is divided evenly in `parts`, the longer ones first. */
static int64_t gemm_cut(int64_t whole, int64_t parts, int64_t i) {
    return i * (whole / parts) + gemm_min(i, whole % parts);
}
static int64_t gemm_row(const gemm_run *r, int64_t tile) { return gemm_cut(r->m, r->tiles, tile); }
static int64_t gemm_depth(const gemm_run *r, int64_t pass) { return gemm_min(r->k - pass * r->pass, r->pass); }

static int64_t gemm_blocks(const gemm_run *r, int64_t tiles) {
    int64_t tile_bytes = r->kernels->rows * gemm_max(r->pass, 1) * r->size;
    return gemm_ceil(tiles, gemm_max(1, GEMM_BLOCK_BYTES / tile_bytes));
}

static gemm_task gemm_task_at(const gemm_run *r, int64_t i, char *slot) {
    const taper_gemm *g = r->g;
    int64_t col = i % r->col_parts, row = i / r->col_parts % r->row_parts, item = i / r->col_parts / r->row_parts;
    int64_t outer = item / g->batch[1], inner = item % g->batch[1];
    gemm_task t = {.a = (const char *)g->a + (outer * g->a_batch[0] + inner * g->a_batch[1]) * r->a_size,
                   .b = (const char *)g->b + (outer * g->b_batch[0] + inner * g->b_batch[1]) * r->b_size,
                   .c = (char *)g->c + (outer * g->c_batch[0] + inner * g->c_batch[1]) * r->size,
                   .tile0 = gemm_cut(r->tiles, r->row_parts, row),
                   .tile1 = gemm_cut(r->tiles, r->row_parts, row + 1),
                   .panel0 = gemm_cut(r->panels, r->col_parts, col),
                   .panel1 = gemm_cut(r->panels, r->col_parts, col + 1),
                   .packed_a = slot,
                   .packed_b = slot + r->a_bytes};
    t.keep_b = gemm_blocks(r, t.tile1 - t.tile0) > 1;
    return t;
}

/* Rows of A stay rows: the kernels take both orders, and copying costs less than turning. They are put a line more than
 * a multiple of lines apart, since rows a power of two apart crowd into one set of the first-level cache. */
static int64_t gemm_packed_row(const gemm_run *r) { return r->pass + 64 / r->size; }

static void gemm_pack_a(const gemm_run *r, const gemm_task *t) {
    const taper_gemm *g = r->g;
    int64_t p = t->pass * r->pass;
    char *to = t->packed_a;
    if (g->a_col == 1) {
        int64_t row0 = gemm_row(r, t->block0), rows = gemm_row(r, t->block1) - row0;
        r->kernels->copy[g->a_type](to, gemm_packed_row(r), t->a + row0 * r->a_row + p * r->a_col, g->a_row, rows,
                                    gemm_depth(r, t->pass));
        return;
    }
    for (int64_t tile = t->block0; tile < t->block1; tile++) {
        int64_t row = gemm_row(r, tile), rows = gemm_row(r, tile + 1) - row;
        r->kernels->pack[g->a_type](to, r->kernels->a_stride, t->a + row * r->a_row + p * r->a_col, g->a_row, g->a_col,
                                    (int)rows, gemm_depth(r, t->pass));
        to += r->pass * r->kernels->a_stride * r->size;
    }
}

/* The panel of B at `col`, packed if it is to be; its row stride in *b_row. */
static const char *gemm_b(const gemm_run *r, const gemm_task *t, int64_t panel, int cols, int64_t *b_row) {
    const taper_gemm *g = r->g;
    const gemm_kernels *kernels = r->kernels;
    const char *b = t->b + t->pass * r->pass * r->b_row + panel * kernels->cols * r->b_col;
    *b_row = g->b_row;
    if (!r->pack_b && !(r->pack_b_last && panel + 1 == r->panels)) return b;
    *b_row = kernels->cols;
    char *packed = t->packed_b + (t->keep_b ? panel - t->panel0 : 0) * r->pass * kernels->cols * r->size;
    if (t->block0 == t->tile0 || !t->keep_b)
        kernels->pack[g->b_type](packed, kernels->cols, b, g->b_col, g->b_row, cols, gemm_depth(r, t->pass));
    return packed;
}

/* One panel of C for the tiles of the current block. */
static void gemm_panel(const gemm_run *r, const gemm_task *t, int64_t panel) {
    const taper_gemm *g = r->g;
    const gemm_kernels *kernels = r->kernels;
    int64_t col = panel * kernels->cols, depth = gemm_depth(r, t->pass), b_row;
    int cols = (int)gemm_min(r->n - col, kernels->cols);
    bool final = t->pass + 1 == r->passes;
    gemm_tail tail = {.alpha = g->alpha,
                      .beta = t->pass ? 1 : g->beta,
                      .bias = final && g->bias ? (const char *)g->bias + col * r->size : NULL,
                      .relu = final && g->act == TAPER_GEMM_RELU};
    const char *b = gemm_b(r, t, panel, cols, &b_row);
    /* The panel to be packed next, a few of its rows with every tile. A transposed B needs no such help: its lines
     * follow each other. */
    bool fetch = r->pack_b && g->b_col == 1 && t->block0 == t->tile0 && panel + 1 < t->panel1;
    const char *next = t->b + t->pass * r->pass * r->b_row + (col + kernels->cols) * r->b_col;
    int64_t fetched = 0, share = fetch ? gemm_ceil(depth, t->block1 - t->block0) : 0;
    gemm_tile_fn *const *tiles = &kernels->tile[0][cols > kernels->cols / 2];
    const char *a = t->a + t->pass * r->pass * r->a_col;
    for (int64_t tile = t->block0; tile < t->block1; tile++) {
        int64_t row = gemm_row(r, tile), rows = gemm_row(r, tile + 1) - row;
        for (int64_t end = gemm_min(depth, fetched + share); fetched < end; fetched++) {
            __builtin_prefetch(next + fetched * r->b_row, 0, 2);
            __builtin_prefetch(next + fetched * r->b_row + 64, 0, 2);
        }
        gemm_tile_fn *run = tiles[2 * (rows - 1)];
        char *c = t->c + (row * g->c_row + col) * r->size;
        if (!r->pack_a)
            run(depth, a + row * r->a_row, g->a_row, g->a_col, b, b_row, c, g->c_row, cols, &tail);
        else if (g->a_col == 1)
            run(depth, t->packed_a + (row - gemm_row(r, t->block0)) * gemm_packed_row(r) * r->size, gemm_packed_row(r),
                1, b, b_row, c, g->c_row, cols, &tail);
        else
            run(depth, t->packed_a + (tile - t->block0) * r->pass * kernels->a_stride * r->size, 1, kernels->a_stride,
                b, b_row, c, g->c_row, cols, &tail);
    }
}

static void gemm_range(void *ctx, int64_t begin, int64_t end) {
    const gemm_run *r = ctx;
    char *slot = r->slot ? taper__gemm_slot_take(r->buffer, r->slot, r->slots) : NULL;
    for (int64_t i = begin; i < end; i++) {
        gemm_task t = gemm_task_at(r, i, slot);
        int64_t tiles = t.tile1 - t.tile0, blocks = gemm_blocks(r, tiles);
        for (t.pass = 0; t.pass < r->passes; t.pass++)
            for (int64_t block = 0; block < blocks; block++) {
                t.block0 = t.tile0 + gemm_cut(tiles, blocks, block);
                t.block1 = t.tile0 + gemm_cut(tiles, blocks, block + 1);
                if (r->pack_a) gemm_pack_a(r, &t);
                for (int64_t panel = t.panel0; panel < t.panel1; panel++) gemm_panel(r, &t, panel);
            }
    }
    if (slot) taper__gemm_slot_give(r->buffer, r->slot, slot);
}

/* Sets row_parts and col_parts. */
static void gemm_divide(gemm_run *r, int64_t items, int64_t threads, double flops) {
    r->row_parts = gemm_ceil(r->m, GEMM_TASK_ROWS);
    r->col_parts = gemm_ceil(r->n, GEMM_TASK_COLS);
    if (threads == 1) return;
    int64_t wanted =
        gemm_min(gemm_ceil(threads * (flops < GEMM_LARGE_FLOPS ? 2 : 1), items), (int64_t)(flops / GEMM_TASK_FLOPS));
    int64_t more = gemm_ceil(wanted, r->row_parts * r->col_parts), best = INT64_MAX, by_rows = 1, by_cols = 1;
    /* Every part of the columns reads all of A, every part of the rows reads and packs all of B. */
    for (int64_t cols = 1; cols <= more; cols++) {
        int64_t rows = gemm_ceil(more, cols), cost = r->m * r->col_parts * cols + 2 * r->n * r->row_parts * rows;
        if (r->col_parts * cols > r->panels || r->row_parts * rows > r->tiles || cost >= best) continue;
        best = cost, by_rows = rows, by_cols = cols;
    }
    r->row_parts *= by_rows;
    r->col_parts *= by_cols;
}

/* Sets pack_a, pack_b, pack_b_last, a_bytes and slot. */
static void gemm_choose_packing(gemm_run *r) {
    const taper_gemm *g = r->g;
    int64_t tiles = gemm_ceil(r->tiles, r->row_parts), panels = gemm_ceil(r->panels, r->col_parts);
    int64_t blocks = gemm_blocks(r, tiles), rows = gemm_ceil(tiles, blocks) * r->kernels->rows;
    /* Rows a multiple of 2 KB apart fall into two sets of the first-level cache; columns far apart need a page each. */
    bool crowded =
        g->a_col == 1 ? g->a_row * r->size % 2048 == 0 : gemm_min(r->k, r->pass) * g->a_col * r->size > GEMM_NEAR_BYTES;
    r->pack_a =
        g->a_type != TAPER_GEMM_NATIVE || (g->a_row != 1 && g->a_col != 1) || (crowded && panels >= GEMM_PACK_A_USES);
    r->pack_b = g->b_type != TAPER_GEMM_NATIVE || g->b_col != 1 || tiles >= GEMM_PACK_B_USES;
    r->pack_b_last = r->n % (r->kernels->cols / 2) != 0;
    int64_t b_cols = r->pack_b || r->pack_b_last ? r->kernels->cols * (blocks > 1 ? panels : 1) : 0;
    if (!r->pack_a)
        r->a_bytes = 0;
    else if (g->a_col == 1)
        r->a_bytes = rows * gemm_packed_row(r) * r->size;
    else
        r->a_bytes = gemm_ceil(tiles, blocks) * r->kernels->a_stride * r->pass * r->size;
    r->slot = (size_t)(r->a_bytes + b_cols * r->pass * r->size);
}

static taper_status gemm_run_all(const taper_gemm *g, const gemm_kernels *kernels, int64_t size) {
    if (g->m <= 0 || g->n <= 0 || g->batch[0] <= 0 || g->batch[1] <= 0) return TAPER_OK;
    gemm_run r = {
        .g = g, .kernels = kernels, .size = size, .m = g->m, .n = g->n, .k = g->alpha == 0 ? 0 : gemm_max(g->k, 0)};
    if ((r.m == 1 || r.n == 1) && taper__gemm_vector(g, kernels, size)) return TAPER_OK;
    r.a_size = g->a_type == TAPER_GEMM_BF16 ? 2 : size;
    r.b_size = g->b_type == TAPER_GEMM_BF16 ? 2 : size;
    r.a_row = g->a_row * r.a_size, r.a_col = g->a_col * r.a_size;
    r.b_row = g->b_row * r.b_size, r.b_col = g->b_col * r.b_size;
    r.tiles = gemm_ceil(r.m, kernels->rows);
    r.panels = gemm_ceil(r.n, kernels->cols);
    r.passes = gemm_max(1, gemm_ceil(r.k, kernels->depth));
    r.pass = gemm_ceil(gemm_ceil(r.k, r.passes), 16) * 16; /* whole vectors suit the transposing pack */
    r.passes = gemm_max(1, gemm_ceil(r.k, gemm_max(1, r.pass)));
    int64_t items = g->batch[0] * g->batch[1], threads = taper_num_threads();
    double flops = 2.0 * (double)r.m * (double)r.n * (double)gemm_max(r.k, 16);
    gemm_divide(&r, items, threads, flops);
    gemm_choose_packing(&r);
    int64_t parts = r.row_parts * r.col_parts;
    r.slots = (int)gemm_min(gemm_min(threads, items * parts), GEMM_SLOTS);
    if (r.slot) TAPER_TRY(taper__gemm_buffer_take(&r.buffer, r.slot * (size_t)r.slots));
    taper__parallel_for(items * parts, 1 + (int64_t)(GEMM_TASK_FLOPS * (double)parts / flops), gemm_range, &r);
    taper__gemm_buffer_give(r.buffer);
    return TAPER_OK;
}

taper_status taper__sgemm(const taper_gemm *g) {
    bool taken;
    TAPER_TRY(taper__gemm_amx(g, &taken));
    if (taken) return TAPER_OK;
    return gemm_run_all(g, TAPER_SIMD_PICK(taper__gemm_f32), sizeof(float));
}

taper_status taper__dgemm(const taper_gemm *g) {
    if (g->a_type != TAPER_GEMM_NATIVE || g->b_type != TAPER_GEMM_NATIVE)
        return TAPER_FAIL(TAPER_TYPE, "dgemm: A and B are of types %d and %d, need double", g->a_type, g->b_type);
    return gemm_run_all(g, TAPER_SIMD_PICK(taper__gemm_f64), sizeof(double));
}
