/* Two GPUs in one process: copies in every direction and size, the right context for each, the same results on both. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <taper/autograd.h>
#include <taper/cuda.h>
#include <taper/ops.h>
#include <taper/random.h>
#include <taper/scope.h>

static int failures;

static void report(bool ok, const char *name) {
    if (ok) printf("ok several_gpus_%s\n", name);
    else printf("not ok several_gpus_%s: %s\n", name, taper_error_message()), failures++;
    taper_error_clear();
}

static taper_tensor *on(taper_scope *s, taper_tensor *t, taper_device d) { return tx_to(s, t, &d, TAPER_DTYPE_NONE, false, false); }

static bool same(taper_scope *s, taper_tensor *a, taper_tensor *b) {
    double equal = 0;
    taper_tensor *t = tx_equal(s, a, b);
    if (s->status == TAPER_OK) s->status = taper_tensor_item_double(t, &equal);
    return s->status == TAPER_OK && equal == 1;
}

/* Over each path between the CPU and two GPUs; 1 << 20 floats take the staged copies. */
static void check_copies(int64_t n) {
    taper_device places[] = {taper_cpu(), taper_cuda(0), taper_cuda(1)};
    char name[80];
    for (int i = 0; i < 3; i++)
        for (int k = 0; k < 3; k++)
            for (int current = 0; current < 2; current++) {
                taper_scope s = TAPER_SCOPE;
                taper_cuda_set_device(current);
                taper_tensor *x = tx_randn(&s, &n, 1, NULL, TAPER_F32, NULL), *a = on(&s, x, places[i]), *b = on(&s, a, places[k]), *back = on(&s, b, places[0]);
                snprintf(name, sizeof name, "copy_%d_to_%d_of_%lld_current_%d", i - 1, k - 1, (long long)n, current);
                report(same(&s, x, back), name);
                if (taper_scope_end(&s)) taper_error_clear();
            }
    taper_cuda_set_device(0);
}

static void check_results(void) {
    taper_scope s = TAPER_SCOPE;
    int64_t shape[] = {200, 300}, other[] = {300, 100};
    taper_tensor *x = tx_randn(&s, shape, 2, NULL, TAPER_F32, NULL), *w = tx_randn(&s, other, 2, NULL, TAPER_F32, NULL), *y[2] = {NULL}, *g[2] = {NULL};
    for (int i = 0; i < 2 && s.status == TAPER_OK; i++) {
        taper_tensor *xd = on(&s, x, taper_cuda(i)), *wd = on(&s, w, taper_cuda(i));
        if (s.status == TAPER_OK) s.status = taper_set_requires_grad(wd, true);
        y[i] = tx_softmax(&s, tx_gelu(&s, tx_mm(&s, xd, wd), "none"), 1, TAPER_DTYPE_NONE);
        taper_tensor *loss = tx_sum(&s, tx_mul(&s, y[i], y[i]), NULL, 0, false, TAPER_DTYPE_NONE);
        if (s.status == TAPER_OK) s.status = taper_backward(&loss, NULL, 1, false, false);
        y[i] = on(&s, y[i], taper_cpu());
        if (s.status == TAPER_OK) g[i] = on(&s, taper_grad(wd), taper_cpu());
    }
    report(same(&s, y[0], y[1]), "same_forward");
    report(same(&s, g[0], g[1]), "same_backward");
    if (taper_scope_end(&s)) taper_error_clear();
}

static void check_mixed(void) {
    taper_scope s = TAPER_SCOPE;
    int64_t n = 8;
    taper_tensor *x = tx_randn(&s, &n, 1, NULL, TAPER_F32, NULL);
    tx_add(&s, on(&s, x, taper_cuda(0)), on(&s, x, taper_cuda(1)), taper_float(1));
    report(s.status != TAPER_OK && strstr(taper_error_message(), "cuda:0") && strstr(taper_error_message(), "cuda:1"), "mixed_operands_refused");
    if (taper_scope_end(&s)) taper_error_clear();
}

int main(void) {
    const char *why = "";
    if (taper_cuda_device_count(&why) < 2) return printf("ok several_gpus: skipped, fewer than two GPUs\n"), 0;
    check_copies(10);
    check_copies(1000 * 1000);
    check_copies(5 << 20);
    check_results();
    check_mixed();
    return failures != 0;
}
