/* A network of two linear layers learns digits that the program draws itself. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <taper/autograd.h>
#include <taper/ops.h>
#include <taper/optim.h>

enum { SIDE = 12, BATCH = 64, STEPS = 300 };

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

typedef struct model {
    taper_nn_linear hidden, out;
} model;

static taper_status init(model *m, taper_params *p) {
    taper_status status = taper_nn_linear_init(&m->hidden, p, "hidden", SIDE * SIDE, 64, true, taper_cpu());
    return status == TAPER_OK ? taper_nn_linear_init(&m->out, p, "out", 64, 10, true, taper_cpu()) : status;
}

static taper_tensor *forward(taper_scope *s, const model *m, taper_tensor *images) {
    taper_tensor *x = tx_flatten(s, images, 1, -1);
    return taper_nn_linear_forward(s, &m->out, tx_relu(s, taper_nn_linear_forward(s, &m->hidden, x)));
}

/* One batch: the loss and how many were right; learns when given an optimiser. */
static taper_status batch(const model *m, const taper_params *p, taper_optimizer *o, double *loss, int *right) {
    static float x[BATCH * SIDE * SIDE], scores[BATCH * 10];
    int64_t y[BATCH];
    taper_tensor *images = NULL, *labels = NULL;
    taper_scope s = TAPER_SCOPE;
    for (int b = 0; b < BATCH; b++) y[b] = draw(x + b * SIDE * SIDE);
    s.status = taper_tensor_from_data(&images, x, TAPER_F32, 4, (int64_t[]){BATCH, 1, SIDE, SIDE});
    taper_scope_own(&s, images);
    if (s.status == TAPER_OK) s.status = taper_tensor_from_data(&labels, y, TAPER_I64, 1, (int64_t[]){BATCH});
    taper_scope_own(&s, labels);
    taper_tensor *logits = forward(&s, m, images);
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
    model m;
    double loss = 0;
    int right = 0;
    srand(1);
    taper_manual_seed(1);
    options.lr = 3e-3;
    taper_status status = init(&m, &p);
    if (status == TAPER_OK) status = taper_adamw_new(&o, &p, options);
    for (int i = 0; i < STEPS && status == TAPER_OK; i++) {
        status = batch(&m, &p, o, &loss, &right);
        if (i % 50 == 0 && status == TAPER_OK) printf("step %3d  loss %.3f  %d of %d right\n", i, loss, right, BATCH);
    }
    if (status == TAPER_OK) status = batch(&m, &p, NULL, &loss, &right); /* digits it has not seen */
    if (status == TAPER_OK) printf("at the end: loss %.3f, %d of %d new digits right\n", loss, right, BATCH);
    else fprintf(stderr, "%s\n", taper_error_message());
    taper_optimizer_release(o);
    taper_params_release(&p);
    return status == TAPER_OK && right > BATCH * 9 / 10 ? 0 : 1;
}
