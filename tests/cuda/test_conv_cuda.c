/* Convolutions and batch normalisation on the GPU against the CPU at sizes that reach wide loads, parts of the depth and channels
 * last, then rates. Without a GPU it says so and passes. TAPER_PROVIDERS=none tests the library's own kernels. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <taper/ops.h>
#include <taper/scope.h>

#include "tensor/tensor.h"

static int failed;
static unsigned long long state = 88172645463325252ull;
static double seconds(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}
static taper_tensor *random_tensor(taper_scope *s, int ndim, const int64_t *shape) {
    int64_t n = 1;
    for (int d = 0; d < ndim; d++) n *= shape[d];
    float *host = malloc((size_t)n * sizeof *host + 1);
    taper_tensor *t = NULL;
    for (int64_t i = 0; i < n; i++) {
        state ^= state << 13, state ^= state >> 7, state ^= state << 17;
        host[i] = (float)((double)(state >> 11) / 4503599627370496.0 - 1);
    }
    if (taper_tensor_from_data(&t, host, TAPER_F32, ndim, shape)) s->status = TAPER_MEMORY;
    free(host);
    return taper_scope_own(s, t);
}
static taper_tensor *on_gpu(taper_scope *s, taper_tensor *t, taper_dtype dtype, bool last) {
    taper_device gpu = taper_cuda(0);
    t = tx_to(s, t, &gpu, dtype, false, false);
    return last && t && t->ndim == 4 ? tx_contiguous_format(s, t, "channels_last") : t;
}

/* The largest difference, relative to the largest value wanted. */
static double difference(taper_scope *s, taper_tensor *got, taper_tensor *want) {
    taper_device cpu = taper_cpu();
    got = tx_contiguous(s, tx_to(s, got, &cpu, TAPER_F32, false, false));
    if (s->status != TAPER_OK || got->numel != want->numel) return INFINITY;
    const float *a = taper__data(got), *b = taper__data(want);
    double most = 0, large = 1e-30;
    for (int64_t i = 0; i < got->numel; i++) {
        double d = fabs((double)a[i] - (double)b[i]);
        if (!(d <= most)) most = d;
        if (fabs((double)b[i]) > large) large = fabs((double)b[i]);
    }
    return most / large;
}
static void report(const char *name, int which, double d, double allowed, const taper_scope *s) {
    if (s->status == TAPER_OK && d <= allowed) {
        printf("ok conv_cuda_%s_%d\n", name, which);
    } else {
        failed = 1;
        printf("not ok conv_cuda_%s_%d: %s, difference %g, allowed %g\n", name, which, s->status ? taper_error_message() : "values", d, allowed);
    }
}

typedef struct shape {
    int64_t n, c, h, w, o, k, stride, padding, groups;
} shape;

static void compare(const shape *z, int which, taper_dtype dtype, bool last) {
    taper_scope scope = TAPER_SCOPE, *s = &scope;
    const int64_t xs[4] = {z->n, z->c, z->h, z->w}, ws[4] = {z->o, z->c / z->groups, z->k, z->k}, st[2] = {z->stride, z->stride}, pad[2] = {z->padding, z->padding},
                  one[2] = {1, 1};
    double allowed = dtype == TAPER_F32 ? 2e-5 /* sums of 200,000 products, in whatever order the provider takes */ : dtype == TAPER_F16 ? 4e-3 : 2e-2;
    taper_tensor *x = random_tensor(s, 4, xs), *w = random_tensor(s, 4, ws), *b = random_tensor(s, 1, ws);
    /* what the GPU sees, rounded */
    if (dtype != TAPER_F32) {
        x = tx_to(s, tx_to(s, x, NULL, dtype, false, false), NULL, TAPER_F32, false, false);
        w = tx_to(s, tx_to(s, w, NULL, dtype, false, false), NULL, TAPER_F32, false, false);
        b = tx_to(s, tx_to(s, b, NULL, dtype, false, false), NULL, TAPER_F32, false, false);
    }
    taper_tensor *y = tx_conv2d(s, x, w, b, st, 2, pad, 2, one, 2, z->groups);
    if (s->status != TAPER_OK) goto out;
    taper_tensor *dy = random_tensor(s, 4, y->shape), *gx = on_gpu(s, x, dtype, last), *gw = on_gpu(s, w, dtype, last), *gb = on_gpu(s, b, dtype, false);
    if (dtype != TAPER_F32) dy = tx_to(s, tx_to(s, dy, NULL, dtype, false, false), NULL, TAPER_F32, false, false);
    taper_tensor *gdy = on_gpu(s, dy, dtype, last);
    report("forward", which, difference(s, tx_conv2d(s, gx, gw, gb, st, 2, pad, 2, one, 2, z->groups), y), allowed, s);
    report("input_grad", which, difference(s, tx_conv2d_input_grad(s, xs, 4, gw, gdy, st, 2, pad, 2, one, 2, z->groups),
                                           tx_conv2d_input_grad(s, xs, 4, w, dy, st, 2, pad, 2, one, 2, z->groups)), allowed, s);
    report("weight_grad", which, difference(s, tx_conv2d_weight_grad(s, gx, ws, 4, gdy, st, 2, pad, 2, one, 2, z->groups),
                                            tx_conv2d_weight_grad(s, x, ws, 4, dy, st, 2, pad, 2, one, 2, z->groups)), allowed, s);
    taper_tensor *g1 = random_tensor(s, 1, xs + 1), *b1 = random_tensor(s, 1, xs + 1);
    report("batch_norm", which, difference(s, tx_batch_norm(s, gx, NULL, NULL, on_gpu(s, g1, TAPER_F32, false), on_gpu(s, b1, TAPER_F32, false), true, 0.1, 1e-5),
                                           tx_batch_norm(s, x, NULL, NULL, g1, b1, true, 0.1, 1e-5)), allowed * 5, s);
out:
    if (s->status != TAPER_OK) report("setup", which, INFINITY, 0, s);
    taper_scope_end(s);
}

/* Each product of one layer, bfloat16: microseconds and TFLOP/s. */
static void rates(const shape *z, bool last) {
    taper_scope scope = TAPER_SCOPE, *s = &scope;
    const int64_t xs[4] = {z->n, z->c, z->h, z->w}, ws[4] = {z->o, z->c, z->k, z->k}, st[2] = {z->stride, z->stride}, pad[2] = {z->padding, z->padding}, one[2] = {1, 1};
    taper_tensor *x = on_gpu(s, random_tensor(s, 4, xs), TAPER_BF16, last), *w = on_gpu(s, random_tensor(s, 4, ws), TAPER_BF16, last);
    taper_tensor *y = tx_conv2d(s, x, w, NULL, st, 2, pad, 2, one, 2, 1);
    for (int product = 0; s->status == TAPER_OK && product < 4; product++) {
        double begin = 0, each = 0;
        for (int i = -2; s->status == TAPER_OK && i < 10; i++) {
            taper_scope inner = TAPER_SCOPE;
            if (i == 0) taper_cuda_synchronize(0), begin = seconds();
            if (product == 0) tx_conv2d(&inner, x, w, NULL, st, 2, pad, 2, one, 2, 1);
            if (product == 1) tx_conv2d_input_grad(&inner, xs, 4, w, y, st, 2, pad, 2, one, 2, 1);
            if (product == 2) tx_conv2d_weight_grad(&inner, x, ws, 4, y, st, 2, pad, 2, one, 2, 1);
            if (product == 3) tx_batch_norm(&inner, x, NULL, NULL, NULL, NULL, true, 0.1, 1e-5);
            s->status = inner.status;
            taper_scope_end(&inner);
        }
        taper_cuda_synchronize(0);
        each = (seconds() - begin) / 10;
        static const char *const names[] = {"forward", "input_grad", "weight_grad", "batch_norm of the input"};
        if (product < 3)
            printf("# %lldx%lldx%lldx%lld -> %lld, %lldx%lld%s: %s %.0f us, %.0f TFLOP/s\n", (long long)z->n, (long long)z->c, (long long)z->h, (long long)z->w,
                   (long long)z->o, (long long)z->k, (long long)z->k, last ? ", channels last" : "", names[product], each * 1e6,
                   2.0 * (double)(y->numel * z->c * z->k * z->k) / each * 1e-12);
        else
            printf("#   %s %.0f us, %.0f GB/s\n", names[product], each * 1e6, 3.0 * 2 * (double)x->numel / each * 1e-9);
    }
    if (s->status != TAPER_OK) report("rates", 0, INFINITY, 0, s);
    taper_scope_end(s);
}

int main(int argc, char **argv) {
    static const shape cases[] = {{4, 64, 28, 28, 128, 3, 1, 1, 1}, {3, 32, 15, 17, 72, 3, 2, 1, 1}, {2, 128, 14, 14, 64, 1, 1, 0, 1},
                                  {2, 3, 64, 64, 64, 7, 2, 3, 1},   {4, 64, 9, 11, 64, 3, 1, 1, 4},  {2, 48, 20, 20, 48, 3, 2, 1, 48}};
    static const shape layers[] = {{64, 64, 56, 56, 64, 3, 1, 1, 1}, {64, 256, 14, 14, 256, 3, 1, 1, 1}, {64, 1024, 14, 14, 256, 1, 1, 0, 1}};
    static const taper_dtype dtypes[] = {TAPER_F32, TAPER_F16, TAPER_BF16};
    if (taper_cuda_device_count(NULL) < 1) {
        printf("ok conv_cuda skipped: no GPU\n");
        return 0;
    }
    for (int k = 0; k < 6; k++)
        for (int d = 0; d < 3; d++)
            for (int last = 0; last < 2; last++) compare(&cases[k], k * 6 + d * 2 + last, dtypes[d], last);
    if (argc > 1 && !strcmp(argv[1], "rates"))
        for (int k = 0; k < 3; k++)
            for (int last = 0; last < 2; last++) rates(&layers[k], last);
    return failed;
}
