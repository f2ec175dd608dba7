/* taper bench: one JSON line for each figure, in the form of the PyTorch side of bench/run.py. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <taper/autograd.h>
#include <taper/ops.h>
#include <taper/optim.h>
#include <time.h>
#include <unistd.h>

#include "cli/cli.h"

typedef struct bench {
    taper_device device;
    bool quick;
    taper_scope s;
    taper_tensor *a, *b, *c;
    taper_params params;
    taper_nn_linear l1, l2;
    taper_nn_gpt gpt;
    taper_optimizer *optimizer;
} bench;

typedef taper_status (*bench_step)(bench *b);

static double bench_seconds(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int bench_compare(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Median seconds of step(), the GPU waited for each time. */
static taper_status bench_median(bench *b, bench_step step, int warm, int runs, double *seconds) {
    double times[64];
    for (int i = -warm; i < runs; i++) {
        double begin = bench_seconds();
        taper_status status = step(b);
        if (status == TAPER_OK && b->device.type == TAPER_CUDA) status = taper_cuda_synchronize(-1);
        if (status != TAPER_OK) return status;
        if (i >= 0) times[i] = bench_seconds() - begin;
    }
    qsort(times, (size_t)runs, sizeof *times, bench_compare);
    *seconds = times[runs / 2];
    return TAPER_OK;
}

static void bench_emit(const bench *b, const char *workload, const char *variant, const char *figure, double value, const char *unit) {
    taper_cuda_properties gpu = {.size = sizeof gpu};
    bool cuda = b->device.type == TAPER_CUDA && taper_cuda_get_properties(&gpu, -1) == TAPER_OK;
    printf("{\"workload\": \"%s\", \"variant\": \"%s\", \"figure\": \"%s\", \"value\": %.4f, \"unit\": \"%s\", \"device\": \"%s\", "
           "\"taper\": \"%s\"}\n", workload, variant, figure, value, unit, cuda ? gpu.name : "cpu", TAPER_VERSION);
    fflush(stdout);
}

/* Owned by the scope of b. */
static taper_tensor *bench_random(bench *b, int64_t rows, int64_t columns) {
    taper_params p = TAPER_PARAMS;
    taper_tensor *t = NULL, *plain = NULL;
    taper_status status = taper_param_normal(&t, &p, "", "t", b->device, 1, 2, (int64_t[]){rows, columns});
    if (status == TAPER_OK) status = taper_detach(&plain, t);
    taper_params_release(&p);
    if (b->s.status == TAPER_OK) b->s.status = status;
    return taper_scope_own(&b->s, plain);
}

static taper_status bench_mm(bench *b) {
    taper_scope s = TAPER_SCOPE;
    tx_mm(&s, b->a, b->b);
    return taper_scope_end(&s);
}
static taper_status bench_gemm(bench *b) {
    int64_t sizes[] = {1024, 2048, 4096};
    if (b->device.type == TAPER_CUDA) return bench_gemm_cuda(b->device, b->quick);
    for (int i = 0; i < (b->quick ? 1 : 3); i++) {
        char name[32];
        double t = 0, n = (double)sizes[i];
        b->a = bench_random(b, sizes[i], sizes[i]);
        b->b = bench_random(b, sizes[i], sizes[i]);
        if (b->s.status == TAPER_OK) b->s.status = bench_median(b, bench_mm, 2, 7, &t);
        if (b->s.status != TAPER_OK) return b->s.status;
        snprintf(name, sizeof name, "fp32/%d", (int)sizes[i]);
        bench_emit(b, "gemm", name, "rate", 2 * n * n * n / t / 1e12, "TFLOP/s");
    }
    return TAPER_OK;
}

static taper_status bench_adds(bench *b) {
    for (int i = 0; i < 2000; i++) {
        taper_scope s = TAPER_SCOPE;
        tx_add(&s, b->a, b->b, taper_int(1));
        if (taper_scope_end(&s) != TAPER_OK) return s.status;
    }
    return TAPER_OK;
}
static taper_status bench_adds_in_place(bench *b) {
    taper_status status = TAPER_OK;
    for (int i = 0; i < 2000 && status == TAPER_OK; i++) status = taper_add_(b->a, b->b, taper_int(1));
    return status;
}
static taper_status bench_overhead(bench *b) {
    double t = 0;
    b->a = bench_random(b, 1, 1);
    b->b = bench_random(b, 1, 1);
    if (b->s.status != TAPER_OK) return b->s.status;
    taper_status status = bench_median(b, bench_adds, 3, 7, &t);
    if (status == TAPER_OK) bench_emit(b, "overhead", "c/add", "per_op", t / 2000 * 1e6, "us");
    if (status == TAPER_OK) status = bench_median(b, bench_adds_in_place, 3, 7, &t);
    if (status == TAPER_OK) bench_emit(b, "overhead", "c/add_", "per_op", t / 2000 * 1e6, "us");
    return status;
}

static taper_status bench_clone(bench *b) {
    taper_scope s = TAPER_SCOPE;
    tx_clone(&s, b->a);
    return taper_scope_end(&s);
}
static taper_status bench_softmax(bench *b) {
    taper_scope s = TAPER_SCOPE;
    tx_softmax(&s, b->a, 1, TAPER_DTYPE_NONE);
    return taper_scope_end(&s);
}
static taper_status bench_norm(bench *b) {
    taper_scope s = TAPER_SCOPE;
    tx_layer_norm(&s, b->a, &(int64_t){4096}, 1, b->b, b->c, 1e-5);
    return taper_scope_end(&s);
}
static taper_status bench_pointwise(bench *b) {
    const struct { const char *name; bench_step step; } rows[] = {
        {"copy/eager", bench_clone}, {"softmax/eager", bench_softmax}, {"layer_norm/eager", bench_norm}};
    b->a = bench_random(b, 4096, 4096);
    b->b = tx_full(&b->s, &(int64_t){4096}, 1, taper_float(1), TAPER_F32, &b->device);
    b->c = tx_full(&b->s, &(int64_t){4096}, 1, taper_float(0), TAPER_F32, &b->device);
    for (int i = 0; i < 3 && b->s.status == TAPER_OK; i++) {
        double t = 0;
        b->s.status = bench_median(b, rows[i].step, 3, 11, &t);
        if (b->s.status == TAPER_OK) bench_emit(b, "pointwise", rows[i].name, "bandwidth", 2 * 4 * 0x1p24 / t / 1e9, "GB/s");
    }
    return b->s.status;
}

static taper_status bench_learn(bench *b, taper_scope *s, taper_tensor *loss) {
    if (s->status == TAPER_OK) s->status = taper_params_zero_grad(&b->params);
    if (s->status == TAPER_OK) s->status = taper_backward(&loss, NULL, 1, false, false);
    if (s->status == TAPER_OK) s->status = taper_optimizer_step(b->optimizer);
    return taper_scope_end(s);
}
static taper_tensor *bench_classes(bench *b, int64_t rows, int64_t columns, int64_t below) {
    taper_tensor *host = NULL;
    int64_t n = rows * (columns ? columns : 1), shape[] = {rows, columns}, *data = malloc(sizeof *data * (size_t)n);
    for (int64_t i = 0; data && i < n; i++) data[i] = i * 7919 % below;
    if (b->s.status == TAPER_OK && data) b->s.status = taper_tensor_from_data(&host, data, TAPER_I64, columns ? 2 : 1, shape);
    free(data);
    return tx_to(&b->s, taper_scope_own(&b->s, host), &b->device, TAPER_DTYPE_NONE, false, false);
}

static taper_status bench_gpt_step(bench *b) {
    taper_scope s = TAPER_SCOPE;
    taper_tensor *loss = taper_nn_gpt_loss(&s, &b->gpt, b->a, b->b);
    return bench_learn(b, &s, loss);
}
static taper_status bench_gpt2(bench *b) {
    double t = 0;
    if (b->device.type == TAPER_CUDA) return bench_gpt2_cuda(b->device, b->quick);
    b->gpt = (taper_nn_gpt){.layers = 4, .width = 128, .heads = 4, .vocabulary = 256, .context = 128};
    b->a = bench_classes(b, 8, 128, 256);
    b->b = bench_classes(b, 8, 128, 256);
    if (b->s.status == TAPER_OK) b->s.status = taper_nn_gpt_init(&b->gpt, &b->params, b->device);
    taper_adamw_options options = TAPER_ADAMW_OPTIONS;
    if (b->s.status == TAPER_OK) b->s.status = taper_adamw_new(&b->optimizer, &b->params, options);
    if (b->s.status == TAPER_OK) b->s.status = bench_median(b, bench_gpt_step, 3, b->quick ? 5 : 12, &t);
    if (b->s.status == TAPER_OK) bench_emit(b, "gpt2", "eager", "throughput", 8 * 128 / t, "tokens/s");
    return b->s.status;
}

static taper_status bench_adamw_step(bench *b) { return taper_optimizer_step(b->optimizer); }
static taper_status bench_adamw(bench *b) {
    int count = b->quick ? 50 : 200;
    double t = 0;
    taper_tensor *grad = bench_random(b, 1024, 1024), *unused;
    for (int i = 0; i < count && b->s.status == TAPER_OK; i++) {
        char name[16];
        snprintf(name, sizeof name, "p%d", i);
        b->s.status = taper_param_constant(&unused, &b->params, "", name, b->device, 1, 2, (int64_t[]){1024, 1024});
        if (b->s.status == TAPER_OK) b->s.status = taper_set_grad(b->params.tensors[i], grad);
    }
    taper_adamw_options options = TAPER_ADAMW_OPTIONS;
    if (b->s.status == TAPER_OK) b->s.status = taper_adamw_new(&b->optimizer, &b->params, options);
    if (b->s.status == TAPER_OK) b->s.status = bench_median(b, bench_adamw_step, 2, 7, &t);
    if (b->s.status == TAPER_OK) bench_emit(b, "adamw", "fused", "bandwidth", count * 0x1p20 * 4 * 7 / t / 1e9, "GB/s");
    return b->s.status;
}

/* A new process of this tool, to its first line. */
static taper_status bench_child(bench *b) {
    (void)b;
    char exe[4096], command[4160];
    ssize_t n = readlink("/proc/self/exe", exe, sizeof exe - 1);
    if (n <= 0) return taper_fail(TAPER_OS, __FILE__, __LINE__, "bench: /proc/self/exe cannot be read");
    exe[n] = 0;
    snprintf(command, sizeof command, "'%s' version > /dev/null", exe);
    return system(command) ? taper_fail(TAPER_OS, __FILE__, __LINE__, "bench: cannot start %s", command) : TAPER_OK;
}
static taper_status bench_startup(bench *b) {
    double t = 0;
    taper_status status = bench_median(b, bench_child, 1, 5, &t);
    if (status == TAPER_OK) bench_emit(b, "startup", "tool", "wall", t * 1e3, "ms");
    return status;
}

/* 784-128-10, batch 64, cross-entropy, SGD. */
static taper_status bench_mlp_step(bench *b) {
    taper_scope s = TAPER_SCOPE;
    taper_tensor *h = tx_relu(&s, taper_nn_linear_forward(&s, &b->l1, b->a));
    taper_tensor *loss = tx_cross_entropy(&s, taper_nn_linear_forward(&s, &b->l2, h), b->b, NULL, -100, "mean", 0);
    return bench_learn(b, &s, loss);
}
static taper_status bench_mlp(bench *b) {
    double t = 0;
    b->a = bench_random(b, 64, 784);
    b->b = bench_classes(b, 64, 0, 10);
    if (b->s.status == TAPER_OK) b->s.status = taper_nn_linear_init(&b->l1, &b->params, "0", 784, 128, true, b->device);
    if (b->s.status == TAPER_OK) b->s.status = taper_nn_linear_init(&b->l2, &b->params, "2", 128, 10, true, b->device);
    taper_sgd_options options = TAPER_SGD_OPTIONS;
    options.lr = 1e-2;
    if (b->s.status == TAPER_OK) b->s.status = taper_sgd_new(&b->optimizer, &b->params, options);
    if (b->s.status == TAPER_OK) b->s.status = bench_median(b, bench_mlp_step, 20, 50, &t);
    if (b->s.status == TAPER_OK) bench_emit(b, "mlp", "eager", "step", t * 1e6, "us");
    return b->s.status;
}

static const struct { const char *name; bench_step run; } workloads[] = {
    {"startup", bench_startup}, {"gemm", bench_gemm}, {"overhead", bench_overhead}, {"mlp", bench_mlp},
    {"gpt2", bench_gpt2}, {"pointwise", bench_pointwise}, {"adamw", bench_adamw}};
enum { WORKLOADS = sizeof workloads / sizeof *workloads };

int cli_bench(int argc, char **argv) {
    taper_device device = taper_cpu();
    bool quick = false;
    int chosen[WORKLOADS], count = 0, rc = 0;
    for (int i = 1; i < argc; i++) {
        const char *value;
        int w = 0;
        if (!strcmp(argv[i], "--quick")) {
            quick = true;
            continue;
        }
        if (!strcmp(argv[i], "--device")) {
            if (!(value = cli_value(argc, argv, &i))) return 2;
            if (taper_device_parse(&device, value) != TAPER_OK) return cli_failed("bench");
            continue;
        }
        while (w < WORKLOADS && strcmp(workloads[w].name, argv[i])) w++;
        if (w == WORKLOADS || count == WORKLOADS) return cli_usage("bench", "unknown workload or option", argv[i]);
        chosen[count++] = w;
    }
    if (!count) return cli_usage("bench", "needs a workload", NULL);
    for (int i = 0; i < count; i++) {
        bench b = {.device = device, .quick = quick, .s = TAPER_SCOPE, .params = TAPER_PARAMS};
        if (workloads[chosen[i]].run(&b) != TAPER_OK) rc = cli_failed("bench");
        taper_optimizer_release(b.optimizer);
        taper_params_release(&b.params);
        taper_scope_end(&b.s);
    }
    return rc;
}
