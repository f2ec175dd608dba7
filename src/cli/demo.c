/* taper demo: a byte-level GPT learns the text it is given; everything shown is measured in this run. */
#include "cli/demo.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <taper/autograd.h>
#include <taper/ops.h>
#include <taper/optim.h>
#include <taper/threads.h>
#include <time.h>
#include <unistd.h>

#include "cli/cli.h"

enum { BATCH = 16, CONTEXT = 64, SAMPLE = 160, POINTS = 60 };

typedef struct demo {
    demo_text text;
    size_t train; /* bytes before the held-out tail */
    taper_device device;
    taper_params params;
    taper_nn_gpt gpt;
    uint64_t random;
} demo;

static double demo_seconds(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static uint64_t demo_random(demo *d) {
    d->random ^= d->random << 13;
    d->random ^= d->random >> 7;
    return d->random ^= d->random << 17;
}

static taper_tensor *demo_tensor(taper_scope *s, demo *d, const int64_t *data, int64_t rows, int64_t columns) {
    taper_tensor *host = NULL;
    if (s->status == TAPER_OK) s->status = taper_tensor_from_data(&host, data, TAPER_I64, 2, (int64_t[]){rows, columns});
    if (s->status != TAPER_OK) return NULL;
    return tx_to(s, taper_scope_own(s, host), &d->device, TAPER_DTYPE_NONE, false, false);
}

/* Windows of the text from [begin, end) as input and as input one byte later. */
static taper_tensor *demo_loss(taper_scope *s, demo *d, size_t begin, size_t end) {
    int64_t x[BATCH * CONTEXT], y[BATCH * CONTEXT];
    for (int b = 0; b < BATCH; b++) {
        size_t at = begin + demo_random(d) % (end - begin - CONTEXT);
        for (int t = 0; t < CONTEXT; t++) {
            x[b * CONTEXT + t] = d->text.bytes[at + (size_t)t];
            y[b * CONTEXT + t] = d->text.bytes[at + (size_t)t + 1];
        }
    }
    return taper_nn_gpt_loss(s, &d->gpt, demo_tensor(s, d, x, BATCH, CONTEXT), demo_tensor(s, d, y, BATCH, CONTEXT));
}

/* Mean loss on the held-out tail, the same windows each time. */
static taper_status demo_evaluate(demo *d, double *loss) {
    uint64_t keep = d->random;
    bool was = taper_set_grad_enabled(false);
    taper_status status = TAPER_OK;
    d->random = 88172645463325252u;
    *loss = 0;
    for (int i = 0; i < 4 && status == TAPER_OK; i++) {
        taper_scope s = TAPER_SCOPE;
        double one = 0;
        taper_tensor *t = demo_loss(&s, d, d->train, d->text.size);
        if (t) s.status = taper_tensor_item_double(t, &one);
        *loss += one / 4;
        status = taper_scope_end(&s);
    }
    taper_set_grad_enabled(was);
    d->random = keep;
    return status;
}

/* What byte frequencies alone reach on the held-out tail, in nats: a model that knows only them has learned nothing. */
static double demo_unigram(const demo *d) {
    double counts[256] = {0}, h = 0;
    for (size_t i = 0; i < d->train; i++) counts[d->text.bytes[i]]++;
    for (size_t i = d->train; i < d->text.size; i++) h -= log((counts[d->text.bytes[i]] + 1) / ((double)d->train + 256));
    return h / (double)(d->text.size - d->train);
}

static taper_status demo_sample(demo *d) {
    int64_t ids[CONTEXT] = {'\n'};
    int n = 1;
    bool was = taper_set_grad_enabled(false);
    taper_status status = TAPER_OK;
    fputs("  | ", stdout);
    for (int i = 0; i < SAMPLE && status == TAPER_OK; i++) {
        float logits[CONTEXT * 256];
        taper_scope s = TAPER_SCOPE;
        taper_tensor *out = taper_nn_gpt_forward(&s, &d->gpt, demo_tensor(&s, d, ids, 1, n));
        if (out) s.status = taper_tensor_read(out, logits, sizeof *logits * 256 * (size_t)n);
        if ((status = taper_scope_end(&s)) != TAPER_OK) break;
        const float *row = logits + 256 * (n - 1);
        double top = row[0], sum = 0;
        for (int c = 1; c < 256; c++) top = row[c] > top ? row[c] : top;
        for (int c = 0; c < 256; c++) sum += exp((row[c] - top) / 0.8);
        double u = (double)(demo_random(d) >> 11) * 0x1p-53 * sum;
        int next = 0;
        while (next < 255 && (u -= exp((row[next] - top) / 0.8)) > 0) next++;
        if (next == '\n') fputs("\n  | ", stdout);
        else putchar(next >= 32 && next < 127 ? next : '.');
        if (n == CONTEXT) memmove(ids, ids + 1, sizeof ids - sizeof *ids);
        else n++;
        ids[n - 1] = next;
    }
    putchar('\n');
    taper_set_grad_enabled(was);
    return status;
}

static taper_status demo_step(demo *d, taper_optimizer *o, double *loss) {
    taper_scope s = TAPER_SCOPE;
    taper_tensor *t = demo_loss(&s, d, 0, d->train);
    if (t) s.status = taper_tensor_item_double(t, loss);
    if (s.status == TAPER_OK) s.status = taper_params_zero_grad(&d->params);
    if (s.status == TAPER_OK) s.status = taper_backward(&t, NULL, 1, false, false);
    if (s.status == TAPER_OK) s.status = taper_params_clip_grad(&d->params, 1, NULL);
    if (s.status == TAPER_OK) s.status = taper_optimizer_step(o);
    return taper_scope_end(&s);
}

static void demo_curve(const double *points, int n, double floor) {
    double top = 0;
    for (int i = 0; i < n; i++) top = points[i] > top ? points[i] : top;
    puts("loss over time (- is the byte-frequency model):");
    for (int row = 9; row >= 0; row--) {
        double low = top * row / 10, high = top * (row + 1) / 10;
        printf("%5.2f ", high);
        for (int i = 0; i < n; i++)
            putchar(points[i] > low && points[i] <= high ? '*' : floor > low && floor <= high ? '-' : ' ');
        putchar('\n');
    }
}

/* Trains for `seconds`; the learning rate warms up and falls along a cosine of the time used. */
static taper_status demo_train(demo *d, double seconds, double unigram) {
    taper_optimizer *o = NULL;
    taper_adamw_options options = TAPER_ADAMW_OPTIONS;
    taper_status status = taper_adamw_new(&o, &d->params, options);
    double points[POINTS] = {0}, smooth = 0, begin = demo_seconds(), used = 0;
    int step = 0, drawn = 0, shown = 0;
    while (status == TAPER_OK && used < seconds) {
        double part = used / seconds, loss = 0;
        taper_optimizer_set_lr(o, 3e-3 * (step < 20 ? (step + 1) / 20.0 : 0.05 + 0.95 * 0.5 * (1 + cos(3.14159265358979 * part))));
        status = demo_step(d, o, &loss);
        smooth = step++ ? 0.9 * smooth + 0.1 * loss : loss;
        used = demo_seconds() - begin;
        int now = (int)(used / seconds * POINTS);
        while (drawn < now && drawn < POINTS) points[drawn++] = smooth;
        if (step > 1 && !isatty(1) && now == shown) continue; /* one line for each point where nobody sees it move */
        shown = now;
        printf("%s[%-20.*s] step %d  loss %.3f  %.0f tokens/s ", isatty(1) ? "\r" : step > 1 ? "\n" : "", now / 3 < 20 ? now / 3 : 20, "====================", step, smooth,
               step * (double)(BATCH * CONTEXT) / used);
        fflush(stdout);
    }
    putchar('\n');
    if (status == TAPER_OK) demo_curve(points, drawn, unigram);
    taper_optimizer_release(o);
    return status;
}

/* Saves, makes a model of other numbers, loads into it and compares every bit. */
static taper_status demo_checkpoint(demo *d, const char *path, bool *same) {
    taper_params other = TAPER_PARAMS;
    taper_nn_gpt gpt = d->gpt;
    taper_status status = taper_params_save(&d->params, path);
    if (status == TAPER_OK) status = taper_nn_gpt_init(&gpt, &other, d->device);
    if (status == TAPER_OK) status = taper_params_load(&other, path);
    *same = status == TAPER_OK;
    for (int i = 0; i < other.count && status == TAPER_OK; i++) {
        size_t bytes = sizeof(float) * (size_t)taper_tensor_numel(other.tensors[i]);
        char *a = malloc(bytes), *b = malloc(bytes);
        if (!a || !b) status = taper_fail(TAPER_MEMORY, __FILE__, __LINE__, "demo: no memory");
        if (status == TAPER_OK) status = taper_tensor_read(d->params.tensors[i], a, bytes);
        if (status == TAPER_OK) status = taper_tensor_read(other.tensors[i], b, bytes);
        *same = *same && status == TAPER_OK && !memcmp(a, b, bytes);
        free(a);
        free(b);
    }
    taper_params_release(&other);
    return status;
}

static int demo_all(demo *d, double minutes, const char *out) {
    double before = 0, after = 0, unigram = demo_unigram(d);
    bool same = false;
    d->gpt = (taper_nn_gpt){.layers = 4, .width = 128, .heads = 4, .vocabulary = 256, .context = CONTEXT};
    taper_manual_seed(1);
    if (taper_nn_gpt_init(&d->gpt, &d->params, d->device) != TAPER_OK || demo_evaluate(d, &before) != TAPER_OK) return cli_failed("demo");
    printf("text: %zu bytes of %d files; model: %lld parameters, 4 layers; %d threads\n", d->text.size, d->text.files,
           (long long)taper_params_numel(&d->params), taper_num_threads());
    printf("held-out loss %.3f before; byte frequencies alone: %.3f\nwhat it writes now:\n", before, unigram);
    if (demo_sample(d) != TAPER_OK || demo_train(d, 60 * minutes, unigram) != TAPER_OK || demo_evaluate(d, &after) != TAPER_OK)
        return cli_failed("demo");
    printf("held-out loss %.3f -> %.3f (byte frequencies: %.3f)\nwhat it writes now:\n", before, after, unigram);
    if (demo_sample(d) != TAPER_OK || demo_checkpoint(d, out, &same) != TAPER_OK) return cli_failed("demo");
    printf("checkpoint %s: %s\n", out, same ? "read back, equal to the last bit" : "DIFFERS from the model");
    taper_memory_stats memory;
    if (taper_memory_get_stats(&memory, d->device) == TAPER_OK) printf("most tensor memory in use: %.1f MiB\n", (double)memory.peak_allocated / 0x1p20);
    bool learned = after < unigram;
    puts(learned ? "it learned more than the frequencies of bytes" : "it did NOT get below the frequencies of bytes: give it more --minutes");
    return learned && same ? 0 : 1;
}

int cli_demo(int argc, char **argv) {
    demo d = {.device = taper_cpu(), .random = 1234567};
    double minutes = 1.5;
    const char *data = ".", *out = "taper-demo.safetensors", *value;
    for (int i = 1; i < argc; i++) {
        const char *option = argv[i];
        if (strcmp(option, "--minutes") && strcmp(option, "--data") && strcmp(option, "--device") && strcmp(option, "--out"))
            return cli_usage("demo", "unknown option", option);
        if (!(value = cli_value(argc, argv, &i))) return 2;
        if (!strcmp(option, "--minutes")) {
            char *end;
            minutes = strtod(value, &end);
            if (*end || !(minutes > 0 && minutes < 1e6)) return cli_usage("demo", "--minutes must be a number above 0, not", value);
        } else if (!strcmp(option, "--data")) data = value;
        else if (!strcmp(option, "--out")) out = value;
        else if (taper_device_parse(&d.device, value) != TAPER_OK) return cli_failed("demo");
    }
    if (!demo_text_read(&d.text, data)) return 1;
    d.train = d.text.size - d.text.size / 10;
    int rc = d.text.size / 10 > CONTEXT + 1 ? demo_all(&d, minutes, out) : cli_usage("demo", "too little text in", data);
    taper_params_release(&d.params);
    free(d.text.bytes);
    return rc;
}
