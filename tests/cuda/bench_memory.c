/* Rates of kernels that memory bounds, at 2^28 elements: TB/s of what a call must read and write at least, median of 20,
 * timed by events. A word on the command line keeps the lines that contain it. Without a GPU it says so and passes. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <taper/cuda.h>
#include <taper/ops.h>
#include <taper/scope.h>

#include "tensor/tensor.h"

enum { TURNS = 20, PLACES = 16384, VOCABULARY = 65 };
static int failed;
static const char *only;
static unsigned long long state = 88172645463325252ull;
static double uniform(void) { /* [-1, 1) */
    state ^= state << 13, state ^= state >> 7, state ^= state << 17;
    return (double)(state >> 11) / 4503599627370496.0 - 1;
}

typedef struct bench_data {
    taper_tensor *x, *y, *row, *mean, *rstd;
    taper_tensor *tokens; /* PLACES numbers below VOCABULARY */
    int64_t rows, cols;
} bench_data;

/* rows by cols, a block of 2^20 random numbers over and over. */
static taper_tensor *bench_tensor(taper_scope *s, taper_dtype dtype, int64_t rows, int64_t cols) {
    int64_t block = (int64_t)1 << 20, n = rows * cols, shape[2] = {(n + block - 1) / block, block}, all = -1, whole[2] = {rows, cols};
    float *host = malloc((size_t)block * sizeof *host);
    taper_device gpu = taper_cuda(0);
    taper_tensor *t = NULL;
    for (int64_t i = 0; host && i < block; i++) host[i] = (float)uniform();
    if (!host || taper_tensor_from_data(&t, host, TAPER_F32, 1, shape + 1)) s->status = TAPER_MEMORY;
    free(host);
    t = tx_to(s, tx_to(s, taper_scope_own(s, t), &gpu, TAPER_DTYPE_NONE, false, false), NULL, dtype, false, false);
    t = tx_reshape(s, tx_contiguous(s, tx_expand(s, t, shape, 2)), &all, 1);
    return tx_reshape(s, tx_narrow(s, t, 0, 0, n), whole, 2);
}

static taper_tensor *bench_tokens(taper_scope *s) {
    static int64_t host[PLACES];
    taper_device gpu = taper_cuda(0);
    taper_tensor *t = NULL;
    for (int i = 0; i < PLACES; i++) host[i] = (int64_t)((uniform() + 1) / 2 * VOCABULARY);
    if (s->status == TAPER_OK) s->status = taper_tensor_from_data(&t, host, TAPER_I64, 1, (int64_t[1]){PLACES});
    return tx_to(s, taper_scope_own(s, t), &gpu, TAPER_DTYPE_NONE, false, false);
}

static int bench_order(const void *a, const void *b) {
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}
static void bench(const char *name, taper_dtype dtype, const bench_data *d, double bytes, void (*work)(taper_scope *s, const bench_data *d)) {
    taper_cuda_event *begin = NULL, *end = NULL;
    float ms[TURNS] = {0};
    taper_status st = TAPER_OK;
    char label[96];
    snprintf(label, sizeof label, "%s %s [%lld,%lld]", name, taper_dtype_name(dtype), (long long)d->rows, (long long)d->cols);
    if (only && !strstr(label, only)) return;
    if (taper_cuda_event_new(&begin, true, false) || taper_cuda_event_new(&end, true, false)) st = TAPER_DEVICE;
    for (int turn = -2; st == TAPER_OK && turn < TURNS; turn++) {
        taper_scope s = TAPER_SCOPE;
        st = taper_cuda_event_record(begin, NULL);
        work(&s, d);
        if (st == TAPER_OK) st = s.status;
        if (st == TAPER_OK) st = taper_cuda_event_record(end, NULL);
        if (st == TAPER_OK) st = taper_cuda_event_synchronize(end);
        if (st == TAPER_OK && turn >= 0) st = taper_cuda_event_elapsed(&ms[turn], begin, end);
        taper_scope_end(&s);
    }
    taper_cuda_event_release(begin);
    taper_cuda_event_release(end);
    qsort(ms, TURNS, sizeof *ms, bench_order);
    if (st == TAPER_OK) printf("# %-52s %8.3f ms %6.2f TB/s\n", label, (double)ms[TURNS / 2], bytes / ((double)ms[TURNS / 2] * 1e-3) * 1e-12);
    else failed = 1, printf("not ok bench_memory %s: %s\n", label, taper_error_message());
    fflush(stdout);
}

static const int64_t zero = 0, one = 1;
static void do_copy(taper_scope *s, const bench_data *d) { tx_clone(s, d->x); }
static void do_add(taper_scope *s, const bench_data *d) { tx_add(s, d->x, d->y, taper_int(1)); }
static void do_gelu(taper_scope *s, const bench_data *d) { tx_gelu(s, d->x, "none"); }
static void do_bias(taper_scope *s, const bench_data *d) { tx_add(s, d->x, d->row, taper_int(1)); }
static void do_gelu_backward(taper_scope *s, const bench_data *d) { tx_gelu_backward(s, d->x, d->y, "none"); }
static void do_gelu_tanh(taper_scope *s, const bench_data *d) { tx_gelu(s, d->x, "tanh"); }
static void do_transpose(taper_scope *s, const bench_data *d) { tx_contiguous(s, tx_transpose(s, d->x, 0, 1)); }
/* The heads of attention and the time change places: (batch, time, heads, width / heads). */
static void do_heads(taper_scope *s, const bench_data *d) {
    tx_contiguous(s, tx_transpose(s, tx_reshape(s, d->x, (int64_t[4]){d->rows / 1024, 1024, d->cols / 64, 64}, 4), 1, 2));
}
static void do_embedding_backward(taper_scope *s, const bench_data *d) {
    tx_embedding_dense_backward(s, tx_narrow(s, d->x, 0, 0, PLACES), d->tokens, VOCABULARY, -1, false);
}
static void do_sum(taper_scope *s, const bench_data *d) { tx_sum(s, d->x, NULL, 0, false, TAPER_DTYPE_NONE); }
static void do_sum_rows(taper_scope *s, const bench_data *d) { tx_sum(s, d->x, &one, 1, false, TAPER_DTYPE_NONE); }
static void do_sum_columns(taper_scope *s, const bench_data *d) { tx_sum(s, d->x, &zero, 1, false, TAPER_DTYPE_NONE); }
static void do_mean_rows(taper_scope *s, const bench_data *d) { tx_mean(s, d->x, &one, 1, false, TAPER_DTYPE_NONE); }
static void do_amax_rows(taper_scope *s, const bench_data *d) { tx_amax(s, d->x, &one, 1, false); }
static void do_argmax_rows(taper_scope *s, const bench_data *d) { tx_argmax(s, d->x, &one, false); }
static void do_argmax(taper_scope *s, const bench_data *d) { tx_argmax(s, d->x, NULL, false); }
static void do_norm(taper_scope *s, const bench_data *d) { tx_linalg_vector_norm(s, d->x, taper_int(2), NULL, 0, false, TAPER_DTYPE_NONE); }
static void do_var_rows(taper_scope *s, const bench_data *d) { tx_var(s, d->x, &one, 1, NULL, false); }
static void do_var_columns(taper_scope *s, const bench_data *d) { tx_var(s, d->x, &zero, 1, NULL, false); }
static void do_lse_rows(taper_scope *s, const bench_data *d) { tx_logsumexp(s, d->x, &one, 1, false); }
static void do_cumsum_rows(taper_scope *s, const bench_data *d) { tx_cumsum(s, d->x, 1, TAPER_DTYPE_NONE); }
static void do_cumsum_columns(taper_scope *s, const bench_data *d) { tx_cumsum(s, d->x, 0, TAPER_DTYPE_NONE); }
static void do_softmax(taper_scope *s, const bench_data *d) { tx_softmax(s, d->x, 1, TAPER_DTYPE_NONE); }
static void do_log_softmax(taper_scope *s, const bench_data *d) { tx_log_softmax(s, d->x, 1, TAPER_DTYPE_NONE); }
static void do_softmax_backward(taper_scope *s, const bench_data *d) { tx_softmax_backward(s, d->x, d->y, 1); }
static void do_layer_norm(taper_scope *s, const bench_data *d) { tx_layer_norm(s, d->x, &d->cols, 1, d->row, d->row, 1e-5); }
static void do_rms_norm(taper_scope *s, const bench_data *d) { tx_rms_norm(s, d->x, &d->cols, 1, d->row, NULL); }
static void do_layer_norm_backward(taper_scope *s, const bench_data *d) {
    taper_tensor *out[TAPER_MAX_OUTS] = {NULL};
    if (s->status == TAPER_OK) s->status = taper_layer_norm_backward(out, d->x, d->y, &d->cols, 1, d->mean, d->rstd, d->row, true, NULL);
    for (int i = 0; i < 3; i++) taper_scope_own(s, out[i]);
}

static void bench_shape(taper_dtype dtype, int64_t rows, int64_t cols, bool all) {
    taper_scope s = TAPER_SCOPE;
    bench_data d = {.rows = rows, .cols = cols};
    double n = (double)rows * (double)cols * (double)taper_dtype_size(dtype);
    d.x = bench_tensor(&s, dtype, rows, cols);
    d.y = bench_tensor(&s, dtype, rows, cols);
    d.row = tx_reshape(&s, bench_tensor(&s, dtype, 1, cols), &cols, 1);
    d.mean = tx_reshape(&s, bench_tensor(&s, TAPER_F32, 1, rows), (int64_t[2]){rows, 1}, 2);
    d.rstd = tx_abs(&s, d.mean);
    d.tokens = bench_tokens(&s);
    if (s.status != TAPER_OK) {
        failed = 1;
        printf("not ok bench_memory: %s\n", taper_error_message());
        taper_scope_end(&s);
        return;
    }
    if (all) {
        bench("copy", dtype, &d, 2 * n, do_copy);
        bench("add", dtype, &d, 3 * n, do_add);
        bench("gelu", dtype, &d, 2 * n, do_gelu);
        bench("gelu by tanh", dtype, &d, 2 * n, do_gelu_tanh);
        bench("gelu backward", dtype, &d, 3 * n, do_gelu_backward);
        bench("transpose", dtype, &d, 2 * n, do_transpose);
        bench("heads and time", dtype, &d, 2 * n, do_heads);
        bench("embedding backward", dtype, &d, (double)(PLACES * cols) * (double)taper_dtype_size(dtype), do_embedding_backward);
        bench("add bias", dtype, &d, 2 * n, do_bias);
        bench("sum of all", dtype, &d, n, do_sum);
        bench("sum of columns", dtype, &d, n, do_sum_columns);
        bench("mean of rows", dtype, &d, n, do_mean_rows);
        bench("amax of rows", dtype, &d, n, do_amax_rows);
        bench("argmax of rows", dtype, &d, n, do_argmax_rows);
        bench("argmax of all", dtype, &d, n, do_argmax);
        bench("norm of all", dtype, &d, n, do_norm);
        bench("var of rows", dtype, &d, n, do_var_rows);
        bench("var of columns", dtype, &d, n, do_var_columns);
        bench("logsumexp of rows", dtype, &d, n, do_lse_rows);
        bench("cumsum along rows", dtype, &d, 2 * n, do_cumsum_rows);
        bench("cumsum along columns", dtype, &d, 2 * n, do_cumsum_columns);
    }
    bench("sum of rows", dtype, &d, n, do_sum_rows);
    bench("softmax", dtype, &d, 2 * n, do_softmax);
    bench("log_softmax", dtype, &d, 2 * n, do_log_softmax);
    bench("softmax backward", dtype, &d, 3 * n, do_softmax_backward);
    if (cols <= 16384) {
        bench("layer_norm", dtype, &d, 2 * n, do_layer_norm);
        bench("rms_norm", dtype, &d, 2 * n, do_rms_norm);
        bench("layer_norm backward", dtype, &d, 3 * n, do_layer_norm_backward);
    }
    taper_scope_end(&s);
}

int main(int argc, char **argv) {
    const char *why = NULL;
    only = argc > 1 ? argv[1] : NULL;
    if (taper_cuda_device_count(&why) < 1) {
        printf("ok bench_memory # no GPU: %s\n", why ? why : "");
        return 0;
    }
    const int64_t cols[] = {64, 256, 768, 1024, 4096, 8192, 16384, 32768, 65536};
    for (int i = 0; i < 2; i++)
        for (int k = 0; k < TAPER_COUNT(cols); k++)
            bench_shape(i ? TAPER_BF16 : TAPER_F32, (((int64_t)1 << 28) / cols[k]) / 1024 * 1024, cols[k], cols[k] == 4096);
    bench_shape(TAPER_BF16, 4096, 50257, false);
    printf(failed ? "not ok bench_memory\n" : "ok bench_memory\n");
    return failed;
}
