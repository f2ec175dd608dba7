/* Descriptors of cuDNN's graph API, made one after the other. */
#include "device/cuda/dnn_graph.h"

#include <string.h>

#include "device/cuda/gpu.h"

/* Numbers of cudnn_graph.h, the same in versions 8.9 and 9. */
enum {
    GRAPH_POINTWISE = 0,
    GRAPH_CONVOLUTION = 1,
    GRAPH_ENGINE = 2,
    GRAPH_ENGINE_CONFIG = 3,
    GRAPH_HEURISTICS = 4,
    GRAPH_PLAN = 5,
    GRAPH_OPERATION_POINTWISE = 13,
    GRAPH_GRAPH = 15,
    GRAPH_VARIANT_PACK = 16,
    GRAPH_TENSOR = 17,
    GRAPH_MATMUL = 18,
    GRAPH_OPERATION_MATMUL = 19,
    GRAPH_REDUCTION = 21,
    GRAPH_OPERATION_REDUCTION = 22,
    GRAPH_OPERATION_RESHAPE = 31,
    GRAPH_TYPE_HANDLE = 0,
    GRAPH_TYPE_DATA_TYPE = 1,
    GRAPH_TYPE_BOOLEAN = 2,
    GRAPH_TYPE_INT64 = 3,
    GRAPH_TYPE_FLOAT = 4,
    GRAPH_TYPE_POINTER = 6,
    GRAPH_TYPE_CONVOLUTION_MODE = 7,
    GRAPH_TYPE_HEURISTICS_MODE = 8,
    GRAPH_TYPE_NOTE = 11,
    GRAPH_TYPE_POINTWISE_MODE = 14,
    GRAPH_TYPE_DESCRIPTOR = 15,
    GRAPH_TYPE_REDUCTION = 18,
    GRAPH_CONFIGS = 24,
    GRAPH_FIRST_BETWEEN = 100,
};

void taper__dnn_graph_begin(taper_dnn_graph *g, const taper_cudnn *dnn) {
    *g = (taper_dnn_graph){.dnn = dnn, .last_id = GRAPH_FIRST_BETWEEN};
}
void taper__dnn_graph_end(taper_dnn_graph *g) {
    while (g->made_count) g->dnn->descriptor_destroy(g->made[--g->made_count]);
}

static void *graph_new(taper_dnn_graph *g, int type, const char *step) {
    void *d = NULL;
    if (g->status) return NULL;
    g->step = step;
    if (g->made_count == TAPER_DNN_DESCRIPTORS) g->status = 4000;
    if (!g->status) g->status = g->dnn->descriptor_create(type, &d);
    if (g->status) return NULL;
    g->made[g->made_count++] = d;
    return d;
}
static void graph_set(taper_dnn_graph *g, void *d, int attribute, int type, int64_t count, const void *values) {
    if (!g->status) g->status = g->dnn->set(d, attribute, type, count, values);
}
static void graph_attach(taper_dnn_graph *g, void *d, int attribute, const taper_dnn_tensor *t) {
    if (t) graph_set(g, d, attribute, GRAPH_TYPE_DESCRIPTOR, 1, &t->descriptor);
}
static void graph_finalize(taper_dnn_graph *g, void *d) {
    if (!g->status) g->status = g->dnn->descriptor_finalize(d);
}
static void graph_operation(taper_dnn_graph *g, void *d) {
    graph_finalize(g, d);
    if (!g->status && g->operation_count == TAPER_DNN_OPERATIONS) g->status = 4000;
    if (!g->status) g->operations[g->operation_count++] = d;
}

static taper_dnn_tensor graph_tensor(taper_dnn_graph *g, int64_t id, int type, const int64_t *sizes, const int64_t *strides, bool between, bool value) {
    taper_dnn_tensor t = {NULL, {0}, {0}};
    int64_t alignment = 16;
    memcpy(t.sizes, sizes, sizeof t.sizes);
    memcpy(t.strides, strides, sizeof t.strides);
    t.descriptor = graph_new(g, GRAPH_TENSOR, "tensor");
    graph_set(g, t.descriptor, 901, GRAPH_TYPE_DATA_TYPE, 1, &type);
    graph_set(g, t.descriptor, 902, GRAPH_TYPE_INT64, 4, t.sizes);
    graph_set(g, t.descriptor, 903, GRAPH_TYPE_INT64, 4, t.strides);
    graph_set(g, t.descriptor, 906, GRAPH_TYPE_INT64, 1, &id);
    graph_set(g, t.descriptor, 900, GRAPH_TYPE_INT64, 1, &alignment);
    if (between) graph_set(g, t.descriptor, 907, GRAPH_TYPE_BOOLEAN, 1, &between);
    if (value) graph_set(g, t.descriptor, 908, GRAPH_TYPE_BOOLEAN, 1, &value);
    graph_finalize(g, t.descriptor);
    return t;
}

taper_dnn_tensor taper__dnn_tensor(taper_dnn_graph *g, int64_t id, int type, const int64_t *sizes, const int64_t *strides) {
    return graph_tensor(g, id, type, sizes, strides, false, false);
}

taper_dnn_tensor taper__dnn_value(taper_dnn_graph *g, int64_t id) {
    static const int64_t ones[4] = {1, 1, 1, 1};
    return graph_tensor(g, id, TAPER_DNN_FLOAT, ones, ones, false, true);
}

taper_dnn_tensor taper__dnn_between(taper_dnn_graph *g, int type, const int64_t *sizes, const int64_t *strides) {
    int64_t dense[4] = {sizes[1] * sizes[2] * sizes[3], sizes[2] * sizes[3], sizes[3], 1};
    return graph_tensor(g, g->last_id++, type, sizes, strides ? strides : dense, true, false);
}

void taper__dnn_turned(int64_t *sizes, int64_t *strides) {
    int64_t size = sizes[2], stride = strides[2];
    sizes[2] = sizes[3], strides[2] = strides[3];
    sizes[3] = size, strides[3] = stride;
}

void taper__dnn_matmul(taper_dnn_graph *g, const taper_dnn_tensor *a, const taper_dnn_tensor *b, taper_dnn_lengths lengths, const taper_dnn_tensor *out) {
    int single = TAPER_DNN_FLOAT;
    void *kind = graph_new(g, GRAPH_MATMUL, "matmul");
    graph_set(g, kind, 1500, GRAPH_TYPE_DATA_TYPE, 1, &single);
    graph_finalize(g, kind);
    void *d = graph_new(g, GRAPH_OPERATION_MATMUL, "matmul");
    graph_attach(g, d, 1520, a);
    graph_attach(g, d, 1521, b);
    graph_attach(g, d, 1522, out);
    graph_set(g, d, 1523, GRAPH_TYPE_DESCRIPTOR, 1, &kind);
    graph_attach(g, d, 1525, lengths.m);
    graph_attach(g, d, 1526, lengths.n);
    graph_attach(g, d, 1527, lengths.k);
    graph_operation(g, d);
}

void taper__dnn_pointwise(taper_dnn_graph *g, int mode, int type, int64_t axis, const taper_dnn_tensor *x, const taper_dnn_tensor *y,
                          const taper_dnn_tensor *choose, const taper_dnn_tensor *out) {
    float one = 1;
    void *kind = graph_new(g, GRAPH_POINTWISE, "element-wise operation");
    graph_set(g, kind, 0, GRAPH_TYPE_POINTWISE_MODE, 1, &mode);
    graph_set(g, kind, 1, GRAPH_TYPE_DATA_TYPE, 1, &type);
    if (mode == TAPER_DNN_INDEX) graph_set(g, kind, 9, GRAPH_TYPE_INT64, 1, &axis);
    graph_finalize(g, kind);
    void *d = graph_new(g, GRAPH_OPERATION_POINTWISE, "element-wise operation");
    graph_set(g, d, 750, GRAPH_TYPE_DESCRIPTOR, 1, &kind);
    graph_attach(g, d, 751, x);
    graph_attach(g, d, 752, y);
    graph_attach(g, d, 758, choose);
    graph_attach(g, d, 753, out);
    graph_set(g, d, 754, GRAPH_TYPE_FLOAT, 1, &one);
    graph_set(g, d, 755, GRAPH_TYPE_FLOAT, 1, &one);
    graph_operation(g, d);
}

taper_dnn_tensor taper__dnn_map(taper_dnn_graph *g, int mode, const taper_dnn_tensor *x, const taper_dnn_tensor *y) {
    taper_dnn_tensor out = taper__dnn_between(g, TAPER_DNN_FLOAT, x->sizes, x->strides);
    taper__dnn_pointwise(g, mode, TAPER_DNN_FLOAT, 0, x, y, NULL, &out);
    return out;
}

void taper__dnn_reduce(taper_dnn_graph *g, int operator_, const taper_dnn_tensor *x, const taper_dnn_tensor *out) {
    int single = TAPER_DNN_FLOAT;
    void *kind = graph_new(g, GRAPH_REDUCTION, "reduction");
    graph_set(g, kind, 1601, GRAPH_TYPE_DATA_TYPE, 1, &single);
    graph_set(g, kind, 1600, GRAPH_TYPE_REDUCTION, 1, &operator_);
    graph_finalize(g, kind);
    void *d = graph_new(g, GRAPH_OPERATION_REDUCTION, "reduction");
    graph_set(g, d, 1612, GRAPH_TYPE_DESCRIPTOR, 1, &kind);
    graph_attach(g, d, 1610, x);
    graph_attach(g, d, 1611, out);
    graph_operation(g, d);
}

void taper__dnn_reshape(taper_dnn_graph *g, const taper_dnn_tensor *x, const taper_dnn_tensor *out) {
    void *d = graph_new(g, GRAPH_OPERATION_RESHAPE, "reshape");
    graph_attach(g, d, 2200, x);
    graph_attach(g, d, 2201, out);
    graph_operation(g, d);
}

void taper__dnn_convolution(taper_dnn_graph *g, const taper_cudnn_conv *c, const taper_dnn_tensor *x, const taper_dnn_tensor *w, const taper_dnn_tensor *y) {
    /* descriptor type; attributes of alpha, beta, the convolution, weight, input, output */
    static const int numbers[3][7] = {{10, 700, 701, 702, 703, 704, 705}, {12, 706, 707, 708, 709, 710, 711}, {11, 712, 713, 714, 715, 716, 717}};
    const int *n = numbers[c->product];
    int single = TAPER_DNN_FLOAT, mode = 1;
    int64_t dims = 2;
    float one = 1, zero = 0;
    void *kind = graph_new(g, GRAPH_CONVOLUTION, "convolution");
    graph_set(g, kind, 100, GRAPH_TYPE_DATA_TYPE, 1, &single);
    graph_set(g, kind, 101, GRAPH_TYPE_CONVOLUTION_MODE, 1, &mode);
    graph_set(g, kind, 106, GRAPH_TYPE_INT64, 1, &dims);
    graph_set(g, kind, 102, GRAPH_TYPE_INT64, 2, c->dilation);
    graph_set(g, kind, 103, GRAPH_TYPE_INT64, 2, c->stride);
    graph_set(g, kind, 104, GRAPH_TYPE_INT64, 2, c->padding);
    graph_set(g, kind, 105, GRAPH_TYPE_INT64, 2, c->padding);
    graph_finalize(g, kind);
    void *d = graph_new(g, n[0], "convolution");
    graph_set(g, d, n[1], GRAPH_TYPE_FLOAT, 1, &one);
    graph_set(g, d, n[2], GRAPH_TYPE_FLOAT, 1, &zero);
    graph_set(g, d, n[3], GRAPH_TYPE_DESCRIPTOR, 1, &kind);
    graph_attach(g, d, n[4], w);
    graph_attach(g, d, n[5], x);
    graph_attach(g, d, n[6], y);
    graph_operation(g, d);
}

/* Whether the engine of a configuration has none of the notes; *number is the engine's. */
static bool graph_allows(const taper_cudnn *dnn, void *config, unsigned refused, int *number) {
    void *engine = NULL;
    int notes[32];
    int64_t count = 0, index = -1;
    if (dnn->descriptor_create(GRAPH_ENGINE, &engine)) return false;
    bool good = !dnn->get(config, 300, GRAPH_TYPE_DESCRIPTOR, 1, &count, &engine) && !dnn->get(engine, 1303, GRAPH_TYPE_NOTE, 32, &count, notes);
    for (int64_t i = 0; good && i < count && i < 32; i++)
        if (notes[i] < 32 && (refused >> notes[i] & 1)) good = false;
    if (good && !dnn->get(engine, 1301, GRAPH_TYPE_INT64, 1, &count, &index)) *number = (int)index;
    dnn->descriptor_destroy(engine);
    return good;
}

static void graph_choose(taper_dnn_graph *g, void *graph, void *handle, int mode, unsigned refused, int64_t workspace_most, taper_dnn_plan *out) {
    const taper_cudnn *dnn = g->dnn;
    void *configs[GRAPH_CONFIGS], *heuristics = graph_new(g, GRAPH_HEURISTICS, "heuristics");
    int64_t count = 0;
    int made = 0;
    graph_set(g, heuristics, 201, GRAPH_TYPE_DESCRIPTOR, 1, &graph);
    graph_set(g, heuristics, 200, GRAPH_TYPE_HEURISTICS_MODE, 1, &mode);
    graph_finalize(g, heuristics);
    while (!g->status && made < GRAPH_CONFIGS && !dnn->descriptor_create(GRAPH_ENGINE_CONFIG, &configs[made])) made++;
    if (!g->status) {
        int r = dnn->get(heuristics, 202, GRAPH_TYPE_DESCRIPTOR, made, &count, configs);
        if (r) g->status = r, count = 0;
    }
    for (int64_t i = 0; i < count && i < made && !out->plan; i++) {
        void *plan = NULL;
        int64_t got = 0;
        out->tried++;
        if (!graph_allows(dnn, configs[i], refused, &out->engine) || dnn->descriptor_create(GRAPH_PLAN, &plan)) continue;
        bool good = !dnn->set(plan, 400, GRAPH_TYPE_HANDLE, 1, &handle) && !dnn->set(plan, 401, GRAPH_TYPE_DESCRIPTOR, 1, &configs[i]) &&
                    !dnn->descriptor_finalize(plan) && !dnn->get(plan, 402, GRAPH_TYPE_INT64, 1, &got, &out->workspace) &&
                    out->workspace <= workspace_most;
        if (good)
            out->plan = plan;
        else
            dnn->descriptor_destroy(plan);
    }
    for (int i = 0; i < made; i++) dnn->descriptor_destroy(configs[i]);
}

void taper__dnn_graph_plan(taper_dnn_graph *g, void *handle, unsigned refused, int64_t workspace_most, taper_dnn_plan *out) {
    static const int modes[2] = {3, 2}; /* A, and the fallback list */
    *out = (taper_dnn_plan){.plan = NULL};
    void *graph = graph_new(g, GRAPH_GRAPH, "operation graph");
    graph_set(g, graph, 800, GRAPH_TYPE_HANDLE, 1, &handle);
    graph_set(g, graph, 801, GRAPH_TYPE_DESCRIPTOR, g->operation_count, g->operations);
    graph_finalize(g, graph);
    if (g->status) return;
    for (int i = 0; i < 2 && !out->plan; i++) {
        g->status = 0;
        graph_choose(g, graph, handle, modes[i], refused, workspace_most, out);
    }
    if (out->plan) g->status = 0;
}

int taper__dnn_run(const taper_cudnn *dnn, void *handle, const taper_dnn_plan *plan, int64_t count, const int64_t *ids, void *const *pointers, void *workspace) {
    void *pack = NULL;
    int r = dnn->descriptor_create(GRAPH_VARIANT_PACK, &pack);
    if (!r) r = dnn->set(pack, 1000, GRAPH_TYPE_INT64, count, ids);
    if (!r) r = dnn->set(pack, 1001, GRAPH_TYPE_POINTER, count, pointers);
    if (!r) r = dnn->set(pack, 1003, GRAPH_TYPE_POINTER, 1, &workspace);
    if (!r) r = dnn->descriptor_finalize(pack);
    if (!r) r = dnn->execute(handle, plan->plan, pack);
    if (pack) dnn->descriptor_destroy(pack);
    return r;
}
