/* Attention of a GPT-2 layer by cuDNN through the public operators: against the library's own kernels, the same bits twice and in
 * a captured graph; then the times of both. Without a GPU or without cuDNN it says so and passes. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <taper/cuda.h>
#include <taper/ops.h>
#include <time.h>

#include "device/cuda/dnn.h"
#include "ops/attention_cuda.h"

static int failed;
static void result(const char *name, bool good, const char *format, double a, double b) {
    printf(good ? "ok %s\n" : "not ok %s: ", name);
    if (!good) failed = 1, printf(format, a, b), printf("; %s\n", taper_error_message());
}

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static taper_tensor *noise(int64_t a, int64_t b, int64_t c, taper_dtype dtype) {
    taper_device gpu = taper_cuda(0);
    taper_tensor *wide = NULL, *t = NULL;
    if (taper_randn(&wide, (int64_t[]){a, b, c}, 3, NULL, TAPER_F32, &gpu) || taper_to(&t, wide, NULL, dtype, false, false)) {
        printf("not ok setup: %s\n", taper_error_message());
        exit(1);
    }
    taper_tensor_release(wide);
    return t;
}

static void *bits(taper_tensor *t, size_t *bytes) {
    *bytes = (size_t)taper_tensor_numel(t) * taper_dtype_size(taper_tensor_dtype(t));
    void *p = malloc(*bytes + 1);
    if (taper_tensor_read(t, p, *bytes)) memset(p, 0xff, *bytes);
    return p;
}

static bool same(taper_tensor *a, taper_tensor *b) {
    size_t na, nb;
    void *pa = bits(a, &na), *pb = bits(b, &nb);
    bool good = na == nb && !memcmp(pa, pb, na);
    free(pa), free(pb);
    return good;
}

/* Root of the mean square of the difference over that of b. */
static double apart(taper_tensor *a, taper_tensor *b) {
    size_t n, m;
    char *pa = bits(a, &n), *pb = bits(b, &m);
    taper_dtype dtype = taper_tensor_dtype(a);
    double up = 0, down = 0;
    for (size_t i = 0, size = taper_dtype_size(dtype); i < n; i += size) {
        double x = taper__load_double(pa + i, dtype), y = taper__load_double(pb + i, dtype);
        up += (x - y) * (x - y), down += y * y;
    }
    free(pa), free(pb);
    return sqrt(up / (down > 0 ? down : 1));
}

/* (B, T, parts H E) as the library's own kernels see part `which`. */
static taper_tensor *part(taper_tensor *t, int64_t H, int64_t E, int which) {
    taper_tensor *v = NULL;
    int64_t shape[4] = {t->shape[0], H, t->shape[1], E}, strides[4] = {t->strides[0], E, t->strides[1], 1};
    if (taper__tensor_view(&v, t, 4, shape, strides, t->offset + which * H * E)) exit(1);
    return v;
}

static taper_status own(int64_t H, bool causal, taper_tensor *qkv, taper_tensor *grad, taper_tensor *out, taper_tensor *lse, taper_tensor *dqkv) {
    int64_t E = qkv->shape[2] / 3 / H;
    taper_tensor *v[8] = {part(qkv, H, E, 0),  part(qkv, H, E, 1),  part(qkv, H, E, 2),  part(out, H, E, 0),
                          part(grad, H, E, 0), part(dqkv, H, E, 0), part(dqkv, H, E, 1), part(dqkv, H, E, 2)};
    taper_attention a = {.q = v[0], .k = v[1], .v = v[2], .B = qkv->shape[0], .H = H, .G = 1, .L = qkv->shape[1], .S = qkv->shape[1], .E = E, .V = E,
                         .scale = 1 / sqrt((double)E), .causal = causal};
    taper_attention_dropout none = {0};
    taper_status st = taper__attention_cuda(&a, none, v[3], lse);
    if (!st) st = taper__attention_backward_cuda(&a, none, v[4], v[3], lse, v[5], v[6], v[7]);
    for (int i = 0; i < 8; i++) taper_tensor_release(v[i]);
    return st;
}

static taper_status both_ways(int64_t H, bool causal, taper_tensor *qkv, taper_tensor *grad, taper_tensor **r, taper_tensor **d) {
    taper_status st = taper_flash_attention_packed(r, qkv, H, causal, NULL, 0);
    return st ? st : taper_flash_attention_packed_backward(d, grad, qkv, r[0], r[1], H, causal, NULL, 0, 0, 0);
}

static void layer(const char *name, int64_t B, int64_t H, int64_t T, int64_t E, taper_dtype dtype, bool causal) {
    char full[96];
    taper_tensor *qkv = noise(B, T, 3 * H * E, dtype), *grad = noise(B, T, H * E, dtype), *r[3][2] = {{NULL}}, *d[3] = {NULL}, *mixed = NULL, *m[2] = {NULL};
    taper_cuda_graph *g = NULL;
    double limit = dtype == TAPER_F16 ? 2e-3 : 1.2e-2, began = now();
    taper_status st = both_ways(H, causal, qkv, grad, r[0], &d[0]);
    if (!st) st = taper_cuda_synchronize(0);
    printf("%s: the first call, with its plans: %.0f ms\n", name, now() - began);
    if (!st) st = both_ways(H, causal, qkv, grad, r[1], &d[1]);
    if (!st) st = both_ways(H, causal, qkv, grad, m, &mixed); /* to be overwritten */
    if (!st) st = own(H, causal, qkv, grad, m[0], m[1], mixed);
    if (st) {
        result(name, false, "failed", 0, 0);
        return;
    }
    double e[3] = {apart(r[0][0], m[0]), apart(r[0][1], m[1]), apart(d[0], mixed)};
    snprintf(full, sizeof full, "%s_output", name);
    result(full, e[0] < limit && e[1] < 1e-4, "%.2g and logsumexp %.2g from the library's own", e[0], e[1]);
    snprintf(full, sizeof full, "%s_gradient", name);
    result(full, e[2] < limit, "%.2g from the library's own, at most %.2g", e[2], limit);
    snprintf(full, sizeof full, "%s_again", name);
    result(full, same(r[0][0], r[1][0]) && same(r[0][1], r[1][1]) && same(d[0], d[1]), "other bits", 0, 0);
    /* captured, the inputs changed before the replay and back */
    taper_tensor *zero = NULL, *keep = NULL;
    taper_cuda_stream *s = NULL, *before = NULL;
    st = taper_zeros_like(&zero, qkv, TAPER_DTYPE_NONE, NULL, NULL);
    if (!st) st = taper_clone(&keep, qkv);
    if (!st) st = taper_cuda_stream_new(&s, 0, 0);
    if (!st) st = taper_cuda_synchronize(0);
    if (!st) st = taper_cuda_graph_new(&g, NULL);
    if (!st) st = taper_cuda_stream_current(&before, 0);
    if (!st) st = taper_cuda_stream_set_current(s);
    if (!st) st = taper_cuda_graph_begin_capture(g, s);
    if (!st) {
        st = both_ways(H, causal, qkv, grad, r[2], &d[2]);
        taper_status end = taper_cuda_graph_end_capture(g);
        if (!st) st = end;
    }
    if (!st) st = taper__copy_data(qkv, zero);
    if (!st) st = taper_cuda_graph_replay(g, s);
    if (!st) st = taper_cuda_synchronize(0);
    bool differs = !st && !same(d[2], d[0]);
    if (!st) st = taper__copy_data(qkv, keep);
    for (int i = 0; i < 2 && !st; i++) st = taper_cuda_graph_replay(g, s);
    if (!st) st = taper_cuda_synchronize(0);
    if (before) taper_cuda_stream_set_current(before);
    snprintf(full, sizeof full, "%s_captured", name);
    result(full, !st && differs && same(r[0][0], r[2][0]) && same(d[2], d[0]), "status %g, zeros differ %g", st, differs);
    taper_tensor_release(zero), taper_tensor_release(keep), taper_tensor_release(mixed), taper_tensor_release(m[0]), taper_tensor_release(m[1]);
    for (int i = 0; i < 3; i++) taper_tensor_release(r[i][0]), taper_tensor_release(r[i][1]), taper_tensor_release(d[i]);
    taper_cuda_graph_release(g);
    taper_cuda_stream_release(before), taper_cuda_stream_release(s);
    taper_tensor_release(qkv), taper_tensor_release(grad);
}

static taper_tensor *scaled(taper_tensor *t, double by, taper_dtype dtype) {
    taper_tensor *factor = NULL, *wide = NULL, *r = NULL;
    taper_device gpu = taper_cuda(0);
    if (taper_full(&factor, NULL, 0, taper_float(by), TAPER_F32, &gpu) || taper_mul(&wide, t, factor) || taper_to(&r, wide, NULL, dtype, false, false)) exit(1);
    taper_tensor_release(factor), taper_tensor_release(wide);
    return r;
}

/* Of one of `parts` column blocks of the last dim: root mean square of the difference over that of want. */
static double error_of(taper_tensor *got, taper_tensor *want, int parts, int which) {
    size_t n, m;
    char *pg = bits(got, &n), *pw = bits(want, &m);
    taper_dtype dg = taper_tensor_dtype(got), dw = taper_tensor_dtype(want);
    int64_t width = got->shape[2], each = width / parts;
    double up = 0, down = 0;
    for (int64_t i = 0; i < taper_tensor_numel(got); i++) {
        if (i % width / each != which) continue;
        double x = taper__load_double(pg + (size_t)i * taper_dtype_size(dg), dg), y = taper__load_double(pw + (size_t)i * taper_dtype_size(dw), dw);
        up += (x - y) * (x - y), down += y * y;
    }
    free(pg), free(pw);
    return sqrt(up / (down > 0 ? down : 1));
}

/* cuDNN must not be further from float32 than the library's own kernels are, for scores as they are at the start of a training
 * (all near zero) and later. */
static void precision(const char *name, double size, double grad_size, taper_dtype dtype) {
    static const char *const names[4] = {"output", "query", "key", "value"};
    int64_t B = 2, H = 12, T = 1024, E = 64;
    taper_tensor *raw = noise(B, T, 3 * H * E, TAPER_F32), *raw_grad = noise(B, T, H * E, TAPER_F32);
    taper_tensor *qkv = scaled(raw, size, dtype), *grad = scaled(raw_grad, grad_size, dtype), *qkv32 = scaled(qkv, 1, TAPER_F32), *grad32 = scaled(grad, 1, TAPER_F32);
    taper_tensor *r[3][2] = {{NULL}}, *d[3] = {NULL};
    taper_status st = both_ways(H, true, qkv32, grad32, r[0], &d[0]);
    if (!st) st = both_ways(H, true, qkv, grad, r[1], &d[1]);
    if (!st) st = both_ways(H, true, qkv, grad, r[2], &d[2]);
    if (!st) st = own(H, true, qkv, grad, r[2][0], r[2][1], d[2]);
    for (int i = 0; i < 4; i++) {
        char full[96];
        double dnn = st ? NAN : i ? error_of(d[1], d[0], 3, i - 1) : error_of(r[1][0], r[0][0], 1, 0);
        double ours = st ? NAN : i ? error_of(d[2], d[0], 3, i - 1) : error_of(r[2][0], r[0][0], 1, 0);
        snprintf(full, sizeof full, "precision_%s_%s", name, names[i]);
        result(full, dnn <= 1.3 * ours, "%.3g, the library's own %.3g", dnn, ours);
        printf("error %s %s: cuDNN %.3g, own %.3g\n", name, names[i], dnn, ours);
    }
    for (int i = 0; i < 3; i++) taper_tensor_release(r[i][0]), taper_tensor_release(r[i][1]), taper_tensor_release(d[i]);
    taper_tensor_release(raw), taper_tensor_release(raw_grad), taper_tensor_release(qkv), taper_tensor_release(grad);
    taper_tensor_release(qkv32), taper_tensor_release(grad32);
}

/* Best of eight; and the same work by the library's own kernels. */
static void rate(int64_t B, int64_t H, int64_t T, int64_t E, bool causal) {
    taper_tensor *qkv = noise(B, T, 3 * H * E, TAPER_BF16), *grad = noise(B, T, H * E, TAPER_BF16), *r[2] = {NULL}, *d = NULL;
    taper_cuda_event *e[3] = {NULL};
    float best[3] = {1e9f, 1e9f, 1e9f}, ms;
    taper_status st = both_ways(H, causal, qkv, grad, r, &d);
    for (int i = 0; i < 3 && !st; i++) st = taper_cuda_event_new(&e[i], true, false);
    for (int i = 0; i < 8 && !st; i++) {
        taper_tensor *s[2] = {NULL}, *f = NULL;
        st = taper_cuda_event_record(e[0], NULL);
        if (!st) st = taper_flash_attention_packed(s, qkv, H, causal, NULL, 0);
        if (!st) st = taper_cuda_event_record(e[1], NULL);
        if (!st) st = taper_flash_attention_packed_backward(&f, grad, qkv, s[0], s[1], H, causal, NULL, 0, 0, 0);
        if (!st) st = taper_cuda_event_record(e[2], NULL);
        if (!st) st = taper_cuda_event_synchronize(e[2]);
        for (int j = 0; j < 2 && !st; j++) {
            st = taper_cuda_event_elapsed(&ms, e[j], e[j + 1]);
            if (ms < best[j]) best[j] = ms;
        }
        if (!st) st = taper_cuda_event_record(e[0], NULL);
        if (!st) st = own(H, causal, qkv, grad, s[0], s[1], f);
        if (!st) st = taper_cuda_event_record(e[2], NULL);
        if (!st) st = taper_cuda_event_synchronize(e[2]);
        if (!st) st = taper_cuda_event_elapsed(&ms, e[0], e[2]);
        if (ms < best[2]) best[2] = ms;
        taper_tensor_release(s[0]), taper_tensor_release(s[1]), taper_tensor_release(f);
    }
    double flops = 4.0 * (double)(B * H) * (double)T * (double)T * (double)E * (causal ? 0.5 : 1);
    if (st)
        result("rate", false, "failed", 0, 0);
    else
        printf("rate B %d H %d T %d E %d%s: forward %.3f ms %.0f TFLOP/s, backward %.3f ms %.0f TFLOP/s, together %.3f ms; own %.3f ms\n", (int)B, (int)H, (int)T, (int)E,
               causal ? " causal" : "", best[0], flops / best[0] / 1e9, best[1], 2.5 * flops / best[1] / 1e9, best[0] + best[1], best[2]);
    for (int i = 0; i < 3; i++) taper_cuda_event_release(e[i]);
    taper_tensor_release(r[0]), taper_tensor_release(r[1]), taper_tensor_release(d), taper_tensor_release(qkv), taper_tensor_release(grad);
}

int main(int argc, char **argv) {
    char why[512] = "no GPU, or no kernels in this build";
    if (!taper_cuda_device_count(NULL) || !taper__cuda_has_kernels() || !taper__cudnn(why, sizeof why)) {
        printf("skipped: %s\n", why);
        return 0;
    }
    const char *only = argc > 1 ? argv[1] : "";
    if (strcmp(only, "--rates")) {
        layer("gpt2_bf16", 32, 12, 1024, 64, TAPER_BF16, true);
        layer("whole_f16", 4, 12, 1024, 64, TAPER_F16, false);
        layer("wide_bf16", 2, 16, 2048, 128, TAPER_BF16, true);
        layer("cut_f16", 1, 40, 4096, 64, TAPER_F16, true);
        precision("start_bf16", 0.1, 1e-5, TAPER_BF16);
        precision("later_bf16", 1, 1e-4, TAPER_BF16);
        precision("sharp_f16", 3, 1, TAPER_F16);
        layer("vit_bf16", 160, 12, 197, 64, TAPER_BF16, false);
        layer("odd_f16", 8, 12, 1000, 64, TAPER_F16, true);
    }
    if (strcmp(only, "--no-rates")) {
        rate(32, 12, 1024, 64, true);
        rate(32, 12, 1000, 64, true);
        rate(256, 12, 197, 64, false);
        rate(64, 6, 256, 64, true);
        rate(8, 16, 4096, 64, false);
        rate(8, 16, 4096, 128, true);
    }
    return failed;
}
