/* taper bench: what its files share. A figure is one JSON line with the samples of this run; bench/run.py reads them. */
#ifndef TAPER_CLI_BENCH_H
#define TAPER_CLI_BENCH_H

#include <taper/autograd.h>
#include <taper/cuda.h>
#include <taper/ops.h>
#include <taper/optim.h>

#include "cli/cli.h"

enum { BENCH_SAMPLES = 40 };

#define BENCH_TRY(call)                             \
    do {                                            \
        taper_status try_ = (call);                 \
        if (try_ != TAPER_OK) return try_;          \
    } while (0)

typedef struct bench {
    taper_device device;
    bool quick;
    const char *workload;
    taper_scope s; /* owns a, b, c */
    taper_tensor *a, *b, *c;
    taper_params params;
    taper_nn_linear l1, l2;
    taper_nn_gpt gpt;
    taper_optimizer *optimizer;
} bench;

typedef taper_status (*bench_step)(bench *b);

/* How the time of one step becomes a figure: work / seconds when `work` is given, otherwise seconds * scale. */
typedef struct bench_figure {
    const char *variant, *unit;
    double work, scale;
    int warm;
} bench_figure;

/* Repeats the step for about 0.4 s (2 samples at least), waiting for the GPU at the end of each sample, and prints the figure. */
taper_status bench_measure(bench *b, bench_step step, bench_figure figure);
taper_tensor *bench_random(bench *b, int64_t rows, int64_t columns); /* owned by the scope of b */

taper_status bench_startup(bench *b);
taper_status bench_overhead(bench *b);
taper_status bench_gemm(bench *b);
taper_status bench_pointwise(bench *b);
taper_status bench_mlp(bench *b);
taper_status bench_gpt2(bench *b);
taper_status bench_adamw(bench *b);

/* bench_with.c: the workloads with each set of libraries in turns; the exit code. device NULL: the CPU. */
enum { BENCH_SETS = 4 };
int bench_with(const char *const *sets, int count, char *const *workloads, int workload_count, const char *device, bool quick);

#endif
