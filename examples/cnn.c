/* A small convolutional network learns digits that the program draws itself. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <taper/autograd.h>
#include <taper/ops.h>
#include <taper/optim.h>
#include <taper/sequential.h>

enum { SIDE = 12, BATCH = 64, STEPS = 200 };

/* Seven segments: left, top, width, height, and which digits light them. */
static const struct { int x, y, w, h, digits; } segments[7] = {
    {2, 1, 6, 1, 0x3ED}, {7, 1, 1, 5, 0x39F}, {7, 5, 1, 5, 0x3FB}, {2, 9, 6, 1, 0x36D},
    {2, 5, 1, 5, 0x145}, {2, 1, 1, 5, 0x371}, {2, 5, 6, 1, 0x37C}};

/* A digit moved by up to two pixels, with noise. */
static int64_t draw(float *pixels) {
    int digit = rand() % 10, dx = rand() % 3, dy = rand() % 3 - 1;
    for (int i = 0; i < SIDE * SIDE; i++) pixels[i] = 0.5f * (float)rand() / (float)RAND_MAX;
    for (int k = 0; k < 7; k++)
        for (int y = 0; segments[k].digits >> digit & 1 && y < segments[k].h; y++)
            for (int x = 0; x < segments[k].w; x++) pixels[(segments[k].y + y + dy) * SIDE + segments[k].x + x + dx] += 0.5f;
    return digit;
}

static taper_status build(taper_nn_sequential *net, taper_params *p) {
    taper_nn_sequential_init(net, p, "", taper_cpu());
    taper_nn_sequential_conv2d(net, 1, 8, 3, &(taper_nn_conv_options){.padding = {1, 1}});
    taper_nn_sequential_batch_norm(net, 8, NULL);
    taper_nn_sequential_function(net, "ReLU", tx_relu);
    taper_nn_sequential_max_pool2d(net, 2, 2, 0);
    taper_nn_sequential_flatten(net, 1, -1);
    return taper_nn_sequential_linear(net, 8 * 36, 10, true);
}

/* One batch: the loss and how many were right; learns when given an optimiser. */
static taper_status batch(const taper_nn_sequential *net, const taper_params *p, taper_optimizer *o, double *loss, int *right) {
    static float x[BATCH * SIDE * SIDE], scores[BATCH * 10];
    int64_t y[BATCH];
    taper_tensor *images = NULL, *labels = NULL;
    taper_scope s = TAPER_SCOPE;
    for (int b = 0; b < BATCH; b++) y[b] = draw(x + b * SIDE * SIDE);
    s.status = taper_tensor_from_data(&images, x, TAPER_F32, 4, (int64_t[]){BATCH, 1, SIDE, SIDE});
    taper_scope_own(&s, images);
    if (s.status == TAPER_OK) s.status = taper_tensor_from_data(&labels, y, TAPER_I64, 1, (int64_t[]){BATCH});
    taper_scope_own(&s, labels);
    taper_tensor *logits = taper_nn_sequential_forward(&s, net, images);
    taper_tensor *l = tx_cross_entropy(&s, logits, labels, NULL, -100, "mean", 0);
    if (s.status == TAPER_OK) s.status = taper_tensor_item_double(l, loss);
    if (s.status == TAPER_OK) s.status = taper_tensor_read(logits, scores, sizeof scores);
    *right = 0;
    for (int b = 0; b < BATCH; b++) {
        int best = 0;
        for (int c = 1; c < 10; c++)
            if (scores[b * 10 + c] > scores[b * 10 + best]) best = c;
        *right += best == y[b];
    }
    if (o && s.status == TAPER_OK) s.status = taper_params_zero_grad(p);
    if (o && s.status == TAPER_OK) s.status = taper_backward(&l, NULL, 1, false, false);
    if (o && s.status == TAPER_OK) s.status = taper_optimizer_step(o);
    return taper_scope_end(&s);
}

int main(void) {
    taper_params p = TAPER_PARAMS;
    taper_optimizer *o = NULL;
    taper_adamw_options options = TAPER_ADAMW_OPTIONS;
    taper_nn_sequential net;
    double loss = 0;
    int right = 0;
    srand(1);
    taper_manual_seed(1);
    options.lr = 3e-3;
    taper_status status = build(&net, &p);
    if (status == TAPER_OK) status = taper_adamw_new(&o, &p, options);
    for (int i = 0; i < STEPS && status == TAPER_OK; i++) {
        status = batch(&net, &p, o, &loss, &right);
        if (i % 50 == 0 && status == TAPER_OK) printf("step %3d  loss %.3f  %d of %d right\n", i, loss, right, BATCH);
    }
    taper_nn_sequential_train(&net, false);
    if (status == TAPER_OK) status = batch(&net, &p, NULL, &loss, &right); /* digits it has not seen */
    if (status == TAPER_OK) printf("at the end: loss %.3f, %d of %d new digits right\n", loss, right, BATCH);
    else fprintf(stderr, "%s\n", taper_error_message());
    taper_optimizer_release(o);
    taper_nn_sequential_release(&net);
    taper_params_release(&p);
    return status == TAPER_OK && right > BATCH * 9 / 10 ? 0 : 1;
}
