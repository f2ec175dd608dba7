/* Operators on the GPU against the CPU at sizes that reach every path of the kernels (the driver's samples are small), then
 * rates. Without a GPU it says so and passes. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <taper/ops.h>
#include <taper/scope.h>

#include "tensor/tensor.h"

static int failed;
static unsigned long long state = 88172645463325252ull;
static double uniform(void) { /* [-1, 1) */
    state ^= state << 13, state ^= state >> 7, state ^= state << 17;
    return (double)(state >> 11) / 4503599627370496.0 - 1;
}
static double seconds(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static taper_tensor *random_tensor(taper_scope *s, taper_dtype dtype, int ndim, const int64_t *shape) {
    int64_t n = 1;
    for (int d = 0; d < ndim; d++) n *= shape[d];
    size_t e = taper_dtype_size(dtype);
    char *host = malloc((size_t)n * e + 1);
    taper_tensor *t = NULL;
    for (int64_t i = 0; i < n; i++) taper__store_double(host + (size_t)i * e, dtype, dtype < TAPER_F16 && dtype != TAPER_BOOL ? floor(9 * uniform()) : uniform());
    if (taper_tensor_from_data(&t, host, dtype, ndim, shape)) s->status = TAPER_MEMORY;
    free(host);
    return taper_scope_own(s, t);
}
static taper_tensor *on_gpu(taper_scope *s, taper_tensor *t) {
    taper_device gpu = taper_cuda(0);
    return tx_to(s, t, &gpu, TAPER_DTYPE_NONE, false, false);
}

static void check(const char *name, taper_dtype dtype, taper_scope *s, taper_tensor *want, taper_tensor *got, double most) {
    taper_device cpu = taper_cpu();
    taper_tensor *a = tx_contiguous(s, tx_to(s, want, NULL, TAPER_F64, false, false)), *b = tx_contiguous(s, tx_to(s, tx_to(s, got, &cpu, TAPER_DTYPE_NONE, false, false), NULL, TAPER_F64, false, false));
    double d = 0, w = 0;
    if (s->status != TAPER_OK) {
        failed = 1, printf("not ok ops_cuda_%s %s: %s\n", name, taper_dtype_name(dtype), taper_error_message());
        return;
    }
    const double *x = taper_tensor_data(a), *y = taper_tensor_data(b);
    bool same = a->numel == b->numel && want->dtype == got->dtype;
    for (int64_t i = 0; same && i < a->numel; i++) d += (x[i] - y[i]) * (x[i] - y[i]), w += x[i] * x[i];
    d = sqrt(d / (w > 0 ? w : 1));
    if (same && d <= most) printf("ok ops_cuda_%s %s (%.2g)\n", name, taper_dtype_name(dtype), d);
    else failed = 1, printf("not ok ops_cuda_%s %s: relative error %.3g, at most %.3g\n", name, taper_dtype_name(dtype), d, most);
}

static void elements(taper_dtype dtype) {
    taper_scope s = TAPER_SCOPE;
    int64_t big[2] = {777, 1003}, row[1] = {1003}, cube[3] = {37, 70, 129}, zero = 0, dims[2] = {0, 2};
    bool floats = taper_dtype_is_float(dtype);
    double most = dtype == TAPER_BF16 ? 1e-2 : dtype == TAPER_F16 ? 2e-3 : 1e-5;
    taper_tensor *x = random_tensor(&s, dtype, 2, big), *r = random_tensor(&s, dtype, 1, row), *c = random_tensor(&s, dtype, 3, cube);
    taper_tensor *gx = on_gpu(&s, x), *gr = on_gpu(&s, r), *gc = on_gpu(&s, c);
    check("add", dtype, &s, tx_add(&s, x, x, taper_int(3)), tx_add(&s, gx, gx, taper_int(3)), most);
    check("mul_broadcast", dtype, &s, tx_mul(&s, x, r), tx_mul(&s, gx, gr), most);
    check("mul_transposed", dtype, &s, tx_mul(&s, tx_transpose(&s, c, 0, 2), tx_transpose(&s, c, 0, 2)),
          tx_mul(&s, tx_transpose(&s, gc, 0, 2), tx_transpose(&s, gc, 0, 2)), most);
    check("lt", dtype, &s, tx_lt(&s, x, r), tx_lt(&s, gx, gr), 0);
    check("transpose", dtype, &s, tx_contiguous(&s, tx_transpose(&s, c, 1, 2)), tx_contiguous(&s, tx_transpose(&s, gc, 1, 2)), 0);
    check("transpose_outer", dtype, &s, tx_contiguous(&s, tx_transpose(&s, c, 0, 2)), tx_contiguous(&s, tx_transpose(&s, gc, 0, 2)), 0);
    check("to_float64", dtype, &s, tx_to(&s, x, NULL, TAPER_F64, false, false), tx_to(&s, gx, NULL, TAPER_F64, false, false), 0);
    check("to_int32", dtype, &s, tx_to(&s, x, NULL, TAPER_I32, false, false), tx_to(&s, gx, NULL, TAPER_I32, false, false), 0);
    check("sum", dtype, &s, tx_sum(&s, x, NULL, 0, false, TAPER_DTYPE_NONE), tx_sum(&s, gx, NULL, 0, false, TAPER_DTYPE_NONE), most);
    check("sum_columns", dtype, &s, tx_sum(&s, x, &zero, 1, false, TAPER_DTYPE_NONE), tx_sum(&s, gx, &zero, 1, false, TAPER_DTYPE_NONE), most);
    check("sum_ends", dtype, &s, tx_sum(&s, c, dims, 2, false, TAPER_DTYPE_NONE), tx_sum(&s, gc, dims, 2, false, TAPER_DTYPE_NONE), most);
    dims[0] = 1;
    check("sum_last", dtype, &s, tx_sum(&s, c, dims + 1, 1, true, TAPER_DTYPE_NONE), tx_sum(&s, gc, dims + 1, 1, true, TAPER_DTYPE_NONE), most);
    if (floats) {
        check("exp", dtype, &s, tx_exp(&s, x), tx_exp(&s, gx), most);
        check("gelu", dtype, &s, tx_gelu(&s, x, "none"), tx_gelu(&s, gx, "none"), most);
        check("softmax_rows", dtype, &s, tx_softmax(&s, x, 1, TAPER_DTYPE_NONE), tx_softmax(&s, gx, 1, TAPER_DTYPE_NONE), most);
        check("log_softmax_columns", dtype, &s, tx_log_softmax(&s, c, 1, TAPER_DTYPE_NONE), tx_log_softmax(&s, gc, 1, TAPER_DTYPE_NONE), most);
        int64_t length[1] = {1003}, ids[1] = {500};
        taper_tensor *d[3] = {NULL}, *e[3] = {NULL}, *gate = tx_add(&s, x, r, taper_int(1)), *ggate = on_gpu(&s, gate);
        if (s.status == TAPER_OK) s.status = taper_native_layer_norm(d, x, length, 1, r, r, 1e-5);
        if (s.status == TAPER_OK) s.status = taper_native_layer_norm(e, gx, length, 1, gr, gr, 1e-5);
        for (int k = 0; k < 3; k++) taper_scope_own(&s, d[k]), taper_scope_own(&s, e[k]);
        taper_tensor *mean = d[1], *rstd = d[2], *gmean = e[1], *grstd = e[2];
        check("layer_norm", dtype, &s, d[0], e[0], most);
        check("layer_norm_rstd", dtype, &s, d[2], e[2], 1e-5);
        if (s.status == TAPER_OK) s.status = taper_layer_norm_backward(d, gate, x, length, 1, mean, rstd, r, true, NULL);
        if (s.status == TAPER_OK) s.status = taper_layer_norm_backward(e, ggate, gx, length, 1, gmean, grstd, gr, true, NULL);
        for (int k = 0; k < 3; k++) taper_scope_own(&s, d[k]), taper_scope_own(&s, e[k]);
        check("layer_norm_backward", dtype, &s, d[0], e[0], most);
        check("layer_norm_weight", dtype, &s, d[1], e[1], most);
        check("layer_norm_bias", dtype, &s, d[2], e[2], most);
        taper_tensor *i = tx_abs(&s, random_tensor(&s, TAPER_I64, 1, ids)), *gi = on_gpu(&s, i), *rows = tx_embedding(&s, x, i, -1, false, false);
        check("embedding", dtype, &s, rows, tx_embedding(&s, gx, gi, -1, false, false), 0);
        check("embedding_backward", dtype, &s, tx_embedding_dense_backward(&s, rows, i, 777, 2, false),
              tx_embedding_dense_backward(&s, on_gpu(&s, rows), gi, 777, 2, false), most);
    }
    taper_scope_end(&s);
}

static void products(taper_dtype dtype) {
    taper_scope s = TAPER_SCOPE;
    int64_t a[3] = {3, 257, 300}, b[3] = {3, 300, 130}, bias[1] = {257};
    double most = dtype == TAPER_BF16 ? 1e-2 : dtype == TAPER_F16 ? 2e-3 : 1e-5;
    taper_tensor *x = random_tensor(&s, dtype, 3, a), *y = random_tensor(&s, dtype, 3, b), *v = random_tensor(&s, dtype, 1, bias);
    taper_tensor *gx = on_gpu(&s, x), *gy = on_gpu(&s, y), *gv = on_gpu(&s, v);
    check("bmm", dtype, &s, tx_bmm(&s, x, y), tx_bmm(&s, gx, gy), most);
    check("bmm_transposed", dtype, &s, tx_bmm(&s, tx_transpose(&s, y, 1, 2), tx_transpose(&s, x, 1, 2)),
          tx_bmm(&s, tx_transpose(&s, gy, 1, 2), tx_transpose(&s, gx, 1, 2)), most);
    check("linear", dtype, &s, tx_linear(&s, tx_transpose(&s, y, 1, 2), tx_select(&s, x, 0, 1), v),
          tx_linear(&s, tx_transpose(&s, gy, 1, 2), tx_select(&s, gx, 0, 1), gv), most);
    check("mv", dtype, &s, tx_mv(&s, tx_transpose(&s, tx_select(&s, x, 0, 1), 0, 1), v), tx_mv(&s, tx_transpose(&s, tx_select(&s, gx, 0, 1), 0, 1), gv), most);
    taper_scope_end(&s);
}

static void rate(const char *name, double bytes, double flops, int repeat, taper_tensor *(*work)(taper_scope *s, taper_tensor *x), taper_tensor *x) {
    double best = 1e9;
    for (int turn = 0; turn < 4; turn++) {
        taper_cuda_synchronize(0);
        double t = seconds();
        for (int i = 0; i < repeat; i++) {
            taper_scope s = TAPER_SCOPE;
            work(&s, x);
            taper_scope_end(&s);
        }
        double queued = (seconds() - t) / repeat;
        taper_cuda_synchronize(0);
        t = (seconds() - t) / repeat;
        if (bytes == 0 && flops == 0) t = queued;
        best = t < best ? t : best;
    }
    if (flops > 0) printf("# %s: %.1f us, %.1f TFLOP/s\n", name, best * 1e6, flops / best * 1e-12);
    else if (bytes > 0) printf("# %s: %.1f us, %.0f GB/s\n", name, best * 1e6, bytes / best * 1e-9);
    else printf("# %s: %.2f us of the host per call\n", name, best * 1e6);
}
static taper_tensor *do_add(taper_scope *s, taper_tensor *x) { return tx_add(s, x, x, taper_int(1)); }
static taper_tensor *do_gelu(taper_scope *s, taper_tensor *x) { return tx_gelu(s, x, "none"); }
static taper_tensor *do_transpose(taper_scope *s, taper_tensor *x) { return tx_contiguous(s, tx_transpose(s, x, 0, 1)); }
static taper_tensor *do_row(taper_scope *s, taper_tensor *x) { return tx_mul(s, x, tx_select(s, x, 0, 0)); }
static taper_tensor *do_sum(taper_scope *s, taper_tensor *x) { return tx_sum(s, x, NULL, 0, false, TAPER_DTYPE_NONE); }
static taper_tensor *do_sum_columns(taper_scope *s, taper_tensor *x) {
    int64_t d = 0;
    return tx_sum(s, x, &d, 1, false, TAPER_DTYPE_NONE);
}
static taper_tensor *do_softmax(taper_scope *s, taper_tensor *x) { return tx_softmax(s, x, 1, TAPER_DTYPE_NONE); }
static taper_tensor *do_mm(taper_scope *s, taper_tensor *x) { return tx_mm(s, x, x); }

int main(void) {
    const char *why = NULL;
    if (taper_cuda_device_count(&why) < 1) {
        printf("ok ops_cuda # no GPU: %s\n", why ? why : "");
        return 0;
    }
    const taper_dtype all[] = {TAPER_F32, TAPER_F64, TAPER_F16, TAPER_BF16, TAPER_I64, TAPER_I32, TAPER_I16, TAPER_I8};
    for (int i = 0; i < TAPER_COUNT(all); i++) elements(all[i]);
    for (int i = 0; i < 4; i++) products(all[i]);
    taper_scope s = TAPER_SCOPE;
    int64_t tiny[1] = {8}, large[2] = {8192, 8192};
    double n = 8192.0 * 8192.0;
    taper_tensor *t = on_gpu(&s, random_tensor(&s, TAPER_F32, 1, tiny)), *x = on_gpu(&s, random_tensor(&s, TAPER_F32, 2, large));
    taper_tensor *h = tx_to(&s, x, NULL, TAPER_BF16, false, false);
    rate("tiny add", 0, 0, 20000, do_add, t);
    rate("add f32", 8 * n, 0, 20, do_add, x);
    rate("add bf16", 4 * n, 0, 20, do_add, h);
    rate("gelu f32", 8 * n, 0, 20, do_gelu, x);
    rate("mul by a row f32", 8 * n, 0, 20, do_row, x);
    rate("transpose f32", 8 * n, 0, 20, do_transpose, x);
    rate("transpose bf16", 4 * n, 0, 20, do_transpose, h);
    rate("sum f32", 4 * n, 0, 20, do_sum, x);
    rate("sum of columns f32", 4 * n, 0, 20, do_sum_columns, x);
    rate("softmax f32", 8 * n, 0, 20, do_softmax, x);
    rate("mm bf16", 0, 2 * n * 8192, 5, do_mm, h);
    rate("mm f32", 0, 2 * n * 8192, 2, do_mm, x);
    if (s.status != TAPER_OK) failed = 1, printf("not ok ops_cuda_rates: %s\n", taper_error_message());
    taper_scope_end(&s);
    return failed;
}
