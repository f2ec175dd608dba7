/* oom: each allocation of a forward and backward run fails in turn; the run must end in MEMORY or succeed, and leak nothing.
 * perf: the time of one call. */
#include <stdio.h>
#include <time.h>

#include "driver.h"

static taper_status oom_run(const test_case *c, const setup *s) {
    inputs in;
    taper_tensor *d[MAX_TENSORS] = {NULL};
    TAPER_TRY(inputs_make(&in, c, s));
    taper_status st = run_all_grad(c->row, &in, TAPER_DTYPE_NONE, d);
    tensors_free(d, MAX_TENSORS);
    inputs_free(&in);
    return st;
}

/* Did the failure that was ordered for the n-th allocation not come to pass? */
static bool oom_unused(int64_t n) {
    for (int64_t i = 0; i < n; i++)
        if (taper__alloc_would_fail()) return true;
    return false;
}

void check_oom(const test_case *c) {
    setup s = {.dtype = TAPER_F32, .grad = true};
    enum { MOST = 1500 };
    if (!begin(c, "f32", "cpu", "oom")) return;
    for (int i = 0; i < 2; i++) /* what is made once and kept */
        if (oom_run(c, &s) != TAPER_OK) {
            fail("%s", taper_error_message());
            return;
        }
    for (int64_t n = 1; n < MOST; n += n < 300 ? 1 : 7) {
        int64_t live = taper__alloc_live();
        taper__alloc_fail_at(n);
        taper_status st = oom_run(c, &s);
        bool unused = oom_unused(n);
        taper__alloc_fail_at(0);
        int64_t leaked = taper__alloc_live() - live;
        if (leaked) {
            fail("allocation %lld failing leaks %lld blocks (%s)", (long long)n, (long long)leaked, taper_error_message());
            return;
        }
        if (unused) break;
        if (st != TAPER_OK && st != TAPER_MEMORY) {
            fail("allocation %lld failing is reported as %s: %s", (long long)n, taper_status_name(st), taper_error_message());
            return;
        }
    }
    if (!taper_grad_enabled())
        fail("a failure left gradients switched off");
    else
        pass();
}

void check_perf(const test_case *c) {
    setup s = {.dtype = TAPER_F32};
    struct timespec t0, t1;
    int64_t calls = 0;
    double seconds = 0;
    inputs in;
    if (!begin(c, "f32", "cpu", "perf")) return;
    if (inputs_make(&in, c, &s) != TAPER_OK) {
        fail("%s", taper_error_message());
        return;
    }
    clock_gettime(CLOCK_MONOTONIC, &t0);
    while (seconds < 0.02) {
        for (int i = 0; i < 16; i++, calls++) {
            results r = {0};
            if (taper_op_call(c->row, in.args, c->nargs, r.t) != TAPER_OK) {
                fail("%s", taper_error_message());
                inputs_free(&in);
                return;
            }
            results_free(&r);
        }
        clock_gettime(CLOCK_MONOTONIC, &t1);
        seconds = (double)(t1.tv_sec - t0.tv_sec) + 1e-9 * (double)(t1.tv_nsec - t0.tv_nsec);
    }
    printf("%10.0f ns  %s[%d]  %s\n", seconds * 1e9 / (double)calls, c->row->name, c->index, c->sample->args);
    inputs_free(&in);
    pass();
}
