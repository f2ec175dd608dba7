/* taper bench gemm on a GPU: square products by dtype, timed by events. */
#include <stdio.h>
#include <stdlib.h>
#include <taper/autograd.h>
#include <taper/cuda.h>
#include <taper/nn.h>
#include <taper/ops.h>

#include "cli/cli.h"

enum { GEMM_WARM = 3, GEMM_RUNS = 9 };

static int gemm_compare(const void *a, const void *b) {
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

/* Median milliseconds of a b; short products repeat inside of one measurement. */
static taper_status gemm_time(double *ms, taper_tensor *a, taper_tensor *b, int repeat) {
    taper_cuda_event *e[2] = {NULL};
    float times[GEMM_RUNS] = {0};
    taper_status status = taper_cuda_event_new(&e[0], true, false);
    if (status == TAPER_OK) status = taper_cuda_event_new(&e[1], true, false);
    for (int i = -GEMM_WARM; i < GEMM_RUNS && status == TAPER_OK; i++) {
        status = taper_cuda_event_record(e[0], NULL);
        for (int j = 0; j < repeat && status == TAPER_OK; j++) {
            taper_tensor *c = NULL;
            status = taper_mm(&c, a, b);
            taper_tensor_release(c);
        }
        if (status == TAPER_OK) status = taper_cuda_event_record(e[1], NULL);
        if (status == TAPER_OK) status = taper_cuda_event_synchronize(e[1]);
        if (status == TAPER_OK && i >= 0) status = taper_cuda_event_elapsed(&times[i], e[0], e[1]);
    }
    qsort(times, GEMM_RUNS, sizeof *times, gemm_compare);
    *ms = times[GEMM_RUNS / 2] / repeat;
    taper_cuda_event_release(e[0]);
    taper_cuda_event_release(e[1]);
    return status;
}

/* Normal numbers: the power that a product draws, and so its clock, depends on the data. */
static taper_status gemm_operand(taper_tensor **out, int64_t n, taper_dtype dtype, taper_device device) {
    taper_params p = TAPER_PARAMS;
    taper_tensor *t = NULL;
    taper_status status = taper_param_normal(&t, &p, "", "t", device, 1, 2, (int64_t[]){n, n});
    bool was = taper_set_grad_enabled(false);
    if (status == TAPER_OK) status = taper_to(out, t, NULL, dtype, false, true);
    taper_set_grad_enabled(was);
    taper_params_release(&p);
    return status;
}

taper_status bench_gemm_cuda(taper_device device, bool quick) {
    static const int64_t sizes[] = {1024, 4096, 1000, 2048, 8192};
    static const struct { const char *name; taper_dtype dtype; } rows[] = {{"fp32", TAPER_F32}, {"bf16", TAPER_BF16}, {"fp16", TAPER_F16}};
    taper_cuda_properties gpu = {.size = sizeof gpu};
    taper_status status = taper_cuda_get_properties(&gpu, device.index);
    for (int i = 0; i < (quick ? 2 : 5); i++)
        for (int j = 0; j < 3 && status == TAPER_OK; j++) {
            taper_tensor *a = NULL, *b = NULL;
            double ms = 0, n = (double)sizes[i];
            status = gemm_operand(&a, sizes[i], rows[j].dtype, device);
            if (status == TAPER_OK) status = gemm_operand(&b, sizes[i], rows[j].dtype, device);
            if (status == TAPER_OK) status = gemm_time(&ms, a, b, sizes[i] <= 2048 ? 20 : 1);
            if (status == TAPER_OK)
                printf("{\"workload\": \"gemm\", \"variant\": \"%s/%lld\", \"figure\": \"rate\", \"value\": %.4f, \"unit\": \"TFLOP/s\", \"device\": \"%s\", "
                       "\"taper\": \"%s\", \"ms\": %.4f}\n", rows[j].name, (long long)sizes[i], 2 * n * n * n / ms / 1e9, gpu.name, TAPER_VERSION, ms);
            fflush(stdout);
            taper_tensor_release(a);
            taper_tensor_release(b);
        }
    return status;
}
