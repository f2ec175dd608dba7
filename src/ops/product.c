/* Matrix products over tensors on the CPU: gemm for floating dtypes, plain loops for integers. */
#include "ops/product.h"

#include "ops/gemm.h"

taper_status taper__product_check(const taper_call *c, const taper_tensor *a, const taper_tensor *b) {
    if (a->dtype != b->dtype)
        return TAPER_FAIL(TAPER_RUNTIME, "expected m1 and m2 to have the same dtype, but got: %s != %s (%s of %s and %s)",
                          taper_dtype_typename((taper_dtype)a->dtype), taper_dtype_typename((taper_dtype)b->dtype), c->row->name, TAPER_TEXT(a),
                          TAPER_TEXT(b));
    if (a->dtype == TAPER_BOOL)
        return TAPER_FAIL(TAPER_NOT_IMPLEMENTED, "%s: matrix products are not implemented for 'Bool', got %s and %s", c->row->name, TAPER_TEXT(a),
                          TAPER_TEXT(b));
    return taper__need_same_device(c);
}

typedef struct product_ints {
    int64_t m, n, k;
    const int64_t *a, *b;
    int64_t *c;
    int64_t alpha, beta;
} product_ints;

static void product_int_rows(void *ctx, int64_t begin, int64_t end) {
    const product_ints *p = ctx;
    for (int64_t r = begin; r < end; r++) {
        int64_t batch = r / p->m;
        const int64_t *a = p->a + r * p->k, *b = p->b + batch * p->k * p->n;
        int64_t *c = p->c + r * p->n;
        for (int64_t j = 0; j < p->n; j++) c[j] = p->beta ? (int64_t)((uint64_t)c[j] * (uint64_t)p->beta) : 0;
        for (int64_t i = 0; i < p->k; i++) {
            uint64_t x = (uint64_t)a[i] * (uint64_t)p->alpha;
            for (int64_t j = 0; j < p->n; j++) c[j] = (int64_t)((uint64_t)c[j] + x * (uint64_t)b[i * p->n + j]);
        }
    }
}

/* Contiguous int64 copy of a batch of matrices. */
static taper_status product_int_copy(taper_tensor **out, taper_matrix x, int64_t batch, int64_t rows, int64_t cols) {
    int64_t shape[3] = {batch, rows, cols}, strides[3] = {x.batch, x.row, x.col};
    taper_tensor *seen = NULL;
    TAPER_TRY(taper__tensor_view(&seen, x.t, 3, shape, strides, x.t->offset));
    taper_status st = taper__tensor_empty(out, TAPER_I64, x.t->device, 3, shape, "mm");
    if (st == TAPER_OK) st = taper__copy_data(*out, seen);
    taper_tensor_release(seen);
    return st;
}

static taper_status product_int(taper_tensor *c, int64_t batch, int64_t m, int64_t n, int64_t k, taper_matrix a, taper_matrix b, double alpha,
                                double beta) {
    taper_status st;
    taper_tensor *wa = NULL, *wb = NULL, *wc = NULL;
    TAPER_TRY_GOTO(product_int_copy(&wa, a, batch, m, k));
    TAPER_TRY_GOTO(product_int_copy(&wb, b, batch, k, n));
    TAPER_TRY_GOTO(product_int_copy(&wc, (taper_matrix){c, n, 1, m * n}, batch, m, n));
    product_ints p = {m, n, k, taper__data(wa), taper__data(wb), taper__data(wc), (int64_t)alpha, (int64_t)beta};
    taper__parallel_for(batch * m, 1 + (1 << 15) / (n * k + 1), product_int_rows, &p);
    int64_t shape[TAPER_MAX_DIMS];
    memcpy(shape, c->shape, sizeof shape);
    taper__tensor_set_layout(wc, c->ndim, shape, NULL);
    st = taper__copy_data(c, wc);
out:
    taper_tensor_release(wa);
    taper_tensor_release(wb);
    taper_tensor_release(wc);
    return st;
}

taper_status taper__product(taper_tensor *c, int64_t batch, int64_t m, int64_t n, int64_t k, taper_matrix a, taper_matrix b, double alpha,
                            double beta, const taper_tensor *bias) {
    if (c->device.type == TAPER_CUDA) return taper__product_cuda(c, batch, m, n, k, a, b, alpha, beta, bias);
    if (!taper_dtype_is_float((taper_dtype)c->dtype)) return product_int(c, batch, m, n, k, a, b, alpha, beta);
    taper_gemm g = {.m = m,
                    .n = n,
                    .k = k,
                    .batch = {1, batch},
                    .alpha = alpha,
                    .beta = beta,
                    .a = taper__data(a.t),
                    .a_row = a.row,
                    .a_col = a.col,
                    .a_batch = {0, a.batch},
                    .b = taper__data(b.t),
                    .b_row = b.row,
                    .b_col = b.col,
                    .b_batch = {0, b.batch},
                    .c = taper__data(c),
                    .c_row = n,
                    .c_batch = {0, m * n},
                    .bias = bias ? taper__data(bias) : NULL};
    return c->dtype == TAPER_F64 ? taper__dgemm(&g) : taper__sgemm(&g);
}
