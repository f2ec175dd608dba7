/* What the tests of optimisers share: the problem and the optimisers of tests/torch/optim_numbers.py. */
#ifndef OPTIM_PROBLEM_H
#define OPTIM_PROBLEM_H

#include <math.h>
#include <stdio.h>
#include <string.h>

#include <taper/autograd.h>
#include <taper/ops.h>
#include <taper/optim.h>

#include "base/base.h"
#include "optim_numbers.h"

static int failed;
#define CHECK(name, condition)                                                                                         \
    do {                                                                                                               \
        if (condition) printf("ok optim_%s\n", name);                                                                  \
        else failed = 1, printf("not ok optim_%s: line %d: %s\n", name, __LINE__, taper_error_message());              \
    } while (0)
#define TRY(call)                                                                                                      \
    do {                                                                                                               \
        taper_status try_ = (call);                                                                                    \
        if (try_ != TAPER_OK) return try_;                                                                             \
    } while (0)

/* ---- the problem of tests/torch/optim_numbers.py ---- */
static taper_status problem(taper_params *p) {
    float x[10];
    taper_status st = TAPER_OK;
    for (int i = 0; i < 10; i++) x[i] = (float)(i < 6 ? 0.1 * (i - 2) : 0.1 * (i - 5));
    for (int k = 0; k < 2 && st == TAPER_OK; k++) {
        taper_tensor *t = NULL;
        st = k ? taper_tensor_from_data(&t, x + 6, TAPER_F32, 1, (int64_t[]){4}) : taper_tensor_from_data(&t, x, TAPER_F32, 2, (int64_t[]){2, 3});
        if (st == TAPER_OK) st = taper_params_add(p, k ? "b" : "a", t);
        taper_tensor_release(t);
    }
    return st;
}
/* Gradients of step t, times `by`. */
static taper_status gradients(taper_params *p, int t, double by) {
    float g[10];
    taper_status st = TAPER_OK;
    for (int i = 0; i < 10; i++) g[i] = (float)(by * (float)(sin(0.7 * i + 0.9 * t) * (1 + 0.1 * i)));
    for (int k = 0; k < 2 && st == TAPER_OK; k++) {
        taper_tensor *grad = NULL;
        st = k ? taper_tensor_from_data(&grad, g + 6, TAPER_F32, 1, (int64_t[]){4}) : taper_tensor_from_data(&grad, g, TAPER_F32, 2, (int64_t[]){2, 3});
        if (st == TAPER_OK) st = taper_set_grad(p->tensors[k], grad);
        taper_tensor_release(grad);
    }
    return st;
}
static void values(const taper_params *p, float *x) {
    memcpy(x, taper_tensor_data(p->tensors[0]), 24);
    memcpy(x + 6, taper_tensor_data(p->tensors[1]), 16);
}
static taper_status steps(taper_params *p, taper_optimizer *o, int from, int to) {
    for (int t = from; t < to; t++) {
        TRY(gradients(p, t, 1));
        TRY(taper_optimizer_step(o));
    }
    return TAPER_OK;
}

/* ---- optimisers ---- */
typedef enum kind { ADAM, ADAM_ALL, ADAM_MAX, ADAMW, ADAMW_ALL, SGD, SGD_ALL, SGD_NESTEROV, RMSPROP, RMSPROP_MOMENTUM, RMSPROP_CENTERED, RMSPROP_ALL, ADAMW_GROUPS, KINDS } kind;
static const struct {
    const char *name;
    const float *want;
} cases[KINDS] = {{"adam", want_adam},
                  {"adam_amsgrad_decay", want_adam_amsgrad_decay},
                  {"adam_maximize", want_adam_maximize},
                  {"adamw", want_adamw},
                  {"adamw_amsgrad_maximize", want_adamw_amsgrad_maximize},
                  {"sgd", want_sgd},
                  {"sgd_momentum_dampening_decay", want_sgd_momentum_dampening_decay},
                  {"sgd_nesterov_maximize", want_sgd_nesterov_maximize},
                  {"rmsprop", want_rmsprop},
                  {"rmsprop_momentum", want_rmsprop_momentum},
                  {"rmsprop_centered", want_rmsprop_centered},
                  {"rmsprop_all", want_rmsprop_all},
                  {"adamw_groups", want_adamw_groups}};

static taper_status make(taper_optimizer **out, const taper_params *p, kind k) {
    taper_adam_options adam = TAPER_ADAM_OPTIONS;
    taper_adamw_options adamw = TAPER_ADAMW_OPTIONS;
    taper_sgd_options sgd = TAPER_SGD_OPTIONS;
    taper_rmsprop_options rms = TAPER_RMSPROP_OPTIONS;
    adam.lr = adamw.lr = sgd.lr = 0.05;
    adamw.weight_decay = 0.1;
    rms.lr = 0.02;
    if (k == ADAM_ALL) adam.beta1 = 0.8, adam.beta2 = 0.95, adam.weight_decay = 0.1, adam.amsgrad = true;
    if (k == ADAM_MAX) adam.maximize = true;
    if (k == ADAMW_ALL) adamw.amsgrad = adamw.maximize = true;
    if (k == SGD_ALL) sgd.momentum = 0.9, sgd.dampening = 0.3, sgd.weight_decay = 0.1;
    if (k == SGD_NESTEROV) sgd.momentum = 0.9, sgd.nesterov = sgd.maximize = true;
    if (k == RMSPROP_MOMENTUM) rms.momentum = 0.7, rms.maximize = true;
    if (k >= RMSPROP_CENTERED) rms.alpha = 0.9, rms.centered = true, rms.eps = 1e-3;
    if (k == RMSPROP_ALL) rms.momentum = 0.7, rms.weight_decay = 0.1;
    if (k <= ADAM_MAX) return taper_adam_new(out, p, adam);
    if (k == SGD || k == SGD_ALL || k == SGD_NESTEROV) return taper_sgd_new(out, p, sgd);
    if (k >= RMSPROP && k <= RMSPROP_ALL) return taper_rmsprop_new(out, p, rms);
    taper_optimizer *o = NULL;
    TRY(taper_adamw_new(&o, p, adamw));
    taper_status st = k == ADAMW_GROUPS ? taper_optimizer_group(o, taper_chooses_vectors, NULL, 0.01, 0, NULL) : TAPER_OK;
    if (st != TAPER_OK) taper_optimizer_release(o);
    else *out = o;
    return st;
}

#endif
