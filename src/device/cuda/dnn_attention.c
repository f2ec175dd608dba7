/* Attention as graphs of cuDNN, which knows the pattern of operations and runs it as one fused kernel (or a few, backward):
 * products, scale, causal mask, softmax; and the five products of the gradients. */
#include <limits.h>
#include <math.h>
#include <string.h>
#include <taper/dtype.h>
#include <time.h>

#include "device/cuda/dnn_graph.h"
#include "device/cuda/gpu.h"

enum { ID_Q = 1, ID_K, ID_V, ID_OUT, ID_LSE, ID_DOUT, ID_DQ, ID_DK, ID_DV, ID_DELTA, ID_SCALE, ID_HIDDEN, ID_ONE, ID_QUERIES, ID_KEYS, ID_COUNT };
enum {
    ATTENTION_PLANS = 128,  /* per GPU; a program with more shapes starts over */
    ATTENTION_HEAD = 128,   /* largest size of query, key and value */
    ATTENTION_MULTIPLE = 8, /* of those sizes, and of the strides: 16 bytes */
};
static const int64_t attention_workspace_most = (int64_t)2 << 30;
static const int64_t attention_scores_most = (int64_t)1 << 30, attention_memory_share = 64; /* of it for scores: the 64th part of the GPU at most */

typedef struct attention_plan {
    taper_cudnn_attention key;
    taper_dnn_plan plan;
} attention_plan;
static attention_plan *attention_plans[TAPER_MAX_GPUS]; /* under the GPU's cuDNN lock */
static int attention_plan_count[TAPER_MAX_GPUS];

/* ---- what is asked for ---- */

static bool attention_strides(const int64_t *sizes, const int64_t *strides) {
    int64_t reach = 0;
    if (strides[3] != 1) return false;
    for (int d = 0; d < 4; d++) {
        if (d < 3 && sizes[d] > 1 && (strides[d] <= 0 || strides[d] % ATTENTION_MULTIPLE)) return false;
        reach += (sizes[d] - 1) * strides[d];
    }
    return reach < INT_MAX;
}

/* logsumexp of a part begins at a multiple of 16 bytes too */
static bool attention_can_cut(const taper_cudnn_attention *a) { return a->L % 4 == 0; }

bool taper__cudnn_attention_needs_lengths(const taper_cudnn_attention *a, int version) { return a->backward && a->S % 128 && version < 91600; }

bool taper__cudnn_attention_takes(const taper_cudnn_attention *a, int version, int capability, const char **why) {
    const int64_t q[4] = {a->B, a->H, a->L, a->E}, k[4] = {a->B, a->K, a->S, a->E}, v[4] = {a->B, a->K, a->S, a->V}, out[4] = {a->B, a->H, a->L, a->V};
    const char *no = NULL;
    if (version < 90000)
        no = "attention needs cuDNN 9";
    else if (version == 91000 || version == 91001)
        no = "attention of cuDNN 9.10.0 and 9.10.1 is known to be wrong";
    else if (capability < 80)
        no = "attention of cuDNN needs compute capability 8.0";
    else if (a->backward && capability >= 100)
        no = "gradients of attention by cuDNN on this GPU are not known to be the same each time";
    else if (a->dtype != TAPER_F16 && a->dtype != TAPER_BF16)
        no = "attention of cuDNN takes float16 and bfloat16";
    else if (a->B < 1 || a->H < 1 || a->K < 1 || a->H % a->K || a->E < 1 || a->V < 1 || a->E % ATTENTION_MULTIPLE || a->V % ATTENTION_MULTIPLE ||
             a->E > ATTENTION_HEAD || a->V > ATTENTION_HEAD)
        no = "attention of cuDNN takes heads of 8, 16, ... 128 elements";
    else if (a->L < 2 || a->S < 2)
        no = "one query, or one key, is left to the library's own kernels";
    else if (taper__cudnn_attention_needs_lengths(a, version) && version < 91002)
        no = "gradients of attention by cuDNN before 9.10.2 need a multiple of 128 keys";
    else if (!attention_strides(q, a->q) || !attention_strides(k, a->k) || !attention_strides(v, a->v) || !attention_strides(out, a->out) ||
             (a->backward && (!attention_strides(out, a->dout) || !attention_strides(q, a->dq) || !attention_strides(k, a->dk) || !attention_strides(v, a->dv))))
        no = "attention of cuDNN needs rows that begin at multiples of 16 bytes, within 2^31 elements";
    else if (a->backward && 2 * a->L * a->S * (attention_can_cut(a) ? a->H / a->K : a->B * a->H) > attention_scores_most)
        no = "gradients of attention by cuDNN would take too large a workspace";
    if (no) *why = no;
    return !no;
}

static int64_t attention_divisor(int64_t n, int64_t most) {
    int64_t d = most < 1 ? 1 : most < n ? most : n;
    while (n % d) d--;
    return d;
}

void taper__cudnn_attention_cut(const taper_cudnn_attention *a, int64_t most, int64_t *batch, int64_t *heads) {
    *batch = a->B, *heads = a->K;
    if (!a->backward || !attention_can_cut(a)) return;
    int64_t head = 2 * a->L * a->S * (a->H / a->K);
    *batch = attention_divisor(a->B, most / (head * a->K));
    if (head * a->K > most) *heads = attention_divisor(a->K, most / head);
}

/* ---- graphs ---- */

/* Tensors that both directions read. */
typedef struct attention_graph {
    taper_dnn_graph g;
    const taper_cudnn_attention *a;
    int type;
    int64_t scores[4], rows[4], queries[4], keys[4], values[4], outs[4];
    taper_dnn_tensor scale, hidden, logsumexp, query_lengths, key_lengths;
    const taper_dnn_tensor *lq, *lk; /* NULL: not needed */
} attention_graph;

static void attention_begin(attention_graph *b, const taper_cudnn *dnn, const taper_cudnn_attention *a) {
    const int64_t scores[4] = {a->B, a->H, a->L, a->S}, rows[4] = {a->B, a->H, a->L, 1}, q[4] = {a->B, a->H, a->L, a->E}, k[4] = {a->B, a->K, a->S, a->E},
                  v[4] = {a->B, a->K, a->S, a->V}, out[4] = {a->B, a->H, a->L, a->V}, dense[4] = {a->H * a->L, a->L, 1, 1};
    taper__dnn_graph_begin(&b->g, dnn);
    b->a = a;
    b->type = a->dtype == TAPER_F16 ? TAPER_DNN_HALF : TAPER_DNN_BFLOAT16;
    memcpy(b->scores, scores, sizeof scores), memcpy(b->rows, rows, sizeof rows), memcpy(b->queries, q, sizeof q);
    memcpy(b->keys, k, sizeof k), memcpy(b->values, v, sizeof v), memcpy(b->outs, out, sizeof out);
    b->scale = taper__dnn_value(&b->g, ID_SCALE);
    b->logsumexp = taper__dnn_tensor(&b->g, ID_LSE, TAPER_DNN_FLOAT, rows, dense);
    b->lq = b->lk = NULL;
    bool lengths = taper__cudnn_attention_needs_lengths(a, taper__cudnn_version());
    if (a->causal || lengths) b->hidden = taper__dnn_value(&b->g, ID_HIDDEN);
    if (!lengths) return;
    const int64_t each[4] = {a->B, 1, 1, 1}, ones[4] = {1, 1, 1, 1};
    b->query_lengths = taper__dnn_tensor(&b->g, ID_QUERIES, TAPER_DNN_INT32, each, ones);
    b->key_lengths = taper__dnn_tensor(&b->g, ID_KEYS, TAPER_DNN_INT32, each, ones);
    b->lq = &b->query_lengths, b->lk = &b->key_lengths;
}

/* A stored tensor, or with `turned` its transpose. */
static taper_dnn_tensor attention_tensor(attention_graph *b, int64_t id, const int64_t *sizes, const int64_t *strides, bool turned) {
    int64_t n[4], s[4];
    memcpy(n, sizes, sizeof n), memcpy(s, strides, sizeof s);
    if (turned) taper__dnn_turned(n, s);
    return taper__dnn_tensor(&b->g, id, b->type, n, s);
}

/* x where the query's number is at least the key's, else the value that hides. */
static taper_dnn_tensor attention_mask(attention_graph *b, const taper_dnn_tensor *x) {
    taper_dnn_graph *g = &b->g;
    taper_dnn_tensor row = taper__dnn_between(g, TAPER_DNN_INT32, x->sizes, NULL), col = taper__dnn_between(g, TAPER_DNN_INT32, x->sizes, NULL);
    taper__dnn_pointwise(g, TAPER_DNN_INDEX, TAPER_DNN_FLOAT, 2, x, NULL, NULL, &row);
    taper__dnn_pointwise(g, TAPER_DNN_INDEX, TAPER_DNN_FLOAT, 3, x, NULL, NULL, &col);
    taper_dnn_tensor seen = taper__dnn_between(g, TAPER_DNN_BOOLEAN, x->sizes, NULL), out = taper__dnn_between(g, TAPER_DNN_FLOAT, x->sizes, NULL);
    taper__dnn_pointwise(g, TAPER_DNN_GREATER_EQUAL, TAPER_DNN_BOOLEAN, 0, &row, &col, NULL, &seen);
    taper__dnn_pointwise(g, TAPER_DNN_SELECT, TAPER_DNN_FLOAT, 0, x, &b->hidden, &seen, &out);
    return out;
}

/* x within the lengths, else the value that hides. */
static taper_dnn_tensor attention_within(attention_graph *b, const taper_dnn_tensor *x) {
    taper_dnn_graph *g = &b->g;
    taper_dnn_tensor row = taper__dnn_between(g, TAPER_DNN_INT32, x->sizes, NULL), col = taper__dnn_between(g, TAPER_DNN_INT32, x->sizes, NULL);
    taper_dnn_tensor in_row = taper__dnn_between(g, TAPER_DNN_BOOLEAN, x->sizes, NULL), in_col = taper__dnn_between(g, TAPER_DNN_BOOLEAN, x->sizes, NULL);
    taper_dnn_tensor in = taper__dnn_between(g, TAPER_DNN_BOOLEAN, x->sizes, NULL), out = taper__dnn_between(g, TAPER_DNN_FLOAT, x->sizes, NULL);
    taper__dnn_pointwise(g, TAPER_DNN_INDEX, TAPER_DNN_INT32, 2, x, NULL, NULL, &row);
    taper__dnn_pointwise(g, TAPER_DNN_INDEX, TAPER_DNN_INT32, 3, x, NULL, NULL, &col);
    taper__dnn_pointwise(g, TAPER_DNN_LESS, TAPER_DNN_BOOLEAN, 0, &row, b->lq, NULL, &in_row);
    taper__dnn_pointwise(g, TAPER_DNN_LESS, TAPER_DNN_BOOLEAN, 0, &col, b->lk, NULL, &in_col);
    taper__dnn_pointwise(g, TAPER_DNN_AND, TAPER_DNN_BOOLEAN, 0, &in_row, &in_col, NULL, &in);
    taper__dnn_pointwise(g, TAPER_DNN_SELECT, TAPER_DNN_FLOAT, 0, x, &b->hidden, &in, &out);
    return out;
}

static void attention_forward(attention_graph *b) {
    const taper_cudnn_attention *a = b->a;
    taper_dnn_graph *g = &b->g;
    taper_dnn_tensor q = attention_tensor(b, ID_Q, b->queries, a->q, false), k = attention_tensor(b, ID_K, b->keys, a->k, true);
    taper_dnn_tensor v = attention_tensor(b, ID_V, b->values, a->v, false), out = attention_tensor(b, ID_OUT, b->outs, a->out, false);
    taper_dnn_tensor product = taper__dnn_between(g, TAPER_DNN_FLOAT, b->scores, NULL);
    taper__dnn_matmul(g, &q, &k, (taper_dnn_lengths){0}, &product);
    taper_dnn_tensor s = taper__dnn_map(g, TAPER_DNN_MUL, &product, &b->scale);
    if (a->causal) s = attention_mask(b, &s);
    taper_dnn_tensor high = taper__dnn_between(g, TAPER_DNN_FLOAT, b->rows, NULL), sum = taper__dnn_between(g, TAPER_DNN_FLOAT, b->rows, NULL);
    taper__dnn_reduce(g, TAPER_DNN_MAX, &s, &high);
    taper_dnn_tensor below = taper__dnn_map(g, TAPER_DNN_SUB, &s, &high), e = taper__dnn_map(g, TAPER_DNN_EXP, &below, NULL);
    taper__dnn_reduce(g, TAPER_DNN_SUM, &e, &sum);
    taper_dnn_tensor log = taper__dnn_map(g, TAPER_DNN_LOG, &sum, NULL);
    taper__dnn_pointwise(g, TAPER_DNN_ADD, TAPER_DNN_FLOAT, 0, &high, &log, NULL, &b->logsumexp);
    taper_dnn_tensor p = taper__dnn_between(g, b->type, b->scores, NULL);
    taper__dnn_pointwise(g, TAPER_DNN_DIV, TAPER_DNN_FLOAT, 0, &e, &sum, NULL, &p);
    taper__dnn_matmul(g, &p, &v, (taper_dnn_lengths){0}, &out);
}

/* x^T y: the gradient of keys or values, summed over heads that share one. */
static void attention_key_gradient(attention_graph *b, const taper_dnn_tensor *x, const taper_dnn_tensor *y, const taper_dnn_tensor *out) {
    taper_dnn_graph *g = &b->g;
    int64_t sizes[4], strides[4] = {b->a->H * b->a->L * b->a->S, b->a->L * b->a->S, b->a->S, 1};
    memcpy(sizes, b->scores, sizeof sizes);
    taper__dnn_turned(sizes, strides);
    taper_dnn_tensor turned = taper__dnn_between(g, b->type, sizes, strides);
    taper__dnn_reshape(g, x, &turned);
    if (b->a->H == b->a->K) {
        taper__dnn_matmul(g, &turned, y, (taper_dnn_lengths){.m = b->lk, .k = b->lq}, out);
        return;
    }
    const int64_t whole[4] = {b->a->B, b->a->H, b->a->S, out->sizes[3]};
    taper_dnn_tensor heads = taper__dnn_between(g, b->type, whole, NULL);
    taper__dnn_matmul(g, &turned, y, (taper_dnn_lengths){.m = b->lk, .k = b->lq}, &heads);
    taper__dnn_reduce(g, TAPER_DNN_SUM, &heads, out);
}

static void attention_backward(attention_graph *b) {
    const taper_cudnn_attention *a = b->a;
    taper_dnn_graph *g = &b->g;
    const int64_t dense[4] = {a->H * a->L, a->L, 1, 1};
    taper_dnn_tensor q = attention_tensor(b, ID_Q, b->queries, a->q, false), k = attention_tensor(b, ID_K, b->keys, a->k, true);
    taper_dnn_tensor v = attention_tensor(b, ID_V, b->values, a->v, true), out = attention_tensor(b, ID_OUT, b->outs, a->out, false);
    taper_dnn_tensor dout = attention_tensor(b, ID_DOUT, b->outs, a->dout, false), dq = attention_tensor(b, ID_DQ, b->queries, a->dq, false);
    taper_dnn_tensor dk = attention_tensor(b, ID_DK, b->keys, a->dk, false), dv = attention_tensor(b, ID_DV, b->values, a->dv, false);
    /* delta = the sum of dout out over a row; times one, because the pattern has a factor for dropout there */
    taper_dnn_tensor both = taper__dnn_between(g, TAPER_DNN_FLOAT, b->outs, NULL), sums = taper__dnn_between(g, TAPER_DNN_FLOAT, b->rows, NULL);
    taper_dnn_tensor one = taper__dnn_value(g, ID_ONE), delta = taper__dnn_tensor(g, ID_DELTA, TAPER_DNN_FLOAT, b->rows, dense);
    taper__dnn_pointwise(g, TAPER_DNN_MUL, TAPER_DNN_FLOAT, 0, &dout, &out, NULL, &both);
    taper__dnn_reduce(g, TAPER_DNN_SUM, &both, &sums);
    taper__dnn_pointwise(g, TAPER_DNN_MUL, TAPER_DNN_FLOAT, 0, &sums, &one, NULL, &delta);
    /* p = exp(scale q k^T - logsumexp); dv = p^T dout */
    taper_dnn_tensor product = taper__dnn_between(g, TAPER_DNN_FLOAT, b->scores, NULL);
    taper__dnn_matmul(g, &q, &k, (taper_dnn_lengths){.m = b->lq, .n = b->lk}, &product);
    taper_dnn_tensor s = taper__dnn_map(g, TAPER_DNN_MUL, &product, &b->scale);
    if (b->lq) s = attention_within(b, &s);
    s = taper__dnn_map(g, TAPER_DNN_SUB, &s, &b->logsumexp);
    if (a->causal) s = attention_mask(b, &s);
    taper_dnn_tensor p = taper__dnn_map(g, TAPER_DNN_EXP, &s, NULL);
    attention_key_gradient(b, &p, &dout, &dv);
    /* ds = p (dout v^T - delta) scale; dk = ds^T q; dq = ds k */
    taper_dnn_tensor dp = taper__dnn_between(g, TAPER_DNN_FLOAT, b->scores, NULL);
    taper__dnn_matmul(g, &dout, &v, (taper_dnn_lengths){.m = b->lq, .n = b->lk}, &dp);
    taper_dnn_tensor ds = taper__dnn_map(g, TAPER_DNN_SUB, &dp, &delta);
    ds = taper__dnn_map(g, TAPER_DNN_MUL, &ds, &p);
    ds = taper__dnn_map(g, TAPER_DNN_MUL, &ds, &b->scale);
    attention_key_gradient(b, &ds, &q, &dk);
    taper_dnn_tensor rows = taper__dnn_between(g, b->type, b->keys, a->k);
    taper__dnn_reshape(g, &k, &rows);
    taper__dnn_matmul(g, &ds, &rows, (taper_dnn_lengths){.m = b->lq, .k = b->lk}, &dq);
}

/* ---- plans ---- */

static double attention_clock(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static void attention_make(const taper_cudnn *dnn, const taper_cudnn_attention *a, void *handle, attention_plan *out) {
    attention_graph b;
    char text[400] = "";
    double began = attention_clock();
    out->key = *a;
    attention_begin(&b, dnn, a);
    if (a->backward)
        attention_backward(&b);
    else
        attention_forward(&b);
    taper__dnn_graph_plan(&b.g, handle, TAPER_DNN_NOTE_NONDETERMINISTIC, attention_workspace_most, &out->plan);
    if (!out->plan.plan && dnn->last_error) dnn->last_error(text, sizeof text);
    taper__log("cuda", "cuDNN attention %s B %lld H %lld/%lld L %lld S %lld E %lld V %lld%s: %s %d of %d tried, workspace %lld bytes, %.0f ms%s%s%s",
               a->backward ? "backward" : "forward", (long long)a->B, (long long)a->H, (long long)a->K, (long long)a->L, (long long)a->S,
               (long long)a->E, (long long)a->V, a->causal ? " causal" : "", out->plan.plan ? "engine" : "no plan, last engine", out->plan.engine,
               out->plan.tried, (long long)out->plan.workspace, attention_clock() - began, b.g.status ? ": " : "",
               b.g.status ? dnn->error_string(b.g.status) : "", text);
    taper__dnn_graph_end(&b.g);
}

static attention_plan *attention_find(const taper_cudnn *dnn, const taper_cudnn_attention *a, void *handle, int index) {
    attention_plan *plans = attention_plans[index];
    for (int i = 0; i < attention_plan_count[index]; i++)
        if (!memcmp(&plans[i].key, a, sizeof *a)) return &plans[i];
    if (!plans && !(plans = attention_plans[index] = taper__alloc(sizeof *plans * ATTENTION_PLANS))) return NULL;
    if (attention_plan_count[index] == ATTENTION_PLANS) {
        for (int i = 0; i < ATTENTION_PLANS; i++)
            if (plans[i].plan.plan) dnn->descriptor_destroy(plans[i].plan.plan);
        attention_plan_count[index] = 0;
    }
    attention_plan *p = &plans[attention_plan_count[index]++];
    attention_make(dnn, a, handle, p);
    return p;
}

/* One call of a plan; `workspace` begins with delta when backward. */
static int attention_execute(const taper_cudnn *dnn, void *handle, const attention_plan *p, const taper_cudnn_attention_data *data, char *workspace,
                             size_t delta_bytes) {
    const taper_cudnn_attention *a = &p->key;
    /* before 9.10 softmax wants a number there */
    float scale = data->scale, hidden = taper__cudnn_version() < 91000 ? -3.402823466e38f : -INFINITY, one = 1;
    void *by_id[ID_COUNT] = {[ID_Q] = data->q, [ID_K] = data->k, [ID_V] = data->v, [ID_OUT] = data->out, [ID_LSE] = data->logsumexp, [ID_SCALE] = &scale};
    bool lengths = taper__cudnn_attention_needs_lengths(a, taper__cudnn_version());
    if (a->causal || lengths) by_id[ID_HIDDEN] = &hidden;
    if (lengths) by_id[ID_QUERIES] = data->queries, by_id[ID_KEYS] = data->keys;
    if (a->backward)
        by_id[ID_DOUT] = data->dout, by_id[ID_DQ] = data->dq, by_id[ID_DK] = data->dk, by_id[ID_DV] = data->dv, by_id[ID_DELTA] = workspace, by_id[ID_ONE] = &one;
    int64_t ids[ID_COUNT], count = 0;
    void *pointers[ID_COUNT];
    for (int64_t id = 1; id < ID_COUNT; id++)
        if (by_id[id]) ids[count] = id, pointers[count++] = by_id[id];
    return taper__dnn_run(dnn, handle, &p->plan, count, ids, pointers, workspace + delta_bytes);
}

/* The data of the part that begins at batch b and head k of the keys. */
static taper_cudnn_attention_data attention_part(const taper_cudnn_attention *a, const taper_cudnn_attention_data *data, int64_t b, int64_t k) {
    int64_t h = k * (a->H / a->K), size = 2;
#define PART(name, head) (data->name ? (char *)data->name + (b * a->name[0] + (head) * a->name[1]) * size : NULL)
    return (taper_cudnn_attention_data){PART(q, h), PART(k, k), PART(v, k), PART(out, h), (float *)data->logsumexp + (b * a->H + h) * a->L,
                                        PART(dout, h), PART(dq, h), PART(dk, k), PART(dv, k), data->queries, data->keys, data->scale};
#undef PART
}

taper_status taper__cudnn_attention(const taper_cudnn_attention *a, const taper_cudnn_attention_data *data, int index, const char *op) {
    void *handle = NULL, *workspace = NULL;
    const taper_cudnn *dnn = taper__cudnn(NULL, 0);
    taper_status st = TAPER_OK;
    taper_cudnn_attention part = *a;
    TAPER_TRY(taper__cudnn_enter(&handle, index, op));
    int64_t share = (int64_t)taper__gpus[index].total_memory / attention_memory_share;
    taper__cudnn_attention_cut(a, share < attention_scores_most ? share : attention_scores_most, &part.B, &part.K);
    part.H = part.K * (a->H / a->K);
    attention_plan *p = attention_find(dnn, &part, handle, index);
    if (!p) {
        st = TAPER_FAIL(TAPER_MEMORY, "%s: no memory for the table of cuDNN plans", op);
    } else if (!p->plan.plan) {
        st = TAPER_FAIL(TAPER_NOT_IMPLEMENTED, "%s: cuDNN has no deterministic kernel for this attention", op);
    } else {
        size_t delta = a->backward ? ((size_t)(part.B * part.H * part.L) * sizeof(float) + 255) & ~(size_t)255 : 0, bytes = delta + (size_t)p->plan.workspace;
        if (bytes) st = taper__cuda_memory_alloc(&workspace, bytes, index, op);
        for (int64_t b = 0; b < a->B && st == TAPER_OK; b += part.B)
            for (int64_t k = 0; k < a->K && st == TAPER_OK; k += part.K) {
                taper_cudnn_attention_data d = attention_part(a, data, b, k);
                int r = attention_execute(dnn, handle, p, &d, workspace, delta);
                if (r) st = taper__cudnn_fail(r, "cudnnBackendExecute", op);
            }
        if (workspace) taper__cuda_memory_free(workspace, bytes, index);
    }
    taper__cudnn_leave(index);
    return st == TAPER_OK ? taper__cuda_launched(index, op) : st;
}
