/* When attention goes to cuDNN and how its gradient is cut, and graphs of a cuDNN that fails at each call in turn. */
#include <stdio.h>
#include <string.h>
#include <taper/dtype.h>

#include "device/cuda/dnn_graph.h"
#include "ops/attention_cuda.h"

static int failed;
static void check(const char *name, bool good, const char *why) {
    if (good) {
        printf("ok %s\n", name);
    } else {
        failed = 1;
        printf("not ok %s: %s\n", name, why ? why : "");
    }
}

/* ---- what is asked for ---- */

static void strides(int64_t *to, int64_t T, int64_t heads, int64_t E) {
    to[0] = T * heads * E, to[1] = E, to[2] = heads * E, to[3] = 1;
}

static taper_cudnn_attention ordinary(bool backward) {
    taper_cudnn_attention a;
    memset(&a, 0, sizeof a);
    a.B = 32, a.H = 12, a.K = 4, a.L = 1024, a.S = 512, a.E = 64, a.V = 32, a.dtype = TAPER_BF16, a.backward = backward;
    strides(a.q, a.L, a.H, a.E), strides(a.k, a.S, a.K, a.E), strides(a.v, a.S, a.K, a.V), strides(a.out, a.L, a.H, a.V);
    if (backward) strides(a.dout, a.L, a.H, a.V), strides(a.dq, a.L, a.H, a.E), strides(a.dk, a.S, a.K, a.E), strides(a.dv, a.S, a.K, a.V);
    return a;
}

static void takes(const char *name, const taper_cudnn_attention *a, int version, int capability, const char *want) {
    const char *why = "taken";
    bool taken = taper__cudnn_attention_takes(a, version, capability, &why);
    char text[300];
    snprintf(text, sizeof text, "got \"%s\", want \"%s\"", why, want);
    check(name, taken == !strcmp(want, "taken") && strstr(why, want), text);
}

static void check_takes(void) {
    taper_cudnn_attention a = ordinary(false), g = ordinary(true);
    takes("takes_forward", &a, 91400, 90, "taken");
    takes("takes_backward", &g, 90000, 80, "taken");
    takes("takes_version_8", &a, 8907, 90, "needs cuDNN 9");
    takes("takes_version_wrong", &a, 91001, 90, "known to be wrong");
    takes("takes_version_after_it", &a, 91002, 90, "taken");
    takes("takes_old_gpu", &a, 91400, 75, "capability 8.0");
    takes("takes_new_gpu_forward", &a, 91400, 100, "taken");
    takes("takes_new_gpu_backward", &g, 91400, 100, "same each time");
#define CHANGED(name, base, change, version, want)                                                                     \
    do {                                                                                                               \
        taper_cudnn_attention c = base;                                                                                \
        change;                                                                                                        \
        takes(name, &c, version, 90, want);                                                                            \
    } while (0)
    CHANGED("takes_f32", a, c.dtype = TAPER_F32, 91400, "float16 and bfloat16");
    CHANGED("takes_heads", a, c.K = 5, 91400, "heads of");
    CHANGED("takes_size_12", a, c.E = 12, 91400, "heads of");
    CHANGED("takes_size_136", a, c.V = 136, 91400, "heads of");
    CHANGED("takes_length_65", a, c.L = 65, 91400, "taken");
    CHANGED("takes_length_1", a, c.L = 1, 91400, "one query");
    CHANGED("takes_keys_0", a, c.S = 0, 91400, "one query");
    CHANGED("takes_keys_192_forward", a, c.S = 192, 90100, "taken");
    CHANGED("takes_keys_192_backward", g, c.S = 192, 90900, "multiple of 128");
    CHANGED("takes_keys_192_backward_later", g, c.S = 192, 91400, "taken");
    g.S = 192;
    check("needs_lengths", taper__cudnn_attention_needs_lengths(&g, 91500) && !taper__cudnn_attention_needs_lengths(&g, 91600), "");
    g.S = 512;
    check("needs_no_lengths", !taper__cudnn_attention_needs_lengths(&g, 91400) && !taper__cudnn_attention_needs_lengths(&a, 91400), "");
    CHANGED("takes_stride_4", a, c.k[2] = 4, 91400, "16 bytes");
    CHANGED("takes_stride_0", a, c.v[1] = 0, 91400, "16 bytes");
    CHANGED("takes_stride_of_one_batch", a, (c.B = 1, c.q[0] = 3), 91400, "taken");
    CHANGED("takes_last_stride", a, c.out[3] = 2, 91400, "16 bytes");
    CHANGED("takes_gradient_stride", g, c.dk[2] = 12, 91400, "16 bytes");
    CHANGED("takes_reach", a, c.q[0] = (int64_t)1 << 27, 91400, "2^31");
    CHANGED("takes_odd_backward", g, (c.K = c.H, c.L = c.S = 1023), 91400, "taken");
    CHANGED("takes_large_odd_backward", g, (c.K = c.H, c.B = 64, c.L = c.S = 1023), 91400, "workspace");
    CHANGED("takes_long_backward", g, (c.B = c.H = c.K = 1, c.L = c.S = 32768), 91400, "workspace");
}

static void cut(const char *name, int64_t B, int64_t H, int64_t K, int64_t T, bool backward, int64_t batch, int64_t heads) {
    taper_cudnn_attention a = ordinary(backward);
    int64_t got[2] = {0, 0};
    char text[100];
    a.B = B, a.H = H, a.K = K, a.L = a.S = T;
    taper__cudnn_attention_cut(&a, (int64_t)256 << 20, &got[0], &got[1]);
    snprintf(text, sizeof text, "got %lld, %lld", (long long)got[0], (long long)got[1]);
    check(name, got[0] == batch && got[1] == heads, text);
}

static void check_worth(void) {
    const char *why = "";
    check("worth_large", taper__attention_dnn_worth(TAPER_F16, 32 * 12, 1024, 1024, 64, 64, &why), why);
    check("worth_odd_large", taper__attention_dnn_worth(TAPER_F16, 256 * 12, 197, 197, 64, 64, &why), why);
    check("worth_odd", !taper__attention_dnn_worth(TAPER_F16, 64 * 12, 197, 197, 64, 64, &why), "taken");
    check("worth_f32", !taper__attention_dnn_worth(TAPER_F32, 32 * 12, 1024, 1024, 64, 64, &why), "taken");
    check("worth_one_sequence", !taper__attention_dnn_worth(TAPER_BF16, 12, 1024, 1024, 64, 64, &why), "taken");
}

/* ---- a cuDNN that counts, and fails at call number `fail` ---- */

static int calls, fail, live, tensors, operations_in_graph;
static bool fails(void) { return ++calls == fail; }
static int fake_create(int type, void **out) {
    if (fails()) return 4003;
    static char somewhere[4096];
    *out = somewhere + ++live % (int)sizeof somewhere;
    tensors += type == 17;
    return 0;
}
static int fake_destroy(void *d) {
    live -= d != NULL;
    return 0;
}
static int fake_finalize(void *d) { return (void)d, fails() ? 2000 : 0; }
static int fake_set(void *d, int attribute, int type, int64_t count, const void *values) {
    if (attribute == 801) operations_in_graph = (int)count;
    return (void)d, (void)type, (void)values, fails() ? 2000 : 0;
}
static int fake_get(void *d, int attribute, int type, int64_t room, int64_t *count, void *values) {
    (void)d, (void)type, (void)room;
    if (fails()) return 2000;
    *count = attribute == 202 ? 2 : attribute == 1303 ? 0 : 1;
    if (attribute == 402) *(int64_t *)values = 100;
    return 0;
}

static bool build(taper_dnn_plan *plan) {
    taper_cudnn dnn = {.descriptor_create = fake_create, .descriptor_destroy = fake_destroy, .descriptor_finalize = fake_finalize, .set = fake_set, .get = fake_get};
    const int64_t sizes[4] = {2, 3, 64, 64}, rows[4] = {2, 3, 64, 1}, dense[4] = {3 * 4096, 4096, 64, 1};
    taper_dnn_graph g;
    taper__dnn_graph_begin(&g, &dnn);
    taper_dnn_tensor x = taper__dnn_tensor(&g, 1, TAPER_DNN_HALF, sizes, dense), y = taper__dnn_tensor(&g, 2, TAPER_DNN_HALF, sizes, dense);
    taper_dnn_tensor by = taper__dnn_value(&g, 3), product = taper__dnn_between(&g, TAPER_DNN_FLOAT, sizes, NULL);
    taper__dnn_matmul(&g, &x, &y, (taper_dnn_lengths){.m = &by}, &product);
    taper_dnn_tensor s = taper__dnn_map(&g, TAPER_DNN_MUL, &product, &by), high = taper__dnn_between(&g, TAPER_DNN_FLOAT, rows, NULL);
    taper__dnn_reduce(&g, TAPER_DNN_MAX, &s, &high);
    taper_dnn_tensor turned = taper__dnn_between(&g, TAPER_DNN_HALF, sizes, NULL);
    taper__dnn_reshape(&g, &s, &turned);
    taper__dnn_graph_plan(&g, NULL, TAPER_DNN_NOTE_NONDETERMINISTIC, 1000, plan);
    bool good = !g.status == (plan->plan != NULL);
    taper__dnn_graph_end(&g);
    return good;
}

static void check_graph(void) {
    taper_dnn_plan plan;
    char text[100];
    bool good = build(&plan);
    int whole = calls;
    snprintf(text, sizeof text, "plan %d, workspace %d, %d live, %d tensors, %d operations", plan.plan != NULL, (int)plan.workspace, live, tensors, operations_in_graph);
    check("graph_plan", good && plan.plan && plan.workspace == 100 && live == 1 && tensors == 7 && operations_in_graph == 4, text);
    int bad = 0, plans = 0;
    for (fail = 1; fail <= whole; fail++) {
        calls = live = 0;
        good = build(&plan);
        if (!good || live != (plan.plan != NULL)) bad = fail;
        plans += plan.plan != NULL; /* a failing configuration leaves the next one */
    }
    fail = 0;
    snprintf(text, sizeof text, "call %d of %d: something stayed, or the status is wrong; %d plans", bad, whole, plans);
    check("graph_failures", !bad && plans > 0 && plans < whole, text);
}

int main(void) {
    check_takes();
    cut("cut_forward", 32, 12, 12, 1024, false, 32, 12);
    cut("cut_small", 4, 12, 12, 256, true, 4, 12);
    cut("cut_batch", 32, 12, 12, 1024, true, 8, 12);
    cut("cut_odd_batch", 7, 12, 12, 2048, true, 1, 12);
    cut("cut_heads", 2, 32, 8, 4096, true, 1, 2);
    cut("cut_not", 32, 12, 12, 1023, true, 32, 12);
    cut("cut_one_head", 2, 32, 8, 8192, true, 1, 1);
    check_worth();
    check_graph();
    return failed;
}
