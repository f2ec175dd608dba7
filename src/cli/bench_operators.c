/* taper bench: single operators. overhead (host cost of a tiny one), gemm, pointwise (memory-bound). */
#include <stdio.h>

#include "cli/bench.h"

enum { OVERHEAD_CHAIN = 2000 };

/* ---- overhead: the rows that bench/peer.py measures in Python ---- */

static taper_status overhead_add(bench *b) {
    for (int i = 0; i < OVERHEAD_CHAIN; i++) {
        taper_tensor *sum = NULL;
        BENCH_TRY(taper_add(&sum, b->a, b->b, taper_int(1)));
        taper_tensor_release(sum);
    }
    return TAPER_OK;
}

static taper_status overhead_add_in_place(bench *b) {
    for (int i = 0; i < OVERHEAD_CHAIN; i++) BENCH_TRY(taper_add_(b->a, b->b, taper_int(1)));
    return TAPER_OK;
}

static taper_status overhead_chain(bench *b) {
    taper_tensor *y = taper_tensor_retain(b->a);
    taper_status status = TAPER_OK;
    for (int i = 0; i < OVERHEAD_CHAIN && status == TAPER_OK; i++) {
        taper_tensor *next = NULL;
        status = taper_add(&next, y, b->b, taper_int(1));
        taper_tensor_release(y);
        y = next;
    }
    taper_tensor_release(y);
    return status;
}

static taper_status overhead_add_grad(bench *b) {
    for (int i = 0; i < OVERHEAD_CHAIN; i++) {
        taper_tensor *sum = NULL;
        BENCH_TRY(taper_add(&sum, b->c, b->b, taper_int(1)));
        taper_tensor_release(sum);
    }
    return TAPER_OK;
}

static taper_status overhead_grad_chain(bench *b) {
    taper_tensor *y = taper_tensor_retain(b->c);
    taper_status status = TAPER_OK;
    for (int i = 0; i < OVERHEAD_CHAIN && status == TAPER_OK; i++) {
        taper_tensor *next = NULL;
        status = taper_mul(&next, y, b->b);
        taper_tensor_release(y);
        y = next;
    }
    if (status == TAPER_OK) status = taper_backward(&y, NULL, 1, false, false);
    taper_tensor_release(y);
    return status;
}

taper_status bench_overhead(bench *b) {
    const struct { const char *name; bench_step step; } rows[] = {{"add_tensors", overhead_add}, {"add_", overhead_add_in_place},
        {"chain", overhead_chain}, {"add_grad", overhead_add_grad}, {"grad_chain_fwd_bwd", overhead_grad_chain}};
    const int64_t one = 1;
    b->a = tx_full(&b->s, &one, 1, taper_float(1), TAPER_F32, &b->device);
    b->b = tx_full(&b->s, &one, 1, taper_float(1), TAPER_F32, &b->device);
    b->c = tx_full(&b->s, &one, 1, taper_float(1), TAPER_F32, &b->device);
    if (b->s.status == TAPER_OK) b->s.status = taper_set_requires_grad(b->c, true);
    for (int i = 0; i < 5 && b->s.status == TAPER_OK; i++)
        b->s.status = bench_measure(b, rows[i].step, (bench_figure){.variant = rows[i].name, .unit = "us", .scale = 1e6 / OVERHEAD_CHAIN});
    return b->s.status;
}

/* ---- gemm ---- */

static taper_status gemm_mm(bench *b) {
    taper_scope s = TAPER_SCOPE;
    tx_mm(&s, b->a, b->b);
    return taper_scope_end(&s);
}

taper_status bench_gemm(bench *b) {
    static const int64_t sizes[] = {256, 512, 1000, 1024, 2048, 4096};
    if (b->device.type == TAPER_CUDA) return bench_gemm_cuda(b->device, b->quick);
    for (int i = 0; i < (b->quick ? 4 : 6); i++) {
        char name[32];
        double n = (double)sizes[i];
        b->a = bench_random(b, sizes[i], sizes[i]);
        b->b = bench_random(b, sizes[i], sizes[i]);
        BENCH_TRY(b->s.status);
        snprintf(name, sizeof name, "fp32/%d", (int)sizes[i]);
        BENCH_TRY(bench_measure(b, gemm_mm, (bench_figure){.variant = name, .unit = "GFLOP/s", .work = 2e-9 * n * n * n}));
    }
    return TAPER_OK;
}

/* ---- pointwise ---- */

static taper_status pointwise_copy(bench *b) {
    taper_scope s = TAPER_SCOPE;
    tx_clone(&s, b->a);
    return taper_scope_end(&s);
}
static taper_status pointwise_softmax(bench *b) {
    taper_scope s = TAPER_SCOPE;
    tx_softmax(&s, b->a, -1, TAPER_DTYPE_NONE);
    return taper_scope_end(&s);
}
static taper_status pointwise_layer_norm(bench *b) {
    taper_scope s = TAPER_SCOPE;
    tx_layer_norm(&s, b->a, &(int64_t){4096}, 1, b->b, b->c, 1e-5);
    return taper_scope_end(&s);
}
static taper_status pointwise_bias_gelu(bench *b) {
    taper_scope s = TAPER_SCOPE;
    tx_gelu(&s, tx_add(&s, b->a, b->c, taper_int(1)), "tanh");
    return taper_scope_end(&s);
}
/* tanh(x * 2 + 1) * x + bias, operator by operator; a result goes as soon as the next one is there, as it does in Python. */
static taper_status pointwise_chain(bench *b) {
    const taper_op_row *rows[] = {taper_op_find("mul"), taper_op_find("add"), taper_op_find("tanh"), taper_op_find("mul"), taper_op_find("add")};
    const taper_arg two = {.kind = TAPER_ARG_FLOAT, .f = 2}, one = {.kind = TAPER_ARG_FLOAT, .f = 1}, alpha = {.kind = TAPER_ARG_INT, .i = 1};
    const taper_arg x = {.kind = TAPER_ARG_TENSOR, .t = b->a}, bias = {.kind = TAPER_ARG_TENSOR, .t = b->c};
    const taper_arg others[] = {two, one, alpha, x, bias};
    const int counts[] = {2, 3, 1, 2, 3};
    taper_tensor *y = taper_tensor_retain(b->a);
    taper_status status = TAPER_OK;
    for (int i = 0; i < 5 && status == TAPER_OK; i++) {
        taper_arg args[3] = {{.kind = TAPER_ARG_TENSOR, .t = y}, others[i], alpha};
        taper_tensor *next = NULL;
        status = taper_op_call(rows[i], args, counts[i], &next);
        taper_tensor_release(y);
        y = next;
    }
    taper_tensor_release(y);
    return status;
}

/* 2^24 float32 elements; on a GPU 2^28 of bfloat16. Bytes count one read and one write. */
taper_status bench_pointwise(bench *b) {
    const struct { const char *name; bench_step step; } rows[] = {{"copy", pointwise_copy}, {"softmax", pointwise_softmax},
        {"layer_norm", pointwise_layer_norm}, {"bias_gelu", pointwise_bias_gelu}, {"chain5", pointwise_chain}};
    bool gpu = b->device.type == TAPER_CUDA;
    taper_dtype dtype = gpu ? TAPER_BF16 : TAPER_F32;
    int64_t width = 4096, height = gpu ? 65536 : 4096;
    double bytes = 2.0 * (double)(width * height) * (gpu ? 2 : 4);
    b->a = tx_to(&b->s, bench_random(b, height, width), NULL, dtype, false, false);
    b->b = tx_full(&b->s, &width, 1, taper_float(1), dtype, &b->device);
    b->c = tx_full(&b->s, &width, 1, taper_float(0), dtype, &b->device);
    for (int i = 0; i < 5 && b->s.status == TAPER_OK; i++)
        b->s.status = bench_measure(b, rows[i].step, (bench_figure){.variant = rows[i].name, .unit = "GB/s", .work = 1e-9 * bytes});
    return b->s.status;
}
