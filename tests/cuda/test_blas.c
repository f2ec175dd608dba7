/* cuBLASLt products against sums in double: dtypes, transposes, batches, epilogues; then the rates of large ones.
 * Without a GPU or without cuBLASLt it says so and passes. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "device/cuda/blas.h"
#include "device/cuda/gpu.h"
#include "tensor/tensor.h"

static int failed;
static unsigned long long state = 88172645463325252ull;
static double uniform(void) { /* [-1, 1) */
    state ^= state << 13, state ^= state >> 7, state ^= state << 17;
    return (double)(state >> 11) / 4503599627370496.0 - 1;
}
static double seconds(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

typedef struct matrix {
    double *v; /* as the GPU has it, after rounding */
    void *gpu;
    size_t bytes;
    int dtype;
    int64_t n;
} matrix;

static matrix matrix_new(int64_t n, int dtype) {
    matrix m = {.v = malloc((size_t)n * sizeof(double)),
                .bytes = (size_t)n * taper_dtype_size((taper_dtype)dtype),
                .dtype = dtype,
                .n = n};
    char *host = malloc(m.bytes);
    for (int64_t i = 0; i < n; i++) {
        void *at = host + (size_t)i * (m.bytes / (size_t)n);
        taper__store_double(at, (taper_dtype)dtype, uniform());
        m.v[i] = taper__load_double(at, (taper_dtype)dtype);
    }
    if (taper__memory_alloc(&m.gpu, m.bytes, taper_cuda(0), "test") ||
        taper__memory_copy(m.gpu, taper_cuda(0), host, taper_cpu(), m.bytes, false))
        m.gpu = NULL;
    free(host);
    return m;
}
static void matrix_read(matrix *m) {
    char *host = malloc(m->bytes);
    if (taper__memory_copy(host, taper_cpu(), m->gpu, taper_cuda(0), m->bytes, false)) memset(host, 0x7f, m->bytes);
    for (int64_t i = 0; i < m->n; i++)
        m->v[i] = taper__load_double(host + (size_t)i * (m->bytes / (size_t)m->n), (taper_dtype)m->dtype);
    free(host);
}
static void matrix_end(matrix *m) {
    free(m->v);
    taper__memory_free(m->gpu, 0, taper_cuda(0));
}

static double gelu(double x) { return 0.5 * x * (1 + tanh(0.7978845608028654 * (x + 0.044715 * x * x * x))); }
static double gelu_slope(double x) {
    double u = 0.7978845608028654 * (x + 0.044715 * x * x * x), t = tanh(u);
    return 0.5 * (1 + t) + 0.5 * x * (1 - t * t) * 0.7978845608028654 * (1 + 3 * 0.044715 * x * x);
}

static double difference(const double *got, const double *want, int64_t n) {
    double d = 0, w = 0;
    for (int64_t i = 0; i < n; i++) d += (got[i] - want[i]) * (got[i] - want[i]), w += want[i] * want[i];
    return sqrt(d / (w > 0 ? w : 1));
}

static void check(const char *name, double error, double most) {
    if (error <= most)
        printf("ok blas_%s\n", name);
    else
        failed = 1, printf("not ok blas_%s: relative error %.3g, at most %.3g\n", name, error, most);
}

static void product(const char *name, int M, int N, int K, int batch, int da, int db, int dout, bool ta, bool tb,
                    bool tf32, taper_epilogue e, double beta, double most) {
    int64_t mn = (int64_t)M * N;
    matrix a = matrix_new((int64_t)M * K * batch, da), b = matrix_new((int64_t)K * N * batch, db),
           out = matrix_new(mn * batch, dout);
    matrix bias = matrix_new(N > M ? N : M, dout), aux = matrix_new(mn * batch, dout);
    double *want = malloc((size_t)(mn * batch) * sizeof *want), *sum = calloc((size_t)(N > M ? N : M), sizeof *sum),
           *want_aux = malloc((size_t)(mn * batch) * sizeof *want);
    double alpha = 0.5;
    for (int64_t z = 0; z < batch; z++)
        for (int64_t i = 0; i < M; i++)
            for (int64_t j = 0; j < N; j++) {
                double s = 0;
                const double *av = a.v + z * M * K, *bv = b.v + z * K * N;
                for (int64_t k = 0; k < K; k++) s += av[ta ? k * M + i : i * K + k] * bv[tb ? j * K + k : k * N + j];
                int64_t at = z * mn + i * N + j;
                double v = alpha * s + (beta != 0 ? beta * out.v[at] : 0);
                if (e == TAPER_EPILOGUE_BIAS || e == TAPER_EPILOGUE_RELU_BIAS || e == TAPER_EPILOGUE_GELU_AUX_BIAS ||
                    e == TAPER_EPILOGUE_GELU_BIAS)
                    v += bias.v[j];
                want_aux[at] = v;
                if (e == TAPER_EPILOGUE_RELU_BIAS || e == TAPER_EPILOGUE_RELU) v = v > 0 ? v : 0;
                if (e == TAPER_EPILOGUE_GELU_AUX_BIAS || e == TAPER_EPILOGUE_GELU_BIAS) v = gelu(v);
                if (e == TAPER_EPILOGUE_DGELU || e == TAPER_EPILOGUE_DGELU_BGRAD) v *= gelu_slope(aux.v[at]);
                if (e == TAPER_EPILOGUE_DGELU_BGRAD) sum[j] += v;
                want[at] = v;
            }
    if (e == TAPER_EPILOGUE_SUM_A)
        for (int64_t i = 0; i < M; i++)
            for (int64_t k = 0; k < K; k++) sum[i] += a.v[ta ? k * M + i : i * K + k];
    if (e == TAPER_EPILOGUE_SUM_B)
        for (int64_t j = 0; j < N; j++)
            for (int64_t k = 0; k < K; k++) sum[j] += b.v[tb ? j * K + k : k * N + j];
    bool has_aux = e & 128, has_bias = (e & 4) || e == TAPER_EPILOGUE_SUM_A || e == TAPER_EPILOGUE_SUM_B ||
                                       e == TAPER_EPILOGUE_DGELU_BGRAD;
    float *one = NULL, host_one = 1;
    bool fp8 = da == TAPER_F8_E4M3 || da == TAPER_F8_E5M2;
    if (fp8) {
        void *p = NULL;
        if (!taper__memory_alloc(&p, 4, taper_cuda(0), "scale"))
            taper__memory_copy(p, taper_cuda(0), &host_one, taper_cpu(), 4, false);
        one = p;
    }
    taper_gemm g = {.m = M,
                    .n = N,
                    .k = K,
                    .batch = batch,
                    .trans_a = ta,
                    .trans_b = tb,
                    .tf32 = tf32,
                    .dtype_a = (uint8_t)da,
                    .dtype_b = (uint8_t)db,
                    .dtype_out = (uint8_t)dout,
                    .epilogue = e,
                    .a = a.gpu,
                    .b = b.gpu,
                    .out = out.gpu,
                    .stride_a = (int64_t)M * K,
                    .stride_b = (int64_t)K * N,
                    .stride_out = mn,
                    .alpha = alpha,
                    .beta = beta,
                    .bias = has_bias ? bias.gpu : NULL,
                    .aux = has_aux ? aux.gpu : NULL,
                    .stride_aux = mn,
                    .scale_a = one,
                    .scale_b = one};
    taper_status st = taper__cublaslt_matmul(&g, 0, "matmul");
    if (st)
        failed = 1, printf("not ok blas_%s: %s\n", name, taper_error_message());
    else {
        char more[100];
        matrix_read(&out);
        check(name, difference(out.v, want, mn * batch), most);
        snprintf(more, sizeof more, "%s_second_result", name);
        if (e == TAPER_EPILOGUE_GELU_AUX_BIAS)
            matrix_read(&aux), check(more, difference(aux.v, want_aux, mn * batch), most);
        if (e == TAPER_EPILOGUE_SUM_A || e == TAPER_EPILOGUE_SUM_B || e == TAPER_EPILOGUE_DGELU_BGRAD)
            matrix_read(&bias), check(more, difference(bias.v, sum, e == TAPER_EPILOGUE_SUM_A ? M : N), most);
    }
    matrix_end(&a), matrix_end(&b), matrix_end(&out), matrix_end(&bias), matrix_end(&aux);
    taper__memory_free(one, 0, taper_cuda(0));
    free(want), free(sum), free(want_aux);
}

static int compare_float(const void *a, const void *b) {
    return (*(const float *)a > *(const float *)b) - (*(const float *)a < *(const float *)b);
}

static void rate(const char *name, int n, int dtype, int dout, bool tb, bool tf32) {
    enum { ROUNDS = 20 };
    size_t bytes = taper_dtype_size((taper_dtype)dtype), count = (size_t)n * (size_t)n;
    void *a = NULL, *b = NULL, *out = NULL, *host = malloc(count * bytes);
    for (size_t i = 0; i < count; i++) {
        if (i < 1000003)
            taper__store_double((char *)host + i * bytes, (taper_dtype)dtype, uniform());
        else
            memcpy((char *)host + i * bytes, (char *)host + (i - 1000003) * bytes, bytes);
    }
    taper__memory_alloc(&a, count * bytes, taper_cuda(0), "a"),
        taper__memory_alloc(&b, count * bytes, taper_cuda(0), "b");
    taper__memory_alloc(&out, count * taper_dtype_size((taper_dtype)dout), taper_cuda(0), "out");
    taper__memory_copy(a, taper_cuda(0), host, taper_cpu(), count * bytes, false),
        taper__memory_copy(b, taper_cuda(0), host, taper_cpu(), count * bytes, false);
    taper_gemm g = {.m = n,
                    .n = n,
                    .k = n,
                    .trans_b = tb,
                    .tf32 = tf32,
                    .dtype_a = (uint8_t)dtype,
                    .dtype_b = (uint8_t)dtype,
                    .dtype_out = (uint8_t)dout,
                    .a = a,
                    .b = b,
                    .out = out,
                    .alpha = 1,
                    .fast_accumulate = bytes == 1};
    taper_cuda_event *e[ROUNDS + 1];
    for (int i = 0; i <= ROUNDS; i++) taper_cuda_event_new(&e[i], true, false);
    taper_status st = 0;
    for (int i = 0; i < 5 && !st; i++) st = taper__cublaslt_matmul(&g, 0, "matmul");
    taper_cuda_event_record(e[0], NULL);
    for (int i = 0; i < ROUNDS && !st; i++)
        st = taper__cublaslt_matmul(&g, 0, "matmul"), taper_cuda_event_record(e[i + 1], NULL);
    taper_cuda_synchronize(0);
    float ms[ROUNDS] = {0};
    for (int i = 0; i < ROUNDS; i++) taper_cuda_event_elapsed(&ms[i], e[i], e[i + 1]), taper_cuda_event_release(e[i]);
    taper_cuda_event_release(e[ROUNDS]);
    qsort(ms, ROUNDS, sizeof *ms, compare_float);
    if (st)
        printf("# %s: %s\n", name, taper_error_message());
    else
        printf("# gemm %d %s: %.0f TFLOP/s (median of %d)\n", n, name,
               2e-9 * n * (double)n * n / (double)ms[ROUNDS / 2], ROUNDS);
    taper__memory_free(a, 0, taper_cuda(0)), taper__memory_free(b, 0, taper_cuda(0)),
        taper__memory_free(out, 0, taper_cuda(0)), free(host);
}

int main(void) {
    char why[600];
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (!taper__cublaslt_available(why, sizeof why)) return printf("ok blas_skipped # %s\n", why), 0;
    double t0 = seconds();
    product("f32", 129, 77, 201, 1, TAPER_F32, TAPER_F32, TAPER_F32, false, false, false, 0, 0, 1e-6);
    printf("# cuBLASLt %d, first product after %.0f ms\n", taper__cublaslt_version(), (seconds() - t0) * 1e3);
    product("f32_beta_tn", 129, 77, 201, 1, TAPER_F32, TAPER_F32, TAPER_F32, true, false, false, 0, 2, 1e-6);
    product("f32_nt_batch", 33, 65, 50, 7, TAPER_F32, TAPER_F32, TAPER_F32, false, true, false, 0, 0, 1e-6);
    product("tf32", 128, 96, 160, 1, TAPER_F32, TAPER_F32, TAPER_F32, false, true, true, 0, 0, 1e-3);
    product("f64", 57, 31, 83, 2, TAPER_F64, TAPER_F64, TAPER_F64, true, true, false, 0, -1, 1e-14);
    product("f16", 128, 96, 160, 1, TAPER_F16, TAPER_F16, TAPER_F16, false, false, false, 0, 0, 1e-3);
    product("bf16", 128, 96, 160, 3, TAPER_BF16, TAPER_BF16, TAPER_BF16, false, true, false, 0, 0, 4e-3);
    product("bf16_odd", 37, 29, 51, 1, TAPER_BF16, TAPER_BF16, TAPER_BF16, true, false, false, 0, 1, 4e-3);
    product("bf16_to_f32", 128, 96, 160, 1, TAPER_BF16, TAPER_BF16, TAPER_F32, false, true, false, 0, 1, 1e-5);
    product("bf16_bias", 128, 96, 160, 1, TAPER_BF16, TAPER_BF16, TAPER_BF16, false, true, false, TAPER_EPILOGUE_BIAS,
            0, 4e-3);
    product("f32_bias", 128, 96, 160, 1, TAPER_F32, TAPER_F32, TAPER_F32, false, true, false, TAPER_EPILOGUE_BIAS, 0,
            1e-6);
    product("f16_relu_bias", 128, 96, 160, 1, TAPER_F16, TAPER_F16, TAPER_F16, false, true, false,
            TAPER_EPILOGUE_RELU_BIAS, 0, 1e-3);
    product("bf16_gelu_aux_bias", 128, 96, 160, 1, TAPER_BF16, TAPER_BF16, TAPER_BF16, false, true, false,
            TAPER_EPILOGUE_GELU_AUX_BIAS, 0, 6e-3);
    product("bf16_dgelu", 128, 96, 160, 1, TAPER_BF16, TAPER_BF16, TAPER_BF16, false, false, false,
            TAPER_EPILOGUE_DGELU, 0, 6e-3);
    product("bf16_dgelu_bgrad", 128, 96, 160, 1, TAPER_BF16, TAPER_BF16, TAPER_BF16, false, false, false,
            TAPER_EPILOGUE_DGELU_BGRAD, 0, 6e-3);
    product("bf16_sum_a", 128, 96, 160, 1, TAPER_BF16, TAPER_BF16, TAPER_BF16, true, false, false, TAPER_EPILOGUE_SUM_A,
            0, 6e-3);
    product("bf16_sum_b", 128, 96, 160, 1, TAPER_BF16, TAPER_BF16, TAPER_BF16, true, false, false, TAPER_EPILOGUE_SUM_B,
            0, 6e-3);
    if (taper__cuda_capability(0) >= 89)
        product("fp8", 128, 96, 160, 1, TAPER_F8_E4M3, TAPER_F8_E4M3, TAPER_BF16, false, true, false, 0, 0, 4e-3);
    void *p = NULL;
    taper__memory_alloc(&p, 3 * 4096, taper_cuda(0), "price");
    char *q = p;
    taper_gemm g = {.m = 16,
                    .n = 16,
                    .k = 16,
                    .dtype_a = TAPER_F32,
                    .dtype_b = TAPER_F32,
                    .dtype_out = TAPER_F32,
                    .a = q,
                    .b = q + 4096,
                    .out = q + 8192,
                    .alpha = 1};
    double best = 1;
    for (int r = 0; r < 20; r++) {
        taper_cuda_synchronize(0);
        t0 = seconds();
        for (int i = 0; i < 200; i++) taper__cublaslt_matmul(&g, 0, "matmul");
        if ((seconds() - t0) / 200 < best) best = (seconds() - t0) / 200;
    }
    printf("# small product, host cost: %.2f us\n", best * 1e6);
    taper_cuda_synchronize(0);
    taper__memory_free(p, 0, taper_cuda(0));
    rate("bf16", 8192, TAPER_BF16, TAPER_BF16, true, false);
    rate("bf16 nn", 8192, TAPER_BF16, TAPER_BF16, false, false);
    rate("f16", 8192, TAPER_F16, TAPER_F16, true, false);
    rate("tf32", 8192, TAPER_F32, TAPER_F32, true, true);
    rate("f32", 4096, TAPER_F32, TAPER_F32, true, false);
    if (taper__cuda_capability(0) >= 89) rate("fp8", 8192, TAPER_F8_E4M3, TAPER_BF16, true, false);
    return failed;
}
