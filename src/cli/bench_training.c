/* taper bench: whole training steps (mlp, gpt2) and the optimiser alone (adamw). */
#include <stdio.h>
#include <stdlib.h>

#include "cli/bench.h"

static taper_status training_learn(bench *b, taper_scope *s, taper_tensor *loss) {
    if (s->status == TAPER_OK) s->status = taper_params_zero_grad(&b->params);
    if (s->status == TAPER_OK) s->status = taper_backward(&loss, NULL, 1, false, false);
    if (s->status == TAPER_OK) s->status = taper_optimizer_step(b->optimizer);
    return taper_scope_end(s);
}

/* Class numbers, rows x columns (columns 0: a vector); owned by the scope of b. */
static taper_tensor *training_classes(bench *b, int64_t rows, int64_t columns, int64_t below) {
    taper_tensor *host = NULL;
    int64_t n = rows * (columns ? columns : 1), shape[] = {rows, columns}, *data = malloc(sizeof *data * (size_t)n);
    for (int64_t i = 0; data && i < n; i++) data[i] = i * 7919 % below;
    if (b->s.status == TAPER_OK && !data) b->s.status = taper_fail(TAPER_MEMORY, __FILE__, __LINE__, "bench: no memory for %lld numbers", (long long)n);
    if (b->s.status == TAPER_OK) b->s.status = taper_tensor_from_data(&host, data, TAPER_I64, columns ? 2 : 1, shape);
    free(data);
    return tx_to(&b->s, taper_scope_own(&b->s, host), &b->device, TAPER_DTYPE_NONE, false, false);
}

/* ---- mlp: 784-128-10, batch 64, cross-entropy, SGD ---- */

static taper_status mlp_step(bench *b) {
    taper_scope s = TAPER_SCOPE;
    taper_tensor *h = tx_relu(&s, taper_nn_linear_forward(&s, &b->l1, b->a));
    taper_tensor *loss = tx_cross_entropy(&s, taper_nn_linear_forward(&s, &b->l2, h), b->b, NULL, -100, "mean", 0);
    return training_learn(b, &s, loss);
}

static taper_cuda_graph *mlp_recorded;
static taper_status mlp_replay(bench *b) {
    (void)b;
    return taper_cuda_graph_replay(mlp_recorded, NULL);
}

/* The step recorded once, on a stream of its own, and replayed. */
static taper_status mlp_graph(bench *b) {
    taper_cuda_stream *own = NULL, *before = NULL;
    taper_status status = taper_cuda_stream_current(&before, b->device.index);
    if (status == TAPER_OK) status = taper_cuda_stream_new(&own, b->device.index, 0);
    if (status == TAPER_OK) status = taper_cuda_stream_set_current(own);
    if (status == TAPER_OK) status = taper_params_zero_grad(&b->params);
    if (status == TAPER_OK) status = taper_cuda_graph_new(&mlp_recorded, NULL);
    if (status == TAPER_OK) status = taper_cuda_graph_begin_capture(mlp_recorded, NULL);
    if (status == TAPER_OK) status = mlp_step(b);
    if (status == TAPER_OK) status = taper_cuda_graph_end_capture(mlp_recorded);
    if (status == TAPER_OK) status = bench_measure(b, mlp_replay, (bench_figure){.variant = "graph", .unit = "us", .scale = 1e6, .warm = 20});
    taper_cuda_graph_release(mlp_recorded);
    mlp_recorded = NULL;
    if (before) taper_cuda_stream_set_current(before);
    taper_cuda_stream_release(own);
    taper_cuda_stream_release(before);
    return status;
}

taper_status bench_mlp(bench *b) {
    taper_sgd_options options = TAPER_SGD_OPTIONS;
    options.lr = 1e-2;
    b->a = bench_random(b, 64, 784);
    b->b = training_classes(b, 64, 0, 10);
    BENCH_TRY(b->s.status);
    BENCH_TRY(taper_nn_linear_init(&b->l1, &b->params, "0", 784, 128, true, b->device));
    BENCH_TRY(taper_nn_linear_init(&b->l2, &b->params, "2", 128, 10, true, b->device));
    BENCH_TRY(taper_sgd_new(&b->optimizer, &b->params, options));
    BENCH_TRY(bench_measure(b, mlp_step, (bench_figure){.variant = "step", .unit = "us", .scale = 1e6, .warm = 20}));
    return b->device.type == TAPER_CUDA ? mlp_graph(b) : TAPER_OK;
}

/* ---- gpt2: on the CPU 4 layers of width 128, 8 x 128 bytes ---- */

static taper_status gpt2_step(bench *b) {
    taper_scope s = TAPER_SCOPE;
    taper_tensor *loss = taper_nn_gpt_loss(&s, &b->gpt, b->a, b->b);
    return training_learn(b, &s, loss);
}

taper_status bench_gpt2(bench *b) {
    if (b->device.type == TAPER_CUDA) return bench_gpt2_cuda(b->device, b->quick);
    b->gpt = (taper_nn_gpt){.layers = 4, .width = 128, .heads = 4, .vocabulary = 256, .context = 128};
    b->a = training_classes(b, 8, 128, 256);
    b->b = training_classes(b, 8, 128, 256);
    BENCH_TRY(b->s.status);
    BENCH_TRY(taper_nn_gpt_init(&b->gpt, &b->params, b->device));
    taper_adamw_options options = TAPER_ADAMW_OPTIONS;
    BENCH_TRY(taper_adamw_new(&b->optimizer, &b->params, options));
    return bench_measure(b, gpt2_step, (bench_figure){.variant = "step", .unit = "tokens/s", .work = 8 * 128});
}

/* ---- adamw: 100 (GPU: 500) matrices of 2^20 float32 ---- */

static taper_status adamw_step(bench *b) { return taper_optimizer_step(b->optimizer); }

taper_status bench_adamw(bench *b) {
    int count = b->device.type == TAPER_CUDA ? 500 : 100;
    taper_adamw_options options = TAPER_ADAMW_OPTIONS;
    taper_tensor *unused;
    for (int i = 0; i < count; i++) {
        char name[16];
        snprintf(name, sizeof name, "p%d", i);
        taper_tensor *grad = NULL;
        taper_scope s = TAPER_SCOPE;
        BENCH_TRY(taper_param_constant(&unused, &b->params, "", name, b->device, 1, 2, (int64_t[]){1024, 1024}));
        grad = tx_full(&s, (int64_t[]){1024, 1024}, 2, taper_float(0.01 * (i + 1)), TAPER_F32, &b->device); /* each its own memory */
        if (s.status == TAPER_OK) s.status = taper_set_grad(b->params.tensors[i], grad);
        BENCH_TRY(taper_scope_end(&s));
    }
    BENCH_TRY(taper_adamw_new(&b->optimizer, &b->params, options));
    return bench_measure(b, adamw_step, (bench_figure){.variant = "step", .unit = "GB/s", .work = count * 0x1p20 * 4 * 7 * 1e-9, .warm = 1});
}
