/* Seeds, generators and captured graphs of the GPU: what repeats, what does not, and that replays of a graph draw what the same
 * calls would have drawn without one. Without a GPU it says so and passes. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <taper/cuda.h>
#include <taper/ops.h>
#include <taper/random.h>
#include <taper/scope.h>

static int failed;
#define CHECK(name, condition)                                                                                         \
    do {                                                                                                               \
        if (condition) printf("ok random_state_cuda_%s\n", name);                                                      \
        else failed = 1, printf("not ok random_state_cuda_%s: %s is false (line %d): %s\n", name, #condition, __LINE__, taper_error_message()); \
    } while (0)
#define SAYS(text) (strstr(taper_error_message(), text) != NULL)
enum { N = 20001, HEADS = 2, ROWS = 40, WIDTH = 32 };

static taper_tensor *empty(taper_scope *s, taper_dtype dtype, int64_t n) {
    taper_device gpu = taper_cuda(0);
    return tx_empty(s, &n, 1, dtype, &gpu);
}
static char *bytes_of(taper_tensor *t, size_t *size) {
    *size = t ? (size_t)taper_tensor_numel(t) * taper_dtype_size(taper_tensor_dtype(t)) : 0;
    char *p = calloc(*size + 1, 1);
    if (!t || taper_tensor_read(t, p, *size)) failed = 1, printf("not ok random_state_cuda_read: %s\n", taper_error_message());
    return p;
}
static bool same(taper_tensor *a, taper_tensor *b) {
    size_t na, nb;
    char *pa = bytes_of(a, &na), *pb = bytes_of(b, &nb);
    bool equal = na == nb && !memcmp(pa, pb, na);
    free(pa);
    free(pb);
    return equal;
}

/* Every operator that draws, with generator g (NULL: the default one), into new tensors. */
enum { DRAWS = 14 };
static const char *const draw_names[DRAWS] = {"uniform_", "normal_", "exponential_", "cauchy_", "log_normal_", "geometric_", "bernoulli_", "bernoulli",
                                              "random_", "random_from_", "rand", "randperm", "multinomial", "multinomial_again"};
static taper_tensor *draw(taper_scope *s, int which, taper_generator *g) {
    taper_device gpu = taper_cuda(0);
    int64_t n = N, to = 77;
    switch (which) {
    case 0: return tx_uniform_(s, empty(s, TAPER_F32, n), 0, 1, g);
    case 1: return tx_normal_(s, empty(s, TAPER_BF16, n), 0, 1, g);
    case 2: return tx_exponential_(s, empty(s, TAPER_F64, n), 1, g);
    case 3: return tx_cauchy_(s, empty(s, TAPER_F32, n), 0, 1, g);
    case 4: return tx_log_normal_(s, empty(s, TAPER_F16, n), 0, 1, g);
    case 5: return tx_geometric_(s, empty(s, TAPER_I64, n), 0.125, g);
    case 6: return tx_bernoulli_(s, empty(s, TAPER_BOOL, n), 0.5, g);
    case 7: return tx_bernoulli(s, tx_full(s, &n, 1, taper_float(0.5), TAPER_F32, &gpu), g);
    case 8: return tx_random_(s, empty(s, TAPER_I64, n), g);
    case 9: return tx_random_from_(s, empty(s, TAPER_I32, n), -5, &to, g);
    case 10: return tx_rand(s, &n, 1, g, TAPER_F64, &gpu);
    case 11: return tx_randperm(s, n, g, TAPER_I64, &gpu);
    case 12: return tx_multinomial(s, tx_full(s, &n, 1, taper_float(0.5), TAPER_F32, &gpu), 100, false, g);
    default: return tx_multinomial(s, tx_full(s, &n, 1, taper_float(0.5), TAPER_F32, &gpu), 1000, true, g);
    }
}

static void seeds(void) {
    for (int i = 0; i < DRAWS; i++) {
        taper_scope s = TAPER_SCOPE;
        taper_tensor *t[4];
        char name[64];
        for (int j = 0; j < 4; j++) {
            if (j != 1) taper_cuda_manual_seed(j == 3 ? 8 : 7);
            t[j] = draw(&s, i, NULL);
        }
        snprintf(name, sizeof name, "seed_%s", draw_names[i]);
        CHECK(name, s.status == TAPER_OK && same(t[0], t[2]) && !same(t[0], t[1]) && !same(t[0], t[3]));
        taper_scope_end(&s);
    }
}

static void generators(void) {
    taper_generator *a = NULL, *b = NULL, *cpu = NULL, *own = NULL;
    uint64_t seed, offset, before[2], state[2];
    CHECK("generator_new", !taper_generator_new_on(&a, 7, taper_cuda(0)) && !taper_generator_new_on(&b, 7, taper_cuda(0)) && !taper_generator_new(&cpu, 7));
    CHECK("generator_device", taper_generator_device(a).type == TAPER_CUDA && taper_generator_device(cpu).type == TAPER_CPU);
    for (int i = 0; i < DRAWS; i++) {
        taper_scope s = TAPER_SCOPE;
        char name[64];
        taper_generator_seed(a, 7);
        taper_generator_seed(b, 7);
        taper_cuda_manual_seed(7);
        taper_cuda_get_random_state(&before[0], &before[1], 0);
        taper_tensor *first = draw(&s, i, a), *second = draw(&s, i, a), *other = draw(&s, i, b);
        taper_cuda_get_random_state(&seed, &offset, 0);
        bool untouched = seed == before[0] && offset == before[1];
        taper_tensor *plain = draw(&s, i, NULL);
        snprintf(name, sizeof name, "generator_%s", draw_names[i]);
        CHECK(name, s.status == TAPER_OK && untouched && same(first, other) && !same(first, second) && same(first, plain));
        s.status = TAPER_OK;
        taper_tensor *refused = draw(&s, i, cpu);
        snprintf(name, sizeof name, "generator_of_the_cpu_%s", draw_names[i]);
        CHECK(name, !refused && s.status == TAPER_RUNTIME && SAYS("Expected a 'cuda' device type for generator but found 'cpu'"));
        taper_scope_end(&s);
    }
    taper_scope s = TAPER_SCOPE;
    int64_t n = 5;
    CHECK("generator_of_the_gpu_on_the_cpu", !tx_rand(&s, &n, 1, a, TAPER_F32, NULL) && SAYS("Expected a 'cpu' device type for generator but found 'cuda'"));
    s.status = TAPER_OK;
    CHECK("generator_of_the_gpu_randperm_on_the_cpu", !tx_randperm(&s, n, a, TAPER_I64, NULL) && SAYS("Expected a 'cpu' device type"));
    s.status = TAPER_OK;
    taper_generator_seed(a, 99);
    draw(&s, 0, a);
    CHECK("state_get", taper_generator_state_bytes(a) == sizeof state && !taper_generator_get_state(a, state, sizeof state) && state[0] == 99 && state[1] == 4);
    taper_tensor *x = draw(&s, 1, a), *y = draw(&s, 2, a);
    CHECK("state_set", !taper_generator_set_state(b, state, sizeof state) && same(x, draw(&s, 1, b)) && same(y, draw(&s, 2, b)));
    CHECK("initial_seed", taper_generator_initial_seed(a) == 99);
    CHECK("offset", !taper_generator_get_offset(a, &offset) && offset == 12 && !taper_generator_set_offset(a, 4) && same(x, draw(&s, 1, a)) &&
                        taper_generator_set_offset(a, 3) == TAPER_RUNTIME && SAYS("multiple of 4"));
    CHECK("state_wrong_size", taper_generator_set_state(a, state, 8) == TAPER_VALUE && SAYS("wrong size"));
    CHECK("default_generator", !taper_generator_cuda_default(&own, 0) && (taper_generator_seed(own, 321), !taper_cuda_get_random_state(&seed, &offset, 0)) && seed == 321 && !offset);
    x = draw(&s, 0, NULL);
    taper_cuda_manual_seed(321);
    CHECK("default_generator_is_drawn_from", same(x, draw(&s, 0, own)) && taper_generator_initial_seed(own) == 321);
    taper_scope_end(&s);
    taper_generator_release(a);
    taper_generator_release(b);
    taper_generator_release(cpu);
    taper_generator_release(own);
}

/* ---- graphs ---- */
typedef struct step {
    taper_tensor *x, *q, *out[6];
} step;

/* What a training step draws: fills, dropout, attention with dropout; one of them from a generator of its own. */
static taper_status step_run(step *p, taper_generator *g) {
    taper_tensor *same_ = NULL, *both[2] = {NULL, NULL};
    for (int i = 0; i < 6; i++) {
        taper_tensor_release(p->out[i]);
        p->out[i] = NULL;
    }
    taper_status st = taper_rand_like(&p->out[0], p->x, TAPER_DTYPE_NONE, NULL, NULL);
    if (!st) st = taper_native_dropout(both, p->x, 0.3, true);
    p->out[1] = both[0];
    taper_tensor_release(both[1]);
    both[0] = both[1] = NULL;
    if (!st) st = taper_empty_like(&p->out[2], p->x, TAPER_DTYPE_NONE, NULL, NULL);
    if (!st) st = taper_normal_(&same_, p->out[2], 0, 1, g);
    taper_tensor_release(same_);
    if (!st) st = taper_flash_attention(both, p->q, p->q, p->q, NULL, false, NULL, 0.4);
    p->out[3] = both[0];
    taper_tensor_release(both[1]);
    both[0] = both[1] = NULL;
    if (!st) st = taper_bernoulli_p(&p->out[4], p->x, 0.5, NULL);
    if (!st) st = taper_randperm(&p->out[5], 3000, NULL, TAPER_I64, &(taper_device){TAPER_CUDA, 0});
    return st;
}
static void step_end(step *p) {
    for (int i = 0; i < 6; i++) taper_tensor_release(p->out[i]);
}
static void step_copy(taper_scope *s, const step *p, taper_tensor **to) {
    for (int i = 0; i < 6; i++) to[i] = tx_clone(s, p->out[i]);
}
static bool all_same(taper_tensor **a, taper_tensor **b, bool want) {
    for (int i = 0; i < 6; i++)
        if (same(a[i], b[i]) != want) return printf("# result %d\n", i), false;
    return true;
}

static void graphs(void) {
    taper_scope s = TAPER_SCOPE;
    taper_device gpu = taper_cuda(0);
    int64_t shape[4] = {1, HEADS, ROWS, WIDTH};
    step p = {.x = tx_normal_(&s, empty(&s, TAPER_F32, N), 0, 1, NULL), .q = tx_randn(&s, shape, 4, NULL, TAPER_BF16, &gpu)}, late = p;
    taper_tensor *eager[4][6], *replayed[5][6];
    taper_generator *g = NULL;
    taper_cuda_graph *graph = NULL;
    taper_cuda_stream *stream = NULL, *other = NULL, *normal = NULL;
    uint64_t seed, offset, end[2];
    taper_generator_new_on(&g, 5, gpu);
    taper_cuda_manual_seed(42);
    bool good = true;
    for (int i = 0; i < 4; i++) {
        good &= !step_run(&p, g);
        step_copy(&s, &p, eager[i]);
    }
    taper_cuda_get_random_state(&end[0], &end[1], 0);
    CHECK("graph_eager", good && s.status == TAPER_OK && all_same(eager[0], eager[1], false));
    taper_cuda_stream_default(&normal, 0);
    taper_cuda_stream_new(&stream, 0, 0);
    taper_cuda_stream_new(&other, 0, 0);
    taper_cuda_synchronize(0);
    taper_cuda_graph_new(&graph, NULL);
    taper_cuda_stream_set_current(stream);
    taper_status st = taper_cuda_graph_begin_capture(graph, NULL);
    if (!st) st = step_run(&late, g);
    CHECK("graph_capture", !st && !taper_cuda_graph_end_capture(graph));
    taper_cuda_stream_set_current(normal);
    taper_cuda_manual_seed(42);
    taper_generator_seed(g, 5);
    for (int i = 0; i < 5; i++) {
        if (i == 4) taper_cuda_manual_seed(42), taper_generator_seed(g, 5);
        if (i == 2) { /* an eager step between replays takes its turn */
            good &= !step_run(&p, g);
            step_copy(&s, &p, replayed[i]);
            continue;
        }
        good &= !taper_cuda_graph_replay(graph, i == 3 ? other : NULL) && (i < 3 || !taper_cuda_stream_wait_stream(normal, other));
        step_copy(&s, &late, replayed[i]);
        if (i == 3) taper_cuda_get_random_state(&seed, &offset, 0);
    }
    CHECK("graph_replays_differ", good && s.status == TAPER_OK && all_same(replayed[0], replayed[1], false) && all_same(replayed[1], replayed[3], false));
    for (int i = 0; i < 4; i++) CHECK("graph_draws_what_eager_draws", all_same(eager[i], replayed[i], true));
    CHECK("graph_moves_the_counter", seed == end[0] && offset == end[1]);
    CHECK("graph_seed_repeats", all_same(replayed[4], replayed[0], true));
    /* Without waiting in between, and on two streams in turn: the words of a replay are its own. */
    taper_tensor *last[6];
    taper_cuda_manual_seed(42);
    taper_generator_seed(g, 5);
    for (int i = 0; i < 4; i++) good &= !taper_cuda_graph_replay(graph, i % 2 ? other : stream);
    taper_cuda_synchronize(0);
    step_copy(&s, &late, last);
    CHECK("graph_replays_in_a_row", good && all_same(last, eager[3], true));
    taper_generator_release(g); /* the graph keeps it */
    CHECK("graph_keeps_its_generator", !taper_cuda_graph_replay(graph, NULL) && !taper_cuda_synchronize(0));
    taper_cuda_graph_release(graph);
    step_end(&p);
    step_end(&late);
    taper_scope_end(&s);
    taper_cuda_stream_release(stream);
    taper_cuda_stream_release(other);
    taper_cuda_stream_release(normal);
}

/* What checkpointing does: the state of before, to draw the same again, inside of a capture. */
static void graph_draws_again(void) {
    taper_scope s = TAPER_SCOPE;
    taper_cuda_graph *graph = NULL;
    taper_cuda_stream *stream = NULL, *normal = NULL;
    taper_tensor *t[3] = {empty(&s, TAPER_F32, N), empty(&s, TAPER_F32, N), empty(&s, TAPER_F32, N)}, *last[3];
    uint64_t seed, offset;
    taper_cuda_stream_default(&normal, 0);
    taper_cuda_stream_new(&stream, 0, 0);
    taper_cuda_manual_seed(1);
    draw(&s, 0, NULL);
    taper_cuda_synchronize(0);
    taper_cuda_graph_new(&graph, NULL);
    taper_cuda_stream_set_current(stream);
    taper_status st = taper_cuda_graph_begin_capture(graph, NULL);
    tx_uniform_(&s, t[0], 0, 1, NULL);
    if (!st) st = taper_cuda_get_random_state(&seed, &offset, 0);
    tx_uniform_(&s, t[1], 0, 1, NULL);
    if (!st) st = taper_cuda_set_random_state(seed, offset, 0);
    tx_uniform_(&s, t[2], 0, 1, NULL);
    CHECK("graph_state_set_in_a_capture", !st && s.status == TAPER_OK && !taper_cuda_graph_end_capture(graph));
    taper_cuda_stream_set_current(normal);
    for (int i = 0; i < 2; i++) {
        CHECK("graph_draws_again", !taper_cuda_graph_replay(graph, NULL) && !taper_cuda_synchronize(0) && same(t[1], t[2]) && !same(t[0], t[1]));
        if (!i)
            for (int j = 0; j < 2; j++) last[j] = tx_clone(&s, t[j]);
    }
    CHECK("graph_draws_other_numbers_next_time", !same(t[0], last[0]) && !same(t[0], last[1]) && !same(t[1], last[1]));
    taper_cuda_graph_release(graph);
    taper_scope_end(&s);
    taper_cuda_stream_release(stream);
    taper_cuda_stream_release(normal);
}

int main(void) {
    const char *why;
    if (!taper_cuda_device_count(&why)) return printf("ok random_state_cuda: skipped, %s\n", why), 0;
    seeds();
    generators();
    graphs();
    graph_draws_again();
    return failed;
}
