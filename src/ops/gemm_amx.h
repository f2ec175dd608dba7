/* What gemm_amx.c asks of the kernels that use the tile registers of AMX (x86). */
#ifndef TAPER_OPS_GEMM_AMX_H
#define TAPER_OPS_GEMM_AMX_H

#include "ops/gemm_kernel.h"

enum {
    GEMM_AMX_SIDE = 16,   /* rows of A or columns of B in a strip */
    GEMM_AMX_STEP = 32,   /* elements of k in one step */
    GEMM_AMX_TILE = 1024, /* bytes of a tile register: a strip of bfloat16, one step deep */
    GEMM_AMX_PARTS = 3,   /* bfloat16 numbers that make up a float exactly: 3 x 8 bits */
};

/* One strip: for every step of k its tiles, one for each part of a number, the large parts first; zeros where width or k
 * end early. src[w across + p along], one of the strides is 1. A tile of A has a row for each w, one of B for each pair
 * of p. Where along is not 1, src[ahead] is what soon will be read in the place of src[0]. false: some number is infinite, NaN or
 * so near the ends of the range that its parts are not of use. */
typedef bool gemm_amx_pack_fn(char *to, const void *src, int64_t across, int64_t along, int width, int64_t k, bool of_b,
                              int64_t ahead);

/* out[i out_row + j] = first[i first_row + j] (0 where NULL) + sums over `steps` for two strips of A and two of B; a1 or
 * b1 is NULL where there is one. */
typedef void gemm_amx_tile_fn(int64_t steps, const char *a0, const char *a1, const char *b0, const char *b1, float *out,
                              int64_t out_row, const float *first, int64_t first_row);

typedef struct gemm_amx_kernels {
    void (*begin)(void), (*end)(void); /* around the use of tiles in a thread */
    gemm_amx_pack_fn *pack[2];         /* by taper_gemm_type */
    gemm_amx_tile_fn *tile[2];
    gemm_amx_tile_fn *any; /* for strips of floats that pack did not like; first is NULL */
    /* c = act(alpha x + beta c + bias), x 32 floats a row */
    void (*finish)(const float *x, int rows, int cols, float *c, int64_t c_row, const gemm_tail *tail);
} gemm_amx_kernels;

TAPER_SIMD_DECLARE(gemm_amx_kernels, taper__gemm_amx_kernels);

/* C as taper__sgemm makes it, if this processor, these sizes and strides allow: *taken. */
taper_status taper__gemm_amx(const taper_gemm *g, bool *taken);

#endif
