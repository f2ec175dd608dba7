/* taper bench gpt2 on a GPU: training steps of GPT-2 124M, 32 x 1024 random tokens, computed in bfloat16 with float32
 * parameters and AdamW, timed by events; then where the time of a step goes. */
#include <stdio.h>
#include <stdlib.h>
#include <taper/autograd.h>
#include <taper/cuda.h>
#include <taper/ops.h>
#include <taper/optim.h>
#include <time.h>

#include "cli/cli.h"

enum { GPT2_RUNS = 12, GPT2_WARM = 3 };

typedef struct gpt2_run {
    taper_device device;
    int64_t batch, time;
    taper_nn_gpt model;
    taper_params params;
    taper_optimizer *optimizer;
    taper_tensor *index, *target;
} gpt2_run;

static double gpt2_seconds(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int gpt2_compare(const void *a, const void *b) {
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

static taper_status gpt2_tokens(taper_tensor **out, const gpt2_run *g, uint64_t state) {
    int64_t n = g->batch * g->time, shape[2] = {g->batch, g->time}, *data = malloc(sizeof *data * (size_t)n);
    taper_tensor *host = NULL;
    if (!data) return taper_fail(TAPER_MEMORY, __FILE__, __LINE__, "bench: no memory for %lld tokens", (long long)n);
    for (int64_t i = 0; i < n; i++) {
        state ^= state << 13, state ^= state >> 7, state ^= state << 17;
        data[i] = (int64_t)(state % (uint64_t)g->model.vocabulary);
    }
    taper_status status = taper_tensor_from_data(&host, data, TAPER_I64, 2, shape);
    if (status == TAPER_OK) status = taper_to(out, host, &g->device, TAPER_DTYPE_NONE, false, false);
    taper_tensor_release(host);
    free(data);
    return status;
}

static taper_status gpt2_step(gpt2_run *g, taper_tensor **kept) {
    taper_scope s = TAPER_SCOPE;
    taper_tensor *loss = taper_nn_gpt_loss(&s, &g->model, g->index, g->target);
    if (s.status == TAPER_OK) s.status = taper_params_zero_grad(&g->params);
    if (s.status == TAPER_OK) s.status = taper_backward(&loss, NULL, 1, false, false);
    if (s.status == TAPER_OK) s.status = taper_optimizer_step(g->optimizer);
    if (s.status == TAPER_OK && kept) *kept = taper_scope_keep(&s, loss);
    return taper_scope_end(&s);
}

static taper_status gpt2_first(gpt2_run *g, double *seconds, double *loss) {
    taper_tensor *kept = NULL;
    double begin = gpt2_seconds();
    taper_status status = gpt2_step(g, &kept);
    if (status == TAPER_OK) status = taper_tensor_item_double(kept, loss); /* waits */
    *seconds = gpt2_seconds() - begin;
    taper_tensor_release(kept);
    return status;
}

static taper_status gpt2_median(gpt2_run *g, int runs, double *ms) {
    taper_cuda_event *e[2] = {NULL};
    float times[GPT2_RUNS] = {0};
    taper_status status = taper_cuda_event_new(&e[0], true, false);
    if (status == TAPER_OK) status = taper_cuda_event_new(&e[1], true, false);
    for (int i = -GPT2_WARM; i < runs && status == TAPER_OK; i++) {
        status = taper_cuda_event_record(e[0], NULL);
        if (status == TAPER_OK) status = gpt2_step(g, NULL);
        if (status == TAPER_OK) status = taper_cuda_event_record(e[1], NULL);
        if (status == TAPER_OK) status = taper_cuda_event_synchronize(e[1]);
        if (status == TAPER_OK && i >= 0) status = taper_cuda_event_elapsed(&times[i], e[0], e[1]);
    }
    qsort(times, (size_t)runs, sizeof *times, gpt2_compare);
    *ms = times[runs / 2];
    taper_cuda_event_release(e[0]);
    taper_cuda_event_release(e[1]);
    return status;
}

static taper_status gpt2_measure(gpt2_run *g, bool quick) {
    double first = 0, loss = 0, last = 0, ms = 0, unused = 0;
    taper_adamw_options options = TAPER_ADAMW_OPTIONS;
    options.lr = 3e-4;
    taper_status status = taper_nn_gpt_init(&g->model, &g->params, g->device);
    if (status == TAPER_OK) status = gpt2_tokens(&g->index, g, 88172645463325252u);
    if (status == TAPER_OK) status = gpt2_tokens(&g->target, g, 362436069362436069u);
    if (status == TAPER_OK) status = taper_adamw_new(&g->optimizer, &g->params, options);
    if (status == TAPER_OK) status = taper_optimizer_keep_copies(g->optimizer, TAPER_BF16);
    if (status == TAPER_OK) status = gpt2_first(g, &first, &loss);
    if (status == TAPER_OK) status = taper_memory_reset_peak(g->device);
    if (status == TAPER_OK) status = gpt2_median(g, quick ? 5 : GPT2_RUNS, &ms);
    taper_memory_stats memory = {0};
    if (status == TAPER_OK) status = taper_memory_get_stats(&memory, g->device);
    if (status == TAPER_OK) status = gpt2_first(g, &unused, &last);
    if (status != TAPER_OK) return status;
    double tokens = (double)(g->batch * g->time), width = (double)g->model.width;
    double flops = 6.0 * (double)taper_params_numel(&g->params) * tokens + 12.0 * (double)g->model.layers * width * (double)g->time * tokens;
    taper_cuda_properties gpu = {.size = sizeof gpu};
    status = taper_cuda_get_properties(&gpu, g->device.index);
    printf("{\"workload\": \"gpt2\", \"variant\": \"eager\", \"figure\": \"throughput\", \"value\": %.1f, \"unit\": \"tokens/s\", \"device\": \"%s\", "
           "\"taper\": \"%s\", \"model\": \"gpt2-124M\", \"batch\": %lld, \"ctx\": %lld, \"ms\": %.3f, \"tflops\": %.1f, \"first_step_s\": %.2f, "
           "\"peak_mib\": %.0f, \"loss_first\": %.4f, \"loss_last\": %.4f}\n", tokens / ms * 1e3, gpu.name, TAPER_VERSION, (long long)g->batch,
           (long long)g->time, ms, flops / ms / 1e9, first, (double)memory.peak_allocated / 0x1p20, loss, last);
    fflush(stdout);
    static char table[16384];
    if (status == TAPER_OK) status = taper_cuda_times(table, sizeof table, 0); /* forgets what ran so far */
    if (status == TAPER_OK) status = gpt2_step(g, NULL);
    if (status == TAPER_OK) status = taper_cuda_times(table, sizeof table, 60);
    fputs(table, stderr);
    return status;
}

taper_status bench_gpt2_cuda(taper_device device, bool quick) {
    gpt2_run g = {.device = device, .batch = 32, .time = 1024, .params = TAPER_PARAMS,
                  .model = {.layers = 12, .width = 768, .heads = 12, .vocabulary = 50304, .context = 1024, .half = true}};
    taper_status status = gpt2_measure(&g, quick);
    taper_tensor_release(g.index);
    taper_tensor_release(g.target);
    taper_optimizer_release(g.optimizer);
    taper_params_release(&g.params);
    return status;
}
