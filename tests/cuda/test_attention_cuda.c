/* Attention on the GPU against sums in double: lengths, head sizes, layouts, masks, shared heads, dropout; the same bits
 * twice; then the rates of large ones. Without a GPU it says so and passes. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <taper/cuda.h>
#include <taper/ops.h>

#include "device/cuda/dnn.h"
#include "ops/attention_cuda.h"
#include "tensor/philox.h"

static int failed;
static unsigned long long state = 88172645463325252ull;
static double uniform(void) { /* [-1, 1) */
    state ^= state << 13, state ^= state >> 7, state ^= state << 17;
    return (double)(state >> 11) / 4503599627370496.0 - 1;
}

typedef struct shape {
    int B, H, G, L, S, E, V;
    taper_dtype dtype;
    bool causal, turned; /* turned: stored as (B, T, H, E) */
    int mask;            /* 1: bool, 2: added */
    double drop;
    bool dnn; /* by cuDNN, whatever the size */
} shape;

/* Values as the dtype has them, and a tensor on the GPU; v has the order (B, H, T, E). */
typedef struct operand {
    double *v;
    taper_tensor *t;
    int B, H, T, E;
} operand;

static taper_tensor *to_gpu(const void *data, taper_dtype dtype, int ndim, const int64_t *sizes) {
    taper_tensor *host = NULL, *t = NULL;
    taper_device gpu = taper_cuda(0);
    if (taper_tensor_from_data(&host, data, dtype, ndim, sizes) || taper_to(&t, host, &gpu, TAPER_DTYPE_NONE, false, false)) {
        printf("not ok setup: %s\n", taper_error_message());
        exit(1);
    }
    taper_tensor_release(host);
    return t;
}

static operand operand_new(int B, int H, int T, int E, taper_dtype dtype, bool turned, bool empty) {
    operand o = {calloc((size_t)(B * H * T * E) + 1, sizeof(double)), NULL, B, H, T, E};
    size_t size = taper_dtype_size(dtype);
    char *data = calloc((size_t)(B * H * T * E) + 1, size);
    for (int b = 0; b < B; b++)
        for (int h = 0; h < H; h++)
            for (int t = 0; t < T; t++)
                for (int e = 0; e < E; e++) {
                    int at = ((b * H + h) * T + t) * E + e, stored = turned ? ((b * T + t) * H + h) * E + e : at;
                    char *p = data + (size_t)stored * size;
                    taper__store_double(p, dtype, empty ? 0 : uniform());
                    o.v[at] = taper__load_double(p, dtype);
                }
    int64_t sizes[4] = {B, turned ? T : H, turned ? H : T, E};
    taper_tensor *t = to_gpu(data, dtype, 4, sizes);
    if (turned) {
        taper_transpose(&o.t, t, 1, 2);
        taper_tensor_release(t);
    } else {
        o.t = t;
    }
    free(data);
    return o;
}

static void operand_end(operand *o) {
    free(o->v);
    taper_tensor_release(o->t);
}

/* Largest difference over the largest value that is wanted. */
static double difference(taper_tensor *got, const double *want) {
    taper_tensor *plain = NULL, *wide = NULL, *host = NULL;
    taper_device cpu = taper_cpu();
    double worst = 0, most = 0;
    if (taper_contiguous(&plain, got) || taper_to(&host, plain, &cpu, TAPER_DTYPE_NONE, false, false) || taper_to(&wide, host, NULL, TAPER_F64, false, false))
        return INFINITY;
    const double *v = taper_tensor_data(wide);
    for (int64_t i = 0; i < taper_tensor_numel(wide); i++) {
        double d = fabs(v[i] - want[i]);
        if (!(d <= worst)) worst = isnan(d) ? INFINITY : d;
        if (fabs(want[i]) > most) most = fabs(want[i]);
    }
    taper_tensor_release(plain);
    taper_tensor_release(host);
    taper_tensor_release(wide);
    return worst / (most > 1e-3 ? most : 1e-3);
}

static double keep(const shape *s, int b, int h, int row, int key, uint64_t seed, uint64_t offset) {
    if (s->drop == 0) return 1;
    taper__philox4 w = taper__philox(seed, offset, TAPER_ATTENTION_DROP_INDEX(((int64_t)b * s->H + h) * s->L + row, key, s->S));
    int part = TAPER_ATTENTION_DROP_PART(key);
    uint32_t number = part % 2 ? w.x[part / 2] >> 16 : w.x[part / 2] & 0xffff;
    return number >= taper__attention_drop_bound(s->drop) ? 1 / (1 - s->drop) : 0;
}

/* All results in double. mask: (L, S), NULL when there is none. */
static void reference(const shape *s, const operand *q, const operand *k, const operand *v, const operand *g, const double *mask, double scale,
                      uint64_t seed, uint64_t offset, double *out, double *dq, double *dk, double *dv) {
    double *p = malloc(sizeof *p * (size_t)(s->S + 1)), *dp = malloc(sizeof *dp * (size_t)(s->S + 1));
    int heads = s->H / s->G;
    for (int b = 0; b < s->B; b++)
        for (int h = 0; h < s->H; h++)
            for (int i = 0; i < s->L; i++) {
                const double *qi = q->v + ((b * s->H + h) * s->L + i) * s->E, *gi = g->v + ((b * s->H + h) * s->L + i) * s->V;
                double *oi = out + ((b * s->H + h) * s->L + i) * s->V, *dqi = dq + ((b * s->H + h) * s->L + i) * s->E, high = -INFINITY, sum = 0, delta = 0;
                int64_t kv = (int64_t)(b * heads + h / s->G) * s->S;
                for (int j = 0; j < s->S; j++) {
                    double x = 0;
                    for (int e = 0; e < s->E; e++) x += qi[e] * k->v[(kv + j) * s->E + e];
                    p[j] = (s->causal && j > i) ? -INFINITY : x * scale + (mask ? mask[i * s->S + j] : 0);
                    high = p[j] > high ? p[j] : high;
                }
                for (int j = 0; j < s->S; j++) sum += p[j] = high == -INFINITY ? 0 : exp(p[j] - high);
                for (int j = 0; j < s->S; j++) {
                    double w = keep(s, b, h, i, j, seed, offset), x = 0;
                    p[j] = sum > 0 ? p[j] / sum : 0;
                    for (int e = 0; e < s->V; e++) {
                        oi[e] += p[j] * w * v->v[(kv + j) * s->V + e];
                        x += gi[e] * v->v[(kv + j) * s->V + e];
                        dv[(kv + j) * s->V + e] += p[j] * w * gi[e];
                    }
                    dp[j] = x * w;
                    delta += dp[j] * p[j];
                }
                for (int j = 0; j < s->S; j++)
                    for (int e = 0; e < s->E; e++) {
                        double ds = p[j] * (dp[j] - delta) * scale;
                        dqi[e] += ds * k->v[(kv + j) * s->E + e];
                        dk[(kv + j) * s->E + e] += ds * qi[e];
                    }
            }
    free(p);
    free(dp);
}

/* cuDNN's kernels alone, forward and backward, without the way back to the library's own. */
static taper_status by_dnn(const shape *s, double scale, taper_tensor *q, taper_tensor *k, taper_tensor *v, taper_tensor *g, taper_tensor **both, taper_tensor **d) {
    taper_cudnn_attention a;
    taper_tensor *t[8] = {q, k, v, NULL, g};
    int64_t *strides[8] = {a.q, a.k, a.v, a.out, a.dout, a.dq, a.dk, a.dv};
    const int64_t rows[3] = {s->B, s->H, s->L};
    taper_device gpu = taper_cuda(0);
    taper_status st = taper_empty(&both[1], rows, 3, TAPER_F32, &gpu);
    memset(&a, 0, sizeof a);
    a.B = s->B, a.H = s->H, a.K = s->H / s->G, a.L = s->L, a.S = s->S, a.E = s->E, a.V = s->V, a.dtype = s->dtype, a.causal = s->causal;
    if (!st) st = taper_empty_like(&both[0], g, TAPER_DTYPE_NONE, NULL, NULL);
    if (!st) st = taper_empty_like(&d[0], q, TAPER_DTYPE_NONE, NULL, NULL);
    if (!st) st = taper_empty_like(&d[1], k, TAPER_DTYPE_NONE, NULL, NULL);
    if (!st) st = taper_empty_like(&d[2], v, TAPER_DTYPE_NONE, NULL, NULL);
    if (st) return st;
    t[3] = both[0], t[5] = d[0], t[6] = d[1], t[7] = d[2];
    taper_cudnn_attention_data data = {taper__data(q), taper__data(k), taper__data(v), taper__data(both[0]), taper__data(both[1]),
                                       taper__data(g), taper__data(d[0]), taper__data(d[1]), taper__data(d[2]), NULL, NULL, (float)scale};
    taper_tensor *lengths[2] = {NULL};
    for (int i = 0; i < 2 && !st; i++) st = taper_full(&lengths[i], rows, 1, taper_int(i ? s->S : s->L), TAPER_I32, &gpu);
    if (st) return st;
    data.queries = taper__data(lengths[0]), data.keys = taper__data(lengths[1]);
    for (int i = 0; i < 4; i++) memcpy(strides[i], t[i]->strides, sizeof a.q);
    st = taper__cudnn_attention(&a, &data, 0, "flash_attention");
    for (int i = 4; i < 8; i++) memcpy(strides[i], t[i]->strides, sizeof a.q);
    a.backward = true;
    if (!st) st = taper__cudnn_attention(&a, &data, 0, "flash_attention_backward");
    taper_tensor_release(lengths[0]), taper_tensor_release(lengths[1]);
    return st;
}

static bool same_bits(taper_tensor *a, taper_tensor *b) {
    size_t bytes = (size_t)taper_tensor_numel(a) * taper_dtype_size(taper_tensor_dtype(a));
    taper_tensor *pa = NULL, *pb = NULL;
    char *ha = malloc(bytes + 1), *hb = malloc(bytes + 1);
    bool same = !taper_contiguous(&pa, a) && !taper_contiguous(&pb, b) && !taper_tensor_read(pa, ha, bytes) && !taper_tensor_read(pb, hb, bytes) &&
                !memcmp(ha, hb, bytes);
    taper_tensor_release(pa);
    taper_tensor_release(pb);
    free(ha);
    free(hb);
    return same;
}

static void check(const char *name, shape s) {
    double most = s.dtype == TAPER_F64 ? 1e-12 : s.dtype == TAPER_F32 ? 2e-5 : s.dtype == TAPER_F16 ? 6e-3 : 4e-2, scale = 1 / sqrt(s.E), worst[4] = {0};
    operand q = operand_new(s.B, s.H, s.L, s.E, s.dtype, s.turned, false), k = operand_new(s.B, s.H / s.G, s.S, s.E, s.dtype, s.turned, false),
            v = operand_new(s.B, s.H / s.G, s.S, s.V, s.dtype, s.turned, false), g = operand_new(s.B, s.H, s.L, s.V, s.dtype, s.turned, false);
    double *want[4];
    const operand *like[4] = {&g, &q, &k, &v};
    for (int i = 0; i < 4; i++) want[i] = calloc((size_t)(like[i]->B * like[i]->H * like[i]->T * like[i]->E) + 1, sizeof(double));
    double *mask = NULL;
    taper_tensor *m = NULL, *both[2][2] = {{NULL}}, *d[2][3] = {{NULL}};
    if (s.mask) {
        int64_t sizes[2] = {s.L, s.S};
        size_t size = s.mask == 1 ? 1 : taper_dtype_size(s.dtype);
        char *data = calloc((size_t)(s.L * s.S), size);
        mask = malloc(sizeof *mask * (size_t)(s.L * s.S));
        for (int i = 0; i < s.L * s.S; i++) {
            double x = uniform();
            if (s.mask == 1) {
                data[i] = x > -0.2 && i / s.S != 1; /* row 1 sees nothing */
                mask[i] = data[i] ? 0 : -INFINITY;
            } else {
                taper__store_double(data + (size_t)i * size, s.dtype, x);
                mask[i] = taper__load_double(data + (size_t)i * size, s.dtype);
            }
        }
        m = to_gpu(data, s.mask == 1 ? TAPER_BOOL : s.dtype, 2, sizes);
        free(data);
    }
    uint64_t seed = 0, offset = 0;
    taper_status st = taper_cuda_get_random_state(&seed, &offset, 0);
    for (int run = 0; run < 2 && !st; run++) {
        if (s.dnn) {
            st = by_dnn(&s, scale, q.t, k.t, v.t, g.t, both[run], d[run]);
            continue;
        }
        if (!st) st = taper_cuda_set_random_state(seed, offset, 0);
        if (!st) st = taper_flash_attention(both[run], q.t, k.t, v.t, m, s.causal, NULL, s.drop);
        if (!st)
            st = taper_flash_attention_backward(d[run], g.t, q.t, k.t, v.t, both[run][0], both[run][1], m, s.causal, NULL, s.drop, (int64_t)seed,
                                                (int64_t)offset);
    }
    if (!st) {
        reference(&s, &q, &k, &v, &g, mask, scale, seed, offset, want[0], want[1], want[2], want[3]);
        worst[0] = difference(both[0][0], want[0]);
        for (int i = 0; i < 3; i++) worst[1 + i] = difference(d[0][i], want[1 + i]);
    }
    bool good = !st, repeats = !st && same_bits(both[0][0], both[1][0]);
    for (int i = 0; i < 3 && repeats; i++) repeats = same_bits(d[0][i], d[1][i]);
    for (int i = 0; i < 4; i++) good = good && worst[i] <= most;
    if (good && repeats) {
        printf("ok attention_%s\n", name);
    } else {
        failed = 1;
        printf("not ok attention_%s: B %d H %d G %d L %d S %d E %d V %d %s%s%s mask %d drop %g: errors out %.2g dq %.2g dk %.2g dv %.2g, at most %.2g%s%s\n", name,
               s.B, s.H, s.G, s.L, s.S, s.E, s.V, taper_dtype_name(s.dtype), s.causal ? " causal" : "", s.turned ? " turned" : "", s.mask, s.drop, worst[0],
               worst[1], worst[2], worst[3], most, repeats ? "" : ", other bits the second time", st ? taper_error_message() : "");
    }
    for (int run = 0; run < 2; run++)
        for (int i = 0; i < 3; i++) {
            taper_tensor_release(d[run][i]);
            if (i < 2) taper_tensor_release(both[run][i]);
        }
    taper_tensor_release(m);
    operand_end(&q), operand_end(&k), operand_end(&v), operand_end(&g);
    for (int i = 0; i < 4; i++) free(want[i]);
    free(mask);
}

/* The mean of what is kept, over rows of equal weights and values of one. */
static void check_dropout_mean(void) {
    int64_t sizes[4] = {1, 4, 512, 64};
    taper_device gpu = taper_cuda(0);
    taper_tensor *q = NULL, *v = NULL, *wide = NULL, *both[2] = {NULL}, *mean = NULL;
    double got = 0, p = 0.3;
    taper_status st = taper_full(&q, sizes, 4, taper_float(0), TAPER_BF16, &gpu);
    if (!st) st = taper_full(&v, sizes, 4, taper_float(1), TAPER_BF16, &gpu);
    if (!st) st = taper_flash_attention(both, q, q, v, NULL, false, NULL, p);
    if (!st) st = taper_to(&wide, both[0], NULL, TAPER_F32, false, false);
    if (!st) st = taper_sum(&mean, wide, NULL, 0, false, TAPER_DTYPE_NONE);
    if (!st) st = taper_tensor_item_double(mean, &got);
    got /= 4 * 512 * 64;
    if (!st && fabs(got - 1) < 5e-3) /* 1,048,576 weights: a deviation of 0.0006 */
        printf("ok attention_dropout_mean\n");
    else
        failed = 1, printf("not ok attention_dropout_mean: %.5f, wanted 1: %s\n", got, st ? taper_error_message() : "");
    taper_tensor_release(q), taper_tensor_release(v), taper_tensor_release(wide), taper_tensor_release(mean);
    taper_tensor_release(both[0]), taper_tensor_release(both[1]);
}

static void rate(int B, int H, int T, int E, bool causal, double drop) {
    int64_t sizes[4] = {B, H, T, E};
    taper_device gpu = taper_cuda(0);
    taper_tensor *t[4] = {NULL}, *both[2] = {NULL}, *d[3] = {NULL};
    taper_cuda_event *e[3] = {NULL};
    taper_status st = TAPER_OK;
    float ms[2] = {0}, best[2] = {1e9f, 1e9f};
    for (int i = 0; i < 4 && !st; i++) st = taper_full(&t[i], sizes, 4, taper_float(0.25), TAPER_BF16, &gpu);
    for (int i = 0; i < 3 && !st; i++) st = taper_cuda_event_new(&e[i], true, false);
    for (int run = 0; run < 6 && !st; run++) {
        taper_tensor_release(both[0]), taper_tensor_release(both[1]);
        both[0] = both[1] = NULL;
        st = taper_cuda_event_record(e[0], NULL);
        if (!st) st = taper_flash_attention(both, t[0], t[1], t[2], NULL, causal, NULL, drop);
        if (!st) st = taper_cuda_event_record(e[1], NULL);
        if (!st) st = taper_flash_attention_backward(d, t[3], t[0], t[1], t[2], both[0], both[1], NULL, causal, NULL, drop, 1, 1);
        if (!st) st = taper_cuda_event_record(e[2], NULL);
        if (!st) st = taper_cuda_event_synchronize(e[2]);
        for (int i = 0; i < 2 && !st; i++) {
            st = taper_cuda_event_elapsed(&ms[i], e[i], e[i + 1]);
            if (ms[i] < best[i]) best[i] = ms[i];
        }
        for (int i = 0; i < 3; i++) taper_tensor_release(d[i]), d[i] = NULL;
    }
    double flops = 4.0 * B * H * (double)T * T * E * (causal ? 0.5 : 1);
    if (st)
        failed = 1, printf("not ok attention_rate: %s\n", taper_error_message());
    else
        printf("rate B %d H %d T %d E %d%s drop %g: forward %.3f ms %.0f TFLOP/s, backward %.3f ms %.0f TFLOP/s (of 2.5 times the forward's)\n", B, H, T, E,
               causal ? " causal" : "", drop, best[0], flops / best[0] / 1e9, best[1], 2.5 * flops / best[1] / 1e9);
    for (int i = 0; i < 4; i++) taper_tensor_release(t[i]);
    for (int i = 0; i < 3; i++) taper_cuda_event_release(e[i]);
    taper_tensor_release(both[0]), taper_tensor_release(both[1]);
}

int main(int argc, char **argv) {
    static const int lengths[] = {1, 2, 7, 15, 16, 17, 31, 33, 63, 64, 65, 97, 127, 128, 129, 200, 255, 257, 300}, sizes[] = {32, 64, 96, 128, 40, 8};
    static const taper_dtype dtypes[] = {TAPER_F16, TAPER_BF16, TAPER_F32, TAPER_F64};
    char name[80];
    if (!taper_cuda_device_count(NULL) || !taper__cuda_has_kernels()) {
        printf("skipped: no GPU, or no kernels in this build\n");
        return 0;
    }
    for (int i = 0; i < TAPER_COUNT(lengths); i++)
        for (int j = 0; j < TAPER_COUNT(sizes); j++)
            for (int c = 0; c < 2; c++) {
                taper_dtype dtype = dtypes[(i + j) % 2];
                snprintf(name, sizeof name, "%s_%d_%d%s", taper_dtype_name(dtype), lengths[i], sizes[j], c ? "_causal" : "");
                check(name, (shape){1, 2, 1, lengths[i], lengths[i], sizes[j], sizes[j], dtype, c, (i + c) % 2, 0, 0});
            }
    for (int i = 0; i < 4; i++)
        for (int c = 0; c < 2; c++) {
            snprintf(name, sizeof name, "cross_%s%s", taper_dtype_name(dtypes[i]), c ? "_causal" : "");
            check(name, (shape){2, 4, 2, 130, 77, 64, 32, dtypes[i], c, false, 0, 0});
            snprintf(name, sizeof name, "shared_%s%s", taper_dtype_name(dtypes[i]), c ? "_causal" : "");
            check(name, (shape){2, 6, 3, 70, 150, 48, 96, dtypes[i], c, true, 0, 0});
            snprintf(name, sizeof name, "odd_%s%s", taper_dtype_name(dtypes[i]), c ? "_causal" : "");
            check(name, (shape){1, 3, 1, 37, 41, 13, 19, dtypes[i], c, false, 0, 0});
            snprintf(name, sizeof name, "mask_%s_%d", taper_dtype_name(dtypes[i]), c + 1);
            check(name, (shape){1, 2, 1, 67, 99, 64, 64, dtypes[i], false, false, c + 1, 0});
            for (int j = 0; j < 4; j++) {
                snprintf(name, sizeof name, "dropout_%s_%d%s", taper_dtype_name(dtypes[i]), sizes[j], c ? "_causal" : "");
                check(name, (shape){1, 4, 2, 130, 130, sizes[j], sizes[j], dtypes[i], c, false, 0, 0.3});
            }
        }
    if (taper__cudnn_version() || taper__cudnn(NULL, 0)) {
        static const shape by[] = {{2, 3, 1, 128, 128, 64, 64}, {1, 2, 1, 64, 128, 32, 32}, {2, 2, 1, 192, 256, 96, 96}, {1, 2, 1, 256, 128, 128, 128},
                                   {1, 6, 3, 128, 256, 64, 64}, {2, 4, 4, 256, 256, 128, 64}, {1, 2, 1, 320, 384, 40, 40}, {1, 3, 1, 64, 128, 8, 8},
                                   {1, 2, 2, 1024, 1024, 64, 64}, {3, 2, 1, 448, 512, 32, 72},
                                   {2, 4, 1, 197, 197, 64, 64}, {2, 4, 2, 77, 300, 64, 128}, {1, 2, 1, 1000, 1000, 64, 64}, {2, 2, 1, 40, 40, 32, 32}};
        for (int i = 0; i < TAPER_COUNT(by); i++)
            for (int c = 0; c < 8; c++) {
                shape s = by[i];
                s.dtype = c & 1 ? TAPER_F16 : TAPER_BF16, s.causal = c & 2, s.turned = c & 4, s.dnn = true;
                snprintf(name, sizeof name, "dnn_%d_%s%s%s", i, taper_dtype_name(s.dtype), s.causal ? "_causal" : "", s.turned ? "_turned" : "");
                check(name, s);
            }
    } else {
        printf("skipped: attention by cuDNN, which is not here\n");
    }
    check_dropout_mean();
    if (argc < 2 || strcmp(argv[1], "--no-rates")) {
        rate(32, 12, 1024, 64, true, 0);
        rate(32, 12, 1024, 64, true, 0.1);
        rate(8, 16, 4096, 64, false, 0);
        rate(8, 16, 4096, 128, false, 0);
        rate(8, 16, 4096, 128, true, 0);
    }
    return failed;
}
