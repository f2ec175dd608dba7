/* Matrix products: the right numbers, their speed by dtype, and what TF32 does to both. */
#include <math.h>
#include <stdio.h>

#include <taper/cuda.h>
#include <taper/ops.h>
#include <taper/scope.h>

#include "verify/verify.h"

typedef struct products {
    taper_tensor *a, *b;
} products;

static taper_status products_step(void *ctx) {
    products *p = ctx;
    taper_tensor *c = NULL;
    taper_status st = taper_mm(&c, p->a, p->b);
    taper_tensor_release(c);
    return st;
}

static void products_end(products *p) {
    taper_tensor_release(p->a);
    taper_tensor_release(p->b);
    *p = (products){NULL, NULL};
}

static taper_status products_begin(products *p, int64_t n, taper_dtype dtype, taper_device device) {
    taper_status st = verify_normal(&p->a, n, n, dtype, device);
    if (st == TAPER_OK) st = verify_normal(&p->b, n, n, dtype, device);
    if (st != TAPER_OK) products_end(p);
    return st;
}

/* c on the device, in float32 there, against the product in float64 on the CPU. */
static taper_status products_error(double *error, double *norm, int64_t n, taper_dtype dtype, taper_device device) {
    taper_scope s = TAPER_SCOPE;
    taper_device cpu = taper_cpu();
    products p = {NULL, NULL};
    taper_manual_seed(1);
    taper_status st = products_begin(&p, n, dtype, device);
    taper_tensor *a = tx_to(&s, p.a, &cpu, TAPER_F64, false, false), *b = tx_to(&s, p.b, &cpu, TAPER_F64, false, false);
    taper_tensor *want = tx_to(&s, tx_mm(&s, a, b), &cpu, TAPER_F32, false, false);
    taper_tensor *got = st == TAPER_OK ? tx_to(&s, tx_mm(&s, p.a, p.b), &cpu, TAPER_F32, false, false) : NULL;
    if (st == TAPER_OK) st = s.status;
    if (st == TAPER_OK) st = verify_difference(error, got, want);
    taper_tensor *square = st == TAPER_OK ? tx_sum(&s, tx_mul(&s, got, got), NULL, 0, false, TAPER_F64) : NULL;
    if (st == TAPER_OK && norm && (st = s.status) == TAPER_OK) st = taper_tensor_item_double(square, norm);
    if (norm) *norm = sqrt(*norm);
    products_end(&p);
    taper_scope_end(&s);
    return st;
}

static taper_status products_speed(verify_run *r, double *tflops, const char *name, int64_t n, taper_dtype dtype, double expected) {
    double samples[VERIFY_SAMPLES], work = 2e-12 * (double)n * (double)n * (double)n;
    int count = 0;
    products p = {NULL, NULL};
    taper_status st = products_begin(&p, n, dtype, r->device);
    if (st == TAPER_OK) st = verify_time(r, products_step, &p, 0.25, samples, &count);
    products_end(&p);
    for (int i = 0; i < count; i++) samples[i] = work / samples[i];
    if (st == TAPER_OK) *tflops = verify_measured(r, name, "TFLOP/s", 1, samples, count, expected);
    return st;
}

/* The article's product: 1000 x 1000, then its norm, and the same against float64. */
taper_status verify_matmul(verify_run *r) {
    static const struct { taper_dtype dtype; const char *name; double limit; } rows[] = {{TAPER_F32, "float32", 1e-4}, {TAPER_BF16, "bfloat16", 4e-2}, {TAPER_F16, "float16", 8e-3}};
    double error[3] = {0}, norm = 0;
    for (int i = 0; i < 3; i++) {
        char name[VERIFY_NAME];
        TAPER_TRY(products_error(&error[i], i ? NULL : &norm, i && r->device.type == TAPER_CPU ? 256 : 1000, rows[i].dtype, r->device));
        snprintf(name, sizeof name, "error_%s", rows[i].name);
        verify_value(r, name, "rms", 0, error[i]);
        if (!(error[i] <= rows[i].limit)) verify_set(r, VERIFY_FAIL);
    }
    if (!(fabs(norm - 31623) < 300)) verify_set(r, VERIFY_FAIL); /* sqrt(1000^3), within a few of its deviations */
    verify_say(r, "1000 x 1000: norm %.1f; largest error against float64 on the CPU %.1e (float32), %.1e (bfloat16), %.1e (float16) of the typical element%s%.0s",
               "1000 x 1000: 范数 %.1f; 与 CPU float64 相比的最大误差 (相对典型元素): float32 %.1e, bfloat16 %.1e, float16 %.1e%.0s%s", norm, error[0], error[1], error[2],
               VERIFY_WORD(r->state == VERIFY_FAIL, " - WRONG", " - 错误", "", ""));
    return TAPER_OK;
}

taper_status verify_speed(verify_run *r) {
    static const struct { taper_dtype dtype; const char *name, *column; } rows[] = {{TAPER_F32, "float32", "fp32"}, {TAPER_BF16, "bfloat16", "bf16"}, {TAPER_F16, "float16", "fp16"}};
    static const double sizes_gpu[] = {1024, 2048, 4096, 8192}, sizes_cpu[] = {128, 256, 512};
    bool gpu = r->device.type == TAPER_CUDA;
    const double *sizes = gpu ? sizes_gpu : sizes_cpu;
    int count = gpu ? 4 : 3;
    double best[3] = {0}, peak[3] = {0};
    for (int i = 0; i < (gpu ? 3 : 1); i++) {
        double speeds[4] = {0};
        peak[i] = verify_part(r->device, rows[i].column);
        for (int k = 0; k < count; k++) {
            char name[VERIFY_NAME];
            snprintf(name, sizeof name, "%s_%d", rows[i].name, (int)sizes[k]);
            TAPER_TRY(products_speed(r, &speeds[k], name, (int64_t)sizes[k], rows[i].dtype, peak[i]));
            if (speeds[k] > best[i]) best[i] = speeds[k];
        }
        verify_points(r, rows[i].name, "size", "TFLOP/s", sizes, speeds, count);
        if (peak[i] > 0 && best[i] < 0.45 * peak[i]) verify_set(r, VERIFY_SLOW);
    }
    if (!gpu) {
        verify_say(r, "float32 512 x 512: %.3f TFLOP/s", "float32 512 x 512: %.3f TFLOP/s", best[0]);
    } else if (peak[0] > 0) {
        verify_say(r, "float32 %.1f TFLOP/s (%.0f %% of %.0f), bfloat16 %.0f (%.0f %% of %.0f), float16 %.0f (%.0f %% of %.0f)",
                   "float32 %.1f TFLOP/s (%.0f %%, 标称 %.0f), bfloat16 %.0f (%.0f %%, 标称 %.0f), float16 %.0f (%.0f %%, 标称 %.0f)", best[0], 100 * best[0] / peak[0], peak[0],
                   best[1], 100 * best[1] / peak[1], peak[1], best[2], 100 * best[2] / peak[2], peak[2]);
    } else {
        verify_say(r, "float32 %.1f TFLOP/s, bfloat16 %.0f, float16 %.0f; what this part should do is not known", "float32 %.1f TFLOP/s, bfloat16 %.0f, float16 %.0f; 该型号的标称值未知", best[0],
                   best[1], best[2]);
    }
    return TAPER_OK;
}

taper_status verify_tf32(verify_run *r) {
    double speed[2] = {0}, error[2] = {0}, peak[2] = {verify_part(r->device, "fp32"), verify_part(r->device, "tf32")};
    taper_cuda_properties gpu = {.size = sizeof gpu};
    TAPER_TRY(taper_cuda_get_properties(&gpu, r->device.index));
    bool was = taper_cuda_set_matmul_tf32(false);
    taper_status st = TAPER_OK;
    for (int on = 0; on < 2 && st == TAPER_OK; on++) {
        taper_cuda_set_matmul_tf32(on);
        st = products_error(&error[on], NULL, 1024, TAPER_F32, r->device);
        if (st == TAPER_OK) st = products_speed(r, &speed[on], on ? "tf32_4096" : "float32_4096", 4096, TAPER_F32, peak[on]);
    }
    taper_cuda_set_matmul_tf32(was);
    TAPER_TRY(st);
    verify_value(r, "error_float32", "rms", 0, error[0]);
    verify_value(r, "error_tf32", "rms", 0, error[1]);
    double gain = speed[1] / speed[0];
    bool blas = verify_has_provider("cuBLASLt");
    if (!(error[0] <= 1e-4) || !(error[1] <= 1e-2)) verify_set(r, VERIFY_FAIL);
    if (!blas || gpu.major < 8) {
        verify_set(r, r->state == VERIFY_FAIL ? VERIFY_FAIL : VERIFY_SKIP);
        if (gpu.major < 8) verify_say(r, "compute capability %d.%d has no TF32 (8.0 and newer have)", "计算能力 %d.%d 没有 TF32 (8.0 起才有)", gpu.major, gpu.minor);
        else verify_say(r, "no cuBLASLt here (taper version -v says why): products stay in float32", "这里没有 cuBLASLt (原因见 taper version -v): 矩阵乘保持 float32");
        return TAPER_OK;
    }
    if (error[1] < 3 * error[0] && gain < 1.2) verify_set(r, VERIFY_FAIL); /* the switch does nothing */
    else if (gain < 1.2 || (peak[1] > 0 && speed[1] < 0.4 * peak[1])) verify_set(r, VERIFY_SLOW);
    verify_say(r, "off %.1f TFLOP/s, error %.1e; on %.1f TFLOP/s, error %.1e: %.1f times as fast; %s%.0s", "关闭 %.1f TFLOP/s, 误差 %.1e; 打开 %.1f TFLOP/s, 误差 %.1e: 快 %.1f 倍; %.0s%s",
               speed[0], error[0], speed[1], error[1], gain, VERIFY_WORD(was, "on by default", "默认打开", "off by default", "默认关闭"));
    return TAPER_OK;
}
