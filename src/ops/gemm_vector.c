/* Matrix times vector: reads the matrix where it is, once, at the speed of memory. */
#include "ops/gemm_kernel.h"

enum {
    GEMM_VECTOR_BLOCK = 1024,           /* outputs at a time: their sums stay in the first-level cache */
    GEMM_VECTOR_GRAIN = 256,            /* outputs of a range: long enough runs of memory */
    GEMM_VECTOR_GRAIN_ELEMENTS = 32768, /* of the matrix, for a range */
};

typedef struct vector_run {
    const taper_gemm *g;
    const gemm_kernels *kernels;
    gemm_vector_fn *fn;
    bool row; /* C is a row: the matrix is B, the vector A */
    int64_t size, outputs, k;
    int64_t m_row, m_step, c_step; /* elements: between rows of the matrix, between outputs in it and in C */
} vector_run;

/* Outputs [begin, end) of one product. */
static void gemm_vector_item(const vector_run *r, int64_t item, int64_t begin, int64_t end) {
    const taper_gemm *g = r->g;
    int64_t outer = item / g->batch[1], inner = item % g->batch[1];
    const char *a = (const char *)g->a + (outer * g->a_batch[0] + inner * g->a_batch[1]) * r->size;
    const char *b = (const char *)g->b + (outer * g->b_batch[0] + inner * g->b_batch[1]) * r->size;
    char *c = (char *)g->c + (outer * g->c_batch[0] + inner * g->c_batch[1]) * r->size;
    double sums[GEMM_VECTOR_BLOCK];
    for (int64_t i = begin; i < end; i += GEMM_VECTOR_BLOCK) {
        int64_t count = end - i < GEMM_VECTOR_BLOCK ? end - i : GEMM_VECTOR_BLOCK;
        r->fn(r->k, (r->row ? b : a) + i * r->m_step * r->size, r->m_row, r->row ? a : b, sums, count);
        gemm_tail tail = {.alpha = g->alpha,
                          .beta = g->beta,
                          .bias = g->bias ? (const char *)g->bias + (r->row ? i * r->size : 0) : NULL,
                          .relu = g->act == TAPER_GEMM_RELU};
        r->kernels->ends(sums, count, c + i * r->c_step * r->size, r->c_step, r->row, &tail);
    }
}

static void gemm_vector_range(void *ctx, int64_t begin, int64_t end) {
    const vector_run *r = ctx;
    while (begin < end) {
        int64_t item = begin / r->outputs, first = begin % r->outputs, count = r->outputs - first;
        if (count > end - begin) count = end - begin;
        gemm_vector_item(r, item, first, first + count);
        begin += count;
    }
}

bool taper__gemm_vector(const taper_gemm *g, const gemm_kernels *kernels, int64_t size) {
    bool row = g->m == 1;
    int64_t along = row ? g->b_row : g->a_col, across = row ? g->b_col : g->a_row, x_step = row ? g->a_col : g->b_row;
    if (g->a_type != TAPER_GEMM_NATIVE || g->b_type != TAPER_GEMM_NATIVE || x_step != 1) return false;
    if (along != 1 && across != 1) return false;
    vector_run r = {.g = g,
                    .kernels = kernels,
                    .fn = across == 1 ? kernels->axpy : kernels->dot,
                    .row = row,
                    .size = size,
                    .outputs = row ? g->n : g->m,
                    .k = g->alpha == 0 || g->k < 0 ? 0 : g->k,
                    .m_row = across == 1 ? along : across,
                    .m_step = across,
                    .c_step = row ? 1 : g->c_row};
    int64_t grain = GEMM_VECTOR_GRAIN_ELEMENTS / (r.k + 1) + 1;
    if (across == 1 && grain < GEMM_VECTOR_GRAIN) grain = GEMM_VECTOR_GRAIN;
    taper__parallel_for(g->batch[0] * g->batch[1] * r.outputs, grain, gemm_vector_range, &r);
    return true;
}
