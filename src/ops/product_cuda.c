/* Matrix products on the GPU: cuBLASLt where it is there and takes the strides, the library's own kernels else. */
#include "device/cuda/blas.h"
#include "ops/gemm_geometry.h"
#include "ops/product.h"
#include "ops/reduce_cuda.h"

static taper_cuda_kernel product_plain_kernels[4] = {TAPER_CUDA_KERNEL("gemm_cuda", "gemm_f64"), TAPER_CUDA_KERNEL("gemm_cuda", "gemm_i64"),
                                                     TAPER_CUDA_KERNEL("gemm_cuda", "gemm_f16"), TAPER_CUDA_KERNEL("gemm_cuda", "gemm_bf16")};
static taper_cuda_kernel product_f32_kernels[4] = {TAPER_CUDA_KERNEL("gemm_f32", "gemm_f32_nn"), TAPER_CUDA_KERNEL("gemm_f32", "gemm_f32_nt"),
                                                   TAPER_CUDA_KERNEL("gemm_f32", "gemm_f32_tn"), TAPER_CUDA_KERNEL("gemm_f32", "gemm_f32_tt")};
#define PRODUCT_FAST(type)                                                                                             \
    {TAPER_CUDA_KERNEL("gemm_mma", "gemm_fast_" type "_nn"), TAPER_CUDA_KERNEL("gemm_mma", "gemm_fast_" type "_nt"),   \
     TAPER_CUDA_KERNEL("gemm_mma", "gemm_fast_" type "_tn"), TAPER_CUDA_KERNEL("gemm_mma", "gemm_fast_" type "_tt")}
static taper_cuda_kernel product_fast_kernels[2][4] = {PRODUCT_FAST("f16"), PRODUCT_FAST("bf16")};
static taper_cuda_kernel product_gather_kernel = TAPER_CUDA_KERNEL("gemm_mma", "gemm_gather");

/* One of two strides must be 1; ld is the other one. */
static bool product_layout(taper_matrix x, int64_t rows, int64_t cols, bool *transposed, int64_t *ld) {
    if ((x.col == 1 || cols == 1) && (x.row >= cols || rows == 1)) {
        *transposed = false;
        *ld = rows == 1 || x.row < cols ? cols : x.row;
        return true;
    }
    if ((x.row == 1 || rows == 1) && (x.col >= rows || cols == 1)) {
        *transposed = true;
        *ld = cols == 1 || x.col < rows ? rows : x.col;
        return true;
    }
    return false;
}

bool taper__product_has_cublaslt(const taper_call *c, const char **why) {
    char reason[256];
    (void)c;
    if (taper__cublaslt_available(reason, sizeof reason)) return true;
    if (why) *why = "cuBLASLt cannot be used here (taper version -v says why)";
    return false;
}

/* The end of sums over parts of k. */
static taper_status product_gather(taper_gemm_args *g, int index) {
    int64_t blocks = (g->batch * g->m * g->n + 255) / 256;
    taper_cuda_geometry geometry = {.grid = {(unsigned)(blocks < 65536 ? blocks : 65536), 1, 1}, .block = {256, 1, 1}};
    void *args[1] = {g};
    return taper__cuda_launch(&product_gather_kernel, index, &geometry, args, "product");
}

static taper_status product_tiles(taper_cuda_kernel *kernel, taper_gemm_args *g, int tile, int step, int threads, int blocks_each, unsigned shared,
                                  int index) {
    int64_t tiles = taper__gemm_tiles(g->m, g->n, tile);
    taper__gemm_cut(g, tile, step, taper__cuda_multiprocessors(index) * blocks_each);
    if (tiles > INT32_MAX || g->batch * g->parts > 65535) return TAPER_NOT_IMPLEMENTED; /* no message: another kernel follows */
    taper_cuda_geometry geometry = {.grid = {(unsigned)tiles, 1, (unsigned)(g->batch * g->parts)}, .block = {(unsigned)threads, 1, 1}, .shared_bytes = shared};
    void *args[1] = {g}, *partial = NULL;
    size_t bytes = (size_t)(g->parts * g->batch * g->m * g->n) * sizeof(float);
    if (g->parts == 1) return taper__cuda_launch(kernel, index, &geometry, args, "product");
    TAPER_TRY(taper__memory_alloc(&partial, bytes, taper_cuda(index), "product"));
    g->partial = partial;
    taper_status st = taper__cuda_launch(kernel, index, &geometry, args, "product");
    if (st == TAPER_OK) st = product_gather(g, index);
    taper__memory_free(partial, bytes, taper_cuda(index));
    return st;
}

/* Any strides, any dtype. */
static taper_status product_plain(taper_gemm_args *g, int dtype, int index) {
    int which = dtype == TAPER_F64 ? 0 : dtype == TAPER_F16 ? 2 : dtype == TAPER_BF16 ? 3 : 1;
    int64_t tiles_m = (g->m + TAPER_GEMM_TILE - 1) / TAPER_GEMM_TILE, tiles_n = (g->n + TAPER_GEMM_TILE - 1) / TAPER_GEMM_TILE;
    if (tiles_m > 65535)
        return TAPER_FAIL(TAPER_NOT_IMPLEMENTED, "product: %lld rows are more than the GPU kernel takes (%d); cut the rows, or install cuBLASLt",
                          (long long)g->m, 65535 * TAPER_GEMM_TILE);
    taper_cuda_geometry geometry = {.grid = {(unsigned)tiles_n, (unsigned)tiles_m, (unsigned)(g->batch < 65535 ? g->batch : 65535)},
                                    .block = {which < 2 ? TAPER_GEMM_THREADS_PLAIN : TAPER_GEMM_THREADS_MMA, 1, 1}};
    void *args[1] = {g};
    return taper__cuda_launch(&product_plain_kernels[which], index, &geometry, args, "product");
}

static taper_status product_own(const taper_product *p) {
    taper_gemm_args g = {.a = taper__data(p->a.t), .b = taper__data(p->b.t), .bias = p->bias ? taper__data(p->bias) : NULL, .c = taper__data(p->c),
                         .aux = p->aux ? taper__data(p->aux) : NULL, .m = p->m, .n = p->n, .k = p->k, .batch = p->batch,
                         .a_row = p->a.row, .a_col = p->a.col, .a_batch = p->a.batch, .b_row = p->b.row, .b_col = p->b.col, .b_batch = p->b.batch,
                         .alpha = p->alpha, .beta = p->beta, .dtype = p->c->dtype, .epilogue = p->epilogue, .parts = 1, .part_k = p->k};
    int index = p->c->device.index, dtype = p->a.t->dtype;
    taper_status st = TAPER_NOT_IMPLEMENTED;
    if (dtype == TAPER_F32) {
        int which = (g.a_col == 1 ? 0 : 2) + (g.b_row == 1 ? 0 : 1);
        st = product_tiles(&product_f32_kernels[which], &g, TAPER_GEMM_F32_TILE, TAPER_GEMM_F32_K, TAPER_GEMM_F32_THREADS, 2, 0, index);
    } else if ((dtype == TAPER_F16 || dtype == TAPER_BF16) && taper__gemm_copies16(g.a, g.a_row, g.a_col, g.m, g.k, g.a_batch, g.batch) &&
               taper__gemm_copies16(g.b, g.b_row, g.b_col, g.k, g.n, g.b_batch, g.batch)) {
        int which = (g.a_col == 1 ? 0 : 2) + (g.b_col == 1 ? 1 : 0);
        st = product_tiles(&product_fast_kernels[dtype == TAPER_BF16][which], &g, TAPER_GEMM_FAST_TILE, TAPER_GEMM_FAST_K, TAPER_GEMM_FAST_THREADS, 2,
                           taper__gemm_fast_shared_bytes(), index);
    }
    return st == TAPER_NOT_IMPLEMENTED ? product_plain(&g, dtype, index) : st;
}

/* cuBLASLt's name of what is fused; 0 when it has none, or is slower than a pass of our own: 0.9 ms for the slope of gelu with
 * sums on a product of 0.2 ms (H200). Its gelu is the tanh form. */
static int product_epilogue(const taper_product *p) {
    if (p->row_sum || p->column_sum) return 0;
    if (p->epilogue == TAPER_GEMM_STORE) return p->bias ? TAPER_EPILOGUE_BIAS : TAPER_EPILOGUE_NONE;
    if (p->c->dtype == TAPER_F64) return 0; /* its gelu is not as exact as that */
    if (p->epilogue == TAPER_GEMM_GELU_TANH) return p->bias ? TAPER_EPILOGUE_GELU_AUX_BIAS : TAPER_EPILOGUE_GELU_AUX;
    return 0;
}

/* NOT_IMPLEMENTED when cuBLASLt is not there or declines. */
static taper_status product_vendor(const taper_product *p) {
    taper_gemm g = {.m = p->m, .n = p->n, .k = p->k, .batch = p->batch, .dtype_a = p->a.t->dtype, .dtype_b = p->b.t->dtype, .dtype_out = p->c->dtype,
                    .epilogue = (taper_epilogue)product_epilogue(p), .a = taper__data(p->a.t), .b = taper__data(p->b.t), .out = taper__data(p->c),
                    .stride_a = p->a.batch, .stride_b = p->b.batch, .stride_c = p->m * p->n, .stride_out = p->m * p->n, .alpha = p->alpha,
                    .beta = p->beta, .aux = p->aux ? taper__data(p->aux) : NULL, .stride_aux = p->m * p->n};
    if (p->bias) g.bias = taper__data(p->bias);
    g.tf32 = g.dtype_a == TAPER_F32 && taper__cublaslt_tf32();
    if (!p->k || !g.epilogue || !taper_dtype_is_float((taper_dtype)p->c->dtype) || !taper__product_has_cublaslt(NULL, NULL) ||
        !product_layout(p->a, p->m, p->k, &g.trans_a, &g.lda) || !product_layout(p->b, p->k, p->n, &g.trans_b, &g.ldb))
        return TAPER_NOT_IMPLEMENTED;
    return taper__cublaslt_matmul(&g, p->c->device.index, "product");
}

/* Sums over rows of a matrix. */
static taper_status product_sums(taper_tensor *out, const taper_tensor *t, int64_t rows, int64_t cols, int64_t row, int64_t col) {
    int64_t shape[2] = {rows, cols}, strides[2] = {row, col};
    taper_tensor *seen = NULL;
    taper_status st = col == 1 && row == cols ? taper__product_columns_cuda(t, rows, cols, NULL, false, out) : TAPER_NOT_IMPLEMENTED;
    if (st != TAPER_NOT_IMPLEMENTED) return st;
    TAPER_TRY(taper__tensor_view(&seen, (taper_tensor *)t, 2, shape, strides, t->offset));
    taper_reduce_job job = {.row = TAPER_RED_sum, .in = seen, .mask = 1, .out = out};
    st = taper__reduce_device(&job, "sum");
    taper_tensor_release(seen);
    return st;
}

/* The bare product by cuBLASLt, the slope of gelu and the sums by one pass over it. */
static taper_status product_then_slope(const taper_product *p) {
    taper_product bare = *p;
    if (p->batch != 1 || p->row_sum || (p->epilogue != TAPER_GEMM_SLOPE && p->epilogue != TAPER_GEMM_SLOPE_TANH)) return TAPER_NOT_IMPLEMENTED;
    if (p->n % 8 || ((uintptr_t)taper__data(p->c) | (uintptr_t)taper__data(p->aux)) % 16 || p->c->dtype == TAPER_F64) return TAPER_NOT_IMPLEMENTED;
    bare.epilogue = TAPER_GEMM_STORE, bare.aux = bare.column_sum = NULL;
    TAPER_TRY(product_vendor(&bare));
    return taper__product_columns_cuda(p->c, p->m, p->n, p->aux, p->epilogue == TAPER_GEMM_SLOPE_TANH, p->column_sum);
}

taper_status taper__product_fused_cuda(const taper_product *p) {
    if (!p->m || !p->n || !p->batch) return TAPER_OK;
    taper_product bare = *p;
    bare.row_sum = bare.column_sum = NULL;
    taper_status st = product_then_slope(p);
    if (st != TAPER_NOT_IMPLEMENTED) return st;
    st = product_vendor(&bare);
    if (st == TAPER_NOT_IMPLEMENTED) st = product_own(p);
    if (st == TAPER_OK && p->row_sum) st = product_sums(p->row_sum, p->a.t, p->k, p->m, p->a.col, p->a.row);
    if (st == TAPER_OK && p->column_sum) st = product_sums(p->column_sum, p->c, p->m, p->n, p->n, 1);
    return st;
}

taper_status taper__product_cuda(taper_tensor *c, int64_t batch, int64_t m, int64_t n, int64_t k, taper_matrix a, taper_matrix b, double alpha,
                                 double beta, const taper_tensor *bias) {
    return taper__product_fused_cuda(
        &(taper_product){.c = c, .batch = batch, .m = m, .n = n, .k = k, .a = a, .b = b, .alpha = alpha, .beta = beta, .bias = bias});
}
