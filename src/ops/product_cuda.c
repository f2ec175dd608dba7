/* Matrix products on the GPU: cuBLASLt where it is there and takes the strides, the library's own kernels else. */
#include "device/cuda/blas.h"
#include "ops/gemm_args.h"
#include "ops/product.h"

static taper_cuda_kernel product_kernels[4] = {TAPER_CUDA_KERNEL("gemm_cuda", "gemm_f32"), TAPER_CUDA_KERNEL("gemm_cuda", "gemm_f64"),
                                               TAPER_CUDA_KERNEL("gemm_cuda", "gemm_f16"), TAPER_CUDA_KERNEL("gemm_cuda", "gemm_bf16")};

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
    static _Thread_local char reason[256];
    (void)c;
    if (taper__cublaslt_available(reason, sizeof reason)) return true;
    if (why) *why = reason;
    return false;
}

static taper_status product_own(taper_tensor *c, int64_t batch, int64_t m, int64_t n, int64_t k, taper_matrix a, taper_matrix b, double alpha,
                                double beta, const taper_tensor *bias) {
    taper_gemm_args g = {.a = taper__data(a.t), .b = taper__data(b.t), .bias = bias ? taper__data(bias) : NULL, .c = taper__data(c),
                         .m = m, .n = n, .k = k, .batch = batch,
                         .a_row = a.row, .a_col = a.col, .a_batch = a.batch, .b_row = b.row, .b_col = b.col, .b_batch = b.batch,
                         .alpha = alpha, .beta = beta, .dtype = c->dtype};
    int which = c->dtype == TAPER_F64 ? 1 : c->dtype == TAPER_F16 ? 2 : c->dtype == TAPER_BF16 ? 3 : 0;
    int64_t tiles_m = (m + TAPER_GEMM_TILE - 1) / TAPER_GEMM_TILE, tiles_n = (n + TAPER_GEMM_TILE - 1) / TAPER_GEMM_TILE;
    if (tiles_m > 65535)
        return TAPER_FAIL(TAPER_NOT_IMPLEMENTED, "product: %lld rows are more than the GPU kernel takes (%d); cut the rows, or install cuBLASLt",
                          (long long)m, 65535 * TAPER_GEMM_TILE);
    taper_cuda_geometry geometry = {.grid = {(unsigned)tiles_n, (unsigned)tiles_m, (unsigned)(batch < 65535 ? batch : 65535)},
                                    .block = {which < 2 ? TAPER_GEMM_THREADS_PLAIN : TAPER_GEMM_THREADS_MMA, 1, 1}};
    void *args[1] = {&g};
    return taper__cuda_launch(&product_kernels[which], c->device.index, &geometry, args, "product");
}

taper_status taper__product_cuda(taper_tensor *c, int64_t batch, int64_t m, int64_t n, int64_t k, taper_matrix a, taper_matrix b, double alpha,
                                 double beta, const taper_tensor *bias) {
    if (c->dtype < TAPER_F16 || c->dtype > TAPER_F64)
        return TAPER_FAIL(TAPER_NOT_IMPLEMENTED, "\"addmm_cuda\" not implemented for '%s'", taper_dtype_typename((taper_dtype)c->dtype));
    if (!m || !n || !batch) return TAPER_OK;
    taper_gemm g = {.m = m, .n = n, .k = k, .batch = batch, .dtype_a = c->dtype, .dtype_b = c->dtype, .dtype_out = c->dtype,
                    .epilogue = bias ? TAPER_EPILOGUE_BIAS : TAPER_EPILOGUE_NONE, .a = taper__data(a.t), .b = taper__data(b.t), .out = taper__data(c),
                    .stride_a = a.batch, .stride_b = b.batch, .stride_c = m * n, .stride_out = m * n, .alpha = alpha, .beta = beta,
                    .bias = bias ? taper__data(bias) : NULL};
    if (k && taper__product_has_cublaslt(NULL, NULL) && product_layout(a, m, k, &g.trans_a, &g.lda) && product_layout(b, k, n, &g.trans_b, &g.ldb)) {
        taper_status st = taper__cublaslt_matmul(&g, c->device.index, "product");
        if (st != TAPER_NOT_IMPLEMENTED) return st;
    }
    return product_own(c, batch, m, n, k, a, b, alpha, beta, bias);
}
