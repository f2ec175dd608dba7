/* Training steps: a small network learns, as it does in mixed precision, from a captured graph and a second time. */
#include <math.h>
#include <string.h>

#include <taper/autograd.h>
#include <taper/cuda.h>
#include <taper/ops.h>
#include <taper/optim.h>
#include <taper/threads.h>

#include "verify/verify.h"

enum { TRAIN_BATCH = 64, TRAIN_INPUTS = 784, TRAIN_CLASSES = 10, TRAIN_STEPS = 30, TRAIN_GRAPH_WARM = 3 };

/* 784-hidden-10 with dropout, Adam, cross-entropy on rows that a fixed linear map labels. */
typedef struct train {
    verify_run *r;
    taper_params params;
    taper_nn_linear one, two;
    taper_optimizer *optimizer;
    taper_grad_scaler *scaler; /* NULL: none */
    taper_tensor *x, *y;
    taper_dtype autocast; /* NONE: off */
    double dropout;
} train;

static void train_end(train *t) {
    taper_optimizer_release(t->optimizer);
    taper_grad_scaler_release(t->scaler);
    taper_params_release(&t->params);
    taper_tensor_release(t->x);
    taper_tensor_release(t->y);
    memset(t, 0, sizeof *t);
}

static taper_status train_labels(train *t) {
    taper_scope s = TAPER_SCOPE;
    taper_tensor *map = NULL;
    taper_device cpu = taper_cpu();
    taper_status st = verify_normal(&map, TRAIN_INPUTS, TRAIN_CLASSES, TAPER_F32, taper_cpu());
    taper_tensor *x = tx_to(&s, t->x, &cpu, TAPER_DTYPE_NONE, false, false);
    taper_tensor *labels = tx_to(&s, tx_argmax(&s, tx_mm(&s, x, map), &(int64_t){1}, false), &t->r->device, TAPER_DTYPE_NONE, false, false);
    if (st == TAPER_OK && labels) t->y = taper_tensor_retain(labels);
    taper_tensor_release(map);
    if (st != TAPER_OK) taper_scope_end(&s);
    return st == TAPER_OK ? taper_scope_end(&s) : st;
}

static taper_status train_begin(train *t, verify_run *r, int64_t rows, int64_t hidden, double dropout, taper_dtype autocast, bool scaled) {
    taper_adam_options adam = TAPER_ADAM_OPTIONS;
    *t = (train){.r = r, .params = TAPER_PARAMS, .autocast = autocast, .dropout = dropout};
    taper_manual_seed(11);
    if (r->device.type == TAPER_CUDA) taper_cuda_manual_seed(11);
    taper_status st;
    TAPER_TRY_GOTO(verify_normal(&t->x, rows, TRAIN_INPUTS, TAPER_F32, r->device));
    TAPER_TRY_GOTO(train_labels(t));
    TAPER_TRY_GOTO(taper_nn_linear_init(&t->one, &t->params, "fc1", TRAIN_INPUTS, hidden, true, r->device));
    TAPER_TRY_GOTO(taper_nn_linear_init(&t->two, &t->params, "fc2", hidden, TRAIN_CLASSES, true, r->device));
    TAPER_TRY_GOTO(taper_adam_new(&t->optimizer, &t->params, adam));
    if (scaled) TAPER_TRY_GOTO(taper_grad_scaler_new(&t->scaler, r->device, (taper_grad_scaler_options)TAPER_GRAD_SCALER_OPTIONS));
    return TAPER_OK;
out:
    train_end(t);
    return st;
}

/* One step; *loss (may be NULL) gets the loss without a history. */
static taper_status train_learn(train *t, taper_tensor **loss) {
    taper_scope s = TAPER_SCOPE;
    taper_device_type type = (taper_device_type)t->r->device.type;
    if (t->autocast != TAPER_DTYPE_NONE) taper_set_autocast(type, true, t->autocast, true);
    taper_tensor *h = tx_relu(&s, taper_nn_linear_forward(&s, &t->one, t->x));
    if (t->dropout > 0) h = tx_dropout(&s, h, t->dropout, true);
    taper_tensor *l = tx_cross_entropy(&s, taper_nn_linear_forward(&s, &t->two, h), t->y, NULL, -100, "mean", 0);
    if (t->autocast != TAPER_DTYPE_NONE) taper_set_autocast(type, false, TAPER_DTYPE_NONE, true);
    if (s.status == TAPER_OK) s.status = taper_params_zero_grad(&t->params);
    taper_tensor *root = t->scaler && l ? taper_grad_scaler_scale(&s, t->scaler, l) : l;
    if (s.status == TAPER_OK) s.status = taper_backward(&root, NULL, 1, false, false);
    if (s.status == TAPER_OK) s.status = t->scaler ? taper_grad_scaler_step(t->scaler, t->optimizer) : taper_optimizer_step(t->optimizer);
    if (s.status == TAPER_OK && t->scaler) s.status = taper_grad_scaler_update(t->scaler);
    if (s.status == TAPER_OK && loss) s.status = taper_detach(loss, l);
    return taper_scope_end(&s);
}

static taper_status train_step(void *ctx) { return train_learn(ctx, NULL); }

static taper_status train_run(train *t, double *losses, int steps) {
    for (int i = 0; i < steps; i++) {
        taper_tensor *loss = NULL;
        taper_status st = train_learn(t, &loss);
        if (st == TAPER_OK) st = taper_tensor_item_double(loss, &losses[i]);
        taper_tensor_release(loss);
        if (st != TAPER_OK) return st;
    }
    return TAPER_OK;
}

static taper_status train_same(bool *same, const train *a, const train *b) {
    *same = a->params.count == b->params.count;
    for (int i = 0; *same && i < a->params.count; i++) TAPER_TRY(verify_same_bits(same, a->params.tensors[i], b->params.tensors[i]));
    return TAPER_OK;
}

static taper_status train_curve(verify_run *r, const char *name, const double *losses) {
    double x[TRAIN_STEPS];
    for (int i = 0; i < TRAIN_STEPS; i++) x[i] = i;
    verify_points(r, name, "step", "loss", x, losses, TRAIN_STEPS);
    return TAPER_OK;
}

/* Steps per second with their spread. */
static taper_status train_rate(verify_run *r, double *rate, const char *name, verify_step step, void *ctx) {
    double samples[VERIFY_SAMPLES];
    int count = 0;
    TAPER_TRY(verify_time(r, step, ctx, 0.3, samples, &count));
    for (int i = 0; i < count; i++) samples[i] = 1 / samples[i];
    *rate = verify_measured(r, name, "steps/s", 1, samples, count, 0);
    return TAPER_OK;
}

/* On a GPU the losses must be the CPU's. */
taper_status verify_training(verify_run *r) {
    train t = {0}, cpu = {0};
    verify_run host = *r;
    double losses[TRAIN_STEPS], want[TRAIN_STEPS], rate = 0, worst = 0;
    bool gpu = r->device.type == TAPER_CUDA;
    taper_status st;
    host.device = taper_cpu();
    TAPER_TRY_GOTO(train_begin(&t, r, TRAIN_BATCH, 128, 0, TAPER_DTYPE_NONE, false));
    TAPER_TRY_GOTO(train_run(&t, losses, TRAIN_STEPS));
    if (gpu) TAPER_TRY_GOTO(train_begin(&cpu, &host, TRAIN_BATCH, 128, 0, TAPER_DTYPE_NONE, false));
    if (gpu) TAPER_TRY_GOTO(train_run(&cpu, want, TRAIN_STEPS));
    for (int i = 0; gpu && i < TRAIN_STEPS; i++) worst = fmax(worst, fabs(losses[i] - want[i]) / fmax(want[i], 0.05));
    TAPER_TRY_GOTO(train_curve(r, gpu ? "loss_gpu" : "loss", losses));
    if (gpu) TAPER_TRY_GOTO(train_curve(r, "loss_cpu", want));
    TAPER_TRY_GOTO(train_rate(r, &rate, "steps", train_step, &t));
    if (!(losses[TRAIN_STEPS - 1] < 0.5 * losses[0]) || !(worst < 5e-3)) verify_set(r, VERIFY_FAIL);
    if (gpu) verify_value(r, "loss_difference", "ratio", 0, worst);
    if (gpu)
        verify_say(r, "784-128-10, batch 64: loss %.3f -> %.3f in %d steps, at most %.1e from the CPU's; %.0f steps/s", "784-128-10, 批大小 64: 损失 %.3f -> %.3f (%d 步), 与 CPU 最多相差 %.1e; %.0f 步/秒", losses[0],
                   losses[TRAIN_STEPS - 1], TRAIN_STEPS, worst, rate);
    else
        verify_say(r, "784-128-10, batch 64: loss %.3f -> %.3f in %d steps; %.0f steps/s", "784-128-10, 批大小 64: 损失 %.3f -> %.3f (%d 步); %.0f 步/秒", losses[0], losses[TRAIN_STEPS - 1], TRAIN_STEPS, rate);
out:
    train_end(&t);
    train_end(&cpu);
    return st;
}

/* Autocast with gradient scaling (GPU: float16; CPU: bfloat16), beside float32. A loss scale that overflows must leave a step out. */
taper_status verify_amp(verify_run *r) {
    bool gpu = r->device.type == TAPER_CUDA, skipped = true;
    int64_t hidden = gpu ? 8192 : 512, rows = gpu ? 2048 : TRAIN_BATCH; /* large enough for the tensor cores to matter */
    train full = {0}, low = {0};
    double plain[TRAIN_STEPS], mixed[TRAIN_STEPS], rate[2] = {0}, scale = 0;
    taper_status st;
    TAPER_TRY_GOTO(train_begin(&full, r, rows, hidden, 0, TAPER_DTYPE_NONE, false));
    TAPER_TRY_GOTO(train_run(&full, plain, TRAIN_STEPS));
    TAPER_TRY_GOTO(train_begin(&low, r, rows, hidden, 0, gpu ? TAPER_F16 : TAPER_BF16, gpu));
    TAPER_TRY_GOTO(train_run(&low, mixed, TRAIN_STEPS));
    if (low.scaler) {
        double before = 0x1p40; /* the gradients overflow: the step is left out and the scale halves */
        taper_tensor *weight = NULL;
        bool same = false;
        TAPER_TRY_GOTO(taper_grad_scaler_get(low.scaler, &scale, NULL));
        TAPER_TRY_GOTO(taper_grad_scaler_set(low.scaler, before, 0));
        taper_scope s = TAPER_SCOPE;
        taper_tensor *seen = NULL, *copy = NULL;
        st = taper_detach(&seen, low.two.weight);
        copy = tx_clone(&s, taper_scope_own(&s, seen));
        if (copy) weight = taper_tensor_retain(copy);
        if (st == TAPER_OK) st = s.status;
        taper_scope_end(&s);
        if (st == TAPER_OK) st = train_step(&low);
        if (st == TAPER_OK) st = taper_grad_scaler_get(low.scaler, &before, NULL);
        if (st == TAPER_OK) st = verify_same_bits(&same, weight, low.two.weight);
        taper_tensor_release(weight);
        if (st == TAPER_OK) st = taper_grad_scaler_set(low.scaler, scale, 0);
        if (st != TAPER_OK) goto out;
        skipped = same && before == 0x1p39;
    }
    TAPER_TRY_GOTO(train_curve(r, "loss_float32", plain));
    TAPER_TRY_GOTO(train_curve(r, gpu ? "loss_float16" : "loss_bfloat16", mixed));
    TAPER_TRY_GOTO(train_rate(r, &rate[0], "float32", train_step, &full));
    TAPER_TRY_GOTO(train_rate(r, &rate[1], gpu ? "float16" : "bfloat16", train_step, &low));
    if (!(mixed[TRAIN_STEPS - 1] < 0.5 * mixed[0]) || !(fabs(mixed[0] - plain[0]) < 0.03 * plain[0]) || !skipped) verify_set(r, VERIFY_FAIL);
    else if (gpu && rate[1] < 1.1 * rate[0]) verify_set(r, VERIFY_SLOW);
    if (gpu)
        verify_say(r, "autocast float16 and scaling: loss %.3f -> %.4f (float32: %.3f -> %.4f), scale %.0f, a step that overflows is %s%.0s; %.0f steps/s, float32 %.0f",
                   "autocast float16 加梯度缩放: 损失 %.3f -> %.4f (float32: %.3f -> %.4f), 缩放 %.0f, 溢出的一步%.0s%s; %.0f 步/秒, float32 %.0f", mixed[0], mixed[TRAIN_STEPS - 1], plain[0],
                   plain[TRAIN_STEPS - 1], scale, VERIFY_WORD(skipped, "left out", "被跳过", "NOT left out", "没有跳过"), rate[1], rate[0]);
    else
        verify_say(r, "autocast bfloat16: loss %.3f -> %.4f (float32: %.3f -> %.4f); %.0f steps/s, float32 %.0f", "autocast bfloat16: 损失 %.3f -> %.4f (float32: %.3f -> %.4f); %.0f 步/秒, float32 %.0f", mixed[0],
                   mixed[TRAIN_STEPS - 1], plain[0], plain[TRAIN_STEPS - 1], rate[1], rate[0]);
out:
    train_end(&full);
    train_end(&low);
    return st;
}

static taper_status train_replay(void *ctx) { return taper_cuda_graph_replay(ctx, NULL); }

static taper_status train_capture(taper_cuda_graph *g, train *t) {
    TAPER_TRY(taper_params_zero_grad(&t->params));
    TAPER_TRY(taper_cuda_graph_begin_capture(g, NULL));
    taper_status st = train_step(t), ended = taper_cuda_graph_end_capture(g);
    return st == TAPER_OK ? ended : st;
}

/* The step captured once and replayed gives the bits of eager steps. */
taper_status verify_graph(verify_run *r) {
    train eager = {0}, replayed = {0};
    taper_cuda_graph *g = NULL;
    taper_cuda_stream *own = NULL, *before = NULL;
    double rate[2] = {0};
    bool same = false;
    taper_status st;
    TAPER_TRY_GOTO(train_begin(&eager, r, TRAIN_BATCH, 128, 0, TAPER_DTYPE_NONE, false));
    TAPER_TRY_GOTO(train_begin(&replayed, r, TRAIN_BATCH, 128, 0, TAPER_DTYPE_NONE, false));
    for (int i = 0; i < TRAIN_STEPS; i++) TAPER_TRY_GOTO(train_step(&eager));
    for (int i = 0; i < TRAIN_GRAPH_WARM; i++) TAPER_TRY_GOTO(train_step(&replayed)); /* providers plan, kernels load */
    TAPER_TRY_GOTO(taper_cuda_synchronize(r->device.index));
    TAPER_TRY_GOTO(taper_cuda_stream_current(&before, r->device.index));
    TAPER_TRY_GOTO(taper_cuda_stream_new(&own, r->device.index, 0));
    TAPER_TRY_GOTO(taper_cuda_stream_set_current(own));
    TAPER_TRY_GOTO(taper_cuda_graph_new(&g, NULL));
    TAPER_TRY_GOTO(train_capture(g, &replayed));
    for (int i = TRAIN_GRAPH_WARM; i < TRAIN_STEPS; i++) TAPER_TRY_GOTO(taper_cuda_graph_replay(g, NULL));
    TAPER_TRY_GOTO(taper_cuda_synchronize(r->device.index));
    TAPER_TRY_GOTO(train_same(&same, &eager, &replayed));
    TAPER_TRY_GOTO(train_rate(r, &rate[1], "replay", train_replay, g));
    TAPER_TRY_GOTO(taper_cuda_stream_set_current(before));
    TAPER_TRY_GOTO(train_rate(r, &rate[0], "eager", train_step, &eager));
    verify_value(r, "nodes", "nodes", 0, (double)taper_cuda_graph_node_count(g));
    if (!same) verify_set(r, VERIFY_FAIL);
    else if (rate[1] < 0.8 * rate[0]) verify_set(r, VERIFY_SLOW);
    verify_say(r, "%d steps, captured and replayed: %s%.0s; %.0f steps/s eager, %.0f replayed (%.1f times)", "%d 步, 捕获后重放: %.0s%s; 逐步执行 %.0f 步/秒, 重放 %.0f (%.1f 倍)", TRAIN_STEPS,
               VERIFY_WORD(same, "bit-equal", "逐位一致", "NOT bit-equal", "不一致"), rate[0], rate[1], rate[1] / rate[0]);
out:
    if (before) taper_cuda_stream_set_current(before);
    taper_cuda_graph_release(g);
    taper_cuda_stream_release(own);
    taper_cuda_stream_release(before);
    train_end(&eager);
    train_end(&replayed);
    return st;
}

/* Twice from the same seed, dropout included; on the CPU the second time with one thread. */
taper_status verify_determinism(verify_run *r) {
    train a = {0}, b = {0};
    int threads = taper_num_threads();
    double losses[2][TRAIN_STEPS] = {{0}};
    bool same = false, gpu = r->device.type == TAPER_CUDA;
    taper_status st;
    TAPER_TRY_GOTO(train_begin(&a, r, TRAIN_BATCH, 256, 0.25, TAPER_DTYPE_NONE, false));
    TAPER_TRY_GOTO(train_run(&a, losses[0], TRAIN_STEPS));
    if (!gpu) TAPER_TRY_GOTO(taper_set_num_threads(1));
    TAPER_TRY_GOTO(train_begin(&b, r, TRAIN_BATCH, 256, 0.25, TAPER_DTYPE_NONE, false));
    TAPER_TRY_GOTO(train_run(&b, losses[1], TRAIN_STEPS));
    TAPER_TRY_GOTO(train_same(&same, &a, &b));
    same = same && !memcmp(losses[0], losses[1], sizeof losses[0]);
    if (!same) verify_set(r, VERIFY_FAIL);
    if (gpu) verify_say(r, "%d steps with dropout, twice: losses and weights %s%.0s", "带 dropout 训练 %d 步, 两次: 损失与权重%.0s%s", TRAIN_STEPS, VERIFY_WORD(same, "bit-identical", "逐位一致", "DIFFER", "不一致"));
    else
        verify_say(r, "%d steps with dropout, with %d threads and with 1: losses and weights %s%.0s", "带 dropout 训练 %d 步, %d 线程与 1 线程: 损失与权重%.0s%s", TRAIN_STEPS, threads, VERIFY_WORD(same, "bit-identical", "逐位一致", "DIFFER", "不一致"));
out:
    taper_set_num_threads(threads);
    train_end(&a);
    train_end(&b);
    return st;
}
