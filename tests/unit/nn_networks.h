/* The networks of tests/torch/nn_numbers.py, a step of training, and comparisons with PyTorch's numbers. */
#ifndef TAPER_TESTS_NN_NETWORKS_H
#define TAPER_TESTS_NN_NETWORKS_H

#include <math.h>
#include <stdio.h>
#include <string.h>

#include <taper/autograd.h>
#include <taper/ops.h>
#include <taper/optim.h>
#include <taper/sequential.h>

#include "nn_numbers.h"

static int failed;
#define CHECK(name, condition)                                                                                         \
    do {                                                                                                               \
        if (condition) printf("ok nn_%s\n", name);                                                                     \
        else failed = 1, printf("not ok nn_%s: line %d: %s\n", name, __LINE__, taper_error_message());                 \
    } while (0)
#define COUNT(array) ((int)(sizeof(array) / sizeof *(array)))

/* ---- the networks of tests/torch/nn_numbers.py ---- */

static inline taper_tensor *turn(taper_scope *s, taper_tensor *x) { return tx_transpose(s, x, 1, 2); }

static inline taper_status image(taper_nn_sequential *net, taper_params *p, taper_device device) {
    taper_nn_batch_norm_options mean = TAPER_NN_BATCH_NORM_OPTIONS;
    taper_nn_sequential *inner = NULL;
    mean.eps = 1e-3;
    mean.cumulative = mean.no_affine = true;
    taper_nn_sequential_init(net, p, "", device);
    taper_nn_sequential_conv2d(net, 3, 6, 3, &(taper_nn_conv_options){.stride = {2, 2}, .padding = {1, 2}, .groups = 3});
    taper_nn_sequential_batch_norm(net, 6, NULL);
    taper_nn_sequential_function(net, "ReLU", tx_relu);
    taper_nn_sequential_max_pool2d(net, 2, 1, 1);
    if (taper_nn_sequential_nested(&inner, net) == TAPER_OK) {
        taper_nn_sequential_conv2d(inner, 6, 4, 1, &(taper_nn_conv_options){.kernel_width = 2, .no_bias = true});
        taper_nn_sequential_group_norm(inner, 2, 4);
        taper_nn_sequential_function(inner, "SiLU", tx_silu);
        if (inner->status != TAPER_OK) return inner->status;
    }
    taper_nn_sequential_avg_pool2d(net, 2, 0, 0);
    taper_nn_sequential_batch_norm(net, 4, &mean);
    taper_nn_sequential_adaptive_avg_pool2d(net, 2, 1);
    taper_nn_sequential_flatten(net, 1, -1);
    return taper_nn_sequential_linear(net, 8, 3, true);
}

static inline taper_status sequence(taper_nn_sequential *net, taper_params *p, taper_device device) {
    taper_nn_batch_norm_options own = TAPER_NN_BATCH_NORM_OPTIONS;
    own.no_statistics = true;
    taper_nn_sequential_init(net, p, "", device);
    taper_nn_sequential_embedding(net, 7, 6, 2);
    taper_nn_sequential_layer_norm(net, 6);
    taper_nn_sequential_linear(net, 6, 5, false);
    taper_nn_sequential_rms_norm(net, 5);
    taper_nn_sequential_function(net, "Transpose", turn);
    taper_nn_sequential_conv1d(net, 5, 4, 3, &(taper_nn_conv_options){.padding = {2}, .dilation = {2}});
    taper_nn_sequential_batch_norm(net, 4, NULL);
    taper_nn_sequential_function(net, "Tanh", tx_tanh);
    taper_nn_sequential_flatten(net, 1, -1);
    taper_nn_sequential_linear(net, 20, 3, true);
    return taper_nn_sequential_batch_norm(net, 3, &own);
}

static inline taper_status images(taper_tensor **out, int step) {
    float x[4 * 3 * 7 * 6];
    for (int i = 0; i < COUNT(x); i++) x[i] = (float)sin(0.37 * (i + 1) + step);
    return taper_tensor_from_data(out, x, TAPER_F32, 4, (int64_t[]){4, 3, 7, 6});
}

static inline taper_status words(taper_tensor **out, int step) {
    int64_t x[4 * 5];
    for (int i = 0; i < COUNT(x); i++) x[i] = (i * i + 3 * i + step) % 7;
    return taper_tensor_from_data(out, x, TAPER_I64, 2, (int64_t[]){4, 5});
}

typedef struct network {
    const char *name;
    taper_status (*make)(taper_nn_sequential *net, taper_params *p, taper_device device);
    taper_status (*input)(taper_tensor **out, int step);
    const char *const *names;
    const float *first, *losses, *trained, *evaluated;
    int count, values;
} network;
#define NETWORK(n, input) {#n, n, input, n##_names, n##_first, n##_losses, n##_trained, n##_evaluated, COUNT(n##_names), COUNT(n##_first)}
static const network networks[] = {NETWORK(image, images), NETWORK(sequence, words)};

/* ---- numbers ---- */

/* Whether the tensors of p, all in one, are `want`; within: how far off, relative to 1 + |want|. */
static inline bool same_values(const taper_params *p, const float *want, int count, double within) {
    int at = 0;
    for (int i = 0; i < p->count; i++) {
        float x[512];
        int64_t n = taper_tensor_numel(p->tensors[i]), whole;
        if (n > COUNT(x) || at + n > count) return false;
        if (taper_tensor_dtype(p->tensors[i]) == TAPER_I64) {
            if (taper_tensor_item_int(p->tensors[i], &whole) != TAPER_OK) return false;
            x[0] = (float)whole;
        } else if (taper_tensor_read(p->tensors[i], x, sizeof *x * (size_t)n) != TAPER_OK) {
            return false;
        }
        for (int64_t k = 0; k < n; k++, at++)
            if (!(fabs((double)x[k] - want[at]) <= within * (1 + fabs((double)want[at])))) {
                printf("# %s[%lld]: %.9g, PyTorch has %.9g\n", p->names[i], (long long)k, x[k], want[at]);
                return false;
            }
    }
    return at == count;
}

static inline taper_status step(const network *w, const taper_nn_sequential *net, const taper_params *p, taper_optimizer *o, int n, double *loss) {
    taper_scope s = TAPER_SCOPE;
    taper_tensor *x = NULL, *target = NULL;
    s.status = w->input(&x, n);
    x = taper_scope_own(&s, x);
    if (s.status == TAPER_OK) s.status = taper_tensor_from_data(&target, (int64_t[]){0, 1, 2, 1}, TAPER_I64, 1, (int64_t[]){4});
    target = taper_scope_own(&s, target);
    if (s.status == TAPER_OK) s.status = taper_params_zero_grad(p);
    taper_tensor *l = tx_cross_entropy(&s, taper_nn_sequential_forward(&s, net, x), target, NULL, -100, "mean", 0);
    if (s.status == TAPER_OK) s.status = taper_tensor_item_double(l, loss);
    if (s.status == TAPER_OK) s.status = taper_backward(&l, NULL, 1, false, false);
    if (s.status == TAPER_OK && o) s.status = taper_optimizer_step(o);
    return taper_scope_end(&s);
}

/* The 12 outputs of the n-th input. */
static inline taper_status outputs(const network *w, const taper_nn_sequential *net, int n, float y[12]) {
    taper_scope s = TAPER_SCOPE;
    taper_tensor *x = NULL;
    s.status = w->input(&x, n);
    x = taper_nn_sequential_forward(&s, net, taper_scope_own(&s, x));
    if (s.status == TAPER_OK) s.status = taper_tensor_read(x, y, sizeof *y * 12);
    return taper_scope_end(&s);
}

static inline bool near(const float *a, const float *b, int n, double within) {
    for (int i = 0; i < n; i++)
        if (!(fabs((double)a[i] - b[i]) <= within * (1 + fabs((double)b[i])))) return false;
    return true;
}

#endif
