/* Many threads at once: forward and backward on tensors of their own, on shared weights, and the caches behind them. Built with
 * TSan too. */
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <taper/autograd.h>
#include <taper/ops.h>
#include <taper/schema.h>
#include <taper/scope.h>
#include <taper/threads.h>

#include "base/base.h"

enum { THREADS = 16, ROUNDS = 40 };
static int failed;

static void check(bool ok, const char *name, const char *why) {
    if (!ok) failed++;
    printf(ok ? "ok threads_%s\n" : "not ok threads_%s: %s\n", name, why);
}

typedef struct worker {
    pthread_t thread;
    taper_tensor *shared; /* a weight nobody collects for */
    int number;
    double sum; /* of the gradient */
    bool ok;
} worker;

/* sum(tanh(x w) * x) for an x of the thread's own, differentiated. */
static bool round_of(worker *w, int64_t n, double *out) {
    taper_scope s = TAPER_SCOPE;
    int64_t shape[2] = {n, n};
    taper_tensor *x = tx_full(&s, shape, 2, taper_float(0.01), TAPER_F32, NULL);
    if (!x || taper_set_requires_grad(x, true) != TAPER_OK) return false;
    int64_t row = 96, at = 0, strides[2] = {row, 1}; /* a window of the shared weight */
    taper_tensor *y = tx_tanh(&s, tx_mm(&s, x, tx_as_strided(&s, w->shared, shape, 2, strides, 2, &at)));
    taper_tensor *loss = tx_sum(&s, tx_mul(&s, y, x), NULL, 0, false, TAPER_DTYPE_NONE);
    bool ok = loss && taper_backward(&loss, NULL, 1, false, false) == TAPER_OK;
    taper_tensor *total = ok ? tx_sum(&s, taper_grad(x), NULL, 0, false, TAPER_DTYPE_NONE) : NULL;
    ok = total && taper_tensor_item_double(total, out) == TAPER_OK;
    return taper_scope_end(&s) == TAPER_OK && ok;
}

static void *work(void *arg) {
    worker *w = arg;
    w->ok = true;
    for (int r = 0; w->ok && r < ROUNDS; r++) {
        double sum;
        w->ok = round_of(w, r % 8 == 0 ? 96 : 8, &sum);
        if (r % 8 == 0) {
            if (r && sum != w->sum) w->ok = false; /* the same bits every time */
            w->sum = sum;
        }
        const taper_op_row *row = &taper_op_rows()[(w->number * 7 + r) % 20]; /* schemas are made by whoever asks first */
        w->ok = w->ok && taper_schema_of(row) && taper_schema_of(row) == taper_schema_of(row);
        taper_set_grad_enabled(r % 2 != 0); /* modes are the thread's own */
        w->ok = w->ok && taper_grad_enabled() == (r % 2 != 0);
        taper_set_grad_enabled(true);
        if (taper_fail(TAPER_VALUE, __FILE__, __LINE__, "thread %d round %d", w->number, r) != TAPER_VALUE) w->ok = false;
        char want[64];
        snprintf(want, sizeof want, "thread %d round %d", w->number, r);
        w->ok = w->ok && !strcmp(taper_error_message(), want);
    }
    return NULL;
}

/* One graph, freed by another thread than the one that made it. */
static void *free_graph(void *arg) {
    taper_tensor_release(arg);
    return NULL;
}

int main(void) {
    worker w[THREADS];
    int64_t shape[2] = {96, 96};
    taper_tensor *big = NULL, *x = NULL, *y = NULL;
    taper_set_num_threads(3);
    taper_full(&big, shape, 2, taper_float(0.02), TAPER_F32, NULL);
    int64_t live = taper__alloc_live();
    for (int i = 0; i < THREADS; i++) w[i] = (worker){.shared = big, .number = i};
    bool ok = true, same = true;
    for (int i = 0; i < THREADS; i++) pthread_create(&w[i].thread, NULL, work, &w[i]);
    for (int i = 0; i < THREADS; i++) {
        pthread_join(w[i].thread, NULL);
        ok = ok && w[i].ok;
        same = same && w[i].sum == w[0].sum;
    }
    check(ok, "forward_backward", "a round failed or changed its result");
    check(same && w[0].sum != 0, "same_bits", "threads disagree");
    check(taper__alloc_live() == live, "nothing_left", "blocks remain");

    taper_full(&x, shape, 2, taper_float(1), TAPER_F32, NULL);
    taper_set_requires_grad(x, true);
    for (int i = 0; i < 200; i++) {
        taper_tensor *next = NULL;
        taper_neg(&next, y ? y : x);
        taper_tensor_release(y);
        y = next;
    }
    pthread_t t;
    pthread_create(&t, NULL, free_graph, y);
    pthread_join(t, NULL);
    taper_tensor_release(x);
    check(taper__alloc_live() == live, "freed_elsewhere", "blocks remain");
    taper_tensor_release(big);
    printf("%d failed\n", failed);
    return failed != 0;
}
