/* taper bench: the tool itself, how a step is timed, and what a start of the process costs. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cli/bench.h"

static double bench_seconds(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static taper_status bench_repeat(bench *b, bench_step step, int64_t count, double *seconds) {
    double begin = bench_seconds();
    for (int64_t i = 0; i < count; i++) BENCH_TRY(step(b));
    if (b->device.type == TAPER_CUDA) BENCH_TRY(taper_cuda_synchronize(-1));
    *seconds = (bench_seconds() - begin) / (double)count;
    return TAPER_OK;
}

taper_status bench_measure(bench *b, bench_step step, bench_figure f) {
    double once = 0, total = 0, budget = b->quick ? 0.1 : 0.4, values[BENCH_SAMPLES];
    int n = 0;
    BENCH_TRY(bench_repeat(b, step, f.warm ? f.warm : 3, &once));
    BENCH_TRY(bench_repeat(b, step, 1, &once));
    int64_t inner = once > 0.004 ? 1 : once < 8e-6 ? 500 : (int64_t)(0.004 / once); /* short steps share a sample */
    while (n < 2 || (n < BENCH_SAMPLES && total < budget)) {
        double t;
        BENCH_TRY(bench_repeat(b, step, inner, &t));
        total += t * (double)inner;
        values[n++] = f.work > 0 ? f.work / t : t * f.scale;
    }
    taper_cuda_properties gpu = {.size = sizeof gpu};
    bool cuda = b->device.type == TAPER_CUDA && taper_cuda_get_properties(&gpu, b->device.index) == TAPER_OK;
    printf("{\"workload\": \"%s\", \"variant\": \"%s\", \"unit\": \"%s\", \"device\": \"%s\", \"taper\": \"%s\", \"samples\": [", b->workload, f.variant,
           f.unit, cuda ? gpu.name : "cpu", TAPER_VERSION);
    for (int i = 0; i < n; i++) printf("%s%.6g", i ? ", " : "", values[i]);
    puts("]}");
    fflush(stdout);
    return TAPER_OK;
}

taper_tensor *bench_random(bench *b, int64_t rows, int64_t columns) {
    taper_params p = TAPER_PARAMS;
    taper_tensor *t = NULL, *plain = NULL;
    taper_status status = taper_param_normal(&t, &p, "", "t", b->device, 1, 2, (int64_t[]){rows, columns});
    if (status == TAPER_OK) status = taper_detach(&plain, t);
    taper_params_release(&p);
    if (b->s.status == TAPER_OK) b->s.status = status;
    return taper_scope_own(&b->s, plain);
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
taper_status bench_startup(bench *b) {
    taper_device device = b->device;
    b->device = taper_cpu(); /* the child has its own GPU to wait for */
    taper_status status = bench_measure(b, bench_child, (bench_figure){.variant = "tool", .unit = "ms", .scale = 1e3});
    b->device = device;
    return status;
}

static const struct { const char *name; bench_step run; } workloads[] = {
    {"startup", bench_startup}, {"gemm", bench_gemm}, {"overhead", bench_overhead}, {"mlp", bench_mlp},
    {"gpt2", bench_gpt2}, {"pointwise", bench_pointwise}, {"adamw", bench_adamw}};
enum { WORKLOADS = sizeof workloads / sizeof *workloads };

int cli_bench(int argc, char **argv) {
    taper_device device = taper_cpu();
    bool quick = false;
    int chosen[WORKLOADS], count = 0, rc = 0, sets = 0;
    const char *with[BENCH_SETS], *on = NULL;
    char *names[WORKLOADS];
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
            on = value;
            continue;
        }
        if (!strcmp(argv[i], "--with")) {
            if (!(value = cli_value(argc, argv, &i))) return 2;
            if (sets == BENCH_SETS) return cli_usage("bench", "at most 4 sets of libraries, not also", value);
            with[sets++] = value;
            continue;
        }
        while (w < WORKLOADS && strcmp(workloads[w].name, argv[i])) w++;
        if (w == WORKLOADS || count == WORKLOADS) return cli_usage("bench", "unknown workload or option", argv[i]);
        names[count] = argv[i];
        chosen[count++] = w;
    }
    if (!count) return cli_usage("bench", "needs a workload", NULL);
    if (sets) return bench_with(with, sets, names, count, on, quick); /* before this process touches a GPU */
    if (device.type == TAPER_CUDA && device.index < 0) { /* "cuda": tensors must know which one */
        int index = 0;
        if (taper_cuda_current_device(&index) != TAPER_OK) return cli_failed("bench");
        device.index = (int8_t)index;
    }
    for (int i = 0; i < count; i++) {
        bench b = {.device = device, .quick = quick, .workload = workloads[chosen[i]].name, .s = TAPER_SCOPE, .params = TAPER_PARAMS};
        if (workloads[chosen[i]].run(&b) != TAPER_OK) rc = cli_failed("bench");
        taper_optimizer_release(b.optimizer);
        taper_params_release(&b.params);
        taper_scope_end(&b.s);
    }
    return rc;
}
