/* A small GPT trained on the GPU: the losses of the CPU, the same bits twice, the same bits from a captured graph, memory that does
 * not grow over a thousand steps, and a context that lives on after an out-of-memory and after a bad index. Without a GPU it
 * says so and passes. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <taper/autograd.h>
#include <taper/cuda.h>
#include <taper/ops.h>
#include <taper/optim.h>

enum { BATCH = 4, CONTEXT = 48, VOCABULARY = 61, STEPS = 40 };
static int failed;

#define CHECK(name, condition)                                                                                         \
    do {                                                                                                               \
        if (condition) printf("ok training_%s\n", name);                                                               \
        else failed = 1, printf("not ok training_%s: line %d: %s\n", name, __LINE__, taper_error_message());           \
    } while (0)

typedef struct model {
    taper_nn_gpt g;
    taper_params p;
    taper_optimizer *o;
    taper_grad_scaler *scaler; /* NULL: none */
    taper_device device;
} model;

static taper_status model_new(model *m, taper_device device, const model *like) {
    *m = (model){.g = {.layers = 2, .width = 64, .heads = 4, .vocabulary = VOCABULARY, .context = CONTEXT}, .device = device};
    taper_adamw_options options = TAPER_ADAMW_OPTIONS;
    options.lr = 3e-3;
    taper_manual_seed(7);
    taper_status st = taper_nn_gpt_init(&m->g, &m->p, device);
    bool was = taper_set_grad_enabled(false);
    for (int i = 0; like && i < m->p.count && st == TAPER_OK; i++) {
        taper_tensor *same = NULL;
        st = taper_copy_(&same, m->p.tensors[i], like->p.tensors[i], false);
        taper_tensor_release(same);
    }
    taper_set_grad_enabled(was);
    return st == TAPER_OK ? taper_adamw_new(&m->o, &m->p, options) : st;
}
static void model_end(model *m) {
    taper_optimizer_release(m->o);
    taper_grad_scaler_release(m->scaler);
    taper_params_release(&m->p);
}

/* Rows of a fixed pattern with a twist by step: learnable, never constant. */
static taper_status batch(taper_tensor **x, taper_tensor **y, taper_device device, int step, int64_t bad) {
    int64_t a[BATCH * CONTEXT], b[BATCH * CONTEXT];
    taper_tensor *host[2] = {NULL, NULL};
    for (int r = 0; r < BATCH; r++)
        for (int t = 0; t < CONTEXT; t++) {
            int64_t at = step * 5 + r * 17 + t;
            a[r * CONTEXT + t] = (at * at / 3 + at) % VOCABULARY;
            at++;
            b[r * CONTEXT + t] = (at * at / 3 + at) % VOCABULARY;
        }
    if (bad) a[77] = bad;
    taper_status st = taper_tensor_from_data(&host[0], a, TAPER_I64, 2, (int64_t[]){BATCH, CONTEXT});
    if (st == TAPER_OK) st = taper_tensor_from_data(&host[1], b, TAPER_I64, 2, (int64_t[]){BATCH, CONTEXT});
    if (st == TAPER_OK) st = taper_to(x, host[0], &device, TAPER_DTYPE_NONE, false, true);
    if (st == TAPER_OK) st = taper_to(y, host[1], &device, TAPER_DTYPE_NONE, false, true);
    taper_tensor_release(host[0]);
    taper_tensor_release(host[1]);
    return st;
}

static taper_status learn(model *m, taper_tensor *x, taper_tensor *y, taper_tensor **loss) {
    taper_scope s = TAPER_SCOPE;
    taper_tensor *l = taper_nn_gpt_loss(&s, &m->g, x, y);
    if (s.status == TAPER_OK) s.status = taper_params_zero_grad(&m->p);
    taper_tensor *root = m->scaler && l ? taper_grad_scaler_scale(&s, m->scaler, l) : l;
    if (s.status == TAPER_OK) s.status = taper_backward(&root, NULL, 1, false, false);
    if (s.status == TAPER_OK) s.status = m->scaler ? taper_grad_scaler_step(m->scaler, m->o) : taper_optimizer_step(m->o);
    if (s.status == TAPER_OK && m->scaler) s.status = taper_grad_scaler_update(m->scaler);
    if (s.status == TAPER_OK && loss) s.status = taper_detach(loss, l);
    return taper_scope_end(&s);
}

static taper_status train(model *m, int from, int steps, double *losses) {
    taper_status st = TAPER_OK;
    for (int i = 0; i < steps && st == TAPER_OK; i++) {
        taper_tensor *x = NULL, *y = NULL, *l = NULL;
        st = batch(&x, &y, m->device, from + i, 0);
        if (st == TAPER_OK) st = learn(m, x, y, losses ? &l : NULL);
        if (st == TAPER_OK && losses) st = taper_tensor_item_double(l, &losses[i]);
        taper_tensor_release(x);
        taper_tensor_release(y);
        taper_tensor_release(l);
    }
    return st;
}

static bool same_bits(const model *a, const model *b) {
    bool same = a->p.count == b->p.count;
    for (int i = 0; same && i < a->p.count; i++) {
        size_t bytes = (size_t)taper_tensor_numel(a->p.tensors[i]) * 4;
        char *x = malloc(bytes), *y = malloc(bytes);
        same = x && y && taper_tensor_read(a->p.tensors[i], x, bytes) == TAPER_OK && taper_tensor_read(b->p.tensors[i], y, bytes) == TAPER_OK && !memcmp(x, y, bytes);
        free(x);
        free(y);
    }
    return same;
}

static void parity(const model *start) {
    model cpu, gpu, again;
    double want[STEPS], got[STEPS], twice[STEPS], worst = 0;
    CHECK("models", model_new(&cpu, taper_cpu(), start) == TAPER_OK && model_new(&gpu, taper_cuda(0), start) == TAPER_OK && model_new(&again, taper_cuda(0), start) == TAPER_OK);
    CHECK("cpu", train(&cpu, 0, STEPS, want) == TAPER_OK);
    CHECK("gpu", train(&gpu, 0, STEPS, got) == TAPER_OK);
    CHECK("gpu_again", train(&again, 0, STEPS, twice) == TAPER_OK);
    if (failed) return;
    for (int i = 0; i < STEPS; i++) worst = fmax(worst, fabs(want[i] - got[i]) / want[i]);
    printf("# loss %.4f -> %.4f on the CPU, %.4f on the GPU; worst difference %.2g\n", want[0], want[STEPS - 1], got[STEPS - 1], worst);
    CHECK("learns", want[STEPS - 1] < 0.8 * want[0]);
    CHECK("parity", worst < 2e-3);
    CHECK("same_bits_twice", !memcmp(got, twice, sizeof got) && same_bits(&gpu, &again));
    model_end(&cpu);
    model_end(&gpu);
    model_end(&again);
}

static void autocast(const model *start, taper_dtype dtype) {
    model m;
    double losses[STEPS];
    taper_status st = model_new(&m, taper_cuda(0), start);
    taper_set_autocast(TAPER_CUDA, true, dtype, true);
    if (st == TAPER_OK) st = train(&m, 0, STEPS, losses);
    taper_set_autocast(TAPER_CUDA, false, TAPER_DTYPE_NONE, true);
    taper_autocast_clear_cache();
    CHECK(dtype == TAPER_BF16 ? "autocast_bf16" : "autocast_f16", st == TAPER_OK && losses[STEPS - 1] < 0.8 * losses[0]);
    model_end(&m);
}

static void leaks(const model *start, bool low, taper_device device) { /* low: the whole training is one autocast region */
    model m;
    taper_memory_stats early = {0}, late = {0};
    if (low) taper_set_autocast(TAPER_CUDA, true, TAPER_BF16, true);
    taper_status st = model_new(&m, device, start);
    if (st == TAPER_OK) st = train(&m, 0, 20, NULL);
    if (st == TAPER_OK) st = taper_cuda_synchronize(0);
    taper_memory_get_stats(&early, taper_cuda(0));
    if (st == TAPER_OK) st = train(&m, 20, 1000, NULL);
    if (st == TAPER_OK) st = taper_cuda_synchronize(0);
    taper_memory_get_stats(&late, taper_cuda(0));
    printf("# after 20 steps %zu bytes in %lld blocks, peak %zu; after 1020 %zu in %lld, peak %zu\n", early.allocated, (long long)early.live_blocks,
           early.peak_allocated, late.allocated, (long long)late.live_blocks, late.peak_allocated);
    if (low) taper_set_autocast(TAPER_CUDA, false, TAPER_DTYPE_NONE, true);
    CHECK(low ? "1000_steps_bf16" : "1000_steps", st == TAPER_OK);
    CHECK(low ? "no_leak_bf16" : "no_leak", early.allocated == late.allocated && early.live_blocks == late.live_blocks && early.peak_allocated == late.peak_allocated && early.reserved == late.reserved);
    model_end(&m);
}

static void graph(const model *start) {
    model eager, replayed;
    taper_cuda_graph *g = NULL;
    taper_cuda_stream *s = NULL;
    taper_tensor *x = NULL, *y = NULL;
    taper_status st = model_new(&eager, taper_cuda(0), start);
    if (st == TAPER_OK) st = model_new(&replayed, taper_cuda(0), start);
    if (st == TAPER_OK) st = batch(&x, &y, taper_cuda(0), 3, 0);
    for (int i = 0; i < 12 && st == TAPER_OK; i++) st = learn(&eager, x, y, NULL);
    for (int i = 0; i < 3 && st == TAPER_OK; i++) st = learn(&replayed, x, y, NULL); /* providers plan, kernels load */
    if (st == TAPER_OK) st = taper_cuda_synchronize(0);
    if (st == TAPER_OK) st = taper_cuda_stream_new(&s, 0, 0);
    if (st == TAPER_OK) st = taper_cuda_graph_new(&g, NULL);
    taper_cuda_stream *before = NULL;
    if (st == TAPER_OK) st = taper_cuda_stream_current(&before, 0);
    if (st == TAPER_OK) st = taper_cuda_stream_set_current(s);
    if (st == TAPER_OK) st = taper_cuda_graph_begin_capture(g, s);
    if (st == TAPER_OK) st = learn(&replayed, x, y, NULL);
    if (st == TAPER_OK) st = taper_cuda_graph_end_capture(g);
    CHECK("capture", st == TAPER_OK);
    for (int i = 0; i < 9 && st == TAPER_OK; i++) st = taper_cuda_graph_replay(g, s);
    if (st == TAPER_OK) st = taper_cuda_synchronize(0);
    if (before) taper_cuda_stream_set_current(before);
    CHECK("replay", st == TAPER_OK);
    CHECK("replay_same_bits", st == TAPER_OK && same_bits(&eager, &replayed));
    taper_tensor_release(x);
    taper_tensor_release(y);
    taper_cuda_graph_release(g);
    taper_cuda_stream_release(before);
    taper_cuda_stream_release(s);
    model_end(&eager);
    model_end(&replayed);
}

/* float16 with a scale that is too large at first: those steps change nothing, then it learns. */
static void scaling(const model *start) {
    model m;
    double losses[STEPS] = {0}, scale = 0;
    taper_grad_scaler_options options = TAPER_GRAD_SCALER_OPTIONS;
    options.init_scale = 0x1p30;
    taper_status st = model_new(&m, taper_cuda(0), start);
    if (st == TAPER_OK) st = taper_grad_scaler_new(&m.scaler, taper_cuda(0), options);
    taper_set_autocast(TAPER_CUDA, true, TAPER_F16, true);
    if (st == TAPER_OK) st = train(&m, 0, 1, losses);
    if (st == TAPER_OK) st = taper_grad_scaler_get(m.scaler, &scale, NULL);
    CHECK("scaler_leaves_out", st == TAPER_OK && scale == 0x1p29 && same_bits(&m, start));
    if (st == TAPER_OK) st = train(&m, 0, STEPS, losses);
    if (st == TAPER_OK) st = taper_grad_scaler_get(m.scaler, &scale, NULL);
    taper_set_autocast(TAPER_CUDA, false, TAPER_DTYPE_NONE, true);
    printf("# scale %g, loss %.4f -> %.4f\n", scale, losses[0], losses[STEPS - 1]);
    CHECK("scaler_learns", st == TAPER_OK && scale >= 1 && scale < 0x1p29 && losses[STEPS - 1] < 0.85 * losses[0]);
    model_end(&m);
}

/* A step with clipping in the pass, copies of the weights in bfloat16, two groups and a scaler: learn() takes no look at the GPU, or it
 * could not be captured; replays have the bits of eager steps, and copies change no bit either. */
static taper_status mixed_new(model *m, const model *start, bool copies) {
    taper_adamw_options options = TAPER_ADAMW_OPTIONS;
    options.lr = 3e-3;
    options.clip_norm = 0.5;
    taper_status st = model_new(m, taper_cuda(0), start);
    m->g.half = true;
    taper_optimizer_release(m->o);
    m->o = NULL;
    if (st == TAPER_OK) st = taper_adamw_new(&m->o, &m->p, options);
    if (st == TAPER_OK) st = taper_optimizer_group(m->o, taper_chooses_vectors, NULL, 3e-3, 0, NULL);
    if (st == TAPER_OK && copies) st = taper_optimizer_keep_copies(m->o, TAPER_BF16);
    return st == TAPER_OK ? taper_grad_scaler_new(&m->scaler, taper_cuda(0), (taper_grad_scaler_options)TAPER_GRAD_SCALER_OPTIONS) : st;
}
static bool same_copies(const model *m) {
    for (int i = 0; i < m->p.count; i++) {
        taper_tensor *copy = taper_leaf_copy(m->p.tensors[i], TAPER_BF16), *cast = NULL;
        size_t bytes = 2 * (size_t)taper_tensor_numel(m->p.tensors[i]);
        bool was = taper_set_grad_enabled(false);
        taper_status st = taper_to(&cast, m->p.tensors[i], NULL, TAPER_BF16, false, false);
        taper_set_grad_enabled(was);
        char *x = malloc(bytes), *y = malloc(bytes);
        bool same = copy && x && y && st == TAPER_OK && taper_tensor_read(copy, x, bytes) == TAPER_OK && taper_tensor_read(cast, y, bytes) == TAPER_OK && !memcmp(x, y, bytes);
        free(x);
        free(y);
        taper_tensor_release(cast);
        if (!same) return false;
    }
    return true;
}
static void mixed(const model *start) {
    model plain, eager, replayed;
    taper_cuda_graph *g = NULL;
    taper_cuda_stream *s = NULL, *before = NULL;
    taper_tensor *x = NULL, *y = NULL;
    double norm = 0;
    taper_status st = mixed_new(&plain, start, false);
    if (st == TAPER_OK) st = mixed_new(&eager, start, true);
    if (st == TAPER_OK) st = mixed_new(&replayed, start, true);
    if (st == TAPER_OK) st = batch(&x, &y, taper_cuda(0), 3, 0);
    for (int i = 0; i < 12 && st == TAPER_OK; i++) st = learn(&plain, x, y, NULL);
    for (int i = 0; i < 12 && st == TAPER_OK; i++) st = learn(&eager, x, y, NULL);
    if (st == TAPER_OK) st = taper_tensor_item_double(taper_optimizer_grad_norm(eager.o), &norm);
    printf("# norm of the last gradients %.4f\n", norm);
    CHECK("mixed_eager", st == TAPER_OK && norm > 0);
    CHECK("mixed_copies_change_no_bit", st == TAPER_OK && same_bits(&plain, &eager) && !same_bits(&plain, start));
    CHECK("mixed_copies", st == TAPER_OK && same_copies(&eager));
    for (int i = 0; i < 3 && st == TAPER_OK; i++) st = learn(&replayed, x, y, NULL);
    if (st == TAPER_OK) st = taper_cuda_synchronize(0);
    if (st == TAPER_OK) st = taper_cuda_stream_new(&s, 0, 0);
    if (st == TAPER_OK) st = taper_cuda_graph_new(&g, NULL);
    if (st == TAPER_OK) st = taper_cuda_stream_current(&before, 0);
    if (st == TAPER_OK) st = taper_cuda_stream_set_current(s);
    if (st == TAPER_OK) st = taper_cuda_graph_begin_capture(g, s);
    if (st == TAPER_OK) st = learn(&replayed, x, y, NULL);
    if (st == TAPER_OK) st = taper_cuda_graph_end_capture(g);
    CHECK("mixed_capture", st == TAPER_OK);
    for (int i = 0; i < 9 && st == TAPER_OK; i++) st = taper_cuda_graph_replay(g, s);
    if (st == TAPER_OK) st = taper_cuda_synchronize(0);
    if (before) taper_cuda_stream_set_current(before);
    CHECK("mixed_replay_same_bits", st == TAPER_OK && same_bits(&eager, &replayed) && same_copies(&replayed));
    taper_tensor_release(x);
    taper_tensor_release(y);
    taper_cuda_graph_release(g);
    taper_cuda_stream_release(before);
    taper_cuda_stream_release(s);
    model_end(&plain);
    model_end(&eager);
    model_end(&replayed);
}

static void recovery(const model *start) {
    model m;
    taper_tensor *huge = NULL, *x = NULL, *y = NULL;
    taper_device gpu = taper_cuda(0);
    double loss = 0;
    CHECK("before", model_new(&m, gpu, start) == TAPER_OK && train(&m, 0, 2, &(double[2]){0}[0]) == TAPER_OK);
    taper_status st = taper_full(&huge, (int64_t[]){1 << 20, 1 << 20}, 2, taper_float(1), TAPER_F32, &gpu);
    const char *text = taper_error_message();
    int lines = 1;
    for (const char *p = text; *p; p++) lines += *p == '\n';
    CHECK("out_of_memory", st == TAPER_MEMORY && !huge && lines <= 14 && strstr(text, "GiB"));
    CHECK("after_out_of_memory", train(&m, 2, 1, &loss) == TAPER_OK);
    st = batch(&x, &y, gpu, 3, 100000);
    if (st == TAPER_OK) st = learn(&m, x, y, NULL);
    if (st == TAPER_OK) st = taper_cuda_synchronize(0);
    CHECK("bad_index", st == TAPER_INDEX && strstr(taper_error_message(), "100000"));
    taper_tensor_release(x);
    taper_tensor_release(y);
    model_end(&m);
    CHECK("after_bad_index", model_new(&m, gpu, start) == TAPER_OK && train(&m, 4, 2, &(double[2]){0}[0]) == TAPER_OK);
    model_end(&m);
}

int main(void) {
    const char *why = NULL;
    model start;
    if (taper_cuda_device_count(&why) < 1) {
        printf("ok training_skipped # no GPU: %s\n", why);
        return 0;
    }
    if (model_new(&start, taper_cpu(), NULL) != TAPER_OK) {
        printf("not ok training_start: %s\n", taper_error_message());
        return 1;
    }
    parity(&start);
    if (!failed) {
        autocast(&start, TAPER_BF16);
        autocast(&start, TAPER_F16);
        leaks(&start, false, taper_cuda(0));
        leaks(&start, true, taper_cuda(-1)); /* "cuda" without a number */
        graph(&start);
        scaling(&start);
        mixed(&start);
        recovery(&start);
    }
    model_end(&start);
    return failed;
}
